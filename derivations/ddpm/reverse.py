r"""The reverse step: posterior, variance, losses and the evidence bound (parts 1 to 3)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, Rational, exp, log, sqrt

from kexue import ForAll, ForEach, Identity, Limit, claim, mutant

from .common import (
    B2,
    STEP,
    A,
    At,
    Bt,
    Bt2,
    V,
    Vt,
    a,
    add_logs,
    alpha_bar2,
    b,
    b2,
    ball,
    f,
    paths,
    precise,
    v,
    x,
    y,
    z,
)

e, s, S, J, h, c3 = sp.symbols("e s S J h c3", real=True)
p0, p1, p2, u = sp.symbols("p0 p1 p2 u", real=True)

FISHER = ("1/V ≤ J ≤ 1/β̄² for the Fisher information of x_t per coordinate (Cramér–Rao; convolution with N(0, β̄²))",)


# Losses


@claim(mutants=[dict(scale=1), dict(second=1), dict(weight=b)])
def loss_minimiser(scale=1 / a, second=2, weight=b2):
    r"""Both losses are minimised by $f^* = \frac{\beta_t}{\bar\beta_t}E[\varepsilon\,|\,x_t]$, and $(x - \beta_tf^*)/
    \alpha_t = E[x_{t-1}\,|\,x_t] = (x + \beta_t^2\nabla\ln p_t)/\alpha_t$, with $\mathrm{Cov}[x_{t-1}|x_t] =
    \frac{\beta_t^2}{\alpha_t^2}(I + \beta_t^2\nabla^2\ln p_t)$, for any data law.

    The kernel $N = N(x; \alpha u, \beta^2)$ has $\alpha uN = xN + \beta^2N'$ and $(\alpha u)^2N = \beta^4N'' +
    2x\beta^2N' + (x^2 + \beta^2)N$; both sides are linear in N, so they hold for the mixture $p_t = \int
    Np_{t-1}(u)du$ of any law. From the two moments the variance follows with $(\ln p)'' = p''/p - (p'/p)^2$. That ω
    has mean 0 given $x_t$ makes the two losses agree (`merge-noises-orthogonal`).
    """
    kernel = exp(-((x - a * u) ** 2) / (2 * b2))
    d1, d2 = sp.diff(kernel, x), sp.diff(kernel, x, 2)
    given = [a > 0, a < 1]
    mean = (x + weight * p1 / p0) / a
    square = (b2**2 * p2 + 2 * x * b2 * p1 + (x**2 + b2) * p0) / (a**2 * p0)
    curvature = p2 / p0 - (p1 / p0) ** 2
    return (
        Identity(u * kernel, scale * (x * kernel + b2 * d1), given),
        Identity((a * u) ** 2 * kernel, b2**2 * d2 + second * x * b2 * d1 + (x**2 + b2) * kernel, given),
        Identity(square - mean**2, b2 / a**2 * (1 + b2 * curvature), [*given, p0 > 0]),
    )


@claim(mutants=[dict(power=1)])
def step_loss_weight(power=2):
    r"""With $\mu(x_t) = (x_t - \beta_tf)/\alpha_t$: $\|x_{t-1} - \mu\|^2 =
    \frac{\beta_t^2}{\alpha_t^2}\|\varepsilon_t - f\|^2$, for every f and d.
    """
    return Identity(((x - b * e) / a - (x - b * f) / a) ** 2, b2 / a**power * (e - f) ** 2, STEP)


@claim(mutants=[dict(weight=b2 / a**2)])
def x0_loss_weight(weight=Bt2 / At**2):
    r"""With $\bar\mu = (x_t - \bar\beta_t\varepsilon_\theta)/\bar\alpha_t$: $\|x_0 - \bar\mu\|^2 =
    \frac{\bar\beta_t^2}{\bar\alpha_t^2}\|\varepsilon - \varepsilon_\theta\|^2$, the loss over the signal-to-noise
    ratio."""
    return Identity(((x - Bt * e) / At - (x - Bt * f) / At) ** 2, weight * (e - f) ** 2, STEP)


# The posterior given x₀


def _posterior(xt: Any, x0: Any) -> tuple[Any, Any]:
    return (a * B2 * xt + A * b2 * x0) / Bt2, B2 * b2 / Bt2


@claim(mutants=[dict(swapped=True), dict(variance=b2)])
def posterior_given_x0(swapped=False, variance=B2 * b2 / Bt2):
    r"""$p(x_{t-1}|x_t, x_0) = N\big(\frac{\alpha_t\bar\beta_{t-1}^2}{\bar\beta_t^2}x_t +
    \frac{\bar\alpha_{t-1}\beta_t^2}{\bar\beta_t^2}x_0,\ \frac{\bar\beta_{t-1}^2\beta_t^2}{\bar\beta_t^2}I\big)$ for t
    ≥ 2.

    The three exponents of Bayes' rule are the square of the new one with nothing left over; x, y, z stand for $x_t,
    x_{t-1}, x_0$. At t = 1 it is the point mass at $x_0$, in the limit $\bar\beta_0 \to 0$. Second, by the covariance
    matrix of $(x_{t-1}, x_t)$ given $x_0$: $\mathrm{Var} = \bar\beta_{t-1}^2 -
    (\alpha_t\bar\beta_{t-1}^2)^2/\bar\beta_t^2$.
    """
    mean, _ = _posterior(z, x) if swapped else _posterior(x, z)
    exponents = (x - a * y) ** 2 / b2 + (y - A * z) ** 2 / B2 - (x - At * z) ** 2 / Bt2
    return (
        Identity(exponents, (y - mean) ** 2 / (B2 * b2 / Bt2), STEP),
        Identity(B2 - (a * B2) ** 2 / Bt2, variance, STEP),
    )


@claim(mutants=[dict(coefficient=b / Bt), dict(total=1)])
def posterior_mean_eps(coefficient=b2 / Bt, total=1 / a):
    r"""With $x_0 = (x_t - \bar\beta_t\varepsilon)/\bar\alpha_t$ the posterior mean is $(x_t -
    \frac{\beta_t^2}{\bar\beta_t}\varepsilon)/\alpha_t$; $\frac{\alpha_t\bar\beta_{t-1}^2}{\bar\beta_t^2} +
    \frac{\beta_t^2}{\alpha_t\bar\beta_t^2} = \frac1{\alpha_t}$.

    It agrees with part 1 through $f = \frac{\beta_t}{\bar\beta_t}\varepsilon_\theta$; mixing the two parts, $\beta_t/
    \bar\beta_t$ for $\beta_t^2/\bar\beta_t$, is the classic mistake.
    """
    mean, _ = _posterior(x, (x - Bt * e) / At)
    return (
        Identity(mean, (x - coefficient * e) / a, STEP),
        Identity(a * B2 / Bt2 + b2 / (a * Bt2), total, STEP),
    )


# The variance


@claim(mutants=[dict(schur=2), dict(point=b2), dict(unit=b2 / a**2), dict(infinite=b2), dict(slope=A**2 * b2**2 / Vt)])
def two_sigma_choices(schur=1, point=B2 * b2 / Bt2, unit=b2, infinite=b2 / a**2, slope=A**2 * b2**2 / Vt**2):
    r"""The best isotropic variance of the reverse step is $\beta_t^2V_{t-1}/V_t$ for data N(m, vI): $\tilde\beta_t^2
    = \bar\beta_{t-1}^2\beta_t^2/\bar\beta_t^2$ for v → 0, $\beta_t^2$ for v = 1, $\beta_t^2/\alpha_t^2$ for v → ∞,
    and strictly increasing in v with slope $\bar\alpha_{t-1}^2\beta_t^4/V_t^2$.

    Schur complement of the covariance of $(x_{t-1}, x_t)$. So $\beta_t^2$ is no upper bound for all data.
    """
    variance = b2 * V / Vt
    return (
        Identity(V - schur * (a * V) ** 2 / Vt, variance, [*STEP, v >= 0]),
        Identity(variance.subs(v, 0), point, STEP),
        Identity(variance.subs(v, 1), unit, STEP),
        Limit(variance, v, sp.oo, infinite, given=STEP),
        Identity(sp.diff(variance, v), slope, [*STEP, v >= 0]),
    )


@claim(
    mutants=[mutant("domain", least=0), dict(middle=b2), dict(outer=b2), dict(threshold=2)], relies_on=FISHER
)
def sigma_sandwich(least=1 / Vt, middle=b2 * V / Vt, outer=b2 / a**2, threshold=1):
    r"""For every data law with variance v per coordinate: $\tilde\beta_t^2 \le \sigma_t^{*2} \le \beta_t^2V_{t-1}/V_t
    \le \beta_t^2/\alpha_t^2$ with $\sigma_t^{*2} = E\,\mathrm{tr\,Cov}[x_{t-1}|x_t]/d =
    \frac{\beta_t^2}{\alpha_t^2}(1 - \beta_t^2J_t)$; the middle bound is ≤ $\beta_t^2$ iff v ≤ 1.

    $J_t = E\|\nabla\ln p_t\|^2/d$ lies between $1/V_t$ and $1/\bar\beta_t^2$ (quoted); the rest is algebra.
    """
    best = b2 / a**2 * (1 - b2 * J)
    given = [*STEP, v >= 0]
    return (
        ForAll(And(B2 * b2 / Bt2 <= best, best <= middle), [*given, J >= least, J <= 1 / Bt2]),
        ForAll(b2 * V / Vt <= outer, given),
        ForAll(Equivalent(b2 * V / Vt <= b2, v <= threshold), given),
    )


@claim(
    mutants=[mutant("domain", growing=False), mutant("domain", most=4)],
    relies_on=(
        "h(x_t) ≥ h(x_{t−1}) if tr Cov x_0 ≤ d (de Bruijn's identity and J ≥ d²/tr Cov)",
        "conditioning lowers entropy",
    ),
)
def entropy_bounds(growing=True, most=1):
    r"""If tr Cov $x_0$ ≤ d: $\tfrac d2\ln(2\pi e\tilde\beta_t^2) \le h(x_{t-1}|x_t) \le \tfrac d2\ln(2\pi
    e\beta_t^2)$.

    Upper: $h(x_{t-1}|x_t) = h(x_t|x_{t-1}) + h(x_{t-1}) - h(x_t)$ with $h(x_t|x_{t-1}) = \tfrac d2\ln(2\pi
    e\beta_t^2)$. Lower: $h(x_{t-1}|x_t) \ge h(x_{t-1}|x_t, x_0)$, the posterior's. For Gaussian data the entropy is
    that of the variance $\beta_t^2V_{t-1}/V_t$, which lies between the two for v ≤ 1 (for v = 4 it doesn't).
    """
    conditional, noise, before, after = sp.symbols("h_c h_n h_b h_a", real=True)
    given = [Eq(conditional, noise + before - after), *([after >= before] if growing else [])]
    return (
        ForAll(conditional <= noise, given),
        ForAll(And(B2 * b2 / Bt2 <= b2 * V / Vt, b2 * V / Vt <= b2), [*STEP, v >= 0, v <= most]),
    )


# Evidence bound


def _chain(t: int) -> list[list[Fraction]]:
    """A rational transition matrix of three states."""
    rows = [[4 + t, 1, 1], [1, 3, t + 1], [2, 1, 3]]
    return [[Fraction(value, sum(row)) for value in row] for row in rows]


def _reverse(t: int) -> list[list[Fraction]]:
    rows = [[3, 1, t + 1], [1, 2, 1], [t, 1, 4]]
    return [[Fraction(value, sum(row)) for value in row] for row in rows]


def _kl_direct(T: int) -> dict[int, Fraction]:
    """KL(p(x_0..x_T) ‖ q) over all paths, as exact multiples of ln 2, ln 3, …"""
    prior, end = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)], [Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)]
    total: dict[int, Fraction] = {}
    for path in paths(3, T + 1):
        p, q = prior[path[0]], end[path[T]]
        for t in range(1, T + 1):
            p *= _chain(t)[path[t - 1]][path[t]]
            q *= _reverse(t)[path[t]][path[t - 1]]
        add_logs(total, p, p / q)
    return {k: w for k, w in total.items() if w}


def _kl_terms(T: int, with_prior: bool = True) -> dict[int, Fraction]:
    """KL(x_T ‖ q) + Σ_{t≥2} KL(posterior ‖ q) + L_0 − H(data), the telescoped form."""
    prior, end = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)], [Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)]
    steps = [[[Fraction(i == j) for j in range(3)] for i in range(3)]]
    for t in range(1, T + 1):
        steps.append([[sum(r[k] * _chain(t)[k][j] for k in range(3)) for j in range(3)] for r in steps[-1]])
    total: dict[int, Fraction] = {}
    for x0 in range(3):
        add_logs(total, prior[x0], prior[x0])
        if with_prior:
            for xT in range(3):
                add_logs(total, prior[x0] * steps[T][x0][xT], steps[T][x0][xT] / end[xT])
        for t in range(2, T + 1):
            for before in range(3):
                for after in range(3):
                    joint = steps[t - 1][x0][before] * _chain(t)[before][after]
                    posterior = joint / steps[t][x0][after]
                    add_logs(total, prior[x0] * joint, posterior / _reverse(t)[after][before])
        for x1 in range(3):
            add_logs(total, prior[x0] * steps[1][x0][x1], 1 / _reverse(1)[x1][x0])
    return {k: w for k, w in total.items() if w}


@claim(mutants=[dict(with_prior=False)])
def joint_kl_decomposition(with_prior=True):
    r"""$KL(p(x_{0:T})\|q(x_{0:T})) = L_T + \sum_{t\ge2}L_{t-1} + L_0 - H(x_0)$: the divergence of the chains is minus
    the evidence bound minus the entropy of the data, and each term sees only $(x_0, x_{t-1}, x_t)$.

    Exhaustive over all paths of three-state chains with rational kernels, T = 1, 2, 3: both sides as exact
    combinations of logarithms of primes, which are independent over ℚ.
    """
    return ForEach((1, 2, 3), lambda T: (_kl_terms(T, with_prior), _kl_direct(T)), over="T = 1, 2, 3, three states")


@claim(mutants=[dict(weight=b2 / (2 * Bt2 * a**2 * s)), dict(half=1), dict(snr=lambda p, q: p / q), dict(x0=1)])
def elbo_weight(
    weight=b2**2 / (2 * Bt2 * a**2 * s), half=Rational(1, 2), snr=lambda p, q: p / q - 1, x0=Rational(1, 2)
):
    r"""Each $L_{t-1}$, t ≥ 2, is $\tfrac12\frac{\beta_t^4}{\bar\beta_t^2\alpha_t^2\sigma_t^2}E\|\varepsilon -
    \varepsilon_\theta\|^2$ up to a constant; the articles drop the ½. With $\sigma_t = \beta_t$ it is
    $\beta_t^2/(2\bar\beta_t^2\alpha_t^2)$, with $\tilde\beta_t$ $\tfrac12(\mathrm{SNR}_{t-1}/\mathrm{SNR}_t - 1)$,
    and for a prediction of $x_0$ $\tfrac12(\mathrm{SNR}_{t-1} - \mathrm{SNR}_t)$.

    SNR = $\bar\alpha^2/\bar\beta^2$, s stands for $\sigma_t^2$. The simple loss sets all weights to 1.
    """
    before, after = A**2 / B2, At**2 / Bt2
    general = b2**2 / (2 * Bt2 * a**2 * s)
    means = ((x - b2 / Bt * e) / a - (x - b2 / Bt * f) / a) ** 2 / (2 * s)
    with_beta, with_posterior = general.subs(s, b2), general.subs(s, B2 * b2 / Bt2)
    return (
        Identity(means, weight * (e - f) ** 2, [*STEP, s > 0]),
        Identity(with_beta, half * b2 / (Bt2 * a**2), STEP),
        Identity(with_posterior, snr(before, after) / 2, STEP),
        Identity(with_posterior * At**2 / Bt2, x0 * (before - after), STEP),
    )


@claim(mutants=[dict(best=S / 2), dict(linear=2)])
def sigma_elbo_gain(best=S, linear=1):
    r"""For a fixed mean the term $\tfrac d2\ln\sigma^2 + \frac{Sd}{2\sigma^2}$ is smallest at $\sigma^2 = S =
    E\|x_{t-1} - \mu\|^2/d$; another $\sigma^2$ costs exactly $\tfrac d2(S/\sigma^2 - 1 - \ln(S/\sigma^2))$ nats.

    The slope is $(\sigma^2 - S)/(2\sigma^4)$: negative before S and positive behind it. s stands for $\sigma^2$, d =
    1.
    """
    cost = log(s) / 2 + S / (2 * s)
    given = [s > 0, S > 0]
    return (
        Identity(sp.diff(cost, s), (s - best) / (2 * s**2), given),
        Identity(cost - cost.subs(s, S), (linear * (S / s - 1) - log(S / s)) / 2, given),
    )


@claim(mutants=[dict(logarithm=0), dict(number=7279)])
def terminal_kl(logarithm=1, number=7278):
    r"""$L_T = \tfrac12[\bar\alpha_T^2E\|x_0\|^2 - d\bar\alpha_T^2 - d\ln(1 - \bar\alpha_T^2)]$, which vanishes iff
    $\bar\alpha_T = 0$; for the paper's schedule and $E\,x_0^2 = \tfrac14$ it is 7.278…·10⁻⁶ bits per dimension.

    From $KL(N(m, w)\|N(0, 1)) = \tfrac12(m^2 + w - 1 - \ln w)$. Second, ½[m²A² − A² − ln(1 − A²)] has a positive
    derivative in $A^2$: $\tfrac12(m^2 + \frac{A^2}{1 - A^2})$.
    """
    w = sp.Symbol("w", real=True)
    divergence = ((A * x) ** 2 + w - 1 - log(w)) / 2
    q = sp.Symbol("q", real=True)
    term = (q * x**2 - q - log(1 - q)) / 2

    @precise
    def bits(_: int) -> tuple[Any, Any]:
        square = ball(alpha_bar2(1000, "paper")[-1])
        nats = (square / 4 - square - (1 - square).log()) / 2
        return int((nats / ball(2).log() * 10**9).floor().unique_fmpz()), number

    return (
        Identity(divergence.subs(w, B2), (A**2 * x**2 - A**2 - logarithm * log(1 - A**2)) / 2, [A > 0, A < 1]),
        Identity(sp.diff(term, q), (x**2 + logarithm * q / (1 - q)) / 2, [q > 0, q < 1]),
        ForEach((0,), bits, over="the paper's schedule"),
    )


# Finite steps, exactly


@claim(mutants=[dict(third=2), dict(shift=2), dict(linear=0)])
def reverse_kernel_cumulants(third=3, shift=1, linear=1):
    r"""For every data law the cumulants of $x_{t-1}|x_t$ are $\kappa_1 = (x + \beta^2L')/\alpha$, $\kappa_2 =
    \frac{\beta^2}{\alpha^2}(1 + \beta^2L'')$ and $\kappa_k = \frac{\beta^{2k}}{\alpha^k}L^{(k)}$ for k ≥ 3, $L = \ln
    p_t$.

    $x_{t-1}|x_t$ is an exponential family with natural parameter $\eta = \alpha x/\beta^2$, and its log-partition
    function is $A(\eta) = L(\beta^2\eta/\alpha) + \beta^2\eta^2/(2\alpha^2)$ up to a constant. Its derivatives are
    formed for a polynomial L of degree 5 with free coefficients, which stands for the Taylor polynomial of any L at
    x.
    """
    coefficients = sp.symbols("l0:6", real=True)
    eta = sp.Symbol("eta", real=True)

    def L(argument: Any) -> Any:
        return sum(coefficient * argument**k for k, coefficient in enumerate(coefficients))

    partition = L(b2 * eta / a) + b2 * eta**2 / (2 * a**2)
    at = {eta: a * x / b2}
    kappa = [sp.diff(partition, eta, k).subs(at) for k in (1, 2, 3, 4)]
    derivative = [sp.diff(L(x), x, k) for k in (1, 2, 3, 4)]
    given = [a > 0, a < 1]
    return (
        Identity(kappa[0], (linear * x + b2 * derivative[0]) / a, given),
        Identity(kappa[1], b2 / a**2 * (shift + b2 * derivative[1]), given),
        Identity(kappa[2], b2**third / a**3 * derivative[2], given),
        Identity(kappa[3], b2**4 / a**4 * derivative[3] * third / 3, given),
    )


@claim(
    mutants=[dict(order=2), dict(constant=6)],
    relies_on=("KL(p ‖ its moment-matched Gaussian) = κ₃²/(12κ₂³) to leading order (Edgeworth expansion)",),
)
def reverse_kernel_gaussian_limit(order=3, constant=12):
    r"""With $h = \beta_t^2 \to 0$: $E\,KL(p(x_{t-1}|x_t)\,\|\,\text{its moment-matched Gaussian}) =
    \frac{h^3}{12}E[((\ln p_t)''')^2] + O(h^4)$, so that T equal steps cost $O(T^{-2})$ in total.

    From the cumulants of `reverse-kernel-cumulants` and the leading term $\kappa_3^2/(12\kappa_2^3)$ (quoted). L2 and
    c3 stand for $(\ln p_t)''$ and $(\ln p_t)'''$.
    """
    L2 = sp.Symbol("L2", real=True)
    alpha2 = 1 - h
    kappa3_squared = h**6 / alpha2**3 * c3**2
    kappa2 = h / alpha2 * (1 + h * L2)
    leading = kappa3_squared / (12 * kappa2**3)
    return Limit(leading / h**order, h, 0, c3**2 / constant, "+", [c3 > 0])


@claim(
    mutants=[
        dict(factor=sqrt(V / Vt)),
        dict(below=Rational(1, 2)),
        dict(end=lambda m, w: m),
        dict(numbers=(2626, 42016, 672099)),
    ]
)
def greedy_vs_random(factor=a * V / Vt, below=1, end=lambda m, w: m * w, numbers=(2626, 42016, 672098)):
    r"""With $\sigma_t = 0$ and the DDPM mean ("greedy") on data N(0, vI) a step multiplies by $\alpha_tV_{t-1}/V_t <
    \sqrt{V_{t-1}/V_t}$, and the whole chain is $x_T \mapsto \frac{\bar\alpha_Tv}{V_T}x_T = E[x_0|x_T]$: it collapses
    to the mean, and isn't DDIM.

    The score is $-x/V_t$. The product telescopes, exactly for rational α and T = 1..12, v = ¼, 1, 4. With the
    article's schedule the final variance is 2.626…·10⁻⁶, 4.2016…·10⁻⁵ and 6.720…·10⁻⁴ for v = ¼, 1, 4.
    """
    from .common import rational_chain

    def telescoped(case: tuple[int, Fraction]) -> tuple[Any, Any]:
        T, w = case
        mean, product, before = Fraction(1), Fraction(1), w
        for alpha, beta in rational_chain(T):
            after = alpha**2 * before + beta**2
            product *= alpha * before / after
            mean, before = mean * alpha, after
        return product, end(mean, w) / before

    @precise
    def variance(case: tuple[Fraction, int]) -> tuple[Any, Any]:
        w, expected = case
        square = alpha_bar2(1000)[-1]
        last = square * w + 1 - square
        return int((ball(square * w**2 / last**2) * 10**9).floor().unique_fmpz()), expected

    cases = [(T, w) for T in range(1, 13) for w in (Fraction(1, 4), Fraction(1), Fraction(4))]
    return (
        Identity((x - b2 * x / Vt) / a, factor * x, [*STEP, v > 0]),
        ForAll(a**2 * V / Vt < below, [*STEP, v > 0]),
        ForEach(cases, telescoped, over="T = 1..12, v = ¼, 1, 4"),
        ForEach(list(zip((Fraction(1, 4), Fraction(1), Fraction(4)), numbers, strict=True)), variance, over="T = 1000"),
    )


