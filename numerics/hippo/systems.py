"""The systems in NumPy, float64: matrices from the exact ones, LegS steps, exact projections by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.linalg import expm

from kexue.derivations.hippo import scale_modes, transition, window_modes

Signal = Callable[[np.ndarray], np.ndarray]


@cache
def matrices(measure: str, N: int) -> tuple[np.ndarray, np.ndarray]:
    """A and B in the paper's norm, window 1, rounded from the exact ones."""
    A, B = transition(measure, N)
    return np.array(A.tolist(), dtype=float), np.array(B.tolist(), dtype=float)[:, 0]


@cache
def fourier_modes(measure: str, M: int) -> tuple[np.ndarray, np.ndarray]:
    """The modes n = −M, …, M of "fout", "foud" or "fourier_scale"."""
    A, B = scale_modes(M) if measure == "fourier_scale" else window_modes(M, 1, 2 if measure == "fout" else 1)
    return np.array(A.tolist(), dtype=complex), np.array(B.tolist(), dtype=complex)[:, 0]


def legendre(N: int, x: np.ndarray) -> np.ndarray:
    """√(2n+1) p_n(x), n < N: rows n."""
    p = [np.ones_like(x), x]
    for n in range(1, N - 1):
        p.append(((2 * n + 1) * x * p[n] - n * p[n - 1]) / (n + 1))
    return np.stack(p[:N]) * np.sqrt(2 * np.arange(N) + 1)[:, None]


def projection(f: Signal, N: int, start: float, end: float, pieces: int = 40) -> np.ndarray:
    """Coefficients of f on [start, end] in the paper's norm, by 40 × 20 Gauss nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(-1, 1, pieces + 1)
    x = (edges[:-1, None] + (nodes + 1) / pieces).ravel()
    w = np.tile(weights / 2 / pieces, pieces)
    return legendre(N, x) @ (w * f(start + (end - start) * (x + 1) / 2))


def hold(A: np.ndarray, B: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """e^{εA} and A⁻¹(e^{εA} − I)B."""
    N = len(A)
    found = expm(step * np.block([[A, B[:, None]], [np.zeros((1, N + 1))]]))
    return found[:N, :N], found[:N, N]


def run(A: np.ndarray, B: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """x_{k+1} = A x_k + B u_k from 0; all states."""
    x, states = np.zeros(len(A), dtype=A.dtype), []
    for u in inputs:
        x = A @ x + B * u
        states.append(x)
    return np.stack(states)


def legs_step(x: np.ndarray, previous: np.ndarray, current: np.ndarray, k: int, scheme: str) -> np.ndarray:
    """One dense step of LegS from k to k + 1: "printed", "held", "trapezoid" or "exact" (held input)."""
    N = len(x)
    A, B = matrices("legs", N)
    if scheme == "exact":
        move, feed = hold(A, B, np.log1p(1 / k))
        return move @ x + np.multiply.outer(feed, current)
    eye, then = np.eye(N), 1 / (k + 1)
    now = then if scheme == "held" else 1 / k
    fed = (previous * now + current * then) / 2 if scheme == "trapezoid" else now * current
    return np.linalg.solve(eye - then / 2 * A, (eye + now / 2 * A) @ x + np.multiply.outer(B, fed))
