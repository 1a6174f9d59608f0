"""Conforms and Costs: what they establish, what they refute, and what they must not be talked into."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp

torch = pytest.importorskip("torch")

from kexue import Budget, Conforms, Costs, Verdict  # noqa: E402
from kexue.engines.gate import Refused  # noqa: E402
from kexue.statements.conforms import fractions, tensor  # noqa: E402
from kexue.worker import check  # noqa: E402

ROOTS = [sp.sqrt(2), sp.Rational(1, 3)]


def verdict(statement):
    return check(statement, Budget())


def conforms(got, exact, **options):
    return verdict(Conforms(lambda _: got, lambda _: exact, (0,), **({"ulps": 1} | options)))


def test_rounded_exact_values_conform():
    through_float32 = torch.tensor([2**0.5, 1 / 3]).double()
    assert conforms(through_float32, ROOTS).verdict is Verdict.REFUTED
    found = conforms(torch.tensor([2**0.5, 1 / 3], dtype=torch.float64), ROOTS)
    assert found.verdict is Verdict.OBSERVED and "2 numbers in 1 cases" in found.scope
    assert conforms(torch.tensor(0.5, dtype=torch.bfloat16), Fraction(1, 2), ulps=0).verdict is Verdict.OBSERVED
    z = torch.tensor([1 + 2j], dtype=torch.complex128)
    assert conforms(z, [1 + 2 * sp.I], ulps=0).verdict is Verdict.OBSERVED


@pytest.mark.parametrize(
    ("got", "exact"),
    [
        (torch.tensor([2**0.5, 1 / 3 + 1e-15], dtype=torch.float64), ROOTS),
        (torch.tensor([2**0.5], dtype=torch.float64), ROOTS),
        (torch.tensor([float("nan"), 1 / 3], dtype=torch.float64), ROOTS),
        (torch.tensor([float("inf"), 1 / 3], dtype=torch.float64), ROOTS),
        (torch.tensor([[2**0.5, 1 / 3]], dtype=torch.float64), ROOTS),
        (torch.tensor([1 + 2j], dtype=torch.complex128), [1 - 2 * sp.I]),
        (torch.tensor([1 + 2j], dtype=torch.complex128), [1]),
        (torch.tensor(1e-300, dtype=torch.float64), sp.Integer(0)),
    ],
)
def test_anything_else_is_refuted(got, exact):
    assert conforms(got, exact).verdict is Verdict.REFUTED


def test_entries_can_be_measured_against_themselves():
    got, exact = torch.tensor([1.0, 1e-12 + 1e-17], dtype=torch.float64), [1, sp.Rational(1, 10**12)]
    assert conforms(got, exact).verdict is Verdict.OBSERVED
    assert conforms(got, exact, entrywise=True).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    "statement",
    [
        lambda: Conforms(lambda _: torch.ones(0), lambda _: [], (0,), ulps=1),
        lambda: Conforms(lambda _: torch.ones(1), lambda _: [1], (), ulps=1),
        lambda: Conforms(lambda _: torch.ones(1, dtype=torch.int64), lambda _: [1], (0,), ulps=1),
        lambda: Conforms(lambda _: torch.ones(1), lambda _: [1.0], (0,), ulps=1),
        lambda: Conforms(lambda _: torch.ones(1), lambda _: [sp.Symbol("x", real=True)], (0,), ulps=1),
        lambda: Conforms(lambda _: torch.ones(2), lambda _: [[1], [1, 2]], (0,), ulps=1),
        lambda: Costs(lambda n: (torch.nn.Linear(n, n), ()), (), params=lambda n: n),
        lambda: Costs(lambda n: (torch.nn.Identity(), ()), (2,), params=lambda n: 0),
        lambda: Costs(lambda n: (torch.nn.Linear(n, n), (torch.ones(1, n),)), (2,), params=lambda n: 6.0),
    ],
)
def test_what_checks_nothing_is_defective(statement):
    assert verdict(statement()).verdict is Verdict.DEFECTIVE


def test_a_million_ulps_is_the_most():
    with pytest.raises(Refused, match="ulps must be a whole number from 0 to 1000000, got 1000001"):
        Conforms(lambda _: 0, lambda _: 0, (0,), ulps=1_000_001)


def test_inputs_must_be_exact_in_the_type():
    assert tensor([[1, sp.Rational(1, 2)]]).tolist() == [[1.0, 0.5]]
    assert fractions(tensor([Fraction(3, 8)])) == [Fraction(3, 8)]
    with pytest.raises(Refused, match=r"exact in torch.float64, got 1/3"):
        tensor(sp.Rational(1, 3))
    with pytest.raises(Refused, match=r"exact in torch.bfloat16, got 257"):
        tensor([257], torch.bfloat16)


def build(n):
    with torch.device("meta"):
        return torch.nn.Linear(n, 2 * n), (torch.ones(3, n),)


def test_costs():
    assert verdict(Costs(build, (2, 5), params=lambda n: 2 * n * n + 2 * n)).verdict is Verdict.EXHAUSTED
    assert verdict(Costs(build, (2, 5), flops=lambda n: 12 * n * n)).verdict is Verdict.EXHAUSTED
    found = verdict(Costs(build, (2, 5), params=lambda n: 2 * n * n + 2 * n, flops=lambda n: 24 * n))
    assert found.verdict is Verdict.REFUTED and "at size 5: 300 FLOPs counted, 120 expected" in found.counterexample
