"""Which claims hold: the truth established, each mutant refuted, each part able to fail, each mutant of one shape."""

from __future__ import annotations

import functools
import textwrap

import pytest

from kexue import claim
from kexue.findings import Finding, Verdict
from kexue.judge import ClaimResult, judge, merge
from kexue.worker import run_job

HEADER = """
import sympy as sp
from sympy import Eq, Ge, Gt, Lt, Symbol, sqrt
from kexue import ForAll, ForEach, Identity, Witnesses, claim, erratum, mutant
x, y = sp.symbols("x y", real=True)
"""


@pytest.fixture
def decide(tmp_path, monkeypatch):
    """Judges the only claim of a source text, in this process."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(source: str, name: str = "c") -> ClaimResult:
        paper = tmp_path / "paper.py"
        paper.write_text(HEADER + textwrap.dedent(source))
        job = {"file": str(paper), "module": None, "function": name, "mutant": None}
        answer = run_job(job)
        assert "error" not in answer, answer
        info = answer["claim"]
        mutants = [(m, Finding.from_json(run_job({**job, "mutant": m["key"]})["finding"])) for m in info["mutants"]]
        return judge(info, Finding.from_json(answer["finding"]), mutants)

    return run


CASES = {
    "a good claim": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            "$x + x = 2x$."
            return Identity(x + x, k * x)
        """, "proved", True, ""),
    "without a mutant": ("""
        @claim()
        def c():
            "$x = x$."
            return Identity(x, x)
        """, "defective", False, "no mutant"),
    "without a docstring": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            return Identity(x + x, k * x)
        """, "defective", False, "docstring"),
    "with a mutant that is true": ("""
        @claim(mutants=[dict(k=sp.Integer(2))])
        def c(k=2):
            "$x + x = 2x$."
            return Identity(x + x, k * x)
        """, "defective", False, "is proved"),
    "with an empty domain": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            "$x + x = 2x$ for $0 < x < 0$."
            return ForAll(Ge(x**2 + 1, k * x), [x > 0, x < 0])
        """, "defective", False, "live point"),
    "with an idle part": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            "Two identities, of which one has no mutant."
            return Identity(x + x, k * x), Identity(x * x, x**2 * (k - k + 1))
        """, "defective", False, "part 2"),
    "with an idle witness": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            "Two witnesses, of which one never fails."
            return Witnesses(Identity(x + x, k * x), ForEach([1], lambda n: (n, n)))
        """, "defective", False, "part 2"),
    "with a mutant that only raises": ("""
        @claim(mutants=[dict(k=0)])
        def c(k=2):
            "$x/k \\\\cdot k = x$."
            return Identity(x * k * (sp.Integer(1) / k if k else [][0]), x)
        """, "undecided", False, "IndexError"),
    "with a mutant that leaves the domain": ("""
        @claim(mutants=[dict(low=-1)])
        def c(low=0):
            "$|x| = x$ for $x \\\\ge 0$."
            return Identity(sqrt(x**2), x, [x >= low])
        """, "defective", False, "domain"),
    "with a mutant that says so": ("""
        @claim(mutants=[mutant("domain", low=-1)])
        def c(low=0):
            "$|x| = x$ for $x \\\\ge 0$."
            return Identity(sqrt(x**2), x, [x >= low])
        """, "proved", True, ""),
    "with a mutant of other symbols": ("""
        @claim(mutants=[dict(s=y)])
        def c(s=x):
            "$x + x = 2x$."
            return Identity(x + s, 2 * x)
        """, "defective", False, "symbols"),
    "with a mutant of another kind": ("""
        @claim(mutants=[dict(kind=lambda a, b: ForEach([1], lambda n: (n, 2)))])
        def c(kind=Identity):
            "$x + x = 2x$."
            return kind(x + x, 2 * x)
        """, "defective", False, "kind"),
    "with an unknown parameter in a mutant": ("""
        @claim(mutants=[dict(m=3)])
        def c(k=2):
            "$x + x = 2x$."
            return Identity(x + x, k * x)
        """, "defective", False, "['m']"),
    "false": ("""
        @claim(mutants=[dict(k=2)])
        def c(k=3):
            "$x + x = 3x$."
            return Identity(x + x, k * x)
        """, "refuted", False, "≠"),
    "open": ("""
        @claim(open="no engine decides it")
        def c():
            "$\\\\log(xy) = \\\\log x + \\\\log y$."
            return Identity(sp.log(x * y), sp.log(x) + sp.log(y))
        """, "open", True, ""),
    "open, though it is proved": ("""
        @claim(open="too hard")
        def c():
            "$x + x = 2x$."
            return Identity(x + x, 2 * x)
        """, "proved", False, "remove the mark"),
    "open, though it is refuted": ("""
        @claim(open="too hard")
        def c():
            "$x + x = 3x$."
            return Identity(x + x, 3 * x)
        """, "refuted", False, "remove the mark"),
    "relying on a theorem": ("""
        @claim(relies_on=("somebody's theorem",), mutants=[dict(k=3)])
        def c(k=2):
            "$x + x = 2x$."
            return Identity(x + x, k * x)
        """, "relying", True, ""),
    "an erratum": ("""
        @erratum(printed=dict(k=3), mutants=[dict(k=4)])
        def c(k=2):
            "$x + x = 2x$, not $3x$."
            return Identity(x + x, k * x)
        """, "proved", True, ""),
    "an erratum whose printed version is right": ("""
        @erratum(printed=dict(k=sp.Integer(2)))
        def c(k=2):
            "$x + x = 2x$, not $2x$."
            return Identity(x + x, k * x)
        """, "defective", False, "printed"),
    "a conjunction takes the weakest verdict": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            "An identity and a finite check."
            return Identity(x + x, k * x), ForEach([1, 2], lambda n: (n + n, k * n))
        """, "exhausted", True, ""),
    "witnesses take the strongest verdict": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            "An identity and a finite check of the same."
            return Witnesses(Identity(x + x, k * x), ForEach([1, 2], lambda n: (n + n, k * n)))
        """, "proved", True, ""),
    "witnesses that contradict each other": ("""
        @claim(mutants=[dict(k=3)])
        def c(k=2):
            "An identity and a finite check of something else."
            return Witnesses(Identity(x + x, k * x), ForEach([1, 2], lambda n: (n + n, 5 * n)))
        """, "defective", False, "contradict"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_judgement(name: str, decide) -> None:
    source, status, holds, reason = CASES[name]
    result = decide(source)
    assert (result.status, result.holds) == (status, holds), result.reasons
    assert reason in " ".join(result.reasons)
    assert ClaimResult.from_json(result.to_json()) == result


def result(status: str, verdict: Verdict, holds: bool = True) -> ClaimResult:
    return ClaimResult("a/b", status, holds, () if holds else ("why",), {"id": "a/b"}, Finding(verdict, live="1"))


def test_witnesses_in_two_rooms() -> None:
    proved, confirmed = result("proved", Verdict.PROVED), result("confirmed", Verdict.CONFIRMED)
    absent = result("not run", Verdict.NOT_RUN, holds=False)
    refuted = result("refuted", Verdict.REFUTED, holds=False)
    assert merge([confirmed, proved]).status == "proved"
    assert merge([proved, absent]).holds
    assert not merge([absent, absent]).holds
    assert not merge([proved, refuted]).holds and "contradict" in " ".join(merge([proved, refuted]).reasons)


def squared(x):
    return x * x


def test_mutants_show_the_functions_that_they_change() -> None:
    """Lambdas as they are written, functions by their names: no addresses, which change from run to run."""

    @claim(
        mutants=[
            dict(power=lambda x, *, n=2: (x
                                          + n)),
            dict(power=squared), dict(size=len), dict(late=lambda: 2 + 3), dict(power=functools.cache(squared)),
        ]
    )  # fmt: skip
    def c(power=lambda x: x**2, size=abs, late=1):
        """Functions."""

    assert [m["label"] for m in c.__kexue__.describe("demo/c")["mutants"]] == [
        "power: lambda x: x**2 → lambda x, *, n: x + n",
        "power: lambda x: x**2 → squared",
        "size: abs → len",
        "late: 1 → 2 + 3",
        "power: lambda x: x**2 → squared",
    ]
