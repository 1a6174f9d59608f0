"""Exact attention: features, sums and weights of integer tokens as Fractions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

Rows = list[list[Fraction]]


def tokens(count: int, size: int, seed: int = 1, low: int = -2, high: int = 3) -> list[list[int]]:
    """Integer vectors from a linear congruential sequence."""
    state, rows = seed, []
    for _ in range(count):
        row = []
        for _ in range(size):
            state = (1103515245 * state + 12345) % 2**31
            row.append(low + (state >> 16) % (high - low + 1))
        rows.append(row)
    return rows


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + x * y
    return total


def softmax2(logits: Sequence[int]) -> list[Fraction]:
    """2^z_i / Σ 2^z_j."""
    powers = [Fraction(2) ** z for z in logits]
    return [p / sum(powers) for p in powers]


def averaged(weights: Sequence[Any], values: Sequence[Sequence[Any]]) -> list[Any]:
    """Σ_j w_j v_j."""
    return [sum(w * v[e] for w, v in zip(weights, values, strict=True)) for e in range(len(values[0]))]


def masked_sums(
    q: Sequence[Sequence[Any]], k: Sequence[Sequence[Any]], v: Sequence[Sequence[Any]], seen: Callable[[int, int], bool]
) -> list[list[Any]]:
    """Σ_{j seen from i} (q_i·k_j) v_j for all i: the quadratic form of the numerators."""
    return [
        [sum(dot(qi, k[j]) * v[j][e] for j in range(len(k)) if seen(i, j)) for e in range(len(v[0]))]
        for i, qi in enumerate(q)
    ]


def earlier(i: int, j: int) -> bool:
    return j <= i
