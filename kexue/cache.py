"""Results that are kept under a hash of all they depend on; nothing in the cache is trusted, all of it is checked."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kexue.discovery import ClaimRef
from kexue.findings import Budget, Finding, Verdict

FORMAT = 1
ENGINES = ("sympy", "python-flint", "z3-solver", "cvc5", "mpmath")
PACKAGE = Path(__file__).resolve().parent
# What shows or finds results without deciding any; whatever else stands in the package is part of the key.
SHOWS_ONLY = frozenset({
    "__main__.py", "book", "cache.py", "cli.py", "discovery.py", "explain.py", "measurements.py", "pytest_plugin.py",
    "registry.py", "results.py",
})  # fmt: skip
ROOMS = frozenset({"derivations", "models", "numerics"})
# An undecided finding whose reason is one of these may be decided next time, so it is not kept.
PASSING = ("timed out", "time-out", "timeout", "time is over", "out of resources", "raised", "MemoryError", "died")


def folder() -> Path:
    """`$KEXUE_CACHE`, or `~/.cache/kexue`."""
    return Path(os.environ.get("KEXUE_CACHE") or Path.home() / ".cache" / "kexue")


class Cache:
    """One JSON file a job, named by its key. Reading and writing never raise: a cache that fails is only slow."""

    def __init__(self) -> None:
        self.folder = folder() / "results"
        self.warning = ""

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer kept under `key`, or None if there is none or it is not exactly what was written."""
        try:
            entry = json.loads((self.folder / f"{key}.json").read_bytes())
            answer = entry["answer"]
            if entry["format"] != FORMAT or entry["key"] != key or entry["sha256"] != _checksum(key, answer):
                return None
            Finding.from_json(answer["finding"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return answer  # type: ignore[no-any-return]

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Keeps an answer if it would come out the same again."""
        if not keepable(Finding.from_json(answer["finding"])):
            return
        entry = {"format": FORMAT, "key": key, "sha256": _checksum(key, answer), "answer": answer}
        self._write(f"{key}.json", entry)

    def durations(self) -> dict[str, float]:
        """Seconds that each claim took when it last ran, as far as known: long ones are started first."""
        try:
            known = json.loads((self.folder / "durations.json").read_bytes())
            return {str(k): float(v) for k, v in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def keep_durations(self, seconds: dict[str, float]) -> None:
        self._write("durations.json", self.durations() | seconds)

    def _write(self, name: str, value: Any) -> None:
        temporary = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".tmp")
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(value, file, sort_keys=True)
            os.replace(temporary, self.folder / name)
        except OSError as error:
            self.warning = f"results are not kept: {self.folder} can't be written ({error.strerror or error})"
        except BaseException:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            raise


def keepable(finding: Finding) -> bool:
    """Whether running the job again would give this: not so for what time, memory or an absent package decided."""
    if finding.verdict is Verdict.NOT_RUN:
        return False
    if finding.verdict is Verdict.UNDECIDED and any(word in finding.reason for word in PASSING):
        return False
    return all(keepable(part) for part in finding.parts)


def _checksum(key: str, answer: dict[str, Any]) -> str:
    return hashlib.sha256((key + json.dumps(answer, sort_keys=True)).encode()).hexdigest()


class Fingerprints:
    """Keys of jobs. Each file is read once; make a new object for each run, since files change.

    `engine` is the part of every key that stands for the engine and what it is built on.
    """

    def __init__(self, budget: Budget) -> None:
        self._engine_stamps = {path: _stamp(path) for path in _engine_files()}
        sources = [(str(path.relative_to(PACKAGE)), _sha256(path)) for path in self._engine_stamps]
        self.engine = _digest([FORMAT, sys.version, sys.platform, *_versions(), sources])
        self._budget = asdict(budget)
        self._files: dict[Path, _File] = {}
        self._closures: dict[Path, tuple[Path, ...]] = {}
        self._digests: dict[Path, str] = {}

    def key(self, ref: ClaimRef, mutant: int | str | None) -> str:
        if ref.file not in self._digests:
            files = [self._file(path) for path in self.closure(ref.file)]
            outside = sorted({name for f in files for name in f.outside})
            home = ref.file.parent  # paths are relative to it, so that a copy of the repository shares the cache
            self._digests[ref.file] = _digest(
                [[(os.path.relpath(f.path, home), f.sha256) for f in files], [_installed(n) for n in outside]]
            )
        return _digest([self.engine, self._budget, self._digests[ref.file], ref.id, ref.module, ref.function, mutant])

    def closure(self, path: Path) -> tuple[Path, ...]:
        """The file and all that it imports from its room or from beside it, directly or not."""
        if path not in self._closures:
            seen, todo = {path}, [path]
            while todo:
                new = set(self._file(todo.pop()).imports) - seen
                seen |= new
                todo += new
            self._closures[path] = tuple(sorted(seen))
        return self._closures[path]

    def unchanged(self, path: Path) -> bool:
        """Whether the worker has seen the very files, the engine's included, that the key was made from."""
        stamps = self._engine_stamps | {p: self._file(p).stamp for p in self.closure(path)}
        return all(stamp == _stamp(p) for p, stamp in stamps.items())

    def just_written(self, path: Path) -> bool:
        """Whether a file is so young that byte code, which knows whole seconds only, could miss the next edit."""
        return any(time.time() - self._file(p).stamp[0] / 1e9 < 3 for p in self.closure(path))

    def _file(self, path: Path) -> _File:
        if path not in self._files:
            self._files[path] = _File(path)
        return self._files[path]


class _File:
    """A source file: its bytes' hash and what it imports."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp = _stamp(path)
        self.imports: tuple[Path, ...] = ()
        self.outside: tuple[str, ...] = ()
        try:
            source = path.read_bytes()
            with warnings.catch_warnings(action="ignore"):
                tree = ast.parse(source)
        except (OSError, SyntaxError, ValueError):
            self.sha256 = "unreadable"
            return
        self.sha256 = hashlib.sha256(source).hexdigest()
        _distrust_byte_code(path, self.stamp)
        found: dict[Path, None] = {}
        outside = set()
        for base, dotted in _imported(tree):
            if base == 0 and dotted.partition(".")[0] == "kexue":
                files: Iterable[Path] = _room_files(dotted)
            elif base:
                files = _below(path.parents[base - 1], dotted) if base <= len(path.parents) else ()
            else:
                files = list(_below(path.parent, dotted)) or list(_source_tree(dotted))
                if not files:
                    outside.add(dotted.partition(".")[0])
            found |= dict.fromkeys(files)
        self.imports = tuple(found)
        self.outside = tuple(sorted(outside - sys.stdlib_module_names))


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(level, dotted name) of each import, at any depth; of `from a import b` both a and a.b, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""
            for alias in node.names:
                yield node.level, f"{node.module}.{alias.name}" if node.module else alias.name


def _below(folder: Path, dotted: str) -> Iterator[Path]:
    """The files that importing a dotted name relative to `folder` runs."""
    here = folder
    if not dotted:
        yield from (p for p in [here / "__init__.py"] if p.is_file())
    for part in dotted.split(".") if dotted else ():
        here = here / part
        for candidate in (here / "__init__.py", here.with_name(part + ".py")):
            if candidate.is_file():
                yield candidate.resolve()


def _room_files(dotted: str) -> Iterator[Path]:
    """Files of the rooms; the rest of kexue is the engine, which is in every key."""
    _, _, rest = dotted.partition(".")
    room, _, inside = rest.partition(".")
    if room in ROOMS:
        for folder in _locations(f"kexue.{room}"):
            yield from _below(folder, "")
            if inside:
                yield from _below(folder, inside)


def _source_tree(dotted: str) -> Iterator[Path]:
    """Files of a module that is imported from a source tree: an editable install, a folder on sys.path."""
    top = dotted.partition(".")[0]
    for folder in _locations(top):
        if "site-packages" not in folder.parts and "dist-packages" not in folder.parts:
            yield from _below(folder.parent, dotted)


@functools.cache
def _locations(name: str) -> tuple[Path, ...]:
    """The folder of a package, or the path of a module without its suffix; only parents of `name` are imported."""
    if name in sys.stdlib_module_names:
        return ()
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations:
        return tuple(Path(place).resolve() for place in spec.submodule_search_locations)
    return (Path(spec.origin).resolve().with_suffix(""),) if spec.origin and spec.has_location else ()


@functools.cache
def _installed(name: str) -> list[str]:
    """The installed distributions that a top-level module may belong to, with versions, as folder names tell them."""
    places = {place.parent for place in _locations(name)}
    return sorted(p.name for place in places for p in place.glob(f"{name}*.dist-info"))


def _engine_files() -> list[Path]:
    files = ((p, p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py"))
    return sorted(p for p, inside in files if inside.parts[0] not in ROOMS | SHOWS_ONLY)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"


def _versions() -> list[str]:
    found = []
    for name in ENGINES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return found


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _distrust_byte_code(path: Path, stamp: tuple[int, int, int]) -> None:
    """Removes byte code written within a second or so of the source: a later edit of equal length would go unseen."""
    with contextlib.suppress(OSError, NotImplementedError):
        compiled = Path(importlib.util.cache_from_source(str(path)))
        if compiled.stat().st_mtime - stamp[0] / 1e9 < 2:
            compiled.unlink()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
