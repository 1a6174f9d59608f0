r"""Transformer-VQ in torch: attention over quantised keys in linear time, and the language model that is made of it.

Su Jianlin, 《VQ一下Key，Transformer的复杂度就变成线性了》, Scientific Spaces, 2023-11-09, archive 9844; L. D. Lingle,
Transformer-VQ: Linear-Time Transformers via Vector Quantization, 2023, arXiv 2309.16354.

    quantiser   nearest codes, the straight-through estimator, `LearnableVQ` with its moving averages and k-means
    attention   `vq_attention` in linear time and `vq_attention_quadratic`; `vq_attention_encoder`; `VQState`
    model       `TransformerVQ`, gated attention units with the paper's configurations

Shapes: B batch, H heads, N length, K key size, V value size, S codes, L block length.
"""

from .attention import VQState, vq_attention, vq_attention_encoder, vq_attention_quadratic, vq_attention_step
from .model import GatedUnitVQ, TransformerVQ, TransformerVQConfig
from .quantiser import LearnableVQ, VQOutput, get_shortcodes, straight_through

__all__ = [
    "GatedUnitVQ",
    "LearnableVQ",
    "TransformerVQ",
    "TransformerVQConfig",
    "VQOutput",
    "VQState",
    "get_shortcodes",
    "straight_through",
    "vq_attention",
    "vq_attention_encoder",
    "vq_attention_quadratic",
    "vq_attention_step",
]

PRESETS = {
    "enwik8": TransformerVQConfig(dropout=0.5, dropout_layer=0.3, dropout_sinusoid=0.2),
    "pg19": TransformerVQConfig(
        vocab_size=32_000, width=2048, value_dim=4096, tied=True, final_norm=True, logit_scale=0.005,
        dropout=0.1, dropout_layer=0.1, dropout_sinusoid=0.1,
    ),
    "imagenet64": TransformerVQConfig(
        context=12_288, width=2048, value_dim=4096, absolute_positions=True, tied=True, final_norm=True,
        logit_scale=0.005, dropout_layer=0.1, dropout_sinusoid=0.1,
    ),
    "tiny": TransformerVQConfig(
        vocab_size=17, context=64, width=32, key_dim=8, value_dim=64, num_layers=2, num_codes=8, block=8
    ),
}  # fmt: skip
