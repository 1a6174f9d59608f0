r"""Fourier densities in floating point: torch code against the exact forms, sampling, fits beside other methods.

conformance   `kexue.models.fourier_density` held against `kexue.derivations.fourier_density`
experiments   sampling by inversion and by rejection, kernels, modes, Fejér means
comparison    `compare_fits`: KL of fits at equal numbers of parameters (minutes; not run by anything else)
figures       fits, convergence in N, Gibbs' phenomenon, gradients
"""

from .figures import figures

__all__ = ["figures"]
