r"""Fourier densities by simulation: inversion and rejection, kernel estimates, modes on the line, Fejér means.

Su Jianlin, 《用傅里叶级数拟合一维概率密度函数》, archive 10007; Fourier Basis Density Model, 2024, arXiv 2402.15345.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import I, Rational, erfc, exp, pi, sqrt

from kexue import Estimate, ForEach, claim, experiment
from kexue.derivations.fourier_density import cdf as exact_cdf
from kexue.sampling import Moments

COEFFICIENTS = (3 + 1j, 2 - 1j, 0.5, 1 + 2j)
EXACT = (3 + I, 2 - I, Rational(1, 2), 1 + 2 * I)


def amplitude(a: Any, x: np.ndarray) -> np.ndarray:
    """A(x) by Horner's rule."""
    return np.polynomial.polynomial.polyval(np.exp(-1j * np.pi * x), np.asarray(a))


def density(a: Any, x: np.ndarray) -> np.ndarray:
    return np.abs(amplitude(a, x)) ** 2 / (2 * np.sum(np.abs(a) ** 2))


def cdf(a: Any, x: np.ndarray, power: int = 2, nodes: int = 4096) -> np.ndarray:
    """∫ of |A|^power from −1, normalised, interpolated from the midpoint rule."""
    grid = np.linspace(-1, 1, nodes + 1)
    mass = np.abs(amplitude(a, (grid[1:] + grid[:-1]) / 2)) ** power
    return np.interp(x, grid, np.concatenate([[0], np.cumsum(mass)]) / mass.sum())


def series_cdf(a: Any, x: np.ndarray) -> np.ndarray:
    """Φ by its series."""
    a = np.asarray(a)
    found = (x + 1) / 2
    for n in range(1, len(a)):
        rho = np.sum(a[:-n] * np.conj(a[n:])) / np.sum(np.abs(a) ** 2)
        found = found + (rho * (np.exp(1j * np.pi * n * x) - (-1) ** n) / (1j * np.pi * n)).real
    return found


@experiment("proportion", chunk=20_000)
def inverted_below(chunk, count, edge=0.25, power=2):
    """How many Φ⁻¹(U) lie at or below the edge; 40 bisection steps on the series, or on ∫|A| for power = 1."""
    u = chunk.generator().random(count)
    low, high = np.full(count, -1.0), np.ones(count)
    for _ in range(40):
        middle = (low + high) / 2
        below = (series_cdf(COEFFICIENTS, middle) if power == 2 else cdf(COEFFICIENTS, middle, power)) < u
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return int((low <= edge).sum())


@claim(mutants=[dict(edge=0.5), dict(power=1)])
def inverse_cdf_sampling(edge=0.25, power=2):
    r"""$\Phi^{-1}(U)$ has the distribution function Φ: simulated at x = ¼ for N = 3; inverting $\int|A|$ doesn't."""
    return Estimate(inverted_below(edge=edge, power=power), exact_cdf(EXACT, Rational(1, 4)), Rational(1, 50))


@experiment("proportion", chunk=100_000)
def accepted(chunk, count, slack=1.0):
    """How many uniform points of [−1, 1] are kept with probability 2p(x)/(N + 1)."""
    g = chunk.generator()
    x, u = 2 * g.random(count) - 1, g.random(count)
    return int((u * len(COEFFICIENTS) * slack <= 2 * density(COEFFICIENTS, x)).sum())


@claim(mutants=[dict(value=Rational(1, 3)), dict(slack=1.1)])
def peak_bound(value=Rational(1, 4), slack=1.0):
    r"""Rejection from the uniform law with the bound $p \le (N+1)/2$ accepts exactly 1/(N + 1): simulated, N = 3."""
    return Estimate(accepted(slack=slack), value, Rational(1, 50))


@experiment("proportion", chunk=100_000)
def accepted_below(chunk, count, edge=0.25, power=2):
    """Among `count` pairs, how many are accepted with x at or below the edge."""
    g = chunk.generator()
    x, u = 2 * g.random(count) - 1, g.random(count)
    p = 2 * density(COEFFICIENTS, x) / len(COEFFICIENTS)
    return int(((u <= p ** (power / 2)) & (x <= edge)).sum())


@claim(mutants=[dict(edge=0.5), dict(power=1)])
def rejection_sampling(edge=0.25, power=2):
    r"""The accepted points have the density p: P(accepted, X ≤ x) = Φ(x)/(N+1), simulated at x = ¼, N = 3."""
    return Estimate(accepted_below(edge=edge, power=power), exact_cdf(EXACT, Rational(1, 4)) / 4, Rational(1, 50))


@experiment("mean", chunk=50_000)
def kernel_at(chunk, count, sigma=1.0, at=1.0):
    """exp(−(x − X)²/(2σ²)) of X ~ N(0, 1): the kernel estimate at x, times σ√(2π)."""
    x = chunk.generator().standard_normal(count)
    return Moments.of(np.exp(-((at - x) ** 2) / (2 * sigma**2)))


@claim(mutants=[dict(variance=1), dict(sigma=0.9)])
def kde_smoothing(variance=2, sigma=1.0):
    r"""$E\hat p = p * N(0, \sigma^2)$: for p = N(0, 1), σ = 1, at x = 1 the kernel has the mean
    $\tfrac1{\sqrt2}e^{-1/4}$ (times $\sqrt{2\pi}$); simulated.
    """
    return Estimate(kernel_at(sigma=sigma), exp(-Rational(1, 2) / variance) / sqrt(variance), Rational(1, 50))


@experiment("mean", chunk=50_000)
def moved(chunk, count, spread=1.0):
    """min(|σε|, 3)/3: the cost of the coupling (x, x + σε), cut at 3."""
    return Moments.of(np.minimum(np.abs(spread * chunk.generator().standard_normal(count)), 3) / 3)


@claim(mutants=[dict(value=Rational(1, 3)), dict(spread=1.1)])
def gmm_approximates(value=(sqrt(2 / pi) * (1 - exp(-Rational(9, 2))) + 3 * erfc(3 / sqrt(2))) / 3, spread=1.0):
    r"""The coupling of a law with its smoothed version costs $\sigma E|\varepsilon| = \sigma\sqrt{2/\pi}$: simulated,
    cut at 3σ.
    """
    return Estimate(moved(spread=spread), value, Rational(1, 50))


def wasserstein(points: np.ndarray, sigma: float) -> float:
    """W₁ between N(0, 1) and the mixture of N(x_k, σ²), or the empirical law for σ = 0, by the integral of |F − G|."""
    from scipy.special import ndtr

    grid = np.linspace(-9, 9, 18_001)
    z = grid[:, None] - points
    mixture = (ndtr(z / sigma) if sigma else (z >= 0).astype(float)).mean(1)
    return float(np.trapezoid(np.abs(mixture - ndtr(grid)), grid))


@claim(mutants=[dict(term=0.0)])
def gmm_distance(term=1.0):
    r"""Observed in float64: $W_1(\mathrm{GMM}, p) \le W_1(\mathrm{empirical}, p) + \sigma\sqrt{2/\pi}$ for p = N(0, 1),
    K = 20 samples and σ = ½, 2, where without the σ term it fails.
    """

    def routes(sigma: float) -> Any:
        points = np.random.default_rng(0).standard_normal(20)
        bound = wasserstein(points, 0.0) + term * sigma * np.sqrt(2 / np.pi) + 1e-3
        return bool(wasserstein(points, sigma) <= bound), True

    return ForEach((0.5, 2.0), routes, over="σ = ½, 2", observed=True)


def line_maxima(a: np.ndarray) -> int:
    """Local maxima of p(x)(1 − x²) inside (−1, 1), the density on the line as a function of x, on a grid."""
    x = np.tanh(np.linspace(-6, 6, 4001))
    g = density(a, x) * (1 - x**2)
    return int(((g[1:-1] > g[:-2]) & (g[1:-1] > g[2:])).sum())


@claim(mutants=[dict(more=0)])
def mode_count(more=1):
    r"""Observed: after the map to ℝ random densities have at most N + 1 local maxima, and N + 1 occur (N = 1, 2, 3,
    1000 each, on a grid).
    """

    def routes(degree: int) -> Any:
        g = np.random.default_rng(degree)
        draws = g.standard_normal((1000, 2, degree + 1))
        return max(line_maxima(re + 1j * im) for re, im in draws), degree + more

    return ForEach((1, 2, 3), routes, over="N = 1, 2, 3", observed=True)


def fejer_mean(degree: int, x: np.ndarray, smooth: bool = True) -> np.ndarray:
    """The Fejér mean (or the plain partial sum) of p = (1 + x)/2, c_n = i(−1)ⁿ/(2πn)."""
    n = np.arange(1, degree + 1)
    weight = 1 - n / (degree + 1) if smooth else np.ones(degree)
    terms = weight * 1j * (-1.0) ** n / (2 * np.pi * n)
    return 0.5 + 2 * (np.exp(1j * np.pi * x[:, None] * n) @ terms).real


@claim(mutants=[dict(smooth=False), dict(errors=(101, 354, 113))])
def universality(smooth=True, errors=(101, 354, 112)):
    r"""Observed in float64: the Fejér means of p = (1+x)/2 of degree 8, 32, 128 are non-negative and off by 0.101,
    0.0354, 0.0112 in L¹ (20 001 points).
    """

    def routes(case: Any) -> Any:
        degree, scale, expected = case
        x = np.linspace(-1, 1, 20_001)
        values = fejer_mean(degree, x, smooth)
        error = np.trapezoid(np.abs(values - (1 + x) / 2), x)
        return (round(float(error) * scale), bool(values.min() >= 0)), (expected, True)

    return ForEach(list(zip((8, 32, 128), (1000, 10_000, 10_000), errors)), routes, over="N = 8, 32, 128",
    observed=True)


