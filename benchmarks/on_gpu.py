"""Runs the CUDA benchmarks and writes benchmarks/results/<device>.json; `make gpu` calls it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    import torch

    if not torch.cuda.is_available():
        print("make gpu needs a CUDA device, and torch sees none", file=sys.stderr)
        return 1
    device = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()).strip("-")
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    return subprocess.run([
        sys.executable, "-m", "pytest", str(HERE), "-m", "gpu", "--benchmark-only", f"--confcutdir={HERE}",
        f"--benchmark-json={results / device}.json",
    ]).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
