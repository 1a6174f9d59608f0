"""What a check returns: a verdict, its scope in words, and the evidence that lets a reader judge it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The outcome of one check. The first five establish a statement; they are ordered from strongest to weakest."""

    PROVED = "proved"  # for all objects of the stated scope
    EXHAUSTED = "exhausted"  # every case of a finite domain
    ENCLOSED = "enclosed"  # rigorous interval bounds on a box
    CONFIRMED = "confirmed"  # statistics; the deviation excluded is named
    OBSERVED = "observed"  # a deterministic floating-point fact
    REFUTED = "refuted"  # a counter-example was found and verified exactly
    UNDECIDED = "undecided"  # unknown, timed out, crashed, or outside what the engines decide
    DEFECTIVE = "defective"  # the check itself is no good: refused input, empty domain, wrong type
    NOT_RUN = "not run"  # something the witness needs (torch, a GPU) is absent

    @property
    def established(self) -> bool:
        return self in ESTABLISHED


ESTABLISHED = (Verdict.PROVED, Verdict.EXHAUSTED, Verdict.ENCLOSED, Verdict.CONFIRMED, Verdict.OBSERVED)


@dataclass(frozen=True)
class Finding:
    """The result of checking one statement.

    Every established finding carries a live point: an exact point of the statement's domain at which both sides were
    evaluated, are defined, and agree. Without one the domain could be empty and the check vacuous.
    """

    verdict: Verdict
    scope: str = ""
    engines: tuple[str, ...] = ()
    live: str = ""
    counterexample: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    checked: str = ""  # plain text, rendered from the statement object
    latex: str = ""  # the same, as LaTeX
    kind: str = ""
    symbols: tuple[str, ...] = ()  # names of the statement's free symbols; a mutant keeps them
    domain: tuple[str, ...] = ()  # the assumptions as text; a mutant keeps them
    parts: tuple[Finding, ...] = ()
    witnesses: bool = False  # parts are independent witnesses of one statement, not a conjunction
    seconds: float = 0.0

    def leaves(self) -> Iterator[Finding]:
        """The findings without parts that this one is made of."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def example(self) -> str:
        """The counter-example, its own or the first of its parts."""
        return self.counterexample or next((leaf.counterexample for leaf in self.leaves() if leaf.counterexample), "")

    def to_json(self) -> dict[str, Any]:
        out = asdict(self)
        out["verdict"] = str(self.verdict)
        out["parts"] = [p.to_json() for p in self.parts]
        return {k: v for k, v in out.items() if v not in ("", (), [], False)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Finding:
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        known["verdict"] = Verdict(data["verdict"])
        known["parts"] = tuple(cls.from_json(p) for p in data.get("parts", ()))
        return cls(**known)

    def with_(self, **changes: Any) -> Finding:
        return replace(self, **changes)


def undecided(reason: str, **more: Any) -> Finding:
    return Finding(Verdict.UNDECIDED, reason=reason, **more)


def defective(reason: str, **more: Any) -> Finding:
    return Finding(Verdict.DEFECTIVE, reason=reason, **more)


def refuted(counterexample: str, **more: Any) -> Finding:
    return Finding(Verdict.REFUTED, counterexample=counterexample, **more)


@dataclass(frozen=True)
class Budget:
    """Deterministic resource limits first, wall clock as safety (seconds are enforced from outside by a kill)."""

    seconds: float = 20.0
    memory_mb: int = 4096
    solver_rlimit: int = 40_000_000  # z3's resource units; about 10 s on a slow core
    second_solver_seconds: float = 1.0
    arb_boxes: int = 200_000
    digits: int = field(default=60)  # decimal digits at which a difference from zero is looked for
