"""Symbols, and the optimisers on exact rationals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import And, Eq, Or

from .._arguments import exact_number, whole_number

theta, g, m, c, u, x, y, z = sp.symbols("theta g m c u x y z", real=True)
eta, lam, b, b1, b2, q, s = sp.symbols("eta lambda beta beta_1 beta_2 q s", real=True)
n = sp.Symbol("n", integer=True)

MIXES = (b1 > 0, b1 < 1, b2 > 0, b2 < 1)  # averages that forget and that look at the gradient

Vector = tuple[Fraction, ...]
Gradient = Callable[[int, Vector], Sequence[Any]]


def mix(beta: Any, old: Any, new: Any) -> Any:
    """β·old + (1 − β)·new."""
    return beta * old + (1 - beta) * new


def sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)


def is_sign(value: Any, of: Any) -> Any:
    """value ∈ SIGN(of), the set-valued sign: [−1, 1] at 0."""
    return Or(And(of > 0, Eq(value, 1)), And(of < 0, Eq(value, -1)), And(Eq(of, 0), value <= 1, value >= -1))


def lion_step(
    theta: Sequence[Any],
    gradient: Sequence[Any],
    momentum: Sequence[Any],
    lr: Any,
    weight_decay: Any = 0,
    betas: tuple[Any, Any] = (Fraction(9, 10), Fraction(99, 100)),
) -> tuple[Vector, Vector]:
    r"""One step of Lion: $(\theta_t, m_t)$ from $(\theta_{t-1}, g_t, m_{t-1})$, as fractions.

    Args:
        theta, gradient, momentum: of one length, exact.
        lr: η > 0; weight_decay: λ ≥ 0 with ηλ < 2 (otherwise θ diverges).
        betas: (β1, β2), each in [0, 1).

    Raises:
        ValueError: inexact values, values out of range, or lengths that differ.
    """
    rate, decay = _rates(lr, weight_decay)
    first, second = (_beta(f"betas[{i}]", v) for i, v in enumerate(betas))
    return _lion(*_vectors(theta=theta, gradient=gradient, momentum=momentum), rate, decay, first, second)


def tiger_step(
    theta: Sequence[Any], gradient: Sequence[Any], momentum: Sequence[Any], lr: Any, weight_decay: Any = 0,
    beta: Any = Fraction(193, 200),
) -> tuple[Vector, Vector]:  # fmt: skip
    r"""One step of Tiger, $m_t = \beta m_{t-1} + (1-\beta)g_t$ first, then $\theta$ by the sign of $m_t$.

    Raises:
        ValueError: see `lion_step`.
    """
    rate, decay = _rates(lr, weight_decay)
    mean = _beta("beta", beta)
    old, slope, held = _vectors(theta=theta, gradient=gradient, momentum=momentum)
    new = tuple(mix(mean, a, d) for a, d in zip(held, slope, strict=True))
    return tuple(t - rate * (sign(a) + decay * t) for t, a in zip(old, new, strict=True)), new


def lion_trajectory(
    gradient: Gradient, start: Sequence[Any], steps: int, lr: Any, weight_decay: Any = 0,
    betas: tuple[Any, Any] = (Fraction(9, 10), Fraction(99, 100)),
) -> tuple[Vector, ...]:  # fmt: skip
    r"""$\theta_0, \dots, \theta_n$ of Lion with $m_0 = 0$; gradient(t, θ) gives $g_t$ at $\theta_{t-1}$, t = 1, …, n.

    Raises:
        ValueError: see `lion_step`; steps is no integer ≥ 0.
    """
    rate, decay = _rates(lr, weight_decay)
    first, second = (_beta(f"betas[{i}]", v) for i, v in enumerate(betas))
    (here,) = _vectors(start=start)
    held, found = (Fraction(0),) * len(here), [here]
    for t in range(1, whole_number("steps", steps, 0) + 1):
        here, slope = _vectors(start=here, gradient=gradient(t, here))
        here, held = _lion(here, slope, held, rate, decay, first, second)
        found.append(here)
    return tuple(found)


def tiger_trajectory(
    gradient: Gradient, start: Sequence[Any], steps: int, lr: Any, weight_decay: Any = 0,
    beta: Any = Fraction(193, 200), group: int = 1,
) -> tuple[Vector, ...]:  # fmt: skip
    r"""$\theta_0, \dots, \theta_n$ of Tiger with $m_0 = 0$ that accumulates groups of k gradients in m itself.

    $m_t = [(\beta-1)\chi_{(t-1)/k} + 1]m_{t-1} + \tfrac1k(1-\beta)g_t$, and θ moves at t ≡ 0 mod k only.

    Args:
        gradient: gradient(t, θ) gives $g_t$ at $\theta_{t-1}$, t = 1, …, n.
        group: k ≥ 1.

    Raises:
        ValueError: see `lion_step`; steps is no integer ≥ 0, group none ≥ 1.
    """
    rate, decay = _rates(lr, weight_decay)
    mean, k = _beta("beta", beta), whole_number("group", group, 1)
    (here,) = _vectors(start=start)
    held, found = (Fraction(0),) * len(here), [here]
    for t in range(1, whole_number("steps", steps, 0) + 1):
        here, slope = _vectors(start=here, gradient=gradient(t, here))
        keep = mean if (t - 1) % k == 0 else Fraction(1)
        held = tuple(keep * a + (1 - mean) * d / k for a, d in zip(held, slope, strict=True))
        if t % k == 0:
            here = tuple(e - rate * (sign(a) + decay * e) for e, a in zip(here, held, strict=True))
        found.append(here)
    return tuple(found)


def lion_bound(theta0: Any, eta: Any, lam: Any, t: int) -> Fraction:
    r"""The bound of $|\theta_t|$ for any gradients: $r^t|\theta_0| + \eta(1-r^t)/(1-r)$ with $r = |1-\eta\lambda|$.

    For 0 < ηλ ≤ 1 it is $(1-\eta\lambda)^t|\theta_0| + (1-(1-\eta\lambda)^t)/\lambda$, for λ = 0 it is $|\theta_0| +
    \eta t$ (claim `theta-bound`).

    Raises:
        ValueError: inexact values, η ≤ 0, λ < 0, ηλ ≥ 2 (no bound), or t no integer ≥ 0.
    """
    size, steps = abs(exact_number("theta0", theta0)), whole_number("t", t)
    rate, decay = _rates(eta, lam, "eta", "lam")
    r = abs(1 - rate * decay)
    return size + rate * steps if r == 1 else r**steps * size + rate * (1 - r**steps) / (1 - r)


def box(lam: Any) -> tuple[Fraction, Fraction]:
    r"""The interval [−1/λ, 1/λ] that every coordinate ends in and doesn't leave, for 0 < ηλ ≤ 1.

    Raises:
        ValueError: lam is not exact or ≤ 0.
    """
    side = 1 / exact_number("lam", lam, 0, strict=True)
    return -side, side


KINDS = ("AdamW", "Lion", "Tiger", "AdaFactor")


def state_numbers(optimizer: str, shape: Sequence[int], accumulation: bool = False) -> int:
    """How many numbers an optimiser keeps between steps for one parameter of this shape, beside the parameter.

    Args:
        optimizer: "AdamW" (m, v), "Lion", "Tiger" (m) or "AdaFactor" without momentum (row and column means of a
            matrix; v for other shapes).
        accumulation: gradients are summed over several batches before a step; Tiger does it in m.

    Raises:
        ValueError: an unknown optimiser, or sides that are no integers ≥ 0.
    """
    if optimizer not in KINDS:
        raise ValueError(f"optimizer must be one of {', '.join(KINDS)}, got {optimizer!r}")
    size = 1
    for i, side in enumerate(shape):
        size *= whole_number(f"shape[{i}]", side, 0)
    if optimizer == "AdaFactor" and len(shape) == 2:
        kept = sum(shape)
    else:
        kept = 2 * size if optimizer == "AdamW" else size
    return kept + (size if accumulation and optimizer != "Tiger" else 0)


def _lion(here: Vector, slope: Vector, held: Vector, rate: Fraction, decay: Fraction, first: Fraction,
          second: Fraction) -> tuple[Vector, Vector]:  # fmt: skip
    mixed = [mix(first, a, d) for a, d in zip(held, slope, strict=True)]
    return (
        tuple(e - rate * (sign(a) + decay * e) for e, a in zip(here, mixed, strict=True)),
        tuple(mix(second, a, d) for a, d in zip(held, slope, strict=True)),
    )


def _beta(name: str, value: Any) -> Fraction:
    found = exact_number(name, value, 0)
    if found >= 1:
        raise ValueError(f"{name} must be in [0, 1), got {found}")
    return found


def _rates(
    lr: Any, weight_decay: Any, lr_name: str = "lr", decay_name: str = "weight_decay"
) -> tuple[Fraction, Fraction]:
    rate, decay = exact_number(lr_name, lr, 0, strict=True), exact_number(decay_name, weight_decay, 0)
    if rate * decay >= 2:
        raise ValueError(f"{lr_name}·{decay_name} must be < 2, got {rate * decay}: θ diverges")
    return rate, decay


def _vectors(**named: Sequence[Any]) -> list[Vector]:
    found = [tuple(exact_number(f"{name}[{i}]", v) for i, v in enumerate(values)) for name, values in named.items()]
    if len({len(v) for v in found}) > 1:
        lengths = ", ".join(f"{name} {len(v)}" for name, v in zip(named, found, strict=True))
        raise ValueError(f"vectors must have one length, got {lengths}")
    return found
