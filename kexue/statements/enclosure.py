"""Rigorous bounds on a box by ball arithmetic with bisection, attained bounds included; and integrals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flint
import sympy as sp
from flint import acb, arb, fmpq

from kexue.engines import balls, definedness, gate, normal_form
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.statements import base
from kexue.statements.domains import exact_points
from kexue.statements.identity import Identity, shown

Interval = tuple[fmpq, fmpq]  # of the parameter t in [0, 1]; x = a + (b - a) t
HALVINGS = 40


class Enclosure(base.Statement):
    """lower ≤ expr ≤ upper for all points of a box with finite, exact sides.

    Args:
        expr: an expression in the box's symbols.
        lower, upper: bounds, numbers or expressions in the same symbols; at least one.
        box: symbol: (a, b) for a ≤ symbol ≤ b.
        touches: point: order, where a bound is attained on a one-dimensional box: the difference and its first
            order - 1 derivatives vanish exactly there, and the derivative of that order keeps its sign nearby.
        strict: states < instead of ≤ (no touches then).
    """

    kind = "Enclosure"

    def __init__(
        self,
        expr: Any,
        lower: Any = None,
        upper: Any = None,
        box: Mapping[sp.Symbol, tuple[Any, Any]] | None = None,
        touches: Mapping[Any, int] | None = None,
        strict: bool = False,
    ) -> None:
        self.expr = gate.expression(expr, "expr")
        if lower is None and upper is None:
            raise gate.Refused("Enclosure needs lower or upper, got neither")
        self.lower = None if lower is None else gate.expression(lower, "lower")
        self.upper = None if upper is None else gate.expression(upper, "upper")
        self.box = {
            s: (gate.expression(a, f"box {s}"), gate.expression(b, f"box {s}")) for s, (a, b) in (box or {}).items()
        }
        for s, (a, b) in self.box.items():
            if gate.sort(s) != "real" or a.free_symbols or b.free_symbols:
                raise gate.Refused(f"box: {s} must be real and its bounds numbers, got ({a}, {b})")
            if balls.sign(b - a) != 1:
                raise gate.Refused(f"box: the interval of {s} must have a < b, got ({a}, {b})")
        self.touches = {gate.expression(p, "touch"): int(order) for p, order in (touches or {}).items()}
        if self.touches and (len(self.box) != 1 or strict):
            raise gate.Refused("touches need a one-dimensional box and bounds that aren't strict")
        self.strict = strict
        self.variables = gate.one_symbol_a_name([e for e in (self.expr, self.lower, self.upper) if e is not None])
        missing = [s for s in self.variables if s not in self.box]
        if missing:
            raise gate.Refused(f"box gives no interval for {missing}")

    def check(self, budget: Budget) -> Finding:
        differences = []
        if self.lower is not None:
            differences.append(self.expr - self.lower)
        if self.upper is not None:
            differences.append(self.upper - self.expr)
        boxes = 0
        for g in differences:
            violation = self._violation(g)
            if violation:
                return refuted(violation, engines=("arb",))
            used = _Positive(g, self.box, self._touching(g), budget).prove()
            if isinstance(used, str):
                return undecided(used, engines=("arb",))
            boxes += used
        middle = {s: (a + b) / 2 for s, (a, b) in self.box.items()}
        live = f"{base.show_point(middle)}: {shown(balls.evaluate(self.expr, middle))}"
        scope = ", ".join(f"{a} ≤ {s} ≤ {b}" for s, (a, b) in self.box.items()) or "a closed statement"
        return Finding(Verdict.ENCLOSED, scope=f"{scope} ({boxes} boxes)", engines=("arb",), live=live)

    def _touching(self, g: sp.Expr) -> dict[sp.Expr, int]:
        """The touches that belong to this bound: g vanishes there exactly."""
        if not self.touches:
            return {}
        (x,) = self.box
        return {p: k for p, k in self.touches.items() if normal_form.is_zero(g.subs(x, p))}

    def _violation(self, g: sp.Expr) -> str:
        """An exact point of the box at which the bound fails for certain; empty if none is found."""
        grid = range(17) if len(self.box) <= 1 else range(0, 17, 4 if len(self.box) <= 3 else 8)
        points: list[dict[sp.Symbol, sp.Expr]] = [{}]
        for s, (a, b) in self.box.items():
            points = [{**p, s: a + (b - a) * sp.Rational(i, 16)} for p in points for i in grid]
        for p in points:
            sign = balls.sign(g, p)
            if sign == -1 or (self.strict and sign == 0):
                value = shown(balls.evaluate(self.expr, p))
                return f"at {base.show_point(p)}: the value {value} is out of bounds"
        return ""

    def symbols(self) -> tuple[str, ...]:
        return base.names(self.variables)

    def domain(self) -> tuple[str, ...]:
        return tuple(f"{a} ≤ {s} ≤ {b}" for s, (a, b) in self.box.items())

    def text(self) -> str:
        sign = "<" if self.strict else "≤"
        parts = [f"{self.lower} {sign} " if self.lower is not None else "", str(self.expr)]
        parts.append(f" {sign} {self.upper}" if self.upper is not None else "")
        return "".join(parts) + ("   for " + ", ".join(self.domain()) if self.box else "")

    def latex(self) -> str:
        sign = "<" if self.strict else r"\le"
        left = f"{sp.latex(self.lower)} {sign} " if self.lower is not None else ""
        right = f" {sign} {sp.latex(self.upper)}" if self.upper is not None else ""
        where = [rf"{sp.latex(a)} \le {sp.latex(s)} \le {sp.latex(b)}" for s, (a, b) in self.box.items()]
        return left + sp.latex(self.expr) + right + (r" \quad \text{for }\; " + r",\; ".join(where) if where else "")


class _Positive:
    """Proves g ≥ 0 on a box (g > 0 away from the touches); `prove` returns the number of boxes, or why it failed."""

    def __init__(
        self,
        g: sp.Expr,
        box: Mapping[sp.Symbol, tuple[sp.Expr, sp.Expr]],
        touches: Mapping[sp.Expr, int],
        budget: Budget,
    ) -> None:
        self.g, self.box, self.touches, self.budget = g, dict(box), touches, budget
        self.names = list(self.box)
        smooth = not g.has(sp.Abs, sp.Max, sp.Min, sp.sign, sp.Piecewise, sp.floor)
        self.gradient = [sp.diff(g, s) for s in self.names] if smooth and len(self.names) <= 3 else []
        with flint.ctx.workdps(40):
            self.sides = [(balls.evaluate(a, {}, 40), balls.evaluate(b, {}, 40)) for a, b in self.box.values()]

    def point(self, cell: tuple[Interval, ...]) -> dict[sp.Symbol, arb]:
        out = {}
        for name, (a, b), (low, high) in zip(self.names, self.sides, cell, strict=True):
            t = arb((low + high) / 2, arb((high - low) / 2)) if low != high else arb(low)
            out[name] = a + (b - a) * t
        return out

    def prove(self) -> int | str:
        if not self.names:
            return 1 if balls.sign(self.g) in (0, 1) else "the sign of a closed expression isn't certain"
        with flint.ctx.workdps(40):
            start: list[tuple[Interval, ...]] = [tuple((fmpq(0), fmpq(1)) for _ in self.names)]
            if self.touches:
                split = self._around_touches()
                if isinstance(split, str):
                    return split
                start = [(interval,) for interval in split]
            return self._bisect(start)

    def _bisect(self, todo: list[tuple[Interval, ...]]) -> int | str:
        boxes = 0
        while todo:
            cell = todo.pop()
            boxes += 1
            if boxes > self.budget.arb_boxes:
                return f"more than {self.budget.arb_boxes} boxes are needed; the last one is {self.point(cell)}"
            if self._positive(cell):
                continue
            widths = [high - low for low, high in cell]
            if max(widths) < fmpq(1, 2**HALVINGS):
                return f"the bound isn't certain near {self.point(cell)}"
            i = widths.index(max(widths))
            low, high = cell[i]
            middle = (low + high) / 2
            todo.append((*cell[:i], (low, middle), *cell[i + 1 :]))
            todo.append((*cell[:i], (middle, high), *cell[i + 1 :]))
        return boxes

    def _positive(self, cell: tuple[Interval, ...]) -> bool:
        here = self.point(cell)
        try:
            if balls.evaluate(self.g, here, 40) > 0:
                return True
            if not self.gradient:
                return False
            centre = self.point(tuple(((low + high) / 2, (low + high) / 2) for low, high in cell))
            value = balls.evaluate(self.g, centre, 40)
            for name, slope in zip(self.names, self.gradient, strict=True):
                value = value + balls.evaluate(slope, here, 40) * (here[name] - centre[name])
            return bool(value > 0)
        except balls.Undefined:
            return False

    def _around_touches(self) -> list[Interval] | str:
        """Shows g ≥ 0 near each touch by the sign of a derivative, and returns the rest of [0, 1] as intervals."""
        (x,) = self.names
        (a, b) = self.box[x]
        done: list[Interval] = []
        for place, order in self.touches.items():
            derivative = self.g
            for k in range(order):
                if not normal_form.is_zero(derivative.subs(x, place)):
                    return f"the derivative of order {k} at {x} = {place} isn't shown to be 0"
                derivative = sp.diff(derivative, x)
            position = balls.evaluate((place - a) / (b - a), {}, 40)
            near = self._neighbourhood(derivative, position, order)
            if isinstance(near, str):
                return f"near {x} = {place}: {near}"
            done.append(near)
        done.sort()
        rest, last = [], fmpq(0)
        for low, high in done:
            if low > last:
                rest.append((last, low))
            last = max(last, high)
        return rest + ([(last, fmpq(1))] if last < 1 else [])

    def _neighbourhood(self, derivative: sp.Expr, position: arb, order: int) -> Interval | str:
        centre = fmpq(round(float(position.mid()) * 2**30), 2**30)
        width = fmpq(1, 4)
        for _ in range(HALVINGS - 12):
            low, high = max(centre - width, fmpq(0)), min(centre + width, fmpq(1))
            inside = (low == 0 or arb(low) < position) and (high == 1 or arb(high) > position)
            if not inside:
                return "the touch can't be located"
            try:
                sign = balls.certain_sign(balls.evaluate(derivative, self.point(((low, high),)), 40))
            except balls.Undefined:
                sign = None
            if sign:
                at_left, at_right = _exactly(position, 0), _exactly(position, 1)
                good_right = sign == 1 or at_right
                good_left = sign * (-1) ** order == 1 or at_left
                if good_right and good_left:
                    return low, high
                return f"the derivative of order {order} has the wrong sign"
            width = width / 2
        return f"the sign of the derivative of order {order} isn't certain"


def _exactly(position: arb, end: int) -> bool:
    return bool(position == end) or (position.is_exact() and position.mid() == end)


class Integral(base.Statement):
    """The integral of f over a ≤ x ≤ b equals `value`.

    With a primitive F: F' = f by normal forms on a < x < b, F is defined, hence continuous, on the closed interval
    (it is built from elementary functions that are continuous where they are defined), and value = F(b) - F(a).
    Without one, `acb.integral` encloses the integral: equality is then shown up to the radius of the ball only.
    """

    kind = "Integral"

    def __init__(
        self, f: Any, x: sp.Symbol, a: Any, b: Any, value: Any, primitive: Any = None, given: Any = ()
    ) -> None:
        self.f, self.x, self.value = gate.expression(f, "f"), x, gate.expression(value, "value")
        self.a, self.b = gate.expression(a, "a"), gate.expression(b, "b")
        self.primitive = None if primitive is None else gate.expression(primitive, "primitive")
        self.given = base.conditions(given)
        if gate.sort(x) != "real":
            raise gate.Refused(f"the variable of integration {x} must be real")
        if self.value.has(x) or self.a.has(x) or self.b.has(x) or any(g.has(x) for g in self.given):
            raise gate.Refused(f"value, bounds and given must not contain the variable of integration {x}")
        everything = [self.f, self.value, self.a, self.b, *self.given]
        self.variables = tuple(s for s in gate.one_symbol_a_name(everything) if s != x)

    def check(self, budget: Budget) -> Finding:
        return self._by_balls(budget) if self.primitive is None else self._by_primitive(self.primitive, budget)

    def _by_primitive(self, big: sp.Expr, budget: Budget) -> Finding:
        if big.has(sp.floor, sp.sign, sp.Piecewise, sp.ceiling, sp.Heaviside):
            raise gate.Refused(f"the primitive {big} may jump: use elementary functions that are continuous")
        closed = (*self.given, sp.Le(self.a, self.x), sp.Le(self.x, self.b))
        inside = (*self.given, sp.Lt(self.a, self.x), sp.Lt(self.x, self.b))
        if sp.false in closed or sp.false in inside:
            raise gate.Refused(f"the interval must have a < b, got ({self.a}, {self.b})")
        closed, inside = (tuple(c for c in cs if c is not sp.true) for cs in (closed, inside))
        slope = Identity(sp.diff(big, self.x), self.f, inside).check(budget)
        if not slope.verdict.established:
            return self._refuted_anyway(budget) or undecided(
                f"F' = f isn't established: {slope.reason or slope.counterexample}"
            )
        ok, failed, _ = definedness.prove_defined([big], closed, budget)
        if not ok:
            return self._refuted_anyway(budget) or undecided(
                "the primitive isn't shown to be continuous: " + ", ".join(map(str, failed))
            )
        ends = Identity(big.subs(self.x, self.b) - big.subs(self.x, self.a), self.value, self.given).check(budget)
        if not ends.verdict.established:
            return ends.with_(scope="", reason=f"F(b) - F(a) = value: {ends.reason}" if ends.reason else "")
        return Finding(
            Verdict.PROVED, scope=base.quantified(self.variables, self.given),
            engines=tuple(dict.fromkeys((*slope.engines, *ends.engines))), live=slope.live,
            steps=(
                f"F({self.x}) = {big}", "F' = f on the open interval", "F is continuous on the closed one",
                "F(b) - F(a) = value",
            ),
        )  # fmt: skip

    def _refuted_anyway(self, budget: Budget) -> Finding | None:
        """A wrong primitive refutes nothing; a rigorous enclosure of the integral may."""
        found = self._by_balls(budget) if not self.variables else None
        return found if found and found.verdict is Verdict.REFUTED else None

    def _by_balls(self, budget: Budget) -> Finding:
        points = exact_points(self.given, self.variables, budget, count=1) if self.variables else [{}]
        if not points:
            return undecided("no point of the domain was found")
        if self.variables:
            return undecided("an integral with parameters needs a primitive")
        f, x = self.f, self.x

        def integrand(z: acb, analytic: bool) -> acb:
            try:
                return acb(balls.Evaluator({x: z}, complex_=True, analytic=analytic)(f))
            except balls.Undefined:
                return acb(arb("nan"), arb("nan"))

        with flint.ctx.workdps(40):
            total = acb.integral(integrand, acb(balls.evaluate(self.a, {}, 40)), acb(balls.evaluate(self.b, {}, 40)))
            value = acb(balls.evaluate(self.value, {}, 40))
            if not total.is_finite():
                return undecided("the integral could not be enclosed", engines=("acb",))
            if not total.overlaps(value):
                return refuted(f"the integral is {shown(total.real)}, not {shown(value.real)}", engines=("acb",))
            gap = abs(total - value)
        if not gap < arb(10) ** -20:
            return undecided(f"the enclosure is too wide: {gap}", engines=("acb",))
        return Finding(Verdict.ENCLOSED, scope="up to 1e-20", engines=("acb",), live=f"integral {shown(total.real)}")

    def symbols(self) -> tuple[str, ...]:
        return base.names((self.x, *self.variables))

    def domain(self) -> tuple[str, ...]:
        return base.domain_text(self.given)

    def text(self) -> str:
        return f"∫ {self.f} d{self.x} from {self.a} to {self.b} = {self.value}"

    def latex(self) -> str:
        low, high = sp.latex(self.a), sp.latex(self.b)
        return rf"\int_{{{low}}}^{{{high}}} {sp.latex(self.f)} \, d{sp.latex(self.x)} = {sp.latex(self.value)}"
