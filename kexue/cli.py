"""The command `kexue`. Heavy imports are made inside the commands, so that `kexue --help` answers at once."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from kexue.discovery import ClaimRef
    from kexue.results import Report
    from kexue.runner import Event
    from kexue.sampling import Outcome
    from kexue.simulate import Run
    from kexue.statements.estimate import Estimate

app = typer.Typer(
    name="kexue", help="Mathematics that a machine checks, claim by claim.", no_args_is_help=True, add_completion=False,
    rich_markup_mode=None, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def _jobs(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"must be a whole number, at least 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    from kexue.runner import budget_of

    try:
        return budget_of(float(text)).seconds
    except ValueError:
        raise typer.BadParameter(f"must be a positive number of seconds, got {text!r}") from None


Targets = Annotated[
    list[str] | None,
    typer.Argument(metavar="SLUG|SLUG/CLAIM|FILE.py", help="What to check; everything by default."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", metavar="N", parser=_jobs, help="Worker processes at once.  [default: cores]"),
]
JsonFile = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON; - is stdout.")]
JunitFile = Annotated[
    str | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML; - is stdout.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Check everything again instead of using kept results.")]
Timeout = Annotated[
    float | None,
    typer.Option(metavar="S", parser=_seconds, help="Seconds after which one job is killed.  [default: 20]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The console script: usage errors exit with 2, Ctrl-C with 130."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without γ still gets the rest
    try:
        app(prog_name="kexue")
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        import kexue

        print(kexue.__version__)
        raise typer.Exit


@app.command()
def verify(
    targets: Targets = None,
    jobs: Jobs = None,
    fresh: Fresh = False,
    json_file: JsonFile = None,
    junit_file: JunitFile = None,
    timeout: Timeout = None,
    core: Annotated[bool, typer.Option("--core", help="Run only the witnesses that need no torch.")] = False,
) -> None:
    """Check claims and their mutants: of all articles, of some, or of any Python file.

    Exits with 0 if all claims hold (open ones apart), 1 if some doesn't, 2 for wrong usage, 130 after Ctrl-C.
    """
    refs = _refs(targets or [])
    for option, name in (("--json", json_file), ("--junit", junit_file)):
        _check_writable(option, name)
    report = _run(refs, jobs=jobs, fresh=fresh, timeout=timeout, core=core, to_stderr="-" in (json_file, junit_file))
    _write(json_file, lambda: json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n")
    _write(junit_file, report.to_junit)
    raise typer.Exit(report.exit_status)


@app.command()
def simulate(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="SLUG|SLUG/CLAIM|FILE.py", help="Whose experiments to run; all by default."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", metavar="N", min=1, help="Give up (undecided) after N samples.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(metavar="D", help="Relative deviation to exclude.  [default: the claim's]")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Seed of all streams.")] = 0,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", metavar="N", parser=_jobs, help="Processes.  [default: this one]")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on a Dask cluster: tcp://HOST:PORT, or local.")
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="FILE", help="Keep the state of one experiment, and go on from it.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option("--plot", metavar="FILE", help="Write a forest plot and the e-processes.")
    ] = None,
    figures: Annotated[
        str | None, typer.Option("--figures", metavar="DIR", help="Write the figures of the articles as SVG and PNG.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Run Monte Carlo experiments until each is confirmed or refuted; the result doesn't depend on the workers.

    Exits with 0 if all are confirmed, 1 if one is refuted or undecided, 2 for wrong usage, 130 after Ctrl-C.
    """
    from kexue import simulate as simulation

    for option, name in (("--json", json_file), ("--plot", plot), ("--state", state)):
        _check_writable(option, name)
    if delta is not None and not 0 < delta < 1:
        _fail(f"--delta must be between 0 and 1, got {delta}")
    if dask is not None and workers is not None and dask != "local":
        _fail(f"--workers must be left out with --dask {dask}: the cluster has its own workers")
    with _usage_errors():
        refs = simulation.experiments(targets or [])
        if not refs:
            _fail(f"no experiment was found among {', '.join(targets or ['all articles'])}")
    asked = [(ref, estimate) for ref in refs for estimate in simulation.estimates(ref)]
    if state is not None and len(asked) != 1:
        _fail(f"--state must go with exactly one experiment, got {len(asked)}: name one as SLUG/CLAIM")
    options: dict[str, Any] = {"seed": seed, "state": state}
    options |= {k: v for k, v in (("max_samples", samples), ("delta", delta)) if v is not None}
    runs, interrupted = _simulate(asked, options, workers, dask, to_stderr=json_file == "-")
    _write(json_file, lambda: json.dumps([r.to_json() for r in runs], indent=1) + "\n")
    if plot is not None and runs:
        simulation.plot(runs, plot)
    if interrupted:
        raise typer.Exit(130)
    if figures is not None:
        for file in simulation.draw_figures(refs, figures):
            print(f"wrote {file}", file=sys.stderr)
    raise typer.Exit(0 if all(r.outcome.verdict == "confirmed" for r in runs) else 1)


@app.command()
def explain(
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="SLUG/CLAIM or FILE.py::FUNCTION")],
    json_out: AsJson = False,
    fresh: Fresh = False,
    timeout: Timeout = None,
) -> None:
    """Show one claim: its statement, what was checked and how, and what each mutant came to."""
    from kexue import explain as layout

    refs = _refs([claim])
    ids = list(dict.fromkeys(ref.id for ref in refs))
    if len(ids) != 1:
        _fail(f"CLAIM must name one claim, got {claim!r}, which has {len(ids)}: {', '.join(ids[:5])}, …")
    report = _quiet_run(refs, fresh, timeout)
    if report.interrupted:
        raise typer.Exit(130)
    result = report[ids[0]]
    print(json.dumps(result.to_json(), indent=1, ensure_ascii=False) if json_out else layout.explain(result))


@app.command(name="list")
def list_(
    what: Annotated[str, typer.Argument(metavar="[articles|claims|kinds|models]")] = "articles",
    slug: Annotated[str | None, typer.Argument(metavar="[SLUG]", help="Only the claims of this article.")] = None,
    json_out: AsJson = False,
) -> None:
    """List the articles, their claims (also those that are not there yet), the kinds of statements, or the models."""
    from kexue import explain as layout

    if what not in ("articles", "claims", "kinds", "models"):
        _fail(f"the argument must be articles, claims, kinds or models, got {what!r}")
    if slug is not None and what != "claims":
        _fail(f"SLUG goes with claims only: kexue list claims {slug}")
    with _usage_errors():
        try:
            rows = layout.claims(slug) if what == "claims" else getattr(layout, what)()
        except ModuleNotFoundError as error:
            _fail(f"{what} can't be listed: {error.name} isn't installed; pip install 'kexue[models]'")
    if json_out:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print(layout.columns(what, rows))


@app.command()
def errata(json_out: AsJson = False, jobs: Jobs = None, fresh: Fresh = False, timeout: Timeout = None) -> None:
    """Show what articles and papers print wrongly: the corrected statement and a counter-example to the printed one."""
    from kexue import explain as layout

    report = _quiet_run([ref for ref in _refs([]) if ref.erratum], fresh, timeout, jobs)
    rows = [layout.erratum(result) for result in report]
    print(json.dumps(rows, indent=1, ensure_ascii=False) if json_out else layout.errata(rows))
    raise typer.Exit(report.exit_status)


@app.command()
def book(
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the site goes; what is there is replaced.")] = "book",
    targets: Annotated[list[str] | None, typer.Argument(metavar="SLUG", help="Only these articles.")] = None,
    results: Annotated[
        str, typer.Option("--benchmarks", metavar="DIR", help="Results of `make bench` and `make gpu`.")
    ] = "benchmarks/results",
    check: Annotated[bool, typer.Option("--check", help="Open every page in a headless browser.")] = False,
    jobs: Jobs = None,
    timeout: Timeout = None,
) -> None:
    """Build the book: a static site of all claims, figures, models and benchmarks, from kept results.

    Exits with 0 if it was built (and, with --check, nothing is wrong with it), else 1; 2 for wrong usage.
    """
    with _named_errors("the book", "book,models"):
        from kexue.book import browse, build, data
    from kexue import cache

    place = Path(out)
    if place.exists() and not place.is_dir():
        _fail(f"--out must be a folder, got the file {out}")
    refs = _refs(targets or [])
    report = _run(refs, jobs=jobs, fresh=False, timeout=timeout, core=False, to_stderr=False)
    if report.interrupted:
        raise typer.Exit(130)
    work = cache.folder() / "book"
    gathered = data.gather(refs, report, work / "figures", Path(results), jobs=jobs or 2)
    status = build.build(gathered, place, work, work / "figures")
    if status == 0:
        print(f"wrote {place / 'index.html'}")
    if status == 0 and check:
        try:
            wrong = browse.problems(place, ["rotation", "旋转"])
        except FileNotFoundError as error:
            _fail(str(error))
        print("\n".join(wrong) if wrong else "every page opens, and nothing is wrong with it")
        status = int(bool(wrong))
    raise typer.Exit(1 if status else 0)


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="SLUG/PRESET, see `kexue list models`.")],
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="digits, stdlib, images:DIR, text:FILE or hf:NAME.  [default: by model]"),
    ] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="The preset, if MODEL names a slug only.")] = None,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where checkpoints, logs and samples go.")] = "run",
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="Optimiser steps.  [default: 1000]")] = None,
    epochs: Annotated[float | None, typer.Option(metavar="E", help="Passes over the data, instead of --steps.")] = None,
    batch_size: Annotated[int, typer.Option(metavar="B", min=1, help="Of all devices together.")] = 64,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="adamw, lion, tiger or sgd.")] = "adamw",
    learning_rate: Annotated[float, typer.Option("--lr", metavar="X", help="After the warm-up.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(metavar="X", help="Of the weights, decoupled.")] = 0.0,
    clip: Annotated[str, typer.Option(metavar="RULE", help="Gradient clipping: hard, soft, log or none.")] = "hard",
    clip_norm: Annotated[float, typer.Option(metavar="X", help="Its bound.")] = 1.0,
    ema: Annotated[float, typer.Option(metavar="X", help="Decay of the averaged weights; 0 keeps none.")] = 0.999,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of everything random.")] = 0,
    devices: Annotated[int, typer.Option(metavar="N", min=1, help="GPUs, or CPU processes.")] = 1,
    strategy: Annotated[str, typer.Option(metavar="NAME", help="ddp or fsdp, for several devices.")] = "auto",
    precision: Annotated[str, typer.Option(metavar="NAME", help="32-true or bf16-mixed.")] = "32-true",
    compile: Annotated[bool, typer.Option("--compile", help="Compile the loss with torch.compile.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in DIR.")] = False,
    checkpoint_every: Annotated[int, typer.Option(metavar="N", min=1, help="Steps between checkpoints.")] = 200,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the model's config.")
    ] = None,
) -> None:
    """Train a model; a run that was killed goes on with --resume, bit for bit on a CPU.

    Exits with 0 when the run is complete, 2 for wrong usage, 130 after Ctrl-C.
    """
    with _named_errors():
        from kexue.training import run

        name = model if "/" in model else f"{model}/{preset or 'tiny'}"
        if "/" in model and preset:
            _fail(f"--preset must be left out when MODEL names one, got {model} and {preset}")
        if steps is not None and epochs is not None:
            _fail(f"--steps and --epochs exclude each other, got {steps} and {epochs}")
        overrides = _overrides(set_ or [])
        settings = run.Settings(
            data=data, steps=steps or 1000, batch_size=batch_size, optimizer=optimizer, learning_rate=learning_rate,
            weight_decay=weight_decay, clip=clip, clip_norm=clip_norm, ema=ema, seed=seed, precision=precision,
            devices=devices, strategy="ddp" if devices > 1 and strategy == "auto" else strategy, compile=compile,
            checkpoint_every=checkpoint_every,
        )  # fmt: skip
        summary = run.train(name, settings, out, epochs=epochs, resume=resume, overrides=overrides)
    for key, value in summary.items():
        print(f"{key}: {value:.4f}" if isinstance(value, float) else f"{key}: {value}")


@app.command()
def sample(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help="A folder that `kexue train` wrote.")],
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the samples go.")] = ".",
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Images.")] = 64,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of everything random.")] = 0,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What a language model goes on from.")] = "def ",
) -> None:
    """Draw samples from a trained model: a grid of images as PNG, or a text."""
    with _named_errors():
        from kexue.training import run

        written = run.sample(checkpoint, out, count=count, seed=seed, prompt=prompt)
    print(f"wrote {written}")
    if written.suffix == ".txt":
        print(written.read_text(encoding="utf-8"))


def _overrides(pairs: list[str]) -> dict[str, Any]:
    """--set width=64 --set multipliers=1,2: numbers, tuples of numbers, true, false, or strings."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            _fail(f"--set must be FIELD=VALUE, got {pair!r}")
        found[name] = tuple(map(_value, text.split(","))) if "," in text else _value(text)
    return found


def _value(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


@contextlib.contextmanager
def _named_errors(what: str = "training", extras: str = "models,train") -> Iterator[None]:
    """Missing packages and wrong values become one line and exit status 2."""
    try:
        yield
    except ModuleNotFoundError as error:
        _fail(f"{what} needs {error.name}, which isn't installed: pip install 'kexue[{extras}]'")
    except (ValueError, TypeError, FileNotFoundError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    """What the caller named wrongly is an error message and exit status 2; a broken installation is status 1."""
    from kexue.discovery import DiscoveryError
    from kexue.runner import WorkersUnavailable

    try:
        yield
    except DiscoveryError as error:
        _fail(str(error))
    except WorkersUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(1) from error


def _refs(targets: list[str]) -> list[ClaimRef]:
    from kexue.runner import resolve_targets

    with _usage_errors():
        return resolve_targets(targets)


def _check_writable(option: str, name: str | None) -> None:
    """Before the run: a long run must not end in "no such folder"."""
    if name is None or name == "-":
        return
    path = Path(name)
    if path.is_dir():
        _fail(f"{option} must be a file to write, got the folder {name}")
    if not path.absolute().parent.is_dir():
        _fail(f"{option} must be a file in an existing folder, got {name}")


def _write(name: str | None, text: Callable[[], str]) -> None:
    if name == "-":
        sys.stdout.write(text())
    elif name is not None:
        try:
            Path(name).write_text(text(), encoding="utf-8")
        except OSError as error:
            _fail(f"{name} can't be written: {error.strerror}")


def _quiet_run(refs: list[ClaimRef], fresh: bool, timeout: float | None, jobs: int | None = None) -> Report:
    from kexue.runner import budget_of, run

    with _usage_errors():
        report = run(refs, fresh=fresh, jobs=jobs, budget=budget_of(timeout))
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return report


def _run(
    refs: list[ClaimRef], *, jobs: int | None, fresh: bool, timeout: float | None, core: bool, to_stderr: bool
) -> Report:
    """A run with live progress, then the table and what doesn't hold."""
    from rich.console import Console

    from kexue.runner import budget_of, run

    console = Console(stderr=to_stderr, highlight=False, markup=False, soft_wrap=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)  # a log has no edge to wrap at
    with _usage_errors(), (_Bar if console.is_terminal else _Lines)(console, refs) as progress:
        report = run(refs, jobs=jobs, budget=budget_of(timeout), fresh=fresh, core=core, on_event=progress.on)
    console.print(report.table())
    if failures := report.failures():
        console.print(failures, "\n", soft_wrap=True, sep="")
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    console.print(report.summary(), soft_wrap=True)
    return report


def _simulate(
    asked: list[tuple[ClaimRef, Estimate]],
    options: dict[str, Any],
    workers: int | None,
    cluster: str | None,
    to_stderr: bool,
) -> tuple[list[Run], bool]:
    """Runs the experiments one after another with live progress, and prints the table; also whether Ctrl-C came."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from kexue import simulate as simulation
    from kexue.sampling import executors
    from kexue.sampling.run import StateError

    console = Console(stderr=to_stderr, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)
    runs: list[Run] = []
    interrupted = False
    with contextlib.ExitStack() as stack:
        executor: Any = None
        ahead, seconds = 4, executors.LOCAL_TASK
        try:
            if cluster is not None:
                executor, count = stack.enter_context(executors.dask(cluster, workers))
                ahead, seconds = 2 * count, executors.DASK_TASK
            elif workers is not None and workers > 1:
                executor, ahead = executors.processes(workers), 2 * workers
        except (OSError, ValueError, ModuleNotFoundError) as error:
            _fail(f"--dask {cluster} can't be used: {error}")
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        progress = stack.enter_context(Progress(*columns, console=console, transient=True))
        task = progress.add_task("", total=None)
        try:
            for ref, estimate in asked:

                def show(o: Outcome, ref: ClaimRef = ref) -> None:
                    where = simulation.interval_text(o)
                    progress.update(task, description=f"{len(runs) + 1}/{len(asked)} {ref.id}: {o.n:,} samples {where}")

                runs.append(
                    simulation.simulate(
                        ref, estimate, executor=executor, task_seconds=seconds, ahead=ahead, on_progress=show, **options
                    )
                )
        except KeyboardInterrupt:
            interrupted = True
        except (StateError, ValueError) as error:
            _fail(str(error))
    console.print(simulation.table(runs))
    confirmed = sum(r.outcome.verdict == "confirmed" for r in runs)
    console.print(f"{confirmed} of {len(asked)} estimates are confirmed" + (", interrupted" if interrupted else ""))
    return runs, interrupted


class _Lines:
    """Progress for a log: one line for each article that is complete."""

    def __init__(self, console: Console, refs: list[ClaimRef]) -> None:
        self.console = console
        self.left: dict[str, set[str]] = {}
        self.held: dict[str, int] = {}
        for ref in refs:
            self.left.setdefault(ref.slug, set()).add(ref.id)
        self.asked = {slug: len(ids) for slug, ids in self.left.items()}

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None: ...

    def on(self, event: Event) -> None:
        if event.kind != "claim" or event.result is None:
            return
        slug = event.id.partition("/")[0]
        self.left[slug].discard(event.id)
        self.held[slug] = self.held.get(slug, 0) + event.result.holds
        if not self.left[slug]:
            self.console.print(f"{slug}: {self.held[slug]} of {self.asked[slug]} claims hold", soft_wrap=True)


class _Bar:
    """Progress for a terminal: claims done, mutants killed, and what runs at the moment."""

    def __init__(self, console: Console, refs: list[ClaimRef]) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.bar = Progress(
            BarColumn(24), MofNCompleteColumn(), TextColumn("claims · {task.fields[killed]} mutants killed ·"),
            TimeElapsedColumn(), TextColumn("{task.fields[now]}", style="dim", markup=False), console=console,
            transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task("", total=len({ref.id for ref in refs}), killed=0, now="")
        self.killed = 0
        self.now: list[str] = []

    def __enter__(self) -> _Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def on(self, event: Event) -> None:
        if event.kind == "started":
            self.now.append(event.id)
        elif event.kind == "ended":
            self.now.remove(event.id)
        elif event.result is not None:
            self.killed += event.result.killed
            self.bar.advance(self.task)
        self.bar.update(self.task, killed=self.killed, now=", ".join(dict.fromkeys(self.now)))
