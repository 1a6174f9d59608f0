"""The densities as distributions: on a period, and carried to ℝ by tanh. Everything is exact up to rounding: cdf,
quantiles, masses of bins; entropy alone is a quadrature.

Shapes: *batch densities, F = N + 1 coefficients, values (*sample, *batch). ρ_n = c_n/c_0.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from .._torch import full_precision, is_traced, source
from .series import (
    _shares,
    _windowed,
    amplitude,
    autocorrelation,
    fejer_coefficients,
    mean_density,
    spectral_factor,
)

QUANTILE_STEPS, FEW_AFTER = 64, 3
SCALES = (0.7, 1.0, 1.5, 2.2)
NODES = 4096  # of a period; on ℝ four times as many, over a length of 2 · REACH in z
REACH = 22.0  # sech² z at |z| = 22 is 3e-19: what the quadratures on ℝ leave out


def _concrete(x: Tensor) -> bool:
    return not (is_traced(x) or x.is_meta)


def _require(holds: Tensor, message: str) -> None:
    if _concrete(holds) and not bool(holds.all()):
        raise ValueError(message)


def end_mass(
    rho: Complex[Tensor, "*batch N"], length: Float[Tensor, "*shape"], side: Tensor | float = 1.0
) -> Float[Tensor, "..."]:
    """The mass of [−1, −1 + length], accurate relative to the length; of [1 − length, 1] for side = −1."""
    c, s = torch.cos(math.pi / 2 * length), torch.sin(math.pi / 2 * length)
    return length * (0.5 + torch.sinc(length / 2) * _windowed(rho, -c, -s, length, side)[0])


def solve_from_end(
    a: Complex[Tensor, "*batch F"],
    mass: Float[Tensor, "*shape"],
    guess: Float[Tensor, "*shape"],
    side: Float[Tensor, "*shape"],
) -> Float[Tensor, "..."]:
    """The length with end_mass(ρ, length, side) = mass, 0 < mass < 1, by Newton's method within a bracket; Σ|a_k|² = 1.

    The bracket starts between 2·mass/(N+1), as p ≤ (N+1)/2, and 2; a step that leaves it, or that isn't half as long
    as the one before the last, is replaced by a halving.
    """
    eps, tiny = torch.finfo(mass.dtype).eps, torch.finfo(mass.dtype).tiny
    rho = autocorrelation(a)[..., 1:]
    low, high = 2 * mass / a.shape[-1], torch.full_like(mass, 2.0)
    length = torch.maximum(torch.minimum(guess, high), low)
    before = last = torch.full_like(mass, 2.0)
    settled = torch.zeros_like(mass, dtype=torch.bool)
    for step in range(QUANTILE_STEPS):
        excess = end_mass(rho, length, side) - mass
        p, q = amplitude(a, side * (length - 1))
        slope = (p.square() + q.square()) / 2
        low, high = torch.where(excess < 0, length, low), torch.where(excess < 0, high, length)
        settled = settled | (excess.abs() <= 2 * eps * torch.maximum(mass, length / 2))
        newton = length - excess / slope.clamp(min=tiny)
        halving = torch.where(high > 4 * low, (low * high).sqrt(), (low + high) / 2)
        quick = (newton >= low) & (newton <= high) & ((newton - length).abs() <= before / 2)
        after = torch.where(settled, length, torch.where(quick, newton, halving))
        settled = settled | ((after - length).abs() <= 2 * eps * length)
        before, last, length = last, (after - length).abs(), after
        if _concrete(mass):
            rest = (~settled).reshape(-1).nonzero()[:, 0]
            if not len(rest):
                break
            if step >= FEW_AFTER and len(rest) < mass.numel() // 4:  # go on with these alone
                rows = a if a.ndim == 1 else a.reshape(-1, a.shape[-1])[rest % a[..., 0].numel()]
                few = (x.reshape(-1)[rest] for x in (mass, length, side))
                length = length.reshape(-1).index_put((rest,), solve_from_end(rows, *few)).reshape(mass.shape)
                break
    return length


def line_log_prob(
    a: Complex[Tensor, "*batch F"], loc: Tensor, scale: Tensor, value: Float[Tensor, "*shape"]
) -> Float[Tensor, "..."]:
    """log q for Σ|a_k|² = 1; log sech² z = 2(log 2 − |z| − log(1 + e^{−2|z|})) doesn't underflow."""
    z = (value - loc) / scale
    p, q = amplitude(a, torch.tanh(z))
    size = z.abs()
    return (p.square() + q.square()).log() + math.log(2) - 2 * (size + torch.log1p(torch.exp(-2 * size))) - scale.log()


def line_log_bin_prob(
    a: Complex[Tensor, "*batch F"], loc: Tensor, scale: Tensor, center: Float[Tensor, "*shape"], width: Tensor | float
) -> Float[Tensor, "..."]:
    """log of tanh b − tanh a = 2σ(2b)σ(−2a)(1 − e^{−2(b−a)}), plus log of the mean of p in between; Σ|a_k|² = 1."""
    half = width / (2 * scale)
    z = (center - loc) / scale
    low, high = z - half, z + half
    log_delta = logsigmoid(2 * high) + logsigmoid(-2 * low) + torch.log(-torch.expm1(-4 * half)) + math.log(2)
    inside = mean_density(autocorrelation(a)[..., 1:], (torch.tanh(low) + torch.tanh(high)) / 2, log_delta.exp())
    return log_delta + inside.clamp(min=torch.finfo(inside.dtype).tiny).log()


def smoothness(a: Complex[Tensor, "*batch F"], on: str = "p") -> Float[Tensor, "*batch"]:
    """∫|p'|² on [−1, 1], free of a's scale, or with on="f" the article's ∫|f'|² for f = |A|², which can be trained away
    (claims fourier_density/smoothness, regulariser-scale-defect)."""
    if on not in ("p", "f"):
        raise ValueError(f'on must be "p" or "f", got {on!r}')
    series = autocorrelation(a)
    order = torch.arange(a.shape[-1], dtype=a.real.dtype, device=a.device)
    total = math.pi**2 * (order.square() * (series.real.square() + series.imag.square())).sum(-1)
    return 4 * total if on == "f" else total / series[..., 0].real.square()


def normalized(a: Complex[Tensor, "*batch F"]) -> tuple[Complex[Tensor, "*batch F"], Float[Tensor, "*batch"]]:
    """a scaled to Σ|a_k|² = 1, and its Σ|a_k|²."""
    squared = (a.real.square() + a.imag.square()).sum(-1)
    return a / squared.sqrt()[..., None], squared


class _SeriesDistribution(Distribution):
    """What both share: |a| = 1 coefficients, quantiles with implicit gradients, sampling, bits of bins."""

    arg_constraints: dict[str, Any] = {}
    has_rsample = True

    def __init__(self, a: Tensor, batch_shape: torch.Size, validate_args: bool | None) -> None:
        self.a, self.squared_norm = normalized(a)
        _require(self.squared_norm.isfinite(), "a must be finite")
        _require(self.squared_norm > 0, "a must not be zero: its density has no mass to normalise")
        super().__init__(batch_shape, validate_args=bool(validate_args))

    @property
    def degree(self) -> int:
        """N."""
        return self.a.shape[-1] - 1

    @property
    def rho(self) -> Complex[Tensor, "*batch N"]:
        """ρ_1 … ρ_N, the trigonometric moments E e^{−iπnx} of x in [−1, 1]."""
        return autocorrelation(self.a)[..., 1:]

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def log_bin_prob(self, center: Tensor, width: Tensor | float = 1.0) -> Tensor:
        raise NotImplementedError

    def _quantile(self, lower: Tensor, length: Tensor) -> Tensor:
        """The value at a distance `length` in x from the lower end −1, or from the upper end 1."""
        raise NotImplementedError

    def prob(self, value: Tensor) -> Tensor:
        return self.log_prob(value).exp()

    def bin_prob(self, center: Tensor, width: Tensor | float = 1.0) -> Tensor:
        """The mass of [center − width/2, center + width/2]."""
        return self.log_bin_prob(center, width).exp()

    def bin_bits(self, center: Tensor, width: Tensor | float = 1.0) -> Tensor:
        """−log₂ of the mass of the bin; finite however far out the bin is."""
        return -self.log_bin_prob(center, width) / math.log(2)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile, by a bracketed Newton method (claim fourier_density/inverse-cdf-sampling). Gradients in the
        parameters and in `value` are those of the implicit function theorem.

        Raises:
            ValueError: value outside (0, 1).
        """
        _require((value > 0) & (value < 1), "value must be in (0, 1): a quantile of 0 or 1 is an end of the support")
        value = value + torch.zeros(self._batch_shape, dtype=value.dtype, device=value.device)
        with torch.no_grad():
            rho = self.rho
            lower = value <= 0.5
            guess = self._guess(rho, value)
            side = torch.where(lower, 1.0, -1.0).to(value.dtype)
            tail = torch.where(lower, value, 1 - value)
            length = solve_from_end(self.a, tail, torch.where(lower, guess, 2 - guess), side)
            start = self._quantile(lower, length)
        if not torch.is_grad_enabled() or not (value.requires_grad or self._requires_grad()):
            return start
        excess = value - self.cdf(start)
        slope = self.log_prob(start).exp().detach().clamp(min=torch.finfo(value.dtype).tiny)
        return start + (excess - excess.detach()) / slope

    def _guess(self, rho: Tensor, value: Tensor) -> Tensor:
        """x + 1 by linear interpolation in a table of the cdf."""
        count = 8 * (self.degree + 1)
        shape = torch.broadcast_shapes(self.a.shape[:-1], self._batch_shape)
        grid = torch.linspace(0, 2, count + 1, dtype=value.dtype, device=value.device)
        table = end_mass(rho[..., None, :], grid).expand(*shape, count + 1).reshape(-1, count + 1).contiguous()
        wanted = value.reshape(-1, table.shape[0]).mT.contiguous()
        at = torch.searchsorted(table, wanted).clamp(1, count)
        low, high = table.gather(1, at - 1), table.gather(1, at)
        part = ((wanted - low) / (high - low).clamp(min=torch.finfo(value.dtype).tiny)).clamp(0, 1)
        return ((at - 1 + part) * (2 / count)).mT.reshape(value.shape)

    def _requires_grad(self) -> bool:
        return self.a.requires_grad

    def rsample(
        self, sample_shape: Any = torch.Size(), generator: torch.Generator | None = None
    ) -> Float[Tensor, "..."]:
        """Φ⁻¹(U); differentiable in the parameters."""
        shape = self._extended_shape(torch.Size(sample_shape))
        real = self.a.real
        u = torch.rand(shape, dtype=real.dtype, generator=generator, device=source(real, generator))
        tiny = torch.finfo(real.dtype).eps / 4
        return self.icdf(u.to(real.device).clamp(min=tiny, max=1 - 2 * tiny))

    def sample(
        self, sample_shape: Any = torch.Size(), generator: torch.Generator | None = None
    ) -> Float[Tensor, "..."]:
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def trig_moment(self, order: int) -> Complex[Tensor, "*batch"]:
        """E e^{−iπmx} for x in [−1, 1], 0 beyond N (claim fourier_density/trig-moments)."""
        if order == 0:
            return torch.ones_like(self.a[..., 0])
        if abs(order) > self.degree:
            return torch.zeros_like(self.a[..., 0])
        found = self.rho[..., abs(order) - 1]
        return found if order > 0 else found.conj()


class FourierDensity(_SeriesDistribution):
    r"""p = |A|²/(2c_0) on a period, by default [−1, 1].

    Any a ≠ 0 gives a density, and every non-negative series of degree N is reached (claims
    fourier_density/squared-modulus, fejer-riesz-completeness). `log_prob` is periodic; the cdf and the quantiles are
    those of one period, [−period/2, period/2].

    Args:
        a: a_0 … a_N, complex, (*batch, F).
        period: length of the period.
        validate_args: check values for being finite and, in `cdf`, within the period; off by default.

    Raises:
        ValueError: a isn't complex, has no coefficients, is zero or not finite; period ≤ 0.
    """

    def __init__(
        self, a: Complex[Tensor, "*batch F"], period: float = 2.0, validate_args: bool | None = None
    ) -> None:
        _check_coefficients(a)
        if not 0 < period < math.inf:
            raise ValueError(f"period must be positive and finite, got {period}")
        self.period = float(period)
        super().__init__(a, a.shape[:-1], validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.interval(-self.period / 2, self.period / 2)

    @classmethod
    def from_coefficients(
        cls, c: Complex[Tensor, "F"], period: float = 2.0, *, max_residual: float = 1e-6
    ) -> FourierDensity:
        """The density with the Fourier coefficients c_0 … c_N, up to scale, by spectral factorisation; see
        `spectral_factor` for what is certified, and which series are refused."""
        return cls(spectral_factor(c, max_residual=max_residual)[0], period)

    @classmethod
    def fit(
        cls,
        x: Float[Tensor, "samples"],
        num_freqs: int,
        period: float = 2.0,
        *,
        weights: Float[Tensor, "samples"] | None = None,
        steps: int = 100,
        gamma: float = 0.0,
    ) -> FourierDensity:
        """Maximum likelihood, penalised by γ∫|p'|², with N + 1 = num_freqs coefficients: L-BFGS from Fejér's closed
        estimate. The problem is convex in ρ (claim fourier_density/convex-mle), though not in a. With `weights` x may
        be a histogram's bins, or the nodes of a quadrature.

        Raises:
            ValueError: num_freqs < 1; no samples, samples that aren't finite; weights that are negative or all 0.
        """
        points = 2 * x.detach().double() / period
        start = spectral_factor(fejer_coefficients(points, num_freqs, weights))[0]
        share = _shares(points, weights)
        parameters = [start.real.clone(), start.imag.clone()]
        if steps:
            _minimise(parameters, lambda: _penalised(cls(torch.complex(*parameters)), points, share, gamma), steps)
        return cls(torch.complex(*(p.detach() for p in parameters)).to(x.dtype.to_complex()), period)

    def expand(self, batch_shape: Any, _instance: Any = None) -> FourierDensity:
        shape = torch.Size(batch_shape)
        return FourierDensity(self._scaled().expand(*shape, self.a.shape[-1]), self.period, self._validate_args)

    def __getitem__(self, index: Any) -> FourierDensity:
        """The densities of a part of the batch."""
        return FourierDensity(self._scaled()[index], self.period, self._validate_args)

    def _scaled(self) -> Tensor:
        return self.a * self.squared_norm.sqrt()[..., None]

    def _unit(self, value: Tensor) -> Tensor:
        """x in [−1, 1), of the value modulo the period."""
        if self._validate_args:
            _require(value.isfinite(), "value must be finite")
        x = value * (2 / self.period)
        return x - 2 * torch.floor((x + 1) / 2)

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
        p, q = amplitude(self.a, self._unit(value))
        return (p.square() + q.square()).log() - math.log(self.period)

    def prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
        p, q = amplitude(self.a, self._unit(value))
        return (p.square() + q.square()) / self.period

    def cdf(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
        x = value * (2 / self.period)
        if self._validate_args:
            _require((x >= -1) & (x <= 1), f"value must be in [−{self.period / 2:g}, {self.period / 2:g}]")
        return end_mass(self.rho, x + 1).clamp(0, 1)

    def log_bin_prob(
        self, center: Float[Tensor, "*shape"], width: Float[Tensor, "*shape"] | float = 1.0
    ) -> Float[Tensor, "..."]:
        delta = _width(width, center) * (2 / self.period)
        inside = mean_density(self.rho, center * (2 / self.period), delta)
        return (delta * inside).clamp(min=torch.finfo(inside.dtype).tiny).log()

    def _quantile(self, lower: Tensor, length: Tensor) -> Tensor:
        return torch.where(lower, length - 1, 1 - length) * (self.period / 2)

    @property
    def mean(self) -> Float[Tensor, "*batch"]:
        """E X on the period around 0 (claim fourier_density/moments)."""
        rho = self.rho
        order, sign = self._orders(rho)
        return (2 / math.pi) * (sign * rho.imag / order).sum(-1) * (self.period / 2)

    @property
    def variance(self) -> Float[Tensor, "*batch"]:
        rho = self.rho
        order, sign = self._orders(rho)
        second = 1 / 3 + 4 / math.pi**2 * (sign * rho.real / order.square()).sum(-1)
        return second * (self.period / 2) ** 2 - self.mean.square()

    @staticmethod
    def _orders(rho: Tensor) -> tuple[Tensor, Tensor]:
        order = torch.arange(1, rho.shape[-1] + 1, dtype=rho.real.dtype, device=rho.device)
        return order, 1 - 2 * (order % 2)

    def entropy(self, nodes: int = NODES) -> Float[Tensor, "*batch"]:
        """In nats, by the mean over equispaced nodes of the period."""
        real = self.a.real
        x = (torch.arange(nodes, dtype=real.dtype, device=real.device) + 0.5) * (2 / nodes) - 1
        p, q = amplitude(self.a, x.reshape(-1, *(1,) * len(self._batch_shape)))
        f = p.square() + q.square()
        return -torch.special.xlogy(f, f).mean(0) + math.log(self.period)

    def penalty(self, on: str = "p") -> Float[Tensor, "*batch"]:
        """∫|p'|², free of a's scale; with on="f" the article's ∫|f'|² in x, which can be trained away (claims
        fourier_density/smoothness, regulariser-scale-defect)."""
        found = smoothness(self.a if on == "p" else self._scaled(), on)
        return found * (2 / self.period) ** 3 if on == "p" else found

    def modes(self) -> Float[Tensor, "modes"]:
        """The local maxima of one density, ascending: zeros of the polynomial z^N p' on the unit circle at which p'
        changes from + to −; at most N (claim fourier_density/mode-count). An entirely flat density has none.

        Raises:
            ValueError: for a batch: index it first.
        """
        if self._batch_shape:
            raise ValueError(f"modes needs one density, got a batch of shape {tuple(self._batch_shape)}: index it")
        rho = self.rho.detach().to(torch.complex128)
        order = torch.arange(1, len(rho) + 1, dtype=torch.float64, device=rho.device)
        slope = order * rho
        count = int((slope.abs() > 1e-14).sum() and (slope.abs() > 1e-14).nonzero()[-1] + 1)
        if count == 0:
            return self.a.real.new_zeros(0)
        slope = slope[:count]
        ascending = torch.cat((-slope.conj().flip(0), slope.new_zeros(1), slope))  # Σ n ρ_n z^{n+N}, z = e^{iπx}
        companion = torch.diag(torch.ones(2 * count - 1, dtype=slope.dtype, device=slope.device), -1)
        companion[:, -1] = -ascending[:-1] / ascending[-1]
        zeros = torch.linalg.eigvals(companion)
        x = (zeros[(zeros.abs() - 1).abs() < 1e-3].angle() / math.pi).sort().values

        def derivatives(at: Tensor) -> tuple[Tensor, Tensor]:
            angle = math.pi * at[:, None] * order[:count]
            wave = slope * torch.polar(torch.ones_like(angle), angle)
            return -math.pi * wave.imag.sum(-1), -(math.pi**2) * (order[:count] * wave.real).sum(-1)

        for _ in range(3):
            first, second = derivatives(x)
            x = x - torch.where(second != 0, (first / second).clamp(-1e-3, 1e-3), 0)
        x = (x + 1) % 2 - 1
        x = x.sort().values
        step = 1e-5 / count
        keep = (derivatives(x - step)[0] > 0) & (derivatives(x + step)[0] < 0)
        if len(x) > 1:
            keep &= torch.cat((torch.ones_like(keep[:1]), x.diff() > step))
        return (x[keep] * (self.period / 2)).to(self.a.real.dtype)


class RealLineFourierDensity(_SeriesDistribution):
    r"""q(y) = p(tanh z) sech² z/s on ℝ with z = (y − loc)/s: the logistic density of scale s/2 times 2p(tanh z).

    Both tails are q ~ (4p(1)/s) e^{−2|z|} with one constant, as p is periodic (claim fourier_density/tail-law); a = (1)
    is the logistic law. Nothing underflows: log_prob, cdf and bits stay accurate relative to the tail.

    Args:
        a: a_0 … a_N, complex, (*batch, F).
        loc, scale: t and s, broadcast with the batch.

    Raises:
        ValueError: as `FourierDensity`; scale ≤ 0.
    """

    support = constraints.real

    def __init__(
        self,
        a: Complex[Tensor, "*batch F"],
        loc: Float[Tensor, "*#batch"] | float = 0.0,
        scale: Float[Tensor, "*#batch"] | float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        _check_coefficients(a)
        real = a.real
        self.loc, self.scale = (torch.as_tensor(v, dtype=real.dtype, device=real.device) for v in (loc, scale))
        _require(self.loc.isfinite(), "loc must be finite")
        _require((self.scale > 0) & self.scale.isfinite(), f"scale must be positive and finite, got {scale}")
        batch = torch.broadcast_shapes(a.shape[:-1], self.loc.shape, self.scale.shape)
        super().__init__(a, batch, validate_args)

    @classmethod
    def fit(
        cls, y: Float[Tensor, "samples"], num_freqs: int, *, steps: int = 200, gamma: float = 0.0
    ) -> RealLineFourierDensity:
        """Maximum likelihood over a, loc and scale together, penalised by γ∫|p'|²: L-BFGS from the samples' mean, the
        best of four multiples of their standard deviation, and Fejér's estimate in x. Where loc and scale are free the
        problem has local optima.

        Raises:
            ValueError: num_freqs < 1; no samples, samples that aren't finite, or samples that are all equal.
        """
        wide = y.detach().double()
        if wide.ndim != 1 or wide.numel() < 2 or not bool(wide.isfinite().all()) or not float(wide.std()) > 0:
            raise ValueError(f"y must be a list of finite samples that aren't all equal, got shape {tuple(y.shape)}")
        loc, share = wide.mean(), _shares(wide, None)

        def density(p: list[Tensor]) -> RealLineFourierDensity:
            return cls(torch.complex(p[0], p[1]), p[2], p[3].exp())

        def loss(p: list[Tensor]) -> Tensor:
            return _penalised(density(p), wide, share, gamma)

        starts = []
        for factor in SCALES if steps else (1.0,):
            scale = factor * wide.std()
            a = spectral_factor(fejer_coefficients(torch.tanh((wide - loc) / scale), num_freqs))[0]
            parameters = [a.real.clone(), a.imag.clone(), loc.clone(), scale.log()]
            if steps:
                _minimise(parameters, lambda: loss(parameters), steps // 5)  # noqa: B023
            starts.append((float(loss(parameters)), parameters))
        best = min(starts, key=lambda start: start[0])[1]
        if steps:
            _minimise(best, lambda: loss(best), steps)
        with torch.no_grad():
            found = density(best)
        return cls(found.a.to(y.dtype.to_complex()), found.loc.to(y.dtype), found.scale.to(y.dtype))

    def expand(self, batch_shape: Any, _instance: Any = None) -> RealLineFourierDensity:
        shape = torch.Size(batch_shape)
        a = (self.a * self.squared_norm.sqrt()[..., None]).expand(*shape, self.a.shape[-1])
        return RealLineFourierDensity(a, self.loc.expand(shape), self.scale.expand(shape), self._validate_args)

    def __getitem__(self, index: Any) -> RealLineFourierDensity:
        """The densities of a part of the batch."""
        whole = self.expand(self._batch_shape)
        a = whole.a * whole.squared_norm.sqrt()[..., None]
        return RealLineFourierDensity(a[index], whole.loc[index], whole.scale[index], self._validate_args)

    def base(self) -> FourierDensity:
        """The density of x = tanh z on [−1, 1]."""
        return FourierDensity(self.a * self.squared_norm.sqrt()[..., None])

    def _requires_grad(self) -> bool:
        return self.a.requires_grad or self.loc.requires_grad or self.scale.requires_grad

    def _z(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
        if self._validate_args:
            _require(value.isfinite(), "value must be finite")
        return line_log_prob(self.a, self.loc, self.scale, value)

    def cdf(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
        z = self._z(value)
        rho = self.rho
        low = end_mass(rho, 2 * torch.sigmoid(2 * torch.where(z <= 0, z, 0)))
        high = end_mass(rho, 2 * torch.sigmoid(-2 * torch.where(z <= 0, 0, z)), -1.0)
        return torch.where(z <= 0, low, 1 - high).clamp(0, 1)

    def survival(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "..."]:
        """1 − cdf, accurate relative to itself in the upper tail."""
        z = self._z(value)
        rho = self.rho
        low = end_mass(rho, 2 * torch.sigmoid(2 * torch.where(z <= 0, z, 0)))
        high = end_mass(rho, 2 * torch.sigmoid(-2 * torch.where(z <= 0, 0, z)), -1.0)
        return torch.where(z <= 0, 1 - low, high).clamp(0, 1)

    def log_bin_prob(
        self, center: Float[Tensor, "*shape"], width: Float[Tensor, "*shape"] | float = 1.0
    ) -> Float[Tensor, "..."]:
        return line_log_bin_prob(self.a, self.loc, self.scale, center, _width(width, center))

    def _quantile(self, lower: Tensor, length: Tensor) -> Tensor:
        z = (length.log() - torch.log(2 - length)) / 2
        return self.loc + self.scale * torch.where(lower, z, -z)

    def _grid(self, nodes: int) -> tuple[Tensor, Tensor, float]:
        """Nodes in z, log of the density of z there, their distance."""
        real = self.a.real
        z = torch.linspace(-REACH, REACH, nodes, dtype=real.dtype, device=real.device)
        z = z.reshape(-1, *(1,) * len(self._batch_shape))
        standard = RealLineFourierDensity(self.a)
        return z, standard.log_prob(z), 2 * REACH / (nodes - 1)

    def entropy(self, nodes: int = 4 * NODES) -> Float[Tensor, "*batch"]:
        """In nats, by the trapezoidal rule in z, which converges fast for a density that decays on both sides."""
        _, log_q, step = self._grid(nodes)
        weighted = torch.where(log_q.exp() > 0, log_q.exp() * log_q, 0)
        return -weighted.sum(0) * step + self.scale.log()

    def _moment(self, order: int, nodes: int = 4 * NODES) -> Tensor:
        z, log_q, step = self._grid(nodes)
        return (log_q.exp() * z**order).sum(0) * step

    @property
    def mean(self) -> Float[Tensor, "*batch"]:
        """By the trapezoidal rule in z."""
        return self.loc + self.scale * self._moment(1)

    @property
    def variance(self) -> Float[Tensor, "*batch"]:
        return self.scale.square() * (self._moment(2) - self._moment(1).square())

    def penalty(self, on: str = "p") -> Float[Tensor, "*batch"]:
        """∫|p'|² of the density on [−1, 1]; with on="f" the article's, see `FourierDensity.penalty`."""
        return self.base().penalty(on)

    def modes(self, nodes: int = NODES) -> Float[Tensor, "modes"]:
        """The local maxima of one density, ascending, bracketed on a grid in z and refined by bisection of q'; there
        can be N + 1 (claim fourier_density/mode-count).

        Raises:
            ValueError: for a batch: index it first.
        """
        if self._batch_shape:
            raise ValueError(f"modes needs one density, got a batch of shape {tuple(self._batch_shape)}: index it")
        wide = RealLineFourierDensity(self.a.detach().to(torch.complex128))

        def slope(z: Tensor) -> Tensor:
            with torch.enable_grad():
                at = z.detach().requires_grad_()
                return torch.autograd.grad(wide.log_prob(at).sum(), at)[0]

        z = torch.linspace(-REACH, REACH, nodes, dtype=torch.float64, device=self.a.device)
        up = slope(z) > 0
        at = (up[:-1] & ~up[1:]).nonzero()[:, 0]
        low, high = z[at], z[at + 1]
        for _ in range(50):
            middle = (low + high) / 2
            rising = slope(middle) > 0
            low, high = torch.where(rising, middle, low), torch.where(rising, high, middle)
        return (self.loc.double() + self.scale.double() * (low + high) / 2).to(self.a.real.dtype)


def _check_coefficients(a: Tensor) -> None:
    if not a.is_complex():
        raise ValueError(f"a must be complex, got {a.dtype}")
    if a.ndim < 1 or a.shape[-1] < 1:
        raise ValueError(f"a must have shape (…, N + 1) with N ≥ 0, got {tuple(a.shape)}")


def _width(width: Tensor | float, like: Tensor) -> Tensor:
    width = torch.as_tensor(width, dtype=like.dtype, device=like.device)
    _require((width > 0) & width.isfinite(), "width must be positive and finite")
    return width


def _penalised(density: _SeriesDistribution, values: Tensor, share: Tensor, gamma: float) -> Tensor:
    loss = -(share * density.log_prob(values)).sum()
    return loss + gamma * density.penalty() if gamma else loss  # type: ignore[attr-defined]


def _minimise(parameters: list[Tensor], loss: Any, steps: int) -> None:
    """L-BFGS with a strong Wolfe line search."""
    for parameter in parameters:
        parameter.requires_grad_()
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=steps, tolerance_grad=1e-9, tolerance_change=1e-12, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    with torch.enable_grad(), full_precision(parameters[0]):
        optimiser.step(closure)
    for parameter in parameters:
        parameter.requires_grad_(False)
