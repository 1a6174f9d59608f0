r"""The torch code of Nyströmformer against exact matrices.

Su Jianlin, 《Nyströmformer：基于矩阵分解的线性化Attention方案》, 2021-02-16, archive 8180. Inputs are dyadic
rationals, and the exact side evaluates the same softmax with Arb. D = 4, so that the scale $D^{-1/2}$ is exact.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import sympy as sp
import torch

from kexue import Conforms, Costs, ForEach, claim
from kexue.derivations.nystromformer import (
    attention,
    filter_residual,
    iterated_inverse,
    matmul,
    multiplications,
    nystrom_attention,
    pseudo_inverse,
    segment_means,
)
from kexue.models.nystromformer import iterative_pinv
from kexue.models.nystromformer import nystrom_attention as torch_attention
from kexue.models.nystromformer import segment_means as torch_means
from kexue.statements.conforms import tensor

Rows = list[list[Any]]

SCHEMES = ("razavi", "newton", "chebyshev")


def table(rows: int, columns: int, seed: int) -> Rows:
    """Multiples of 1/8 between −1 and 1 without a pattern."""
    return [
        [Fraction((seed * 7 + i * i * 5 + j * 3 + i * j * 11) % 17 - 8, 8) for j in range(columns)] for i in range(rows)
    ]


def exact_rows(rows: Rows) -> Rows:
    return [[sp.Rational(value.numerator, value.denominator) for value in row] for row in rows]


def halved(rows: Rows) -> Rows:
    """The scale 1/√4, applied to the keys."""
    return [[value / 2 for value in row] for row in exact_rows(rows)]


def softmax_output(q: Rows, k: Rows, v: Rows) -> Rows:
    """[[S V]] for one sample and one head."""
    return [[matmul(attention(exact_rows(q), halved(k), sp.exp), exact_rows(v))]]


def run(q: Rows, k: Rows, v: Rows, landmarks: int, **options: Any) -> torch.Tensor:
    return torch_attention(*(tensor([[x]]) for x in (q, k, v)), landmarks, **options)


def repeated(rows: Rows, times: int) -> Rows:
    return [row for row in rows for _ in range(times)]


@claim(mutants=[dict(landmarks=2), dict(scale=2)], needs=("torch",))
def full_landmarks_exact(landmarks=4, scale=1):
    r"""`nystrom_attention` with as many landmarks as tokens is softmax attention: observed in float64, n = 4, D = 4."""
    q, k, v = table(4, 4, 1), table(4, 4, 2), table(4, 3, 3)
    return Conforms(
        lambda _: run([[scale * x for x in row] for row in q], k, v, landmarks),
        lambda _: softmax_output(q, k, v), (0,), ulps=16, over="n = 4",
    )  # fmt: skip


@claim(mutants=[dict(smooth="neither"), dict(inverse="razavi")], needs=("torch",))
def piecewise_constant_exact(smooth="one", inverse="exact"):
    r"""With q or k constant on the segments and the exact inverse, `nystrom_attention` is softmax attention.

    Observed in float64 for n = 6, two segments, D = 4; six steps of the iteration are not exact.
    """
    rough, other = table(6, 4, 2), table(6, 4, 5)
    held = repeated(table(2, 4, 1), 3)
    cases = [(held, rough), (rough, held)] if smooth == "one" else [(other, rough)]
    v = table(6, 3, 3)
    return Conforms(
        lambda case: run(*case, v, 2, inverse=inverse), lambda case: softmax_output(*case, v), cases, ulps=2000,
        over="q constant, k constant",
    )  # fmt: skip


@claim(mutants=[dict(value=Fraction(2)), dict(inverse="newton", steps=1)], needs=("torch",))
def row_sums_iff(value=Fraction(1), inverse="exact", steps=6):
    r"""The rows of N sum to 1 for invertible A: equal values come out of the torch code unchanged.

    Observed in float64 with the exact inverse for n = 12, 3 and 4 landmarks, with and without two padded tokens.
    """
    q, k = table(12, 4, 1), table(12, 4, 2)
    mask = torch.arange(12)[None] < 10

    def compute(case: tuple[int, bool]) -> torch.Tensor:
        landmarks, padded = case
        options: dict[str, Any] = dict(inverse=inverse, steps=steps, mask=mask if padded else None)
        return run(q, k, [[Fraction(1)]] * 12, landmarks, **options)[0, 0, :10, 0]

    cases = [(m, padded) for m in (3, 4) for padded in (False, True)]
    return Conforms(
        compute, lambda _: [value] * 10, cases, ulps=4000, over="n = 12, m = 3, 4, with and without padding"
    )


@claim(mutants=[dict(last=253)], needs=("torch",))
def negative_entries(last=-253):
    r"""The torch code gives the exact weights (2, 287, 287, −253)/323 of the first query, n = 4, m = 2, in base 2.

    Observed in float64; logits are multiplied by log 2, and N is read off with V = I.
    """
    q = [[-1, -1], [-1, 1], [1, 1], [1, 1]]
    k = [[1, -1], [-1, 1], [-1, 1], [1, 1]]
    one = torch.eye(4, dtype=torch.float64)[None, None]

    def compute(_: int) -> torch.Tensor:
        scale = 2 * math.log(2) * math.sqrt(2)  # √2 undoes D^(−1/2)
        return torch_attention(scale * tensor([[q]]), tensor([[k]]), one, 2, inverse="exact")[0, 0, 0]

    first = [Fraction(e, 323) for e in (2, 287, 287, last)]
    return Conforms(compute, lambda _: first, (0,), ulps=256, over="one instance")


@claim(mutants=[dict(shift=1), dict(pairs={"razavi": "newton", "newton": "chebyshev", "chebyshev": "razavi"})],
       needs=("torch",))  # fmt: skip
def spectral_filter(shift=0, pairs={scheme: scheme for scheme in SCHEMES}):  # noqa: B006
    r"""`iterative_pinv` of a diagonal matrix is the filter $1 - \varphi^{\circ k}(1 - x)$ of its scheme.

    Observed in float64 for k = 0..6 and σ = 1, 1/2, 1/8, 1/64 in one 4×4 matrix, against exact fractions.
    """
    sigma = [Fraction(1), Fraction(1, 2), Fraction(1, 8), Fraction(1, 64)]

    def compute(case: tuple[str, int]) -> torch.Tensor:
        values = tensor(sigma)
        return iterative_pinv(torch.diag(values), case[1], scheme=case[0]).diagonal() * values

    def exact(case: tuple[str, int]) -> list[Fraction]:
        return [1 - filter_residual(s**2, case[1] + shift, pairs[case[0]]) for s in sigma]

    cases = [(scheme, k) for scheme in SCHEMES for k in range(7)]
    return Conforms(compute, exact, cases, ulps=64, entrywise=True, over="three schemes, k = 0..6")


@claim(mutants=[dict(more=1), dict(init="original")], needs=("torch",))
def converges_to_pinv(more=0, init="exact"):
    r"""`iterative_pinv` gives the exact $V_k$ of the iteration for each matrix of a batch, singular ones included.

    Observed in float64 for three 3×3 matrices at once and k = 0..3, three schemes.
    """
    batch = [
        [[Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]] * 2 + [[Fraction(1, 8), Fraction(3, 8), Fraction(1, 2)]],
        [[Fraction(e) for e in row] for row in ((1, 2, 0), (0, 1, -1), (2, 0, 1))],
        [[Fraction(e, 4) for e in row] for row in ((1, 1, 2), (2, 2, 4), (0, 1, 0))],
    ]
    return Conforms(
        lambda case: iterative_pinv(tensor(batch), case[1], scheme=case[0], init=init),
        lambda case: [iterated_inverse(a, case[1] + more, case[0]) for a in batch],
        [(scheme, k) for scheme in SCHEMES for k in range(4)],
        ulps=64,
        over="three matrices, three schemes, k = 0..3",
    )


@claim(mutants=[dict(power=2)], needs=("torch",))
def svd_pinv(power=1):
    r"""torch's pseudo-inverse by SVD, which the exact option uses, of a 5×4 matrix of rank 2: observed in float64.

    Against the exact pseudo-inverse by elimination; also for two singular square matrices.
    """
    rank_two = matmul(table(5, 2, 1), table(2, 4, 2))
    squares = [matmul(table(3, r, r), table(r, 3, 5)) for r in (1, 2)]

    def exact(a: Rows) -> Rows:
        return pseudo_inverse([[value * power for value in row] for row in a])

    return Conforms(
        lambda a: torch.linalg.pinv(tensor(a)), exact, [rank_two, *squares], ulps=256, over="ranks 2, 1 and 2"
    )


@claim(mutants=[dict(late=True), dict(weight=2)], needs=("torch",))
def segment_means_optimal(late=False, weight=1):
    r"""`segment_means` gives exact means of the segments: equal ones, and those of the tokens in a padded batch.

    Observed in float64: n = 12 in 1, 3, 4, 12 segments; 11, 7 and 3 of 12 tokens in 4, where the first segments are the
    shorter ones, and three tokens are three landmarks behind an absent one.
    """
    x = table(12, 3, 4)

    def ragged(count: int) -> Rows:
        size, rest = divmod(count, 4)
        sizes = [size] * (4 - rest) + [size + 1] * rest
        sizes = sizes[::-1] if late else sizes
        means, start = [], 0
        for size in sizes:
            part = x[start : start + size]
            start += size
            means.append([sum(column) / Fraction(size) for column in zip(*part)] if part else [Fraction(0)] * 3)
        return means

    def compute(count: int) -> torch.Tensor:
        return torch_means(tensor([x]), 4, torch.arange(12)[None] < count)[0]

    return (
        Conforms(
            lambda m: torch_means(tensor([x]), m)[0],
            lambda m: [[weight * e for e in row] for row in segment_means(x, m)],
            (1, 3, 4, 12), ulps=4, over="n = 12, m = 1, 3, 4, 12",
        ),
        Conforms(compute, ragged, (11, 7, 3), ulps=4, over="11, 7 and 3 tokens of 12, m = 4"),
    )  # fmt: skip


@claim(mutants=[dict(count=10), dict(inverse="exact")], needs=("torch",))
def padding_independence(count=9, inverse="razavi"):
    r"""Of a padded sample, `nystrom_attention` gives what it gives of the tokens alone, three segments of three tokens.

    Observed in float64 against exact iterates with softmax in ball arithmetic: D = 4, 9 of 12 tokens, 3 landmarks, two
    steps; the padded tokens hold other numbers. Not in the atlas.
    """
    q, k, v = table(12, 4, 1), table(12, 4, 2), table(12, 2, 3)
    mask = torch.arange(12)[None] < count

    def exact(_: int) -> Rows:
        tokens = [exact_rows(x[:9]) for x in (q, v)]
        keys = halved(k[:9])
        q_means, k_means = segment_means(tokens[0], 3), segment_means(keys, 3)
        f, a, b = (attention(x, y, sp.exp) for x, y in ((tokens[0], k_means), (q_means, k_means), (q_means, keys)))
        a = [[_digits(e) for e in row] for row in a]
        return matmul(f, iterated_inverse(a, 2), b, tokens[1])

    def compute(_: int) -> torch.Tensor:
        return run(q, k, v, 3, mask=mask, inverse=inverse, steps=2)[0, 0, :9]

    return Conforms(compute, exact, (0,), ulps=256, over="9 of 12 tokens, m = 3")


def _digits(value: sp.Expr) -> Fraction:
    """A value to 40 digits: far beyond float64, and short enough for exact iterates."""
    return Fraction(int(sp.floor(value * 10**40)), 10**40)


@claim(mutants=[dict(position=9)], needs=("torch",))
def not_causal(position=1):
    r"""Changing token 10 of 12 changes the torch code's output of the token at `position` = 1, by more than $10^{-3}$.

    Observed in float64; softmax attention with a causal mask wouldn't.
    """
    q, k, v = (tensor([[table(12, 4, seed)]]) for seed in (1, 2, 3))
    changed = [x.clone() for x in (q, k, v)]
    for x in changed[:2]:
        x[0, 0, 9] += 1

    def moved(_: int) -> tuple[Any, Any]:
        before, after = torch_attention(q, k, v, 3), torch_attention(*changed, 3)
        difference = (after - before)[0, 0, position].abs().max() if position < 9 else torch.zeros(())
        return bool(difference > 1e-3), True

    return ForEach((0,), moved, over="n = 12, m = 3", observed=True)


@claim(mutants=[dict(steps_counted=0), dict(kernel=2)], needs=("torch",))
def exact_flops(steps_counted=1, kernel=1):
    r"""One layer's attention takes exactly $2H(4nmd + 2m^2d + 4Im^3)$ operations, and 2nKd a head for the convolution.

    FlopCounterMode on the meta device counts two for each multiply-add: the claim's multiplications in the better order
    $F(A^{-1}(BV))$. Linear in n: n = 4096 to 65536, m = 64, d = 64, H = 12, K = 33, I = 6.
    """
    heads, m, d, size = 12, 64, 64, 33

    def build(n: int) -> tuple[Any, Any]:
        q, k, v = (torch.empty(1, heads, n, d, device="meta") for _ in range(3))
        conv = torch.empty(heads, 1, size, 1, device="meta")
        return lambda q, k, v: torch_attention(q, k, v, m, conv=conv), (q, k, v)

    def flops(n: int) -> int:
        products = multiplications(n, m, d, 6 * steps_counted) - (n * m**2 - m**2 * d)
        return int(2 * heads * (products + kernel * n * size * d))

    return Costs(build, (4096, 16384, 65536), flops=flops)


@claim(mutants=[dict(landmarks=4)], needs=("torch",))
def nystrom_form(landmarks=2):
    r"""`nystrom_attention` with the exact inverse is $FA^{-1}BV$: observed in float64 for n = 8, m = 2, D = 4.

    Against the exact object of derivations/ with the softmax in base e. Not in the atlas.
    """
    q, k, v = table(8, 4, 1), table(8, 4, 2), table(8, 3, 3)
    return Conforms(
        lambda _: run(q, k, v, landmarks, inverse="exact"),
        lambda _: [[matmul(nystrom_attention(exact_rows(q), halved(k), 2, sp.exp), exact_rows(v))]],
        (0,),
        ulps=512,
        over="n = 8, m = 2",
    )
