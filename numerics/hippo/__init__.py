r"""HiPPO in floating point and by simulation.

    systems      the matrices, propagators and projections in NumPy
    experiments  what float64 does with the systems, and Monte Carlo
    drawing      the figures
    conformance  `kexue.models.hippo` held against the exact objects
"""

from .experiments import figures

__all__ = ["figures"]
