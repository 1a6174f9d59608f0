"""Rigid maps, the centre and the canonical form of a quadric with an invertible A; the link with definiteness."""

from __future__ import annotations

from typing import Any

import sympy as sp
from flint import fmpq_poly
from sympy import And, Eq, Equivalent, Ne, sqrt

from kexue import Any as Some
from kexue import ForAll, ForEach, Identity, Limit, Witnesses, Words, claim, letters

from ..positive_definite import is_positive_definite
from .common import (
    GENERIC,
    LINEAR,
    SHIFT,
    X,
    Y,
    a11,
    a12,
    a22,
    bordered,
    c,
    c1,
    det,
    eps,
    equations,
    k,
    lam,
    mu,
    p,
    s1,
    x,
    y,
)
from .reduction import Matrix, classify, eigenvectors

# Words for an invertible A: B = A⁻¹, and rows times columns are their transposes

A_, B_, R_, D_, b_, u_, v_, X_ = letters("A B R D b u v X")
INVERSE = [(A_.T, A_), (B_.T, B_), (A_ * B_, 1), (B_ * A_, 1), (u_.T * b_, b_.T * u_)]


def _model() -> dict[Any, Any]:
    """AR = RD with a rotation by a Pythagorean angle."""
    R = sp.Matrix([[3, -4], [4, 3]]) / 5
    D = sp.diag(2, -3)
    A = R * D * R.T
    return {
        "A": A, "B": A.inv(), "R": R, "D": D, "b": [[1], [2]], "u": [[3], [1]], "v": [[-1], [2]], "X": [[2], [5]],
        c: 7,
    }  # fmt: skip


def _value(at: Any) -> Any:
    """q at a point, in words."""
    return at.T * A_ * at + 2 * b_.T * at + c


@claim(mutants=[dict(shift=0, bottom=2)])
def transformation_law(shift=1, bottom=1):
    r"""Under $x = RX + v$: $A \to R^\top A R$, $b \to R^\top(Av + b)$, $c \to q(v)$, $\tilde A \to T^\top\tilde AT$.

    Here $T = \begin{pmatrix}R&v\\0&1\end{pmatrix}$ and $\det T = \det R$. The laws for q and for the blocks of $\tilde
    A$ are proved for every n and every matrix R; the determinant for n = 2 and 3 with a generic R.
    """
    linear = R_.T * (shift * A_ * v_ + b_)
    rules = [
        (A_.T, A_), (v_.T * A_ * R_ * X_, X_.T * R_.T * A_ * v_), (b_.T * R_ * X_, X_.T * R_.T * b_),
        (v_.T * b_, b_.T * v_),
    ]  # fmt: skip
    moved = X_.T * R_.T * A_ * R_ * X_ + 2 * X_.T * linear + _value(v_)
    blocks = [[A_, b_], [b_.T, c]]
    T = [[R_, v_], [0 * R_, bottom]]

    def entry(i: int, j: int) -> Any:
        """Block (i, j) of TᵀÃT."""
        transposed = [[T[r][q].T if hasattr(T[r][q], "T") else T[r][q] for r in (0, 1)] for q in (0, 1)]
        return sum((transposed[i][r] * blocks[r][q] * T[q][j] for r in (0, 1) for q in (0, 1)), 0 * A_)

    parts = []
    for n in (2, 3):
        R = sp.Matrix(n, n, lambda i, j: sp.Symbol(f"r{i + 1}{j + 1}", real=True))
        whole = sp.Matrix(sp.BlockMatrix([[R, SHIFT[n]], [sp.zeros(1, n), sp.Matrix([[bottom]])]]))
        parts.append(Identity(det(whole), det(R)))
    return (
        Words(_value(R_ * X_ + v_), moved, rules, model=_model()),
        Words(entry(0, 1), linear, rules, model=_model()),
        Words(entry(1, 1), _value(v_), rules, model=_model()),
        *parts,
    )


@claim(mutants=[dict(sign=1)])
def centre(sign=-1):
    r"""If $\det A \ne 0$, the only centre is $v = -A^{-1}b$, and $q(v+u) = u^\top A u - \kappa$.

    For every n. A centre is a point with q(v + u) = q(v − u) for all u; since q(v + u) − q(v − u) = 4(Av + b)ᵀu, this
    asks that Av + b = 0, and $A^{-1}(Av + b) = v + A^{-1}b$. With the article's $x_0 = A^{-1}b$, the substitution that
    removes the linear part is x = u − x₀.
    """
    v = sign * B_ * b_
    kappa = b_.T * B_ * b_ - c
    rules = [*INVERSE, (v_.T * A_ * u_, u_.T * A_ * v_)]
    return (
        Words(_value(v + u_), u_.T * A_ * u_ - kappa, INVERSE, model=_model()),
        Words(_value(v_ + u_) - _value(v_ - u_), -sign * 4 * (A_ * v_ + b_).T * u_, rules, model=_model()),
        Words(B_ * (A_ * v_ + b_), v_ - v, INVERSE, model=_model()),
    )


@claim(mutants=[dict(sign=1)])
def constant(sign=-1):
    r"""$k = b^\top A^{-1} b - c = -\det\tilde A/\det A$, for every n.

    For every n, $\tilde A$ is the product of $\begin{pmatrix}I&0\\b^\top A^{-1}&1\end{pmatrix}$ and $\begin{pmatrix}
    A&b\\0&c - b^\top A^{-1}b\end{pmatrix}$ (proved blockwise; that the determinant of a block triangular matrix is the
    product of those of its blocks is standard). The formula itself is proved for generic matrices with n = 2 and 3.
    """
    row = b_.T * B_
    corner = c + sign * b_.T * B_ * b_
    parts = []
    for n in (2, 3):
        A, b = GENERIC[n], LINEAR[n]
        k = (b.T * A.adjugate() * b)[0] / det(A) - c
        parts.append(Identity(k, sign * det(bordered(A, b, c)) / det(A), [Ne(det(A), 0)]))
    return (
        Words(row * b_ + corner, c, INVERSE, model=_model()),
        Words(-sign * row * A_, b_.T, INVERSE, model=_model()),
        *parts,
    )


@claim(mutants=[dict(half=1), dict(kappa=-1), dict(sign=1)])
def canonical_central(half=sp.Rational(1, 2), kappa=1, sign=-1):
    r"""If $\det A \ne 0$: $q(RX + v) = \sum_i \lambda_i X_i^2 - k$ with orthonormal eigenvectors R and $v = -A^{-1}b$.

    For every n, given $R^\top R = I$ and $AR = RD$ with D diagonal. For n = 2: $\lambda = (I_1 \pm \sqrt{I_1^2 -
    4I_2})/2$, and the rotation by θ with $\tan 2\theta = 2a_{12}/(a_{11} - a_{22})$ makes $R^\top A R$ diagonal, since
    its corner is $a_{12}\cos 2\theta - \tfrac12(a_{11} - a_{22})\sin 2\theta$. For n = 3 the exact
    eigenvectors behind `reduce_quadric` obey $(A - \lambda)w = 0$ modulo the irreducible factor of the characteristic
    polynomial that λ is a zero of, and there are three of them, for all 729 symmetric matrices with entries in {−1, 0,
    1}.
    """
    rules = [*INVERSE, (R_.T * R_, 1), (A_ * R_, R_ * D_), (X_.T * R_.T * b_, b_.T * R_ * X_), (D_.T, D_)]
    v = -B_ * b_
    canonical = X_.T * D_ * X_ - kappa * (b_.T * B_ * b_ - c)
    A = GENERIC[2]
    R = sp.Matrix([[c1, -s1], [s1, c1]])
    turned = R.T * A * R
    trace, determinant = a11 + a22, det(A)
    roots = [half * (trace + r * sqrt(trace**2 - 4 * determinant)) for r in (1, -1)]

    def residuals(m: Matrix) -> tuple[Any, Any]:
        found = eigenvectors(m)
        wrong = 0
        for g, basis in found:
            modulus, variable = fmpq_poly(g), fmpq_poly([0, sign])
            for w in basis:
                rows = [sum((m[i][j] * w[j] for j in range(3)), fmpq_poly([])) + variable * w[i] for i in range(3)]
                wrong += sum((row % modulus) != 0 for row in rows)
        return (wrong, sum(g.degree() * len(basis) for g, basis in found)), (0, 3)

    matrices = (m for m, _, _ in equations(3, (-1, 0, 1), 81))  # b and const vary fastest
    return Witnesses(
        (
            Words(_value(R_ * X_ + v), canonical, rules, model=_model()),
            Identity(turned[0, 1], a12 * (c1**2 - s1**2) - half * (a11 - a22) * 2 * s1 * c1),
            Identity(sp.Matrix([sum(roots), roots[0] * roots[1]]), sp.Matrix([trace, determinant])),
        ),
        ForEach(matrices, residuals, over="all 729 symmetric 3×3 matrices with entries in {−1, 0, 1}"),
    )


@claim(mutants=[dict(scale=1)])
def limit_family(scale=sp.Rational(1, 2)):
    r"""The ellipse $x^2 + 2py + \varepsilon y^2 = 0$, 0 < ε < 1, becomes the parabola $x^2 + 2py = 0$ with its focus.

    Centre $(0, -p/\varepsilon)$, semi-axes $p/\sqrt\varepsilon$ and $p/\varepsilon$, eccentricity $\sqrt{1 -
    \varepsilon} \to 1$, and the distance $(p/\varepsilon)(1 - \sqrt{1 - \varepsilon})$ from vertex to focus tends to
    p/2, the distance of the parabola: its points are as far from (0, −p/2) as from the line y = p/2.
    """
    domain = [p > 0, eps > 0, eps < 1]
    across, along = p / sqrt(eps), p / eps
    distance = scale * p
    return (
        Identity(
            x**2 + 2 * p * y + eps * y**2,
            (x**2 / across**2 + (y + along) ** 2 / along**2 - 2 * scale) * along**2 * eps,
            domain,
        ),
        Identity(sqrt(along**2 - across**2), 2 * scale * along * sqrt(1 - eps), domain),
        Limit(along * (1 - sqrt(1 - eps)), eps, 0, distance, dir="+", given=[p > 0]),
        Identity(x**2 + (y + distance) ** 2 - (y - distance) ** 2, x**2 + 2 * p * y),
    )


@claim(
    mutants=[
        dict(positive=lambda lam, k: k > 0, sign=lambda const: const > 0),
        dict(positive=lambda lam, k: lam * k >= 0, sign=lambda const: const != 0),
    ]
)
def definiteness_link(positive=lambda lam, k: lam * k > 0, sign=lambda const: const < 0):
    r"""A quadric is a real ellipse or ellipsoid iff A is definite and κ has the sign of its eigenvalues.

    On canonical forms of two eigenvalues of one sign: $\lambda X^2 + \mu Y^2 = k$ has a real point other than the
    origin iff λk > 0 (z3, all reals). In terms of the equation, multiplied by −1 if A is negative definite, κ > 0
    says that $\det\tilde A < 0$. So decided by the recursion of `positive_definite` and this determinant, and compared
    with the exact type for all 729 conics with coefficients in {−1, 0, 1} and every 19th of the 59049 such quadrics.
    """

    def both(case: tuple[Matrix, Any, int]) -> tuple[bool, bool]:
        A, b, const = case
        elliptic = classify(A, b, const).name in ("ellipse", "ellipsoid")
        definite = is_positive_definite(A) or is_positive_definite([[-value for value in row] for row in A])
        orientation = 1 if A[0][0] > 0 else -1
        whole = bordered(sp.Matrix(A), sp.Matrix(b), const) if definite else None
        return elliptic, definite and bool(sign(orientation ** (len(b) + 1) * det(whole)))

    cases = [*equations(2, (-1, 0, 1)), *equations(3, (-1, 0, 1), 19)]
    return (
        ForAll(
            Equivalent(Some((X, Y), And(Eq(lam * X**2 + mu * Y**2, k), X**2 + Y**2 > 0)), positive(lam, k)),
            [lam * mu > 0],
        ),
        ForEach(cases, both, over="all conics with coefficients in {−1, 0, 1}, and every 19th such quadric"),
    )
