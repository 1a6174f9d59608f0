r"""The torch densities against exact series.

Su Jianlin, 《用傅里叶级数拟合一维概率密度函数》, archive 10007. Coefficients and points are dyadic: float64 holds them,
and both sides see the same numbers.
"""

from __future__ import annotations

from typing import Any

import sympy as sp
import torch
from sympy import I, Rational, cosh, pi, tanh

from kexue import Conforms, ForEach, claim
from kexue.derivations.fourier_density import (
    autocorrelation,
    convolve,
    density,
    mean,
    penalty,
    second_moment,
    trig_moment,
)
from kexue.derivations.fourier_density import (
    cdf as exact_cdf,
)
from kexue.models.fourier_density import FourierDensity, RealLineFourierDensity
from kexue.models.fourier_density import series as torch_series
from kexue.statements.conforms import tensor

HALF = Rational(1, 2)
SERIES = ((3, 1 + I), (3 + I, 2 - I, HALF, 1 + 2 * I), (1, -2 * I, HALF + I, 1, 0, 2 - I, 1))
POINTS = (-1, Rational(-7, 8), Rational(-1, 4), Rational(1, 16), HALF, Rational(15, 16))


def coefficients(values: Any) -> torch.Tensor:
    parts = [sp.sympify(value).as_real_imag() for value in values]
    return torch.complex(tensor([p for p, _ in parts]), tensor([q for _, q in parts]))


def parts(values: Any) -> list[list[Any]]:
    return [list(sp.expand(value).as_real_imag()) for value in values]


@claim(mutants=[dict(factor=1), dict(sign=-1)], needs=("torch",))
def squared_modulus(factor=2, sign=1):
    r"""`FourierDensity.prob` is $p(x)$: |A|²/2 for Σ|a|² = 1, against the cosine series, at ±1 and four points.

    Observed in float64 for degrees 1, 3 and 6.
    """
    return Conforms(
        lambda values: FourierDensity(coefficients(values)).prob(tensor(POINTS)),
        lambda values: [factor * density(values, sign * point) / 2 for point in POINTS],
        SERIES,
        ulps=40,
        over="degrees 1, 3, 6",
    )


@claim(mutants=[dict(conjugated=True), dict(shift=1)], needs=("torch",))
def autocorrelation_hermitian(conjugated=False, shift=0):
    r"""`autocorrelation` by FFT and the plain sums give $c_n = \sum_ka_ka_{k+n}^*$.

    Observed in float64 for degrees 1, 3 and 6.
    """

    def compute(values: Any) -> Any:
        both = torch_series.autocorrelation, torch_series.autocorrelation_direct
        return tuple(torch.view_as_real(f(coefficients(values))) for f in both)

    def exact(values: Any) -> Any:
        series = autocorrelation(values)
        series = [sp.conjugate(value) for value in series] if conjugated else series
        return (parts([series[0] + shift, *series[1:]]),) * 2

    return Conforms(compute, exact, SERIES, ulps=16, over="degrees 1, 3, 6")


@claim(mutants=[dict(start=HALF), dict(argument=lambda point: -point)], needs=("torch",))
def cdf(start=0, argument=lambda point: point):
    r"""`FourierDensity.cdf` is $\Phi(x) = \tfrac{x+1}2 + \mathrm{Re}\sum\rho_n(e^{i\pi nx}-(-1)^n)/(i\pi n)$.

    Observed in float64 for degrees 1, 3 and 6.
    """
    return Conforms(
        lambda values: FourierDensity(coefficients(values)).cdf(tensor(POINTS)),
        lambda values: [start + exact_cdf(values, argument(point)) for point in POINTS],
        SERIES,
        ulps=16,
        over="degrees 1, 3, 6",
    )


@claim(mutants=[dict(sign=-1), dict(centred=False)], needs=("torch",))
def moments(sign=1, centred=True):
    r"""`mean` and `variance` of a period are $\tfrac2\pi\sum(-1)^n\mathrm{Im}\rho_n/n$ and $\tfrac13 +
    \tfrac4{\pi^2}\sum(-1)^n\mathrm{Re}\rho_n/n^2 - (EX)^2$.

    Observed in float64 for degrees 1, 3 and 6.
    """

    def compute(values: Any) -> Any:
        p = FourierDensity(coefficients(values))
        return p.mean, p.variance

    def exact(values: Any) -> Any:
        return sign * mean(values), second_moment(values) - (mean(values) ** 2 if centred else 0)

    return Conforms(compute, exact, SERIES, ulps=32, over="degrees 1, 3, 6")


@claim(mutants=[dict(order=-2), dict(beyond=1)], needs=("torch",))
def trig_moments(order=2, beyond=0):
    r"""`trig_moment(m)` is $c_m/c_0$, and 0 beyond N.

    Observed in float64 for m = 2 and m = 9.
    """

    def compute(values: Any) -> Any:
        p = FourierDensity(coefficients(values))
        return torch.view_as_real(p.trig_moment(2)), torch.view_as_real(p.trig_moment(9))

    def exact(values: Any) -> Any:
        found = parts([trig_moment(values, order)])[0]
        return found, [beyond + e for e in parts([trig_moment(values, 9)])[0]]

    return Conforms(compute, exact, SERIES[1:], ulps=16, over="degrees 3 and 6")


@claim(mutants=[dict(on="f"), dict(raw="p")], needs=("torch",))
def smoothness(on="p", raw="f"):
    r"""`penalty(on="p")` is $\pi^2\sum n^2|\rho_n|^2$ and `penalty(on="f")` the article's $4\pi^2\sum n^2|c_n|^2$.

    Observed in float64 for degrees 1, 3 and 6.
    """

    def compute(values: Any) -> Any:
        p = FourierDensity(coefficients(values))
        return p.penalty("p"), p.penalty("f")

    return Conforms(
        compute, lambda values: (penalty(values, on), penalty(values, raw)), SERIES, ulps=32, over="degrees 1, 3, 6"
    )


@claim(mutants=[dict(edges=(Rational(3, 8), HALF)), dict(scale=2)], needs=("torch",))
def bin_mass(edges=(Rational(3, 8), Rational(5, 8)), scale=1):
    r"""`bin_prob` is $\Phi(b) - \Phi(a)$, of a period and on ℝ (where the edges are tanh's of the bin's).

    Observed in float64: [3/8, 5/8] of the period, and the bin [5/2, 7/2] on ℝ with t = ½, s = 2, for degrees 1, 3, 6.
    """

    def compute(values: Any) -> Any:
        a = coefficients(values)
        line = RealLineFourierDensity(a, 0.5, 2.0)
        return FourierDensity(a).bin_prob(tensor(HALF), 0.25), line.bin_prob(tensor(3))

    def exact(values: Any) -> Any:
        low, high = tanh(1), tanh(Rational(3, 2))
        period = exact_cdf(values, edges[1]) - exact_cdf(values, edges[0])
        return period, scale * (exact_cdf(values, high) - exact_cdf(values, low))

    return Conforms(compute, exact, SERIES, ulps=64, over="degrees 1, 3, 6")


@claim(mutants=[dict(scale=1), dict(power=1)], needs=("torch",))
def map_to_r(scale=2, power=2):
    r"""`RealLineFourierDensity.prob` is $p(\tanh z)\,\mathrm{sech}^2z/s$, z = (y − ½)/2.

    Observed in float64 at y = −3, 0, ¼, 9 for degrees 1, 3 and 6, relative to the largest value.
    """
    at = (-3, 0, Rational(1, 4), 9)

    def exact(values: Any) -> Any:
        found = []
        for y in at:
            z = (y - HALF) / 2
            found.append(density(values, tanh(z)) / cosh(z) ** power / scale)
        return found

    return Conforms(
        lambda values: RealLineFourierDensity(coefficients(values), 0.5, 2.0).prob(tensor(at)),
        exact,
        SERIES,
        ulps=64,
        over="degrees 1, 3, 6",
    )


@claim(mutants=[dict(rate=1), dict(constant=2)], needs=("torch",))
def tail_law(rate=2, constant=4):
    r"""`log_prob` far out is $\log(4p(1)) - 2|y|$ on both sides: nothing underflows.

    Observed in float64 at y = ±400 (where $\mathrm{sech}^2y < 10^{-347}$ is no float64), s = 1, for degrees 1, 3 and 6.
    """

    def exact(values: Any) -> Any:
        value = sp.log(constant * density(values, 1)) - rate * 400
        return [value, value]

    return Conforms(
        lambda values: RealLineFourierDensity(coefficients(values)).log_prob(tensor((-400, 400))),
        exact,
        SERIES,
        ulps=8,
        over="degrees 1, 3, 6",
    )


MINIMUM_PHASE = ((4, 1 + I), (8, 1 - I, 2 * I, 1), (16, -2 * I, 3, 1 + I, 0, 2 - I, HALF))


@claim(mutants=[dict(mirrored=True), dict(sign=-1)], needs=("torch",))
def fejer_riesz_completeness(mirrored=False, sign=1):
    r"""`spectral_factor` gives back the minimum-phase a with a_0 > 0 from the autocorrelation of a.

    Observed in float64 for three a with $|a_0| > \sum_{k\ge1}|a_k|$, so that A has no zero in the disk.
    """

    def compute(values: Any) -> Any:
        series = coefficients(autocorrelation(values))
        return torch.view_as_real(torch_series.spectral_factor(series)[0])

    def exact(values: Any) -> Any:
        chosen = [sp.conjugate(value) for value in values[::-1]] if mirrored else list(values)
        return parts([sign * value for value in chosen])

    return Conforms(compute, exact, MINIMUM_PHASE, ulps=64, over="degrees 1, 3, 6")


@claim(mutants=[dict(weight=lambda n, count: 1), dict(sign=1)], needs=("torch",))
def fejer_kde(weight=lambda n, count: 1 - Rational(n, count), sign=-1):
    r"""`fejer_coefficients` is $(1-\tfrac n{N+1})\,\mathrm{mean}_i\,e^{-i\pi nx_i}$.

    Observed in float64 for the six points, N = 4.
    """

    def exact(count: int) -> Any:
        found = []
        for n in range(count):
            angles = [pi * n * point for point in POINTS]
            re = sum(sp.cos(angle) for angle in angles)
            im = sign * sum(sp.sin(angle) for angle in angles)
            found.append([weight(n, count) * re / 6, weight(n, count) * im / 6])
        return found

    return Conforms(
        lambda count: torch.view_as_real(torch_series.fejer_coefficients(tensor(POINTS), count)),
        exact,
        (5,),
        ulps=16,
        over="N = 4",
    )


@claim(mutants=[dict(combine=lambda a, b: [p * q for p, q in zip(a, b)])], needs=("torch",))
def closed_under_product(combine=convolve):
    r"""The density of the convolution of a and b is proportional to the product of the two densities.

    Observed in float64: the ratio p(x)/p(½) in torch against the exact products.
    """
    cases = [(SERIES[0], SERIES[1]), (SERIES[1], SERIES[2])]

    def compute(case: Any) -> Any:
        p = FourierDensity(coefficients(combine(*case)))
        return p.prob(tensor(POINTS)) / p.prob(tensor(HALF))

    def exact(case: Any) -> Any:
        def product(point: Any) -> Any:
            return density(case[0], point) * density(case[1], point)

        return [product(point) / product(HALF) for point in POINTS]

    return Conforms(compute, exact, cases, ulps=256, over="two pairs")


@claim(mutants=[dict(sign=1), dict(index=1)], needs=("torch",))
def gradient_form(sign=-1, index=2):
    r"""Autograd of log p in $a_k$ is $2(\partial\log p/\partial a_k)^* = 2(e^{-i\pi kx}/A(x) - a_k^*/c_0)^*$ (real and
    imaginary part in torch's convention), k = 2.

    Observed in float64 at two points for degrees 3 and 6.
    """
    at = POINTS[3:5]

    def compute(values: Any) -> Any:
        found = []
        for point in at:
            a = coefficients(values).requires_grad_()
            (slope,) = torch.autograd.grad(FourierDensity(a).log_prob(tensor(point)), a)
            found.append(torch.view_as_real(slope[2]))
        return torch.stack(found)

    def exact(values: Any) -> Any:
        found = []
        for point in at:
            waves = [sp.exp(-I * pi * k * point) for k in range(len(values))]
            amplitude = sum(value * wave for value, wave in zip(values, waves))
            norm = autocorrelation(values)[0]
            slope = 2 * (waves[index] * sp.conjugate(amplitude) / (amplitude * sp.conjugate(amplitude)))
            slope = sp.conjugate(slope + 2 * sign * sp.conjugate(values[index]) / norm)
            found.append([sp.re(slope.expand(complex=True)), sp.im(slope.expand(complex=True))])
        return found

    return Conforms(compute, exact, SERIES[1:], ulps=256, over="degrees 3 and 6")


@claim(mutants=[dict(width=2), dict(slack=0.0)], needs=("torch",))
def entropy_coding(width=1, slack=1e-3):
    r"""`EntropyModel` is lossless, and its bytes exceed $-\sum\log_2$ of the bins' masses by less than 0.1 %.

    Observed: 20 000 samples of two densities, the coder's bytes against `bin_bits`.
    """

    def routes(seed: int) -> Any:
        from kexue.models.fourier_density import EntropyModel

        generator = torch.Generator().manual_seed(seed)
        a = torch.complex(*torch.randn(2, 2, 7, generator=generator, dtype=torch.float64))
        q = RealLineFourierDensity(a, torch.tensor([0.0, -3.0]).double(), torch.tensor([4.0, 9.0]).double())
        model = EntropyModel(q)
        symbols = model.quantize(q.sample((10_000,), generator))
        data = model.encode(symbols)
        ideal = float(q.bin_bits(symbols.double(), width).sum())
        lossless = bool(torch.equal(model.decode(data, 10_000), symbols))
        return (lossless, 8 * len(data) < (1 + slack) * ideal), (True, True)

    return ForEach((0,), routes, over="one seed", observed=True)


@claim(mutants=[dict(loss="series")], needs=("torch",))
def never_negative(loss="modulus"):
    r"""In float32 |A|²/(2c_0) is never negative, whereas the cosine series is: N = 64, a = (1, …, 1), 4001 points.

    Observed.
    """

    def routes(degree: int) -> Any:
        a = torch.ones(degree + 1, dtype=torch.complex64)
        x = torch.linspace(-1, 1, 4001)
        values = FourierDensity(a).prob(x)
        if loss == "series":
            rho = torch_series.autocorrelation(a)
            values = torch_series.cosine_series(rho[1:] / rho[0], x)
        return bool((values >= 0).all()), True

    return ForEach((64,), routes, over="N = 64", observed=True)


