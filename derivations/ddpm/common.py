"""The chain's symbols and schedules, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import flint
import sympy as sp
from flint import arb, fmpq
from sympy import sqrt

a, A, v, x, y, z, eps, f = sp.symbols("a A v x y z epsilon f", real=True)

b2 = 1 - a**2  # β_t²
B2 = 1 - A**2  # β̄_{t−1}²
At = a * A  # ᾱ_t
Bt2 = 1 - a**2 * A**2  # β̄_t²
b, B, Bt = sqrt(b2), sqrt(B2), sqrt(Bt2)
V = A**2 * v + B2  # V_{t−1}
Vt = At**2 * v + Bt2  # V_t

STEP = [a > 0, a < 1, A > 0, A < 1]

PYTHAGOREAN = [(3, 4, 5), (4, 3, 5), (5, 12, 13), (12, 5, 13), (8, 15, 17), (15, 8, 17), (7, 24, 25), (24, 7, 25)]


def rational_chain(count: int) -> list[tuple[Fraction, Fraction]]:
    """(α_t, β_t) with α² + β² = 1, all rational."""
    triples = [PYTHAGOREAN[i % len(PYTHAGOREAN)] for i in range(count)]
    return [(Fraction(p, r), Fraction(q, r)) for p, q, r in triples]


def article_alpha2(t: int, T: int = 1000) -> Fraction:
    """α_t² = 1 − 0.02 t/T."""
    return 1 - Fraction(2 * t, 100 * T)


def paper_alpha2(t: int, T: int = 1000) -> Fraction:
    """α_t² = 1 − β_t² with β_t² from 10⁻⁴ to 0.02 in T equal steps (linspace)."""
    return 1 - (Fraction(1, 10**4) + (Fraction(2, 100) - Fraction(1, 10**4)) * Fraction(t - 1, T - 1))


@cache
def alpha_bar2(T: int, schedule: str = "article") -> tuple[Fraction, ...]:
    """ᾱ_0² = 1, ᾱ_1², …, ᾱ_T²."""
    step = article_alpha2 if schedule == "article" else paper_alpha2
    found, value = [Fraction(1)], fmpq(1)
    for t in range(1, T + 1):
        s = step(t, T)
        value *= fmpq(s.numerator, s.denominator)
        found.append(Fraction(int(value.p), int(value.q)))
    return tuple(found)


def ball(q: Fraction | int) -> arb:
    q = Fraction(q)
    return arb(fmpq(q.numerator, q.denominator))


def digits(value: arb, scale: int) -> int:
    """value · scale rounded to an integer, which must be certain."""
    scaled = value * scale + arb(fmpq(1, 2))
    integer = scaled.floor().unique_fmpz()
    if integer is None:
        raise ValueError(f"the ball {value} is too wide to be rounded at 1/{scale}")
    return int(integer)


def precise(function: Any) -> Any:
    """Runs a function of one case at 60 digits."""

    def run(*args: Any) -> Any:
        with flint.ctx.workdps(60):
            return function(*args)

    return run


def gaussian_mean(expression: Any, *noises: sp.Symbol) -> Any:
    """E of a polynomial in independent N(0, 1) symbols: odd moments 0, E z^{2k} = (2k − 1)!!."""
    poly = sp.Poly(sp.expand(expression), *noises)
    total: Any = sp.S.Zero
    for powers, coefficient in poly.terms():
        if all(p % 2 == 0 for p in powers):
            total += coefficient * sp.Mul(*(sp.factorial2(p - 1) if p else 1 for p in powers))
    return sp.expand(total)


def logs(value: Fraction) -> dict[int, int]:
    """ln of a positive rational as integer multiples of ln p: exact, and unique."""
    found: dict[int, int] = {}
    for number, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, power in sp.factorint(number).items():
            found[prime] = found.get(prime, 0) + sign * power
    return {p: k for p, k in found.items() if k}


def add_logs(total: dict[int, Fraction], weight: Fraction, value: Fraction) -> None:
    """total += weight · ln(value)."""
    for prime, power in logs(value).items():
        total[prime] = total.get(prime, Fraction(0)) + weight * power


def paths(states: int, length: int) -> Sequence[tuple[int, ...]]:
    return list(product(range(states), repeat=length))
