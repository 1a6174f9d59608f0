r"""RoPE for positions in ℝᵏ: R_x = blockdiag_i R(ω_i·x) (article 8397; claims rope/kd-normal-form,
rope/axial-not-complete; Heo et al. 2024, arXiv 2403.13298)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from .rotary import rotate


def grid_positions(*sizes: int, device: torch.device | str = "cpu") -> Float[Tensor, "length axes"]:
    """The integer points of a grid, last axis fastest: (prod(sizes), len(sizes))."""
    axes = [torch.arange(n, device=device, dtype=torch.float64) for n in sizes]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)


class AxialRoPE(nn.Module):
    """Every plane turns along one coordinate axis: θ_t = base^(−2·ndim·t/dim), t = 0, …, dim/(2·ndim) − 1, each axis.

    Less than general: cos(x + y) is no score of it (claim rope/axial-not-complete).

    Args:
        dim: size of a head, a multiple of 2·ndim.
        ndim: number of coordinates.
    """

    omega: Tensor

    def __init__(self, dim: int, ndim: int = 2, base: float = 100.0) -> None:
        super().__init__()
        if ndim < 1 or dim < 1 or dim % (2 * ndim):
            raise ValueError(f"dim must be a positive multiple of 2·ndim = {2 * ndim}, got {dim}")
        if not 1 < base < float("inf"):
            raise ValueError(f"base must be a finite number > 1, got {base}")
        self.dim, self.ndim, self.base = dim, ndim, base
        each = dim // (2 * ndim)
        theta = base ** (-torch.arange(each, dtype=torch.float64) / each)
        omega = torch.block_diag(*[theta[:, None]] * ndim)
        self.register_buffer("omega", omega, persistent=False)

    def forward(
        self, x: Float[Tensor, "batch heads length dim"], positions: Real[Tensor, "length axes"]
    ) -> Float[Tensor, "batch heads length dim"]:
        """R_p x for every vector x at the point p."""
        _check_axes(positions, self.ndim)
        angles = positions.double() @ self.omega.double().T
        return rotate(x, angles.cos(), angles.sin())


class MixedRoPE(nn.Module):
    """Every plane of every head turns along a learned direction ω ∈ ℝᵏ: the general relative code, up to W_q and W_k.

    Args:
        dim: size of a head, even.
        num_heads: each head has its own directions.
        ndim: number of coordinates.
        base: ω starts with random directions and the lengths base^(−2i/dim).
    """

    def __init__(self, dim: int, num_heads: int, ndim: int = 2, base: float = 10.0) -> None:
        super().__init__()
        if dim < 2 or dim % 2:
            raise ValueError(f"dim must be even and positive, got {dim}")
        if not 1 < base < float("inf"):
            raise ValueError(f"base must be a finite number > 1, got {base}")
        self.dim, self.ndim, self.num_heads = dim, ndim, num_heads
        directions = nn.functional.normalize(torch.randn(num_heads, dim // 2, ndim), dim=-1)
        lengths = base ** (-2 * torch.arange(dim // 2) / dim)
        self.omega = nn.Parameter(directions * lengths[:, None])

    def forward(
        self, x: Float[Tensor, "batch heads length dim"], positions: Real[Tensor, "length axes"]
    ) -> Float[Tensor, "batch heads length dim"]:
        """R_p x for every vector x at the point p; gradients reach ω."""
        _check_axes(positions, self.ndim)
        if x.shape[1] != self.num_heads:
            raise ValueError(f"x must have {self.num_heads} heads, got {x.shape[1]}")
        angles = torch.einsum("la,hna->hln", positions.double(), self.omega.double())
        cos, sin = angles.cos()[None], angles.sin()[None]  # (1, heads, length, planes): a table for each head
        return rotate(x, cos, sin)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, num_heads={self.num_heads}, ndim={self.ndim}"


def _check_axes(positions: Tensor, ndim: int) -> None:
    if positions.ndim != 2 or positions.shape[1] != ndim:
        raise ValueError(f"positions must have shape (length, {ndim}), got {tuple(positions.shape)}")

