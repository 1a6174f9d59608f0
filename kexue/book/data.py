"""What the pages show, gathered once and written as JSON: the pages know nothing else."""

from __future__ import annotations

import ast
import datetime
import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import kexue
from kexue import discovery, measurements, registry
from kexue.discovery import ClaimRef
from kexue.results import Report
from kexue.simulate import COLOURS, figures_of, use_colours

ROOMS = ("derivations", "numerics", "models")


def gather(
    refs: Sequence[ClaimRef], report: Report, figures: Path, results: Path | None = None, *, jobs: int = 2
) -> dict[str, Any]:
    """Everything that the book shows.

    Args:
        refs: the claims of the articles.
        report: of a run over them.
        figures: a folder that holds the figures; those of changed articles are drawn anew.
        results: a folder of benchmark results as pytest-benchmark writes them.
        jobs: processes that draw.
    """
    code: dict[str, list[dict[str, str]]] = {}
    for ref in refs:
        code.setdefault(ref.id, []).append(source_of(ref))
    claims = {result.id: result.to_json() for result in report}
    drawn = draw_all(refs, figures, jobs)
    return {
        "version": kexue.__version__,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "seconds": report.seconds,
        "articles": [article_row(slug, claims, drawn) for slug in registry.slugs()],
        "claims": claims,
        "code": code,
        "models": [row for row in models() if row["name"].partition("/")[0] in {ref.slug for ref in refs}],
        "benchmarks": benchmarks(results, figures),
    }


def article_row(slug: str, claims: dict[str, Any], drawn: dict[str, list[dict[str, str]]]) -> dict[str, Any]:
    """One slug: two articles of the blog may share it."""
    held = [a for a in registry.articles() if a.slug == slug]
    asked = list(registry.atlas_claims(slug))
    there = [each for each in claims if each.partition("/")[0] == slug]
    order = {each: i for i, each in enumerate(asked)}
    return {
        "slug": slug,
        "titles": [
            {"en": a.title_en, "zh": a.title_zh, "date": a.date, "archive": list(a.archive)} for a in held
        ],
        "papers": [
            {"title": p.title, "year": p.year, "arxiv": p.arxiv}
            for p in dict.fromkeys(p for a in held for p in a.papers)
        ],
        "summary": {"en": held[0].summary, "zh": held[0].summary_zh},
        "claims": sorted(there, key=lambda each: order.get(each, len(order))),
        "planned": len(asked),
        "rooms": [room for room in ROOMS if room_files(room, slug)],
        "figures": drawn.get(slug, []),
    }


def room_files(room: str, slug: str) -> list[Path]:
    """The files of an article in a room: <slug>.py, or those of the package <slug>."""
    folder = discovery.room_folder(room)
    if folder is None:
        return []
    file = folder / f"{slug}.py"
    return [file] if file.is_file() else sorted((folder / slug).rglob("*.py"))


def source_of(ref: ClaimRef) -> dict[str, str]:
    """Where a claim function stands, and its text with its decorators."""
    folder = discovery.room_folder(ref.room) if ref.room else None
    place = f"{ref.room}/{ref.file.relative_to(folder).as_posix()}" if folder else ref.file.name
    return {"file": place, "code": functions_in(ref.file).get(ref.function, "")}


@functools.cache
def functions_in(file: Path) -> dict[str, str]:
    text = file.read_text(encoding="utf-8")
    lines, found = text.splitlines(), {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def draw_all(refs: Iterable[ClaimRef], folder: Path, jobs: int) -> dict[str, list[dict[str, str]]]:
    """slug -> its figures as SVG with a text alternative; drawn again only when the article's files have changed."""
    folder.mkdir(parents=True, exist_ok=True)
    slugs = list(dict.fromkeys(ref.slug for ref in refs if ref.room == "numerics"))
    keys = {slug: figures_key(slug) for slug in slugs}
    stale = [slug for slug in slugs if _kept(folder, slug).get("key") != keys[slug]]
    if stale:
        with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
            for slug, drawn in zip(stale, pool.map(draw_one, stale, [str(folder)] * len(stale)), strict=True):
                kept = {"key": keys[slug], "figures": drawn}
                (folder / f"{slug}.json").write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    return {slug: _kept(folder, slug)["figures"] for slug in slugs}


def _kept(folder: Path, slug: str) -> dict[str, Any]:
    try:
        kept = json.loads((folder / f"{slug}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    there = isinstance(kept, dict) and all((folder / f["file"]).is_file() for f in kept.get("figures", ()))
    return kept if there else {}


def figures_key(slug: str) -> str:
    digest = hashlib.sha256(repr(COLOURS).encode())
    for file in [*room_files("numerics", slug), *room_files("derivations", slug), *room_files("models", slug)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def draw_one(slug: str, folder: str) -> list[dict[str, str]]:
    """Draws the figures of one article; what they show in words comes from their labels."""
    from matplotlib import rcParams

    rcParams["svg.fonttype"] = "path"
    rcParams["svg.hashsalt"] = "kexue"  # the same file for the same figure
    drawn = []
    for name, figure in figures_of(f"kexue.numerics.{slug}").items():
        file = f"{slug}-{name}.svg"
        figure.savefig(Path(folder) / file, metadata={"Date": None})
        drawn.append({"name": name, "file": file, "alt": alternative(name, figure)})
    return drawn


def alternative(name: str, figure: Any) -> str:
    """The text alternative of a figure: its axes, titles and labelled curves."""
    parts = []
    for axes in figure.get_axes():
        title, x, y = axes.get_title(), axes.get_xlabel(), axes.get_ylabel()
        labels = [text for text in axes.get_legend_handles_labels()[1] if not text.startswith("_")]
        plot = f"{y} against {x}" if x and y else y or x
        words = [w for w in (title, plot) if w]
        if labels:
            words.append("curves: " + "; ".join(dict.fromkeys(labels)))
        if words:
            parts.append(", ".join(words))
    return f"{name.replace('-', ' ')}. " + ". ".join(dict.fromkeys(parts))


def models() -> list[dict[str, Any]]:
    """The presets with numbers of parameters; none where torch isn't installed."""
    from kexue import explain

    try:
        return explain.models()
    except ModuleNotFoundError:
        return []


def benchmarks(folder: Path | None, figures: Path) -> list[dict[str, Any]]:
    """Every results file: device, versions, date, and its groups as tables, with a figure for each that grows with n.

    Raises:
        ValueError: a file there isn't one of results.
    """
    found = []
    for file in sorted(folder.glob("*.json")) if folder is not None and folder.is_dir() else ():
        results = measurements.load(file)
        curves = measurements.growing(results.groups)
        groups = []
        for number, group in enumerate(results.groups):
            header, rows = measurements.rows(results, group)
            drawn = None
            if group in curves:
                use_colours()
                name = f"{results.name}-{number}.svg"
                plot = measurements.figure(group)
                plot.savefig(figures / name, metadata={"Date": None})
                drawn = {"file": name, "alt": alternative(group.name, plot)}
            groups.append({
                "name": group.name, "header": header, "rows": rows, "exponents": measurements.exponents(group),
                "figure": drawn,
            })  # fmt: skip
        found.append({
            "name": results.name, "device": results.device, "date": results.date, "versions": results.versions,
            "groups": groups,
        })  # fmt: skip
    return found

