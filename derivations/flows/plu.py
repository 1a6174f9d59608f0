"""The invertible 1×1 convolution and its factors P, L, U: determinants, costs, reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate, permutations
from itertools import product as cartesian
from typing import Any

import sympy as sp
from sympy import Abs, And, Eq, Implies, Ne, Not, Rational, log

from kexue import (
    Counts,
    Enclosure,
    ForAll,
    ForEach,
    Identity,
    Induction,
    Witnesses,
    Words,
    claim,
    erratum,
    letters,
    mutant,
)
from kexue.statements.foreach import Scalar

from .common import Rows, determinant, n, product

Exact = Sequence[Sequence[int | Fraction]]
Choice = Callable[[Rows, int], int]


def _largest(U: Rows, k: int) -> int:
    return max(range(k, len(U)), key=lambda i: abs(U[i][k]))


def _factor(rows: Exact, choose: Choice) -> tuple[list[int], Rows, Rows]:
    """Elimination with a choice of the pivot's row: rows[order[i]] is row i of LU, if every pivot serves its column."""
    size = len(rows)
    U = [[Fraction(value) for value in row] for row in rows]
    L = [[Fraction(0)] * size for _ in rows]
    order = list(range(size))
    for k in range(size):
        p = choose(U, k)
        U[k], U[p] = U[p], U[k]
        L[k], L[p] = L[p], L[k]
        order[k], order[p] = order[p], order[k]
        L[k][k] = Fraction(1)
        for i in range(k + 1, size):
            L[i][k] = U[i][k] / U[k][k] if U[k][k] else Fraction(0)
            U[i] = [x - L[i][k] * y for x, y in zip(U[i], U[k], strict=True)]
    return order, L, U


def plu(matrix: Exact) -> tuple[Rows, Rows, Rows]:
    """P, L, U with matrix = P L U: a permutation, a unit lower and an upper triangular matrix, in exact arithmetic.

    The pivot is the first entry of largest absolute value. A singular matrix has a zero on the diagonal of U.

    Raises:
        ValueError: for a matrix that isn't square, is empty, or has entries that are not integers or Fractions.
    """
    rows = [list(row) for row in matrix]
    if not rows or any(len(row) != len(rows) for row in rows):
        raise ValueError(f"matrix must be square with at least one row, got rows of lengths {[len(r) for r in rows]}")
    for row in rows:
        for value in row:
            if not isinstance(value, (int, Fraction)) or isinstance(value, bool):
                raise ValueError(f"matrix must have integers or Fractions as entries, got {value!r}")
    order, L, U = _factor(rows, _largest)
    P = [[Fraction(int(order[j] == i)) for j in range(len(rows))] for i in range(len(rows))]
    return P, L, U


def _symbolic(size: int) -> tuple[sp.Matrix, sp.Matrix, tuple[sp.Symbol, ...]]:
    """L and U + diag(s) with free entries."""
    s = sp.symbols(f"s1:{size + 1}", real=True)

    def lower(i: int, j: int) -> Any:
        return 1 if i == j else sp.Symbol(f"l{i}{j}", real=True) if i > j else 0

    def upper(i: int, j: int) -> Any:
        return s[i] if i == j else sp.Symbol(f"u{i}{j}", real=True) if i < j else 0

    return sp.Matrix(size, size, lower), sp.Matrix(size, size, upper), s


# The layer


@claim(mutants=[dict(power=lambda pixels: 1)])
def conv1x1_logdet(power=lambda pixels: pixels):
    r"""$y_{ij} = Wx_{ij}$ on an h×w map has the Jacobian $W\otimes I_{hw}$ up to a permutation, and $\ln|\det| = hw
    \ln|\det W|$.

    For every number of pixels by induction: ordered by pixels the Jacobian is block diagonal, and one more pixel is one
    more block W (w and l stand for det W and its logarithm). Symbolic determinants in both orders, channels first and
    pixels first, for c = 2 at one to three pixels and c = 3 at two. The article's (9) is the case of one pixel. Mutant:
    without h·w.
    """
    W2, W3 = (sp.Matrix(c, c, sp.symbols(f"w1:{c * c + 1}", real=True)) for c in (2, 3))
    found, stated = [], []
    for W, pixels in ((W2, 1), (W2, 2), (W2, 3), (W3, 2)):
        for J in (sp.kronecker_product(W, sp.eye(pixels)), sp.kronecker_product(sp.eye(pixels), W)):
            found.append(J.det(method="berkowitz"))
            stated.append(W.det() ** power(pixels))
    u, log_size = sp.Function("u"), sp.Function("log_size")
    w, l = sp.symbols("w l", real=True)
    return (
        Identity(sp.Matrix(found), sp.Matrix(stated)),
        Induction(
            n,
            1,
            {u(n + 1): w * u(n), log_size(n + 1): log_size(n) + l},
            {u(1): w, log_size(1): l},
            [Eq(u(n), w ** power(n)), Eq(log_size(n), power(n) * l)],
        ),
    )


@claim(mutants=[dict(size=lambda value: value), dict(total=lambda values: sum(values))])
def plu_logdet(size=Abs, total=lambda values: sum(log(value) for value in values)):
    r"""$W = PL(U + \mathrm{diag}\,s)$ with L unit lower and U strictly upper triangular has $\ln|\det W| =
    \sum\ln|s_i|$.

    All six P and all L, U, s for c = 3; every size by the determinant of triangular matrices (`affine-coupling`) and of
    permutations (`permutation-matrix`). Mutants: no absolute value; $\sum|s_i|$.
    """
    L, U, s = _symbolic(3)
    dets = [
        sp.Matrix(3, 3, lambda i, j, p=p: int(p[i] == j)).det() * (L * U).det(method="berkowitz")
        for p in permutations(range(3))
    ]
    given = [Ne(value, 0) for value in s]
    return (
        Identity(sp.Matrix([Abs(d) for d in dets]), sp.Matrix([sp.prod(size(value) for value in s)] * 6)),
        Identity(log(Abs(sp.prod(s))), total([Abs(value) for value in s]), given),
    )


def elimination(c: Any) -> Any:
    """Multiplications and divisions of an LU decomposition."""
    return c * (c - 1) * (2 * c - 1) * Rational(1, 6) + c * (c - 1) * Rational(1, 2)


@erratum(
    printed=dict(cheaper=True),
    mutants=[
        dict(forming=lambda c: c**3 * Rational(1, 3)),
        dict(multiplications=lambda c: c**3 * Rational(1, 6)),
        dict(applying=lambda c: c * c + c),
    ],
)
def plu_cost(
    cheaper=False,
    forming=lambda c: (c**3 - c) * Rational(1, 3),
    multiplications=lambda c: c * (c - 1) * (2 * c - 1) * Rational(1, 6),
    applying=lambda c: c * c,
):
    r"""Decomposing a c×c matrix W takes c(c−1)(2c−1)/6 multiplications and c(c−1)/2 divisions, $(c^3-c)/3$ in all;
    forming W = P·L·U from its factors takes $(c^3-c)/3$ multiplications: exactly as many.

    So the article's "the product costs hardly more, the determinant much less" is void where W is multiplied out at
    each step. L and U applied one after the other take c² multiplications a pixel, as the dense W, and then only c
    logarithms are left. All c by induction; counted for c = 2, 3, 5, 8 (a product counts no ones of L). The determinant
    isn't the bottleneck either: at the last level of CIFAR-10 (c = 48, 16 pixels) it takes 36 848 operations once, the
    convolution 36 864 an image.
    """

    def decompose(c: int, scalar: Any) -> None:
        A = [[scalar(c + 2 if i == j else 1) for j in range(c)] for i in range(c)]
        for k in range(c):
            for i in range(k + 1, c):
                factor = A[i][k] / A[k][k]
                for j in range(k + 1, c):
                    A[i][j] = A[i][j] - factor * A[k][j]

    def entry(terms: list[Scalar]) -> None:
        total = terms[0]
        for term in terms[1:]:
            total = total + term

    def form(c: int, scalar: Any) -> None:
        L = [[scalar(i + j + 1) for j in range(c)] for i in range(c)]
        U = [[scalar(i - j + 2) for j in range(c)] for i in range(c)]
        for i, j in cartesian(range(c), repeat=2):
            entry([U[k][j] if k == i else L[i][k] * U[k][j] for k in range(min(i, j) + 1)])

    def apply(c: int, scalar: Any) -> None:
        x = [scalar(i + 1) for i in range(c)]
        for i in range(c):
            entry([scalar(i + j + 1) * x[j] for j in range(i, c)])
        for i in range(c):
            entry([*[scalar(i + j + 1) * x[j] for j in range(i)], x[i]])

    M, D, F = (sp.Function(name) for name in "MDF")
    sizes = (2, 3, 5, 8)
    return (
        Counts(
            decompose,
            sizes,
            {"mul": multiplications, "sub": multiplications, "div": lambda c: c * (c - 1) // 2},
        ),
        Counts(form, sizes, {"mul": forming, "add": multiplications}),
        Counts(apply, sizes, {"mul": applying, "add": lambda c: c * (c - 1)}),
        Induction(
            n,
            1,
            {M(n + 1): M(n) + n**2, D(n + 1): D(n) + n, F(n + 1): F(n) + n**2 + n},
            {M(1): 0, D(1): 0, F(1): 0},
            [
                Eq(M(n), multiplications(n)),
                Eq(D(n), n * (n - 1) / 2),
                Eq(F(n), forming(n)),
                Eq(M(n) + D(n), forming(n)),
            ],
        ),
        ForEach((12, 24, 48), lambda c: (bool(forming(c) < elimination(c)), cheaper), over="c = 12, 24, 48"),
        ForEach([48], lambda c: ((elimination(c), 16 * applying(c)), (36848, 36864)), over="CIFAR-10, level 3"),
    )


# Which matrices


@claim(mutants=[dict(choose=lambda U, k: k), mutant("domain", sign=1)])
def plu_existence(choose=_largest, sign=-1):
    r"""Every square matrix is $W = PLU$ (elimination with pivots); a singular one has some $s_i = 0$ and is no flow.

    Every size by induction: after an exchange of rows $W = \begin{pmatrix}p&r^\top\\q&B\end{pmatrix}$ with $p \ne 0$,
    or p = 0 and q = 0; if $P_2(B - qr^\top/p) = L_2U_2$, then the lower rows of $L = \begin{pmatrix}1&0\\P_2q/p&L_2
    \end{pmatrix}$, $U = \begin{pmatrix}p&r^\top\\0&U_2\end{pmatrix}$ multiply to $P_2(q, B)$; for q = 0 likewise.
    Enumerated: all 2×2 matrices with entries in {−2, …, 2} and all 3×3 with entries in {0, 1}, with $\prod s_i = 0$ iff
    det W = 0. Mutants: no exchange of rows; $B + qr^\top/p$.
    """
    P, B, L, U, g, row = letters("P B L U g r")  # g is the column q/p
    model = {"P": [[0, 1], [1, 0]], "B": [[1, 2], [3, 4]], "g": [[1], [2]], "r": [[3, 1]], "L": [[1, 0], [0, 1]]}
    rest = sp.Matrix(model["B"]) + sign * sp.Matrix(model["g"]) * sp.Matrix(model["r"])
    model["U"] = (sp.Matrix(model["P"]) * rest).tolist()

    def case(W: tuple[tuple[int, ...], ...]) -> tuple[Any, Any]:
        order, lower, upper = _factor(W, choose)
        size = range(len(W))
        whole = product(lower, upper) == [list(W[k]) for k in order]
        shapes = all(lower[i][j] == int(i == j) for i in size for j in size if i <= j) and all(
            upper[i][j] == 0 for i in size for j in size if i > j
        )
        invertible = all(upper[i][i] for i in size)
        return (whole, shapes, invertible), (True, True, determinant(W) != 0)

    two = ((w[:2], w[2:]) for w in cartesian(range(-2, 3), repeat=4))
    three = ((w[:3], w[3:6], w[6:]) for w in cartesian((0, 1), repeat=9))
    return Witnesses(
        Words(P * g * row + L * U, P * B, [(L * U, P * (B + sign * g * row))], model=model),
        ForEach([*two, *three], case, over="2×2 with entries in −2..2, 3×3 with entries in {0, 1}"),
    )


@erratum(
    printed=dict(reached=lambda minors: True),
    mutants=[
        dict(partial=lambda s, k: s[k - 1]),
        dict(swap=((1, 1), (1, 2))),
        dict(turned=lambda c, s: s > 0),
        dict(cells=lambda c: 2 ** (c - 1)),
    ],
)
def plu_reach(
    reached=lambda minors: all(m > 0 for m in minors),
    partial=lambda s, k: sp.prod(s[:k]),
    swap=((0, 1), (1, 0)),
    turned=lambda c, s: c > 0,
    cells=lambda c: 2**c,
):
    r"""With P and the signs of s fixed, the leading principal minors of $P^\top W$ are $s_1\cdots s_k$, so all their
    signs are frozen: of the $2^c$ sign cells of matrices without vanishing minors one is reached.

    The article's "any matrix can be written so, hence set W in this form" therefore loses generality. Minors: all L, U,
    s at c = 4 (every size: the leading k×k block of LU is $L_kU_k$). With P = I, s > 0: the exchange [[0, 1], [1, 0]]
    is out of reach, and so is a rotation by θ unless cos θ > 0; among the invertible 2×2 matrices with entries in {−2,
    …, 2} exactly those with positive leading minors are reached. Printed: all of them. The signs of s give $2^c$
    different cells, c ≤ 8. Mutants: minors $s_k$; the matrix [[1, 1], [1, 2]]; rotations with sin θ > 0.
    """
    L, U, s = _symbolic(4)
    W = L * U
    low, up = sp.symbols("l u", real=True)
    cosine, sine = sp.symbols("c q", real=True)
    s1, s2 = s[:2]
    small = [[s1, up], [low * s1, low * up + s2]]

    def is_matrix(target: Any) -> sp.Basic:
        return And(*(Eq(small[i][j], target[i][j]) for i, j in cartesian(range(2), repeat=2)))

    def case(w: tuple[int, ...]) -> tuple[Any, Any]:
        p, q, r, t = map(Fraction, w)
        # L(U + diag s) = W has the only candidate s = (p, t − rq/p)
        found = p > 0 and t - r / p * q > 0
        return found, reached((p, p * t - q * r))

    matrices = [w for w in cartesian(range(-2, 3), repeat=4) if w[0] * w[3] != w[1] * w[2]]

    def distinct(c: int) -> tuple[int, int]:
        return len({tuple(accumulate(signs, lambda x, y: x * y)) for signs in cartesian((1, -1), repeat=c)}), cells(c)

    positive = [s1 > 0, s2 > 0]
    return (
        Identity(
            sp.Matrix([W[:k, :k].det(method="berkowitz") for k in range(1, 5)]),
            sp.Matrix([partial(s, k) for k in range(1, 5)]),
        ),
        ForAll(Not(is_matrix(swap)), positive),
        ForAll(Implies(is_matrix(((cosine, -sine), (sine, cosine))), turned(cosine, sine)), positive),
        ForEach(matrices, case, over="invertible 2×2 matrices with entries in −2..2, P = I, s > 0"),
        ForEach(range(1, 9), distinct, over="c = 1..8"),
    )


def _cayley(a: int, b: int, c: int, scale: int) -> Rows:
    """scale·(I − A)(I + A)⁻¹ for the skew-symmetric A with the entries a, b, c."""
    A = sp.Matrix([[0, a, b], [-a, 0, c], [-b, -c, 0]])
    Q = scale * (sp.eye(3) - A) * (sp.eye(3) + A).inv()
    return [[Fraction(int(q.p), int(q.q)) for q in Q.row(i)] for i in range(3)]


@claim(mutants=[dict(scale=2), dict(power=1)])
def orthogonal_init(scale=1, power=2):
    r"""An orthogonal W has $|\det W| = 1$: the log-determinant starts at 0, and in the form PLU $\sum\ln|s_i| = 0$.

    $\det(W^\top W) = (\det W)^2$, written out for c = 3. Exactly, for the 27 rational rotations (Cayley) of skew
    matrices with entries in {−1, 0, 1}: $W^\top W = I$ and $|\prod s_i| = 1$. Mutants: twice a rotation; det instead of
    its square.
    """
    W = sp.Matrix(3, 3, sp.symbols("w1:10", real=True))

    def case(entries: tuple[int, int, int]) -> tuple[Any, Any]:
        Q = _cayley(*entries, scale)
        P, low, up = plu(Q)
        unit = [[int(i == j) for j in range(3)] for i in range(3)]
        transposed = [list(column) for column in zip(*Q, strict=True)]
        whole = product(P, product(low, up)) == Q
        return (product(transposed, Q), abs(up[0][0] * up[1][1] * up[2][2]), whole), (unit, 1, True)

    return (
        Identity((W.T * W).det(method="berkowitz"), W.det() ** power),
        ForEach(cartesian((-1, 0, 1), repeat=3), case, over="27 rational rotations"),
    )


LARGEST_FLOAT64 = 2**1024 - 2**971


@claim(mutants=[dict(last=309), dict(size=399)])
def det_overflow(last=308, size=400):
    r"""In float64 $\det(10\,I_c) = 10^c$ is finite only up to c = 308, while $\sum\ln|s_i| = c\ln 10$ is harmless (c =
    400: 921.0340 to four places).

    Exact integers against the largest float64, $2^{1024} - 2^{971} \approx 1.797\cdot10^{308}$, for c = 1, …, 400.
    """
    return (
        ForEach(range(1, 401), lambda c: (10**c <= LARGEST_FLOAT64, c <= last), over="c = 1..400"),
        Enclosure(size * log(10), lower=Rational(9210340, 10**4), upper=Rational(9210341, 10**4)),
    )
