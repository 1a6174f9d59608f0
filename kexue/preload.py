"""What every worker needs, done once in the fork server: a fork then costs milliseconds.

Beside the imports, two small statements are checked and rendered, so that SymPy has filled the caches which nearly
every job would fill again (of its assumptions and printers). No solver is called: z3 starts threads, which a fork
doesn't survive.
"""

import cvc5  # noqa: F401
import flint  # noqa: F401
import mpmath  # noqa: F401
import numpy  # noqa: F401
import sympy as sp
import z3  # noqa: F401

import kexue.worker  # noqa: F401
from kexue.findings import Budget
from kexue.statements import ForAll, Gram, Identity, OperatorIdentity


def _fill_caches() -> None:
    x, y, c = sp.symbols("x y c", real=True)
    n = sp.Symbol("n", integer=True)
    a, b = Gram("a b", [[1, c], [c, 1]]).vectors()
    left = sp.Matrix([[sp.sin(x + y) + sp.exp(x) * sp.exp(-x), 2 ** (n + 1)], [sp.sqrt(x**2 + 1) ** 2, sp.Max(x, y)]])
    right = sp.Matrix([[sp.sin(x) * sp.cos(y) + sp.cos(x) * sp.sin(y) + 1, 2 * 2**n], [x**2 + 1, sp.Max(y, x)]])
    for statement in (Identity(left, right), OperatorIdentity(a.outer(b) @ b.outer(a), a.outer(a))):
        statement.check(Budget())
        statement.text()
        statement.latex()
    ForAll(sp.And(x**2 + 1 >= 2 * x, y > 0), [x > 0, y >= 1]).text()


_fill_caches()
