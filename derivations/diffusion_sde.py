r"""Diffusion as a stochastic differential equation, its reverse, and the equation without noise.

Su Jianlin, 《生成扩散模型漫谈》 5 and 6 (the SDE and the ODE part), 2022-08-03 and 2022-08-08, archives
9209, 9228. Y. Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021, arXiv
2011.13456; Maximum Likelihood Training of Score-Based Diffusion Models, 2021, arXiv 2101.09258. A. Hyvärinen, 2005;
P. Vincent, 2011 (score matching).

Notation: $dx = f\,dt + g\,dw$; p for the density $p_t$ at a point, p1, p2 for its derivatives in x, $s = \nabla\ln
p_t$; $p(x_t|x_0) = N(\bar\alpha_tx_0, \bar\beta_t^2I)$. One coordinate stands for all: $\nabla\cdot(p\nabla\ln p) =
\Delta p$.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import Equivalent, Rational, cos, exp, log, pi, sin, sqrt, tan

from kexue import ForAll, ForEach, Identity, Limit, claim, erratum, mutant

from .ddpm.common import alpha_bar2, ball, gaussian_mean, precise
from .optimal_variance import POINTS, mean

x, u, c, h, f, g, s, m, V, t, D = sp.symbols("x u c h f g s m V t D", real=True)
p, p1, p2, f0, f1, sigma, eta, e = sp.symbols("p p1 p2 f0 f1 sigma eta e", real=True)
A, B, A1, B1, v, q = sp.symbols("A B A1 B1 v q", real=True)

SCORE = p1 / p
FLOW = f1 * p + f0 * p1  # ∂(f p)


def divergence(shift: Any, shift1: Any) -> Any:
    """∂(drift · p) for drift = f + shift, where shift1 is the derivative of shift."""
    return FLOW + shift1 * p + shift * p1


SCORE1 = p2 / p - (p1 / p) ** 2  # s'


# From one step to the reverse


@claim(mutants=[dict(rate=1), dict(kept=0), dict(wide=0)])
def sqrt_dt_scaling(rate=2, kept=1, wide=sp.oo):
    r"""With noise of weight $\Delta t^\kappa$ in each of $1/\Delta t$ steps the variance over [0, 1] is $\Delta
    t^{2\kappa-1}$: it tends to ∞, 1 and 0 for κ = ¼, ½, 1, so only $\sqrt{\Delta t}$ keeps noise.

    An exact sum of n = 1/Δt independent terms; $n\cdot n^{-2\kappa} = n^{1-2\kappa}$.
    """
    n = sp.Symbol("n", real=True)
    total = lambda kappa: n * n ** (-rate * kappa)  # noqa: E731
    return (
        Limit(total(Rational(1, 4)), n, sp.oo, wide),
        Limit(total(Rational(1, 2)), n, sp.oo, kept),
        Limit(total(Rational(1)), n, sp.oo, 0),
    )


@claim(mutants=[dict(scale=h / c), dict(shift=2)])
def one_step_reverse_exact(scale=h / c**2, shift=1):
    r"""For $x' = cx + \sqrt h\,\varepsilon$ and any law of x: $E[x|x'] = (x' + h\nabla\ln p')/c$ and
    $\mathrm{Cov}[x|x'] = \frac h{c^2}(I + h\nabla^2\ln p')$, at any finite step (Tweedie).

    The kernel $N = N(x'; cu, h)$ has $cuN = x'N + h\partial N$ and $(cu)^2N = h^2\partial^2N + 2x'h\partial N +
    (x'^2+h)N$, linear in N, hence true of every mixture of kernels.
    """
    kernel = exp(-((x - c * u) ** 2) / (2 * h))
    d1, d2 = sp.diff(kernel, x), sp.diff(kernel, x, 2)
    given = [h > 0, c > 0]
    square = (h**2 * p2 + 2 * x * h * p1 + (x**2 + h) * p) / (c**2 * p)
    return (
        Identity(c * u * kernel, shift * x * kernel + h * d1, given),
        Identity((c * u) ** 2 * kernel, h**2 * d2 + 2 * x * h * d1 + (x**2 + shift * h) * kernel, given),
        Identity(square - ((x + h * SCORE) / c) ** 2, scale * (1 + h * SCORE1), [*given, p > 0]),
    )


@claim(
    mutants=[dict(score=0), dict(mean_rest=f * (f * V * x + g**2 * x) / V), dict(variance_rest=-2 * f * g**2)]
)
def bayes_reverse_expansion(
    score=1, mean_rest=f * (f * V * x - g**2 * m + g**2 * x) / V, variance_rest=-2 * f * g**2 - g**4 / V
):
    r"""With c = 1 + fΔt: $E[x|x'] = x' - [fx' - g^2s(x')]\Delta t + O(\Delta t^2)$ and $\mathrm{Var} = g^2\Delta t +
    O(\Delta t^2)$, the article's reverse kernel.

    For data N(m, V), with the score at t + Δt, the remainders over $\Delta t^2$ tend to $f(fVx - g^2m + g^2x)/V$ and
    $-2fg^2 - g^4/V$.
    """
    c_, h_ = 1 + f * D, g**2 * D
    after = c_**2 * V + h_
    s_ = -(x - c_ * m) / after
    exact_mean, exact_variance = (x + h_ * s_) / c_, h_ / c_**2 * (1 - h_ / after)
    given = [V > 0, f > 0, g > 0]
    step = x - (f * x - g**2 * s_) * D
    return (
        Limit((exact_mean - (x - (f * x - score * g**2 * s_) * D)) / D, D, 0, 0, "+", given),
        Limit((exact_mean - step) / D**2, D, 0, mean_rest, "+", given),
        Limit((exact_variance - g**2 * D) / D**2, D, 0, variance_rest, "+", given),
    )


@claim(mutants=[dict(half=0), dict(sign=1)])
def complete_square_remainder(half=Rational(1, 2), sign=-1):
    r"""With $\delta = x_{t+\Delta t} - x_t$: $-\frac{\|\delta-f\Delta t\|^2}{2g^2\Delta t} - \delta\cdot s =
    -\frac{\|\delta-(f-g^2s)\Delta t\|^2}{2g^2\Delta t} + \Delta t(\tfrac12g^2\|s\|^2 - f\cdot s)$ exactly.

    In the six scalar products of δ, f, s: every d.
    """
    dd, df, ds, ff, fs, ss = sp.symbols("dd df ds ff fs ss", real=True)
    left = -(dd - 2 * df * D + ff * D**2) / (2 * g**2 * D) - ds
    square = dd - 2 * D * (df + sign * g**2 * ds) + D**2 * (ff + sign * 2 * g**2 * fs + g**4 * ss)
    return Identity(left, -square / (2 * g**2 * D) + D * (half * g**2 * ss - fs), [g > 0, D > 0])


@erratum(printed=dict(dropped=0), mutants=[dict(kept=1)])
def taylor_quadratic_term_erratum(dropped=-(g**2) / (2 * V), kept=-1):
    r"""The article keeps $\partial_t\ln p\,\Delta t$ of the expansion of $\ln p_{t+\Delta t}(x_{t+\Delta t})$ but not
    $\tfrac12\delta^\top\nabla^2\ln p\,\delta$, which has the same order: its mean is $\tfrac12g^2\Delta t\,\Delta\ln
    p$.

    For $p_t = N(0, V)$, f = 0, $V' = g^2$: dropped per Δt $-\frac{g^2}{2V}$, kept $\frac{g^2(x^2-V)}{2V^2}$. The
    conclusion survives, since both belong to terms that are discarded later.
    """
    W = sp.Symbol("W", real=True)
    density = -(x**2) / (2 * W) - log(W) / 2
    curvature = sp.diff(density, x, 2).subs(W, V)
    given = [V > 0, g > 0]
    return (
        Limit(gaussian_mean((g * e) ** 2 * D / 2, e) * curvature / D, D, 0, dropped, "+", given),
        Identity((sp.diff(density, W) * g**2).subs(W, V), g**2 * (x**2 + kept * V) / (2 * V**2), given),
    )


# Equations for the density


@claim(mutants=[dict(sign=1)])
def reverse_sde(sign=-1):
    r"""$dx = [f - g^2s]dt + g\,d\bar w$, run backwards, has the marginals $p_t$: the Fokker–Planck equation of the
    reversed drift returns $-\partial_tp$.

    For free p, p', p'', f, f' at a point, with $\partial_tp = -\partial(fp) + \tfrac12g^2p''$.
    """
    forward = -FLOW + g**2 * p2 / 2
    backward = divergence(sign * g**2 * SCORE, sign * g**2 * SCORE1) + g**2 * p2 / 2  # drift −(f − g²s)
    return Identity(backward, -forward, [p > 0])


@claim(mutants=[dict(half=1)])
def fokker_planck(half=Rational(1, 2)):
    r"""$\partial_tp = -\nabla\cdot(fp) + \tfrac12g^2\Delta p$: for every test polynomial φ the term of order Δt of
    $E\varphi(x + f\Delta t + g\sqrt{\Delta t}\,\varepsilon)$ is $f\varphi' + \tfrac12g^2\varphi''$.

    For monomials of degree ≤ 6 in one dimension and ≤ 4 in two, symbolic x, f, g: by integration by parts the weak
    form of the equation. g must not depend on x.
    """
    root, y, e2, fy = sp.symbols("r y e2 fy", real=True)  # r = √Δt

    def first_order(phi: Any, moves: dict[Any, Any], noises: Any) -> Any:
        moved = phi.subs(moves, simultaneous=True)
        return sp.Poly(gaussian_mean(moved, *noises), root).coeff_monomial(root**2)

    one = {x: x + f * root**2 + g * root * e}
    two = {**one, y: y + fy * root**2 + g * root * e2}
    plane = [(i, j) for i in range(4) for j in range(1, 4) if i + j <= 4]
    return (
        *(
            Identity(
                first_order(x**k, one, (e,)), f * sp.diff(x**k, x) + half * g**2 * sp.diff(x**k, x, 2)
            )
            for k in (2, 3, 4, 5, 6)
        ),
        Identity(
            sp.Matrix([first_order(x**i * y**j, two, (e, e2)) for i, j in plane]),
            sp.Matrix([
                f * sp.diff(x**i * y**j, x) + fy * sp.diff(x**i * y**j, y)
                + half * g**2 * (sp.diff(x**i * y**j, x, 2) + sp.diff(x**i * y**j, y, 2))
                for i, j in plane
            ]),
        ),
    )  # fmt: skip


@claim(mutants=[dict(sign=1), dict(back=-1)])
def equal_marginal_family(sign=-1, back=1):
    r"""For every $\sigma_t \ge 0$, also above $g_t$: $dx = (f - \tfrac12(g^2-\sigma^2)s)dt + \sigma dw$ has the
    marginals of the original equation, and so has $dx = (f - \tfrac12(g^2+\sigma^2)s)dt + \sigma d\bar w$ backwards.

    For free p, p', p'', f, f'. The article restricts σ to $\sigma \le g$, which isn't needed.
    """
    evolution = -FLOW + g**2 * p2 / 2
    k = -(g**2 + sign * sigma**2) / 2
    forward = -divergence(k * SCORE, k * SCORE1) + sigma**2 * p2 / 2
    b = -(g**2 + back * sigma**2) / 2
    backward = divergence(b * SCORE, b * SCORE1) + sigma**2 * p2 / 2
    return Identity(forward, evolution, [p > 0]), Identity(backward, -evolution, [p > 0])


@claim(mutants=[dict(half=1)])
def probability_flow_ode(half=Rational(1, 2)):
    r"""$dx = (f - \tfrac12g^2s)dt$ transports $p_t$, forwards and backwards: $-\partial((f - \tfrac12g^2s)p) =
    \partial_tp$.
    """
    k = -half * g**2
    return Identity(-divergence(k * SCORE, k * SCORE1), -FLOW + g**2 * p2 / 2, [p > 0])


@claim(mutants=[dict(weight=2)])
def pc_invariance(weight=1):
    r"""$p_t$ is invariant under the exact corrector $dx = s\,dt + \sqrt2\,dw$: $-\partial(sp) + \partial^2p = 0$."""
    return Identity(-weight * (SCORE1 * p + SCORE * p1) + p2, 0, [p > 0])


@claim(mutants=[dict(sign=1)])
def dirac_transfer(sign=-1):
    r"""Weakly, $E_y[\delta(x-y)f(y)] = p(x)f(x)$ and $\nabla(pf) = E_y[f(y)\nabla_x\delta(x-y)]$:
    $\int\varphi\,\partial(pf) = -E[f\,\partial\varphi]$.

    For all polynomials φ and f of degree ≤ 3 with free coefficients and p = N(0, 1), where $\partial(pf) = p(f' -
    xf)$; in general by integration by parts.
    """
    phi = sum(k * x**i for i, k in enumerate(sp.symbols("a0:4", real=True)))
    force = sum(k * x**i for i, k in enumerate(sp.symbols("b0:4", real=True)))
    left = gaussian_mean(phi * (sp.diff(force, x) - x * force), x)
    return Identity(left, sign * gaussian_mean(force * sp.diff(phi, x), x))


# Linear equations


@claim(mutants=[mutant("symbols", variance=2 * B * B1), dict(other=1), dict(order=2)])
def linear_coefficients(variance=2 * B * B1 - 2 * B**2 * A1 / A, other=2, order=1):
    r"""$p(x_t|x_0) = N(\bar\alpha_tx_0, \bar\beta_t^2I)$ iff $f_t = d\ln\bar\alpha/dt$ and $g^2 = \bar\alpha^2\frac
    d{dt}\frac{\bar\beta^2}{\bar\alpha^2} = 2\bar\alpha\bar\beta\frac d{dt}\frac{\bar\beta}{\bar\alpha}$; it needs
    $\bar\beta/\bar\alpha$ not to decrease.

    A1, B1 are the derivatives. The mean obeys $m' = fm$ and the variance $(\bar\beta^2)' = 2f\bar\beta^2 + g^2$.
    """
    rate = A1 / A
    ratio1 = (B1 * A - B * A1) / A**2
    given = [A > 0, B > 0]
    return (
        Identity(2 * B * B1, 2 * rate * B**2 + variance, given),
        Identity(2 * B * B1 - 2 * B**2 * A1 / A, other * A * B * ratio1, given),
        ForAll(Equivalent(2 * B * B1 - 2 * B**2 * A1 / A >= 0, B1 * A - order * B * A1 >= 0), given),
    )


b0, b1 = sp.symbols("b_min b_max", real=True)


@claim(mutants=[dict(power=2), dict(quarter=Rational(1, 2)), dict(end=65716)])
def vp(power=1, quarter=Rational(1, 4), end=65715):
    r"""$\bar\alpha = e^{-I/2}$, $\bar\beta^2 = 1 - e^{-I}$, $I' = \beta$: $f = -\beta/2$, $g^2 = \beta$. For β linear
    from 0.1 to 20, $\ln\bar\alpha_t = -\tfrac14t^2(\beta_{max}-\beta_{min}) - \tfrac12t\beta_{min}$ and $\bar\alpha_1
    = 6.5715…\cdot10^{-3}$.

    q stands for $e^{-I}$, whose derivative is −βq.
    """
    beta = sp.Symbol("beta", real=True)
    exponent = -quarter * t**2 * (b1 - b0) - t * b0 / 2

    @precise
    def last(_: int) -> tuple[Any, Any]:
        value = (-(ball(Fraction(199, 10)) / 4 + ball(Fraction(1, 20)))).exp()
        return int((value * 10**7).floor().unique_fmpz()), end

    return (
        Identity(beta * q, 2 * (-beta / 2) * (1 - q) + beta**power),
        Identity(sp.diff(exponent, t), -(b0 + t * (b1 - b0)) / 2),
        ForEach((0,), last, over="β from 0.1 to 20"),
    )


@claim(mutants=[mutant("symbols", start=0), dict(twice=1)])
def ve(start=1, twice=2):
    r"""$\bar\alpha \equiv 1$: $g^2 = (\bar\beta^2)'$. $\sigma(t) = \sigma_{min}(\sigma_{max}/\sigma_{min})^t$ gives
    $g = \sigma(t)\sqrt{2\ln(\sigma_{max}/\sigma_{min})}$, and $\mathrm{Var}(x_t|x_0) = \sigma^2(t) - \sigma_{min}^2$,
    not $\sigma^2(t)$.

    L = ln(σ_max/σ_min), so that $\sigma(t) = \sigma_{min}e^{tL}$.
    """
    low, L = sp.symbols("sigma_min L", real=True)
    square = (low * exp(t * L)) ** 2
    return (
        Identity(sp.diff(square, t), twice * L * square),
        Identity((square - start * low**2).subs(t, 0), 0),
    )


@claim(mutants=[dict(power=1), mutant("domain", most=2)])
def sub_vp(power=2, most=1):
    r"""$\bar\beta = 1 - e^{-I}$ (the standard deviation), $\bar\alpha = e^{-I/2}$: $f = -\beta/2$, $g^2 = \beta(1 -
    e^{-2I})$; its variance is at most that of VP at all times.

    q stands for $e^{-I}$ in [0, 1]: $(1-q)^2 \le 1-q$.
    """
    beta = sp.Symbol("beta", real=True)
    return (
        Identity(2 * (1 - q) * beta * q, 2 * (-beta / 2) * (1 - q) ** 2 + beta * (1 - q**power)),
        ForAll((1 - q) ** 2 <= 1 - q, [q >= 0, q <= most]),
    )


@claim(mutants=[dict(order=1), dict(sign=-1), dict(square=1)])
def finite_step_kernel(order=2, sign=1, square=2):
    r"""For prescribed $\bar\alpha, \bar\beta$ and t < t': $p(x_{t'}|x_t) = N\big(\tfrac{\bar\alpha'}{\bar\alpha}x_t,\
    (\bar\beta'^2 - \tfrac{\bar\alpha'^2}{\bar\alpha^2}\bar\beta^2)I\big)$; kernels compose, and the variance is ≥ 0
    iff $\bar\beta'/\bar\alpha' \ge \bar\beta/\bar\alpha$.

    Three times with free ᾱ, β̄; its expansion for t' = t + Δt gives $\bar\alpha' = (1 + f\Delta t)\bar\alpha$ and the
    variance of `linear-coefficients`: (β̄² − (ᾱ'/ᾱ)²β̄²)/Δt → g².
    """
    a1, a2, a3, s1, s2, s3 = sp.symbols("a1 a2 a3 s1 s2 s3", real=True)  # ᾱ, β̄² at three times
    positive = [a1 > 0, a2 > 0, a3 > 0]
    kernel = lambda p_, r_, sp_, sr_: sr_ - (r_ / p_) ** order * sp_  # noqa: E731
    later = (B + D * B1) ** 2 - ((A + D * A1) / A) ** 2 * B**2
    return (
        Identity((a3 / a2) ** 2 * kernel(a1, a2, s1, s2) + kernel(a2, a3, s2, s3), kernel(a1, a3, s1, s3), positive),
        ForAll(
            Equivalent(s2**2 - (a2 / a1) ** 2 * s1**2 >= 0, s2 / a2 >= sign * s1 / a1), [*positive, s1 > 0, s2 > 0]
        ),
        Limit(later / D, D, 0, 2 * B * B1 - 2 * B**square * A1 / A, "+", [A > 0, B > 0, A1 > 0, B1 > 0]),
    )


# Scores


@claim(mutants=[dict(half=1), dict(sign=1)])
def score_average(half=Rational(1, 2), sign=-1):
    r"""$\nabla\ln p_t(x) = E[\nabla\ln p(x|x_0)\,|\,x_t = x] = (\bar\alpha E[x_0|x] - x)/\bar\beta^2 =
    -E[\varepsilon|x]/\bar\beta$; for training points $x_i$ the weights are $\propto
    \exp(-\|x-\bar\alpha x_i\|^2/2\bar\beta^2)$.

    Two points with free positions and prior weights, as for any number.
    """
    w1, w2, u1, u2 = sp.symbols("w1 w2 u1 u2", real=True)
    kernels = [exp(-((x - A * ui) ** 2) * half / B**2) for ui in (u1, u2)]
    total = w1 * kernels[0] + w2 * kernels[1]
    true = [exp(-((x - A * ui) ** 2) / (2 * B**2)) for ui in (u1, u2)]
    density = w1 * true[0] + w2 * true[1]
    average = (w1 * kernels[0] * (A * u1 - x) + w2 * kernels[1] * (A * u2 - x)) / (B**2 * total)
    given = [B > 0, w1 > 0, w2 > 0, A > 0]
    return (
        Identity(sp.diff(density, x) / density, average, given),
        Identity((A * u1 - x) / B**2, sign * ((x - A * u1) / B) / B, given),
    )


@claim(mutants=[dict(constant=0), dict(power=2)])
def dsm_equals_esm(constant=1, power=4):
    r"""$E\|s_\theta - \nabla\ln p(x_t|x_0)\|^2 = E\|s_\theta - s\|^2 + C$ with $C = d/\bar\beta^2 - dJ_t =
    \frac{\bar\alpha^2}{\bar\beta^4}E\,\mathrm{tr\,Cov}(x_0|x_t) \ge 0$: one minimiser, and an irreducible loss.

    Pointwise in $x_t$, for a conditional score on three values with free weights; $\bar\sigma^2 =
    \frac{\bar\beta^2}{\bar\alpha^2}(1 - \bar\beta^2J)$ (`optimal_variance/estimate-2`).
    """
    J = sp.Symbol("J", real=True)
    spread = mean([z**2 for z in POINTS]) - mean(POINTS) ** 2
    bar = B**2 / A**2 * (1 - B**2 * J)
    return (
        Identity(mean([(f - z) ** 2 for z in POINTS]), (f - mean(POINTS)) ** 2 + constant * spread),
        Identity(1 / B**2 - J, A**2 / B**power * bar, [A > 0, B > 0]),
    )


@claim(mutants=[dict(twice=1)])
def hyvarinen(twice=2):
    r"""$E\|s_\theta - s\|^2 = E[\|s_\theta\|^2 + 2\nabla\cdot s_\theta] + J_t$ for a decaying p, as $(s_\theta p)' =
    s_\theta'p + s_\theta p'$ integrates to 0.

    For p = N(0, V) and $s_\theta$ of degree ≤ 4 with free coefficients, by exact moments (x = √V z).
    """
    z = sp.Symbol("z", real=True)
    model = sum(k * (sqrt(V) * z) ** i for i, k in enumerate(sp.symbols("c0:5", real=True)))
    slope = sum(i * k * (sqrt(V) * z) ** (i - 1) for i, k in enumerate(sp.symbols("c0:5", real=True)) if i)
    left = gaussian_mean((model + z / sqrt(V)) ** 2, z)
    return Identity(left, gaussian_mean(model**2 + twice * slope, z) + 1 / V, [V > 0])


@claim(mutants=[dict(power=1)])
def dsm_eps_form(power=2):
    r"""$\nabla\ln p(x_t|x_0) = -(x_t-\bar\alpha x_0)/\bar\beta^2 = -\varepsilon/\bar\beta$, so with $s_\theta =
    -\varepsilon_\theta/\bar\beta$ the loss is $\bar\beta^{-2}E\|\varepsilon_\theta - \varepsilon\|^2$."""
    xt = A * u + B * e
    return Identity((-f / B + (xt - A * u) / B**2) ** 2, (f - e) ** 2 / B**power, [B > 0])


@claim(mutants=[dict(best=POINTS[1])])
def mean_as_argmin(best=None):
    r"""$E\|\mu - x\|^2 = \|\mu - Ex\|^2 + \mathrm{tr\,Cov}\,x$: the mean is the only minimiser, and $E[x|y]$ among
    functions of y.

    One coordinate of a law on three points with free weights. The median minimises another loss.
    """
    centre = mean(POINTS) if best is None else best
    spread = mean([z**2 for z in POINTS]) - mean(POINTS) ** 2
    return Identity(mean([(m - z) ** 2 for z in POINTS]), (m - centre) ** 2 + spread)


@claim(mutants=[dict(half=1), dict(limit=Rational(1, 2))])
def empirical_score_memorises(half=Rational(1, 2), limit=1):
    r"""With the exact score of a finite training set the weight of the nearest point tends to 1 as $\bar\beta \to 0$:
    the others are smaller by $e^{-\Delta^2/2\bar\beta^2}$, Δ² the gap of squared distances; so samples are training
    points.

    The ratio of two weights, and its limit; D stands for Δ². Trajectories are simulated in numerics.
    """
    r1, r2 = sp.symbols("r1 r2", real=True)  # squared distances
    ratio = exp(-r2 / (2 * B**2)) / exp(-r1 / (2 * B**2))
    return (
        Identity(ratio, exp(-half * (r2 - r1) / B**2), [B > 0]),
        Limit(1 / (1 + exp(-D / (2 * q))), q, 0, limit, "+", [D > 0]),
    )


# Samplers


@claim(
    mutants=[dict(quarter=0), dict(first=1), dict(remainder=Rational(1, 4))]
)
def ddpm_equals_reverse_sde_first_order(quarter=Rational(1, 4), first=0, remainder=Rational(1, 8)):
    r"""The ancestral mean $(x+\beta s)/\sqrt{1-\beta}$ and the reverse-diffusion step $(2-\sqrt{1-\beta})x + \beta s$
    have coefficients of x that differ by $\beta^2/4 + O(\beta^3)$; both are the reverse equation to first order.

    In ε form with β constant over a step h: the difference of the DDPM step and the discretised equation over $h^2$
    tends to $\frac{\beta^2}8(3x - 4\varepsilon/\bar\beta)$ for every x and ε.
    """
    beta = sp.Symbol("beta", real=True)
    gap = 1 / sqrt(1 - beta) - (2 - sqrt(1 - beta))
    step = (x - beta * h / B * e) / sqrt(1 - beta * h) - (x + (beta * x / 2 - beta / B * e) * h)
    given = [B > 0, beta > 0, x > 0, e > 0]
    return (
        Limit(gap / beta**2, beta, 0, quarter, "+"),
        Limit((1 / sqrt(1 - beta) - 1 - beta / 2) / beta, beta, 0, first, "+"),
        Limit(step / h**2, h, 0, remainder * beta**2 * (3 * x - 4 * e / B), "+", given),
    )


@claim(mutants=[dict(factor=lambda eta: 1 + eta), dict(half=1), dict(first=2)])
def ddim_is_pf_ode(factor=lambda eta: 1 + eta**2, half=Rational(1, 2), first=1):
    r"""With $s = -\varepsilon/\bar\beta$ the probability flow is $d(x/\bar\alpha) =
    \varepsilon\,d(\bar\beta/\bar\alpha)$; the DDIM step with $\sigma^2 = \eta^2\tilde\beta^2$ is Euler–Maruyama of
    the member σ = ηg: its drift per step tends to $-[fx - \tfrac12(1+\eta^2)g^2s]$, and $\tilde\beta^2/h \to g^2$.

    The first for free ᾱ, β̄; the limit at $\bar\alpha^2 = \tfrac14$ with $f = -\tfrac c2$, $g^2 = c$.
    """
    c_ = sp.Symbol("c", real=True)
    drift = A1 / A * x - half * (2 * B * B1 - 2 * B**2 * A1 / A) * (-e / B)
    now = Rational(1, 4)
    before = now * (1 + c_ * h)
    tilde = (1 - before) * (1 - now / before) / (1 - now)
    rest = sqrt(1 - before - eta**2 * tilde)
    step = sqrt(before / now) * (x - sqrt(1 - now) * e) + rest * e
    s_ = -e / sqrt(1 - now)
    given = [c_ > 0, c_ < 1, eta > 0, eta < 1, x > 0, e > 0]
    return (
        Identity(drift / A - x * A1 / A**2, e * (B1 * A - B * A1) / A**2, [A > 0, B > 0]),
        Limit((step - x) / h, h, 0, c_ / 2 * x + factor(eta) / 2 * c_ * s_, "+", given),
        Limit(tilde / h, h, 0, first * c_, "+", [c_ > 0, c_ < 1]),
    )


@claim(mutants=[dict(root=1), mutant("symbols", unit=2)])
def gaussian_flow(root=Rational(1, 2), unit=1):
    r"""For data N(m, vI): $p_t = N(\bar\alpha m, V_t)$, $s = -(x-\bar\alpha m)/V_t$, and the probability flow maps
    $x_t$ to $\bar\alpha_sm + \sqrt{V_s/V_t}(x_t - \bar\alpha_tm)$; for m = 0, v = 1 and VP it is the identity.

    The curve is differentiated: with $V' = 2fV + g^2$ it solves the equation. y stands for the deviation at time t.
    """
    y, Vt = sp.symbols("y V_t", real=True)
    g2 = 2 * B * B1 - 2 * B**2 * A1 / A
    variance = A**2 * v + B**2
    rate = 2 * A * A1 * v + 2 * B * B1
    curve = A * m + (variance / Vt) ** root * y
    speed = A1 * m + root * (variance / Vt) ** root / variance * rate * y
    drift = A1 / A * curve + g2 / 2 * (curve - A * m) / variance
    given = [A > 0, B > 0, v > 0, Vt > 0]
    return (
        Identity(speed, drift, given),
        Identity(A**2 * unit + (1 - A**2), 1),
    )


@claim(
    mutants=[dict(sign=-1), dict(log_density=-11336187978), dict(trace=2), dict(gauss=1), dict(offset=8)]
)
def likelihood(sign=1, log_density=-11336187977, trace=1, gauss=2, offset=7):
    r"""$\ln p_0(x_0) = \ln p_1(x_1) + \int_0^1\nabla\cdot(f - \tfrac12g^2s)dt$ along the flow; Hutchinson's $v^\top
    Jv$ has the mean tr J and the variance $2\|S\|_F^2$ for Gaussian v, $2\sum_{i\ne j}S_{ij}^2$ for signs (S the
    symmetric part).

    For Gaussian data the divergence is $f + \frac{g^2}{2V} = \tfrac12(\ln V)'$, so the integral is
    $\tfrac12\ln(V_1/V_0)$, as it must be for $x_1 = x_0\sqrt{V_1/V_0}$. N(0, 0.3) at 0.7: −1.1336187977…. Both
    variances for a free 2×2 J. Data of 256 levels rescaled to [−1, 1] shift bits per dimension by $\log_2128 = 7$.
    """
    rate = 2 * A * A1 * v + 2 * B * B1
    variance = A**2 * v + B**2
    g2 = 2 * B * B1 - 2 * B**2 * A1 / A
    j = sp.symbols("j11 j12 j21 j22", real=True)
    v1, v2 = sp.symbols("v1 v2", real=True)
    form = j[0] * v1**2 + (j[1] + j[2]) * v1 * v2 + j[3] * v2**2
    off = (j[1] + j[2]) / 2
    signs = [form.subs({v1: a_, v2: b_}) for a_, b_ in product((1, -1), repeat=2)]

    @precise
    def density(_: int) -> tuple[Any, Any]:
        pi_ = ball(0).acos() * 2
        value = -(2 * pi_ * ball(Fraction(3, 10))).log() / 2 - ball(Fraction(49, 60))
        return int((value * 10**10).ceil().unique_fmpz()), log_density

    return (
        Identity(A1 / A + sign * g2 / (2 * variance), rate / (2 * variance), [A > 0, B > 0, v > 0]),
        ForEach((0,), density, over="N(0, 0.3) at 0.7"),
        Identity(gaussian_mean(form, v1, v2), j[0] + trace * j[3]),
        Identity(
            gaussian_mean(form**2, v1, v2) - (j[0] + j[3]) ** 2, gauss * (j[0] ** 2 + j[3] ** 2 + 2 * off**2)
        ),
        Identity(sp.Add(*(z**2 for z in signs)) / 4 - (sp.Add(*signs) / 4) ** 2, 2 * gauss * off**2),
        ForEach((128,), lambda n: (n.bit_length() - 1, offset), over="log₂ 128"),
    )


@claim(
    mutants=[dict(half=Rational(1, 4))],
    relies_on=("the divergence of marginals is at most that of the paths (data processing; Girsanov's theorem)",),
)
def kl_bound(half=Rational(1, 2)):
    r"""$KL(p_0\|p_\theta) \le KL(p_1\|\pi) + \tfrac12\int g^2E\|s - s_\theta\|^2dt$ for the reverse equation with
    $s_\theta$.

    Quoted: data processing. A step of length Δ has two Gaussian kernels of variance $g^2\Delta$ with means $g^2(s -
    s_\theta)\Delta$ apart, whose divergence is $\tfrac12g^2\|s-s_\theta\|^2\Delta$: what the integral adds up.
    """
    gap = g**2 * (s - f) * D
    return Identity(gap**2 / (2 * g**2 * D), half * g**2 * (s - f) ** 2 * D, [g > 0, D > 0])


@claim(mutants=[dict(stationary=V), mutant("domain", most=3), dict(power=1), dict(percent=25)])
def langevin_corrector(stationary=V / (1 - e / (2 * V)), most=2, power=2, percent=26):
    r"""$x \leftarrow x + \epsilon s + \sqrt{2\epsilon}z$ on N(0, V) has the stationary variance
    $V/(1-\frac\epsilon{2V})$ for 0 < ε < 2V and diverges otherwise; with $\epsilon = 2r^2V$ the relative bias is
    $r^2/(1-r^2)$, 2.6 % at r = 0.16.

    e stands for ε; a step maps the variance W to $(1-\epsilon/V)^2W + 2\epsilon$.
    """
    r = sp.Symbol("r", real=True)
    given = [V > 0, e > 0, e < 2 * V]
    bias = Fraction(16, 100) ** 2 / (1 - Fraction(16, 100) ** 2)
    return (
        Identity((1 - e / V) ** 2 * stationary + 2 * e, stationary, given),
        ForAll((1 - e / V) ** 2 < 1, [V > 0, e > 0, e < most * V]),
        Identity(1 / (1 - r**2) - 1, r**power / (1 - r**2), [r > 0, r < 1]),
        ForEach((bias,), lambda value: (int(value * 1000), percent), over="r = 0.16, per mille"),
    )


@claim(mutants=[dict(constant=0), dict(number=229), dict(low=0)])
def prior_mismatch(constant=1, number=228, low=1):
    r"""Starting from N(0, I) instead of $p_1$ costs $\tfrac12(V_1 - 1 - \ln V_1)$ per coordinate of Gaussian data:
    for VP (β from 0.1 to 20) and v = 0.3 2.28…·10⁻¹⁰; VE starts from $N(0, \sigma_{max}^2)$ though the variance is $v
    + \sigma_{max}^2 - \sigma_{min}^2$.

    The divergence of N(0, W) from N(0, 1), by its definition; $V_1 = 1 - (1-v)\bar\alpha_1^2$. w stands for the
    variance.
    """
    w, top, bottom = sp.symbols("w sigma_max sigma_min", real=True)
    z = sp.Symbol("z", real=True)
    log_ratio = -log(w) / 2 - z**2 / 2 + w * z**2 / 2  # at x = √w z

    @precise
    def cost(_: int) -> tuple[Any, Any]:
        end = (-(ball(Fraction(199, 10)) / 2 + ball(Fraction(1, 10)))).exp()
        variance = 1 - end * ball(Fraction(7, 10))
        return int(((variance - 1 - variance.log()) / 2 * 10**12).floor().unique_fmpz()), number

    return (
        Identity(-log(w) / 2 + gaussian_mean(log_ratio + log(w) / 2, z), (w - constant - log(w)) / 2, [w > 0]),
        ForEach((0,), cost, over="VP, v = 0.3"),
        Identity(v + top**2 - bottom**2 - top**2, v - low * bottom**2),
    )


@claim(mutants=[dict(slope=pi / 4), dict(square=pi / 2), dict(end=-sp.oo), mutant("symbols", positive=2)])
def boundary_singularity(slope=pi / 2, square=pi, end=sp.oo, positive=1):
    r"""$\bar\alpha_1 = 0$ exactly makes f and g infinite: $\bar\alpha = \cos(\pi t/2)$ has $f =
    -\tfrac\pi2\tan\tfrac{\pi t}2$ and $g^2 = \pi\tan\tfrac{\pi t}2$. With a bounded β always $\bar\alpha_1 = e^{-I/2}
    > 0$.

    $f\bar\alpha = \bar\alpha'$ and $g^2\bar\alpha$ at a = πt/2; the tangent tends to ∞. $e^{-I/2}e^{I/2} = 1$; VE
    violates $\bar\alpha_1 = 0$ by construction ($\bar\alpha \equiv 1$).
    """
    angle, I = sp.symbols("a I", real=True)
    a_, b_ = cos(angle), sin(angle)
    a1, b1_ = -pi / 2 * sin(angle), pi / 2 * cos(angle)
    return (
        Identity(a1, -slope * sin(angle)),
        Identity((2 * b_ * b1_ * a_ - 2 * b_**2 * a1), square * sin(angle)),
        Limit(tan(pi * t / 2), t, 1, end, "-"),
        Identity(exp(-I / 2) * exp(positive * I / 2), 1),
    )


@claim(mutants=[dict(drift=5), dict(noise=10), dict(article=-5000000)])
def ddpm_time_limit(drift=10, noise=20, article=-5038721):
    r"""The article's $\bar\alpha_t = e^{-5t^2}$ has f = −10t and g² = 20t; the true product for T = 1000 is
    $\ln\bar\alpha_T = -5.038721…$, not −5.
    """

    @precise
    def product_(_: int) -> tuple[Any, Any]:
        return int((ball(alpha_bar2(1000)[-1]).log() / 2 * 10**6).ceil().unique_fmpz()), article

    bar = exp(-5 * t**2)
    square = 1 - bar**2
    return (
        Identity(sp.diff(bar, t) / bar, -drift * t),
        Identity(sp.diff(square, t), 2 * (-10 * t) * square + noise * t),
        ForEach((0,), product_, over="T = 1000"),
    )


def _one_step(tableau: list[list[Any]], weights: list[Any]) -> Any:
    """The factor of one step of a Runge–Kutta method on x' = λx, as a polynomial in z = λh."""
    z = sp.Symbol("z")
    slopes: list[Any] = []
    for row in tableau:
        slopes.append(sp.expand(z * (1 + sum(w * k for w, k in zip(row, slopes, strict=True)))))
    return sp.Poly(1 + sum(w * k for w, k in zip(weights, slopes, strict=True)), z)


HALF = Rational(1, 2)
METHODS = {
    "Euler": ([[]], [1]),
    "Heun": ([[], [1]], [HALF, HALF]),
    "Runge–Kutta": ([[], [HALF], [0, HALF], [0, 0, 1]], [Rational(k, 6) for k in (1, 2, 2, 1)]),
}
ERRORS = {"Euler": (2, Rational(1, 2)), "Heun": (3, Rational(1, 6)), "Runge–Kutta": (5, Rational(1, 120))}


@claim(
    mutants=[dict(errors={"Heun": (2, Rational(1, 6))}), dict(errors={"Euler": (2, Rational(1, 3))})],
    relies_on=("a one-step method with local error O(h^{p+1}) on a smooth equation converges with order p",),
)
def solver_order(errors=ERRORS):
    r"""On the (linear) probability flow of Gaussian data Euler, Heun and the classical Runge–Kutta method have the
    local errors $z^2/2$, $z^3/6$ and $z^5/120$ to leading order, z = λh, so they converge with the orders 1, 2, 4
    (quoted) where coefficients are smooth.

    The factor of one step is computed from each method's tableau and compared with the series of $e^z$.
    """

    def leading(name: str) -> tuple[Any, Any]:
        found = _one_step(*METHODS[name])
        for k in range(12):
            gap = Rational(1, sp.factorial(k)) - found.coeff_monomial(sp.Symbol("z") ** k)
            if gap:
                return (k, gap), errors[name]
        return (0, 0), errors[name]

    return ForEach(list(errors), leading, over="three methods")
