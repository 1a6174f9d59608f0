r"""Orthogonal maps T with Ta = b for unit vectors a, b of any dimension: batched, differentiable, in O(d).

Su Jianlin, 《从一个单位向量变换到另一个单位向量的正交矩阵》 (The orthogonal matrix that takes one unit vector
to another), Scientific Spaces, 2021-06-05, archive 8453. With c = aᵀb:

    rotation      T1 = I + 2baᵀ − (a+b)(a+b)ᵀ/(1+c)    turns a to b in their plane; the closest to I in SO(d)
    householder   T2 = I − (a−b)(a−b)ᵀ/(1−c)           mirrors a to b
    half_turn     T3 = (a+b)(a+b)ᵀ/(1+c) − I           half-turn about the bisector
    neg_rotation  T4 = 2baᵀ + (a−b)(a−b)ᵀ/(1−c) − I    −T1(a, −b)
    auto          T3 for c ≥ 0, T2 for c < 0: defined for every pair, its denominator never below 1
    proper        T1 for c ≥ 0, T2 after one more mirror for c < 0: always determinant +1
    unitary       for complex vectors: I − (a−b)(a−b)*/(1−b*a)

All but the last are products of mirrors whose normals are normalised first, so that T stays orthogonal to rounding for
every pair (claims orthogonal_map/error-law, orthogonal_map/stable-branch). `rotation_trick` is the gradient of vector
quantisation by Fifty et al., Restructuring Vector Quantization with the Rotation Trick, 2024, arXiv 2410.06424.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Inexact
from torch import Tensor, nn

from ._torch import draw_normal, is_traced

__all__ = [
    "VectorToVector",
    "apply_orthogonal_map",
    "orthogonal_map",
    "random_orthogonal_map",
    "rotation_between",
    "rotation_trick",
]

KINDS = ("rotation", "householder", "half_turn", "neg_rotation", "auto", "proper", "unitary")
UNDEFINED_AT = {"rotation": -1, "half_turn": -1, "householder": 1, "neg_rotation": 1}  # b = ∓a


def apply_orthogonal_map(
    a: Inexact[Tensor, "*batch dim"],
    b: Inexact[Tensor, "*batch dim"],
    x: Inexact[Tensor, "*vectors dim"],
    kind: str = "auto",
    *,
    inverse: bool = False,
    normalize: bool = False,
) -> Inexact[Tensor, "*vectors dim"]:
    """Tx, or Tᵀx with `inverse`, in O(d) for each vector: no d × d matrix is ever formed.

    Args:
        a, b: unit vectors, (…, d).
        x: vectors, (…, n, d) with the batch of a and b in front; or (…, d), one vector for each pair.
        kind: see the module.
        normalize: divide a and b by their lengths first, instead of insisting on unit vectors.

    Raises:
        ValueError: unknown kind; shapes that don't fit; vectors that are zero, not finite or (without `normalize`) not
            of length 1; a pair at which this kind isn't defined, b = −a or b = a. Under torch.compile and functorch
            transforms the values can't be looked at, and are not checked.
    """
    a, b = _unit_vectors(a, b, kind, normalize)
    if x.shape[-1] != a.shape[-1]:
        raise ValueError(f"x must have vectors of dimension {a.shape[-1]}, got {x.shape[-1]}")
    if x.ndim > a.ndim:
        a, b = a.unsqueeze(-2), b.unsqueeze(-2)
    if kind == "unitary":
        return _unitary(a, b, x, inverse)
    mirrors, sign = _mirrors(a, b, kind)
    for normal in mirrors[::-1] if not inverse else mirrors:
        x = _reflect(normal, x)
    return x if sign is None else sign * x


def orthogonal_map(
    a: Inexact[Tensor, "*batch dim"], b: Inexact[Tensor, "*batch dim"], kind: str = "auto", *, normalize: bool = False
) -> Inexact[Tensor, "*batch dim dim"]:
    """The matrix T with Ta = b; arguments and errors as for `apply_orthogonal_map`."""
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand(*a.shape, -1)
    return apply_orthogonal_map(a, b, eye, kind, normalize=normalize).mT


def rotation_between(
    a: Float[Tensor, "*batch dim"], b: Float[Tensor, "*batch dim"], t: float | int = 1.0, *, normalize: bool = False
) -> Float[Tensor, "*batch dim dim"]:
    """The geodesic T(t) from I (t = 0) to the rotation T1 (t = 1): it turns the plane of a and b by the angle tθ.

    T(t)a is the spherical interpolation [sin((1−t)θ) a + sin(tθ) b]/sin θ (claim orthogonal_map/geodesic).

    Raises:
        ValueError: as `apply_orthogonal_map` for kind "rotation".
    """
    a, b = _unit_vectors(a, b, "rotation", normalize)
    angle = 2 * torch.atan2((a - b).norm(dim=-1), (a + b).norm(dim=-1))  # accurate near 0 and π, unlike acos
    rest = b - (a * b).sum(-1, keepdim=True) * a
    u = rest / rest.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    sine, versine = (t * angle).sin()[..., None, None], 2 * (t * angle / 2).sin().square()[..., None, None]
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return eye + sine * (_outer(u, a) - _outer(a, u)) - versine * (_outer(a, a) + _outer(u, u))


def random_orthogonal_map(
    a: Float[Tensor, "*batch dim"],
    b: Float[Tensor, "*batch dim"],
    generator: torch.Generator | None = None,
    *,
    normalize: bool = False,
) -> Float[Tensor, "*batch dim dim"]:
    """T drawn uniformly (Haar) from {T ∈ O(d): Ta = b}: one solution after a uniform map of the complement of a."""
    a, b = _unit_vectors(a, b, "auto", normalize)
    dim = a.shape[-1]
    noise = draw_normal(a, generator, (*a.shape[:-1], dim - 1, dim - 1))
    q, r = torch.linalg.qr(noise)
    inner = torch.zeros(*a.shape[:-1], dim, dim, dtype=a.dtype, device=a.device)
    inner[..., 0, 0] = 1
    inner[..., 1:, 1:] = q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]  # the signs make the law Haar's
    first = torch.zeros_like(a)
    first[..., 0] = 1
    basis = orthogonal_map(first, a)  # takes e₁ to a
    return orthogonal_map(a, b) @ basis @ inner @ basis.mT


def rotation_trick(z: Float[Tensor, "*batch dim"], q: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """Exactly q in the forward pass; backward, the gradient is turned from q's direction to z's and scaled by ‖q‖/‖z‖.

    The map is T1 from ẑ to q̂, held constant (claim orthogonal_map/rotation-trick-jacobian). Where the two are opposite,
    and T1 has no limit, one more mirror takes its place; nothing depends on a small constant in a normalisation
    (claim orthogonal_map/normalize-eps-trap).

    Args:
        z: encodings, not zero.
        q: their code vectors, not zero; no gradient reaches them.
    """
    with torch.no_grad():
        lengths = [v.norm(dim=-1, keepdim=True) for v in (z, q)]
        if _concrete(z) and z.numel() and not bool((torch.minimum(*lengths) > 0).all()):
            raise ValueError("z and q must have no zero vectors: they have no direction")
        a, b = z / lengths[0], q / lengths[1]
        close = (a + b).square().sum(-1, keepdim=True) < torch.finfo(z.dtype).eps
        mirrors = [torch.where(close, a - b, a + b), torch.where(close, _perpendicular(a), a)]
        scale = lengths[1] / lengths[0]
    moved = z
    for normal in mirrors[::-1]:
        moved = _reflect(normal, moved)
    moved = scale * moved
    return moved + (q - moved).detach()


class VectorToVector(nn.Module):
    """x ↦ Tx for a fixed pair of vectors, which are buffers and travel with the state dict.

    Args:
        a, b: vectors of any non-zero length, (dim,); T takes the direction of a to that of b.
        kind: see the module.
    """

    a: Tensor
    b: Tensor

    def __init__(self, a: Float[Tensor, "dim"], b: Float[Tensor, "dim"], kind: str = "auto") -> None:
        super().__init__()
        a, b = _unit_vectors(a, b, kind, normalize=True)
        self.kind = kind
        self.register_buffer("a", a.detach().clone())
        self.register_buffer("b", b.detach().clone())

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return apply_orthogonal_map(self.a, self.b, x, self.kind, normalize=True)

    def inverse(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return apply_orthogonal_map(self.a, self.b, x, self.kind, inverse=True, normalize=True)


def _mirrors(a: Tensor, b: Tensor, kind: str) -> tuple[list[Tensor], Tensor | None]:
    """Normals n₁, …, n_k (not normalised) and a sign with T = sign · H_{n₁} ⋯ H_{n_k}."""
    if kind == "rotation":
        return [a + b, a], None
    if kind == "neg_rotation":
        return [a - b, a], -torch.ones_like(a[..., :1])
    if kind == "householder":
        return [a - b], None
    if kind == "half_turn":
        return [a + b], -torch.ones_like(a[..., :1])
    acute = (a * b).sum(-1, keepdim=True) >= 0
    longer = torch.where(acute, a + b, a - b)  # its squared length 2(1 + |c|) is at least 2
    if kind == "auto":
        return [longer], torch.where(acute, -1.0, 1.0).to(a.dtype)
    return [longer, torch.where(acute, a, _perpendicular(a))], None


def _perpendicular(a: Tensor) -> Tensor:
    """A vector orthogonal to a, from the axis least aligned with it."""
    axis = nn.functional.one_hot(a.abs().argmin(dim=-1), a.shape[-1]).to(a.dtype)
    return axis - (axis * a).sum(-1, keepdim=True) * a


def _reflect(normal: Tensor, x: Tensor) -> Tensor:
    """H_n x = x − 2n(n·x)/(n·n)."""
    dot = (normal * x).sum(-1, keepdim=True)
    return torch.addcmul(x, normal, dot / (normal * normal).sum(-1, keepdim=True), value=-2)


def _unitary(a: Tensor, b: Tensor, x: Tensor, inverse: bool) -> Tensor:
    v = a - b
    gamma = 1 / (1 - (b.conj() * a).sum(-1, keepdim=True))
    same = v.abs().amax(-1, keepdim=True) == 0
    gamma = torch.where(same, 0, gamma.conj() if inverse else gamma)
    return x - v * (gamma * (v.conj() * x).sum(-1, keepdim=True))


def _outer(u: Tensor, v: Tensor) -> Tensor:
    return u[..., :, None] * v[..., None, :]


def _concrete(x: Tensor) -> bool:
    """Whether the values can be looked at."""
    return not (is_traced(x) or x.is_meta)


def _unit_vectors(a: Tensor, b: Tensor, kind: str, normalize: bool) -> tuple[Tensor, Tensor]:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    for name, v in (("a", a), ("b", b)):
        if v.ndim < 1 or v.shape[-1] < 1:
            raise ValueError(f"{name} must have shape (…, d) with d ≥ 1, got {tuple(v.shape)}")
        if not v.is_floating_point() and not v.is_complex():
            raise ValueError(f"{name} must be a floating point tensor, got {v.dtype}")
        if v.is_complex() and kind != "unitary":
            raise ValueError(f"{name} must be real for kind={kind!r}, got {v.dtype}: use kind='unitary'")
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"a and b must have one dimension, got {a.shape[-1]} and {b.shape[-1]}")
    if normalize:
        lengths = [v.norm(dim=-1, keepdim=True) for v in (a, b)]
        if _concrete(a) and a.numel():
            _require(torch.minimum(*lengths) > 0, lambda: "a and b must have no zero vectors to be normalised")
        a, b = a / lengths[0], b / lengths[1]
    if not _concrete(a) or not a.numel():
        return a, b
    tolerance = min(0.05, 1000 * torch.finfo(a.dtype).eps)
    for name, v in (("a", a), ("b", b)):
        length = v.detach().norm(dim=-1)
        off = (length - 1).abs()
        _require(
            off <= tolerance,
            lambda name=name, length=length, off=off: (  # type: ignore[misc]
                f"{name} must hold unit vectors, got one of length {float(length.flatten()[off.argmax()]):.6g}: "
                "pass normalize=True"
            ),
        )
    singular = UNDEFINED_AT.get(kind)
    if singular is not None:
        m = (a + b if singular < 0 else a - b).detach()
        where = "b = −a" if singular < 0 else "b = a"
        advice = " (for d = 1 no such map exists)" if a.shape[-1] == 1 else ""
        _require((m != 0).any(-1), lambda: f'kind={kind!r} isn\'t defined at {where}{advice}: use kind="auto"')
    return a, b


def _require(holds: Tensor, message: Callable[[], str]) -> None:
    if not bool(holds.all()):
        raise ValueError(message())
