r"""Positions with several coordinates: quaternions and why they fail, commuting generators, their number, injectivity.

Article 8397 and what it leaves open. $\mathcal R_{x,y} = \exp(xB_1 + yB_2)$; hat u is the antisymmetric matrix with û v
= u × v.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import flint
import sympy as sp
from flint import arb, fmpq, fmpq_mat
from sympy import And, Eq, Equivalent, Implies, Ne, Or, cos, sin, sqrt

from kexue import (
    Enclosure,
    Exists,
    ForAll,
    ForEach,
    Identity,
    Induction,
    Integral,
    Words,
    claim,
    erratum,
    letters,
    mutant,
)

from .common import (
    I2,
    J,
    antisymmetric,
    block_rotation,
    commutator,
    exact_square,
    i,
    integer_skew,
    rotation,
    t,
    theta,
    x,
    y,
)
from .solutions import exponential, truncate

a, b, c, d, e, f = sp.symbols("a b c d e f", real=True)
x1, x2, y1, y2, h = sp.symbols("x1 x2 y1 y2 h", real=True)
p = sp.symbols("p0:4", real=True)
q = sp.symbols("q0:4", real=True)


@dataclass(frozen=True)
class GeneratorAnalysis:
    """What `analyse_generators` finds about x ↦ exp(x_1 B_1 + … + x_k B_k).

    antisymmetric: of each B_i whether it is.
    commuting: whether all pairs commute.
    independent: the dimension of the span of the B_i.
    relative: R_xᵀ R_y = R_{y−x} for all real x, y: all antisymmetric and commuting.
    locally_injective: relative, and different positions near each other have different matrices.
    """

    antisymmetric: tuple[bool, ...]
    commuting: bool
    independent: int
    relative: bool
    locally_injective: bool


def analyse_generators(*generators: Any) -> GeneratorAnalysis:
    """Decides exactly whether a family exp(Σ x_i B_i) is a rotary position embedding on ℝᵏ.

    Raises:
        ValueError: no generator is given, one isn't a square matrix of rational numbers, or their sizes differ.
    """
    if not generators:
        raise ValueError("generators must hold at least one matrix, got none")
    found = [exact_square(B, f"generator {index}") for index, B in enumerate(generators, 1)]
    sizes = [B.rows for B in found]
    if len(set(sizes)) > 1:
        raise ValueError(f"generators must have one size, got {sizes}")
    for index, B in enumerate(found, 1):
        if any(not entry.is_Rational for entry in B):
            raise ValueError(f"generator {index} must have rational entries, got {B.tolist()}")
    skew = tuple(B.T == -B for B in found)
    commuting = all(A * B == B * A for A, B in combinations(found, 2))
    independent = _rank([list(B) for B in found])
    relative = all(skew) and commuting
    return GeneratorAnalysis(skew, commuting, independent, relative, relative and independent == len(found))


def centraliser_dimension(B: Any) -> int:
    """The dimension of {X antisymmetric: XB = BX}: how many generators can stand beside B, itself included.

    Raises:
        ValueError: B isn't an antisymmetric matrix of rational numbers; the message shows B + Bᵀ.
    """
    B = antisymmetric(B, "B")
    if any(not entry.is_Rational for entry in B):
        raise ValueError(f"B must have rational entries, got {B.tolist()}")
    basis = _skew_basis(B.rows)
    return len(basis) - (_rank([list(E * B - B * E) for E in basis]) if basis else 0)


def _skew_basis(size: int) -> list[sp.ImmutableMatrix]:
    def one(row: int, column: int) -> sp.ImmutableMatrix:
        return sp.ImmutableMatrix(size, size, lambda u, v: int((u, v) == (row, column)) - int((v, u) == (row, column)))

    return [one(row, column) for row, column in combinations(range(size), 2)]


def _rank(rows: Sequence[Sequence[sp.Rational]]) -> int:
    return int(fmpq_mat([[fmpq(int(entry.p), int(entry.q)) for entry in row] for row in rows]).rank())


def complex_matrix(u: Any, v: Any) -> sp.Matrix:
    return sp.Matrix([[u, -v], [v, u]])


def quaternion_matrix(w: Sequence[Any], corner: int = -1) -> sp.Matrix:
    """Left multiplication by w_0 + w_1 i + w_2 j + w_3 k."""
    return sp.Matrix([
        [w[0], -w[1], -w[2], -w[3]],
        [w[1], w[0], corner * w[3], w[2]],
        [w[2], w[3], w[0], -w[1]],
        [w[3], -w[2], w[1], w[0]],
    ])  # fmt: skip


def quaternion_product(v: Sequence[Any], w: Sequence[Any]) -> list[Any]:
    """By the table i² = j² = k² = −1, ij = k = −ji, jk = i = −kj, ki = j = −ik."""
    return [
        v[0] * w[0] - v[1] * w[1] - v[2] * w[2] - v[3] * w[3],
        v[0] * w[1] + v[1] * w[0] + v[2] * w[3] - v[3] * w[2],
        v[0] * w[2] - v[1] * w[3] + v[2] * w[0] + v[3] * w[1],
        v[0] * w[3] + v[1] * w[2] - v[2] * w[1] + v[3] * w[0],
    ]


def quaternion_conjugate(w: Sequence[Any]) -> list[Any]:
    return [w[0], -w[1], -w[2], -w[3]]


def hat(u: Sequence[Any]) -> sp.Matrix:
    return sp.Matrix([[0, -u[2], u[1]], [u[2], 0, -u[0]], [-u[1], u[0], 0]])


def generator_3(a: Any, b: Any, c: Any) -> sp.Matrix:
    """The article's B[a, b, c] of order 3."""
    return sp.Matrix([[0, -a, -b], [a, 0, -c], [b, c, 0]])


def generator_4(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> sp.Matrix:
    """The article's B[a, b, c, d, e, f] of order 4."""
    return sp.Matrix([[0, -a, -b, -d], [a, 0, -c, -e], [b, c, 0, -f], [d, e, f, 0]])


def zeros(matrix: sp.MatrixBase) -> And:
    return And(*(Eq(entry, 0) for entry in matrix if entry != 0))


# Complex numbers and quaternions as matrices


@claim(mutants=[dict(corner=1)])
def complex_map(corner=-1):
    r"""$a + bi \mapsto \begin{pmatrix}a&-b\\b&a\end{pmatrix}$ keeps sums, products and inverses.

    So it is an isomorphism of ℂ onto its image; the map to vectors keeps sums only.
    """

    def M(u: Any, v: Any) -> sp.Matrix:
        return sp.Matrix([[u, corner * v], [v, u]])

    norm = a**2 + b**2
    return (
        Identity(
            sp.Matrix.vstack(M(a, b) * M(c, d), M(a, b) + M(c, d)),
            sp.Matrix.vstack(M(a * c - b * d, a * d + b * c), M(a + c, b + d)),
        ),
        Identity(M(a, b) * M(a / norm, -b / norm), I2, [norm > 0]),
    )


@claim(mutants=[dict(corner=1)])
def quaternion_map(corner=-1):
    r"""The article's 4×4 matrices of quaternions keep sums and products, and $e^{a+v} = e^a(\cos r + \tfrac vr\sin r)$,
    $r = |v| > 0$.

    The products are those of the article's table. Euler's formula is shown on the matrices: with V the matrix of v = bi
    + cj + dk, $E = e^{at}(\cos(rt) I + \sin(rt) V/r)$ obeys $E' = (aI + V)E$, E(0) = I, whose only solution is
    $\exp(t(aI + V))$ (`exp-ode`).
    """

    def M(w: Sequence[Any]) -> sp.Matrix:
        return quaternion_matrix(w, corner)

    v = [sp.S.Zero, b, c, d]
    r = sqrt(b**2 + c**2 + d**2)
    E = sp.exp(a * t) * (cos(r * t) * sp.eye(4) + sin(r * t) / r * M(v))
    total = [u + w for u, w in zip(p, q, strict=True)]
    return (
        Identity(sp.Matrix.vstack(M(p) * M(q), M(p) + M(q)), sp.Matrix.vstack(M(quaternion_product(p, q)), M(total))),
        Identity(
            sp.Matrix.vstack(E.diff(t), E.subs(t, 0)),
            sp.Matrix.vstack(M([a, b, c, d]) * E, sp.eye(4)),
            [b**2 + c**2 + d**2 > 0],
        ),
    )


@erratum(
    printed=dict(stray=lambda w: w),
    mutants=[dict(order=lambda v, w: (v, w))],
)
def quaternion_inner(stray=lambda w: sp.S.One, order=lambda v, w: (w, v)):
    r"""$\langle p, q\rangle = \mathrm{Re}(pq^*)$ on ℝ⁴ and $(pq)^* = q^*p^*$, and $\langle qe^{im\theta},
    ke^{in\theta}\rangle = \mathrm{Re}[qe^{i(m-n)\theta}k^*]$ on ℂ.

    So the first two equalities of the complex derivation survive, and only $e^ue^v = e^{u+v}$ breaks
    (`quaternion-fails`). In the article's chain the second argument of the inner product carries a stray factor q.
    """
    m, n = sp.symbols("m n", real=True)
    z, w = sp.symbols("z w", complex=True)
    star = quaternion_conjugate
    first, second = order(p, q)
    turned = [z * sp.exp(sp.I * m * theta), stray(z) * w * sp.exp(sp.I * n * theta)]
    return (
        Identity(
            sp.Matrix([sum(u * v for u, v in zip(p, q, strict=True)), *star(quaternion_product(p, q))]),
            sp.Matrix([quaternion_product(p, star(q))[0], *quaternion_product(star(first), star(second))]),
        ),
        Identity(turned[0] * sp.conjugate(turned[1]), z * sp.exp(sp.I * (m - n) * theta) * sp.conjugate(w)),
    )


@claim(mutants=[dict(second=(1, 0, 0)), dict(swap=1)])
def quaternion_fails(second=(0, 1, 0), swap=-1):
    r"""$\mathcal R_{x,y} = \exp(xi + yj)$ isn't relative: the largest entry of $\mathcal R_{1,0}^\top\mathcal R_{0,1} -
    \mathcal R_{-1,1}$ is $\sin^21 = 0.708\dots$.

    The matrices are left multiplications, so the first column shows the product. What fails is $e^ue^v = e^{u+v}$,
    since $ij = -ji$.
    """

    def exponential_of(v: Sequence[Any]) -> list[Any]:
        r = sqrt(sum(u**2 for u in v))
        return [cos(r), *(u / r * sin(r) for u in v)]

    product_ = quaternion_product(quaternion_conjugate(exponential_of((1, 0, 0))), exponential_of(second))
    direct = (
        exponential_of([u - w for u, w in zip(second, (1, 0, 0), strict=True)]) if second != (1, 0, 0) else [1, 0, 0, 0]
    )
    gap = [u - w for u, w in zip(product_, direct, strict=True)]
    largest = sp.Max(*map(sp.Abs, gap), evaluate=False)
    unit = [[int(u == v) for u in range(4)] for v in range(4)]
    return (
        Enclosure(largest, lower=sp.Rational(708, 1000), upper=sp.Rational(709, 1000)),
        Identity(
            sp.Matrix(quaternion_product(unit[1], unit[2])), swap * sp.Matrix(quaternion_product(unit[2], unit[1]))
        ),
    )


# Two commuting generators


@claim(mutants=[dict(angles=lambda x, y: (x + y, x + y)), dict(first=lambda R: R)])
def planar_relative(angles=lambda x, y: (x, y), first=lambda R: R.T):
    r"""$\mathcal R_{x,y} = \mathrm{diag}(R(x\theta), R(y\theta))$: $\mathcal R_{x_1,y_1}^\top\mathcal R_{x_2,y_2} =
    \mathcal R_{x_2-x_1,y_2-y_1}$, and it tells (1, −1) from (0, 0).

    The form with $(x + y)\theta$ is relative too, but it merges those two positions (shown at θ = 1).
    """

    def R(u: Any, v: Any) -> sp.Matrix:
        return block_rotation([angle * theta for angle in angles(u, v)])

    return (
        Identity(first(R(x1, y1)) * R(x2, y2), R(x2 - x1, y2 - y1)),
        Exists(Ne(a, 1), {a: R(1, -1).subs(theta, 1)[0, 0]}),
    )


@claim(mutants=[dict(sign=1), mutant("domain", relative=False), mutant("domain", commuting=False)])
def planar_constraints(sign=-1, relative=True, commuting=True):
    r"""$\exp(xB_1 + yB_2)$ is relative on ℝ² iff $B_1^\top = -B_1$, $B_2^\top = -B_2$ and $B_1B_2 = B_2B_1$.

    Every size. Necessity, which the article assumes: relativity gives $\mathcal R_a\mathcal R_b = \mathcal R_{a+b} =
    \mathcal R_b\mathcal R_a$ (with $\mathcal R_{-a} = \mathcal R_a^\top$), whose coefficient of xy for a = (x, 0), b =
    (0, y) is $B_1B_2 = B_2B_1$; antisymmetry is the first-order part, as in one dimension. For antisymmetric generators
    $B_1B_2^\top = B_2^\top B_1$ says the same as $B_1B_2 = B_2B_1$. Sufficiency: $X = x_1B_1 + y_1B_2$ and Y = $x_2B_1
    + y_2B_2$ commute, so $e^{-X}e^Y = e^{Y-X}$ (`commuting-exponentials`); its homogeneous parts are shown up to order
    4.
    """
    B1, B2, Ra, Rb, S, Na, Nb = letters("B1 B2 Ra Rb S Na Nb")
    first, second = sp.diag(J, 2 * J), sp.diag(3 * J, J) if commuting else integer_skew(4)
    model = {"B1": first, "B2": second, x1: 1, x2: 2, y1: 3, y2: 5}
    skew = [(B1.T, -B1), (B2.T, -B2)]
    u, v = (hat([1, 0, 0]), hat([1, 0, 0])) if relative else (hat([1, 0, 0]), hat([0, 1, 0]))
    turn = [sp.eye(3) + sp.Rational(4, 5) * w + sp.Rational(2, 5) * w**2 for w in (u, v)]
    group = {"Ra": turn[0], "Rb": turn[1], "S": turn[0] * turn[1], "Na": turn[0].T, "Nb": turn[1].T}
    rules = [(Na, Ra.T), (Nb, Rb.T), (Na.T * Rb, S)] + ([(Nb.T * Ra, S)] if relative else [])
    X, Y = x1 * B1 + y1 * B2, x2 * B1 + y2 * B2
    return (
        Words(
            B1 * B2.T - B2.T * B1, sign * (B1 * B2 - B2 * B1), skew, model={"B1": hat([1, 0, 0]), "B2": hat([0, 1, 0])}
        ),
        Words(Ra * Rb, Rb * Ra, rules, model=group),
        Words(
            truncate(exponential(X, 4).T * exponential(Y, 4), 4),
            exponential(Y - X, 4),
            skew + ([(B1 * B2, B2 * B1)] if commuting else []),
            model=model,
        ),
    )


@claim(mutants=[dict(cross=lambda u, v: (sp.Matrix(v)).cross(sp.Matrix(u))), dict(solution=lambda b, c: Eq(b, 0))])
def planar_3x3_commute(
    cross=lambda u, v: sp.Matrix(u).cross(sp.Matrix(v)), solution=lambda b, c: And(Eq(b, 0), Eq(c, 0))
):
    r"""$[\hat u, \hat v] = \widehat{u\times v}$: antisymmetric 3×3 matrices commute iff their axes are parallel.

    With the article's ansatz $B_1 = B[a, 0, 0]$, a ≠ 0, and $B_2 = B[0, b, c]$ they commute iff b = c = 0.
    """
    u, v = sp.symbols("u1:4", real=True), sp.symbols("v1:4", real=True)
    bracket = commutator(generator_3(a, 0, 0), generator_3(0, b, c))
    return (
        Identity(commutator(hat(u), hat(v)), hat(cross(u, v))),
        ForAll(Equivalent(zeros(bracket), solution(b, c)), [Ne(a, 0)]),
    )


@claim(mutants=[dict(solution=lambda b, c, d, e, f: And(Eq(d, c * f), Eq(e, b * f))), dict(last=1)])
def planar_4x4_ansatz(solution=lambda b, c, d, e, f: And(Eq(d, c * f), Eq(e, -b * f)), last=-1):
    r"""$B_1 = B[1, b, c, 0, 0, 0]$ and $B_2 = B[0, 0, 0, d, e, f]$ commute iff d = cf, e = −bf, with f free.

    That is $B_2 = f\cdot{}$the Hodge dual of $B_1$. For a leading coefficient a the conditions are ad = cf, ae = −bf,
    bd = −ce.
    """
    unit = commutator(generator_4(1, b, c, 0, 0, 0), generator_4(0, 0, 0, d, e, f))
    bracket = commutator(generator_4(a, b, c, 0, 0, 0), generator_4(0, 0, 0, d, e, f))
    return (
        ForAll(Equivalent(zeros(unit), solution(b, c, d, e, f))),
        ForAll(Equivalent(zeros(bracket), And(Eq(a * d, c * f), Eq(a * e, -b * f), Eq(b * d, last * c * e)))),
    )


@claim(mutants=[dict(count=lambda d: d * (d + 1) * sp.S.Half)])
def antisymmetric_dimension(count=lambda d: d * (d - 1) * sp.S.Half):
    r"""Antisymmetric d×d matrices have $d(d-1)/2$ free entries: 1, 3, 6 for d = 2, 3, 4.

    For every d by induction: a row more brings d entries more. The rank of $X \mapsto X - X^\top$ is compared for d ≤
    6.
    """
    u = sp.Function("u")

    def ranks(size: int) -> tuple[Any, Any]:
        places = product(range(size), repeat=2)
        units = [sp.Matrix(size, size, lambda r, s, at=at: int((r, s) == at)) for at in places]
        return _rank([list(E - E.T) for E in units]), count(size)

    return (
        Induction(i, 1, {u(i + 1): u(i) + i}, {u(1): 0}, [Eq(u(i), count(i))]),
        ForEach(range(1, 7), ranks, over="d = 1..6"),
    )


# How many dimensions positions need


@claim(
    mutants=[dict(rank=lambda d: (d + 1) // 2), dict(planes=lambda d: d // 2 + 1)],
    relies_on=("simultaneous canonical form of commuting antisymmetric matrices",),
)
def kd_min_dimension(rank=lambda d: d // 2, planes=lambda d: d // 2):
    r"""k independent commuting antisymmetric d×d generators exist iff d ≥ 2k: two coordinates need d = 4.

    In the simultaneous canonical form (quoted; its planes are found in `kd-normal-form`) the generators are rows of a
    k×⌊d/2⌋ table of frequencies, so independent ones are at most ⌊d/2⌋. One plane for each coordinate attains it:
    decided by `analyse_generators` for d = 2..8. The centraliser of a rational element with different frequencies has
    the dimension ⌊d/2⌋ (exact ranks, d = 2..8).
    """

    def centralisers(size: int) -> tuple[Any, Any]:
        generic = sp.diag(*((index + 1) * J for index in range(size // 2)), *([sp.zeros(1, 1)] * (size % 2)))
        return (centraliser_dimension(generic), centraliser_dimension(integer_skew(size, seed=3))), (rank(size),) * 2

    def attained(size: int) -> tuple[Any, Any]:
        generators = []
        for plane in range(size // 2):
            B = sp.zeros(size, size)
            B[2 * plane + 1, 2 * plane], B[2 * plane, 2 * plane + 1] = 1, -1
            generators.append(B)
        found = analyse_generators(*generators)
        return (found.locally_injective, found.independent), (True, planes(size))

    return (
        ForEach(range(2, 9), centralisers, over="d = 2..8"),
        ForEach(range(2, 9), attained, over="d = 2..8"),
    )


@claim(
    mutants=[dict(phase=lambda w, u: w[0] * u[0] ** 2 + w[1] * u[1]), dict(image=2), mutant("domain", commuting=False)],
    relies_on=("spectral theorem for commuting symmetric matrices",),
)
def kd_normal_form(phase=lambda w, u: w[0] * u[0] + w[1] * u[1], image=1, commuting=True):
    r"""Every relative family on ℝᵏ that is continuous is $P\,\mathrm{blockdiag}_i R(\omega_i\cdot x)\,P^\top$, P
    orthogonal, $\omega_i \in \mathbb R^k$.

    Continuity makes each one-parameter group an exponential, so $\mathcal R_x = \exp(\sum x_iB_i)$ with commuting
    antisymmetric $B_i$ (`planar-constraints`). Every size, plane by plane: the $B_iB_j$ are symmetric and commute, so
    they have a common unit eigenvector v (quoted): $B_1^2v = -\theta^2v$ with a generator $B_1$ for which $B_1v \ne 0$
    (if there is none, v is fixed), $B_1B_2v = -\mu v$. Then $B_1^2B_2v$ is both $-\mu B_1v$ and $-\theta^2B_2v$, so
    with $w = B_1v/\theta$ also $B_2v = (\mu/\theta)w$: all generators turn one plane, at the rates of ω = (θ, μ/θ).
    Conversely such a family is relative, since $\omega\cdot x$ is linear. RoPE by axes is the case of every ω on an
    axis.
    """
    mu = sp.Symbol("mu", real=True)
    B1, B2, v = letters("B1 B2 v")
    model = {
        "B1": sp.diag(2 * J, J),
        "B2": sp.diag(3 * J, 5 * J) if commuting else integer_skew(4),
        "v": [1, 0, 0, 0],
        theta: 2,
        mu: 6,
    }
    skew = [(B1.T, -B1), (B2.T, -B2)]
    bracket = [(B1 * B2, B2 * B1)] if commuting else []
    common = [(B1 * B1 * v, -(theta**2) * v)]
    w = sp.symbols("omega1 omega2", real=True)
    near, far = (x1, y1), (x2, y2)
    away = tuple(u - s for u, s in zip(far, near, strict=True))
    return (
        Words((B1 * B2).T, B1 * B2, skew + bracket, model=model),
        Words(
            B1 * B1 * B2 * v,
            -image * mu * B1 * v,
            [(B1 * B2 * v, -mu * v)],
            model=model | ({} if commuting else {"B2": sp.diag(3 * J, J)}),
        ),
        Words(B1 * B1 * B2 * v, -image * theta**2 * B2 * v, bracket + common, model=model),
        Identity(rotation(phase(w, near)).T * rotation(phase(w, far)), rotation(phase(w, away))),
    )


def nearest_return(bound: int) -> arb:
    """The smallest distance of x + √2 y from 2πℤ for integers |x|, |y| ≤ bound that aren't both 0."""
    with flint.ctx.workdps(30):
        root, turn = arb(2).sqrt(), 2 * arb.pi()
        smallest = turn
        for u in range(bound + 1):
            for v in range(-bound, bound + 1):
                if u or v > 0:
                    value = u + root * v
                    smallest = smallest.min(abs(value - turn * (value / turn + arb(1) / 2).floor()))
    return smallest


@erratum(
    printed=dict(reversible=False),
    mutants=[dict(first=lambda R: R), dict(closest=45)],
    relies_on=("Lindemann 1882: π is transcendental",),
)
def injective_integers_2x2(reversible=True, first=lambda R: R.T, closest=46):
    r"""On ℤ², $\mathcal R_{x,y} = R(x + \sqrt2y)$ is 2×2, relative and reversible: $\mathcal R_{x,y} = \mathcal
    R_{x',y'}$ only if x = x', y = y'.

    The article asks for 4×4 because 2×2 generators are multiples of one: that excludes injectivity near 0 on ℝ², not on
    ℤ². $x + \sqrt2y \in 2\pi\mathbb Z$ with (x, y) ≠ 0 would make π algebraic or √2 rational. With $1, \sqrt{p_1},
    \dots$ it works on every ℤᵏ. But it is badly conditioned: for |x|, |y| ≤ 60 the nearest return is $46\cdot10^{-5}$
    rad (rounded) from the identity (Arb, all offsets).
    """
    root = sqrt(2)

    def returns(bound: int) -> tuple[Any, Any]:
        nearest = nearest_return(bound)
        return (bool(nearest > 0), int((nearest * 10**5 + arb(1) / 2).floor().unique_fmpz())), (reversible, closest)

    return (
        Identity(first(rotation(x1 + root * y1)) * rotation(x2 + root * y2), rotation(x2 - x1 + root * (y2 - y1))),
        ForEach([60], returns, over="all offsets with |x|, |y| ≤ 60"),
    )


@claim(
    mutants=[dict(period=sp.pi, one=lambda W, Wi: Wi), dict(thousand=500), dict(third=2)],
    relies_on=("Besicovitch 1940: square roots of different primes and 1 are independent over ℚ",),
)
def injective_reals(period=2 * sp.pi, one=lambda W, Wi: W, thousand=1000, third=3):
    r"""A continuous relative family on ℝᵏ is injective on ℝᵏ only if d ≥ 2k + 2, and d = 2k + 2 suffices.

    By `kd-normal-form` it is $x \mapsto Wx$ modulo 2π with a ⌊d/2⌋×k matrix W. With fewer than k rows, or a singular W,
    a line has the image I; with an invertible W the point $2\pi W^{-1}e_1 \ne 0$ has (every k). So k rows don't do. k +
    1 rows do: the coordinates and $\sum\sqrt{p_i}x_i$, as $\sum\sqrt{p_i}a_i = b$ has no integer solution but 0
    (quoted; for $\sqrt2, \sqrt3$ the norm is compared with 0 for all |a|, |b| ≤ 5). So the article's 4×4 form returns
    at (2π/θ, 0), and on ℤ² it is reversible iff θ/π is irrational. Standard RoPE with b = 10⁴, d = 8 has the period
    2000π.
    """
    W, Wi, v = letters("W Wi v")
    model = {"W": [[1, 2], [3, 7]], "Wi": [[7, -2], [-3, 1]], "v": [1, 0]}
    frequencies = [sp.Rational(1, 10**index) for index in range(4)]

    def norm(case: tuple[int, int, int]) -> tuple[bool, bool]:
        u, v, w = case
        return (w**2 + 2 * u**2 - third * v**2) ** 2 - 8 * u**2 * w**2 != 0, True

    return (
        Words(one(W, Wi) * Wi * v, v, [(W * Wi, 1), (Wi * W, 1)], model=model),
        Identity(sp.diag(rotation(period), rotation(0)), sp.eye(4)),
        Identity(block_rotation([2 * sp.pi * thousand * frequency for frequency in frequencies]), sp.eye(8)),
        ForEach(
            [z for z in product(range(-5, 6), repeat=3) if any(z)],
            norm,
            over="integers a, b with |a|, |b| ≤ 5, not all 0",
        ),
    )


@erratum(
    printed=dict(determinant=0),
    mutants=[
        dict(score=lambda x, y: cos(x) + cos(y), primitive=lambda x, y: sin(x) + x * cos(y)),
        dict(mean=sp.Rational(1, 4)),
    ],
)
def axial_not_complete(determinant=4, score=lambda x, y: cos(x + y), primitive=lambda x, y: sin(x + y), mean=sp.S.Half):
    r"""RoPE by axes isn't general in two dimensions: cos(x + y), a score with a mixed frequency, isn't in the span of
    its scores.

    The span is that of cos x, sin x, cos y, sin y (θ = 1). With cos(x + y) these are independent: their values at (0,
    0), (0, π/2), (0, π), (π/2, 0), (π/2, π) have the determinant 4. cos(x + y) is even orthogonal to all functions of x
    alone and of y alone, and its mean square is 1/2: no axial score comes nearer than the rms $1/\sqrt2$. So "without
    loss of generality" isn't true of the article's ansatz; in one dimension RoPE is complete.
    """
    functions = [cos(x), sin(x), cos(y), sin(y), score(x, y)]
    right = sp.pi / 2
    points = [(0, 0), (0, right), (0, sp.pi), (right, 0), (right, sp.pi)]
    values = sp.Matrix([[g.subs({x: u, y: v}) for g in functions] for u, v in points])
    square = t / 2 + sin(2 * t + 2 * y) / 4
    return (
        Identity(values.det(), determinant),
        Integral(score(x, y), x, 0, 2 * sp.pi, 0, primitive=primitive(x, y)),
        Integral(cos(t + y) ** 2, t, 0, 2 * sp.pi, 2 * sp.pi * mean, primitive=square),
    )


@claim(
    mutants=[
        dict(index=lambda h, x, y: h * x * y),
        dict(most=lambda h: h**2 - 2),
        dict(turn=sp.Rational(1, 8)),
        dict(merged=lambda a, b: Eq(a, b)),
        mutant("domain", least=0),
    ]
)
def flatten_is_relative(
    index=lambda h, x, y: h * x + y, most=lambda h: h**2 - 1, turn=sp.Rational(1, 65),
    merged=lambda a, b: Or(Eq(a, b), Eq(a, -b)), least=1,
):  # fmt: skip
    r"""Row-major flattening $R((hx+y)\theta)$ is relative on ℤ² and, for 0 < θ < 2π/h², reversible on the h×h grid.

    So the article's two requirements don't exclude it: different cells differ in index by 1 to $h^2 - 1$ (every h).
    What does is the unstated third one: a vertical neighbour is h away, a horizontal one 1. No flattening ax + by meets
    all three: |a| = |b| merges (1, 0) with (0, 1) or (0, −1). For h = 8 all 64 cells are told apart at θ = 2π/65; at θ
    = 2π/8 rows aren't.
    """
    u, v = sp.symbols("u v", real=True)
    grid = [sp.Abs(u) <= h - 1, sp.Abs(v) <= h - 1, h >= 1]

    def angles(size: int) -> tuple[int, int]:
        cells = product(range(size), repeat=2)
        return len({(int(index(size, *cell)) * turn) % 1 for cell in cells}), size**2

    return (
        Identity(
            rotation(index(h, x1, y1) * theta).T * rotation(index(h, x2, y2) * theta),
            rotation(index(h, x2 - x1, y2 - y1) * theta),
        ),
        ForAll(sp.Abs(h * u + v) <= most(h), grid),
        ForAll(Ne(h * u + v, 0), [sp.Abs(u) >= least, sp.Abs(v) <= h - 1, h >= 1]),
        ForEach([8], angles, over="the 64 cells of the 8×8 grid"),
        ForAll(Implies(Eq(sp.Abs(a), sp.Abs(b)), merged(a, b))),
    )
