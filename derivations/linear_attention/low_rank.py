r"""What linearity costs: bounds on the trace and the rank, and Linformer (article equation 8)."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat
from sympy import Rational

from kexue import Exists, ForAll, ForEach, Identity, Words, claim, letters, mutant

from .common import dot, earlier, softmax2, tokens

W, H, x, y, z = sp.symbols("W H x y z", real=True)


def _features(count: int, features: int, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Non-negative integer features of queries and keys; the first one is positive, so that no sum vanishes."""
    return tuple(  # type: ignore[return-value]
        [[row[0] + 1, *row[1:]] for row in tokens(count, features, seed + shift, 0, 4)] for shift in (0, 77)
    )


def _largest_trace(count: int, features: int, seed: int, causal: bool) -> Fraction:
    """max over permutations of Σ_i p_{i,π(i)}."""
    q, k = _features(count, features, seed)
    rows = []
    for i, qi in enumerate(q):
        row = [Fraction(dot(qi, kj)) if earlier(i, j) or not causal else Fraction(0) for j, kj in enumerate(k)]
        rows.append([value / sum(row) for value in row])
    return max(sum((rows[i][j] for i, j in enumerate(order)), Fraction(0)) for order in permutations(range(count)))


@claim(mutants=[dict(causal=True), mutant("domain", most=2), dict(tight=2)])
def trace_bound(causal=False, most=1, tight=1):
    r"""For bidirectional attention with r non-negative features and every permutation π: $\sum_ip_{i,\pi(i)} \le r$,
    with equality for one-hot features, n = r; so the mean weight on "the right token" is at most r/n.

    In the normal form $p = WH$ with row-stochastic W and H: $\sum_i\sum_cW_{ic}H_{c,\pi(i)} \le
    \sum_c\sum_iH_{c,\pi(i)} = r$, as $W_{ic} \le 1$, for all n, r and π. Compared for all permutations with n ≤ 5 and
    r ≤ 3. Causal attention escapes: its weights exceed the bound, since every prefix has a normaliser of its own.
    """
    cases = [(count, features, seed) for count in (2, 3, 5) for features in (1, 2, 3) for seed in range(3)]
    return (
        ForAll(W * H <= H, [W >= 0, most >= W, H >= 0]),
        ForEach(cases, lambda c: (_largest_trace(*c, causal=causal) <= c[1], True), over="n ≤ 5, r ≤ 3, all π"),
        ForEach(
            range(1, 6),
            lambda r: (sum(dot(row, row) for row in sp.eye(r).tolist()), tight * r),
            over="one-hot features, n = r ≤ 5",
        ),
    )


def _rank(rows: list[list[Any]]) -> int:
    return int(fmpq_mat([[_fmpq(value) for value in row] for row in rows]).rank())


def _fmpq(value: Any) -> Any:
    q = Fraction(value)
    return fmpq(q.numerator, q.denominator)


@claim(mutants=[mutant("symbols", features=3), dict(nodes=(x, y, y)), dict(lost=1)])
def rank_bound(features=2, nodes=(x, y, z), lost=0):
    r"""rank $FG^\top \le r$, while the softmax matrix has rank n for almost all queries and keys, even with d = 1.

    All minors of order r + 1 vanish (shown for r = 2, symbolic). For d = 1 and keys 0, 1, …, n − 1 the exponentials
    are $x_i^j$ with $x_i = e^{q_i}$, a Vandermonde matrix of determinant $\prod_{i<j}(x_j - x_i) \ne 0$ for distinct
    queries (symbolic for n = 3); in base 2 the weights have rank n for n = 2..8, exactly.
    """
    F, G = (sp.Matrix(3, features, sp.symbols(f"{name}1:{3 * features + 1}", real=True)) for name in "fg")
    vandermonde = sp.Matrix(3, 3, lambda i, j: nodes[i] ** j)
    product = (y - x) * (z - x) * (z - y)
    return (
        Identity((F * G.T).det(), 0),
        Identity(vandermonde.det(), product),
        ForEach(
            range(2, 9),
            lambda n: (_rank([softmax2([i * j for j in range(n)]) for i in range(n)]), n - lost),
            over="n = 2..8, base 2",
        ),
    )


# Linformer


@claim(mutants=[mutant("domain", normalised=False), dict(bound=-1), dict(moved=False), dict(square=2)])
def linformer(normalised=True, bound=0, moved=True, square=1):
    r"""$\mathrm{softmax}(Q(EK)^\top)FV$ is exact for m = n, E = F = I; its weights $PF$ on the original values sum to 1
    only if $F\mathbf 1 = \mathbf 1$, can be negative, and see the future through EK.

    Every n and m: $PF\mathbf 1_n = P\mathbf 1_m = \mathbf 1_n$. A negative weight: $P = (\tfrac12, \tfrac12)$ and
    a column $(-1, \tfrac12)$ of F. With the means of neighbouring keys (n = 4, m = 2, base 2) a change of the last key
    moves the first output. E and F have 2mn parameters: n is fixed.
    """
    P, F, one_m, one_n = letters("P F m n")
    rules = [(P * one_m, one_n)] + ([(F * one_n, one_m)] if normalised else [])
    f = [[Rational(1, 2), Rational(1, 2)], [Rational(3, 2), Rational(-1, 2)]] if normalised else [[1, 1], [0, 1]]
    model = {"P": [[Rational(1, 3), Rational(2, 3)], [1, 0]], "F": f, "m": [1, 1], "n": [1, 1]}
    q, k, v = tokens(4, 2, 3), tokens(4, 2, 5), tokens(4, 1, 7)

    def output(mix: list[list[int]], keys: list[list[int]], query: list[int]) -> Fraction:
        mixed = [[sum(e * key[s] for e, key in zip(row, keys, strict=True)) for s in range(2)] for row in mix]
        values = [sum(e * value[0] for e, value in zip(row, v, strict=True)) for row in mix]
        return Fraction(dot(softmax2([dot(query, key) for key in mixed]), values))

    eye = [[int(i == j) for j in range(4)] for i in range(4)]
    pairs = [[1, 1, 0, 0], [0, 0, 1, 1]]
    changed = [*k[:3], [k[3][0] + 1, k[3][1] - 1]]
    return (
        Words(P * F * one_n, one_n, rules, model=model),
        Exists(Rational(1, 2) * x + Rational(1, 2) * y < bound, {x: -1, y: Rational(1, 2)}),
        ForEach(
            range(4),
            lambda i: (
                output(eye, k, q[i]),
                square * dot(softmax2([dot(q[i], key) for key in k]), [row[0] for row in v]) + (square - 1),
            ),
            over="four queries, E = F = I",
        ),
        ForEach(
            (0,), lambda i: (output(pairs, k, q[i]) != output(pairs, changed, q[i]), moved), over="the first query"
        ),
    )


@claim(mutants=[mutant("domain", kernel=1), dict(defect=2)])
def linformer_rank_obstruction(kernel=0, defect=1):
    r"""If $P'$ has rank ≤ m, then $\|P' - \Pi\|_F^2 \ge n - m$ for every permutation matrix Π, and the operator norm
    of the difference is at least 1 when m < n; the bound is attained.

    All n and m: the kernel of $P'$ has an orthonormal basis of at least n − m vectors x, and for each $|(P' - \Pi)x| =
    |\Pi x| = |x|$; squares of $|\cdot|$ over an orthonormal basis add up to $\|\cdot\|_F^2$. Attained by Π with n − m
    rows set to 0. A copy or a shift of all positions therefore needs m ~ n, which makes the article's doubt about a
    constant m a theorem. It needs no signs, unlike `trace-bound`.
    """
    P, Pi, v = letters("P Pi x")
    rules = [(Pi.T * Pi, 1), *([(P * v, 0)] if kernel == 0 else [])]
    difference = P * v - Pi * v
    model = {"P": [[1, 1], [0, 0]], "Pi": [[0, 1], [1, 0]], "x": [1, -1] if kernel == 0 else [1, 0]}

    def attained(case: tuple[int, int]) -> tuple[Any, Any]:
        n, m = case
        shift = [[int(j == (i + 1) % n) for j in range(n)] for i in range(n)]
        kept = [row if i < m else [0] * n for i, row in enumerate(shift)]
        assert _rank(kept) == m
        distance = sum((p - q) ** 2 for rows in zip(kept, shift, strict=True) for p, q in zip(*rows, strict=True))
        return distance, n - defect * m

    return (
        Words(difference.T * difference, v.T * v, rules, model=model),
        ForEach([(n, m) for n in range(2, 7) for m in range(1, n)], attained, over="shifts, m < n ≤ 6"),
    )


@claim(mutants=[mutant("domain", last=0), dict(own=False), dict(later=False)])
def downsampling_breaks_causality(last=1, own=True, later=True):
    r"""Pooling over segments of s ≥ 2 tokens before attention lets output i depend on later tokens of its own segment,
    whatever mask the pooled sequence has, unless queries see only segments that end before i.

    With $i = gs + o$, 0 ≤ o < s: a segment h ≤ g − 1 ends at $hs + s - 1 < i$, for all s; the own segment ends at $gs
    + s - 1 > i$ unless o = s − 1. Exact attention over sums of pairs (n = 6, base 2): with the own segment visible,
    changing token 3 moves output 2; with earlier segments only, no output moves before the changed token. """
    s, g, h, o = sp.symbols("s g h o", real=True)
    q, k, v = tokens(6, 2, 3), tokens(6, 2, 5), tokens(6, 1, 9)

    def output(i: int, keys: list[list[int]], whole: bool) -> Any:
        segments = [j for j in range(3) if j < i // 2 or (whole and j == i // 2)]
        pooled = [([a + b for a, b in zip(*keys[2 * j : 2 * j + 2], strict=True)], v[2 * j][0]) for j in segments]
        weights = softmax2([dot(q[i], key) for key, _ in pooled]) if pooled else []
        return sum((w * value for w, (_, value) in zip(weights, pooled, strict=True)), Fraction(0))

    changed = [*k[:3], [k[3][0] + 2, k[3][1] - 1], *k[4:]]
    moves = lambda i, whole: output(i, k, whole) != output(i, changed, whole)  # noqa: E731
    return (
        ForAll(s * h + s - 1 < s * g + o, [h <= g - last, s >= 2, o >= 0]),
        ForEach((2,), lambda i: (moves(i, own), True), over="its own segment visible"),
        ForEach((0, 1, 2), lambda i: (moves(i, not later), False), over="earlier segments only"),
    )

