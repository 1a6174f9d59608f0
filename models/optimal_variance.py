r"""The optimal variance of the reverse step: Analytic-DPM, and its estimates from a denoiser.

Su Jianlin, 《生成扩散模型漫谈》 7 and 8, 2022, archives 9245, 9246; Bao et al., Analytic-DPM, 2022, arXiv
2201.06503, and Estimating the Optimal Covariance with Imperfect Mean, 2022, arXiv 2206.07309.

The variance of a step t → s is λ² + γ²σ̄_t², where γ = ᾱ_s − ᾱ_t √(β̄_s² − λ²)/β̄_t multiplies x_0 and σ̄_t² =
E tr Cov(x_0|x_t)/d (claim optimal_variance/mixture-variance).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ._torch import draw_normal
from .ddpm import NoiseSchedule
from .ddpm.process import Denoiser, chain_of, posterior_variance, q_sample, step_mean

__all__ = [
    "AnalyticSampler",
    "NoiseVarianceHead",
    "noise_second_moments",
    "optimal_sigma2",
    "optimal_trajectory",
    "sigma_bar2",
]

METHODS = ("eps", "x0", "residual")


def step_gamma(s: int, t: int, lambda2: float, schedule: NoiseSchedule) -> float:
    """γ of the step t → s."""
    (*_, a_s, b_s), (*_, a_t, b_t) = schedule.level(s), schedule.level(t)
    if not 0 <= lambda2 <= b_s**2 * (1 + 1e-12):
        raise ValueError(f"lambda2 must be in [0, β̄_s² = {b_s**2:.6g}], got {lambda2:.6g}")
    return a_s - a_t * math.sqrt(max(0.0, b_s**2 - lambda2)) / b_t


def optimal_sigma2(s: int, t: int, lambda2: float, sigma_bar2: float, schedule: NoiseSchedule) -> float:
    """λ² + γ²σ̄_t² (claim optimal_variance/analytic-dpm-theorem1)."""
    return lambda2 + step_gamma(s, t, lambda2, schedule) ** 2 * sigma_bar2


@torch.no_grad()
def noise_second_moments(
    denoiser: Denoiser,
    x0: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
    *,
    generator: torch.Generator | None = None,
) -> dict[str, Float[Tensor, "steps"]]:
    """For t = 0..T the means over values of ε_θ², (ε − ε_θ)² and ((x_t − β̄ε_θ)/ᾱ − E x_0)², float64; 0 at t = 0."""
    table = {name: torch.zeros(schedule.steps + 1, dtype=torch.float64) for name in METHODS}
    centre = x0.mean(0, keepdim=True)
    for t in range(1, schedule.steps + 1):
        when = torch.full((len(x0),), t, device=x0.device)
        noise = draw_normal(x0, generator)
        xt = q_sample(x0, when, noise, schedule)
        eps = denoiser(xt, when)
        mean = (xt - schedule.level(t).beta_bar * eps) / schedule.level(t).alpha_bar
        for name, value in (("eps", eps), ("residual", noise - eps), ("x0", mean - centre)):
            table[name][t] = value.double().square().mean()
    return table


def sigma_bar2(
    moments: dict[str, Tensor],
    schedule: NoiseSchedule,
    *,
    method: str = "residual",
    data_variance: float | None = None,
    most: float | None = None,
) -> Float[Tensor, "steps"]:
    """σ̄_t² for t = 0..T from `noise_second_moments`, at least 0.

    Args:
        method: "eps": (β̄²/ᾱ²)(1 − E ε_θ²), best where there is little noise; "x0": v − Var μ̄, best where there is
            much; "residual": (β̄²/ᾱ²)E(ε − ε_θ)², never negative and right for an imperfect mean (claims
            optimal_variance/estimator-variance, imperfect-mean-bias).
        data_variance: v per value: needed by "x0"; otherwise the bound 1/σ̄² ≥ 1/v + ᾱ²/β̄² is applied, if given
            (claim optimal_variance/harmonic-bound).
        most: an upper bound, ((b − a)/2)² for data in [a, b].

    Raises:
        ValueError: an unknown method, "x0" without data_variance, data_variance ≤ 0, or moments of the wrong number or
            not finite.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if method == "x0" and data_variance is None:
        raise ValueError("data_variance must be given for method='x0'")
    if data_variance is not None and not 0 < data_variance < math.inf:
        raise ValueError(f"data_variance must be a finite number > 0, got {data_variance}")
    if len(moments[method]) != schedule.steps + 1 or not bool(moments[method].isfinite().all()):
        found_ = f"{len(moments[method])}, {int(moments[method].isfinite().sum())} of them finite"
        raise ValueError(f"moments must hold T + 1 = {schedule.steps + 1} finite numbers, got {found_}")
    ratio = (schedule.beta_bar / schedule.alpha_bar).square().cpu()
    if method == "eps":
        found = ratio * (1 - moments["eps"])
    elif method == "x0":
        found = float(data_variance or 0) - moments["x0"]
    else:
        found = ratio * moments["residual"]
    found = found.clamp(min=0)
    if data_variance is not None:
        found = torch.minimum(found, data_variance * ratio / (data_variance + ratio))
    if most is not None:
        found = found.clamp(max=most)
    found[0] = 0
    return found


class AnalyticSampler:
    """DDPM or DDIM steps with the optimal variance.

    For Gaussian data and the exact denoiser every marginal is exact at any number of steps (claim
    optimal_variance/gaussian-exactness).

    Args:
        sigma_bar2: σ̄_t² for t = 0..T.
        eta: λ = η β̃; 0 is Analytic-DDIM, 1 Analytic-DDPM.
        last_std: bound of the standard deviation of the noise in the last stochastic step; the papers' rule for y grey
            levels is y·(2/255)·√(π/2) (claim optimal_variance/clip-last-step).
    """

    def __init__(
        self, schedule: NoiseSchedule, sigma_bar2: Float[Tensor, "steps"], *, eta: float = 1.0,
        last_std: float | None = None,
    ) -> None:  # fmt: skip
        if len(sigma_bar2) != schedule.steps + 1:
            raise ValueError(f"sigma_bar2 must have T + 1 = {schedule.steps + 1} values, got {len(sigma_bar2)}")
        if not bool((sigma_bar2 >= 0).all()):  # NaN isn't
            raise ValueError(f"sigma_bar2 must be ≥ 0, got {float(sigma_bar2.min()):.6g}")
        if not 0 <= eta <= 1:
            raise ValueError(f"eta must be in [0, 1], got {eta}")
        self.schedule, self.sigma_bar2, self.eta, self.last_std = schedule, sigma_bar2.tolist(), eta, last_std

    def variance(self, s: int, t: int) -> tuple[float, float]:
        """(λ², λ² + γ²σ̄_t²) of a step t → s."""
        lambda2 = self.eta**2 * posterior_variance(s, t, self.schedule)
        return lambda2, optimal_sigma2(s, t, lambda2, self.sigma_bar2[t], self.schedule)

    @torch.no_grad()
    def sample(
        self,
        denoiser: Denoiser,
        x: Float[Tensor, "batch *shape"],
        *,
        steps: int | None = None,
        times: Sequence[int] | None = None,
        final_noise: bool = False,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch *shape"]:
        """From x_T = x to x_0; with `final_noise` the last step to the data is noisy too, as exactness asks for."""
        chain = chain_of(self.schedule, steps, times)
        for s, t in reversed(list(pairwise(chain))):
            eps = denoiser(x, torch.full((len(x),), t, device=x.device))
            lambda2, total = self.variance(s, t)
            mean = step_mean(x, t, s, eps, self.schedule, math.sqrt(lambda2))
            deviation = math.sqrt(total)
            if self.last_std is not None and s == chain[1]:
                deviation = min(deviation, self.last_std)
            if s == 0 and not final_noise:
                deviation = 0.0
            x = mean + deviation * draw_normal(x, generator)
        return x


class NoiseVarianceHead(nn.Module):
    """A regression of (ε − ε_θ)² ("npr") or ε² ("sn") on x_t, behind features of a frozen network.

    Args:
        features: channels of the features.
        channels: of the images.
    """

    def __init__(self, features: int, channels: int, kind: str = "npr") -> None:
        super().__init__()
        if kind not in ("npr", "sn"):
            raise ValueError(f"kind must be npr or sn, got {kind!r}")
        self.kind = kind
        self.conv = nn.Conv2d(features, channels, 3, padding=1)

    def forward(self, features: Float[Tensor, "batch features height width"]) -> Tensor:
        return self.conv(features)

    def loss(self, features: Tensor, noise: Tensor, eps: Tensor) -> Float[Tensor, ""]:
        """Mean squared error of the regression; claims optimal_variance/npr and sn."""
        target = (noise - eps).square() if self.kind == "npr" else noise.square()
        return (self(features) - target.detach()).square().mean()

    @torch.no_grad()
    def residual(self, features: Tensor, eps: Tensor) -> Tensor:
        """The estimate of E[(ε − ε_θ)²|x_t], at least 0: the head itself, or h − ε_θ², which can be negative."""
        found = self(features)
        return (found if self.kind == "npr" else found - eps.square()).clamp(min=0)


def optimal_trajectory(cost: Float[Tensor, "times times"], steps: int) -> list[int]:
    """The path 0 = τ_0 < … < τ_K = N with the least Σ cost[τ_{k−1}, τ_k], in O(K N²) (claim
    optimal_variance/optimal-trajectory).

    Args:
        cost: J(s, t) for s < t; the rest is ignored.
    """
    last = cost.shape[0] - 1
    if cost.ndim != 2 or cost.shape[0] != cost.shape[1]:
        raise ValueError(f"cost must be square, got {tuple(cost.shape)}")
    if not 1 <= steps <= last:
        raise ValueError(f"steps must be in 1..{last}, got {steps}")
    table = torch.where(torch.ones_like(cost).triu(1).bool(), cost, torch.inf)
    best = torch.full((last + 1,), torch.inf, dtype=cost.dtype)
    best[0] = 0
    origins = []
    for _ in range(steps):
        total = best[:, None] + table
        best, origin = total.min(dim=0)
        origins.append(origin)
    path = [last]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return path[::-1]
