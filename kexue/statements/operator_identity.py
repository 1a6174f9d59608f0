"""Identities of operators αI + V M Vᵀ, or of vectors in their span, in every dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

from kexue.engines import definedness, gate, normal_form
from kexue.engines.gram import Operator, Vector
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.statements import base
from kexue.statements.domains import exact_points


class OperatorIdentity(base.Statement):
    """lhs = rhs as operators (or vectors) on R^d for every d, all vectors with the Gram matrix being admitted.

    Established when α and M (or the coefficients) agree, entry by entry, by normal forms. Refuted by rational vectors
    that have the Gram matrix and on which the two sides differ; the same vectors show that the Gram matrix is
    realisable.

    Args:
        lhs, rhs: two operators or two vectors of one `Gram` algebra.
        given: conditions on the scalars; an admissible Gram matrix is positive semidefinite.
        instances: values of the scalars at which to look for rational vectors, before points are searched.
    """

    kind = "OperatorIdentity"

    def __init__(self, lhs: Any, rhs: Any, given: Any = (), instances: Sequence[Mapping[sp.Symbol, Any]] = ()) -> None:
        for name, side in (("lhs", lhs), ("rhs", rhs)):
            if not isinstance(side, (Operator, Vector)):
                raise gate.Refused(f"{name} must be an operator or a vector of a Gram algebra, got {side!r}")
        if type(lhs) is not type(rhs) or lhs.gram is not rhs.gram:
            raise gate.Refused("lhs and rhs must be of one kind and of one Gram algebra")
        self.lhs, self.rhs, self.gram = lhs, rhs, lhs.gram
        self.given = base.conditions(given)
        self.instances = [{s: gate.expression(v, str(s)) for s, v in i.items()} for i in instances]
        for e in (*lhs.entries(), *rhs.entries()):
            gate.expression(e, "an entry")
        self.variables = gate.one_symbol_a_name([*lhs.entries(), *rhs.entries(), self.gram.matrix, *self.given])

    def check(self, budget: Budget) -> Finding:
        equations = [g.lhs - g.rhs for g in self.given if isinstance(g, sp.Eq)]

        def sign(e: sp.Expr) -> int | None:
            return definedness.sign_known(e, self.given, budget)

        pairs = list(zip(self.lhs.entries(), self.rhs.entries(), strict=True))
        equal = all(normal_form.is_zero(a - b, equations, sign) for a, b in pairs)
        live = ""
        for point in self._points(budget, 1 if equal else 8):
            vectors = self.gram.realise(point)
            if vectors is None:
                continue
            sides = [self._explicit(side, vectors, point) for side in (self.lhs, self.rhs)]
            if None in sides:
                continue
            if sides[0] != sides[1]:
                return refuted(
                    f"in dimension {len(vectors[0])} at {base.show_point(point)} with "
                    + ", ".join(f"{n} = {_row(v)}" for n, v in zip(self.gram.names, vectors, strict=True)),
                    engines=("exact",),
                )
            live = live or f"{base.show_point(point)}, rational vectors in dimension {len(vectors[0])}"
            if equal:
                break
        if not equal:
            return undecided("(α, M) differ, but no rational vectors with this Gram matrix separate the two sides")
        ok, failed, engines = definedness.prove_defined([e for pair in pairs for e in pair], self.given, budget)
        if not ok:
            return undecided("it isn't proved that " + ", ".join(map(str, failed)) + " on the whole domain")
        if not live:
            return undecided("no rational vectors with this Gram matrix were found: it may not be realisable")
        return Finding(
            Verdict.PROVED,
            scope=f"every dimension d ≥ 1; {base.quantified(self.variables, self.given)}",
            engines=tuple(dict.fromkeys(("gram algebra", "flint", *engines))),
            live=live,
        )

    def _points(self, budget: Budget, count: int) -> list[dict[sp.Symbol, sp.Expr]]:
        semidefinite = [
            sp.Ge(self.gram.matrix.extract(list(s), list(s)).det(method="berkowitz"), 0)
            for size in (1, 2)
            for s in _subsets(len(self.gram.names), size)
        ]
        conditions = [*self.given, *(c for c in semidefinite if c not in (sp.true, sp.false))]
        if sp.false in semidefinite:
            return list(self.instances)
        avoid = [*self.lhs.entries(), *self.rhs.entries()]
        found = exact_points(conditions, self.variables, budget, avoid=avoid, count=count)
        return [*self.instances, *found]

    def _explicit(self, side: Any, vectors: list[list[Fraction]], point: Mapping[sp.Symbol, sp.Expr]) -> Any:
        """The side as an explicit list of rationals; None where an entry is not rational or not defined."""
        values = [e.xreplace(dict(point)) for e in side.entries()]
        values = [v if isinstance(v, sp.Rational) else sp.nsimplify(v) if v.is_rational else v for v in values]
        if not all(isinstance(v, sp.Rational) for v in values):
            values = [sp.radsimp(v) for v in values]
        if not all(isinstance(v, sp.Rational) for v in values):
            return None
        numbers = [Fraction(int(v.p), int(v.q)) for v in values]
        d, k = len(vectors[0]), len(vectors)
        if isinstance(side, Vector):
            return [sum((numbers[j] * vectors[j][i] for j in range(k)), Fraction(0)) for i in range(d)]
        alpha, m = numbers[0], [numbers[1 + i * k : 1 + (i + 1) * k] for i in range(k)]
        return [
            [
                (alpha if r == s else 0)
                + sum((m[i][j] * vectors[i][r] * vectors[j][s] for i in range(k) for j in range(k)), Fraction(0))
                for s in range(d)
            ]
            for r in range(d)
        ]

    def symbols(self) -> tuple[str, ...]:
        return base.names(self.variables)

    def domain(self) -> tuple[str, ...]:
        return base.domain_text(self.given)

    def text(self) -> str:
        return (
            f"{self.lhs} = {self.rhs}   in every dimension, for vectors {', '.join(self.gram.names)} with Gram matrix "
            f"{self.gram.matrix.tolist()} and {base.quantified(self.variables, self.given)}"
        )

    def latex(self) -> str:
        return f"{_latex(self.lhs)} = {_latex(self.rhs)}{base.latex_given(self.given)}"


def _subsets(k: int, size: int) -> list[tuple[int, ...]]:
    from itertools import combinations

    return list(combinations(range(k), size))


def _row(vector: list[Fraction]) -> str:
    return "(" + ", ".join(map(str, vector)) + ")"


def _latex(side: Any) -> str:
    names = side.gram.names
    if isinstance(side, Vector):
        terms = [(c, n) for c, n in zip(side.coefficients, names, strict=True) if c != 0]
    else:
        k = len(names)
        terms = [(side.alpha, "I")] if side.alpha != 0 else []
        terms += [
            (side.matrix[i, j], f"{names[i]} {names[j]}^\\top")
            for i in range(k)
            for j in range(k)
            if side.matrix[i, j] != 0
        ]
    return " + ".join(rf"\left({sp.latex(c)}\right) {n}" for c, n in terms) or "0"
