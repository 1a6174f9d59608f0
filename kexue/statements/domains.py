"""Exact points of a domain, for live points and counter-examples, complex symbols and unknown functions included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from kexue.engines import balls, gate, points
from kexue.findings import Budget

Point = dict[sp.Symbol, sp.Expr]

COMPLEX_VALUES = tuple(
    sp.Rational(a, b) + sp.I * sp.Rational(c, d)
    for a, b, c, d in ((1, 2, 2, 3), (-3, 4, 1, 3), (5, 3, -1, 2), (-2, 5, -4, 3), (3, 2, 1, 5), (1, 7, -3, 5))
)


def exact_points(
    given: Sequence[sp.Basic],
    symbols: Sequence[sp.Symbol],
    budget: Budget,
    avoid: Sequence[sp.Expr] = (),
    count: int = 1,
) -> list[Point]:
    """Points that satisfy `given`, verified exactly; complex symbols get Gaussian rationals."""
    complex_ones = [s for s in symbols if gate.sort(s) == "complex"]
    if not complex_ones:
        return points.find_point(given, symbols, budget=budget, avoid=avoid, count=count)
    others = [s for s in symbols if s not in complex_ones]
    plain = [g for g in given if not g.free_symbols & set(complex_ones)]
    mixed = [g for g in given if g.free_symbols & set(complex_ones)]
    bases = points.find_point(plain, others, budget=budget, count=count) if others else [{}]
    found = []
    for shift in range(count + 20):
        base = dict(bases[shift % len(bases)]) if bases else None
        if base is None:
            return []
        for k, z in enumerate(complex_ones):
            base[z] = COMPLEX_VALUES[(k + shift) % len(COMPLEX_VALUES)] * (1 + shift // len(COMPLEX_VALUES))
        if all(_holds(g, base) for g in mixed):
            found.append(base)
        if len(found) == count:
            break
    return found


def _holds(condition: sp.Basic, point: Point) -> bool:
    try:
        complex_ = balls.is_complex(condition) or any(balls.is_complex(v) for v in point.values())
        return balls.truth(condition, balls.Evaluator(point, complex_)) is True
    except (balls.Undefined, balls.Unsupported):
        return False


def without_functions(exprs: Sequence[sp.Expr]) -> tuple[list[sp.Expr], dict[sp.Expr, sp.Symbol]]:
    """Each value f(x) of an unknown function becomes a fresh real symbol: such a function may take any values."""
    atoms: set[sp.Expr] = set()
    for e in exprs:
        atoms |= e.atoms(AppliedUndef) | {d for d in e.atoms(sp.Derivative) if isinstance(d.expr, AppliedUndef)}
    ordered = sorted(atoms, key=lambda a: (-a.count_ops(), str(a)))
    values = {a: sp.Symbol(f"value{i}", real=True) for i, a in enumerate(ordered)}
    return [e.xreplace(values) for e in exprs], values


def functions_are_free(values: dict[sp.Expr, sp.Symbol], point: Point) -> bool:
    """Whether at the point the arguments of each unknown function are pairwise different, so that its values are
    free.
    """
    seen: set[Any] = set()
    for atom in values:
        head = atom.expr if isinstance(atom, sp.Derivative) else atom
        orders = atom.variable_count if head is not atom else ()
        kind = head.func, tuple((head.args.index(v) if v in head.args else str(v), n) for v, n in orders)
        place = kind, tuple(sp.sympify(a).xreplace(point) for a in head.args)
        if place in seen:
            return False
        seen.add(place)
    return True
