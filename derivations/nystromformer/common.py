"""Letters, the Penrose equations, and instances that several files share."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import Matrix

from kexue import letters

from .exact import Rows

x, r, s, t, c, rho = sp.symbols("x r s t c rho", real=True)
n, m, d = sp.symbols("n m d", real=True)

A, B, F, G, M, P, S, V, W, X, Y, Z = letters("A B F G M P S V W X Y Z")
C, D, L, U, u, v, w = letters("C D L U u v w")

ONES = {"u": [1, 1, 1], "v": [1, 1]}
STOCHASTIC = {
    "A": Matrix([[3, 1], [1, 3]]) / 4,
    "G": Matrix([[3, -1], [-1, 3]]) / 2,
    "F": Matrix([[2, 1], [1, 2], [0, 3]]) / 3,
    "B": Matrix([[1, 2, 2], [3, 1, 1]]) / 5,
}
SINGULAR = [[Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]] * 2 + [[Fraction(1, 5), Fraction(3, 10), Fraction(1, 2)]]

Q_SIGNED = [(-1, -1), (-1, 1), (-1, -1), (1, -1)]
K_SIGNED = [(1, 1), (1, 1), (-1, -1), (1, -1)]


def penrose(a: Any, g: Any) -> list[tuple[Any, Any]]:
    """The four equations that make g the pseudo-inverse of a."""
    return [(a * g * a, a), (g * a * g, g), ((a * g).T, a * g), ((g * a).T, g * a)]


def doubled(rows: Rows) -> list[tuple[int, ...]]:
    """Twice the rows: keeps logits of segment means integer."""
    return [tuple(2 * value for value in row) for row in rows]


def ones(n: int) -> list[list[Fraction]]:
    return [[Fraction(1)] for _ in range(n)]


def symbolic_tokens(name: str, n: int) -> list[list[sp.Expr]]:
    """n tokens of dimension 1."""
    return [[symbol] for symbol in sp.symbols(f"{name}1:{n + 1}", real=True)]
