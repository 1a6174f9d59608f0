"""Truncated Fourier series: A and its autocorrelation, masses of intervals, spectral factors, Fejér's estimate.

Shapes: *shape points, *batch densities, F = N + 1 coefficients a_0 … a_N; A(x) = Σ a_k e^{−iπkx}, f = |A|².
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

Parts = tuple[Tensor, Tensor]

ROOTS_UP_TO = 64
POLISHING = 8


def harmonics(x: Float[Tensor, "*shape"], top: int) -> tuple[Float[Tensor, "*shape F"], Float[Tensor, "*shape F"]]:
    """cos πkx and sin πkx for k = 0..top: one sine and cosine, then powers by doubling."""
    step = (torch.cos(math.pi * x)[..., None], torch.sin(math.pi * x)[..., None])
    table = (torch.ones_like(step[0]), torch.zeros_like(step[0]))
    while table[0].shape[-1] <= top:
        more = _times(table, step)
        table = (torch.cat((table[0], more[0]), dim=-1), torch.cat((table[1], more[1]), dim=-1))
        step = _times(step, step)
    return table[0][..., : top + 1], table[1][..., : top + 1]


def _times(p: Parts, q: Parts) -> Parts:
    return p[0] * q[0] - p[1] * q[1], p[0] * q[1] + p[1] * q[0]


def amplitude(a: Complex[Tensor, "*batch F"], x: Float[Tensor, "*shape"]) -> Parts:
    """Real and imaginary part of A(x) = Σ a_k e^{−iπkx} by Horner's rule in real arithmetic; x broadcasts against
    *batch. |A|² is a sum of two squares, so no rounding makes it negative."""
    c, s = torch.cos(math.pi * x), torch.sin(math.pi * x)
    real, imag = a.real.unbind(-1), a.imag.unbind(-1)
    p, q = real[-1] + torch.zeros_like(x), imag[-1] + torch.zeros_like(x)
    for u, v in zip(real[-2::-1], imag[-2::-1], strict=True):
        p, q = torch.addcmul(torch.addcmul(u, p, c), q, s), torch.addcmul(torch.addcmul(v, q, c), p, s, value=-1)
    return p, q


def cosine_series(rho: Complex[Tensor, "*batch N"], x: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
    """The plain reference ½ + Σ_{n≥1} Re ρ_n e^{iπnx} (claim fourier_density/real-form): rounding can make it negative
    where |A|² isn't."""
    angle = math.pi * x[..., None] * torch.arange(1, rho.shape[-1] + 1, dtype=x.dtype, device=x.device)
    return 0.5 + (rho.real * angle.cos() - rho.imag * angle.sin()).sum(-1)


def autocorrelation(a: Complex[Tensor, "*batch F"]) -> Complex[Tensor, "*batch F"]:
    """c_n = Σ_k a_k a*_{k+n} for n = 0..N as conj(ifft(|fft(a)|²)) on 2F ≥ 2N + 1 points (claim
    fourier_density/complexity)."""
    spectrum = torch.fft.fft(a, n=2 * a.shape[-1])
    power = spectrum.real.square() + spectrum.imag.square()
    return torch.fft.ifft(power)[..., : a.shape[-1]].conj().resolve_conj()


def autocorrelation_direct(a: Complex[Tensor, "*batch F"]) -> Complex[Tensor, "*batch F"]:
    """The plain reference for `autocorrelation`: its sums as they are written."""
    count = a.shape[-1]
    return torch.stack([(a[..., : count - n] * a[..., n:].conj()).sum(-1) for n in range(count)], dim=-1)


def mean_density(
    rho: Complex[Tensor, "*batch N"], middle: Float[Tensor, "*shape"], width: Float[Tensor, "*shape"]
) -> Float[Tensor, "..."]:
    """The mean of p over [middle − width/2, middle + width/2]: ½ + Σ Re[ρ_n e^{iπn·middle}] sinc(n·width/2).

    Times the width it is the mass of the interval, without the cancellation of Φ(b) − Φ(a) (claim
    fourier_density/bin-mass).
    """
    c, s = torch.cos(math.pi * middle), torch.sin(math.pi * middle)
    return 0.5 + torch.sinc(width / 2) * _windowed(rho, c, s, width, 1.0)[0]


def _windowed(rho: Tensor, c: Tensor, s: Tensor, width: Tensor, side: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_n Re[ρ_n (c + is)ⁿ] r_n/n with r_n = sin(nθ)/sin θ, θ = π·width/2, by recursion; then cos θ and sin θ.

    `side` = −1 takes ρ* in place of ρ.
    """
    cosine, sine = torch.cos(math.pi / 2 * width), torch.sin(math.pi / 2 * width)
    squared = sine.square()
    p, q, near, ratio = c, s, cosine, torch.ones_like(width)
    total = torch.zeros_like(c * width)
    for n, (u, v) in enumerate(zip(rho.real.unbind(-1), rho.imag.unbind(-1), strict=True), start=1):
        if n > 1:
            p, q = torch.addcmul(p * c, q, s, value=-1), torch.addcmul(q * c, p, s)
            near, ratio = torch.addcmul(near * cosine, ratio, squared, value=-1), torch.addcmul(near, ratio, cosine)
        total = total + (u * p - v * side * q) * ratio / n
    return total, cosine, sine


def fejer_coefficients(
    x: Float[Tensor, "samples"], num_freqs: int, weights: Float[Tensor, "samples"] | None = None
) -> Complex[Tensor, "F"]:
    """ĉ_n = (1 − n/(N+1)) mean_i e^{−iπn x_i}: the coefficients of the kernel estimate with Fejér's kernel, which is
    non-negative and needs no training (claim fourier_density/fejer-kde). The mean is weighted by `weights` ≥ 0.

    Raises:
        ValueError: num_freqs < 1; no samples, or samples that aren't finite; weights that are negative or all 0.
    """
    if num_freqs < 1:
        raise ValueError(f"num_freqs must be at least 1, got {num_freqs}")
    if x.ndim != 1 or not x.numel():
        raise ValueError(f"x must be a list of samples, not empty, got shape {tuple(x.shape)}")
    if not bool(x.isfinite().all()):
        raise ValueError("x must be finite")
    cosine, sine = harmonics(x, num_freqs - 1)
    weight = 1 - torch.arange(num_freqs, dtype=x.dtype, device=x.device) / num_freqs
    share = _shares(x, weights)
    return torch.complex(share @ cosine * weight, -(share @ sine) * weight)


def _shares(x: Tensor, weights: Tensor | None) -> Tensor:
    """Weights with the sum 1, equal ones by default."""
    if weights is None:
        return torch.full_like(x, 1 / len(x))
    if weights.shape != x.shape or not bool((weights.isfinite() & (weights >= 0)).all()) or not float(weights.sum()):
        raise ValueError(f"weights must be non-negative, not all 0, one for each of {len(x)} samples")
    return weights.to(x.dtype) / weights.to(x.dtype).sum()


def spectral_factor(
    c: Complex[Tensor, "F"], *, max_residual: float = 1e-6
) -> tuple[Complex[Tensor, "F"], Float[Tensor, ""]]:
    """The minimum-phase a with autocorrelation c (all zeros of A outside the unit disk, a_0 > 0), and its residual.

    The zeros of z^N f come in pairs w, 1/w*; one of each pair is kept, and every second one of those on the circle,
    which are double. Above degree 64 the logarithm of f is split by FFT instead, which needs f > 0. Newton's method
    on the quadratic equations then removes rounding (claims fourier_density/fejer-riesz-completeness, gauge).

    Args:
        c: c_0 … c_N; c_{−n} = c_n* is understood.
        max_residual: the largest admissible |autocorrelation(a)_n − c_n|/c_0.

    Returns:
        a, and max_n |autocorrelation(a)_n − c_n|/c_0, computed in complex128.

    Raises:
        ValueError: c_0 isn't real and positive, f is negative somewhere (its minimiser is named), or the residual is
            larger than `max_residual`.
    """
    if c.ndim != 1 or not c.numel():
        raise ValueError(f"c must have one dimension, c_0 … c_N, got shape {tuple(c.shape)}")
    wide = c.to(torch.complex128)
    eps = torch.finfo(c.real.dtype).eps
    head, size = wide[0], float(wide.abs().sum())
    if not math.isfinite(size) or float(head.imag.abs()) > 8 * eps * size or float(head.real) <= 0:
        raise ValueError(f"c must be finite with a real, positive c_0 (a Hermitian series), got c_0 = {complex(head)}")
    wide = wide / head.real
    low, at = _minimum(wide)
    if low < -64 * eps * len(wide) ** 2:
        raise ValueError(f"c must give f ≥ 0, got f/c_0 = {low:.4g} at x = {at:.6f}")
    a = _by_roots(wide) if len(wide) <= ROOTS_UP_TO + 1 else _by_logarithm(wide, low, at)
    a = a / a.abs().square().sum().sqrt()
    residual = (autocorrelation_direct(a) - wide).abs().max()
    for _ in range(POLISHING):
        better = _newton(a, wide)
        smaller = (autocorrelation_direct(better) - wide).abs().max()
        if not smaller < residual:
            break
        a, residual = better, smaller
    if not float(residual) <= max_residual:
        raise ValueError(f"c couldn't be factored: the residual {float(residual):.3g} is above {max_residual:g}")
    turn = a[0].conj() / a[0].abs() if float(a[0].abs()) else torch.ones_like(a[0])
    return (a * turn * head.real.sqrt()).to(c.dtype), residual


def _minimum(c: Tensor) -> tuple[float, float]:
    """The least value of f and where: the best point of a grid, then Newton's method on f'."""
    count = 64 * len(c)
    values = torch.fft.fft(torch.cat((c[:1] / 2, c[1:])).conj(), n=count).real * 2  # at x_j = 2j/count
    order = torch.arange(len(c), dtype=torch.float64, device=c.device)
    best = (float(values.min()), 2 * int(values.argmin()) / count)
    x = best[1]
    for _ in range(20):
        wave = c * torch.polar(torch.ones_like(order), math.pi * order * x)
        slope = float(-2 * math.pi * (order * wave.imag).sum())
        bend = float(-2 * math.pi**2 * (order.square() * wave.real).sum())
        if not bend > 0:
            break
        x -= max(-1 / count, min(1 / count, slope / bend))
        wave = c * torch.polar(torch.ones_like(order), math.pi * order * x)
        best = min(best, (float(2 * wave.real.sum() - c[0].real), x))
    return best[0], (best[1] + 1) % 2 - 1


def _by_roots(c: Tensor) -> Tensor:
    """The monic product of the zeros outside the unit disk; of zeros on the circle every second one."""
    degree = int((c.abs() > 0).nonzero()[-1])
    a = torch.zeros_like(c)
    if degree == 0:
        a[0] = 1
        return a
    ascending = torch.cat((c[1 : degree + 1].flip(0), c[:1], c[1 : degree + 1].conj()))  # coefficient of z^k: c_{N−k}
    companion = torch.diag(torch.ones(2 * degree - 1, dtype=c.dtype, device=c.device), -1)
    companion[:, -1] = -ascending[:-1] / ascending[-1]
    zeros = torch.linalg.eigvals(companion)
    distance = zeros.abs().log()
    by_distance = distance.argsort(descending=True)
    near = 10 * torch.finfo(torch.float64).eps ** 0.5
    clear = int((distance > near).sum())
    rest = zeros[by_distance[clear : 2 * degree - clear]]
    on_circle = rest[rest.angle().argsort()]
    kept = torch.cat((zeros[by_distance[:clear]], (on_circle / on_circle.abs())[::2]))[:degree]
    nodes = torch.polar(
        torch.ones(2 * degree + 2, dtype=torch.float64, device=c.device),
        2 * math.pi * torch.arange(2 * degree + 2, dtype=torch.float64, device=c.device) / (2 * degree + 2),
    )
    factors = (nodes[:, None] - kept) / (1 + kept.abs())
    a[: degree + 1] = torch.fft.fft(factors.prod(-1))[: degree + 1] / len(nodes)
    return a


def _by_logarithm(c: Tensor, low: float, at: float) -> Tensor:
    """exp of the half of log f that is analytic in the unit disk, for f > 0."""
    if low <= 0:
        raise ValueError(f"c must give f > 0 above degree {ROOTS_UP_TO}, got f/c_0 = {low:.4g} at x = {at:.6f}")
    count = 2 ** math.ceil(math.log2(256 * len(c)))
    values = torch.fft.fft(torch.cat((c[:1] / 2, c[1:])), n=count).real * 2  # f where e^{−iπx} = e^{−2πij/count}
    cepstrum = torch.fft.fft(values.clamp(min=low / 2).log()) / count
    cepstrum[0], cepstrum[count // 2] = cepstrum[0] / 2, cepstrum[count // 2] / 2
    cepstrum[count // 2 + 1 :] = 0
    return torch.fft.fft(torch.fft.ifft(cepstrum * count).exp())[: len(c)] / count


def _newton(a: Tensor, c: Tensor) -> Tensor:
    """One Newton step of autocorrelation(a) = c; the least-norm solution, since the phase of a is free."""
    count = len(a)
    index = torch.arange(count, device=a.device)
    later, earlier = index[:, None] + index, index - index[:, None]  # k + n and k − n in row n
    padded = torch.cat((a, torch.zeros_like(a)))
    first = torch.where(later < count, padded[later.clamp(max=2 * count - 1)].conj(), 0)  # of δa_k: a*_{k+n}
    second = torch.where(earlier >= 0, padded[earlier.clamp(min=0)], 0)  # of δa_k*: a_{k−n}
    plus, minus = first + second, 1j * (first - second)
    matrix = torch.cat((torch.cat((plus.real, minus.real), 1), torch.cat((plus.imag, minus.imag), 1)))
    miss = c - autocorrelation_direct(a)
    step = torch.linalg.lstsq(matrix, torch.cat((miss.real, miss.imag))[:, None], rcond=1e-12, driver="gelsd").solution
    return a + torch.complex(step[:count, 0], step[count:, 0])
