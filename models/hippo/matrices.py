"""The systems themselves: A and B of each measure, discretisation, normal plus low rank. All in float64."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor

Measure = Literal["legs", "legt", "lmu", "lagt", "glagt", "fout", "foud", "fourier_scale"]
MEASURES = ("legs", "legt", "lmu", "lagt", "glagt", "fout", "foud", "fourier_scale")
NORMS = ("paper", "article", "lmu")
METHODS = ("forward", "backward", "bilinear", "gbt", "zoh")
SCALED = ("legs", "fourier_scale")  # x' = (Ax + Bu)/t: their memory grows with time


def hippo_transition(
    measure: str,
    N: int,
    *,
    norm: str = "paper",
    window: float | int = 1.0,
    alpha: float | int = 0.0,
    beta: float | int = 1.0,
) -> tuple[Float[Tensor, "N N"], Float[Tensor, "N"]]:
    r"""A and B of a measure in float64: $x' = Ax + Bu$, or $x' = (Ax + Bu)/t$ for "legs" and "fourier_scale".

    Articles 10114 and 10137; HiPPO (arXiv 2008.07669), appendix D. A is stable (the paper writes c' = −Ac + Bf).

    Args:
        measure: "legs" (whole history), "legt" (window), "lmu" (window, in the basis reversed in time), "lagt" and
            "glagt" (exponential window), "fout" (window, Fourier, closure u(T−w) ≈ 2Σc − u(T)), "foud" (the article's
            closure Σc, which converges to an echoed signal), "fourier_scale" (whole history). The Fourier measures use
            the real basis 1, √2 cos 2πs, √2 sin 2πs, …, so N is odd.
        norm: of the Legendre measures. "paper": orthonormal for the probability measure; "article": on [−1, 1];
            "lmu": coefficients of p_n itself.
        window: w > 0.
        alpha, beta: of "glagt", both > −1: the state is ∫ u(T−τ) e^{−(1+β)τ/2} L_n^{(α)}(τ) dτ.

    Raises:
        ValueError: an unknown measure or norm, N < 1, an even N of a Fourier measure, window ≤ 0, alpha or beta ≤ −1.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure must be one of {', '.join(MEASURES)}, got {measure!r}")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    if N < 1:
        raise ValueError(f"N must be at least 1, got {N}")
    if not 0 < window < math.inf:
        raise ValueError(f"window must be a finite number > 0, got {window}")
    if measure in ("fout", "foud", "fourier_scale"):
        return _fourier(measure, N, window)
    n = torch.arange(N, dtype=torch.float64)
    below = (n[:, None] > n).double()
    if measure in ("lagt", "glagt"):
        a, b = (0.0, 1.0) if measure == "lagt" else (alpha, beta)
        if not (a > -1 and b > -1):
            raise ValueError(f"alpha and beta must be > −1, got {alpha} and {beta}")
        values = torch.cat((torch.ones_like(n[:1]), ((a + n[1:]) / n[1:]).cumprod(0)))  # L_n(0)
        return -(1 + b) / 2 * torch.eye(N, dtype=torch.float64) - below, values
    odd = 2 * n + 1
    scale = odd[:, None].expand(N, N) if norm == "lmu" else (odd[:, None] * odd).sqrt()
    B = {"paper": odd.sqrt(), "article": (2 * odd).sqrt(), "lmu": odd}[norm]
    if measure == "legs":
        return -scale * below - torch.diag(n + 1), B
    parity = 1 - 2 * (n % 2)  # (−1)ⁿ, exact
    A = -scale * (below + (1 - below) * parity[:, None] * parity)
    if measure == "lmu":
        A, B = parity[:, None] * A * parity, parity * B
    return A / window, B / window


def _fourier(measure: str, N: int, window: float | int) -> tuple[Tensor, Tensor]:
    if N % 2 == 0:
        raise ValueError(f"N must be odd for {measure} (the constant, and pairs of cosine and sine), got {N}")
    M = N // 2
    if measure == "fourier_scale":
        n = torch.arange(-M, M + 1, dtype=torch.float64)
        gap = n[:, None] - n
        rows = torch.where(gap == 0, torch.zeros_like(gap), -n[:, None] / torch.where(gap == 0, 1.0, gap))
        A = torch.complex(rows - torch.eye(N, dtype=torch.float64), torch.diag(math.pi * n))
        U = _real_basis(M)
        return (U @ A @ U.mH).real, (U @ torch.ones(N, dtype=A.dtype)).real
    gain = 2.0 if measure == "fout" else 1.0
    ends = torch.zeros(N, dtype=torch.float64)  # the basis at the ends of the window
    ends[0], ends[1::2] = 1.0, math.sqrt(2)
    turn = torch.zeros(N, dtype=torch.float64)
    turn[1::2] = 2 * math.pi * torch.arange(1, M + 1, dtype=torch.float64)
    A = torch.diag(turn[:-1], 1) - torch.diag(turn[:-1], -1) - gain * ends[:, None] * ends
    return A / window, gain / window * ends


def _real_basis(M: int) -> Tensor:
    """The unitary map from the modes −M, …, M to the coefficients of 1, √2 cos 2πs, √2 sin 2πs, …"""
    U = torch.zeros(2 * M + 1, 2 * M + 1, dtype=torch.complex128)
    U[0, M] = 1
    for f in range(1, M + 1):
        U[2 * f - 1, M + f] = U[2 * f - 1, M - f] = 1 / math.sqrt(2)
        U.imag[2 * f, M + f], U.imag[2 * f, M - f] = 1 / math.sqrt(2), -1 / math.sqrt(2)
    return U


def discretize(
    A: Inexact[Tensor, "N N"],
    B: Inexact[Tensor, "N"],
    step: float | int,
    method: str = "bilinear",
    *,
    alpha: float | int = 0.5,
) -> tuple[Inexact[Tensor, "N N"], Inexact[Tensor, "N"]]:
    r"""Ā and B̄ of $x_{k+1} = \bar Ax_k + \bar Bu_k$ for x' = Ax + Bu, u held over a step (article 10137).

    Args:
        step: ε > 0.
        method: "forward", "backward", "bilinear", "gbt", the generalised bilinear transform
            $(I-\alpha\epsilon A)^{-1}[(I+(1-\alpha)\epsilon A)x+\epsilon Bu]$, of which those are α = 0, 1, ½;
            or "zoh", exact for held inputs, by the exponential of the augmented matrix, so that A may be singular.
        alpha: of "gbt", in [0, 1]; A-stable from ½ on.

    Raises:
        ValueError: an unknown method, step ≤ 0, alpha outside [0, 1], integer or infinite matrices.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if not 0 < step < math.inf:
        raise ValueError(f"step must be a finite number > 0, got {step}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
    for name, value in (("A", A), ("B", B)):
        if not (value.is_floating_point() or value.is_complex()):
            raise ValueError(f"{name} must be of a floating-point type, got {value.dtype}")
        if not torch.compiler.is_compiling() and not value.is_meta and not bool(value.isfinite().all()):
            raise ValueError(f"{name} must be finite")
    N = A.shape[0]
    if method == "zoh":
        augmented = torch.cat((torch.cat((A, B[:, None]), dim=1) * step, A.new_zeros(1, N + 1)))
        held = torch.linalg.matrix_exp(augmented)
        return held[:N, :N], held[:N, N]
    weight = {"forward": 0.0, "backward": 1.0, "bilinear": 0.5, "gbt": float(alpha)}[method]
    eye = torch.eye(N, dtype=A.dtype, device=A.device)
    right = torch.cat((eye + (1 - weight) * step * A, step * B[:, None]), dim=1)
    both = right if weight == 0 else torch.linalg.solve(eye - weight * step * A, right)
    return both[:, :N], both[:, N]


class NPLR(NamedTuple):
    """A = V(Λ − P P*)V*, B in the same basis, unitary V; the last N/2 eigenvalues are those with Im Λ > 0."""

    eigenvalues: Complex[Tensor, "N"]
    P: Complex[Tensor, "rank N"]
    B: Complex[Tensor, "N"]
    V: Complex[Tensor, "N N"]

    def half(self) -> NPLR:
        """What is kept of conjugate pairs: the eigenvalues with Im Λ > 0 (N even); sums become 2 Re of these."""
        n = self.eigenvalues.shape[0] // 2
        return NPLR(self.eigenvalues[n:], self.P[:, n:], self.B[n:], self.V[:, n:])


def nplr(measure: str, N: int) -> NPLR:
    r"""Normal plus low rank (S4, arXiv 2111.00396, theorem 1; article 10162), in the paper's norm.

    LegS is $-\frac12I + S - pp^\top$ with $p_n = \sqrt{n+\frac12}$, LegT skew − eeᵀ − ooᵀ (rank 2), LagT $-\frac12I$
    + skew − ½11ᵀ. The eigenvectors come from the Hermitian −iS, so V is unitary to rounding.

    Raises:
        ValueError: another measure, or N < 1.
    """
    if measure not in ("legs", "legt", "lagt"):
        raise ValueError(f"measure must be one of legs, legt, lagt, got {measure!r}")
    A, B = hippo_transition(measure, N)
    odd = torch.arange(N, dtype=torch.float64) * 2 + 1
    if measure == "legs":
        P, shift = (odd / 2).sqrt()[None], 0.5
    elif measure == "legt":
        even = (torch.arange(N) % 2 == 0).double()
        P, shift = torch.stack((odd.sqrt() * even, odd.sqrt() * (1 - even))), 0.0
    else:
        P, shift = torch.full((1, N), math.sqrt(0.5), dtype=torch.float64), 0.5
    normal = A + P.mT @ P
    S = (normal - normal.mT) / 2
    frequencies, V = torch.linalg.eigh(-1j * S)
    to_basis = V.mH
    return NPLR(
        torch.complex(torch.full_like(frequencies, -shift), frequencies),
        (to_basis @ P.mT.to(V.dtype)).mT, to_basis @ B.to(V.dtype), V,
    )  # fmt: skip
