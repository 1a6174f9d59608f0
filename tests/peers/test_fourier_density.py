"""SciPy's circular laws and kernels, scikit-learn's mixtures, torch's logistic law, CompressAI's prior."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
stats = pytest.importorskip("scipy.stats")

import numpy as np  # noqa: E402

from kexue.models.fourier_density import (  # noqa: E402
    DeepFactorized,
    FourierDensity,
    MixtureLogistics,
    RealLineFourierDensity,
)


def test_von_mises():
    """SciPy's law on [−π, π] with ρ_n = I_n(κ)/I_0(κ)."""
    special = pytest.importorskip("scipy.special")
    rho = special.ive(np.arange(24), 3.0) / special.ive(0, 3.0)
    p = FourierDensity.from_coefficients(torch.tensor(rho, dtype=torch.complex128), period=2 * math.pi)
    x = np.linspace(-3, 3, 61)
    theirs = stats.vonmises(3.0)
    np.testing.assert_allclose(p.prob(torch.tensor(x)).numpy(), theirs.pdf(x), rtol=0, atol=1e-12)
    np.testing.assert_allclose(p.cdf(torch.tensor(x)).numpy(), theirs.cdf(x), rtol=0, atol=1e-8)
    q = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(p.icdf(torch.tensor(q)).numpy(), theirs.ppf(q), rtol=0, atol=1e-6)
    assert abs(float(p.entropy()) - theirs.entropy()) < 1e-10


def test_cardioid():
    """ρ_1 = ½ is SciPy's cosine law, with a zero of the density at ±π."""
    p = FourierDensity.from_coefficients(torch.tensor([1.0, 0.5], dtype=torch.complex128), period=2 * math.pi)
    x = np.linspace(-3.1, 3.1, 63)
    np.testing.assert_allclose(p.prob(torch.tensor(x)).numpy(), stats.cosine.pdf(x), rtol=0, atol=1e-12)
    np.testing.assert_allclose(p.cdf(torch.tensor(x)).numpy(), stats.cosine.cdf(x), rtol=0, atol=1e-12)
    q = np.array([1e-6, 0.1, 0.5, 0.99])
    np.testing.assert_allclose(p.icdf(torch.tensor(q)).numpy(), stats.cosine.ppf(q), rtol=0, atol=1e-8)
    assert abs(float(p.variance) - stats.cosine.var()) < 1e-12


def test_logistic():
    q = RealLineFourierDensity(torch.ones(1, dtype=torch.complex128), 0.3, 0.8)
    theirs = stats.logistic(0.3, 0.4)
    y = np.linspace(-30, 30, 121)
    np.testing.assert_allclose(q.log_prob(torch.tensor(y)).numpy(), theirs.logpdf(y), rtol=1e-13)
    np.testing.assert_allclose(q.survival(torch.tensor(y)).numpy(), theirs.sf(y), rtol=1e-12)
    u = np.array([1e-200, 1e-9, 0.5, 0.999])
    np.testing.assert_allclose(q.icdf(torch.tensor(u)).numpy(), theirs.ppf(u), rtol=1e-12, atol=1e-14)


def samples(count: int = 3000) -> np.ndarray:
    g = np.random.default_rng(0)
    return np.concatenate([g.normal(-1.5, 0.3, count // 3), g.normal(0.5, 0.5, count - count // 3)])


def truth(y: np.ndarray) -> np.ndarray:
    return stats.norm(-1.5, 0.3).pdf(y) / 3 + stats.norm(0.5, 0.5).pdf(y) * 2 / 3


def divergence(log_fit: np.ndarray, y: np.ndarray) -> float:
    return float((truth(y) * (np.log(truth(y)) - log_fit)).sum() * (y[1] - y[0]))


def test_against_mixtures_and_kernels():
    """A smooth target: the fit's KL is that of a kernel estimate or better, without the data; a mixture that has the
    target's own form and number of components is better still."""
    mixture = pytest.importorskip("sklearn.mixture")
    neighbors = pytest.importorskip("sklearn.neighbors")
    x, y = samples(), np.linspace(-4, 4, 4096)
    ours = divergence(RealLineFourierDensity.fit(torch.tensor(x), 10).log_prob(torch.tensor(y)).numpy(), y)
    em = mixture.GaussianMixture(2, random_state=0).fit(x[:, None])
    kernel = neighbors.KernelDensity(bandwidth=0.5 * stats.gaussian_kde(x).scotts_factor()).fit(x[:, None])
    assert divergence(em.score_samples(y[:, None]), y) < ours < 0.01
    assert ours < divergence(stats.gaussian_kde(x).logpdf(y), y)
    assert ours < 2 * divergence(kernel.score_samples(y[:, None]), y)


def test_torch_mixtures_of_logistics():
    torch.manual_seed(0)
    mixture = MixtureLogistics(1, 3).double()
    base = torch.distributions.Uniform(torch.zeros(3).double(), torch.ones(3).double())
    scales = mixture.log_scales[0].exp().detach()
    components = torch.distributions.TransformedDistribution(
        base,
        [
            torch.distributions.SigmoidTransform().inv,
            torch.distributions.AffineTransform(mixture.means[0].detach(), scales),
        ],
    )
    theirs = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=mixture.weight_logits[0].detach()), components
    )
    y = torch.linspace(-3, 3, 31).double()
    torch.testing.assert_close(mixture.log_prob(y[:, None])[:, 0].detach(), theirs.log_prob(y))


def test_compressai_prior():
    """CompressAI's EntropyBottleneck is the deep factorised prior: the same masses of unit bins on the same weights."""
    models = pytest.importorskip("compressai.entropy_models")
    torch.manual_seed(0)
    theirs = models.EntropyBottleneck(2, filters=(3, 3, 3)).eval()
    ours = DeepFactorized(2)
    state = theirs.state_dict()
    for layer in range(4):
        ours.matrices[layer].data = state[f"_matrix{layer}"]
        ours.biases[layer].data = state[f"_bias{layer}"]
        if layer < 3:
            ours.factors[layer].data = state[f"_factor{layer}"]
    y = torch.arange(-20, 21).float()[:, None].expand(-1, 2)
    likelihood = theirs._likelihood(y.T[:, None])
    likelihood = likelihood[0] if isinstance(likelihood, tuple) else likelihood
    torch.testing.assert_close(ours.bin_prob(y), likelihood[:, 0].T, rtol=1e-4, atol=1e-7)
