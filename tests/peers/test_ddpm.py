"""diffusers' schedulers on the same ε and the same noise."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from kexue.models.ddpm import NoiseSchedule, ddim_step, ddpm_step, linear_schedule  # noqa: E402

SCHEDULE = NoiseSchedule(linear_schedule(100))


def test_ddpm_scheduler():
    theirs = diffusers.DDPMScheduler(
        num_train_timesteps=100, beta_start=1e-4, beta_end=0.02, clip_sample=False, variance_type="fixed_small"
    )
    x, eps = torch.randn(2, 4, 3, 8, 8).unbind(0)
    for t in (99, 50, 1):  # their time t is our t + 1
        torch.manual_seed(t)
        step = theirs.step(eps, t, x).prev_sample
        torch.manual_seed(t)
        noise = torch.randn(x.shape)
        torch.testing.assert_close(ddpm_step(x, t + 1, t, eps, SCHEDULE, noise=noise), step, rtol=1e-4, atol=1e-5)


def test_ddim_scheduler():
    theirs = diffusers.DDIMScheduler(
        num_train_timesteps=100, beta_start=1e-4, beta_end=0.02, clip_sample=False, timestep_spacing="trailing",
    )  # fmt: skip
    theirs.set_timesteps(10)
    x, eps = torch.randn(2, 4, 3, 8, 8).unbind(0)
    for eta in (0.0, 1.0):
        noise = torch.randn(x.shape)
        expected = theirs.step(eps, 59, x, eta=eta, variance_noise=noise).prev_sample
        found = ddim_step(x, 60, 50, eps, SCHEDULE, eta=eta, noise=noise)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
