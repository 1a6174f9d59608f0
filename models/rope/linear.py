"""RoPE in linear attention: it stands in the numerator only, where weights may be negative (article 8265; claims
rope/linear-attention-rope, rope/linear-attention-zero-denominator)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Real
from torch import Tensor

from ..linear_attention import causal_numerators
from .rotary import Layout, apply_rope


def rotary_linear_attention(
    q: Float[Tensor, "batch heads length features"],
    k: Float[Tensor, "batch heads length features"],
    v: Float[Tensor, "batch heads length values"],
    frequencies: Float[Tensor, "planes"],
    positions: Real[Tensor, "*positions"] | None = None,
    *,
    causal: bool = False,
    layout: Layout = "interleaved",
    eps: float = 1e-6,
) -> Float[Tensor, "batch heads length values"]:
    r"""Σ_j (R_i φ(q_i))ᵀ(R_j φ(k_j)) v_j / (Σ_j φ(q_i)ᵀφ(k_j) + eps), in time linear in the length.

    Args:
        q, k: non-negative features, already mapped by φ.
        frequencies: θ_i, see `rotary_frequencies`.
        causal: sums over j ≤ i instead of all j.
    """
    rotated_q, rotated_k = _rotated(q, k, frequencies, positions, layout)
    if causal:
        numerator = causal_numerators(rotated_q, rotated_k, v)[0]
        mass = k.cumsum(dim=-2)
    else:
        numerator = rotated_q @ (rotated_k.mT @ v)
        mass = k.sum(dim=-2, keepdim=True)
    return numerator / ((q * mass).sum(dim=-1, keepdim=True) + eps)


def rotary_linear_attention_quadratic(
    q: Float[Tensor, "batch heads length features"],
    k: Float[Tensor, "batch heads length features"],
    v: Float[Tensor, "batch heads length values"],
    frequencies: Float[Tensor, "planes"],
    positions: Real[Tensor, "*positions"] | None = None,
    *,
    causal: bool = False,
    layout: Layout = "interleaved",
    eps: float = 1e-6,
) -> Float[Tensor, "batch heads length values"]:
    """The plain reference of `rotary_linear_attention`: forms the length × length weights."""
    rotated_q, rotated_k = _rotated(q, k, frequencies, positions, layout)
    weights, plain = rotated_q @ rotated_k.mT, q @ k.mT
    if causal:
        weights, plain = weights.tril(), plain.tril()
    return weights @ v / (plain.sum(dim=-1, keepdim=True) + eps)


def _rotated(
    q: Tensor, k: Tensor, frequencies: Tensor, positions: Tensor | None, layout: Layout
) -> tuple[Tensor, Tensor]:
    if positions is None:
        positions = torch.arange(q.shape[-2], device=q.device)
    return apply_rope(q, positions, frequencies, layout), apply_rope(k, positions, frequencies, layout)
