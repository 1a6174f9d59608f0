"""The README is true: its example runs as printed, its table has the articles and the numbers of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kexue import discovery, registry
from kexue.runner import verify

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    path = tmp_path / "my_paper.py"
    path.write_text(example)
    return path


def test_the_example_holds(paper: Path) -> None:
    report = verify(str(paper))
    assert report.holds and report["my_paper/means"].killed == 1


def test_pytest_collects_the_example(paper: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(paper)]
    done = subprocess.run(command, cwd=paper.parent, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_table_counts_the_claims_of_the_code() -> None:
    rows = re.findall(r"^ ([a-z_]+) +([\d· ]+?) +(\d+)/(\d+) +[\d.]+ s *$", README, re.M)
    assert rows, "the README shows no table of make verify"
    present = [claim.partition("/")[0] for claim in {ref.id for ref in discovery.all_claims()}]
    for slug, counts, killed, total in rows:
        if slug != "total":
            assert sum(int(c) for c in counts.split() if c != "·") == present.count(slug), slug
        assert killed == total


def test_the_chinese_readme_says_the_same() -> None:
    """The same example, commands and pictures."""
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    for pattern in (r"```python\n(.*?)```", r"!\[[^\]]*\]\(([^)]*)\)", r"^\$ (\S+ \S+)", r"^\| ([a-z]+) \|"):
        both = [re.findall(pattern, text, re.S if "python" in pattern else re.M) for text in (README, chinese)]
        assert both[1] and set(both[1]) <= set(both[0]), pattern


def test_its_pictures_are_there() -> None:
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", README):
        assert (ROOT / picture).is_file(), picture


def test_numbers_in_the_text() -> None:
    planned = len({c for article in registry.articles() for c in registry.atlas_claims(article.slug)})
    assert f"all {planned} planned claims" in README
