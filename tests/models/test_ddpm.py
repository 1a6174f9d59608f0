"""Diffusion: schedules, steps against exact formulas, the U-Nets' counts, exact laws of whole chains, bad input."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from kexue.models import create_model  # noqa: E402
from kexue.models.ddpm import (  # noqa: E402
    NoiseSchedule,
    UNet,
    article_schedule,
    cosine_schedule,
    ddim_encode,
    ddim_step,
    ddpm_step,
    elbo_terms,
    eps_to_x0,
    exp_quadratic_schedule,
    linear_schedule,
    q_posterior,
    q_sample,
    sample_chain,
    spherical_interp,
    sub_sequence,
    x0_to_eps,
)

ARTICLE = NoiseSchedule(article_schedule())


def gaussian_denoiser(schedule: NoiseSchedule, v: float):
    """The exact ε for data N(0, v): β̄ x/(ᾱ²v + β̄²)."""

    def eps(x, t):
        a, b = (
            table[t].reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype) for table in (schedule.alpha_bar, schedule.beta_bar)
        )
        return b * x / (a**2 * v + b**2)

    return eps


@pytest.mark.parametrize(
    ("preset", "count"),
    [
        ("cifar10", 35_746_307),
        ("lsun256", 113_673_219),
        ("paper-tiny", 702_499),
        ("su", 25_275_648),
        ("su-2-blocks", 50_514_176),
    ],
)
def test_parameter_counts(preset, count):
    assert create_model(f"ddpm/{preset}", device="meta").num_parameters() == count


def test_schedules():
    assert float(ARTICLE.alpha_bar[-1].log()) == pytest.approx(-5.03872141460969658, rel=1e-13)
    assert float(NoiseSchedule(linear_schedule()).alpha_bar[-1].log()) == pytest.approx(-5.05885677120655, rel=1e-12)
    quadratic = NoiseSchedule(exp_quadratic_schedule(100))
    torch.testing.assert_close(quadratic.alpha_bar, (-5 * (torch.arange(101).double() / 100) ** 2).exp())
    for schedule in (ARTICLE, quadratic, NoiseSchedule(cosine_schedule(50))):
        torch.testing.assert_close(schedule.alpha**2 + schedule.beta**2, torch.ones_like(schedule.alpha))
        torch.testing.assert_close(schedule.alpha_bar**2 + schedule.beta_bar**2, torch.ones_like(schedule.alpha))
        assert (schedule.alpha_bar.diff() < 0).all()
    assert ARTICLE.to(torch.bfloat16).alpha_bar.dtype == torch.float64


def test_an_untrained_unet_predicts_zero():
    model = create_model("ddpm/tiny").eval()
    batch = model.example(4)
    assert float(model(batch["images"], batch["t"]).abs().max()) < 1e-4
    assert float(model.loss(batch)) == pytest.approx(float(batch["noise"].square().mean()), rel=1e-3)


def test_conversions_and_posterior():
    x0, noise = torch.randn(2, 5, 3, dtype=torch.float64).unbind(0)
    t = torch.tensor([1, 2, 500])
    x0, noise = x0.T, noise.T
    xt = q_sample(x0, t, noise, ARTICLE)
    torch.testing.assert_close(eps_to_x0(xt, t, noise, ARTICLE), x0)
    torch.testing.assert_close(x0_to_eps(xt, t, x0, ARTICLE), noise)
    mean, variance = q_posterior(x0, xt, t, ARTICLE)
    torch.testing.assert_close(mean[0], x0[0])
    assert float(variance[0]) == 0
    for i in range(3):
        one = ddpm_step(
            xt[i : i + 1], int(t[i]), int(t[i]) - 1, noise[i : i + 1], ARTICLE, noise=torch.zeros(1, 5).double()
        )
        torch.testing.assert_close(one, mean[i : i + 1])


@pytest.mark.parametrize(("t", "s"), [(1, 0), (2, 1), (500, 499), (1000, 900), (700, 3)])
def test_ddpm_is_the_member_eta_1(t, s):
    x, eps, noise = torch.randn(3, 4, 6, dtype=torch.float64).unbind(0)
    torch.testing.assert_close(
        ddim_step(x, t, s, eps, ARTICLE, eta=1.0, noise=noise), ddpm_step(x, t, s, eps, ARTICLE, noise=noise)
    )


def test_ddim_with_a_constant_eps():
    eps = torch.randn(4, 6, dtype=torch.float64)
    constant = lambda x, t: eps  # noqa: E731
    x = torch.randn(4, 6, dtype=torch.float64)
    one = ddim_step(x, 1000, 0, eps, ARTICLE)
    many = sample_chain(constant, x, ARTICLE, steps=10, sampler="ddim")
    torch.testing.assert_close(one, many, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ddim_encode(constant, many, ARTICLE, steps=10), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("v", "steps", "sampler", "expected"),
    [
        (0.25, 10, "ddim", 0.13888), (0.25, 50, "ddim", 0.22301), (1.0, 10, "ddim", 0.69030),
        (4.0, 10, "ddim", 2.95622),
    ],
)  # fmt: skip
def test_few_steps_lose_variance_exactly(v, steps, sampler, expected):
    """DDIM is linear on Gaussian data: the image of x = 1 squared is the output variance
    (ddpm/chain-variance-recursion).
    """
    x = torch.ones(1, 1, dtype=torch.float64)
    out = sample_chain(gaussian_denoiser(ARTICLE, v), x, ARTICLE, steps=steps, sampler=sampler)
    assert float(out) ** 2 == pytest.approx(expected, abs=6e-6)


@pytest.mark.parametrize(("variance", "expected"), [("small", 0.11197), ("large", 0.34646)])
def test_noisy_chains_have_the_exact_variance(variance, expected):
    """K = 10 steps of DDPM on N(0, ¼), 200 000 samples: 5 standard errors are 1.6 %; "large" without its last noise."""
    x = torch.randn(200_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = sample_chain(
        gaussian_denoiser(ARTICLE, 0.25), x, ARTICLE, steps=10, variance=variance,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    last = (1 - float(ARTICLE.alpha_bar[100]) ** 2) if variance == "large" else 0.0
    assert float(out.var()) + last == pytest.approx(expected, rel=0.02)


def test_evidence_bound_of_gaussian_data():
    """The exact denoiser of N(0, 1): every L_{t−1} is the loss of the optimum, L_T is tiny."""
    schedule = NoiseSchedule(linear_schedule(20, 1e-3, 0.3))
    x0 = torch.randn(4000, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    last, middle, first = elbo_terms(
        gaussian_denoiser(schedule, 1.0), x0, schedule, generator=torch.Generator().manual_seed(1)
    )
    assert middle.shape == (4000, 19) and float(middle.min()) >= 0 and float(last.mean()) < 0.05
    assert first.isfinite().all()


def test_each_time_is_its_own():
    model = create_model("ddpm/tiny").eval()
    torch.nn.init.normal_(model.network.last.weight, std=0.1)
    batch = model.example(3)
    together = model(batch["images"], batch["t"])
    for i in range(3):
        alone = model(batch["images"][i : i + 1], batch["t"][i : i + 1])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-4, atol=1e-5)


def test_samples():
    model = create_model("ddpm/tiny", steps=8)
    images = model.sample(3, generator=torch.Generator().manual_seed(0))
    assert images.shape == (3, 1, 8, 8) and images.isfinite().all() and model.training
    again = model.sample(3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images, again)
    su = create_model("ddpm/su-tiny", steps=4).sample(2, sampler="ddim", steps=2)
    assert su.shape == (2, 3, 16, 16)


def test_spherical_interpolation_keeps_the_variance():
    z1, z2 = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0)).unbind(0)
    assert float(spherical_interp(z1, z2, 0.3).var()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(spherical_interp(z1, z2, 0.0), z1)


X = torch.zeros(2, 1, 8, 8)
SMALL = NoiseSchedule(linear_schedule(10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NoiseSchedule(torch.tensor([0.9, 1.0])), r"alpha must lie in \(0, 1\), got 1.0"),
        (lambda: NoiseSchedule(torch.ones(0)), "at least one value"),
        (lambda: linear_schedule(0), "steps must be at least 1, got 0"),
        (lambda: q_sample(X, torch.tensor([1.0, 2.0]), X, SMALL), "t must hold integers, got torch.float32"),
        (lambda: q_sample(X, torch.tensor([0, 3]), X, SMALL), r"t must lie in 1..10, got 0..3"),
        (lambda: q_sample(X, torch.tensor([1, 2, 3]), X, SMALL), "one time for each of the 2 images"),
        (lambda: q_sample(X.byte(), torch.tensor([1, 2]), X, SMALL), "floating point tensor, .* got torch.uint8"),
        (lambda: q_sample(X, torch.tensor([1, 2]), X[:1], SMALL), r"noise must have the shape \(2, 1, 8, 8\) of x0"),
        (lambda: sample_chain(lambda x, t: x, X, SMALL, steps=0), r"steps must be in 1\.\.10, got 0"),
        (lambda: ddim_step(X, 3, 3, X, SMALL), "0 ≤ s < t ≤ 10, got s = 3, t = 3"),
        (lambda: ddim_step(X, 3, 2, X, SMALL, sigma=2.0), "sigma must be in"),
        (lambda: ddim_step(X, 3, 2, X, SMALL, sigma=-0.1), "sigma must be in"),
        (lambda: ddim_step(X, 3, 2, X, SMALL, sigma=0.01, eta=1.0), "exclude each other"),
        (lambda: ddim_step(X, 3, 2, X, SMALL, eta=1.0), "noise must be given"),
        (lambda: ddpm_step(X, 3, 2, X, SMALL, variance="huge"), "small, large or a number, got 'huge'"),
        (lambda: sub_sequence(11, 10), "steps must be in 1..10, got 11"),
        (lambda: sample_chain(lambda x, t: x, X, SMALL, times=[0, 5, 5, 10]), "increase strictly"),
        (lambda: sample_chain(lambda x, t: x, X, SMALL, times=[0, 5]), "from 0 to 10"),
        (lambda: sample_chain(lambda x, t: x, X, SMALL, sampler="euler"), "ddpm or ddim, got 'euler'"),
        (lambda: sample_chain(lambda x, t: torch.cat((x, x), 1), X, SMALL), "must return the shape"),
        (lambda: UNet(10, 1, 32, (1, 2, 2), 1, (), 0.0), "multiple of 4 for 3 levels, got 10"),
        (lambda: UNet(8, 1, 30, (1,), 1, (), 0.0), "multiple of the 32 groups, got 30"),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_articles_sigma_is_refused_where_it_does_not_exist():
    """σ_t = β_t has no member of the family at t = 1, 2, 3 (claim ddpm/sigma-beta-not-always-admissible)."""
    x = torch.zeros(1, 1)
    for t in (1, 2, 3):
        with pytest.raises(ValueError, match="sigma must be in"):
            ddim_step(x, t, t - 1, x, ARTICLE, sigma=float(ARTICLE.beta[t]), noise=x)
    ddim_step(x, 4, 3, x, ARTICLE, sigma=float(ARTICLE.beta[4]), noise=x)
    assert math.isfinite(float(ARTICLE.beta[1]))
