"""Integers coded with a density: integer tables for range coding, and a small asymmetric numeral system.

Shapes: C densities, symbols (samples, C).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

LOW = 1 << 32  # the coder's state stays in [2³², 2⁶⁴)
WORD = 32


def quantize_pmf(pmf: Tensor, precision: int = 16) -> Int[Tensor, "symbols"]:
    """Integer frequencies ≥ 1 with the sum 2^precision: rounded down, the rest to the largest fractions.

    Raises:
        ValueError: pmf isn't a list of non-negative finite numbers with a positive sum, or has more symbols than
            2^precision.
    """
    total = 1 << precision
    weights = pmf.detach().to("cpu", torch.float64)
    if weights.ndim != 1 or not weights.numel() or not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ValueError(f"pmf must be a list of non-negative finite numbers, got shape {tuple(pmf.shape)}")
    if len(weights) > total:
        raise ValueError(f"pmf has {len(weights)} symbols, at most 2^precision = {total} fit")
    if not float(weights.sum()) > 0:
        raise ValueError("pmf must have a positive sum")
    share = weights / weights.sum() * (total - len(weights))
    counts = share.floor().long() + 1
    rest = total - int(counts.sum())
    counts[(share - share.floor()).argsort(descending=True, stable=True)[:rest]] += 1
    return counts


class RansCoder:
    """A stack of symbols in one large number: the last one pushed is popped first.

    A symbol of frequency f out of 2^precision costs log₂(2^precision/f) bits, up to about 2^−16 relative.
    """

    def __init__(self, precision: int = 16, data: bytes = b"") -> None:
        if not 1 <= precision <= 24:
            raise ValueError(f"precision must be in 1..24, got {precision}")
        self.precision = precision
        if data:
            if len(data) < 8 or len(data) % 4:
                raise ValueError(f"data must be what a coder wrote, whole words of 4 bytes, got {len(data)} bytes")
            words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
            self.state, self.words = words[-1] << WORD | words[-2], words[:-2]
        else:
            self.state, self.words = LOW, []

    def push(self, start: int, frequency: int) -> None:
        """Encodes the symbol with the cumulated frequencies [start, start + frequency)."""
        if self.state >= frequency << (64 - self.precision):
            self.words.append(self.state & (LOW - 1))
            self.state >>= WORD
        self.state = (self.state // frequency << self.precision) + self.state % frequency + start

    def peek(self) -> int:
        """The slot in 0 … 2^precision − 1 that belongs to the symbol on top."""
        return self.state & ((1 << self.precision) - 1)

    def pop(self, start: int, frequency: int) -> None:
        """Removes the symbol on top, whose cumulated frequencies are [start, start + frequency)."""
        self.state = frequency * (self.state >> self.precision) + self.peek() - start
        if self.state < LOW:
            if not self.words:
                raise ValueError("data end early: they hold fewer symbols than are read")
            self.state = self.state << WORD | self.words.pop()

    def to_bytes(self) -> bytes:
        words = [*self.words, self.state & (LOW - 1), self.state >> WORD]
        return b"".join(word.to_bytes(4, "little") for word in words)


class EntropyModel:
    """Integers coded losslessly with the bins of a density, of any width; values far out are escaped.

    The range of each table comes from exact quantiles, with no auxiliary loss; outside it an escape symbol and the
    distance in bytes follow. Tables have the total 2^precision and no empty bin, so that every integer can be coded.

    Args:
        distribution: with a batch of C densities and `icdf`, `log_bin_prob`: symbol k stands for the bin around
            width·k.
        width: of the bins.
        tail_mass: the mass that the tables leave out on each side, at most.
        precision: bits of the frequencies.
    """

    def __init__(
        self, distribution: Any, width: float = 1.0, *, tail_mass: float = 1e-6, precision: int = 16
    ) -> None:
        if not 0 < width < math.inf:
            raise ValueError(f"width must be positive and finite, got {width}")
        if not 9 <= precision <= 24:
            raise ValueError(f"precision must be in 9..24, got {precision}")
        if not 0 < tail_mass < 0.5:
            raise ValueError(f"tail_mass must be in (0, 1/2), got {tail_mass}")
        if len(distribution.batch_shape) != 1:
            raise ValueError(f"distribution must have a batch (C,), got {tuple(distribution.batch_shape)}")
        self.width, self.precision = float(width), precision
        self.offsets: list[int] = []
        self.tables: list[list[int]] = []  # cumulated frequencies from 0 to 2^precision; the escape symbol is last
        with torch.no_grad():
            real = distribution.a.real
            ends = [
                distribution.icdf(torch.full(distribution.batch_shape, q, dtype=real.dtype, device=real.device))
                for q in (tail_mass, 1 - tail_mass)
            ]
            low = torch.floor(ends[0] / width).long().tolist()
            high = torch.ceil(ends[1] / width).long().tolist()
            limit = (1 << precision) // 2
            for index, (first, last) in enumerate(zip(low, high, strict=True)):
                if last - first + 2 > limit:
                    raise ValueError(
                        f"width {width} gives density {index} {last - first + 1} bins, at most {limit - 1} fit "
                        f"precision {precision}"
                    )
                grid = torch.arange(first, last + 1, dtype=real.dtype, device=real.device) * width
                pmf = distribution[index].bin_prob(grid, width).double()
                outside = (1 - pmf.sum()).clamp(min=0)
                counts = quantize_pmf(torch.cat((pmf, outside[None])), precision)
                self.offsets.append(first)
                self.tables.append([0, *counts.cumsum(0).tolist()])

    def quantize(self, value: Tensor) -> Int[Tensor, "samples C"]:
        """The symbols of the nearest bin centres."""
        return torch.round(value / self.width).long()

    def dequantize(self, symbols: Int[Tensor, "samples C"]) -> Tensor:
        return symbols * self.width

    def encode(self, symbols: Int[Tensor, "samples C"]) -> bytes:
        """Raises ValueError if symbols have the wrong shape or aren't integers."""
        if symbols.ndim != 2 or symbols.shape[1] != len(self.tables) or symbols.is_floating_point():
            raise ValueError(
                f"symbols must be integers (samples, {len(self.tables)}), got {symbols.dtype} {tuple(symbols.shape)}"
            )
        coder = RansCoder(self.precision)
        rows = symbols.tolist()
        for row in reversed(rows):
            for index in reversed(range(len(row))):
                table, position = self.tables[index], row[index] - self.offsets[index]
                escape = len(table) - 2
                if not 0 <= position < escape:
                    distance = 2 * (position - escape) + 1 if position >= 0 else 2 * (-position - 1)
                    self._push_distance(coder, distance)
                    position = escape
                coder.push(table[position], table[position + 1] - table[position])
        return coder.to_bytes()

    def decode(self, data: bytes, samples: int) -> Int[Tensor, "samples C"]:
        """What `encode` was given. Raises ValueError for damaged data, as far as that shows."""
        coder = RansCoder(self.precision, data)
        rows = []
        for _ in range(samples):
            row = []
            for table, offset in zip(self.tables, self.offsets, strict=True):
                position = _find(table, coder.peek())
                coder.pop(table[position], table[position + 1] - table[position])
                escape = len(table) - 2
                if position == escape:
                    distance = self._pop_distance(coder)
                    position = escape + distance // 2 if distance % 2 else -(distance // 2) - 1
                row.append(position + offset)
            rows.append(row)
        if coder.words or coder.state != LOW:
            raise ValueError("data hold more symbols than are read, or are damaged")
        return torch.tensor(rows, dtype=torch.long).reshape(samples, len(self.tables))

    def bits(self, symbols: Int[Tensor, "samples C"]) -> float:
        """−Σ log₂ of the tables' probabilities, without the bytes that follow an escape."""
        total = 0.0
        for row in symbols.tolist():
            for table, offset, symbol in zip(self.tables, self.offsets, row, strict=True):
                position = min(max(symbol - offset, -1), len(table) - 2)
                position = len(table) - 2 if position < 0 else position
                total += self.precision - math.log2(table[position + 1] - table[position])
        return total

    def _push_distance(self, coder: RansCoder, distance: int) -> None:
        """Seven bits at a time, each with a bit that says whether more follow."""
        digits = [distance & 127]
        while distance := distance >> 7:
            digits.append(distance & 127)
        unit = self.precision - 8
        for place in reversed(range(len(digits))):
            more = 128 if place < len(digits) - 1 else 0
            coder.push((digits[place] | more) << unit, 1 << unit)

    def _pop_distance(self, coder: RansCoder) -> int:
        unit, distance, shift = self.precision - 8, 0, 0
        while True:
            digit = coder.peek() >> unit
            coder.pop(digit << unit, 1 << unit)
            distance |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return distance


def _find(table: list[int], slot: int) -> int:
    """The symbol whose cumulated frequencies hold the slot."""
    low, high = 0, len(table) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if table[middle] <= slot else (low, middle)
    return low
