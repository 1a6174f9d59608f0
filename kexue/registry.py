"""The 38 articles, and the ids of all claims that their atlas pages ask for, whether or not code has them yet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Paper:
    """A paper that an article discusses; `arxiv` is the bare identifier, None where it has none."""

    title: str
    year: int | None = None
    arxiv: str | None = None


@dataclass(frozen=True)
class Article:
    """One article of the blog, and the slug under which every room has it.

    `archive` lists the article's number on kexue.fm, then those of the predecessors and sequels that its atlas page
    covers; `archive_unverified` has the numbers that the page gives without calling them verified. Two articles may
    share a slug: then one module treats both.
    """

    slug: str
    title_zh: str
    title_en: str
    date: str
    archive: tuple[int, ...]
    archive_unverified: tuple[int, ...]
    papers: tuple[Paper, ...]
    summary: str
    summary_zh: str


@dataclass(frozen=True)
class AtlasClaim:
    """A claim that the atlas asks for. `label` says in a few words what it states, where the atlas does.

    `needs` is "torch" or "sampling" if no witness can do without it, else None.
    """

    id: str
    label: str = ""
    needs: str | None = None


@cache
def articles() -> tuple[Article, ...]:
    """All articles, the oldest first."""
    found = []
    for row in _load("articles"):
        papers = tuple(Paper(**paper) for paper in row["papers"])
        numbers = {name: tuple(row[name]) for name in ("archive", "archive_unverified")}
        found.append(Article(**{**row, **numbers, "papers": papers}))
    return tuple(found)


@cache
def slugs() -> tuple[str, ...]:
    """The slugs of all articles, each once, in the order of the articles."""
    return tuple(dict.fromkeys(a.slug for a in articles()))


def article(slug: str) -> Article:
    """The article of this slug (the first, where two articles share one).

    Raises:
        KeyError: if no article has it.
    """
    for candidate in articles():
        if candidate.slug == slug:
            return candidate
    raise KeyError(f"slug must be one of the registry's articles, got {slug!r}")


@cache
def claims_of(slug: str) -> tuple[AtlasClaim, ...]:
    """The claims of an article in the order of its atlas page, with their labels.

    Raises:
        KeyError: if no article has this slug.
    """
    article(slug)
    return tuple(AtlasClaim(**row) for row in _load("claims")[slug])


@cache
def atlas_claims(slug: str) -> tuple[str, ...]:
    """The ids of an article's atlas claims, in the order of its page.

    Raises:
        KeyError: if no article has this slug.
    """
    return tuple(claim.id for claim in claims_of(slug))


def waiting(claim_id: str) -> str | None:
    """Why an atlas claim has no code yet, if anyone said so."""
    return waiting_reasons().get(claim_id)


def waiting_reasons() -> dict[str, str]:
    """Why atlas claims have no code yet, by id."""
    return dict(_load("waiting"))


@cache
def _load(name: str) -> Any:
    return json.loads((files("kexue.data") / f"{name}.json").read_text(encoding="utf-8"))
