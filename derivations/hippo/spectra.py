r"""Fourier on the whole history, Laguerre, normal plus low rank, and the eigenvectors of LegS. Article parts 2 and 3.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat
from sympy import Abs, And, Eq, Equivalent, Ge, I, Le, Ne, Rational, factorial, pi, sqrt

from kexue import ForAll, ForEach, Identity, Induction, Integral, Limit, Witnesses, Words, claim, erratum, letters

from .common import T, even, j, k, n, root_free, s, transition

S, C, Q = (sp.Function(name) for name in ("S", "c", "q"))
d, lam = sp.symbols("d lambda", integer=True)


@claim(mutants=[dict(diagonal=lambda n: I * pi * n - Rational(1, 2)), dict(mean=1), dict(root=0)])
def fourier_scale(diagonal=lambda n: I * pi * n - 1, mean=Rational(1, 2), root=1):
    r"""Fourier on the whole history: $x' = (Ax + Bu)/t$, $A_{nk} = -\frac n{n-k}$, $A_{nn} = i\pi n - 1$, B = 1;
    every truncation has Re λ = −1 for all eigenvalues.

    $c_n = \int_0^1u(sT)e^{-2\pi ins}ds$ and φ = s/T give $Tc_n' = u(T) - c_n + 2\pi in\int use^{-2\pi ins}ds$; the
    Fourier coefficients of s are ½ and $\frac i{2\pi k}$ (in L²). Truncated to |n| ≤ N (any N): $A = -I + iDM$, D =
    diag(n), with $M_{nk} = 2\pi\int_0^1se^{-2\pi i(n-k)s}ds$, so $v^*Mv = 2\pi\int_0^1s\,|\sum v_ke^{2\pi iks}|^2ds >
    0$ for v ≠ 0: M is positive definite, and DM is similar to the Hermitian $M^{1/2}DM^{1/2}$ (transposes stand for
    adjoints). Its eigenvalues are real: every mode decays like 1/t, exactly.
    """
    turn = sp.exp(-2 * pi * I * k * s)
    D, M, R, X = letters("D M R X")
    away = [Ne(n, k)]
    rules = [(M, R * R), (R * X, 1), (X * R, 1), (R.T, R), (D.T, D)]
    R_ = sp.Matrix([[2, 1], [1, 1]])
    model = {"R": R_, "X": R_.inv(), "M": R_**2, "D": [[1, 0], [0, -3]]}
    hermitian = R * D * M * X
    return (
        Integral(
            2 * pi * s * turn, s, 0, 1, 2 * mean * I / k,
            primitive=2 * pi * (I * s * turn / (2 * pi * k) + turn / (4 * pi**2 * k**2)), given=[Ne(k, 0)],
        ),
        Integral(s, s, 0, 1, mean, primitive=s**2 / 2),
        Identity(-1 + 2 * pi * I * n * Rational(1, 2), diagonal(n)),
        Identity(2 * pi * I * n * I / (2 * pi * (n - k)), 2 * mean * I * n * I / (n - k), away),
        Identity(-1 + I * n * pi, diagonal(n)),
        Words(hermitian, root * hermitian.T, rules, model=model),
    )  # fmt: skip


@claim(mutants=[dict(top=lambda s, n: (s - 1) ** n), dict(rank=Rational(1, 3))])
def lagt(top=lambda s, n: s**n, rank=Rational(1, 2)):
    r"""LagT (exponential window, Laguerre): x' = −L₁x + 1u with L₁ the lower triangle of ones has the transfer
    functions $c_n = \frac{s^n}{(s+1)^{n+1}}$.

    For all n: row n is $sc_n = 1 - \sum_{k\le n}c_k$. Those are the transforms of $e^{-\tau}L_n(\tau)$, so x holds
    $\int u(T-\tau)e^{-\tau}L_n(\tau)d\tau$ (n ≤ 12, s = 1/3, 2, 5). And $A = -\frac12I - \frac1211^\top$ + skew.
    """
    def laguerre(case: tuple[int, Fraction]) -> tuple[Any, Any]:
        i, at = case
        total = sum(Fraction((-1) ** a * math.comb(i, a)) / (at + 1) ** (a + 1) for a in range(i + 1))
        return total, Fraction(top(at, i)) / (at + 1) ** (i + 1)

    A, _ = transition("lagt", 6)
    skew = A + sp.eye(6) / 2 + rank * sp.ones(6, 6)
    return Witnesses(
        (
            Induction(
                n, 0, {C(n + 1): C(n) * s / (s + 1), S(n + 1): S(n) + C(n) * s / (s + 1)},
                {C(0): 1 / (s + 1), S(0): 1 / (s + 1)},
                [Eq(C(n), top(s, n) / (s + 1) ** (n + 1)), Eq(s * C(n), 1 - S(n))], [s > 0],
            ),
            Identity(sp.Matrix([-1 + 0 + 2 * rank, -1 + Rational(1, 2) + rank]), sp.zeros(2, 1)),  # A_nk + A_kn, A_nn
            Identity(skew + skew.T, sp.zeros(6, 6)),
        ),
        ForEach([(i, Fraction(a)) for i in range(13) for a in (Fraction(1, 3), 2, 5)], laguerre, over="n ≤ 12"),
    )  # fmt: skip


@claim(mutants=[dict(p=lambda n: sqrt(n + 1)), dict(shift=1), dict(pairs=1)])
def nplr(p=lambda n: sqrt(n + Rational(1, 2)), shift=Rational(1, 2), pairs=2):
    r"""LegS is $-\frac12I + S - pp^\top$ with skew S and $p_n = \sqrt{n+\frac12}$; LegT is skew − eeᵀ − ooᵀ; LagT is
    $-\frac12I$ + skew − ½11ᵀ.

    Entries for all n, k < n (paper norm, w = 1), e and o being √(2n+1) at even and odd n; whole matrices for N ≤ 6.
    The normal part −½I + S of LegS has Re λ = −½ exactly, as a real skew S has imaginary eigenvalues.
    """
    root = sqrt(2 * n + 1) * sqrt(2 * k + 1)
    legt = -root - root * (-1) ** (k - n)  # A_nk + A_kn

    def whole(N: int) -> tuple[Any, Any]:
        A, _ = transition("legs", N)
        left = A + A.T + 2 * shift * sp.eye(N)
        p_ = sp.Matrix([p(sp.Integer(i)) for i in range(N)])
        B, _ = transition("legt", N)
        halves = [sp.Matrix([sqrt(2 * i + 1) * int(i % 2 == parity) for i in range(N)]) for parity in (0, 1)]
        lag, _ = transition("lagt", N)
        return (
            (left, B + B.T, lag + lag.T + 2 * shift * sp.eye(N)),
            (-2 * p_ * p_.T, -pairs * sum((h * h.T for h in halves), sp.zeros(N, N)), -sp.ones(N, N)),
        )

    return Witnesses(
        (
            Identity(sp.Matrix([-root + 2 * p(n) * p(k), -(n + 1) + shift + p(n) ** 2]), sp.zeros(2, 1),
                     [n >= 0, k >= 0]),
            Identity(legt, -pairs * root * even(n - k), [n >= 0, k >= 0]),
        ),
        ForEach(range(1, 7), whole, over="N = 1..6"),
    )  # fmt: skip


@erratum(
    printed=dict(power=Rational(1, 2)),
    mutants=[dict(entry=lambda m: factorial(2 * m)), dict(low=2), dict(growth=Rational(9, 8))],
)
def s4_v_overflow(
    power=Rational(3, 2), entry=lambda m: 4 * m * factorial(2 * m) ** 2 / factorial(4 * m), low=1, growth=1
):
    r"""The eigenvector entry $|S_{d/3}| = \frac{(2d/3)!^2}{(4d/3-1)!}$ of LegS is of the exact order
    $d^{3/2}2^{-4d/3}$, not the printed $\sqrt d\,2^{-4d/3}$.

    With d = 3m it is $4m/\binom{4m}{2m}$ for every m, and $q_k = \binom{2k}k^2/16^k$ obeys $\frac14 \le kq_k$
    (increasing), $(k+\frac12) q_k \le \frac38$ (decreasing) for all k ≥ 1. So $|S_{d/3}|\,2^{4d/3}d^{-3/2}$ tends to
    a limit; the two sequences at d = 3000 put it between 1.9294 and 1.9301, where $\frac43\sqrt{2\pi/3}$ = 1.92960…
    lies, which Wallis's product gives. Entries that small beside entries of order 1 forbid to diagonalise LegS in
    floating point.
    """
    rest = 2 * power - 2
    ratio = ((2 * k + 1) / (2 * k + sp.Integer(2))) ** 2
    m = sp.Symbol("m", integer=True)

    def limit(_: int) -> tuple[Any, Any]:
        i = 2000  # d = 3000, m = 1000
        q = Fraction(math.comb(2 * i, i) ** 2, 16**i)
        lowest, highest = Fraction(32, 27) / (q * (i + Fraction(1, 2))), Fraction(32, 27) / (q * i)
        value = (sp.Rational(32, 27) * pi).n(30)
        inside = bool(sp.Rational(lowest.numerator, lowest.denominator) < value)
        inside = inside and bool(value < sp.Rational(highest.numerator, highest.denominator))
        return (low * Fraction(19294, 10000) ** 2 < lowest, highest < Fraction(19301, 10000) ** 2, inside), (True,) * 3

    return (
        Identity(factorial(2 * m) ** 2 / factorial(4 * m - 1), entry(m), [m >= 1]),
        Induction(
            k, 1, {Q(k + 1): Q(k) * ratio}, {Q(1): Rational(1, 4)},
            [Ge(Q(k) * k**rest, Rational(1, 4)), Le(Q(k) * (k + Rational(1, 2)), Rational(3, 8))],
        ),
        ForAll(
            And(ratio * (k + 1) >= growth * k, ratio * (k + Rational(3, 2)) <= growth * (k + Rational(1, 2))), [k >= 1]
        ),
        ForEach([3000], limit, over="d = 3000"),
    )  # fmt: skip


@erratum(
    printed=dict(place=lambda i: i // 3),
    mutants=[dict(ratio=lambda i, j: 5 * j**2 - 2 * j), dict(bottom=lambda j: 2 * j * (2 * j + 1))],
)
def s4_paper_entries(
    place=lambda i: max(b for b in range(i + 1) if 5 * b * b - 3 * b <= i * i + i),
    ratio=lambda i, j: 5 * j**2 - 3 * j,
    bottom=lambda j: 2 * j * (2 * j - 1),
):
    r"""$V_{ij} = \binom{i+j}{i-j}$ is largest in row i at the last j with $5j^2-3j \le i^2+i$, so near $i/\sqrt5$,
    and grows like $(\frac{3+\sqrt5}2)^i$.

    The S4 paper (lemma 3.2) names j = i/3 and magnitudes up to $2^{4N/3}$: but $\binom{4m}{2m} \approx 2^{4m}$ at
    (3m, m) is not the largest, as 2.618 > 2^{4/3} = 2.520. For all 1 ≤ j ≤ i: $V_{ij}/V_{i,j-1} =
    \frac{(i+j)(i-j+1)}{2j(2j-1)}$, which is ≥ 1 exactly for those j. The row sums are Fibonacci numbers $F_{2i+1}$
    and bracket the maximum by $F_{2i+1}/(i+1)$: compared for multiples of 3 up to i = 120.
    """
    i = n

    def largest(row: int) -> tuple[Any, Any]:
        entries = [math.comb(row + b, row - b) for b in range(row + 1)]
        return (max(entries), sum(entries)), (entries[place(row)], sp.fibonacci(2 * row + 1))

    top = (i + j) * (i - j + 1)
    before = factorial(i + j - 1) / (factorial(i - j + 1) * factorial(2 * j - 2))
    return (
        Identity(factorial(i + j) / (factorial(i - j) * factorial(2 * j)), before * top / bottom(j), [j >= 1, i >= j]),
        ForAll(Equivalent(top >= bottom(j), ratio(i, j) <= i**2 + i), [j >= 1, i >= j]),
        ForEach(range(3, 121, 3), largest, over="i = 3, 6, …, 120"),
    )


def partial_sums(size: int, eigenvalue: int) -> list[Fraction]:
    """S_0, …, S_{d−1} of the eigenvector of −A for λ, scaled to S_{d−1} = 1."""
    top = size - 1
    found = []
    for i in range(size):
        value = Fraction(0)
        if i >= eigenvalue - 1:
            value = Fraction(
                (-1) ** (top - i) * math.factorial(size - eigenvalue) * math.factorial(i + eigenvalue),
                math.factorial(size + eigenvalue - 1) * math.factorial(i - eigenvalue + 1),
            )
        found.append(value)
    return found


@erratum(printed=dict(last_zero=lambda lam: lam - 1), mutants=[dict(sign=1), dict(factor=lambda n: n + 1)])
def legs_eigenvector_partial_sums_erratum(last_zero=lambda lam: lam - 2, sign=-1, factor=lambda n: n):
    r"""With $S_n = \sum_{k\le n}\sqrt{2k+1}v_k$, −Av = λv iff $(\lambda+n)S_{n-1} = (\lambda-n-1)S_n$; so $S_n = 0$
    up to n = λ − 2 (not λ − 1, as printed).

    For λ ∈ {1, …, d} and $S_{d-1} = 1$: $S_n =
    (-1)^{d-n-1}\frac{(d-\lambda)!(n+\lambda)!}{(d+\lambda-1)!(n-\lambda+1)!}$ for n ≥ λ − 1; it obeys the recursion
    for all d, λ, n, and is an eigenvector exactly for all d ≤ 12 and λ ≤ d. The printed $S_{\lambda-1} = 0$ is no
    eigenvector: $S_{\lambda-1} = (-1)^{d-\lambda}\frac{(d-\lambda)!(2\lambda-1)!}{(d+\lambda-1)!}$, 1/21 for d = 5, λ
    = 3.
    """
    now, before = sp.symbols("now before", real=True)

    def exact(value: Fraction) -> fmpq:
        return fmpq(value.numerator, value.denominator)

    row = factor(n) * (now - before) - (2 * n + 1) * now  # √(2n+1)(Av)_n

    def closed(at: sp.Expr) -> sp.Expr:
        return (sign**(d - at - 1) * factorial(d - lam) * factorial(at + lam)
                / (factorial(d + lam - 1) * factorial(at - lam + 1)))  # fmt: skip

    def eigenvector(case: tuple[int, int]) -> tuple[Any, Any]:
        size, value = case
        sums = [Fraction(0) if i <= last_zero(value) else e for i, e in enumerate(partial_sums(size, value))]
        v = fmpq_mat([[exact(a - b)] for a, b in zip(sums, [Fraction(0), *sums[:-1]], strict=True)])
        A, _ = root_free("legs", size)
        return (A * v + value * v == fmpq_mat([[0]] * size), sums[-1]), (True, Fraction(1))

    given = [lam >= 1, n >= lam, d >= n + 1]
    return (
        Identity(-row - lam * (now - before), (lam + n) * before - (lam - n - 1) * now),
        Identity((lam + n) * closed(n - 1), (lam - n - 1) * closed(n), given),
        ForEach([(a, b) for a in range(1, 13) for b in range(1, a + 1)], eigenvector, over="1 ≤ λ ≤ d ≤ 12"),
    )


@claim(mutants=[dict(density=lambda tau: sp.exp(-tau) / T), dict(bound=1), dict(scale=2)])
def s4_log_time_weight(density=lambda tau: sp.exp(tau) / T, bound=2, scale=1):
    r"""Uniform memory of [0, T] is the density $e^\tau/T$ in τ = ln t on (−∞, ln T]: LegS's A in a time-invariant ODE
    weighs the past exponentially.

    For every T > 0; the density is the derivative of P(ln t ≤ τ) = e^τ/T, and its integral is 1. Under forward Euler
    mode j contracts, |1 − jε| < 1, only while jε < 2; the article's "entries of I + εΛ are below 1" needs ε < 2/d.
    """
    tau, eps, mode = sp.symbols("tau epsilon j", real=True)
    cdf = scale * sp.exp(tau) / T
    return (
        Identity(sp.Matrix([cdf.diff(tau), cdf.subs(tau, sp.log(T))]), sp.Matrix([density(tau), 1]), [T > 0]),
        Limit(density(tau), tau, -sp.oo, 0, given=[T > 0]),
        ForAll(Equivalent(Abs(1 - mode * eps) < 1, mode * eps < bound), [mode > 0, eps > 0]),
    )
