"""Quantifiers as SymPy Booleans, and the exact truth value of a formula at an exact point.

`All(t, φ)` and `Any(t, φ)` range over the sort of their symbols (all reals, or all integers) and may stand anywhere
inside And, Or, Not, Implies and Equivalent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any as Anything
from typing import TypeAlias

import flint
import sympy as sp
from flint import acb, arb, fmpq, fmpq_mat, fmpz, fmpz_poly
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean, BooleanFunction

from . import balls
from .gate import Refused

Condition = tuple[type[Relational], sp.Expr]  # (Ne, x) means x ≠ 0, (Ge, x) means x ≥ 0
DIGITS = 180  # where the search for the sign of a constant gives up


class Quantifier(BooleanFunction):
    """A formula with bound symbols; `args` are the tuple of bound symbols and the body."""

    mark = ""
    command = ""

    def __new__(cls, variables: Anything, body: Anything, **options: Anything) -> Boolean:
        bound = tuple(variables) if isinstance(variables, (tuple, list, sp.Tuple)) else (variables,)
        for symbol in bound:
            if not isinstance(symbol, sp.Symbol):
                raise Refused(f"{cls.__name__} binds symbols, got {type(symbol).__name__} {symbol}")
        if len(set(bound)) < len(bound):
            raise Refused(f"{cls.__name__} binds a symbol twice: {', '.join(map(str, bound))}")
        body = sp.sympify(body)
        if not isinstance(body, Boolean) or isinstance(body, sp.Symbol):
            raise Refused(f"the body of {cls.__name__} must be a formula, got {type(body).__name__} {body}")
        if not bound or body is sp.true or body is sp.false:
            return body
        return sp.Basic.__new__(cls, sp.Tuple(*bound), body)

    @property
    def bound(self) -> tuple[sp.Symbol, ...]:
        return tuple(self.args[0].args)

    @property
    def body(self) -> Boolean:
        return self.args[1]

    @property
    def bound_symbols(self) -> list[sp.Symbol]:
        return list(self.bound)

    @property
    def free_symbols(self) -> set[sp.Basic]:
        return self.body.free_symbols - set(self.bound)

    @property
    def binary_symbols(self) -> set[sp.Basic]:
        return set()

    def _renamed(self, taken: set[sp.Basic]) -> Quantifier:
        """The same formula, with bound symbols that occur in `taken` renamed."""
        clash = [s for s in self.bound if s in taken or s.name in {t.name for t in taken}]
        names = {s.name for s in taken | self.body.atoms(sp.Symbol) | set(self.bound)}
        fresh = {}
        for symbol in clash:
            k = 1
            while f"{symbol.name}_{k}" in names:
                k += 1
            names.add(f"{symbol.name}_{k}")
            fresh[symbol] = sp.Symbol(f"{symbol.name}_{k}", **symbol._assumptions_orig)
        return self.func([fresh.get(s, s) for s in self.bound], self.body.xreplace(fresh))

    def _eval_subs(self, old: sp.Basic, new: sp.Basic) -> sp.Basic:
        if old == self:
            return new
        if old.free_symbols & set(self.bound):
            return self
        renamed = self._renamed(new.free_symbols)
        return self.func(renamed.bound, renamed.body._subs(old, new))

    def _xreplace(self, rule: Mapping[sp.Basic, sp.Basic]) -> tuple[sp.Basic, bool]:
        if self in rule:
            return rule[self], True
        bound = set(self.bound)
        inner = {old: new for old, new in rule.items() if not old.free_symbols & bound}
        used = {o: n for o, n in inner.items() if self.body.has(o)}
        if not used:
            return self, False
        renamed = self._renamed({s for n in used.values() for s in n.free_symbols})
        body, changed = renamed.body._xreplace(used)
        return self.func(renamed.bound, body), changed

    def doit(self, **hints: Anything) -> Boolean:
        return self.func(self.bound, self.body.doit(**hints))

    def _eval_simplify(self, **kwargs: Anything) -> Boolean:
        return self

    def to_nnf(self, simplify: bool = True, form: Anything = None) -> Boolean:
        return self

    def _sympystr(self, printer: Anything) -> str:
        return f"({self.mark} {', '.join(printer._print(s) for s in self.bound)}: {printer._print(self.body)})"

    def _latex(self, printer: Anything) -> str:
        return rf"{self.command} {', '.join(printer._print(s) for s in self.bound)}:\ {printer._print(self.body)}"

    def _pretty(self, printer: Anything) -> Anything:
        from sympy.printing.pretty.stringpict import prettyForm

        left = prettyForm(f"{self.mark} {', '.join(s.name for s in self.bound)}: ")
        return prettyForm(*prettyForm(*left.right(printer._print(self.body))).parens())


class All(Quantifier):
    """`All(t, φ)`: φ holds for every value of t in its sort."""

    mark, command = "∀", r"\forall"


class Any(Quantifier):
    """`Any(t, φ)`: φ holds for some value of t in its sort."""

    mark, command = "∃", r"\exists"


def quantified(formula: sp.Basic) -> bool:
    return any(isinstance(n, Quantifier) for n in sp.preorder_traversal(formula))


def conjuncts(formulas: Iterable[Boolean]) -> tuple[Boolean, ...]:
    """The formulas with top-level conjunctions taken apart, without `true`."""
    found: list[Boolean] = []
    for formula in formulas:
        if isinstance(formula, sp.And):
            found += conjuncts(formula.args)
        elif formula is not sp.true:
            found.append(formula)
    return tuple(dict.fromkeys(found))


# Functions that are defined for every real (and, where SymPy defines them, every complex) argument.
TOTAL: tuple[type, ...] = (
    sp.sin, sp.cos, sp.exp, sp.sinh, sp.cosh, sp.tanh, sp.atan, sp.asinh, sp.Abs, sp.Min, sp.Max, sp.sign, sp.floor,
    sp.ceiling, sp.conjugate, sp.re, sp.im, sp.erf, sp.erfc, sp.Si, sp.sinc, sp.Heaviside, sp.KroneckerDelta,
)  # fmt: skip


def domain(func: type, args: tuple[sp.Expr, ...]) -> list[Condition] | None:
    """The conditions under which func(*args) has a real value; None for a function that is not known here.

    Powers are not treated here. Where an argument is complex on purpose only poles are excluded.
    """
    if func in TOTAL:
        return []
    x = args[0] if args else sp.S.Zero
    complex_ = any(balls.is_complex(a) for a in args)
    if func is sp.log:
        if len(args) > 1:
            return None
        return [(sp.Ne, x)] if complex_ else [(sp.Gt, x)]
    if func in (sp.tan, sp.sec):
        return [(sp.Ne, sp.cos(x))]
    if func in (sp.cot, sp.csc):
        return [(sp.Ne, sp.sin(x))]
    if complex_:
        return None
    if func in (sp.asin, sp.acos):
        return [(sp.Ge, 1 - x), (sp.Ge, 1 + x)]
    if func is sp.acosh:
        return [(sp.Ge, x - 1)]
    if func is sp.atanh:
        return [(sp.Gt, 1 - x), (sp.Gt, 1 + x)]
    if func is sp.coth:
        return [(sp.Ne, x)]
    if func in (sp.gamma, sp.loggamma, sp.digamma, sp.Ci):
        return [(sp.Gt, x)]
    if func is sp.polygamma:
        return [(sp.Ge, x), (sp.Gt, args[1])]
    if func is sp.factorial:
        return [(sp.Ge, x)] if x.is_integer else [(sp.Gt, x + 1)]
    if func is sp.binomial:
        return [(sp.Ge, x)]
    return None


class Undefined(ArithmeticError):
    """The expression has no real value at the point."""


class Unknown(ArithmeticError):
    """No value could be decided: an unknown function, or a constant whose sign is out of reach."""


Value: TypeAlias = Anything  # fmpq for a rational number, a closed SymPy expression for an irrational one


def exact_truth(formula: sp.Basic, point: Mapping[sp.Basic, Anything] | None = None) -> bool | None:
    """The truth value of a quantifier-free formula at an exact point (never a float); None if undefined or undecided.

    Connectives are three-valued (Kleene): a false conjunct decides a conjunction whatever the others are. Keys of the
    point are symbols; other nodes are allowed too and are then taken as given, without a look at their arguments.
    """
    return Evaluator(point or {}).truth(formula)


def is_defined(expr: sp.Basic, point: Mapping[sp.Basic, Anything]) -> bool | None:
    """Whether an expression (or each side of a formula's relations) has a value at the point; None if undecided."""
    evaluator = Evaluator(point)
    parts = [expr] if isinstance(expr, sp.Expr) else [s for r in expr.atoms(Relational) for s in r.args]
    undecided = False
    for part in parts:
        try:
            evaluator.value(part)
        except Undefined:
            return False
        except Unknown:
            undecided = True
    return None if undecided else True


def exact_value(expr: sp.Expr, point: Mapping[sp.Basic, Anything]) -> sp.Expr | None:
    """The exact value of an expression at an exact point; None if undefined or undecided."""
    try:
        return as_sympy(Evaluator(point).value(expr))
    except (Undefined, Unknown):
        return None


def as_sympy(value: Value) -> sp.Expr:
    return sp.Rational(int(value.p), int(value.q)) if isinstance(value, fmpq) else value


def _narrow(value: sp.Expr) -> Value:
    if isinstance(value, sp.Rational):
        return balls.rational(value)
    if value.has(sp.Float):
        raise Refused(f"exact evaluation takes no floats, got {value}")
    if value.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise Undefined(f"{value} is not a number")
    return value


class Evaluator:
    """Evaluates terms and formulas at one point; with `matrix`, a quantifier means its body."""

    def __init__(
        self,
        point: Mapping[sp.Basic, Anything],
        matrix: bool = False,
        roots: Mapping[tuple[sp.Basic, int], sp.Rational] | None = None,
    ) -> None:
        self.known: dict[sp.Basic, Value] = {k: _narrow(sp.sympify(v)) for k, v in point.items()}
        self.matrix = matrix
        self.roots = roots or {}

    def truth(self, formula: sp.Basic) -> bool | None:
        try:
            return self._truth(formula)
        except (Undefined, Unknown):
            return None

    def _truth(self, formula: sp.Basic) -> bool | None:
        if formula is sp.true or formula is True:
            return True
        if formula is sp.false or formula is False:
            return False
        if isinstance(formula, Relational):
            return self._relation(formula)
        if isinstance(formula, Quantifier):
            return self.truth(formula.body) if self.matrix else None
        if not isinstance(formula, BooleanFunction):
            return None
        if isinstance(formula, (sp.And, sp.Or)):
            return _connect((self.truth(a) for a in formula.args), isinstance(formula, sp.Or))
        parts = [self.truth(a) for a in formula.args]
        if isinstance(formula, sp.Not):
            return _not(parts[0])
        if isinstance(formula, sp.Implies):
            return _connect((_not(parts[0]), parts[1]), True)
        if isinstance(formula, sp.ITE):
            if parts[0] is None:
                return parts[1] if parts[1] is parts[2] else None
            return parts[1] if parts[0] else parts[2]
        if None in parts:
            return None
        if isinstance(formula, sp.Equivalent):
            return len(set(parts)) == 1
        if isinstance(formula, sp.Xor):
            return sum(map(bool, parts)) % 2 == 1
        return None

    def _relation(self, formula: Relational) -> bool | None:
        lhs, rhs = self.value(formula.lhs), self.value(formula.rhs)
        if isinstance(lhs, fmpq) and isinstance(rhs, fmpq):
            sign: int | None = (lhs > rhs) - (lhs < rhs)
        else:
            difference = _narrow(as_sympy(lhs) - as_sympy(rhs))
            sign = self.sign(difference)
            if sign is None and isinstance(formula, (sp.Eq, sp.Ne)) and nonzero(as_sympy(difference)):
                return isinstance(formula, sp.Ne)
        if sign is None:
            return None
        for relation, holds in (
            (sp.Eq, sign == 0), (sp.Ne, sign != 0), (sp.Gt, sign > 0), (sp.Ge, sign >= 0), (sp.Lt, sign < 0),
            (sp.Le, sign <= 0),
        ):  # fmt: skip
            if isinstance(formula, relation):
                return holds
        return None

    def sign(self, value: Value) -> int | None:
        if isinstance(value, fmpq):
            return (value > 0) - (value < 0)
        return constant_sign(value)

    def value(self, node: sp.Basic) -> Value:
        if node not in self.known:
            self.known[node] = self._value(node)
        return self.known[node]

    def _value(self, node: sp.Basic) -> Value:
        if isinstance(node, sp.Rational):
            return balls.rational(node)
        if node.is_number and isinstance(node, (sp.NumberSymbol, sp.core.numbers.ImaginaryUnit, sp.CRootOf)):
            return node
        if isinstance(node, sp.Symbol):
            raise Unknown(f"no value for {node}")
        if isinstance(node, (sp.Add, sp.Mul)):
            parts = [self.value(a) for a in node.args]
            if all(isinstance(p, fmpq) for p in parts):
                out = parts[0]
                for p in parts[1:]:
                    out = out + p if isinstance(node, sp.Add) else out * p
                return out
            return _narrow(node.func(*map(as_sympy, parts)))
        if isinstance(node, sp.Pow):
            if self.roots and isinstance(node.exp, sp.Rational) and (node.base, int(node.exp.q)) in self.roots:
                root = self.roots[node.base, int(node.exp.q)]
                return self._power(balls.rational(root), fmpq(int(node.exp.p)))
            return self._power(self.value(node.base), self.value(node.exp))
        if isinstance(node, (sp.Min, sp.Max)):
            best = self.value(node.args[0])
            for a in node.args[1:]:
                other = self.value(a)
                sign = self._certain(_narrow(as_sympy(other) - as_sympy(best)))
                if (sign > 0) is isinstance(node, sp.Max) and sign != 0:
                    best = other
            return best
        if isinstance(node, sp.Abs) and not balls.is_complex(as_sympy(self.value(node.args[0]))):
            x = self.value(node.args[0])
            return x if self._certain(x) >= 0 else _narrow(-as_sympy(x))
        if isinstance(node, sp.sign):
            return fmpq(self._certain(self.value(node.args[0])))
        if isinstance(node, sp.Piecewise):
            for branch, condition in node.args:
                holds = self.truth(condition)
                if holds is None:
                    raise Unknown(f"can't decide the condition {condition}")
                if holds:
                    return self.value(branch)
            raise Undefined(f"no branch of {node} applies")
        if isinstance(node, sp.Function) and not isinstance(node, AppliedUndef):
            args = tuple(as_sympy(self.value(a)) for a in node.args)
            conditions = domain(node.func, args)
            if conditions is None:
                raise Unknown(f"unknown function {node.func}")
            for relation, expr in conditions:
                self._require(relation, self.value(expr), node)
            return _narrow(node.func(*args))
        raise Unknown(f"no exact value for {type(node).__name__} {node}")

    def _certain(self, value: Value) -> int:
        sign = self.sign(value)
        if sign is None:
            raise Unknown(f"the sign of {value} is out of reach")
        return sign

    def _require(self, relation: type[Relational], value: Value, node: sp.Basic) -> None:
        sign = self.sign(value)
        if sign is None and not (relation is sp.Ne and nonzero(as_sympy(value))):
            raise Unknown(f"can't decide whether {node} is defined")
        if sign is not None and not {sp.Ne: sign != 0, sp.Gt: sign > 0, sp.Ge: sign >= 0}[relation]:
            raise Undefined(f"{node} is not defined")

    def _power(self, base: Value, exponent: Value) -> Value:
        if base is sp.E:
            return _narrow(sp.exp(as_sympy(exponent)))
        if isinstance(exponent, fmpq) and exponent.q == 1:
            n = int(exponent.p)
            if n < 0:
                self._require(sp.Ne, base, sp.Pow(as_sympy(base), n, evaluate=False))
            if isinstance(base, fmpq):
                return base ** fmpz(n)
            return _narrow(as_sympy(base) ** n)
        if not isinstance(base, fmpq) and balls.is_complex(base):
            self._require(sp.Ne, base, base)
        else:
            sign = self._certain(base)
            if sign < 0 or (sign == 0 and not isinstance(exponent, fmpq)):
                raise Undefined(f"({base})**({exponent}) has no real value")
            if sign == 0:
                if exponent < 0:
                    raise Undefined(f"division by a root of {base}")
                return fmpq(0)
        return _narrow(sp.Pow(as_sympy(base), as_sympy(exponent)))


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _connect(parts: Iterable[bool | None], decisive: bool) -> bool | None:
    """Three-valued disjunction (decisive = True) or conjunction (decisive = False)."""
    unknown = False
    for part in parts:
        if part is decisive:
            return decisive
        unknown = unknown or part is None
    return None if unknown else not decisive


def _ball(expr: sp.Expr, digits: int) -> arb | acb | None:
    """A ball around a constant, in which CRootOf may occur; None where Arb can't tell that it is defined."""
    names = {root: sp.Dummy(real=True) for root in expr.atoms(sp.CRootOf)}
    try:
        point = {names[root]: _root_ball(root, digits) for root in names}
        return balls.evaluate(expr.xreplace(names), point, digits)
    except (balls.Undefined, balls.Unsupported):
        return None


def _root_ball(root: sp.CRootOf, digits: int) -> arb:
    """Arb's isolating ball of a real CRootOf; SymPy numbers the real roots first, in increasing order."""
    if not root.is_real:
        raise balls.Unsupported(f"{root} is not real")
    poly = fmpz_poly([int(c) for c in reversed(sp.Poly(root.poly, root.poly.gen).all_coeffs())])
    with flint.ctx.workdps(digits):
        real = sorted((z.real for z, _ in poly.complex_roots() if z.imag == 0), key=lambda x: x.mid())
    return real[root.index]


def constant_sign(expr: sp.Expr) -> int | None:
    """The certain sign of a real constant, None if out of reach (or if it isn't real)."""
    if isinstance(expr, sp.Rational):
        return (expr.p > 0) - (expr.p < 0)
    for digits in (20, 60):
        ball = _ball(expr, digits)
        if ball is not None and (sign := balls.certain_sign(ball)) is not None:
            return sign
    if is_zero(expr):
        return 0
    ball = _ball(expr, DIGITS)
    return None if ball is None else balls.certain_sign(ball)


def nonzero(expr: sp.Expr) -> bool:
    """Whether Arb shows that a constant, real or complex, differs from 0."""
    return any((ball := _ball(expr, digits)) is not None and not ball.contains(0) for digits in (20, 60, DIGITS))


def is_zero(expr: sp.Expr) -> bool:
    """Whether a constant is proved to be 0: by normal form, or by the root bound of an annihilating polynomial."""
    if not expr.has(sp.CRootOf):
        try:
            from .normal_form import is_zero as normal_form_is_zero
        except ImportError:
            pass
        else:
            try:
                if normal_form_is_zero(expr):
                    return True
            except (Refused, ArithmeticError, NotImplementedError, OverflowError):
                pass
    return algebraic_zero(expr)


def algebraic_zero(expr: sp.Expr, max_degree: int = 64) -> bool:
    """Proves that an expression in CRootOf and roots of rationals is 0, without numerical guesses.

    The expression is a matrix polynomial in commuting companion matrices; its value is a root of the characteristic
    polynomial, whose non-zero roots are bounded away from 0. A ball below that bound is 0.
    """
    generators: dict[sp.Expr, fmpz_poly] = {}
    for node in sp.preorder_traversal(expr):
        if isinstance(node, sp.CRootOf):
            generators[node] = fmpz_poly([int(c) for c in reversed(node.poly.all_coeffs())])
        elif isinstance(node, sp.Pow) and isinstance(node.exp, sp.Rational) and not isinstance(node.exp, sp.Integer):
            if not isinstance(node.base, sp.Rational) or node.base <= 0:
                return False
            q = int(node.exp.q)
            generators[sp.Pow(node.base, sp.Rational(1, q))] = fmpz_poly(
                [-int(node.base.p)] + [0] * (q - 1) + [int(node.base.q)]
            )
    size = 1
    for poly in generators.values():
        size *= poly.degree()
    if size > max_degree:
        return False
    matrices: dict[sp.Expr, fmpq_mat] = {}
    before = 1
    for key, poly in generators.items():
        n = poly.degree()
        after = size // (before * n)
        matrices[key] = _kronecker(_companion(poly), before, after)
        before *= n
    try:
        matrix = _matrix_value(expr, matrices, size)
    except (Unknown, ZeroDivisionError):
        return False
    coefficients = [abs(c) for c in matrix.charpoly().coeffs()]
    while coefficients and coefficients[0] == 0:
        coefficients.pop(0)
    if len(coefficients) == size + 1:
        return False
    bound = coefficients[0] / (coefficients[0] + max(coefficients[1:], default=fmpq(0)))
    for digits in (60, DIGITS, 4 * DIGITS):
        ball = _ball(expr, digits)
        if ball is None or not isinstance(ball, arb):
            return False
        if abs(ball) < arb(bound):
            return True
        if not ball.contains(0):
            return False
    return False


def _companion(poly: fmpz_poly) -> fmpq_mat:
    n = poly.degree()
    rows = [[fmpq(0)] * n for _ in range(n)]
    for i in range(n):
        if i:
            rows[i][i - 1] = fmpq(1)
        rows[i][n - 1] = -fmpq(poly[i], poly[n])
    return fmpq_mat(rows)


def _kronecker(matrix: fmpq_mat, before: int, after: int) -> fmpq_mat:
    """I ⊗ matrix ⊗ I, so that matrices of different generators commute."""
    n = matrix.nrows()
    size = before * n * after
    rows = [[fmpq(0)] * size for _ in range(size)]
    for b in range(before):
        for i in range(n):
            for j in range(n):
                if matrix[i, j] != 0:
                    for a in range(after):
                        rows[(b * n + i) * after + a][(b * n + j) * after + a] = matrix[i, j]
    return fmpq_mat(rows)


def _matrix_value(node: sp.Expr, matrices: Mapping[sp.Expr, fmpq_mat], size: int) -> fmpq_mat:
    def scalar(value: fmpq) -> fmpq_mat:
        return fmpq_mat([[value if i == j else fmpq(0) for j in range(size)] for i in range(size)])

    if node in matrices:
        return matrices[node]
    if isinstance(node, sp.Rational):
        return scalar(balls.rational(node))
    if isinstance(node, (sp.Add, sp.Mul)):
        out = _matrix_value(node.args[0], matrices, size)
        for a in node.args[1:]:
            other = _matrix_value(a, matrices, size)
            out = out + other if isinstance(node, sp.Add) else out * other
        return out
    if isinstance(node, sp.Pow) and isinstance(node.exp, sp.Rational):
        n, q = int(node.exp.p), int(node.exp.q)
        base = _matrix_value(node.base if q == 1 else sp.Pow(node.base, sp.Rational(1, q)), matrices, size)
        out = scalar(fmpq(1))
        for _ in range(abs(n)):
            out = out * base
        return out.inv() if n < 0 else out
    raise Unknown(f"{node} is not algebraic")
