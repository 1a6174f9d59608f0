"""The gate that every input passes before any arithmetic: exact numbers and declared symbols only."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

SORTS = ({"real": True}, {"integer": True}, {"complex": True})


class Refused(ValueError):
    """An input that no engine may see; the message names it and says what was expected."""


def exact(value: Any, name: str = "value") -> sp.Basic:
    """Converts an exact number, expression, Boolean or matrix to SymPy, and passes it through the gate."""
    if isinstance(value, Fraction):
        return sp.Rational(value.numerator, value.denominator)
    if isinstance(value, bool):
        return sp.true if value else sp.false
    if isinstance(value, int):
        return sp.Integer(value)
    if isinstance(value, sp.MatrixBase):
        value = value.as_immutable()
    if not isinstance(value, sp.Basic):
        raise Refused(
            f"{name} must be exact (int, Fraction or a SymPy expression), got {type(value).__name__} {value!r}"
        )
    inspect_nodes(value, name)
    return value


def expression(value: Any, name: str = "expression") -> sp.Expr:
    """As `exact`, for a scalar: a Boolean, a relation or a matrix is refused."""
    found = exact(value, name)
    if not isinstance(found, sp.Expr) or isinstance(found, sp.MatrixBase):
        raise Refused(f"{name} must be a scalar expression, got {type(found).__name__} {found}")
    return found


def formula(value: Any, name: str = "formula") -> sp.Basic:
    """As `exact`, for a truth value: a number where a Boolean belongs is refused."""
    found = exact(value, name)
    if not isinstance(found, sp.logic.boolalg.Boolean) or isinstance(found, sp.Symbol):
        raise Refused(f"{name} must be a relation or a Boolean formula, got {type(found).__name__} {found}")
    return found


def sort(symbol: sp.Symbol) -> str:
    """The declared sort of a symbol: "real", "integer" or "complex". Signs belong into `given`."""
    declared = {k: v for k, v in symbol._assumptions_orig.items() if k != "commutative" or v is False}
    for allowed in SORTS:
        if declared == allowed:
            return next(iter(allowed))
    if declared.get("commutative") is False:
        raise Refused(f"symbol {symbol} is non-commutative: use Words or OperatorIdentity")
    said = ", ".join(f"{k}={v}" for k, v in declared.items()) or "nothing"
    raise Refused(
        f"symbol {symbol} must be declared real=True, integer=True or complex=True alone "
        f"(signs go into given), got {said}"
    )


def inspect_nodes(value: sp.Basic, name: str = "input") -> None:
    """Refuses floats, infinities, undeclared or non-commutative symbols, and matrices of unknown size."""
    for node in sp.preorder_traversal(value):
        if isinstance(node, sp.Float):
            raise Refused(f"{name} contains the float {node}: write a Rational, the evidence is lost otherwise")
        if isinstance(node, sp.Symbol):
            sort(node)
        elif node in (sp.nan, sp.zoo, sp.oo, -sp.oo):
            raise Refused(f"{name} contains {node}, which is not a number")
        elif isinstance(node, (sp.MatrixSymbol, sp.Wild)):
            raise Refused(f"{name} contains {type(node).__name__} {node}: write explicit entries, or use Words")
        elif isinstance(node, (sp.Derivative, sp.Integral, sp.Limit)) and not _of_unknown(node):
            raise Refused(f"{name} contains an unevaluated {type(node).__name__}: {node}")


def _of_unknown(node: sp.Basic) -> bool:
    return isinstance(node, sp.Derivative) and isinstance(node.expr, AppliedUndef)


def one_symbol_a_name(values: Iterable[sp.Basic]) -> tuple[sp.Symbol, ...]:
    """The free symbols of all values, sorted by name; two symbols that share a name are refused."""
    found: dict[str, sp.Symbol] = {}
    for value in values:
        for symbol in value.free_symbols:
            if not isinstance(symbol, sp.Symbol):
                raise Refused(f"{symbol} is not a plain symbol")
            other = found.setdefault(symbol.name, symbol)
            if other is not symbol and other != symbol:
                raise Refused(
                    f"two different symbols are named {symbol.name!r}: "
                    f"{other._assumptions_orig} and {symbol._assumptions_orig}"
                )
    return tuple(found[name] for name in sorted(found))


def rounded_floats(value: sp.Basic) -> tuple[sp.Rational, ...]:
    """Rationals that look like a rounded float: a long dyadic or decimal fraction."""
    found = []
    for number in value.atoms(sp.Rational):
        q = int(number.q)
        dyadic = q & (q - 1) == 0 and q.bit_length() > 30 and int(number.p).bit_length() > 30
        if dyadic or (q % 10 == 0 and q >= 10**9 and set(str(q)) <= {"1", "0"}):
            found.append(number)
    return tuple(sorted(found))
