"""The exact functions of derivations/transformer_vq: properties for random integer input, and errors that name what is
wrong.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.transformer_vq import (
    block_recursion,
    encoder,
    exponentials,
    lloyd_step,
    nearest_codes,
    outputs,
    quadratic,
    quantisation_error,
    ste_key_gradient,
    token_recursion,
    windowed_recursion,
)

small = st.integers(-2, 2)


def vectors(rows: st.SearchStrategy[int] | int, width: int = 2) -> st.SearchStrategy[list[list[int]]]:
    row = st.lists(small, min_size=width, max_size=width)
    if isinstance(rows, int):
        return st.lists(row, min_size=rows, max_size=rows)
    return rows.flatmap(lambda n: st.lists(row, min_size=n, max_size=n))


@st.composite
def instances(draw):
    n = draw(st.integers(1, 9))
    queries, keys, values = draw(vectors(n)), draw(vectors(n)), draw(vectors(n))
    codebook = draw(vectors(st.integers(1, 4)))
    return queries, keys, values, codebook


@settings(max_examples=60, deadline=None)
@given(instances(), st.integers(1, 10), st.lists(st.integers(-3, 3), max_size=6))
def test_all_decoders_agree(instance, length, bias):
    queries, keys, values, codebook = instance
    E, z = exponentials(queries, codebook), nearest_codes(keys, codebook)
    expected = quadratic(E, z, values)
    assert token_recursion(E, z, values) == expected
    assert block_recursion(E, z, values, length) == expected
    factors = [Fraction(2) ** b for b in bias[: length + 1]]
    assert windowed_recursion(E, z, values, length, factors) == quadratic(E, z, values, factors)
    assert encoder(E, z, values) == quadratic(E, z, values, causal=False)


@settings(max_examples=40, deadline=None)
@given(instances(), st.randoms(use_true_random=False))
def test_renaming_the_codes_changes_nothing(instance, random):
    queries, keys, values, codebook = instance
    z = nearest_codes(keys, codebook)
    order = list(range(len(codebook)))
    random.shuffle(order)  # code s becomes order[s]
    renamed = [codebook[order.index(s)] for s in range(len(codebook))]
    got = token_recursion(exponentials(queries, renamed), [order[s] for s in z], values)
    assert outputs(got) == outputs(token_recursion(exponentials(queries, codebook), z, values))


@settings(max_examples=40, deadline=None)
@given(instances())
def test_a_codebook_of_all_keys_quantises_nothing(instance):
    queries, keys, values, _ = instance
    z = nearest_codes(keys, keys)
    assert [keys[s] for s in z] == keys
    direct = quadratic(exponentials(queries, keys), list(range(len(keys))), values)
    assert quadratic(exponentials(queries, keys), z, values) == direct


@settings(max_examples=40, deadline=None)
@given(vectors(st.integers(1, 12)), vectors(st.integers(1, 4)))
def test_lloyd_never_increases_the_error(points, codebook):
    assert quantisation_error(points, lloyd_step(points, codebook)) <= quantisation_error(points, codebook)


def test_a_gradient_by_hand():
    """One code: all weights are equal, so the gradient of k_j is Σ_{i≥j} g_i (v_j − mean of v_0..v_i) q_i / (i + 1)."""
    E, z = exponentials([[1], [2]], [[0]]), [0, 0]
    got = ste_key_gradient(E, [[1], [2]], z, [[3], [5]], [[1], [1]])
    assert got == [[Fraction(-1)], [Fraction(1)]]


def test_ties_go_to_the_lowest_code():
    assert nearest_codes([[0, 0]], [[1, 0], [0, 1], [-1, 0]]) == [0]


ONES = [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quadratic(ONES, [0, 2], ONES), r"codes must be integers in 0..1, got 2"),
        (lambda: encoder(ONES, [0, Fraction(1)], ONES), "codes must be integers"),
        (lambda: encoder(ONES, [0, True], ONES), "codes must be integers in 0..1, got True"),
        (lambda: token_recursion(ONES, [0], ONES), "one row for each of n ≥ 1 tokens, got 2, 1, 2"),
        (lambda: block_recursion(ONES, [0, 1], ONES, 0), "length must be at least 1, got 0"),
        (lambda: windowed_recursion(ONES, [0, 1], ONES, 1, [1, 2, 3]), r"at most length \+ 1 = 2 factors, got 3"),
        (lambda: nearest_codes([[1, 2]], []), "codebook must have at least one row"),
        (lambda: nearest_codes([[1]], [[1, 2]]), "keys must have the length 2 of the codebook's rows, got 1"),
        (lambda: exponentials([[0.5]], [[1]]), "queries must have integer entries, got 0.5"),
        (lambda: outputs([[1, 0]]), "row 0 must have a non-zero denominator: all its keys are masked"),
        (lambda: ste_key_gradient(ONES, ONES, [0, 1], ONES, [[1, 1]]), "grads must have 2 rows of length 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
