"""The verifier itself: all claims with all mutants, cold and warm; how many a second, by engine; the slowest ten.

    make bench ARGS="-k verifier"
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from kexue.findings import Finding


def verify(cache: Path, results: Path) -> None:
    command = [sys.executable, "-m", "kexue", "verify", "--json", str(results)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "KEXUE_CACHE": str(cache)})


@pytest.mark.benchmark(group="verifier: all claims and mutants")
@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_everything(benchmark, tmp_path_factory, cache):
    place = tmp_path_factory.getbasetemp() / "verifier"
    place.mkdir(exist_ok=True)
    kept, results = place / "cache", place / "results.json"
    if cache == "cold":
        shutil.rmtree(kept, ignore_errors=True)
    benchmark.pedantic(verify, (kept, results), rounds=1 if cache == "cold" else 3)
    report = json.loads(results.read_text(encoding="utf-8"))
    checks = len(report["claims"]) + report["mutants"]
    benchmark.extra_info["claims"] = len(report["claims"])
    benchmark.extra_info["claims and mutants a second"] = round(checks / benchmark.stats["median"], 1)
    if cache == "cold":
        slowest = sorted(report["claims"], key=lambda c: -c["seconds"])[:10]
        benchmark.extra_info["slowest"] = ", ".join(f"{c['id']} {c['seconds']:.1f} s" for c in slowest)
        held: dict[str, list[float]] = defaultdict(list)
        for claim in report["claims"]:
            for finding in (claim["truth"], *(m["finding"] for m in claim["mutants"])):
                for leaf in Finding.from_json(finding).leaves():
                    for engine in leaf.engines:
                        held[engine].append(leaf.seconds)
        rates = {e: f"{len(t) / max(sum(t), 1e-9):.0f} a second ({len(t)})" for e, t in sorted(held.items())}
        benchmark.extra_info["statements by engine"] = "; ".join(f"{e}: {r}" for e, r in rates.items())
