"""The kernel itself; importing this needs triton."""

# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _lerp(start, end, weight, NEAR: tl.constexpr):
    gap = end - start
    if NEAR:
        found = tl.fma(gap, weight, start)
    else:
        found = tl.fma(-gap, 1.0 - weight, end)
    return found


@triton.jit
def lion_kernel(
    theta, grad, momentum, n, lr, decay, weight1, weight2,
    DECAYS: tl.constexpr, NEGATE: tl.constexpr, MASK: tl.constexpr, NEAR1: tl.constexpr, NEAR2: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    p = tl.load(theta + at, mask=inside).to(tl.float32)
    g = tl.load(grad + at, mask=inside).to(tl.float32)
    m = tl.load(momentum + at, mask=inside).to(tl.float32)
    if NEGATE:
        g = -g
    c = _lerp(m, g, weight1, NEAR1)
    step = tl.where(c > 0, lr, tl.where(c < 0, -lr, 0.0))
    if MASK:
        step = tl.where(g == 0, 0.0, step)
    if DECAYS:
        p = p * decay
    p = p - step
    tl.store(theta + at, p.to(theta.dtype.element_ty), mask=inside)
    tl.store(momentum + at, _lerp(m, g, weight2, NEAR2).to(momentum.dtype.element_ty), mask=inside)
