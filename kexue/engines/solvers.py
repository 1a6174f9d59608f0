"""z3 in this process, under a deterministic resource limit; cvc5 in a forked child, killed when its time is over."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import cvc5
import z3


@dataclass(frozen=True)
class Answer:
    """What one solver said of one SMT-LIB text: "sat", "unsat" or "unknown"."""

    status: str
    reason: str = ""
    model: Any = None
    seconds: float = 0.0
    parsed: bool = True
    names: dict[str, Any] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        """The model's value of a constant, completed where the model leaves it open; None if it has none."""
        return None if self.model is None else self.model.eval(self.names[name], model_completion=True)


def constants(text: str) -> dict[str, Any]:
    """The constants that an SMT-LIB text uses, by name."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    stack = list(z3.parse_smt2_string(text))
    while stack:
        node = stack.pop()
        if node.get_id() in seen:
            continue
        seen.add(node.get_id())
        if z3.is_const(node) and node.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            found[node.decl().name()] = node
        stack += node.children() if z3.is_app(node) else [node.body()] if z3.is_quantifier(node) else []
    return found


def _z3_solvers(logic: str) -> list[Any]:
    """Solvers in the order in which they are tried. nlsat is complete for QF_NRA but knows nothing of integers."""
    if logic == "QF_NRA":
        nlsat = z3.Then(
            "simplify", "propagate-values", "solve-eqs", "purify-arith", "elim-term-ite", "simplify", "qfnra-nlsat"
        )
        return [z3.Tactic("qfnra-nlsat").solver, z3.Solver, nlsat.solver]
    if logic in ("NRA", "LRA"):
        return [z3.Solver, z3.Then("simplify", "qe2", "smt").solver, z3.Tactic("nlqsat").solver]
    return [z3.Solver]


def run_z3(text: str, *, rlimit: int, seconds: float) -> Answer:
    """Satisfiability of an SMT-LIB text; every exception of z3 is an "unknown"."""
    start = time.perf_counter()
    reasons: list[str] = []
    try:
        assertions = z3.parse_smt2_string(text)
        logic = logic_of(text)
        makers = _z3_solvers(logic)
    except z3.Z3Exception as problem:
        return Answer("unknown", f"z3 can't parse the text: {problem}", parsed=False)
    for k, make in enumerate(makers):
        left = seconds - (time.perf_counter() - start)
        if left <= 0:
            reasons.append("time is over")
            break
        # The first solver answers nearly always at once; what it can't do cheaply, another may.
        share = max(1, rlimit // (4 if k < len(makers) - 1 else 2)) if len(makers) > 1 else max(1, rlimit)
        try:
            solver = make()
            solver.set("rlimit", share)
            solver.set("timeout", max(1, int(1000 * left)))
            solver.add(assertions)
            result = solver.check()
            if result == z3.unsat:
                return Answer("unsat", seconds=time.perf_counter() - start)
            if result == z3.sat:
                return Answer("sat", "", solver.model(), time.perf_counter() - start, names=constants(text))
            reasons.append(solver.reason_unknown())
        except z3.Z3Exception as problem:
            reasons.append(str(problem))
    return Answer("unknown", "z3: " + "; ".join(dict.fromkeys(reasons)), seconds=time.perf_counter() - start)


def logic_of(text: str) -> str:
    first = text.split("\n", 1)[0]
    return first[len("(set-logic ") : -1] if first.startswith("(set-logic ") else "ALL"


def _cvc5_answer(text: str) -> str:
    solver = cvc5.Solver()
    if logic_of(text) == "QF_NRA":
        solver.setOption("nl-cov", "true")
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "formula")
    symbols = parser.getSymbolManager()
    try:
        while not (command := parser.nextCommand()).isNull():
            said = command.invoke(solver, symbols)
            if "error" in said:
                return f"parse {said.strip()}"
    except cvc5.ParserException as problem:
        return f"parse {problem}"
    result = solver.checkSat()
    return "unsat" if result.isUnsat() else "sat" if result.isSat() else f"unknown {result.getUnknownExplanation()}"


def run_cvc5(text: str, *, seconds: float) -> Answer:
    """The same text by cvc5; an abort or a hang of the child is an "unknown"."""
    start = time.perf_counter()
    status, said = in_child(_cvc5_answer, text, seconds)
    elapsed = time.perf_counter() - start
    if status != "done":
        return Answer("unknown", f"cvc5 {status}", seconds=elapsed)
    word, _, _ = said.partition(" ")
    if word in ("sat", "unsat"):
        return Answer(word, seconds=elapsed)
    return Answer("unknown", f"cvc5: {said}", seconds=elapsed, parsed=word != "parse")


def in_child(work: Callable[[str], str], argument: str, seconds: float) -> tuple[str, str]:
    """`work(argument)` in a forked child that is killed after `seconds`: ("done", result) or (why, "").

    The child stays for the next argument, since a fork costs more than most questions; if it hangs or dies, another one
    takes its place.
    """
    global _child
    if _child is None or _child.work is not work or _child.owner != os.getpid():
        if _child is not None and _child.owner == os.getpid():
            _child.kill()
        _child = _Child(work)
    status, said = _child.ask(argument, seconds)
    if status != "done":
        _child.kill()
        _child = None
    return status, said


class _Child:
    def __init__(self, work: Callable[[str], str]) -> None:
        self.work, self.owner = work, os.getpid()
        theirs, self.questions = os.pipe()
        self.answers, back = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork beside z3's timer thread: the child calls no z3
            self.process = os.fork()
        if self.process == 0:
            os.close(self.questions)
            os.close(self.answers)
            _answer_questions(work, theirs, back)
        os.close(theirs)
        os.close(back)

    def ask(self, argument: str, seconds: float) -> tuple[str, str]:
        data = argument.encode()
        try:
            _write(self.questions, len(data).to_bytes(8, "little") + data)
        except OSError:
            return "crashed", ""
        ready, _, _ = select.select([self.answers], [], [], seconds)
        if not ready:
            return f"did not answer in {seconds:g} s", ""
        said = os.read(self.answers, 4096).decode(errors="replace")
        return ("done", said) if said else ("crashed", "")

    def kill(self) -> None:
        os.close(self.questions)
        os.close(self.answers)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


_child: _Child | None = None


def _answer_questions(work: Callable[[str], str], questions: int, answers: int) -> NoReturn:
    """The child: one answer of at most 4000 bytes for each question, until the parent closes its end."""
    try:
        faulthandler.disable()
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        while header := _read(questions, 8):
            argument = _read(questions, int.from_bytes(header, "little")).decode()
            try:
                said = work(argument)
            except BaseException as problem:
                said = f"unknown {type(problem).__name__}: {problem}"
            os.write(answers, said.encode()[:4000] or b"unknown")
    finally:
        os._exit(0)


def _read(descriptor: int, size: int) -> bytes:
    """Exactly `size` bytes; nothing when the other end is closed."""
    data = b""
    while len(data) < size:
        piece = os.read(descriptor, size - len(data))
        if not piece:
            return b""
        data += piece
    return data


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
