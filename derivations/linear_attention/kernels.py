r"""The general form and its kernels: article equations 2 to 7."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, Ge, Rational, exp

from kexue import (
    Counts,
    Enclosure,
    Exists,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Words,
    claim,
    erratum,
    letters,
    mutant,
)

from .common import dot

a, b, R, c, x = sp.symbols("a b R c x", real=True)
a1, a2, b1, b2, R1, R2, p, t = sp.symbols("a1 a2 b1 b2 R1 R2 p t", real=True)
n, d, m = sp.symbols("n d m", real=True)
u, v = sp.symbols("u v", real=True)


def _products(order: str, size: int, scalar: Any, width: int = 3) -> None:
    q, k, values = ([[scalar(Fraction(3 * i + j + 1, 7)) for j in range(width)] for i in range(size)] for _ in range(3))
    if order == "quadratic":
        scores = [[dot(qi, kj) for kj in k] for qi in q]
        _ = [[dot(row, [v[e] for v in values]) for e in range(width)] for row in scores]
    else:
        inner = [[dot([kj[r] for kj in k], [v[e] for v in values]) for e in range(width)] for r in range(width)]
        _ = [[dot(qi, [inner[r][e] for r in range(width)]) for e in range(width)] for qi in q]


@claim(
    mutants=[
        dict(between=lambda S: S * S),
        dict(quadratic=lambda n: 3 * n * n),
        dict(linear=lambda n: 2 * 3 * n * n),
        dict(equal=2 * d),
    ]
)
def associativity(between=lambda S: S, quadratic=lambda n: 2 * 3 * n * n, linear=lambda n: 2 * 9 * n, equal=d):
    r"""$(QK^\top)V = Q(K^\top V)$ for all sizes: $2n^2d$ products against $2nd^2$, equal only for $n = d$.

    An entrywise map between the two products (the softmax) forbids the second order: with the square of $QK^\top$ in
    its place the two differ. Counted exactly for d = 3 and n = 1..6.
    """
    Q, K, V = letters("Q K V")
    model = {"Q": [[1, 2], [3, 4]], "K": [[0, 1], [1, 1]], "V": [[2, 1], [1, 3]]}

    def counts(order: str, products: Any) -> Counts:
        adds = {"quadratic": lambda n: n * n * 2 + 3 * n * (n - 1), "linear": lambda n: 9 * (n - 1) + 3 * n * 2}
        return Counts(
            lambda size, scalar: _products(order, size, scalar), range(1, 7), {"mul": products, "add": adds[order]}
        )

    return (
        Words(between(Q * K.T) * V, Q * (K.T * V), model=model),
        counts("quadratic", quadratic),
        counts("linear", linear),
        ForAll(Equivalent(Eq(2 * n**2 * d, 2 * n * d**2), Eq(n, equal)), [n > 0, d > 0]),
    )


@claim(mutants=[mutant("domain", signed=True), dict(bound=-1), dict(base=exp(2 * x))])
def generalised_form(signed=False, bound=0, base=exp(x)):
    r"""Softmax attention is the case $\mathrm{sim} = e^{q\cdot k}$; for any sim ≥ 0 with a positive row sum the weights
    are ≥ 0 and sum to 1, so that the output is a convex combination of the values.

    Every n: a is one similarity and R the sum of the others. With $\mathrm{sim} = q\cdot k$ weights can be negative:
    similarities 2 and −1.
    """
    given = [a + R > 0] if signed else [a >= 0, R >= 0, a + R > 0]
    return (
        Identity(exp(x) / (exp(x) + exp(c)), base / (base + exp(c))),
        ForAll(And(a / (a + R) >= 0, a / (a + R) <= 1, Eq(a / (a + R) + R / (a + R), 1)), given),
        Exists(And(a + R > 0, a / (a + R) < bound), {a: -1, R: 2}),
    )


@claim(mutants=[dict(others=1)])
def scale_invariance(others=c):
    r"""Weights don't change under $\mathrm{sim}(q, k) \to c(q)\,\mathrm{sim}(q, k)$: $\phi(q)$ may be normalised
    freely, $\varphi(k)$ may not.

    Every n and every c > 0; a is one similarity and R the sum of the others. A factor of one key alone changes them.
    """
    return Identity(c * a / (c * a + others * R), a / (a + R), [a > 0, R > 0, c > 0])


@claim(
    mutants=[
        dict(left=exp(2 * x)),
        dict(second=(1, 1)),
        dict(gram=lambda F: F),
        mutant("domain", strict=False),
    ]
)
def elu_feature(left=exp(x), second=(0, 1), gram=lambda F: F.T, strict=True):
    r"""$\phi(x) = \mathrm{elu}(x) + 1$, that is $x + 1$ for x > 0 and $e^x$ for x ≤ 0, is positive, increasing and
    $C^1$, not $C^2$; Gram matrices of $\mathrm{sim} = \phi\cdot\phi$ are positive semidefinite, and sums of
    similarities can't vanish.

    $e^x = (e^{x/2})^2$ with $e^xe^{-x} = 1$; value and slope of the pieces agree at 0, the second derivatives are 0 and
    1. $z^\top FF^\top z = |F^\top z|^2$ for every size. With relu instead of elu + 1, features are only ≥ 0 and a
    product can be 0.
    """
    F, z = letters("F z")
    positive = [u > 0, v > 0] if strict else [u >= 0, v >= 0]
    right = x + 1
    return (
        Identity(left, exp(x / 2) ** 2),
        Identity(sp.Matrix([left * exp(-x), sp.diff(left, x)]), sp.Matrix([1, left])),
        Identity(
            sp.Matrix([left, sp.diff(left, x)]).subs(x, 0), sp.Matrix([right, sp.diff(right, x)]).subs(x, 0)
        ),
        Identity(sp.Matrix([sp.diff(right, x, 2), sp.diff(left, x, 2)]).subs(x, 0), sp.Matrix(second)),
        Words(z.T * F * F.T * z, (F.T * z).T * (gram(F) * z), model={"F": [[1, 2], [3, 4]], "z": [1, 1]}),
        ForAll(u * v > 0, positive),
    )


@claim(mutants=[mutant("domain", over="features")])
def efficient_row_stochastic(over="positions"):
    r"""$E = \mathrm{softmax}_d(Q)\,\mathrm{softmax}_n(K)^\top$ is non-negative with $E\mathbf 1 = \mathbf 1$ for all Q
    and K, without a denominator.

    Every n and d: P has row sums 1 over features, S column sums 1 over positions; products of non-negative matrices are
    non-negative. With softmax over features on both sides the row sums are others.
    """
    P, S, one_n, one_d = letters("P S u o")
    columns = [(S.T * one_n, one_d)] if over == "positions" else [(S * one_d, one_n)]
    half = Rational(1, 2)
    s = [[Rational(1, 3), Rational(1, 4)], [Rational(2, 3), Rational(3, 4)]]
    model = {
        "P": [[half, half], [Rational(1, 4), Rational(3, 4)]],
        "S": s if over == "positions" else sp.Matrix(s).T,
        "u": [1, 1],
        "o": [1, 1],
    }
    return Words(P * S.T * one_n, one_n, [*columns, (P * one_d, one_n)], model=model)


@claim(mutants=[dict(scaled=lambda Z, Zi: Zi * Zi)])
def normal_form(scaled=lambda Z, Zi: Z * Zi):
    r"""Every linear attention with non-negative features and $Z_c = \sum_j\varphi_c(k_j) > 0$ is $WH$ with $W_{ic} =
    \phi_c(q_i)Z_c/D_i$ and $H_{cj} = \varphi_c(k_j)/Z_c$, both row-stochastic.

    Efficient Attention is the normal form, kernel attention is Efficient Attention with reweighted queries. Every n and
    r: Z and D are diagonal matrices, $Z\mathbf 1 = G^\top\mathbf 1$ and $D\mathbf 1 = FG^\top\mathbf 1$.
    """
    F, G, Z, Zi, D, Di, one_n, one_r = letters("F G Z Zi D Di u o")
    f, g = sp.Matrix([[1, 2], [3, 1], [1, 1]]), sp.Matrix([[2, 1], [1, 4], [3, 1]])
    z, dd = sp.diag(6, 6), sp.diag(*(f * g.T * sp.ones(3, 1)))
    model = {
        "F": f, "G": g, "Z": z, "Zi": z.inv(), "D": dd, "Di": dd.inv(), "u": sp.ones(3, 1), "o": sp.ones(2, 1),
    }  # fmt: skip
    inverse = [(Z * Zi, 1), (Zi * Z, 1), (D * Di, 1), (Di * D, 1)]
    product = scaled(Z, Zi)
    return (
        Words(Di * F * product * G.T, Di * F * G.T, inverse, model=model),
        Words(Di * F * product * Z * one_r, one_n, [*inverse, (Z * one_r, G.T * one_n), (F * G.T * one_n, D * one_n)],
              model=model),
        Words(product * Zi * G.T * one_n, one_r, [*inverse, (G.T * one_n, Z * one_r)], model=model),
    )  # fmt: skip


# 1 + cos


@claim(mutants=[mutant("domain", normalised=1), dict(factor=3)])
def taylor_nonneg(normalised=2, factor=2):
    r"""For unit vectors $1 + q\cdot k \in [0, 2]$, and it is 0 only for $k = -q$.

    Every d: $2(1 + q\cdot k) = |q + k|^2$ and $2(1 - q\cdot k) = |q - k|^2$. With q alone normalised the sum can be
    negative (d = 2, by z3).
    """
    q, k = Gram("q k", [[1, c], [c, 1]]).vectors()
    plus, minus = q + k, q - k
    unit = [Eq(a**2 + b**2, 1)] + ([Eq(u**2 + v**2, 1)] if normalised == 2 else [])
    return (
        Identity(factor * (1 + q.dot(k)), plus.dot(plus)),
        Identity(factor * (1 - q.dot(k)), minus.dot(minus)),
        ForAll(And(1 + a * u + b * v >= 0, 1 + a * u + b * v <= 2), unit),
    )


def _unit_vectors(count: int) -> list[tuple[Fraction, Fraction]]:
    """((1 − t²)/(1 + t²), 2t/(1 + t²)) for t = 0, ½, −1, …"""
    found = []
    for i in range(count):
        s = Fraction((-1) ** i * i, 2)
        found.append(((1 - s * s) / (1 + s * s), 2 * s / (1 + s * s)))
    return found


@claim(mutants=[dict(constant=0), dict(extra=2)])
def taylor_is_kernel_form(constant=1, extra=1):
    r"""$1 + \hat q\cdot\hat k = (1, \hat q)\cdot(1, \hat k)$: a kernel with d + 1 features, some of them signed, so the
    same recurrence applies and the rank is at most d + 1.

    The article says that it differs from the kernel form; only the signs of the features do. Symbolic for d = 3, as for
    every d; the rank d + 1 is attained by seven rational unit vectors of the plane.
    """
    q, k = sp.symbols("q1:4", real=True), sp.symbols("k1:4", real=True)

    def ranks(count: int) -> tuple[Any, Any]:
        vectors = _unit_vectors(count)
        return sp.Matrix(count, count, lambda i, j: 1 + sp.sympify(dot(vectors[i], vectors[j]))).rank(), 2 + extra

    return (
        Identity(1 + dot(q, k), dot((constant, *q), (1, *k))),
        ForEach((4, 7), ranks, over="4 and 7 unit vectors of the plane"),
    )


@claim(mutants=[dict(largest=Rational(7, 10)), dict(slope=x), dict(least=Rational(1, 100))])
def taylor_error(largest=exp(1) - 2, slope=-x, least=0):
    r"""$0 \le e^c - 1 - c \le e - 2$ on [−1, 1], largest at c = 1; the ratio $(1 + c)e^{-c}$ lies in [0, 1], with 1
    only at c = 0 and 0 only at c = −1.

    So the relative error of $1 + c$ reaches 100 %. The derivative of the ratio is $-ce^{-c}$.
    """
    ratio = (1 + x) * exp(-x)
    return (
        Enclosure(exp(x) - 1 - x, lower=0, upper=largest, box={x: (-1, 1)}, touches={0: 2, 1: 1}),
        Enclosure(ratio, lower=least, upper=1, box={x: (-1, 1)}, touches={-1: 1, 0: 2}),
        Identity(sp.diff(ratio, x), slope * exp(-x)),
    )


@claim(mutants=[dict(largest=1), mutant("domain", balanced=False), dict(sim=lambda z: Fraction(2) ** (4 * z))])
def taylor_cannot_focus(largest=2, balanced=True, sim=lambda z: 1 + z):
    r"""If $\sum_j\hat k_j = 0$, then $\sum_j(1 + \hat q\cdot\hat k_j) = n$ whatever q, so every weight is at most 2/n
    and the entropy at least $\ln(n/2)$; in general a weight is at most $2/(n + n\,\hat q\cdot\bar k)$.

    Every n and d: m stands for $\hat q\cdot\bar k$, and the sum is $n + nm$. The entropy is the mean of $-\ln w \ge
    \ln(n/2)$. Attained: 10 keys at q and 10 at −q give 2/20; an exponential of the same cosines does focus.
    """
    mean = 0 if balanced else m

    def weight(count: int) -> tuple[Any, Any]:
        similarities = [Fraction(sim(1))] * count + [Fraction(sim(-1))] * count
        return similarities[0] / sum(similarities), Fraction(2, 2 * count)

    return (
        ForAll((1 + c) / (n + n * m) <= largest / (n + n * m), [-1 <= c, c <= 1, n >= 1, m > -1]),
        ForAll((1 + c) / (n + n * mean) <= 2 / n, [-1 <= c, c <= 1, n >= 1, m > -1]),
        ForEach((1, 10), weight, over="1 + 1 and 10 + 10 keys at ±q"),
    )


@claim(mutants=[dict(sign=1)])
def taylor_degenerate(sign=-1):
    r"""If all $\hat k_j = -\hat q_i$, numerator and denominator of $1 + \cos$ are 0: the output is undefined.

    Every d and n. A zero vector has no direction, so that $\hat q$ or $\hat k$ isn't defined either.
    """
    (q,) = Gram("q", [[1]]).vectors()
    return Identity(1 + q.dot(sign * q), 0)


# What all of them share


@claim(mutants=[dict(weight="efficient")])
def luce_ratio(weight="general"):
    r"""$w_{ij}/w_{ij'} = \mathrm{sim}(q_i, k_j)/\mathrm{sim}(q_i, k_{j'})$ doesn't depend on the other keys
    (independence of irrelevant alternatives), for any sim > 0, the softmax included.

    Every n: R is the sum over the other keys. Efficient Attention, with a normaliser for each feature, breaks it.
    """
    if weight == "general":
        first, second = a / (a + b + R), b / (a + b + R)
    else:
        first = Rational(1, 3) * a / (a + b + R) + Rational(2, 3) * b / (a + b + 2 * R)
        second = Rational(1, 3) * b / (a + b + R) + Rational(2, 3) * a / (a + b + 2 * R)
    return Identity(first / second, a / b, [a > 0, b > 0, R > 0])


def _efficient(q: list[Fraction], keys: list[tuple[int, int]]) -> list[Fraction]:
    """Weights of Efficient Attention for the softmax q over features and exponentials e^k."""
    sums = [sum(k[f] for k in keys) for f in range(2)]
    return [sum(q[f] * Fraction(k[f], sums[f]) for f in range(2)) for k in keys]


@erratum(printed=dict(ratio=Fraction(1)), mutants=[dict(unequal=2)])
def efficient_not_pointwise(ratio=Fraction(6, 5), unequal=1):
    r"""Efficient Attention is no kernel attention with a $\varphi$ of $k_j$ alone: the ratio of two weights changes
    when a third key is added, from 1 to 6/5. With equal column sums $Z_c$ it is one, with $\varphi = e^k$.

    Exact: $q = (\tfrac12, \tfrac12)$, $e^{k} = (1, 2), (2, 1)$ give the weights ½, ½; with a third key (4, 1) they are
    9/28, 15/56, 23/56. The article calls the case that φ and ϕ are both the softmax over features evident; that is
    another model, whose rows need the denominator.
    """
    half = [Fraction(1, 2)] * 2
    third = Fraction(15, 56)
    expected = {((1, 2), (2, 1)): half, ((1, 2), (2, 1), (4, 1)): [ratio * third, third, Fraction(23, 56)]}
    return (
        ForEach(expected, lambda keys: (_efficient(half, list(keys)), expected[keys]), over="two keys, then a third"),
        Identity(p * a1 / t + (1 - p) * a2 / (unequal * t), (p * a1 + (1 - p) * a2) / t, [t > 0]),
    )


@claim(mutants=[mutant("domain", nonnegative=False), dict(feature=1), dict(flipped=1)])
def nonneg_features_suffice(nonnegative=True, feature=-1, flipped=-1):
    r"""$\phi(q), \varphi(k) \ge 0$ give sim ≥ 0; they aren't necessary, as $1 + \hat q\cdot\hat k \ge 0$ with signed
    features shows; and $q^\top k$ alone takes both signs on the whole space.

    Two features stand for all: a sum of products of non-negative numbers. $(-q)^\top k = -q^\top k$ for every d.
    """
    q, k = Gram("q k", [[a, c], [c, b]]).vectors()
    given = [a >= 0, b >= 0, u >= 0, v >= 0] if nonnegative else []
    return (
        ForAll(a * u + b * v >= 0, given),
        Exists(And(1 + x * t >= 0, Ge(1, x**2), Eq(t, 1), x * feature > 0), {x: Rational(-3, 5), t: 1}),
        Identity((-q).dot(k) if flipped == -1 else q.dot(k), -q.dot(k)),
    )


