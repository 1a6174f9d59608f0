r"""Hubness: collapsing balls, the angle law, k-occurrence, and hub sampling of latents.

Su Jianlin, 《“维度灾难”之Hubness现象浅析》 ("A brief look at hubness, a curse of dimensionality"), Scientific Spaces,
2022-06-28, archive 9147; its predecessor on angles is 《n维空间下两个随机向量的夹角分布》, 2019-11-13, archive 7076.
Y. Liang, J. Wu, Y.-K. Lai, Y. Qin, "Exploring and Exploiting Hubness Priors for High-Quality GAN Latent Sampling",
2022, arXiv 2206.06014; M. Radovanović, A. Nanopoulos, M. Ivanović, "Hubs in Space", JMLR 2010; G. L. Miller, S.-H.
Teng, W. Thurston, S. A. Vavasis, "Separators for sphere-packings and nearest neighbor graphs", J. ACM 1997.

Notation: $V_n$ is the volume of the unit ball, $r_n = V_n/2^n$ its share of the cube; θ is the angle between two
independent isotropic vectors of $\mathbb{R}^n$, $\eta = \cos\theta$, $\varphi = \theta - \pi/2$. Of N points, $N_k(i)$
(the hub value) counts the other points that have $x_i$ among their k nearest; a point isn't its own neighbour, and ties
go to the smaller index. κ is the kurtosis of a coordinate, ρ the correlation of the distances to one point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise, permutations, product
from typing import Any

import sympy as sp
from sympy import And, Eq, Implies, Le, Ne, Or, Rational, cos, exp, gamma, pi, sin, sqrt

from kexue import (
    Enclosure,
    Exists,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Induction,
    Integral,
    Limit,
    claim,
    erratum,
    mutant,
)

from ._arguments import whole_number

n, m, j = sp.symbols("n m j", integer=True)
x, y, t, s, q, r, rho, eps, eta, theta, phi, kappa, sigma = sp.symbols(
    "x y t s q r rho epsilon eta theta phi kappa sigma", real=True
)
c, d, p, N = sp.symbols("c d p N", real=True)

Points = Sequence[Sequence[Any]]
HALF = Rational(1, 2)


# Balls and angles, exactly


def _ball_volume(n: Any) -> sp.Expr:
    return pi ** (sp.sympify(n) / 2) / gamma(sp.sympify(n) / 2 + 1)


def ball_volume(n: int) -> sp.Expr:
    """V_n = π^(n/2)/Γ(n/2 + 1), exactly.

    Raises:
        ValueError: n is no integer ≥ 1.
    """
    whole_number("n", n, 1)
    return _ball_volume(n)


def ball_cube_share(n: int) -> sp.Expr:
    """r_n = V_n/2^n, exactly.

    Raises:
        ValueError: n is no integer ≥ 1.
    """
    return ball_volume(n) / 2**n


@cache
def angle_variance(n: int) -> sp.Expr:
    """Var θ in R^n, exactly: a rational number less than π²/12 (even n) or π²/4 (odd n) by Var_{n+2} = Var_n − 2/n².

    Raises:
        ValueError: n is no integer ≥ 2.
    """
    whole_number("n", n, 2)
    start, first = (pi**2 / 12, 2) if n % 2 == 0 else (pi**2 / 4 - 2, 3)
    total = sum((Fraction(2, i * i) for i in range(first, n, 2)), Fraction(0))
    return start - Rational(total.numerator, total.denominator)


@cache
def angle_moment(k: int, power: int) -> sp.Expr:
    """∫ φ^power cos^k φ dφ over [−π/2, π/2] for even powers: k²A(k, p) + p(p−1)A(k, p−2) = k(k−1)A(k−2, p)."""
    if k == 0:
        return 2 * (pi / 2) ** (power + 1) / (power + 1)
    lower = power * (power - 1) * angle_moment(k, power - 2) if power else sp.S.Zero
    if k == 1:
        return sp.expand(2 * (pi / 2) ** power - lower)
    return sp.expand((k * (k - 1) * angle_moment(k - 2, power) - lower) / sp.Integer(k * k))


def angle_cumulant(n: int, order: int) -> sp.Expr:
    """The cumulant of θ − π/2 of even order, from exact moments: κ_r = μ_r − Σ C(r−1, i−1) κ_i μ_{r−i}.

    Raises:
        ValueError: n is no integer ≥ 2, or order is not even and ≥ 2.
    """
    whole_number("n", n, 2)
    if not isinstance(order, int) or order < 2 or order % 2:
        raise ValueError(f"order must be an even integer ≥ 2, got {order!r}")
    moments = {i: angle_moment(n - 2, i) / angle_moment(n - 2, 0) for i in range(0, order + 1, 2)}
    found: dict[int, sp.Expr] = {}
    for i in range(2, order + 1, 2):
        products = (math.comb(i - 1, h - 1) * found[h] * moments[i - h] for h in range(2, i, 2))
        found[i] = sp.expand(moments[i] - sum(products, sp.S.Zero))
    return found[order]


def orthogonality_tail(n: int, eps: Fraction) -> Fraction:
    """P(|η| ≥ ε) for odd n ≥ 3, where the density of η is a polynomial, exactly.

    Raises:
        ValueError: n is no odd integer ≥ 3, or ε is not in [0, 1].
    """
    whole_number("n", n, 3)
    if n % 2 == 0:
        raise ValueError(f"n must be odd, got {n}")
    eps = Fraction(eps)
    if not 0 <= eps <= 1:
        raise ValueError(f"eps must be in [0, 1], got {eps}")
    h = (n - 3) // 2

    def primitive(z: Fraction) -> Fraction:
        return sum((Fraction((-1) ** i * math.comb(h, i), 2 * i + 1) * z ** (2 * i + 1) for i in range(h + 1)),
                   Fraction(0))  # fmt: skip

    return 1 - primitive(eps) / primitive(Fraction(1))


# k-occurrence, exactly


def squared_distance(a: Sequence[Any], b: Sequence[Any]) -> Any:
    return sum((u - v) ** 2 for u, v in zip(a, b, strict=True))


def cosine_distance(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """−cos·|cos| of two non-zero vectors: an increasing function of the cosine distance that stays rational."""
    dot = sum(u * v for u, v in zip(a, b, strict=True))
    return -Fraction(dot * abs(dot)) / (sum(u * u for u in a) * sum(v * v for v in b))


def k_occurrence_exact(
    points: Points, k: int, distance: Callable[[Any, Any], Any] = squared_distance
) -> tuple[int, ...]:
    """N_k of every point by comparing exact distances; ties go to the smaller index.

    Raises:
        ValueError: fewer than two points, or k is not in [1, N − 1].
    """
    size = len(points)
    if size < 2:
        raise ValueError(f"points must hold at least 2 points, got {size}")
    if not isinstance(k, int) or not 1 <= k < size:
        raise ValueError(f"k must be an integer in [1, {size - 1}], got {k!r}")
    counts = [0] * size
    for a in range(size):
        order = sorted((distance(points[a], points[b]), b) for b in range(size) if b != a)
        for _, b in order[:k]:
            counts[b] += 1
    return tuple(counts)


def choices(size: int, k: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every way in which each of `size` points can choose k others."""
    options = [list(combinations([b for b in range(size) if b != a], k)) for a in range(size)]
    return product(*options)


def counts_of(chosen: Sequence[Sequence[int]]) -> list[int]:
    counts = [0] * len(chosen)
    for neighbours in chosen:
        for b in neighbours:
            counts[b] += 1
    return counts


def integer_points(size: int, dim: int, seed: int = 1, spread: int = 19) -> list[tuple[int, ...]]:
    """Distinct integer points from a linear congruential sequence."""
    state = seed
    found: list[tuple[int, ...]] = []
    while len(found) < size:
        row = []
        for _ in range(dim):
            state = (1103515245 * state + 12345) % 2**31
            row.append((state >> 16) % spread - spread // 2)
        if tuple(row) not in found:
            found.append(tuple(row))
    return found


DIGRAPHS = [(4, 1), (4, 2), (5, 1), (5, 2)]
DIGRAPHS_TEXT = f"all choices of k others by each of N points, (N, k) in {DIGRAPHS}"


def all_counts() -> Iterator[tuple[int, list[int]]]:
    for size, k in DIGRAPHS:
        for chosen in choices(size, k):
            yield k, counts_of(chosen)


def near(value: Any, digits: str, name: str = "v") -> Exists:
    """`value` rounds to the printed decimal: it is within half a unit of the last digit."""
    symbol = sp.Symbol(name, real=True)
    mantissa, _, places = digits.partition(".")
    unit = Rational(1, 10 ** len(places))
    middle = Rational(int(mantissa + places), 10 ** len(places))
    return Exists(And(symbol > middle - unit / 2, symbol < middle + unit / 2), {symbol: value})


# Part A: balls


@claim(mutants=[dict(half=1), mutant("domain", first=Rational(5, 4)), dict(share=lambda n: ball_volume(n) / 2)])
def ball_cube_ratio(half=2, first=pi / 4, share=ball_cube_share):
    r"""$r_n = V_n/2^n = \pi^{n/2}/(\Gamma(n/2+1)2^n)$ decreases strictly for n ≥ 1; $r_{n+2}/r_n = \pi/(2(n+2))$.

    For every n: the quotients $q_n = r_{n+1}/r_n$ obey $q_{n+2} = q_n(n+2)/(n+3)$, so that all are below 1 since $q_1 =
    \pi/4$ and $q_2 = 2/3$ are. $r_3 = \pi/6$ and $r_{10}$ = 0.00249039 to eight places.
    """
    quotient = sp.Function("q")
    ratio = _ball_volume(n) / 2**n
    return (
        Identity(ratio.subs(n, n + 2), pi / (half * (n + 2)) * ratio, [n >= 1]),
        Induction(
            n, 1, {quotient(n + 2): quotient(n) * (n + 2) / (n + 3)}, {quotient(1): first, quotient(2): Rational(2, 3)},
            [quotient(n) > 0, quotient(n) < 1],
        ),
        Exists(And(Eq(x, pi / 4), Eq(y, pi / 6)), {x: share(2), y: share(3)}),
        near(share(10), "0.00249039"),
    )  # fmt: skip


@claim(mutants=[dict(step=lambda n: c**2 / 2), dict(step=lambda n: pi * c**2 / (n + 2))])
def superexponential(step=lambda n: pi * c**2 / (2 * (n + 2))):
    r"""$r_n c^n \to 0$ for every c > 0: the balls' share falls faster than any exponential.

    Two steps multiply $r_n c^n$ by $\pi c^2/(2(n+2))$, which tends to 0; it is ≤ ½ from $n + 2 \ge \pi c^2$ on.
    """
    scaled = _ball_volume(n) / 2**n * c**n
    return (
        Identity(scaled.subs(n, n + 2), step(n) * scaled, [n >= 1, c > 0]),
        Limit(step(x), x, sp.oo, 0, given=[c > 0]),
        ForAll(Le(step(x), HALF, evaluate=False), [c > 0, x >= 1, x + 2 >= pi * c**2]),
    )


@claim(mutants=[dict(offset=1), dict(scale=2)])
def rejection_cost(offset=0, scale=1):
    r"""Rejection from the cube needs $1/r_n$ proposals a point on average: 401.54 at n = 10, 4.0632·10⁷ at n = 20.

    The number T of proposals is geometric: $\sum_{i \le M} i\,p(1-p)^{i-1} = (1 - (1-p)^M(1 + Mp))/p$ for every M and
    0 < p < 1, which tends to 1/p (with $1 - p = e^{-s}$).
    """
    partial = sp.Function("S")
    total = (1 - (1 - p) ** m * (1 + m * p)) / p
    return (
        Induction(
            m, 0, {partial(m + 1): partial(m) + (m + 1) * p * (1 - p) ** m}, {partial(0): 0},
            [Eq(partial(m), total * scale + offset)], given=[p > 0, p < 1],
        ),
        Limit(exp(-s * x) * (1 + x * (1 - exp(-s))) + offset, x, sp.oo, 0, given=[s > 0]),
        near(scale / ball_cube_share(10), "401.54"),
        near(scale / ball_cube_share(20) / 10**7, "4.0632"),
    )  # fmt: skip


@claim(mutants=[dict(power=n - 1)])
def shell_mass(power=n):
    r"""In the unit ball $P(\Vert x\Vert \le 1 - \varepsilon) = (1-\varepsilon)^n$, for every n: the mass lies near the
    surface.

    The article presents it as another reading of the vanishing share of the ball. It is a different statement: the
    inner cube $[-(1-\varepsilon), 1-\varepsilon]^n$ has the same share of the cube, which fills its own circumscribed
    cube.
    """
    domain = [n >= 1, eps > 0, eps < 1]
    return (
        Integral(n * x ** (n - 1), x, 0, 1 - eps, (1 - eps) ** power, primitive=x**n, given=domain),
        Identity((2 * (1 - eps)) ** n / 2**n, (1 - eps) ** power, domain),
    )


@claim(mutants=[mutant(("symbols", "domain"), peak=4), mutant(("symbols", "domain"), peak=6), dict(step=lambda n: pi)])
def ball_volume_peak(peak=5, step=lambda n: 2 * pi / (n + 2)):
    r"""$V_n$ is largest at n = 5, and $V_n \to 0$.

    $V_1 < \dots < V_5$ by their values; from there on the quotients $V_{n+1}/V_n$ are below 1 by induction, and
    $V_{n+2} = \frac{2\pi}{n+2} V_n$ with a factor that tends to 0.
    """
    quotient = sp.Function("q")
    volumes = sp.symbols(f"v1:{peak + 1}", real=True)
    rising = And(*(a < b for a, b in pairwise(volumes)))
    first = {quotient(i): ball_volume(i + 1) / ball_volume(i) for i in (peak, peak + 1)}
    return (
        Exists(rising, {v: ball_volume(i) for i, v in enumerate(volumes, 1)}),
        Induction(
            n, peak, {quotient(n + 2): quotient(n) * (n + 2) / (n + 3)}, first, [quotient(n) < 1, quotient(n) > 0]
        ),
        Identity(_ball_volume(n + 2), step(n) * _ball_volume(n), [n >= 1]),
        Limit(step(x), x, sp.oo, 0),
    )


# Part A: angles


def polygamma_value(order: int, z: sp.Rational) -> sp.Expr:
    """ψ_order at a positive integer or half-integer, by SymPy's own values and recurrence."""
    base = sp.S.One if z.is_Integer else HALF
    return sp.expand_func(sp.polygamma(order, x + (z - base))).subs(x, base)


ANGLE_CONSTANT = gamma(n / 2) / (sqrt(pi) * gamma((n - 1) / 2))
INSIDE = [theta > 0, theta < pi]


@claim(mutants=[dict(power=n - 1), mutant("domain", rule=(m + 1) / (m + 3)), dict(constant=gamma(n / 2) / sqrt(pi))])
def angle_density(power=n - 2, rule=(m + 1) / (m + 2), constant=ANGLE_CONSTANT):
    r"""The angle of independent isotropic vectors, n ≥ 2, has the density
    $\frac{\Gamma(n/2)}{\sqrt\pi\,\Gamma((n-1)/2)} \sin^{n-2}\theta$ on [0, π]; $\eta = \cos\theta$ has the same
    constant times $(1-\eta^2)^{(n-3)/2}$.

    For every n: in the coordinates $x_1 = r\cos\theta$, $\Vert(x_2, \dots, x_n)\Vert = r\sin\theta$ the volume is
    $r^{n-1}\sin^{n-2}\theta\,dr\,d\theta$ up to a constant; integrating $(\sin^{m+1}\theta\cos\theta)'$, which
    vanishes at both ends, gives $W_{m+2} = \frac{m+1}{m+2} W_m$, and with $W_0 = \pi$, $W_1 = 2$ induction gives the
    constant. So θ is uniform for n = 2 and η is for n = 3."""
    place = sp.Matrix([r * cos(theta), r * sin(theta)])
    w = sp.Function("W")
    inverse = (1 / ANGLE_CONSTANT).subs(n, m + 2)
    return (
        Identity(
            place.jacobian([r, theta]).det() * (r * sin(theta)) ** (n - 2), r ** (n - 1) * sin(theta) ** power,
            [r > 0, sin(theta) > 0, n >= 2],
        ),
        Identity(
            sp.diff(sin(theta) ** (m + 1) * cos(theta), theta),
            (m + 2) * (rule * sin(theta) ** m - sin(theta) ** (m + 2)), [sin(theta) > 0, m >= 0],
        ),
        Induction(m, 0, {w(m + 2): rule * w(m)}, {w(0): pi, w(1): 2}, [Eq(w(m), inverse)]),
        Identity((s**2) ** ((n - 3) / 2) * s, s**power, [s > 0, n >= 2]),
        Identity(sp.Matrix([constant.subs(n, 2), constant.subs(n, 3)]), sp.Matrix([1 / pi, HALF])),
    )  # fmt: skip


@claim(mutants=[dict(up=1, first=1), dict(first=1, weight=3), dict(lift=1)])
def cosine_moments(up=0, first=0, weight=2, lift=0):
    r"""$E\eta^{2m} = \prod_{i<m} \frac{2i+1}{n+2i}$, so $\mathrm{Var}\,\eta = 1/n$; $\eta^2$ is Beta(½, (n−1)/2).

    For every m and n ≥ 2: integrating $(\eta^{2m+1}(1-\eta^2)^{(n-1)/2})'$ gives the recurrence, and induction the
    closed form $\frac{\Gamma(m+1/2)\Gamma(n/2)}{\sqrt\pi\,\Gamma(n/2+m)}$."""
    moment = sp.Function("M")
    closed = gamma(m + HALF) * gamma(n / 2) / (sqrt(pi) * gamma(n / 2 + m))
    body = (1 - eta**2) ** ((n - 3) / 2)
    parts = sp.diff(eta ** (2 * m + 1) * (1 - eta**2) ** ((n - 1) / 2), eta)
    density = ANGLE_CONSTANT * body * 2 / (weight * eta)
    beta_law = gamma(n / 2) / (sqrt(pi) * gamma((n - 1) / 2)) * (eta**2) ** (-HALF) * body
    return (
        Identity(
            parts, body * ((2 * m + 1) * eta ** (2 * m) - (n + 2 * m + up) * eta ** (2 * m + 2)),
            [eta > 0, eta < 1, n >= 2, m >= 0],
        ),
        Induction(
            m, 0, {moment(m + 1): (2 * m + 1) / (n + 2 * m) * moment(m)}, {moment(0): 1},
            [Eq(moment(m), closed * (1 + lift))], given=[n >= 2],
        ),
        Identity(closed.subs(m, 1), 1 / (n - first), [n >= 2]),
        Identity(density, beta_law, [eta > 0, eta < 1, n >= 2]),
    )  # fmt: skip


ANGLE_TABLE = {3: "0.467401", 10: "0.110661", 20: "0.0525832", 50: "0.0204053", 100: "0.0101007", 200: "0.00502508"}
QUARTER_TURN = [cos(phi) > 0, n >= 2]


@claim(
    mutants=[
        dict(step=2 / (n - 1) ** 2),
        dict(trigamma=lambda k: polygamma_value(1, Rational(k - 1, 2)) / 2 if k > 2 else 1),
        dict(first=(pi**2 / 6, pi**2 / 4)),
        dict(variance=lambda k: angle_variance(k + 1)),
    ]
)
def angle_variance_closed_form(
    step=2 / n**2,
    trigamma=lambda k: polygamma_value(1, Rational(k, 2)) / 2,
    first=(pi**2 / 12, pi**2 / 4 - 2),
    variance=angle_variance,
):
    r"""$\mathrm{Var}\,\theta = \frac12\psi_1(n/2)$: $\frac{\pi^2}{12} - 2\sum_{j=1}^{(n-2)/2} (2j)^{-2}$ for even n and
    $\frac{\pi^2}{4} - 2\sum_{j \text{ odd} \le n-2} j^{-2}$ for odd n.

    For every n: $(\varphi^2\cos^{n-1}\varphi\sin\varphi + \frac2n\varphi\cos^n\varphi)'$ integrates to 0, so that
    $\mathrm{Var}_{n+2} = \mathrm{Var}_n - 2/n^2$, which is the recurrence of $\frac12\psi_1$; it starts at the
    integrals for n = 2 and 3. The trigamma values are compared for n = 2, …, 25; the article's table is met to its
    last digit."""
    parts = sp.diff(phi**2 * cos(phi) ** (n - 1) * sin(phi) + 2 * phi * cos(phi) ** n / n, phi)
    expected = n * (phi**2 + step) * cos(phi) ** n - (n - 1) * phi**2 * cos(phi) ** (n - 2)
    ends = -pi / 2, pi / 2
    table = [near(variance(k), digits, f"v{k}") for k, digits in ANGLE_TABLE.items()]
    return (
        Identity(parts, expected, QUARTER_TURN),
        Integral(phi**2 / pi, phi, *ends, first[0], primitive=phi**3 / (3 * pi)),
        Integral(
            phi**2 * cos(phi) / 2, phi, *ends, first[1],
            primitive=(phi**2 * sin(phi) + 2 * phi * cos(phi) - 2 * sin(phi)) / 2,
        ),
        ForEach(range(2, 26), lambda k: (trigamma(k), variance(k)), over="n = 2, …, 25"),
        *table,
    )  # fmt: skip


@claim(
    mutants=[
        dict(sign=-1),
        dict(power=lambda i: 1 - i),
        dict(even=lambda z: sp.cosh(z), odd=lambda z: sp.sinh(z)),
    ]
)
def angle_cumulants(sign=1, power=lambda i: 1 - 2 * i, even=sp.sinh, odd=sp.cosh):
    r"""$\kappa_{2m}(\theta) = (-1)^{m+1} 2^{1-2m}\psi_{2m-1}(n/2)$; odd cumulants vanish; $\kappa_4 < 0$.

    For every n: $M_n(t) = Ee^{t\varphi}$ obeys $M_{n+2}/M_n = n^2/(n^2+t^2)$, by the derivative of
    $e^{t\varphi}(t\cos^n\varphi + n\cos^{n-1}\varphi\sin\varphi)$, and $M_2 = \frac{\sinh(\pi t/2)}{\pi t/2}$, $M_3 =
    \frac{\cosh(\pi t/2)}{1+t^2}$. The coefficient of $t^{2m}$ in $-\log(1+t^2/n^2)$ is what $\psi_{2m-1}$ changes by,
    for every m. The values are compared with exact moments for m ≤ 3 and n = 2, …, 9."""
    body = exp(t * phi) * (t * cos(phi) ** n + sign * n * cos(phi) ** (n - 1) * sin(phi))
    expected = exp(t * phi) * ((t**2 + n**2) * cos(phi) ** n - n * (n - 1) * cos(phi) ** (n - 2))
    z = pi * t / 2
    change = (-1) ** (m + 1) * 2 ** power(m) * sp.factorial(2 * m - 1) * (2 / n) ** (2 * m)

    def both(case: tuple[int, int]) -> tuple[Any, Any]:
        size, i = case
        law = (-1) ** (i + 1) * sp.Integer(2) ** power(i) * polygamma_value(2 * i - 1, Rational(size, 2))
        found = angle_cumulant(size, 2 * i)
        return (sp.expand(law), True), (found, bool(sign * (-1) ** (i + 1) * found > 0))

    return (
        Identity(sp.diff(body, phi), expected, QUARTER_TURN),
        Integral(
            exp(t * phi) / pi, phi, -pi / 2, pi / 2, even(z) / z, primitive=exp(t * phi) / (pi * t), given=[t > 0],
        ),
        Integral(
            exp(t * phi) * cos(phi) / 2, phi, -pi / 2, pi / 2, odd(z) / (1 + t**2),
            primitive=exp(t * phi) * (t * cos(phi) + sin(phi)) / (2 * (1 + t**2)), given=[t > 0],
        ),
        Identity(change, (-1) ** (m + 1) * sp.factorial(2 * m) / (m * n ** (2 * m)), [m >= 1, n >= 2]),
        ForEach(product(range(2, 10), (1, 2, 3)), both, over="n = 2, …, 9 and orders 2, 4, 6"),
    )  # fmt: skip


@erratum(
    printed=dict(approximation=lambda n: 1 / (n - 2)),
    mutants=[
        dict(third=1),
        dict(third=HALF),
        dict(chord=3 / pi),
        dict(approximation=lambda n: 1 / (n - Rational(3, 2))),
    ],
)
def angle_asymptotics(approximation=lambda n: 1 / (n - 1), third=Rational(2, 3), chord=2 / pi):
    r"""$\mathrm{Var}\,\theta = \frac1n + \frac1{n^2} + \frac2{3n^3} + O(n^{-5})$; $\frac1{n-1}$ is right to second
    order.

    The article's Laplace approximation $\frac1{n-2}$ isn't: it is off by $1/n^2$. For every n ≥ 2 the variance lies
    between the three terms and the same less $\frac8{15n^5}$: with $f$ one of the bounds, $f(n) - f(n+2) - 2/n^2$ has
    one sign, and $\mathrm{Var} - f \to 0$ since $\mathrm{Var}\,\theta \le \frac{\pi^2}4 E\eta^2 = \frac{\pi^2}{4n}$
    by $|\varphi| \le \frac\pi2|\sin\varphi|$. At n = 10 the exact value is .110661, $\frac1{n-1}$ gives .1111 and
    $\frac1{n-2}$ .125."""

    def upper(k: Any) -> Any:
        return 1 / k + 1 / k**2 + third / k**3

    def lower(k: Any) -> Any:
        return upper(k) - Rational(8, 15) / k**5

    v = sp.Symbol("v", real=True)
    error = abs(v - approximation(sp.Integer(10)))
    return (
        ForAll(upper(x) - upper(x + 2) >= 2 / x**2, [x >= 2]),
        ForAll(lower(x) - lower(x + 2) <= 2 / x**2, [x >= 2]),
        Enclosure(sin(phi), lower=chord * phi, box={phi: (0, pi / 2)}, touches={0: 1, pi / 2: 1}),
        Limit(x**2 * (upper(x) - approximation(x)), x, sp.oo, 0),
        Exists(error < Rational(1, 2000), {v: angle_variance(10)}),
    )


@claim(mutants=[dict(rate=1), dict(best=Rational(1, 4)), mutant("domain", step=x / (x - 1))])
def near_orthogonality(rate=HALF, best=HALF, step=x / (x + 2 * m)):
    r"""$P(|\eta| \ge \varepsilon) = I_{1-\varepsilon^2}(\frac{n-1}2, \frac12) \le 2e^{-n\varepsilon^2/2}$.

    For every n ≥ 2: the even moments of η are at most those of N(0, 1/n) (the ratio R falls from 1),
    $\frac{(2m)!}{m!(2n)^m}$, so $Ee^{s\eta} \le e^{s^2/2n}$, and Chernoff's bound is best at $s = n\varepsilon$. The
    incomplete beta function is the law of `cosine-moments`. For odd n the tail is a rational number and is compared
    with the bound at n = 3, 5, 11, 21, 41."""
    normal, ratio = sp.symbols("G R", cls=sp.Function)
    closed = sp.factorial(2 * m) / (sp.factorial(m) * (n / rate) ** m)
    cases = [(k, e) for k in (3, 5, 11, 21, 41) for e in (Fraction(1, 4), Fraction(1, 2))]
    tails = sp.symbols(f"u1:{len(cases) + 1}", real=True)
    bounds = And(*(u <= 2 * exp(-k * Rational(e.numerator, e.denominator) ** 2 * rate) for u, (k, e) in
                   zip(tails, cases, strict=True)))  # fmt: skip
    values = [orthogonality_tail(k, e) for k, e in cases]
    return (
        Induction(m, 0, {ratio(m + 1): step * ratio(m)}, {ratio(0): 1}, [ratio(m) >= 0, ratio(m) <= 1], given=[x >= 2]),
        Induction(m, 0, {normal(m + 1): (2 * m + 1) / n * normal(m)}, {normal(0): 1}, [Eq(normal(m), closed)],
                  given=[n >= 2]),
        Identity((s**2 / (2 * n) - s * eps).subs(s, n * eps), -rate * n * eps**2, [n >= 2]),
        ForAll(s**2 / (2 * x) - s * eps >= -x * eps**2 * best, [x >= 2]),
        Exists(bounds, {u: Rational(v.numerator, v.denominator) for u, v in zip(tails, values, strict=True)}),
    )  # fmt: skip


# Part B: k-occurrence


@claim(mutants=[dict(mean=lambda size, k: size), dict(kept=lambda size, k, level: size * k // (level + 1))])
def conservation(mean=lambda size, k: k, kept=lambda size, k, level: size * k // level):
    r"""$\sum_i N_k(i) = Nk$, so the mean is exactly k, and $\#\{N_k \ge t\} \le Nk/t$: with k = 5, t = 50 at most 10
    % are kept.

    Each point hands out k marks. Exhaustive over everything that neighbours could be: all choices of k others by each
    of N ≤ 5 points, with all t."""

    def both(case: tuple[int, list[int]]) -> tuple[Any, Any]:
        k, counts = case
        size = len(counts)
        within = [sum(v >= level for v in counts) <= kept(size, k, level) for level in range(1, size)]
        return (Fraction(sum(counts), size), within), (Fraction(mean(size, k)), [True] * (size - 1))

    return ForEach(all_counts(), both, over=DIGRAPHS_TEXT)


SS, SC, CC, Q = sp.symbols("sigma_S tau gamma_c Q", real=True)  # S·S, S·c, c·c and Σ‖x_i‖², S = Σ x_i


def _sum_of_squares(centre: Any, total: Any) -> sp.Expr:
    """Σ‖x_i − centre‖² for N points with the sum `total`."""
    return Q - 2 * centre.dot(total) + N * centre.dot(centre)


def _cases_on_a_line() -> list[tuple[Fraction, ...]]:
    return [tuple(map(Fraction, points)) for points in product(range(-2, 3), repeat=4)]


@claim(mutants=[dict(place=2), dict(cost=lambda z: abs(z))])
def centroid(place=1, cost=lambda z: z**2):
    r"""$\sum\Vert x_i - c\Vert^2 = \sum\Vert x_i - \bar x\Vert^2 + N\Vert c - \bar x\Vert^2$: the mean is the only
    minimiser.

    For every N and d, by Gram algebra of $S = \sum x_i$ and c. For sums of distances (without the square) it is false:
    for the points 0, 1, 5 the median 1 beats the mean 2; the square is checked there too.
    """
    total, centre = Gram("S c", [[SS, SC], [SC, CC]]).vectors()
    mean = total * (place / N)
    away = centre - mean

    def at(z: Any) -> Any:
        return sum((cost(a - z) for a in (0, 1, 5)), sp.S.Zero)

    return (
        Identity(_sum_of_squares(centre, total), _sum_of_squares(mean, total) + N * away.dot(away), [N >= 1]),
        ForAll(Implies(Ne(x, 2), at(x) > at(sp.Integer(2)))),
    )


@claim(mutants=[mutant("symbols", trace=0), dict(pairs=1)])
def expected_distance(trace=1, pairs=2):
    r"""$E\Vert x - X\Vert^2 = \Vert x - \mu\Vert^2 + \mathrm{tr}\,\Sigma$ for every law with two moments: points
    close to μ are closest on average.

    By linearity, with $E\Vert X\Vert^2 = Q$ and $\mathrm{tr}\,\Sigma = Q - \Vert\mu\Vert^2$, in every dimension; and
    $E\Vert X - Y\Vert^2 = 2\,\mathrm{tr}\,\Sigma$ for independent copies.
    """
    mean, point = Gram("mu x", [[SS, SC], [SC, CC]]).vectors()
    spread = Q - mean.dot(mean)
    offset = point - mean
    return (
        Identity(point.dot(point) - 2 * point.dot(mean) + Q, offset.dot(offset) + trace * spread),
        Identity(Q - 2 * mean.dot(mean) + Q, pairs * spread),
    )


PENTAGON = [(0, 0), (100, 0), (31, 95), (-81, 59), (-81, -59), (31, -95)]
HEXAGON = [(0, 0), (1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]  # in the basis of the triangular lattice


def _lattice_distance(a: Sequence[int], b: Sequence[int]) -> int:
    u, v = a[0] - b[0], a[1] - b[1]
    return u * u + u * v + v * v


@claim(mutants=[mutant(("symbols", "domain"), most=4), dict(side=1), dict(angle=3), dict(tied=5)])
def degree_bound(most=5, side=2, angle=2, tied=6):
    r"""$N_k \le 2k$ on the line; $N_1 \le 5$ in the plane without ties; with ties 6. Low dimension forbids hubs.

    On the line: exhaustive for 4 to 7 of 10 integer places and k ≤ 3, where 2k is attained. In every dimension two
    vectors with $|u|, |v| \le |u-v|$ have $2u\cdot v \le |u||v|$, so the directions to two points whose nearest
    neighbour is x differ by more than 60° without ties, and six gaps above 60° don't fit in 360°. A (rounded) regular
    pentagon attains 5, the hexagon 6 with ties. $N_k \le k\tau_d$ with the kissing number (Miller, Teng, Thurston,
    Vavasis) is not checked here."""
    w = sp.Symbol("w", real=True)
    gaps = sp.symbols(f"g1:{most + 2}", real=True)

    def on_the_line(case: tuple[int, int]) -> tuple[int, int]:
        size, k = case
        found = (max(k_occurrence_exact([(z,) for z in places], k)) for places in combinations(range(10), size))
        return max(found), min(side * k, size - 1)

    equal = sum(
        all(_lattice_distance(HEXAGON[0], z) <= _lattice_distance(z, other) for other in HEXAGON if other != z)
        for z in HEXAGON[1:]
    )
    return (
        ForEach([(4, 1), (5, 1), (5, 2), (6, 2), (7, 2), (7, 3)], on_the_line,
                over="(N, k), all N-subsets of 10 integers"),
        ForAll(angle * w <= x * y, [x > 0, y > 0, 2 * w <= x**2, 2 * w <= y**2]),
        ForAll(Or(*(g <= 60 for g in gaps)), [Eq(sum(gaps), 360)]),
        ForEach([PENTAGON], lambda points: (k_occurrence_exact(points, 1)[0], most), over="a pentagon with its centre"),
        ForEach([equal], lambda count: (count, tied), over="the hexagon with its centre"),
    )  # fmt: skip


def _neighbour_law(of: Callable[[Sequence[int]], tuple[bool, bool]]) -> tuple[Fraction, ...]:
    counts = [0, 0, 0]
    for ranks in permutations(range(4)):
        counts[sum(of(ranks))] += 1
    return tuple(Fraction(v, 24) for v in counts)


@claim(
    mutants=[
        dict(law=(Fraction(1, 3), Fraction(1, 3), Fraction(1, 3))),
        dict(picks=lambda g: (g[1] < g[0], g[2] < g[0])),
    ]
)
def one_dim_law(law=(Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)), picks=lambda g: (g[1] < g[0], g[2] < g[3])):
    r"""On the line, k = 1, N → ∞: $P(N_1 = 0, 1, 2) = (\frac14, \frac12, \frac14)$ for every continuous law.

    Locally the gaps are i.i.d. exponential. The left neighbour picks x iff the gap between them is below the gap
    before, the right one alike: of four exchangeable gaps all 24 orders are equally likely, and are enumerated. The
    limit N → ∞ itself (locally Poisson) is quoted. A Poisson(1) law would give $P(0) = e^{-1}$."""
    return ForEach(["four gaps"], lambda _: (_neighbour_law(picks), law), over="all 24 orders of four gaps")


# Part B: the limit law


def one_factor_correlation(kurtosis: Any) -> Any:
    """ρ = (κ − 1)/(κ + 3) of the squared distances to one point, for i.i.d. coordinates of kurtosis κ ≥ 1.

    Raises:
        ValueError: kurtosis < 1, which no law has.
    """
    if kurtosis < 1:
        raise ValueError(f"kurtosis must be ≥ 1, got {kurtosis}")
    return (kurtosis - 1) / (kurtosis + 3)


def phi_density(z: Any) -> sp.Expr:
    return exp(-(z**2) / 2) / sqrt(2 * pi)


def big_phi(z: Any) -> sp.Expr:
    return (1 + sp.erf(z / sqrt(2))) / 2


HIT = big_phi((q - sqrt(rho) * s) / sqrt(1 - rho))  # p(s) with q = Φ⁻¹(k/(N − 1))
CORRELATED = [rho > 0, rho < 1]


@claim(mutants=[dict(correlation=lambda k: HALF), dict(spread=2), dict(swap=rho), dict(flat=2)])
def limit_law(correlation=one_factor_correlation, spread=4, swap=None, flat=1):
    r"""As d → ∞ with N fixed: $N_k \mid s \sim \mathrm{Bin}(N-1, p(s))$, $p(s) = \Phi\big(\frac{q-\sqrt\rho
    s}{\sqrt{1-\rho}}\big)$, with $\rho = \frac{\kappa-1}{\kappa+3}$ and $q = \Phi^{-1}(\frac k{N-1})$.

    Shown here: of $\mathrm{Var}\Vert x-y\Vert^2$ given $\Vert y\Vert^2 = d\sigma^2$ the part $(\kappa-1)d\sigma^4$
    comes from $\Vert x\Vert^2$ and $4d\sigma^4$ from $-2x\cdot y$; ρ is ⅓, ⅙, 5/9, 0 for normal, uniform, Laplace and
    sign coordinates. $Ep(s) = k/(N-1)$ for all q and ρ: $\varphi(s)\,\partial_q p = \varphi(q)$ times the normal
    density of s given q. Second moments are bivariate normal probabilities: $\partial_\rho\varphi_2 =
    \partial_x\partial_y\varphi_2$ (Plackett), which makes $Ep^2 = \frac14 + \frac{\arcsin\rho}{2\pi}$ at q = 0. That
    distances become normal and thresholds their quantiles is the limit theorem, which isn't checked here; its
    accuracy at finite d and N is a matter of simulation."""
    law = [
        (sp.Integer(3), Rational(1, 3)),
        (Rational(9, 5), Rational(1, 6)),
        (sp.Integer(6), Rational(5, 9)),
        (sp.S.One, 0),
    ]
    back = swap if swap is not None else sqrt(rho)
    slope = phi_density((q - sqrt(rho) * s) / sqrt(1 - rho)) / sqrt(1 - rho)
    given_s, given_q = (u**2 + (v - w * u) ** 2 / (1 - rho) for u, v, w in ((s, q, sqrt(rho)), (q, s, back)))
    joint = exp(-(x**2 - 2 * rho * x * y + y**2) / (2 * (1 - rho**2))) / (2 * pi * sqrt(1 - rho**2))
    share = (kappa - 1) * d * sigma**4 / ((kappa - 1) * d * sigma**4 + spread * d * sigma**4)
    return (
        Identity(share, (kappa - 1) / (kappa + 3), [kappa >= 1, d > 0, sigma > 0]),
        ForEach(law, lambda case: (correlation(case[0]), case[1]), over="normal, uniform, Laplace, sign coordinates"),
        Identity(sp.diff(HIT, q), flat * slope, CORRELATED),
        Identity(given_s, given_q, CORRELATED),
        Identity(sp.diff(joint, rho), flat * sp.diff(joint, x, y), CORRELATED),
        Integral(
            1 / (2 * pi * sqrt(1 - t**2)), t, 0, rho, flat * sp.asin(rho) / (2 * pi),
            primitive=sp.asin(t) / (2 * pi), given=CORRELATED,
        ),
    )  # fmt: skip


@claim(
    mutants=[
        mutant("domain", radius=2),
        mutant("symbols", correlation=HALF),
        dict(level=lambda size, k: Fraction(k, size)),
    ]
)
def no_centre_no_hubness(radius=1, correlation=0, level=lambda size, k: Fraction(k, size - 1)):
    r"""On the sphere no point is central, and ρ = 0 leaves the binomial law without hubs, however small the ball is.

    $E\Vert x - X\Vert^2 = 2$ for every x of the unit sphere and X uniform on it, in every dimension. With ρ = 0,
    $p(s) = \Phi(q) = k/(N-1)$ doesn't depend on s, so the variance $k(1 - \frac k{N-1})$ stays below k; compared for
    all k < N ≤ 12. That finite dimensions come near it is left to the simulation."""
    mean, point = Gram("mu x", [[SS, SC], [SC, CC]]).vectors()
    average = point.dot(point) - 2 * point.dot(mean) + Q

    def moments(case: tuple[int, int]) -> tuple[Any, Any]:
        size, k = case
        rate, trials = level(size, k), size - 1
        pmf = [math.comb(trials, i) * rate**i * (1 - rate) ** (trials - i) for i in range(trials + 1)]
        first = sum((i * v for i, v in enumerate(pmf)), Fraction(0))
        second = sum((i * i * v for i, v in enumerate(pmf)), Fraction(0))
        return (first, second - first**2), (Fraction(k), k * (1 - Fraction(k, size - 1)))

    cases = [(size, k) for size in range(2, 13) for k in range(1, size)]
    return (
        Identity(average.subs({SC: 0}), 2, [Eq(CC, radius**2), Eq(Q, 1)]),
        Identity(HIT.subs(rho, correlation), big_phi(q)),
        ForEach(cases, moments, over="all k < N ≤ 12"),
    )


@claim(mutants=[dict(tilt=0), dict(low=lambda z: 1 / z), dict(high=lambda z: z / (1 + z**2))])
def order_of_limits(tilt=sqrt(3) / 2, low=lambda z: z / (1 + z**2), high=lambda z: 1 / z):
    r"""With d → ∞ first, hubs grow without bound in N: for ρ = ⅓, $E p(s)^2 / (Ep)^2 \to \infty$ as $q \to -\infty$.

    So the variance of $N_k$, about $N^2Ep^2$, grows without bound although the mean stays k. With x = −q, $Ep^2 \ge
    \Phi(-a)\Phi(-b)^2$ for the half-line s ≤ −a, $a = \frac{\sqrt3}2x$, on which $p(s) \ge \Phi(-b)$, $b =
    \sqrt{\frac32}\,(x - \frac a{\sqrt3})$. Tails are bounded by $\varphi(z)\frac z{1+z^2} \le \Phi(-z) \le
    \frac{\varphi(z)}z$: both differences vanish at ∞, and their derivatives have one sign. The other order, N → ∞
    first, gives Poisson counts without hubs (Newman, Rinott, Tversky 1983) and is only quoted."""
    a = tilt * x
    b = (x - a / sqrt(3)) * sqrt(Rational(3, 2))
    tail, z = big_phi(-x), phi_density(x)
    bound = [
        phi_density(v) * f(v)
        for v, f in ((a, lambda v: v / (1 + v**2)), (b, lambda v: v / (1 + v**2)), (x, lambda v: 1 / v))
    ]
    return (
        Identity(sp.diff(z * low(x), x) - sp.diff(tail, x), z * 2 / (1 + x**2) ** 2, [x > 0]),
        Identity(sp.diff(tail, x) - sp.diff(z * high(x), x), z / x**2, [x > 0]),
        Limit(bound[0] * bound[1] ** 2 / bound[2] ** 2, x, sp.oo, sp.oo),
    )


def _mean(poly: sp.Expr, kurtosis: Any) -> sp.Expr:
    """The mean of a polynomial in independent symmetric x, y with variance σ² and the kurtosis κ."""
    moments = {0: 1, 2: sigma**2, 4: kurtosis * sigma**4}
    terms = sp.Poly(poly, x, y).terms()
    return sum((v * moments.get(i, 0) * moments.get(h, 0) for (i, h), v in terms), sp.S.Zero)


@claim(mutants=[dict(share=lambda k: k / (2 * d)), dict(normal=2)])
def distance_concentration(share=lambda k: (k + 1) / (2 * d), normal=3):
    r"""The squared coefficient of variation of $\Vert x-y\Vert^2$ is $\frac{\kappa+1}{2d}$: normal 2/d, uniform 7/(5d),
    sign coordinates 1/d.

    For i.i.d. coordinates with four moments (symmetric ones here: odd moments cancel in x − y anyway) and every d,
    since the d terms are independent."""

    def square_cv(kurtosis: Any) -> sp.Expr:
        first = _mean((x - y) ** 2, kurtosis)
        return d * (_mean((x - y) ** 4, kurtosis) - first**2) / (d * first) ** 2

    half_width = Integral(t**4 / 2, t, -1, 1, Rational(normal + 6, 45), primitive=t**5 / 10)
    given = [d > 0, sigma > 0]
    return (
        Identity(square_cv(kappa), share(kappa), given),
        Identity(sp.Matrix([square_cv(normal), square_cv(Rational(9, 5)), square_cv(1)]),
                 sp.Matrix([2, Rational(7, 5), 1]) / d, given),
        half_width,
    )  # fmt: skip


@claim(mutants=[mutant("domain", growth=n + 1), dict(shift=2), dict(variance=n)])
def norm(growth=n, shift=1, variance=2 * n):
    r"""For $z \sim N(0, I_n)$: $E\Vert z\Vert = \sqrt2\,\Gamma(\frac{n+1}2)/\Gamma(\frac n2)$ (22.61637 at n = 512),
    $E\Vert z\Vert^2 = n$, $\mathrm{Var}\Vert z\Vert^2 = 2n$.

    For every n: $K_n = \int_0^\infty r^{n-1}e^{-r^2/2}dr$ obeys $K_{n+2} = nK_n$, by $(r^ne^{-r^2/2})'$, so $K_n =
    2^{n/2-1}\Gamma(n/2)$ by induction from $K_1 = \sqrt{\pi/2}$, $K_2 = 1$; and $E\Vert z\Vert^i = K_{n+i}/K_n$."""
    k = sp.Function("K")
    closed = 2 ** (n / 2 - 1) * gamma(n / 2)

    def moment(i: int) -> sp.Expr:
        return closed.subs(n, n + i) / closed

    mean = sqrt(2) * gamma((n + shift) / 2) / gamma(n / 2)
    return (
        Identity(sp.diff(r**n * exp(-(r**2) / 2), r), (growth * r ** (n - 1) - r ** (n + 1)) * exp(-(r**2) / 2),
                 [r > 0, n >= 1]),
        Induction(n, 1, {k(n + 2): growth * k(n)}, {k(1): sqrt(pi / 2), k(2): 1}, [Eq(k(n), closed)]),
        Identity(moment(1), mean, [n >= 1]),
        Identity(sp.Matrix([moment(2), moment(4) - moment(2) ** 2]), sp.Matrix([variance / 2, variance]), [n >= 1]),
        near(mean.subs(n, 512), "22.61637"),
    )  # fmt: skip


@claim(mutants=[dict(sign=1)])
def hub_norm_monotone(sign=-1):
    r"""In the limit law p(s) decreases in s, for 0 < ρ < 1: the hub value ranks latents by small norm.

    $p'(s) = -\sqrt{\rho/(1-\rho)}\,\varphi(\cdot) < 0$. Rank correlations at finite d are left to the simulation."""
    z = (q - sqrt(rho) * s) / sqrt(1 - rho)
    slope = sign * sqrt(rho) / sqrt(1 - rho) * phi_density(z)
    return (
        Identity(sp.diff(HIT, s), slope, CORRELATED),
        ForAll(slope < 0, CORRELATED),
    )


def _signed_permutations(dim: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    for order in permutations(range(dim)):
        for signs in product((1, -1), repeat=dim):
            yield order, signs


@claim(mutants=[dict(distance=lambda a, b: squared_distance(a, b) + 50 * b[0]), dict(scale=2)])
def selected_law_is_isotropic(distance=squared_distance, scale=1):
    r"""Hub values commute with rotations, so the points kept of a normal sample have uniform directions: only the
    radius is re-weighted.

    Checked exactly: $N_k$ is unchanged by all 48 signed permutations of the axes and by the rational rotation with
    cosine 3/5, for integer points in three dimensions, k = 1, 2, 3. That invariance of the joint law then makes
    directions uniform is the argument; the simulation tests it."""
    points = integer_points(12, 3, seed=7)

    def turned(case: tuple[Any, int]) -> tuple[Any, Any]:
        (order, signs), k = case
        moved = [tuple(signs[i] * z[order[i]] * (scale if i == 0 else 1) for i in range(3)) for z in points]
        moved = [(3 * u - 4 * v, 4 * u + 3 * v, 5 * w) for u, v, w in moved]
        return k_occurrence_exact(moved, k, distance), k_occurrence_exact(points, k)

    return ForEach(
        product(_signed_permutations(3), (1, 2, 3)), turned, over="48 rotations and reflections, k = 1, 2, 3"
    )


# Part B: measures, extremes, mitigation


def gini(counts: Sequence[int]) -> Fraction:
    """Σ_{i,j} |N_i − N_j| / (2 N ΣN)."""
    total = sum(abs(a - b) for a in counts for b in counts)
    return Fraction(total, 2 * len(counts) * sum(counts))


def robin_hood(counts: Sequence[int], factor: Fraction = Fraction(1, 2)) -> Fraction:
    """½ Σ|N_i − k| / (Nk), where k is the mean."""
    mean = Fraction(sum(counts), len(counts))
    return factor * sum(abs(v - mean) for v in counts) / sum(counts)


@claim(
    mutants=[dict(factor=Fraction(1)), dict(rank=lambda i, size: 2 * i - size), dict(third=lambda a, b, e: a - b * e)]
)
def skew_measures(
    factor=Fraction(1, 2), rank=lambda i, size: 2 * i - size - 1,
    third=lambda a, b, e: a - 3 * e * b + 2 * e**3,
):  # fmt: skip
    r"""Robin Hood $\frac12\sum|N_k-k|/(Nk)$ is the share that the rich would have to hand over; Gini by pairs = by
    ranks; both are in $[0, 1-\frac1N]$; the third central moment by raw moments.

    Exhaustive over all choices of k others by each of N ≤ 5 points. Hubs are points with $N_k \ge 2k$, antihubs those
    with $N_k = 0$."""

    def both(case: tuple[int, list[int]]) -> tuple[Any, Any]:
        k, counts = case
        size = len(counts)
        rich = Fraction(sum(v - k for v in counts if v > k), size * k)
        by_rank = Fraction(sum(rank(i, size) * v for i, v in enumerate(sorted(counts), 1)), size * size * k)
        share, pairs = robin_hood(counts, factor), gini(counts)
        raw = [Fraction(sum(v**i for v in counts), size) for i in (3, 2, 1)]
        central = Fraction(sum((v - k) ** 3 for v in counts), size)
        bounded = all(0 <= v <= 1 - Fraction(1, size) for v in (share, pairs))
        return (share, pairs, third(*raw), bounded), (rich, by_rank, central, True)

    return ForEach(all_counts(), both, over=DIGRAPHS_TEXT)


def _simplex_with_centre(vertices: int) -> list[tuple[int, ...]]:
    """The regular simplex m·e_1, …, m·e_m with its centre (1, …, 1) first."""
    m = vertices
    return [(1,) * m] + [tuple(m * (i == h) for i in range(m)) for h in range(m)]


def _polygon_with_centre(vertices: int) -> list[tuple[int, int]]:
    """A regular polygon of radius 10⁶, rounded to integers, with its centre first."""
    turn = [2 * pi * i / vertices for i in range(vertices)]
    return [(0, 0)] + [(int(sp.floor(10**6 * cos(a))), int(sp.floor(10**6 * sin(a)))) for a in turn]


@claim(mutants=[dict(star=_polygon_with_centre), dict(most=lambda size: size - 2), dict(ratio=2 * m / (m + 1))])
def max_occurrence(star=_simplex_with_centre, most=lambda size: size - 1, ratio=2 * m / (m - 1)):
    r"""$N_k \le N-1$, attained for k = 1 by the centre of a regular simplex (d = N − 2); $\sum N_k^2 \le kN(N-1)$.

    Centre and vertices in exact coordinates for N = 3, …, 9; their squared edge over squared radius is $2m/(m-1) > 1$
    for every m = N − 1 ≥ 2. The bounds are exhaustive over all choices of k others by each of N ≤ 5 points. In the
    plane the polygon with 7 vertices fails."""

    def bounds(case: tuple[int, list[int]]) -> tuple[Any, Any]:
        k, counts = case
        size = len(counts)
        inside = max(counts) <= most(size), sum(v * v for v in counts) <= k * size * most(size)
        return inside, (True, True)

    edge, radius = 2 * m**2, (m - 1) ** 2 + (m - 1)
    return (
        ForEach(range(2, 9), lambda v: (k_occurrence_exact(star(v), 1)[0], v), over="N − 1 = 2, …, 8 vertices"),
        ForEach(all_counts(), bounds, over=DIGRAPHS_TEXT),
        Identity(edge / radius, ratio, [m >= 2]),
    )


WHEEL = [(rad * a, rad * b) for rad in (1, 3) for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1))]


@claim(mutants=[dict(seen=lambda z: max(map(abs, z)))])
def normalised_generator_null(seen=lambda z: tuple(sp.sign(v) for v in z)):
    r"""If a generator sees only $z/\Vert z\Vert$, filtering $z \sim N(0, I)$ by a rule that commutes with rotations and
    permutations doesn't change the law of its outputs.

    The argument: the batch has a rotation invariant law, so given the kept set each direction is uniform. Checked
    exhaustively where all is finite: all 4096 batches of four points on two circles with four directions, kept when
    $N_1 \ge 2$: the law of the direction of the kept points is that of all points. A generator that sees the norm
    gets another law."""

    def laws() -> tuple[dict[str, Fraction], dict[str, Fraction]]:
        kept: dict[str, int] = {}
        everything: dict[str, int] = {}
        for batch in product(WHEEL, repeat=4):
            for z, count in zip(batch, k_occurrence_exact(batch, 1), strict=True):
                key = str(seen(z))
                everything[key] = everything.get(key, 0) + 1
                if count >= 2:
                    kept[key] = kept.get(key, 0) + 1
        return tuple({a: Fraction(v, sum(law.values())) for a, v in law.items()} for law in (kept, everything))  # type: ignore[return-value]

    return ForEach(["all batches"], lambda _: laws(), over="4096 batches of 4 points, kept if N_1 ≥ 2")


@claim(mutants=[dict(power=1), dict(inner=-1), dict(mix=lambda a, b: a / b)])
def mitigation(power=2, inner=-2, mix=lambda a, b: a * b):
    r"""Local scaling $1-e^{-d^2/\sigma_x\sigma_y}$ and NICDM $d/\sqrt{\mu_x\mu_y}$ don't depend on the scale; with
    them, CSLS and DisSimLocal are symmetric; DisSimLocal takes the centrality out.

    For all values: c > 0 cancels. $\Vert x-y\Vert^2 - \Vert x-c\Vert^2 - \Vert y-c\Vert^2 = -2(x-c)\cdot(y-c)$ in
    every dimension: with a common centre only an inner product is left, without the term of `expected-distance`.
    Symmetry holds for all values of the local scales. The measured reductions of skewness are left to the simulation.
    """
    a, b = sp.symbols("a b", real=True)
    given = [c > 0, a > 0, b > 0, x > 0]
    aa, ab, bb = sp.symbols("g11 g12 g22", real=True)
    u, v = Gram("u v", [[aa, ab], [ab, bb]]).vectors()  # x − c and y − c
    gap = u - v
    return (
        Identity(1 - exp(-((c * x) ** power) / (c * a * c * b)), 1 - exp(-(x**2) / (a * b)), given),
        Identity((c * x) ** (power / sp.Integer(2)) / sqrt(c * a * c * b), x / sqrt(a * b), given),
        Identity(gap.dot(gap) - u.dot(u) - v.dot(v), inner * u.dot(v)),
        Identity(1 - exp(-(x**2) / mix(a, b)), 1 - exp(-(x**2) / mix(b, a)), given),
    )


def centred(points: Points) -> list[tuple[Fraction, ...]]:
    mean = [Fraction(sum(column), len(points)) for column in zip(*points, strict=True)]
    return [tuple(u - v for u, v in zip(z, mean, strict=True)) for z in points]


@claim(mutants=[dict(distance=cosine_distance), dict(prepare=lambda points: points), mutant("symbols", kept=0)])
def centering_invariance(distance=squared_distance, prepare=centred, kept=1):
    r"""Euclidean k nearest neighbours don't change under translation; cosine ones do, and centring undoes it.

    $\Vert(x+t)-(y+t)\Vert = \Vert x-y\Vert$ for all vectors; exactly on integer points in four dimensions for 9
    shifts and k = 1, 2, 3, and likewise for the cosine of centred points. How much hubness centring removes is left
    to the simulation."""
    points = integer_points(14, 4, seed=3)
    shifts = [(i, h, 3, -2) for i in range(0, 9, 3) for h in range(3)]

    def moved(shift: Sequence[int]) -> list[tuple[int, ...]]:
        return [tuple(u + v for u, v in zip(z, shift, strict=True)) for z in points]

    gram = Gram("x y t", [[sp.Symbol(f"g{min(a, b)}{max(a, b)}", real=True) for b in range(3)] for a in range(3)])
    left, right, by = gram.vectors()
    before, after = left - right, (left + by) - (right + by * kept)
    parts = ForEach(
        product(shifts, (1, 2, 3)),
        lambda case: (k_occurrence_exact(moved(case[0]), case[1], distance), k_occurrence_exact(points, case[1])),
        over="9 shifts, k = 1, 2, 3",
    )
    cosines = ForEach(
        product(shifts, (1, 2, 3)),
        lambda case: (
            k_occurrence_exact(prepare(moved(case[0])), case[1], cosine_distance),
            k_occurrence_exact(centred(points), case[1], cosine_distance),
        ),
        over="9 shifts, k = 1, 2, 3, cosine",
    )
    return parts, cosines, Identity(after.dot(after), before.dot(before))


def average(cost: Callable[[Fraction], Fraction], z: Fraction, points: Sequence[Fraction]) -> Fraction:
    return sum((cost(z - a) for a in points), Fraction(0)) / len(points)


@claim(mutants=[dict(cost=abs), dict(share=2)])
def average_distance_order(cost=lambda z: z**2, share=1):
    r"""$\frac1N\sum_i\Vert x-x_i\Vert^2 = \Vert x-\bar x\Vert^2 + \frac1N\sum_i\Vert x_i-\bar x\Vert^2$: order by
    average squared distance is order by distance to the mean.

    For every N, d and data. Without the square it is false: for −1/10, 0, 1/10, 1, 10 the mean 11/5 is closer to 1
    than to 1/10, but the average distances are 12/5 and 111/50. Orders are compared for these points too."""
    total, point = Gram("S x", [[SS, SC], [SC, CC]]).vectors()
    mean = total * (1 / N)
    offset = point - mean
    points = [Fraction(-1, 10), Fraction(0), Fraction(1, 10), Fraction(1), Fraction(10)]
    centre = sum(points, Fraction(0)) / 5
    return (
        Identity(
            _sum_of_squares(point, total) / N, share * offset.dot(offset) + _sum_of_squares(mean, total) / N, [N >= 1]
        ),
        ForEach(
            combinations(points, 2),
            lambda pair: (
                average(cost, pair[0], points) < average(cost, pair[1], points),
                abs(pair[0] - centre) < abs(pair[1] - centre),
            ),
            over="all pairs of the five points",
        ),
    )


__all__ = [
    "angle_cumulant", "angle_variance", "ball_cube_share", "ball_volume", "centred", "cosine_distance", "gini",
    "integer_points", "k_occurrence_exact", "one_factor_correlation", "orthogonality_tail", "robin_hood",
    "squared_distance",
]  # fmt: skip
