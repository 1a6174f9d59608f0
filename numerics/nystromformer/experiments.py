r"""Nyströmformer in floating point: what rounding does to the iteration, and how good the approximation is.

Su Jianlin, 《Nyströmformer：基于矩阵分解的线性化Attention方案》, 2021-02-16, archive 8180.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kexue import ForEach, claim
from kexue.derivations.nystromformer import (
    filter_residual,
    products,
    step,
    transposed,
)

# row-stochastic, singular in float64 too: the last row is the mean of the others, every entry a dyadic rational
SINGULAR = [[0.5, 0.25, 0.25], [0.125, 0.625, 0.25], [0.3125, 0.4375, 0.25]]
LEFT, RIGHT = (
    np.array([1.0, 1.0, -2.0]) / np.sqrt(6),
    np.array([1.0, 1.0, -3.0]) / np.sqrt(11),
)  # LEFTᵀA = 0, A RIGHT = 0
SCHEMES = ("razavi", "newton", "chebyshev")
LABELS = {"razavi": "Razavi (paper)", "newton": "Newton–Schulz", "chebyshev": "Chebyshev"}


def null_component(steps: int, flush: bool) -> float:
    """|RIGHTᵀ V LEFT| in float64 after `steps` of Razavi's iteration, all sums from left to right; exactly, it is 0.

    With `flush` this component of V is taken away after each step.
    """
    a = SINGULAR
    column = max(sum(row[j] for row in a) for j in range(3))
    v = [[value / column for value in row] for row in transposed(a)]
    for _ in range(steps):
        v = step(v, a)
        if flush:
            m = np.array(v)
            v = (m - np.outer(RIGHT, LEFT) * (RIGHT @ m @ LEFT)).tolist()
    return abs(float(RIGHT @ np.array(v) @ LEFT))


@claim(mutants=[dict(flush=True), dict(factor=4)])
def null_space_instability(flush=False, factor=3.25):
    r"""Observed in float64: for a singular 3×3 matrix the share of V in the null space, exactly 0, grows from below
    $10^{-13}$ at k = 6 to above $10^{-9}$ at k = 20 and above 1 at k = 40.

    From k = 20 to 40 it grows by $(13/4)^{20}$ within a factor of 2; taken away after each step, it doesn't. All sums
    are taken from left to right. (Equal rows of A, as in `row-sums-iff`, would keep two columns of V equal in this
    order, and the share 0; matrix products of libraries break that symmetry.)
    """

    def levels(_: int) -> tuple[Any, Any]:
        six, twenty, forty = (null_component(k, flush) for k in (6, 20, 40))
        growth = forty / max(twenty, 1e-300) / factor**20
        return (six < 1e-13, twenty > 1e-9, forty > 1, 0.5 < growth < 2), (True,) * 4

    return ForEach((0,), levels, over="k = 6, 20, 40", observed=True)


# Attention in float arrays of shape (…, n, d)


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def factors(q: np.ndarray, k: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """S, F, A, B."""
    scale = q.shape[-1] ** -0.5
    q_means, k_means = (x.reshape(m, -1, x.shape[-1]).mean(1) for x in (q, k))
    pairs = ((q, k), (q, k_means), (q_means, k_means), (q_means, k))
    s, f, a, b = (softmax(scale * x @ y.T) for x, y in pairs)
    return s, f, a, b


def iterate(
    a: np.ndarray, steps: int, scheme: str = "razavi", rounded: Callable[[Any], Any] = lambda x: x
) -> list[np.ndarray]:
    """V_0, …, V_steps of stacked matrices; `rounded` is applied to each product."""
    eye = np.eye(a.shape[-1], dtype=a.dtype)
    columns, rows = np.abs(a).sum(-2).max(-1), np.abs(a).sum(-1).max(-1)
    v = rounded(np.swapaxes(a, -1, -2) / (columns * rows)[..., None, None])
    found = [v]
    for _ in range(steps):
        av = rounded(a @ v)
        if scheme == "razavi":
            v = rounded(v @ (13 * eye - rounded(av @ (15 * eye - rounded(av @ (7 * eye - av))))) / 4)
        elif scheme == "newton":
            v = rounded(v @ (2 * eye - av))
        else:
            v = rounded(v @ (3 * eye - rounded(av @ (3 * eye - av))))
        found.append(v)
    return found


def bfloat16(x: np.ndarray) -> np.ndarray:
    """Rounded to the nearest number with 8 significant bits, kept in float32."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def performer(q: np.ndarray, k: np.ndarray, features: int, rng: np.random.Generator) -> np.ndarray:
    """The attention matrix of positive random features exp(w·x − |x|²/2), normalised."""
    w = rng.standard_normal((features, q.shape[-1]))
    mapped = []
    for x in (q, k):
        x = x * x.shape[-1] ** -0.25
        logits = x @ w.T - (x**2).sum(-1, keepdims=True) / 2
        mapped.append(np.exp(logits - logits.max()))
    weights = mapped[0] @ mapped[1].T
    return weights / weights.sum(-1, keepdims=True)


def sequences(kind: str, n: int, d: int, scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Queries and keys with entries of standard deviation `scale`: smooth in position, independent or clustered."""
    if kind == "smooth":
        position = np.arange(n)[:, None] / n
        frequencies, phases = rng.uniform(0, 2 * np.pi * 8, (2, 1, d)), rng.uniform(0, 2 * np.pi, (2, 1, d))
        q, k = np.sqrt(2) * np.cos(position * frequencies + phases)
    elif kind == "clustered":
        centres = rng.standard_normal((2, 16, d))
        member = rng.integers(16, size=n)
        q, k = centres[:, member] + 0.2 * rng.standard_normal((2, n, d))
    else:
        q, k = rng.standard_normal((2, n, d))
    return scale * q, scale * k


def _relative(n: np.ndarray, s: np.ndarray) -> float:
    return float(np.linalg.norm(n - s) / np.linalg.norm(s))


def figures() -> dict[str, Any]:
    """Errors against the number of landmarks, filters, entries and row sums of N, rounding, condition numbers."""
    return {
        "errors": _errors(),
        "filters": _filters(),
        "entries": _entries(),
        "rounding": _rounding(),
        "condition": _condition(),
    }


def _new(columns: int = 1, width: float = 7.0, height: float = 4.5) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, sharey=True)


def _errors() -> Any:
    n, d, repeats = 256, 16, 3
    landmarks = [4, 8, 16, 32, 64, 128]
    figure, panels = _new(3, 11.0, 4.2)
    for axes, kind in zip(panels, ("smooth", "clustered", "independent"), strict=True):
        curves: dict[str, list[float]] = {}
        for m in landmarks:
            each: dict[str, list[float]] = {}
            for seed in range(repeats):
                rng = np.random.default_rng(seed)
                q, k = sequences(kind, n, d, 1.5, rng)
                s, f, a, b = factors(q, k, m)
                for label, matrix in (
                    ("exact inverse", f @ np.linalg.pinv(a) @ b),
                    ("six steps", f @ iterate(a, 6)[-1] @ b),
                    ("no middle matrix, FB", f @ b),
                    ("Performer, m features", performer(q, k, m, rng)),
                ):
                    each.setdefault(label, []).append(_relative(matrix, s))
            for label, values in each.items():
                curves.setdefault(label, []).append(float(np.median(values)))
        for (label, values), marker in zip(curves.items(), "os^v", strict=True):
            axes.loglog(landmarks, values, f"{marker}-", markersize=4, label=label)
        axes.axhline(1, color="0.5", linestyle="--", linewidth=1)
        axes.set(title=f"{kind} tokens", xlabel="landmarks m", ylim=(1e-3, 1e2))
    panels[0].set_ylabel(f"‖N − S‖ / ‖S‖, median of {repeats} (n = {n}, d = {d})")
    panels[0].legend(frameon=False, fontsize=8, loc="lower left")
    panels[2].text(4, 0.6, "zero matrix", fontsize=8, color="0.4")
    return figure


def _filters() -> Any:
    figure, axes = _new()
    x = np.logspace(-5, 0, 400)
    for scheme, style in zip(SCHEMES, ("-", "--", ":"), strict=True):
        for work, colour in ((12, "C0"), (24, "C1"), (36, "C2")):
            steps = work // products(scheme)
            label = f"{LABELS[scheme]}, {steps} steps: {work} products"
            axes.semilogx(x, 1 - filter_residual(x, steps, scheme), style, color=colour, label=label)
    axes.set(xlabel="x = σ² / (‖A‖₁ ‖A‖_∞)", ylabel="inverted share of a singular direction")
    axes.legend(frameon=False, fontsize=7)
    return figure


def _entries() -> Any:
    figure, panels = _new(2, 10.0, 4.2)
    panels[1].sharey = None
    rng = np.random.default_rng(0)
    entries, sums = [], []
    for _ in range(200):
        q, k = sequences("independent", 32, 8, 1.5, rng)
        _, f, a, b = factors(q, k, 4)
        n = f @ iterate(a, 6)[-1] @ b
        entries.append(n.ravel())
        sums.append(n.sum(-1))
    low, high = np.quantile(np.concatenate(entries), [0.001, 0.999])
    panels[0].hist(np.concatenate(entries), bins=np.linspace(low, high, 80), color="C0", log=True)
    panels[0].axvline(0, color="0.3", linewidth=1)
    panels[0].set(xlabel="entries of N, six steps", ylabel="count (200 × 32 × 32, n = 32, m = 4, d = 8)")
    panels[1].hist(np.concatenate(sums), bins=80, color="C1", log=True)
    panels[1].set(xlabel="row sums of N, six steps")
    return figure


def _rounding() -> Any:
    m, count, steps = 16, 200, 40
    figure, axes = _new()
    rng = np.random.default_rng(0)
    generic = softmax(rng.standard_normal((count, m, m)))
    singular = generic.copy()
    singular[:, -1] = singular[:, :2].mean(1)
    kinds: tuple[tuple[str, Any, Callable[[Any], Any]], ...] = (
        ("float64", np.float64, lambda x: x),
        ("float32", np.float32, lambda x: x),
        ("bfloat16", np.float32, bfloat16),
    )
    with np.errstate(all="ignore"):
        for i, (name, dtype, rounded) in enumerate(kinds):
            for stack, style, kind in ((singular, "-", "singular"), (generic, "--", "random")):
                inverse = np.linalg.pinv(stack, rcond=1e-10)
                size = np.linalg.norm(inverse, axis=(-2, -1))
                error = [
                    np.median(np.linalg.norm(v.astype(np.float64) - inverse, axis=(-2, -1)) / size)
                    for v in iterate(stack.astype(dtype), steps, rounded=rounded)
                ]
                axes.semilogy(error, style, color=f"C{i}", label=f"{name}, {kind} A")
    label = f"‖V − A†‖ / ‖A†‖, median of {count} (m = {m})"
    axes.set(xlabel="steps k of Razavi's iteration", ylabel=label, ylim=(1e-16, 1e4))
    axes.legend(frameon=False, fontsize=8, ncols=3)
    return figure


def _condition() -> Any:
    figure, axes = _new()
    scales = np.geomspace(0.1, 10, 15)
    rng = np.random.default_rng(0)
    for m in (8, 32, 64):
        quantiles = []
        for scale in scales:
            a = softmax(scale * rng.standard_normal((200 if m < 64 else 60, m, m)))
            quantiles.append(np.quantile(np.linalg.cond(a), [0.25, 0.5, 0.75]))
        low, middle, high = np.array(quantiles).T
        line = axes.loglog(scales, middle, "o-", markersize=4, label=f"m = {m}")[0]
        axes.fill_between(scales, low, high, color=line.get_color(), alpha=0.2)
    axes.set(xlabel="standard deviation of the logits", ylabel="condition number of A (median, quartiles)")
    axes.legend(frameon=False)
    return figure
