"""Runs claims: each claim and each mutant is a job in a process of its own; what it can't answer is undecided.

A job's fields and its answer are JSON (see `kexue.worker`). The truth of a claim is the first job; its answer says
which mutants there are, and these are the next jobs. Nothing here imports SymPy: only the workers do.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kexue.cache import Cache, Fingerprints
from kexue.discovery import ClaimRef, UnknownName, resolve
from kexue.findings import Budget, Finding, Verdict, defective, undecided
from kexue.forkserver import ForkServer, ServerDied
from kexue.judge import ClaimResult, judge, merge
from kexue.results import Report

# Their absence makes a witness "not run"; the absence of any other package is an error of the claim.
OPTIONAL = frozenset({
    "dask", "distributed", "einops", "huggingface_hub", "jaxtyping", "lightning", "safetensors", "torch", "triton",
})  # fmt: skip
GRACE = 5.0  # seconds that a killed job may take to vanish before the server is given up
START = 120.0  # seconds that the server may take to import the engines

Key = int | str | None


class WorkersUnavailable(RuntimeError):
    """The engines can't be imported, so no claim can be checked."""


@dataclass(frozen=True)
class Event:
    """What `run` tells its observer: a job started or ended, or a claim is complete."""

    kind: Literal["started", "ended", "claim"]
    id: str
    mutant: Key = None
    result: ClaimResult | None = None


def verify(
    *targets: str | Path, jobs: int | None = None, fresh: bool = False, timeout: float | None = None, core: bool = False
) -> Report:
    """Checks claims and their mutants; all claims of the rooms if no target is given.

    Args:
        *targets: "slug", "slug/claim" or the path of a Python file.
        jobs: worker processes at once; by default one per core.
        fresh: do everything again instead of using kept results.
        timeout: seconds after which a job is killed; by default those of `Budget`.
        core: run only the witnesses that need no package beyond the core.

    Returns:
        A report with the claims' results, `holds`, a table, and `to_json` / `to_junit`.

    Raises:
        UnknownName: for a slug, a claim or a file that isn't there, with the nearest names.
        DiscoveryError: for a file that can't be parsed or holds no claim.
        ValueError: for jobs < 1 or timeout <= 0.
    """
    refs = resolve_targets(targets)
    return run(refs, jobs=jobs, budget=budget_of(timeout), fresh=fresh, core=core)


def budget_of(timeout: float | None) -> Budget:
    if timeout is None:
        return Budget()
    if not timeout > 0 or timeout == float("inf"):
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout}")
    return Budget(seconds=float(timeout))


def resolve_targets(targets: Iterable[str | Path]) -> list[ClaimRef]:
    """`discovery.resolve`, with a word for a path that is no Python file."""
    names = [str(target) for target in targets]
    for name in names:
        path = Path(name.partition("::")[0])
        if path.suffix != ".py" and (path.is_file() or (os.sep in name and path.is_dir())):
            what = "file" if path.is_file() else "folder"
            raise UnknownName(
                name, message=f"a target must be an article, a claim or a .py file, got the {what} {name}"
            )
    return resolve(names)


def run(
    refs: list[ClaimRef],
    *,
    jobs: int | None = None,
    budget: Budget | None = None,
    fresh: bool = False,
    core: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Checks the claims of `refs`; the same id in two rooms makes two independent witnesses of one claim.

    Ctrl-C ends the run early: the report then holds the claims that are complete, and `interrupted` is True.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    return _Run(refs, jobs or os.cpu_count() or 1, budget or Budget(), fresh, core, on_event).go()


@dataclass
class _Claim:
    """A claim in one file on its way through the run."""

    ref: ClaimRef
    info: dict[str, Any] = field(default_factory=dict)
    truth: Finding | None = None
    mutants: dict[Key, Finding] = field(default_factory=dict)
    result: ClaimResult | None = None


@dataclass
class _Job:
    claim: _Claim
    mutant: Key
    key: str
    attempts: int = 0
    deadline: float = 0.0
    killed: bool = False


class _Run:
    def __init__(
        self,
        refs: list[ClaimRef],
        jobs: int,
        budget: Budget,
        fresh: bool,
        core: bool,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        self.began = time.perf_counter()
        self.places, self.budget, self.fresh, self.core = jobs, budget, fresh, core
        self.on_event = on_event or (lambda event: None)
        self.cache = Cache()
        self.prints = Fingerprints(budget)
        self.claims = [_Claim(ref) for ref in refs]
        self.same_id: dict[str, list[_Claim]] = {}
        for claim in self.claims:
            self.same_id.setdefault(claim.ref.id, []).append(claim)
        self.results: dict[str, ClaimResult] = {}
        self.queue: deque[_Job] = deque()
        self.suspects: deque[_Job] = deque()  # they ran when the server died: each runs once more, alone
        self.running: dict[int, _Job] = {}
        self.server: ForkServer | None = None
        self.server_ready = False

    def go(self) -> Report:
        interrupted = False
        try:
            for claim in self.claims:
                self._begin(claim)
            if len(self.queue) > self.places:
                # Long ones first, so that none of them runs last and alone; torch last, since a server that has
                # imported it forks more slowly.
                seconds = self.cache.durations()

                def order(job: _Job) -> tuple[bool, float]:
                    return "torch" in job.claim.ref.needs, -seconds.get(job.claim.ref.id, 0.0)

                self.queue = deque(sorted(self.queue, key=order))
            while self.queue or self.suspects or self.running:
                self._turn()
            if self.server:
                _idle.append((self.prints.engine, self.server))
                self.server = None
                self.cache.keep_durations({id: r.seconds for id, r in self.results.items() if r.seconds > 0.5})
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if self.server:
                self.server.close()
        return Report(
            claims=tuple(self.results[id] for id in self.same_id if id in self.results),
            seconds=round(time.perf_counter() - self.began, 3),
            interrupted=interrupted,
            asked=len(self.same_id),
            core=self.core,
            warnings=(self.cache.warning,) if self.cache.warning else (),
        )

    def _begin(self, claim: _Claim) -> None:
        if self.core and claim.ref.needs:
            reason = f"it needs {', '.join(claim.ref.needs)}, which a core run leaves out"
            self._take(claim, None, None, Finding(Verdict.NOT_RUN, reason=reason))
        else:
            self._enqueue(claim, None)

    def _enqueue(self, claim: _Claim, mutant: Key) -> None:
        """Takes the finding from the cache, or queues the job; mutants go before claims that haven't begun."""
        key = self.prints.key(claim.ref, mutant)
        answer = None if self.fresh else self.cache.get(key)
        if answer is not None:
            self._take(claim, mutant, answer.get("claim"), Finding.from_json(answer["finding"]))
        elif mutant is None:
            self.queue.append(_Job(claim, mutant, key))
        else:
            self.queue.appendleft(_Job(claim, mutant, key))

    def _turn(self) -> None:
        """Fills the free places, then waits for the next event or deadline."""
        try:
            if self.server is None:
                self.server = _waiting_server(self.prints.engine)
                self.server_ready = self.server is not None
                self.server = self.server or ForkServer()
            while self.queue and not self.suspects and len(self.running) < self.places:
                self._start(self.server, self.queue.popleft())
            if self.suspects and not self.running:
                self._start(self.server, self.suspects.popleft())
            wait = min(job.deadline for job in self.running.values()) - time.monotonic()
            for event in self.server.events(max(0.0, wait)):
                self._on(self.server, event)
            self._kill_late(self.server)
        except ServerDied as death:
            self._bury(str(death))

    def _start(self, server: ForkServer, job: _Job) -> None:
        ref = job.claim.ref
        job.attempts += 1
        job.deadline = time.monotonic() + START  # from its start on it has the budget's seconds
        number = -1
        self.running[number] = job  # the server may die while it is told
        number = server.start({
            "file": str(ref.file), "module": ref.module, "function": ref.function, "slug": ref.slug,
            "needs": list(ref.needs), "mutant": job.mutant, "budget": asdict(self.budget),
            "dont_write_bytecode": self.prints.just_written(ref.file),
        })  # fmt: skip
        self.running[number] = self.running.pop(-1)
        self.on_event(Event("started", ref.id, job.mutant))

    def _on(self, server: ForkServer, event: dict[str, int]) -> None:
        if "ready" in event:
            self.server_ready = True
        elif "started" in event:
            if event["started"] in self.running:
                self.running[event["started"]].deadline = time.monotonic() + self.budget.seconds
        else:
            job = self.running.pop(event["ended"])
            info, finding = self._read(job, event["status"], *server.answer(event["ended"]))
            if self.prints.unchanged(job.claim.ref.file):
                self.cache.put(job.key, {"finding": finding.to_json()} | ({"claim": info} if info else {}))
            self.on_event(Event("ended", job.claim.ref.id, job.mutant))
            self._take(job.claim, job.mutant, info, finding)

    def _kill_late(self, server: ForkServer) -> None:
        now = time.monotonic()
        for number, job in self.running.items():
            if job.deadline <= now:
                if job.killed or not self.server_ready:
                    raise ServerDied("the fork server doesn't answer")
                job.killed, job.deadline = True, now + GRACE
                server.kill(number)

    def _bury(self, reason: str) -> None:
        """The server is dead: a claim may have killed it, so each job that ran is tried once more, alone."""
        if not self.server_ready:
            raise WorkersUnavailable(f"no worker can start: {reason}")
        if self.server:
            self.server.close()
        self.server = None
        guilty = [job for job in self.running.values() if job.attempts > 1]
        self.suspects.extend(job for job in self.running.values() if job.attempts == 1)
        self.running.clear()
        for job in guilty:
            self._take(job.claim, job.mutant, None, undecided(f"the worker died with its server: {reason}"))

    def _read(self, job: _Job, status: int, answer: bytes, output: str) -> tuple[dict[str, Any] | None, Finding]:
        """What an ended job says: (the claim's description if it gave one, its finding)."""
        info, finding = None, None
        if job.killed and os.WIFSIGNALED(status):
            finding = undecided(f"timed out after {self.budget.seconds:g} s", seconds=self.budget.seconds)
        elif os.WIFSIGNALED(status):
            finding = undecided(f"the worker died: signal {_signal(os.WTERMSIG(status))}")
        elif not answer:
            finding = undecided(f"the worker died without an answer: exit status {os.WEXITSTATUS(status)}")
        else:
            try:
                data = json.loads(answer)
                if "error" in data:
                    finding = _failure(job.claim.ref, **data["error"])
                else:
                    finding = Finding.from_json(data["finding"])
                    finding = _absence(job.claim.ref, finding.reason) or finding
                    info = None if job.mutant is not None else data["claim"] | {"id": job.claim.ref.id}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                finding = undecided(f"the worker died over a bad answer: {type(error).__name__}: {error}")
        if output and finding.verdict in (Verdict.UNDECIDED, Verdict.DEFECTIVE):
            finding = finding.with_(notes=(*finding.notes, f"it printed: {output}"))
        return info, finding

    def _take(self, claim: _Claim, mutant: Key, info: dict[str, Any] | None, finding: Finding) -> None:
        if mutant is not None:
            claim.mutants[mutant] = finding
        else:
            claim.truth = finding
            claim.info = (info or _description(claim.ref)) | {"source": f"{claim.ref.file}:{claim.ref.line}"}
            if finding.verdict.established and not claim.info["open"]:
                for each in reversed(claim.info["mutants"]):
                    self._enqueue(claim, each["key"])
                if claim.info["mutants"]:
                    return  # the last mutant completes the claim
            else:
                reason = "not tried, since the true statement isn't established"
                skipped = Finding(Verdict.NOT_RUN, reason=reason)
                claim.mutants = {each["key"]: skipped for each in claim.info["mutants"]}
        if claim.truth is not None and len(claim.mutants) == len(claim.info["mutants"]):
            self._complete(claim)

    def _complete(self, claim: _Claim) -> None:
        assert claim.truth is not None
        mutants = [(each, claim.mutants[each["key"]]) for each in claim.info["mutants"]]
        claim.result = judge(claim.info, claim.truth, mutants)
        witnesses = [c.result for c in self.same_id[claim.ref.id]]
        if all(witnesses):
            result = merge([w for w in witnesses if w])
            self.results[claim.ref.id] = result
            self.on_event(Event("claim", claim.ref.id, result=result))


def _description(ref: ClaimRef) -> dict[str, Any]:
    """What is known of a claim whose function could not be reached."""
    return {
        "id": ref.id, "title": ref.title, "doc": ref.title, "erratum": ref.erratum, "open": ref.open,
        "relies_on": [], "needs": list(ref.needs), "mutants": [],
    }  # fmt: skip


def _failure(ref: ClaimRef, type: str, message: str, traceback: str) -> Finding:
    """The finding for a job that could not even make a statement."""
    if type == "ClaimError":
        return defective(message)
    if type == "MemoryError":
        return undecided(f"out of resources: MemoryError {message}".strip())
    reason = f"the claim raised {type}: {message}"[:500]
    return _absence(ref, reason) or undecided(reason, notes=(traceback,))


def _absence(ref: ClaimRef, reason: str) -> Finding | None:
    """Not run, if the claim failed for want of an optional package or of one that it says it needs."""
    found = re.match(r"the claim raised ModuleNotFoundError: No module named '(\w+)", reason)
    if found and (found[1] in OPTIONAL or found[1] in ref.needs):
        return Finding(Verdict.NOT_RUN, reason=f"it needs {found[1]}, which isn't installed")
    return None


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


_idle: list[tuple[str, ForkServer]] = []  # servers that wait for this process's next run, by the engine they imported


def _waiting_server(engine: str) -> ForkServer | None:
    while _idle:
        imported, server = _idle.pop()
        if imported == engine:
            return server
        server.close()
    return None


@atexit.register
def _close() -> None:
    while _idle:
        _idle.pop()[1].close()
