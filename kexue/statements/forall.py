"""Statements of real arithmetic for all values of their symbols, and existence by an exact witness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from kexue.engines import definedness, gate, smt
from kexue.engines.formula import All, exact_truth
from kexue.engines.formula import Any as SomeValue
from kexue.findings import Budget, Finding, Verdict, defective, refuted, undecided
from kexue.statements import base
from kexue.statements.domains import exact_points
from kexue.statements.identity import flagged

__all__ = ["All", "Exists", "ForAll", "SomeValue"]

SEARCH = 200  # points tried for a counter-example when no solver finds one


class ForAll(base.Statement):
    """`formula` holds for all real (or integer) values of its free symbols that satisfy `given`.

    z3 refutes the negation and cvc5 repeats it on the same SMT-LIB text; with quantifiers `All(t, φ)`, `Any(t, φ)`
    inside, z3 alone may have to do. Transcendental parts are replaced by fresh values that obey a few known facts, so
    that a proof stays a proof and a counter-example needs exact evaluation.

    Args:
        formula: relations joined by And, Or, Not, Implies, Equivalent; polynomial, rational, roots, Abs, Min, Max.
        given: conditions on the symbols, signs included.
    """

    kind = "ForAll"

    def __init__(self, formula: Any, given: Any = ()) -> None:
        self.formula = gate.formula(formula)
        self.given = base.conditions(given)
        self.variables = gate.one_symbol_a_name([self.formula, *self.given])

    def check(self, budget: Budget) -> Finding:
        if self.formula is sp.true:
            return defective(
                "the formula was evaluated to True before it could be checked; build it with evaluate=False"
            )
        if not self.variables:
            return self.closed()
        plain = True
        try:
            answer = smt.decide(self.formula, self.given, budget=budget)
        except gate.Refused:  # it has transcendental parts
            plain = False
            answer = smt.decide(self.formula, self.given, budget=budget, abstract=True)
        if answer.status == "counterexample":
            shown = base.show_point(answer.model or {})
            return refuted(f"at {shown}: {self.formula} is false", engines=answer.engines)
        if answer.status != "valid":
            return self.search(budget, answer.reason or "the solvers don't decide it")
        ok, failed, engines = definedness.prove_defined([self.formula, *self.given], self.given, budget)
        if not ok:
            return undecided("it isn't proved that " + ", ".join(map(str, failed)) + " on the whole domain")
        notes = (*answer.notes, *flagged(self.formula))
        if not plain:
            notes += ("transcendental parts were replaced by values that obey known facts only",)
        return Finding(
            Verdict.PROVED,
            scope=base.quantified(self.variables, self.given),
            engines=tuple(dict.fromkeys((*answer.engines, *engines))),
            live=self.live_point(budget),
            notes=notes,
        )

    def closed(self) -> Finding:
        truth = exact_truth(self.formula, {})
        if truth is None:
            return undecided("the closed formula can't be evaluated exactly", engines=("arb",))
        if not truth:
            return refuted(f"{self.formula} is false", engines=("arb",))
        return Finding(Verdict.PROVED, scope="a closed statement", engines=("arb",), live="no free symbols")

    def live_point(self, budget: Budget) -> str:
        for point in exact_points(self.given, self.variables, budget, count=5):
            if self.formula.has(All, SomeValue):
                at_point = smt.decide(self.formula.xreplace(point), (), budget=budget, second=False)
                holds = at_point.status == "valid"
            else:
                holds = exact_truth(self.formula, point) is True
            if holds:
                return base.show_point(point)
        return ""

    def search(self, budget: Budget, reason: str) -> Finding:
        if self.formula.has(All, SomeValue):
            return undecided(reason)
        for point in exact_points(self.given, self.variables, budget, count=SEARCH):
            if exact_truth(self.formula, point) is False:
                return refuted(f"at {base.show_point(point)}: {self.formula} is false", engines=("arb",))
        return undecided(reason)

    def symbols(self) -> tuple[str, ...]:
        return base.names(self.variables)

    def domain(self) -> tuple[str, ...]:
        return base.domain_text(self.given)

    def text(self) -> str:
        return f"{self.formula}   for {base.quantified(self.variables, self.given)}"

    def latex(self) -> str:
        return f"{sp.latex(self.formula)}{base.latex_given(self.given)}"


class Exists(base.Statement):
    """The stated witness satisfies `formula`; checked exactly.

    Args:
        formula: as for ForAll, without quantifiers.
        witness: an exact value for each free symbol.
    """

    kind = "Exists"

    def __init__(self, formula: Any, witness: Mapping[sp.Symbol, Any]) -> None:
        self.formula = gate.formula(formula)
        self.witness = {s: gate.expression(v, f"witness {s}") for s, v in witness.items()}
        self.variables = gate.one_symbol_a_name([self.formula])
        missing = set(self.variables) - set(self.witness)
        if missing:
            raise gate.Refused(f"witness gives no value for {sorted(map(str, missing))}")
        for s, v in self.witness.items():
            if v.free_symbols:
                raise gate.Refused(f"the witness {s} = {v} contains free symbols")
            if gate.sort(s) == "integer" and not isinstance(v, sp.Integer):
                raise gate.Refused(f"the witness {s} = {v} must be an integer")

    def check(self, budget: Budget) -> Finding:
        truth = exact_truth(self.formula, self.witness)
        if truth is None:
            return undecided("the formula can't be evaluated exactly at the witness", engines=("arb",))
        if not truth:
            return refuted(f"at {base.show_point(self.witness)}: {self.formula} is false", engines=("exact", "arb"))
        return Finding(
            Verdict.PROVED,
            scope=f"existence, by the witness {base.show_point(self.witness)}",
            engines=("exact", "arb"),
            live=base.show_point(self.witness),
            notes=flagged(self.formula),
        )

    def symbols(self) -> tuple[str, ...]:
        return base.names(self.variables)

    def text(self) -> str:
        return f"there are values with {self.formula}: {base.show_point(self.witness)}"

    def latex(self) -> str:
        at = ",\\; ".join(f"{sp.latex(s)} = {sp.latex(v)}" for s, v in self.witness.items())
        return sp.latex(self.formula) + (rf" \quad \text{{at }}\; {at}" if at else "")
