r"""Completeness: the block-diagonal form loses nothing against a general generator, and under which conditions.

Article 9403. B = PΛPᵀ with an orthogonal P and Λ = blockdiag(θ_i J); P is absorbed by W_q and W_k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import nmod_mat
from sympy import And, Eq, Ne, Not, cos, sign, sqrt

from kexue import ForAll, ForEach, Identity, Words, claim, letters, mutant
from kexue.engines import balls, normal_form

from .common import C3, C5, I2, J, antisymmetric, integer_skew, k, k0, k1, q0, q1, rotation, theta, x

n = sp.Symbol("n", real=True)


@dataclass(frozen=True)
class CanonicalForm:
    """B = P·blockdiag(θ_0 J, θ_1 J, …, 0)·Pᵀ with an orthogonal P and θ_0 ≥ θ_1 ≥ … ≥ 0; a 0 ends it where d is odd."""

    P: sp.ImmutableMatrix
    theta: tuple[sp.Expr, ...]

    @property
    def blocks(self) -> sp.ImmutableMatrix:
        """Λ."""
        zero = [sp.zeros(1, 1)] * (self.P.rows % 2)
        return sp.ImmutableMatrix(sp.diag(*(angle * J for angle in self.theta), *zero))


def skew_canonical_form(B: Any) -> CanonicalForm:
    """The exact canonical form of a rational antisymmetric matrix of order at most 4.

    −B² has the eigenvalues θ², which solve a quadratic. Each eigenspace is the image of a polynomial in B²; a unit
    vector v of it and Bv/θ span one plane.

    Raises:
        ValueError: B isn't antisymmetric (the message shows B + Bᵀ), not rational, or larger than 4×4.
    """
    B = antisymmetric(B, "B")
    size = B.rows
    if size > 4:
        raise ValueError(f"B must be at most 4×4 for an exact canonical form, got {size}×{size}")
    if any(not e.is_Rational for e in B):
        raise ValueError(f"B must have rational entries, got {B.tolist()}")
    square = B**2
    total = -square.trace() / 2
    pfaffian = B[0, 1] * B[2, 3] - B[0, 2] * B[1, 3] + B[0, 3] * B[1, 2] if size == 4 else sp.S.Zero
    root = sp.sqrt(total**2 - 4 * pfaffian**2)
    eigenvalues = [(total + root) / 2, (total - root) / 2][: (size + 1) // 2]
    planes: list[sp.Matrix] = []
    fixed: list[sp.Matrix] = []
    angles: list[sp.Expr] = []
    values = [sp.radsimp(value) for value in eigenvalues]
    for value in dict.fromkeys(values):
        onto = sp.eye(size)
        for other in set(values) - {value}:
            onto = (onto * (square + other * sp.eye(size))).applyfunc(sp.expand)
        wanted = values.count(value) if value else size - len(planes)
        for column in range(size):
            v = onto[:, column]
            for u in (*planes, *fixed):
                v = v - u * sp.radsimp((u.T * onto[:, column])[0] / (u.T * u)[0])
            v = v.applyfunc(sp.expand)
            if any(v):
                wanted -= 1
                if value == 0:
                    fixed.append(v)
                else:
                    planes += [v, (B * v).applyfunc(sp.expand)]
                    angles.append(sp.sqrt(value))
            if not wanted:
                break
    columns = [v / sp.sqrt(sp.radsimp(sp.expand((v.T * v)[0]))) for v in (*planes, *fixed)]
    angles += [sp.S.Zero] * (size // 2 - len(angles))
    return CanonicalForm(sp.ImmutableMatrix(sp.Matrix.hstack(*columns)), tuple(angles))


def score_span_dimension(theta: Sequence[Any]) -> int:
    """The dimension of span{r ↦ cos rθ_i, r ↦ sin rθ_i} on the integers r: the score functions of RoPE with these θ_i.

    It is the number of different e^{±iθ_i}: two for each cos θ_i that differs from ±1, one for each of ±1.

    Raises:
        ValueError: theta is empty, an angle isn't an exact real number, or two cosines can't be told apart.
    """
    angles = [sp.Rational(a.numerator, a.denominator) if isinstance(a, Fraction) else sp.sympify(a) for a in theta]
    if not angles:
        raise ValueError("theta must name at least one frequency, got none")
    for index, angle in enumerate(angles):
        if not isinstance(angle, sp.Expr) or angle.has(sp.Float) or angle.free_symbols or angle.is_real is not True:
            raise ValueError(f"theta[{index}] must be an exact real number, got {theta[index]!r}")
    found = [sp.S.One, sp.S.NegativeOne]
    poles: set[sp.Expr] = set()
    for angle in angles:
        same = next((c for c in found if _equal(cos(angle), c)), None)
        if same is None:
            found.append(cos(angle))
        elif same in (1, -1):
            poles.add(same)
    return 2 * (len(found) - 2) + len(poles)


def _equal(a: sp.Expr, b: sp.Expr) -> bool:
    if balls.nonzero(a - b):
        return False
    if normal_form.is_zero(a - b):
        return True
    raise ValueError(f"theta can't be sorted out: is {a} equal to {b}?")


# The canonical form


@claim(mutants=[dict(transposed=1), dict(turn=lambda B: B)])
def even_characteristic_polynomial(transposed=-1, turn=lambda B: -B):
    r"""$\det(xI - B) = (-1)^d\det(-xI - B)$ for antisymmetric B: the eigenvalues come in pairs ±, and odd d has the
    eigenvalue 0.

    Every d: $(xI - B)^\top = -(-xI - B)$, $\det M = \det M^\top$ and $\det(-M) = (-1)^d\det M$. The determinants are
    compared with free entries for d = 3, 4, 5. A symmetric matrix has no such pairs.
    """
    B = letters("B")
    sides = []
    for size in (3, 4, 5):
        M = sp.zeros(size, size)
        for a in range(size):
            for c in range(a):
                M[a, c] = sp.Symbol(f"b{c}{a}", real=True)
                M[c, a] = transposed * M[a, c]
        plus, minus = ((turned * x * sp.eye(size) - M).to_DM().det() for turned in (1, -1))
        sides.append((plus.as_expr(), (-1) ** size * minus.as_expr()))
    return (
        Words((x - B).T, -(-x + turn(B)), [(B.T, -B)], model={"B": [[0, -2], [2, 0]], x: 3}),
        Identity(sp.Matrix([a for a, _ in sides]), sp.Matrix([b for _, b in sides])),
    )


@claim(
    mutants=[
        dict(square=lambda p: p),
        dict(mixed=1),
        dict(turn=1, scale=2),
        dict(frequencies=lambda form: tuple(2 * angle for angle in form.theta)),
    ],
    relies_on=("spectral theorem for symmetric matrices",),
)
def canonical_form(square=lambda p: p**2, mixed=-1, turn=-1, scale=1, frequencies=lambda form: form.theta):
    r"""Every antisymmetric B is $P\,\mathrm{blockdiag}(\theta_iJ)\,P^\top$ with an orthogonal P (and a 0 at the end if
    d is odd).

    The articles say "invertible": orthogonality is what keeps norms. Every d, plane by plane: $B^2$ is symmetric, so it
    has a unit eigenvector v (spectral theorem, quoted), $B^2v = -\theta^2v$ with θ ≠ 0 unless Bv = 0; then $w =
    Bv/\theta$ is a unit vector orthogonal to v and $Bw = -\theta v$; the complement of the plane is invariant too, as B
    is antisymmetric. For d = 4: $\det(xI - B) = x^4 + s_2x^2 + \mathrm{Pf}^2$ with $s_2 = \sum b_{ij}^2$, $\mathrm{Pf}
    = b_{12}b_{34} - b_{13}b_{24} + b_{14}b_{23}$, hence $\theta^2 = (s_2 \pm \sqrt{s_2^2 - 4\mathrm{Pf}^2})/2$, real
    because $s_2 \pm 2\mathrm{Pf}$ are sums of squares (for Pf ≠ 0, w stands for |Pf|). `skew_canonical_form` is checked
    exactly on rational matrices of orders 2..4. For larger d the algorithm is a float one, in numerics/.
    """
    b12, b13, b14, b23, b24, b34 = sp.symbols("b12 b13 b14 b23 b24 b34", real=True)
    M = sp.Matrix([[0, b12, b13, b14], [-b12, 0, b23, b24], [-b13, -b23, 0, b34], [-b14, -b24, -b34, 0]])
    total = b12**2 + b13**2 + b14**2 + b23**2 + b24**2 + b34**2
    pfaffian = b12 * b34 - b13 * b24 + b14 * b23
    plus = (b12 + b34) ** 2 + (b13 + mixed * b24) ** 2 + (b14 + b23) ** 2
    minus = (b12 - b34) ** 2 + (b13 - mixed * b24) ** 2 + (b14 - b23) ** 2
    u, w = sp.symbols("u w", real=True)
    root = sqrt(u**2 - 4 * w**2)
    B, v = letters("B v")
    image = scale / theta * (B * v)
    rules = [(B.T, -B), (v.T * v, 1), (B * B * v, -(theta**2) * v), (v.T * B.T * v, v.T * B * v)]
    model = {"B": sp.diag(2 * J, 3 * J), "v": [1, 0, 0, 0], theta: 2}

    def rebuilt(matrix: sp.ImmutableMatrix) -> tuple[Any, Any]:
        form = skew_canonical_form(matrix)
        again = CanonicalForm(form.P, frequencies(form))
        return (form.P.T * form.P, form.P * again.blocks * form.P.T), (sp.eye(matrix.rows), matrix)

    hodge = sp.Matrix([[0, -1, -2, 1], [1, 0, -1, -2], [2, 1, 0, 1], [-1, 2, -1, 0]])
    cases = [integer_skew(size, seed=size) for size in (2, 3, 4)]
    cases += [sp.diag(2 * J, 2 * J), sp.diag(J, sp.zeros(2, 2)), hodge, sp.zeros(3, 3)]
    return (
        Identity((x * sp.eye(4) - M).det(method="berkowitz"), x**4 + total * x**2 + square(pfaffian)),
        Identity(sp.Matrix([total + 2 * pfaffian, total - 2 * pfaffian]), sp.Matrix([plus, minus])),
        Identity((x**2 + (u + root) / 2) * (x**2 + (u - root) / 2), x**4 + u * x**2 + square(w), [w > 0, u > 2 * w]),
        Words((v + image).T * image, 1, rules, model=model, given=[Ne(theta, 0)]),
        Words(B * image, turn * theta * v, rules, model=model, given=[Ne(theta, 0)]),
        ForEach(
            cases,
            rebuilt,
            over="seven rational antisymmetric matrices of orders 2..4, with double and zero θ among them",
        ),
    )


# Absorption


@claim(mutants=[dict(inner=lambda P, Pi: P.T), dict(query=lambda P, Pi: Pi)])
def absorption_general_p(inner=lambda P, Pi: Pi, query=lambda P, Pi: P.T):
    r"""For any invertible P and $B = P\Lambda P^{-1}$: $q^\top e^{rB}k = (P^\top q)^\top e^{r\Lambda}(P^{-1}k)$, so
    $W_q \to P^\top W_q$, $W_k \to P^{-1}W_k$.

    Every d and every Λ. $e^{rB} = Pe^{r\Lambda}P^{-1}$ term by term: $(P\Lambda P^{-1})(PXP^{-1}) = P\Lambda XP^{-1}$.
    For an antisymmetric B take P orthogonal, then $P^{-1} = P^\top$ (`completeness-absorption`); with another P,
    $P^\top$ on both sides is wrong.
    """
    P, Pi, L, X, q, key = letters("P Pi L X q k")
    rules = [(P * Pi, 1), (Pi * P, 1)]
    model = {
        "P": [[1, 2], [3, 7]],
        "Pi": [[7, -2], [-3, 1]],
        "L": [[0, -1], [1, 0]],
        "X": [[1, 2], [3, 5]],
        "q": [1, 2],
        "k": [3, 4],
    }
    return (
        Words(P * L * inner(P, Pi) * P * X * Pi, P * L * X * Pi, rules, model=model),
        Words(q.T * P * X * Pi * key, (query(P, Pi) * q).T * X * Pi * key, rules, model=model),
    )


@claim(mutants=[dict(key=lambda P: P), dict(power=lambda P: P)])
def completeness_absorption(key=lambda P: P.T, power=lambda P: P.T):
    r"""With $B = P\Lambda P^\top$, P orthogonal: $(W_q, W_k, B)$ and $(P^\top W_q, P^\top W_k, \Lambda)$ give equal
    scores for all inputs and positions.

    Every d, with biases: $q = W_qx + a$, $k = W_ky + c$, and $e^{rB} = Pe^{r\Lambda}P^\top$ term by term. That two
    torch modules agree is left to numerics/.
    """
    P, L, X, Wq, Wk, u, v, a, c = letters("P L X Wq Wk u v a c")
    model = {
        "P": C3, "L": [[0, -2], [2, 0]], "X": C5, "Wq": [[1, 2], [0, 1]], "Wk": [[1, 1], [3, 1]],
        "u": [1, 2], "v": [2, 5], "a": [1, 0], "c": [0, 1],
    }  # fmt: skip
    W = key(P)
    return (
        Words(P * L * power(P) * P * X * P.T, P * L * X * P.T, [(P.T * P, 1)], model=model),
        Words(
            (Wq * u + a).T * P * X * P.T * (Wk * v + c),
            (P.T * Wq * u + P.T * a).T * X * (W * Wk * v + W * c),
            [(P.T * P, 1)],
            model=model,
        ),
    )


@claim(
    mutants=[
        dict(frequency=2),
        mutant("domain", shared=False),
        mutant(("symbols", "domain"), gain=sp.diag(1, 2)),
        mutant("domain", orthogonal=False),
    ]
)
def completeness_conditions(frequency=1, shared=True, gain=2 * I2, orthogonal=True):
    r"""What absorption needs: free $\theta_i$, one P for each key head, and nothing element-wise between W and the
    rotation.

    (1) Similar generators have one characteristic polynomial ($x^2 + \theta^2$ for $P\theta JP^{-1}$ with any
    invertible P), so fixed θ don't represent other ones. (2) If query heads with generators $B_1, B_2$ share a key map
    C (GQA, MQA), then r = 0 makes the query maps $C^{-\top}$, so $B_i = C^{-1}\Lambda_iC$, and as block-diagonal
    $\Lambda_i$ commute, so do $B_1, B_2$: generators that don't commute can't be absorbed. (3) RMSNorm divides by a
    norm, which an orthogonal P keeps, and multiplies by a gain, which commutes with every P only if it is the same in
    all channels. Every d for (2) and (3). The size of the difference in a QK-norm model is left to numerics/.
    """
    P = sp.Matrix(2, 2, sp.symbols("p1:5", real=True))
    B = P * theta * J * P.adjugate() / P.det()
    C, Ci, L1, L2, Q, G, v = letters("C Ci L1 L2 Q G v")
    g = sp.Symbol("g", real=True)
    one_sided = [[1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]]
    first, second = sp.diag(J, 2 * J), sp.diag(3 * J, J) if shared else integer_skew(4)
    rules = [(C * Ci, 1), (Ci * C, 1)] + ([(L1 * L2, L2 * L1)] if shared else [])
    model = {"C": one_sided, "Ci": sp.Matrix(one_sided).inv(), "L1": first, "L2": second}
    norm = {"Q": C3 if orthogonal else [[1, 1], [0, 1]], "G": gain, "v": [1, 2], g: 2}
    same_gain = [(G, g)] if gain == 2 * I2 else []
    return (
        Identity((x * I2 - B).det(), x**2 + frequency**2 * theta**2, [Ne(P.det(), 0)]),
        Words(Ci * L1 * C * Ci * L2 * C, Ci * L2 * C * Ci * L1 * C, rules, model=model),
        Words(Q.T * G * v, G * Q.T * v, same_gain, model=norm),
        Words((Q.T * v).T * (Q.T * v), v.T * v, [(Q * Q.T, 1)] if orthogonal else [], model=norm),
    )


# What the optimiser sees


def _step(update: str, W: sp.MatrixBase, gradient: sp.MatrixBase) -> sp.MatrixBase:
    """The weights after one step with rate 1/10; the first step of Adam without ε is the sign of the gradient too."""
    moved = gradient if update == "sgd" else gradient.applyfunc(sign)
    return W - moved / 10


@claim(mutants=[dict(chain=lambda P: P, adaptive=True), dict(decay=2)])
def training_not_equivariant(chain=lambda P: P.T, adaptive=False, decay=1):
    r"""Absorption keeps the class of functions, not the optimiser's path: SGD with momentum and L2 commutes with P,
    Lion and Adam don't.

    With $W' = P^\top W$ and the loss $L'(W') = L(PW')$ the gradient is $G' = P^\top G$ (chain rule: $\mathrm{tr}(G^\top
    P\,dW')$), and the L2 term keeps its value by $PP^\top = I$. So one step $V \leftarrow \mu V + G + cW$, $W
    \leftarrow W - \eta V$ turns $(P^\top W, P^\top V)$ into $P^\top$ of the step of (W, V): every size, every number of
    steps by induction. A step along sign(G), which is Lion's without momentum and Adam's first one without ε, doesn't:
    shown by a rational example. The gap after 20 steps is left to numerics/.
    """
    P, W, V, G = letters("P W V G")
    eta, mu, c = sp.symbols("eta mu c", real=True)
    model = {"P": C3, "W": [[1, 2], [3, 4]], "V": [[1, 0], [2, 1]], "G": [[1, 1], [0, 2]], eta: 1, mu: 2, c: 3}

    def step(w: Any, v: Any, gradient: Any) -> Any:
        return w - eta * (mu * v + gradient + c * w)

    absorbed = step(P.T * W, P.T * V, chain(P) * G)
    gradient, weights = sp.Matrix([[1, 2], [3, -4]]), sp.Matrix([[1, 0], [2, 1]])

    def equivariant(update: str) -> tuple[Any, Any]:
        there = _step(update, C3.T * weights, C3.T * gradient)
        return there == C3.T * _step(update, weights, gradient), update == "sgd" or adaptive

    return (
        Words(absorbed, P.T * step(W, V, G), model=model),
        Words((P.T * W).T * (P.T * W), decay * W.T * W, [(P * P.T, 1)], model=model),
        ForEach(("sgd", "lion", "adam"), equivariant, over="one step of SGD, Lion and Adam on a rational example"),
    )


# Counting score functions


def _padded(case: tuple[int, int, int]) -> int:
    """Dimension of block-rotation RoPE for `plus` eigenvalues 1, `minus` eigenvalues −1 and `pairs` of others."""
    plus, minus, pairs = case
    return plus + plus % 2 + minus + minus % 2 + 2 * pairs


@claim(mutants=[dict(second=1), dict(padding=lambda d: 0), dict(middle=1)])
def completeness_detneg(second=-1, padding=lambda d: 2 if d % 2 == 0 else 1, middle=2):
    r"""$O^n$ with det O = −1 needs block-rotation RoPE of dimension d + 2 if d is even, d + 1 if d is odd.

    The eigenvalues +1 and −1 of O have multiplicities p and s with s odd, so p is odd for even d; the form that belongs
    to +1 has rank p, a plane R(0) carries rank 2, and likewise −1 and R(π): p and s are padded to even numbers, which
    gives d + 2 and d + 1 (all multiplicities for d ≤ 16). That d isn't enough is shown for d = 2, $\mathcal R_n =
    \mathrm{diag}(1, (-1)^n)$: scores of one plane obey $s_{n-1} + s_{n+1} = 2\cos\theta\, s_n$, while $1, 1, 1$ and $1,
    -1, 1$, both scores here, would make $\cos\theta$ equal to 1 and to −1. R(0) ⊕ R(π) is enough.
    """
    A, D, h, c = sp.symbols("A D h c", real=True)

    def score(position: sp.Expr) -> sp.Expr:
        return A * cos(position * theta) + D * sp.sin(position * theta)

    left, right = sp.Matrix([q0, 0, q1, 0]), sp.Matrix([k0, 0, k1, 0])
    turned = sp.diag(rotation(0), rotation(sp.pi * k)) * right
    cases = [
        (d - s - 2 * pairs, s, pairs)
        for d in range(1, 17)
        for s in range(1, d + 1, 2)
        for pairs in range((d - s) // 2 + 1)
    ]
    return (
        Identity(score(n - 1) + score(n + 1), middle * cos(theta) * score(n)),
        ForAll(Not(And(Eq(h + h, 2 * c * h), Eq(h + h, 2 * c * second * h))), [Ne(h, 0)]),
        Identity((left.T * turned)[0], q0 * k0 + second**k * q1 * k1),
        ForEach(
            cases,
            lambda case: (_padded(case), sum(case[:2]) + 2 * case[2] + padding(sum(case[:2]))),
            over="all multiplicities (p, s, pairs) with odd s and d ≤ 16",
        ),
    )


def _rank_mod_73(angles: Sequence[Fraction]) -> int:
    """Rank mod 73 of the rows (cos rθ_i, sin rθ_i), r = 0, 1, …, for multiples θ_i of 2π/24: at most the true rank."""
    root, half = 52, pow(2, -1, 73)  # 52 has order 24 modulo 73, and 52⁶ is a square root of −1
    rows = []
    for position in range(2 * len(angles) + 2):
        row = []
        for angle in angles:
            turn = pow(root, int(24 * angle) * position, 73)
            back = pow(turn, -1, 73)
            row += [(turn + back) * half, (turn - back) * half * pow(root, -6, 73)]
        rows.append([e % 73 for e in row])
    return int(nmod_mat(rows, 73).rank())


@claim(mutants=[dict(order=-1), dict(dimension=lambda theta: 2 * len(theta))])
def tensor_completeness_score_span(order=1, dimension=score_span_dimension):
    r"""As functions of r = n − m the scores of fixed RoPE span $\{\cos r\theta_i, \sin r\theta_i\}$: as many dimensions
    as there are different $e^{\pm i\theta_i}$.

    That is 2 for each $\cos\theta_i \ne \pm1$ that occurs and 1 for each ±1. Over ℂ they are powers $z^r$ of different
    nodes, independent by Vandermonde's determinant (shown for three free nodes; for N the product of all differences).
    Compared with the rank modulo 73 of the table of cosines and sines (a lower bound of the true rank, as the number of
    nodes is an upper one) for all pairs and some longer lists of multiples of 2π/24. Equal frequencies add rank to the
    bilinear form, but no score function.
    """
    z = sp.symbols("z1:4", real=True)
    vandermonde = sp.Matrix(3, 3, lambda row, column: z[column] ** row)
    differences = (z[1] - z[0]) * (z[2] - z[0]) * (z[2] - z[1])
    lists = [(a, b) for a in range(24) for b in range(a, 24, 3)] + [(1, 2, 3), (0, 12, 5), (1, 23, 25, 7), (2, 3, 5, 7)]
    return (
        Identity(vandermonde.det(), order * differences),
        ForEach(
            [tuple(Fraction(a, 24) for a in angles) for angles in lists],
            lambda angles: (
                _rank_mod_73(angles),
                dimension([2 * sp.pi * sp.Rational(a.numerator, a.denominator) for a in angles]),
            ),
            over="lists of multiples of 2π/24",
        ),
    )
