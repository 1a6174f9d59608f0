"""Nyströmformer in torch: references, gradients, masks, exact cases, independence of batch and padding, bad input."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from kexue.models import create_model  # noqa: E402
from kexue.models.nystromformer import (  # noqa: E402
    NystromAttention,
    Nystromformer,
    NystromformerClassifierConfig,
    NystromformerConfig,
    iterative_pinv,
    nystrom_attention,
    nystrom_attention_quadratic,
    nystrom_error,
    nystrom_factors,
    segment_means,
)

SCHEMES = ["razavi", "newton", "chebyshev"]
EPS = torch.finfo(torch.float64).eps


def inputs(batch=2, heads=3, length=20, dim=8, seed=0, value=None):
    generator = torch.Generator().manual_seed(seed)
    sizes = (dim, dim, value or dim)
    return [torch.randn(batch, heads, length, d, dtype=torch.float64, generator=generator) for d in sizes]


def padding(*lengths, length=20):
    return torch.arange(length) < torch.tensor(lengths)[:, None]


class TestForms:
    @pytest.mark.parametrize("inverse", [*SCHEMES, "exact"])
    @pytest.mark.parametrize("num_landmarks", [1, 4, 5, 20, 30])
    @pytest.mark.parametrize("conv", [None, 5])
    def test_fused_equals_plain(self, inverse, num_landmarks, conv):
        q, k, v = inputs(value=6)
        conv = conv and torch.randn(3, 1, conv, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        got = nystrom_attention(q, k, v, num_landmarks, inverse=inverse, conv=conv)
        expected = nystrom_attention_quadratic(q, k, v, num_landmarks, inverse=inverse, conv=conv)
        torch.testing.assert_close(got, expected, rtol=1e5 * EPS, atol=1e5 * EPS)

    @given(st.lists(st.integers(1, 20), min_size=2, max_size=2), st.integers(1, 21), st.sampled_from(SCHEMES))
    @settings(max_examples=40, deadline=None)
    def test_fused_equals_plain_with_padding(self, lengths, num_landmarks, inverse):
        q, k, v = inputs()
        mask = padding(*lengths)
        conv = torch.randn(3, 1, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        options = dict(mask=mask, inverse=inverse, conv=conv)
        got = nystrom_attention(q, k, v, num_landmarks, **options).mT.masked_fill(~mask[:, None, None], 0)
        expected = nystrom_attention_quadratic(q, k, v, num_landmarks, **options)
        torch.testing.assert_close(got, expected.mT.masked_fill(~mask[:, None, None], 0), rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("num_landmarks", [20, 21, 100])
    def test_as_many_landmarks_as_tokens_is_softmax_attention(self, num_landmarks):
        q, k, v = inputs()
        expected = F.scaled_dot_product_attention(q, k, v)
        torch.testing.assert_close(nystrom_attention(q, k, v, num_landmarks), expected)
        mask = padding(20, 7)
        masked = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        torch.testing.assert_close(nystrom_attention(q, k, v, num_landmarks, mask=mask), masked)

    @pytest.mark.parametrize("smooth", ["q", "k", "both"])
    def test_piecewise_constant_tokens_are_exact(self, smooth):
        q, k, v = inputs(dim=4)
        step = lambda x: segment_means(x, 5).repeat_interleave(4, dim=-2)  # noqa: E731
        q, k = (step(q) if smooth in ("q", "both") else q), (step(k) if smooth in ("k", "both") else k)
        got = nystrom_attention(q, k, v, 5, inverse="exact")
        torch.testing.assert_close(got, F.scaled_dot_product_attention(q, k, v), rtol=1e-10, atol=1e-10)

    def test_factors_are_row_stochastic_and_the_module_is_the_function(self):
        q, k, _ = inputs()
        for factor in nystrom_factors(q, k, 5):
            torch.testing.assert_close(factor.sum(-1), torch.ones_like(factor[..., 0]))
        attention = NystromAttention(24, 3, num_landmarks=5, conv_kernel=3).double()
        x, mask = torch.randn(2, 20, 24, dtype=torch.float64), padding(20, 13)
        q, k, v = attention.qkv(x).unflatten(-1, (3, 3, 8)).permute(2, 0, 3, 1, 4)
        for m in (None, mask):
            expected = nystrom_attention(q, k, v, 5, mask=m, conv=attention.conv)
            expected = attention.out(expected.transpose(1, 2).flatten(2))
            torch.testing.assert_close(attention(x, m)[mask], expected[mask])


class TestInverse:
    @pytest.mark.parametrize(("scheme", "steps"), [("razavi", 6), ("newton", 10), ("chebyshev", 6)])
    def test_converges_to_the_inverse_and_the_pseudo_inverse(self, scheme, steps):
        a = torch.randn(3, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).softmax(-1)
        torch.testing.assert_close(iterative_pinv(a, 25, scheme=scheme), a.inverse(), rtol=1e-8, atol=1e-8)
        singular = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]], dtype=torch.float64)
        found = iterative_pinv(singular, steps, scheme=scheme)
        torch.testing.assert_close(found, torch.linalg.pinv(singular), rtol=1e-8, atol=1e-8)

    def test_each_matrix_by_itself_or_as_in_the_paper(self):
        a = torch.randn(4, 6, 6, dtype=torch.float64).softmax(-1)
        torch.testing.assert_close(iterative_pinv(a)[1:3], iterative_pinv(a[1:3]))
        a[3] = torch.tensor([1.0, 0, 0, 0, 0, 0])
        assert (
            float((iterative_pinv(a, init="original")[:3] - iterative_pinv(a[:3], init="original")).abs().max()) > 1e-3
        )

    def test_low_precision_is_computed_in_float32(self):
        a = torch.randn(6, 6).softmax(-1).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            got = iterative_pinv(a)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, iterative_pinv(a.float()))

    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize("init", ["exact", "original"])
    def test_gradients(self, scheme, init):
        """Of matrices without equal row sums, at which the norm has no derivative."""
        a = torch.rand(2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        assert torch.autograd.gradcheck(lambda a: iterative_pinv(a, 3, scheme=scheme, init=init), a.requires_grad_())


@pytest.mark.parametrize("inverse", ["razavi", "exact"])
@pytest.mark.parametrize("lengths", [None, (12, 7), (3, 10)])
def test_gradients_of_the_attention(inverse, lengths):
    q, k, v = inputs(batch=2, heads=2, length=12, dim=3)
    conv = torch.randn(2, 1, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    mask = None if lengths is None else padding(*lengths, length=12)

    def attend(q, k, v, conv):
        out = nystrom_attention(q, k, v, 4, mask=mask, inverse=inverse, steps=3, conv=conv)
        return out if mask is None else out.mT.masked_fill(~mask[:, None, None], 0)

    assert torch.autograd.gradcheck(attend, [x.requires_grad_() for x in (q, k, v, conv)], atol=1e-4)


class TestLandmarks:
    @given(st.integers(1, 40), st.integers(1, 40))
    @settings(max_examples=40, deadline=None)
    def test_ragged_segments_are_those_of_a_full_mask(self, length, num_landmarks):
        x = torch.randn(2, length, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        mask = torch.ones(2, length, dtype=torch.bool)
        masked = segment_means(x, num_landmarks, mask)
        if num_landmarks <= length:
            torch.testing.assert_close(segment_means(x, num_landmarks, ragged=True), masked)
            size, rest = divmod(length, num_landmarks)
            sizes = [size] * (num_landmarks - rest) + [size + 1] * rest
            expected = torch.stack([part.mean(1) for part in x.split(sizes, dim=1)], dim=1)
            torch.testing.assert_close(masked, expected)
        else:
            torch.testing.assert_close(masked[:, num_landmarks - length :], x)
            assert not masked[:, : num_landmarks - length].any()

    def test_padding_values_and_places_do_not_matter(self):
        x = torch.randn(1, 9, 3, dtype=torch.float64)
        expected = segment_means(x[:, [0, 2, 3, 5, 8]], 2, ragged=True)
        mask = torch.zeros(1, 9, dtype=torch.bool)
        mask[:, [0, 2, 3, 5, 8]] = True
        x[~mask] = math.nan
        torch.testing.assert_close(segment_means(x, 2, mask), expected)


class TestIndependence:
    """A sample's output depends neither on its neighbours nor on its padding."""

    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return create_model("nystromformer/tiny", inverse="razavi").double().eval()

    @pytest.mark.parametrize("length", [1, 3, 4, 5, 18, 32])
    def test_padding(self, model, length):
        tokens = torch.randint(64, (2, 32), generator=torch.Generator().manual_seed(1))
        mask = padding(32, length, length=32)
        with torch.no_grad():
            alone = model.encode(tokens[1:, :length])
            padded = model.encode(tokens, mask)[1:, :length]
            half = model.encode(tokens[1:, : (length + 32) // 2], mask[1:, : (length + 32) // 2])[:, :length]
        torch.testing.assert_close(padded, alone, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(half, alone, rtol=1e-9, atol=1e-9)

    def test_batch(self, model):
        tokens = torch.randint(64, (3, 32), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            torch.testing.assert_close(model.encode(tokens)[1:2], model.encode(tokens[1:2]))

    def test_loss_and_classifier_with_padding(self):
        torch.manual_seed(0)
        model = create_model("nystromformer/classifier-tiny").double().eval()
        tokens = torch.randint(64, (2, 32))
        mask = padding(32, 11, length=32)
        torch.testing.assert_close(model(tokens, mask)[1:], model(tokens[1:, :11]))
        encoder = create_model("nystromformer/tiny", type_vocab_size=2).double().eval()
        batch = encoder.example(2, torch.Generator().manual_seed(0)) | {"mask": mask, "types": tokens % 2}
        batch["masked"][1, 11:] = True  # padding is never asked for
        batch["masked"][1, :11] = False
        alone = {key: value[:1] for key, value in batch.items()}
        torch.testing.assert_close(encoder.loss(batch), encoder.loss(alone))


def test_the_order_of_sentences_is_learned_from_the_first_token():
    torch.manual_seed(0)
    model = create_model("nystromformer/tiny", sentence_order=True)
    batch = model.example(3, torch.Generator().manual_seed(0))
    hidden = model.encode(batch["tokens"].masked_fill(batch["masked"], 4))
    order = F.cross_entropy(model.order(hidden[:, 0]), batch["ordered"])
    words = F.cross_entropy(model.words_of(hidden)[batch["masked"]], batch["tokens"][batch["masked"]])
    torch.testing.assert_close(model.loss(batch), words + order)


def test_error_report():
    q, k, _ = inputs()
    report = nystrom_error(q, k, 5, inverse="exact")
    n = nystrom_attention_quadratic(q, k, torch.eye(20, dtype=torch.float64).expand(2, 3, 20, 20), 5, inverse="exact")
    s = F.scaled_dot_product_attention(q, k, torch.eye(20, dtype=torch.float64).expand(2, 3, 20, 20))
    torch.testing.assert_close(report.attention, (n - s).norm(dim=(-2, -1)) / s.norm(dim=(-2, -1)))
    torch.testing.assert_close(report.lowest, n.amin((-2, -1)))
    assert float(report.inverse.max()) < 1e-9 and float(report.row_sum.max()) < 1e-9
    assert float(nystrom_error(q, k, 5, steps=2).inverse.min()) > 1e-3
    assert float(nystrom_error(q, k, 20, inverse="exact").attention.max()) < 1e-9


# vocabulary, width, blocks and heads, added up by hand
def encoder_parameters(c: NystromformerConfig) -> int:
    embeddings = (c.vocab_size + c.context + c.type_vocab_size) * c.width + 2 * c.width
    attention = 4 * (c.width + 1) * c.width + c.num_heads * c.conv_kernel
    network = 2 * c.ffn * c.width + c.ffn + c.width
    return embeddings + c.num_layers * (attention + network + 4 * c.width)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("512", 125_292_779),
        ("4096", 128_049_899),
        ("lra-listops", 206_870),
        ("lra-text", 364_558),
        ("lra-image", 175_126),
    ],
)
def test_presets_have_the_papers_sizes(name, parameters):
    model = create_model(f"nystromformer/{name}", device="meta")
    c = model.config
    if isinstance(c, NystromformerClassifierConfig):
        head = (c.width + 1) * c.head_width + (c.head_width + 1) * c.num_labels
        assert (c.width, c.num_heads, c.num_layers, c.ffn, c.conv_kernel) == (64, 2, 2, 128, 35)
    else:
        words = (c.width + 1) * c.width + 2 * c.width + c.vocab_size
        head = words + (c.width + 1) * c.width + 2 * (c.width + 1)
        assert (c.width, c.num_heads, c.num_layers, c.ffn, c.vocab_size) == (768, 12, 12, 3072, 50_265)
    assert model.num_parameters() == encoder_parameters(c) + head == parameters


class TestBadInput:
    def attend(self, num_landmarks=5, **options):
        q, k, v = inputs()
        return nystrom_attention(q, k, v, num_landmarks, **options)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_landmarks": 0}, "num_landmarks must be at least 1, got 0"),
            ({"num_landmarks": 3}, "num_landmarks must divide the length 20, got 3; pass ragged=True"),
            ({"conv": torch.zeros(3, 1, 4, 1, dtype=torch.float64)}, "conv must be 3 kernels of odd size"),
            ({"conv": torch.zeros(2, 1, 3, 1, dtype=torch.float64)}, "conv must be 3 kernels of odd size"),
            ({"mask": torch.ones(2, 19, dtype=torch.bool)}, r"mask must be Boolean of shape \(2, 20\)"),
            ({"mask": padding(20, 0)}, r"mask must leave a token to each sample, got none in samples \[1\]"),
            ({"causal": True}, "causal must be False: the segment means"),
            ({"steps": -1}, "steps must be at least 0, got -1"),
            ({"inverse": "svd"}, "must be one of razavi, newton, chebyshev, exact, got 'svd'"),
            ({"init": "best"}, "init must be one of exact, original, got 'best'"),
        ],
    )
    def test_attention(self, options, message, no_shape_checks):
        with pytest.raises(ValueError, match=message):
            self.attend(**options)

    def test_tensors(self, no_shape_checks):
        q, k, v = inputs()
        with pytest.raises(ValueError, match=r"q must be a floating point tensor, got torch\.int64"):
            nystrom_attention(q.long(), k.long(), v.long(), 5)
        with pytest.raises(ValueError, match="q, k and v must have one length, got 20, 20 and 19"):
            nystrom_attention(q, k, v[:, :, :19], 5)
        with pytest.raises(ValueError, match="mask must be Boolean"):
            nystrom_attention(q, k, v, 5, mask=torch.ones(2, 20))
        with pytest.raises(ValueError, match=r"num_landmarks must be in \[1, 20\], got 21"):
            segment_means(q, 21)

    @pytest.mark.parametrize(
        ("a", "message"),
        [
            (torch.zeros(2, 3), r"a must be square in its last two dimensions, got shape \(2, 3\)"),
            (torch.zeros(3, 3), "a must have no zero matrix"),
            (torch.full((3, 3), math.nan), "a must be finite"),
            (torch.full((3, 3), math.inf), "a must be finite"),
        ],
    )
    def test_inverse(self, a, message, no_shape_checks):
        with pytest.raises(ValueError, match=message):
            iterative_pinv(a)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_heads": 5}, "width must be a multiple of num_heads = 5, got 32"),
            ({"conv_kernel": 4}, "conv_kernel must be odd, or 0 for none, got 4"),
            ({"num_landmarks": 0}, "num_landmarks must be at least 1"),
            ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
            ({"gelu": "fast"}, "gelu must be 'tanh'"),
            ({"mask_token": 64}, "mask_token must be below vocab_size = 64, got 64"),
        ],
    )
    def test_config(self, options, message):
        with pytest.raises(ValueError, match=message):
            create_model("nystromformer/tiny", **options)

    def test_models(self):
        model = create_model("nystromformer/tiny", type_vocab_size=0)
        tokens = torch.zeros(1, 33, dtype=torch.long)
        with pytest.raises(ValueError, match="tokens must have at most context = 32 positions, got 33"):
            model(tokens)
        with pytest.raises(ValueError, match="types must be None"):
            model(tokens[:, :8], types=tokens[:, :8])
        with pytest.raises(
            ValueError, match=r"state must hold embeddings\.word_embeddings.weight, got 0 other tensors"
        ):
            create_model("nystromformer/tiny").load_huggingface({})
        with pytest.raises(ValueError, match="the config must have pre_norm=False"):
            model.load_huggingface({})
        for field, value in (("pooling", "last"), ("head_activation", "tanh")):
            with pytest.raises(ValueError, match=f"{field} must be"):
                create_model("nystromformer/classifier-tiny", **{field: value})


def test_masked_tokens_are_drawn_if_none_are_given():
    torch.manual_seed(0)
    model = create_model("nystromformer/tiny")
    assert isinstance(model, Nystromformer)
    loss = model.loss({"tokens": torch.randint(64, (4, 32))})
    assert float(loss.detach()) == pytest.approx(math.log(64), rel=0.2)
