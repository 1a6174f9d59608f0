r"""The general form: R_n = Oⁿ for any orthogonal O, or exp(nB) for any antisymmetric B, and its absorption into the
block form (article 9403; claims rope/canonical-form, rope/completeness-absorption, rope/completeness-conditions)."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float, Int, Real
from torch import Tensor, nn

Parametrisation = Literal["exp", "cayley", "householder", "orthogonal_power"]


class GeneralRoPE(nn.Module):
    """A family R_n with R_mᵀR_n = R_{n−m} from one dense matrix of each key-value head.

    Args:
        dim: size of a head.
        param: "exp": R_t = exp(tB), B antisymmetric, real positions; the others R_n = Oⁿ with integer positions:
            "cayley": O = (I − S)(I + S)⁻¹, S antisymmetric (no eigenvalue −1);
            "householder": a product of `reflections` mirrors (det −1 if their number is odd);
            "orthogonal_power": O is the orthogonal factor of a free matrix, of either determinant.
        num_heads: one matrix for each head.
        reflections: for "householder"; dim by default (even), which reaches all of SO(dim).

    The matrices of all positions are formed, (heads, length, dim, dim): a research tool. `absorb` gives the model that
    computes the same scores in the time of the block form.
    """

    def __init__(
        self, dim: int, param: Parametrisation = "exp", num_heads: int = 1, reflections: int | None = None
    ) -> None:
        super().__init__()
        if dim < 2:
            raise ValueError(f"dim must be at least 2, got {dim}")
        if param not in ("exp", "cayley", "householder", "orthogonal_power"):
            raise ValueError(f"param must be exp, cayley, householder or orthogonal_power, got {param!r}")
        if reflections is not None and param != "householder":
            raise ValueError(f"reflections goes with param='householder', got param={param!r}")
        self.dim, self.param, self.num_heads = dim, param, num_heads
        rows = (dim - dim % 2 if reflections is None else reflections) if param == "householder" else dim
        scale = {"exp": 1 / math.sqrt(dim), "cayley": 0.5 / math.sqrt(dim)}.get(param, 1.0)
        self.weight = nn.Parameter(scale * torch.randn(num_heads, rows, dim))

    def generator(self) -> Float[Tensor, "heads dim dim"]:
        """B (param "exp") or S ("cayley"): antisymmetric, exactly."""
        if self.param not in ("exp", "cayley"):
            raise ValueError(f"param={self.param!r} has no generator")
        lower = self.weight.tril(-1)
        return lower - lower.mT

    def orthogonal(self) -> Float[Tensor, "heads dim dim"]:
        """O = R_1."""
        eye = torch.eye(self.dim, dtype=self.weight.dtype, device=self.weight.device)
        if self.param == "exp":
            return torch.linalg.matrix_exp(self.generator())
        if self.param == "cayley":
            s = self.generator()
            return torch.linalg.solve(eye + s, eye - s)  # the two factors commute
        if self.param == "householder":
            o = eye.expand(self.num_heads, -1, -1)
            for v in self.weight.unbind(1):
                v = v / v.norm(dim=-1, keepdim=True)
                o = o - 2 * (o @ v[..., None]) @ v[:, None, :]
            return o
        q, r = torch.linalg.qr(self.weight)
        return q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]  # the signs make the factor unique

    def matrices(self, positions: Real[Tensor, "length"]) -> Float[Tensor, "heads length dim dim"]:
        """R_n for each position.

        Raises:
            ValueError: fractional positions for a power of O, which determines R_n at integers only
                (claim rope/exp-integer-power).
        """
        if self.param == "exp":
            times = positions.to(self.weight.dtype)
            return torch.linalg.matrix_exp(times[:, None, None] * self.generator()[:, None])
        if positions.is_floating_point():
            if bool((positions != positions.round()).any()):
                raise ValueError(f"positions must be integers for param={self.param!r}, got {positions.tolist()}")
            positions = positions.long()
        return self._powers(positions)

    def _powers(self, positions: Int[Tensor, "length"]) -> Float[Tensor, "heads length dim dim"]:
        """Oⁿ by the binary digits of n, O⁻¹ = Oᵀ: as many batched products as the largest |n| has digits."""
        base = self.orthogonal()
        found = torch.eye(self.dim, dtype=base.dtype, device=base.device).expand(self.num_heads, len(positions), -1, -1)
        left = positions.abs()
        while bool((left > 0).any()):
            found = torch.where((left % 2 == 1)[:, None, None], found @ base[:, None], found)
            base, left = base @ base, left // 2
        return torch.where((positions < 0)[:, None, None], found.mT, found)

    def forward(
        self, x: Float[Tensor, "batch heads length dim"], positions: Real[Tensor, "length"] | None = None
    ) -> Float[Tensor, "batch heads length dim"]:
        """R_n x; query heads that share a key-value head share its matrix: heads = num_heads · group."""
        if positions is None:
            positions = torch.arange(x.shape[-2], device=x.device)
        if x.shape[1] % self.num_heads:
            raise ValueError(f"x must have a multiple of {self.num_heads} heads, got {x.shape[1]}")
        grouped = x.unflatten(1, (self.num_heads, -1))
        return torch.einsum("hlij,bhglj->bhgli", self.matrices(positions), grouped).flatten(1, 2)


class Absorbed(NamedTuple):
    """Projections and frequencies of the block form with the same scores as a `GeneralRoPE`."""

    query: Tensor  # (heads · dim, inputs)
    key: Tensor  # (kv_heads · dim, inputs)
    frequencies: Tensor  # (kv_heads, dim/2), radians per position
    basis: Tensor  # P of each key-value head, (kv_heads, dim, dim)


@torch.no_grad()
def absorb(
    rope: GeneralRoPE,
    query: Float[Tensor, "rows *inputs"],
    key: Float[Tensor, "kv_rows *inputs"],
    norm_between: nn.Module | None = None,
) -> Absorbed:
    """W_q, W_k (or their biases) with P folded in: qᵀR_{n−m}k = (Pᵀq)ᵀ diag(R(θ_i(n−m))) (Pᵀk), interleaved layout.

    Args:
        rope: of an even head size and determinant +1.
        query, key: (heads · dim, inputs) each; heads is a multiple of the rope's num_heads.
        norm_between: what stands between the projections and the rotation, if anything does. A norm without gain
            commutes with P; anything else is refused (claim rope/completeness-conditions).

    Raises:
        ValueError: an odd head size, a determinant −1 (it needs dim + 2 channels, claim rope/completeness-detneg), a
            norm with a gain, or rows that don't fit.
    """
    if rope.dim % 2:
        raise ValueError(f"rope.dim must be even to be absorbed, got {rope.dim}: pad it with a zero channel")
    if norm_between is not None and any(True for _ in norm_between.parameters()):
        raise ValueError(f"norm_between must have no gain to be absorbed through, got {norm_between}")
    if norm_between is not None and not isinstance(norm_between, nn.RMSNorm):
        raise ValueError(f"norm_between must be an RMSNorm without gain, got {type(norm_between).__name__}")
    for name, weight in (("query", query), ("key", key)):
        if weight.shape[0] % (rope.num_heads * rope.dim):
            raise ValueError(f"{name} must have a multiple of {rope.num_heads * rope.dim} rows, got {weight.shape[0]}")
    if rope.param == "exp":
        generators = rope.generator().double()
    else:
        generators = torch.stack([so_log(o) for o in rope.orthogonal().double()])
    forms = [skew_canonical_form(b) for b in generators]
    basis = torch.stack([p for p, _ in forms])
    frequencies = torch.stack([theta for _, theta in forms])

    def folded(weight: Tensor) -> Tensor:
        heads = weight.double().unflatten(0, (rope.num_heads, -1, rope.dim))
        return torch.einsum("hij,hgi...->hgj...", basis, heads).flatten(0, 2).to(weight.dtype)

    return Absorbed(folded(query), folded(key), frequencies, basis)


def skew_canonical_form(
    generator: Float[Tensor, "dim dim"],
) -> tuple[Float[Tensor, "dim dim"], Float[Tensor, "planes"]]:
    """(P, θ) with B = P·blockdiag(θ_i J)·Pᵀ, P orthogonal, θ_1 ≥ θ_2 ≥ … ≥ 0; an odd size leaves one zero behind.

    From the eigenvectors x + iy of the Hermitian matrix iB; repeated frequencies are no difficulty.

    Raises:
        ValueError: the matrix isn't square, finite and antisymmetric; the message gives ‖B + Bᵀ‖.
    """
    b = generator.detach().double()
    _check_square("generator", b)
    excess = float((b + b.T).norm())
    if excess > 1e-5 * max(1.0, float(b.norm())):
        raise ValueError(f"generator must be antisymmetric, but the norm of B + Bᵀ is {excess:.3g}")
    dim = b.shape[0]
    values, vectors = torch.linalg.eigh(1j * (b - b.T) / 2)
    floor = 64 * torch.finfo(torch.float64).eps * max(1, dim) * float(b.norm())
    chosen = [i for i in reversed(range(dim)) if float(values[i]) > floor]
    planes = torch.empty(dim, 0, dtype=torch.float64, device=b.device)
    if chosen:
        z = math.sqrt(2) * vectors[:, chosen]
        planes = torch.stack((z.real, z.imag), dim=-1).flatten(1)
    # What is left is the kernel: any orthonormal basis of the complement.
    kernel = torch.linalg.svd(planes.T, full_matrices=True).Vh[planes.shape[1] :].T if planes.shape[1] < dim else None
    basis = planes if kernel is None else torch.cat((planes, kernel), dim=1)
    frequencies = torch.zeros(dim // 2, dtype=torch.float64, device=b.device)
    frequencies[: len(chosen)] = values[chosen].real
    return basis, frequencies


def so_log(orthogonal: Float[Tensor, "dim dim"]) -> Float[Tensor, "dim dim"]:
    """An antisymmetric B with exp(B) = O and all angles in [0, π], by the real Schur form (float64).

    Raises:
        ValueError: O isn't square, finite and orthogonal, or its determinant is −1, when no such B exists
            (claim rope/exp-of-antisymmetric-is-so).
    """
    o = orthogonal.detach().double()
    _check_square("orthogonal", o)
    excess = float((o.T @ o - torch.eye(len(o), dtype=o.dtype, device=o.device)).abs().max())
    if excess > 1e-5:
        raise ValueError(f"orthogonal must satisfy OᵀO = I, off by {excess:.3g}")
    if float(torch.linalg.det(o)) < 0:
        raise ValueError("orthogonal must have determinant +1, got −1: a reflection is no real exponential")
    t, z = scipy.linalg.schur(o.cpu().numpy(), output="real")
    log = np.zeros_like(t)
    mirrored, i = [], 0
    while i < len(t):
        if i + 1 < len(t) and abs(t[i + 1, i]) > 1e-12:
            angle = math.atan2(t[i + 1, i], (t[i, i] + t[i + 1, i + 1]) / 2)
            log[i + 1, i], log[i, i + 1] = angle, -angle
            i += 2
        else:
            if t[i, i] < 0:
                mirrored.append(i)  # eigenvalues −1 come in pairs: half turns
            i += 1
    for a, c in zip(mirrored[::2], mirrored[1::2], strict=True):
        log[c, a], log[a, c] = math.pi, -math.pi
    b = torch.from_numpy(z @ log @ z.T).to(o.device)
    return (b - b.T) / 2


def _check_square(name: str, matrix: Tensor) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {tuple(matrix.shape)}")
    if not bool(torch.isfinite(matrix).all()):
        raise ValueError(f"{name} must be finite, got {int((~torch.isfinite(matrix)).sum())} infinite or NaN entries")

