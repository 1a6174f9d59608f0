"""Softmax attention whose keys are rows of a codebook: the quadratic reference and the linear forms.

Shapes: B batch, H heads, N length, K key size, V value size, S codes, L block length, M = N/L blocks, W window.
Everywhere `k` are quantised keys (straight through to the unquantised ones) and `shortcodes` says which row each is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Window = Literal["toeplitz", "block"]
Gradient = Literal["truncated", "cache", "exact"]
WINDOWS: tuple[str, ...] = ("toeplitz", "block")
GRADIENTS: tuple[str, ...] = ("truncated", "cache", "exact")
NUMBERS_AT_ONCE = 2**22  # scores and values of the blocks that are done together: they stay in the cache
EXACT_AT_ONCE = 2**22


def vq_attention_quadratic(
    q: Float[Tensor, "batch heads length key"],
    k: Float[Tensor, "batch heads length key"],
    v: Float[Tensor, "batch heads length value"],
    *,
    block: int,
    bias: Float[Tensor, "*lead distances"] | None = None,
    window: Window = "toeplitz",
    gradient: Gradient = "exact",
) -> Float[Tensor, "batch heads length value"]:
    """softmax(Q K̂ᵀ + B)V with a causal mask, in quadratic time: the reference for `vq_attention`.

    Args:
        bias: B by distance, broadcastable to (batch, heads, length, distances): what is added to the score of query i
            with the key at distance 0, 1, …; nothing beyond.
        window: "toeplitz": B depends on the distance alone. "block": B reaches the whole block of the query and the
            one before, and nothing else, so that the model depends on the block length.
        gradient: what flows through pairs more than one block apart: "truncated" nothing (neither to K nor to V),
            "cache" all but the gradient to K, "exact" everything.
    """
    _check(q, k, v, block, bias, window, gradient)
    n = q.shape[2]
    at = torch.arange(n, device=q.device)
    distance = at[:, None] - at
    near = at[:, None].div(block, rounding_mode="floor") - at.div(block, rounding_mode="floor") <= 1
    scores = q @ k.mT
    if gradient != "exact":
        scores = torch.where(near, scores, q @ k.detach().mT)
    if bias is not None:
        scores = scores + _by_distance(bias, distance, near if window == "block" else None)
    p = _softmax(scores.masked_fill(distance < 0, -torch.inf)).to(v.dtype)
    if gradient == "truncated":
        return (p * near) @ v + (p * ~near) @ v.detach()
    return p @ v


def _by_distance(bias: Tensor, distance: Tensor, allowed: Tensor | None = None) -> Tensor:
    """bias[…, distance], 0 where the distance is negative or beyond; (…, queries, keys)."""
    width = bias.shape[-1]
    inside = (distance >= 0) & (distance < width)
    if allowed is not None:
        inside = inside & allowed
    index = distance.clamp(0, width - 1)
    if bias.ndim == 1 or bias.shape[-2] == 1:
        found = (bias if bias.ndim == 1 else bias[..., 0, :])[..., index]
    else:
        found = bias.gather(-1, index.expand(*bias.shape[:-1], index.shape[-1]))
    return found.masked_fill(~inside, 0.0)


def vq_attention_encoder(
    q: Float[Tensor, "batch heads length key"],
    k: Float[Tensor, "batch heads keys key"],
    shortcodes: Int[Tensor, "batch heads keys"],
    codebook: Float[Tensor, "heads codes key"],
    v: Float[Tensor, "batch heads keys value"],
    *,
    mask: Bool[Tensor, "batch keys"] | None = None,
    gradient: Literal["cache", "exact"] = "exact",
) -> Float[Tensor, "batch heads length value"]:
    """softmax(Q K̂ᵀ)V without a causal mask in linear time: softmax(QCᵀ + log count) × the mean of V for each code.

    Claim transformer_vq/encoder-linear-form.

    Args:
        mask: False for keys that don't take part.
        gradient: "exact" gives K its straight-through gradient, in O(length · codes · key · value) operations (claim
            transformer_vq/exact-ste-gradient-is-linear-time); with "cache" K gets none.

    Raises:
        ValueError: shapes or types don't fit, or all keys of a sequence are masked.
    """
    _check_types(q=q, k=k, v=v)
    _check_codes(shortcodes, k, codebook)
    if gradient not in ("cache", "exact"):
        raise ValueError(f"gradient must be cache or exact, got {gradient!r}")
    if mask is not None and not torch.compiler.is_compiling() and not bool(mask.any(-1).all()):
        raise ValueError("mask must leave at least one key of each sequence, got a row that is False throughout")
    sums, counts = _code_sums(v[:, :, None], shortcodes[:, :, None], codebook.shape[1], mask)
    mean, log_count = _means(sums[:, :, 0], counts[:, :, 0])
    p = _softmax(q @ codebook.to(q.dtype).mT + log_count[:, :, None])
    out = p.to(v.dtype) @ mean.to(v.dtype)
    if gradient == "exact" and k.requires_grad and torch.is_grad_enabled():
        per_token = (p / counts.clamp(min=1.0)).detach()
        if mask is not None:
            shortcodes = shortcodes.masked_fill(~mask[:, None], codebook.shape[1])
        out = _KeyGradient.apply(out, k, q.detach(), per_token, v.detach(), shortcodes, None)
    return out


@dataclass
class VQState:
    """What a layer keeps of the tokens so far, whatever their number: two blocks, and a count and mean for each code.

    `keys`, `values`: (B, H, 2L, ·), the block before the current one, then the current one as far as it goes. `mean`
    (B, H, S, V) and `count` (B, H, S) hold all earlier blocks. Keys are quantised. Without gradient.
    """

    keys: Tensor
    values: Tensor
    shortcodes: Tensor
    mean: Tensor
    count: Tensor
    position: int = 0

    @staticmethod
    def empty(
        batch: int, heads: int, block: int, key: int, value: int, codes: int,
        *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu",
    ) -> VQState:  # fmt: skip
        wide = torch.promote_types(dtype, torch.float32)
        return VQState(
            torch.zeros(batch, heads, 2 * block, key, dtype=dtype, device=device),
            torch.zeros(batch, heads, 2 * block, value, dtype=dtype, device=device),
            torch.zeros(batch, heads, 2 * block, dtype=torch.long, device=device),
            torch.zeros(batch, heads, codes, value, dtype=wide, device=device),
            torch.zeros(batch, heads, codes, dtype=wide, device=device),
        )

    @property
    def block(self) -> int:
        return self.keys.shape[2] // 2

    def numbers(self) -> int:
        """How many floating point numbers it holds: S·V + S + 2L(K + V) for each head and sequence."""
        return sum(t.numel() for t in (self.keys, self.values, self.mean, self.count))


def vq_attention(
    q: Float[Tensor, "batch heads length key"],
    k: Float[Tensor, "batch heads length key"],
    shortcodes: Int[Tensor, "batch heads length"],
    codebook: Float[Tensor, "heads codes key"],
    v: Float[Tensor, "batch heads length value"],
    *,
    block: int,
    bias: Float[Tensor, "*lead distances"] | None = None,
    window: Window = "toeplitz",
    gradient: Gradient = "truncated",
) -> Float[Tensor, "batch heads length value"]:
    """softmax(Q K̂ᵀ + B)V with a causal mask, in time and memory linear in the length.

    Equation (tvq) of the article: the block of a query and the one before exactly, everything earlier through the
    counts of the codes and the mean value of each (claims windowed-block-recurrence, linear-equals-quadratic,
    running-mean-cache), under one softmax. All blocks at once, by batched matrix products. The arguments that
    `vq_attention_quadratic` has too mean the same; the last block may be shorter.

    Raises:
        ValueError: shapes or types don't fit; a Toeplitz bias longer than block + 1, or one longer than two blocks.
    """
    _check(q, k, v, block, bias, window, gradient)
    _check_codes(shortcodes, k, codebook)
    n = q.shape[2]
    short = -n % block
    if short:
        q, k, v = (F.pad(x, (0, 0, 0, short)) for x in (q, k, v))
        shortcodes = F.pad(shortcodes, (0, short))
        if bias is not None and bias.ndim > 1 and bias.shape[-2] == n:
            bias = F.pad(bias, (0, 0, 0, short))
    out, _ = _blocks(q, k, shortcodes, codebook, v, block, bias, gradient, None)
    return out[:, :, :n]


def vq_attention_step(
    q: Float[Tensor, "batch heads length key"],
    k: Float[Tensor, "batch heads length key"],
    shortcodes: Int[Tensor, "batch heads length"],
    codebook: Float[Tensor, "heads codes key"],
    v: Float[Tensor, "batch heads length value"],
    state: VQState,
    *,
    bias: Float[Tensor, "*lead distances"] | None = None,
    window: Window = "toeplitz",
    gradient: Gradient = "truncated",
) -> Float[Tensor, "batch heads length value"]:
    """As `vq_attention` for tokens behind those of `state`, which is moved on in place.

    One token or many; whole blocks are done at once. No gradient reaches tokens of earlier calls.

    Raises:
        ValueError: as `vq_attention`, or the state belongs to another batch size or configuration.
    """
    block = state.block
    _check(q, k, v, block, bias, window, gradient)
    _check_codes(shortcodes, k, codebook)
    expected = (q.shape[0], q.shape[1], 2 * block, q.shape[3]), (*q.shape[:2], codebook.shape[1], v.shape[3])
    found = tuple(state.keys.shape), tuple(state.mean.shape)
    if found != expected:
        raise ValueError(f"state must hold keys and means of shapes {expected}, got {found}")
    n, outputs, done = q.shape[2], [], 0
    while done < n:
        room = block - state.position % block
        whole = (n - done) // block * block if room == block else 0
        take = whole or min(room, n - done)
        part = slice(done, done + take)
        q_own, k_own, z_own, v_own = (x[:, :, part] for x in (q, k, shortcodes, v))
        own = bias
        if bias is not None and bias.ndim > 1 and bias.shape[-2] == n > 1:
            own = bias[..., part, :]
        if whole:
            outputs.append(_whole(q_own, k_own, z_own, v_own, codebook, own, gradient, state))
        else:
            outputs.append(_within_block(q_own, k_own, z_own, v_own, codebook, own, state))
        done += take
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)


# Blocks at once


def _whole(
    q: Tensor, k: Tensor, shortcodes: Tensor, v: Tensor, codebook: Tensor, bias: Tensor | None, gradient: Gradient,
    state: VQState,
) -> Tensor:  # fmt: skip
    out, carry = _blocks(q, k, shortcodes, codebook, v, state.block, bias, gradient, state)
    if carry is not None:
        state.mean, state.count = carry
    block, empty = state.block, (0, 0, 0, state.block)
    state.keys = F.pad(k[:, :, -block:].detach(), empty)
    state.values = F.pad(v[:, :, -block:].detach(), empty)
    state.shortcodes = F.pad(shortcodes[:, :, -block:], (0, block))
    state.position += q.shape[2]
    return out


def _blocks(
    q: Tensor, k: Tensor, shortcodes: Tensor, codebook: Tensor, v: Tensor, block: int, bias: Tensor | None,
    gradient: Gradient, state: VQState | None,
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:  # fmt: skip
    """Whole blocks behind `state`, which stands at the end of a block; the output, and mean and count behind them."""
    batch, heads, n, _ = q.shape
    codes, width, blocks = codebook.shape[1], v.shape[3], n // block
    wide = torch.promote_types(v.dtype, torch.float32)
    first = state is None or state.position == 0  # the block in front is empty
    cached = not (first and blocks <= 2)  # otherwise no query has anything behind its two blocks
    carry = None if state is None else (state.mean, state.count)
    front: tuple[Tensor | None, ...] = (None,) * 3
    if state is not None:
        front = tuple(x[:, :, None, :block] for x in (state.keys, state.values, state.shortcodes))
    q, k, v, z = (x.unflatten(2, (-1, block)) for x in (q, k, v, shortcodes))
    k_before, v_before, z_before = (_shifted(x, f) for x, f in zip((k, v, z), front, strict=True))

    per_block = batch * heads * ((codes + 2 * block) * width + block * (2 * block + codes))
    whole = gradient == "exact" or torch.compiler.is_compiling()
    group = blocks if whole else min(blocks, max(1, NUMBERS_AT_ONCE // per_block))
    groups = range(0, blocks, group)
    # split, not sliced one by one: the gradient of a slice is as long as the whole
    split = [x.split(group, dim=2) for x in (q, k_before, k, v_before, v, z_before)]
    bias = _position_bias(bias, block, blocks)
    by_query = bias is not None and bias.shape[-3] > 1
    terms = bias.split(group, dim=-3) if bias is not None and by_query else [bias] * len(groups)
    outputs = []
    for parts, term, start in zip(zip(*split, strict=True), terms, groups, strict=True):
        q_own, k_prior, k_own, v_prior, v_own, z_prior = parts
        far, mean = None, None
        if cached:
            with torch.set_grad_enabled(torch.is_grad_enabled() and gradient != "truncated"):
                mean, count, carry = _entering(v_prior, z_prior, codes, carry, first and start == 0, wide)
            far = codebook, count
        p = _softmax(_scores(q_own, k_prior, k_own, far, term, first and start == 0))
        out = _values(p.to(v.dtype), mean, v_prior, v_own)
        if gradient == "exact" and far is not None and k.requires_grad and torch.is_grad_enabled():
            per_token = (p[..., :codes] / far[1].clamp(min=1.0)[..., None, :]).detach()
            out = _KeyGradient.apply(out, k, q.detach(), per_token, v.detach(), z, 2)
        outputs.append(out)
    out = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    if state is not None and not cached:
        with torch.no_grad():
            _, _, carry = _entering(v_before, z_before, codes, carry, first, wide)
    return out.flatten(2, 3), None if carry is None else (carry[0].detach(), carry[1].detach())


def _shifted(x: Tensor, front: Tensor | None) -> Tensor:
    """The block before each block: x[i − 1], and `front` (zeros if None) for the first."""
    return torch.cat((torch.zeros_like(x[:, :, :1]) if front is None else front.to(x.dtype), x[:, :, :-1]), dim=2)


def _position_bias(bias: Tensor | None, block: int, blocks: int) -> Tensor | None:
    """(…, M or 1, L, 2L): B in the layout of a query's own block and the one before, 0 outside the window."""
    if bias is None:
        return None
    if bias.ndim == 1 or bias.shape[-2] == 1:
        rows = bias.expand(block, -1) if bias.ndim == 1 else bias.expand(*bias.shape[:-2], block, -1)
        rows = rows.unsqueeze(-3)
    else:
        rows = bias.unflatten(-2, (blocks, block))
    # distance d stands in column 2L − 1 − d; row a moved by L − 1 − a places puts it into the column of its key
    width = rows.shape[-1]
    rows = F.pad(rows.flip(-1), (2 * block - width, 1)).flatten(-2)
    return rows[..., block - 1 : block - 1 + 2 * block * block].unflatten(-1, (block, 2 * block))


def _scores(
    q: Tensor, k_before: Tensor, k: Tensor, far: tuple[Tensor, Tensor] | None, bias: Tensor | None, first: bool
) -> Tensor:
    """Scores (B, H, M, L, S + 2L) with the codes, log counts included, with the block before and with the own one.

    −∞ for the future and for what isn't there. Without `far` (codebook, counts) there are no codes.
    """
    block = q.shape[3]
    keys = [k_before, k]
    if far is not None:
        keys.insert(0, far[0].to(k.dtype)[:, None].expand(*q.shape[:3], -1, -1))
    scores = q @ torch.cat(keys, dim=3).mT
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))  # bfloat16 has no room for log counts
    # one term for all columns: slices changed in place would cost a copy of the gradient each
    unseen = torch.ones(block, 2 * block, dtype=torch.bool, device=q.device).triu(block + 1)[None]
    if first:
        unseen = unseen.repeat(q.shape[2], 1, 1)
        unseen[0, :, :block] = True
    term = scores.new_zeros(()) if bias is None else bias.to(scores.dtype)
    term = torch.where(unseen, -torch.inf, term)
    if far is not None:
        counts = _log(far[1])[..., None, :]
        lead = torch.broadcast_shapes(counts.shape[:-2], term.shape[:-2])
        term = torch.cat((counts.expand(*lead, block, -1), term.expand(*lead, -1, -1)), dim=-1)
    return scores + term if torch.is_grad_enabled() else scores.add_(term)


def _values(p: Tensor, mean: Tensor | None, v_before: Tensor, v: Tensor) -> Tensor:
    """Σ p·v over the means of the codes, the block before and the own one."""
    block = v.shape[3]
    far, before, own = p.split((p.shape[-1] - 2 * block, block, block), dim=-1)
    out = before @ v_before
    out += own @ v
    if mean is not None:
        out += far @ mean.to(v.dtype)
    return out


def _entering(
    v: Tensor, z: Tensor, codes: int, carry: tuple[Tensor, Tensor] | None, skip_first: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Means and counts that enter each of M blocks, and those behind them.

    v and z are the blocks i − 1 for the blocks i; the first enters without its block i − 1, the second with that of the
    first, and so on.
    """
    sums, counts = _code_sums(v, z, codes, dtype=dtype)
    if skip_first:
        sums = torch.cat((torch.zeros_like(sums[:, :, :1]), sums[:, :, 1:]), dim=2)
        counts = torch.cat((torch.zeros_like(counts[:, :, :1]), counts[:, :, 1:]), dim=2)
    if carry is None:
        start = torch.zeros_like(sums[:, :, :1]), torch.zeros_like(counts[:, :, :1])
    else:
        start = (carry[0] * carry[1][..., None])[:, :, None].to(dtype), carry[1][:, :, None]
    sums, counts = torch.cat((start[0], sums), dim=2), torch.cat((start[1], counts), dim=2)
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        sums, counts = sums.cumsum(2), counts.cumsum(2)
    else:
        for i in range(1, sums.shape[2]):  # much faster than cumsum along this dimension
            sums[:, :, i] += sums[:, :, i - 1]
        counts = counts.cumsum(2)
    means = sums / counts.clamp(min=1.0)[..., None]
    return means[:, :, :-1], counts[:, :, :-1], (means[:, :, -1], counts[:, :, -1])


def _code_sums(
    v: Tensor, z: Tensor, codes: int, mask: Tensor | None = None, dtype: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """ΔᵀV (B, H, M, S, V) and Δᵀ1 (B, H, M, S) of blocks (B, H, M, L, ·), by scatter-add in at least float32."""
    lead, width = z.shape[:-1], v.shape[-1]
    dtype = torch.promote_types(v.dtype, torch.float32) if dtype is None else dtype
    groups = lead.numel()
    index = (z.flatten(0, -2) + torch.arange(0, groups * codes, codes, device=z.device)[:, None]).flatten()
    rows = v.to(dtype).flatten(0, -2)
    ones = rows.new_ones(rows.shape[0])
    if mask is not None:
        ones = mask[:, None, None].expand(*z.shape).flatten().to(dtype)
        rows = rows * ones[:, None]
    sums = rows.new_zeros(groups * codes, width).index_add(0, index, rows)
    counts = ones.new_zeros(groups * codes).index_add(0, index, ones)
    return sums.view(*lead, codes, width), counts.view(*lead, codes)


def _means(sums: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    return sums / counts.clamp(min=1.0)[..., None], _log(counts)


def _log(counts: Tensor) -> Tensor:
    """log of the counts, −∞ for an unused code."""
    return torch.where(counts > 0, counts.clamp(min=1.0).log(), -torch.inf)


def _softmax(scores: Tensor) -> Tensor:
    return scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))


# Some tokens of one block


def _within_block(
    q: Tensor, k: Tensor, shortcodes: Tensor, v: Tensor, codebook: Tensor, bias: Tensor | None, state: VQState
) -> Tensor:
    """Tokens that fit into the current block."""
    block, inside, n = state.block, state.position % state.block, q.shape[2]
    start, end = 0 if state.position >= block else block, block + inside + n
    if torch.is_grad_enabled():  # the tensors may belong to a graph
        keys = torch.cat((state.keys[:, :, : end - n], k), dim=2)
        values = torch.cat((state.values[:, :, : end - n], v), dim=2)
        room = (0, 0, 0, 2 * block - end)
        state.keys, state.values = F.pad(keys.detach(), room), F.pad(values.detach(), room)
    else:
        state.keys[:, :, end - n : end], state.values[:, :, end - n : end] = k, v
        keys, values = state.keys[:, :, :end], state.values[:, :, :end]
    if torch.is_grad_enabled():
        state.shortcodes = state.shortcodes.clone()
    state.shortcodes[:, :, end - n : end] = shortcodes
    keys, values = keys[:, :, start:], values[:, :, start:]
    scores = q @ keys.mT
    distance = torch.arange(end - n, end, device=q.device)[:, None] - torch.arange(start, end, device=q.device)
    if bias is not None:
        scores = scores + _by_distance(bias, distance)
    if n > 1:
        scores = scores.masked_fill(distance < 0, -torch.inf)
    if state.position >= 2 * block:
        far = q @ codebook.to(q.dtype).mT + _log(state.count)[:, :, None]
        p = _softmax(torch.cat((far, scores), dim=-1)).to(values.dtype)
        codes = codebook.shape[1]
        out = p[..., :codes] @ state.mean.to(values.dtype) + p[..., codes:] @ values
    else:
        out = _softmax(scores).to(values.dtype) @ values
    state.position += n
    if end == 2 * block:
        _shift(state)
    return out


@torch.no_grad()
def _shift(state: VQState) -> None:
    """At the end of a block: the one before it goes into the means, it becomes the one before."""
    block, codes = state.block, state.count.shape[2]
    if state.position >= 2 * block:
        v, z = state.values[:, :, None, :block], state.shortcodes[:, :, None, :block]
        sums, counts = _code_sums(v, z, codes, dtype=state.mean.dtype)
        total = state.count + counts[:, :, 0]
        ratio = state.count / total.clamp(min=1.0)
        state.mean = state.mean * ratio[..., None] + sums[:, :, 0] / total.clamp(min=1.0)[..., None]
        state.count = total
    empty = (0, 0, 0, block)
    state.keys, state.values = F.pad(state.keys[:, :, block:], empty), F.pad(state.values[:, :, block:], empty)
    state.shortcodes = F.pad(state.shortcodes[:, :, block:], (0, block))


# The exact straight-through gradient in linear time


class _KeyGradient(torch.autograd.Function):
    """Returns the output unchanged, and sends to k what all queries owe to it.

    ∂L/∂k_j = M_{z_j} v_j − N_{z_j} with M_s = Σ_i a_is q_i g_iᵀ and N_s = Σ_i a_is (g_i·o_i) q_i, where a_is is the
    weight that query i gives to each single token of code s. With blocks (B, H, M, L, ·) and `lag`, the sums run over
    the queries at least `lag` blocks later. A code number S stands for a token that takes no part.
    """

    @staticmethod
    def forward(
        ctx: Any, out: Tensor, k: Tensor, q: Tensor, a: Tensor, v: Tensor, z: Tensor, lag: int | None
    ) -> Tensor:
        ctx.save_for_backward(out, q, a, v, z)
        ctx.lag, ctx.dtype = lag, k.dtype
        return out.view_as(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        out, q, a, v, z = ctx.saved_tensors
        wide = torch.promote_types(g.dtype, torch.float32)
        h = (g.to(wide) * out.to(wide)).sum(-1)
        parts = [x.to(wide).flatten(0, 1) for x in (q, a, g, h, v)] + [z.flatten(0, 1)]
        if ctx.lag is None:
            M, N = _owed(*parts[:4])
            return g, _paid(M, N, parts[4], parts[5]).unflatten(0, z.shape[:2]).to(ctx.dtype), *[None] * 5
        blocks, found = z.shape[2], []
        M, N = _owed(*(x[:, :0, 0] for x in parts[:4]))
        for i in reversed(range(blocks)):
            if i + ctx.lag < blocks:
                more = _owed(*(x[:, i + ctx.lag] for x in parts[:4]))
                M, N = M + more[0], N + more[1]
            found.append(_paid(M, N, parts[4][:, i], parts[5][:, i]))
        gradient = torch.stack(found[::-1], dim=1)
        return g, gradient.unflatten(0, z.shape[:2]).to(ctx.dtype), *[None] * 5


def _owed(q: Tensor, a: Tensor, g: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """M (BH, S, K, V) and N (BH, S, K) of some queries (BH, N, ·)."""
    lead, n, key = q.shape
    codes, width = a.shape[2], g.shape[2]
    M, N = q.new_zeros(lead, codes * key, width), (a * h[..., None]).mT @ q
    for part in range(0, n, max(1, EXACT_AT_ONCE // max(1, lead * codes * key))):
        rows = slice(part, part + max(1, EXACT_AT_ONCE // max(1, lead * codes * key)))
        left = (a[:, rows, :, None] * q[:, rows, None]).flatten(2)
        M.baddbmm_(left.mT, g[:, rows])
    return M.view(lead, codes, key, width), N


def _paid(M: Tensor, N: Tensor, v: Tensor, z: Tensor) -> Tensor:
    """M_{z_j} v_j − N_{z_j} (BH, N, K)."""
    lead, codes, key, width = M.shape
    away = z >= codes
    index = z.clamp(max=codes - 1) + torch.arange(0, lead * codes, codes, device=z.device)[:, None]
    M, N = M.flatten(0, 1), N.flatten(0, 1)
    size = max(1, EXACT_AT_ONCE // max(1, lead * key * width))
    parts = zip(index.split(size, dim=1), v.split(size, dim=1), strict=True)
    found = torch.cat([(M[i] @ x[..., None])[..., 0] - N[i] for i, x in parts], dim=1)
    return found.masked_fill(away[..., None], 0.0)


# What is checked up front


def _check(q: Tensor, k: Tensor, v: Tensor, block: int, bias: Tensor | None, window: str, gradient: str) -> None:
    _check_types(q=q, k=k, v=v)
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    for name, value, allowed in (("window", window, WINDOWS), ("gradient", gradient, GRADIENTS)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    if bias is None:
        return
    most = block + 1 if window == "toeplitz" else 2 * block
    if not 1 <= bias.shape[-1] <= most:
        raise ValueError(f"bias must have 1 to {most} distances for a {window} window, got {bias.shape[-1]}")
    full = (*q.shape[:3], bias.shape[-1])
    if bias.ndim > 4 or any(b not in (1, f) for b, f in zip(bias.shape[::-1], full[::-1], strict=False)):
        raise ValueError(f"bias must be broadcastable to {full}, got {tuple(bias.shape)}")


def _check_types(**tensors: Tensor) -> None:
    for name, x in tensors.items():
        if not x.is_floating_point():
            raise ValueError(f"{name} must be floating point, got {x.dtype}")


def _check_codes(shortcodes: Tensor, k: Tensor, codebook: Tensor) -> None:
    if shortcodes.is_floating_point() or shortcodes.dtype is torch.bool:
        raise ValueError(f"shortcodes must be integers, got {shortcodes.dtype}")
    if codebook.shape[0] != k.shape[1] or codebook.shape[2] != k.shape[3] or codebook.shape[1] < 1:
        expected = (k.shape[1], "codes ≥ 1", k.shape[3])
        raise ValueError(f"codebook must have shape {expected}, got {tuple(codebook.shape)}")
    if not torch.compiler.is_compiling() and shortcodes.device.type == "cpu" and shortcodes.numel():
        low, high = int(shortcodes.min()), int(shortcodes.max())
        if low < 0 or high >= codebook.shape[1]:
            raise ValueError(f"shortcodes must be in [0, {codebook.shape[1]}), got {low}..{high}")
        if not bool(codebook.isfinite().all()):
            raise ValueError("codebook must be finite, got NaN or infinite entries")
