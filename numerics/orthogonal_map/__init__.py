r"""Orthogonal maps from one unit vector to another in floating point.

    experiments   random solutions, and how the printed forms lose their orthogonality; the figures
    conformance   `kexue.models.orthogonal_map` held against the exact matrices of `kexue.derivations.orthogonal_map`
"""

from .experiments import figures

__all__ = ["figures"]
