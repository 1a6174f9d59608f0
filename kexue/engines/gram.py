"""Operators αI + V M Vᵀ on R^d for every d at once, where V = [v₁ … v_k] has a known Gram matrix G = VᵀV.

Products, transposes, traces and determinants of such operators need only α, M and G:
(α, M)(β, N) = (αβ, αN + βM + M G N), (α, M)ᵀ = (α, Mᵀ), tr = αd + tr(M G), det = α^(d-k) det(αI + M G).
Equal (α, M) give equal operators in every dimension. Different (α, M) may still be equal for dependent vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy.solvers.diophantine.diophantine import sum_of_four_squares

from kexue.engines import gate


class Gram:
    """Named vectors with a symbolic Gram matrix, in a space of any dimension.

    Args:
        names: the vectors, separated by blanks, such as "a b".
        matrix: their Gram matrix, symmetric, with exact entries.
    """

    def __init__(self, names: str, matrix: Any) -> None:
        self.names = tuple(names.split())
        found = gate.exact(sp.Matrix(matrix), "the Gram matrix")
        k = len(self.names)
        if k == 0 or len(set(self.names)) != k:
            raise gate.Refused(f"names must be different and not empty, got {names!r}")
        if found.shape != (k, k):
            raise gate.Refused(f"the Gram matrix of {k} vectors must be {k}×{k}, got {found.shape}")
        if found != found.T:
            raise gate.Refused(f"a Gram matrix is symmetric, got {found}")
        self.matrix = found

    def vectors(self) -> tuple[Vector, ...]:
        k = len(self.names)
        return tuple(Vector(self, sp.Matrix(k, 1, lambda i, _, j=j: int(i == j))) for j in range(k))

    @property
    def identity(self) -> Operator:
        return Operator(self, sp.S.One, sp.zeros(len(self.names)))

    def realise(self, point: Mapping[sp.Symbol, Any]) -> list[list[Fraction]] | None:
        """Rational vectors with this Gram matrix at `point`, one coordinate to spare; None if there are none.

        A = L D Lᵀ over the rationals, and each pivot is a sum of four rational squares (Lagrange).
        """
        entries = self.matrix.xreplace(dict(point))
        if not all(isinstance(x, sp.Rational) for x in entries):
            return None
        k = len(self.names)
        a = [[Fraction(int(entries[i, j].p), int(entries[i, j].q)) for j in range(k)] for i in range(k)]
        coordinates: list[list[Fraction]] = []  # one row for each coordinate, one column for each vector
        for p in range(k):
            pivot = a[p][p]
            if pivot < 0 or (pivot == 0 and any(a[p][j] for j in range(p, k))):
                return None
            if pivot == 0:
                continue
            row = [a[p][j] / pivot for j in range(k)]
            for square in sum_of_four_squares(pivot.numerator * pivot.denominator):
                if square:
                    scale = Fraction(int(square), pivot.denominator)
                    coordinates.append([scale * x for x in row])
            a = [[a[i][j] - a[i][p] * row[j] for j in range(k)] for i in range(k)]
        coordinates.append([Fraction(0)] * k)
        return [[row[v] for row in coordinates] for v in range(k)]


class Vector:
    """A linear combination of the Gram vectors."""

    def __init__(self, gram: Gram, coefficients: sp.Matrix) -> None:
        self.gram, self.coefficients = gram, sp.ImmutableMatrix(coefficients)

    def __add__(self, other: Vector) -> Vector:
        return Vector(_same(self, other), self.coefficients + other.coefficients)

    def __sub__(self, other: Vector) -> Vector:
        return Vector(_same(self, other), self.coefficients - other.coefficients)

    def __neg__(self) -> Vector:
        return Vector(self.gram, -self.coefficients)

    def __mul__(self, scalar: Any) -> Vector:
        return Vector(self.gram, self.coefficients * gate.expression(scalar, "scalar"))

    __rmul__ = __mul__

    def __truediv__(self, scalar: Any) -> Vector:
        return Vector(self.gram, self.coefficients / gate.expression(scalar, "scalar"))

    def dot(self, other: Vector) -> sp.Expr:
        """The inner product, from the Gram matrix."""
        _same(self, other)
        return sp.expand((self.coefficients.T * self.gram.matrix * other.coefficients)[0, 0])

    def outer(self, other: Vector) -> Operator:
        """The operator u vᵀ."""
        return Operator(_same(self, other), sp.S.Zero, self.coefficients * other.coefficients.T)

    def entries(self) -> list[sp.Expr]:
        return list(self.coefficients)

    def __str__(self) -> str:
        return " + ".join(f"({c})·{n}" for c, n in zip(self.coefficients, self.gram.names, strict=True) if c) or "0"

    __repr__ = __str__


class Operator:
    """αI + V M Vᵀ."""

    def __init__(self, gram: Gram, alpha: sp.Expr, matrix: sp.Matrix) -> None:
        self.gram, self.alpha, self.matrix = gram, alpha, sp.ImmutableMatrix(matrix)

    def __add__(self, other: Operator) -> Operator:
        return Operator(_same(self, other), self.alpha + other.alpha, self.matrix + other.matrix)

    def __sub__(self, other: Operator) -> Operator:
        return Operator(_same(self, other), self.alpha - other.alpha, self.matrix - other.matrix)

    def __neg__(self) -> Operator:
        return Operator(self.gram, -self.alpha, -self.matrix)

    def __mul__(self, scalar: Any) -> Operator:
        s = gate.expression(scalar, "scalar")
        return Operator(self.gram, s * self.alpha, s * self.matrix)

    __rmul__ = __mul__

    def __truediv__(self, scalar: Any) -> Operator:
        return self * (1 / gate.expression(scalar, "scalar"))

    def __matmul__(self, other: Any) -> Any:
        g = _same(self, other).matrix
        if isinstance(other, Vector):
            c = other.coefficients
            return Vector(self.gram, self.alpha * c + self.matrix * g * c)
        product = self.alpha * other.matrix + other.alpha * self.matrix + self.matrix * g * other.matrix
        return Operator(self.gram, self.alpha * other.alpha, product)

    def __pow__(self, n: int) -> Operator:
        out = self.gram.identity
        for _ in range(n):
            out = out @ self
        return out

    @property
    def T(self) -> Operator:
        return Operator(self.gram, self.alpha, self.matrix.T)

    def trace(self, d: sp.Expr) -> sp.Expr:
        return self.alpha * d + (self.matrix * self.gram.matrix).trace()

    def det(self, d: sp.Expr) -> sp.Expr:
        """The determinant on R^d, d ≥ k (matrix determinant lemma)."""
        k = len(self.gram.names)
        inner = self.alpha * sp.eye(k) + self.matrix * self.gram.matrix
        return self.alpha ** (d - k) * inner.det(method="berkowitz")

    def entries(self) -> list[sp.Expr]:
        return [self.alpha, *self.matrix]

    def __str__(self) -> str:
        n = self.gram.names
        terms = [f"({self.alpha})·I"] if self.alpha != 0 else []
        terms += [
            f"({self.matrix[i, j]})·{n[i]}{n[j]}ᵀ"
            for i in range(len(n))
            for j in range(len(n))
            if self.matrix[i, j] != 0
        ]
        return " + ".join(terms) or "0"


def _same(a: Any, b: Any) -> Gram:
    if not isinstance(b, (Vector, Operator)):
        raise gate.Refused(f"expected a vector or an operator of the Gram algebra, got {type(b).__name__} {b}")
    if a.gram is not b.gram:
        raise gate.Refused("the two sides belong to different Gram algebras")
    return a.gram
