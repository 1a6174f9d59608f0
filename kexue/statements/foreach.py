"""Every case of a finite domain by two independent routes, and exact operation counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import sympy as sp

from kexue.engines import balls, gate, normal_form
from kexue.findings import Budget, Finding, Verdict, defective, refuted, undecided
from kexue.statements import base

MOST_CASES = 20_000_000


class ForEach(base.Statement):
    """For each case, `routes(case)` returns (got, expected) by two independent exact routes, and they are equal.

    Values are integers, Fractions, Booleans, exact SymPy numbers, or tuples, lists, sets, dicts and matrices of them;
    a float anywhere is refused. The engine compares; a Boolean is never equal to a number.

    Args:
        cases: a finite iterable.
        routes: the function of one case.
        over: the domain in words, such as "n = 1..64".
        observed: the routes use floating point, so that what is established is a fact about this arithmetic: the
            verdict is then "observed" instead of "exhausted".
    """

    kind = "ForEach"

    def __init__(
        self, cases: Iterable[Any], routes: Callable[[Any], tuple[Any, Any]], *, over: str = "", observed: bool = False
    ) -> None:
        if not callable(routes):
            raise gate.Refused(f"routes must be a function of one case, got {routes!r}")
        self.cases, self.routes, self.over, self.observed = cases, routes, over, observed

    def check(self, budget: Budget) -> Finding:
        count, first = 0, ""
        for case in self.cases:
            if count >= MOST_CASES:
                return undecided(f"more than {MOST_CASES} cases")
            answer = self.routes(case)
            if not isinstance(answer, tuple) or len(answer) != 2:
                return defective(
                    f"routes must return a pair (got, expected), got {answer!r:.200} at case {case!r:.100}"
                )
            equal = same(answer[0], answer[1])
            if equal is None:
                return undecided(f"can't compare {answer[0]} with {answer[1]} at case {case!r:.100}")
            if not equal:
                return refuted(f"at case {case!r:.200}: {answer[0]!s:.300} ≠ {answer[1]!s:.300}", engines=("exact",))
            if not count:
                first = f"case {case!r:.100}: both routes give {answer[0]!s:.100}"
            count += 1
        if not count:
            return defective("the domain is empty: no case was checked")
        scope = f"{count} cases" + (f": {self.over}" if self.over else "")
        if self.observed:
            return Finding(Verdict.OBSERVED, scope=scope, engines=("floating point",), live=first)
        return Finding(Verdict.EXHAUSTED, scope=scope, engines=("exact",), live=first)

    def text(self) -> str:
        return f"two exact routes agree in every case{f' ({self.over})' if self.over else ''}"

    def latex(self) -> str:
        return rf"\text{{{self.text()}}}"

    def domain(self) -> tuple[str, ...]:
        return (self.over,) if self.over else ()


def same(a: Any, b: Any) -> bool | None:
    """Exact equality of nested values; None when it can't be decided. Floats are refused."""
    for value in (a, b):
        if isinstance(value, (float, complex, sp.Float)) or type(value).__module__ == "numpy":
            raise gate.Refused(f"a case gave the inexact or foreign value {value!r} ({type(value).__name__})")
    truth = (bool, sp.logic.boolalg.BooleanAtom)
    if isinstance(a, truth) or isinstance(b, truth):
        return isinstance(a, truth) and isinstance(b, truth) and bool(a) is bool(b)
    if isinstance(a, str) or isinstance(b, str) or a is None or b is None:
        return type(a) is type(b) and a == b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return False
        return _all(same(a[k], b[k]) for k in a)
    if isinstance(a, (set, frozenset)) and isinstance(b, (set, frozenset)):
        for value in (*a, *b):
            same(value, value)
        return a == b
    if isinstance(a, sp.MatrixBase) and isinstance(b, sp.MatrixBase):
        return a.shape == b.shape and _all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and _all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, (int, Fraction)) and isinstance(b, (int, Fraction)):
        return a == b
    left, right = gate.exact(a, "got"), gate.exact(b, "expected")
    if isinstance(left, sp.Rational) and isinstance(right, sp.Rational):
        return bool(left == right)
    if not (isinstance(left, sp.Expr) and isinstance(right, sp.Expr)):
        return bool(left == right)
    if left.free_symbols or right.free_symbols:
        return True if normal_form.is_zero(left - right) else None
    if balls.nonzero(left - right):
        return False
    return True if normal_form.is_zero(left - right) else None


def _all(parts: Iterable[bool | None]) -> bool | None:
    unknown = False
    for part in parts:
        if part is False:
            return False
        unknown |= part is None
    return None if unknown else True


class Scalar:
    """An exact number that counts the operations done with it, in a tally shared by all scalars of one run."""

    __slots__ = ("tally", "value")

    def __init__(self, value: Any, tally: dict[str, int]) -> None:
        self.value, self.tally = Fraction(value), tally

    def _do(self, operation: str, other: Any, result: Callable[[Fraction, Fraction], Fraction]) -> Scalar:
        number = other.value if isinstance(other, Scalar) else Fraction(other)
        self.tally[operation] = self.tally.get(operation, 0) + 1
        return Scalar(result(self.value, number), self.tally)

    def __add__(self, other: Any) -> Scalar:
        return self._do("add", other, lambda a, b: a + b)

    def __sub__(self, other: Any) -> Scalar:
        return self._do("sub", other, lambda a, b: a - b)

    def __mul__(self, other: Any) -> Scalar:
        return self._do("mul", other, lambda a, b: a * b)

    def __truediv__(self, other: Any) -> Scalar:
        return self._do("div", other, lambda a, b: a / b)

    def __radd__(self, other: Any) -> Scalar:
        return self._do("add", other, lambda a, b: b + a)

    def __rsub__(self, other: Any) -> Scalar:
        return self._do("sub", other, lambda a, b: b - a)

    def __rmul__(self, other: Any) -> Scalar:
        return self._do("mul", other, lambda a, b: b * a)

    def __neg__(self) -> Scalar:
        return self._do("neg", 0, lambda a, _: -a)


class Counts(base.Statement):
    """The exact numbers of operations of an algorithm, counted by instrumented scalars, equal a formula for each size.

    Args:
        run: called as run(size, scalar), where scalar(value) makes a counting number; does the algorithm.
        sizes: the sizes to run, numbers or tuples of them.
        formula: for each of "add", "sub", "mul", "div", "neg" a function size -> count; operations that are not named
            must not occur. "flops" stands for the sum of all.
    """

    kind = "Counts"

    def __init__(
        self, run: Callable[[Any, Callable[[Any], Scalar]], Any], sizes: Sequence[Any], formula: Mapping[str, Any]
    ) -> None:
        unknown = set(formula) - {"add", "sub", "mul", "div", "neg", "flops"}
        if unknown or not formula:
            raise gate.Refused(f"formula must name add, sub, mul, div, neg or flops, got {sorted(formula)}")
        self.run, self.sizes, self.formula = run, tuple(sizes), dict(formula)

    def check(self, budget: Budget) -> Finding:
        if not self.sizes:
            return defective("no size was given")
        live = ""
        for size in self.sizes:
            tally: dict[str, int] = {}
            self.run(size, partial(Scalar, tally=tally))
            counted = {"flops": sum(tally.values())} if "flops" in self.formula else dict(tally)
            if not sum(tally.values()):
                return defective(f"no operation was counted at size {size}: the algorithm left the counting scalars")
            for operation in sorted({*counted, *self.formula}):
                expected = self.formula[operation](size) if operation in self.formula else 0
                equal = same(counted.get(operation, 0), expected)
                if not equal:
                    text = f"at size {size}: {counted.get(operation, 0)} {operation} counted, {expected} expected"
                    return refuted(text, engines=("counting",)) if equal is False else undecided(text)
            live = live or f"size {size}: {counted}"
        scope = f"sizes {', '.join(map(str, self.sizes))}"
        return Finding(Verdict.EXHAUSTED, scope=scope, engines=("counting",), live=live)

    def text(self) -> str:
        return f"the counts of {', '.join(self.formula)} equal their formulas for sizes {self.sizes}"

    def latex(self) -> str:
        return rf"\text{{{self.text()}}}"

    def domain(self) -> tuple[str, ...]:
        return (str(self.sizes),)
