"""What the modules share: symbols, Legendre polynomials, the exact matrices of the measures, and checks of arguments.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import fmpq, fmpq_mat, fmpq_poly
from sympy import I, Rational, pi, sqrt

n, k, j, m = sp.symbols("n k j m", integer=True)
s, t, T, w, x, z = sp.symbols("s t T w x z", real=True)
eps, lam, u = sp.symbols("epsilon lambda u", real=True)

P, D, E = sp.Function("p"), sp.Function("d"), sp.Function("e")

# Bonnet's recurrence at n + 2 defines p_n; its derivatives in t define d_n = p_n' and e_n = p_n''.
BONNET = {P(n + 2): ((2 * n + 3) * t * P(n + 1) - (n + 1) * P(n)) / (n + 2)}
BONNET_1 = {D(n + 2): ((2 * n + 3) * (P(n + 1) + t * D(n + 1)) - (n + 1) * D(n)) / (n + 2)}
BONNET_2 = {E(n + 2): ((2 * n + 3) * (2 * D(n + 1) + t * E(n + 1)) - (n + 1) * E(n)) / (n + 2)}
FIRST = {P(0): 1, P(1): t}
FIRST_1 = {D(0): 0, D(1): 1}
FIRST_2 = {E(0): 0, E(1): 0}

MEASURES = ("legs", "legt", "lmu", "lagt", "glagt", "fout", "foud", "fourier_scale")
NORMS = ("paper", "article", "lmu")


def even(e: Any) -> Any:
    """χ: 1 for an even integer, 0 for an odd one."""
    return (1 + sp.Integer(-1) ** e) / 2


def legendre(count: int) -> list[fmpq_poly]:
    """p_0, …, p_{count−1} by Bonnet's recurrence, with exact coefficients."""
    found = [fmpq_poly([1]), fmpq_poly([0, 1])]
    for i in range(1, count - 1):
        found.append((found[1] * found[i] * (2 * i + 1) - i * found[i - 1]) / (i + 1))
    return found[:count]


def integral(p: fmpq_poly, a: Any = -1, b: Any = 1) -> fmpq:
    """∫ p from a to b."""
    primitive = p.integral()
    return primitive(fmpq(b)) - primitive(fmpq(a))


def fraction(q: Any) -> Fraction:
    q = fmpq(q)
    return Fraction(int(q.p), int(q.q))


def coefficients(p: fmpq_poly) -> list[Fraction]:
    return [fraction(c) for c in p.coeffs()]


def table(matrix: fmpq_mat) -> list[list[Fraction]]:
    return [[fraction(c) for c in row] for row in matrix.tolist()]


def size(value: Any, name: str = "N") -> int:
    """A whole number ≥ 1.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number ≥ 1, got {value!r}")
    return value


def positive(value: Any, name: str) -> sp.Expr:
    """An exact number > 0, or a symbol declared real.

    Raises:
        ValueError: a float, a number ≤ 0, something infinite or complex.
    """
    if isinstance(value, Fraction):
        value = Rational(value.numerator, value.denominator)
    if isinstance(value, bool) or not isinstance(value, (int, sp.Expr)):
        raise ValueError(f"{name} must be exact (int, Fraction or a SymPy expression), got {value!r}")
    found = sp.sympify(value)
    if found.has(sp.Float, sp.nan, sp.oo, sp.zoo) or found.is_real is not True or found.is_nonpositive:
        raise ValueError(f"{name} must be exact, finite and > 0, got {value!r}")
    return found


def transition(
    measure: str, N: int, *, norm: str = "paper", window: Any = 1, alpha: Any = 0, beta: Any = 1
) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
    r"""The exact matrices A (N×N) and B (N×1) of a measure: $x' = Ax + Bu$, or $x' = (Ax + Bu)/t$ for the scaled
    ones.

    Args:
        measure: "legs" (whole history, scaled Legendre), "legt" (window, Legendre), "lmu" (the same in the reversed
            time basis), "lagt" and "glagt" (exponential window, Laguerre), "fout" (window, Fourier, with the consistent
            closure), "foud" (the article's closure), "fourier_scale" (whole history, Fourier). The Fourier measures use
            the real basis 1, √2 cos 2πs, √2 sin 2πs, √2 cos 4πs, …, so N is odd.
        norm: for the Legendre measures. "paper": orthonormal for the probability measure; "article": for the length
            on [−1, 1]; "lmu": the coefficients of p_n itself, free of roots.
        window: w > 0, the length of the window.
        alpha, beta: of "glagt": the state holds $\int u(T-\tau)e^{-(1+\beta)\tau/2}L_n^{(\alpha)}(\tau)\,d\tau$.

    Raises:
        ValueError: an unknown measure or norm, N < 1, an even N for a Fourier measure, window ≤ 0, alpha ≤ −1,
            beta ≤ −1.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {measure!r}")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    size(N)
    window = positive(window, "window")
    if measure in ("fout", "foud", "fourier_scale"):
        return _real_fourier(measure, N, window)
    if measure in ("lagt", "glagt"):
        alpha, beta = (positive(sp.sympify(v) + 1, f"{name} + 1") - 1 for v, name in ((alpha, "alpha"), (beta, "beta")))
        if measure == "lagt":
            alpha, beta = sp.S.Zero, sp.S.One
        A = sp.Matrix(N, N, lambda r, c: -(1 + beta) / 2 if r == c else -1 if c < r else 0)
        B = [sp.prod([(alpha + i) / i for i in range(1, r + 1)]) for r in range(N)]
        return A.as_immutable(), sp.Matrix(B).as_immutable()
    entry = {"legs": _legs, "legt": _legt, "lmu": _lmu}[measure]
    scale = 1 if measure == "legs" else 1 / window

    def pair(r: int, c: int) -> sp.Expr:
        return sp.Integer(2 * r + 1) if norm == "lmu" else sqrt((2 * r + 1) * (2 * c + 1))

    A = sp.Matrix(N, N, lambda r, c: scale * entry(r, c, pair))
    unit = [{"paper": sqrt(2 * r + 1), "article": sqrt(2 * (2 * r + 1)), "lmu": sp.Integer(2 * r + 1)}[norm]
            for r in range(N)]  # fmt: skip
    B = [scale * b * ((-1) ** r if measure == "lmu" else 1) for r, b in enumerate(unit)]
    return A.as_immutable(), sp.Matrix(B).as_immutable()


def _legs(r: int, c: int, pair: Any) -> sp.Expr:
    return -pair(r, c) if c < r else sp.Integer(-(r + 1) if c == r else 0)


def _legt(r: int, c: int, pair: Any) -> sp.Expr:
    return -pair(r, c) * (1 if c < r else (-1) ** (r - c))


def _lmu(r: int, c: int, pair: Any) -> sp.Expr:
    """Voelker's form: −1 above the diagonal, (−1)^{i−j+1} on and below it."""
    return pair(r, c) * (-1 if r < c else (-1) ** (r - c + 1))


def window_modes(M: int, window: Any = 1, gain: Any = 2) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
    """Window and Fourier modes n = −M, …, M: A = diag(2πi n/w) − (gain/w) 11ᵀ, B = gain/w. The article has gain 1."""
    window = positive(window, "window")
    modes = range(-M, M + 1)
    A = [[(2 * pi * I * a if a == b else 0) / window - sp.sympify(gain) / window for b in modes] for a in modes]
    return sp.ImmutableMatrix(A), sp.ImmutableMatrix([sp.sympify(gain) / window] * len(A))


def scale_modes(M: int) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
    """Whole history and Fourier modes: A_nk = −n/(n−k), iπn − 1 on the diagonal, B = 1."""
    modes = range(-M, M + 1)
    A = [[I * pi * a - 1 if a == b else Rational(-a, a - b) for b in modes] for a in modes]
    return sp.ImmutableMatrix(A), sp.ImmutableMatrix([1] * len(A))


def real_basis(M: int) -> sp.ImmutableMatrix:
    """The unitary map from the modes c_{−M}, …, c_M to the coefficients of 1, √2 cos 2πs, √2 sin 2πs, …."""
    rows = [[1 if a == 0 else 0 for a in range(-M, M + 1)]]
    for f in range(1, M + 1):
        rows.append([1 / sqrt(2) if abs(a) == f else 0 for a in range(-M, M + 1)])
        rows.append([I * (1 if a == f else -1) / sqrt(2) if abs(a) == f else 0 for a in range(-M, M + 1)])
    return sp.ImmutableMatrix(rows)


def _real_fourier(measure: str, N: int, window: sp.Expr) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
    if N % 2 == 0:
        raise ValueError(f"N must be odd for {measure} (the constant, and pairs of cosine and sine), got {N}")
    M = N // 2
    if measure == "fourier_scale":
        A, B = scale_modes(M)
    else:
        A, B = window_modes(M, window, 2 if measure == "fout" else 1)
    U = real_basis(M)
    A, B = (U * A * U.H).applyfunc(sp.expand), (U * B).applyfunc(sp.expand)
    return sp.ImmutableMatrix(A), sp.ImmutableMatrix(B)


def root_free(measure: str, N: int) -> tuple[fmpq_mat, fmpq_mat]:
    """`transition` in the norm "lmu" with window 1, as rational matrices."""
    return tuple(fmpq_mat([[int(e) for e in row] for row in part.tolist()])
                 for part in transition(measure, N, norm="lmu"))  # type: ignore[return-value]  # fmt: skip


def legs_eigenvectors(N: int, signed: bool = True) -> fmpq_mat:
    """(2n+1)(−1)^{n+j} C(n, j) C(n+j, j): column j is the eigenvector of LegS for −(j+1), in the norm "lmu"."""
    def entry(a: int, b: int) -> int:
        sign = -1 if signed and (a + b) % 2 else 1
        return sign * (2 * a + 1) * math.comb(a, b) * math.comb(a + b, b)

    return fmpq_mat([[entry(a, b) for b in range(N)] for a in range(N)])


def legs_eigenvectors_inverse(N: int) -> fmpq_mat:
    """(j!)²/((j−n)! (j+n+1)!) for j ≥ n, in row j and column n."""
    def entry(b: int, a: int) -> fmpq:
        if a > b:
            return fmpq(0)
        return fmpq(math.factorial(b) ** 2, math.factorial(b - a) * math.factorial(a + b + 1))

    return fmpq_mat([[entry(b, a) for a in range(N)] for b in range(N)])


def legs_propagator(N: int, ratio: Any) -> sp.ImmutableMatrix:
    r"""$\rho^{-A}$ for LegS in the norm "lmu", ρ = t0/t1: what the state at t0 has become at t1 if u = 0 between.

    Args:
        ratio: ρ with 0 < ρ ≤ 1, exact.

    Raises:
        ValueError: N < 1, or ρ is not exact or outside of (0, 1].
    """
    size(N)
    rho = positive(ratio, "ratio")
    if not rho.is_Rational or rho > 1:
        raise ValueError(f"ratio must be a rational number in (0, 1], got {ratio!r}")
    found = table(propagator(N, fmpq(int(rho.p), int(rho.q))))
    return sp.ImmutableMatrix([[Rational(e.numerator, e.denominator) for e in row] for row in found])


def propagator(N: int, rho: fmpq) -> fmpq_mat:
    powers = fmpq_mat([[rho ** (a + 1) if a == b else 0 for b in range(N)] for a in range(N)])
    return legs_eigenvectors(N) * powers * legs_eigenvectors_inverse(N)
