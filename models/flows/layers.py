"""Layers with an inverse and a log-determinant: permutations, actnorm, invertible 1×1 convolutions, splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kexue.models._torch import full_precision, is_traced


class Bijection(nn.Module):
    """z = f(x), with ln|det ∂f/∂x| of each sample, and x = f⁻¹(z).

    forward(x) -> (z, logdet) with logdet of shape (batch,), in at least float32; inverse(z) -> x.
    """

    def inverse(self, z: Tensor) -> Tensor:
        raise NotImplementedError

    def pull_back(self, z: Tensor, dz: Tensor, dlogdet: Tensor) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """(x, dx, gradients of the parameters) from the output and its gradients, x by the inverse."""
        with torch.no_grad():
            x = self.inverse(z)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            outputs = self(x)
        dx, *rest = gradients(outputs, (x, *self.parameters()), (dz, dlogdet))
        return x.detach(), torch.zeros_like(x) if dx is None else dx, rest


def gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], given: Sequence[Tensor]) -> list[Tensor | None]:
    """`torch.autograd.grad`, where some outputs may be constants and some inputs unused."""
    pairs = [(o, g.to(o.dtype)) for o, g in zip(outputs, given, strict=True) if o.requires_grad]
    wanted = [i for i in inputs if i.requires_grad]
    found = iter(torch.autograd.grad([o for o, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True))
    return [next(found) if i.requires_grad else None for i in inputs]


class FlowSequence(Bijection):
    """One bijection after the other."""

    def __init__(self, *layers: Bijection) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[Float[Tensor, "batch _ *_space"], Float[Tensor, "batch"]]:
        total = no_change(x)
        for layer in self.layers:
            x, logdet = layer(x)
            total = total + logdet
        return x, total

    def inverse(self, z: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch _ *_space"]:
        layers: list[Any] = list(self.layers)
        for layer in reversed(layers):
            z = layer.inverse(z)
        return z


def wide(x: Tensor) -> Tensor:
    """x in float32 if it had less."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def no_change(x: Tensor) -> Tensor:
    """The log-determinant 0 for each sample."""
    return x.new_zeros(len(x), dtype=torch.promote_types(x.dtype, torch.float32))


def per_channel(v: Tensor, x: Tensor) -> Tensor:
    return v.view(1, -1, *[1] * (x.ndim - 2))


def pixels(x: Tensor) -> int:
    return math.prod(x.shape[2:])


def check_channels(x: Tensor, channels: int) -> None:
    if x.ndim < 2 or x.shape[1] != channels:
        raise ValueError(f"x must have shape (batch, {channels}, …), got {tuple(x.shape)}")


class ChannelPermutation(Bijection):
    """z_i = x_{order[i]} along the channels.

    Raises:
        ValueError: order is no permutation of 0..channels − 1.
    """

    order: Tensor

    def __init__(self, order: Sequence[int] | Tensor) -> None:
        super().__init__()
        made = torch.as_tensor(order, dtype=torch.int64)
        if not made.is_meta and sorted(made.tolist()) != list(range(len(made))):
            raise ValueError(f"order must be a permutation of 0..{len(made) - 1}, got {made.tolist()}")
        self.register_buffer("order", made)

    @classmethod
    def reverse(cls, channels: int) -> ChannelPermutation:
        return cls(torch.arange(channels).flip(0))

    @classmethod
    def shuffle(cls, channels: int) -> ChannelPermutation:
        """A fixed random order, drawn from torch's generator."""
        return cls(torch.randperm(channels))

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch"]]:
        check_channels(x, len(self.order))
        return x[:, self.order], no_change(x)

    def inverse(self, z: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        check_channels(z, len(self.order))
        return z[:, self.order.argsort()]


class Squeeze2d(Bijection):
    """(c, h, w) → (r²c, h/r, w/r): each r × r block of pixels becomes channels, in the order (c, dy, dx).

    A permutation that keeps neighbours together (claim flows/squeeze-is-permutation).
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        if factor < 1:
            raise ValueError(f"factor must be at least 1, got {factor}")
        self.factor = factor

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch _ _ _"], Float[Tensor, "batch"]]:
        if x.shape[2] % self.factor or x.shape[3] % self.factor:
            raise ValueError(f"height and width must be multiples of {self.factor}, got {tuple(x.shape[2:])}")
        r, (b, c, h, w) = self.factor, x.shape
        blocks = x.reshape(b, c, h // r, r, w // r, r).permute(0, 1, 3, 5, 2, 4)
        return blocks.reshape(b, r * r * c, h // r, w // r), no_change(x)

    def inverse(self, z: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        if z.shape[1] % self.factor**2:
            raise ValueError(f"channels must be a multiple of {self.factor**2}, got {z.shape[1]}")
        r, (b, c, h, w) = self.factor, z.shape
        blocks = z.reshape(b, c // (r * r), r, r, h, w).permute(0, 1, 4, 2, 5, 3)
        return blocks.reshape(b, c // (r * r), r * h, r * w)


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _SumOverProcesses(torch.autograd.Function):
    """Each process has the sum; the gradient of what one gave is the sum of what all get."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _total(x: Tensor) -> Tensor:
    return _SumOverProcesses.apply(x) if _processes() > 1 else x  # type: ignore[no-any-return, no-untyped-call]


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel, and the number of samples, over the batches of all processes together."""
    x = wide(x)
    over = [0, *range(2, x.ndim)]
    counts = (x.new_full((1,), len(x) * pixels(x)), x.new_full((1,), len(x)))  # filled on the device, not copied to it
    head = _total(torch.cat((x.sum(over), *counts)))
    mean = head[:-2] / head[-2]
    variance = _total((x - per_channel(mean, x)).square().sum(over)) / head[-2]
    return mean, variance, head[-1]


class ActNorm(Bijection):
    r"""z = (x + b)·e^l for each channel, such that the first training batch leaves with mean 0 and variance 1.

    b = −mean and l = −½ ln var of that batch (of all processes together) are kept in buffers; the parameters start at 0
    and are added to them, l's times `factor`. So the initialisation survives sharded parameters, and averages of the
    parameters start where the training does (claim flows/actnorm-ddi).

    Before it has seen a training batch, evaluation is an error, or, unless `strict`, uses the statistics of the batch
    at hand without keeping them.

    Args:
        factor: of the log-scale, 3 in the official layout: a learning rate three times as high.
        data_init: False: the identity at first, as in the article's own code.

    Raises:
        ValueError: at the initialisation: a single sample, or a channel without variance.
        RuntimeError: evaluation or inversion before the initialisation.
    """

    center: Tensor
    log_gain: Tensor
    initialised: Tensor

    def __init__(self, channels: int, factor: float = 1.0, data_init: bool = True, strict: bool = True) -> None:
        super().__init__()
        self.factor, self.strict = factor, strict
        self.bias = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.register_buffer("center", torch.zeros(channels))
        self.register_buffer("log_gain", torch.zeros(channels))
        self.register_buffer("initialised", torch.full((), int(not data_init)))
        self._known = not data_init  # what `initialised` is known to be without asking the device

    def _load_from_state_dict(self, *args: object, **kwargs: object) -> None:
        self._known = False
        super()._load_from_state_dict(*args, **kwargs)  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> ActNorm:
        self.ready  # noqa: B018  learnt here, so that compiled code has no need to ask
        return super().train(mode)

    @property
    def ready(self) -> bool:
        """Whether it has been initialised; asks the device only until it has."""
        if not self._known and not self.initialised.is_meta:
            self._known = bool(self.initialised)
        return self._known

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "batch channels *space"]) -> None:
        """Takes the statistics of x and sets the parameters to 0, whatever was there before."""
        check_channels(x, len(self.center))
        found = self._statistics(x)
        self.reset()
        self._keep(*found)

    @torch.no_grad()
    def reset(self) -> None:
        """Sets the parameters to 0; the next training batch initialises again."""
        self.bias.zero_()
        self.log_scale.zero_()
        self.initialised.zero_()
        self._known = False

    def _keep(self, center: Tensor, log_gain: Tensor) -> None:
        self.center.copy_(center)
        self.log_gain.copy_(log_gain)
        self.initialised.fill_(1)
        self._known = True

    @torch.no_grad()
    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance, samples = _moments(x)
        if not (is_traced(x) or x.is_meta):
            if int(samples) < 2:
                raise ValueError(f"the batch that initialises ActNorm must have at least 2 samples, got {int(samples)}")
            if not bool((variance > 0).all()):
                bad = (~(variance > 0)).nonzero()[:, 0].tolist()
                raise ValueError(
                    f"the batch that initialises ActNorm must vary in every channel, got no variance in {bad[:8]}"
                )
        return -mean, -0.5 * variance.log()

    @property
    def waits(self) -> bool:
        """Whether `coefficients` may need the activations."""
        return not (self._known or (not torch.compiler.is_compiling() and self.ready))

    def coefficients(self, x: Tensor | None) -> tuple[Tensor, Tensor]:
        """(b, l), from the activations x if it waits for its first batch."""
        center, log_gain = self.center, self.log_gain
        if x is not None and self.waits:
            traced = is_traced(x) or x.is_meta
            if self.strict and not self.training and not traced:
                raise RuntimeError("ActNorm must see a training batch, or initialize(batch), before it is evaluated")
            found = self._statistics(x)
            if traced:  # no branch on a value: a checkpoint may have initialised it
                kept = self.initialised.bool()
                found = (torch.where(kept, center, found[0]), torch.where(kept, log_gain, found[1]))
            if self.training:
                with torch.no_grad():
                    self._keep(*found)
                center, log_gain = self.center, self.log_gain
            else:
                center, log_gain = (v.to(self.center.dtype) for v in found)
        return center + self.bias, log_gain + self.factor * self.log_scale

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch"]]:
        check_channels(x, len(self.center))
        shift, log_scale = self.coefficients(x)
        z = (x + per_channel(shift, x)) * per_channel(log_scale.exp(), x)
        return z, no_change(x) + pixels(x) * wide(log_scale).sum()

    def inverse(self, z: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        check_channels(z, len(self.center))
        if not is_traced(z) and not z.is_meta and not self.ready:
            raise RuntimeError("ActNorm must see a training batch, or initialize(batch), before it is inverted")
        shift, log_scale = self.coefficients(None)
        return z * per_channel((-log_scale).exp(), z) - per_channel(shift, z)


class BatchNormFlow(Bijection):
    """RealNVP's normalisation as a layer: z = (x − μ)/√(σ² + ε) for each channel, logdet −½ hw Σ ln(σ² + ε).

    In training μ and σ² are those of the batch (of all processes together), and gradients go through them; running
    averages, μ ← ρμ + (1 − ρ)μ_batch, are used in evaluation and by the inverse (claim flows/batchnorm-flow). Only in
    evaluation is it a bijection of each sample.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.9, eps: float = 1e-4) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self.momentum, self.eps = momentum, eps
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def _used(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.mean, self.variance
        if len(x) * pixels(x) * _processes() < 2:
            raise ValueError(f"a training batch must have at least 2 values a channel, got shape {tuple(x.shape)}")
        mean, variance, _ = _moments(x)
        with torch.no_grad():
            self.mean.lerp_(mean.to(self.mean.dtype), 1 - self.momentum)
            self.variance.lerp_(variance.to(self.mean.dtype), 1 - self.momentum)
        return mean, variance

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch"]]:
        check_channels(x, len(self.mean))
        mean, variance = self._used(x)
        variance = variance + self.eps
        z = (x - per_channel(mean, x)) * per_channel(variance.rsqrt(), x)
        return z, no_change(x) - 0.5 * pixels(x) * wide(variance).log().sum()

    def inverse(self, z: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """With the running averages."""
        check_channels(z, len(self.mean))
        return z * per_channel((self.variance + self.eps).sqrt(), z) + per_channel(self.mean, z)


class InvConv1x1(Bijection):
    """z = W x at each pixel; logdet hw ln|det W| (claim flows/conv1x1-logdet). W starts as a random rotation.

    With `lu` W = P L (U + diag s): P and the signs of s are fixed, L is unit lower and U strictly upper triangular, and
    ln|det W| = Σ ln|s|. That reaches only one of 2^c cells of matrices (claims flows/plu-logdet and flows/plu-reach);
    its c² numbers are one matrix, with ln|s| on its diagonal.
    """

    order: Tensor
    signs: Tensor

    def __init__(self, channels: int, lu: bool = False) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.channels, self.lu = channels, lu
        rotation = nn.init.orthogonal_(torch.empty(channels, channels))
        self.kernel = nn.Parameter(rotation)
        if lu:
            self.register_buffer("order", torch.arange(channels))
            self.register_buffer("signs", torch.ones(channels))
            self._factorise(rotation)

    @torch.no_grad()
    def _factorise(self, weight: Tensor) -> None:
        P, L, U = torch.linalg.lu(wide(weight))
        s = U.diagonal()
        self.order.copy_(P.argmax(1))
        self.signs.copy_(s.sign())
        self.kernel.copy_(L.tril(-1) + U.triu(1) + s.abs().log().diag())

    @torch.no_grad()
    def set_weight(self, weight: Float[Tensor, "rows columns"]) -> None:
        """Makes W this matrix.

        Raises:
            ValueError: it isn't square of the right size, not finite, or singular.
        """
        if tuple(weight.shape) != (self.channels, self.channels):
            raise ValueError(f"weight must have shape {(self.channels, self.channels)}, got {tuple(weight.shape)}")
        if not bool(torch.linalg.slogdet(wide(weight))[1].isfinite()):
            raise ValueError("weight must be a finite matrix with an inverse, got a singular one")
        if self.lu:
            self._factorise(weight)
        else:
            self.kernel.copy_(weight)

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """(order, L, U) with W = L U, its rows in this order: W_i = (LU)_{order[i]}. U has s on its diagonal."""
        k = wide(self.kernel)
        identity = torch.eye(self.channels, dtype=k.dtype, device=k.device)
        return self.order, k.tril(-1) + identity, k.triu(1) + (self.signs * k.diagonal().exp()).diag()

    def weight(self) -> Float[Tensor, "channels channels"]:
        """W, at least in float32."""
        if not self.lu:
            return wide(self.kernel)
        order, L, U = self.factors()
        return (L @ U)[order]

    def log_abs_det(self) -> Float[Tensor, ""]:
        """ln|det W|, never through the determinant, which overflows (claim flows/det-overflow)."""
        return wide(self.kernel).diagonal().sum() if self.lu else torch.linalg.slogdet(wide(self.kernel))[1]

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch"]]:
        check_channels(x, self.channels)
        with full_precision(x):
            W = self.weight().to(x.dtype)
            z = F.conv2d(x, W[:, :, None, None]) if x.ndim == 4 else torch.einsum("oi,bi...->bo...", W, x)
            return z, no_change(x) + pixels(x) * self.log_abs_det()

    def inverse(self, z: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """By solving with the factors, one matrix for all pixels."""
        check_channels(z, self.channels)
        with full_precision(z):
            columns = wide(z).transpose(0, 1).flatten(1)  # (channels, batch · pixels)
            if self.lu:
                order, L, U = self.factors()
                columns = torch.linalg.solve_triangular(L, columns[order.argsort()], upper=False, unitriangular=True)
                columns = torch.linalg.solve_triangular(U, columns, upper=True)
            else:
                columns = torch.linalg.solve(self.weight(), columns)
            return columns.view(z.shape[1], z.shape[0], *z.shape[2:]).transpose(0, 1).to(z.dtype).contiguous()


class LogitTransform(Bijection):
    """z = logit(α + (1 − α)y) for y in [0, 1): RealNVP's preprocessing (claim flows/realnvp-logit)."""

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        if not 0 <= alpha < 1:
            raise ValueError(f"alpha must be in [0, 1), got {alpha}")
        self.alpha = alpha

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[Float[Tensor, "batch channels *space"], Float[Tensor, "batch"]]:
        a = self.alpha
        log_v = (a + (1 - a) * x).log()
        log_rest = ((1 - a) * (1 - x)).log()  # not from 1 − v, which rounding can make 0
        logdet = math.log1p(-a) - log_v - log_rest
        return log_v - log_rest, no_change(x) + wide(logdet).flatten(1).sum(1)

    def inverse(self, z: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        return (z.sigmoid() - self.alpha) / (1 - self.alpha)


class Split2d(nn.Module):
    """x = (z1, z2) → (z1, ε), ε = (z2 − μ(z1))·e^{−l(z1)}: the second half leaves with a conditional Gaussian prior.

    A conditional prior N(μ, e^{2l}) of z2 is a conditional shift and scale to N(0, 1), with logdet −Σ l (claim
    flows/conditional-prior-equals-condactnorm). Without the ε no image can be restored.

    Args:
        net: z1 → (batch, 2 channels, …), μ in the even and l in the odd ones. None: μ = l = 0.
    """

    def __init__(self, net: nn.Module | None) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, x: Float[Tensor, "batch channels *space"]
    ) -> tuple[tuple[Float[Tensor, "batch _ *space"], Float[Tensor, "batch _ *space"]], Float[Tensor, "batch"]]:
        if x.shape[1] % 2:
            raise ValueError(f"channels must be even to be split, got {x.shape[1]}")
        z1, z2 = x.chunk(2, dim=1)
        if self.net is None:
            return (z1, z2), no_change(x)
        prior = wide(self.net(z1))
        mean, log_sigma = prior[:, 0::2], prior[:, 1::2]
        return (z1, (z2 - mean) * (-log_sigma).exp()), -log_sigma.flatten(1).sum(1)

    def inverse(self, z: tuple[Tensor, Tensor]) -> Tensor:
        z1, eps = z
        if self.net is None:
            return torch.cat((z1, eps), dim=1)
        prior = wide(self.net(z1))
        return torch.cat((z1, prior[:, 0::2] + prior[:, 1::2].exp() * eps), dim=1)
