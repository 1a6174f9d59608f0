"""Lion beside lion-pytorch, torch's AdamW, and the memory traffic that no optimiser with one buffer can avoid.

make bench ARGS="-k lion"

The parameters are those of six layers of GPT-2 with its embedding, 81 million numbers. The bound is one compiled pass
that reads θ, g, m and writes θ, m, 20 bytes for each of them. `compiled` is `lion_step` of flat tensors under
torch.compile, which makes one such pass out of it (and needs a C++ compiler on the CPU); its bits differ where products
and sums aren't contracted as torch's lerp does.
"""

from __future__ import annotations

import shutil
import statistics
import time

import pytest

torch = pytest.importorskip("torch")

from kexue.models.lion import Lion, lion_step  # noqa: E402

WIDTH = 768
LAYER = [
    (3 * WIDTH, WIDTH), (3 * WIDTH,), (WIDTH, WIDTH), (WIDTH,), (4 * WIDTH, WIDTH), (4 * WIDTH,), (WIDTH, 4 * WIDTH),
    (WIDTH,), (WIDTH,), (WIDTH,), (WIDTH,), (WIDTH,),
]  # fmt: skip
SHAPES = [(50257, WIDTH), (1024, WIDTH), *LAYER * 6, (WIDTH,), (WIDTH,)]
OPTIONS = {"lr": 1e-4, "weight_decay": 0.1}
ROUNDS = {"rounds": 15, "warmup_rounds": 2}


def parameters(device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    generator = torch.Generator(device).manual_seed(0)
    held = [torch.nn.Parameter(torch.randn(s, device=device, generator=generator).to(dtype)) for s in SHAPES]
    for p in held:
        p.grad = torch.randn(p.shape, device=device, generator=generator).to(dtype)
    return held


def builders() -> dict[str, object]:
    adam = torch.optim.AdamW
    return {
        "ours": lambda ps: Lion(ps, **OPTIONS),
        "ours, chunks": lambda ps: Lion(ps, **OPTIONS, foreach=True),
        "ours, loop": lambda ps: Lion(ps, **OPTIONS, foreach=False),
        "AdamW foreach": lambda ps: adam(ps, **OPTIONS, foreach=True),
        "AdamW fused": lambda ps: adam(ps, **OPTIONS, fused=True),
    }


def timed(benchmark, run, numbers: int) -> None:
    benchmark.extra_info["parameters"] = numbers
    benchmark.pedantic(run, **ROUNDS)


@pytest.mark.benchmark(group="lion: a step of 81 million parameters")
@pytest.mark.parametrize("who", ["ours", "ours, chunks", "ours, loop", "AdamW foreach", "AdamW fused"])
def test_step(benchmark, who):
    held = parameters()
    optimizer = builders()[who](held)
    timed(benchmark, optimizer.step, sum(p.numel() for p in held))


@pytest.mark.benchmark(group="lion: a step of 81 million parameters")
@pytest.mark.parametrize("who", ["lion-pytorch", "lion-pytorch foreach"])
def test_peer(benchmark, who):
    peer = pytest.importorskip("lion_pytorch.foreach" if "foreach" in who else "lion_pytorch")
    held = parameters()
    optimizer = peer.Lion(held, **OPTIONS)
    timed(benchmark, optimizer.step, sum(p.numel() for p in held))


def one_pass_of_traffic():
    """Reads θ, g, m and writes θ, m of as many numbers, and does next to nothing with them."""
    numba = pytest.importorskip("numba")
    numpy = pytest.importorskip("numpy")

    @numba.njit(parallel=True, fastmath=True)
    def traffic(theta, g, m):
        for i in numba.prange(theta.size):
            theta[i] += numpy.float32(1e-4) * g[i]
            m[i] += numpy.float32(1e-2) * g[i]

    numba.set_num_threads(min(numba.config.NUMBA_NUM_THREADS, torch.get_num_threads()))
    held = [(p.detach().view(-1).numpy(), p.grad.view(-1).numpy(), numpy.zeros(p.numel(), "f4")) for p in parameters()]

    def run():
        for part in held:
            traffic(*part)

    return run


@pytest.mark.benchmark(group="lion: a step of 81 million parameters")
def test_bandwidth_bound(benchmark):
    """The bound; and ours beside it in turn, since the bandwidth of a shared machine changes from minute to minute."""
    bound, held = one_pass_of_traffic(), parameters()
    ours = Lion(held, **OPTIONS).step

    def median(run):
        time.sleep(0.5)  # threads of the other one may still spin
        seen = []
        for _ in range(6):
            start = time.perf_counter()
            run()
            seen.append(time.perf_counter() - start)
        return statistics.median(seen[1:])

    ratios = [median(ours) / median(bound) for _ in range(5)]
    benchmark.extra_info["ours over it, in turn"] = round(statistics.median(ratios), 3)
    timed(benchmark, bound, sum(p.numel() for p in held))


@pytest.mark.benchmark(group="lion: a step of 81 million parameters")
def test_compiled(benchmark):
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("no C++ compiler")
    held = [(p.detach().view(-1), p.grad.view(-1), torch.zeros(p.numel())) for p in parameters()]

    @torch.compile(dynamic=True)
    def one(p, g, m):
        theta, momentum = lion_step(p, g, m, 1e-4, 0.1)
        p.copy_(theta)
        m.copy_(momentum)

    def run():
        with torch.no_grad():
            for part in held:
                one(*part)

    timed(benchmark, run, sum(part[0].numel() for part in held))


@pytest.mark.gpu
@pytest.mark.benchmark(group="lion: a step of 81 million parameters on CUDA")
@pytest.mark.parametrize("who", ["ours, fused", "ours", "ours, loop", "AdamW foreach", "AdamW fused"])
def test_step_on_cuda(benchmark, who):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    held = parameters("cuda")
    found = builders() | {"ours, fused": lambda ps: Lion(ps, **OPTIONS, fused=True)}
    optimizer = found[who](held)

    def run():
        optimizer.step()
        torch.cuda.synchronize()

    timed(benchmark, run, sum(p.numel() for p in held))
