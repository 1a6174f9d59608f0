r"""Flows by simulation: a density that is integrated, the gap of dequantisation, temperature, noise below zero.

Su Jianlin, 《细水长flow之NICE：流模型的基本概念与实现》 and 《细水长flow之RealNVP与Glow：流模型的传承与升华》, 2018,
archives 5776 and 5807.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import E, Rational, erf, erfc, exp, log, pi, sqrt

from kexue import Estimate, ForEach, claim, experiment
from kexue.sampling import Moments


@experiment("mean", chunk=20_000)
def density_in_a_box(chunk, count, power=1):
    """2π/√e times the density of the flow (x₁, x₂e^{x₁/2} + x₁²) where |z₁|, |z₂| ≤ 1, at uniform x of a box.

    The box is [−1, 1] × [−2√e, √e] and holds all of these x; the determinant e^{x₁/2} enters with the given power.
    """
    g = chunk.generator()
    root = np.exp(0.5)
    x1, x2 = g.uniform(-1, 1, count), g.uniform(-2 * root, root, count)
    z2 = x2 * np.exp(x1 / 2) + x1**2
    value = np.exp(-(x1**2 + z2**2) / 2 + power * x1 / 2) / root
    return Moments.of(np.where(np.abs(z2) <= 1, value, 0.0))


@claim(mutants=[dict(power=0), dict(power=-1), dict(value=pi * erf(1 / sqrt(2)) / (3 * E))])
def change_of_variables(power=1, value=pi * erf(1 / sqrt(2)) ** 2 / (3 * E)):
    r"""The density of an affine flow of the plane, integrated by uniform points over the preimage of $[-1, 1]^2$, has
    the Gaussian mass $\mathrm{erf}(1/\sqrt2)^2$.

    $z_1 = x_1$, $z_2 = x_2e^{x_1/2} + x_1^2$; the box has the area 6√e and the density is scaled by its maximum √e/2π,
    so that the expected mean is $\pi\,\mathrm{erf}(1/\sqrt2)^2/(3e)$. Mutants: without the determinant; the inverse's.
    """
    return Estimate(density_in_a_box(power=power), value, Rational(1, 40))


@experiment("mean", chunk=20_000)
def log_of_a_slope(chunk, count, slope=1.0):
    """(ln q + ln 2)/ln 3 at uniform u for the density q = 1 + slope·(u − ½) of a cell, slope ≤ 1."""
    u = chunk.generator().random(count)
    return Moments.of((np.log(1 + slope * (u - 0.5)) + np.log(2)) / np.log(3))


@claim(mutants=[dict(mean=0), dict(slope=0.5)])
def dequantisation_bound(mean=Rational(3, 2) * log(Rational(3, 2)) + log(2) / 2 - 1, slope=1.0):
    r"""$E_u\ln q(x+u)$ stays below $\ln Q(x) = 0$ for the density ½ + u of a cell: it is $\tfrac32\ln\tfrac32 +
    \tfrac12\ln2 - 1 = -0.0452$, simulated.

    As (ln q + ln 2)/ln 3, which lies in [0, 1]. Mutants: no gap; a flatter density.
    """
    return Estimate(log_of_a_slope(slope=slope), (mean + log(2)) / log(3), Rational(1, 50))


@experiment("proportion", chunk=50_000)
def accepted_additive(chunk, count, temperature=0.8, exponent=2.0):
    """Samples of the flow x₁ = z₁, x₂ = z₂ + z₁² kept with probability (p/max p)^(T^−exponent − 1), with |x₁| < T."""
    g = chunk.generator()
    z1, z2 = g.standard_normal((2, count))
    x1, x2 = z1, z2 + z1**2
    log_p = -(x1**2 + (x2 - x1**2) ** 2) / 2
    kept = g.random(count) < np.exp((temperature**-exponent - 1) * log_p)
    return int((kept & (np.abs(x1) < temperature)).sum())


COLD = Rational(4, 5)


@claim(mutants=[dict(value=COLD**2 * erf(COLD**2 / sqrt(2))), dict(exponent=1.0)])
def temperature_additive(value=COLD**2 * erf(1 / sqrt(2)), exponent=2.0):
    r"""For an additive flow of the plane $p^{1/T^2}$, drawn by rejection from p, is the law of g(z) with z ~ N(0, T²I):
    at T = 0.8 a share T² is kept, of which $\mathrm{erf}(1/\sqrt2)$ has $|x_1| < T$.

    Mutants: the law $p^{T^2}$ that the Glow paper prints, whose $x_1$ has the standard deviation 1/T; $p^{1/T}$.
    """
    return Estimate(accepted_additive(exponent=exponent), value, Rational(1, 40))


@experiment("proportion", chunk=50_000)
def accepted_affine(chunk, count, temperature=0.8, affine=1.0):
    """Samples of the flow x₁ = z₁, x₂ = z₂e^{−z₁} kept with probability (p/max p)^(1/T² − 1), with x₁ > 1 − T²."""
    g = chunk.generator()
    z1, z2 = g.standard_normal((2, count))
    x1, x2 = z1, z2 * np.exp(-affine * z1)
    log_p = -(x1**2 + (x2 * np.exp(affine * x1)) ** 2) / 2 + affine * x1
    kept = g.random(count) < np.exp((temperature**-2 - 1) * (log_p - affine / 2))
    return int((kept & (x1 > 1 - temperature**2)).sum())


@claim(
    mutants=[
        dict(share=erfc((1 - COLD**2) / (COLD * sqrt(2))) / 2),
        dict(affine=0.0),
    ]
)
def temperature_affine_fails(share=Rational(1, 2), affine=1.0):
    r"""For the affine flow $x_2 = z_2e^{-z_1}$ the law $p^{1/T^2}$ has its centre at $x_1 = 1 - T^2$, not at 0 as
    samples at temperature T: rejection from p at T = 0.8 keeps $T^2e^{-(1-T^2)/2}$, half of it beyond 1 − T².

    Mutants: the share of N(0, T²) beyond 1 − T²; an additive flow.
    """
    return Estimate(accepted_affine(affine=affine), share * COLD**2 * exp(-(1 - COLD**2) / 2), Rational(1, 40))


@experiment("proportion", chunk=50_000)
def clipped_to_zero(chunk, count, low=-0.005, high=0.005):
    """How often clip(u, 0, 1) is 0 for u uniform on [low, high)."""
    u = chunk.generator().uniform(low, high, count)
    return int((np.clip(u, 0.0, 1.0) == 0.0).sum())


@claim(mutants=[dict(value=Rational(9, 20)), dict(low=-0.004), dict(always=0)])
def negative_noise_clip(value=Rational(1, 2), low=-0.005, always=1):
    r"""A zero pixel noised by U[−.005, .005] and clipped to [0, 1] is 0 with probability ½; with U[−.01, 0] always,
    with U[0, .01] never.

    The last two observed in float64 for 10⁶ draws each (a draw of exactly 0 didn't occur). Mutants: 0.45; another
    interval; the two ends exchanged.
    """

    def ends(sign: int) -> tuple[Any, Any]:
        g = np.random.default_rng(0)
        u = sign * g.uniform(0.0, 0.01, 10**6)
        return int((np.clip(u, 0.0, 1.0) == 0.0).sum()), 10**6 * (always if sign < 0 else 1 - always)

    return (
        Estimate(clipped_to_zero(low=low), value, Rational(1, 40)),
        ForEach((-1, 1), ends, over="10⁶ draws of U[−.01, 0] and of U[0, .01]", observed=True),
    )
