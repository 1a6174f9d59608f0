"""What the language models share: next-token loss, bits per token, and generation from a cache."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from kexue.models._model import Model
from kexue.models._torch import source


class LanguageModel(Model):
    """A model of the next token. A subclass defines, beside `blocks`,

        forward(tokens)            logits of the next token at every position, (batch, length, vocab)
        initial_state(batch_size)  the state before the first token
        step(tokens, state)        (logits of these tokens, state behind them); one token or many at a time

    such that streaming through `step` gives the logits of `forward`. The config has `vocab_size` and `context`, the
    length that it is trained with.
    """

    def initial_state(self, batch_size: int) -> Any:
        raise NotImplementedError

    def step(self, tokens: Int[Tensor, "batch length"], state: Any) -> tuple[Float[Tensor, "batch length vocab"], Any]:
        raise NotImplementedError

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy in nats of `batch["tokens"]` (batch, length + 1), integers: each predicts the next."""
        tokens = batch["tokens"]
        return next_token_loss(self(tokens[:, :-1]), tokens[:, 1:])

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        size = (batch_size, self.config.context + 1)
        return {"tokens": torch.randint(self.config.vocab_size, size, generator=generator).to(device)}

    @torch.no_grad()
    def bits_per_token(self, tokens: Int[Tensor, "batch length"]) -> float:
        """Mean −log₂ p of the tokens behind the first."""
        return float(next_token_loss(self(tokens[:, :-1]), tokens[:, 1:])) / math.log(2)


def next_token_loss(logits: Float[Tensor, "batch length vocab"], targets: Int[Tensor, "batch length"]) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


@torch.no_grad()
def generate(
    model: LanguageModel,
    prompt: Int[Tensor, "batch length"],
    new_tokens: int,
    *,
    temperature: float | int = 1.0,
    top_k: int | None = None,
    top_p: float | int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch total"]:
    """The prompt followed by `new_tokens` tokens that the model draws, one `step` for each.

    Args:
        temperature: 0 takes the most probable token.
        top_k: draw among the k most probable tokens only.
        top_p: draw among the most probable tokens that together have at least this probability (nucleus sampling).

    Raises:
        ValueError: for an empty prompt, a token outside of the vocabulary, or options out of range.
    """
    if prompt.ndim != 2 or prompt.shape[1] < 1:
        raise ValueError(f"prompt must have shape (batch, length ≥ 1), got {tuple(prompt.shape)}")
    vocab = model.config.vocab_size
    if int(prompt.min()) < 0 or int(prompt.max()) >= vocab:
        raise ValueError(f"prompt must hold tokens in [0, {vocab}), got {int(prompt.min())}..{int(prompt.max())}")
    if new_tokens < 0:
        raise ValueError(f"new_tokens must be at least 0, got {new_tokens}")
    was_training = model.training
    model.eval()
    try:
        tokens, state = [prompt], model.initial_state(prompt.shape[0])
        latest = prompt
        for _ in range(new_tokens):
            logits, state = model.step(latest, state)
            drawn = draw(logits[:, -1], temperature=temperature, top_k=top_k, top_p=top_p, generator=generator)
            latest = drawn[:, None]
            tokens.append(latest)
    finally:
        model.train(was_training)
    return torch.cat(tokens, dim=1)


def draw(
    logits: Float[Tensor, "batch vocab"],
    *,
    temperature: float | int = 1.0,
    top_k: int | None = None,
    top_p: float | int | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "batch"]:
    """One token for each row of logits; see `generate` for the options."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be a finite number, at least 0, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {top_p}")
    if temperature == 0:
        return logits.argmax(dim=-1)
    scaled = logits.float() / temperature
    if top_k is not None and top_k < scaled.shape[-1]:
        scaled = scaled.masked_fill(scaled < scaled.topk(top_k).values[:, -1:], -math.inf)
    if top_p is not None:
        ordered, index = scaled.sort(dim=-1, descending=True)
        p = ordered.softmax(dim=-1)
        outside = p.cumsum(dim=-1) - p >= top_p  # what comes before a token already has the mass
        scaled = scaled.masked_fill(outside.gather(-1, index.argsort(-1)), -math.inf)
    p = scaled.softmax(dim=-1).to(source(logits, generator))
    return torch.multinomial(p, 1, generator=generator)[:, 0].to(logits.device)
