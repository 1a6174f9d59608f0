"""Linear attention (to be completed)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["causal_numerators"]


def causal_numerators(
    q: Float[Tensor, "batch heads length features"],
    k: Float[Tensor, "batch heads length features"],
    v: Float[Tensor, "batch heads length values"],
    *,
    chunk: int = 128,
    initial_state: Float[Tensor, "batch heads features values"] | None = None,
) -> tuple[Float[Tensor, "batch heads length values"], Float[Tensor, "batch heads features values"]]:
    r"""Σ_{j≤i} (q_i·k_j) v_j for all i, and the state Σ_j k_j v_jᵀ behind the last token.

    Within a chunk by the masked product, between chunks by the cumulative states: batched matrix products only,
    O(length · (chunk + features) · (features + values)) operations (claim linear_attention/chunked-form).
    """
    length = q.shape[-2]
    size = min(chunk, max(length, 1))
    short = -length % size
    if short:
        q, k, v = (F.pad(x, (0, 0, 0, short)) for x in (q, k, v))
    q, k, v = (x.unflatten(-2, (-1, size)) for x in (q, k, v))  # (batch, heads, chunks, size, ·)
    added = k.mT @ v  # what each chunk adds to the state
    states = added.cumsum(dim=2)
    before = states - added if initial_state is None else states - added + initial_state[:, :, None]
    out = (q @ k.mT).tril() @ v + q @ before
    last = states[:, :, -1] if initial_state is None else states[:, :, -1] + initial_state
    return out.flatten(2, 3)[:, :, :length], last
