"""Convolution kernels of diagonal and of diagonal plus low rank systems, fast and plain.

A real system of N states is stored as N/2 complex ones, one of each conjugate pair: y = 2 Re Σ c_n x_n.
Shapes: H channels (independent systems), S = N/2 stored states, R rank, L length.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

HOLDS = ("zoh", "bilinear")


def discretize_diagonal(
    lam: Complex[Tensor, "*#channels states"],
    b: Complex[Tensor, "*channels states"],
    step: Float[Tensor, "*#channels"],
    method: str = "zoh",
) -> tuple[Complex[Tensor, "*channels states"], Complex[Tensor, "*channels states"]]:
    """log λ̄ and b̄ of x' = λx + bu, each state for itself.

    Raises:
        ValueError: an unknown method.
    """
    if method not in HOLDS:
        raise ValueError(f"method must be zoh or bilinear, got {method!r}")
    z = step[..., None] * lam
    if method == "bilinear":
        return torch.log((1 + z / 2) / (1 - z / 2)).expand_as(b), step[..., None] * b / (1 - z / 2)
    return z.expand_as(b), b * expm1(z) / lam


def expm1(z: Complex[Tensor, "*shape"]) -> Complex[Tensor, "*shape"]:
    """e^z − 1 without cancellation near 0: e^x cos y − 1 = expm1(x) cos y − 2 sin²(y/2)."""
    x, y = z.real, z.imag
    grown = torch.expm1(x)
    return torch.complex(grown * y.cos() - 2 * (y / 2).sin().square(), (grown + 1) * y.sin())


def vandermonde(
    v: Complex[Tensor, "channels states"], log_bar: Complex[Tensor, "channels states"], length: int
) -> Float[Tensor, "channels length"]:
    """2 Re Σ_n v_n λ̄_n^k for k < L, with λ̄ = exp(log_bar).

    k = i + mj with m ≈ √L turns it into a product of two matrices that need only N·2√L exponentials; angles are
    formed in float64, where a long kernel's phases still have digits, and the product is real.
    """
    inner = math.isqrt(length - 1) + 1
    outer = -(-length // inner)
    fine = _powers(log_bar, inner, 1, v.dtype)
    coarse = _powers(log_bar, outer, inner, v.dtype) * v[..., None]
    left = torch.cat((coarse.real, -coarse.imag), dim=1)
    right = torch.cat((fine.real, fine.imag), dim=1)
    return 2 * (left.mT @ right).flatten(1)[:, :length]


def _powers(log_bar: Tensor, count: int, stride: int, dtype: torch.dtype) -> Tensor:
    k = torch.arange(count, dtype=torch.float64, device=log_bar.device) * stride
    return torch.exp(log_bar.to(torch.complex128)[..., None] * k).to(dtype)


def s4d_kernel(
    lam: Complex[Tensor, "channels states"],
    b: Complex[Tensor, "channels states"],
    c: Complex[Tensor, "channels states"],
    step: Float[Tensor, "channels"],
    length: int,
    method: str = "zoh",
) -> Float[Tensor, "channels length"]:
    """K_k = 2 Re Σ_n c_n b̄_n λ̄_n^k (S4D, arXiv 2206.11893), by `vandermonde`.

    Raises:
        ValueError: length < 1, or an unknown method.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    log_bar, b_bar = discretize_diagonal(lam, b, step, method)
    return vandermonde(c * b_bar, log_bar, length)


def s4d_kernel_reference(
    lam: Complex[Tensor, "channels states"],
    b: Complex[Tensor, "channels states"],
    c: Complex[Tensor, "channels states"],
    step: Float[Tensor, "channels"],
    length: int,
    method: str = "zoh",
) -> Float[Tensor, "channels length"]:
    """The plain reference of `s4d_kernel`: the formula, with the whole Vandermonde matrix."""
    log_bar, b_bar = discretize_diagonal(lam, b, step, method)
    powers = torch.exp(log_bar[..., None] * torch.arange(length, device=lam.device))
    return 2 * torch.einsum("hn,hnl->hl", c * b_bar, powers).real


def dplr_kernel(
    lam: Complex[Tensor, "channels states"],
    p: Complex[Tensor, "channels rank states"],
    b: Complex[Tensor, "channels states"],
    c_tilde: Complex[Tensor, "channels states"],
    step: Float[Tensor, "channels"],
    length: int,
) -> Float[Tensor, "channels length"]:
    r"""S4's kernel: A = Λ − PP*, bilinear, $\tilde C = C(I-\bar A^L)$ (arXiv 2111.00396, algorithm 1; article 10162).

    The generating function at the L-th roots of unity, $\frac2{1+z}[k_{00}-k_{01}(1+k_{11})^{-1}k_{10}]$ of Cauchy
    dot products with $g-\lambda$, $g = \frac2\epsilon\frac{1-z}{1+z}$. Numerator and denominator are multiplied by
    (1+z)/2, so that z = −1 is no exception: the dot products have $\frac{1-z}\epsilon-\frac{1+z}2\lambda$ below.

    Raises:
        ValueError: length < 1.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    angles = torch.arange(length // 2 + 1, dtype=torch.float64, device=lam.device) * (-2 * math.pi / length)
    z = torch.polar(torch.ones_like(angles), angles)
    half, turned = ((1 + z) / 2).to(lam.dtype), (1 - z).to(lam.dtype)
    top = turned / step[:, None, None]
    upper = 1 / (top - half * lam[..., None])  # (H, S, L/2 + 1)
    lower = 1 / (top - half * lam.conj()[..., None])
    left = torch.cat((c_tilde[:, None], p.conj()), dim=1)
    right = torch.cat((b[:, None], p), dim=1)
    pairs = (left[:, :, None] * right[:, None]).flatten(1, 2)  # (H, (1+R)², S)
    dots = (pairs @ upper + pairs.conj() @ lower).unflatten(1, left.shape[1:2] + right.shape[1:2])
    k00, k01, k10, k11 = dots[:, 0, 0], dots[:, 0, 1:], dots[:, 1:, 0], dots[:, 1:, 1:]
    if p.shape[1] == 1:
        spectrum = k00 - half * k01[:, 0] * k10[:, 0] / (1 + half * k11[:, 0, 0])
    else:
        inner = torch.eye(p.shape[1], dtype=lam.dtype, device=lam.device) + (half * k11).movedim(-1, 1)
        solved = torch.linalg.solve(inner, k10.mT[..., None])[..., 0]
        spectrum = k00 - half * (k01.mT * solved).sum(-1)
    return torch.fft.irfft(spectrum, n=length)


def dplr_dense(
    lam: Complex[Tensor, "channels states"],
    p: Complex[Tensor, "channels rank states"],
    step: Float[Tensor, "channels"],
) -> tuple[Complex[Tensor, "channels N N"], Complex[Tensor, "channels N N"]]:
    """Ā and (I − εA/2)⁻¹ of the whole system, both members of each pair, as dense matrices."""
    whole = torch.cat((lam, lam.conj()), dim=-1)
    factors = torch.cat((p, p.conj()), dim=-1)
    A = torch.diag_embed(whole) - factors.mT @ factors.conj()
    eye = torch.eye(whole.shape[-1], dtype=lam.dtype, device=lam.device)
    inverse = torch.linalg.inv(eye - step[:, None, None] / 2 * A)
    return inverse @ (eye + step[:, None, None] / 2 * A), inverse


def dplr_readout(
    lam: Complex[Tensor, "channels states"],
    p: Complex[Tensor, "channels rank states"],
    c_tilde: Complex[Tensor, "channels states"],
    step: Float[Tensor, "channels"],
    length: int,
) -> Complex[Tensor, "channels states"]:
    """C = C̃(I − Ā^L)⁻¹: the readout of the recurrence whose kernel `dplr_kernel` computes from C̃."""
    bar, _ = dplr_dense(lam, p, step)
    eye = torch.eye(bar.shape[-1], dtype=lam.dtype, device=lam.device)
    whole = torch.cat((c_tilde, c_tilde.conj()), dim=-1)
    found = torch.linalg.solve((eye - torch.linalg.matrix_power(bar, length)).mT, whole[..., None])[..., 0]
    return found[:, : lam.shape[-1]]


def dplr_kernel_reference(
    lam: Complex[Tensor, "channels states"],
    p: Complex[Tensor, "channels rank states"],
    b: Complex[Tensor, "channels states"],
    c_tilde: Complex[Tensor, "channels states"],
    step: Float[Tensor, "channels"],
    length: int,
) -> Float[Tensor, "channels length"]:
    """The plain reference of `dplr_kernel`: C Ā^k B̄ with dense matrices, one power after the other."""
    bar, inverse = dplr_dense(lam, p, step)
    c = dplr_readout(lam, p, c_tilde, step, length)
    row = torch.cat((c, c.conj()), dim=-1)[:, None]
    x = step[:, None, None] * inverse @ torch.cat((b, b.conj()), dim=-1)[..., None]
    kernel = []
    for _ in range(length):
        kernel.append((row @ x)[:, 0, 0].real)
        x = bar @ x
    return torch.stack(kernel, dim=-1)


def dplr_step(
    x: Complex[Tensor, "*batch channels states"],
    u: Float[Tensor, "*batch channels"],
    lam: Complex[Tensor, "channels states"],
    p: Complex[Tensor, "channels rank states"],
    b: Complex[Tensor, "channels states"],
    step: Float[Tensor, "channels"],
) -> Complex[Tensor, "*batch channels states"]:
    r"""One bilinear step of x' = (Λ − PP*)x + Bu in O(N): $(I-\frac\epsilon2A)^{-1}[(I+\frac\epsilon2A)x+\epsilon
    Bu]$.

    With D = (2/ε − Λ)⁻¹ the inverse is (2/ε)[D − DP(I + P*DP)⁻¹P*D] (claim hippo/dplr-bilinear-inverse).
    """
    g = 2 / step[:, None]
    D = 1 / (g - lam)
    seen = 2 * torch.einsum("hrn,...hn->...hr", p.conj(), x).real  # P*x, both members of each pair
    y = (g + lam) * x - torch.einsum("hrn,...hr->...hn", p, seen.to(p.dtype)) + 2 * b * u[..., None]
    core = 2 * torch.einsum("hrn,hn,hsn->hrs", p.conj(), D, p).real
    inner = torch.eye(p.shape[1], dtype=core.dtype, device=core.device) + core
    caught = 2 * torch.einsum("hrn,hn,...hn->...hr", p.conj(), D, y).real
    solved = torch.linalg.solve(inner, caught[..., None])[..., 0]
    return D * y - D * torch.einsum("hrn,...hr->...hn", p, solved.to(p.dtype))
