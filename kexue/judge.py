"""From findings to the status of a claim: the truth established, every mutant refuted, every part able to fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kexue.findings import ESTABLISHED, Finding, Verdict

STATUSES = (  # from strongest to weakest: of several witnesses the strongest gives the claim its status
    "proved", "exhausted", "enclosed", "relying", "confirmed", "observed",
    "open", "undecided", "refuted", "defective", "not run",
)  # fmt: skip


@dataclass(frozen=True)
class ClaimResult:
    """One claim's outcome. `holds` is what decides the exit status."""

    id: str
    status: str
    holds: bool
    reasons: tuple[str, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    truth: Finding = field(default_factory=lambda: Finding(Verdict.NOT_RUN))
    mutants: tuple[tuple[dict[str, Any], Finding], ...] = ()
    killed: int = 0
    total: int = 0
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        return self.truth.verdict

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "holds": self.holds,
            "reasons": list(self.reasons),
            "info": self.info,
            "truth": self.truth.to_json(),
            "mutants": [{"info": info, "finding": finding.to_json()} for info, finding in self.mutants],
            "killed": self.killed,
            "total": self.total,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ClaimResult:
        return cls(
            **{
                **data,
                "reasons": tuple(data["reasons"]),
                "truth": Finding.from_json(data["truth"]),
                "mutants": tuple((m["info"], Finding.from_json(m["finding"])) for m in data["mutants"]),
            }
        )


def judge(info: dict[str, Any], truth: Finding, mutants: list[tuple[dict[str, Any], Finding]]) -> ClaimResult:
    """The status of a claim from the finding on its defaults and those on its mutants (printed version included)."""
    mutants = [(m, _keeps_its_shape(m, truth, finding)) for m, finding in mutants]
    killed = sum(finding.verdict is Verdict.REFUTED for _, finding in mutants)
    seconds = round(truth.seconds + sum(f.seconds for _, f in mutants), 4)
    status, reasons = _status(info, truth, mutants)
    holds = not reasons and (status in ("relying", "open") or status in {str(v) for v in ESTABLISHED})
    total = 0 if status == "open" else len(mutants)
    return ClaimResult(
        info["id"], status, holds, tuple(reasons), info, truth, tuple(mutants), 0 if status == "open" else killed,
        total, seconds,
    )  # fmt: skip


def _status(
    info: dict[str, Any], truth: Finding, mutants: list[tuple[dict[str, Any], Finding]]
) -> tuple[str, list[str]]:
    if not info.get("doc"):
        return "defective", ["it has no docstring: the docstring is the statement that a reader sees"]
    if info.get("open"):
        if truth.verdict.established or truth.verdict is Verdict.REFUTED:
            return str(truth.verdict), [f"marked open, but it is {truth.verdict}: remove the mark"]
        if truth.verdict is Verdict.DEFECTIVE:
            return "defective", [truth.reason]
        return "open", []
    if not truth.verdict.established:
        if truth.verdict is Verdict.NOT_RUN:
            return "not run", [truth.reason or "what it needs is absent"]
        return str(truth.verdict), [truth.counterexample or truth.reason or "no reason was given"]
    if not mutants:
        return "defective", ["it has no mutant: a check that can't fail shows nothing"]
    reasons = []
    for mutant, finding in mutants:
        if finding.verdict is not Verdict.REFUTED:
            why = finding.reason or finding.scope
            reasons.append(f"mutant {mutant['key']} ({mutant['label']}) is {finding.verdict}: {why}")
    if reasons:
        survived = any(f.verdict.established or f.verdict is Verdict.DEFECTIVE for _, f in mutants)
        return ("defective" if survived else "undecided"), reasons
    reasons = _idle_parts(truth, [f for _, f in mutants])
    if reasons:
        return "defective", reasons
    return ("relying" if info.get("relies_on") else str(truth.verdict)), []


def _keeps_its_shape(mutant: dict[str, Any], truth: Finding, finding: Finding) -> Finding:
    """A mutant keeps kind, symbols and domain unless it says which of them it changes."""
    if finding.verdict is not Verdict.REFUTED:
        return finding
    allowed = set(mutant.get("changes", ()))
    for name in ("kind", "symbols", "domain"):
        if name in allowed:
            continue
        before, after = (_leaves(f, name) for f in (truth, finding))
        if before != after:
            reason = f"the mutant changes the {name} from {_show(before)} to {_show(after)} without saying so"
            return finding.with_(verdict=Verdict.DEFECTIVE, reason=reason)
    return finding


def _leaves(finding: Finding, name: str) -> list[Any]:
    if finding.parts:
        return [leaf for part in finding.parts for leaf in _leaves(part, name)]
    return [getattr(finding, name)]


def _show(leaves: list[Any]) -> str:
    return "; ".join(", ".join(x) if isinstance(x, tuple) else str(x) for x in leaves) or "nothing"


def _idle_parts(truth: Finding, mutants: list[Finding]) -> list[str]:
    """Parts (of a conjunction or among witnesses) that refute no mutant: they may be unable to fail."""
    if not truth.parts:
        return []
    idle = []
    for i, part in enumerate(truth.parts):
        if part.verdict is Verdict.NOT_RUN:
            continue
        if not any(i < len(m.parts) and m.parts[i].verdict is Verdict.REFUTED for m in mutants):
            idle.append(f"part {i + 1} ({part.checked:.100}) refutes no mutant")
        elif part.parts:
            idle += _idle_parts(part, [m.parts[i] for m in mutants if i < len(m.parts)])
    return idle


def merge(results: list[ClaimResult]) -> ClaimResult:
    """One claim found in several rooms: independent witnesses, each of which must hold unless it is not run."""
    if len(results) == 1:
        return results[0]
    ran = [r for r in results if r.status != "not run"] or results
    decided = [r for r in ran if r.status != "open"]
    chosen = min(decided or ran, key=lambda r: STATUSES.index(r.status))
    verdicts = {r.verdict for r in decided}
    reasons = tuple(reason for r in ran for reason in r.reasons)
    if Verdict.REFUTED in verdicts and any(v.established for v in verdicts):
        reasons += ("independent witnesses contradict each other",)
    failing = [r for r in ran if not r.holds]
    status = failing[0].status if failing else chosen.status
    if failing and failing[0].status in {str(v) for v in ESTABLISHED}:
        status = "defective"
    truth = Finding(
        chosen.truth.verdict, scope=chosen.truth.scope, live=chosen.truth.live, reason=chosen.truth.reason,
        counterexample=chosen.truth.counterexample, witnesses=True, parts=tuple(r.truth for r in results),
        engines=tuple(dict.fromkeys(e for r in results for e in r.truth.engines)),
    )  # fmt: skip
    return ClaimResult(
        chosen.id, status, not reasons and all(r.holds for r in ran), reasons, chosen.info, truth,
        tuple(m for r in ran for m in r.mutants), sum(r.killed for r in ran), sum(r.total for r in ran),
        round(sum(r.seconds for r in results), 4),
    )  # fmt: skip
