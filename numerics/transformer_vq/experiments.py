r"""Transformer-VQ: logit errors of random queries, the bound on total variation, and a codebook on the move.

Su Jianlin, 《VQ一下Key，Transformer的复杂度就变成线性了》, Scientific Spaces, 2023-11-09, archive 9844; Transformer-VQ,
2023, arXiv 2309.16354.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Rational

from kexue import Estimate, ForEach, claim, experiment
from kexue.sampling import Moments


def directions(g: np.random.Generator, count: int, d: int) -> np.ndarray:
    """Independent uniform unit vectors, [count, d]."""
    x = g.standard_normal((count, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def nearest(keys: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """Index of the nearest row of the codebook [c, d] for each key [n, d]."""
    return ((codebook**2).sum(axis=1) / 2 - keys @ codebook.T).argmin(axis=1)


def kmeans(keys: np.ndarray, c: int, steps: int = 12) -> np.ndarray:
    """Lloyd's algorithm from the first c keys; a code without keys stays."""
    codebook = keys[:c].copy()
    for _ in range(steps):
        z = nearest(keys, codebook)
        counts = np.bincount(z, minlength=c)
        sums = np.zeros_like(codebook)
        np.add.at(sums, z, keys)
        codebook = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], codebook)
    return codebook


@experiment("mean", chunk=5_000)
def squared_logit_error(chunk, count, d=8, c=16, stretch=1.0):
    """(q·(k − C_z))²/‖k − C_z‖² for a unit q, the nearest of c random codes; stretch ≠ 1 makes q anisotropic.

    The key's error is turned so that its first coordinate is the largest, which isotropic queries don't notice.
    """
    g = chunk.generator()
    codebook = directions(g, c, d)
    k, q = directions(g, count, d), g.standard_normal((count, d))
    q[:, 0] *= stretch
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    error = k - codebook[nearest(k, codebook)]
    rows, largest = np.arange(count), np.abs(error).argmax(axis=1)
    error[rows, largest], error[:, 0] = error[:, 0].copy(), error[rows, largest]
    return Moments.of(np.minimum((q * error).sum(axis=1) ** 2 / (error**2).sum(axis=1), 1.0))


@claim(mutants=[dict(value=Rational(1, 7)), dict(stretch=2.0)])
def isotropic_query_optimality(value=Rational(1, 8), stretch=1.0):
    r"""For an isotropic unit query $E(q\cdot(k-\hat k))^2 = \|k-\hat k\|^2/d$: simulated at d = 8 with the nearest of
    16 codes.

    A query that is longer in the direction in which the key's error is largest refutes it.
    """
    return Estimate(squared_logit_error(stretch=stretch), value, Rational(1, 20))


@experiment("mean", chunk=10_000)
def squared_logit(chunk, count, d=16, power=0.25):
    """(q·k)²/d for RMS-normalised q and k scaled by d^(−power); at most 1 for power = 1/4."""
    g = chunk.generator()
    q, k = (directions(g, count, d) * d**0.5 * d**-power for _ in range(2))
    return Moments.of(np.minimum((q * k).sum(axis=1) ** 2 / d, 1.0))


@claim(mutants=[dict(value=Rational(1, 15)), dict(power=0.5)])
def rms_logit_bound(value=Rational(1, 16), power=0.25):
    r"""$E(q\cdot k)^2 = 1$ for independent isotropic directions with the paper's scale $d^{-1/4}$: simulated at d =
    16, as $E(q\cdot k)^2/d = 1/16$.
    """
    return Estimate(squared_logit(power=power), value, Rational(1, 20))


def total_variation(s: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """TV of the softmaxes of s and s + δ along the last axis."""

    def softmax(x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    return np.abs(softmax(s) - softmax(s + delta)).sum(axis=-1) / 2


def tv_cases(seed: int, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """(TV, ε) of random softmaxes over 2..9 items, and of the worst two points for the same ε."""
    g = np.random.default_rng(seed)
    items = int(g.integers(2, 10))
    epsilon = g.uniform(0.01, 4.0, count)
    s = g.standard_normal((count, items)) * 2
    delta = np.sign(g.standard_normal((count, items))) * epsilon[:, None]
    worst = np.stack((-epsilon, np.zeros(count)), axis=1)
    push = np.stack((epsilon, -epsilon), axis=1)
    return np.concatenate((total_variation(s, delta), total_variation(worst, push))), np.tile(epsilon, 2)


@claim(mutants=[dict(half=0.48), dict(slack=-1e-3)])
def tv_bound(half=0.5, slack=1e-12):
    r"""Observed in float64: TV ≤ tanh(ε/2) for 10 000 random softmaxes with perturbations ±ε, and the two-point case
    attains it.
    """

    def both(seed: int) -> tuple[Any, Any]:
        tv, epsilon = tv_cases(seed)
        bound = np.tanh(half * epsilon)
        attained = np.abs(tv[500:] - bound[500:]).max() < 1e-12
        return (bool((tv <= bound + slack).all()), bool(attained)), (True, True)

    return ForEach(range(20), both, over="20 seeds, 500 random and 500 worst cases each", observed=True)


def attention_errors(seed: int, c: int, n: int = 128, d: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """‖o − ô‖, ε and diam{v} for each of n queries, keys quantised by k-means with c codes."""
    g = np.random.default_rng(seed)
    q, k, v = g.standard_normal((3, n, d))
    q, k = q * d**-0.25, k * d**-0.25
    codebook = kmeans(k, c)
    exact = q @ k.T
    quantised = q @ codebook[nearest(k, codebook)].T

    def out(scores: np.ndarray) -> np.ndarray:
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return e @ v / e.sum(axis=1, keepdims=True)

    diameter = np.sqrt(((v[:, None] - v) ** 2).sum(axis=-1)).max()
    errors = np.linalg.norm(out(exact) - out(quantised), axis=1)
    return errors, np.abs(exact - quantised).max(axis=1), np.full(n, diameter)


@claim(mutants=[dict(factor=0.05), dict(whole=0.05)])
def attention_error_bound(factor=1.0, whole=1.0):
    r"""Observed in float64: $\|o_i-\hat o_i\| \le \tanh(\varepsilon_i/2)\,\mathrm{diam}\{v\}$ for keys quantised by
    k-means.

    128 random keys in d = 8 (logits of variance 1), c = 4, 16, 64, 120 codes, ten seeds.
    """

    def both(case: tuple[int, int]) -> tuple[bool, bool]:
        errors, epsilon, diameter = attention_errors(*case)
        return bool((errors <= whole * np.tanh(factor * epsilon / 2) * diameter).all()), True

    cases = [(seed, c) for seed in range(10) for c in (4, 16, 64, 120)]
    return ForEach(cases, both, over="ten seeds, four sizes of the codebook", observed=True)


def moving_mixture(gamma: float, steps: int = 300, c: int = 32, d: int = 8, centres: int = 24) -> dict[str, np.ndarray]:
    """An EMA codebook on a drifting mixture: entropy of use, dead codes, relative error; and Lloyd's error."""
    g = np.random.default_rng(0)
    mean, velocity = g.standard_normal((centres, d)), 0.01 * g.standard_normal((centres, d))
    sums, counts = g.standard_normal((c, d)) / d**0.5, np.ones(c)
    found: dict[str, list[float]] = {"entropy": [], "dead": [], "error": [], "lloyd": []}
    for step in range(steps):
        mean = mean + velocity
        keys = mean[g.integers(centres, size=256)] + 0.2 * g.standard_normal((256, d))
        codebook = sums / np.maximum(counts, 0.01)[:, None]
        z = nearest(keys, codebook)
        size = (keys**2).sum(axis=1).mean()
        new = np.bincount(z, minlength=c)
        p = counts / counts.sum()
        found["entropy"].append(float(-(p * np.log(np.maximum(p, 1e-300))).sum()))
        found["dead"].append(float((counts < 0.01).sum()))
        found["error"].append(float(((keys - codebook[z]) ** 2).sum(axis=1).mean() / size))
        if step % 20 == 0:
            best = kmeans(keys, c)
            found["lloyd"].append(float(((keys - best[nearest(keys, best)]) ** 2).sum(axis=1).mean() / size))
        total = np.zeros_like(sums)
        np.add.at(total, z, keys)
        sums, counts = gamma * sums + (1 - gamma) * total, gamma * counts + (1 - gamma) * new
    return {name: np.array(values) for name, values in found.items()}


def bfloat16(x: np.ndarray) -> np.ndarray:
    """Rounded to bfloat16, kept as float32."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def cache_drift(rounded: Any, means: bool, blocks: int = 2000, size: int = 512) -> np.ndarray:
    """Relative error of a code's mean after each block, kept as a sum or as a running mean, in rounded arithmetic."""
    g = np.random.default_rng(1)
    new = 1.0 + 0.5 * g.standard_normal((blocks, 16))
    exact = np.cumsum(new, axis=0) / np.arange(1, blocks + 1)[:, None]
    kept, count, errors = np.zeros(16, np.float32), np.float32(0), []
    for i in range(blocks):
        block = rounded(new[i].astype(np.float32) * (1 if means else size))
        if means:
            total = count + size
            kept = rounded(rounded(kept * np.float32(count / total)) + rounded(block * np.float32(size / total)))
            value = kept
        else:
            kept = rounded(kept + block)
            value = kept / np.float32(count + size)
        count += np.float32(size)
        errors.append(np.abs(value / exact[i] - 1).mean())
    return np.array(errors)


def figures() -> dict[str, Any]:
    """Errors and codebook sizes, sharpness of the bound, anisotropic queries, codebook health, drift, cost."""
    from matplotlib.figure import Figure

    def panel(**labels: Any) -> tuple[Figure, Any]:
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.set(**labels)
        return figure, axes

    sizes = (2, 4, 8, 16, 32, 64, 96, 120)
    found = [attention_errors(0, c) for c in sizes]
    quantised, axes = panel(
        xlabel="codes c (128 keys in R⁸)", ylabel="output error ‖o − ô‖", xscale="log", yscale="log"
    )
    axes.plot(sizes, [e.mean() for e, _, _ in found], "o-", label="mean of ‖o − ô‖")
    axes.plot(sizes, [(np.tanh(x / 2) * w).mean() for _, x, w in found], "s--", label="mean of tanh(ε/2)·diam{v}")
    axes.legend(frameon=False)

    sharpness, axes = panel(xlabel="TV / tanh(ε/2)", ylabel="cases")
    tv, epsilon = (np.concatenate(x) for x in zip(*(tv_cases(seed) for seed in range(20)), strict=True))
    ratio = (tv / np.tanh(epsilon / 2)).reshape(20, 2, 500)
    axes.hist(ratio[:, 0].ravel(), bins=60, label="random softmaxes, δ = ±ε")
    axes.axvline(float(ratio[:, 1].mean()), color="C1", label="two points: attained")
    axes.legend(frameon=False)

    g = np.random.default_rng(2)
    keys = g.standard_normal((4000, 2))
    kappas = np.geomspace(1, 100, 9)
    euclid: list[float] = []
    mahalanobis: list[float] = []
    codebook = kmeans(keys, 16)
    for kappa in kappas:
        scale = np.array([1.0, kappa**0.5])
        for errors, z in ((euclid, nearest(keys, codebook)), (mahalanobis, nearest(keys * scale, codebook * scale))):
            errors.append((((keys - codebook[z]) * scale) ** 2).sum(axis=1).mean())
    anisotropic, axes = panel(
        xlabel="κ, queries with covariance diag(1, κ)", ylabel="error, Euclidean / Mahalanobis", xscale="log"
    )
    axes.plot(kappas, np.array(euclid) / np.array(mahalanobis), "o-")

    health = Figure(figsize=(7, 6), layout="constrained")
    rows = health.subplots(3, 1, sharex=True)
    for gamma in (0.9, 0.99):
        measured = moving_mixture(gamma)
        rows[0].plot(measured["entropy"], label=f"γ = {gamma}")
        rows[1].plot(measured["dead"])
        rows[2].semilogy(measured["error"])
    rows[2].semilogy(np.arange(0, 300, 20), measured["lloyd"], "k.", label="Lloyd on the batch")
    rows[0].axhline(np.log(32), color="0.6", linewidth=0.8)
    for row, label in zip(rows, ("entropy of use [nats]", "dead codes of 32", "‖k − k̂‖²/‖k‖²"), strict=True):
        row.set(ylabel=label)
    rows[0].legend(frameon=False)
    rows[2].legend(frameon=False)
    rows[2].set(xlabel="updates (the mixture drifts)")

    drift, axes = panel(xlabel="tokens", ylabel="relative error of a code's mean", xscale="log", yscale="log")
    tokens = 512 * np.arange(1, 2001)
    for name, rounded in (("float32", lambda x: np.asarray(x, np.float32)), ("bfloat16", bfloat16)):
        for kind, means in (("sum", False), ("running mean", True)):
            axes.plot(tokens, np.maximum(cache_drift(rounded, means), 1e-9), label=f"{kind}, {name}", linewidth=0.9)
    axes.legend(frameon=False)

    cost, axes = panel(xlabel="length n", ylabel="million multiplications per token", xscale="log", yscale="log")
    n = np.geomspace(256, 131072, 100)
    d_k, d_v, c, block = 128, 1536, 512, 512
    axes.plot(n, n / 2 * (d_k + d_v) / 1e6, label="causal quadratic attention")
    axes.plot(n, np.full_like(n, ((2 * block + c) * (d_k + d_v) + c * d_k) / 1e6), label="Transformer-VQ, c = l = 512")
    axes.axvline(3072, color="0.6", linewidth=0.8)
    axes.text(3072, axes.get_ylim()[0] * 1.2, " 3072 (without the quantiser)")
    axes.legend(frameon=False)

    return {
        "output-error": quantised,
        "tv-sharpness": sharpness,
        "anisotropic-queries": anisotropic,
        "codebook-health": health,
        "cache-drift": drift,
        "multiplications": cost,
    }
