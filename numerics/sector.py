r"""All n random points of a disc in one sector: the simulation.

Su Jianlin, 《圆内随机n点在同一个圆心角为θ的扇形的概率》, Scientific Spaces, 2022-10-25, archive 9324.
"""

from __future__ import annotations

import numpy as np
import sympy as sp
from numba import njit, uint64
from sympy import Rational

from kexue import Estimate, claim, experiment
from kexue.sampling.philox import draws


@njit(cache=True)
def _anchored(key, start, count, n, reach):
    """Counts samples of n points on a circle of length 1 of which one is followed by all others within `reach`."""
    hits = 0
    points = np.empty(n)
    for i in range(count):
        for block in range((n + 3) // 4):
            values = draws(key, uint64(start + i), block)
            for j in range(min(4, n - 4 * block)):
                points[4 * block + j] = values[j]
        for first in range(n):
            inside = True
            for other in range(n):
                gap = points[other] - points[first]
                if gap < 0.0:
                    gap += 1.0
                if gap > reach:
                    inside = False
                    break
            if inside:
                hits += 1
                break
    return hits


@experiment(chunk=50_000)
def in_one_sector(chunk, count, n=5, numerator=2, denominator=3):
    """Successes: the largest gap of n uniform points on the circle is at least numerator/denominator of it."""
    reach = 1 - numerator / denominator
    return int(_anchored(np.uint64(chunk.key), np.uint64(chunk.start), count, n, reach))


def probability(n: int, x: sp.Rational, exponent: int = 1) -> sp.Rational:
    """Σ_{k ≥ 1, kx < 1} (−1)^(k−1) C(n, k) (1 − kx)^(n−1), exactly."""
    return sum(
        ((-1) ** (k - 1) * sp.binomial(n, k) * (1 - k * x) ** (n - exponent) for k in range(1, n + 1) if k * x < 1),
        sp.S.Zero,
    )


@claim(mutants=[dict(exponent=0), dict(factor=Rational(53, 50)), dict(n=4)])
def general_formula(n=5, exponent=1, factor=1):
    r"""$P_n(\theta) = \sum_{k \ge 1, kx < 1} (-1)^{k-1} \binom nk (1-kx)^{n-1}$ with $x = 1 - \theta/2\pi$: simulated
    for n = 5, x = 2/3.
    """
    x = Rational(2, 3)
    return Estimate(
        in_one_sector(n=n, numerator=2, denominator=3), factor * probability(5, x, exponent), Rational(1, 50)
    )
