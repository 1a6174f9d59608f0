"""Random gradients: how often the sign is right, how large updates are, and which β and learning rates match."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, Or, Rational, sqrt

from kexue import Exists, ForAll, Identity, Induction, Limit, claim, erratum
from kexue.derivations.lion.common import MIXES, b, b1, b2, eta, g, lam, n, q, theta, x, y

V = (1 - b1) ** 2 + b1**2 * (1 - b2) / (1 + b2)
VISION = {b1: Rational(9, 10), b2: Rational(99, 100)}
LANGUAGE = {b1: Rational(19, 20), b2: Rational(49, 50)}


def rounds_to(value: Any, printed: str) -> Any:
    """The value differs from a printed decimal by at most half of its last digit; the value goes in by a witness."""
    unit = Rational(1, 2 * 10 ** len(printed.partition(".")[2]))
    return And(value <= Rational(printed) + unit, value >= Rational(printed) - unit)


@claim(
    mutants=[
        dict(variance=b1**2 * (1 - b2) / (1 + b2)),
        dict(series=lambda n: (1 - q**n) / (1 - q) - 1),
        dict(digits=(".0140714", ".0116162")),
        dict(tiger=(1 - b) / 2),
    ]
)
def sign_probability(
    variance=V, series=lambda n: (1 - q**n) / (1 - q), digits=(".0140704", ".0116162"), tiger=(1 - b) / (1 + b)
):
    r"""For independent $g \sim N(\mu, \sigma^2)$ and stationary m: $P(u = \mathrm{sign}\,\mu) = \Phi(|\mu|/\sigma\sqrt
    V)$, $V = (1-\beta_1)^2 + \beta_1^2\frac{1-\beta_2}{1+\beta_2}$.

    c is normal with mean μ (its weights sum to 1) and variance $\sigma^2V$, the sum of the squared weights of
    `unrolled-weights`: a geometric series in $\beta_2^2$, whose partial sums are proved by induction. V is 0.0140704
    for (0.9, 0.99), 0.0116162 for (0.95, 0.98), $\frac{1-\beta}{1+\beta}$ for Tiger, 1 for signSGD. The probability
    itself is simulated in numerics.
    """
    total = sp.Function("S")
    ratio = Rational(81, 100)
    return (
        Induction(n, 0, {total(n + 1): q * total(n) + 1}, {total(0): 0}, Eq(total(n), series(n)), [q > 0, q < 1]),
        Identity((1 - b1) ** 2 + b1**2 * (1 - b2) ** 2 * series(n).subs(q**n, 0).subs(q, b2**2), variance, MIXES),
        Exists(
            And(rounds_to(x, digits[0]), rounds_to(y, digits[1])),
            {x: variance.subs(VISION), y: variance.subs(LANGUAGE)},
        ),
        Identity(variance.subs({b1: b, b2: b}), tiger, [b > 0, b < 1]),
        Limit((1 - ratio**n) / (1 - ratio), n, sp.oo, series(n).subs(q**n, 0).subs(q, ratio)),
    )  # fmt: skip


@claim(
    mutants=[
        dict(matched=(1 - 2 * x) / (1 + x), lags=lambda n: (1 - (n + 1) * q**n) / (1 - q) ** 2),
        dict(lag=b2 / (1 - b2)),
        dict(digits=(".945", ".965", ".98901", ".97938")),
        dict(half=Rational(3, 2)),
    ]
)
def tiger_beta_matching(
    matched=(1 - x) / (1 + x),
    lags=lambda n: (1 - (n + 1) * q**n + n * q ** (n + 1)) / (1 - q) ** 2,
    lag=b1 / (1 - b2),
    digits=(".97225", ".97703", ".98901", ".97938"),
    half=1,
):
    r"""Tiger's β with Lion's noise is $(1-V)/(1+V)$: 0.97225 and 0.97703 for the article's two pairs; with Lion's mean
    lag $\beta_1/(1-\beta_2)$ it is 0.98901 and 0.97938. The arithmetic mean, 0.945 and 0.965, matches neither.

    $\beta = (1-V)/(1+V)$ is equivalent to $(1-\beta)/(1+\beta) = V$. The lag is $\beta_1(1-\beta_2)\sum_j
    j\beta_2^{j-1}$, whose partial sums are proved by induction; Tiger's is β/(1−β), and that of the mean of $\beta_1,
    \beta_2$ equals Lion's iff $\beta_1 = \beta_2$ or $\beta_1 + \beta_2 = 1$. The article offers the mean as an
    intuition, to be tuned.
    """
    total = sp.Function("L")
    mean = (b1 + b2) / 2
    found = [p.subs(pair) for p in (matched.subs(x, V), lag / (1 + lag)) for pair in (VISION, LANGUAGE)]
    names = sp.symbols("p_1:5", real=True)
    shown = And(*(rounds_to(e, d) for e, d in zip(names, digits, strict=True)))
    endless = lags(n).subs({q ** (n + 1): 0, q**n: 0})
    return (
        ForAll(Equivalent(Eq((1 - b) / (1 + b), x), Eq(b, matched)), [b >= 0, x >= 0]),
        Induction(
            n, 0, {total(n + 1): total(n) + (n + 1) * q**n}, {total(0): 0}, Eq(total(n), lags(n)), [q > 0, q < 1]
        ),
        Identity(b1 * (1 - b2) * endless.subs(q, b2), lag, MIXES),
        Exists(shown, dict(zip(names, found, strict=True))),
        ForAll(Equivalent(Eq(mean / (1 - mean), b1 / (1 - b2)), Or(Eq(b1, b2), Eq(b1 + b2, half))), MIXES),
    )


@erratum(
    printed=dict(noise=10),
    mutants=[
        dict(steady=lambda n: 1 - b1**n / 2),
        dict(spread=lambda n: (1 - b1) / (1 + b1)),
        dict(swing=(1 - b1) / 2),
        dict(threshold=-Rational(1, 2)),
        dict(power=(1 - b1) / (1 + b1) * (1 + x * b1)),
        dict(cross=(1 - b1) * (1 + x * b1)),
    ],
)
def lr_ratio_rms(
    noise=sqrt(19),
    steady=lambda n: 1 - b1**n,
    spread=lambda n: (1 - b1) / (1 + b1) * (1 - b1 ** (2 * n)),
    swing=(1 - b1) / (1 + b1),
    threshold=-Rational(90, 119),
    power=(1 - b1) * (1 + x * b1) / ((1 + b1) * (1 - x * b1)),
    cross=(1 - b1) / (1 - x * b1),
):
    r"""Lion's update has the RMS of Adam's ($\beta_2 \to 1$) after division by 1 for constant gradients,
    $\sqrt{(1+\beta_1)/(1-\beta_1)} = 4.36$ for white noise, $(1+\beta_1)/(1-\beta_1) = 19$ for alternating signs
    ($\beta_1 = 0.9$).

    The article asks for "at least 10 times" to have about the same size of updates; for white noise that is refuted.
    For gradients with autocorrelation $\rho^j$ the squared RMS is $\frac{(1-\beta_1)(1+\rho\beta_1)}{(1+\beta_1)(1-
    \rho\beta_1)}$, the stationary solution of the two moments $E\,m_tg_t$ and $E\,m_t^2$: a factor of 10 or more needs
    $\rho \le -90/119$. All with $\hat v = E\,g^2 = 1$, for all t where they are sums (induction); alternating gradients
    leave $m = \pm A$ with $-A = \beta_1A - (1-\beta_1)$.
    """
    mean, square = sp.Function("m"), sp.Function("s")
    given = [*MIXES[:2]]
    correlated = [x > -1, x < 1]
    nine = {b1: Rational(9, 10)}
    return (
        Induction(n, 0, {mean(n + 1): b1 * mean(n) + 1 - b1}, {mean(0): 0}, Eq(mean(n), steady(n)), given),
        Induction(
            n, 0, {square(n + 1): b1**2 * square(n) + (1 - b1) ** 2}, {square(0): 0}, Eq(square(n), spread(n)), given
        ),
        Identity(-swing, b1 * swing - (1 - b1), given),
        Exists(And(Eq(y, noise), Eq(x, 19), y < Rational(437, 100), y > Rational(435, 100)),
               {y: sqrt(1 / ((1 - b1) / (1 + b1)).subs(nine)), x: 1 / swing.subs(nine)}),
        Identity(cross, b1 * x * cross + 1 - b1, [*given, *correlated]),
        Identity(power, b1**2 * power + 2 * b1 * (1 - b1) * x * cross + (1 - b1) ** 2, [*given, *correlated]),
        ForAll(Equivalent(1 >= 100 * power.subs(nine), x <= threshold), correlated),
    )  # fmt: skip


@claim(mutants=[dict(power=1), dict(stationary=2)])
def decay_gaussian_prior(power=2, stationary=1):
    r"""The prior $N(0, \tau^2)$ adds $\theta/\tau^2$ to the gradient of the negative log posterior: weight decay with
    $\lambda = 1/\tau^2$, smaller for biases and gains, whose variance is larger.

    With a gradient step. For sign updates it is not the gradient of a posterior; but the equilibrium variance
    η/(λ(2−ηλ)) of `decay-scaling-invariance` still multiplies by $r^2$ if η is kept relative to the scale (η → rη) and
    λ → λ/r.
    """
    tau, r = sp.symbols("tau r", real=True)
    negative = theta**2 / (2 * tau**2) + sp.log(tau) + sp.log(2 * sp.pi) / 2
    variance = eta / (lam * (2 - eta * lam))
    given = [tau > 0]
    decayed = theta - eta * (g + sp.diff(negative, theta))
    return (
        Identity(sp.diff(negative, theta), theta / tau**power, given),
        Identity(decayed, theta - eta * (g + theta * lam).subs(lam, tau**-power), given),
        Identity(
            variance.subs({eta: r * eta, lam: lam / r}, simultaneous=True), r ** (2 * stationary) * variance,
            [r > 0, eta > 0, lam > 0, eta * lam < 2],
        ),
    )  # fmt: skip
