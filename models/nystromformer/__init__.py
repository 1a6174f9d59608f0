r"""Nyströmformer in torch: attention through landmarks, its iterative or exact inverse, the encoder with its heads.

Su Jianlin, 《Nyströmformer：基于矩阵分解的线性化Attention方案》, Scientific Spaces, 2021-02-16, archive 8180; Y. Xiong
et al., Nyströmformer, AAAI 2021, arXiv 2102.03902; presets as in the authors' repository mlpen/Nystromformer.

    attention   landmarks, iterative inverses, the attention with its plain reference, `NystromAttention`
    encoder     blocks, and two models: masked words (with the order of sentences), classification

With the segment means Q̃, K̃ (landmarks) of Q, K: F = softmax(QK̃ᵀ/√D), A = softmax(Q̃K̃ᵀ/√D), B = softmax(Q̃Kᵀ/√D), and
the attention matrix softmax(QKᵀ/√D) becomes N = F A⁻¹ B with an approximate inverse; the output N V is computed as
F (A⁻¹ (B V)), to which a depthwise convolution of V is added. Neither F, B nor N is kept in memory.

What differs from the authors' code: a sample's result depends neither on the other samples of its batch (each matrix
has its own initial value of the inverse) nor on its padding (the tokens of each sample are divided into segments by
themselves, and landmarks without tokens are left out).

Shapes: B batch, H heads, L length, D head size, M landmarks, K size of the convolution's kernel.
"""

from .attention import (
    NystromAttention,
    iterative_pinv,
    nystrom_attention,
    nystrom_attention_quadratic,
    nystrom_error,
    nystrom_factors,
    segment_means,
)
from .encoder import Nystromformer, NystromformerClassifier, NystromformerClassifierConfig, NystromformerConfig

__all__ = [
    "NystromAttention",
    "Nystromformer",
    "NystromformerClassifier",
    "NystromformerClassifierConfig",
    "NystromformerConfig",
    "iterative_pinv",
    "nystrom_attention",
    "nystrom_attention_quadratic",
    "nystrom_error",
    "nystrom_factors",
    "segment_means",
]


def _long_range(vocab_size: int, context: int, num_labels: int) -> NystromformerClassifierConfig:
    """The small models of the Long Range Arena."""
    return NystromformerClassifierConfig(
        vocab_size=vocab_size, context=context, width=64, num_layers=2, num_heads=2, ffn=128, type_vocab_size=0,
        num_landmarks=128, conv_kernel=35, pre_norm=True, gelu="none", num_labels=num_labels, pooling="mean",
        head_width=128, head_activation="relu",
    )  # fmt: skip


PRESETS = {
    "512": NystromformerConfig(sentence_order=True),
    "4096": NystromformerConfig(context=4096, num_landmarks=512, conv_kernel=65, sentence_order=True),
    "lra-listops": _long_range(32, 2000, 10),
    "lra-text": _long_range(512, 4000, 2),
    "lra-image": _long_range(512, 1024, 10),
    "lra-pathfinder32": _long_range(512, 1024, 2),
    "tiny": NystromformerConfig(
        vocab_size=64, context=32, width=32, num_layers=2, num_heads=2, ffn=64, num_landmarks=4, conv_kernel=5,
        dropout=0.0,
    ),
    "classifier-tiny": NystromformerClassifierConfig(
        vocab_size=64, context=32, width=32, num_layers=2, num_heads=2, ffn=64, num_landmarks=4, conv_kernel=5,
        dropout=0.0, pooling="mean", head_width=32,
    ),
}  # fmt: skip
