"""The random flows behind the figures: inverses, log-determinants, and what the curves must show."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

from kexue.numerics.flows.figures import (
    DIMENSIONS,
    RandomFlow,
    dequantisation_gap,
    figures,
    filament,
    log_density_at,
    round_trip_error,
)


@pytest.mark.parametrize("affine", [False, True])
def test_log_determinant_against_differences(affine):
    flow = RandomFlow.draw(3, affine)
    x = np.random.default_rng(5).standard_normal((1, DIMENSIONS))
    step = 1e-5 * np.eye(DIMENSIONS)
    J = (flow.forward(x + step)[0] - flow.forward(x - step)[0]) / 2e-5
    assert flow.forward(x)[1][0] == pytest.approx(np.linalg.slogdet(J)[1], abs=1e-8)
    assert (flow.forward(x)[1] != 0).all() == affine


def test_round_trips_lose_more_with_depth_and_in_single_precision():
    for affine in (False, True):
        assert round_trip_error(4, affine, np.float64) < 1e-13 < round_trip_error(4, affine, np.float32) < 1e-4
        assert round_trip_error(32, affine, np.float64) > 10 * round_trip_error(1, affine, np.float64)


def test_additive_flows_have_the_exact_mean_at_each_temperature():
    for t in (0.5, 1.0):
        values = log_density_at(t, affine=False)
        expected = -DIMENSIONS / 2 * (np.log(2 * np.pi) + t * t)
        assert abs(values.mean() - expected) < 5 * values.std() / len(values) ** 0.5


def test_the_gap_is_positive_and_tends_to_its_leading_term():
    for deviation in (0.2, 1.0, 10.0):
        assert dequantisation_gap(deviation) > 0
    assert dequantisation_gap(20.0) * 24 * 400 == pytest.approx(1, rel=1e-2)


def test_no_generator_falls_below_the_least_mass():
    for steepness in (1.0, 10.0, 60.0):
        constant, mass = filament(steepness)
        least = erf(0.5 / (constant * 2**0.5))
        assert mass > least - 5 * (least / 200_000) ** 0.5


def test_figures_are_drawn():
    found = figures()
    assert set(found) == {"round-trip", "dequantisation-gap", "temperatures", "filament", "multiply-adds"}
    for figure in found.values():
        figure.canvas.draw()
