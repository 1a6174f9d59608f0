"""A probability, a mean or a discrete law, confirmed or refuted by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from kexue.engines import balls, gate
from kexue.findings import Budget, Finding, Verdict, refuted, undecided
from kexue.sampling import ALPHA, BETA, Experiment, Outcome, run
from kexue.sampling.sequential import CONFIRMED, REFUTED
from kexue.statements import base


class Estimate(base.Statement):
    """The experiment's probability (mean, law) is `expected`.

    *confirmed*: all relative deviations of at least `within` are excluded, each with error ≤ 0.001. *refuted*: an
    e-process against the expected value has passed its bound, which it ever does with probability ≤ 1e-9 if the value
    is right. Both hold at the random time at which the run stops.

    Args:
        experiment: made by a function decorated with `kexue.sampling.experiment`.
        expected: an exact number, or a sequence of exact probabilities that sum to 1.
        within: the relative deviation to exclude.
        seed, max_samples: see `kexue.sampling.run`.
    """

    kind = "Estimate"

    def __init__(
        self, experiment: Experiment, expected: Any, within: Any = sp.Rational(1, 20), *, seed: int = 0,
        max_samples: int | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(experiment, Experiment):
            raise gate.Refused(f"experiment must be made by an @experiment function, got {experiment!r}")
        self.experiment, self.seed, self.max_samples = experiment, seed, max_samples
        self.within = gate.expression(within, "within")
        if experiment.kind == "law":
            if not isinstance(expected, Sequence):
                raise gate.Refused(f"expected must be a sequence of probabilities for a law, got {expected!r}")
            self.expected: Any = tuple(_number(p) for p in expected)
        else:
            self.expected = _number(expected)

    def run(self, **options: Any) -> Outcome:
        """Runs the experiment; options go to `kexue.sampling.run` and override the statement's own."""
        settings = {"seed": self.seed, "max_samples": self.max_samples, "delta": _float(self.within), **options}
        if self.experiment.kind == "law":
            values: Any = tuple(map(_float, self.expected))
        else:
            values = _float(self.expected)
        return run(self.experiment, values, **settings)

    def check(self, budget: Budget) -> Finding:
        try:
            found = self.run()
        except ValueError as error:
            raise gate.Refused(str(error)) from error
        said = f"{show(found.estimate)} after {found.n} samples"
        if found.verdict == REFUTED:
            return refuted(
                f"{said}, expected {self.shown()}: excluded with error ≤ {ALPHA:.0e}", engines=("e-process",)
            )
        if found.verdict != CONFIRMED:
            return undecided(f"{said}, expected {self.shown()}: not decided", engines=("e-process",))
        scope = f"deviations of {100 * found.delta:g} % or more are excluded, each with error ≤ {BETA:g}"
        return Finding(Verdict.CONFIRMED, scope=scope, engines=("e-process",), live=f"{found.experiment}: {said}")

    def shown(self) -> str:
        if self.experiment.kind == "law":
            return "(" + ", ".join(map(str, self.expected)) + ")"
        return f"{self.expected} ≈ {_float(self.expected):.6g}"

    def domain(self) -> tuple[str, ...]:
        return (self.experiment.name,)

    def text(self) -> str:
        what = {"proportion": "P", "mean": "E", "law": "the law"}[self.experiment.kind]
        return f"{what} of {self.experiment.id} = {self.shown()}"

    def latex(self) -> str:
        value = sp.latex(sp.Tuple(*self.expected)) if self.experiment.kind == "law" else sp.latex(self.expected)
        return rf"\text{{{self.experiment.id}}} = {value}".replace("_", r"\_")


def _number(value: Any) -> sp.Expr:
    found = gate.expression(value, "expected")
    if found.free_symbols:
        raise gate.Refused(f"expected must be a number, got {found}")
    return found


def _float(value: sp.Expr) -> float:
    return float(balls.evaluate(value, {}, 30).mid())


def show(estimate: Any) -> str:
    if isinstance(estimate, tuple):
        return "(" + ", ".join(f"{x:.4g}" for x in estimate[:8]) + (", …)" if len(estimate) > 8 else ")")
    return f"{estimate:.6g}"
