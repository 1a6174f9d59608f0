r"""Gradient clipping: clip rules, optimisers whose steps are theirs, probes of smoothness, and two networks to clip.

Su Jianlin, 《为什么梯度裁剪能加速训练过程?一个简明的分析》 (Why gradient clipping accelerates training: a concise
analysis), Scientific Spaces, 2020-06-05, archive 7469. Zhang, He, Sra, Jadbabaie, Why gradient clipping accelerates
training, ICLR 2020, arXiv 1905.11881. With g the norm of the whole gradient and γ the threshold it is multiplied by

    hard    min(1, γ/g)                         the projection onto the ball of radius γ
    soft    γ/(g + γ)                           within a factor 2 of hard (claim gradient_clipping/two-sided)
    log     (γ/g) ln(1 + g/(g + γ))             the best step for (L0, L1)-smooth functions (claim h-optimal-step)

    clipping    `clip_factor`, `clip_grad_norm_`, and `GradientClipping` for any optimiser
    optimisers  `ClippedSGD`, `NormalizedGD`, `L0L1GD`
    smoothness  Hessian norms along training, and L0, L1 from them
    networks    `AWDLSTM` and `ResNet`, the paper's experiments
"""

from .clipping import GradientClipping, clip_factor, clip_grad_norm_, total_norm
from .networks import AWDLSTM, AWDLSTMConfig, ResNet, ResNetConfig
from .optimisers import L0L1GD, ClippedSGD, NormalizedGD, l0l1_step
from .smoothness import SmoothnessFit, SmoothnessPoint, estimate_l0l1, secant_smoothness, smoothness_probe

__all__ = [
    "AWDLSTM",
    "AWDLSTMConfig",
    "ClippedSGD",
    "GradientClipping",
    "L0L1GD",
    "NormalizedGD",
    "ResNet",
    "ResNetConfig",
    "SmoothnessFit",
    "SmoothnessPoint",
    "clip_factor",
    "clip_grad_norm_",
    "estimate_l0l1",
    "l0l1_step",
    "secant_smoothness",
    "smoothness_probe",
    "total_norm",
]

PRESETS = {
    "awd-lstm-ptb": AWDLSTMConfig(),
    "resnet20-cifar10": ResNetConfig(),
    "tiny": AWDLSTMConfig(
        vocab_size=50, context=20, embedding=16, hidden=32, num_layers=2, output_dropout=0.0, hidden_dropout=0.0,
        input_dropout=0.0, embedding_dropout=0.0, weight_dropout=0.0,
    ),
    "resnet-tiny": ResNetConfig(image_size=8, channels=1, width=8, depth=8, normalisation="group"),
}  # fmt: skip
