r"""Features of the exponential: its symmetric powers, and random ones (Performer, archive 7921)."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb, factorial
from typing import Any

import sympy as sp
from sympy import Rational, exp

from kexue import ForAll, ForEach, Identity, claim, mutant

A, B, c, x = sp.symbols("A B c x", real=True)  # |q|², |k|², q·k
h, p, i = sp.symbols("h p i", real=True)

NORMAL = ("E exp(w·u) = exp(|u|²/2) and E cos(w·u) = exp(−|u|²/2) for w ~ N(0, I)",)
SPHERE = ("moments of the uniform law on the sphere (Dirichlet): E x₁^{2a}x₂^{2b} = (½)_a(½)_b/(d/2)_{a+b}",)


def taylor(order: int) -> sp.Expr:
    """T_P(x) = Σ_{p ≤ P} x^p/p!."""
    return sp.Add(*(x**k * Rational(1, factorial(k)) for k in range(order + 1)))


@claim(mutants=[dict(odd=1), dict(features=lambda d, P: comb(d + P, P) + 1), dict(step=lambda P: 1)])
def exp_kernel_expansion(odd=0, features=lambda d, P: comb(d + P, P), step=lambda P: Rational(1, factorial(P))):
    r"""$e^{q\cdot k} = \sum_p(q\cdot k)^p/p!$ is a product of symmetric tensor features: degree ≤ P needs
    $\binom{d+P}{P}$ of them, and the truncation $T_P$ is positive on ℝ for even P, not for odd P.

    $T_P' = T_{P-1}$ and $T_P - T_P' = x^P/P!$: at a critical point of $T_P$, P even, its value is $x^P/P! > 0$ (x ≠ 0,
    as $T_P'(0) = 1$), so its minimum is positive: for every even P. The identity is shown for P = 1..12, the absence of
    real roots also by Sturm sequences for even P ≤ 12; monomials of degree ≤ P are counted for d, P ≤ 4. $T_3$ has a
    root near −1.596.
    """
    orders = [P for P in range(2, 13) if P % 2 == 0]

    def roots(P: int) -> tuple[Any, Any]:
        return sp.Poly(taylor(P + odd), x).count_roots(), 0

    def monomials(case: tuple[int, int]) -> tuple[Any, Any]:
        d, P = case
        return sum(1 for k in range(P + 1) for _ in combinations_with_replacement(range(d), k)), features(d, P)

    return (
        *(Identity(taylor(P) - sp.diff(taylor(P), x), x**P * step(P)) for P in (2, 3, 7, 12)),
        ForEach(orders, roots, over="real roots, P = 2, 4, …, 12"),
        ForEach([(d, P) for d in range(1, 5) for P in range(5)], monomials, over="d ≤ 4, P ≤ 4"),
    )


@claim(mutants=[dict(half=1), dict(trig=-1)], relies_on=NORMAL)
def favor_unbiased(half=Rational(1, 2), trig=1):
    r"""For $w \sim N(0, I)$: $E[e^{w\cdot q-|q|^2/2}e^{w\cdot k-|k|^2/2}] = e^{q\cdot k}$, and
    $E[\cos(w\cdot(q-k))]\,e^{(|q|^2+|k|^2)/2} = e^{q\cdot k}$; the mean over ±w of the first has the same mean.

    Every d: only $|q|^2, |k|^2, q\cdot k$ enter, with $|q \pm k|^2 = |q|^2 + |k|^2 \pm 2q\cdot k$.
    """
    plus, minus = A + B + 2 * c, A + B - 2 * c
    return (
        Identity(exp(half * plus) * exp(-(A + B) / 2), exp(c)),
        Identity(exp(-minus / 2) * exp((A + B) / 2), exp(trig * c)),
    )


def _variances() -> tuple[Any, Any, Any]:
    """Second moment − mean² of one positive feature, of a pair ±w, and of one trigonometric feature."""
    s, t = A + B + 2 * c, A + B - 2 * c
    positive = exp(2 * s) * exp(-A - B) - exp(2 * c)
    pair = (exp(2 * s) + 1) / 2 * exp(-A - B) - exp(2 * c)
    trig = ((1 + exp(-2 * t)) / 2 - exp(-t)) * exp(A + B)
    return positive, pair, trig


@claim(
    mutants=[
        dict(positive=exp(2 * c) * (1 - exp(-(A + B - 2 * c)))),
        dict(half=1),
        dict(power=1),
    ],
    relies_on=NORMAL,
)
def favor_variance(positive=exp(2 * c) * (exp(A + B + 2 * c) - 1), half=Rational(1, 2), power=2):
    r"""Per feature: $\mathrm{Var}_+ = e^{2q\cdot k}(e^{|q+k|^2} - 1)$; for ±w together $\tfrac12e^{2q\cdot
    k}(e^{|q+k|^2} - 1)(1 - e^{-|q+k|^2})$; $\mathrm{Var}_{trig} = \tfrac12e^{|q|^2+|k|^2}(1 - e^{-|q-k|^2})^2$; m
    features divide by m.

    Every d. $E\,e^{2w\cdot u} = e^{2|u|^2}$ and $E\cos^2(w\cdot u) = (1 + e^{-2|u|^2})/2$. In the paper's form
    $\mathrm{SM} = e^{q\cdot k}$: $e^{|q+k|^2}\mathrm{SM}^2(1 - e^{-|q+k|^2})$ and
    $\tfrac12e^{|q+k|^2}\mathrm{SM}^{-2}(1 - e^{-|q-k|^2})^2$. """
    s, t = A + B + 2 * c, A + B - 2 * c
    found = _variances()
    return (
        Identity(found[0], positive),
        Identity(positive, exp(s) * exp(2 * c) * (1 - exp(-s))),
        Identity(found[1], half * exp(2 * c) * (exp(s) - 1) * (1 - exp(-s))),
        Identity(found[2], Rational(1, 2) * exp(A + B) * (1 - exp(-t)) ** power),
        Identity(found[2], half * exp(s) * exp(-2 * c) * (1 - exp(-t)) ** 2),
    )


@claim(mutants=[dict(value=1), dict(rate=2)], relies_on=NORMAL)
def favor_small_kernel(value=0, rate=4):
    r"""For k = −q, the smallest kernel value at given norms, $\mathrm{Var}_+ = 0$ while $\mathrm{Var}_{trig} =
    \tfrac12e^{2|q|^2}(1 - e^{-4|q|^2})^2$; for k = q, $\mathrm{Var}_{trig} = 0$.

    Trigonometric features are at their worst where the softmax is small. Every d, by substitution.
    """
    opposite, same = {B: A, c: -A}, {B: A, c: A}
    positive, _, trig = _variances()
    return (
        Identity(positive.subs(opposite), value),
        Identity(trig.subs(opposite), Rational(1, 2) * exp(2 * A) * (1 - exp(-rate * A)) ** 2),
        Identity(trig.subs(same), value),
    )


def _moment(a: int, b: int, d: int) -> sp.Rational:
    """E x₁^{2a} x₂^{2b} for a uniform unit vector of R^d."""
    return sp.rf(Rational(1, 2), a) * sp.rf(Rational(1, 2), b) / sp.rf(Rational(d, 2), a + b)


@claim(mutants=[dict(order=-1), mutant("domain", least=-3)], relies_on=(*NORMAL, *SPHERE))
def orthogonal_features(order=1, least=0):
    r"""Block-orthogonal directions (Haar, with independent $\chi_d$ lengths) keep every feature's law $N(0, I)$, hence
    unbiasedness, and don't increase the variance of positive features, in any dimension d ≥ 2.

    A theorem here, where the paper bounds and the atlas simulates. For orthonormal Haar directions $n_1, n_2$ the
    pair $(n_1\cdot u, n_2\cdot u)/|u|$ has the law of two coordinates of a uniform unit vector. In the series of
    $E[e^{w_1\cdot u}e^{w_2\cdot u}]$ odd moments vanish, and an even one is the moment of independent directions
    times $\prod_{i<b}\frac{d/2+i}{d/2+a+i} \le 1$, the lengths being independent in both cases: the covariance of two
    features of a block is ≤ 0, term by term. The ratio is compared exactly for d ≤ 6 and a, b ≤ 5. """

    def both(case: tuple[int, int, int]) -> tuple[Any, Any]:
        a, b, d = case
        ratio = _moment(a, b, d) / (_moment(a, 0, d) * _moment(b, 0, d))
        product = sp.Mul(*(Rational(d, 2) + j for j in range(b))) / sp.Mul(*(Rational(d, 2) + a + j for j in range(b)))
        return ratio**order, product

    cases = [(a, b, d) for a in range(6) for b in range(6) for d in range(2, 7)]
    return (
        ForEach(cases, both, over="d = 2..6, a, b ≤ 5"),
        ForAll((h + i) / (h + p + i) <= 1, [h >= 1, i >= 0, p >= least, h + p + i > 0]),
    )
