"""Optimisers whose step length is a clip rule: clipped and normalised descent, and the step for (L0, L1)-smoothness."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .clipping import check_rule, clip_factor, total_norm

RULES = ("article", "log")


def l0l1_step(
    norm: Float[Tensor, "*shape"], L0: float | int, L1: float | int, rule: str = "article"
) -> Float[Tensor, "*shape"]:
    """The step 1/(L0 + L1 g), or ln(1 + y)/(L1 g) with y = L1 g/(L0 + L1 g); 1/L0 for L1 = 0 or g = 0.

    With the first, every (L0, L1)-smooth function falls by at least (3 − e) g²/(L0 + L1 g), with the second by
    (2 ln 2 − 1) g²/(L0 + L1 g) (claims gradient_clipping/h-safe-step, h-optimal-step).

    Raises:
        ValueError: a negative or non-finite constant, both 0, or an unknown rule.
    """
    for name, value in (("L0", L0), ("L1", L1)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and ≥ 0, got {value}")
    if L0 == L1 == 0:
        raise ValueError("L0 and L1 must not both be 0")
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    modulus = L0 + L1 * norm
    if rule == "article" or L1 == 0:
        return 1 / modulus
    y = L1 * norm / modulus
    return torch.where(y > 0, torch.log1p(y) / (L1 * norm), 1 / modulus)


class _WholeGradient(torch.optim.Optimizer):
    """One factor for the gradients of all groups, from their common norm; momentum is of what was scaled."""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if "lr" in defaults and not 0 < defaults["lr"] < math.inf:
            raise ValueError(f"lr must be finite and > 0, got {defaults['lr']}")
        for name in ("momentum", "weight_decay"):
            if not 0 <= defaults[name] < math.inf:
                raise ValueError(f"{name} must be finite and ≥ 0, got {defaults[name]}")
        if defaults["momentum"] >= 1:
            raise ValueError(f"momentum must be below 1, got {defaults['momentum']}")
        super().__init__(params, defaults)

    def factor(self, norm: Tensor, group: dict[str, Any]) -> Tensor:
        """What the gradients of a group are multiplied by."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; returns what the closure did, which computes the loss and the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        norm = total_norm([p.grad for g in self.param_groups for p in g["params"] if p.grad is not None])
        for group in self.param_groups:
            factor, decay, momentum = self.factor(norm, group), group["weight_decay"], group["momentum"]
            rate = group.get("lr", 1.0)
            for p in group["params"]:
                if p.grad is None:
                    continue
                update = p.grad * factor.to(p.device, p.dtype)
                if momentum:
                    held = self.state[p]
                    if "momentum_buffer" not in held:
                        held["momentum_buffer"] = torch.zeros_like(p)
                    update = held["momentum_buffer"].mul_(momentum).add_(update)
                if decay:
                    p.mul_(1 - rate * decay)
                p.add_(update, alpha=-rate)
        return loss


class ClippedSGD(_WholeGradient):
    """θ ← θ − η m, m ← μ m + clip(∇f): gradient descent with one of the three clip rules, and momentum behind it.

    Args:
        lr: η > 0.
        gamma, form: see `clip_factor`.
        momentum: μ in [0, 1); 0 is the article's descent.
        weight_decay: decoupled, θ ← (1 − ηλ)θ; it isn't clipped.

    Raises:
        ValueError: a value out of its range, or an unknown form.
    """

    def __init__(
        self, params: Any, lr: float, gamma: float = 1.0, form: str = "hard", *, momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        check_rule(gamma, form)
        defaults = {"lr": lr, "gamma": gamma, "form": form, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def factor(self, norm: Tensor, group: dict[str, Any]) -> Tensor:
        return clip_factor(norm, group["gamma"], group["form"])


class NormalizedGD(_WholeGradient):
    """θ ← θ − η ∇f/(‖∇f‖ + ε): soft clipping with γ = ε and the step η/ε (claim gradient_clipping/rmsprop-link).

    For ε = 0 every step has the length η; a gradient 0 moves nothing.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(
        self, params: Any, lr: float, eps: float = 1e-8, *, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        if not 0 <= eps < math.inf:
            raise ValueError(f"eps must be finite and ≥ 0, got {eps}")
        super().__init__(params, {"lr": lr, "eps": eps, "momentum": momentum, "weight_decay": weight_decay})

    def factor(self, norm: Tensor, group: dict[str, Any]) -> Tensor:
        length = norm + group["eps"]
        return torch.where(length > 0, 1 / length, torch.zeros_like(length))


class L0L1GD(_WholeGradient):
    """Gradient descent with the step that (L0, L1)-smoothness asks for; there is no learning rate to tune.

    With rule "article" it is soft clipping with η = 1/L0 and γ = L0/L1 (claim gradient_clipping/clip2-from-step).

    Args:
        L0, L1, rule: see `l0l1_step`.

    Raises:
        ValueError: a value out of its range, or an unknown rule.
    """

    def __init__(
        self, params: Any, L0: float, L1: float, rule: str = "article", *, momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        l0l1_step(torch.ones(()), L0, L1, rule)
        super().__init__(
            params, {"L0": L0, "L1": L1, "rule": rule, "momentum": momentum, "weight_decay": weight_decay}
        )

    def factor(self, norm: Tensor, group: dict[str, Any]) -> Tensor:
        step = l0l1_step(norm, group["L0"], group["L1"], group["rule"])
        return torch.where(norm > 0, step, torch.zeros_like(step))
