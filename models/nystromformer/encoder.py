"""The encoder: BERT's with landmark attention, its heads, and weights of the Hugging Face model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kexue.models import _masked
from kexue.models._masked import hidden_loss, hidden_tokens, initialise
from kexue.models._model import Config, Model

from .attention import INVERSES, NystromAttention, Segments, check_inverse, check_landmarks, check_mask, segments, wide


@dataclass(frozen=True)
class NystromformerConfig(Config):
    """The base model of the paper: BERT-base with 64 landmarks."""

    vocab_size: int = 50_265
    context: int = 512
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    ffn: int = 3072
    type_vocab_size: int = 1  # 0: no token types
    num_landmarks: int = 64
    conv_kernel: int = 33  # 0: no convolution
    inverse: str = "razavi"
    steps: int = 6
    init: str = "exact"
    pre_norm: bool = False  # LayerNorm in front of attention and network, and none behind the embeddings
    gelu: str = "tanh"
    dropout: float = 0.1
    norm_eps: float = 1e-5
    mask_token: int = 4
    mask_rate: float = 0.15
    sentence_order: bool = False

    def __post_init__(self) -> None:
        if self.num_heads < 1 or self.width % self.num_heads:
            raise ValueError(f"width must be a multiple of num_heads = {self.num_heads}, got {self.width}")
        check_landmarks(self.num_landmarks)
        if self.conv_kernel < 0 or (self.conv_kernel and self.conv_kernel % 2 == 0):
            raise ValueError(f"conv_kernel must be odd, or 0 for none, got {self.conv_kernel}")
        check_inverse(self.inverse, self.steps, self.init, INVERSES)
        if self.gelu not in ("tanh", "none"):
            raise ValueError(f"gelu must be 'tanh' (approximation) or 'none', got {self.gelu!r}")
        self.fractions("dropout")
        if not 0 <= self.mask_token < self.vocab_size:
            raise ValueError(f"mask_token must be below vocab_size = {self.vocab_size}, got {self.mask_token}")


@dataclass(frozen=True)
class NystromformerClassifierConfig(NystromformerConfig):
    """An encoder and a two-layer head on the first token or on the mean of the tokens."""

    num_labels: int = 2
    pooling: str = "first"
    head_width: int = 768
    head_activation: str = "gelu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in ("first", "mean"):
            raise ValueError(f"pooling must be 'first' or 'mean', got {self.pooling!r}")
        if self.head_activation not in ("gelu", "relu"):
            raise ValueError(f"head_activation must be 'gelu' or 'relu', got {self.head_activation!r}")


class NystromformerBlock(nn.Module):
    """Attention and a GELU network with residual sums; LayerNorm behind each of them (or in front: `pre_norm`)."""

    def __init__(self, c: NystromformerConfig) -> None:
        super().__init__()
        self.pre_norm, self.gelu = c.pre_norm, c.gelu
        self.attention = NystromAttention(
            c.width, c.num_heads, c.num_landmarks, c.conv_kernel, c.inverse, c.steps, c.init
        )
        self.attention_norm = nn.LayerNorm(c.width, eps=c.norm_eps)
        self.up = nn.Linear(c.width, c.ffn)
        self.down = nn.Linear(c.ffn, c.width)
        self.ffn_norm = nn.LayerNorm(c.width, eps=c.norm_eps)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self, x: Float[Tensor, "batch length width"], s: Segments | None
    ) -> Float[Tensor, "batch length width"]:
        if self.pre_norm:
            x = x + self.dropout(self.attention.attend(self.attention_norm(x), s))
            return x + self.dropout(self.network(self.ffn_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention.attend(x, s)))
        return self.ffn_norm(x + self.dropout(self.network(x)))

    def network(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate=self.gelu))


class _Encoder(Model):
    """Embeddings and blocks, which the models with heads share."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        c = config
        self.words = nn.Embedding(c.vocab_size, c.width)
        self.positions = nn.Embedding(c.context, c.width)
        self.types = nn.Embedding(c.type_vocab_size, c.width) if c.type_vocab_size else None
        self.norm = nn.LayerNorm(c.width, eps=c.norm_eps)  # of the embeddings, or with `pre_norm` of the last layer
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(NystromformerBlock(c) for _ in range(c.num_layers))

    def encode(
        self,
        tokens: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
        types: Int[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """Hidden states of the last layer.

        Args:
            mask: True for tokens, False for padding, whose hidden states mean nothing.
            types: the segment of each token; 0 by default.

        Raises:
            ValueError: more tokens than the config's `context`, types for a model without, or a mask as in
                `nystrom_attention`.
        """
        c = self.config
        if tokens.shape[1] > c.context:
            raise ValueError(f"tokens must have at most context = {c.context} positions, got {tokens.shape[1]}")
        x = self.words(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        if self.types is not None:
            x = x + self.types(torch.zeros_like(tokens) if types is None else types)
        elif types is not None:
            raise ValueError("types must be None for a model with type_vocab_size = 0")
        x = self.dropout(x if c.pre_norm else self.norm(x))
        s = None
        if mask is not None:
            check_mask(mask, *tokens.shape)
            s = segments(mask, c.num_landmarks, wide(x))
        for block in self.blocks:
            x = block(x, s)
        return self.norm(x) if c.pre_norm else x

    def load_huggingface(self, state: Mapping[str, Tensor]) -> None:
        """Takes the weights of a transformers `NystromformerModel` or of a model with a head (its `state_dict()`).

        Of the table of positions the first two rows, which that model never reads, are left out. Heads that the state
        lacks stay as they are.

        Raises:
            ValueError: a tensor is missing or has another shape than the config asks for.
        """
        c = self.config
        if c.pre_norm or self.types is None or not c.conv_kernel:
            raise ValueError("the config must have pre_norm=False, token types and a convolution, as that model has")
        at = "nystromformer." if any(name.startswith("nystromformer.") for name in state) else ""
        _copy(self.words, state, f"{at}embeddings.word_embeddings")
        _copy(self.types, state, f"{at}embeddings.token_type_embeddings")
        _copy(self.norm, state, f"{at}embeddings.LayerNorm")
        _fill(self.positions.weight, _named(state, f"{at}embeddings.position_embeddings.weight")[2:], "positions")
        for i, block in enumerate(self.blocks):
            layer = f"{at}encoder.layer.{i}"
            attention: Any = block.attention
            for name, held in attention.qkv.named_parameters():
                parts = [_named(state, f"{layer}.attention.self.{part}.{name}") for part in ("query", "key", "value")]
                _fill(held, torch.cat(parts), f"{layer}.attention.self")
            _fill(attention.conv, _named(state, f"{layer}.attention.self.conv.weight"), f"{layer}.attention.self.conv")
            _copy(attention.out, state, f"{layer}.attention.output.dense")
            for ours, theirs in (
                (block.attention_norm, "attention.output.LayerNorm"),
                (block.up, "intermediate.dense"),
                (block.down, "output.dense"),
                (block.ffn_norm, "output.LayerNorm"),
            ):
                _copy(ours, state, f"{layer}.{theirs}")


def _named(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise ValueError(f"state must hold {name}, got {len(state)} other tensors")
    return state[name]


def _fill(held: Tensor, value: Tensor, name: str) -> None:
    if held.shape != value.shape:
        raise ValueError(f"state must hold {name} of shape {tuple(held.shape)}, got {tuple(value.shape)}")
    held.data.copy_(value)


def _copy(ours: Any, state: Mapping[str, Tensor], theirs: str) -> None:
    for name, held in ours.named_parameters():
        _fill(held, _named(state, f"{theirs}.{name}"), f"{theirs}.{name}")


class Nystromformer(_Encoder, config=NystromformerConfig):
    """The encoder with the head of masked words, tied to the embedding, and on demand that of the sentences' order."""

    def __init__(self, config: NystromformerConfig) -> None:
        super().__init__(config)
        c = config
        self.head = nn.Linear(c.width, c.width)
        self.head_norm = nn.LayerNorm(c.width, eps=c.norm_eps)
        self.head_bias = nn.Parameter(torch.zeros(c.vocab_size))
        self.order: nn.Module | None = None
        if c.sentence_order:
            self.order = nn.Sequential(nn.Linear(c.width, c.width), nn.Tanh(), nn.Linear(c.width, 2))
        self.apply(initialise)

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
        types: Int[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        """Logits over the vocabulary at each position."""
        return self.words_of(self.encode(tokens, mask, types))

    def words_of(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch vocab"]:
        x = self.head_norm(F.gelu(self.head(hidden), approximate=self.config.gelu))
        return F.linear(x, self.words.weight, self.head_bias)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the masked tokens; with `sentence_order` plus that of the order.

        `batch["tokens"]` (batch, length) are the true tokens; `batch["masked"]`, Booleans of this shape, says which of
        them the model doesn't see; if it is absent, `mask_rate` of them are drawn. `batch["mask"]` (True for tokens)
        and `batch["types"]` may be there; with `sentence_order` also `batch["ordered"]` (batch), 1 for sentences in
        their order.
        """
        tokens, mask = batch["tokens"], batch.get("mask")
        masked = hidden_tokens(batch, self.config.mask_rate)
        if mask is not None:
            masked = masked & mask
        hidden = self.encode(tokens.masked_fill(masked, self.config.mask_token), mask, batch.get("types"))
        loss = hidden_loss(self.words_of(hidden), tokens, masked)
        if self.order is None:
            return loss
        return loss + F.cross_entropy(self.order(hidden[:, 0]).float(), batch["ordered"].long())

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        c = self.config
        batch = _masked.example(batch_size, c.context, c.vocab_size, c.mask_rate, generator, device)
        if self.order is not None:
            batch["ordered"] = torch.randint(2, (batch_size,), generator=generator).to(device)
        return batch

    def load_huggingface(self, state: Mapping[str, Tensor]) -> None:
        super().load_huggingface(state)
        if "cls.predictions.bias" in state:
            _copy(self.head, state, "cls.predictions.transform.dense")
            _copy(self.head_norm, state, "cls.predictions.transform.LayerNorm")
            _fill(self.head_bias, state["cls.predictions.bias"], "cls.predictions.bias")


class NystromformerClassifier(_Encoder, config=NystromformerClassifierConfig):
    """The encoder with a classifier of sequences."""

    def __init__(self, config: NystromformerClassifierConfig) -> None:
        super().__init__(config)
        self.hidden = nn.Linear(config.width, config.head_width)
        self.scores = nn.Linear(config.head_width, config.num_labels)
        self.apply(initialise)

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
        types: Int[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch labels"]:
        """Logits of the labels."""
        x = self.encode(tokens, mask, types)
        if self.config.pooling == "first":
            x = x[:, 0]
        elif mask is None:
            x = x.mean(1)
        else:
            x = x.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1, keepdim=True).to(x.dtype)
        x = self.hidden(self.dropout(x))
        x = F.relu(x) if self.config.head_activation == "relu" else F.gelu(x, approximate=self.config.gelu)
        return self.scores(self.dropout(x))

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of `batch["labels"]` (batch) for `batch["tokens"]`; `mask` and `types` may be there."""
        logits = self(batch["tokens"], batch.get("mask"), batch.get("types"))
        return F.cross_entropy(logits.float(), batch["labels"])

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        c = self.config
        tokens = torch.randint(c.vocab_size, (batch_size, c.context), generator=generator)
        labels = torch.randint(c.num_labels, (batch_size,), generator=generator)
        return {"tokens": tokens.to(device), "labels": labels.to(device)}

    def load_huggingface(self, state: Mapping[str, Tensor]) -> None:
        super().load_huggingface(state)
        if "classifier.dense.weight" in state:
            _copy(self.hidden, state, "classifier.dense")
            _copy(self.scores, state, "classifier.out_proj")
