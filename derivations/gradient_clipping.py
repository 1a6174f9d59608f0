r"""Gradient clipping and the smoothness conditions behind it.

Su Jianlin, 《为什么梯度裁剪能加速训练过程?一个简明的分析》 (Why gradient clipping accelerates training: a concise
analysis), Scientific Spaces, 2020-06-05, archive 7469. Zhang, He, Sra, Jadbabaie, Why gradient clipping accelerates
training: a theoretical justification for adaptivity, ICLR 2020, arXiv 1905.11881; Zhang, Jin, Fang, Wang, Improved
analysis of clipping algorithms for non-convex optimization, NeurIPS 2020, arXiv 2010.02519; Vankov et al., 2024, arXiv
2410.10800 (exponential bounds, the logarithmic step).

Three conditions on f, kept apart by name:

    (S) L-smooth:            $\|\nabla f(x+\Delta) - \nabla f(x)\| \le L\|\Delta\|$
    (G) as the article prints it: $\|\nabla f(x+\Delta) - \nabla f(x)\| \le (L_0 + L_1\|\nabla f(x)\|)\|\Delta\|$
        for ALL Δ
    (H) the paper's: f is C² and $\|\nabla^2 f(x)\| \le L_0 + L_1\|\nabla f(x)\|$

θ⁴ and cosh satisfy (H) and not (G). Under (G) the article's descent lemma is exact; under (H) it needs the exponential
bound of `h-growth`, and the article's conclusion survives: the step $1/(L_0 + L_1\|\nabla f\|)$ decreases f by at
least $\tfrac12\|\nabla f\|^2/(L_0 + L_1\|\nabla f\|)$ in every dimension (`h-1d-half`).

Notation: $g = \|\nabla f(x)\|$, $M = L_0 + L_1g$, $y = L_1g/M \in [0, 1]$, $r = \|\Delta\|$; η is the learning rate and
γ the threshold of the clip, ε a tolerance on the gradient; $\Delta_f = f(x_0) - f^*$.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import flint
import sympy as sp
from flint import arb, fmpq, fmpq_poly
from sympy import (
    Abs,
    And,
    Eq,
    Equivalent,
    Implies,
    Min,
    Ne,
    Or,
    Rational,
    cosh,
    exp,
    log,
    sin,
    sinh,
    sqrt,
)

from kexue import (
    All,
    Enclosure,
    Exists,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Induction,
    Integral,
    Limit,
    OperatorIdentity,
    claim,
    erratum,
)
from kexue import Any as SomeValue

from ._arguments import exact_number, whole_number

g, gamma, eta, L, L0, L1, M = sp.symbols("g gamma eta L L0 L1 M", real=True)
theta, x, z, xi, Delta, r, s, t, tau = sp.symbols("theta x z xi Delta r s t tau", real=True)
y, p, q, c, m, k, eps, gap = sp.symbols("y p q c m k epsilon Delta_f", real=True)

HARD = Min(1, gamma / g)
SOFT = gamma / (g + gamma)
CLIPPED = (g > 0, gamma > 0)

LINE = Gram("v", [[g**2]])
(v,) = LINE.vectors()

FORMS = ("hard", "soft", "log")
RULES = ("article", "log")


# Clip factors, steps and constants, exactly


def clip_factor(norm: Any, gamma: Any, form: str = "hard") -> Fraction | sp.Expr:
    r"""The factor of a gradient of the given norm: $\min(1, \gamma/g)$, $\gamma/(g+\gamma)$, or the logarithmic one.

    The logarithmic factor is $(\gamma/g)\ln(1 + g/(g+\gamma))$, the step that `h-optimal-step` finds, in units of
    $1/L_0$; its value at g = 0 is the limit 1.

    Args:
        norm: the gradient's norm, exact and ≥ 0.
        gamma: the threshold, exact and > 0, or `sympy.oo` for no clipping (L1 = 0).
        form: "hard", "soft" or "log".

    Raises:
        ValueError: a negative, inexact or non-finite norm; gamma ≤ 0 or not exact; an unknown form.
    """
    size = exact_number("norm", norm, 0)
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    if gamma is sp.oo:
        return Fraction(1)
    threshold = exact_number("gamma", gamma, 0, strict=True)
    if form == "hard":
        return min(Fraction(1), threshold / size) if size else Fraction(1)
    if form == "soft" or not size:
        return threshold / (size + threshold)
    ratio = size / (size + threshold)
    return _sympy(threshold / size) * log(1 + _sympy(ratio))


def l0l1_step(norm: Any, L0: Any, L1: Any, rule: str = "article") -> Fraction | sp.Expr:
    r"""The learning rate for a gradient of norm g: $1/(L_0 + L_1g)$, or $\ln(1+y)/(L_1g)$ with $y = L_1g/(L_0+L_1g)$.

    Where $L_1g = 0$ the second one is its limit $1/L_0$.

    Raises:
        ValueError: a negative, inexact or non-finite argument; L0 = L1 = 0; L0 = 0 and g = 0, where no step is finite;
            an unknown rule.
    """
    size, first, second = (exact_number(n, e, 0) for n, e in (("norm", norm), ("L0", L0), ("L1", L1)))
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if not first and not second:
        raise ValueError("L0 and L1 must not both be 0")
    modulus = first + second * size
    if not modulus:
        raise ValueError("norm must be > 0 for L0 = 0, got 0: the step 1/(L1·0) is infinite")
    if rule == "article" or not second * size:
        return 1 / modulus
    return log(1 + _sympy(second * size / modulus)) / _sympy(second * size)


def smallest_l0(power: int, L1: Any) -> Fraction:
    r"""The smallest $L_0$ for which $|\theta|^p$ satisfies (H) with this $L_1$: $p(p-2)^{p-2}/L_1^{p-2}$.

    Raises:
        ValueError: power is no integer ≥ 2; L1 is not exact, negative, or 0 with a power > 2 (no L0 is large enough).
    """
    whole_number("power", power, 2)
    slope = exact_number("L1", L1, 0)
    if not slope and power > 2:
        raise ValueError(f"L1 must be > 0 for power = {power}, got 0: the second derivative is unbounded")
    return power * ((power - 2) / slope) ** (power - 2) if power > 2 else Fraction(2)


def h_bound_of_polynomial(coefficients: Sequence[Any], L1: Any = 1, bits: int = 20) -> tuple[Fraction, Fraction]:
    r"""Encloses the smallest $L_0$ with $|P''(x)| \le L_0 + L_1|P'(x)|$ for all real x.

    The maximum of $|P''| - L_1|P'|$ lies at a root of $P'$ or of $P''' \pm L_1P''$; the real roots are isolated by
    Arb, so that both ends are certain, and (H) holds with the upper end.

    Args:
        coefficients: of P, from the constant term on.
        L1: exact, and > 0 unless the degree is at most 2.
        bits: the ends differ by at most 2^(1 − bits).

    Returns:
        (lower, upper), dyadic rationals with lower ≤ L0 ≤ upper.

    Raises:
        ValueError: coefficients that are not exact or missing; L1 < 0, or L1 = 0 with a degree > 2; bits < 0.
    """
    values = [exact_number(f"coefficients[{i}]", e) for i, e in enumerate(coefficients)]
    if not values:
        raise ValueError("coefficients must not be empty")
    whole_number("bits", bits)
    slope = exact_number("L1", L1, 0)
    first = fmpq_poly([_fmpq(e) for e in values]).derivative()
    second = first.derivative()
    third = second.derivative()
    if second.degree() <= 0:
        constant = abs(second[0])
        found = Fraction(int(constant.p), int(constant.q))
        return found, found
    if not slope:
        raise ValueError(f"L1 must be > 0 for degree {first.degree() + 1}, got 0: the second derivative is unbounded")
    places = [first, third - _fmpq(slope) * second, third + _fmpq(slope) * second]
    precision = 2 * bits + 64
    while True:
        with flint.ctx.workprec(precision):
            roots = [root for poly in places for root, _ in poly.numer().complex_roots() if root.imag == 0]
            heights = [abs(_at(second, e.real)) - arb(_fmpq(slope)) * abs(_at(first, e.real)) for e in roots]
            scaled = [e * arb(2) ** bits for e in heights]
            if all(e.rad() < 2**-4 for e in scaled):
                low = max(int(e.lower().floor().unique_fmpz()) for e in scaled)
                high = max(int(e.upper().ceil().unique_fmpz()) for e in scaled)
                return Fraction(low, 2**bits), Fraction(high, 2**bits)
        precision *= 2


def gd_iterates(gradient: Callable[[Fraction], Any], start: Any, step: Any, count: int) -> tuple[Fraction, ...]:
    r"""$x_0, \dots, x_n$ with $x_{k+1} = x_k - \eta\,\nabla f(x_k)$, as fractions.

    Args:
        gradient: the derivative of f, exact on exact arguments.
        start: x_0.
        step: η > 0, or a function of $|\nabla f(x_k)|$ such as `lambda g: l0l1_step(g, 16, 1)`.
        count: n ≥ 0. The digits of the iterates of a non-linear gradient grow exponentially with n.

    Raises:
        ValueError: inexact values, η ≤ 0, or a count that is no integer ≥ 0.
    """
    whole_number("count", count)
    rate = step if callable(step) else (lambda _, fixed=exact_number("step", step, 0, strict=True): fixed)
    found = [exact_number("start", start)]
    for _ in range(count):
        slope = exact_number("gradient", gradient(found[-1]))
        found.append(found[-1] - exact_number("step", rate(abs(slope)), 0, strict=True) * slope)
    return tuple(found)


def certified_steps(
    update: Callable[[arb], arb], size: Callable[[arb], arb], start: Any, tolerance: Any, most: int = 10**5
) -> int | None:
    """The first n ≤ most with size(x_n) ≤ tolerance, x_{k+1} = update(x_k), by balls of 256 bits; else None.

    Raises:
        ArithmeticError: a comparison isn't certain.
    """
    limit = _fmpq(exact_number("tolerance", tolerance, 0, strict=True))
    with flint.ctx.workprec(256):
        x, limit = arb(_fmpq(exact_number("start", start))), arb(limit)
        for n in range(most + 1):
            value = size(x)
            if value <= limit:
                return n
            if not value > limit:
                raise ArithmeticError(f"step {n}: can't compare {value} with the tolerance {tolerance}")
            x = update(x)
    return None


def _fmpq(value: Fraction) -> fmpq:
    return fmpq(value.numerator, value.denominator)


def _sympy(value: Fraction) -> sp.Rational:
    return Rational(value.numerator, value.denominator)


def _at(poly: fmpq_poly, point: arb) -> arb:
    value = arb(0)
    for coefficient in reversed(poly.coeffs()):
        value = value * point + arb(coefficient)
    return value


# The two clip rules


@claim(mutants=[dict(lower=Rational(51, 100)), dict(upper=Rational(99, 100)), dict(place=2)])
def two_sided(lower=Rational(1, 2), upper=1, place=Rational(1, 2)):
    r"""$\tfrac12\min(1,\gamma/g) \le \gamma/(g+\gamma) < \min(1,\gamma/g)$ for all $g, \gamma > 0$.

    Equality on the left iff g = γ, so ½ is the best constant. 1 is the best one on the right: a smaller k is exceeded
    at $g = (1-k)\gamma/2$.
    """
    return (
        ForAll(And(lower * HARD <= SOFT, SOFT < upper * HARD), CLIPPED),
        ForAll(Equivalent(Eq(lower * HARD, SOFT), Eq(g, gamma)), CLIPPED),
        ForAll((SOFT > k * HARD).subs(g, (1 - k) * gamma * place), [k > 0, k < 1, gamma > 0]),
    )


def _soft_jacobian(direction: Any, ball: Gram) -> Any:
    """The derivative of v ↦ vγ/(‖v‖+γ) along a direction, in any dimension; ‖v‖ = g."""
    u = ball.vectors()[0]
    square = g**2 + 2 * t * u.dot(direction) + t**2 * direction.dot(direction)
    slope = sp.diff(gamma / (sqrt(square) + gamma), t).subs(t, 0).subs(sqrt(g**2), g)
    return SOFT * direction + slope * u


@claim(
    mutants=[
        dict(most=Rational(49, 100), radius=Rational(9, 10)),
        dict(radial=gamma / (g + gamma), tangential=gamma**2 / (g + gamma) ** 2),
        dict(idempotent=lambda size: gamma / (size + gamma), contraction=Rational(9, 10), twice=1),
        dict(idempotent=lambda size: gamma / (size + gamma), hard=lambda size: gamma / (size + gamma)),
    ]
)
def clip_gap(
    most=Rational(1, 2),
    radius=1,
    radial=gamma**2 / (g + gamma) ** 2,
    tangential=gamma / (g + gamma),
    idempotent=lambda size: Min(1, gamma / size),
    contraction=1,
    twice=2,
    hard=lambda size: Min(1, gamma / size),
):
    r"""$0 \le \min(1,\gamma/g) - \gamma/(g+\gamma) \le \tfrac12$; form 1 has $\|\text{update}\| \le \eta\gamma$ with
    equality iff $g \ge \gamma$, form 2 $< \eta\gamma$.

    Norms are stated per η. Both forms keep the direction and are nondecreasing in g. In every dimension: the map $v
    \mapsto v\gamma/(\|v\|+\gamma)$ has the Jacobian eigenvalues $\gamma^2/(g+\gamma)^2$ along v and $\gamma/(g+\gamma)$
    across, and is 1-Lipschitz (origin included); form 1 is the Euclidean projection onto the ball of radius γ: it
    satisfies $\langle v - Pv, w - Pv\rangle \le 0$ for all $\|w\| \le \gamma$, and is idempotent. By Cauchy–Schwarz an
    inner product c of vectors of norms p and q takes values in [−pq, pq] only; with the factors a, b ≤ 1 of form 2,
    $\|av-bw\|^2 = (ap-bq)^2 + 2ab(pq-c) \le (p-q)^2 + 2(pq-c)$. Form 2 is not idempotent.
    """
    pair = Gram("v w", [[g**2, 0], [0, 1]])
    along, across = pair.vectors()
    soft = [gamma / (n + gamma) for n in (p, q)]
    scale = hard(p)
    norms = [p > 0, q >= 0, c >= -p * q, c <= p * q, gamma > 0]

    def distance(a: Any, b: Any) -> sp.Expr:
        """‖av − bw‖² for ‖v‖ = p, ‖w‖ = q, ⟨v, w⟩ = c."""
        return a**2 * p**2 + b**2 * q**2 - 2 * a * b * c

    return (
        ForAll(And(0 <= HARD - SOFT, HARD - SOFT <= most), CLIPPED),
        ForAll(And(g * HARD <= radius * gamma, g * SOFT < radius * gamma), CLIPPED),
        ForAll(Equivalent(Eq(g * HARD, radius * gamma), g >= gamma), CLIPPED),
        Identity(sp.diff(g * SOFT, g), radial, CLIPPED),
        ForAll(Implies(p <= g, p * hard(p) <= radius * g * HARD), [*CLIPPED, p > 0]),
        OperatorIdentity(_soft_jacobian(along, pair), radial * along, CLIPPED),
        OperatorIdentity(_soft_jacobian(across, pair), tangential * across, CLIPPED),
        Identity(distance(*soft), (p * soft[0] - q * soft[1]) ** 2 + twice * soft[0] * soft[1] * (p * q - c), norms),
        Identity(distance(1, 1), (p - q) ** 2 + twice * (p * q - c)),
        ForAll(
            And((p * soft[0] - q * soft[1]) ** 2 <= contraction * (p - q) ** 2, soft[0] * soft[1] <= contraction),
            [p >= 0, q >= 0, gamma > 0],
        ),
        ForAll(Implies(q <= gamma, (1 - scale) * (c - scale * p**2) <= 0), norms),
        ForAll(Eq(idempotent(p * idempotent(p)), 1), [p > 0, gamma > 0]),
    )


@claim(mutants=[dict(beta=Rational(3, 4)), dict(offset=eta * gamma)])
def rmsprop_link(beta=0, offset=gamma):
    r"""Form 2 is normalised gradient descent with the rate ηγ and ε = γ: $\eta\nabla f\frac{\gamma}{\|\nabla
    f\|+\gamma} = \eta\gamma\,\frac{\nabla f}{\sqrt{V}+\gamma}$ with $V = \|\nabla f\|^2$.

    V is the first accumulator $(1-\beta)\|\nabla f\|^2$ of RMSProp on the norm of the full vector, with β = 0. Every
    dimension.
    """
    accumulator = (1 - beta) * v.dot(v)
    given = [*CLIPPED, eta > 0]
    return OperatorIdentity(eta * SOFT * v, eta * gamma / (sqrt(accumulator) + offset) * v, given)


# L-smoothness


def _gradient_step(modulus: sp.Expr) -> sp.Expr:
    """⟨v, Δ⟩ + ½ modulus ‖Δ‖² at Δ = −ηv with ‖v‖ = g, in any dimension."""
    move = -eta * v
    return v.dot(move) + modulus * move.dot(move) / 2


def _descent_parts(modulus: sp.Expr, half: Any, slope: Any, given: Sequence[Any]) -> tuple[Any, ...]:
    """From ‖∇f(x+sΔ) − ∇f(x)‖ = p ≤ modulus·s·r to the quadratic bound: c is the inner product with Δ."""
    total = slope * modulus * s * r**2
    return (
        ForAll(Implies(And(p <= modulus * s * r, c <= p * r), c <= total), [*given, s >= 0, s <= 1, r >= 0, p >= 0]),
        Integral(total, s, 0, 1, half * modulus * r**2, primitive=slope * modulus * s**2 * r**2 / 2, given=given),
    )


def _step_parts(modulus: sp.Expr, threshold: Any, best: Any, given: Sequence[Any]) -> tuple[Any, ...]:
    """The decrease (η − ½ modulus η²)g², where it is positive, and where it is greatest."""
    decrease = (eta - modulus * eta**2 / threshold) * g**2
    most = g**2 / (2 * modulus)
    positive = [*given, modulus > 0, g > 0]
    return (
        Identity(-_gradient_step(modulus), decrease),
        ForAll(Equivalent((eta - modulus * eta**2 / 2) * g**2 > 0, And(eta > 0, eta * modulus < threshold)), positive),
        ForAll((eta - modulus * eta**2 / 2) * g**2 <= most / best, positive),
        ForAll(Equivalent(Eq((eta - modulus * eta**2 / 2) * g**2, most), Eq(eta * modulus, best)), positive),
    )


@claim(mutants=[dict(size=lambda a, b: Abs(a + b) <= L), dict(end=Rational(1, 2))])
def l_iff_hessian(size=lambda a, b: And(Abs(a) <= L, Abs(b) <= L), end=1):
    r"""For $f \in C^2$: (S) with L holds iff $\|\nabla^2 f(x)\|_2 \le L$ for all x.

    ⇐: $\nabla f(x+\Delta) - \nabla f(x) = \int_0^1 \nabla^2 f(x+s\Delta)\Delta\,ds$, checked for the generic cubic in
    two variables, and the norm of an integral is at most the integral of the norms (every dimension). ⇒: along an
    eigenvector the difference quotient tends to |λ|, and what is at most L arbitrarily near |λ| bounds |λ|. In an
    orthonormal eigenbasis $\|H\Delta\| \le L\|\Delta\|$ for all Δ iff all $|\lambda_i| \le L$, by Δ along the axes
    (checked in two dimensions, with the squares of Δ's coordinates). |tr ∇²f| ≤ L does not do: $x^2 - z^2$ has trace 0.
    """
    a, b = sp.symbols("lambda_1 lambda_2", real=True)
    e, h = sp.symbols("Delta_1 Delta_2", real=True)
    cubic = sum((sp.Symbol(f"a{i}{j}", real=True) * x**i * z**j for i in range(4) for j in range(4 - i)), sp.S.Zero)
    here = {x: x + s * e, z: z + s * h}
    parts = []
    for variable in (x, z):
        slope = sp.diff(cubic, variable).xreplace(here)
        hessian_row = [sp.diff(cubic, variable, w).xreplace(here) for w in (x, z)]
        change = slope.subs(s, 1) - slope.subs(s, 0)
        parts.append(Integral(hessian_row[0] * e + hessian_row[1] * h, s, 0, end, change, primitive=slope))
    near = SomeValue(q, And(Abs(q - p) <= eps, Abs(q) <= L))
    return (
        *parts,
        ForAll(Implies(size(a, b), a**2 * e + b**2 * h <= L**2 * (e + h)), [L >= 0, e >= 0, h >= 0]),
        ForAll(Implies(And(a**2 <= L**2, b**2 <= L**2), size(a, b)), L >= 0),
        ForAll(Implies(All(eps, Implies(eps > 0, near)), Abs(p) <= end * L), L >= 0),
    )


@claim(mutants=[dict(half=Rational(49, 100)), dict(slope=Rational(9, 10))])
def descent_l(half=Rational(1, 2), slope=1):
    r"""(S) implies $f(x+\Delta) \le f(x) + \langle\nabla f(x),\Delta\rangle + \tfrac12L\|\Delta\|^2$; $f =
    \tfrac12Lx^2$ attains it.

    Every dimension: $h(s) = f(x+s\Delta)$ has $h'(s) - h'(0) = \langle\nabla f(x+s\Delta) - \nabla f(x), \Delta\rangle
    \le Ls\|\Delta\|^2$ by (S) and Cauchy–Schwarz, and $\int_0^1 Ls\|\Delta\|^2 ds = \tfrac12L\|\Delta\|^2$.
    """
    f = L * x**2 / 2
    moved = f.subs(x, x + Delta) - f - sp.diff(f, x) * Delta
    return (*_descent_parts(L, half, slope, [L >= 0]), Identity(moved, half * L * Delta**2))


@claim(mutants=[dict(sign=1), dict(parallel=1)])
def descent_not_equivalent(sign=-1, parallel=Rational(1, 2)):
    r"""The descent inequality alone doesn't give (S): $f = -x^4$ satisfies it with L = 0 and isn't L-smooth for any L.

    The remainder is $-\Delta^2(6x^2 + 4x\Delta + \Delta^2)$, whose bracket has the discriminant $-8\Delta^2$. With L =
    0 the inequality holds for every L ≥ 0, hence for $L_0 + L_1g$ too. Both inequalities, for f and −f, do give (S),
    for every differentiable f in every dimension: with $u = \nabla f(x) - \nabla f(z)$, $d = z - x$, adding the four
    inequalities at $z + e$ and $x - e$ gives $\langle u, d + 2e\rangle \le L(\|e\|^2 + \|d + e\|^2) = \tfrac12L(\|d\|^2
    + \|w\|^2)$ with $w = d + 2e$ arbitrary, and $w = \|d\|u/\|u\|$ gives $\|u\| \le L\|d\|$.
    """
    f = sign * x**4
    remainder = f.subs(x, x + Delta) - f - sp.diff(f, x) * Delta
    bracket = 6 * x**2 + 4 * x * Delta + Delta**2
    square, product, other = sp.symbols("d2 de e2", real=True)
    d, e = Gram("d e", [[square, product], [product, other]]).vectors()
    w = d + 2 * e
    return (
        Identity(remainder, -(Delta**2) * bracket),
        Identity(sp.discriminant(bracket, x), sign * 8 * Delta**2),
        ForAll(remainder <= L / 2 * Delta**2, L >= 0),
        ForAll(Abs(4 * sign * (L + 1) ** 3) > L * Abs(L + 1) + (1 + sign) * L**4, L >= 0),
        Identity(e.dot(e) + (d + e).dot(d + e), parallel * (d.dot(d) + w.dot(w))),
        ForAll(Implies(p * q <= parallel * L * (q**2 + q**2), p <= L * q), [p >= 0, q > 0, L >= 0]),
    )


@claim(mutants=[dict(threshold=Rational(21, 10)), dict(best=Rational(11, 10))])
def gd_step_l(threshold=2, best=1):
    r"""On $\Delta = -\eta\nabla f$ the bound decreases by $(\eta - \tfrac12L\eta^2)g^2$: positive iff $0 < \eta < 2/L$,
    at most $g^2/2L$, there iff $\eta = 1/L$.

    Every dimension (L > 0, g > 0). The threshold is sharp: with η = 2/L, $f = \tfrac12Lx^2$ oscillates between x and −x
    forever.
    """
    f = L * x**2 / 2
    return (
        *_step_parts(L, threshold, best, []),
        Identity(x - threshold / L * sp.diff(f, x), -x, L > 0),
    )


@claim(mutants=[dict(threshold=2 / L), dict(best=1 / L)])
def step_optimal_for_bound_only(threshold=None, best=None):
    r"""On $f = \tfrac12ax^2$ with $0 < a < L$ the step decreases f iff $0 < \eta < 2/a$, and $\eta = 1/a > 1/L$ is
    best.

    So η < 2/L is sufficient and not necessary, and η = 1/L is optimal for the bound only: a step with 2/L < η < 2/a
    decreases f too.
    """
    a = sp.Symbol("a", real=True)
    f = a * x**2 / 2
    after = f.subs(x, x - eta * sp.diff(f, x))
    largest = 2 / a if threshold is None else threshold
    given = [a > 0, L > a, Ne(x, 0)]
    return (
        ForAll(Equivalent(after < f, And(eta > 0, eta < largest)), given),
        ForAll(Equivalent(after <= 0, Eq(eta, 1 / a if best is None else best)), given),
        Exists(And(after < f, eta > 2 / L, eta < largest), {a: 1, L: 3, eta: 1, x: 1}),
    )


@claim(mutants=[dict(two=1)])
def l_implies_rate(two=2):
    r"""$\eta = 1/L$ gives $\min_{k<K}\|\nabla f(x_k)\|^2 \le 2L(f_0 - f^*)/K$ for every K.

    With m the minimum, $f_k \le f_0 - km/2L$ by induction on k: its step, from $f_{k+1} \le f_k - g_k^2/2L$ and $g_k^2
    \ge m$, is checked for all reals; at k = K it meets $f^* \le f_K$.
    """
    start, here, there, least = sp.symbols("f_0 f_k f_next f_star", real=True)
    return (
        ForAll(
            Implies(
                And(here <= start - k * m / (two * L), there <= here - q / (2 * L), q >= m),
                there <= start - (k + 1) * m / (two * L),
            ),
            [L > 0, k >= 0, m >= 0],
        ),
        ForAll(
            Implies(And(least <= here, here <= start - k * m / (2 * L)), m <= two * L * (start - least) / k),
            [L > 0, k >= 1],
        ),
    )


# The relaxed condition


@erratum(
    printed=dict(admissible=L0 * L1**2 >= 16),
    mutants=[dict(radius=3), dict(growth=Rational(1, 2))],
)
def quartic_not_g(admissible=sp.false, radius=4, growth=1):
    r"""$\theta^4$ does not satisfy (G) for any $L_0, L_1$: at θ = 0 it says $4|\Delta|^3 \le L_0|\Delta|$, which fails
    for $|\Delta| > \sqrt{L_0}/2$.

    For every pair the point $\Delta = L_0 + 1$ violates it. The article says that one can verify it for θ⁴; what holds
    is (H), with $L_0L_1^2 \ge 16$ (`quartic-h`): these pairs are refuted as the printed version. In general (G) at one
    fixed point gives $\|\nabla f(x+\Delta)\| \le m + (L_0+L_1m)\|\Delta\|$ with $m = \|\nabla f(x)\|$ by the triangle
    inequality, so that no f of superquadratic growth satisfies it.
    """
    change = Abs(4 * (theta + Delta) ** 3 - 4 * theta**3)
    condition = (change <= (L0 + L1 * Abs(4 * theta**3)) * Abs(Delta)).subs(theta, 0)
    return (
        ForAll(Equivalent(condition.subs(Delta, L0 + 1), admissible), [L0 >= 0, L1 > 0]),
        ForAll(Equivalent(condition, Or(Eq(Delta, 0), radius * Delta**2 <= L0)), L0 >= 0),
        ForAll(
            Implies(And(p <= q + m, q <= (L0 + L1 * m) * r), p <= m + growth * (L0 + L1 * m) * r),
            [L0 >= 0, L1 >= 0, m >= 0, r >= 0],
        ),
    )


@claim(
    mutants=[dict(four=15), dict(general=k * (k - 1) ** (k - 2) / L1 ** (k - 2)), dict(peak=k - 1, least=lambda _: 1)]
)
def quartic_h(four=16, general=k * (k - 2) ** (k - 2) / L1 ** (k - 2), peak=k - 2, least=lambda n: smallest_l0(n, 1)):
    r"""$\theta^4$ satisfies (H) iff $L_0 \ge 16/L_1^2$; $|\theta|^k$, k > 2, iff $L_0 \ge k(k-2)^{k-2}/L_1^{k-2}$ ($L_1
    > 0$).

    For every real k > 2, with t = |θ| > 0: $\phi(t) = k(k-1)t^{k-2} - L_1kt^{k-1}$ has $\phi' =
    k(k-1)t^{k-3}L_1((k-2)/L_1 - t)$, so its maximum is at $t = (k-2)/L_1$, and that value is the bound. The powers 3, 4
    and 6 are also decided as they stand, for all θ: the bound suffices, and at the worst θ it is needed; `smallest_l0`
    gives it.
    """
    height = k * (k - 1) * t ** (k - 2) - L1 * k * t ** (k - 1)
    given = [k > 2, L1 > 0]

    def decided(n: int, smallest: Any) -> tuple[ForAll, ForAll]:
        size = Abs(theta)
        first, second, bound = n * size ** (n - 1), n * (n - 1) * size ** (n - 2), smallest / L1 ** (n - 2)
        worst = (second <= L0 + L1 * first).subs(theta, (n - 2) / L1)
        return ForAll(second <= bound + L1 * first, L1 > 0), ForAll(Equivalent(worst, L0 >= bound), L1 > 0)

    return (
        *decided(4, four),
        *decided(3, least(3)),
        *decided(6, least(6)),
        Identity(sp.diff(height, t), k * (k - 1) * t ** (k - 3) * L1 * (peak / L1 - t), [*given, t > 0]),
        Identity(height.subs(t, peak / L1), general, given),
    )


@claim(
    mutants=[
        dict(exponential=Rational(9, 10), constant=Rational(9, 10), far=1 / (1 + L0 + L1)),
        dict(constant=Rational(9, 10), steep=Rational(1, 10)),
    ]
)
def exp_cosh(exponential=1, constant=1, far=L0 + L1 + 1, steep=2):
    r"""$e^x$ satisfies (H) with $(L_0, L_1) = (0, 1)$ and cosh with (1, 1); neither is L-smooth, and $e^{x^2}$ doesn't
    satisfy (H) for any $L_0, L_1$.

    cosh x exceeds every L ≥ 0 at x = 2L, and so does $e^x \ge \cosh x$ there. For $f = e^{x^2}$, $f'' > L_0 + L_1|f'|$
    at $x = L_0 + L_1 + 1$.
    """
    bump = exp(x**2)
    two_sides = (exp(x) + exp(-x)) / 2
    first, second = sp.diff(bump, x), sp.diff(bump, x, 2)
    return (
        ForAll(sp.Le(exp(x), exponential * exp(x), evaluate=False)),
        ForAll(cosh(x) <= constant + Abs(sinh(x))),
        Identity(two_sides, cosh(x) * constant),
        ForAll((sp.diff(two_sides, x, 2) > L).subs(x, steep * L), L >= 0),
        ForAll((second > L0 + L1 * first).subs(x, far), [L0 >= 0, L1 >= 0]),
    )


@claim(
    mutants=[
        dict(count=0),
        dict(enough=Rational(9, 10), bound=lambda poly: h_bound_of_polynomial(poly)[0] * Fraction(9, 10)),
        dict(mixed=x + z**2),
    ]
)
def univariate_polynomials(count=1, enough=1, bound=lambda poly: h_bound_of_polynomial(poly)[1], mixed=x**2 * z**2):
    r"""Every univariate polynomial satisfies (H), for every $L_1 > 0$ with some $L_0$; $x^2z^2$ doesn't for any $L_0,
    L_1$.

    Let P' have degree n with all its complex roots in |x| ≤ ρ. Then $|P''|(|x|-\rho) \le n|P'|$ for |x| > ρ: the
    induction over the roots multiplies by one more factor x − ω, $|x-\omega| \ge |x|-\rho$, and its step is checked for
    all reals. So $|P''| \le L_1|P'|$ for $|x| \ge \rho + n/L_1$, and the rest is compact. `h_bound_of_polynomial` finds
    a nearly smallest $L_0$; for three polynomials z3 confirms its result for all x. In two variables $x^2z^2$ has at
    (0, z) the gradient 0 and the unbounded Hessian entry $2z^2$.
    """
    n, value, slope, after, distance = sp.symbols("n P Q R d", real=True)
    mixed_slope = [sp.diff(mixed, w).subs(x, 0) for w in (x, z)]
    parts = []
    for poly in POLYNOMIALS:
        f = sum((e * x**i for i, e in enumerate(poly)), sp.S.Zero)
        parts.append(ForAll(Abs(sp.diff(f, x, 2)) <= _sympy(Fraction(bound(poly))) + Abs(sp.diff(f, x))))
    return (
        ForAll(
            Implies(
                And(slope * t <= n * value, after <= value + distance * slope, distance >= t),
                after * t <= (n + count) * distance * value,
            ),
            [n >= 0, value >= 0, slope >= 0, t > 0],
        ),
        ForAll(Implies(And(slope * t <= n * value, t * L1 >= enough * n), slope <= L1 * value),
               [L1 > 0, n >= 0, value >= 0, slope >= 0, t > 0]),
        *parts,
        Identity(sp.Matrix(mixed_slope), sp.zeros(2, 1), z > 0),
        ForAll(sp.diff(mixed, x, 2).subs({x: 0, z: L0 + 1}) > L0 + 0 * L1, L0 >= 0),
    )  # fmt: skip


@claim(
    mutants=[
        dict(second=0, spread=Rational(3, 2)),
        dict(tight=Rational(1, 2), power=2),
        dict(turn=Rational(1, 4)),
    ]
)
def strict_inclusions(second=2, spread=3, tight=1, power=4, turn=2):
    r"""(S) ⊊ (G) ⊊ (H) for C² functions; $f'(x) = x + \sin x^2$ satisfies (G) with (5, 2) and not (S).

    (S) is (G) with $L_1 = 0$. (G) ⇒ (H): the difference quotients along an eigenvector are at most M and come
    arbitrarily near |λ|. Strict: θ⁴ satisfies (H) with (16, 1) and not (G), as for every pair (`quartic-not-g`). For
    $f' = x + \sin x^2$: if $|x-z| \ge 1$, the change is at most $3|x-z|$; if $|x-z| < 1$, the mean value theorem gives
    a slope $1 + 2\xi\cos\xi^2$ with $|\xi-x| < 1$. Not (S): the slope at $\xi = \sqrt{2\pi n}$ is $1 + 2\sqrt{2\pi n}$,
    which exceeds any L at an integer $n \ge L^2$.
    """
    n = sp.Symbol("n", integer=True)
    f = x + sin(x**2)
    slope = sp.diff(f, x).subs(x, xi)
    near = SomeValue(q, And(Abs(q - p) <= eps, Abs(q) <= M))
    quartic = theta**power
    return (
        ForAll(Implies(All(eps, Implies(eps > 0, near)), Abs(p) <= tight * M), M >= 0),
        ForAll(12 * theta**2 <= 16 * tight + Abs(4 * theta**3)),
        ForAll((Abs(sp.diff(quartic, theta)) > L0 * Abs(theta)).subs(theta, L0 + 1), L0 >= 0),
        ForAll(Implies(Abs(x - z) >= 1, Abs(f - f.subs(x, z)) <= spread * Abs(x - z))),
        ForAll(Abs(slope) <= 5 + second * Abs(f), Abs(xi - x) < 1),
        Identity(slope.subs(xi, sqrt(2 * sp.pi * n)), 1 + turn * sqrt(2 * sp.pi * n), n >= 1),
        ForAll(1 + turn * sqrt(2 * sp.pi * t) > L, [L >= 0, t >= L**2]),
    )


@claim(
    mutants=[
        dict(half=Rational(49, 100)),
        dict(slope=Rational(9, 10)),
        dict(threshold=Rational(21, 10)),
        dict(best=2),
    ]
)
def g_descent(half=Rational(1, 2), slope=1, threshold=2, best=1):
    r"""(G) implies $f(x+\Delta) \le f(x) + \langle\nabla f,\Delta\rangle + \tfrac12(L_0+L_1g)\|\Delta\|^2$, so $\eta <
    2/(L_0+L_1g)$ decreases f and $\eta^* = 1/(L_0+L_1g)$ is best, with decrease $\tfrac12g^2/(L_0+L_1g)$.

    Every dimension; the proof of `descent-l` with the modulus at x, which (G) gives for all Δ at once. Best means best
    for the bound.
    """
    modulus, given = L0 + L1 * g, [L0 >= 0, L1 >= 0, g >= 0]
    return (*_descent_parts(modulus, half, slope, given), *_step_parts(modulus, threshold, best, given))


@claim(mutants=[dict(threshold=L1 / L0)])
def clip2_from_step(threshold=L0 / L1):
    r"""$\dfrac{1}{L_0+L_1g} = \eta\dfrac{\gamma}{g+\gamma}$ with $\eta = 1/L_0$ and $\gamma = L_0/L_1$ ($L_0, L_1 >
    0$).

    For L1 = 0 the threshold is infinite: no clipping.
    """
    return Identity(1 / (L0 + L1 * g), 1 / L0 * threshold / (g + threshold), [L0 > 0, L1 > 0, g >= 0])


POLYNOMIALS = ((0, 0, 1, 0, 1), (1, -3, 0, 2, 0, -1), (0, 0, 0, 0, -3, 0, 1))  # from the constant term on


@claim(mutants=[dict(bound=lambda size: L0 * size**3), dict(rate=3), dict(waves=Rational(1, 2))])
def g_fixed_step_1d(bound=lambda size: L0 * size, rate=1, waves=5):
    r"""(G) at a stationary point $x^*$ gives $\|\nabla f(x)\| \le L_0\|x-x^*\|$ for all x; so in 1-D, if $f'$ has the
    sign of $x-x^*$, gradient descent with any fixed $\eta \le 1/L_0$ stays between x and $x^*$ and never increases f.

    f is monotone on both sides of x*, so betweenness is all that is needed (x* = 0 here, p is $f'(x)$). Under the
    literal condition (G) clipping isn't needed there; its necessity is about (H), under which θ⁴ and cosh diverge for
    every fixed step from far enough (`gd-threshold-quartic`). Example: $f' = x + \sin x^2$ with $L_0 = 5$ has the sign
    of x and $|f'| \le 5|x|$, for $|x| \ge 1$ by $|\sin| \le 1$ and on [−1, 1] by enclosure.
    """
    f = x + sin(x**2)
    after = x - eta * p
    return (
        ForAll(
            Implies(
                And(p * x >= 0, Abs(p) <= bound(Abs(x)), eta * L0 <= rate),
                And(after * x >= 0, Abs(after) <= Abs(x)),
            ),
            [L0 > 0, eta > 0],
        ),
        ForAll(And(f * x >= 0, Abs(f) <= waves * Abs(x)), Abs(x) >= 1),
        Enclosure(f * x, lower=0, upper=waves * x**2, box={x: (-1, 1)}, touches={0: 2}),
    )


# Descent under (H)


@claim(mutants=[dict(bound=lambda w: w**2 / 2), dict(growth=lambda w: w), dict(sign=-1)])
def h_growth(bound=lambda w: exp(w) - w - 1, growth=lambda w: exp(w) - 1, sign=1):
    r"""(H) implies $\|\nabla f(x+\Delta)-\nabla f(x)\| \le M\frac{e^{L_1r}-1}{L_1}$ and $f(x+\Delta) \le f(x) +
    \langle\nabla f,\Delta\rangle + M\frac{e^{L_1r}-L_1r-1}{L_1^2}$, with $M = L_0+L_1g$, $L_1 > 0$.

    Every dimension. Grönwall: let $v(s) = \|\nabla f(x+s\Delta)-\nabla f(x)\|$ and $U(s) = \int_0^s r(M+L_1v)$; then $v
    \le U$ by (H), so $U' \le r(M+L_1U)$, hence $(Ue^{-L_1rs})' = e^{-L_1rs}(U'-L_1rU) \le rMe^{-L_1rs}$, which
    integrates to $U(s) \le M(e^{L_1rs}-1)/L_1$; times r this integrates to the second bound. Both are attained by $e^x$
    with (0, 1).
    """
    U = sp.Function("U")
    given = [L1 > 0, r >= 0, M > 0]
    change = exp(x + r) - exp(x)
    limit = M * growth(L1 * r * s) / L1
    return (
        Identity(
            sp.diff(U(s) * exp(-L1 * r * s), s), exp(-L1 * r * s) * (sp.diff(U(s), s) - sign * L1 * r * U(s))
        ),
        Integral(r * M * exp(-L1 * r * t), t, 0, s, limit * exp(-L1 * r * s),
                 primitive=-M * exp(-L1 * r * t) / L1, given=[*given, s > 0]),
        Integral(r * limit, s, 0, 1, M * bound(L1 * r) / L1**2,
                 primitive=M * (exp(L1 * r * s) - L1 * r * s) / L1**2, given=[*given, r > 0]),
        Identity(change, exp(x) * growth(r)),
        Identity(change - r * exp(x), exp(x) * bound(r)),
    )  # fmt: skip


RATIO = L1 * g / M  # y
AT_POINT = (L1 > 0, L0 >= 0, g > 0, Eq(M, L0 + L1 * g))
LN2 = 2 * log(2) - 1


def _exponential_bound(rate: sp.Expr) -> sp.Expr:
    """The decrease that `h-growth` guarantees for Δ = −rate·∇f."""
    return rate * g**2 - M * (exp(L1 * rate * g) - L1 * rate * g - 1) / L1**2


@claim(mutants=[dict(share=Rational(29, 100)), dict(linear=2)])
def h_safe_step(share=3 - sp.E, linear=1):
    r"""Under (H) the article's step $\eta = 1/(L_0+L_1g)$ still descends: $f(x^+) \le f(x) - (3-e)\,g^2/(L_0+L_1g)$,
    $3-e = .2817…$.

    By `h-growth` the decrease is at least $(y^2+y+1-e^y)M/L_1^2$ with $y = L_1g/M \in (0, 1]$, and $g^2/M =
    y^2M/L_1^2$; $y^2+y+1-e^y \ge (3-e)y^2$ on [0, 1] with equality at both ends. `h-1d-half` improves the constant to
    ½.
    """
    guaranteed = y**2 + linear * y + 1 - exp(y)
    return (
        Identity(_exponential_bound(1 / M), guaranteed.subs(y, RATIO) * M / L1**2, [L1 > 0, M > 0]),
        Identity(g**2 / M, linear * RATIO**2 * M / L1**2, [L1 > 0, M > 0]),
        Enclosure(guaranteed, lower=share * y**2, box={y: (0, 1)}, touches={0: 2, 1: 1}),
    )


@claim(mutants=[dict(optimum=RATIO), dict(share=Rational(39, 100)), dict(convex=-1)])
def h_optimal_step(optimum=log(1 + RATIO), share=LN2, convex=1):
    r"""The bound of `h-growth` is best at $\eta = \ln(1+y)/(L_1g) \le 1/(L_0+L_1g)$, with decrease
    $((1+y)\ln(1+y)-y)M/L_1^2 \ge (2\ln2-1)g^2/M$, $2\ln2-1 = .3863…$.

    The derivative of the bound in η vanishes there, and its second derivative is negative for all η. On [0, 1]
    $(1+y)\ln(1+y)-y \ge (2\ln2-1)y^2$, with equality at both ends.
    """
    decrease = _exponential_bound(eta)
    best = optimum / (L1 * g)
    gained = (1 + y) * log(1 + y) - y
    given = [L1 > 0, M > 0, g > 0]
    return (
        Identity(sp.diff(decrease, eta).subs(eta, best), 0, given),
        ForAll(convex * sp.diff(decrease, eta, 2) < 0, given),
        ForAll(log(1 + y) <= convex * y, [y > 0, y <= 1]),
        Identity(decrease.subs(eta, best), gained.subs(y, RATIO) * M / L1**2, given),
        Enclosure(gained, lower=share * y**2, box={y: (0, 1)}, touches={0: 2, 1: 1}),
    )


@claim(
    mutants=[
        dict(half=Rational(13, 25)),
        dict(weight=lambda u: u),
        dict(penalty=lambda u: u * (1 - exp(-u)) / 2),
        dict(twice=1),
        dict(slack=Rational(1, 2)),
    ]
)
def h_1d_half(
    half=Rational(1, 2),
    weight=lambda u: 1 - exp(-u),
    penalty=lambda u: (1 - exp(-u)) * u / (1 - u),
    twice=2,
    slack=1,
):
    r"""Under (H) the article's constant ½ is right, in every dimension: $\eta = 1/M$ decreases f by at least
    $(1-e^{-y}-y+y^2)M/L_1^2 \ge \tfrac12g^2/M$, and the first bound is attained in 1-D.

    Proof for every d, in units with $L_1 = 1$ (replace f by $L_1^2f(x/L_1)$), for 0 < y < 1, that is $L_0 = (1-y)M > 0$
    and g = yM > 0; y = 1 is the limit, since (H) with $L_0 = 0$ implies it with every $L_0 > 0$ and f is continuous. In
    1-D it is short: $f'$ can't fall faster than along the path at the end. In more dimensions the gradient might turn
    aside, to where it may change faster; the function W below shows that this doesn't pay. Along the step let $u(s) =
    \nabla f(x-se)$, $e = \nabla f(x)/g$, $a = \langle u,e\rangle$, $\rho = \|u\|$, $\tau = y-s$; then $\|u'\| \le
    L_0+\rho$ and the decrease is $\int_0^y a\,ds$.

    (i) $(e^s(L_0+\rho))' \ge 0$, so $\rho \ge M(e^{-s}-1+y) \ge M\tau$, hence $1+L_0/\rho \le 1/\tau$. (ii) With
    $C(\tau) = 1-e^{-\tau}$ and $k = C\tau/(1-\tau)$ let $W(s) = C(L_0+a) - L_0\tau - k(\rho-a)$. Then $W' + a =
    C(L_0+a) + k_\tau(\rho-a) + \langle u', (C+k)e - ku/\rho\rangle$. (iii) $\|(C+k)e-ku/\rho\| \le C +
    k(C+k)(1-a/\rho)/C$, so $W' + a \ge (\rho-a)(k_\tau - C - (1+L_0/\rho)k(1+k/C))$. (iv) The last bracket is at least
    $k_\tau - C - k(1+k/C)/\tau = (e^{-\tau}-1+\tau)/(1-\tau) \ge 0$. (v) W vanishes at s = y and $W(0) =
    (1-e^{-y}-y+y^2)M$. So the straight way down is the worst case: $u' = -(L_0+\rho)e$ attains it.
    """
    a, rho = sp.Function("a"), sp.Function("rho")
    C, K = weight(tau), penalty(tau)
    spent = y - s
    W = weight(spent) * (L0 + a(s)) - L0 * spent - penalty(spent) * (rho(s) - a(s))
    slope = sp.diff(K, tau).subs(tau, spent)
    balance = (
        weight(spent) * (L0 + a(s)) + slope * (rho(s) - a(s))
        + (weight(spent) + penalty(spent)) * sp.diff(a(s), s) - penalty(spent) * sp.diff(rho(s), s)
    )  # fmt: skip
    inside = [y > 0, y < 1, s >= 0, s < y]
    e, u = Gram("e u", [[1, c], [c, 1]]).vectors()  # c = a/ρ, u of length 1
    turned = (p + q) * e - q * u
    path = M * exp(-s) - (1 - y) * M
    return (
        Identity(sp.diff(exp(s) * (L0 + rho(s)), s), slack * exp(s) * (sp.diff(rho(s), s) + L0 + rho(s))),
        ForAll(M * exp(-s) - (1 - y) * M >= M * (y - s) / slack, [M > 0, *inside]),
        ForAll(Implies(m >= M * tau, 1 + (1 - y) * M / m <= slack / tau), [tau > 0, tau <= y, y < 1, M > 0, m > 0]),
        Identity(sp.diff(W, s) + a(s), balance, inside),
        Identity(turned.dot(turned), p**2 + twice * q * (p + q) * (1 - c)),
        ForAll(p**2 + 2 * q * (p + q) * (1 - c) <= (p + twice * q * (p + q) * (1 - c) / (2 * p)) ** 2,
               [p > 0, q >= 0, c >= -1, c <= 1]),
        Identity(
            p * (L0 + c * m) + k * (m - c * m) - (L0 + m) * (p + q * (p + q) * (1 - c) / p),
            (m - c * m) * (k - slack * p - (1 + L0 / m) * q * (1 + q / p)),
            [p > 0, m > 0],
        ),
        Identity(sp.diff(K, tau) - C - K * (1 + K / C) / tau, (exp(-tau) - 1 + tau) / (1 - tau), [tau > 0, tau < 1]),
        ForAll(exp(-tau) >= sp.S.One / slack - tau),
        Identity(W.subs(s, 0).subs({a(0): y * M, rho(0): y * M, L0: (1 - y) * M}),
                 (1 - exp(-y) - y + 2 * half * y**2) * M, [y > 0, y < 1]),
        Integral(path, s, 0, y, (1 - exp(-y) - y + 2 * half * y**2) * M,
                 primitive=-M * exp(-s) - (1 - y) * M * s, given=[y > 0, M > 0]),
        Identity(sp.diff(path, s), -slack * ((1 - y) * M + path)),
        Enclosure(1 - exp(-y) - y + y**2, lower=half * y**2, box={y: (0, 1)}, touches={0: 3}),
    )  # fmt: skip


# Rates


@claim(mutants=[dict(share=Rational(2, 5)), dict(power=1), dict(order=(LN2, 3 - sp.E))])
def rate_h(share=Rational(1, 2), power=2, order=(3 - sp.E, LN2)):
    r"""Under (H) at most $(f_0-f^*)/c\cdot(L_0/\varepsilon^2 + L_1/\varepsilon)$ iterations have $\|\nabla f\| >
    \varepsilon$, with $c = 3-e$ or $2\ln2-1$ by `h-safe-step` and `h-optimal-step`.

    c = ½ by `h-1d-half`. $g^2/(L_0+L_1g)$ increases in g, so that each such iteration decreases f by at least
    $c\varepsilon^2/(L_0+L_1\varepsilon)$, and k of them by k times as much. It implies the paper's form, up to the
    constant: $L_1/\varepsilon \le \tfrac12(L_0/\varepsilon^2 + L_1^2/L_0)$; and it is finite for L0 = 0.
    """
    start, least = sp.symbols("f_0 f_star", real=True)
    constant = [L0 >= 0, L1 >= 0, L0 + L1 > 0, eps > 0]
    gained = eps**power / (L0 + L1 * eps)
    return (
        ForAll(g**2 / (L0 + L1 * g) > gained, [*constant, g > eps]),
        ForAll(
            Implies(And(least <= start - k * c * gained, k >= 0), k <= (start - least) / c * (L0 / eps**2 + L1 / eps)),
            [*constant, c > 0],
        ),
        ForAll(L1 / eps <= share * (L0 / eps**2 + L1**2 / L0), [L0 > 0, L1 >= 0, eps > 0]),
        Exists(And(x < z, z < t), {x: order[0], z: order[1], t: Rational(1, 2)}),
    )


THREE_STARTS = {3: 5042, 10: 5112, 30: 5312}


def _quartic_steps(start: int, clipped: bool) -> int | None:
    """Iterations of min(η_c, γη_c/g) on x⁴ with L0 = 16, L1 = 1, η_c = 1/160, γ = 16, until |4x³| ≤ 1/1000."""
    rate, radius = fmpq(1, 160), fmpq(1, 10)

    def update(at: arb) -> arb:
        slope = 4 * at**3
        return at - (arb(rate).min(radius / slope) if clipped else rate) * slope

    return certified_steps(update, lambda at: abs(4 * at**3), start, Fraction(1, 1000), 10**4)


@claim(mutants=[dict(clipped=False), dict(factor=Rational(1, 10**7)), dict(second=1)])
def paper_thm3(clipped=True, factor=20, second=L1**2):
    r"""Clipped descent with $\eta_c = 1/10L_0$, $\gamma = \min(1/\eta_c, 1/10L_1\eta_c)$, step $\min(\eta_c,
    \gamma\eta_c/g)$: on $x^4$ with (16, 1), ε = 1/1000, it takes 5042, 5112, 5312 iterations from $x_0$ = 3, 10, 30.

    This is within the paper's bound $20L_0\Delta_f/\varepsilon^2 + 20\max(1,L_1^2)\Delta_f/L_0$ (quoted, not proved
    here) for these three starts; the counts are certain (balls of 256 bits). Remark on the "1": in other units, x = λz,
    $L_0 \to \lambda^2L_0$, $L_1 \to \lambda L_1$, $\varepsilon \to \lambda\varepsilon$ and $\Delta_f$ stays; then
    $L_0\Delta_f/\varepsilon^2$ and $L_1^2\Delta_f/L_0$ don't change, but $1\cdot\Delta_f/L_0$ does.
    """
    lam = sp.Symbol("lambda", real=True)
    bound = L0 * gap / eps**2 + second * gap / L0
    scaled = bound.xreplace({L0: lam**2 * L0, L1: lam * L1, eps: lam * eps})

    def both(case: int) -> tuple[Any, Any]:
        count, most = _quartic_steps(case, clipped), factor * Fraction(16 * 10**6) * case**4
        return (count, count is not None and Rational(count) <= most), (THREE_STARTS[case], True)

    return (
        ForEach(THREE_STARTS, both, over="x_0 = 3, 10, 30"),
        Identity(scaled, bound, [lam > 0, L0 > 0, L1 > 0, eps > 0]),
    )


@claim(
    mutants=[
        dict(rate=1),
        dict(cubic=Rational(1, 2)),
        dict(inner=2),
        dict(steep=2),
        dict(threshold=1),
        dict(height=Rational(1, 2)),
    ]
)
def paper_gd(rate=2, cubic=Rational(3, 5), inner=1, steep=1, threshold=2, height=Rational(5, 8)):
    r"""Gradient descent with $h = 1/2(GL_1+L_0)$, $G = \sup\{\|\nabla f\|: f \le f_0\}$, needs at most
    $4(GL_1+L_0)\Delta_f/\varepsilon^2$ iterations; for every constant step some f of the class (G > 1) needs at least
    $L_1G(\Delta_f-\tfrac58\varepsilon)/(8\varepsilon^2(\ln G+1))$.

    Above: $L_1hg \le \tfrac12$ and $e^z-z-1 \le \tfrac35z^2$ on [0, ½] turn `h-growth` into a decrease of at least
    $\tfrac12h\|\nabla f\|^2$, and the iterates stay in the sublevel set. Below, even with 2 in the place of 8, by two
    even C² functions. The wall: $\tfrac12L_1x^2 + 1/2L_1$ up to $1/L_1$, then $e^{L_1x-1}/L_1$, satisfies (H) with $L_0
    = L_1$, and has the slope G at $x_0 = (\ln G+1)/L_1$; its slope divided by x increases, so that $h > 2x_0/G$
    diverges from there. The tail: $\tfrac\varepsilon8(6x^2-x^4)$ up to 1, then slope ε, with curvature at most
    $\tfrac32\varepsilon$ (so $L_0 \ge \tfrac32\varepsilon$ is needed); started at height $\Delta_f$, each step moves it
    by hε only, and $\|\nabla f\| < \varepsilon$ not before x = 1.
    """
    G, h = sp.symbols("G h", real=True)
    step = 1 / (rate * (G * L1 + L0))
    given = [L0 >= 0, L1 > 0, G > 0, g > 0]
    inside, wall = L1 * x**2 / 2 + 1 / (2 * L1), exp(L1 * x - inner) / L1
    bowl, line = eps / 8 * (6 * x**2 - x**4), eps * (x - 1) + height * eps

    def jet(f: sp.Expr, at: Any) -> sp.Matrix:
        return sp.Matrix([sp.diff(f, x, i).subs(x, at) for i in range(3)])

    start = 1 + (gap - height * eps) / eps
    largest = threshold * (log(G) + 1) / (G * L1)
    return (
        ForAll(Implies(g <= G, L1 * step * g <= Rational(1, 2)), given),
        Enclosure(exp(z) - z - 1, upper=cubic * z**2, box={z: (0, Rational(1, 2))}, touches={0: 2}),
        ForAll(Implies(g <= G, step * g**2 - (L0 + L1 * g) * cubic * (step * g) ** 2 >= step * g**2 / 2), given),
        Identity(gap / (step * eps**2 / 2), 4 * (G * L1 + L0) * gap / eps**2, [*given, eps > 0]),
        Identity(jet(wall, 1 / L1), jet(inside, 1 / L1), L1 > 0),
        Identity(sp.diff(wall, x, 2), steep * L1 * sp.diff(wall, x), L1 > 0),
        Identity(sp.diff(wall, x).subs(x, (log(G) + 1) / L1), G, [L1 > 0, G > 1]),
        ForAll(Implies(x * L1 * steep >= 1, sp.diff(sp.diff(wall, x) / x, x) >= 0), [L1 > 0, x > 0]),
        ForAll(Implies(h * p > threshold * x, h * p - x > x), [x > 0, h > 0]),
        Identity(jet(bowl, 1), jet(line, 1)),
        ForAll(Implies(Abs(x) <= 1, sp.diff(bowl, x, 2) <= height * Rational(12, 5) * eps), eps > 0),
        ForAll(Implies(k * h * eps * threshold < 2 * (x - 1), x - k * h * eps > 1), [h > 0, eps > 0, k >= 0]),
        Identity(
            (start - 1) / (largest * eps),
            G * L1 * (gap - Rational(5, 8) * eps) / (2 * eps**2 * (log(G) + 1)),
            [L1 > 0, eps > 0, G > 1, log(G) > 0],
        ),
    )


@claim(mutants=[dict(threshold=Rational(1, 4)), dict(eight=4)])
def gd_threshold_quartic(threshold=Rational(1, 2), eight=8):
    r"""Gradient descent on $x^4$ from $x_0 \ne 0$ converges to 0 iff $\eta < 1/(2x_0^2)$; $\eta = 1/(2x_0^2)$ gives the
    2-cycle $\pm x_0$, a larger η diverges.

    With $t = \eta x^2$ a step is $t \mapsto t(1-4t)^2$: it shrinks t iff 0 < t < ½ and fixes 0 and ½ only, so a
    decreasing t tends to 0; from t ≥ p > ½ on it grows by the factor $(1-4p)^2 > 1$ at least. (From t = ¼ one step
    lands on 0: that isn't the threshold.) $1/x^2$ grows by $\eta(8-16t)/(1-4t)^2 = 8\eta + o(1)$ a step, at least 8η
    for t < ¼, so $|x| \le \delta$ takes about, and then at most, $1/(8\eta\delta^2)$ steps. The 2-cycle is iterated
    exactly.
    """
    after = t * (1 - 4 * t) ** 2
    growth = (eight - 16 * t) / (1 - 4 * t) ** 2
    start = Fraction(3, 2)
    rate = Fraction(int(threshold.p), int(threshold.q)) / start**2
    stepped = x - eta * 4 * x**3
    return (
        ForAll(Equivalent(Abs(stepped) < Abs(x), eta * x**2 < threshold), [eta > 0, Ne(x, 0)]),
        ForAll(Equivalent(after < t, And(t > 0, t < threshold)), t >= 0),
        ForAll(Equivalent(Eq(after, t), Or(Eq(t, 0), Eq(t, threshold))), t >= 0),
        ForAll(Implies(And(t >= p, p > threshold), And(after >= (1 - 4 * p) ** 2 * t, (1 - 4 * p) ** 2 > 1))),
        Identity(stepped.subs(eta, threshold / x**2), -x, Ne(x, 0)),
        Identity(1 / stepped**2 - 1 / x**2, eta * growth.subs(t, eta * x**2), [Ne(x, 0), Ne(4 * eta * x**2, 1)]),
        Limit(growth, t, 0, 8, "+"),
        ForAll(growth >= 8, [t > 0, 4 * t < 1]),
        ForEach(
            range(6),
            lambda n: (gd_iterates(lambda at: 4 * at**3, start, rate, 5)[n], (-1) ** n * start),
            over="the first 5 iterates from 3/2 at the threshold",
        ),
    )


def _cosh_steps(start: int, rule: str) -> int | None:
    """Iterations on cosh, L0 = L1 = 1, until |sinh x| ≤ 1/1000, from `start`."""
    with flint.ctx.workprec(256):
        fixed = 1 / arb(start).cosh()

    def update(at: arb) -> arb:
        slope = at.sinh()
        if rule == "gd":
            return at - fixed * slope
        ratio = slope / (1 + slope)
        return at - (ratio if rule == "article" else ratio.log1p())

    return certified_steps(update, lambda at: abs(at.sinh()), start, Fraction(1, 1000), 20_000)


COSH_STEPS = {
    ("article", 3): 7, ("article", 8): 12, ("article", 15): 19,
    ("log", 3): 8, ("log", 8): 16, ("log", 15): 26,
    ("gd", 3): 71, ("gd", 8): 11321,
}  # fmt: skip


@claim(mutants=[dict(rule=lambda name: "log" if name == "article" else name), dict(chord=Rational(9, 10), most=10**7)])
def clip_vs_gd_cosh(rule=lambda name: name, chord=1, most=10**6):
    r"""To $|\sinh x| \le 10^{-3}$ on cosh, $L_0 = L_1 = 1$: the article's step takes 7, 12, 19 iterations from $x_0$ =
    3, 8, 15, the logarithmic one 8, 16, 26; gradient descent with $h = 1/\cosh x_0$ takes 71, 11321 and more than
    $10^6$.

    The counts are certain (balls of 256 bits). The article's step is at least ½ where sinh x ≥ 1: linear in $x_0$.
    Gradient descent is exponential: $x - h\sinh x$ increases on $[0, x_0]$, so that its iterates from $x_0 \ge 1$ stay
    above those from 1, and there $\sinh x \le x\sinh 1$ gives $x_k \ge (1-h\sinh1)^k \ge 1-kh\sinh1$ (induction). For
    $x_0 = 15$ and $k = 10^6$ the sinh of this is still above 1/1000.
    """
    n = sp.Symbol("n", integer=True)
    u = sp.Function("u")
    a = sp.Symbol("a", real=True)
    return (
        ForEach(
            COSH_STEPS,
            lambda case: (_cosh_steps(case[1], rule(case[0])), COSH_STEPS[case]),
            over="(rule, x_0)",
        ),
        ForAll(g / (1 + g) >= chord * Rational(1, 2) + (1 - chord), g >= 1),
        Enclosure(1 - cosh(x) / cosh(15), lower=1 - chord, box={x: (0, 15)}, touches={15: 1}),
        Enclosure(sinh(x), upper=chord * x * sinh(1), box={x: (0, 1)}, touches={0: 1, 1: 1}),
        Induction(n, 0, {u(n + 1): (1 - a) * u(n)}, {u(0): 1}, [sp.Ge(u(n), 1 - n * a * chord)], [a > 0, a < 1]),
        ForAll(sp.Gt(sinh(1 - most * sinh(1) / cosh(15), evaluate=False), Rational(1, 1000), evaluate=False)),
    )


LAW = {-1: Fraction(3, 4), 5: Fraction(1, 4)}


def _clipped_mean(form: str, threshold: int) -> Fraction:
    """E[clip(g̃)] for the law above."""
    return sum(
        (weight * value * clip_factor(abs(value), threshold, form) for value, weight in LAW.items()), Fraction(0)
    )


@claim(mutants=[dict(threshold=5), dict(of_mean=lambda form: clip_factor(1, 1, form))])
def clipped_sgd_bias(threshold=1, of_mean=lambda form: Fraction(1, 2) * clip_factor(Fraction(1, 2), 1, form)):
    r"""$E\,\mathrm{clip}(\tilde g) \ne \mathrm{clip}(E\tilde g)$: for $\tilde g = -1$ with probability ¾ and 5 with ¼,
    $E\tilde g = \tfrac12$, but the mean clipped at 1 is $-\tfrac12$ (form 1) or $-\tfrac16$ (form 2): the sign is
    reversed.

    The clipped mean gradients would be ½ and ⅓. The paper assumes noise that is bounded almost surely.
    """
    expected = {
        "hard": (Fraction(1, 2), Fraction(-1, 2), Fraction(1, 2)),
        "soft": (Fraction(1, 2), Fraction(-1, 6), Fraction(1, 3)),
    }

    def both(form: str) -> tuple[Any, Any]:
        mean = sum((weight * value for value, weight in LAW.items()), Fraction(0))
        return (mean, _clipped_mean(form, threshold), of_mean(form)), expected[form]

    return ForEach(expected, both, over="the two forms of the clip")


__all__ = [
    "certified_steps", "clip_factor", "gd_iterates", "h_bound_of_polynomial", "l0l1_step", "smallest_l0",
]  # fmt: skip
