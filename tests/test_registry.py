"""The registry's data is complete and consistent, and every claim of the rooms belongs to an article."""

import re
from collections import Counter
from datetime import date
from importlib.resources import files

import pytest

from kexue import discovery, registry

SLUG = re.compile(r"[a-z][a-z0-9_]*")
CLAIM = re.compile(r"[a-z0-9_]+/[a-z0-9][a-z0-9-]*")
ARXIV = re.compile(r"\d{4}\.\d{4,5}")
CJK = re.compile(r"[\u4e00-\u9fff]")


def test_38_articles_under_37_slugs():
    assert len(registry.articles()) == 38
    assert len(registry.slugs()) == 37
    times = Counter(a.slug for a in registry.articles())
    assert [slug for slug, n in times.items() if n > 1] == ["length_extrapolation"]


@pytest.mark.parametrize("article", registry.articles(), ids=lambda a: f"{a.slug}-{a.date}")
def test_every_article_is_described(article):
    assert SLUG.fullmatch(article.slug)
    assert CJK.search(article.title_zh)
    assert article.title_en and not CJK.search(article.title_en)
    assert date(2009, 1, 1) < date.fromisoformat(article.date) < date(2025, 1, 1)
    assert re.fullmatch(r"[A-Z].*\.", article.summary)
    assert not set(article.archive) & set(article.archive_unverified)
    for paper in article.papers:
        assert paper.title
        assert paper.arxiv is None or ARXIV.fullmatch(paper.arxiv)
        # An identifier begins with the year and month of the first version, which no publication precedes.
        assert not (paper.arxiv and paper.year) or paper.year >= 2000 + int(paper.arxiv[:2])


def test_articles_are_in_the_order_of_time_and_their_numbers_are_unique():
    dates = [a.date for a in registry.articles()]
    assert dates == sorted(dates)
    numbers = [n for a in registry.articles() for n in a.archive + a.archive_unverified]
    assert len(numbers) == len(set(numbers))


def test_every_atlas_claim_is_there_once():
    ids = [i for slug in registry.slugs() for i in registry.atlas_claims(slug)]
    assert len(ids) == len(set(ids)) == 1170
    assert all(CLAIM.fullmatch(i) for i in ids)
    five = ("positive_definite", "quadratic_forms", "orthogonal_map", "gradient_clipping", "rope")
    assert [len(registry.atlas_claims(s)) for s in five] == [24, 21, 29, 27, 53]


@pytest.mark.parametrize("slug", registry.slugs())
def test_claims_belong_to_their_article_and_labels_are_one_short_line(slug):
    for claim in registry.claims_of(slug):
        assert claim.id.partition("/")[0] == slug
        assert len(claim.label) <= 110 and "\n" not in claim.label
        assert claim.needs in (None, "torch", "sampling")


def test_waiting_reasons_are_about_atlas_claims_that_no_code_has():
    present = {ref.id for ref in discovery.all_claims()}
    known = {i for slug in registry.slugs() for i in registry.atlas_claims(slug)}
    reasons = registry.waiting_reasons()
    assert set(reasons) <= known
    assert not set(reasons) & present, "these claims have code: their reasons for waiting are out of date"
    assert all(reason.strip() for reason in reasons.values())
    assert registry.waiting("rope/no-such-claim") is None


def test_every_module_of_a_room_is_named_after_an_article():
    assert {ref.slug for ref in discovery.all_claims()} <= set(registry.slugs())


@pytest.mark.parametrize("function", [registry.article, registry.atlas_claims, registry.claims_of])
def test_an_unknown_slug_is_named(function):
    with pytest.raises(KeyError, match="'ropes'"):
        function("ropes")


def test_data_ships_with_the_package():
    assert {p.name for p in files("kexue.data").iterdir() if p.name.endswith(".json")} == {
        "articles.json",
        "claims.json",
        "waiting.json",
    }
