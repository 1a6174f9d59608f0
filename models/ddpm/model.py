"""A denoiser with its schedule: what is trained and sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kexue.models._model import Config, Model
from kexue.models._torch import draw_normal

from .process import q_sample, sample_chain
from .schedule import NoiseSchedule, article_schedule, cosine_schedule, linear_schedule
from .su_unet import SuUNet
from .unet import UNet


class Diffusion(Model):
    """What both U-Nets share: the simple loss, and sampling. A subclass has `network` and `schedule`."""

    network: nn.Module
    schedule: NoiseSchedule
    reduction = "mean"

    def forward(
        self, x: Float[Tensor, "batch channels height width"], t: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch channels height width"]:
        """ε(x_t, t), t in 1..T."""
        return self.network(x, t)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """E‖ε − ε(ᾱ_t x_0 + β̄_t ε, t)‖² over `batch["images"]` in [−1, 1], with t uniform in 1..T.

        `batch["t"]` and `batch["noise"]` fix what is drawn otherwise.
        """
        x0 = batch["images"]
        t = batch.get("t")
        noise = batch.get("noise")
        if t is None:
            t = torch.randint(1, self.config.steps + 1, (len(x0),), device=x0.device)
        if noise is None:
            noise = torch.randn_like(x0)
        error = F.mse_loss(self(q_sample(x0, t, noise, self.schedule), t).float(), noise.float(), reduction="none")
        return error.mean() if self.reduction == "mean" else error.flatten(1).sum(1).mean()

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        c = self.config
        shape = (batch_size, c.channels, c.image_size, c.image_size)
        made = {
            "images": torch.rand(shape, generator=generator) * 2 - 1,
            "t": torch.randint(1, c.steps + 1, (batch_size,), generator=generator),
            "noise": torch.randn(shape, generator=generator),
        }
        return {name: value.to(device) for name, value in made.items()}

    @torch.no_grad()
    def sample(
        self, count: int, *, steps: int | None = None, sampler: str = "ddpm", variance: str = "large", eta: float = 0.0,
        clip_x0: bool = True, generator: torch.Generator | None = None,
    ) -> Float[Tensor, "count channels height width"]:  # fmt: skip
        """Images in about [−1, 1]; options as `sample_chain`."""
        c = self.config
        parameter = next(self.parameters())
        x = draw_normal(parameter, generator, (count, c.channels, c.image_size, c.image_size))
        was_training = self.training
        self.eval()
        try:
            return sample_chain(
                self, x, self.schedule, steps=steps, sampler=sampler, variance=variance, eta=eta, clip_x0=clip_x0,
                generator=generator,
            )  # fmt: skip
        finally:
            self.train(was_training)


@dataclass(frozen=True)
class DDPMConfig(Config):
    """The paper's U-Net and schedule; the default is its CIFAR-10 model."""

    image_size: int = 32
    channels: int = 3
    width: int = 128
    multipliers: tuple[int, ...] = (1, 2, 2, 2)
    num_blocks: int = 2
    attention: tuple[int, ...] = (16,)
    dropout: float = 0.1
    steps: int = 1000
    schedule: str = "linear"
    smallest: float = 1e-4  # β_1² of the linear schedule
    largest: float = 0.02  # β_T²

    def __post_init__(self) -> None:
        if not self.multipliers:
            raise ValueError("multipliers must name at least one level, got none")
        self.fractions("dropout")
        if self.schedule not in ("linear", "article", "cosine"):
            raise ValueError(f"schedule must be linear, article or cosine, got {self.schedule!r}")


class DDPM(Diffusion, config=DDPMConfig):
    """The model of Ho et al.: U-Net, linear schedule on β², mean squared error.

    Without `attention` and with the articles' schedule it is the second network of the articles' code ("su-v2").
    """

    def __init__(self, config: DDPMConfig) -> None:
        super().__init__(config)
        c = config
        if c.schedule == "linear":
            alpha = linear_schedule(c.steps, c.smallest, c.largest)
        else:
            alpha = article_schedule(c.steps) if c.schedule == "article" else cosine_schedule(c.steps)
        self.schedule = NoiseSchedule(alpha)
        self.network = UNet(c.image_size, c.channels, c.width, c.multipliers, c.num_blocks, c.attention, c.dropout)
        self.blocks = nn.ModuleList()  # FSDP shards the whole: its stages have skips between them


@dataclass(frozen=True)
class SuDDPMConfig(Config):
    """The articles' U-Net and schedule: images of 128 pixels, T = 1000."""

    image_size: int = 128
    channels: int = 3
    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    num_blocks: int = 1
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.num_blocks < 1 or not self.multipliers:
            raise ValueError(f"num_blocks and levels must be at least 1, got {self.num_blocks}, {self.multipliers}")


class SuDDPM(Diffusion, config=SuDDPMConfig):
    """The model of archive 9119: α_t = √(1 − 0.02 t/T), and the sum of squares, not their mean."""

    reduction = "sum"

    def __init__(self, config: SuDDPMConfig) -> None:
        super().__init__(config)
        c = config
        self.schedule = NoiseSchedule(article_schedule(c.steps))
        self.network = SuUNet(c.image_size, c.channels, c.width, c.multipliers, c.num_blocks, c.steps)
        self.blocks = nn.ModuleList()
