"""RoFormer: BERT's encoder whose queries and keys are rotated in every layer; no table of absolute positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor, nn

from kexue.models import _masked
from kexue.models._masked import hidden_loss, hidden_tokens, initialise
from kexue.models._model import Config, Model

from .rotary import RotaryEmbedding, rotate


@dataclass(frozen=True)
class RoFormerConfig(Config):
    """The Chinese base model of the article: 12 layers of width 768, a vocabulary of 50 000 words."""

    vocab_size: int = 50_000
    context: int = 512  # length of the training batches; no parameter depends on it
    width: int = 768
    num_layers: int = 12
    num_heads: int = 12
    ffn: int = 3072
    type_vocab_size: int = 2
    base: float = 10_000.0
    rotate_values: bool = False
    dropout: float = 0.1
    norm_eps: float = 1e-12
    mask_token: int = 4
    mask_rate: float = 0.15

    def __post_init__(self) -> None:
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(f"width must be an even multiple of num_heads = {self.num_heads}, got {self.width}")
        self.fractions("dropout")
        if not 0 <= self.mask_token < self.vocab_size:
            raise ValueError(f"mask_token must be below vocab_size = {self.vocab_size}, got {self.mask_token}")


class RotarySelfAttention(nn.Module):
    """Scaled dot-product attention of rotated queries and keys.

    With `rotate_values`, R_j turns the values and R_iᵀ the outputs: o_i = Σ_j a_ij R_{j−i} v_j.
    """

    def __init__(self, width: int, num_heads: int, dropout: float, rotate_values: bool) -> None:
        super().__init__()
        self.num_heads, self.dropout, self.rotate_values = num_heads, dropout, rotate_values
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        table: tuple[Tensor, Tensor],
        mask: Bool[Tensor, "batch 1 1 length"] | None,
    ) -> Float[Tensor, "batch length width"]:
        cos, sin = table
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if self.rotate_values:
            v = rotate(v, cos, sin)
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        if self.rotate_values:
            out = rotate(out, cos, -sin)
        return self.out(out.transpose(1, 2).flatten(2))


class RoFormerBlock(nn.Module):
    """Attention and a GELU network, each followed by dropout, the residual sum and LayerNorm (post-LN)."""

    def __init__(self, c: RoFormerConfig) -> None:
        super().__init__()
        self.attention = RotarySelfAttention(c.width, c.num_heads, c.dropout, c.rotate_values)
        self.attention_norm = nn.LayerNorm(c.width, eps=c.norm_eps)
        self.up = nn.Linear(c.width, c.ffn)
        self.down = nn.Linear(c.ffn, c.width)
        self.ffn_norm = nn.LayerNorm(c.width, eps=c.norm_eps)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        table: tuple[Tensor, Tensor],
        mask: Bool[Tensor, "batch 1 1 length"] | None,
    ) -> Float[Tensor, "batch length width"]:
        x = self.attention_norm(x + self.dropout(self.attention(x, table, mask)))
        return self.ffn_norm(x + self.dropout(self.down(F.gelu(self.up(x)))))


class RoFormer(Model, config=RoFormerConfig):
    """The encoder with its masked-language-model head (tied to the embedding).

    `encode` gives hidden states, `forward` logits over the vocabulary.
    """

    def __init__(self, config: RoFormerConfig) -> None:
        super().__init__(config)
        c = config
        self.words = nn.Embedding(c.vocab_size, c.width)
        self.types = nn.Embedding(c.type_vocab_size, c.width)
        self.embedding_norm = nn.LayerNorm(c.width, eps=c.norm_eps)
        self.dropout = nn.Dropout(c.dropout)
        self.rotary = RotaryEmbedding(c.width // c.num_heads, c.base)
        self.blocks = nn.ModuleList(RoFormerBlock(c) for _ in range(c.num_layers))
        self.head = nn.Linear(c.width, c.width)
        self.head_norm = nn.LayerNorm(c.width, eps=c.norm_eps)
        self.head_bias = nn.Parameter(torch.zeros(c.vocab_size))
        self.apply(initialise)

    def num_encoder_parameters(self) -> int:
        """Without the head."""
        head = (*self.head.parameters(), *self.head_norm.parameters(), self.head_bias)
        return self.num_parameters() - sum(p.numel() for p in head)

    def encode(
        self,
        tokens: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
        types: Int[Tensor, "batch length"] | None = None,
        positions: Real[Tensor, "*positions"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """Hidden states of the last layer.

        Args:
            mask: True for tokens, False for padding.
            types: segment of each token; 0 by default.
            positions: 0, 1, … by default; scores depend on their differences only.
        """
        if positions is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device)
        types = torch.zeros_like(tokens) if types is None else types
        x = self.dropout(self.embedding_norm(self.words(tokens) + self.types(types)))
        table = self.rotary.table(positions)
        keys = None if mask is None else mask[:, None, None]
        for block in self.blocks:
            x = block(x, table, keys)
        return x

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
        types: Int[Tensor, "batch length"] | None = None,
        positions: Real[Tensor, "*positions"] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        x = self.encode(tokens, mask, types, positions)
        x = self.head_norm(F.gelu(self.head(x)))
        return F.linear(x, self.words.weight, self.head_bias)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the masked tokens.

        `batch["tokens"]` (batch, length) are the true tokens; `batch["masked"]`, Booleans of this shape, says which of
        them the model doesn't see; if it is absent, `mask_rate` of them are drawn.
        """
        tokens = batch["tokens"]
        masked = hidden_tokens(batch, self.config.mask_rate)
        return hidden_loss(self(tokens.masked_fill(masked, self.config.mask_token)), tokens, masked)

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        c = self.config
        return _masked.example(batch_size, c.context, c.vocab_size, c.mask_rate, generator, device)

    @classmethod
    def from_huggingface(cls, state: Mapping[str, Tensor], config: RoFormerConfig) -> RoFormer:
        """The weights of a transformers `RoFormerForMaskedLM` (its `state_dict()`).

        Raises:
            KeyError: the state lacks a tensor that this model needs.
        """
        model = cls(config)

        def copy(ours: nn.Module, theirs: str) -> None:
            for name, held in ours.named_parameters():
                held.data.copy_(state[f"{theirs}.{name}"])

        copy(model.words, "roformer.embeddings.word_embeddings")
        copy(model.types, "roformer.embeddings.token_type_embeddings")
        copy(model.embedding_norm, "roformer.embeddings.LayerNorm")
        for i, block in enumerate(model.blocks):
            at = f"roformer.encoder.layer.{i}"
            for name, held in block.attention.qkv.named_parameters():  # type: ignore[union-attr]
                parts = [state[f"{at}.attention.self.{part}.{name}"] for part in ("query", "key", "value")]
                held.data.copy_(torch.cat(parts))
            copy(block.attention.out, f"{at}.attention.output.dense")  # type: ignore[union-attr,arg-type]
            copy(block.attention_norm, f"{at}.attention.output.LayerNorm")  # type: ignore[arg-type]
            copy(block.up, f"{at}.intermediate.dense")  # type: ignore[arg-type]
            copy(block.down, f"{at}.output.dense")  # type: ignore[arg-type]
            copy(block.ffn_norm, f"{at}.output.LayerNorm")  # type: ignore[arg-type]
        copy(model.head, "cls.predictions.transform.dense")
        copy(model.head_norm, "cls.predictions.transform.LayerNorm")
        model.head_bias.data.copy_(state["cls.predictions.bias"])
        return model
