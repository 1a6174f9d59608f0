"""One step of Lion on tensors, the bound of what it can reach, and the checks that the optimisers share."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def check_rates(lr: Any, weight_decay: float) -> None:
    """η finite and > 0, λ finite and ≥ 0; ηλ ≥ 2 diverges, ηλ ≥ 1 leaves the box |λθ| ≤ 1."""
    rate = float(lr)
    if not 0 < rate < math.inf:
        raise ValueError(f"lr must be finite and > 0, got {rate}")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay must be finite and ≥ 0, got {weight_decay}")
    check_product(rate, weight_decay)
    if rate * weight_decay >= 1:
        warnings.warn(f"lr · weight_decay is {rate * weight_decay:g}: a step of 1 or more overshoots 0", stacklevel=4)


def check_product(rate: float, weight_decay: float) -> None:
    if rate * weight_decay >= 2:
        raise ValueError(f"lr · weight_decay must be < 2, got {rate * weight_decay:g}: the parameters diverge")


def check_beta(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def check_betas(betas: Sequence[float]) -> None:
    if len(betas) != 2:
        raise ValueError(f"betas must be two numbers, got {betas}")
    for i, beta in enumerate(betas):
        check_beta(f"betas[{i}]", beta)


def check_gradient(p: Tensor, g: Tensor) -> None:
    if g.layout != torch.strided:
        raise ValueError(f"gradients must be dense, got {g.layout}")
    if g.shape != p.shape or g.dtype != p.dtype:
        raise ValueError(
            f"a gradient must have its parameter's shape and type {tuple(p.shape)}, {p.dtype}, got {tuple(g.shape)}, "
            f"{g.dtype}"
        )


def working_type(*tensors: Tensor) -> torch.dtype:
    """At least float32: float16 and bfloat16 are computed in it, and rounded once when they are stored."""
    found = torch.float32
    for x in tensors:
        found = torch.promote_types(found, x.dtype)
    return found


def lion_step(
    param: Float[Tensor, "*shape"],
    grad: Float[Tensor, "*shape"],
    exp_avg: Float[Tensor, "*shape"],
    lr: float | Float[Tensor, ""],
    weight_decay: float = 0.0,
    beta1: float = 0.9,
    beta2: float = 0.99,
    *,
    mask_zero: bool = False,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """θ and m after one step (archive 9473, equation 1); the reference whose bits all implementations give.

    Args:
        param, grad, exp_avg: θ, g, m. Their types may differ: half precision is computed in float32.
        mask_zero: where the gradient is exactly 0 only decay moves θ. Without it a coordinate that saw one gradient and
            then zeros, such as the embedding of a rare token, keeps walking by η for thousands of steps.

    Raises:
        ValueError: a β outside of [0, 1).
    """
    check_betas((beta1, beta2))
    wide = working_type(param, exp_avg)
    m, g = exp_avg.to(wide), grad.to(wide)
    c = torch.lerp(m, g, 1 - beta1)
    if mask_zero:
        c = c.masked_fill(g == 0, 0.0)
    theta = param.to(wide) * (1 - lr * weight_decay)
    if isinstance(lr, Tensor):
        theta = theta - lr * c.sign()
    else:
        theta = torch.add(theta, c.sign(), alpha=-lr)
    return theta.to(param.dtype), torch.lerp(m, g, 1 - beta2).to(exp_avg.dtype)


def lion_bound(theta0: Float[Tensor, "*shape"], eta: float, lam: float, t: int) -> Float[Tensor, "*shape"]:
    """What |θ_t| can't exceed, whatever the gradients: r^t |θ_0| + η(1 − r^t)/(1 − r), r = |1 − ηλ|.

    In exact arithmetic (claim lion/theta-bound); rounding adds a little. For 0 < ηλ ≤ 1 it tends to 1/λ, for λ = 0 it
    is |θ_0| + ηt.

    Raises:
        ValueError: η ≤ 0, λ < 0, ηλ ≥ 2, or t < 0.
    """
    check_rates(eta, lam)
    if t < 0:
        raise ValueError(f"t must be at least 0, got {t}")
    r = abs(1 - eta * lam)
    reached = eta * t if r == 1 else eta * (1 - r**t) / (1 - r)
    return theta0.abs() * r**t + reached
