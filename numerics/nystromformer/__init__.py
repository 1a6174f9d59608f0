r"""Nyströmformer in floating point.

experiments   rounding errors in the null space; the figures
conformance   `kexue.models.nystromformer` held against exact matrices
"""

from .experiments import figures

__all__ = ["figures"]
