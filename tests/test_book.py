"""The book: text that looks like markup, mathematics, links, and every page in a real browser."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("pydata_sphinx_theme")

from kexue import registry
from kexue.book import browse, build, data
from kexue.book.mathml import inline, mathml
from kexue.book.search import SearchBoth
from kexue.runner import resolve_targets, run

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> `` ]]> <!-- **bold** {{ 7*7 }} :math:`x`"


@pytest.fixture(scope="module")
def gathered(tmp_path_factory) -> dict:
    """The data of two articles, one claim of which was written by an enemy."""
    figures = tmp_path_factory.mktemp("figures")
    refs = resolve_targets(["sector", "positive_definite"])
    found = json.loads(json.dumps(data.gather(refs, run(refs), figures, None)))
    found["claims"]["sector/hostile"] = enemy(found["claims"][refs[0].id])
    found["code"]["sector/hostile"] = [{"file": HOSTILE, "code": HOSTILE}]
    next(a for a in found["articles"] if a["slug"] == "sector")["claims"].append("sector/hostile")
    group = {"name": HOSTILE, "header": [HOSTILE], "rows": [[HOSTILE]], "exponents": [HOSTILE], "figure": None}
    found["benchmarks"] = [
        {"name": HOSTILE, "device": HOSTILE, "date": HOSTILE, "versions": {HOSTILE: HOSTILE}, "groups": [group]}
    ]
    found["figures folder"] = str(figures)
    return found


def enemy(claim: dict) -> dict:
    claim = copy.deepcopy(claim) | {"id": "sector/hostile"}
    claim["info"] |= {"doc": f"{HOSTILE} $x<y$\n\n{HOSTILE}", "erratum": True, "relies_on": [HOSTILE]}
    claim["truth"] |= {"live": HOSTILE, "scope": HOSTILE, "notes": [HOSTILE]}
    claim["truth"] |= {"latex": r"\text{<script>alert(3)</script>}"}
    claim["truth"].pop("parts", None)
    for mutant in claim["mutants"]:
        mutant["info"] = mutant["info"] | {"label": HOSTILE}
        mutant["finding"] = mutant["finding"] | {"counterexample": HOSTILE}
    return claim


@pytest.fixture(scope="module")
def site(gathered, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("book")
    assert build.build(gathered, place / "html", place / "work", Path(gathered["figures folder"])) == 0
    return place / "html"


class TestMathematics:
    def test_all_statements_of_all_claims_can_be_rendered(self):
        """Every `$…$` of the first lines of the claims' docstrings becomes MathML whole."""
        from kexue.discovery import all_claims

        failing = []
        for ref in all_claims():
            for node in inline(ref.title):
                if node.tagname == "literal" and "$" + node.astext() + "$" in ref.title:
                    failing.append((ref.id, node.astext()))
        assert failing == []

    @pytest.mark.parametrize(
        "latex", [r"\tfrac12 x", r"\mathcal N(0, 1)", r"A^\top", r"\bigl(x\bigr)", r"\operatorname{tr} A", r"\|x\|_2"]
    )
    def test_what_the_converter_lacks_is_replaced(self, latex):
        found = mathml(latex)
        assert found is not None and "\\" not in found

    def test_what_cannot_be_rendered_is_shown_as_source(self):
        assert mathml(r"\nosuchcommand x") is None
        (node,) = inline(r"$\nosuchcommand x$")
        assert node.tagname == "literal" and node.astext() == r"\nosuchcommand x"

    def test_markup_stays_text(self):
        nodes = inline("a <b>c</b> `d<e>` $x<y$ **f**")
        assert [n.tagname for n in nodes] == ["#text", "literal", "#text", "math", "#text"]
        assert "<mo><" not in mathml("x<y") and "<script" not in (mathml(r"\text{<script>}") or "")


def test_search_splits_chinese_into_characters_and_pairs():
    split = SearchBoth({}).split
    assert split("RoPE旋转位置 x2") == ["RoPE", *"旋转位置", "旋转", "转位", "位置", "x2"]


def test_every_article_has_both_titles_and_summaries():
    for article in registry.articles():
        assert article.title_en and article.title_zh and article.summary.endswith(".")
        assert any("\u4e00" <= c <= "\u9fff" for c in article.summary_zh)


def test_pages_anchors_and_commands(site, gathered):
    page = (site / "articles" / "positive_definite.html").read_text(encoding="utf-8")
    for claim in gathered["claims"]:
        slug, _, name = claim.partition("/")
        if slug == "positive_definite":
            assert f'id="{name}"' in page and f">{claim}<" in page
    assert (site / "api" / "positive_definite.html").is_file()
    front = (site / "index.html").read_bytes()
    assert len(front) < 300_000 and "用二次方程判别式判断正定矩阵".encode() in front


def test_hostile_text_is_text(site):
    for name in ("articles/sector", "errata", "benchmarks"):
        page = (site / f"{name}.html").read_text(encoding="utf-8")
        assert "<script>alert" not in page and "<img src=x" not in page, name
        assert "&lt;script&gt;alert(1)" in page


def test_links(site):
    assert browse.broken_links(site) == []


def test_a_broken_link_is_found(site, tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html">b</a><a href="#there">x</a><p id="here"></p>')
    assert len(browse.broken_links(tmp_path)) == 2


@pytest.mark.slow
@pytest.mark.skipif(browse.browser() is None, reason="no Chromium is installed: pages are not opened in a browser")
def test_every_page_in_a_browser(site):
    pytest.importorskip("playwright")
    assert browse.problems(site, ["discriminant", "判别式", "扇形"]) == []


@pytest.mark.slow
@pytest.mark.skipif(browse.browser() is None, reason="no Chromium is installed: pages are not opened in a browser")
def test_the_browser_check_can_fail(tmp_path):
    pytest.importorskip("playwright")
    (tmp_path / "a.html").write_text(
        '<article><p>left $x$ and \\alpha</p><div style="width:3000px">wide</div><img src="no.png" alt="">'
        "<script>throw new Error('boom')</script></article>"
    )
    found = "\n".join(browse.problems(tmp_path))
    for word in ("LaTeX left", "too wide", "picture without", "boom", "broken link no.png"):
        assert word in found
