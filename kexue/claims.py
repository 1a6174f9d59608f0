"""What a claim is: a function whose defaults are the truth, and whose mutants look alike but are false."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

CHANGEABLE = frozenset({"kind", "symbols", "domain"})


class ClaimError(ValueError):
    """A claim that is not well formed: it can't be checked, and its report says why."""


@dataclass(frozen=True)
class Mutant:
    """Values that turn the claim into a false one, and what of (kind, symbols, domain) it changes on purpose."""

    values: Mapping[str, Any]
    changes: frozenset[str] = frozenset()
    label: str = ""


def mutant(changes: str | Iterable[str] = (), label: str = "", **values: Any) -> Mutant:
    """A mutant that says which of "kind", "symbols", "domain" it changes; a plain dict is one that changes none.

    Args:
        changes: one name or several of "kind", "symbols", "domain".
        label: how a reader sees the difference; by default "parameter: old → new".
        **values: parameter values; a function without parameters is called in the worker, to build heavy objects late.

    Raises:
        ClaimError: if `changes` names anything else, or no value is given.
    """
    names = frozenset({changes} if isinstance(changes, str) else changes)
    if not names <= CHANGEABLE:
        raise ClaimError(f"changes must be among {sorted(CHANGEABLE)}, got {sorted(names - CHANGEABLE)}")
    if not values:
        raise ClaimError("a mutant changes at least one parameter, got none")
    return Mutant(values, names, label)


class Witnesses:
    """Independent witnesses of one statement. Each that runs must establish it and refute some mutant."""

    def __init__(self, *statements: Any) -> None:
        if len(statements) < 2:
            raise ClaimError(f"Witnesses expects at least two statements, got {len(statements)}")
        self.statements = statements


@dataclass(frozen=True)
class Claim:
    """The record that @claim and @erratum attach to a function, under the attribute `__kexue__`."""

    function: Callable[..., Any]
    mutants: tuple[tuple[int | str, Mutant], ...]
    erratum: bool = False
    open: str | None = None
    relies_on: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")

    def defaults(self) -> dict[str, Any]:
        found = {}
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.default is inspect.Parameter.empty:
                raise ClaimError(
                    f"parameter {name!r} of {self.function.__name__} has no default: defaults are the truth"
                )
            found[name] = parameter.default
        return found

    def build(self, key: int | str | None = None) -> Any:
        """Calls the function with its defaults (key None) or with a mutant's values; returns the statement."""
        values = self.defaults()
        if key is not None:
            changed = dict(self.mutants)[key].values
            unknown = sorted(set(changed) - set(values))
            if unknown:
                raise ClaimError(f"mutant {key} sets {unknown}, but {self.function.__name__} has {sorted(values)}")
            values |= changed
        return self.function(**{name: _late(value) for name, value in values.items()})

    def describe(self, claim_id: str) -> dict[str, Any]:
        """The JSON that travels with the first answer of a worker (see `kexue.worker`)."""
        doc = self.doc
        defaults = self.defaults()
        return {
            "id": claim_id,
            "title": doc.split("\n\n")[0].replace("\n", " "),
            "doc": doc,
            "erratum": self.erratum,
            "open": self.open,
            "relies_on": list(self.relies_on),
            "needs": list(self.needs),
            "mutants": [
                {"key": key, "label": m.label or _difference(defaults, m.values), "changes": sorted(m.changes)}
                for key, m in self.mutants
            ],
        }


def _late(value: Any) -> Any:
    """A function without parameters is a heavy object to be built now."""
    if inspect.isfunction(value) and not inspect.signature(value).parameters:
        return value()
    return value


def _difference(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    def show(value: Any) -> str:
        if inspect.isroutine(value) or inspect.isfunction(inspect.unwrap(value)):
            text = _source(value) if value.__name__ == "<lambda>" else value.__name__
        else:
            text = str(value)
        return text if len(text) <= 80 else text[:77] + "…"

    return ", ".join(f"{name}: {show(defaults.get(name))} → {show(value)}" for name, value in values.items())


def _source(function: FunctionType) -> str:
    """A lambda as it is written, on one line; "another function" where its source can't be read."""
    code = function.__code__
    starts, ends = set(), set()
    for first, last, start, end in code.co_positions():
        if first is not None and last is not None and start is not None and end is not None and (start or end):
            starts.add((first, start))
            ends.add((last, end))
    lines = linecache.getlines(code.co_filename)
    if not starts or len(lines) < max(ends)[0]:
        return "another function"
    (first, start), (last, end) = min(starts), max(ends)
    encoded = [line.encode() for line in lines[first - 1 : last]]  # columns are counted in bytes
    encoded[-1] = encoded[-1][:end]
    encoded[0] = encoded[0][start:]
    body = " ".join(line.decode().strip() for line in encoded)
    signature = inspect.signature(function)
    bare = [p.replace(default=p.empty) for p in signature.parameters.values()]
    return f"lambda {str(signature.replace(parameters=bare))[1:-1]}: {body}" if bare else body


def _as_mutant(value: Any) -> Mutant:
    if isinstance(value, Mutant):
        return value
    if isinstance(value, Mapping) and value:
        return Mutant(value)
    raise ClaimError(f"a mutant is a dict of changed parameters or mutant(...), got {value!r}")


def _strings(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str) or not all(isinstance(v, str) for v in value):
        raise ClaimError(f"{name} must be a tuple of strings, got {value!r}")
    return tuple(value)


def claim(
    *,
    mutants: Sequence[Any] = (),
    open: str | None = None,
    relies_on: Sequence[str] = (),
    needs: Sequence[str] = (),
) -> Callable[[F], F]:
    """Marks a function as a claim: called with its defaults it returns a statement that is true.

    Args:
        mutants: dicts of changed parameters, or `mutant(...)`; each must make the statement false.
        open: the reason why the claim can't be established (yet); such a claim fails once it is decided.
        relies_on: theorems that the proof quotes, each with a source.
        needs: packages that the witness needs beyond the core, such as "torch".
    """
    if callable(mutants):
        raise ClaimError("write @claim(mutants=[...]): a claim without a mutant can't be shown to be able to fail")

    def mark(function: F) -> F:
        numbered = tuple((i, _as_mutant(m)) for i, m in enumerate(mutants, 1))
        record = Claim(
            function, numbered, open=open, relies_on=_strings("relies_on", relies_on), needs=_strings("needs", needs)
        )
        function.__kexue__ = record  # type: ignore[attr-defined]
        return function

    return mark


def erratum(
    *, printed: Mapping[str, Any] | Mutant, mutants: Sequence[Any] = (), relies_on: Sequence[str] = ()
) -> Callable[[F], F]:
    """Marks a correction: the defaults state what is true, `printed` what an article or a paper says, which is
    refuted.
    """

    def mark(function: F) -> F:
        numbered: tuple[tuple[int | str, Mutant], ...]
        numbered = (("printed", _as_mutant(printed)), *((i, _as_mutant(m)) for i, m in enumerate(mutants, 1)))
        record = Claim(function, numbered, erratum=True, relies_on=_strings("relies_on", relies_on))
        function.__kexue__ = record  # type: ignore[attr-defined]
        return function

    return mark
