"""The figures: what each memory holds, orders of the steps, approximation errors, gradients, the delay."""

from __future__ import annotations

from typing import Any

import numpy as np

from .systems import fourier_modes, hold, legendre, legs_step, matrices, projection, run

STEPS = 400


def _signal(t: np.ndarray) -> np.ndarray:
    return np.sin(5 * t) + 0.5 * np.cos(23 * t + 1) + 0.3 * np.sin(41 * t)


def _laguerre(N: int, x: np.ndarray) -> np.ndarray:
    p = [np.ones_like(x), 1 - x]
    for n in range(1, N - 1):
        p.append(((2 * n + 1 - x) * p[n] - n * p[n - 1]) / (n + 1))
    return np.stack(p)


def _memories(t: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What is read out at t = 1, and where; windows of length 1/2, 32 coefficients (33 Fourier modes)."""
    inputs, past = _signal((np.arange(STEPS) + 0.5) / STEPS), t[t >= 0.5]
    x = np.zeros(32)
    x[0] = inputs[0]
    for k in range(1, STEPS):
        x = legs_step(x, inputs[k - 1], inputs[k], k, "held")
    found = {"LegS": (t, legendre(32, 2 * t - 1).T @ x)}
    x = run(*hold(*matrices("legt", 32), 2 / STEPS), inputs)[-1]
    found["LegT, w = ½"] = (past, legendre(32, 4 * past - 3).T @ x)
    modes = np.exp(2j * np.pi * np.outer(2 * past - 1, np.arange(-16, 17)))
    for name, measure in (("Fourier, w = ½, consistent", "fout"), ("Fourier, w = ½, as printed", "foud")):
        x = run(*hold(*fourier_modes(measure, 16), 2 / STEPS), inputs)[-1]
        found[name] = (past, (modes @ x).real)
    x = run(*hold(*matrices("lagt", 32), 10 / STEPS), inputs)[-1]
    found["LagT, decay 1/10"] = (past, _laguerre(32, 10 * (1 - past)).T @ x)
    return found


def _reconstruction() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    t = np.linspace(0, 1, 400)
    memories = _memories(t)
    axes = figure.subplots(len(memories), 1, sharex=True)
    for axis, (name, (where, values)) in zip(axes, memories.items(), strict=True):
        axis.plot(t, _signal(t), color="0.6", linewidth=1, label="signal")
        axis.plot(where, values, linewidth=1.2, label=name)
        axis.set(ylim=(-2.6, 2.6), ylabel="u(t)")
        axis.legend(frameon=False, fontsize=8, loc="lower left", ncols=2)
    axes[-1].set(xlabel="time t; all memories are read at t = 1")
    return figure


def _orders() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = np.array([32, 64, 128, 256, 512])
    A, B = matrices("legt", 6)
    wave = np.array([[0.0, -4.0], [4.0, 0.0]])
    whole = np.block([[A, np.outer(B, [1, 0])], [np.zeros((2, 6)), wave]])
    start = np.concatenate((np.zeros(6), [1.0, 0.0]))
    exact = (hold(whole, np.zeros(8), 1.0)[0] @ start)[:6]
    for name, weight in (("forward Euler", 0.0), ("backward Euler", 1.0), ("bilinear", 0.5), ("hold, exact", None)):
        errors = []
        for n in counts:
            inputs = np.cos(4 * (np.arange(n) + 0.5) / n)  # the middle of each step, so that the input costs no order
            if weight is None:
                bar, feed = hold(A, B, 1 / n)
            else:
                inverse = np.linalg.inv(np.eye(6) - weight / n * A)
                bar, feed = inverse @ (np.eye(6) + (1 - weight) / n * A), inverse @ B / n
            errors.append(np.linalg.norm(run(bar, feed, inputs)[-1] - exact))
        left.loglog(counts, errors, marker="o", markersize=3, label=name)
    u = lambda s: np.cos(3 * s)  # noqa: E731
    for scheme in ("printed", "held", "trapezoid"):
        errors = []
        for n in counts[:4]:
            x = projection(u, 8, 0, 1)
            for k in range(n, 2 * n):
                x = legs_step(x, u(k / n), u((k if scheme == "printed" else k + 1) / n), k, scheme)
            errors.append(np.linalg.norm(x - projection(u, 8, 0, 2)))
        right.loglog(counts[:4], errors, marker="o", markersize=3, label=scheme)
    for axis, top in ((left, 1.0), (right, 1.0)):
        axis.loglog(counts, top / counts, "--", color="0.6", linewidth=1, label="slope −1")
        axis.loglog(counts, top / counts.astype(float) ** 2, ":", color="0.6", linewidth=1, label="slope −2")
        axis.legend(frameon=False, fontsize=8)
        axis.set(xlabel="steps", ylabel="error of the state")
        axis.set_xticks(counts, [str(n) for n in counts], minor=False)
        axis.minorticks_off()
    left.set(title="LegT, N = 6, cos 4t, t = 1", ylim=(1e-7, 10))
    right.set(title="LegS, N = 8, cos 3t, from t = 1 to 2")
    return figure


def _approximation() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    sizes = np.arange(1, 65)
    functions = {
        "|s − 1/3|": (lambda s: np.abs(s - 1 / 3), 1 / 9),
        "sin(10s)/10": (lambda s: np.sin(10 * s) / 10, (0.5 - np.sin(20) / 40) / 100),
    }
    for name, (f, square) in functions.items():
        c = projection(f, 65, 0, 1, pieces=60)
        errors = np.sqrt(np.maximum(square - np.cumsum(c[:64] ** 2), 0))
        kept = errors > 1e-8  # below, the difference of two numbers near ‖f‖² has no digits
        axis.loglog(sizes[kept], errors[kept], marker=".", markersize=4, label=name)
    axis.loglog(sizes, 1 / np.sqrt(6 * sizes * (sizes + 1)), "--", color="0.5", label="bound tL/√(6N(N+1))")
    axis.set(xlabel="coefficients N", ylabel="r.m.s. error on [0, 1], L = 1")
    axis.legend(frameon=False, fontsize=8)
    return figure


def _gradients() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    ratio = np.linspace(0, 1, 401)
    squares = np.cumsum(legendre(64, 2 * ratio - 1) ** 2, axis=0)  # t₁² times the squared norm, N = 1..64
    image = left.pcolormesh(ratio, np.arange(1, 65), np.log10(np.sqrt(squares)), shading="nearest", rasterized=True)
    figure.colorbar(image, ax=left, label="log₁₀ of t₁‖∂c(t₁)/∂f(t₀)‖")
    left.set(xlabel="t₀/t₁", ylabel="coefficients N")
    sizes = np.arange(1, 65)
    right.loglog(sizes, np.sqrt(squares.max(1)), label="largest")
    right.loglog(sizes, np.sqrt(squares.min(1)), label="smallest")
    right.loglog(sizes, sizes, "--", color="0.5", linewidth=1, label="N")
    right.loglog(sizes, np.sqrt(sizes / 2), ":", color="0.5", linewidth=1, label="√(N/2)")
    right.set(xlabel="coefficients N", ylabel="t₁‖∂c(t₁)/∂f(t₀)‖")
    right.legend(frameon=False, fontsize=8)
    return figure


def _delay() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    frequencies = np.logspace(0, 2.3, 200)
    for N in (4, 8, 16, 32):
        A, B = matrices("legt", N)
        readout = np.sqrt(2 * np.arange(N) + 1) * (-1.0) ** np.arange(N)
        gain = [readout @ np.linalg.solve(1j * f * np.eye(N) - A, B) for f in frequencies]
        error = np.abs(np.array(gain) - np.exp(-1j * frequencies))
        kept = error > 1e-13
        left.loglog(frequencies[kept], error[kept], label=f"N = {N}")
    left.set(xlabel="angular frequency × window", ylabel="|G(iω) − e^{−iωw}|", ylim=(1e-13, 10))
    left.legend(frameon=False, fontsize=8)
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(1200))
    spectrum[27:] = 0
    inputs = np.fft.irfft(spectrum)
    A, B = hold(*matrices("legt", 16), 1 / 200)
    readout = np.sqrt(2 * np.arange(16) + 1) * (-1.0) ** np.arange(16)
    t = np.arange(1, 1201) / 200
    right.plot(t, np.roll(inputs, 200), color="0.6", linewidth=1, label="u(t − w)")
    right.plot(t, run(A, B, inputs) @ readout, linewidth=1, label="read from LegT, N = 16")
    right.set(xlim=(2, 5), xlabel="t / w", ylabel="band-limited noise")
    right.legend(frameon=False, fontsize=8)
    return figure


def figures() -> dict[str, Any]:
    """Reconstructions, orders of the steps, approximation errors, gradient norms, LegT as a delay."""
    return {
        "reconstruction": _reconstruction(),
        "orders": _orders(),
        "approximation": _approximation(),
        "gradients": _gradients(),
        "delay": _delay(),
    }
