r"""One-dimensional densities as Fourier series |A|²: exact cdf, quantiles, bins and bits, and a model that learns them.

Su Jianlin, 《用傅里叶级数拟合一维概率密度函数》 (Fitting one-dimensional probability densities with Fourier series),
Scientific Spaces, 2024-03-07, archive 10007; De la Fuente, Singh, Ballé, Fourier Basis Density Model, 2024, arXiv
2402.15345.

    series        A, its autocorrelation, masses of intervals, spectral factors, Fejér's closed estimate
    distribution  `FourierDensity` on a period, `RealLineFourierDensity` on ℝ: torch.distributions with exact quantiles
    baselines     the deep factorised prior, mixtures of logistics
    coding        integer tables of bins, a coder, `EntropyModel`
    learned       trainable densities, and conditional ones whose coefficients a network gives

With a ∈ ℂ^{N+1}: A(x) = Σ_k a_k e^{−iπkx}, p = |A|²/(2Σ|a_k|²) on [−1, 1], and on ℝ q(y) = p(tanh z) sech² z/s, z =
(y − t)/s. The paper's comparison (its figure, without numbers in the article) is `compare_fits` in kexue.numerics.
"""

from .baselines import DeepFactorized, MixtureLogistics
from .coding import EntropyModel, RansCoder, quantize_pmf
from .distribution import FourierDensity, RealLineFourierDensity
from .learned import (
    ConditionalFourierDensity,
    ConditionalFourierDensityConfig,
    FourierDensityConfig,
    FourierDensityModel,
)
from .series import fejer_coefficients, spectral_factor

__all__ = [
    "ConditionalFourierDensity",
    "ConditionalFourierDensityConfig",
    "DeepFactorized",
    "EntropyModel",
    "FourierDensity",
    "FourierDensityConfig",
    "FourierDensityModel",
    "MixtureLogistics",
    "RansCoder",
    "RealLineFourierDensity",
    "fejer_coefficients",
    "quantize_pmf",
    "spectral_factor",
]

PRESETS = {
    "tiny": FourierDensityConfig(num_pdfs=2, num_freqs=4, init_scale=0.3),
    "paper": FourierDensityConfig(num_pdfs=1, num_freqs=14),
    "bits-tiny": FourierDensityConfig(num_pdfs=2, num_freqs=4, init_scale=0.3, gamma=1e-3, objective="bits"),
    "conditional": ConditionalFourierDensityConfig(),
    "conditional-tiny": ConditionalFourierDensityConfig(context_dim=3, width=16, depth=2, num_freqs=4),
}
