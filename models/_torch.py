"""How torch runs at the moment: what can be looked at, where numbers are drawn, what autocast leaves alone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor


def is_traced(x: Tensor) -> bool:
    """Whether x stands for other tensors: in torch.compile, or in a transform of torch.func."""
    return torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x)


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """No autocast, which would round products to 8 bits; a device without autocast (meta) needs nothing."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else contextlib.nullcontext()


def source(like: Tensor, generator: torch.Generator | None) -> torch.device:
    """Where random numbers for `like` are drawn: on the generator's device, so that a CPU's gives the same ones to a
    model on any device; without a generator where `like` is."""
    return like.device if generator is None else generator.device


def draw_normal(like: Tensor, generator: torch.Generator | None = None, shape: Sequence[int] | None = None) -> Tensor:
    """Standard normal numbers of the dtype and device of `like`, and of its shape unless another is given."""
    size = like.shape if shape is None else shape
    drawn = torch.randn(size, generator=generator, dtype=like.dtype, device=source(like, generator))
    return drawn.to(like.device)


def is_sharded(x: Tensor) -> bool:
    """Whether x is a DTensor. Its class takes half a second to import, so it is told by what it can do."""
    return hasattr(x, "full_tensor")


def whole(x: Tensor) -> Tensor:
    """All of a sharded tensor; all its processes have to ask."""
    return x.full_tensor() if is_sharded(x) else x  # type: ignore[attr-defined,no-any-return]


def shard_here(x: Tensor) -> Tensor:
    """The part of a sharded tensor that is in this process."""
    return x.to_local() if is_sharded(x) else x  # type: ignore[attr-defined,no-any-return]
