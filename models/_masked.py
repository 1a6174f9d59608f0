"""What the masked language models share: which tokens are hidden, the loss of those, and BERT's initialisation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def hidden_tokens(batch: Mapping[str, Tensor], rate: float) -> Bool[Tensor, "batch length"]:
    """`batch["masked"]`, or a share `rate` of `batch["tokens"]` drawn."""
    masked = batch.get("masked")
    if masked is None:
        masked = torch.rand(batch["tokens"].shape, device=batch["tokens"].device) < rate
    return masked


def hidden_loss(
    logits: Float[Tensor, "batch length vocab"],
    tokens: Int[Tensor, "batch length"],
    masked: Bool[Tensor, "batch length"],
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats of the hidden tokens; 0 if there are none."""
    each = F.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten(), reduction="none")
    weight = masked.flatten().to(each.dtype)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def example(
    batch_size: int, context: int, vocab_size: int, rate: float, generator: torch.Generator | None,
    device: torch.device | str,
) -> dict[str, Tensor]:  # fmt: skip
    """Random tokens, of which as many are hidden in each sequence."""
    size = (batch_size, context)
    tokens = torch.randint(vocab_size, size, generator=generator)
    order = torch.rand(size, generator=generator).argsort(dim=1)
    masked = order < max(1, round(rate * context))
    return {"tokens": tokens.to(device), "masked": masked.to(device)}


def initialise(module: nn.Module) -> None:
    """N(0, 0.02²) for matrices, zero for biases; convolutions keep theirs. For `nn.Module.apply`."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
