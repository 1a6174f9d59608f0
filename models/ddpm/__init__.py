r"""Denoising diffusion in torch: schedules, the sampling steps, the U-Nets of the paper and of the articles.

Su Jianlin, 《生成扩散模型漫谈》 1 to 4, 2022, archives 9119, 9152, 9164, 9181; Ho, Jain, Abbeel, Denoising Diffusion
Probabilistic Models, 2020, arXiv 2006.11239; Song, Meng, Ermon, Denoising Diffusion Implicit Models, 2020, arXiv
2010.02502.

    schedule   `NoiseSchedule` and the schedules of the articles and the papers
    process    noising, the posterior, the steps of DDPM and DDIM, whole chains, the evidence bound
    unet       the U-Net of the paper
    su_unet    the U-Net of the articles
    model      `DDPM`, `SuDDPM`: a network with its schedule, its loss and its sampler

α_t² + β_t² = 1 as in the articles; the paper's ᾱ_t is the square of ours. Images lie in [−1, 1], (batch, channels,
height, width).
"""

from .model import DDPM, DDPMConfig, SuDDPM, SuDDPMConfig
from .process import (
    ddim_encode,
    ddim_step,
    ddpm_step,
    elbo_terms,
    eps_to_x0,
    q_posterior,
    q_sample,
    sample_chain,
    spherical_interp,
    sub_sequence,
    x0_to_eps,
)
from .schedule import NoiseSchedule, article_schedule, cosine_schedule, exp_quadratic_schedule, linear_schedule
from .su_unet import SuUNet
from .unet import UNet

__all__ = [
    "DDPM",
    "DDPMConfig",
    "NoiseSchedule",
    "SuDDPM",
    "SuDDPMConfig",
    "SuUNet",
    "UNet",
    "article_schedule",
    "cosine_schedule",
    "ddim_encode",
    "ddim_step",
    "ddpm_step",
    "elbo_terms",
    "eps_to_x0",
    "exp_quadratic_schedule",
    "linear_schedule",
    "q_posterior",
    "q_sample",
    "sample_chain",
    "spherical_interp",
    "sub_sequence",
    "x0_to_eps",
]

PRESETS = {
    "cifar10": DDPMConfig(),
    "lsun256": DDPMConfig(image_size=256, multipliers=(1, 1, 2, 2, 4, 4), dropout=0.0),
    "paper-tiny": DDPMConfig(image_size=16, width=32, multipliers=(1, 2), num_blocks=1, attention=(8,), dropout=0.0),
    "digits": DDPMConfig(
        image_size=8, channels=1, width=32, multipliers=(1, 2), num_blocks=1, attention=(4,), dropout=0.0, steps=200,
        largest=0.1,
    ),
    "tiny": DDPMConfig(
        image_size=8, channels=1, width=32, multipliers=(1, 2), num_blocks=1, attention=(4,), dropout=0.0, steps=50
    ),
    "su": SuDDPMConfig(),
    "su-2-blocks": SuDDPMConfig(num_blocks=2),
    "su-v2": DDPMConfig(
        image_size=128, multipliers=(1, 1, 2, 2, 4, 4), attention=(), dropout=0.0, schedule="article"
    ),
    "su-tiny": SuDDPMConfig(image_size=16, width=32, multipliers=(1, 2), steps=50),
}  # fmt: skip
