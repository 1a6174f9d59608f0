r"""HiPPO and state space models in torch: exact memories of signals, and S4, S4D, S5, LRU that grew out of them.

Su Jianlin, 《重温SSM》 1–3, Scientific Spaces, 2024, archives 10114, 10137, 10162; HiPPO, 2020, arXiv 2008.07669; S4,
2021, arXiv 2111.00396; S4D, 2022, arXiv 2206.11893; S5, 2022, arXiv 2208.04933; LRU, 2023, arXiv 2303.06349.

    matrices    A and B of all measures, discretisation, normal plus low rank
    projection  LegS in linear time and exactly, `HiPPOProjection` and its reconstruction
    scan        the parallel scan, convolution by FFT, and their plain references
    kernels     S4's kernel (Cauchy, Woodbury) and S4D's (Vandermonde), with references; the O(N) step of S4
    layers      S4, S4D, S5, LRU: the same outputs by convolution or scan, and one step at a time
    classifier  `StateSpaceModel` and `HiPPORNN`

Shapes: B batch, L length, H channels, N states, S = N/2 stored states of conjugate pairs, R rank. Headline results of
the papers, from memory: S4 averages about 86 on the Long Range Arena (Path-X 96.4), S4D 85–86, S5 87.4 (Path-X 98.5),
LRU about 86; HiPPO-LegS reaches 98.3% on permuted MNIST. None of them was reproduced here.
"""

from .classifier import HiPPORNN, HiPPORNNConfig, StateSpaceConfig, StateSpaceModel
from .kernels import (
    dplr_kernel,
    dplr_kernel_reference,
    dplr_readout,
    dplr_step,
    s4d_kernel,
    s4d_kernel_reference,
)
from .layers import LRU, S4, S4D, S5, diagonal_eigenvalues, ring_squares
from .matrices import NPLR, discretize, hippo_transition, nplr
from .projection import (
    HiPPOProjection,
    LegSCell,
    legendre_basis,
    legs_matvec,
    legs_propagator,
    legs_solve,
)
from .scan import direct_convolution, fft_convolution, linear_scan, linear_scan_loop

__all__ = [
    "LRU",
    "NPLR",
    "S4",
    "S4D",
    "S5",
    "HiPPOProjection",
    "HiPPORNN",
    "HiPPORNNConfig",
    "LegSCell",
    "StateSpaceConfig",
    "StateSpaceModel",
    "diagonal_eigenvalues",
    "direct_convolution",
    "discretize",
    "dplr_kernel",
    "dplr_kernel_reference",
    "dplr_readout",
    "dplr_step",
    "fft_convolution",
    "hippo_transition",
    "legendre_basis",
    "legs_matvec",
    "legs_propagator",
    "legs_solve",
    "linear_scan",
    "linear_scan_loop",
    "nplr",
    "ring_squares",
    "s4d_kernel",
    "s4d_kernel_reference",
]

PRESETS = {
    "s4-cifar": StateSpaceConfig(d_input=3),
    "s4d-cifar": StateSpaceConfig(d_input=3, layer="s4d"),
    "s5-cifar": StateSpaceConfig(d_input=3, layer="s5", state=128, blocks=4),
    "lru-cifar": StateSpaceConfig(d_input=3, layer="lru", state=128),
    "hippo-pmnist": HiPPORNNConfig(),
    "tiny": StateSpaceConfig(width=8, state=16, num_layers=2, context=64, layer="s4d", dropout=0.0),
    "s4-tiny": StateSpaceConfig(width=8, state=16, num_layers=2, context=64, layer="s4", dropout=0.0),
    "s5-tiny": StateSpaceConfig(width=8, state=16, num_layers=2, context=64, layer="s5", dropout=0.0),
    "lru-tiny": StateSpaceConfig(width=8, state=16, num_layers=2, context=64, layer="lru", dropout=0.0),
    "hippo-tiny": HiPPORNNConfig(hidden=16, order=8, context=12),
}
