"""Trainable densities: their own coefficients for each of C variables, or coefficients that a network gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .._model import Config, Model
from .._torch import full_precision
from .distribution import RealLineFourierDensity, line_log_bin_prob, line_log_prob, normalized, smoothness

OBJECTIVES = ("nll", "bits")


@dataclasses.dataclass(frozen=True)
class FourierDensityConfig(Config):
    """C densities on ℝ with N + 1 = num_freqs complex coefficients each.

    Attributes:
        init_scale: standard deviation of the coefficients at the start; a gauge of the density, but a small one makes
            Adam's first steps large beside them.
        gamma: weight of the penalty, on "p" (free of the scale of a) or on "f" (the article's).
        objective: "nll", −log q in nats; "bits", −log₂ of the bin of width `bin_width` around the value plus uniform
            noise.
    """

    num_pdfs: int = 1
    num_freqs: int = 14
    init_scale: float = 1e-3
    gamma: float = 0.0
    penalty_on: str = "p"
    objective: str = "nll"
    bin_width: float = 1.0

    def __post_init__(self) -> None:
        self.at_least(1, "num_pdfs", "num_freqs")
        _check_common(self)


def _check_common(config: FourierDensityConfig | ConditionalFourierDensityConfig) -> None:
    for name in ("init_scale", "bin_width"):
        if not 0 < getattr(config, name) < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {getattr(config, name)}")
    config.at_least(0, "gamma")
    if config.penalty_on not in ("p", "f"):
        raise ValueError(f'penalty_on must be "p" or "f", got {config.penalty_on!r}')
    if config.objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, got {config.objective!r}")


@dataclasses.dataclass(frozen=True)
class ConditionalFourierDensityConfig(Config):
    """q(y|context) on ℝ; a, t and s are outputs of a residual network. The other fields are those above."""

    context_dim: int = 16
    width: int = 128
    depth: int = 2
    num_freqs: int = 14
    init_scale: float = 0.1
    gamma: float = 0.0
    penalty_on: str = "p"
    objective: str = "nll"
    bin_width: float = 1.0

    def __post_init__(self) -> None:
        self.at_least(1, "context_dim", "width", "depth", "num_freqs")
        _check_common(self)


Parameters = tuple[Tensor, Tensor, Tensor]  # a, loc, scale


def parameters_of(real: Tensor, imag: Tensor, loc: Tensor, raw_scale: Tensor) -> Parameters:
    """a = real + i·imag, loc, and the scale softplus(raw_scale), never narrower than float32."""
    wide = torch.promote_types(real.dtype, torch.float32)
    scale = nn.functional.softplus(raw_scale.to(wide)).clamp(min=1e-6)
    return torch.complex(real.to(wide), imag.to(wide)), loc.to(wide), scale


def objective(
    parameters: Parameters, batch: Mapping[str, Tensor], config: FourierDensityConfig | ConditionalFourierDensityConfig
) -> Float[Tensor, ""]:
    """The mean loss a value, in nats or bits, and the penalty."""
    (a, loc, scale), values = parameters, batch["values"]
    unit = normalized(a)[0]
    if config.objective == "bits":
        noise = batch.get("noise")
        if noise is None:
            noise = torch.rand(values.shape, device=values.device).to(values.dtype) - 0.5
        noisy = values + noise * config.bin_width
        loss = -line_log_bin_prob(unit, loc, scale, noisy, config.bin_width).mean() / math.log(2)
    else:
        loss = -line_log_prob(unit, loc, scale, values).mean()
    if not config.gamma:
        return loss
    return loss + config.gamma * smoothness(unit if config.penalty_on == "p" else a, config.penalty_on).mean()


class FourierDensityModel(Model, config=FourierDensityConfig):
    """C independent densities.

    Batches: {"values": (batch, C)}; for the objective "bits" also "noise" in [−½, ½], which is drawn if it isn't given.
    """

    def __init__(self, config: FourierDensityConfig) -> None:
        super().__init__(config)
        shape = (config.num_pdfs, config.num_freqs)
        self.real = nn.Parameter(config.init_scale * torch.randn(shape))
        self.imag = nn.Parameter(config.init_scale * torch.randn(shape))
        self.loc = nn.Parameter(torch.zeros(config.num_pdfs))
        self.raw_scale = nn.Parameter(torch.ones(config.num_pdfs))
        self.blocks = nn.ModuleList()

    def parameters_of_densities(self) -> Parameters:
        return parameters_of(self.real, self.imag, self.loc, self.raw_scale)

    def distribution(self) -> RealLineFourierDensity:
        return RealLineFourierDensity(*self.parameters_of_densities())

    def forward(self, values: Float[Tensor, "batch C"]) -> Float[Tensor, "batch C"]:
        """log q of each value."""
        return self.distribution().log_prob(values)

    def loss(self, batch: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        with full_precision(batch["values"]):
            return objective(self.parameters_of_densities(), batch, self.config)

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        shape = (batch_size, self.config.num_pdfs)
        batch = {"values": torch.randn(shape, generator=generator).to(device)}
        if self.config.objective == "bits":
            batch["noise"] = (torch.rand(shape, generator=generator) - 0.5).to(device)
        return batch


class ResidualLayer(nn.Module):
    """h + W₂ silu(W₁ norm(h))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        return h + self.down(nn.functional.silu(self.up(self.norm(h))))


class ConditionalFourierDensity(Model, config=ConditionalFourierDensityConfig):
    """q(y|context): one factor of an autoregressive model, normalised exactly at every context (claim
    fourier_density/autoregressive-factorisation). Batches: {"context": (batch, context_dim), "values": (batch,)}."""

    def __init__(self, config: ConditionalFourierDensityConfig) -> None:
        super().__init__(config)
        self.enter = nn.Linear(config.context_dim, config.width)
        self.blocks = nn.ModuleList(ResidualLayer(config.width) for _ in range(config.depth))
        self.leave = nn.Linear(config.width, 2 * config.num_freqs + 2)
        with torch.no_grad():
            self.leave.weight.mul_(config.init_scale)
            self.leave.bias.zero_()
            self.leave.bias[0] = 1.0  # a = (1, 0, …, 0): the logistic law
            self.leave.bias[-1] = 1.0

    def distribution(self, context: Float[Tensor, "batch context"]) -> RealLineFourierDensity:
        return RealLineFourierDensity(*self.parameters_at(context))

    def parameters_at(self, context: Float[Tensor, "batch context"]) -> Parameters:
        h = self.enter(context)
        for block in self.blocks:
            h = block(h)
        outputs = self.leave(h)
        with full_precision(outputs):
            real, imag, rest = outputs.split([self.config.num_freqs, self.config.num_freqs, 2], dim=-1)
            return parameters_of(real, imag, rest[..., 0], rest[..., 1])

    def forward(self, context: Float[Tensor, "batch context"], values: Float[Tensor, "batch"]) -> Tensor:
        """log q(y|context)."""
        return self.distribution(context).log_prob(values)

    def loss(self, batch: Mapping[str, Tensor]) -> Float[Tensor, ""]:
        parameters = self.parameters_at(batch["context"])
        with full_precision(batch["values"]):
            return objective(parameters, batch, self.config)

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        context = torch.randn(batch_size, self.config.context_dim, generator=generator)
        values = context.mean(-1) + 0.3 * torch.randn(batch_size, generator=generator)
        return {"context": context.to(device), "values": values.to(device)}
