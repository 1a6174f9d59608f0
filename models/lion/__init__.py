r"""Lion, Tiger and their kin: optimisers that step by the sign of a momentum, one buffer for each parameter.

Su Jianlin, 《Google新搜出的优化器Lion:效率与效果兼得的“训练狮”》 (Lion, Google's newly searched optimiser), Scientific
Spaces, 2023-02-16, archive 9473; 《Tiger:一个“抠”到极致的优化器》 (Tiger, an optimiser stingy to the extreme),
2023-03-07, archive 9512. X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, arXiv 2302.06675; L. Chen
et al., Lion Secretly Solves Constrained Optimization, ICLR 2024, arXiv 2310.05898.

    c = lerp(m, g, 1 − β1),  θ ← (1 − ηλ)θ − η sign(c),  m ← lerp(m, g, 1 − β2),   sign(0) = 0

    functional  `lion_step` and `lion_bound`
    optimiser   `Lion`: a loop, chunks or foreach, and fused kernels that give the same bits; `CautiousLion`
    kernel      the Triton kernel
    host        the kernel of the CPU
    quantised   the momentum in 8 bits
    tiger       `Tiger`: β1 = β2, relative steps, accumulation in m itself, skipped steps; `tiger_groups`
    general     `LionK`: ∇K(c) in the place of the sign, with the norm that it bounds
"""

from .functional import lion_bound, lion_step
from .general import LionK, dual_norm, gradient_of_k
from .optimiser import CautiousLion, Lion
from .quantised import dequantise_blocks, quantise_blocks
from .tiger import Tiger, tiger_groups

__all__ = [
    "CautiousLion",
    "Lion",
    "LionK",
    "Tiger",
    "dequantise_blocks",
    "dual_norm",
    "gradient_of_k",
    "lion_bound",
    "lion_step",
    "quantise_blocks",
    "tiger_groups",
]
