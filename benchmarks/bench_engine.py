"""Normal forms against SymPy's general simplification, on identities that the articles need.

    make bench ARGS="-k engine"

Both get the same difference of two equal sides. The normal form must find it to be zero; whether SymPy did stands in
the column of extra information (--benchmark-json shows it).
"""

from __future__ import annotations

import pytest
import sympy as sp

from kexue.engines import normal_form

a, b, g, m, n, theta = sp.symbols("a b g m n theta", real=True)


def rotation(t):
    return sp.Matrix([[sp.cos(t), -sp.sin(t)], [sp.sin(t), sp.cos(t)]])


IDENTITIES = {
    "relative rotation": (rotation(m * theta).T * rotation(n * theta) - rotation((n - m) * theta))[0, 0],
    "expanded power": (a + b + g) ** 12 - sp.expand((a + b + g) ** 12),
    "partial fractions": 1 / (a * (a + 1) * (a + 2)) - (1 / a - 2 / (a + 1) + 1 / (a + 2)) / 2,
    "sigmoid derivative": sp.diff(1 / (1 + sp.exp(-a)), a) - sp.exp(a) / (1 + sp.exp(a)) ** 2,
    "roots": 1 / (sp.sqrt(1 + a**2) - a) - sp.sqrt(1 + a**2) - a,
}


def clear_then(expr):
    """SymPy remembers results: without this only the first round would be work."""
    sp.core.cache.clear_cache()
    return (expr,), {}


@pytest.fixture(params=IDENTITIES, ids=lambda name: name.replace(" ", "-"))
def identity(request):
    return IDENTITIES[request.param]


def test_flint_normal_form(benchmark, request, identity):
    benchmark.group = f"engine: {request.node.callspec.id}"
    assert benchmark.pedantic(normal_form.is_zero, setup=lambda: clear_then(identity), rounds=5)


def test_sympy_simplify(benchmark, request, identity):
    benchmark.group = f"engine: {request.node.callspec.id}"
    result = benchmark.pedantic(sp.simplify, setup=lambda: clear_then(identity), rounds=5)
    benchmark.extra_info["found zero"] = bool(result == 0)
