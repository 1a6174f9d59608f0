r"""The torch code of RoPE against the exact objects.

Su Jianlin, 《Transformer升级之路》 2, 4 and 6, archives 8265, 8397, 9403. Frequencies and
vectors are dyadic, so that both sides see the same numbers.
"""

from __future__ import annotations

import sympy as sp
import torch

from kexue import Conforms, Costs, ForEach, claim
from kexue.derivations.rope import block_rotation
from kexue.models.rope import (
    AxialRoPE,
    GeneralRoPE,
    MixedRoPE,
    RoFormer,
    RoFormerConfig,
    RotaryLM,
    RotaryLMConfig,
    absorb,
    apply_rope,
    convert_layout,
    rotary_linear_attention,
    rotary_linear_attention_quadratic,
    skew_canonical_form,
    so_log,
)
from kexue.statements.conforms import fractions, tensor

FREQUENCIES = (1, sp.Rational(1, 4), sp.Rational(1, 32))
VECTOR = (1, -2, sp.Rational(3, 4), 5, sp.Rational(-1, 8), 7)


def _rotated(position, layout="interleaved"):
    x = tensor([list(VECTOR)])
    where = tensor([position])
    return apply_rope(x, where, tensor(list(FREQUENCIES)), layout)[0]


def _exact(position):
    matrix = block_rotation([sp.Integer(position) * f for f in FREQUENCIES])
    return list(matrix * sp.Matrix(VECTOR))


@claim(mutants=[dict(turn=-1), dict(compute=lambda p: _rotated(p, "half"))], needs=("torch",))
def efficient_form(turn=1, compute=_rotated):
    r"""`apply_rope` is $\operatorname{blockdiag}(R(m\theta_i))\,x$: observed in float64, positions up to $10^6$.

    Frequencies $1, \tfrac14, \tfrac1{32}$; an error in the angle of half an ulp of $10^6$ is what the bound allows.
    """
    near = Conforms(compute, lambda p: _exact(turn * p), (0, 1, 2, 5, 100), ulps=64, over="positions 0..100")
    far = Conforms(compute, lambda p: _exact(turn * p), (10**4, 10**6), ulps=400, over="positions 10⁴ and 10⁶")
    return near, far


def _scores(weights, layout):
    wq, wk = weights
    x = tensor([[1, 2, -1], [3, 0, 1], [-2, 1, 1], [1, 1, 1]])
    q, k = x @ wq.T, x @ wk.T
    where = torch.arange(4)
    heads = [t.unflatten(-1, (2, 4)).transpose(0, 1) for t in (q, k)]
    q, k = (apply_rope(t, where, tensor([1, sp.Rational(1, 8)]), layout) for t in heads)
    return q @ k.mT


def _weights():
    wq = tensor([[(3 * r + 5 * c) % 7 - 3 for c in range(3)] for r in range(8)])
    wk = tensor([[(2 * r + 3 * c) % 5 - 2 for c in range(3)] for r in range(8)])
    return wq, wk


@claim(mutants=[dict(converted=(0,)), dict(heads=1)], needs=("torch",))
def half_split_equivalence(converted=(0, 1), heads=2):
    r"""`convert_layout` of both projections leaves all scores as they were: observed in float64, two heads."""

    def compute(_):
        both = [convert_layout(w, "interleaved", "half", num_heads=heads) for w in _weights()]
        return _scores([both[i] if i in converted else _weights()[i] for i in (0, 1)], "half")

    return Conforms(compute, lambda _: fractions(_scores(_weights(), "interleaved")), (0,), ulps=16, over="two heads")


def _general_scores(param, dim, permute=False, folded=True, gain=None):
    """Scores of the general form and of the absorbed one, for random projections; their largest difference."""
    torch.manual_seed(dim)
    rope = GeneralRoPE(dim, param, num_heads=2).double()
    wq, wk = torch.randn(4 * dim, 5).double(), torch.randn(2 * dim, 5).double()
    x, where = torch.randn(1, 9, 5).double(), torch.arange(9)

    def heads(w, count):
        found = (x @ w.T).unflatten(-1, (count, dim)).transpose(1, 2)
        if gain is not None:
            found = found / found.square().mean(-1, keepdim=True).sqrt() * gain(dim)
        return found

    def scores(q, k):
        return q @ k.repeat_interleave(2, 1).mT

    general = scores(rope(heads(wq, 4), where), rope(heads(wk, 2), where))
    found = absorb(rope, wq, wk)
    q, k = heads(found.query if folded else wq, 4), heads(found.key, 2)
    theta = found.frequencies.flip(-1) if permute else found.frequencies

    def turned(z):
        size = z.shape[1] // 2
        parts = [apply_rope(z[:, h * size : (h + 1) * size], where, theta[h]) for h in range(2)]
        return torch.cat(parts, dim=1)

    return float((general - scores(turned(q), turned(k))).detach().abs().max() / general.detach().abs().max())


@claim(mutants=[dict(permute=True), dict(folded=False)], needs=("torch",))
def completeness_absorption(permute=False, folded=True):
    r"""A dense $\exp(nB)$ or $O^n$ and the block form with $P$ folded into $W_q, W_k$ give the same scores.

    Observed in float64: two torch modules, four query heads on two key heads, head sizes 4, 6 and 8, nine positions,
    each of $\exp$, Cayley and Householder; relative differences are below $10^{-11}$.
    """
    return ForEach(
        [(param, dim) for param in ("exp", "cayley", "householder") for dim in (4, 6, 8)],
        lambda case: (_general_scores(*case, permute=permute, folded=folded) < 1e-11, True),
        over="exp, Cayley, Householder; head sizes 4, 6, 8",
        observed=True,
    )


@claim(mutants=[dict(same=False), dict(gained=False), dict(free=False)], needs=("torch",))
def completeness_conditions(same=True, gained=True, free=True):
    r"""A norm without gain between $W$ and the rotation commutes with $P$, one with a gain per channel doesn't; fixed
    frequencies are less general. Observed in float64, head size 8: a relative difference below $10^{-11}$ against one
    above $0.01$; the frequencies of a random $B$ are off the geometric ones by more than $10^{-2}$.
    """
    ones = lambda dim: torch.ones(dim, dtype=torch.float64)  # noqa: E731
    ramp = lambda dim: 1 + torch.arange(dim, dtype=torch.float64)  # noqa: E731
    torch.manual_seed(8)
    theta = absorb(GeneralRoPE(8).double(), torch.eye(8).double(), torch.eye(8).double()).frequencies[0]
    geometric = 10_000.0 ** (-torch.arange(4) / 4)
    return (
        ForEach((ones,), lambda g: (_general_scores("exp", 8, gain=g) < 1e-11, same), over="no gain", observed=True),
        ForEach(
            (ramp,), lambda g: (_general_scores("exp", 8, gain=g) > 0.01, gained), over="gains 1, …, 8", observed=True
        ),
        ForEach((0,), lambda _: (bool((theta - geometric).abs().max() > 0.01), free), over="a random B", observed=True),
    )


def _trained_gap(make, steps=20):
    """Two attention scores, in the bases I and P, trained alike; the largest difference of their scores."""
    torch.manual_seed(0)
    dim, where = 6, torch.arange(8)
    generator = GeneralRoPE(dim).double().generator()[0].detach()
    basis, theta = skew_canonical_form(generator)
    wq, wk, x = (torch.randn(*size).double() for size in ((dim, 5), (dim, 5), (8, 5)))
    target = torch.randn(8, 8).double()
    powers = torch.linalg.matrix_exp(where[:, None, None].double() * generator)

    def dense(q, k):
        return torch.einsum("lij,lj->li", powers, x @ q.T) @ torch.einsum("lij,lj->li", powers, x @ k.T).T

    def block(q, k):
        return apply_rope(x @ q.T, where, theta) @ apply_rope(x @ k.T, where, theta).T

    finals = []
    for scores, start in ((dense, (wq, wk)), (block, (basis.T @ wq, basis.T @ wk))):
        weights = [w.clone().requires_grad_() for w in start]
        optimiser = make(weights)
        for _ in range(steps):
            optimiser.zero_grad()
            (scores(*weights) - target).square().mean().backward()
            optimiser.step()
        finals.append(scores(*weights).detach())
    return float((finals[0] - finals[1]).abs().max())


def _sgd(weights):
    return torch.optim.SGD(weights, 1e-2, momentum=0.9, weight_decay=1e-2)


def _adam(weights):
    return torch.optim.Adam(weights, 1e-1)


@claim(mutants=[dict(equivariant=_adam), dict(other=_sgd)], needs=("torch",))
def training_not_equivariant(equivariant=_sgd, other=_adam):
    r"""SGD with momentum and weight decay trains the two bases alike, Adam doesn't.

    Observed in float64 over 20 steps on a least-squares problem of scores, head size 6: the scores of the two models
    differ by less than $10^{-10}$ with SGD and by more than $0.1$ with Adam.
    """
    return (
        ForEach((0,), lambda _: (_trained_gap(equivariant) < 1e-10, True), over="20 steps of SGD", observed=True),
        ForEach((0,), lambda _: (_trained_gap(other) > 0.1, True), over="20 steps of Adam", observed=True),
    )


@claim(mutants=[dict(sign=-1), dict(doubled=2)], needs=("torch",))
def canonical_form(sign=1, doubled=1):
    r"""`skew_canonical_form` gives $B = P\Lambda P^\top$ with $P^\top P = I$: observed in float64 for sizes 2 to 64.

    Repeated and zero frequencies and odd sizes are included; both residuals stay below $10^{-13}\,d\,\|B\|$.
    """

    def holds(case):
        dim, repeated = case
        torch.manual_seed(dim)
        b = torch.randn(dim, dim).double()
        b = b - b.T
        if repeated:  # all frequencies 1, and one plane still
            p = torch.linalg.qr(torch.randn(dim, dim).double()).Q
            planes = torch.zeros(dim, dim).double()
            for i in range(0, dim - 3, 2):
                planes[i + 1, i], planes[i, i + 1] = 1, -1
            b = p @ planes @ p.T
            b = (b - b.T) / 2
        basis, theta = skew_canonical_form(b)
        blocks = torch.block_diag(*[doubled * t * torch.tensor([[0, -1], [1, 0]]).double() for t in theta.tolist()])
        form = torch.zeros(dim, dim).double()
        form[: len(blocks), : len(blocks)] = sign * blocks
        bound = 1e-13 * dim * float(b.norm())
        residuals = (basis @ form @ basis.T - b, basis.T @ basis - torch.eye(dim))
        return all(float(r.norm()) < bound for r in residuals)

    cases = [(d, repeated) for d in (2, 3, 4, 7, 16, 64) for repeated in (False, True) if not repeated or d > 3]
    return ForEach(cases, lambda case: (holds(case), True), over="sizes 2, 3, 4, 7, 16, 64", observed=True)


@claim(mutants=[dict(back=-1), dict(flip=True)], needs=("torch",))
def exp_of_antisymmetric_is_so(back=1, flip=False):
    r"""`so_log` finds an antisymmetric $B$ with $\exp(B) = O$ for $O \in SO(d)$: observed in float64 for sizes 2 to 32.

    Repeated angles and the eigenvalue $-1$ are included; a determinant $-1$ is refused.
    """

    def recovered(case):
        dim, angles = case
        torch.manual_seed(dim)
        o = torch.linalg.qr(torch.randn(dim, dim).double()).Q
        if angles:
            turns = [torch.tensor([[c, -s], [s, c]], dtype=torch.float64) for c, s in angles]
            o = o @ torch.block_diag(*turns, torch.eye(dim - 2 * len(turns)).double()) @ o.T
        elif float(torch.linalg.det(o)) < 0:
            o[:, 0] *= -1
        if flip:
            o[:, 0] *= -1
        try:
            b = so_log(o)
        except ValueError:
            return False
        return bool(torch.equal(b, -b.T)) and float((torch.linalg.matrix_exp(back * b) - o).norm()) < 1e-12 * dim

    cases = [(d, ()) for d in (2, 3, 5, 8, 32)] + [(4, [(-1.0, 0.0)]), (6, [(-1.0, 0.0)] * 2), (5, [(0.6, 0.8)] * 2)]
    over = "random, repeated angles, half turns"
    return ForEach(cases, lambda case: (recovered(case), True), over=over, observed=True)


@claim(mutants=[dict(axes=1), dict(second=lambda p: p.flip(-1))], needs=("torch",))
def planar_relative(axes=2, second=lambda p: p):
    r"""`AxialRoPE` and `MixedRoPE` give scores of offsets only: observed in float64 on random points of $\mathbb R^2$.

    All points are shifted by one vector; scores change by less than $10^{-12}$.
    """

    def same(kind):
        torch.manual_seed(1)
        rope = AxialRoPE(8) if kind == "axial" else MixedRoPE(8, 3).double()
        q, k = torch.randn(2, 1, 3, 10, 8).double()
        points, shift = torch.randn(10, 2).double(), torch.tensor([3.5, -2.25]).double()
        shift[axes:] = 0
        moved = points + shift
        other = second(points) + shift
        before = rope(q, points) @ rope(k, points).mT
        after = rope(q, moved) @ rope(k, other if axes == 2 else points).mT
        return float((before - after).detach().abs().max()) < 1e-12

    kinds = ("axial", "mixed")
    return ForEach(kinds, lambda kind: (same(kind), True), over="axial and mixed, ten points", observed=True)


def _linear(fast=rotary_linear_attention, causal=True, seed=0):
    torch.manual_seed(seed)
    q, k = torch.rand(2, 1, 2, 300, 8).double()
    v = torch.randn(1, 2, 300, 5).double()
    return fast(q, k, v, tensor([1, sp.Rational(1, 8)]), causal=causal)


@claim(mutants=[dict(causal=False)], needs=("torch",))
def linear_attention_rope(causal=True):
    r"""`rotary_linear_attention` equals its quadratic reference: observed in float64 for 300 tokens, causal form."""
    return Conforms(
        lambda seed: _linear(seed=seed),
        lambda seed: fractions(_linear(rotary_linear_attention_quadratic, causal, seed)),
        (0, 1),
        ulps=256,
        over="300 tokens, two draws",
    )


def _roformer(c):
    words, width, ffn = c.vocab_size, c.width, c.ffn
    layer = 4 * width**2 + 4 * width + 2 * width * ffn + ffn + width + 4 * width
    encoder = words * width + 2 * width + c.num_layers * layer + 2 * width
    return encoder + width**2 + width + 2 * width + words


def _decoder_flops(c):
    """One sequence of the whole context: projections, both attention products, the gated network, the head."""
    size = c.width // c.num_heads
    projections = 2 * c.context * c.width * size * (c.num_heads + 2 * c.num_kv_heads) + 2 * c.context * c.width**2
    attention = 4 * c.context**2 * c.width
    network = 6 * c.context * c.width * c.ffn
    return c.num_layers * (projections + attention + network) + 2 * c.context * c.width * c.vocab_size


BASE = RoFormerConfig()
SMALL = RoFormerConfig(vocab_size=100, width=48, num_layers=3, num_heads=4, ffn=96)


def _on_meta(config):
    cls = RoFormer if isinstance(config, RoFormerConfig) else RotaryLM
    with torch.device("meta"):
        model = cls(config)
        tokens = torch.zeros(1, config.context, dtype=torch.long)
    return model, (tokens,)


@claim(mutants=[dict(params=lambda c: _roformer(c) - c.width), dict(half=2)], needs=("torch",))
def relative_block(params=_roformer, half=1):
    r"""RoPE has no parameters and costs no matrix product: the counts of both models are those of their other layers.

    RoFormer's base model has 124 099 664 parameters with its head; the FLOPs of the decoder (2 for a multiply-add, and
    nothing for rotations) follow from its projections, attention products and networks alone, for a quarter and for all
    of a head rotated.
    """
    shapes = [
        RotaryLMConfig(context=64, rotary_fraction=f, num_kv_heads=kv) for f in (0.25, 1.0) for kv in (2, 8)
    ]
    return (
        Costs(_on_meta, (BASE, SMALL), params=params, over="RoFormer base and a small one"),
        Costs(_on_meta, shapes, flops=lambda c: half * _decoder_flops(c), over="four decoders"),
    )
