"""A momentum in 8 bits: blocks of 256 numbers share one scale, and rounding is random, so that its mean is exact."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.nn import functional as F

BLOCK = 256
LEVELS = 127


def quantise_blocks(
    x: Float[Tensor, "n"], generator: torch.Generator | None = None
) -> tuple[Int8[Tensor, "n"], Float[Tensor, "blocks"]]:
    """Codes in −127 … 127 and the largest |x| of each block of 256, the last of which may be shorter.

    Rounding up or down is random with the mean x. To the nearest, the increments (1 − β2)(g − m) of
    a momentum would be rounded away: with β2 = 0.99 they are smaller than half of a level.

    Args:
        generator: of the device; torch's global one by default.
    """
    n = x.numel()
    rows = F.pad(x, (0, -n % BLOCK)).view(-1, BLOCK)
    scale = rows.abs().amax(dim=1).float()
    steps = rows * (LEVELS / torch.where(scale > 0, scale, torch.ones_like(scale)))[:, None]
    noise = torch.rand(steps.shape, dtype=steps.dtype, device=steps.device, generator=generator)
    codes = steps.add(noise).floor_().clamp_(-LEVELS, LEVELS).to(torch.int8)
    return codes.view(-1)[:n].contiguous(), scale


def dequantise_blocks(codes: Int8[Tensor, "n"], scale: Float[Tensor, "blocks"]) -> Float[Tensor, "n"]:
    """The numbers that codes stand for, in float32."""
    n = codes.numel()
    rows = F.pad(codes, (0, -n % BLOCK)).view(-1, BLOCK).float()
    return (rows * (scale / LEVELS)[:, None]).view(-1)[:n]
