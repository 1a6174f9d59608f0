"""Finds claims by reading syntax trees: nothing is imported, so a file that hangs or raises can still be listed."""

from __future__ import annotations

import ast
import difflib
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kexue import registry

ROOMS = ("derivations", "numerics")
MARKS = frozenset({"claim", "erratum"})

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class DiscoveryError(ValueError):
    """A target that can't be turned into claims: an unreadable file, a misplaced claim, two claims of one id."""


class UnknownName(DiscoveryError):
    """No article, claim or file has this name. `suggestions` are the nearest names that exist."""

    def __init__(self, name: str, suggestions: Iterable[str] = (), message: str = "") -> None:
        self.name = name
        self.suggestions = tuple(suggestions)
        nearest = f"; the nearest names are {', '.join(self.suggestions)}" if self.suggestions else ""
        super().__init__((message or f"no article, claim or file is called {name!r}") + nearest)


@dataclass(frozen=True)
class ClaimRef:
    """Where a claim stands. `module` and `room` are None for a file outside the rooms."""

    id: str
    slug: str
    function: str
    file: Path
    module: str | None
    room: str | None
    line: int
    title: str
    erratum: bool = False
    open: str | None = None
    needs: tuple[str, ...] = ()


def claim_id(slug: str, function: str) -> str:
    return f"{slug}/{function.lower().replace('_', '-')}"


def claims_in_file(path: str | Path, module: str | None = None, room: str | None = None) -> list[ClaimRef]:
    """The claims of one file, in the order of its lines.

    Args:
        path: a Python file.
        module: its dotted name if it stands in a room ("kexue.derivations.rope"); the slug is then its third part,
            otherwise the file's stem.
        room: "derivations" or "numerics".

    Raises:
        DiscoveryError: if the file can't be parsed, a claim stands inside a function or a class (no worker could
            reach it there) or is no plain function, or two claims have one id.
    """
    path = Path(path).resolve()
    slug = module.split(".")[2] if module else path.stem
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise DiscoveryError(f"{path}:{error.lineno}: {error.msg}") from error
    except (OSError, ValueError) as error:
        raise DiscoveryError(f"{path}: {error}") from error

    refs = []
    for node, mark, nested in _marked(tree):
        if nested or not isinstance(node, ast.FunctionDef):
            message = f"claim {node.name!r} must be a plain function at the top level of its module"
            raise DiscoveryError(f"{path}:{node.lineno}: {message}")
        doc = ast.get_docstring(node) or ""
        refs.append(
            ClaimRef(
                id=claim_id(slug, node.name),
                slug=slug,
                function=node.name,
                file=path,
                module=module,
                room=room,
                line=node.lineno,
                title=doc.split("\n\n")[0].replace("\n", " "),
                erratum=_name(mark) == "erratum",
                open=next((text for text in _literals(mark, "open")), None),
                needs=tuple(_literals(mark, "needs")),
            )
        )
    _refuse_duplicates(refs)
    return refs


def all_claims() -> list[ClaimRef]:
    """Every claim of the installed rooms: article by article, proofs before measurements."""
    modules = list(_room_modules())
    return [ref for slug in sorted({m.slug for m in modules}) for ref in _claims_of(slug, modules)]


def resolve(targets: Iterable[str]) -> list[ClaimRef]:
    """The claims that SLUG, SLUG/CLAIM, FILE.py or FILE.py::FUNCTION name; every claim of the rooms if none is given.

    Raises:
        UnknownName: for a name that nothing has, with the nearest names that exist.
        DiscoveryError: for a file that can't be read or has no claim.
    """
    targets = list(targets)
    if not targets:
        return all_claims()
    modules = list(_room_modules())
    found = [ref for target in targets for ref in _resolve_one(target, modules)]
    return list(dict.fromkeys(found))


def rooms() -> dict[str, Path]:
    """The folders of the rooms that hold claims, by name. Their packages are located, not imported."""
    return {room: folder for room in ROOMS if (folder := room_folder(room))}


def room_folder(room: str) -> Path | None:
    """The folder of a room, "models" included; None if it isn't installed."""
    spec = importlib.util.find_spec(f"kexue.{room}")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).resolve()


@dataclass(frozen=True)
class _Module:
    slug: str
    room: str
    name: str
    file: Path


def _room_modules() -> Iterator[_Module]:
    """The files of an article are <slug>.py or <slug>/**.py; a leading underscore marks what articles share."""
    for room, folder in rooms().items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if parts[0].startswith("_"):
                continue
            dotted = parts[:-1] if parts[-1] == "__init__" else parts
            yield _Module(parts[0], room, ".".join(("kexue", room, *dotted)), file)


def _claims_of(slug: str, modules: Iterable[_Module]) -> list[ClaimRef]:
    refs = [ref for m in modules if m.slug == slug for ref in claims_in_file(m.file, m.name, m.room)]
    for room in ROOMS:  # the same id in another room is an independent witness; twice in one room it is a mistake
        _refuse_duplicates([ref for ref in refs if ref.room == room])
    return refs


def _resolve_one(target: str, modules: list[_Module]) -> list[ClaimRef]:
    name, _, function = target.partition("::")
    if name.endswith(".py"):
        return _resolve_file(Path(name), function, modules)
    slug = target.partition("/")[0]
    refs = _claims_of(slug, modules)
    if target == slug and refs:
        return refs
    chosen = [ref for ref in refs if ref.id == target]
    if chosen:
        return chosen
    raise _unknown(target, modules)


def _resolve_file(path: Path, function: str, modules: list[_Module]) -> list[ClaimRef]:
    if not path.is_file():
        here = path.parent if path.parent.is_dir() else Path()
        near = difflib.get_close_matches(path.name, [p.name for p in here.glob("*.py")])
        raise UnknownName(str(path), [str(here / n) for n in near], f"no such file: {path}")
    path = path.resolve()
    home = next((m for m in modules if m.file == path), None)
    refs = claims_in_file(path, home.name, home.room) if home else claims_in_file(path)
    if not refs:
        raise DiscoveryError(f"{path} has no function decorated with @claim or @erratum")
    if not function:
        return refs
    chosen = [ref for ref in refs if ref.function == function]
    if not chosen:
        names = [ref.function for ref in refs]
        near = difflib.get_close_matches(function, names) or names[:5]
        raise UnknownName(function, near, f"{path.name} has no claim function {function!r}")
    return chosen


def _unknown(target: str, modules: list[_Module]) -> UnknownName:
    """Says what the registry knows about a name that no code has; otherwise names what is near."""
    slug, _, claim = target.partition("/")
    if slug in registry.slugs():
        if not claim:
            return UnknownName(target, message=f"nothing is verified yet for {target!r}")
        if target in registry.atlas_claims(slug):
            reason = registry.waiting(target)
            return UnknownName(target, message=f"nothing verifies {target!r} yet" + (f": {reason}" if reason else ""))
    slugs = {m.slug for m in modules}
    if claim:  # claim names are searched within the article when it exists: near ones of other articles are noise
        where = [slug] if slug in slugs else difflib.get_close_matches(slug, slugs, n=1)
        ids = [ref.id for s in where for ref in _claims_of(s, modules)]
        near = difflib.get_close_matches(target, ids) or difflib.get_close_matches(target, [r.id for r in all_claims()])
        return UnknownName(target, dict.fromkeys(near))
    return UnknownName(target, difflib.get_close_matches(target, sorted(slugs | set(registry.slugs()))))


def _marked(tree: ast.Module) -> Iterator[tuple[_Definition, ast.expr, bool]]:
    """(function, decorator, whether it is nested) for every decorated claim, in the order of the lines."""
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, nested = stack.pop()
        inside = nested
        if isinstance(node, _Definition):
            inside = True
            mark = next((d for d in node.decorator_list if _name(d) in MARKS), None)
            if mark is not None:
                yield node, mark, nested
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler)]
        stack.extend((child, inside) for child in reversed(children))


def _name(decorator: ast.expr) -> str:
    head = decorator.func if isinstance(decorator, ast.Call) else decorator
    return head.id if isinstance(head, ast.Name) else head.attr if isinstance(head, ast.Attribute) else ""


def _literals(decorator: ast.expr, keyword: str) -> list[str]:
    """The strings that a keyword argument spells out; what only running the file could tell is left out."""
    for k in decorator.keywords if isinstance(decorator, ast.Call) else ():
        if k.arg == keyword:
            nodes = k.value.elts if isinstance(k.value, ast.Tuple | ast.List) else [k.value]
            return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return []


def _refuse_duplicates(refs: Iterable[ClaimRef]) -> None:
    first: dict[str, ClaimRef] = {}
    for ref in refs:
        other = first.setdefault(ref.id, ref)
        if other is not ref:
            place = f"{ref.file}:{ref.line}" if ref.file != other.file else f"line {ref.line}"
            raise DiscoveryError(f"two claims are called {ref.id!r}: {other.file}:{other.line} and {place}")
