r"""Orthogonal matrices that take one unit vector to another.

Su Jianlin, 《从一个单位向量变换到另一个单位向量的正交矩阵》 (Orthogonal matrices that transform one unit vector
into another), Scientific Spaces, 2021-06-05, archive 8453. No paper underlies it; solution T1 below is the rotation of
Fifty et al., Restructuring Vector Quantization with the Rotation Trick, 2024, arXiv 2410.06424.

Given unit vectors a, b of R^d, find T with $T^\top T = I$ and $Ta = b$. With $c = a^\top b$:

    rotation      $T_1 = I + 2ba^\top - (a+b)(a+b)^\top/(1+c)$
    householder   $T_2 = I - (a-b)(a-b)^\top/(1-c)$
    half_turn     $T_3 = (a+b)(a+b)^\top/(1+c) - I$
    neg_rotation  $T_4 = 2ba^\top + (a-b)(a-b)^\top/(1-c) - I$ (not in the article: what its own trick makes of T1)

All four are $\alpha I + [a\,b]M[a\,b]^\top$ with α and M rational in c, so that most statements are proved in the Gram
algebra, for every dimension at once.

Notation: θ is the angle of a and b, c = cos θ, s = sin θ ≥ 0; $u = (b - ca)/s$ completes a to an orthonormal basis of
the plane; $H_v = I - 2vv^\top/\|v\|^2$ is the reflection in the hyperplane orthogonal to v; $K = ba^\top - ab^\top$.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import Abs, And, Eq, Equivalent, Implies, Max, Ne, Or, Rational, conjugate, cos, sin, sqrt

from kexue import (
    Counts,
    Exists,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Limit,
    OperatorIdentity,
    Words,
    claim,
    erratum,
    letters,
    mutant,
)
from kexue.engines import gate, normal_form

c, s, t, x, y, delta, theta, phi, lam = sp.symbols("c s t x y delta theta phi lambda", real=True)
d = sp.Symbol("d", integer=True)

PLANE = Gram("a b", [[1, c], [c, 1]])
a, b = PLANE.vectors()
I = PLANE.identity
K = b.outer(a) - a.outer(b)

KINDS = ("rotation", "householder", "half_turn", "neg_rotation")
NEGATED = {
    "rotation": "neg_rotation",
    "neg_rotation": "rotation",
    "householder": "half_turn",
    "half_turn": "householder",
}

NOT_OPPOSITE = (c > -1, c <= 1)
NOT_EQUAL = (c >= -1, c < 1)
INDEPENDENT = (c > -1, c < 1)
WITH_SINE = (Eq(s**2, 1 - c**2), s > 0)
PYTHAGOREAN = ({c: Rational(3, 5), s: Rational(4, 5)}, {c: Rational(-5, 13), s: Rational(12, 13)})


# The solutions


def solution(kind: str, v: Any = a, w: Any = b, one: Any = 1) -> Any:
    """T1, T2, T3 or T4 from v to w, unit vectors of a Gram algebra; `one` is the 1 in the denominator 1 ± vᵀw."""
    identity, cosine = v.gram.identity, v.dot(w)
    if kind in ("rotation", "half_turn"):
        bisector = (v + w).outer(v + w) / (one + cosine)
        return identity + 2 * w.outer(v) - bisector if kind == "rotation" else bisector - identity
    mirror = (v - w).outer(v - w) / (one - cosine)
    return identity - mirror if kind == "householder" else 2 * w.outer(v) + mirror - identity


def defined(kind: str) -> tuple[sp.Basic, ...]:
    """Where the denominator of a solution isn't zero."""
    return NOT_OPPOSITE if kind in ("rotation", "half_turn") else NOT_EQUAL


def reflection(v: Any) -> Any:
    """H_v."""
    return v.gram.identity - 2 * v.outer(v) / v.dot(v)


def gram_matrix(*vectors: Any) -> sp.Matrix:
    return sp.Matrix([[v.dot(w) for w in vectors] for v in vectors])


def in_basis(r: Sequence[Sequence[Any]], q: Sequence[Any]) -> Any:
    """Q R Qᵀ."""
    pairs = [(i, j) for i in range(len(q)) for j in range(len(q))]
    total = q[0].gram.identity * 0
    for i, j in pairs:
        total = total + r[i][j] * q[i].outer(q[j])
    return total


def coefficients(kind: str, cosine: Any = c) -> tuple[sp.Expr, sp.ImmutableMatrix]:
    """(α, M) with T = αI + [a b] M [a b]ᵀ, as functions of c = aᵀb.

    Args:
        kind: "rotation", "householder", "half_turn" or "neg_rotation".
        cosine: what to put for c, by default the symbol c itself.

    Raises:
        ValueError: unknown kind, or a cosine at which this solution isn't defined.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    value = gate.expression(cosine, "cosine")
    singular = -1 if kind in ("rotation", "half_turn") else 1
    if not value.free_symbols and _is_zero(value - singular):
        raise ValueError(f"cosine must not be {singular} for kind={kind!r}: its denominator is zero there")
    T = solution(kind)
    return T.alpha, sp.ImmutableMatrix(T.matrix.xreplace({c: value}))


def unit_vector(*t: Any) -> tuple[Any, ...]:
    """(1 − |t|², 2t)/(1 + |t|²): every unit vector with rational coordinates but −e₁ comes from a rational t.

    Raises:
        ValueError: a coordinate of t is not exact or not real.
    """
    entries = _exact_vector("t", t)
    square = sum((e**2 for e in entries), sp.S.Zero)
    return ((1 - square) / (1 + square), *(2 * e / (1 + square) for e in entries))


def orthogonal_map(a: Sequence[Any], b: Sequence[Any], kind: str = "auto") -> sp.ImmutableMatrix:
    """The orthogonal matrix of the given kind that takes the unit vector a to the unit vector b, exactly.

    Args:
        a, b: unit vectors of one dimension d ≥ 1, with int, Fraction or exact real SymPy entries without symbols.
        kind: one of KINDS, or "auto": "half_turn" for aᵀb ≥ 0 and "householder" else, defined for every pair.

    Raises:
        ValueError: entries that are not exact real numbers, vectors that are empty, zero, not of length 1 or of
            different dimensions; unknown kind; a kind that isn't defined at b = a or b = −a.
    """
    v, w = _unit("a", a), _unit("b", b)
    if len(v) != len(w):
        raise ValueError(f"a and b must have one dimension, got {len(v)} and {len(w)}")
    if kind not in (*KINDS, "auto"):
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, auto, got {kind!r}")
    cosine = sp.expand(sum((p * q for p, q in zip(v, w, strict=True)), sp.S.Zero))
    if kind == "auto":
        kind = "half_turn" if _is_zero(cosine) or cosine.is_positive else "householder"
    singular = -1 if kind in ("rotation", "half_turn") else 1
    if _is_zero(cosine - singular):
        where = "b = -a" if singular == -1 else "b = a"
        if len(v) == 1:
            sign = "+1" if singular == -1 else "-1"
            raise ValueError(f'kind={kind!r} has determinant {sign} for d = 1, and no such map has {where}: use "auto"')
        raise ValueError(f'kind={kind!r} isn\'t defined at {where} (its denominator is zero): use "auto"')
    alpha, m = coefficients(kind, cosine)
    columns = sp.Matrix([v, w]).T
    return sp.ImmutableMatrix(alpha * sp.eye(len(v)) + columns * m * columns.T).applyfunc(sp.expand)


def _is_zero(value: sp.Expr) -> bool:
    return bool(normal_form.is_zero(value))


def _exact_vector(name: str, entries: Sequence[Any]) -> list[sp.Expr]:
    found = [gate.expression(e, f"{name}[{i}]") for i, e in enumerate(entries)]
    for i, e in enumerate(found):
        if e.free_symbols or not e.is_real:
            raise ValueError(f"{name}[{i}] must be a real number, got {e}")
    return found


def _unit(name: str, entries: Sequence[Any]) -> list[sp.Expr]:
    found = _exact_vector(name, entries)
    if not found:
        raise ValueError(f"{name} must have at least one entry, got none")
    square = sp.expand(sum((e**2 for e in found), sp.S.Zero))
    if not _is_zero(square - 1):
        what = "the zero vector" if _is_zero(square) else f"squared length {square}"
        raise ValueError(f"{name} must be a unit vector, got {what}")
    return found


# Two dimensions


@claim(mutants=[dict(projection=-c), dict(first=(1, 1))])
def basis_2d(projection=c, first=(1, 0)):
    r"""For $c \ne \pm1$, $u = (b - ca)/\sqrt{1-c^2}$ is a unit vector orthogonal to a, and $a = Q(1,0)^\top$, $b =
    Q(c,s)^\top$ with $Q = (a, u)$.

    Proved in every dimension $d \ge 2$, with the symbol s > 0 for $\sqrt{1-c^2}$; $\|b - ca\|^2 = 1 - c^2$. Hence $b =
    QRQ^\top a$ for every R whose first column is $(c, s)$: here with an arbitrary second column (x, y).
    """
    v = b - projection * a
    u = v / s
    moved = in_basis([[c, x], [s, y]], (a, u)) @ a
    instances = [{**p, x: 2, y: 3} for p in PYTHAGOREAN]
    return (
        Identity(gram_matrix(a, u), sp.eye(2), WITH_SINE),
        Identity(v.dot(v), 1 - c**2, INDEPENDENT),
        OperatorIdentity(first[0] * a + first[1] * u, a, WITH_SINE, PYTHAGOREAN),
        OperatorIdentity(c * a + s * u, b, WITH_SINE, PYTHAGOREAN),
        OperatorIdentity(moved, b, WITH_SINE, instances),
    )


@claim(mutants=[dict(choices=lambda u, v: And(Eq(u, -s), Eq(v, c)))])
def two_choices_of_r(choices=lambda u, v: Or(And(Eq(u, -s), Eq(v, c)), And(Eq(u, s), Eq(v, -c)))):
    r"""An orthogonal 2×2 matrix with the first column $(c, s)$, $c^2 + s^2 = 1$, has the second column $\pm(-s, c)$:
    exactly two choices.
    """
    orthonormal = And(Eq(c * x + s * y, 0), Eq(x**2 + y**2, 1))
    return ForAll(Equivalent(orthonormal, choices(x, y)), [Eq(c**2 + s**2, 1)])


# d dimensions


@claim(mutants=[dict(sign=1), dict(kept=0)])
def e_eliminated(sign=-1, kept=1):
    r"""$\tilde Q\,\mathrm{diag}(R, I)\,\tilde Q^\top = QRQ^\top + I - QQ^\top$ for every orthogonal $\tilde Q = (Q,
    E)$: the completion E drops out.

    For all sizes: $F$ and $G$ are the first two and the other columns of I, so that $Q = \tilde QF$, $E = \tilde QG$
    and $\mathrm{diag}(R, I) = FRF^\top + GG^\top$; the rule is $\tilde Q\tilde Q^\top = QQ^\top + EE^\top = I$. With
    $Q^\top Q = I$ and $R^\top R = I$ the result is orthogonal, whatever E is.
    """
    P, F, G, Q, E, R = letters("P F G Q E R")
    p = sp.Matrix([[1, 2, 2], [2, 1, -2], [2, -2, 1]]) / 3
    r = sp.Matrix([[3, -4], [4, 3]]) / 5
    model = {"P": p, "F": sp.eye(3)[:, :2], "G": sp.eye(3)[:, 2:], "Q": p[:, :2], "E": p[:, 2:], "R": r}
    T = Q * R * Q.T + 1 + sign * Q * Q.T
    return (
        Words(
            P * (F * R * F.T + kept * G * G.T) * P.T,
            T,
            [(P * F, Q), (P * G, E), (Q * Q.T + E * E.T, 1)],
            model=model,
        ),
        Words(T.T * T, kept, [(Q.T * Q, 1), (R.T * R, 1)], model=model),
    )


def _completed(r: Sequence[Sequence[Any]]) -> Any:
    """QRQᵀ + I − QQᵀ in the basis (a, u)."""
    q = (a, (b - c * a) / s)
    return in_basis(r, q) + I - in_basis([[1, 0], [0, 1]], q)


@claim(mutants=[dict(denominator=1 - c), dict(orientation=-1)])
def rotation_closed_form(denominator=1 + c, orientation=1):
    r"""With $R = \begin{pmatrix}c&-s\\s&c\end{pmatrix}$, $QRQ^\top + I - QQ^\top = I + 2ba^\top -
    \frac{(a+b)(a+b)^\top}{1+c}$, $c \ne \pm1$.

    Proved for every d, in the Gram algebra modulo $s^2 = 1 - c^2$, s > 0.
    """
    r = [[c, -orientation * s], [orientation * s, c]]
    closed = I + 2 * b.outer(a) - (a + b).outer(a + b) / denominator
    return OperatorIdentity(_completed(r), closed, WITH_SINE, PYTHAGOREAN)


@claim(mutants=[dict(denominator=1 + c), dict(twice=1)])
def reflection_closed_form(denominator=1 - c, twice=2):
    r"""With $R = \begin{pmatrix}c&s\\s&-c\end{pmatrix}$, $QRQ^\top + I - QQ^\top = I - \frac{(a-b)(a-b)^\top}{1-c} = I
    - 2nn^\top$, $c \ne \pm1$.

    $n = (a-b)/\|a-b\|$, and $\|a-b\|^2 = 2(1-c)$. Proved for every d. The mirror is the hyperplane orthogonal to a − b.
    The last form needs $c \ne 1$ only.
    """
    closed = I - (a - b).outer(a - b) / denominator
    n = (a - b) / sqrt((a - b).dot(a - b))
    instances = [{c: -1}, {c: Rational(1, 2)}]
    return (
        OperatorIdentity(_completed([[c, s], [s, -c]]), closed, WITH_SINE, PYTHAGOREAN),
        Identity((a - b).dot(a - b), twice * (1 - c), NOT_EQUAL),
        OperatorIdentity(solution("householder"), I - twice * n.outer(n), NOT_EQUAL, instances),
    )


@claim(mutants=[dict(one=2), dict(image=b)])
def orthogonality(one=1, image=2 * c * a - b):
    r"""$T_iT_i^\top = T_i^\top T_i = I$ for i = 1..4, where $T_1, T_3$ need $c \ne -1$ and $T_2, T_4$ need $c \ne 1$.

    Proved for every d. Orthogonality alone is no test: $T_1$ with $ab^\top$ in the place of $ba^\top$ stays orthogonal
    and takes a to $2ca - b$.
    """
    parts = []
    for kind in KINDS:
        T = solution(kind, one=one)
        parts += [OperatorIdentity(T @ T.T, I, defined(kind)), OperatorIdentity(T.T @ T, I, defined(kind))]
    misprinted = I + 2 * a.outer(b) - (a + b).outer(a + b) / (one + c)
    return (
        *parts,
        OperatorIdentity(misprinted.T @ misprinted, I, NOT_OPPOSITE),
        OperatorIdentity(misprinted @ a, image, NOT_OPPOSITE),
    )


@claim(mutants=[dict(one=2), dict(rotated=a), dict(first=a, second=b)])
def maps_a_to_b(one=1, rotated=2 * c * b - a, first=b, second=a):
    r"""$T_ia = b$ for i = 1..4; $T_1b = T_4b = 2cb - a$; $T_2b = T_3b = a$.

    Proved for every d, wherever the solution is defined. The mutant with a and b exchanged in $2ba^\top$ takes a to
    $2ca - b$ instead.
    """

    def T(kind: str) -> Any:
        error = 2 * (first.outer(second) - b.outer(a)) if "rotation" in kind else 0 * I
        return solution(kind, one=one) + error

    images = {"rotation": rotated, "neg_rotation": rotated, "householder": a, "half_turn": a}
    return (
        *(OperatorIdentity(T(kind) @ a, b, defined(kind)) for kind in KINDS),
        *(OperatorIdentity(T(kind) @ b, images[kind], defined(kind)) for kind in KINDS),
    )


@claim(
    mutants=[
        dict(swapping=("neg_rotation", "rotation"), rotations=("half_turn", "householder")),
        dict(exchanged=(a, b), symmetric_at=(0, -1)),
    ]
)
def involution(
    swapping=("householder", "half_turn"),
    rotations=("rotation", "neg_rotation"),
    exchanged=(b, a),
    symmetric_at=(1, -1),
):
    r"""$T_2, T_3$ are symmetric with $T^2 = I$, so they swap a and b; $T_1$ and $T_4$ are symmetric only if $a = \pm
    b$.

    Proved for every d: $\|T - T^\top\|_F^2 = 8(1-c^2)$ for $T_1$ and $T_4$, which vanishes iff $c = \pm1$, that is $\|a
    \mp b\|^2 = 2(1 \mp c) = 0$. $T_1(a,b)^\top = T_1(b,a)$, and the same for $T_4$.
    """

    def asymmetry(kind: str) -> sp.Expr:
        difference = solution(kind) - solution(kind).T
        return (difference.T @ difference).trace(d)

    parts: list[Any] = []
    for kind, domain in zip(swapping, (NOT_EQUAL, NOT_OPPOSITE), strict=True):
        T = solution(kind)
        parts += [OperatorIdentity(T.T, T, domain), OperatorIdentity(T @ T, I, domain)]
    for kind, domain in zip(rotations, (NOT_OPPOSITE, NOT_EQUAL), strict=True):
        parts += [
            Identity(asymmetry(kind), 8 * (1 - c**2), [*domain, d >= 2]),
            OperatorIdentity(solution(kind).T, solution(kind, *exchanged), domain),
        ]
    return (*parts, ForAll(Equivalent(Eq(8 * (1 - c**2), 0), Or(*(Eq(c, value) for value in symmetric_at)))))


def characteristic(T: Any) -> sp.Expr:
    """det(λI − T) on R^d."""
    return (lam * T.gram.identity - T).det(d)


@claim(
    mutants=[
        dict(one=2),
        dict(signs=(1, -1, 1, -1)),
        dict(signs=(-1, 1, -((-1) ** d), (-1) ** (d + 1)), traces=(d, d, -d, -d)),
    ]
)
def determinants(one=1, signs=(1, -1, (-1) ** (d - 1), (-1) ** d), traces=(d - 2 + 2 * c, d - 2, 2 - d, 2 - d + 2 * c)):
    r"""$\det T_1 = 1$, $\det T_2 = -1$, $\det T_3 = (-1)^{d-1}$, $\det T_4 = (-1)^d$; traces $d-2+2c$, $d-2$, $2-d$,
    $2-d+2c$.

    Proved for every $d \ge 2$ by the matrix determinant lemma, with the characteristic polynomials: the spectra are
    $T_1$: $e^{\pm i\theta}$ and 1 (d − 2 times); $T_2$: −1 and 1 (d − 1 times); $T_3$: 1 and −1 (d − 1 times); $T_4$:
    $e^{\pm i\theta}$ and −1 (d − 2 times). They are compared for λ other than the multiple eigenvalue, hence as
    polynomials. So $T_3$ is a rotation for odd d only.
    """
    turned = lam**2 - 2 * c * lam + 1
    polynomials = (
        turned * (lam - 1) ** (d - 2),
        (lam + 1) * (lam - 1) ** (d - 1),
        (lam - 1) * (lam + 1) ** (d - 1),
        turned * (lam + 1) ** (d - 2),
    )
    parts = []
    for kind, sign, trace, polynomial in zip(KINDS, signs, traces, polynomials, strict=True):
        T, given = solution(kind, one=one), [*defined(kind), d >= 2]
        parts += [
            Identity(T.det(d), sign, given),
            Identity(T.trace(d), trace, given),
            Identity(characteristic(T), polynomial, [*given, Ne(lam, T.alpha)]),
        ]
    return tuple(parts)


def squared_distance(kind: str, other: str) -> sp.Expr:
    """‖T − T'‖² in the Frobenius norm, on R^d."""
    difference = solution(kind) - solution(other)
    return (difference.T @ difference).trace(d)


def explicit(kind: str, v: Sequence[Any], w: Sequence[Any]) -> sp.Matrix:
    """The solution as a matrix, for explicit coordinates with symbols."""
    alpha, m = coefficients(kind, sum(p * q for p, q in zip(v, w, strict=True)))
    columns = sp.Matrix([v, w]).T
    return alpha * sp.eye(len(v)) + columns * m * columns.T


@claim(
    mutants=[
        dict(same=(("half_turn", "rotation"), ("neg_rotation", "householder")), plane=3),
        dict(far=(d - 1, 1, 1, 1, 1, d - 1), odd=4, twice=1),
    ]
)
def coincidences(
    same=(("half_turn", "householder"), ("neg_rotation", "rotation")), plane=2, far=(1, d - 1, d - 2, d - 2, d - 1, 1),
    odd=3, twice=2,
):  # fmt: skip
    r"""For d = 2, $T_3 = T_2$ and $T_4 = T_1$; for $d \ge 3$ and $a \ne \pm b$ the four solutions are pairwise
    different.

    Proved for every $d \ge 2$ and $c \ne \pm1$: $\|T_i - T_j\|_F^2/4$ is 1 for the pairs 12 and 34, $d - 1$ for 13 and
    24, $d - 2$ for 14 and 23. So the article's "in general not equal to either" needs $d \ge 3$; the first part checks
    the equalities on coordinates. For d = 3, $\det T_3 = 1$, $T_3 = 2mm^\top - I$ is the half-turn about the bisector m
    = (a+b)/‖a+b‖, and $\det T_4 = -1$.
    """
    v, w = sp.symbols("a1 a2", real=True), sp.symbols("b1 b2", real=True)
    cosine = v[0] * w[0] + v[1] * w[1]
    unit = [Eq(v[0] ** 2 + v[1] ** 2, 1), Eq(w[0] ** 2 + w[1] ** 2, 1), Ne(cosine, 1), Ne(cosine, -1)]
    given = [*INDEPENDENT, d >= 2]
    pairs = [(KINDS[i], KINDS[j]) for i in range(4) for j in range(i + 1, 4)]
    half_turn = twice * (a + b).outer(a + b) / (a + b).dot(a + b) - I
    return (
        *(Identity(explicit(p, v, w), explicit(q, v, w), unit) for p, q in same),
        ForAll(Equivalent(Or(*(Eq(f, 0) for f in far)), Eq(d, plane)), [d >= 2]),
        *(Identity(squared_distance(p, q), 4 * f, given) for (p, q), f in zip(pairs, far, strict=True)),
        Identity(solution("half_turn").det(sp.Integer(odd)), 1, NOT_OPPOSITE),
        Identity(solution("neg_rotation").det(sp.Integer(odd)), -1, NOT_EQUAL),
        OperatorIdentity(solution("half_turn"), half_turn, NOT_OPPOSITE),
    )


@claim(mutants=[dict(sign=1)])
def negation_trick(sign=-1):
    r"""If $\tilde T$ is orthogonal and $\tilde Ta = -b$, then $-\tilde T$ is orthogonal and takes a to b; this turns
    $T_2$ into $T_3$ and $T_1$ into $T_4$, and back.

    The first part holds for all sizes; the four substitutions $-T_i(a,-b) = T_j(a,b)$ are proved for every d.
    """
    T, v, w = letters("T a b")
    model = {"T": [[0, -1], [1, 0]], "a": [[1], [0]], "b": [[0], [-1]]}
    rules = [(T.T * T, 1), (T * v, -w)]
    return (
        Words(sign * T * v, w, rules, model=model),
        Words((sign * T).T * (-T), 1, rules, model=model),
        *(OperatorIdentity(sign * solution(k, a, -b), solution(NEGATED[k]), defined(NEGATED[k])) for k in KINDS),
    )


@claim(mutants=[dict(twice=1), dict(first=b, last=a)])
def two_reflections(twice=2, first=a, last=b):
    r"""$T_1 = H_{a+b}H_a = H_bH_{a+b} = H_{a-b}H_{b-ca}$, $T_2 = H_{a-b}$ and $T_3 = -H_{a+b}$, with $H_v = I -
    2vv^\top/\|v\|^2$.

    Proved for every d, wherever the vectors v are not zero.
    """

    def H(v: Any) -> Any:
        return I - twice * v.outer(v) / v.dot(v)

    T1 = solution("rotation")
    return (
        OperatorIdentity(H(a + b) @ H(first), T1, NOT_OPPOSITE),
        OperatorIdentity(H(last) @ H(a + b), T1, NOT_OPPOSITE),
        OperatorIdentity(H(a - b) @ H(b - c * a), T1, INDEPENDENT),
        OperatorIdentity(H(a - b), solution("householder"), NOT_EQUAL),
        OperatorIdentity(-H(a + b), solution("half_turn"), NOT_OPPOSITE),
    )


def cross(v: Sequence[Any]) -> sp.Matrix:
    """[v]_×, the matrix of x ↦ v × x."""
    return sp.Matrix([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


@claim(mutants=[dict(cube=1, half=1 - c), dict(versine=lambda cosine: 1 + cosine, order=-1)])
def rodrigues(cube=-1, half=1 + c, order=1, versine=lambda cosine: 1 - cosine):
    r"""With $K = ba^\top - ab^\top$: $K^3 = -(1-c^2)K$ and $T_1 = I + K + K^2/(1+c) = e^{\theta K/\sin\theta}$; with $S
    = K/(1+c)$, $(I-S)T_1 = I+S$.

    Proved for every d. The exponential: with $J = K/\sin\theta$ and $E(\varphi) = I + \sin\varphi\,J +
    (1-\cos\varphi)J^2$, $E' = JE$ and $E(0) = I$, so that $E(\varphi) = e^{\varphi J}$, and $E(\theta) = T_1$ (here
    with c, s for cos θ, sin θ). For d = 3, $K = [a \times b]_\times$.
    """
    v, w = sp.symbols("a1 a2 a3", real=True), sp.symbols("b1 b2 b3", real=True)
    A, B = sp.Matrix(v), sp.Matrix(w)
    T1, S, J = solution("rotation"), K / half, K / s
    E = I + sin(phi) * J + versine(cos(phi)) * J @ J
    derivative = cos(phi) * J + sin(phi) * J @ J
    half_way = [{**p, phi: sp.pi} for p in PYTHAGOREAN]
    at_theta = I + s * J + versine(c) * J @ J
    return (
        OperatorIdentity(K @ K @ K, cube * (1 - c**2) * K, NOT_OPPOSITE),
        OperatorIdentity(I + order * K + K @ K / half, T1, INDEPENDENT),
        OperatorIdentity((I - S) @ T1, I + S, INDEPENDENT),
        OperatorIdentity(derivative, J @ E, WITH_SINE, half_way),
        OperatorIdentity(at_theta, T1, WITH_SINE, PYTHAGOREAN),
        Identity(order * (B * A.T - A * B.T), cross(A.cross(B))),
    )


@claim(mutants=[dict(start=1, end=0), dict(rest=lambda t: t)])
def geodesic(start=0, end=1, rest=lambda t: 1 - t):
    r"""$T_1(t) = I + \frac{\sin t\theta}{\sin\theta}K + \frac{1-\cos t\theta}{\sin^2\theta}K^2$ has $T_1(0) = I$,
    $T_1(1) = T_1$, and $T_1(t)a = \frac{\sin((1-t)\theta)\,a + \sin(t\theta)\,b}{\sin\theta}$.

    Proved for every d and all real t, $0 < \theta < \pi$: the path from I to $T_1$ moves a along the great circle
    (slerp).
    """
    plane = Gram("a b", [[1, cos(theta)], [cos(theta), 1]])
    v, w = plane.vectors()
    k = w.outer(v) - v.outer(w)
    given = [theta > 0, theta < sp.pi, sin(theta) > 0]

    def path(time: Any) -> Any:
        square = (1 - cos(time * theta)) / sin(theta) ** 2
        return plane.identity + sin(time * theta) / sin(theta) * k + square * k @ k

    slerp = (sin(rest(t) * theta) * v + sin(t * theta) * w) / sin(theta)
    quarter = {theta: sp.pi / 2}
    return (
        OperatorIdentity(path(start), plane.identity, given, [quarter]),
        OperatorIdentity(path(end), solution("rotation", v, w), given, [quarter]),
        OperatorIdentity(path(t) @ v, slerp, given, [{**quarter, t: 2}, {**quarter, t: 3}]),
    )


# All solutions, and the one nearest to the identity


O_OF_N = "O(n) is a manifold of dimension n(n−1)/2 with two components for n ≥ 1 (textbook)"


@claim(
    mutants=[mutant("symbols", fixed="b"), dict(corner=2), dict(scale=2, dimension=lambda d: d * (d - 1) / 2)],
    relies_on=(O_OF_N,),
)
def all_solutions(fixed="a", corner=1, scale=1, dimension=lambda d: (d - 1) * (d - 2) / 2):
    r"""$\{T \in O(d): Ta = b\} = \{T_1V : V \in O(d), Va = a\}$, and such V are $aa^\top + AUA^\top$ with $U \in
    O(d-1)$, A an orthonormal basis of $a^\perp$.

    For all sizes (any solution $T_1$ will do): $V = T_1^\top T$ fixes a, and so does $V^\top$; conversely $T_1V$ is
    orthogonal and takes a to b. $V = aa^\top + AUA^\top$ with $U = A^\top VA$, which is orthogonal; and every
    orthogonal U gives an orthogonal V that fixes a. So the solutions form a copy of O(d−1): a manifold of dimension
    $(d-1)(d-2)/2$ = unknowns $d(d-1)/2$ minus equations d − 1, with two components for $d \ge 2$. That O(n) has
    dimension n(n−1)/2 and two components is quoted.
    """
    T1, T, V, U, A, v, w = letters("S T V U A a b")
    model = {
        "S": [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        "T": [[0, 1, 0], [1, 0, 0], [0, 0, 1]],
        "V": sp.Matrix([[5, 0, 0], [0, 3, -4], [0, 4, 3]]) / 5,
        "U": sp.Matrix([[3, -4], [4, 3]]) / 5,
        "A": sp.eye(3)[:, 1:],
        "a": sp.eye(3)[:, 0],
        "b": sp.eye(3)[:, 1],
    }
    maps = [(T1.T * T1, 1), (T.T * T, 1), (T1 * v, w), (T * v, w)]
    inner = [(V.T * V, 1), (V * V.T, 1), (V * v, v)]
    basis = [(v.T * v, 1), (A.T * A, 1), (v.T * A, 0 * v.T * A), (v * v.T + A * A.T, 1)]
    at = letters(fixed)
    built = corner * v * v.T + A * U * A.T
    return (
        Words(T1.T * T * at, at, maps, model=model),
        Words(V.T * at, at, inner, model=model),
        Words(T1 * (scale * V) * v, w, [*maps, *inner], model=model),
        Words((T1 * scale * V).T * (T1 * V), 1, [*maps, *inner], model=model),
        Words(corner * v * v.T + A * (A.T * V * A) * A.T, V, [*basis, *inner], model=model),
        Words((A.T * scale * V * A).T * (A.T * V * A), 1, [*basis, *inner], model=model),
        Words(built.T * built, 1, [*basis, (U.T * U, 1)], model=model),
        Words(built * v, v, [*basis, (U.T * U, 1)], model=model),
        Identity(d * (d - 1) / 2 - (d - 1), dimension(d)),
    )


def _trace_lemmas(deficit: Any, mirror: Any) -> tuple[Any, ...]:
    """For W ∈ O(d): tr W ≤ d with equality for W = I only, and tr W ≤ d − 2 when Wv = −v for a unit vector v."""
    W, v = letters("W v")
    model = {"W": sp.diag(-1, 1), "v": [[1], [0]]}
    rules = [(W.T * W, 1), (W * W.T, 1), (W * v, -v), (v.T * v, 1)]
    turned = W * (1 - mirror * v * v.T)
    return (
        Words((W - 1).T * (W - 1), deficit - W - W.T, [(W.T * W, 1)], model={"W": model["W"]}),
        Words(turned, W + 2 * v * v.T, rules, model=model),
        Words(turned.T * turned, 1, rules, model=model),
    )


@claim(mutants=[dict(corner=-1, deficit=3, mirror=1), dict(best=d - 2 - 2 * c), dict(best=d - 2 + c)])
def minimal_in_so(best=d - 2 + 2 * c, corner=1, deficit=2, mirror=2):
    r"""Among all $T \in SO(d)$ with $Ta = b$, $c \ne \pm1$, $T_1$ is the unique nearest to I: $\operatorname{tr} T \le
    d - 2 + 2c$, and $\|T - I\|_F^2 = 2d - 2\operatorname{tr}T$.

    Proved for every $d \ge 2$. Write $T = T_1V$, V orthogonal, $Va = V^\top a = a$, det V = 1. As $T_1 = \tfrac{1+c}2I
    + \tfrac{1-c}2H_u + K - (1-c)aa^\top$ and $\operatorname{tr}KV = s(a^\top Vu - u^\top Va) = 0$, $\operatorname{tr}T
    = \tfrac{1+c}2\operatorname{tr}V + \tfrac{1-c}2\operatorname{tr}H_uV - (1-c)$. Here $\operatorname{tr}V \le d$, with
    equality for V = I only, since $(V-I)^\top(V-I) = 2I - V - V^\top$; and $\operatorname{tr}H_uV \le d - 2$: an
    orthogonal W with det W = −1 has a unit vector with $Wv = -v$ (det(I+W) = det W · det(I+W)), so $WH_v = W +
    2vv^\top$ is orthogonal and has trace ≤ d. At c = 1 the unique nearest is I itself.
    """
    u = (b - c * a) / s
    split = (1 + c) / 2 * I + (1 - c) / 2 * reflection(u) + K - corner * (1 - c) * a.outer(a)
    V, v, w = letters("V a u")
    model = {"V": sp.diag(1, 1, -1), "a": sp.eye(3)[:, 0], "u": sp.eye(3)[:, 1]}
    rules = [(V * v, v), (V.T * v, v), (v.T * w, 0 * v.T * w), (w.T * v, 0 * v.T * w), (v.T * v, 1)]
    total = (1 + c) / 2 * x + (1 - c) / 2 * y - (1 - c)
    bounds = [*INDEPENDENT, d >= 2, x <= d, y <= d - 2]
    return (
        OperatorIdentity(solution("rotation"), split, WITH_SINE, PYTHAGOREAN),
        Words(v.T * V * w - w.T * V * v - corner * v.T * V * v, -1, rules, model=model),
        ForAll(total <= best, bounds),
        ForAll(Implies(Eq(total, best), Eq(x, d)), bounds),
        Identity(solution("rotation").trace(d), best, [*NOT_OPPOSITE, d >= 2]),
        *_trace_lemmas(deficit, mirror),
    )


@claim(mutants=[dict(best=d - 2 + 2 * c), dict(skew=-1, reflected=d - 3), dict(nearest=-c)])
def minimal_in_o(best=d - 2 + 2 * Max(c, 0), skew=1, reflected=d - 2, nearest=c):
    r"""Over all of O(d) the largest trace of T with $Ta = b$ is $d - 2 + 2\max(c, 0)$: for c > 0 the rotation $T_1$,
    for c < 0 the reflection $T_2$ is nearest to I.

    Proved for every $d \ge 2$, $c \ne \pm1$. det T = 1 is the previous claim. For det T = −1 write $T = T_2V$, $Va =
    V^\top a = a$, det V = 1: $T_2 = \tfrac{1-c}2I + \tfrac{1+c}2H_u + s(au^\top + ua^\top) - (1-c)aa^\top$, so
    $\operatorname{tr}T = \tfrac{1-c}2\operatorname{tr}V + \tfrac{1+c}2\operatorname{tr}H_uV - (1-c) \le d - 2 =
    \operatorname{tr}T_2$. A tie at c = 0. So "the rotation is the least intrusive map" is false for obtuse pairs.
    """
    u = (b - c * a) / s
    split = (1 - c) / 2 * I + (1 + c) / 2 * reflection(u) + s * (a.outer(u) + skew * u.outer(a)) - (1 - c) * a.outer(a)
    total = (1 - c) / 2 * x + (1 + c) / 2 * y - (1 - c)
    bounds = [*INDEPENDENT, d >= 2, x <= d, y <= d - 2]
    rotated = d - 2 + 2 * c
    return (
        OperatorIdentity(solution("householder"), split, WITH_SINE, PYTHAGOREAN),
        ForAll(total <= reflected, bounds),
        Identity(solution("householder").trace(d), reflected, [*NOT_EQUAL, d >= 2]),
        ForAll(Eq(Max(rotated, d - 2), best), INDEPENDENT),
        ForAll(Equivalent(rotated > d - 2, nearest > 0), INDEPENDENT),
    )


@claim(mutants=[dict(flipped=1, fixed=-1), dict(product=Rational(1, 2))])
def fixes_complement(flipped=-1, fixed=1, product=0):
    r"""$T_1x = T_2x = x$ and $T_3x = T_4x = -x$ for $x \perp a, b$; $T_2$ fixes every x with $a^\top x = b^\top x$,
    $T_3$ negates every x with $a^\top x = -b^\top x$.

    Proved for every d. So the mirror of $T_2$ is the hyperplane $(a-b)^\perp$, and $T_3$ keeps only the line of a + b.
    """
    p, q = sp.symbols("p q", real=True)
    space = Gram("a b x", [[1, c, 0], [c, 1, product], [0, product, q]])
    v, w, z = space.vectors()
    signs = (fixed, fixed, flipped, flipped)
    parts = [
        OperatorIdentity(solution(k, v, w) @ z, sign * z, [*defined(k), q > 0], [{c: Rational(3, 5), q: 2}])
        for k, sign in zip(KINDS, signs, strict=True)
    ]
    for k, other, sign in (("householder", p, fixed), ("half_turn", -p, flipped)):
        level = Gram("a b x", [[1, c, p], [c, 1, other], [p, other, q]])
        v, w, z = level.vectors()
        instances = [{c: Rational(3, 5), p: Rational(1, 2), q: 4}]
        parts.append(OperatorIdentity(solution(k, v, w) @ z, sign * z, [*defined(k), q > 0], instances))
    return tuple(parts)


# The singular pairs


@claim(mutants=[dict(plane=1, axis=2), dict(apart=4, turned=1)])
def singular_b_eq_minus_a(plane=2, axis=1, apart=8, turned=-1):
    r"""At $b = -a$ the limits of $T_1$ and $T_3$ depend on the direction u of approach for $d \ge 3$: $I - 2(aa^\top +
    uu^\top)$ and $2uu^\top - I$; so do $T_2$ and $T_4$ at $b = a$.

    Proved for every d, along $b = -\cos\delta\,a + \sin\delta\,u$ with a unit vector $u \perp a$ (here x, y for cos δ,
    sin δ, x < 1): $T_1 = I - (1+x)(aa^\top + uu^\top) + y(ua^\top - au^\top)$ and $T_3 = (1-x)aa^\top + (1+x)uu^\top +
    y(au^\top + ua^\top) - I$ are polynomials in x, y and have a value at (1, 0); the limits along orthogonal u, v
    differ by 8 in the squared Frobenius norm. The denominator 1 + c is zero at b = −a, $T_2 = I - 2aa^\top$ is fine
    there. At b = a, along $b = xa + yu$: $T_2 \to I - 2uu^\top$, $T_4 \to 2(aa^\top + uu^\top) - I$. For d = 2 there is
    only ±u, and the limits exist: −I for $T_1$.
    """
    space = Gram("a u v", sp.eye(3))
    e, u, v = space.vectors()
    one = space.identity
    circle = [Eq(x**2 + y**2, 1), x < 1]
    at = [{x: Rational(3, 5), y: Rational(4, 5)}, {x: Rational(-5, 13), y: Rational(12, 13)}]
    opposite, same = -x * e + y * u, x * e + y * u
    flat = e.outer(e) + u.outer(u)

    def rotation(x: Any, y: Any) -> Any:
        return one - (plane - 1 + x) * flat + y * (u.outer(e) - e.outer(u))

    def half_turn(x: Any, y: Any) -> Any:
        return (1 - x) * e.outer(e) + (axis + x) * u.outer(u) + y * (e.outer(u) + u.outer(e)) - one

    difference = 2 * (u.outer(u) - v.outer(v))
    first, second = (cos(phi), sin(phi)), (-sin(phi), cos(phi))
    whole = sp.Matrix(first) * sp.Matrix([first]) + sp.Matrix(second) * sp.Matrix([second])
    return (
        OperatorIdentity(solution("rotation", e, opposite), rotation(x, y), circle, at),
        OperatorIdentity(rotation(sp.S.One, sp.S.Zero), one - 2 * flat, (), [{}]),
        OperatorIdentity(solution("half_turn", e, opposite), half_turn(x, y), circle, at),
        OperatorIdentity(half_turn(sp.S.One, sp.S.Zero), 2 * u.outer(u) - one, (), [{}]),
        Identity((difference.T @ difference).trace(d), apart, [d >= 3]),
        OperatorIdentity(solution("householder", e, -e), one - plane * e.outer(e), (), [{}]),
        OperatorIdentity(solution("householder", e, same), -half_turn(x, -y), circle, at),
        OperatorIdentity(solution("neg_rotation", e, same), -rotation(x, -y), circle, at),
        Identity(sp.eye(2) - 2 * whole, turned * sp.eye(2)),
    )


def left_multiplication(q: Sequence[Any], twist: int = 1) -> sp.Matrix:
    """L(q) with L(q)x = qx in R, C, H or the octonions (1, 2, 4 or 8 coordinates), by Cayley and Dickson.

    (p, q)(r, t) = (pr − t̄q, tp + qr̄).
    """

    def conjugated(v: list[Any]) -> list[Any]:
        return [v[0], *(-e for e in v[1:])]

    def times(v: list[Any], w: list[Any]) -> list[Any]:
        if len(v) == 1:
            return [v[0] * w[0]]
        h = len(v) // 2
        p, q, r, z = v[:h], v[h:], w[:h], w[h:]
        upper = [i - twist * j for i, j in zip(times(p, r), times(conjugated(z), q), strict=True)]
        lower = [i + j for i, j in zip(times(z, p), times(q, conjugated(r)), strict=True)]
        return upper + lower

    n = len(q)
    columns = [times(list(q), [int(i == j) for i in range(n)]) for j in range(n)]
    return sp.Matrix(n, n, lambda i, j: columns[j][i])


PARALLELIZABLE = (
    "Adams, On the non-existence of elements of Hopf invariant one, 1960: "
    "S^(d−1) is parallelizable for d = 1, 2, 4, 8 only"
)


@claim(mutants=[dict(twist=-1), dict(sign=1)], relies_on=(PARALLELIZABLE,))
def no_global_continuous_choice(twist=1, sign=-1):
    r"""A continuous $b \mapsto T(b) \in O(d)$ with $T(b)a = b$ for all unit b exists iff $d \in \{1, 2, 4, 8\}$; for
    these d it is $L(b)L(a)^\top$.

    L(q) is the left multiplication by q in the real, complex, quaternion or octonion numbers: polynomial in q, and
    $L(q)^\top L(q) = |q|^2I$, $L(b)L(a)^\top a = |a|^2b$, $L(-a)L(a)^\top = -|a|^2I$, proved for all a, b in these four
    dimensions; det L(q) = |q|^4 for d = 4. For other d: the columns $T(b)e_2, …, T(b)e_d$ (with a = e₁) would be d − 1
    independent tangent fields of the sphere, which exist for no other d by the quoted theorem of Adams. So there a
    branch is unavoidable, not a defect of the implementation.
    """
    parts = []
    for n in (1, 2, 4, 8):
        v, w = sp.symbols(f"a1:{n + 1}", real=True), sp.symbols(f"b1:{n + 1}", real=True)
        L, A, B = left_multiplication(v, twist), sp.Matrix(v), sp.Matrix(w)
        square = sum(e**2 for e in v)
        turn = left_multiplication(w, twist) * L.T
        parts += [
            Identity(left_multiplication([-e for e in v], twist) * L.T, sign * square * sp.eye(n)),
            Identity(turn * A, -sign * square * B),
        ]
        if n > 1:
            parts.append(Identity(L.T * L, square * sp.eye(n)))
        if n == 4:
            parts.append(Identity(L.det(method="berkowitz"), square**2))
    return tuple(parts)


@claim(
    mutants=[
        dict(one=Rational(1, 2), projection=2),
        dict(perpendicular=Rational(1, 2), determinant=-1),
        dict(square=4, gap=Rational(3, 4)),
    ]
)
def stable_branch(one=1, determinant=1, perpendicular=0, square=2, projection=1, gap=Rational(1, 2)):
    r"""With $T_3$ (or $T_1$) for $c \ge 0$ and $T_2$ for $c < 0$, the denominator is $1 + |c| \ge 1$ for all pairs; for
    $c < 0$, $T_2H_w$ with a unit $w \perp a$ is a rotation.

    Proved for every $d \ge 2$: $T_2H_wa = b$, $\det T_2H_w = 1$, and $\operatorname{tr}T_2H_w = d - 4 + 2(b^\top
    w)^2/(1-c) \le d - 2 + 2c$, so that it is nearest to I only if w lies in the plane of a and b. For w take $e_i -
    a_ia$, normalised, with the smallest $|a_i| \le 1/\sqrt d$: its squared length is $1 - a_i^2 \ge 1/2$. That the
    errors of the branch are a small multiple of the rounding unit is left to numerics. (The determinant lemma needs $d
    \ge 3$ for three vectors; for d = 2 use w = u.)
    """
    p, k = sp.symbols("p k", real=True)
    space = Gram("a b w", [[1, c, perpendicular], [c, 1, p], [perpendicular, p, 1]])
    v, w, n = space.vectors()
    rotation = solution("householder", v, w) @ reflection(n)
    given = [*NOT_EQUAL, p**2 <= 1 - c**2]
    at = [{c: Rational(-3, 5), p: Rational(1, 2)}, {c: Rational(-3, 5), p: Rational(4, 5)}]
    f, e = Gram("a e", [[1, k], [k, 1]]).vectors()
    rest = e - projection * k * f
    trace = d - 4 + square * p**2 / (1 - c)
    return (
        ForAll(Implies(c >= 0, And(Eq(one + c, 1 + Abs(c)), one + c >= 1)), [c >= -1, c <= 1]),
        ForAll(Implies(c < 0, And(Eq(one - c, 1 + Abs(c)), one - c >= 1)), [c >= -1, c <= 1]),
        OperatorIdentity(rotation @ v, w, given, at),
        Identity(rotation.det(d), determinant, [*given, d >= 3]),
        Identity(rotation.trace(d), trace, [*given, d >= 2]),
        ForAll(trace <= d - 2 + 2 * c, [*given, d >= 2]),
        Identity(rest.dot(rest), 1 - k**2, [k >= -1, k <= 1]),
        ForAll(Implies(d * k**2 <= 1, 1 - k**2 >= gap), [d >= 2]),
    )


# What rounding does, as exact formulas


@claim(mutants=[dict(defect=2, rate=4, bound=4), dict(square=2, speed=2, twice=1)])
def error_law(defect=4, rate=8, bound=16, square=4, speed=1, twice=2):
    r"""If 1 + c is computed as $1 + c + \epsilon$, then $\hat T_3\hat T_3^\top - I =
    -\frac{4(1+c)\epsilon}{(1+c+\epsilon)^2}nn^\top$, $n = \frac{a+b}{\|a+b\|}$: at an angle $\pi - \delta$ of a and b
    this is $8\epsilon/\delta^2$ in the first order.

    Normalising first is different: $2n'n'^\top - I$ is orthogonal for every unit vector $n'$, and for $n' = (rn +
    \epsilon k)/\sqrt{r^2 + \epsilon^2}$ with $r = \|a+b\|$, k ⊥ n in the plane, the image is off by $\|T'a - b\| =
    2|\epsilon|/\sqrt{r^2+\epsilon^2}$, about $2|\epsilon|/\delta$ as $r = 2\sin(\delta/2)$. In the stable branch ($c
    \ge 0$) the defect is at most $16|\epsilon|$ for $|\epsilon| \le 1/2$. Proved for every d. The errors of float
    formats (which ε occurs) are left to numerics.
    """
    e, p, q = sp.symbols("epsilon p q", real=True)
    exact_defect = -defect * (1 + c) * e / (1 + c + e) ** 2
    rest = defect * e**2 * (2 * (1 + c) + e) / ((1 + c) * (1 + c + e) ** 2)
    m = a + b
    computed = m.outer(m) / (1 + c + e) - I
    given = [*NOT_OPPOSITE, e > -(1 + c)]
    (unit,) = Gram("n", [[1]]).vectors()
    n, k = Gram("n k", sp.eye(2)).vectors()  # a = pn + qk, b = pn − qk, r = 2p
    tilted = 2 * p * n + e * k
    mapped = twice * tilted.outer(tilted) / tilted.dot(tilted) - n.gram.identity
    off = mapped @ (p * n + q * k) - (p * n - q * k)
    return (
        OperatorIdentity(computed @ computed.T - I, exact_defect * m.outer(m) / m.dot(m), given),
        Identity(exact_defect, -4 * e / (1 + c) + rest, given),
        Limit(delta**2 * 4 / (1 - cos(delta)), delta, 0, rate, "+"),
        OperatorIdentity((twice * unit.outer(unit) - unit.gram.identity) ** 2, unit.gram.identity, (), [{}]),
        Identity(off.dot(off), square * e**2 / (4 * p**2 + e**2), [Eq(p**2 + q**2, 1), p > 0]),
        Identity((a + b).dot(a + b).subs(c, -cos(delta)), square * sin(delta / 2) ** 2),
        Limit(2 * sin(delta / 2) / delta, delta, 0, speed, "+"),
        ForAll(4 * (1 + c) / (1 + c + e) ** 2 <= bound, [c >= 0, c <= 1, Abs(e) <= Rational(1, 2)]),
    )


@claim(mutants=[dict(twice=1), dict(positive=lambda e: e < 0, determinant=1)])
def normalize_eps_trap(twice=2, positive=lambda e: e > 0, determinant=-1):
    r"""$T = I + 2ba^\top - 2nn^\top$ with $n = (a+b)/\epsilon$ (a normalisation that divides by $\max(\|a+b\|,
    \epsilon)$) is not orthogonal for $0 < \|a+b\| < \epsilon$, and is the reflection $I - 2aa^\top$ at $a = -b$.

    With $\kappa = 1 - \|a+b\|^2/\epsilon^2$: $\|TT^\top - I\|_F^2 = 8\kappa^2(1 + c^2 + 4c\kappa + 2\kappa^2)$,
    positive for $c > -1$ and $0 < \kappa < 1$, and $\det T = 1 + 2c\kappa$, proved for every $d \ge 2$; at a = −b it is
    −1. (The largest entry 0.20 of the defect in float64 is left to numerics.)
    """
    e, kappa = sp.symbols("epsilon kappa", real=True)
    n = (a + b) / e
    T = I + 2 * b.outer(a) - twice * n.outer(n)
    shortfall = 1 - 2 * (1 + c) / e**2
    defect = T @ T.T - I
    given = [*NOT_OPPOSITE, e > 0, d >= 2]
    size = 1 + c**2 + 4 * c * kappa + 2 * kappa**2
    (v,) = Gram("a", [[1]]).vectors()
    at_opposite = v.gram.identity + 2 * (-v).outer(v) - 2 * (v - v).outer(v - v) / e**2
    return (
        Identity((defect @ defect.T).trace(d), 8 * shortfall**2 * size.subs(kappa, shortfall), given),
        Identity(T.det(d), 1 + 2 * c * shortfall, given),
        ForAll(positive(size), [*NOT_OPPOSITE, kappa > 0, kappa < 1]),
        OperatorIdentity(at_opposite, v.gram.identity - twice * v.outer(v), [e > 0], [{e: 1}]),
        Identity(at_opposite.det(d), determinant, [e > 0, d >= 2]),
    )


def _dot(v: Sequence[Any], w: Sequence[Any]) -> Any:
    total = v[0] * w[0]
    for p, q in zip(v[1:], w[1:], strict=True):
        total = total + p * q
    return total


def _applied(kind: str, a: Sequence[Any], b: Sequence[Any], x: Sequence[Any]) -> list[Any]:
    """T x from a, b and x by O(d) operations, for any type of numbers; no matrix is formed."""
    cosine = _dot(a, b)
    if kind == "rotation":
        p, r = _dot(a, x), _dot(b, x)
        t = (p + r) / (1 + cosine)
        f = 2 * p - t
        return [z - t * v + f * w for v, w, z in zip(a, b, x, strict=True)]
    if kind == "neg_rotation":
        p, r = _dot(a, x), _dot(b, x)
        t = (p - r) / (1 - cosine)
        f = 2 * p - t
        return [t * v + f * w - z for v, w, z in zip(a, b, x, strict=True)]
    half_turn = kind == "half_turn"
    m = [v + w if half_turn else v - w for v, w in zip(a, b, strict=True)]
    t = _dot(m, x) / (1 + cosine if half_turn else 1 - cosine)
    return [t * v - z if half_turn else z - t * v for v, z in zip(m, x, strict=True)]


def sample_vectors(n: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Rational unit vectors a ≠ ±b and a vector x of dimension n ≥ 2."""
    v = unit_vector(*(Rational(i, i + 1) for i in range(1, n)))
    w = unit_vector(*(Rational(2 * i - 3, i + 2) for i in range(1, n)))
    z = [Rational(i * i - 2, i + 1) for i in range(n)]
    first, second, third = (tuple(Fraction(int(e.p), int(e.q)) for e in vector) for vector in (v, w, z))
    return first, second, third


@claim(
    mutants=[
        dict(one=lambda d: 6 * d, two=lambda d: 10 * d, dense=lambda d: 2 * d**2, cached=lambda d: 5 * d),
        dict(compared=lambda kind: NEGATED[kind]),
    ]
)
def linear_cost(
    one=lambda d: 7 * d,
    two=lambda d: 10 * d + 2,
    dense=lambda d: 2 * d**2 - d,
    cached=lambda d: 4 * d,
    compared=lambda kind: kind,
):
    r"""To apply $T_2$ or $T_3$ to one vector, a and b given, takes 7d operations, $T_1$ or $T_4$ $10d + 2$; each
    further vector 4d ($T_2$, $T_3$); a dense matrix-vector product $2d^2 - d$.

    Counted for d = 2, 3, 5, 8. Dot product 2d − 1, a ± b: d, 1 ± c: 1, division 1, $z - tm$: 2d. $T_1x = x - ta + (2p -
    t)b$ with $p = a^\top x$, $t = (p + b^\top x)/(1+c)$. The results are compared with the explicit matrices, exactly.
    """
    sizes = (2, 3, 5, 8)

    def run(kind: str) -> Callable[[int, Any], Any]:
        return lambda n, scalar: _applied(kind, *([scalar(e) for e in v] for v in sample_vectors(n)))

    def further(n: int, scalar: Any) -> None:
        v, w, z = sample_vectors(n)
        m, denominator = [scalar(p + q) for p, q in zip(v, w, strict=True)], scalar(1 + _dot(v, w))
        t = _dot(m, z) / denominator
        _ = [q - t * p for p, q in zip(m, z, strict=True)]

    def product(n: int, scalar: Any) -> None:
        z = [scalar(e) for e in sample_vectors(n)[2]]
        _ = [_dot([scalar(i + j) for j in range(n)], z) for i in range(n)]

    def both(case: tuple[str, int]) -> tuple[Any, Any]:
        kind, n = case
        v, w, z = sample_vectors(n)
        matrix = orthogonal_map(v, w, kind) * sp.Matrix([Rational(e.numerator, e.denominator) for e in z])
        return list(matrix), _applied(compared(kind), v, w, z)

    return (
        *(Counts(run(k), sizes, {"flops": two if "rotation" in k else one}) for k in KINDS),
        Counts(further, sizes, {"flops": cached}),
        Counts(product, sizes, {"flops": dense}),
        ForEach([(k, n) for k in KINDS for n in sizes], both, over="all four kinds, d = 2, 3, 5, 8"),
    )


# Around the article


def wedge(v: Any, w: Any) -> Any:
    """w vᵀ − v wᵀ, which is [v × w]_× for d = 3."""
    return w.outer(v) - v.outer(w)


SOLID_ANGLE = (
    "the solid angle of a spherical triangle satisfies tan(Ω/2) = p·(q×r)/(1 + p·q + q·r + r·p) "
    "(Euler, Lagrange; Van Oosterom and Strackee, The solid angle of a plane triangle, 1983)"
)


@claim(mutants=[dict(twist=0, double=1), dict(reverse=-1)], relies_on=(SOLID_ANGLE,))
def holonomy(twist=1, reverse=1, double=2):
    r"""For d = 3, $P = T_1(r{\to}p)\,T_1(q{\to}r)\,T_1(p{\to}q)$ is the rotation about p by Ω with $\tan\frac\Omega2 =
    \frac{p\cdot(q\times r)}{1 + p\cdot q + q\cdot r + r\cdot p}$, the signed area of the spherical triangle.

    With D = p·(q×r) and S the denominator: $P(SI - D[p]_\times) = SI + D[p]_\times$, proved for all unit vectors (no
    two opposite), where $D[p]_\times = q{\wedge}r + (p\cdot q)\,r{\wedge}p + (p\cdot r)\,p{\wedge}q$, $v{\wedge}w =
    wv^\top - vw^\top = [v\times w]_\times$. For $J = [p]_\times$, $J^3 = -J$, the Cayley form $(I + \tau J)(I - \tau
    J)^{-1}$ is $I + \sin\Omega J + (1-\cos\Omega)J^2$ with $\tau = \tan(\Omega/2)$. So composition is not transitive:
    the mutant "P = I" is refuted. That this Ω is the area is quoted.
    """
    z, tau = sp.symbols("z tau", real=True)
    space = Gram("p q r", [[1, x, z], [x, 1, y], [z, y, 1]])
    p, q, r = space.vectors()
    around = solution("rotation", r, p) @ solution("rotation", q, r) @ solution("rotation", p, q)
    twisted = twist * reverse * (wedge(q, r) + x * wedge(r, p) + z * wedge(p, q))
    total = (1 + x + y + z) * space.identity
    given = [x > -1, y > -1, z > -1, x <= 1, y <= 1, z <= 1]
    at = [{x: 0, y: Rational(1, 2), z: Rational(1, 3)}]
    vectors = [sp.Matrix(sp.symbols(f"{n}1:4", real=True)) for n in "pqr"]
    P, Q, R = vectors
    expanded = reverse * P.dot(P) * Q.cross(R) + P.dot(Q) * R.cross(P) + P.dot(R) * P.cross(Q)
    J = letters("J")
    sine, versine = double * tau / (1 + tau**2), 2 * tau**2 / (1 + tau**2)
    model = {"J": cross((0, 0, 1)), tau: Rational(1, 2)}
    return (
        OperatorIdentity(around @ (total - twisted), total + twisted, given, at),
        Identity(P.dot(Q.cross(R)) * P, expanded),
        Identity(cross(Q.cross(R)), reverse * (R * Q.T - Q * R.T)),
        Words((1 + sine * J + versine * J * J) * (1 - tau * J), 1 + tau * J, [(J**3, -J)], model=model),
    )


@claim(
    mutants=[dict(inner=conjugate), dict(sign=1, square=lambda z: 2 + z + conjugate(z))],
)
def unitary_case(inner=lambda z: z, sign=-1, square=lambda z: 2 - z - conjugate(z)):
    r"""For complex unit a, b with $b^*a \ne 1$, $U = I - \frac{(a-b)(a-b)^*}{1 - b^*a}$ is unitary and $Ua = b$, though
    $b^*a$ need not be real; $H_{a-b}$ takes a to b only if $b^*a$ is real.

    For every d: with v = a − b, γ = 1/(1 − b^*a), $U^*U = I - (\gamma + \bar\gamma - |\gamma|^2\|v\|^2)vv^*$ (letters V
    and W for v and $v^*$, gammabar for $\bar\gamma$) and $\gamma + \bar\gamma = |\gamma|^2\|v\|^2$ as $\|v\|^2 = 2 -
    2\,\mathrm{Re}(b^*a)$; $v^*a = 1 - b^*a$, so $Ua = a - v$. $H_va = a - \frac{2(1 - b^*a)}{\|v\|^2}v$, and its factor
    minus 1 is a multiple of the imaginary part of $b^*a$. An explicit pair with $b^*a$ not real is computed as well.
    """
    z = sp.Symbol("z", complex=True)  # b*a
    g, h, n = sp.symbols("gamma gammabar n", real=True)
    V, W = letters("V W")
    model = {"V": [[1], [2]], "W": [[3, 1]], g: 2, h: -3, n: 5}
    gamma = 1 / (1 - inner(z))
    p = sp.Matrix([Rational(3, 5), Rational(4, 5) * sp.I])
    q = sp.Matrix([Rational(5, 13) * sp.I, Rational(12, 13)])
    U = sp.eye(2) + sign * (p - q) * (p - q).H / (1 - inner((q.H * p)[0]))
    return (
        Words((1 - h * V * W) * (1 - g * V * W), 1 + sign * (g + h - g * h * n) * V * W, [(W * V, n)], model=model),
        Identity(gamma + conjugate(gamma), gamma * conjugate(gamma) * square(z), Ne(z, 1)),
        Identity(gamma * (1 - z), 1, Ne(z, 1)),
        Identity(2 * (1 - z) / square(z) - 1, (conjugate(z) - z) / (2 - z - conjugate(z)), Ne(z + conjugate(z), 2)),
        Identity(U.H * U, sp.eye(2)),
        Identity(U * p, q),
    )


@claim(mutants=[dict(one=2), dict(last=4)])
def article_example(one=1, last=5):
    r"""For $a \propto (1,2,3,4,5)$, $b \propto (9,8,7,6,5)$: $c = 95/\sqrt{14025} \approx 0.80218$, $T_3$ is
    orthogonal, $T_3a = b$, $T_3b = a$ and $\det T_3 = 1$.

    The article's numerical check, exactly, with $1/(1+c) = (1-c)/(1-c^2)$. d = 5 is odd, so $T_3$ is a rotation
    (determinant lemma).
    """
    v, w = sp.Matrix([1, 2, 3, 4, 5]), sp.Matrix([9, 8, 7, 6, last])
    norms = sqrt(v.dot(v) * w.dot(w))
    cosine = v.dot(w) / norms
    square = v * v.T / v.dot(v) + w * w.T / w.dot(w) + (v * w.T + w * v.T) / norms  # (a+b)(a+b)ᵀ
    T = (square * (one - cosine) / (one - cosine**2)).applyfunc(sp.expand) - sp.eye(5)
    value = sp.Symbol("c", real=True)
    near = Abs(value - Rational(80218, 10**5)) < Rational(1, 2 * 10**5)
    return (
        Exists(And(Eq(value, 95 / sqrt(14025)), near), {value: cosine}),
        Identity(T * T.T, sp.eye(5)),
        Identity(T * v, w * v.dot(v) / norms),
        Identity(T * w, v * w.dot(w) / norms),
        Identity(solution("half_turn", one=one).det(sp.Integer(5)), 1, NOT_OPPOSITE),
    )


@claim(mutants=[dict(vjp=lambda T: T), dict(power=2)])
def rotation_trick_jacobian(vjp=lambda T: T.T, power=1):
    r"""$z_q = \mathrm{sg}\!\left[\frac{\|q\|}{\|z\|}T_1\right]z$ equals q, and its vector-Jacobian product
    $\frac{\|q\|}{\|z\|}T_1^\top g$ has the angle to $\hat z$ that g has to $\hat q$, and $\|q\|/\|z\|$ times the length
    of g.

    $T_1$ takes $\hat z = a$ to $\hat q = b$; sg holds the matrix constant. Proved for every d, all g and $c > -1$.
    """
    p, q, n, kappa, zeta = sp.symbols("p q n kappa zeta", real=True)  # a·g, b·g, g·g, ‖q‖, ‖z‖
    space = Gram("a b g", [[1, c, p], [c, 1, q], [p, q, n]])
    v, w, g = space.vectors()
    T = solution("rotation", v, w)
    scale = kappa / zeta**power
    pulled = scale * vjp(T) @ g
    given = [*NOT_OPPOSITE, kappa > 0, zeta > 0, n > 0]
    at = [{c: Rational(3, 5), p: Rational(1, 2), q: Rational(1, 3), n: 4, kappa: 3, zeta: 2}]
    return (
        OperatorIdentity(scale * T @ (zeta * v), kappa * w, given, at),
        Identity(v.dot(pulled), kappa / zeta * w.dot(g), given),
        Identity(pulled.dot(pulled), (kappa / zeta) ** 2 * g.dot(g), given),
    )


def _swap_model(swaps: bool) -> dict[str, Any]:
    """An orthogonal T with Tb = a, which also has Ta = b if it swaps."""
    return {"T": [[0, 1], [1 if swaps else -1, 0]], "a": [[1], [0]], "b": [[0], [1]]}


@erratum(printed=mutant("domain", swaps=False), mutants=[dict(symmetric=("rotation", "neg_rotation"))])
def printed_swap_duplicated(swaps=True, symmetric=("half_turn", "householder")):
    r"""The swap property of the symmetric solutions is $b = Ta$, $a = Tb$, so that $T^2a = a$; the article prints $a =
    Tb$ twice.

    The printed pair doesn't say that T swaps a and b: an orthogonal T with Tb = a may have $T^2a = -a$. Both equations
    of the corrected pair hold for $T_2$ and $T_3$ in every dimension; $T_1$ and $T_4$ obey the first one only ($T_1b =
    T_4b = 2cb - a$).
    """
    T, v, w = letters("T a b")
    first = (T * v, w) if swaps else (T * w, v)
    rules = [(T.T * T, 1), first, (T * w, v)]
    parts = []
    for kind, domain in zip(symmetric, (NOT_OPPOSITE, NOT_EQUAL), strict=True):
        parts.append(OperatorIdentity(solution(kind) @ b, a, domain))
    return (Words(T * T * v, v, rules, model=_swap_model(swaps)), *parts)


__all__ = ["KINDS", "coefficients", "orthogonal_map", "unit_vector"]
