"""The two networks of the paper's experiments: AWD-LSTM for Penn Treebank, ResNet-20 for CIFAR-10."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kexue.models._language import LanguageModel, next_token_loss
from kexue.models._model import Config, Model
from kexue.models._torch import full_precision

Memory = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class AWDLSTMConfig(Config):
    """Merity, Keskar, Socher, Regularizing and Optimizing LSTM Language Models, 2017, arXiv 1708.02182; the default is
    Penn Treebank's. The clipping paper trains it by descent with lr 30 and γ = 0.25.

    activation_penalty, slowness_penalty: weights of the mean squares of the last layer's outputs and of their changes.
    """

    vocab_size: int = 10_000
    context: int = 70
    embedding: int = 400
    hidden: int = 1150
    num_layers: int = 3
    output_dropout: float = 0.4
    hidden_dropout: float = 0.25
    input_dropout: float = 0.4
    embedding_dropout: float = 0.1
    weight_dropout: float = 0.5
    activation_penalty: float = 2.0
    slowness_penalty: float = 1.0

    def __post_init__(self) -> None:
        self.at_least(1, "vocab_size", "context", "embedding", "hidden", "num_layers")
        self.fractions("output_dropout", "hidden_dropout", "input_dropout", "embedding_dropout", "weight_dropout")
        self.at_least(0, "activation_penalty", "slowness_penalty")


def locked_dropout(x: Float[Tensor, "batch length width"], p: float, training: bool) -> Tensor:
    """Dropout with one mask for all positions of a sequence."""
    if not (training and p):
        return x
    return x * F.dropout(torch.ones_like(x[:, :1]), p)


class DroppedLSTM(nn.Module):
    """One LSTM layer whose recurrent weights are dropped, once for each sequence of inputs (DropConnect)."""

    def __init__(self, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        bound = hidden**-0.5
        self.dropout, self.hidden = dropout, hidden
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, inputs).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden).uniform_(-bound, bound))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden).uniform_(-bound, bound))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden).uniform_(-bound, bound))

    def forward(
        self, x: Float[Tensor, "batch length inputs"], state: Memory | None = None
    ) -> tuple[Float[Tensor, "batch length hidden"], Memory]:
        with full_precision(x):
            x = x.to(self.weight_ih.dtype)
            if state is None:
                zeros = x.new_zeros(1, x.shape[0], self.hidden)
                state = (zeros, zeros)
            recurrent = F.dropout(self.weight_hh, self.dropout, self.training)
            weights = [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]
            out, h, c = torch.lstm(x, list(state), weights, True, 1, 0.0, self.training, False, True)
        return out, (h, c)


class AWDLSTM(LanguageModel, config=AWDLSTMConfig):
    """An LSTM language model with tied embeddings whose every kind of connection is dropped.

    Its `loss` adds the two penalties in training mode; `bits_per_token` doesn't.
    """

    def __init__(self, config: AWDLSTMConfig) -> None:
        super().__init__(config)
        c = config
        self.embedding = nn.Parameter(torch.empty(c.vocab_size, c.embedding).uniform_(-0.1, 0.1))
        widths = [c.embedding, *[c.hidden] * (c.num_layers - 1), c.embedding]
        self.blocks = nn.ModuleList(
            DroppedLSTM(a, b, c.weight_dropout) for a, b in pairwise(widths)
        )
        self.bias = nn.Parameter(torch.zeros(c.vocab_size))

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length vocab"]:
        _, dropped, _ = self._run(tokens, self.initial_state(tokens.shape[0]))
        return F.linear(dropped, self.embedding, self.bias)

    def initial_state(self, batch_size: int) -> list[Memory | None]:
        return [None] * len(self.blocks)

    def step(
        self, tokens: Int[Tensor, "batch length"], state: list[Memory | None]
    ) -> tuple[Float[Tensor, "batch length vocab"], list[Memory | None]]:
        _, dropped, state = self._run(tokens, state)
        return F.linear(dropped, self.embedding, self.bias), state

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy in nats of the next token, and in training mode the penalties."""
        c, tokens = self.config, batch["tokens"]
        raw, dropped, _ = self._run(tokens[:, :-1], self.initial_state(tokens.shape[0]))
        loss = next_token_loss(F.linear(dropped, self.embedding, self.bias), tokens[:, 1:])
        if self.training:
            loss = loss + c.activation_penalty * dropped.square().mean()
            if raw.shape[1] > 1:
                loss = loss + c.slowness_penalty * (raw[:, 1:] - raw[:, :-1]).square().mean()
        return loss

    def _run(self, tokens: Tensor, state: list[Memory | None]) -> tuple[Tensor, Tensor, list[Memory | None]]:
        """The last layer's outputs, the same dropped, and the memories."""
        c, memories = self.config, []
        table: Tensor = self.embedding
        if self.training and c.embedding_dropout:  # whole words
            table = table * F.dropout(torch.ones_like(table[:, :1]), c.embedding_dropout)
        x = locked_dropout(F.embedding(tokens, table), c.input_dropout, self.training)
        out = x
        for i, (layer, held) in enumerate(zip(self.blocks, state, strict=True)):
            out, memory = layer(x, held)
            memories.append(memory)
            x = locked_dropout(out, c.hidden_dropout if i + 1 < len(self.blocks) else c.output_dropout, self.training)
        return out, x, memories


@dataclass(frozen=True)
class ResNetConfig(Config):
    """He et al., Deep Residual Learning, 2015, arXiv 1512.03385, section 4.2: depth 6n + 2 in three stages.

    The clipping paper trains ResNet-20 with momentum 0.9, lr 1 without and 5 to 10 with clipping. normalisation:
    "batch" as in the paper, or "group" (of 8 channels), which treats every image alone.
    """

    image_size: int = 32
    channels: int = 3
    num_labels: int = 10
    width: int = 16
    depth: int = 20
    normalisation: str = "batch"

    def __post_init__(self) -> None:
        self.at_least(1, "channels", "num_labels", "width")
        if self.depth < 8 or (self.depth - 2) % 6:
            raise ValueError(f"depth must be 6n + 2 with n ≥ 1, got {self.depth}")
        if self.image_size < 4 or self.image_size % 4:
            raise ValueError(f"image_size must be a multiple of 4, got {self.image_size}")
        if self.normalisation not in ("batch", "group"):
            raise ValueError(f"normalisation must be batch or group, got {self.normalisation!r}")
        if self.normalisation == "group" and self.width % 8:
            raise ValueError(f"width must be a multiple of 8 for normalisation='group', got {self.width}")


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions; the shortcut drops every other pixel and adds channels of zeros (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int, normalisation: str) -> None:
        super().__init__()
        self.stride, self.added = stride, outputs - inputs
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = normal(outputs, normalisation)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = normal(outputs, normalisation)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        y = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        short = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(short, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2)))


def normal(channels: int, kind: str) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(channels // 8, channels)


class ResNet(Model, config=ResNetConfig):
    """The small residual network for images of 32 × 32."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        c = config
        self.stem = nn.Conv2d(c.channels, c.width, 3, 1, 1, bias=False)
        self.stem_norm = normal(c.width, c.normalisation)
        per_stage, blocks, inputs = (c.depth - 2) // 6, [], c.width
        for stage in range(3):
            for i in range(per_stage):
                outputs = c.width << stage
                blocks.append(ResidualBlock(inputs, outputs, 2 if stage and not i else 1, c.normalisation))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(inputs, c.num_labels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch labels"]:
        x = F.relu(self.stem_norm(self.stem(images)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy in nats of `images` (batch, channels, size, size) and `labels` (batch,)."""
        return F.cross_entropy(self(batch["images"]).float(), batch["labels"])

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        c = self.config
        images = torch.randn(batch_size, c.channels, c.image_size, c.image_size, generator=generator)
        labels = torch.randint(c.num_labels, (batch_size,), generator=generator)
        return {"images": images.to(device), "labels": labels.to(device)}
