"""Equality of expressions, or of matrices with symbolic entries, on a domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from kexue.engines import balls, definedness, gate, normal_form
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.statements import base
from kexue.statements.domains import Point, exact_points, functions_are_free, without_functions

POINTS = 6


class Identity(base.Statement):
    """lhs = rhs for all values of the free symbols that satisfy `given`.

    Established when the flint normal form of each entry of lhs - rhs is zero (modulo the equations in `given`) and
    all denominators, radicands and arguments are proved to be admissible. Refuted by an exact point of the domain at
    which ball arithmetic separates the two sides.

    Args:
        lhs, rhs: scalar expressions, or matrices of one shape.
        given: conditions (relations) on the symbols, signs included.
    """

    kind = "Identity"

    def __init__(self, lhs: Any, rhs: Any, given: Any = ()) -> None:
        self.lhs, self.rhs = gate.exact(lhs, "lhs"), gate.exact(rhs, "rhs")
        self.given = base.conditions(given)
        matrices = [isinstance(s, sp.MatrixBase) for s in (self.lhs, self.rhs)]
        if any(matrices):
            shapes = [getattr(s, "shape", "a scalar") for s in (self.lhs, self.rhs)]
            if shapes[0] != shapes[1]:
                raise gate.Refused(f"lhs and rhs must have one shape, got {shapes[0]} and {shapes[1]}")
        self.pairs: list[tuple[sp.Expr, sp.Expr]] = (
            list(zip(self.lhs, self.rhs, strict=True)) if all(matrices) else [(self.lhs, self.rhs)]
        )
        for a, b in self.pairs:
            gate.expression(a, "lhs")
            gate.expression(b, "rhs")
        self.variables = gate.one_symbol_a_name([self.lhs, self.rhs, *self.given])

    def check(self, budget: Budget) -> Finding:
        equations = [g.lhs - g.rhs for g in self.given if isinstance(g, sp.Eq)]

        def sign(e: sp.Expr) -> int | None:
            return definedness.sign_known(e, self.given, budget)

        try:
            open_pairs = [
                (a, b) for a, b in self.pairs if a is not b and not normal_form.is_zero(a - b, equations, sign)
            ]
        except ZeroDivisionError as error:
            return undecided(str(error), engines=("flint",))
        if open_pairs:
            return self.refute(open_pairs, budget)
        sides = list(dict.fromkeys(side for pair in self.pairs for side in pair))
        ok, failed, engines = definedness.prove_defined(sides, self.given, budget)
        if not ok:
            reason = "the two sides agree where both are defined, but it isn't proved that " + ", ".join(
                map(str, failed)
            )
            return undecided(reason + " on the whole domain", engines=("flint",))
        live = self.live_point(budget)
        return Finding(
            Verdict.PROVED,
            scope=base.quantified(self.variables, self.given),
            engines=tuple(dict.fromkeys(("flint", *engines))),
            live=live,
            notes=flagged(self.lhs, self.rhs),
        )

    def points(self, pairs: Sequence[tuple[sp.Expr, sp.Expr]], budget: Budget, count: int) -> Any:
        """Pairs with unknown functions replaced by free values, and exact points of the domain."""
        flat, values = without_functions([side for pair in pairs for side in pair] + [*self.given])
        sides, given = flat[: 2 * len(pairs)], flat[2 * len(pairs) :]
        variables = tuple(dict.fromkeys([*self.variables, *values.values()]))
        found = exact_points(given, variables, budget, avoid=sides, count=count)
        if not found:
            found = exact_points(given, variables, budget, count=count)
        return list(zip(sides[::2], sides[1::2], strict=True)), [p for p in found if functions_are_free(values, p)]

    def live_point(self, budget: Budget) -> str:
        """A point of the domain at which all entries of both sides are defined and agree; empty if none is found."""
        pairs, found = self.points(self.pairs, budget, 3)
        for point in found:
            try:
                for a, b in dict.fromkeys(pairs):
                    if not balls.overlap(balls.evaluate(a, point), balls.evaluate(b, point)):
                        return ""
                return base.show_point(point)
            except (balls.Undefined, balls.Unsupported):
                continue
        return ""

    def refute(self, pairs: Sequence[tuple[sp.Expr, sp.Expr]], budget: Budget) -> Finding:
        for count in (1, POINTS):  # nearly always the first point will do
            replaced, found = self.points(pairs, budget, count)
            for point in found:
                for (a, b), (left, right) in zip(replaced, pairs, strict=True):
                    gap = self.separated(a, b, point, budget)
                    if gap is not None:
                        where = "" if len(self.pairs) == 1 else f" (entry {left} against {right})"
                        return refuted(f"at {base.show_point(point)}{where}: {gap}", engines=("arb",))
        return undecided("the normal form isn't zero, but no point of the domain separates the two sides",
                         engines=("flint", "arb"))  # fmt: skip

    @staticmethod
    def separated(a: sp.Expr, b: sp.Expr, point: Point, budget: Budget) -> str | None:
        digits = 20
        while digits <= budget.digits:
            try:
                left, right = balls.evaluate(a, point, digits), balls.evaluate(b, point, digits)
            except (balls.Undefined, balls.Unsupported):
                return None
            if not balls.overlap(left, right):
                texts = shown(left), shown(right)
                return f"{texts[0]} ≠ {texts[1]}" + (
                    f", they differ by {shown(left - right)}" if texts[0] == texts[1] else ""
                )
            digits *= 3
        return None

    def symbols(self) -> tuple[str, ...]:
        return base.names(self.variables)

    def domain(self) -> tuple[str, ...]:
        return base.domain_text(self.given)

    def text(self) -> str:
        return f"{self.lhs} = {self.rhs}   for {base.quantified(self.variables, self.given)}"

    def latex(self) -> str:
        return f"{sp.latex(self.lhs)} = {sp.latex(self.rhs)}{base.latex_given(self.given)}"


def shown(ball: Any) -> str:
    return ball.str(15, radius=False).replace("j", "i")


def flagged(*values: sp.Basic) -> tuple[str, ...]:
    """A note on rationals that look like rounded floats: they are exact, but perhaps not what was meant."""
    odd = sorted({r for v in values for r in gate.rounded_floats(v)})
    return tuple(f"{r} looks like a rounded float" for r in odd)
