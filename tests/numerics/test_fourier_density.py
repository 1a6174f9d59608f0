"""Functions behind the Fourier density's figures and its comparison with other methods."""

from __future__ import annotations

import numpy as np
import pytest

from kexue.numerics.fourier_density.comparison import (
    compare_fits,
    em_fit,
    found_modes,
    gaussian_mixture,
    maxima,
    normal,
    table,
    targets,
)
from kexue.numerics.fourier_density.experiments import cdf, density, fejer_mean, series_cdf


def test_the_two_distribution_functions_agree():
    a = (3 + 1j, 2 - 1j, 0.5, 1 + 2j)
    x = np.linspace(-1, 1, 33)
    assert np.abs(cdf(a, x) - series_cdf(a, x)).max() < 1e-6
    assert abs(density(a, np.linspace(-1, 1, 8)[:-1]).mean() * 2 - 1) < 1e-14  # 7 = 2N + 1 nodes


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_targets_are_densities_and_sampled_as_such(target):
    x = target.nodes()
    mass = target.density(x) * (x[1] - x[0])
    assert abs(mass.sum() - 1) < 1e-3
    samples = target.sample(20_000, 0)
    assert abs(samples.mean() - (mass * x).sum()) < 0.02
    assert target.low <= samples.min() and samples.max() <= target.high


def test_fejer_means_average_at_the_jump():
    assert np.abs(fejer_mean(20, np.array([-1.0, 1.0])) - 0.5).max() < 1e-14


def test_expectation_maximisation_finds_two_components():
    g = np.random.default_rng(0)
    x = np.concatenate([g.normal(-1, 0.2, 2000), g.normal(1, 0.4, 2000)])
    at = np.linspace(-3, 3, 601)
    truth = (normal(at, -1, 0.2) + normal(at, 1, 0.4)) / 2
    assert np.abs(np.exp(em_fit(x, 0, components=2)(at)) - truth).max() < 0.06


def test_modes_are_matched_one_by_one():
    x = np.linspace(0, 1, 1001)
    p = normal(x, 0.3, 0.05) + normal(x, 0.7, 0.05)
    modes = maxima(x, p)
    assert np.abs(modes - [0.3, 0.7]).max() < 2e-3
    assert found_modes(modes, np.array([0.31])) == 1
    assert found_modes(modes, np.array([])) == 0


def test_a_row_of_the_comparison():
    pytest.importorskip("torch")
    rows = compare_fits(2000, (0,), ("Fourier, L-BFGS", "Fejér kernel"), [gaussian_mixture(10)])
    assert [row["method"] for row in rows] == ["Fourier, L-BFGS", "Fejér kernel"]
    assert 0 < rows[0]["kl"] < rows[1]["kl"] < 1
    assert table(rows).count("\n") == 2
