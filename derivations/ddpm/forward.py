r"""The forward chain: marginals, two noises in one step, what it forgets (parts 1 and 2)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from flint import arb
from sympy import Eq, Equivalent, Implies, Or, Rational, log, pi, sqrt

from kexue import Enclosure, ForAll, ForEach, Identity, Limit, claim, erratum

from .common import (
    STEP,
    A,
    B,
    Bt,
    Bt2,
    V,
    a,
    alpha_bar2,
    b,
    b2,
    ball,
    f,
    gaussian_mean,
    precise,
    rational_chain,
    v,
    x,
    y,
)

r1, r2, s = sp.symbols("r1 r2 s", real=True)
w1, w2 = sp.symbols("w1 w2", real=True)
u = sp.Symbol("u", real=True)


@claim(mutants=[dict(first=0), dict(squared=1), dict(step=lambda A: 1 - A)])
def closed_form_marginal(first=1, squared=2, step=lambda A: 1 - A**2):
    r"""$x_t = \bar\alpha_tx_0 + \sum_{k\le t}\alpha_t\cdots\alpha_{k+1}\beta_k\varepsilon_k$ with $\bar\alpha_t^2 +
    \sum_k(\alpha_t\cdots\alpha_{k+1})^2\beta_k^2 = 1$, hence $x_t\,|\,x_0 \sim N(\bar\alpha_tx_0, \bar\beta_t^2I)$.

    All t by induction: $\alpha^2(1 - A^2) + (1 - \alpha^2) = 1 - \alpha^2A^2$. The sum of squares is formed exactly
    for rational α (Pythagorean) and t = 1..12.
    """

    def total(t: int) -> tuple[Any, Any]:
        chain = rational_chain(t)
        weights, mean = [], Fraction(1)
        for k, (_, beta) in enumerate(chain):
            weight = beta
            for alpha, _ in chain[k + first :]:
                weight *= alpha
            weights.append(weight)
            mean *= chain[k][0]
        return mean**2 + sum(w**squared for w in weights), Fraction(1)

    return (
        Identity(a**2 * step(A) + (1 - a**2), 1 - a**2 * A**2),
        ForEach(range(1, 13), total, over="t = 1..12"),
    )


@claim(mutants=[dict(sign=1)])
def merge_noises_orthogonal(sign=-1):
    r"""With $c = \beta_t/\bar\beta_t$, $s = \alpha_t\bar\beta_{t-1}/\bar\beta_t$: $(\varepsilon, \omega) =
    (s\bar\varepsilon_{t-1} + c\varepsilon_t,\ c\bar\varepsilon_{t-1} - s\varepsilon_t)$ is an orthogonal change of
    two noises, so ε and ω are independent N(0, I) and $\varepsilon_t = c\varepsilon - s\omega$.

    Every d: the matrix acts on pairs of noises, entry by entry.
    """
    s_, c_ = a * B / Bt, b / Bt
    M = sp.Matrix([[s_, c_], [c_, sign * s_]])
    return Identity(M * M.T, sp.eye(2), STEP), Identity(M * M, sp.eye(2), STEP)


@claim(mutants=[dict(power=1), dict(ratio=b / Bt)])
def rao_blackwell_loss(power=2, ratio=Bt / b):
    r"""$E_\omega\|\varepsilon_t - f\|^2 = \frac{\beta_t^2}{\bar\beta_t^2}\|\varepsilon -
    \frac{\bar\beta_t}{\beta_t}f\|^2 + d\,\frac{\alpha_t^2\bar\beta_{t-1}^2}{\bar\beta_t^2}$ for any f that depends on
    $x_0, \varepsilon$ through $x_t$ only.

    With $r = c\varepsilon - f$: $E\|r - s\omega\|^2 = \|r\|^2 + ds^2$ by the moments of ω, coordinate by coordinate
    (two are written out). The article says "+ const".
    """
    two_noises = gaussian_mean((r1 - s * w1) ** 2 + (r2 - s * w2) ** 2, w1, w2)
    e = sp.Symbol("e", real=True)
    return (
        Identity(two_noises, r1**2 + r2**2 + 2 * s**power),
        Identity((b / Bt * e - f) ** 2, b2 / Bt2 * (e - ratio * f) ** 2, STEP),
    )


@claim(mutants=[dict(constant=1)])
def variance_reduction_exact(constant=2):
    r"""$\mathrm{Var}_\omega\|r - s\omega\|^2 = 4s^2\|r\|^2 + 2s^4d$: so much more the two-noise loss varies, given ε,
    than the merged one; it is > 0 whenever s > 0.

    By the moments of ω up to the fourth; two coordinates are written out, which are independent in every d. Late in
    the chain (c → 0) the two-noise loss is about ds² with a standard deviation s²√(2d), and the signal is buried.
    """
    loss = (r1 - s * w1) ** 2 + (r2 - s * w2) ** 2
    variance = gaussian_mean(loss**2, w1, w2) - gaussian_mean(loss, w1, w2) ** 2
    return Identity(variance, 4 * s**2 * (r1**2 + r2**2) + 2 * constant * s**4)


@claim(mutants=[dict(noise=1), dict(earlier=b), dict(total=2)])
def noises_not_independent(noise=b, earlier=a * B, total=1):
    r"""$\mathrm{Cov}(\bar\varepsilon_t, \varepsilon_t) = (\beta_t/\bar\beta_t)I$ and $\mathrm{Cov}(\bar\varepsilon_t,
    \bar\varepsilon_{t-1}) = (\alpha_t\bar\beta_{t-1}/\bar\beta_t)I$, with squares that sum to 1: the noise of the
    step and the marginal noise are never independent.

    $\bar\varepsilon_t = (\alpha_t\bar\beta_{t-1}\bar\varepsilon_{t-1} + \beta_t\varepsilon_t)/\bar\beta_t$. A loss
    that draws them independently has the minimiser 0, as then $E[\varepsilon_t\,|\,x_t] = 0$.
    """
    e0, e1 = sp.symbols("e0 e1", real=True)
    merged = (a * B * e0 + b * e1) / Bt

    def covariance(p: Any, q: Any) -> Any:
        return sp.expand(p * q).coeff(e0, 2) + sp.expand(p * q).coeff(e1, 2)

    return (
        Identity(covariance(merged, e1), noise / Bt, STEP),
        Identity(covariance(merged, e0), earlier / Bt, STEP),
        Identity((b / Bt) ** 2 + (a * B / Bt) ** 2, total, STEP),
    )


@claim(mutants=[dict(constraint=lambda p, q: Eq(p + q, 1)), dict(rate=a)])
def unit_variance_preserved(constraint=lambda p, q: Eq(p**2 + q**2, 1), rate=a**2):
    r"""Cov x_{t−1} = I gives Cov x_t = I iff $\alpha_t^2 + \beta_t^2 = 1$; then N(0, I) is invariant and $V_t - 1 =
    \alpha_t^2(V_{t-1} - 1)$, so $V_t \to 1$ from any v.
    """
    p, q, w = sp.symbols("p q w", real=True)
    return (
        ForAll(Equivalent(Eq(p**2 * w + q**2, w), constraint(p, q)), [p > 0, q > 0, Eq(w, 1)]),
        Identity(a**2 * v + b2 - 1, rate * (v - 1)),
    )


@claim(mutants=[dict(kept=Or(Eq(A, 1), Eq(x, y))), dict(quarter=5252284), dict(one=21008804)])
def prior_match_forces_forgetting(kept=Or(Eq(A, 0), Eq(x, y)), quarter=5252283, one=21008803):
    r"""If $\int p(x_T|x_0)\tilde p(x_0)dx_0 = q(x_T)$ for every data law, then $p(x_T|x_0) = q$ for every $x_0$; for
    $N(\bar\alpha_Tx_0, \bar\beta_T^2I)$ that means $\bar\alpha_T = 0$.

    Point masses as data laws: all means $\bar\alpha_Tx_0$ agree. What is kept about $x_0 \sim N(0, vI)$ is
    $\tfrac12\ln(1 + \bar\alpha_T^2v/\bar\beta_T^2)$ nats per coordinate: 5.252283…·10⁻⁶ for v = ¼ and 2.1008803…·10⁻⁵
    for v = 1 with the article's schedule, T = 1000 (ball arithmetic).
    """

    @precise
    def information(case: tuple[Fraction, int]) -> tuple[Any, Any]:
        variance, expected = case
        square = alpha_bar2(1000)[-1]
        value = (1 + ball(square * variance / (1 - square))).log() / 2
        return int((value * 10**12).floor().unique_fmpz()), expected

    return (
        ForAll(Implies(Eq(A * x, A * y), kept), []),
        ForEach([(Fraction(1, 4), quarter), (Fraction(1), one)], information, over="v = ¼ and 1"),
    )


@claim(mutants=[dict(extra=0), dict(unit=1)])
def step_size_profile(extra=1, unit=2):
    r"""$E\|x_t - x_{t-1}\|^2/d = (1 - \alpha_t)^2V_{t-1} + \beta_t^2$; for v = 1 exactly $2(1 - \alpha_t)$, so that
    decreasing $\alpha_t$ means growing steps.

    V stands for $V_{t-1}$; $x_t - x_{t-1} = (\alpha_t - 1)x_{t-1} + \beta_t\varepsilon_t$.
    """
    e = sp.Symbol("e", real=True)
    variance = gaussian_mean(((a - 1) * sqrt(V) * w1 + b * e) ** 2, w1, e)
    return (
        Identity(variance, (1 - a) ** 2 * V * extra + b2, [*STEP, v >= 0]),
        Identity((1 - a) ** 2 * V.subs(v, 1) + b2, unit * (1 - a), STEP),
    )


# The schedule


def _log_alpha_bar(T: int, schedule: str = "article") -> arb:
    return ball(alpha_bar2(T, schedule)[-1]).log() / 2


@claim(
    mutants=[
        dict(slope=Rational(11, 10)),
        dict(half=1),
        dict(article=-5038722),
        dict(paper=-5058857),
        dict(cubic=Rational(1, 3)),
    ]
)
def log_alpha_bar_bound(slope=1, half=Rational(1, 2), article=-5038721, paper=-5058856, cubic=Rational(1, 2)):
    r"""For $\alpha_t^2 = 1 - 0.02t/T$: $\ln\bar\alpha_t < -0.005\,t(t+1)/T$, and it is larger than that minus
    $\tfrac12\sum_k u_k^2/(2(1 - 0.02))$, $u_k = 0.02k/T$.

    Termwise, for all t ≤ T: $-u - \frac{u^2}{2(1-u)} \le \ln(1-u) \le -u$ on [0, 0.02], and $\ln\bar\alpha_t =
    \tfrac12\sum\ln(1 - u_k)$ with $\sum u_k = 0.01\,t(t+1)/T$. T = 1000: $\ln\bar\alpha_T = -5.038721…$; the paper's
    schedule, $\beta_t^2$ from 10⁻⁴ to 0.02, gives $-5.058856…$ (exact products, ball arithmetic).
    """
    T, t = sp.symbols("T t", real=True)

    @precise
    def value(case: tuple[str, int]) -> tuple[Any, Any]:
        found = _log_alpha_bar(1000, case[0]) * 10**6
        return int(found.ceil().unique_fmpz()), case[1]

    return (
        Enclosure(log(1 - u) + slope * u, upper=0, box={u: (0, Rational(1, 50))}, touches={0: 2}),
        Enclosure(log(1 - u) + u + cubic * u**2 / (1 - u), lower=0, box={u: (0, Rational(1, 50))}, touches={0: 3}),
        Identity(half * Rational(2, 100) * (t * (t + 1) / 2) / T, Rational(5, 1000) * t * (t + 1) / T, [T > 0]),
        ForEach([("article", article), ("paper", paper)], value, over="T = 1000, two schedules"),
    )


@claim(mutants=[dict(kept=6), dict(rate=Rational(1, 100))])
def t_needed(kept=363, rate=Rational(5, 1000)):
    r"""With the largest $\beta_t^2 = 0.02$ kept, $\ln\bar\alpha_T/T \to -0.005$ up to a constant: T can't be lowered
    alone. With T = 200, $\bar\alpha_T = 0.363…$ instead of 0.0065.

    The leading term is $-0.005(T+1)$ (`log-alpha-bar-bound`); the number by an exact product.
    """
    T = sp.Symbol("T", real=True)

    @precise
    def value(steps: int) -> tuple[Any, Any]:
        return int((_log_alpha_bar(steps).exp() * 1000).floor().unique_fmpz()), kept

    return (
        Limit(-Rational(5, 1000) * (T + 1) / T, T, sp.oo, -rate),
        ForEach((200,), value, over="T = 200"),
    )


@erratum(printed=dict(T=500), mutants=[dict(low=-387), dict(ratio=1542694)])
def exp_quadratic_approximation(T=1000, low=-388, ratio=1542693):
    r"""$\exp(-0.005t^2/T) = \exp(-5t^2/T^2)$ holds for T = 1000 only, which the article doesn't say; there $-0.03873
    < \ln\bar\alpha_t + 5t^2/T^2 < 0$ for all t, and $\bar\beta_T/\bar\alpha_T = 154.2693…$.

    All 1000 values in ball arithmetic; the extreme −0.0387214… is at t = T.
    """
    t = sp.Symbol("t", real=True)

    @precise
    def extremes(_: int) -> tuple[Any, Any]:
        values = [ball(q).log() / 2 + ball(Fraction(5 * k * k, 10**6)) for k, q in enumerate(alpha_bar2(1000)) if k]
        inside = all(value < 0 and value * 10**4 > low for value in values)
        return (inside, all(value > values[-1] for value in values[:-1])), (True, True)

    @precise
    def length(_: int) -> tuple[Any, Any]:
        square = ball(alpha_bar2(1000)[-1])
        return int(((1 / square - 1).sqrt() * 10**4).floor().unique_fmpz()), ratio

    return (
        Identity(Rational(5, 1000) * t**2 / T, 5 * t**2 / T**2),
        ForEach((0,), extremes, over="t = 1..1000"),
        ForEach((0,), length, over="T = 1000"),
    )


# Mixing latents, and what a sample costs


@claim(mutants=[dict(turn=1), dict(least=Rational(2, 3)), dict(power=2)])
def interpolation(turn=2, least=Rational(1, 2), power=1):
    r"""$\cos(\tfrac{\lambda\pi}2)z_1 + \sin(\tfrac{\lambda\pi}2)z_2$ of independent N(0, I) latents is N(0, I); the
    linear mix has the variance $\lambda^2 + (1-\lambda)^2 \ge \tfrac12$, less than 1 inside.

    Spherical interpolation with the angle θ of the sample divides by sin²θ, against a density of θ that falls like
    $\sin^{d-2}\theta$. For d = 3 that leaves $\int d\theta/\sin\theta = \int dc/(1-c^2)$, c = cos θ, which diverges:
    so $E\|z\|^2$ is infinite for d ≤ 3, while $\sin^{d-4}$ is bounded for d ≥ 4.
    """
    lam, c = sp.symbols("lambda c", real=True)
    primitive = log((1 + c) / (1 - c)) / 2
    turned = lam * pi / 2
    return (
        Identity(sp.cos(turned) ** turn + sp.sin(turned) ** 2, 1),
        ForAll(lam**2 + (1 - lam) ** 2 >= least, []),
        Identity(sp.diff(primitive, c), 1 / (1 - c**2) ** power, [c > -1, c < 1]),
        Limit(primitive, c, 1, -sp.oo if power == 2 else sp.oo, "-"),
    )


@claim(mutants=[dict(sizes=((32, False), (256, False), (19, False))), dict(smaller=True)])
def complexity(sizes=((32, True), (256, True), (19, True)), smaller=False):
    r"""A sample takes T sequential calls of the network against HWC of a pixel-autoregressive model: 1000 against
    3072 (32²·3), 196 608 (256²·3); fewer only if HWC > T, which fails for 18²·3 = 972.
    """
    return (
        ForEach(sizes, lambda case: (3 * case[0] ** 2 > 1000, case[1]), over="sides 32, 256, 19"),
        ForEach((18,), lambda side: (3 * side**2 > 1000, smaller), over="side 18"),
    )


