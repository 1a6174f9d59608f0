"""Kept results: never trusted when damaged, never kept when time or memory decided, safe for several runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kexue import cache, discovery, runner
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.results import Report

PAPER = '''
from sympy import symbols
from kexue import Identity, claim
x = symbols("x", real=True)

@claim(mutants=[dict(c=3), dict(c=1)])
def square(c=2):
    """A square."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)

@claim(mutants=[dict(c=2)])
def false(c=3):
    """No square."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)
'''


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEXUE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "results"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "paper.py"
    path.write_text(PAPER)
    return path


def run(file: Path, **options: object) -> tuple[Report, int]:
    """The report, and how many jobs a worker ran for it."""
    started = []
    report = runner.run(
        discovery.claims_in_file(file),
        on_event=lambda event: started.append(event) if event.kind == "started" else None,
        **options,  # type: ignore[arg-type]
    )
    return report, len(started)


def statuses(report: Report) -> dict[str, tuple[str, int, int]]:
    return {c.id: (c.status, c.killed, c.total) for c in report}


RIGHT = {"paper/square": ("proved", 2, 2), "paper/false": ("refuted", 0, 1)}


def test_a_second_run_uses_what_is_kept(file: Path) -> None:
    first, jobs = run(file)
    assert (statuses(first), jobs) == (RIGHT, 4)  # two truths, and the mutants of the established one
    second, jobs = run(file)
    assert (statuses(second), jobs) == (RIGHT, 0)
    assert [c.to_json() for c in first] == [c.to_json() for c in second]
    assert run(file, fresh=True)[1] == 4


@pytest.mark.parametrize("damage", [
    lambda data: b"",
    lambda data: data[: len(data) // 2],
    lambda data: data[:-1],
    lambda data: os.urandom(len(data)),
    lambda data: b"\x00" * len(data),
    lambda data: b"null",
    lambda data: b"[]",
    lambda data: b"{}",
    lambda data: b"[" * 100_000,
    lambda data: data.replace(b'"proved"', b'"enclosed"').replace(b'"refuted"', b'"proved"'),
    lambda data: json.dumps(json.loads(data) | {"sha256": "0" * 64}).encode(),
    lambda data: json.dumps(json.loads(data) | {"format": 0}).encode(),
    lambda data: json.dumps(json.loads(data) | {"answer": {"finding": {"verdict": "proved"}}}).encode(),
])  # fmt: skip
def test_a_damaged_entry_is_recomputed(file: Path, results: Path, damage) -> None:
    run(file)
    kept = [p for p in results.glob("*.json") if p.name != "durations.json"]
    assert len(kept) == 4
    for entry in kept:
        entry.write_bytes(damage(entry.read_bytes()))
    (results / "durations.json").write_bytes(b"\xff")
    report, jobs = run(file)
    assert (statuses(report), jobs) == (RIGHT, 4)
    assert run(file)[1] == 0


def test_an_entry_of_another_job_is_not_taken(file: Path, results: Path) -> None:
    """A valid entry under another's name: every cyclic exchange of the files' contents."""
    run(file)
    kept = sorted(p for p in results.glob("*.json") if p.name != "durations.json")
    contents = [p.read_bytes() for p in kept]
    for shift in range(1, len(kept)):
        for i, entry in enumerate(kept):
            entry.write_bytes(contents[(i + shift) % len(contents)])
        report, jobs = run(file)
        assert (statuses(report), jobs) == (RIGHT, 4)


def test_an_entry_may_be_a_folder(file: Path, results: Path) -> None:
    run(file)
    for entry in list(results.glob("*.json")):
        entry.unlink()
        entry.mkdir()
    report, jobs = run(file)
    assert (statuses(report), jobs) == (RIGHT, 4)
    assert len(report.warnings) == 1


@pytest.mark.parametrize("where", ["below a file", "read-only"])
def test_an_unwritable_cache_costs_one_warning(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "read-only":
        if os.geteuid() == 0:
            pytest.skip("root writes everywhere")
        (tmp_path / "locked").mkdir(mode=0o500)
    else:
        (tmp_path / "locked").write_text("a file")
    monkeypatch.setenv("KEXUE_CACHE", str(tmp_path / "locked" / "cache"))
    report, _ = run(file)
    assert statuses(report) == RIGHT
    assert len(report.warnings) == 1 and "locked" in report.warnings[0]


def test_the_key_follows_the_content(file: Path, tmp_path: Path) -> None:
    """The file, siblings that it imports, what these import, the budget: a change is a new key; a bystander's isn't."""
    file.write_text("import helper\n" + PAPER)
    (tmp_path / "helper.py").write_text("def f():\n    from package.inner import deep\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner.py").write_text("from . import other")
    (tmp_path / "package" / "other.py").write_text("")
    (tmp_path / "bystander.py").write_text("")
    (ref, _) = discovery.claims_in_file(file)

    def key(mutant: int | None = None, budget: Budget = Budget()) -> str:
        return cache.Fingerprints(budget).key(ref, mutant)

    seen = {key(), key(1), key(2), key(budget=Budget(seconds=7)), key(budget=Budget(memory_mb=7))}
    assert len(seen) == 5
    (tmp_path / "bystander.py").write_text("# changed")
    assert key() in seen
    for name in ("paper.py", "helper.py", "package/__init__.py", "package/inner.py", "package/other.py"):
        path = tmp_path / name
        path.write_text(path.read_text() + "\n# changed\n")
        assert key() not in seen
        seen.add(key())
    (tmp_path / "helper.py").unlink()
    assert key() not in seen


def test_the_key_follows_imports_between_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "models"
    (room / "thing").mkdir(parents=True)
    for name in ("__init__.py", "thing/__init__.py", "thing/parts.py", "other.py"):
        (room / name).write_text("")
    monkeypatch.setattr(cache, "_locations", lambda name: (room,) if name == "kexue.models" else ())
    file = tmp_path / "witness.py"
    file.write_text("from kexue.models.thing import parts\nfrom kexue import claim\n")
    found = cache.Fingerprints(Budget()).closure(file)
    assert {p.name if p == file else str(p.relative_to(room)) for p in found} == {
        "witness.py", "__init__.py", "thing/__init__.py", "thing/parts.py",
    }  # fmt: skip


def test_an_edit_of_equal_length_is_seen(file: Path, tmp_path: Path) -> None:
    """Byte code knows a source by its length and the second of its change: neither differs here."""
    helper = tmp_path / "helper.py"
    helper.write_text("C = 2\n")
    file.write_text(PAPER.replace("from sympy", "from helper import C\nfrom sympy", 1).replace("c=2)", "c=C)"))
    assert run(file)[0]["paper/square"].holds
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", "import helper"], cwd=tmp_path, check=True, env=environment)
    helper.write_text("C = 4\n")
    assert run(file)[0]["paper/square"].status == "refuted"
    helper.write_text("C = 2\n")
    report, jobs = run(file)
    assert report["paper/square"].holds and jobs == 0


def test_a_file_that_changes_under_the_run_is_not_kept(file: Path, results: Path) -> None:
    text = PAPER + "\nopen(__file__, 'a').write('# one line more\\n')\n"
    file.write_text(text)
    run(file, jobs=1)
    assert not entries(results)


@pytest.mark.parametrize(("finding", "kept"), [
    (Finding(Verdict.PROVED), True),
    (refuted("x = 1"), True),
    (undecided("the normal form is not zero, but no point was found"), True),
    (undecided("timed out after 20 s"), False),
    (undecided("the worker died: signal SIGKILL"), False),
    (undecided("out of resources: MemoryError"), False),
    (undecided("the claim raised OSError: gone"), False),
    (Finding(Verdict.NOT_RUN), False),
    (Finding(Verdict.REFUTED, parts=(refuted("x = 1"), undecided("timed out"))), False),
])  # fmt: skip
def test_what_is_kept(finding: Finding, kept: bool) -> None:
    assert cache.keepable(finding) is kept


def test_time_outs_and_crashes_run_again(file: Path) -> None:
    file.write_text(
        PAPER.replace("    return", "    import time, os; time.sleep(60); return", 1).replace(
            "    return Identity((x + 1) ** 2, x**2 + c * x + 1)\n", "    os.abort()\n"
        ).replace("from sympy", "import os\nfrom sympy", 1)
    )  # fmt: skip
    for _ in range(2):
        report, jobs = run(file, budget=Budget(seconds=0.5))
        assert jobs == 2
        assert {c.status for c in report} == {"undecided"}


MANY = "\n".join(
    f'''
@claim(mutants=[dict(c=3), dict(c=1)])
def square_{i}(c=2):
    """A square."""
    time.sleep(0.03)
    return Identity((x + {i}) ** 2, x**2 + {i} * c * x + {i}**2)
'''
    for i in range(1, 13)
)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    path = tmp_path / "many.py"
    path.write_text(PAPER.partition("@claim")[0] + "import time\n" + MANY)
    return path


def command(file: Path, *, folder: Path) -> list[str]:
    out = str(folder / "out.json")
    return [sys.executable, "-m", "kexue", "verify", str(file), "--jobs", "2", "--json", out]  # fmt: skip


def entries(results: Path) -> int:
    return len(list(results.glob("[0-9a-f]*[0-9a-f].json")))


def check_complete(folder: Path) -> None:
    data = json.loads((folder / "out.json").read_text())
    assert data["holds"] and data["counts"] == {"proved": 12} and data["killed"] == data["mutants"] == 24


def test_a_killed_run_loses_only_what_was_in_flight(many: Path, tmp_path: Path, results: Path) -> None:
    for kept in (1, 12, 24):
        process = subprocess.Popen(command(many, folder=tmp_path), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while entries(results) < kept and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "out.json").exists()
    before = entries(results)
    report, jobs = run(many)
    assert jobs <= 36 - before + 2
    assert statuses(report) == {f"many/square-{i}": ("proved", 2, 2) for i in range(1, 13)}
    assert run(many)[1] == 0


def test_two_runs_share_one_cache(many: Path, tmp_path: Path, results: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    processes = []
    for folder in folders:
        folder.mkdir()
        processes.append(subprocess.Popen(command(many, folder=folder), stdout=subprocess.DEVNULL))
    assert [p.wait(60) for p in processes] == [0, 0]
    for folder in folders:
        check_complete(folder)
    assert not list(results.glob(".*"))
    assert run(many)[1] == 0
