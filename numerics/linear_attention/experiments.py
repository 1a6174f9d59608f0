r"""Random features of the exponential by simulation, and the figures: dilution, kernel errors, random features.

Su Jianlin, 《线性Attention的探索：Attention必须有个Softmax吗？》, 2020-07-04, archive 7546; its companion,
archive 7921; Choromanski et al., Rethinking Attention with Performers, 2020, arXiv 2009.14794.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sympy import Rational, exp

from kexue import Estimate, claim, experiment
from kexue.sampling import Moments

# q = (½, ¼, 0), k = (¼, −½, ½): |q − k|² = 7/8, |q + k|² = 7/8, q·k = 0; and q' = (½, ¼, 0), k' = (½, 0, 0).
PAIRS = {"orthogonal": ((0.5, 0.25, 0.0), (0.25, -0.5, 0.5)), "close": ((0.5, 0.25, 0.0), (0.5, 0.0, 0.0))}


@experiment("mean", chunk=20_000)
def trigonometric(chunk, count, pair="orthogonal", scale=1.0):
    """½ + ½cos(w·(q − k)) for w ~ N(0, scale² I)."""
    w = scale * chunk.generator().standard_normal((count, 3))
    q, k = (np.array(v) for v in PAIRS[pair])
    return Moments.of(0.5 + 0.5 * np.cos(w @ (q - k)))


@claim(mutants=[dict(half=Rational(1, 4)), dict(scale=1.5)])
def favor_unbiased(half=Rational(1, 2), scale=1.0):
    r"""$E\cos(w\cdot(q-k)) = e^{-|q-k|^2/2}$ for $w \sim N(0, I)$: simulated for two pairs of $\mathbb R^3$.

    As the mean of the bounded $\tfrac12 + \tfrac12\cos$.
    """
    squares = {"orthogonal": Rational(7, 8), "close": Rational(1, 16)}
    return tuple(
        Estimate(trigonometric(pair=pair, scale=scale), (1 + exp(-half * square)) / 2, Rational(1, 50))
        for pair, square in squares.items()
    )


def _attention(kernel: str, q: np.ndarray, k: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row-stochastic weights of one head for one of the kernels; the exact softmax for "softmax"."""
    d = q.shape[1]
    if kernel == "softmax":
        s = np.exp(q @ k.T / math.sqrt(d))
    elif kernel == "elu + 1":
        s = (np.where(q > 0, q + 1, np.exp(np.minimum(q, 0)))) @ np.where(k > 0, k + 1, np.exp(np.minimum(k, 0))).T
    elif kernel == "1 + cos":
        s = 1 + (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (k / np.linalg.norm(k, axis=1, keepdims=True)).T
    elif kernel == "Efficient":
        p = np.exp(q) / np.exp(q).sum(1, keepdims=True)
        s = p @ (np.exp(k) / np.exp(k).sum(0)).T
    else:
        w = rng.standard_normal((d * 4, d))
        a, b = (x / d**0.25 for x in (q, k))
        fq, fk = (np.exp(x @ w.T - (x * x).sum(1, keepdims=True) / 2) for x in (a, b))
        s = fq @ fk.T
    return s / s.sum(1, keepdims=True)


KERNELS = ("softmax", "elu + 1", "Efficient", "1 + cos", "FAVOR+, m = 4d")


def figures() -> dict[str, Any]:
    """Entropy of rows and largest weight against n; the error of attention matrices; variance of random features."""
    from matplotlib.figure import Figure

    sizes = [2**e for e in range(4, 11)]
    dilution = Figure(figsize=(9, 4), layout="constrained")
    left, right = dilution.subplots(1, 2)
    for kernel in KERNELS:
        entropy, largest = [], []
        for n in sizes:
            rng = np.random.default_rng(n)
            q, k = 2.0 * rng.standard_normal((2, n, 32))
            w = _attention(kernel, q, k, rng)
            entropy.append(-(w * np.log(np.maximum(w, 1e-300))).sum(1).mean())
            largest.append(w.max(1).mean())
        left.semilogx(sizes, entropy, marker="o", markersize=3, label=kernel)
        right.loglog(sizes, largest, marker="o", markersize=3)
    left.semilogx(sizes, np.log(sizes), color="0.5", linestyle="--", linewidth=1, label="ln n")
    right.loglog(sizes, 2 / np.array(sizes), color="0.5", linestyle="--", linewidth=1, label="2/n, bound of 1 + cos")
    left.set(xlabel="number of keys n", ylabel="mean entropy of a row (nats)")
    right.set(xlabel="number of keys n", ylabel="mean largest weight of a row")
    left.legend(frameon=False, fontsize=8)
    right.legend(frameon=False, fontsize=8)

    trace = Figure(figsize=(6, 4), layout="constrained")
    axes = trace.subplots()
    n = 64
    ranks = [1, 2, 4, 8, 16, 32, 64]
    for sharpness in (1, 8, 64):
        found = []
        for r in ranks:
            rng = np.random.default_rng(r)
            f, g = rng.random((2, n, r)) ** sharpness
            g[np.arange(n), np.arange(n) % r] += 1
            f[np.arange(n), np.arange(n) % r] += 1
            s = f @ g.T
            found.append(np.trace(s / s.sum(1, keepdims=True)) / n)
        axes.loglog(ranks, found, marker="o", markersize=3, label=f"features ^ {sharpness}")
    axes.loglog(ranks, np.array(ranks) / n, "--", color="0.5", label="the bound r/n")
    axes.set(xlabel="non-negative features r", ylabel=f"mean weight on the right token, n = {n}")
    axes.legend(frameon=False, fontsize=8)

    features = Figure(figsize=(6, 4), layout="constrained")
    axes = features.subplots()
    cosine = np.linspace(-1, 1, 201)
    s = 2 + 2 * cosine  # |q + k|² for unit vectors
    t = 2 - 2 * cosine
    relative = {
        "positive": np.exp(s) - 1,
        "positive, ±w": 0.5 * (np.exp(s) - 1) * (1 - np.exp(-s)),
        "trigonometric": 0.5 * np.exp(2 - 2 * cosine) * (1 - np.exp(-t)) ** 2,
    }
    for label, value in relative.items():
        axes.semilogy(cosine, np.maximum(value, 1e-4), label=label)
    axes.set(xlabel="cos(q, k) for |q| = |k| = 1", ylabel="variance of one feature / kernel²", ylim=(1e-3, None))
    axes.legend(frameon=False)
    return {"dilution": dilution, "trace-bound": trace, "random-features": features}
