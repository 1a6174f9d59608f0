"""Exact reduction and classification of conics and quadrics with rational coefficients.

Nothing here takes a sign from a decimal number or from Cardano's radicals: types come from polynomials with rational
coefficients all of whose roots are real, for which Descartes' rule of signs is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cmp_to_key
from itertools import pairwise
from math import lcm
from numbers import Rational
from typing import Any, NamedTuple

import sympy as sp
from flint import fmpq, fmpq_mat, fmpq_poly, fmpz_poly

from kexue.engines.formula import constant_sign

Matrix = Sequence[Sequence[Any]]
Vector = Sequence[Any]

X = sp.symbols("X Y Z", real=True)

# Central: ΣλX² = κ with κ ≠ 0, counted after division by κ. Cone: ΣλX² = 0. Parabolic: ΣλX² + 2pY = 0. In the last two
# the sign of the equation is free: the larger number of equal signs comes first.
NAMES = {
    2: {
        ("central", 2, 0): "ellipse", ("central", 1, 1): "hyperbola", ("central", 0, 2): "imaginary ellipse",
        ("central", 1, 0): "parallel lines", ("central", 0, 1): "imaginary parallel lines",
        ("cone", 2, 0): "point", ("cone", 1, 1): "crossing lines", ("cone", 1, 0): "coincident lines",
        ("parabolic", 1, 0): "parabola",
        ("linear", 0, 0): "line", ("empty", 0, 0): "empty", ("everything", 0, 0): "plane",
    },
    3: {
        ("central", 3, 0): "ellipsoid", ("central", 2, 1): "one-sheet hyperboloid",
        ("central", 1, 2): "two-sheet hyperboloid", ("central", 0, 3): "imaginary ellipsoid",
        ("central", 2, 0): "elliptic cylinder", ("central", 1, 1): "hyperbolic cylinder",
        ("central", 0, 2): "imaginary elliptic cylinder",
        ("central", 1, 0): "parallel planes", ("central", 0, 1): "imaginary parallel planes",
        ("cone", 3, 0): "point", ("cone", 2, 1): "cone", ("cone", 2, 0): "line", ("cone", 1, 1): "crossing planes",
        ("cone", 1, 0): "coincident planes",
        ("parabolic", 2, 0): "elliptic paraboloid", ("parabolic", 1, 1): "hyperbolic paraboloid",
        ("parabolic", 1, 0): "parabolic cylinder",
        ("linear", 0, 0): "plane", ("empty", 0, 0): "empty", ("everything", 0, 0): "space",
    },
}  # fmt: skip
LINEAR_KINDS = ("linear", "empty", "everything")  # A = 0: the equation isn't quadratic


class QuadricType(NamedTuple):
    """kind is central, cone, parabolic, or for A = 0 linear, empty, everything; then signs counted as in `NAMES`."""

    kind: str
    positive: int
    negative: int
    name: str


@dataclass(frozen=True)
class QuadricReduction:
    """The canonical form q(RX + v) = ΣλX² + 2pY − k of an equation, with the rigid map that leads to it.

    eigenvalues: exact; those that aren't 0 come first, in decreasing order. Irrational ones are square roots, or
        CRootOf for an irreducible cubic.
    R: eigenvectors as columns in the same order, det R = +1. If p > 0, the first column after those of the eigenvalues
        that aren't 0 is +P₀b/p, the direction of Y.
    v: rational: the centre, or the vertex if p > 0.
    p: ‖P₀b‖, a root of a rational number.
    k: rational; 0 if p > 0, since the vertex lies on the quadric.
    equation: the canonical polynomial in X, Y, Z, whose zeros are the quadric.
    """

    kind: str
    name: str
    eigenvalues: tuple[sp.Expr, ...]
    R: sp.ImmutableMatrix
    v: sp.ImmutableMatrix
    p: sp.Expr
    k: sp.Rational
    equation: sp.Expr


class CanonicalLimit(NamedTuple):
    """Limits for ε → 0 of the quadric with A + εI: of ε·k(ε) = p², and of its vertex (of its centre, if p = 0).

    k: the constant term of k(ε), which is its limit if p = 0.
    """

    p_squared: Fraction
    k: Fraction
    point: tuple[Fraction, ...]


# The type of an equation, without eigenvalues


def pencil(A: Matrix, b: Vector, c: Any) -> tuple[list[Any], list[Any], list[list[Any]]]:
    """Coefficients, by increasing powers of ε, of det(A + εI), of F(ε), and of the vector adj(A + εI)·b.

    Faddeev's and LeVerrier's recursion: adj(A + εI) = Σ B_j ε^j and det(A + εI) = Σ d_j ε^j with d_n = 1, B_{n−1} = I,
    B_{j−1} = d_j I − A B_j, d_j = tr(A B_j)/(n − j); the divisions are exact for integers. Then F = c·det − bᵀ adj b.
    """
    n = len(A)
    d: list[Any] = [1]
    vectors = [list(b)]
    product = [list(row) for row in A]  # A B_j
    for j in range(n - 1, -1, -1):
        trace = sum(product[i][i] for i in range(n))
        d.append(trace // (n - j) if isinstance(trace, int) else trace / (n - j))
        if j:
            for i in range(n):
                product[i] = [-x for x in product[i]]
                product[i][i] += d[-1]
            vectors.append([sum(x * y for x, y in zip(row, b)) for row in product])
            product = [[sum(x * row[k] for x, row in zip(line, product)) for k in range(n)] for line in A]
    d.reverse()
    vectors.reverse()
    f = [c * d[j] - sum(x * y for x, y in zip(b, vectors[j])) for j in range(n)]
    return d, [*f, c * d[n]], vectors


def quadric_type(positive: int, negative: int, parabolic: bool, sign: int) -> tuple[str, int, int]:
    """kind and signs from the numbers of positive and negative eigenvalues, p > 0, and (if p = 0) the sign of κ."""
    if not positive + negative:
        return ("linear" if parabolic else "empty" if sign else "everything"), 0, 0
    if parabolic or not sign:
        return ("parabolic" if parabolic else "cone"), max(positive, negative), min(positive, negative)
    return "central", positive if sign > 0 else negative, negative if sign > 0 else positive


def signature(A: Matrix, b: Vector, c: Any) -> tuple[str, int, int]:
    """The type of an equation in any number of variables, from F(ε) and Descartes' rule of signs.

    With D(ε) = det(A + εI), m the order of its zero at 0 and ∏'λ its first coefficient, the coefficients of F at
    ε^{m−1} and ε^m are −p²∏'λ and, if p = 0, −κ∏'λ.
    """
    n = len(A)
    d, f, _ = pencil(A, b, c)
    m = next(i for i, x in enumerate(d) if x != 0)
    signs = [x > 0 for x in d if x != 0]
    negative = sum(s != t for s, t in pairwise(signs))  # the positive zeros of D are the -λ > 0
    parabolic = m > 0 and f[m - 1] != 0
    kappa = -f[m] if d[m] > 0 else f[m]
    return quadric_type(n - m - negative, negative, parabolic, (kappa > 0) - (kappa < 0))


def classify(A: Any, b: Any, c: Any) -> QuadricType:
    """The type of the conic or quadric xᵀAx + 2bᵀx + c = 0, exactly and without eigenvalues.

    Args:
        A: a symmetric 2×2 or 3×3 matrix of rational numbers (int, Fraction, SymPy Rational).
        b: half the linear coefficients.
        c: the constant.

    Raises:
        ValueError: sizes don't fit, A isn't symmetric, or a coefficient is no exact rational number.
    """
    m, u, w = _exact_equation(A, b, c)
    scale = lcm(*(x.denominator for row in m for x in row), *(x.denominator for x in u), w.denominator)
    found = signature([[int(x * scale) for x in row] for row in m], [int(x * scale) for x in u], int(w * scale))
    return QuadricType(*found, NAMES[len(m)][found])


# The article's method and its limit


def perturbed_reduction(A: Any, b: Any, c: Any, eps: Any) -> QuadricReduction:
    """The article's method: the reduction of the quadric with A + εI, which has a centre.

    Raises:
        ValueError: as in `classify`; eps is 0, or −eps is an eigenvalue of A.
    """
    m, u, w = _exact_equation(A, b, c)
    e = _rational(eps, "eps")
    if e == 0:
        raise ValueError("eps must not be 0: A + eps·I would be A")
    moved = [[x + e * (i == j) for j, x in enumerate(row)] for i, row in enumerate(m)]
    if pencil(moved, u, w)[0][0] == 0:
        raise ValueError(f"eps must make A + eps·I invertible, but -eps = {-e} is an eigenvalue of A")
    return reduce_quadric(moved, u, w)


def canonical_limit(A: Any, b: Any, c: Any) -> CanonicalLimit:
    """What the canonical form and the vertex of the quadric with A + εI tend to, from the Laurent series in ε.

    x(ε) = (A + εI)⁻¹b = adj(A + εI)b/det(A + εI) = x₋₁/ε + x₀ + O(ε), and k(ε) = bᵀx(ε) − c. The vertex is −x(ε) +
    n√(k/ε) with √(k/ε) = p/ε + κ/(2p) + O(ε), so that 1/ε drops out.

    Raises:
        ValueError: as in `classify`.
    """
    m, u, w = _exact_equation(A, b, c)
    n = len(m)
    d, _, vectors = pencil(m, u, w)
    order = next(i for i, x in enumerate(d) if x != 0)
    after = d[order + 1] if order < n else 0
    zero = [Fraction(0)] * n
    low = vectors[order - 1] if order else zero
    first = [x / d[order] for x in low]
    second = [(y - x * after) / d[order] for x, y in zip(first, vectors[order] if order < n else zero)]
    p_squared = _dot(u, first)
    k = _dot(u, second) - w
    t = k / (2 * p_squared) if p_squared else Fraction(0)
    return CanonicalLimit(Fraction(p_squared), Fraction(k), tuple(t * x - y for x, y in zip(first, second)))


# The reduction without limits


def reduce_quadric(A: Any, b: Any, c: Any) -> QuadricReduction:
    """The canonical form of xᵀAx + 2bᵀx + c and the rigid map x = RX + v, exactly.

    With p = 0: v = −A⁺b. With p > 0: v = −A⁺b + (κ/2p²) P₀b, and Y points along P₀b. If A = 0, the equation isn't
    quadratic, and kind says what is left: linear (2pY), empty (−k) or everything (0).

    Raises:
        ValueError: as in `classify`.
    """
    m, u, w = _exact_equation(A, b, c)
    n = len(m)
    found = classify(m, u, w)
    p_squared, kappa, v = position(m, u, w)
    _, projector = pseudo_inverse(m)
    along = [_dot(row, u) for row in projector]
    pairs = [(value, column) for value, column in _eigenpairs(m) if value != 0]
    pairs.sort(key=cmp_to_key(_larger_first))
    kernel = _orthogonal([along, *projector])
    columns = [column for _, column in pairs] + [_unit([_sympy(x) for x in y]) for y in kernel]
    if constant_sign(sp.Matrix(columns).det(method="berkowitz")) != 1:  # it is 1 or -1
        flip = 0 if pairs else -1
        columns[flip] = [-x for x in columns[flip]]
    values = tuple(value for value, _ in pairs) + (sp.S.Zero,) * len(kernel)
    p, k = sp.sqrt(_sympy(p_squared)), sp.S.Zero if p_squared else _sympy(kappa)
    equation = sum((value * x**2 for value, x in zip(values, X)), -k)
    if p_squared:
        equation += 2 * p * X[len(pairs)]
    R = sp.ImmutableMatrix(n, n, lambda i, j: columns[j][i])
    return QuadricReduction(
        found.kind, found.name, values, R, sp.ImmutableMatrix([_sympy(x) for x in v]), p, k, equation
    )


def position(A: Matrix, b: Vector, c: Any) -> tuple[Fraction, Fraction, tuple[Fraction, ...]]:
    """p², κ and v of an equation with Fractions, from A⁺ and P₀."""
    inverse, projector = pseudo_inverse(A)
    along = [_dot(row, b) for row in projector]
    centre = [-_dot(row, b) for row in inverse]
    kappa = -_dot(b, centre) - c
    p_squared = _dot(along, along)
    t = kappa / (2 * p_squared) if p_squared else Fraction(0)
    return p_squared, kappa, tuple(x + t * y for x, y in zip(centre, along))


def pseudo_inverse(A: Matrix) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
    """A⁺ and P₀ of a symmetric rational matrix: A + P₀ is invertible, and its inverse is A⁺ + P₀."""
    n = len(A)
    kernel = _kernel(A)
    if kernel:
        basis = fmpq_mat([[_fmpq(x) for x in y] for y in kernel])
        projector = basis.transpose() * (basis * basis.transpose()).inv() * basis
    else:
        projector = fmpq_mat(n, n)
    inverse = (fmpq_mat([[_fmpq(x) for x in row] for row in A]) + projector).inv() - projector
    return _fractions(inverse), _fractions(projector)


def eigenvectors(A: Matrix) -> list[tuple[fmpz_poly, list[list[fmpq_poly]]]]:
    """For each irreducible factor g of the characteristic polynomial: vectors w(x) with (A − x)w(x) ≡ 0 mod g.

    They are an orthogonal basis of the eigenspace of every zero of g. A factor of degree 2 or more is simple, since A
    has at most three rows; then w is a column of the adjugate of A − x.
    """
    n = len(A)
    exact = fmpq_mat([[_fmpq(x) for x in row] for row in A])
    found = []
    for g, _ in exact.charpoly().numer().factor()[1]:
        if g.degree() == 1:
            value = Fraction(-int(g[0]), int(g[1]))
            basis = _kernel([[x - value * (i == j) for j, x in enumerate(row)] for i, row in enumerate(A)])
            found.append((g, [[fmpq_poly([_fmpq(x)]) for x in y] for y in _orthogonal(basis)]))
            continue
        modulus = fmpq_poly(g)
        for i in range(n):
            unit = [Fraction(int(i == j)) for j in range(n)]
            _, _, vectors = pencil([[Fraction(x) for x in row] for row in A], unit, Fraction(0))
            w = [
                fmpq_poly([_fmpq(vectors[j][r]) * (-1) ** j for j in range(n)]) % modulus for r in range(n)
            ]  # adj(A + εI) e_i at ε = −x
            if any(w):
                found.append((g, [w]))
                break
    return found


def _eigenpairs(A: Matrix) -> list[tuple[sp.Expr, list[sp.Expr]]]:
    """Eigenvalues with unit eigenvectors; each eigenvalue as often as its multiplicity."""
    found = []
    for g, basis in eigenvectors(A):
        for value in _zeros(g):
            for w in basis:
                column = [_at(x, value) for x in w]
                square = sum((x * x for x in w), fmpq_poly([])) % fmpq_poly(g)
                length = sp.sqrt(_at(square, value))
                found.append((value, [x / length for x in column]))
    return found


def _larger_first(s: tuple[sp.Expr, list[sp.Expr]], t: tuple[sp.Expr, list[sp.Expr]]) -> int:
    sign = constant_sign(t[0] - s[0])
    if sign is None:  # different algebraic numbers that agree in 180 digits
        raise ArithmeticError(f"can't order the eigenvalues {s[0]} and {t[0]}")
    return sign


def _zeros(g: fmpz_poly) -> list[sp.Expr]:
    """The zeros of an irreducible polynomial all of whose zeros are real."""
    a = [sp.Integer(int(x)) for x in g.coeffs()]
    if len(a) == 2:
        return [-a[0] / a[1]]
    if len(a) == 3:
        root = sp.sqrt(a[1] ** 2 - 4 * a[0] * a[2])
        return [(-a[1] + sign * root) / (2 * a[2]) for sign in (1, -1)]
    x = sp.Symbol("x")
    poly = sp.Poly(list(reversed(a)), x)
    return [sp.CRootOf(poly, i) for i in range(len(a) - 1)]


def _at(poly: fmpq_poly, value: sp.Expr) -> sp.Expr:
    total = sum((_sympy(x) * value**j for j, x in enumerate(poly.coeffs())), sp.S.Zero)
    return total if isinstance(value, sp.CRootOf) else sp.expand(total)


def _kernel(A: Matrix) -> list[list[Fraction]]:
    """A basis of the kernel, from the reduced row echelon form."""
    n = len(A)
    reduced, rank = fmpq_mat([[_fmpq(x) for x in row] for row in A]).rref()
    rows = _fractions(reduced)[: int(rank)]
    pivots = [next(j for j in range(n) if row[j]) for row in rows]
    basis = []
    for free in (j for j in range(n) if j not in pivots):
        y = [Fraction(int(j == free)) for j in range(n)]
        for pivot, row in zip(pivots, rows):
            y[pivot] = -row[free]
        basis.append(y)
    return basis


def _orthogonal(vectors: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """Gram's and Schmidt's method without roots; dependent vectors drop out."""
    found: list[list[Fraction]] = []
    for y in vectors:
        rest = list(y)
        for z in found:
            ratio = _dot(rest, z) / _dot(z, z)
            rest = [s - ratio * t for s, t in zip(rest, z)]
        if any(rest):
            found.append(rest)
    return found


def _unit(y: list[sp.Expr]) -> list[sp.Expr]:
    length = sp.sqrt(sum((x * x for x in y), sp.S.Zero))
    return [x / length for x in y]


def _dot(x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction:
    return sum((s * t for s, t in zip(x, y)), Fraction(0))


def _fmpq(x: Any) -> fmpq:
    return fmpq(int(x.numerator), int(x.denominator))


def _sympy(x: Any) -> sp.Rational:
    return sp.Rational(int(x.numerator), int(x.denominator))


def _fractions(m: fmpq_mat) -> list[list[Fraction]]:
    return [[Fraction(int(x.numerator), int(x.denominator)) for x in row] for row in m.tolist()]


def _rational(x: Any, name: str) -> Fraction:
    if not isinstance(x, Rational):
        raise ValueError(f"{name} must be an exact rational number (int, Fraction or SymPy Rational), got {x!r}")
    return Fraction(int(x.numerator), int(x.denominator))


def _exact_equation(A: Any, b: Any, c: Any) -> tuple[list[list[Fraction]], list[Fraction], Fraction]:
    rows = A.tolist() if hasattr(A, "tolist") else A
    if not isinstance(rows, (list, tuple)) or not all(isinstance(row, (list, tuple)) for row in rows):
        raise ValueError(f"A must be a matrix (a sequence of rows), got {A!r}")
    n = len(rows)
    if n not in NAMES or any(len(row) != n for row in rows):
        raise ValueError(f"A must be 2×2 or 3×3, got rows of lengths {[len(row) for row in rows]}")
    try:
        vector = list(b)
    except TypeError:
        raise ValueError(f"b must be a vector of length {n}, got {b!r}") from None
    if len(vector) != n:
        raise ValueError(f"b must have as many entries as A has rows, {n}, got {len(vector)}")
    m = [[_rational(x, f"A[{i}, {j}]") for j, x in enumerate(row)] for i, row in enumerate(rows)]
    for i in range(n):
        for j in range(i):
            if m[i][j] != m[j][i]:
                raise ValueError(f"A must be symmetric, got A[{i}, {j}] = {m[i][j]} and A[{j}, {i}] = {m[j][i]}")
    return m, [_rational(x, f"b[{i}]") for i, x in enumerate(vector)], _rational(c, "c")
