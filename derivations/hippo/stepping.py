r"""Discretisation: the generalised bilinear family, LegS in linear time, exact steps, transients. Article part 2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat
from sympy import Abs, Equivalent, Implies, Ne, Rational, sqrt

from kexue import All, Counts, ForAll, ForEach, Identity, Induction, Limit, Witnesses, Words, claim, erratum, letters

from .common import NORMS, eps, fraction, integral, k, lam, legendre, n, propagator, root_free, t, table, transition, z

alpha, b, x, y, u, S = sp.symbols("alpha b x y u S", real=True)


def _weight(i: int, norm: str) -> Any:
    """What LegS multiplies by before and after its running sum: √(2n+1), or 1 and 2n+1 in the root-free norm."""
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    return (1, 2 * i + 1) if norm == "lmu" else (sqrt(2 * i + 1), sqrt(2 * i + 1))


def legs_matvec(v: Sequence[Any], norm: str = "paper") -> list[Any]:
    r"""Av for LegS by a running sum, in O(N): $(Av)_n = nv_n - \sqrt{2n+1}\sum_{k\le n}\sqrt{2k+1}\,v_k$.

    Raises:
        ValueError: an unknown norm.
    """
    total, found = 0, []
    for i, e in enumerate(v):
        before, after = _weight(i, norm)
        total = total + before * e
        found.append(i * e - after * total)
    return found


def legs_solve(v: Sequence[Any], step: Any, norm: str = "paper") -> list[Any]:
    r"""z with (I − λA)z = v for LegS, in O(N), where λ = `step`.

    Raises:
        ValueError: an unknown norm, or 1 + λ(n+1) = 0 for some n < N: then I − λA is singular.
    """
    total, found = 0, []
    for i, e in enumerate(v):
        before, _ = _weight(i, norm)
        pivot = 1 + step * (i + 1)
        if pivot == 0:
            raise ValueError(f"step must not be −1/{i + 1}: I − step·A is singular, got {step}")
        new = ((1 - step * i) * total + before * e) / pivot
        found.append((new - total) / before)
        total = new
    return found


@claim(mutants=[dict(factor=lambda n: n + 1), dict(mul=lambda N: 2 * N)])
def legs_linear_time_matvec(factor=lambda n: n, mul=lambda N: 3 * N):
    r"""LegS (paper norm): $A_{nk} = n\delta_{nk} - \sqrt{2n+1}\sqrt{2k+1}$ for k ≤ n, so $(Av)_n = nv_n -
    \sqrt{2n+1}\, \mathrm{cumsum}(\sqrt{2k+1}v_k)_n$.

    The entries for all n; the product against the matrix of `transition` for N = 1..7. Cost: 3N multiplications and
    2N − 1 additions, counted with the tables of n and √(2n+1) given.
    """

    def product(N: int) -> tuple[Any, Any]:
        v = [sp.Integer((7 * i + 3) % 5 - 2) for i in range(N)]
        A, _ = transition("legs", N)
        fast = [e + (factor(i) - i) * v[i] for i, e in enumerate(legs_matvec(v))]
        return list(A * sp.Matrix(v)), fast

    def run(N: int, scalar: Any) -> None:
        roots, indices = ([scalar(Fraction(i + 2, 3)) for i in range(N)] for _ in range(2))
        v = [scalar(i + 1) for i in range(N)]
        total = None
        for i in range(N):
            term = roots[i] * v[i]
            total = term if total is None else total + term
            indices[i] * v[i] - roots[i] * total

    return (
        Identity(factor(n) - sqrt(2 * n + 1) ** 2, -(n + 1), [n >= 0]),
        ForEach(range(1, 8), product, over="N = 1..7"),
        Counts(run, (1, 2, 3, 8, 64), {"mul": mul, "add": lambda N: N - 1, "sub": lambda N: N}),
    )


@claim(mutants=[dict(pivot=lambda lam, n: 1 + lam * n), dict(mul=lambda N: 3 * N)])
def legs_linear_time_solve(pivot=lambda lam, n: 1 + lam * (n + 1), mul=lambda N: 4 * N):
    r"""LegS: $z = (I-\lambda A)^{-1}v$ from $S_n = \frac{(1-\lambda n)S_{n-1} + \sqrt{2n+1}v_n}{1+\lambda(n+1)}$,
    $z_n = \frac{S_n-S_{n-1}}{\sqrt{2n+1}}$, unless $1 + \lambda(n+1) = 0$.

    Row n of (I − λA)z = v for all n, with arbitrary $S_{n-1}$, v_n. Against the rational inverse for N ≤ 12 in the
    root-free norm, where $\det(I-\lambda A) = \prod(1+\lambda(n+1))$. One scalar linear recurrence, 6N operations
    as counted (tables given), so with `legs-linear-time-matvec` both halves of a
    bilinear step are O(N).
    """
    v = sp.Symbol("v", real=True)
    root = sqrt(2 * n + 1)
    new = ((1 - lam * n) * S + root * v) / pivot(lam, n)
    solution = (new - S) / root
    given = [n >= 0, lam > 0]

    def inverse(case: tuple[int, Fraction]) -> tuple[Any, Any]:
        N, step = case
        A, _ = root_free("legs", N)
        v_ = [(5 * i + 2) % 7 - 3 for i in range(N)]
        unit = fmpq_mat([[int(a == c) for c in range(N)] for a in range(N)])
        M = unit - fmpq(step.numerator, step.denominator) * A
        exact = table(M.inv() * fmpq_mat([[e] for e in v_]))
        return (
            ([e[0] for e in exact], fraction(M.det())),
            ([Fraction(e) for e in legs_solve(v_, step, "lmu")], math.prod(pivot(step, i) for i in range(N))),
        )

    def run(N: int, scalar: Any) -> None:
        roots, v_, ratios, pivots = ([scalar(Fraction(i + 2, 3)) for i in range(N)] for _ in range(4))
        total = scalar(0)
        for i in range(N):
            new_ = ratios[i] * total + roots[i] * v_[i] / pivots[i]
            (new_ - total) / roots[i]
            total = new_

    cases = [(N, step) for N in (1, 2, 5, 12) for step in (Fraction(1, 2), Fraction(3, 7), Fraction(-2, 5))]
    return (
        Identity(solution - lam * (n * solution - root * new), v, given),
        ForEach(cases, inverse, over="N = 1, 2, 5, 12; λ = 1/2, 3/7, −2/5"),
        Counts(run, (1, 2, 8, 64), {"mul": lambda N: mul(N) // 2, "div": lambda N: 2 * N, "add": lambda N: N,
                                    "sub": lambda N: N}),
    )  # fmt: skip


@claim(
    mutants=[
        dict(stable=Rational(49, 100)),
        dict(half=1),
        dict(leading=lambda a: a),
        dict(third=Rational(1, 6)),
        dict(forced=0),
    ]
)
def gbt_identities(stable=Rational(1, 2), half=Rational(1, 2), leading=lambda a: a - Rational(1, 2),
                   third=Rational(1, 12), forced=1):  # fmt: skip
    r"""$x_+ = (I-\alpha\epsilon A)^{-1}[(I+(1-\alpha)\epsilon A)x + \epsilon Bu]$ is $x_+-x = \epsilon[A(\alpha
    x_++(1-\alpha)x) + Bu]$; A-stable iff α ≥ ½.

    For matrices of all sizes: α = 0 forward, 1 backward, ½ bilinear Euler; the bilinear step is half a forward, then
    half a backward step. Zero-order hold $x(\tau) = e^{\tau A}x + A^{-1}(e^{\tau A}-I)Bu$ solves x' = Ax + Bu for
    constant u. Local errors on x' = λx, z = ελ: $\frac{1+(1-\alpha)z}{1-\alpha z} - e^z = (\alpha-\frac12)z^2 +
    \cdots$, and $\frac1{12}z^3$ for α = ½: orders 1, 1, 2. A-stability: |R(z)| ≤ 1 for Re z ≤ 0 iff α ≥ ½ (0 ≤ α ≤
    1). The article's interpolation αx(t) + (1−α)x(t+ε) counts α the other way round.
    """
    A, R, E, Ai, v, f = letters("A R E Ai x f")
    h = alpha * eps
    resolvent = [(R * A, (R - 1) * (1 / h)), (A * R, (R - 1) * (1 / h))]
    step = R * (v + (1 - alpha) * eps * A * v + eps * f)
    model = {"A": [[-1, 0], [2, -3]], "R": [[Rational(1, 2), 0], [Rational(1, 4), Rational(1, 4)]], "x": [1, 2],
             "f": [3, 1], alpha: Rational(1, 2), eps: 2}  # fmt: skip
    middle = v + half * eps * (A * v + f)
    bilinear = [(R * A, (R - 1) * (2 / eps)), (A * R, (R - 1) * (2 / eps))]
    two = sp.Matrix([[-1, 0], [2, -3]])
    held = {"A": two, "Ai": two.inv(), "E": two**2 + 2 * sp.eye(2), "x": [1, 2], "f": [3, 1]}  # E commutes with A
    state = E * v + Ai * (E - 1) * f
    growth = (1 + (1 - alpha) * z) / (1 - alpha * z)
    size_now = (1 + (1 - alpha) * x) ** 2 + ((1 - alpha) * y) ** 2
    size_then = (1 - alpha * x) ** 2 + (alpha * y) ** 2
    return (
        Words(step - v, eps * (A * (alpha * step + (1 - alpha) * v) + forced * f), resolvent, model=model,
              given=[alpha > 0, eps > 0]),
        Words(R * (middle + half * eps * f), R * (v + eps / 2 * A * v + eps * f), bilinear,
              model={**{key: model[key] for key in ("A", "R", "x", "f")}, eps: 2}, given=[eps > 0]),
        Words(
            A * E * v + Ai * A * E * f, A * state + forced * f, [(A * Ai, 1), (Ai * A, 1), (E * A, A * E)], model=held
        ),
        Limit((growth - sp.exp(z)) / z**2, z, 0, leading(alpha), "+-", [alpha >= 0, alpha <= 1]),
        Limit((growth.subs(alpha, Rational(1, 2)) - sp.exp(z)) / z**3, z, 0, third, "+-"),
        ForAll(
            Equivalent(All((x, y), Implies(x <= 0, size_now <= size_then)), alpha >= stable), [alpha >= 0, alpha <= 1]
        ),
    )  # fmt: skip


def _defect(weights: Any, at: Any) -> sp.Expr:
    """What one LegS step leaves over on the exact solution x = t³ of t x' = λx + u, u = (3 − λ)t³; at: denominators."""
    def exact(e: sp.Expr) -> sp.Expr:
        return e**3

    now, then = weights(t, eps)
    first, second = at(t, eps)
    return (
        exact(t + eps) - exact(t) - eps * lam / 2 * (exact(t) / first + exact(t + eps) / second)
        - (3 - lam) * (now * exact(t) + then * exact(t + eps))
    )  # fmt: skip


@erratum(
    printed=dict(weights=lambda t, h: (h / t, 0 * h)),
    mutants=[dict(loss=lambda lam: 6 - lam), dict(error=Fraction(1, 10))],
)
def legs_discretisation_erratum(
    weights=lambda t, h: (h / (2 * t), h / (2 * (t + h))), loss=lambda lam: 3 - lam, error=Fraction(1, 9)
):
    r"""LegS by the trapezoid with $\frac12(Bu_k/k + Bu_{k+1}/(k+1))$ keeps constants and has order 2; the printed
    $Bu_k/k$ does neither.

    For every N: $Ae_0 = -B$ (paper norm), so u ≡ 1 has the exact solution e_0, and $(I-\frac A{2(k+1)})e_0 = (I+\frac
    A{2k})e_0 + (\text{weights})B$ iff the weights of the input sum to $\frac1{2k}+\frac1{2(k+1)}$. On the exact
    solution x = t³ of a mode λ the step leaves −ε³/2 (order 2), the printed one (3−λ)tε² (order 1), 1/(k+1) in all
    three places (the reference implementation) $(6-\frac32\lambda)t\epsilon^2$: order 1, but it keeps constants. The
    printed scheme's first error at k = 1 has the norm 1/3 for N = 5..12, its largest entry is $2/(5\sqrt3)$ = 0.23….
    What the article calls the midpoint is the trapezoid.
    """
    A, e, B = letters("A e B")
    rules = [(A * e, -B)]
    model = {"A": [[-1, 0], [-1, -2]], "e": [1, 0], "B": [1, 1], k: 3}

    def trapezoid(t_: sp.Expr, h: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        return t_, t_ + h

    def first_error(N: int) -> tuple[Any, Any]:
        A_, B_ = root_free("legs", N)
        unit = fmpq_mat([[int(a == c) for c in range(N)] for a in range(N)])
        gap = (unit - fmpq(1, 4) * A_).inv() * (fmpq(1, 4) * B_)  # (1/2 − 1/4)B: what the printed weights add
        squares = [fraction(gap[i, 0]) ** 2 / (2 * i + 1) for i in range(N)]
        return (sum(squares), max(squares)), (error, Fraction(4, 75))

    given = [t > 0]
    total = sum(weights(k, sp.Integer(1)))
    everywhere = 1 / (k + sp.Integer(1))
    return (
        Words((1 - everywhere / 2 * A) * e, (1 + 1 / (2 * k) * A) * e + total * B, rules, model=model, given=[k >= 1]),
        Words(
            (1 - everywhere / 2 * A) * e, (1 + everywhere / 2 * A) * e + (loss(lam) - 2 + lam) * everywhere * B,
            rules, model=model, given=[k >= 1],
        ),
        Identity(_defect(weights, trapezoid), -(eps**3) / 2, [t > 0, eps > 0]),
        Limit(_defect(lambda t, h: (h / t, 0 * h), trapezoid) / eps**2, eps, 0, loss(lam) * t, "+-", given),
        Limit(_defect(lambda t, h: (h / (t + h), 0 * h), lambda t, h: (t + h, t + h)) / eps**2, eps, 0,
              (2 * loss(lam) + lam / 2) * t, "+-", given),
        ForEach(range(5, 13), first_error, over="k = 1, N = 5..12"),
    )  # fmt: skip


@claim(mutants=[dict(ratio=lambda i: fmpq(i + 1, i), sign=-1), dict(input_=0)])
def legs_exact_zoh(ratio=lambda i: fmpq(i, i + 1), sign=1, input_=1):
    r"""For u constant on [t, t+ε) LegS steps exactly: $x(t+\epsilon) = \rho^{-A}x(t) + A^{-1}(\rho^{-A}-I)Bu_k$, ρ =
    t/(t+ε); at t = kε, ρ = k/(k+1).

    For every N: $tx' = dx/d\ln t = Ax + Bu$, so it is the zero-order hold over ln(t+ε) − ln t (`gbt-identities`);
    checked for every mode λ with symbolic t, t₀. $\rho^{-A}$ is known in closed form (`legs-propagator`), which
    answers the article's objection that each step needs a matrix exponential, while N is small. Against the exact
    projection of the signal that jumps from 1 to h at t, for N ≤ 8, k ≤ 6.
    """
    t0 = sp.Symbol("t0", real=True)
    power = sp.exp(sign * lam * (sp.log(t) - sp.log(t0)))
    state = power * x + (power - 1) / lam * b * u

    def jump(case: tuple[int, int]) -> tuple[Any, Any]:
        N, i = case
        A, B = root_free("legs", N)
        start = fmpq_mat([[int(a == 0)] for a in range(N)])
        unit = fmpq_mat([[int(a == c) for c in range(N)] for a in range(N)])
        M, height = propagator(N, ratio(i)), fmpq(5, 3)
        stepped = M * start + A.inv() * (M - unit) * (input_ * height * B)
        place = 2 * fmpq(i, i + 1) - 1
        direct = [
            fmpq(2 * a + 1, 2) * (integral(p, -1, place) + height * integral(p, place, 1))
            for a, p in enumerate(legendre(N))
        ]
        return [row[0] for row in table(stepped)], [fraction(e) for e in direct]

    return Witnesses(
        Identity(t * state.diff(t), lam * state + input_ * b * u, [t > 0, t0 > 0, Ne(lam, 0)]),
        ForEach([(N, i) for N in range(1, 9) for i in range(1, 7)], jump, over="N = 1..8, k = 1..6"),
    )


@claim(mutants=[dict(backward=lambda d: d / (1 - d)), dict(held=lambda d: 1 - d)])
def gating_is_order_1(backward=lambda d: d / (1 + d), held=lambda d: 1 - sp.exp(-d)):
    r"""The first-order memory c' = −c + f gives the gates Δ (forward), $\frac\Delta{1+\Delta}$ (backward),
    $1-e^{-\Delta} = \sigma(z)$ (exact, Δ = softplus z).

    Each step is c ← (1−g)c + gf, as in a gated recurrent unit.
    """
    c, f, d = sp.symbols("c f Delta", real=True)
    gate = backward(d)
    new = (1 - gate) * c + gate * f
    softplus = sp.log(1 + sp.exp(z))
    logistic = 1 / (1 + sp.exp(-z))
    return (
        Identity(new, c + d * (-new + f), [d > 0]),
        Identity(sp.exp(-d) * c + (1 - sp.exp(-d)) * f, (1 - held(d)) * c + held(d) * f),
        Identity(held(softplus), logistic),
    )


@claim(mutants=[dict(product=lambda j, m: math.comb(j, m), offset=0), dict(bound=Rational(1, 2))])
def legs_forward_euler_transient(product=lambda j, m: math.comb(j - 1, m), offset=1, bound=1):
    r"""Forward Euler for LegS multiplies mode j by $\prod_{k=1}^m(1-\frac jk) = (-1)^m\binom{j-1}m$: huge, then
    exactly 0 from m = j on.

    For all m and real j, with $\binom{j-1}m$ by its recurrence in m; against integers for j < 15, m < 20. So N modes
    grow up to $\binom{N-1}{\lfloor(N-1)/2\rfloor}$ before they vanish. The bilinear factor $\frac{1-j/2k}{1+j/2k}$
    never exceeds 1 in size.
    """
    P, C = sp.Function("P"), sp.Function("C")
    m = sp.Symbol("m", integer=True)
    r, i = sp.symbols("j k", real=True)

    def integers(case: tuple[int, int]) -> tuple[Any, Any]:
        mode, count = case
        factors = [1 - Fraction(mode, step) for step in range(1, count + 1)]
        return math.prod(factors, start=Fraction(1)), Fraction((-1) ** count * product(mode, count))

    return (
        Witnesses(
            Induction(
                m, 0, {P(m + 1): P(m) * (1 - r / (m + 1)), C(m + 1): C(m) * (r - 1 - m) / (m + 1)},
                {P(0): 1, C(0): 1}, [sp.Eq(P(m), (-offset) ** m * C(m)) if offset else sp.Eq(P(m), C(m))],
            ),
            ForEach([(mode, c) for mode in range(1, 15) for c in range(20)], integers, over="1 ≤ j < 15, 0 ≤ m < 20"),
        ),
        ForAll(Abs((1 - r / (2 * i)) / (1 + r / (2 * i))) <= bound, [r > 0, i > 0]),
    )  # fmt: skip
