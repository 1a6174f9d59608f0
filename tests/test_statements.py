"""What each kind of statement establishes and refutes, on small examples with known answers."""

from __future__ import annotations

import pytest
import sympy as sp
from sympy import (
    Abs,
    E,
    Eq,
    I,
    Max,
    Min,
    Rational,
    conjugate,
    cos,
    cosh,
    exp,
    factorial,
    log,
    oo,
    pi,
    sin,
    sinh,
    sqrt,
)  # fmt: skip

from kexue.claims import Witnesses
from kexue.findings import Budget
from kexue.statements import (
    All,
    Any,
    Counts,
    Derivation,
    Enclosure,
    Exists,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Induction,
    Integral,
    Limit,
    OperatorIdentity,
    Words,
    letters,
)  # fmt: skip
from kexue.worker import check

x, y, t, c = sp.symbols("x y t c", real=True)
n, k = sp.symbols("n k", integer=True)
w = sp.Symbol("w", complex=True)
u, v = sp.Function("u"), sp.Function("v")
PLANE = Gram("a b", [[1, c], [c, 1]])
a, b = PLANE.vectors()
A, P, R = letters("A P R")
TURN = {"R": [[Rational(3, 5), -Rational(4, 5)], [Rational(4, 5), Rational(3, 5)]]}
PENROSE = [(A * P * A, A), (P * A * P, P), ((A * P).T, A * P), ((P * A).T, P * A)]
PAIR = {"A": [[1, 2], [2, 4]], "P": [[Rational(1, 25), Rational(2, 25)], [Rational(2, 25), Rational(4, 25)]]}


def rotation(angle):
    return sp.Matrix([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])


def product(size, scalar):
    total = scalar(1) * scalar(1)
    for _ in range(size - 1):
        total = total + scalar(2) * scalar(3)


TRUE = {
    "proved": [
        Identity(rotation(n * t).T * rotation(k * t), rotation((k - n) * t)),
        Identity(cosh(x) ** 2 - sinh(x) ** 2, 1),
        Identity(exp(I * x) * exp(-I * x), 1),
        Identity(cos(2 * pi / 7) + cos(4 * pi / 7) + cos(6 * pi / 7), -Rational(1, 2)),
        Identity(sqrt(5 + 2 * sqrt(6)), sqrt(2) + sqrt(3)),
        Identity(Max(x, y) * Min(x, y), x * y),
        Identity(factorial(n + 2), (n + 2) * (n + 1) * factorial(n), [n >= 0]),
        Identity(6 ** (n + 1), 6 * 2**n * 3**n),
        Identity((x**2 - y**2) ** 2 + 4 * x**2 * y**2, 1, [Eq(x**2 + y**2, 1)]),
        Identity(Abs(w) ** 2, w * conjugate(w)),
        Identity(u(x + 1) ** 2 - 1, (u(1 + x) - 1) * (u(x + 1) + 1)),
        Identity(log(x / y**2), log(x) - 2 * log(y), [x > 0, y > 0]),
        Identity(sp.gamma(x + 1), x * sp.gamma(x), [x > 0]),
        ForAll(sp.Equivalent(All(t, t**2 + 2 * x * t + y > 0), y > x**2)),
        ForAll(Any(t, Eq(t**3 + x * t + y, 0))),
        ForAll(exp(x) >= 1 + x),
        ForAll(n**2 >= n),
        ForAll(sp.Gt(exp(pi), pi**E, evaluate=False)),
        Exists(sp.And(x**2 < 2, x > Rational(7, 5)), {x: Rational(141, 100)}),
        Exists(Eq(x**2 - 2, 0), {x: sqrt(2)}),
        Derivation((x + y) ** 2).eq(x**2 + 2 * x * y + y**2, "expand").le(2 * x**2 + 2 * y**2, "AM-GM"),
        OperatorIdentity((a.outer(b)) @ (a.outer(b)), c * a.outer(b), [c**2 <= 1]),
        OperatorIdentity((PLANE.identity - 2 * a.outer(a)) @ b, b - 2 * c * a, [c**2 <= 1]),
        Words((R**3).T * R**5, R**2, [(R.T * R, 1)], model=TURN),
        Words(P * P.T * A.T, P, PENROSE, model=PAIR),
        Induction(n, 0, {u(n + 1): 2 * u(n) + 1}, {u(0): 0}, [Eq(u(n), 2**n - 1)]),
        Induction(n, 0, {u(n + 2): u(n + 1) + u(n)}, {u(0): 0, u(1): 1},
                  [Eq(u(n + 1) ** 2 - u(n + 1) * u(n) - u(n) ** 2, (-1) ** n)]),
        Induction(n, 0, {u(n + 1): u(n) / 2 + 1}, {u(0): 0}, [sp.Le(u(n), 2)]),
        Induction(n, 0, {u(n + 1): u(n) + v(n), v(n + 1): v(n) + 2}, {u(0): 0, v(0): 1},
                  [Eq(u(n), n**2), Eq(v(n), 2 * n + 1)]),
        Integral(x * exp(-x), x, 0, 1, 1 - 2 / E, primitive=-(x + 1) * exp(-x)),
        Integral(1 / (1 + x**2), x, 0, y, sp.atan(y), primitive=sp.atan(x), given=[y > 0]),
        Limit(sin(x) / x, x, 0, 1, "+-"),
        Limit((1 + t / x) ** x, x, oo, exp(t), given=[t > 0]),
        Limit(1 / x, x, 0, oo, "+"),
        Witnesses(Identity(x + x, 2 * x), ForEach([1, 2], lambda m: (m + m, 2 * m))),
    ],
    "exhausted": [
        ForEach(range(1, 50), lambda m: (sum(range(m + 1)), m * (m + 1) // 2), over="n = 1..49"),
        ForEach([2, 3], lambda m: (sp.sqrt(m) ** 4, sp.Integer(m) ** 2)),
        Counts(product, (2, 3, 7), {"mul": lambda m: m, "add": lambda m: m - 1}),
        (Identity(x + x, 2 * x), ForEach([1], lambda m: (m, 1))),
    ],
    "observed": [ForEach([0.1, 0.3], lambda m: (m + m == 2 * m, True), observed=True)],
    "enclosed": [
        Integral(sqrt(1 - x**2), x, -1, 1, pi / 2),
        Enclosure(x**2 + x + 1 - exp(x), lower=(3 - E) * x**2, box={x: (0, 1)}, touches={0: 2, 1: 1}),
        Enclosure(sin(x) * cos(y), lower=-1, upper=1, box={x: (0, 1), y: (0, 2)}),
        Enclosure(exp(pi * sqrt(163)), upper=262537412640768744, strict=True),
    ],
}  # fmt: skip

FALSE = [
    Identity(rotation(n * t) * rotation(k * t), rotation((k - n) * t)),
    Identity(u(x + 1), u(x)),
    Identity(sp.Matrix([[x, 1]]), sp.Matrix([[x, 2]])),
    ForAll(sp.Equivalent(All(t, t**2 + 2 * x * t + y > 0), y >= x**2)),
    ForAll(exp(x) >= 1 + 2 * x),
    Exists(Eq(x**2, 2), {x: Rational(7, 5)}),
    Derivation((x + y) ** 2).le(x**2 + y**2),
    OperatorIdentity(a.outer(b), b.outer(a), [c**2 <= 1]),
    Words(R * R, R, [(R.T * R, 1)], model=TURN),
    Words(A * P, P * A, [], model={"A": [[1, 1], [0, 1]], "P": [[1, 0], [1, 1]]}),
    Induction(n, 0, {u(n + 1): 2 * u(n) + 1}, {u(0): 0}, [Eq(u(n), n * (n + 1) / 2)]),
    ForEach(range(9), lambda m: (m * m, 2**m)),
    Counts(product, (2, 3), {"mul": lambda m: m + 1, "add": lambda m: m - 1}),
    Integral(x * exp(-x), x, 0, 1, 1 - 1 / E, primitive=-(x + 1) * exp(-x)),
    Integral(sqrt(1 - x**2), x, -1, 1, 3),
    Enclosure(sin(x), upper=Rational(9, 10), box={x: (0, 2)}),
    Limit(sin(x) / x, x, 0, 2, "+-"),
    Limit(x * log(x), x, 0, 1, "+"),
]


def label(statement) -> str:
    return type(statement).__name__


@pytest.mark.parametrize(
    ("verdict", "statement"), [(v, s) for v, ss in TRUE.items() for s in ss], ids=lambda value: str(label(value))
)
def test_true(verdict: str, statement) -> None:
    finding = check(statement, Budget())
    assert finding.verdict == verdict, finding
    assert finding.live and finding.scope and finding.engines


@pytest.mark.parametrize("statement", FALSE, ids=label)
def test_false(statement) -> None:
    finding = check(statement, Budget())
    assert finding.verdict == "refuted" and finding.counterexample, finding


@pytest.mark.parametrize("statement", [s for ss in TRUE.values() for s in ss if hasattr(s, "latex")] + FALSE, ids=label)
def test_rendering(statement) -> None:
    """Statements render as text and as LaTeX whose braces and environments match."""
    latex = statement.latex()
    assert statement.text() and latex.count("{") == latex.count("}") and "$" not in latex
    assert latex.count(r"\begin") == latex.count(r"\end") and latex.count(r"\left") == latex.count(r"\right")


def test_gram_realises_with_exact_vectors() -> None:
    gram = Gram("a b c", [[2, 1, 1], [1, 3, x], [1, x, 5]])
    vectors = gram.realise({x: Rational(1, 3)})
    assert vectors is not None
    found = [[sum(p * q for p, q in zip(r, s, strict=True)) for s in vectors] for r in vectors]
    assert found == [[2, 1, 1], [1, 3, sp.Rational(1, 3)], [1, sp.Rational(1, 3), 5]]
    assert gram.realise({x: 9}) is None  # not positive semidefinite


def test_witnesses_need_two() -> None:
    with pytest.raises(ValueError, match="at least two"):
        Witnesses(Identity(x, x))
