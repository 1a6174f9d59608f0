r"""Figures: fits at equal parameter counts, convergence in N, Gibbs' phenomenon, float32, gradients, truncations.

Su Jianlin, 《用傅里叶级数拟合一维概率密度函数》, archive 10007.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from .comparison import FREQUENCIES, em_fit, fejer_fit, fourier_fit, gaussian_mixture, gradient_fit
from .experiments import fejer_mean


def panel(**labels: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(**labels)
    return figure, axes


def fits() -> Any:
    """One target of ten Gaussians, and the methods of `compare_fits` with about 42 parameters, trained briefly (500
    steps of Adam)."""
    from matplotlib.figure import Figure

    target = gaussian_mixture(10)
    x, at = target.sample(3000, 0), target.nodes()[::4]
    centre, deviation = x.mean(), x.std()
    scaled = (x - centre) / deviation
    shown = {
        f"Fourier density, N + 1 = {FREQUENCIES}": fourier_fit(scaled, 0, steps=60),
        "Gaussians, EM": em_fit(scaled, 0, tries=1, steps=150),
        "deep factorised prior": gradient_fit("deep factorised", scaled, 0, steps=500),
        "mixture of logistics": gradient_fit("logistics", scaled, 0, steps=500),
        "Fejér's estimate (untrained)": fejer_fit(scaled, 0),
    }
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey=True).ravel()
    truth = target.density(at)
    axes[0].hist(x, bins=80, density=True, color="0.8", label="3000 samples")
    axes[0].plot(at, truth, "k", linewidth=1, label="target")
    axes[0].legend(frameon=False, fontsize="small")
    for axis, (name, fit) in zip(axes[1:], shown.items(), strict=True):
        axis.plot(at, truth, color="0.6", linewidth=3)
        axis.plot(at, np.exp(fit((at - centre) / deviation)) / deviation, "C0", linewidth=1.2)
        axis.set_title(name, fontsize="small")
    for axis in axes[3:]:
        axis.set_xlabel("y")
    for axis in axes[::3]:
        axis.set_ylabel("density")
    return figure


def convergence() -> Any:
    """KL against N of maximum likelihood on the law itself (4096 nodes), and of Fejér means, for smooth and kinked
    periodic laws."""
    import torch

    from kexue.models.fourier_density import FourierDensity

    figure, axes = panel(xlabel="N", ylabel="KL(target‖fit) [nats]", xscale="log", yscale="log")
    nodes = (torch.arange(4096, dtype=torch.float64) + 0.5) / 2048 - 1
    laws = {
        "von Mises, κ = 4": torch.exp(4 * torch.cos(torch.pi * nodes)),
        "Laplace, wrapped": torch.cosh(5 * (1 - nodes.abs())),
        "square": (nodes.abs() < 0.5).double(),
    }
    for color, (name, law) in enumerate(laws.items()):
        p = law / law.mean() / 2
        for style, label, steps in (("o-", "maximum likelihood", 80), ("s--", "Fejér means", 0)):
            found = []
            degrees = (1, 2, 4, 8, 16, 32)
            for degree in degrees:
                fit = FourierDensity.fit(nodes, degree + 1, weights=p, steps=steps)
                found.append(float((torch.special.xlogy(p, p) - p * fit.log_prob(nodes)).mean() * 2))
            axes.plot(degrees, np.maximum(found, 1e-12), style, color=f"C{color}", label=f"{name}, {label}")
    axes.set_ylim(1e-9, 2)
    axes.legend(frameon=False, fontsize="small")
    return figure


def single_precision() -> Any:
    """The cosine series in float32 dips below zero where |A|² can't: N = 64, a = (1, …, 1)."""
    import torch

    from kexue.models.fourier_density import FourierDensity
    from kexue.models.fourier_density.series import autocorrelation, cosine_series

    figure, axes = panel(xlabel="x", ylabel="p(x), float32")
    a = torch.ones(65, dtype=torch.complex64)
    x = torch.linspace(0.2, 0.4, 1500)
    rho = autocorrelation(a)
    axes.plot(x, cosine_series(rho[1:] / rho[0].real, x), ".", markersize=2, color="C1", label="cosine series")
    axes.plot(x, FourierDensity(a).prob(x), "C0", linewidth=1, label="|A|²/(2c₀)")
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_yscale("symlog", linthresh=1e-5)
    axes.legend(frameon=False)
    return figure


def figures() -> dict[str, Any]:
    """Gibbs at a jump of the periodic extension, gradients, sections; with torch also fits, convergence, float32."""
    x = np.linspace(-1, 1, 2001)
    gibbs, axes = panel(xlabel="x", ylabel="density", title="p = (1 + x)/2, N = 16: p(−1) ≠ p(1)")
    axes.plot(x, (1 + x) / 2, "k", linewidth=1, label="target")
    axes.plot(x, fejer_mean(16, x, smooth=False), "C1", linewidth=1, label="truncated series: negative, overshoots")
    axes.plot(x, fejer_mean(16, x), "C0", label="Fejér mean: ≥ 0, ½ at both ends")
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.legend(frameon=False)

    distance = np.linspace(0.1, 7.5, 400)
    gradients, axes = panel(
        xlabel="distance of the sample from the mass [standard deviations]", ylabel="|gradient| of log p", yscale="log"
    )
    responsibility = 0.5 * np.exp(-(distance**2) / 2) / (0.5 * np.exp(-(distance**2) / 2) + 0.5 * np.exp(-0.5))
    axes.plot(distance, responsibility * distance, "C1", label="Gaussian mixture: ∂/∂μ_j, another component at 1 σ")
    k = np.arange(14)
    a = np.exp(-((k - 6.5) ** 2) / 6)  # a smooth peak at x = 0
    waves = np.exp(-1j * np.pi * np.outer(distance / 8, k))
    slopes = np.abs(waves / (waves @ a)[:, None] - a / (a**2).sum()).max(1)
    axes.plot(distance, slopes, "C0", label="Fourier density: largest |e^{−iπkx}/A − a_k*/c₀|, N = 13")
    axes.legend(frameon=False)

    sections, axes = panel(xlabel="size M of the Toeplitz section", ylabel="largest |c₁|/c₀ with a section ≥ 0")
    size = np.arange(2, 21)
    axes.plot(size, 1 / (2 * np.cos(np.pi / (size + 1))), "o-", label="1/(2 cos(π/(M + 1)))")
    axes.axhline(0.5, color="C1", label="f ≥ 0 (N = 1)")
    axes.legend(frameon=False)

    found = {"gibbs": gibbs, "gradients": gradients, "sections": sections}
    if importlib.util.find_spec("torch"):
        found |= {"fits": fits(), "convergence": convergence(), "float32": single_precision()}
    return found
