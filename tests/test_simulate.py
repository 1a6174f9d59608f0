"""The command `kexue simulate`: tables, JSON, figures, state, exit status, wrong usage."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PAPER = '''"""A coin."""
from sympy import Rational
from kexue import Estimate, claim, experiment

@experiment(chunk=2000)
def coin(chunk, count, p=0.25):
    return int((chunk.generator().random(count) < p).sum())

@claim(mutants=[dict(p=0.3)])
def quarter(p=0.25):
    r"""$P = 1/4$."""
    return Estimate(coin(p=p), Rational(1, 4), Rational(1, 10))

@claim(mutants=[dict(value=Rational(1, 2))])
def wrong(value=Rational(3, 10)):
    r"""$P = 3/10$, which is false."""
    return Estimate(coin(), value, Rational(1, 10))
'''


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    path = tmp_path / "coins.py"
    path.write_text(PAPER)
    return path


def kexue(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kexue", "simulate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_one_experiment(paper: Path, tmp_path: Path) -> None:
    state, plot = tmp_path / "state.json", tmp_path / "forest.png"
    done = kexue(f"{paper}::quarter", "--json", "-", "--state", state, "--plot", plot)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["verdict"] == "confirmed" and found["claim"] == "coins/quarter"
    assert plot.read_bytes().startswith(b"\x89PNG") and json.loads(state.read_text())["chunks"] == found["chunks"]
    again = kexue(f"{paper}::quarter", "--json", "-", "--state", state, "--seed", 1)
    assert again.returncode == 2 and "another seed" in again.stderr


def test_the_same_numbers_with_workers(paper: Path) -> None:
    runs = [json.loads(kexue(f"{paper}::quarter", "--json", "-", *more).stdout)[0] for more in ((), ("--workers", 2))]
    for run in runs:
        del run["seconds"], run["samples_per_second"]
    assert runs[0] == runs[1]


def test_a_false_value_is_refuted(paper: Path) -> None:
    done = kexue(paper)
    assert done.returncode == 1 and "refuted" in done.stdout and "1 of 2 estimates are confirmed" in done.stdout


def test_too_few_samples_decide_nothing(paper: Path) -> None:
    done = kexue(f"{paper}::quarter", "--samples", 2000, "--delta", 0.01)
    assert done.returncode == 1 and "undecided" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "nonsense"),
        (("positive_definite/univariate",), "no experiment"),
        (("--delta", "2"), "--delta"),
        (("--workers", "0"), "--workers"),
        (("--samples", "0"), "--samples"),
        (("PAPER", "--state", "s.json"), "exactly one experiment"),
        (("PAPER", "--plot", "no/such/folder/x.png"), "--plot"),
        (("PAPER", "--dask", "tcp://127.0.0.1:1"), "--dask"),
    ],
)
def test_wrong_usage(paper: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    if "--dask" in arguments:
        pytest.importorskip("distributed")
    done = kexue(*(paper if a == "PAPER" else a for a in arguments), cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
