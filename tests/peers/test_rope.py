"""RoFormer, LLaMA and rotations of other libraries on the same weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from kexue.models.rope import (  # noqa: E402
    RoFormer,
    RoFormerConfig,
    RotaryLM,
    RotaryLMConfig,
    apply_rope,
    rotary_frequencies,
)


def test_roformer_of_transformers():
    torch.manual_seed(0)
    theirs = transformers.RoFormerForMaskedLM(
        transformers.RoFormerConfig(
            vocab_size=90, embedding_size=48, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
            intermediate_size=96, max_position_embeddings=64, rotary_value=False,
        )
    ).eval()  # fmt: skip
    config = RoFormerConfig(vocab_size=90, width=48, num_layers=3, num_heads=4, ffn=96)
    ours = RoFormer.from_huggingface(theirs.state_dict(), config).eval()
    tokens = torch.randint(90, (2, 33))
    mask = torch.ones(2, 33, dtype=torch.bool)
    mask[1, 20:] = False
    with torch.no_grad():
        got, expected = ours(tokens, mask), theirs(tokens, attention_mask=mask.long()).logits
    torch.testing.assert_close(got[mask], expected[mask], rtol=1e-4, atol=2e-6)
    tables = sum(p.numel() for n, p in theirs.named_parameters() if "embed_positions" in n)
    assert sum(p.numel() for p in theirs.parameters()) == ours.num_parameters() + tables


def test_llama_of_transformers():
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=90, hidden_size=48, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
            intermediate_size=96, rms_norm_eps=1e-5, tie_word_embeddings=False,
        )
    ).eval()  # fmt: skip
    config = RotaryLMConfig(vocab_size=90, width=48, num_layers=3, num_heads=6, num_kv_heads=2, ffn=96)
    ours = RotaryLM.from_huggingface(theirs.state_dict(), config).eval()
    tokens = torch.randint(90, (2, 33))
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, rtol=1e-4, atol=2e-6)


def test_rotary_embedding_torch():
    peer = pytest.importorskip("rotary_embedding_torch").RotaryEmbedding(dim=32)
    x = torch.randn(2, 3, 50, 32)
    torch.testing.assert_close(
        apply_rope(x, torch.arange(50), rotary_frequencies(32)), peer.rotate_queries_or_keys(x), rtol=1e-4, atol=1e-5
    )


def test_their_angles_are_rounded_to_float32():
    """At position 10⁶ the peer's table is off by more than 0.01 radian; ours forms angles in float64."""
    peer = pytest.importorskip("rotary_embedding_torch").RotaryEmbedding(dim=32, cache_if_possible=False)
    x = torch.randn(1, 1, 1, 32)
    exact = apply_rope(x.double(), torch.tensor([10**6]), rotary_frequencies(32))
    ours = apply_rope(x, torch.tensor([10**6]), rotary_frequencies(32))
    theirs = peer.rotate_queries_or_keys(x, offset=10**6)
    assert float((ours - exact).abs().max()) < 1e-6
    assert float((theirs - exact).abs().max()) > 1e-3
