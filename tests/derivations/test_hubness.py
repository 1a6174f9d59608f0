"""The exact public functions of the article on hubness."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.hubness import (
    angle_cumulant,
    angle_variance,
    ball_cube_share,
    ball_volume,
    cosine_distance,
    gini,
    k_occurrence_exact,
    one_factor_correlation,
    orthogonality_tail,
    robin_hood,
)

grids = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=9)
distinct = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=9, unique=True)


def test_volumes_and_shares():
    assert [ball_volume(n) for n in (1, 2, 3)] == [2, sp.pi, 4 * sp.pi / 3]
    assert ball_cube_share(3) == sp.pi / 6


def test_variance_is_the_second_cumulant():
    for n in range(2, 12):
        assert sp.expand(angle_cumulant(n, 2) - angle_variance(n)) == 0


def test_tail_in_three_dimensions_is_linear():
    assert orthogonality_tail(3, Fraction(1, 4)) == Fraction(3, 4)
    assert [orthogonality_tail(9, e) for e in (Fraction(0), Fraction(1))] == [1, 0]


@given(grids, st.integers(1, 2))
@settings(max_examples=50)
def test_counts_sum_to_nk_even_with_duplicates(points, k):
    assert sum(k_occurrence_exact(points, k)) == k * len(points)


@given(distinct)
@settings(max_examples=50)
def test_at_most_six_in_the_plane(points):
    assert max(k_occurrence_exact(points, 1)) <= 6


@given(st.lists(st.integers(0, 9), min_size=2, max_size=8).filter(any))
def test_measures_are_shares(counts):
    assert 0 <= robin_hood(counts) <= gini(counts) <= 1 - Fraction(1, len(counts))


def test_correlation_of_the_limit_law():
    assert one_factor_correlation(Fraction(9, 5)) == Fraction(1, 6)


def test_cosine_distance_orders_like_the_cosine():
    near, far, behind = (cosine_distance((1, 0), v) for v in ((2, 1), (1, 2), (-1, 1)))
    assert near < far < behind


@pytest.mark.parametrize("call", [
    lambda: ball_volume(0), lambda: ball_cube_share(2.0), lambda: angle_variance(1), lambda: angle_variance(True),
    lambda: angle_cumulant(3, 3), lambda: orthogonality_tail(4, Fraction(1, 2)),
    lambda: orthogonality_tail(5, Fraction(3, 2)), lambda: one_factor_correlation(Fraction(1, 2)),
    lambda: k_occurrence_exact([(0, 0)], 1), lambda: k_occurrence_exact([(0,), (1,)], 2),
    lambda: k_occurrence_exact([(0,), (1,)], 0),
])  # fmt: skip
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()
