r"""Gradient clipping: the bias of clipped stochastic gradients, and how many steps clipping saves.

Su Jianlin, 《为什么梯度裁剪能加速训练过程?一个简明的分析》, Scientific Spaces, 2020-06-05, archive 7469.
Zhang, He, Sra, Jadbabaie, "Why gradient clipping accelerates training", ICLR 2020, arXiv 1905.11881.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sympy import Rational

from kexue import Estimate, claim, experiment
from kexue.sampling import Moments

CLIP: dict[str, Callable[[Any], Any]] = {
    "hard: min(1, γ/g)": lambda ratio: np.minimum(1.0, 1 / ratio),
    "soft: γ/(g+γ)": lambda ratio: 1 / (1 + ratio),
    "logarithmic: ln(1+y)/y · γ/(g+γ), y = g/(g+γ)": lambda ratio: np.log1p(ratio / (1 + ratio)) / ratio,
}


@experiment("mean", chunk=5_000, support=(-1.0, 1.0))
def clipped_gradient(chunk, count, clip=1.0):
    """The gradient estimate is −1 with probability 3/4 and 5 with probability 1/4, clipped to norm `clip` ≤ 1."""
    noisy = np.where(chunk.generator().random(count) < 0.75, -1.0, 5.0)
    return Moments.of(noisy * np.minimum(1.0, clip / np.abs(noisy)))


@claim(mutants=[dict(value=Rational(1, 2)), dict(clip=0.5)])
def clipped_sgd_bias(value=-Rational(1, 2), clip=1.0):
    r"""$E\,\mathrm{clip}(\tilde g) \ne \mathrm{clip}(E\tilde g)$: the mean gradient is 1/2, the mean clipped one
    −1/2, of the opposite sign.

    $\tilde g$ is −1 with probability 3/4 and 5 with probability 1/4, clipped at norm 1; simulated.
    """
    return Estimate(clipped_gradient(clip=clip), value, Rational(1, 20))


def steps_to_minimum(step: Callable[[float], float], start: float, tolerance: float = 1e-3, most: int = 200_000) -> int:
    """Steps of x ← x − step(x)·sinh x on cosh until |sinh x| ≤ tolerance; `most` if it takes longer or diverges."""
    x = start
    for k in range(most):
        g = abs(np.sinh(x))
        if g <= tolerance:
            return k
        x -= step(g) * np.sinh(x)
        if abs(x) > 700:
            return most
    return most


def figures() -> dict[str, Any]:
    """The three clip factors, and the number of steps on cosh against the distance of the start."""
    from matplotlib.figure import Figure

    factors = Figure(figsize=(7, 4.5), layout="constrained")
    axes = factors.subplots()
    ratio = np.geomspace(1e-2, 1e2, 400)
    for label, clip in CLIP.items():
        axes.loglog(ratio, clip(ratio), label=label)
    hard = np.minimum(1.0, 1 / ratio)
    axes.fill_between(ratio, hard / 2, hard, alpha=0.15, linewidth=0, label="from ½ hard to hard")
    axes.set(xlabel="gradient norm over threshold, g/γ", ylabel="factor of the gradient")
    axes.legend(frameon=False, fontsize=8)

    steps = Figure(figsize=(7, 4.5), layout="constrained")
    axes = steps.subplots()
    starts = np.arange(1.0, 16.0)
    rules: dict[str, Callable[[float], Callable[[float], float]]] = {
        "soft clipping, η = 1/(1+g)": lambda _: lambda g: 1 / (1 + g),
        "logarithmic, η = ln(1+y)/g": lambda _: lambda g: float(np.log1p(g / (1 + g)) / g),
        "gradient descent, η = 1/cosh x₀": lambda start: lambda _: float(1 / np.cosh(start)),
    }
    for label, rule in rules.items():
        found = [(s, steps_to_minimum(rule(s), s)) for s in starts if "descent" not in label or s <= 10]
        axes.semilogy(*zip(*found, strict=True), "o-", label=label)
    axes.set(xlabel="start x₀ on f = cosh", ylabel="steps until |f′| ≤ 10⁻³")
    axes.legend(frameon=False)
    return {"clip-factors": factors, "steps-on-cosh": steps}
