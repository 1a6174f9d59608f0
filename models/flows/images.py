"""Images as integers with uniform noise, and the Gaussians that a flow has to beat."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def grey_levels(
    images: Float[Tensor, "*shape"], levels: int = 256, check: bool | None = None
) -> Float[Tensor, "*shape"]:
    """The integers 0..levels − 1 behind images in [−1, 1]: (x + 1)/2 · (levels − 1).

    Args:
        check: whether to look at the values; by default on the CPU alone, where nothing has to wait for it.

    Raises:
        ValueError: an image with other values than those of so many levels, or NaN.
    """
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")
    exact = (images + 1) * ((levels - 1) / 2)
    v = exact.round()
    check = images.device.type == "cpu" if check is None else check
    if check and not images.is_meta and not torch.compiler.is_compiling():
        if not bool(((exact - v).abs() <= 0.05).all()):
            raise ValueError(
                f"images must have {levels} levels, multiples of 2/{levels - 1} from −1 on: set `levels` to theirs"
            )
        if images.numel() and not (float(v.min()) >= 0 and float(v.max()) < levels):
            raise ValueError(f"images must lie in [−1, 1], got {float(images.min())}..{float(images.max())}")
    return v


def dequantise(
    images: Float[Tensor, "*shape"], levels: int = 256, bins: int | None = None,
    noise: Float[Tensor, "*shape"] | None = None, check: bool | None = None,
) -> Float[Tensor, "*shape"]:  # fmt: skip
    """y = (v + u)/bins in [0, 1), v the integers of images in [−1, 1] and u uniform in [0, 1).

    The noise goes onto the integers; added behind a division by levels − 1 it would not fill the bins.

    Args:
        levels: of the images.
        bins: fewer levels, a divisor of `levels`, to which v is cut down.
        noise: u; drawn from torch's generator if it isn't given.
        check: as for `grey_levels`.
    """
    bins = levels if bins is None else bins
    if bins < 1 or levels % bins:
        raise ValueError(f"bins must divide the {levels} levels, got {bins}")
    v = grey_levels(images, levels, check)
    v = (v / (levels // bins)).floor()
    u = torch.rand_like(v) if noise is None else noise.to(v.dtype)
    return ((v + u) / bins).clamp(max=1 - torch.finfo(v.dtype).eps / 2)  # a sum can round up to `bins`


def quantise(y: Float[Tensor, "*shape"], bins: int = 256) -> Float[Tensor, "*shape"]:
    """Images in [−1, 1] of the bins in which y lies; what is outside of [0, 1) goes to the nearest one."""
    return (y * bins).floor().clamp(0, bins - 1) * (2 / (bins - 1)) - 1


def gaussian_bits_per_dim(
    train: Float[Tensor, "count *shape"], test: Float[Tensor, "tests *shape"], levels: int = 256, full: bool = True
) -> float:
    """Bits per dimension of test images under the Gaussian with the mean and the covariance of the training images.

    Both are dequantised; the noise enters exactly, as its mean ½ and variance 1/12 for each pixel, in the fit and in
    the expected log-density. `full=False` takes the variances alone.

    Args:
        train, test: images in [−1, 1] with this number of levels.
    """
    a, b = (grey_levels(x.double(), levels).flatten(1) for x in (train, test))
    if a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"train and test must hold images of one size, got {tuple(train.shape)}, {tuple(test.shape)}")
    dim = a.shape[1]
    mean = a.mean(0)  # the halves of both means cancel
    centred = a - mean
    covariance = centred.mT @ centred / len(a)
    if not full:
        covariance = covariance.diagonal().diag()
    covariance = covariance + torch.eye(dim, dtype=torch.float64) / 12
    factor = torch.linalg.cholesky(covariance)
    whitened = torch.linalg.solve_triangular(factor, (b - mean).mT, upper=False)
    noise = torch.cholesky_inverse(factor).diagonal().sum() / 12  # E uᵀΣ⁻¹u
    nats = 0.5 * (whitened.square().sum(0).mean() + noise) + factor.diagonal().log().sum()
    return float(nats / dim + 0.5 * math.log(2 * math.pi)) / math.log(2)
