"""Symbols and small exact tools that several files of flows share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import Rational, exp, log, pi, sqrt

x, y, z, h, t, r, s, a, b, v, alpha, epsilon = sp.symbols("x y z h t r s a b v alpha epsilon", real=True)
mu, sigma, T, L = sp.symbols("mu sigma T L", real=True)
x1, x2, x3, x4 = X = sp.symbols("x1:5", real=True)
n = sp.Symbol("n", integer=True)

Rows = list[list[Fraction]]


def phi(u: Any) -> sp.Expr:
    """The density of N(0, 1)."""
    return exp(-(u**2) / 2) / sqrt(2 * pi)


def Phi(u: Any) -> sp.Expr:
    """The distribution function of N(0, 1)."""
    return (1 + sp.erf(u / sqrt(2))) / 2


def log_normal(u: Any, mean: Any = 0, deviation: Any = 1) -> sp.Expr:
    """The log-density of N(mean, deviation²) at u."""
    return -log(2 * pi) / 2 - log(deviation) - (u - mean) ** 2 / (2 * deviation**2)


def jacobian(outputs: Sequence[Any], inputs: Sequence[Any]) -> sp.Matrix:
    return sp.Matrix(list(outputs)).jacobian(list(inputs))


def product(A: Any, B: Any) -> Rows:
    """The product of two matrices given by rows."""
    return [[sum((p * q for p, q in zip(row, column, strict=True)), Fraction(0)) for column in zip(*B, strict=True)]
            for row in A]  # fmt: skip


def determinant(A: Any) -> Fraction:
    """By cofactors along the first row: independent of any elimination."""
    if len(A) == 1:
        return Fraction(A[0][0])
    minors = ([row[:j] + row[j + 1 :] for row in (list(r) for r in A[1:])] for j in range(len(A)))
    return sum(((-1) ** j * A[0][j] * determinant(m) for j, m in enumerate(minors) if A[0][j]), Fraction(0))


HALF = Rational(1, 2)
