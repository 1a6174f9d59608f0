"""Real and integer arithmetic by SMT: a whitelist translator to SMT-LIB 2, its validation, and `decide`.

A formula is valid if `given ∧ ¬formula` is unsatisfiable. Definedness isn't looked at here: the text's division is
total, so callers prove the obligations of `definedness` beside it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
import z3
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from ..findings import Budget
from . import formula as fm
from . import solvers
from .formula import All, Quantifier
from .gate import Refused, one_symbol_a_name, sort

VALIDATION_POINTS = 5
TIES = (sp.S.Zero, sp.S.One, sp.S.NegativeOne)  # all symbols equal: what tells ≤ from < apart; compared besides
# Real-valued functions that abstraction may replace by an unknown real.
ABSTRACTED = (
    sp.sin,
    sp.cos,
    sp.tan,
    sp.cot,
    sp.sec,
    sp.csc,
    sp.exp,
    sp.log,
    sp.sinh,
    sp.cosh,
    sp.tanh,
    sp.asin,
    sp.acos,
    sp.atan,
    sp.asinh,
    sp.acosh,
    sp.atanh,
    sp.gamma,
    sp.factorial,
    sp.loggamma,
    sp.digamma,
    sp.erf,
    sp.erfc,
    sp.floor,
    sp.ceiling,
    sp.binomial,
    sp.Ci,
    sp.Si,
)


class TranslationError(RuntimeError):
    """The SMT text and the SymPy formula differ at a point: a fault of this module, never an answer."""


@dataclass(frozen=True)
class SmtAnswer:
    """The outcome of `decide`. A model is exact and was re-evaluated; the text is what the solvers saw."""

    status: str  # "valid", "counterexample" or "unknown"
    model: dict[sp.Symbol, sp.Expr] | None = None
    engines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    text: str = ""
    reason: str = ""


@dataclass
class Fresh:
    """A variable of the text that stands for a root or, under abstraction, for a transcendental term."""

    name: str
    key: sp.Basic  # the term it stands for
    fact: str  # what is known about it, as text
    meaning: sp.Basic  # the same in SymPy
    bound: frozenset[sp.Symbol]  # the bound symbols it depends on


@dataclass
class Translation:
    """One translated set of assertions."""

    declarations: list[str]
    assertions: list[str]
    fresh: dict[str, Fresh]
    symbols: tuple[sp.Symbol, ...]
    bound: tuple[sp.Symbol, ...]
    logic: str
    names: dict[sp.Symbol, str]

    @property
    def facts(self) -> list[str]:
        return [f.fact for f in self.fresh.values() if not f.bound]

    @property
    def text(self) -> str:
        asserted = [f"(assert {a})" for a in (*self.facts, *self.assertions)]
        return "\n".join([f"(set-logic {self.logic})", *self.declarations, *asserted, ""])


def quote(symbol: sp.Symbol) -> str:
    if not symbol.name or set(symbol.name) & set("|!\\"):
        raise Refused(f"symbol names must not contain | ! or a backslash, got {symbol.name!r}")
    return f"|{symbol.name}|"


class Translator:
    """Translates terms and formulas; every node that isn't named here is refused."""

    def __init__(self, abstract: bool = False, taken: Iterable[str] = ()) -> None:
        self.abstract = abstract
        self.fresh: dict[str, Fresh] = {}
        self.by_key: dict[sp.Basic, str] = {}
        self.placed: set[str] = set()  # fresh variables that a quantifier binds
        self.taken = set(taken)
        self.scope: list[sp.Symbol] = []
        self.bound: dict[sp.Symbol, None] = {}
        self.polarity = 1  # 1: truth of the part helps the goal, -1: hurts it, 0: both
        self.depth = 0
        self.integers = False
        self.nonlinear = False
        self.quantifiers = False

    # --- formulas

    def formula(self, node: sp.Basic) -> str:
        if node is sp.true:
            return "true"
        if node is sp.false:
            return "false"
        if isinstance(node, Relational):
            return self.relation(node)
        if isinstance(node, Quantifier):
            return self.quantifier(node)
        if isinstance(node, sp.Not):
            return f"(not {self.under(-1, node.args[0])})"
        if isinstance(node, (sp.And, sp.Or)):
            word = "and" if isinstance(node, sp.And) else "or"
            return f"({word} {' '.join(map(self.formula, node.args))})"
        if isinstance(node, sp.Implies):
            return f"(=> {self.under(-1, node.args[0])} {self.formula(node.args[1])})"
        if isinstance(node, sp.Equivalent):
            first, *rest = [self.under(0, a) for a in node.args]
            pairs = [f"(= {first} {other})" for other in rest]
            return pairs[0] if len(pairs) == 1 else f"(and {' '.join(pairs)})"
        if isinstance(node, sp.Xor):
            out = self.under(0, node.args[0])
            for a in node.args[1:]:
                out = f"(xor {out} {self.under(0, a)})"
            return out
        if isinstance(node, sp.ITE):
            return f"(ite {self.under(0, node.args[0])} {self.formula(node.args[1])} {self.formula(node.args[2])})"
        raise Refused(f"a formula can't contain {type(node).__name__}: {node}")

    def under(self, factor: int, node: sp.Basic) -> str:
        before, self.polarity = self.polarity, self.polarity * factor
        try:
            return self.formula(node)
        finally:
            self.polarity = before

    def relation(self, node: Relational) -> str:
        for side in node.args:
            if not isinstance(side, sp.Expr):
                raise Refused(f"both sides of a relation must be numbers, got {type(side).__name__} {side}")
        words = {sp.Eq: "=", sp.Ne: "distinct", sp.Lt: "<", sp.Le: "<=", sp.Gt: ">", sp.Ge: ">="}
        for kind, word in words.items():
            if isinstance(node, kind):
                lhs, rhs = self.alike([self.term(node.lhs), self.term(node.rhs)])[0]
                return f"({word} {lhs} {rhs})"
        raise Refused(f"unknown relation {type(node).__name__}: {node}")

    def quantifier(self, node: Quantifier) -> str:
        self.quantifiers = True
        for symbol in node.bound:
            if symbol in self.scope:
                raise Refused(f"symbol {symbol} is bound twice, one quantifier inside the other: {node}")
            self.sort(symbol)
            self.bound[symbol] = None
        outer = dict(self.by_key)
        self.scope += node.bound
        body = self.formula(node.body)
        del self.scope[len(self.scope) - len(node.bound) :]
        # Variables that depend on the symbols bound here are bound here as well, and known inside only.
        local = [f for name, f in self.fresh.items() if name not in self.placed and f.bound & set(node.bound)]
        self.placed.update(f.name for f in local)
        self.by_key = outer | {k: n for k, n in self.by_key.items() if not self.fresh[n].bound & set(node.bound)}
        word = "forall" if isinstance(node, All) else "exists"
        binders = [f"({quote(s)} {self.sort(s)})" for s in node.bound]
        if local:
            if any(not self.is_root(f.key) for f in local) and self.polarity == 0:
                raise Refused(f"a transcendental term of a bound symbol stands under an equivalence: {node}")
            # A root is determined by its defining fact, so either reading is the same. For an abstracted term the goal
            # must hold for every value that obeys the facts.
            strong = self.polarity > 0 if any(not self.is_root(f.key) for f in local) else isinstance(node, All)
            inner_word, join = ("forall", "=>") if strong else ("exists", "and")
            facts = " ".join(f.fact for f in local)
            extra = " ".join(f"({f.name} Real)" for f in local)
            body = f"({inner_word} ({extra}) ({join} (and {facts} true) {body}))"
        return f"({word} ({' '.join(binders)}) {body})"

    @staticmethod
    def is_root(key: sp.Basic) -> bool:
        return isinstance(key, sp.Pow) and isinstance(key.exp, sp.Rational)

    # --- terms: (text, is an Int)

    def sort(self, symbol: sp.Symbol) -> str:
        kind = sort(symbol)
        if kind == "complex":
            raise Refused(f"symbol {symbol} is complex: SMT decides real and integer arithmetic only")
        if kind == "integer":
            self.integers = True
        return "Int" if kind == "integer" else "Real"

    @staticmethod
    def alike(parts: Sequence[tuple[str, bool]], real: bool = False) -> tuple[list[str], bool]:
        """The terms in one sort: an Int beside a Real is converted."""
        if not real and all(is_int for _, is_int in parts):
            return [text for text, _ in parts], True
        return [_to_real(text) if is_int else text for text, is_int in parts], False

    def term(self, node: sp.Basic) -> tuple[str, bool]:
        if isinstance(node, sp.Integer):
            return _numeral(int(node)), True
        if isinstance(node, sp.Rational):
            text = f"(/ {abs(int(node.p))}.0 {int(node.q)}.0)"
            return (f"(- {text})" if node.p < 0 else text), False
        if isinstance(node, sp.Symbol):
            return quote(node), self.sort(node) == "Int"
        if isinstance(node, sp.Add):
            parts, is_int = self.alike([self.term(a) for a in node.args])
            return f"(+ {' '.join(parts)})", is_int
        if isinstance(node, sp.Mul):
            return self.product(node)
        if isinstance(node, sp.Pow):
            return self.power(node)
        if isinstance(node, sp.Abs):
            return self.named(self.term(node.args[0]), lambda x, zero: f"(ite (>= {x} {zero}) {x} (- {x}))")
        if isinstance(node, sp.sign):
            text, is_int = self.term(node.args[0])
            zero = "0" if is_int else "0.0"
            return self.let(text, lambda x: f"(ite (> {x} {zero}) 1.0 (ite (< {x} {zero}) (- 1.0) 0.0))"), False
        if isinstance(node, (sp.Min, sp.Max)):
            word = "<=" if isinstance(node, sp.Min) else ">="
            parts, is_int = self.alike([self.term(a) for a in node.args])
            out = parts[0]
            for other in parts[1:]:
                out = self.let(out, lambda x, o=other: self.let(o, lambda y: f"(ite ({word} {x} {y}) {x} {y})"))
            return out, is_int
        if isinstance(node, sp.Piecewise):
            if any(fm.quantified(condition) for _, condition in node.args):
                raise Refused(f"a condition of Piecewise contains a quantifier: {node}")
            values, is_int = self.alike([self.term(value) for value, _ in node.args])
            conditions = [self.under(0, condition) for _, condition in node.args]
            out = values[-1]  # that some branch applies is an obligation of definedness
            for value, condition in reversed(list(zip(values[:-1], conditions[:-1], strict=True))):
                out = f"(ite {condition} {value} {out})"
            return out, is_int
        if self.abstract:
            return self.abstraction(node), False
        raise Refused(f"SMT decides polynomial, rational and piecewise arithmetic, not {type(node).__name__}: {node}")

    def let(self, text: str, build: Any) -> str:
        """`build(x)` with a name for x where x is long, so that repeated bases don't multiply the text."""
        if " " not in text:
            return build(text)
        self.depth += 1
        name = f"let!{self.depth}"
        return f"(let (({name} {text})) {build(name)})"

    def named(self, term: tuple[str, bool], build: Any) -> tuple[str, bool]:
        text, is_int = term
        return self.let(text, lambda x: build(x, "0" if is_int else "0.0")), is_int

    def product(self, node: sp.Mul) -> tuple[str, bool]:
        above = [a for a in node.args if not _negative_power(a)]
        below = [sp.Pow(a.base, -a.exp) for a in node.args if _negative_power(a)]
        if below or len([a for a in above if not isinstance(a, sp.Rational)]) > 1:
            self.nonlinear = True
        parts, is_int = self.alike([self.term(a) for a in above] or [("1", True)], real=bool(below))
        out = parts[0] if len(parts) == 1 else f"(* {' '.join(parts)})"
        for a in below:
            divisor = self.alike([self.term(a)], real=True)[0][0]
            out = f"(/ {out} {divisor})"
        return out, is_int

    def power(self, node: sp.Pow) -> tuple[str, bool]:
        base, exponent = node.base, node.exp
        if isinstance(exponent, sp.Integer):
            return self.whole_power(self.term(base), int(exponent))
        if isinstance(exponent, sp.Rational):
            root = self.root(base, int(exponent.q))
            return self.whole_power((root, False), int(exponent.p))
        if self.abstract:
            return self.abstraction(node), False
        raise Refused(f"SMT knows rational exponents only, got {node}")

    def whole_power(self, term: tuple[str, bool], n: int) -> tuple[str, bool]:
        if n != 1:
            self.nonlinear = True
        if abs(n) > 200:
            raise Refused(f"exponents up to 200 are translated, got {n}")
        text, is_int = term
        if n == 0:
            return "1", True
        if n < 0:
            below = self.whole_power((_to_real(text) if is_int else text, False), -n)[0]
            return f"(/ 1.0 {below})", False
        return (text if n == 1 else self.let(text, lambda x: f"(* {' '.join([x] * n)})")), is_int

    def root(self, base: sp.Expr, q: int) -> str:
        """A variable r with r ≥ 0 and r^q = base. Where base < 0 nothing is known of it: that is not defined."""
        key = sp.Pow(base, sp.Rational(1, q), evaluate=False)

        def define(r: str) -> tuple[str, sp.Basic]:
            b = self.alike([self.term(base)], real=True)[0][0]
            fact = self.let(b, lambda x: f"(=> (>= {x} 0.0) (and (>= {r} 0.0) (= (* {' '.join([r] * q)}) {x})))")
            value = sp.Symbol(r, real=True)
            holds = sp.And(sp.Ge(value, 0, evaluate=False), sp.Eq(value**q, base, evaluate=False), evaluate=False)
            return fact, sp.Implies(sp.Ge(base, 0, evaluate=False), holds, evaluate=False)

        if q > 12:
            raise Refused(f"roots up to the 12th are translated, got the {q}th root of {base}")
        self.nonlinear = True
        return self.variable("root", key, define)

    def variable(self, prefix: str, key: sp.Basic, define: Any) -> str:
        if key in self.by_key:
            return self.by_key[key]
        name = next(n for k in itertools.count(1) if (n := f"{prefix}!{k}") not in self.taken)
        self.taken.add(name)
        fact, meaning = define(name)
        bound = frozenset(key.free_symbols) & frozenset(self.scope)
        self.fresh[name] = Fresh(name, key, fact, meaning, bound)
        self.by_key[key] = name
        return name

    def abstraction(self, node: sp.Basic) -> str:
        """A fresh real for a transcendental term, with facts that are true of it."""
        if node is sp.pi:
            return self.variable(
                "pi", node, lambda p: (f"(and (< (/ 333.0 106.0) {p}) (< {p} (/ 355.0 113.0)))", sp.true)
            )
        if node is sp.E:
            low, high = "(/ 2718281828.0 1000000000.0)", "(/ 2718281829.0 1000000000.0)"
            return self.variable("e", node, lambda e: (f"(and (< {low} {e}) (< {e} {high}))", sp.true))
        if isinstance(node, sp.Pow):

            def positive(r: str) -> tuple[str, sp.Basic]:
                b = self.alike([self.term(node.base)], real=True)[0][0]
                return f"(=> (> {b} 0.0) (> {r} 0.0))", sp.true

            return self.variable("power", node, positive)
        if isinstance(node, AppliedUndef):
            self.check_arguments(node)
            return self.variable("f", node, lambda f: ("true", sp.true))
        if node.func not in ABSTRACTED:
            raise Refused(f"no abstraction is known for {type(node).__name__}: {node}")
        self.check_arguments(node)
        x = node.args[0]
        if node.func is sp.tan:
            return f"(/ {self.abstraction(sp.sin(x, evaluate=False))} {self.abstraction(sp.cos(x, evaluate=False))})"
        if node.func in (sp.sin, sp.cos):
            s = self.variable(
                "sin", sp.sin(x, evaluate=False), lambda v: (f"(and (<= (- 1.0) {v}) (<= {v} 1.0))", sp.true)
            )

            def circle(c: str) -> tuple[str, sp.Basic]:
                return f"(and (<= (- 1.0) {c}) (<= {c} 1.0) (= (+ (* {s} {s}) (* {c} {c})) 1.0))", sp.true

            c = self.variable("cos", sp.cos(x, evaluate=False), circle)
            self.nonlinear = True
            return s if node.func is sp.sin else c
        if node.func in (sp.sinh, sp.cosh):
            s = self.variable("sinh", sp.sinh(x, evaluate=False), lambda v: (self.same_sign(x, v), sp.true))
            c = self.variable(
                "cosh",
                sp.cosh(x, evaluate=False),
                lambda v: (f"(and (>= {v} 1.0) (= (- (* {v} {v}) (* {s} {s})) 1.0))", sp.true),
            )
            self.nonlinear = True
            return s if node.func is sp.sinh else c
        argument = self.alike([self.term(x)], real=True)[0][0] if node.func in (sp.exp, sp.log) else ""
        facts = {
            sp.exp: lambda v: f"(and (> {v} 0.0) (>= {v} (+ 1.0 {argument})))",
            sp.log: lambda v: f"(=> (> {argument} 0.0) (<= {v} (- {argument} 1.0)))",
            sp.tanh: lambda v: f"(and (< (- 1.0) {v}) (< {v} 1.0) {self.same_sign(x, v)})",
            sp.atan: lambda v: f"(and (< (- (/ 355.0 226.0)) {v}) (< {v} (/ 355.0 226.0)) {self.same_sign(x, v)})",
            sp.erf: lambda v: f"(and (< (- 1.0) {v}) (< {v} 1.0) {self.same_sign(x, v)})",
        }
        fact = facts.get(node.func, lambda v: "true")
        return self.variable(node.func.__name__, node, lambda v: (fact(v), sp.true))

    def same_sign(self, x: sp.Expr, v: str) -> str:
        text = self.alike([self.term(x)], real=True)[0][0]
        return self.let(text, lambda t: f"(and (= (> {t} 0.0) (> {v} 0.0)) (= (< {t} 0.0) (< {v} 0.0)))")

    def check_arguments(self, node: sp.Basic) -> None:
        """Symbols and numbers inside an abstracted term: the solver may not see them, so they are looked at here."""
        for part in sp.preorder_traversal(node):
            if isinstance(part, sp.Symbol):
                self.sort(part)
            elif isinstance(part, (sp.Float, sp.core.numbers.ImaginaryUnit)) or part in (sp.nan, sp.zoo, sp.oo, -sp.oo):
                raise Refused(f"{part} in {node}")


def _numeral(n: int) -> str:
    return str(n) if n >= 0 else f"(- {-n})"


def _to_real(text: str) -> str:
    """Converts an Int term; a numeral is written as a Real at once."""
    if text.isdigit():
        return f"{text}.0"
    if text.startswith("(- ") and text[3:-1].isdigit():
        return f"(- {text[3:-1]}.0)"
    return f"(to_real {text})"


def _negative_power(node: sp.Basic) -> bool:
    return isinstance(node, sp.Pow) and isinstance(node.exp, sp.Rational) and bool(node.exp.p < 0)


def translate(goal: sp.Basic, given: Sequence[sp.Basic] = (), *, abstract: bool = False) -> Translation:
    """The assertions `given` and `not goal` as SMT-LIB 2."""
    free = one_symbol_a_name([goal, *given])
    # One name, one meaning, for bound symbols too; and no symbol both bound and free.
    mentioned = {s for f in (goal, *given) for s in f.atoms(sp.Symbol)}
    one_symbol_a_name([sp.Tuple(*mentioned)])
    for f in (goal, *given):
        for node in sp.preorder_traversal(f):
            if isinstance(node, Quantifier) and (clash := set(node.bound) & set(free)):
                raise Refused(f"symbol {clash.pop()} is both bound and free")
    translator = Translator(abstract, (s.name for s in mentioned))
    assertions = []
    for g in given:
        assertions.append(translator.under(-1, g))
    assertions.append(f"(not {translator.formula(goal)})")
    declarations = [f"(declare-fun {quote(s)} () {translator.sort(s)})" for s in free]
    declarations += [f"(declare-fun {f.name} () Real)" for f in translator.fresh.values() if not f.bound]
    kind = "NIRA" if translator.integers else "NRA"
    if not translator.nonlinear:
        kind = "LIRA" if translator.integers else "LRA"
    logic = kind if translator.quantifiers else f"QF_{kind}"
    return Translation(
        declarations, assertions, translator.fresh, free, tuple(translator.bound), logic, {s: s.name for s in free}
    )


# --- validation of the text


def validate(translation: Translation, goal: sp.Basic, given: Sequence[sp.Basic]) -> int:
    """Compares the text, parsed back by z3, with exact evaluation in SymPy at five points; the number of points.

    Quantifiers are taken off on both sides. Fresh variables get independent values: a root's or a function's value is
    looked up, so the formula around it is compared, and a root's defining fact is compared beside it.
    """
    symbols = translation.symbols + translation.bound
    quoted = [f"(declare-fun {quote(s)} () {'Int' if s.is_integer else 'Real'})" for s in symbols]
    quoted += [f"(declare-fun {name} () Real)" for name in translation.fresh]
    facts = [f for f in translation.fresh.values() if f.meaning is not sp.true]
    asserted = [f"(assert {a})" for a in (*translation.assertions, *(f.fact for f in facts))]
    try:
        parsed = [_matrix(e) for e in z3.parse_smt2_string("\n".join([*quoted, *asserted]))]
    except z3.Z3Exception as problem:
        raise TranslationError(f"z3 can't parse the translation of {goal}: {problem}") from None
    expected = [*given, sp.Not(goal, evaluate=False), *(f.meaning for f in facts)]
    if len(parsed) != len(expected):
        raise TranslationError(f"{len(expected)} assertions of {goal} became {len(parsed)}")
    rng = random.Random(20)
    agreed = [0] * len(expected)
    for attempt in range(-len(TIES), 12 * VALIDATION_POINTS):
        if attempt >= 0 and min(agreed) >= VALIDATION_POINTS:
            break
        if attempt < 0:
            values = dict.fromkeys(symbols, TIES[attempt])
            lookup = dict.fromkeys(translation.fresh, abs(TIES[attempt]))
        else:
            values = {s: _random_value(rng, bool(s.is_integer), attempt) for s in symbols}
            lookup = {f.name: abs(_random_value(rng, False, attempt)) for f in translation.fresh.values()}
        kernels, roots = _kernel_values(translation, lookup)
        assignment = [_z3_pair(s.name, v, bool(s.is_integer)) for s, v in values.items()]
        assignment += [_z3_pair(name, v, False) for name, v in lookup.items()]
        evaluator = fm.Evaluator({**values, **kernels}, matrix=True, roots=roots)
        for k, (ours, theirs) in enumerate(zip(expected, parsed, strict=True)):
            if agreed[k] >= VALIDATION_POINTS:
                continue
            wanted = evaluator.truth(ours)
            if wanted is None:
                continue
            got = z3.simplify(z3.substitute(theirs, assignment))
            if z3.is_true(got) is not wanted or z3.is_false(got) is wanted:
                raise TranslationError(f"{ours} is {wanted} at {values}, its SMT text says {got}")
            agreed[k] += attempt >= 0
    return min(agreed)


def _kernel_values(
    translation: Translation, lookup: Mapping[str, sp.Rational]
) -> tuple[dict[sp.Basic, Any], dict[tuple[sp.Basic, int], Any]]:
    """Values of the SymPy nodes that fresh variables stand for, and of roots by (radicand, order)."""
    found: dict[sp.Basic, Any] = {sp.Symbol(n, real=True): v for n, v in lookup.items()}
    roots: dict[tuple[sp.Basic, int], Any] = {}
    for f in translation.fresh.values():
        if Translator.is_root(f.key):
            roots[f.key.base, int(f.key.exp.q)] = lookup[f.name]
        else:
            found[f.key] = lookup[f.name]
    for f in translation.fresh.values():
        if isinstance(f.key, sp.cos) and found[f.key] != 0:
            x = f.key.args[0]
            found[sp.tan(x, evaluate=False)] = found[sp.sin(x, evaluate=False)] / found[f.key]
    return found, roots


def _matrix(node: Any) -> Any:
    """The z3 formula without its quantifiers; of a block of fresh variables, without the facts as well."""
    if z3.is_quantifier(node):
        names = [node.var_name(i) for i in range(node.num_vars())]
        consts = [z3.Const(n, node.var_sort(i)) for i, n in enumerate(names)]
        body = z3.substitute_vars(node.body(), *reversed(consts))
        if all("!" in n for n in names) and len(body.children()) == 2:
            body = body.arg(1)
        return _matrix(body)
    if z3.is_app(node) and node.num_args() and _has_quantifier(node):
        return node.decl()(*[_matrix(c) for c in node.children()])
    return node


def _has_quantifier(node: Any) -> bool:
    return z3.is_quantifier(node) or any(z3.is_bool(c) and _has_quantifier(c) for c in node.children())


def _random_value(rng: random.Random, integer: bool, attempt: int) -> sp.Rational:
    reach = 2 + attempt // 3
    numerator = rng.randint(-reach, reach + 1)
    return sp.Integer(numerator) if integer else sp.Rational(numerator, rng.choice((1, 1, 2, 3, 5)))


def _z3_pair(name: str, value: sp.Rational, integer: bool) -> tuple[Any, Any]:
    if integer:
        return z3.Int(name), z3.IntVal(int(value))
    return z3.Real(name), z3.Q(int(value.p), int(value.q))


# --- decisions


def decide(
    formula: sp.Basic,
    given: Iterable[sp.Basic] = (),
    *,
    budget: Budget = Budget(),
    second: bool = True,
    abstract: bool = False,
) -> SmtAnswer:
    """Whether `formula` holds wherever all of `given` hold, for all values of the free symbols.

    Parameters
    ----------
    formula, given : SymPy Booleans, with `All` and `Any` inside if needed.
    budget : z3 stops after `solver_rlimit` of its resource units, cvc5 after `second_solver_seconds`.
    second : let cvc5 repeat what z3 proved.
    abstract : let transcendental terms be unknown reals with a few true facts; then nothing is ever refuted.

    Raises
    ------
    Refused : a node that isn't on the whitelist, or an undeclared symbol.
    TranslationError : the text doesn't say what the formula says.
    """
    given = fm.conjuncts(given)
    if any(g is sp.false for g in given):
        return SmtAnswer("valid", engines=(), notes=("the assumptions are false as they stand",))
    taken = {s.name for f in (formula, *given) for s in f.atoms(sp.Symbol)}
    goals = _goals(formula, {s for g in given for s in g.free_symbols} | formula.free_symbols, taken)
    texts: list[str] = []
    notes: list[str] = []
    unknown = ""
    engines: set[str] | None = None
    for goal in goals:
        answer = _decide(goal, given, budget, second, abstract)
        texts.append(answer.text)
        notes += answer.notes
        if answer.status == "counterexample":
            return answer
        if answer.status == "unknown":
            unknown = unknown or answer.reason
        else:
            engines = set(answer.engines) if engines is None else engines & set(answer.engines)
    text = "\n".join(texts)
    noted = tuple(dict.fromkeys(notes))
    if unknown:
        return SmtAnswer("unknown", notes=noted, text=text, reason=unknown)
    return SmtAnswer("valid", None, tuple(e for e in ("z3", "cvc5") if e in (engines or ())), noted, text)


def _goals(formula: sp.Basic, free: set[sp.Basic], taken: set[str]) -> list[sp.Basic]:
    """Formulas that together are equivalent to `formula` under its leading universal quantifiers."""
    if isinstance(formula, sp.And):
        return [g for a in formula.args for g in _goals(a, free, taken)]
    if isinstance(formula, All):
        formula = formula._renamed(free) if set(formula.bound) & free else formula
        return _goals(formula.body, free, taken)
    if isinstance(formula, sp.Equivalent) and len(formula.args) == 2:
        a, b = formula.args
        return _goals(sp.Implies(a, b), free, taken) + _goals(sp.Implies(b, a), free, taken)
    if isinstance(formula, sp.Implies) and isinstance(formula.args[1], (sp.And, All)):
        inner = _goals(formula.args[1], free | formula.args[0].free_symbols, taken)
        return [sp.Implies(formula.args[0], g, evaluate=False) for g in inner]
    return [formula]


def _decide(goal: sp.Basic, given: tuple[sp.Basic, ...], budget: Budget, second: bool, abstract: bool) -> SmtAnswer:
    if goal is sp.true:
        return SmtAnswer("valid", notes=("true as it stands",))
    translation = translate(goal, given, abstract=abstract)
    text = translation.text
    points = validate(translation, goal, given)
    notes = () if points >= VALIDATION_POINTS else (f"the text was compared at {points} points only",)
    if points == 0:
        return SmtAnswer("unknown", text=text, reason="undefined at all points tried: its text is unchecked")
    first = solvers.run_z3(text, rlimit=budget.solver_rlimit, seconds=budget.seconds)
    if first.status == "unsat":
        return (
            _second_opinion(text, notes, translation, budget)
            if second
            else SmtAnswer("valid", None, ("z3",), notes, text)
        )
    if first.status == "unknown":
        return SmtAnswer("unknown", notes=notes, text=text, reason=first.reason)
    if abstract and any(not Translator.is_root(f.key) for f in translation.fresh.values()):
        return SmtAnswer("unknown", notes=notes, text=text, reason="a model of the abstraction is no counter-example")
    model = counterexample(first, translation, goal, given, budget)
    if model is None:
        reason = "z3's model was not confirmed by exact evaluation"
        return SmtAnswer("unknown", notes=notes, text=text, reason=reason)
    return SmtAnswer("counterexample", model, ("z3", "exact evaluation"), notes, text)


def _second_opinion(text: str, notes: tuple[str, ...], translation: Translation, budget: Budget) -> SmtAnswer:
    if not translation.logic.startswith("QF_"):
        return SmtAnswer("valid", None, ("z3",), (*notes, "cvc5 was not asked: the formula has quantifiers"), text)
    other = solvers.run_cvc5(text, seconds=budget.second_solver_seconds)
    if not other.parsed:
        raise TranslationError(f"cvc5 can't parse the text: {other.reason}")
    if other.status == "sat":
        return SmtAnswer("unknown", None, (), notes, text, "z3 says unsat, cvc5 says sat")
    if other.status == "unsat":
        return SmtAnswer("valid", None, ("z3", "cvc5"), notes, text)
    return SmtAnswer("valid", None, ("z3",), (*notes, f"no second opinion: {other.reason}"), text)


def counterexample(
    answer: solvers.Answer, translation: Translation, goal: sp.Basic, given: Sequence[sp.Basic], budget: Budget
) -> dict[sp.Symbol, sp.Expr] | None:
    """z3's model in exact numbers, if exact evaluation confirms that it obeys `given` and refutes `goal`."""
    for point in exact_points(answer, translation):
        if all(fm.exact_truth(g, point) is True for g in given if not fm.quantified(g)):
            if any(closed_truth(g, point, budget) is not True for g in given if fm.quantified(g)):
                continue
            found = closed_truth(goal, point, budget) if fm.quantified(goal) else fm.exact_truth(goal, point)
            if found is False:
                return point
    return None


def closed_truth(formula: sp.Basic, point: Mapping[sp.Symbol, sp.Expr], budget: Budget) -> bool | None:
    """The truth of a quantified sentence at a rational point: z3 decides it afresh, with the values put in."""
    if not all(isinstance(v, sp.Rational) for v in point.values()):
        return None
    if (direct := fm.exact_truth(formula, point)) is not None:
        return direct
    closed = formula.subs(dict(point))
    if closed is sp.true or closed is sp.false:
        return closed is sp.true
    for claim, verdict in ((closed, True), (sp.Not(closed, evaluate=False), False)):
        translation = translate(claim)
        validate(translation, claim, ())
        if solvers.run_z3(translation.text, rlimit=budget.solver_rlimit, seconds=budget.seconds).status == "unsat":
            return verdict
    return None


def exact_points(answer: solvers.Answer, translation: Translation) -> Iterable[dict[sp.Symbol, sp.Expr]]:
    """The model as exact points: first with algebraic values rounded to simple rationals, then as it is."""
    values = {}
    for symbol in translation.symbols:
        name = translation.names[symbol]
        values[symbol] = answer.value(name) if name in answer.names else z3.RealVal(1)
    exact = {s: exact_number(v) for s, v in values.items()}
    if any(v is None for v in exact.values()):
        return
    irrational = [s for s, v in exact.items() if not isinstance(v, sp.Rational)]
    if irrational:
        for denominator in (2, 10, 100, 10**4, 10**6):
            yield exact | {s: _nearby(values[s], denominator) for s in irrational}
    yield exact


def exact_number(value: Any) -> sp.Expr | None:
    """A z3 numeral as an exact SymPy number."""
    if z3.is_int_value(value):
        return sp.Integer(value.as_long())
    if z3.is_rational_value(value):
        return sp.Rational(value.numerator_as_long(), value.denominator_as_long())
    if z3.is_algebraic_value(value):
        x = sp.Symbol("x")
        coefficients = [sp.Rational(c.numerator_as_long(), c.denominator_as_long()) for c in value.poly()]
        root = sp.rootof(sp.Poly(list(reversed(coefficients)), x), int(value.index()) - 1)
        near = value.approx(20)
        low = sp.Rational(near.numerator_as_long(), near.denominator_as_long())
        close = fm.exact_truth(sp.And(root > low - sp.Rational(1, 10**15), root < low + sp.Rational(1, 10**15)), {})
        return root if close else None
    return None


def _nearby(value: Any, denominator: int) -> sp.Rational:
    near = value.approx(20)
    number = sp.Rational(near.numerator_as_long(), near.denominator_as_long())
    return number.limit_denominator(denominator)
