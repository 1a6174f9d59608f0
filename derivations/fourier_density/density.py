r"""The normalised density: its bounds, its cdf and moments, the map to ℝ, what the family is closed under, sampling.

Archive 10007. Notation: see the package's docstring.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import sympy as sp
from sympy import And, I, Ne, Or, Rational, conjugate, cos, cosh, exp, log, pi, sin, sqrt, tan, tanh

from kexue import Enclosure, ForAll, ForEach, Identity, Integral, Limit, claim, erratum

from .common import (
    HALF,
    N,
    a,
    autocorrelation,
    c,
    coefficient,
    convolve,
    d,
    density,
    e,
    j,
    k,
    m,
    n,
    resolution_bound,
    s,
    square,
    t,
    theta,
    u,
    v,
    x,
    y,
    z1,
    z2,
)
from .positivity import orthogonality

f, g, h, r, K, L, S = sp.symbols("f g h r K L S", real=True)
P, Q = sp.Function("P"), sp.Function("Q")


def whole(terms: dict[int, Any], integrand: Any, value: Any) -> Any:
    """∫ over the period of an integrand whose Fourier coefficients are `terms`; the engine checks the primitive."""
    primitive = sum(r * e(index) / (I * pi * index) for index, r in terms.items() if index)
    return Integral(integrand, x, -1, 1, value, primitive=primitive + terms.get(0, 0) * x)


def multiplied(left: dict[int, Any], right: dict[int, Any]) -> dict[int, Any]:
    """Fourier coefficients of a product."""
    found: dict[int, Any] = {}
    for i, p in left.items():
        for l, q in right.items():
            found[i + l] = found.get(i + l, 0) + p * q
    return found


def real_series(first: Any, second: Any, constant: Any = 1) -> dict[int, Any]:
    """The coefficients of a real series of degree 2."""
    return {0: constant, 1: first, -1: conjugate(first), 2: second, -2: conjugate(second)}


def summed(terms: dict[int, Any]) -> Any:
    return sum(r * e(index) for index, r in terms.items())


# Normaliser and bounds


@claim(mutants=[dict(value=2), dict(total=1), dict(bar=lambda z: z), dict(sign=-1)])
def normaliser(value=0, total=2, bar=conjugate, sign=1):
    r"""$\int_{-1}^1f = 2c_0$ with $c_0 = \sum|a_k|^2$, which is positive iff $a \ne 0$.

    Only the constant term has an integral (u stands for $c_0$); $|a_k|^2$ is a sum of two real squares, all k.
    """
    return (
        orthogonality(value),
        Integral(u, x, -1, 1, total * u, primitive=u * x),
        Identity(a(k) * bar(a(k)), sp.re(a(k)) ** 2 + sp.im(a(k)) ** 2),
        ForAll(sp.Equivalent(u**2 + sign * v**2 > 0, Or(Ne(u, 0), Ne(v, 0)))),
    )


@claim(mutants=[dict(share=2), dict(most=lambda K: (K - 1) / 2), dict(step=1), dict(wave=4), dict(peak=N / 2)])
def peak_bound(share=1, most=lambda K: K / 2, step=-1, wave=HALF, peak=(N + 1) / 2):
    r"""$\sup p \le (N+1)/2$, with equality for the Fejér kernel $a_k = e^{i\pi kx_0}$: $p =
    \sin^2(\tfrac{(N+1)\pi u}2)/(2(N+1)\sin^2\tfrac{\pi u}2)$, $u = x - x_0$.

    K = N + 1. $\sum_k|a_k - \tfrac AKe^{i\pi kx}|^2 = c_0 - |A|^2/K \ge 0$: its terms (first part, A stands at $z_1$),
    then $f \le Kc_0$. The kernel: $q^k(1-q) = q^k - q^{k+1}$ for $q = e^{-i\pi u}$, whose sum over k is $1 - q^{N+1}$,
    of modulus $2|\sin\tfrac{(N+1)\pi u}2|$; the limit at u → 0.
    """
    term = square(a(k)) - share * (conjugate(z1) * a(k) * e(-k) + z1 * conjugate(a(k) * e(-k))) / K + square(z1) / K**2
    return (
        Identity(square(a(k) - z1 / K * e(k)), term, [K >= 1]),
        ForAll(f / (2 * S) <= most(K), [S > 0, S - f / K >= 0, K >= 1]),
        Identity(e(-k) * (1 - e(-1)), e(-k) - e(step - k)),
        Identity(square(1 - e(-(N + 1))), 4 * sin(wave * pi * (N + 1) * x) ** 2),
        Limit(sin((N + 1) * pi * x / 2) ** 2 / (2 * (N + 1) * sin(pi * x / 2) ** 2), x, 0, peak, "+", [N >= 0]),
    )


SHARPEST = {1: (sp.S(1), sp.S(1)), 2: (1, sqrt(2), 1), 4: (HALF, sqrt(3) / 2, 1, sqrt(3) / 2, HALF)}


def longest_path(degree: int, step: int) -> int:
    """Vertices on the longest path in the graph k — k + step on 0, …, N."""
    return max(len(range(start, degree + 1, step)) for start in range(min(step, degree + 1)))


@claim(
    mutants=[
        dict(factor=1),
        dict(cross=1),
        dict(vertices=lambda N, n: N // n),
        dict(bound=lambda N: cos(pi / (N + 1))),
        dict(power=1),
    ]
)
def egervary_szasz(factor=2, cross=2, vertices=lambda N, n: N // n + 1, bound=resolution_bound, power=2):
    r"""$|c_n|/c_0 \le \cos\frac\pi{\lfloor N/n\rfloor+2}$, sharp; so $E\cos\pi(X-x_0) \le \cos\frac\pi{N+2}$: N is the
    resolution, Holevo's circular variance is at least $\tan^2\frac\pi{N+2}$.

    On a path of L indices let $s_j = \sin j\theta$, $\theta = \tfrac\pi{L+1}$, and $r_j = s_{j+1}/s_j > 0$:
    $\sum_j|r_ja_j - a_{j+1}|^2/r_j = 2\cos\theta\sum|a_j|^2 - 2\,\mathrm{Re}\sum a_ja_{j+1}^*$, since $r_j + 1/r_{j-1}
    = 2\cos\theta$ and $s_0 = s_{L+1} = 0$ (first two parts, all L; phases of a turn |·| into Re). The indices k, k + n,
    … form paths of at most ⌊N/n⌋ + 1 vertices (N ≤ 40). $a_k = s_{k+1}$ attains it: shown for n = 1, N = 1, 2, 4.
    """

    def attained(degree: int) -> tuple[Any, Any]:
        values = SHARPEST[degree]
        return sum(p * q for p, q in pairwise(values)) / sum(p * p for p in values), bound(degree)

    cases = [(degree, step) for degree in range(1, 41) for step in range(1, degree + 1)]
    weighted = (square(r * c - d)) / r
    return (
        Identity(sin((j - 1) * theta) + sin((j + 1) * theta), factor * cos(theta) * sin(j * theta)),
        Identity(weighted, r * square(c) + square(d) / r - cross * sp.re(c * conjugate(d)), [r > 0]),
        ForEach(cases, lambda case: (longest_path(*case), vertices(*case)), over="1 ≤ n ≤ N ≤ 40"),
        ForEach(SHARPEST, attained, over="N = 1, 2, 4"),
        Identity(1 / cos(theta) ** 2 - 1, tan(theta) ** power, [cos(theta) > 0]),
    )


CRITICAL = ((1, I), (2, 1 + I, 3), (1, 2, 3 * I, 1), (3, I, 1, 1 - 2 * I, 2))


def half_angle(values: Any) -> sp.Poly:
    """(1 + t²)^N f'(x)/π as a real polynomial in t = tan(πx/2)."""
    at = sp.Symbol("tangent", real=True)
    series = autocorrelation(values)
    degree = len(series) - 1
    total = sp.S.Zero
    for index in range(-degree, degree + 1):
        wave = (1 + I * at) ** (degree + index) * (1 - I * at) ** (degree - index)
        total += I * index * coefficient(series, index) * wave
    return sp.Poly(sp.expand(total), at)


def maxima_on_the_line(degree: int) -> int:
    """Strict local maxima of f(x)(1 − x²), f = 1 + cos πN(x−1), among the points 1 − i/(2N)."""
    points = [1 - Rational(i, 2 * degree) for i in range(4 * degree + 1)]
    values = [(1 + cos(pi * degree * (point - 1))) * (1 - point**2) for point in points]
    return sum(1 for before, now, after in zip(values, values[1:], values[2:]) if before < now > after)


@claim(
    mutants=[dict(span=1), dict(zeros=lambda N: 2 * N - 1), dict(more=0)],
    relies_on=("a polynomial of degree d has at most d zeros",),
)
def mode_count(span=2, zeros=lambda N: 2 * N, more=1):
    r"""p has at most N local maxima in a period; q = p(tanh z)sech²z/s can have N + 1 on the line.

    $z^Nf'$ has the exponents n + N in 0, …, 2N, so f' has at most 2N zeros on the circle, and maxima alternate with
    minima. Second part: zeros of f' counted by Sturm for four exact a of degree 1 to 4. Third: for $f = 1 + \cos\pi
    N(x-1)$ the density on the line, as a function of x proportional to $f(x)(1-x^2)$, has N zeros inside and two at the
    ends; exact values between them show N + 1 maxima, N = 1, …, 6.
    """

    def counted(values: Any) -> tuple[bool, bool]:
        return bool(half_angle(values).count_roots() <= zeros(len(values) - 1)), True

    return (
        ForAll(And(0 <= n + N, n + N <= span * N), [-N <= n, n <= N, N >= 1]),
        ForEach(CRITICAL, counted, over="four series of degrees 1 to 4"),
        ForEach(range(1, 7), lambda degree: (maxima_on_the_line(degree), degree + more), over="N = 1..6"),
    )


# Density, cdf, moments


@claim(mutants=[dict(share=2), dict(bar=lambda z: z)])
def real_form(share=1, bar=conjugate):
    r"""$p(x) = \frac f{2c_0} = \tfrac12 + \sum_{n=1}^N\mathrm{Re}\big[\tfrac{c_n}{c_0}e^{i\pi nx}\big]$.

    For every n: the terms n and −n, u standing for $c_0 > 0$; the constant term is $c_0/(2c_0)$.
    """
    pair = (c * e(n) + bar(c) * e(-n)) / (2 * u)
    return Identity(u / (2 * u) + pair, HALF + share * sp.re(c / u * e(n)), [u > 0])


def real_part(value: Any) -> Any:
    return (value + conjugate(value)) / 2


TERM = (e(n) - (-1) ** n) / (I * pi * n)
START = (x + 1) / 2
SLOPE = HALF + u * cos(pi * n * x) - v * sin(pi * n * x)


def primitive_checks(function: Any) -> tuple[Any, ...]:
    """Φ' = p, Φ(−1) = 0, Φ(1) = 1 for one term of the series, ρ_n = u + iv."""
    given = [n >= 1]
    return (
        Identity(sp.diff(function, x), SLOPE, given),
        Identity(function.subs(x, -1), 0 * u * v * n, given),
        Identity(function.subs(x, 1), 1, given),
    )


@claim(
    mutants=[dict(term=e(n) / (I * pi * n)), dict(start=x / 2), dict(start=x + 1), dict(part=lambda z: z)]
)
def cdf(start=START, term=TERM, part=real_part):
    r"""$\Phi(x) = \tfrac{x+1}2 + \mathrm{Re}\sum_{n=1}^N\tfrac{c_n}{c_0}\tfrac{e^{i\pi nx}-(-1)^n}{i\pi n}$ has
    $\Phi(-1) = 0$, $\Phi(1) = 1$, $\Phi' = p$.

    For every n ≥ 1 and every ρ_n = u + iv; sums by linearity.
    """
    return primitive_checks(start + part((u + I * v) * term))


@erratum(
    printed=dict(start=(x**2 - 1) / 2, factor=HALF, part=lambda z: z),
    mutants=[dict(start=(x**2 - 1) / 2), dict(factor=HALF), dict(part=lambda z: z), dict(start=x / 2)],
)
def printed_cdf_wrong(start=START, factor=1, part=real_part):
    r"""The cdf is $\tfrac{x+1}2 + \mathrm{Re}\sum\dots$ as in `cdf`; the article prints $\tfrac{x^2-1}2 +
    \tfrac12\sum_{n=1}^N\tfrac{c_n}{c_0}\tfrac{e^{i\pi nx}-(-1)^n}{i\pi n}$.

    Three slips: $x^2-1$ for $x+1$ (then Φ(1) = 0), the factor ½ before the sum, and the missing real part; each alone
    is refuted.
    """
    return primitive_checks(start + factor * part((u + I * v) * TERM))


@claim(mutants=[dict(value=2), dict(bar=conjugate), dict(sign=1)])
def trig_moments(value=0, bar=lambda z: z, sign=-1):
    r"""$E\,e^{-i\pi mX} = c_m/c_0$, 0 for m > N.

    The term of $\rho_n$ gives $\tfrac12\rho_n\int e^{i\pi(n-m)x}dx$, which is 0 for n ≠ m. N = 2, m = 1 in full,
    $\rho_1, \rho_2$ any complex numbers c, d.
    """
    series = {index: r * HALF for index, r in real_series(c, d).items()}
    shifted = {index + sign: r for index, r in series.items()}
    return (
        orthogonality(value),
        whole(shifted, summed(series) * e(sign), bar(c)),
    )


@claim(mutants=[dict(value=2), dict(weight=1), dict(bar=lambda z: z)])
def l2_norm(value=0, weight=2, bar=conjugate):
    r"""$\int_{-1}^1p^2 = \tfrac12\big(1 + 2\sum_{n\ge1}|c_n/c_0|^2\big)$, the collision probability (Rényi-2).

    In $p^2$ the products $\rho_n\rho_m$ with m = −n alone have an integral, $\rho_n\rho_{-n} = |\rho_n|^2$ (all N). N =
    2 in full.
    """
    series = {index: r * HALF for index, r in real_series(c, d).items()}
    return (
        orthogonality(value),
        Identity(c * e(n) * bar(c) * e(-n), square(c) + 0 * x * n),
        whole(multiplied(series, series), summed(series) ** 2, (1 + weight * (square(c) + square(d))) / 2),
    )


@claim(mutants=[dict(sign=lambda n: 1), dict(order=1), dict(factor=1), dict(scale=2)])
def moments(sign=lambda n: (-1) ** n, order=2, factor=2, scale=4):
    r"""$EX = \tfrac2\pi\sum_{n\ge1}(-1)^n\mathrm{Im}(\rho_n)/n$ and $EX^2 = \tfrac13 +
    \tfrac4{\pi^2}\sum_{n\ge1}(-1)^n\mathrm{Re}(\rho_n)/n^2$.

    From $\int xe^{i\pi nx} = \tfrac{2(-1)^n}{i\pi n}$ and $\int x^2e^{i\pi nx} = \tfrac{4(-1)^n}{\pi^2n^2}$, for every
    n ≥ 1, $\rho_n = u + iv$; ∫x²/2 = 1/3.
    """
    rate, given = I * pi * n, [n >= 1]
    second = 4 * sign(n) / (pi**2 * n**order)
    return (
        Integral(x * e(n), x, -1, 1, 2 * sign(n) / rate, primitive=e(n) * (x / rate - 1 / rate**2), given=given),
        Integral(x**2 * e(n), x, -1, 1, second, primitive=e(n) * (x**2 / rate - 2 * x / rate**2 + 2 / rate**3),
                 given=given),
        Identity(sp.re((u + I * v) * 2 * (-1) ** n / rate), factor / pi * (-1) ** n * v / n, given),
        Integral(x**2 / 2, x, -1, 1, scale / sp.S(12), primitive=x**3 / 6),
    )  # fmt: skip


# The real line

Z = (y - t) / s
LINE = 1 - tanh(Z) ** 2


@claim(mutants=[dict(scale=lambda s: 1), dict(half=1), dict(power=1)])
def map_to_r(scale=lambda s: 1 / s, half=HALF, power=2):
    r"""With $x = \tanh z$, $z = (y-t)/s$: $q(y) = p(\tanh z)\,\mathrm{sech}^2z/s$ is the derivative of $Q(y) =
    \Phi(\tanh z)$, and $y = \tfrac s2\ln\tfrac{1+x}{1-x} + t$.

    For one term of the series, every n ≥ 1.
    """
    given = [s > 0, n >= 1]
    function = START + real_part((u + I * v) * TERM)
    back = s * half * log((1 + x) / (1 - x)) + t
    return (
        Identity(sp.diff(function.subs(x, tanh(Z)), y), SLOPE.subs(x, tanh(Z)) * LINE * scale(s), given),
        Identity(LINE, 1 / cosh(Z) ** power, [s > 0]),
        Identity(tanh((back - t) / s), x, [s > 0, x > -1, x < 1]),
    )


def logistic(value: Any, scale: Any) -> Any:
    return exp(-value / scale) / (scale * (1 + exp(-value / scale)) ** 2)


@claim(mutants=[dict(scale=s), dict(factor=1)])
def logistic_base(scale=s / 2, factor=2):
    r"""N = 0 gives the logistic law of scale s/2; in general q is that density times $2p(\tanh z)$.

    P stands for any function p.
    """
    base = logistic(y - t, scale)
    return (
        Identity(HALF * LINE / s, base, [s > 0]),
        Identity(P(tanh(Z)) * LINE / s, factor * P(tanh(Z)) * logistic(y - t, s / 2), [s > 0]),
    )


@claim(mutants=[dict(rate=1), dict(top=2), dict(bottom=2), dict(other=lambda n: (-1) ** n + 1), dict(most=HALF)])
def tail_law(rate=2, top=4, bottom=4, other=lambda n: (-1) ** n, most=1):
    r"""Both tails decay like $e^{-2|y-t|/s}$ with one constant: $\lim q(t\pm y)e^{2y/s} = 4p(1)/s$, as p(−1) = p(1);
    all moments are finite.

    $\mathrm{sech}^2z\,e^{2z} = 4/(1+e^{-2z})^2 \to 4$, likewise for z → −∞ (z = y here); $\tanh z \to \pm1$, where
    every $e^{i\pi nx}$ is $(-1)^n$. As $p \le (N+1)/2$ (K = N + 1), q is at most K times a logistic density.
    """
    return (
        Identity((1 - tanh(y) ** 2) * exp(rate * y), 4 / (1 + exp(-2 * y)) ** 2),
        Limit(4 / (1 + exp(-2 * y)) ** 2, y, sp.oo, top),
        Limit(4 / (1 + exp(2 * y)) ** 2, y, -sp.oo, bottom),
        Identity(sp.Matrix([cos(pi * n), exp(-I * pi * n)]), sp.Matrix([(-1) ** n, other(n)])),
        ForAll(2 * g * L <= most * K * L, [g <= K / 2, L >= 0, K >= 1]),
    )


@claim(mutants=[dict(half=1), dict(inside=2), dict(step=0), dict(top=0), dict(bottom=0)])
def bin_mass(half=HALF, inside=1, step=1, top=1, bottom=-1):
    r"""$Q(y+\tfrac12) - Q(y-\tfrac12) = \delta\big(\tfrac12 + \sum_n\mathrm{Re}[\rho_ne^{i\pi nm}]\, \tfrac{\sin(\pi
    n\delta/2)}{\pi n\delta/2}\big)$ for the images $m \mp \delta/2$ of the edges under tanh; the bins at all integers
    sum to 1.

    First part: every term, with nothing that cancels in the tails; m = x, δ = r, $\rho_n = u + iv$. The sum over
    −J, …, J telescopes to $Q(J+\tfrac12) - Q(-J-\tfrac12)$, one step for any function Q, and $\tanh \to \pm1$.
    """
    function = START + real_part((u + I * v) * TERM)
    wave = u * cos(pi * n * x) - v * sin(pi * n * x)
    mass = function.subs(x, x + r / 2) - function.subs(x, x - r / 2)
    bins = [Q(y + shift + HALF) - Q(y + shift - HALF) for shift in (0, 1)]
    return (
        Identity(mass, r * (half + wave * inside * sin(pi * n * r / 2) / (pi * n * r / 2)), [n >= 1, r > 0]),
        Identity(bins[0] + bins[1], Q(y + step + HALF) - Q(y - HALF)),
        Limit(tanh(y), y, sp.oo, top),
        Limit(tanh(y), y, -sp.oo, bottom),
    )


# What the family is closed under


PRODUCTS = (((2, 1 + I), (3, I)), ((1, 2 * I, 1), (2, -1)), ((1, 2, 3), (1 + I, 1, -I, 2)))


@claim(mutants=[dict(power=2), dict(index=j), dict(combine=lambda a, b: [p * q for p, q in zip(a, b)] + [0] * 9)])
def closed_under_product(power=1, index=j + k, combine=convolve):
    r"""The normalised product of densities of degrees N and M is one of degree N + M, whose a is the convolution of the
    two.

    $|A|^2|B|^2 = |AB|^2$, and the terms j of A and k of B give $a_jb_ke^{-i\pi(j+k)x}$; all N, M. Three exact pairs:
    the Fourier coefficients of the product are the autocorrelation of the convolution.
    """

    def routes(case: Any) -> tuple[Any, Any]:
        left, right = (autocorrelation(values) for values in case)
        degree = len(left) + len(right) - 2
        expected = [
            sp.expand(sum(coefficient(left, i) * coefficient(right, shift - i) for i in range(-degree, degree + 1)))
            for shift in range(degree + 1)
        ]
        return autocorrelation(combine(*case))[: degree + 1], expected

    return (
        Identity(square(z1) * square(z2), square(z1 * z2) ** power),
        Identity(c * e(-j) * d * e(-k), c * d * e(-index) + 0 * k),
        ForEach(PRODUCTS, routes, over="three pairs of degrees up to 3"),
    )


@claim(mutants=[dict(value=2), dict(sign=1), dict(factor=1)])
def closed_under_convolution(value=0, sign=-1, factor=HALF):
    r"""The sum modulo 2 of independent variables has $\rho_n = \rho_n'\rho_n''$, so the degree min(N, M); being
    non-negative it is again of the family (`fejer-riesz-completeness`).

    $\int p_1(x-t)p_2(t)dt$ term by term: $e^{i\pi n(x-t)}e^{i\pi mt} = e^{i\pi nx}e^{i\pi(m-n)t}$ is 0 on integration
    for m ≠ n, and for m = n the halves of the two series leave $\tfrac12\rho_n'\rho_n''e^{i\pi nx}$; all n.
    """
    product = c * d / 4
    return (
        Identity(e(n, x - t) * e(m, t), e(n) * e(m + sign * n, t)),
        orthogonality(value),
        Integral(product * e(n), t, -1, 1, factor * c * d * e(n), primitive=product * e(n) * t),
    )


@claim(
    mutants=[dict(power=HALF), dict(stretch=2), dict(zeros=lambda N: N + 1)],
    relies_on=("a polynomial of degree N has at most N zeros", "mean value theorem"),
)
def inverse_cdf_sampling(power=1, stretch=1, zeros=lambda N: N):
    r"""Φ is a strictly increasing C¹ bijection of [−1, 1] onto [0, 1], and $\Phi^{-1}(U)$ has exactly the density
    $|A|^2/(2c_0)$.

    Φ' = |A|²/(2c_0) (first part, N = 1 in full) is ≥ 0 with at most N zeros in a period, so Φ is strictly increasing,
    and $P(\Phi^{-1}(U) \le x) = P(U \le \Phi(x)) = \Phi(x)$. Second part: across the zero of $p = \tfrac12(1-\cos\pi
    x)$ the mass $h - \sin(\pi h)/\pi$ of [−h, h] is positive for 0 < h ≤ 1. Third: $a = (1, 0, …, 0, -1)$ has N zeros,
    the most.
    """
    series, total = z1 * conjugate(z2), square(z1) + square(z2)
    function = START + real_part(series / total * (e(1) + 1) / (I * pi))
    modulus = square(z1 + z2 * e(-1))

    def vanishing(degree: int) -> tuple[Any, Any]:
        p = density((1, *(0,) * (degree - 1), -1))
        return sum(1 for i in range(2 * degree) if p.subs(x, Rational(i, degree)) == 0), zeros(degree)

    return (
        Identity(2 * total * sp.diff(function, x), modulus**power, [Ne(z1, 0)]),
        Enclosure(h - stretch * sin(pi * h) / pi, lower=0, box={h: (0, 1)}, touches={sp.S.Zero: 3}),
        ForEach(range(1, 6), vanishing, over="N = 1..5"),
    )
