"""Claims collected as tests, beside ordinary tests and without importing the files that hold only claims."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable

import pytest

HEAD = """
from sympy import symbols
import kexue
from kexue import Identity, claim
x = symbols("x", real=True)
"""

SQUARE = '''
@claim(mutants=[dict(c=3), dict(c={other})]{more})
def {name}(c={value}):
    """A square."""
    return Identity((x + 1) ** 2, x**2 + c * x + 1)
'''


def square(name: str = "square", value: int = 2, other: int = 4, more: str = "") -> str:
    return SQUARE.format(name=name, value=value, other=other, more=more)


Runner = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Runner:
    """Runs pytest in the test's folder, with the plugin whether or not kexue is installed."""

    def run(*arguments: str) -> pytest.RunResult:
        installed = any(e.name == "kexue" for e in importlib.metadata.entry_points(group="pytest11"))
        plugin = () if installed else ("-p", "kexue.pytest_plugin")
        others = ("no:cacheprovider", "no:hypothesispytest", "no:benchmark")  # without them it starts in half the time
        return pytester.runpytest_subprocess(*plugin, *(x for name in others for x in ("-p", name)), *arguments)

    return run


def test_claims_of_a_named_file(pytester: pytest.Pytester, run: Runner) -> None:
    body = square() + square("wrong", 3, 5) + square("survives", other=2)
    body += square("resists", 3, more=", open='hard'").replace("return", "raise NotImplementedError; return")
    pytester.makepyfile(my_paper=HEAD + body)
    done = run("my_paper.py", "-v")
    done.assert_outcomes(passed=1, failed=2, xfailed=1)
    done.stdout.fnmatch_lines([
        "my_paper.py::square PASSED*",
        "my_paper.py::wrong FAILED*",
        "my_paper.py::survives FAILED*",
        "my_paper.py::resists XFAIL (hard)*",
        "my_paper/survives is defective: mutant 2 (c: 2 → 2) is proved*",
        "*more: kexue explain *my_paper.py::survives",
        "FAILED my_paper.py::wrong - my_paper/wrong is refuted: *",
    ])  # fmt: skip


def test_selection(pytester: pytest.Pytester, run: Runner) -> None:
    pytester.makepyfile(my_paper=HEAD + square() + square("wrong", 3, 5))
    run("my_paper.py::square").assert_outcomes(passed=1)
    run("my_paper.py", "-k", "wrong").assert_outcomes(failed=1, deselected=1)
    run("my_paper.py", "--collect-only", "-q").stdout.fnmatch_lines(["my_paper.py::square", "my_paper.py::wrong"])


def test_ordinary_tests_of_the_same_file(pytester: pytest.Pytester, run: Runner) -> None:
    body = square("test_named_like_a_test")
    body += "\n\ndef test_ordinary():\n    assert test_named_like_a_test().kind == 'Identity'\n"
    pytester.makepyfile(test_mixed=HEAD + body)
    done = run("-v")
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["test_mixed.py::test_named_like_a_test PASSED*", "test_mixed.py::test_ordinary PASSED*"])


def test_a_folder_is_left_alone_unless_asked(pytester: pytest.Pytester, run: Runner) -> None:
    pytester.makepyfile(my_paper=HEAD + square(), test_it="def test_it(): pass", other="raise SystemExit")
    run().assert_outcomes(passed=1)
    run("--kexue").assert_outcomes(passed=2)


def test_a_file_without_tests_is_not_imported(pytester: pytest.Pytester, run: Runner) -> None:
    reveal = "open('imported', 'a').write('x')\nassert 'pyt' + 'est' not in __import__('sys').modules\n"
    pytester.makepyfile(my_paper=HEAD + reveal + square())
    run("my_paper.py", "--collect-only").assert_outcomes()
    assert not (pytester.path / "imported").exists()
    run("my_paper.py").assert_outcomes(passed=1)


def test_text_that_only_mentions_claims(pytester: pytest.Pytester, run: Runner) -> None:
    text = f"PAPER = '''{HEAD}@claim(mutants=[])\ndef f(): ...\n'''\n"
    pytester.makepyfile(test_text=text + "def test_it(): assert PAPER\n")
    run().assert_outcomes(passed=1)


def test_a_misplaced_claim_is_an_error(pytester: pytest.Pytester, run: Runner) -> None:
    inner = "\nclass Paper:\n    @claim(mutants=[dict(c=1)])\n    def inner(c=2): ...\n"
    pytester.makepyfile(my_paper=HEAD + square() + inner)
    done = run("my_paper.py")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*claim 'inner' must *at the top level*"])


def test_under_xdist(pytester: pytest.Pytester, run: Runner) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(my_paper=HEAD + "".join(square(f"square_{i}") for i in range(4)) + square("wrong", 3, 5))
    run("my_paper.py", "-n", "2").assert_outcomes(passed=4, failed=1)


def test_a_start_imports_no_engine(pytester: pytest.Pytester, run: Runner) -> None:
    pytester.makepyfile(test_it="import sys\ndef test_it(): assert not {'sympy', 'z3', 'flint'} & set(sys.modules)")
    run().assert_outcomes(passed=1)
