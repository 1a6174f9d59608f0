r"""The torch code of Transformer-VQ against the exact forms.

Su Jianlin, 《VQ一下Key，Transformer的复杂度就变成线性了》, archive 9844. Queries, codebooks and values are small
integers and biases eighths, so that both sides see the same numbers; the exact side keeps its exponentials.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp
import torch

from kexue import Conforms, Costs, ForEach, claim
from kexue.derivations.transformer_vq import encoder, nearest_codes, quadratic, ste_key_gradient
from kexue.models.transformer_vq import (
    LearnableVQ,
    TransformerVQ,
    TransformerVQConfig,
    VQState,
    get_shortcodes,
    straight_through,
    vq_attention,
    vq_attention_encoder,
    vq_attention_quadratic,
    vq_attention_step,
)
from kexue.models.transformer_vq.quantiser import lookup
from kexue.statements.conforms import tensor

N, CODES = 7, 3
QUERIES = [[1, 0], [0, 1], [-1, 1], [1, 1], [2, -1], [0, -1], [1, -2]]
KEYS = [[1, 1], [0, 0], [-2, 1], [1, 0], [2, 2], [-1, 2], [0, 1]]
VALUES = [[1, 2], [-1, 0], [3, 1], [0, -2], [2, 2], [1, -1], [-3, 1]]
CODEBOOK = [[1, 1], [-1, 1], [0, 0]]
BIAS = [Fraction(3, 8), Fraction(-1, 4), Fraction(5, 8), Fraction(1, 8), Fraction(-7, 8)]


def _exact_weights():
    return [[sp.exp(sum(a * b for a, b in zip(q, c, strict=True))) for c in CODEBOOK] for q in QUERIES]


def _divided(rows):
    return [[x / row[-1] for x in row[:-1]] for row in rows]


def _inputs(keys=KEYS):
    """q, k̂, z, C, v in float64, one batch and one head; k̂ has the unquantised keys behind it."""
    q, k, v = (tensor(x)[None, None] for x in (QUERIES, keys, VALUES))
    C = tensor(CODEBOOK)[None]
    k.requires_grad_()
    z, _ = get_shortcodes(k.detach(), C)
    return q, straight_through(k, lookup(C, z)), z, C, v, k


def _random(seed, n, heads=2, key=3, value=4, codes=5):
    g = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn(2, heads, n, d, dtype=torch.float64, generator=g).requires_grad_() for d in (key, key, value)
    )
    C = torch.randn(heads, codes, key, dtype=torch.float64, generator=g)
    z, _ = get_shortcodes(k.detach(), C)
    return q, k, straight_through(k, lookup(C, z)), z, C, v


@claim(mutants=[dict(counted=False)], needs=("torch",))
def encoder_linear_form(counted=True):
    r"""`vq_attention_encoder` is $E(\Delta^\top V)/E(\Delta^\top 1)$: observed in float64, n = 7, c = 3, with a code of
    count 4 and, in the second case, an unused one.
    """

    def compute(codes):
        q, k, _, C, v, _ = _inputs()
        return vq_attention_encoder(q, k, torch.tensor(codes)[None, None], C, v)[0, 0]

    def exact(codes):
        E = _exact_weights()
        rows = encoder(E, codes, VALUES)
        return _divided(rows if counted else [[*row[:-1], sum(e)] for row, e in zip(rows, E, strict=True)])

    cases = (nearest_codes(KEYS, CODEBOOK), [0, 2, 2, 0, 2, 0, 2])
    return Conforms(compute, exact, cases, ulps=16, over="two sequences of codes, n = 7")


@claim(mutants=[dict(shift=1), dict(window="block")], needs=("torch",))
def windowed_block_recurrence(shift=0, window="toeplitz"):
    r"""`vq_attention` with blocks of 1, 2, 3, 4, 7 tokens and windows up to one block is the quadratic form: observed
    in float64, n = 7. A block-shaped window, which reaches further, is another function.
    """

    def bias(length):
        return BIAS[: length + 1]

    def compute(length):
        q, k, z, C, v, _ = _inputs()
        b = bias(length)
        if window == "block":
            b = [*b, *[Fraction(1)] * (2 * length - len(b))]
        return vq_attention(q, k, z, C, v, block=length, bias=tensor(b), window=window)[0, 0]

    def exact(length):
        b = [sp.exp(sp.Rational(x.numerator, x.denominator)) for x in bias(length)]
        return _divided(quadratic(_exact_weights(), nearest_codes(KEYS, CODEBOOK), VALUES, b[shift:] + b[:shift]))

    return Conforms(compute, exact, (1, 2, 3, 4, 7), ulps=32, over="block lengths 1, 2, 3, 4, 7, n = 7")


@claim(mutants=[dict(quantised=False)], needs=("torch",))
def linear_equals_quadratic(quantised=True):
    r"""`vq_attention` equals `vq_attention_quadratic`: observed for random inputs, n = 24, block lengths 1, 3, 8, 24,
    both windows, in float64 below $10^{-12}$ and in float32 below $10^{-5}$.
    """

    def close(case):
        length, window, dtype = case
        q, k, k_hat, z, C, v = _random(length, 24)
        bias = torch.randn(2, 1, length + 1 if window == "toeplitz" else 2 * length, dtype=torch.float64)
        q, k, k_hat, C, v, bias = (x.detach().to(dtype) for x in (q, k, k_hat, C, v, bias))
        options = {"block": length, "bias": bias, "window": window}
        fast = vq_attention(q, k_hat, z, C, v, **options)
        plain = vq_attention_quadratic(q, k_hat if quantised else k, v, **options)
        return bool((fast - plain).abs().max() < (1e-12 if dtype is torch.float64 else 1e-5)), True

    cases = [(n, w, t) for n in (1, 3, 8, 24) for w in ("toeplitz", "block") for t in (torch.float64, torch.float32)]
    return ForEach(cases, close, over="block lengths, windows, precisions", observed=True)


@claim(mutants=[dict(late=1)], needs=("torch",))
def causal_cumsum(late=0):
    r"""Token by token, with blocks of one token, `vq_attention_step` is $\exp(q_iC^\top)U_i/\exp(q_iC^\top)L_i$:
    observed in float64, n = 7.
    """

    def compute(_):
        q, k, z, C, v, _ = (x.detach() for x in _inputs())
        state = VQState.empty(1, 1, 1, 2, 2, CODES, dtype=torch.float64)
        rows = [
            vq_attention_step(*(x[:, :, i : i + 1] for x in (q, k, z)), C, v[:, :, i : i + 1], state) for i in range(N)
        ]
        return torch.cat(rows, dim=2)[0, 0]

    def exact(_):
        codes = nearest_codes(KEYS, CODEBOOK)
        codes = [codes[max(i - late, 0)] for i in range(N)]
        return _divided(quadratic(_exact_weights(), codes, VALUES))

    return Conforms(compute, exact, (0,), ulps=32, over="n = 7")


@claim(mutants=[dict(behind=1), dict(sums=True)], needs=("torch",))
def running_mean_cache(behind=2, sums=False):
    r"""The state keeps counts and means of all blocks but the last two: observed in float64 after tokens in pieces of
    1, 2 and 3, blocks of 2, n = 7; it stays within $[\min v, \max v]$ by construction.
    """

    def compute(piece):
        q, k, z, C, v, _ = (x.detach() for x in _inputs())
        state = VQState.empty(1, 1, 2, 2, 2, CODES, dtype=torch.float64)
        for i in range(0, N, piece):
            rows = (x[:, :, i : i + piece] for x in (q, k, z))
            vq_attention_step(*rows, C, v[:, :, i : i + piece], state)
        return state.mean[0, 0], state.count[0, 0]

    def exact(_):
        codes = nearest_codes(KEYS, CODEBOOK)
        seen = range((N // 2 - behind + 1) * 2)  # the current block is N // 2, one more is kept beside it
        means, counts = [], []
        for s in range(CODES):
            own = [VALUES[j] for j in seen if codes[j] == s]
            divisor = 1 if sums else max(len(own), 1)
            means.append([Fraction(sum(v[y] for v in own), divisor) for y in (0, 1)])
            counts.append(Fraction(len(own)))
        return means, counts

    return Conforms(compute, exact, (1, 2, 3), ulps=4, over="pieces of 1, 2 and 3 tokens")


@claim(mutants=[dict(parallel=False)], needs=("torch",))
def ste_gradient(parallel=True):
    r"""`straight_through` has the value $C_z$ exactly and hands its gradient to K unchanged, none to C: by autograd."""

    def facts(seed):
        _, k, _, z, C, _ = _random(seed, 9)
        C.requires_grad_()
        nearest = lookup(C, z)
        out = straight_through(k, nearest) if parallel else nearest + 0 * k
        g = torch.randn_like(out)
        to_k, to_c = torch.autograd.grad(out, (k, C), g, allow_unused=True)
        return (bool((out == nearest).all()), bool((to_k == g).all()), to_c is None), (True, True, True)

    return ForEach(range(3), facts, over="three seeds", observed=True)


@claim(mutants=[dict(mode="truncated"), dict(sign=-1)], needs=("torch",))
def exact_ste_gradient_is_linear_time(mode="exact", sign=1):
    r"""With `gradient="exact"` the keys' gradient is $M_{j,z_j}v_j - N_{j,z_j}$, in linear time: observed in float64
    for the decoder (blocks of 1, 2, 3) and the encoder, n = 7.
    """
    grads = [[1, -2], [0, 1], [2, 1], [-1, 1], [1, 3], [0, -1], [2, 0]]

    def compute(length):
        q, k_hat, z, C, v, k = _inputs()
        if length:
            out = vq_attention(q, k_hat, z, C, v, block=length, gradient=mode)
        else:
            out = vq_attention_encoder(q, k_hat, z, C, v, gradient="exact")
        return torch.autograd.grad(out, k, tensor(grads)[None, None])[0][0, 0]

    def exact(length):
        codes = nearest_codes(KEYS, CODEBOOK)
        found = ste_key_gradient(_exact_weights(), QUERIES, codes, VALUES, grads, causal=bool(length))
        return [[sign * x for x in row] for row in found]

    return Conforms(compute, exact, (1, 2, 3, 0), ulps=64, over="decoder with blocks of 1, 2, 3; encoder; n = 7")


@claim(mutants=[dict(mode="cache"), dict(mode="exact")], needs=("torch",))
def truncated_gradient(mode="truncated"):
    r"""The gradient of `vq_attention` is that of the quadratic form in which $\hat K$ and V are detached for pairs more
    than one block apart: observed in float64 below $10^{-12}$, n = 23, block lengths 1, 3, 8, for q, k, v and the bias.

    The reference has its own mask of the pairs; a V that keeps its far gradient differs.
    """

    def close(length):
        q, k, k_hat, z, C, v = _random(length, 23)
        bias = torch.randn(2, 1, length + 1, dtype=torch.float64, requires_grad=True)
        fast = vq_attention(q, k_hat, z, C, v, block=length, bias=bias)
        at = torch.arange(23)
        near = (at[:, None] // length - at // length) <= 1
        distance = at[:, None] - at
        scores = torch.where(near, q @ k_hat.mT, q @ k_hat.detach().mT if mode != "exact" else q @ k_hat.mT)
        inside = (distance >= 0) & (distance <= length)
        scores = scores + (bias[..., 0, :][..., distance.clamp(0, length)] * inside)
        p = scores.masked_fill(distance < 0, -torch.inf).softmax(-1)
        plain = (p * near) @ v + (p * ~near) @ (v.detach() if mode == "truncated" else v)
        g = torch.randn_like(fast)
        pairs = zip(*(torch.autograd.grad(o, (q, k, v, bias), g) for o in (fast, plain)), strict=True)
        return all(bool((a - b).abs().max() < 1e-12) for a, b in pairs), True

    return ForEach((1, 3, 8), close, over="block lengths 1, 3, 8, n = 23", observed=True)


@claim(mutants=[dict(mode="cache")], needs=("torch",))
def stop_gradient_readings(mode="truncated"):
    r"""What `vq_attention` detaches is the state that enters an output: V two blocks back gets exactly no gradient
    from it, whereas with `gradient="cache"` it gets some. By autograd, blocks of 4, n = 16.
    """

    def facts(seed):
        q, k, k_hat, z, C, v = _random(seed, 16)
        out = vq_attention(q, k_hat, z, C, v, block=4, gradient=mode)
        to_k, to_v = torch.autograd.grad(out[:, :, 12:].sum(), (k, v))
        reached = (bool(to_k[:, :, :8].any()), bool(to_v[:, :, :8].any()))
        return (*reached, bool(to_v[:, :, 8:].all())), (False, False, True)

    return ForEach(range(3), facts, over="three seeds", observed=True)


@claim(mutants=[dict(last=0)], needs=("torch",))
def no_future_leak(last=1):
    r"""The Jacobian of the tiny model's logits with respect to the embedded tokens is exactly 0 above the diagonal.

    By autograd in float64 for 20 tokens; and logits before a changed token keep every bit, although its codes change.
    """

    def facts(position):
        torch.manual_seed(0)
        config = TransformerVQConfig(17, 64, 32, 8, 64, 2, num_codes=8, block=8)
        model = TransformerVQ(config).double().eval()
        tokens = torch.randint(17, (1, 20))
        kept: list[torch.Tensor] = []
        handle = model.embedding.register_forward_hook(lambda *a: kept.append(a[2]))
        logits = model(tokens)
        handle.remove()
        (gradient,) = torch.autograd.grad(logits[0, position].sum(), kept[0])
        changed = tokens.clone()
        changed[0, position + 1] = (changed[0, position + 1] + 1) % 17
        same = torch.equal(model(changed)[0, : position + 1], logits[0, : position + 1])
        return (bool(gradient[0, position + last :].any()), same), (False, True)

    return ForEach((0, 7, 8, 15), facts, over="positions 0, 7, 8, 15 of 20", observed=True)


@claim(mutants=[dict(gamma=Fraction(1, 2)), dict(swapped=True)], needs=("torch",))
def ema_is_kmeans(gamma=Fraction(3, 4), swapped=False):
    r"""`LearnableVQ` keeps the exponentially weighted mean of its keys: observed in float64 for four updates with γ =
    3/4, a mask leaving out a key, and one code that is never used.
    """

    def compute(_):
        vq = LearnableVQ(1, CODES, 2, 0.75).double()
        vq.c_sum.copy_(tensor(CODEBOOK)[None])
        vq.c_count.fill_(1.0)
        keys, mask = tensor(KEYS)[None, None], torch.ones(1, N, dtype=torch.bool)
        mask[0, -1] = False
        for codes in ([0, 1, 0, 1, 0, 0, 2], [1, 1, 1, 0, 0, 1, 2], [0] * N, [1, 0] * 3 + [2]):
            vq.update(vq.statistics(keys, torch.tensor(codes)[None, None], mask))
        return vq.codebook[0]

    def exact(_):
        means = []
        for s in range(CODES):
            total, count = [Fraction(x) for x in CODEBOOK[s]], Fraction(1)
            for codes in ([0, 1, 0, 1, 0, 0, 2], [1, 1, 1, 0, 0, 1, 2], [0] * N, [1, 0] * 3 + [2]):
                own = [KEYS[j] for j in range(N - 1) if codes[j] == (s + swapped) % CODES]
                total = [gamma * t + (1 - gamma) * sum(k[x] for k in own) for x, t in enumerate(total)]
                count = gamma * count + (1 - gamma) * len(own)
            means.append([t / count for t in total])
        return means

    return Conforms(compute, exact, (0,), ulps=8, over="four updates")


@claim(mutants=[dict(blocks=1), dict(quantiser=0)], needs=("torch",))
def flops(blocks=2, quantiser=1):
    r"""Attention with its quantiser needs $2n((2l+c)(d_k+d_v) + c\,d_k)$ operations for n tokens from three blocks on,
    as counted on the module: l = c = 512, $d_k = 128$, $d_v = 1536$.
    """
    L, S, K, V = 512, 512, 128, 1536

    def build(n):
        q, k, v = (torch.empty(1, 1, n, d, device="meta") for d in (K, K, V))
        C = torch.empty(1, S, K, device="meta")

        def run(q, k, v):
            z, _ = get_shortcodes(k, C)
            return vq_attention(q, k, z, C, v, block=L)

        return run, (q, k, v)

    return Costs(
        build,
        (1536, 2048, 8192),
        flops=lambda n: 2 * n * ((blocks * L + S) * (K + V) + quantiser * S * K),
        over="n = 1536, 2048, 8192",
    )


@claim(mutants=[dict(window=1)], needs=("torch",))
def state_size(window=2):
    r"""The state of a layer holds $c\,d_v + c + 2l(d_k+d_v)$ numbers, whatever n is: counted for the tiny model and
    after 1, 30 and 300 tokens.
    """

    def counted(n):
        torch.manual_seed(0)
        config = TransformerVQConfig(17, 64, 32, 8, 64, 1, num_codes=8, block=8)
        model = TransformerVQ(config).eval()
        with torch.no_grad():
            _, state = model.step(torch.zeros(1, n, dtype=torch.long), model.initial_state(1))
        return state[0].attention.numbers(), 8 * 64 + 8 + window * 8 * (8 + 64)

    return ForEach((1, 30, 300), counted, over="1, 30, 300 tokens", observed=True)
