r"""The whole history: LegS, its eigenvectors, propagator, gradients, memory, approximation error. Article parts 1, 2.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat, fmpq_poly
from sympy import Eq, Ge, Rational, factorial, sqrt

from kexue import ForAll, ForEach, Identity, Induction, Witnesses, claim

from .common import (
    BONNET,
    BONNET_1,
    FIRST,
    FIRST_1,
    D,
    P,
    T,
    fraction,
    j,
    k,
    legendre,
    legs_eigenvectors,
    legs_eigenvectors_inverse,
    n,
    propagator,
    root_free,
    s,
    t,
    table,
    transition,
)
from .legendre import DERIVATIVE, THIRD
from .legt import moments, orthonormal, project, signal

S, V, K, F = (sp.Function(name) for name in ("S", "v", "K", "F"))
lam, rho, alpha, q = sp.symbols("lambda rho alpha q", real=True)
t0, t1, x = sp.symbols("t0 t1 x", real=True)
m = sp.Symbol("m", integer=True)


def _coefficients(count: int) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """c_n for the quartic u on [0, T], and the moments of u."""
    powers = moments(count + 1, (s + 1) * T / 2)
    return [project(e, powers) for e in orthonormal(count)], powers


@claim(mutants=[dict(middle=0), dict(root=lambda n: sqrt(2 * n + 1))])
def legs_exact_boundary(middle=1, root=lambda n: sqrt(2 * (2 * n + 1))):
    r"""$c_n' = \frac{\sqrt{2(2n+1)}}Tu(T) - \frac1T\int u((s+1)T/2)[g_n+(s+1)g_n']\,ds$: the term at s = −1 vanishes
    as φ(−1) = 0.

    It is `general-ode` with φ = (s+1)/T, so it holds for all n and u in C¹; here it is checked for n ≤ 5 and all
    quartic u with symbolic coefficients. With `legendre-shifted-derivative`, that is why LegS needs no closure.
    """
    c, powers = _coefficients(6)
    terms = [project(sp.expand(middle * e + (s + 1) * e.diff(s)), powers) for e in orthonormal(6)]
    right = [root(i) / T * signal(T) - terms[i] / T for i in range(6)]
    return Identity(sp.Matrix([e.diff(T) for e in c]), sp.Matrix(right), [T > 0])


@claim(mutants=[dict(diagonal=lambda n: n), dict(below=lambda n, k: sqrt(2 * n + 1) * (2 * k + 1))])
def legs_matrix(diagonal=lambda n: n + 1, below=lambda n, k: sqrt(2 * n + 1) * sqrt(2 * k + 1)):
    r"""$c' = (Ac + Bu(T))/T$ exactly: $A_{nk} = -\sqrt{(2n+1)(2k+1)}$ (k < n), −(n+1) (k = n), 0 (k > n), $B_n =
    \sqrt{2(2n+1)}$.

    The first N coefficients evolve exactly, whatever N. For all n, k: in $g_n + (s+1)g_n'$ the coefficient of g_k is
    $\sqrt{\frac{2n+1}2}(2k+1)\sqrt{\frac2{2k+1}}$, and 1 − (n+1) + (2n+1) for k = n (`legendre-shifted-derivative`).
    Also the whole system for N = 6 and all quartic u. $\lambda = \sqrt2$ gives the paper's $B_n = \sqrt{2n+1}$,
    $\lambda_n = \sqrt{2/(2n+1)}$ the root-free A_nk = −(2n+1), B_n = 2n+1.
    """
    c, _ = _coefficients(6)
    A = sp.Matrix(6, 6, lambda r, b: -below(r, b) if b < r else -diagonal(r) if b == r else 0)
    B = sp.Matrix([sqrt(2 * (2 * i + 1)) for i in range(6)])
    state = sp.Matrix(c)
    scale, other = sqrt(2) / sqrt(2 * n + 1), sqrt(2) / sqrt(2 * k + 1)
    entries = [
        (sqrt(2 * n + 1) / sqrt(2) * (2 * k + 1) * sqrt(2) / sqrt(2 * k + 1), below(n, k)),
        (1 - (n + 1) + (2 * n + 1), diagonal(n)),
        (below(n, k) * other / scale, 2 * n + 1),
        (sqrt(2) * sqrt(2 * n + 1) / scale, 2 * n + 1),
        (sqrt(2) * sqrt(2 * n + 1) / sqrt(2), sqrt(2 * n + 1)),
    ]

    def public(N: int) -> tuple[Any, Any]:
        return transition("legs", N, norm="article"), (A[:N, :N].as_immutable(), B[:N, :].as_immutable())

    return Witnesses(
        (
            Identity(sp.Matrix([a for a, _ in entries]), sp.Matrix([b for _, b in entries]), [n >= 0, k >= 0]),
            Identity(state.diff(T), (A * state + B * signal(T)) / T, [T > 0]),
        ),
        ForEach(range(1, 7), public, over="N = 1..6, the function transition"),
    )


def _shifted(n: Any, j: Any) -> sp.Expr:
    """(−1)^{n+j} (n+j)!/(j!² (n−j)!): the coefficient of x^j in p_n(2x − 1)."""
    return (-1) ** (n + j) * factorial(n + j) / (factorial(j) ** 2 * factorial(n - j))


def _monomial(j: Any, n: Any) -> sp.Expr:
    """(2n+1)(j!)²/((j−n)!(j+n+1)!): the coefficient of p_n(2x − 1) in x^j."""
    return (2 * n + 1) * factorial(j) ** 2 / (factorial(j - n) * factorial(j + n + 1))


@claim(mutants=[dict(sign=lambda m: m + 1, signed=False), dict(bonnet=1), dict(half=1)])
def legs_eigendecomposition(sign=lambda m: -m, signed=True, bonnet=2, half=Rational(1, 2)):
    r"""LegS (paper norm): $AV_j = -(j+1)V_j$, $V_{nj} = \sqrt{2n+1}(-1)^{n+j}\binom nj\binom{n+j}j$, V1 = B,
    $V^{-1}_{jn} = \sqrt{2n+1}\frac{(j!)^2}{(j-n)!(j+n+1)!}$, for all N.

    Row n of the eigenvector equation is $\sum_{k<n}(2k+1)v_k = (j-n)v_n$, $v_k = V_{kj}/\sqrt{2k+1}$; with n = j + m
    it is an induction on m from $v_{m+1} = -\frac{m+1+2j}{m+1}v_m$. The v are the coefficients of $p_n(2x-1)$: they
    obey Bonnet's recurrence for all n, j, and x = 1 gives V1 = B. $V^{-1}$ expands $x^j$ in $p_n(2x-1)$: its entries
    obey the recurrence of multiplication by $x$, for 1 ≤ n ≤ j − 1, n = 0, j, j + 1. Also whole matrices for N ≤ 40:
    $AV = V\Lambda$, $VV^{-1} = I$, $\det A = (-1)^NN!$. A has the eigenvalues −1, …, −N, hence full rank.
    """
    given = [j >= 2, n >= 1, n <= j - 1]
    bonnet_left = (n + 1) * _shifted(n + 1, j)
    bonnet_right = (2 * n + 1) * (bonnet * _shifted(n, j - 1) - _shifted(n, j)) - n * _shifted(n - 1, j)
    times_x = [
        (_monomial(j + 1, n), half * (_monomial(j, n) + _monomial(j, n - 1) * n / (2 * n - 1)
                                      + _monomial(j, n + 1) * (n + 1) / (2 * n + 3))),
        (_monomial(j + 1, 0), half * (_monomial(j, 0) + _monomial(j, 1) / 3)),
        (_monomial(j + 1, j), half * (_monomial(j, j) + _monomial(j, j - 1) * j / (2 * j - 1))),
        (_monomial(j + 1, j + 1), half * _monomial(j, j) * (j + 1) / (2 * j + 1)),
    ]  # fmt: skip

    def whole(N: int) -> tuple[Any, Any]:
        A, B = root_free("legs", N)
        vectors, inverse = legs_eigenvectors(N, signed), legs_eigenvectors_inverse(N)
        scaled = fmpq_mat([[-(c + 1) * e for c, e in enumerate(row)] for row in vectors.tolist()])
        ones, unit = fmpq_mat([[1]] * N), fmpq_mat([[int(a == b) for b in range(N)] for a in range(N)])
        got = A * vectors == scaled, vectors * ones == B, vectors * inverse == unit
        return (*got, fraction(A.det())), (True, True, True, Fraction((-1) ** N * int(sp.factorial(N))))

    return Witnesses(
        (
            Induction(
                m, 0, {V(m + 1): -(m + 1 + 2 * j) / (m + 1) * V(m), S(m + 1): S(m) + (2 * (m + j) + 1) * V(m)},
                {V(0): factorial(2 * j) / factorial(j) ** 2, S(0): 0}, [Eq(S(m), sign(m) * V(m))], [j >= 0],
            ),
            Identity(bonnet_left, bonnet_right, [n >= 1, j >= 1, j <= n - 1]),
            Identity(sp.Matrix([a for a, _ in times_x]), sp.Matrix([b for _, b in times_x]), given),
        ),
        ForEach(range(1, 41), whole, over="N = 1..40"),
    )  # fmt: skip


@claim(mutants=[dict(row=lambda p, d: p - (1 - t) * d, shifted=lambda p: p(fmpq_poly([1, -2]))), dict(slope=2)])
def legs_propagator(row=lambda p, d: p + (t + 1) * d, shifted=lambda p: p(fmpq_poly([-1, 2])), slope=1):
    r"""With ρ = t0/t1 ∈ (0, 1]: $\rho^{-A}B = \rho(\sqrt{2n+1}\,p_n(2\rho-1))_n$, so $\partial c_n(t_1)/\partial
    f(t_0) = \frac1{t_1}\sqrt{2n+1}\,p_n(2t_0/t_1-1)$.

    And $\rho^{-A} = V\mathrm{diag}(\rho^{j+1})V^{-1}$ (paper norm). $y(\rho) = \rho p_n(2\rho-1)$ solves $\rho y' =
    -Ay$, y(1) = B: with t = 2ρ − 1 row n is $p_n + (t+1)p_n' = (n+1)p_n + \sum_{k<n}(2k+1)p_k$, proved for all n. The
    matrices are compared with that differential equation, and $\rho^{-A}B$ with the polynomials, for N ≤ 12, as
    polynomials in ρ.
    """

    def matrices(N: int) -> tuple[Any, Any]:
        A, B = root_free("legs", N)
        left, right = legs_eigenvectors(N), legs_eigenvectors_inverse(N)
        # entry (a, b) of ρ^{−A} as the coefficients of ρ, ρ², …, ρ^N
        whole = [fmpq_mat([[left[a, i] * right[i, b] for b in range(N)] for a in range(N)]) for i in range(N)]
        slopes = [(i + 1) * part for i, part in enumerate(whole)]
        turned = [slope * -1 * A * part for part in whole]
        image = [[fraction((part * B)[a, 0]) for part in whole] for a in range(N)]
        start = sum(whole[1:], whole[0])
        unit = fmpq_mat([[int(a == b) for b in range(N)] for a in range(N)])
        expected = []
        for a, p in enumerate(legendre(N)):
            polynomial = shifted(p) * (2 * a + 1)
            expected.append([fraction(polynomial[i]) for i in range(N)])
        return (slopes == turned, start == unit, image), (True, True, expected)

    # a mutant takes p_n(1 − 2ρ), here p_n(−t) written at the point −t
    statement = Eq(row(P(n), D(n)), (n + 1) * P(n) + slope * S(n))
    return Witnesses(
        Induction(
            n, 0, BONNET | BONNET_1 | {S(n + 1): S(n) + (2 * n + 1) * P(n)}, FIRST | FIRST_1 | {S(0): 0},
            [DERIVATIVE, Eq(D(n + 2) - D(n), (2 * n + 3) * P(n + 1)), statement],
        ),
        ForEach(range(1, 13), matrices, over="N = 1..12"),
    )  # fmt: skip


@claim(
    mutants=[
        dict(lower=Rational(3, 5), least=lambda N: Rational(3 * N, 5)),
        dict(weight=lambda n: n),
        dict(top=lambda N: N),
        dict(square=lambda n: n**2),
    ]
)
def legs_gradient_norm(
    lower=Rational(1, 2),
    least=lambda N: Rational(N, 2),
    weight=lambda n: n * (n + 1),
    top=lambda N: N**2,
    square=lambda n: (n + 1) ** 2,
):
    r"""$\sqrt{N/2}/t_1 \le \|\partial c(t_1)/\partial f(t_0)\|_2 \le N/t_1$ for $0 \le t_0 \le t_1$ and every N
    (paper norm); the paper states only Θ(1/t₁).

    By `legs-propagator` the squared norm is $K_N(z)/t_1^2$, $K_N = \sum_{n<N}(2n+1)p_n(z)^2$, z ∈ [−1, 1]. For all N:
    $K_N = N^2p_{N-1}^2 + (1-z^2)p_{N-1}'^2$ (induction). $F_n = n(n+1)p_n^2 + (1-z^2)p_n'^2$ is even with $F_n' =
    2zp_n'^2$, so $F_n(0) \le F_n \le F_n(1) = n(n+1)$. Hence |p_n| ≤ 1 and $K_N \le \sum(2n+1) = N^2$; and $K_N =
    F_{N-1} + Np_{N-1}^2 \ge F_{N-1}(0)$, which is $2k(2k+1)a_k$ for N − 1 = 2k and $(2k+1)^2a_k$ for N − 1 = 2k + 1,
    with $a_k = p_{2k}(0)^2$, $a_{k+1} = (\frac{2k+1}{2k+2})^2a_k$: at least N/2 (two inductions on k; N = 1 is K_1 =
    1). Equality above at z = ±1, below at N = 2, z = 0. A second
    witness evaluates K_N(−1), K_N(0), K_N(1) for N ≤ 40: the bounds there, and that N = 2 is the only equality at 0.
    """
    y, dy, ddy = sp.symbols("y dy ddy", real=True)
    a, b = sp.Function("a"), sp.Function("b")
    legendre_equation = Eq((1 - t**2) * ddy - 2 * t * dy + n * (n + 1) * y, 0)
    F_slope = weight(n) * 2 * y * dy - 2 * t * dy**2 + (1 - t**2) * 2 * dy * ddy

    def ends(N: int) -> tuple[Any, Any]:
        p = legendre(N)
        value = [sum((2 * i + 1) * e(fmpq(at)) ** 2 for i, e in enumerate(p)) for at in (-1, 0, 1)]
        low = fraction(value[1])
        return (
            (fraction(value[0]), fraction(value[2]), low >= least(N), 2 * low == N),
            (top(N), top(N), True, N in (2,)),
        )

    step = ((2 * k + 1) / (2 * k + sp.Integer(2))) ** 2 * a(k)
    other = ((2 * k + 1) / (2 * k + sp.Integer(2))) ** 2 * b(k)
    return Witnesses(
        (
            Induction(
                n, 0, BONNET | BONNET_1 | {K(n + 1): K(n) + (2 * n + 3) * P(n + 1) ** 2}, FIRST | FIRST_1 | {K(0): 1},
                [DERIVATIVE, THIRD, Eq(K(n), square(n) * P(n) ** 2 + (1 - t**2) * D(n) ** 2)],
            ),
            Identity(F_slope, 2 * t * dy**2, [legendre_equation]),
            Induction(
                k, 1, {a(k + 1): step}, {a(1): Rational(1, 4)}, [Ge(2 * k * (2 * k + 1) * a(k), lower * (2 * k + 1))]
            ),
            Induction(
                k, 0, {b(k + 1): other}, {b(0): 1}, [Ge((2 * k + 1) ** 2 * b(k), lower * (2 * k + 2))]
            ),
        ),
        ForEach(range(1, 41), ends, over="N = 1..40"),
    )  # fmt: skip


@claim(mutants=[dict(kernel=lambda p, t1, t0: sp.exp(t0 - t1) * p(t0)), dict(step=lambda t: 1)])
def legs_timescale_equivariance(kernel=lambda p, t1, t0: p(2 * t0 / t1 - 1) / t1, step=lambda t: t):
    r"""LegS turns u(α·) into x(α·): its kernel is homogeneous, $\kappa(\alpha t_1, \alpha t_0) = \kappa(t_1,
    t_0)/\alpha$, and at t = kε its discretisations contain no ε.

    For every α > 0 and every N: by `legs-propagator` $\kappa_n(t_1, t_0) = \frac1{t_1}\sqrt{2n+1}\,p_n(2t_0/t_1-1)$,
    here with an arbitrary function for p_n; a window's kernel, a function of t1 − t0, has no such law (mutant). Steps
    depend on $\epsilon A/t = A/k$ and, exactly, on ρ = t/(t+ε) = k/(k+1).
    """
    p = sp.Function("p")
    eps = sp.Symbol("epsilon", real=True)
    given = [alpha > 0, t1 > 0, t0 > 0, k >= 1, eps > 0]
    at = step(k * eps)
    return (
        Identity(kernel(p, alpha * t1, alpha * t0), kernel(p, t1, t0) / alpha, [alpha > 0, t1 > 0, t0 > 0]),
        Identity(sp.Matrix([eps * lam / at, k * eps / (k * eps + eps)]), sp.Matrix([lam / k, k / (k + 1)]), given[3:]),
    )


@claim(mutants=[dict(power=j - 1, shift=1)])
def legs_polynomial_memory(power=j, shift=0):
    r"""The product of exact one-step propagators from m to n is $(n/m)^A$: mode j contracts by $(m/n)^j$, so memory
    decays polynomially.

    Mode j: $\prod_{k=m}^{n-1}(\frac k{k+1})^j = (m/n)^j$ for all j, m ≥ 1 and n ≥ m. Whole matrices for N ≤ 8, m =
    1..4, n ≤ 8: the product of $\rho_k^{-A}$ is $V\mathrm{diag}((m/n)^{j+1})V^{-1}$, whose entries combine $(m/n)^1,
    …, (m/n)^N$.
    """
    def product(case: tuple[int, int, int]) -> tuple[Any, Any]:
        N, low, high = case
        total = fmpq_mat([[int(a == b) for b in range(N)] for a in range(N)])
        for i in range(low, high):
            total = propagator(N, fmpq(i, i + 1)) * total
        powers = fmpq_mat([[fmpq(low, high) ** (a + 1 - shift) if a == b else 0 for b in range(N)] for a in range(N)])
        return table(total), table(legs_eigenvectors(N) * powers * legs_eigenvectors_inverse(N))

    cases = [(N, low, high) for N in (1, 2, 3, 5, 8) for low in range(1, 5) for high in range(low, 9)]
    return Witnesses(
        Induction(
            n, 0, {S(n + 1): S(n) * ((m + n) / (m + n + 1)) ** j}, {S(0): 1}, [Eq(S(n), (m / (m + n)) ** power)],
            [m >= 1, j >= 1],
        ),
        ForEach(cases, product, over="N = 1, 2, 3, 5, 8; 1 ≤ m ≤ 4; m ≤ n ≤ 8"),
    )  # fmt: skip


@claim(
    mutants=[
        dict(constant=7),
        dict(separation=lambda n, k: (n - k) * (n + k)),
        dict(beta=lambda k: (2 * k + 1) / (2 * k + sp.Integer(2))),
        dict(grows=lambda n, k: (n + 1 - k) / (n + 1 + k)),
        dict(half=1),
    ],
    relies_on=("Weierstrass 1885: polynomials are dense in C[−1, 1], so the Legendre polynomials are complete",),
)
def legs_approx_error(
    constant=6,
    separation=lambda n, k: (n - k) * (n + k + 1),
    beta=lambda k: (2 * k + 2) / (2 * k + sp.Integer(3)),
    grows=lambda n, k: (n + 1 + k) / (n + 1 - k),
    half=2,
):
    r"""For f on [0, t] with $|f^{(k)}| \le M$ and N ≥ k: $\|f - \Pi_Nf\| \le t^kM\frac{k!}{\sqrt{(2k+1)!}}
    \sqrt{\frac{(N-k)!}{(N+k)!}}$; for Lipschitz f: $tL/\sqrt{6N(N+1)}$.

    Norm of the uniform probability measure, N coefficients (degree < N). Equality for N = 1, f(s) = s. (The paper:
    $O(tL/\sqrt N)$ and $O(t^kN^{-k+1/2})$, by √N weaker.) Steps, all n, k: differentiating Legendre's equation gives
    $(1-x^2)y_{k+2} - 2(k+1)xy_{k+1} + (n-k)(n+k+1)y_k = 0$ for $y_k = p_n^{(k)}$, so $((1-x^2)^{k+1}y_{k+1})' =
    -(n-k)(n+k+1)(1-x^2)^ky_k$: derivatives are orthogonal for $(1-x^2)^k$ with norms
    $\frac{(n+k)!}{(n-k)!}\|p_n\|^2$, and $f^{(k)}$ has the same coefficients (by parts, the weights vanish at the
    ends). Bessel: $\sum\frac{(n+k)!}{(n-k)!} a_n^2\|p_n\|^2 \le \int(1-x^2)^k|f^{(k)}|^2\frac{dx}2$, the factors grow
    with n, $\int(1-x^2)^k\frac{dx}2 = \frac{4^kk!^2}{(2k+1)!}$, and d/dx = (t/2) d/ds. Completeness turns
    $\|f-\Pi_Nf\|^2$ into the sum over n ≥ N.
    """
    y0, y1, y2, y3, M = sp.symbols("y0 y1 y2 y3 M", real=True)
    order = sp.Symbol("N", integer=True)
    equation = (1 - x**2) * y2 - 2 * (k + 1) * x * y1 + (n - k) * (n + k + 1) * y0
    slope = (1 - x**2) * y3 - 2 * x * y2 - 2 * (k + 1) * y1 - 2 * (k + 1) * x * y2 + (n - k) * (n + k + 1) * y1
    following = (1 - x**2) * y3 - 2 * (k + 2) * x * y2 + separation(n, k + 1) * y1
    weighted = (1 - x**2) * y2 - 2 * (k + 1) * x * y1  # ((1−x²)^{k+1} y_{k+1})' over (1−x²)^k
    ratio = factorial(n + k) / factorial(n - k)
    later = factorial(n + k + 1) / factorial(n - k - 1)
    norms = sp.Function("J")
    square = (t / half) ** (2 * k) * M**2 * 4**k * factorial(k) ** 2 / factorial(2 * k + 1)
    square = square * factorial(order - k) / factorial(order + k)
    bound = t ** (2 * k) * M**2 * factorial(k) ** 2 / factorial(2 * k + 1) * factorial(order - k) / factorial(order + k)
    return (
        Identity(slope, following),
        Identity(weighted, -separation(n, k) * y0, [Eq(equation, 0)]),
        Identity(later, separation(n, k) * ratio, [k >= 0, n >= k + 1]),
        Induction(
            k, 0, {norms(k + 1): (2 * k + 2) / (2 * k + sp.Integer(3)) * norms(k)}, {norms(0): 1},
            [Eq(norms(k + 1), beta(k) * norms(k)), Eq(norms(k), 4**k * factorial(k) ** 2 / factorial(2 * k + 1))],
        ),
        Identity(
            (x * (1 - x**2) ** (k + 1)).diff(x),
            (1 - x**2) ** k * ((2 * k + 2) / beta(k) * (1 - x**2) - 2 * (k + 1)), [x > -1, x < 1, k >= 0],
        ),
        ForAll(grows(n, k) >= 1, [k >= 0, n >= k]),
        Identity(square, bound, [t > 0, k >= 0, order >= k]),
        Identity(
            sp.Matrix([bound.subs(k, 1), sp.integrate((x - t / 2) ** 2, (x, 0, t)) / t]),
            sp.Matrix([t**2 * M**2 / (constant * order * (order + 1)), t**2 / (constant * 1 * 2)]),
            [t > 0, order >= 1],
        ),
    )  # fmt: skip


@claim(mutants=[dict(factor=lambda q: 1 / q, two=Rational(1, 2))])
def power_map_legs(factor=lambda q: q, two=2):
    r"""For $t = T(\frac{s+1}2)^{1/q}$, q > 0: $c' = \frac qt(Ac + Bu)$ with LegS's A, B and no truncation: LegS in
    the clock $t^q$.

    $\varphi = q(s+1)/T$ is q times LegS's, so `general-ode` gives q times LegS's right side, for every n. t has the
    density $qt^{q-1}/T^q$; the gradient kernel is $\frac
    q{t_1}(\frac{t_0}{t_1})^{q-1}\sqrt{2n+1}\,p_n(2(t_0/t_1)^q-1)$ (paper norm). The article's third map is q = 2:
    compared as a whole for N = 5 and all quartic u.
    """
    clock = T * sp.exp(sp.log((s + 1) / 2) / q)
    law = sp.exp(q * sp.log(t / T))
    powers = sp.exp((q - 1) * sp.log(t / T))
    place = 2 * x**2 - 1
    polynomials = [sum(Rational(c.numerator, c.denominator) * place**e for e, c in enumerate(map(fraction, p.coeffs())))
                   for p in legendre(5)]  # fmt: skip
    state = sp.Matrix([sp.integrate(sp.expand(signal(T * x) * p * 4 * x), (x, 0, 1)) for p in polynomials])
    A, _ = transition("legs", 5, norm="lmu")
    # these are plain moments ∫ u p_n: the root-free coefficients are (2n+1)/2 times them
    D_ = sp.diag(*(Rational(2 * i + 1, 2) for i in range(5)))
    right = (D_.inv() * A * D_ * state + sp.Matrix([2] * 5) * signal(T)) / T
    return (
        Identity(clock.diff(T) / clock.diff(s), factor(q) * (s + 1) / T, [q > 0, T > 0, s > -1]),
        Identity(law.diff(t), factor(q) * powers / T, [q > 0, t > 0, T > 0]),
        Identity(state.diff(T), two * right, [T > 0]),
    )
