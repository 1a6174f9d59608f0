r"""S4 and its successors: kernels, inversion identities, scans, ring initialisation, costs. Article part 3."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat
from sympy import Eq, I, Ne, Rational, conjugate, pi, sqrt

from kexue import (
    Counts,
    Exists,
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

from .common import k, t, table

a, b, h, z = sp.symbols("a b h z", real=True)
PRIME, GENERATOR = 12289, 11  # 12289 = 3·2¹² + 1: it has roots of unity of every order 2^e ≤ 4096


def dft(values: Sequence[int], size: int) -> list[int]:
    """The discrete Fourier transform of `values`, padded with zeros to `size`, over the integers mod 12289."""
    root = pow(GENERATOR, (PRIME - 1) // size, PRIME)
    return [sum(e * pow(root, i * j, PRIME) for j, e in enumerate(values)) % PRIME for i in range(size)]


def inverse_dft(values: Sequence[int]) -> list[int]:
    size = len(values)
    turned = dft(values, size)
    return [turned[-i % size] * pow(size, -1, PRIME) % PRIME for i in range(size)]


def fft(values: list[Any], twiddle: Callable[[int, int], Any]) -> list[Any]:
    """Radix-2 transform for a power of two; twiddle(j, size) is the j-th power of a primitive root of unity."""
    size = len(values)
    if size == 1:
        return values
    evens, odds = fft(values[::2], twiddle), fft(values[1::2], twiddle)
    turned = [twiddle(i, size) * e for i, e in enumerate(odds)]
    pairs = list(zip(evens, turned, strict=True))
    return [p + q for p, q in pairs] + [p - q for p, q in pairs]


def exclusive_scan(items: Sequence[Any], combine: Callable[[Any, Any], Any], identity: Any) -> tuple[list[Any], Any]:
    """Blelloch's work-efficient scan: all prefixes before each item, and the whole, with 2(L − 1) combinations.

    The up-sweep combines pairs; the down-sweep hands each node the prefix before it.

    Raises:
        ValueError: the number of items isn't a power of two.
    """
    count = len(items)
    if count < 1 or count & (count - 1):
        raise ValueError(f"items must be a power of two in number, got {count}")
    levels = [list(items)]
    while len(levels[-1]) > 1:
        last = levels[-1]
        levels.append([combine(last[i], last[i + 1]) for i in range(0, len(last), 2)])
    before = [identity]
    for level in reversed(levels[:-1]):
        before = [e for i, p in enumerate(before) for e in (p, combine(p, level[2 * i]))]
    return before, levels[-1][0]


@claim(mutants=[dict(output=lambda C, P, X: P * C), dict(moved=lambda R, P, X: X * R * P)])
def similarity_invariance(output=lambda C, P, X: X.T * C, moved=lambda R, P, X: P * R * X):
    r"""$(A, B, C) \to (PAP^{-1}, PB, P^{-*}C)$ leaves $C^*(zI-A)^{-1}B$, hence all outputs, unchanged, for every
    size.

    $PRP^{-1}$ is the resolvent of $PAP^{-1}$ when R is that of A; transposes stand for adjoints.
    """
    A, B, C, P, X, R = letters("A B C P X R")
    A_, P_ = sp.Matrix([[1, 2], [0, -1]]), sp.Matrix([[1, 1], [0, 2]])
    resolvent = {"A": A_, "R": (3 * sp.eye(2) - A_).inv(), "P": P_, "X": P_.inv(), z: 3}
    rules = [(P * X, 1), (X * P, 1), (A * R, z * R - 1), (R * A, z * R - 1)]
    vectors = {**resolvent, "B": [1, 2], "C": [3, 5]}
    return (
        Words((z - P * A * X) * moved(R, P, X), 1, rules, model=resolvent),
        Words(output(C, P, X).T * P * R * X * (P * B), C.T * R * B, rules, model=vectors),
    )


@claim(mutants=[mutant("domain", sign=1), dict(outside=-1, radius=15)])
def woodbury(sign=-1, outside=1, radius=14):
    r"""$(M-UV^*)^{-1} = M^{-1} + M^{-1}U(I-V^*M^{-1}U)^{-1}V^*M^{-1}$ whenever M and $I-V^*M^{-1}U$ are invertible,
    for all sizes.

    The article derives it by a Neumann series, which needs spectral radius < 1; multiplying out does not. In the
    model U, V are 2×1 and $V^*M^{-1}U = 29/2$. (The article prints (UV)^k for (UV*)^k.)
    """
    M, X, U, V, K = letters("M X U V K")
    M_, U_, V_ = sp.Matrix([[2, 0], [0, 1]]), sp.Matrix([3, 5]), sp.Matrix([3, 2])
    size = (V_.T * M_.inv() * U_)[0]
    model = {"M": M_, "X": M_.inv(), "U": U_, "V": V_, "K": [[1 / (1 + sign * size)]]}
    # K = (1 + sign·V*XU)⁻¹
    rules = [(M * X, 1), (X * M, 1), (V.T * X * U * K, sign * (1 - K)), (K * V.T * X * U, sign * (1 - K))]
    inverse = X + outside * X * U * K * V.T * X
    return Words((M - U * V.T) * inverse, 1, rules, model=model), Exists(z > radius, {z: size})


@claim(mutants=[dict(factor=lambda h: h), dict(minus=-1)])
def dplr_bilinear_inverse(factor=lambda h: 1 / h, minus=1):
    r"""For $A = \Lambda-uv^*$, $D = \frac2\epsilon I-\Lambda$: $I-\frac\epsilon2A = \frac\epsilon2(D+uv^*)$ has the
    inverse $\frac2\epsilon[D^{-1}-D^{-1}u(1+v^*D^{-1}u)^{-1}v^*D^{-1}]$.

    For every size; h = ε/2. So $\bar A = (I-\frac\epsilon2A)^{-1}(I+\frac\epsilon2A)$ is a product of two matrices
    diagonal + rank 1: $I+\frac\epsilon2A = \frac\epsilon2(\frac2\epsilon I+\Lambda-uv^*)$, and a step costs O(N).
    """
    L, X, u, v, K = letters("L X u v K")
    L_, u_, v_ = sp.diag(-1, -3), sp.Matrix([1, 2]), sp.Matrix([2, 1])
    D_ = 2 * sp.eye(2) - L_
    model = {"L": L_, "X": D_.inv(), "u": u_, "v": v_, "K": [[1 / (1 + (v_.T * D_.inv() * u_)[0])]], h: Rational(1, 2)}
    A = L - u * v.T
    rules = [(L * X, X * (1 / h) - 1), (X * L, X * (1 / h) - 1), (v.T * X * u * K, 1 - K), (K * v.T * X * u, 1 - K)]
    inverse = factor(h) * (X - minus * X * u * K * v.T * X)
    return Words((1 - h * A) * inverse, 1, rules, model=model, given=[h > 0])


@claim(mutants=[dict(numerator=1), dict(limit=1), dict(length=1), dict(cauchy=-1)])
def s4_kernel(numerator=2, limit=2, length=0, cauchy=1):
    r"""$\sum_{k<L}C^*\bar A^k\bar Bz^k = \frac2{1+z}\tilde C^*[\frac2\epsilon\frac{1-z}{1+z}-A]^{-1}B$ at $z^L = 1$,
    $\tilde C^* = C^*(I-\bar A^L)$; at z = −1 it is $\frac\epsilon2\tilde C^*B$.

    For all sizes and lengths, bilinear $\bar A = R(I+hA)$, $\bar B = 2hRB$, $R = (I-hA)^{-1}$, h = ε/2: with $P_L =
    \sum_{k<L}X^k$, X = z$\bar A$, $P_L(I-X) = I-X^L$ by its step in L. For the resolvent $M = [g-A]^{-1}$, $g =
    \frac1h\frac{1-z}{1+z}$, $[(I-hA)-z(I+hA)]\frac2{1+z}MB = 2hB$, which is $(I-z\bar A)\frac2{1+z}MB = \bar B$ times
    I − hA. And $(I+\bar A)hB = \bar B$. For $A = \Lambda-pq^*$ it is $k_{00}-k_{01}(1+k_{11})^{-1}k_{10}$ of four
    Cauchy dot products (`woodbury`). The whole algorithm, with its inverse DFT, equals the powers of $\bar A$ exactly
    for complex $\Lambda, p, q, B, C$, N = 3, L = 4.
    """
    A, R, M, B = letters("A R M B")
    X, P, Q = letters("X P Q")
    g = (1 - z) / (1 + z) / h
    A_, X_ = sp.Matrix([[-1, 0], [2, -3]]), sp.Matrix([[1, 1], [0, 2]])
    values = {h: Rational(1, 2), z: Rational(1, 3)}
    resolvent = {"A": A_, "M": (g.subs(values) * sp.eye(2) - A_).inv(), "B": [1, 2], **values}
    bilinear = {"A": A_, "R": (sp.eye(2) - A_ / 2).inv(), "B": [1, 2], h: values[h]}
    return Witnesses(
        (
            Words((P + Q) * (1 - X), 1 - Q * X - length * Q, [(P * X, P - 1 + Q)],
                  model={"X": X_, "P": sp.eye(2) + X_, "Q": X_**2}),
            Words(((1 - h * A) - z * (1 + h * A)) * (numerator / (1 + z)) * M * B, 2 * h * B, [(A * M, g * M - 1)],
                  model=resolvent, given=[h > 0, z > -1, z < 1]),
            Words((1 + R * (1 + h * A)) * h * B, limit * h * R * B, [(R * A, (1 / h) * (R - 1))],
                  model=bilinear, given=[h > 0]),
        ),
        ForEach(
            [4], lambda L: _kernel_both_ways(L, numerator, cauchy), over="N = 3, L = 4, complex rational parameters"
        ),
    )  # fmt: skip


def number(re: Any, im: Any = 0) -> fmpq_mat:
    """A complex rational a + ib as the matrix [[a, −b], [b, a]]; its conjugate is the transpose."""
    x, y = Fraction(re), Fraction(im)
    p, q = fmpq(x.numerator, x.denominator), fmpq(y.numerator, y.denominator)
    return fmpq_mat([[p, -q], [q, p]])


def _blocks(rows: Sequence[Sequence[fmpq_mat]]) -> fmpq_mat:
    """A complex matrix as a rational one of twice the size."""
    return fmpq_mat([[e[p, q] for e in row for q in range(2)] for row in rows for p in range(2)])


def _kernel_both_ways(L: int, numerator: int, cauchy: int) -> tuple[Any, Any]:
    """The kernel by four Cauchy dot products and an inverse DFT over the 4th roots of unity, and by powers of Ā."""
    lam = [number(Fraction(-1, 2), 1), number(Fraction(-1, 3), -2), number(-1, Fraction(1, 2))]
    p = [number(1, 1), number(Fraction(1, 2), -1), number(0, 1)]
    q = [number(Fraction(2, 3)), number(1, Fraction(-1, 2)), number(-1, 1)]
    B, C = [number(1), number(2, -1), number(1, 1)], [number(0, 1), number(Fraction(1, 2)), number(2)]
    zero, one, half = number(0), number(1), number(Fraction(1, 4))  # h = ε/2 with ε = 1/2
    q_star, C_star = [e.transpose() for e in q], [e.transpose() for e in C]
    A = _blocks([[(lam[i] if i == j else zero) - p[i] * q_star[j] for j in range(3)] for i in range(3)])
    unit = _blocks([[one if i == j else zero for j in range(3)] for i in range(3)])
    row, column = _blocks([C_star]), _blocks([[e] for e in B])
    R = (unit - fmpq(1, 4) * A).inv()
    bar, state, direct = R * (unit + fmpq(1, 4) * A), fmpq(1, 2) * R * column, []
    for _ in range(L):
        direct.append(row * state)
        state = bar * state
    tail = row * (unit - bar * bar * bar * bar)
    C_tilde = [fmpq_mat([[tail[i, 2 * j + k_] for k_ in range(2)] for i in range(2)]) for j in range(3)]

    def dot(left: list[fmpq_mat], right: list[fmpq_mat], g: fmpq_mat) -> fmpq_mat:
        return sum((x * y * (g - e).inv() for x, y, e in zip(left, right, lam, strict=True)), zero)

    roots = [one, number(0, -1), number(-1), number(0, 1)]
    transform = []
    for root in roots:
        if root == number(-1):
            transform.append(half * sum((x * y for x, y in zip(C_tilde, B, strict=True)), zero))
            continue
        scale = (one + root).inv()
        g = half.inv() * (one - root) * scale
        k00, k01, k10, k11 = (dot(x, y, g) for x, y in ((C_tilde, B), (C_tilde, p), (q_star, B), (q_star, p)))
        transform.append(fmpq(numerator) * scale * (k00 - fmpq(cauchy) * k01 * (one + k11).inv() * k10))
    kernel = []
    for i in range(L):
        powers = [math.prod([root.transpose()] * i, start=one) for root in roots]
        kernel.append(fmpq(1, L) * sum((e * w for e, w in zip(transform, powers, strict=True)), zero))
    return [table(e) for e in kernel], [table(e) for e in direct]


def _system() -> tuple[list[list[int]], list[int], list[int]]:
    """Small integers whose powers stay small: Ā has order 6."""
    return [[0, 1], [-1, 1]], [1, 2], [2, -1]


def _recurrence(inputs: Sequence[int]) -> list[int]:
    A, B, C = _system()
    state, outputs = [0, 0], []
    for e in inputs:
        state = [A[i][0] * state[0] + A[i][1] * state[1] + B[i] * e for i in range(2)]
        outputs.append(C[0] * state[0] + C[1] * state[1])
    return outputs


def _inputs(L: int) -> list[int]:
    return [(3 * i * i + i + 2) % 7 for i in range(L)]


@erratum(
    printed=dict(index=lambda L, k: L - k),
    mutants=[dict(padded=lambda L: L), dict(lag=lambda i, j: i + j)],
)
def conv_recurrence_fft(index=lambda L, k: L - 1 - k, padded=lambda L: 2 * L, lag=lambda i, j: i - j):
    r"""Unrolled from x_0 = 0, $y_L = \sum_{k<L}C^*\bar A^k\bar Bu_{L-1-k}$ (printed: $u_{L-k}$); it is the
    convolution with $K_k = C^*\bar A^k\bar B$, by FFT with zeros to 2L.

    Recurrence, convolution sum and transform agree for L = 1, 2, 4, …, 32 and an integer system with N = 2; the
    transforms are exact, over the integers mod 12289. Without padding the convolution is circular and differs. The
    recurrence $x_{k+1} = \bar Ax_k+\bar Bu_k$, $y_{k+1} = C^*x_{k+1}$. (The article also writes y_2 with Āx_0 for
    Āx_1, and drops two bars.)
    """

    def unrolled(L: int) -> tuple[Any, Any]:
        u, kernel = [*_inputs(L), 5], _recurrence([1] + [0] * L)
        return sum(kernel[k] * u[index(L, k)] for k in range(L)), _recurrence(u[:L])[-1]

    def three_ways(L: int) -> tuple[Any, Any]:
        u, kernel = _inputs(L), _recurrence([1] + [0] * (L - 1))
        size = padded(L)
        product = [x * y % PRIME for x, y in zip(dft(kernel, size), dft(u, size), strict=True)]
        by_fft = inverse_dft(product)[:L]
        sums = [sum(kernel[lag(i, j) % L] * u[j] for j in range(i + 1)) for i in range(L)]
        exact = _recurrence(u)
        return (by_fft, sums), ([e % PRIME for e in exact], exact)

    lengths = (1, 2, 4, 8, 16, 32)
    return (
        ForEach(range(1, 33), unrolled, over="L = 1..32"),
        ForEach(lengths, three_ways, over="L = 1, 2, 4, …, 32"),
    )


@claim(mutants=[dict(pair=1), dict(hold=lambda e, lam: e)])
def diag_vandermonde(pair=2, hold=lambda e, lam: (e - 1) / lam):
    r"""S4D: $K_k = 2\,\mathrm{Re}(\tilde C\tilde B\bar\lambda^k)$ per conjugate pair, $\bar\lambda =
    e^{\Delta\lambda}$, $\tilde B = B\frac{e^{\Delta\lambda}-1}\lambda$, equals the real system's zero-order hold.

    For every k, Δ > 0 and λ = a + ib ≠ 0: the real block $A = \begin{pmatrix}a&-b\\b&a\end{pmatrix}$ has $e^{\tau A}
    = e^{a\tau}R(b\tau)$, and $z = x_1+ix_2$ obeys z' = λz + (B₁+iB₂)u, with $\tilde C = (C_1-iC_2)/2$. A diagonal
    system is a sum of such pairs.
    """
    B1, B2, C1, C2, step = sp.symbols("B1 B2 C1 C2 Delta", real=True)
    lam = a + I * b

    def flow(time: sp.Expr) -> sp.Matrix:
        c, s_ = sp.cos(b * time), sp.sin(b * time)
        return sp.exp(a * time) * sp.Matrix([[c, -s_], [s_, c]])

    A = sp.Matrix([[a, -b], [b, a]])
    inverse = sp.Matrix([[a, b], [-b, a]]) / (a**2 + b**2)
    dense = (sp.Matrix([[C1, C2]]) * flow(k * step) * inverse * (flow(step) - sp.eye(2)) * sp.Matrix([B1, B2]))[0]
    C_tilde, B_tilde = (C1 - I * C2) / 2, (B1 + I * B2) * hold(sp.exp(step * lam), lam)
    value = C_tilde * B_tilde * sp.exp(k * step * lam)
    bar = (C1 + I * C2) / 2 * (B1 - I * B2) * hold(sp.exp(step * conjugate(lam)), conjugate(lam))
    bar = bar * sp.exp(k * step * conjugate(lam))
    given = [Ne(a**2 + b**2, 0), step > 0]
    return (
        Identity(flow(t).diff(t), A * flow(t) * (pair / sp.Integer(2))),
        Identity(dense, pair * (value + bar) / 2, given),
    )


def _combine(first: Any, second: Any) -> Any:
    return second[0] * first[0], second[0] * first[1] + second[1]


@claim(
    mutants=[
        mutant("symbols", rule=lambda p, q: (p[0] * q[0], p[0] * q[1] + p[1])),
        dict(rule=lambda p, q: (q[0] * p[0], q[0] * p[1] + q[0] * q[1])),
    ]
)
def scan_associative(rule=_combine):
    r"""$(a_1,b_1)\bullet(a_2,b_2) = (a_2a_1, a_2b_1+b_2)$ is associative with identity (1, 0); Blelloch's scan gives
    the states of $x_k = a_kx_{k-1}+b_k$.

    Associativity for matrices a and vectors b of all sizes. The scan against the loop for L = 1, 2, …, 64 (powers of
    two) and integer 2×2 matrices.
    """
    a1, a2, a3, b1, b2, b3 = letters("a1 a2 a3 b1 b2 b3")
    model = {"a1": [[1, 2], [0, 1]], "a2": [[0, 1], [-1, 3]], "a3": [[2, 1], [1, 1]],
             "b1": [[1, 0], [2, 1]], "b2": [[0, 1], [1, 1]], "b3": [[3, 1], [0, 2]]}  # fmt: skip
    one, two, three = (a1, b1), (a2, b2), (a3, b3)
    left, right = rule(rule(one, two), three), rule(one, rule(two, three))
    composed = rule(one, two)

    def scan(L: int) -> tuple[Any, Any]:
        items = [(sp.Matrix([[i % 3 - 1, 1], [1, i % 2]]), sp.Matrix([i % 5, 1])) for i in range(L)]
        before, whole = exclusive_scan(items, rule, (sp.eye(2), sp.zeros(2, 1)))
        state, states = sp.zeros(2, 1), []
        for matrix, vector in items:
            states.append(state)
            state = matrix * state + vector
        return ([e[1] for e in before], whole[1]), (states, state)

    x = letters("x")
    small = {key: model[key] for key in ("a1", "a2", "b1", "b2")} | {"x": [[1, 2], [3, 4]]}
    return (
        Words(left[1], right[1], model=model),
        Words(composed[0] * x + composed[1], a2 * (a1 * x + b1) + b2, model=small),
        ForEach([2**e for e in range(7)], scan, over="L = 1, 2, 4, …, 64"),
    )


@claim(mutants=[dict(gamma2=lambda r2: (1 - sqrt(r2)) ** 2), dict(inner=1), dict(start=2)])
def lru_ring(gamma2=lambda r2: 1 - r2, inner=Rational(1, 2), start=1):
    r"""LRU: ν = log(−½log(u(r_max²−r_min²)+r_min²)), |λ| = exp(−exp ν) makes |λ|² uniform on [r_min², r_max²] for
    uniform u; $\gamma = \sqrt{1-|\lambda|^2}$ gives $E|x_\infty|^2 = E|Bu|^2$.

    |λ|² is the affine map of u exactly, for 0 < r_min < r_max < 1. For white inputs of variance q the state's
    variance obeys $v_{k+1} = |\lambda|^2v_k+\gamma^2q$, so $v_k = (1-|\lambda|^{2k})q$ from v_0 = 0: → q as |λ| < 1.
    """
    low, high, q, r2 = sp.symbols("rmin rmax q r2", real=True)
    V = sp.Function("v")
    u = sp.Symbol("u", real=True)
    place = u * (high**2 - low**2) + low**2
    nu = sp.log(-inner * sp.log(place))
    modulus = sp.exp(-sp.exp(nu, evaluate=False), evaluate=False)
    given = [low > 0, low < high, high < 1, u >= 0, u <= 1]
    return (
        Identity(modulus**2, place, given),
        Identity(sp.Matrix([place.subs(u, 0), place.subs(u, start)]), sp.Matrix([low**2, high**2]), given[:3]),
        Induction(
            k, 0, {V(k + 1): r2 * V(k) + (1 - r2) * q}, {V(0): 0},
            [Eq(V(k), (1 - r2**k) * q), Eq(V(k + 1), r2 * V(k) + gamma2(r2) * q)], [r2 > 0, r2 < 1],
        ),
        ForAll(Eq(r2 * q + gamma2(r2) * q, q), [r2 > 0, r2 < 1]),
    )  # fmt: skip


@claim(
    mutants=[
        dict(combines=lambda L: L - 1),
        dict(transforms=2),
        dict(mac=lambda L: L),
        dict(turn=-1),
    ]
)
def fft_vs_scan_cost(combines=lambda L: 2 * (L - 1), transforms=3, mac=lambda L: 8 * L, turn=1):
    r"""Per channel and L = 2^e: FFT convolution takes 3 transforms of length 2L, $3L\log_22L+2L$ multiplications; a
    scan 2(L−1) combinations; a recurrence LN multiply-adds.

    Counted by instrumented scalars. Radix 2, complex arithmetic: $L\log_22L$ multiplications and $2L\log_22L$
    additions and subtractions a transform (a transform of real numbers needs half), 2L products in between; the same
    code is compared with the definition mod 12289. A combination of (a, b) pairs is 2 multiplications and 1 addition
    (a scalar state), and the scan is Blelloch's. The recurrence x ← λx + b_k, of N = 8 states here, counts LN of
    each. A LegS step costs 3N multiplications by `legs-linear-time-matvec`, N² as a dense product.
    """

    def convolution(L: int, scalar: Any) -> None:
        def twiddle(i: int, size: int) -> Any:
            return scalar(Fraction(i + 1, size + 1))

        values = [[scalar(i + 1) for i in range(2 * L)] for _ in range(2)]
        left, right = (fft(e, twiddle) for e in values)
        product = [x * y for x, y in zip(left, right, strict=True)]
        fft(product, twiddle)

    def scan(L: int, scalar: Any) -> None:
        items = [(scalar(i + 2), scalar(i + 1)) for i in range(L)]
        exclusive_scan(items, _combine, (scalar(1), scalar(0)))

    def recurrence(L: int, scalar: Any) -> None:
        state, decay = [scalar(0)] * 8, [scalar(Fraction(1, i + 2)) for i in range(8)]
        for i in range(L):
            state = [d * x + scalar(i) for d, x in zip(decay, state, strict=True)]

    def correct(size: int) -> tuple[Any, Any]:
        root = pow(GENERATOR, (PRIME - 1) // size, PRIME)
        values = _inputs(size)
        found = fft(list(values), lambda i, part: pow(root, turn * i * (size // part), PRIME))
        return [e % PRIME for e in found], dft(values, size)

    def log(L: int) -> int:
        return (2 * L).bit_length() - 1

    lengths = (2, 4, 8, 16, 64)
    return (
        Counts(convolution, lengths, {
            "mul": lambda L: transforms * L * log(L) + 2 * L,
            "add": lambda L: transforms * L * log(L), "sub": lambda L: transforms * L * log(L),
        }),
        Counts(scan, lengths, {"mul": lambda L: 2 * combines(L), "add": combines}),
        Counts(recurrence, lengths, {"mul": mac, "add": mac}),
        ForEach((4, 8, 16), correct, over="sizes 4, 8, 16"),
    )  # fmt: skip


@claim(mutants=[dict(size=lambda L: L), dict(sign=1), dict(half=1)])
def half_period_dft(size=lambda L: 2 * L, sign=-1, half=2):
    r"""$\sum_{k<L}a_ke^{-i\pi kl/L}$, l < 2L, is the DFT of length 2L of a padded with zeros; there $z^L = (-1)^l$,
    so $C(I-z^L\bar A^L)$ is not one vector.

    The nodes for all l, L ≥ 1. Hence a kernel made with one $\tilde C$ must be formed at the L nodes with $z^L = 1$
    first. The first L entries of the inverse transform are a, the others 0: L = 1, 2, …, 16 (powers of two), mod
    12289. The two vectors C(I ∓ Ā^L) differ for every invertible Ā and C ≠ 0: their difference is 2C·Ā^L.
    """
    l_, L_ = sp.symbols("l L", integer=True)
    node = sp.exp(-I * pi * l_ / L_)
    C, Q = letters("C Q")

    def padded(L: int) -> tuple[Any, Any]:
        values = _inputs(L)
        n_ = 2 * L
        root = pow(GENERATOR, (PRIME - 1) // n_, PRIME)
        sums = [sum(e * pow(root, i * l, PRIME) for i, e in enumerate(values)) % PRIME for l in range(n_)]
        return (sums, inverse_dft(sums)), (dft(values, size(L)), values + [0] * L)

    return (
        Identity(sp.exp(-I * pi * k * l_ / L_), sp.exp(-half * I * pi * k * l_ / (2 * L_)), [L_ >= 1]),
        Identity(node**L_, sign**l_, [L_ >= 1]),
        Words(C * (1 + Q) - C * (1 - Q), half * C * Q, model={"C": [[1, 2]], "Q": [[1, 1], [0, 2]]}),
        ForEach([2**e for e in range(5)], padded, over="L = 1, 2, 4, 8, 16"),
    )
