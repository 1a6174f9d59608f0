"""What is shipped: all packages, all data, an import that stays light, and a wheel that works where nothing else is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import kexue

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("derivations", "numerics", "models")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# How the heavy packages are imported; the distribution's name differs for some.
HEAVY = {"sympy", "numpy", "scipy", "torch", "matplotlib", "z3", "cvc5", "flint", "numba", "rich", "typer"}


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a command outside the source tree's influence; a failure shows what it printed."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH")}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=clean | env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source tree: a build leaves folders behind, which must not meet those of another run."""
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests", "benchmarks")
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=ignored))


def packages_on_disk() -> set[str]:
    """The dotted names of all folders that hold Python files, rooms under kexue."""
    found = set()
    for top in ("kexue", *ROOMS):
        for file in (ROOT / top).rglob("*.py"):
            parts = file.parent.relative_to(ROOT).parts
            found.add(".".join(parts if top == "kexue" else ("kexue", *parts)))
    return found


def test_every_package_is_listed():
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed))
    assert set(listed) == packages_on_disk()


def test_every_package_has_an_init():
    for name in packages_on_disk():
        parts = name.split(".")
        folder = ROOT.joinpath(*(parts[1:] if len(parts) > 1 and parts[1] in ROOMS else parts))
        assert (folder / "__init__.py").is_file(), f"{name} has no __init__.py"


def test_every_direct_dependency_is_pinned():
    def name(requirement: str) -> str:
        return re.split(r"[\s=<>!~\[;]", requirement, maxsplit=1)[0].lower().replace("_", "-")

    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {name(line) for line in text.splitlines() if "==" in line and not line.startswith("#")}
    extras = PROJECT["project"]["optional-dependencies"].values()
    required = {name(r) for group in (PROJECT["project"]["dependencies"], *extras) for r in group}
    assert required <= pinned, f"constraints.txt lacks {sorted(required - pinned)}"


def test_public_names_are_all_there():
    assert set(kexue.__all__) <= set(dir(kexue))
    for name in kexue.__all__:
        assert getattr(kexue, name) is not None
    with pytest.raises(AttributeError, match="'Identities'"):
        kexue.Identities  # noqa: B018


def test_type_checkers_see_the_same_public_names():
    source = (ROOT / "kexue" / "__init__.py").read_text(encoding="utf-8")
    declared = set(re.findall(r"^    from (?:\S+) import (\w+) as \1$", source, re.M))
    assert declared == set(kexue.__all__) - {"__version__"}


def test_import_is_light_and_fast():
    code = f"import sys, kexue; kexue.__version__; heavy = {HEAVY} & set(sys.modules); assert not heavy, heavy"
    seconds = []
    for _ in range(5):  # the fastest of several: other processes can only make it slower
        start = time.perf_counter()
        run(sys.executable, "-c", code)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.2


@pytest.mark.slow
def test_type_checker_sees_every_file_of_a_regular_install(tree: Path, tmp_path: Path):
    pytest.importorskip("mypy")
    target = tmp_path / "installed"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", target, tree)
    modules = sum(len(list((tree / top).rglob("*.py"))) for top in ("kexue", *ROOMS))
    config = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", tmp_path / "cache"]
    done = run(sys.executable, "-m", "mypy", *config, "-p", "kexue", cwd=target)
    assert re.search(r"no issues found in (\d+) source files", done.stdout)[1] == str(modules)


@pytest.mark.slow
def test_wheel_works_in_an_empty_environment(tree: Path, tmp_path: Path):
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, tree)
    (wheel,) = tmp_path.glob("kexue-*.whl")
    shipped = {n for n in zipfile.ZipFile(wheel).namelist() if n.endswith((".py", ".json"))}
    library = {str(p.relative_to(tree)) for end in ("py", "json") for p in (tree / "kexue").rglob(f"*.{end}")}
    rooms = {f"kexue/{p.relative_to(tree)}" for room in ROOMS for p in (tree / room).rglob("*.py")}
    assert shipped == library | rooms

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    everything = (
        "import importlib, pkgutil, kexue, sys\n"
        f"assert {str(ROOT)!r} not in kexue.__file__, kexue.__file__\n"
        "for name in kexue.__all__: getattr(kexue, name)\n"
        f"for room in {ROOMS}:\n"
        "    package = importlib.import_module('kexue.' + room)\n"
        "    if room == 'derivations':\n"
        "        for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "            importlib.import_module(module.name)\n"
        "from kexue import discovery, registry\n"
        "assert len(registry.articles()) == 38\n"
        "assert len(discovery.all_claims()) > 0\n"
    )
    run(python, "-c", everything, cwd=tmp_path)
    cache = str(tmp_path / "cache")
    run(python.with_name("kexue"), "verify", "positive_definite", cwd=tmp_path, KEXUE_CACHE=cache)
