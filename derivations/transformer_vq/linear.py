"""The trick that selects, the encoder, and the decoder by tokens and by blocks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import And, Eq, exp, log

from kexue import (
    Exists,
    ForAll,
    ForEach,
    Identity,
    Witnesses,
    claim,
    erratum,
)

from .forms import (
    L,
    Row,
    _blocks,
    a,
    all_codes,
    alpha,
    b,
    beta,
    block_recursion,
    encoder,
    exponentials,
    formal,
    half_each,
    integers,
    m,
    one_hot,
    one_more_token,
    outputs,
    quadratic,
    shown,
    symbols,
    t,
    token_recursion,
    windowed_recursion,
    x,
)


@claim(mutants=[dict(row=half_each)])
def select_trick(row=one_hot):
    r"""$f(QC^\top\Delta^\top) = f(QC^\top)\Delta^\top$ for every elementwise f and every Δ with one-hot rows.

    Entry (i, j) of both sides is $f(X_{i,z_j})$, for $X = QC^\top$ and all sizes. Checked with an unknown function f
    and with exp for symbolic X (2×3) and z = (1, 0, 2, 1), and in integers with f(x) = x³ + 1 for all z in cⁿ, n ≤ 4,
    c ≤ 3. A soft assignment (two halves) is refuted for each f.
    """
    f = sp.Function("f")
    X = sp.Matrix(2, 3, symbols("x1:7"))
    D = sp.Matrix([row(s, 3) for s in (1, 0, 2, 1)])

    def cubic(value: Any) -> Any:
        return value**3 + 1

    def both(case: tuple[int, tuple[int, ...]]) -> tuple[Any, Any]:
        c, codes = case
        numbers = integers(c, 2, c, most=5)
        delta = [row(s, c) for s in codes]

        def times(matrix: Sequence[Row]) -> list[list[Any]]:
            return [[sum(p * q for p, q in zip(r, d, strict=True)) for d in delta] for r in matrix]

        return [[cubic(v) for v in r] for r in times(numbers)], times([[cubic(v) for v in r] for r in numbers])

    return (
        *(Identity((X * D.T).applyfunc(g), X.applyfunc(g) * D.T) for g in (f, exp)),
        ForEach(all_codes(*product(range(1, 5), range(1, 4))), both, over="z in cⁿ, n ≤ 4, c ≤ 3, f(x) = x³ + 1"),
    )


@claim(mutants=[dict(f=lambda x: alpha * x**2 + beta), dict(chord=lambda A, B: (B, A), less=-1)])
def soft_assignment_only_affine(f=lambda x: alpha * x + beta, chord=lambda A, B: (A, B), less=1):
    r"""$f(X\Delta^\top) = f(X)\Delta^\top$ for all row-stochastic Δ iff f is affine.

    No smoothness is needed: the row $(\tau, 1-\tau)$ on the entries a < b says that f is its own chord on [a, b], and
    this for every interval. Conversely f(x) = αx + β passes, for three codes with $\delta_1+\delta_2+\delta_3 = 1$; one
    more code is one more step of $(\alpha u + \beta w) + \delta f(x) = \alpha(u + \delta x) + \beta(w + \delta)$. Being
    convex is not enough: for exp Jensen's gap is strict.
    """
    d1, d2, d3, x1, x2, x3, A, B, F, u, w = symbols("delta1 delta2 delta3 x1 x2 x3 A B F u w")
    first, last = chord(A, B)
    given = [Eq(x, t * a + (1 - t) * b), Eq(F, t * A + (1 - t) * B), a < b, 0 <= t, t <= 1]
    return (
        Identity(f(d1 * x1 + d2 * x2 + d3 * x3), d1 * f(x1) + d2 * f(x2) + d3 * f(x3), [Eq(d1 + d2 + d3, 1)]),
        Identity(alpha * u + beta * w + d1 * f(x1), alpha * (u + d1 * x1) + beta * (w + d1)),
        Identity((b - a) * F, first * (b - x) + last * (x - a), given),
        Exists(less * exp(x / 2) < less * (1 + exp(x)) / 2, {x: 1}),
    )


@claim(mutants=[dict(count=lambda k: 1)])
def encoder_linear_form(count=lambda k: k):
    r"""$\mathrm{softmax}(Q\hat K^\top)V = E(\Delta^\top V) / E(\Delta^\top 1)$, row by row, and this is
    $\mathrm{softmax}(QC^\top + \log\mathrm{count})$ times the mean of V for each code.

    For all Q, C, V as polynomials, for all z in cⁿ, n ≤ 4, c ≤ 3; beyond, a token adds $E\delta^\top v$ to both sides.
    An unused code has count 0 and weight 0, for which log 0 = −∞ stands. The second form is shown for z = (0, 1, 0),
    symbolic logits and values.
    """
    s0, s1, v0, v1, v2 = symbols("s0 s1 v0 v1 v2")
    weights = exp(s0), exp(s1), exp(s0)
    tokens = sum(w * v for w, v in zip(weights, (v0, v1, v2), strict=True)) / sum(weights)
    first, second = exp(s0 + log(count(2))), exp(s1 + log(count(1)))

    def both(case: tuple[int, tuple[int, ...]]) -> tuple[Any, Any]:
        c, codes = case
        E, V, _ = formal(len(codes), c)
        used = sorted(set(codes))
        linear = [
            [*row[:-1], sum(e[s] * count(codes.count(s)) for s in used)]
            for row, e in zip(encoder(E, codes, V), E, strict=True)
        ]
        return shown(linear), shown(quadratic(E, codes, V, causal=False))

    return (
        Identity(tokens, (first * (v0 + v2) / 2 + second * v1) / (first + second)),
        ForEach(all_codes(*product(range(1, 5), range(1, 4))), both, over="z in cⁿ, n ≤ 4, c ≤ 3; all Q, C, V"),
    )


@claim(mutants=[dict(fill=2)])
def denominator_is_numerator_special_case(fill=1):
    r"""The denominator $\exp(Q\hat K^\top)1_{n\times1}$ is the numerator for $V = 1_{n\times1}$.

    So one routine, run on V with a column of ones, gives both: the numerators of $[V, 1]$ are compared with those of V
    and with the sums of weights, for all Q, C, V and all z in cⁿ, n ≤ 4, c ≤ 3.
    """

    def both(case: tuple[int, tuple[int, ...]]) -> tuple[Any, Any]:
        c, codes = case
        E, V, _ = formal(len(codes), c)
        wide = encoder(E, codes, [[*row, fill] for row in V])
        separate = [[row[0], sum(e[s] for s in codes)] for row, e in zip(encoder(E, codes, V), E, strict=True)]
        return shown([row[:2] for row in wide]), shown(separate)

    return ForEach(all_codes(*product(range(1, 5), range(1, 4))), both, over="z in cⁿ, n ≤ 4, c ≤ 3; all Q, C, V")


# The decoder


@claim(mutants=[dict(inclusive=False)])
def causal_cumsum(inclusive=True):
    r"""$O_i = \exp(q_iC^\top)U_i / \exp(q_iC^\top)L_i$ with $U_i = \sum_{j\le i}\Delta_j^\top V_j$ and $L_i =
    \sum_{j\le i}\Delta_j^\top$.

    Every size by induction over the tokens: $E(U + \delta^\top v) = EU + (E\delta^\top)v$. Also all z in cⁿ, n ≤ 5, c ≤
    3, for all Q, C, V as polynomials, against $\sum_{j\le i}\exp(q_i\cdot\hat k_j)V_j$.
    """

    def both(case: tuple[int, tuple[int, ...]]) -> tuple[Any, Any]:
        c, codes = case
        E, V, _ = formal(len(codes), c)
        return shown(token_recursion(E, codes, V, inclusive)), shown(quadratic(E, codes, V))

    return Witnesses(
        one_more_token(int(inclusive)),
        ForEach(all_codes(*product(range(1, 6), range(1, 4))), both, over="z in cⁿ, n ≤ 5, c ≤ 3; all Q, C, V"),
    )


@erratum(printed=dict(lag=2), mutants=[dict(lag=0)])
def block_recurrence(lag=1):
    r"""$O_{[i]} = \exp(Q_{[i]}\hat K_{[i]}^\top + M)V_{[i]} + \exp(Q_{[i]}C^\top)S_{i-1}$ with the inclusive state
    $S_i = \sum_{t\le i}\Delta_{[t]}^\top V_{[t]}$, for every l ≥ 1 and a shorter last block.

    The article prints $U_i = \sum_{j<i}$ together with $U_{i-1}$ in $O_{[i]}$ (its recursion $U_i = U_{i-1} +
    \Delta_{[i]}^\top V_{[i]}$ wants the inclusive sum): taken literally the block before is lost. Every size by
    induction: a block adds $E\Delta^\top V$ to what a later query reads. Also for all Q, C, V as polynomials, all z in
    2⁶ and l = 1, …, 6, and in exact numbers for n = 15, l = 1, …, 8.
    """

    def literal(E: Any, codes: Any, V: Any, l: int) -> Any:
        return _blocks(E, codes, V, l, lag, exact=1)

    def polynomials(case: tuple[int, tuple[int, ...]]) -> tuple[Any, Any]:
        l, codes = case
        E, V, _ = formal(6, 2)
        return shown(literal(E, codes, V, l)), shown(quadratic(E, codes, V))

    def numbers(l: int) -> tuple[Any, Any]:
        E, codes, V = exponentials(integers(1, 15, 2), CODEBOOK), LONG, integers(3, 15, 2)
        return literal(E, codes, V, l), quadratic(E, codes, V)

    return Witnesses(
        one_more_token(int(lag == 1)),
        ForEach(product(range(1, 7), product(range(2), repeat=6)), polynomials, over="z in 2⁶, l ≤ 6; all Q, C, V"),
        ForEach(range(1, 9), numbers, over="n = 15, l = 1..8, c = 4, base 2"),
    )


CODEBOOK = [[1, 0], [0, -1], [-1, 1], [2, 1]]
LONG = [s[0] % 4 for s in integers(2, 15, 1, most=8)]


@claim(mutants=[dict(scale=lambda L: 2**L), dict(keep=False)])
def running_mean_cache(scale=lambda L: L, keep=True):
    r"""The state may be kept as means $\bar U = U/L$ (0 where L = 0) and counts L: $\bar U' = (L/L')\bar U +
    \Delta^\top V/L'$ with $L' = L + \Delta^\top 1$ (1 if that is 0), and $e^sU = e^{s+\log L}\bar U$.

    As $\bar U'$ is a convex combination of $\bar U$ and the new mean, the cache stays in the convex hull of the values:
    nothing grows with n. For L = 0 the weight is 0 (bias −∞). Also run in exact numbers for all z in 3⁶, l = 2, against
    the sums. The mutants: weight $e^{s+L}$ (base 2) instead of $e^{s+\log L}$; an update without the factor L/L'.
    """
    s, U, mean, g, low, high, k = symbols("s U mean g low high k")
    after = L + k
    factor = L / after if keep else sp.S.One
    updated = factor * mean + g / after
    within = (L * mean + k * x) / (L + k) if keep else mean + k * x / (L + k)

    def both(codes: tuple[int, ...]) -> tuple[Any, Any]:
        E, V = exponentials(integers(1, 6, 2), CODEBOOK[:3]), integers(3, 6, 1)
        means, counts, out = [Fraction(0)] * 3, [0] * 3, []
        for start in (0, 2, 4):
            for i in (start, start + 1):
                near = [(E[i][codes[j]], V[j][0]) for j in range(start, i + 1)]
                far = [(E[i][r] * scale(counts[r]) if counts[r] else 0, means[r]) for r in range(3)]
                out.append([sum(w * v for w, v in near + far) / sum(w for w, _ in near + far)])
            for r in range(3):
                new = [V[j][0] for j in (start, start + 1) if codes[j] == r]
                divisor = max(counts[r] + len(new), 1)
                means[r] = means[r] * (Fraction(counts[r], divisor) if keep else 1) + Fraction(sum(new), divisor)
                counts[r] += len(new)
        return out, outputs(block_recursion(E, codes, V, 2))

    return (
        Identity(after * updated, U + g, [Eq(U, L * mean), L >= 0, k >= 0, L + k > 0]),
        Identity(exp(s) * U, exp(s + log(scale(L))) * mean, [Eq(U, L * mean), L > 0]),
        ForAll(
            And(low <= within, within <= high),
            [low <= mean, mean <= high, low <= x, x <= high, L >= 0, k >= 0, L + k > 0],
        ),
        ForEach(product(range(3), repeat=6), both, over="z in 3⁶, l = 2, base 2"),
    )


@claim(mutants=[dict(share=0)])
def online_max_shift(share=1):
    r"""A number subtracted from all scores of a query, those of the cache with their log L included, leaves the output
    unchanged: its derivative with respect to the shift is 0, so the maximum may be detached.

    Any number of keys: the cache contributes $(N_1, D_1)e^{-m}$, the recent keys $(N_2, D_2)e^{-m}$. Spelled out for
    one code of count L and two recent keys. If only the recent scores are shifted, it is false.
    """
    N1, D1, N2, D2, s0, s1, s2, u, v1, v2 = symbols("N1 D1 N2 D2 s0 s1 s2 u v1 v2")
    factor, cached = exp(-m), exp(-share * m)
    out = (N1 * cached + N2 * factor) / (D1 * cached + D2 * factor)

    def softmax(shift: Any, of_cache: Any) -> Any:
        pairs = [(exp(s0 + log(L) - of_cache), u), (exp(s1 - shift), v1), (exp(s2 - shift), v2)]
        return sum(w * v for w, v in pairs) / sum(w for w, _ in pairs)

    return (
        Identity(out, (N1 + N2) / (D1 + D2), [D1 > 0, D2 > 0]),
        Identity(sp.diff(out, m), 0, [D1 > 0, D2 > 0]),
        Identity(softmax(m, share * m), softmax(sp.S.Zero, sp.S.Zero), [L > 0]),
    )


@claim(mutants=[dict(causal=False)])
def no_future_leak(causal=True):
    r"""$o_i$ doesn't depend on tokens after i, also not through their codes: z is chosen for each token alone, unlike
    the pooled landmarks of Linformer and Nyströmformer.

    For all Q, C, V, b as polynomials, n = 6, c = 2, l = 2, w = 2, all z: row i of the whole sequence is the last row
    of the sequence that ends with token i. The Jacobian of the torch model is looked at in tests/; a codebook that
    moves during training isn't covered.
    """
    E, V, bias = formal(6, 2, 2)

    def form(codes: tuple[int, ...]) -> Any:
        n = len(codes)
        if causal:
            return windowed_recursion(E[:n], codes, V[:n], 2, bias)
        return quadratic(E[:n], codes, V[:n], bias, causal=False)

    def both(codes: tuple[int, ...]) -> tuple[Any, Any]:
        return shown(form(codes)), [shown(form(codes[: i + 1]))[-1] for i in range(6)]

    return ForEach(product(range(2), repeat=6), both, over="z in 2⁶; all Q, C, V, b")
