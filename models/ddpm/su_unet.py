"""The U-Net of the articles: no biases, a trainable time embedding, skips that are added, GroupNorm behind the sum."""

from __future__ import annotations

import math

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class SuBlock(nn.Module):
    """x + time, then two 3×3 convolutions with swish, plus the input, normalised: GN(x' + conv(conv(x + time)))."""

    def __init__(self, inputs: int, outputs: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.time = nn.Linear(time_width, inputs, bias=False)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()
        self.norm = nn.GroupNorm(groups, outputs)
        for conv in (self.conv1, self.conv2):
            bound = math.sqrt(3 / 13 / conv.weight[0].numel())
            nn.init.uniform_(conv.weight, -bound, bound)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"], time: Float[Tensor, "batch time"]
    ) -> Float[Tensor, "batch outputs height width"]:
        h = x + self.time(time)[:, :, None, None]
        h = F.silu(self.conv2(F.silu(self.conv1(h))))
        return self.norm(self.skip(x) + h)


class SuUNet(nn.Module):
    """ε(x, t) of the articles' code, rebuilt from its layer list (archive 9119).

    Args:
        steps: T, the size of the time embedding.
        smallest: side below which nothing is pooled.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int,
        multipliers: tuple[int, ...],
        num_blocks: int,
        steps: int,
        groups: int = 32,
        smallest: int = 4,
    ) -> None:
        super().__init__()
        if width % groups:
            raise ValueError(f"width must be a multiple of the {groups} groups, got {width}")
        self.smallest = smallest
        self.time = nn.Embedding(steps, width)
        self.first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        now, self.num_blocks = width, num_blocks
        down, up = [], []
        for multiplier in multipliers:
            for _ in range(num_blocks):
                down.append(SuBlock(now, width * multiplier, width, groups))
                now = width * multiplier
        self.down = nn.ModuleList(down)
        self.middle = SuBlock(now, now, width, groups)
        for level in reversed(range(len(multipliers))):
            for j in range(num_blocks):  # the last block of a level takes the width of the next one
                target = multipliers[max(level - 1, 0)] if j == num_blocks - 1 else multipliers[level]
                up.append(SuBlock(now, width * target, width, groups))
                now = width * target
        self.up = nn.ModuleList(up)
        self.norm = nn.GroupNorm(groups, now)
        self.last = nn.Conv2d(now, channels, 3, padding=1, bias=False)
        nn.init.normal_(self.time.weight, std=0.02)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], t: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Times are 1..T."""
        time = self.time(t - 1)
        x = self.first(x)
        skips: list[Tensor] = []
        pooled: list[bool] = []
        for i, block in enumerate(self.down):
            skips.append(x)
            x = block(x, time)
            if (i + 1) % self.num_blocks == 0:
                halves = x.shape[-1] % 2 == 0 and x.shape[-1] // 2 >= self.smallest
                pooled.append(halves)
                if halves:
                    x = F.avg_pool2d(x, 2)
        x = self.middle(x, time)
        for i, block in enumerate(self.up):
            if i % self.num_blocks == 0 and pooled.pop():
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(x, time) + skips.pop()
        return self.last(self.norm(x))
