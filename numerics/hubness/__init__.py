r"""Hubness: simulations of `derivations/hubness.py`; the counts and laws in NumPy are in `functions`.

Su Jianlin, 《“维度灾难”之Hubness现象浅析》 ("A brief look at hubness, a curse of dimensionality"), Scientific Spaces,
2022-06-28, archive 9147; Y. Liang, J. Wu, Y.-K. Lai, Y. Qin, "Exploring and Exploiting Hubness Priors for High-Quality
GAN Latent Sampling", 2022, arXiv 2206.06014.

Statements with an exact expected value are simulated until they are confirmed. Others are only *observed* on fixed
samples, as comparisons of integer counts: they say so."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from scipy import special
from sympy import Rational

from kexue import Estimate, ForEach, claim, experiment
from kexue.derivations.hubness import angle_variance, ball_cube_share, k_occurrence_exact, orthogonality_tail
from kexue.numerics.hubness import functions
from kexue.numerics.hubness.functions import (
    angle_pdf,
    angle_var,
    csls,
    dis_sim_local,
    distances,
    hubness_scores,
    k_occurrence,
    local_scaling,
    mutual_proximity,
    nicdm,
    torus_occurrence,
)
from kexue.sampling import Moments

# Kernels


def _cosines(g: np.random.Generator, count: int, n: int) -> np.ndarray:
    a, b = g.standard_normal((2, count, n))
    return np.einsum("cn,cn->c", a, b) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))


@experiment(chunk=20_000)
def proposals_in_ball(chunk, count, n=4):
    """Successes: a uniform point of the cube [−1, 1]^n lies in the unit ball."""
    points = chunk.generator().random((count, n)) * 2 - 1
    return int(((points**2).sum(axis=1) <= 1).sum())


@experiment(chunk=20_000)
def ball_points_inside(chunk, count, n=10, radius=Fraction(9, 10), power=1):
    """Successes: the point g/‖g‖·U^(1/(n·power)) lies within `radius`, by its coordinates."""
    g = chunk.generator()
    z = g.standard_normal((count, n))
    z *= (g.random(count) ** (1 / (n * power)) / np.linalg.norm(z, axis=1))[:, None]
    return int((np.linalg.norm(z, axis=1) <= float(radius)).sum())


@experiment(chunk=20_000)
def nearly_orthogonal(chunk, count, n=11, eps=Fraction(1, 2)):
    """Successes: |cos| ≥ eps for two normal vectors of R^n."""
    return int((np.abs(_cosines(chunk.generator(), count, n)) >= float(eps)).sum())


@experiment(chunk=20_000)
def angle_within(chunk, count, n=4, below=Fraction(1, 3)):
    """Successes: the angle of two normal vectors of R^n is below `below` half-turns."""
    return int((np.arccos(np.clip(_cosines(chunk.generator(), count, n), -1, 1)) < math.pi * float(below)).sum())


@experiment("mean", chunk=20_000)
def squared_cosine(chunk, count, n=8, power=1):
    return Moments.of(_cosines(chunk.generator(), count, n) ** (2 * power))


@experiment("mean", chunk=20_000, support=(0.0, 1.0))
def squared_angle(chunk, count, n=5):
    """(θ − π/2)²/(π/2)², which is in [0, 1]."""
    angle = np.arccos(np.clip(_cosines(chunk.generator(), count, n), -1, 1))
    return Moments.of((angle / (math.pi / 2) - 1) ** 2)


def _batched_counts(z: np.ndarray, k: int) -> np.ndarray:
    """N_k of each point of each batch: z [B, N, d] -> [B, N]."""
    squares = np.einsum("bnd,bnd->bn", z, z)
    rows = squares[:, :, None] + squares[:, None, :] - 2 * z @ z.transpose(0, 2, 1)
    own = np.arange(z.shape[1])
    rows[:, own, own] = np.inf
    return functions.choose(rows, k).sum(axis=1)


@experiment("law", chunk=2_000)
def line_neighbours(chunk, count, gaps=4):
    """N_1 of the middle point of a piece of a Poisson process on the line, with that many gaps: classes 0, 1, 2."""
    steps = chunk.generator().standard_exponential((count, gaps))
    places = np.concatenate([np.zeros((count, 1)), np.cumsum(steps, axis=1)], axis=1)
    return np.bincount(_batched_counts(places[:, :, None], 1)[:, gaps // 2], minlength=3)


@experiment("law", chunk=2_000)
def neighbours_of_three(chunk, count, dim=2, wrap=1):
    """N_1 of one of three uniform points of the flat torus of dimension `dim`: classes 0, 1, 2."""
    z = chunk.generator().random((count, 3, dim))
    gap = np.abs(z[:, :, None] - z[:, None])
    gap = np.minimum(gap, 1 - gap) if wrap else gap
    rows = (gap**2).sum(axis=3)
    own = np.arange(3)
    rows[:, own, own] = np.inf
    return np.bincount(functions.choose(rows, 1).sum(axis=1)[:, 0], minlength=3)


@experiment("mean", chunk=20_000, support=(0.0, 1.0))
def sign_distance_cv(chunk, count, d=10):
    """(‖x − y‖²/(2d) − 1)² for sign vectors, in [0, 1]."""
    apart = 4 * (chunk.generator().integers(0, 2, (count, 2, d)).sum(axis=1) == 1).sum(axis=1)
    return Moments.of((apart / (2 * d) - 1) ** 2)


@experiment("mean", chunk=20_000, support=(0.0, 25.0))
def cube_distance_cv(chunk, count, d=10):
    """(‖x − y‖²/(2d/3) − 1)² for uniform points of [−1, 1]^d; at most 25."""
    x, y = chunk.generator().random((2, count, d)) * 2 - 1
    return Moments.of((((x - y) ** 2).sum(axis=1) / (2 * d / 3) - 1) ** 2)


@experiment(chunk=20_000)
def factor_below(chunk, count, rho=Fraction(1, 3), quantile=-1.0, both=1):
    """Successes: `both` normal distances to one point, of correlation rho through a common s, are below the
    quantile.
    """
    g = chunk.generator()
    s = g.standard_normal(count)
    inside = np.ones(count, dtype=bool)
    for _ in range(both):
        inside &= math.sqrt(rho) * s + math.sqrt(1 - rho) * g.standard_normal(count) <= quantile
    return int(inside.sum())


@experiment("law", chunk=200)
def kept_point(chunk, count, feature="direction", N=30, k=3, t=6, offset=0.0):
    """One point of those kept (N_k ≥ t) in a batch of N normal points of R³, or of all if none is: four classes by its
    height on the unit sphere ("direction") or by its norm ("norm"), equally likely for a point that isn't filtered.
    """
    g = chunk.generator()
    z = g.standard_normal((count, N, 3))
    z[:, :, 2] += offset
    good = _batched_counts(z, k) >= t
    good[~good.any(axis=1)] = True
    pick = np.argmax(np.where(good, g.random((count, N)), -1.0), axis=1)
    chosen = z[np.arange(count), pick]
    square = (chosen**2).sum(axis=1)
    share = special.gammainc(1.5, square / 2) if feature == "norm" else (chosen[:, 2] / np.sqrt(square) + 1) / 2
    return np.bincount(np.clip(np.floor(4 * share).astype(int), 0, 3), minlength=4)


# Samples on which one-sided statements are observed


@cache
def sample(law: str, N: int, d: int, seed: int = 0) -> np.ndarray:
    """A fixed sample [N, d]: "normal", "cube", "sphere" or "torus" (the last two without a centre).

    Raises:
        ValueError: an unknown law.
    """
    g = np.random.Generator(np.random.Philox(key=[seed, 9147]))
    if law == "normal":
        return g.standard_normal((N, d))
    if law in ("cube", "torus"):
        return g.random((N, d))
    if law == "sphere":
        return functions.unit_rows(g.standard_normal((N, d)))
    raise ValueError(f"law must be normal, cube, sphere or torus, got {law!r}")


@cache
def observed_counts(law: str, N: int, d: int, k: int, seed: int = 0) -> tuple[int, ...]:
    """N_k on a fixed sample, as exact integers."""
    X = sample(law, N, d, seed)
    found = torus_occurrence(X, k) if law == "torus" else k_occurrence(X, k)
    return tuple(int(v) for v in found)


def exact_variance(counts: tuple[int, ...]) -> Fraction:
    """(1/N)Σ(N_k − k)², where k is the mean."""
    mean = Fraction(sum(counts), len(counts))
    return sum(((v - mean) ** 2 for v in counts), Fraction(0)) / len(counts)


def exact_skewness_squared(counts: tuple[int, ...]) -> Fraction:
    """The skewness with its sign, squared: s·|s|."""
    mean = Fraction(sum(counts), len(counts))
    third = sum(((v - mean) ** 3 for v in counts), Fraction(0)) / len(counts)
    return third * abs(third) / exact_variance(counts) ** 3


def rank_correlation(a: Any, b: Any) -> Fraction:
    """Σ of products of centred ranks over Σ of squares, with mean ranks for ties: Spearman's ρ squared with its
    sign.
    """
    ranks = [_doubled_ranks(np.asarray(v)) for v in (a, b)]
    size = len(ranks[0])
    x, y = ([2 * r.item() - 2 * (size + 1) for r in v] for v in ranks)
    dot = sum(u * v for u, v in zip(x, y, strict=True))
    return Fraction(dot * abs(dot), sum(u * u for u in x) * sum(v * v for v in y))


def _doubled_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the mean rank: number below + number not above + 1."""
    ordered = np.sort(values)
    return np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right") + 1


# Claims: exact expected values


def exact(value: Fraction) -> sp.Rational:
    return Rational(value.numerator, value.denominator)


@claim(mutants=[dict(off=Rational(51, 50)), dict(n=5)])
def rejection_cost(off=1, n=4):
    r"""A uniform point of the cube lies in the unit ball with probability $r_n$: $\pi^2/32$ at n = 4, so that a point
    costs 3.24 proposals.
    """
    return Estimate(proposals_in_ball(n=n), off * ball_cube_share(4), Rational(1, 100))


@claim(mutants=[dict(exponent=9), dict(power=2)])
def shell_mass(exponent=10, power=1):
    r"""$P(\Vert x\Vert \le 0.9) = 0.9^n$ for $x = \frac g{\Vert g\Vert}U^{1/n}$, uniform in the unit ball; n = 10."""
    return Estimate(ball_points_inside(n=10, power=power), Rational(9, 10) ** exponent, Rational(1, 50))


@claim(mutants=[dict(n=3), dict(off=Rational(52, 50))])
def angle_density(n=4, off=1):
    r"""Two normal vectors of $\mathbb{R}^4$ form an angle below 60° with probability $\frac13 -
    \frac{\sqrt3}{4\pi}$.
    """
    law = Rational(1, 3) - sp.sqrt(3) / (4 * sp.pi)
    return Estimate(angle_within(n=n), off * law, Rational(1, 50))


@claim(mutants=[dict(first=7), dict(second=9)])
def cosine_moments(first=8, second=10):
    r"""$E\eta^2 = \frac18$ and $E\eta^4 = \frac3{8\cdot10}$ in $\mathbb{R}^8$."""
    return (
        Estimate(squared_cosine(n=8), Rational(1, first), Rational(1, 25)),
        Estimate(squared_cosine(n=8, power=2), Rational(3, first * second), Rational(1, 20)),
    )


@claim(mutants=[dict(n=6), dict(variance=Rational(1, 4))])
def angle_variance_closed_form(n=5, variance=angle_variance(5)):
    r"""$\mathrm{Var}\,\theta = \frac{\pi^2}4 - 2 - \frac29$ in $\mathbb{R}^5$, where $\frac1{n-1}$ would be ¼."""
    return Estimate(squared_angle(n=n), variance * 4 / sp.pi**2, Rational(1, 50))


@claim(mutants=[dict(n=10), dict(eps=Fraction(51, 100))])
def near_orthogonality(n=11, eps=Fraction(1, 2)):
    r"""$P(|\eta| \ge \frac12) = I_{3/4}(5, \frac12)$ in $\mathbb{R}^{11}$, which is a rational number."""
    return Estimate(nearly_orthogonal(n=n, eps=eps), exact(orthogonality_tail(11, Fraction(1, 2))), Rational(1, 50))


@claim(mutants=[dict(gaps=2), dict(law=(Rational(37, 100), Rational(37, 100), Rational(26, 100)))])
def one_dim_law(gaps=4, law=(Rational(1, 4), Rational(1, 2), Rational(1, 4))):
    r"""On the line (a Poisson process), k = 1: $P(N_1 = 0, 1, 2) = (\frac14, \frac12, \frac14)$."""
    return Estimate(line_neighbours(gaps=gaps), law, Rational(1, 20))


@claim(mutants=[dict(correlation=Fraction(1, 2)), dict(below=Rational(21, 100))])
def limit_law(correlation=Fraction(1, 3), below=Rational(1, 5)):
    r"""In the one-factor law $Ep(s) = k/(N-1)$, simulated at 1/5, and $Ep(s)^2 = \frac14 + \frac{\arcsin\rho}{2\pi}$
    at q = 0, ρ = ⅓.

    The quantile $\Phi^{-1}(1/5)$ is rounded to float64.
    """
    quantile = float(special.ndtri(0.2))
    pair = Rational(1, 4) + sp.asin(Rational(1, 3)) / (2 * sp.pi)
    return (
        Estimate(factor_below(rho=correlation, quantile=quantile), below, Rational(1, 50)),
        Estimate(factor_below(rho=correlation, quantile=0.0, both=2), pair, Rational(1, 100)),
    )


@claim(mutants=[dict(sign=Rational(2, 10)), dict(cube=Rational(1, 10)), dict(d=11)])
def distance_concentration(sign=Rational(1, 10), cube=Rational(7, 50), d=10):
    r"""The squared coefficient of variation of $\Vert x-y\Vert^2$ in $\mathbb{R}^{10}$: 1/10 for signs, 7/50 for the
    cube.
    """
    return (
        Estimate(sign_distance_cv(d=d), sign, Rational(1, 25)),
        Estimate(cube_distance_cv(d=d), cube, Rational(1, 25)),
    )


QUARTERS = (Rational(1, 4),) * 4


@claim(mutants=[dict(offset=0.5)])
def selected_law_is_isotropic(offset=0.0):
    r"""The points kept of a normal batch have uniform directions: heights on the sphere of $\mathbb{R}^3$ are uniform.

    N = 30, k = 3, t = 6.
    """
    return Estimate(kept_point(offset=offset), QUARTERS, Rational(1, 10))


@claim(mutants=[dict(feature="norm"), dict(largest=5)])
def normalised_generator_null(feature="direction", largest=20):
    r"""A generator that sees $z/\Vert z\Vert$ only gets the unfiltered law from the points kept; one that sees the norm
    doesn't.

    N = 30, k = 3, t = 6 in $\mathbb{R}^3$, by the height of the output. Observed on one sample besides: after
    normalisation no hub is left, all $N_5 \le 20$ for N = 2000 points of dimension 512.
    """
    return (
        Estimate(kept_point(feature=feature, N=30), QUARTERS, Rational(1, 10)),
        ForEach(
            [512],
            lambda d: (max(observed_counts("sphere", 2000, d, 5)) <= largest, True),
            over="d = 512",
            observed=True,
        ),
    )


# Claims: counts compared exactly, and one-sided statements observed on fixed samples


def _argsort_with_itself(X: np.ndarray, k: int) -> np.ndarray:
    """The common shortcut argsort(…)[1 : k+1], which drops a wrong point among duplicates."""
    rows = ((X[:, None] - X) ** 2).sum(axis=2)
    chosen = np.argsort(rows, axis=1, kind="stable")[:, 1 : k + 1]
    return np.bincount(chosen.ravel(), minlength=len(X))


@claim(mutants=[dict(count=_argsort_with_itself), dict(total=lambda size, k: size * (k + 1))])
def conservation(count=k_occurrence, total=lambda size, k: size * k):
    r"""$\sum_i N_k(i) = Nk$; the chunked float64 counts equal exact ones, duplicates and ties included.

    On 60 samples of 12 points of the 3×3 and 3×3×3 integer grids, k = 1, 2, 5.
    """

    def both(case: tuple[int, int, int]) -> tuple[Any, Any]:
        seed, dim, k = case
        X = np.random.Generator(np.random.Philox(key=[seed, dim])).integers(0, 3, (12, dim))
        found = [int(v) for v in count(X, k)]
        points = [tuple(int(v) for v in row) for row in X]
        return (found, sum(found)), (list(k_occurrence_exact(points, k)), total(12, k))

    return ForEach(((s, d, k) for s in range(10) for d in (2, 3) for k in (1, 2, 5)), both, over="60 samples")


@claim(mutants=[dict(law="normal"), dict(third=Rational(1, 4))])
def torus_plane(law="torus", third=Rational(1, 3)):
    r"""Without a centre: the share of points that are nobody's neighbour grows with d on the torus, but stays below
    $e^{-1}$.

    Observed at N = 4000, k = 1, d = 2, 3, 5, 10 (one sample each). Exact is N = 3, where the law of $N_1$ is (⅓, ⅓,
    ⅓) in every dimension; simulated for d = 2 and 10. The values for N → ∞ are left to a larger simulation."""

    def rising(_: Any) -> tuple[bool, bool]:
        zeros = [observed_counts(law, 4000, d, 1).count(0) for d in (2, 3, 5, 10)]
        return zeros == sorted(set(zeros)) and zeros[-1] * 100_000 < 36_787 * 4000, True

    rest = (1 - third) / 2
    return (
        ForEach(["N = 4000"], rising, over="d = 2, 3, 5, 10", observed=True),
        *(Estimate(neighbours_of_three(dim=d), (third, rest, rest), Rational(1, 10)) for d in (2, 10)),
    )


@claim(mutants=[dict(law="normal"), dict(central="cube", factor=80)])
def no_centre_no_hubness(law="sphere", central="normal", factor=10):
    r"""On the sphere the variance of $N_5$ stays near k = 5 for d = 100 and 1000; with a centre it is ten times larger.

    Observed on one sample of N = 2000 each, in float64; the variances of the counts are compared exactly.
    """

    def observed(d: int) -> tuple[Any, Any]:
        here = exact_variance(observed_counts(law, 2000, d, 5))
        there = exact_variance(observed_counts(central, 2000, d, 5))
        return (4 < here < 6, there > factor * here), (True, True)

    return ForEach([100, 1000], observed, over="d = 100, 1000", observed=True)


@claim(mutants=[dict(law="sphere")])
def hub_norm_monotone(law="normal"):
    r"""The hub value ranks latents by small norm: Spearman's correlation of $N_5$ and $\Vert z\Vert^2$ is below −¾.

    Observed at d = 64 and 256 on one sample of N = 2000 each; ranks are compared exactly.
    """

    def observed(d: int) -> tuple[bool, bool]:
        X = sample(law, 2000, d)
        return rank_correlation(observed_counts(law, 2000, d, 5), (X**2).sum(axis=1)) < -Fraction(9, 16), True

    return ForEach([64, 256], observed, over="d = 64, 256", observed=True)


@claim(mutants=[dict(law="sphere"), dict(top=Fraction(95, 100))])
def acceptance(law="normal", top=Fraction(3, 4)):
    r"""Hub filtering keeps few latents, and short ones: at N = 2000, k = 5, t = 30, d = 128.

    Observed on one sample: something is kept, at most the share k/t of `conservation`; the largest kept norm is below
    the mean norm; a fifth of the points owns more than three quarters of all occurrences; and the share of antihubs
    grows over d = 32, 128, 512. The numbers at N = 10⁴ are computed by `limit_law` and left to a larger simulation.
    """

    def observed(_: Any) -> tuple[Any, Any]:
        counts = observed_counts(law, 2000, 128, 5)
        lengths = np.linalg.norm(sample(law, 2000, 128), axis=1)
        kept = [length for length, v in zip(lengths, counts, strict=True) if v >= 30]
        share = Fraction(sum(sorted(counts)[-400:]), 10_000)
        zeros = [observed_counts(law, 2000, d, 5).count(0) for d in (32, 128, 512)]
        found = (0 < len(kept) * 30 <= 10_000, bool(kept and max(kept) < lengths.mean()), share > top)
        return (*found, zeros == sorted(set(zeros))), (True,) * 4

    return ForEach(["one sample"], observed, over="N = 2000", observed=True)


def _reduced() -> Iterator[tuple[str, np.ndarray]]:
    X = sample("normal", 600, 200)
    D = distances(X)
    yield "mutual proximity", mutual_proximity(D)
    yield "mutual proximity, normal", mutual_proximity(D, "normal")
    yield "local scaling", local_scaling(D, 10)
    yield "NICDM", nicdm(D, 10)
    yield "CSLS", csls(X, 10)
    yield "DisSimLocal", dis_sim_local(X, 10)


@claim(mutants=[dict(reduced=lambda: [("none", distances(sample("normal", 600, 200)))])])
def mitigation(reduced=_reduced):
    r"""Every mitigation lowers the skewness of $N_{10}$ below 0.7 times that of the raw distances.

    Observed on one normal sample with N = 600, d = 200; (squared) skewnesses of the counts are compared exactly.
    """
    raw = exact_skewness_squared(observed_counts("normal", 600, 200, 10))

    def observed(case: tuple[str, np.ndarray]) -> tuple[bool, bool]:
        counts = tuple(int(v) for v in k_occurrence(case[1], 10, "precomputed"))
        return exact_skewness_squared(counts) < Fraction(49, 100) * raw, True

    return ForEach(reduced, observed, over="six dissimilarities", observed=True)


@claim(mutants=[dict(shift=0.0), dict(centre=lambda X: X)])
def centering_invariance(shift=3.0, centre=lambda X: X - X.mean(axis=0)):
    r"""Centring removes the hubness of cosine neighbours: the skewness of $N_{10}$ falls below half.

    Observed on one normal sample with N = 300, d = 50, shifted by 3 in each coordinate.
    """
    X = sample("normal", 300, 50) + shift

    def observed(_: Any) -> tuple[bool, bool]:
        before, after = (tuple(int(v) for v in k_occurrence(Z, 10, "cosine")) for Z in (X, centre(X)))
        return exact_skewness_squared(after) < exact_skewness_squared(before) / 4, True

    return ForEach(["one sample"], observed, over="N = 300, d = 50", observed=True)


# Figures


def figures() -> dict[str, Any]:
    """The law of N_5 with its limit, skewness and rank correlations over the dimension, the angle law, hub sampling."""
    from matplotlib.figure import Figure

    N, k = 4000, 5
    law = functions.limit_law(k, N, 1 / 3)
    tails = Figure(figsize=(7, 4.5), layout="constrained")
    axes = tails.subplots()
    at = np.unique(np.geomspace(1, 1500, 60).astype(int))
    for d, mark in ((3, "o"), (20, "s"), (100, "^"), (500, "v")):
        counts = np.sort(observed_counts("normal", N, d, k))
        share = 1 - np.searchsorted(counts, at, side="left") / N
        axes.loglog(at[share > 0], share[share > 0], mark, markersize=4, label=f"d = {d}")
    limit = np.array([law.tail(int(t)) for t in at])
    axes.loglog(at, limit, color="black", linewidth=1, label="limit law, ρ = 1/3")
    axes.set(xlabel="hub value t", ylabel="share of points with N₅ ≥ t", ylim=(1 / (2 * N), 1.5),
             title="Normal points, N = 4000")  # fmt: skip
    axes.legend(frameon=False)

    dims = (2, 4, 8, 16, 32, 64, 128, 256)
    growth = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = growth.subplots(1, 2)
    for name, mark in (("normal", "o"), ("cube", "s"), ("sphere", "^"), ("torus", "v")):
        found = [
            [hubness_scores(np.array(observed_counts(name, 1000, d, 5, seed)), 5).skewness for seed in range(5)]
            for d in dims
        ]
        middle = np.median(found, axis=1)
        spread = [middle - np.min(found, axis=1), np.max(found, axis=1) - middle]
        left.errorbar(dims, middle, yerr=spread, marker=mark, markersize=4, capsize=2, label=name)
    left.set(xscale="log", xlabel="dimension d", ylabel="skewness of N₅ (median and range of 5)", title="N = 1000")
    left.legend(frameon=False)
    for name, mark in (("normal", "o"), ("cube", "s"), ("sphere", "^")):
        signed = []
        for d in dims:
            X = sample(name, 1000, d)
            value = float(rank_correlation(observed_counts(name, 1000, d, 5), ((X - X.mean(axis=0)) ** 2).sum(axis=1)))
            signed.append(math.copysign(math.sqrt(abs(value)), value))
        right.plot(dims, signed, marker=mark, markersize=4, label=name)
    right.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    right.set(xscale="log", xlabel="dimension d", ylabel="Spearman's ρ of N₅ and ‖x − x̄‖", ylim=(-1, 0.5))
    right.legend(frameon=False)

    angles = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = angles.subplots(1, 2)
    grid = np.linspace(0, math.pi, 400)
    g = np.random.Generator(np.random.Philox(key=7076))
    for i, n in enumerate((2, 3, 10, 50)):
        seen = np.degrees(np.arccos(_cosines(g, 100_000, n)))
        left.hist(seen, bins=90, range=(0, 180), density=True, histtype="stepfilled", alpha=0.25, color=f"C{i}")
        left.plot(np.degrees(grid), angle_pdf(grid, n) * math.pi / 180, color=f"C{i}", label=f"n = {n}")
    left.set(xlabel="angle θ (degrees)", ylabel="density (per degree)")
    left.legend(frameon=False)
    sizes = np.arange(3, 201)
    exact_values = np.array([angle_var(int(n)) for n in sizes])
    right.loglog(sizes, np.abs(1 / (sizes - 2) / exact_values - 1), label="1/(n − 2), Laplace")
    right.loglog(sizes, np.abs(1 / (sizes - 1) / exact_values - 1), label="1/(n − 1)")
    right.set(xlabel="dimension n", ylabel="relative error against ½ψ₁(n/2)")
    right.legend(frameon=False)

    kept = Figure(figsize=(7, 4.5), layout="constrained")
    axes = kept.subplots()
    d = 100
    radii = np.linalg.norm(sample("normal", N, d), axis=1) / math.sqrt(d)
    good = np.array(observed_counts("normal", N, d, k)) >= 30
    psi = math.sqrt(float((radii[good] ** 2).mean() / (radii**2).mean()))
    bins = np.linspace(0.55, 1.35, 65).tolist()
    for values, label in (
        (radii, "all latents"), (radii[good], f"kept by N₅ ≥ 30 ({100 * good.mean():.1f} %)"),
        (psi * radii, f"truncation z → {psi:.2f} z"),
    ):  # fmt: skip
        axes.hist(values, bins=bins, density=True, histtype="step", linewidth=1.5, label=label)
    axes.set(xlabel="‖z‖/√d", ylabel="density", title="Hub filtering re-weights the radius, d = 100, N = 4000")
    axes.legend(frameon=False)
    return {"tail": tails, "dimension": growth, "angle": angles, "hub-sampling": kept}
