"""Likelihoods: the change of variables, dequantisation, bits, the logit, and noise below zero."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, Max, Min, Ne, Rational, erf, exp, log, sqrt

from kexue import Exists, ForAll, ForEach, Identity, Integral, Witnesses, claim

from .._arguments import whole_number
from .common import HALF, Phi, a, alpha, b, r, s, t, x, x2, y


def bits_per_dimension(log_likelihood: Any, dimensions: int, bits: int = 8) -> sp.Expr:
    """Bits per dimension of an image of `bits` bits from the log-density in nats of (image + noise)/2^bits.

    Args:
        log_likelihood: an exact real number: int, Fraction or a SymPy number.
        dimensions: the number D of values of the image, at least 1.
        bits: bits of each value, at least 0; 0 means that the density is that of the unscaled image + noise.

    Raises:
        ValueError: for other arguments.
    """
    whole_number("dimensions", dimensions, 1)
    whole_number("bits", bits, 0)
    value = sp.Rational(log_likelihood) if isinstance(log_likelihood, (int, Fraction)) else log_likelihood
    exact = isinstance(value, sp.Expr) and not value.has(sp.Float, sp.nan) and value.is_real
    if isinstance(log_likelihood, bool) or not exact or value.free_symbols:
        raise ValueError(f"log_likelihood must be an exact real number, got {log_likelihood!r}")
    return -value / (dimensions * log(2)) + bits


@claim(
    mutants=[
        dict(size=lambda d: d),
        dict(power=-1),
        dict(half=1),
    ],
    relies_on=("substitution rule for integrals under a C¹ diffeomorphism of R^D",),
)
def change_of_variables(size=sp.Abs, power=1, half=HALF):
    r"""If z = f(x) is N(0, I) for a C¹ diffeomorphism f of $R^D$, then $\ln q(x) = -\tfrac D2\ln2\pi - \tfrac12
    \|f(x)\|^2 + \ln|\det J_f(x)|$.

    Every D: the logarithm of $(2\pi)^{-D/2}e^{-N/2}J$; that q integrates to 1 is the substitution rule (quoted). Seen
    without it: for D = 1 the distribution functions Φ(f) and 1 − Φ(f) of increasing and decreasing f, with the slope of
    f free; an affine coupling layer, where $\partial_{x_2}\Phi(x_2e^s + t)$ is the density of $x_2$ given $x_1$; a
    linear map of the plane, whose law is N(0, $(A^\top A)^{-1}$); and the exact integral of the decreasing $f = -x -
    x^3$ over [−2, 2]. Mutants: no absolute value; det J of the inverse; $\|f\|^2$ without ½.
    """
    D, N, J, p, q = sp.symbols("D N J p q", real=True)
    F = sp.Function("F")(x)
    slope = sp.diff(F, x)
    A = sp.Matrix([[p, q], [r, s]])
    det = A.det()

    def density(u: Any, jacobian: Any) -> sp.Expr:
        return exp(-half * u**2) / sqrt(2 * sp.pi) * jacobian**power

    f = -x - x**3
    return (
        Identity(log((2 * sp.pi) ** (-D / 2) * exp(-N / 2) * J), -D / 2 * log(2 * sp.pi) - half * N + log(J), [J > 0]),
        Identity(sp.diff(Phi(F), x), density(F, sp.Integer(1)) * slope),
        Identity(sp.diff(1 - Phi(F), x), density(F, sp.Integer(1)) * -slope),
        Identity(sp.diff(Phi(x2 * exp(s) + t), x2), density(x2 * exp(s) + t, exp(s))),
        Identity(sqrt((A.T * A).det()), size(det) ** power, [Ne(det, 0)]),
        Integral(
            density(f, size(sp.diff(f, x))),
            x,
            -2,
            2,
            erf(10 / sqrt(2)),
            primitive=erf((x + x**3) / sqrt(2)) / 2,
        ),
    )


@claim(
    mutants=[
        dict(order=-1),
        dict(equal=lambda a, b: a >= b),
        dict(gap=1),
    ]
)
def dequantisation_bound(order=1, equal=lambda a, b: sp.Eq(a, b), gap=0):
    r"""For y = x + u, u uniform on [0, 1)^D, $E_xE_u\ln q(x+u) \le E_x\ln Q(x)$ with $Q(x) = \int q(x+u)\,du$, with
    equality iff q is constant on each cell: training on noisy pixels maximises a lower bound for the discrete model.

    Every D and q (Jensen): $\ln(q/Q) \le q/Q - 1$, whose mean over a cell is 0, with equality only at q = Q (the slope
    1/w − 1 of ln w − w + 1 changes its sign at w = 1 alone). Two equal parts of a cell: $\tfrac12(\ln a + \ln b) \le
    \ln\tfrac{a+b}2$, that is $ab \le (\tfrac{a+b}2)^2$, with equality iff a = b. Exactly for q = ½ + u: Q = 1 and $E\ln
    q = \tfrac32\ln\tfrac32 + \tfrac12\ln2 - 1 < 0$. Mutants: reversed; equality for a ≥ b; the value + 1.
    """
    w, u = sp.symbols("w u", real=True)
    value = Rational(3, 2) * log(Rational(3, 2)) + log(2) / 2 - 1 + gap
    q = HALF + u
    middle = ((a + b) / 2) ** 2
    return (
        ForAll(order * log(w) <= order * (w - 1), [w > 0]),
        Identity(sp.diff(log(w) - w + 1, w), order * (1 - w) / w, [w > 0]),
        ForAll(And(a * b <= middle, Equivalent(Eq(a * b, middle), equal(a, b))), [a > 0, b > 0]),
        Integral(log(q), u, 0, 1, value, primitive=q * log(q) - u),
        Exists(w < 0, {w: value}),
    )


@claim(mutants=[dict(base=sp.E), dict(offset=lambda b: 0)])
def bits_per_dim(base=2, offset=lambda b: b):
    r"""With the density q' of y' = (x + u)/2^b, bits/dim $= -E\ln q'(y')/(D\ln2) + b$; a flow that is uniform on [0,
    1)^D has exactly b = 8.

    From $q_y = q'/2^{bD}$ (all D, b): $-\ln q_y/(D\ln2)$. Exact values of the function `bits_per_dimension` for uniform
    and other densities against $-\log_2$ of the mass of a cell. Mutants: base e; without + b.
    """
    D, bits, ell = sp.symbols("D b ell", real=True)

    def case(sizes: tuple[int, int, int]) -> tuple[Any, Any]:
        dimension, b, k = sizes
        # the density 2^k on a box of volume 2^−k: each cell of volume 2^(−bD) has the mass 2^(k − bD)
        mass = Rational(2) ** (k - b * dimension)
        return bits_per_dimension(k * log(2), dimension, b), -log(mass) / (dimension * log(base))

    return Witnesses(
        Identity(-(ell - bits * D * log(2)) / (D * log(base)), -ell / (D * log(2)) + offset(bits), [D > 0]),
        ForEach(product((1, 12, 3072), (5, 8), (0, 1, 7)), case, over="D = 1, 12, 3072; b = 5, 8; density 1, 2, 128"),
    )


@claim(mutants=[dict(share=lambda alpha: 1 - 2 * alpha), dict(most=HALF)])
def realnvp_logit(share=lambda alpha: 1 - alpha, most=1):
    r"""RealNVP models logit(v), v = α + (1−α)y/256 with y = x + u in [0, 256): the log-derivative for each coordinate
    is $\ln\frac{1-\alpha}{256\,v(1-v)}$ (α = 0.05 in the paper).

    For all 0 < α < 1 and 0 ≤ y < 256, where 0 < v < 1, so that the logit is finite. Mutants: the factor 1 − 2α; v < ½.
    """
    value = alpha + (1 - alpha) * y / 256
    given = [alpha > 0, alpha < 1, y >= 0, y < 256]
    return (
        Identity(sp.diff(log(value / (1 - value)), y), share(alpha) / (256 * value * (1 - value)), given),
        ForAll(And(value > 0, value < most), given),
    )


def _mass_below_zero(low: Fraction, high: Fraction) -> Fraction:
    """P(u ≤ 0) for u uniform on [low, high]."""
    return (min(max(Fraction(0), low), high) - low) / (high - low)


@claim(
    mutants=[
        dict(expected=(0, Fraction(1, 2), 1)),
        dict(event=lambda u: u <= -1),
    ]
)
def negative_noise_clip(expected=(1, Fraction(1, 2), 0), event=lambda u: u <= 0):
    r"""A pixel that is 0 in the data, noised by u and clipped to [0, 1], is 0 again with probability 1 for u ~ U[−.01,
    0], ½ for U[−.005, .005], 0 for U[0, .01]: why NICE's noise on MNIST is negative here.

    clip(u, 0, 1) = 0 iff u ≤ 0, for every u; then the share of the interval below 0. Mutant: the first and the last
    exchanged.
    """
    u = sp.Symbol("u", real=True)
    cent = Fraction(1, 100)
    intervals = [(-cent, Fraction(0)), (-cent / 2, cent / 2), (Fraction(0), cent)]
    return (
        ForAll(Equivalent(Eq(Min(Max(u, 0), 1), 0), event(u))),
        ForEach(range(3), lambda k: (_mass_below_zero(*intervals[k]), expected[k]), over="the three intervals"),
    )
