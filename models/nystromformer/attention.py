"""Attention through landmarks: F (A⁻¹ (B V)) with an iterative or exact inverse, and its plain reference."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kexue.models._torch import full_precision

# V ← factor · V (c₁ − AV (c₂ − AV (… − AV))): name -> (c₁, c₂, …), factor. Products in a step: one more than constants.
SCHEMES = {"razavi": ((13.0, 15.0, 7.0), 0.25), "newton": ((2.0,), 1.0), "chebyshev": ((3.0, 3.0), 1.0)}
INVERSES = (*SCHEMES, "exact")
INITS = ("exact", "original")


# Landmarks


class Segments(NamedTuple):
    """How the tokens of each sample of a padded batch are divided among the landmarks."""

    mask: Bool[Tensor, "batch length"]  # True for tokens, False for padding
    mean: Float[Tensor, "batch landmarks length"]  # 1/size at the tokens of a landmark's segment
    present: Bool[Tensor, "batch landmarks"]  # landmarks that have tokens
    member: Int[Tensor, "batch length"]  # landmark of each token
    single: Bool[Tensor, "batch"]  # no segment has two tokens: attention is exact


def segments(mask: Bool[Tensor, "batch length"], num_landmarks: int, dtype: torch.dtype = torch.float32) -> Segments:
    """Contiguous segments of the tokens: with count = s·M + rest, M − rest landmarks have s tokens, then rest s + 1.

    What the padding is and where it stands has no influence. With fewer tokens than landmarks, each is a landmark.
    """
    count = mask.sum(-1, keepdim=True)
    size = count // num_landmarks
    smaller = (size + 1) * num_landmarks - count  # landmarks with `size` tokens; they come first
    rank = mask.cumsum(-1) - 1
    behind = smaller + (rank - smaller * size).div(size + 1, rounding_mode="floor")
    member = torch.where(rank < smaller * size, rank.div(size.clamp(min=1), rounding_mode="floor"), behind)
    index = torch.arange(num_landmarks, device=mask.device)[:, None]
    inside = (member[:, None] == index) & mask[:, None]
    tokens = inside.sum(-1, keepdim=True)
    mean = inside.to(dtype) / tokens.clamp(min=1).to(dtype)
    single = (count <= num_landmarks).squeeze(-1)
    return Segments(mask, mean, tokens.squeeze(-1) > 0, member.clamp(0, num_landmarks - 1), single)


def segment_means(
    x: Float[Tensor, "batch *heads length dim"],
    num_landmarks: int,
    mask: Bool[Tensor, "batch length"] | None = None,
    *,
    ragged: bool = False,
) -> Float[Tensor, "batch *heads landmarks dim"]:
    """Means of contiguous segments: the landmarks.

    Args:
        mask: True for tokens, False for padding. The tokens of each sample are divided among the landmarks whatever
            their number, so that padding has no influence; a landmark without a token is 0.
        ragged: allow a length that is no multiple of `num_landmarks`: the first segments then have one token less.

    Raises:
        ValueError: num_landmarks is not in [1, length], it doesn't divide the length without `ragged` or a mask, or the
            mask has another shape or a sample without tokens (the latter is checked on CPU, outside of torch.compile).
    """
    check_float("x", x)
    length = x.shape[-2]
    if mask is not None:
        check_mask(mask, x.shape[0], length)
        check_landmarks(num_landmarks)
        return _masked_means(x, segments(mask, num_landmarks, wide(x)))
    check_landmarks(num_landmarks, length)
    if length % num_landmarks and not ragged:
        raise ValueError(
            f"num_landmarks must divide the length {length}, got {num_landmarks}; pass ragged=True for unequal segments"
        )
    return _plain_means(x, num_landmarks)


def _plain_means(x: Tensor, num_landmarks: int) -> Tensor:
    size, rest = divmod(x.shape[-2], num_landmarks)
    if not rest:
        return x.unflatten(-2, (num_landmarks, size)).mean(-2)
    cut = (num_landmarks - rest) * size
    parts = (x[..., :cut, :].unflatten(-2, (-1, size)), x[..., cut:, :].unflatten(-2, (rest, size + 1)))
    return torch.cat([part.mean(-2) for part in parts], dim=-2)


def _masked_means(x: Tensor, s: Segments) -> Tensor:
    mean = s.mean.reshape(s.mean.shape[0], *[1] * (x.ndim - 3), *s.mean.shape[1:])
    with full_precision(x):
        clean = x.masked_fill(~s.mask.reshape(s.mask.shape[0], *[1] * (x.ndim - 3), -1, 1), 0)
        return (mean.to(wide(x)) @ clean.to(wide(x))).to(x.dtype)


# The inverse


def iterative_pinv(
    a: Float[Tensor, "*batch landmarks landmarks"], steps: int = 6, *, scheme: str = "razavi", init: str = "exact"
) -> Float[Tensor, "*batch landmarks landmarks"]:
    """An approximate inverse (pseudo-inverse) by matrix products, differentiable; computed in float32 or wider.

    Razavi's iteration has order 3 and takes 4 products a step, Newton–Schulz order 2 and 2, Chebyshev order 3 and 3: at
    equal work Chebyshev is the most accurate. Each is a spectral filter: with x = σ²/(‖A‖₁‖A‖_∞) ∈ [0, 1], a step maps
    the residual r = 1 − x of a singular direction to (3r³ + r⁴)/4, r² or r³. In floating point the null space of a
    singular matrix grows by 13/4, 2 or 3 a step: more steps aren't always better.

    Args:
        init: "exact" starts each matrix from Aᵀ/(‖A‖₁‖A‖_∞); "original" takes the largest norms of the whole batch, as
            the paper's code does, which makes each result depend on its neighbours.

    Raises:
        ValueError: a isn't square, steps < 0, an unknown scheme or init; on CPU, outside of torch.compile, also for a
            zero matrix and for values that aren't finite.
    """
    check_float("a", a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"a must be square in its last two dimensions, got shape {tuple(a.shape)}")
    check_inverse(scheme, steps, init, SCHEMES)
    if a.device.type == "cpu" and not torch.compiler.is_compiling() and a.numel():
        low, high = a.detach().abs().sum((-2, -1)).aminmax()
        if not math.isfinite(float(high)):
            raise ValueError(f"a must be finite, got a matrix with the sum of absolute values {float(high)}")
        if float(low) == 0:
            raise ValueError("a must have no zero matrix: its norm is the denominator of the initial value")
    with full_precision(a):
        return _iterate(a.to(wide(a)).reshape(-1, *a.shape[-2:]), steps, scheme, init).reshape(a.shape)


def _iterate(a: Tensor, steps: int, scheme: str, init: str) -> Tensor:
    """a: (batch, M, M)."""
    size = a.abs()
    columns, rows = size.sum(-2).amax(-1), size.sum(-1).amax(-1)
    if init == "original":
        columns, rows = columns.amax(), rows.amax()
    v = a.mT / (columns * rows).reshape(-1, 1, 1)
    constants, factor = SCHEMES[scheme]
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    for _ in range(steps):
        av = a @ v
        inner = constants[-1] * one - av
        for constant in reversed(constants[:-1]):
            inner = torch.baddbmm(constant * one, av, inner, alpha=-1)
        v = torch.baddbmm(one, v, inner, beta=0, alpha=factor)
    return v


def _inverse(a: Tensor, inverse: str, steps: int, init: str) -> Tensor:
    if inverse == "exact":
        return torch.linalg.pinv(a)
    return _iterate(a.reshape(-1, *a.shape[-2:]), steps, inverse, init).reshape(a.shape)


# Attention


def depthwise_convolution(
    v: Float[Tensor, "batch heads length dim"], weight: Float[Tensor, "heads 1 kernel 1"]
) -> Float[Tensor, "batch heads length dim"]:
    """Each head's own kernel along the sequence, shared by its dimensions; zeros beyond the ends."""
    # with the heads as innermost dimension the convolution and its gradient take about half the time on a CPU
    v = v.contiguous(memory_format=torch.channels_last)
    return F.conv2d(v, weight, padding=(weight.shape[2] // 2, 0), groups=v.shape[1])


def nystrom_attention(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads length dim"],
    v: Float[Tensor, "batch heads length value"],
    num_landmarks: int,
    *,
    mask: Bool[Tensor, "batch length"] | None = None,
    inverse: str = "razavi",
    steps: int = 6,
    init: str = "exact",
    conv: Float[Tensor, "heads 1 kernel 1"] | None = None,
    ragged: bool = False,
    causal: bool = False,
) -> Float[Tensor, "batch heads length value"]:
    """N V with N = F A⁻¹ B (archive 8180, "2sm3"), in time and memory linear in the length.

    A length of at most `num_landmarks` gives softmax attention, which N is then.

    Args:
        mask: True for tokens, False for padding; padded positions of the output mean nothing.
        inverse: "razavi", "newton", "chebyshev" (see `iterative_pinv`, also for `steps` and `init`), or "exact", the
            pseudo-inverse by singular value decomposition.
        conv: kernels of the depthwise convolution of V that is added.
        ragged: see `segment_means`.

    Raises:
        ValueError: as `segment_means` and `iterative_pinv`; q, k, v of different lengths, a kernel of even size or for
            another number of heads; causal=True, since segment means contain later tokens, so that masking N or its
            factors leaves leaks (the claim `nystromformer/not-causal`).
    """
    s = _checked(q, k, v, num_landmarks, mask, inverse, steps, init, conv, ragged, causal)
    if q.shape[-2] <= num_landmarks:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[:, None, None])
    else:
        q_means, k_means = (_landmarks(x, num_landmarks, s) for x in (q, k))
        out = _attend(q, k, v, q_means, k_means, s, inverse, steps, init)
    return out if conv is None else out + depthwise_convolution(_without_padding(v, mask), conv)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, q_means: Tensor, k_means: Tensor, s: Segments | None, inverse: str, steps: int,
    init: str,
) -> Tensor:  # fmt: skip
    """F (A⁻¹ (B V)) by two fused attentions: V with the landmarks as queries, then that with the landmarks as keys."""
    keys, landmarks = (None, None) if s is None else (s.mask[:, None, None], s.present[:, None, None])
    with full_precision(q):
        middle = _inverse(_landmark_attention(q_means, k_means, s), inverse, steps, init)
    summary = F.scaled_dot_product_attention(q_means, k, v, attn_mask=keys)  # B V
    with full_precision(q):
        mixed = (middle @ summary.to(middle.dtype)).to(summary.dtype)
    out = F.scaled_dot_product_attention(q, k_means, mixed, attn_mask=landmarks)
    if s is None:
        return out
    # a sample whose landmarks are its tokens: N is softmax attention, row by row that of the landmarks
    own = s.member[:, None, :, None].expand(*out.shape[:3], summary.shape[-1])
    return torch.where(s.single[:, None, None, None], summary.gather(2, own), out)


def _landmark_attention(q_means: Tensor, k_means: Tensor, s: Segments | None) -> Tensor:
    """A. Landmarks without tokens form an identity block, which has no influence on the inverse of the rest."""
    q_means, k_means = q_means.to(wide(q_means)), k_means.to(wide(k_means))
    logits = q_means @ k_means.mT / math.sqrt(q_means.shape[-1])
    if s is None:
        return logits.softmax(-1)
    absent = ~s.present[:, None]
    a = logits.masked_fill(absent[..., None, :], -math.inf).softmax(-1)
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return torch.where(absent[..., None], one, a)


def nystrom_factors(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads length dim"],
    num_landmarks: int,
    *,
    mask: Bool[Tensor, "batch length"] | None = None,
    ragged: bool = False,
) -> tuple[
    Float[Tensor, "batch heads length landmarks"],
    Float[Tensor, "batch heads landmarks landmarks"],
    Float[Tensor, "batch heads landmarks length"],
]:
    """F, A and B themselves, to look at. Raises ValueError as `segment_means`."""
    q_means, k_means = (segment_means(x, num_landmarks, mask, ragged=ragged) for x in (q, k))
    s = None if mask is None else segments(mask, num_landmarks, wide(q))
    scale = 1 / math.sqrt(q.shape[-1])
    f, b = scale * q @ k_means.mT, scale * q_means @ k.mT
    if s is not None:
        f = f.masked_fill(~s.present[:, None, None], -math.inf)
        b = b.masked_fill(~s.mask[:, None, None], -math.inf)
    return f.softmax(-1), _landmark_attention(q_means, k_means, s), b.softmax(-1)


def nystrom_attention_quadratic(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads length dim"],
    v: Float[Tensor, "batch heads length value"],
    num_landmarks: int,
    *,
    mask: Bool[Tensor, "batch length"] | None = None,
    inverse: str = "razavi",
    steps: int = 6,
    init: str = "exact",
    conv: Float[Tensor, "heads 1 kernel 1"] | None = None,
    ragged: bool = False,
    causal: bool = False,
) -> Float[Tensor, "batch heads length value"]:
    """The same with the matrix N in memory and the convolution as a sum: the reference of `nystrom_attention`."""
    s = _checked(q, k, v, num_landmarks, mask, inverse, steps, init, conv, ragged, causal)
    out = _attention_matrix(q, k, num_landmarks, s, mask, inverse, steps, init, ragged) @ v
    if conv is None:
        return out
    v, reach = _without_padding(v, mask), conv.shape[2] // 2
    padded, length = F.pad(v, (0, 0, reach, reach)), v.shape[-2]
    return out + sum(conv[:, 0, j, :, None] * padded[..., j : j + length, :] for j in range(conv.shape[2]))


def _attention_matrix(
    q: Tensor, k: Tensor, num_landmarks: int, s: Segments | None, mask: Tensor | None, inverse: str, steps: int,
    init: str, ragged: bool,
) -> Tensor:  # fmt: skip
    standard = _softmax_matrix(q, k, mask)
    if q.shape[-2] <= num_landmarks:
        return standard
    f, a, b = nystrom_factors(q, k, num_landmarks, mask=mask, ragged=ragged)
    approximate = f @ _inverse(a, inverse, steps, init).to(f.dtype) @ b
    return approximate if s is None else torch.where(s.single[:, None, None, None], standard, approximate)


def _softmax_matrix(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
    logits = q @ k.mT / math.sqrt(q.shape[-1])
    return (logits if mask is None else logits.masked_fill(~mask[:, None, None], -math.inf)).softmax(-1)


class NystromError(NamedTuple):
    """What `nystrom_error` measures, for each sample and head."""

    attention: Float[Tensor, "batch heads"]  # ‖N − S‖ / ‖S‖ (Frobenius); 1 is what N = 0 would give
    inverse: Float[Tensor, "batch heads"]  # ‖AXA − A‖ / ‖A‖ for the inverse X that is used
    row_sum: Float[Tensor, "batch heads"]  # largest |Σ_j N_ij − 1|
    lowest: Float[Tensor, "batch heads"]  # smallest entry of N: it may be negative


@torch.no_grad()
def nystrom_error(
    q: Float[Tensor, "batch heads length dim"],
    k: Float[Tensor, "batch heads length dim"],
    num_landmarks: int,
    *,
    inverse: str = "razavi",
    steps: int = 6,
    ragged: bool = False,
) -> NystromError:
    """How far N is from softmax attention on these queries and keys; takes memory quadratic in the length.

    Raises:
        ValueError: as `nystrom_attention`.
    """
    _checked(q, k, k, num_landmarks, None, inverse, steps, "exact", None, ragged, False)
    f, a, b = nystrom_factors(q, k, num_landmarks, ragged=ragged)
    x = _inverse(a, inverse, steps, "exact")
    n, s = f @ x.to(f.dtype) @ b, _softmax_matrix(q, k, None)
    norm = torch.linalg.matrix_norm
    return NystromError(
        norm(n - s) / norm(s),
        (norm(a @ x @ a - a) / norm(a)).to(n.dtype),
        (n.sum(-1) - 1).abs().amax(-1),
        n.amin((-2, -1)),
    )


class NystromAttention(nn.Module):
    """Self-attention with landmarks, for any length; at most `num_landmarks` tokens get softmax attention."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        num_landmarks: int = 64,
        conv_kernel: int = 33,
        inverse: str = "razavi",
        steps: int = 6,
        init: str = "exact",
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width must be a multiple of num_heads = {num_heads}, got {width}")
        if conv_kernel and conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel must be odd, or 0 for none, got {conv_kernel}")
        check_landmarks(num_landmarks)
        check_inverse(inverse, steps, init, INVERSES)
        self.num_heads, self.num_landmarks = num_heads, num_landmarks
        self.inverse, self.steps, self.init = inverse, steps, init
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.conv: nn.Parameter | None = None
        if conv_kernel:
            self.conv = nn.Parameter(torch.empty(num_heads, 1, conv_kernel, 1))
            nn.init.uniform_(self.conv, -(conv_kernel**-0.5), conv_kernel**-0.5)

    def forward(
        self, x: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"] | None = None
    ) -> Float[Tensor, "batch length width"]:
        """mask: True for tokens. Raises ValueError as `nystrom_attention`."""
        if mask is not None:
            check_mask(mask, *x.shape[:2])
        return self.attend(x, None if mask is None else segments(mask, self.num_landmarks, wide(x)))

    def attend(self, x: Tensor, s: Segments | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if s is not None:
            v = _without_padding(v, s.mask)
        if x.shape[1] <= self.num_landmarks:
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=None if s is None else s.mask[:, None, None])
        else:
            # the mean of projections is the projection of the mean, which has M rows instead of L
            width = x.shape[-1]
            means = _landmarks(x, self.num_landmarks, s)
            projected = F.linear(means, self.qkv.weight[: 2 * width], self.qkv.bias[: 2 * width])
            q_means, k_means = projected.unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
            out = _attend(q, k, v, q_means, k_means, s, self.inverse, self.steps, self.init)
        if self.conv is not None:
            out = out + depthwise_convolution(v, self.conv)
        return self.out(out.transpose(1, 2).flatten(2))


# Checks and small helpers


def _checked(
    q: Tensor, k: Tensor, v: Tensor, num_landmarks: int, mask: Tensor | None, inverse: str, steps: int, init: str,
    conv: Tensor | None, ragged: bool, causal: bool,
) -> Segments | None:  # fmt: skip
    if causal:
        raise ValueError(
            "causal must be False: the segment means and the inverse mix later tokens into every entry of N, "
            "so that no mask makes this attention causal"
        )
    check_float("q", q)
    check_inverse(inverse, steps, init, INVERSES)
    if not q.shape[-2] == k.shape[-2] == v.shape[-2]:
        raise ValueError(f"q, k and v must have one length, got {q.shape[-2]}, {k.shape[-2]} and {v.shape[-2]}")
    if conv is not None and (conv.shape[2] % 2 == 0 or conv.shape[0] != q.shape[1]):
        raise ValueError(f"conv must be {q.shape[1]} kernels of odd size, got shape {tuple(conv.shape)}")
    length = q.shape[-2]
    check_landmarks(num_landmarks)
    if mask is not None:
        check_mask(mask, q.shape[0], length)
        return segments(mask, num_landmarks, wide(q)) if length > num_landmarks else None
    if length > num_landmarks and length % num_landmarks and not ragged:
        raise ValueError(
            f"num_landmarks must divide the length {length}, got {num_landmarks}; pass ragged=True for unequal segments"
        )
    return None


def check_float(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"{name} must be a floating point tensor, got {x.dtype}")


def check_landmarks(num_landmarks: int, length: int | None = None) -> None:
    if num_landmarks < 1 or (length is not None and num_landmarks > length):
        expected = "at least 1" if length is None else f"in [1, {length}]"
        raise ValueError(f"num_landmarks must be {expected}, got {num_landmarks}")


def check_mask(mask: Tensor, batch: int, length: int) -> None:
    if mask.dtype != torch.bool or tuple(mask.shape) != (batch, length):
        raise ValueError(
            f"mask must be Boolean of shape {(batch, length)}, True for tokens, got {mask.dtype} {tuple(mask.shape)}"
        )
    if mask.device.type == "cpu" and not torch.compiler.is_compiling() and not bool(mask.any(-1).all()):
        empty = (~mask.any(-1)).nonzero()[:, 0].tolist()
        raise ValueError(f"mask must leave a token to each sample, got none in samples {empty}")


def check_inverse(inverse: str, steps: int, init: str, known: Any) -> None:
    if inverse not in known:
        raise ValueError(f"the inverse (scheme) must be one of {', '.join(known)}, got {inverse!r}")
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}")
    if init not in INITS:
        raise ValueError(f"init must be one of {', '.join(INITS)}, got {init!r}")


def wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _landmarks(x: Tensor, num_landmarks: int, s: Segments | None) -> Tensor:
    return _plain_means(x, num_landmarks) if s is None else _masked_means(x, s)


def _without_padding(v: Tensor, mask: Tensor | None) -> Tensor:
    return v if mask is None else v.masked_fill(~mask[:, None, :, None], 0)
