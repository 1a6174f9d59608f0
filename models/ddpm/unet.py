"""The U-Net of Ho et al. (2020), appendix B: residual blocks with GroupNorm, self-attention at one resolution."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


def sinusoidal_embedding(t: Int[Tensor, "batch"], width: int) -> Float[Tensor, "batch width"]:
    """(sin(t ω_i), cos(t ω_i)) with ω_i = 10⁴^(−i/(width/2 − 1))."""
    half = width // 2
    omega = torch.exp(-math.log(10_000.0) / (half - 1) * torch.arange(half, device=t.device))
    angles = t[:, None].float() * omega
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


def variance_scaling(layer: nn.Conv2d | nn.Linear, scale: float = 1.0) -> None:
    """Uniform with the variance scale/fan_avg, the paper's initialisation; scale 0 stands for 10⁻¹⁰."""
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(layer.weight)
    bound = math.sqrt(3 * (scale or 1e-10) / ((fan_in + fan_out) / 2))
    nn.init.uniform_(layer.weight, -bound, bound)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResBlock(nn.Module):
    """GN, SiLU, conv → + time → GN, SiLU, dropout, conv (starts at 0), around a shortcut."""

    def __init__(self, inputs: int, outputs: int, time_width: int, dropout: float, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_width, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch inputs height width"], time: Float[Tensor, "batch time"]
    ) -> Float[Tensor, "batch outputs height width"]:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.shortcut(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class AttentionBlock(nn.Module):
    """Self-attention with one head over all pixels, residual; the output projection starts at 0."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        q, k, v = self.qkv(self.norm(x)).flatten(2).mT[:, None].chunk(3, dim=-1)  # (batch, 1, pixels, channels)
        attended = F.scaled_dot_product_attention(q, k, v)[:, 0].mT.unflatten(2, x.shape[2:])
        return x + self.out(attended)


class Downsample(nn.Module):
    """A 3×3 convolution of stride 2 with TensorFlow's "SAME" padding: one row and column after the last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Nearest neighbours ×2, then a 3×3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Module):
    """A residual block, and attention behind it at the resolutions that have it."""

    def __init__(
        self, inputs: int, outputs: int, time_width: int, dropout: float, groups: int, attention: bool
    ) -> None:
        super().__init__()
        self.block = ResBlock(inputs, outputs, time_width, dropout, groups)
        self.attention = AttentionBlock(outputs, groups) if attention else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.attention(self.block(x, time))


class UNet(nn.Module):
    """ε(x, t): as many outputs as inputs.

    Args:
        image_size: side of the images, a multiple of 2^(levels − 1).
        channels: of the images.
        width: channels of the first level; level i has width · multipliers[i].
        num_blocks: residual blocks a level on the way down; one more on the way up.
        attention: resolutions with self-attention, which the middle then has too.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int,
        multipliers: tuple[int, ...],
        num_blocks: int,
        attention: tuple[int, ...],
        dropout: float,
        groups: int = 32,
    ) -> None:
        super().__init__()
        levels = len(multipliers)
        if image_size % 2 ** (levels - 1):
            least = 2 ** (levels - 1)
            raise ValueError(f"image_size must be a multiple of {least} for {levels} levels, got {image_size}")
        if width % groups:
            raise ValueError(f"width must be a multiple of the {groups} groups, got {width}")
        self.width = width
        time_width = 4 * width
        self.time1 = nn.Linear(width, time_width)
        self.time2 = nn.Linear(time_width, time_width)
        self.first = nn.Conv2d(channels, width, 3, padding=1)

        def stage(inputs: int, outputs: int, side: int) -> Stage:
            return Stage(inputs, outputs, time_width, dropout, groups, side in attention)

        down: list[nn.Module] = []
        skips, now, side = [width], width, image_size
        for level, multiplier in enumerate(multipliers):
            for _ in range(num_blocks):
                down.append(stage(now, width * multiplier, side))
                now = width * multiplier
                skips.append(now)
            if level < levels - 1:
                down.append(Downsample(now))
                skips.append(now)
                side //= 2
        self.down = nn.ModuleList(down)
        self.middle1 = ResBlock(now, now, time_width, dropout, groups)
        self.middle_attention = AttentionBlock(now, groups) if attention else nn.Identity()
        self.middle2 = ResBlock(now, now, time_width, dropout, groups)
        up: list[nn.Module] = []
        for level in reversed(range(levels)):
            for _ in range(num_blocks + 1):
                up.append(stage(now + skips.pop(), width * multipliers[level], side))
                now = width * multipliers[level]
            if level:
                up.append(Upsample(now))
                side *= 2
        self.up = nn.ModuleList(up)
        self.norm = nn.GroupNorm(groups, now)
        self.last = nn.Conv2d(now, channels, 3, padding=1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                variance_scaling(module)
        for module in self.modules():
            if isinstance(module, ResBlock):
                variance_scaling(module.conv2, 0.0)
            elif isinstance(module, AttentionBlock):
                variance_scaling(module.out, 0.0)
        variance_scaling(self.last, 0.0)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], t: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch channels height width"]:
        time = sinusoidal_embedding(t, self.width).to(self.time1.weight.dtype)
        time = self.time2(F.silu(self.time1(time)))
        if x.device.type == "cpu":  # what its convolutions are fastest in
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.first(x)
        skips = [x]
        for module in self.down:
            x = module(x, time) if isinstance(module, Stage) else module(x)
            skips.append(x)
        x = self.middle2(self.middle_attention(self.middle1(x, time)), time)
        for module in self.up:
            x = module(torch.cat((x, skips.pop()), dim=1), time) if isinstance(module, Stage) else module(x)
        return self.last(F.silu(self.norm(x))).contiguous()
