r"""Diffusion by simulation and in curves: the variance of the two losses, and what few steps do.

Su Jianlin, 《生成扩散模型漫谈》 1 to 4, 2022, archives 9119, 9152, 9164, 9181.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from sympy import Rational, erfc, sqrt

from kexue import Estimate, claim, experiment


@experiment("proportion", chunk=100_000)
def beyond_one(chunk, count, alpha=0.9, squared=True):
    """How often |x_3| > 1, three steps from x_0 ~ N(0, 1) with α² + β² = 1 (or α + β = 1)."""
    g = chunk.generator()
    beta = np.sqrt(1 - alpha**2) if squared else 1 - alpha
    x = g.standard_normal(count)
    for _ in range(3):
        x = alpha * x + beta * g.standard_normal(count)
    return int((np.abs(x) > 1).sum())


@claim(mutants=[dict(value=erfc(1 / sqrt(3))), dict(squared=False)])
def unit_variance_preserved(value=erfc(1 / sqrt(2)), squared=True):
    r"""N(0, 1) is kept by steps with $\alpha^2 + \beta^2 = 1$: simulated for three steps, as $P(|x_3| > 1) =
    \mathrm{erfc}(1/\sqrt2)$.
    """
    return Estimate(beyond_one(squared=squared), value, Rational(1, 50))


def alpha_bars() -> dict[str, np.ndarray]:
    """ᾱ_t, t = 0..1000, of four schedules."""
    t = np.arange(1001)
    article = np.concatenate([[1.0], np.cumprod(np.sqrt(1 - 0.02 * t[1:] / 1000))])
    paper = np.concatenate([[1.0], np.cumprod(np.sqrt(1 - np.linspace(1e-4, 0.02, 1000)))])
    cosine = np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2)
    return {
        "article": article,
        "paper": paper,
        "cosine": cosine / cosine[0],
        "exp(−5t²/T²)": np.exp(-5 * (t / 1000) ** 2),
    }


def chain_variance(v: float, steps: int, kind: str) -> float:
    """Output variance on N(0, v) data with the exact mean, from N(0, 1), K equal steps of the article's schedule."""
    bar2 = alpha_bars()["article"] ** 2
    times = [i * 1000 // steps for i in range(steps + 1)]
    found = 1.0
    for s, t in reversed(list(pairwise(times))):
        a_s2, a_t2 = bar2[s], bar2[t]
        ratio2, total = a_t2 / a_s2, a_t2 * v + 1 - a_t2
        posterior = (1 - a_s2) * (1 - ratio2) / (1 - a_t2)
        inner = 0.0 if kind == "DDIM" else posterior
        k = np.sqrt(max(0.0, (1 - a_s2 - inner) / (1 - a_t2)))
        factor = k + (np.sqrt(a_s2) - np.sqrt(a_t2) * k) * np.sqrt(a_t2) * v / total
        noise = {"DDIM": 0.0, "DDPM β̃": posterior if s else 0.0, "DDPM β": 1 - ratio2}[kind]
        found = factor**2 * found + noise
    return float(found)


def figures() -> dict[str, Any]:
    """The schedules, the variance of short chains against K, and the variance of the two losses against t."""
    from matplotlib.figure import Figure

    schedules = Figure(figsize=(6, 4), layout="constrained")
    axes = schedules.subplots()
    for label, values in alpha_bars().items():
        axes.plot(values, label=label)
    axes.set(xlabel="step t of 1000", ylabel="ᾱ_t")
    axes.legend(frameon=False)

    chains = Figure(figsize=(9, 4), layout="constrained")
    for panel, v in zip(chains.subplots(1, 2), (0.25, 4.0), strict=True):
        counts = [5, 10, 20, 50, 100, 200, 500, 1000]
        for kind in ("DDIM", "DDPM β̃", "DDPM β"):
            panel.semilogx(
                counts, [chain_variance(v, k, kind) / v for k in counts], marker="o", markersize=3, label=kind
            )
        panel.axhline(1, color="0.6", linewidth=0.8)
        panel.set(xlabel="steps K", ylabel="output variance / v", title=f"data N(0, {v:g})")
    panel.legend(frameon=False)

    losses = Figure(figsize=(6, 4), layout="constrained")
    axes = losses.subplots()
    bar2 = alpha_bars()["article"] ** 2
    t = np.arange(2, 1001)
    alpha2 = bar2[t] / bar2[t - 1]
    s2 = alpha2 * (1 - bar2[t - 1]) / (1 - bar2[t])
    axes.plot(t, s2, label="constant d·s² of the two-noise loss, per value")
    axes.plot(t, 1 - s2, label="weight c² = β_t²/β̄_t² of the signal")
    axes.set(xlabel="step t", ylabel="share", yscale="log")
    axes.legend(frameon=False)
    return {"schedules": schedules, "short-chains": chains, "two-losses": losses}
