"""The Sphinx extension of the book: `{kexue} PAGE [ARGUMENT]` puts a generated page where it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from kexue import judge
from kexue.judge import ClaimResult

from . import nodes as n
from .mathml import inline, visit_math, visit_math_block
from .search import SearchBoth

Page = list[nodes.Node]
STATUSES = judge.STATUSES[: judge.STATUSES.index("open") + 1]  # of claims that hold


def load(app: Sphinx) -> dict[str, Any]:
    """The gathered data; read once in each process."""
    held = getattr(app, "kexue_book", None)
    if held is None:
        held = parsed(json.loads((Path(app.srcdir) / "book.json").read_text(encoding="utf-8")))
        app.kexue_book = held  # type: ignore[attr-defined]
    return held  # type: ignore[no-any-return]


def parsed(data: dict[str, Any]) -> dict[str, Any]:
    """The data with results as objects, and who uses which engine."""
    claims = {name: ClaimResult.from_json(claim) for name, claim in data["claims"].items()}
    return {**data, "claims": claims, "uses": uses(claims.values())}


class KexuePage(SphinxDirective):
    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True
    pages: ClassVar[dict[str, Callable[..., Page]]] = {}

    def run(self) -> Page:
        data = load(self.env.app)
        self.env.note_dependency(str(Path(self.env.srcdir) / "book.json"))
        return self.pages[self.arguments[0]](data, *self.arguments[1:])


def page(make: Callable[..., Page]) -> Callable[..., Page]:
    KexuePage.pages[make.__name__.removesuffix("_page").replace("_", "-")] = make
    return make


def section(name: str, title: str, *children: nodes.Node) -> nodes.section:
    return nodes.section("", nodes.title("", "", nodes.Text(title)), *children, ids=[name], names=[])


def claims_of(data: dict[str, Any], article: dict[str, Any]) -> list[ClaimResult]:
    return [data["claims"][each] for each in article["claims"]]


def models_of(data: dict[str, Any], slug: str) -> list[dict[str, Any]]:
    return [m for m in data["models"] if m["name"].partition("/")[0] == slug]


def kinds(rows: list[ClaimResult]) -> dict[str, int]:
    found = dict.fromkeys(STATUSES, 0)
    found["failing"] = 0
    for row in rows:
        found[row.status if row.holds and row.status in found else "failing"] += 1
    return found


def cell(count: int) -> str:
    return str(count) if count else "·"


def numbers(rows: list[ClaimResult], models: list[dict[str, Any]]) -> list[str]:
    """The cells of the board: by status, mutants, errata, models."""
    count = kinds(rows)
    return [
        *(cell(count[s]) for s in STATUSES), cell(count["failing"]),
        f"{sum(c.killed for c in rows)}/{sum(c.total for c in rows)}",
        cell(sum(bool(c.info.get("erratum")) for c in rows)), cell(len(models)),
    ]  # fmt: skip


@page
def totals_page(data: dict[str, Any]) -> Page:
    rows = list(data["claims"].values())
    begun = [a for a in data["articles"] if a["claims"]]
    holding = sum(c.holds for c in rows)
    engines = {engine for c in rows for leaf in c.truth.leaves() for engine in leaf.engines}
    facts = [
        (f"{holding:,} of {len(rows):,}", "claims hold"),
        (f"{sum(c.killed for c in rows):,} of {sum(c.total for c in rows):,}", "mutants refuted"),
        (f"{len(begun)} of {sum(len(a['titles']) for a in data['articles'])}", "articles so far"),
        (f"{sum(bool(c.info.get('erratum')) for c in rows)}", "errata with a counter-example"),
        (f"{len(data['models'])}", "model presets"),
        (f"{len(engines)}", "engines"),
    ]
    tiles = [
        nodes.container("", n.plain(number, "tile-number"), n.plain(words, "tile-words"), classes=["tile"])
        for number, words in facts
    ]
    checked = n.plain(f"Checked on {data['date']} by kexue {data['version']}.", "checked-on")
    return [nodes.container("", *tiles, classes=["tiles"]), checked]


@page
def board_page(data: dict[str, Any]) -> Page:
    header = ["article", *STATUSES, "fails", "mutants", "errata", "models"]
    rows: list[list[Any]] = []
    for article in data["articles"]:
        titles = article["titles"]
        if not article["claims"]:
            planned = n.plain(f"{titles[0]['zh']} · planned: {article['planned']} claims", "planned", "zh")
            rows.append([[n.plain(titles[0]["en"]), planned], *["·"] * (len(header) - 1)])
            continue
        name = nodes.paragraph("", "", n.link(titles[0]["en"], f"articles/{article['slug']}.html"))
        chinese = nodes.paragraph("", "", nodes.inline("", titles[0]["zh"], classes=["zh"]))
        rows.append([[name, chinese], *numbers(claims_of(data, article), models_of(data, article["slug"]))])
    rows.append([n.plain("total"), *numbers(list(data["claims"].values()), data["models"])])
    return [nodes.container("", n.table(header, rows, ["board"]), classes=["wide"])]


@page
def article_page(data: dict[str, Any], slug: str) -> Page:
    article = next(a for a in data["articles"] if a["slug"] == slug)
    found: Page = []
    for number, title in enumerate(article["titles"]):
        place = f", archive {', '.join(map(str, title['archive']))}" if title["archive"] else ""
        english = [nodes.Text(" "), nodes.emphasis("", title["en"])] if number else []  # the first is the page's title
        chinese = nodes.inline("", f"《{title['zh']}》", classes=["zh"])
        found.append(nodes.paragraph("", "", chinese, *english, nodes.Text(f" {title['date']}{place}")))
    found += [n.text(article["summary"]["en"], "summary"), n.text(article["summary"]["zh"], "summary", "zh")]
    for paper in article["papers"]:
        words = f"{paper['title']}{', ' + str(paper['year']) if paper['year'] else ''}"
        line = nodes.paragraph("", "", nodes.Text(words), classes=["paper"])
        if number := paper["arxiv"]:
            line += [nodes.Text(", arXiv "), n.link(number, f"https://arxiv.org/abs/{number}")]
        found.append(line)
    rows = claims_of(data, article)
    count = kinds(rows)
    tally = ", ".join(f"{count[s]} {s}" for s in STATUSES if count[s])
    killed = f"{sum(c.killed for c in rows)} of {sum(c.total for c in rows)} mutants refuted"
    found.append(n.plain(f"{len(rows)} claims: {tally}; {killed}.", "tally"))
    found.append(nodes.paragraph(
        "", "", nodes.Text("Check all of them: "), nodes.literal("", f"kexue verify {slug}"), classes=["command"]
    ))  # fmt: skip
    if article["figures"]:
        found.append(section("figures", "Figures", *map(figure, article["figures"])))
    if models := models_of(data, slug):
        code = f"from kexue.models import create_model\nmodel = create_model({models[0]['name']!r})"
        found.append(section("models", "Models", model_table(models), n.block(code, "python"), api_link(slug)))
    found.append(section("claims", "Claims", *(n.claim_section(c, data["code"].get(c.id, ())) for c in rows)))
    return found


def api_link(slug: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.Text("Their classes and functions: "), n.link("API", f"../api/{slug}.html"))


def figure(row: dict[str, str]) -> nodes.figure:
    words = row["alt"].replace("$", "")
    image = nodes.image("", uri=f"/figures/{row['file']}", alt=words, candidates={"*": f"figures/{row['file']}"})
    return nodes.figure("", image, nodes.caption("", "", *inline(row["alt"])), classes=["plot"])


def model_table(models: list[dict[str, Any]]) -> nodes.container:
    rows = [
        [nodes.literal("", m["name"]), m["architecture"], f"{m['parameters']:,}", config(m["config"])] for m in models
    ]
    return nodes.container("", n.table(["preset", "class", "parameters", "config"], rows), classes=["wide"])


def config(fields: dict[str, Any]) -> nodes.Node:
    listed = ", ".join(f"{k}={v!r}" for k, v in fields.items())
    return n.folded(f"{len(fields)} fields", n.plain(listed, "config"))


@page
def zoo_page(data: dict[str, Any]) -> Page:
    if not data["models"]:
        return [n.plain("torch wasn't installed where this book was built: pip install 'kexue[models]'.")]
    found: Page = []
    for article in data["articles"]:
        slug = article["slug"]
        if models := models_of(data, slug):
            mathematics = nodes.paragraph("", "", nodes.Text("The mathematics they are held against: "))
            mathematics += n.link(slug, f"articles/{slug}.html")
            found.append(section(slug, article["titles"][0]["en"], model_table(models), mathematics))
    return found


@page
def errata_page(data: dict[str, Any]) -> Page:
    found: Page = []
    for article in data["articles"]:
        rows = [c for c in claims_of(data, article) if c.info.get("erratum")]
        if not rows:
            continue
        entries = []
        for claim in rows:
            name = claim.id.partition("/")[2]
            head = nodes.paragraph(
                "", "", n.link(name, f"articles/{article['slug']}.html#{name}"), nodes.Text(" "),
                n.badge(claim.status, claim.holds), classes=["erratum-name"],
            )  # fmt: skip
            statement = (n.paragraphs(claim.info.get("doc", "")) or [n.plain("")])[0]
            entries.append(nodes.container("", head, statement, n.printed(claim), classes=["erratum-entry"]))
        found.append(section(article["slug"], article["titles"][0]["en"], *entries))
    return found or [n.plain("No errata are verified yet.")]


def engine_slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def uses(claims: Iterable[ClaimResult]) -> dict[str, list[tuple[str, int, int]]]:
    """engine -> (claim, findings it established, findings it refuted)."""
    found: dict[str, dict[str, list[int]]] = {}
    for claim in claims:
        for checked, place in [(claim.truth, 0), *((result, 1) for _, result in claim.mutants)]:
            for leaf in checked.leaves():
                for engine in leaf.engines:
                    found.setdefault(engine, {}).setdefault(claim.id, [0, 0])[place] += 1
    return {e: [(c, *counts) for c, counts in held.items()] for e, held in sorted(found.items())}  # type: ignore[misc]


@page
def engines_page(data: dict[str, Any]) -> Page:
    rows = []
    for engine, held in data["uses"].items():
        rows.append([
            n.link(engine, f"{engine_slug(engine)}.html"), f"{len(held):,}", f"{sum(h[1] for h in held):,}",
            f"{sum(h[2] for h in held):,}",
        ])  # fmt: skip
    header = ["engine", "claims", "statements it had a part in", "mutants it had a part in"]
    return [nodes.container("", n.table(header, rows), classes=["wide"])]


@page
def engine_page(data: dict[str, Any], name: str) -> Page:
    held = data["uses"][name]
    found: Page = [n.text(describe(name), "summary")]
    for article in data["articles"]:
        mine = [row for row in held if row[0].partition("/")[0] == article["slug"]]
        if not mine:
            continue
        listed = nodes.paragraph(classes=["claims-list"])
        for claim, _, _ in mine:
            name_ = claim.partition("/")[2]
            listed += [n.link(name_, f"../articles/{article['slug']}.html#{name_}"), nodes.Text(" ")]
        found.append(section(article["slug"], article["titles"][0]["en"], listed))
    return found


ENGINES = {
    "flint": "Exact normal forms over ℚ and its extensions by python-flint: polynomials, rational functions, matrices; "
    "two expressions are equal iff the normal form of their difference is 0.",
    "arb": "Ball arithmetic: every number is an interval with a proved radius. It evaluates live points, decides signs "
    "of constants, and encloses functions on boxes by bisection.",
    "z3": "An SMT solver for real arithmetic. The negation of the statement is given to it; unsat proves, a model is a "
    "counter-example after exact evaluation.",
    "cvc5": "A second SMT solver on the same text as z3: another implementation, the same formalisation.",
    "word": "Rewriting of words in matrices of every size: both sides are brought to a normal form by the given rules, "
    "and a model in small matrices shows that the rules are consistent.",
    "exact": "Exact arithmetic with integers, fractions and SymPy numbers, case by case, along two independent routes.",
    "sympy": "SymPy's exact algorithms, such as Gruntz's for limits and differentiation of primitives.",
    "simulation": "Monte Carlo with counter-based streams and an anytime-valid sequential test.",
    "floating point": "The torch or NumPy code itself, run in floating point and compared with exact numbers in units "
    "in the last place.",
    "gram": "Operators αI + VMVᵀ known by the Gram matrix of their vectors alone, in every dimension.",
}


def describe(name: str) -> str:
    low = name.lower()
    return next((words for key, words in ENGINES.items() if key in low), "An engine of kexue.")


@page
def benchmarks_page(data: dict[str, Any]) -> Page:
    if not data["benchmarks"]:
        return [n.plain("No results are here yet: `make bench` writes them.")]
    found: Page = []
    for result in data["benchmarks"]:
        versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        children: list[nodes.Node] = [n.plain(f"{result['device']}, {result['date']}"), n.plain(versions, "config")]
        for group in result["groups"]:
            table = nodes.container("", n.table(group["header"], group["rows"]), classes=["wide"])
            shown: list[nodes.Node] = [table]
            if group["exponents"]:
                shown.append(n.plain("; ".join(group["exponents"])))
            if group["figure"]:
                shown.append(figure(group["figure"]))
            children.append(section(engine_slug(f"{result['name']} {group['name']}"), group["name"], *shown))
        found.append(section("results-" + engine_slug(result["name"]), result["device"] or result["name"], *children))
    return found


@page
def verdicts_page(data: dict[str, Any]) -> Page:
    return [n.table(["verdict", "what it says"], [[n.badge(s), words] for s, words in n.MEANS.items()])]


SECTIONS = re.compile(r"(Args|Raises|Returns|Yields|Attributes|Example|Examples|Note|Notes):$")
PIECES = re.compile(r"\$(?P<math>[^$]+)\$|``[^`]+``|`[^`]+`|(?P<mark>[*|\\]|(?<=\w)_(?!\w))")


def docstring_as_rest(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Our docstrings are plain text with `$…$`, code and Google's sections: what reST would misread is escaped.

    A paragraph with a layout of its own is kept as it stands.
    """
    found: list[str] = []
    paragraph: list[str] = []
    in_sections = False
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
            in_sections = in_sections or bool(SECTIONS.match(line))
            continue
        indents = {len(each) - len(each.lstrip()) for each in paragraph}
        ragged = len(indents) > 1 or (what == "module" and min(indents, default=0) > 0)
        found += verbatim(paragraph) if ragged and not in_sections else escaped("\n".join(paragraph)).split("\n")
        found.append("")
        paragraph = []
    lines[:] = found


def verbatim(lines: list[str]) -> list[str]:
    return ["::", "", *("   " + line for line in lines), ""]


def escaped(text: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match["math"]:
            return f":math:`{' '.join(match['math'].split())}`"
        return "\\" + match["mark"] if match["mark"] else match[0]

    return PIECES.sub(replacement, text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("kexue", KexuePage)
    app.add_node(n.details, html=(n.visit_details, n.depart_details))
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.add_search_language(SearchBoth)
    app.connect("autodoc-process-docstring", docstring_as_rest, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
