"""Curves of flow models: round trips, dequantisation, temperature, filaments between two blobs, multiply-adds.

Networks are random and untrained: two layers with tanh, in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf
from typing import Any

import numpy as np

from kexue.derivations.flows import glow_macs

DIMENSIONS = 16


@dataclass(frozen=True)
class RandomFlow:
    """K steps of a fixed rotation and a coupling, x₂ → x₂ e^{s(x₁)} + t(x₁); additive with s = 0."""

    rotations: np.ndarray
    inner: np.ndarray
    outer: np.ndarray
    affine: bool

    @classmethod
    def draw(cls, steps: int, affine: bool, seed: int = 0, d: int = DIMENSIONS, hidden: int = 32) -> RandomFlow:
        g = np.random.default_rng(seed)
        rotations = np.linalg.qr(g.standard_normal((steps, d, d)))[0]
        inner = g.standard_normal((steps, d // 2, hidden)) / (d / 2) ** 0.5
        outer = g.standard_normal((steps, hidden, d)) / hidden**0.5
        return cls(rotations, inner, outer, affine)

    def shift_and_scale(self, k: int, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = np.tanh(kept @ self.inner[k].astype(kept.dtype)) @ self.outer[k].astype(kept.dtype)
        shift, raw = np.split(out, 2, axis=1)
        return shift, 0.5 * np.tanh(raw) * kept.dtype.type(self.affine)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z and ln|det| of each row, in the precision of x."""
        volume = np.zeros(len(x), x.dtype)
        for k, rotation in enumerate(self.rotations):
            kept, moved = np.split(x @ rotation.astype(x.dtype), 2, axis=1)
            shift, scale = self.shift_and_scale(k, kept)
            x = np.concatenate((kept, moved * np.exp(scale) + shift), axis=1)
            volume = volume + scale.sum(axis=1)
        return x, volume

    def inverse(self, z: np.ndarray) -> np.ndarray:
        for k in reversed(range(len(self.rotations))):
            kept, moved = np.split(z, 2, axis=1)
            shift, scale = self.shift_and_scale(k, kept)
            joined = np.concatenate((kept, (moved - shift) * np.exp(-scale)), axis=1)
            z = joined @ self.rotations[k].T.astype(z.dtype)
        return z


def round_trip_error(steps: int, affine: bool, dtype: Any, count: int = 256) -> float:
    """The largest |f⁻¹(f(x)) − x| for standard normal x."""
    x = np.random.default_rng(1).standard_normal((count, DIMENSIONS)).astype(dtype)
    flow = RandomFlow.draw(steps, affine)
    return float(np.abs(flow.inverse(flow.forward(x)[0]) - x).max())


def log_density_at(temperature: float, affine: bool, count: int = 4000, steps: int = 8) -> np.ndarray:
    """ln p(x) of samples x = g(Tz), p the model's density at T = 1."""
    z = temperature * np.random.default_rng(2).standard_normal((count, DIMENSIONS))
    flow = RandomFlow.draw(steps, affine)
    again, volume = flow.forward(flow.inverse(z))
    return -DIMENSIONS / 2 * np.log(2 * np.pi) - (again**2).sum(axis=1) / 2 + volume


def dequantisation_gap(deviation: float, points: int = 64) -> float:
    """E_x[ln Q(x) − E_u ln q(x + u)] for q = N(½, σ²), σ in units of a cell, and x drawn from Q itself."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    u, w = (nodes + 1) / 2, weights / 2
    x = np.arange(-int(8 * deviation) - 3, int(8 * deviation) + 3)
    log_q = -((x[:, None] + u - 0.5) ** 2) / (2 * deviation**2) - np.log(deviation * np.sqrt(2 * np.pi))
    top = log_q.max(axis=1)
    log_mass = top + np.log((np.exp(log_q - top[:, None]) * w).sum(axis=1))
    return float((np.exp(log_mass) * (log_mass - (log_q * w).sum(axis=1))).sum())


def filament(steepness: float, count: int = 200_000) -> tuple[float, float]:
    """Lipschitz constant of x = 0.3z + tanh(kz) and the share of its samples with |x| < ½."""
    z = np.random.default_rng(3).standard_normal(count)
    return 0.3 + steepness, float((np.abs(0.3 * z + np.tanh(steepness * z)) < 0.5).mean())


def figures() -> dict[str, Any]:
    """Round trips against depth, the dequantisation gap, ln p at four temperatures, filaments, multiply-adds."""
    from matplotlib.figure import Figure

    def panel(**labels: Any) -> tuple[Figure, Any]:
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.set(**labels)
        return figure, axes

    depths = (1, 2, 4, 8, 16, 32, 64)
    trips, axes = panel(xlabel="steps K", ylabel="largest |f⁻¹(f(x)) − x|", xscale="log", yscale="log")
    for dtype, marker in ((np.float32, "o"), (np.float64, "s")):
        for affine, line in ((True, "-"), (False, "--")):
            errors = [round_trip_error(k, affine, dtype) for k in depths]
            name = f"{'affine' if affine else 'additive'}, {np.dtype(dtype).name}"
            axes.plot(depths, errors, line + marker, label=name, markersize=4)
    axes.set_xticks(depths, [str(k) for k in depths])
    axes.minorticks_off()
    axes.legend(frameon=False)

    deviations = np.geomspace(0.2, 20, 25)
    gap, axes = panel(
        xlabel="standard deviation of the density [grey levels]", ylabel="gap [nats per dimension]", xscale="log",
        yscale="log",
    )  # fmt: skip
    axes.plot(deviations, [dequantisation_gap(s) for s in deviations], "o-", markersize=3, label="E[ln Q − E ln q]")
    axes.plot(deviations, 1 / (24 * deviations**2), "k--", linewidth=0.8, label="1/(24σ²)")
    axes.legend(frameon=False)

    temperatures = Figure(figsize=(9, 4), layout="constrained")
    pair = temperatures.subplots(1, 2, sharey=True)
    for side, affine in zip(pair, (False, True), strict=True):
        for t in (0.5, 0.7, 0.8, 1.0):
            side.hist(log_density_at(t, affine), bins=60, density=True, histtype="step", label=f"T = {t}")
            if not affine:
                side.axvline(-DIMENSIONS / 2 * (np.log(2 * np.pi) + t * t), color="0.6", linewidth=0.8)
        side.set(xlabel="ln p(x) [nats]", title="affine" if affine else "additive (grey: −D/2·(ln 2π + T²))")
    pair[0].set_ylabel("density of samples")
    pair[0].legend(frameon=False)

    filaments, axes = panel(
        xlabel="Lipschitz constant L of the generator", ylabel="mass with |x| < ½", xscale="log", yscale="log"
    )
    found = [filament(k) for k in np.geomspace(1, 100, 15)]
    axes.plot([p for p, _ in found], [q for _, q in found], "o", label="x = 0.3z + tanh(kz), two blobs at ±1")
    constants = np.geomspace(1, 120, 100)
    axes.plot(constants, [erf(0.5 / (c * 2**0.5)) for c in constants], "k--", label="least mass erf(a/(L√2)), a = ½")
    axes.legend(frameon=False)

    macs, axes = panel(
        xlabel="level", ylabel="10⁹ multiply-adds of an image", title="Glow on CIFAR-10, K = 32, n = 512"
    )
    shape = (32, 32, 3, 3, 32, 512)
    rows = {
        "affine": glow_macs(*shape),
        "additive": glow_macs(*shape, "additive"),
        "affine, no splitting": glow_macs(*shape, split=False),
    }
    for i, (name, values) in enumerate(rows.items()):
        places = np.arange(3) + 0.27 * (i - 1)
        axes.bar(places, np.array(values) / 1e9, 0.25, label=f"{name}: {sum(values) / 1e9:.2f} in all")
    axes.set_xticks(range(3), ["1 (16×16)", "2 (8×8)", "3 (4×4)"])
    axes.legend(frameon=False)

    return {
        "round-trip": trips,
        "dequantisation-gap": gap,
        "temperatures": temperatures,
        "filament": filaments,
        "multiply-adds": macs,
    }
