"""Prints the table of a results file: ratios to the peers, exponents, distance from the floor, promises kept or not.

    python benchmarks/report.py [FILE.json]      the newest file of benchmarks/results by default
"""

from __future__ import annotations

import sys
from pathlib import Path

from promises import PROMISES, judged

from kexue import measurements

HERE = Path(__file__).resolve().parent


def main() -> int:
    files = sorted((HERE / "results").glob("*.json"), key=lambda p: p.stat().st_mtime)
    if len(sys.argv) > 1:
        files = [Path(sys.argv[1])]
    if not files:
        print("there are no results yet: run `make bench`", file=sys.stderr)
        return 2
    results = measurements.load(files[-1])
    print(f"{results.device}, {results.date}")
    for group in results.groups:
        print(f"\n{group.name}\n")
        print(measurements.aligned(*measurements.rows(results, group)))
        for line in measurements.exponents(group):
            print(f"  {line}")
    found = [judged(p, results) for p in PROMISES]
    measured = [row for row in found if row[3] != "not measured"]
    print("\nPromises\n")
    print(measurements.aligned(["promise", "asked", "measured", "", "remark"], measured))
    if len(measured) < len(found):
        print(f"  not measured in this run: {len(found) - len(measured)} others")
    missing = [name for name, version in results.versions.items() if version == "not installed"]
    if missing:
        print(f"\nnot installed, so not compared with: {', '.join(missing)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
