"""Coupling layers, and the networks of the three papers that they hold."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .layers import ActNorm, BatchNormFlow, Bijection, gradients, no_change, per_channel, pixels, wide

SCALES = ("exp", "sigmoid2", "tanh")
SPLITS = ("half", "interleaved")


class AdditiveCoupling(Bijection):
    """z = (x_a, x_b + m(x_a)): logdet 0 (claim flows/additive-coupling).

    Args:
        net: m, any function of half the channels that returns as many.
        split: "half": the first and the second half of the channels; "interleaved": the even and the odd ones.
        swap: x_a is the second half instead.

    Raises:
        ValueError: an odd number of channels; m returns another shape.
    """

    outputs = 1  # of the network, for each channel that is changed

    def __init__(self, net: nn.Module, split: str = "half", swap: bool = False) -> None:
        super().__init__()
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
        self.net, self.split, self.swap = net, split, swap

    def _apart(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.shape[1] % 2:
            raise ValueError(f"channels must be even at a coupling, got {x.shape[1]}")
        a, b = x.chunk(2, dim=1) if self.split == "half" else (x[:, 0::2], x[:, 1::2])
        return (b, a) if self.swap else (a, b)

    def _together(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = (b, a) if self.swap else (a, b)
        return torch.cat((a, b), dim=1) if self.split == "half" else torch.stack((a, b), dim=2).flatten(1, 2)

    def _messages(self, a: Tensor) -> Tensor:
        h: Tensor = self.net(a)
        expected = (a.shape[0], self.outputs * a.shape[1], *a.shape[2:])
        if tuple(h.shape) != expected:
            raise ValueError(f"net must return the shape {expected}, got {tuple(h.shape)}")
        return wide(h)

    def _change(self, b: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return b + h, no_change(b)

    def _restore(self, b: Tensor, h: Tensor) -> Tensor:
        return b - h

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch"]]:
        a, b = self._apart(x)
        b, logdet = self._change(b, self._messages(a))
        return self._together(a, b), logdet

    def inverse(self, z: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        a, b = self._apart(z)
        return self._together(a, self._restore(b, self._messages(a)))

    def pull_back(self, z: Tensor, dz: Tensor, dlogdet: Tensor) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """One pass of the network serves the inverse and the gradients, since x_a = z_a."""
        a, b = self._apart(z.detach())
        da, db = self._apart(dz)
        with torch.enable_grad():
            a = a.requires_grad_()
            h = self._messages(a)
            with torch.no_grad():
                b = self._restore(b, h)
            b = b.requires_grad_()
            outputs = self._change(b, h)
        through_net, dx_b, *rest = gradients(outputs, (a, b, *self.parameters()), (db, dlogdet))
        assert through_net is not None and dx_b is not None
        return self._together(a.detach(), b.detach()), self._together(da + through_net, dx_b), rest


def _log_scale(raw: Tensor, scale: str, gain: Tensor | None) -> Tensor:
    if scale == "sigmoid2":
        return F.logsigmoid(raw + 2)
    return raw if gain is None else gain * raw.tanh()


class AffineCoupling(AdditiveCoupling):
    """z = (x_a, s ⊙ x_b + t), logdet Σ ln s; t and r are the even and the odd channels of net(x_a).

    Args:
        net: any function of half the channels that returns twice as many.
        scale: "exp": ln s = r; "tanh", RealNVP's: ln s = g·tanh r with a learned g;
            "sigmoid2", Glow's: z_b = (x_b + t)·σ(r + 2), which can only contract (claim flows/glow-coupling-order).
        split, swap: as for `AdditiveCoupling`.
    """

    outputs = 2

    def __init__(self, net: nn.Module, scale: str = "exp", split: str = "half", swap: bool = False) -> None:
        super().__init__(net, split, swap)
        _check_scale(scale)
        self.scale = scale
        self.gain = nn.Parameter(torch.ones(1)) if scale == "tanh" else None

    def _change(self, b: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_s = h[:, 0::2], _log_scale(h[:, 1::2], self.scale, self.gain)
        z = (b + shift) * log_s.exp() if self.scale == "sigmoid2" else b * log_s.exp() + shift
        return z, log_s.flatten(1).sum(1)

    def _restore(self, b: Tensor, h: Tensor) -> Tensor:
        shift, log_s = h[:, 0::2], _log_scale(h[:, 1::2], self.scale, self.gain)
        return b * (-log_s).exp() - shift if self.scale == "sigmoid2" else (b - shift) * (-log_s).exp()


def _check_scale(scale: str) -> None:
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")


class MaskedCoupling(Bijection):
    """z = b ⊙ x + (1 − b) ⊙ (x ⊙ e^s + t), where s and t see b ⊙ x alone; logdet Σ (1 − b) ⊙ s.

    The mask b is 1 where i + j + parity is even ("checkerboard"), or in the first half of the channels, the second one
    for parity 1 ("channel"), which is a coupling of halves (claim flows/mask-form).

    Args:
        net: all channels → twice as many, t in the even and r in the odd ones.
        scale: "exp" or "tanh", as for `AffineCoupling`.
    """

    def __init__(self, net: nn.Module, mask: str = "checkerboard", parity: int = 0, scale: str = "tanh") -> None:
        super().__init__()
        if mask not in ("checkerboard", "channel"):
            raise ValueError(f"mask must be checkerboard or channel, got {mask!r}")
        if parity not in (0, 1):
            raise ValueError(f"parity must be 0 or 1, got {parity}")
        _check_scale(scale)
        if scale == "sigmoid2":
            raise ValueError("scale must be exp or tanh for a mask, got 'sigmoid2'")
        self.net, self.mask, self.parity, self.scale = net, mask, parity, scale
        self.gain = nn.Parameter(torch.ones(1)) if scale == "tanh" else None

    def _mask(self, x: Tensor) -> Tensor:
        if self.mask == "channel":
            if x.shape[1] % 2:
                raise ValueError(f"channels must be even at a coupling, got {x.shape[1]}")
            channel = torch.arange(x.shape[1], device=x.device)
            kept = (channel < x.shape[1] // 2) ^ bool(self.parity)
            return kept.to(x.dtype)[:, None, None]
        i, j = (torch.arange(n, device=x.device) for n in x.shape[2:])
        return ((i[:, None] + j + self.parity) % 2 == 0).to(x.dtype)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s and t, 0 where the mask keeps x."""
        kept = self._mask(x)
        h = wide(self.net(kept * x))
        if tuple(h.shape) != (x.shape[0], 2 * x.shape[1], *x.shape[2:]):
            raise ValueError(f"net must return {2 * x.shape[1]} channels for {x.shape[1]}, got {tuple(h.shape)}")
        return (1 - kept) * _log_scale(h[:, 1::2], self.scale, self.gain), (1 - kept) * h[:, 0::2]

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch channels height width"], Float[Tensor, "batch"]]:
        s, t = self._parts(x)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse(self, z: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        s, t = self._parts(z)
        return (z - t) * (-s).exp()


class NiceNet(nn.Sequential):
    """The m of NICE: `hidden` ReLU layers. With `output_relu` its values are never positive: in the article the encoder
    subtracts a ReLU, so that the generator adds one (claim flows/relu-sign-trick).
    """

    def __init__(self, features: int, width: int, hidden: int, output_relu: bool) -> None:
        layers: list[nn.Module] = []
        now = features
        for _ in range(hidden):
            layers += [nn.Linear(now, width), nn.ReLU()]
            now = width
        super().__init__(*layers, nn.Linear(now, features))
        self.output_relu = output_relu

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
        h = super().forward(x)
        return -F.relu(h) if self.output_relu else h


def _edges(x: Tensor, size: int) -> Tensor:
    """1 on the padding of a size × size convolution, 0 inside: (1, 1, height + size − 1, width + size − 1)."""
    p = size // 2
    return F.pad(x.new_zeros(1, 1, *x.shape[2:]), (p, p, p, p), value=1.0)


class EdgeConv2d(nn.Module):
    """A convolution with zero padding and, with `edge`, one more input channel that is 1 on the padding, 0 inside.

    Subclasses scale its output channels; the scale goes into the weights or onto the output, whichever is smaller.
    """

    def __init__(self, inputs: int, outputs: int, size: int, edge: bool, std: float) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(std * torch.randn(outputs, inputs, size, size))
        has_edge = edge and size > 1
        self.edge = nn.Parameter(std * torch.randn(outputs, 1, size, size)) if has_edge else None

    def convolve(self, x: Tensor, scale: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """scale · (the convolution) + bias, for each output channel."""
        weight, edge = self.weight, self.edge
        if scale is None or bias is None:
            return self._convolve(x, weight, edge, bias)
        if len(x) * pixels(x) < weight[0].numel():
            z = self._convolve(x, weight, edge, None)
            return torch.addcmul(per_channel(bias, z).to(z.dtype), z, per_channel(scale, z).to(z.dtype))
        scale = scale[:, None, None, None]
        return self._convolve(x, weight * scale, None if edge is None else edge * scale, bias)

    def _convolve(self, x: Tensor, weight: Tensor, edge: Tensor | None, bias: Tensor | None) -> Tensor:
        p = self.size // 2
        if edge is None:
            return F.conv2d(x, weight, bias, padding=p)
        if weight.shape[1] < weight.shape[0]:  # the input is the smaller tensor: the channel is put into it
            wider = torch.cat((F.pad(x, (p, p, p, p)), _edges(x, self.size).expand(len(x), -1, -1, -1)), dim=1)
            return F.conv2d(wider, torch.cat((weight, edge), dim=1), bias)
        return F.conv2d(x, weight, padding=p) + F.conv2d(_edges(x, self.size), edge, bias)


class NormConv2d(EdgeConv2d):
    """A convolution with weights from N(0, 0.05²), then actnorm over its output, or a bias without it."""

    def __init__(
        self, inputs: int, outputs: int, size: int, edge: bool = False, norm: bool = True, data_init: bool = True
    ) -> None:
        super().__init__(inputs, outputs, size, edge, 0.05)
        self.norm = ActNorm(outputs, 3.0, data_init, strict=False) if norm else None
        self.bias = None if norm else nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs height width"]:
        if self.norm is None:
            return self.convolve(x, bias=self.bias)
        if self.norm.waits:
            with torch.no_grad():
                activations = self.convolve(x)
            shift, log_scale = self.norm.coefficients(activations)
        else:
            shift, log_scale = self.norm.coefficients(None)
        scale = log_scale.exp()
        return self.convolve(x, scale, scale * shift)


class ZeroConv2d(EdgeConv2d):
    """A 3 × 3 convolution that starts at 0, its outputs times e^{3l} with a learned l for each channel."""

    def __init__(self, inputs: int, outputs: int, edge: bool = False) -> None:
        super().__init__(inputs, outputs, 3, edge, 0.0)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.log_scale = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs height width"]:
        scale = (3 * self.log_scale).exp()
        return self.convolve(x, scale, scale * self.bias)


class GlowNet(nn.Module):
    """3×3 convolution, ReLU, 1×1 convolution, ReLU, 3×3 convolution that starts at 0."""

    def __init__(
        self, inputs: int, outputs: int, width: int, edge: bool = False, norm: bool = True, data_init: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = NormConv2d(inputs, width, 3, edge, norm, data_init)
        self.conv2 = NormConv2d(width, width, 1, edge, norm, data_init)
        self.conv3 = ZeroConv2d(width, outputs, edge)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs height width"]:
        h = F.relu(self.conv1(x), inplace=True)
        return self.conv3(F.relu(self.conv2(h), inplace=True))


class WeightNormConv2d(nn.Module):
    """A convolution with the weights g·v/‖v‖, one g for each output channel."""

    def __init__(self, inputs: int, outputs: int, size: int, gain: float = 1.0) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.gain = nn.Parameter(torch.full((outputs,), gain))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs height width"]:
        scale = self.gain / self.direction.square().sum((1, 2, 3)).sqrt()
        weight = self.direction * scale[:, None, None, None]
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class ResidualBlock(nn.Module):
    """x + (batch norm, ReLU, 3×3 convolution) twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = BatchNormFlow(width), BatchNormFlow(width)
        self.conv1, self.conv2 = WeightNormConv2d(width, width, 3), WeightNormConv2d(width, width, 3)

    def forward(self, x: Float[Tensor, "batch width height _"]) -> Float[Tensor, "batch width height _"]:
        h = self.conv1(F.relu(self.norm1(x)[0]))
        return x + self.conv2(F.relu(self.norm2(h)[0]))


class CouplingResNet(nn.Module):
    """RealNVP's network of s and t: residual blocks with weight and batch normalisation; the outputs start at 0."""

    def __init__(self, inputs: int, outputs: int, width: int, num_blocks: int) -> None:
        super().__init__()
        self.first = WeightNormConv2d(inputs, width, 3)
        self.residual = nn.ModuleList(ResidualBlock(width) for _ in range(num_blocks))
        self.norm = BatchNormFlow(width)
        self.last = WeightNormConv2d(width, outputs, 1, gain=0.0)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs height width"]:
        x = self.first(x)
        for block in self.residual:
            x = block(x)
        return self.last(F.relu(self.norm(x)[0]))
