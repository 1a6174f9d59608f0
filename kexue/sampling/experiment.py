"""An experiment: a pure kernel that turns a chunk of random numbers into counts or moments."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from kexue.sampling.statistics import Moments

KINDS = ("proportion", "mean", "law")
CHUNK = 2**16


@dataclass(frozen=True)
class Chunk:
    """The random numbers of one chunk: a function of the experiment, the seed and the chunk's number alone."""

    experiment: str
    seed: int
    index: int
    size: int

    @functools.cached_property
    def _digest(self) -> bytes:
        return hashlib.blake2b(f"{self.experiment}\0{self.seed}".encode(), digest_size=16).digest()

    @property
    def key(self) -> int:
        """The 64-bit key of Philox4x32 for kernels that count samples themselves; the chunk begins at `start`."""
        return int.from_bytes(self._digest[:8], "little")

    @property
    def start(self) -> int:
        """The number of the chunk's first sample."""
        return self.index * self.size

    def generator(self) -> np.random.Generator:
        """NumPy's Philox4x64 with the chunk's number in the counter's highest word."""
        key = np.frombuffer(self._digest, dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, self.index]))


@dataclass(frozen=True)
class Experiment:
    """A kernel with its parameters.

    name: names the random stream; experiments of different names or parameters have independent streams. kind:
    "proportion" (the kernel returns the number of successes), "mean" (a `Moments` of values in `support`) or "law"
    (an integer array of counts, one for each class, that sums to the chunk's size). """

    name: str
    kernel: Callable[..., Any] = field(repr=False)
    kind: str
    chunk: int = CHUNK
    support: tuple[float, float] = (0.0, 1.0)
    parameters: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not isinstance(self.chunk, int) or self.chunk < 1:
            raise ValueError(f"chunk must be a positive integer, got {self.chunk!r}")
        if not self.support[0] < self.support[1]:
            raise ValueError(f"support must be (low, high) with low < high, got {self.support}")

    @property
    def id(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in self.parameters)
        return f"{self.name}({shown})" if shown else self.name

    @property
    def fingerprint(self) -> str:
        """A hash of the kernel's source, parameters and chunk size: states of another kernel can't be mixed in."""
        source = inspect.getsource(self.kernel)
        return hashlib.blake2b(f"{self.id}\0{self.kind}\0{self.chunk}\0{source}".encode(), digest_size=16).hexdigest()

    def evaluate(self, seed: int, index: int) -> Any:
        """The statistic of one chunk, validated: int, Moments, or a tuple of ints."""
        found = self.kernel(Chunk(self.id, seed, index, self.chunk), self.chunk, **dict(self.parameters))
        if self.kind == "mean":
            moments = found if isinstance(found, Moments) else Moments.of(found)
            low, high = self.support
            if moments.n != self.chunk or not low <= moments.mean <= high:
                raise ValueError(f"{self.id}: {self.chunk} values in [{low}, {high}] were expected, got {moments}")
            return moments
        if self.kind == "proportion":
            if not isinstance(found, (int, np.integer)) or not 0 <= found <= self.chunk:
                raise ValueError(
                    f"{self.id}: an integer number of successes in [0, {self.chunk}] was expected, got {found!r}"
                )
            return int(found)
        counts = np.asarray(found)
        if counts.dtype.kind not in "iu" or counts.ndim != 1 or (counts < 0).any() or counts.sum() != self.chunk:
            raise ValueError(f"{self.id}: counts that sum to {self.chunk} were expected, got {found!r}")
        return tuple(int(c) for c in counts)


def experiment(
    kind: str = "proportion", *, chunk: int = CHUNK, support: tuple[float, float] = (0.0, 1.0), name: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Experiment]]:
    """Turns a kernel(chunk, count, **parameters) into a function of the parameters that returns the experiment.

    The kernel must be a module-level function whose result depends on its arguments alone. Parameters are numbers,
    strings, Fractions or tuples of them.
    """

    def decorate(kernel: Callable[..., Any]) -> Callable[..., Experiment]:
        module = kernel.__module__.removeprefix("_kexue_paper_").rpartition(".")[2]
        label = name or f"{module}/{kernel.__name__.replace('_', '-')}"
        signature = inspect.signature(kernel)

        @functools.wraps(kernel)
        def bind(**parameters: Any) -> Experiment:
            bound = signature.bind(None, None, **parameters)
            bound.apply_defaults()
            values = tuple((k, v) for k, v in bound.arguments.items())[2:]
            for k, v in values:
                if not isinstance(v, (int, float, str, Fraction, tuple)):
                    raise TypeError(f"parameter {k} must be a number, a string, a Fraction or a tuple, got {v!r}")
            return Experiment(label, kernel, kind, chunk, support, values)

        bind.kernel = kernel  # type: ignore[attr-defined]
        return bind

    return decorate
