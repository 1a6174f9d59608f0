"""Limits: Gruntz's algorithm proposes, ball arithmetic close to the limit point confirms or refutes."""

from __future__ import annotations

from typing import Any

import sympy as sp

from kexue.engines import balls, gate, normal_form
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.statements import base
from kexue.statements.domains import exact_points
from kexue.statements.identity import shown

DIRECTIONS = {"+": ("+",), "-": ("-",), "+-": ("+", "-")}
STEPS = (4, 8, 16, 32, 64, 128, 256)  # the variable is 2^-k from its limit, or 2^k
INFINITIES = (sp.oo, -sp.oo)


class Limit(base.Statement):
    """The limit of expr as x → x0 equals `value`.

    Established when Gruntz's algorithm gives this value, and the values of ball arithmetic at distances 2^-4 … 2^-256
    (at a point of the parameters' domain) come ever closer to it. Refuted when Gruntz gives another value that ball
    arithmetic supports in the same way, against the stated one.

    Args:
        x0: a number, oo or -oo.
        value: a number or an expression in the parameters, oo or -oo.
        dir: "+", "-" or "+-" (both sides); compulsory for finite x0.
        given: conditions on the parameters; signs that the limit depends on must be stated.
    """

    kind = "Limit"

    def __init__(self, expr: Any, x: sp.Symbol, x0: Any, value: Any, dir: str | None = None, given: Any = ()) -> None:
        self.expr, self.x = gate.expression(expr, "expr"), x
        self.x0 = x0 if x0 in INFINITIES else gate.expression(x0, "x0")
        self.value = value if value in INFINITIES else gate.expression(value, "value")
        self.given = base.conditions(given)
        if self.x0 in INFINITIES:
            if dir is not None:
                raise gate.Refused(f"dir must be left out at {self.x0}, got {dir!r}")
            self.directions: tuple[str, ...] = ("-",) if self.x0 == sp.oo else ("+",)
        elif dir not in DIRECTIONS:
            raise gate.Refused(f'dir must be "+", "-" or "+-" for a limit at {self.x0}, got {dir!r}')
        else:
            self.directions = DIRECTIONS[dir]
        if self.value.has(x) or self.x0.has(x) or any(g.has(x) for g in self.given):
            raise gate.Refused(f"value, x0 and given must not contain the variable {x}")
        everything = [self.expr, self.x0, self.value, *self.given]
        self.variables = tuple(s for s in gate.one_symbol_a_name(everything) if s != x)

    def check(self, budget: Budget) -> Finding:
        points = exact_points(self.given, self.variables, budget, count=2) if self.variables else [{}]
        if not points:
            return undecided("no point of the parameters' domain was found")
        for direction in self.directions:
            try:
                found = self._gruntz(direction)
            except Exception as error:  # SymPy raises many kinds here; none of them decides anything
                return undecided(f"Gruntz's algorithm failed: {type(error).__name__}: {error}", engines=("gruntz",))
            if found not in INFINITIES and found.is_finite is False:
                return undecided(f"Gruntz's algorithm gives {found}", engines=("gruntz",))
            agrees = self._equal(found)
            for point in points:
                supported = self._approaches(found, direction, point)
                if supported is None:
                    return undecided(f"ball arithmetic doesn't confirm the limit {found}", engines=("gruntz", "arb"))
                if not agrees and self._separated(found, point):
                    where = f" at {base.show_point(point)}" if point else ""
                    return refuted(f"the limit is {found}{where} ({supported})", engines=("gruntz", "arb"))
            if not agrees:
                return undecided(f"Gruntz's algorithm gives {found}, which isn't shown to equal {self.value}")
        support = self._approaches(self.value, self.directions[0], points[0])
        return Finding(
            Verdict.PROVED, scope=base.quantified(self.variables, self.given), engines=("gruntz", "arb"),
            live=f"{base.show_point(points[0])}: {support}",
            notes=("a limit computed by Gruntz's algorithm and confirmed by ball arithmetic",),
        )  # fmt: skip

    def _gruntz(self, direction: str) -> sp.Expr:
        """SymPy's limit, with the signs that `given` states put on the parameters."""
        signs = {}
        for g in self.given:
            for s in self.variables:
                if g in (s > 0, sp.Lt(0, s)):
                    signs[s] = sp.Symbol(s.name, positive=True)
                elif g in (s < 0, sp.Gt(0, s)):
                    signs[s] = sp.Symbol(s.name, negative=True)
        x = sp.Symbol(self.x.name, real=True)
        found = sp.limit(self.expr.xreplace({**signs, self.x: x}), x, self.x0.xreplace(signs), direction)
        if found.has(sp.Limit, sp.AccumBounds, sp.nan):
            raise ValueError(f"no value, got {found}")
        return found.xreplace({v: k for k, v in signs.items()})

    def _equal(self, found: sp.Expr) -> bool:
        if self.value in INFINITIES or found in INFINITIES:
            return self.value == found
        return bool(normal_form.is_zero(found - self.value))

    def _separated(self, found: sp.Expr, point: dict[sp.Symbol, sp.Expr]) -> bool:
        if self.value in INFINITIES or found in INFINITIES:
            return self.value != found
        return balls.nonzero(found - self.value, point)

    def _approaches(self, value: sp.Expr, direction: str, point: dict[sp.Symbol, sp.Expr]) -> str | None:
        """Text that shows how the distance to `value` shrinks, or None if it doesn't."""
        distances = []
        for k in STEPS:
            step = sp.Integer(2) ** k
            place = self.x0 * step if self.x0 in INFINITIES else None
            if place is not None:
                place = step if self.x0 == sp.oo else -step
            else:
                place = self.x0 + (1 if direction == "+" else -1) / step
            try:
                ball = balls.evaluate(self.expr, {**point, self.x: place}, 60 + k)
                if value in INFINITIES:
                    ball = 1 / ball if ball.contains(0) is False else ball
                    if not (ball > 0 if value == sp.oo else ball < 0):
                        return None
                    distances.append(abs(ball))
                else:
                    distances.append(abs(ball - balls.evaluate(value, point, 60 + k)))
            except (balls.Undefined, balls.Unsupported):
                continue
        if len(distances) < 4:
            return None
        shrinking = all(b < a or b < 1e-9 for a, b in zip(distances[-4:], distances[-3:], strict=False))
        if not shrinking or not distances[-1] < 0.05:
            return None
        what = "1/value" if value in INFINITIES else "distance"
        return f"{what} {shown(distances[-4])} … {shown(distances[-1])}"

    def symbols(self) -> tuple[str, ...]:
        return base.names((self.x, *self.variables))

    def domain(self) -> tuple[str, ...]:
        return base.domain_text(self.given)

    def text(self) -> str:
        side = "" if self.x0 in INFINITIES else f" ({' and '.join(self.directions)})"
        return f"lim {self.expr} as {self.x} → {self.x0}{side} = {self.value}"

    def latex(self) -> str:
        side = "" if self.x0 in INFINITIES or len(self.directions) == 2 else f"^{self.directions[0]}"
        target = f"{sp.latex(self.x)} \\to {sp.latex(self.x0)}{side}"
        return rf"\lim_{{{target}}} {sp.latex(self.expr)} = {sp.latex(self.value)}" + base.latex_given(self.given)
