"""The runner under faults: whatever a claim does to its process, it is undecided and the others are unaffected."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kexue import discovery, runner
from kexue.findings import Budget
from kexue.results import Report

HEAD = """
import os, signal, subprocess, sys, time
from sympy import symbols
from kexue import Identity, claim, erratum
x = symbols("x", real=True)
"""

GOOD = '''
@claim(mutants=[dict(c=3), dict(c=1)])
def {name}(c=2):
    """A square."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)
'''

FAULTS = {
    "hangs": ("time.sleep(1000)", "undecided", "timed out after 2 s"),
    "spins": ("while True: pass", "undecided", "timed out after 2 s"),
    "stops": ("os.kill(os.getpid(), signal.SIGSTOP)", "undecided", "timed out after 2 s"),
    "raises": ("raise ValueError('no such thing')", "undecided", "the claim raised ValueError: no such thing"),
    "aborts": ("os.abort()", "undecided", "the worker died: signal SIGABRT"),
    "segfaults": ("import ctypes; ctypes.string_at(0)", "undecided", "the worker died: signal SIGSEGV"),
    "kills_itself": ("os.kill(os.getpid(), signal.SIGKILL)", "undecided", "the worker died: signal SIGKILL"),
    "eats_memory": ("b = [bytearray(1 << 26) for _ in range(1 << 20)]", "undecided", "MemoryError"),
    "recurses": ("f = lambda: f(); f()", "undecided", "RecursionError"),
    "exits": ("sys.exit(0)", "undecided", "SystemExit"),
    "leaves": ("os._exit(0)", "undecided", "the worker died without an answer: exit status 0"),
    "interrupts": ("raise KeyboardInterrupt", "undecided", "KeyboardInterrupt"),
    "returns_number": ("return 7", "defective", "returned int 7"),
    "returns_nothing": ("return None", "defective", "returned NoneType None"),
    "returns_limit": ("import sympy; return sympy.Limit(1 / x, x, 0)", "defective", "SymPy's Limit"),
    "returns_relation": ("return x**2 >= 0", "defective", "expected a statement|wrap it"),
    "forks": ("os.fork(); return 7", "defective", "returned int 7"),
    "prints_for_ever": (r"while True: os.write(1, b'\xff\x00' * 65536)", "undecided", "OSError|timed out"),
    "closes_everything": ("os.closerange(0, 100); return 7", "defective", "returned int 7"),
}


def paper(path: Path, *bodies: str) -> list[discovery.ClaimRef]:
    path.write_text(HEAD + "\n".join(bodies))
    return discovery.claims_in_file(path)


def fault(name: str, body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.split("; "))
    return f'@claim(mutants=[dict(c=3)])\ndef {name}(c=2):\n    """A fault."""\n{lines}\n'


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One run over all faults, with good claims between them."""
    bodies = [fault(name, body) for name, (body, *_) in FAULTS.items()]
    for i in range(0, len(bodies), 4):
        bodies[i] += GOOD.format(name=f"good_{i}")
    refs = paper(tmp_path_factory.mktemp("faults") / "faults.py", *bodies)
    start = time.monotonic()
    report = runner.run(refs, jobs=4, budget=Budget(seconds=2, memory_mb=256))
    assert time.monotonic() - start < 30
    return report


@pytest.mark.parametrize("name", FAULTS)
def test_fault_costs_one_claim(faults: Report, name: str) -> None:
    _, status, reason = FAULTS[name]
    result = faults["faults/" + name.replace("_", "-")]
    assert (result.status, result.holds) == (status, False)
    assert any(part in " ".join(result.reasons) for part in reason.split("|")), result.reasons


def test_the_others_are_unaffected(faults: Report) -> None:
    good = [c for c in faults if c.id.startswith("faults/good")]
    assert len(good) == 5
    assert all(c.holds and c.killed == c.total == 2 for c in good)
    assert faults.exit_status == 1


def test_printed_garbage_is_kept_apart_from_the_answer(tmp_path: Path) -> None:
    noise = r"os.write(1, b'\xff{\"finding\": 1}\x00' * 9); print('hello'); return"
    body = GOOD.format(name="noisy").replace("return", noise)
    bad = fault("sad", r"os.write(2, b'\xfe\n'); print('last words'); sys.stdout.flush(); os.abort()")
    report = runner.run(paper(tmp_path / "noise.py", body, bad))
    assert report["noise/noisy"].holds
    assert "last words" in " ".join(report["noise/sad"].truth.notes)


@pytest.mark.parametrize("session", ["False", "True"])
def test_no_child_outlives_its_job(tmp_path: Path, session: str) -> None:
    pid = tmp_path / "pid"
    body = (
        f"child = subprocess.Popen(['sleep', '300'], start_new_session={session}); "
        f"open({str(pid)!r}, 'w').write(str(child.pid)); return 7"
    )
    refs = paper(tmp_path / "spawns.py", fault("spawns", body))
    assert runner.run(refs)["spawns/spawns"].status == "defective"
    runner._close()  # a child that left its job's process group dies with the server, at the latest
    deadline = time.monotonic() + 5
    while alive(int(pid.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(pid.read_text()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_claim_that_kills_the_server_hurts_only_itself(tmp_path: Path) -> None:
    murder = fault("murders", "os.kill(os.getppid(), signal.SIGKILL); time.sleep(1)")
    slow = GOOD.format(name="slow").replace("return", "time.sleep(0.3); return")
    report = runner.run(paper(tmp_path / "murder.py", slow, murder, GOOD.format(name="good")), jobs=3)
    assert report["murder/murders"].status == "undecided"
    assert "server" in report["murder/murders"].reasons[0]
    assert report["murder/slow"].holds and report["murder/good"].holds


def test_only_a_refutation_kills_a_mutant(tmp_path: Path) -> None:
    body = '''
@claim(mutants=[dict(c=3), dict(c="raise"), dict(c="hang"), dict(c="abort")])
def fragile(c=2):
    """A square."""
    if c == "raise": raise ValueError("boo")
    if c == "hang": time.sleep(1000)
    if c == "abort": os.abort()
    return Identity((x + 1) ** 2, x**2 + c * x + 1)
'''
    result = runner.run(paper(tmp_path / "mutants.py", body), budget=Budget(seconds=1))["mutants/fragile"]
    assert (result.status, result.killed, result.total) == ("undecided", 1, 4)
    assert [finding.verdict for _, finding in result.mutants] == ["refuted", "undecided", "undecided", "undecided"]
    assert len(result.reasons) == 3


def test_every_job_has_a_fresh_process(tmp_path: Path) -> None:
    body = '''
SEEN = []

@claim(mutants=[dict(c=3), dict(c=4)])
def leaky(c=2, bag=[]):
    """A square."""
    bag.append(c); SEEN.append(c); os.environ["SEEN"] = os.environ.get("SEEN", "") + "x"
    assert len(bag) == len(SEEN) == len(os.environ["SEEN"]) == 1
    return Identity((x + 1) ** 2, x**2 + c * x + 1)
'''
    assert runner.run(paper(tmp_path / "leaks.py", body)).holds


@pytest.mark.parametrize(("text", "status"), [
    ("import kexue_no_such_package", "undecided"),
    ("raise RuntimeError('at import')", "undecided"),
    ("import sys; sys.exit(3)", "undecided"),
    ("@claim(mutants='abc')\ndef h(): ...", "defective"),
])  # fmt: skip
def test_a_file_that_fails_at_import(tmp_path: Path, text: str, status: str) -> None:
    report = runner.run(paper(tmp_path / "broken.py", GOOD.format(name="f"), text))
    assert report["broken/f"].status == status


@pytest.mark.parametrize("place", ["module", "function"])
def test_an_absent_optional_package_is_not_run(tmp_path: Path, place: str) -> None:
    path = tmp_path / "needy.py"
    absent = "raise ModuleNotFoundError(\"No module named 'torch.nn'\")"
    body = GOOD.format(name="measured").replace("]", '], needs=["torch"]', 1)
    path.write_text(HEAD + (absent + body if place == "module" else body.replace("return", absent + "; return")))
    report = runner.run(discovery.claims_in_file(path))
    assert report["needy/measured"].status == "not run"
    assert report.exit_status == 1
    left_out = runner.run(discovery.claims_in_file(path), core=True)
    assert left_out["needy/measured"].status == "not run"
    assert left_out.exit_status == 0


def test_open_claims_and_errata(tmp_path: Path) -> None:
    body = '''
@claim(open="nobody knows", mutants=[dict(c=3)])
def resists(c=2):
    """Resists."""
    raise NotImplementedError

@claim(open="nobody knows", mutants=[dict(c=3)])
def decided(c=2):
    """A square."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)

@erratum(printed=dict(c=5), mutants=[dict(c=3)])
def misprint(c=2):
    """A square."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)
'''
    report = runner.run(paper(tmp_path / "marks.py", body))
    assert report["marks/resists"].status == "open" and report["marks/resists"].holds
    assert not report["marks/decided"].holds
    assert report["marks/misprint"].holds and report["marks/misprint"].total == 2
    assert report["marks/misprint"].mutants[0][0]["key"] == "printed"


def test_report(tmp_path: Path) -> None:
    refs = paper(tmp_path / "two.py", GOOD.format(name="good"), fault("bad", r"raise ValueError('<b>\x00')"))
    report = runner.run(refs)
    data = json.loads(json.dumps(report.to_json()))
    assert data["schema"] == 1 and data["holds"] is False and data["killed"] == 2
    assert [c["status"] for c in data["claims"]] == ["proved", "undecided"]
    from xml.etree import ElementTree

    suite = ElementTree.fromstring(report.to_junit()).find("testsuite")
    assert suite is not None and suite.get("tests") == "2" and suite.get("failures") == "1"
    assert "<b>" not in report._repr_html_() and "&lt;b&gt;" in report._repr_html_()
    assert report.rows()[0] == ["article", "proved", "undecided", "mutants killed", "time"]
    with pytest.raises(KeyError, match="two/none"):
        report["two/none"]


@pytest.mark.parametrize(
    "bad", [{"jobs": 0}, {"jobs": -1}, {"timeout": 0}, {"timeout": -3.0}, {"timeout": float("nan")}]
)
def test_verify_refuses_bad_arguments(tmp_path: Path, bad: dict[str, float]) -> None:
    paper(tmp_path / "fine.py", GOOD.format(name="good"))
    (name,) = bad
    with pytest.raises(ValueError, match=f"{name} must be .*, got"):
        runner.verify(tmp_path / "fine.py", **bad)  # type: ignore[arg-type]


def test_verify_needs_no_main_guard(tmp_path: Path) -> None:
    """The workers don't run the caller's script again, and the parent imports no engine."""
    paper(tmp_path / "fine.py", GOOD.format(name="good"))
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, kexue\nprint('once')\nreport = kexue.verify('fine.py')\nprint(report.holds)\n"
        "print([m for m in ('sympy', 'flint', 'z3', 'cvc5', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split("\n")[:3], done.stderr) == (["once", "True", "[]"], "")


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL on the parent: the server ends its jobs and removes its folder."""
    pid = tmp_path / "pid"
    paper(tmp_path / "slow.py", fault("slow", f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"))
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    code = "import kexue; kexue.verify('slow.py')"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 20
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while (alive(int(pid.read_text())) or list(tmp_path.glob("kexue-*"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(int(pid.read_text()))
    assert not list(tmp_path.glob("kexue-*"))


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runner._close()
    fake = tmp_path / "z3.py"
    fake.write_text("raise ImportError('libz3 is broken')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(runner.WorkersUnavailable, match="libz3 is broken"):
        runner.run(paper(tmp_path / "fine.py", GOOD.format(name="good")), fresh=True)
