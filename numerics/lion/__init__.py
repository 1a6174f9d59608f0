r"""Lion, Tiger and Adam in floating point and under noise.

experiments  signs, sizes and equilibria for random gradients; the figures
conformance  `kexue.models.lion` held against exact trajectories, and torch's Adam against its formulas
"""

from .experiments import figures

__all__ = ["figures"]
