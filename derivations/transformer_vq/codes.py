"""What codes alone can and can't tell apart: rank, blindness, linear attention, the histogram of codes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, permutations, product
from typing import Any

from flint import fmpz_mat
from sympy import Rational

from kexue import (
    ForAll,
    ForEach,
    Words,
    claim,
    letters,
)

from .forms import (
    Row,
    _scaled,
    _total,
    block_recursion,
    exponentials,
    formal,
    integers,
    one_hot,
    outputs,
    quadratic,
    shown,
    symbols,
    windowed_recursion,
)
from .linear import CODEBOOK


@claim(mutants=[dict(extra=1), dict(triangular=5)])
def low_rank(extra=0, triangular=24):
    r"""$\mathrm{rank}(E\Delta^\top) \le$ the number of used codes ≤ c, while $\exp(QK^\top)$ has rank n in general.

    For every size the matrix factors through the used codes. Exact ranks for n = 24, c = 5, weights $2^{is}$ and the
    thirty-one sets of used codes: the rank equals the number of used codes, and $(2^{ij})_{ij}$, a Vandermonde matrix
    without quantised keys, has rank 24, so it has for almost all Q, K. With a factor 3 for |i − j| ≤ 1 the rank is 24
    for all five codes: a band breaks the low rank. So does a causal mask alone (triangular, positive diagonal): low
    rank is then a property of the blocks below the diagonal.
    """
    n, c = 24, 5
    E = [[2 ** (i * s) for s in range(c)] for i in range(n)]

    def rank(matrix: Sequence[Row]) -> int:
        return int(fmpz_mat([list(map(int, row)) for row in matrix]).rank())

    def codes(used: tuple[int, ...]) -> list[int]:
        return [used[j % len(used)] for j in range(n)]

    def quantised(used: tuple[int, ...]) -> tuple[int, int]:
        return rank([[e[s] for s in codes(used)] for e in E]), len(used) + extra

    def others(kind: str) -> tuple[int, int]:
        z = codes(tuple(range(c)))
        matrix = {
            "keys": lambda i, j: 2 ** (i * j),
            "band": lambda i, j: E[i][z[j]] * (3 if abs(i - j) <= 1 else 1),
            "mask": lambda i, j: E[i][z[j]] if j <= i else 0,
        }[kind]
        return rank([[matrix(i, j) for j in range(n)] for i in range(n)]), triangular

    sets = [used for size in range(1, c + 1) for used in combinations(range(c), size)]
    return (
        ForEach(sets, quantised, over="all non-empty sets of used codes, n = 24, c = 5"),
        ForEach(("keys", "band", "mask"), others, over="unquantised keys, a band of factors, a causal mask; n = 24"),
    )


def _exchanged(row: Sequence[Any], i: int, j: int) -> list[Any]:
    out = list(row)
    out[i], out[j] = out[j], out[i]
    return out


@claim(mutants=[dict(beyond=False), dict(n=3)])
def pigeonhole_blindness(beyond=True, n=5):
    r"""For n > c two positions share a code, and without B all queries after both give them equal weights: exchanging
    their values changes nothing. With a bias in a window this holds for pairs beyond the window only.

    For all Q, C, V, b as polynomials, c = 3, n = 5, all z, all pairs of one code (there always is one), window w = 1 in
    blocks of 2. The mutant demands the same of pairs inside the window.
    """

    def both(codes: tuple[int, ...]) -> tuple[Any, Any]:
        E, V, bias = formal(n, 3, 1)
        pairs = [p for p in combinations(range(n), 2) if codes[p[0]] == codes[p[1]]]
        free, windowed = block_recursion(E, codes, V, 2), windowed_recursion(E, codes, V, 2, bias)
        kept = [bool(pairs)]
        for i, j in pairs:
            swapped = _exchanged(V, i, j)
            first = j + 2 if beyond else j
            kept.append(shown(block_recursion(E, codes, swapped, 2)[j:]) == shown(free[j:]))
            kept.append(shown(windowed_recursion(E, codes, swapped, 2, bias)[first:]) == shown(windowed[first:]))
        return all(kept), True

    return ForEach(product(range(3), repeat=n), both, over="all z in 3ⁿ; all Q, C, V, b")


@claim(mutants=[dict(strength=20), dict(slack=1), dict(kernel=lambda s, r: int(s <= r))])
def is_linear_attention(strength=0, slack=0, kernel=lambda s, r: int(s == r)):
    r"""Without B it is linear attention with the features $\phi(q) = \exp(qC^\top)$ and $\varphi(k) = $ one-hot, both
    ≥ 0, of rank c. So $\sum_ip_{i,\pi(i)} \le c$ for every permutation π, without a mask: with B it may exceed c.

    The first part for all Q, C, V and z in 3⁴ as polynomials. The bound, all sizes: with $n_s$ tokens of code s,
    $p_{i,j} = e/(en_s + r) \le 1/n_s$ where e > 0 and r ≥ 0 belongs to the other codes; the sum over the $n_s$ tokens
    of each used code is ≤ 1. Also exactly for n = 5, c = 2, all 120 permutations and all z; with the factor 2²⁰ for
    distance 0 it is exceeded.
    """
    e, r, k = symbols("e r k")

    def forms(codes: tuple[int, ...]) -> tuple[Any, Any]:
        E, V, _ = formal(4, 3)
        features = [[kernel(s, other) for other in range(3)] for s in codes]
        rows = [
            _total([_scaled(_total([[p * f] for p, f in zip(E[i], features[j], strict=True)], 1)[0], [*V[j], 1])
                    for j in range(i + 1)], 2)
            for i in range(4)
        ]  # fmt: skip
        return shown(block_recursion(E, codes, V, 2)), shown(rows)

    def bounded(codes: tuple[int, ...]) -> tuple[bool, bool]:
        E = exponentials(integers(5, 5, 2), CODEBOOK[:2])
        unit = [one_hot(j, 5) for j in range(5)]
        p = outputs(quadratic(E, codes, unit, bias=[2**strength], causal=False))
        most = max(sum(p[i][j] for i, j in enumerate(order)) for order in permutations(range(5)))
        return most <= len(set(codes)), True

    return (
        ForEach(product(range(3), repeat=4), forms, over="z in 3⁴; all Q, C, V"),
        ForAll(e / (e * k + r) <= 1 / (k + slack), [e > 0, k >= 1, r >= 0]),
        ForEach(product(range(2), repeat=5), bounded, over="z in 2⁵, all 120 permutations, base 2"),
    )


@claim(mutants=[dict(strength=3)])
def code_mean_invariance(strength=0):
    r"""Replacing every value by the mean value of its code (encoder), or by the mean over the tokens of its code up to
    the query (decoder), leaves the output unchanged: context is a histogram of codes and one mean for each.

    Every size when all codes are used: $E\Delta^\top\Delta P\Delta^\top V = E\Delta^\top V$, where $P = (\Delta^\top
    \Delta)^{-1}$ and $\Delta P\Delta^\top$ is the averaging. Also exactly for all z in 3⁵, both masks. With a factor 8
    for distance 0 it is false.
    """
    E, D, V, P = letters("E Δ V P")
    model = {"E": [[1, 2]], "Δ": [[1, 0], [0, 1], [1, 0]], "V": [1, 5, 3], "P": [[Rational(1, 2), 0], [0, 1]]}
    rule = [(D.T * D * P, 1), (P * D.T * D, 1)]

    def both(codes: tuple[int, ...]) -> tuple[Any, Any]:
        weights, values = exponentials(integers(1, 5, 2), CODEBOOK[:3]), integers(4, 5, 1, most=5)
        bias = [2**strength]
        got, expected = [], []
        for causal in (False, True):
            expected += outputs(quadratic(weights, codes, values, bias, causal))
            for i in range(5):
                seen = range(i + 1 if causal else 5)
                same = [[j for j in seen if codes[j] == codes[own]] for own in range(5)]
                mean = [[Fraction(sum(values[j][0] for j in js), max(len(js), 1))] for js in same]
                got.append(outputs(quadratic(weights, codes, mean, bias, causal))[i])
        return got, expected

    return (
        Words(E * D.T * D * P * D.T * V, (1 + strength) * E * D.T * V, rule, model=model),
        ForEach(product(range(3), repeat=5), both, over="z in 3⁵, encoder and decoder, base 2"),
    )
