"""Tiger: Lion with β1 = β2, the author's learning-rate rule, accumulation without a buffer, and skipped steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kexue.models._torch import whole

from .functional import check_beta, check_rates, working_type
from .optimiser import SignOptimizer, local


class Tiger(SignOptimizer):
    """m ← β m + (1 − β)g, θ ← θ − η(sign(m) + λθ) (archive 9512, equation 1), with the article's η.

    η is α/2 for biases and gains, which don't decay, and α RMS(θ) for matrices, so that α is the relative length of a
    step (claims lion/tiger-relative-step, lion/tiger-scale-equivariance). A matrix that starts at 0 has RMS 0 and never
    moves: give its group scaled=False.

    With grad_accum_steps = k every call of `step` takes one of k gradients, and θ moves at the last: their mean is
    collected in m itself. `zero_grad` after every call.

    If a gradient of a group isn't finite, m stays, and θ ← c + s(θ − c) shrinks towards the centre of its
    initialisation instead of moving; the call still counts in its accumulation.

    Args:
        params: parameters, or groups of them such as `tiger_groups` gives. Further options of a group: `scaled` says
            whether η is α RMS(θ) with decay (True), α/2 without (False), or by the number of dimensions, at least two
            (None, the default); `centre` is c, 1 for gains, else 0.
        lr: α, the global relative rate; the author's schedules reach 0.001 to 0.002.
        beta: 0.965 for language, 0.945 for vision. With Lion's noise it would be 0.977 and 0.972 (claim
            lion/tiger-beta-matching).
        weight_decay: λ of the scaled parameters.
        grad_accum_steps: k ≥ 1.
        nan_shrink: s in (0, 1]; None looks at no gradient, and saves waiting for the device.

    Raises:
        ValueError: an option out of its range; sparse gradients; a gradient whose shape or type isn't its parameter's.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, beta: float = 0.965, weight_decay: float = 0.01, *,
        grad_accum_steps: int = 1, nan_shrink: float | None = 0.99,
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "beta": beta, "weight_decay": weight_decay, "grad_accum_steps": grad_accum_steps,
            "nan_shrink": nan_shrink, "scaled": None, "centre": 0.0, "seen": 0,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_rates(group["lr"], group["weight_decay"])
        check_beta("beta", group["beta"])
        k, s = group["grad_accum_steps"], group["nan_shrink"]
        if not isinstance(k, int) or k < 1:
            raise ValueError(f"grad_accum_steps must be an integer ≥ 1, got {k!r}")
        if s is not None and not 0 < s <= 1:
            raise ValueError(f"nan_shrink must be in (0, 1] or None, got {s}")

    def step_group(self, group: dict[str, Any], held: list[tuple[Tensor, Tensor]]) -> None:
        beta, k, shrink, centre = group["beta"], group["grad_accum_steps"], group["nan_shrink"], group["centre"]
        first, last = group["seen"] % k == 0, (group["seen"] + 1) % k == 0
        group["seen"] = (group["seen"] + 1) % k
        if shrink is not None and held and not finite(g for _, g in held):
            for p, _ in held:
                theta = local(p)
                theta.copy_(centre + shrink * (theta - centre))
            return
        for p, g in held:
            state = self.state[p]
            if "exp_avg" not in state:
                state["exp_avg"] = torch.zeros_like(torch.view_as_real(p) if p.is_complex() else p)
            theta, slope, m = local(p), local(g), local(state["exp_avg"])
            if k == 1:
                m.lerp_(slope, 1 - beta)
            else:
                if first:
                    m.mul_(beta)
                m.add_(slope, alpha=(1 - beta) / k)
            if last:
                self._move_(group, p, theta, m.sign())

    @staticmethod
    def _move_(group: dict[str, Any], p: Tensor, theta: Tensor, u: Tensor) -> None:
        alpha, decay = group["lr"], group["weight_decay"]
        scaled = p.ndim >= 2 if group["scaled"] is None else group["scaled"]
        if not scaled:
            theta.add_(u, alpha=-alpha / 2)
            return
        rate = alpha * root_mean_square(p)
        theta.copy_(theta.to(rate.dtype) * (1 - rate * decay) - rate * u)


def root_mean_square(p: Tensor) -> Tensor:
    """RMS of all entries, sharded or not, in at least float32; of a complex entry both parts count."""
    wide = working_type(torch.view_as_real(p) if p.is_complex() else p)
    norm = whole(torch.linalg.vector_norm(p, dtype=torch.promote_types(p.dtype, wide)))
    return norm.to(wide) / max(1, p.numel() * (2 if p.is_complex() else 1)) ** 0.5


def finite(gradients: Any) -> bool:
    """Whether all entries are; looks at the sums of each tensor first on the device, and once at the result."""
    flags = [torch.isfinite(local(g)).all() for g in gradients]
    first = flags[0].device
    return bool(torch.stack([f.to(first) for f in flags]).all())


def tiger_groups(module: nn.Module) -> list[dict[str, Any]]:
    """The parameters of a module by the article's rule: matrices, gains around 1, and biases around 0.

    A gain is a vector whose name ends in "weight", as in the normalisations of torch.
    """
    matrices: list[nn.Parameter] = []
    gains: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    for name, p in module.named_parameters():
        if p.requires_grad:
            (matrices if p.ndim >= 2 else gains if name.endswith("weight") else biases).append(p)
    groups = [
        {"params": matrices, "scaled": True},
        {"params": gains, "scaled": False, "centre": 1.0},
        {"params": biases, "scaled": False},
    ]
    return [group for group in groups if group["params"]]
