r"""All n random points of a disc in one sector: simulations of the exact results in `derivations/sector.py`.

Su Jianlin, 《圆内随机n点在同一个圆心角为θ的扇形的概率》, Scientific Spaces, 2022-10-25, archive 9324.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from numba import njit, uint64
from sympy import Rational

from kexue import Estimate, claim, experiment
from kexue.derivations.sector import harmonic, long_gap_pmf, sector_probability, wendel_probability
from kexue.sampling import Moments
from kexue.sampling.philox import draws

TWO_PERCENT = Rational(1, 50)


def exact(value: Fraction) -> sp.Rational:
    return Rational(value.numerator, value.denominator)


# Functions for everybody


class MaxSpacing:
    """The largest of the n gaps that n uniform points leave on a circle of length 1, with SciPy's verbs.

    The alternating sum of the exact law cancels badly in float64 where n·x is small; there it is summed in exact
    rationals, so that every value is right to rounding.

    Raises:
        ValueError: n is no integer ≥ 2.
    """

    def __init__(self, n: int) -> None:
        if not isinstance(n, int) or isinstance(n, bool) or n < 2:
            raise ValueError(f"n must be an integer ≥ 2, got {n!r}")
        self.n = n

    def sf(self, x: Any) -> np.ndarray:
        """P(M > x), float64 of x's shape; the probability of a sector of 1 − x turns."""
        x = np.asarray(x, dtype=np.float64)
        if np.isnan(x).any():
            raise ValueError("x must not be NaN")
        return np.vectorize(self._survival, otypes=[np.float64])(x)

    def cdf(self, x: Any) -> np.ndarray:
        """P(M ≤ x): 0 up to 1/n, 1 from 1 on."""
        return 1 - self.sf(x)

    def _survival(self, x: float) -> float:
        if x * self.n <= 1:
            return 1.0
        if x >= 1:
            return 0.0
        if 2 * x >= 1:
            return float(np.exp(np.log(self.n) + (self.n - 1) * np.log1p(-x)))
        return float(sector_probability(self.n, 1 - Fraction(x)))

    def ppf(self, q: Any) -> np.ndarray:
        """The quantile function, by bisection to float64's resolution.

        Raises:
            ValueError: q is outside [0, 1].
        """
        q = np.asarray(q, dtype=np.float64)
        if not ((q >= 0) & (q <= 1)).all():
            raise ValueError(f"q must be in [0, 1], got {q}")
        low, high = np.full(q.shape, 1 / self.n), np.ones(q.shape)
        for _ in range(60):
            middle = (low + high) / 2
            below = self.cdf(middle) < q
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def rvs(self, size: int, generator: np.random.Generator) -> np.ndarray:
        """Samples [size], as normalised exponentials: no sorting.

        Raises:
            ValueError: size < 1.
        """
        if size < 1:
            raise ValueError(f"size must be ≥ 1, got {size}")
        e = generator.standard_exponential((size, self.n))
        return e.max(axis=1) / e.sum(axis=1)

    def mean(self) -> float:
        """H_n/n."""
        return float(harmonic(self.n) / self.n)

    def var(self) -> float:
        """(H_n² + H_n^(2))/(n(n+1)) − H_n²/n²."""
        n, h = self.n, harmonic(self.n)
        return float((h**2 + harmonic(n, 2)) / (n * (n + 1)) - h**2 / n**2)


def smallest_sector(points: Any) -> tuple[np.ndarray, np.ndarray]:
    """The smallest sector with its apex at 0 that contains all points.

    Args:
        points: [..., n, 2], finite, none of them at 0 (which lies in every sector).

    Returns:
        angle [...] in radians, and start [...] in [0, 2π): the sector reaches from start counter-clockwise by angle.

    Raises:
        ValueError: a wrong shape, NaN or infinity, or a point at 0.
    """
    found = _checked_points(points)
    if found.shape[-1] != 2:
        raise ValueError(f"points must have the shape [..., n, 2], got {found.shape}")
    angles = np.sort(np.arctan2(found[..., 1], found[..., 0]) % (2 * np.pi), axis=-1)
    gaps = np.diff(angles, axis=-1, append=angles[..., :1] + 2 * np.pi)
    longest = gaps.argmax(axis=-1)
    after = np.take_along_axis(angles, ((longest + 1) % angles.shape[-1])[..., None], axis=-1)[..., 0]
    return 2 * np.pi - gaps.max(axis=-1), after


def in_common_halfspace(points: Any) -> np.ndarray:
    """Whether some open half-space through 0 contains all points [..., n, d]; Booleans [...].

    By Gordan's theorem it does iff no convex combination of the points is 0, which linear programming decides.

    Raises:
        ValueError: a wrong shape, NaN or infinity, or a point at 0.
    """
    from scipy.optimize import linprog

    found = _checked_points(points)
    n, d = found.shape[-2:]
    flat = found.reshape(-1, n, d)
    scaled = flat / np.linalg.norm(flat, axis=-1, keepdims=True)
    answers = []
    for block in scaled:
        equations = np.vstack([block.T, np.ones(n)])
        feasible = linprog(np.zeros(n), A_eq=equations, b_eq=np.r_[np.zeros(d), 1.0], bounds=(0, None)).status == 0
        answers.append(not feasible)
    return np.array(answers, dtype=bool).reshape(found.shape[:-2])


def _checked_points(points: Any) -> np.ndarray:
    found = np.asarray(points, dtype=np.float64)
    if found.ndim < 2 or 0 in found.shape[-2:]:
        raise ValueError(f"points must have the shape [..., n, d] with n, d ≥ 1, got {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError("points must be finite")
    if (found == 0).all(axis=-1).any():
        raise ValueError("a point at 0 has no direction: it lies in every sector and in no open half-space")
    return found


# Kernels


@njit(cache=True)
def _in_one_arc(key: Any, start: Any, count: Any, n: Any, reach: Any) -> Any:
    """Counts samples of n points on a circle of length 1 of which one is followed by all others within `reach`."""
    hits = 0
    points = np.empty(n)
    for i in range(count):
        for block in range((n + 3) // 4):
            values = draws(key, uint64(start + i), block)
            for j in range(min(4, n - 4 * block)):
                points[4 * block + j] = values[j]
        for first in range(n):
            inside = True
            for other in range(n):
                gap = points[other] - points[first]
                if gap < 0.0:
                    gap += 1.0
                if gap > reach:
                    inside = False
                    break
            if inside:
                hits += 1
                break
    return hits


@experiment(chunk=50_000)
def in_one_sector(chunk, count, n=5, turn=Fraction(1, 3)):
    """Successes: n uniform points on the circle lie in an arc of `turn` of it. Stops at the first point that leads."""
    return int(_in_one_arc(np.uint64(chunk.key), np.uint64(chunk.start), count, n, float(turn)))


def largest_gap(angles: np.ndarray) -> np.ndarray:
    """The largest gap between neighbours; angles [count, n] in turns, any real numbers."""
    places = np.sort(angles % 1.0, axis=1)
    return np.maximum(np.diff(places, axis=1).max(axis=1), 1 - places[:, -1] + places[:, 0])


@experiment(chunk=20_000)
def disc_points_in_half(chunk, count, n=4, radius_power=2.0):
    """Genuine points of the disc, x and y; the radius is U^(1/radius_power), uniform in area for 2."""
    g = chunk.generator()
    radius, angle = g.random((count, n)) ** (1 / radius_power), 2 * np.pi * g.random((count, n))
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    return int((largest_gap(np.arctan2(y, x) / (2 * np.pi)) >= 0.5).sum())


@experiment(chunk=20_000)
def segment_spacings(chunk, count, n=5, gap=Fraction(2, 3)):
    """Successes: the longest of the n spacings of n − 1 uniform points on a segment exceeds `gap`."""
    cuts = np.sort(chunk.generator().random((count, n - 1)), axis=1)
    edges = np.hstack([np.zeros((count, 1)), cuts, np.ones((count, 1))])
    return int((np.diff(edges, axis=1).max(axis=1) > float(gap)).sum())


@experiment(chunk=20_000)
def first_two_gaps(chunk, count, n=5):
    """Successes: X_1 > 0.1 and X_2 > 0.2 for the gaps X, made as normalised exponentials."""
    e = chunk.generator().standard_exponential((count, n))
    gaps = e / e.sum(axis=1, keepdims=True)
    return int(((gaps[:, 0] > 0.1) & (gaps[:, 1] > 0.2)).sum())


@experiment("mean", chunk=20_000)
def longest_gap(chunk, count, n=5):
    e = chunk.generator().standard_exponential((count, n))
    return Moments.of(e.max(axis=1) / e.sum(axis=1))


@experiment("law", chunk=20_000)
def long_gaps(chunk, count, n=5, gap=Fraction(1, 4)):
    """Classes 0, …, ⌈1/gap⌉ − 1: how many of the n gaps exceed `gap`."""
    e = chunk.generator().standard_exponential((count, n))
    number = (e > float(gap) * e.sum(axis=1, keepdims=True)).sum(axis=1)
    return np.bincount(number, minlength=-(-gap.denominator // gap.numerator))


@experiment(chunk=5_000)
def in_half_space(chunk, count, n=6):
    """Successes: n normal vectors of R³ lie in a half-space through 0, bounded by a plane through two of them."""
    v = chunk.generator().standard_normal((count, n, 3))
    found = np.zeros(count, dtype=bool)
    for i in range(n):
        for j in range(i + 1, n):
            side = np.einsum("bkc,bc->bk", v, np.cross(v[:, i], v[:, j]))
            others = np.delete(side, [i, j], axis=1)
            found |= (others > 0).all(axis=1) | (others < 0).all(axis=1)
    return int(found.sum())


@experiment(chunk=20_000)
def cardioid_in_half(chunk, count, n=3, bias=1.0):
    """Successes: n points with the angular density (1 + bias·cos α)/2π lie in a half-disc."""
    g = chunk.generator()
    angle = g.random((count, n))
    flipped = g.random((count, n)) >= (1 + bias * np.cos(2 * np.pi * angle)) / 2
    return int((largest_gap(angle + 0.5 * flipped) >= 0.5).sum())


@experiment(chunk=20_000)
def few_on_one_side(chunk, count, n=9, most=2):
    """Successes: some diameter has at most `most` of n uniform points on one side."""
    angle = np.sort(chunk.generator().random((count, n)), axis=1)
    ahead = (
        angle[:, None, :] - angle[:, :, None]
    ) % 1.0 < 0.5  # the half circle that begins at each point, itself included
    inside = ahead.sum(axis=2)
    fewest = np.minimum(inside - 1, n - inside).min(axis=1)
    return int((fewest <= most).sum())


# Claims


@claim(mutants=[dict(off=Rational(53, 50)), dict(simulated=4), dict(formula=6)])
def general_formula(simulated=5, formula=5, off=1):
    r"""$P_n(\theta) = \sum_{k \ge 1,\, kx < 1} (-1)^{k-1} \binom nk (1-kx)^{n-1}$: simulated at n = 5, θ = 2π/3 and
    7π/5.

    At 2π/3 one term is left, 5/81; at 7π/5 three of them.
    """
    return tuple(
        Estimate(in_one_sector(n=simulated, turn=turn), off * exact(sector_probability(formula, turn)), TWO_PERCENT)
        for turn in (Fraction(1, 3), Fraction(7, 10))
    )


@claim(mutants=[dict(off=Rational(51, 50)), dict(n=3)])
def radius_irrelevance(n=4, off=1):
    r"""Genuine points of the disc, uniform in area or not: four of them share a half-disc with probability 1/2."""
    half = off * Rational(1, 2)
    return tuple(Estimate(disc_points_in_half(n=n, radius_power=power), half, Rational(1, 100)) for power in (2.0, 5.0))


@claim(mutants=[dict(n=6), dict(off=Rational(24, 25))])
def circle_to_segment(n=5, off=1):
    r"""The spacings of n − 1 points on a segment have the law of the n gaps on the circle: P(longest > 2/3) = 5/81 at
    n = 5.
    """
    return Estimate(segment_spacings(n=n), off * exact(sector_probability(5, Fraction(1, 3))), TWO_PERCENT)


@claim(mutants=[dict(exponent=5)])
def joint_survival(exponent=4):
    r"""$P(X_1 > c_1, X_2 > c_2) = (1 - c_1 - c_2)^{n-1}$: simulated at n = 5, c = (0.1, 0.2)."""
    return Estimate(first_two_gaps(n=5), Rational(7, 10) ** exponent, TWO_PERCENT)


@claim(mutants=[dict(index=4)])
def mean_max(index=5):
    r"""$E M = H_n/n$: the mean longest of n = 5 gaps is 137/300."""
    return Estimate(longest_gap(n=5), exact(harmonic(index) / 5), Rational(1, 100))


@claim(mutants=[dict(gap=Fraction(13, 50))])
def exactly_m_long_gaps(gap=Fraction(1, 4)):
    r"""Stevens' law of the number of gaps that exceed x: simulated for n = 5, x = 1/4, where 0, 1, 2 or 3 are
    possible.
    """
    law = [exact(long_gap_pmf(5, m, Fraction(1, 4))) for m in range(4)]
    return Estimate(long_gaps(n=5, gap=gap), law, Rational(1, 20))


@claim(mutants=[dict(dimension=2), dict(n=7)])
def wendel(n=6, dimension=3):
    r"""Wendel: 6 random vectors of $\mathbb{R}^3$ lie in a half-space with probability 1/2."""
    return Estimate(in_half_space(n=n), exact(wendel_probability(6, dimension)), TWO_PERCENT)


@claim(mutants=[dict(bias=0.5)])
def nonuniform_leader(bias=1.0):
    r"""Three points with the cardioid density share a half-disc with $3\int f (F(\alpha+\pi) - F(\alpha))^2 = \frac34
    + \frac3{2\pi^2}$.
    """
    return Estimate(cardioid_in_half(n=3, bias=bias), Rational(3, 4) + 3 / (2 * sp.pi**2), Rational(1, 100))


@claim(mutants=[dict(most=3), dict(n=10)])
def hodges_ajne(n=9, most=2):
    r"""$P(m \le j) = (n-2j)\binom nj/2^{n-1}$ for the fewest points on one side of a diameter: simulated at n = 9, j
    = 2.
    """
    return Estimate(few_on_one_side(n=n, most=most), Rational(5 * 36, 256), Rational(1, 100))


def figures() -> dict[str, Any]:
    """The curves P_n(θ) with the knots of their pieces, and where a float64 sum goes wrong."""
    from matplotlib.figure import Figure

    curves = Figure(figsize=(7, 4.5), layout="constrained")
    axes = curves.subplots()
    turns = [Fraction(i, 240) for i in range(1, 241)]
    for n in (2, 3, 4, 6, 10):
        axes.plot([360 * float(t) for t in turns], [float(sector_probability(n, t)) for t in turns], label=f"n = {n}")
    for k in range(2, 6):
        axes.axvline(360 * (1 - 1 / k), color="0.85", linewidth=0.8, zorder=0)
    axes.set(xlabel="angle θ (degrees)", ylabel="P(all n points in one sector)", xticks=range(0, 361, 60))
    axes.legend(frameon=False)

    errors = Figure(figsize=(7, 4.5), layout="constrained")
    axes = errors.subplots()
    sizes, terms = np.arange(10, 201, 10), np.arange(10, 201, 10)
    wrong = np.array([[_float_error(int(n), int(q)) for n in sizes] for q in terms])
    mesh = axes.pcolormesh(sizes, terms, np.log10(np.maximum(wrong, 1e-17)), cmap="viridis", vmin=-16, vmax=2)
    errors.colorbar(mesh, label="log₁₀ |float64 sum − exact|")
    axes.plot(sizes, sizes, color="white", linewidth=1)
    axes.set(xlabel="number of points n", ylabel="1/x (P = 1 above the line)")
    return {"probability": curves, "float64-error": errors}


def _float_error(n: int, q: int) -> float:
    """|float64 sum − exact| of the formula at x = 1/q."""
    from math import comb

    total = sum((-1) ** (k - 1) * float(comb(n, k)) * (1 - k / q) ** (n - 1) for k in range(1, min(n, q - 1) + 1))
    return abs(total - float(sector_probability(n, 1 - Fraction(1, q))))
