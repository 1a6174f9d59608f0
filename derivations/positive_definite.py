r"""Positive definite matrices by the discriminant of a quadratic.

Su Jianlin, 《用二次方程判别式判断正定矩阵》, Scientific Spaces, 2013-12-24. No paper underlies it.

A form $q(x) = x^\top A x$ is a quadratic in $x_1$ whose coefficients depend on $y = (x_2, \dots, x_n)$. With $A =
\begin{pmatrix} a & b^\top \\ b & C \end{pmatrix}$, $\beta = b^\top y$ and $\gamma = y^\top C y$ it reads $q = a X^2 +
2\beta X + \gamma$, and its quarter discriminant $\beta^2 - a\gamma$ is itself a quadratic form in $y$. So q is
positive definite iff a > 0 and $aC - bb^\top$ is: a recursion that ends at one variable.

Notation: $A_1 = A$, $A_{k+1} = (aC - bb^\top)(A_k)$, $d_k$ is the leading entry of $A_k$, $\Delta_k$ the leading
minor of A of order k, $p_k = \Delta_k/\Delta_{k-1}$ the pivot of the elimination with division (LDLᵀ).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, permutations, product
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat, fmpz_mat
from sympy import And, Eq, Equivalent, Implies, Ne, Or, Rational, conjugate, discriminant, sqrt

from kexue import (
    All,
    Counts,
    Exists,
    ForAll,
    ForEach,
    Identity,
    Induction,
    Integral,
    Witnesses,
    Words,
    claim,
    letters,
    mutant,
)

a, b, c, X, beta, gamma = sp.symbols("a b c X beta gamma", real=True)
u, v, w, lam = sp.symbols("u v w lambda", real=True)
x1, x2, x3 = sp.symbols("x1 x2 x3", real=True)

Matrix = Sequence[Sequence[Any]]


# The recursion and its rivals, on exact matrices


def next_form(m: Matrix) -> list[list[Any]]:
    """aC − bbᵀ: minus the quarter discriminant in the first variable, as a matrix in the others."""
    n = len(m)
    return [[m[0][0] * m[i][j] - m[0][i] * m[0][j] for j in range(1, n)] for i in range(1, n)]


def discriminant_pivots(m: Matrix) -> list[Any]:
    """d_1, …, d_n: the leading entries of A_1, A_2, …, without division."""
    found = []
    while m:
        found.append(m[0][0])
        m = next_form(m)
    return found


def is_positive_definite(m: Matrix) -> bool:
    """The article's test: every leading entry of the recursion is positive (the empty form is positive definite)."""
    while m:
        if m[0][0] <= 0:
            return False
        m = next_form(m)
    return True


def is_positive_semidefinite(m: Matrix) -> bool:
    """The recursion for ≥ 0, in which a = 0 asks that b = 0 and that C is positive semidefinite."""
    while m:
        if m[0][0] < 0 or (m[0][0] == 0 and any(m[0])):
            return False
        m = next_form(m) if m[0][0] else [row[1:] for row in m[1:]]
    return True


def leading_minors(m: Matrix) -> list[int]:
    return [int(fmpz_mat([list(row[:k]) for row in m[:k]]).det()) for k in range(1, len(m) + 1)]


def eigenvalue_signs(m: Matrix) -> tuple[int, int, int]:
    """Numbers of positive, zero and negative eigenvalues, from the characteristic polynomial.

    All its roots are real, so Descartes' rule of signs counts the positive ones exactly.
    """
    if all(isinstance(x, int) for row in m for x in row):
        coefficients = fmpz_mat([list(row) for row in m]).charpoly().coeffs()
    else:
        coefficients = fmpq_mat([[fmpq(x.numerator, x.denominator) for x in row] for row in m]).charpoly().coeffs()
    zero = next(i for i, x in enumerate(coefficients) if x != 0)
    signs = [x > 0 for x in coefficients if x != 0]
    positive = sum(s != t for s, t in pairwise(signs))
    return positive, zero, len(m) - zero - positive


def symmetric_matrices(n: int, entries: Sequence[int]) -> Iterator[list[list[int]]]:
    """All symmetric n×n matrices with the given entries."""
    places = [(i, j) for i in range(n) for j in range(i, n)]
    for values in product(entries, repeat=len(places)):
        m = [[0] * n for _ in range(n)]
        for (i, j), value in zip(places, values, strict=True):
            m[i][j] = m[j][i] = value
        yield m


def integer_gram_matrix(n: int, seed: int = 1) -> list[list[int]]:
    """B Bᵀ + I with |entries of B| ≤ 9 from a linear congruential sequence: a positive definite test matrix."""
    state, rows = seed, []
    for _ in range(n):
        row = []
        for _ in range(n):
            state = (1103515245 * state + 12345) % 2**31
            row.append((state >> 16) % 19 - 9)
        rows.append(row)
    return [
        [sum(p * q for p, q in zip(r, s, strict=True)) + (i == j) for j, s in enumerate(rows)]
        for i, r in enumerate(rows)
    ]


def bareiss_pivots(m: Matrix) -> list[int]:
    """The pivots of fraction-free elimination: each step is divided exactly by the pivot before the last."""
    found, before = [], 1
    while m:
        found.append(m[0][0])
        m = [[x // before for x in row] for row in next_form(m)]
        before = found[-1]
    return found


SMALL = tuple(range(-2, 3))
SMALL_TEXT = "all 15625 symmetric 3×3 matrices with entries in {−2, …, 2}"
GENERIC = {n: sp.Matrix(n, n, lambda i, j: sp.Symbol(f"a{min(i, j) + 1}{max(i, j) + 1}", real=True)) for n in (2, 3, 4)}


def minor(m: sp.Matrix, k: int) -> sp.Expr:
    return m[:k, :k].det(method="berkowitz") if k else sp.S.One


def characteristic(m: sp.Matrix) -> sp.Expr:
    return (lam * sp.eye(m.rows) - m).det(method="berkowitz")


# A certificate for everybody


@dataclass(frozen=True)
class PDResult:
    """What `pd_certificate` returns.

    verdict: True, False, or None for a matrix with symbols, whose positive definiteness is the positivity of all
        `conditions` (the leading minors).
    pivots: p_k of the elimination with division, as far as it went.
    sos: pairs (p_k, linear form) with q = Σ p_k·form²; complete when the verdict is True.
    witness: a vector x ≠ 0 with q(x) ≤ 0 when the verdict is False.
    """

    verdict: bool | None
    pivots: tuple[Any, ...] = ()
    sos: tuple[tuple[Any, sp.Expr], ...] = ()
    witness: tuple[Any, ...] | None = None
    conditions: tuple[sp.Expr, ...] = ()
    variables: tuple[sp.Symbol, ...] = field(default=(), repr=False)


def matrix_of_form(form: sp.Expr, variables: Sequence[sp.Symbol]) -> sp.Matrix:
    """The symmetric matrix of a quadratic form: half the coefficient of x_i x_j off the diagonal.

    Raises:
        ValueError: the polynomial is not homogeneous of degree 2 in `variables`.
    """
    poly = sp.Poly(form, *variables)
    for monomial in poly.monoms():
        if sum(monomial) != 2:
            raise ValueError(f"form must be homogeneous of degree 2 in {tuple(variables)}, got the term {monomial}")
    return sp.Matrix(len(variables), len(variables), lambda i, j: sp.diff(form, variables[i], variables[j]) / 2)


def pd_certificate(A: Any, variables: Sequence[sp.Symbol] | None = None) -> PDResult:
    """Decides positive definiteness exactly and returns evidence that anybody can check.

    Args:
        A: a symmetric matrix (nested sequences or SymPy) with int, Fraction or exact SymPy entries, or a quadratic
            form together with its `variables`.

    Raises:
        ValueError: A is not square, not symmetric, not exact, or not a homogeneous quadratic form; symbols in it must
            be declared real.
    """
    if isinstance(A, sp.Expr) and not isinstance(A, sp.MatrixBase):
        if not variables:
            raise ValueError(f"variables must name the variables of the form {A}, got none")
        A = matrix_of_form(A, variables)
    m = _exact_symmetric(A)
    n = m.rows
    names = tuple(variables) if variables else sp.symbols(f"x1:{n + 1}", real=True)
    if m.free_symbols:
        return PDResult(None, conditions=tuple(sp.factor(minor(m, k)) for k in range(1, n + 1)), variables=names)
    pivots: list[Any] = []
    sos: list[tuple[Any, sp.Expr]] = []
    steps: list[sp.Matrix] = []  # row k: (0, …, 0, 1, l_{k,k+1}, …, l_{k,n})
    rest = m
    for k in range(n):
        p = sp.nsimplify(rest[0, 0]) if rest[0, 0].is_Rational else sp.radsimp(rest[0, 0])
        pivots.append(p)
        if not _certainly_positive(p):
            return PDResult(False, tuple(pivots), tuple(sos), _witness(steps, k, n), variables=names)
        row = rest[0, :] / p
        steps.append(sp.Matrix([[0] * k + list(row)]))
        sos.append((p, sum((steps[-1][j] * names[j] for j in range(k, n)), sp.S.Zero)))
        rest = rest[1:, 1:] - rest[1:, 0] * row[:, 1:]
    q = (sp.Matrix([names]) * m * sp.Matrix(names))[0]
    difference = sp.expand(sum((p * form**2 for p, form in sos), sp.S.Zero) - q)
    if sp.radsimp(difference) != 0:
        raise AssertionError(f"the sum of squares differs from the form by {difference}")
    return PDResult(True, tuple(pivots), tuple(sos), variables=names)


def _exact_symmetric(A: Any) -> sp.ImmutableMatrix:
    rows = A.tolist() if isinstance(A, sp.MatrixBase) else [list(row) for row in A]
    if any(len(row) != len(rows) for row in rows):
        raise ValueError(f"A must be square, got rows of lengths {[len(row) for row in rows]}")
    for i, row in enumerate(rows):
        for j, x in enumerate(row):
            if isinstance(x, (float, complex)) or (isinstance(x, sp.Basic) and x.has(sp.Float, sp.nan, sp.oo, sp.zoo)):
                raise ValueError(f"A[{i}, {j}] must be exact and finite, got {x!r}")
            if isinstance(x, sp.Basic) and any(s.is_real is not True for s in x.free_symbols):
                raise ValueError(f"the symbols of A[{i}, {j}] = {x} must be declared real=True")
            if isinstance(x, sp.Basic) and x.has(sp.I):
                raise ValueError(f"A[{i}, {j}] must be real, got {x}")
    exact = [
        [sp.Rational(x.numerator, x.denominator) if isinstance(x, Fraction) else sp.sympify(x) for x in r] for r in rows
    ]
    m = sp.ImmutableMatrix(len(exact), len(exact), [x for row in exact for x in row])
    for i in range(m.rows):
        for j in range(i):
            if sp.expand(m[i, j] - m[j, i]) != 0:
                raise ValueError(f"A must be symmetric, got A[{i}, {j}] = {m[i, j]} and A[{j}, {i}] = {m[j, i]}")
    return m


def _certainly_positive(p: sp.Expr) -> bool:
    positive = p.is_positive
    if positive is None:
        raise ValueError(f"can't decide the sign of the pivot {p}")
    return bool(positive)


def _witness(steps: list[sp.Matrix], k: int, n: int) -> tuple[Any, ...]:
    """x with x_k = 1, x_j = 0 for j > k, and all earlier linear forms equal to 0: then q(x) is the pivot p_k ≤ 0."""
    x = [sp.S.Zero] * n
    x[k] = sp.S.One
    for i in reversed(range(k)):
        x[i] = sp.nsimplify(-sum(steps[i][j] * x[j] for j in range(i + 1, n)))
    return tuple(x)


# The statements, in the article's order


@claim(mutants=[dict(half=1), dict(second=1)])
def symmetric_part(half=Rational(1, 2), second=-1):
    r"""$x^\top M x = x^\top \tfrac{M + M^\top}{2} x$ for every n: definiteness is a property of the symmetric part.

    So eigenvalues of a non-symmetric M decide nothing: $\begin{pmatrix}1&4\\0&1\end{pmatrix}$ has the eigenvalues 1, 1
    and takes the value −2 at (1, −1). The rule used is that a 1×1 matrix equals its transpose.
    """
    M, x = letters("M x")
    model = {"M": [[1, 4], [0, 1]], "x": [[1], [second]]}
    m = sp.Matrix([[1, 4], [0, 1]])
    value = (sp.Matrix([[1, X]]) * m * sp.Matrix([1, X]))[0]
    return (
        Words(x.T * half * (M + M.T) * x, x.T * M * x, [(x.T * M.T * x, x.T * M * x)], model=model),
        Exists(And(value < 0, Eq(characteristic(m), (lam - 1) ** 2)), {X: second, lam: 7}),
    )


@claim(mutants=[dict(negative=lambda D: D <= 0), dict(positive=lambda e: e >= 0)])
def univariate(negative=lambda D: D < 0, positive=lambda e: e > 0):
    r"""For real $a \ne 0$: $at^2 + 2bt + c > 0$ for all t iff $a > 0$ and $b^2 - ac < 0$.

    For a = 0 it holds for all t iff b = 0 and c > 0.
    """
    t = X
    return (
        ForAll(Equivalent(All(t, a * t**2 + 2 * b * t + c > 0), And(a > 0, negative(b**2 - a * c))), [Ne(a, 0)]),
        ForAll(Equivalent(All(t, 2 * b * t + c > 0), And(Eq(b, 0), positive(c)))),
    )


@claim(mutants=[dict(sign=-1)])
def completing_square(sign=1):
    r"""$a\,q = (aX + \beta)^2 + (a\gamma - \beta^2)$ with $\beta = b^\top y$, $\gamma = y^\top C y$: for every n."""
    q = a * X**2 + 2 * X * beta + gamma
    return Identity(a * q, (a * X + beta) ** 2 + (a * gamma - sign * beta**2))


@claim(
    mutants=[
        dict(condition=lambda a, D: D > 0, test=lambda m: is_positive_definite(next_form(m))),
        dict(at_zero=lambda a: a >= 0),
    ]
)
def recursion(condition=lambda a, D: And(a > 0, D > 0), at_zero=lambda a: a > 0, test=is_positive_definite):
    r"""q is positive definite iff $a > 0$ and $aC - bb^\top$ is positive definite (n = 1: iff a > 0).

    For every n: fix $y \ne 0$, then $aX^2 + 2\beta X + \gamma > 0$ for all X iff a > 0 and $a\gamma - \beta^2 > 0$; for
    y = 0 what is left is $aX^2 > 0$ for $X \ne 0$. Also compared with the signs of the eigenvalues on all 15625
    symmetric 3×3 matrices with entries in {−2, …, 2}. Without a > 0, −I would pass.
    """
    q = a * X**2 + 2 * beta * X + gamma
    return Witnesses(
        (
            ForAll(Equivalent(All(X, q > 0), condition(a, a * gamma - beta**2)), [Ne(a, 0)]),
            ForAll(Equivalent(All(X, Implies(Ne(X, 0), a * X**2 > 0)), at_zero(a))),
        ),
        ForEach(symmetric_matrices(3, SMALL), lambda m: (test(m), eigenvalue_signs(m)[0] == 3), over=SMALL_TEXT),
    )


@claim(mutants=[dict(lift=-2, last=2)])
def witness(lift=-1, last=1):
    r"""If the recursion fails, some $x \ne 0$ with $q(x) \le 0$ can be constructed.

    $a \le 0$ gives $e_1$; else y with $y^\top S y \le 0$ lifts to $x = (-b^\top y/a, y)$, and $q(x) = y^\top S y$
    exactly, where $S = C - bb^\top/a$. The certificate's witness is checked on every matrix of the list that is not
    positive definite. """
    at = lift * beta / a

    def value(m: Matrix) -> tuple[bool, bool]:
        x = pd_certificate(m).witness
        assert x is not None
        x = (*x[:-1], x[-1] * last) if x[-1] == 1 else x
        q = sum(m[i][j] * x[i] * x[j] for i in range(len(m)) for j in range(len(m)))
        return bool(any(x) and q <= 0), True

    cases = (m for m in symmetric_matrices(3, (-1, 0, 1)) if not is_positive_definite(m))
    return (
        Identity(a * at**2 + 2 * beta * at + gamma, gamma - beta**2 / a, [Ne(a, 0)]),
        ForEach(
            cases, value, over="all symmetric 3×3 matrices with entries in {−1, 0, 1} that are not positive definite"
        ),
    )


@claim(mutants=[dict(cross=-3)])
def example_1(cross=-2):
    r"""$2x_1^2 + x_2^2 - 2x_1x_2$ is positive definite: its discriminant in $x_1$ is $-4x_2^2$; it is $x_1^2 + (x_2 -
    x_1)^2$.
    """
    q = 2 * x1**2 + x2**2 + cross * x1 * x2
    return (
        Identity(discriminant(q, x1), -4 * x2**2),
        Identity(q, x1**2 + (x2 - x1) ** 2),
    )


@claim(mutants=[dict(cross=-12)])
def example_2(cross=-8):
    r"""$5x_1^2 + x_2^2 + 5x_3^2 + 4x_1x_2 - 8x_1x_3 - 4x_2x_3$ is positive definite.

    Its discriminant in $x_1$ is $-4x_2^2 + 16x_2x_3 - 36x_3^2$, whose own discriminant in $x_2$ is $-320x_3^2$.
    Leading minors 5, 1, 1; characteristic polynomial $\lambda^3 - 11\lambda^2 + 11\lambda - 1$; two sums of squares;
    and the nicest elimination starts with $x_2$. """
    q = 5 * x1**2 + x2**2 + 5 * x3**2 + 4 * x1 * x2 + cross * x1 * x3 - 4 * x2 * x3
    m = matrix_of_form(q, (x1, x2, x3))
    first = discriminant(q, x1)
    return (
        ForAll(q > 0, [Ne(x1**2 + x2**2 + x3**2, 0)]),
        Identity(first, -4 * x2**2 + 16 * x2 * x3 - 36 * x3**2),
        Identity(discriminant(first, x2), -320 * x3**2),
        Identity(discriminant(q, x2), -4 * x1**2 - 4 * x3**2),
        Identity(minor(m, 3), 1),
        Identity(characteristic(m), lam**3 - 11 * lam**2 + 11 * lam - 1),
        Identity(q, (x2 + 2 * x1 - 2 * x3) ** 2 + x1**2 + x3**2),
        Identity(q, 5 * (x1 + (2 * x2 - 4 * x3) / 5) ** 2 + (x2 - 2 * x3) ** 2 / 5 + x3**2),
    )


def _in_every_order(m: Matrix, test: Any = is_positive_definite) -> list[bool]:
    n = len(m)
    return [test([[m[p[i]][p[j]] for j in range(n)] for i in range(n)]) for p in permutations(range(n))]


@claim(mutants=[dict(transposed=False, test=lambda m: m[0][0] > 0)])
def order_independence(transposed=True, test=is_positive_definite):
    r"""The verdict does not depend on the order of elimination: $(Px)^\top (PAP^\top)(Px) = x^\top A x$ for every n."""
    P, A, x = letters("P A x")
    model = {
        "P": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        "A": [[2, 1, 0], [1, 3, 1], [0, 1, 4]],
        "x": [[1], [2], [3]],
    }
    moved = P * A * (P.T if transposed else P)
    return Witnesses(
        Words((P * x).T * moved * (P * x), x.T * A * x, [(P.T * P, 1)], model=model),
        ForEach(
            symmetric_matrices(3, (-1, 0, 1)),
            lambda m: (_in_every_order(m, test), [eigenvalue_signs(m)[0] == 3] * 6),
            over="all symmetric 3×3 matrices with entries in {−1, 0, 1}, in all 6 orders",
        ),
    )


def _ldl_form(m: sp.Matrix, xs: Sequence[sp.Symbol], power: int) -> sp.Expr:
    """Σ p_k (x_k + Σ_{j>k} l_jk x_j)² from the leading minors of m and their bordered companions."""
    n, total = m.rows, sp.S.Zero
    for k in range(n):
        pivot = minor(m, k + 1) / minor(m, k)
        form = sp.S.Zero
        for j in range(k, n):
            rows, columns = list(range(k + 1)), [*range(k), j]
            form += m.extract(rows, columns).det(method="berkowitz") / minor(m, k + 1) * xs[j]
        total += pivot * form**power
    return total


@claim(mutants=[dict(scale=a**2, power=1)])
def schur(scale=a, power=2):
    r"""$aC - bb^\top = a\,S$ with the Schur complement $S = C - bb^\top/a$ (every n), and $q = \sum_k p_k (x_k +
    \sum_{j>k} l_{jk} x_j)^2$.

    The pivots of the divided recursion are $p_k = \Delta_k/\Delta_{k-1}$, and the $l_{jk}$ are quotients of bordered
    minors (LDLᵀ); checked for the generic symmetric 3×3 matrix.
    """
    C, column = letters("C b")
    model = {"C": [[2, 1], [1, 3]], "b": [[1], [2]], a: 2}
    schur_complement = C - column * column.T * (1 / a)
    m, xs = GENERIC[3], (x1, x2, x3)
    q = (sp.Matrix([xs]) * m * sp.Matrix(xs))[0]
    return (
        Words(a * C - column * column.T, scale * schur_complement, model=model, given=[Ne(a, 0)]),
        Identity(q, _ldl_form(m, xs, power), [Ne(minor(m, k), 0) for k in (1, 2, 3)]),
    )


@claim(mutants=[dict(exponent=lambda r: r)])
def chio(exponent=lambda r: r - 1):
    r"""$\Delta_r(A_{k+1}) = d_k^{\,r-1} \Delta_{r+1}(A_k)$ (Chio's condensation).

    Proved for the generic symmetric 4×4 matrix, r ≤ 3, and compared on an integer 8×8 matrix for all k and r.
    """
    m = GENERIC[4]
    after = sp.Matrix(next_form(m.tolist()))
    parts = [Identity(minor(after, r), m[0, 0] ** exponent(r) * minor(m, r + 1)) for r in (1, 2, 3)]

    def both(case: tuple[int, int]) -> tuple[int, int]:
        k, r = case
        form: Matrix = integer_gram_matrix(8)
        for _ in range(k):
            form = next_form(form)
        return leading_minors(next_form(form))[r - 1], form[0][0] ** exponent(r) * leading_minors(form)[r]

    cases = [(k, r) for k in range(5) for r in range(1, 8 - k)]
    return (*parts, ForEach(cases, both, over="an integer 8×8 matrix, k ≤ 5"))


def _naive_pivot(minors: Sequence[Any], k: int, exponent: Any) -> Any:
    """d_k from the minors, by the formula (k counts from 1)."""
    found: list[Any] = []
    for i in range(1, k + 1):
        value = minors[i - 1]
        for j in range(1, i - 1):
            value = value * found[j - 1] ** exponent(i, j)
        found.append(value)
    return found[-1]


@claim(mutants=[dict(exponent=lambda k, j: 0), dict(threshold=-1)])
def naive_pivots(exponent=lambda k, j: k - 1 - j, threshold=0):
    r"""$d_k = \Delta_k \prod_{j=1}^{k-2} d_j^{\,k-1-j}$, hence all $d_j > 0$ iff all $\Delta_j > 0$.

    So the article's method and Sylvester's criterion are equivalent: $d_3 = \Delta_1\Delta_3$, $d_4 = d_1^2 d_2
    \Delta_4$. The formula is proved for the generic symmetric 4×4 matrix and compared on an integer 7×7 matrix; the
    step of the equivalence holds for every k, since a product of positive $d_j$ is positive. """
    m = GENERIC[4]
    minors = [minor(m, k) for k in range(1, 5)]
    pivots = discriminant_pivots(m.tolist())
    integers = integer_gram_matrix(7, seed=3)
    return (
        Identity(sp.Matrix(pivots[2:]), sp.Matrix([_naive_pivot(minors, k, exponent) for k in (3, 4)])),
        ForEach(
            range(3, 8),
            lambda k: (discriminant_pivots(integers)[k - 1], _naive_pivot(leading_minors(integers), k, exponent)),
            over="k = 3..7 for an integer 7×7 matrix",
        ),
        ForAll(Equivalent(u * v > 0, u > threshold), [v > 0]),
    )


@claim(mutants=[mutant("domain", factor=3), dict(exact=False)])
def degree_growth(factor=2, exact=True):
    r"""$d_k$ is homogeneous of degree $2^{k-1}$ in the entries, while Bareiss' pivots are the minors $\Delta_k$, of
    degree k.

    The degree doubles at each step (induction); checked on the generic 4×4 matrix scaled by λ. Bareiss' exact
    division is compared with determinants on an integer 10×10 matrix, and there the naive $d_{10}$ has more than 50
    times the bits. """
    k = sp.Symbol("k", integer=True)
    degree = sp.Function("degree")
    m = GENERIC[4]
    scaled = discriminant_pivots((lam * m).tolist())[3]
    integers = integer_gram_matrix(10)
    minors = leading_minors(integers)
    pivots = bareiss_pivots(integers) if exact else discriminant_pivots(integers)
    naive = discriminant_pivots(integers)[9].bit_length()
    return (
        Induction(k, 1, {degree(k + 1): factor * degree(k)}, {degree(1): 1}, [Eq(degree(k), 2 ** (k - 1))]),
        Identity(scaled, lam ** (factor**3) * discriminant_pivots(m.tolist())[3]),
        ForEach(range(10), lambda i: (pivots[i], minors[i]), over="the 10 pivots of an integer 10×10 matrix"),
        ForEach([10], lambda _: (naive > 50 * pivots[9].bit_length(), True), over="bits of the last pivot"),
    )


@claim(mutants=[dict(positive=lambda x: x >= 0)])
def sylvester(positive=lambda x: x > 0):
    r"""A is positive definite iff all leading minors $\Delta_1, \dots, \Delta_n$ are positive.

    z3 decides n = 2 with free entries; for n = 3 all 15625 small matrices are compared with their eigenvalues; for
    every n it follows from `naive-pivots` and `recursion`. """
    q = a * x1**2 + 2 * b * x1 * x2 + c * x2**2
    nonzero = Or(Ne(x1, 0), Ne(x2, 0))
    return (
        ForAll(Equivalent(All((x1, x2), Implies(nonzero, q > 0)), And(a > 0, positive(a * c - b**2)))),
        ForEach(
            symmetric_matrices(3, SMALL),
            lambda m: (all(positive(x) for x in leading_minors(m)), eigenvalue_signs(m)[0] == 3),
            over=SMALL_TEXT,
        ),
    )


def _signs(values: Sequence[int]) -> tuple[int, int]:
    return sum(x > 0 for x in values), sum(x < 0 for x in values)


@claim(mutants=[dict(numbers=discriminant_pivots)])
def eigen_inertia(numbers=lambda m: [p * q for p, q in zip(leading_minors(m), [1, *leading_minors(m)], strict=False)]):
    r"""If all $d_k \ne 0$, the signs of $\Delta_k/\Delta_{k-1}$ are those of the eigenvalues (Jacobi); the signs of
    $d_k$ are not.

    diag(−1, −1) has d = (−1, +1). Compared with the eigenvalues for all small 3×3 matrices with non-zero $d_k$.
    """
    cases = (m for m in symmetric_matrices(3, SMALL) if all(discriminant_pivots(m)))
    return ForEach(
        cases,
        lambda m: (_signs(numbers(m)), eigenvalue_signs(m)[::2]),
        over="those of " + SMALL_TEXT + " with all d_k ≠ 0",
    )


@claim(mutants=[dict(sign=lambda k: 1), dict(feed=1)])
def negative_definite(sign=lambda k: (-1) ** k, feed=-1):
    r"""A is negative definite iff $-A$ is positive definite iff $(-1)^k \Delta_k > 0$ for all k."""

    def negated(m: Matrix) -> list[list[int]]:
        return [[feed * x for x in row] for row in m]

    return (
        ForEach(
            symmetric_matrices(3, SMALL),
            lambda m: (all(sign(k) * x > 0 for k, x in enumerate(leading_minors(m), 1)), eigenvalue_signs(m)[2] == 3),
            over=SMALL_TEXT,
        ),
        ForEach(
            symmetric_matrices(3, SMALL),
            lambda m: (is_positive_definite(negated(m)), eigenvalue_signs(m)[2] == 3),
            over=SMALL_TEXT,
        ),
    )


@claim(mutants=[dict(flat=lambda b, g: g >= 0, test=lambda m: all(x >= 0 for x in leading_minors(m)))])
def semidefinite_recursion(flat=lambda b, g: And(Eq(b, 0), g >= 0), test=is_positive_semidefinite):
    r"""q is positive semidefinite iff ($a > 0$ and $aC - bb^\top$ is) or ($a = 0$, $b = 0$ and C is), for every n.

    Non-negative leading minors do not suffice: they accept diag(0, −1).
    """
    q = a * X**2 + 2 * beta * X + gamma
    condition = Or(And(a > 0, a * gamma - beta**2 >= 0), And(Eq(a, 0), flat(beta, gamma)))
    return Witnesses(
        ForAll(Equivalent(All(X, q >= 0), condition)),
        ForEach(symmetric_matrices(3, SMALL), lambda m: (test(m), eigenvalue_signs(m)[2] == 0), over=SMALL_TEXT),
    )


# Costs


def _distinct(n: int, scalar: Any) -> list[list[Any]]:
    """A counting symmetric matrix without zeros, whose upper triangle only will be used."""
    return [[scalar(integer_gram_matrix(n)[i][j] or 1) for j in range(n)] for i in range(n)]


def _eliminate(n: int, scalar: Any, divided: bool = True) -> list[Any]:
    m, pivots = _distinct(n, scalar), []
    for k in range(n):
        pivots.append(m[k][k])
        for i in range(k + 1, n):
            if divided:
                ratio = m[k][i] / m[k][k]
            for j in range(i, n):
                m[i][j] = m[i][j] - ratio * m[k][j] if divided else m[k][k] * m[i][j] - m[k][i] * m[k][j]
    return pivots


@claim(mutants=[dict(mul=lambda n: math.comb(n, 3)), dict(free=lambda n: math.comb(n + 1, 3))])
def flops_recursion(mul=lambda n: math.comb(n + 1, 3), free=lambda n: 2 * math.comb(n + 1, 3)):
    r"""On n×n, the symmetric recursion costs $\binom{n+1}{3}$ multiplications and as many subtractions.

    With division it takes $n(n-1)/2$ divisions besides; without division $2\binom{n+1}{3}$ multiplications. Leading
    order $n^3/6$. """
    sizes = (2, 3, 4, 5, 8)
    return (
        Counts(
            _eliminate, sizes, {"mul": mul, "sub": lambda n: math.comb(n + 1, 3), "div": lambda n: n * (n - 1) // 2}
        ),
        Counts(
            lambda n, scalar: _eliminate(n, scalar, divided=False),
            sizes,
            {"mul": free, "sub": lambda n: math.comb(n + 1, 3)},
        ),
    )


def _laplace(m: Matrix) -> Any:
    if len(m) == 1:
        return m[0][0]
    total = None
    for j in range(len(m)):
        term = m[0][j] * _laplace([[row[i] for i in range(len(m)) if i != j] for row in m[1:]])
        total = term if total is None else (total + term if j % 2 == 0 else total - term)
    return total


def laplace_multiplications(k: int) -> int:
    """M(1) = 0, M(k) = k(M(k−1) + 1)."""
    return 0 if k == 1 else k * (laplace_multiplications(k - 1) + 1)


@claim(
    mutants=[
        dict(mul=lambda n: sum(math.factorial(k) for k in range(2, n + 1)), at_8=(79432, 46225), crossover=2),
    ]
)
def flops_minors(
    mul=lambda n: sum(laplace_multiplications(k) for k in range(2, n + 1)), at_8=(79431, 46225), crossover=3
):
    r"""All leading minors by Laplace expansion cost $\sum_{k=2}^n M(k)$ multiplications, $M(k) = k(M(k-1)+1)$.

    Additions: $\sum_{k=2}^n (k! - 1)$. Totals 11/6, 51/29, 256/148 for n = 3, 4, 5 and 79431/46225 for n = 8. The
    recursion without division needs fewer multiplications from n = 3 on. """

    def additions(n: int) -> int:
        return sum(math.factorial(k) - 1 for k in range(2, n + 1))

    def run(n: int, scalar: Any) -> None:
        m = _distinct(n, scalar)
        for k in range(2, n + 1):
            _laplace([row[:k] for row in m[:k]])

    def signed(n: int) -> tuple[int, int]:
        """In each minor of order k, ⌊k/2⌋·k!/k … additions are subtractions: their number by recursion."""
        total = {1: 0}
        for k in range(2, n + 1):
            total[k] = k // 2 + k * total[k - 1]
        subtractions = sum(total[k] for k in range(2, n + 1))
        return additions(n) - subtractions, subtractions

    wins = [n for n in range(2, 9) if 2 * math.comb(n + 1, 3) < mul(n)]
    return (
        Counts(run, (2, 3, 4, 5), {"mul": mul, "add": lambda n: signed(n)[0], "sub": lambda n: signed(n)[1]}),
        ForEach([8], lambda n: ((mul(n), additions(n)), at_8), over="n = 8"),
        ForEach(
            [crossover], lambda n: (wins, list(range(n, 9))), over="the sizes n = 2..8 at which the recursion wins"
        ),
    )


@claim(mutants=[dict(extra=0)])
def minors_by_elimination(extra=1):
    r"""One elimination yields all leading minors as products of pivots, at the same $n^3/6$ cost: the two criteria
    are one algorithm.

    $\Delta_k = p_1 \cdots p_k$, with n − 1 multiplications more. "Minors are costly" is true of their expansion only.
    """
    m = GENERIC[4]
    pivots = [minor(m, k) / minor(m, k - 1) for k in range(1, 5)]
    schur_complement = m
    found = []
    for _ in range(4):
        found.append(schur_complement[0, 0])
        rest = schur_complement[1:, 1:] - schur_complement[1:, 0] * schur_complement[0, 1:] / schur_complement[0, 0]
        schur_complement = rest

    def run(n: int, scalar: Any) -> None:
        p = _eliminate(n, scalar)
        total = p[0]
        for value in p[1:]:
            total = total * value

    counts = {
        "mul": lambda n: math.comb(n + 1, 3) + extra * (n - 1),
        "sub": lambda n: math.comb(n + 1, 3),
        "div": lambda n: n * (n - 1) // 2,
    }
    nonzero = [Ne(minor(m, k), 0) for k in (1, 2, 3)]
    shift = 1 - extra
    return (
        Identity(sp.Matrix(found), sp.Matrix(pivots) + shift * sp.ones(4, 1), nonzero),
        Counts(run, (2, 3, 4, 6), counts),
    )


@claim(mutants=[dict(twice=1, low=-3), dict(lift=-1, twice=1)])
def elliptope(twice=2, low=-2, lift=1):
    r"""$\begin{pmatrix}1&u&v\\u&1&w\\v&w&1\end{pmatrix}$ is positive definite iff $1-u^2>0$ and $1+2uvw-u^2-v^2-w^2>0$.

    Under them q is $(x_1+ux_2+vx_3)^2 + (1-u^2)(x_2+\tfrac{w-uv}{1-u^2}x_3)^2 + \tfrac{\det}{1-u^2}x_3^2$; where one
    fails, $(-u, 1, 0)$ or the third column of the adjugate is a witness. So $x_1^2+4x_2^2+4x_3^2+2\lambda
    x_1x_2-2x_1x_3+4x_2x_3$ is positive definite iff $-2 < \lambda < 1$. """
    m = sp.Matrix([[1, u, v], [u, 1, w], [v, w, 1]])
    det = 1 + twice * u * v * w - u**2 - v**2 - w**2

    def q(x: sp.Matrix, m: sp.Matrix = m) -> sp.Expr:
        return (x.T * m * x)[0]

    form = x1**2 + 4 * x2**2 + 4 * x3**2 + 2 * lam * x1 * x2 - 2 * x1 * x3 + 4 * x2 * x3
    example = matrix_of_form(form, (x1, x2, x3))
    xs = sp.Matrix([x1, x2, x3])
    second = x2 + (w - u * v) / (1 - u**2) * x3
    squares = (x1 + u * x2 + v * x3) ** 2 + (1 - u**2) * second**2 + det / (1 - u**2) * x3**2
    return (
        Identity(q(xs), squares, [Ne(1 - u**2, 0)]),
        Identity(q(sp.Matrix([-lift * u, 1, 0])), 1 - u**2),
        Identity(q(m.adjugate()[:, 2]), det * (1 - u**2)),
        ForAll(Equivalent(And(minor(example, 2) > 0, minor(example, 3) > 0), And(low < lam, lam < 1))),
    )


@claim(mutants=[dict(bar=lambda z: z)])
def hermitian(bar=conjugate):
    r"""For Hermitian forms the recursion is the same with $aC - bb^*$ and a real.

    $a(a|X|^2 + 2\,\mathrm{Re}(\bar X\beta) + \gamma) = |aX+\beta|^2 + (a\gamma - |\beta|^2)$ with complex X, β: every
    n. """
    z, s = sp.symbols("z s", complex=True)
    q = a * z * bar(z) + bar(z) * s + z * conjugate(s) + gamma
    return Identity(a * q, (a * z + s) * conjugate(a * z + s) + a * gamma - s * conjugate(s))


@claim(mutants=[dict(half_angle=sp.pi / 3, cone=2)])
def goe_probability(half_angle=sp.pi / 4, cone=1):
    r"""For $A = (G + G^\top)/2$ with i.i.d. standard normal G, 2×2: P(A is positive definite) = $(2-\sqrt2)/4$.

    In the i.i.d. standard normal coordinates $p = (a+c)/\sqrt2$, $r = (a-c)/\sqrt2$, $s = \sqrt2\,b$ the conditions
    trace > 0 and det > 0 are $p > 0$ and $p^2 > r^2 + s^2$: a circular cone of half-angle 45°, whose share of the
    sphere is $\tfrac12\int_0^{\pi/4}\sin\varphi\,d\varphi$. """
    phi, p, r, s = sp.symbols("phi p r s", real=True)
    entries = {a: (p + r) / sqrt(2), c: (p - r) / sqrt(2), b: s / sqrt(2)}
    return (
        Identity((a * c - cone * b**2).subs(entries), (p**2 - r**2 - s**2) / 2),
        Identity(((a**2 + c**2 + 2 * b**2) * cone).subs(entries), p**2 + r**2 + s**2),
        Integral(sp.sin(phi) / 2, phi, 0, half_angle, (2 - sqrt(2)) / 4, primitive=-sp.cos(phi) / 2),
    )


@claim(mutants=[dict(test=lambda m: all(x >= 0 for x in leading_minors(m)))])
def small_count(test=is_positive_definite):
    r"""The recursion and the eigenvalues count the same positive definite integer matrices, for n = 2, 3 and entries
    bounded by 1, 2, 3.

    An exhaustive exact oracle for tests of floating-point code.
    """

    def both(case: tuple[int, int]) -> tuple[int, int]:
        n, bound = case
        matrices = list(symmetric_matrices(n, range(-bound, bound + 1)))
        return sum(test(m) for m in matrices), sum(eigenvalue_signs(m)[0] == n for m in matrices)

    return ForEach([(2, 1), (2, 2), (2, 3), (3, 1), (3, 2)], both, over="(n, bound)")


def hilbert(n: int, rounded: bool) -> list[list[Fraction]]:
    """The Hilbert matrix, exactly or with each entry rounded to the nearest float64 (kept as an exact dyadic
    rational).
    """
    exact = [[Fraction(1, i + j + 1) for j in range(n)] for i in range(n)]
    return [[Fraction(float(x)) for x in row] for row in exact] if rounded else exact


def pivots_are_positive(m: Matrix) -> bool:
    """Elimination with division over the rationals, to stop at the first pivot that isn't positive."""
    m = [list(row) for row in m]
    for k in range(len(m)):
        if m[k][k] <= 0:
            return False
        for i in range(k + 1, len(m)):
            ratio = m[i][k] / m[k][k]
            m[i] = [x - ratio * y for x, y in zip(m[i], m[k], strict=True)]
    return True


@claim(mutants=[dict(last=14), dict(last=12)])
def rounding_changes_the_answer(last=13):
    r"""The Hilbert matrix is positive definite for every n, but with float64-rounded entries only for n ≤ 13 (of n =
    11, …, 15, 20).

    So a float Cholesky factorisation that fails at n = 14 gives the right answer to the question it was given. Each
    verdict is found twice: by exact pivots and by the characteristic polynomial. """

    def both(n: int) -> tuple[Any, Any]:
        exact, rounded = hilbert(n, rounded=False), hilbert(n, rounded=True)
        by_pivots = pivots_are_positive(exact), pivots_are_positive(rounded)
        by_polynomial = eigenvalue_signs(exact)[0] == n, eigenvalue_signs(rounded)[0] == n
        return (by_pivots, by_polynomial), ((True, n <= last),) * 2

    return ForEach((11, 12, 13, 14, 15, 20), both, over="n = 11, …, 15, 20")


__all__ = [
    "PDResult", "discriminant_pivots", "is_positive_definite", "is_positive_semidefinite", "matrix_of_form",
    "pd_certificate",
]  # fmt: skip
