r"""Rotations of planes: the definition of RoPE, its functional equation, and the forms in which it is computed.

Articles 8265 and 9403. Notation: see the package's docstring.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import Eq, Rational, conjugate, cos, sin

from kexue import Counts, Enclosure, ForEach, Identity, Induction, Witnesses, Words, claim, letters, mutant

from .common import C3, C5, I2, J, block_rotation, i, j, k, k0, k1, m, n, q0, q1, r, rotation, t, theta

b, d = sp.symbols("b d", real=True)

LAYOUTS = ("interleaved", "half")


def layout_permutation(size: int, source: str, target: str) -> list[int]:
    """p with x_target[i] = x_source[p[i]]: the order of the channels of one head in another layout.

    "interleaved" rotates the channels (2i, 2i+1) (RoFormer, GPT-J), "half" the channels (i, i+N), N = size/2 (GPT-NeoX,
    LLaMA in transformers). The rows of W_q and of W_k, head by head, are permuted alike.

    Raises:
        ValueError: size isn't a positive even integer, or a layout is unknown.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size <= 0 or size % 2:
        raise ValueError(f"size must be a positive even integer, got {size!r}")
    for name, layout in (("source", source), ("target", target)):
        if layout not in LAYOUTS:
            raise ValueError(f"{name} must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    half = size // 2
    if source == target:
        return list(range(size))
    if source == "interleaved":
        return [*range(0, size, 2), *range(1, size, 2)]
    return [c // 2 + half * (c % 2) for c in range(size)]


def interleaved_matrix(labels: Sequence[tuple[Any, Any]]) -> list[list[Any]]:
    """blockdiag([[c, −s], [s, c]]) for pairs (c, s) that stand for cos mθ_i and sin mθ_i."""
    size = 2 * len(labels)
    rows = [[0] * size for _ in range(size)]
    for p, (c, s) in enumerate(labels):
        rows[2 * p][2 * p], rows[2 * p][2 * p + 1] = c, -s
        rows[2 * p + 1][2 * p], rows[2 * p + 1][2 * p + 1] = s, c
    return rows


def half_matrix(labels: Sequence[tuple[Any, Any]]) -> list[list[Any]]:
    """The same for "rotate half": x ↦ x⊙cos + (−x₂, x₁)⊙sin with the halves x₁, x₂ of x."""
    half = len(labels)
    rows = [[0] * (2 * half) for _ in range(2 * half)]
    for p, (c, s) in enumerate(labels):
        rows[p][p], rows[p][p + half] = c, -s
        rows[p + half][p + half], rows[p + half][p] = c, s
    return rows


# Relativity


@claim(mutants=[dict(first=lambda R: R, bar=lambda z: z)])
def relative_2x2(first=lambda R: R.T, bar=conjugate):
    r"""$R(m\theta)^\top R(n\theta) = R((n-m)\theta)$ for all real $m, n, \theta$.

    The second witness is $\overline{e^{im\theta}}\, e^{in\theta} = e^{i(n-m)\theta}$.
    """
    return Witnesses(
        Identity(first(rotation(m * theta)) * rotation(n * theta), rotation((n - m) * theta)),
        Identity(bar(sp.exp(sp.I * m * theta)) * sp.exp(sp.I * n * theta), sp.exp(sp.I * (n - m) * theta)),
    )


@claim(mutants=[dict(key=lambda t: 2 * t), dict(last="Bn")])
def relative_block(key=lambda t: t, last="Br"):
    r"""$\mathcal R_m = \mathrm{blockdiag}(R(m\theta_i))$ obeys $\mathcal R_m^\top\mathcal R_n = \mathcal R_{n-m}$, for
    every even d.

    One block: relativity, $R^\top R = I$, det = 1, $R(0) = I$, $R(-m\theta) = R(m\theta)^\top$, by trigonometry. All d
    by induction on the blocks: with isometries E, F onto the two summands, the block sum of A and B is $EAE^\top +
    FBF^\top$, and if A and B are relative so is their block sum, whatever their sizes. The frequencies are free, but q
    and k share them.
    """
    E, F, Am, An, Ar, Bm, Bn, Br = letters("E F Am An Ar Bm Bn Br")
    blocks = {"Am": C3, "An": C3**2, "Ar": C3, "Bm": C5, "Bn": C5**3, "Br": C5**2}
    model = {"E": sp.eye(4)[:, :2], "F": sp.eye(4)[:, 2:], **blocks}
    rules = [(Am.T * An, Ar), (Bm.T * Bn, Br), (E.T * E, 1), (F.T * F, 1), (E.T * F, 0)]
    R = rotation(m * theta)
    one = sp.Matrix.vstack(R.T * rotation(n * key(theta)), R.T * R, rotation(0), rotation(-m * theta), R.det() * I2)
    return (
        Identity(one, sp.Matrix.vstack(rotation((n - m) * theta), I2, I2, R.T, I2)),
        Words(
            (E * Am * E.T + F * Bm * F.T).T * (E * An * E.T + F * Bn * F.T),
            E * Ar * E.T + F * letters(last) * F.T,
            rules,
            model=model,
        ),
    )


@claim(mutants=[dict(turn=-1), dict(speed=2), dict(determinant=1)])
def functional_equation_2d(turn=1, speed=1, determinant=-1):
    r"""If $f(q,0) = q$ and $f(q,m)\overline{f(k,n)} = g(q,k,m-n)$ for all q, k, m, n, then $f(q,m) = q e^{im\theta}$.

    Here $q, k \in \mathbb C$, $m, n \in \mathbb Z$, and some complex g is assumed to exist. Put $u_m = f(1, m)$. The
    pairs (m, m) give $f(q,m)\bar u_m = g(q,1,0) = q$ and $|u_m|^2 = 1$, hence $f(q,m) = q u_m$ (the article only
    chooses $|f| = |q|$: it is forced). The pairs (m+1, m) give $u_{m+1}\bar u_m = g(1,1,1) = u_1$, hence $u_{m+1} = u_1
    u_m$ with $u_1 = e^{i\theta}$; induction gives $u_m = e^{im\theta}$ for m ≥ 0, and for m ≤ 0 with −θ. Complex
    numbers are written by their real and imaginary parts. Under the real part only, Re[f f*] = g, reflections are
    solutions too: $O = \mathrm{diag}(1, -1)$ has $(O^m)^\top O^n = O^{n-m}$ and determinant −1.
    """
    f1, f2, u1, u2 = sp.symbols("f1 f2 u1 u2", real=True)
    hypotheses = [Eq(f1 * u1 + f2 * u2, q0), Eq(f2 * u1 - f1 * u2, q1), Eq(u1**2 + u2**2, 1)]
    c, s = sp.Function("c"), sp.Function("s")
    O = sp.diag(1, -1)
    power = sp.diag(1, (-1) ** j).T * sp.diag(1, (-1) ** k)
    return (
        Identity(sp.Matrix([f1, f2]), sp.Matrix([q0 * u1 - turn * q1 * u2, turn * q0 * u2 + q1 * u1]), hypotheses),
        Induction(
            i,
            0,
            {
                c(i + 1): cos(theta) * c(i) - sin(theta) * s(i),
                s(i + 1): sin(theta) * c(i) + cos(theta) * s(i),
            },
            {c(0): 1, s(0): 0},
            [Eq(c(i), cos(speed * i * theta)), Eq(s(i), sin(speed * i * theta))],
        ),
        Identity(sp.diag(power, O.det()), sp.diag(1, (-1) ** (k - j), determinant)),
    )


@claim(mutants=[dict(generator=sp.ImmutableMatrix([[0, 1], [1, 0]]))])
def exp_form(generator=J):
    r"""$\exp(t\theta J) = R(t\theta)$, and $\tfrac{d}{dt}R(t\theta) = \theta J R(t\theta)$ with $R(0) = I$.

    One witness is SymPy's matrix exponential, the other the differential equation with its initial value, whose only
    solution the exponential is (`exp-ode`). $[[0,1],[1,0]]$ would give cosh and sinh.
    """
    R = rotation(t * theta)
    return Witnesses(
        Identity((t * theta * generator).exp(), R),
        Identity(sp.Matrix.vstack(R.diff(t), R.subs(t, 0)), sp.Matrix.vstack(theta * generator * R, I2)),
    )


# How it is computed


def _rotate(size: int, scalar: Any) -> list[Any]:
    """x⊙cos + rotate(x)⊙sin, the sign inside the subtraction."""
    x = [scalar(c + 1) for c in range(size)]
    table = [(scalar(Fraction(3, 5)), scalar(Fraction(4, 5))) for _ in range(size // 2)]
    out = []
    for p, (c, s) in enumerate(table):
        out += [x[2 * p] * c - x[2 * p + 1] * s, x[2 * p + 1] * c + x[2 * p] * s]
    return out


def _dense(size: int, scalar: Any) -> list[Any]:
    matrix = [[scalar(e) for e in row] for row in interleaved_matrix([(Fraction(3, 5), Fraction(4, 5))] * (size // 2))]
    x = [scalar(c + 1) for c in range(size)]
    out = []
    for row in matrix:
        total = row[0] * x[0]
        for e, value in zip(row[1:], x[1:], strict=True):
            total = total + e * value
        out.append(total)
    return out


@claim(mutants=[dict(sign=1, flops=lambda d: 4 * d, dense=lambda d: 2 * d * d)])
def efficient_form(sign=-1, flops=lambda d: 3 * d, dense=lambda d: d * (2 * d - 1)):
    r"""$x\odot\cos + \mathrm{rotate}(x)\odot\sin = \mathcal R_m x$, with 3d operations instead of $d(2d-1)$.

    The identity is one of pairs $(x_{2i}, x_{2i+1}) \mapsto (-x_{2i+1}, x_{2i})$, so two free pairs show it for every
    d. Each pair takes 4 multiplications, 1 addition and 1 subtraction; a dense matrix takes $d^2$ multiplications and
    $d(d-1)$ additions. Counted for d = 2, 4, 8, 64.
    """
    x = sp.Matrix(sp.symbols("x0:4", real=True))
    angles = [m * a for a in sp.symbols("theta0 theta1", real=True)]
    cosines = [cos(a) for a in angles for _ in range(2)]
    sines = [sin(a) for a in angles for _ in range(2)]
    turned = [sign * x[1], x[0], sign * x[3], x[2]]
    fast = sp.Matrix([x[c] * cosines[c] + turned[c] * sines[c] for c in range(4)])
    sizes = (2, 4, 8, 64)
    return (
        Identity(fast, block_rotation(angles) * x),
        Counts(_rotate, sizes, {"flops": flops}),
        Counts(_dense, sizes[:3], {"flops": dense}),
    )


@claim(
    mutants=[
        dict(key=lambda S, W: W),
        dict(order=lambda d: layout_permutation(d, "half", "interleaved")),
    ]
)
def half_split_equivalence(key=lambda S, W: S * W, order=lambda d: layout_permutation(d, "interleaved", "half")):
    r"""The form "rotate half" is $S\mathcal R_m S^\top$ with the permutation S = (0, 2, 4, …, 1, 3, …).

    Scores agree when the rows of both $W_q$ and $W_k$ are permuted by S, for every d, by $S^\top S = I$; permuting
    $W_q$ alone changes them. That S joins the two layouts is compared entry by entry for all even d ≤ 64, with
    different integers in the place of the cosines and sines.
    """
    S, R, Wq, Wk, x, y = letters("S R Wq Wk x y")
    permutation = sp.Matrix(4, 4, lambda a, c: int(layout_permutation(4, "interleaved", "half")[a] == c))
    model = {
        "S": permutation, "R": sp.diag(C3, C5), "Wq": sp.eye(4), "Wk": sp.eye(4), "x": [1, 2, 3, 5], "y": [1, -1, 2, 3],
    }  # fmt: skip

    def matrices(size: int) -> tuple[Any, Any]:
        labels = [(2 * p + 1, 2 * p + 2) for p in range(size // 2)]
        plain, p = interleaved_matrix(labels), order(size)
        return half_matrix(labels), [[plain[a][c] for c in p] for a in p]

    return (
        Words((S * Wq * x).T * (S * R * S.T) * key(S, Wk) * y, (Wq * x).T * R * Wk * y, [(S.T * S, 1)], model=model),
        ForEach(range(2, 65, 2), matrices, over="even d = 2..64"),
    )


# What it keeps


@claim(mutants=[mutant("domain", orthogonal=False), dict(variance=lambda c: 4 * c**2)])
def isometry(orthogonal=True, variance=lambda c: 4):
    r"""$\|\mathcal R_m x\| = \|x\|$ for every d; on isotropic independent q, k the score's variance is the same at
    every distance.

    With $E[qq^\top] = \sigma_q^2 I$ and $E[kk^\top] = \sigma_k^2 I$ one has $E[(q^\top Mk)^2] =
    \sigma_q^2\sigma_k^2\,\mathrm{tr}(MM^\top)$, and each plane of $M = \mathcal R_{n-m}$ contributes
    $\mathrm{tr}(RR^\top) = 2$: the variance is $d\sigma_q^2\sigma_k^2$, with no decay. The same is counted for d = 4
    over all 256 sign vectors q, k, at distances 0..3 of rational rotations. The Gaussian sample is left to numerics/.
    """
    R, v = letters("R v")
    model = {"R": C3 if orthogonal else [[1, 1], [0, 1]], "v": [1, 2]}
    turn = rotation(r * theta)

    def second_moment(distance: int) -> tuple[Any, Any]:
        M = sp.diag(C3**distance, C5**distance)
        rows = [[Fraction(int(e.p), int(e.q)) for e in M.row(a)] for a in range(4)]
        signs = list(product((-1, 1), repeat=4))
        images = [[sum(e * f for e, f in zip(row, key, strict=True)) for row in rows] for key in signs]
        total = sum(sum(p * e for p, e in zip(q, image, strict=True)) ** 2 for q in signs for image in images)
        return total / 256, variance(Fraction(3, 5) ** distance)

    return (
        Words((R * v).T * (R * v), v.T * v, [(R.T * R, 1)] if orthogonal else [], model=model),
        Identity(2 * (turn * turn.T).trace(), variance(cos(r * theta))),
        ForEach(range(4), second_moment, over="distances 0..3, all sign vectors q, k in four dimensions"),
    )


@claim(mutants=[dict(offset=lambda m, n: n - m)])
def complex_inner(offset=lambda m, n: m - n):
    r"""$(\mathcal R_m q)^\top(\mathcal R_n k) = \mathrm{Re}\sum_i h_i e^{i(m-n)\theta_i} = q^\top\mathcal R_{n-m}k$,
    $h_i = q_{[2i:2i+1]}k^*_{[2i:2i+1]}$.

    An identity of one plane, hence of every d: scores are sums over planes. The imaginary part is the cross product of
    the rotated q and k, so both sides are shown complex.
    """
    q, key = sp.Matrix([q0, q1]), sp.Matrix([k0, k1])
    h = (q0 + sp.I * q1) * (k0 - sp.I * k1)
    z = h * sp.exp(sp.I * offset(m, n) * theta)
    at_m, at_n, relative = rotation(m * theta) * q, rotation(n * theta) * key, rotation((n - m) * theta) * key
    absolute = (at_m.T * at_n)[0] + sp.I * (at_m[1] * at_n[0] - at_m[0] * at_n[1])
    return Identity(
        sp.Matrix([absolute, (q.T * relative)[0] + sp.I * (q[1] * relative[0] - q[0] * relative[1])]), sp.Matrix([z, z])
    )


@claim(mutants=[dict(sign=1)])
def sinusoidal_link(sign=-1):
    r"""$p_m^\top p_n = \sum_i\cos((m-n)\theta_i)$ for sinusoidal encodings: the RoPE score of $q = k = (1, 0, 1, 0,
    \dots)$.

    One plane, hence every d.
    """

    def p(position: sp.Expr) -> sp.Matrix:
        return sp.Matrix([sin(position * theta), cos(position * theta)])

    e = sp.Matrix([1, 0])
    score = ((rotation(m * theta) * e).T * rotation(n * theta) * e)[0]
    return Identity(sp.Matrix([(p(m).T * p(n))[0], score]), sp.ones(2, 1) * cos((m + sign * n) * theta))


@claim(mutants=[dict(last=1), dict(ratio=1)])
def length_2_pi_wavelengths(last=Rational(126, 128), ratio=2):
    r"""The wavelengths are $\lambda_i = 2\pi/\theta_i = 2\pi b^{2i/d}$, with the ratio $b^{2/d}$, from $2\pi$ to $2\pi
    b^{(d-2)/d}$.

    For b = 10000, d = 128 the longest is between 54409 and 54411, not the often quoted $2\pi\cdot10^4$.
    """
    c = sp.Symbol("c", real=True)

    def wavelength(index: sp.Expr) -> sp.Expr:
        return 2 * sp.pi * b ** (2 * index / d)

    return (
        Identity(
            sp.Matrix([wavelength(c) * b ** (-2 * c / d), wavelength(c + 1) / wavelength(c), wavelength(0)]),
            sp.Matrix([2 * sp.pi, b ** (ratio / d), 2 * sp.pi]),
            [b > 0, d > 0],
        ),
        Enclosure(2 * sp.pi * sp.Integer(10000) ** last, lower=54409, upper=54411),
    )
