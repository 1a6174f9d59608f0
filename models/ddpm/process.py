"""The steps of the diffusion: forward, posterior, DDPM, DDIM, and the evidence bound.

A denoiser is any function (x, t) -> ε of images (batch, …) and integer times (batch,) in 1..T. Coefficients are taken
from float64 tables and cast to the images' type last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .._torch import draw_normal
from .schedule import NoiseSchedule

Denoiser = Callable[[Tensor, Tensor], Tensor]
VARIANCES = ("small", "large")


def at(table: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """table[t] shaped to multiply x, (batch, 1, …), in x's type."""
    return table[t].to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))


def _check_times(t: Tensor, x: Tensor, schedule: NoiseSchedule, least: int = 1) -> None:
    if t.is_floating_point():
        raise ValueError(f"t must hold integers, got {t.dtype}: indexing would cut them off silently")
    if t.ndim != 1 or len(t) != len(x):
        raise ValueError(f"t must have one time for each of the {len(x)} images, got shape {tuple(t.shape)}")
    if not torch.compiler.is_compiling() and t.device.type == "cpu" and len(t):
        if int(t.min()) < least or int(t.max()) > schedule.steps:
            raise ValueError(f"t must lie in {least}..{schedule.steps}, got {int(t.min())}..{int(t.max())}")


def _check_step(s: int, t: int, schedule: NoiseSchedule) -> None:
    if not 0 <= s < t <= schedule.steps:
        raise ValueError(f"s and t must satisfy 0 ≤ s < t ≤ {schedule.steps}, got s = {s}, t = {t}")


def q_sample(
    x0: Float[Tensor, "batch *shape"],
    t: Int[Tensor, "batch"],
    noise: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
) -> Float[Tensor, "batch *shape"]:
    """x_t = ᾱ_t x_0 + β̄_t ε (claim ddpm/closed-form-marginal).

    Raises:
        ValueError: images of integers, noise of another shape, or times that aren't integers in 1..T, one an image.
    """
    if not x0.is_floating_point():
        raise ValueError(f"x0 must be a floating point tensor, scaled to about [−1, 1], got {x0.dtype}")
    if noise.shape != x0.shape:
        raise ValueError(f"noise must have the shape {tuple(x0.shape)} of x0, got {tuple(noise.shape)}")
    _check_times(t, x0, schedule)
    return at(schedule.alpha_bar, t, x0) * x0 + at(schedule.beta_bar, t, x0) * noise


def q_posterior(
    x0: Float[Tensor, "batch *shape"],
    xt: Float[Tensor, "batch *shape"],
    t: Int[Tensor, "batch"],
    schedule: NoiseSchedule,
) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "batch *ones"]]:
    """Mean and variance of x_{t−1} given x_t and x_0 (claim ddpm/posterior-given-x0); at t = 1 the point x_0."""
    _check_times(t, x0, schedule)
    s = schedule
    variance = (s.beta_bar[t - 1] * s.beta[t] / s.beta_bar[t]).square()
    from_xt = s.alpha[t] * s.beta_bar[t - 1].square() / s.beta_bar[t].square()
    from_x0 = s.alpha_bar[t - 1] * s.beta[t].square() / s.beta_bar[t].square()
    shape = (-1, *[1] * (x0.ndim - 1))
    mean = from_xt.to(xt.dtype).reshape(shape) * xt + from_x0.to(x0.dtype).reshape(shape) * x0
    return mean, variance.to(x0.dtype).reshape(shape)


def eps_to_x0(
    xt: Float[Tensor, "batch *shape"],
    t: Int[Tensor, "batch"],
    eps: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
) -> Float[Tensor, "batch *shape"]:
    """x̂_0 = (x_t − β̄_t ε)/ᾱ_t."""
    return (xt - at(schedule.beta_bar, t, xt) * eps) / at(schedule.alpha_bar, t, xt)


def x0_to_eps(
    xt: Float[Tensor, "batch *shape"],
    t: Int[Tensor, "batch"],
    x0: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
) -> Float[Tensor, "batch *shape"]:
    """ε = (x_t − ᾱ_t x_0)/β̄_t."""
    return (xt - at(schedule.alpha_bar, t, xt) * x0) / at(schedule.beta_bar, t, xt)


def ddim_step(
    xt: Float[Tensor, "batch *shape"],
    t: int,
    s: int,
    eps: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
    *,
    eta: float = 0.0,
    sigma: float | None = None,
    noise: Float[Tensor, "batch *shape"] | None = None,
) -> Float[Tensor, "batch *shape"]:
    """One step t → s < t of the family of claim ddpm/ddim-family; s = 0 is the data.

    Args:
        eta: σ = η β̃, η = 0 is DDIM and η = 1 DDPM (claim ddpm/ddim-contains-ddpm).
        sigma: σ itself instead of eta.
        noise: N(0, I), needed if σ > 0 and s > 0.

    Raises:
        ValueError: s ≥ t, both eta and sigma, or σ outside [0, β̄_s], where no member of the family exists
            (claim ddpm/sigma-beta-not-always-admissible); nothing is clamped.
    """
    if sigma is None:
        sigma = eta * math.sqrt(posterior_variance(s, t, schedule))
    elif eta:
        raise ValueError(f"eta and sigma exclude each other, got eta = {eta}, sigma = {sigma}")
    mean = step_mean(xt, t, s, eps, schedule, sigma)
    if sigma == 0 or s == 0:
        return mean
    if noise is None:
        raise ValueError(f"noise must be given for sigma = {sigma:.6g} > 0")
    return mean + sigma * noise


def posterior_variance(s: int, t: int, schedule: NoiseSchedule) -> float:
    """β̃² of a step t → s: (β̄_s/β̄_t)² (1 − (ᾱ_t/ᾱ_s)²)."""
    _check_step(s, t, schedule)
    start, end = schedule.level(t), schedule.level(s)
    return (end.beta_bar / start.beta_bar) ** 2 * max(0.0, 1 - (start.alpha_bar / end.alpha_bar) ** 2)


def step_mean(
    xt: Float[Tensor, "batch *shape"],
    t: int,
    s: int,
    eps: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
    sigma: float,
) -> Float[Tensor, "batch *shape"]:
    """ᾱ_s x̂_0 + √(β̄_s² − σ²) ε: the mean of the family's member σ. Raises ValueError as `ddim_step`."""
    _check_step(s, t, schedule)
    (*_, a_s, b_s), (*_, a_t, b_t) = schedule.level(s), schedule.level(t)
    if not 0 <= sigma <= b_s * (1 + 1e-12):
        raise ValueError(f"sigma must be in [0, β̄_s = {b_s:.6g}], got {sigma:.6g}")
    return a_s * ((xt - b_t * eps) / a_t) + math.sqrt(max(0.0, b_s**2 - sigma**2)) * eps


def ddpm_step(
    xt: Float[Tensor, "batch *shape"],
    t: int,
    s: int,
    eps: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
    *,
    variance: str | float = "small",
    noise: Float[Tensor, "batch *shape"] | None = None,
) -> Float[Tensor, "batch *shape"]:
    """The posterior mean of x_s with noise of the variance β̃² ("small"), 1 − (ᾱ_t/ᾱ_s)² ("large") or a number.

    "large" is outside of DDIM's family: the mean of η = 1 with more noise, as the papers' samplers have it.

    Raises:
        ValueError: s ≥ t, an unknown variance, or noise missing.
    """
    if isinstance(variance, str) and variance not in VARIANCES:
        raise ValueError(f"variance must be small, large or a number, got {variance!r}")
    small = posterior_variance(s, t, schedule)
    mean = step_mean(xt, t, s, eps, schedule, math.sqrt(small))
    if variance == "large":
        value = 1 - (schedule.level(t).alpha_bar / schedule.level(s).alpha_bar) ** 2
    else:
        value = small if variance == "small" else float(variance)
    if value < 0:
        raise ValueError(f"variance must be at least 0, got {value}")
    if s == 0 or value == 0:
        return mean
    if noise is None:
        raise ValueError(f"noise must be given for the variance {value:.6g} > 0")
    return mean + math.sqrt(value) * noise


def sub_sequence(steps: int, total: int) -> list[int]:
    """0 = τ_0 < τ_1 < … < τ_K = T, as equal as integers allow.

    Raises:
        ValueError: steps is not in 1..total.
    """
    if not 1 <= steps <= total:
        raise ValueError(f"steps must be in 1..{total}, got {steps}")
    return [round(i * total / steps) for i in range(steps + 1)]


def chain_of(schedule: NoiseSchedule, steps: int | None, times: Sequence[int] | None) -> list[int]:
    """The times of a chain: K equal steps, the times given, or all of them.

    Raises:
        ValueError: both, or times that don't increase from 0 to T.
    """
    if steps is not None and times is not None:
        raise ValueError("steps and times exclude each other")
    if times is None:
        return sub_sequence(schedule.steps if steps is None else steps, schedule.steps)
    chain = list(times)
    if len(chain) < 2 or chain[0] != 0 or chain[-1] != schedule.steps or any(s >= t for s, t in pairwise(chain)):
        raise ValueError(f"times must increase strictly from 0 to {schedule.steps}, got {chain}")
    return chain


@torch.no_grad()
def sample_chain(
    denoiser: Denoiser,
    x: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
    *,
    steps: int | None = None,
    times: Sequence[int] | None = None,
    sampler: str = "ddpm",
    variance: str = "large",
    eta: float = 0.0,
    clip_x0: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch *shape"]:
    """Runs a chain from x_T = x to x_0.

    Args:
        steps: K equal steps of the T, or
        times: 0 = τ_0 < … < τ_K = T.
        sampler: "ddpm" with `variance`, or "ddim" with `eta`.
        clip_x0: keep x̂_0 in [−1, 1]; ε is recomputed from it, so that a DDIM step stays consistent.

    Raises:
        ValueError: both steps and times, times that don't increase from 0 to T, or an unknown sampler.
    """
    if sampler not in ("ddpm", "ddim"):
        raise ValueError(f"sampler must be ddpm or ddim, got {sampler!r}")
    for s, t in reversed(list(pairwise(chain_of(schedule, steps, times)))):
        when = torch.full((len(x),), t, device=x.device)
        eps = denoiser(x, when)
        if eps.shape != x.shape:
            raise ValueError(f"the denoiser must return the shape {tuple(x.shape)}, got {tuple(eps.shape)}")
        if clip_x0:
            eps = x0_to_eps(x, when, eps_to_x0(x, when, eps, schedule).clamp(-1, 1), schedule)
        noise = draw_normal(x, generator) if s else None
        if sampler == "ddpm":
            x = ddpm_step(x, t, s, eps, schedule, variance=variance, noise=noise)
        else:
            x = ddim_step(x, t, s, eps, schedule, eta=eta, noise=noise)
    return x


@torch.no_grad()
def ddim_encode(
    denoiser: Denoiser, x0: Float[Tensor, "batch *shape"], schedule: NoiseSchedule, *, steps: int | None = None
) -> Float[Tensor, "batch *shape"]:
    """x_0 to x_T by the deterministic equation run forwards (claim ddpm/ddim-ode); the first step uses ε at t = 1."""
    x = x0
    for s, t in pairwise(chain_of(schedule, steps, None)):
        eps = denoiser(x, torch.full((len(x),), max(s, 1), device=x.device))
        (*_, a_s, b_s), (*_, a_t, b_t) = schedule.level(s), schedule.level(t)
        x = a_t * ((x - b_s * eps) / a_s) + b_t * eps
    return x


@torch.no_grad()
def elbo_terms(
    denoiser: Denoiser,
    x0: Float[Tensor, "batch *shape"],
    schedule: NoiseSchedule,
    *,
    levels: int = 256,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """(L_T, [L_1, …, L_{T−1}], L_0) in nats per image, with the posterior's variance and one noise for each term.

    L_0 integrates a Gaussian over the bins of data with `levels` grey levels in [−1, 1], the outer bins open (Ho et
    al., equation 13); its variance is that of t = 2. The sum over log 2 and the number of values is bits per dimension.
    """
    batch = len(x0)
    a_T2 = schedule.level(schedule.steps).alpha_bar ** 2
    values = x0[0].numel()
    last = 0.5 * (a_T2 * x0.flatten(1).double().square().sum(1) - values * a_T2 - values * math.log1p(-a_T2))
    middle = []
    for t in range(2, schedule.steps + 1):
        noise = draw_normal(x0, generator)
        when = torch.full((batch,), t, device=x0.device)
        eps = denoiser(q_sample(x0, when, noise, schedule), when)
        alpha, beta, *_ = schedule.level(t)
        weight = 0.5 * (beta / (schedule.level(t - 1).beta_bar * alpha)) ** 2
        middle.append(weight * (noise - eps).flatten(1).double().square().sum(1))
    when = torch.ones(batch, dtype=torch.long, device=x0.device)
    noise = draw_normal(x0, generator)
    xt = q_sample(x0, when, noise, schedule)
    mean = eps_to_x0(xt, when, denoiser(xt, when), schedule)
    two = min(2, schedule.steps)
    deviation = schedule.level(two - 1).beta_bar * schedule.level(two).beta / schedule.level(two).beta_bar
    half = 1 / (levels - 1)
    upper = torch.where(x0 > 1 - half, math.inf, (x0 + half - mean) / deviation)
    lower = torch.where(x0 < -1 + half, -math.inf, (x0 - half - mean) / deviation)
    mass = (torch.special.ndtr(upper.double()) - torch.special.ndtr(lower.double())).clamp(min=1e-12)
    stacked = torch.stack(middle, dim=1) if middle else last.new_zeros(batch, 0)
    return last, stacked, -mass.log().flatten(1).sum(1)


def spherical_interp(
    z1: Float[Tensor, "*shape"], z2: Float[Tensor, "*shape"], weight: float
) -> Float[Tensor, "*shape"]:
    """cos(λπ/2) z₁ + sin(λπ/2) z₂: N(0, I) again for independent latents (claim ddpm/interpolation)."""
    return math.cos(weight * math.pi / 2) * z1 + math.sin(weight * math.pi / 2) * z2
