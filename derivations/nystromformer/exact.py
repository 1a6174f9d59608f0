"""Exact matrices: pseudo-inverse, attention through landmarks, iterative inverses. Entries are int or Fraction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat
from sympy import Matrix

from .._arguments import whole_number

Rows = Sequence[Sequence[Any]]


# Exact matrices


def matmul(*factors: Rows) -> list[list[Any]]:
    """The product of matrices given by rows, from the right to the left."""
    result = [list(row) for row in factors[-1]]
    for left in reversed(factors[:-1]):
        columns = list(zip(*result, strict=True))
        result = [[_dot(row, column) for column in columns] for row in left]
    return result


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    total = a[0] * b[0]
    for p, q in zip(a[1:], b[1:], strict=True):
        total = total + p * q
    return total


def transposed(a: Rows) -> list[list[Any]]:
    return [list(column) for column in zip(*a, strict=True)]


def scaled(c: Any, a: Rows) -> list[list[Any]]:
    return [[c * value for value in row] for row in a]


def identity(m: int) -> list[list[Fraction]]:
    return [[Fraction(i == j) for j in range(m)] for i in range(m)]


def subtract(a: Rows, b: Rows) -> list[list[Any]]:
    return [[p - q for p, q in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]


def pseudo_inverse(a: Rows) -> list[list[Any]]:
    r"""The Moore–Penrose inverse, exactly: A = CR of full rank gives $A^\dagger = R^\top(C^\top AR^\top)^{-1}C^\top$.

    Args:
        a: rows of int or Fraction entries. SymPy entries are accepted for invertible square matrices.

    Raises:
        ValueError: a is empty or ragged, or an entry is not exact.
    """
    _check_rows(a, "a")
    if any(isinstance(value, sp.Basic) for row in a for value in row):
        return Matrix(a).inv(method="ADJ").tolist()  # type: ignore[no-any-return]
    echelon, rank = _flint(a).rref()
    if rank == 0:
        return [[Fraction(0)] * len(a) for _ in a[0]]
    right = [[_fraction(echelon[i, j]) for j in range(len(a[0]))] for i in range(rank)]
    pivots = [next(j for j, value in enumerate(row) if value) for row in right]
    left = [[Fraction(row[j]) for j in pivots] for row in a]
    core = _flint(matmul(transposed(left), a, transposed(right))).inv()
    middle = [[_fraction(core[i, j]) for j in range(rank)] for i in range(rank)]
    return matmul(transposed(right), middle, transposed(left))


def _flint(a: Rows) -> fmpq_mat:
    return fmpq_mat([[fmpq(*Fraction(value).as_integer_ratio()) for value in row] for row in a])


def _fraction(q: fmpq) -> Fraction:
    return Fraction(int(q.p), int(q.q))


def determinant(a: Rows) -> Fraction:
    return _fraction(_flint(a).det())


def _check_rows(a: Rows, name: str) -> None:
    if not a or not a[0] or any(len(row) != len(a[0]) for row in a):
        raise ValueError(f"{name} must have rows of one length ≥ 1, got lengths {[len(row) for row in a]}")
    for row in a:
        for value in row:
            if not isinstance(value, (int, Fraction, sp.Expr)) or isinstance(value, sp.Float):
                raise ValueError(f"{name} must be exact (int, Fraction or SymPy), got {value!r}")


# Attention and its approximation


def power_of_two(logit: Any) -> Fraction:
    """2^logit, the rational stand-in for the exponential.

    Raises:
        ValueError: the logit is no integer.
    """
    if Fraction(logit).denominator != 1:
        raise ValueError(f"logits must be integers in base 2, got {logit}")
    return Fraction(2) ** int(logit)


def softmax(logits: Rows, exponential: Callable[[Any], Any] = power_of_two) -> list[list[Any]]:
    """Row by row: exponential(x_j) / Σ exponential(x_j)."""
    weights = [[exponential(value) for value in row] for row in logits]
    return [[w / sum(row[1:], row[0]) for w in row] for row in weights]


def segment_means(rows: Rows, landmarks: int) -> list[list[Any]]:
    """The means of `landmarks` consecutive segments of equal length.

    Raises:
        ValueError: landmarks is not in [1, n], or n is not a multiple of it.
    """
    _check_rows(rows, "rows")
    n = len(rows)
    if not isinstance(landmarks, int) or not 1 <= landmarks <= n:
        raise ValueError(f"landmarks must be an integer in [1, {n}], got {landmarks!r}")
    if n % landmarks:
        raise ValueError(f"landmarks must divide the number of rows, got {landmarks} for {n} rows")
    size = n // landmarks
    segments = [rows[i : i + size] for i in range(0, n, size)]
    return [[sum(column[1:], column[0]) / Fraction(size) for column in zip(*segment)] for segment in segments]


def attention(q: Rows, k: Rows, exponential: Callable[[Any], Any] = power_of_two) -> list[list[Any]]:
    """S = softmax(QKᵀ)."""
    return softmax(matmul(q, transposed(k)), exponential)


def nystrom_factors(
    q: Rows, k: Rows, landmarks: int, exponential: Callable[[Any], Any] = power_of_two
) -> tuple[list[list[Any]], list[list[Any]], list[list[Any]]]:
    """F, A, B of the segment means of q and k.

    Raises:
        ValueError: as `segment_means`; in base 2 also for logits that are no integers.
    """
    q_means, k_means = segment_means(q, landmarks), segment_means(k, landmarks)
    return (
        attention(q, k_means, exponential),
        attention(q_means, k_means, exponential),
        attention(q_means, k, exponential),
    )


def nystrom_attention(
    q: Rows, k: Rows, landmarks: int, exponential: Callable[[Any], Any] = power_of_two
) -> list[list[Any]]:
    """N = F A† B, exactly."""
    f, a, b = nystrom_factors(q, k, landmarks, exponential)
    return matmul(f, pseudo_inverse(a), b)


# Iterative inverses

# name -> (c₁, c₂, …), factor of the step V ← factor · V(c₁ − AV(c₂ − AV(… − AV)))
SCHEMES: dict[str, tuple[tuple[int, ...], Fraction]] = {
    "razavi": ((13, 15, 7), Fraction(1, 4)),
    "newton": ((2,), Fraction(1)),
    "chebyshev": ((3, 3), Fraction(1)),
}


def step(v: Rows, a: Rows, scheme: str = "razavi") -> list[list[Any]]:
    """One step of an iterative inverse on exact matrices."""
    coefficients, factor = SCHEMES[scheme]
    av = matmul(a, v)
    nested = _minus(coefficients[-1], av)
    for c in reversed(coefficients[:-1]):
        nested = _minus(c, matmul(av, nested))
    result = matmul(v, nested)
    return result if factor == 1 else [[value / factor.denominator for value in row] for row in result]


def _minus(c: int, a: Rows) -> list[list[Any]]:
    """cI − A."""
    return [[(c if i == j else 0) - value for j, value in enumerate(row)] for i, row in enumerate(a)]


def products(scheme: str) -> int:
    """Matrix products in one step: A V, one for each inner bracket, and V times the outer one."""
    return len(SCHEMES[scheme][0]) + 1


def column_and_row_norm(a: Rows) -> tuple[Fraction, Fraction]:
    """‖A‖₁ and ‖A‖_∞: the largest column and row sums of absolute values."""
    return max(sum(map(abs, column)) for column in zip(*a)), max(sum(map(abs, row)) for row in a)


def iterated_inverse(a: Rows, steps: int, scheme: str = "razavi") -> list[list[Fraction]]:
    """V_steps from V_0 = Aᵀ / (‖A‖₁ ‖A‖_∞), exactly.

    The numbers of digits grow fourfold (twofold, threefold) with each step.

    Raises:
        ValueError: a is not a square matrix other than zero, steps < 0, or the scheme is unknown.
    """
    _check_rows(a, "a")
    if len(a) != len(a[0]):
        raise ValueError(f"a must be square, got {len(a)}×{len(a[0])}")
    whole_number("steps", steps)
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}")
    column, row = column_and_row_norm(a)
    if column == 0:
        raise ValueError("a must not be zero: its norm is the denominator of the initial value")
    v = scaled(1 / Fraction(column * row), transposed(a))
    for _ in range(steps):
        v = step(v, a, scheme)
    return v


def residual_map(r: Any, scheme: str = "razavi") -> Any:
    """One step for the residual r = 1 − x of a singular direction: φ(r), r² or r³."""
    if scheme == "razavi":
        return (3 * r**3 + r**4) / 4
    return r ** len(SCHEMES[scheme][0]) * r


def filter_residual(x: Any, steps: int, scheme: str = "razavi") -> Any:
    """What is missing of the inverse after `steps`, where x = σ²/(‖A‖₁‖A‖_∞) is that direction's start."""
    r = 1 - x
    for _ in range(steps):
        r = residual_map(r, scheme)
    return r


def multiplications(n: Any, m: Any, d: Any, steps: Any) -> Any:
    """Multiplications of one head in matrix products: F, A, B, the iteration, and (F V)(B V)."""
    return 4 * n * m * d + m**2 * d + 4 * steps * m**3 + n * m**2


phi = residual_map
