"""Where an expression is defined over the reals: the obligations it raises, and their proof from the assumptions.

Nothing is assumed: a denominator is shown to be non-zero and a radicand non-negative before an identity counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean, BooleanFunction
from sympy.matrices.expressions.matexpr import MatrixElement

from ..findings import Budget
from . import balls, smt
from .formula import All, Quantifier, conjuncts, constant_sign, domain, nonzero
from .gate import Refused

Condition = tuple[type[Relational], sp.Expr]
_proofs: dict[Any, tuple[bool, tuple[str, ...]]] = {}
_signs: dict[Any, int | None] = {}


def obligations(expr: Any) -> list[Boolean]:
    """The conditions under which an expression, a formula or a matrix of expressions is defined.

    They are conservative: each branch of a Piecewise and each part of a formula must be defined everywhere. Conditions
    on bound symbols are universally quantified.
    """
    found: dict[Boolean, None] = {}
    if isinstance(expr, sp.MatrixBase):
        for entry in expr:
            found.update(dict.fromkeys(obligations(entry)))
        return list(found)
    if isinstance(expr, (tuple, list)):
        for part in expr:
            found.update(dict.fromkeys(obligations(part)))
        return list(found)
    _collect(expr, found, {})
    return list(found)


def _collect(node: sp.Basic, found: dict[Boolean, None], cache: dict[sp.Basic, None]) -> None:
    if node in cache:
        return
    cache[node] = None
    if isinstance(node, Quantifier):
        inner: dict[Boolean, None] = {}
        _collect(node.body, inner, {})
        for condition in inner:
            bound = [s for s in node.bound if s in condition.free_symbols]
            found[All(bound, condition) if bound else condition] = None
        return
    if isinstance(node, (sp.Sum, sp.Product)):
        _collect_sum(node, found)
        return
    if isinstance(node, sp.Piecewise):
        for value, condition in node.args:
            _collect(value, found, cache)
            _collect(condition, found, cache)
        if node.args[-1][1] is not sp.true:
            found[sp.Or(*[condition for _, condition in node.args])] = None
        found.pop(sp.true, None)
        return
    if isinstance(node, sp.Derivative):
        if not isinstance(node.expr, AppliedUndef):
            raise Refused(f"can't tell where the unevaluated derivative {node} is defined")
        _collect(node.expr, found, cache)
        return
    if isinstance(node, sp.Pow) and node.exp.is_integer and not isinstance(node.exp, sp.Integer):
        if node.base is not sp.E and not node.exp.is_nonnegative:  # b^0 = 1 for every b, and b^n is a polynomial
            nonzero_base = sp.Ne(node.base, 0, evaluate=False) if node.base.free_symbols else sp.Ne(node.base, 0)
            found[sp.Or(nonzero_base, sp.Ge(node.exp, 0, evaluate=False))] = None
            found.pop(sp.true, None)
    else:
        for relation, condition in _own_conditions(node):
            _add(relation, condition, found)
    for a in node.args:
        _collect(a, found, cache)


def _collect_sum(node: Any, found: dict[Boolean, None]) -> None:
    inner: dict[Boolean, None] = {}
    _collect(node.function, inner, {})
    for _, first, last in node.limits:
        _collect(first, found, {})
        _collect(last, found, {})
    for condition in inner:
        for k, first, last in reversed(node.limits):
            if k in condition.free_symbols:
                condition = All(k, sp.Implies(sp.And(sp.Ge(k, first), sp.Le(k, last)), condition))
        found[condition] = None


def _own_conditions(node: sp.Basic) -> list[Condition]:
    """What the node itself asks of its arguments."""
    if isinstance(node, sp.Pow):
        return _power_conditions(node.base, node.exp)
    if isinstance(node, (sp.Float,)) or node in (sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise Refused(f"{node} is not an exact number")
    if isinstance(node, (sp.Symbol, sp.Rational, sp.NumberSymbol, sp.core.numbers.ImaginaryUnit, sp.CRootOf)):
        return []
    if isinstance(node, (sp.Add, sp.Mul, Relational, BooleanFunction, AppliedUndef)) or node in (sp.true, sp.false):
        return []
    if isinstance(node, MatrixElement):
        return []
    if isinstance(node, (sp.Function, sp.Min, sp.Max)):
        conditions = domain(node.func, node.args)
        if conditions is not None:
            return conditions
    raise Refused(f"don't know where {type(node).__name__} is defined: {node}")


def _power_conditions(base: sp.Expr, exponent: sp.Expr) -> list[Condition]:
    complex_ = balls.is_complex(base)
    if base is sp.E:
        return []
    if isinstance(exponent, sp.Integer):
        return [(sp.Ne, base)] if exponent < 0 else []
    if isinstance(exponent, sp.Rational):
        if complex_:
            return [(sp.Ne, base)] if exponent < 0 else []
        return [(sp.Gt if exponent < 0 else sp.Ge, base)]
    return [(sp.Ne if complex_ else sp.Gt, base)]


def _add(relation: type[Relational], expr: sp.Expr, found: dict[Boolean, None]) -> None:
    """Adds `expr relation 0`, unless a rational number shows it at once."""
    if isinstance(expr, sp.Rational):
        value = bool(expr != 0) if relation is sp.Ne else bool(expr > 0) if relation is sp.Gt else bool(expr >= 0)
        if not value:
            found[sp.false] = None
        return
    found[relation(expr, 0, evaluate=False)] = None


def prove_defined(
    expr: Any, given: Iterable[Boolean] = (), budget: Budget = Budget(), known: Iterable[Boolean] = ()
) -> tuple[bool, list[Boolean], tuple[str, ...]]:
    """Proves every obligation of `expr` from `given` and the lemmas `known`.

    Returns whether all are proved, those that aren't, and the engines used. To see that the assumptions themselves are
    defined, pass them as `expr` too: where a denominator is 0 the solver may give the quotient any value, so `1/x > 2`
    alone doesn't prove `x ≠ 0`.
    """
    premises = conjuncts((*given, *known))
    failed: list[Boolean] = []
    engines: dict[str, None] = {}
    for obligation in obligations(expr):
        proved, used = prove(obligation, premises, budget)
        engines.update(dict.fromkeys(used))
        if not proved:
            failed.append(obligation)
    return not failed, failed, tuple(engines)


def prove(condition: Boolean, given: Iterable[Boolean], budget: Budget = Budget()) -> tuple[bool, tuple[str, ...]]:
    """Proves one condition from `given`: as a constant, by its factors, or by SMT with abstraction."""
    premises = conjuncts(given)
    key = (condition, premises, budget)
    if key not in _proofs:
        _proofs[key] = _prove(condition, premises, budget)
    return _proofs[key]


def _prove(condition: Boolean, given: tuple[Boolean, ...], budget: Budget) -> tuple[bool, tuple[str, ...]]:
    if condition is sp.true or condition in given:
        return True, ()
    if condition is sp.false:
        return False, ()
    if isinstance(condition, sp.Or):
        for part in condition.args:
            proved, used = prove(part, given, budget)
            if proved:
                return True, used
    if isinstance(condition, Relational) and isinstance(condition, (sp.Ne, sp.Gt, sp.Ge)):
        difference = condition.lhs - condition.rhs
        if not difference.free_symbols and not difference.has(AppliedUndef):
            return _constant(condition, difference), ("arb",)
        if _by_factors(condition, difference, given):
            return True, ("factors",)
    if any(balls.is_complex(f) for f in (condition, *given)):
        real = _real_form(condition)
        if real is None:
            return False, ()
        return prove(real, [r for g in given if (r := _real_form(g)) is not None], budget)
    try:
        answer = smt.decide(condition, _expressible(given), budget=budget, abstract=True)
    except Refused:
        return False, ()
    return answer.status == "valid", answer.engines


def _real_form(condition: Boolean) -> Boolean | None:
    """An equation or inequation of complex numbers as one of their real and imaginary parts; None if out of reach."""
    if not balls.is_complex(condition):
        return condition
    if not isinstance(condition, (sp.Eq, sp.Ne)) or condition.count_ops() > 300:
        return None
    names = {s.name for s in condition.atoms(sp.Symbol)}
    parts = {}
    for z in condition.atoms(sp.Symbol):
        if balls.is_complex(z):
            if {f"re_{z.name}", f"im_{z.name}"} & names:
                return None
            parts[z] = sp.Symbol(f"re_{z.name}", real=True) + sp.I * sp.Symbol(f"im_{z.name}", real=True)
    difference = (condition.lhs - condition.rhs).subs(parts)
    real, imaginary = sp.expand(difference).as_real_imag()
    if balls.is_complex(real) or balls.is_complex(imaginary):
        return None
    if isinstance(condition, sp.Eq):
        return sp.And(sp.Eq(real, 0), sp.Eq(imaginary, 0))
    return sp.Or(sp.Ne(real, 0), sp.Ne(imaginary, 0))


def _expressible(given: tuple[Boolean, ...]) -> tuple[Boolean, ...]:
    """The assumptions that SMT can express; leaving one out only makes the proof harder."""
    kept = []
    for g in given:
        try:
            smt.translate(sp.false, [g], abstract=True)
        except Refused:
            continue
        kept.append(g)
    return tuple(kept)


def _constant(condition: Relational, value: sp.Expr) -> bool:
    if isinstance(condition, sp.Ne) and nonzero(value):
        return True
    if balls.is_complex(value):
        return False
    sign = constant_sign(value)
    if sign is None:
        return False
    return sign != 0 if isinstance(condition, sp.Ne) else sign > 0 if isinstance(condition, sp.Gt) else sign >= 0


Factors = tuple[sp.Expr, tuple[tuple[sp.Expr, int], ...]]
_factorizations: dict[sp.Expr, Factors | None] = {}


def _factors(expr: sp.Expr) -> Factors | None:
    """Constant and irreducible factors over Q with non-polynomial terms as generators; None if SymPy declines."""
    if expr not in _factorizations:
        try:
            constant, factors = sp.factor_list(sp.numer(sp.together(expr)) if expr.is_rational_function() else expr)
            _factorizations[expr] = constant, tuple(factors)
        except (sp.PolynomialError, NotImplementedError, sp.CoercionFailed):
            _factorizations[expr] = None
    return _factorizations[expr]


def _by_factors(condition: Relational, expr: sp.Expr, given: tuple[Boolean, ...]) -> bool:
    if expr.count_ops() > 2000:
        return False
    found = _factors(expr)
    if found is None or found[0] == 0:
        return False
    constant, factors = found
    non_zero, signs = _known_factors(given)
    if isinstance(condition, sp.Ne):
        return all(_is_positive_function(f) or f in non_zero or (f.is_number and nonzero(f)) for f, _ in factors)
    if expr.is_rational_function() and not expr.is_polynomial():
        return False  # the numerator alone has another sign
    sign = _rational_sign(constant)
    for factor, power in factors:
        if power % 2 == 0 and (factor in non_zero or isinstance(condition, sp.Ge)):
            continue
        known = 1 if _is_positive_function(factor) else signs.get(factor)
        if known is None:
            return False
        sign *= known**power
    return sign > 0


def _is_positive_function(expr: sp.Expr) -> bool:
    """A function that is positive wherever `obligations` lets it be defined (Γ and the factorial on that domain)."""
    return isinstance(expr, sp.exp) or (
        isinstance(expr, (sp.cosh, sp.gamma, sp.factorial)) and not balls.is_complex(expr)
    )


def _rational_sign(constant: sp.Expr) -> int:
    sign = constant_sign(constant)
    return 0 if sign is None else sign


_known: dict[tuple[Boolean, ...], tuple[frozenset[sp.Expr], dict[sp.Expr, int]]] = {}


def _known_factors(given: tuple[Boolean, ...]) -> tuple[frozenset[sp.Expr], Mapping[sp.Expr, int]]:
    """Irreducible factors that the assumptions make non-zero, and those of known strict sign."""
    if given not in _known:
        non_zero: set[sp.Expr] = set()
        signs: dict[sp.Expr, int] = {}
        for g in given:
            if not isinstance(g, (sp.Ne, sp.Gt, sp.Lt)):
                continue
            difference = g.lhs - g.rhs
            found = _factors(difference)
            if found is None or (difference.is_rational_function() and not difference.is_polynomial()):
                continue
            constant, factors = found
            non_zero.update(f for f, _ in factors)
            if len(factors) == 1 and factors[0][1] % 2 == 1 and not isinstance(g, sp.Ne):
                signs[factors[0][0]] = _rational_sign(constant) * (1 if isinstance(g, sp.Gt) else -1)
        _known[given] = frozenset(non_zero), {f: s for f, s in signs.items() if s}
    return _known[given]


def sign_known(expr: sp.Expr, given: Iterable[Boolean] = (), budget: Budget = Budget()) -> int | None:
    """1 if `given` proves expr ≥ 0, -1 if it proves expr ≤ 0, 0 if both; None if neither."""
    premises = conjuncts(given)
    key = (expr, premises, budget)
    if key not in _signs:
        above = _at_least_zero(expr, premises, budget)
        # Both hold only where expr = 0, so the second question is asked only of what isn't strictly positive.
        below = not (above and prove(sp.Ne(expr, 0, evaluate=False), premises, budget)[0]) and _at_least_zero(
            -expr, premises, budget
        )
        _signs[key] = 0 if above and below else 1 if above else -1 if below else None
    return _signs[key]


def _at_least_zero(expr: sp.Expr, given: tuple[Boolean, ...], budget: Budget) -> bool:
    if isinstance(expr, sp.Rational):
        return bool(expr >= 0)
    return prove(sp.Ge(expr, 0, evaluate=False), given, budget)[0]
