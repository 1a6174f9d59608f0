"""The U-Net's forward and backward pass beside those of two peers, and the sampler's overhead.

    make bench ARGS="-k ddpm"

diffusers' UNet2DModel has the same layout. denoising-diffusion-pytorch's Unet has another one; a width of 72 gives it
as many parameters as ours (and fewer operations). It insists on torchvision, so it is installed without what it
depends on, and imported behind stand-ins.
"""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import sys
import time
import types
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from kexue.models.ddpm import NoiseSchedule, UNet, linear_schedule, sample_chain  # noqa: E402

SIZE, WIDTH, LEVELS = 32, 64, (1, 2, 2)


def ours() -> torch.nn.Module:
    return UNet(SIZE, 3, WIDTH, LEVELS, 2, (16,), 0.0)


def theirs() -> torch.nn.Module:
    """The same widths, blocks and attention; its attention has heads of 8 channels unless told otherwise."""
    diffusers = pytest.importorskip("diffusers")
    return diffusers.UNet2DModel(
        sample_size=SIZE, in_channels=3, out_channels=3, layers_per_block=2, norm_num_groups=32,
        block_out_channels=[WIDTH * m for m in LEVELS], attention_head_dim=None,
        down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    )  # fmt: skip


def unet_of_denoising_diffusion_pytorch() -> torch.nn.Module:
    with stand_ins("torchvision", "torchvision.transforms", "torchvision.utils", "accelerate", "ema_pytorch",
                   "pytorch_fid", "pytorch_fid.inception", "pytorch_fid.fid_score"):  # fmt: skip
        peer = pytest.importorskip("denoising_diffusion_pytorch")
    return peer.Unet(dim=72, dim_mults=LEVELS, channels=3, full_attn=(False, True, False))


@contextlib.contextmanager
def stand_ins(*names: str) -> Iterator[None]:
    """Empty modules for what a peer imports for other ends; those that are installed stay."""
    added = [name for name in names if name not in sys.modules and importlib.util.find_spec(name.split(".")[0]) is None]
    for name in added:
        module = types.ModuleType(name)
        module.__getattr__ = lambda _: object  # type: ignore[method-assign]
        module.__path__ = []
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


NETWORKS = {"ours": ours, "diffusers": theirs, "denoising-diffusion-pytorch": unet_of_denoising_diffusion_pytorch}


def step(network, x, t):
    for p in network.parameters():
        p.grad = None
    out = network(x, t)
    (out if isinstance(out, torch.Tensor) else out.sample).square().mean().backward()


@pytest.mark.benchmark(group="ddpm: U-Net of 64-128-128 channels, 8 images of 32 × 32, forward and backward")
@pytest.mark.parametrize("who", NETWORKS)
def test_unet(benchmark, work, who):
    torch.manual_seed(0)
    network = NETWORKS[who]()
    x, t = torch.randn(8, 3, SIZE, SIZE), torch.randint(1, 1000, (8,))
    benchmark.extra_info["parameters"] = sum(p.numel() for p in network.parameters())
    work(lambda: step(network, x, t))
    benchmark.pedantic(step, (network, x, t), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="ddpm: 10 steps of the sampler for 8 images")
def test_sampler(benchmark):
    """`overhead` is the time outside of the network's calls over the time inside, in the median run."""
    network = ours().eval()
    schedule = NoiseSchedule(linear_schedule(100))
    x = torch.randn(8, 3, SIZE, SIZE)
    inside, shares = [0.0], []

    def timed(x, t):
        start = time.perf_counter()
        out = network(x, t)
        inside[0] += time.perf_counter() - start
        return out

    def run():
        inside[0], start = 0.0, time.perf_counter()
        sample_chain(timed, x, schedule, steps=10, sampler="ddim")
        shares.append((time.perf_counter() - start - inside[0]) / inside[0])

    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
    benchmark.extra_info["overhead"] = statistics.median(shares)


@pytest.mark.gpu
@pytest.mark.benchmark(group="ddpm: CUDA, the CIFAR-10 U-Net, 64 images, forward and backward")
def test_cuda(benchmark):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    network = UNet(32, 3, 128, (1, 2, 2, 2), 2, (16,), 0.1).cuda()
    x, t = torch.randn(64, 3, 32, 32, device="cuda"), torch.randint(1, 1000, (64,), device="cuda")

    def run():
        with torch.autocast("cuda", torch.bfloat16):
            step(network, x, t)
        torch.cuda.synchronize()

    benchmark.pedantic(run, rounds=10, warmup_rounds=3)
