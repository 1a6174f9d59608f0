"""The classical invariants as coefficients of F(ε) = det(Ã + ε(I ⊕ 0)), the lists of types, uniqueness and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import chain, combinations_with_replacement
from operator import add
from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, Implies, Ne, Rational

from kexue import All, Counts, ForAll, ForEach, Identity, Witnesses, Words, claim, letters

from .common import (
    A_,
    CIRCLE,
    EXAMPLE,
    G_,
    GENERIC,
    LINEAR,
    P_,
    PENROSE,
    SHIFT,
    a11,
    a12,
    a22,
    as_fractions,
    b1,
    b2,
    b_,
    bordered,
    c,
    c1,
    det,
    eps,
    equations,
    k,
    kappa,
    lam,
    mu,
    nu,
    p,
    projector_model,
    quadric,
    s,
    s1,
    type_by_inertia,
    u_,
    v1,
    v2,
    x,
    y,
)
from .reduction import LINEAR_KINDS, NAMES, pencil, position, signature

DIAGONAL = (lam, mu, nu)


def pencil_determinant(A: sp.MatrixBase, b: sp.MatrixBase, const: Any) -> sp.Expr:
    """F(ε) = det(Ã + ε(I ⊕ 0))."""
    return det(bordered(A + eps * sp.eye(A.rows), b, const))


def k1(A: sp.MatrixBase, b: sp.MatrixBase, const: Any) -> sp.Expr:
    """K₁ = (a₁₁c − b₁²) + (a₂₂c − b₂²)."""
    return A[0, 0] * const - b[0] ** 2 + A[1, 1] * const - b[1] ** 2


def moved(n: int, R: sp.MatrixBase, v: sp.MatrixBase) -> tuple[sp.Matrix, sp.Matrix, sp.Expr]:
    """The generic equation in the coordinates X with x = RX + v."""
    A, b = GENERIC[n], LINEAR[n]
    return R.T * A * R, R.T * (A * v + b), quadric(A, b, c, v)


def kappa_of(A: sp.MatrixBase, b: sp.MatrixBase, const: Any) -> sp.Expr:
    """k = bᵀA⁻¹b − c."""
    return (b.T * A.adjugate() * b)[0] / det(A) - const


@claim(mutants=[dict(sign=1, last=2)])
def generating_function(sign=-1, last=1):
    r"""$F(\varepsilon) = \det(\tilde A + \varepsilon(I \oplus 0)) = -\det(A + \varepsilon I)\,k(\varepsilon)$.

    For n = 2 it is $I_3 + K_1\varepsilon + c\,\varepsilon^2$. So the classical invariants $I_3 = \det\tilde A$ and $K_1
    = (a_{11}c - b_1^2) + (a_{22}c - b_2^2)$ are coefficients of the article's own method. The product is proved for
    generic n = 2, 3; for every n it is `constant` at $A + \varepsilon I$. The lowest coefficient, of
    $\varepsilon^{m-1}$, is $-p^2\prod'\lambda$, and if p = 0 that of $\varepsilon^m$ is $-\kappa\prod'\lambda$: for
    every n, from $\det(A + \varepsilon I) = \varepsilon^m(\prod'\lambda + O(\varepsilon))$ and `perturbed-constant`;
    also in principal axes for n = 3. A second witness compares them with the pseudo-inverse for all conics with
    coefficients in {−1, 0, 1} and every 61st such quadric.
    """
    A, b = GENERIC[2], LINEAR[2]
    products, axes = [], []
    for n in (2, 3):
        shifted = GENERIC[n] + eps * sp.eye(n)
        value = sign * det(shifted) * kappa_of(shifted, LINEAR[n], c)
        products.append(Identity(pencil_determinant(GENERIC[n], LINEAR[n], c), value, [Ne(det(shifted), 0)]))
    for m in range(1, 4):
        values, column = DIAGONAL[: 3 - m], LINEAR[3]
        flat = sp.Matrix([*column[: 3 - m], *[0] * m])
        diagonal = sp.diag(*values, *[0] * m)
        first = sp.Poly(pencil_determinant(diagonal, column, c), eps).coeff_monomial(eps ** (m - 1))
        second = sp.Poly(pencil_determinant(diagonal, flat, c), eps).coeff_monomial(eps**m)
        squares = sum((q**2 for q in column[3 - m :]), sp.S.Zero)
        constant = sum((q**2 / value for q, value in zip(column, values)), -c)
        axes.append(
            Identity(
                sp.Matrix([first, second]),
                sign * sp.prod(values) * sp.Matrix([squares, constant]),
                [Ne(value, 0) for value in values],
            )
        )

    def both(case: Any) -> tuple[Any, Any]:
        d, f, _ = pencil(*case)
        m = next(i for i, value in enumerate(d) if value)
        p_squared, constant, _ = position(*as_fractions(*case))
        if p_squared:
            return f[m - 1], sign * p_squared * d[m]
        return (f[m - 1] if m else 0, f[m]), (0, sign * constant * d[m])

    # det(A + εI) = ε^m(π + ερ) and k = p²/ε + κ + ετ with π = ∏'λ and bounded ρ, τ
    m = sp.Symbol("m", integer=True)
    product, rho, tau = sp.symbols("pi rho tau", real=True)
    whole = -(eps**m) * (product + eps * rho) * (p**2 / eps + kappa + eps * tau)
    low = sign * product * p**2 / eps + sign * product * kappa - rho * p**2
    rest = product * tau + rho * kappa + eps * rho * tau
    cases = chain(equations(2, (-1, 0, 1)), equations(3, (-1, 0, 1), 61))
    third = det(bordered(A, b, c)) + k1(A, b, c) * eps + last * c * eps**2
    return Witnesses(
        (
            Identity(pencil_determinant(A, b, c), third),
            *products,
            Identity(whole, eps**m * (low - eps * rest), [Ne(eps, 0)]),
            *axes,
        ),
        ForEach(cases, both, over="all conics with coefficients in {−1, 0, 1}, and every 61st such quadric"),
    )


@claim(
    mutants=[
        dict(unit=2, stretch=1, cross=1, flat=lambda i2, i3: Eq(i3, 0), exponent=lambda n: n),
        dict(zero=lambda *q: Eq(q[0], 0)),
    ]
)
def invariants(
    unit=1,
    stretch=0,
    cross=2,
    flat=lambda i2, i3: And(Eq(i2, 0), Eq(i3, 0)),
    exponent=lambda n: n + 1,
    zero=lambda *q: And(*(Eq(value, 0) for value in q)),
):
    r"""$\det(\lambda I - A)$ and $\det\tilde A$ are invariant under rigid motions, $K_1$ under rotations.

    For every n: $R^\top A R - \lambda I = R^\top(A - \lambda I)R$ if $R^\top R = I$, and $\tilde A \to T^\top\tilde A
    T$ with det T = 1 (`transformation-law`). n = 2, for all rotations and translations: $I_1, I_2, I_3$ are invariant;
    $K_1$ is under rotations, and under all translations iff $I_2 = I_3 = 0$: by (u, w) it changes by $I_2(u^2 + w^2) +
    2(a_{22}b_1 - a_{12}b_2)u + 2(a_{11}b_2 - a_{12}b_1)w$. Multiplying the equation by s multiplies $I_j$ by $s^j$ and
    $\det\tilde A$ by $s^{n+1}$ (n = 2, 3).
    """
    R_ = letters("R")
    R = sp.Matrix([[c1, -s1], [s1, c1 + stretch]])
    A, b = GENERIC[2], LINEAR[2]
    A1, b1_, const = moved(2, R, SHIFT[2])
    turned = (R.T * A * R, R.T * b, c)
    shifted = moved(2, sp.eye(2), SHIFT[2])
    i2, i3 = det(A), det(bordered(A, b, c))
    first, second = a22 * b1 - a12 * b2, a11 * b2 - a12 * b1
    change = i2 * (v1**2 + v2**2) + cross * first * v1 + cross * second * v2
    scaled = [
        Identity(
            sp.Matrix([det(s * GENERIC[n]), det(bordered(s * GENERIC[n], s * LINEAR[n], s * c))]),
            sp.Matrix([s**n * det(GENERIC[n]), s ** exponent(n) * det(bordered(GENERIC[n], LINEAR[n], c))]),
        )
        for n in (2, 3)
    ]
    model = {"R": [[0, -1], [1, 0]], "A": [[1, 2], [2, 5]], lam: 3}
    return (
        Words(R_.T * A_ * R_ - lam, R_.T * (A_ - unit * lam) * R_, [(R_.T * R_, 1)], model=model),
        Identity(sp.Matrix([A1.trace(), det(A1)]), sp.Matrix([A.trace(), i2]), [CIRCLE]),
        Identity(det(bordered(A1, b1_, const)), i3, [CIRCLE]),
        Identity(k1(*turned), k1(A, b, c), [CIRCLE]),
        Identity(k1(*shifted) - k1(A, b, c), change),
        ForAll(Equivalent(All((v1, v2), Eq(k * (v1**2 + v2**2) + 2 * x * v1 + 2 * y * v2, 0)), zero(k, x, y))),
        ForAll(Equivalent(And(Eq(i2, 0), Eq(first, 0), Eq(second, 0)), flat(i2, i3))),
        *scaled,
    )


@claim(mutants=[dict(sign=1), dict(rank=2, focus=Rational(1, 4), height=2)])
def parabola_parameter(sign=-1, rank=1, focus=Rational(1, 2), height=1):
    r"""n = 2: $I_1X^2 \pm 2\sqrt{-I_3/I_1}\,Y = 0$, that is $p^2 = -I_3/I_1$; n = 3 paraboloids: $p^2 = -I_4/I_2$.

    For n = 2 proved for every A with $I_2 = 0$ and trace $I_1 \ne 0$, where $P_0 = I - A/I_1$, as A annihilates it; for
    n = 3 in principal axes. Parallel lines (p = 0): $\kappa = -K_1/I_1$, so $I_1X^2 + K_1/I_1 = 0$. The focus of
    $\lambda X^2 + 2pY = 0$ is at $Y = -p/(2\lambda)$, the semi-latus rectum is $|p/\lambda|$. The article's example has
    $I_3 = -1$, $I_1 = 5$, $p^2 = 1/5$.
    """
    A, b = GENERIC[2], LINEAR[2]
    i1, i2, i3 = A.trace(), det(A), det(bordered(A, b, c))
    rank_one = [Eq(i2, 0), Ne(i1, 0)]
    projector = sp.eye(2) - rank * A / i1
    constant = (b.T * A * b)[0] / i1**2 - c
    diagonal, column = sp.diag(lam, mu, 0), sp.Matrix([0, 0, p])
    depth = -focus * p / lam
    A0, b0, const = EXAMPLE
    return (
        Identity(A * projector, sp.zeros(2, 2), rank_one),
        Identity((b.T * projector * b)[0], sign * i3 / i1, rank_one),
        Identity(constant, sign * k1(A, b, c) / i1, [*rank_one, Eq(i1 * (b1**2 + b2**2), (b.T * A * b)[0])]),
        Identity(sign * det(bordered(diagonal, column, c)) / (lam * mu), p**2, [Ne(lam, 0), Ne(mu, 0)]),
        Identity(x**2 + (y - depth) ** 2 - (y + depth) ** 2, (lam * x**2 + 2 * p * y) / lam, [Ne(lam, 0)]),
        Identity(lam * (height * p / lam) ** 2, -2 * p * depth, [Ne(lam, 0)]),
        Identity(sp.Matrix([det(bordered(A0, b0, const)), A0.trace()]), sp.Matrix([sign, 5])),
    )


# Lists of types

CONICS = {
    "ellipse": 2152, "hyperbola": 10168, "parabola": 1600, "crossing lines": 832, "point": 156,
    "imaginary ellipse": 192, "parallel lines": 272, "imaginary parallel lines": 80, "coincident lines": 48,
    "line": 120, "empty": 4, "plane": 1,
}  # fmt: skip


def conic_name(case: Any, real: Any, parallel: Any) -> str:
    """The table with I₁, I₂, I₃, K₁; `real` and `parallel` are its two delicate conditions."""
    ((p11, p12), (_, p22)), (q1, q2), const = case
    i1, i2 = p11 + p22, p11 * p22 - p12 * p12
    i3 = const * i2 - p11 * q2 * q2 - p22 * q1 * q1 + 2 * p12 * q1 * q2
    if i2 > 0:
        return "point" if not i3 else "ellipse" if real(i1, i3) else "imaginary ellipse"
    if i2 < 0:
        return "hyperbola" if i3 else "crossing lines"
    if not (p11 or p12 or p22):
        return "line" if q1 or q2 else "empty" if const else "plane"
    if i3:
        return "parabola"
    value = i1 * const - q1 * q1 - q2 * q2
    return "coincident lines" if not value else "parallel lines" if parallel(value) else "imaginary parallel lines"


@claim(
    mutants=[
        dict(real=lambda i1, i3: i3 < 0, parallel=lambda value: value > 0),
        dict(real=lambda i1, i3: i1 * i3 > 0),
    ]
)
def conic_classification(real=lambda i1, i3: i1 * i3 < 0, parallel=lambda value: value < 0):
    r"""The type of a conic from $I_1, I_2, I_3, K_1$ (quadratic part not 0).

    $I_2 > 0$: a point if $I_3 = 0$, an ellipse if $I_1I_3 < 0$, imaginary if $I_1I_3 > 0$. $I_2 < 0$: a hyperbola if
    $I_3 \ne 0$, else crossing lines. $I_2 = 0$: a parabola if $I_3 \ne 0$; else parallel lines if $K_1 < 0$, imaginary
    ones if $K_1 > 0$, coincident if $K_1 = 0$. Proved for all reals on the canonical forms $\lambda X^2 + \mu Y^2 = k$
    and $\lambda X^2 + 2pY = k$, to which every conic is brought without changing $I_1, I_2, I_3$, and $K_1$ where it
    counts. The table is also compared with the inertia of A and $\tilde A$, and with `classify`, for all $5^6 = 15625$
    equations with coefficients in {−2, …, 2}, and the types are counted.
    """
    i1, i2, i3 = lam + mu, lam * mu, -lam * mu * k
    central = And(
        Equivalent(And(lam * k > 0, mu * k > 0), And(i2 > 0, real(i1, i3))),
        Equivalent(And(lam * mu > 0, Eq(k, 0)), And(i2 > 0, Eq(i3, 0))),
        Equivalent(And(lam * mu < 0, Ne(k, 0)), And(i2 < 0, Ne(i3, 0))),
    )
    value = -lam * k - p**2  # K₁ of λX² + 2pY − k, whose I₃ is −λp²
    flat = And(
        Equivalent(Ne(p, 0), Ne(-lam * p**2, 0)),
        Implies(Eq(p, 0), And(Equivalent(lam * k > 0, parallel(value)), Equivalent(Eq(k, 0), Eq(value, 0)))),
    )

    def both(case: Any) -> tuple[Any, Any]:
        expected = NAMES[2][type_by_inertia(*case)]
        return (conic_name(case, real, parallel), NAMES[2][signature(*case)]), (expected, expected)

    def counts(_: str) -> tuple[Any, Any]:
        return dict(Counter(conic_name(case, real, parallel) for case in equations(2, range(-2, 3)))), CONICS

    return (
        ForAll(central, [Ne(lam, 0), Ne(mu, 0)]),
        ForAll(flat, [Ne(lam, 0)]),
        ForEach(equations(2, range(-2, 3)), both, over="all 15625 conics with coefficients in {−2, …, 2}"),
        ForEach(["counts"], counts, over="the number of conics of each type among them"),
    )


def canonical_forms(n: int) -> Iterator[tuple[list[list[int]], list[int], int]]:
    """Σ ±X² (+ 2Y) = c with c in {−1, 0, 1} in n variables, at least one square."""
    for signs in combinations_with_replacement((1, -1, 0), n):
        A = [[value * (i == j) for j in range(n)] for i, value in enumerate(signs)]
        for last in (0, 1):
            if any(signs) and not (last and signs[-1]):
                yield from ((A, [0] * (n - 1) + [last], const) for const in (-1, 0, 1))


def occurring_types(n: int) -> set[tuple[str, int, int]]:
    return {signature(*case) for case in canonical_forms(n)}


@claim(mutants=[dict(turn=-1), dict(types=18)])
def quadric_classification(turn=1, types=17):
    r"""The 17 types of quadrics by (kind, P, Q) after the sign is normalised; F(ε) and Descartes' rule find them.

    Central (3,0) ellipsoid, (2,1) one-sheet, (1,2) two-sheet hyperboloid, (0,3) imaginary; cones {3,0} point, {2,1};
    paraboloids {2,0}, {1,1}; cylinders (2,0), (1,1), (0,2); {2,0} line, {1,1} crossing planes; a parabolic cylinder;
    parallel planes (1,0), imaginary (0,1), coincident. Compared with the inertia of A and $\tilde A$ on the canonical
    forms and on every 11th of the 59049 equations with coefficients in {−1, 0, 1} (a deterministic subset of 5369, not
    all); an equation and −1 times it get the same type. The canonical forms with such coefficients show all 17 types.
    """

    def both(case: Any) -> tuple[Any, Any]:
        A, b, const = case
        negated = [[-value for value in row] for row in A], [-value for value in b], -const
        expected = type_by_inertia(A, b, turn * const)
        return (signature(*case), signature(*negated)), (expected, expected)

    def occurring(count: int) -> tuple[Any, Any]:
        named = {key for key in NAMES[3] if key[0] not in LINEAR_KINDS}
        return (len(occurring_types(3)), occurring_types(3)), (count, named)

    cases = chain(canonical_forms(3), equations(3, (-1, 0, 1), 11))
    return (
        ForEach(cases, both, over="canonical forms, and every 11th quadric with coefficients in {−1, 0, 1}"),
        ForEach([types], occurring, over="the number of types that occur"),
    )


@claim(mutants=[dict(halves=lambda r: r + 1), dict(at_6=54)])
def type_count(halves=lambda r: r // 2 + 1, at_6=53):
    r"""In n variables there are 3, 9, 17, 27, 39, 53 types for n = 1, …, 6.

    $T(n) = \sum_{r=1}^{n}[(r+1) + (\lfloor r/2\rfloor + 1)] + \sum_{r=1}^{n-1}(\lfloor r/2\rfloor + 1)$. By rank r:
    central, cones, parabolic. Compared with an enumeration of the canonical forms through F(ε) for n ≤ 6. Without the
    normalisation of the sign the last two would count r + 1 each.
    """
    values = (3, 9, 17, 27, 39, at_6)

    def both(n: int) -> tuple[Any, Any]:
        total = sum(r + 1 + halves(r) for r in range(1, n + 1)) + sum(halves(r) for r in range(1, n))
        return (total, len(occurring_types(n))), (values[n - 1], values[n - 1])

    return ForEach(range(1, 7), both, over="n = 1, …, 6")


@claim(mutants=[dict(flow=0, entry=1, weight=2)])
def uniqueness(flow=2, entry=0, weight=1):
    r"""For a given equation λ, p and, if p = 0, κ are unique; R and v are as far as they can be.

    λ by `invariants`. For every n, under a rigid map R, v the Penrose rules go over to $R^\top AR$, $R^\top A^+R$,
    $R^\top P_0R$; p² is unchanged, and κ becomes $\kappa - 2b^\top P_0v$ (so it is invariant iff p = 0; a parabolic κ
    is absorbed). If R and S both diagonalise A to D, then $R^\top S$ commutes with D, so that its entries between
    different eigenvalues vanish: R is unique up to signs for simple λ, up to O(multiplicity) otherwise. Along $Ad = 0$,
    q changes by $2b^\top P_0d$ only: v is unique up to flat directions. Multiplying the equation by s multiplies κ by
    s.
    """
    R_, S_, D_, v_, d_ = letters("R S D v d")
    square, other = sp.Matrix([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3, sp.diag(-1, 1, 1)
    model = projector_model()
    model |= {"R": square, "v": [[1], [2], [-1]], "d": [[2], [2], [1]], s: 3}
    rules = [*PENROSE, (R_.T * R_, 1), (R_ * R_.T, 1), (v_.T * b_, b_.T * v_), (v_.T * P_ * b_, b_.T * P_ * v_)]
    A, G, P = (R_.T * m * R_ for m in (A_, G_, P_))
    b = R_.T * (A_ * v_ + b_)
    value = v_.T * A_ * v_ + 2 * b_.T * v_ + c
    diagonal = sp.diag(2, 3, 5)
    turned = square * diagonal * square.T
    frames = {"A": turned, "R": square, "S": square * other, "D": diagonal}
    commuting = [(A_.T, A_), (D_.T, D_), (A_ * R_, R_ * D_), (A_ * S_, S_ * D_)]
    scaled = (s * b_).T * (G_ * (1 / s)) * (s * b_) - s * c
    step = 2 * u_.T * A_ * d_ + d_.T * A_ * d_ + 2 * b_.T * d_  # q(u + d) − q(u)
    return (
        Words(A * G, 1 - weight * P, rules, model=model),
        Words(b.T * P * b, weight * b_.T * P_ * b_, rules, model=model),
        Words(b.T * G * b - value, b_.T * G_ * b_ - c - flow * b_.T * P_ * v_, rules, model=model),
        Words(D_ * R_.T * S_, weight * R_.T * S_ * D_, commuting, model=frames),
        ForAll(Implies(Eq(lam * x, mu * x), Eq(x, entry)), [Ne(lam, mu)]),
        Words(step, flow * b_.T * P_ * d_, [*PENROSE, (A_ * d_, 0)], model=model),
        Words(scaled, weight * s * (b_.T * G_ * b_ - c), PENROSE, model=model, given=[Ne(s, 0)]),
    )


def _characteristic(n: int, scalar: Any) -> list[Any]:
    """det(A + εI) by Faddeev's and LeVerrier's recursion, as in `pencil`; of the last product only the trace."""
    A = [[scalar(1 + (i * j) % 5 + (i == j)) for j in range(n)] for i in range(n)]
    product, found = A, []
    for j in range(1, n):
        d = _total(product[i][i] for i in range(n)) / j
        B = [[d - q if i == r else -q for r, q in enumerate(row)] for i, row in enumerate(product)]
        if j < n - 1:
            product = [[_total(A[i][q] * B[q][r] for q in range(n)) for r in range(n)] for i in range(n)]
        found.append(d)
    return [*found, _total(_total(A[i][q] * B[q][i] for q in range(n)) for i in range(n)) / n]


def _total(values: Iterable[Any]) -> Any:
    return reduce(add, values)


@claim(mutants=[dict(mul=lambda n: (n - 1) * n**3, moving=0)])
def cost(mul=lambda n: (n - 2) * n**3 + n**2, moving=1):
    r"""n×n instead of bordered matrices: a characteristic polynomial of degree n instead of n + 1, at lower cost.

    By Faddeev's and LeVerrier's recursion $(n-2)n^3 + n^2$ multiplications (counted for n = 2, …, 5): 4 against 36 for
    conics, 36 against 144 for quadrics. The eigenvalues of $\tilde A$ are no Euclidean invariants, since T isn't
    orthogonal: a translation by v changes the trace of $\tilde A$ by q(v) − c (n = 2, generic), while $\det\tilde A$
    stays (`invariants`).
    """
    before, after = bordered(GENERIC[2], LINEAR[2], c), bordered(*moved(2, sp.eye(2), SHIFT[2]))
    counts = {
        "mul": mul,
        "add": lambda n: (n - 1) ** 2 + (n - 2) * n**2 * (n - 1) + n**2 - 1,
        "sub": lambda n: n * (n - 1),
        "neg": lambda n: n * (n - 1) ** 2,
        "div": lambda n: n,
    }
    return (
        Counts(_characteristic, (2, 3, 4, 5), counts),
        ForEach([(2, 4, 36), (3, 36, 144)], lambda q: ((mul(q[0]), mul(q[0] + 1)), q[1:]), over="conics and quadrics"),
        Identity(after.trace() - before.trace(), moving * (quadric(GENERIC[2], LINEAR[2], c, SHIFT[2]) - c)),
    )
