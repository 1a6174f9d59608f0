r"""Rotary position embedding in floating point: random scores, the curves of its decay, and the torch code.

    scores        simulated scores of random vectors, and the figures
    conformance   `kexue.models.rope` held against the exact objects of `kexue.derivations.rope`
"""

from .scores import figures

__all__ = ["figures"]
