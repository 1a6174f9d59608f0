"""Linear attention in torch: every form against the quadratic reference, states, gradients, masks, bad input."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from kexue.models import create_model  # noqa: E402
from kexue.models.linear_attention import (  # noqa: E402
    FEATURES,
    FavorFeatures,
    LinearAttentionState,
    LinearTransformerConfig,
    Linformer,
    causal_batched,
    causal_numerators,
    efficient_attention,
    linear_attention,
    linear_attention_quadratic,
    recurrent_step,
)


def qkv(*shape: int, seed: int = 0, values: int = 5) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(*shape, dtype=torch.float64, generator=g) for _ in range(2))
    return q, k, torch.randn(*shape[:-1], values, dtype=torch.float64, generator=g)


@pytest.mark.parametrize("kernel", FEATURES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 7, 64, 131])
def test_linear_equals_quadratic(kernel, causal, length):
    q, k, v = qkv(2, 3, length, 4)
    expected = linear_attention_quadratic(q, k, v, kernel, causal=causal)
    got = linear_attention(q, k, v, kernel, causal=causal, chunk=16)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
@pytest.mark.parametrize("normalised", [False, True])
def test_the_loop_over_chunks_is_the_batched_form(chunk, normalised):
    q, k, v = (x.abs().requires_grad_() for x in qkv(2, 2, 13, 3))
    state, mass = torch.rand(2, 2, 3, 5, dtype=torch.float64), torch.rand(2, 2, 3, dtype=torch.float64)
    inputs = [q, k, v, state.requires_grad_(), *([mass.requires_grad_()] if normalised else [])]
    from kexue.models.linear_attention import _causal

    outputs = [f(q, k, v, state, mass if normalised else None, chunk, 1e-6) for f in (_causal, causal_batched)]
    weights = [torch.randn_like(x) for x in outputs[0] if x is not None]
    grads = []
    for out in outputs:
        out = [x for x in out if x is not None]
        grads.append(torch.autograd.grad(out, inputs, weights))
    for a, b in zip(outputs[0], outputs[1]):
        if a is not None:
            torch.testing.assert_close(a, b)
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel", ["elu", "taylor1"])
def test_gradients(causal, kernel):
    inputs = tuple(x.requires_grad_() for x in qkv(1, 2, 5, 3))
    assert torch.autograd.gradcheck(lambda q, k, v: linear_attention(q, k, v, kernel, causal=causal, chunk=2), inputs)


def test_states_hand_over():
    q, k, v = qkv(2, 3, 20, 4)
    whole, last = linear_attention(q, k, v, causal=True, return_state=True)
    state, parts = None, []
    for piece in (slice(0, 7), slice(7, 8), slice(8, 20)):
        out, state = linear_attention(
            q[:, :, piece], k[:, :, piece], v[:, :, piece], causal=True, initial_state=state, return_state=True
        )
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, dim=2), whole)
    torch.testing.assert_close(state.state, last.state)
    step = None
    for i in range(20):
        out, step = recurrent_step(q[:, :, i], k[:, :, i], v[:, :, i], step)
        torch.testing.assert_close(out, whole[:, :, i])
    torch.testing.assert_close(step.mass, last.mass)


def test_nothing_sees_the_future():
    q, k, v = (x.requires_grad_() for x in qkv(1, 1, 9, 3))
    for attend in (
        lambda: linear_attention(q, k, v, causal=True, chunk=4),
        lambda: efficient_attention(q, k, v, causal=True),
    ):
        (grad,) = torch.autograd.grad(attend()[0, 0, 4].sum(), k)
        assert float(grad[0, 0, 5:].abs().max()) == 0 and float(grad[0, 0, :5].abs().min()) > 0


def test_efficient_attention():
    q, k, v = qkv(2, 3, 300, 4)
    weights = q.softmax(-1) @ k.softmax(-2).mT
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 300).double())
    torch.testing.assert_close(efficient_attention(q, k, v), weights @ v)
    torch.testing.assert_close(linear_attention(q, k, v, "softmax"), weights @ v)
    e = k.exp()
    causal = ((q.softmax(-1) / e.cumsum(-2)) @ e.mT).tril() @ v
    torch.testing.assert_close(efficient_attention(q, k, v, causal=True), causal)
    growing = k + 3.0 * torch.arange(300)[:, None]  # e^900 overflows; only differences matter
    assert efficient_attention(q, growing, v, causal=True).isfinite().all()


def test_masked_keys_don_t_count():
    q, k, v = qkv(2, 3, 12, 4)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1, 7:] = False
    for kernel in ("elu", "softmax"):
        got = linear_attention(q, k, v, kernel, mask=mask)
        torch.testing.assert_close(got[1:], linear_attention(q[1:], k[1:, :, :7], v[1:, :, :7], kernel))
        torch.testing.assert_close(got[:1], linear_attention(q[:1], k[:1], v[:1], kernel))


def test_random_features_approach_the_softmax():
    torch.manual_seed(0)
    q, k, v = qkv(1, 2, 30, 8)
    q, k = q / 2, k / 2
    exact = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    errors = []
    for count in (64, 4096):
        features = FavorFeatures(8, count).double()
        errors.append(float((linear_attention(q, k, v, features) - exact).norm() / exact.norm()))
    assert errors[1] < 0.1 and errors[1] < errors[0] / 3
    plain = FavorFeatures(8, 64, stabilised=False).double()
    shifted = FavorFeatures(8, 64).double()
    shifted.directions.copy_(plain.directions)
    torch.testing.assert_close(
        linear_attention(q, k, v, plain, eps=0), linear_attention(q, k, v, shifted, eps=0), rtol=1e-3, atol=1e-3
    )
    before = shifted.directions.clone()
    shifted.redraw()
    assert not torch.equal(before, shifted.directions)


def test_linformer_with_identity_projections_is_attention():
    q, k, v = qkv(2, 3, 6, 4)
    linformer = Linformer(6, 6).double()
    linformer.project_keys.data.copy_(torch.eye(6))
    linformer.project_values.data.copy_(torch.eye(6))
    torch.testing.assert_close(linformer(q, k, v), torch.nn.functional.scaled_dot_product_attention(q, k, v))


def test_low_precision_sums_in_float32():
    q, k, v = (x.bfloat16() for x in qkv(1, 2, 1500, 8))
    exact = linear_attention(*(x.double() for x in (q, k, v)), causal=True)
    got = linear_attention(q, k, v, causal=True)
    assert got.dtype == torch.bfloat16
    assert float((got.double() - exact).abs().max()) < 0.02


def test_numerators_with_a_start():
    q, k, v = (x.abs() for x in qkv(1, 2, 9, 3))
    start = torch.rand(1, 2, 3, 5, dtype=torch.float64)
    out, _ = causal_numerators(q, k, v, initial_state=start, chunk=4)
    torch.testing.assert_close(out, (q @ k.mT).tril() @ v + q @ start)


def test_paper_configurations():
    mnist = create_model("linear_attention/mnist", device="meta").config
    assert (mnist.num_layers, mnist.num_heads, mnist.width, mnist.ffn, mnist.context) == (8, 8, 256, 1024, 784)
    assert create_model("linear_attention/cifar10", device="meta").config.num_layers == 16


X = torch.zeros(1, 2, 5, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_attention(X, X, X, "gauss"), "feature_map must be one of elu, .*, got 'gauss'"),
        (lambda: linear_attention(X, X, X[:, :, :3]), "shapes don't fit"),
        (lambda: linear_attention(X, X[:, :1], X[:, :1]), "shapes don't fit"),
        (lambda: linear_attention(X, X[:, :, :3], X[:, :, :3], causal=True), "as many queries as keys, got 5 and 3"),
        (lambda: linear_attention(X[0], X, X), "q must have shape"),
        (lambda: linear_attention(X, X, X.long()), "v must be a floating point tensor, got torch.int64"),
        (lambda: linear_attention(X, X, X, chunk=0), "chunk must be at least 1, got 0"),
        (lambda: linear_attention(X, X, X, "softmax", causal=True), "see the future"),
        (lambda: linear_attention(X, X, X, return_state=True), "causal attention only"),
        (lambda: linear_attention(X, X, X, mask=torch.ones(1, 4, dtype=torch.bool)), r"shape \(1, 5\), got \(1, 4\)"),
        (
            lambda: linear_attention(X, X, X, causal=True, mask=torch.ones(1, 5, dtype=torch.bool)),
            "bidirectional attention only",
        ),
        (lambda: linear_attention(X, X, X, mask=torch.zeros(1, 5, dtype=torch.bool)), "leave a key to each sequence"),
        (
            lambda: linear_attention(X, X, X, causal=True, initial_state=LinearAttentionState(X, X[..., 0])),
            "initial_state must hold tensors of shapes",
        ),
        (lambda: recurrent_step(X[:, :, 0], X[:, :, 0], X[:, :, 0], None, FavorFeatures(4)), "stabilised=False"),
        (lambda: FavorFeatures(0), "dim must be at least 1, got 0"),
        (lambda: FavorFeatures(4, 0), "num_features must be at least 1, got 0"),
        (lambda: Linformer(4, 5), "rank must be from 1 to length = 4, got 5"),
        (lambda: Linformer(4, 2)(X, X, X), "must have the length 4, got 5"),
        (lambda: LinearTransformerConfig(feature_map="gauss"), "feature_map must be one of"),
        (lambda: LinearTransformerConfig(num_heads=7), "num_heads must divide width = 256, got 7"),
        (
            lambda: create_model("linear_attention/tiny")(torch.zeros(1, 65, dtype=torch.long)),
            "end before position context = 64, got 65",
        ),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()


def test_state_is_small():
    state = LinearAttentionState(torch.zeros(1, 2, 4, 5), torch.zeros(1, 2, 4))
    model = create_model("linear_attention/tiny").eval()
    tokens = torch.zeros(1, 40, dtype=torch.long)
    _, after = model.step(tokens, model.initial_state(1))
    _, later = model.step(tokens[:, :20], after)
    sizes = [[x.numel() for layer in s.layers for x in layer] for s in (after, later)]
    assert sizes[0] == sizes[1] and len(state) == 2 and math.prod(state.state.shape) == 40
