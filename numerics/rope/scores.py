r"""Scores of random vectors under RoPE, and the curves of its decay.

Su Jianlin, 《Transformer升级之路》 2, 4 and 6, Scientific Spaces, 2021–2022, archives 8265, 8397, 9403; RoFormer, 2021,
arXiv 2104.09864.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special
from sympy import Rational

from kexue import Estimate, claim, experiment
from kexue.sampling import Moments

EULER = 0.5772156649015329


def frequencies(d: int, base: float = 10_000.0) -> np.ndarray:
    """θ_i = base^(−2i/d), i = 0, …, d/2 − 1, float64 [d/2]."""
    return base ** (-2.0 * np.arange(d // 2) / d)


def rotate(x: np.ndarray, positions: Any, theta: np.ndarray) -> np.ndarray:
    """The rotation of interleaved pairs: x [..., d], positions broadcastable to [...], theta [d/2]."""
    z = (x[..., ::2] + 1j * x[..., 1::2]) * np.exp(1j * np.asarray(positions)[..., None] * theta)
    return np.stack([z.real, z.imag], axis=-1).reshape(x.shape)


@experiment("mean", chunk=10_000)
def squared_score(chunk, count, d=8, offset=100, shared=0.0):
    """s(m, n)² for independent uniform unit vectors q, k of R^d (k is pulled towards q by `shared`), n − m = offset."""
    g = chunk.generator()
    q, k = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (g.standard_normal((count, d)) for _ in range(2)))
    k = k + shared * q
    k /= np.linalg.norm(k, axis=1, keepdims=True)
    score = (q * rotate(k, float(offset), frequencies(d))).sum(axis=1)
    return Moments.of(np.minimum(score**2, 1.0))


@claim(mutants=[dict(value=Rational(1, 9)), dict(shared=1.0)])
def isometry(value=Rational(1, 8), shared=0.0):
    r"""No decay on random vectors: $E\,s(m,n)^2 = 1/d$ for independent uniform unit vectors, at every distance.

    Simulated in float64 at d = 8 and the distances 0, 1, 100 and 10 000.
    """
    return tuple(
        Estimate(squared_score(offset=offset, shared=shared), value, Rational(1, 20)) for offset in (0, 1, 100, 10_000)
    )


def figures() -> dict[str, Any]:
    """The article's decay figure, its continuation over six decades, and how close to the identity a position comes."""
    from matplotlib.figure import Figure

    theta = frequencies(128)

    def partial_sums(m: np.ndarray) -> np.ndarray:
        return np.abs(np.cumsum(np.exp(1j * m[:, None] * theta), axis=1)).mean(axis=1)

    article = Figure(figsize=(7, 4.5), layout="constrained")
    axes = article.subplots()
    near = np.arange(257)
    axes.plot(near, partial_sums(near))
    axes.set(xlabel="relative distance m − n", ylabel="mean of |S_j|, d = 128, base 10⁴", ylim=(0, None))

    decades = Figure(figsize=(7, 4.5), layout="constrained")
    axes = decades.subplots()
    m = np.unique(np.geomspace(1, 1e6, 3000).astype(int))
    axes.semilogx(m, np.cos(m[:, None] * theta).mean(axis=1), linewidth=0.6, label="mean of cos mθ, d = 128")
    _, ci = special.sici(m)
    _, ci_end = special.sici(m / 1e4)
    axes.semilogx(m, (ci - ci_end) / np.log(1e4), label="(Ci(m) − Ci(m/b))/ln b")
    law = 1 - (np.log(m) + EULER) / np.log(1e4)
    axes.semilogx(m[m < 1e4], law[m < 1e4], "--", label="1 − (ln m + γ)/ln b")
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="relative distance m", ylabel="mean kernel")
    axes.legend(frameon=False)

    conditioning = Figure(figsize=(7, 4.5), layout="constrained")
    axes = conditioning.subplots()
    sizes = np.unique(np.geomspace(2, 300, 25).astype(int))
    schemes = {
        "2×2: x + √2 y": np.array([[1.0, np.sqrt(2.0)]]),
        "4×4: x, y": np.eye(2),
        "6×6: x, y, √2 x + √3 y": np.array([[1.0, 0.0], [0.0, 1.0], [np.sqrt(2.0), np.sqrt(3.0)]]),
    }
    for label, omega in schemes.items():
        axes.loglog(sizes, [_closest_return(omega, int(n)) for n in sizes], label=label)
    axes.set(xlabel="largest |x|, |y|", ylabel="smallest rotation of a non-zero offset (rad)")
    axes.legend(frameon=False)
    return {"decay": article, "decay-decades": decades, "injectivity": conditioning}


def _closest_return(omega: np.ndarray, n: int) -> float:
    """The smallest largest angle of R_x ≠ I over the non-zero integer x with |x_i| ≤ n."""
    x, y = np.meshgrid(np.arange(n + 1), np.arange(-n, n + 1))
    points = np.stack([x.ravel(), y.ravel()])[:, (x.ravel() != 0) | (y.ravel() != 0)]
    angles = (omega @ points + np.pi) % (2 * np.pi) - np.pi
    return float(np.abs(angles).max(axis=0).min())
