"""Where chunks are computed: local processes, or a Dask cluster. In-process needs no executor at all."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt
LOCAL_TASK, DASK_TASK = 0.2, 1.0  # seconds of work in a task, so that its overhead doesn't matter


def processes(workers: int) -> Callable[[], Executor]:
    """Makes pools of `workers` processes; `map_chunks` replaces a pool that a killed worker broke.

    Raises:
        ValueError: workers < 1.
    """
    if workers < 1:
        raise ValueError(f"workers must be ≥ 1, got {workers}")
    context = multiprocessing.get_context("forkserver")
    return lambda: ProcessPoolExecutor(workers, mp_context=context, initializer=keep_memory)


def keep_memory() -> None:
    """Makes glibc keep freed memory: a kernel that makes large arrays again and again is a quarter faster then."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            libc.mallopt(parameter, 1 << 28)


@contextlib.contextmanager
def dask(address: str, workers: int | None = None) -> Iterator[tuple[Executor, int]]:
    """An executor on the Dask cluster at `address` ("local" starts one here), and its number of workers.

    Raises:
        ModuleNotFoundError: dask.distributed is not installed.
        OSError: no scheduler answers at the address.
    """
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise ModuleNotFoundError('--dask needs dask.distributed: pip install "kexue[scale]"') from None
    with contextlib.ExitStack() as stack:
        target: Any = address
        if address == "local":
            target = stack.enter_context(
                LocalCluster(n_workers=workers or 2, threads_per_worker=1, dashboard_address=None)
            )
        client = stack.enter_context(Client(target, timeout="10s"))
        if address == "local":
            client.run(keep_memory)
        count = len(client.scheduler_info()["workers"])
        if not count:
            raise OSError(f"the Dask scheduler at {address} has no workers")
        yield client.get_executor(pure=False), count
