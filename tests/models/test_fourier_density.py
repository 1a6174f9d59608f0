"""Fourier densities in torch: forms agree, gradients, quantiles, spectral factors, bins far out, coding, bad input."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from kexue.models import create_model  # noqa: E402
from kexue.models.fourier_density import (  # noqa: E402
    ConditionalFourierDensityConfig,
    DeepFactorized,
    EntropyModel,
    FourierDensity,
    FourierDensityConfig,
    MixtureLogistics,
    RansCoder,
    RealLineFourierDensity,
    fejer_coefficients,
    quantize_pmf,
    spectral_factor,
)
from kexue.models.fourier_density.series import (  # noqa: E402
    amplitude,
    autocorrelation,
    autocorrelation_direct,
    cosine_series,
    harmonics,
)

DEGREES = [0, 1, 3, 13, 64]
EPS = torch.finfo(torch.float64).eps


def coefficients(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed)).to(dtype)


def uniform(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# Series


@pytest.mark.parametrize("degree", DEGREES)
def test_series_agree_with_their_references(degree):
    a = coefficients(3, degree + 1)
    torch.testing.assert_close(autocorrelation(a), autocorrelation_direct(a), rtol=0, atol=40 * (degree + 1) * EPS)
    x = 2 * uniform(50, 3) - 1
    waves = torch.exp(-1j * math.pi * x[..., None] * torch.arange(degree + 1))
    expected = (a * waves).sum(-1)
    found = torch.complex(*amplitude(a, x))
    torch.testing.assert_close(found, expected, rtol=0, atol=100 * (degree + 1) ** 1.5 * EPS)
    cosine, sine = harmonics(x, degree)
    torch.testing.assert_close(torch.complex(cosine, -sine), waves, rtol=0, atol=20 * (degree + 1) * EPS)


@pytest.mark.parametrize("degree", DEGREES)
def test_probability_is_the_cosine_series_and_never_negative(degree):
    a = coefficients(degree + 1)
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    p = FourierDensity(a)
    torch.testing.assert_close(p.prob(x), cosine_series(p.rho, x), rtol=0, atol=1000 * (degree + 1) * EPS)
    single = FourierDensity(a.to(torch.complex64)).prob(x.float())
    assert float(single.min()) >= 0
    worst = FourierDensity(torch.ones(65, dtype=torch.complex64))
    assert float(worst.prob(x.float()).min()) >= 0 > float(cosine_series(worst.rho, x.float()).min())


@pytest.mark.parametrize("degree", DEGREES)
def test_equispaced_nodes_integrate_exactly(degree):
    x = torch.arange(2 * degree + 1, dtype=torch.float64) / (2 * degree + 1) * 2 - 1
    a = coefficients(degree + 1)
    assert abs(float(FourierDensity(a).prob(x).mean()) * 2 - 1) < 1e-13
    single = FourierDensity(a.to(torch.complex64))
    assert abs(float(single.prob(x.float()).double().mean()) * 2 - 1) < 1e-5
    p = FourierDensity(a)
    for order in range(degree + 1):
        found = (p.prob(x) * torch.exp(-1j * math.pi * order * x)).mean() * 2
        torch.testing.assert_close(found, p.trig_moment(order), rtol=0, atol=1e-12)


def test_periods_and_moments():
    p = FourierDensity(coefficients(6), period=5.0)
    x = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 40_000 - 2.5
    weight = p.prob(x) / 40_000
    assert abs(float(weight.sum()) - 1) < 1e-12
    assert abs(float((weight * x).sum() - p.mean)) < 1e-9
    assert abs(float((weight * (x - p.mean) ** 2).sum() - p.variance)) < 1e-9
    assert abs(float(-(weight * p.log_prob(x)).sum() - p.entropy())) < 1e-9
    slope = p.prob(x).roll(-1) - p.prob(x)
    assert abs(float((slope * 40_000).square().sum() / 40_000 / p.penalty()) - 1) < 1e-6
    torch.testing.assert_close(p.prob(x + 5), p.prob(x))
    torch.testing.assert_close(p.cdf(x[::1000] + 0.5 / 40_000), weight.cumsum(0)[::1000], rtol=0, atol=1e-9)


def test_gauge():
    """Phase, scale and conjugate reversal of a keep the density; so does the flip of a zero."""
    a = coefficients(5)
    x = 2 * uniform(100) - 1
    p = FourierDensity(a).log_prob(x)
    flipped = torch.tensor([1.0, -0.3 + 0.4j], dtype=torch.complex128)
    mirrored = torch.tensor([0.3 + 0.4j, -1.0], dtype=torch.complex128)
    for other in (a * 3j, 1e-6 * a, a.flip(0).conj().resolve_conj()):
        torch.testing.assert_close(FourierDensity(other).log_prob(x), p)
    torch.testing.assert_close(FourierDensity(flipped).prob(x), FourierDensity(mirrored).prob(x))
    torch.testing.assert_close(FourierDensity(2 * a).penalty(), FourierDensity(a).penalty())
    torch.testing.assert_close(FourierDensity(2 * a).penalty("f"), 16 * FourierDensity(a).penalty("f"))


# Quantiles and samples


@pytest.mark.parametrize("a", [[1, -1], [1, 0, -1], [1, -2, 1], [1] * 14, [1, -1] * 8])
def test_quantiles_across_zeros_of_the_density(a):
    p = FourierDensity(torch.tensor(a, dtype=torch.complex128))
    q = torch.linspace(1e-6, 1 - 1e-6, 4001, dtype=torch.float64)
    x = p.icdf(q)
    assert float((p.cdf(x) - q).abs().max()) < 1e-13
    assert bool((x.diff() > 0).all())


@pytest.mark.parametrize("degree", DEGREES)
def test_quantiles_invert_the_cdf(degree):
    a = coefficients(3, degree + 1)
    q = 0.998 * uniform(500, 3) + 0.001
    for p in (FourierDensity(a, 3.0), RealLineFourierDensity(a, torch.tensor([0.0, 1, -7]).double(), 0.3)):
        assert float((p.cdf(p.icdf(q)) - q).abs().max()) < 1e-13
    single = RealLineFourierDensity(a.to(torch.complex64))
    assert float((single.cdf(single.icdf(q.float())) - q.float()).abs().max()) < 1e-5


def test_quantiles_of_both_tails():
    q = RealLineFourierDensity(coefficients(6), 0.5, 2.0)
    tail = torch.tensor([1e-300, 1e-100, 1e-17, 1e-5], dtype=torch.float64)
    low = q.icdf(tail)
    torch.testing.assert_close(q.cdf(low), tail, rtol=1e-12, atol=0)
    high = torch.tensor([9.0, 40, 300], dtype=torch.float64)
    ratio = q.survival(q.loc + high) / q.cdf(q.loc - high)
    assert abs(float(ratio[-1]) - 1) < 1e-12  # equal constants: p(−1) = p(1)
    assert bool((q.survival(q.loc + high) > 0).all())


def test_samples():
    a = coefficients(4)
    p = FourierDensity(a)
    x = p.sample((100_000,), torch.Generator().manual_seed(0))
    assert torch.equal(x, p.sample((100_000,), torch.Generator().manual_seed(0)))
    u = p.cdf(x).sort().values
    grid = torch.arange(1, 100_001, dtype=torch.float64) / 100_000
    assert float((u - grid).abs().max()) < 0.0062  # Kolmogorov's bound for the level 1e-3
    assert RealLineFourierDensity(coefficients(2, 4)).sample((3, 5)).shape == (3, 5, 2)


def test_gradients():
    a = coefficients(2, 4).requires_grad_()
    loc = torch.tensor([0.1, -0.2], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([0.6, 1.3], dtype=torch.float64, requires_grad=True)
    q = (0.8 * uniform(3, 2) + 0.1).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda a, q: FourierDensity(a).icdf(q), (a, q))
    assert check(lambda a, q: FourierDensity(a).log_prob(q), (a, q))
    assert check(lambda a: FourierDensity(a).penalty(), (a,))
    assert check(lambda *v: RealLineFourierDensity(*v[:3]).icdf(v[3]), (a, loc, scale, q))
    assert check(lambda *v: RealLineFourierDensity(*v[:3]).log_prob(4 * v[3]), (a, loc, scale, q))
    assert check(lambda *v: RealLineFourierDensity(*v[:3]).bin_bits(4 * v[3], 0.5), (a, loc, scale, q))


# The real line


def test_degree_zero_is_the_logistic_law():
    q = RealLineFourierDensity(torch.ones(1, dtype=torch.complex128), 0.3, 0.8)
    base = torch.distributions.Uniform(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    transforms = [
        torch.distributions.SigmoidTransform().inv,
        torch.distributions.AffineTransform(loc=0.3, scale=0.4),
    ]
    logistic = torch.distributions.TransformedDistribution(base, transforms)
    y = torch.linspace(-5, 5, 101, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(y), logistic.log_prob(y))
    torch.testing.assert_close(q.cdf(y), logistic.cdf(y))
    assert abs(float(q.variance) - (0.4 * math.pi) ** 2 / 3) < 1e-12
    assert abs(float(q.entropy()) - (math.log(0.4) + 2)) < 1e-12


def test_bins_sum_to_one_and_stay_finite():
    q = RealLineFourierDensity(coefficients(8), 0.7, 1.5)
    center = torch.arange(-60, 61, dtype=torch.float64)
    mass = q.bin_prob(center)
    assert abs(float(mass.sum()) - 1) < 1e-13
    torch.testing.assert_close(mass, q.cdf(center + 0.5) - q.cdf(center - 0.5), rtol=0, atol=1e-14)
    far = q.bin_bits(torch.tensor([1e3, 1e4, -1e4], dtype=torch.float64))
    expected = 2 * torch.tensor([1e3, 1e4, 1e4]).double() / 1.5 / math.log(2)
    assert float((far / expected - 1).abs().max()) < 0.02
    single = RealLineFourierDensity(q.a.to(torch.complex64), 0.7, 1.5).bin_bits(torch.tensor([1e3, 1e4, -1e4]))
    torch.testing.assert_close(single.double(), far, rtol=1e-5, atol=0)
    log_prob = q.log_prob(torch.tensor([1e4, -1e4], dtype=torch.float64))
    assert bool(log_prob.isfinite().all())


def test_modes():
    p = FourierDensity(torch.tensor([1.0, 0, 0, -1]).to(torch.complex128))  # ½(1 − cos 3πx)
    expected = torch.tensor([-1, -1 / 3, 1 / 3], dtype=torch.float64)
    torch.testing.assert_close(p.modes(), expected)
    assert len(FourierDensity(torch.ones(1, dtype=torch.complex128)).modes()) == 0
    line = RealLineFourierDensity(torch.tensor([1.0, 0, 0, -1]).to(torch.complex128), 2.0, 0.5)
    assert len(line.modes()) == 4  # N + 1: the maximum at ±1 became two
    for seed in range(20):
        p = FourierDensity(coefficients(7, seed=seed))
        x = (torch.arange(20_000, dtype=torch.float64)) / 10_000 - 1
        f = p.prob(x)
        count = int(((f > f.roll(1)) & (f > f.roll(-1))).sum())
        assert len(p.modes()) == count <= 6
        assert float((p.prob(p.modes()) - p.prob(p.modes() + 1e-6)).min()) > 0


# Spectral factors and fits


@pytest.mark.parametrize("degree", [0, 1, 2, 6, 13, 30, 64, 100])
def test_spectral_factors(degree):
    a = coefficients(degree + 1) * torch.exp(-torch.arange(degree + 1) / 20)
    c = autocorrelation_direct(a)
    b, residual = spectral_factor(c)
    assert float(residual) < 1e-13
    assert float((autocorrelation_direct(b) - c).abs().max() / c[0].abs()) < 1e-13
    assert abs(float(b[0].imag)) < 1e-14 * float(b[0].real)
    kullback = -torch.log(b[0].abs().square() / c[0].real)  # of the uniform law: log(c₀/|a₀|²), Szegő
    x = torch.arange(2**16, dtype=torch.float64) / 2**15 - 1
    uniform_kl = -(math.log(2) + FourierDensity(b).log_prob(x)).mean()
    assert abs(float(kullback - uniform_kl)) < 1e-2 * max(1.0, float(kullback))


@pytest.mark.parametrize("a", [[1, -1], [1, 0, -1], [1, 1, 1, 1, 1, 1, 1], [2, 1, 0, -3]])
def test_spectral_factors_of_densities_with_zeros(a):
    c = autocorrelation_direct(torch.tensor(a, dtype=torch.complex128))
    p = FourierDensity.from_coefficients(c)
    x = torch.linspace(-1, 1, 501, dtype=torch.float64)
    expected = FourierDensity(torch.tensor(a, dtype=torch.complex128)).prob(x)
    torch.testing.assert_close(p.prob(x), expected, rtol=0, atol=1e-8)


def test_the_wrapped_normal_comes_from_its_coefficients():
    n = torch.arange(20, dtype=torch.float64)
    p = FourierDensity.from_coefficients(torch.exp(-((math.pi * n * 0.2) ** 2) / 2).to(torch.complex128))
    x = torch.linspace(-1, 1, 201, dtype=torch.float64)
    expected = sum(torch.exp(-((x + 2 * k) ** 2) / 0.08) for k in range(-3, 4)) / math.sqrt(2 * math.pi * 0.04)
    torch.testing.assert_close(p.prob(x), expected, rtol=0, atol=1e-10)


def test_fejer_estimates_are_kernel_estimates():
    x = 2 * uniform(30) - 1
    p = FourierDensity.from_coefficients(fejer_coefficients(x, 6))
    at = torch.linspace(-1, 1, 101, dtype=torch.float64)
    kernel = FourierDensity(torch.ones(6, dtype=torch.complex128))
    torch.testing.assert_close(p.prob(at), kernel.prob(at[:, None] - x).mean(-1), rtol=0, atol=1e-12)
    doubled = fejer_coefficients(torch.cat((x, x[:5])), 6)
    weights = torch.cat((torch.full((5,), 2.0), torch.ones(25)))
    torch.testing.assert_close(fejer_coefficients(x, 6, weights), doubled)


def test_fits_beat_the_truth_on_their_samples():
    truth = FourierDensity(coefficients(5, seed=3))
    x = truth.sample((3000,), torch.Generator().manual_seed(0))
    fitted = FourierDensity.fit(x, 5)
    assert float(fitted.log_prob(x).mean()) > float(truth.log_prob(x).mean())
    grid = torch.arange(512, dtype=torch.float64) / 256 - 1
    kl = (truth.prob(grid) * (truth.log_prob(grid) - fitted.log_prob(grid))).mean() * 2
    assert float(kl) < 8 / 3000 * 2  # χ²₈/(2n) has the mean 4/3000
    line = RealLineFourierDensity(coefficients(5, seed=3), 1.0, 2.0)
    y = line.sample((3000,), torch.Generator().manual_seed(0))
    assert float(RealLineFourierDensity.fit(y, 5).log_prob(y).mean()) > float(line.log_prob(y).mean())
    smooth = FourierDensity.fit(x, 5, gamma=10.0)
    assert float(smooth.penalty()) < 0.5 * float(fitted.penalty())


def test_training_finds_a_density():
    torch.manual_seed(0)
    model = create_model("fourier_density/paper")
    truth = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.tensor([0.4, 0.6])),
        torch.distributions.Normal(torch.tensor([-0.8, 0.6]), torch.tensor([0.2, 0.4])),
    )
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(500):
        optimiser.zero_grad()
        model.loss({"values": truth.sample((256, 1))}).backward()
        optimiser.step()
    y = torch.linspace(-4, 4, 4001)
    with torch.no_grad():
        kl = (truth.log_prob(y).exp() * (truth.log_prob(y) - model(y[:, None])[:, 0])).sum() * 0.002
    assert float(kl) < 0.03


def test_conditional_densities_are_normalised_at_every_context():
    torch.manual_seed(0)
    model = create_model("fourier_density/conditional-tiny").double()
    context = torch.randn(5, 3, dtype=torch.float64)
    y = torch.linspace(-40, 40, 40_001, dtype=torch.float64)[:, None]
    mass = model.distribution(context).prob(y).sum(0) * 0.002
    torch.testing.assert_close(mass, torch.ones(5).double(), rtol=0, atol=1e-9)
    values = model.distribution(context).sample()
    torch.testing.assert_close(model(context, values), model.distribution(context).log_prob(values))


# Baselines and coding


@pytest.mark.parametrize("module", [DeepFactorized(3, init_scale=3.0), MixtureLogistics(3, 4)])
def test_baselines_are_densities(module):
    torch.manual_seed(0)
    module = module.double()
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, dtype=torch.float64)
    y = torch.linspace(-200, 200, 400_001, dtype=torch.float64)[:, None].expand(-1, 3)
    with torch.no_grad():
        p = module.log_prob(y).exp()
        torch.testing.assert_close(p.sum(0) * 0.001, torch.ones(3).double(), rtol=0, atol=1e-6)
        center = torch.arange(-9, 10).double()[:, None].expand(-1, 3)
        torch.testing.assert_close(
            module.bin_prob(center), module.cdf(center + 0.5) - module.cdf(center - 0.5), rtol=0, atol=1e-14
        )
        assert bool(module.log_bin_prob(torch.full((1, 3), 1e4).double()).isfinite().all())


def test_parameter_counts():
    assert sum(p.numel() for p in DeepFactorized(1).parameters()) == 43
    assert create_model("fourier_density/paper", device="meta").num_parameters() == 2 * 14 + 2
    assert sum(p.numel() for p in MixtureLogistics(1, 5).parameters()) == 15  # of which 3K − 1 are free


def test_quantised_tables():
    counts = quantize_pmf(torch.tensor([0.0, 1e-9, 0.3, 0.7]), 12)
    assert int(counts.sum()) == 4096 and int(counts.min()) == 1
    torch.testing.assert_close(counts[2:].double() / 4096, torch.tensor([0.3, 0.7]).double(), rtol=0, atol=1e-3)
    assert quantize_pmf(torch.ones(16), 4).tolist() == [1] * 16


def test_the_coder_is_lossless():
    q = RealLineFourierDensity(
        coefficients(3, 6, dtype=torch.complex64), torch.tensor([0.0, 5, -3]), torch.tensor([3.0, 10, 0.01])
    )
    model = EntropyModel(q, width=0.5)
    assert all(table[0] == 0 and table[-1] == 2**16 for table in model.tables)
    assert all(min(b - a for a, b in pairwise(t)) >= 1 for t in model.tables)
    symbols = model.quantize(q.sample((4000,), torch.Generator().manual_seed(0)))
    symbols[7] = torch.tensor([10**6, -(10**12), 0])
    symbols[8] = torch.tensor([-(10**3), model.offsets[1] - 1, model.offsets[2] + len(model.tables[2]) - 2])
    data = model.encode(symbols)
    assert torch.equal(model.decode(data, 4000), symbols)
    ordinary = symbols[9:]
    data = model.encode(ordinary)
    assert 8 * len(data) < 1.001 * model.bits(ordinary) + 128
    ideal = float(q.bin_bits(ordinary * 0.5, 0.5).sum())
    assert model.bits(ordinary) < 1.001 * ideal
    assert torch.equal(model.decode(model.encode(symbols[:0]), 0), symbols[:0])
    with pytest.raises(ValueError, match="data"):
        model.decode(data, 3990)
    with pytest.raises(ValueError, match="data"):
        model.decode(data[:-3], 3991)


def test_batches_are_indexed_and_expanded():
    q = RealLineFourierDensity(coefficients(3, 4), torch.zeros(3).double(), 2.0)
    y = torch.linspace(-1, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(q[1].log_prob(y), q.log_prob(y[:, None])[:, 1])
    p = FourierDensity(coefficients(4)).expand((2, 3))
    assert p.batch_shape == (2, 3) and p.log_prob(torch.tensor(0.5)).shape == (2, 3)


A = torch.ones(2, dtype=torch.complex64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FourierDensity(torch.ones(2)), "a must be complex, got torch.float32"),
        (lambda: FourierDensity(A[:0]), r"a must have shape \(…, N \+ 1\) with N ≥ 0, got \(0,\)"),
        (lambda: FourierDensity(0 * A), "a must not be zero"),
        (lambda: FourierDensity(math.nan * A), "a must be finite"),
        (lambda: FourierDensity(A, period=0.0), "period must be positive and finite, got 0"),
        (lambda: FourierDensity(A).icdf(torch.tensor(1.0)), r"value must be in \(0, 1\)"),
        (lambda: FourierDensity(A).bin_prob(torch.tensor(0.0), 0.0), "width must be positive"),
        (lambda: FourierDensity(A, validate_args=True).cdf(torch.tensor(1.5)), r"value must be in \[−1, 1\]"),
        (lambda: FourierDensity(A, validate_args=True).log_prob(torch.tensor(math.inf)), "value must be finite"),
        (lambda: FourierDensity(A.expand(3, 2)).modes(), "modes needs one density, got a batch of shape"),
        (lambda: FourierDensity(A).penalty("q"), 'on must be "p" or "f"'),
        (lambda: RealLineFourierDensity(A, 0.0, 0.0), "scale must be positive and finite, got 0.0"),
        (lambda: FourierDensity.fit(torch.zeros(0), 3), "not empty"),
        (lambda: FourierDensity.fit(torch.zeros(3), 0), "num_freqs must be at least 1, got 0"),
        (lambda: FourierDensity.fit(torch.tensor([math.nan]), 3), "x must be finite"),
        (lambda: RealLineFourierDensity.fit(torch.ones(3), 3), "aren't all equal"),
        (lambda: fejer_coefficients(torch.ones(3), 2, torch.zeros(3)), "weights must be non-negative, not all 0"),
        (lambda: spectral_factor(torch.tensor([1.0, 0.6]) + 0j), r"got f/c_0 = -0.2 at x = -1.000000"),
        (lambda: spectral_factor(torch.tensor([1j, 0.1])), "a Hermitian series"),
        (lambda: quantize_pmf(torch.ones(17), 4), r"pmf has 17 symbols, at most 2\^precision = 16 fit"),
        (lambda: quantize_pmf(torch.zeros(3)), "pmf must have a positive sum"),
        (lambda: RansCoder(data=b"12"), "data must be what a coder wrote"),
        (lambda: EntropyModel(RealLineFourierDensity(A)), r"distribution must have a batch \(C,\)"),
        (lambda: EntropyModel(RealLineFourierDensity(A[None]), 0.0), "width must be positive"),
        (lambda: EntropyModel(RealLineFourierDensity(A[None]), 1e-6), "at most 32767 fit"),
        (lambda: EntropyModel(RealLineFourierDensity(A[None])).encode(torch.zeros(2, 1)), "symbols must be integers"),
        (lambda: FourierDensityConfig(num_freqs=0), "num_freqs must be at least 1, got 0"),
        (lambda: FourierDensityConfig(objective="mse"), "objective must be one of nll, bits"),
        (lambda: FourierDensityConfig(gamma=-1.0), "gamma must be at least 0"),
        (lambda: ConditionalFourierDensityConfig(depth=0), "depth must be at least 1, got 0"),
        (lambda: DeepFactorized(0), "must be positive"),
        (lambda: MixtureLogistics(1, 0), "must be positive"),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()
