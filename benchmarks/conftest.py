"""What the benchmarks share: operations and bytes of a case, and small results files that say where they ran."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata

import pytest

from kexue import measurements

PACKAGES = (
    "kexue", "torch", "numpy", "sympy", "python-flint", "z3-solver", "transformers", "diffusers", "x-transformers",
    "linear-attention-transformer", "nystrom-attention", "rotary-embedding-torch", "lion-pytorch", "normflows",
    "denoising-diffusion-pytorch", "scikit-learn", "flash-linear-attention",
)  # fmt: skip


@pytest.fixture
def work(benchmark):
    """Call `work(run, moved=…)` before the timing: it counts the operations of one run, and notes the bytes moved."""

    def record(run, moved: int | None = None) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            run()
        if counter.get_total_flops():
            benchmark.extra_info["flop"] = counter.get_total_flops()
        if moved:
            benchmark.extra_info["bytes"] = moved

    return record


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Without the single timings, which fill megabytes."""
    kept = measurements.compact(
        output_json, device=os.environ.get("KEXUE_BENCH_DEVICE", platform.machine()), versions=versions(),
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    )  # fmt: skip
    output_json.clear()
    output_json.update(kept)
