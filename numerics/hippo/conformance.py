r"""The torch code of HiPPO and the state space layers against the exact objects.

Su Jianlin, 《重温SSM》 1–3, archives 10114, 10137, 10162. Inputs are dyadic, so that both sides see the same numbers.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
import torch
from sympy import I, Rational, re, sqrt

from kexue import Conforms, Costs, claim
from kexue.derivations.hippo import legs_matvec as exact_matvec
from kexue.derivations.hippo import legs_propagator as exact_propagator
from kexue.derivations.hippo import legs_solve as exact_solve
from kexue.derivations.hippo import transition
from kexue.models.hippo import (
    S5,
    StateSpaceConfig,
    StateSpaceModel,
    discretize,
    dplr_kernel,
    fft_convolution,
    hippo_transition,
    legs_matvec,
    legs_propagator,
    legs_solve,
    linear_scan,
    ring_squares,
    s4d_kernel,
)
from kexue.models.hippo import nplr as normal_plus_low_rank
from kexue.models.hippo.kernels import dplr_dense
from kexue.statements.conforms import tensor

SIZES = (1, 2, 3, 8)


def _system(measure: str, **options: Any) -> Any:
    """Both matrices, each stacked as N rows of A and B."""

    def compute(N: int) -> Any:
        A, B = hippo_transition(measure, N, **options)
        return torch.cat((A, B[:, None]), dim=1)

    return compute


def _exact(measure: str, **options: Any) -> Any:
    def exact(N: int) -> Any:
        A, B = transition(measure, N, **options)
        return A.row_join(B)

    return exact


@claim(mutants=[dict(measure="legt"), dict(norm="article")], needs=("torch",))
def legs_matrix(measure="legs", norm="paper"):
    r"""`hippo_transition("legs", N)` is the exact matrix: observed in float64 for N = 1, 2, 3, 8, each entry for
    itself.
    """
    return Conforms(
        _system("legs"), _exact(measure, norm=norm), SIZES, ulps=2, over="N = 1, 2, 3, 8", entrywise=True
    )


@claim(mutants=[dict(window=1), dict(measure="lmu")], needs=("torch",))
def legt_matrix(window=Rational(1, 4), measure="legt"):
    r"""`hippo_transition("legt", N)` is the exact matrix, window ¼, article's norm: observed in float64, N = 1, 2, 3,
    8.
    """
    return Conforms(
        _system("legt", window=0.25, norm="article"), _exact(measure, window=window, norm="article"), SIZES, ulps=2,
        over="N = 1, 2, 3, 8", entrywise=True,
    )  # fmt: skip


@claim(mutants=[dict(norm="paper")], needs=("torch",))
def rescaling(norm="lmu"):
    r"""The root-free forms of LegT and LegS are integers, in torch too: observed in float64 without any error, N ≤ 8.
    """
    return tuple(
        Conforms(_system(m, norm="lmu"), _exact(m, norm=norm), SIZES, ulps=0, over=m) for m in ("legt", "legs")
    )


@claim(mutants=[dict(measure="legt")], needs=("torch",))
def lmu_equivalence(measure="lmu"):
    r"""`hippo_transition("lmu", N)` is Voelker's matrix: observed in float64 for N = 1, 2, 3, 8."""
    return Conforms(_system("lmu", norm="lmu"), _exact(measure, norm="lmu"), SIZES, ulps=0, over="N = 1, 2, 3, 8")


@claim(mutants=[dict(measure="legs"), dict(alpha=1)], needs=("torch",))
def lagt(measure="lagt", alpha=Rational(1, 2)):
    r"""`hippo_transition` of "lagt" and "glagt" (α = ½, β = 2) is exact: observed in float64, N = 1, 2, 3, 8."""
    return (
        Conforms(_system("lagt"), _exact(measure), SIZES, ulps=0, over="lagt"),
        Conforms(
            _system("glagt", alpha=0.5, beta=2.0), _exact("glagt", alpha=alpha, beta=2), SIZES, ulps=8, over="glagt"
        ),
    )


@claim(mutants=[dict(scale="fout"), dict(consistent="foud"), dict(printed="fout")], needs=("torch",))
def fourier_matrices(scale="fourier_scale", consistent="fout", printed="foud"):
    r"""`hippo_transition` of "fourier_scale", "fout" (consistent closure) and "foud" (the printed one) is exact, real
    basis.

    Observed in float64 for N = 3, 7 and the window 2.
    """
    return tuple(
        Conforms(_system(name, window=2), _exact(other, window=2), (3, 7), ulps=8, over=name)
        for name, other in (("fourier_scale", scale), ("fout", consistent), ("foud", printed))
    )


VECTOR = (3, -1, 2, Rational(1, 2), -4, 1, Rational(3, 4), 2)


@claim(mutants=[dict(factor=2)], needs=("torch",))
def legs_linear_time_matvec(factor=1):
    r"""`legs_matvec` is the exact Av: observed in float64 for N = 1, 2, 5, 8."""
    return Conforms(
        lambda N: legs_matvec(tensor(list(VECTOR[:N]))),
        lambda N: [factor * e for e in exact_matvec(VECTOR[:N])],
        (1, 2, 5, 8), ulps=16, over="N = 1, 2, 5, 8",
    )  # fmt: skip


@claim(mutants=[dict(scale=2)], needs=("torch",))
def legs_linear_time_solve(scale=1):
    r"""`legs_solve` is the exact $(I-\lambda A)^{-1}v$: observed in float64 for N = 1, 2, 5, 8 and λ = ¼, ½."""
    return Conforms(
        lambda case: legs_solve(tensor(list(VECTOR[: case[0]])), float(case[1])),
        lambda case: exact_solve(VECTOR[: case[0]], scale * case[1]),
        [(N, step) for N in (1, 2, 5, 8) for step in (Rational(1, 4), Rational(1, 2))],
        ulps=32, over="N = 1, 2, 5, 8; λ = 1/4, 1/2",
    )  # fmt: skip


@claim(mutants=[dict(power=2)], needs=("torch",))
def legs_exact_zoh(power=1):
    r"""`legs_propagator`, by Gauss nodes, is the exact $\rho^{-A}$ and the exact feed: observed in float64, N ≤ 24.

    ρ = ½ and ¾, in the paper's norm. The eigenvectors would have lost all digits there (`s4-v-overflow`).
    """

    def exact(case: tuple[int, Rational]) -> Any:
        N, ratio = case
        M = exact_propagator(N, ratio**power)
        A, B = transition("legs", N, norm="lmu")
        feed = exact_solve_lower(A, M * B - B)
        root = [sqrt(2 * i + 1) for i in range(N)]
        rows = [[M[r, c] * root[c] / root[r] for c in range(N)] for r in range(N)]
        return rows, [feed[i] / root[i] for i in range(N)]

    return Conforms(
        lambda case: legs_propagator(case[0], float(case[1])), exact,
        [(N, ratio) for N in (1, 2, 8, 24) for ratio in (Rational(1, 2), Rational(3, 4))],
        ulps=256, over="N = 1, 2, 8, 24; ρ = 1/2, 3/4",
    )  # fmt: skip


def exact_solve_lower(A: Any, right: Any) -> list[Any]:
    """Forward substitution: A⁻¹ times a vector for a lower triangular A of rationals."""
    found: list[Any] = []
    for i in range(A.rows):
        found.append((right[i] - sum(A[i, k] * e for k, e in enumerate(found))) / A[i, i])
    return found


@claim(mutants=[dict(weights=(0, 1, Rational(1, 4))), dict(step=Rational(1, 16))], needs=("torch",))
def gbt_identities(weights=(0, 1, Rational(1, 2)), step=Rational(1, 8)):
    r"""`discretize` is $(I-\alpha\epsilon A)^{-1}[I+(1-\alpha)\epsilon A]$ and $(I-\alpha\epsilon A)^{-1}\epsilon B$:
    observed in float64.

    LagT with N = 4, ε = 1/8, forward, backward and bilinear.
    """
    A, B = transition("lagt", 4)

    def exact(case: int) -> Any:
        inverse = (sp.eye(4) - weights[case] * step * A).inv()
        return inverse * (sp.eye(4) + (1 - weights[case]) * step * A), list(inverse * B * step)

    methods = ("forward", "backward", "bilinear")
    return Conforms(
        lambda case: discretize(*hippo_transition("lagt", 4), 0.125, methods[case]), exact, range(3), ulps=8,
        over="three methods, N = 4",
    )  # fmt: skip


@claim(mutants=[dict(measures=("legt", "legs", "lagt")), dict(rank=0)], needs=("torch",))
def nplr(measures=("legs", "legt", "lagt"), rank=1):
    r"""V(Λ − PP*)V* of `nplr` is the exact A of LegS, LegT and LagT: observed in float64, N = 2, 5, 8."""

    def rebuilt(case: tuple[int, int]) -> Any:
        lam, P, _, V = normal_plus_low_rank(("legs", "legt", "lagt")[case[0]], case[1])
        return (V @ (torch.diag(lam) - rank * P.mT @ P.conj()) @ V.mH).real

    return Conforms(
        rebuilt, lambda case: transition(measures[case[0]], case[1])[0], [(i, N) for i in range(3) for N in (2, 5, 8)],
        ulps=64, over="three measures, N = 2, 5, 8",
    )  # fmt: skip


@claim(mutants=[dict(step=Rational(1, 4)), dict(reversed_=True)], needs=("torch",))
def s4_kernel(step=Rational(1, 2), reversed_=False):
    r"""`dplr_kernel` (Cauchy, Woodbury, inverse FFT) gives the powers of the exact bilinear LegS: observed in
    float64.

    N = 4, L = 9, ε = ½, and a readout that makes all numbers rational; errors against the largest entry.
    """
    N, L, rho = 4, 9, (1, -2, 3, 1)

    def compute(_: int) -> Any:
        normal = normal_plus_low_rank("legs", N)
        half = normal.half()
        root = torch.tensor([2.0 * i + 1 for i in range(N)], dtype=torch.float64).sqrt()
        readout = (torch.tensor(rho, dtype=torch.float64) * root).to(half.V.dtype) @ half.V
        lam, p, b, c = half.eigenvalues[None], half.P[None], half.B[None], readout[None]
        bar = dplr_dense(lam, p, torch.tensor([0.5]).double())[0]
        whole = torch.cat((c, c.conj()), dim=-1)
        tail = whole - (whole[:, None] @ torch.linalg.matrix_power(bar, L))[:, 0]
        return dplr_kernel(lam, p, b, tail[:, : N // 2], torch.tensor([0.5]).double(), L)[0]

    def exact(_: int) -> Any:
        A, B = transition("legs", N, norm="lmu")
        inverse = (sp.eye(N) - step / 2 * A).inv()
        bar, state, row = inverse * (sp.eye(N) + step / 2 * A), step * inverse * B, sp.Matrix([rho])
        kernel = []
        for _ in range(L):
            kernel.append((row * state)[0])
            state = bar * state
        return kernel[::-1] if reversed_ else kernel

    return Conforms(compute, exact, (0,), ulps=4096, over="N = 4, L = 9")


@claim(mutants=[dict(pair=1), dict(shift=1)], needs=("torch",))
def diag_vandermonde(pair=2, shift=0):
    r"""`s4d_kernel` is $2\,\mathrm{Re}\sum_nc_n\frac{e^{\Delta\lambda_n}-1}{\lambda_n}b_ne^{k\Delta\lambda_n}$:
    observed in float64, L = 7, two states.
    """
    lam, b, c = (-1 + 2 * I, Rational(-1, 2) + 8 * I), (1 + I, Rational(1, 2)), (2, 1 - I)
    step = Rational(1, 16)

    def numbers(values: Any) -> Any:
        return torch.tensor([[complex(e) for e in values]], dtype=torch.complex128)

    def exact(_: int) -> Any:
        def entry(k: int) -> Any:
            states = zip(lam, b, c, strict=True)
            terms = [y * (sp.exp(step * e) - 1) / e * x * sp.exp(k * step * e) for e, x, y in states]
            return sum(pair * re(t.expand(complex=True)) for t in terms)

        return [entry(k + shift) for k in range(7)]

    return Conforms(
        lambda _: s4d_kernel(numbers(lam), numbers(b), numbers(c), torch.tensor([0.0625]).double(), 7)[0],
        exact, (0,), ulps=32, over="two states, L = 7",
    )  # fmt: skip


def _items(L: int) -> tuple[list[int], list[int]]:
    return [(i % 3) - 1 for i in range(L)], [(5 * i + 2) % 7 for i in range(L)]


@claim(mutants=[dict(late=1)], needs=("torch",))
def scan_associative(late=0):
    r"""`linear_scan` gives the states of $x_k = a_kx_{k-1}+b_k$: observed without any error on integers, L = 1, 2, 7,
    64.
    """

    def exact(L: int) -> list[list[int]]:
        a, b = _items(L)
        x, states = 0, []
        for i in range(L):
            x = a[i - late] * x + b[i] + late
            states.append([x])
        return states

    return Conforms(
        lambda L: linear_scan(*(tensor([[e] for e in part]) for part in _items(L))), exact, (1, 2, 7, 64), ulps=0,
        over="L = 1, 2, 7, 64",
    )  # fmt: skip


@claim(mutants=[dict(circular=True), dict(index=1)], needs=("torch",))
def conv_recurrence_fft(circular=False, index=0):
    r"""`fft_convolution` is $\sum_{j\le k}K_{k-j}u_j$, not the circular sum: observed in float64 on integers, L = 1,
    …, 33.
    """

    def exact(L: int) -> list[list[int]]:
        kernel, u = _items(L)[1], [(3 * i + 1) % 5 for i in range(L)]
        last = L if circular else 0
        sums = [
            sum(kernel[(i - j) % L] * u[j] for j in range(max(i + 1, last))) + index for i in range(L)
        ]
        return [sums]

    def compute(L: int) -> Any:
        return fft_convolution(tensor([[(3 * i + 1) % 5 for i in range(L)]]), tensor([_items(L)[1]]))

    return Conforms(compute, exact, (1, 2, 7, 16, 33), ulps=16, over="L = 1, 2, 7, 16, 33")


@claim(mutants=[dict(power=1)], needs=("torch",))
def ring_initialisation(power=2):
    r"""`ring_squares` is the affine map $u(r_{max}^2-r_{min}^2)+r_{min}^2$: observed in float64, [¼, ¾] and five
    points.
    """
    points = [Fraction(i, 4) for i in range(5)]
    return Conforms(
        lambda u: ring_squares(tensor([u]), 0.25, 0.75),
        lambda u: [u * (Fraction(3, 4) ** power - Fraction(1, 4) ** power) + Fraction(1, 4) ** power],
        points, ulps=4, over="five points",
    )  # fmt: skip


@claim(mutants=[dict(complex_=4), dict(system=lambda N: 2 * N)], needs=("torch",))
def layer_costs(complex_=2, system=lambda N: 3 * N // 2):
    r"""An S5 layer takes $4LHN$ operations in its two products, real with complex; the S4D model has the stated
    parameters.

    Counted on the meta device for N = 8, H = 6, L = 16 and 64. A block of width H has the norm 2H, the layer
    $H(2+2N)$ (skip, step, N/2 eigenvalues and readouts), the gated map $2H^2+2H$.
    """
    H, N = 6, 8

    def layer(L: int) -> tuple[Any, Any]:
        with torch.device("meta"):
            return S5(H, N), (torch.empty(1, L, H, device="meta"),)

    def model(width: int) -> tuple[Any, Any]:
        config = StateSpaceConfig(d_input=2, d_output=3, width=width, num_layers=2, layer="s4d", state=N, context=8)
        with torch.device("meta"):
            return StateSpaceModel(config), (torch.empty(1, 8, 2, device="meta"),)

    def parameters(width: int) -> int:
        block = 2 * width + width * (2 + system(N) + N // 2) + 2 * width**2 + 2 * width
        return 3 * width + 2 * block + 2 * width + 3 * width + 3

    return (
        Costs(layer, (16, 64), flops=lambda L: complex_ * 2 * L * H * N),
        Costs(model, (4, 16), params=parameters),
    )
