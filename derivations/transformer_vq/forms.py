"""Attention with quantised keys over any commutative ring: the definition and the linear forms.

Every row of a result is (numerators …, denominator). With polynomials for entries an identity holds for all queries,
codebooks, values and biases at once; with rationals (base 2, integer logits) it is an exact instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import sympy as sp
from flint import fmpz_mpoly_ctx
from sympy import Rational

from kexue import (
    Words,
    letters,
)

Row = Sequence[Any]


def exponentials(queries: Sequence[Row], vectors: Sequence[Row]) -> list[list[Fraction]]:
    """The weights 2^(q·x) of integer vectors: base 2 instead of e keeps them rational.

    Raises:
        ValueError: an entry is not an integer.
    """
    for name, rows in (("queries", queries), ("vectors", vectors)):
        for row in rows:
            for x in row:
                if not isinstance(x, int) or isinstance(x, bool):
                    raise ValueError(f"{name} must have integer entries, got {x!r}")
    return [[Fraction(2) ** sum(a * b for a, b in zip(q, x, strict=True)) for x in vectors] for q in queries]


def nearest_codes(keys: Sequence[Row], codebook: Sequence[Row], metric: Sequence[Row] | None = None) -> list[int]:
    """Index of the nearest row of the codebook for each key, the lowest one in a tie.

    Args:
        metric: a positive semidefinite matrix for squared distances wᵀ·metric·w; the unit matrix by default.

    Raises:
        ValueError: the codebook is empty, or a key has another length than its rows.
    """
    if not codebook:
        raise ValueError("codebook must have at least one row, got 0")
    found = []
    for key in keys:
        if len(key) != len(codebook[0]):
            raise ValueError(f"keys must have the length {len(codebook[0])} of the codebook's rows, got {len(key)}")
        errors = [_squared([a - b for a, b in zip(key, row, strict=True)], metric) for row in codebook]
        found.append(errors.index(min(errors)))
    return found


def _squared(w: Row, metric: Sequence[Row] | None = None) -> Any:
    if metric is None:
        return sum(x * x for x in w)
    return sum(x * metric[i][j] * y for i, x in enumerate(w) for j, y in enumerate(w))


def quadratic(
    weights: Sequence[Row], codes: Sequence[int], values: Sequence[Row], bias: Row = (), causal: bool = True
) -> list[list[Any]]:
    """The definition: Σ_j β(i−j)·E[i][z_j]·(v_j, 1), over j ≤ i if causal.

    Args:
        weights: E, one row of c weights for each query.
        codes: z_j in 0, …, c − 1.
        values: one row for each token.
        bias: factors β_0, …, β_w of the distances 0, …, w (of |i − j| if not causal); 1 beyond.
    """
    _check(weights, codes, values)
    rows = _augmented(values)
    out = []
    for i, e in enumerate(weights):
        seen = range(i + 1) if causal else range(len(rows))
        out.append(_total([_scaled(e[codes[j]] * _factor(bias, abs(i - j)), rows[j]) for j in seen], len(rows[0])))
    return out


def encoder(weights: Sequence[Row], codes: Sequence[int], values: Sequence[Row]) -> list[list[Any]]:
    """E(Δᵀ[V, 1]) without a mask: one pass over the tokens, one over the queries."""
    _check(weights, codes, values)
    state = _empty(weights, values)
    _absorb(state, codes, _augmented(values))
    return [_read(e, state) for e in weights]


def token_recursion(
    weights: Sequence[Row], codes: Sequence[int], values: Sequence[Row], inclusive: bool = True
) -> list[list[Any]]:
    """O_i = E_i U_i with U_i = U_{i−1} + Δ_iᵀ[V_i, 1] (with U_{i−1} instead of U_i if not inclusive)."""
    _check(weights, codes, values)
    state, out = _empty(weights, values), []
    for e, z, row in zip(weights, codes, _augmented(values), strict=True):
        before = _read(e, state)
        _absorb(state, [z], [row])
        out.append(_read(e, state) if inclusive else before)
    return out


def block_recursion(
    weights: Sequence[Row], codes: Sequence[int], values: Sequence[Row], length: int
) -> list[list[Any]]:
    """Blocks of `length` (the last may be shorter): the own block exactly, all earlier ones from the state."""
    return _blocks(weights, codes, values, length, lag=1)


def windowed_recursion(
    weights: Sequence[Row], codes: Sequence[int], values: Sequence[Row], length: int, bias: Row
) -> list[list[Any]]:
    """The own block and the one before exactly, with the factors `bias` of the distances 0, …, w; the rest from the
    state.

    Raises:
        ValueError: the window is longer than a block: w > length.
    """
    if len(bias) > length + 1:
        raise ValueError(f"bias must have at most length + 1 = {length + 1} factors, got {len(bias)}")
    return _blocks(weights, codes, values, length, lag=2, bias=bias)


def _blocks(
    weights: Sequence[Row], codes: Sequence[int], values: Sequence[Row], length: int, lag: int, bias: Row = (),
    exact: int | None = None,
) -> list[list[Any]]:  # fmt: skip
    """Block i reads blocks ≤ i − lag from the state and, one by one, the last `exact` = lag blocks."""
    _check(weights, codes, values)
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    rows, exact = _augmented(values), lag if exact is None else exact
    starts = range(0, len(rows), length)
    states, state = [], _empty(weights, values)  # states[i]: all blocks up to and including i
    for start in starts:
        state = [list(row) for row in state]
        _absorb(state, codes[start : start + length], rows[start : start + length])
        states.append(state)
    out = []
    for i, e in enumerate(weights):
        block = i // length
        terms = [
            _scaled(e[codes[j]] * _factor(bias, i - j), rows[j])
            for j in range(max(block - exact + 1, 0) * length, i + 1)
        ]
        if block - lag >= 0:
            terms.append(_read(e, states[block - lag]))
        out.append(_total(terms, len(rows[0])))
    return out


def _check(weights: Sequence[Row], codes: Sequence[int], values: Sequence[Row]) -> None:
    if not len(weights) == len(codes) == len(values) or not weights:
        raise ValueError(
            f"weights, codes and values must have one row for each of n ≥ 1 tokens, got {len(weights)}, {len(codes)}, "
            f"{len(values)}"
        )
    for z in codes:
        if not isinstance(z, int) or isinstance(z, bool) or not 0 <= z < len(weights[0]):
            raise ValueError(f"codes must be integers in 0..{len(weights[0]) - 1}, got {z!r}")


def _augmented(values: Sequence[Row]) -> list[list[Any]]:
    return [[*row, 1] for row in values]


def _empty(weights: Sequence[Row], values: Sequence[Row]) -> list[list[Any]]:
    return [[0] * (len(values[0]) + 1) for _ in weights[0]]


def _absorb(state: list[list[Any]], codes: Sequence[int], rows: Sequence[Row]) -> None:
    for z, row in zip(codes, rows, strict=True):
        state[z] = [a + b for a, b in zip(state[z], row, strict=True)]


def _read(e: Row, state: Sequence[Row]) -> list[Any]:
    return _total([_scaled(x, row) for x, row in zip(e, state, strict=True)], len(state[0]))


def _scaled(factor: Any, row: Row) -> list[Any]:
    return [factor * x for x in row]


def _total(rows: Sequence[Row], width: int) -> list[Any]:
    return [sum((row[x] for row in rows), 0) for x in range(width)]


def _factor(bias: Row, distance: int) -> Any:
    return bias[distance] if distance < len(bias) else 1


def outputs(rows: Sequence[Row]) -> list[list[Fraction]]:
    """Numerators over denominators.

    Raises:
        ValueError: a denominator is 0: the query sees no key.
    """
    for i, row in enumerate(rows):
        if row[-1] == 0:
            raise ValueError(f"row {i} must have a non-zero denominator: all its keys are masked")
    return [[x / Fraction(row[-1]) for x in row[:-1]] for row in rows]


# Data: formal (all weights, biases and values at once) and integer


@cache
def formal(n: int, c: int, window: int = -1) -> tuple[list[list[Any]], list[list[Any]], list[Any]]:
    """Independent indeterminates E[i][s], v_j and β_0, …, β_window."""
    names = [f"E{i}_{s}" for i in range(n) for s in range(c)] + [f"v{j}" for j in range(n)]
    names += [f"b{d}" for d in range(window + 1)]
    gens = fmpz_mpoly_ctx.get(tuple(names), "lex").gens()
    weights = [list(gens[i * c : (i + 1) * c]) for i in range(n)]
    return weights, [[v] for v in gens[n * c : n * c + n]], list(gens[n * c + n :])


def shown(rows: Sequence[Row]) -> list[list[str]]:
    """Polynomials as canonical text: equal texts are equal polynomials."""
    return [[str(x) for x in row] for row in rows]


def all_codes(*sizes: tuple[int, int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(c, z) for all z in {0, …, c − 1}ⁿ, for each (n, c)."""
    return ((c, z) for n, c in sizes for z in product(range(c), repeat=n))


def integers(seed: int, rows: int, columns: int, most: int = 2) -> list[list[int]]:
    """A matrix with entries in {−most, …, most} from a linear congruential sequence."""
    state, out = seed, []
    for _ in range(rows):
        row = []
        for _ in range(columns):
            state = (1103515245 * state + 12345) % 2**31
            row.append((state >> 16) % (2 * most + 1) - most)
        out.append(row)
    return out


def one_hot(s: int, c: int) -> list[Any]:
    return [int(t == s) for t in range(c)]


def half_each(s: int, c: int) -> list[Any]:
    """A soft assignment: half to code s, half to the next one."""
    return [Rational(int(t == s) + int(t == (s + 1) % c), 2) for t in range(c)]


def one_more_token(kept: int = 1) -> Words:
    """E(U + δᵀv) = EU + (Eδᵀ)v: what a token adds to the state it adds to what any query reads."""
    E, U, delta, v = letters("E U δ v")
    model = {"E": [[1, 2]], "U": [[3, 1], [4, 1]], "δ": [[0, 1]], "v": [[5, 2]]}
    return Words(E * (U + delta.T * v), E * U + kept * E * delta.T * v, model=model)


def symbols(names: str) -> Any:
    return sp.symbols(names, real=True)


a, b, t, x, y, z, L, m = symbols("a b t x y z L m")
alpha, beta, sigma, epsilon = symbols("alpha beta sigma epsilon")
