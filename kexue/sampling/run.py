"""Runs an experiment chunk by chunk, on any executor, until its e-process decides; resumable and bit-identical."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from kexue.sampling.experiment import Experiment
from kexue.sampling.sequential import (
    ALPHA,
    BETA,
    UNDECIDED,
    DirichletMultinomial,
    EmpiricalBernstein,
    LikelihoodRatio,
)  # fmt: skip
from kexue.sampling.statistics import Moments

Test = LikelihoodRatio | EmpiricalBernstein | DirichletMultinomial
Reference = tuple[str, str, str, tuple[tuple[str, Any], ...]]
RESTARTS = 5
SAVE_EVERY = 2.0  # seconds


class StateError(ValueError):
    """A state file that belongs to something else, is damaged, or is in use."""


@dataclass(frozen=True)
class Outcome:
    """Where an experiment stands. `interval` is a 99.9 % confidence sequence (for a law: of no use, empty)."""

    experiment: str
    verdict: str
    expected: Any
    delta: float
    estimate: Any
    interval: tuple[float, ...]
    n: int
    chunks: int
    log_e: float  # natural logarithm of the largest evidence against the expected value so far
    seconds: float = 0.0

    @property
    def samples_per_second(self) -> float:
        return self.n / self.seconds if self.seconds else math.nan


# Chunks on executors


def reference(experiment: Experiment) -> Reference:
    """What another process needs to build the experiment again: module, file, function and parameters."""
    kernel = experiment.kernel
    module = sys.modules.get(kernel.__module__)
    return kernel.__module__, getattr(module, "__file__", None) or "", kernel.__name__, experiment.parameters


def _rebuild(ref: Reference) -> Experiment:
    name, file, function, parameters = ref
    module = sys.modules.get(name)
    if module is None:
        try:
            module = importlib.import_module(name)
        except ImportError:  # a paper outside the repository
            from kexue.worker import load_file

            module = load_file(Path(file))
    found = getattr(module, function)(**dict(parameters))
    assert isinstance(found, Experiment)
    return found


def evaluate_range(ref: Reference, seed: int, first: int, last: int) -> list[Any]:
    """The statistics of chunks first, …, last − 1; the one function that is sent to other processes."""
    experiment = _rebuild(ref)
    return [experiment.evaluate(seed, index) for index in range(first, last)]


def map_chunks(
    experiment: Experiment,
    *,
    seed: int = 0,
    first: int = 0,
    last: int | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
    per_task: int = 1,
    ahead: int = 4,
) -> Iterator[tuple[int, Any]]:
    """Yields (chunk number, statistic) in the order of the chunks.

    Args:
        executor: None evaluates here. An executor receives ranges of `per_task` chunks, `ahead` of them at a time;
            results are handed on in order. A function without arguments makes executors: one that breaks (a worker was
            killed) is replaced, and what it owed is submitted again.

    Raises:
        ValueError: per_task < 1 or ahead < 1.
        TypeError: executor has no submit.
    """
    if per_task < 1 or ahead < 1:
        raise ValueError(f"per_task and ahead must be ≥ 1, got {per_task} and {ahead}")
    if executor is None:
        index = first
        while last is None or index < last:
            yield index, experiment.evaluate(seed, index)
            index += 1
        return
    make = executor if callable(executor) and not hasattr(executor, "submit") else None
    pool: Any = make() if make else executor
    if not hasattr(pool, "submit"):
        raise TypeError(f"executor must be a concurrent.futures.Executor or make one, got {pool!r}")
    ref = reference(experiment)
    pending: deque[tuple[int, int, Future[list[Any]]]] = deque()
    restarts, following = 0, first
    try:
        while True:
            try:
                while len(pending) < ahead and (last is None or following < last):
                    end = following + per_task if last is None else min(following + per_task, last)
                    pending.append((following, end, pool.submit(evaluate_range, ref, seed, following, end)))
                    following = end
                if not pending:
                    return
                start, end, future = pending[0]
                found = future.result()
            except BrokenExecutor:
                restarts += 1
                if make is None or restarts > RESTARTS:
                    raise
                pool.shutdown(wait=False, cancel_futures=True)
                pool = make()
                following = pending[0][0] if pending else following
                pending.clear()
                continue
            pending.popleft()
            yield from zip(range(start, end), found, strict=True)
    finally:
        for _, _, future in pending:
            future.cancel()
        if make is not None:
            pool.shutdown(wait=False, cancel_futures=True)


# The test that belongs to an experiment


def test_for(experiment: Experiment, expected: Any, delta: float, alpha: float = ALPHA, beta: float = BETA) -> Test:
    if experiment.kind == "proportion":
        return LikelihoodRatio(float(expected), delta, alpha, beta)
    if experiment.kind == "mean":
        return EmpiricalBernstein(float(expected), delta, experiment.support, alpha, beta)
    return DirichletMultinomial(tuple(float(p) for p in expected), delta, alpha, beta)


def _update(test: Test, size: int, statistic: Any) -> str:
    return test.update(size, statistic) if isinstance(test, LikelihoodRatio) else test.update(statistic)


def _save_test(test: Test) -> dict[str, Any]:
    if isinstance(test, LikelihoodRatio):
        return {"n": test.n, "successes": test.successes, "largest": test.largest}
    if isinstance(test, EmpiricalBernstein):
        m = test.moments
        return {
            "moments": [m.n, m.mean, m.m2], "weight": test.weight, "weighted": test.weighted, "cost": test.cost,
            "lower": test.lower, "upper": test.upper,
        }  # fmt: skip
    return {
        "counts": test.counts.tolist(), "largest": test.largest, "classes": [t.largest for t in test.classes],
    }  # fmt: skip


def _restore_test(test: Test, saved: dict[str, Any]) -> None:
    if isinstance(test, LikelihoodRatio):
        test.n, test.successes, test.largest = saved["n"], saved["successes"], saved["largest"]
    elif isinstance(test, EmpiricalBernstein):
        test.moments = Moments(*saved["moments"])
        for name in ("weight", "weighted", "cost", "lower", "upper"):
            setattr(test, name, saved[name])
    else:
        test.counts += saved["counts"]
        test.largest = saved["largest"]
        for t, k, largest in zip(test.classes, saved["counts"], saved["classes"], strict=True):
            t.n, t.successes, t.largest = int(sum(saved["counts"])), k, largest


# State on disk


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time works on a state file."""
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"the state file {path} is in use by another process") from None
        yield


def _identity(
    experiment: Experiment, expected: Any, delta: float, seed: int, alpha: float, beta: float
) -> dict[str, Any]:
    return {
        "experiment": experiment.id, "kernel": experiment.fingerprint, "seed": seed, "expected": str(expected),
        "delta": repr(delta), "alpha": repr(alpha), "beta": repr(beta),
    }  # fmt: skip


def _load_state(path: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        found = saved["identity"]
        chunks, test = saved["chunks"], saved["test"]
        assert isinstance(chunks, int) and chunks >= 0 and isinstance(test, dict)
    except (ValueError, KeyError, TypeError, AssertionError, UnicodeDecodeError):
        raise StateError(f"the state file {path} is damaged: move it away to start afresh") from None
    for name, wanted in identity.items():
        if found.get(name) != wanted:
            raise StateError(f"the state file {path} is of another {name}: {found.get(name)!r}, expected {wanted!r}")
    return dict(saved)


def _save_state(path: Path, identity: dict[str, Any], chunks: int, test: Test) -> None:
    text = json.dumps({"identity": identity, "chunks": chunks, "test": _save_test(test)}, indent=1, sort_keys=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, path)


def run(
    experiment: Experiment,
    expected: Any,
    delta: float = 0.05,
    *,
    seed: int = 0,
    max_samples: int | None = None,
    alpha: float = ALPHA,
    beta: float = BETA,
    executor: Executor | Callable[[], Executor] | None = None,
    per_task: int = 1,
    ahead: int = 4,
    state: str | Path | None = None,
    on_progress: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Samples until the expected value is refuted, or all relative deviations ≥ delta are excluded.

    The verdict is looked at after each chunk, in the order of the chunks: it and n are the same for any executor.

    Args:
        expected: a probability, a mean, or the probabilities of all classes.
        delta: the relative deviation to exclude.
        max_samples: gives up (undecided) after so many samples; by default eight times what a fixed-size test needs.
        state: a JSON file from which an interrupted run goes on, and to which it is saved.

    Raises:
        StateError: the state file is damaged, in use, or belongs to another kernel, seed or claim.
        ValueError: an expected value or a delta that the test can't have.
    """
    test = test_for(experiment, expected, delta, alpha, beta)
    limit = max_samples if max_samples is not None else _limit(experiment, expected, delta, alpha, beta)
    if limit < 1:
        raise ValueError(f"max_samples must be ≥ 1, got {limit}")
    started = time.perf_counter()
    chunks, verdict = 0, UNDECIDED
    path = Path(state) if state is not None else None
    identity = _identity(experiment, expected, delta, seed, alpha, beta)

    def outcome() -> Outcome:
        interval = () if isinstance(test, DirichletMultinomial) else test.interval(1e-3)
        log_e = getattr(test, "largest", math.nan)
        return Outcome(experiment.id, verdict, expected, delta, test.estimate, interval, test.n, chunks, log_e,
                       time.perf_counter() - started)  # fmt: skip

    with _locked(path) if path is not None else contextlib.nullcontext():
        saved = _load_state(path, identity) if path is not None else None
        if saved:
            _restore_test(test, saved["test"])
            chunks, verdict = saved["chunks"], test.verdict
        written = time.monotonic()
        stream = map_chunks(experiment, seed=seed, first=chunks, executor=executor, per_task=per_task, ahead=ahead)
        try:
            while verdict == UNDECIDED and test.n < limit:
                _, statistic = next(stream)
                verdict = _update(test, experiment.chunk, statistic)
                chunks += 1
                if on_progress:
                    on_progress(outcome())
                if path is not None and time.monotonic() - written > SAVE_EVERY:
                    _save_state(path, identity, chunks, test)
                    written = time.monotonic()
        finally:
            stream.close()  # type: ignore[attr-defined]
            if path is not None:
                _save_state(path, identity, chunks, test)
    return outcome()


def _limit(experiment: Experiment, expected: Any, delta: float, alpha: float, beta: float) -> int:
    """Eight times what a fixed-size test needs, in the normal approximation."""
    if experiment.kind == "mean":
        low, high = experiment.support
        return int(64 * math.log(2 / alpha) * ((high - low) / (delta * abs(float(expected)))) ** 2)
    p = min(map(float, expected)) if experiment.kind == "law" else float(expected)
    classes = len(expected) if experiment.kind == "law" else 1
    quantiles = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(1 - beta / classes)
    return math.ceil(8 * quantiles**2 * (1 - p) / (p * delta**2))


__all__ = ["Outcome", "StateError", "evaluate_range", "map_chunks", "reference", "run"]
