"""How torch runs at the moment: whether values can be looked at, and arithmetic that autocast leaves alone."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor


def is_traced(x: Tensor) -> bool:
    """Whether x stands for other tensors: in torch.compile, or in a transform of torch.func."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x)


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """No autocast, which would round products to 8 bits; a device without autocast (meta) needs nothing."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext()


def is_sharded(x: Tensor) -> bool:
    """Whether x is a DTensor. Its class takes half a second to import, so it is told by what it can do."""
    return hasattr(x, "full_tensor")


def whole(x: Tensor) -> Tensor:
    """All of a sharded tensor; all its processes have to ask."""
    return x.full_tensor() if is_sharded(x) else x  # type: ignore[attr-defined,no-any-return]


def shard_here(x: Tensor) -> Tensor:
    """The part of a sharded tensor that is in this process."""
    return x.to_local() if is_sharded(x) else x  # type: ignore[attr-defined,no-any-return]
