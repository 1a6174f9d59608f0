r"""Guidance: by a classifier, without one, by similarity, and exactly for a law whose score is known.

Su Jianlin, 《生成扩散模型漫谈》 9, 2022, archive 9257; Dhariwal, Nichol, Diffusion Models Beat GANs, 2021, arXiv
2105.05233; Ho, Salimans, Classifier-Free Diffusion Guidance, 2022, arXiv 2207.12598; Liu et al., More Control for
Free!, 2021, arXiv 2112.05744.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ._torch import source
from .ddpm import NoiseSchedule
from .ddpm.process import Denoiser, at

__all__ = [
    "ClassifierGuidance",
    "SimilarityGuidance",
    "cfg_combine",
    "conditional_mean",
    "drop_labels",
    "gradient_of",
]


def gradient_of(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch *shape"]
) -> Float[Tensor, "batch *shape"]:
    """∇ of a function of each sample, (batch, …) -> (batch,), all in one backward pass of its sum."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = function(x)
        if value.shape != x.shape[:1]:
            raise ValueError(f"the function must give {len(x)} numbers, one a sample, got shape {tuple(value.shape)}")
        return torch.autograd.grad(value.sum(), x)[0]


def cfg_combine(
    conditional: Float[Tensor, "*shape"], unconditional: Float[Tensor, "*shape"], w: float
) -> Float[Tensor, "*shape"]:
    """(1 + w) ε_c − w ε_u: w = 0 is conditional, w = −1 unconditional; the guidance scale of other libraries is 1 + w
    (claim guidance/cfg-linear).

    Raises:
        ValueError: different shapes, or w isn't finite.
    """
    if conditional.shape != unconditional.shape:
        shapes = f"{tuple(conditional.shape)} and {tuple(unconditional.shape)}"
        raise ValueError(f"conditional and unconditional must have one shape, got {shapes}")
    if not math.isfinite(w):
        raise ValueError(f"w must be finite, got {w}")
    return unconditional + (1 + w) * (conditional - unconditional)


def drop_labels(
    labels: Int[Tensor, "batch"], null: int, probability: float, generator: torch.Generator | None = None
) -> Int[Tensor, "batch"]:
    """Labels of which each is `null` with this probability, for classifier-free training."""
    if not 0 < probability < 1:
        raise ValueError(f"probability must be in (0, 1), got {probability}: else one network isn't trained")
    dropped = torch.rand(labels.shape, generator=generator, device=source(labels, generator)) < probability
    return labels.masked_fill(dropped.to(labels.device), null)


class ClassifierGuidance:
    """Guides a denoiser by ∇ln p(y|x_t).

    Args:
        log_prob: (x, t) -> ln p(y|x_t) for the wanted y, (batch,).
        scale: γ, finite.
        classifier: the network behind log_prob, if any: it must be in eval mode, since statistics over a batch would
            mix the gradients of different samples.
    """

    def __init__(
        self, log_prob: Callable[[Tensor, Tensor], Tensor], schedule: NoiseSchedule, scale: float = 1.0,
        classifier: nn.Module | None = None,
    ) -> None:  # fmt: skip
        if not math.isfinite(scale):
            raise ValueError(f"scale must be finite, got {scale}")
        if classifier is not None:
            for module in classifier.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
                    raise ValueError("classifier must be in eval mode: BatchNorm would mix the samples of a batch")
        self.log_prob, self.schedule, self.scale = log_prob, schedule, scale

    def denoiser(self, unconditional: Denoiser) -> Denoiser:
        """ε − γ β̄_t ∇ln p(y|x_t), good for every sampler (claim guidance/score-bayes)."""

        def guided(x: Tensor, t: Tensor) -> Tensor:
            if self.scale == 0:
                return unconditional(x, t)
            gradient = gradient_of(lambda z: self.log_prob(z, t), x)
            return unconditional(x, t) - self.scale * at(self.schedule.beta_bar, t, x) * gradient

        return guided

    def mean_shift(self, x: Float[Tensor, "batch *shape"], t: int, variance: float) -> Float[Tensor, "batch *shape"]:
        """σ²γ∇ln p(y|x_t), the article's first-order shift of the mean.

        Raises:
            ValueError: variance ≤ 0: the shift would be 0, and guide nothing.
        """
        if not variance > 0:
            raise ValueError(f"variance must be > 0, got {variance}: a step without noise has no shift; use `denoiser`")
        when = torch.full((len(x),), t, device=x.device)
        return variance * self.scale * gradient_of(lambda z: self.log_prob(z, when), x)

    def exact_mean_shift(self, x: Float[Tensor, "batch *shape"], t: int) -> Float[Tensor, "batch *shape"]:
        """γ(β_t²/α_t)∇ln p(y|x_t): for γ = 1 exactly E[x_{t−1}|x_t, y] − E[x_{t−1}|x_t] (claim
        guidance/exact-mean-shift)."""
        when = torch.full((len(x),), t, device=x.device)
        alpha, beta, *_ = self.schedule.level(t)
        return beta**2 / alpha * self.scale * gradient_of(lambda z: self.log_prob(z, when), x)


def conditional_mean(
    x: Float[Tensor, "batch *shape"], t: int, eps: Float[Tensor, "batch *shape"], schedule: NoiseSchedule
) -> Float[Tensor, "batch *shape"]:
    """E[x_{t−1}|x_t] = (x_t − (β_t²/β̄_t)ε)/α_t for the exact (conditional) ε."""
    alpha, beta, _, beta_bar = schedule.level(t)
    return (x - beta**2 / beta_bar * eps) / alpha


class SimilarityGuidance:
    """γ times a similarity of an encoder's features to a target's, as `log_prob` for `ClassifierGuidance`.

    Args:
        encoder: (batch, …) -> (batch, …) features.
        target: features, (1 or batch, …).
        kind: "cos", the cosine; or "gram", minus the mean squared distance of channel Gram matrices (style).
    """

    def __init__(
        self, encoder: Callable[[Tensor], Tensor], target: Float[Tensor, "batch *features"], kind: str = "cos"
    ) -> None:
        if kind not in ("cos", "gram"):
            raise ValueError(f"kind must be cos or gram, got {kind!r}")
        if kind == "cos" and not bool(target.flatten(1).norm(dim=1).gt(0).all()):
            raise ValueError("target must have no zero vectors for kind='cos': they have no direction")
        self.encoder, self.target, self.kind = encoder, target, kind

    def __call__(
        self, x: Float[Tensor, "batch *shape"], t: Int[Tensor, "batch"] | None = None
    ) -> Float[Tensor, "batch"]:
        features = self.encoder(x)
        if self.kind == "cos":
            return F.cosine_similarity(features.flatten(1), self.target.flatten(1), dim=1)
        grams = [z.flatten(2) @ z.flatten(2).mT / z[0, 0].numel() for z in (features, self.target)]
        return -(grams[0] - grams[1]).square().flatten(1).mean(1)
