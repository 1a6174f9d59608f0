"""What every worker needs, imported once in the fork server so that a fork costs milliseconds; it sets no state."""

import cvc5  # noqa: F401
import flint  # noqa: F401
import mpmath  # noqa: F401
import sympy  # noqa: F401
import z3  # noqa: F401

import kexue.statements
import kexue.worker  # noqa: F401
