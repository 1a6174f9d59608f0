"""Transformer-VQ: linear and quadratic forms agree in value and gradient, streaming is one shot, and codebooks move."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import torch.multiprocessing as mp  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from vq_in_parallel import train_once  # noqa: E402

from kexue.models import create_model, generate  # noqa: E402
from kexue.models.transformer_vq import (  # noqa: E402
    GatedUnitVQ,
    LearnableVQ,
    TransformerVQ,
    TransformerVQConfig,
    VQState,
    attention,
    get_shortcodes,
    straight_through,
    vq_attention,
    vq_attention_encoder,
    vq_attention_quadratic,
    vq_attention_step,
)
from kexue.models.transformer_vq.quantiser import lookup  # noqa: E402

B, H, K, V, S = 2, 2, 3, 4, 5


def data(n: int, seed: int = 0, dtype: torch.dtype = torch.float64):
    g = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(B, H, n, d, dtype=dtype, generator=g).requires_grad_() for d in (K, K, V))
    C = torch.randn(H, S, K, dtype=dtype, generator=g)
    z, _ = get_shortcodes(k.detach(), C)
    return q, k, v, C, z


def quantised(k, C, z):
    return straight_through(k, lookup(C, z))


def biases(n: int, most: int, seed: int = 3):
    """None, constants by distance, by head, and one for each query."""
    g = torch.Generator().manual_seed(seed)
    shapes = ((min(2, most),), (most,), (H, 1, most), (B, H, n, most))
    return [None, *(torch.randn(s, dtype=torch.float64, generator=g).requires_grad_() for s in shapes)]


def close(a, b, size: float = 1e-12):
    torch.testing.assert_close(a, b, rtol=size, atol=size)


class TestLinearIsQuadratic:
    @pytest.mark.parametrize("gradient", ["truncated", "cache", "exact"])
    @pytest.mark.parametrize("window", ["toeplitz", "block"])
    @pytest.mark.parametrize("length", [1, 3, 8, 23])
    def test_values_and_gradients(self, length, window, gradient):
        n = 23
        q, k, v, C, z = data(n, length)
        for bias in biases(n, length + 1 if window == "toeplitz" else 2 * length):
            options = {"block": length, "bias": bias, "window": window, "gradient": gradient}
            fast = vq_attention(q, quantised(k, C, z), z, C, v, **options)
            plain = vq_attention_quadratic(q, quantised(k, C, z), v, **options)
            close(fast, plain)
            inputs = [q, k, v] + ([] if bias is None else [bias])
            g = torch.randn(fast.shape, dtype=fast.dtype, generator=torch.Generator().manual_seed(9))
            for a, b in zip(*(torch.autograd.grad(o, inputs, g) for o in (fast, plain)), strict=True):
                close(a, b)

    @pytest.mark.parametrize("gradient", ["truncated", "cache"])
    def test_in_groups_of_blocks(self, gradient, monkeypatch):
        q, k, v, C, z = data(40)
        bias = biases(40, 4)[-1]

        def run():
            out = vq_attention(q, quantised(k, C, z), z, C, v, block=3, bias=bias, gradient=gradient)
            return out, torch.autograd.grad(out.square().sum(), (q, k, v, bias))

        whole = run()
        monkeypatch.setattr(attention, "NUMBERS_AT_ONCE", 2 * B * H * ((S + 6) * V + 3 * (6 + S)))
        grouped = run()
        close(grouped[0], whole[0])
        for a, b in zip(grouped[1], whole[1], strict=True):
            close(a, b)

    def test_single_precision(self):
        q, k, v, C, z = data(64, dtype=torch.float32)
        fast = vq_attention(q, quantised(k, C, z), z, C, v, block=8)
        close(fast, vq_attention_quadratic(q, quantised(k, C, z), v, block=8), 1e-5)

    def test_against_torch_attention(self):
        """softmax(Q K̂ᵀ + B)V by scaled_dot_product_attention with B and the causal mask as a float mask."""
        n, length = 24, 6
        q, _, v, C, z = (x.detach() for x in data(n))
        b = torch.randn(length + 1, dtype=torch.float64)
        distance = torch.arange(n)[:, None] - torch.arange(n)
        inside = (distance >= 0) & (distance <= length)
        mask = torch.where(inside, b[distance.clamp(0, length)], 0.0).masked_fill(distance < 0, -torch.inf)
        expected = F.scaled_dot_product_attention(q, lookup(C, z), v, attn_mask=mask, scale=1.0)
        close(vq_attention(q, lookup(C, z), z, C, v, block=length, bias=b), expected)

    def test_a_codebook_of_all_keys_quantises_nothing(self):
        q, k, v, _, _ = (x.detach() for x in data(20))
        q, k, v = q[:1], k[:1], v[:1]
        C = k[0]
        z, error = get_shortcodes(k, C)
        assert float(error.max()) == 0
        expected = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
        close(vq_attention(q, lookup(C, z), z, C, v, block=4), expected)

    def test_renaming_the_codes_changes_nothing(self):
        q, _, v, C, z = (x.detach() for x in data(20))
        order = torch.randperm(S)
        renamed = order.argsort()[z]
        close(
            vq_attention(q, lookup(C, z), renamed, C[:, order], v, block=4),
            vq_attention(q, lookup(C, z), z, C, v, block=4),
        )

    def test_gradcheck(self):
        q, _, v, C, z = data(9)
        k_hat, bias = lookup(C, z), biases(9, 3)[-1]
        g = torch.autograd.gradcheck
        assert g(lambda q, v, b: vq_attention(q, k_hat, z, C, v, block=2, bias=b, gradient="cache"), (q, v, bias))
        assert g(lambda q, v: vq_attention_encoder(q, k_hat, z, C, v), (q, v))

    def test_the_window_of_the_paper_depends_on_the_block(self):
        q, _, v, C, z = (x.detach() for x in data(24))
        k_hat, bias = lookup(C, z), torch.ones(4, dtype=torch.float64)

        def out(length, window, bias):
            return vq_attention(q, k_hat, z, C, v, block=length, bias=bias, window=window)

        close(out(3, "toeplitz", bias), out(8, "toeplitz", bias))
        long = torch.linspace(0, 2, 6, dtype=torch.float64)
        assert float((out(3, "block", long) - out(4, "block", long)).abs().max()) > 0.01


class TestEncoder:
    def test_values_mask_and_exact_gradients(self):
        q, k, v, C, z = data(17)
        mask = torch.ones(B, 17, dtype=torch.bool)
        mask[1, 9:] = False
        for keep in (None, mask):
            k_hat = quantised(k, C, z)
            fast = vq_attention_encoder(q, k_hat, z, C, v, mask=keep)
            scores = q @ k_hat.mT
            if keep is not None:
                scores = scores.masked_fill(~keep[:, None, None], -torch.inf)
            plain = scores.softmax(-1) @ v
            close(fast, plain)
            g = torch.randn_like(fast)
            for a, b in zip(*(torch.autograd.grad(o, (q, k, v), g, retain_graph=True) for o in (fast, plain))):
                close(a, b)

    def test_without_the_exact_gradient_keys_get_none(self):
        q, k, v, C, z = data(6)
        out = vq_attention_encoder(q, quantised(k, C, z), z, C, v, gradient="cache")
        assert torch.autograd.grad(out.sum(), k, allow_unused=True)[0] is None


class TestStreaming:
    @pytest.mark.parametrize("window", ["toeplitz", "block"])
    @pytest.mark.parametrize("pieces", [(1,), (2, 1, 5), (4,), (3, 9, 4, 1), (31,), (5, 26)])
    def test_pieces_are_one_shot(self, pieces, window):
        n, length = 31, 4
        q, _, v, C, z = (x.detach() for x in data(n))
        k_hat = lookup(C, z)
        for bias in biases(n, length + 1 if window == "toeplitz" else 2 * length):
            bias = None if bias is None else bias.detach()
            expected = vq_attention(q, k_hat, z, C, v, block=length, bias=bias, window=window)
            for grad in (False, True):
                state, at, found = VQState.empty(B, H, length, K, V, S, dtype=torch.float64), 0, []
                with torch.set_grad_enabled(grad):
                    while at < n:
                        end = min(at + pieces[len(found) % len(pieces)], n)
                        own = bias[..., at:end, :] if bias is not None and bias.ndim == 4 else bias
                        rows = (x[:, :, at:end] for x in (q, k_hat, z))
                        found.append(vq_attention_step(*rows, C, v[:, :, at:end], state, bias=own, window=window))
                        at = end
                assert state.position == n
                close(torch.cat(found, dim=2), expected)

    def test_segments_train_without_gradient_to_earlier_ones(self):
        q, k, v, C, z = data(16)
        state = VQState.empty(B, H, 4, K, V, S, dtype=torch.float64)
        k_hat, out = quantised(k, C, z), None
        for part in (slice(0, 8), slice(8, 16)):
            out = vq_attention_step(*(x[:, :, part] for x in (q, k_hat, z)), C, v[:, :, part], state)
        to_k, to_v = torch.autograd.grad(out.sum(), (k, v))
        for g in (to_k, to_v):
            assert not g[:, :, :8].any() and bool(g[:, :, 8:12].any())
        assert not state.keys.requires_grad and not state.mean.requires_grad

    def test_the_state_does_not_grow_and_counts_are_exact_in_bfloat16(self):
        state = VQState.empty(1, 1, 4, K, V, S, dtype=torch.bfloat16)
        size = state.numbers()
        q, v = torch.zeros(1, 1, 4, K, dtype=torch.bfloat16), torch.ones(1, 1, 4, V, dtype=torch.bfloat16)
        C, z = torch.zeros(1, S, K, dtype=torch.bfloat16), torch.zeros(1, 1, 4, dtype=torch.long)
        with torch.no_grad():
            for _ in range(200):
                out = vq_attention_step(q, q, z, C, v, state)
        assert state.numbers() == size
        assert float(state.count[0, 0, 0]) == 4 * 199 and state.count.dtype == torch.float32
        assert float((out - 1).abs().max()) == 0


class TestModel:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return create_model("transformer_vq/tiny", block=4).double().eval()

    @pytest.mark.parametrize("options", [{}, {"positions": "bias", "window": "toeplitz"}, {"positions": "none"},
                                         {"num_heads": 2, "absolute_positions": True, "tied": True,
                                          "final_norm": True, "window": "toeplitz"}])  # fmt: skip
    def test_every_variant_streams_trains_and_generates(self, options):
        torch.manual_seed(0)
        model = create_model("transformer_vq/tiny", block=4, **options).double()
        loss = model.loss(model.example(2, torch.Generator().manual_seed(0)))
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        model.eval()
        tokens = torch.randint(17, (2, 41), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected, state, found = model(tokens), model.initial_state(2), []
            for piece in tokens.split((3, 1, 1, 9, 4, 23), dim=1):
                logits, state = model.step(piece, state)
                found.append(logits)
        close(torch.cat(found, dim=1), expected, 1e-10)
        drawn = generate(model, tokens[:, :3], 20, temperature=0)
        again = tokens[:, :3]
        for _ in range(20):
            again = torch.cat((again, model(again)[:, -1].argmax(-1, keepdim=True)), dim=1)
        assert torch.equal(drawn, again)

    def test_a_unit_is_the_formula(self, model):
        """One unit written out with the quadratic softmax and explicit distances."""
        unit, x = model.blocks[0], torch.randn(2, 14, 32, dtype=torch.float64)
        unit.content_bias.data.normal_()
        unit.position_bias.data.normal_()
        codebook = unit.vq.codebook
        y, _, z = unit(x, codebook)
        c, scale = model.config, model.config.key_dim**-0.25
        norm = lambda t: t / (t.square().mean(-1, keepdim=True) + 1e-6).sqrt()  # noqa: E731
        inner = norm(x) * unit.norm.weight + unit.norm.bias
        q = norm(inner @ unit.query.weight.T) * scale
        k, v, g = (inner @ unit.key_value_gate.weight.T).split((8, 64, 64), dim=-1)
        assert torch.equal(torch.cdist(norm(k) * scale, codebook).argmin(-1), z[:, 0])
        k_hat = codebook[0][z[:, 0]]
        r = unit.table @ unit.position.weight.T * scale
        i = torch.arange(14)
        d = i[:, None] - i
        near = (d >= 0) & (i[:, None] // c.block - i // c.block <= 1)
        position = torch.einsum("bik,ijk->bij", q + unit.position_bias * scale, r[d.clamp(0, 2 * c.block - 1)])
        scores = (q + unit.content_bias * scale) @ k_hat.mT + position * near
        mixed = scores.masked_fill(d < 0, -torch.inf).softmax(-1) @ F.silu(v)
        close(y, x + (mixed * F.silu(g)) @ unit.residual.weight.T, 1e-10)

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [("enwik8", 184_504_576), ("pg19", 1_311_489_280), ("imagenet64", 1_246_445_825), ("tiny", 15_089)],
    )
    def test_parameters(self, name, parameters):
        """184.5, 1311 and 1246 million as in the released configurations (the paper rounds to 190M, 1.3B, 1.2B)."""
        assert create_model(f"transformer_vq/{name}", device="meta").num_parameters() == parameters

    def test_codebook_state_of_enwik8(self):
        model = create_model("transformer_vq/enwik8", device="meta")
        assert sum(b.numel() for name, b in model.named_buffers() if "c_" in name) == 48 * 512 * (128 + 1) == 3_170_304

    def test_the_loss_moves_the_codebooks_last(self, model):
        batch = model.example(2, torch.Generator().manual_seed(1))
        before = [block.vq.codebook for block in model.blocks]
        still = model.loss(batch)
        assert all(torch.equal(a, b.vq.codebook) for a, b in zip(before, model.blocks, strict=True))
        model.train()
        with torch.no_grad():
            model.loss(batch)
        assert all(torch.equal(a, b.vq.codebook) for a, b in zip(before, model.blocks, strict=True))
        moving = model.loss(batch)
        assert torch.equal(still, moving)
        assert not any(torch.equal(a, b.vq.codebook) for a, b in zip(before, model.blocks, strict=True))

    def test_padding_counts_nowhere(self, model):
        model.train()
        batch = model.example(2, torch.Generator().manual_seed(1))
        tokens, mask = batch["tokens"][:, :21], torch.ones(2, 20, dtype=torch.bool)
        mask[:, 13:] = False
        states, losses = [], []
        for filler in (0, 5):
            torch.manual_seed(0)
            other = create_model("transformer_vq/tiny", block=4).double()
            padded = tokens.clone()
            padded[:, 14:] = filler
            losses.append(other.loss({"tokens": padded, "mask": mask}).detach())
            states.append([block.vq.c_sum.clone() for block in other.blocks])
        torch.manual_seed(0)
        short = create_model("transformer_vq/tiny", block=4).double()
        losses.append(short.loss({"tokens": tokens[:, :14]}).detach())
        states.append([block.vq.c_sum.clone() for block in short.blocks])
        for i in (1, 2):
            close(losses[i], losses[0])
            for a, b in zip(states[i], states[0], strict=True):
                close(a, b)

    def test_segments_share_the_noise_of_their_sequence(self):
        torch.manual_seed(0)
        model = create_model("transformer_vq/tiny", dropout_layer=0.5, dropout_sinusoid=0.5).double()
        tokens = torch.randint(17, (4, 33))
        state = model.initial_state(4)
        model.segment_loss(tokens[:, :17], state)
        first = [s.noise for s in state]
        model.segment_loss(tokens[:, 16:], state)
        assert all(a is not None and a[0] is b.noise[0] for a, b in zip(first, state, strict=True))
        assert state[0].attention.position == 32

    def test_segments_have_the_value_of_the_whole(self, model):
        tokens = torch.randint(17, (2, 25), generator=torch.Generator().manual_seed(0))
        whole = model.loss({"tokens": tokens})
        state = model.initial_state(2)
        parts = [model.segment_loss(tokens[:, i : i + 9], state) for i in (0, 8, 16)]
        close(sum(parts) / 3, whole)

    @pytest.mark.slow
    def test_codebooks_are_the_same_on_all_processes(self, tmp_path):
        mp.spawn(train_once, args=(2, str(tmp_path)), nprocs=2, join=True)
        torch.manual_seed(0)
        model = create_model("transformer_vq/tiny")
        model.loss(model.example(4, torch.Generator().manual_seed(1)))
        for rank in (0, 1):
            for mine, block in zip(torch.load(tmp_path / f"{rank}.pt"), model.blocks, strict=True):
                torch.testing.assert_close(mine, block.vq.codebook, rtol=1e-5, atol=1e-6)


class TestCodebook:
    def test_nearest_with_ties_and_distances(self):
        C = torch.tensor([[[1.0, 0], [0, 1], [-1, 0]]])
        z, error = get_shortcodes(torch.tensor([[[[0.0, 0], [0, 3], [-1, 0]]]]), C)
        assert z.tolist() == [[[0, 1, 2]]]
        assert error.tolist() == [[[1.0, 4.0, 0.0]]]

    def test_many_keys_in_parts(self, monkeypatch):
        x, C = torch.randn(2, 3, 50, 4), torch.randn(3, 7, 4)
        expected = torch.cdist(x, C).argmin(-1)
        monkeypatch.setattr("kexue.models.transformer_vq.quantiser.SCORES_AT_ONCE", 2 * 3 * 7 * 8)
        assert torch.equal(get_shortcodes(x, C)[0], expected)

    def test_kmeans_lowers_the_error(self):
        torch.manual_seed(0)
        vq = LearnableVQ(2, 6, 3)
        errors = vq.initialise(torch.randn(3, 2, 80, 3), 12, torch.Generator().manual_seed(0))
        assert bool((errors.diff() <= 1e-6).all()) and float(errors[-1]) < 0.8 * float(errors[0])
        entropy, dead = vq.usage()
        assert entropy.shape == (2,) and dead.tolist() == [0, 0]

    def test_an_unused_code_stays_where_it_is(self):
        vq = LearnableVQ(1, 3, 2, gamma=0.5).double()
        k, z = torch.ones(1, 1, 4, 2, dtype=torch.float64), torch.zeros(1, 1, 4, dtype=torch.long)
        before = vq.codebook
        for _ in range(5):
            vq.update(vq.statistics(k, z))
        close(vq.codebook[:, 1:], before[:, 1:])
        assert float((vq.codebook[:, 0] - 1).abs().max()) < float((before[:, 0] - 1).abs().max())

    def test_the_commitment_pulls_keys_only(self):
        vq = LearnableVQ(2, 3, 2)
        k = torch.randn(2, 2, 5, 2, requires_grad=True)
        out = vq(k)
        assert out.commitment.shape == (2, 5)
        out.commitment.sum().backward()
        torch.testing.assert_close(k.grad, 2 * (k - out.quantized).detach())


ONES = dict(q=torch.ones(1, 1, 4, 2), k=torch.ones(1, 1, 4, 2), v=torch.ones(1, 1, 4, 3))
CODEBOOK, CODES = torch.ones(1, 3, 2), torch.zeros(1, 1, 4, dtype=torch.long)


def call(block=2, codebook=CODEBOOK, shortcodes=CODES, **changed):
    options = {name: changed.pop(name) for name in ("bias", "window", "gradient") if name in changed}
    x = {**ONES, **changed}
    return vq_attention(x["q"], x["k"], shortcodes, codebook, x["v"], block=block, **options)


class TestBadInput:
    @pytest.mark.parametrize(
        ("run", "message"),
        [
            (lambda: call(block=0), "block must be at least 1, got 0"),
            (lambda: call(bias=torch.zeros(4)), "bias must have 1 to 3 distances for a toeplitz window, got 4"),
            (lambda: call(bias=torch.zeros(5), window="block"), "1 to 4 distances for a block window, got 5"),
            (lambda: call(bias=torch.zeros(2, 3)), r"bias must be broadcastable to \(1, 1, 4, 3\), got \(2, 3\)"),
            (lambda: call(gradient="none"), "gradient must be one of truncated, cache, exact, got 'none'"),
            (lambda: call(shortcodes=CODES + 3), r"shortcodes must be in \[0, 3\), got 3..3"),
            (lambda: call(codebook=torch.ones(1, 3, 4)), "codebook must have shape"),
            (lambda: call(codebook=CODEBOOK * torch.nan), "codebook must be finite"),
        ],
    )
    def test_attention(self, run, message, no_shape_checks):
        with pytest.raises(ValueError, match=message):
            run()

    def test_types(self, no_shape_checks):
        with pytest.raises(ValueError, match=r"q must be floating point, got torch\.int64"):
            call(q=torch.ones(1, 1, 4, 2, dtype=torch.long))
        with pytest.raises(ValueError, match=r"shortcodes must be integers, got torch\.float32"):
            call(shortcodes=CODES.float())

    def test_all_keys_masked(self):
        with pytest.raises(ValueError, match="mask must leave at least one key of each sequence"):
            mask = torch.zeros(1, 4, dtype=torch.bool)
            vq_attention_encoder(ONES["q"], ONES["k"], CODES, CODEBOOK, ONES["v"], mask=mask)

    def test_a_foreign_state(self):
        state = VQState.empty(2, 1, 2, 2, 3, 3)
        with pytest.raises(ValueError, match="state must hold keys and means of shapes"):
            vq_attention_step(ONES["q"], ONES["k"], CODES, CODEBOOK, ONES["v"], state)
        model = create_model("transformer_vq/tiny")
        with pytest.raises(ValueError, match="state must hold"):
            model.step(torch.zeros(1, 3, dtype=torch.long), model.initial_state(2))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"gamma": 1.0}, r"gamma must be in \[0, 1\), got 1.0"),
            ({"num_codes": 0}, "num_codes must be at least 1, got 0"),
            ({"window": "ring"}, "window must be one of toeplitz, block, got 'ring'"),
            ({"positions": "rope"}, "positions must be one of xl, bias, none, got 'rope'"),
            ({"num_heads": 5}, "value_dim must be a multiple of num_heads = 5, got 1536"),
            ({"width": 31}, "width must be even"),
            ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ],
    )
    def test_config(self, change, message):
        with pytest.raises(ValueError, match=message):
            TransformerVQConfig(**change)

    def test_codebooks(self):
        with pytest.raises(ValueError, match=r"gamma must be in \[0, 1\), got 2.0"):
            LearnableVQ(1, 2, 3, gamma=2.0)
        with pytest.raises(ValueError, match="at least num_codes = 4 vectors for each head, got 3"):
            LearnableVQ(1, 4, 2).initialise(torch.randn(1, 1, 3, 2))


def test_the_public_classes_are_modules():
    assert issubclass(GatedUnitVQ, torch.nn.Module) and issubclass(TransformerVQ, torch.nn.Module)
