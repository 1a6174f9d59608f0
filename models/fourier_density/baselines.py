"""What the Fourier density is compared with: the deep factorised prior and mixtures of logistics.

Ballé, Minnen, Singh, Hwang, Johnston, Variational image compression with a scale hyperprior, 2018, arXiv 1802.01436.
Shapes: C densities, values (*sample, C).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def log_difference_of_sigmoids(high: Tensor, low: Tensor) -> Tensor:
    """log(σ(high) − σ(low)) for high > low, as σ(high)σ(−low)(1 − e^{low − high})."""
    gap = (high - low).clamp(min=torch.finfo(high.dtype).tiny)
    return F.logsigmoid(high) + F.logsigmoid(-low) + torch.log(-torch.expm1(-gap))


class _Univariate(nn.Module):
    """log_prob, cdf and masses of bins from logits of the cdf and their slope."""

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def log_bin_prob(self, center: Tensor, width: float = 1.0) -> Tensor:
        raise NotImplementedError

    def bin_prob(self, center: Tensor, width: float = 1.0) -> Tensor:
        return self.log_bin_prob(center, width).exp()


class DeepFactorized(_Univariate):
    """Φ = σ(L_K ∘ … ∘ L_1) with positive matrices and activations x + tanh(a) tanh(x): increasing, unbounded logits.

    Positive matrices make Φ a cdf; that activations are increasing wouldn't be enough (claims
    fourier_density/dfp-monotone, dfp-needs-limits).

    Args:
        num_pdfs: C.
        hidden: widths of the hidden layers; (3, 3, 3) has 43 parameters a density.
        init_scale: spread of the density at the start.
    """

    def __init__(self, num_pdfs: int, hidden: Sequence[int] = (3, 3, 3), init_scale: float = 10.0) -> None:
        super().__init__()
        if num_pdfs < 1 or any(width < 1 for width in hidden):
            raise ValueError(f"num_pdfs and hidden must be positive, got {num_pdfs} and {tuple(hidden)}")
        if not init_scale > 0:
            raise ValueError(f"init_scale must be positive, got {init_scale}")
        widths = (1, *hidden, 1)
        per_layer = init_scale ** (1 / (len(widths) - 1))
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in pairwise(widths):
            start = math.log(math.expm1(1 / (per_layer * fan_out)))
            self.matrices.append(nn.Parameter(torch.full((num_pdfs, fan_out, fan_in), start)))
            self.biases.append(nn.Parameter(torch.rand(num_pdfs, fan_out, 1) - 0.5))
        for width in hidden:
            self.factors.append(nn.Parameter(torch.zeros(num_pdfs, width, 1)))

    def logits(self, value: Float[Tensor, "*sample C"]) -> tuple[Tensor, Tensor]:
        """logit Φ and the logarithm of its slope."""
        h = value.reshape(-1, value.shape[-1]).mT[:, None, :]  # (C, 1, samples)
        slope = torch.ones_like(h)
        for layer, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            weight = F.softplus(matrix)
            h, slope = weight @ h + bias, weight @ slope
            if layer < len(self.factors):
                gain, bent = torch.tanh(self.factors[layer]), torch.tanh(h)
                h, slope = h + gain * bent, slope * (1 + gain * (1 - bent.square()))
        return h[:, 0].mT.reshape(value.shape), slope[:, 0].mT.reshape(value.shape).log()

    def log_prob(self, value: Float[Tensor, "*sample C"]) -> Float[Tensor, "*sample C"]:
        logit, log_slope = self.logits(value)
        return F.logsigmoid(logit) + F.logsigmoid(-logit) + log_slope

    def cdf(self, value: Float[Tensor, "*sample C"]) -> Float[Tensor, "*sample C"]:
        return torch.sigmoid(self.logits(value)[0])

    def log_bin_prob(self, center: Float[Tensor, "*sample C"], width: float = 1.0) -> Float[Tensor, "*sample C"]:
        return log_difference_of_sigmoids(self.logits(center + width / 2)[0], self.logits(center - width / 2)[0])


class MixtureLogistics(_Univariate):
    """Σ_k w_k σ((x − μ_k)/s_k): K logistic components with learned weights, 3K − 1 free parameters a density.

    Args:
        num_pdfs: C.
        components: K.
        spread: the standard deviation of the means at the start.
    """

    def __init__(self, num_pdfs: int, components: int, spread: float = 1.0) -> None:
        super().__init__()
        if num_pdfs < 1 or components < 1:
            raise ValueError(f"num_pdfs and components must be positive, got {num_pdfs} and {components}")
        self.weight_logits = nn.Parameter(torch.zeros(num_pdfs, components))
        self.means = nn.Parameter(spread * torch.randn(num_pdfs, components))
        self.log_scales = nn.Parameter(torch.full((num_pdfs, components), math.log(spread / components)))

    def _z(self, value: Tensor) -> Tensor:
        return (value[..., None] - self.means) * torch.exp(-self.log_scales)

    def log_prob(self, value: Float[Tensor, "*sample C"]) -> Float[Tensor, "*sample C"]:
        z = self._z(value)
        parts = F.logsigmoid(z) + F.logsigmoid(-z) - self.log_scales
        return torch.logsumexp(self.weight_logits.log_softmax(-1) + parts, dim=-1)

    def cdf(self, value: Float[Tensor, "*sample C"]) -> Float[Tensor, "*sample C"]:
        return (self.weight_logits.softmax(-1) * torch.sigmoid(self._z(value))).sum(-1)

    def log_bin_prob(self, center: Float[Tensor, "*sample C"], width: float = 1.0) -> Float[Tensor, "*sample C"]:
        parts = log_difference_of_sigmoids(self._z(center + width / 2), self._z(center - width / 2))
        return torch.logsumexp(self.weight_logits.log_softmax(-1) + parts, dim=-1)
