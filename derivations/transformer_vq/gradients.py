r"""Straight-through gradients: exact in linear time, and truncated as in the paper.

Symbols of tokens 1, …, n with one channel ($d_k = d_v = 1$): $\hat k_j = s_j + k_j$, where $s_j$ is held constant
while differentiating and is $C_{z_j} - k_j$ afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import exp

from kexue import (
    Counts,
    ForEach,
    Identity,
    claim,
    erratum,
    mutant,
)

from .forms import Row, encoder, exponentials, integers, outputs, quadratic, symbols, token_recursion
from .linear import CODEBOOK


class Tokens:
    """Symbols of n tokens with the codes z. `live` keys carry the gradient; `detached` values are copies that don't."""

    def __init__(self, codes: Sequence[int]) -> None:
        n = len(codes)
        self.codes, self.n = codes, n
        self.q, self.k, self.v, self.g = ([symbols(f"{name}{i}") for i in range(1, n + 1)] for name in "qkvg")
        self.held = [symbols(f"s{i}") for i in range(1, n + 1)]
        self.detached = [symbols(f"w{i}") for i in range(1, n + 1)]
        self.codebook = [symbols(f"C{s}") for s in range(1, max(codes) + 2)]
        self.live = [s + k for s, k in zip(self.held, self.k, strict=True)]

    def code(self, j: int) -> sp.Symbol:
        return self.codebook[self.codes[j]]

    def back(self, e: sp.Expr) -> sp.Expr:
        """The values of what was held constant."""
        values = {s: self.code(j) - self.k[j] for j, s in enumerate(self.held)}
        return e.xreplace({**values, **dict(zip(self.detached, self.v, strict=True))})

    def gradient(self, outputs: Sequence[sp.Expr], variables: Sequence[sp.Symbol]) -> sp.Matrix:
        """Derivatives of Σ g_i o_i. Outputs that a variable doesn't occur in are skipped."""
        return sp.Matrix(
            [
                sum(self.back(g * sp.diff(o, s)) for g, o in zip(self.g, outputs, strict=True) if o.has(s))
                for s in variables
            ]
        )

    def weight(self, i: int, j: int) -> sp.Expr:
        """p_ij without the normalisation, at the quantised keys."""
        return exp(self.q[i] * self.code(j))

    def output(self, i: int, seen: Sequence[int]) -> sp.Expr:
        """o_i as a number, at the quantised keys."""
        return sum(self.weight(i, j) * self.v[j] for j in seen) / sum(self.weight(i, j) for j in seen)


def _ratio(pairs: Sequence[tuple[sp.Expr, sp.Expr]]) -> sp.Expr:
    return sum(w * v for w, v in pairs) / sum(w for w, _ in pairs)


@claim(mutants=[mutant("symbols", stopped=False), mutant("symbols", restored=0)])
def ste_gradient(stopped=True, restored=1):
    r"""$\hat K = \mathrm{sg}(C_z - K) + K$ has the value $C_z$, the derivative 1 with respect to K and 0 with respect
    to C; so $\partial o_i/\partial k_j = p_{ij}(v_j - o_i)q_i^\top$ with p at the logits $Q\hat K^\top$.

    The derivative is computed for three tokens with two sharing a code; what sg holds is a symbol of its own, put back
    afterwards. More tokens only lengthen the sums. Without sg, K gets no gradient at all; without + K, a wrong value.
    """
    T = Tokens((0, 1, 0))
    held = T.held if stopped else [T.code(j) - k for j, k in enumerate(T.k)]
    keys = [s + restored * k for s, k in zip(held, T.k, strict=True)]
    o = _ratio([(exp(T.q[0] * k), v) for k, v in zip(keys, T.v, strict=True)])
    total = sum(T.weight(0, j) for j in range(3))
    value = T.output(0, range(3))
    expected = [T.weight(0, j) / total * (T.v[j] - value) * T.q[0] for j in range(3)]
    return (
        Identity(T.back(keys[0]), T.code(0)),
        Identity(sp.Matrix([sp.diff(keys[0], s) for s in (T.k[0], T.codebook[0])]), sp.Matrix([1, 0])),
        Identity(sp.Matrix([T.back(sp.diff(o, k)) for k in T.k]), sp.Matrix(expected)),
    )


def ste_key_gradient(
    weights: Sequence[Row], queries: Sequence[Row], codes: Sequence[int], values: Sequence[Row], grads: Sequence[Row],
    causal: bool = True,
) -> list[list[Any]]:  # fmt: skip
    """∂L/∂k_j = M_{j,z_j} v_j − N_{j,z_j} for all j in one backward pass: time linear in n.

    M_{j,s} = Σ_{i≥j} a_is q_i g_iᵀ and N_{j,s} = Σ_{i≥j} a_is (g_i·o_i) q_i with a_is = E_is/D_i (all i if not causal).

    Args:
        grads: g_i = ∂L/∂o_i.

    Raises:
        ValueError: queries or grads don't have one row for each token, or grads not the width of values.
    """
    for name, given, width in (("queries", queries, len(queries[0])), ("grads", grads, len(values[0]))):
        if len(given) != len(codes) or any(len(row) != width for row in given):
            raise ValueError(f"{name} must have {len(codes)} rows of length {width}, got {[len(r) for r in given]}")
    rows = token_recursion(weights, codes, values) if causal else encoder(weights, codes, values)
    return _key_gradient(weights, queries, codes, values, grads, rows, causal)


def _key_gradient(
    weights: Sequence[Row], queries: Sequence[Row], codes: Sequence[int], values: Sequence[Row], grads: Sequence[Row],
    rows: Sequence[Row], causal: bool, correction: bool = True,
) -> list[list[Any]]:  # fmt: skip
    """From the unnormalised rows of the forward pass; without the correction N for a mutant."""
    c, d_k, d_v = len(weights[0]), len(queries[0]), len(values[0])
    M: list[list[list[Any]]] = [[[0] * d_v for _ in range(d_k)] for _ in range(c)]
    N: list[list[Any]] = [[0] * d_k for _ in range(c)]
    out: list[list[Any]] = [[] for _ in codes]

    def dot(p: Row, r: Row) -> Any:
        return sum((u * v for u, v in zip(p[1:], r[1:], strict=True)), p[0] * r[0])

    def write(i: int) -> None:
        h = dot(grads[i], rows[i][:-1]) / rows[i][-1]
        for s in range(c):
            weight = weights[i][s] / rows[i][-1]
            for x in range(d_k):
                part = weight * queries[i][x]
                N[s][x] = N[s][x] + part * h
                for y in range(d_v):
                    M[s][x][y] = M[s][x][y] + part * grads[i][y]

    def read(j: int) -> None:
        for column, n in zip(M[codes[j]], N[codes[j]], strict=True):
            total = dot(column, values[j])
            out[j].append(total - n if correction else total)

    for i in reversed(range(len(codes))):
        write(i)
        if causal:
            read(i)
    if not causal:
        for j in range(len(codes)):
            read(j)
    return out


def _pair_gradient(
    weights: Sequence[Row], queries: Sequence[Row], codes: Sequence[int], values: Sequence[Row], grads: Sequence[Row],
    causal: bool,
) -> list[list[Fraction]]:  # fmt: skip
    """The same gradient pair by pair: Σ_i p_ij (g_i·(v_j − o_i)) q_i."""
    rows = quadratic(weights, codes, values, causal=causal)
    o = outputs(rows)
    out = []
    for j, v in enumerate(values):
        total = [Fraction(0)] * len(queries[0])
        for i in range(j if causal else 0, len(codes)):
            inner = sum(g * (p - r) for g, p, r in zip(grads[i], v, o[i], strict=True))
            p = weights[i][codes[j]] / Fraction(rows[i][-1])
            total = [s + p * inner * q for s, q in zip(total, queries[i], strict=True)]
        out.append(total)
    return out


@erratum(printed=dict(growth=2), mutants=[dict(correction=False, crossover=60494 + 1)])
def exact_ste_gradient_is_linear_time(growth=1, correction=True, crossover=60494):
    r"""The exact straight-through gradient costs linear time: $\partial L/\partial k_j = M_{j,z_j}v_j - N_{j,z_j}$
    with $M_{j,s} = \sum_{i\ge j}a_{is}q_ig_i^\top$, $N_{j,s} = \sum_{i\ge j}a_{is}(g_i\cdot o_i)q_i$, $a_{is} =
    e^{q_i\cdot C_s}/D_i$, $g_i = \partial L/\partial o_i$ (all i for the encoder).

    The article says that no linear scheme gives the exact gradient. Proved by differentiating the quadratic form for
    three tokens, two of one code, one channel (a token or channel more adds terms of the same kind), with and without
    a mask; compared with the sum over pairs in exact numbers for n ≤ 7, $d_k = 2$, $d_v = 3$; operations counted: for
    each token $c\,d_k(d_v+2) + d_v(d_k+1)$ multiplications. It remains unattractive: the leading term $n\,c\,d_kd_v$
    is less than $n^2(d_k+d_v)$ only for n > 60494 at c = 512, $d_k = 128$, $d_v = 1536$; so the paper truncates.
    """
    T = Tokens((0, 1, 0))
    parts = []
    for causal in (True, False):
        seen = [range(i + 1) if causal else range(3) for i in range(3)]
        live = [_ratio([(exp(T.q[i] * T.live[j]), T.v[j]) for j in seen[i]]) for i in range(3)]
        D = [sum(T.weight(i, j) for j in seen[i]) for i in range(3)]
        o = [T.output(i, seen[i]) for i in range(3)]
        expected = []
        for j in range(3):
            readers = [i for i in range(3) if j in seen[i]]
            M = sum(T.weight(i, j) / D[i] * T.q[i] * T.g[i] for i in readers)
            N = sum(T.weight(i, j) / D[i] * T.g[i] * o[i] * T.q[i] for i in readers)
            expected.append(M * T.v[j] - (N if correction else 0))
        parts.append(Identity(T.gradient(live, T.k), sp.Matrix(expected)))

    def data(n: int) -> tuple[Any, ...]:
        Q, codes = integers(n, n, 2), [s[0] % 3 for s in integers(n + 1, n, 1, most=8)]
        return exponentials(Q, CODEBOOK[:3]), Q, codes, integers(n + 2, n, 3, most=4), integers(n + 3, n, 3, most=4)

    def both(case: tuple[int, bool]) -> tuple[Any, Any]:
        n, causal = case
        E, Q, codes, V, g = data(n)
        rows = token_recursion(E, codes, V) if causal else encoder(E, codes, V)
        linear = _key_gradient(E, Q, codes, V, g, rows, causal, correction)
        return linear, _pair_gradient(E, Q, codes, V, g, causal)

    def run(n: int, scalar: Any) -> None:
        E, Q, codes, V, g = data(n)
        rows = token_recursion(E, codes, V)
        counted = [[[scalar(e) for e in row] for row in matrix] for matrix in (E, Q, V, g, rows)]
        _key_gradient(counted[0], counted[1], codes, *counted[2:], causal=True)

    c, d_k, d_v = 3, 2, 3
    formula = {
        "mul": lambda n: n**growth * (c * d_k * (d_v + 2) + d_v * (d_k + 1)),
        "div": lambda n: n * (c + 1),
        "add": lambda n: n * (c * d_k * (d_v + 1) + (d_k + 1) * (d_v - 1)),
        "sub": lambda n: n * d_k,
    }
    advantage = Fraction(512 * 128 * 1536, 128 + 1536)
    return (
        *parts,
        ForEach(product(range(1, 8), (True, False)), both, over="n ≤ 7, c = 3, d_k = 2, d_v = 3, decoder and encoder"),
        Counts(run, (1, 2, 5, 8), formula),
        ForEach([crossover], lambda n: (int(advantage), n), over="c = 512, d_k = 128, d_v = 1536"),
    )


def _truncated(T: Tokens, carried: int) -> list[sp.Expr]:
    """Outputs of the recursion with blocks of one token; the state keeps the newest `carried` of its values live."""
    out = []
    for i in range(T.n):
        near = [j for j in (i - 1, i) if j >= 0]
        pairs = [(exp(T.q[i] * T.live[j]), T.v[j]) for j in near]
        for s, code in enumerate(T.codebook):
            own = [j for j in range(i - 1) if T.codes[j] == s]
            if own:
                newest = [j for j in own if j >= i - 1 - carried]
                U = sum(T.v[j] if j in newest else T.detached[j] for j in own)
                pairs.append((len(own) * exp(T.q[i] * code), U / len(own)))
        out.append(_ratio(pairs))
    return out


def _reaching(T: Tokens, keys: int, values: int) -> tuple[sp.Matrix, sp.Matrix]:
    """The gradients of keys and values as sums over pairs at most `keys` and `values` tokens apart."""
    D = [sum(T.weight(i, j) for j in range(i + 1)) for i in range(T.n)]
    o = [T.output(i, range(i + 1)) for i in range(T.n)]

    def readers(j: int, reach: int) -> range:
        return range(j, min(j + reach + 1, T.n))

    return (
        sp.Matrix(
            [
                sum(T.g[i] * T.weight(i, j) / D[i] * (T.v[j] - o[i]) * T.q[i] for i in readers(j, keys))
                for j in range(T.n)
            ]
        ),
        sp.Matrix([sum(T.g[i] * T.weight(i, j) / D[i] for i in readers(j, values)) for j in range(T.n)]),
    )


@claim(mutants=[dict(values=3), dict(keys=3)])
def truncated_gradient(keys=1, values=1):
    r"""With the state $S_{i-2}$ (and its counts) detached, the gradient is that of the quadratic form in which pairs
    more than one block apart use a detached $\hat K$ *and* a detached V.

    So V loses its far gradient too: $\partial L/\partial v_j = \sum g_ip_{ij}$ and $\partial L/\partial k_j = \sum
    g_ip_{ij}(v_j - o_i)q_i$ run over the queries of the own block and the next. Differentiated for four tokens in
    blocks of one, z = (0, 1, 0, 1), one channel; longer blocks put more pairs into the same sums. Larger sizes are
    compared with an explicit detach mask in numerics/. Mutants: V keeps its far gradient; K does.
    """
    T = Tokens((0, 1, 0, 1))
    out = _truncated(T, carried=0)
    expected = _reaching(T, keys, values)
    return (
        Identity(T.gradient(out, T.k), expected[0]),
        Identity(T.gradient(out, T.v), expected[1]),
    )


@erratum(printed=dict(reach=1), mutants=[dict(keys=2, offset=1), dict(keys=0, reach=0)])
def stop_gradient_readings(reach=2, keys=1, offset=0):
    r"""Where the gradient stops matters: detaching the state $S_{i-2}$ that enters $O_{[i]}$ leaves V two blocks back
    without gradient; detaching the carried term of $U_i = \mathrm{sg}(U_{i-1}) + \Delta_{[i]}^\top V_{[i]}$ gives it
    $\exp(Q_{[i]}C^\top)\Delta_{[i-2]}^\top/D$.

    Outputs and the gradient of K are the same in both. The article stops "$U_{i-1}$" while $O_{[i]}$ uses $U_{i-2}$, as
    if it were all one; the paper detaches what enters. Four tokens in blocks of one, z = (0, 1, 0, 1), one channel.
    """
    T = Tokens((0, 1, 0, 1))
    entering, carried = _truncated(T, 0), _truncated(T, 1)
    by_keys, by_values = _reaching(T, keys, reach)
    full = [T.output(i, range(i + 1)) for i in range(4)]
    return (
        Identity(sp.Matrix([T.back(o) for o in carried]), sp.Matrix([o + offset for o in full])),
        Identity(T.gradient(entering, T.k), by_keys),
        Identity(T.gradient(carried, T.k), by_keys),
        Identity(T.gradient(carried, T.v), by_values),
    )
