"""The command line: what it prints, what it writes, and how it exits."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from kexue import cli, discovery

PAPER = '''"""A paper."""
import time
from sympy import symbols
from kexue import ForAll, Identity, claim, erratum
x = symbols("x", real=True)

@claim(mutants=[dict(c=3)])
def square(c=2):
    r"""$(x+1)^2 = x^2 + 2x + 1$ for all real $x$."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)

@erratum(printed=dict(c=5), mutants=[dict(c=3)])
def cube(c=3):
    """A cube; the paper prints 5."""
    return Identity((x + 1) ** 3, x**3 + c * x**2 + 3 * x + 1)
'''.replace("mutants=[dict(c=3)])\ndef cube", "mutants=[dict(c=4)])\ndef cube")

BAD = (
    PAPER
    + '''
@claim(mutants=[dict(c=2)])
def wrong(c=3):
    """Not so."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)
'''
)

SLOW = (
    PAPER
    + '''
@claim(mutants=[dict(c=2)])
def slow(c=3):
    """It takes its time."""
    time.sleep(600)
'''
)


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("paper.py").write_text(PAPER)
    Path("bad.py").write_text(BAD)
    Path("slow.py").write_text(SLOW)
    return tmp_path


def kexue(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def test_verify(paper: Path) -> None:
    done = kexue("verify", "paper.py")
    assert done.exit_code == 0
    assert "paper: 2 of 2 claims hold" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith(" paper "))
    assert row.split()[:3] == ["paper", "2", "3/3"]
    assert "refuted" not in done.stdout  # columns that are empty everywhere are left out


def test_verify_names_what_fails(paper: Path) -> None:
    done = kexue("verify", "bad.py", "paper.py")
    assert done.exit_code == 1
    assert "bad/wrong: refuted\n    " in done.stdout and "total" in done.stdout


def test_one_claim_of_a_file(paper: Path) -> None:
    assert kexue("verify", "bad.py::square").exit_code == 0
    assert kexue("verify", "bad.py::wrong").exit_code == 1


def test_json_and_junit(paper: Path) -> None:
    done = kexue("verify", "bad.py", "--json", "out.json", "--junit", "out.xml")
    assert done.exit_code == 1
    data = json.loads(Path("out.json").read_text())
    assert data["counts"] == {"proved": 2, "refuted": 1} and not data["holds"]
    suite = ElementTree.parse("out.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert json.loads(kexue("verify", "paper.py", "--json", "-").stdout)["holds"]
    assert ElementTree.fromstring(kexue("verify", "paper.py", "--junit", "-").stdout.encode()).tag == "testsuites"


def test_explain(paper: Path) -> None:
    text = kexue("explain", "paper.py::cube").stdout
    for part in (
        "paper/cube", "A cube; the paper prints 5.", "status: proved", "Identity: ", "engines: ", "live point: x = ",
        "printed: c: 3 → 5: refuted", "counter-example: ", "mutant 1: c: 3 → 4: refuted",
    ):  # fmt: skip
        assert part in text
    data = json.loads(kexue("explain", "bad.py::wrong", "--json").stdout)
    assert data["status"] == "refuted" and data["truth"]["counterexample"]
    assert "mutant 1: c: 3 → 2: not run" in kexue("explain", "bad.py::wrong").stdout


def test_lists() -> None:
    rows = json.loads(kexue("list", "--json").stdout)
    assert len(rows) == 38 and {"slug", "title_en", "title_zh", "archive", "claims", "atlas", "missing"} <= set(rows[0])
    assert len(kexue("list").stdout.splitlines()) == 39
    claims = json.loads(kexue("list", "claims", "rope", "--json").stdout)
    assert claims and all(row["id"].startswith("rope/") for row in claims)
    kinds = {row["kind"] for row in json.loads(kexue("list", "kinds", "--json").stdout)}
    assert {"Identity", "ForAll", "Limit", "Induction"} <= kinds


def test_errata(paper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = discovery.claims_in_file(paper / "paper.py")
    monkeypatch.setattr(discovery, "all_claims", lambda: refs)
    done = kexue("errata")
    assert done.exit_code == 0
    assert "paper/cube" in done.stdout and "printed → corrected: c: 5 → 3" in done.stdout
    assert "paper/square" not in done.stdout
    (row,) = json.loads(kexue("errata", "--json").stdout)
    assert row["counterexample"] and row["holds"]


@pytest.mark.parametrize(("arguments", "words"), [
    (["verify", "roqe"], ["'roqe'", "rope"]),
    (["verify", "rope/no-such-claim"], ["rope/no-such-claim"]),
    (["verify", "papr.py"], ["papr.py", "paper.py"]),
    (["verify", "notes.txt"], ["notes.txt", ".py"]),
    (["verify", "broken.py"], ["broken.py:1"]),
    (["verify", "empty.py"], ["empty.py", "@claim"]),
    (["verify", "paper.py", "--jobs", "0"], ["--jobs", "at least 1", "0"]),
    (["verify", "paper.py", "--jobs", "-2"], ["--jobs", "at least 1", "-2"]),
    (["verify", "paper.py", "--jobs", "two"], ["--jobs", "'two'", "whole number"]),
    (["verify", "paper.py", "--timeout", "0"], ["--timeout", "positive", "0"]),
    (["verify", "paper.py", "--timeout", "nan"], ["--timeout", "positive", "nan"]),
    (["verify", "paper.py", "--timeout", "inf"], ["--timeout", "positive", "inf"]),
    (["verify", "paper.py", "--json", "no/such/folder.json"], ["--json", "existing folder"]),
    (["verify", "paper.py", "--junit", "."], ["--junit", "folder"]),
    (["verify", "paper.py", "--nonsense"], ["--nonsense"]),
    (["explain", "paper.py"], ["one claim", "paper/square", "paper/cube"]),
    (["explain", "paper.py::squares"], ["squares", "square"]),
    (["explain"], ["CLAIM"]),
    (["list", "articels"], ["articels", "articles, claims, kinds or models"]),
    (["list", "claims", "roqe"], ["roqe", "rope"]),
    (["list", "kinds", "rope"], ["claims only"]),
    (["frobnicate"], ["frobnicate"]),
])  # fmt: skip
def test_wrong_usage(paper: Path, arguments: list[str], words: list[str]) -> None:
    Path("notes.txt").write_text("notes")
    Path("broken.py").write_text("def f(:")
    Path("empty.py").write_text("x = 1")
    done = kexue(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("signals", [1, 3])
def test_interrupt_prints_what_is_done(paper: Path, signals: int) -> None:
    """Ctrl-C as a terminal sends it: to the whole process group."""
    command = [sys.executable, "-m", "kexue", "verify", "slow.py", "--jobs", "2", "--json", "out.json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
        env=os.environ | {"KEXUE_CACHE": "cache"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while len(list(Path("cache").glob("results/[0-9a-f]*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    for _ in range(signals):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.001)
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in errors
    if signals == 1:
        assert "2 of 3 claims hold, interrupted after 2" in output and "mutants killed" in output and errors == ""
        data = json.loads(Path("out.json").read_text())
        assert data["interrupted"] and [c["id"] for c in data["claims"]] == ["slow/square", "slow/cube"]


def test_progress_on_a_terminal(paper: Path) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kexue", "verify", "paper.py", "--fresh"],
        stdout=follower, stderr=follower, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while select.select([leader], [], [], 20)[0]:
        try:
            shown += os.read(leader, 1 << 16)
        except OSError:  # the other end is closed
            break
    os.close(leader)
    assert process.wait() == 0
    text = shown.decode()
    assert "0/2" in text and "mutants killed" in text and "2 of 2 claims hold" in text


def run_python(code: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ | more, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("arguments", ["--help", "list", "list kinds", "verify paper.py", "explain paper.py::square"])
def test_the_parent_imports_no_engine(paper: Path, arguments: str) -> None:
    code = f"""
import sys
from kexue import cli
sys.argv = ["kexue", *{arguments.split()!r}]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"sympy", "flint", "z3", "cvc5", "numpy", "torch", "matplotlib", "mpmath"}} & set(sys.modules)
print("heavy:", *heavy)
"""
    assert run_python(code).endswith("heavy:")


def test_help_is_fast() -> None:
    took = []
    for _ in range(3):
        start = time.perf_counter()
        run_python("import sys; sys.argv = ['kexue', '--help']; from kexue.cli import main; main()")
        took.append(time.perf_counter() - start)
    assert min(took) < 0.4


def test_a_terminal_without_greek_gets_the_rest(paper: Path) -> None:
    code = "import sys; sys.argv = ['kexue', 'explain', 'paper.py::cube']; from kexue.cli import main; main()"
    assert "c: 3 ? 5: refuted" in run_python(code, PYTHONIOENCODING="ascii")
