"""Statements that a careless checker would establish. None of them may be; each says what must happen instead."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import sympy as sp
from sympy import Abs, Eq, Ne, Rational, acos, asin, cos, exp, log, pi, sin, sqrt, tan

from kexue.claims import Claim, Mutant
from kexue.engines.gate import Refused
from kexue.findings import Budget, Finding, defective
from kexue.statements import (
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

x, y, z, t = sp.symbols("x y z t", real=True)
n, m = sp.symbols("n m", integer=True)
w = sp.Symbol("w", complex=True)
u, v = sp.Function("u"), sp.Function("v")
anything = sp.Symbol("anything", real=True)
A, B = letters("A B")
C, D = sp.symbols("C D", commutative=False)
SWAP = {"A": [[1, 1], [0, 1]], "B": [[1, 0], [1, 1]]}


def operator(matrix):
    gram = Gram("a b", matrix)
    a, b = gram.vectors()
    return OperatorIdentity(a.outer(b) @ a.outer(b), a.outer(b) * a.dot(b))


ATTACKS = {
    # commutativity, floats, undeclared or doubly declared symbols
    "AB = BA as symbols": (lambda: Identity(C * D, D * C), "defective"),
    "AB = BA as words": (lambda: Words(A * B, B * A, model=SWAP), "refuted"),
    "0.5 x = x/2": (lambda: Identity(0.5 * x, x / 2), "defective"),
    "a float in given": (lambda: ForAll(x > 0, [x > 0.5]), "defective"),
    "a float in a matrix": (lambda: Identity(sp.Matrix([[0.1]]), sp.Matrix([[Rational(1, 10)]])), "defective"),
    "a positive symbol": (lambda: ForAll(sp.Symbol("p", positive=True) > -1), "defective"),
    "an undeclared symbol": (lambda: Identity(sp.Symbol("q"), sp.Symbol("q")), "defective"),
    "two symbols of one name": (lambda: Identity(x + sp.Symbol("x", integer=True), 2 * x), "defective"),
    "matrices of unknown size": (lambda: Identity(sp.MatrixSymbol("M", 2, 2)[0, 0], x), "defective"),
    "different shapes": (lambda: Identity(sp.zeros(1, 2), sp.zeros(2, 1)), "defective"),
    # definedness
    "1/0 = anything": (lambda: Identity(1 / (sqrt(3 + 2 * sqrt(2)) - 1 - sqrt(2)), anything), "undecided"),
    "(x²−1)/(x−1) = x+1 for all x": (lambda: Identity((x**2 - 1) / (x - 1), x + 1), "undecided"),
    "tan·cos = sin for all x": (lambda: Identity(tan(x) * cos(x), sin(x)), "undecided"),
    "√(x−1) ≥ 0 on [0, 2]": (lambda: Enclosure(sqrt(x - 1), lower=0, box={x: (0, 2)}), "undecided"),
    "√(x−1) ≥ 0 as arithmetic": (lambda: ForAll(sqrt(x - 1) >= 0, [x >= 0, x <= 2]), "undecided"),
    "asin x ≤ 2 on [1, 3]": (lambda: Enclosure(asin(x), upper=2, box={x: (1, 3)}), "undecided"),
    "asin + acos = π/2 for all x": (lambda: Identity(asin(x) + acos(x), pi / 2), "undecided"),
    "1/x ≤ 5 through a pole": (lambda: Enclosure(1 / x, upper=5, lower=-5, box={x: (-1, 1)}), "refuted"),
    "0^n = 0 for all n": (lambda: Identity(sp.S.Zero**n, 0), "refuted"),
    "x^t (yx)^-t y^t = 1 below zero": (lambda: Identity((x * y) ** t, x**t * y**t, [x < 0, y < 0]), "undecided"),
    "(−1)^(2x) = 1 for real x": (lambda: Identity(sp.Pow(-1, 2 * x, evaluate=False), 1), "undecided"),
    # empty domains
    "x = y from x > 0 and x < 0": (lambda: Identity(x, y, [x > 0, x < 0]), "undecided"),
    "x = −x for x > 0 and x < 0": (lambda: ForAll(Eq(x, -x), [x > 0, x < 0]), "defective"),
    "anything from x² = −1": (lambda: Identity(x**4, 1, [Eq(x**2, -1)]), "defective"),
    "a domain that SymPy folds": (lambda: ForAll(x > y, [sp.false]), "defective"),
    "the Gram matrix [[1, 2], [2, 1]]": (lambda: operator([[1, 2], [2, 1]]), "undecided"),
    "a Gram matrix that isn't symmetric": (lambda: operator([[1, 0], [1, 1]]), "defective"),
    "no cases": (lambda: ForEach([], lambda k: (k, k)), "defective"),
    "contradictory rules": (lambda: Words(A, 0 * A, [(A * B, 1), (A * B, 2)], model=SWAP), "defective"),
    # induction
    "a second recurrence": (
        lambda: Induction(n, 0, {u(n + 1): u(n) + 1, u(n + 2): u(n)}, {u(0): 0}, [Eq(u(n), 5)]), "defective",
    ),
    "a base value that contradicts the recurrence": (
        lambda: Induction(n, 0, {u(n + 1): u(n)}, {u(0): 0, u(1): 1}, [Eq(u(n), u(n) + 1)]), "defective",
    ),
    "a sequence that needs itself": (
        lambda: Induction(n, 0, {u(n + 1): u(n + 1) + 1}, {u(0): 0}, [Eq(u(n), 0)]), "defective",
    ),
    "a base case left out": (
        lambda: Induction(n, 0, {u(n + 2): u(n)}, {u(0): 0}, [Eq(u(n), 0)]), "defective",
    ),
    "true up to n = 40 only": (
        lambda: Induction(n, 0, {u(n + 1): u(n) + 1}, {u(0): 0}, [sp.Lt(u(n), 41)]), "undecided",
    ),
    "a denominator that vanishes at n = 50": (
        lambda: Induction(n, 0, {u(n + 1): u(n) + 1 / (n - 50) ** 2}, {u(0): 1}, [sp.Ge(u(n), 1)]), "undecided",
    ),
    # limits
    "|x|/x → 1 without a direction": (lambda: Limit(Abs(x) / x, x, 0, 1), "defective"),
    "|x|/x → 1 from both sides": (lambda: Limit(Abs(x) / x, x, 0, 1, "+-"), "refuted"),
    "1/x → ∞ without a direction": (lambda: Limit(1 / x, x, 0, sp.oo), "defective"),
    "1/x → ∞ from both sides": (lambda: Limit(1 / x, x, 0, sp.oo, "+-"), "refuted"),
    "sin x → 0 at infinity": (lambda: Limit(sin(x), x, sp.oo, 0), "undecided"),
    # real functions
    "√(x²) = x": (lambda: Identity(sqrt(x**2), x), "refuted"),
    "log(xy) = log x + log y": (lambda: Identity(log(x * y), log(x) + log(y)), "undecided"),
    "asin(sin x) = x": (lambda: Identity(asin(sin(x)), x), "undecided"),
    "√x √y = √(xy)": (lambda: Identity(sqrt(x) * sqrt(y), sqrt(x * y)), "undecided"),
    "√(1/y) = √y/y for negative y": (lambda: Identity(sqrt(x / y), sqrt(x * y) / y, [x < 0, y < 0]), "refuted"),
    "|cos x − 1| = cos x − 1": (lambda: Identity(Abs(cos(x) - 1), cos(x) - 1), "refuted"),
    "(x³)^(1/3) = x": (lambda: Identity((x**3) ** Rational(1, 3), x), "undecided"),
    "|w|² = w²": (lambda: Identity(Abs(w) ** 2, w**2), "refuted"),
    "1/x ≤ 1/y from x ≥ y": (lambda: ForAll(1 / x <= 1 / y, [x >= y]), "refuted"),
    "exp(π√163) is an integer": (lambda: Identity(exp(pi * sqrt(163)), 262537412640768744), "refuted"),
    "exp(π√163) as a bound": (
        lambda: Enclosure(exp(pi * sqrt(163)), lower=262537412640768744), "undecided or refuted",
    ),
    "22/7 = π": (lambda: Identity(pi, Rational(22, 7)), "refuted"),
    "a large polynomial is close": (lambda: Identity((x + y) ** 9, sp.expand((x + y) ** 9) + x / 10**40), "refuted"),
    # integers and reals, numbers and Booleans
    "n² ≥ n for reals": (lambda: ForAll(x**2 >= x), "refuted"),
    "a number where a Boolean belongs": (lambda: ForAll(sp.Integer(1)), "defective"),
    "a Boolean where a number belongs": (lambda: Identity(sp.true, 1), "defective"),
    "1 is not true": (lambda: ForEach([1], lambda k: (k, True)), "refuted"),
    "a float among the cases": (lambda: ForEach(range(1, 9), lambda k: (k / 2, Fraction(k, 2))), "defective"),
    "a rounded root": (lambda: ForEach([10**40 - 1], lambda k: (round(math.sqrt(k)), math.isqrt(k))), "refuted"),
    "a rounded float that two exact routes expose": (
        lambda: ForEach(range(40), lambda k: (round(0.1 * 3**k * 10), 3**k)), "refuted",
    ),
    "true before anybody looked": (lambda: ForAll(sp.Le(1, 2)), "defective"),
    # integrals, derivations, existence
    "∫ 1/x² over the pole": (lambda: Integral(1 / x**2, x, -1, 1, -2, primitive=-1 / x), "undecided"),
    "∫ with a jump in the primitive": (
        lambda: Integral(1 / (1 + x**2), x, -1, 1, -pi / 2, primitive=-sp.atan(1 / x)), "refuted",
    ),
    "∫ with a jump and a parameter": (
        lambda: Integral(y / (1 + x**2), x, -1, 1, -pi * y / 2, primitive=-y * sp.atan(1 / x)), "undecided",
    ),
    "∫ refuted by a primitive of something else": (
        lambda: Integral(y * x, x, 0, 1, y / 2, primitive=y * x), "undecided",
    ),
    "∫ |x| by balls that forget the kink": (lambda: Integral(sqrt(x**2), x, -1, 1, 0), "refuted or undecided"),
    "≤ and ≥ mixed": (lambda: Derivation(x**2).ge(0).le(1), "defective"),
    "a wrong step between equal ends": (lambda: Derivation(x).eq(x + 1).eq(x), "refuted"),
    "an irrational witness that only nearly fits": (
        lambda: Exists(Eq(x**2, 2), {x: Rational(665857, 470832)}), "refuted",
    ),
    "SymPy's own Limit": (lambda: sp.Limit(x, x, 0), "defective"),
    "SymPy's own Identity": (lambda: sp.Identity(3), "defective"),
    "a bare relation": (lambda: x**2 >= 0, "defective"),
    "None": (lambda: None, "defective"),
    "an empty tuple": (lambda: (), "defective"),
}  # fmt: skip


def outcome(build) -> Finding:
    try:
        return check(build(), Budget())
    except Refused as error:
        return defective(str(error))


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str) -> None:
    build, expected = ATTACKS[name]
    finding = outcome(build)
    assert not finding.verdict.established, finding
    assert str(finding.verdict) in expected, f"{finding.verdict}: {finding.reason or finding.counterexample}"
    assert finding.reason or finding.counterexample


def test_integers_are_not_refuted_at_one_half() -> None:
    finding = check(ForAll(n**2 >= n), Budget())
    assert finding.verdict == "proved" and "integer" in finding.scope


def test_with_their_conditions_they_are_proved() -> None:
    """The refusals above aren't the inability to prove anything."""
    for statement in (
        Identity((x**2 - 1) / (x - 1), x + 1, [Ne(x, 1)]),
        Identity(tan(x) * cos(x), sin(x), [Ne(cos(x), 0)]),
        Identity(sqrt(x**2), x, [x >= 0]),
        Identity(log(x * y), log(x) + log(y), [x > 0, y > 0]),
        ForAll(1 / x <= 1 / y, [x >= y, y > 0]),
        Identity((-1) ** (2 * n), 1),
    ):
        assert check(statement, Budget()).verdict == "proved", statement.text()


def test_a_mutable_default_does_not_leak_between_truth_and_mutant(tmp_path) -> None:
    """Each job is a fresh process; a default changed by one call is as it was in the next."""
    from kexue.discovery import resolve
    from kexue.runner import run

    paper = tmp_path / "paper.py"
    paper.write_text(
        '"""Leak."""\n'
        "import sympy as sp\n"
        "from kexue import Identity, claim\n"
        'x = sp.Symbol("x", real=True)\n'
        "@claim(mutants=[dict(k=2), dict(k=3)])\n"
        "def sums(k=1, seen=[]):\n"
        '    r"""$x = x$ while the list is empty."""\n'
        "    seen.append(k)\n"
        "    return Identity(x * len(seen), x * k)\n"
    )
    report = run(resolve([str(paper)]))
    assert report.holds and report.claims[0].killed == 2


def test_values_of_a_mutant_are_built_late() -> None:
    calls = []

    def heavy():
        calls.append(1)
        return 2

    def statement(k=1):
        """$x = kx$."""
        return Identity(x, k * x)

    record = Claim(statement, ((1, Mutant({"k": heavy})),))
    assert not calls
    assert check(record.build(1), Budget()).verdict == "refuted" and calls == [1]
