r"""Conditional generation: classifier guidance, classifier-free guidance, and what they sample.

Su Jianlin, 《生成扩散模型漫谈》 9 (conditional control), 2022-08-30, archive 9257. P. Dhariwal, A. Nichol,
Diffusion Models Beat GANs on Image Synthesis, 2021, arXiv 2105.05233. X. Liu et al., More Control for Free!, 2021,
arXiv 2112.05744. J. Ho, T. Salimans, Classifier-Free Diffusion Guidance, 2022, arXiv 2207.12598. A. Bradley, P.
Nakkiran, Classifier-Free Guidance is a Predictor-Corrector, 2024, arXiv 2408.09000.

Notation of `ddpm`; $s_u = \nabla\ln p_t(x)$, $s_c = \nabla\ln p_t(x|y)$, $\ell = \ln p_t(y|x)$, L for $\nabla\ell$.
The Gaussian test case is $x_0 \sim N(0, 1)$, $y = x_0 + \tau n$, with $c = 1 + \tau^2$ and time run by $a =
\bar\alpha$.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from flint import arb
from sympy import And, Eq, Equivalent, Rational, exp, log, sqrt

from kexue import ForAll, ForEach, Identity, Limit, claim, erratum, mutant

from .ddpm.common import B2, STEP, A, At, Bt, Bt2, a, b2, ball, digits, precise, x
from .ddpm.ddim import LAMBDA, K, sigma
from .optimal_variance import POINTS, mean

y, gamma, w, L, g, tau2, e, f, c, r, h, n = sp.symbols("y gamma w L g tau2 e f c r h n", real=True)
su, sc = sp.symbols("s_u s_c", real=True)


# One step


def _joint() -> dict[tuple[int, int, int], Fraction]:
    """p(x_{t−1}, x_t, y) of a chain y ← x_{t−1} → x_t with y depending on both, rational."""
    prior = [Fraction(1, 3), Fraction(2, 3)]
    forward = [[Fraction(3, 5), Fraction(2, 5)], [Fraction(1, 4), Fraction(3, 4)]]
    label = {(0, 0): Fraction(1, 7), (0, 1): Fraction(2, 7), (1, 0): Fraction(3, 7), (1, 1): Fraction(5, 7)}
    return {
        (i, j, k): prior[i] * forward[i][j] * (label[i, j] if k else 1 - label[i, j])
        for i in range(2)
        for j in range(2)
        for k in range(2)
    }


@claim(mutants=[dict(normalised=False)])
def bayes_step(normalised=True):
    r"""$p(x_{t-1}|x_t, y) = p(x_{t-1}|x_t)\,p(y|x_{t-1}, x_t)/p(y|x_t)$: exhaustive on a chain of two states with
    rational kernels, all eight cases.
    """
    p = _joint()

    def total(**fixed: int) -> Fraction:
        names = ("i", "j", "k")
        return sum((v for key, v in p.items() if all(key[names.index(m)] == z for m, z in fixed.items())), Fraction(0))

    def both(case: tuple[int, int, int]) -> tuple[Any, Any]:
        i, j, k = case
        direct = p[case] / total(j=j, k=k)
        steps = total(i=i, j=j) / total(j=j) * (p[case] / total(i=i, j=j))
        return direct, steps / (total(j=j, k=k) / total(j=j)) if normalised else steps

    return ForEach(list(p), both, over="all eight cases")


def _remaining(k: Any, lam: Any) -> Any:
    """Var(x_0 | x_{t−1}, x_t) for x_0 ~ N(0, 1), by the Schur complement; all three variances are 1."""
    cross = k + lam * At
    return 1 - (A**2 - 2 * A * At * cross + At**2) / (1 - cross**2)


@claim(mutants=[dict(markov=K), dict(half=2107500), dict(none=B2)])
def markov_needed(markov=a * B2 / Bt2, half=2107499, none=0):
    r"""$p(y|x_{t-1}, x_t) = p(y|x_{t-1})$ holds for the Markov chain of DDPM, and fails for DDIM's forward process
    with $\sigma \ne \tilde\beta$.

    For $x_0 \sim N(0, 1)$, $\mathrm{Var}(x_0|x_{t-1}, x_t) = \bar\beta_{t-1}^2 = \mathrm{Var}(x_0|x_{t-1})$ with σ =
    β̃, for all schedules, and 0 with σ = 0. At $\bar\alpha_{t-1} = \tfrac45, \alpha_t = \tfrac35$: 9/25, and
    0.2107499… for σ = β̃/2. The article's reason, that noise doesn't help classification, isn't the reason.
    """
    k = markov
    numbers = {A: Rational(4, 5), a: Rational(3, 5)}
    tilde = sqrt(B2 * b2 / Bt2)
    at_half = _remaining(K.subs(sigma, tilde / 2), LAMBDA.subs(sigma, tilde / 2)).subs(numbers)
    flat = _remaining(K.subs(sigma, 0), LAMBDA.subs(sigma, 0))

    @precise
    def rounded(_: int) -> tuple[Any, Any]:
        from kexue.engines import balls

        value = balls.evaluate(at_half, {}, 50)
        return int((value * 10**7).floor().unique_fmpz()), half

    return (
        Identity(_remaining(k, A - At * k).subs(sigma, tilde / 3), B2, STEP),
        ForEach((0,), rounded, over="σ = β̃/2"),
        Identity(flat.subs(numbers), none if none == 0 else B2.subs(numbers)),
    )


@claim(mutants=[dict(power=1)])
def first_order_mean_shift(power=2):
    r"""$N(\mu, \sigma^2I)\,e^{(x-x_t)\cdot g} \propto N(\mu + \sigma^2g, \sigma^2I)$, exact when $\ln p(y|\cdot)$ is
    affine.

    The exponents differ by a constant in x; every d, coordinate by coordinate. m, s stand for μ, σ.
    """
    m, s = sp.symbols("m s", real=True)
    left = -((x - m) ** 2) / (2 * s**2) + x * g
    right = -((x - m - s**power * g) ** 2) / (2 * s**2)
    return Identity(sp.diff(left - right, x), 0, [s > 0])


def _gaussian_step() -> tuple[Any, Any, Any, Any]:
    """E and Var of x_{t−1} given (x_t, y), and given x_t, for x_0 ~ N(0, 1), y = x_0 + τn."""
    M = sp.Matrix([[1, At], [At, 1 + tau2]])
    cross = sp.Matrix([[a, A]])
    inverse = M.adjugate() / M.det()
    both = (cross * inverse * sp.Matrix([x, y]))[0]
    variance = 1 - (cross * inverse * cross.T)[0]
    return both, variance, a * x, 1 - a**2


def _gaussian_gradient() -> tuple[Any, Any]:
    """∇ and ∇² of ln p(y|x_t): y | x_t ~ N(ᾱ_t x_t, β̄_t² + τ²)."""
    return At * (y - At * x) / (Bt2 + tau2), -(At**2) / (Bt2 + tau2)


@claim(mutants=[dict(coefficient=b2), dict(ratio=a)])
def exact_mean_shift(coefficient=b2 / a, ratio=a * B2 / Bt2):
    r"""For every data law and step size $E[x_{t-1}|x_t, y] - E[x_{t-1}|x_t] = \frac{\beta_t^2}{\alpha_t}\nabla\ln
    p(y|x_t)$: the substitution in ε is exact for the mean, the shift $\sigma_t^2\nabla$ only to first order, off by
    the factor $\alpha_t\sigma_t^2/\beta_t^2$, which for $\tilde\beta_t$ is $\alpha_t\bar\beta_{t-1}^2/\bar\beta_t^2$.

    Twice `ddpm/loss-minimiser`, with $s_c - s_u = \nabla\ell$ (the forward chain is Markov, so it applies given y
    too). Second, Gaussian data by Schur complements, symbolic.
    """
    conditional, _, plain, _ = _gaussian_step()
    gradient, _ = _gaussian_gradient()
    return (
        Identity((x + b2 * (su + L)) / a - (x + b2 * su) / a, coefficient * L, STEP),
        Identity(conditional - plain, coefficient * gradient, [*STEP, tau2 > 0]),
        Identity(a * (B2 * b2 / Bt2) / b2, ratio, STEP),
    )


@claim(mutants=[dict(power=1)])
def exact_covariance_shift(power=2):
    r"""$\mathrm{Cov}[x_{t-1}|x_t, y] - \mathrm{Cov}[x_{t-1}|x_t] = \frac{\beta_t^4}{\alpha_t^2}\nabla^2\ln p(y|x_t)$:
    the variance is unchanged to first order only.

    From both covariances of `ddpm/loss-minimiser`; H stands for ∇²ℓ. Second, Gaussian data by Schur complements.
    """
    H, U = sp.symbols("H U", real=True)
    _, conditional, _, plain = _gaussian_step()
    _, curvature = _gaussian_gradient()
    return (
        Identity(b2 / a**2 * (1 + b2 * (U + H)) - b2 / a**2 * (1 + b2 * U), b2**power / a**2 * H, STEP),
        Identity(conditional - plain, b2**power / a**2 * curvature, [*STEP, tau2 > 0]),
    )


SHIFTS = {Fraction(99, 100): (18584, 18584, 18398, 19018), Fraction(3, 5): (399443, 399443, 239666, 699547)}


@claim(mutants=[dict(table={Fraction(3, 5): (399443, 399443, 399443, 699547)}), dict(variance=64000)])
def expansion_point(table=SHIFTS, variance=36544):
    r"""$x_0 \sim N(0, 1)$, $\tau^2 = \tfrac12$, $\bar\alpha_{t-1} = 0.9$, $x_t = 0.3$, y = 1: the exact shift,
    $\frac{\beta^2}\alpha \nabla$, $\beta^2\nabla$ at $x_t$ and $\beta^2\nabla\ln p(y|x_{t-1})$ at μ are 0.018584,
    0.018584, 0.018398, 0.019018 for α = 0.99, but 0.39944, 0.39944, 0.23966, 0.69954 for α = 0.6.

    Exact fractions, six decimals. The exact variance at α = 0.6 is 0.36544 against $\beta^2 = 0.64$.
    """
    both, spread, plain, _ = _gaussian_step()
    gradient, _ = _gaussian_gradient()
    fixed = {A: Rational(9, 10), x: Rational(3, 10), y: 1, tau2: Rational(1, 2)}

    def row(alpha: Fraction) -> tuple[Any, Any]:
        at = {**fixed, a: Rational(alpha.numerator, alpha.denominator)}
        before = (A * (y - A * x) / (B2 + tau2)).subs(x, a * x)
        values = (both - plain, b2 / a * gradient, b2 * gradient, b2 * before)
        return tuple(int(sp.floor(value.subs(at) * 10**6)) for value in values), table[alpha]

    def exact(alpha: Fraction) -> tuple[Any, Any]:
        at = {**fixed, a: Rational(alpha.numerator, alpha.denominator)}
        return int(sp.floor(spread.subs(at) * 10**5)), variance

    return (
        ForEach(list(table), row, over="α = 0.99, 0.6"),
        ForEach((Fraction(3, 5),), exact, over="the variance at α = 0.6"),
    )


@claim(mutants=[dict(sign=1)])
def score_bayes(sign=-1):
    r"""$s_c = s_u + \nabla\ell$ and $\varepsilon_c = \varepsilon - \bar\beta\nabla\ell$: for every member of the
    family, the deterministic one included.
    """
    return Identity(-Bt * (su + L), -Bt * su + sign * Bt * L, STEP)


@claim(mutants=[dict(shift=lambda s, g: s**2), dict(half=1)])
def sigma_zero_no_shift(shift=lambda s, g: (g**2 + s**2) / 2, half=Rational(1, 2)):
    r"""The mean shift $\sigma^2\gamma\nabla\ell$ vanishes at σ = 0, where the form in ε shifts the flow by
    $\tfrac12g^2\gamma\nabla\ell$ per unit of time; in general it is $\tfrac12(g^2+\sigma^2)\gamma\nabla\ell$.

    The backward drift is $f - \tfrac12(g^2+\sigma^2)s$ (`diffusion_sde/equal-marginal-family`).
    """
    s = sp.Symbol("s", real=True)
    drift = lambda score: f - (g**2 + s**2) / 2 * score  # noqa: E731
    change = drift(su) - drift(su + gamma * L)
    return (
        Identity(change, shift(s, g) * gamma * L),
        Identity(change.subs(s, 0), half * g**2 * gamma * L),
    )


# Powers of the classifier


@claim(mutants=[dict(power=1), dict(most=Rational(9, 10)), dict(middle=Rational(1, 3))])
def normaliser_not_constant(power=2, most=1, middle=Rational(1, 2)):
    r"""$\tilde p(y|x) = p^\gamma/Z(x)$, $Z = \sum_yp^\gamma$: $\nabla\ln\tilde p = \gamma\nabla\ln p - \nabla\ln Z$,
    and Z isn't constant: for two classes and γ = 2 $\partial Z/\partial p = 2(2p-1)$, zero only at p = ½;
    $K^{1-\gamma} \le Z \le 1$.

    γ = 2 and 3 for the derivative $\gamma(p^{\gamma-1} - (1-p)^{\gamma-1})$ and the bounds with K = 2.
    """
    p = sp.Symbol("p", real=True)
    Z = lambda k: p**k + (1 - p) ** k  # noqa: E731
    inside = [p >= 0, p <= 1]
    return (
        Identity(sp.diff(Z(2), p), power * (p - (1 - p))),
        Identity(sp.diff(Z(3), p), 3 * (p**2 - (1 - p) ** power)),
        ForAll(Equivalent(Eq(p - (1 - p), 0), Eq(p, middle)), inside),
        ForAll(And(Rational(1, 2) <= Z(2), Z(2) <= most, Rational(1, 4) <= Z(3), Z(3) <= most), inside),
    )


@claim(mutants=[dict(end=Rational(1, 2)), dict(sign=1)])
def power_limit(end=1, sign=-1):
    r"""As γ → ∞ $\tilde p$ becomes one-hot at a unique maximum, and its entropy doesn't increase with γ.

    Two classes with the log-odds d > 0: $\tilde p = 1/(1 + e^{-\gamma d})$ and $\partial_\gamma H =
    -\gamma d^2\tilde p(1-\tilde p)$; with more classes the same holds for every pair.
    """
    d = sp.Symbol("d", real=True)
    q = exp(-gamma * d)
    p = 1 / (1 + q)
    entropy = log(1 + q) + gamma * d * q / (1 + q)
    return (
        Limit(p, gamma, sp.oo, end, given=[d > 0]),
        Identity(sp.diff(entropy, gamma), sign * gamma * d**2 * p * (1 - p), [d > 0, gamma > 0]),
    )


@claim(mutants=[dict(tilted=False), dict(order=-1), dict(noise=1)])
def rescue_h_transform(tilted=True, order=1, noise=gamma):
    r"""$p_\gamma(x_0) \propto p(x_0)p(y|x_0)^\gamma$ is sampled exactly with the score $s_u + \nabla\ln h_t$, $h_t(x)
    = E[p(y|x_0)^\gamma|x_t = x]$; and $E[p^\gamma] \ge (Ep)^\gamma$, so $\gamma\nabla\ell \ne \nabla\ln h_t$ in
    general.

    The marginal of the tilted law is $p_th_t$, for a law on two points with free weights and likelihoods l1, l2;
    Jensen for γ = 2. For a Gaussian likelihood the power is $N(y; x_0, \tau^2/\gamma)$, so $h_t$ is guidance with
    less noise.
    """
    w1, w2, l1, l2, k1, k2 = sp.symbols("w1 w2 l1 l2 k1 k2", real=True)  # weights, p(y|x_0)^γ, kernels N(x; ᾱx_0, β̄²)
    marginal = w1 * k1 + w2 * k2
    h_t = (w1 * k1 * l1 + w2 * k2 * l2) / marginal
    direct = w1 * l1 * k1 + w2 * l2 * k2
    m0 = sp.Symbol("m0", real=True)
    given = [w1 > 0, w2 > 0, k1 > 0, k2 > 0]
    return (
        Identity(marginal * (h_t if tilted else (w1 * k1 * l1 + w2 * k2) / marginal), direct, given),
        ForAll(
            order * (w1 * l1**2 + (1 - w1) * l2**2) >= order * (w1 * l1 + (1 - w1) * l2) ** 2, [w1 >= 0, w1 <= 1]
        ),
        Identity(gamma * (y - m0) ** 2 / (2 * tau2), (y - m0) ** 2 / (2 * (tau2 / noise)), [tau2 > 0, gamma > 0]),
    )


# The Gaussian case, exactly

TIME = [c > 1, a > 0, a < 1]


def _guided(weight: Any = gamma) -> Any:
    """dx/da of the guided flow: γ(y − ax)/(c − a²)."""
    return weight * (y - a * x) / (c - a**2)


@claim(mutants=[dict(exponent=gamma), dict(rest=0), dict(drift=2)])
def gaussian_ode_law(exponent=gamma / 2, rest=1, drift=1):
    r"""The guided flow is $\frac{dx}{da} = \gamma\frac{y-ax}{c-a^2}$; its law at a = 1 is Gaussian with the variance
    $(\frac{c-1}c)^\gamma$, and for γ = 2 the mean $y[\frac1c + (c-1)c^{-3/2}\mathrm{artanh}(c^{-1/2})]$.

    With $s_u = -x$, $\nabla\ell = a(y-ax)/(c-a^2)$, $da = -\tfrac12g^2a\,dt$. Deviations are multiplied by
    $(\frac{c-a^2}c)^{\gamma/2}$, for every real γ; the mean for γ = 2 is differentiated.
    """
    factor = exp(exponent * log((c - a**2) / c))
    artanh = log((sqrt(c) + a) / (sqrt(c) - a)) / 2
    m = y * (a / c + rest * (c - a**2) / (c * sqrt(c)) * artanh)
    likelihood = a * (y - a * x) / (c - a**2)
    flow = -(g**2) * x / 2 - g**2 / 2 * (-x + gamma * likelihood)
    return (
        Identity(flow / (-(g**2) * a / 2), drift * _guided(), [*TIME, g > 0]),
        Identity(sp.diff(factor, a), -gamma * a / (c - a**2) * factor, TIME),
        Identity(sp.diff(m, a), 2 * (y - a * m) / (c - a**2), TIME),
    )


def _sde_variance(k: int) -> Any:
    """V(a) of the guided reverse equation with σ = g, for γ = k."""
    return ((c - a**2) - (c - a**2) ** (2 * k) * c ** (1 - 2 * k)) / ((2 * k - 1) * a**2)


@claim(mutants=[dict(noise=1), dict(double=1), dict(start=2), dict(half=2)])
def gaussian_sde_law(noise=2, double=2, start=1, half=1):
    r"""The guided reverse equation (σ = g) ends with the variance $\frac{(c-1) -
    (c-1)^{2\gamma}c^{1-2\gamma}}{2\gamma-1}$ (γ = ½: $(c-1)\ln\frac c{c-1}$) and the mean $y[1 -
    (\frac{c-1}c)^\gamma]$.

    In time a: $\frac{dm}{da} = -\frac ma + 2\gamma\frac{y-am}{c-a^2}$, $\frac{dV}{da} = 2(-\frac1a - \frac{2\gamma
    a}{c-a^2})V + \frac2a$ with V → 1 as a → 0. The curves are differentiated for γ = 2, 3 and ½.
    """

    def rate(V: Any, k: Any) -> Any:
        return 2 * (-1 / a - double * k * a / (c - a**2)) * V + noise / a

    middle = (c - a**2) * log(c / (c - a**2)) / a**2
    means = {k: y * (1 - ((c - a**2) / c) ** k) / a for k in (2, 3)}
    return (
        *(Identity(sp.diff(_sde_variance(k), a), rate(_sde_variance(k), k), TIME) for k in (2, 3)),
        Identity(sp.diff(middle, a) * half, rate(middle, Rational(1, 2)), TIME),
        *(
            Identity(sp.diff(m, a), -m / a + double * k * (y - a * m) / (c - a**2), TIME)
            for k, m in means.items()
        ),
        Limit(_sde_variance(2), a, 0, start, "+", [c > 1]),
    )


@claim(mutants=[dict(power=2), dict(table=(811613, 811614)), dict(sde=Rational(1, 4))])
def tilted_law(power=1, table=(811612, 811613), sde=Rational(7, 24)):
    r"""The law $\propto p(x)p(y|x)^\gamma$ is $N\big(\frac{y\gamma}{\tau^2+\gamma},
    \frac{\tau^2}{\tau^2+\gamma}\big)$; for c = γ = 2, y = 1 the flow gives (0.81161…, ¼), the reverse equation (¾,
    7/24), the tilted law (⅔, ⅓): they differ pairwise.

    So the guided score is not the score of a diffusion of any law. For γ = 1 all are (½, ½).
    """
    prior_times = -(x**2) / 2 - gamma * (y - x) ** 2 / (2 * tau2)
    spread = tau2 / (tau2 + gamma**power)
    law = -((x - y * gamma / (tau2 + gamma)) ** 2) / (2 * spread)

    @precise
    def flow_mean(_: int) -> tuple[Any, Any]:
        two = arb(2)
        value = ball(Fraction(1, 2)) + (1 / two.sqrt()).atanh() / (2 * two.sqrt())
        scaled = value * 10**6
        return (int(scaled.floor().unique_fmpz()), int(scaled.ceil().unique_fmpz())), table

    return (
        Identity(sp.diff(prior_times - law, x), 0, [tau2 > 0, gamma > 0]),
        ForEach((0,), flow_mean, over="the flow's mean at c = γ = 2"),
        Identity(_sde_variance(2).subs({a: 1, c: 2}), sde),
    )


@claim(mutants=[dict(middle=lambda r: 2 * r), dict(reverse=-1), dict(sinh=2), dict(mean_of=lambda v: v)])
def ordering_theorem(middle=lambda r: r * (1 + r + r**2) / 3, reverse=1, sinh=1, mean_of=lambda v: 1 - v):
    r"""With $r = (c-1)/c = e^{-2h}$, $n = 2\gamma - 1$: $V_{ODE} = r^\gamma \le V_{SDE} = \frac{r(1-r^n)}{(1-r)n} \le
    V_{tilt} = \frac r{r+\gamma(1-r)}$ for γ ≥ 1, strictly unless γ = 1.

    Shown for γ = 2 and 3 by real arithmetic. For every real γ: $V_{SDE}/V_{ODE} = \frac{\sinh nh}{n\sinh h}$
    (identity), and $\sinh nh - n\sinh h$ has the derivative $n(\cosh nh - \cosh h) \ge 0$ for n ≥ 1; the second
    inequality is $\coth h \le n\coth nh$ likewise. The mean of the reverse equation is $y(1 - V_{ODE})$.
    """
    inside = [r > 0, r < 1]
    third = r * (1 - r**5) / ((1 - r) * 5)
    z, u = sp.symbols("z u", real=True)  # e^{−h}, e^{−nh}
    sde, ode = z**2 * (1 - u**2) / ((1 - z**2) * n), z * u
    ratio = (1 / u - u) / (n * (1 / z - z))
    return (
        ForAll(And(reverse * r**2 < reverse * middle(r), middle(r) < r / (2 - r)), inside),
        ForAll(And(reverse * r**3 < reverse * third, third < r / (3 - 2 * r)), inside),
        Identity(sde / ode, ratio * sinh, [z > 0, z < 1, u > 0, u < 1, n > 0]),
        Identity(1 - ((c - 1) / c) ** 2, mean_of(((c - 1) / c) ** 2), [c > 1]),
    )


@claim(mutants=[dict(mean_limit=y), dict(variance=1)])
def churn_limit(mean_limit=gamma * y / (c - 1 + gamma), variance=(c - 1) / (c - 1 + gamma)):
    r"""With noise σ = ηg, η → ∞, the guided sampler tends to the tilted law.

    In time a, $k = 1 + \eta^2$: $\frac{dm}{da} = -\frac{(k-1)m}a + k\gamma\frac{y-am}{c-a^2}$ and $\frac{dV}{da} =
    -2\big(\frac{k-1}a + \frac{k\gamma a}{c-a^2}\big)V + \frac{2(k-1)}a$ relax at a rate ∝ k to the points where the
    right sides vanish; their limits at a = 1 are $\frac{\gamma y}{\tau^2+\gamma}$ and $\frac{\tau^2}{\tau^2+\gamma}$.
    """
    k = sp.Symbol("k", real=True)
    rate = (k - 1) / a + k * gamma * a / (c - a**2)
    point = (k * gamma * y / (c - a**2) / rate).subs(a, 1)
    spread = ((k - 1) / a / rate).subs(a, 1)
    given = [c > 1, gamma > 0, y > 0]
    return (
        Limit(point, k, sp.oo, mean_limit, given=given),
        Limit(spread, k, sp.oo, variance, given=[c > 1, gamma > 0]),
    )


@claim(mutants=[dict(other=gamma)])
def predictor_corrector(other=2 * gamma - 1):
    r"""$(1-\gamma)s_u + \gamma s_c = \tfrac12s_c + \tfrac12[(1-\gamma')s_u + \gamma's_c]$ with $\gamma' = 2\gamma -
    1$: the guided reverse equation is the conditional flow plus a Langevin corrector for the power $2\gamma - 1$.
    """
    return Identity((1 - gamma) * su + gamma * sc, sc / 2 + ((1 - other) * su + other * sc) / 2)


@claim(mutants=[dict(sign=1), dict(below=2), dict(slope=1)])
def gamma_diversity(sign=-1, below=1, slope=2):
    r"""A larger γ means less variance, for the flow, the reverse equation and the tilted law.

    $\partial_\gamma r^\gamma = r^\gamma\ln r$, where $\ln r = -2h < 0$; $\partial_\gamma\frac{\tau^2}{\tau^2+\gamma}
    = -\frac{\tau^2}{(\tau^2+\gamma)^2}$; the reverse equation from γ = 2 to 3.
    """
    two, three = r * (1 + r + r**2) / 3, r * (1 + r + r**2 + r**3 + r**4) / 5
    return (
        Identity(sp.diff(exp(-2 * h * gamma), gamma), -slope * h * exp(-2 * h * gamma)),
        Identity(sp.diff(tau2 / (tau2 + gamma), gamma), sign * tau2 / (tau2 + gamma) ** 2, [tau2 > 0, gamma > 0]),
        ForAll(three * below < two, [r > 0, r < 1]),
    )


# Classifier-free


@claim(mutants=[dict(scale=w), dict(means=gamma)])
def cfg_linear(scale=1 + w, means=gamma - 1):
    r"""$(1+w)\varepsilon_c - w\varepsilon_u = \varepsilon_u + \gamma(\varepsilon_c - \varepsilon_u)$ with γ = 1 + w;
    in means $\gamma\mu_c - (\gamma-1)\mu_u$, in $\hat x_0$ the same combination: the coefficients sum to 1.
    """
    x0 = lambda noise: (x - Bt * noise) / At  # noqa: E731
    combined = e + gamma * (f - e)
    return (
        Identity((1 + w) * f - w * e, e + scale * (f - e)),
        Identity((x - b2 / Bt * combined) / a, gamma * (x - b2 / Bt * f) / a - means * (x - b2 / Bt * e) / a, STEP),
        Identity(x0(combined), gamma * x0(f) - means * x0(e), STEP),
    )


@claim(mutants=[dict(scale=w), dict(posterior=-1)])
def cfg_equals_cg(scale=1 + w, posterior=1):
    r"""With exact networks $(1+w)\varepsilon_c - w\varepsilon_u = \varepsilon_u - (1+w)\bar\beta\nabla\ln p(y|x_t)$:
    classifier-free guidance is guidance by the Bayes classifier.

    $\varepsilon_c = \varepsilon_u - \bar\beta\nabla\ell$ (`score-bayes`); for two components with free means and
    weights $\nabla\ln p(x|y) - \nabla\ln p(x)$ is the gradient of the log-posterior.
    """
    p1, p2, m1, m2, s2 = sp.symbols("p1 p2 m1 m2 s2", real=True)
    one, two = (exp(-((x - m_) ** 2) / (2 * s2)) for m_ in (m1, m2))
    density = p1 * one + p2 * two
    difference = sp.diff(one, x) / one - sp.diff(density, x) / density
    log_posterior = log(p1) + -((x - m1) ** 2) / (2 * s2) - log(density)
    given = [p1 > 0, p2 > 0, s2 > 0]
    return (
        Identity((1 + w) * (e - Bt * L) - w * e, e - scale * Bt * L, STEP),
        Identity(difference, posterior * sp.diff(log_posterior, x), given),
    )


@claim(mutants=[dict(best=0), dict(weighted=False)])
def cfg_dropout_optimum(best=1, weighted=True):
    r"""Training with y → ∅ at a rate $0 < p_u < 1$ has the minimisers $\varepsilon(x, y) = E[\varepsilon|x, y]$ and
    $\varepsilon(x, \varnothing) = E[\varepsilon|x]$, which satisfy $E_{y|x}\varepsilon(x, y) = \varepsilon(x,
    \varnothing)$.

    The loss splits: its slopes in the two outputs are $2(1-p_u)(\varepsilon_c - E[\varepsilon|x,y])$ and
    $2p_u(\varepsilon_u - E[\varepsilon|x])$. Three labels with free probabilities, u1, u2, u3 their conditional
    means.
    """
    rate, mu_c, mu_u = sp.symbols("p_u mu_c mu_u", real=True)
    loss = (1 - rate) * ((f - mu_c) ** 2) + rate * ((e - mu_u) ** 2)
    average = mean(POINTS) if weighted else sum(POINTS) / 3
    return (
        Identity(sp.Matrix([sp.diff(loss, f), sp.diff(loss, e)]),
                 sp.Matrix([2 * (1 - rate) * (f - best * mu_c), 2 * rate * (e - best * mu_u)])),
        Identity(average, mean(POINTS)),
    )  # fmt: skip


@erratum(printed=dict(coefficient=b2), mutants=[dict(ratio=1)])
def cfg_coefficient_erratum(coefficient=b2 / a, ratio=a):
    r"""The conditional mean is $\mu_c = \mu_u + \frac{\beta_t^2}{\alpha_t}\nabla\ln p(y|x_t)$, independent of
    $\sigma_t$; the article introduces w with $\mu + \sigma_t^2\nabla\ln p(y|x_t)$.

    From $\varepsilon_c - \varepsilon_u = -\bar\beta_t\nabla\ell$ in $\mu = (x_t -
    \frac{\beta_t^2}{\bar\beta_t}\varepsilon)/\alpha_t$. They agree only for $\sigma_t^2 = \beta_t^2/\alpha_t$;
    $\sigma_t = \beta_t$ is too small by the factor $\alpha_t$.
    """
    mu = lambda noise: (x - b2 / Bt * noise) / a  # noqa: E731
    return (
        Identity(mu(e - Bt * L) - mu(e), coefficient * L, STEP),
        Identity(b2 / (b2 / a), ratio, STEP),
    )


# Similarity instead of a classifier


@claim(mutants=[dict(projected=0), dict(power=1), dict(norm=2)])
def sim_kernel(projected=1, power=2, norm=1):
    r"""$p(x'|x_t)e^{\gamma\,\mathrm{sim}(x')}/Z$ is an exact Gaussian shift for an affine similarity; the gradient of
    the cosine is $(\hat y - \cos\cdot\hat x)/\|x\|$, orthogonal to x, of length $\sqrt{1-\cos^2}/\|x\|$.

    The exponents as in `first-order-mean-shift` with γg; the cosine in the plane, where $\hat y = (u, v)$ is a unit
    vector.
    """
    m, s, x1, x2, u, v = sp.symbols("m s x1 x2 u v", real=True)
    left = -((x - m) ** 2) / (2 * s**2) + gamma * g * x
    right = -((x - m - gamma * s**power * g) ** 2) / (2 * s**2)
    length = sqrt(x1**2 + x2**2)
    cosine = (x1 * u + x2 * v) / length
    gradient = sp.Matrix([sp.diff(cosine, z) for z in (x1, x2)])
    given = [x1**2 + x2**2 > 0, Eq(u**2 + v**2, 1)]
    formula = sp.Matrix([u - projected * cosine * x1 / length, v - projected * cosine * x2 / length]) / length
    return (
        Identity(sp.diff(left - right, x), 0, [s > 0]),
        Identity(gradient, formula, given),
        Identity(norm * (gradient.T * gradient)[0], (1 - cosine**2) / length**2, given),
    )


@claim(mutants=[dict(half=1), dict(threshold=4), mutant("domain", most=2)])
def tilted_kernel_normaliser(half=Rational(1, 2), threshold=2, most=1):
    r"""Z of $p(x'|x_t)e^{\gamma\,\mathrm{sim}}$: $e^{-|\gamma|} \le Z \le e^{|\gamma|}$ for a cosine;
    $\exp(\gamma(c+g\cdot\mu) + \tfrac12\gamma^2\sigma^2\|g\|^2)$ for an affine similarity; for $\|x'\|^2$ it is
    finite iff $2\gamma\sigma^2 < 1$.

    Completing squares, coordinate by coordinate; the coefficient of $-x^2/(2\sigma^2)$ becomes $1 - 2\gamma\sigma^2$.
    s stands for σ, q for a similarity.
    """
    m, s, k, q = sp.symbols("m s k q", real=True)
    affine = -((x - m) ** 2) / (2 * s**2) + gamma * (k + g * x)
    shifted = -((x - m - gamma * s**2 * g) ** 2) / (2 * s**2)
    constant = gamma * (k + g * m) + half * gamma**2 * s**2 * g**2
    return (
        Identity(affine, shifted + constant, [s > 0]),
        Identity(-(x**2) / (2 * s**2) + gamma * x**2, -(x**2) / (2 * s**2) * (1 - threshold * gamma * s**2), [s > 0]),
        ForAll(And(-sp.Abs(gamma) <= gamma * q, gamma * q <= sp.Abs(gamma)), [q >= -most, q <= most]),
    )


GAPS = {Fraction(-1, 2): (30536, 2786), Fraction(7, 10): (75964, 99178), Fraction(0): (50000, 50000)}


@claim(mutants=[dict(table={Fraction(7, 10): (75964, 75964)})])
def denoised_classifier_gap(table=GAPS):
    r"""$p(y|x_t) = E[p_o(y|x_0)|x_t]$, not $p_o(y|E[x_0|x_t])$: for classes $N(\pm1, \tfrac14)$ and $\bar\alpha =
    0.6$ the two are 0.30536 and 0.02786 at $x_t = -\tfrac12$, 0.75964 and 0.99178 at 0.7; equal at 0 by symmetry.

    $p(+|x_t) = \sigma(2\bar\alpha x_t/(\bar\alpha^2s^2 + \bar\beta^2))$ and $E[x_0|x_t] = \sum_\pm p_\pm\big(\pm1 +
    \frac{\bar\alpha s^2(x_t\mp\bar\alpha)}{\bar\alpha^2s^2+\bar\beta^2}\big)$; five decimals in ball arithmetic.
    """

    @precise
    def row(at: Fraction) -> tuple[Any, Any]:
        bar, square = Fraction(3, 5), Fraction(1, 4)
        total = bar**2 * square + 1 - bar**2
        logistic = lambda z: 1 / (1 + (-z).exp())  # noqa: E731
        plus = logistic(ball(2 * bar * at / total))
        centre = [ball(sign + bar * square * (at - sign * bar) / total) for sign in (1, -1)]
        denoised = plus * centre[0] + (1 - plus) * centre[1]
        return (digits(plus, 10**5), digits(logistic(2 * denoised / ball(square)), 10**5)), table[at]

    return ForEach(list(table), row, over="x_t = −½, 0.7, 0")


