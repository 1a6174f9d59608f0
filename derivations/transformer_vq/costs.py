"""Multiplications, memory and state."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import Eq, Equivalent

from kexue import (
    Counts,
    ForAll,
    ForEach,
    Identity,
    claim,
    erratum,
)

from .forms import Row, _absorb, _augmented, _empty, _read, exponentials, integers, symbols
from .linear import CODEBOOK


def _matmul(A: Sequence[Row], B: Sequence[Row]) -> list[list[Any]]:
    out = []
    for row in A:
        line = []
        for y in range(len(B[0])):
            total = row[0] * B[0][y]
            for x in range(1, len(B)):
                total = total + row[x] * B[x][y]
            line.append(total)
        out.append(line)
    return out


def _transposed(A: Sequence[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*A, strict=True)]


D_K, D_V, CODES = 3, 4, 5


@claim(mutants=[dict(both=1), dict(pairs=lambda n: n * n), dict(scatter=CODES)])
def flops(both=2, pairs=lambda n: n * (n + 1) // 2, scatter=0):
    r"""For each token, $2l(d_k+d_v)$ multiplications for the two exact blocks, $c(d_k+d_v)$ for the cache, $c\,d_k$ for
    the quantiser; causal quadratic attention needs $\tfrac{n+1}2(d_k+d_v)$ on average, so it costs more from $n^* =
    2(c+2l)$ on, up to the one half token.

    Scores and sums counted by instrumented matrix products (exponentials and normalisation aside), at $d_k = 3$, $d_v =
    4$, c = 5: one block of l tokens, n tokens of the quadratic form, and the encoder, where $\Delta^\top V$ takes
    $n\,d_v$ additions and no multiplication. $n^*$ is 3072 for c = l = 512; the quantiser adds $2c\,d_k/(d_k+d_v)$.
    """

    def numbers(rows: int, columns: int, scalar: Any) -> list[list[Any]]:
        return [[scalar(i + j + 1) for j in range(columns)] for i in range(rows)]

    def block(l: int, scalar: Any) -> None:
        Q, K, V = (numbers(l, d, scalar) for d in (D_K, D_K, D_V))
        C, state = numbers(CODES, D_K, scalar), numbers(CODES, D_V, scalar)
        _matmul(K, _transposed(C))
        recent = _matmul(_matmul(Q, _transposed([*K, *K])), [*V, *V])
        far = _matmul(_matmul(Q, _transposed(C)), state)
        _ = [[p + r for p, r in zip(*rows, strict=True)] for rows in zip(recent, far, strict=True)]

    def causal(n: int, scalar: Any) -> None:
        Q, K, V = (numbers(n, d, scalar) for d in (D_K, D_K, D_V))
        for i in range(n):
            _matmul(_matmul([Q[i]], _transposed(K[: i + 1])), V[: i + 1])

    def bidirectional(n: int, scalar: Any) -> None:
        Q, V, C = numbers(n, D_K, scalar), numbers(n, D_V, scalar), numbers(CODES, D_K, scalar)
        state = [[scalar(0) for _ in range(D_V)] for _ in range(CODES)]
        _absorb(state, [j % CODES for j in range(n)], V)
        _matmul(_matmul(Q, _transposed(C)), state)

    def adds(keys: int) -> int:
        """Additions of one row of scores against `keys` keys and of the weighted sum of their values."""
        return keys * (D_K - 1) + (keys - 1) * D_V

    n, c, l, d_k, d_v = symbols("n c l d_k d_v")
    per_token = (both * l + c) * (d_k + d_v)
    crossover = sp.solve(Eq(n / 2 * (d_k + d_v), per_token), n)[0]
    quantised = sp.solve(Eq(n / 2 * (d_k + d_v), per_token + c * d_k), n)[0]
    return (
        Counts(
            block,
            (1, 2, 4, 7),
            {
                "mul": lambda l: l * ((both * l + CODES) * (D_K + D_V) + CODES * D_K),
                "add": lambda l: l * (adds(2 * l) + adds(CODES) + CODES * (D_K - 1) + D_V),
            },
        ),
        Counts(
            causal,
            (1, 2, 5, 9),
            {"mul": lambda n: pairs(n) * (D_K + D_V), "add": lambda n: sum(adds(i) for i in range(1, n + 1))},
        ),
        Counts(
            bidirectional,
            (1, 4, 9),
            {"mul": lambda n: n * (CODES + scatter) * (D_K + D_V), "add": lambda n: n * (adds(CODES) + D_V)},
        ),
        Identity(crossover, 2 * (c + 2 * l), [d_k > 0, d_v > 0]),
        Identity(quantised, 2 * (c + 2 * l) + 2 * c * d_k / (d_k + d_v), [d_k > 0, d_v > 0]),
        ForEach([3072], lambda n: (crossover.subs({c: 512, l: 512, d_k: 128, d_v: 1536}), n), over="c = l = 512"),
    )


@claim(mutants=[dict(steps=lambda n, l: n), dict(prefixes=1), dict(scores=1)])
def memory_modes(steps=lambda n, l: -(-n // l), prefixes=None, scores=None):
    r"""The cumulative sum stores $n\,c\,d_v$ numbers and needs no sequential step; the recursion over tokens keeps
    $c\,d_v$ in n steps; the recursion over blocks keeps $c\,d_v$ and l² scores in $m = \lceil n/l\rceil$ steps.

    Numerators, scores of the own block only. Counted while the three forms run, which agree, for n ≤ 12 and l ≤ 5.
    """
    c = 3

    def run(case: tuple[int, int]) -> tuple[Any, Any]:
        n, l = case
        E, V, codes = exponentials(integers(1, n, 2), CODEBOOK[:c]), integers(3, n, 2), [(2 * j) % c for j in range(n)]
        width = len(V[0])
        sums = [[[0] * width for _ in range(c)]]
        for z, row in zip(codes, V, strict=True):
            state = [list(r) for r in sums[-1]]
            _absorb(state, [z], [row])
            sums.append(state)
        parallel = [_read(e, state) for e, state in zip(E, sums[1:], strict=True)]
        stored = sum(len(row) for state in sums[1:] for row in state)

        state, by_token, token_steps = [[0] * width for _ in range(c)], [], 0
        for e, z, row in zip(E, codes, V, strict=True):
            _absorb(state, [z], [row])
            by_token.append(_read(e, state))
            token_steps += 1
        kept = sum(map(len, state))

        state, by_block, block_steps, most = [[0] * width for _ in range(c)], [], 0, 0
        for start in range(0, n, l):
            own = range(start, min(start + l, n))
            table = [[E[i][codes[j]] if j <= i else Fraction(0) for j in own] for i in own]
            most = max(most, sum(map(len, table)))
            near = _matmul(table, [V[j] for j in own])
            by_block += [[p + r for p, r in zip(near[i - start], _read(E[i], state), strict=True)] for i in own]
            _absorb(state, [codes[j] for j in own], [V[j] for j in own])
            block_steps += 1
        same = parallel == by_token == by_block
        expected = (prefixes or n) * c * width, c * width, n, steps(n, l), scores or min(l, n) ** 2, True
        return (stored, kept, token_steps, block_steps, most, same), expected

    return ForEach(product(range(1, 13), range(1, 6)), run, over="n ≤ 12, l ≤ 5, c = 3, d_v = 2")


@erratum(printed=dict(value_width=1), mutants=[dict(codes=256), dict(cells=lambda c, d_v: c * d_v)])
def state_size(value_width=2, codes=512, cells=lambda c, d_v: c * d_v + c):
    r"""Decoding keeps $c\,d_v + c$ numbers and a window of at most $2l(d_k+d_v)$ for each layer, whatever n is. At $c =
    512$, $d_v = 2n_hd_k$ the part $c\,d_v = 1024n_hd_k$ exceeds the state $2n_hd_k^2$ of RetNet iff $d_k < 512$.

    RetNet has $n_h$ heads with states of $d_k \times d_v/n_h$. The article quotes $n_hd_k^2$, but with its own $d_v =
    2n_hd_k$ it is twice as much. The conclusion stands for $d_k < 512$. That the state doesn't grow is counted on the
    recursion for n ≤ 40.
    """
    h, d_k, d_v = symbols("n_h d_k d_v")
    given = [Eq(d_v, 2 * h * d_k), h > 0, d_k > 0]

    def kept(n: int) -> tuple[int, int]:
        E, V = [[1, 2, 3]] * n, [[1, 2]] * n
        state = _empty(E, V)
        _absorb(state, [j % 3 for j in range(n)], _augmented(V))
        return sum(map(len, state)), cells(3, 2)

    return (
        Identity(h * d_k * (d_v / h), value_width * h * d_k**2, given),
        Identity(codes * d_v, 1024 * h * d_k, given),
        ForAll(Equivalent(codes * d_v > 2 * h * d_k**2, d_k < 512), given),
        ForEach((1, 2, 7, 40), kept, over="n = 1, 2, 7, 40; c = 3, d_v = 2"),
    )
