r"""Transformer-VQ in floating point: what quantising costs, simulated, and the torch code against the exact forms.

experiments   random queries, keys and codebooks; the figures
conformance   `kexue.models.transformer_vq` held against `kexue.derivations.transformer_vq`
"""

from .experiments import figures

__all__ = ["figures"]
