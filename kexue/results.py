"""What a run returns: the claims' results, as a table, as JSON, as JUnit XML, and in a notebook."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from kexue.judge import STATUSES, ClaimResult

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """The outcome of a run. `asked` counts the claims that it was to check; it checked fewer if it was interrupted."""

    claims: tuple[ClaimResult, ...]
    seconds: float = 0.0
    interrupted: bool = False
    asked: int = 0
    core: bool = False  # witnesses that need more than the core were left out on purpose
    warnings: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every claim was checked and holds; open ones apart, and in a core run those left out."""
        return len(self.claims) >= self.asked and not self.failing

    @property
    def failing(self) -> tuple[ClaimResult, ...]:
        return tuple(c for c in self.claims if not c.holds and not (self.core and c.status == "not run"))

    @property
    def exit_status(self) -> int:
        return 130 if self.interrupted else 0 if self.holds else 1

    def __getitem__(self, claim_id: str) -> ClaimResult:
        for claim in self.claims:
            if claim.id == claim_id:
                return claim
        raise KeyError(f"claim_id must be one of the {len(self.claims)} claims of this report, got {claim_id!r}")

    def __iter__(self) -> Iterator[ClaimResult]:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data.

        Keys: `schema` (1), `holds`, `interrupted`, `asked` (claims that were to be checked), `seconds` (of the run),
        `counts` (status -> number of claims), `killed` and `mutants` (numbers over all claims), `warnings`, `claims`.
        A claim has `id`, `status` (one of `kexue.judge.STATUSES`), `holds`, `reasons` (why it doesn't), `killed`,
        `total` (its mutants), `seconds`, `info` (`title`, `doc`, `erratum`, `open`, `relies_on`, `needs`, `mutants`,
        `source`), `truth` (a Finding) and `mutants`, a list of `{"info": {"key", "label", "changes"}, "finding": …}`.
        A Finding has `verdict` and those of its other fields that aren't empty (see `kexue.findings.Finding`).
        """
        return {
            "schema": SCHEMA,
            "holds": self.holds,
            "interrupted": self.interrupted,
            "asked": self.asked,
            "seconds": self.seconds,
            "counts": {s: n for s, n in _counts(self.claims).items() if n},
            "killed": sum(c.killed for c in self.claims),
            "mutants": sum(c.total for c in self.claims),
            "warnings": list(self.warnings),
            "claims": [c.to_json() for c in self.claims],
        }

    def to_junit(self) -> str:
        """JUnit XML: a suite an article, a test case a claim; open and left-out claims are skipped ones."""
        root = ElementTree.Element("testsuites", name="kexue", time=f"{self.seconds:.3f}")
        for slug, claims in _by_article(self.claims).items():
            skipped = [c for c in claims if c.status == "open" or (c.status == "not run" and c not in self.failing)]
            failing = [c for c in claims if c in self.failing]
            suite = ElementTree.SubElement(
                root, "testsuite", name=slug, tests=str(len(claims)), failures=str(len(failing)), errors="0",
                skipped=str(len(skipped)), time=f"{sum(c.seconds for c in claims):.3f}",
            )  # fmt: skip
            for claim in claims:
                name = claim.id.partition("/")[2]
                case = ElementTree.SubElement(suite, "testcase", classname=slug, name=name, time=f"{claim.seconds:.3f}")
                if claim in failing:
                    message = f"{claim.status}: {'; '.join(claim.reasons)}"
                    failure = ElementTree.SubElement(case, "failure", type=claim.status, message=_printable(message))
                    failure.text = _printable("\n".join((message, *claim.truth.notes)))
                elif claim in skipped:
                    ElementTree.SubElement(case, "skipped", message=_printable(claim.info.get("open") or claim.status))
        ElementTree.indent(root)
        return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """The table: article × status with mutants killed and time; statuses that no claim has are left out."""
        shown = [s for s in STATUSES if _counts(self.claims)[s]]
        header = ["article", *shown, "mutants killed", "time"]
        articles = _by_article(self.claims)
        rows = [[slug, *_cells(claims, shown)] for slug, claims in articles.items()]
        if len(articles) != 1:
            rows.append(["total", *_cells(self.claims, shown)])
        return header, rows

    def table(self) -> Table:
        """The table for a terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        header, rows = self.rows()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for name in header:
            table.add_column(name, justify="left" if name == "article" else "right", no_wrap=name == "article")
        for row in rows:
            if row is rows[-1] and len(rows) > 1:
                table.add_section()
            table.add_row(*(Text(cell) for cell in row))
        return table

    def failures(self) -> str:
        """Each claim that doesn't hold, with its reasons; empty if all do."""
        lines = []
        for claim in self.failing:
            lines.append(f"{claim.id}: {claim.status}")
            lines += [f"    {_shortened(reason)}" for reason in claim.reasons]
        return "\n".join(lines)

    def summary(self) -> str:
        """One line: how many claims hold, and how long the run took."""
        holding = sum(c.holds for c in self.claims)
        words = f"{holding} of {max(self.asked, len(self.claims))} claims hold"
        open_ones = sum(c.status == "open" for c in self.claims)
        if open_ones:
            words += f" ({open_ones} of them open)"
        left_out = len(self.claims) - holding - len(self.failing)
        if left_out:
            words += f", {left_out} left out (core run)"
        if self.interrupted:
            words += f", interrupted after {len(self.claims)}"
        return f"{words}, in {self.seconds:.1f} s"

    def _repr_html_(self) -> str:
        header, rows = self.rows()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        failures = "".join(
            f"<li><code>{html.escape(c.id)}</code>: {html.escape(c.status)}; {html.escape('; '.join(c.reasons))}</li>"
            for c in self.failing
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"{table}<p>{html.escape(self.summary())}</p>" + (f"<ul>{failures}</ul>" if failures else "")


def _counts(claims: tuple[ClaimResult, ...] | list[ClaimResult]) -> Counter[str]:
    return Counter(c.status for c in claims)


def _by_article(claims: tuple[ClaimResult, ...]) -> dict[str, list[ClaimResult]]:
    articles: dict[str, list[ClaimResult]] = {}
    for claim in claims:
        articles.setdefault(claim.id.partition("/")[0], []).append(claim)
    return articles


def _cells(claims: tuple[ClaimResult, ...] | list[ClaimResult], shown: list[str]) -> list[str]:
    counts = _counts(claims)
    mutants = f"{sum(c.killed for c in claims)}/{sum(c.total for c in claims)}"
    return [*(str(counts[s] or "·") for s in shown), mutants, f"{sum(c.seconds for c in claims):.1f} s"]


def _shortened(text: str, limit: int = 600) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _printable(text: str) -> str:
    """XML has no way to write control characters, and a claim may have printed some."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "�", text)
