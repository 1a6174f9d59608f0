"""The exact functions of derivations/flows: properties for random sizes and matrices, and errors that name what is
wrong.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.derivations.flows import (
    bits_per_dimension,
    checkerboard_mask,
    glow_macs,
    glow_parameters,
    multiscale_shapes,
    nice_parameters,
    plu,
    squeeze_index,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3))
def test_squeezing_is_the_reshape_of_glow(rows, columns, channels, factor):
    h, w = rows * factor, columns * factor
    image = np.arange(h * w * channels)
    blocks = image.reshape(rows, factor, columns, factor, channels).transpose(0, 2, 4, 1, 3)
    assert squeeze_index(h, w, channels, factor) == blocks.ravel().tolist()


def test_the_checkerboard_has_no_equal_neighbours():
    mask = np.array(checkerboard_mask(4, 5))
    assert mask[0, 0] == 0 and (mask[1:] != mask[:-1]).all() and (mask[:, 1:] != mask[:, :-1]).all()


@st.composite
def matrices(draw):
    size = draw(st.integers(1, 5))
    entry = st.integers(-3, 3)
    return draw(st.lists(st.lists(entry, min_size=size, max_size=size), min_size=size, max_size=size))


@settings(max_examples=80, deadline=None)
@given(matrices())
def test_plu_multiplies_to_the_matrix(rows):
    P, L, U = (sp.Matrix(m) for m in plu(rows))
    assert P * L * U == sp.Matrix(rows) and P.T * P == sp.eye(len(rows))
    assert L.is_lower and U.is_upper and all(L[i, i] == 1 for i in range(len(rows)))
    assert all(abs(x) <= 1 for x in L)  # what the choice of the largest pivot gives
    assert abs(sp.prod(U[i, i] for i in range(len(rows)))) == abs(sp.Matrix(rows).det())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_shapes_keep_all_entries(levels, rows, columns, channels):
    h, w = rows * 2**levels, columns * 2**levels
    shapes = multiscale_shapes(h, w, channels, levels)
    assert len(shapes) == levels and sum(a * b * c for a, b, c in shapes) == h * w * channels


def test_macs_are_linear_in_steps_and_pixels():
    once = glow_macs(8, 8, 3, 2, 1, 16)
    assert glow_macs(8, 16, 3, 2, 5, 16) == [10 * m for m in once]
    assert all(a < b for a, b in zip(glow_macs(8, 8, 3, 2, 1, 16, "additive"), once, strict=True))


def test_published_configurations():
    """Counts of the official layout: CIFAR-10, ImageNet-32 and 64, CelebA-HQ-256."""
    assert glow_parameters(3, 3, 32, 512) == 44_603_604
    assert glow_parameters(3, 3, 32, 512, edge=False) == 44_135_856
    assert glow_parameters(3, 3, 48, 512) == 66_861_588
    assert glow_parameters(3, 4, 48, 512) == 112_377_540
    assert glow_parameters(3, 6, 32, 512, "additive") == 175_099_620
    assert nice_parameters(784, 4, 1000, 5) == 4 * 4_789_392


def test_bits_of_a_uniform_image():
    assert bits_per_dimension(0, 3072) == 8 and bits_per_dimension(0, 3072, 5) == 5
    assert sp.simplify(bits_per_dimension(12 * sp.log(2), 12)) == 7
    assert bits_per_dimension(Fraction(3, 2), 1, 0) == -sp.Rational(3, 2) / sp.log(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: squeeze_index(5, 4, 1), "height must be a multiple of factor = 2, got 5"),
        (lambda: squeeze_index(4, 4, 0), "channels must be an integer ≥ 1, got 0"),
        (lambda: checkerboard_mask(2, True), "width must be an integer ≥ 1, got True"),
        (lambda: multiscale_shapes(8, 12, 3, 3), r"width must be a multiple of 2\^levels = 8, got 12"),
        (lambda: multiscale_shapes(8, 8, 3, 0), "levels must be an integer ≥ 1, got 0"),
        (lambda: glow_macs(8, 8, 3, 1, 1, 4, "linear"), "coupling must be one of affine, additive, got 'linear'"),
        (lambda: glow_macs(6, 8, 3, 2, 1, 4), r"height must be a multiple of 2\^levels = 4, got 6"),
        (lambda: glow_parameters(3, 3, 0, 512), "steps must be an integer ≥ 1, got 0"),
        (lambda: nice_parameters(783, 4, 1000, 5), "dimensions must be even"),
        (lambda: plu([[1, 2]]), "matrix must be square"),
        (lambda: plu([]), "matrix must be square"),
        (lambda: plu([[0.5]]), "matrix must have integers or Fractions as entries, got 0.5"),
        (lambda: bits_per_dimension(1.5, 2), "log_likelihood must be an exact real number, got 1.5"),
        (lambda: bits_per_dimension(sp.nan, 2), "log_likelihood must be an exact real number, got nan"),
        (lambda: bits_per_dimension(sp.Symbol("x", real=True), 2), "log_likelihood must be an exact real number"),
        (lambda: bits_per_dimension(1, 0), "dimensions must be an integer ≥ 1, got 0"),
        (lambda: bits_per_dimension(1, 2, -1), "bits must be an integer ≥ 0, got -1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
