"""Vector quantisation of keys: nearest codes, the straight-through estimator, and a codebook of moving averages."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kexue.models._torch import source

SCORES_AT_ONCE = 2**20  # distances that `get_shortcodes` holds at a time: they stay in the cache
SMALLEST_COUNT = 0.01  # a code's count is not taken for less, so that an unused code has a mean


def get_shortcodes(
    x: Float[Tensor, "batch heads length key"], codebook: Float[Tensor, "heads codes key"]
) -> tuple[Int[Tensor, "batch heads length"], Float[Tensor, "batch heads length"]]:
    """Index of the nearest row of each head's codebook, the lowest one in a tie, and the squared distance to it.

    The distances are compared without ‖x‖², and the one returned is summed from its differences, so it is never
    negative.

    Raises:
        ValueError: the shapes don't fit.
    """
    _check_codebook(x, codebook)
    half_norms = codebook.square().sum(-1) / 2  # (heads, codes)
    rows = max(1, SCORES_AT_ONCE // max(1, x.shape[0] * codebook.shape[0] * codebook.shape[1]))
    if torch.compiler.is_compiling() or x.shape[2] <= rows:
        z = _nearest(x, codebook, half_norms)
    else:
        z = torch.cat([_nearest(part, codebook, half_norms) for part in x.split(rows, dim=2)], dim=2)
    return z, (x - lookup(codebook, z)).square().sum(-1)


def _nearest(x: Tensor, codebook: Tensor, half_norms: Tensor) -> Tensor:
    distances = x @ -codebook.mT
    distances += half_norms[:, None]
    return distances.argmin(-1)


def lookup(
    codebook: Float[Tensor, "heads codes key"], shortcodes: Int[Tensor, "batch heads length"]
) -> Float[Tensor, "batch heads length key"]:
    """The codebook's rows at the given codes, head by head."""
    heads, codes, _ = codebook.shape
    first = torch.arange(0, heads * codes, codes, device=shortcodes.device)
    return codebook.flatten(0, 1)[shortcodes + first[:, None]]


def straight_through(k: Float[Tensor, "*shape"], quantized: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The value of `quantized`, exactly, with the gradient of k (claim transformer_vq/ste-gradient)."""
    return quantized.detach() + (k - k.detach())


class VQOutput(NamedTuple):
    quantized: Tensor  # (batch, heads, length, key), straight through to the keys
    shortcodes: Tensor  # (batch, heads, length)
    commitment: Tensor  # (batch, length): ‖k − sg(C_z)‖², summed over heads; its gradient goes to the keys alone


class LearnableVQ(nn.Module):
    """A codebook for each head, the exponentially weighted mean of the keys that were nearest to its rows.

    It learns by `update`, which is called after a forward pass that used the old codebook, and not by an optimiser
    (claims transformer_vq/ema-is-kmeans and ema-as-sgd). Sums and counts are buffers in at least float32.
    """

    c_sum: Tensor
    c_count: Tensor

    def __init__(self, num_heads: int, num_codes: int, key_dim: int, gamma: float = 0.99) -> None:
        super().__init__()
        if num_codes < 1:
            raise ValueError(f"num_codes must be at least 1, got {num_codes}")
        if not 0 <= gamma < 1:
            raise ValueError(f"gamma must be in [0, 1), got {gamma}")
        self.gamma = gamma
        self.register_buffer("c_sum", torch.randn(num_heads, num_codes, key_dim) / key_dim**0.5)
        self.register_buffer("c_count", torch.ones(num_heads, num_codes))

    @property
    def codebook(self) -> Float[Tensor, "heads codes key"]:
        """Fresh at each call: an update in place doesn't change a codebook that autograd or a checkpoint keeps."""
        return self.c_sum / self.c_count.clamp(min=SMALLEST_COUNT)[..., None]

    def forward(self, k: Float[Tensor, "batch heads length key"], codebook: Tensor | None = None) -> VQOutput:
        codebook = self.codebook.to(k.dtype) if codebook is None else codebook
        with torch.no_grad():
            z, _ = get_shortcodes(k, codebook)
            nearest = lookup(codebook, z)
        return VQOutput(straight_through(k, nearest), z, commitment(k, nearest))

    @torch.no_grad()
    def statistics(
        self,
        k: Float[Tensor, "batch heads length key"],
        shortcodes: Int[Tensor, "batch heads length"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "heads codes key_and_one"]:
        """Per code the sum of its keys and, last, their number; positions where the mask is False don't count."""
        heads, codes, size = self.c_sum.shape
        rows = torch.cat((k.to(self.c_sum.dtype), self.c_sum.new_ones(*k.shape[:-1], 1)), dim=-1)
        if mask is not None:
            rows = rows * mask[:, None, :, None]
        index = shortcodes + torch.arange(0, heads * codes, codes, device=k.device)[:, None]
        total = self.c_sum.new_zeros(heads * codes, size + 1)
        return total.index_add_(0, index.flatten(), rows.flatten(0, 2)).unflatten(0, (heads, codes))

    @torch.no_grad()
    def update(self, statistics: Float[Tensor, "heads codes key_and_one"]) -> None:
        """One step of the moving averages, from statistics that were summed over all data-parallel processes."""
        self.c_sum.mul_(self.gamma).add_(statistics[..., :-1], alpha=1 - self.gamma)
        self.c_count.mul_(self.gamma).add_(statistics[..., -1], alpha=1 - self.gamma)

    @torch.no_grad()
    def initialise(
        self,
        keys: Float[Tensor, "batch heads length key"],
        iterations: int = 10,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "iterations"]:
        """Lloyd's k-means on keys of a trained model, as the article proposes for fine-tuning.

        Starts from randomly chosen keys; unused codes get the count 1. Returns the mean squared error before each
        iteration; it never increases.

        Raises:
            ValueError: fewer keys than codes.
        """
        codes = self.c_sum.shape[1]
        points = keys.transpose(0, 1).flatten(1, 2)[None].to(self.c_sum.dtype)  # (1, heads, all, key)
        if points.shape[2] < codes:
            raise ValueError(
                f"keys must hold at least num_codes = {codes} vectors for each head, got {points.shape[2]}"
            )
        order = torch.randperm(points.shape[2], generator=generator, device=source(points, generator))
        chosen = order[:codes].to(points.device)
        self.c_sum.copy_(points[0, :, chosen])
        self.c_count.fill_(1.0)
        errors = []
        for _ in range(iterations):
            z, error = get_shortcodes(points, self.codebook)
            errors.append(error.mean())
            found = self.statistics(points, z)
            used = found[..., -1] > 0
            self.c_sum.copy_(torch.where(used[..., None], found[..., :-1], self.codebook))
            self.c_count.copy_(torch.where(used, found[..., -1], torch.ones_like(self.c_count)))
        return torch.stack(errors) if errors else points.new_zeros(0)

    @torch.no_grad()
    def usage(self) -> tuple[Float[Tensor, "heads"], Int[Tensor, "heads"]]:
        """The health of the codebook: entropy in nats of the counts, and how many codes are dead (count below 0.01)."""
        p = self.c_count / self.c_count.sum(-1, keepdim=True)
        return -torch.xlogy(p, p).sum(-1), (self.c_count < SMALLEST_COUNT).sum(-1)


def commitment(
    k: Float[Tensor, "batch heads length key"], nearest: Float[Tensor, "batch heads length key"]
) -> Float[Tensor, "batch length"]:
    """‖k − sg(C_z)‖², summed over heads, in at least float32."""
    wide = torch.promote_types(k.dtype, torch.float32)
    return (k.to(wide) - nearest.detach().to(wide)).square().sum(-1).sum(1)


def sum_over_processes(statistics: Tensor) -> Tensor:
    """The sum over all data-parallel processes; the tensor itself where there is one."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(statistics)
    return statistics


def _check_codebook(x: Tensor, codebook: Tensor) -> None:
    if codebook.shape[0] != x.shape[1] or codebook.shape[2] != x.shape[3] or codebook.shape[1] < 1:
        raise ValueError(
            f"codebook must have shape (heads, codes ≥ 1, key) = ({x.shape[1]}, ·, {x.shape[3]}), "
            f"got {tuple(codebook.shape)}"
        )
