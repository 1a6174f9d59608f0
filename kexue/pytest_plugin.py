"""Claims as tests: `pytest my_paper.py` checks those of a file with their mutants, `pytest --kexue FOLDER` all below.

A claim is the item FILE.py::FUNCTION. It passes if the claim holds, fails naming what doesn't (the mutant, say), is
expected to fail while it is open, and is skipped where what it needs is absent. Claims run in workers, never in pytest.
"""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kexue.discovery import ClaimRef
    from kexue.judge import ClaimResult

_MARK = re.compile(rb"^@(\w+\.)*(claim|erratum)\b", re.MULTILINE)


class ClaimFailed(Exception):
    """The claim of an item doesn't hold."""

    def __init__(self, result: ClaimResult) -> None:
        self.result = result
        super().__init__(f"{result.id} is {result.status}: {'; '.join(result.reasons)}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("kexue").addoption(
        "--kexue", action="store_true", help="check the claims of all Python files, also of those that hold no tests"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ClaimFile | None:
    if file_path.suffix != ".py":
        return None
    config = parent.config
    named = parent.session.isinitpath(file_path) or config.getoption("--kexue")
    if not (named or any(fnmatch.fnmatch(file_path.name, pattern) for pattern in config.getini("python_files"))):
        return None
    return ClaimFile.from_parent(parent, path=file_path) if _has_claims(file_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """A file of claims without a test isn't imported here: its code runs in workers, under limits, or not at all."""
    if _has_claims(module_path) and b"test" not in module_path.read_bytes().lower():
        return _NoTests.from_parent(parent, path=module_path)  # type: ignore[no-any-return]
    return None


def pytest_pycollect_makeitem(obj: object) -> list[pytest.Item] | None:
    return [] if hasattr(obj, "__kexue__") else None  # a claim whose name starts with "test" is still only a claim


def _has_claims(path: Path) -> bool:
    """Whether a claim stands at the top level; quick for the many files that have none."""
    try:
        source = path.read_bytes()
        if b"kexue" not in source or not _MARK.search(source):
            return False
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source)
    except (OSError, ValueError, SyntaxError):
        return False  # pytest itself reports it
    marks = (d.func if isinstance(d, ast.Call) else d for f in tree.body for d in getattr(f, "decorator_list", ()))
    return any(ast.unparse(mark).rpartition(".")[2] in ("claim", "erratum") for mark in marks)


class _NoTests(pytest.Module):
    def collect(self) -> list[Any]:
        return []


class ClaimFile(pytest.File):
    """The claims of one file."""

    def collect(self) -> Iterator[ClaimItem]:
        from kexue.discovery import DiscoveryError, resolve

        try:
            refs = resolve([str(self.path)])
        except DiscoveryError as error:
            raise self.CollectError(str(error)) from error
        for ref in refs:
            yield ClaimItem.from_parent(self, name=ref.function, ref=ref)


class ClaimItem(pytest.Item):
    """One claim with all its mutants."""

    def __init__(self, *, ref: ClaimRef, **more: Any) -> None:
        super().__init__(**more)
        self.ref = ref
        self.extra_keyword_matches |= {"claim", ref.id}

    def runtest(self) -> None:
        from kexue.runner import run

        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        report = run([self.ref], jobs=max(1, (os.cpu_count() or 1) // workers))
        if report.interrupted:
            raise KeyboardInterrupt
        (result,) = report.claims
        self.user_properties.append(("kexue", f"{result.status}, {result.killed}/{result.total} mutants"))
        if result.status == "open":
            pytest.xfail(result.info["open"])
        if result.status == "not run":
            pytest.skip("; ".join(result.reasons))
        if not result.holds:
            raise ClaimFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if not isinstance(excinfo.value, ClaimFailed):
            return super().repr_failure(excinfo, style)
        result = excinfo.value.result
        lines = [str(excinfo.value), "", result.info.get("doc", "")]  # the first line is all that the summary shows
        if result.truth.checked:
            lines += ["", f"checked: {result.truth.checked}"]
        lines += result.truth.notes
        return "\n".join((*lines, "", f"more: kexue explain {self.path}::{self.ref.function}"))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.ref.line - 1, f"claim {self.ref.id}"
