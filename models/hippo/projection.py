"""Online projection: LegS steps in linear time, the exact propagator, and `HiPPOProjection` for every measure."""

from __future__ import annotations

import functools
import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .matrices import METHODS, SCALED, discretize, hippo_transition
from .scan import fft_convolution, linear_scan

Scheme = Literal["forward", "backward", "printed", "held", "trapezoid", "exact"]
SCHEMES = ("forward", "backward", "printed", "held", "trapezoid", "exact")


def legendre_basis(N: int, x: Float[Tensor, "*points"]) -> Float[Tensor, "*points N"]:
    """√(2n+1) p_n(x), n < N, by Bonnet's recurrence: orthonormal on [−1, 1] for the measure dx/2."""
    p = [torch.ones_like(x), x]
    for n in range(1, N - 1):
        p.append(((2 * n + 1) * x * p[n] - n * p[n - 1]) / (n + 1))
    return torch.stack(p[:N], dim=-1) * (2 * torch.arange(N, dtype=x.dtype, device=x.device) + 1).sqrt()


@functools.cache
def gauss_legendre(count: int) -> tuple[Float[Tensor, "count"], Float[Tensor, "count"]]:
    """Nodes in (−1, 1) and weights that sum to 1, exact for degree 2·count − 1 (Golub–Welsch): float64, on the CPU."""
    n = torch.arange(1, count, dtype=torch.float64, device="cpu")
    off = n / (4 * n * n - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return nodes, vectors[0].square()


def legs_matvec(v: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
    """Av for LegS (paper norm) in O(N): n v_n − √(2n+1) cumsum(√(2k+1) v_k)_n (article 10137)."""
    n = torch.arange(v.shape[-1], dtype=v.dtype, device=v.device)
    root = (2 * n + 1).sqrt()
    return n * v - root * (root * v).cumsum(-1)


def legs_solve(v: Float[Tensor, "*batch N"], step: float | int) -> Float[Tensor, "*batch N"]:
    r"""z with (I − λA)z = v for LegS (paper norm), λ = `step`: a scalar recurrence in n, so O(N) and O(log N) deep.

    Article 10137: $S_n = \frac{(1-\lambda n)S_{n-1}+\sqrt{2n+1}v_n}{1+\lambda(n+1)}$, $z_n =
    (S_n-S_{n-1})/\sqrt{2n+1}$. The difference is formed before the division: $z_n =
    \frac{v_n-\lambda\sqrt{2n+1}S_{n-1}}{1+\lambda(n+1)}$ loses no digits.

    Raises:
        ValueError: 1 + λ(n+1) = 0 for some n < N: the system is singular.
    """
    N = v.shape[-1]
    if step < 0 and any(1 + step * (n + 1) == 0 for n in range(N)):
        raise ValueError(f"step must not be −1/(n+1) for n < {N}: I − step·A is singular, got {step}")
    n = torch.arange(N, dtype=v.dtype, device=v.device)
    root, pivot = (2 * n + 1).sqrt(), 1 + step * (n + 1)
    sums = linear_scan(((1 - step * n) / pivot)[:, None], (root * v / pivot)[..., None])[..., 0]
    before = torch.cat((torch.zeros_like(sums[..., :1]), sums[..., :-1]), dim=-1)
    return (v - step * root * before) / pivot


def legs_propagator(N: int, ratio: float | int) -> tuple[Float[Tensor, "N N"], Float[Tensor, "N"]]:
    r"""$\rho^{-A}$ and $A^{-1}(\rho^{-A}-I)B$ for LegS (paper norm), ρ = t/(t+ε): the exact step for a held input.

    The step projects onto [0, 1] what was known on [0, ρ], $(\rho^{-A})_{nk} = \rho\int_0^1g_n(\rho y)g_k(y)\,dy$,
    and the input is projected from [ρ, 1]. Polynomials of degree 2N − 2 at most: N Gauss nodes are exact, and nothing
    is ill-conditioned, unlike eigenvectors (claims hippo/legs-exact-zoh, hippo/s4-v-overflow). float64.

    Raises:
        ValueError: N < 1 or ρ outside (0, 1].
    """
    if N < 1:
        raise ValueError(f"N must be at least 1, got {N}")
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must be in (0, 1], got {ratio}")
    nodes, weights = gauss_legendre(N)
    inside, whole = legendre_basis(N, ratio * (nodes + 1) - 1), legendre_basis(N, nodes)
    fresh = legendre_basis(N, (1 - ratio) * (nodes + 1) + 2 * ratio - 1)
    return ratio * (inside * weights[:, None]).mT @ whole, (1 - ratio) * weights @ fresh


class LegSCell(nn.Module):
    """One step of LegS from time k to k + 1 (in steps; its length cancels), in O(N) unless exact.

    Args:
        N: coefficients, in the paper's norm.
        scheme: "forward" (the HiPPO paper's fast variant, A/k: grows like 2^N before it settles), "backward" (A/(k+1)),
            "printed" (article 10137: order 1, and it doesn't keep constants), "held" (all at k + 1: order 1, keeps
            constants), "trapezoid" (order 2, keeps constants; for sampled signals), "exact" (held inputs).

    Raises:
        ValueError: an unknown scheme, or N < 1.
    """

    def __init__(self, N: int, scheme: str = "trapezoid") -> None:
        super().__init__()
        if scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}")
        if N < 1:
            raise ValueError(f"N must be at least 1, got {N}")
        self.N, self.scheme = N, scheme

    def first(self, u: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch N"]:
        """The state at time 1, exact for a held first input: A/k is singular at k = 0."""
        return torch.nn.functional.pad(u[..., None], (0, self.N - 1))

    def forward(
        self, x: Float[Tensor, "*batch N"], previous: Float[Tensor, "*batch"], current: Float[Tensor, "*batch"], k: int
    ) -> Float[Tensor, "*batch N"]:
        """The state at time k + 1 ≥ 2.

        Args:
            x: the state at time k ≥ 1.
            previous: the sample at time k; only the trapezoid reads it.
            current: the sample at time k + 1, or the input held between.

        Raises:
            ValueError: k < 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1 (start with `first`), got {k}")
        if self.scheme == "exact":
            move, feed = legs_propagator(self.N, k / (k + 1))
            return x @ move.mT.to(x) + current[..., None] * feed.to(x)
        B = (2 * torch.arange(self.N, dtype=x.dtype, device=x.device) + 1).sqrt()
        now, then = 1 / k, 1 / (k + 1)
        if self.scheme == "forward":
            return x + now * (legs_matvec(x) + B * current[..., None])
        if self.scheme == "backward":
            return legs_solve(x + then * B * current[..., None], then)
        if self.scheme == "held":
            now = then
        if self.scheme == "trapezoid":
            fed = 0.5 * (now * previous + then * current)
        else:
            fed = now * current
        return legs_solve(x + now / 2 * legs_matvec(x) + B * fed[..., None], then / 2)


def impulse_response(
    A: Float[Tensor, "N N"], B: Float[Tensor, "N"], length: int
) -> Float[Tensor, "length N"]:
    """B, AB, A²B, … by doubling: log₂ L products of matrices instead of L."""
    found, power = B[None], A
    while found.shape[0] < length:
        found = torch.cat((found, found @ power.mT))
        power = power @ power
    return found[:length]


class HiPPOProjection(nn.Module):
    """The coefficients of the past of a signal, at every step, and the signal that they stand for.

    Args:
        N: coefficients (odd for the Fourier measures).
        measure: see `hippo_transition`.
        window: w of the windowed measures, in the units of `step`.
        step: time between two samples; LegS and its like have none.
        method: how time-invariant systems are discretised (see `discretize`).
        scheme: how LegS steps (see `LegSCell`); "fourier_scale" steps exactly.

    Raises:
        ValueError: as `hippo_transition`, `discretize`, `LegSCell`.
    """

    A: Tensor
    B: Tensor

    def __init__(
        self, N: int, measure: str = "legs", *, window: float | int = 1.0, step: float | int = 1.0, method: str = "zoh",
        scheme: str = "exact",
    ) -> None:  # fmt: skip
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        self.N, self.measure, self.window, self.step = N, measure, float(window), float(step)
        A, B = hippo_transition(measure, N, window=window)
        self.cell = LegSCell(N, scheme) if measure == "legs" else None
        if measure not in SCALED:
            A, B = discretize(A, B, step, method)
        self.register_buffer("A", A, persistent=False)
        self.register_buffer("B", B, persistent=False)

    def forward(self, u: Float[Tensor, "length batch"]) -> Float[Tensor, "length batch N"]:
        """The state behind each sample. Time-invariant systems: one convolution; scaled ones: step by step.

        Raises:
            ValueError: an empty signal, or integers.
        """
        if u.shape[0] < 1:
            raise ValueError("u must have at least one sample, got none")
        if not u.is_floating_point():
            raise ValueError(f"u must be a floating point tensor, got {u.dtype}")
        if self.measure in SCALED:
            return self.recurrent(u)
        kernel = impulse_response(self.A, self.B, u.shape[0]).to(u)
        signal = u.mT[:, None].expand(-1, self.N, -1)
        return fft_convolution(signal, kernel.mT).permute(2, 0, 1)

    def recurrent(self, u: Float[Tensor, "length batch"]) -> Float[Tensor, "length batch N"]:
        """The same, one sample after the other: the plain reference."""
        states = []
        x = u.new_zeros(u.shape[1], self.N)
        for k in range(u.shape[0]):
            if self.cell is not None:
                x = self.cell.first(u[0]) if k == 0 else self.cell(x, u[k - 1], u[k], k)
            elif self.measure == "fourier_scale":
                move, feed = self._scaled_step(k)
                x = x @ move.mT.to(u) + u[k][:, None] * feed.to(u)
            else:
                x = x @ self.A.mT.to(u) + u[k][:, None] * self.B.to(u)
            states.append(x)
        return torch.stack(states)

    def _scaled_step(self, k: int) -> tuple[Tensor, Tensor]:
        """The exact step of t x' = Ax + Bu from k to k + 1; from 0, the state of a constant is −A⁻¹B u."""
        if k == 0:
            return torch.zeros_like(self.A), -torch.linalg.solve(self.A, self.B)
        return discretize(self.A, self.B, math.log1p(1 / k), "zoh")

    def reconstruct(
        self, c: Float[Tensor, "*batch N"], ago: Float[Tensor, "points"]
    ) -> Float[Tensor, "*batch points"]:
        """The remembered signal `ago` before the state's time.

        Args:
            ago: in the units of `step`, in [0, window]; for the scaled measures as a share of the history, in [0, 1];
                for "lagt" any number ≥ 0.

        Raises:
            ValueError: for "glagt", whose expansion `hippo_transition` describes.
        """
        if self.measure == "glagt":
            raise ValueError("measure must not be glagt: its weights depend on alpha and beta")
        if self.measure == "lagt":
            return c @ laguerre_basis(self.N, ago).mT.to(c)
        s = 1 - ago / (1.0 if self.measure in SCALED else self.window)
        if self.measure in ("fout", "foud", "fourier_scale"):
            angle = 2 * math.pi * s[:, None] * torch.arange(1, self.N // 2 + 1, dtype=s.dtype, device=s.device)
            waves = torch.stack((angle.cos(), angle.sin()), dim=-1).flatten(1) * math.sqrt(2)
            return c @ torch.cat((torch.ones_like(s[:, None]), waves), dim=1).mT.to(c)
        sign = -1 if self.measure == "lmu" else 1
        return c @ legendre_basis(self.N, sign * (2 * s - 1)).mT.to(c)


def laguerre_basis(N: int, x: Float[Tensor, "points"]) -> Float[Tensor, "points N"]:
    """L_n(x), n < N, orthonormal for e^{−x} on [0, ∞)."""
    p = [torch.ones_like(x), 1 - x]
    for n in range(1, N - 1):
        p.append(((2 * n + 1 - x) * p[n] - n * p[n - 1]) / (n + 1))
    return torch.stack(p[:N], dim=-1)
