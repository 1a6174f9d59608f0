"""NICE, RealNVP and Glow: densities of images, trained in bits per dimension, sampled by the inverse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kexue.models._model import Config, Model
from kexue.models._torch import source

from .couplings import AdditiveCoupling, AffineCoupling, CouplingResNet, GlowNet, MaskedCoupling, NiceNet, ZeroConv2d
from .images import dequantise, grey_levels, quantise
from .layers import (
    ActNorm,
    BatchNormFlow,
    Bijection,
    ChannelPermutation,
    FlowSequence,
    InvConv1x1,
    LogitTransform,
    Split2d,
    Squeeze2d,
    no_change,
    wide,
)
from .reversible import reversible_forward

PRIORS = ("gaussian", "logistic")
PERMUTATIONS = ("reverse", "shuffle", "conv", "conv-lu")
COUPLINGS = ("additive", "affine")


class ImageFlow(Model):
    """What the three models share. A subclass defines

        forward(y) -> ([ε_1, …, ε_n], logdet): all of y, in independent standard variables, and ln|det| of each image
        inverse([ε_1, …, ε_n]) -> y
        latent_shapes: of the ε of one image

    y is a dequantised image in [0, 1), (batch, channels, height, width); the data are images in [−1, 1] with
    `config.levels` grey levels.
    """

    prior = "gaussian"
    _looked = False

    @property
    def bins(self) -> int:
        """Levels that are modelled."""
        return int(self.config.levels)

    @property
    def latent_shapes(self) -> list[tuple[int, ...]]:
        raise NotImplementedError

    def inverse(self, eps: Sequence[Tensor]) -> Tensor:
        raise NotImplementedError

    def dequantise(
        self, images: Float[Tensor, "batch channels height width"],
        noise: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:  # fmt: skip
        """y = (v + u)/bins with u uniform in [0, 1), `noise` or drawn."""
        self._check_size(images)
        y = dequantise(images, self.config.levels, self.bins, noise, self._first_look())
        return y.to(next(self.parameters()).dtype)

    def to_images(
        self, y: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Images in [−1, 1] of the bins in which y lies."""
        return quantise(y, self.bins)

    def encode(self, y: Float[Tensor, "batch channels height width"]) -> list[Tensor]:
        """All standardised variables of y; `decode` of all of them is y again."""
        self._check_ready()
        self._check_size(y)
        return list(self(y)[0])

    def decode(self, eps: Sequence[Tensor]) -> Float[Tensor, "batch channels height width"]:
        """Raises ValueError for a list of the wrong length, or tensors of other shapes than `latent_shapes`."""
        self._check_ready()
        shapes = self.latent_shapes
        if len(eps) != len(shapes):
            raise ValueError(f"eps must hold {len(shapes)} tensors, got {len(eps)}")
        for i, (e, shape) in enumerate(zip(eps, shapes, strict=True)):
            if tuple(e.shape[1:]) != shape or len(e) != len(eps[0]):
                raise ValueError(f"eps[{i}] must have shape ({len(eps[0])}, {', '.join(map(str, shape))}), "
                                 f"got {tuple(e.shape)}")  # fmt: skip
        return self.inverse(eps)

    def log_prob(self, y: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch"]:
        """ln q(y) of each dequantised image, in nats: Σ ln p(ε) + ln|det ∂ε/∂y|."""
        self._check_ready()
        self._check_size(y)
        return self._log_prob(y)

    def bits_per_dim(
        self, images: Float[Tensor, "batch channels height width"],
        noise: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Float[Tensor, "batch"]:  # fmt: skip
        """log₂ bins − ln q(y)/(D ln 2) of each image, y dequantised: 8 for the uniform density and 256 levels.

        In the mean over the noise it is an upper bound of the code length of the integers (claims flows/bits-per-dim
        and flows/dequantisation-bound).
        """
        self._check_ready()
        return self._bits_per_dim(images, noise)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean of `bits_per_dim` over `batch["images"]`; `batch["noise"]` fixes the noise u in [0, 1).

        Before the first training batch has initialised the model, evaluation normalises with the statistics of the
        batch at hand and keeps nothing.
        """
        return self._bits_per_dim(batch["images"], batch.get("noise")).mean()

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        c = self.config
        shape = (batch_size, c.channels, c.image_size, c.image_size)
        levels = torch.randint(c.levels, shape, generator=generator)
        made = {"images": levels * (2 / (c.levels - 1)) - 1, "noise": torch.rand(shape, generator=generator)}
        return {name: value.to(device) for name, value in made.items()}

    @torch.no_grad()
    def sample(
        self, count: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Float[Tensor, "count channels height width"]:
        """Images in [−1, 1] from ε of standard deviation `temperature`, the same for all; 0 gives the mode of ε.

        The density of such samples is q^{1/T²}, normalised, if the model preserves volume up to a constant, and not
        otherwise (claims flows/temperature-additive and flows/temperature-affine-fails). Conditional priors, whose
        scale depends on the image, don't preserve it, whatever the couplings are.
        """
        if not temperature >= 0:
            raise ValueError(f"temperature must be at least 0, got {temperature}")
        if count < 0:
            raise ValueError(f"count must be at least 0, got {count}")
        self._check_ready()
        p = next(self.parameters())
        device, eps = source(p, generator), []
        for shape in self.latent_shapes:
            if self.prior == "logistic":
                drawn = torch.rand(count, *shape, generator=generator, device=device).clamp(1e-7, 1 - 1e-7).logit()
            else:
                drawn = torch.randn(count, *shape, generator=generator, device=device)
            eps.append(temperature * drawn.to(p.device, p.dtype))
        was_training = self.training
        self.eval()
        try:
            return self.to_images(self.inverse(eps))
        finally:
            self.train(was_training)

    @torch.no_grad()
    def initialize(self, batch: Mapping[str, Tensor]) -> None:
        """Initialises every `ActNorm` again from these images, as the first training batch does by itself; its
        parameters become 0. (Running averages of `BatchNormFlow` move as in a training step.)
        """
        for module in self.modules():
            if isinstance(module, ActNorm):
                module.reset()
        was_training = self.training
        self.train()
        try:
            self._log_prob(self.dequantise(batch["images"], batch.get("noise")))
        finally:
            self.train(was_training)

    def _log_prob(self, y: Tensor) -> Tensor:
        eps, logdet = self(y)
        for e in eps:
            logdet = logdet + _log_density(wide(e), self.prior).flatten(1).sum(1)
        return logdet

    def _bits_per_dim(self, images: Tensor, noise: Tensor | None) -> Tensor:
        nats = self._log_prob(self.dequantise(images, noise)) / math.prod(images.shape[1:])
        return math.log2(self.bins) - nats / math.log(2)

    def _first_look(self) -> bool | None:
        """True once, so that the first images are checked on every device; then the default."""
        if self._looked or torch.compiler.is_compiling():
            return None
        self._looked = True
        return True

    def _check_size(self, x: Tensor) -> None:
        c = self.config
        if tuple(x.shape[1:]) != (c.channels, c.image_size, c.image_size):
            raise ValueError(
                f"images must have shape (batch, {c.channels}, {c.image_size}, {c.image_size}), got {tuple(x.shape)}"
            )

    def _check_ready(self) -> None:
        if torch.compiler.is_compiling() or self.training:
            return
        if not all(m.ready for m in self.modules() if isinstance(m, ActNorm) and not m.initialised.is_meta):
            name = type(self).__name__
            raise RuntimeError(f"{name} must see a training batch, or initialize(batch), before it is used")


def _log_density(e: Tensor, prior: str) -> Tensor:
    if prior == "logistic":
        return F.logsigmoid(e) + F.logsigmoid(-e)
    return -0.5 * (e.square() + math.log(2 * math.pi))


@dataclass(frozen=True)
class NICEConfig(Config):
    """NICE as in article 5776: MNIST, four couplings with five hidden layers of 1000, Gaussian prior."""

    image_size: int = 28
    channels: int = 1
    levels: int = 256
    num_couplings: int = 4
    width: int = 1000
    hidden: int = 5
    output_relu: bool = True
    prior: str = "gaussian"
    noise: str = "article"  # v/(levels − 1) + U[−0.01, 0]; "uniform": (v + U[0, 1))/levels

    def __post_init__(self) -> None:
        self.at_least(1, "image_size", "channels", "num_couplings", "width", "hidden")
        self.at_least(2, "levels")
        if self.prior not in PRIORS:
            raise ValueError(f"prior must be one of {', '.join(PRIORS)}, got {self.prior!r}")
        if self.noise not in ("article", "uniform"):
            raise ValueError(f"noise must be article or uniform, got {self.noise!r}")
        if (self.channels * self.image_size**2) % 2:
            raise ValueError(f"channels · image_size² must be even, got {self.channels * self.image_size**2}")


class NICE(ImageFlow, config=NICEConfig):
    """Additive couplings of the even and the odd entries, the order reversed before each, then a diagonal scale e^k.

    With `noise="article"` the noise is wider than a grey level, and negative, so that black stays black when samples
    are clipped (claim flows/negative-noise-clip); `bits_per_dim` is then −ln q/(D ln 2) + log₂(levels − 1), no bound.
    """

    def __init__(self, config: NICEConfig) -> None:
        super().__init__(config)
        c = config
        self.prior = c.prior
        self.dim = c.channels * c.image_size**2
        self.blocks = nn.ModuleList(
            FlowSequence(
                ChannelPermutation.reverse(self.dim),
                AdditiveCoupling(NiceNet(self.dim // 2, c.width, c.hidden, c.output_relu), "interleaved"),
            )
            for _ in range(c.num_couplings)
        )
        self.log_scale = nn.Parameter(torch.zeros(self.dim))

    @property
    def bins(self) -> int:
        return int(self.config.levels) - (self.config.noise == "article")

    @property
    def latent_shapes(self) -> list[tuple[int, ...]]:
        return [(self.dim,)]

    def dequantise(
        self, images: Float[Tensor, "batch channels height width"],
        noise: Float[Tensor, "batch channels height width"] | None = None,
    ) -> Float[Tensor, "batch channels height width"]:  # fmt: skip
        if self.config.noise == "uniform":
            return super().dequantise(images, noise)
        self._check_size(images)
        v = grey_levels(images, self.config.levels, self._first_look())
        u = torch.rand_like(v) if noise is None else noise.to(v.dtype)
        return (v / (self.config.levels - 1) - 0.01 * u).to(self.log_scale.dtype)

    def to_images(
        self, y: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        if self.config.noise == "uniform":
            return super().to_images(y)
        top = self.config.levels - 1
        return (y * top).round().clamp(0, top) * (2 / top) - 1

    def forward(
        self, y: Float[Tensor, "batch channels height width"]
    ) -> tuple[list[Float[Tensor, "batch dim"]], Float[Tensor, "batch"]]:
        h = y.flatten(1)
        logdet = no_change(h)
        for block in self.blocks:
            h, change = block(h)
            logdet = logdet + change
        return [h * self.log_scale.exp()], logdet + wide(self.log_scale).sum()

    def inverse(self, eps: Sequence[Tensor]) -> Tensor:
        h = eps[0] * (-self.log_scale).exp()
        blocks: list[Any] = list(self.blocks)
        for block in reversed(blocks):
            h = block.inverse(h)
        c = self.config
        return h.unflatten(1, (c.channels, c.image_size, c.image_size))


@dataclass(frozen=True)
class RealNVPConfig(Config):
    """RealNVP; the default is the network for CIFAR-10, which is halved once."""

    image_size: int = 32
    channels: int = 3
    levels: int = 256
    num_scales: int = 2
    width: int = 64
    num_residual: int = 8
    alpha: float = 0.05
    momentum: float = 0.9

    def __post_init__(self) -> None:
        self.at_least(1, "image_size", "channels", "num_scales", "width", "num_residual")
        self.at_least(2, "levels")
        if self.image_size % 2 ** (self.num_scales - 1):
            least = 2 ** (self.num_scales - 1)
            raise ValueError(
                f"image_size must be a multiple of {least} for {self.num_scales} scales, got {self.image_size}"
            )


class RealNVP(ImageFlow, config=RealNVPConfig):
    """At each scale three checkerboard couplings, a squeeze, three couplings of channels, and half of them leave; four
    checkerboard couplings at the last. Each coupling is followed by `BatchNormFlow`; the prior is a standard Gaussian.

    The networks of the channel couplings, and those of the next scale, have twice the width. In training the batch
    normalisation makes the loss a function of the whole batch; in evaluation q is a density.
    """

    def __init__(self, config: RealNVPConfig) -> None:
        super().__init__(config)
        c = config
        self.logit = LogitTransform(c.alpha)
        self.squeeze = Squeeze2d()
        blocks: list[nn.Module] = []
        channels, width = c.channels, c.width

        def coupled(coupling: Bijection, channels: int) -> FlowSequence:
            return FlowSequence(coupling, BatchNormFlow(channels, c.momentum))

        for scale in range(c.num_scales):
            last = scale == c.num_scales - 1
            for i in range(4 if last else 3):
                net = CouplingResNet(channels, 2 * channels, width, c.num_residual)
                blocks.append(coupled(MaskedCoupling(net, "checkerboard", i % 2), channels))
            if not last:
                channels, width = 4 * channels, 2 * width
                for i in range(3):
                    net = CouplingResNet(channels // 2, channels, width, c.num_residual)
                    blocks.append(coupled(AffineCoupling(net, "tanh", swap=bool(i % 2)), channels))
                channels //= 2
        self.blocks = nn.ModuleList(blocks)

    @property
    def latent_shapes(self) -> list[tuple[int, ...]]:
        c = self.config
        shapes = [(c.channels * 2**i, c.image_size // 2**i, c.image_size // 2**i) for i in range(1, c.num_scales)]
        side = c.image_size // 2 ** (c.num_scales - 1)
        return [*shapes, (c.channels * 2 ** (c.num_scales - 1), side, side)]

    def _scale(self, scale: int) -> tuple[list[Any], list[Any]]:
        """The checkerboard couplings of a scale, and those behind its squeeze."""
        blocks = list(self.blocks)[6 * scale :]
        return (blocks, []) if scale == self.config.num_scales - 1 else (blocks[:3], blocks[3:6])

    def forward(
        self, y: Float[Tensor, "batch channels height width"]
    ) -> tuple[list[Float[Tensor, "batch _ _ _"]], Float[Tensor, "batch"]]:
        x, logdet = self.logit(y)
        eps = []
        for scale in range(self.config.num_scales):
            whole, squeezed = self._scale(scale)
            for block in whole:
                x, change = block(x)
                logdet = logdet + change
            if squeezed:
                x = self.squeeze(x)[0]
                for block in squeezed:
                    x, change = block(x)
                    logdet = logdet + change
                x, gone = x.chunk(2, dim=1)
                eps.append(gone)
        return [*eps, x], logdet

    def inverse(self, eps: Sequence[Tensor]) -> Tensor:
        x = eps[-1]
        for scale in reversed(range(self.config.num_scales)):
            whole, squeezed = self._scale(scale)
            if squeezed:
                x = torch.cat((x, eps[scale]), dim=1)
                for block in reversed(squeezed):
                    x = block.inverse(x)
                x = self.squeeze.inverse(x)
            for block in reversed(whole):
                x = block.inverse(x)
        return self.logit.inverse(x)


@dataclass(frozen=True)
class GlowConfig(Config):
    """Glow in the official layout; the default is the affine CIFAR-10 model."""

    image_size: int = 32
    channels: int = 3
    levels: int = 256
    n_bits: int = 8  # of what is modelled, if the images have 256 levels
    num_levels: int = 3  # L
    num_steps: int = 32  # K, of each level
    width: int = 512
    coupling: str = "affine"
    permutation: str = "conv"
    edge_bias: bool = True  # convolutions see an indicator of the padding
    learn_top: bool = True  # the last ε have a learned mean and scale
    net_norm: bool = True  # actnorm inside of the coupling's network
    data_init: bool = True  # actnorm starts from the first batch, not from the identity
    reversible: bool = False  # activations are computed again by the inverse, not kept

    def __post_init__(self) -> None:
        self.at_least(1, "image_size", "channels", "num_levels", "num_steps", "width")
        self.at_least(2, "levels")
        if self.coupling not in COUPLINGS:
            raise ValueError(f"coupling must be one of {', '.join(COUPLINGS)}, got {self.coupling!r}")
        if self.permutation not in PERMUTATIONS:
            raise ValueError(f"permutation must be one of {', '.join(PERMUTATIONS)}, got {self.permutation!r}")
        if self.image_size % 2**self.num_levels:
            raise ValueError(
                f"image_size must be a multiple of {2**self.num_levels} for {self.num_levels} levels, "
                f"got {self.image_size}"
            )
        if not 1 <= self.n_bits <= 8:
            raise ValueError(f"n_bits must be in 1..8, got {self.n_bits}")
        if self.n_bits < 8 and self.levels != 256:
            raise ValueError(f"n_bits must be 8 for images with {self.levels} levels, got {self.n_bits}")


class GlowStep(FlowSequence):
    """Actnorm, a permutation or 1×1 convolution of the channels, and a coupling."""

    def __init__(self, channels: int, config: GlowConfig) -> None:
        c = config
        outputs = channels // 2 * (1 if c.coupling == "additive" else 2)
        net = GlowNet(channels // 2, outputs, c.width, c.edge_bias, c.net_norm, c.data_init)
        mix: Bijection
        if c.permutation == "reverse":
            mix = ChannelPermutation.reverse(channels)
        elif c.permutation == "shuffle":
            mix = ChannelPermutation.shuffle(channels)
        else:
            mix = InvConv1x1(channels, lu=c.permutation == "conv-lu")
        super().__init__(
            ActNorm(channels, 3.0, c.data_init, strict=False),
            mix,
            AdditiveCoupling(net) if c.coupling == "additive" else AffineCoupling(net, "sigmoid2"),
        )


class Glow(ImageFlow, config=GlowConfig):
    """L levels of a squeeze and K steps; half of the channels leave after each level but the last, with a prior
    conditional on the half that stays.

    The first half stays, the second leaves, as in the official code. y − ½ enters. `learn_top` keeps the official
    layout, a zero convolution of a tensor of zeros: of its weights only the bias, the scale and those of the padding's
    indicator do anything.

    With `reversible` the memory of training doesn't grow with K (`reversible_forward`); where the code is compiled, or
    the model still waits for its first batch in evaluation, the plain path is taken.
    """

    def __init__(self, config: GlowConfig) -> None:
        super().__init__(config)
        c = config
        self.squeeze = Squeeze2d()
        steps: list[nn.Module] = []
        splits: list[nn.Module] = []
        channels = c.channels
        for level in range(c.num_levels):
            channels *= 4
            steps += [GlowStep(channels, c) for _ in range(c.num_steps)]
            if level < c.num_levels - 1:
                splits.append(Split2d(ZeroConv2d(channels // 2, channels, c.edge_bias)))
                channels //= 2
        self.blocks = nn.ModuleList(steps)
        self.splits = nn.ModuleList(splits)
        self.top = ZeroConv2d(2 * channels, 2 * channels, c.edge_bias) if c.learn_top else None

    @property
    def bins(self) -> int:
        return int(self.config.levels) >> (8 - self.config.n_bits)

    @property
    def latent_shapes(self) -> list[tuple[int, ...]]:
        """Of the ε of one image: those that leave at each level, then the rest (claim flows/shape-bookkeeping)."""
        c = self.config
        sides = [c.image_size // 2**i for i in range(1, c.num_levels + 1)]
        shapes = [(c.channels * 2 ** (i + 1), side, side) for i, side in enumerate(sides[:-1])]
        return [*shapes, (c.channels * 2 ** (c.num_levels + 1), sides[-1], sides[-1])]

    def _level(self, level: int) -> list[Any]:
        k = self.config.num_steps
        return list(self.blocks)[level * k : (level + 1) * k]

    def _top(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Mean and log-scale of the last variables, (1, channels, height, width)."""
        if self.top is None:
            return None
        prior = wide(self.top(x.new_zeros(1, 2 * x.shape[1], *x.shape[2:])))
        return prior[:, 0::2], prior[:, 1::2]

    def _plain(self) -> bool:
        if not self.config.reversible or torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return True
        return not self.training and any(m.waits for m in self.modules() if isinstance(m, ActNorm))

    def forward(
        self, y: Float[Tensor, "batch channels height width"]
    ) -> tuple[list[Float[Tensor, "batch _ _ _"]], Float[Tensor, "batch"]]:
        x, logdet = y - 0.5, no_change(y)
        eps, plain = [], self._plain()
        for level in range(self.config.num_levels):
            x = self.squeeze(x)[0]
            if plain:
                for step in self._level(level):
                    x, change = step(x)
                    logdet = logdet + change
            else:
                x, change = reversible_forward(self._level(level), x)
                logdet = logdet + change
            if level < len(self.splits):
                (x, gone), change = self.splits[level](x)
                logdet = logdet + change
                eps.append(gone)
        prior = self._top(x)
        if prior is not None:
            mean, log_sigma = prior
            x, logdet = (x - mean) * (-log_sigma).exp(), logdet - log_sigma.sum()
        return [*eps, x], logdet

    def inverse(self, eps: Sequence[Tensor]) -> Tensor:
        x = eps[-1]
        prior = self._top(x)
        if prior is not None:
            x = prior[0] + prior[1].exp() * x
        splits: list[Any] = list(self.splits)
        for level in reversed(range(self.config.num_levels)):
            if level < len(splits):
                x = splits[level].inverse((x, eps[level]))
            for step in reversed(self._level(level)):
                x = step.inverse(x)
            x = self.squeeze.inverse(x)
        return x + 0.5
