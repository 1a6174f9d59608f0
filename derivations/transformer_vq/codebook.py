"""The codebook as a moving average: k-means, and the surrogate loss."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import And, Rational

from kexue import (
    ForAll,
    ForEach,
    Identity,
    claim,
    mutant,
)

from .forms import Row, _squared, integers, nearest_codes, symbols


def lloyd_step(vectors: Sequence[Row], codebook: Sequence[Row]) -> list[list[Fraction]]:
    """Every code becomes the mean of the vectors nearest to it; a code without vectors stays."""
    codes = nearest_codes(vectors, codebook)
    new = []
    for s, row in enumerate(codebook):
        own = [v for v, r in zip(vectors, codes, strict=True) if r == s]
        new.append([Fraction(sum(column), len(own)) for column in zip(*own, strict=True)] if own else list(row))
    return new


def quantisation_error(vectors: Sequence[Row], codebook: Sequence[Row]) -> Any:
    """Σ_j min_s ‖k_j − C_s‖²."""
    codes = nearest_codes(vectors, codebook)
    return sum(
        _squared([p - q for p, q in zip(v, codebook[s], strict=True)]) for v, s in zip(vectors, codes, strict=True)
    )


@claim(mutants=[dict(old=lambda g: 1 + g), dict(new=lambda g: 1 + g), dict(factor=3)])
def ema_is_kmeans(old=lambda g: g, new=lambda g: 1 - g, factor=1):
    r"""$N \leftarrow \gamma N + (1-\gamma)n_s$, $M \leftarrow \gamma M + (1-\gamma)\sum_{z=s}k$, $C = M/N$ keeps in C
    the exponentially weighted mean of all vectors ever assigned; γ = 0 is one step of Lloyd's k-means, which doesn't
    increase the error.

    One update is $C' = \theta C + (1-\theta)\bar k$ with $\theta = \gamma N/(\gamma N + (1-\gamma)n)$ in [0, 1], for
    all 0 ≤ γ < 1, and leaves C alone if n = 0. Six updates are compared with weights $(1-\gamma)\gamma^{5-t}$ and
    $\gamma^6$ for the start, for γ = 0, 1/4, 1/2, 9/10, 99/100. Lloyd: $\sum_j(k_j - C)^2 = \sum_jk_j^2 - (\sum_j
    k_j)^2/n + n(C - \bar k)^2$ is least at the mean (in each coordinate), and reassignment takes minima; the step is
    run exactly on 40 starts.
    """
    g, N, M, S, S1, S2, C, k = symbols("gamma N M S S1 S2 C k")
    denominator = old(g) * N + new(g) * k
    theta = g * N / (g * N + (1 - g) * k)
    domain = [0 <= g, g < 1, N > 0, k > 0]

    def unrolled(gamma: Fraction) -> tuple[Any, Any]:
        numbers, start = [v[0] for v in integers(5, 6, 1, most=9)], (Fraction(2), Fraction(3))
        total, count = start
        for value in numbers:
            total, count = old(gamma) * total + new(gamma) * value, old(gamma) * count + new(gamma)
        weights = [(1 - gamma) * gamma ** (5 - i) for i in range(6)]
        mean = sum(w * v for w, v in zip(weights, numbers, strict=True)) + gamma**6 * start[0]
        return total / count, mean / (sum(weights) + gamma**6 * start[1])

    def descends(seed: int) -> tuple[bool, bool]:
        vectors, codebook = integers(seed, 12, 2, most=6), integers(seed + 100, 3, 2, most=6)
        moved = [[factor * v for v in row] for row in lloyd_step(vectors, codebook)]
        return quantisation_error(vectors, moved) <= quantisation_error(vectors, codebook), True

    return (
        Identity((old(g) * N * C + new(g) * S) / denominator, theta * C + (1 - theta) * S / k, domain),
        ForAll(And(0 <= theta, factor * theta <= 1), domain),
        Identity(g * M / (g * N), factor * M / N, [g > 0, N > 0]),
        ForEach(map(Fraction, ("0", "1/4", "1/2", "9/10", "99/100")), unrolled, over="γ = 0, 1/4, 1/2, 9/10, 99/100"),
        Identity(S2 - 2 * C * S1 + k * C**2, S2 - S1**2 / k + factor * k * (C - S1 / k) ** 2, [k >= 1]),
        ForEach(range(1, 41), descends, over="40 starts: 12 integer vectors of the plane, 3 codes"),
    )


@claim(mutants=[mutant("symbols", rate=Rational(1, 2)), mutant("symbols", held=False)])
def ema_as_sgd(rate=1, held=True):
    r"""One step of gradient descent with rate 1 on $\langle\mathrm{sg}(M - M^*), M\rangle$ takes M to $M^*$.

    So an optimiser can own the codebook: the surrogate loss hands it the moving average. Entry by entry, hence for all
    shapes; what sg holds is a symbol of its own, put back afterwards. Without sg the step overshoots.
    """
    M, target, s = symbols("M M1 s")
    surrogate = s * M if held else (M - target) * M
    gradient = sp.diff(surrogate, M).subs(s, M - target)
    return Identity(M - rate * gradient, target)
