"""The exact functions of Fourier densities: against integrals, against one another, and bad input."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from sympy import I, Rational, pi

from kexue.derivations.fourier_density import (
    autocorrelation,
    cdf,
    collision,
    convolve,
    density,
    mean,
    peak_bound,
    penalty,
    resolution_bound,
    second_moment,
    spectral_factor,
    toeplitz,
    trig_moment,
)

x = sp.Symbol("x", real=True)
A = (3 + I, 2 - I, 1)


def test_the_series_is_the_squared_modulus():
    assert autocorrelation(A) == [16, 7 + 4 * I, 3 + I]
    point = Rational(1, 3)
    amplitude = sum(a * sp.exp(-I * pi * k * point) for k, a in enumerate(A))
    expected = sp.expand(amplitude * sp.conjugate(amplitude), complex=True) / 32
    assert sp.simplify(density(A, point) - expected) == 0


def test_integrals():
    p = density(A, x)
    assert sp.integrate(p, (x, -1, 1)) == 1
    assert sp.expand(sp.integrate(p, (x, -1, 1)) - cdf(A, 1) + cdf(A, -1)) == 0
    assert sp.simplify(sp.integrate(sp.expand(x * p), (x, -1, 1)) - mean(A)) == 0
    assert sp.simplify(sp.integrate(sp.expand(x**2 * p), (x, -1, 1)) - second_moment(A)) == 0
    assert sp.simplify(sp.integrate(sp.expand(p**2), (x, -1, 1)) - collision(A)) == 0
    assert sp.simplify(sp.integrate(sp.expand(sp.diff(p, x) ** 2), (x, -1, 1)) - penalty(A)) == 0
    assert sp.simplify(penalty(A, "f") - penalty(A) * (2 * 16) ** 2) == 0
    assert sp.simplify(sp.diff(cdf(A, x), x) - p) == 0


def test_bounds_are_attained():
    assert density((1, 1, 1, 1), 0) == peak_bound(3) == 2
    assert trig_moment((1, 1), 1) == resolution_bound(1) == Rational(1, 2)
    assert trig_moment(A, 3) == 0 and trig_moment(A, -1) == sp.conjugate(trig_moment(A, 1))
    assert resolution_bound(7, 3) == sp.cos(pi / 4)


def test_toeplitz_sections_are_hermitian_and_extended_by_zeros():
    section = toeplitz(autocorrelation(A), 5)
    assert section == section.H
    assert section[0, 3] == section[4, 0] == 0
    assert all(section[:size, :size].det() > 0 for size in range(1, 6))


def test_convolution():
    assert convolve((1, I), (2, 3)) == [2, 3 + 2 * I, 3 * I]
    assert convolve((Fraction(1, 2),), (4,)) == [2]


def test_the_spectral_factor_is_certified():
    series = autocorrelation(A)
    factor = spectral_factor(series)
    found = [sum(p * q.conjugate() for p, q in zip(factor, factor[n:], strict=False)) for n in range(3)]
    assert all(abs(complex(ball) - complex(exact)) < 1e-12 for ball, exact in zip(found, series, strict=True))
    assert all(float(value.rad()) < 1e-30 for value in factor)
    zeros = sp.Poly([complex(value.mid()) for value in factor[::-1]], sp.Symbol("z")).nroots()
    assert all(abs(zero) > 1 for zero in zeros)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autocorrelation([1.5]), "a must hold exact Gaussian rationals, got 1.5"),
        (lambda: autocorrelation([sp.sqrt(2)]), "a must hold exact Gaussian rationals"),
        (lambda: autocorrelation([]), "a must have at least one coefficient"),
        (lambda: density([0, 0]), "a must not be zero"),
        (lambda: toeplitz([1, 2], 0), "size must be a positive integer, got 0"),
        (lambda: toeplitz([I], 2), "c_0 must be real"),
        (lambda: penalty([1], "q"), "on must be"),
        (lambda: peak_bound(-1), "degree must be an integer ≥ 0, got -1"),
        (lambda: resolution_bound(3, 0), "order must be a positive integer, got 0"),
        (lambda: spectral_factor([1 + I, 1]), "must be Hermitian"),
        (lambda: spectral_factor([1, 1]), r"f must be positive everywhere; .* x = -1.0000, where f = -1"),
        (lambda: spectral_factor([2, 1]), "double zero"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
