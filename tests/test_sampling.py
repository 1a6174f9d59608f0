"""The sampling engine: known answers, error rates, bit-identity on any executor, resumption, broken input."""

from __future__ import annotations

import json
import multiprocessing
import random
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from sampling_kernels import bit, coin, die, serial_pair, slow_coin, square, suicide, wrong
from scipy import stats

from kexue.sampling import (
    DirichletMultinomial,
    EmpiricalBernstein,
    LikelihoodRatio,
    Moments,
    clopper_pearson,
    map_chunks,
    required_n,
    run,
)  # fmt: skip
from kexue.sampling.executors import processes
from kexue.sampling.philox import philox4x32, uniforms
from kexue.sampling.run import StateError

U32 = np.uint32


# Streams


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 2, (2**32 - 1,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(key, counter, words) -> None:
    """The vectors published with Random123."""
    assert tuple(int(x) for x in philox4x32(*map(U32, key), *map(U32, counter))) == words


def test_uniforms_depend_on_the_sample_alone() -> None:
    whole = uniforms(7, 0, 100, 5)
    assert np.array_equal(whole[30:70], uniforms(7, 30, 40, 5)) and np.array_equal(whole[:, :3], uniforms(7, 0, 100, 3))
    assert ((whole >= 0) & (whole < 1)).all() and not np.array_equal(whole, uniforms(8, 0, 100, 5))
    with pytest.raises(ValueError, match=r"start \+ count"):
        uniforms(7, 2**64 - 1, 2, 1)


def test_streams_differ_by_experiment_parameters_and_seed() -> None:
    found = {coin(p=p).evaluate(seed, index) for p in (0.25, 0.26) for seed in (0, 1) for index in (0, 1)}
    assert len(found) > 5 and coin(p=0.25).evaluate(0, 3) == coin(p=0.25).evaluate(0, 3)


def test_a_stuck_bit_is_caught() -> None:
    """A battery of bit frequencies and serial pairs passes the generator and catches two broken ones."""
    assert all(run(bit(number=k), 0.5, 0.05).verdict == "confirmed" for k in range(0, 32, 5))
    assert run(bit(number=0, stuck=0), 0.5, 0.05).verdict == "refuted"
    assert run(serial_pair(), 0.25, 0.05).verdict == "confirmed"
    assert run(serial_pair(lag=0.2), 0.25, 0.05).verdict == "refuted"


# Error rates


def test_type_one_error_of_all_tests_over_null_runs() -> None:
    """2000 null runs each, looked at after every chunk, at α = 0.01: too many refutations would be a broken test."""
    rng = np.random.default_rng(1)
    runs, chunks, size, alpha = 2000, 40, 100, 0.01
    refuted = {"ratio": 0, "bernstein": 0, "dirichlet": 0}
    law = (0.2, 0.3, 0.5)
    for _ in range(runs):
        ratio = LikelihoodRatio(0.3, 0.1, alpha)
        bernstein = EmpiricalBernstein(1 / 3, 0.1, alpha=alpha)
        dirichlet = DirichletMultinomial(law, 0.1, alpha)
        successes = rng.binomial(size, 0.3, chunks)
        squares = rng.random((chunks, size)) ** 2
        counts = rng.multinomial(size, law, chunks)
        seen = {"ratio": set(), "bernstein": set(), "dirichlet": set()}
        for k, values, row in zip(successes, squares, counts, strict=True):
            seen["ratio"].add(ratio.update(size, int(k)))
            mean = float(values.mean())
            seen["bernstein"].add(bernstein.update(Moments(size, mean, float(((values - mean) ** 2).sum()))))
            seen["dirichlet"].add(dirichlet.update(tuple(int(c) for c in row)))
        for name in refuted:
            refuted[name] += "refuted" in seen[name]
    most = stats.binom.isf(1e-6, runs, alpha)
    assert all(count <= most for count in refuted.values()), refuted


def test_power_table_by_exact_binomial_sums() -> None:
    """Sample sizes of the fixed-size exact test at α = 1.67e-8, β = 1e-3 (a table computed independently)."""
    table = {
        (0.5, 0.01): 7.78e5,
        (0.5, 0.05): 3.11e4,
        (5 / 81, 0.02): 2.96e6,
        (0.1, 0.05): 2.88e5,
        (0.01, 0.05): 3.17e6,
    }
    for (p, delta), n in table.items():
        assert required_n(p, delta, 1.67e-8, 1e-3) == pytest.approx(n, rel=0.03)


def test_the_sequential_test_needs_fewer_samples() -> None:
    rng = np.random.default_rng(2)
    p, delta, size = 5 / 81, 0.02, 50_000
    fixed, needed = required_n(p, delta), []
    for _ in range(60):
        test = LikelihoodRatio(p, delta)
        while test.update(size, int(rng.binomial(size, p))) == "undecided":
            pass
        assert test.verdict == "confirmed"
        needed.append(test.n)
    assert np.median(needed) <= 0.4 * fixed


def test_a_wrong_value_is_refuted_and_a_right_one_confirmed() -> None:
    assert run(coin(), 0.25, 0.05).verdict == "confirmed"
    assert run(coin(), 0.26, 0.05).verdict == "refuted"
    assert run(square(), 1 / 3, 0.05).verdict == "confirmed"
    assert run(square(), 0.36, 0.05).verdict == "refuted"
    assert run(die(), (1 / 6,) * 6, 0.1).verdict == "confirmed"
    assert run(die(loaded=1), (1 / 6,) * 6, 0.1).verdict == "refuted"
    assert run(coin(), 0.25, 0.001, max_samples=10_000).verdict == "undecided"


def test_clopper_pearson_covers() -> None:
    """Coverage by exact sums over all outcomes, on a grid of p."""
    for n in (1, 5, 37):
        intervals = [clopper_pearson(k, n, 0.05) for k in range(n + 1)]
        for p in np.linspace(0.01, 0.99, 33):
            covered = sum(stats.binom.pmf(k, n, p) for k, (low, high) in enumerate(intervals) if low <= p <= high)
            assert covered >= 0.95 - 1e-12
    assert clopper_pearson(0, 10, 0.05)[0] == 0 and clopper_pearson(10, 10, 0.05)[1] == 1


def test_confidence_sequence_contains_the_estimate() -> None:
    outcome = run(coin(), 0.25, 0.05)
    low, high = outcome.interval
    assert low < outcome.estimate < high and low < 0.25 < high


# The same bytes everywhere


class Backwards(Executor):
    """Runs tasks late and in random order."""

    def __init__(self) -> None:
        self.pool, self.random = ThreadPoolExecutor(3), random.Random(4)

    def submit(self, function, /, *args, **kwargs) -> Future:
        import time

        return self.pool.submit(lambda: (time.sleep(self.random.random() / 200), function(*args, **kwargs))[1])


def bytes_of(outcome) -> str:
    return repr(replace(outcome, seconds=0.0))


@pytest.mark.parametrize(("experiment", "expected"), [(coin(), 0.25), (square(), 1 / 3), (die(), (1 / 6,) * 6)])
def test_same_bytes_in_any_order(experiment, expected) -> None:
    plain = bytes_of(run(experiment, expected, 0.1))
    for per_task, ahead in ((1, 1), (1, 5), (3, 4)):
        assert bytes_of(run(experiment, expected, 0.1, executor=Backwards(), per_task=per_task, ahead=ahead)) == plain


def test_same_bytes_for_one_two_and_seven_workers() -> None:
    plain = bytes_of(run(square(), 1 / 3, 0.1))
    for workers in (1, 2, 7):
        made = bytes_of(run(square(), 1 / 3, 0.1, executor=processes(workers), per_task=2, ahead=2 * workers))
        assert made == plain


def test_same_bytes_after_a_worker_was_killed(tmp_path) -> None:
    marker = tmp_path / "killed"
    experiment = suicide(marker=str(marker))
    found = list(map_chunks(experiment, last=12, executor=processes(2)))
    assert marker.exists()
    assert found == list(map_chunks(experiment, last=12))


def test_a_dask_cluster_gives_the_same_bytes() -> None:
    pytest.importorskip("distributed")
    from kexue.sampling.executors import dask

    with dask("local", 2) as (executor, count):
        assert count == 2
        assert bytes_of(run(coin(), 0.25, 0.1, executor=executor, per_task=4)) == bytes_of(run(coin(), 0.25, 0.1))


# State


@pytest.mark.parametrize(
    ("experiment", "expected", "delta"),
    [(coin(), 0.25, 0.05), (square(), 1 / 3, 0.02), (die(), (1 / 6,) * 6, 0.05)],
    ids=["proportion", "mean", "law"],
)
def test_interrupted_and_resumed_equals_uninterrupted(experiment, expected, delta, tmp_path) -> None:
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    plain = run(experiment, expected, delta, state=whole)

    class Stop(Exception):
        pass

    def interrupt(after: int):
        def stop(outcome) -> None:
            if outcome.chunks == after:
                raise Stop

        return stop

    for after in (3, 4, 11):
        with pytest.raises(Stop):
            run(experiment, expected, delta, state=parts, on_progress=interrupt(after))
        assert json.loads(parts.read_text())["chunks"] == after
    assert bytes_of(run(experiment, expected, delta, state=parts)) == bytes_of(plain)
    assert parts.read_bytes() == whole.read_bytes()
    assert run(experiment, expected, delta, state=parts).chunks == plain.chunks  # decided already: nothing is added


def test_a_state_of_something_else_is_refused(tmp_path) -> None:
    state = tmp_path / "state.json"
    run(coin(), 0.25, 0.1, state=state)
    for other in (
        lambda: run(coin(p=0.3), 0.25, 0.1, state=state),
        lambda: run(square(), 0.25, 0.1, state=state),
        lambda: run(coin(), 0.26, 0.1, state=state),
        lambda: run(coin(), 0.25, 0.2, state=state),
        lambda: run(coin(), 0.25, 0.1, seed=1, state=state),
    ):
        with pytest.raises(StateError, match="is of another"):
            other()
    before = state.read_text()
    for damaged in (before[:40], "{}", "[1]", "noise"):
        state.write_text(damaged)
        with pytest.raises(StateError, match="damaged"):
            run(coin(), 0.25, 0.1, state=state)


def _occupy(path, started) -> None:
    run(slow_coin(), 0.25, 0.05, state=path, on_progress=lambda _: started.set())


def test_two_processes_on_one_state_file(tmp_path) -> None:
    state = tmp_path / "state.json"
    context = multiprocessing.get_context("fork")
    started = context.Event()
    other = context.Process(target=_occupy, args=(state, started))
    other.start()
    try:
        assert started.wait(20)
        with pytest.raises(StateError, match="in use"):
            run(slow_coin(), 0.25, 0.05, state=state)
    finally:
        other.kill()
        other.join()
    assert run(slow_coin(), 0.25, 0.05, state=state).verdict == "confirmed"  # a killed owner leaves no lock behind


# Bad input


@pytest.mark.parametrize("what", ["float", "many", "negative", "text"])
def test_a_kernel_that_returns_nonsense(what) -> None:
    with pytest.raises(ValueError, match="successes"):
        run(wrong(what=what), 0.5, 0.1)


def test_bad_arguments() -> None:
    for bad in (0.0, 1.0, -0.1, 1.5):
        with pytest.raises(ValueError, match=r"p must be in \(0, 1\)"):
            LikelihoodRatio(bad, 0.01)
    with pytest.raises(ValueError, match="delta"):
        LikelihoodRatio(0.9, 0.2)
    with pytest.raises(ValueError, match="delta"):
        required_n(0.5, 0)
    with pytest.raises(ValueError, match="alpha"):
        clopper_pearson(1, 2, 1.0)
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(3, 2, 0.1)
    with pytest.raises(ValueError, match="sum to 1"):
        DirichletMultinomial((0.5, 0.6), 0.1)
    with pytest.raises(ValueError, match="max_samples"):
        run(coin(), 0.25, 0.1, max_samples=0)
    with pytest.raises(ValueError, match="workers"):
        processes(0)
    with pytest.raises(TypeError, match="executor"):
        run(coin(), 0.25, 0.1, executor=lambda: 3)
    with pytest.raises(TypeError, match="parameter p"):
        coin(p=[1])
    assert coin(p=Fraction(1, 4)).evaluate(0, 0) >= 0


def test_moments_merge() -> None:
    values = np.random.default_rng(3).random(1000)
    merged = (
        Moments.of(values[:300]).merge(Moments.of(values[300:301])).merge(Moments()).merge(Moments.of(values[301:]))
    )
    assert merged.n == 1000 and merged.mean == pytest.approx(values.mean(), rel=1e-14)
    assert merged.variance == pytest.approx(values.var(), rel=1e-12)


def test_the_error_budget_covers_all_registered_estimates() -> None:
    from kexue.sampling.sequential import ALPHA, ESTIMATES, FAMILY_ALPHA
    from kexue.simulate import estimates, experiments

    registered = sum(len(estimates(ref)) for ref in experiments([]))
    assert 0 < registered <= ESTIMATES and registered * ALPHA <= FAMILY_ALPHA
