"""The shape that all statement kinds share: what is checked, over which symbols and domain, and how it is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import sympy as sp

from kexue.engines import gate
from kexue.findings import Budget, Finding


class Statement(ABC):
    """An immutable statement with one method, `check(budget) -> Finding`."""

    kind: ClassVar[str]

    @abstractmethod
    def check(self, budget: Budget) -> Finding:
        """Decides the statement; every established finding carries a live point."""

    @abstractmethod
    def text(self) -> str:
        """What is checked, in plain text."""

    @abstractmethod
    def latex(self) -> str:
        """What is checked, as LaTeX without dollar signs."""

    def symbols(self) -> tuple[str, ...]:
        """Names of the free symbols; a mutant keeps them."""
        return ()

    def domain(self) -> tuple[str, ...]:
        """The assumptions as text; a mutant keeps them."""
        return ()


def conditions(given: Any) -> tuple[sp.Basic, ...]:
    """The assumptions of a statement, gated: a tuple of Boolean formulas."""
    if not isinstance(given, (tuple, list)):
        given = (given,)
    found = tuple(gate.formula(g, "given") for g in given)
    if sp.false in found:
        raise gate.Refused("given contains a condition that is false for all values: the domain is empty")
    return tuple(g for g in found if g is not sp.true)


def names(symbols: Iterable[sp.Symbol]) -> tuple[str, ...]:
    return tuple(s.name for s in symbols)


def domain_text(given: Sequence[sp.Basic]) -> tuple[str, ...]:
    return tuple(sorted(str(g) for g in given))


def quantified(symbols: Sequence[sp.Symbol], given: Sequence[sp.Basic]) -> str:
    """The scope in words: "all real g, γ with g > 0, γ > 0"."""
    if not symbols:
        return "a closed statement"
    by_sort: dict[str, list[str]] = {}
    for s in symbols:
        by_sort.setdefault(gate.sort(s), []).append(s.name)
    scope = "; ".join(f"all {sort} {', '.join(names)}" for sort, names in by_sort.items())
    return scope + (f" with {', '.join(map(str, given))}" if given else "")


def latex_given(given: Sequence[sp.Basic]) -> str:
    return r" \quad \text{for }\; " + r",\; ".join(sp.latex(g) for g in given) if given else ""


def show_point(point: Mapping[Any, Any]) -> str:
    return ", ".join(f"{k} = {v}" for k, v in sorted(point.items(), key=lambda kv: str(kv[0]))) or "no free symbols"
