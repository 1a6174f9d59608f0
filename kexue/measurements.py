"""Benchmark results: their file, ratios of ours to the peers, growth with n, distance from the machine's floor, plots.

A results file is what pytest-benchmark writes, without the single timings: `benchmarks`, `machine`, `versions`, `date`.
In a group the first case is ours, unless a case's label says so; the ratio of a case is its median over ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MACHINE = "machine"  # the group of the floors: copies and matrix products


@dataclass(frozen=True)
class Case:
    """One row: median and interquartile range in seconds; `n` is what the group grows with, if it does."""

    label: str
    median: float
    spread: float
    rounds: int
    n: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    name: str
    cases: tuple[Case, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(case.label for case in self.cases))

    def ours(self, n: float | None) -> Case | None:
        """What the others are compared with: the case that is called ours, else the first."""
        held = [case for case in self.cases if case.n == n]
        named = [case for case in held if any(part.startswith("ours") for part in case.label.split(", "))]
        return next(iter(named or held), None)

    def ratio(self, case: Case) -> float | None:
        """Its median over that of ours: above 1 where ours is faster; None for ours itself, and for the machine."""
        ours = None if self.name.startswith(MACHINE) else self.ours(case.n)
        return None if ours is None or case is ours else case.median / ours.median

    def exponent(self, label: str) -> float | None:
        """The slope of log time against log n by least squares, for three sizes or more."""
        return slope([(case.n, case.median) for case in self.cases if case.label == label and case.n])


def slope(points: Sequence[tuple[float | None, float]]) -> float | None:
    usable = [(math.log(n), math.log(y)) for n, y in points if n and y > 0]
    if len({x for x, _ in usable}) < 3:
        return None
    mean_x, mean_y = (sum(p[i] for p in usable) / len(usable) for i in (0, 1))
    return sum((x - mean_x) * (y - mean_y) for x, y in usable) / sum((x - mean_x) ** 2 for x, _ in usable)


@dataclass(frozen=True)
class Results:
    name: str
    device: str
    date: str
    versions: dict[str, str]
    groups: tuple[Group, ...]

    def floor(self, case: Case) -> float | None:
        """The least time that the machine needs for a case, in seconds.

        It is the larger of two: the operations at the rate of a large matrix product, and the bytes at the speed of
        a large copy, both measured in this run. None where neither is known. A convolution by Winograd's method
        multiplies less than is counted, and can be below.
        """
        rate, speed = self._rate("flop"), self._rate("bytes")
        times = [case.extra["flop"] / rate] if rate and case.extra.get("flop") else []
        times += [case.extra["bytes"] / speed] if speed and case.extra.get("bytes") else []
        return max(times, default=None)

    def _rate(self, what: str) -> float:
        """Operations or bytes a second in the largest product or copy of the machine's group; 0 if there is none."""
        machine = next((g for g in self.groups if g.name.startswith(MACHINE)), None)
        cases = [case for case in (machine.cases if machine else ()) if case.extra.get(what)]
        largest = max(cases, key=lambda case: float(case.extra[what]), default=None)
        return largest.extra[what] / largest.median if largest else 0.0


def load(file: str | Path) -> Results:
    """Reads a results file.

    Raises:
        ValueError: the file isn't one.
    """
    path = Path(file)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        held: dict[str, list[dict[str, Any]]] = {}
        for row in data["benchmarks"]:
            held.setdefault(str(row["group"] or row["name"]), []).append(row)
        groups = tuple(Group(name, tuple(_cases(rows))) for name, rows in held.items())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} must be a file of benchmark results: {error!r}") from error
    return Results(
        path.stem, str(data.get("device", "")), str(data.get("date", data.get("datetime", "")))[:10],
        {str(k): str(v) for k, v in (data.get("versions") or {}).items()}, groups,
    )  # fmt: skip


def _cases(rows: list[dict[str, Any]]) -> list[Case]:
    """Labelled by the parameters in which the rows of a group differ, apart from n."""
    found = []
    first = rows[0].get("params") or {}
    varying = [k for k in first if any((row.get("params") or {}).get(k) != first[k] for row in rows)]
    for row in rows:
        stats, extra, params = row["stats"], dict(row.get("extra_info") or {}), row.get("params") or {}
        n = extra.pop("n", None)
        named = [str(params[k]) for k in varying if params.get(k) != n]
        label = ", ".join(named) or row["name"].partition("[")[0].removeprefix("test_")
        found.append(Case(label, float(stats["median"]), float(stats["iqr"]), int(stats["rounds"]), n, extra))
    return found


def compact(data: dict[str, Any], *, device: str, versions: dict[str, str], date: str) -> dict[str, Any]:
    """What is kept of pytest-benchmark's JSON."""
    kept = ("median", "iqr", "min", "max", "rounds")
    rows = [
        {
            "group": row["group"], "name": row["name"], "params": row.get("params"),
            "extra_info": row.get("extra_info") or {}, "stats": {k: row["stats"][k] for k in kept},
        }
        for row in data["benchmarks"]
    ]  # fmt: skip
    return {"device": device, "date": date, "versions": versions, "benchmarks": rows}


def rows(results: Results, group: Group) -> tuple[list[str], list[list[str]]]:
    """A group as a table of text."""
    grows = any(case.n is not None for case in group.cases)
    floors = {id(case): results.floor(case) for case in group.cases}
    header = ["case", *(["n"] if grows else []), "median", "spread", "over ours"]
    header += ["over the floor"] if any(floors.values()) else []
    extras = list(dict.fromkeys(k for case in group.cases for k in case.extra if k not in ("flop", "bytes")))
    found = []
    for case in group.cases:
        ratio, floor = group.ratio(case), floors[id(case)]
        cells = [case.label, *([_plain(case.n)] if grows else []), seconds(case.median)]
        cells += [f"{100 * case.spread / case.median:.0f} %", "·" if ratio is None else f"{ratio:.2f}"]
        if any(floors.values()):
            cells.append("·" if floor is None else f"{case.median / floor:.1f}")
        found.append([*cells, *(_plain(case.extra.get(k)) for k in extras)])
    return header + extras, found


def aligned(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table for a terminal, the first column to the left."""
    lines = [list(header), *(list(row) for row in cells)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  " + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    )


def exponents(group: Group) -> list[str]:
    """One line for each curve of a group that grows."""
    found = [(label, group.exponent(label)) for label in group.labels]
    return [f"{label}: time ~ n^{value:.2f}" for label, value in found if value is not None]


def seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "·" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def growing(results: Iterable[Group]) -> list[Group]:
    """The groups with a curve to draw."""
    return [group for group in results if any(group.exponent(label) is not None for label in group.labels)]


def figure(group: Group) -> Any:
    """Time against n, both on logarithmic scales, with the fitted exponents and interquartile ranges."""
    from matplotlib.figure import Figure

    plot = Figure(figsize=(6.4, 4), layout="constrained")
    axes = plot.subplots()
    for label in group.labels:
        cases = sorted((case for case in group.cases if case.label == label and case.n), key=lambda c: c.n or 0)
        value = group.exponent(label)
        if value is None:
            continue
        n, times, spreads = zip(*((float(c.n or 0), c.median, c.spread / 2) for c in cases), strict=True)
        axes.errorbar(n, times, spreads, marker="o", capsize=2, label=f"{label}: exponent {value:.2f}")
    axes.set(xscale="log", yscale="log", xlabel="n", ylabel="median time (s)", title=group.name)
    axes.legend(frameon=False, fontsize=8)
    return plot
