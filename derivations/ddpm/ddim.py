r"""The non-Markov family, its ordinary differential equation, and what few steps do to the variance (part 4)."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp
from flint import arb
from sympy import And, Eq, Equivalent, exp, sqrt

from kexue import ForAll, ForEach, Identity, Limit, claim, erratum, mutant

from .common import (
    B2,
    STEP,
    A,
    At,
    B,
    Bt,
    Bt2,
    a,
    alpha_bar2,
    b2,
    ball,
    digits,
    paper_alpha2,
    precise,
    rational_chain,
    v,
    x,
    z,
)

e, sigma, kappa, w = sp.symbols("e sigma kappa w", real=True)
K = sqrt(B2 - sigma**2) / Bt  # κ
LAMBDA = A - At * K
FAMILY = [*STEP, sigma >= 0, sigma**2 < B2]


@claim(mutants=[dict(square=sigma), dict(drift=A - a * K), mutant("domain", branch=False), dict(coefficient=At)])
def ddim_family(square=sigma**2, drift=LAMBDA, branch=True, coefficient=a):
    r"""All kernels $N(\kappa x_t + \lambda x_0, \sigma^2I)$ with $\int p(x_{t-1}|x_t, x_0)p(x_t|x_0)dx_t =
    p(x_{t-1}|x_0)$ have $\kappa = \sqrt{\bar\beta_{t-1}^2 - \sigma^2}/\bar\beta_t$ (κ ≥ 0), $\lambda =
    \bar\alpha_{t-1} - \bar\alpha_t\kappa$, $0 \le \sigma \le \bar\beta_{t-1}$; in terms of ε the mean is
    $\frac{\bar\alpha_{t-1}}{\bar\alpha_t}\big(x_t - (\bar\beta_t - \alpha_t\sqrt{\bar\beta_{t-1}^2-\sigma^2})
    \varepsilon\big)$.

    By induction all marginals given $x_0$ agree; $\alpha^2 + \beta^2 = 1$ isn't needed for that. The branch κ < 0,
    which the article leaves out, solves the equations too.
    """
    given = [*STEP, sigma >= 0, sigma**2 <= B2, *([kappa >= 0] if branch else [])]
    return (
        Identity(K**2 * Bt2 + square, B2, FAMILY),
        Identity(K * At + drift, A, FAMILY),
        ForAll(Equivalent(Eq(kappa**2 * Bt2 + sigma**2, B2), Eq(kappa, sqrt(B2 - sigma**2) / Bt)), given),
        Identity(
            K * x + LAMBDA * (x - Bt * e) / At,
            A / At * (x - (Bt - coefficient * sqrt(B2 - sigma**2)) * e),
            FAMILY,
        ),
    )


@claim(mutants=[dict(ddpm=a * B2 / Bt), dict(markov=B2 * b2 / Bt2 * 2), dict(power=1)])
def ddim_contains_ddpm(ddpm=a * B2 / Bt2, markov=B2 * b2 / Bt2, power=2):
    r"""$\sigma = \tilde\beta_t$ gives the posterior of DDPM, and it is the only σ ≥ 0 for which the forward process
    of the family is Markov.

    Then $\kappa = \alpha_t\bar\beta_{t-1}^2/\bar\beta_t^2$. $x_t|x_{t-1}, x_0$ has the coefficient $\bar\alpha_t -
    \kappa\bar\beta_t^2\bar\alpha_{t-1}/\bar\beta_{t-1}^2$ on $x_0$ (regression), which is 0 only for this κ, and the
    variance $\sigma^2\bar\beta_t^2/\bar\beta_{t-1}^2$.
    """
    s2 = sp.Symbol("s2", real=True)
    k2 = (B2 - s2) / Bt2  # κ²
    return (
        Identity(k2.subs(s2, B2 * b2 / Bt2), ddpm**2, STEP),
        ForAll(
            Equivalent(Eq(At - kappa * Bt2 * A / B2, 0), Eq(s2, markov)),
            [*STEP, kappa >= 0, Eq(kappa**2 * Bt2, B2 - s2)],
        ),
        Identity(Bt2 - (K * Bt2) ** 2 / B2, sigma**power * Bt2 / B2, FAMILY),
    )


@erratum(
    printed=dict(article=(), paper=()),
    mutants=[dict(difference=Fraction(8, 10**10)), dict(bound=2)],
)
def sigma_beta_not_always_admissible(article=(1, 2, 3), paper=(1, 2), difference=Fraction(-8, 10**10), bound=1):
    r"""$\sigma_t = \beta_t$ belongs to the family iff $\beta_t \le \bar\beta_{t-1}$: with the article's schedule, T =
    1000, it doesn't at t = 1, 2, 3, with the paper's at t = 1, 2.

    The article takes it as an example for all t. Exact, all t; $\bar\beta_2^2 - \beta_3^2 = -8\cdot10^{-10}$.
    """

    def failing(schedule: str) -> tuple[Any, Any]:
        bars = alpha_bar2(1000, schedule)
        step = (lambda t: Fraction(2 * t, 10**5)) if schedule == "article" else (lambda t: 1 - paper_alpha2(t))
        found = tuple(t for t in range(1, 1001) if step(t) > bound * (1 - bars[t - 1]))
        return found, article if schedule == "article" else paper

    return (
        ForEach(("article", "paper"), failing, over="t = 1..1000, two schedules"),
        ForEach((3,), lambda t: (1 - alpha_bar2(1000)[t - 1] - Fraction(2 * t, 10**5), difference), over="t = 3"),
    )


@claim(mutants=[dict(alpha="last"), dict(first=1)])
def subsequence(alpha="ratio", first=0):
    r"""For any increasing $\tau \subset \{1..T\}$ all formulas hold with $\bar\alpha_{\tau_i}$ and $\alpha \to
    \bar\alpha_{\tau_i}/\bar\alpha_{\tau_{i-1}}$, not $\alpha_{\tau_i}$: steps compose to one with the product of
    their α.

    $\alpha_2^2(1 - \alpha_1^2) + (1 - \alpha_2^2) = 1 - (\alpha_1\alpha_2)^2$ for any two, hence for all. Compared
    exactly for all pairs of positions of a rational chain of 8 steps: mean and variance of $x_t|x_s$.
    """
    a1, a2 = sp.symbols("a1 a2", real=True)
    chain = rational_chain(8)

    def jump(case: tuple[int, int]) -> tuple[Any, Any]:
        s, t = case
        mean, variance = Fraction(1), Fraction(0)
        for step, beta in chain[s:t]:
            mean, variance = mean * step, step**2 * variance + beta**2
        bars = [Fraction(1)]
        for step, _ in chain:
            bars.append(bars[-1] * step)
        ratio = bars[t] / bars[s] if alpha == "ratio" else chain[t - 1][0]
        return (mean, variance), (ratio, 1 - ratio**2)

    pairs = [(s, t) for s in range(8) for t in range(s + 1, 9)]
    return (
        Identity(a2**2 * (1 - a1**2) + (1 - a2**2) + first * a1, 1 - (a1 * a2) ** 2),
        ForEach(pairs, jump, over="all 36 jumps of 8 steps"),
    )


@claim(mutants=[dict(regular=5), dict(singular=sp.Rational(5, 2)), dict(term=Bt / At)])
def ddim_ode(regular=sqrt(10), singular=5 / sqrt(10), term=Bt / At - B / A):
    r"""σ = 0 is $\frac{x_t}{\bar\alpha_t} - \frac{x_{t-1}}{\bar\alpha_{t-1}} = \big(\frac{\bar\beta_t}{\bar\alpha_t}
    - \frac{\bar\beta_{t-1}}{\bar\alpha_{t-1}}\big)\varepsilon$: Euler's method for $d(x/\bar\alpha) =
    \varepsilon\,d(\bar\beta/\bar\alpha)$.

    With $\bar\alpha = e^{-5s^2}$ the coefficient of ε in dx/ds, $10s/\sqrt{1 - e^{-10s^2}}$, tends to $\sqrt{10}$ at
    0; with $\bar\alpha = e^{-5s}$ it grows like $5/\sqrt{10s}$, and solvers of high order lose their order there.
    """
    s = sp.Symbol("s", real=True)
    before = A / At * (x - (Bt - a * B) * e)
    return (
        Identity(x / At - before / A, term * e, STEP),
        Limit(10 * s / sqrt(1 - exp(-10 * s**2)), s, 0, regular, "+"),
        Limit(sqrt(s) * 5 / sqrt(1 - exp(-10 * s)), s, 0, singular, "+"),
    )


@claim(mutants=[dict(wanted="ddpm"), dict(constant=2)])
def ddim_exact_on_point_mass(wanted="ddim", constant=1):
    r"""For data $\delta_{x^*}$ the exact $\varepsilon = (x - \bar\alpha x^*)/\bar\beta$ is constant along DDIM, so a
    single step of any size is exact: $x_s = \bar\alpha_sx^* + \bar\beta_s\varepsilon$.

    A step of DDPM is exact in law only: its mean moves ε by the factor $\kappa\bar\beta_t/\bar\beta_{t-1} < 1$.
    """
    noise = (x - At * z) / Bt
    k = B / Bt if wanted == "ddim" else a * B2 / Bt2
    step = k * x + (A - At * k) * z
    return (
        Identity(step, A * z + B * noise * constant, STEP),
        ForAll(a * B2 / Bt2 * Bt / B * constant < 1, STEP),
    )


S2, T2 = sp.symbols("S T", real=True)  # ᾱ_s, ᾱ_t of any two positions s < t
_VS, _VT = S2**2 * v + 1 - S2**2, T2**2 * v + 1 - T2**2
_BS, _BT = sqrt(1 - S2**2), sqrt(1 - T2**2)
JUMP = [T2 > 0, T2 < S2, S2 < 1, v > 0]


@claim(mutants=[dict(factor=sqrt(_VS / _VT)), dict(sign=1), dict(loss=0)])
def ddim_gaussian_contraction(factor=(S2 * T2 * v + _BS * _BT) / _VT, sign=-1, loss=1):
    r"""On data N(0, vI) a DDIM step t → s multiplies by $\frac{\bar\alpha_s\bar\alpha_tv +
    \bar\beta_s\bar\beta_t}{V_t} \le \sqrt{V_s/V_t}$, and the variance that it loses is exactly
    $v(\bar\alpha_s\bar\beta_t - \bar\alpha_t\bar\beta_s)^2/V_t$ (Lagrange's identity).

    The exact $\varepsilon$ is $\bar\beta_tx/V_t$; the probability-flow equation would multiply by $\sqrt{V_s/V_t}$.
    """
    noise = _BT * x / _VT
    return (
        Identity(S2 / T2 * (x - _BT * noise) + _BS * noise, factor * x, JUMP),
        Identity(
            _VS - ((S2 * T2 * v + _BS * _BT) / _VT) ** 2 * _VT, loss * v * (S2 * _BT + sign * T2 * _BS) ** 2 / _VT, JUMP
        ),
    )


def _uniform(steps: int, T: int = 1000) -> list[int]:
    """0 = τ_0 < τ_1 < … < τ_K = T in equal steps."""
    return [i * T // steps for i in range(steps + 1)]


def _chain_variance(variance: Fraction, steps: int, kind: str) -> arb:
    """The output variance of K steps on N(0, v) data with the exact mean, started from N(0, 1)."""
    bars = alpha_bar2(1000)
    found = arb(1)
    for s, t in reversed(list(pairwise(_uniform(steps)))):
        As2, At2 = ball(bars[s]), ball(bars[t])
        ratio2 = At2 / As2
        Vt = At2 * ball(variance) + 1 - At2
        Bs2, Bt2_ = 1 - As2, 1 - At2
        noise = {"ddim": arb(0), "posterior": Bs2 * (1 - ratio2) / Bt2_, "beta": 1 - ratio2}[kind]
        inner = noise if kind != "beta" else Bs2 * (1 - ratio2) / Bt2_
        k = ((Bs2 - inner) / Bt2_).sqrt() if s else arb(0)
        factor = k + (As2.sqrt() - At2.sqrt() * k) * At2.sqrt() * ball(variance) / Vt
        found = factor**2 * found + (noise if s or kind == "beta" else arb(0))
    return found


VARIANCES = {
    (Fraction(1, 4), 10): (13888, 11197, 34646),
    (Fraction(1, 4), 50): (22301, 19744, 26764),
    (Fraction(1), 10): (69030, 54866, 100000),
    (Fraction(4), 10): (295622, 238818, 318978),
}


@claim(mutants=[dict(table={(Fraction(4), 10): (295622, 238818, 400000)}), mutant("symbols", unit=2)])
def chain_variance_recursion(table=VARIANCES, unit=1):
    r"""For Gaussian data the variance of a K-step sampler obeys an explicit recursion. DDPM with $\sigma_t = \beta_t$
    is exact for v = 1 at any K; few steps of DDIM or of $\tilde\beta_t$ lose variance.

    $\alpha_t^2\cdot1 + \beta_t^2 = 1$, as the exact mean is $\alpha_tx_t$ for v = 1. K equal steps of the article's
    schedule, T = 1000, started from N(0, 1), five digits in ball arithmetic: v = ¼, K = 10 gives 0.13888 (DDIM),
    0.11197 ($\tilde\beta_t$), 0.34646 ($\beta_t$); and so on.
    """

    @precise
    def row(case: Any) -> tuple[Any, Any]:
        kinds = ("ddim", "posterior", "beta")
        return tuple(digits(_chain_variance(*case, kind), 10**5) for kind in kinds), table[case]

    return (
        Identity(a**2 * unit + b2, 1),
        ForEach(list(table), row, over="v = ¼, 1, 4; K = 10, 50"),
    )


@claim(mutants=[dict(power=1), dict(direction=1), mutant("domain", determined=False)])
def sigma_lowers_diversity(power=2, direction=-1, determined=True):
    r"""For every data law, the exact denoiser and an input distributed as $p_t$, a step of the family has the output
    variance $F(\sigma) = V_s - \lambda(\sigma)^2\bar\sigma_t^2$ per coordinate, $\bar\sigma_t^2 =
    E\,\mathrm{tr\,Cov}(x_0|x_t)/d$, strictly decreasing in σ unless $x_t$ determines $x_0$: less noise, more
    diversity.

    With $\mathrm{Cov}(x_t, \bar\mu) = \bar\alpha_tv$ and $\mathrm{Var}\,\bar\mu = v - \bar\sigma_t^2$ (w stands for
    $\bar\sigma_t^2$): $F = \kappa^2V_t + 2\kappa\lambda\bar\alpha_tv + \lambda^2(v - w) + \sigma^2$; λ > 0 increases
    with σ, since κ decreases.
    """
    Vt_, Vs_ = At**2 * v + Bt2, A**2 * v + B2
    F = K**2 * Vt_ + 2 * K * LAMBDA * At * v + LAMBDA**2 * (v - w) + sigma**2
    k1, k2 = sp.symbols("k1 k2", real=True)
    first, second = A - At * k1, A - At * k2
    given = [*STEP, k1 > k2, k2 >= 0, k1**2 * Bt2 <= B2, w > 0 if determined else w >= 0]
    return (
        Identity(F, Vs_ - LAMBDA**power * w, FAMILY),
        ForAll(And(first > 0, Vs_ + direction * first**2 * w > Vs_ + direction * second**2 * w), given),
    )


