r"""Linear attention in floating point and by simulation.

    experiments   random features; the figures
    conformance   `kexue.models.linear_attention` held against exact sums
"""

from .experiments import figures

__all__ = ["figures"]
