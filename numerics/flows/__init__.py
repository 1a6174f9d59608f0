r"""Flow models in floating point: sampling, and the torch code against the exact forms.

experiments   random images of flows: normalisation, dequantisation, temperature, clipped noise
figures       round trips, the dequantisation gap, temperatures, filaments, multiply-adds
conformance   `kexue.models.flows` held against `kexue.derivations.flows`
"""

from .figures import figures

__all__ = ["figures"]
