r"""HiPPO: linear systems that keep the coefficients of the past in an orthonormal basis, and what S4 made of them.

Su Jianlin, 《重温SSM（一）：线性系统和HiPPO矩阵》 (Revisiting SSM, part 1: linear systems and HiPPO matrices),
Scientific Spaces, 2024-05-24, archive 10114; with part 2, 《HiPPO的一些遗留问题》 (what HiPPO left open:
discretisation, LegS, 2024-06-05, archive 10137), and part 3, 《HiPPO的高效计算（S4）》 (efficient computation,
2024-06-20, archive 10162).

Papers: A. Gu, T. Dao, S. Ermon, A. Rudra, C. Ré, HiPPO: Recurrent Memory with Optimal Polynomial Projections, 2020,
arXiv 2008.07669. A. Voelker, I. Kajić, C. Eliasmith, Legendre Memory Units, 2019. A. Gu, K. Goel, C. Ré, Efficiently
Modeling Long Sequences with Structured State Spaces (S4), 2021, arXiv 2111.00396. A. Gu, I. Johnson, A. Timalsina, A.
Rudra, C. Ré, How to Train Your HiPPO, 2022, arXiv 2206.12037. S4D: arXiv 2206.11893; S5: 2208.04933; LRU: 2303.06349.

    projection  the least-squares problem, the derivative of the coefficients, the Fourier window
    legendre    recurrences, expansions and orthogonality for all n
    legt        the sliding window: matrices, scalings, Padé approximants, energy
    legs        the whole history: eigenvectors, propagator, gradients, memory, approximation error
    stepping    discretisations, LegS in linear time, exact steps, transients
    spectra     Fourier on the whole history, Laguerre, normal plus low rank, eigenvectors of LegS in floating point
    s4          kernels, inversion identities, convolutions, scans, ring initialisation, costs

Notation: x' = Ax + Bu with stable A (the HiPPO paper writes c' = −Ac + Bf); p_n is the Legendre polynomial with
p_n(1) = 1, $g_n = \sqrt{(2n+1)/2}\,p_n$ is orthonormal on [−1, 1]; n, k = 0, …, N − 1. Norms: "article" is plain L²
on [−1, 1], "paper" the probability measure ($c_{paper} = c_{article}/\sqrt2$), "lmu" has no roots: the coefficients
of p_n itself. χ_j is 1 for even j, else 0; w is the length of the window; z = e^{−sw} or a node of a generating
function.
"""

from .common import legendre, legs_propagator, scale_modes, transition, window_modes
from .legt import pade
from .s4 import exclusive_scan
from .spectra import partial_sums
from .stepping import legs_matvec, legs_solve

__all__ = [
    "exclusive_scan",
    "legendre",
    "legs_matvec",
    "legs_propagator",
    "legs_solve",
    "pade",
    "partial_sums",
    "scale_modes",
    "transition",
    "window_modes",
]
