"""Several scales: shapes, the factorised prior, and the conditional prior as a layer."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import Eq, exp

from kexue import ForEach, Identity, Induction, Witnesses, Words, claim, letters, mutant

from .._arguments import whole_number
from .common import h, jacobian, log_normal, mu, n, sigma, x, y, z


def multiscale_shapes(height: int, width: int, channels: int, levels: int) -> list[tuple[int, int, int]]:
    """The outputs (rows, columns, channels) of a flow that squeezes at each level and splits at all but the last.

    Raises:
        ValueError: for sizes below 1, or a side that 2^levels doesn't divide.
    """
    for name, value in (("height", height), ("width", width), ("channels", channels), ("levels", levels)):
        whole_number(name, value, 1)
    for name, value in (("height", height), ("width", width)):
        if value % 2**levels:
            raise ValueError(f"{name} must be a multiple of 2^levels = {2**levels}, got {value}")
    out = []
    for level in range(1, levels + 1):
        height, width, channels = height // 2, width // 2, 4 * channels
        if level < levels:
            channels //= 2
        out.append((height, width, channels))
    return out


@claim(mutants=[dict(last=lambda level: 2**level), mutant("domain", kept=4)])
def shape_bookkeeping(last=lambda level: 2 ** (level + 1), kept=2):
    r"""With L levels of squeezing and splitting (none on the last) level i < L emits $(h/2^i, w/2^i, 2^ic)$ and the
    last one $(h/2^L, w/2^L, 2^{L+1}c)$: in all h·w·c entries. CIFAR-10, L = 3: 1536 + 768 + 768 = 3072.

    For every L and all h, w, c: with $A_n$ pixels of $C_n$ channels going on after n levels and $u_n$ entries emitted,
    $u_n + A_nC_n = hwc$ by induction; the last level emits $A_nC_n$ at n = L − 1, as $4C_n$ channels of $A_n/4$ pixels.
    The shapes are compared for L ≤ 5, h, w ∈ {32, 64, 96}, c ≤ 3. Mutants: $2^Lc$ channels at the end; four times the
    channels going on.
    """
    A, C, u = (sp.Function(name) for name in ("A", "C", "u"))
    w, c = sp.symbols("w c", real=True)

    def case(sizes: tuple[int, int, int, int]) -> tuple[Any, Any]:
        height, width, channels, levels = sizes
        shapes = multiscale_shapes(*sizes)
        stated = [(height // 2**i, width // 2**i, 2**i * channels) for i in range(1, levels)]
        stated.append((height // 2**levels, width // 2**levels, last(levels) * channels))
        return (shapes, sum(p * q * k for p, q, k in shapes)), (stated, height * width * channels)

    sizes = product((32, 64, 96), (32, 64, 96), (1, 2, 3), range(1, 6))
    return (
        Induction(
            n,
            0,
            {A(n + 1): A(n) / 4, C(n + 1): kept * C(n), u(n + 1): u(n) + A(n) / 4 * 2 * C(n)},
            {A(0): h * w, C(0): c, u(0): 0},
            [Eq(A(n) * C(n), h * w * c / 2**n), Eq(u(n), h * w * c * (1 - 1 / 2**n))],
        ),
        ForEach(sizes, case, over="h, w ∈ {32, 64, 96}, c ≤ 3, L ≤ 5"),
        ForEach(
            [(32, 32, 3, 3)],
            lambda s: (multiscale_shapes(*s), [(16, 16, 6), (8, 8, 12), (4, 4, last(3) * 3)]),
            over="CIFAR-10, L = 3",
        ),
    )


@claim(
    mutants=[
        mutant("domain", invertible=False),
        dict(same=lambda g: True),
    ]
)
def multiscale_prior(invertible=True, same=lambda g: len(set(g)) == len(g)):
    r"""$p(z_1,z_3,z_5) = p(z_1|z_2)\,p(z_3|z_4)\,p(z_5)$, as $z_2 \leftrightarrow (z_3, z_5)$ and $z_4 \leftrightarrow
    z_5$ are bijections: conditioning on an invertible function of a variable is conditioning on the variable.

    The article's reason, that $(z_3, z_5)$ is determined by $z_2$, is only half: $z_2$ must be determined by them too.
    Gaussian case, every size: $S_{12}B^\top(BS_{22}B^\top)^{-1}B = S_{12}S_{22}^{-1}$ for invertible B, which gives the
    conditional mean and covariance. Discrete case: for one law in general position on {0, 1} × {0, 1, 2} and all 27
    functions g of the second variable, $p(z_1|z_2) = p(z_1|g(z_2))$ iff g is injective. Mutants: a B with a dropped
    row; determination by $z_2$ alone.
    """
    S, T, B, Bi, Si, K = letters("S T B b s K")
    rules = [(Si * S, 1), (S * Si, 1), (B * Bi, 1), (K * (B * S * B.T), 1), ((B * S * B.T) * K, 1)]
    if invertible:
        rules.append((Bi * B, 1))
        B0, b0 = [[1, 2], [0, 1]], [[1, -2], [0, 1]]
        K0 = sp.Matrix([[1, 2], [0, 1]]) * sp.Matrix([[2, 1], [1, 1]]) * sp.Matrix([[1, 0], [2, 1]])
        K0 = K0.inv().tolist()
    else:
        B0, b0, K0 = [[1, 0]], [[1], [0]], [[sp.Rational(1, 2)]]
    model = {"S": [[2, 1], [1, 1]], "s": [[1, -1], [-1, 2]], "T": [[3, 5]], "B": B0, "b": b0, "K": K0}
    law = [[1, 2, 4], [3, 1, 1]]

    def conditional(values: tuple[int, ...]) -> tuple[Any, Any]:
        def given(classes: tuple[int, ...], at: int) -> Fraction:
            mass = [sum(row[j] for j in range(3) if classes[j] == classes[at]) for row in law]
            return Fraction(mass[0], sum(mass))

        equal = all(given(values, j) == given((0, 1, 2), j) for j in range(3))
        return equal, same(values)

    return Witnesses(
        Words(T * B.T * K * B, T * Si, rules, model=model),
        ForEach(product(range(3), repeat=3), conditional, over="all functions on three values"),
    )


@claim(mutants=[dict(sign=1), dict(power=1)])
def conditional_prior_equals_condactnorm(sign=-1, power=-1):
    r"""$\ln N(z;\mu(y),\sigma(y)^2) = \ln N(\hat z;0,1) - \ln\sigma(y)$ with $\hat z = (z-\mu(y))/\sigma(y)$: a
    conditional prior is a conditional scale and shift, with the exact determinant $1/\sigma(y)$ whatever μ, σ are.

    Each coordinate; for unknown functions μ and $\sigma = e^{l}$ of a kept y, whose triangular Jacobian is
    differentiated. Mutants: + ln σ; σ for the determinant.
    """
    m, l = (sp.Function(name)(y) for name in ("m", "l"))
    return (
        Identity(log_normal(x, mu, sigma), log_normal((x - mu) / sigma) + sign * sp.log(sigma), [sigma > 0]),
        Identity(jacobian([y, (z - m) * exp(-l)], [y, z]).det(), exp(power * l)),
    )
