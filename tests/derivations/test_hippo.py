"""The exact functions of derivations/hippo: properties for random rational input; errors that name what is wrong."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.hippo import (
    exclusive_scan,
    legs_matvec,
    legs_propagator,
    legs_solve,
    pade,
    scale_modes,
    transition,
    window_modes,
)

fractions = st.fractions(-3, 3, max_denominator=12)


@given(st.lists(fractions, min_size=1, max_size=6), st.sampled_from(["paper", "article", "lmu"]))
@settings(max_examples=20)
def test_running_sums_are_the_matrix(v, norm):
    A, _ = transition("legs", len(v), norm=norm)
    v = [sp.Rational(e.numerator, e.denominator) for e in v]
    fast = legs_matvec(v, "lmu" if norm == "lmu" else "paper")
    assert all(sp.expand(x - y) == 0 for x, y in zip(A * sp.Matrix(v), fast, strict=True))


@given(st.lists(fractions, min_size=1, max_size=8), st.fractions(0, 2, max_denominator=9))
def test_solve_inverts_matvec(v, step):
    z = legs_solve(v, step, "lmu")
    assert [a - step * b for a, b in zip(z, legs_matvec(z, "lmu"), strict=True)] == v


ratios = st.fractions(Fraction(1, 9), 1, max_denominator=9)


@given(st.integers(1, 5), ratios, ratios)
@settings(max_examples=20)
def test_propagators_are_a_semigroup(N, first, second):
    assert legs_propagator(N, first) * legs_propagator(N, second) == legs_propagator(N, first * second)


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 32])
def test_scan_of_concatenation_keeps_the_order(count):
    items = [chr(97 + i) for i in range(count)]
    before, whole = exclusive_scan(items, lambda a, b: a + b, "")
    assert before == ["", *accumulate(items)][:-1] and whole == "".join(items)


def test_pade_of_the_exponential_is_the_textbook_one():
    top, bottom = pade(1, 2)
    assert [str(c) for c in top.coeffs()] == ["1", "-1/3"]
    assert [str(c) for c in bottom.coeffs()] == ["1", "2/3", "1/6"]


@pytest.mark.parametrize(("measure", "modes"), [("fout", window_modes(2, 3)), ("fourier_scale", scale_modes(2))])
def test_real_fourier_matrices_are_real_and_similar_to_the_modes(measure, modes):
    A, B = transition(measure, 5, window=3)
    assert all(e.is_real for e in [*A, *B])
    for point in (sp.Rational(1, 2), sp.Integer(3)):
        dets = [(e - point * sp.eye(5)).det(method="berkowitz") for e in (A, modes[0])]
        assert sp.expand(dets[0] - dets[1]) == 0
    assert sp.expand((B.T * B)[0] - (modes[1].H * modes[1])[0]) == 0


def test_glagt_with_standard_parameters_is_lagt():
    assert transition("glagt", 5) == transition("lagt", 5)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: transition("legz", 3), "measure"),
        (lambda: transition("legs", 0), "N must be a whole number ≥ 1, got 0"),
        (lambda: transition("legs", 2.0), "N must be"),
        (lambda: transition("legs", True), "N must be"),
        (lambda: transition("legt", 3, window=0), "window must be exact, finite and > 0, got 0"),
        (lambda: transition("legt", 3, window=0.5), "window must be exact"),
        (lambda: transition("legt", 3, norm="other"), "norm must be one of"),
        (lambda: transition("fout", 4), "N must be odd for fout"),
        (lambda: transition("glagt", 4, alpha=-1), "alpha"),
        (lambda: legs_propagator(3, 2), "ratio must be a rational number in"),
        (lambda: legs_propagator(3, 0), "ratio"),
        (lambda: legs_solve([1, 2, 3], Fraction(-1, 2)), "I − step·A is singular"),
        (lambda: legs_matvec([1, 2], "other"), "norm must be one of"),
        (lambda: exclusive_scan([1, 2, 3], max, 0), "power of two"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        call()
