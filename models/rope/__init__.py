r"""Rotary position embedding in torch: in block form, in general form, for several coordinates, and two models with it.

Su Jianlin, 《Transformer升级之路》 2, 4 and 6, Scientific Spaces, 2021–2022, archives 8265, 8397, 9403; RoFormer, 2021,
arXiv 2104.09864; Rotary Position Embedding for Vision Transformer, 2024, arXiv 2403.13298.

    rotary      `apply_rope`, `RotaryEmbedding`: the block form in both layouts, and the conversion between them
    general     `GeneralRoPE`: Oⁿ or exp(nB) with a dense matrix, and `absorb`, which turns it into the block form
    grid        `AxialRoPE` and `MixedRoPE` for positions in ℝᵏ
    linear      RoPE in linear attention: in the numerator only
    roformer    `RoFormer`, the encoder of the articles with its masked-language-model head
    decoder     `RotaryLM`, a decoder with grouped-query attention and a key-value cache

Shapes: B batch, H heads, L length, D head size, N = D/2 planes. A score is s(m, n) = (R_m q)ᵀ(R_n k) = qᵀR_{n−m}k.
"""

from .decoder import RotaryLM, RotaryLMConfig
from .general import Absorbed, GeneralRoPE, absorb, skew_canonical_form, so_log
from .grid import AxialRoPE, MixedRoPE
from .linear import rotary_linear_attention, rotary_linear_attention_quadratic
from .roformer import RoFormer, RoFormerConfig
from .rotary import RotaryEmbedding, apply_rope, convert_layout, rope_matrix, rotary_frequencies

__all__ = [
    "Absorbed",
    "AxialRoPE",
    "GeneralRoPE",
    "MixedRoPE",
    "RoFormer",
    "RoFormerConfig",
    "RotaryEmbedding",
    "RotaryLM",
    "RotaryLMConfig",
    "absorb",
    "apply_rope",
    "convert_layout",
    "rope_matrix",
    "rotary_frequencies",
    "rotary_linear_attention",
    "rotary_linear_attention_quadratic",
    "skew_canonical_form",
    "so_log",
]

PRESETS = {
    "roformer-base": RoFormerConfig(),
    "roformer-tiny": RoFormerConfig(
        vocab_size=64, context=32, width=32, num_layers=2, num_heads=4, ffn=64, dropout=0.0
    ),
    "llama-2-7b": RotaryLMConfig(
        vocab_size=32_000, context=4096, width=4096, num_layers=32, num_heads=32, num_kv_heads=32, ffn=11_008
    ),
    "tiny": RotaryLMConfig(vocab_size=64, context=32, width=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn=88),
}
