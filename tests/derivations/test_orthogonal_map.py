"""The exact public functions of the article on orthogonal matrices between unit vectors."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy import Rational, sqrt

from kexue.derivations.orthogonal_map import KINDS, coefficients, orthogonal_map, unit_vector

coordinates = st.fractions(min_value=-3, max_value=3, max_denominator=4)


@st.composite
def pairs(draw, least: int = 1, most: int = 5):
    """Rational unit vectors a, b of one dimension; with a sign, so that −e₁ can occur."""
    n = draw(st.integers(least, most))
    found = []
    for _ in range(2):
        sign = draw(st.sampled_from((1, -1)))
        found.append(tuple(sign * e for e in unit_vector(*draw(st.lists(coordinates, min_size=n - 1, max_size=n - 1)))))
    return tuple(found)


def column(v):
    return sp.Matrix(list(v))


@given(pairs())
@settings(max_examples=40)
def test_auto_takes_every_a_to_every_b(pair):
    a, b = pair
    T = orthogonal_map(a, b)
    assert T * T.T == sp.eye(len(a))
    assert T * column(a) == column(b) and T * column(b) == column(a)


@pytest.mark.parametrize("kind", KINDS)
@given(pair=pairs(least=2))
@settings(max_examples=20)
def test_each_kind_is_orthogonal_with_its_determinant(kind, pair):
    a, b = pair
    cosine = column(a).dot(column(b))
    assume(abs(cosine) != 1)
    n = len(a)
    T = orthogonal_map(a, b, kind)
    assert T * T.T == sp.eye(n) and T * column(a) == column(b)
    sign = {"rotation": 1, "householder": -1, "half_turn": (-1) ** (n - 1), "neg_rotation": (-1) ** n}[kind]
    assert T.det() == sign


@given(pairs(least=3, most=3))
@settings(max_examples=20)
def test_rotation_in_three_dimensions_is_rodrigues(pair):
    a, b = (column(v) for v in pair)
    assume(a.dot(b) != -1)
    axis = a.cross(b)
    K = sp.Matrix([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    assert orthogonal_map(*pair, "rotation") == sp.eye(3) + K + K**2 / (1 + a.dot(b))


@given(st.lists(coordinates, max_size=5))
def test_unit_vectors_have_length_one(t):
    assert sum(e**2 for e in unit_vector(*t)) == 1


def test_coefficients_are_functions_of_the_cosine():
    alpha, m = coefficients("householder", Rational(1, 2))
    assert alpha == 1 and m == sp.Matrix([[-2, 2], [2, -2]])
    alpha, m = coefficients("rotation")
    c = sp.Symbol("c", real=True)
    assert alpha == 1 and sp.cancel(m[1, 0] - (2 - 1 / (1 + c))) == 0


def test_one_dimension():
    assert orthogonal_map([1], [1]) == sp.Matrix([[1]]) and orthogonal_map([1], [-1]) == sp.Matrix([[-1]])
    assert orthogonal_map([1], [1], "rotation") == sp.Matrix([[1]])
    with pytest.raises(ValueError, match=r"kind='rotation' has determinant \+1 for d = 1.*use .auto."):
        orthogonal_map([1], [-1], "rotation")
    with pytest.raises(ValueError, match="kind='householder' has determinant -1 for d = 1"):
        orthogonal_map([1], [1], "householder")


def test_irrational_vectors():
    a, b = (1 / sqrt(2), 1 / sqrt(2)), (sqrt(3) / 2, Rational(1, 2))
    T = orthogonal_map(a, b, "rotation")
    assert (T * column(a) - column(b)).applyfunc(sp.radsimp).expand().is_zero_matrix


@pytest.mark.parametrize(
    ("kind", "sign", "where"),
    [
        ("rotation", -1, "b = -a"),
        ("half_turn", -1, "b = -a"),
        ("householder", 1, "b = a"),
        ("neg_rotation", 1, "b = a"),
    ],
)
def test_singular_pairs_suggest_auto(kind, sign, where):
    a = (Fraction(3, 5), Fraction(4, 5))
    with pytest.raises(ValueError, match=rf"isn't defined at {where} .*use .auto."):
        orthogonal_map(a, [sign * e for e in a], kind)
    with pytest.raises(ValueError, match=f"cosine must not be {sign} for kind='{kind}'"):
        coefficients(kind, sign)


@pytest.mark.parametrize(
    ("a", "b", "kind", "message"),
    [
        ((1, 1), (1, 0), "auto", "a must be a unit vector, got squared length 2"),
        ((1, 0), (0, 0), "auto", "b must be a unit vector, got the zero vector"),
        ((1, 0), (1, 0, 0), "auto", "a and b must have one dimension, got 2 and 3"),
        ((), (), "auto", "a must have at least one entry, got none"),
        ((0.6, 0.8), (1, 0), "auto", r"a\[0\] must be exact"),
        ((1, 0), (sp.I, sqrt(2)), "auto", r"b\[0\] must be a real number, got I"),
        ((1, 0), (sp.nan, 0), "auto", r"b\[0\] contains nan"),
        ((1, 0), (sp.Symbol("x", real=True), 0), "auto", r"b\[0\] must be a real number, got x"),
        ((1, 0), (0, 1), "reflection", "kind must be one of rotation, .*auto, got 'reflection'"),
    ],
)
def test_bad_input(a, b, kind, message):
    with pytest.raises(ValueError, match=message):
        orthogonal_map(a, b, kind)


def test_bad_kind_of_coefficients_and_inexact_parameters():
    with pytest.raises(ValueError, match=r"kind must be one of .*, got 'auto'"):
        coefficients("auto")
    with pytest.raises(ValueError, match=r"t\[1\] must be exact"):
        unit_vector(1, 0.5)
