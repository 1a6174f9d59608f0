"""How smooth a loss is along training: Hessian norms beside gradient norms, and the L0, L1 that bound them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .clipping import total_norm

Loss = Callable[[], Tensor]


@dataclass(frozen=True)
class SmoothnessPoint:
    """‖∇f‖ and ‖∇²f‖ (or a secant's slope) at one place."""

    gradient_norm: float
    smoothness: float


@dataclass(frozen=True)
class SmoothnessFit:
    """smoothness ≈ L0 + L1 ‖∇f‖ in the mean, and the least such line above all points."""

    L0: float
    L1: float
    envelope_L0: float
    envelope_L1: float


def smoothness_probe(
    loss: Loss, parameters: Iterable[Tensor], *, iterations: int = 20, generator: torch.Generator | None = None
) -> SmoothnessPoint:
    """The gradient norm and the spectral norm of the Hessian, by power iteration on products of Hessian and vector.

    Power iteration finds the eigenvalue of largest size from below; ±λ of equal size don't disturb it, since the
    length of ∇²f v is measured.

    Args:
        loss: computes f, the same at every call: no dropout, one batch.
        parameters: with respect to which.

    Raises:
        ValueError: iterations < 1, or no parameters.
    """
    held = [p for p in parameters if p.requires_grad]
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    if not held:
        raise ValueError("parameters must hold at least one that requires a gradient, got none")
    with torch.enable_grad():
        gradients = torch.autograd.grad(loss(), held, create_graph=True, materialize_grads=True)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device) for p in held]
    length = torch.ones(())
    for _ in range(iterations):
        scale = 1 / total_norm(direction).clamp(min=torch.finfo(torch.float32).tiny)
        direction = [v * scale.to(v) for v in direction]
        direction = list(torch.autograd.grad(gradients, held, direction, retain_graph=True, materialize_grads=True))
        length = total_norm(direction)
    return SmoothnessPoint(float(total_norm([g.detach() for g in gradients])), float(length))


def secant_smoothness(
    loss: Loss, parameters: Iterable[Tensor], direction: Sequence[Tensor], deltas: Sequence[float] = (1.0, 0.5, 0.1)
) -> SmoothnessPoint:
    """max over δ of ‖∇f(x + δd) − ∇f(x)‖/(δ‖d‖): the paper's estimator along an update d. The parameters come back.

    Raises:
        ValueError: no δ, one that is 0, or a direction that is 0 or doesn't fit.
    """
    held = [p for p in parameters if p.requires_grad]
    if not deltas or any(delta == 0 for delta in deltas):
        raise ValueError(f"deltas must be at least one number, none of them 0, got {deltas}")
    if [tuple(d.shape) for d in direction] != [tuple(p.shape) for p in held]:
        raise ValueError("direction must have one tensor of the same shape for each parameter")
    length = float(total_norm(direction))
    if not length > 0:
        raise ValueError("direction must not be 0")

    def gradient() -> list[Tensor]:
        with torch.enable_grad():
            return list(torch.autograd.grad(loss(), held, materialize_grads=True))

    kept = [p.detach().clone() for p in held]
    here, slopes = gradient(), []
    try:
        for delta in deltas:
            with torch.no_grad():
                for p, old, d in zip(held, kept, direction, strict=True):
                    p.copy_(old + delta * d)
            moved = total_norm([a - b for a, b in zip(gradient(), here, strict=True)])
            slopes.append(float(moved) / (abs(delta) * length))
    finally:
        with torch.no_grad():
            for p, old in zip(held, kept, strict=True):
                p.copy_(old)
    return SmoothnessPoint(float(total_norm(here)), max(slopes))


def estimate_l0l1(points: Sequence[SmoothnessPoint]) -> SmoothnessFit:
    """L0, L1 ≥ 0 from points along training: by least squares, and the lowest line above all of them.

    The envelope minimises the mean of L0 + L1 g over the points, a linear program. Neither pair is a property of the
    loss alone: batches and the place matter, and L0 can be traded for L1 (x⁴ allows all with L0 L1² ≥ 16, claim
    gradient_clipping/quartic-h).

    Raises:
        ValueError: fewer than two points, or values that are negative or not finite.
    """
    import numpy as np
    from scipy.optimize import linprog, nnls

    if len(points) < 2:
        raise ValueError(f"points must be at least 2, got {len(points)}")
    g = np.array([p.gradient_norm for p in points])
    smoothness = np.array([p.smoothness for p in points])
    if not (np.isfinite(g).all() and np.isfinite(smoothness).all() and (g >= 0).all() and (smoothness >= 0).all()):
        raise ValueError("points must hold finite numbers ≥ 0")
    lines = np.stack((np.ones_like(g), g), axis=1)
    (mean0, mean1), _ = nnls(lines, smoothness)
    above = linprog(lines.mean(0), A_ub=-lines, b_ub=-smoothness, bounds=[(0, None)] * 2)
    return SmoothnessFit(float(mean0), float(mean1), float(above.x[0]), float(above.x[1]))
