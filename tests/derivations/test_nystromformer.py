"""The exact functions of derivations/nystromformer: properties for random rational input, and errors by name."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.nystromformer import (
    attention,
    filter_residual,
    iterated_inverse,
    matmul,
    multiplications,
    nystrom_attention,
    nystrom_factors,
    power_of_two,
    products,
    pseudo_inverse,
    segment_means,
    softmax,
    step,
)

small = st.integers(-3, 3)


def matrices(rows: st.SearchStrategy[int], columns: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    return st.tuples(rows, columns).flatmap(
        lambda shape: st.lists(
            st.lists(small, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
        )
    )


def transposed(a):
    return [list(column) for column in zip(*a, strict=True)]


@given(matrices(st.integers(1, 4), st.integers(1, 4)))
@settings(max_examples=60, deadline=None)
def test_pseudo_inverse_satisfies_the_penrose_equations(a):
    g = pseudo_inverse(a)
    ag, ga = matmul(a, g), matmul(g, a)
    assert matmul(ag, a) == a
    assert matmul(ga, g) == g
    assert transposed(ag) == ag
    assert transposed(ga) == ga


@given(matrices(st.just(4), st.just(2)), matrices(st.just(4), st.just(2)))
@settings(max_examples=40, deadline=None)
def test_factors_are_row_stochastic_and_one_segment_a_token_is_attention(q, k):
    q, k = [[2 * x for x in row] for row in q], [[2 * x for x in row] for row in k]
    assert all(sum(row) == 1 for factor in nystrom_factors(q, k, 2) for row in factor)
    assert nystrom_attention(q, k, 4) == attention(q, k)


def test_attention_in_the_base_e():
    weights = softmax([[sp.Integer(1), sp.Integer(0)]], sp.exp)
    assert weights == [[sp.E / (sp.E + 1), 1 / (sp.E + 1)]]
    q = [[sp.Integer(1)], [sp.Integer(0)]]
    difference = sp.Matrix(nystrom_attention(q, q, 2, sp.exp)) - sp.Matrix(attention(q, q, sp.exp))
    assert sp.simplify(difference).is_zero_matrix


@pytest.mark.parametrize("scheme", ["razavi", "newton", "chebyshev"])
@given(a=matrices(st.just(2), st.just(2)).filter(lambda a: any(map(any, a))))
@settings(max_examples=20, deadline=None)
def test_residual_of_a_step_is_a_function_of_the_residual(scheme, a):
    """I − AV' is the scheme's polynomial in I − AV, and V stays in the row space: A†AV = V."""
    one = [[1, 0], [0, 1]]
    v = iterated_inverse(a, 0)
    r = [[one[i][j] - x for j, x in enumerate(row)] for i, row in enumerate(matmul(a, v))]
    found = [[one[i][j] - x for j, x in enumerate(row)] for i, row in enumerate(matmul(a, step(v, a, scheme)))]
    r2, r3, r4 = matmul(r, r), matmul(r, r, r), matmul(r, r, r, r)
    razavi = [[(3 * p + q) / 4 for p, q in zip(*rows, strict=True)] for rows in zip(r3, r4, strict=True)]
    assert found == {"razavi": razavi, "newton": r2, "chebyshev": r3}[scheme]
    assert matmul(pseudo_inverse(a), a, step(v, a, scheme)) == step(v, a, scheme)


def test_segment_means():
    assert segment_means([(1, 0), (3, 2), (0, 0), (1, 5)], 2) == [[2, 1], [Fraction(1, 2), Fraction(5, 2)]]
    assert multiplications(4096, 64, 64, 6) == 4 * 4096 * 64 * 64 + 64**3 + 24 * 64**3 + 4096 * 64**2
    assert [products(s) for s in ("razavi", "newton", "chebyshev")] == [4, 2, 3]
    assert filter_residual(Fraction(1, 2), 0) == Fraction(1, 2)


@pytest.mark.parametrize("landmarks", [0, 5, 3, 2.0, -1])
def test_segment_means_names_the_number_of_landmarks(landmarks):
    with pytest.raises(ValueError, match="landmarks must"):
        segment_means([(1,), (2,), (3,), (4,)], landmarks)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="logits must be integers in base 2, got 1/2"):
        power_of_two(Fraction(1, 2))
    with pytest.raises(ValueError, match="a must be square, got 1×2"):
        iterated_inverse([[1, 2]], 1)
    with pytest.raises(ValueError, match="a must not be zero"):
        iterated_inverse([[0, 0], [0, 0]], 1)
    with pytest.raises(ValueError, match="steps must be an integer ≥ 0, got -1"):
        iterated_inverse([[1]], -1)
    with pytest.raises(ValueError, match="scheme must be one of razavi, newton, chebyshev, got 'halley'"):
        iterated_inverse([[1]], 1, "halley")
    with pytest.raises(ValueError, match="a must be exact"):
        pseudo_inverse([[0.5]])
    with pytest.raises(ValueError, match=r"rows must have rows of one length ≥ 1, got lengths \[1, 2\]"):
        segment_means([(1,), (1, 2)], 1)
    with pytest.raises(ValueError, match=r"a must have rows of one length ≥ 1, got lengths \[\]"):
        pseudo_inverse([])
