r"""Fits of one-dimensional targets at equal numbers of parameters, as in the paper's figure: KL, and modes found.

Su Jianlin, 《用傅里叶级数拟合一维概率密度函数》, archive 10007; Fourier Basis Density Model, 2024, arXiv 2402.15345.

    compare_fits()   a table of KL(target‖fit) by 4096-point quadrature; minutes with its defaults, nothing else runs it

Real parameters: the Fourier density 2(N+1) + 2, mixtures 3K − 1, the deep factorised prior (3, 3, 3) 43. Samples are
standardised for every method and KL is computed after going back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

NODES = 4096
FREQUENCIES, COMPONENTS = 20, 14  # 42 and 41 real parameters, beside 43


@dataclass(frozen=True)
class Target:
    """A density on an interval that holds all but a negligible part of it, and its quantile function on a grid."""

    name: str
    low: float
    high: float
    density: Callable[[np.ndarray], np.ndarray]

    def nodes(self) -> np.ndarray:
        """Midpoints of 4096 cells."""
        return self.low + (np.arange(NODES) + 0.5) * (self.high - self.low) / NODES

    def sample(self, count: int, seed: int) -> np.ndarray:
        """By inversion of the distribution function, tabulated at 2¹⁷ points."""
        grid = np.linspace(self.low, self.high, 2**17 + 1)
        mass = np.concatenate([[0], np.cumsum(self.density((grid[1:] + grid[:-1]) / 2))])
        return np.interp(np.random.default_rng(seed).random(count), mass / mass[-1], grid)


def normal(x: np.ndarray, mean: Any, deviation: Any) -> np.ndarray:
    return np.exp(-(((x - mean) / deviation) ** 2) / 2) / (np.sqrt(2 * np.pi) * deviation)


def gaussian_mixture(components: int, seed: int = 0) -> Target:
    """The official demonstration's: means uniform around (−½, 0.3), deviations 10/(6K) · U(¼, 0.35)."""
    g = np.random.default_rng(seed)
    means = g.uniform(-0.5, 0.3, components)
    deviations = g.uniform(0.25, 0.35, components) * 10 / (6 * components)

    def density(x: np.ndarray) -> np.ndarray:
        return normal(x[..., None], means, deviations).mean(-1)

    reach = 8 * deviations.max()
    return Target(f"{components} Gaussians", float(means.min() - reach), float(means.max() + reach), density)


def targets() -> list[Target]:
    """Mixtures of 5, 10, 25 Gaussians, a wrapped normal and a von Mises law on [−1, 1], a square, Laplace's law."""
    n = np.arange(1, 40)

    def wrapped(x: np.ndarray) -> np.ndarray:
        return 0.5 + np.cos(np.pi * np.multiply.outer(x, n)) @ np.exp(-((np.pi * n * 0.2) ** 2) / 2)

    def von_mises(x: np.ndarray) -> np.ndarray:
        return np.exp(4 * np.cos(np.pi * (x - 0.3))) / (2 * np.i0(4.0))

    return [
        *(gaussian_mixture(components) for components in (5, 10, 25)),
        Target("wrapped normal", -1, 1, wrapped),
        Target("von Mises", -1, 1, von_mises),
        Target("square", -1, 1, lambda x: np.where(np.abs(x) < 0.5, 1.0, 0.0)),
        Target("Laplace", -6, 6, lambda x: np.exp(-2 * np.abs(x))),
    ]


Fit = Callable[[np.ndarray], np.ndarray]  # log density


def fourier_fit(x: np.ndarray, seed: int, frequencies: int = FREQUENCIES, steps: int = 200) -> Fit:
    """Maximum likelihood by L-BFGS from Fejér's estimate."""
    import torch

    from kexue.models.fourier_density import RealLineFourierDensity

    found = RealLineFourierDensity.fit(torch.tensor(x), frequencies, steps=steps)
    return lambda at: found.log_prob(torch.tensor(at)).numpy()


def fejer_fit(x: np.ndarray, seed: int, frequencies: int = FREQUENCIES) -> Fit:
    """Fejér's estimate in x = tanh z, untrained."""
    return fourier_fit(x, seed, frequencies, steps=0)


def em_fit(x: np.ndarray, seed: int, components: int = COMPONENTS, steps: int = 500, tries: int = 3) -> Fit:
    """A Gaussian mixture by expectation–maximisation from random samples, the best of some tries."""
    g = np.random.default_rng(seed)
    best: tuple[float, Any] = (-np.inf, None)
    for _ in range(tries):
        means, weights = g.choice(x, components, replace=False), np.full(components, 1 / components)
        deviations = np.full(components, x.std() / components)
        for _ in range(steps):
            joint = weights * normal(x[:, None], means, deviations) + 1e-300
            total = joint.sum(1, keepdims=True)
            share = joint / total
            mass = share.sum(0) + 1e-12
            weights, means = mass / mass.sum(), share.T @ x / mass
            spread = (share * (x[:, None] - means) ** 2).sum(0) / mass
            deviations = np.sqrt(np.maximum(spread, 1e-6))
        score = float(np.log(total).mean())
        if score > best[0]:
            best = (score, (weights, means, deviations))
    weights, means, deviations = best[1]
    return lambda at: np.log((weights * normal(at[:, None], means, deviations)).sum(1) + 1e-300)


def adam_fit(module: Any, log_prob: Callable[[Any], Any], x: np.ndarray, steps: int, rate: float = 1e-2) -> Fit:
    """Adam with batches of 512 and a rate that falls to 0 by a cosine; log_prob takes (batch, 1)."""
    import torch

    data = torch.tensor(x, dtype=torch.float32)[:, None]
    optimiser = torch.optim.Adam(module.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = -log_prob(data[torch.randint(len(data), (512,))]).mean()
        loss.backward()
        optimiser.step()
        schedule.step()

    def evaluate(at: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = log_prob(torch.tensor(at, dtype=torch.float32)[:, None])[:, 0].double().numpy()
        return found

    return evaluate


def gradient_fit(kind: str, x: np.ndarray, seed: int, steps: int = 2000) -> Fit:
    """"fourier", "gaussians", "logistics" or "deep factorised", all trained alike by `adam_fit`."""
    import torch

    from kexue.models.fourier_density import DeepFactorized, FourierDensityConfig, FourierDensityModel, MixtureLogistics

    torch.manual_seed(seed)
    if kind == "fourier":
        series = FourierDensityModel(FourierDensityConfig(1, FREQUENCIES, init_scale=0.1))
        return adam_fit(series, series, x, steps)
    if kind == "deep factorised":
        prior = DeepFactorized(1, init_scale=4.0)
        return adam_fit(prior, prior.log_prob, x, steps)
    mixture = MixtureLogistics(1, COMPONENTS)
    if kind == "logistics":
        return adam_fit(mixture, mixture.log_prob, x, steps)

    def gaussians(at: Any) -> Any:
        components = torch.distributions.Normal(mixture.means, mixture.log_scales.exp())
        return torch.logsumexp(mixture.weight_logits.log_softmax(-1) + components.log_prob(at[..., None]), dim=-1)

    return adam_fit(mixture, gaussians, x, steps)


METHODS: dict[str, Callable[[np.ndarray, int], Fit]] = {
    "Fourier, L-BFGS": fourier_fit,
    "Fourier, Adam": lambda x, seed: gradient_fit("fourier", x, seed),
    "Fejér kernel": fejer_fit,
    "Gaussians, EM": em_fit,
    "Gaussians, Adam": lambda x, seed: gradient_fit("gaussians", x, seed),
    "logistics, Adam": lambda x, seed: gradient_fit("logistics", x, seed),
    "deep factorised, Adam": lambda x, seed: gradient_fit("deep factorised", x, seed),
}


def maxima(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Local maxima on a grid that stand out by 1 % of the highest."""
    inner = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:]) & (density[1:-1] > 0.01 * density.max())
    return x[1:-1][inner]


def found_modes(target: np.ndarray, fit: np.ndarray) -> int:
    """How many of the target's maxima have a maximum of the fit nearer than half the way to the next one."""
    count = 0
    for mode in target:
        others = np.abs(target[target != mode] - mode)
        reach = others.min() / 2 if len(others) else 0.1
        count += bool(len(fit) and np.abs(fit - mode).min() < reach)
    return count


def compare_fits(
    samples: int = 5000,
    seeds: Iterable[int] = (0, 1, 2),
    methods: Iterable[str] = tuple(METHODS),
    over: Iterable[Target] | None = None,
) -> list[dict[str, Any]]:
    """KL(target‖fit) in nats, modes found, and seconds, for each target, method and seed.

    Args:
        samples: to fit to, drawn anew for each seed.
        seeds: of the samples and of the methods.
        methods: names among `METHODS`.
        over: targets; all of `targets()` by default.

    Returns:
        one row a fit: target, method, seed, kl, modes, of (the target's modes), seconds.
    """
    rows = []
    for target in targets() if over is None else over:
        at = target.nodes()
        cell = at[1] - at[0]
        density = target.density(at)
        density = density / (density.sum() * cell)
        entropy = float((density * np.log(np.maximum(density, 1e-300))).sum() * cell)
        modes = maxima(at, density)
        for seed in seeds:
            x = target.sample(samples, seed)
            centre, deviation = x.mean(), x.std()
            for method in methods:
                start = time.perf_counter()
                fit = METHODS[method]((x - centre) / deviation, seed)
                seconds = time.perf_counter() - start
                log_fit = fit((at - centre) / deviation) - np.log(deviation)
                rows.append(
                    {
                        "target": target.name,
                        "method": method,
                        "seed": seed,
                        "kl": entropy - float((density * log_fit).sum() * cell),
                        "modes": found_modes(modes, maxima(at, np.exp(log_fit))),
                        "of": len(modes),
                        "seconds": seconds,
                    }
                )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Median KL (and mean modes found) over the seeds: targets down, methods across."""
    names = list(dict.fromkeys(row["target"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = ["| target | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for name in names:
        cells = []
        for method in methods:
            chosen = [row for row in rows if row["target"] == name and row["method"] == method]
            kl, modes = np.median([row["kl"] for row in chosen]), np.mean([row["modes"] for row in chosen])
            cells.append(f"{kl:.4f} ({modes:.1f}/{chosen[0]['of']})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
