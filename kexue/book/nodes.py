"""Findings, claims and tables as document nodes. Generated text enters as text nodes: it is never parsed as markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from docutils import nodes

from .mathml import formula_node, inline, paragraphs

WORDS = {"relying": "proved, relying on a quoted theorem"}
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
    word = WORDS.get(status, status)
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


def finding(data: dict[str, Any]) -> list[nodes.Node]:
    """What was checked, and with what result: the formula as the engine had it, never as the docstring puts it."""
    found: list[nodes.Node] = []
    head = nodes.paragraph("", "", nodes.strong("", data.get("kind") or "Statement"), nodes.Text(": "))
    head += badge(data["verdict"])
    if data.get("scope"):
        head += nodes.Text(f", {data['scope']}")
    found.append(head)
    parts = data.get("parts", [])
    if not parts and data.get("checked"):
        found.append(statement(data))
    lines = [
        ("given", "; ".join(data.get("domain", ()))),
        ("engines", engines(data.get("engines", ()))),
        ("live point", data.get("live", "")),
        ("counter-example", data.get("counterexample", "")),
        ("reason", "" if parts else data.get("reason", "")),
        *(("step", step) for step in data.get("steps", ())),
        *(("note", note) for note in data.get("notes", ())),
    ]
    listed = [(name, value) for name, value in lines if value]
    if listed:
        found.append(definitions(listed))
    word = "Witness" if data.get("witnesses") else "Part"
    for number, part in enumerate(parts, 1):
        inner = nodes.container("", *finding(part), classes=["part"])
        inner.insert(0, plain(f"{word} {number} of {len(parts)}", "part-title"))
        found.append(inner)
    return found


def engines(names: Sequence[str]) -> str:
    words = ", ".join(names)
    if any("z3" in n for n in names) and any("cvc5" in n for n in names):
        words += " (two solvers on one SMT text: one formalisation)"
    return words


def definitions(rows: Iterable[tuple[str, Any]]) -> nodes.field_list:
    found = nodes.field_list(classes=["facts"])
    for name, value in rows:
        body = value if isinstance(value, nodes.Node) else plain(str(value), "evidence")
        found += nodes.field("", nodes.field_name("", name), nodes.field_body("", body))
    return found


def leaves(data: dict[str, Any]) -> Iterable[dict[str, Any]]:
    parts = data.get("parts", [])
    if not parts:
        yield data
    for part in parts:
        yield from leaves(part)


def counterexample(data: dict[str, Any]) -> str:
    found = (leaf.get("counterexample") for leaf in [data, *leaves(data)])
    return next(filter(None, found), "")


def mutants(claim: dict[str, Any]) -> nodes.table:
    rows = []
    for mutant in claim["mutants"]:
        info, result = mutant["info"], mutant["finding"]
        name = "printed" if info["key"] == "printed" else f"{int(info['key']) + 1}"
        rows.append([name, nodes.literal("", info["label"]), badge(result["verdict"]), counterexample(result) or "·"])
    return table(["", "change", "verdict", "counter-example"], rows, ["mutants"])


def claim_section(claim_id: str, claim: dict[str, Any]) -> nodes.section:
    """One claim: its statement, verdict and evidence, its mutants, its source, and how to check it."""
    name = claim_id.partition("/")[2]
    info = claim["info"]
    section = nodes.section("", nodes.title("", "", nodes.Text(name)), ids=[name], names=[], classes=["claim"])
    line = nodes.paragraph("", "", badge(claim["status"], claim["holds"]), classes=["badges"])
    if info.get("erratum"):
        line += nodes.Text(" ")
        line += nodes.inline("", "erratum", classes=["verdict", "verdict-erratum"])
    line += nodes.Text(f" {claim['killed']} of {claim['total']} mutants refuted, {claim['seconds']:.2f} s")
    statement, *rest = paragraphs(info.get("doc", "")) or [plain("(no statement)")]
    statement["classes"].append("statement")
    section += [line, statement, *rest]
    if info.get("erratum"):
        section += printed(claim)
    notes = [
        ("relies on", "; ".join(info.get("relies_on") or ())),
        ("open because", info.get("open") or ""),
        ("needs", ", ".join(info.get("needs") or ())),
        ("it does not hold because", "" if claim["holds"] else "; ".join(claim["reasons"])),
    ]
    if any(value for _, value in notes):
        section += definitions([(k, v) for k, v in notes if v])
    section += folded("What was checked", *finding(claim["truth"]))
    if claim["mutants"]:
        section += folded(f"Mutants: {claim['killed']} of {claim['total']} refuted", mutants(claim))
    for source in claim["code"]:
        section += folded(f"Source: {source['file']}", block(source["code"], "python"))
    section += nodes.paragraph(
        "", "", nodes.Text("Check it yourself: "), nodes.literal("", f"kexue verify {claim_id}"), classes=["command"]
    )
    return section


def printed(claim: dict[str, Any]) -> nodes.container:
    """What an article or paper prints, the counter-example to it, and folded the formulas that were checked."""
    from kexue import explain
    from kexue.judge import ClaimResult

    row = explain.erratum(ClaimResult.from_json({k: v for k, v in claim.items() if k != "code"}))
    facts = [
        ("printed → corrected", nodes.paragraph("", "", nodes.literal("", row["difference"]))),
        ("counter-example", plain(row["counterexample"], "evidence")),
    ]
    shown: list[nodes.Node] = [definitions(facts)]
    finding_ = next((m["finding"] for m in claim["mutants"] if m["info"]["key"] == "printed"), None)
    if finding_ is not None:
        same = {leaf.get("checked") for leaf in leaves(claim["truth"])}
        changed = [leaf for leaf in leaves(finding_) if leaf.get("checked") not in same]
        formulas = [statement(leaf) for leaf in changed if leaf.get("checked")]
        if formulas:
            shown.append(folded("The printed version, as it was checked", *formulas))
    return nodes.container("", *shown, classes=["erratum"])


def statement(leaf: dict[str, Any]) -> nodes.Node:
    return formula_node(leaf["latex"], display=True) if leaf.get("latex") else block(leaf["checked"])
