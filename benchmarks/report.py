"""Prints the table of a results file: ratios to the peers, exponents, distance from the floor, promises kept or not.

    python benchmarks/report.py [FILE.json]      the newest file of benchmarks/results by default
"""

from __future__ import annotations

import sys
from pathlib import Path

from promises import PROMISES, judged
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    console = Console(width=max(120, Console().width))
    console.print(f"{results.device}, {results.date}")
    for group in results.groups:
        header, rows = measurements.rows(results, group)
        show(console, group.name, header, rows)
        for line in measurements.exponents(group):
            console.print(f"   {line}")
    show(console, "Promises", ["promise", "asked", "measured", "", "remark"], [judged(p, results) for p in PROMISES])
    missing = [name for name, version in results.versions.items() if version == "not installed"]
    if missing:
        console.print(f"not installed, so not compared with: {', '.join(missing)}")
    return 0


def show(console: Console, title: str, header: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 or title == "Promises" else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
