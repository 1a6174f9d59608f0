"""transformers' Nyströmformer and the nystrom-attention package: equal where they are right, and where they aren't."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from kexue.models import create_model  # noqa: E402
from kexue.models.nystromformer import NystromAttention, iterative_pinv, nystrom_attention  # noqa: E402

LENGTH, LANDMARKS = 32, 4


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers")


def theirs(transformers, cls="NystromformerModel", **options):
    torch.manual_seed(0)
    config = transformers.NystromformerConfig(
        **dict(
            vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
            max_position_embeddings=2 * LENGTH, segment_means_seq_len=LENGTH, num_landmarks=LANDMARKS,
            conv_kernel_size=5,
        ) | options
    )  # fmt: skip
    model = getattr(transformers, cls)(config).eval()
    for parameter in model.parameters():  # larger than their initial values, so that attention is no uniform mean
        parameter.data += 0.3 * torch.randn(parameter.shape)
    return model.double()


def ours(state, name="nystromformer/tiny", **options):
    options = dict(context=2 * LENGTH, type_vocab_size=2, init="original") | options
    model = create_model(name, **options).double().eval()
    model.load_huggingface(state)
    return model


def tokens(batch=1, length=LENGTH):
    return torch.randint(2, 64, (batch, length), generator=torch.Generator().manual_seed(1))


class TestHuggingFace:
    @pytest.mark.parametrize("cls", ["NystromformerModel", "NystromformerForMaskedLM"])
    def test_equal_on_the_same_weights(self, transformers, cls):
        peer = theirs(transformers, cls)
        model, x = ours(peer.state_dict()), tokens(2)
        types = torch.arange(LENGTH).expand(2, -1) // 16
        with torch.no_grad():
            expected = peer(x, token_type_ids=types)[0]
            got = model.encode(x, types=types) if cls == "NystromformerModel" else model(x, types=types)
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)

    def test_equal_gradients(self, transformers):
        peer = theirs(transformers)
        model = ours(peer.state_dict())
        peer(tokens()).last_hidden_state.square().sum().backward()
        model.encode(tokens()).square().sum().backward()
        for block, layer in zip(model.blocks, peer.encoder.layer, strict=True):
            attention = layer.attention.self
            parts = [attention.query, attention.key, attention.value]
            expected = torch.cat([part.weight.grad for part in parts])
            torch.testing.assert_close(block.attention.qkv.weight.grad, expected, rtol=1e-8, atol=1e-8)
            torch.testing.assert_close(block.attention.conv.grad, attention.conv.weight.grad, rtol=1e-8, atol=1e-8)

    def test_equal_classifier(self, transformers):
        peer = theirs(transformers, "NystromformerForSequenceClassification", num_labels=3)
        model = ours(peer.state_dict(), "nystromformer/classifier-tiny", num_labels=3, pooling="first")
        with torch.no_grad():
            torch.testing.assert_close(model(tokens(2)), peer(tokens(2)).logits, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize(("preset", "kernel", "landmarks"), [("512", 33, 64), ("4096", 65, 512)])
    def test_equal_number_of_parameters(self, transformers, preset, kernel, landmarks):
        """But for the two rows of positions that theirs never reads, and the head of sentences that theirs lacks."""
        model = create_model(f"nystromformer/{preset}", device="meta", sentence_order=False)
        config = transformers.NystromformerConfig(
            vocab_size=50_265, max_position_embeddings=int(preset), type_vocab_size=1, conv_kernel_size=kernel,
            num_landmarks=landmarks, segment_means_seq_len=int(preset),
        )  # fmt: skip
        with torch.device("meta"):
            peer = transformers.NystromformerForMaskedLM(config)
        assert model.num_parameters() == sum(p.numel() for p in peer.parameters()) - 2 * 768

    def test_their_default_is_softmax_attention(self, transformers):
        """num_landmarks = segment_means_seq_len = 64 by default, which they take for "as many landmarks as tokens"."""
        defaults = transformers.NystromformerConfig()
        assert defaults.num_landmarks == defaults.segment_means_seq_len == 64
        peer = theirs(transformers, num_landmarks=64, segment_means_seq_len=64, max_position_embeddings=256)
        softmax = ours(peer.state_dict(), context=256, num_landmarks=256)
        landmarks = ours(peer.state_dict(), context=256, num_landmarks=64)
        x = tokens(length=256)
        with torch.no_grad():
            expected = peer(x).last_hidden_state
            torch.testing.assert_close(softmax.encode(x), expected, rtol=1e-9, atol=1e-9)
            assert float((landmarks.encode(x) - expected).abs().max()) > 0.01

    def test_their_landmarks_refuse_padding_masks(self, transformers):
        peer = theirs(transformers)
        mask = torch.ones(2, LENGTH, dtype=torch.long)
        mask[1, 20:] = 0
        with pytest.raises(RuntimeError, match="must match the size"):
            peer(tokens(2), attention_mask=mask)
        model = ours(peer.state_dict(), init="exact")
        with torch.no_grad():
            padded = model.encode(tokens(2), mask.bool())[1:, :20]
            torch.testing.assert_close(padded, model.encode(tokens(2)[1:, :20]), rtol=1e-9, atol=1e-9)

    def test_their_landmarks_fit_one_length_only(self, transformers):
        """With twice the length one layer makes two samples of one, two layers fail; half the length is an error."""
        x = tokens(1, 2 * LENGTH)
        peer = theirs(transformers, num_hidden_layers=1)
        with torch.no_grad():
            assert peer(x).last_hidden_state.shape == (2, 2 * LENGTH, 32)
            with pytest.raises(RuntimeError, match="invalid for input of size"):
                peer(tokens(1, LENGTH // 2))
            peer = theirs(transformers)
            with pytest.raises(RuntimeError, match="must match the size"):
                peer(x)
            assert ours(peer.state_dict()).encode(x).shape == (1, 2 * LENGTH, 32)

    def test_their_exact_initial_value_is_an_error(self, transformers):
        with pytest.raises(TypeError, match="not subscriptable"):
            theirs(transformers, inv_coeff_init_option=True)

    def test_their_samples_depend_on_their_neighbours(self, transformers):
        peer = theirs(transformers)
        model = ours(peer.state_dict(), init="exact")
        x = tokens(4)
        with torch.no_grad():
            leak = float((peer(x).last_hidden_state[:1] - peer(x[:1]).last_hidden_state).abs().max())
            assert leak > 1e-4
            torch.testing.assert_close(model.encode(x)[:1], model.encode(x[:1]), rtol=1e-9, atol=1e-9)


class TestNystromAttentionPackage:
    @pytest.fixture
    def package(self):
        return pytest.importorskip("nystrom_attention.nystrom_attention")

    def test_equal_if_the_landmarks_divide_the_length(self, package):
        torch.manual_seed(0)
        peer = package.NystromAttention(
            dim=24, dim_head=8, heads=3, num_landmarks=4, pinv_iterations=6, residual=True, residual_conv_kernel=5
        ).double()
        mine = NystromAttention(24, 3, num_landmarks=4, conv_kernel=5, init="original").double()
        mine.qkv.weight.data.copy_(peer.to_qkv.weight)
        mine.qkv.bias.data.zero_()
        mine.out.load_state_dict(peer.to_out[0].state_dict())
        mine.conv.data.copy_(peer.res_conv.weight)
        x = torch.randn(2, 32, 24, dtype=torch.float64)
        torch.testing.assert_close(mine(x), peer(x), rtol=1e-8, atol=1e-8)

    def test_equal_inverses(self, package):
        a = torch.randn(2, 3, 8, 8, dtype=torch.float64).softmax(-1)
        expected = package.moore_penrose_iter_pinv(a, 6)
        torch.testing.assert_close(iterative_pinv(a, 6, init="original"), expected, rtol=1e-9, atol=1e-9)

    def test_their_padding_takes_weight(self, package):
        """Of equal tokens every mean is that token; zeros that they put in front of 30 tokens, to make 32, lower it."""
        torch.manual_seed(0)
        peer = package.NystromAttention(dim=8, dim_head=8, heads=1, num_landmarks=8, residual=False).double()
        x = torch.randn(1, 1, 8, dtype=torch.float64).expand(1, 32, 8)
        v = peer.to_qkv(x).chunk(3, dim=-1)[2]
        full = peer.to_out(v)
        torch.testing.assert_close(peer(x), full, rtol=1e-6, atol=1e-6)
        assert float((peer(x[:, :30]) - full[:, :30]).detach().abs().max()) > 0.01
        q, k, v = (part[:, None, :30] for part in peer.to_qkv(x).chunk(3, dim=-1))
        torch.testing.assert_close(nystrom_attention(q, k, v, 8, ragged=True), v, rtol=1e-6, atol=1e-6)


def test_sdpa_is_the_limit_of_many_landmarks():
    q, k, v = torch.randn(3, 1, 2, 64, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(nystrom_attention(q, k, v, 64), expected)
