"""State space layers: S4 (diagonal plus low rank), S4D (diagonal), S5 (one system for all channels), LRU.

Each maps (batch, length, channels) to the same shape, and has `initial_state` and `step` that give the same outputs
one position at a time. Complex parameters are stored as real pairs (…, 2): optimisers, safetensors and casts see real
numbers. Shapes: B batch, L length, H channels, S stored states.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from kexue.models._torch import full_precision

from .kernels import discretize_diagonal, dplr_kernel, dplr_readout, dplr_step, expm1, s4d_kernel
from .matrices import nplr
from .scan import fft_convolution, linear_scan

INITS = ("lin", "inv", "real", "legs")


def as_complex(pairs: Float[Tensor, "*shape 2"]) -> Complex[Tensor, "*shape"]:
    work = torch.promote_types(pairs.dtype, torch.float32)
    return torch.view_as_complex(pairs.to(work).contiguous())


def as_pairs(z: Complex[Tensor, "*shape"]) -> Float[Tensor, "*shape 2"]:
    return torch.view_as_real(z.resolve_conj()).to(torch.get_default_dtype()).contiguous()


def wide(parameter: Tensor) -> Tensor:
    return parameter.to(torch.promote_types(parameter.dtype, torch.float32))


def diagonal_eigenvalues(init: str, N: int) -> Complex[Tensor, "states"]:
    """The N/2 stored eigenvalues of S4D's initialisations (arXiv 2206.11893, section 4.1), in complex128.

    "lin": −½ + iπn; "inv": −½ + i(N/π)(N/(2n+1) − 1); "real": −(n+1); "legs": of the normal part of LegS.
    """
    n = torch.arange(N // 2, dtype=torch.float64)
    half = torch.full_like(n, -0.5)
    if init == "legs":
        return nplr("legs", N).half().eigenvalues
    if init == "real":
        return torch.complex(-(n + 1), torch.zeros_like(n))
    return torch.complex(half, math.pi * n if init == "lin" else N / math.pi * (N / (2 * n + 1) - 1))


class StateSpaceLayer(nn.Module):
    """What the layers share. `system_parameters` are trained with their own learning rate and without weight decay."""

    system_parameters: ClassVar[tuple[str, ...]]

    def __init__(self, channels: int, state: int, step_range: tuple[float | int, float | int]) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        if state < 2 or state % 2:
            raise ValueError(f"state must be even and at least 2, since eigenvalues come in pairs, got {state}")
        if not 0 < step_range[0] <= step_range[1] < math.inf:
            raise ValueError(f"step_range must be 0 < low ≤ high, got {step_range}")
        self.channels, self.state = channels, state
        self.skip = nn.Parameter(torch.randn(channels))

    def initial_state(self, batch_size: int) -> Any:
        raise NotImplementedError

    def step(self, u: Float[Tensor, "batch channels"], state: Any) -> tuple[Float[Tensor, "batch channels"], Any]:
        raise NotImplementedError


def log_steps(count: int, low: float | int, high: float | int) -> Tensor:
    return math.log(low) + torch.rand(count) * (math.log(high) - math.log(low))


class _PerChannel(StateSpaceLayer):
    """A system for each channel: a kernel, a convolution, and the input itself."""

    def kernel(self, length: int) -> Float[Tensor, "channels length"]:
        raise NotImplementedError

    def forward(self, u: Float[Tensor, "batch length channels"]) -> Float[Tensor, "batch length channels"]:
        with full_precision(u):
            y = fft_convolution(u.mT, self.kernel(u.shape[1]))
        return y.mT + self.skip.to(u.dtype) * u

    def eigenvalues(self) -> Complex[Tensor, "channels states"]:
        """Re λ < 0 by construction: the logarithm of −Re λ is trained."""
        return torch.complex(-wide(self.log_decay).exp(), wide(self.frequency))

    def keep_eigenvalues(self, lam: Tensor) -> None:
        shape = (self.channels, lam.shape[0])
        self.log_decay = nn.Parameter((-lam.real).log().to(torch.get_default_dtype()).expand(shape).clone())
        self.frequency = nn.Parameter(lam.imag.to(torch.get_default_dtype()).expand(shape).clone())


class S4D(_PerChannel):
    """A diagonal system for each channel (arXiv 2206.11893). B is 1: only C·B matters to a diagonal system.

    Args:
        channels: H.
        state: N, even; N/2 complex states are stored.
        init: "lin", "inv", "real" or "legs" (see `diagonal_eigenvalues`).
        method: "zoh" or "bilinear".
        step_range: the steps are log-uniform in it.
    """

    system_parameters = ("log_step", "log_decay", "frequency")

    def __init__(
        self, channels: int, state: int = 64, *, init: str = "lin", method: str = "zoh",
        step_range: tuple[float | int, float | int] = (1e-3, 1e-1),
    ) -> None:  # fmt: skip
        super().__init__(channels, state, step_range)
        if init not in INITS:
            raise ValueError(f"init must be one of {', '.join(INITS)}, got {init!r}")
        if method not in ("zoh", "bilinear"):
            raise ValueError(f"method must be zoh or bilinear, got {method!r}")
        self.method = method
        self.log_step = nn.Parameter(log_steps(channels, *step_range))
        self.keep_eigenvalues(diagonal_eigenvalues(init, state))
        self.C = nn.Parameter(torch.randn(channels, state // 2, 2) * math.sqrt(0.5))

    def kernel(self, length: int) -> Float[Tensor, "channels length"]:
        c = as_complex(self.C)
        return s4d_kernel(self.eigenvalues(), torch.ones_like(c), c, wide(self.log_step).exp(), length, self.method)

    def initial_state(self, batch_size: int) -> Complex[Tensor, "batch channels states"]:
        return torch.zeros_like(as_complex(self.C)).expand(batch_size, -1, -1)

    def step(
        self, u: Float[Tensor, "batch channels"], state: Complex[Tensor, "batch channels states"]
    ) -> tuple[Float[Tensor, "batch channels"], Complex[Tensor, "batch channels states"]]:
        c = as_complex(self.C)
        log_bar, b_bar = discretize_diagonal(
            self.eigenvalues(), torch.ones_like(c), wide(self.log_step).exp(), self.method
        )
        state = log_bar.exp() * state + b_bar * u[..., None]
        return (2 * (c * state).sum(-1).real).to(u.dtype) + self.skip.to(u.dtype) * u, state


class S4(_PerChannel):
    """A diagonal plus low rank system for each channel (arXiv 2111.00396), from HiPPO matrices, bilinear.

    C̃ = C(I − Ā^L) is what is trained, for L = `length`; so a longer input needs another `length`, and it is refused.

    Args:
        channels: H.
        state: N, even.
        length: L, of the longest input.
        measure: "legs" (rank 1), "legt" (rank 2) or "lagt".
        step_range: the steps are log-uniform in it.
    """

    system_parameters = ("log_step", "log_decay", "frequency", "P", "B")

    def __init__(
        self, channels: int, state: int = 64, *, length: int, measure: str = "legs",
        step_range: tuple[float | int, float | int] = (1e-3, 1e-1),
    ) -> None:  # fmt: skip
        super().__init__(channels, state, step_range)
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        self.length = length
        normal = nplr(measure, state).half()
        lam = normal.eigenvalues
        if measure == "legt":  # its normal part is skew: the decay comes from the low rank, and log 0 isn't finite
            lam = lam - 1e-2
        self.log_step = nn.Parameter(log_steps(channels, *step_range))
        self.keep_eigenvalues(lam)
        self.P = nn.Parameter(as_pairs(normal.P).expand(channels, -1, -1, -1).clone())
        self.B = nn.Parameter(as_pairs(normal.B).expand(channels, -1, -1).clone())
        self.C = nn.Parameter(torch.randn(channels, state // 2, 2) * math.sqrt(0.5))

    def kernel(self, length: int) -> Float[Tensor, "channels length"]:
        if length > self.length:
            raise ValueError(f"length must be at most {self.length}, for which C(I − Ā^L) is stored, got {length}")
        p, b, c = as_complex(self.P), as_complex(self.B), as_complex(self.C)
        return dplr_kernel(self.eigenvalues(), p, b, c, wide(self.log_step).exp(), self.length)[:, :length]

    def readout(self) -> Complex[Tensor, "channels states"]:
        """C from C̃, with dense matrices: once for a stream, not once a step."""
        return dplr_readout(
            self.eigenvalues(), as_complex(self.P), as_complex(self.C), wide(self.log_step).exp(), self.length
        )

    def initial_state(
        self, batch_size: int
    ) -> tuple[Complex[Tensor, "batch channels states"], Complex[Tensor, "channels states"]]:
        """Zeros, and the readout of the stream."""
        c = self.readout()
        return torch.zeros_like(c).expand(batch_size, -1, -1), c

    def step(self, u: Float[Tensor, "batch channels"], state: Any) -> tuple[Float[Tensor, "batch channels"], Any]:
        x, c = state
        x = dplr_step(
            x, u.to(c.real.dtype), self.eigenvalues(), as_complex(self.P), as_complex(self.B), wide(self.log_step).exp()
        )
        return (2 * (c * x).sum(-1).real).to(u.dtype) + self.skip.to(u.dtype) * u, (x, c)


class _Shared(StateSpaceLayer):
    """One diagonal system for all channels, run by a scan: x_k = λ̄x_{k−1} + B̄u_k, y = weight·Re Cx + skip·u."""

    weight: ClassVar[int]
    C: nn.Parameter

    def system(self) -> tuple[Complex[Tensor, "states"], Complex[Tensor, "states channels"]]:
        """λ̄ and B̄."""
        raise NotImplementedError

    def forward(self, u: Float[Tensor, "batch length channels"]) -> Float[Tensor, "batch length channels"]:
        with full_precision(u):
            lam_bar, b_bar = self.system()
            return self.read(linear_scan(lam_bar[None], self.feed(b_bar, u)), u)

    def feed(self, b_bar: Tensor, u: Tensor) -> Tensor:
        """B̄u for real u: one real product of matrices."""
        real = u.to(b_bar.real.dtype) @ torch.cat((b_bar.real, b_bar.imag)).mT
        return torch.complex(*real.chunk(2, dim=-1))

    def read(self, x: Tensor, u: Tensor) -> Tensor:
        c = self.weight * wide(self.C)
        y = torch.cat((x.real, x.imag), dim=-1) @ torch.cat((c[..., 0], -c[..., 1]), dim=-1).mT
        return y.to(u.dtype) + self.skip.to(u.dtype) * u

    def initial_state(self, batch_size: int) -> Complex[Tensor, "batch states"]:
        return torch.zeros_like(as_complex(self.C[0])).expand(batch_size, -1)

    def step(
        self, u: Float[Tensor, "batch channels"], state: Complex[Tensor, "batch states"]
    ) -> tuple[Float[Tensor, "batch channels"], Complex[Tensor, "batch states"]]:
        lam_bar, b_bar = self.system()
        state = lam_bar * state + self.feed(b_bar, u)
        return self.read(state, u), state


class S5(_Shared):
    """One system for all channels from blocks of the normal part of LegS, zero-order hold (arXiv 2208.04933).

    Args:
        channels: H.
        state: N, even, a multiple of 2·blocks.
        blocks: J blocks of N/J states.
        step_range: the steps, one for each stored state, are log-uniform in it.
    """

    system_parameters = ("log_step", "log_decay", "frequency", "B")
    weight = 2

    def __init__(
        self, channels: int, state: int = 64, *, blocks: int = 1,
        step_range: tuple[float | int, float | int] = (1e-3, 1e-1),
    ) -> None:  # fmt: skip
        super().__init__(channels, state, step_range)
        if blocks < 1 or state % (2 * blocks):
            raise ValueError(f"blocks must be at least 1 and 2·blocks divide the state {state}, got {blocks}")
        block = nplr("legs", state // blocks).half()
        V = torch.block_diag(*[block.V] * blocks).to(torch.complex64)  # (N, S)
        lam = block.eigenvalues.repeat(blocks)
        self.log_step = nn.Parameter(log_steps(state // 2, *step_range))
        self.log_decay = nn.Parameter((-lam.real).log().to(torch.get_default_dtype()))
        self.frequency = nn.Parameter(lam.imag.to(torch.get_default_dtype()))
        B, C = torch.randn(state, channels) / math.sqrt(channels), torch.randn(channels, state) / math.sqrt(state)
        self.B = nn.Parameter(as_pairs(V.mH @ B.to(V.dtype)))
        self.C = nn.Parameter(as_pairs(C.to(V.dtype) @ V))

    def system(self) -> tuple[Complex[Tensor, "states"], Complex[Tensor, "states channels"]]:
        lam = torch.complex(-wide(self.log_decay).exp(), wide(self.frequency))
        z = lam * wide(self.log_step).exp()
        return z.exp(), (expm1(z) / lam)[:, None] * as_complex(self.B)


class LRU(_Shared):
    r"""The linear recurrent unit (arXiv 2303.06349): $|\lambda|^2$ uniform in a ring, inputs scaled by
    $\sqrt{1-|\lambda|^2}$.

    Args:
        channels: H.
        state: N complex states (even).
        ring: (r_min, r_max) with 0 ≤ r_min < r_max < 1.
        max_phase: the phases are uniform in [0, 2π·max_phase].
    """

    system_parameters = ("nu_log", "theta_log", "gamma_log")
    weight = 1

    def __init__(
        self, channels: int, state: int = 64, *, ring: tuple[float | int, float | int] = (0.4, 0.99),
        max_phase: float | int = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(channels, state, (1, 1))
        low, high = ring
        if not 0 <= low < high < 1:
            raise ValueError(f"ring must be 0 ≤ r_min < r_max < 1, got {ring}")
        if not 0 < max_phase <= 1:
            raise ValueError(f"max_phase must be in (0, 1], got {max_phase}")
        squared = ring_squares(torch.rand(state), low, high)
        self.nu_log = nn.Parameter((-0.5 * squared.log()).log())
        self.theta_log = nn.Parameter((2 * math.pi * max_phase * torch.rand(state)).clamp(min=1e-6).log())
        self.gamma_log = nn.Parameter((1 - squared).log() / 2)
        self.B = nn.Parameter(torch.randn(state, channels, 2) / math.sqrt(2 * channels))
        self.C = nn.Parameter(torch.randn(channels, state, 2) / math.sqrt(state))

    def system(self) -> tuple[Complex[Tensor, "states"], Complex[Tensor, "states channels"]]:
        log_size, phase = -wide(self.nu_log).exp(), wide(self.theta_log).exp()
        return torch.polar(log_size.exp(), phase), wide(self.gamma_log).exp()[:, None] * as_complex(self.B)


def ring_squares(u: Float[Tensor, "*shape"], low: float | int, high: float | int) -> Float[Tensor, "*shape"]:
    """|λ|² for uniform u: uniform between low² and high², which is uniform by area in the ring."""
    return (u * (high**2 - low**2) + low**2).clamp(min=1e-12)
