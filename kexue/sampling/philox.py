"""Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), in numba.

A counter-based generator: four 32-bit words are a pure function of a 64-bit key and a 128-bit counter. Kernels inline
`philox4x32` and use (sample number, block of draws) as the counter, so that sample i is the same whoever computes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, uint32, uint64

M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
LOW, SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
UNIT = 2.0**-32


@njit(inline="always")
def philox4x32(k0: Any, k1: Any, c0: Any, c1: Any, c2: Any, c3: Any) -> Any:
    """Ten rounds; all arguments and the four results are uint32."""
    for _ in range(10):
        p0 = M0 * uint64(c0)
        p1 = M1 * uint64(c2)
        c0, c1, c2, c3 = (
            uint32(p1 >> SHIFT) ^ c1 ^ k0,
            uint32(p1 & LOW),
            uint32(p0 >> SHIFT) ^ c3 ^ k1,
            uint32(p0 & LOW),
        )
        k0 = uint32(k0 + W0)
        k1 = uint32(k1 + W1)
    return c0, c1, c2, c3


@njit(inline="always")
def draws(key: Any, sample: Any, block: Any) -> Any:
    """Four uniforms on [0, 1) with 32 bits each: number `block` of the sample's blocks of four."""
    a, b, c, d = philox4x32(
        uint32(key & LOW), uint32(key >> SHIFT), uint32(sample & LOW), uint32(sample >> SHIFT), uint32(block), uint32(0)
    )
    return a * UNIT, b * UNIT, c * UNIT, d * UNIT


@njit(cache=True)
def _fill(key: Any, start: Any, out: Any) -> None:
    count, dim = out.shape
    for i in range(count):
        for block in range((dim + 3) // 4):
            values = draws(key, uint64(start + i), block)
            for j in range(min(4, dim - 4 * block)):
                out[i, 4 * block + j] = values[j]


def uniforms(key: int, start: int, count: int, dim: int) -> np.ndarray:
    """Samples start, …, start + count − 1 of `dim` uniforms each, as float64 [count, dim] on the grid of 2^-32.

    Raises:
        ValueError: a negative argument, or samples beyond 2^64.
    """
    if not 0 <= key < 2**64:
        raise ValueError(f"key must be in [0, 2^64), got {key}")
    if start < 0 or count < 0 or dim < 0 or start + count > 2**64:
        raise ValueError(f"start, count and dim must be ≥ 0 and start + count ≤ 2^64, got {start}, {count}, {dim}")
    out = np.empty((count, dim))
    _fill(np.uint64(key), np.uint64(start), out)
    return out
