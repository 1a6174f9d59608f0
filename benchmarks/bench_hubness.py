"""k-occurrences of points: chunked products and a bounded insertion beside scikit-learn's nearest neighbours.

    make bench ARGS="-k hubness"
"""

from __future__ import annotations

import numpy as np
import pytest

from kexue.numerics.hubness import k_occurrence

K = 10


def by_scikit_learn(points: np.ndarray) -> np.ndarray:
    neighbors = pytest.importorskip("sklearn.neighbors")
    found = neighbors.NearestNeighbors(n_neighbors=K, algorithm="brute").fit(points).kneighbors(return_distance=False)
    return np.bincount(found.ravel(), minlength=len(points))


def ours(points: np.ndarray) -> np.ndarray:
    return k_occurrence(points, K)


@pytest.mark.benchmark(group="hubness: 10-occurrences in 100 dimensions, growth with the number of points")
@pytest.mark.parametrize("who", ["ours", "scikit-learn"])
@pytest.mark.parametrize("n", [1000, 2000, 4000, 8000])
def test_occurrence(benchmark, who, n):
    points = np.random.default_rng(0).standard_normal((n, 100))
    benchmark.extra_info["n"], benchmark.extra_info["flop"] = n, 2 * n * n * points.shape[1]
    count = ours if who == "ours" else by_scikit_learn
    found = benchmark.pedantic(count, (points,), rounds=5, warmup_rounds=1)
    assert np.array_equal(found, ours(points))
