"""One fresh process a job: a server that has imported the engines forks itself for each, under limits.

`multiprocessing`'s own fork server runs the caller's `__main__` again in every child; this one doesn't, so that
`kexue.verify(...)` works in a script without a guard, and it reports how a child died. Parent and server speak
lines of JSON over a socket pair; when the parent dies, the server kills all that it started and removes its files.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OUTPUT_KEPT = 2000  # characters of what a claim printed
OUTPUT_LIMIT = 256 << 20  # bytes that a job may write into one file; a claim that prints for ever can't fill the disk
SET_CHILD_SUBREAPER = 36  # Linux's prctl: orphans of a job come back to the server


class ServerDied(RuntimeError):
    """The fork server is gone (killed from outside, or by a claim), or it could not start."""


class ForkServer:
    """The parent's handle. Jobs have numbers; `events` tells which of them ended, and how."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.folder = Path(tempfile.mkdtemp(prefix="kexue-"))
        self._socket, theirs = socket.socketpair()
        start = "import sys; sys.path[:] = {!r}; from kexue.forkserver import serve; serve({}, {!r})"
        environment = os.environ | {"PYTHONHASHSEED": "0"}  # SymPy's order of terms follows it
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.setdefault(name, "1")  # there are as many workers as cores
        with open(self.folder / "server", "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", start.format(sys.path, theirs.fileno(), str(self.folder))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[theirs.fileno()], env=environment,
                start_new_session=True,  # Ctrl-C reaches the parent only, which decides what dies
            )  # fmt: skip
        theirs.close()
        self._rest = b""
        self._started = 0

    def start(self, job: dict[str, Any]) -> int:
        """Sends a job; returns the number under which `events` speaks of it."""
        self._started += 1
        self._send({"run": self._started, "job": job, "path": sys.path})
        return self._started

    def kill(self, number: int) -> None:
        self._send({"kill": number})

    def events(self, timeout: float | None) -> list[dict[str, Any]]:
        """Waits at most `timeout` seconds for {"ready": 1}, {"started": number} or {"ended": number, "status": …}."""
        if not select.select([self._socket], [], [], timeout)[0]:
            return []
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            raise ServerDied(self._last_words())
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def answer(self, number: int) -> tuple[bytes, str]:
        """The answer of an ended job (empty if it gave none) and the end of what it printed; both are then removed."""
        answer = _read_and_remove(self.folder / f"{number}.answer")
        output = _read_and_remove(self.folder / f"{number}.output", last=4 * OUTPUT_KEPT)
        return answer, output.decode(errors="replace")[-OUTPUT_KEPT:]

    def close(self) -> None:
        """Kills every job and the server."""
        self._socket.close()
        if self.owner != os.getpid():
            return  # a fork of the caller: the server belongs to the original
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ServerDied(self._last_words()) from error

    def _last_words(self) -> str:
        text = (self.folder / "server").read_text(errors="replace") if self.folder.is_dir() else ""
        return text.strip()[-OUTPUT_KEPT:] or "the fork server was killed"


def _read_and_remove(path: Path, last: int | None = None) -> bytes:
    try:
        with open(path, "rb") as file:
            if last is not None:
                file.seek(max(0, path.stat().st_size - last))
            data = file.read()
        path.unlink()
    except OSError:
        return b""
    return data


def serve(descriptor: int, folder: str) -> None:
    """The server: forks a child for each job it is told, until the parent's end of the socket closes."""
    channel = socket.socket(fileno=descriptor)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    import kexue.preload  # noqa: F401

    gc.collect()
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, int] = {}  # process id -> job number
    rest = b""

    def tell(**event: int) -> None:
        with contextlib.suppress(OSError):  # the parent is gone: the next recv says so
            channel.sendall(json.dumps(event).encode() + b"\n")

    tell(ready=1)
    while True:
        ready = select.select([channel.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 1 << 16)
            for pid, status in _ended():
                if pid in children:
                    _kill_group(pid)  # what a job leaves behind dies with it
                    tell(ended=children.pop(pid), status=status)
        if channel.fileno() in ready:
            try:
                data = channel.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "kill" in message:
                    for pid, number in children.items():
                        if number == message["kill"]:
                            _kill_group(pid)
                    continue
                if "torch" in message["job"].get("needs", ()) and "torch" not in sys.modules:
                    _import_torch()
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    for other in (channel.detach(), woken, wake):
                        os.close(other)
                    _run(message, folder)
                with contextlib.suppress(OSError):
                    os.setpgid(pid, pid)  # here as well as in the child: a kill must not come too early
                children[pid] = message["run"]
                tell(started=message["run"])
    for pid in children:
        _kill_group(pid)
    _kill_orphans()
    shutil.rmtree(folder, ignore_errors=True)


def _import_torch() -> None:
    """Once in the server instead of a second in each job; without torch the job itself says what is missing."""
    with contextlib.suppress(ImportError):
        import kexue.preload_torch  # noqa: F401
    gc.collect()
    gc.freeze()


def _ended() -> Iterator[tuple[int, int]]:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            yield pid, status


def _kill_group(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _kill_orphans() -> None:
    """Helpers that left their job's process group; they have come to this process, their subreaper (Linux)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    for _ in range(100):  # each round frees the next generation
        for _ in _ended():
            pass
        try:
            alive = [int(pid) for pid in children.read_text().split()]
        except OSError:
            return
        if not alive:
            return
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _run(message: dict[str, Any], folder: str) -> None:
    """A job, in its own process; never returns."""
    number, job, me = message["run"], message["job"], os.getpid()
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(f"{folder}/{number}.output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        faulthandler.enable()
        sys.path[:] = message["path"]
        sys.dont_write_bytecode = job.get("dont_write_bytecode", False)
        _limit(job["budget"]["memory_mb"])

        from kexue.worker import run_job

        answer = run_job(job)
        if os.getpid() != me:
            os._exit(0)  # a fork made by the claim came back here: only the original answers
        text = json.dumps(answer)
    except BaseException as error:
        if os.getpid() != me:
            os._exit(0)
        with contextlib.suppress(BaseException):
            words = {"type": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
            text = json.dumps({"error": words})
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    try:
        with open(f"{folder}/{number}.answer", "w") as file:
            file.write(text)
    except BaseException:
        os._exit(70)
    os._exit(0)


def _limit(memory_mb: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for limit, value in ((resource.RLIMIT_AS, _size() + (memory_mb << 20)), (resource.RLIMIT_FSIZE, OUTPUT_LIMIT)):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of the address space
            resource.setrlimit(limit, (value, value))


def _size() -> int:
    """Bytes of address space in use: the limit counts from what the server's libraries already take."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 30
