"""What the modules share: symbols, plane rotations, block matrices, exact test matrices and the checks of arguments."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import Rational

m, n, r, t, x, y = sp.symbols("m n r t x y", real=True)
theta, omega, s = sp.symbols("theta omega s", real=True)
q0, q1, k0, k1 = sp.symbols("q0 q1 k0 k1", real=True)
i, j, k = sp.symbols("i j k", integer=True)

J = sp.ImmutableMatrix([[0, -1], [1, 0]])
I2 = sp.ImmutableMatrix(sp.eye(2))

# Plane rotations by Pythagorean angles: rational, and no power of one is the identity.
C3 = sp.ImmutableMatrix([[3, -4], [4, 3]]) / 5
C5 = sp.ImmutableMatrix([[5, -12], [12, 5]]) / 13


def rotation(angle: Any) -> sp.ImmutableMatrix:
    """R(t) = [[cos t, −sin t], [sin t, cos t]]."""
    return sp.ImmutableMatrix([[sp.cos(angle), -sp.sin(angle)], [sp.sin(angle), sp.cos(angle)]])


def block_rotation(angles: Any) -> sp.ImmutableMatrix:
    """blockdiag(R(t_0), …, R(t_{N−1})): the matrix of RoPE in the interleaved layout, for the angles t_i = m θ_i.

    Raises:
        ValueError: no angle is given.
    """
    angles = list(angles)
    if not angles:
        raise ValueError("angles must name at least one plane, got none")
    return sp.ImmutableMatrix(sp.diag(*(rotation(a) for a in angles)))


def norm2(v: sp.MatrixBase) -> sp.Expr:
    return (v.T * v)[0, 0]


def commutator(a: sp.MatrixBase, b: sp.MatrixBase) -> sp.ImmutableMatrix:
    return sp.ImmutableMatrix(a * b - b * a)


def integer_skew(d: int, seed: int = 1) -> sp.ImmutableMatrix:
    """An antisymmetric test matrix with entries ±1 … ±5 off the diagonal, from a linear congruential sequence."""
    state, rows = seed, sp.zeros(d, d)
    for a in range(d):
        for b in range(a):
            state = (1103515245 * state + 12345) % 2**31
            value = ((state >> 16) % 5 + 1) * (1 if (state >> 8) % 2 else -1)
            rows[a, b], rows[b, a] = value, -value
    return sp.ImmutableMatrix(rows)


def exact_square(value: Any, name: str) -> sp.ImmutableMatrix:
    """A square matrix with exact real entries.

    Raises:
        ValueError: it is no matrix, not square, or has an inexact, infinite or complex entry.
    """
    try:
        rows = value.tolist() if hasattr(value, "tolist") else [list(row) for row in value]
    except TypeError as error:
        raise ValueError(f"{name} must be a matrix, got {value!r}") from error
    lengths = [len(row) for row in rows]
    if not rows or any(length != len(rows) for length in lengths):
        raise ValueError(f"{name} must be square and not empty, got rows of lengths {lengths}")
    return sp.ImmutableMatrix(
        [[_exact(e, f"{name}[{a}, {b}]") for b, e in enumerate(row)] for a, row in enumerate(rows)]
    )


def _exact(value: Any, name: str) -> sp.Expr:
    if isinstance(value, Fraction):
        return Rational(value.numerator, value.denominator)
    if isinstance(value, bool) or not isinstance(value, (int, sp.Expr)):
        raise ValueError(f"{name} must be exact (int, Fraction or a SymPy expression), got {value!r}")
    found = sp.sympify(value)
    if found.has(sp.Float, sp.nan, sp.oo, sp.zoo):
        raise ValueError(f"{name} must be exact and finite, got {value!r}")
    if found.is_real is not True:
        raise ValueError(f"{name} must be real, got {value!r}")
    return found


def antisymmetric(value: Any, name: str) -> sp.ImmutableMatrix:
    """As `exact_square`, for a generator of rotations.

    Raises:
        ValueError: also if the matrix isn't antisymmetric; the message shows B + Bᵀ.
    """
    found = exact_square(value, name)
    excess = (found + found.T).applyfunc(sp.expand)
    if any(e != 0 for e in excess):
        raise ValueError(f"{name} must be antisymmetric, but {name} + {name}ᵀ = {excess.tolist()}")
    return found
