r"""All solutions of $\mathcal R_m^\top\mathcal R_n = \mathcal R_{n-m}$: exponentials, orthogonal powers, more.

Articles 8397 (one-dimensional general solution) and 9403 (the two general solutions). Statements in letters hold for
matrices of every size. A power series in matrices is compared by its homogeneous parts: `truncate` keeps words up to a
degree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flint
import sympy as sp
from flint import arb, arb_mat
from sympy import And, Eq, Equivalent, Ne, Rational, cos, factorial, sin

from kexue import Exists, ForAll, ForEach, Identity, Witnesses, Words, claim, erratum, letters, mutant

from .common import (
    C3,
    I2,
    antisymmetric,
    commutator,
    i,
    integer_skew,
    j,
    k,
    k0,
    k1,
    m,
    n,
    q0,
    q1,
    r,
    rotation,
    t,
    theta,
)

a, b, c, d = sp.symbols("a b c d", real=True)
NILPOTENT = sp.ImmutableMatrix([[0, 1, 0], [0, 0, 1], [0, 0, 0]])


def cayley(A: Any) -> sp.ImmutableMatrix:
    """(I − A)⁻¹(I + A): the exact orthogonal matrix, without the eigenvalue −1, that belongs to an antisymmetric A.

    Raises:
        ValueError: A isn't square, exact, real and antisymmetric; the message shows A + Aᵀ.
    """
    A = antisymmetric(A, "A")
    one = sp.eye(A.rows)
    return sp.ImmutableMatrix((one - A).LUsolve(one + A).applyfunc(sp.cancel))


def truncate(p: Any, degree: int) -> Any:
    """The part of a polynomial in letters up to a degree."""
    return type(p)({word: e for word, e in p.terms.items() if len(word) <= degree})


def series(p: Any, degree: int, coefficient: Callable[[int], Any]) -> Any:
    """Σ_k coefficient(k) p^k up to a degree, for p without constant term."""
    power = p**0
    total = coefficient(0) * power
    for order in range(1, degree + 1):
        power = truncate(power * p, degree)
        total = total + coefficient(order) * power
    return total


def exponential(p: Any, degree: int) -> Any:
    return series(p, degree, lambda order: Rational(1, math.factorial(order)))


def logarithm(p: Any, degree: int) -> Any:
    """log(1 + p)."""
    return series(p, degree, lambda order: Rational((-1) ** (order + 1), order) if order else 0)


# The matrix exponential


@claim(
    mutants=[
        dict(order=lambda i: i),
        dict(sign=1),
        dict(M=lambda t: sp.Matrix([[0, a * t, b * t**2], [0, 0, c * t**3], [0, 0, 0]])),
    ]
)
def exp_ode(order=lambda i: i + 1, sign=-1, M=lambda t: t * sp.Matrix([[0, a, b], [0, 0, c], [0, 0, 0]])):
    r"""$x_t = \exp(tA)x_0$ is the only solution of $x' = Ax$ with the value $x_0$ at 0, for every constant A of every
    size.

    The series solves it term by term: $(i+1)\,t^i A^{i+1}/(i+1)! = A\,t^i A^i/i!$, as $(i+1)! = (i+1)\,i!$. Any
    solution is this one, for with $E = \exp(-tA)$, $E' = -EA$, one has $(Ex)' = 0$. For nilpotent 3×3 matrices $M(t) =
    tA$ the equation $(\exp M)' = M'\exp M$ is shown entry by entry; it fails for $M = \int A(t)\,dt$ with values that
    don't commute.
    """
    A, x, E, dx, dE = letters("A x E dx dE")
    model = {"A": NILPOTENT, "x": [1, 2, 3], "E": sp.eye(3), "dx": [2, 3, 0], "dE": -NILPOTENT}
    exp_M = sp.eye(3) + M(t) + M(t) ** 2 / 2
    return (
        Identity(factorial(i + 1), order(i) * factorial(i), [i >= 0]),
        Words(dE * x - sign * E * dx, 0, [(dx, A * x), (dE, -E * A)], model=model),
        Identity(exp_M.diff(t), M(t).diff(t) * exp_M),
    )


@claim(
    mutants=[
        mutant("domain", commuting=False),
        dict(rate=2),
        dict(bracket=0),
    ]
)
def commuting_exponentials(commuting=True, rate=1, bracket=-2):
    r"""$AB = BA \Rightarrow \exp A\exp B = \exp(A+B)$ for matrices of every size; the condition isn't necessary.

    With AB = BA, B commutes with every power of A (induction: $A X B = B A X$ if $XB = BX$), hence with $E = \exp(tA)$.
    So $Y = EF$, $F = \exp(tB)$, obeys $Y' = AEF + EBF = (A+B)Y$, $Y(0) = I$, whose only solution is $\exp(t(A+B))$. Not
    necessary: $A = \begin{pmatrix}0&0\\0&2\pi i\end{pmatrix}$ and $B = \begin{pmatrix}0&1\\0&2\pi i\end{pmatrix}$ don't
    commute and $\exp A = \exp B = \exp(A+B) = I$ (as real 4×4 matrices too).
    """
    A, B, X, E, F = letters("A B X E F")
    N = NILPOTENT
    b_matrix = N**2 if commuting else N.T
    model = {
        "A": N,
        "B": b_matrix,
        "X": N**2 if commuting else sp.eye(3),
        "E": sp.eye(3) + N + N**2 / 2,
        "F": sp.eye(3) + b_matrix,
    }
    upper, z = sp.symbols("upper z", complex=True)

    def exp_upper(u: Any, w: Any) -> sp.Matrix:
        """exp(t·[[0, u], [0, w]]) at t = 1, for w ≠ 0."""
        return sp.Matrix([[1, u * (sp.exp(w) - 1) / w], [0, sp.exp(w)]])

    period = 2 * sp.pi * sp.I
    along = exp_upper(upper * t, z * t)
    generator = sp.Matrix([[0, upper], [0, z]])
    A_and_B = sp.Matrix([[0, 0], [0, period]]), sp.Matrix([[0, 1], [0, period]])
    return (
        Words(A * X * B, B * A * X, [(A * B, B * A), (X * B, B * X)] if commuting else [], model=model),
        Words(A * E * F + E * B * F, (A + B) * E * F, [(E * B, B * E)] if commuting else [], model=model),
        Identity(along.diff(t), rate * generator * along, [Ne(z, 0), t > 0]),
        Identity(
            sp.diag(exp_upper(0, period), exp_upper(1, period), exp_upper(1, 2 * period), commutator(*A_and_B)),
            sp.diag(sp.eye(2), sp.eye(2), sp.eye(2), sp.Matrix([[0, bracket * sp.pi * sp.I], [0, 0]])),
        ),
    )


@claim(mutants=[dict(second=-1, trace=lambda A: -A.trace(), shift=1)])
def det_exp_trace(second=-2, trace=lambda A: A.trace(), shift=0):
    r"""$\det\exp A = e^{\mathrm{tr} A}$ for every square A: a real exponential has a positive determinant.

    If $Y' = AY$, then $(\det Y)' = \mathrm{tr}(A)\det Y$ (Jacobi), shown with free 3×3 matrices; for every d, row i of
    Y has the derivative $\sum_k a_{ik}\,\mathrm{row}_k$, and only k = i leaves a determinant without equal rows. The
    scalar equation gives $\det\exp(tA) = e^{t\,\mathrm{tr}A}$. Arb encloses both sides for integer matrices of sizes
    1..6. A positive determinant doesn't suffice for a real logarithm: if $\exp A = \mathrm{diag}(-1, -2)$, then A
    commutes with it, hence is diagonal, and $e^{a} > 0$ contradicts −1.
    """
    Y = sp.Matrix(3, 3, sp.symbols("y1:10", real=True))
    A = sp.Matrix(3, 3, sp.symbols("a1:10", real=True))
    derivative = (Y.adjugate() * A * Y).trace()
    target = sp.diag(-1, second)
    bracket = commutator(sp.Matrix([[a, b], [c, d]]), target)

    def enclosures(size: int) -> tuple[Any, Any]:
        matrix = integer_skew(size, seed=size) + sp.diag(*range(size)) / 3
        with flint.ctx.workdps(60):
            exact = arb_mat([[arb(int(3 * e)) / 3 for e in matrix.row(row)] for row in range(size)])
            left, right = exact.exp().det(), (sum(arb(e) for e in range(size)) / 3 + shift).exp()
            return bool(left.overlaps(right)) and bool(abs(left - right) < arb(10) ** -20), True

    return (
        Identity(derivative, trace(A) * Y.det(method="berkowitz")),
        ForAll(Equivalent(And(*(Eq(e, 0, evaluate=False) for e in bracket)), And(Eq(b, 0), Eq(c, 0)))),
        ForEach(range(1, 7), enclosures, over="a matrix of each size 1..6"),
    )


@claim(mutants=[dict(scale=2), dict(position=Rational(1, 2)), dict(half=1)])
def exp_integer_power(scale=1, position=1, half=-1):
    r"""$\exp(nB) = (\exp B)^n$ for every square B and every integer n; but $\exp B$ doesn't determine $\exp(nB)$ at
    fractions.

    $\exp(nB)\exp(B) = \exp((n+1)B)$ holds as nB and B commute (`commuting-exponentials`); its homogeneous parts are
    shown up to order 5 for symbolic n. $B = \theta J$ and $B' = (\theta + 2\pi)J$ give equal $\mathcal R_n$ at all
    integers and opposite ones at n = 1/2: passing from $\exp(nB)$ to $O^n$ loses the fractional positions of
    interpolation and images.
    """
    B = letters("B")
    product_ = truncate(exponential(n * B, 5) * exponential(B, 5), 5)
    return (
        Words(product_, exponential((n + scale) * B, 5), model={"B": [[1, 2], [3, 4]], n: Rational(3, 2)}),
        Identity(rotation(k * position * theta) * rotation(2 * sp.pi * k * position), rotation(k * position * theta)),
        Identity(rotation((theta + 2 * sp.pi) / 2), half * rotation(theta / 2)),
    )


@claim(mutants=[dict(sign=-1), dict(third=Rational(1, 6))])
def bch_second_order(sign=1, third=Rational(1, 12)):
    r"""$\log(e^{mA}e^{nB}) = mA + nB + \tfrac12mn[A,B] + \tfrac{mn}{12}(m[A,[A,B]] + n[B,[B,A]]) + \dots$, to order 3.

    An identity of the free algebra in A and B, hence for matrices of every size where the series converge; the article
    uses it with $A = B^\top$.
    """
    A, B = letters("A B")

    def bracket(p: Any, q: Any) -> Any:
        return p * q - q * p

    joined = truncate(exponential(m * A, 3) * exponential(n * B, 3), 3)
    third_order = third * m * n * (m * bracket(A, bracket(A, B)) + n * bracket(B, bracket(B, A)))
    return Words(
        logarithm(joined - 1, 3),
        m * A + n * B + sign * m * n / 2 * bracket(A, B) + third_order,
        model={"A": [[0, 1], [0, 0]], "B": [[1, 0], [2, 3]], m: 2, n: 3},
    )


# Exponentials as solutions

K = sp.ImmutableMatrix([[0, -2], [Rational(1, 2), 0]])  # K² = −I, and K isn't antisymmetric


@erratum(
    printed=dict(antisymmetric=True),
    mutants=[
        dict(sign=1, power=1),
        mutant("symbols", step=Rational(1, 4)),
        dict(generator=sp.ImmutableMatrix([[0, -2], [1, 0]])),
    ],
)
def exp_iff_antisymmetric_real(antisymmetric=False, sign=-1, power=-1, generator=K, step=1):
    r"""$(\exp mB)^\top\exp nB = \exp((n-m)B)$ for all real m, n iff $B^\top = -B$; for integers antisymmetry isn't
    necessary.

    Every d. ⇒ is the coefficient of $m^1n^0$: $B^\top = -B$ (shown by the derivative at 0 for a free 3×3 matrix, of
    which terms beyond the first order are no part). ⇐ compares the coefficients of $m^in^j$: $(B^\top)^iB^j =
    (-1)^iB^{i+j}$ by induction on i: if $X = \pm P$ then $B^\top X = \mp BP$. The articles infer antisymmetry for
    integer positions: there it is false. $B = 2\pi K$ with $K = \begin{pmatrix}0&-2\\1/2&0\end{pmatrix}$, $K^2 = -I$,
    $\exp(tK) = \cos t\,I + \sin t\,K$, has $\exp(nB) = I$ for every integer n, and $B + B^\top \ne 0$. For integers the
    condition is that $\exp B$ is orthogonal.
    """
    B, X, P = letters("B X P")
    free = sp.Matrix(3, 3, sp.symbols("b1:10", real=True))

    def cut(position: sp.Expr) -> sp.Matrix:
        return sp.eye(3) + position * free + position**2 * free**2 / 2

    def family(angle: sp.Expr) -> sp.Matrix:
        return cos(angle) * I2 + sin(angle) * generator

    first = (cut(m).T * cut(n)).diff(m).subs({m: 0, n: 0})
    second = cut(n - m).diff(m).subs({m: 0, n: 0})
    turns = [2 * sp.pi * step * position for position in (j, k, k - j)]
    return (
        Identity(sp.Matrix.vstack(first, second), sp.Matrix.vstack(free.T, sign * free)),
        Words(
            B.T * X,
            power * B * P,
            [(B.T, -B), (X, P)],
            model={"B": [[0, -2], [2, 0]], "X": [[1, 2], [3, 4]], "P": [[1, 2], [3, 4]]},
        ),
        Identity(family(turns[0]).T * family(turns[1]), family(turns[2])),
        Identity(family(theta).diff(theta), generator * family(theta)),
        Exists(Eq(a, 0) if antisymmetric else Ne(a, 0), {a: (generator + generator.T)[0, 1]}),
    )


# The general solution


@claim(mutants=[dict(start=lambda P: 1), dict(back=lambda R: R), dict(together="R1", unit=lambda R: R)])
def general_solution_z(start=lambda P: P, back=lambda R: R.T, together="R3", unit=lambda R: 1):
    r"""All real solutions on $\mathbb Z$: $\Pi = \mathcal R_0$ is an orthogonal projection and $\mathcal R_n = O^n$ on
    its range, 0 beside it.

    Here $O = \mathcal R_1$ is orthogonal on range(Π); if some $\mathcal R_n$ is invertible, then Π = I and $\mathcal
    R_n = O^n$ with $O \in O(d)$. Every size, line by line: (m, n) = (0, 0) gives $\Pi^\top\Pi = \Pi$, hence $\Pi^\top =
    \Pi = \Pi^2$; (0, n) gives $\Pi\mathcal R_n = \mathcal R_n$ and (n, 0) then $\mathcal R_{-n} = \mathcal R_n^\top$,
    so that $\mathcal R_n$ maps into range(Π) and vanishes beside it; (−a, b) gives $\mathcal R_a\mathcal R_b = \mathcal
    R_{a+b}$, so $\mathcal R_n = \mathcal R_1^n$ by induction; (n, n) gives $\mathcal R_n^\top\mathcal R_n = \Pi$. The
    model is degenerate: R_0 isn't always I.
    """
    P, Rn, Rm, R1, R2, M1, Ri = letters("P Rn Rm R1 R2 M1 Ri")
    O, gap = sp.diag(C3, 0), sp.diag(1, 1, 0)
    model = {
        "P": gap,
        "Rn": O**2,
        "Rm": O.T**2,
        "R1": O,
        "R2": O**2,
        "R3": O**3,
        "M1": O.T,
        "Rp": C3,
        "Ri": C3.T,
        "Q": I2,
    }
    zero = (P.T * P, P)
    to_n = [zero, (P.T * Rn, Rn), (P.T * Rm, Rm), (Rn.T * P, Rm)]
    Rp, Q = letters("Rp Q")
    return (
        Words(P.T, start(P), [zero], model=model),
        Words(P * P, start(P), [zero], model=model),
        Words(Rm, back(Rn), to_n, model=model),
        Words(Rn * P, back(Rn).T, to_n, model=model),
        Words(R1 * R2, letters(together), [(M1.T * R2, letters("R3")), (M1, R1.T)], model=model),
        Words(Q, unit(Rp), [(Q * Rp, Rp), (Rp * Ri, 1)], model=model),
    )


@claim(mutants=[mutant("domain", orthogonal=False), dict(make=lambda A: sp.eye(A.rows) + A)])
def orthogonal_power_solves(orthogonal=True, make=cayley):
    r"""$\mathcal R_n = O^n$ with any orthogonal O solves $\mathcal R_m^\top\mathcal R_n = \mathcal R_{n-m}$, for all
    integers m, n.

    Every size: with $X = O^m$, $Y = O^n$ one has $(OX)^\top(OY) = X^\top Y$, so both exponents can be shifted until one
    is 0, where the statement is $O^{-m} = (O^m)^\top$. The second witness is exact: rational orthogonal matrices
    (Cayley transforms) of sizes 2..6, with m, n from −2 to 3.
    """
    O, X, Y = letters("O X Y")
    model = {"O": C3 if orthogonal else [[1, 1], [0, 1]], "X": [[1, 2], [3, 4]], "Y": [[0, 1], [2, 5]]}

    def powers(case: tuple[int, int, int]) -> tuple[Any, Any]:
        size, first, second = case
        found = make(integer_skew(size, seed=size))
        return (found**first).T * found**second, found ** (second - first)

    cases = [(size, first, second) for size in range(2, 7) for first, second in ((1, 1), (-2, 1), (2, -1), (1, 3))]
    return Witnesses(
        Words((O * X).T * (O * Y), X.T * Y, [(O.T * O, 1)] if orthogonal else [], model=model),
        ForEach(cases, powers, over="sizes 2..6, (m, n) = (1, 1), (−2, 1), (2, −1), (1, 3)"),
    )


@claim(
    mutants=[dict(angle=2), dict(pair=(1, -1)), dict(inner=lambda P: P)],
    relies_on=("real Schur form of orthogonal matrices",),
)
def exp_of_antisymmetric_is_so(angle=1, pair=(-1, -1), inner=lambda P: P.T):
    r"""$B^\top = -B \Rightarrow \exp B \in SO(d)$; conversely every $O \in SO(d)$ is $\exp B$ with an antisymmetric B.

    ⇒ for every d: $(\exp B)^\top\exp B = \exp(-B)\exp B = I$ (`commuting-exponentials`), and det = $e^{\mathrm{tr}B} =
    1$. For d = 3 with a unit axis, $B = \theta\hat u$: $E = I + \sin\theta\,\hat u + (1-\cos\theta)\hat u^2$ obeys $E'
    = \hat uE$, $E^\top E = I$, det E = 1. ⇐ The real Schur form (quoted) writes $O = P\,\mathrm{diag}(R(\theta_i),
    \pm1, \dots)P^\top$, P orthogonal; det O = 1 makes the number of −1 even, a pair of them is R(π), and $\exp(P\Lambda
    P^\top) = P\exp(\Lambda)P^\top$ as $P\Lambda P^\top\,PXP^\top = P\Lambda XP^\top$. For O(d) it is false: diag(1,
    −1). The float algorithm for general d is left to numerics/.
    """
    u = sp.symbols("u1:4", real=True)
    hat = sp.Matrix([[0, -u[2], u[1]], [u[2], 0, -u[0]], [-u[1], u[0], 0]])
    E = sp.eye(3) + sin(theta) * hat + (1 - cos(angle * theta)) * hat**2
    unit = [Eq(u[0] ** 2 + u[1] ** 2 + u[2] ** 2, 1)]
    P, L, X = letters("P L X")
    model = {"P": C3, "L": [[0, -1], [1, 0]], "X": [[1, 2], [3, 5]]}
    return (
        Identity(sp.Matrix.vstack(E.diff(theta), E.T * E), sp.Matrix.vstack(hat * E, sp.eye(3)), unit),
        Identity(E.det(method="berkowitz"), 1, unit),
        Words(P * L * inner(P) * P * X * P.T, P * L * X * P.T, [(P.T * P, 1)], model=model),
        Identity(rotation(sp.pi), sp.diag(*pair)),
    )


@erratum(
    printed=dict(reflection=lambda angle: sp.diag(-1, 1)),
    mutants=[dict(twice=1)],
)
def det_minus_one_erratum(
    reflection=lambda angle: sp.Matrix([[cos(angle), sin(angle)], [sin(angle), -cos(angle)]]), twice=2
):
    r"""If O is orthogonal with det O = −1, then $O^n = H^n(\exp B)^n$ with $H = I - 2vv^\top$, $Ov = -v$, $\exp B =
    OH$, for all n.

    The article takes $I_- = \mathrm{diag}(-1, 1, \dots, 1)$ in the place of H, and $O^n = I_-^n\exp nB$ with $\exp B =
    OI_-$: false, unless the two commute. For the reflection $O = \begin{pmatrix}\cos t&\sin t\\\sin t&-\cos
    t\end{pmatrix}$ it would make $O^2 = I$ a rotation by 2t. Every size: O has the eigenvalue −1 (det(O + I) = det O ·
    det(I + Oᵀ) = −det(O + I)); $O^\top v = -v$, hence $OH = HO$ and $H^2 = I$, and powers of the product of commuting
    matrices split. On the plane the statement is shown for n = 1..3, where the eigenvector of −1 is $(-\sin\frac t2,
    \cos\frac t2)$ and H = O.
    """
    O, v = letters("O v")
    H = 1 - twice * v * v.T
    model = {"O": sp.diag(C3, -1), "v": [0, 0, 1]}
    rules = [(O.T * O, 1), (O * v, -v), (v.T * v, 1)]
    plane = sp.Matrix([[cos(t), sin(t)], [sin(t), -cos(t)]])
    turned = reflection(t)
    return (
        Words(H * H, 1, rules, model=model),
        Words(H * O * H, O, rules, model=model),
        Identity(
            sp.Matrix.vstack(*(plane**power for power in (1, 2, 3))),
            sp.Matrix.vstack(*(turned**power * (plane * turned) ** power for power in (1, 2, 3))),
        ),
    )


@claim(
    mutants=[
        dict(first=lambda G: G.T, step="Gn"),
        dict(G=lambda lam: sp.Matrix([[cos(lam), -sin(lam)], [sin(lam), cos(lam)]])),
        dict(gram=1),
    ]
)
def two_sided_general_solution(first=lambda G: G, step="Gs", G=lambda lam: sp.Matrix([[1, -lam], [0, 1]]), gram=2):
    r"""If $Q_m^\top K_n = G_{n-m}$ on $\mathbb Z$ with $Q_0 = K_0 = I$, then $K_n = G^n$, $Q_m^\top = G^{-m}$ with an
    invertible G, which may be any.

    Every size: (0, n) gives $K_n = G_n$, (m, 0) gives $Q_m^\top = G_{-m}$, and then $G_{-m}G_n = G_{n-m}$. G needn't be
    orthogonal. ALiBi is the unipotent $G = \begin{pmatrix}1&-\lambda\\0&1\end{pmatrix}$: $G^r$ has −λr in its corner,
    and $q^\top G^rk = q_0k_0 + q_1k_1 - \lambda r q_0k_1$, a linear bias when the channels $q_0$, $k_1$ are constant.
    XPOS is a damped rotation, $(\rho R(\theta))^r = \rho^rR(r\theta)$ with $G^\top G = \rho^2I$.
    """
    lam = sp.Symbol("lambda", real=True)
    Kn, Qm, Gn, Gm, Gs = letters("Kn Qm Gn Gm Gs")
    shear = sp.Matrix([[1, -2], [0, 1]])
    model = {"Kn": shear**3, "Gn": shear**3, "Qm": (shear**-2).T, "Gm": shear**-2, "Gs": shear, "G1": shear}
    rules = [(Kn, Gn), (Qm.T, Gm), (Qm.T * Kn, Gs)]
    power = sp.Matrix([[1, -lam * r], [0, 1]])
    score = (sp.Matrix([[q0, q1]]) * power * sp.Matrix([k0, k1]))[0]
    damped = 2 * rotation(theta)
    return (
        Words(Kn, first(Gn), rules[:1], model=model),
        Words(Gm * Gn, letters(step), rules, model=model),
        Identity(sp.diag(G(lam) * power, score), sp.diag(power.subs(r, r + 1), q0 * k0 + q1 * k1 - lam * r * q0 * k1)),
        Identity(damped.T * damped, gram**2 * I2),
    )
