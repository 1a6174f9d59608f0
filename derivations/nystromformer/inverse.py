r"""The pseudo-inverse and its iteration $V_{k+1} = \tfrac14V_k(13 - AV_k(15 - AV_k(7 - AV_k)))$, and six steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from flint import fmpq
from sympy import Abs, And, Eq, Equivalent, Implies, Matrix, Max, Ne, Or, Rational

from kexue import Counts, Exists, ForAll, ForEach, Identity, Induction, Limit, Words, claim, erratum, mutant

from .common import ONES, STOCHASTIC, A, D, G, L, U, V, W, X, Y, Z, c, m, ones, penrose, r, rho, s, t, v, x
from .exact import (
    SCHEMES,
    Rows,
    column_and_row_norm,
    filter_residual,
    identity,
    iterated_inverse,
    matmul,
    phi,
    products,
    pseudo_inverse,
    residual_map,
    scaled,
    step,
    subtract,
    transposed,
)
from .landmarks import RANK_ONE

# The pseudo-inverse

ORTHONORMAL = {"U": Matrix([[3, 0], [4, 0], [0, 5]]) / 5, "W": Matrix([[0, 5], [4, 0], [3, 0]]) / 5}


def cayley(entries: Sequence[Any]) -> Matrix:
    """(I − K)⁻¹(I + K) for the antisymmetric 3×3 matrix K with these entries: a rational orthogonal matrix."""
    a, b, c = entries
    k = Matrix([[0, a, b], [-a, 0, c], [-b, -c, 0]])
    return (sp.eye(3) - k).inv() * (sp.eye(3) + k)


def rational_rows(a: Matrix) -> list[list[Fraction]]:
    return [[Fraction(int(value.p), int(value.q)) for value in a.row(i)] for i in range(a.rows)]


@claim(mutants=[dict(reciprocal=lambda value, eps: Max(value, eps)), dict(power=2), dict(unique=2)])
def svd_pinv(reciprocal=lambda value, eps: value, power=1, unique=1):
    r"""$A = U\Lambda W^\top$ ⇒ $W\Lambda^\dagger U^\top$ is the one solution of the four Penrose equations; it is
    $A^{-1}$ if A is invertible.

    All shapes, with $U^\top U = I$, $W^\top W = I$ (thin or full); two solutions X, Y are equal, by the equations
    alone. On the diagonal δ = 1/λ for λ ≠ 0 and δ = 0 for λ = 0 solves them; a floor, δ = 1/max(λ, ε), doesn't. Exact
    instances with rational orthogonal 3×3 matrices and Λ of rank 1, 2, 3, against an inverse by elimination.
    """
    delta, lam, eps = sp.symbols("delta lambda epsilon", real=True)
    svd = [(U.T * U, 1), (W.T * W, 1), *penrose(L, D)]
    model = {**ORTHONORMAL, "L": sp.diag(2, 0), "D": sp.diag(Rational(1, 2), 0)}
    a, g = U * L * W.T, W * D**power * U.T
    solves = And(Eq(lam * delta * lam, lam), Eq(delta * lam * delta, delta))
    floor = reciprocal(lam, eps)
    same_solution = {"A": RANK_ONE["A"], "X": RANK_ONE["G"], "Y": RANK_ONE["G"]}

    def both(case: tuple[int, ...]) -> tuple[Any, Any]:
        left, right = cayley((1, Rational(1, 2), 0)), cayley((0, 1, 2))
        inverse = [Rational(1, e) ** power if e else 0 for e in case]
        a = rational_rows(left * sp.diag(*case) * right.T)
        return rational_rows(right * sp.diag(*inverse) * left.T), pseudo_inverse(a)

    return (
        *(Words(lhs, rhs, svd, model=model) for lhs, rhs in ((a * g * a, a), (g * a * g, g))),
        *(Words(lhs * power, rhs, svd, model=model) for lhs, rhs in (((a * g).T, a * g), ((g * a).T, g * a))),
        Words(unique * X, Y, [*penrose(A, X), *penrose(A, Y)], model=same_solution),
        Words(unique * X, G, [*penrose(A, X), (A * G, 1), (G * A, 1)],
              model={"A": [[2]], "X": [[Rational(1, 2)]], "G": [[Rational(1, 2)]]}),
        ForAll(
            Implies(Or(And(Ne(floor, 0), Eq(delta * floor, 1)), And(Eq(floor, 0), Eq(delta, 0))), solves),
            [lam >= 0, eps > 0],
        ),
        ForEach([(2, 0, 0), (3, 1, 0), (1, 2, 5)], both, over="Λ of rank 1, 2, 3"),
    )  # fmt: skip


# The iteration


def nested(v: Any, a: Any, coefficients: Sequence[Any], factor: Any) -> Any:
    """The step in letters: factor · V(c₁ − AV(c₂ − AV(…)))."""
    inner = coefficients[-1] - a * v
    for coefficient in reversed(coefficients[:-1]):
        inner = coefficient - a * v * inner
    return v * inner * factor


def razavi(v: Any, a: Any) -> Any:
    return nested(v, a, (13, 15, 7), Rational(1, 4))


def phi_of(p: Any) -> Any:
    """φ of a letter polynomial."""
    return (3 * p**3 + p**4) * Rational(1, 4)


FREE = {"A": [[1, 2], [0, 1]], "V": [[1, 0], [1, 3]]}


@claim(mutants=[dict(coefficients=(13, 15, 5)), dict(coefficients=(13, 14, 7)), dict(factor=Rational(1, 2))])
def iteration_two_forms(coefficients=(13, 15, 7), factor=Rational(1, 4)):
    r"""$[I + \tfrac14(I - VA)(3I - VA)^2]V = \tfrac14V(13I - AV(15I - AV(7I - AV)))$ for all square A, V of one size.

    An identity of the free algebra, with $V(AV)^k = (VA)^kV$: A and V needn't commute.
    """
    return Words(
        (1 + (1 - V * A) * (3 - V * A) ** 2 * Rational(1, 4)) * V, nested(V, A, coefficients, factor), model=FREE
    )


@claim(mutants=[dict(cubic=2), dict(tail=5)])
def residual_polynomial(cubic=3, tail=4):
    r"""$R_{k+1} = \tfrac14(3R_k^3 + R_k^4)$ for $R_k = I - AV_k$; for scalars $1 - xp(x) = (1-x)^3(4-x)/4$.

    All A, V, of all sizes; here $p(x) = (13 - 15x + 7x^2 - x^3)/4$.
    """
    R = 1 - A * V
    p = (13 - x * (15 - x * (7 - x))) / 4
    return (
        Words(1 - A * razavi(V, A), (cubic * R**3 + R**4) * Rational(1, 4), model=FREE),
        Identity(1 - x * p, (1 - x) ** 3 * (tail - x) / 4),
    )


@claim(mutants=[dict(order=4), dict(constant=Rational(1, 4))])
def third_order(order=3, constant=Rational(3, 4)):
    r"""$\|R_{k+1}\| \le \|R_k\|^3$ if $\|R_k\| \le 1$ in a submultiplicative norm; the order is exactly 3, not 4.

    With ρ = ‖R‖, the bounds ‖R³‖ ≤ ρ³ and ‖R⁴‖ ≤ ρ⁴ are all that is used. $\varphi(r)/r^3 \to \tfrac34$ as r → 0.
    """
    third, fourth, new = sp.symbols("n_3 n_4 n_new", real=True)
    bounds = [rho >= 0, rho <= 1, third <= rho**3, fourth <= rho**4, new <= (3 * third + fourth) / 4]
    return (
        ForAll(new <= rho**order, bounds),
        Limit(phi(r) / r**3, r, 0, constant, dir="+-"),
    )


@claim(
    mutants=[
        dict(multiplicity=1),
        mutant("domain", low=-3),
        dict(slope=0),
        mutant("domain", constant=6),
        mutant("domain", island=-4),
    ]
)
def convergence_basin(multiplicity=2, low=-2, slope=1, constant=4, island=-3):
    r"""$\varphi^{\circ k}(r) \to 0$ for all $r \in (-2, 1)$; so $V_k \to A^{-1}$ if $AV_0$ is diagonalisable with
    spectrum in (0, 3).

    There φ(r) lies strictly between 0 and r (r ≠ 0), so the iterates are monotone, and the only fixed points are 0, 1
    and −2: $\varphi(r) - r = r(r-1)(r+2)^2/4$. On the real axis this is wider than |1 − x| < 1. At x = 3 there is a
    spurious neutral fixed point, $V = 3A^{-1}$ with φ'(−2) = 1: it attracts r < −2 as long as $r^3 + r^2 - 2r + 4 >
    0$, that is down to r = −2.4675…. Below, $-3 < r$ is mapped into (−2, 0): another island, $x \in (3.4676, 4)$.
    """
    cubic = r**3 + r**2 - 2 * r + constant
    shrinks = And(Implies(r > 0, And(0 < phi(r), phi(r) < r)), Implies(r < 0, And(r < phi(r), phi(r) < 0)))
    return (
        Identity(phi(r) - r, r * (r - 1) * (r + 2) ** multiplicity / 4),
        ForAll(shrinks, [r > low, r < 1]),
        Exists(And(Eq(sp.diff(phi(r), r), slope), Eq(phi(r), r)), {r: -2}),
        ForAll(And(r < phi(r), phi(r) < -2), [r < -2, cubic > 0]),
        Exists(And(cubic.subs(r, s) < 0, cubic > 0), {s: Rational(-24676, 10**4), r: Rational(-24675, 10**4)}),
        ForAll(And(-2 < phi(r), phi(r) < 0), [r > island, r < -2, r**3 + r**2 - 2 * r + 4 < 0]),
    )


def small_squares(bound: int = 2) -> Iterator[list[list[int]]]:
    """All 2×2 integer matrices with entries of at most this size, except 0."""
    for entries in product(range(-bound, bound + 1), repeat=4):
        if any(entries):
            yield [list(entries[:2]), list(entries[2:])]


@claim(
    mutants=[
        dict(bound=lambda column, row: row),
        dict(weight=-1),
        mutant("domain", closed=2),
        dict(scale=2),
        dict(least=2),
        mutant("domain", beyond=3),
        dict(first=50),
    ]
)
def init_admissible(
    bound=lambda column, row: column * row, weight=1, closed=1, scale=1, least=1, beyond=5, first=95
):  # fmt: skip
    r"""$V_0 = A^\top/(\|A\|_1\|A\|_\infty)$ ⇒ the spectrum of $AV_0$ is $\sigma_i^2/(\|A\|_1\|A\|_\infty) \in [0,
    1]$.

    So $\|I - AV_0\|_2 < 1$ iff A is invertible. All sizes: $(\sum_j|a_{ij}|y_j)^2 \le (\sum_j|a_{ij}|)\sum_j|a_{ij}|
    y_j^2$, Cauchy–Schwarz, whose induction step from the sums s, t, c to one more weight is shown; the sum over i is
    $\le \|A\|_\infty\|A\|_1|y|^2$ with y = |x|. All 624 non-zero 2×2 integer matrices with entries up to 2: the
    eigenvalues of $AA^\top$ are within the bound. For row-stochastic A, $\|A\|_\infty = 1$, $1 \le \|A\|_1 \le m$
    (the m columns sum to m, their entries are ≤ 1) and $\sigma_{\max} \ge 1$ ($A1 = 1$). With $V_0 =
    A^\top/\|A\|_\infty$ an x > 5 diverges: then φ(1 − x) > 16, and φ doubles whatever is ≥ 4; rows near $e_1$ with m
    = 6 have such an x.
    """
    total = [s >= 0, c >= 0, s * c >= t**2, rho >= 0]
    largest = sp.Symbol("M", real=True)

    def both(a: Rows) -> tuple[bool, bool]:
        column, row = column_and_row_norm(a)
        limit = bound(column, row)
        (p, q), (_, w) = matmul(a, transposed(a))
        return limit - p >= 0 and limit - w >= 0 and (limit - p) * (limit - w) >= q * q, True

    near_first = [[Fraction(first, 100), *[Fraction(100 - first, 500)] * 5]] * 6
    rayleigh = matmul(transposed(ones(6)), near_first, transposed(near_first), ones(6))[0][0] / 6
    return (
        ForAll((s + weight * rho) * (c + rho * x**2) >= (t + rho * x) ** 2, total),
        ForEach(small_squares(), both, over="integer 2×2 matrices"),
        ForAll(Equivalent(Abs(1 - x) < 1, x > 0), [x >= 0, x <= closed]),
        Words(scale * v.T * A.T * A * v, v.T * v, [(A * v, v)], model={**STOCHASTIC, **ONES}),
        ForAll(largest >= least, [m > 0, m <= m * largest]),
        ForAll(And(phi(1 - x) > 16, Implies(r >= 4, phi(r) >= 2 * r)), [x > beyond]),
        ForEach([rayleigh], lambda value: (value > 5, True), over="x of rows near e₁, m = 6"),
    )


DIAGONAL = {**ORTHONORMAL, "L": sp.diag(2, 3), "D": sp.diag(Rational(1, 3), Rational(1, 4))}


def rank_one() -> list[list[list[int]]]:
    return [[[1, 1], [1, 1]], [[1, 2], [2, 4]], [[2, -1], [4, -2]]]


@claim(
    mutants=[
        dict(two_sided=False),
        dict(coefficient=12),
        dict(contraction=3),
        dict(recover=2),
        dict(start=lambda a: [[Fraction(1, 4), Fraction(0)], [Fraction(0), Fraction(1, 4)]]),
    ]
)
def converges_to_pinv(
    two_sided=True, coefficient=13, contraction=2, recover=1, start=lambda a: iterated_inverse(a, 0)
):  # fmt: skip
    r"""From $V_0 = A^\top/(\|A\|_1\|A\|_\infty)$ the iteration converges to $A^\dagger$ for every A ≠ 0, singular
    ones included (exact arithmetic).

    In the basis of the SVD $A = U\Lambda W^\top$ the step acts on the diagonal D of $V = WDU^\top$ alone: σ = 0 keeps
    its 0, and $x = \sigma v \in (0, 1]$ follows φ(1 − x), where $0 \le r \le \rho$ gives $0 \le \varphi(r) \le
    \rho^2r$. A hypothesis without SVD: $V_0 = A^\top WA^\top$ and $\|AA^\dagger - AV_0\| < 1$, for $E = AA^\dagger -
    AV$ becomes $(3E^3 + E^4)/4$ (then `third-order`) and $V = A^\dagger(AA^\dagger - E)$. $V_0 = A^\top W$ doesn't
    suffice. For three 2×2 matrices of rank 1 the first five $V_k$ are $(1 - \varphi^{\circ k}(1-x))A^\dagger$; $V_0 =
    cI$ fails.
    """
    start_value = A.T * W * A.T if two_sided else A.T * W
    model = {"A": [[1, 0], [0, 0]], "G": [[1, 0], [0, 0]], "W": [[1, Rational(1, 2)], [0, 1]]}
    svd = [(U.T * U, 1), (W.T * W, 1)]
    E_new, E_old = A * G - A * razavi(start_value, A), A * G - A * start_value

    def both(case: tuple[Rows, int]) -> tuple[Any, Any]:
        a, k = case
        column, row = column_and_row_norm(a)
        value = start(a)
        for _ in range(k):
            value = step(value, a)
        begin = Fraction(sum(entry**2 for line in a for entry in line), column * row)
        return value, scaled(1 - filter_residual(begin, k), pseudo_inverse(a))

    return (
        Words(
            razavi(W * D * U.T, U * L * W.T), W * nested(D, L, (coefficient, 15, 7), Rational(1, 4)) * U.T, svd,
            model=DIAGONAL,
        ),
        Words(E_new, phi_of(E_old), penrose(A, G), model=model),
        Words(recover * G * (A * G - E_old), start_value, penrose(A, G), model={**model, "W": [[1, 2], [3, 4]]}),
        ForAll(And(phi(r) >= 0, phi(r) <= rho**contraction * r), [r >= 0, r <= rho, rho < 1]),
        ForEach([(a, k) for a in rank_one() for k in range(5)], both, over="three matrices of rank 1, k = 0..4"),
    )  # fmt: skip


@claim(mutants=[dict(keep=0), mutant("domain", strict=False)])
def norm_hypothesis_forces_invertible(keep=1, strict=True):
    r"""$\|I - AV_0\| < 1$ in a submultiplicative norm implies that the square matrix A is invertible.

    If $AV_0X = 0$ then X = RX with R = I − AV_0, so ‖X‖ ≤ ρ‖X‖ with ρ < 1, and X = 0: $AV_0$ is injective, hence A is
    surjective. So the article's theorem, as printed, says nothing about pseudo-inverses; see `converges-to-pinv`.
    """
    model = {"A": [[1, 0], [0, 0]], "V": [[1, 0], [0, 1]], "X": [[0, 0], [1, 1]]}
    return (
        Words((1 - A * V) * X, keep * X, [(A * V * X, 0)], model=model),
        ForAll(Eq(t, 0), [t >= 0, rho >= 0, rho < 1 if strict else rho <= 1, t <= rho * t]),
    )


@erratum(
    printed=mutant("domain", label="max-entry norm", norm=lambda c: Abs(c)),
    mutants=[dict(size=2), mutant("domain", spread=Rational(1, 4))],
)
def any_norm_is_false(norm=lambda c: 3 * Abs(c), size=3, spread=Rational(9, 10)):
    r"""The hypothesis $\|I - AV_0\| < 1$ needs a submultiplicative norm: with the largest entry the iteration may
    diverge.

    $R_0 = c\,11^\top$ (3×3) stays in this family: $R_{k} = \tfrac13\varphi^{\circ k}(3c)11^\top$. In the norm
    $\|R\|_\infty = 3|c| < 1$ it contracts, |φ(3c)| ≤ |3c|³. Printed is "any matrix norm": c = 9/10 has largest entry
    9/10 < 1 and spectral radius 27/10, and φ(r) ≥ 10r for r ≥ 27/10, so the iteration diverges for $V_0 = I$, $A = I
    - R_0$; three exact steps give entries beyond 9, 10⁴ and 10¹⁹.
    """
    all_ones = sp.ones(3)
    residual = c * all_ones

    def entries(k: int) -> tuple[bool, bool]:
        a = subtract(identity(3), [[Fraction(int(spread * 100), 100)] * 3] * 3)
        value = identity(3)
        for _ in range(k):
            value = step(value, a)
        return abs(subtract(identity(3), matmul(a, value))[0][1]) > {1: 9, 2: 10**4, 3: 10**19}[k], True

    return (
        ForAll(Abs(phi(3 * c)) <= Abs(3 * c) ** 3, [norm(c) < 1]),
        Identity((3 * residual**3 + residual**4) / 4, phi(size * c) / size * all_ones),
        ForAll(phi(r) >= 10 * r, [r >= 3 * spread]),
        ForEach((1, 2, 3), entries, over="k = 1, 2, 3"),
    )


# Six steps, and what they cost


@claim(
    mutants=[
        mutant("domain", low=-3),
        dict(half=(Rational(594, 10**6), Rational(595, 10**6))),
        mutant("domain", gain=3),
        dict(steps_of_filter=lambda k: k + 1),
    ]
)
def spectral_filter(
    low=0, half=(Rational(593, 10**6), Rational(594, 10**6)), gain=Rational(13, 4), steps_of_filter=lambda k: k
):  # fmt: skip
    r"""k steps invert a singular direction up to the factor $1 - \varphi^{\circ k}(1 - x)$, $x =
    \sigma^2/(\|A\|_1\|A\|_\infty)$.

    φ is monotone on [0, 1], hence so is the factor; at small x it is about $(13/4)^kx$, for φ(1) = 1, φ'(1) = 13/4.
    Six steps: gain $1178 < (13/4)^6 < 1179$; the residual is ½ between x = 5.93·10⁻⁴ and 5.94·10⁻⁴, 1 % between
    4.10·10⁻³ and 4.11·10⁻³: a regularised pseudo-inverse, far from converged below. Exact diagonal matrices, up to 4
    steps.
    """
    k = sp.Symbol("k", integer=True)
    slope = sp.Function("slope")

    def crosses(case: tuple[Any, Any]) -> tuple[Any, Any]:
        level, (left, right) = case
        residuals = [filter_residual(fmpq(int(x.p), int(x.q)), 6) for x in (left, right)]
        return (residuals[0] > level, residuals[1] < level), (True, True)

    def diagonal(case: tuple[tuple[int, ...], int]) -> tuple[Any, Any]:
        sigma, steps = case
        a = [[Fraction(e * (i == j)) for j in range(len(sigma))] for i, e in enumerate(sigma)]
        found = [row[i] * sigma[i] for i, row in enumerate(iterated_inverse(a, steps))]
        top = Fraction(max(sigma) ** 2)
        return found, [1 - filter_residual(e**2 / top, steps_of_filter(steps)) for e in sigma]

    return (
        ForAll(phi(r) <= phi(s), [low <= r, r <= s, s <= 1]),
        Exists(And(Eq(phi(r), 1), Eq(sp.diff(phi(r), r), gain)), {r: 1}),
        Induction(k, 0, {slope(k + 1): gain * slope(k)}, {slope(0): 1}, [Eq(slope(k), Rational(13, 4) ** k)]),
        Exists(And(1178 < r**6, r**6 < 1179), {r: gain}),
        ForEach(
            [(fmpq(1, 2), half), (fmpq(1, 100), tuple(10 * (e - half[0]) + Rational(410, 10**5) for e in half))],
            crosses, over="½ and 1 %",
        ),
        ForEach([((1, 2, 0), 4), ((3, 1, 2), 3), ((5,), 2)], diagonal, over="diagonal matrices"),
    )  # fmt: skip


@claim(
    mutants=[
        dict(count=(3, 2, 3)),
        dict(orders=(4, 2, 3)),
        mutant("domain", high=2),
        dict(residuals=(Fraction(314, 1000), Fraction(166, 10**4), Fraction(14, 10**4))),
        dict(compare=lambda a, b: a > b),
        dict(exponent=12),
    ]
)
def cost_per_matmul(
    count=(4, 2, 3), orders=(3, 2, 3), high=1,
    residuals=(Fraction(3128, 10**4), Fraction(166, 10**4), Fraction(14, 10**4)),
    compare=lambda a, b: a < b, exponent=13,
):  # fmt: skip
    r"""Razavi takes 4 products for order 3, Newton–Schulz 2 for order 2, Chebyshev 3 for order 3: Razavi is
    dominated.

    Multiplications counted for m = 1..4. Efficiency order^(1/products): $3^{1/4} < 2^{1/2} < 3^{1/3}$, gain at small
    x $(13/4)^{1/4} < 2^{1/2} < 3^{1/3}$. For every $r \in [0, 1]$ and equal products: two Newton steps leave $r^4 \le
    \varphi(r)$; and $\varphi(r) \ge r^{13/4}$, so that three Razavi steps leave at least $r^{(13/4)^3} \ge r^{64}$
    (six Newton) $\ge r^{81}$ (four Chebyshev). With 24 products at x = 10⁻³: 0.3128, 0.0166, 0.0014 (rounded).
    """

    def run(size: tuple[str, int], scalar: Any) -> None:
        scheme, m = size
        step([[scalar(1)] * m] * m, [[scalar(2)] * m] * m, scheme)

    def residual_of_step(scheme: str) -> Any:
        coefficients, factor = SCHEMES[scheme]
        inner = coefficients[-1] - x
        for coefficient in reversed(coefficients[:-1]):
            inner = coefficient - x * inner
        return (1 - x * inner * Rational(factor.numerator, factor.denominator)).subs(x, 1 - r)

    def rounded(case: tuple[str, int, Fraction]) -> tuple[bool, bool]:
        scheme, steps, value = case
        unit = Fraction(1, 10**4)
        return abs(filter_residual(Fraction(1, 1000), steps, scheme) - value) <= unit / 2, True

    names = ("razavi", "newton", "chebyshev")
    cases = [(name, 24 // products(name), value) for name, value in zip(names, residuals, strict=True)]
    twelfth = [
        ((3**3, 2**6), (2**6, 3**4)),
        ((Fraction(13, 4) ** 3, 2**6), (2**6, 3**4)),
        ((Fraction(13, 4) ** 3, 64), (64, 81)),
    ]
    root = sp.Symbol("root", real=True)  # r = root⁴
    return (
        Counts(
            run, [(name, m) for name in names for m in (1, 2, 3, 4)],
            {
                "mul": lambda z: count[names.index(z[0])] * z[1] ** 3,
                "add": lambda z: products(z[0]) * z[1] ** 2 * (z[1] - 1),
                "sub": lambda z: (products(z[0]) - 1) * z[1] ** 2,
                "div": lambda z: z[1] ** 2 if z[0] == "razavi" else 0,
            },
        ),
        Identity(
            Matrix([[residual_of_step(name), residual_map(r, name)] for name in names]),
            Matrix([[r**order * ((3 + r) / 4 if i == 0 else 1)] * 2 for i, order in enumerate(orders)]),
        ),
        ForAll(r**4 <= phi(r), [r >= 0, r <= high]),
        ForAll(phi(root**4) >= root**exponent, [root >= 0, root <= high]),
        ForEach(twelfth, lambda pairs: (all(compare(a, b) for a, b in pairs), True), over="twelfth powers, exponents"),
        ForEach(cases, rounded, over="24 products at x = 1/1000"),
    )  # fmt: skip


@claim(mutants=[dict(growth=Rational(15, 4)), dict(left=False)])
def null_space_instability(growth=Rational(13, 4), left=True):
    r"""An error N of V in the null space of A (AN = 0, NA = 0) is multiplied by 13/4 in each step: V + tN becomes V'
    + (13/4)tN.

    For all A, V, N and scalars t, of all sizes, to all orders. An error with AN = 0 alone enters V' as N p(AV). So
    with a singular A rounding errors grow like (13/4)^k while the rest converges; numerics/ observes it in float64.
    """
    model = {"A": [[1, 0], [0, 0]], "V": [[1, 2], [3, 4]], "Z": [[0, 0], [0, 1]], t: 2}
    p_of_AV = nested(1 + 0 * A, A * V, (13, 15, 7), Rational(1, 4))
    rules = [(A * Z, 0), (Z * A, 0)]
    one_sided = {"A": [[1, 0], [0, 0]], "V": [[1, 2], [3, 4]], "Z": [[0, 0], [1, 1]], t: 2}
    return (
        Words(razavi(V + t * Z, A), razavi(V, A) + growth * t * Z, rules, model=model),
        Words(
            razavi(V + t * Z, A),
            razavi(V, A) + t * (Z * p_of_AV if left else growth * Z),
            [(A * Z, 0)],
            model=one_sided,
        ),
    )
