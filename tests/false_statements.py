"""True statements and what a small change makes of them: the material of the soundness run.

Each family returns (true statement, false statement). The false one differs by a term that is non-zero by
construction: a rational ε, down to 10^-40, times a monomial or a kernel, or a bound shifted beyond an attained value.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import sympy as sp
from sympy import Abs, Max, Min, Rational, conjugate, cos, cosh, exp, log, sin, sinh, sqrt, tan

from kexue.engines.gram import Gram
from kexue.statements import ForAll, Identity, OperatorIdentity, Statement

x, y, z, t = sp.symbols("x y z t", real=True)
n = sp.Symbol("n", integer=True)
w = sp.Symbol("w", complex=True)
REALS = (x, y, z, t)

Pair = tuple[Statement, Statement]


def number(r: random.Random, largest: int = 9) -> sp.Rational:
    return Rational(r.choice((-1, 1)) * r.randint(1, largest), r.randint(1, largest))


def epsilon(r: random.Random) -> sp.Rational:
    """A perturbation: of any size from 1 down to 10^-40."""
    return Rational(r.choice((-1, 1)) * r.randint(1, 9), 10 ** r.choice((0, 0, 1, 3, 6, 12, 20, 30, 40)))


def monomial(r: random.Random) -> sp.Expr:
    return sp.Mul(*(s ** r.randint(0, 2) for s in REALS[: r.randint(1, 3)]))


def polynomial(r: random.Random, terms: int = 3) -> sp.Expr:
    return sp.Add(*(number(r) * monomial(r) for _ in range(terms))) + r.randint(1, 5)


def products(r: random.Random) -> Pair:
    p, q = polynomial(r), polynomial(r, 2)
    right = sp.expand(p * q)
    return Identity(p * q, right), Identity(p * q, right + epsilon(r) * monomial(r))


def powers_of_sums(r: random.Random) -> Pair:
    k, a, b = r.randint(2, 6), number(r), number(r)
    left = (a * x + b * y) ** k
    right = sp.Add(*(sp.binomial(k, j) * (a * x) ** j * (b * y) ** (k - j) for j in range(k + 1)))
    return Identity(left, right), Identity(left, right + epsilon(r) * x ** r.randint(0, k))


def fractions(r: random.Random) -> Pair:
    a, b = r.randint(1, 9), r.randint(1, 9)
    left = 1 / ((x**2 + a) * (y**2 + b))
    right = (1 / (x**2 + a)) * (1 / (y**2 + b))
    one = sp.Mul(x**2 + a, 1 / (x**2 + a), evaluate=False)
    return Identity(left * one, right), Identity(left * one, right + epsilon(r) * y)


def angles(r: random.Random) -> Pair:
    a, b = number(r), number(r)
    f, g = sp.sin, sp.cos
    left = sin(a * x + b * y)
    right = f(a * x) * g(b * y) + g(a * x) * f(b * y)
    wrong = right + epsilon(r) * r.choice((sin(x), cos(y), x, sp.S.One))
    return Identity(left, right), Identity(left, wrong)


def multiple_angles(r: random.Random) -> Pair:
    k = r.randint(2, 7)
    right = sp.chebyshevt(k, cos(x))
    return Identity(cos(k * x), right), Identity(cos(k * x), right + epsilon(r) * cos(x) ** r.randint(0, 3))


def tangents(r: random.Random) -> Pair:
    nonzero = [sp.Ne(cos(x), 0)]
    left, right = tan(x) ** 2 + 1, 1 / cos(x) ** 2
    return Identity(left, right, nonzero), Identity(left, right + epsilon(r), nonzero)


def hyperbolic(r: random.Random) -> Pair:
    a = number(r)
    left = cosh(a * x) ** 2 - sinh(a * x) ** 2
    e = epsilon(r)
    return Identity(left, 1), Identity(left, 1 + e * r.choice((x, exp(x), sinh(x), sp.S.One)))


def exponentials(r: random.Random) -> Pair:
    a, b, k = number(r), number(r), r.randint(2, 4)
    left = exp(a * x + b * y) ** k
    right = exp(k * a * x) * exp(k * b * y)
    return Identity(left, right), Identity(left, right * (1 + epsilon(r)))


def roots(r: random.Random) -> Pair:
    a = r.randint(1, 9)
    left = (sqrt(x**2 + a) + y) * (sqrt(x**2 + a) - y)
    right = x**2 + a - y**2
    return Identity(left, right), Identity(left, right + epsilon(r) * r.choice((sqrt(x**2 + a), x, sp.S.One)))


def root_constants(r: random.Random) -> Pair:
    p, q = r.sample([2, 3, 5, 6, 7, 10, 11], 2)
    k = r.randint(2, 5)
    left = (sqrt(p) + sqrt(q)) ** (2 * k)
    right = sp.expand((p + q + 2 * sqrt(p) * sqrt(q)) ** k)
    return Identity(left, right), Identity(left, right + epsilon(r))


def real_roots(r: random.Random) -> Pair:
    domain = [x >= 0, y >= 0]
    left, right = (sqrt(x) + sqrt(y)) ** 2, x + y + 2 * sqrt(x * y)
    return Identity(left, right, domain), Identity(left, right + epsilon(r) * r.choice((sqrt(x), y, sp.S.One)), domain)


def logarithms(r: random.Random) -> Pair:
    a, b = r.randint(1, 9), r.randint(1, 9)
    domain = [x > 0, y > 0]
    left, right = log(x**a * y**b), a * log(x) + b * log(y)
    return Identity(left, right, domain), Identity(left, right + epsilon(r) * r.choice((log(x), x, sp.S.One)), domain)


def absolute_values(r: random.Random) -> Pair:
    left = Max(x, y) - Min(x, y)
    right = Abs(x - y)
    return Identity(left, right), Identity(left, right + epsilon(r) * r.choice((x, Abs(y), sp.S.One)))


def integer_powers(r: random.Random) -> Pair:
    b = r.randint(2, 9)
    left = sp.Integer(b) ** (n + 1) + (-1) ** (2 * n)
    right = b * sp.Integer(b) ** n + 1
    return Identity(left, right), Identity(
        left, right + epsilon(r) * r.choice((sp.Integer(b) ** n, n**2 + 1, sp.S.One))
    )


def complex_numbers(r: random.Random) -> Pair:
    a = number(r)
    left = (w + sp.I * a) * conjugate(w + sp.I * a)
    right = Abs(w) ** 2 + a**2 + sp.I * a * (conjugate(w) - w)
    return Identity(left, right), Identity(left, right + epsilon(r) * r.choice((w, conjugate(w), sp.I, sp.S.One)))


def matrices(r: random.Random) -> Pair:
    m = sp.Matrix(2, 2, lambda i, j: number(r) * r.choice(REALS) + r.randint(0, 3))
    product = m * m.adjugate()
    right = m.det() * sp.eye(2)
    wrong = right.copy()
    wrong[r.randint(0, 1), r.randint(0, 1)] += epsilon(r)
    return Identity(product, right), Identity(product, wrong)


def sums_of_squares(r: random.Random) -> Pair:
    """Σ (linear form)² ≥ 0, where all forms vanish at one point, so that no ε can be taken off."""
    p, q = number(r), number(r)
    total = sp.S.Zero
    for _ in range(2):
        total += (number(r) * (x - p) + number(r) * (y - q)) ** 2
    total = sp.expand(total)
    return ForAll(sp.Ge(total, 0, evaluate=False)), ForAll(sp.Ge(total, abs(epsilon(r)), evaluate=False))


def means(r: random.Random) -> Pair:
    domain = [x >= 0, y >= 0]
    a = r.randint(1, 5)
    left, right = a * sqrt(x * y), a * (x + y) / 2
    return ForAll(left <= right, domain), ForAll(left + abs(epsilon(r)) <= right, domain)


def extremes(r: random.Random) -> Pair:
    k = Rational(r.randint(1, 9), 10)
    middle = k * x + (1 - k) * y
    left = Min(x, y)
    return ForAll(left <= middle), ForAll(left + abs(epsilon(r)) <= middle)


def reciprocals(r: random.Random) -> Pair:
    a = r.randint(1, 9)
    domain = [x > 0]
    return ForAll(x + a**2 / x >= 2 * a, domain), ForAll(x + a**2 / x >= 2 * a + abs(epsilon(r)), domain)


def discriminants(r: random.Random) -> Pair:
    k = r.randint(1, 9)
    good = sp.Implies(y**2 < 4 * k * z, k * x**2 + y * x + z > 0)
    bad = sp.Implies(y**2 < 4 * k * z + abs(epsilon(r)), k * x**2 + y * x + z > 0)
    return ForAll(good), ForAll(bad)


c = sp.Symbol("c", real=True)
PLANE = Gram("a b", [[1, c], [c, 1]])


def rotations(r: random.Random) -> Pair:
    a, b = PLANE.vectors()
    one = PLANE.identity
    turn = one + 2 * b.outer(a) - (a + b).outer(a + b) / (1 + c)
    domain = [sp.Ne(c, -1), c**2 <= 1]
    e = epsilon(r)
    wrong = r.choice((one + e * a.outer(b), (1 + e) * one, one + e * (b.outer(a) + a.outer(a))))
    return OperatorIdentity(turn.T @ turn, one, domain), OperatorIdentity(turn.T @ turn, wrong, domain)


def operators(r: random.Random) -> Pair:
    a, b = PLANE.vectors()

    def some() -> Any:
        u, v = number(r) * a + number(r) * b, number(r) * a - number(r) * b
        return number(r) * PLANE.identity + u.outer(v)

    p, q = some(), some()
    domain = [c**2 < 1]
    right = q.T @ p.T
    wrong = right + epsilon(r) * r.choice((a.outer(b), b.outer(b), PLANE.identity))
    return OperatorIdentity((p @ q).T, right, domain), OperatorIdentity((p @ q).T, wrong, domain)


IDENTITIES: tuple[Callable[[random.Random], Pair], ...] = (
    products, powers_of_sums, fractions, angles, multiple_angles, tangents, hyperbolic, exponentials, roots,
    root_constants, real_roots, logarithms, absolute_values, integer_powers, complex_numbers, matrices,
)  # fmt: skip
INEQUALITIES: tuple[Callable[[random.Random], Pair], ...] = (
    sums_of_squares, means, extremes, reciprocals, discriminants,
)  # fmt: skip
OPERATORS: tuple[Callable[[random.Random], Pair], ...] = (rotations, operators)
FAMILIES = (*IDENTITIES, *INEQUALITIES, *OPERATORS)
