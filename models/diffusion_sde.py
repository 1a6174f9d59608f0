r"""Diffusion in continuous time: linear equations, their reverse, samplers, likelihood, and a law to test them on.

Su Jianlin, 《生成扩散模型漫谈》 5 and 6, 2022, archives 9209, 9228; Song et al., Score-Based Generative Modeling
through Stochastic Differential Equations, 2021, arXiv 2011.13456.

    dx = f_t x dt + g_t dw,   p(x_t|x_0) = N(ᾱ_t x_0, β̄_t² I),   f = ᾱ'/ᾱ,   g² = ᾱ² (β̄²/ᾱ²)'

A score is a function (x, t) -> ∇ln p_t(x) of x (batch, …) and a float t in (0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ._torch import draw_normal, source

__all__ = [
    "CustomSDE",
    "GaussianMixture",
    "LinearSDE",
    "SubVPSDE",
    "VESDE",
    "VPSDE",
    "dsm_loss",
    "flow_map",
    "log_likelihood",
    "sample_sde",
]

Score = Callable[[Tensor, float], Tensor]


class LinearSDE:
    """A linear equation by its ᾱ_t and β̄_t (claim diffusion_sde/linear-coefficients). Subclasses give the four."""

    end = 1.0

    def alpha_bar(self, t: float) -> float:
        raise NotImplementedError

    def beta_bar(self, t: float) -> float:
        raise NotImplementedError

    def f(self, t: float) -> float:
        raise NotImplementedError

    def g2(self, t: float) -> float:
        raise NotImplementedError

    def prior_std(self) -> float:
        """Standard deviation of the start of sampling, N(0, σ² I)."""
        return 1.0

    def marginal(self, x0: Float[Tensor, "*shape"], t: float) -> tuple[Float[Tensor, "*shape"], float]:
        """Mean and standard deviation of x_t given x_0.

        Raises:
            ValueError: t outside [0, end].
        """
        if not 0 <= t <= self.end:
            raise ValueError(f"t must be in [0, {self.end}], got {t}")
        return self.alpha_bar(t) * x0, self.beta_bar(t)

    def reverse_drift(self, x: Float[Tensor, "*shape"], t: float, score: Score, sigma: float | None = None) -> Tensor:
        """f x − ½(g² + σ²)s, the backward drift with noise σ; σ = g by default, σ = 0 is the probability flow, and
        σ > g is allowed (claim diffusion_sde/equal-marginal-family)."""
        g2 = self.g2(t)
        return self.f(t) * x - 0.5 * (g2 + (g2 if sigma is None else sigma**2)) * score(x, t)


class VPSDE(LinearSDE):
    """ᾱ = e^{−I/2}, I = ∫β, β linear from `beta_min` to `beta_max`."""

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        if not 0 < beta_min <= beta_max < math.inf:
            raise ValueError(f"beta_min and beta_max must satisfy 0 < min ≤ max, got {beta_min}, {beta_max}")
        self.beta_min, self.beta_max = beta_min, beta_max

    def beta(self, t: float) -> float:
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def integral(self, t: float) -> float:
        return t * self.beta_min + t * t / 2 * (self.beta_max - self.beta_min)

    def alpha_bar(self, t: float) -> float:
        return math.exp(-self.integral(t) / 2)

    def beta_bar(self, t: float) -> float:
        return math.sqrt(-math.expm1(-self.integral(t)))

    def f(self, t: float) -> float:
        return -self.beta(t) / 2

    def g2(self, t: float) -> float:
        return self.beta(t)


class SubVPSDE(VPSDE):
    """β̄ = 1 − e^{−I}, less noise than VP at every time (claim diffusion_sde/sub-vp)."""

    def beta_bar(self, t: float) -> float:
        return -math.expm1(-self.integral(t))

    def g2(self, t: float) -> float:
        return self.beta(t) * -math.expm1(-2 * self.integral(t))


class VESDE(LinearSDE):
    """ᾱ ≡ 1, σ(t) = σ_min (σ_max/σ_min)^t, β̄² = σ(t)² − σ_min² (claim diffusion_sde/ve)."""

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        if not 0 < sigma_min < sigma_max < math.inf:
            raise ValueError(f"sigma_min and sigma_max must satisfy 0 < min < max, got {sigma_min}, {sigma_max}")
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def sigma(self, t: float) -> float:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t

    def alpha_bar(self, t: float) -> float:
        return 1.0

    def beta_bar(self, t: float) -> float:
        return self.sigma_min * math.sqrt(math.expm1(2 * t * math.log(self.sigma_max / self.sigma_min)))

    def f(self, t: float) -> float:
        return 0.0

    def g2(self, t: float) -> float:
        return 2 * math.log(self.sigma_max / self.sigma_min) * self.sigma(t) ** 2

    def prior_std(self) -> float:
        return self.beta_bar(1.0)


class CustomSDE(LinearSDE):
    """Any ᾱ and β̄, functions of a float64 tensor; f and g² by automatic differentiation."""

    def __init__(self, alpha_bar: Callable[[Tensor], Tensor], beta_bar: Callable[[Tensor], Tensor]) -> None:
        self._alpha, self._beta = alpha_bar, beta_bar

    def _both(self, function: Callable[[Tensor], Tensor], t: float) -> tuple[float, float]:
        with torch.enable_grad():
            time = torch.tensor(t, dtype=torch.float64, requires_grad=True)
            value = function(time)
            slope = torch.autograd.grad(value, time)[0] if value.requires_grad else torch.zeros(())
        return float(value.detach()), float(slope)

    def alpha_bar(self, t: float) -> float:
        return self._both(self._alpha, t)[0]

    def beta_bar(self, t: float) -> float:
        return self._both(self._beta, t)[0]

    def f(self, t: float) -> float:
        a, a1 = self._both(self._alpha, t)
        return a1 / a

    def g2(self, t: float) -> float:
        (a, a1), (b, b1) = self._both(self._alpha, t), self._both(self._beta, t)
        found = 2 * b * b1 - 2 * b * b * a1 / a
        if found < 0:
            raise ValueError(f"beta_bar/alpha_bar must not decrease, but it does at t = {t:.6g}")
        return found

    def prior_std(self) -> float:
        return self.beta_bar(1.0)


class GaussianMixture:
    """Data whose score is known: Σ_i w_i N(m_i, s_i² I). The reference network of every test of a sampler.

    Args:
        means: (components, dim).
        stds: (components,), each ≥ 0; 0 is a point.
        weights: (components,), positive; equal by default.
    """

    def __init__(
        self, means: Float[Tensor, "components dim"], stds: Float[Tensor, "components"],
        weights: Float[Tensor, "components"] | None = None,
    ) -> None:  # fmt: skip
        if means.ndim != 2 or stds.shape != means.shape[:1]:
            raise ValueError(f"means must be (components, dim) and stds (components,), got {means.shape}, {stds.shape}")
        self.means, self.stds = means, stds
        weights = torch.ones_like(stds) if weights is None else weights
        if not bool((weights > 0).all()) or not bool((stds >= 0).all()):
            raise ValueError("weights must be positive and stds not negative")
        self.weights = weights / weights.sum()

    def _log_parts(self, x: Tensor, a: float, b: float) -> tuple[Tensor, Tensor, Tensor]:
        """ln w_i N(x; a m_i, a² s_i² + b²), the deviations and the variances."""
        variance = (a * self.stds) ** 2 + b * b
        gap = x[:, None] - a * self.means
        dim = x.shape[1]
        log = self.weights.log() - gap.square().sum(-1) / (2 * variance) - dim / 2 * (2 * math.pi * variance).log()
        return log, gap, variance

    def log_prob(self, x: Float[Tensor, "batch dim"], a: float = 1.0, b: float = 0.0) -> Float[Tensor, "batch"]:
        """ln p of a x_0 + b ε."""
        return self._log_parts(x, a, b)[0].logsumexp(-1)

    def score(self, x: Float[Tensor, "batch dim"], a: float = 1.0, b: float = 0.0) -> Float[Tensor, "batch dim"]:
        """∇ln p of a x_0 + b ε at x (claim diffusion_sde/score-average)."""
        log, gap, variance = self._log_parts(x, a, b)
        return -(log.softmax(-1)[..., None] * gap / variance[:, None]).sum(1)

    def score_of(self, sde: LinearSDE) -> Score:
        return lambda x, t: self.score(x, sde.alpha_bar(t), sde.beta_bar(t))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "count dim"]:
        weights = self.weights.to(source(self.weights, generator))
        which = torch.multinomial(weights, count, replacement=True, generator=generator).to(self.means.device)
        noise = draw_normal(self.means, generator, (count, self.means.shape[1]))
        return self.means[which] + self.stds[which, None] * noise


def dsm_loss(
    score: Score,
    sde: LinearSDE,
    x0: Float[Tensor, "batch *shape"],
    t: float,
    noise: Float[Tensor, "batch *shape"],
    weighting: str = "std",
) -> Float[Tensor, ""]:
    """Denoising score matching at one time, meaned over values: ‖β̄ s + ε‖² ("std"), times g²/β̄² ("likelihood"), or
    ‖s + ε/β̄‖² ("uniform"); claim diffusion_sde/dsm-eps-form."""
    mean, std = sde.marginal(x0, t)
    residual = std * score(mean + std * noise, t) + noise
    scale = {"std": 1.0, "likelihood": sde.g2(t) / std**2, "uniform": 1 / std**2}
    if weighting not in scale:
        raise ValueError(f"weighting must be one of {', '.join(scale)}, got {weighting!r}")
    return scale[weighting] * residual.square().mean()


SAMPLERS = ("euler-maruyama", "reverse-diffusion", "ode-euler", "ode-heun", "ode-rk4")


@torch.no_grad()
def sample_sde(
    score: Score,
    sde: LinearSDE,
    x: Float[Tensor, "batch *shape"],
    *,
    steps: int = 1000,
    sampler: str = "euler-maruyama",
    churn: float = 1.0,
    corrector_steps: int = 0,
    snr: float = 0.16,
    stop: float = 1e-3,
    denoise: bool = True,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch *shape"]:
    """Runs the reverse equation from x at t = 1 to t = stop.

    Args:
        sampler: "euler-maruyama" with noise σ = churn·g; "reverse-diffusion", the exact mean of a linear step; or the
            probability flow by Euler, Heun or the classical Runge–Kutta method.
        corrector_steps: Langevin steps behind each, with the step size 2(snr ‖z‖/‖s‖)².
        denoise: end with E[x_0|x_stop] instead of x_stop.

    Raises:
        ValueError: an unknown sampler, steps < 1, stop outside (0, 1), snr ≤ 0, or a score of another shape than x.
    """
    if not snr > 0:
        raise ValueError(f"snr must be > 0, got {snr}")
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if steps < 1 or not 0 < stop < 1:
        raise ValueError(f"steps must be at least 1 and stop in (0, 1), got {steps}, {stop}")

    def checked(x: Tensor, t: float) -> Tensor:
        found = network(x, t)
        if found.shape != x.shape:
            raise ValueError(f"the score must return the shape {tuple(x.shape)}, got {tuple(found.shape)}")
        return found

    network, score = score, checked

    def flow(x: Tensor, t: float) -> Tensor:
        return sde.reverse_drift(x, t, score, sigma=0.0)

    times = [1 + (stop - 1) * i / steps for i in range(steps + 1)]
    for t, s in pairwise(times):
        h = t - s
        if sampler == "euler-maruyama":
            sigma = churn * math.sqrt(sde.g2(t))
            x = x - h * sde.reverse_drift(x, t, score, sigma) + sigma * math.sqrt(h) * draw_normal(x, generator)
        elif sampler == "reverse-diffusion":
            ratio = sde.alpha_bar(t) / sde.alpha_bar(s)
            variance = sde.beta_bar(t) ** 2 - ratio**2 * sde.beta_bar(s) ** 2
            x = (x + variance * score(x, t)) / ratio + math.sqrt(variance) / ratio * draw_normal(x, generator)
        elif sampler == "ode-euler":
            x = x - h * flow(x, t)
        elif sampler == "ode-heun":
            k1 = flow(x, t)
            x = x - h / 2 * (k1 + flow(x - h * k1, s))
        else:
            x = _rk4(flow, x, t, s)
        for _ in range(corrector_steps):
            z, gradient = draw_normal(x, generator), score(x, s)
            size = 2 * (snr * z.flatten(1).norm(dim=1).mean() / gradient.flatten(1).norm(dim=1).mean()) ** 2
            x = x + size * gradient + (2 * size).sqrt() * z
    if denoise:
        x = (x + sde.beta_bar(stop) ** 2 * score(x, stop)) / sde.alpha_bar(stop)
    return x


def _rk4(flow: Callable[[Tensor, float], Tensor], x: Tensor, t: float, s: float) -> Tensor:
    h = s - t
    k1 = flow(x, t)
    k2 = flow(x + h / 2 * k1, t + h / 2)
    k3 = flow(x + h / 2 * k2, t + h / 2)
    k4 = flow(x + h * k3, s)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@torch.no_grad()
def flow_map(
    score: Score, sde: LinearSDE, x: Float[Tensor, "batch *shape"], start: float, end: float, *, steps: int = 200
) -> Float[Tensor, "batch *shape"]:
    """The probability flow from time `start` to `end`, either way, by the classical Runge–Kutta method."""
    for i in range(steps):
        t, s = (start + (end - start) * k / steps for k in (i, i + 1))
        x = _rk4(lambda x, t: sde.reverse_drift(x, t, score, sigma=0.0), x, t, s)
    return x


def log_likelihood(
    score: Score,
    sde: LinearSDE,
    x: Float[Tensor, "batch *shape"],
    *,
    steps: int = 200,
    start: float = 1e-5,
    divergence: str = "exact",
    generator: torch.Generator | None = None,
    prior: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "batch"]:
    """ln p(x) = ln π(x_1) + ∫∇·(f − ½g²s)dt along the probability flow, in nats (claim diffusion_sde/likelihood).

    Args:
        divergence: "exact", a vector-Jacobian product for each value, or "hutchinson" with one probe of signs.
        prior: ln π; that of N(0, prior_std²) by default.
    """
    if divergence not in ("exact", "hutchinson"):
        raise ValueError(f"divergence must be exact or hutchinson, got {divergence!r}")
    probe = None
    if divergence == "hutchinson":
        probe = (torch.randint(2, x.shape, generator=generator, device=source(x, generator)) * 2 - 1).to(x)

    def speed(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            drift = sde.reverse_drift(x, t, score, sigma=0.0)
            if probe is not None:
                trace = (torch.autograd.grad((drift * probe).sum(), x)[0] * probe).flatten(1).sum(1)
            else:
                flat = drift.flatten(1)
                rows = [torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True)[0] for i in range(flat.shape[1])]
                trace = sum(row.flatten(1)[:, i] for i, row in enumerate(rows))  # type: ignore[assignment]
        return drift.detach(), trace.detach()

    total = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    for i in range(steps):
        t, s = (start + (1 - start) * k / steps for k in (i, i + 1))
        h = s - t
        k1, d1 = speed(x, t)
        k2, d2 = speed(x + h / 2 * k1, t + h / 2)
        k3, d3 = speed(x + h / 2 * k2, t + h / 2)
        k4, d4 = speed(x + h * k3, s)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total = total + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    if prior is None:
        std = sde.prior_std()
        values = x[0].numel()
        last = -x.flatten(1).square().sum(1) / (2 * std**2) - values * (math.log(std) + 0.5 * math.log(2 * math.pi))
    else:
        last = prior(x)
    return last + total
