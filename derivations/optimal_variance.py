r"""The optimal variance of a diffusion's reverse step, without and with an imperfect mean.

Su Jianlin, 《生成扩散模型漫谈》 7 and 8 (optimal variance, parts I and II), 2022-08-12 and 2022-08-18,
archives 9245, 9246. F. Bao, C. Li, J. Zhu, B. Zhang, Analytic-DPM, 2022, arXiv 2201.06503; F. Bao et al., Estimating
the Optimal Covariance with Imperfect Mean in Diffusion Probabilistic Models, 2022, arXiv 2206.07309.

Notation of `ddpm`: a, A for $\alpha_t, \bar\alpha_{t-1}$, At, Bt for $\bar\alpha_t, \bar\beta_t$; $\gamma_t =
\bar\alpha_{t-1} - \bar\alpha_t\sqrt{\bar\beta_{t-1}^2-\sigma_t^2}/\bar\beta_t$ is the coefficient of $x_0$; $\bar\mu
= E[x_0|x_t]$, $\varepsilon^* = E[\varepsilon|x_t]$, $\bar\sigma_t^2 = E\,\mathrm{tr\,Cov}(x_0|x_t)/d$, $J_t =
E\|\nabla\ln p_t\|^2/d$. A general law is written with three points and free weights where moments of first and second
order decide.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

import sympy as sp
from sympy import And, Eq, Rational, exp, log, pi, sqrt

from kexue import Exists, ForAll, ForEach, Identity, Limit, claim, mutant

from .ddpm.common import B2, STEP, A, At, Bt, Bt2, V, Vt, a, b2, gaussian_mean, v, x
from .ddpm.ddim import FAMILY, LAMBDA, K, sigma

m0, m, X2, M2, E2, D2, C, f, e, s, S, q = sp.symbols("m0 m X2 M2 E2 D2 C f e s S q", real=True)
p1, p2, u1, u2, u3, g, J = sp.symbols("p1 p2 u1 u2 u3 g J", real=True)
WEIGHTS = (p1, p2, 1 - p1 - p2)
POINTS = (u1, u2, u3)


def mean(values: Any) -> Any:
    """E over the three points."""
    return sum(p * value for p, value in zip(WEIGHTS, values, strict=True))


@claim(mutants=[dict(power=1)])
def mixture_variance(power=2):
    r"""$x_{t-1}|x_t$ has the mean $\kappa x_t + \gamma\bar\mu$ and the covariance $\sigma_t^2I +
    \gamma_t^2\mathrm{Cov}(x_0|x_t)$, exactly, for every data law and every d (law of total covariance).

    Written for one coordinate and a law of $x_0|x_t$ on three points with free weights; off-diagonal entries
    likewise.
    """
    k = sp.Symbol("k", real=True)
    centre = k * x + g * mean(POINTS)
    variance = mean([(k * x + g * u) ** 2 for u in POINTS]) - centre**2
    return Identity(variance, g**power * (mean([u**2 for u in POINTS]) - mean(POINTS) ** 2))


@claim(mutants=[dict(best=S / 2), dict(extra=0), dict(linear=2)])
def kl_optimal(best=S, extra=1, linear=1):
    r"""Among $N(\mu(x_t), \sigma^2I)$ the divergence from $p(x_{t-1}|x_t)$ is smallest for the true mean and
    $\sigma^2 = S = E\,\mathrm{tr\,Cov}[x_{t-1}|x_t]/d$; another mean adds $E\|\mu-\mu^*\|^2/d$ to S, another variance
    costs $\tfrac d2(S/\sigma^2 - 1 - \ln(S/\sigma^2))$.

    $E\|x - \mu\|^2 = \mathrm{tr\,Cov} + \|\mu - \mu^*\|^2$ (three points), and the cost $\tfrac12\ln\sigma^2 +
    S/(2\sigma^2)$ has the slope $(\sigma^2 - S)/(2\sigma^4)$. Steps decouple in the divergence of the chains.
    """
    cost = log(s) / 2 + S / (2 * s)
    spread = mean([u**2 for u in POINTS]) - mean(POINTS) ** 2
    given = [s > 0, S > 0]
    return (
        Identity(mean([(u - m) ** 2 for u in POINTS]), spread + extra * (m - mean(POINTS)) ** 2),
        Identity(sp.diff(cost, s), (s - best) / (2 * s**2), given),
        Identity(cost - cost.subs(s, S), (linear * (S / s - 1) - log(S / s)) / 2, given),
    )


# Three estimates with a perfect mean


@claim(mutants=[mutant("symbols", sign=1)])
def estimate_1(sign=-1):
    r"""$\bar\sigma_t^2 = E\|x_0 - \mu_0\|^2/d - E\|\bar\mu(x_t) - \mu_0\|^2/d$ for every constant vector $\mu_0$.

    With $E\bar\mu = Ex_0 = m$ and $E[x_0\cdot\bar\mu] = E\|\bar\mu\|^2$ (tower rule); X2, M2 stand for $E\|x_0\|^2,
    E\|\bar\mu\|^2$.
    """
    residual = X2 - 2 * M2 + M2
    return Identity((X2 - 2 * m * m0 + m0**2) + sign * (M2 - 2 * m * m0 + m0**2), residual)


@claim(mutants=[dict(scale=Bt / At), dict(power=1), dict(weight=Bt)])
def estimate_2(scale=Bt2 / At**2, power=2, weight=Bt2):
    r"""$\bar\sigma_t^2 = \frac{\bar\beta_t^2}{\bar\alpha_t^2}(1 - E\|\varepsilon^*\|^2/d) =
    \frac{\bar\beta_t^2}{\bar\alpha_t^2}(1 - \bar\beta_t^2J_t)$, so $E\|\varepsilon^*\|^2 \le d$.

    $x_0 - \bar\mu = \frac{\bar\beta_t}{\bar\alpha_t}(\varepsilon^* - \varepsilon)$ and $E\|\varepsilon -
    \varepsilon^*\|^2/d = 1 - E2$ by the tower rule, E2 = $E\|\varepsilon^*\|^2/d$; $\varepsilon^* =
    -\bar\beta_t\nabla\ln p_t$, where f stands for the gradient. As matrices $\Sigma_t =
    \frac{\bar\beta_t^2}{\bar\alpha_t^2}(I - E\varepsilon^*\varepsilon^{*\top})$, by the same computation.
    """
    difference = (x - Bt * e) / At - (x - Bt * f) / At
    return (
        Identity(difference**2, scale * (e - f) ** 2, STEP),
        Identity(1 - power * E2 + E2, 1 - E2),
        Identity((-Bt * f) ** 2, weight * f**2, STEP),
    )


@claim(mutants=[dict(weight=Bt2)])
def estimate_3_residual(weight=Bt2 / At**2):
    r"""$\bar\sigma_t^2 = \frac{\bar\beta_t^2}{\bar\alpha_t^2}E\|\varepsilon - \varepsilon^*\|^2/d$: the training loss
    at t, weighted; for any $\varepsilon_\theta$ it is the variance that fits best.

    $\|x_0 - \bar\mu\|^2 = \frac{\bar\beta_t^2}{\bar\alpha_t^2}\|\varepsilon - \varepsilon_\theta\|^2$, point by
    point.
    """
    return Identity(((x - Bt * e) / At - (x - Bt * f) / At) ** 2, weight * (e - f) ** 2, STEP)


@claim(mutants=[dict(bracket=1)])
def analytic_dpm_theorem1(bracket=2):
    r"""$\sigma^{*2} = \lambda^2 + \big(\tfrac{\bar\beta_t}{\alpha_t} - \sqrt{\bar\beta_{t-1}^2-\lambda^2}\big)^2(1 -
    \bar\beta_t^2J_t)$ (λ = σ_t), as $\gamma_t\bar\beta_t/\bar\alpha_t = \bar\beta_t/\alpha_t -
    \sqrt{\bar\beta_{t-1}^2-\lambda^2}$.
    """
    root = sqrt(B2 - sigma**2)
    best = sigma**2 + LAMBDA**2 * Bt2 / At**2 * (1 - Bt2 * J)
    return (
        Identity(LAMBDA * Bt / At, Bt / a - root + (2 - bracket) * root, FAMILY),
        Identity(best, sigma**2 + (Bt / a - root) ** bracket * (1 - Bt2 * J), FAMILY),
    )


@claim(mutants=[dict(scale=b2 / a)])
def markov_form(scale=b2 / a**2):
    r"""$\lambda = \tilde\beta_t$ gives $\sigma^{*2} = \frac{\beta_t^2}{\alpha_t^2}(1 - \beta_t^2J_t)$, the form of a
    single Markov step.

    With $\kappa = \alpha\bar\beta_{t-1}^2/\bar\beta_t^2$ there, γ = $\bar\alpha_{t-1}\beta_t^2/\bar\beta_t^2$.
    """
    gamma = A * b2 / Bt2
    best = B2 * b2 / Bt2 + gamma**2 * Bt2 / At**2 * (1 - Bt2 * J)
    return Identity(best, scale * (1 - b2 * J), STEP)


# Bounds


@claim(mutants=[mutant("domain", least=-1), mutant("domain", scale=2)])
def bounds_paper(least=0, scale=1):
    r"""$\lambda^2 \le \sigma^{*2} \le \lambda^2 + \big(\tfrac{\bar\beta_t}{\alpha_t} -
    \sqrt{\bar\beta_{t-1}^2-\lambda^2}\big)^2$; data in $[a, b]^d$ give $\sigma^{*2} \le \lambda^2 +
    \gamma_t^2(\tfrac{b-a}2)^2$.

    g stands for the bracket and q for $\bar\beta_t^2J_t$, which lies in [0, 1] (`estimate-2`); the second by
    `popoviciu`.
    """
    width, bar = sp.symbols("r w", real=True)
    return (
        ForAll(And(s**2 <= s**2 + g**2 * (1 - q), s**2 + g**2 * (1 - q) <= s**2 + g**2), [q >= least, q <= scale]),
        ForAll(s**2 + g**2 * bar <= s**2 + g**2 * (width / 2) ** 2, [bar >= 0, bar <= scale * width**2 / 4]),
    )


@claim(mutants=[dict(share=Rational(9, 10)), dict(half=Rational(1, 3)), mutant("domain", inside=False)])
def popoviciu(share=1, half=Rational(1, 2), inside=True):
    r"""A variance on [a, b] is at most $(b - m)(m - a) \le (\tfrac{b-a}2)^2$, with equality iff half of the mass is
    at each end.

    $(b-m)(m-a) - \mathrm{Var} = E(b-X)(X-a) \ge 0$ (three points) and $(\tfrac{b-a}2)^2 - (b-m)(m-a) = (m -
    \tfrac{a+b}2)^2$. l, r stand for a, b.
    """
    low, high = sp.symbols("l r", real=True)
    centre = mean(POINTS)
    variance = mean([u**2 for u in POINTS]) - centre**2
    within = [low <= u1, u1 <= high] if inside else [low <= high]
    return (
        Identity((high - centre) * (centre - low) - share * variance, mean([(high - u) * (u - low) for u in POINTS])),
        Identity(((high - low) / 2) ** 2 - (high - m) * (m - low), (m - half * (low + high)) ** 2),
        ForAll((high - u1) * (u1 - low) >= 0, within),
    )


@claim(mutants=[dict(order=-1), dict(linear=At), dict(sign=1)])
def harmonic_bound(order=1, linear=At * v / Vt, sign=-1):
    r"""$\frac1{\bar\sigma_t^2} \ge \frac1v + \frac{\bar\alpha_t^2}{\bar\beta_t^2}$, that is $\bar\sigma_t^2 \le
    v\bar\beta_t^2/V_t \le \min(v, \bar\beta_t^2/\bar\alpha_t^2)$, sharper than both published bounds; equality iff
    $x_0$ is isotropic Gaussian.

    The error of the best estimate is at most that of the linear one $\frac{\bar\alpha_tv}{V_t}x_t$, which is
    $v\bar\beta_t^2/V_t$. For eigenvalues of a covariance Jensen's inequality applies, as $\lambda \mapsto
    \lambda\bar\beta^2/(\bar\alpha^2\lambda + \bar\beta^2)$ is concave: its second derivative is
    $-2\bar\alpha^2\bar\beta^4/(\bar\alpha^2\lambda+\bar\beta^2)^3$.
    """
    z0, n0 = sp.symbols("z0 n0", real=True)
    error = gaussian_mean((sqrt(v) * z0 - linear * (At * sqrt(v) * z0 + Bt * n0)) ** 2, z0, n0)
    bound = v * Bt2 / Vt
    given = [*STEP, v > 0]
    return (
        Identity(error, bound, given),
        ForAll(And(order * bound <= order * v, order * bound <= order * Bt2 / At**2), given),
        Identity(sp.diff(bound, v, 2), sign * 2 * At**2 * Bt2**2 / Vt**3, given),
    )


@claim(
    mutants=[dict(order=-1), dict(gauss=v)],
    relies_on=("Bayesian Cramér–Rao (van Trees): E Var(x_0|x_t) ≥ 1/(J(p_0) + ᾱ²/β̄²) per coordinate",),
)
def van_trees_lower(order=1, gauss=1 / v):
    r"""For smooth densities $\frac1{\bar\sigma_t^2} \le J(p_0)/d + \frac{\bar\alpha_t^2}{\bar\beta_t^2}$, with
    equality for isotropic Gaussian data, where $J(p_0)/d = 1/v$.

    The inequality is quoted; it says nothing about singular data such as images.
    """
    least = 1 / (J + At**2 / Bt2)
    return (
        ForAll(order * (1 / s) <= order * (J + At**2 / Bt2), [*STEP, J > 0, s >= least]),
        Identity(1 / (v * Bt2 / Vt), gauss + At**2 / Bt2, [*STEP, v > 0]),
    )


@claim(
    mutants=[dict(slope=v / (v + q)), dict(far=v / 2), dict(near=1)],
    relies_on=("a noisier observation of x_0 never lowers the minimal mean square error",),
)
def monotone_limits(slope=v**2 / (v + q) ** 2, far=v, near=0):
    r"""$\bar\sigma_t^2$ doesn't decrease in $q = \bar\beta_t^2/\bar\alpha_t^2$, tends to 0 as q → 0 and to v as q →
    ∞.

    $x_t/\bar\alpha_t = x_0 + \sqrt q\,\varepsilon$: more q is more noise (quoted). $0 \le \bar\sigma_t^2 \le q$ gives
    the first limit; for Gaussian data it is $vq/(v+q)$, whose slope is $v^2/(v+q)^2$ and whose limits are 0 and v.
    """
    gaussian = v * q / (v + q)
    return (
        Identity(sp.diff(gaussian, q), slope, [v > 0, q > 0]),
        Limit(gaussian, q, sp.oo, far, given=[v > 0]),
        Limit(gaussian, q, 0, near, "+", [v > 0]),
    )


# What they are good for


@claim(mutants=[dict(correction=0)])
def gaussian_exactness(correction=1):
    r"""For data N(m, vI) sampling with the variance $\sigma_t^2 + \gamma_t^2\bar\sigma_t^2$ reproduces every marginal
    exactly, for any admissible σ, any sub-sequence and any number of steps, when started from $p_T$.

    $(\kappa + \gamma\frac{\bar\alpha_tv}{V_t})^2V_t + \sigma^2 + \gamma^2\frac{v\bar\beta_t^2}{V_t} = V_{t-1}$; $a$
    may be the ratio of any two $\bar\alpha$ (`ddpm/subsequence`).
    """
    factor = K + LAMBDA * At * v / Vt
    return Identity(
        factor**2 * Vt + sigma**2 + correction * LAMBDA**2 * v * Bt2 / Vt, V, [*FAMILY, v >= 0]
    )


@claim(mutants=[dict(first=-1), dict(second=1), dict(third=2), dict(fourth=2)])
def estimator_variance(first=1, second=-1, third=1, fourth=3):
    r"""Gaussian data, M samples: the relative standard deviations of the estimates 1, 2, 3 are $\sqrt{2/(dM)}$ times
    SNR, 1/SNR and 1, with $\mathrm{SNR} = \bar\alpha_t^2v/\bar\beta_t^2$.

    Each is a constant minus the mean of a squared Gaussian, whose variance is twice its squared mean. So estimate 2
    is hopeless at high noise and estimate 1 at low noise; estimate 3 is never negative.
    """
    z0 = sp.Symbol("z0", real=True)
    target = v * Bt2 / Vt
    snr = At**2 * v / Bt2
    given = [*STEP, v > 0]
    return (
        Identity(gaussian_mean(z0**4, z0) - gaussian_mean(z0**2, z0) ** 2, fourth - 1),
        Identity((At * v / Vt) ** 2 * Vt / target, snr**first, given),
        Identity(Bt2 / At**2 * (Bt / Vt) ** 2 * Vt / target, snr**second, given),
        Identity(Bt2 / At**2 * (1 - Bt2 / Vt) / target, third, given),
    )


BIASES = {Fraction(-1, 5): (17453, 59085, 36587), Fraction(1, 5): (44472, 2840, 36587)}


@claim(
    mutants=[
        dict(second=lambda c: -c),
        dict(third=0),
        dict(table={Fraction(1, 5): (44472, 2840, 33775)}),
    ]
)
def imperfect_mean_bias(second=lambda c: c, third=1, table=BIASES):
    r"""With $\varepsilon_\theta = \varepsilon^* + \delta$ estimate 2 is off by
    $-\frac{\bar\beta^2}{\bar\alpha^2}(E\|\delta\|^2 + 2E\langle\varepsilon^*, \delta\rangle)/d$, estimate 3 by
    $+\frac{\bar\beta^2}{\bar\alpha^2}E\|\delta\|^2/d$: exactly what the optimum rises. The difference of estimates 1
    and 2 measures the error of the mean.

    E2, D2, C stand for $E\|\varepsilon^*\|^2, E\|\delta\|^2, E\langle\varepsilon^*,\delta\rangle$ over d. Exact
    numbers for v = ½, ᾱ = 0.7, $\varepsilon_\theta = (1+k)\varepsilon^*$, five digits: the true 0.33775 becomes
    optimal at 0.36587 for k = ±0.2, estimate 3 gives that, estimate 1 0.17453 / 0.44472, estimate 2 0.59085 /
    0.02840.
    """
    ratio = Bt2 / At**2

    def estimates(k: Fraction) -> tuple[Any, Any]:
        w, bar = Fraction(1, 2), Fraction(49, 100)
        noise, total = 1 - bar, bar * w + 1 - bar
        squared = noise / total  # E ε*²
        scale = noise / bar
        # x₀ − μ₀ with μ₀ = 0: μ̄ = (x − β̄ε_θ)/ᾱ, E x² = V, E xε* = β̄
        spread = (total - 2 * (1 + k) * noise + noise * (1 + k) ** 2 * squared) / bar
        mine = (1 + k) ** 2 * squared  # E ε_θ²
        found = (w - spread, scale * (1 - mine), scale * (1 - 2 * (1 + k) * squared + mine))
        return tuple(int(value * 10**5 + Fraction(1, 2)) for value in found), table[k]

    return (
        Identity(ratio * (1 - (E2 + 2 * C + D2)) - ratio * (1 - E2), -ratio * (D2 + 2 * second(C)), STEP),
        Identity(ratio * (1 - 2 * (E2 + C) + (E2 + 2 * C + D2)) - ratio * (1 - E2), ratio * third * D2, STEP),
        ForEach(list(table), estimates, over="k = ±0.2"),
    )


# Imperfect means


@claim(mutants=[dict(best=S / 2)])
def nll_argmin(best=S):
    r"""$\frac{E\|x_0-\bar\mu\|^2}{2s} + \tfrac d2\ln s$ has the only minimum $s = E\|x_0-\bar\mu\|^2/d$; likewise for
    each coordinate and for each $x_t$.

    The slope is $\tfrac d2(s - S)/s^2$.
    """
    return Identity(sp.diff(S / (2 * s) + log(s) / 2, s), (s - best) / (2 * s**2), [s > 0, S > 0])


@claim(mutants=[dict(bias=0)])
def npr(bias=1):
    r"""The regression of $(\varepsilon-\varepsilon_\theta)^2$ on $x_t$ is $g^* = \mathrm{Var}(\varepsilon|x_t) +
    (\varepsilon^* - \varepsilon_\theta)^2$, entry by entry; the variance of the step is then $\lambda^2 +
    \gamma^2\frac{\bar\beta^2}{\bar\alpha^2}g^*$.

    For a law of $\varepsilon|x_t$ on three points with free weights.
    """
    centre = mean(POINTS)
    variance = mean([u**2 for u in POINTS]) - centre**2
    return Identity(mean([(u - f) ** 2 for u in POINTS]), variance + bias * (centre - f) ** 2)


@claim(mutants=[dict(twice=1), dict(bound=-10)])
def sn(twice=2, bound=0):
    r"""The regression of $\varepsilon^2$ on $x_t$ is $h^* = E[\varepsilon^2|x_t]$, the variance $\lambda^2 +
    \gamma^2\frac{\bar\beta^2}{\bar\alpha^2}(h^* - \varepsilon_\theta^2)$; the two regressions differ by
    $2\varepsilon_\theta(\varepsilon_\theta - \varepsilon^*)$, of either sign, and $h^* - \varepsilon_\theta^2$ can be
    negative.

    They agree for $\varepsilon_\theta = \varepsilon^*$.
    """
    square, centre = mean([u**2 for u in POINTS]), mean(POINTS)
    return (
        Identity(mean([(u - f) ** 2 for u in POINTS]) - (square - f**2), twice * f * (f - centre)),
        Exists(And(s**2 - f**2 < bound, Eq(s, 1)), {s: 1, f: 2}),
    )


@claim(mutants=[dict(share=2)])
def sn_averages(share=1):
    r"""Averaged over $x_t$, with $E\,h^* = E\,\varepsilon^2 = 1$, the second regression recovers estimate 2:
    $\frac{\bar\beta^2}{\bar\alpha^2}(1 - E\,\varepsilon_\theta^2)$ per coordinate.

    Three values of $x_t$ with free weights; h is fixed by its mean 1.
    """
    h1, h2, f1, f2, f3 = sp.symbols("h1 h2 f1 f2 f3", real=True)
    h3 = (1 - p1 * h1 - p2 * h2) / (1 - p1 - p2)
    given = [p1 > 0, p2 > 0, p1 + p2 < 1]
    averaged = mean([h1 - f1**2, h2 - f2**2, h3 - f3**2])
    return Identity(averaged, 1 - share * mean([f1**2, f2**2, f3**2]), given)


@claim(mutants=[dict(scale=1), dict(derivative=1), dict(entries=9_437_185)])
def full_covariance(scale=Bt2, derivative=Bt, entries=9_437_184):
    r"""$\mathrm{Cov}(x_0|x_t) = \frac{\bar\beta^2}{\bar\alpha^2}(I + \bar\beta^2\nabla^2\ln p_t) =
    \frac{\bar\beta^2}{\bar\alpha^2}(I - \bar\beta\,\partial\varepsilon^*/\partial x)$ for every data law; its trace
    needs only Jacobian-vector products.

    As in `ddpm/loss-minimiser`, with the kernel $N(x; \bar\alpha u, \bar\beta^2)$: p, p', p'' are free,
    $\varepsilon^* = -\bar\beta p'/p$. For d = 3072 the matrix has 9 437 184 entries.
    """
    P0, P1, P2 = sp.symbols("P0 P1 P2", real=True)
    centre = (x + Bt2 * P1 / P0) / At
    square = (Bt2**2 * P2 + 2 * x * Bt2 * P1 + (x**2 + Bt2) * P0) / (At**2 * P0)
    curvature = P2 / P0 - (P1 / P0) ** 2
    given = [*STEP, P0 > 0]
    return (
        Identity(square - centre**2, Bt2 / At**2 * (1 + scale * curvature), given),
        Identity(1 + Bt2 * curvature, 1 - derivative * (-Bt * curvature), given),
        ForEach((3072,), lambda d: (d * d, entries), over="d = 3072"),
    )


def _costs(N: int) -> dict[tuple[int, int], Fraction]:
    """Rational step costs that don't favour equal steps."""
    return {(s, t): Fraction((7 * s + 3 * t * t + s * t) % 23 + 1, 3) for s in range(N) for t in range(s + 1, N + 1)}


def shortest(N: int, steps: int, cost: dict[tuple[int, int], Fraction]) -> Fraction:
    """The least total cost of a path 0 → N with exactly `steps` edges, by dynamic programming in O(steps · N²)."""
    best: dict[int, Fraction] = {0: Fraction(0)}
    for _ in range(steps):
        reached: dict[int, Fraction] = {}
        for s_, value in best.items():
            for t in range(s_ + 1, N + 1):
                total = value + cost[s_, t]
                reached[t] = min(reached.get(t, total), total)
        best = reached
    return best[N]


def _greedy(N: int, steps: int, cost: dict[tuple[int, int], Fraction]) -> Fraction:
    at, total = 0, Fraction(0)
    for left in range(steps, 0, -1):
        choices = [N] if left == 1 else range(at + 1, N - left + 2)
        best = min(choices, key=lambda t: cost[at, t])
        total, at = total + cost[at, best], best
    return total


@claim(mutants=[dict(search=_greedy)])
def optimal_trajectory(search=shortest):
    r"""The bound of a K-step sub-sequence is a sum of step costs $J(s, t) = \ln(\sigma^{*2}_{s|t}/\lambda^2_{s|t})$,
    so the best sub-sequence is a least-cost path 0 → N with K edges, found in $O(KN^2)$ by dynamic programming.

    Compared with all paths for N = 8, every K, and rational costs. Greedy steps aren't optimal.
    """
    cost = _costs(8)

    def brute(steps: int) -> Fraction:
        paths = ((0, *inner, 8) for inner in combinations(range(1, 8), steps - 1))
        return min(sum((cost[edge] for edge in pairwise(path)), Fraction(0)) for path in paths)

    return ForEach(range(1, 9), lambda steps: (search(8, steps, cost), brute(steps)), over="N = 8, K = 1..8")


@claim(mutants=[dict(half=1), dict(order=Rational(1, 2))])
def continuous_limit(half=Rational(1, 2), order=1):
    r"""With $\lambda = \eta\tilde\beta_t$ and a step h → 0: $\gamma_t = \tfrac12(1 +
    \eta^2)\frac{g^2\bar\alpha_t}{\bar\beta_t^2}h + O(h^2)$, so that the correction $\gamma^2\bar\sigma^2$ is $O(h^2)$
    and vanishes beside $\lambda^2 = \eta^2g^2h$ for η > 0, while η = 0 converges to the probability-flow equation.

    At $\bar\alpha_t^2 = \tfrac14$ with $\bar\alpha_s^2 = \tfrac14(1 + ch)$, $c = g^2$, symbolic η.
    """
    h, c, eta = sp.symbols("h c eta", real=True)
    now = Rational(1, 4)
    before = now * (1 + c * h)
    noise = eta**2 * (1 - before) * (1 - now / before) / (1 - now)
    gamma = sqrt(before) - sqrt(now) * sqrt((1 - before - noise) / (1 - now))
    expected = half * (1 + eta**2) * c * sqrt(now) / (1 - now)
    return Limit(gamma / h**order, h, 0, expected, "+", [c > 0, c < 1, eta > 0, eta < 1])


@claim(mutants=[dict(moment=1), dict(sign=1), dict(far=-1), dict(slack=2)])
def clip_last_step(moment=sqrt(2 / pi), sign=-1, far=0, slack=1):
    r"""$E|z| = \sqrt{2/\pi}$ for z ~ N(0, 1), so $E|\sigma z| \le y\tfrac2{255}$ iff $\sigma \le
    y\tfrac2{255}\sqrt{\pi/2}$: the noise of the last stochastic step, limited to y grey levels.

    $ze^{-z^2/2}$ has the primitive $-e^{-z^2/2}$, which goes from −1 to 0, and $2/\sqrt{2\pi} = \sqrt{2/\pi}$.
    """
    z0, y, level = sp.symbols("z y sigma", real=True)
    primitive = sign * exp(-(z0**2) / 2)
    return (
        Identity(sp.diff(primitive, z0), z0 * exp(-(z0**2) / 2)),
        Limit(primitive, z0, sp.oo, far),
        Identity(2 / sqrt(2 * pi), moment),
        Identity(y * Rational(2, 255) * sqrt(pi / 2) * moment, y * Rational(2, 255)),
        ForAll(slack * level <= y / q, [q > 0, level * q <= y, level >= 0]),
    )


# Shift and order


@claim(mutants=[dict(sign=1)])
def covariance_shift_invariance(sign=-1):
    r"""$E[(x-m)(x-m)^\top] = E[(x-\mu_0)(x-\mu_0)^\top] - (m-\mu_0)(m-\mu_0)^\top$ for every constant $\mu_0$ and $m
    = Ex$; conditionally $\mu_0$ may depend on the condition.

    A diagonal and an off-diagonal entry for a law on three points with free weights, as for every d.
    """
    w1, w2, w3, n0 = sp.symbols("w1 w2 w3 n0", real=True)
    other = (w1, w2, w3)

    def entry(left: Any, right: Any, c1: Any, c2: Any) -> Any:
        return mean([(p - c1) * (r - c2) for p, r in zip(left, right, strict=True)])

    pairs = [(POINTS, POINTS, m0, m0), (POINTS, other, m0, n0)]
    return tuple(
        Identity(
            entry(left, right, mean(left), mean(right)),
            entry(left, right, c1, c2) + sign * (mean(left) - c1) * (mean(right) - c2),
        )
        for left, right, c1, c2 in pairs
    )


@claim(mutants=[dict(ratio=Bt2), mutant("domain", least=-1)])
def simple_upper_bounds(ratio=Bt2 / At**2, least=0):
    r"""$\bar\sigma_t^2 \le \mathrm{Var}\,x_0$ and $\bar\sigma_t^2 \le \bar\beta_t^2/\bar\alpha_t^2$; the latter says
    that $E\|\varepsilon^*\|^2/d \ge 0$, and $\bar\sigma_t^2 \ge 0$ that it is ≤ 1.

    From the estimates 1 ($v - \mathrm{Var}\,\bar\mu$, M2 ≥ 0) and 2 ($\tfrac{\bar\beta^2}{\bar\alpha^2}(1 - E2)$).
    """
    return (
        ForAll(v - M2 <= v, [M2 >= least]),
        ForAll(Bt2 / At**2 * (1 - E2) <= ratio, [*STEP, E2 >= 0, E2 <= 1]),
    )


@claim(mutants=[dict(order=-1), dict(single=v)])
def diagonal_estimates(order=1, single=1 - Bt2 / Vt):
    r"""Per coordinate $\bar\sigma_i^2 = \frac{\bar\beta^2}{\bar\alpha^2}(1 - E\varepsilon_i^{*2})$, for a Gaussian
    coordinate $v_i\bar\beta^2/V_i$; the diagonal Gaussian gains $\tfrac12\sum_i\ln(\bar\sigma^2/\bar\sigma_i^2) \ge
    0$ nats over the isotropic one, 0 iff all are equal.

    The gain is AM–GM: $\tfrac12\ln\frac{((s_1+s_2)/2)^2}{s_1s_2}$ for two coordinates, as $(s_1+s_2)^2 - 4s_1s_2 =
    (s_1-s_2)^2$; for more by induction on pairs.
    """
    s1, s2 = sp.symbols("s1 s2", real=True)
    return (
        Identity(Bt2 / At**2 * single, v * Bt2 / Vt, [*STEP, v > 0]),
        ForAll(order * ((s1 + s2) / 2) ** 2 >= order * s1 * s2, [s1 > 0, s2 > 0]),
    )


@claim(mutants=[dict(concave=-1), dict(constant=0), dict(curve=2)])
def nll_is_itakura_saito(concave=1, constant=1, curve=1):
    r"""With $r = (x_0-\bar\mu)^2$ the likelihood loss $r/g + \ln g$ is the Itakura–Saito divergence $r/g - \ln(r/g) -
    1$ up to terms free of g, the squared error the Euclidean one: both have the pointwise minimiser $E[r|x_t]$.

    $\partial_g^2 = (2r-g)/g^3$ is negative for g > 2r: not convex in g; in $l = \ln g$ the second derivative is
    $re^{-l} > 0$. Common scaling of r and g changes the likelihood loss by a constant only.
    """
    r, l_, c = sp.symbols("r l c", real=True)
    loss = r / g + log(g)
    given = [r > 0, g > 0, c > 0]
    return (
        Identity(r / g - log(r / g) - 1, loss - log(r) - constant, given),
        Identity(sp.diff(loss, g, 2), concave * (2 * r - g) / g**3, given),
        Identity(sp.diff(r * exp(-l_) + l_, l_, 2), curve * r * exp(-l_)),
        Identity(loss.subs({r: c * r, g: c * g}, simultaneous=True) - loss, log(c) * curve, given),
    )
