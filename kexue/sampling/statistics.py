"""Statistics of a chunk that merge exactly, or in a fixed order: integer counts, and moments by Chan's formula."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations. Merging is not associative in floating point: keep the order."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: Any) -> Moments:
        values = np.asarray(values, dtype=np.float64)
        if values.size == 0:
            return cls()
        mean = math.fsum(values) / values.size
        return cls(values.size, mean, math.fsum((values - mean) ** 2))

    def merge(self, other: Moments) -> Moments:
        """Chan, Golub and LeVeque, "Algorithms for computing the sample variance", Amer. Statist. 37 (1983)."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        gap = other.mean - self.mean
        mean = self.mean + gap * other.n / n
        return Moments(n, mean, self.m2 + other.m2 + gap * gap * self.n * other.n / n)

    @property
    def variance(self) -> float:
        return self.m2 / self.n if self.n else math.nan
