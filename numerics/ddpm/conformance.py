r"""The torch steps against exact formulas.

Su Jianlin, 《生成扩散模型漫谈》 1 to 4, 2022. Schedules are built from dyadic α, and the exact side keeps square roots.
"""

from __future__ import annotations

import sympy as sp
import torch

from kexue import Conforms, Costs, claim
from kexue.derivations.ddpm.common import article_alpha2
from kexue.models import create_model
from kexue.models.ddpm import (
    NoiseSchedule,
    article_schedule,
    ddim_step,
    ddpm_step,
    q_posterior,
    q_sample,
    sample_chain,
)
from kexue.statements.conforms import tensor

ALPHAS = [sp.Rational(k, 16) for k in (15, 14, 12, 9)]
SCHEDULE = NoiseSchedule(tensor(ALPHAS))
X = [sp.Rational(3, 4), sp.Integer(-2), sp.Rational(5, 8)]
EPS = [sp.Rational(1, 2), sp.Rational(-1, 4), sp.Integer(1)]


def bars(t):
    a = sp.Mul(*ALPHAS[:t])
    return a, sp.sqrt(1 - a**2)


def row(values):
    return tensor([list(values)])


@claim(mutants=[dict(power=1), dict(last=39)], needs=("torch",))
def closed_form_marginal(power=2, last=40):
    r"""`NoiseSchedule` and `q_sample` give $\bar\alpha_t, \bar\beta_t$ and $\bar\alpha_tx_0 +
    \bar\beta_t\varepsilon$.

    Observed in float64: four dyadic steps, and the article's schedule up to T = 40 against square roots of exact
    products: half an ulp of an α close to 1 is more of β̄.
    """

    def exact(t):
        a, b = bars(t)
        return [[a * x + b ** (power - 1) * e for x, e in zip(X, EPS, strict=True)]]

    products = [sp.prod([sp.sympify(article_alpha2(k, 40)) for k in range(1, t + 1)]) for t in range(last + 1)]
    return (
        Conforms(
            lambda t: q_sample(row(X), torch.tensor([t]), row(EPS), SCHEDULE),
            exact,
            (1, 2, 3, 4),
            ulps=4,
            over="t = 1..4",
        ),
        Conforms(
            lambda _: NoiseSchedule(article_schedule(40)).beta_bar,
            lambda _: [sp.sqrt(1 - p) for p in products],
            (0,),
            ulps=64,
            over="T = 40",
        ),
    )


@claim(mutants=[dict(swapped=True)], needs=("torch",))
def posterior_given_x0(swapped=False):
    r"""`q_posterior` gives mean and variance of $p(x_{t-1}|x_t, x_0)$: observed in float64 for t = 2, 3, 4."""

    def exact(t):
        (a1, b1), (_, b) = bars(t - 1), bars(t)
        step = ALPHAS[t - 1]
        c_t, c_0 = step * b1**2 / b**2, a1 * (1 - step**2) / b**2
        first, second = (X, EPS) if swapped else (EPS, X)
        mean = [c_t * x + c_0 * z for x, z in zip(first, second, strict=True)]
        return [mean], [[b1**2 * (1 - step**2) / b**2]]

    return Conforms(
        lambda t: q_posterior(row(X), row(EPS), torch.tensor([t]), SCHEDULE),
        exact,
        (2, 3, 4),
        ulps=8,
        over="t = 2, 3, 4",
    )


@claim(mutants=[dict(shrink=2), dict(kept=0)], needs=("torch",))
def ddim_family(shrink=1, kept=1):
    r"""`ddim_step` is $\kappa x_t + \lambda\hat x_0 + \sigma z$ for every jump of four steps and σ = 0, β̄/2:
    observed in float64.
    """

    def exact(case):
        s, t, half = case
        (a_s, b_s), (a_t, b_t) = bars(s), bars(t)
        sigma = b_s / 2 if half else sp.S.Zero
        rest = sp.sqrt(b_s**2 - shrink * sigma**2)
        out = [
            a_s * (x - b_t * e) / a_t + rest * e + kept * sigma * z for x, e, z in zip(X, EPS, reversed(X), strict=True)
        ]
        return [out]

    def compute(case):
        s, t, half = case
        sigma = float(SCHEDULE.beta_bar[s]) / 2 if half else 0.0
        return ddim_step(row(X), t, s, row(EPS), SCHEDULE, sigma=sigma, noise=row(reversed(X)))

    cases = [(s, t, half) for t in range(1, 5) for s in range(1, t) for half in (False, True)]
    return Conforms(compute, exact, cases, ulps=16, over="all jumps of four steps")


@claim(mutants=[dict(ratio=False)], needs=("torch",))
def subsequence(ratio=True):
    r"""`ddpm_step` over skipped steps uses $\bar\alpha_t/\bar\alpha_s$: observed in float64 for every jump of four
    steps, with the noise of the posterior.
    """

    def exact(case):
        s, t = case
        (a_s, b_s), (a_t, b_t) = bars(s), bars(t)
        step = a_t / a_s if ratio else ALPHAS[t - 1]
        variance = b_s**2 * (1 - step**2) / b_t**2
        mean = [(x - (1 - step**2) / b_t * e) / step for x, e in zip(X, EPS, strict=True)]
        return [[m + sp.sqrt(variance) * z for m, z in zip(mean, reversed(X), strict=True)]]

    return Conforms(
        lambda case: ddpm_step(row(X), case[1], case[0], row(EPS), SCHEDULE, noise=row(reversed(X))),
        exact,
        [(s, t) for t in range(2, 5) for s in range(1, t)],
        ulps=16,
        over="all jumps of four steps",
    )


@claim(mutants=[dict(extra=1)], needs=("torch",))
def complexity(extra=0):
    r"""`sample_chain` calls the network exactly K times for K steps; the parameters of the U-Nets are those of their
    papers: 35 746 307 and 113 673 219, and 25 275 648 and 50 514 176 for the articles' code.
    """
    from kexue import ForEach

    def calls(steps):
        count = 0

        def denoiser(x, t):
            nonlocal count
            count += 1
            return torch.zeros_like(x)

        sample_chain(denoiser, torch.zeros(1, 2), NoiseSchedule(article_schedule(20)), steps=steps)
        return count, steps + extra

    known = {"cifar10": 35_746_307, "lsun256": 113_673_219, "su": 25_275_648, "su-2-blocks": 50_514_176}
    return (
        ForEach((1, 5, 20), calls, over="K = 1, 5, 20", observed=True),
        Costs(
            lambda name: (create_model(f"ddpm/{name}", device="meta"), ()), list(known),
            params=lambda name: known[name] + extra, over="four U-Nets",
        ),
    )  # fmt: skip
