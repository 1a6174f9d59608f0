r"""Flows in torch: NICE, RealNVP and Glow, their layers, and gradients in constant memory.

Su Jianlin, 《细水长flow之NICE》, 2018-08-11, archive 5776, and 《细水长flow之RealNVP与Glow》, 2018-08-26, archive 5807;
Dinh, Krueger, Bengio, NICE: Non-linear Independent Components Estimation, 2014, arXiv 1410.8516; Dinh, Sohl-Dickstein,
S. Bengio, Density estimation using Real NVP, 2016, arXiv 1605.08803; Kingma, Dhariwal, Glow: Generative Flow with
Invertible 1×1 Convolutions, 2018, arXiv 1807.03039.

    layers       permutations, squeeze, actnorm, batch normalisation, invertible 1×1 convolutions, logit, split
    couplings    additive, affine and masked couplings, and the networks in them
    reversible   `reversible_forward`: the backward pass finds its inputs by the inverse
    images       grey levels, dequantisation, and the Gaussians that a flow has to beat
    model        `NICE`, `RealNVP`, `Glow`

Each layer has forward(x) -> (z, logdet) with logdet of shape (batch,), and inverse(z) -> x. Each model has log_prob,
bits_per_dim, loss (bits per dimension), sample, encode -> a list of ε, and decode.
"""

from .couplings import (
    AdditiveCoupling,
    AffineCoupling,
    CouplingResNet,
    GlowNet,
    MaskedCoupling,
    NiceNet,
)
from .images import dequantise, gaussian_bits_per_dim, grey_levels, quantise
from .layers import (
    ActNorm,
    BatchNormFlow,
    Bijection,
    ChannelPermutation,
    FlowSequence,
    InvConv1x1,
    LogitTransform,
    Split2d,
    Squeeze2d,
)
from .model import NICE, Glow, GlowConfig, GlowStep, ImageFlow, NICEConfig, RealNVP, RealNVPConfig
from .reversible import reversible_forward

__all__ = [
    "NICE",
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "BatchNormFlow",
    "Bijection",
    "ChannelPermutation",
    "CouplingResNet",
    "FlowSequence",
    "Glow",
    "GlowConfig",
    "GlowNet",
    "GlowStep",
    "ImageFlow",
    "InvConv1x1",
    "LogitTransform",
    "MaskedCoupling",
    "NICEConfig",
    "NiceNet",
    "RealNVP",
    "RealNVPConfig",
    "Split2d",
    "Squeeze2d",
    "dequantise",
    "gaussian_bits_per_dim",
    "grey_levels",
    "quantise",
    "reversible_forward",
]

PRESETS = {
    "nice-mnist": NICEConfig(),
    "nice-tiny": NICEConfig(
        image_size=8, levels=17, num_couplings=2, width=32, hidden=2, output_relu=False, noise="uniform"
    ),
    "realnvp-cifar10": RealNVPConfig(),
    "realnvp-imagenet32": RealNVPConfig(num_scales=4, width=32, num_residual=4),
    "realnvp-imagenet64": RealNVPConfig(image_size=64, num_scales=5, width=32, num_residual=2),
    "realnvp-tiny": RealNVPConfig(image_size=8, channels=1, levels=17, num_scales=2, width=8, num_residual=1),
    "glow-cifar10": GlowConfig(),
    "glow-cifar10-additive": GlowConfig(coupling="additive"),
    "glow-imagenet32": GlowConfig(num_steps=48),
    "glow-imagenet64": GlowConfig(image_size=64, num_levels=4, num_steps=48),
    "glow-lsun64": GlowConfig(image_size=64, num_steps=48),
    "glow-lsun128": GlowConfig(image_size=128, num_levels=5, num_steps=64, coupling="additive", n_bits=5),
    "glow-celeba-hq-256": GlowConfig(image_size=256, num_levels=6, coupling="additive", n_bits=5),
    "glow-article": GlowConfig(
        num_steps=6, coupling="additive", permutation="shuffle", edge_bias=False, learn_top=False, net_norm=False,
        data_init=False,
    ),
    "tiny": GlowConfig(image_size=8, channels=1, levels=17, num_levels=2, num_steps=4, width=32),
}  # fmt: skip
