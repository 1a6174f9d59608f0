"""Torch code held against exact mathematics: the values of a function, and what a module costs. Torch is never
imported here: the tensors that a claim hands over bring it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import flint
import sympy as sp
from flint import arb, fmpq

from kexue.engines import balls, gate
from kexue.findings import Budget, Finding, Verdict, defective, refuted, undecided
from kexue.statements import base

EPSILON = {"torch.float64": 2.0**-52, "torch.float32": 2.0**-23, "torch.bfloat16": 2.0**-7, "torch.float16": 2.0**-10}
REAL_PART = {"torch.complex128": "torch.float64", "torch.complex64": "torch.float32"}
MOST_ULPS = 1_000_000
DIGITS = 40  # of the exact values; a float64 has 16


class Conforms(base.Statement):
    """In each case a torch function gives what the exact object gives, up to a stated number of ulps.

    `compute(case)` returns a tensor (or a tuple of tensors), `exact(case)` an exact value of the same shape: a SymPy
    number or matrix, a Fraction, or nested lists of these. One ulp is the tensor's machine epsilon (2⁻⁵² in float64)
    times the largest absolute value of the exact result; with `entrywise` times the absolute value of each entry.

    What is established is a fact about this arithmetic in these cases: the verdict is "observed", and its scope gives
    the largest error that was seen.

    Args:
        compute: torch side; build its inputs with `tensor`, so that both sides see the same numbers.
        exact: exact side.
        cases: a finite iterable.
        ulps: the error that is allowed, at most a million.
        over: the cases in words.
        entrywise: measure each entry against itself instead of the largest entry.
    """

    kind = "Conforms"

    def __init__(
        self, compute: Callable[[Any], Any], exact: Callable[[Any], Any], cases: Iterable[Any], *, ulps: int,
        over: str = "", entrywise: bool = False,
    ) -> None:  # fmt: skip
        if not (isinstance(ulps, int) and 0 <= ulps <= MOST_ULPS):
            raise gate.Refused(f"ulps must be a whole number from 0 to {MOST_ULPS}, got {ulps!r}")
        if not (callable(compute) and callable(exact)):
            raise gate.Refused(f"compute and exact must be functions of one case, got {compute!r} and {exact!r}")
        self.compute, self.exact, self.cases = compute, exact, cases
        self.ulps, self.over, self.entrywise = ulps, over, entrywise

    def check(self, budget: Budget) -> Finding:
        with flint.ctx.workdps(DIGITS):
            return self._compare()

    def _compare(self) -> Finding:
        worst, entries, count, live = 0.0, 0, 0, ""
        for case in self.cases:
            count += 1
            for got, expected in _paired(self.compute(case), self.exact(case), case):
                shape, values = _flat(expected)
                if tuple(got.shape) != shape:
                    return refuted(f"at case {case!r:.200}: shape {tuple(got.shape)}, expected {shape}")
                epsilon = _epsilon(got)
                floats = got.detach().cpu().reshape(-1).tolist()
                exact = [_number(value) for value in values]
                largest = max((abs(z.mid) for z in exact), default=0.0)
                for i, (x, z) in enumerate(zip(floats, exact, strict=True)):
                    error = z.distance(x)
                    unit = epsilon * (abs(z.mid) if self.entrywise else largest)
                    if not error <= self.ulps * unit:
                        size = f"{error / unit:.3g} ulps" if unit and error == error else f"{error:.3g}"
                        where = f"entry {_index(i, shape)} " if shape else ""
                        return refuted(
                            f"at case {case!r:.200}: {where}{x!r} is computed, {z.mid:.17g} is exact: off by {size}",
                            engines=("floating point", "arb"),
                        )
                    worst = max(worst, error / unit if unit else 0.0)
                    entries += 1
                    live = live or f"case {case!r:.100}: {x!r} against {z.mid:.17g}"
        if not entries:
            return defective("nothing was compared: no case, or empty tensors")
        over = f": {self.over}" if self.over else ""
        scope = f"{entries} numbers in {count} cases{over}; largest error {worst:.2g} of {self.ulps} ulps"
        return Finding(Verdict.OBSERVED, scope=scope, engines=("floating point", "arb"), live=live)

    def text(self) -> str:
        over = f" ({self.over})" if self.over else ""
        return f"the torch code equals the exact object within {self.ulps} ulps in every case{over}"

    def latex(self) -> str:
        return rf"\text{{{self.text()}}}"

    def domain(self) -> tuple[str, ...]:
        return (self.over,) if self.over else ()


class Costs(base.Statement):
    """The numbers of parameters and of floating point operations of a module are exactly those of a formula.

    `build(size)` returns (module, inputs): both on the meta device, so that no size is too large. Operations are
    counted by `torch.utils.flop_counter.FlopCounterMode` in one forward pass: 2 for each multiply-add of a matrix
    product, convolution or attention, nothing for other operations.

    Args:
        build: size -> (module or function, tuple of inputs).
        sizes: the sizes to build.
        params: size -> number of parameters, or None not to count them.
        flops: size -> number of operations, or None.
    """

    kind = "Costs"

    def __init__(
        self, build: Callable[[Any], tuple[Any, Sequence[Any]]], sizes: Iterable[Any], *,
        params: Callable[[Any], int] | None = None, flops: Callable[[Any], int] | None = None, over: str = "",
    ) -> None:  # fmt: skip
        if params is None and flops is None:
            raise gate.Refused("Costs states nothing: give params, flops or both")
        self.build, self.sizes, self.over = build, tuple(sizes), over
        self.formulas: Mapping[str, Callable[[Any], int]] = {
            name: formula for name, formula in (("parameters", params), ("FLOPs", flops)) if formula is not None
        }

    def check(self, budget: Budget) -> Finding:
        live = ""
        for size in self.sizes:
            module, inputs = self.build(size)
            for name, formula in self.formulas.items():
                counted = _parameters(module) if name == "parameters" else _operations(module, inputs)
                expected = gate.exact(formula(size), name)
                if not isinstance(expected, sp.Integer):
                    return undecided(f"the formula gives {expected} {name} at size {size}, which is no integer")
                if counted == 0:
                    return defective(f"no {name} were counted at size {size}: are they outside of what is counted?")
                if counted != int(expected):
                    text = f"at size {size!r}: {counted:,} {name} counted, {int(expected):,} expected"
                    return refuted(text, engines=("counting",))
                live = live or f"size {size!r}: {counted:,} {name}"
        if not live:
            return defective("no size was given")
        scope = f"{len(self.sizes)} sizes: {self.over or ', '.join(map(str, self.sizes))}"
        return Finding(Verdict.EXHAUSTED, scope=scope, engines=("counting",), live=live)

    def text(self) -> str:
        where = self.over or f"sizes {', '.join(map(str, self.sizes))}"
        return f"the numbers of {' and '.join(self.formulas)} equal their formulas ({where})"

    def latex(self) -> str:
        return rf"\text{{{self.text()}}}".replace("_", r"\_")

    def domain(self) -> tuple[str, ...]:
        return (self.over or str(self.sizes),)


def tensor(values: Any, dtype: Any = None) -> Any:
    """A float64 tensor (or of another `dtype`) of exact numbers, none of which may be rounded.

    Raises:
        Refused: for a number that the dtype can't hold, such as 1/3: the exact side would see another input.
    """
    import torch

    dtype = dtype or torch.float64
    shape, flat = _flat(values)
    exact = [Fraction(int(v.p), int(v.q)) for v in (gate.exact(x, "values") for x in flat)]
    made = torch.tensor([float(x) for x in exact], dtype=torch.float64).to(dtype)
    for value, held in zip(exact, made.double().tolist(), strict=True):
        if Fraction(held) != value:
            raise gate.Refused(f"values must be exact in {dtype}, got {value}: use dyadic rationals")
    return made.reshape(shape)


def fractions(values: Any) -> Any:
    """The exact numbers that a real tensor holds, as nested lists of Fractions."""
    if isinstance(values, list):
        return [fractions(v) for v in values]
    return Fraction(values) if isinstance(values, (int, float)) else fractions(values.tolist())


class _Number:
    """An exact number as a narrow ball, and its distance to floats."""

    def __init__(self, real: arb, imaginary: arb | None = None) -> None:
        self.real, self.imaginary = real, imaginary
        self.mid: Any = float(real.mid()) if imaginary is None else complex(float(real.mid()), float(imaginary.mid()))

    def distance(self, x: Any) -> float:
        """An upper bound of |x − this|; infinite if x is not a number."""
        if x != x:
            return float("inf")
        if isinstance(x, complex) or self.imaginary is not None:
            z = complex(x)
            parts = (abs(self.real - arb(z.real)), abs((self.imaginary or arb(0)) - arb(z.imag)))
            return float((parts[0] ** 2 + parts[1] ** 2).sqrt().upper())
        return float(abs(self.real - arb(x)).upper())


def _number(value: Any) -> _Number:
    if isinstance(value, (int, Fraction)) and not isinstance(value, bool):
        q = Fraction(value)
        return _Number(arb(fmpq(q.numerator, q.denominator)))
    exact = gate.exact(value, "exact")
    if not isinstance(exact, sp.Expr) or exact.free_symbols:
        raise gate.Refused(f"exact must give numbers, got {exact}")
    ball = balls.evaluate(exact, {}, DIGITS)
    return _Number(ball) if isinstance(ball, arb) else _Number(ball.real, ball.imag)


def _paired(got: Any, expected: Any, case: Any) -> Iterator[tuple[Any, Any]]:
    if not isinstance(got, tuple):
        return iter([(got, expected)])
    if not isinstance(expected, tuple) or len(got) != len(expected):
        raise gate.Refused(f"compute gives {len(got)} tensors at case {case!r:.100}, exact must give as many values")
    return iter(zip(got, expected, strict=True))


def _flat(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and entries of a number, a SymPy matrix or nested lists of numbers."""
    if isinstance(value, sp.MatrixBase):
        return value.shape, list(value)
    if not isinstance(value, (list, tuple)):
        return (), [value]
    inner = [_flat(v) for v in value]
    shapes = {shape for shape, _ in inner}
    if len(shapes) > 1:
        raise gate.Refused(f"nested lists must have rows of one shape, got {sorted(shapes)}")
    return (len(value), *(shapes.pop() if shapes else ())), [x for _, entries in inner for x in entries]


def _index(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index = []
    for size in reversed(shape):
        i, rest = divmod(i, size)
        index.append(rest)
    return tuple(reversed(index))


def _epsilon(tensor: Any) -> float:
    name = str(getattr(tensor, "dtype", type(tensor)))
    name = REAL_PART.get(name, name)
    if name not in EPSILON:
        raise gate.Refused(f"compute must give floating point tensors, got {name}")
    return EPSILON[name]


def _parameters(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def _operations(module: Any, inputs: Sequence[Any]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    return int(counter.get_total_flops())
