r"""HiPPO in float64 and by simulation: closures, discretisations, approximation errors, white noise, the ring of the
LRU.

Su Jianlin, 《重温SSM》 1–3, archives 10114, 10137, 10162. What is *observed* are facts of float64 on fixed signals.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
from scipy.linalg import expm
from sympy import Rational

from kexue import Estimate, ForEach, claim, experiment

from .drawing import figures
from .systems import fourier_modes, hold, legendre, legs_step, matrices, projection

TWO_PERCENT = Rational(1, 50)
__all__ = ["figures"]


@cache
def _window_coefficient(measure: str) -> float:
    """c_0 of u = sin 3t + 0.3 cos(7.3t + 1), switched on at t = 0, at T = 4, w = 1, for |n| ≤ 64: exact in time."""
    A, B = fourier_modes(measure, 64)
    N = len(A)
    whole = np.zeros((N + 4, N + 4), dtype=complex)
    whole[:N, :N] = A
    for place, (frequency, row) in enumerate(((3.0, (0.0, 1.0)), (7.3, (0.3, 0.0)))):
        at = slice(N + 2 * place, N + 2 * place + 2)
        whole[at, at] = [[0, -frequency], [frequency, 0]]
        whole[:N, at] = np.outer(B, row)
    start = np.zeros(N + 4, dtype=complex)
    start[N:] = [1, 0, math.cos(1), math.sin(1)]
    return float((expm(4 * whole) @ start)[N // 2].real)


def _signal(t: np.ndarray) -> np.ndarray:
    return np.where(t >= 0, np.sin(3 * t) + 0.3 * np.cos(7.3 * t + 1), 0)


@claim(mutants=[dict(consistent="foud"), dict(base=2)])
def fourier_window_closure_erratum(consistent="fout", base=3):
    r"""With 129 modes the consistent closure gives $c_0$ of the window to 0.002; the printed one gives that of the
    echoed signal, which is half as large.

    Observed in float64, exact in time, for u = sin 3t + 0.3 cos(7.3t + 1) from t = 0, T = 4, w = 1: true −0.591,
    printed −0.298, echo −0.298, consistent −0.592. The echo is $\frac23\sum_j3^{-j}u(t-j)$.
    """
    true = projection(_signal, 1, 3, 4)[0]
    echo = 2 / base * sum(float(base) ** -j * projection(_signal, 1, 3 - j, 4 - j)[0] for j in range(4))
    return ForEach(
        [0],
        lambda _: (
            (
                bool(abs(_window_coefficient(consistent) - true) < 2e-3),
                bool(abs(_window_coefficient("foud") - echo) < 5e-4),
                bool(abs(_window_coefficient("foud") - true) > 0.2),
            ),
            (True, True, True),
        ),
        over="one signal, |n| ≤ 64",
        observed=True,
    )


def _error_at_2(scheme: str, n: int) -> float:
    """From the exact state at t = 1 to t = 2 in n steps, u = cos 3t sampled, N = 8."""
    u = lambda t: np.cos(3 * t)  # noqa: E731
    x = projection(u, 8, 0, 1)
    for k in range(n, 2 * n):
        x = legs_step(x, u(k / n), u((k if scheme == "printed" else k + 1) / n), k, scheme)
    return float(np.linalg.norm(x - projection(u, 8, 0, 2)))


@claim(mutants=[dict(better="held"), dict(order=2)])
def legs_discretisation_erratum(better="trapezoid", order=1):
    r"""Halving the step halves the error of the printed LegS scheme and quarters that of the trapezoid.

    Observed in float64 for u = cos 3t on [1, 2], N = 8, 50 and 100 steps: the ratios are within 5% of 2 and of 4; and
    the variant with 1/(k+1) in all places is of order 1, too.
    """

    def ratio(scheme: str) -> float:
        return _error_at_2(scheme, 50) / _error_at_2(scheme, 100)

    def near(value: float, target: float) -> bool:
        return bool(abs(value / target - 1) < 0.05)

    return ForEach(
        [("printed", order), ("held", order), (better, 2)],
        lambda case: (near(ratio(case[0]), 2 ** case[1]), True),
        over="three schemes",
        observed=True,
    )


@cache
def _errors(kink: bool) -> list[float]:
    """‖f − Π_N f‖ for N = 1..64 on [0, 1]: f(s) = |s − 1/3|, or f(s) = s."""
    f = (lambda s: np.abs(s - 1 / 3)) if kink else (lambda s: s)
    c = projection(f, 65, 0, 1, pieces=60)  # 1/3 is an edge of the pieces
    square = 1 / 9 - 1 / 3 + 1 / 3 if kink else 1 / 3
    return [math.sqrt(max(square - float((c[:N] ** 2).sum()), 0)) for N in range(1, 65)]


@claim(mutants=[dict(constant=7), dict(rate=(1.9, 2.1))])
def legs_approx_error(constant=6, rate=(1.3, 1.7)):
    r"""The error of N coefficients is below $tL/\sqrt{6N(N+1)}$ for |s − 1/3| and s, N = 1, …, 64; it falls like
    $N^{-1.5}$ at the kink.

    Observed in float64 on [0, 1], L = 1, with 10⁻⁹ to spare; for s and N = 1 there is equality. The slope is that
    between N = 16 and 64.
    """

    def below(kink: bool) -> tuple[Any, Any]:
        bounds = [1 / math.sqrt(constant * N * (N + 1)) for N in range(1, 65)]
        return all(e <= b + 1e-9 for e, b in zip(_errors(kink), bounds, strict=True)), True

    slope = -math.log(_errors(True)[63] / _errors(True)[15]) / math.log(4)
    return (
        ForEach([True, False], below, over="|s − 1/3| and s, N = 1..64", observed=True),
        ForEach([0], lambda _: (rate[0] < slope < rate[1], True), over="slope of log error", observed=True),
    )


@claim(mutants=[dict(real=-0.5), dict(measure="fout")])
def fourier_scale(real=-1.0, measure="fourier_scale"):
    r"""The eigenvalues of the truncated Fourier system of the whole history have the real part −1 to $10^{-11}$.

    Observed in float64 for |n| ≤ 1, 3, 10, 20.
    """
    return ForEach(
        (1, 3, 10, 20),
        lambda M: (bool(abs(np.linalg.eigvals(fourier_modes(measure, M)[0]).real - real).max() < 1e-11), True),
        over="M = 1, 3, 10, 20",
        observed=True,
    )


def _diagonalisation_error(N: int) -> float:
    """‖VΛV⁻¹ − A‖/‖A‖ with eigenvectors of length 1 rounded to float64."""
    A, _ = matrices("legs", N)
    column = [[(-1) ** (a + b) * math.comb(a, b) * math.comb(a + b, b) for a in range(N)] for b in range(N)]
    V = np.array([[float(e) for e in row] for row in column]).T * np.sqrt(2 * np.arange(N) + 1)[:, None]
    V = V / np.linalg.norm(V, axis=0)
    found = np.linalg.solve(V.T, (V * -np.arange(1, N + 1)).T).T
    return float(np.linalg.norm(found - A) / np.linalg.norm(A))


@claim(mutants=[dict(small=64), dict(large=4)])
def s4_v_overflow(small=4, large=40):
    r"""In float64 the eigenvectors of LegS rebuild A to $10^{-10}$ for N = 4; for N = 40 the error exceeds A itself.

    Observed, eigenvectors scaled to length 1: their condition number has passed $1/\epsilon$.
    """
    return ForEach(
        [0],
        lambda _: ((_diagonalisation_error(small) < 1e-10, _diagonalisation_error(large) > 1), (True, True)),
        over="N = 4 and 40",
        observed=True,
    )


@experiment("proportion", chunk=20_000)
def second_below_first(chunk, count, n=2, scheme="exact"):
    """Successes: |c_1| < |c_0| for LegS (N = 2) after n steps of white Gaussian noise."""
    u = chunk.generator().standard_normal((n, count))
    x = np.stack([u[0], np.zeros(count)])
    for k in range(1, n):
        x = legs_step(x, u[k - 1], u[k], k, scheme)
    return int((np.abs(x[1]) < np.abs(x[0])).sum())


@claim(mutants=[dict(scheme="printed"), dict(ratio=lambda n: sp.sqrt(n * n - 1) / n)])
def white_noise_covariance(scheme="exact", ratio=lambda n: n / sp.sqrt(n * n - 1)):
    r"""White noise of variance σ² per step ε gives LegS (paper norm) uncorrelated c_0, c_1 of variances
    $\frac{\sigma^2\epsilon}t$ and $\frac{\sigma^2\epsilon}t(1-\frac1{n^2})$, t = nε.

    For the exact step: $c_0$ is the mean of n inputs, $c_1 = \frac{\sqrt3}n\sum(\frac{2k+1}n-1)u_k$. So
    $P(|c_1|<|c_0|) = \frac2\pi\arctan\frac n{\sqrt{n^2-1}}$, which the recurrence is simulated against for n = 2, 6;
    as ε → 0 the covariance tends to $\frac{\sigma^2\epsilon}tI$, since the kernel is orthonormal.
    """
    return tuple(
        Estimate(second_below_first(n=n, scheme=scheme), 2 / sp.pi * sp.atan(ratio(n)), TWO_PERCENT) for n in (2, 6)
    )


@experiment("law", chunk=20_000)
def ring_thirds(chunk, count, low=0.4, high=0.9, power=2):
    """How many of the |λ|² lie in each third of [low², high²], for the LRU's initialisation."""
    u = chunk.generator().random(count)
    nu = np.log(-0.5 * np.log(u ** (power / 2) * (high**2 - low**2) + low**2))
    squared = np.exp(-np.exp(nu)) ** 2
    thirds = np.clip(((squared - low**2) / (high**2 - low**2) * 3).astype(int), 0, 2)
    return np.bincount(thirds, minlength=3)


@experiment("proportion", chunk=10_000)
def state_above_1(chunk, count, high=0.7, steps=60, normalised=True):
    """Successes: |x|² > 1 for the state of x ← λx + γu after 60 steps of circular white noise with E|u|² = 1."""
    g = chunk.generator()
    squared = g.random(count) * high**2
    lam = np.sqrt(squared) * np.exp(2j * np.pi * g.random(count))
    gamma = np.sqrt(1 - squared) if normalised else 1 - np.sqrt(squared)
    x = np.zeros(count, dtype=complex)
    for _ in range(steps):
        x = lam * x + gamma * (g.standard_normal(count) + 1j * g.standard_normal(count)) * math.sqrt(0.5)
    return int((np.abs(x) ** 2 > 1).sum())


@claim(mutants=[dict(power=1), dict(normalised=False), dict(level=Rational(1, 2))])
def lru_ring(power=2, normalised=True, level=sp.exp(-1)):
    r"""$|\lambda|^2$ of the LRU's initialisation is uniform in its ring; with $\gamma = \sqrt{1-|\lambda|^2}$ the
    state is white: $P(|x|^2 > 1) = e^{-1}$.

    Simulated: the thirds of $[0.4^2, 0.9^2]$; and circular Gaussian inputs with E|u|² = 1, for which |x|² is
    exponential with mean $1-|\lambda|^{2k}$ after k = 60 steps, |λ| ≤ 0.7: 1 up to $10^{-18}$.
    """
    return (
        Estimate(ring_thirds(power=power), [Rational(1, 3)] * 3, Rational(3, 100)),
        Estimate(state_above_1(normalised=normalised), level, Rational(3, 100)),
    )


@claim(mutants=[dict(memory="foud"), dict(bound=1e-9)])
def online_reconstruction(memory="legs", bound=0.02):
    r"""LegS with 32 coefficients, fed sample by sample, holds the whole history: r.m.s. error below 0.02 of a unit
    signal.

    Observed in float64: exact steps over 200 held samples of sin 9t + ½cos(17t + 1) on [0, 1]; what is left beside
    the projection's own error is that of holding the samples. Window memories forget the first half (a Fourier window
    of the same size reads it as the past of another window).
    """

    def error(_: int) -> tuple[Any, Any]:
        signal = lambda t: np.sin(9 * t) + 0.5 * np.cos(17 * t + 1)  # noqa: E731
        t = (np.arange(200) + 0.5) / 200
        if memory == "legs":
            x = np.zeros(32)
            x[0] = signal(t)[0]
            for k in range(1, 200):
                x = legs_step(x, signal(t)[k - 1], signal(t)[k], k, "exact")
            found = legendre(32, 2 * t - 1).T @ x
        else:
            A, B = hold(*fourier_modes(memory, 15), 1 / 200)
            x = np.zeros(31, dtype=complex)
            for u in signal(t):
                x = A @ x + B * u
            found = (np.exp(2j * np.pi * np.outer(t, np.arange(-15, 16))) @ x).real
        return float(np.sqrt(np.mean((found - signal(t)) ** 2))) < bound, True

    return ForEach([0], error, over="one signal", observed=True)
