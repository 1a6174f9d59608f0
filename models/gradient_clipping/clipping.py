"""The clip rules as factors, on gradients in place, and in front of any optimiser's step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from kexue.models._torch import is_sharded, whole

FORMS = ("hard", "soft", "log")


def check_rule(gamma: float | int, form: str) -> None:
    if not gamma > 0:
        raise ValueError(f"gamma must be > 0, or infinite for no clipping, got {gamma}")
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")


def clip_factor(norm: Float[Tensor, "*shape"], gamma: float | int, form: str = "hard") -> Float[Tensor, "*shape"]:
    """What a gradient of this norm is multiplied by; 1 at norm 0 and for γ = ∞ (article 7469, equations 2 and 3).

    Args:
        norm: g ≥ 0.
        gamma: the threshold γ > 0; with a step η the update is never longer than ηγ, for the soft and the logarithmic
            rule shorter.
        form: "hard", "soft" or "log".

    Raises:
        ValueError: gamma ≤ 0 or NaN, or an unknown form.
    """
    check_rule(gamma, form)
    if gamma == math.inf:
        return torch.ones_like(norm)
    if form == "hard":
        return (gamma / norm).clamp(max=1.0)
    soft = gamma / (norm + gamma)
    if form == "soft":
        return soft
    share = norm / (norm + gamma)  # y, in [0, 1): soft · ln(1 + y)/y
    return torch.where(share > 0, soft * torch.log1p(share) / share, soft)


def total_norm(tensors: Iterable[Tensor], *, foreach: bool | None = None) -> Float[Tensor, ""]:
    """The Euclidean norm of all tensors together, in at least float32: the squares of float16 would overflow.

    Sharded tensors (FSDP2) count with all their shards. It stays on the device; nothing waits for it.

    Args:
        foreach: one fused call for all tensors of a kind; by default where the device is a GPU.

    Raises:
        ValueError: sparse tensors.
    """
    held = list(tensors)
    if not held:
        return torch.zeros(())
    for x in held:
        if x.layout != torch.strided:
            raise ValueError(f"gradients must be dense, got {x.layout}")
    norms: list[Tensor] = []
    for (device, dtype, sharded), group in grouped(held).items():
        wide = torch.promote_types(dtype, torch.float32)
        if (device.type == "cuda" if foreach is None else foreach) and not sharded:
            norms += torch._foreach_norm(group, 2, dtype=wide)
        else:
            norms += [whole(torch.linalg.vector_norm(x, dtype=wide)) for x in group]
    wide = max((n.dtype for n in norms), key=lambda kind: kind.itemsize)
    first = norms[0].device
    return torch.linalg.vector_norm(torch.stack([n.to(first, wide) for n in norms]))


def grouped(tensors: Iterable[Tensor]) -> dict[tuple[torch.device, torch.dtype, bool], list[Tensor]]:
    """By device and type, which fused calls ask for."""
    groups = defaultdict(list)
    for x in tensors:
        groups[x.device, x.dtype, is_sharded(x)].append(x)
    return groups


@torch.no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float | int,
    form: str = "hard",
    *,
    foreach: bool | None = None,
    error_if_nonfinite: bool = True,
) -> Float[Tensor, ""]:
    """Multiplies all gradients by `clip_factor` of their common norm, in place; returns the norm before.

    The hard form is the exact projection; `torch.nn.utils.clip_grad_norm_` divides by g + 10⁻⁶ instead, so that it
    ends a little below γ.

    Args:
        parameters: those without a gradient are left alone.
        max_norm: γ.
        foreach: see `total_norm`.
        error_if_nonfinite: look at the norm, which waits for the device. Without it, one NaN spoils all gradients.

    Raises:
        ValueError: max_norm ≤ 0 or NaN, an unknown form, sparse gradients.
        RuntimeError: the norm isn't finite; then no gradient has been changed.
    """
    check_rule(max_norm, form)
    held = [parameters] if isinstance(parameters, Tensor) else parameters
    grads = [p.grad for p in held if p.grad is not None]
    norm = total_norm(grads, foreach=foreach)
    if error_if_nonfinite and not bool(norm.isfinite()):
        raise RuntimeError(f"the norm of the gradients must be finite, got {float(norm)}: nothing was clipped")
    factor = clip_factor(norm, max_norm, form)
    for (device, dtype, sharded), group in grouped(grads).items():
        scale = factor.to(device, dtype)
        if (device.type == "cuda" if foreach is None else foreach) and not sharded:
            torch._foreach_mul_(group, scale)
        else:
            for x in group:
                x.mul_(scale)
    return norm


class GradientClipping:
    """Clips in front of every step of an optimiser, whichever it is; the last norm is kept in `norm`.

        clipping = GradientClipping(torch.optim.Adam(model.parameters()), gamma=1.0, form="soft")
        …
        clipping.remove()

    Args:
        optimizer: all its parameters share one norm.
        gamma, form: see `clip_factor`.
        error_if_nonfinite: see `clip_grad_norm_`.

    Raises:
        ValueError: gamma ≤ 0 or NaN, or an unknown form.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, gamma: float | int, form: str = "hard", *,
        error_if_nonfinite: bool = True,
    ) -> None:  # fmt: skip
        check_rule(gamma, form)
        self.gamma, self.form, self.error_if_nonfinite = gamma, form, error_if_nonfinite
        self.norm: Tensor | None = None
        self._handle = optimizer.register_step_pre_hook(self._before_step)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("closure") is not None or any(a is not None for a in args[1:]):  # the first is the optimiser
            raise RuntimeError("step must be called without a closure: its gradients don't exist yet when it is called")
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.norm = clip_grad_norm_(
            parameters, self.gamma, self.form, error_if_nonfinite=self.error_if_nonfinite
        )

    def remove(self) -> None:
        self._handle.remove()
