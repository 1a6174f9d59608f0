"""Lion-K: the gradient of a convex function K of the momentum in the place of its sign (arXiv 2310.05898)."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .functional import check_betas, check_product, check_rates, working_type
from .optimiser import SignOptimizer, local

KINDS = ("l1", "huber", "sqrt", "group-l2", "nuclear")


def check_kind(K: str) -> None:
    if K not in KINDS:
        raise ValueError(f"K must be one of {', '.join(KINDS)}, got {K!r}")


def rows_of(x: Tensor) -> Tensor:
    """As a matrix: the first dimension, and all others; a vector or a number is one column."""
    return x.flatten(1) if x.ndim >= 2 else x.reshape(-1, 1)


def groups_of(x: Tensor) -> Tensor:
    """As rows that are groups: each slice of the first dimension; a vector is one group."""
    return x.flatten(1) if x.ndim >= 2 else x.reshape(1, -1)


def gradient_of_k(K: str, x: Float[Tensor, "*shape"], scale: float = 1.0) -> Float[Tensor, "*shape"]:
    """∇K(x), with 0 where K isn't differentiable.

        l1        Σ|x|                                       sign(x)
        huber     Σ x²/2δ up to |x| = δ, then |x| − δ/2      clip(x/δ, −1, 1)
        sqrt      Σ √(δ² + x²)                               x/√(δ² + x²)
        group-l2  Σ ‖row‖, a row is a slice of the first dimension, a vector is one row      row/‖row‖
        nuclear   the sum of the singular values of (first dimension × all others)           UVᵀ of x = U S Vᵀ

    Args:
        scale: δ > 0 of huber and sqrt.

    Raises:
        ValueError: an unknown K, or scale ≤ 0.
    """
    check_kind(K)
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be finite and > 0, got {scale}")
    if K == "l1":
        return x.sign()
    if K == "huber":
        return (x / scale).clamp(-1, 1)
    if K == "sqrt":
        return x / torch.hypot(x, torch.full_like(x, scale))
    if K == "group-l2":
        rows = groups_of(x)
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        return torch.where(length > 0, rows / length, 0.0).reshape(x.shape)
    matrix = rows_of(x)
    if not matrix.numel():
        return x.clone()
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    rank = s > s[:1] * max(matrix.shape) * torch.finfo(x.dtype).eps
    return ((u * rank) @ v).reshape(x.shape)


def dual_norm(K: str, x: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """The norm that bounds ∇K by 1: λ times it, of θ, tends into [0, 1] during training (claim lion/phase1).

    The largest |x|, the largest length of a row, or the largest singular value.

    Raises:
        ValueError: an unknown K.
    """
    check_kind(K)
    if not x.numel():
        return x.new_zeros(())
    if K == "group-l2":
        return torch.linalg.vector_norm(groups_of(x), dim=1).amax()
    return torch.linalg.matrix_norm(rows_of(x), 2) if K == "nuclear" else x.abs().amax()


class LionK(SignOptimizer):
    """θ ← (1 − ηλ)θ − η ∇K(β1 m + (1 − β1)g), m ← β2 m + (1 − β2)g.

    K = "l1" is Lion. It minimises the loss subject to λθ ∈ dom K*, here the unit ball of `dual_norm`.

    Args:
        lr, betas, weight_decay, maximize: as for `Lion`.
        K, scale: see `gradient_of_k`.

    Raises:
        ValueError: an option out of its range; sparse gradients; a gradient whose shape or type isn't its parameter's.
    """

    def __init__(
        self, params: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0, *,
        K: str = "l1", scale: float = 1.0, maximize: bool = False,
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "betas": betas, "weight_decay": weight_decay, "K": K, "scale": scale, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_rates(group["lr"], group["weight_decay"])
        check_betas(group["betas"])
        gradient_of_k(group["K"], torch.ones(1), group["scale"])

    def step_group(self, group: dict[str, Any], held: list[tuple[Tensor, Tensor]]) -> None:
        lr, decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
        check_product(lr, decay)
        for p, grad in held:
            state = self.state[p]
            if "exp_avg" not in state:
                state["exp_avg"] = torch.zeros_like(torch.view_as_real(p) if p.is_complex() else p)
            theta, g, m = local(p), local(grad), local(state["exp_avg"])
            wide = working_type(theta)
            slope, momentum = (-g if group["maximize"] else g).to(wide), m.to(wide)
            u = gradient_of_k(group["K"], torch.lerp(momentum, slope, 1 - beta1), group["scale"])
            theta.copy_(torch.add(theta.to(wide) * (1 - lr * decay), u, alpha=-lr))
            m.copy_(momentum.lerp_(slope, 1 - beta2))
