"""A Glow step beside normflows' block of the same layers, ln|det W| in both forms, and what the reversible pass saves.

make bench ARGS="-k flows"
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from kexue.models.flows import Glow, GlowConfig, GlowStep, InvConv1x1  # noqa: E402

SHAPES = {"first level": (12, 16, 4), "last level": (48, 4, 16)}  # channels, side, images of CIFAR-10's Glow
WIDTH = 512


def ours(channels: int) -> torch.nn.Module:
    return GlowStep(channels, GlowConfig(width=WIDTH, edge_bias=False))


def theirs(channels: int) -> torch.nn.Module:
    """Actnorm, a plain 1 × 1 convolution, and an affine coupling with actnorm in its network."""
    normflows = pytest.importorskip("normflows")
    return normflows.flows.GlowBlock(channels, WIDTH, use_lu=False, net_actnorm=True)


def step(function, x):
    z, logdet = function(x)
    (z.square().mean() + logdet.mean()).backward()


@pytest.mark.parametrize("who", ["ours", "normflows"])
@pytest.mark.parametrize("shape", SHAPES)
def test_step(benchmark, work, shape, who):
    benchmark.group = f"flows: one affine Glow step of width 512, {shape}, density, forward and backward"
    channels, side, count = SHAPES[shape]
    torch.manual_seed(0)
    module = ours(channels) if who == "ours" else theirs(channels)
    x = torch.randn(count, channels, side, side, requires_grad=True)
    run = module if who == "ours" else module.inverse
    benchmark.extra_info["parameters"] = sum(p.numel() for p in module.parameters())
    work(lambda: step(run, x))
    benchmark.pedantic(step, (run, x), rounds=10, warmup_rounds=2)


@pytest.mark.benchmark(group="flows: ln|det W| and its gradient")
@pytest.mark.parametrize("form", ["slogdet", "plu"])
@pytest.mark.parametrize("channels", [12, 24, 48, 96, 192, 384])
def test_log_determinant(benchmark, channels, form):
    layer = InvConv1x1(channels, lu=form == "plu")
    benchmark.extra_info["n"] = channels
    benchmark(lambda: layer.log_abs_det().backward())


@pytest.mark.benchmark(
    group="flows: 1 × 1 convolution of 64 images of 4 × 4 pixels with its logdet, forward and backward"
)
@pytest.mark.parametrize("form", ["slogdet", "plu"])
@pytest.mark.parametrize("channels", [12, 48, 192, 384])
def test_convolution(benchmark, channels, form):
    """The PLU form multiplies its factors first, so that only the determinant is saved."""
    layer = InvConv1x1(channels, lu=form == "plu")
    x = torch.randn(64, channels, 4, 4, requires_grad=True)
    benchmark.extra_info["n"] = channels
    benchmark.pedantic(step, (layer, x), rounds=20, warmup_rounds=2)


def saved_bytes(model: torch.nn.Module, y: torch.Tensor) -> int:
    """What autograd keeps for the backward pass besides parameters, each storage once."""
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers(), y]}
    seen: dict[int, int] = {}

    def pack(t):
        storage = t.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss = model.log_prob(y)
    del loss
    return sum(seen.values())


@pytest.mark.benchmark(group="flows: Glow of one level, width 64, 16 images of 16 × 16, forward and backward")
@pytest.mark.parametrize("way", ["plain", "reversible", "checkpoints"])
@pytest.mark.parametrize("steps", [2, 4, 8, 16])
def test_memory_and_time_against_depth(benchmark, steps, way):
    torch.manual_seed(0)
    config = GlowConfig(
        image_size=16, num_levels=1, num_steps=steps, width=64, data_init=False, reversible=way == "reversible"
    )
    model = Glow(config)
    y = torch.rand(16, 3, 16, 16)
    if way == "checkpoints":
        from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing

        blocks = set(model.blocks)
        apply_activation_checkpointing(model, check_fn=lambda module: module in blocks)
    benchmark.extra_info["n"] = steps
    benchmark.extra_info["saved bytes"] = saved_bytes(model, y)
    benchmark.pedantic(lambda: model.log_prob(y).mean().backward(), rounds=5, warmup_rounds=1)


@pytest.mark.gpu
@pytest.mark.benchmark(
    group="flows: CUDA, Glow for CIFAR-10 (L = 3, K = 32, width 512), 64 images, forward and backward"
)
@pytest.mark.parametrize("way", ["plain", "reversible"])
def test_cuda(benchmark, way):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.manual_seed(0)
    model = Glow(GlowConfig(reversible=way == "reversible")).cuda()
    batch = model.example(64, device="cuda")

    def run():
        with torch.autocast("cuda", torch.bfloat16):
            loss = model.loss(batch)
        loss.backward()
        torch.cuda.synchronize()

    run()
    torch.cuda.reset_peak_memory_stats()
    run()
    benchmark.extra_info["peak bytes"] = torch.cuda.max_memory_allocated()
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
