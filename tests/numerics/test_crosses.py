"""The exact uniform sampler and the figures of the article on the cross counting problem."""

from __future__ import annotations

import numpy as np
import pytest

from kexue.derivations.crosses import valid_cross, valid_crosses
from kexue.numerics.crosses import _choices, codes, figures, sample_cross, valid_codes


def test_samples_are_valid_and_reproducible():
    first = sample_cross(20_000, np.random.default_rng(3))
    assert first.shape == (20_000, 16) and first.dtype == np.int8
    assert valid_cross(first).all()
    assert (first == sample_cross(20_000, np.random.default_rng(3))).all()
    assert sample_cross(0, np.random.default_rng(3)).shape == (0, 16)


def test_each_colouring_has_the_same_probability():
    """The first step's weight is the number of completions, so every colouring has the probability 1/27216."""
    rows, cumulative, sizes, _ = _choices()
    weights = np.diff(cumulative, prepend=0)
    completions = np.prod([sizes[rows[:, arm], rows[:, 4 + arm]] for arm in range(4)], axis=0)
    assert cumulative[-1] == 27216 and (weights == completions).all()


@pytest.mark.slow
def test_chi_square_over_all_colourings():
    n = 2_700_000
    places = np.searchsorted(valid_codes(), codes(sample_cross(n, np.random.default_rng(1))))
    counts = np.bincount(places, minlength=27216)
    expected = n / 27216
    df = 27215
    chi = ((counts - expected) ** 2 / expected).sum()
    z = ((chi / df) ** (1 / 3) - (1 - 2 / (9 * df))) / (2 / (9 * df)) ** 0.5  # Wilson and Hilferty
    assert len(counts) == 27216 and abs(z) < 4


def test_codes_are_lexicographic():
    assert (np.diff(valid_codes()) > 0).all() and len(valid_codes()) == len(valid_crosses()[0])


@pytest.mark.parametrize("n", [-1, 2.0, True])
def test_bad_number_is_named(n):
    with pytest.raises(ValueError, match="n must be an integer ≥ 0"):
        sample_cross(n, np.random.default_rng(0))


def test_bad_generator_is_named():
    with pytest.raises(ValueError, match=r"generator must be a numpy\.random\.Generator, got 0"):
        sample_cross(3, 0)


def test_figures_are_drawn():
    found = figures()
    assert set(found) == {"variants", "growth", "orbit-types"}
    for figure in found.values():
        figure.canvas.draw()
