r"""The sliding window: LegT, its scalings, the Legendre memory unit, Padé approximants, energy. Article part 1,
22–28.
"""

from __future__ import annotations

import math
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat, fmpq_poly
from sympy import sqrt

from kexue import ForEach, Identity, Witnesses, claim, erratum

from .common import (
    T,
    coefficients,
    even,
    k,
    legendre,
    n,
    root_free,
    s,
    transition,
    w,
)

a_ = sp.symbols("a0:5", real=True)
c_ = sp.symbols("c0:8", real=True)
past, now, u = sp.symbols("past now u", real=True)


def orthonormal(count: int) -> list[sp.Expr]:
    """g_n(s) = √((2n+1)/2) p_n(s)."""
    found = []
    for i, p in enumerate(legendre(count)):
        terms = [sp.Rational(q.numerator, q.denominator) * s**e for e, q in enumerate(coefficients(p))]
        found.append(sqrt(sp.Rational(2 * i + 1, 2)) * sum(terms, sp.S.Zero))
    return found


def over(e: sp.Expr) -> sp.Expr:
    """∫ e ds over [−1, 1] of a polynomial in s."""
    return sp.integrate(sp.expand(e), (s, -1, 1))


def signal(e: sp.Expr) -> sp.Expr:
    """A quartic with arbitrary coefficients."""
    return sum(a * e**i for i, a in enumerate(a_))


def moments(count: int, map_: sp.Expr) -> list[sp.Expr]:
    """∫ u(t(s)) s^e ds for e < count and the quartic u: all that projections onto polynomials need."""
    poly = sp.Poly(sp.expand(signal(map_)), s)
    found = []
    for e in range(count):
        terms = [c * sp.Rational(2, i + e + 1) for (i,), c in poly.terms() if (i + e) % 2 == 0]
        found.append(sp.Add(*terms))
    return found


def project(weight: sp.Expr, powers: list[sp.Expr]) -> sp.Expr:
    """∫ u(t(s)) weight(s) ds from the moments of u."""
    return sp.Add(*(c * powers[i] for (i,), c in sp.Poly(weight, s).terms()))


@claim(mutants=[dict(past_sign=lambda n: 1 if n % 2 == 0 else -1), dict(parity=lambda n, k: even(n - k))])
def legt_exact_boundary(past_sign=lambda n: -((-1) ** n), parity=lambda n, k: even(n - 1 - k)):
    r"""$c_n' = \frac{\sqrt{2(2n+1)}}w[u(T) - (-1)^nu(T-w)] - \frac2w\int ug_n'\,ds$, where $\int ug_n' =
    \sqrt{2n+1}\sum_{k<n}\sqrt{2k+1}\chi_{n-1-k}c_k$: no truncation.

    It is `general-ode` for $t = (s+1)w/2 + T - w$ and φ = 2/w with $p_n(\pm1) = (\pm1)^n$, so it holds for all n and
    u in C¹; here it is checked for n ≤ 5 and all quartic u with symbolic coefficients, T and w. The expansion of g_n'
    is `legendre-derivative-expansion` in the normalised basis, for all n, k.
    """
    g = orthonormal(6)
    powers = moments(6, (s + 1) * w / 2 + T - w)
    c = [project(e, powers) for e in g]
    slopes = [project(e.diff(s), powers) for e in g]
    root = [sqrt(2 * (2 * i + 1)) / w for i in range(6)]
    ends = [root[i] * (signal(T) + past_sign(i) * signal(T - w)) for i in range(6)]
    sums = [sum((sqrt((2 * i + 1) * (2 * b + 1)) * parity(i, b) * c[b] for b in range(i)), sp.S.Zero) for i in range(6)]
    return (
        Identity(sp.Matrix([e.diff(T) for e in c]), sp.Matrix(ends) - 2 / w * sp.Matrix(slopes), [w > 0]),
        Identity(sp.Matrix(slopes), sp.Matrix(sums), [w > 0]),
        Identity(
            sqrt((2 * n + 1) / sp.Integer(2)) * (2 * k + 1) * even(n - 1 - k) * sqrt(2 / (2 * k + sp.Integer(1))),
            sqrt(2 * n + 1) * sqrt(2 * k + 1) * parity(n, k), [n >= 0, k >= 0],
        ),
    )  # fmt: skip


@claim(mutants=[dict(sign=lambda n, k: (-1) ** (n + k + 1))])
def legt_matrix(sign=lambda n, k: (-1) ** (n - k)):
    r"""With $u(T-w) \approx \sum(-1)^kc_kg_k(1)$, LegT is $A_{nk} = -\frac1w\sqrt{(2n+1)(2k+1)}\,[1\
    (k<n)\,|\,(-1)^{n-k}\ (k\ge n)]$, $B_n = \sqrt{2(2n+1)}/w$.

    From `legt-exact-boundary`, for all n, k and every N, by $2\chi_{n-1-k} + (-1)^{n-k} = 1$. The matrices of
    `transition` are compared with the closure computed from exact integrals for N = 1..6.
    """
    root = sqrt(2 * n + 1) * sqrt(2 * k + 1)
    closed = -sqrt(2 * (2 * n + 1)) / w * sign(n, k) * sqrt((2 * k + 1) / sp.Integer(2))
    sums = -2 / w * root * even(n - 1 - k)
    given = [n >= 0, k >= 0, w > 0]

    def closure(N: int) -> tuple[Any, Any]:
        g = orthonormal(N)
        ends = [(e.subs(s, 1), e.subs(s, -1)) for e in g]
        A = sp.Matrix(N, N, lambda r, c: -2 * ends[r][0] * sign(r, c) * ends[c][0]
                      - 2 * over(g[r].diff(s) * g[c]))  # fmt: skip
        return (A, sp.Matrix([2 * e[0] for e in ends])), transition("legt", N, norm="article")

    return Witnesses(
        (
            Identity(closed + sums, -root / w, given),
            Identity(closed, -root / w * (-1) ** (n - k), given),
        ),
        ForEach(range(1, 7), closure, over="N = 1..6"),
    )


def _rescaled(scale: Any, B: Any) -> tuple[sp.Expr, sp.Expr]:
    """A_nk for k < n and B_n in c̃ = Λ⁻¹c, from the article's LegT."""
    return -sqrt(2 * n + 1) * sqrt(2 * k + 1) / w * scale(k) / scale(n), B / scale(n)


@erratum(printed=dict(scale=lambda n: 2 / sqrt(2 * n + 1)), mutants=[dict(paper=2)])
def rescaling(scale=lambda n: sqrt(2) / sqrt(2 * n + 1), paper=sqrt(2)):
    r"""$c = \Lambda\tilde c$ turns LegT's A, B into $A_{nk}\lambda_k/\lambda_n$, $B_n/\lambda_n$: $\lambda_n =
    \sqrt{2/(2n+1)}$ gives $A_{nk} = -\frac{2n+1}w$ (k < n), $B_n = \frac{2n+1}w$.

    For all n, k (the factor $(-1)^{n-k}$ for k ≥ n is untouched). The $\tilde c_n$ are then the coefficients of p_n.
    The article prints $\lambda_n = 2/\sqrt{2n+1}$, which gives $B_n = (2n+1)/(\sqrt2w)$. $\lambda = \sqrt2$ keeps A
    and gives the paper's $B_n = \sqrt{2n+1}/w$.
    """
    B = sqrt(2) * sqrt(2 * n + 1) / w
    given = [n >= 0, k >= 0, w > 0]
    return (
        Identity(sp.Matrix(_rescaled(scale, B)), sp.Matrix([-(2 * n + 1) / w, (2 * n + 1) / w]), given),
        Identity(
            sp.Matrix(_rescaled(lambda _: paper, B)),
            sp.Matrix([-sqrt(2 * n + 1) * sqrt(2 * k + 1) / w, sqrt(2 * n + 1) / w]), given,
        ),
    )  # fmt: skip


@claim(mutants=[dict(sign=lambda n: 1), dict(parity=lambda n: (-1) ** (n + 1))])
def lmu_equivalence(sign=lambda n: (-1) ** n, parity=lambda n: (-1) ** n):
    r"""Voelker's $A_{ij} = \frac{2i+1}\theta\{-1\ (i<j)\,|\,(-1)^{i-j+1}\ (i\ge j)\}$, $B_i =
    \frac{2i+1}\theta(-1)^i$ is the root-free LegT conjugated by $\mathrm{diag}((-1)^n)$.

    So the two are not literally equal: the memory unit runs its basis backwards in time. For all i, j, and whole
    matrices for N = 1..40.
    """
    theta, i, j_ = w, n, k
    legt = [-(2 * i + 1) / theta, -(2 * i + 1) / theta * (-1) ** (i - j_), (2 * i + 1) / theta]  # i > j, i ≤ j, B
    lmu = [(2 * i + 1) / theta * (-1) ** (i - j_ + 1), -(2 * i + 1) / theta, (2 * i + 1) / theta * parity(i)]
    turned = [sign(i) * sign(j_) * legt[0], sign(i) * sign(j_) * legt[1], sign(i) * legt[2]]

    def whole(N: int) -> tuple[Any, Any]:
        (A, B), (A_lmu, B_lmu) = root_free("legt", N), root_free("lmu", N)
        D = fmpq_mat([[sign(a) if a == b else 0 for b in range(N)] for a in range(N)])
        return ((D * A * D).str(), (D * B).str()) == (A_lmu.str(), B_lmu.str()), True

    return Witnesses(
        Identity(sp.Matrix(turned), sp.Matrix(lmu), [w > 0]),
        ForEach(range(1, 41), whole, over="N = 1..40"),
    )


def pade(p: int, q: int) -> tuple[fmpq_poly, fmpq_poly]:
    r"""Numerator (degree p) and denominator (degree q) of the Padé approximant of $e^{-s}$, with constant terms 1.

    Coefficients $(\mp1)^j\frac{(p+q-j)!\,m!}{(p+q)!\,j!\,(m-j)!}$ with m = p, q.
    """
    def side(m: int, sign: int) -> fmpq_poly:
        return fmpq_poly([
            fmpq(sign**i * math.factorial(p + q - i) * math.factorial(m),
                 math.factorial(p + q) * math.factorial(i) * math.factorial(m - i))
            for i in range(m + 1)
        ])  # fmt: skip

    return side(p, -1), side(q, 1)


def readout(A: fmpq_mat, B: fmpq_mat, C: fmpq_mat) -> tuple[fmpq_poly, fmpq_poly]:
    """Numerator and denominator of C(sI − A)⁻¹B: det(sI − A + BC) = det(sI − A)(1 + C(sI − A)⁻¹B)."""
    denominator = A.charpoly()
    return (A - B * C).charpoly() - denominator, denominator


@claim(mutants=[dict(degree=lambda N: N), dict(power=lambda N: N - 1)])
def legt_pade(degree=lambda N: N - 1, power=lambda N: N):
    r"""The readout $\hat u(T-w) = \sum(-1)^k\tilde c_k$ of N-state LegT has the transfer function [N−1/N] Padé of
    $e^{-sw}$; $u(T) - \hat u(T)$ has $(sw)^N/D_N(sw)$.

    Exact rational functions for N = 1..20, w = 1 (sw is the only variable). $D_N = \det(sI - A)$ is the Padé
    denominator, so $u(T) - \hat u(T)$ → 0 for polynomial inputs of degree < N. The closed Padé coefficients agree
    with $e^{-s}$ up to $s^{2N-1}$, and the memory unit has the same transfer functions (`lmu-equivalence`).
    """

    def far_end(N: int) -> tuple[Any, Any]:
        A, B = root_free("legt", N)
        top, bottom = readout(A, B, fmpq_mat([[(-1) ** i for i in range(N)]]))
        p, q = pade(degree(N), N)
        series = fmpq_poly([fmpq((-1) ** i, math.factorial(i)) for i in range(degree(N) + N + 1)])
        contact = [c for c in (q * series - p).coeffs()[: degree(N) + N + 1] if c != 0]
        return (coefficients(top * q), contact), (coefficients(bottom * p), [])

    def near_end(N: int) -> tuple[Any, Any]:
        A, B = root_free("legt", N)
        top, bottom = readout(A, B, fmpq_mat([[1] * N]))
        q = pade(N - 1, N)[1]
        return (
            (coefficients(bottom - top), coefficients(bottom)),
            (coefficients(fmpq_poly([0] * power(N) + [1])), coefficients(q / q.coeffs()[-1])),
        )

    return (
        ForEach(range(1, 21), far_end, over="N = 1..20"),
        ForEach(range(1, 21), near_end, over="N = 1..20"),
    )


@claim(mutants=[dict(decay=-1), dict(odd=lambda n, k: 1 - even(n - k))])
def legt_energy(decay=1, odd=lambda n, k: even(n - k)):
    r"""Truncated LegT is dissipative: $\frac12\frac d{dt}\|c\|^2 = \frac1w[u^2 - (u-\hat u(T))^2 - \hat u(T-w)^2]$,
    in the article's norm, for every N.

    $A + A^\top = -\frac2w(\alpha\alpha^\top + \beta\beta^\top)$ with $\alpha_n = g_n(1)$, $\beta_n = g_n(-1)$, B =
    2α/w, $\hat u(T) = \alpha^\top c$, $\hat u(T-w) = \beta^\top c$. And wA is skew $- ee^\top - oo^\top$ with e, o =
    $\sqrt{2n+1}$ at even, odd n. Entries for all n, k.
    """
    root = sqrt(2 * n + 1) * sqrt(2 * k + 1)
    below, above = -root / w, -root / w * (-1) ** (k - n)  # A_nk and A_kn for k < n
    alpha, beta = root / 2, root / 2 * (-1) ** (n + k)
    skew = below + root * odd(n, k) / w  # entry (n, k) of the skew part, k < n
    other = above + root * odd(n, k) / w
    given = [n >= 0, k >= 0, w > 0]
    return (
        Identity(below + above, -2 * decay / w * (alpha + beta), given),
        Identity(
            -decay / w * (now**2 + past**2) + 2 / w * u * now, (u**2 - (u - now) ** 2 - past**2) / w, [w > 0],
        ),
        Identity(sp.Matrix([skew + other, -(2 * n + 1) / w]), sp.Matrix([0, -(2 * n + 1) * odd(n, n) / w]), given),
    )  # fmt: skip
