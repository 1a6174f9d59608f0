"""The block form: each pair of channels is turned by the position times the frequency of its plane."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn

from kexue.models._torch import is_traced

Layout = Literal["interleaved", "half"]
LAYOUTS = ("interleaved", "half")
# Integers up to here are exact in the type; beyond, neighbouring positions fall together.
EXACT_POSITIONS = {torch.bfloat16: 256, torch.float16: 2048}


def rotary_frequencies(dim: int, base: float | int = 10_000.0) -> Float[Tensor, "planes"]:
    """θ_i = base^(−2i/dim) for i = 0, …, dim/2 − 1, in float64 (article 8265; RoFormer, equation 15).

    Raises:
        ValueError: dim is odd or not positive; base is not a finite number above 1.
    """
    if dim < 2 or dim % 2:
        raise ValueError(f"dim must be even and positive, got {dim}: rotations act on pairs of channels")
    if not 1 < base < float("inf"):
        raise ValueError(f"base must be a finite number > 1, got {base}")
    return base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)


def apply_rope(
    x: Float[Tensor, "*batch length dim"],
    positions: Real[Tensor, "*positions"],
    frequencies: Float[Tensor, "planes"],
    layout: Layout = "interleaved",
) -> Float[Tensor, "*batch length dim"]:
    """R_m x for every vector x at position m: the pairs of channels turned by m θ_i.

    Angles are formed in float64 and rotated in at least float32, whatever the type of x. Channels behind the first
    2·planes are left alone (partial rotation).

    Args:
        x: queries or keys, (…, length, dim).
        positions: (length,), or (batch, length) for x of shape (batch, heads, length, dim); integers or reals.
        frequencies: θ_i, radians per position.
        layout: pairs (2i, 2i + 1), "interleaved" (RoFormer, GPT-J), or (i, i + planes), "half" (GPT-NeoX, LLaMA).

    Raises:
        ValueError: shapes that don't fit, an unknown layout, or positions in a type that can't tell them apart.
    """
    return rotate(x, *rotary_table(positions, frequencies), layout)


def rotary_table(
    positions: Real[Tensor, "*positions"], frequencies: Float[Tensor, "planes"]
) -> tuple[Float[Tensor, "*positions planes"], Float[Tensor, "*positions planes"]]:
    """cos(m θ_i) and sin(m θ_i) in float64, to be rotated with by `rotate`; one table serves all layers."""
    limit = EXACT_POSITIONS.get(positions.dtype)
    if limit is not None and positions.shape[-1] > limit:
        raise ValueError(f"positions must be integers, float32 or float64 beyond {limit}, got {positions.dtype}")
    if positions.is_floating_point() and positions.device.type == "cpu" and not is_traced(positions):
        if not bool(positions.isfinite().all()):
            raise ValueError("positions must be finite, got NaN or infinite ones")
    angles = positions[..., None].double() * frequencies.double()
    return angles.cos(), angles.sin()


def rotate(
    x: Float[Tensor, "*batch length dim"],
    cos: Float[Tensor, "*table"],
    sin: Float[Tensor, "*table"],
    layout: Layout = "interleaved",
) -> Float[Tensor, "*batch length dim"]:
    """`apply_rope` with a table made before."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be interleaved or half, got {layout!r}")
    if not x.is_floating_point():
        raise ValueError(f"x must be a floating point tensor, got {x.dtype}")
    turned = 2 * cos.shape[-1]
    if x.shape[-1] < turned:
        raise ValueError(f"x must have at least {turned} channels for {cos.shape[-1]} frequencies, got {x.shape[-1]}")
    if cos.shape[-2] != x.shape[-2]:
        raise ValueError(f"positions must name {x.shape[-2]} places, one for each vector of x, got {cos.shape[-2]}")
    if cos.ndim == 3 and len(cos) not in (1, len(x)):
        raise ValueError(f"positions must have one row for each of the {len(x)} sequences of x, got {len(cos)}")
    if cos.ndim == 3:  # one row of positions for each sequence of the batch, the same for all heads
        cos, sin = cos[:, None], sin[:, None]
    work = torch.promote_types(x.dtype, torch.float32)
    cos, sin = cos.to(work), sin.to(work)
    if turned < x.shape[-1]:
        return torch.cat((rotate_pairs(x[..., :turned], cos, sin, layout, work), x[..., turned:]), dim=-1)
    return rotate_pairs(x, cos, sin, layout, work)


def rotate_pairs(x: Tensor, cos: Tensor, sin: Tensor, layout: Layout, work: torch.dtype) -> Tensor:
    if layout == "half":
        a, b = x.to(work).chunk(2, dim=-1)
        turned = torch.cat((torch.addcmul(a * cos, b, sin, value=-1), torch.addcmul(b * cos, a, sin)), dim=-1)
        return turned.to(x.dtype)
    pairs = x.to(work).unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # the compiler fuses this, and has no kernel for complex numbers
        a, b = pairs.unbind(-1)
        return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2).to(x.dtype)
    turned = torch.view_as_complex(pairs.contiguous()) * torch.complex(cos, sin)  # one pass over memory
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def rope_matrix(
    position: Real[Tensor, ""] | float | int, frequencies: Float[Tensor, "planes"], layout: Layout = "interleaved"
) -> Float[Tensor, "dim dim"]:
    """R_m as a dense matrix in float64: the plain reference of `apply_rope`."""
    angles = position * frequencies.double()
    blocks = [torch.stack((torch.stack((a.cos(), -a.sin())), torch.stack((a.sin(), a.cos())))) for a in angles]
    matrix = torch.block_diag(*blocks)
    if layout == "half":
        order = layout_order(matrix.shape[0])
        matrix = matrix[order][:, order]
    return matrix


def layout_order(dim: int) -> Tensor:
    """For each channel of the half layout its channel in the interleaved one: 0, 2, 4, …, 1, 3, …"""
    return torch.arange(dim).reshape(-1, 2).T.flatten()


def convert_layout(
    weight: Float[Tensor, "rows *columns"],
    source: Layout,
    target: Layout,
    *,
    num_heads: int,
    rotary_dim: int | None = None,
) -> Float[Tensor, "rows *columns"]:
    """The rows of W_q or W_k (or their biases) reordered, so that scores in the other layout are the same.

    Both W_q and W_k must be converted, each with its own number of heads (claim rope/half-split-equivalence).

    Args:
        weight: (num_heads · head size, …).
        rotary_dim: channels of a head that are rotated; all by default.

    Raises:
        ValueError: an unknown layout, or rows that are no multiple of the heads.
    """
    for name, layout in (("source", source), ("target", target)):
        if layout not in LAYOUTS:
            raise ValueError(f"{name} must be interleaved or half, got {layout!r}")
    if num_heads < 1 or weight.shape[0] % num_heads:
        raise ValueError(f"num_heads must divide the {weight.shape[0]} rows of weight, got {num_heads}")
    if source == target:
        return weight
    size = weight.shape[0] // num_heads
    dim = size if rotary_dim is None else rotary_dim
    if not (0 < dim <= size and dim % 2 == 0):
        raise ValueError(f"rotary_dim must be even and at most {size}, got {dim}")
    order = layout_order(dim)
    if target == "interleaved":
        order = order.argsort()
    order = torch.cat((order, torch.arange(dim, size)))
    rows = (torch.arange(num_heads)[:, None] * size + order).flatten()
    return weight[rows.to(weight.device)]


class RotaryEmbedding(nn.Module):
    """RoPE for the heads of an attention layer, with fixed or learned frequencies.

    Args:
        dim: channels of a head that are rotated; a head may have more.
        base: of the geometric frequencies base^(−2i/dim).
        layout: see `apply_rope`.
        learned_freqs: make the frequencies parameters; only then is the block form as general as exp(nB)
            (claim rope/completeness-conditions).
    """

    frequencies: Tensor

    def __init__(
        self, dim: int, base: float | int = 10_000.0, layout: Layout = "interleaved", learned_freqs: bool = False
    ) -> None:
        super().__init__()
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be interleaved or half, got {layout!r}")
        self.dim, self.base, self.layout = dim, base, layout
        frequencies = rotary_frequencies(dim, base)
        if learned_freqs:
            self.frequencies = nn.Parameter(frequencies.float())
        else:
            self.register_buffer("frequencies", frequencies, persistent=False)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        """`model.bfloat16()` must not round the table of frequencies: 10⁴ positions would be off by 40 radians."""
        kept = None if isinstance(self.frequencies, nn.Parameter) else self.frequencies
        super()._apply(fn, recurse)
        if kept is not None and self.frequencies.dtype != kept.dtype:
            self.frequencies = kept.to(self.frequencies.device)
        return self

    def table(self, positions: Real[Tensor, "*positions"]) -> tuple[Tensor, Tensor]:
        return rotary_table(positions, self.frequencies)

    def forward(
        self, x: Float[Tensor, "*batch length dim"], positions: Real[Tensor, "*positions"] | None = None
    ) -> Float[Tensor, "*batch length dim"]:
        """R_m x; positions are 0, 1, … by default."""
        if positions is None:
            positions = torch.arange(x.shape[-2], device=x.device)
        return apply_rope(x, positions, self.frequencies, self.layout)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, base={self.base:g}, layout={self.layout}"
