"""The exact functions of derivations/rope: properties for random rational input, and errors that name what is wrong."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.rope import (
    analyse_generators,
    block_rotation,
    cayley,
    centraliser_dimension,
    layout_permutation,
    score_span_dimension,
    skew_canonical_form,
)

J = sp.Matrix([[0, -1], [1, 0]])


def skew(size: int, entries: list[int]) -> sp.Matrix:
    B, rest = sp.zeros(size, size), iter(entries)
    for row in range(size):
        for column in range(row):
            B[row, column] = next(rest)
            B[column, row] = -B[row, column]
    return B


def skew_matrices(sizes: range, bound: int = 4) -> st.SearchStrategy[sp.Matrix]:
    return st.sampled_from(sizes).flatmap(
        lambda d: st.lists(st.integers(-bound, bound), min_size=d * (d - 1) // 2, max_size=d * (d - 1) // 2).map(
            lambda entries: skew(d, entries)
        )
    )


@given(skew_matrices(range(1, 6)))
@settings(max_examples=25)
def test_cayley_is_orthogonal_with_determinant_1(A):
    O = cayley(A)
    assert O.T * O == sp.eye(A.rows)
    assert O.det() == 1
    assert (O + sp.eye(A.rows)).det() != 0


@given(skew_matrices(range(1, 5), bound=2))
@settings(max_examples=15)
def test_canonical_form_has_the_eigenvalues_and_the_planes(B):
    form = skew_canonical_form(B)
    x = sp.Symbol("x", real=True)
    wanted = sp.prod([x**2 + angle**2 for angle in form.theta]) * x ** (B.rows % 2)
    assert sp.expand(wanted - (x * sp.eye(B.rows) - B).det()) == 0
    assert list(form.theta) == sorted(form.theta, key=lambda e: -e)
    residues = [form.P.T * form.P - sp.eye(B.rows), form.P * form.blocks * form.P.T - B]
    assert all(abs(entry.evalf(30)) < sp.Rational(1, 10**25) for residue in residues for entry in residue)


def test_canonical_form_rebuilds_a_matrix_with_a_double_angle():
    B = sp.Matrix([[0, -1, -2, 1], [1, 0, -1, -2], [2, 1, 0, 1], [-1, 2, -1, 0]])
    form = skew_canonical_form(B)
    assert form.theta == (sp.sqrt(6), sp.sqrt(6))
    assert (form.P * form.blocks * form.P.T).applyfunc(sp.expand) == B


@pytest.mark.parametrize("size", range(2, 42, 2))
def test_layout_permutations_are_inverse_and_pair_the_planes(size):
    there, back = layout_permutation(size, "interleaved", "half"), layout_permutation(size, "half", "interleaved")
    assert [there[p] for p in back] == list(range(size))
    assert all((there[p], there[p + size // 2]) == (2 * p, 2 * p + 1) for p in range(size // 2))
    assert layout_permutation(size, "half", "half") == list(range(size))


def test_layout_permutation_carries_one_rotation_to_the_other():
    angles = sp.symbols("t0:3", real=True)
    S = layout_permutation(6, "interleaved", "half")
    R = block_rotation(angles).extract(S, S)
    for p, angle in enumerate(angles):
        assert (R[p, p], R[p, p + 3], R[p + 3, p]) == (sp.cos(angle), -sp.sin(angle), sp.sin(angle))


@given(skew_matrices(range(2, 7)))
@settings(max_examples=25)
def test_a_generator_commutes_with_its_odd_powers(B):
    found = analyse_generators(B, B**3)
    assert found.relative and found.commuting and found.antisymmetric == (True, True)
    assert centraliser_dimension(B) >= max(found.independent, B.rows // 2)


def test_generators_are_analysed_one_property_at_a_time():
    axes = analyse_generators(sp.diag(J, sp.zeros(2, 2)), sp.diag(sp.zeros(2, 2), J))
    assert axes.relative and axes.locally_injective and axes.independent == 2
    merged = analyse_generators(J, 2 * J)
    assert merged.relative and not merged.locally_injective and merged.independent == 1
    shear = analyse_generators([[0, 1], [0, 0]])
    assert shear.antisymmetric == (False,) and shear.commuting and not shear.relative
    turns = analyse_generators([[0, -1, 0], [1, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    assert turns.antisymmetric == (True, True) and not turns.commuting and not turns.relative


@pytest.mark.parametrize(
    ("B", "dimension"), [(sp.zeros(1, 1), 0), (sp.zeros(4, 4), 6), (sp.diag(J, J), 4), (sp.diag(J, 2 * J), 2)]
)
def test_centraliser(B, dimension):
    assert centraliser_dimension(B) == dimension


@pytest.mark.parametrize(
    ("theta", "dimension"),
    [
        ([1], 2),
        ([0], 1),
        ([0, sp.pi], 2),
        ([1, 1, 1], 2),
        ([1, 1 + 2 * sp.pi], 2),
        ([1, -1], 2),
        ([Fraction(1, 10), 1, sp.pi / 3], 6),
        ([sp.pi / 5, 9 * sp.pi / 5, 3 * sp.pi / 5], 4),
    ],
)
def test_score_span(theta, dimension):
    assert score_span_dimension(theta) == dimension


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cayley([[0, 1], [1, 0]]), r"A must be antisymmetric, but A \+ Aᵀ = \[\[0, 2\], \[2, 0\]\]"),
        (lambda: cayley([[0, 1.5], [-1.5, 0]]), r"A\[0, 1\] must be exact .* got 1.5"),
        (lambda: cayley([[0, sp.I], [-sp.I, 0]]), r"A\[0, 1\] must be real, got I"),
        (lambda: cayley([[0, 1]]), r"A must be square and not empty, got rows of lengths \[2\]"),
        (lambda: cayley(3), "A must be a matrix, got 3"),
        (lambda: skew_canonical_form(sp.zeros(5, 5)), "B must be at most 4×4 .* got 5×5"),
        (lambda: skew_canonical_form([[0, sp.pi], [-sp.pi, 0]]), "B must have rational entries"),
        (lambda: centraliser_dimension([[1]]), r"B must be antisymmetric, but B \+ Bᵀ = \[\[2\]\]"),
        (lambda: analyse_generators(), "generators must hold at least one matrix, got none"),
        (lambda: analyse_generators(J, sp.zeros(3, 3)), r"generators must have one size, got \[2, 3\]"),
        (lambda: layout_permutation(5, "half", "interleaved"), "size must be a positive even integer, got 5"),
        (lambda: layout_permutation(4, "neox", "half"), "source must be one of interleaved, half, got 'neox'"),
        (lambda: layout_permutation(4, "half", "neox"), "target must be one of interleaved, half, got 'neox'"),
        (lambda: score_span_dimension([]), "theta must name at least one frequency, got none"),
        (lambda: score_span_dimension([1, 0.5]), r"theta\[1\] must be an exact real number, got 0.5"),
        (lambda: score_span_dimension([sp.Symbol("x", real=True)]), r"theta\[0\] must be an exact real number, got x"),
        (lambda: block_rotation([]), "angles must name at least one plane, got none"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
