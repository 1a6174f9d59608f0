"""The language model of the paper: gated attention units with one softmax over two exact blocks and the codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kexue.models._language import LanguageModel
from kexue.models._model import Config

from .attention import WINDOWS, VQState, vq_attention, vq_attention_step
from .quantiser import LearnableVQ, commitment, lookup, sum_over_processes

POSITIONS = ("xl", "bias", "none")


@dataclass(frozen=True)
class TransformerVQConfig(Config):
    """The paper's layout. `num_layers` counts gated attention units (the paper pairs them: its 24 layers are 48).

    Args:
        value_dim: of all heads together; each head has a part of it.
        window: "block" as in the paper's code: positions act in the whole block of the query and the one before.
            "toeplitz" as in the article: at distances 0, …, block.
        positions: "xl", the paper's (q + v)·W_r s(i − j) with sinusoids s; "bias", the article's B(i − j), a number
            for each head and distance; "none".
        dropout_layer: of a whole unit's output, dropout_sinusoid of s(i − j); both are drawn once for a sequence.
    """

    vocab_size: int = 256
    context: int = 8192
    width: int = 768
    key_dim: int = 128
    value_dim: int = 1536
    num_layers: int = 48
    num_heads: int = 1
    num_codes: int = 512
    block: int = 512
    window: str = "block"
    positions: str = "xl"
    absolute_positions: bool = False
    tied: bool = False
    final_norm: bool = False
    logit_scale: float = 1.0
    beta: float = 1e-4
    gamma: float = 0.99
    dropout: float = 0.0
    dropout_layer: float = 0.0
    dropout_sinusoid: float = 0.0
    sinusoid_base: float = 1e5
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        self.at_least(1, "vocab_size", "context", "width", "key_dim", "num_layers", "num_heads", "num_codes", "block")
        if self.value_dim < 1 or self.value_dim % self.num_heads:
            raise ValueError(f"value_dim must be a multiple of num_heads = {self.num_heads}, got {self.value_dim}")
        if self.width % 2:
            raise ValueError(f"width must be even (sines and cosines), got {self.width}")
        if self.window not in WINDOWS:
            raise ValueError(f"window must be one of {', '.join(WINDOWS)}, got {self.window!r}")
        if self.positions not in POSITIONS:
            raise ValueError(f"positions must be one of {', '.join(POSITIONS)}, got {self.positions!r}")
        self.fractions("gamma", "dropout", "dropout_layer", "dropout_sinusoid")

    @property
    def distances(self) -> int:
        """How many distances have a position term."""
        return self.block + 1 if self.window == "toeplitz" else 2 * self.block


class BiasedRMSNorm(nn.Module):
    """x/rms(x) with gain and bias."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps) + self.bias


def sinusoids(positions: Int[Tensor, "length"], width: int, base: float) -> Float[Tensor, "length width"]:
    """sin and then cos of positions · base^(−2i/width), i < width/2."""
    frequency = base ** (-torch.arange(0, width, 2, dtype=torch.float64, device=positions.device) / width)
    angles = positions.double()[:, None] * frequency
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


@dataclass
class UnitState:
    """A unit's attention state, and the dropout masks that a sequence keeps from its first segment on."""

    attention: VQState
    noise: tuple[Tensor, Tensor] | None = None


class GatedUnitVQ(nn.Module):
    """x + ((softmax(…) V) ⊙ G) W_res: a gated attention unit whose keys are quantised.

    q and k are RMS-normalised without gain and scaled by key_dim^(−1/4), so that |q·k| ≤ √key_dim (claim
    transformer_vq/rms-logit-bound). The content bias u is added for all keys, those of the cache too, and v for
    positions only.
    """

    table: Tensor  # (distances, width): s(i − j)

    def __init__(self, c: TransformerVQConfig) -> None:
        super().__init__()
        self.config = c
        self.norm = BiasedRMSNorm(c.width, c.norm_eps)
        keys = c.num_heads * c.key_dim
        self.query = nn.Linear(c.width, keys, bias=False)
        self.key_value_gate = nn.Linear(c.width, keys + 2 * c.value_dim, bias=False)
        self.residual = nn.Linear(c.value_dim, c.width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(c.num_heads, c.key_dim))
        if c.positions == "xl":
            self.position_bias = nn.Parameter(torch.zeros(c.num_heads, c.key_dim))
            self.position = nn.Linear(c.width, keys, bias=False)
            table = sinusoids(torch.arange(c.distances), c.width, c.sinusoid_base).to(self.query.weight.dtype)
            self.register_buffer("table", table, persistent=False)
        elif c.positions == "bias":
            self.distance_bias = nn.Parameter(torch.zeros(c.num_heads, c.distances))
        self.vq = LearnableVQ(c.num_heads, c.num_codes, c.key_dim, c.gamma)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        codebook: Float[Tensor, "heads codes key"],
        state: UnitState | None = None,
    ) -> tuple[
        Float[Tensor, "batch length width"], Float[Tensor, "batch heads length key"], Int[Tensor, "batch heads length"]
    ]:
        """The next x, the keys before they were quantised, and their codes."""
        c = self.config
        scale = c.key_dim**-0.25
        y = self.norm(x)
        k, v, gate = self.key_value_gate(y).split((c.num_heads * c.key_dim, c.value_dim, c.value_dim), dim=-1)
        q, k = (self._heads(z, c.key_dim) for z in (self.query(y), k))
        q, k = (F.rms_norm(z, z.shape[-1:], eps=c.norm_eps) * scale for z in (q, k))
        v = self._heads(F.silu(v), c.value_dim // c.num_heads)
        quantized = self.vq(k, codebook)
        kept, sinusoid_kept = self._noise(x, state)
        bias = self._bias(q, sinusoid_kept, scale)
        arguments = (
            (q + self.content_bias[:, None] * scale).to(v.dtype), quantized.quantized.to(v.dtype),
            quantized.shortcodes, codebook, v,
        )  # fmt: skip
        window = cast(Literal["toeplitz", "block"], c.window)
        if state is None:
            mixed = vq_attention(*arguments, block=c.block, bias=bias, window=window)
        else:
            mixed = vq_attention_step(*arguments, state.attention, bias=bias, window=window)
        out = self.residual(mixed.transpose(1, 2).flatten(2) * F.silu(gate))
        out = F.dropout(out, c.dropout, self.training)
        return x + (out if kept is None else out * kept), k, quantized.shortcodes

    def _heads(self, x: Tensor, size: int) -> Tensor:
        return x.unflatten(-1, (self.config.num_heads, size)).transpose(1, 2)

    def _bias(self, q: Tensor, kept: Tensor | None, scale: float) -> Tensor | None:
        """The position term of the scores by distance, broadcastable to (batch, heads, length, distances)."""
        c = self.config
        if c.positions == "none":
            return None
        if c.positions == "bias":
            return self.distance_bias[:, None].to(q.dtype)
        table = self.table.to(self.position.weight.dtype)
        r = self.position(table if kept is None else table * kept) * scale
        r = r.unflatten(-1, (c.num_heads, c.key_dim)).permute(1, 2, 0)  # (heads, key, distances)
        return (q + self.position_bias[:, None] * scale).to(r.dtype) @ r

    def _noise(self, x: Tensor, state: UnitState | None) -> tuple[Tensor | None, Tensor | None]:
        """Multipliers of this unit's output (per sequence) and of its sinusoids; None where nothing is dropped."""
        c = self.config
        if not self.training or (c.dropout_layer == 0 and c.dropout_sinusoid == 0):
            return None, None
        if state is not None and state.noise is not None:
            return state.noise
        noise = (
            F.dropout(x.new_ones(x.shape[0], 1, 1), c.dropout_layer),
            F.dropout(x.new_ones(c.distances, c.width), c.dropout_sinusoid),
        )
        if state is not None:
            state.noise = noise
        return noise


class TransformerVQ(LanguageModel, config=TransformerVQConfig):
    """Transformer-VQ: a causal language model in linear time.

    Its loss is the cross-entropy plus β times the commitment of the keys to their codes. In training a call of `loss`
    moves the codebooks as its last act, from statistics that are summed over all data-parallel processes; the forward
    pass and its gradient use the codebooks as they were.
    """

    def __init__(self, config: TransformerVQConfig) -> None:
        super().__init__(config)
        c = config
        self.embedding = nn.Embedding(c.vocab_size, c.width)
        if c.absolute_positions:
            self.position_scale = nn.Parameter(torch.tensor(c.width**-0.5))
        self.blocks = nn.ModuleList(GatedUnitVQ(c) for _ in range(c.num_layers))
        self.norm = BiasedRMSNorm(c.width, c.norm_eps) if c.final_norm else nn.Identity()
        if c.tied:
            self.head_bias = nn.Parameter(torch.zeros(c.vocab_size))
        else:
            self.head = nn.Linear(c.width, c.vocab_size)
            nn.init.zeros_(self.head.bias)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length vocab"]:
        """Logits of the next token at every position."""
        return self._run(tokens, None)[0]

    def initial_state(self, batch_size: int) -> list[UnitState]:
        c = self.config
        like = self.embedding.weight
        sizes = (c.num_heads, c.block, c.key_dim, c.value_dim // c.num_heads, c.num_codes)
        return [
            UnitState(VQState.empty(batch_size, *sizes, dtype=_computed(like), device=like.device)) for _ in self.blocks
        ]

    def step(
        self, tokens: Int[Tensor, "batch length"], state: list[UnitState]
    ) -> tuple[Float[Tensor, "batch length vocab"], list[UnitState]]:
        """Logits of these tokens behind those of the state, which is moved on in place."""
        return self._run(tokens, state)[0], state

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy in nats of `batch["tokens"]` (batch, length + 1), plus β Σ ‖k − sg(C_z)‖² over the units.

        `batch["mask"]` (batch, length), optional: False for positions that don't count, neither in the means nor in
        the statistics of the codebooks (padding behind the last token).
        """
        return self._loss(batch["tokens"], batch.get("mask"), None)

    def segment_loss(
        self,
        tokens: Int[Tensor, "batch length_and_one"],
        state: list[UnitState],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Tensor:
        """The loss of one segment of a longer sequence, for truncated back-propagation through time: the state is moved
        on in place and carries values, no gradient, and one sequence's dropout masks.
        """
        return self._loss(tokens, mask, state)

    def _loss(self, tokens: Tensor, mask: Tensor | None, state: list[UnitState] | None) -> Tensor:
        logits, keys, codebooks = self._run(tokens[:, :-1], state)
        weight = None if mask is None else mask.to(logits.dtype) / mask.sum().clamp(min=1)
        if weight is None:
            nats = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        else:
            each = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
            nats = (each.unflatten(0, weight.shape) * weight).sum()
        kept = [commitment(k, lookup(c, z)) for (k, z), c in zip(keys, codebooks, strict=True)]
        total = torch.stack(kept).sum(0)
        loss = nats + self.config.beta * (total.mean() if weight is None else (total * weight).sum())
        if self.training and torch.is_grad_enabled():
            self._update_codebooks(keys, mask)
        return loss

    @torch.no_grad()
    def _update_codebooks(self, keys: list[tuple[Tensor, Tensor]], mask: Tensor | None) -> None:
        quantisers = [self._unit(block).vq for block in self.blocks]
        statistics = torch.stack([vq.statistics(k, z, mask) for vq, (k, z) in zip(quantisers, keys, strict=True)])
        for vq, each in zip(quantisers, sum_over_processes(statistics), strict=True):
            vq.update(each)

    @staticmethod
    def _unit(block: nn.Module) -> GatedUnitVQ:
        """The unit itself, also where activation checkpointing has wrapped it."""
        return cast(GatedUnitVQ, getattr(block, "_checkpoint_wrapped_module", block))

    def _run(
        self, tokens: Tensor, state: list[UnitState] | None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Logits; and for each unit its keys with their codes, and the codebook that was used."""
        c = self.config
        x = self.embedding(tokens)
        if c.absolute_positions:
            first = 0 if state is None else state[0].attention.position
            at = torch.arange(first, first + tokens.shape[1], device=x.device)
            x = x + self.position_scale * sinusoids(at, c.width, c.sinusoid_base).to(x.dtype)
        keys, codebooks = [], []
        for i, block in enumerate(self.blocks):
            codebooks.append(self._unit(block).vq.codebook.to(x.dtype))
            x, k, z = block(x, codebooks[-1], None if state is None else state[i])
            keys.append((k, z))
        x = self.norm(x)
        logits = F.linear(x, self.embedding.weight, self.head_bias) if c.tied else self.head(x)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return wide if c.logit_scale == 1.0 else wide * c.logit_scale, keys, codebooks


def _computed(like: Tensor) -> torch.dtype:
    """The type that activations have: that of autocast where it is on."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype
