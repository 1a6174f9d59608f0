"""The exact optimisers of the article on Lion."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.lion import (
    box,
    lion_bound,
    lion_step,
    lion_trajectory,
    state_numbers,
    tiger_step,
    tiger_trajectory,
)

numbers = st.fractions(min_value=-5, max_value=5, max_denominator=8)
rates = st.fractions(min_value=Fraction(1, 16), max_value=Fraction(1, 2), max_denominator=16)
betas = st.fractions(min_value=0, max_value=Fraction(7, 8), max_denominator=8)


def test_one_step_by_hand():
    half = Fraction(1, 2)
    after, momentum = lion_step([1, -2, 3], [4, -4, 0], [0, 0, 0], half, half, (half, Fraction(3, 4)))
    assert after == (Fraction(1, 4), -1, Fraction(9, 4)) and momentum == (1, -1, 0)
    assert tiger_step([1, -2, 3], [4, -4, 0], [0, 0, 0], half, half, Fraction(3, 4)) == (after, momentum)


@given(st.lists(numbers, min_size=1, max_size=8), numbers, rates, rates, betas, betas)
@settings(max_examples=60, deadline=None)
def test_trajectories_obey_the_bound(slopes, start, eta, lam, first, second):
    path = lion_trajectory(lambda t, at: [slopes[t - 1]], [start], len(slopes), eta, lam, (first, second))
    assert all(abs(at[0]) <= lion_bound(start, eta, lam, t) for t, at in enumerate(path))
    low, high = box(lam)
    if low <= start <= high:
        assert all(low <= at[0] <= high for at in path)


@given(st.lists(numbers, min_size=6, max_size=6), rates, betas)
@settings(max_examples=40, deadline=None)
def test_accumulation_is_the_mean(slopes, eta, beta):
    whole = tiger_trajectory(lambda t, at: [(slopes[2 * t - 2] + slopes[2 * t - 1]) / 2], [1], 3, eta, 0, beta)
    within = tiger_trajectory(lambda t, at: [slopes[t - 1]], [1], 6, eta, 0, beta, group=2)
    assert within[::2] == whole
    assert within[1] == within[0] and within[3] == within[2]


@given(st.lists(numbers, min_size=1, max_size=6), rates, rates, betas)
@settings(max_examples=40, deadline=None)
def test_lion_with_one_beta_is_tiger(slopes, eta, lam, beta):
    def gradient(t, at):
        return [slopes[t - 1] + at[0]]

    args = (gradient, [1], len(slopes), eta, lam)
    assert lion_trajectory(*args, (beta, beta)) == tiger_trajectory(*args, beta)


def test_bounds():
    assert lion_bound(3, Fraction(1, 8), 0, 4) == Fraction(7, 2)
    assert lion_bound(-3, 1, 1, 1) == lion_bound(7, 1, 1, 5) == 1
    assert lion_bound(0, 1, Fraction(3, 2), 2) == Fraction(3, 2)
    assert box(4) == (Fraction(-1, 4), Fraction(1, 4))


def test_state_numbers():
    assert [state_numbers(name, (3, 5)) for name in ("AdamW", "Lion", "Tiger", "AdaFactor")] == [30, 15, 15, 8]
    assert [state_numbers(name, (3, 5), True) for name in ("AdamW", "Lion", "Tiger", "AdaFactor")] == [45, 30, 15, 23]
    assert state_numbers("AdaFactor", (7,)) == 7 and state_numbers("Lion", ()) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lion_step([1], [1], [0], 0), "lr must be > 0, got 0"),
        (lambda: lion_step([1], [1], [0], 0.5), "lr must be exact and finite"),
        (lambda: lion_step([1], [1], [0], 1, 2), "lr·weight_decay must be < 2, got 2: θ diverges"),
        (lambda: lion_step([1], [1], [0], 1, -1), "weight_decay must be ≥ 0, got -1"),
        (lambda: lion_step([1], [1], [0], 1, 0, (0, 1)), r"betas\[1\] must be in \[0, 1\), got 1"),
        (lambda: lion_step([1], [1, 2], [0], 1), "vectors must have one length, got theta 1, gradient 2, momentum 1"),
        (lambda: lion_step([1], [sp.nan], [0], 1), r"gradient\[0\] must be exact"),
        (lambda: tiger_step([1], [1], [0], 1, 0, -1), "beta must be ≥ 0, got -1"),
        (lambda: lion_trajectory(lambda t, at: at, [1], -1, 1), "steps must be an integer ≥ 0, got -1"),
        (lambda: tiger_trajectory(lambda t, at: at, [1], 1, 1, group=0), "group must be an integer ≥ 1, got 0"),
        (lambda: lion_bound(1, 1, 2, 1), "eta·lam must be < 2, got 2"),
        (lambda: lion_bound(1, 1, 1, -1), "t must be an integer ≥ 0, got -1"),
        (lambda: box(0), "lam must be > 0, got 0"),
        (lambda: state_numbers("SGD", (1,)), "optimizer must be one of AdamW, Lion, Tiger, AdaFactor, got 'SGD'"),
        (lambda: state_numbers("Lion", (2, -1)), r"shape\[1\] must be an integer ≥ 0, got -1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
