"""Gradients with the memory of one layer: the inputs are computed again, by the inverse."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .layers import BatchNormFlow, Bijection, FlowSequence, no_change


def reversible_forward(
    layers: Sequence[nn.Module], x: Float[Tensor, "batch channels *space"]
) -> tuple[Float[Tensor, "batch _ *_space"], Float[Tensor, "batch"]]:
    """The layers one after the other; only the last output is kept for the backward pass.

    Going back, each layer finds its input by its inverse and differentiates its forward pass from there: the memory
    doesn't grow with the number of layers, and a coupling evaluates its network once more, as with checkpoints. The
    gradients are those of the plain pass up to the rounding of the inverse (claim flows/reversible-memory). Works under
    autocast and with DDP; not with sharded parameters, whose gathering hooks the inverse doesn't call. No second
    derivatives.

    Raises:
        ValueError: a layer isn't a `Bijection`, or is a batch normalisation in training, which has no inverse.
    """
    flat = list(_flat(layers))
    parameters = [p for layer in flat for p in layer.parameters()]
    return _Reversible.apply(flat, x, *parameters)  # type: ignore[no-any-return, no-untyped-call]


def _flat(layers: Sequence[nn.Module]) -> Any:
    for layer in layers:
        if isinstance(layer, FlowSequence):
            yield from _flat(list(layer.layers))
        elif not isinstance(layer, Bijection):
            raise ValueError(f"layers must be bijections, got a {type(layer).__name__}")
        elif isinstance(layer, BatchNormFlow) and layer.training:
            raise ValueError("layers must have inverses: batch normalisation in training has none")
        else:
            yield layer


class _Reversible(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layers: list[Bijection], x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        kind = x.device.type
        ctx.autocast = (
            (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
            if torch.amp.is_autocast_available(kind)
            else None
        )
        ctx.layers = layers
        total = no_change(x)
        for layer in layers:
            x, logdet = layer(x)
            total = total + logdet
        ctx.save_for_backward(x)
        return x, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor, dlogdet: Tensor) -> Any:
        (z,) = ctx.saved_tensors
        kept = ctx.autocast
        precision = torch.autocast(kept[0], kept[1], kept[2]) if kept else contextlib.nullcontext()
        found: list[list[Tensor | None]] = []
        with precision:
            for layer in reversed(ctx.layers):
                z, dz, own = layer.pull_back(z, dz, dlogdet)
                found.append(own)
        return None, dz, *[g for own in reversed(found) for g in own]
