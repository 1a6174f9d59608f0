"""What the claims share: symbols, letters with the Penrose rules, and lists of small integer equations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice, product
from typing import Any

import sympy as sp
from sympy import Rational

from kexue import letters

from .reduction import Matrix, quadric_type

eps, t, s, p, kappa, k, lam, mu, nu = sp.symbols("epsilon t s p kappa k lambda mu nu", real=True)
x, y, X, Y, Z = sp.symbols("x y X Y Z", real=True)
c1, s1, v1, v2, v3 = sp.symbols("cos sin v1 v2 v3", real=True)  # cos² + sin² = 1 is a condition where they are used
b1, b2, b3, c = sp.symbols("b1 b2 b3 c", real=True)
a11, a12, a13, a22, a23, a33 = sp.symbols("a11 a12 a13 a22 a23 a33", real=True)

GENERIC = {
    2: sp.ImmutableMatrix([[a11, a12], [a12, a22]]),
    3: sp.ImmutableMatrix([[a11, a12, a13], [a12, a22, a23], [a13, a23, a33]]),
}
LINEAR = {2: sp.ImmutableMatrix([b1, b2]), 3: sp.ImmutableMatrix([b1, b2, b3])}
SHIFT = {2: sp.ImmutableMatrix([v1, v2]), 3: sp.ImmutableMatrix([v1, v2, v3])}
CIRCLE = sp.Eq(c1**2 + s1**2, 1)


def det(m: sp.MatrixBase) -> sp.Expr:
    return m.det(method="berkowitz")


def bordered(A: sp.MatrixBase, b: sp.MatrixBase, const: Any) -> sp.ImmutableMatrix:
    """Ã = [[A, b], [bᵀ, c]]."""
    return sp.ImmutableMatrix(sp.Matrix(sp.BlockMatrix([[A, b], [b.T, sp.Matrix([[const]])]])))


def quadric(A: sp.MatrixBase, b: sp.MatrixBase, const: Any, at: sp.MatrixBase) -> sp.Expr:
    """q = xᵀAx + 2bᵀx + c at a point."""
    return (at.T * A * at + 2 * b.T * at)[0] + const


# The article's parabola x² − 4xy + 4y² + 2x − 2y − 1 = 0, with the eigenvalues 5 and 0

EXAMPLE = (sp.ImmutableMatrix([[1, -2], [-2, 4]]), sp.ImmutableMatrix([1, -1]), sp.Integer(-1))


def example_constant() -> sp.Expr:
    """k(ε) = bᵀ(A + εI)⁻¹b − c of the article's parabola, from the adjugate."""
    A, b, const = EXAMPLE
    moved = A + eps * sp.eye(2)
    return (b.T * moved.adjugate() * b)[0] / det(moved) - const


def example_centre() -> sp.Matrix:
    """−(A + εI)⁻¹b of the article's parabola."""
    A, b, _ = EXAMPLE
    moved = A + eps * sp.eye(2)
    return -moved.adjugate() * b / det(moved)


# Words for every n: A with its pseudo-inverse G = A⁺ and P = P₀; products of a row and a column are their transposes.
# In the model A has rank 1 in three dimensions, and b has a part in its kernel.

A_, G_, P_, b_, u_, x_ = letters("A G P b u x")
PENROSE = [
    (A_.T, A_), (G_.T, G_), (P_.T, P_),
    (A_ * G_, 1 - P_), (G_ * A_, 1 - P_), (A_ * P_, 0), (P_ * A_, 0), (G_ * P_, 0), (P_ * G_, 0), (P_ * P_, P_),
]  # fmt: skip


def projector_model() -> dict[str, Any]:
    """A = wwᵀ with w = (1, −2, 2), hence A⁺ = A/81 and P₀ = I − A/9; b = w + (2, 2, 1), so that p = 3 and bᵀA⁺b = 1."""
    w = sp.Matrix([1, -2, 2])
    A = w * w.T
    return {
        "A": A, "G": A / 81, "P": sp.eye(3) - A / 9, "b": sp.Matrix([3, 0, 3]), "u": sp.Matrix([2, 1, 5]),
        "x": sp.Matrix([1, -1, 2]), "w": w, c: 7, p: 3, kappa: -6, eps: Rational(1, 3),
    }  # fmt: skip


# Integer equations, and their types by Sylvester's law of inertia


def equations(n: int, entries: Sequence[int], stride: int = 1) -> Iterator[tuple[Matrix, Sequence[int], int]]:
    """(A, b, c) with A symmetric n×n and all coefficients from `entries`; each stride-th of them."""
    places = [(i, j) for i in range(n) for j in range(i, n)]
    for values in islice(product(entries, repeat=len(places) + n + 1), 0, None, stride):
        m = [[0] * n for _ in range(n)]
        for (i, j), value in zip(places, values):
            m[i][j] = m[j][i] = value
        yield m, values[len(places) : -1], values[-1]


def inertia(m: Matrix) -> tuple[int, int]:
    """Numbers of positive and negative squares of a symmetric matrix, by Lagrange's elimination."""
    positive = negative = 0
    rows = [list(row) for row in m]
    while rows:
        n = len(rows)
        i = next((i for i in range(n) if rows[i][i]), None)
        if i is None:
            pair = next(((i, j) for i in range(n) for j in range(i) if rows[i][j]), None)
            if pair is None:
                break
            i, j = pair  # x_j → x_j + x_i: the new diagonal entry is 2a_ij
            rows[i] = [r + q for r, q in zip(rows[i], rows[j])]
            for row in rows:
                row[i] += row[j]
        pivot = rows[i][i]
        sign = 1 if pivot > 0 else -1
        positive, negative = (positive + 1, negative) if sign > 0 else (positive, negative + 1)
        rows = [
            [sign * (pivot * rows[r][q] - rows[r][i] * rows[i][q]) for q in range(n) if q != i]
            for r in range(n)
            if r != i
        ]
    return positive, negative


def type_by_inertia(A: Matrix, b: Sequence[int], const: int) -> tuple[str, int, int]:
    """The type from the inertia of A and Ã: Ã has two squares more, of opposite signs, for a parabolic equation, one
    more of the sign of −κ for a central one, and none more for a cone.
    """
    positive, negative = inertia(A)
    all_positive, all_negative = inertia([[*row, value] for row, value in zip(A, b)] + [[*b, const]])
    more = all_positive - positive, all_negative - negative
    return quadric_type(positive, negative, more == (1, 1), more[1] - more[0])


def as_fractions(A: Matrix, b: Sequence[int], const: int) -> tuple[list[list[Fraction]], list[Fraction], Fraction]:
    return [[Fraction(value) for value in row] for row in A], [Fraction(value) for value in b], Fraction(const)
