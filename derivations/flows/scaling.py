"""Layers that scale each coordinate: NICE's last layer, the variance of the prior, actnorm, batch normalisation."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy import Abs, Eq, Ne, Rational, exp, log, sqrt

from kexue import ForAll, Identity, Induction, Limit, claim, mutant

from .common import HALF, epsilon, h, log_normal, mu, n, s, sigma, t, v, x

WEIGHTS = sp.symbols("p1 p2", real=True)
VALUES = sp.symbols("u1:4", real=True)
INSIDE = [WEIGHTS[0] > 0, WEIGHTS[1] > 0, WEIGHTS[0] + WEIGHTS[1] < 1]


def mean(values: Any) -> Any:
    """The mean over three points with free weights."""
    p, q = WEIGHTS
    return sum(w * value for w, value in zip((p, q, 1 - p - q), values, strict=True))


@claim(mutants=[dict(scale=lambda sigma: sigma)])
def scale_layer_equals_prior_variance(scale=lambda sigma: 1 / sigma):
    r"""A last layer z = s ⊗ h with the prior N(0, I) is the prior N(0, diag σ²) of h with $s_i = 1/\sigma_i$: both
    log-likelihoods are $-\tfrac12\sum h_i^2/\sigma_i^2 - \sum\ln\sigma_i$ up to $-\tfrac D2\ln2\pi$.

    One coordinate; both sides are sums over coordinates. Mutant: s = σ.
    """
    factor = scale(sigma)
    return Identity(log_normal(factor * h) + log(factor), log_normal(h, 0, sigma), [sigma > 0])


@claim(
    mutants=[
        dict(best=lambda h1, h2: 2 / (Abs(h1) + Abs(h2))),
        dict(linear=2),
        dict(top=-sp.oo),
        dict(zero=1),
    ]
)
def scale_mle(best=lambda h1, h2: 1 / sqrt((h1**2 + h2**2) / 2), linear=1, top=sp.oo, zero=0):
    r"""For a fixed encoder the best scale is $s_i = 1/\sqrt{E[h_i^2]}$. A coordinate of second moment 0 drives $s_i$
    and the likelihood to +∞: without noise on the data the maximum likelihood estimate doesn't exist.

    $\ell(s) = \ln s - s^2v/2$, v = E[h²]: $\ell(1/\sqrt v) - \ell(s) = \tfrac12(w - 1 - \ln w) \ge 0$ with w = s²v; the
    maximum $-\tfrac12\ln v - \tfrac12$ tends to +∞ as v → 0, and for v = 0 ℓ = ln s is unbounded. The stationary point
    is checked for a law on two values. So "a small σ marks a direction that can be ignored" describes a limit that
    isn't reached. Mutant: 1/E|h|.
    """
    h1, h2, w = sp.symbols("h1 h2 w", real=True)
    moment = (h1**2 + h2**2) / 2
    loss = log(s) - s**2 * moment / 2
    return (
        Identity(sp.diff(loss, s).subs(s, best(h1, h2)), 0, [h1 > 0, h2 > 0]),
        Identity(
            (-log(v) - 1) / 2 - (log(s) - s**2 * v / 2),
            (linear * (s**2 * v - 1) - log(s**2 * v)) / 2,
            [v > 0, s > 0],
        ),
        ForAll(linear * (w - 1) - log(w) >= 0, [w > 0]),
        Limit((-log(v) - 1) / 2, v, 0, top, "+"),
        Limit(log(s) - s**2 * Rational(zero) / 2, s, sp.oo, sp.oo),
    )


@claim(mutants=[dict(at_mean=-sp.oo), dict(elsewhere=sp.oo), dict(characteristic=0), dict(tail=1)])
def sigma_to_zero_collapse(at_mean=sp.oo, elsewhere=-sp.oo, characteristic=1, tail=0):
    r"""As σ → 0 the law N(μ, σ²) tends weakly to the point mass at μ, one dimension less; its log-density tends to +∞
    at μ and to −∞ elsewhere.

    The characteristic function of N(0, σ²) tends to 1 at every t (weak convergence by Lévy's theorem; directly, the
    mass outside of (−x, x) is at most σ²/x²).
    """
    return (
        Limit(log_normal(mu, mu, sigma), sigma, 0, at_mean, "+"),
        Limit(log_normal(x, 0, sigma), sigma, 0, elsewhere, "+", [x > 0]),
        Limit(exp(-(sigma**2) * t**2 / 2), sigma, 0, characteristic, "+", [t > 0]),
        Limit(sigma**2 / x**2, sigma, 0, tail, "+", [x > 0]),
    )


@claim(
    mutants=[
        mutant("domain", shift=lambda values: mean(values)),
        dict(root=lambda moment: moment),
        dict(pixels=lambda n: 1),
    ]
)
def actnorm_ddi(shift=lambda values: -mean(values), root=sqrt, pixels=lambda n: n):
    r"""Data-dependent initialisation, $b = -E[x]$ and $s = 1/\sqrt{E[(x+b)^2]}$ for each channel, gives outputs
    $s(x+b)$ of mean 0 and second moment 1 on that batch; the log-determinant of actnorm is $hw\sum_c\ln s_c$.

    A channel that takes three values with free weights (entries of the batch and all pixels), which is all that second
    moments can tell; a constant channel has no s. One more pixel adds $\sum_c\ln s_c$ = l. The article says that the
    official code initialises with zeros; its first pass over data sets b and s as here (up to 10⁻⁶ in the denominator).
    Mutants: b = +E[x]; $s = 1/E[(x+b)^2]$; without h·w.
    """
    b = shift(VALUES)
    moment = mean([(u + b) ** 2 for u in VALUES])
    given = [*INSIDE, Ne(VALUES[0], VALUES[1])]
    total, l = sp.Function("total"), sp.Symbol("l", real=True)
    out = [u + b for u in VALUES]
    return (
        Identity(mean(out), 0, given),
        Identity((1 / root(moment)) ** 2 * moment, 1, [*given, moment > 0]),
        Induction(n, 1, {total(n + 1): total(n) + l}, {total(1): l}, Eq(total(n), pixels(n) * l)),
    )


@claim(mutants=[dict(half=1), dict(pixels=lambda n: 1)])
def batchnorm_flow(half=HALF, pixels=lambda n: n):
    r"""RealNVP's batch normalisation $(x - \tilde\mu)/\sqrt{\tilde\sigma^2 + \epsilon}$ with fixed statistics has the
    log-determinant $-\tfrac12\sum\ln(\tilde\sigma^2+\epsilon)$, times h·w for maps.

    One coordinate by differentiation (the slope is $e^{-\frac12\ln(\ldots)}$); each further pixel adds the same l.
    Where the statistics are those of the batch itself they depend on x, and the layer isn't this map. Mutants: without
    ½; without h·w.
    """
    total, l = sp.Function("total"), sp.Symbol("l", real=True)
    slope = sp.diff((x - mu) / sqrt(v + epsilon), x)
    return (
        Identity(slope, exp(-half * log(v + epsilon)), [v >= 0, epsilon > 0]),
        Induction(n, 1, {total(n + 1): total(n) + l}, {total(1): l}, Eq(total(n), pixels(n) * l)),
    )
