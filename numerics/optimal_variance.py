r"""The optimal variance in floating point: the torch formulas, and the estimators' errors.

Su Jianlin, 《生成扩散模型漫谈》 7 and 8, 2022, archives 9245, 9246.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from kexue import Conforms, claim

ALPHAS = [sp.Rational(k, 16) for k in (15, 14, 12, 9)]


@claim(mutants=[dict(power=1), dict(bracket=1)], needs=("torch",))
def analytic_dpm_theorem1(power=2, bracket=2):
    r"""`optimal_sigma2` is $\lambda^2 + \gamma^2\bar\sigma_t^2 = \lambda^2 + (\tfrac{\bar\beta_t}{\alpha} -
    \sqrt{\bar\beta_s^2 - \lambda^2})^2(1 - q)$ with $\bar\sigma_t^2 = \tfrac{\bar\beta_t^2}{\bar\alpha_t^2}(1-q)$.

    Observed in float64 for every jump of four dyadic steps, $\lambda^2 = \bar\beta_s^2/4$, q = ¾.
    """

    def bars(t: int) -> tuple[Any, Any]:
        a = sp.Mul(*ALPHAS[:t])
        return a, sp.sqrt(1 - a**2)

    def compute(case: tuple[int, int]) -> Any:
        import torch

        from kexue.models.ddpm import NoiseSchedule
        from kexue.models.optimal_variance import optimal_sigma2
        from kexue.statements.conforms import tensor

        schedule = NoiseSchedule(tensor(ALPHAS))
        s, t = case
        lambda2 = float(schedule.beta_bar[s]) ** 2 / 4
        bar = float(schedule.beta_bar[t] / schedule.alpha_bar[t]) ** 2 / 4
        return torch.tensor(optimal_sigma2(s, t, lambda2, bar, schedule), dtype=torch.float64)

    def exact(case: tuple[int, int]) -> Any:
        (a_s, b_s), (a_t, b_t) = bars(case[0]), bars(case[1])
        lambda2 = b_s**power / 4
        return lambda2 + (b_t * a_s / a_t - sp.sqrt(b_s**2 - b_s**2 / 4)) ** bracket / 4

    cases = [(s, t) for t in range(2, 5) for s in range(1, t)]
    return Conforms(compute, exact, cases, ulps=64, over="all jumps of four steps")


def figures() -> dict[str, Any]:
    """σ*²/β² against t with its bounds for a mixture, and the errors of three estimators against SNR."""
    from matplotlib.figure import Figure

    alpha2 = 1 - 0.02 * np.arange(1, 1001) / 1000
    bar2 = np.concatenate([[1.0], np.cumprod(alpha2)])
    t = np.arange(2, 1001)
    a2, before, now = alpha2[t - 1], bar2[t - 1], bar2[t]
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for v in (0.05, 0.25, 1.0):
        axes.semilogx(t, (before * v + 1 - before) / (now * v + 1 - now), label=f"Gaussian data, v = {v:g}")
    axes.semilogx(t, (1 - before) / (1 - now), "--", color="0.4", label="lower bound β̃²/β²")
    axes.semilogx(t, 1 / a2, ":", color="0.4", label="upper bound 1/α²")
    axes.set(xlabel="step t of 1000", ylabel="optimal variance / β_t²")
    axes.legend(frameon=False, fontsize=8)

    errors = Figure(figsize=(6.5, 4), layout="constrained")
    axes = errors.subplots()
    rng = np.random.default_rng(0)
    snr = np.geomspace(1e-3, 1e3, 13)
    found: dict[str, list[float]] = {"1 (spread of predictions)": [], "2 (norm of ε)": [], "3 (residual)": []}
    for ratio in snr:
        v, b2 = 1.0, 1 / (1 + ratio)
        a = np.sqrt(1 - b2)
        x0, e = rng.standard_normal((2, 400, 3200))
        x = a * x0 + np.sqrt(b2) * e
        eps = np.sqrt(b2) * x / (a * a * v + b2)
        mean = (x - np.sqrt(b2) * eps) / a
        exact = v * b2 / (a * a * v + b2)
        estimates = (v - (mean**2).mean(1), b2 / a**2 * (1 - (eps**2).mean(1)), b2 / a**2 * ((e - eps) ** 2).mean(1))
        for name, values in zip(found, estimates, strict=True):
            found[name].append(float(values.std() / exact))
    for name, values in found.items():
        axes.loglog(snr, values, marker="o", markersize=3, label=f"estimate {name}")
    axes.loglog(snr, np.sqrt(2 / 3200) * np.ones_like(snr), "--", color="0.5", label="√(2/dM)")
    axes.set(xlabel="signal-to-noise ratio", ylabel="relative standard deviation")
    axes.legend(frameon=False, fontsize=8)
    return {"optimal-variance": figure, "estimators": errors}
