r"""When a truncated Fourier series is real, when it is non-negative, and what |A|² can reach.

Archive 10007. Notation: see the package's docstring.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, I, Max, Min, Ne, Rational, conjugate, cos, exp, pi, sin, sqrt

from kexue import Exists, ForAll, ForEach, Identity, Induction, Integral, Limit, claim, erratum, mutant

from .common import (
    HALF,
    M,
    N,
    a,
    autocorrelation,
    c,
    convolve,
    d,
    e,
    from_roots,
    j,
    k,
    m,
    n,
    phi,
    spectral_factor,
    square,
    theta,
    toeplitz,
    u,
    v,
    x,
    y,
)

g, C, r = sp.symbols("g C r", real=True)
D = sp.Function("D")


def orthogonality(value: Any = 0, index: Any = n) -> Any:
    """∫e^{iπnx} over the period, for n ≠ 0."""
    return Integral(e(index), x, -1, 1, value, primitive=e(index) / (I * pi * index), given=[Ne(index, 0)])


def overlap(low: Any = None, high: Any = None) -> Any:
    """{j: 0 ≤ j ≤ N, 0 ≤ j + n ≤ N} is an interval: max(0, −n) ≤ j ≤ N − max(0, n)."""
    low = Max(0, -n) if low is None else low
    high = N - Max(0, n) if high is None else high
    return ForAll(Equivalent(And(0 <= j, j <= N, 0 <= j + n, j + n <= N), And(low <= j, j <= high)))


# Coefficients and reality


@claim(mutants=[dict(value=2), dict(sign=1), dict(half=1)])
def coefficients(value=0, sign=-1, half=HALF):
    r"""$c_n = \tfrac12\int_{-1}^1f(x)e^{-i\pi nx}dx$ for $f = \sum_mc_me^{i\pi mx}$, as
    $\tfrac12\int_{-1}^1e^{i\pi nx}dx = \delta_{n0}$ for all integers n.

    Term by term: $c_me^{i\pi mx}e^{-i\pi nx} = c_me^{i\pi(m-n)x}$, of which m = n alone has an integral.
    """
    return (
        orthogonality(value),
        Identity(c * e(m) * exp(sign * I * pi * n * x), c * e(m - n)),
        Integral(half * u, x, -1, 1, u, primitive=half * u * x),
    )


@claim(mutants=[dict(mirror=lambda z: z), dict(bar=lambda z: z), dict(value=2)])
def reality(mirror=conjugate, bar=conjugate, value=0):
    r"""f(x) is real for all x iff $c_{-n} = c_n^*$ for all n.

    If: $c_ne^{i\pi nx} + c_n^*e^{-i\pi nx}$ equals its conjugate. Only if: $f^*$ has the coefficient $c_{-n}^*$ at
    $e^{i\pi nx}$ (d stands for $c_{-n}$), and coefficients are unique by orthogonality.
    """
    pair = c * e(n) + mirror(c) * e(-n)
    return (
        Identity(conjugate(pair), pair),
        Identity(conjugate(d * e(-n)), bar(d) * e(n)),
        orthogonality(value),
    )


# Toeplitz sections


@erratum(printed=dict(at=1), mutants=[dict(bar=lambda z: z), dict(sign=1)])
def toeplitz_form(at=x, bar=conjugate, sign=-1):
    r"""$\sum_{n,m\in K}u_n^*c_{n-m}u_m = \tfrac12\int_{-1}^1p(x)\big|\sum_{n\in K}u_ne^{i\pi nx}\big|^2dx$ for every
    finite set K, so that $p \ge 0$ makes every section of $(c_{n-m})$ positive semidefinite.

    The terms: $u_n^*e^{-i\pi(n-m)x}u_m = (u_ne^{i\pi nx})^*(u_me^{i\pi mx})$, for all integers n, m and complex u (c, d
    stand for $u_n, u_m$). The article's last lines print $e^{i\pi n}$ without x, which is false.
    """
    return Identity(conjugate(c) * exp(sign * I * pi * (n - m) * x) * d, bar(c * e(n, at)) * (d * e(m, at)))


@claim(
    mutants=[
        dict(sign=1),
        dict(top=M),
        dict(weight=lambda q: 1 - q / 2),
        dict(weight=lambda q: 2 - q),
        dict(slack=-1),
    ]
)
def herglotz_sufficiency(sign=-1, top=M - 1, weight=lambda q: 1 - q, slack=1):
    r"""If all M × M sections of $(c_{n-m})$, c extended by zeros, are positive semidefinite, then $f \ge 0$.

    With $u_n = e^{-i\pi nx}$, n = 0, …, M − 1, the form is $\sum_{|d|<M}(M-|d|)c_de^{i\pi dx}$: its terms are
    $c_{n-m}e^{i\pi(n-m)x}$ (first part), and $n - m = d$ occurs M − |d| times (second and third). Divided by M it tends
    to f, at a distance of at most C/M with $C = \sum|d||c_d|$; a value g < 0 of f would make it negative for M > C/|g|.
    """
    q = sp.Symbol("q", integer=True)
    counted = weight(sp.Abs(q) / M)
    return (
        Identity(conjugate(e(sign * n)) * c * e(sign * m), c * e(n - m)),
        ForAll(Equivalent(And(0 <= j, j <= top, 0 <= j - q, j - q <= top),
                          And(Max(0, q) <= j, j <= M - 1 + Min(0, q)))),
        ForAll(Eq((M - 1 + Min(0, q)) - Max(0, q) + 1, M * counted), [M >= 1]),
        Limit(counted.subs(sp.Abs(q), r), M, sp.oo, 1),
        ForAll(slack * (g + C / M) < 0, [g < 0, C >= 0, M > C / -g, M >= 1]),
    )  # fmt: skip


@claim(mutants=[dict(shift=2), dict(bound=lambda M: 1 / (2 * cos(pi / (M + 2)))), dict(far=1), dict(size=1)])
def finite_toeplitz_insufficient(shift=1, bound=lambda M: 1 / (2 * cos(pi / (M + 1))), far=HALF, size=2):
    r"""One section isn't enough: for N = 1, $c_0 = 1$ the M × M section is positive semidefinite iff $|c_1| \le
    1/(2\cos\frac\pi{M+1})$, which is > ½ for every M, whereas $f \ge 0$ iff $|c_1| \le \tfrac12$.

    The characteristic polynomial of the tridiagonal section at $1 + 2c_1\cos\theta$ is $(\pm c_1)^M\sin((M+1)\theta)/
    \sin\theta$ by its recursion in M (first part, all M), so the eigenvalues are those with $\theta = k\pi/(M+1)$. M =
    2, 3, 5: the section is singular at the bounds 1, 1/√2, 1/√3. $c_1 = \tfrac34$: the 2 × 2 section is positive
    definite and f(1) = −½.
    """

    def at_bound(size: int) -> tuple[Any, Any]:
        value = {2: sp.S(1), 3: sqrt(2) / 2, 5: sqrt(3) / 3}[size]
        return (bound(size), sp.simplify(toeplitz([1, value], size).det())), (value, 0)

    section = toeplitz([1, r], size)
    return (
        Induction(
            n, 0, {D(n + 2): 2 * cos(theta) * D(n + 1) - D(n)}, {D(0): 1, D(1): 2 * cos(theta)},
            [Eq(D(n) * sin(theta), sin((n + shift) * theta))],
        ),
        ForEach((2, 3, 5), at_bound, over="M = 2, 3, 5"),
        Limit(bound(M), M, sp.oo, far),
        Exists(And(section[0, 0] > 0, section.det() > 0, r > HALF, 1 + 2 * r * (-1) ** (size - 1) < 0),
               {r: Rational(3, 4)}),
    )  # fmt: skip


DETERMINANT = (n + 1) / sp.Integer(2) ** n


@erratum(printed=dict(least=1), mutants=[dict(determinant=n / sp.Integer(2) ** n), dict(at=HALF)])
def positive_definite_not_strict(determinant=DETERMINANT, at=1, least=0):
    r"""Positive definite sections of every size give $f \ge 0$, not $f > 0$: for N = 1, $c_0 = 1$, $c_1 = \tfrac12$ all
    leading minors are positive, $D_M = (M+1)/2^M$, yet $f = 1 + \cos\pi x$ vanishes at ±1.

    The minors of the tridiagonal section obey $D_{M+2} = D_{M+1} - \tfrac14D_M$, so that the section is positive
    definite for every M by Sylvester. The article concludes that f is "always greater than 0"; `least` = 1 states min f
    > 0.
    """
    value = 1 + cos(pi * x)
    return (
        Induction(n, 0, {D(n + 2): D(n + 1) - D(n) / 4}, {D(0): 1, D(1): 1}, [Eq(D(n), determinant)]),
        Exists(And(value <= 0, value + 0 * x >= least), {x: at}),
    )


# Autocorrelation


@claim(mutants=[dict(shift=m + 1), dict(bar=lambda z: z)])
def autocorrelation_psd(shift=m, bar=conjugate):
    r"""$\sum_{n,m}u_n^*r_{n-m}u_m = \sum_k|\sum_na_{k+n}u_n|^2 \ge 0$ for $r_n = \sum_ka_ka_{k+n}^*$, any (summable) a
    and any finite set of indices.

    Shifting k by m turns $a_ka_{k+n-m}^*$ into $a_{k+m}a_{k+n}^*$, and then $u_n^*a_{k+n}^*\cdot a_{k+m}u_m$ is a
    product of the two sums' terms; for all integers and all functions a of the index (c, d stand for $u_n, u_m$).
    """
    shifted = (a(k) * conjugate(a(k + n - m))).subs(k, k + shift)
    return Identity(conjugate(c) * shifted * d, bar(a(k + n) * c) * (a(k + m) * d))


@claim(mutants=[dict(shift=-n), dict(high=N), dict(bar=lambda z: z)])
def autocorrelation_hermitian(shift=n, high=None, bar=conjugate):
    r"""$r_n = \sum_ka_ka_{k+n}^*$ has $r_{-n} = r_n^*$; with $a_k = 0$ off 0, …, N it is $\sum_{k=0}^{N-n}a_ka_{k+n}^*$
    for n ≥ 0, zero for |n| > N, and $r_0 = \sum|a_k|^2$.

    Shifting k by n turns $a_ka_{k-n}^*$ into $a_{k+n}a_k^*$; the non-zero terms are those with 0 ≤ k, k + n ≤ N, an
    interval that is empty for |n| > N.
    """
    return (
        Identity((a(k) * conjugate(a(k - n))).subs(k, k + shift), bar(a(k) * conjugate(a(k + n)))),
        overlap(high=high),
    )


def squared_series(count: int, partner: Any, bar: Any) -> tuple[Any, Any]:
    """f and |A|² for N = count − 1 with free complex a."""
    values = sp.symbols(f"a0:{count}", complex=True)
    top = count - 1
    series = [sum(values[k] * bar(values[partner(k, n, top)]) for k in range(count - n)) for n in range(count)]
    f = series[0] + sum(series[n] * e(n) + conjugate(series[n] * e(n)) for n in range(1, count))
    return f, square(sum(value * e(-k) for k, value in enumerate(values)))


@claim(
    mutants=[
        dict(bar=lambda z: z),
        dict(partner=lambda k, n, N: N - k),
        dict(high=N),
    ]
)
def squared_modulus(bar=conjugate, partner=lambda k, n, N: k + n, high=None):
    r"""$f(x) = |A(x)|^2 \ge 0$ with $A(x) = \sum_{k=0}^Na_ke^{-i\pi kx}$ and $c_n = \sum_ka_ka_{k+n}^*$, for every N.

    The product of the terms j, k of A and A* is $a_ja_k^*e^{i\pi(k-j)x}$, the term of $c_n$ with n = k − j, and the
    pairs (j, k) of 0, …, N are the pairs (n, j) with max(0, −n) ≤ j ≤ N − max(0, n). The third part is the whole
    formula for N = 2. A published tutorial takes $\sum_ka_ka_{N-k}^*$, which is false.
    """
    return (
        Identity(a(j) * e(-j) * bar(a(j + n) * e(-(j + n))), a(j) * conjugate(a(j + n)) * e(n)),
        overlap(high=high),
        Identity(*squared_series(3, partner, bar)),
    )


FACTORS = ((3 + I, 2 - I), (1, 0, 2 * I), (6, 1 - I, 2, 1 + 2 * I), (1, 2, 3, 4, 5), (2, I, -1, 0, 1 - I, 3, 1))


def certified(target: Any) -> Any:
    """Whether the balls of the spectral factor of c have an autocorrelation that holds `target(c)`, tightly."""
    from flint import acb, arb, ctx, fmpq

    def holds(values: Any) -> tuple[Any, Any]:
        series = autocorrelation(values)
        factor = spectral_factor(series)
        found = []
        ctx.dps = 60
        for shift, expected in enumerate(target(series)):
            ball = sum((p * q.conjugate() for p, q in zip(factor, factor[shift:])), acb(0))
            re, im = expected.as_real_imag()
            exact = acb(arb(fmpq(re.p, re.q)), arb(fmpq(im.p, im.q)))
            found.append(bool(ball.contains(exact)) and bool(ball.rad() < arb(10) ** -20))
        ctx.dps = 15
        return found, [True] * len(series)

    return ForEach(FACTORS, holds, over=f"{len(FACTORS)} series of degrees 1 to 6")


@claim(
    mutants=[dict(mirror=1), dict(scale=1), dict(target=lambda series: [conjugate(value) for value in series])],
    relies_on=(
        "fundamental theorem of algebra",
        "a real analytic function that keeps its sign has zeros of even multiplicity",
    ),
)
def fejer_riesz_completeness(mirror=-1, scale=-1, target=lambda series: series):
    r"""Every $f \ge 0$ of degree N is $|A|^2$ with A of degree ≤ N (Fejér–Riesz): the construction loses nothing.

    With $z = e^{i\pi(x+iy)}$: f is its own conjugate at the mirrored point $1/z^*$, so the 2N zeros of $z^Nf$ off the
    circle come in pairs $w, 1/w^*$ (first part, for each term); each pair gives a factor $-w^*(z-w)(z-1/w^*)/z =
    |z-w|^2$ on the circle (second part, w = u + iv). The third part constructs A in ball arithmetic for five exact
    series of degrees 1 to 6 and certifies its autocorrelation.
    """
    w_, z_ = u + I * v, exp(I * theta)
    return (
        Identity(conjugate(c * exp(I * pi * n * (x + mirror * I * y))), conjugate(c) * exp(-I * pi * n * (x + I * y))),
        Identity(scale * conjugate(w_) * (z_ - w_) * (z_ - 1 / conjugate(w_)) / z_, square(z_ - w_), [u**2 + v**2 > 0]),
        certified(target),
    )


ROOTS = (2, -3, 2 * I, 1 + I, Rational(3, 2) - I, -2 + Rational(1, 2) * I)


def ratio_jacobian_rank(degree: int) -> int:
    """Rank of a ↦ (ρ_1, …, ρ_N) in real coordinates at a rational point, generic for it can't be larger."""
    real, imaginary = sp.symbols(f"p0:{degree + 1}", real=True), sp.symbols(f"q0:{degree + 1}", real=True)
    values = [p + I * q for p, q in zip(real, imaginary)]
    coordinates: list[sp.Expr] = []
    series = [sum(p * conjugate(q) for p, q in zip(values, values[shift:])) for shift in range(degree + 1)]
    for value in series[1:]:
        coordinates += [part / sp.expand(series[0]) for part in sp.expand(value).as_real_imag()]
    point = {p: 2 + i * i for i, p in enumerate(real)} | {q: (-1) ** i * i for i, q in enumerate(imaginary)}
    rows = [[sp.diff(part, symbol).subs(point) for symbol in (*real, *imaginary)] for part in coordinates]
    return int(sp.Matrix(rows).rank())


@claim(
    mutants=[
        dict(turn=lambda z: z),
        dict(mirror=lambda z: z),
        dict(flip=lambda z: z),
        dict(same=lambda factor: [factor[0] + 1, *factor[1:]]),
        dict(freedom=1),
    ]
)
def gauge(turn=conjugate, mirror=conjugate, flip=conjugate, same=lambda factor: factor, freedom=2):
    r"""$a \mapsto e^{i\varphi}a$, $a_k \mapsto a_{N-k}^*$ and the flip of any zero of A to $1/w^*$ keep c: a generic c
    has $2^N$ factors up to phase, and with the scale ρ has 2(N+1) − 2 = 2N real degrees of freedom.

    First three parts: all N, term by term (the second with k = N − n − j), w = u + iv. N = 6: the 64 factors of one
    exact series, no two proportional. N = 1, 2: the rank of a ↦ ρ at a rational point is 2N, the most it can be.
    """
    w_, z_ = u + I * v, exp(I * theta)
    phase = cos(phi) + I * sin(phi)
    rotated = a(j) * phase * turn(a(k) * phase)
    reversed_ = (mirror(a(N - k)) * conjugate(mirror(a(N - k - n)))).subs(k, N - n - j)
    flips = list(product((False, True), repeat=len(ROOTS)))

    def factorisations(roots: Any) -> tuple[Any, Any]:
        found = [from_roots(roots, flipped) for flipped in flips]
        directions = {tuple(convolve(factor, [1 / factor[-1]])) for factor in found}
        series = {tuple(autocorrelation(same(factor))) for factor in found}
        return (len(directions), series), (64, {tuple(autocorrelation(found[0]))})

    return (
        Identity(rotated, a(j) * conjugate(a(k))),
        Identity(reversed_, a(j) * conjugate(a(j + n))),
        Identity(square(z_ - w_), square(1 - flip(w_) * z_)),
        ForEach([ROOTS], factorisations, over="the 64 subsets of six zeros"),
        ForEach((1, 2), lambda degree: (ratio_jacobian_rank(degree), freedom * degree), over="N = 1, 2"),
    )


# Several dimensions


def modulus_jacobian_rank(degree: int, dimensions: int) -> int:
    """Rank of a ↦ the real coordinates of |A|², a in D dimensions, at a rational point."""
    indices = list(product(range(degree + 1), repeat=dimensions))
    values: dict[Any, Any] = {}
    point: dict[Any, Any] = {}
    for position, index in enumerate(indices):
        p, q = sp.symbols(f"p{position} q{position}", real=True)
        values[index] = p + I * q
        point |= {p: 3 + position * position, q: (-1) ** position * (2 * position + 1)}
    series: dict[Any, Any] = {}
    for first in indices:
        for second in indices:
            key = tuple(int(b - f) for f, b in zip(first, second))
            series[key] = series.get(key, 0) + values[first] * conjugate(values[second])
    half = [sp.expand(value) for key, value in series.items() if key >= (0,) * dimensions]
    parts = [part for value in half for part in value.as_real_imag()]
    return int(sp.Matrix([[sp.diff(part, symbol).subs(point) for symbol in point] for part in parts]).rank())


@claim(mutants=[dict(rank=8), mutant("domain", full=lambda N: N + 1), dict(low=9)])
def multi_d_failure(rank=7, full=lambda N: 2 * N + 1, low=1):
    r"""In D ≥ 2 dimensions $|A|^2$ with $(N+1)^D$ coefficients isn't complete: it has at most $2(N+1)^D - 1$ real
    degrees of freedom, fewer than the $(2N+1)^D$ of a real trigonometric polynomial (N ≥ 1); for D = 1 the two are
    equal.

    All D ≥ 2 by induction, real N ≥ 1; D = 1: $2(N+1) - 1 = 2N + 1$. The exact rank of $a \mapsto |A|^2$ for D = 2, N =
    1 is 7 < 9. The non-negative ones have interior points (f = 1), so most of them near 1 are no $|A|^2$.
    """
    U, V = sp.Function("U"), sp.Function("V")
    K = sp.Symbol("K", real=True)
    return (
        Induction(
            n, 2, {U(n + 1): (K + 1) * U(n), V(n + 1): full(K) * V(n)}, {U(2): (K + 1) ** 2, V(2): full(K) ** 2},
            [2 * U(n) - 1 < V(n), V(n) > low, U(n) > 0], [K >= 1],
        ),
        Identity(2 * (K + 1) - 1, full(K)),
        ForEach([(1, 2)], lambda case: (modulus_jacobian_rank(*case), rank), over="N = 1, D = 2"),
    )  # fmt: skip


def conditional(index: Any, top: Any) -> Any:
    """|u + v e^{−iπy}|² over twice `top`."""
    return (u**2 + v**2 + 2 * u * v * cos(pi * index)) / (2 * top)


@claim(mutants=[dict(normaliser=lambda own: Rational(4, 3)), dict(outer=HALF)])
def autoregressive_factorisation(normaliser=lambda own: own, outer=1):
    r"""$p(x) = \prod_dp(x_d|x_{<d})$ with $a_d = a_d(x_{<d})$ any non-zero functions is non-negative and has the
    integral 1, for every D: $\int p(x_d|x_{<d})\,dx_d = 1$ at every point $x_{<d}$.

    N = 1 with u, v standing for the values of $a_0, a_1$ at a given $x_{<d}$, then the outer integral with an
    arbitrary degree-1 density. Dividing by a mean of $2c_0(x_{<d})$ instead gives conditionals without mass 1, so that
    the marginal of $x_{<d}$ isn't the factor that was meant (here $4/3$ is the mean of $1 + x^2$ over the uniform law).
    """
    inner = conditional(y, normaliser(u**2 + v**2))
    given = [u**2 + v**2 > 0]
    primitive = ((u**2 + v**2) * y + 2 * u * v * sin(pi * y) / pi) / (2 * normaliser(u**2 + v**2))
    first = outer * (1 + sin(pi * x)) / 2
    return (
        Integral(inner, y, -1, 1, 1, primitive=primitive, given=given),
        Integral(first, x, -1, 1, 1, primitive=outer * (x - cos(pi * x) / pi) / 2),
    )
