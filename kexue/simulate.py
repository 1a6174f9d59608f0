"""`kexue simulate`: runs the experiments behind the Estimate claims, with progress, a table and figures."""

from __future__ import annotations

import ast
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexue.discovery import ClaimRef, resolve

if TYPE_CHECKING:
    from rich.table import Table

    from kexue.sampling import Outcome
    from kexue.statements.estimate import Estimate

MOST_POINTS = 400  # of an e-process trajectory that are kept for a figure


@dataclass
class Run:
    """One estimate of one claim: its outcome and the way there, as (samples, log10 of the evidence against it)."""

    claim: str
    outcome: Outcome
    trajectory: list[tuple[int, float]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {"claim": self.claim, **asdict(self.outcome), "samples_per_second": self.outcome.samples_per_second}


def experiments(targets: Sequence[str]) -> list[ClaimRef]:
    """The claims among the targets that state an Estimate, found in the syntax tree."""
    return [ref for ref in resolve(list(targets)) if _simulates(ref)]


@functools.cache
def _estimating_functions(file: Path) -> frozenset[str]:
    """Names of the functions of a file in which Estimate(...) is called, directly or through another of them."""
    functions = {f.name: f for f in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(f, ast.FunctionDef)}
    calls = {
        name: {n.func.id for n in ast.walk(f) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        for name, f in functions.items()
    }
    found = {name for name, called in calls.items() if "Estimate" in called}
    while grown := {name for name, called in calls.items() if called & found} - found:
        found |= grown
    return frozenset(found)


def _simulates(ref: ClaimRef) -> bool:
    return ref.function in _estimating_functions(ref.file)


def estimates(ref: ClaimRef) -> list[Estimate]:
    """The Estimate statements of a claim's true version."""
    from kexue.claims import Witnesses
    from kexue.statements.estimate import Estimate
    from kexue.worker import load_claim

    def flat(value: Any) -> Iterator[Any]:
        if isinstance(value, Witnesses):
            value = value.statements
        if isinstance(value, (tuple, list)):
            for v in value:
                yield from flat(v)
        elif isinstance(value, Estimate):
            yield value

    return list(flat(load_claim(ref.file, ref.module, ref.function).build()))


def simulate(
    ref: ClaimRef,
    estimate: Estimate,
    *,
    executor: Executor | Callable[[], Executor] | None = None,
    task_seconds: float = 0.2,
    on_progress: Callable[[Outcome], None] | None = None,
    **options: Any,
) -> Run:
    """Runs one estimate; options as for `kexue.sampling.run`."""
    trajectory: list[tuple[int, float]] = []

    def note(outcome: Outcome) -> None:
        if not math.isnan(outcome.log_e):
            trajectory.append((outcome.n, outcome.log_e / math.log(10)))
        if len(trajectory) > MOST_POINTS:
            del trajectory[::2]
        if on_progress:
            on_progress(outcome)

    per_task = 1
    if executor is not None:
        start = time.perf_counter()
        estimate.experiment.evaluate(
            -1, 0
        )  # of another stream: it compiles the kernel and tells how long a chunk takes
        estimate.experiment.evaluate(-1, 1)
        per_task = max(1, math.ceil(task_seconds / max(1e-6, (time.perf_counter() - start) / 2)))
    outcome = estimate.run(executor=executor, per_task=per_task, on_progress=note, **options)
    return Run(ref.id, outcome, trajectory)


# Okabe and Ito's colours without the yellow, which is too light for lines: told apart by everybody.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000")


def use_colours() -> None:
    """Figures that are made from now on have these colours."""
    from cycler import cycler
    from matplotlib import rcParams

    rcParams["axes.prop_cycle"] = cycler(color=COLOURS)


def figures_of(module: str) -> dict[str, Any]:
    """What the `figures()` of an article's module returns; nothing if it has none."""
    import importlib

    use_colours()
    make = getattr(importlib.import_module(module), "figures", None)
    return make() if make else {}


def draw_figures(refs: Sequence[ClaimRef], folder: str | Path) -> list[Path]:
    """Writes what the articles' `figures()` return, as SVG and PNG named <slug>-<figure>."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for module, slug in {article_module(ref.module): ref.slug for ref in refs if ref.module}.items():
        for name, figure in figures_of(module).items():
            for suffix in ("svg", "png"):
                written.append(place / f"{slug}-{name}.{suffix}")
                figure.savefig(written[-1], dpi=130)
    return written


def article_module(module: str) -> str:
    """The module or package of the article: kexue.numerics.hippo for kexue.numerics.hippo.experiments."""
    return ".".join(module.split(".")[:3])


def interval_text(outcome: Outcome) -> str:
    if not outcome.interval:
        return ""
    low, high = outcome.interval
    return f"[{low:.5g}, {high:.5g}]"


def table(runs: Sequence[Run]) -> Table:
    """The results as a Rich table."""
    from rich.table import Table

    from kexue.statements.estimate import show

    out = Table(box=None, pad_edge=True, header_style="bold")
    for name in ("claim", "verdict", "expected", "estimate", "99.9 % interval", "excluded", "samples", "M samples/s"):
        out.add_column(name, justify="left" if name in ("claim", "verdict") else "right", overflow="fold")
    colours = {"confirmed": "green", "refuted": "red", "undecided": "yellow"}
    for r in runs:
        o = r.outcome
        out.add_row(
            r.claim, f"[{colours[o.verdict]}]{o.verdict}[/]", show(o.expected), show(o.estimate), interval_text(o),
            f"±{100 * o.delta:g} %" if o.verdict == "confirmed" else "", f"{o.n:,}",
            f"{o.samples_per_second / 1e6:.2f}",
        )  # fmt: skip
    return out


def plot(runs: Sequence[Run], file: str | Path) -> None:
    """A forest plot of relative intervals beside the e-process trajectories, written to `file` (png, svg, pdf)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from kexue.sampling.sequential import ALPHA

    shown = [r for r in runs if r.outcome.interval]
    figure, (forest, paths) = plt.subplots(
        1, 2, figsize=(13, 1.6 + 0.28 * max(len(shown), 8)), width_ratios=(3, 2), constrained_layout=True
    )
    for row, r in enumerate(reversed(shown)):
        o = r.outcome
        low, high = (100 * (x / o.expected - 1) for x in o.interval)
        colour = {"confirmed": "#0072B2", "refuted": "#D55E00"}.get(o.verdict, "#999999")
        forest.plot([low, high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        forest.plot([100 * (o.estimate / o.expected - 1)], [row], "o", color=colour, markersize=4)
        forest.plot([-100 * o.delta, 100 * o.delta], [row, row], "|", color="black", markersize=9)
    forest.axvline(0, color="black", linewidth=0.8)
    forest.set_yticks(range(len(shown)), [r.claim for r in reversed(shown)], fontsize=8)
    forest.set_title("estimate and 99.9 % confidence sequence; deviations beyond | are excluded", fontsize=9)
    forest.set_xlabel("deviation from the expected value (%)")
    for r in runs:
        if r.trajectory:
            paths.plot(*zip(*r.trajectory, strict=True), linewidth=1, alpha=0.8)
    paths.axhline(math.log10(2 / ALPHA), color="#D55E00", linestyle="--", linewidth=1)
    paths.text(0.02, math.log10(2 / ALPHA) - 0.2, "refuted above", color="#D55E00", fontsize=8, va="top",
               transform=paths.get_yaxis_transform())  # fmt: skip
    paths.set_xscale("log")
    paths.set_xlabel("samples")
    paths.set_ylabel("log₁₀ e")
    paths.set_title("largest evidence against the expected value so far", fontsize=9)
    figure.savefig(file, dpi=130)
    plt.close(figure)
