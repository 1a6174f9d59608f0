"""Anytime-valid tests and intervals: likelihood ratios, empirical Bernstein, Dirichlet-multinomial, Clopper–Pearson.

All error probabilities hold at every stopping time (Ville's inequality): P(sup E ≥ 1/α) ≤ α for a non-negative
martingale E that starts at 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kexue.sampling.statistics import Moments

FAMILY_ALPHA = 1e-6  # the probability of any false refutation in the whole suite …
ESTIMATES = 1000  # … which may register up to this many estimates
ALPHA = FAMILY_ALPHA / ESTIMATES
BETA = 1e-3  # the probability that a value off by the excluded deviation is confirmed

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"


def _probability(name: str, value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{name} must be in (0, 1), got {value}")
    return float(value)


@dataclass
class LikelihoodRatio:
    """Wald's two likelihood ratios of p(1 ± δ) against p.

    Refuted when one of them reaches 2/α: under p this ever happens with probability ≤ α. Confirmed when both have
    fallen to β: under p(1 + δ) or p(1 − δ) this ever happens with probability ≤ β, and larger deviations drift faster.
    """

    p: float
    delta: float
    alpha: float = ALPHA
    beta: float = BETA
    n: int = 0
    successes: int = 0

    def __post_init__(self) -> None:
        _probability("p", self.p)
        _probability("alpha", self.alpha)
        _probability("beta", self.beta)
        if not 0 < self.delta < 1 or self.p * (1 + self.delta) >= 1:
            raise ValueError(f"delta must be in (0, 1) with p(1 + delta) < 1, got delta = {self.delta}, p = {self.p}")
        self.largest = 0.0

    def update(self, n: int, successes: int) -> str:
        """Adds a chunk and returns the verdict so far."""
        self.n += n
        self.successes += successes
        self.largest = max(self.largest, *self.log_e)
        return self.verdict

    @property
    def log_e(self) -> tuple[float, float]:
        """Logarithms of the two ratios, for p(1 + δ) and p(1 − δ)."""
        k, rest = self.successes, self.n - self.successes
        up, down = self.p * (1 + self.delta), self.p * (1 - self.delta)
        return (
            k * math.log1p(self.delta) + rest * (math.log1p(-up) - math.log1p(-self.p)),
            k * math.log1p(-self.delta) + rest * (math.log1p(-down) - math.log1p(-self.p)),
        )

    @property
    def verdict(self) -> str:
        if self.largest >= math.log(2 / self.alpha):
            return REFUTED
        return CONFIRMED if max(self.log_e) <= math.log(self.beta) else UNDECIDED

    @property
    def estimate(self) -> float:
        return self.successes / self.n if self.n else math.nan

    def interval(self, alpha: float) -> tuple[float, float]:
        """Confidence sequence: the p whose beta-binomial mixture e-process hasn't reached 1/α (prior sd 1 % of p)."""
        if not self.n:
            return 0.0, 1.0
        weight = max(2.0, (1 - self.p) / (self.p * 1e-4))
        a, b = weight * self.p, weight * (1 - self.p)
        k, rest = self.successes, self.n - self.successes
        mixture = _log_beta(a + k, b + rest) - _log_beta(a, b)
        bound = math.log(1 / alpha)

        def excess(q: float) -> float:
            return mixture - _x_log_y(k, q) - _x_log_y(rest, 1 - q) - bound

        centre = k / self.n
        return _crossing(excess, 0.0, centre), _crossing(excess, 1.0, centre)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _x_log_y(x: float, y: float) -> float:
    """x·ln y, with 0·ln 0 = 0."""
    return 0.0 if x == 0 else x * math.log(y) if y > 0 else -math.inf


def _crossing(excess: Any, outer: float, inner: float) -> float:
    """The point between a bound that is excluded and the estimate, which isn't, where `excess` changes its sign."""
    if excess(outer) < 0:
        return outer
    for _ in range(80):
        middle = (outer + inner) / 2
        if excess(middle) >= 0:
            outer = middle
        else:
            inner = middle
    return outer


@dataclass
class EmpiricalBernstein:
    """The predictable plug-in empirical Bernstein confidence sequence for the mean of values in [low, high].

    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), Theorem 2. The
    bet λ and the centre are fixed within a chunk from the chunks before it, so that a chunk's count, mean and sum of
    squared deviations suffice.
    """

    mean: float
    delta: float
    support: tuple[float, float] = (0.0, 1.0)
    alpha: float = ALPHA
    beta: float = BETA
    moments: Moments = field(default_factory=Moments)
    weight: float = 0.0  # Σ λ_i
    weighted: float = 0.0  # Σ λ_i X_i
    cost: float = 0.0  # Σ ψ(λ_i) (X_i − centre)²

    def __post_init__(self) -> None:
        low, high = self.support
        _probability("alpha", self.alpha)
        _probability("beta", self.beta)
        if not low <= self.mean <= high:
            raise ValueError(f"the expected mean must be in [{low}, {high}], got {self.mean}")
        if not self.delta > 0 or self.mean == 0:
            raise ValueError(f"delta must be positive and the mean not 0, got delta = {self.delta}, mean = {self.mean}")
        self.lower, self.upper = low, high

    def update(self, chunk: Moments) -> str:
        low, width = self.support[0], self.support[1] - self.support[0]
        if self.moments.n:
            centre = (self.moments.mean - low) / width
            variance = (self.moments.m2 / width**2 + 0.25) / (self.moments.n + 1)
        else:
            centre, variance = 0.5, 0.25
        total = self.moments.n + chunk.n
        bet = min(0.5, math.sqrt(2 * math.log(2 / self.alpha) / (variance * total * math.log1p(total))))
        mean, m2 = (chunk.mean - low) / width, chunk.m2 / width**2
        self.weight += bet * chunk.n
        self.weighted += bet * chunk.n * mean
        self.cost += (-math.log1p(-bet) - bet) * (m2 + chunk.n * (mean - centre) ** 2)
        self.moments = self.moments.merge(chunk)
        low_now, high_now = self.interval(self.alpha)
        self.lower, self.upper = max(self.lower, low_now), min(self.upper, high_now)
        return self.verdict

    def interval(self, alpha: float) -> tuple[float, float]:
        low, width = self.support[0], self.support[1] - self.support[0]
        if not self.weight:
            return self.support
        centre, radius = self.weighted / self.weight, (math.log(2 / alpha) + self.cost) / self.weight
        return low + width * max(0.0, centre - radius), low + width * min(1.0, centre + radius)

    @property
    def verdict(self) -> str:
        if not self.lower <= self.mean <= self.upper:
            return REFUTED
        low, high = self.interval(self.beta)
        inside = abs(low - self.mean) <= self.delta * abs(self.mean) >= abs(high - self.mean)
        return CONFIRMED if inside else UNDECIDED

    @property
    def n(self) -> int:
        return self.moments.n

    @property
    def estimate(self) -> float:
        return self.moments.mean if self.moments.n else math.nan


@dataclass
class DirichletMultinomial:
    """A discrete law: refuted by the Dirichlet-multinomial e-value, confirmed class by class.

    The e-value is the marginal likelihood under a Dirichlet prior centred at p over the likelihood under p: a
    martingale under p, without any approximation. Each class is confirmed by its two likelihood ratios at β / (number
    of classes). """

    p: tuple[float, ...]
    delta: float
    alpha: float = ALPHA
    beta: float = BETA
    strength: float = 1000.0  # the prior's total weight; deviations of order 1/√strength are found fastest

    def __post_init__(self) -> None:
        if len(self.p) < 2 or any(not 0 < q < 1 for q in self.p) or abs(math.fsum(self.p) - 1) > 1e-9:
            raise ValueError(f"p must be at least two probabilities in (0, 1) that sum to 1, got {self.p}")
        self.counts = np.zeros(len(self.p), dtype=np.int64)
        self.classes = [LikelihoodRatio(q, self.delta, self.alpha / 2, self.beta / len(self.p)) for q in self.p]
        self.largest = 0.0

    @cached_property
    def _prior(self) -> tuple[float, ...]:
        return tuple(self.strength * p for p in self.p)

    def update(self, counts: tuple[int, ...]) -> str:
        if len(counts) != len(self.p):
            raise ValueError(f"{len(self.p)} counts were expected, got {len(counts)}")
        self.counts += np.asarray(counts)
        n = int(sum(counts))
        for test, k in zip(self.classes, counts, strict=True):
            test.update(n, int(k))
        self.largest = max(self.largest, self.log_e)
        return self.verdict

    @property
    def log_e(self) -> float:
        n, total = int(self.counts.sum()), math.fsum(self._prior)
        terms = [math.lgamma(total) - math.lgamma(total + n)]
        for a, k, p in zip(self._prior, self.counts.tolist(), self.p, strict=True):
            terms.append(math.lgamma(a + k) - math.lgamma(a) - _x_log_y(k, p))
        return math.fsum(terms)

    @property
    def verdict(self) -> str:
        if self.largest >= math.log(1 / self.alpha):
            return REFUTED
        settled = all(max(t.log_e) <= math.log(t.beta) for t in self.classes)
        return CONFIRMED if settled else UNDECIDED

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    @property
    def estimate(self) -> tuple[float, ...]:
        return tuple(float(c) / self.n for c in self.counts) if self.n else ()


def clopper_pearson(successes: int, n: int, alpha: float) -> tuple[float, float]:
    """The exact interval for a proportion: coverage ≥ 1 − α for every p, at a sample size fixed beforehand.

    Raises:
        ValueError: n < 1, successes not in [0, n], or alpha not in (0, 1).
    """
    from scipy import special

    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes must be in [0, n] and n ≥ 1, got {successes} of {n}")
    _probability("alpha", alpha)
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, alpha / 2))
    high = 1.0 if successes == n else float(special.betaincinv(successes + 1, n - successes, 1 - alpha / 2))
    return low, high


def required_n(p: float, delta: float, alpha: float = ALPHA, beta: float = BETA) -> int:
    """The smallest sample size (to 0.1 %) at which the exact binomial test of p has size ≤ α and misses p(1 ± δ) with
    probability ≤ β each.

    Raises:
        ValueError: p, alpha or beta not in (0, 1), delta ≤ 0, or p(1 + delta) ≥ 1.
    """
    from scipy import special

    _probability("p", p)
    _probability("alpha", alpha)
    _probability("beta", beta)
    if delta <= 0 or p * (1 + delta) >= 1:
        raise ValueError(f"delta must be positive with p(1 + delta) < 1, got delta = {delta}, p = {p}")

    def powerful(n: int) -> bool:
        """The test rejects p below `low` and above `high` successes, the largest such sets of size ≤ α/2 each."""
        low = _least(lambda k: special.bdtr(k, n, p) > alpha / 2, n)
        high = _least(lambda k: special.bdtrc(k, n, p) <= alpha / 2, n)
        misses_up = special.bdtr(high, n, p * (1 + delta))
        misses_down = special.bdtrc(low - 1, n, p * (1 - delta)) if low else 1.0
        return bool(max(misses_up, misses_down) <= beta)

    low, high = 1, 2
    while not powerful(high):
        low, high = high, 2 * high
    while high - low > max(1, high // 1000):
        middle = (low + high) // 2
        low, high = (low, middle) if powerful(middle) else (middle, high)
    return high


def _least(holds: Callable[[int], bool], n: int) -> int:
    """The least k in [0, n] at which a monotone condition holds; n if it never does."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
