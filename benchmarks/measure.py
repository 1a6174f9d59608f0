"""Runs the benchmarks and writes benchmarks/results/<device>.json; `make bench` and `make gpu` call it.

    python benchmarks/measure.py [--gpu] [options of pytest]

A run with options of pytest (-k rope) is a part: it goes to .benchmarks/part.json and replaces no results.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    options = [a for a in sys.argv[1:] if a != "--gpu"]
    gpu = "--gpu" in sys.argv[1:]
    if gpu:
        import torch

        if not torch.cuda.is_available():
            print("make gpu needs a CUDA device, and torch sees none", file=sys.stderr)
            return 1
        device = name = torch.cuda.get_device_name()
    else:
        device = f"{cpu()}, {len(os.sched_getaffinity(0))} cores"
        name = f"cpu {device}"
    results = HERE / "results" / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    if options:
        results = HERE.parent / ".benchmarks" / "part.json"
    results.parent.mkdir(exist_ok=True)
    status = subprocess.run([
        sys.executable, "-m", "pytest", str(HERE), "-m", "gpu" if gpu else "not gpu", "--benchmark-only", "-q",
        "-p", "no:cacheprovider", f"--confcutdir={HERE}", "--benchmark-columns=median,iqr,rounds",
        f"--benchmark-json={results}", *options,
    ], env=os.environ | {"KEXUE_BENCH_DEVICE": device}).returncode  # fmt: skip
    if status == 0:
        status = subprocess.run([sys.executable, str(HERE / "report.py"), str(results)]).returncode
    return status


def cpu() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        import platform

        return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
