r"""Symbols, and exact functions of coefficients that are Gaussian rationals. Notation: see the package's docstring."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import I, Rational, conjugate, cos, exp, pi, sin

from .._arguments import whole_number

x, y, t, s, u, v, phi, theta = sp.symbols("x y t s u v phi theta", real=True)
n, m, j, k, N, M = sp.symbols("n m j k N M", integer=True)
c, d, z1, z2 = sp.symbols("c d z1 z2", complex=True)
alpha, beta = sp.Function("alpha"), sp.Function("beta")

HALF = Rational(1, 2)


def e(index: Any, at: Any = x) -> Any:
    """The basis e^{iπnx}."""
    return exp(I * pi * index * at)


def a(index: Any) -> Any:
    """a_k with real and imaginary parts that are any functions of k."""
    return alpha(index) + I * beta(index)


def square(value: Any) -> Any:
    """|z|²."""
    return value * conjugate(value)


# Exact functions


def gaussian(value: Any, name: str) -> sp.Expr:
    """An exact number with rational real and imaginary part.

    Raises:
        ValueError: for anything else, floats included.
    """
    if isinstance(value, (int, Fraction)) and not isinstance(value, bool):
        return Rational(value.numerator, value.denominator)
    if isinstance(value, sp.Expr):
        parts = value.as_real_imag()
        if all(part.is_Rational for part in parts):
            return parts[0] + I * parts[1]
    raise ValueError(f"{name} must hold exact Gaussian rationals, got {value!r}")


def _numbers(values: Sequence[Any], name: str) -> list[sp.Expr]:
    found = [gaussian(value, name) for value in values]
    if not found:
        raise ValueError(f"{name} must have at least one coefficient, got none")
    return found


def _pairs(values: Sequence[sp.Expr]) -> list[tuple[Any, Any]]:
    """Real and imaginary parts as rationals that are fast to multiply."""
    from flint import fmpq

    return [tuple(fmpq(part.p, part.q) for part in value.as_real_imag()) for value in values]


def _number(pair: tuple[Any, Any]) -> sp.Expr:
    re, im = (Rational(int(part.p), int(part.q)) for part in pair)
    return re + I * im


def autocorrelation(a: Sequence[Any]) -> list[sp.Expr]:
    """c_0, …, c_N with c_n = Σ_k a_k a*_{k+n}, for exact a.

    Raises:
        ValueError: a is empty or holds anything but Gaussian rationals.
    """
    pairs = _pairs(_numbers(a, "a"))
    found = []
    for shift in range(len(pairs)):
        terms = [(p * r + q * s, q * r - p * s) for (p, q), (r, s) in zip(pairs, pairs[shift:])]
        found.append(_number((sum(p for p, _ in terms), sum(q for _, q in terms))))
    return found


def ratios(a: Sequence[Any]) -> list[sp.Expr]:
    """ρ_0 = 1, ρ_1, …, ρ_N.

    Raises:
        ValueError: as `autocorrelation`, and if a = 0.
    """
    series = autocorrelation(a)
    if series[0] == 0:
        raise ValueError("a must not be zero: its density has no mass to normalise")
    return [sp.expand(value / series[0]) for value in series]


def coefficient(series: Sequence[Any], index: int) -> Any:
    """c_n for every integer n: the conjugate of c_{−n} for n < 0, and 0 beyond N."""
    if abs(index) >= len(series):
        return sp.S.Zero
    return series[index] if index >= 0 else conjugate(series[-index])


def toeplitz(series: Sequence[Any], size: int) -> sp.ImmutableMatrix:
    """The size × size section of (c_{n−m}), c extended by zeros beyond N.

    Raises:
        ValueError: size < 1, or c_0 isn't real.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size must be a positive integer, got {size!r}")
    if sp.im(series[0]) != 0:
        raise ValueError(f"c_0 must be real, got {series[0]}")
    return sp.ImmutableMatrix(size, size, lambda row, column: coefficient(series, int(row - column)))


def density(a: Sequence[Any], at: Any = x) -> sp.Expr:
    """p(x) = ½ + Σ_{n≥1} Re ρ_n e^{iπnx}."""
    terms = enumerate(ratios(a)[1:], start=1)
    return HALF + sum(sp.re(r) * cos(pi * n * at) - sp.im(r) * sin(pi * n * at) for n, r in terms)


def cdf(a: Sequence[Any], at: Any = x) -> sp.Expr:
    """Φ(x) = (x+1)/2 + Re Σ_{n≥1} ρ_n (e^{iπnx} − (−1)ⁿ)/(iπn), on [−1, 1]."""
    found = HALF * (at + 1)
    for n, r in enumerate(ratios(a)[1:], start=1):
        found += (sp.re(r) * sin(pi * n * at) + sp.im(r) * (cos(pi * n * at) - (-1) ** n)) / (pi * n)
    return found


def mean(a: Sequence[Any]) -> sp.Expr:
    """E X = (2/π) Σ (−1)ⁿ Im ρ_n/n."""
    terms = enumerate(ratios(a)[1:], start=1)
    return 2 / pi * sum((Rational((-1) ** n, n) * sp.im(r) for n, r in terms), sp.S.Zero)


def second_moment(a: Sequence[Any]) -> sp.Expr:
    """E X² = 1/3 + (4/π²) Σ (−1)ⁿ Re ρ_n/n²."""
    terms = enumerate(ratios(a)[1:], start=1)
    return Rational(1, 3) + 4 / pi**2 * sum((Rational((-1) ** n, n * n) * sp.re(r) for n, r in terms), sp.S.Zero)


def trig_moment(a: Sequence[Any], order: int) -> sp.Expr:
    """E e^{−iπmX} = ρ_m, 0 beyond N."""
    return coefficient(ratios(a), order)


def collision(a: Sequence[Any]) -> sp.Expr:
    """∫p² = ½(1 + 2Σ|ρ_n|²)."""
    return HALF + sum((sp.expand(square(r)) for r in ratios(a)[1:]), sp.S.Zero)


def penalty(a: Sequence[Any], on: str = "p") -> sp.Expr:
    """∫|p'|² = π²Σn²|ρ_n|², or with on="f" the article's ∫|f'|² = 4π²Σn²|c_n|².

    Raises:
        ValueError: as `ratios`, and if on is neither "p" nor "f".
    """
    if on not in ("p", "f"):
        raise ValueError(f'on must be "p" or "f", got {on!r}')
    series = ratios(a) if on == "p" else autocorrelation(a)
    total = sum((n * n * sp.expand(square(value)) for n, value in enumerate(series)), sp.S.Zero)
    return pi**2 * total * (1 if on == "p" else 4)


def peak_bound(degree: int) -> Rational:
    """(N+1)/2, the largest value that a density of degree N can have."""
    return Rational(whole_number("degree", degree) + 1, 2)


def resolution_bound(degree: int, order: int = 1) -> sp.Expr:
    """cos(π/(⌊N/n⌋ + 2)), the largest |ρ_n| of a density of degree N."""
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order must be a positive integer, got {order!r}")
    return cos(pi / (whole_number("degree", degree) // order + 2))


def convolve(a: Sequence[Any], b: Sequence[Any]) -> list[sp.Expr]:
    """The coefficients of A·B, whose density is the normalised product of the two."""
    left, right = _pairs(_numbers(a, "a")), _pairs(_numbers(b, "b"))
    found: list[Any] = [(0, 0)] * (len(left) + len(right) - 1)
    for i, (p, q) in enumerate(left):
        for k, (r, s) in enumerate(right, start=i):
            found[k] = (found[k][0] + p * r - q * s, found[k][1] + p * s + q * r)
    return [_number(pair) for pair in found]


def from_roots(roots: Sequence[Any], flipped: Sequence[bool]) -> list[sp.Expr]:
    """The coefficients of Π(z − w); a flipped factor is 1 − w*z instead, which has the same modulus on the circle."""
    found: list[sp.Expr] = [sp.S.One]
    for root, flip in zip(roots, flipped, strict=True):
        found = convolve(found, [1, -conjugate(root)] if flip else [-root, 1])
    return found


def spectral_factor(series: Sequence[Any], digits: int = 30) -> list[Any]:
    """The minimum-phase a with autocorrelation c, as complex balls (flint.acb) that are certain to hold it.

    A has all its zeros outside the unit disk and a_0 > 0, which makes it unique. The 2N zeros of z^N f are isolated
    by ball arithmetic; that none lies on the unit circle and f(0) > 0 proves f > 0.

    Args:
        series: c_0, …, c_N, exact; c_{−n} = c_n* is understood.
        digits: decimal digits of the radii, at least.

    Raises:
        ValueError: c_0 isn't real, or f isn't positive everywhere, with the place of its least value.
    """
    from flint import acb, acb_poly, arb, ctx, fmpq

    series = _numbers(series, "series")
    if sp.im(series[0]) != 0:
        raise ValueError(f"c_0 must be real: the series must be Hermitian, got c_0 = {series[0]}")
    while len(series) > 1 and series[-1] == 0:
        series = series[:-1]
    degree = len(series) - 1

    def ball(value: sp.Expr) -> Any:
        re, im = value.as_real_imag()
        return acb(arb(fmpq(re.p, re.q)), arb(fmpq(im.p, im.q)))

    def least() -> str:
        grid = [Fraction(i, 32 * (degree + 1)) for i in range(-32 * (degree + 1), 32 * (degree + 1))]
        values = [(sum(_wave(ball(r), n, point) for n, r in enumerate(series)), point) for point in grid]
        low, at = min((float(value.mid()), point) for value, point in values)
        return f"on a grid it is least near x = {float(at):.4f}, where f = {low:.4g}"

    def _wave(value: Any, n: int, point: Fraction) -> Any:
        turned = (value * acb(0, arb.pi() * n * fmpq(point.numerator, point.denominator)).exp()).real
        return turned if n == 0 else 2 * turned

    before = ctx.dps
    ctx.dps = 2 * digits + 10 * (degree + 1)
    try:
        if not sum((_wave(ball(r), n, Fraction(0)) for n, r in enumerate(series)), arb(0)) > 0:
            raise ValueError(f"f must be positive everywhere; {least()}")
        full = acb_poly([ball(coefficient(series, degree - k)) for k in range(2 * degree + 1)])
        try:
            roots = full.roots(tol=arb(10) ** -(digits + 5)) if degree else []
        except ValueError:
            raise ValueError(f"f must be positive everywhere, but has a double zero; {least()}") from None
        outside = [root for root in roots if abs(root) > 1]
        inside = [root for root in roots if abs(root) < 1]
        if not len(outside) == len(inside) == degree:
            raise ValueError(f"f must be positive everywhere; {least()}")
        factor = acb_poly([1])
        for root in outside:
            factor *= acb_poly([-root, 1])
        raw = [factor[k] for k in range(degree + 1)]
        scale = (ball(series[0]).real / sum((abs(value) ** 2 for value in raw), arb(0))).sqrt()
        turn = acb(scale) * abs(raw[0]) / raw[0]
        return [value * turn for value in raw]
    finally:
        ctx.dps = before
