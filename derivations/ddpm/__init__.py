r"""Denoising diffusion: the chain taken apart and put together, as an auto-encoder, by Bayes, and as DDIM.

Su Jianlin, 《生成扩散模型漫谈》 1 to 4 (Talks on generative diffusion models), 2022: DDPM as demolishing and
building (2022-06-13, archive 9119), as an autoregressive VAE (archive 9152), by Bayes and denoising (archive 9164),
DDIM (archive 9181). Papers: J. Ho, A. Jain, P. Abbeel, Denoising Diffusion Probabilistic Models, 2020, arXiv
2006.11239. J. Song, C. Meng, S. Ermon, Denoising Diffusion Implicit Models, 2020, arXiv 2010.02502.

    forward    the forward chain, its marginals, the two noises in one step, the schedule
    reverse    the posterior, its variance, the losses and the evidence bound
    ddim       the non-Markov family, its ordinary differential equation, and what few steps cost

Notation: $x_t = \alpha_tx_{t-1} + \beta_t\varepsilon_t$ with $\alpha_t^2 + \beta_t^2 = 1$, $\bar\alpha_t =
\alpha_1\cdots\alpha_t$, $\bar\beta_t = \sqrt{1-\bar\alpha_t^2}$: note the squares, $\bar\alpha^2$ is the $\bar\alpha$
of Ho et al. V_t is the variance of a coordinate of x_t, v that of the data. In formulas a, b stand for $\alpha_t,
\beta_t$, A, B for $\bar\alpha_{t-1}, \bar\beta_{t-1}$. Scalars suffice: all operators are multiples of the identity,
so every statement holds in each coordinate for every dimension.
"""
