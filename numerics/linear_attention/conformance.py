r"""The torch code of linear attention against exact sums of integer features.

Su Jianlin, 《线性Attention的探索：Attention必须有个Softmax吗？》, 2020-07-04, archive 7546.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp
import torch

from kexue import Conforms, Costs, ForEach, claim
from kexue.derivations.linear_attention.causal import recurrent
from kexue.derivations.linear_attention.common import dot, earlier, tokens
from kexue.models.linear_attention import (
    FavorFeatures,
    LinearTransformerConfig,
    LinearTransformerLM,
    causal_numerators,
    efficient_attention,
    elu_features,
    linear_attention,
    recurrent_step,
)
from kexue.statements.conforms import tensor


def _qkv(count):
    return tokens(count, 3, 3, 1, 5), tokens(count, 3, 5, 1, 5), tokens(count, 2, 7)


def _tensors(count):
    return [tensor([[x]]) for x in _qkv(count)]


def _averages(count, seen=earlier):
    """Exact outputs for the identity as feature map."""
    q, k, v = _qkv(count)
    rows = []
    for i, qi in enumerate(q):
        weights = [Fraction(dot(qi, k[j])) if seen(i, j) else Fraction(0) for j in range(count)]
        rows.append([sum(w * x[e] for w, x in zip(weights, v, strict=True)) / sum(weights) for e in range(2)])
    return [[rows]]


def same(x):
    return x


@claim(mutants=[dict(slope=2), dict(shift=0)], needs=("torch",))
def elu_feature(slope=1, shift=1):
    r"""`elu_features` is $x + 1$ for x > 0 and $e^x$ for x ≤ 0: observed in float64 on dyadic points of [−20, 20]."""
    points = [sp.Rational(k, 4) for k in range(-80, 81)]
    return Conforms(
        lambda _: elu_features(tensor(points)),
        lambda _: [slope * x + shift if x > 0 else sp.exp(x) for x in points],
        (0,),
        ulps=2,
        over="161 points",
    )


@claim(mutants=[dict(write_first=False)], needs=("torch",))
def causal_recurrence(write_first=True):
    r"""`recurrent_step`, token by token, gives the causal averages; its state is $\sum\varphi(k_j)v_j^\top$ exactly.

    Observed in float64 for n = 1, 5, 12 with integer features.
    """

    def compute(count):
        q, k, v = _tensors(count)
        state, outputs = None, []
        for i in range(count):
            out, state = recurrent_step(q[:, :, i], k[:, :, i], v[:, :, i], state, same, eps=0.0)
            outputs.append(out)
        return torch.stack(outputs, dim=2)

    seen = earlier if write_first else (lambda i, j: j < i or i == 0)
    return Conforms(compute, lambda count: _averages(count, seen), (1, 5, 12), ulps=8, over="n = 1, 5, 12")


@claim(mutants=[dict(write_first=False)], needs=("torch",))
def chunked_form(write_first=True):
    r"""`causal_numerators` gives the exact causal sums for every chunk length, a ragged last chunk included.

    Observed in float64 for all chunks of 1 to 9 tokens and n = 1, 4, 9: integers below 2⁵³, so nothing is rounded.
    """
    cases = [(n, chunk) for n in (1, 4, 9) for chunk in range(1, 10)]
    return Conforms(
        lambda case: causal_numerators(*_tensors(case[0]), chunk=case[1])[0],
        lambda case: [[recurrent(*_qkv(case[0]), write_first)]],
        cases,
        ulps=0,
        over="n = 1, 4, 9, all chunks to 9",
    )


@claim(mutants=[dict(sign=1), dict(from_index=1)], needs=("torch",))
def normaliser_gradient(sign=-1, from_index=0):
    r"""The backward pass of the chunked form gives the exact gradients of the normalised outputs.

    Observed in float64 for n = 7, chunks of 3, integer features: against $\hat g = (g/D, -(g\cdot o)/D)$ and the closed
    forms of `gradients`, in exact fractions.
    """
    from kexue.derivations.linear_attention.causal import _closed_gradients

    count = 7
    g = tokens(count, 2, 11)

    def compute(_):
        q, k, v = (x.requires_grad_() for x in _tensors(count))
        out = linear_attention(q, k, v, same, causal=True, chunk=3, eps=0.0)
        return torch.autograd.grad(out, (q, k, v), tensor([[g]]))

    def exact(_):
        q, k, v = _qkv(count)
        outputs = _averages(count)[0][0]
        extended = []
        for i in range(count):
            mass = sum(Fraction(dot(q[i], k[j])) for j in range(i + 1))
            extended.append([Fraction(x) / mass for x in g[i]] + [sign * dot(g[i], outputs[i]) / mass])
        dq, dk, dv = _closed_gradients(q, k, [[*row, 1] for row in v], extended, from_index)
        return [[dq]], [[dk]], [[[row[:2] for row in dv]]]

    return Conforms(compute, exact, (0,), ulps=32, over="n = 7, chunks of 3")


@claim(mutants=[dict(causal=False)], needs=("torch",))
def efficient_causal_leak(causal=True):
    r"""The causal form of `efficient_attention` doesn't move when a later key changes, the plain one does.

    Observed in float64 for 300 tokens: outputs before the changed token are bitwise the same.
    """

    def unmoved(_):
        torch.manual_seed(0)
        q, k, v = (torch.randn(1, 2, 300, 4).double() for _ in range(3))
        changed = k.clone()
        changed[:, :, 200] += 3
        before, after = (efficient_attention(q, keys, v, causal=causal)[:, :, :200] for keys in (k, changed))
        return float((before - after).abs().max()) < 1e-14, True

    return ForEach((0,), unmoved, over="300 tokens, key 200 changed", observed=True)


@claim(mutants=[dict(factor=2), dict(orthogonal=None)], needs=("torch",))
def orthogonal_features(factor=1, orthogonal=True):
    r"""`FavorFeatures` draws orthogonal blocks: inner products of different directions of a block vanish.

    Observed in float32 for d = 8, m = 20, three seeds, below 10⁻⁵; the mean square length of a direction is d within
    10 % over 4000 blocks.
    """

    def holds(seed):
        torch.manual_seed(seed)
        w = FavorFeatures(8, 20, orthogonal=bool(orthogonal)).directions
        gram = w[:8] @ w[:8].T
        off = float((gram - gram.diag().diag()).abs().max())
        many = FavorFeatures(8, 32_000).directions.square().sum(1).mean()
        return off < 1e-5 and abs(float(many) - 8 * factor) < 0.8

    return ForEach(range(3), lambda seed: (holds(seed), True), over="three seeds", observed=True)


def _params(c):
    width, ffn = c.width, c.ffn
    layer = 4 * width**2 + 4 * width + 2 * width * ffn + ffn + width + 4 * width
    embeddings, head = (c.vocab_size + c.context) * width, 2 * width + width * c.vocab_size + c.vocab_size
    return embeddings + c.num_layers * layer + head


def _flops(c):
    """One context: projections, both products of each kind in chunks of C, the network, the head; no mass is counted
    as a column, since the meta device takes the batched form with its appended 1."""
    n, size, heads, C = c.context, c.width // c.num_heads, c.num_heads, c.chunk
    attention = heads * (2 * n * C * size + 2 * n * C * (size + 1) + 2 * 2 * n * size * (size + 1))
    return c.num_layers * (8 * n * c.width**2 + attention + 4 * n * c.width * c.ffn) + 2 * n * c.width * c.vocab_size


def _on_meta(config):
    with torch.device("meta"):
        return LinearTransformerLM(config), (torch.zeros(1, config.context, dtype=torch.long),)


@claim(mutants=[dict(linear=lambda c: _flops(c) + c.context**2), dict(missing=1)], needs=("torch",))
def complexities(linear=_flops, missing=0):
    r"""Parameters and FLOPs of the language model equal their formulas; the attention's part is linear in the context.

    Counted on the meta device for contexts of 64, 256 and 1024 tokens, and for the MNIST model.
    """
    sizes = [LinearTransformerConfig(context=n, num_layers=2, width=64, ffn=128, chunk=32) for n in (64, 256, 1024)]
    return (
        Costs(_on_meta, sizes, flops=linear, over="three contexts"),
        Costs(
            _on_meta, (LinearTransformerConfig(), sizes[0]), params=lambda c: _params(c) - missing, over="MNIST, small"
        ),
    )
