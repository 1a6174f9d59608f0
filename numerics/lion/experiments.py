r"""Lion, Tiger and Adam under noise: how often the sign is right, how large updates are, where θ settles.

Su Jianlin, 《Google新搜出的优化器Lion:效率与效果兼得的“训练狮”》, Scientific Spaces, 2023-02-16, archive 9473;
《Tiger:一个“抠”到极致的优化器》, 2023-03-07, archive 9512.
X. Chen et al., Symbolic Discovery of Optimization Algorithms,
2023, arXiv 2302.06675. What is simulated is the recursion itself, from m = 0 through a burn-in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp
from scipy.special import ndtr
from sympy import Rational, sqrt

from kexue import Estimate, claim, experiment
from kexue.sampling import Moments

NINE, NINETY_NINE, ADAM = Rational(9, 10), Rational(99, 100), Rational(999, 1000)


def variance(beta1: Any, beta2: Any) -> Any:
    """V, the variance of c for white noise of variance 1."""
    return (1 - beta1) ** 2 + beta1**2 * (1 - beta2) / (1 + beta2)


def sure(ratio: Any, spread: Any) -> Any:
    """Φ(ratio/√spread), exactly."""
    return (1 + sp.erf(ratio / sqrt(2 * spread))) / 2


# Signs


@experiment(chunk=4_000)
def right_sign(chunk, count, beta1=0.9, beta2=0.99, ratio=0.1, burn=900):
    """Successes: sign(c) = 1 for gradients N(ratio, 1) after `burn` steps from m = 0."""
    g = chunk.generator()
    m = np.zeros(count)
    for _ in range(burn):
        m += (1 - beta2) * (g.standard_normal(count) + ratio - m)
    c = beta1 * m + (1 - beta1) * (g.standard_normal(count) + ratio)
    return int((c > 0).sum())


@claim(
    mutants=[
        dict(formula=lambda b1, b2: b1**2 * (1 - b2) / (1 + b2)),
        dict(formula=lambda b1, b2: (1 - b1) ** 2 + b1**2 * (1 - b2)),
        dict(ratio=0.06),
    ]
)
def sign_probability(formula=variance, ratio=0.1):
    r"""$P(u = \mathrm{sign}\,\mu) = \Phi(|\mu|/\sigma\sqrt V)$, $V = (1-\beta_1)^2 +
    \beta_1^2\frac{1-\beta_2}{1+\beta_2}$, for independent normal gradients with μ/σ = 0.1.

    Simulated for Lion at (0.9, 0.99) and (0.95, 0.98), 900 steps after m = 0.
    """
    pairs = ((NINE, NINETY_NINE), (Rational(19, 20), Rational(49, 50)))
    return tuple(
        Estimate(
            right_sign(beta1=float(b1), beta2=float(b2), ratio=ratio), sure(Rational(1, 10), formula(b1, b2)),
            Rational(1, 25),
        )
        for b1, b2 in pairs
    )  # fmt: skip


@claim(mutants=[dict(matched=lambda v: Rational(945, 1000)), dict(matched=lambda v: 1 - v)])
def tiger_beta_matching(matched=lambda v: (1 - v) / (1 + v)):
    r"""Tiger with $\beta = (1-V)/(1+V)$ has the right sign as often as Lion at (0.9, 0.99): $\Phi(|\mu|/\sigma\sqrt
    V)$.

    Simulated at μ/σ = 0.1; the first mutant is the article's arithmetic mean.
    """
    spread = variance(NINE, NINETY_NINE)
    beta = float(matched(spread))
    return Estimate(right_sign(beta1=beta, beta2=beta), sure(Rational(1, 10), spread), Rational(1, 25))


# Sizes


@experiment("mean", chunk=20_000, support=(0.0, 1.01))
def second_adam_update(chunk, count, beta1=0.9, beta2=0.999):
    """u_2² of Adam with ε = 0 for two independent normal gradients; at most 1.0027."""
    x, y = chunk.generator().standard_normal((2, count))
    first = (beta1 * (1 - beta1) * x + (1 - beta1) * y) / (1 - beta1**2)
    second = (beta2 * (1 - beta2) * x**2 + (1 - beta2) * y**2) / (1 - beta2**2)
    return Moments.of(first**2 / second)


@claim(mutants=[dict(value=Rational(81, 100)), dict(value=Rational(19, 36))])
def adam_early_sign(
    value=(1 + ADAM) / (1 + NINE) ** 2 * (NINE**2 / sqrt(ADAM) + 1) / (1 + sqrt(ADAM)),
):
    r"""Under pure noise $E\,u_2^2 = \frac{1+\beta_2}{(1+\beta_1)^2}\cdot\frac{\beta_1^2/\sqrt{\beta_2}+1}
    {1+\sqrt{\beta_2}}$ for Adam with ε = 0: the RMS is 1 at t = 1 and 0.708 at t = 2.

    From the mean of $\cos^2$ and $\sin^2$ over $\beta_2\cos^2 + \sin^2$ on the circle; simulated at (0.9, 0.999). The
    first mutant is $0.9^2$, the second the value for $\beta_1 = \tfrac12$ at β2 → 1.
    """
    return Estimate(second_adam_update(), value, Rational(1, 50))


@experiment("mean", chunk=10_000, support=(0.0, 1.0))
def squared_momentum(chunk, count, beta1=0.9, correlation=0.0, burn=120):
    """m² for gradients ±1 that repeat their sign with probability (1 + correlation)/2; v̂ = 1 whatever β2 is."""
    g = chunk.generator()
    slope = np.where(g.random(count) < 0.5, 1.0, -1.0)
    m = np.zeros(count)
    for _ in range(burn):
        m += (1 - beta1) * (slope - m)
        slope *= np.where(g.random(count) < (1 + correlation) / 2, 1.0, -1.0)
    return Moments.of(m**2)


@claim(mutants=[dict(white=Rational(1, 100)), dict(power=lambda r: (1 - NINE) / (1 + NINE)), dict(correlation=0.25)])
def lr_ratio_rms(
    white=Rational(1, 19),
    power=lambda r: (1 - NINE) * (1 + r * NINE) / ((1 + NINE) * (1 - r * NINE)),
    correlation=0.5,
):
    r"""The squared RMS of Adam's update ($\hat v = 1$, $\beta_1 = 0.9$) is 1/19 for white noise and $\frac{(1-\beta_1)
    (1+\rho\beta_1)}{(1+\beta_1)(1-\rho\beta_1)}$ for the autocorrelation $\rho^j$.

    Simulated for gradients ±1, 120 steps after m = 0, with ρ = 0 and ½. The first mutant is the article's factor of 10.
    """
    return (
        Estimate(squared_momentum(), white, Rational(1, 20)),
        Estimate(squared_momentum(correlation=correlation), power(Rational(1, 2)), Rational(1, 20)),
    )


# Equilibrium


@experiment("mean", chunk=10_000, support=(0.0, 1.0))
def squared_place(chunk, count, eta=0.25, lam=1.0, burn=60):
    """(λθ)² ≤ 1 after `burn` steps with random signs, from 0."""
    g = chunk.generator()
    theta = np.zeros(count)
    for _ in range(burn):
        theta -= eta * (np.where(g.random(count) < 0.5, 1.0, -1.0) + lam * theta)
    return Moments.of((lam * theta) ** 2)


@claim(mutants=[dict(value=lambda eta, lam: eta / (2 * lam)), dict(scale=2)])
def decay_scaling_invariance(value=lambda eta, lam: eta / (lam * (2 - eta * lam)), scale=1):
    r"""Under random signs θ settles at the variance $\eta/(\lambda(2-\eta\lambda))$; with η/2, 2λ at a quarter of it.

    Simulated for ηλ = ¼: (η, λ) = (¼, 1) and (⅛, 2), as $E(\lambda\theta)^2$, which is the same for both.
    """
    eta, lam = Rational(1, 4), Rational(1)
    return (
        Estimate(squared_place(), lam**2 * value(eta, lam), Rational(1, 30)),
        Estimate(squared_place(eta=0.125, lam=2.0), (2 * lam) ** 2 * scale * value(eta / 2, 2 * lam), Rational(1, 30)),
    )


# Figures


def lion_path(gradient: Callable[[np.ndarray], np.ndarray], start: np.ndarray, steps: int, eta: float, lam: float,
              betas: tuple[float, float] = (0.9, 0.99)) -> np.ndarray:  # fmt: skip
    """θ_0, …, θ_n."""
    theta, m, found = start.copy(), np.zeros_like(start), [start]
    for _ in range(steps):
        g = gradient(theta)
        theta = theta - eta * (np.sign(betas[0] * m + (1 - betas[0]) * g) + lam * theta)
        m = betas[1] * m + (1 - betas[1]) * g
        found.append(theta)
    return np.array(found)


def lyapunov_path(steps: int, dt: float, eps: float = 0.2, gamma: float = 1.0, lam: float = 1.0) -> np.ndarray:
    """H along Euler steps of the ODE with K = √(1 + m²) and α = 1, on ½‖x − (2, ½)‖², from inside of the domain."""
    x, m, goal, found = np.array([-0.5, -0.8]), np.array([2.0, -1.0]), np.array([2.0, 0.5]), []
    for _ in range(steps):
        place = lam * x
        dual = -np.sqrt(1 - place**2).sum()
        kinetic = np.sqrt(1 + m**2).sum()
        coupling = dual + kinetic - lam * m @ x
        share = (1 - eps * gamma) / (1 + eps * lam)
        found.append(0.5 * ((x - goal) ** 2).sum() + gamma / lam * dual + share * coupling)
        change = -(x - goal) - gamma * m
        ahead = m + eps * change
        x, m = x + dt * (ahead / np.sqrt(1 + ahead**2) - lam * x), m + dt * change
    return np.array(found)


def box_figure() -> Any:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    matrix, goal, lam = np.array([[1.0, 0.6], [0.6, 2.0]]), np.array([2.0, 0.3]), 1.0

    def gradient(theta: np.ndarray) -> np.ndarray:
        return matrix @ (theta - goal)

    # on the edge θ_1 = 1 the free coordinate solves its own equation
    solution = np.array([1.0, min(1.0, goal[1] - matrix[0, 1] / matrix[1, 1] * (1.0 - goal[0]))])
    left.add_patch(Rectangle((-1, -1), 2, 2, fill=False, linestyle="--", linewidth=1))
    for start in ([-2.0, 2.0], [0.0, -2.4], [2.5, -0.5], [-0.5, 0.8]):
        path = lion_path(gradient, np.array(start), 600, 0.02, lam)
        left.plot(*path.T, linewidth=1)
        left.plot(*start, "o", markersize=3, color="0.4")
        middle.semilogy(np.maximum(np.abs(lam * path).max(axis=1) - 1, 1e-9), linewidth=1)
    left.plot(*goal, "k+", markersize=9, label="unconstrained optimum")
    left.plot(*solution, "k*", markersize=9, label="optimum in the box")
    left.set(xlabel="λθ₁", ylabel="λθ₂", title="Lion, η = 0.02, λ = 1", aspect="equal")
    left.set_ylim(-3.6, 2.4)
    left.legend(frameon=False, fontsize=7, loc="lower left")
    steps = np.arange(0, 120)
    middle.semilogy(steps, 1.5 * 0.98**steps, "k:", label="slope (1 − ηλ)ᵗ")
    middle.set(xlabel="step", ylabel="max |λθ| − 1, outside of the box", xlim=(0, 120), ylim=(1e-2, 3))
    middle.legend(frameon=False)
    for dt in (0.1, 0.01):
        found = lyapunov_path(int(12 / dt), dt)
        right.plot(np.arange(found.size) * dt, found, label=f"step {dt}")
    right.set(xlabel="time", ylabel="H", title="Lion-K, K = √(1 + m²)")
    right.legend(frameon=False)
    return figure


def sign_figure() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    ratios = np.linspace(0, 0.5, 200)
    cases = [("Lion (0.9, 0.99)", 0.9, 0.99), ("Lion (0.95, 0.98)", 0.95, 0.98), ("Tiger 0.945", 0.945, 0.945),
             ("signSGD", 0.0, 0.0)]  # fmt: skip
    for i, (name, b1, b2) in enumerate(cases):
        axes.plot(ratios, ndtr(ratios / np.sqrt(variance(b1, b2))), color=f"C{i}", label=name)
        at = np.linspace(0, 0.5, 9)
        found = [right_sign(beta1=b1, beta2=b2, ratio=float(r), burn=600).evaluate(0, 0) / 4_000 for r in at]
        axes.errorbar(at, found, yerr=2 * np.sqrt(0.25 / 4_000), fmt="o", markersize=4, color=f"C{i}", linewidth=1)
    axes.set(xlabel="signal to noise of one gradient, μ/σ", ylabel="probability of the right sign",
             title="curves Φ(μ/σ√V); 4000 simulated chains, ± two standard errors at most")  # fmt: skip
    axes.legend(frameon=False)
    return figure


def equilibrium_figure() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    g = np.random.Generator(np.random.Philox(key=9473))
    etas = np.geomspace(1e-3, 0.3, 9)
    for i, lam in enumerate((0.1, 1.0, 3.0)):
        found = []
        for eta in etas:
            theta = np.sqrt(eta / (2 * lam)) * g.standard_normal(4000)
            for _ in range(int(min(1500, 4 / (eta * lam)))):
                theta -= eta * (np.where(g.random(4000) < 0.5, 1.0, -1.0) + lam * theta)
            found.append(np.sqrt((theta**2).mean()))
        left.loglog(etas, np.sqrt(etas / (2 * lam)), color=f"C{i}", linewidth=1)
        left.loglog(etas, found, "o", markersize=4, color=f"C{i}", label=f"λ = {lam}")
    left.set(xlabel="learning rate η", ylabel="RMS of θ", title="random signs: points; √(η/2λ): lines")
    left.legend(frameon=False)
    for i, product in enumerate((0.02, 0.05, 0.2)):
        theta = np.sqrt(product / 2) * g.standard_normal(4000)
        start, lags, found = theta.copy(), np.arange(0, 81), []
        for _ in lags:
            found.append((theta * start).mean() / (start**2).mean())
            theta = theta - product * (np.where(g.random(4000) < 0.5, 1.0, -1.0) + theta)
        right.plot(lags, (1 - product) ** lags, color=f"C{i}", linewidth=1)
        right.plot(lags[::5], found[::5], "o", markersize=4, color=f"C{i}", label=f"ηλ = {product}")
    right.set(xlabel="lag in steps", ylabel="autocorrelation of θ", title="(1 − ηλ)ᵗ: lines")
    right.legend(frameon=False)
    return figure


def update_figure() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    g, steps, count, beta1, beta2 = np.random.Generator(np.random.Philox(key=17)), 200, 4000, 0.9, 0.999
    signals = {
        "constant gradients": lambda t: np.ones(count),
        "signal and noise, μ/σ = ½": lambda t: 0.5 + g.standard_normal(count),
        "white noise": lambda t: g.standard_normal(count),
        "alternating signs": lambda t: np.full(count, (-1.0) ** t),
    }
    for name, signal in signals.items():
        m, v, found = np.zeros(count), np.zeros(count), []
        for t in range(1, steps + 1):
            slope = signal(t)
            m, v = beta1 * m + (1 - beta1) * slope, beta2 * v + (1 - beta2) * slope**2
            update = m / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t))
            found.append(np.sqrt((update**2).mean()))
        axes.loglog(np.arange(1, steps + 1), found, label=f"Adam: {name}")
    axes.axhline(1, color="0.3", linewidth=2.5, alpha=0.4, label="Lion, always")
    for height, text in ((19**-0.5, "1/√19"), (1 / 19, "1/19")):
        axes.axhline(height, color="0.6", linewidth=0.8, linestyle=":")
        axes.annotate(text, (steps, height), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set(xlabel="step", ylabel="RMS of the update u")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    return figure


def batch_study(samples: int, sizes: list[int], seeds: int = 12, width: int = 24) -> dict[str, np.ndarray]:
    """The loss of a noisy quadratic after the same number of samples, for the best of ten learning rates.

    Curvatures from 0.03 to 1, noise of standard deviation 4 in the gradient of one sample. All rates and optimisers see
    the same noise; the rate falls linearly to 0.
    """
    curvature = np.geomspace(0.03, 1, width)
    rates = {"Lion": np.geomspace(3e-4, 3, 10), "AdamW": np.geomspace(3e-4, 3, 10), "SGD": np.geomspace(3e-3, 3, 10)}
    found: dict[str, list[float]] = {name: [] for name in rates}
    for size in sizes:
        steps = samples // size
        place = {name: np.ones((10, seeds, width)) for name in rates}
        first, second = ({name: np.zeros((10, seeds, width)) for name in rates} for _ in range(2))
        g = np.random.Generator(np.random.Philox(key=size))
        for t in range(1, steps + 1):
            noise = g.standard_normal((seeds, width)) * 4 / np.sqrt(size)
            fall = 1 - (t - 1) / steps
            for name, grid in rates.items():
                slope = curvature * place[name] + noise
                rate = grid[:, None, None] * fall
                m, v = first[name], second[name]
                if name == "Lion":
                    place[name] -= rate * np.sign(0.9 * m + 0.1 * slope)
                    m += 0.01 * (slope - m)
                elif name == "AdamW":
                    m += 0.1 * (slope - m)
                    v += 0.001 * (slope**2 - v)
                    place[name] -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
                else:
                    m += 0.1 * (slope - m)
                    place[name] -= rate * m
        for name in rates:
            loss = 0.5 * (curvature * place[name] ** 2).sum(axis=2).mean(axis=1)
            found[name].append(float(np.nanmin(loss)))
    return {name: np.array(values) for name, values in found.items()}


def batch_figure() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    sizes = [8, 32, 128, 512, 2048, 8192]
    for (name, losses), mark in zip(batch_study(2**16, sizes).items(), "os^", strict=True):
        axes.loglog(sizes, losses, f"{mark}-", markersize=5, label=name)
    axes.set(xlabel="batch size", ylabel="loss after 65 536 samples, best of ten learning rates",
             title="noisy quadratic, 24 coordinates, mean of 12 runs")  # fmt: skip
    axes.legend(frameon=False)
    return figure


def figures() -> dict[str, Any]:
    """Where Lion goes, how sure its signs are, where θ settles, how large updates are, and the batch size."""
    return {
        "box": box_figure(),
        "sign-probability": sign_figure(),
        "equilibrium": equilibrium_figure(),
        "update-rms": update_figure(),
        "batch-size": batch_figure(),
    }
