"""No false statement may ever be established: 20,000 of them here, a million in `make soundness`."""

from __future__ import annotations

import os
import random

import pytest
from false_statements import FAMILIES

from kexue.findings import Budget

CASES = int(os.environ.get("KEXUE_SOUNDNESS_CASES", "20000"))
BATCHES = 46 if CASES <= 100_000 else 920
BUDGET = Budget(second_solver_seconds=0.2, solver_rlimit=2_000_000)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_false_is_established(batch: int) -> None:
    family = FAMILIES[batch % len(FAMILIES)]
    r = random.Random(batch)
    for _ in range(CASES // BATCHES + 1):
        _, false = family(r)
        finding = false.check(BUDGET)
        assert not finding.verdict.established, f"{family.__name__}: {false.text()} was {finding}"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_what_they_were_made_from_is_established(family) -> None:
    """The run above would be empty if the engine established nothing at all."""
    r = random.Random(7)
    for _ in range(4):
        true, false = family(r)
        finding = true.check(Budget())
        assert finding.verdict.established and finding.live, f"{true.text()}: {finding}"
        assert false.check(Budget()).verdict == "refuted", false.text()
