"""Exact points of a domain, rational and small where that is possible, different for different symbols."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from ..findings import Budget
from . import formula as fm
from . import smt, solvers
from .gate import Refused, sort

Point = dict[sp.Symbol, sp.Expr]
# Sines and cosines of Pythagorean angles come early: with a² + b² = 1 the second value is then rational.
REALS = tuple(sp.Rational(p, q) for p, q in (
    (1, 2), (3, 5), (2, 1), (4, 5), (1, 3), (5, 13), (3, 2), (3, 1), (-1, 2), (1, 4), (-3, 5), (7, 25), (-2, 1), (2, 7),
    (5, 2), (-1, 3), (8, 17), (7, 1), (1, 1), (-1, 1), (0, 1), (1, 10), (10, 1), (-5, 13), (-7, 1), (1, 100), (100, 1),
))  # fmt: skip
INTEGERS = tuple(sp.Integer(n) for n in (2, 3, 5, 1, 4, 7, 6, -1, -2, 0, 10, -3, 12, 20, -7, 64))
COMPLEX = tuple(a + b * sp.I for a, b in zip(REALS[:10], REALS[3:13], strict=True))
NODES = 1500  # steps of the search among small candidates


def find_point(
    given: Iterable[sp.Basic],
    symbols: Sequence[sp.Symbol],
    *,
    budget: Budget = Budget(),
    avoid: Iterable[sp.Basic] = (),
    count: int = 1,
) -> list[Point]:
    """Up to `count` different exact points at which all `given` hold and all `avoid` are defined.

    Every point was verified by exact evaluation (quantified assumptions by z3). Fewer points, or none, say nothing
    about the domain: the search may have missed it.
    """
    search = _Search(fm.conjuncts(given), tuple(symbols), tuple(avoid), budget)
    found: list[Point] = []
    for point in search.points(count):
        if point not in found:
            found.append(point)
        if len(found) >= count:
            break
    return found


class Quadric:
    """A quadric with one rational point: a line through it in a rational direction meets another rational point."""

    def __init__(self, poly: sp.Poly, point: Point) -> None:
        self.poly, self.point = poly, point

    def another(self, rng: random.Random) -> Point:
        t = sp.Dummy("t", real=True)
        for _ in range(20):
            line = {s: self.point[s] + t * rng.choice((-3, -2, -1, 1, 2, 3)) for s in self.poly.gens}
            along = sp.Poly(self.poly.as_expr().subs(line), t, domain="QQ")
            if along.degree() == 2:
                step = -along.coeff_monomial(t) / along.coeff_monomial(t**2)
                return {s: v.subs(t, step) for s, v in line.items()}
        return dict(self.point)


class _Search:
    def __init__(
        self, given: tuple[sp.Basic, ...], symbols: tuple[sp.Symbol, ...], avoid: tuple[sp.Basic, ...], budget: Budget
    ) -> None:
        free = {s for g in (*given, *avoid) for s in g.free_symbols}
        if missing := sorted(map(str, free - set(symbols))):
            raise ValueError(f"symbols must contain all free symbols, {', '.join(missing)} missing")
        self.given, self.symbols, self.avoid, self.budget = given, symbols, avoid, budget
        self.plain = [(g, g.free_symbols) for g in given if not fm.quantified(g)]
        self.parts = [(e, e.free_symbols) for e in avoid]
        self.sorts = {s: sort(s) for s in symbols}

    def points(self, count: int) -> Iterator[Point]:
        if any(g is sp.false for g in self.given):
            return
        quadrics = self.quadrics()
        for seed in range(max(2, count) if not quadrics else 20 * count):
            self.left = NODES if not quadrics else NODES // 10
            rng = random.Random(seed)
            start = {s: v for q in quadrics for s, v in q.another(rng).items()}
            if all(self.possible(s, start) for s in start):
                for point in self.small(tuple(s for s in self.order(seed) if s not in start), start, rng, seed):
                    yield point
                    break
        yield from self.by_z3(count)

    def holds(self, point: Mapping[sp.Symbol, Any]) -> bool:
        """The final word on a complete point."""
        for g in self.given:
            truth = smt.closed_truth(g, point, self.budget) if fm.quantified(g) else fm.exact_truth(g, point)
            if truth is not True:
                return False
        return all(fm.is_defined(e, point) is not False for e in self.avoid)

    def quadrics(self) -> list[Quadric]:
        """The equations as quadrics in three or more reals of their own, each with a rational point; else none."""
        found: list[Quadric] = []
        seen: set[sp.Basic] = set()
        for g in self.given:
            if not isinstance(g, sp.Eq):
                continue
            own = sorted(g.free_symbols, key=str)
            if seen & set(own) or any(self.sorts[s] != "real" for s in own):
                return []
            seen |= set(own)
            if len(own) < 3:
                continue
            try:
                poly = sp.Poly(g.lhs - g.rhs, *own, domain="QQ")
            except (sp.PolynomialError, sp.CoercionFailed):
                return []
            if poly.total_degree() != 2 or any(poly.degree(s) < 2 for s in own):
                continue
            translation = smt.translate(sp.false, [g])
            answer = solvers.run_z3(translation.text, rlimit=self.budget.solver_rlimit // 8, seconds=1.0)
            for point in smt.exact_points(answer, translation) if answer.status == "sat" else ():
                if all(isinstance(v, sp.Rational) for v in point.values()) and fm.exact_truth(g, point) is True:
                    found.append(Quadric(poly, point))
                    break
        return found

    def order(self, seed: int) -> tuple[sp.Symbol, ...]:
        """Symbols in which some equation is linear come last: the equation then yields a rational value."""
        if seed % 2:
            return self.symbols
        equations = [g.lhs - g.rhs for g in self.given if isinstance(g, sp.Eq)]
        return tuple(sorted(self.symbols, key=lambda s: sum(1 for e in equations if e.has(s) and not e.has(s**2))))

    def small(self, symbols: tuple[sp.Symbol, ...], partial: Point, rng: random.Random, seed: int) -> Iterator[Point]:
        """Depth first through small candidates; what is decided by the symbols chosen so far is checked at once."""
        if not symbols:
            if self.holds(partial):
                yield dict(partial)
            return
        symbol, rest = symbols[0], symbols[1:]
        for value in self.candidates(symbol, partial, rng, seed):
            if self.left <= 0:
                return
            self.left -= 1
            point = {**partial, symbol: value}
            if self.possible(symbol, point):
                yield from self.small(rest, point, rng, seed)

    def possible(self, symbol: sp.Symbol, point: Point) -> bool:
        """Whether what has the newest symbol isn't false, and once it has no other left, is true and defined."""
        known = set(point)
        for g, own in self.plain:
            if symbol in own:
                truth = fm.exact_truth(g, point)
                if truth is False or (truth is None and own <= known):
                    return False
        newly = (e for e, own in self.parts if own <= known and (symbol in own or not own))
        return all(fm.is_defined(e, point) is not False for e in newly)

    def candidates(self, symbol: sp.Symbol, partial: Point, rng: random.Random, seed: int) -> list[sp.Expr]:
        pool: tuple[sp.Expr, ...] = {"real": REALS, "integer": INTEGERS, "complex": COMPLEX}[self.sorts[symbol]]
        for g in self.given:
            if isinstance(g, sp.Eq) and symbol in g.free_symbols and g.free_symbols <= {symbol, *partial}:
                roots = rational_roots(g, symbol, partial)
                if roots is not None:
                    self.left -= 9  # a factorisation costs more than a candidate
                    return [r for r in roots if self.sorts[symbol] != "integer" or isinstance(r, sp.Integer)]
        start = seed * 5 % len(pool)
        taken = set(partial.values())
        fresh = [v for v in pool[start:] + pool[:start] if v not in taken]
        if self.sorts[symbol] == "real":
            fresh += [sp.Rational(rng.randint(-50, 50), rng.randint(1, 30)) for _ in range(6)]
        used = [v for v in pool if v in taken]
        return list(dict.fromkeys(fresh)) + used

    def by_z3(self, count: int) -> Iterator[Point]:
        """z3's models: with some symbols held at small values first, so that the others become rational, then free."""
        if any(s == "complex" for s in self.sorts.values()):
            return
        conditions = [*self.given, *self.definitions()]
        fixed: list[tuple[sp.Symbol, ...]] = [
            (),
            *[(s,) for s in self.symbols],
            *zip(self.symbols, self.symbols[1:], strict=False),
        ]
        last: list[Point] = []
        for held in fixed[: 12 * count]:
            values = {s: (INTEGERS if self.sorts[s] == "integer" else REALS)[k] for k, s in enumerate(held)}
            try:
                translation = smt.translate(sp.false, [*conditions, *[sp.Eq(s, v) for s, v in values.items()]])
            except Refused:
                return
            answer = solvers.run_z3(
                translation.text, rlimit=max(1, self.budget.solver_rlimit // 8), seconds=self.budget.seconds / 4
            )
            if answer.status != "sat":
                if answer.status == "unsat" and not held:
                    return
                continue
            for point in smt.exact_points(answer, translation):
                complete = {s: point.get(s, sp.S.One) for s in self.symbols}
                if self.holds(complete):
                    if all(isinstance(v, sp.Rational) for v in complete.values()):
                        yield complete
                    else:
                        last.append(complete)
                    break
        yield from last

    def definitions(self) -> list[sp.Basic]:
        from .definedness import obligations

        found: list[sp.Basic] = []
        for e in (*self.avoid, *self.given):
            try:
                found += obligations(e)
            except Refused:
                continue
        return [c for c in found if not c.free_symbols or c.free_symbols <= set(self.symbols)]


def rational_roots(equation: sp.Eq, symbol: sp.Symbol, partial: Mapping[sp.Symbol, sp.Expr]) -> list[sp.Expr] | None:
    """The rational values of the one symbol left that solve a polynomial equation; None if it isn't polynomial."""
    try:
        numerator = sp.numer(sp.together((equation.lhs - equation.rhs).subs(dict(partial))))
        poly = sp.Poly(numerator, symbol)
    except sp.PolynomialError:
        return None
    if not poly.domain.is_QQ and not poly.domain.is_ZZ or poly.is_zero or poly.degree() > 12:
        return None
    return sorted(poly.ground_roots(), reverse=True)
