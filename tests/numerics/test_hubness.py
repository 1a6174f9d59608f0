"""Counts, measures, laws, mitigation and sampling of the article on hubness, in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate

from kexue.derivations.hubness import angle_variance, ball_cube_share, gini, k_occurrence_exact, robin_hood
from kexue.numerics.hubness.functions import (
    angle_cdf,
    angle_pdf,
    angle_var,
    ball_cube_ratio,
    csls,
    dis_sim_local,
    distances,
    hub_sample,
    hubness_scores,
    k_occurrence,
    limit_law,
    local_scaling,
    mutual_proximity,
    nicdm,
    torus_occurrence,
)

MITIGATIONS = [
    lambda X, k: mutual_proximity(distances(X)), lambda X, k: mutual_proximity(distances(X), "normal"),
    lambda X, k: local_scaling(distances(X), k), lambda X, k: nicdm(distances(X), k), csls, dis_sim_local,
]  # fmt: skip
NAMES = ["mp", "mp-normal", "ls", "nicdm", "csls", "dsl"]
integer_samples = st.tuples(st.integers(3, 12), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(-4, 4))
)


def normal(N=40, d=5, seed=0):
    return np.random.default_rng(seed).standard_normal((N, d))


@given(integer_samples, st.integers(1, 2), st.integers(1, 20))
@settings(max_examples=60)
def test_vectorised_counts_equal_brute_force_with_ties(X, k, chunk):
    exact = k_occurrence_exact([tuple(map(int, row)) for row in X], k)
    assert k_occurrence(X, k, chunk=chunk).tolist() == list(exact)


@given(integer_samples, st.integers(-50, 50))
@settings(max_examples=60)
def test_isometries_of_the_integer_grid_keep_the_counts(X, shift):
    moved = -X[:, ::-1] + shift
    assert k_occurrence(moved, 2).tolist() == k_occurrence(X, 2).tolist()


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_permuting_the_points_permutes_the_counts(metric):
    X = normal(60)
    order = np.random.default_rng(1).permutation(60)
    assert np.array_equal(k_occurrence(X[order], 4, metric), k_occurrence(X, 4, metric)[order])


def test_counts_far_from_the_origin():
    X = normal(200, 3)
    assert np.array_equal(k_occurrence(X + 1e6, 5), k_occurrence((X + 1e6) - 1e6, 5))


def test_metrics_agree_with_their_matrices():
    X = normal()
    for metric in ("euclidean", "cosine"):
        assert np.array_equal(k_occurrence(distances(X, metric), 3, "precomputed"), k_occurrence(X, 3, metric))


def test_torus_wraps():
    X = np.array([[0.02], [0.98], [0.5], [0.6]])
    assert torus_occurrence(X, 1).tolist() == [1, 1, 1, 1]
    assert k_occurrence(X, 1).tolist() == [0, 0, 2, 2]


@given(st.integers(2, 10), st.data())
def test_scores_equal_exact_measures(size, data):
    X = data.draw(arrays(np.int64, (size, 2), elements=st.integers(-5, 5)))
    counts = k_occurrence(X, 1)
    scores = hubness_scores(counts, 1)
    assert scores.gini == pytest.approx(float(gini(counts.tolist())))
    assert scores.robin_hood == pytest.approx(float(robin_hood(counts.tolist())))
    assert scores.largest == counts.max() and scores.antihubs == np.mean(counts == 0)
    if len(set(counts.tolist())) == 1:
        assert math.isnan(scores.skewness)
    else:
        assert scores.skewness == pytest.approx(np.mean(((counts - 1) / counts.std()) ** 3))


def test_limit_law_values():
    """The figures that the atlas of the article states for the limit law."""
    law = limit_law(5, 3000, 1 / 3)
    assert (round(law.variance, 1), round(law.skewness, 1)) == (351.1, 13.0)
    uniform = limit_law(5, 3000, 1 / 6)
    assert (round(uniform.variance, 1), round(uniform.skewness, 1)) == (93.4, 6.3)
    large = limit_law(5, 10_000, 1 / 3)
    assert (round(large.tail(50), 5), round(large.kept_score(50), 3)) == (0.02032, -2.409)
    assert [round(1 - law.tail(1), 3) for law in (limit_law(5, 800, 1 / 3), large)] == [0.445, 0.595]


def test_limit_law_is_a_law_with_mean_k():
    law = limit_law(3, 40, 0.4)
    pmf = law.pmf(np.arange(40))
    at = np.arange(40)
    assert pmf.min() >= -1e-12 and pmf.sum() == pytest.approx(1)
    assert at @ pmf == pytest.approx(3)
    assert (at - 3) ** 2 @ pmf == pytest.approx(law.variance)
    assert (at - 3) ** 3 @ pmf == pytest.approx(law.skewness * law.variance**1.5)


def test_without_correlation_the_limit_law_is_binomial():
    law = limit_law(5, 3000, 0.0)
    assert law.variance == pytest.approx(5 * (1 - 5 / 2999))


@pytest.mark.parametrize("n", [2, 3, 4, 10, 101])
def test_angle_law(n):
    assert float(angle_var(n)) == pytest.approx(float(angle_variance(n)), rel=1e-12)
    for theta in (0.4, 1.5, 2.2):
        area = integrate.quad(lambda a: float(angle_pdf(a, n)), 0, theta)[0]
        assert float(angle_cdf(theta, n)) == pytest.approx(area, abs=1e-9)
    assert angle_cdf([-1.0, 0.0, 4.0], n).tolist() == [0, 0, 1] and angle_pdf(-0.1, n) == 0


def test_ball_cube_ratio_in_few_and_in_many_dimensions():
    for n in (1, 2, 10, 50):
        assert ball_cube_ratio(n) == pytest.approx(float(ball_cube_share(n)), rel=1e-12)
    assert ball_cube_ratio(10_000) == 0.0


@pytest.mark.parametrize("reduce", MITIGATIONS, ids=NAMES)
def test_mitigation_is_symmetric_and_equivariant(reduce):
    X = normal()
    D = reduce(X, 4)
    order = np.random.default_rng(2).permutation(len(X))
    assert np.array_equal(D, D.T) and not np.diagonal(D).any()
    assert reduce(X[order], 4) == pytest.approx(D[np.ix_(order, order)], abs=1e-9)


@pytest.mark.parametrize("reduce", MITIGATIONS[:5], ids=NAMES[:5])
def test_mitigation_does_not_depend_on_the_scale(reduce):
    X = normal()
    assert reduce(3 * X, 4) == pytest.approx(reduce(X, 4), abs=1e-9)


def test_mitigation_by_definition():
    X = normal(12, 3)
    D = distances(X)
    ordered = np.sort(D, axis=1)
    sigma, mu = ordered[:, 3], ordered[:, 1:4].mean(axis=1)
    unit = X / np.linalg.norm(X, axis=1)[:, None]
    cosine = unit @ unit.T
    r = np.sort(cosine, axis=1)[:, -4:-1].mean(axis=1)
    centre = np.array([X[np.argsort(row)[1:4]].mean(axis=0) for row in D])
    local = ((X - centre) ** 2).sum(axis=1)
    farther = [[np.mean([D[i, h] > D[i, j] for h in range(12) if h != i]) for j in range(12)] for i in range(12)]
    i, j = 2, 7
    assert local_scaling(D, 3)[i, j] == pytest.approx(1 - math.exp(-(D[i, j] ** 2) / (sigma[i] * sigma[j])))
    assert nicdm(D, 3)[i, j] == pytest.approx(D[i, j] / math.sqrt(mu[i] * mu[j]))
    assert csls(X, 3)[i, j] == pytest.approx(r[i] + r[j] - 2 * cosine[i, j])
    assert dis_sim_local(X, 3)[i, j] == pytest.approx(D[i, j] ** 2 - local[i] - local[j])
    assert mutual_proximity(D)[i, j] == pytest.approx(1 - farther[i][j] * farther[j][i])


def test_hub_sample_is_a_function_of_its_seed_and_keeps_short_vectors():
    z = hub_sample(30, 64, N=600, k=5, t=15, rng=3)
    assert z.shape == (30, 64) and np.array_equal(z, hub_sample(30, 64, N=600, k=5, t=15, rng=3))
    assert (z**2).sum(axis=1).mean() < 0.85 * 64


def test_hub_sample_stops():
    with pytest.raises(RuntimeError, match="0 of 1 latents were kept in 2 batches"):
        hub_sample(1, 2, N=50, k=1, t=40, rng=0, max_rounds=2)


X, D = normal(10, 3), distances(normal(10, 3))
DUPLICATES = distances(np.array([[0.0], [0.0], [1.0], [3.0]]))


@pytest.mark.parametrize("call, message", [
    (lambda: k_occurrence(X, 0), "k must be in"), (lambda: k_occurrence(X, 10), "k must be in"),
    (lambda: k_occurrence(X, 1.0), "k must be an integer"), (lambda: k_occurrence(X[:1], 1), "at least 2 points"),
    (lambda: k_occurrence(X[0], 1), "shape"), (lambda: k_occurrence(X, 1, chunk=0), "chunk must be"),
    (lambda: k_occurrence(X, 1, "manhattan"), "metric must be"),
    (lambda: k_occurrence(np.where(np.arange(10)[:, None] == 4, np.nan, X), 1), "row 4"),
    (lambda: k_occurrence(X * np.inf, 1), "row 0"), (lambda: k_occurrence(X, 1, "precomputed"), "square"),
    (lambda: k_occurrence(np.vstack([X, 0 * X[:1]]), 1, "cosine"), "0 in row 10"),
    (lambda: csls(np.zeros((3, 2)), 1), "0 in row 0"), (lambda: csls(X, 10), "k must be in"),
    (lambda: distances(X, "precomputed"), "metric must be"),
    (lambda: angle_pdf(1.0, 1), "n must be"), (lambda: angle_cdf(1.0, 1), "n must be"),
    (lambda: angle_var(1), "n must be"), (lambda: ball_cube_ratio(0), "n must be"),
    (lambda: limit_law(0, 10, 0.1), "k must be"), (lambda: limit_law(9, 10, 0.1), "k must be"),
    (lambda: limit_law(1, 10, 1.0), "rho must be"), (lambda: limit_law(1, 10, 0.1).tail(-1), "t must be"),
    (lambda: limit_law(1, 10, 0.1).pmf([-1]), "counts must be"),
    (lambda: local_scaling(D[:3], 1), "square"), (lambda: local_scaling(-D, 1), "≥ 0"),
    (lambda: nicdm(D + np.eye(10), 1), "diagonal"), (lambda: nicdm(np.triu(D), 1), "symmetric"),
    (lambda: mutual_proximity(D * np.nan), "finite"), (lambda: mutual_proximity(D, "gamma"), "method must be"),
    (lambda: mutual_proximity(1 - np.eye(4), "normal"), "no normal law"),
    (lambda: local_scaling(DUPLICATES, 1), "duplicates"), (lambda: nicdm(DUPLICATES, 1), "duplicates"),
    (lambda: dis_sim_local(X, 0), "k must be in"), (lambda: torus_occurrence(X, 1), r"\[0, 1\)"),
    (lambda: hub_sample(0, 3), "size must be"), (lambda: hub_sample(1, 0), "dim must be"),
    (lambda: hub_sample(1, 3, t=-1), "t must be"), (lambda: hub_sample(1, 3, N=50, t=50), "t must be"),
    (lambda: hub_sample(1, 3, N=1), "N must be"), (lambda: hub_sample(1, 3, max_rounds=0), "max_rounds must be"),
    (lambda: hubness_scores([1, 1, 2], 1), "sum"), (lambda: hubness_scores([1.0, 1.0], 1), "integers"),
    (lambda: hubness_scores([3, -1, 1], 1), "≥ 0"), (lambda: hubness_scores([2, 2], 2), "k must be"),
])  # fmt: skip
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
