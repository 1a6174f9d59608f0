r"""One-dimensional densities as truncated Fourier series: non-negativity, normalisation, cdf, the map to ℝ, estimation.

Su Jianlin, 《用傅里叶级数拟合一维概率密度函数》 (Fitting one-dimensional probability densities with Fourier series),
Scientific Spaces, 2024-03-07, archive 10007. A. De la Fuente, S. Singh, J. Ballé, Fourier Basis Density Model, 2024,
arXiv 2402.15345. The deep factorised prior is from J. Ballé, D. Minnen, S. Singh, S. J. Hwang, N. Johnston, Variational
image compression with a scale hyperprior, 2018, arXiv 1802.01436.

    common       symbols, and exact functions of coefficients that are Gaussian rationals
    positivity   coefficients, reality, Toeplitz sections, autocorrelation, Fejér–Riesz, gauge, D dimensions
    density      normaliser, bounds, cdf, moments, the map to ℝ, closure under products and convolution, sampling
    estimation   penalty, likelihood, gradients, Fejér's kernel, quadrature, and the methods it is compared with

Notation: $a \in \mathbb C^{N+1}$; $A(x) = \sum_{k=0}^Na_ke^{-i\pi kx}$; $c_n = \sum_{k=0}^{N-n}a_ka_{k+n}^*$, $c_{-n} =
c_n^*$; $f(x) = \sum_{|n|\le N}c_ne^{i\pi nx} = |A(x)|^2$; $p = f/(2c_0)$ on [−1, 1]; $\rho_n = c_n/c_0$; Φ is the cdf
of p; $q(y) = p(\tanh z)\,\mathrm{sech}^2z/s$ with $z = (y-t)/s$ on ℝ, Q its cdf. Where a proof is for all N, sums are
compared term by term: the terms agree for all (integer) indices, and the index sets are mapped onto one another.
"""

from .common import (
    autocorrelation,
    cdf,
    collision,
    convolve,
    density,
    mean,
    peak_bound,
    penalty,
    resolution_bound,
    second_moment,
    spectral_factor,
    toeplitz,
    trig_moment,
)

__all__ = [
    "autocorrelation",
    "cdf",
    "collision",
    "convolve",
    "density",
    "mean",
    "peak_bound",
    "penalty",
    "resolution_bound",
    "second_moment",
    "spectral_factor",
    "toeplitz",
    "trig_moment",
]
