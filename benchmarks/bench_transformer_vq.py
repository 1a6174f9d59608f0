"""Transformer-VQ on the CPU: time and memory against the length, beside torch's scaled_dot_product_attention.

    make bench ARGS="-k transformer_vq"

Attention alone (codes found, keys quantised, two exact blocks and the cache under one softmax) at c = l = 512 and one
head of 128 channels, where the counted multiplications break even at 3072 tokens; the peer is torch's fused causal
attention on unquantised keys. `exponent` is the slope of log time between 2048 and 32768 tokens, `MiB` the growth of
the process's largest resident size.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from kexue.models import create_model  # noqa: E402
from kexue.models.transformer_vq import LearnableVQ, vq_attention  # noqa: E402

CODES = BLOCK = 512
SIZE = 128
LENGTHS = (512, 1024, 2048, 4096, 8192, 16_384, 32_768)


def inputs(n: int, trained: bool) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(1, 1, n, SIZE, requires_grad=trained) for _ in range(3))


def ours(n: int, trained: bool = False) -> Callable[[], Any]:
    q, k, v = inputs(n, trained)
    vq = LearnableVQ(1, CODES, SIZE)
    bias = torch.randn(BLOCK + 1, requires_grad=trained)

    def run() -> torch.Tensor:
        found = vq(k)
        return vq_attention(q, found.quantized, found.shortcodes, vq.codebook, v, block=BLOCK, bias=bias)

    return step(run, trained)


def fused(n: int, trained: bool = False) -> Callable[[], Any]:
    q, k, v = inputs(n, trained)
    return step(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True), trained)


def step(run: Callable[[], torch.Tensor], trained: bool) -> Callable[[], Any]:
    def call() -> None:
        with torch.set_grad_enabled(trained):
            out = run()
            if trained:
                out.sum().backward()

    return call


def best(call: Callable[[], Any], rounds: int = 3) -> float:
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def growth(n: int, trained: bool) -> float:
    """MiB by which one call enlarges the largest resident size of a fresh process."""
    command = [sys.executable, __file__, str(n), str(int(trained))]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)


def peak() -> float:
    """The largest resident size of this program in MiB (Linux; getrusage would count its parent's, too)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("peer", ["ours", "scaled_dot_product_attention"])
@pytest.mark.parametrize("passes", ["forward", "forward and backward"])
def test_attention(benchmark, work, n, peer, passes):
    benchmark.group = f"transformer_vq: causal attention, one head of 128, {passes}"
    benchmark.extra_info["n"] = n
    trained = passes != "forward"
    if peer == "ours":
        work(ours(n, trained))
    call = ours(n, trained) if peer == "ours" else fused(n, trained)
    benchmark.pedantic(call, rounds=5 if n < 16_384 else 2, warmup_rounds=1)


@pytest.mark.benchmark(group="transformer_vq: growth with the length, 32768 tokens")
@pytest.mark.parametrize("trained", [False, True], ids=["forward", "forward+backward"])
def test_growth(benchmark, trained):
    memory = {n: round(growth(n, trained), 1) for n in (8192, 16_384, 32_768)}
    times = {n: best(ours(n, trained)) for n in (2048, 8192, 32_768)}
    benchmark.extra_info["exponent"] = round(math.log(times[32_768] / times[2048]) / math.log(16), 3)
    benchmark.extra_info["MiB"] = memory
    benchmark.pedantic(ours(32_768, trained), rounds=2)


@pytest.mark.benchmark(group="transformer_vq: one more token, model of 12 units, width 768")
@pytest.mark.parametrize("position", [1024, 16_384])
def test_decoding(benchmark, position):
    """The state has a fixed size, so that a token costs the same at every position."""
    model = create_model("transformer_vq/enwik8", num_layers=12).eval()
    with torch.no_grad():
        state = model.initial_state(1)
        for _ in range(position // 1024):
            _, state = model.step(torch.zeros(1, 1024, dtype=torch.long), state)
        token = torch.zeros(1, 1, dtype=torch.long)
        benchmark.pedantic(lambda: model.step(token, state), rounds=20, warmup_rounds=3)


if __name__ == "__main__":
    ours(1024, sys.argv[2] == "1")()  # what every call needs, whatever its length
    call = ours(int(sys.argv[1]), sys.argv[2] == "1")
    before = peak()
    call()
    print(peak() - before)
