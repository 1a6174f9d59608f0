"""What a user waits for: the import, the command line, and a verification of the first five articles.

    make bench ARGS="-k startup"
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

KEXUE = [sys.executable, "-m", "kexue"]
ARTICLES = ["positive_definite", "quadratic_forms", "orthogonal_map", "gradient_clipping", "rope"]


def run(command: list[str], cache: Path) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "KEXUE_CACHE": str(cache)})


def test_bare_interpreter(benchmark, tmp_path):
    """The floor under every other number here."""
    benchmark(run, [sys.executable, "-c", ""], tmp_path)


def test_import(benchmark, tmp_path):
    benchmark(run, [sys.executable, "-c", "import kexue"], tmp_path)


@pytest.mark.parametrize("arguments", [["--help"], ["list", "claims"]], ids=" ".join)
def test_command(benchmark, tmp_path, arguments):
    benchmark(run, KEXUE + arguments, tmp_path)


@pytest.mark.benchmark(group="test_verify_cold")
@pytest.mark.parametrize("level", ["core", "with torch's witnesses"])
def test_verify_cold(benchmark, tmp_path, level):
    """Every claim and mutant of five articles, nothing cached."""
    cache = tmp_path / "cache"

    def forget():
        shutil.rmtree(cache, ignore_errors=True)

    command = [*KEXUE, "verify", *ARTICLES, *(["--core"] if level == "core" else [])]
    benchmark.pedantic(run, (command, cache), setup=forget, rounds=2)


def test_verify_warm(benchmark, tmp_path):
    """The same again: all results come from the cache."""
    command = KEXUE + ["verify", *ARTICLES]
    run(command, tmp_path)
    benchmark(run, command, tmp_path)
