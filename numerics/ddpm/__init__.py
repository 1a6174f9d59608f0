r"""Denoising diffusion in floating point.

experiments   the figures: schedules, variances of short chains, the two losses
conformance   `kexue.models.ddpm` held against the exact formulas of `kexue.derivations.ddpm`
"""

from .experiments import figures

__all__ = ["figures"]
