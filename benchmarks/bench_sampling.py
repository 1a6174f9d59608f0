"""The sampling engine: kernels side by side, sequential against fixed-size tests, workers and Dask against one process.

    make bench ARGS="-k sampling"
"""

from __future__ import annotations

import statistics
from fractions import Fraction

import numpy as np
import pytest

from kexue.numerics.sector import in_one_sector, largest_gap
from kexue.sampling import LikelihoodRatio, experiment, map_chunks, required_n
from kexue.sampling.executors import dask, processes

CHUNKS = 20


@experiment(chunk=50_000, name="bench/sort")
def by_sorting(chunk, count, n=5, gap=2 / 3):
    """The plain NumPy kernel: Philox, sort rows, compare the largest gap."""
    return int((largest_gap(chunk.generator().random((count, n))) >= gap).sum())


KERNELS = {"numba-first-point": in_one_sector(n=5, turn=Fraction(1, 3)), "numpy-sort": by_sorting()}


def consume(chosen, **options):
    return sum(successes for _, successes in map_chunks(chosen, last=CHUNKS, **options))


@pytest.mark.benchmark(group="sampling: one million samples of the sector problem, one core")
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel(benchmark, kernel):
    chosen = KERNELS[kernel]
    chosen.evaluate(0, 0)
    benchmark(consume, chosen)
    benchmark.extra_info["million samples per second"] = CHUNKS * chosen.chunk / benchmark.stats["median"] / 1e6


@pytest.mark.benchmark(group="sampling: four million samples, workers that are warm")
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers(benchmark, workers):
    chosen = KERNELS["numpy-sort"]
    options = {"executor": processes(workers)(), "per_task": 10, "ahead": 4} if workers else {}
    list(map_chunks(chosen, last=40, **options))
    benchmark.pedantic(lambda: list(map_chunks(chosen, last=80, **options)), rounds=5)


@pytest.mark.benchmark(group="sampling: four million samples, workers that are warm")
def test_dask(benchmark):
    pytest.importorskip("distributed")
    chosen = KERNELS["numpy-sort"]
    with dask("local", 2) as (executor, _):
        list(map_chunks(chosen, last=4, executor=executor))
        benchmark.pedantic(lambda: list(map_chunks(chosen, last=80, executor=executor, per_task=10, ahead=4)), rounds=5)


@pytest.mark.benchmark(group="sampling: samples needed, sequential over fixed")
def test_sequential_stopping(benchmark):
    """The time is of no interest here; the ratio of sample sizes is."""
    p, delta, size = 5 / 81, 0.01, 50_000
    rng = np.random.default_rng(0)

    def needed():
        test = LikelihoodRatio(p, delta)
        while test.update(size, int(rng.binomial(size, p))) == "undecided":
            pass
        return test.n

    found = [needed() for _ in range(100)]
    benchmark.pedantic(needed, rounds=5)
    benchmark.extra_info["median ratio"] = statistics.median(found) / required_n(p, delta)
