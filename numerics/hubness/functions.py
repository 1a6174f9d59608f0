r"""Counts of k nearest neighbours, their measures and laws, mitigation, and hub sampling, in NumPy.

Mitigation: D. Schnitzer, A. Flexer, M. Schedl, G. Widmer, "Local and Global Scaling Reduce Hubs in Space", JMLR 2012
(mutual proximity); L. Zelnik-Manor, P. Perona, "Self-Tuning Spectral Clustering", 2004 (local scaling); A. Conneau et
al., "Word Translation Without Parallel Data", 2017, arXiv 1710.04087 (CSLS); K. Hara et al., "Flattening the Density
Gradient for Eliminating Spatial Centrality to Reduce Hubness", AAAI 2016 (DisSimLocal).

Shapes: X [N, d] points, D [N, N] distances, counts [N] integers with sum Nk. A point is not its own neighbour, and
among equal distances the smaller index wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from scipy import special

METRICS = ("euclidean", "cosine", "precomputed")


# Checks of arguments


def _whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < least or (most is not None and value > most):
        raise ValueError(
            f"{name} must be " + (f"≥ {least}" if most is None else f"in [{least}, {most}]") + f", got {value}"
        )
    return int(value)


def _points(X: Any) -> np.ndarray:
    points = np.asarray(X, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] < 1:
        raise ValueError(f"X must have the shape [N, d] with d ≥ 1, got {points.shape}")
    if len(points) < 2:
        raise ValueError(f"X must hold at least 2 points, got {len(points)}")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise ValueError(f"X must be finite, got NaN or infinity in row {bad[0]}")
    return points


def _square(D: Any) -> np.ndarray:
    found = np.asarray(D, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise ValueError(f"D must be square, got the shape {found.shape}")
    if len(found) < 2:
        raise ValueError(f"D must hold at least 2 points, got {len(found)}")
    if not np.isfinite(found).all():
        raise ValueError("D must be finite, got NaN or infinity")
    return found


def _distances(D: Any) -> np.ndarray:
    found = _square(D)
    if (found < 0).any():
        raise ValueError(f"D must be ≥ 0, got {found.min()}")
    if (np.diagonal(found) != 0).any():
        raise ValueError("the diagonal of D must be 0")
    if not np.array_equal(found, found.T):
        raise ValueError("D must be symmetric")
    return found


def unit_rows(points: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(points, axis=1, keepdims=True)
    if (length == 0).any():
        raise ValueError(f"the cosine needs vectors other than 0, got 0 in row {np.flatnonzero(length == 0)[0]}")
    return points / length


# Distances and neighbours


def _rows(points: np.ndarray, metric: str) -> Callable[[slice], np.ndarray]:
    """A function that returns the rows of the matrix of distances (squared, if Euclidean)."""
    if metric == "precomputed":
        return lambda part: points[part].copy()
    if metric == "cosine":
        unit = unit_rows(points)
        return lambda part: 1 - unit[part] @ unit.T
    moved, squares = _centred(points)
    return lambda part: np.maximum(squares[part, None] + squares - 2 * (moved[part] @ moved.T), 0)


def _centred(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points moved to their centre, and the squares of their lengths; integers stay integers."""
    centre = points.mean(axis=0)
    if (points == np.rint(points)).all():
        centre = np.rint(centre)  # so that their distances are exact
    moved = points - centre
    return moved, np.einsum("nd,nd->n", moved, moved)


def distances(X: Any, metric: str = "euclidean") -> np.ndarray:
    """The symmetric N×N matrix of Euclidean or cosine distances, with a zero diagonal.

    Raises:
        ValueError: bad X, an unknown metric, or a zero vector with the cosine.
    """
    if metric not in METRICS[:2]:
        raise ValueError(f"metric must be one of {', '.join(METRICS[:2])}, got {metric!r}")
    found = _rows(_points(X), metric)(slice(None))
    found = np.sqrt(found) if metric == "euclidean" else np.maximum(found, 0)
    found = (found + found.T) / 2
    np.fill_diagonal(found, 0)
    return found


def choose(rows: np.ndarray, k: int) -> np.ndarray:
    """Booleans: the k smallest entries of each row, the smaller index first among equals."""
    last = np.partition(rows, k - 1, axis=-1)[..., k - 1 : k]
    below, tied = rows < last, rows == last
    missing = k - below.sum(axis=-1, keepdims=True)
    return below | (tied & (np.cumsum(tied, axis=-1) <= missing))


def k_occurrence(X: Any, k: int, metric: str = "euclidean", chunk: int = 256) -> np.ndarray:
    """N_k: how many other points have each point among their k nearest; shape [N], sum Nk.

    Args:
        X: points [N, d], or any [N, N] matrix of dissimilarities if metric is "precomputed" (its diagonal is ignored).
        k: 1 ≤ k < N.
        metric: "euclidean", "cosine" or "precomputed".
        chunk: rows of the matrix of distances that are held in memory at a time.

    Notes:
        Distances of integer points are exact (below 2^53), so are their ties. For others ‖a‖² + ‖b‖² − 2a·b rounds, and
        near-ties may be ordered either way.

    Raises:
        ValueError: bad X, k, metric or chunk.
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    points = _square(X) if metric == "precomputed" else _points(X)
    size = len(points)
    k, chunk = _whole("k", k, 1, size - 1), _whole("chunk", chunk, 1)
    zeros, floor = np.zeros(size), -np.inf
    if metric == "euclidean":
        points, left = _centred(points)
        right, factor, floor = left, 2.0, 0.0
    elif metric == "cosine":
        points, left, right, factor = unit_rows(points), np.ones(size), zeros, 1.0
    else:
        left, right, factor = zeros, zeros, -1.0
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, size, chunk):
        part = slice(start, min(start + chunk, size))
        products = points[part] if metric == "precomputed" else points[part] @ points.T
        _tally(products, left[part], right, factor, floor, start, k, counts)
    return counts


@njit(cache=True)
def _tally(products, left, right, factor, floor, first, k, counts):
    """Counts the k columns of each row with the least left + right − factor·product ≥ floor, its own place apart.

    Among equals the smaller index comes first, as it is met first.
    """
    nearest, who = np.empty(k), np.empty(k, dtype=np.int64)
    for i in range(products.shape[0]):
        nearest[:] = np.inf
        for j in range(products.shape[1]):
            value = max((left[i] + right[j]) - factor * products[i, j], floor)
            if value < nearest[k - 1] and j != first + i:
                place = k - 1
                while place > 0 and nearest[place - 1] > value:
                    nearest[place], who[place] = nearest[place - 1], who[place - 1]
                    place -= 1
                nearest[place], who[place] = value, j
        for place in range(k):
            counts[who[place]] += 1


def torus_occurrence(X: Any, k: int, chunk: int = 256) -> np.ndarray:
    """N_k on the flat torus [0, 1)^d.

    Raises:
        ValueError: bad X, k or chunk, or coordinates outside [0, 1).
    """
    points = _points(X)
    k, chunk = _whole("k", k, 1, len(points) - 1), _whole("chunk", chunk, 1)
    if (points < 0).any() or (points >= 1).any():
        raise ValueError("X must lie in [0, 1) on the torus")
    counts = np.zeros(len(points), dtype=np.int64)
    for start in range(0, len(points), chunk):
        part = points[start : start + chunk]
        rows = np.zeros((len(part), len(points)))
        for column in range(points.shape[1]):
            gap = np.abs(part[:, column, None] - points[:, column])
            rows += np.minimum(gap, 1 - gap) ** 2
        rows[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        counts += choose(rows, k).sum(axis=0)
    return counts


def _neighbour_mean(D: np.ndarray, k: int) -> np.ndarray:
    """The mean distance to the k nearest others."""
    away = D.copy()
    np.fill_diagonal(away, np.inf)
    return np.partition(away, k - 1, axis=1)[:, :k].mean(axis=1)


# Measures of hubness


@dataclass(frozen=True)
class HubnessScores:
    """Measures of unequal counts. skewness is NaN if all counts are equal."""

    skewness: float
    robin_hood: float
    gini: float
    hubs: float  # share of points with N_k ≥ 2k
    antihubs: float  # share of points with N_k = 0
    largest: int
    variance: float


def hubness_scores(counts: Any, k: int) -> HubnessScores:
    """Skewness, Robin Hood index, Gini coefficient, shares of hubs and antihubs of the counts N_k.

    Raises:
        ValueError: counts aren't integers ≥ 0 with the sum Nk, or k is not in [1, N − 1].
    """
    values = np.asarray(counts)
    if values.ndim != 1 or len(values) < 2 or values.dtype.kind not in "iu":
        raise ValueError(f"counts must be at least 2 integers, got {values.dtype} of shape {values.shape}")
    size = len(values)
    k = _whole("k", k, 1, size - 1)
    if (values < 0).any() or values.sum() != size * k:
        raise ValueError(f"counts must be ≥ 0 with the sum N k = {size * k}, got the sum {values.sum()}")
    away = values - float(k)
    variance = float((away**2).mean())
    ranks = 2 * np.arange(1, size + 1) - size - 1
    return HubnessScores(
        skewness=float((away**3).mean()) / variance**1.5 if variance else math.nan,
        robin_hood=float(np.abs(away).sum()) / (2 * size * k),
        gini=float((ranks * np.sort(values)).sum()) / (size * size * k),
        hubs=float((values >= 2 * k).mean()),
        antihubs=float((values == 0).mean()),
        largest=int(values.max()),
        variance=variance,
    )


# Laws


@dataclass(frozen=True)
class LimitLaw:
    """The law of N_k for N fixed and d → ∞: Bin(N − 1, p(s)) with s ~ N(0, 1)."""

    k: int
    N: int
    rho: float
    s: np.ndarray  # nodes of the trapezoidal rule
    weight: np.ndarray
    p: np.ndarray  # p(s)

    def mean(self, values: np.ndarray) -> float:
        """E f(s) from the values of f at the nodes."""
        return float(self.weight @ values)

    @property
    def variance(self) -> float:
        return self._central[0]

    @property
    def skewness(self) -> float:
        return self._central[1] / self._central[0] ** 1.5

    @property
    def _central(self) -> tuple[float, float]:
        trials = self.N - 1
        falling = [self.mean(self.p**i) * math.prod(range(trials - i + 1, trials + 1)) for i in (1, 2, 3)]
        raw = falling[0], falling[1] + falling[0], falling[2] + 3 * falling[1] + falling[0]
        return raw[1] - raw[0] ** 2, raw[2] - 3 * raw[0] * raw[1] + 2 * raw[0] ** 3

    def tail(self, t: int) -> float:
        """P(N_k ≥ t): the share of latents that a threshold t keeps."""
        return self.mean(self._tail(t))

    def _tail(self, t: int) -> np.ndarray:
        t = _whole("t", t, 0)
        if t == 0:
            return np.ones_like(self.p)
        return special.betainc(t, self.N - t, self.p) if t < self.N else np.zeros_like(self.p)

    def kept_score(self, t: int) -> float:
        """E(s | N_k ≥ t): the mean of (‖x‖² − d)/sd over the latents that are kept."""
        return self.mean(self.s * self._tail(t)) / self.tail(t)

    def pmf(self, counts: Any) -> np.ndarray:
        """P(N_k = j) for each j of an array of integers ≥ 0."""
        found = np.asarray(counts, dtype=np.int64)
        if (found < 0).any():
            raise ValueError(f"counts must be ≥ 0, got {found.min()}")
        tails = {int(j): self.tail(int(j)) for j in np.unique(np.concatenate([found.ravel(), found.ravel() + 1]))}
        return np.vectorize(lambda j: tails[j] - tails[j + 1], otypes=[float])(found)


def limit_law(k: int, N: int, rho: float) -> LimitLaw:
    """The one-factor law of N_k as d → ∞: p(s) = Φ((q − √ρ s)/√(1 − ρ)), q = Φ⁻¹(k/(N − 1)).

    ρ = (κ − 1)/(κ + 3) for i.i.d. coordinates of kurtosis κ: normal ⅓, uniform ⅙, Laplace 5/9, signs and sphere 0. For
    finite d it is an approximation.

    Raises:
        ValueError: k is not in [1, N − 2], or rho not in [0, 1).
    """
    N = _whole("N", N, 3)
    k = _whole("k", k, 1, N - 2)
    if not 0 <= rho < 1:
        raise ValueError(f"rho must be in [0, 1), got {rho}")
    s = np.linspace(-12, 12, 4801)
    weight = np.exp(-(s**2) / 2)
    weight /= weight.sum()
    p = special.ndtr((special.ndtri(k / (N - 1)) - math.sqrt(rho) * s) / math.sqrt(1 - rho))
    return LimitLaw(k, N, float(rho), s, weight, p)


def angle_pdf(theta: Any, n: int) -> np.ndarray:
    """The density of the angle of two independent isotropic vectors of R^n on [0, π] (0 outside).

    Raises:
        ValueError: n < 2.
    """
    n = _whole("n", n, 2)
    angle = np.asarray(theta, dtype=float)
    constant = math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2)) / math.sqrt(math.pi)
    inside = (angle >= 0) & (angle <= math.pi)
    return np.where(inside, constant * np.abs(np.sin(np.where(inside, angle, 1.0))) ** (n - 2), 0.0)


def angle_cdf(theta: Any, n: int) -> np.ndarray:
    """P(angle ≤ θ) in R^n: half a regularised incomplete beta function of sin²θ.

    Raises:
        ValueError: n < 2.
    """
    n = _whole("n", n, 2)
    angle = np.clip(np.asarray(theta, dtype=float), 0, math.pi)
    low = special.betainc((n - 1) / 2, 0.5, np.sin(angle) ** 2) / 2
    return np.where(angle <= math.pi / 2, low, 1 - low)


def angle_var(n: int) -> float:
    """Var θ = ½ψ₁(n/2).

    Raises:
        ValueError: n < 2.
    """
    return float(special.polygamma(1, _whole("n", n, 2) / 2)) / 2


def ball_cube_ratio(n: int) -> float:
    """V_n/2^n; 0.0 where it underflows.

    Raises:
        ValueError: n < 1.
    """
    n = _whole("n", n, 1)
    return math.exp(n / 2 * math.log(math.pi) - math.lgamma(n / 2 + 1) - n * math.log(2))


# Mitigation: dissimilarities with fewer hubs, zero on the diagonal


def _symmetric(values: np.ndarray) -> np.ndarray:
    found = (values + values.T) / 2
    np.fill_diagonal(found, 0)
    return found


def mutual_proximity(D: Any, method: str = "empirical") -> np.ndarray:
    """1 − MP(x, y) with MP = P(d(x, ·) > d)·P(d(y, ·) > d).

    Args:
        D: a symmetric matrix of distances.
        method: "empirical" counts points that are farther; "normal" takes each row as normally distributed.

    Raises:
        ValueError: bad D, an unknown method, or a row without spread ("normal").
    """
    D = _distances(D)
    size = len(D)
    if method == "empirical":
        away = D.copy()
        np.fill_diagonal(away, np.inf)
        ordered = np.sort(away, axis=1)[:, : size - 1]
        farther = np.stack(
            [size - 1 - np.searchsorted(o, row, side="right") for o, row in zip(ordered, D, strict=True)]
        )
        share = farther / (size - 1)
    elif method == "normal":
        off = ~np.eye(size, dtype=bool)
        values = D[off].reshape(size, size - 1)
        spread = values.std(axis=1, keepdims=True)
        if (spread == 0).any():
            raise ValueError(
                f"the distances of point {np.flatnonzero(spread == 0)[0]} are all equal: no normal law fits"
            )
        share = special.ndtr((values.mean(axis=1, keepdims=True) - D) / spread)
    else:
        raise ValueError(f"method must be empirical or normal, got {method!r}")
    return _symmetric(1 - share * share.T)


def local_scaling(D: Any, k: int) -> np.ndarray:
    """1 − exp(−d²/(σ_x σ_y)), where σ is the distance to the k-th nearest other point.

    Raises:
        ValueError: bad D or k, or a local scale σ = 0 (duplicates).
    """
    D = _distances(D)
    k = _whole("k", k, 1, len(D) - 1)
    away = D.copy()
    np.fill_diagonal(away, np.inf)
    scale = _scale(np.partition(away, k - 1, axis=1)[:, k - 1])
    return _symmetric(-np.expm1(-(D**2) / np.outer(scale, scale)))


def nicdm(D: Any, k: int) -> np.ndarray:
    """d/√(μ_x μ_y), where μ is the mean distance to the k nearest other points.

    Raises:
        ValueError: bad D or k, or a local scale μ = 0 (duplicates).
    """
    D = _distances(D)
    k = _whole("k", k, 1, len(D) - 1)
    scale = _scale(_neighbour_mean(D, k))
    return _symmetric(D / np.sqrt(np.outer(scale, scale)))


def _scale(scale: np.ndarray) -> np.ndarray:
    if (scale == 0).any():
        raise ValueError(f"the local scale of point {np.flatnonzero(scale == 0)[0]} is 0: it has duplicates")
    return scale


def csls(X: Any, k: int) -> np.ndarray:
    """r_k(x) + r_k(y) − 2cos(x, y), with r_k the mean cosine to the k nearest; may be negative.

    Raises:
        ValueError: bad X or k, or a zero vector.
    """
    D = distances(X, "cosine")
    k = _whole("k", k, 1, len(D) - 1)
    mean = 1 - _neighbour_mean(D, k)
    return _symmetric(mean[:, None] + mean - 2 * (1 - D))


def dis_sim_local(X: Any, k: int) -> np.ndarray:
    """‖x − y‖² − ‖x − c_k(x)‖² − ‖y − c_k(y)‖², where c_k is the mean of the k nearest others; may be negative.

    Raises:
        ValueError: bad X or k.
    """
    points = _points(X)
    D = distances(points)
    k = _whole("k", k, 1, len(D) - 1)
    away = D.copy()
    np.fill_diagonal(away, np.inf)
    centres = choose(away, k).astype(float) @ points / k
    local = ((points - centres) ** 2).sum(axis=1)
    return _symmetric(D**2 - local[:, None] - local)


# Sampling of latents


def hub_sample(
    size: int,
    dim: int,
    *,
    N: int = 10_000,
    k: int = 5,
    t: int = 50,
    rng: np.random.Generator | int | None = None,
    max_rounds: int = 100,
) -> np.ndarray:
    """Normal latents [size, dim] that had N_k ≥ t in their batch of N, in the order of drawing.

    Raises:
        ValueError: bad arguments; a threshold t ≥ N, which no count reaches, is one.
        RuntimeError: fewer than `size` were kept in max_rounds batches.
    """
    size, dim = _whole("size", size, 1), _whole("dim", dim, 1)
    N = _whole("N", N, 2)
    k, t, max_rounds = _whole("k", k, 1, N - 1), _whole("t", t, 0, N - 1), _whole("max_rounds", max_rounds, 1)
    g = np.random.default_rng(rng)
    kept: list[np.ndarray] = []
    have = 0
    for _ in range(max_rounds):
        z = g.standard_normal((N, dim))
        good = z[k_occurrence(z, k) >= t]
        kept.append(good)
        have += len(good)
        if have >= size:
            return np.concatenate(kept)[:size]
    raise RuntimeError(
        f"{have} of {size} latents were kept in {max_rounds} batches of {N}: lower t = {t} or raise max_rounds or N"
    )


__all__ = [
    "HubnessScores", "LimitLaw", "angle_cdf", "angle_pdf", "angle_var", "ball_cube_ratio", "csls", "dis_sim_local",
    "distances", "hub_sample", "hubness_scores", "k_occurrence", "limit_law", "local_scaling", "mutual_proximity",
    "nicdm", "torus_occurrence",
]  # fmt: skip
