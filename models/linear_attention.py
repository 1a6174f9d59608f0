r"""Linear attention: softmax replaced by a kernel of features, so that time and memory are linear in the length.

Su Jianlin, 《线性Attention的探索：Attention必须有个Softmax吗？》 (Exploring linear attention: must attention have a
softmax?), Scientific Spaces, 2020-07-04, archive 7546, and 《Performer》, archive 7921. Papers: Katharopoulos et al.,
Transformers are RNNs, 2020, arXiv 2006.16236; Shen et al., Efficient Attention, 2018, arXiv 1812.01243; Choromanski et
al., Rethinking Attention with Performers, 2020, arXiv 2009.14794; Wang et al., Linformer, 2020, arXiv 2006.04768.

    out_i = Σ_j sim(q_i, k_j) v_j / Σ_j sim(q_i, k_j),    sim(q, k) = φ(q)·ϕ(k)

    elu       φ = ϕ = elu + 1                                       Transformers are RNNs
    relu      φ = ϕ = relu + 10⁻³                                   the Performer's generalised kernel
    softmax   φ = softmax over features, ϕ = exp                    Efficient Attention
    taylor1   φ = ϕ = (1, x/|x|): sim = 1 + cos(q, k)               the article's own
    taylor2   φ = ϕ = (1, x̂, x̂⊗x̂/√2): sim = 1 + c + c²/2 > 0
    favor+    random positive features, E sim = e^{q·k/√d}          Performer

Shapes: B batch, H heads, N length, D head size, R features, E value size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kexue.models._language import LanguageModel
from kexue.models._model import Config
from kexue.models._torch import is_traced

__all__ = [
    "FavorFeatures",
    "LinearAttention",
    "LinearAttentionState",
    "LinearTransformerConfig",
    "LinearTransformerLM",
    "Linformer",
    "causal_numerators",
    "efficient_attention",
    "linear_attention",
    "linear_attention_quadratic",
    "recurrent_step",
]

FeatureMap = Callable[[Tensor], Tensor]
CHUNK = 64


# Features


def elu_features(x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """elu(x) + 1: x + 1 for x > 0, else eˣ; positive, increasing, C¹ (claim linear_attention/elu-feature)."""
    return F.elu(x) + 1


def relu_features(x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """relu(x) + 10⁻³: without the constant a denominator could be exactly 0."""
    return F.relu(x) + 1e-3


def taylor1_features(x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch features"]:
    """(1, x/|x|): the inner product is 1 + cos, in [0, 2] (claim linear_attention/taylor-nonneg)."""
    unit = F.normalize(x, dim=-1)
    return torch.cat((torch.ones_like(unit[..., :1]), unit), dim=-1)


def taylor2_features(x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch features"]:
    """(1, x̂, x̂⊗x̂/√2): the inner product is 1 + c + c²/2 ≥ ½, an even truncation of e^c."""
    unit = F.normalize(x, dim=-1)
    square = (unit[..., :, None] * unit[..., None, :]).flatten(-2) / math.sqrt(2)
    return torch.cat((torch.ones_like(unit[..., :1]), unit, square), dim=-1)


class FavorFeatures(nn.Module):
    """Positive random features of the softmax kernel (FAVOR+): E φ(q)·φ(k) = e^{q·k/√d}.

    φ(x)_i = exp(w_i·y − |y|²/2)/√m with y = x/d^{1/4}, w_i ~ N(0, I): in blocks of d mutually orthogonal directions
    with lengths χ_d, which keeps the mean and lowers the variance (claims linear_attention/favor-unbiased,
    favor-variance, orthogonal-features).

    Args:
        dim: head size d.
        num_features: m; ⌈d ln d⌉ by default.
        orthogonal: draw directions in orthogonal blocks.
        stabilised: subtract the largest exponent, of each query and of all keys together: weights don't change,
            since a factor of φ(q) cancels and one factor for all keys does too.
    """

    directions: Tensor

    def __init__(
        self, dim: int, num_features: int | None = None, orthogonal: bool = True, stabilised: bool = True
    ) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        count = max(1, math.ceil(dim * math.log(max(dim, 2)))) if num_features is None else num_features
        if count < 1:
            raise ValueError(f"num_features must be at least 1, got {count}")
        self.dim, self.num_features, self.orthogonal, self.stabilised = dim, count, orthogonal, stabilised
        self.register_buffer("directions", self._draw())

    def _draw(self) -> Float[Tensor, "features dim"]:
        gauss = torch.randn(self.num_features, self.dim)
        if not self.orthogonal:
            return gauss
        blocks = []
        for _ in range(-(-self.num_features // self.dim)):
            q, r = torch.linalg.qr(torch.randn(self.dim, self.dim))
            blocks.append(q * r.diagonal().sign())
        return torch.cat(blocks)[: self.num_features] * gauss.norm(dim=1, keepdim=True)

    @torch.no_grad()
    def redraw(self) -> None:
        """New directions, for training that changes them now and then."""
        self.directions.copy_(self._draw())

    def forward(self, x: Float[Tensor, "*batch dim"], *, keys: bool = False) -> Float[Tensor, "*batch features"]:
        """φ(x), in at least float32; with `keys` the exponents of all positions are shifted together."""
        y = x.to(torch.promote_types(x.dtype, torch.float32)) * self.dim**-0.25
        exponent = y @ self.directions.to(y.dtype).mT - y.square().sum(-1, keepdim=True) / 2
        if self.stabilised:
            shift = exponent.detach().amax(dim=(-2, -1) if keys else -1, keepdim=True)
            exponent = exponent - shift
        return (exponent.exp() + (1e-6 if self.stabilised else 0.0)) * self.num_features**-0.5


FEATURES: dict[str, FeatureMap] = {
    "elu": elu_features,
    "relu": relu_features,
    "taylor1": taylor1_features,
    "taylor2": taylor2_features,
}


def features_of(
    q: Tensor, k: Tensor, feature_map: str | FeatureMap | FavorFeatures
) -> tuple[Float[Tensor, "batch heads length features"], Float[Tensor, "batch heads keys features"]]:
    """φ(q) and ϕ(k), in at least float32."""
    work = torch.promote_types(q.dtype, torch.float32)
    q, k = q.to(work), k.to(work)
    if isinstance(feature_map, FavorFeatures):
        return feature_map(q), feature_map(k, keys=True)
    if callable(feature_map):
        return feature_map(q), feature_map(k)
    if feature_map not in FEATURES:
        names = ", ".join((*FEATURES, "softmax"))
        raise ValueError(f"feature_map must be one of {names}, a function or FavorFeatures, got {feature_map!r}")
    return FEATURES[feature_map](q), FEATURES[feature_map](k)


# Attention


class LinearAttentionState(NamedTuple):
    """What a causal layer remembers: the state Σ ϕ(k_j) v_jᵀ and the mass Σ ϕ(k_j), whatever the length so far."""

    state: Float[Tensor, "batch heads features values"]
    mass: Float[Tensor, "batch heads features"]


def linear_attention(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads keys dim"],
    v: Float[Tensor, "batch heads keys values"],
    feature_map: str | FeatureMap | FavorFeatures = "elu",
    *,
    causal: bool = False,
    mask: Bool[Tensor, "batch keys"] | None = None,
    chunk: int = CHUNK,
    eps: float | int = 1e-6,
    initial_state: LinearAttentionState | None = None,
    return_state: bool = False,
) -> Tensor | tuple[Tensor, LinearAttentionState]:
    r"""Attention with sim = φ(q)·ϕ(k) in time and memory linear in the length.

    Args:
        feature_map: "elu", "relu", "taylor1", "taylor2", a function of (…, dim), or `FavorFeatures`; "softmax" is
            `efficient_attention`.
        causal: sums over j ≤ i; then `chunk` tokens at a time are attended to by a masked product, earlier ones
            through the state (claim linear_attention/chunked-form).
        mask: True for keys that exist; bidirectional attention only.
        eps: added to the denominators.
        initial_state: continue behind earlier tokens (causal only).
        return_state: return (output, state behind the last token) (causal only).

    Returns:
        The output, (batch, heads, length, values).

    Raises:
        ValueError: shapes that don't fit, options that exclude each other, an unknown feature map.
    """
    _check(q, k, v, causal, mask, chunk, initial_state is not None or return_state)
    if feature_map == "softmax":
        if causal:
            raise ValueError(
                "feature_map='softmax' is not causal: its weights over keys see the future "
                "(claim linear_attention/efficient-causal-leak)"
            )
        return efficient_attention(q, k, v, mask=mask)
    dtype = v.dtype
    fq, fk = features_of(q, k, feature_map)
    values = v.to(fk.dtype)
    if not causal:
        if mask is not None:
            fk = fk * mask[:, None, :, None]
        sums = fq @ (fk.mT @ values)
        return (sums / (fq @ fk.sum(-2)[..., None] + eps)).to(dtype)
    expected = (*fk.shape[:2], fk.shape[3], values.shape[3])
    if initial_state is None:
        zeros = fk.new_zeros(expected)
        initial_state = LinearAttentionState(zeros, zeros[..., 0])
    elif initial_state.state.shape != expected or initial_state.mass.shape != expected[:3]:
        found = tuple(initial_state.state.shape), tuple(initial_state.mass.shape)
        raise ValueError(f"initial_state must hold tensors of shapes {expected} and {expected[:3]}, got {found}")
    out, state, mass = _causal(fq, fk, values, initial_state.state, initial_state.mass, chunk, eps)
    assert mass is not None
    return (out.to(dtype), LinearAttentionState(state, mass)) if return_state else out.to(dtype)


def linear_attention_quadratic(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads keys dim"],
    v: Float[Tensor, "batch heads keys values"],
    feature_map: str | FeatureMap | FavorFeatures = "elu",
    *,
    causal: bool = False,
    mask: Bool[Tensor, "batch keys"] | None = None,
    eps: float | int = 1e-6,
) -> Float[Tensor, "batch heads length values"]:
    """The plain reference of `linear_attention`: forms the length × length matrix of similarities."""
    _check(q, k, v, causal, mask, 1, False)
    fq, fk = features_of(q, k, feature_map)
    similarity = fq @ fk.mT
    if causal:
        similarity = similarity.tril()
    if mask is not None:
        similarity = similarity * mask[:, None, None, :]
    return (similarity @ v.to(similarity.dtype) / (similarity.sum(-1, keepdim=True) + eps)).to(v.dtype)


def recurrent_step(
    q: Float[Tensor, "batch heads dim"],
    k: Float[Tensor, "batch heads dim"],
    v: Float[Tensor, "batch heads values"],
    state: LinearAttentionState | None = None,
    feature_map: str | FeatureMap | FavorFeatures = "elu",
    *,
    eps: float | int = 1e-6,
) -> tuple[Float[Tensor, "batch heads values"], LinearAttentionState]:
    """One token: adds ϕ(k)vᵀ to the state, then reads φ(q)ᵀS/(φ(q)·z) (claim linear_attention/causal-recurrence)."""
    if isinstance(feature_map, FavorFeatures) and feature_map.stabilised:
        raise ValueError("FavorFeatures must have stabilised=False in a recurrence: the shift of keys sees all of them")
    fq, fk = (f[:, :, 0] for f in features_of(q[:, :, None], k[:, :, None], feature_map))
    added = fk[..., :, None] * v.to(fk.dtype)[..., None, :]
    s, z = (added, fk) if state is None else (state.state + added, state.mass + fk)
    out = (fq[..., None, :] @ s)[..., 0, :] / ((fq * z).sum(-1, keepdim=True) + eps)
    return out.to(v.dtype), LinearAttentionState(s, z)


def causal_numerators(
    q: Float[Tensor, "batch heads length features"],
    k: Float[Tensor, "batch heads length features"],
    v: Float[Tensor, "batch heads length values"],
    *,
    chunk: int = CHUNK,
    initial_state: Float[Tensor, "batch heads features values"] | None = None,
) -> tuple[Float[Tensor, "batch heads length values"], Float[Tensor, "batch heads features values"]]:
    r"""Σ_{j≤i} (q_i·k_j) v_j for all i, and the state Σ_j k_j v_jᵀ behind the last token.

    Within a chunk by the masked product, between chunks through the state: O(length · (chunk + features) ·
    (features + values)) operations (claim linear_attention/chunked-form).
    """
    start = q.new_zeros(*k.shape[:2], k.shape[3], v.shape[3]) if initial_state is None else initial_state
    out, state, _ = _causal(q, k, v, start, None, chunk, 0.0)
    return out, state


def _causal(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, mass: Tensor | None, chunk: int, eps: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Causal sums and the state behind them; divided by the causal masses plus eps if `mass` is given.

    On a CPU a loop over chunks keeps the work of a chunk in the cache; a GPU and the compiler want all chunks at once.
    """
    if q.device.type == "cpu" and not is_traced(q) and not torch.is_autocast_enabled("cpu"):
        inputs = [x.flatten(0, 1).contiguous() for x in (q, k, v, state)]
        flat = None if mass is None else mass.flatten(0, 1).contiguous()
        out, state, last = CausalChunks.apply(*inputs, flat, chunk, eps)
        heads = q.shape[:2]
        return out.unflatten(0, heads), state.unflatten(0, heads), None if mass is None else last.unflatten(0, heads)
    return causal_batched(q, k, v, state, mass, chunk, eps)


def causal_batched(
    q: Tensor, k: Tensor, v: Tensor, state: Tensor, mass: Tensor | None, chunk: int, eps: float
) -> tuple[Tensor, Tensor, Tensor | None]:
    """All chunks at once by batched matrix products, differentiated by autograd: the reference of `CausalChunks`."""
    length, values = q.shape[-2], v.shape[-1]
    if mass is not None:  # the mass is the sum with values 1: one more column
        v = torch.cat((v, torch.ones_like(v[..., :1])), dim=-1)
        state = torch.cat((state, mass[..., None]), dim=-1)
    size = min(chunk, max(length, 1))
    short = -length % size
    if short:
        q, k, v = (F.pad(x, (0, 0, 0, short)) for x in (q, k, v))
    q, k, v = (x.unflatten(-2, (-1, size)) for x in (q, k, v))  # (batch, heads, chunks, size, ·)
    added = k.mT @ v  # what each chunk adds to the state
    after = added.cumsum(dim=2) + state[:, :, None]
    out = ((q @ k.mT).tril() @ v + q @ (after - added)).flatten(2, 3)[:, :, :length]
    last = after[:, :, -1]
    if mass is None:
        return out, last, None
    return out[..., :values] / (out[..., values:] + eps), last[..., :values], last[..., values]


class CausalChunks(torch.autograd.Function):
    """The causal sums chunk by chunk, with the gradient in a second pass from the end: O(features · values) of state.

    With R_i = Σ_{j≥i} q_j ĝ_jᵀ the gradients are ∂q_i = S_i ĝ_i, ∂k_i = R_i v_i and ∂v_i = R_iᵀ k_i, where
    ĝ = (g/D, −(g·o)/D) for the values and the appended 1 (claims linear_attention/gradients, normaliser-gradient).
    Shapes: q, k (B·H, N, R); v (B·H, N, E); state (B·H, R, E); mass (B·H, R) or None.
    """

    @staticmethod
    def forward(ctx, q, k, v, state, mass, chunk, eps):  # type: ignore[no-untyped-def]
        length = q.shape[1]
        chunk = min(chunk, max(length, 1))
        count = -(-length // chunk)
        out = torch.empty_like(v)
        states = state.new_empty(count, *state.shape)
        masses: Any = None if mass is None else mass.new_empty(count, *mass.shape)
        divisors: Any = None if mass is None else q.new_empty(*q.shape[:2], 1)
        state = state.clone()
        mass = None if mass is None else mass.clone()
        for i in range(count):
            part = slice(i * chunk, (i + 1) * chunk)
            qc, kc, vc = q[:, part], k[:, part], v[:, part]
            states[i] = state
            weights = torch.bmm(qc, kc.mT).tril_()
            sums = torch.bmm(qc, state).baddbmm_(weights, vc)
            if mass is not None:
                masses[i] = mass
                divisor = weights.sum(-1, keepdim=True) + torch.bmm(qc, mass[..., None]) + eps
                divisors[:, part] = divisor
                sums /= divisor
                mass += kc.sum(1)
            out[:, part] = sums
            state.baddbmm_(kc.mT, vc)
        ctx.save_for_backward(q, k, v, out, states, masses, divisors)
        ctx.chunk = chunk
        return out, state, mass

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad, grad_state, grad_mass):  # type: ignore[no-untyped-def]
        q, k, v, out, states, masses, divisors = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        later = states.new_zeros(states.shape[1:]) if grad_state is None else grad_state.clone()  # R
        later_mass: Any = None
        if masses is not None:
            later_mass = masses.new_zeros(masses.shape[1:]) if grad_mass is None else grad_mass.clone()
        for i in reversed(range(len(states))):
            part = slice(i * ctx.chunk, (i + 1) * ctx.chunk)
            qc, kc, vc, g = q[:, part], k[:, part], v[:, part], grad[:, part]
            if masses is not None:
                divisor = divisors[:, part]
                unit = (g * out[:, part]).sum(-1, keepdim=True).div_(divisor).neg_()  # of the appended 1
                g = g / divisor
            pairs = torch.bmm(g, vc.mT)
            if masses is not None:
                pairs += unit
            pairs.tril_()
            weights = torch.bmm(qc, kc.mT).tril_()
            dqc = torch.bmm(g, states[i].mT).baddbmm_(pairs, kc)
            dkc = torch.bmm(vc, later.mT).baddbmm_(pairs.mT, qc)
            if masses is not None:
                dqc.baddbmm_(unit, masses[i][:, None])
                dkc += later_mass[:, None]
                later_mass += torch.bmm(unit.mT, qc)[:, 0]
            dq[:, part], dk[:, part] = dqc, dkc
            dv[:, part] = torch.bmm(kc, later).baddbmm_(weights.mT, g)
            later.baddbmm_(qc.mT, g)
        return dq, dk, dv, later, later_mass, None, None


def efficient_attention(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads keys dim"],
    v: Float[Tensor, "batch heads keys values"],
    *,
    causal: bool = False,
    mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, "batch heads length values"]:
    """softmax over features of q times softmax over positions of k, times v: rows sum to 1 without a denominator.

    The causal form normalises each feature over the prefix, Σ_{j≤i} e^{k_jc} v_j / Σ_{j≤i} e^{k_jc}, since the common
    normaliser of all positions would leak the future (claim linear_attention/efficient-causal-leak).
    """
    _check(q, k, v, causal, mask, 1, False)
    work = torch.promote_types(q.dtype, torch.float32)
    weights, keys = q.to(work).softmax(dim=-1), k.to(work)
    if mask is not None:
        keys = keys.masked_fill(~mask[:, None, :, None], -math.inf)
    if not causal:
        return (weights @ (keys.softmax(dim=-2).mT @ v.to(work))).to(v.dtype)
    return _prefix_normalised(weights, keys, v.to(work)).to(v.dtype)


def _prefix_normalised(weights: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    """Σ_c w_ic Σ_{j≤i} e^{k_jc} v_j / Σ_{j≤i} e^{k_jc}, a chunk at a time.

    Exponentials are shifted by the largest key up to the end of the chunk, so that nothing overflows; keys of one
    chunk may differ by the type's range of exponents (80 in float32).
    """
    state, mass, shift, outputs = None, None, None, []
    parts = (x.split(CHUNK, dim=-2) for x in (weights, keys, v))
    for w, k, values in zip(*parts, strict=True):
        largest = k.detach().amax(dim=-2, keepdim=True)
        if state is None or mass is None or shift is None:
            shift = largest
            e = (k - shift).exp()
            masses = e.cumsum(dim=-2)
            scaled = w / masses
            out = (scaled @ e.mT).tril() @ values
            state, mass = e.mT @ values, masses[..., -1:, :]
        else:
            before, shift = shift, torch.maximum(shift, largest)
            faded = (before - shift).exp()
            state, mass = state * faded.mT, mass * faded
            e = (k - shift).exp()
            masses = mass + e.cumsum(dim=-2)
            scaled = w / masses
            out = (scaled @ e.mT).tril() @ values + scaled @ state
            state, mass = state + e.mT @ values, masses[..., -1:, :]
        outputs.append(out)
    return torch.cat(outputs, dim=-2)


class Linformer(nn.Module):
    """softmax(q(Ek)ᵀ/√d)Fv with learned E, F of shape (rank, length): fixed length, bidirectional only.

    Weights on the original values can be negative (claim linear_attention/linformer); a copy of all positions needs
    rank ~ length (claim linear_attention/linformer-rank-obstruction).
    """

    def __init__(self, length: int, rank: int) -> None:
        super().__init__()
        if not 1 <= rank <= length:
            raise ValueError(f"rank must be from 1 to length = {length}, got {rank}")
        self.project_keys = nn.Parameter(torch.randn(rank, length) * length**-0.5)
        self.project_values = nn.Parameter(torch.randn(rank, length) * length**-0.5)

    def forward(
        self,
        q: Float[Tensor, "batch heads length dim"],
        k: Float[Tensor, "batch heads length dim"],
        v: Float[Tensor, "batch heads length values"],
    ) -> Float[Tensor, "batch heads length values"]:
        if k.shape[-2] != self.project_keys.shape[1]:
            raise ValueError(f"k must have the length {self.project_keys.shape[1]}, got {k.shape[-2]}")
        return F.scaled_dot_product_attention(q, self.project_keys @ k, self.project_values @ v)


def _check(
    q: Tensor, k: Tensor, v: Tensor, causal: bool, mask: Tensor | None, chunk: int, with_state: bool
) -> None:
    for name, x in (("q", q), ("k", k), ("v", v)):
        if x.ndim != 4:
            raise ValueError(f"{name} must have shape (batch, heads, length, dim), got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise ValueError(f"{name} must be a floating point tensor, got {x.dtype}")
    if k.shape[:3] != v.shape[:3] or q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3]:
        raise ValueError(f"shapes don't fit: q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    if causal and q.shape[2] != k.shape[2]:
        raise ValueError(f"causal attention needs as many queries as keys, got {q.shape[2]} and {k.shape[2]}")
    if causal and mask is not None:
        raise ValueError("mask goes with bidirectional attention only; pad a causal batch on the right instead")
    if with_state and not causal:
        raise ValueError("a state goes with causal attention only")
    if mask is not None and mask.shape != (k.shape[0], k.shape[2]):
        raise ValueError(f"mask must have shape {(k.shape[0], k.shape[2])}, got {tuple(mask.shape)}")
    if mask is not None and mask.device.type == "cpu" and not is_traced(mask) and not bool(mask.any(-1).all()):
        raise ValueError("mask must leave a key to each sequence, got a row that is False throughout")


# The model


@dataclass(frozen=True)
class LinearTransformerConfig(Config):
    """An autoregressive Transformer with linear attention; the default is the paper's MNIST model: pixels in order."""

    vocab_size: int = 256
    context: int = 784
    width: int = 256
    num_layers: int = 8
    num_heads: int = 8
    ffn: int = 1024
    feature_map: str = "elu"
    chunk: int = CHUNK
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"num_heads must divide width = {self.width}, got {self.num_heads}")
        if self.feature_map not in FEATURES:
            raise ValueError(f"feature_map must be one of {', '.join(FEATURES)}, got {self.feature_map!r}")
        self.at_least(1, "chunk")
        self.fractions("dropout")


PRESETS = {
    "mnist": LinearTransformerConfig(),
    "cifar10": LinearTransformerConfig(context=3072, num_layers=16),
    "tiny": LinearTransformerConfig(
        vocab_size=64, context=64, width=32, num_layers=2, num_heads=4, ffn=64, chunk=16, dropout=0.0
    ),
}


class LinearAttention(nn.Module):
    """Projections around causal `linear_attention`."""

    def __init__(self, c: LinearTransformerConfig) -> None:
        super().__init__()
        self.num_heads, self.feature_map, self.chunk = c.num_heads, c.feature_map, c.chunk
        self.qkv = nn.Linear(c.width, 3 * c.width)
        self.out = nn.Linear(c.width, c.width)

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        out = linear_attention(*self._heads(x), self.feature_map, causal=True, chunk=self.chunk)
        assert isinstance(out, Tensor)
        return self.out(out.transpose(1, 2).flatten(2))

    def step(
        self, x: Float[Tensor, "batch length width"], state: LinearAttentionState | None
    ) -> tuple[Float[Tensor, "batch length width"], LinearAttentionState]:
        out, state = linear_attention(
            *self._heads(x), self.feature_map, causal=True, chunk=self.chunk, initial_state=state, return_state=True
        )
        return self.out(out.transpose(1, 2).flatten(2)), state

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v


class LinearTransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + network(norm(x))."""

    def __init__(self, c: LinearTransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(c.width)
        self.attention = LinearAttention(c)
        self.ffn_norm = nn.LayerNorm(c.width)
        self.up = nn.Linear(c.width, c.ffn)
        self.down = nn.Linear(c.ffn, c.width)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        return self._network(x + self.dropout(self.attention(self.attention_norm(x))))

    def step(
        self, x: Float[Tensor, "batch length width"], state: LinearAttentionState | None
    ) -> tuple[Float[Tensor, "batch length width"], LinearAttentionState]:
        attended, state = self.attention.step(self.attention_norm(x), state)
        return self._network(x + self.dropout(attended)), state

    def _network(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.down(self.dropout(F.gelu(self.up(self.ffn_norm(x))))))


@dataclass
class LinearTransformerState:
    """The states of all layers, and how many tokens they have seen."""

    layers: list[LinearAttentionState | None]
    length: int = 0


class LinearTransformerLM(LanguageModel, config=LinearTransformerConfig):
    """An autoregressive model of tokens (or pixels in raster order) whose memory doesn't grow while it generates.

    Positions are learned; the context is the number of positions.
    """

    def __init__(self, config: LinearTransformerConfig) -> None:
        super().__init__(config)
        c = config
        self.embedding = nn.Embedding(c.vocab_size, c.width)
        self.positions = nn.Parameter(torch.randn(c.context, c.width) * 0.02)
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(LinearTransformerBlock(c) for _ in range(c.num_layers))
        self.norm = nn.LayerNorm(c.width)
        self.head = nn.Linear(c.width, c.vocab_size)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length vocab"]:
        x = self._embed(tokens, 0)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def initial_state(self, batch_size: int) -> LinearTransformerState:
        return LinearTransformerState([None] * len(self.blocks))

    def step(
        self, tokens: Int[Tensor, "batch length"], state: LinearTransformerState
    ) -> tuple[Float[Tensor, "batch length vocab"], LinearTransformerState]:
        x, layers = self._embed(tokens, state.length), []
        for block, held in zip(self.blocks, state.layers, strict=True):
            x, held = block.step(x, held)  # type: ignore[operator]
            layers.append(held)
        return self.head(self.norm(x)), LinearTransformerState(layers, state.length + tokens.shape[1])

    def _embed(self, tokens: Tensor, first: int) -> Tensor:
        end = first + tokens.shape[1]
        if end > self.config.context:
            raise ValueError(f"tokens must end before position context = {self.config.context}, got {end}")
        return self.dropout(self.embedding(tokens) + self.positions[first:end])
