"""A chain of steps, each checked by its own kind; the conclusion is computed, never typed."""

from __future__ import annotations

from typing import Any

import sympy as sp

from kexue.engines import gate
from kexue.findings import Budget, Finding, Verdict, defective
from kexue.statements import base
from kexue.statements.forall import ForAll
from kexue.statements.identity import Identity

RELATIONS = {"=": sp.Eq, "≤": sp.Le, "<": sp.Lt, "≥": sp.Ge, ">": sp.Gt}


class Derivation(base.Statement):
    """`Derivation(a, given=…).eq(b, "why").le(c, "why")` states a ≤ c through the steps a = b and b ≤ c.

    Each method returns a new derivation. A chain that mixes ≤ with ≥ has no conclusion and is defective.
    """

    kind = "Derivation"

    def __init__(self, start: Any, given: Any = (), _steps: tuple[tuple[str, Any, str], ...] = ()) -> None:
        self.start = gate.exact(start, "start")
        self.given = base.conditions(given)
        self._steps = _steps

    def _then(self, relation: str, value: Any, why: str) -> Derivation:
        return Derivation(self.start, self.given, (*self._steps, (relation, gate.exact(value, "step"), why)))

    def eq(self, value: Any, why: str = "") -> Derivation:
        return self._then("=", value, why)

    def le(self, value: Any, why: str = "") -> Derivation:
        return self._then("≤", value, why)

    def lt(self, value: Any, why: str = "") -> Derivation:
        return self._then("<", value, why)

    def ge(self, value: Any, why: str = "") -> Derivation:
        return self._then("≥", value, why)

    def gt(self, value: Any, why: str = "") -> Derivation:
        return self._then(">", value, why)

    def conclusion(self) -> str | None:
        """The relation between the first and the last term; None when the steps point both ways."""
        used = {relation for relation, _, _ in self._steps}
        for weak, strict in (("≤", "<"), ("≥", ">")):
            if used <= {"=", weak, strict}:
                return strict if strict in used else weak if weak in used else "="
        return None

    def check(self, budget: Budget) -> Finding:
        if not self._steps:
            return defective("a derivation needs at least one step")
        if self.conclusion() is None:
            return defective("the steps mix ≤ with ≥: no conclusion follows")
        parts, lines = [], []
        before = self.start
        for relation, after, why in self._steps:
            step: base.Statement
            if relation == "=":
                step = Identity(before, after, self.given)
            else:
                step = ForAll(RELATIONS[relation](before, after, evaluate=False), self.given)
            found = step.check(budget).with_(kind=step.kind, checked=step.text(), latex=step.latex())
            parts.append(found)
            lines.append(f"{relation} {after}" + (f"   ({why})" if why else "") + f"   [{found.verdict}]")
            before = after
        engines = tuple(dict.fromkeys(e for p in parts for e in p.engines))
        for found, line in zip(parts, lines, strict=True):
            if not found.verdict.established:
                return found.with_(
                    reason=f"step {line}: {found.reason}" if found.reason else "",
                    counterexample=f"step {line}: {found.counterexample}" if found.counterexample else "",
                    steps=(str(self.start), *lines),
                )
        return Finding(
            Verdict.PROVED, scope=parts[-1].scope, engines=engines, live=parts[-1].live,
            steps=(str(self.start), *lines),
            notes=tuple(dict.fromkeys(n for p in parts for n in p.notes)),
        )  # fmt: skip

    def _everything(self) -> list[sp.Basic]:
        return [self.start, *(v for _, v, _ in self._steps), *self.given]

    def symbols(self) -> tuple[str, ...]:
        return base.names(gate.one_symbol_a_name(self._everything()))

    def domain(self) -> tuple[str, ...]:
        return base.domain_text(self.given)

    def text(self) -> str:
        chain = " ".join(f"{relation} {value}" for relation, value, _ in self._steps)
        return f"{self.start} {chain}   for {base.quantified(gate.one_symbol_a_name(self._everything()), self.given)}"

    def latex(self) -> str:
        symbol = {"=": "=", "≤": r"\le", "<": "<", "≥": r"\ge", ">": ">"}
        chain = " ".join(f"{symbol[r]} {sp.latex(v)}" for r, v, _ in self._steps)
        return f"{sp.latex(self.start)} {chain}{base.latex_given(self.given)}"
