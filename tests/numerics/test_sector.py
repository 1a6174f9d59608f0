"""The law of the largest gap, the smallest sector and the common half-space, against brute force and each other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from kexue.derivations.sector import sector_probability, wendel_probability
from kexue.numerics.sector import MaxSpacing, in_common_halfspace, smallest_sector


@pytest.mark.parametrize("n", [2, 3, 7, 100])
def test_survival_is_exact(n: int) -> None:
    law = MaxSpacing(n)
    x = np.linspace(0, 1, 41)
    exact = [float(sector_probability(n, 1 - Fraction(float(v)))) if v < 1 else 0.0 for v in x]
    assert np.allclose(law.sf(x), exact, rtol=1e-12, atol=0)
    assert law.cdf(1 / n) == 0 and law.cdf(1.0) == 1 and (np.diff(law.cdf(x)) >= 0).all()
    assert law.sf(1 / 125) == 1.0  # where a float64 sum would give 0.778 at n = 100


def test_quantiles_and_moments() -> None:
    law = MaxSpacing(5)
    q = np.array([0.01, 0.3, 0.9, 0.999])
    assert np.allclose(law.cdf(law.ppf(q)), q, atol=1e-12)
    x = np.linspace(0.2, 1, 20_001)
    survival = law.sf(x)
    mean = 0.2 + np.trapezoid(survival, x)
    second = 0.04 + np.trapezoid(2 * x * survival, x)
    assert law.mean() == pytest.approx(mean, abs=1e-6) and law.var() == pytest.approx(second - mean**2, abs=1e-6)
    samples = law.rvs(200_000, np.random.default_rng(0))
    assert samples.min() >= 0.2 and abs(samples.mean() - law.mean()) < 6 * np.sqrt(law.var() / 200_000)


def test_smallest_sector_against_all_leaders() -> None:
    rng = np.random.default_rng(1)
    points = rng.standard_normal((200, 6, 2))
    angle, start = smallest_sector(points)
    directions = np.arctan2(points[..., 1], points[..., 0])
    reach = ((directions[:, None, :] - directions[:, :, None]) % (2 * np.pi)).max(axis=2)
    assert np.allclose(angle, reach.min(axis=1))
    assert (((directions - start[:, None] + 1e-9) % (2 * np.pi)) <= angle[:, None] + 2e-9).all()
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    scaled = (points * rng.random((200, 6, 1)) + 0.0)[:, ::-1] @ turn.T
    assert np.allclose(smallest_sector(scaled)[0], angle)


def test_half_spaces() -> None:
    rng = np.random.default_rng(2)
    plane = rng.standard_normal((300, 4, 2))
    assert np.array_equal(in_common_halfspace(plane), smallest_sector(plane)[0] < np.pi)
    assert in_common_halfspace(rng.standard_normal((50, 3, 3))).all() and wendel_probability(3, 3) == 1
    assert not in_common_halfspace(np.array([[1.0, 0], [-1.0, 0]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MaxSpacing(1), "n must be"),
        (lambda: MaxSpacing(2.0), "n must be"),
        (lambda: MaxSpacing(3).sf(np.nan), "NaN"),
        (lambda: MaxSpacing(3).ppf(1.5), "q must be"),
        (lambda: MaxSpacing(3).rvs(0, np.random.default_rng(0)), "size must be"),
        (lambda: smallest_sector([[0.0, 0.0], [1.0, 0.0]]), "point at 0"),
        (lambda: smallest_sector([[1.0, 0.0, 0.0]]), "shape"),
        (lambda: smallest_sector([[np.inf, 0.0]]), "finite"),
        (lambda: in_common_halfspace([1.0, 2.0]), "shape"),
        (lambda: sector_probability(0, Fraction(1, 2)), "n must be"),
        (lambda: sector_probability(3, 0.5), "float"),
        (lambda: sector_probability(3, Fraction(-1)), "turn must be"),
        (lambda: wendel_probability(3, 0), "d must be"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
