"""The exact reduction of conics and quadrics: the rigid map it returns, all types, and what it refuses."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.quadratic_forms import canonical_limit, classify, perturbed_reduction, reduce_quadric
from kexue.derivations.quadratic_forms.reduction import NAMES, X, pencil
from kexue.engines.formula import constant_sign

DIGITS = 40

entries = st.fractions(min_value=-3, max_value=3, max_denominator=3)


@st.composite
def equations(draw, sizes=(2, 3)):
    n = draw(st.sampled_from(sizes))
    A = [[Fraction(0)] * n for _ in range(n)]
    kernel = draw(st.integers(0, n))  # rows and columns of zeros make singular matrices likely
    for i in range(n - kernel):
        for j in range(i, n - kernel):
            A[i][j] = A[j][i] = draw(entries)
    return A, draw(st.lists(entries, min_size=n, max_size=n)), draw(entries)


def canonical_difference(R, found, A, b, c) -> list[sp.Expr]:
    """Coefficients of q(RX + v) minus the canonical polynomial: numbers that must be 0."""
    variables = sp.Matrix(X[: len(b)])
    point = R * variables + found.v
    q = (point.T * sp.Matrix(A) * point + 2 * sp.Matrix([b]) * point)[0] + c
    return sp.Poly(sp.expand(q - found.equation.evalf(DIGITS)), *variables).coeffs()


EQUATIONS = [
    ([[1, -2], [-2, 4]], [1, -1], -1),
    ([[2, 1], [1, 3]], [1, 1], -3),
    ([[1, 1], [1, 1]], [1, 1], -3),
    ([[0, 1, 0], [1, 1, 1], [0, 1, -1]], [1, 0, 2], 5),  # an irreducible cubic with three real zeros
    ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], [1, 0, 0], 1),  # Y turned inside a two-dimensional kernel
    ([[1, 0, 1], [0, 1, 0], [1, 0, 1]], [1, 2, 0], 0),
    ([[1, 1, 0], [1, 1, 1], [0, 1, 1]], [0, 0, 0], 0),
    ([[2, 0, 0], [0, 2, 0], [0, 0, 2]], [1, 1, 1], 0),
    ([[0, 0, 0], [0, 0, 0], [0, 0, 0]], [1, 2, 2], 1),
    ([[0, 0], [0, 0]], [0, 0], 3),
]


@pytest.mark.parametrize("A, b, c", EQUATIONS)
def test_the_rigid_map_leads_to_the_canonical_form(A, b, c) -> None:
    found = reduce_quadric(A, b, c)
    R = found.R.evalf(DIGITS)
    for number in [R.det() - 1, *(R.T * R - sp.eye(len(b))), *canonical_difference(R, found, A, b, c)]:
        assert abs(number) < sp.Float(10) ** -30


@settings(max_examples=60)
@given(equations())
def test_reduction_type_and_limit_agree(equation) -> None:
    A, b, c = equation
    found, kind, limit = reduce_quadric(A, b, c), classify(A, b, c), canonical_limit(A, b, c)
    assert (found.kind, found.name) == (kind.kind, kind.name)
    assert (found.p**2, tuple(found.v)) == (sp.S(limit.p_squared), tuple(sp.S(x) for x in limit.point))
    assert found.k == (0 if limit.p_squared else sp.S(limit.k))
    signs = [constant_sign(value) for value in found.eigenvalues]
    assert sorted((signs.count(1), signs.count(-1))) == sorted((kind.positive, kind.negative))
    assert constant_sign(found.p) == (kind.kind in ("parabolic", "linear"))
    for left, right in zip(found.eigenvalues, found.eigenvalues[1:]):
        assert right == 0 or left == 0 or constant_sign(left - right) >= 0


@settings(max_examples=40)
@given(equations(), st.fractions(min_value=-3, max_value=3, max_denominator=4), st.lists(entries, min_size=3))
def test_the_type_is_invariant_under_a_rigid_motion_and_scaling(equation, factor, shift) -> None:
    A, b, c = equation
    n = len(b)
    turn = sp.eye(n)
    turn[:2, :2] = sp.Matrix([[3, -4], [4, 3]]) / 5
    v = sp.Matrix([sp.S(x) for x in shift[:n]])
    m, u, factor = sp.Matrix(A), sp.Matrix([sp.S(x) for x in b]), sp.S(factor or 1)
    moved = (turn.T * m * turn, turn.T * (m * v + u), (v.T * m * v + 2 * u.T * v)[0] + sp.S(c))
    assert classify(*(factor * x for x in moved)) == classify(A, b, c)


def test_pencil_is_a_determinant() -> None:
    e = sp.Symbol("e")
    A, b, c = [[1, 2, -1], [2, 0, 3], [-1, 3, 2]], [1, -1, 2], 5
    shifted = sp.Matrix(A) + e * sp.eye(3)
    bordered = sp.Matrix(sp.BlockMatrix([[shifted, sp.Matrix(b)], [sp.Matrix([b]), sp.Matrix([[c]])]]))
    d, f, vectors = pencil(A, b, c)
    assert sp.Poly(shifted.det(), e).all_coeffs() == d[::-1]
    assert sp.Poly(bordered.det(), e).all_coeffs() == f[::-1]
    at_2 = shifted.subs(e, 2).adjugate() * sp.Matrix(b)
    assert [sum(vectors[j][i] * 2**j for j in range(3)) for i in range(3)] == list(at_2)


@pytest.mark.parametrize("n, count", [(2, 9), (3, 17)])
def test_every_type_has_a_name_of_its_own(n, count) -> None:
    quadratic = {key: name for key, name in NAMES[n].items() if key[0] not in ("linear", "empty", "everything")}
    assert len(quadratic) == len(set(quadratic.values())) == count


def test_the_perturbed_parabola_is_an_ellipse_or_a_hyperbola() -> None:
    parabola = ([[1, -2], [-2, 4]], [1, -1], -1)
    assert classify(*parabola).name == "parabola"
    ellipse = perturbed_reduction(*parabola, Fraction(1, 100))
    assert ellipse.name == "ellipse"
    assert ellipse.k == sp.Rational(100, 5) + 1 + sp.Rational(9, 5) / (5 + sp.Rational(1, 100))
    assert perturbed_reduction(*parabola, Fraction(-1, 100)).name == "hyperbola"


def test_arguments_may_be_sympy_matrices() -> None:
    assert classify(sp.eye(2), sp.Matrix([0, 0]), sp.Rational(-1, 2)).name == "ellipse"


@pytest.mark.parametrize(
    "A, b, c, message",
    [
        ([], [], 1, "A must be 2×2 or 3×3"),
        ([[1]], [0], 1, "A must be 2×2 or 3×3"),
        ([[1, 0], [0]], [0, 0], 1, r"rows of lengths \[2, 1\]"),
        ([[1, 0, 0], [0, 1, 0]], [0, 0], 1, "A must be 2×2 or 3×3"),
        (5, [0, 0], 1, "A must be a matrix"),
        ([[1, 2], [3, 1]], [0, 0], 1, r"symmetric, got A\[1, 0\] = 3 and A\[0, 1\] = 2"),
        ([[1, 0], [0, 1]], [0, 0, 0], 1, "b must have as many entries as A has rows, 2, got 3"),
        ([[1, 0], [0, 1]], 7, 1, "b must be a vector of length 2, got 7"),
        ([[1.0, 0], [0, 1]], [0, 0], 1, r"A\[0, 0\] must be an exact rational number .* got 1.0"),
        ([[1, 0], [0, 1]], [0, math.nan], 1, r"b\[1\] must be an exact rational number .* got nan"),
        ([[1, 0], [0, 1]], [0, 0], math.inf, "c must be an exact rational number"),
        ([[1, 0], [0, 1]], [0, 0], 1j, "c must be an exact rational number"),
        ([[1, 0], [0, sp.sqrt(2)]], [0, 0], 1, r"A\[1, 1\] must be an exact rational number"),
        ([[sp.Symbol("a"), 0], [0, 1]], [0, 0], 1, r"A\[0, 0\] must be an exact rational number .* got a"),
    ],
)
@pytest.mark.parametrize("function", [reduce_quadric, classify, canonical_limit])
def test_bad_equations_are_refused_by_name(function, A, b, c, message) -> None:
    with pytest.raises(ValueError, match=message):
        function(A, b, c)


@pytest.mark.parametrize(
    "eps, message",
    [(0, "eps must not be 0"), (-5, "-eps = 5 is an eigenvalue of A"), (0.1, "eps must be an exact rational number")],
)
def test_bad_perturbations_are_refused(eps, message) -> None:
    with pytest.raises(ValueError, match=message):
        perturbed_reduction([[1, -2], [-2, 4]], [1, -1], -1, eps)
