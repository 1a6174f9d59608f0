"""Rigorous evaluation of SymPy expressions in ball arithmetic (Arb, through python-flint).

A real expression is evaluated with `arb` throughout, so that leaving the real domain is noticed; `acb` is used only
where the expression is complex on purpose (it contains I or a complex symbol).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flint
import sympy as sp
from flint import acb, arb, fmpq, fmpz


class Undefined(ArithmeticError):
    """The expression is not defined at the point, or the ball is too wide to show that it is."""


class Unsupported(ValueError):
    """A node that ball arithmetic here does not know."""


def _positive(x: arb, what: str) -> arb:
    if not x > 0:
        raise Undefined(f"{what} of {x}, which is not certainly positive")
    return x


def _unit(x: arb, what: str) -> arb:
    if not abs(x) <= 1:
        raise Undefined(f"{what} of {x}, which is not certainly in [-1, 1]")
    return x


REAL: dict[Any, Callable[[arb], arb]] = {
    sp.sin: arb.sin,
    sp.cos: arb.cos,
    sp.tan: arb.tan,
    sp.exp: arb.exp,
    sp.log: lambda x: _positive(x, "log").log(),
    sp.sinh: arb.sinh,
    sp.cosh: arb.cosh,
    sp.tanh: arb.tanh,
    sp.asin: lambda x: _unit(x, "asin").asin(),
    sp.acos: lambda x: _unit(x, "acos").acos(),
    sp.atan: arb.atan,
    sp.asinh: arb.asinh,
    sp.Abs: abs,
    sp.Ci: lambda x: _positive(x, "Ci").ci(),
    sp.Si: arb.si,
    sp.erf: arb.erf,
    sp.erfc: arb.erfc,
    sp.gamma: lambda x: _finite(x.gamma(), "gamma"),
    sp.factorial: lambda x: _finite((x + 1).gamma(), "factorial"),
    sp.loggamma: lambda x: _positive(x, "loggamma").lgamma(),
    sp.digamma: lambda x: _finite(x.digamma(), "digamma"),
}
COMPLEX: dict[Any, Callable[[acb], acb]] = {
    sp.sin: acb.sin,
    sp.cos: acb.cos,
    sp.tan: acb.tan,
    sp.exp: acb.exp,
    sp.log: acb.log,
    sp.sinh: acb.sinh,
    sp.cosh: acb.cosh,
    sp.tanh: acb.tanh,
    sp.conjugate: acb.conjugate,
    sp.re: lambda z: acb(z.real),
    sp.im: lambda z: acb(z.imag),
    sp.Abs: lambda z: acb(abs(z)),
}


def _finite(x: Any, what: str) -> Any:
    if not x.is_finite():
        raise Undefined(f"{what} has a pole, or the ball is too wide")
    return x


def rational(number: sp.Rational) -> fmpq:
    return fmpq(int(number.p), int(number.q))


class Evaluator:
    """Evaluates an expression tree; with `analytic`, raises Undefined where the value is not holomorphic on the
    ball.
    """

    def __init__(self, point: Mapping[sp.Symbol, Any], complex_: bool, analytic: bool = False) -> None:
        self.point, self.analytic = point, analytic
        self.ball = acb if complex_ else arb
        self.functions: dict[Any, Callable[[Any], Any]] = COMPLEX if complex_ else REAL
        self.complex = complex_
        self.known: dict[sp.Basic, Any] = {}

    def __call__(self, node: sp.Basic) -> Any:
        if node not in self.known:
            self.known[node] = self.compute(node)
        return self.known[node]

    def compute(self, node: sp.Basic) -> Any:
        if isinstance(node, sp.Rational):
            return self.ball(rational(node))
        if isinstance(node, sp.Symbol):
            if node not in self.point:
                raise Unsupported(f"no value for the symbol {node}")
            value = self.point[node]
            if isinstance(value, (arb, acb)):
                return self.ball(value)
            return self(sp.sympify(value))
        if isinstance(node, sp.Add):
            return sum((self(a) for a in node.args[1:]), self(node.args[0]))
        if isinstance(node, sp.Mul):
            out = self(node.args[0])
            for a in node.args[1:]:
                out = out * self(a)
            return out
        if isinstance(node, sp.Pow):
            return self.power(node.base, node.exp)
        if node is sp.pi:
            return self.ball(arb.pi())
        if node is sp.E:
            return self.ball(arb(1).exp())
        if node is sp.EulerGamma:
            return self.ball(arb.const_euler())
        if node is sp.I and self.complex:
            return acb(0, 1)
        if isinstance(node, (sp.Min, sp.Max)) and not self.complex:
            combine = arb.min if isinstance(node, sp.Min) else arb.max
            out = self(node.args[0])
            for a in node.args[1:]:
                out = combine(out, self(a))
            return out
        if isinstance(node, sp.Piecewise):
            return self.piecewise(node)
        if isinstance(node, sp.sign) and not self.complex:
            x = self(node.args[0])
            if x > 0 or x < 0 or x == 0:
                return arb(1 if x > 0 else -1 if x < 0 else 0)
            raise Undefined(f"sign of {x}")
        if isinstance(node, sp.binomial):
            n, k = node.args
            return self(sp.gamma(n + 1) / (sp.gamma(k + 1) * sp.gamma(n - k + 1)))
        if isinstance(node, (sp.Sum, sp.Product)):
            return self.sum_or_product(node)
        if self.analytic and node.func in (sp.Abs, sp.conjugate, sp.re, sp.im):
            raise Undefined(f"{node} is not holomorphic")
        if self.analytic and node.func is sp.log:
            return _finite(self(node.args[0]).log(analytic=True), "log")
        if node.func in self.functions and len(node.args) == 1:
            return _finite(self.functions[node.func](self(node.args[0])), str(node.func))
        raise Unsupported(f"ball arithmetic does not know {type(node).__name__}: {node}")

    def power(self, base: sp.Expr, exponent: sp.Expr) -> Any:
        if base is sp.E:
            return self(exponent).exp()
        b = self(base)
        if isinstance(exponent, sp.Integer) or (exponent.is_integer and exponent.is_number):
            n = int(exponent)
            if n < 0 and b.contains(0):
                raise Undefined(f"division by {base}, whose ball contains 0")
            out = b ** fmpz(n)
            if n > 0 and not out.is_finite() and b.is_finite():  # flint gives nan where the ball straddles 0
                out = b
                for digit in bin(n)[3:]:
                    out = out * out * b if digit == "1" else out * out
            return out
        if exponent.is_integer:
            e = self(exponent)
            whole = e.unique_fmpz() if not self.complex else e.real.unique_fmpz()
            if whole is not None:
                if whole < 0 and b.contains(0):
                    raise Undefined(f"division by {base}, whose ball contains 0")
                return b**whole
            raise Undefined(f"exponent {exponent} is no certain integer")
        if exponent == sp.S.Half or exponent == -sp.S.Half:
            if not self.complex and not b >= 0:
                raise Undefined(f"square root of {base}, whose ball {b} is not certainly non-negative")
            if self.analytic:
                root = _finite(b.sqrt(analytic=True), "square root")
                return root if exponent == sp.S.Half else 1 / root
            if exponent == sp.S.Half:
                return b.sqrt()
            if b.contains(0):
                raise Undefined(f"division by the root of {base}, whose ball contains 0")
            return 1 / b.sqrt()
        if self.complex:
            if b.contains(0):
                raise Undefined(f"power of {base}, whose ball contains 0")
            return (self(exponent) * b.log(analytic=self.analytic)).exp()
        if isinstance(exponent, sp.Rational) and exponent > 0 and b >= 0:
            return b ** arb(rational(exponent))
        return b.__class__((_positive(b, "a real power").log() * self(exponent)).exp())

    def piecewise(self, node: sp.Piecewise) -> Any:
        for value, condition in node.args:
            holds = truth(condition, self)
            if holds is None:
                raise Undefined(f"can't decide the condition {condition}")
            if holds:
                return self(value)
        raise Undefined(f"no branch of {node} applies")

    def sum_or_product(self, node: sp.Basic) -> Any:
        if len(node.limits) != 1:
            raise Unsupported(f"nested {type(node).__name__}")
        k, a, b = node.limits[0]
        first, last = (sp.sympify(x).subs(dict(self.point)) for x in (a, b))
        if not (isinstance(first, sp.Integer) and isinstance(last, sp.Integer)) or int(last) - int(first) > 100_000:
            raise Unsupported(f"{type(node).__name__} needs at most 100000 terms between known limits")
        total = self.ball(0 if isinstance(node, sp.Sum) else 1)
        for value in range(int(first), int(last) + 1):
            term = Evaluator({**self.point, k: value}, self.complex, self.analytic)(node.function)
            total = total + term if isinstance(node, sp.Sum) else total * term
        return total


def is_complex(expr: sp.Basic) -> bool:
    """Whether an expression is complex on purpose: it contains I, or a symbol declared complex."""
    return expr.has(sp.I, sp.conjugate, sp.re, sp.im) or any(
        s._assumptions_orig.get("complex") for s in expr.atoms(sp.Symbol)
    )


def evaluate(expr: sp.Expr, point: Mapping[sp.Symbol, Any] | None = None, digits: int = 60) -> arb | acb:
    """A ball that contains the value of `expr` at `point` (values exact, or balls).

    Raises:
        Undefined: a denominator's ball contains 0, or an argument may leave the real domain.
        Unsupported: an unknown node, or a symbol without a value.
    """
    point = point or {}
    with flint.ctx.workdps(digits):
        values = [sp.sympify(v) for v in point.values() if not isinstance(v, (arb, acb))]
        complex_ = is_complex(expr) or any(is_complex(v) for v in values)
        return _finite(Evaluator(point, complex_)(expr), "the expression")


def overlap(a: arb | acb, b: arb | acb) -> bool:
    """Whether two balls have a point in common; a real ball is met by a complex one."""
    return bool(a.overlaps(b)) if type(a) is type(b) else bool(acb(a).overlaps(acb(b)))


def truth(condition: sp.Basic, evaluator: Evaluator) -> bool | None:
    """Three-valued truth of a relation in ball arithmetic: True and False are certain."""
    if condition in (sp.true, sp.false):
        return condition is sp.true
    if isinstance(condition, (sp.And, sp.Or)):
        parts = [truth(c, evaluator) for c in condition.args]
        decisive = isinstance(condition, sp.Or)
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    if isinstance(condition, sp.Not):
        inner = truth(condition.args[0], evaluator)
        return None if inner is None else not inner
    if isinstance(condition, sp.core.relational.Relational):
        difference = evaluator(condition.lhs) - evaluator(condition.rhs)
        sign = certain_sign(difference)
        if isinstance(condition, (sp.Eq, sp.Ne)):
            if sign == 0:
                return isinstance(condition, sp.Eq)
            return None if difference.contains(0) else isinstance(condition, sp.Ne)
        if isinstance(difference, acb):
            return None
        if isinstance(condition, sp.Gt):
            return True if difference > 0 else False if difference <= 0 else None
        if isinstance(condition, sp.Ge):
            return True if difference >= 0 else False if difference < 0 else None
        if isinstance(condition, sp.Lt):
            return True if difference < 0 else False if difference >= 0 else None
        if isinstance(condition, sp.Le):
            return True if difference <= 0 else False if difference > 0 else None
    raise Unsupported(f"unknown condition {condition}")


def certain_sign(ball: arb | acb) -> int | None:
    """1, -1 or 0 if the ball is certainly positive, negative or exactly zero; else None."""
    if isinstance(ball, acb):
        return 0 if ball == 0 and ball.is_exact() else None
    if ball > 0:
        return 1
    if ball < 0:
        return -1
    return 0 if ball.is_exact() and ball == 0 else None


def sign(expr: sp.Expr, point: Mapping[sp.Symbol, Any] | None = None, digits: int = 60) -> int | None:
    """The certain sign of a real expression at a point, with growing precision up to `digits`; None if not certain."""
    precision = 20
    while True:
        precision = min(precision, digits)
        try:
            found = certain_sign(evaluate(expr, point, precision))
        except Undefined:
            found = None
        if found is not None or precision >= digits:
            return found
        precision *= 3


def nonzero(expr: sp.Expr, point: Mapping[sp.Symbol, Any] | None = None, digits: int = 60) -> bool:
    """Whether Arb shows that the expression (real or complex) differs from 0 at the point."""
    precision = 20
    while True:
        precision = min(precision, digits)
        try:
            if not evaluate(expr, point, precision).contains(0):
                return True
        except Undefined:
            pass
        if precision >= digits:
            return False
        precision *= 3
