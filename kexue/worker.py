"""One job in one process: call a claim's function with its defaults or a mutant's values, and check what it states."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from kexue.claims import Claim, ClaimError, Witnesses
from kexue.findings import ESTABLISHED, Budget, Finding, Verdict, defective, undecided

PAPER = "_kexue_paper_"  # how the modules of files outside the rooms are named


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Runs one job (see `kexue.runner` for its fields) and never raises: what goes wrong is part of the answer."""
    start = time.perf_counter()
    try:
        record = load_claim(job["file"], job.get("module"), job["function"])
        slug = job.get("slug") or Path(job["file"]).stem
        answer: dict[str, Any] = {"claim": record.describe(f"{slug}/{job['function'].lower().replace('_', '-')}")}
        try:
            finding = check(record.build(job["mutant"]), Budget(**job.get("budget", {})), job["mutant"] is not None)
        except ClaimError as error:
            finding = defective(str(error))
        except Exception as error:
            finding = _refusal(error) or undecided(f"the claim raised {_short(error)}", notes=(traceback.format_exc(),))
        answer["finding"] = finding.with_(seconds=round(time.perf_counter() - start, 4)).to_json()
        return answer
    except BaseException as error:
        return {"error": {"type": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}}


def load_claim(file: str | Path, module: str | None, function: str) -> Claim:
    """The record of a claim, from an installed module or, if `module` is None, from a file.

    Raises:
        ClaimError: the file has no such claim.
    """
    source = importlib.import_module(module) if module else load_file(Path(file))
    record = getattr(getattr(source, function, None), "__kexue__", None)
    if not isinstance(record, Claim):
        raise ClaimError(f"{file} has no claim {function!r}")
    return record


def load_file(path: Path) -> ModuleType:
    """Imports a file that belongs to no package; its folder comes first on the path, for what lies beside it."""
    name = PAPER + path.stem
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"can't load {path} as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _refusal(error: Exception) -> Finding | None:
    from kexue.engines.gate import Refused

    return defective(f"refused: {error}") if isinstance(error, Refused) else None


def check(value: Any, budget: Budget, mutant: bool = False) -> Finding:
    """Checks what a claim function returned: a statement, a tuple (conjunction) of statements, or Witnesses.

    A mutant may leave one of several witnesses as it was; it is refuted when some witness refutes it.
    """
    from kexue.statements.base import Statement

    if isinstance(value, Witnesses):
        return _witnesses([check(s, budget, mutant) for s in value.statements], mutant)
    if isinstance(value, (tuple, list)):
        if not value:
            return defective("the claim states nothing: it returned an empty tuple")
        return _conjunction([check(s, budget, mutant) for s in value])
    if not isinstance(value, Statement):
        return defective(_wrong_type(value))
    start = time.perf_counter()
    try:
        finding = value.check(budget)
    except (MemoryError, RecursionError) as error:
        finding = undecided(f"out of resources: {_short(error)}")
    except Exception as error:
        finding = _refusal(error) or undecided(f"the engine raised {_short(error)}", notes=(traceback.format_exc(),))
    if finding.verdict in ESTABLISHED and not finding.live:
        finding = defective("no live point was found: the domain may be empty", engines=finding.engines)
    return finding.with_(
        kind=value.kind,
        checked=finding.checked or value.text(),
        latex="" if mutant else finding.latex or value.latex(),  # a report typesets the truth only
        symbols=value.symbols(),
        domain=value.domain(),
        seconds=round(time.perf_counter() - start, 4),
    )


def _wrong_type(value: Any) -> str:
    import sympy as sp

    name = type(value).__name__
    if isinstance(value, (sp.Limit, sp.Integral, sp.Identity)):
        return (
            f"the claim returned SymPy's {name}, not a statement: import {name} from kexue explicitly "
            "(from sympy import * hides it)"
        )
    if isinstance(value, sp.Basic):
        return f"the claim returned a SymPy {name}: wrap it into a statement such as ForAll(...) or Identity(...)"
    return f"the claim returned {name} {value!r:.200}, expected a statement, a tuple of statements, or Witnesses"


def _worst(parts: list[Finding]) -> Finding | None:
    """The part that decides that a conjunction isn't established: a refuted one first."""
    for verdict in (Verdict.REFUTED, Verdict.DEFECTIVE, Verdict.UNDECIDED, Verdict.NOT_RUN):
        for part in parts:
            if part.verdict is verdict:
                return part
    return None


def _combined(parts: list[Finding], verdict: Verdict, source: Finding | None, **more: Any) -> Finding:
    engines = tuple(dict.fromkeys(e for p in parts for e in p.engines))
    if source is None:
        scopes = tuple(dict.fromkeys(p.scope for p in parts if p.scope))
        return Finding(
            verdict, scope="; ".join(scopes), engines=engines, live=parts[0].live, parts=tuple(parts), **more
        )
    return Finding(
        verdict, scope=source.scope, engines=engines, reason=source.reason, counterexample=source.counterexample,
        parts=tuple(parts), **more,
    )  # fmt: skip


def _conjunction(parts: list[Finding]) -> Finding:
    worst = _worst(parts)
    if worst is not None:
        return _combined(parts, worst.verdict, worst)
    weakest = max(parts, key=lambda p: ESTABLISHED.index(p.verdict)).verdict
    return _combined(parts, weakest, None)


def _witnesses(parts: list[Finding], mutant: bool) -> Finding:
    ran = [p for p in parts if p.verdict is not Verdict.NOT_RUN]
    if not ran:
        return _combined(parts, Verdict.NOT_RUN, parts[0], witnesses=True)
    established = [p for p in ran if p.verdict.established]
    contrary = [p for p in ran if p.verdict is Verdict.REFUTED]
    if established and contrary and not mutant:
        return defective("independent witnesses contradict each other", parts=tuple(parts), witnesses=True)
    worst = _worst(ran)
    if worst is not None:
        return _combined(parts, worst.verdict, worst, witnesses=True)
    best = min(established, key=lambda p: ESTABLISHED.index(p.verdict))
    return _combined(parts, best.verdict, None, witnesses=True).with_(live=best.live)
