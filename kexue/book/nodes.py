"""Findings, claims and tables as document nodes. Generated text enters as text nodes: it is never parsed as markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from docutils import nodes

from kexue import explain
from kexue.findings import Finding
from kexue.judge import ClaimResult

from .mathml import formula_node, inline, paragraphs

MEANS = {
    "proved": "for all objects of the stated scope",
    "exhausted": "every case of a finite domain, by two independent exact routes",
    "enclosed": "rigorous bounds on a box, in ball arithmetic",
    "relying": "proved, quoting a theorem that is named",
    "confirmed": "by simulation: all deviations of the stated size are excluded",
    "observed": "a deterministic fact about floating point arithmetic",
    "open": "nobody here could establish it; the reason is given",
    "undecided": "no decision",
    "refuted": "a counter-example was found",
    "defective": "the check is no good",
    "not run": "something that the witness needs is absent",
}


class details(nodes.General, nodes.Element):
    """A part that opens on a click; its summary is plain text."""


def visit_details(self: Any, node: details) -> None:
    self.body.append(f"<details><summary>{html.escape(node['summary'])}</summary>\n")


def depart_details(self: Any, node: details) -> None:
    self.body.append("</details>\n")


def folded(summary: str, *children: nodes.Node) -> details:
    return details("", *children, summary=summary)


def text(words: str, *classes: str) -> nodes.paragraph:
    """A paragraph of words with mathematics and code in them."""
    return nodes.paragraph("", "", *inline(words), classes=list(classes))


def plain(words: str, *classes: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.Text(words), classes=list(classes))


def block(code: str, language: str = "text") -> nodes.literal_block:
    return nodes.literal_block(code, code, language=language, force=True)  # what no lexer reads is shown plain


def badge(status: str, holds: bool = True) -> nodes.inline:
    word = explain.status_words(status)
    classes = ["verdict", "verdict-" + (status if holds else "fails").replace(" ", "-")]
    return nodes.inline("", word if holds else f"{word}: does not hold", classes=classes)


def link(words: str | nodes.Node, target: str) -> nodes.reference:
    """To a page of the book, relative to the page at hand, or to the web."""
    child = nodes.Text(words) if isinstance(words, str) else words
    return nodes.reference("", "", child, refuri=target, internal=not target.startswith("http"))


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], classes: Sequence[str] = ()) -> nodes.table:
    """Cells are nodes, lists of nodes, or plain text. Numbers are set to the right by their class."""
    width = len(header)
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in range(width)), cols=width)
    group += nodes.thead("", _row(header))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group, classes=["kexue-table", *classes])


def _row(cells: Sequence[Any]) -> nodes.row:
    entries = []
    for cell in cells:
        children = cell if isinstance(cell, list) else [cell if isinstance(cell, nodes.Node) else nodes.Text(str(cell))]
        number = isinstance(cell, str) and cell[:1].isdigit() or cell == "·"
        inside = any(isinstance(c, (nodes.Text, nodes.Inline)) for c in children)
        content = [nodes.paragraph("", "", *children)] if inside else children
        entries.append(nodes.entry("", *content, classes=["number"] if number else []))
    return nodes.row("", *entries)


def finding(found: Finding) -> list[nodes.Node]:
    """What was checked, and with what result: the formula as the engine had it, never as the docstring puts it."""
    head = nodes.paragraph("", "", nodes.strong("", found.kind or "Statement"), nodes.Text(": "), badge(found.verdict))
    if found.scope:
        head += nodes.Text(f", {found.scope}")
    shown: list[nodes.Node] = [head]
    if not found.parts and found.checked:
        shown.append(formula(found))
    shown += definitions([
        ("given", "; ".join(found.domain)),
        ("engines", explain.engine_words(found.engines)),
        ("live point", found.live),
        ("counter-example", found.counterexample),
        ("reason", "" if found.parts else found.reason),
        *(("step", step) for step in found.steps),
        *(("note", note) for note in found.notes),
    ])  # fmt: skip
    word = "Witness" if found.witnesses else "Part"
    for number, part in enumerate(found.parts, 1):
        title = plain(f"{word} {number} of {len(found.parts)}", "part-title")
        shown.append(nodes.container("", title, *finding(part), classes=["part"]))
    return shown


def formula(leaf: Finding) -> nodes.Node:
    return formula_node(leaf.latex, display=True) if leaf.latex else block(leaf.checked)


def definitions(rows: Iterable[tuple[str, Any]]) -> list[nodes.Node]:
    """A list of names and what they stand for, nodes or plain text; nothing for those without text."""
    fields = [
        nodes.field("", nodes.field_name("", name), nodes.field_body("", _evidence(value)))
        for name, value in rows
        if value != ""
    ]
    return [nodes.field_list("", *fields, classes=["facts"])] if fields else []


def _evidence(value: Any) -> nodes.Node:
    return value if isinstance(value, nodes.Node) else plain(str(value), "evidence")


def mutants(claim: ClaimResult) -> nodes.table:
    rows = []
    for info, result in claim.mutants:
        change = nodes.literal("", info["label"])
        rows.append([str(info["key"]), change, badge(result.verdict), result.example() or "·"])
    return table(["", "change", "verdict", "counter-example"], rows, ["mutants"])


def claim_section(claim: ClaimResult, sources: Sequence[dict[str, Any]]) -> nodes.section:
    """One claim: its statement, verdict and evidence, its mutants, its sources, and how to check it."""
    name, info = claim.id.partition("/")[2], claim.info
    section = nodes.section("", nodes.title("", "", nodes.Text(name)), ids=[name], names=[], classes=["claim"])
    line = nodes.paragraph("", "", badge(claim.status, claim.holds), classes=["badges"])
    if info.get("erratum"):
        line += nodes.Text(" ")
        line += nodes.inline("", "erratum", classes=["verdict", "verdict-erratum"])
    line += nodes.Text(f" {claim.killed} of {claim.total} mutants refuted, {claim.seconds:.2f} s")
    statement, *rest = paragraphs(info.get("doc", "")) or [plain("(no statement)")]
    statement["classes"].append("statement")
    section += [line, statement, *rest]
    if info.get("erratum"):
        section += printed(claim)
    section += definitions([
        ("relies on", "; ".join(info.get("relies_on") or ())),
        ("open because", info.get("open") or ""),
        ("needs", ", ".join(info.get("needs") or ())),
        ("it does not hold because", "" if claim.holds else "; ".join(claim.reasons)),
    ])  # fmt: skip
    section += folded("What was checked", *finding(claim.truth))
    if claim.mutants:
        section += folded(f"Mutants: {claim.killed} of {claim.total} refuted", mutants(claim))
    for source in sources:
        section += folded(f"Source: {source['file']}", block(source["code"], "python"))
    section += nodes.paragraph(
        "", "", nodes.Text("Check it yourself: "), nodes.literal("", f"kexue verify {claim.id}"), classes=["command"]
    )
    return section


def printed(claim: ClaimResult) -> nodes.container:
    """What an article or paper prints, the counter-example to it, and folded the formulas that were checked."""
    row = explain.erratum(claim)
    shown = definitions([
        ("printed → corrected", nodes.paragraph("", "", nodes.literal("", row["difference"]))),
        ("counter-example", row["counterexample"]),
    ])  # fmt: skip
    checked = next((found for info, found in claim.mutants if info["key"] == "printed"), None)
    formulas = [] if checked is None else [formula(leaf) for leaf in explain.different(checked, claim.truth)]
    if formulas:
        shown.append(folded("The printed version, as it was checked", *formulas))
    return nodes.container("", *shown, classes=["erratum"])
