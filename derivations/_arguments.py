"""Checks of arguments that several articles share: exact numbers, and whole numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp


def exact_number(name: str, value: Any, least: int | None = None, strict: bool = False) -> Fraction:
    """The value as a fraction.

    Raises:
        ValueError: it is inexact or not finite, less than `least`, or with `strict` equal to it.
    """
    if isinstance(value, sp.Rational):
        value = Fraction(int(value.p), int(value.q))
    if not isinstance(value, (int, Fraction)) or isinstance(value, bool):
        raise ValueError(f"{name} must be exact and finite (int, Fraction or Rational), got {value!r}")
    if least is not None and (value < least or (strict and value == least)):
        raise ValueError(f"{name} must be {'>' if strict else '≥'} {least}, got {value}")
    return Fraction(value)


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """The value itself.

    Raises:
        ValueError: it is no integer, or less than `least`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer ≥ {least}, got {value!r}")
    return value
