"""A decoder with rotary positions as it is trained today: RMSNorm, grouped-query attention, SwiGLU, a cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kexue.models._language import LanguageModel
from kexue.models._model import Config

from .rotary import LAYOUTS, RotaryEmbedding, rotate


@dataclass(frozen=True)
class RotaryLMConfig(Config):
    """LLaMA's shape; with `rotary_fraction` < 1 only a part of each head is rotated (GPT-J 64/256, GPT-NeoX 0.25)."""

    vocab_size: int = 256
    context: int = 256
    width: int = 256
    num_layers: int = 4
    num_heads: int = 8
    num_kv_heads: int = 8
    ffn: int = 688
    base: float = 10_000.0
    rotary_fraction: float = 1.0
    layout: str = "half"
    tied: bool = False
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.width % self.num_heads:
            raise ValueError(f"num_heads must divide width = {self.width}, got {self.num_heads}")
        if self.num_kv_heads < 1 or self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_kv_heads must divide num_heads = {self.num_heads}, got {self.num_kv_heads}")
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout must be interleaved or half, got {self.layout!r}")
        if not 0 < self.rotary_fraction <= 1 or self.rotary_dim % 2 or self.rotary_dim < 2:
            raise ValueError(
                f"rotary_fraction must leave an even number of rotated channels of {self.width // self.num_heads}, "
                f"got {self.rotary_fraction}"
            )

    @property
    def rotary_dim(self) -> int:
        return round(self.rotary_fraction * self.width / self.num_heads)


class KeyValues:
    """The keys and values of one layer so far, (batch, kv heads, length, head size), in buffers that double."""

    def __init__(self) -> None:
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds tokens; returns all keys and values."""
        end = self.length + keys.shape[2]
        self._keys = self._store(self._keys, keys, end)
        self._values = self._store(self._values, values, end)
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def _store(self, held: Tensor | None, new: Tensor, end: int) -> Tensor:
        if held is None or held.shape[2] < end:
            room = new.new_empty(new.shape[0], new.shape[1], max(64, 2 * end), new.shape[3])
            if held is not None:
                room[:, :, : self.length] = held[:, :, : self.length]
            held = room
        held[:, :, self.length : end] = new
        return held


class GroupedQueryAttention(nn.Module):
    """Causal attention in which several query heads share one key-value head."""

    def __init__(self, c: RotaryLMConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = c.num_heads, c.num_kv_heads, c.width // c.num_heads
        self.layout: Literal["interleaved", "half"] = "half" if c.layout == "half" else "interleaved"
        self.qkv = nn.Linear(c.width, (c.num_heads + 2 * c.num_kv_heads) * self.size, bias=False)
        self.out = nn.Linear(c.width, c.width, bias=False)

    def forward(
        self, x: Float[Tensor, "batch length width"], table: tuple[Tensor, Tensor], cache: KeyValues | None = None
    ) -> Float[Tensor, "batch length width"]:
        heads = self.qkv(x).unflatten(-1, (-1, self.size)).transpose(1, 2)
        q, k, v = heads.split((self.heads, self.kv_heads, self.kv_heads), dim=1)
        q, k = rotate(q, *table, self.layout), rotate(k, *table, self.layout)
        grouped = self.heads != self.kv_heads
        if cache is None:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        else:
            past = cache.length
            k, v = cache.append(k, v)
            seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(past)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=grouped)
        return self.out(out.transpose(1, 2).flatten(2))


class DecoderBlock(nn.Module):
    """x + attention(norm(x)), then x + SwiGLU(norm(x))."""

    def __init__(self, c: RotaryLMConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(c.width, eps=c.norm_eps)
        self.attention = GroupedQueryAttention(c)
        self.ffn_norm = nn.RMSNorm(c.width, eps=c.norm_eps)
        self.gate_up = nn.Linear(c.width, 2 * c.ffn, bias=False)
        self.down = nn.Linear(c.ffn, c.width, bias=False)

    def forward(
        self, x: Float[Tensor, "batch length width"], table: tuple[Tensor, Tensor], cache: KeyValues | None = None
    ) -> Float[Tensor, "batch length width"]:
        x = x + self.attention(self.attention_norm(x), table, cache)
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class RotaryLM(LanguageModel, config=RotaryLMConfig):
    """A language model whose only notion of position is rotation: a constant added to all positions changes nothing."""

    def __init__(self, config: RotaryLMConfig) -> None:
        super().__init__(config)
        c = config
        self.embedding = nn.Embedding(c.vocab_size, c.width)
        self.rotary = RotaryEmbedding(c.rotary_dim, c.base, "half" if c.layout == "half" else "interleaved")
        self.blocks = nn.ModuleList(DecoderBlock(c) for _ in range(c.num_layers))
        self.norm = nn.RMSNorm(c.width, eps=c.norm_eps)
        self.head = nn.Linear(c.width, c.vocab_size, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
        if c.tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Int[Tensor, "batch length"], first: int = 0) -> Float[Tensor, "batch length vocab"]:
        """Logits of the next token at every position; the first token stands at position `first`."""
        return self._logits(tokens, first, None)

    def initial_state(self, batch_size: int) -> list[KeyValues]:
        return [KeyValues() for _ in self.blocks]

    def step(
        self, tokens: Int[Tensor, "batch length"], state: list[KeyValues]
    ) -> tuple[Float[Tensor, "batch length vocab"], list[KeyValues]]:
        """Logits of these tokens behind those that the cache holds; the cache grows in place."""
        return self._logits(tokens, state[0].length, state), state

    def _logits(self, tokens: Tensor, first: int, state: list[KeyValues] | None) -> Tensor:
        table = self.rotary.table(torch.arange(first, first + tokens.shape[1], device=tokens.device))
        x = self.embedding(tokens)
        for i, block in enumerate(self.blocks):
            x = block(x, table, None if state is None else state[i])
        return self.head(self.norm(x))

    @classmethod
    def from_huggingface(cls, state: Mapping[str, Tensor], config: RotaryLMConfig) -> RotaryLM:
        """The weights of a transformers `LlamaForCausalLM` (its `state_dict()`); its layout is "half".

        Raises:
            KeyError: the state lacks a tensor that this model needs.
        """
        model = cls(config)
        model.embedding.weight.data.copy_(state["model.embed_tokens.weight"])
        for i, block in enumerate(model.blocks):
            at = f"model.layers.{i}"
            projections = [state[f"{at}.self_attn.{p}_proj.weight"] for p in "qkv"]
            copies = {
                "attention.qkv": torch.cat(projections),
                "attention.out": state[f"{at}.self_attn.o_proj.weight"],
                "gate_up": torch.cat([state[f"{at}.mlp.{p}_proj.weight"] for p in ("gate", "up")]),
                "down": state[f"{at}.mlp.down_proj.weight"],
                "attention_norm": state[f"{at}.input_layernorm.weight"],
                "ffn_norm": state[f"{at}.post_attention_layernorm.weight"],
            }
            for name, weight in copies.items():
                block.get_submodule(name).weight.data.copy_(weight)  # type: ignore[union-attr,operator]
        model.norm.weight.data.copy_(state["model.norm.weight"])
        if not config.tied:
            model.head.weight.data.copy_(state["lm_head.weight"])
        return model
