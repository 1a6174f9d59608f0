"""Fourier densities: |A|² by Horner's rule beside the cosine series, FFT beside sums, quantiles, coding.

make bench ARGS="-k fourier_density"

The baselines are the plain references of kexue.models.fourier_density.series, and bisection for quantiles.
"""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from kexue.models.fourier_density import EntropyModel, FourierDensity, RealLineFourierDensity  # noqa: E402
from kexue.models.fourier_density.series import (  # noqa: E402
    amplitude,
    autocorrelation,
    autocorrelation_direct,
    cosine_series,
    harmonics,
)


def coefficients(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def points(*shape: int) -> torch.Tensor:
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(1)) - 1


def by_horner(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    p, q = amplitude(a, x)
    return (p.square() + q.square()).log() - torch.log(2 * a.abs().square().sum(-1))


def by_table(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A from a table of harmonics and one product with the coefficients."""
    cosine, sine = harmonics(x, a.shape[-1] - 1)
    p = (cosine * a.real + sine * a.imag).sum(-1)
    q = (cosine * a.imag - sine * a.real).sum(-1)
    return (p.square() + q.square()).log() - torch.log(2 * a.abs().square().sum(-1))


def by_series(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    c = autocorrelation(a)
    return cosine_series(c[..., 1:] / c[..., :1], x).clamp(min=1e-20).log()


FORMS = {"ours (Horner)": by_horner, "table of harmonics": by_table, "cosine series": by_series}


def both_passes(form, a, x):
    leaf = a.detach().clone().requires_grad_()
    form(leaf, x).sum().backward()


@pytest.mark.benchmark(group="fourier_density: log_prob, 4096 × 64 values, N = 13, forward and backward")
@pytest.mark.parametrize("who", FORMS)
def test_log_prob(benchmark, who):
    benchmark.pedantic(both_passes, (FORMS[who], coefficients(64, 14), points(4096, 64)), rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="fourier_density: log_prob, 100 000 values of one density, forward, growth with N")
@pytest.mark.parametrize("who", FORMS)
@pytest.mark.parametrize("degree", [7, 31, 127])
def test_log_prob_growth(benchmark, who, degree):
    benchmark.extra_info["n"] = degree
    with torch.no_grad():
        benchmark.pedantic(FORMS[who], (coefficients(degree + 1), points(100_000)), rounds=7, warmup_rounds=1)


@pytest.mark.benchmark(group="fourier_density: autocorrelation of 64 densities, forward, growth with N")
@pytest.mark.parametrize("who", ["ours (FFT)", "sums"])
@pytest.mark.parametrize("degree", [13, 63, 255])
def test_autocorrelation(benchmark, who, degree):
    benchmark.extra_info["n"] = degree
    form = autocorrelation if who == "ours (FFT)" else autocorrelation_direct
    with torch.no_grad():
        benchmark.pedantic(form, (coefficients(64, degree + 1),), rounds=20, warmup_rounds=2)


def bisect(p: FourierDensity, q: torch.Tensor) -> torch.Tensor:
    low, high = torch.full_like(q, -1.0), torch.ones_like(q)
    for _ in range(24):  # float32's 24 bits
        middle = (low + high) / 2
        below = p.cdf(middle) < q
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


@pytest.mark.benchmark(group="fourier_density: 100 000 quantiles, N = 13, float32")
@pytest.mark.parametrize("who", ["ours (Newton in a bracket)", "bisection"])
def test_icdf(benchmark, who):
    p, q = FourierDensity(coefficients(14)), torch.rand(100_000).clamp(1e-6, 1 - 1e-6)
    run = p.icdf if who.startswith("ours") else lambda q: bisect(p, q)
    with torch.no_grad():
        benchmark.pedantic(run, (q,), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="fourier_density: bits of 4096 × 64 bins, N = 13, forward and backward")
@pytest.mark.parametrize("who", ["ours (mean density)", "difference of the cdf"])
def test_bin_bits(benchmark, who):
    y = 20 * points(4096, 64)

    def run(a: torch.Tensor) -> None:
        leaf = a.detach().clone().requires_grad_()
        q = RealLineFourierDensity(leaf, 0.0, 10.0)
        if who.startswith("ours"):
            bits = q.bin_bits(y)
        else:
            bits = -(q.cdf(y + 0.5) - q.cdf(y - 0.5)).clamp(min=1e-20).log() / math.log(2)
        bits.sum().backward()

    benchmark.pedantic(run, (coefficients(64, 14),), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="fourier_density: 10 000 symbols through the coder")
@pytest.mark.parametrize("way", ["encode", "decode"])
def test_coder(benchmark, way):
    q = RealLineFourierDensity(coefficients(2, 14), 0.0, 10.0)
    model = EntropyModel(q)
    symbols = model.quantize(q.sample((5000,), torch.Generator().manual_seed(0)))
    data = model.encode(symbols)
    if way == "encode":
        benchmark.pedantic(model.encode, (symbols,), rounds=5, warmup_rounds=1)
    else:
        benchmark.pedantic(model.decode, (data, 5000), rounds=5, warmup_rounds=1)
