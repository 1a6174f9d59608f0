"""linear-attention-transformer's causal attention leaves out the tokens of a query's own bucket."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
peer = pytest.importorskip("linear_attention_transformer.linear_attention_transformer")

from kexue.models.linear_attention import FeatureMap, linear_attention_quadratic  # noqa: E402


def theirs(q, k, v, bucket):
    return peer.causal_linear_attn(q, k, v, bucket_size=bucket, eps=0.0)


def test_buckets_of_one_token_are_the_causal_sum():
    """Their features: softmax of q over features, scaled; exp of k. The scale cancels in the quotient."""
    q, k, v = torch.randn(3, 1, 2, 32, 4, dtype=torch.float64)
    features: dict[str, FeatureMap] = {"q": lambda x: x.softmax(-1), "k": torch.exp}
    similarity = (features["q"](q) @ features["k"](k).mT).tril()
    expected = similarity @ v / similarity.sum(-1, keepdim=True)
    torch.testing.assert_close(theirs(q, k, v, 1), expected)
    torch.testing.assert_close(
        linear_attention_quadratic(q.softmax(-1), k.exp(), v, lambda x: x, causal=True, eps=0.0), expected
    )


def test_larger_buckets_see_nothing_of_their_own_bucket():
    q, k, v = torch.randn(3, 1, 2, 32, 4, dtype=torch.float64).unbind(0)
    changed = v.clone()
    changed[:, :, 17] += 1  # in the second bucket of 16
    before, after = (peer.causal_linear_attn(q, k, x, bucket_size=16) for x in (v, changed))
    moved = (after - before).abs()
    assert float(moved.max()) == 0  # though queries 17 to 31 stand behind it
