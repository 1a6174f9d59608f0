"""The parabolic type: an infinitesimal on the diagonal, its limits, and the vertex without limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, combinations
from typing import Any

import sympy as sp
from flint import fmpz_mat
from sympy import Abs, Implies, Matrix, Ne, Rational, sqrt

from kexue import ForAll, ForEach, Identity, Limit, Witnesses, Words, claim, erratum

from .common import (
    A_,
    EXAMPLE,
    G_,
    GENERIC,
    P_,
    PENROSE,
    Y,
    as_fractions,
    b_,
    c,
    det,
    eps,
    equations,
    example_centre,
    example_constant,
    k,
    kappa,
    lam,
    mu,
    p,
    projector_model,
    quadric,
    s,
    t,
    u_,
    x,
    x_,
    y,
)
from .reduction import X as CANONICAL
from .reduction import canonical_limit, pencil, pseudo_inverse, reduce_quadric

NOT_SINGULAR = [Ne(eps, 0), Ne(eps + 5, 0)]


@claim(mutants=[dict(middle=0, bound=Rational(1, 2))])
def perturbed_inverse(middle=1, bound=2):
    r"""$(A + \varepsilon I)^{-1} = P_0/\varepsilon + A^+ - \varepsilon A^{+2} + O(\varepsilon^2)$ (A symmetric).

    Exactly, it is $P_0/\varepsilon + \sum_{\lambda\ne0} P_\lambda/(\lambda + \varepsilon)$. For every n: $(A +
    \varepsilon I)(P_0/\varepsilon + A^+ - \varepsilon A^{+2}) = I - \varepsilon^2 A^{+2}$ by the Penrose rules. On the
    eigenvectors of λ ≠ 0 the three terms miss $1/(\lambda + \varepsilon)$ by exactly $\varepsilon^2/(\lambda^2(\lambda
    + \varepsilon))$, which is at most $2\varepsilon^2/|\lambda|^3$ for $|\varepsilon| \le |\lambda|/2$.
    """
    terms = P_ * (1 / eps) + middle * G_ - eps * G_**2
    rest = eps**2 / (lam**2 * (lam + eps))
    return (
        Words((A_ + eps) * terms, 1 - eps**2 * G_**2, PENROSE, model=projector_model(), given=[Ne(eps, 0)]),
        Identity(1 / (lam + eps), middle / lam - eps / lam**2 + rest, [Ne(lam, 0), Ne(lam + eps, 0)]),
        ForAll(
            Implies(2 * Abs(eps) <= Abs(lam), Abs(rest) * Abs(lam) ** 3 <= bound * eps**2),
            [Ne(lam, 0), Ne(lam + eps, 0)],
        ),
    )


@erratum(printed=dict(middle=0), mutants=[dict(square=0)])
def perturbed_constant(middle=1, square=1):
    r"""$k(\varepsilon) = b^\top(A + \varepsilon I)^{-1}b - c = p^2/\varepsilon + \kappa + O(\varepsilon)$.

    In the article's example it is $\tfrac{1}{5\varepsilon} + \tfrac{34}{25} - \tfrac{9\varepsilon}{125} + \dots$ For
    every n: if $(A + \varepsilon I)x = b$, then $b^\top x = p^2/\varepsilon + b^\top A^+ b - \varepsilon b^\top A^{+2}
    b + \varepsilon^2 b^\top A^{+2} x$ by the Penrose rules. The article drops $A^+$: it prints $k =
    \tfrac{1}{5\varepsilon} + 1$ and $x_0 = (2, 1)/(5\varepsilon)$, where κ = 34/25 and $x_0 = (2, 1)/(5\varepsilon) +
    (3, -6)/(5(5 + \varepsilon))$. The shape of the parabola survives it (`parabolic-limit`), its vertex doesn't.
    """
    b = A_ * x_ + eps * x_  # so that x = (A + εI)⁻¹b
    terms = b.T * P_ * b * (1 / eps) + middle * b.T * G_ * b - square * eps * b.T * G_**2 * b
    constant = 1 + middle * Rational(9, 25)
    rest = Rational(9, 125) * eps**2 / (5 + eps)
    exact = Matrix([2, 1]) / (5 * eps) + middle * Matrix([3, -6]) / (5 * (5 + eps))
    return (
        Words(b.T * x_, terms + eps**2 * b.T * G_**2 * x_, PENROSE, model=projector_model(), given=[Ne(eps, 0)]),
        Identity(example_constant(), 1 / (5 * eps) + constant - square * Rational(9, 125) * eps + rest, NOT_SINGULAR),
        Identity(-example_centre(), exact, NOT_SINGULAR),
    )


@claim(mutants=[dict(cross=1, bound=Rational(1, 3))])
def parabolic_limit(cross=2, bound=1):
    r"""For p > 0, $\sum'\lambda_iX_i^2 + \varepsilon Y^2 = k(\varepsilon)$ tends to $\sum'\lambda_iX_i^2 \pm 2pY = 0$.

    With $Y = Y' + s$, $s = \sqrt{k/\varepsilon}$: $\varepsilon Y^2 - k = \varepsilon Y'^2 + 2\varepsilon s Y'$, where
    $(\varepsilon s)^2 = \varepsilon k = p^2 + \kappa\varepsilon + O(\varepsilon^2)$, so $|\varepsilon s| \to p$ with an
    error of at most $|\varepsilon k - p^2|/p$: locally uniform and O(ε), for ε of either sign: near 0, εk > 0. The
    constant κ is absorbed in the shift: only p = ‖P₀b‖ matters.
    """
    shift = sqrt(k / eps)
    product = p**2 + kappa * eps + t * eps**2  # ε k(ε), with any bounded t
    return (
        Identity(eps * (Y + shift) ** 2 - k, eps * Y**2 + cross * eps * shift * Y, [eps * k > 0]),
        Identity((cross * eps * shift) ** 2, 4 * eps * k, [eps * k > 0]),
        Limit(cross * sqrt(product), eps, 0, 2 * p, dir="+-", given=[p > 0]),
        ForAll(Abs(sqrt(p**2 + x) - p) <= bound * Abs(x) / p, [p > 0, p**2 + x >= 0]),
    )


@claim(mutants=[dict(half=1), dict(half=Rational(25, 68)), dict(back=-1)])
def exact_vertex(half=Rational(1, 2), back=1):
    r"""Without limits: $v = -A^+b + \tfrac{\kappa}{2p}n$, $n = P_0 b/p$, gives $q(v + u) = u^\top A u + 2p\,n^\top u$.

    For every n, by the Penrose rules; equivalently $Av + b = pn$ and $q(v) = 0$. In the article's example $v = (31/25,
    23/25)$, $p = 1/\sqrt5$, κ = 34/25, and the canonical form is $5X^2 + (2/\sqrt5)Y$. The article's truncated constant
    1 in place of κ would give another t.
    """
    v = -back * G_ * b_ + half * kappa / p**2 * P_ * b_
    rules = [
        *PENROSE, (b_.T * P_ * b_, p**2), (b_.T * G_ * b_, kappa + c), (u_.T * b_, b_.T * u_),
        (u_.T * P_ * b_, b_.T * P_ * u_),
    ]  # fmt: skip

    def q(at: Any) -> Any:
        return at.T * A_ * at + 2 * b_.T * at + c

    given, model = [Ne(p, 0)], projector_model()
    A, b, const = EXAMPLE
    n, m = Matrix([2, 1]) / sqrt(5), Matrix([1, -2]) / sqrt(5)
    vertex = -A * b / 25 + half * Rational(34, 25) * sqrt(5) * n
    found = reduce_quadric(*EXAMPLE)
    return Witnesses(
        (
            Words(q(v + u_), u_.T * A_ * u_ + 2 * b_.T * P_ * u_, rules, model=model, given=given),
            Words(A_ * v + b_, P_ * b_, rules, model=model, given=given),
            Words(q(v), 0, rules, model=model, given=given),
            Identity(quadric(A, b, const, x * m + y * n + vertex), 5 * x**2 + 2 / sqrt(5) * y),
        ),
        ForEach(
            ["the example"],
            lambda _: ((found.v, found.p, found.equation), (vertex, 1 / sqrt(5), canonical_parabola())),
            over="reduce_quadric on the article's example",
        ),
    )


def canonical_parabola() -> sp.Expr:
    return 5 * CANONICAL[0] ** 2 + 2 * CANONICAL[1] / sqrt(5)


def _parabolic_and_flat() -> Iterator[Any]:
    """Equations with a singular A: conics, and every 61st quadric, with coefficients in {−1, 0, 1}."""
    for case in chain(equations(2, (-1, 0, 1)), equations(3, (-1, 0, 1), 61)):
        if pencil(*case)[0][0] == 0:
            yield case


@claim(mutants=[dict(half=1)])
def vertex_limit(half=Rational(1, 2)):
    r"""The vertex $-(A + \varepsilon I)^{-1}b + n\sqrt{k(\varepsilon)/\varepsilon}$ tends to the vertex.

    The vertex is that of `exact-vertex`. In it $-P_0b/\varepsilon = -(p/\varepsilon)n$ cancels, and
    $\sqrt{k/\varepsilon} - p/\varepsilon \to \kappa/(2p)$ for every κ and p > 0. In the article's example the limit is
    (31/25, 23/25). The Laurent series of `canonical_limit` and the pseudo-inverse give the same p², κ and v for all
    singular conics with coefficients in {−1, 0, 1} and those of every 61st such quadric (if p = 0, v is the limit of
    the centre).
    """
    centre, n = example_centre(), Matrix([2, 1]) / sqrt(5)
    tip = [centre[i] + n[i] * sqrt(example_constant() / eps) for i in (0, 1)]
    end = [Rational(-3, 25) + half * Rational(68, 25), Rational(6, 25) + half * Rational(34, 25)]

    def both(case: Any) -> tuple[Any, Any]:
        A, b, const = as_fractions(*case)
        centre, along = ([sum(q * r for q, r in zip(row, b)) for row in m] for m in pseudo_inverse(A))
        p_squared = sum(q * q for q in along)
        constant = sum(q * r for q, r in zip(centre, b)) - const
        step = constant * Fraction(int(half.numerator), int(half.denominator)) / p_squared if p_squared else 0
        return canonical_limit(A, b, const), (p_squared, constant, [step * q - r for q, r in zip(along, centre)])

    length = sqrt(p**2 / eps**2 + kappa / eps + s)  # √(k/ε), with any bounded s
    return Witnesses(
        (
            Limit(length - p / eps, eps, 0, half * kappa / p, dir="+", given=[p > 0]),
            Limit(tip[0], eps, 0, end[0], dir="+"),
            Limit(tip[1], eps, 0, end[1], dir="+"),
        ),
        ForEach(_parabolic_and_flat(), both, over="singular conics, and those of every 61st quadric"),
    )


@claim(mutants=[dict(middle=0)])
def degenerate_limit(middle=1):
    r"""For p = 0, that is b in the range of A, $k(\varepsilon) \to \kappa$: $\sum'\lambda_iX_i^2 = \kappa$ is left.

    For every n: if $(A + \varepsilon I)x = b$ and $P_0 x = 0$, then $b^\top x = b^\top A^+ b - \varepsilon b^\top
    A^{+2} b + \varepsilon^2 b^\top A^{+2}x$. Keeping the leading terms $P_0/\varepsilon$ alone is wrong here: for $x^2
    + 2xy + y^2 + 2x + 2y - 3 = 0$ the limit is κ = 4 (so $2X^2 = 4$), the truncation gives −c = 3.
    """
    b = A_ * x_ + eps * x_
    model = projector_model()
    model["x"] = model["w"]
    terms = middle * b.T * G_ * b - eps * b.T * G_**2 * b + eps**2 * b.T * G_**2 * x_
    A, column = sp.ones(2, 2) + eps * sp.eye(2), sp.Matrix([1, 1])
    constant = (column.T * A.adjugate() * column)[0] / det(A) + 3
    return (
        Words(b.T * x_, terms, [*PENROSE, (P_ * x_, 0)], model=model),
        Limit(constant, eps, 0, 3 + middle, dir="+-"),
    )


def _integer_det(m: Sequence[Sequence[int]]) -> int:
    return int(fmpz_mat([list(row) for row in m]).det()) if m else 1


def _position_sets() -> Iterator[tuple[Any, tuple[int, ...]]]:
    """Singular symmetric 3×3 matrices with entries in {−1, 0, 1}, with every choice of dim ker A places."""
    for m, _, _ in equations(3, (-1, 0, 1), 81):
        d = pencil(m, (0, 0, 0), 0)[0]
        order = next(i for i, value in enumerate(d) if value)
        yield from ((m, places) for places in combinations(range(3), order) if order)


@claim(mutants=[dict(kept=lambda i, places: i in places, minor=lambda m, i: -m.minor(i, i), limit=1, position=2)])
def single_diagonal_epsilon(
    kept=lambda i, places: i not in places, minor=lambda m, i: m.minor(i, i), limit=Rational(1, 5), position=1
):
    r"""ε at the i-th diagonal place alone makes a singular A invertible iff the minor $A_{(ii)}$ isn't 0.

    With m = dim ker A places: iff the principal minor of the others isn't 0. $\det(A + \varepsilon e_ie_i^\top) = \det
    A + \varepsilon A_{(ii)}$, generic n = 2, 3, and for rank 2 in three dimensions, $A = \lambda aa^\top + \mu
    bb^\top$, $A_{(ii)} = \lambda\mu(a \times b)_i^2$: the null vector must have a component there. The minor rule is
    compared for all singular 3×3 matrices with entries in {−1, 0, 1} and all choices of m places. diag(1, 0) with ε at
    place 1 stays singular; εI always works. In the article's example both places give the same limit, $k\mu \to p^2 =
    1/5$ for the small eigenvalue μ.
    """
    generic = []
    for n in (2, 3):
        A = GENERIC[n]
        moved = A + sp.diag(*(eps * int(i == n - 1) for i in range(n)))
        generic.append(Identity(det(moved), det(A) + eps * minor(A, n - 1)))
    first, second = (sp.Matrix(sp.symbols(f"{name}1:4", real=True)) for name in "fg")
    rank_two = lam * first * first.T + mu * second * second.T
    normal = first.cross(second)

    def both(case: Any) -> tuple[bool, bool]:
        m, places = case
        moved = [[value + (i == j and i in places) for j, value in enumerate(row)] for i, row in enumerate(m)]
        rest = [i for i in range(3) if kept(i, places)]
        return _integer_det(moved) != 0, _integer_det([[m[i][j] for j in rest] for i in rest]) != 0

    A, b, const = EXAMPLE
    limits = []
    for i in (0, 1):
        moved = A + sp.diag(*(eps * int(i == j) for j in (0, 1)))
        trace = moved.trace()
        small = (trace - sqrt(trace**2 - 4 * det(moved))) / 2
        constant = (b.T * moved.adjugate() * b)[0] / det(moved) - const
        limits.append(Limit(constant * small, eps, 0, limit, dir="+-"))
    return (
        *generic,
        Identity(minor(rank_two, 2), lam * mu * normal[2] ** 2),
        ForEach(_position_sets(), both, over="singular 3×3 matrices with entries in {−1, 0, 1}, all choices of places"),
        ForEach(
            [position],
            lambda i: (_integer_det([[1 + (i == 1), 0], [0, int(i == 2)]]), 0),
            over="the diagonal of diag(1, 0) with 1 added at a place",
        ),
        *limits,
    )
