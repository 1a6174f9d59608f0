r"""Positive definite matrices: how often random ones are, and when floating point gives the wrong verdict.

Su Jianlin, 《用二次方程判别式判断正定矩阵》, Scientific Spaces, 2013-12-24.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Rational, S, pi, sqrt

from kexue import Estimate, ForEach, claim, experiment
from kexue.derivations.positive_definite import (
    bareiss_pivots,
    discriminant_pivots,
    integer_gram_matrix,
    laplace_multiplications,
    pivots_are_positive,
)

# P(a GOE matrix of size n is positive definite)
GOE = {1: S.Half, 2: (2 - sqrt(2)) / 4, 3: (pi - 2 * sqrt(2)) / (4 * pi)}


@experiment(chunk=50_000)
def goe_is_positive_definite(chunk, count, n=2, scale=1.0):
    """Successes: all leading minors of (G + Gᵀ)/2 are positive, G with i.i.d. standard normal entries.

    The off-diagonal entries of the symmetric matrix are normal with variance scale/2.
    """
    g = chunk.generator()
    d, o = g.standard_normal((count, 3)), math.sqrt(scale / 2) * g.standard_normal((count, 3))
    first = d[:, 0]
    second = first * d[:, 1] - o[:, 0] ** 2
    third = (
        second * d[:, 2] + 2 * o[:, 0] * o[:, 1] * o[:, 2] - first * o[:, 2] ** 2 - d[:, 1] * o[:, 1] ** 2
    )  # fmt: skip
    return int((np.stack([first, second, third][:n]) > 0).all(axis=0).sum())


@claim(mutants=[dict(scale=1.5), dict(off=Rational(53, 50))])
def goe_probability(scale=1.0, off=1):
    r"""P(positive definite) for $A = (G+G^\top)/2$: $(2-\sqrt2)/4$ at n = 2 and $(\pi-2\sqrt2)/4\pi$ at n = 3.

    The entries of G are i.i.d. standard normal; n = 2 is proved in derivations/, n = 3 is simulated only.
    """
    within = {2: Rational(1, 50), 3: Rational(1, 20)}
    return tuple(
        Estimate(goe_is_positive_definite(n=n, scale=scale), off * GOE[n], within[n]) for n in (2, 3)
    )  # fmt: skip


def float_cholesky_succeeds(matrix: list[list[Any]]) -> bool:
    try:
        np.linalg.cholesky(np.array(matrix, dtype=np.float64))
    except np.linalg.LinAlgError:
        return False
    return True


@claim(mutants=[dict(last=52), dict(last=54)])
def rounding_changes_the_answer(last=53):
    r"""Observed in float64: Cholesky accepts $\begin{pmatrix}1&1-2^{-k}\\1-2^{-k}&1\end{pmatrix}$ up to k = 53, not
    at 54.

    Exact pivots of the matrix with float64-rounded entries give the same verdicts: at k = 54 the entry rounds to 1,
    the matrix in memory is singular, and "not positive definite" is the right answer for it, though not for the
    matrix meant."""

    def both(k: int) -> tuple[Any, Any]:
        entry = 1 - Fraction(1, 2**k)
        meant = [[Fraction(1), entry], [entry, Fraction(1)]]
        rounded = [[Fraction(float(x)) for x in row] for row in meant]
        return (pivots_are_positive(meant), pivots_are_positive(rounded), float_cholesky_succeeds(rounded)), (
            True,
            k <= last,
            k <= last,
        )

    return ForEach(range(1, 55), both, over="k = 1..54", observed=True)


def figures() -> dict[str, Any]:
    """Costs of the criteria, the growth of exact pivots, and the map of float64 verdicts near singularity."""
    from matplotlib.figure import Figure

    costs = Figure(figsize=(7, 4.5), layout="constrained")
    axes = costs.subplots()
    sizes = np.arange(2, 13)
    axes.semilogy(sizes, [math.comb(n + 1, 3) for n in sizes], "o-", label="recursion with division")
    axes.semilogy(sizes, [2 * math.comb(n + 1, 3) for n in sizes], "s-", label="recursion without division")
    laplace = [sum(laplace_multiplications(k) for k in range(2, n + 1)) for n in sizes]
    axes.semilogy(sizes, laplace, "^-", label="all leading minors by Laplace expansion")
    axes.set(xlabel="size n", ylabel="multiplications")
    axes.legend(frameon=False)

    growth = Figure(figsize=(7, 4.5), layout="constrained")
    axes = growth.subplots()
    m = integer_gram_matrix(10)
    steps = range(1, 11)
    axes.semilogy(steps, [p.bit_length() for p in discriminant_pivots(m)], "o-", label="discriminants $d_k$")
    axes.semilogy(steps, [p.bit_length() for p in bareiss_pivots(m)], "s-", label="Bareiss: minors $\\Delta_k$")
    axes.axhline(1024, color="0.5", linestyle="--", linewidth=1)
    axes.text(1, 1100, "largest float64", color="0.4", fontsize=9)
    axes.set(xlabel="step k (integer 10×10 Gram matrix)", ylabel="bits")
    axes.legend(frameon=False)

    verdicts = Figure(figsize=(7, 4.5), layout="constrained")
    axes = verdicts.subplots()
    exponents = np.arange(-20, -11)
    rng = np.random.default_rng(0)
    for n in (3, 10, 30):
        wrong = [np.mean([_wrong_verdict(rng, n, 10.0**e) for _ in range(200)]) for e in exponents]
        axes.plot(exponents, wrong, "o-", label=f"n = {n}")
    axes.axvline(math.log10(2.0**-53), color="0.5", linestyle="--", linewidth=1)
    axes.set(
        xlabel="log₁₀ of the smallest eigenvalue / the largest", ylabel="float64 Cholesky says: not positive definite"
    )
    axes.legend(frameon=False)
    return {"costs": costs, "bit-growth": growth, "float-verdicts": verdicts}


def _wrong_verdict(rng: np.random.Generator, n: int, smallest: float) -> bool:
    """Whether Cholesky rejects QΛQᵀ with eigenvalues from `smallest` to 1, rounded to float64."""
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    m = (q * np.geomspace(smallest, 1.0, n)) @ q.T
    return not float_cholesky_succeeds(((m + m.T) / 2).tolist())
