"""The exact public functions of the article on gradient clipping."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
import sympy as sp
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.gradient_clipping import (
    certified_steps,
    clip_factor,
    gd_iterates,
    h_bound_of_polynomial,
    l0l1_step,
    smallest_l0,
)

norms = st.fractions(min_value=0, max_value=100, max_denominator=20)
positive = st.fractions(min_value=Fraction(1, 20), max_value=100, max_denominator=20)


@given(norms, positive)
def test_forms_are_ordered_and_bounded(norm, gamma):
    hard, soft = clip_factor(norm, gamma), clip_factor(norm, gamma, "soft")
    assert hard / 2 <= soft <= hard <= 1
    assert norm * hard <= gamma and norm * soft < gamma
    logarithmic = clip_factor(norm, gamma, "log")
    assert 0.69 * float(soft) < float(logarithmic) <= float(soft) * (1 + 1e-12)


@given(norms, positive, positive)
def test_soft_clip_is_the_article_step(norm, L0, L1):
    assert l0l1_step(norm, L0, L1) == clip_factor(norm, L0 / L1, "soft") / L0
    logarithmic = clip_factor(norm, L0 / L1, "log")
    assert l0l1_step(norm, L0, L1, "log") == logarithmic / sp.Rational(L0.numerator, L0.denominator)


def test_limits_of_the_steps():
    assert clip_factor(0, 1) == clip_factor(0, 1, "soft") == clip_factor(0, 1, "log") == 1
    assert clip_factor(7, sp.oo) == clip_factor(7, sp.oo, "log") == 1
    assert l0l1_step(7, 2, 0) == l0l1_step(7, 2, 0, "log") == l0l1_step(0, 2, 3, "log") == Fraction(1, 2)
    assert l0l1_step(2, 0, 1, "log") == sp.log(2) / 2


@given(st.integers(3, 7), positive)
@settings(max_examples=30)
def test_smallest_l0_is_attained_and_enclosed(power, L1):
    bound = smallest_l0(power, L1)
    worst = (power - 2) / L1
    assert power * (power - 1) * worst ** (power - 2) == bound + L1 * power * worst ** (power - 1)
    low, high = h_bound_of_polynomial([0] * power + [1], L1)
    assert low <= bound <= high and high - low <= Fraction(1, 2**19)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=6), positive)
@settings(max_examples=50)
def test_polynomial_bound_holds_on_a_grid_and_is_nearly_reached(coefficients, L1):
    low, high = h_bound_of_polynomial(coefficients, L1, bits=10)
    first = [i * c for i, c in enumerate(coefficients)][1:]
    second = [i * c for i, c in enumerate(first)][1:]

    def value(poly, at):
        return sum(c * at**i for i, c in enumerate(poly))

    heights = [abs(value(second, at)) - L1 * abs(value(first, at)) for at in (Fraction(i, 8) for i in range(-80, 81))]
    assert max(heights) <= high and low <= high


def test_polynomial_bound_of_low_degrees():
    assert h_bound_of_polynomial([3]) == h_bound_of_polynomial([3, 5], 0) == (0, 0)
    assert h_bound_of_polynomial([0, 0, -2], 0) == (4, 4)
    assert smallest_l0(2, 0) == smallest_l0(2, 3) == 2 and smallest_l0(4, 2) == 4


def test_iterates_of_the_quartic():
    quartic = lambda x: 4 * x**3  # noqa: E731
    start = Fraction(3, 2)
    threshold = 1 / (2 * start**2)
    assert gd_iterates(quartic, start, threshold, 3) == (start, -start, start, -start)
    assert gd_iterates(quartic, start, threshold / 2, 2) == (start, 0, 0)
    above = gd_iterates(quartic, start, threshold * Fraction(11, 10), 4)
    assert all(abs(b) > abs(a) for a, b in pairwise(above))
    clipped = gd_iterates(quartic, 10, lambda g: l0l1_step(g, 16, 1), 5)
    assert all(0 < b**4 < a**4 for a, b in pairwise(clipped))
    assert gd_iterates(quartic, 1, 1, 0) == (1,)


def test_certified_steps_agree_with_floats():
    count, x = 0, 3.0
    while abs(math.sinh(x)) > 1e-3:
        x -= math.tanh(x) / 2
        count += 1
    assert certified_steps(lambda v: v - v.tanh() / 2, lambda v: abs(v.sinh()), 3, Fraction(1, 1000)) == count
    assert certified_steps(lambda v: v, abs, 3, 1, most=5) is None
    with pytest.raises(ArithmeticError, match="step 0: can't compare"):
        certified_steps(lambda v: v, lambda v: v + arb(0, 1), 1, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clip_factor(1, 0), "gamma must be > 0, got 0"),
        (lambda: clip_factor(1, sp.nan), "gamma must be exact and finite"),
        (lambda: clip_factor(1, 0.5), "gamma must be exact and finite .* got 0.5"),
        (lambda: clip_factor(-1, 1), "norm must be ≥ 0, got -1"),
        (lambda: clip_factor(math.inf, 1), "norm must be exact and finite .* got inf"),
        (lambda: clip_factor(1, 1, "medium"), "form must be one of hard, soft, log, got 'medium'"),
        (lambda: l0l1_step(1, -1, 1), "L0 must be ≥ 0, got -1"),
        (lambda: l0l1_step(1, 1, -1), "L1 must be ≥ 0, got -1"),
        (lambda: l0l1_step(1, 0, 0), "L0 and L1 must not both be 0"),
        (lambda: l0l1_step(0, 0, 1), "norm must be > 0 for L0 = 0"),
        (lambda: l0l1_step(1, 1, 1, "linear"), "rule must be one of article, log, got 'linear'"),
        (lambda: smallest_l0(1, 1), "power must be an integer ≥ 2, got 1"),
        (lambda: smallest_l0(4, 0), "L1 must be > 0 for power = 4"),
        (lambda: h_bound_of_polynomial([]), "coefficients must not be empty"),
        (lambda: h_bound_of_polynomial([1, 0.5]), r"coefficients\[1\] must be exact"),
        (lambda: h_bound_of_polynomial([0, 0, 0, 1], 0), "L1 must be > 0 for degree 3"),
        (lambda: h_bound_of_polynomial([0, 0, 0, 1], 1, -1), "bits must be an integer ≥ 0, got -1"),
        (lambda: gd_iterates(lambda x: x, 1, 0, 1), "step must be > 0, got 0"),
        (lambda: gd_iterates(lambda x: x, 1, lambda g: 0, 1), "step must be > 0, got 0"),
        (lambda: gd_iterates(lambda x: x, 1, 1, -1), "count must be an integer ≥ 0, got -1"),
        (lambda: gd_iterates(lambda x: 0.5, 1, 1, 1), "gradient must be exact"),
        (lambda: gd_iterates(lambda x: x, True, 1, 1), "start must be exact"),
        (lambda: certified_steps(lambda v: v, abs, 1, 0), "tolerance must be > 0, got 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
