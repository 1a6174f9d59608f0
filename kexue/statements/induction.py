"""Statements about recursively defined sequences, for all n: the engine derives base cases and step itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from kexue.engines import definedness, gate, normal_form
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.statements import base
from kexue.statements.domains import exact_points
from kexue.statements.forall import ForAll
from kexue.statements.identity import Identity

CASES_BEYOND_BASE = 5


class Induction(base.Statement):
    """All `statements` hold for every integer n ≥ start, proved jointly by induction on n.

    Args:
        n: the integer symbol.
        start: the first index.
        defs: one defining equation for each sequence, u(n + k): an expression in u(n), …, u(n + k - 1), other
            sequences, n and parameters.
        initial: u(start), …, u(start + k - 1) for each sequence, no fewer and no more.
        statements: relations in u(n), u(n + 1), …, n and the parameters.
        given: conditions on the parameters.

    The step assumes all statements at n, …, n + k - 1 and shows each at n + k, for every real n ≥ start; the values of
    the sequences there are free reals.
    """

    kind = "Induction"

    def __init__(
        self,
        n: sp.Symbol,
        start: int,
        defs: Mapping[Any, Any],
        initial: Mapping[Any, Any],
        statements: Any,
        given: Any = (),
    ) -> None:
        if gate.sort(n) != "integer" or not isinstance(start, int):
            raise gate.Refused(f"n must be an integer symbol and start an integer, got {n} and {start!r}")
        self.n, self.start = n, start
        self.given = base.conditions(given)
        self.statements = tuple(statements) if isinstance(statements, (tuple, list)) else (statements,)
        if not self.statements:
            raise gate.Refused("statements must not be empty")
        for s in self.statements:
            gate.formula(s, "statement")
            if not isinstance(s, Relational):
                raise gate.Refused(f"a statement must be a relation, got {s}")
        self.rules: dict[Any, tuple[int, sp.Expr]] = {}
        for left, right in defs.items():
            shift = self._shift(left)
            if left.func in self.rules:
                raise gate.Refused(f"{left.func} has two defining equations, one is expected")
            if shift < 1:
                raise gate.Refused(f"the defining equation of {left.func} must define {left.func}({n} + k) with k ≥ 1")
            self.rules[left.func] = (shift, gate.expression(right, f"definition of {left}"))
        self.first: dict[Any, dict[int, sp.Expr]] = {f: {} for f in self.rules}
        for left, value in initial.items():
            f = getattr(left, "func", None)
            if f not in self.first or len(left.args) != 1 or not isinstance(left.args[0], sp.Integer):
                raise gate.Refused(f"initial must give values such as u({start}) of the defined sequences, got {left}")
            self.first[f][int(left.args[0])] = gate.expression(value, f"initial {left}")
        for f, (shift, _) in self.rules.items():
            wanted = list(range(start, start + shift))
            if sorted(self.first[f]) != wanted:
                raise gate.Refused(f"initial must give {f} exactly at {wanted}, got {sorted(self.first[f])}")
        self.depth = max((shift for shift, _ in self.rules.values()), default=1)
        everything: list[sp.Basic] = [*self.statements, *(r for _, r in self.rules.values()), *self.given]
        everything += [v for values in self.first.values() for v in values.values()]
        self.parameters = tuple(s for s in gate.one_symbol_a_name(everything) if s != n)
        for e in everything:
            for atom in e.atoms(AppliedUndef):
                if atom.func not in self.rules:
                    raise gate.Refused(f"{atom} has no defining equation")
                self._shift(atom)

    def _shift(self, atom: Any) -> int:
        if not isinstance(atom, AppliedUndef) or len(atom.args) != 1:
            raise gate.Refused(f"a sequence value u({self.n} + k) was expected, got {atom}")
        shift = sp.expand(atom.args[0] - self.n)
        if not isinstance(shift, sp.Integer) or shift < 0:
            raise gate.Refused(f"a sequence may be used at {self.n} + k with k ≥ 0 only, got {atom}")
        return int(shift)

    def check(self, budget: Budget) -> Finding:
        last = self.start + self.depth + CASES_BEYOND_BASE
        live = ""
        engines: list[str] = []
        for index in range(self.start, last):
            for s in self.statements:
                at = self._at(s, index)
                found = self._decide(at, self.given, budget)
                if found.verdict is Verdict.REFUTED:
                    return refuted(
                        f"at {self.n} = {index}: {s} becomes {at}; {found.counterexample}", engines=found.engines
                    )
                if not found.verdict.established and index < self.start + self.depth:
                    return undecided(f"base case {self.n} = {index} of {s}: {found.reason}")
                engines += found.engines
                live = live or f"{self.n} = {index}: {at}"
        step = self._step(budget)
        if step is not None:
            return step
        return Finding(
            Verdict.PROVED,
            scope=f"all integers {self.n} ≥ {self.start}"
            + (f"; {base.quantified(self.parameters, self.given)}" if self.parameters else ""),
            engines=("induction", *dict.fromkeys(engines)),
            live=live,
            steps=(
                f"base: {self.n} = {self.start} … {self.start + self.depth - 1}",
                f"step: from {self.n} … {self.n} + {self.depth - 1} to {self.n} + {self.depth}",
                f"also evaluated up to {self.n} = {last - 1}",
            ),
        )

    def _value(self, f: Any, index: int, known: dict[tuple[Any, int], sp.Expr]) -> sp.Expr:
        if (f, index) not in known:
            if index in self.first[f]:
                known[f, index] = self.first[f][index]
            else:
                shift, rule = self.rules[f]
                base_index = index - shift
                known[f, index] = sp.zoo  # a sequence that needs itself has no value
                values = {a: self._value(a.func, base_index + self._shift(a), known) for a in rule.atoms(AppliedUndef)}
                value = rule.xreplace(values).xreplace({self.n: sp.Integer(base_index)})
                if value.has(sp.zoo, sp.nan, sp.oo):
                    raise gate.Refused(f"{f}({index}) isn't defined: its equation divides by zero or needs itself")
                known[f, index] = sp.expand(value) if value.is_polynomial() else value
        return known[f, index]

    def _at(self, s: Relational, index: int) -> Relational:
        known: dict[tuple[Any, int], sp.Expr] = {}
        values = {a: self._value(a.func, index + self._shift(a), known) for a in s.atoms(AppliedUndef)}

        def side(e: sp.Expr) -> sp.Expr:
            return e.xreplace(values).subs(self.n, index)

        return s.func(side(s.lhs), side(s.rhs), evaluate=False)

    def _decide(self, s: Relational, given: Sequence[sp.Basic], budget: Budget) -> Finding:
        if isinstance(s, sp.Eq):
            return Identity(s.lhs, s.rhs, given).check(budget)
        return ForAll(s, given).check(budget)

    def _step(self, budget: Budget) -> Finding | None:
        """None if the step is proved, else the finding that says what fails."""
        m = sp.Symbol(self.n.name, real=True)
        free: dict[sp.Expr, sp.Symbol] = {}

        def unroll(e: sp.Basic) -> sp.Basic:
            for _ in range(200):
                todo = [a for a in e.atoms(AppliedUndef) if self._shift(a) >= self.rules[a.func][0]]
                if not todo:
                    break
                a = max(todo, key=self._shift)
                shift, rule = self.rules[a.func]
                e = e.xreplace({a: self._shifted(rule, self._shift(a) - shift)})
            else:
                raise gate.Refused("the defining equations need each other at one index: order can't be found")
            for a in e.atoms(AppliedUndef):
                free.setdefault(a, sp.Symbol(f"{a.func}_{self._shift(a)}", real=True))
            return e.xreplace(free)

        hypotheses = [
            self._relation(s, lambda e, j=j: unroll(self._shifted(e, j)))
            for s in self.statements
            for j in range(self.depth)
        ]
        goals = [self._relation(s, lambda e: unroll(self._shifted(e, self.depth))) for s in self.statements]
        known: dict[sp.Symbol, sp.Expr] = {}
        rest: list[Relational] = []
        for h in hypotheses:  # u(n) = closed form is substituted; other hypotheses are assumed as they are
            h = self._relation(h, lambda e: e.xreplace(known))
            if isinstance(h, sp.Eq) and h.lhs in free.values() and not h.rhs.has(*free.values()):
                known[h.lhs] = h.rhs
            elif h.lhs != h.rhs:
                rest.append(h)
        domain = [*self.given, sp.Ge(self.n, self.start)]
        for goal in goals:
            goal = self._relation(goal, lambda e: e.xreplace(known))
            given = [*domain, *rest]
            if isinstance(goal, sp.Eq):
                equations = [h.lhs - h.rhs for h in rest if isinstance(h, sp.Eq)]
                if not normal_form.is_zero(goal.lhs - goal.rhs, equations):
                    return undecided(f"the step isn't proved: {goal} doesn't follow from the hypotheses")
                continue
            real = [g.xreplace({self.n: m}) for g in (goal, *given)]
            found = ForAll(real[0], [g for g in real[1:] if g is not sp.true]).check(budget)
            if not found.verdict.established:
                return undecided(f"the step isn't proved: {goal}; {found.reason or found.counterexample}")
        rules = [self._shifted(rule, 0) for _, rule in self.rules.values()]
        sides = [unroll(r) for r in rules] + [side for s in (*hypotheses, *goals) for side in (s.lhs, s.rhs)]
        sides = [side.xreplace(known) for side in sides]
        ok, failed, _ = definedness.prove_defined(sides, [*domain, *rest], budget)
        if not ok:
            return undecided(
                "it isn't proved that " + ", ".join(map(str, failed)) + f" for all {self.n} ≥ {self.start}"
            )
        if not exact_points(domain, (self.n, *self.parameters), budget, count=1):
            return undecided("no point of the domain was found")
        return None

    def _shifted(self, e: sp.Basic, by: int) -> sp.Basic:
        return e.subs(self.n, self.n + by) if by else e

    @staticmethod
    def _relation(s: Relational, change: Any) -> Relational:
        return s.func(change(s.lhs), change(s.rhs), evaluate=False)

    def symbols(self) -> tuple[str, ...]:
        return (self.n.name, *base.names(self.parameters), *sorted(str(f) for f in self.rules))

    def domain(self) -> tuple[str, ...]:
        rules = [f"{f}({self.n} + {k}) = {r}" for f, (k, r) in self.rules.items()]
        values = [f"{f}({i}) = {v}" for f, at in self.first.items() for i, v in at.items()]
        return (f"{self.n} ≥ {self.start}", *sorted(rules), *sorted(values), *base.domain_text(self.given))

    def text(self) -> str:
        said = "; ".join(f"{s.lhs} {s.rel_op if s.rel_op != '==' else '='} {s.rhs}" for s in self.statements)
        return f"{said}   for all integers {self.n} ≥ {self.start}, where {', '.join(self.domain()[1:])}"

    def latex(self) -> str:
        rules = [rf"{sp.latex(f(self.n + k))} = {sp.latex(r)}" for f, (k, r) in self.rules.items()]
        values = [rf"{sp.latex(f(i))} = {sp.latex(v)}" for f, at in self.first.items() for i, v in at.items()]
        where = r",\; ".join([*rules, *values, *map(sp.latex, self.given)])
        said = r",\; ".join(sp.latex(s) for s in self.statements)
        return rf"{said} \quad \text{{for }}\; {sp.latex(self.n)} \ge {self.start}" + (
            rf",\; \text{{where }}\; {where}" if where else ""
        )
