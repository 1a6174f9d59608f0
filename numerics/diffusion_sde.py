r"""The torch equations against the symbolic ones, and what the exact score of a finite set samples.

Su Jianlin, 《生成扩散模型漫谈》 5 and 6, 2022, archives 9209, 9228.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp

from kexue import Conforms, ForEach, claim

TIMES = [sp.Rational(k, 8) for k in range(1, 9)]


def _coefficients(kind: str) -> Any:
    """(ᾱ, β̄², f, g²) as functions of t, from ᾱ and β̄² by differentiation."""
    t = sp.Symbol("t", real=True)
    integral = sp.Rational(1, 10) * t + t**2 / 2 * sp.Rational(199, 10)
    if kind == "ve":
        bar, square = sp.Integer(1), sp.Rational(1, 16) ** 2 * (sp.exp(2 * t * sp.log(160)) - 1)
    elif kind == "sub":
        bar, square = sp.exp(-integral / 2), (1 - sp.exp(-integral)) ** 2
    else:
        bar, square = sp.exp(-integral / 2), 1 - sp.exp(-integral)
    f = sp.diff(bar, t) / bar
    g2 = sp.diff(square, t) - 2 * f * square
    return lambda at: [expression.subs(t, at) for expression in (bar, sp.sqrt(square), f, g2)]


def _conforms(kind: str, scale: Any = 1) -> Conforms:
    def compute(at: Any) -> Any:
        import torch

        from kexue.models.diffusion_sde import VESDE, VPSDE, SubVPSDE

        sde = {"vp": VPSDE(), "sub": SubVPSDE(), "ve": VESDE(1 / 16, 10.0)}[kind]
        t = float(at)
        return torch.tensor([sde.alpha_bar(t), sde.beta_bar(t), sde.f(t), sde.g2(t)], dtype=torch.float64)

    exact = _coefficients(kind)

    def scaled(at: Any) -> Any:
        found = exact(at)
        return [*found[:3], scale * found[3]]

    return Conforms(compute, scaled, TIMES, ulps=64, entrywise=True, over="t = 1/8, …, 1")


@claim(mutants=[dict(scale=2)], needs=("torch",))
def vp(scale=1):
    r"""`VPSDE` has the ᾱ, β̄, f and g² of β from 0.1 to 20: observed in float64 at eight times, each entry by itself."""
    return _conforms("vp", scale)


@claim(mutants=[dict(scale=2)], needs=("torch",))
def sub_vp(scale=1):
    r"""`SubVPSDE` has the ᾱ, β̄, f and g² of the sub-VP equation: observed in float64 at eight times."""
    return _conforms("sub", scale)


@claim(mutants=[dict(scale=2)], needs=("torch",))
def ve(scale=1):
    r"""`VESDE` has the β̄ and g² of $\sigma_{min} = 1/16$, $\sigma_{max} = 10$: observed in float64 at eight times."""
    return _conforms("ve", scale)


def _memorised(width: float = 1.0, count: int = 300) -> float:
    """The share of 300 flows, driven by the exact score of three points, that end within 10⁻³ of one of them."""
    points = np.array([-1.0, 0.3, 1.2])
    x = np.random.default_rng(0).standard_normal(count)
    grid = np.geomspace(1.0, 1e-4, 3001)

    def bars(t: float) -> tuple[float, float]:
        integral = 0.1 * t + t * t / 2 * 19.9
        return float(np.exp(-integral / 2)), float(-np.expm1(-integral))

    for t, s in pairwise(grid):
        (a, b2), (a1, b1) = bars(t), bars(s)
        logits = -((x[:, None] - a * points) ** 2) / (2 * width * b2)
        weights = np.exp(logits - logits.max(1, keepdims=True))
        x0 = (weights * points).sum(1) / weights.sum(1)
        x = a1 * x0 + np.sqrt(b1 / b2) * (x - a * x0)  # DDIM
    return float((np.abs(x[:, None] - points).min(1) < 2e-2).mean())


@claim(mutants=[dict(width=50.0)])
def empirical_score_memorises(width=1.0):
    r"""With the exact score of three training points the deterministic sampler ends at training points: observed for
    300 trajectories, of which more than 97 % end within 0.02 of one (at $t = 10^{-4}$, where $\bar\beta = 0.003$).
    """
    return ForEach((0,), lambda _: (_memorised(width) > 0.97, True), over="300 trajectories", observed=True)


def figures() -> dict[str, Any]:
    """Paths of the probability flow over the densities of a mixture."""
    from matplotlib.figure import Figure

    means, stds, weights = np.array([-0.8, 0.1, 0.9]), np.array([0.05, 0.15, 0.02]), np.array([0.3, 0.5, 0.2])
    times = np.linspace(1.0, 1e-3, 400)

    def bars(t: float) -> tuple[float, float]:
        integral = 0.1 * t + t * t / 2 * 19.9
        return float(np.exp(-integral / 2)), float(-np.expm1(-integral))

    def parts(x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        a, b2 = bars(t)
        variance = a * a * stds**2 + b2
        gap = x[:, None] - a * means
        return weights * np.exp(-(gap**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance), gap, variance

    x = np.linspace(-2.2, 2.2, 15)
    paths = [x]
    for t, s in pairwise(times):
        density, gap, variance = parts(x, t)
        score = -(density * gap / variance).sum(1) / density.sum(1)
        (a, b2), (a1, b1) = bars(t), bars(s)
        eps = -np.sqrt(b2) * score
        x = a1 * (x - np.sqrt(b2) * eps) / a + np.sqrt(b1) * eps
        paths.append(x)
    grid = np.linspace(-2.5, 2.5, 300)
    heat = np.stack([np.sqrt(parts(grid, t)[0].sum(1)) for t in times], axis=1)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.pcolormesh(times, grid, np.minimum(heat, 1.2), cmap="Greys", shading="auto", rasterized=True)
    axes.plot(times, np.array(paths), color="C0", linewidth=0.9)
    axes.set(xlabel="time t", ylabel="x", xlim=(1, 0))
    return {"probability-flow": figure}
