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
