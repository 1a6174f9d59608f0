"""State space kernels, scans and LegS steps beside the formulas as they are written.

make bench ARGS="-k hippo"

The baselines are the plain references of kexue.models.hippo: the whole Vandermonde matrix for S4D, powers of a dense
matrix for S4, a loop for the scan, a dense solve for a LegS step.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from kexue.models.hippo import (  # noqa: E402
    S4D,
    discretize,
    dplr_kernel,
    dplr_kernel_reference,
    fft_convolution,
    hippo_transition,
    legs_matvec,
    legs_solve,
    linear_scan,
    linear_scan_loop,
    nplr,
    s4d_kernel,
    s4d_kernel_reference,
)

CHANNELS, STATE = 128, 64


def diagonal(device: str = "cpu") -> list[torch.Tensor]:
    torch.manual_seed(0)
    layer = S4D(CHANNELS, STATE).to(device)
    c = torch.view_as_complex(layer.C.detach())
    return [x.detach() for x in (layer.eigenvalues(), torch.ones_like(c), c, layer.log_step.exp())]


def both_passes(kernel, tensors, u):
    leaves = [x.detach().clone().requires_grad_() for x in tensors]
    out = fft_convolution(u, kernel(*leaves, u.shape[-1]))
    out.backward(torch.ones_like(out))
    if out.is_cuda:
        torch.cuda.synchronize()


@pytest.mark.benchmark(group="hippo: S4D kernel + FFT convolution, L = 4096, forward and backward")
@pytest.mark.parametrize("who", ["ours", "formula"])
def test_s4d(benchmark, who):
    kernel = s4d_kernel if who == "ours" else s4d_kernel_reference
    u = torch.randn(4, CHANNELS, 4096)
    benchmark.pedantic(both_passes, (kernel, diagonal(), u), rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="hippo: S4D kernel alone, forward, growth with L")
@pytest.mark.parametrize("who", ["ours", "formula"])
@pytest.mark.parametrize("length", [1024, 4096, 16384])
def test_s4d_growth(benchmark, who, length):
    benchmark.extra_info["n"] = length
    kernel = s4d_kernel if who == "ours" else s4d_kernel_reference
    with torch.no_grad():
        benchmark.pedantic(kernel, (*diagonal(), length), rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="hippo: S4 kernel (N = 64), forward, L = 1024")
@pytest.mark.parametrize("who", ["ours", "powers of the dense matrix"])
def test_s4(benchmark, who):
    normal = nplr("legs", STATE).half()
    parts = [x.to(torch.complex64) for x in (normal.eigenvalues, normal.P, normal.B)]
    lam, p, b = (x.expand(16, *x.shape) for x in parts)
    c, step = torch.randn(16, STATE // 2, dtype=torch.complex64), torch.full((16,), 0.01)
    kernel = dplr_kernel if who == "ours" else dplr_kernel_reference
    with torch.no_grad():
        benchmark.pedantic(kernel, (lam, p, b, c, step, 1024), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="hippo: scan of 64 complex states, L = 4096, forward and backward")
@pytest.mark.parametrize("who", ["ours", "loop"])
def test_scan(benchmark, who):
    scan = linear_scan if who == "ours" else linear_scan_loop
    a = torch.polar(torch.rand(1, 64) * 0.9, torch.rand(1, 64)).requires_grad_()
    b = torch.randn(4, 4096, 64, dtype=torch.complex64, requires_grad=True)

    def run():
        a.grad = b.grad = None
        out = scan(a, b)
        out.backward(torch.ones_like(out))

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="hippo: one bilinear LegS step, N = 512, batch 32")
@pytest.mark.parametrize("who", ["ours", "dense solve"])
def test_legs_step(benchmark, who):
    A, B = (x.float() for x in hippo_transition("legs", 512))
    x, k = torch.randn(32, 512), 7

    def ours():
        half = 1 / (2 * (k + 1))
        return legs_solve(x + half * legs_matvec(x) + 2 * half * B, half)

    def dense():
        bar, fed = discretize(A, B, 1 / (k + 1))
        return x @ bar.mT + fed

    with torch.no_grad():
        run = ours if who == "ours" else dense
        torch.testing.assert_close(ours(), dense(), rtol=1e-2, atol=1e-2)
        benchmark.pedantic(run, rounds=20, warmup_rounds=2)


@pytest.mark.gpu
@pytest.mark.benchmark(group="hippo: S4D kernel + FFT convolution on CUDA, L = 16384, forward and backward")
@pytest.mark.parametrize("who", ["ours", "formula"])
def test_s4d_on_cuda(benchmark, who):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    kernel = s4d_kernel if who == "ours" else s4d_kernel_reference
    u = torch.randn(8, CHANNELS, 16384, device="cuda")
    benchmark.pedantic(both_passes, (kernel, diagonal("cuda"), u), rounds=9, warmup_rounds=2)
