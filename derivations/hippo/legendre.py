r"""Legendre polynomials: the recurrences and expansions that the article uses, for all n. Article part 1, eqs 16–21.

p_n is defined by Bonnet's recurrence $(n+2)p_{n+2} = (2n+3)tp_{n+1} - (n+1)p_n$, $p_0 = 1$, $p_1 = t$; d_n = p_n' and
e_n = p_n'' by its derivatives. Inductions hold for every real t.
"""

from __future__ import annotations

from typing import Any

import sympy as sp
from flint import fmpq, fmpq_poly
from sympy import Eq, Symbol

from kexue import ForEach, Identity, Induction, Witnesses, claim

from .common import (
    BONNET,
    BONNET_1,
    BONNET_2,
    FIRST,
    FIRST_1,
    FIRST_2,
    D,
    E,
    P,
    coefficients,
    fraction,
    integral,
    legendre,
    n,
    t,
)
from .projection import gram_schmidt

DERIVATIVE = Eq(D(n + 1), (n + 1) * P(n) + t * D(n))
S = sp.Function("S")


@claim(mutants=[dict(factor=lambda n: 2 * n - 1)])
def legendre_recurrences(factor=lambda n: 2 * n + 1):
    r"""$p_{n+1}' - p_{n-1}' = (2n+1)p_n$ and $p_{n+1}' = (n+1)p_n + tp_n'$, for all n and t.

    A second witness compares the coefficients of the first for n ≤ 60, with polynomials from an independent library
    function.
    """

    def both(i: int) -> tuple[Any, Any]:
        p = [fmpq_poly.legendre_p(i + d) for d in (-1, 0, 1)]
        return coefficients(p[2].derivative() - p[0].derivative()), coefficients(p[1] * factor(i))

    return Witnesses(
        Induction(
            n, 0, BONNET | BONNET_1, FIRST | FIRST_1,
            [Eq(D(n + 2) - D(n), factor(n + 1) * P(n + 1)), DERIVATIVE],
        ),
        ForEach(range(1, 61), both, over="n = 1..60"),
    )  # fmt: skip


@claim(mutants=[dict(parity=1), dict(index=0)])
def legendre_derivative_expansion(parity=0, index=1):
    r"""$p_{n+1}' = \sum_{k\le n}(2k+1)\chi_{n-k}p_k$ for all n, where χ is 1 for even and 0 for odd indices.

    The sum S_n obeys $S_{n+2} = S_n + (2n+5)p_{n+2}$, $S_0 = 1$, $S_1 = 3t$.

    """
    sums, start = {S(n + 2): S(n) + (2 * n + 5) * P(n + 2)}, {S(0): 1, S(1): 3 * t}
    return Induction(
        n, 0, BONNET | BONNET_1 | sums, FIRST | FIRST_1 | start,
        [Eq(D(n + 2) - D(n), (2 * n + 3) * P(n + 1)), DERIVATIVE, Eq(D(n + index + parity), S(n))],
    )  # fmt: skip


@claim(mutants=[dict(leading=lambda n: n + 1)])
def legendre_times_derivative(leading=lambda n: n):
    r"""$tp_n' = np_n + (2n-3)p_{n-2} + (2n-7)p_{n-4} + \cdots$ for all n.

    The sum without its first term obeys $S_{n+2} = S_n + (2n+1)p_n$, $S_0 = S_1 = 0$.
    """
    return Induction(
        n, 0, BONNET | BONNET_1 | {S(n + 2): S(n) + (2 * n + 1) * P(n)}, FIRST | FIRST_1 | {S(0): 0, S(1): 0},
        [Eq(D(n + 2) - D(n), (2 * n + 3) * P(n + 1)), DERIVATIVE, Eq(t * D(n), leading(n) * P(n) + S(n))],
    )  # fmt: skip


@claim(mutants=[dict(leading=lambda n: -n)])
def legendre_shifted_derivative(leading=lambda n: -(n + 1)):
    r"""$(t+1)p_n' = -(n+1)p_n + \sum_{k\le n}(2k+1)p_k$ for all n: the identity that closes LegS."""
    return Induction(
        n, 0, BONNET | BONNET_1 | {S(n + 1): S(n) + (2 * n + 3) * P(n + 1)}, FIRST | FIRST_1 | {S(0): 1},
        [DERIVATIVE, Eq(D(n + 2) - D(n), (2 * n + 3) * P(n + 1)),
         Eq((t + 1) * D(n), leading(n) * P(n) + S(n))],
    )  # fmt: skip


THIRD = Eq((1 - t**2) * D(n + 1), (n + 1) * (P(n) - t * P(n + 1)))


@claim(
    mutants=[
        dict(norm=lambda n: 2 / (2 * n - 1), size=lambda i: fmpq(2, 2 * i - 1)),
        dict(weight=lambda t: 1 + t**2),
        dict(left=1),
    ]
)
def legendre_orthogonality(
    norm=lambda n: 2 / (2 * n + 1),
    size=lambda i: fmpq(2, 2 * i + 1),
    weight=lambda t: 1 - t**2,
    left=-1,
):
    r"""$\int_{-1}^1p_mp_n = \frac2{2n+1}\delta_{mn}$, $p_n(1) = 1$, $p_n(-1) = (-1)^n$ for all m, n.

    Orthogonality: $((1-t^2)p_n')' = -n(n+1)p_n$ for all n by induction, so $(1-t^2)(p_m'p_n - p_mp_n')$, which
    vanishes at ±1, has the derivative $(n-m)(n+m+1)p_mp_n$, and n + m + 1 > 0. Norm: $[tp_n^2]_{-1}^1 = 2$ is $h +
    2\int tp_np_n' = h + 2nh$ by `legendre-times-derivative`. Also compared for all m, n ≤ 60, and with Gram–Schmidt
    from monomials for n < 12.
    """
    y, dy, ddy, q, dq, ddq, h = sp.symbols("y dy ddy q dq ddq h", real=True)
    m_, i_ = Symbol("m", integer=True), Symbol("n", integer=True)
    W, dW = weight(t), sp.diff(weight(t), t)
    equations = [
        Eq((1 - t**2) * ddy - 2 * t * dy + m_ * (m_ + 1) * y, 0),
        Eq((1 - t**2) * ddq - 2 * t * dq + i_ * (i_ + 1) * q, 0),
    ]
    end = {P(n + 2): ((2 * n + 3) * P(n + 1) - (n + 1) * P(n)) / (n + 2)}
    other = {S(n + 2): (-(2 * n + 3) * S(n + 1) - (n + 1) * S(n)) / (n + 2)}
    table = legendre(61)

    def inner(pair: tuple[int, int]) -> tuple[Any, Any]:
        a, b = pair
        return fraction(integral(table[a] * table[b])), fraction(size(a)) if a == b else 0

    def monic_norm(i: int) -> tuple[Any, Any]:
        q_i = fmpq_poly(gram_schmidt(i))
        return fraction(integral(q_i * q_i) * table[i].coeffs()[-1] ** 2), fraction(size(i))

    return Witnesses(
        (
            Induction(
                n, 0, BONNET | BONNET_1 | BONNET_2, FIRST | FIRST_1 | FIRST_2,
                [DERIVATIVE, Eq(E(n + 1), (n + 2) * D(n) + t * E(n)), THIRD,
                 Eq(weight(t) * E(n) - 2 * t * D(n) + n * (n + 1) * P(n), 0)],
            ),
            Identity(
                dW * (dy * q - y * dq) + W * (ddy * q - y * ddq), (i_ - m_) * (i_ + m_ + 1) * y * q, equations
            ),
            Identity(h, norm(i_), [Eq(h + 2 * i_ * h, 2), i_ >= 0]),
            Induction(
                n, 0, end | other, {P(0): 1, P(1): 1, S(0): 1, S(1): -1},
                [Eq(P(n), 1), Eq(S(n), left**n)],
            ),
        ),
        ForEach([(a, b) for a in range(61) for b in range(a + 1)], inner, over="0 ≤ m ≤ n ≤ 60"),
        ForEach(range(12), monic_norm, over="degrees 0..11"),
    )  # fmt: skip
