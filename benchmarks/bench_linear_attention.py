"""Causal linear attention, forward and backward, beside linear-attention-transformer; and its growth with the length.

    make bench ARGS="-k linear_attention"

The peer's causal attention with its default buckets leaves out the tokens of a query's own bucket, and so more than
half of the multiplications; with buckets of one token it is the same function as ours. Both are measured.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from kexue.models.linear_attention import linear_attention, linear_attention_quadratic  # noqa: E402

HEADS, DIM = 8, 64


def inputs(n: int, device: str = "cpu") -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(1, HEADS, n, DIM, device=device, requires_grad=True) for _ in range(3)]


def both_passes(attend, tensors):
    for x in tensors:
        x.grad = None
    out = attend(*tensors)
    out.backward(torch.ones_like(out))
    if out.is_cuda:
        torch.cuda.synchronize()


@pytest.mark.benchmark(group="linear_attention: causal, n = 8192, forward and backward")
@pytest.mark.parametrize("who", ["ours", "peer, bucket 64 (without its own bucket)", "peer, bucket 1 (equal function)"])
def test_causal(benchmark, work, who):
    tensors = inputs(8192)
    if who == "ours":
        attend = lambda q, k, v: linear_attention(q, k, v, causal=True)  # noqa: E731
    else:
        peer = pytest.importorskip("linear_attention_transformer.linear_attention_transformer")
        bucket = 1 if "equal" in who else 64
        attend = lambda q, k, v: peer.causal_linear_attn(q, k, v, bucket_size=bucket)  # noqa: E731
    if "equal" not in who:
        work(lambda: both_passes(attend, tensors), moved=8 * tensors[0].nbytes)  # q, k, v, the output, four gradients
    benchmark.pedantic(both_passes, (attend, tensors), rounds=3 if "equal" in who else 9, warmup_rounds=1)


@pytest.mark.benchmark(group="linear_attention: growth with n, causal, forward and backward")
@pytest.mark.parametrize("n", [1024, 2048, 4096, 8192, 16384])
def test_growth(benchmark, n):
    benchmark.extra_info["n"] = n
    benchmark.pedantic(
        both_passes, (lambda q, k, v: linear_attention(q, k, v, causal=True), inputs(n)), rounds=7, warmup_rounds=1
    )


@pytest.mark.benchmark(group="linear_attention: the quadratic form, causal, forward and backward")
@pytest.mark.parametrize("n", [1024, 2048, 4096])
def test_quadratic_growth(benchmark, n):
    benchmark.extra_info["n"] = n
    attend = lambda q, k, v: linear_attention_quadratic(q, k, v, causal=True)  # noqa: E731
    benchmark.pedantic(both_passes, (attend, inputs(n)), rounds=3, warmup_rounds=1)


@pytest.mark.gpu
@pytest.mark.benchmark(group="linear_attention: CUDA, causal, forward and backward")
@pytest.mark.parametrize("n", [4096, 16384, 65536])
def test_cuda(benchmark, n):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    benchmark.extra_info["n"] = n
    attend = lambda q, k, v: linear_attention(q, k, v, causal=True)  # noqa: E731
    benchmark.pedantic(both_passes, (attend, inputs(n, "cuda")), rounds=10, warmup_rounds=3)


@pytest.mark.gpu
@pytest.mark.benchmark(group="linear_attention: CUDA, causal, n = 16384, bf16, forward and backward")
@pytest.mark.parametrize("who", ["ours", "flash-linear-attention"])
def test_cuda_peer(benchmark, who):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    tensors = [x.detach().bfloat16().requires_grad_() for x in inputs(16384, "cuda")]
    if who == "ours":
        attend = lambda q, k, v: linear_attention(q, k, v, causal=True)  # noqa: E731
    else:
        peer = pytest.importorskip("fla.ops.linear_attn")

        def attend(q, k, v):
            q, k, v = ((torch.nn.functional.elu(x) + 1 if x is not v else x).transpose(1, 2) for x in (q, k, v))
            return peer.chunk_linear_attn(q, k, v, scale=1.0, normalize=True)[0].transpose(1, 2)

    benchmark.pedantic(both_passes, (attend, tensors), rounds=10, warmup_rounds=3)
