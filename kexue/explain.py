"""Readable layouts: one claim in full, the errata, and the lists of articles, claims and kinds."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

from kexue import discovery, registry
from kexue.findings import Finding, Verdict
from kexue.judge import ClaimResult

WIDTH = 100


def explain(result: ClaimResult) -> str:
    """One claim for a reader: the statement, what was checked, by what, and what each mutant came to."""
    lines = [result.id, "=" * len(result.id)]
    lines += _block("", _joined(result.info.get("doc", "")))
    lines += _block("status", status_words(result.status) + ("" if result.holds else ": it does not hold"))
    for reason in result.reasons:
        lines += _block("because", reason)
    lines += _block("relies on", "; ".join(result.info.get("relies_on", ())))
    lines += _block("open because", result.info.get("open") or "")
    lines += _block("needs", ", ".join(result.info.get("needs", ())))
    lines += _block("source", result.info.get("source", ""))
    lines += _block("time", f"{result.seconds:.2f} s with all mutants")
    lines += ["", "What was checked", "----------------", *_finding(result.truth)]
    if result.mutants:
        title = f"Mutants ({result.killed} of {result.total} refuted)" if result.total else "Mutants"
        lines += ["", title, "-" * len(title)]
        for mutant, finding in result.mutants:
            lines += _mutant(mutant, finding, result.truth)
    return "\n".join(line.rstrip() for line in lines)


def status_words(status: str) -> str:
    return status.replace("relying", "proved, relying on a quoted theorem")


def _joined(doc: str) -> str:
    """Paragraphs on one line each, to be wrapped anew; a paragraph with indented lines is kept as it is."""
    paragraphs = doc.split("\n\n")
    return "\n\n".join(p if "\n " in p else " ".join(p.split("\n")) for p in paragraphs)


def _block(label: str, text: str, indent: str = "") -> list[str]:
    """A label and its text with a hanging indent, each of the text's own lines kept; nothing if there is no text."""
    if not text:
        return []
    head = f"{indent}{label}: " if label else indent
    hang = " " * (len(indent) + 2) if label else indent
    lines = []
    for i, line in enumerate(text.strip("\n").split("\n")):
        lines += textwrap.wrap(
            line, WIDTH, initial_indent=head if i == 0 else hang, subsequent_indent=hang,
            break_long_words=False, break_on_hyphens=False, replace_whitespace=False, drop_whitespace=bool(label),
        ) or [""]  # fmt: skip
    return lines


def _finding(finding: Finding, indent: str = "") -> list[str]:
    lines = _block(finding.kind, finding.checked, indent)
    lines += _block("given", "; ".join(finding.domain), indent)
    for number, step in enumerate(finding.steps, 1):
        lines += _block(f"step {number}", step, indent)
    scope = f", {finding.scope}" if finding.scope else ""
    lines += _block("finding", f"{finding.verdict}{scope}", indent)
    lines += _block("engines", engine_words(finding.engines), indent)
    lines += _block("live point", finding.live, indent)
    lines += _block("counter-example", finding.counterexample, indent)
    if not finding.parts:
        lines += _block("reason", finding.reason, indent)
    for note in finding.notes:
        lines += _block("note", note, indent)
    word = "witness" if finding.witnesses else "part"
    for number, part in enumerate(finding.parts, 1):
        lines += [f"{indent}{word} {number} of {len(finding.parts)}", *_finding(part, indent + "  ")]
    return lines


def engine_words(names: tuple[str, ...]) -> str:
    text = ", ".join(names)
    if any("z3" in n for n in names) and any("cvc5" in n for n in names):
        text += " (two solvers on one SMT text: one formalisation)"
    return text


def _mutant(mutant: dict[str, Any], finding: Finding, truth: Finding) -> list[str]:
    name = "printed" if mutant["key"] == "printed" else f"mutant {mutant['key']}"
    lines = _block(name, f"{mutant['label']}: {finding.verdict}")
    if mutant.get("changes"):
        lines += _block("changes on purpose", ", ".join(mutant["changes"]), "  ")
    lines += _block("checked", "; ".join(leaf.checked for leaf in different(finding, truth)), "  ")
    lines += _block("counter-example", finding.example(), "  ")
    if finding.verdict is not Verdict.REFUTED:
        lines += _block("reason", finding.reason, "  ")
    return lines


def different(finding: Finding, truth: Finding) -> list[Finding]:
    """What the mutant checked, without the parts that it shares with the truth."""
    same = {leaf.checked for leaf in truth.leaves()}
    shown = [leaf for leaf in finding.leaves() if leaf.checked]
    return [leaf for leaf in shown if leaf.checked not in same] or shown


def erratum(result: ClaimResult) -> dict[str, Any]:
    """An erratum as data: what is printed, what is true, and the counter-example to what is printed."""
    printed = next(((m, f) for m, f in result.mutants if m["key"] == "printed"), None)
    mutant, finding = printed or ({"label": ""}, Finding(Verdict.NOT_RUN))
    return {
        "id": result.id,
        "status": result.status,
        "holds": result.holds,
        "reasons": list(result.reasons),
        "corrected": result.info.get("doc", ""),
        "corrected_checked": "; ".join(leaf.checked for leaf in result.truth.leaves() if leaf.checked),
        "difference": _reversed(mutant["label"]),
        "printed_checked": "; ".join(leaf.checked for leaf in different(finding, result.truth)),
        "counterexample": finding.example(),
    }


def _reversed(label: str) -> str:
    """A mutant's label reads "truth → change"; an erratum's reader wants "printed → corrected"."""
    name, colon, change = label.partition(": ")
    before, arrow, after = change.partition(" → ")
    return f"{name}: {after} → {before}" if colon and arrow and "→" not in after else label


def errata(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "no errata are verified yet"
    lines: list[str] = []
    for row in rows:
        lines += ["", row["id"] + ("" if row["holds"] else f"  ({row['status']}: it does not hold)")]
        for reason in row["reasons"]:
            lines += _block("because", reason, "  ")
        lines += _block("corrected", _joined(row["corrected"]), "  ")
        lines += _block("printed → corrected", row["difference"], "  ")
        lines += _block("printed, as checked", row["printed_checked"], "  ")
        lines += _block("counter-example", row["counterexample"], "  ")
    return "\n".join(lines[1:])


def articles() -> list[dict[str, Any]]:
    """One row an article of the registry, the oldest first, with how many of its atlas claims are there."""
    present: dict[str, set[str]] = {}
    for ref in discovery.all_claims():
        present.setdefault(ref.slug, set()).add(ref.id)
    rows = []
    for article in registry.articles():
        asked, there = registry.atlas_claims(article.slug), present.pop(article.slug, set())
        rows.append({
            "slug": article.slug, "title_en": article.title_en, "title_zh": article.title_zh, "date": article.date,
            "archive": list(article.archive), "claims": len(there), "atlas": len(asked),
            "missing": [each for each in asked if each not in there],
        })  # fmt: skip
        present[article.slug] = there  # two articles may share one slug
    return rows


def claims(slug: str | None = None) -> list[dict[str, Any]]:
    """One row a claim: those that code exists for, then those that the atlas asks for and that are not there yet.

    Raises:
        UnknownName: if no article has this slug.
    """
    slugs = registry.slugs()
    if slug is not None and slug not in slugs:
        refs = discovery.resolve([slug])  # an article without a row in the registry, or UnknownName
    else:
        refs = [ref for ref in discovery.all_claims() if slug in (None, ref.slug)]
    found: dict[str, dict[str, Any]] = {}
    for ref in refs:
        row = found.setdefault(ref.id, {
            "id": ref.id, "title": ref.title, "erratum": ref.erratum, "open": ref.open, "rooms": [], "present": True,
            "source": f"{ref.file}:{ref.line}",
        })  # fmt: skip
        row["rooms"].append(ref.room)
    begun = {claim_id.partition("/")[0] for claim_id in found}
    for each in slugs if slug is None else [slug]:
        for atlas in registry.claims_of(each) if each in slugs else ():
            if atlas.id not in found:
                why = registry.waiting(atlas.id) or (f"it needs {atlas.needs}" if atlas.needs else None)
                why = why or (None if each in begun else "its article has no module yet")
                found[atlas.id] = {"id": atlas.id, "title": atlas.label, "present": False, "why": why}
    order = {each: i for i, each in enumerate(slugs)}
    return sorted(found.values(), key=lambda row: order.get(row["id"].partition("/")[0], len(order)))


def kinds() -> list[dict[str, str]]:
    """The kinds of statements with the first line of their description, read from the source: nothing is imported."""
    rows = []
    for file in sorted((Path(__file__).parent / "statements").glob("*.py")):
        for node in ast.parse(file.read_bytes()).body:
            if not isinstance(node, ast.ClassDef):
                continue
            for item in node.body:
                if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "kind":
                    doc = (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
                    rows.append({"kind": str(ast.literal_eval(item.value)), "class": node.name, "states": doc})
    return rows


def models() -> list[dict[str, Any]]:
    """The presets with their architecture and number of parameters; needs torch, and allocates no weights."""
    from kexue.models._model import ARCHITECTURES, create_model, list_models, preset

    rows = []
    for name in list_models():
        config = preset(name)
        rows.append({
            "name": name,
            "architecture": ARCHITECTURES[type(config)].__name__,
            "parameters": create_model(name, device="meta").num_parameters(),
            "config": config.to_json(),
        })  # fmt: skip
    return rows


def columns(what: str, rows: list[dict[str, Any]]) -> str:
    if what == "articles":
        cells = [
            [r["slug"], f"{r['claims']}/{r['atlas']}", ", ".join(map(str, r["archive"][:1])), r["title_en"]]
            for r in rows
        ]
        return _aligned([["article", "claims", "archive", "title"], *cells])
    if what == "models":
        cells = [[r["name"], f"{r['parameters']:,}", r["architecture"]] for r in rows]
        return _aligned([["model", "parameters", "class"], *cells])
    if what == "kinds":
        return _aligned([[r["kind"], r["states"]] for r in rows])
    return _aligned([[r["id"], _state(r), r["title"]] for r in rows])


def _state(row: dict[str, Any]) -> str:
    if not row["present"]:
        return "not yet" + (f": {row['why']}" if row["why"] else "")
    return "erratum" if row["erratum"] else "open" if row["open"] else "there"


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows
    )
