"""Continuous diffusion on laws whose scores are known; optimal variance and guidance on the same bench."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest

torch = pytest.importorskip("torch")

from kexue.models.ddpm import NoiseSchedule, article_schedule, sub_sequence  # noqa: E402
from kexue.models.diffusion_sde import (  # noqa: E402
    VESDE,
    VPSDE,
    CustomSDE,
    GaussianMixture,
    SubVPSDE,
    dsm_loss,
    flow_map,
    log_likelihood,
    sample_sde,
)
from kexue.models.guidance import (  # noqa: E402
    ClassifierGuidance,
    SimilarityGuidance,
    cfg_combine,
    conditional_mean,
    drop_labels,
    gradient_of,
)
from kexue.models.optimal_variance import (  # noqa: E402
    AnalyticSampler,
    NoiseVarianceHead,
    noise_second_moments,
    optimal_sigma2,
    optimal_trajectory,
    sigma_bar2,
)

SDES = [
    VPSDE(),
    SubVPSDE(),
    VESDE(0.01, 10.0),
    CustomSDE(lambda t: (-5 * t * t).exp(), lambda t: (-(-10 * t * t).expm1()).sqrt()),
]
MIXTURE = GaussianMixture(
    torch.tensor([[-0.8], [0.1], [0.9]]).double(),
    torch.tensor([0.05, 0.15, 0.02]).double(),
    torch.tensor([0.3, 0.5, 0.2]).double(),
)


def gaussian(v: float, dim: int = 1) -> GaussianMixture:
    return GaussianMixture(torch.zeros(1, dim).double(), torch.tensor([math.sqrt(v)], dtype=torch.float64))


@pytest.mark.parametrize("sde", SDES, ids=lambda s: type(s).__name__)
def test_coefficients_are_those_of_the_marginal(sde):
    """ᾱ' = fᾱ and (β̄²)' = 2fβ̄² + g², by central differences."""
    for t in (0.1, 0.5, 0.9):
        h = 1e-6
        slope = lambda f, t=t, h=h: (f(t + h) - f(t - h)) / (2 * h)  # noqa: E731
        assert slope(sde.alpha_bar) == pytest.approx(sde.f(t) * sde.alpha_bar(t), rel=1e-6, abs=1e-7)
        expected = 2 * sde.f(t) * sde.beta_bar(t) ** 2 + sde.g2(t)
        assert slope(lambda u: sde.beta_bar(u) ** 2) == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_score_is_the_gradient_of_the_density():
    x = torch.randn(20, 1, dtype=torch.float64, requires_grad=True)
    density = MIXTURE.log_prob(x, 0.7, 0.4)
    torch.testing.assert_close(torch.autograd.grad(density.sum(), x)[0], MIXTURE.score(x.detach(), 0.7, 0.4))
    grid = torch.linspace(-6, 6, 20_001, dtype=torch.float64)[:, None]
    assert float(torch.trapezoid(MIXTURE.log_prob(grid, 0.7, 0.4).exp(), grid[:, 0])) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("sde", SDES[:3], ids=lambda s: type(s).__name__)
def test_flow_of_gaussian_data_is_exact(sde):
    law = gaussian(0.3)
    x = torch.linspace(-2, 2, 7, dtype=torch.float64)[:, None]
    variance = lambda t: sde.alpha_bar(t) ** 2 * 0.3 + sde.beta_bar(t) ** 2  # noqa: E731
    there = flow_map(law.score_of(sde), sde, x, 0.05, 0.9)
    torch.testing.assert_close(there, x * math.sqrt(variance(0.9) / variance(0.05)), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(flow_map(law.score_of(sde), sde, there, 0.9, 0.05), x, rtol=1e-6, atol=1e-8)


def test_orders_of_the_solvers():
    """Global errors on N(0, 0.3) halve, quarter and fall by 16 (diffusion_sde/solver-order)."""
    sde, law = VPSDE(0.5, 3.0), gaussian(0.3)
    x = torch.ones(1, 1, dtype=torch.float64)
    stop = 0.2
    variance = lambda t: sde.alpha_bar(t) ** 2 * 0.3 + sde.beta_bar(t) ** 2  # noqa: E731
    exact = math.sqrt(variance(stop) / variance(1.0))
    for sampler, order in (("ode-euler", 1), ("ode-heun", 2), ("ode-rk4", 4)):
        errors = [
            abs(
                float(sample_sde(law.score_of(sde), sde, x, steps=n, sampler=sampler, stop=stop, denoise=False)) - exact
            )
            for n in (20, 40)
        ]
        assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("euler-maruyama", {}), ("euler-maruyama", {"churn": 0.5}), ("euler-maruyama", {"churn": 1.5}),
        ("reverse-diffusion", {}), ("reverse-diffusion", {"corrector_steps": 1}),
    ],
)  # fmt: skip
def test_noisy_samplers_have_the_right_law(sampler, options):
    """Mean, variance and the weight of a component, 20 000 samples of the mixture, 400 steps of VP."""
    sde = VPSDE()
    x = torch.randn(20_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = sample_sde(
        MIXTURE.score_of(sde), sde, x, steps=400, sampler=sampler, generator=torch.Generator().manual_seed(1), **options
    )
    truth = MIXTURE.sample(200_000, torch.Generator().manual_seed(2))
    assert float(out.mean()) == pytest.approx(float(truth.mean()), abs=0.03)
    assert float(out.var()) == pytest.approx(float(truth.var()), rel=0.06)
    assert float((out < -0.4).double().mean()) == pytest.approx(0.3, abs=0.02)


def test_likelihood():
    sde, law = VPSDE(), gaussian(0.3)
    x = torch.tensor([[0.7]], dtype=torch.float64)
    v1 = sde.alpha_bar(1.0) ** 2 * 0.3 + sde.beta_bar(1.0) ** 2
    prior = lambda z: -(z[:, 0] ** 2) / (2 * v1) - 0.5 * math.log(2 * math.pi * v1)  # noqa: E731
    found = log_likelihood(law.score_of(sde), sde, x, steps=400, prior=prior)
    assert float(found) == pytest.approx(-1.1336187978, abs=2e-5)
    plain = log_likelihood(law.score_of(sde), sde, x, steps=400)
    assert abs(float(plain - found)) < 1e-4
    pair = torch.randn(5, 3, dtype=torch.float64)
    law3 = gaussian(0.3, 3)
    exact = log_likelihood(law3.score_of(sde), sde, pair, steps=100)
    estimated = log_likelihood(law3.score_of(sde), sde, pair, steps=100, divergence="hutchinson")
    torch.testing.assert_close(exact, estimated)  # a multiple of the identity has no off-diagonal entries


def test_score_matching_has_an_irreducible_loss():
    """E‖β̄s + ε‖² of the exact score is (ᾱ²/β̄²)σ̄² per value (claim diffusion_sde/dsm-equals-esm)."""
    sde, v, t = VPSDE(), 0.3, 0.4
    x0 = math.sqrt(v) * torch.randn(400_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(x0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a2, b2 = sde.alpha_bar(t) ** 2, sde.beta_bar(t) ** 2
    expected = a2 / b2 * v * b2 / (a2 * v + b2)
    assert float(dsm_loss(gaussian(v).score_of(sde), sde, x0, t, noise)) == pytest.approx(expected, rel=0.01)


# Optimal variance

SCHEDULE = NoiseSchedule(article_schedule())


def exact_eps(v: float):
    def eps(x, t):
        a, b = (table[t].reshape(-1, *[1] * (x.ndim - 1)) for table in (SCHEDULE.alpha_bar, SCHEDULE.beta_bar))
        return b * x / (a**2 * v + b**2)

    return eps


def exact_sigma_bar2(v: float) -> torch.Tensor:
    a2, b2 = SCHEDULE.alpha_bar**2, SCHEDULE.beta_bar**2
    return v * b2 / (a2 * v + b2)


@pytest.mark.parametrize("v", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_analytic_variance_is_exact_at_every_number_of_steps(v, eta, steps):
    """The recursion of the variance gives v exactly when started from p_T (optimal_variance/gaussian-exactness)."""
    sampler = AnalyticSampler(SCHEDULE, exact_sigma_bar2(v), eta=eta)
    marginal = SCHEDULE.alpha_bar**2 * v + SCHEDULE.beta_bar**2
    variance = float(marginal[-1])
    zero = torch.zeros(1, 1, dtype=torch.float64)
    for s, t in reversed(list(pairwise(sub_sequence(steps, 1000)))):
        lambda2, total = sampler.variance(s, t)
        x = torch.ones(1, 1, dtype=torch.float64)
        from kexue.models.ddpm import ddim_step

        factor = float(
            ddim_step(x, t, s, exact_eps(v)(x, torch.tensor([t])), SCHEDULE, sigma=math.sqrt(lambda2), noise=zero)
        )
        variance = factor**2 * variance + total
        assert variance == pytest.approx(float(marginal[s]), rel=1e-10)


def test_three_estimates_agree_for_the_exact_denoiser():
    v = 0.5
    x0 = math.sqrt(v) * torch.randn(4000, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    small = NoiseSchedule(article_schedule(20, 0.5))

    def eps(x, t):
        a, b = (table[t][:, None] for table in (small.alpha_bar, small.beta_bar))
        return b * x / (a**2 * v + b**2)

    moments = noise_second_moments(eps, x0, small, generator=torch.Generator().manual_seed(1))
    a2, b2 = small.alpha_bar**2, small.beta_bar**2
    exact = v * b2 / (a2 * v + b2)
    for method in ("eps", "x0", "residual"):
        found = sigma_bar2(moments, small, method=method, data_variance=v)
        snr = a2[5] * v / b2[5]
        assert float(found[5]) == pytest.approx(float(exact[5]), rel=0.1 * max(1, float(snr), float(1 / snr)))
        assert (found <= v).all() and found[0] == 0


def test_samples_with_the_analytic_variance():
    sampler = AnalyticSampler(SCHEDULE, exact_sigma_bar2(0.25), eta=0.0)
    x = torch.randn(100_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = sampler.sample(exact_eps(0.25), x, steps=5, final_noise=True, generator=torch.Generator().manual_seed(1))
    assert float(out.var()) == pytest.approx(0.25, rel=0.02)


def test_variance_bounds_and_errors():
    assert optimal_sigma2(499, 500, 0.0, 0.0, SCHEDULE) == 0
    with pytest.raises(ValueError, match="lambda2 must be in"):
        optimal_sigma2(499, 500, 2.0, 0.1, SCHEDULE)
    with pytest.raises(ValueError, match="must have T \\+ 1 = 1001 values, got 3"):
        AnalyticSampler(SCHEDULE, torch.ones(3))
    with pytest.raises(ValueError, match="eta must be in"):
        AnalyticSampler(SCHEDULE, torch.ones(1001), eta=2.0)


def test_heads():
    features, noise, eps = torch.randn(2, 4, 5, 5), torch.randn(2, 3, 5, 5), torch.randn(2, 3, 5, 5)
    for kind in ("npr", "sn"):
        head = NoiseVarianceHead(4, 3, kind)
        head.loss(features, noise, eps).backward()
        assert head.residual(features, eps).min() >= 0
    with pytest.raises(ValueError, match="kind must be npr or sn, got 'mlp'"):
        NoiseVarianceHead(4, 3, "mlp")


def test_trajectories_are_optimal():
    cost = torch.rand(9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for steps in range(1, 9):
        path = optimal_trajectory(cost, steps)
        best = min(
            sum(float(cost[s, t]) for s, t in pairwise((0, *inner, 8)))
            for inner in combinations(range(1, 8), steps - 1)
        )
        assert sum(float(cost[s, t]) for s, t in pairwise(path)) == pytest.approx(best)
        assert path[0] == 0 and path[-1] == 8 and len(path) == steps + 1
    with pytest.raises(ValueError, match=r"steps must be in 1\.\.8, got 9"):
        optimal_trajectory(cost, 9)


# Guidance


def two_classes(t: int):
    """½N(±1, ¼): the posterior of the class +1 at x_t, and both exact denoisers."""
    a, b = float(SCHEDULE.alpha_bar[t]), float(SCHEDULE.beta_bar[t])
    means, stds = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([0.5, 0.5]).double()
    both = GaussianMixture(means, stds)
    one = GaussianMixture(means[:1], stds[:1])
    posterior = lambda x, _t: one.log_prob(x, a, b) - both.log_prob(x, a, b) + math.log(0.5)  # noqa: E731
    return posterior, lambda x, _t: -b * one.score(x, a, b), lambda x, _t: -b * both.score(x, a, b)


def test_exact_guidance_is_the_conditional_step():
    """γ = 1 with the exact posterior gives ε and the mean of the conditional law, at any step."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    for t in (2, 300, 900):
        posterior, conditional, unconditional = two_classes(t)
        when = torch.full((9,), t)
        guide = ClassifierGuidance(posterior, SCHEDULE)
        torch.testing.assert_close(guide.denoiser(unconditional)(x, when), conditional(x, when))
        shifted = conditional_mean(x, t, unconditional(x, when), SCHEDULE) + guide.exact_mean_shift(x, t)
        torch.testing.assert_close(
            shifted, conditional_mean(x, t, conditional(x, when), SCHEDULE), rtol=1e-10, atol=1e-10
        )
        w = 1.5
        torch.testing.assert_close(
            cfg_combine(conditional(x, when), unconditional(x, when), w),
            ClassifierGuidance(posterior, SCHEDULE, 1 + w).denoiser(unconditional)(x, when),
        )
        assert torch.equal(
            ClassifierGuidance(posterior, SCHEDULE, 0.0).denoiser(unconditional)(x, when), unconditional(x, when)
        )


def test_combinations():
    c, u = torch.randn(2, 4, 3).unbind(0)
    torch.testing.assert_close(cfg_combine(c, u, 0.0), c)
    torch.testing.assert_close(cfg_combine(c, u, -1.0), u)


def test_similarity_gradients():
    target = torch.randn(1, 6, dtype=torch.float64)
    guide = SimilarityGuidance(lambda x: x, target)
    x = torch.randn(4, 6, dtype=torch.float64)
    gradient = gradient_of(guide, x)
    cosine = guide(x)
    torch.testing.assert_close((gradient * x).sum(1), torch.zeros(4).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient.norm(dim=1), (1 - cosine**2).sqrt() / x.norm(dim=1))
    style = SimilarityGuidance(lambda x: x, torch.randn(1, 3, 4, 4), "gram")
    assert style(torch.randn(2, 3, 4, 4)).shape == (2,)


def test_dropped_labels():
    labels = drop_labels(torch.zeros(10_000, dtype=torch.long), 7, 0.1, torch.Generator().manual_seed(0))
    assert set(labels.tolist()) == {0, 7} and abs(float((labels == 7).float().mean()) - 0.1) < 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VPSDE(0.0), "0 < min ≤ max, got 0.0, 20.0"),
        (lambda: VESDE(1.0, 0.5), "0 < min < max, got 1.0, 0.5"),
        (lambda: CustomSDE(lambda t: t * 0 + 1, lambda t: 1 - t).g2(0.5), "must not decrease"),
        (lambda: sample_sde(lambda x, t: x, VPSDE(), torch.zeros(1, 1), sampler="rk45"), "sampler must be one of"),
        (lambda: sample_sde(lambda x, t: x, VPSDE(), torch.zeros(1, 1), steps=0), "steps must be at least 1"),
        (lambda: log_likelihood(lambda x, t: x, VPSDE(), torch.zeros(1, 1), divergence="guess"), "exact or hutchinson"),
        (
            lambda: dsm_loss(lambda x, t: x, VPSDE(), torch.zeros(1, 1), 0.5, torch.zeros(1, 1), "none"),
            "weighting must be",
        ),
        (lambda: GaussianMixture(torch.zeros(2, 1), torch.ones(3)), "means must be"),
        (lambda: GaussianMixture(torch.zeros(1, 1), -torch.ones(1)), "stds not negative"),
        (lambda: gradient_of(lambda x: x, torch.zeros(2, 3)), "must give 2 numbers"),
        (lambda: drop_labels(torch.zeros(2, dtype=torch.long), 1, 0.0), r"probability must be in \(0, 1\), got 0.0"),
        (lambda: SimilarityGuidance(lambda x: x, torch.zeros(1, 2), "dot"), "cos or gram, got 'dot'"),
        (
            lambda: ClassifierGuidance(lambda x, t: x[:, 0], SCHEDULE, classifier=torch.nn.BatchNorm1d(3)),
            "classifier must be in eval mode",
        ),
        (lambda: sigma_bar2({}, SCHEDULE, method="guess"), "method must be one of"),
        (lambda: sigma_bar2({}, SCHEDULE, method="x0"), "data_variance must be given"),
        (lambda: sigma_bar2({"residual": torch.zeros(3)}, SCHEDULE), r"T \+ 1 = 1001 finite numbers, got 3, 3 of them"),
        (lambda: sigma_bar2({}, SCHEDULE, data_variance=0.0), "data_variance must be a finite number > 0, got 0.0"),
        (lambda: AnalyticSampler(SCHEDULE, -torch.ones(1001)), "sigma_bar2 must be ≥ 0, got -1"),
        (
            lambda: AnalyticSampler(SCHEDULE, torch.zeros(1001)).sample(None, torch.zeros(1, 1), times=[0, 9]),
            "increase strictly from 0 to 1000",
        ),
        (lambda: VPSDE().marginal(torch.zeros(1), 1.5), r"t must be in \[0, 1.0\], got 1.5"),
        (lambda: sample_sde(lambda x, t: x, VPSDE(), torch.zeros(1, 1), snr=0.0), "snr must be > 0, got 0.0"),
        (lambda: sample_sde(lambda x, t: x[0], VPSDE(), torch.zeros(1, 1)), r"return the shape \(1, 1\), got \(1,\)"),
        (lambda: cfg_combine(torch.zeros(2), torch.zeros(3), 1.0), r"must have one shape, got \(2,\) and \(3,\)"),
        (lambda: cfg_combine(torch.zeros(2), torch.zeros(2), math.nan), "w must be finite, got nan"),
        (lambda: ClassifierGuidance(lambda x, t: x[:, 0], SCHEDULE, math.inf), "scale must be finite, got inf"),
        (
            lambda: ClassifierGuidance(lambda x, t: x[:, 0], SCHEDULE).mean_shift(torch.zeros(1, 1), 3, 0.0),
            "variance must be > 0, got 0.0",
        ),
        (lambda: SimilarityGuidance(lambda x: x, torch.zeros(1, 2)), "no zero vectors"),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()
