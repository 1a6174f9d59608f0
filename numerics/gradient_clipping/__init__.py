r"""Gradient clipping in floating point.

    experiments   the bias of clipped stochastic gradients, and how many steps clipping saves; the figures
    conformance   `kexue.models.gradient_clipping` held against the exact factors, steps and iterates
"""

from .experiments import figures

__all__ = ["figures"]
