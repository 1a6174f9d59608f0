"""The SMT translator, its two solvers, definedness and exact points."""

from __future__ import annotations

import os
import time

import pytest
import sympy as sp
from sympy import Abs, And, Eq, Equivalent, Function, Implies, Max, Min, Ne, Or, Rational, Symbol, sqrt, symbols

from kexue.engines import smt, solvers
from kexue.engines.definedness import obligations, prove_defined, sign_known
from kexue.engines.formula import All, Any, algebraic_zero, exact_truth
from kexue.engines.gate import Refused
from kexue.engines.points import find_point
from kexue.engines.smt import decide
from kexue.findings import Budget

x, y, a, b, c, g, gamma = symbols("x y a b c g gamma", real=True)
n, m = symbols("n m", integer=True)
f = Function("f")
half = Rational(1, 2)


def refuted(formula, given=()):
    """Decides, and checks the counter-example by plain substitution in SymPy."""
    answer = decide(formula, given)
    assert answer.status == "counterexample", answer
    for condition in given:
        assert condition.subs(answer.model) == sp.true
    return answer


def test_clipping_moves_towards_the_clipped():
    low, high, s = symbols("l u s", real=True)
    closer = Abs(Min(Max(x, low), high) - s) <= Abs(x - s)
    answer = decide(closer, [low <= s, s <= high])
    assert answer.status == "valid" and answer.engines == ("z3", "cvc5")
    assert closer.subs(refuted(closer, [low <= high]).model) == sp.false


def test_correlation_matrix_of_order_three():
    v = symbols("x1:4", real=True)
    form = sum(t**2 for t in v) + 2 * a * v[0] * v[1] + 2 * b * v[0] * v[2] + 2 * c * v[1] * v[2]
    minor = 2 * a * b * c - a**2 - b**2 - c**2
    nonzero = Or(*[Ne(t, 0) for t in v])
    answer = decide(form > 0, [1 - a**2 > 0, 1 + minor > 0, nonzero], budget=Budget(second_solver_seconds=0.2))
    assert answer.status == "valid" and "z3" in answer.engines
    assert "cvc5" in answer.engines or answer.notes
    refuted(form > 0, [1 - a**2 > 0, Rational(11, 10) + minor > 0, nonzero])


def test_two_sided_bound():
    hard, soft = Min(1, gamma / g), gamma / (g + gamma)
    given = [g > 0, gamma > 0]
    assert decide(And(hard / 2 <= soft, soft <= hard), given).status == "valid"
    refuted(Rational(51, 100) * hard <= soft, given)
    refuted(And(hard / 2 <= soft, soft <= hard * Rational(99, 100)), given)
    assert prove_defined((hard, soft), given)[0]


def test_quantified_equivalence():
    definite = All((x, y), Implies(Or(Ne(x, 0), Ne(y, 0)), a * x**2 + 2 * b * x * y + c * y**2 > 0))
    assert decide(Equivalent(definite, And(a > 0, a * c - b**2 > 0))).status == "valid"
    assert decide(Equivalent(definite, And(a > 0, a * c - b**2 >= 0))).status == "counterexample"
    assert decide(Any(x, Eq(sqrt(x**2 + 1), y)), [y >= 1]).status == "valid"
    assert decide(Any(x, Eq(sqrt(x**2 + 1), y)), [y >= 0]).status == "counterexample"


def test_reciprocals_do_not_reverse_the_order_across_zero():
    assert refuted(1 / x <= 1 / y, [x >= y, Ne(x, 0), Ne(y, 0)]).model.keys() == {x, y}


def test_integers_are_no_reals():
    assert decide(n**2 >= n).status == "valid"
    assert refuted(x**2 >= x).status == "counterexample"
    assert decide(n > half, [n > 0]).status == "valid"
    assert isinstance(refuted(2 * n <= m + x, [x >= 0]).model[n], sp.Integer)
    assert "to_real" in decide(n * x <= Abs(n) * Abs(x)).text


@pytest.mark.parametrize(
    "formula",
    [
        sp.Float(0.5) * x > 0,
        Eq(Symbol("A", commutative=False) * Symbol("B", commutative=False), 0),
        Symbol("k") > x,
        Symbol("p", positive=True) * x > 0,
        sp.Gt(x, Symbol("x", integer=True)),
        sp.sin(x) < 2,
        sp.Lt(x, sp.oo, evaluate=False),
        Eq(Symbol("z", complex=True), x),
        All(y, Any(y, x > y)),
        And(x > 0, All(x, x > y)),
        Symbol("a|b", real=True) > 0,
    ],
)
def test_refused(formula):
    with pytest.raises(Refused):
        decide(Or(formula, y > 0, evaluate=False))


def test_a_small_limit_gives_unknown():
    hard = x**5 * y + 3 * x * y * a * b * c <= (x**6 + y**6 + a**6 + b**6 + c**6) * 2 + 1
    answer = decide(hard, budget=Budget(solver_rlimit=100))
    assert answer.status == "unknown" and answer.reason and not answer.engines


def test_a_solver_that_disagrees_hangs_or_crashes(monkeypatch):
    monkeypatch.setattr(solvers, "_cvc5_answer", lambda text: "sat")
    assert "cvc5 says sat" in decide(x**2 + y**2 >= 2 * x * y).reason
    monkeypatch.setattr(solvers, "_cvc5_answer", lambda text: time.sleep(60))
    start = time.perf_counter()
    answer = decide(x**2 + y**2 >= 2 * x * y, budget=Budget(second_solver_seconds=0.1))
    assert answer.engines == ("z3",) and "did not answer" in answer.notes[0] and time.perf_counter() - start < 2
    monkeypatch.setattr(solvers, "_cvc5_answer", lambda text: os.abort())
    answer = decide(x**2 + y**2 >= 2 * x * y)
    assert answer.engines == ("z3",) and "crashed" in answer.notes[0]


def test_algebraic_models_are_exact():
    answer = decide(Ne(x**2, 2))
    assert answer.status == "counterexample" and answer.model[x] ** 2 == 2
    root = decide(Ne(x**5 - x - 1, 0)).model[x]
    assert exact_truth(And(root**5 - root - 1 >= 0, root**5 - root <= 1), {}) is True
    assert decide(Ne(x**3 - 3 * x, y), [Eq(y**2, 2)]).status == "counterexample"
    assert isinstance(decide(x**5 - x - 1 < 0).model[x], sp.Rational)


@pytest.mark.parametrize(
    ("broken", "formula"),
    [
        ({"relation": lambda self, node: f"(> {self.term(node.lhs)[0]} {self.term(node.rhs)[0]})"}, x >= y),
        ({"product": lambda self, node: (f"(+ {' '.join(self.term(t)[0] for t in node.args)})", False)}, x * y > a),
        ({"whole_power": lambda self, term, k: term}, x**2 + y**2 > 1),
        ({"variable": lambda self, prefix, key, define: smt.Translator.shared(self, key, define)}, sqrt(x) < sqrt(y)),
    ],
)
def test_a_broken_translator_is_caught(monkeypatch, broken, formula):
    def shared(self, key, define):
        """One variable for all roots, which identifies different terms."""
        fact, meaning = define("root!1")
        self.fresh["root!1"] = smt.Fresh("root!1", key, fact, meaning, frozenset())
        return "root!1"

    monkeypatch.setattr(smt.Translator, "shared", shared, raising=False)
    for name, method in broken.items():
        monkeypatch.setattr(smt.Translator, name, method)
    with pytest.raises(smt.TranslationError):
        decide(formula)


def test_abstraction_proves_but_never_refutes():
    assert decide(2 * sp.sin(x) * sp.cos(x) <= 1, abstract=True).status == "valid"
    assert decide(sp.log(x) <= x - 1, [x > 0], abstract=True).status == "valid"
    assert decide(sp.sin(x) < half, abstract=True).status == "unknown"
    assert decide(All(x, Any(y, And(x < y, sp.sin(y) < 2))), abstract=True).status == "valid"
    assert decide(Any(y, sp.sin(y) < half), abstract=True).status == "unknown"
    assert decide(sp.false, [All(y, f(y) > 0), All(y, f(y) < 1)], abstract=True).status == "unknown"


def test_roots():
    assert decide(sqrt(x * y) <= (x + y) / 2, [x >= 0, y >= 0]).status == "valid"
    refuted(sqrt(x * y) <= (x + y) / 3, [x >= 0, y >= 0])
    assert decide(sqrt(x) * sqrt(y) < 0).status == "unknown"  # below 0 the root is no real number: no counter-example
    assert decide(x ** Rational(1, 3) <= 1 + x, [x >= 0]).status == "valid"


def test_definedness():
    assert prove_defined(sqrt(x - 1), [x >= 0, x <= 2])[:2] == (False, [sp.Ge(x - 1, 0)])
    assert prove_defined(sqrt(x - 1), [x >= 1])[0]
    assert prove_defined(1 / (x**2 - y**2), [Ne(x, y), x + y > 0])[0]
    assert not prove_defined(1 / (x**2 - y**2), [Ne(x, y)])[0]
    assert prove_defined(sp.log(1 + sp.exp(x)) + 1 / sqrt(1 - sp.tanh(x) ** 2))[0]
    assert prove_defined(1 / (sp.pi - 3) + sqrt(sqrt(2) - 1))[0]
    assert not prove_defined(x ** Rational(1, 3))[0]  # SymPy's odd root of a negative number is complex
    assert not prove_defined(x**n)[0] and prove_defined(x**n, [Ne(x, 0)])[0]
    assert prove_defined(All(x, 1 / (x**2 - y) > 0), [y < 0])[0]
    assert not prove_defined(sp.Piecewise((x, x > 0), (1, x < -1)))[0]
    z = Symbol("z", complex=True)
    assert prove_defined(1 / (1 + z * sp.conjugate(z)))[0] and not prove_defined(1 / (1 + z))[0]
    assert not prove_defined(1 / x, [1 / x > 2])[0]
    with pytest.raises(Refused):
        obligations(sp.zeta(x))


def test_sign_known():
    assert sign_known(x - y, [x >= y]) == 1
    assert sign_known(x - y, [x <= y]) == -1
    assert sign_known(x - y, [x <= y, y <= x]) == 0
    assert sign_known(x) is None


def test_quantifiers_do_not_capture():
    t, bound = Symbol("t", real=True), All(Symbol("t", real=True), Symbol("t", real=True) * x > y)
    assert bound.free_symbols == {x, y}
    assert bound.subs(t, 5) == bound
    moved = bound.subs(x, t)
    assert moved.free_symbols == {t, y} and bound.xreplace({x: t}) == moved
    assert str(bound) == "(∀ t: t*x > y)" and r"\forall t" in sp.latex(And(bound, x > 0))


def test_exact_truth_is_three_valued():
    assert exact_truth(1 / x > 0, {x: 0}) is None
    assert exact_truth(And(1 / x > 0, y > 0), {x: 0, y: -1}) is False
    assert exact_truth(Or(1 / x > 0, y > 0), {x: 0, y: 1}) is True
    assert exact_truth(sp.log(x) > 1, {x: -1}) is None
    assert exact_truth(sqrt(x) > -1, {x: -1}) is None
    assert exact_truth(Eq(x**2, 2), {x: sqrt(2)}) is True
    assert exact_truth(x > 1 + Rational(1, 10**50), {x: 1 + sqrt(2) / 10**50}) is True
    assert algebraic_zero(1 / (sqrt(2) + sqrt(3)) - sqrt(3) + sqrt(2))
    assert not algebraic_zero(sqrt(2) + sqrt(3) - Rational(314626437, 10**8))
    with pytest.raises(Refused):
        exact_truth(x > 0, {x: 0.5})


def test_points():
    circle = Eq(a**2 + b**2, 1)
    points = find_point([circle, c > a], [a, b, c], avoid=[1 / (a - b)], count=3)
    assert len(points) == 3
    for point in points:
        assert all(isinstance(v, sp.Rational) for v in point.values()) and exact_truth(circle, point) is True
    assert find_point([x > 1000, x < 1001], [x]) and find_point([n > 2, n < 4], [n]) == [{n: 3}]
    assert find_point([Eq(x**2, 2)], [x])[0][x] ** 2 == 2
    assert find_point([x > 1, x < 1], [x]) == []
    assert find_point([All(x, a * x**2 + b * x + c > 0)], [a, b, c])


def test_points_of_a_sphere_are_generic():
    v = symbols("x1:9", real=True)
    sphere = Eq(sum(t**2 for t in v), 1)
    for point in find_point([sphere, y > 0], [*v, y], count=2):
        assert sum(point[t] ** 2 for t in v) == 1 and all(point[t] != 0 for t in v)
