"""The bias in a window that two blocks support, and ReRoPE in its place."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import And, Eq

from kexue import (
    ForAll,
    ForEach,
    Witnesses,
    claim,
    erratum,
    mutant,
)

from .forms import (
    Row,
    _blocks,
    exponentials,
    formal,
    integers,
    nearest_codes,
    one_more_token,
    outputs,
    quadratic,
    shown,
    windowed_recursion,
)
from .linear import CODEBOOK


def is_biased(i: int, j: int, l: int) -> bool:
    """Where B may differ from 0: distances 0, …, l."""
    return 0 <= i - j <= l


@erratum(
    printed=dict(biased=lambda i, j, l: not (i < j or i - j <= l), free=lambda l: l - 1),
    mutants=[dict(free=lambda l: 2 * l), dict(biased=lambda i, j, l: 0 <= i - j <= l + 1)],
)
def toeplitz_bias(biased=is_biased, free=lambda l: l + 1):
    r"""A bias that is a function of i − j on 0 ≤ i − j ≤ l, 0 beyond (and −∞ for i < j), has l + 1 free numbers,
    whatever n is, and touches two blocks only; a free bias of two blocks has l(l+1)/2 + l².

    The article prints $B_{ij} = 0$ for i < j or i − j ≤ l, which is the opposite: such a bias reaches all blocks but
    the two that may carry it. Counted for l = 1, …, 8 on four blocks; being a function of i − j, it is an additive
    relative position code.
    """

    def counted(l: int) -> tuple[Any, Any]:
        pairs = [(i, j) for i in range(4 * l) for j in range(4 * l) if biased(i, j, l)]
        two_blocks = sum(j <= i and i // l - j // l <= 1 for i in range(2 * l, 3 * l) for j in range(4 * l))
        got = (len({i - j for i, j in pairs}), all(0 <= i // l - j // l <= 1 for i, j in pairs), two_blocks)
        return got, (free(l), True, l * (l + 1) // 2 + l * l)

    return ForEach(range(1, 9), counted, over="l = 1..8, four blocks")


@claim(mutants=[mutant("domain", extra=1)])
def window_l_is_maximal(extra=0):
    r"""A Toeplitz window that two blocks of length l support reaches at most the distance w = l.

    For all l ≥ 1 and all positions: the key at distance D ≤ l from a query at offset 0 ≤ a < l of the block that
    starts at p lies at or after p − l, the start of the block before; the key at distance l + 1 from offset 0 lies in
    the block before that. Enumerated for l ≤ 64 as well.
    """
    l, start, offset, distance, key = sp.symbols("l p a D j", integer=True)
    place = Eq(key, start + offset - distance)
    block = [l >= 1, 0 <= offset, offset < l, place]

    def enumerated(l: int) -> tuple[int, int]:
        start = 3 * l
        fits = [w for w in range(2 * l + 2) if all(start + a - D >= start - l for a in range(l) for D in range(w + 1))]
        return max(fits), l + extra

    return (
        ForAll(key >= start - l, [*block, 0 <= distance, distance <= l + extra]),
        ForAll(And(start - 2 * l <= key, key < start - l), [*block, Eq(offset, 0), Eq(distance, l + 1 + extra)]),
        ForEach((1, 2, 3, 5, 8, 16, 33, 64), enumerated, over="l = 1, 2, 3, 5, 8, 16, 33, 64"),
    )


@claim(mutants=[dict(extra=1), dict(lag=1)])
def windowed_block_recurrence(extra=0, lag=2):
    r"""If $B_{ij} = b(i-j)$ for 0 ≤ i − j ≤ w ≤ l, 0 beyond and −∞ for i < j, then $O_{[i]} = \exp(Q_{[i]}\hat
    K_{[i]}^\top + B_{[i,i]})V_{[i]} + \exp(Q_{[i]}\hat K_{[i-1]}^\top + B_{[i,i-1]})V_{[i-1]} + \exp(Q_{[i]}C^\top)
    S_{i-2}$, and the same for the denominator.

    $S_{-1} = S_{-2} = 0$. Every n, by the induction of `causal-cumsum` over the blocks i − 2, i − 3, …; as for the
    exact blocks, `window-l-is-maximal`. Checked for all Q, C, V, b as polynomials, n = 7 (a shorter last block), all z
    in 2⁷, l = 1, …, 4, w = l; a shorter window is the case of some b(d) = 0. Mutants: w = l + 1; the state of block i
    − 1.
    """

    def both(case: tuple[int, tuple[int, ...]]) -> tuple[Any, Any]:
        l, codes = case
        E, V, bias = formal(7, 2, l + extra)
        return shown(_blocks(E, codes, V, l, lag, bias, exact=2)), shown(quadratic(E, codes, V, bias))

    return Witnesses(
        one_more_token(int(lag == 2 and not extra)),
        ForEach(product(range(1, 5), product(range(2), repeat=7)), both, over="z in 2⁷, l ≤ 4; all Q, C, V, b"),
    )


@claim(mutants=[dict(quantised=False), dict(shift=1)])
def linear_equals_quadratic(quantised=True, shift=0):
    r"""For any Q, K, V, C, b, and l dividing n: the windowed recursion with K̂ gives $\mathrm{softmax}(Q\hat K^\top +
    B)V$.

    In exact numbers (base 2, integer logits) against a softmax that knows neither codes nor blocks: n = 12, $d_k = d_v
    = 2$, c = 1, …, 4, each l dividing 12, each w ≤ min(l, 4). `windowed-block-recurrence` has all Q, C, V, b as
    polynomials. Mutants: the softmax of unquantised keys; a bias that is shifted by one place.
    """
    Q, K, V = integers(11, 12, 2), integers(12, 12, 2, most=3), integers(13, 12, 2, most=4)
    b = [1, -2, 0, 3, -1]

    def softmax(keys: Sequence[Row], window: int) -> list[list[Fraction]]:
        out = []
        for i, q in enumerate(Q):
            scores = [
                sum(p * r for p, r in zip(q, keys[j], strict=True)) + (b[i - j] if i - j <= window else 0)
                for j in range(i + 1)
            ]
            weights = [Fraction(2) ** s for s in scores]
            out.append([sum(w * V[j][y] for j, w in enumerate(weights)) / sum(weights) for y in (0, 1)])
        return out

    def both(case: tuple[int, int, int]) -> tuple[Any, Any]:
        c, l, window = case
        codebook = CODEBOOK[:c]
        codes = nearest_codes(K, codebook)
        factors = [Fraction(2) ** b[(d + shift) % 5] for d in range(window + 1)]
        linear = outputs(windowed_recursion(exponentials(Q, codebook), codes, V, l, factors))
        return linear, softmax([codebook[s] for s in codes] if quantised else K, window)

    cases = [(c, l, w) for c in range(1, 5) for l in (1, 2, 3, 4, 6, 12) for w in range(min(l, 4) + 1)]
    return ForEach(cases, both, over="n = 12, c = 1..4, l | 12, w ≤ min(l, 4), base 2")


Turn = tuple[Fraction, Fraction]  # a Gaussian rational: a vector of the plane, or a rotation by arg


def _times(p: Turn, q: Turn) -> Turn:
    return p[0] * q[0] - p[1] * q[1], p[0] * q[1] + p[1] * q[0]


def _power(u: Turn, k: int) -> Turn:
    out = (Fraction(1), Fraction(0))
    for _ in range(abs(k)):
        out = _times(out, u if k > 0 else (u[0], -u[1]))
    return out


@claim(mutants=[dict(sign=-1), dict(unit=(Fraction(0), Fraction(1)))])
def rerope_compatible(sign=1, unit=(Fraction(3, 5), Fraction(4, 5))):
    r"""ReRoPE with window w, applied after quantising, stays linear: for i − j ≥ w the score is $(\mathcal R^wq_i)\cdot
    C_{z_j}$, a function of the code only. Plain RoPE doesn't: the keys $\mathcal R_jC_{z_j}$ are pairwise different.

    Exponents are compared exactly (rotations by a rational angle matrix of infinite order, cos = 3/5): for each query
    the tokens that share an exponent, from the quadratic form and from w near keys and one state, for n = 24, c = 3, w
    = 1, …, 6. Of the 24 rotated keys 24 are different, of the far keys of ReRoPE only the codes. Mutants: $\mathcal
    R^{-w}$; a quarter turn, which RoPE repeats every four steps.
    """
    n, c = 24, 3
    queries = [(Fraction(p), Fraction(q)) for p, q in integers(7, n, 2, most=3)]
    codebook = [(Fraction(1), Fraction(2)), (Fraction(2), Fraction(-1)), (Fraction(3), Fraction(1))]
    codes = [s[0] % c for s in integers(8, n, 1, most=8)]

    def dot(p: Turn, q: Turn) -> Fraction:
        return p[0] * q[0] + p[1] * q[1]

    def both(w: int) -> tuple[Any, Any]:
        got, expected = [], []
        state: dict[int, list[int]] = {s: [] for s in range(c)}
        for i, q in enumerate(queries):
            if i >= w:
                state[codes[i - w]].append(i - w)
            exponents: dict[Fraction, list[int]] = {}
            for j in range(max(i - w + 1, 0), i + 1):
                score = dot(_times(_power(unit, i), q), _times(_power(unit, j), codebook[codes[j]]))
                exponents.setdefault(score, []).append(j)
            for s, tokens in state.items():
                if tokens:
                    far = dot(_times(_power(unit, sign * w), q), codebook[s])
                    exponents.setdefault(far, []).extend(tokens)
            got.append({k: sorted(v) for k, v in exponents.items()})
            direct: dict[Fraction, list[int]] = {}
            for j in range(i + 1):
                turned = _times(_power(unit, -min(i - j, w)), codebook[codes[j]])
                direct.setdefault(dot(q, turned), []).append(j)
            expected.append(direct)
        return got, expected

    def distinct(count: int) -> tuple[Any, Any]:
        rotated = {_times(_power(unit, j), codebook[codes[j]]) for j in range(count)}
        return (len(rotated), len({codebook[s] for s in codes[:count]})), (count, c)

    return (
        ForEach(range(1, 7), both, over="w = 1..6, n = 24, c = 3"),
        ForEach([24], distinct, over="n = 24, c = 3"),
    )
