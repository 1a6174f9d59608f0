"""Noise schedules: α_t and what follows from it, in float64 whatever the model's type."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class NoiseLevel(NamedTuple):
    """The values of a schedule at one t, as numbers of the host."""

    alpha: float
    beta: float
    alpha_bar: float
    beta_bar: float


class NoiseSchedule(nn.Module):
    """α_t, β_t = √(1 − α_t²), ᾱ_t = α_1⋯α_t and β̄_t = √(1 − ᾱ_t²) for t = 0, …, T; index 0 means no noise.

    Products are formed as sums of logarithms and 1 − ᾱ² by expm1, in float64: float32 would lose four digits of β̄_1.

    Args:
        alpha: α_1, …, α_T, each in (0, 1).

    Raises:
        ValueError: alpha is empty, not one-dimensional, or has a value outside (0, 1).
    """

    alpha: Tensor
    beta: Tensor
    alpha_bar: Tensor
    beta_bar: Tensor

    def __init__(self, alpha: Float[Tensor, "steps"]) -> None:
        super().__init__()
        if alpha.ndim != 1 or not len(alpha):
            raise ValueError(f"alpha must be a vector of at least one value, got shape {tuple(alpha.shape)}")
        if not alpha.is_meta:
            bad = ~((alpha > 0) & (alpha < 1))
            if bool(bad.any()):
                raise ValueError(f"alpha must lie in (0, 1), got {float(alpha[bad][0])}")
        log = alpha.double().log()
        log_bar = torch.cat((log.new_zeros(1), log.cumsum(0)))
        one = log.new_ones(1)
        self.register_buffer("alpha", torch.cat((one, alpha.double())), persistent=False)
        self.register_buffer("beta", torch.cat((0 * one, (-torch.expm1(2 * log)).sqrt())), persistent=False)
        self.register_buffer("alpha_bar", log_bar.exp(), persistent=False)
        self.register_buffer("beta_bar", (-torch.expm1(2 * log_bar)).sqrt(), persistent=False)
        self._levels: list[NoiseLevel] = []

    @property
    def steps(self) -> int:
        return len(self.alpha) - 1

    def level(self, t: int) -> NoiseLevel:
        """α_t, β_t, ᾱ_t and β̄_t. The tables are read from their device once, so that no step of a chain waits."""
        if not self._levels:
            tables = (self.alpha, self.beta, self.alpha_bar, self.beta_bar)
            self._levels = [NoiseLevel(*values) for values in torch.stack(tables, dim=1).tolist()]
        return self._levels[t]

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """Casts of a model leave the tables in float64; only the device changes."""
        self._levels = []
        kept = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, buffer in kept.items():
            if getattr(self, name).dtype != buffer.dtype:
                setattr(self, name, buffer.to(getattr(self, name).device))
        return self


def article_schedule(steps: int = 1000, rate: float = 0.02) -> Float[Tensor, "steps"]:
    """α_t = √(1 − rate·t/T), the articles'."""
    _positive(steps)
    return (1 - rate * torch.arange(1, steps + 1, dtype=torch.float64) / steps).sqrt()


def linear_schedule(steps: int = 1000, smallest: float = 1e-4, largest: float = 0.02) -> Float[Tensor, "steps"]:
    """β_t² from `smallest` to `largest` in equal steps, the paper's."""
    _positive(steps)
    return (1 - torch.linspace(smallest, largest, steps, dtype=torch.float64)).sqrt()


def cosine_schedule(steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> Float[Tensor, "steps"]:
    """ᾱ_t² = cos²(π/2 · (t/T + s)/(1 + s)) over its value at 0, β_t² at most `max_beta` (Nichol, Dhariwal 2021)."""
    _positive(steps)
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    square = ((t + offset) / (1 + offset) * math.pi / 2).cos().square()
    return (square[1:] / square[:-1]).clamp(min=1 - max_beta).sqrt()


def exp_quadratic_schedule(steps: int = 1000, rate: float = 5.0) -> Float[Tensor, "steps"]:
    """ᾱ_t = exp(−rate·t²/T²), article 9181's continuous form."""
    _positive(steps)
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    return (-rate * (t[1:].square() - t[:-1].square())).exp()


def _positive(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
