"""One Nyströmformer layer beside that of transformers on the same weights; its growth with the length; the inverses.

make bench ARGS="-k nystromformer"
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from kexue.models.nystromformer import Nystromformer, NystromformerConfig, iterative_pinv  # noqa: E402

WIDTH, LANDMARKS = 768, 64


def both_passes(layer, x):
    x.grad = None
    for parameter in layer.parameters():
        parameter.grad = None
    out = layer(x)
    out.backward(torch.ones_like(out))
    if out.is_cuda:
        torch.cuda.synchronize()


def layers(n: int):
    """Their layer and ours with its weights, for n tokens of width 768."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    theirs = transformers.NystromformerModel(
        transformers.NystromformerConfig(
            vocab_size=8,
            num_hidden_layers=1,
            max_position_embeddings=n,
            segment_means_seq_len=n,
            num_landmarks=LANDMARKS,
        )
    ).eval()
    config = NystromformerConfig(
        vocab_size=8,
        num_layers=1,
        context=n,
        type_vocab_size=2,
        num_landmarks=LANDMARKS,
        conv_kernel=65,
        init="original",
    )
    ours = Nystromformer(config).eval()
    ours.load_huggingface(theirs.state_dict())
    return theirs.encoder.layer[0], ours.blocks[0]


class Layer(torch.nn.Module):
    """One tensor in, one tensor out."""

    def __init__(self, inner, call):
        super().__init__()
        self.inner, self.call = inner, call

    def forward(self, x):
        return self.call(self.inner, x)


@pytest.mark.benchmark(group="nystromformer: one layer, n = 4096, 64 landmarks, forward and backward")
@pytest.mark.parametrize("who", ["ours", "huggingface"])
def test_layer(benchmark, work, who):
    theirs, ours = layers(4096)
    x = torch.randn(1, 4096, WIDTH, requires_grad=True)
    layer = Layer(ours, lambda m, x: m(x, None)) if who == "ours" else Layer(theirs, lambda m, x: m(x)[0])
    work(lambda: both_passes(layer, x))
    benchmark.pedantic(both_passes, (layer, x), rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="nystromformer: attention without projections, n = 4096, forward and backward")
@pytest.mark.parametrize("who", ["ours", "huggingface", "softmax attention (SDPA)"])
def test_attention(benchmark, work, who):
    """Landmarks, the three factors, the inverse and the convolution, with projections that cost next to nothing."""
    theirs, ours = layers(4096)
    x = torch.randn(1, 4096, WIDTH, requires_grad=True)

    class Copies(torch.nn.Module):
        def __init__(self, times):
            super().__init__()
            self.times = times
            self.weight, self.bias = ours.attention.qkv.weight, ours.attention.qkv.bias

        def forward(self, x):
            return torch.cat([x] * self.times, dim=-1) if self.times > 1 else x

    if who == "huggingface":
        attention = theirs.attention.self
        attention.query = attention.key = attention.value = Copies(1)
        layer = Layer(attention, lambda m, x: m(x)[0])
    else:
        ours.attention.qkv, ours.attention.out = Copies(3), torch.nn.Identity()
        if who != "ours":
            ours.attention.num_landmarks = 4096
        layer = Layer(ours.attention, lambda m, x: m.attend(x, None))
    work(lambda: both_passes(layer, x))
    benchmark.pedantic(both_passes, (layer, x), rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="nystromformer: growth with n, 64 landmarks, 12 heads of 64, forward and backward")
@pytest.mark.parametrize("who", ["landmarks", "softmax attention (SDPA)"])
@pytest.mark.parametrize("n", [512, 1024, 2048, 4096, 8192])
def test_growth(benchmark, who, n):
    from torch.nn.functional import scaled_dot_product_attention

    from kexue.models.nystromformer import nystrom_attention

    benchmark.extra_info["n"] = n
    torch.manual_seed(0)
    tensors = [torch.randn(1, 12, n, 64, requires_grad=True) for _ in range(3)]

    def run():
        for x in tensors:
            x.grad = None
        out = scaled_dot_product_attention(*tensors) if "SDPA" in who else nystrom_attention(*tensors, LANDMARKS)
        out.backward(torch.ones_like(out))

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)


# the fewest steps of Newton and Chebyshev that leave no larger residual ‖AXA − A‖/‖A‖ (extra_info) than six of Razavi
@pytest.mark.benchmark(group="nystromformer: 12 inverses of 256×256 at equal residual, forward and backward")
@pytest.mark.parametrize(("scheme", "steps"), [("razavi", 6), ("newton", 11), ("chebyshev", 7)])
def test_inverse(benchmark, work, scheme, steps):
    torch.manual_seed(0)
    a = (3 * torch.randn(12, 256, 256)).softmax(-1).requires_grad_()
    found = iterative_pinv(a, steps, scheme=scheme).detach()
    benchmark.extra_info["residual"] = float(((a @ found @ a - a).norm() / a.norm()).detach())

    def run():
        a.grad = None
        x = iterative_pinv(a, steps, scheme=scheme)
        x.backward(torch.ones_like(x))

    work(run)
    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
