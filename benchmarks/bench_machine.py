"""The floors: how fast this machine copies and multiplies, measured in the same run as everything else."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

MIB = 2**20


@pytest.mark.benchmark(group="machine: copies and matrix products, all threads")
@pytest.mark.parametrize("what", ["copy of 1 MiB", "copy of 16 MiB", "copy of 256 MiB"])
def test_copy(benchmark, what):
    size = int(what.split()[2])
    source = torch.zeros(size * MIB // 4)
    target = torch.empty_like(source)
    benchmark.extra_info["bytes"] = 2 * size * MIB
    benchmark.pedantic(target.copy_, (source,), rounds=20, warmup_rounds=3)


@pytest.mark.benchmark(group="machine: copies and matrix products, all threads")
@pytest.mark.parametrize("what", ["256 × 256", "2048 × 2048"])
def test_product(benchmark, what):
    size = int(what.split()[0])
    a, b = torch.randn(2, size, size).unbind(0)
    out = torch.empty_like(a)
    benchmark.extra_info["flop"] = 2 * size**3
    benchmark.pedantic(torch.mm, (a, b), {"out": out}, rounds=10, warmup_rounds=2)
