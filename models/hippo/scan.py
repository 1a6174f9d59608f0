"""Linear recurrences x_k = a_k x_{k−1} + b_k: a scan in O(log L) depth, and convolution by FFT."""

from __future__ import annotations

from typing import no_type_check

import torch
from jaxtyping import Float, Inexact
from torch import Tensor


def linear_scan(
    a: Inexact[Tensor, "*#batch #length #state"], b: Inexact[Tensor, "*batch length state"]
) -> Inexact[Tensor, "*batch length state"]:
    """x_k = a_k x_{k−1} + b_k from x_{−1} = 0, along the second last dimension, by pairs (S5, arXiv 2208.04933).

    (a₁, b₁)•(a₂, b₂) = (a₂a₁, a₂b₁ + b₂) is associative (claim hippo/scan-associative): O(L) operations, O(log L)
    deep. The gradient is one more scan, backwards, and keeps x only.

    Raises:
        ValueError: integers.
    """
    kind = torch.promote_types(a.dtype, b.dtype)
    if not (kind.is_floating_point or kind.is_complex):
        raise ValueError(f"a and b must be floating point or complex tensors, got {a.dtype} and {b.dtype}")
    return _Scan.apply(a.to(kind).expand_as(b), b.to(kind))  # type: ignore[no-any-return, no-untyped-call]


def linear_scan_loop(
    a: Inexact[Tensor, "*#batch #length #state"], b: Inexact[Tensor, "*batch length state"]
) -> Inexact[Tensor, "*batch length state"]:
    """The plain reference of `linear_scan`: one step after the other."""
    x, states = torch.zeros_like(b[..., 0, :]), []
    for factor, term in zip(a.expand_as(b).unbind(-2), b.unbind(-2), strict=True):
        x = factor * x + term
        states.append(x)
    return torch.stack(states, dim=-2)


def _scan(a: Tensor, b: Tensor) -> Tensor:
    length = b.shape[-2]
    if length == 1:
        return b.clone()  # autograd wants no input back
    even = slice(0, length - length % 2, 2)
    last = a[..., 1::2, :]
    pairs = _scan(last * a[..., even, :], torch.addcmul(b[..., 1::2, :], last, b[..., even, :]))
    rest = torch.addcmul(b[..., 2::2, :], a[..., 2::2, :], pairs[..., : (length - 1) // 2, :])
    evens = torch.cat((b[..., :1, :], rest), dim=-2)
    if length % 2:
        woven = torch.stack((evens[..., :-1, :], pairs), dim=-2).flatten(-3, -2)
        return torch.cat((woven, evens[..., -1:, :]), dim=-2)
    return torch.stack((evens, pairs), dim=-2).flatten(-3, -2)


@no_type_check  # jaxtyping would wrap the methods, and torch.compile can't trace its wrapper here
class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(a, b):  # type: ignore[no-untyped-def]
        return _scan(a, b)

    @staticmethod
    def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        a, x = ctx.saved_tensors
        following = torch.cat((a[..., 1:, :], torch.zeros_like(a[..., :1, :])), dim=-2).conj()
        back = linear_scan(following.flip(-2), gradient.flip(-2)).flip(-2)
        before = torch.cat((torch.zeros_like(x[..., :1, :]), x[..., :-1, :]), dim=-2)
        return back * before.conj(), back


def fft_convolution(
    u: Float[Tensor, "*batch channels length"], kernel: Float[Tensor, "channels taps"]
) -> Float[Tensor, "*batch channels length"]:
    """y_k = Σ_{j≤k} K_{k−j} u_j for each channel, by FFT with zeros to 2L: without them the sum would be circular.

    Transforms run in at least float32, whatever the type of u.

    Raises:
        ValueError: u and the kernel have different lengths.
    """
    length = u.shape[-1]
    if kernel.shape[-1] != length:
        raise ValueError(f"kernel must have the length of u, {length}, got {kernel.shape[-1]}")
    work = torch.promote_types(torch.promote_types(u.dtype, kernel.dtype), torch.float32)
    spectrum = torch.fft.rfft(kernel.to(work), n=2 * length)
    return torch.fft.irfft(torch.fft.rfft(u.to(work), n=2 * length) * spectrum, n=2 * length)[..., :length].to(u.dtype)


def direct_convolution(
    u: Float[Tensor, "*batch channels length"], kernel: Float[Tensor, "channels length"]
) -> Float[Tensor, "*batch channels length"]:
    """The plain reference of `fft_convolution`: the lower triangular Toeplitz matrix of the kernel times u."""
    length = u.shape[-1]
    lag = torch.arange(length, device=u.device)[:, None] - torch.arange(length, device=u.device)
    matrix = torch.where(lag >= 0, kernel[:, lag.clamp(min=0)], torch.zeros_like(kernel[:, :1, None]))
    return (matrix @ u[..., None])[..., 0]
