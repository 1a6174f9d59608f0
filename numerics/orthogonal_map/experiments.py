r"""Orthogonal maps from one unit vector to another: random solutions, and how floating point loses them.

Su Jianlin, 《从一个单位向量变换到另一个单位向量的正交矩阵》, Scientific Spaces, 2021-06-05, archive 8453.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Rational

from kexue import Estimate, ForEach, claim, experiment
from kexue.sampling import Moments


def rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """T1 = I + 2baᵀ − (a+b)(a+b)ᵀ/(1+aᵀb), as printed; a, b are unit vectors of R^d."""
    s = a + b
    return np.eye(len(a)) + 2 * np.outer(b, a) - np.outer(s, s) / (1 + a @ b)


def half_turn(a: np.ndarray, b: np.ndarray, normalise_first: bool = False) -> np.ndarray:
    """T3 = (a+b)(a+b)ᵀ/(1+aᵀb) − I, as printed, or 2nnᵀ − I with n = (a+b)/‖a+b‖."""
    s = a + b
    if normalise_first:
        n = s / np.linalg.norm(s)
        return 2 * np.outer(n, n) - np.eye(len(a))
    return np.outer(s, s) / (1 + a @ b) - np.eye(len(a))


def stable(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """T3 for aᵀb ≥ 0, else T2 = I − (a−b)(a−b)ᵀ/(1−aᵀb): the denominator is never below 1."""
    if a @ b >= 0:
        return half_turn(a, b)
    d = a - b
    return np.eye(len(a)) - np.outer(d, d) / (1 - a @ b)


def nearly_opposite(delta: float, d: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors a, b at the angle π − delta, in a random plane of R^d."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, 2)))
    return q[:, 0], -np.cos(delta) * q[:, 0] + np.sin(delta) * q[:, 1]


def orthogonality_error(t: np.ndarray) -> float:
    """‖TTᵀ − I‖₂."""
    return float(np.linalg.norm(t @ t.T - np.eye(len(t)), 2))


@claim(mutants=[dict(exponent=1), dict(branch=half_turn)])
def error_law(exponent=2, branch=stable):
    r"""Observed in float64 (d = 3): at the angle π − δ the printed $1+c$ costs about ε/δ² of orthogonality, a stable
    branch nothing.

    For δ = 10⁻², …, 10⁻⁷ and 50 random planes each, the largest error of the printed form lies between 5·10⁻¹⁶/δ² and
    5·10⁻¹⁴/δ²; with n = (a+b)/‖a+b‖ first, and on the branch with denominator ≥ 1, it stays below 10⁻¹⁴.
    """

    def both(k: int) -> tuple[Any, Any]:
        delta = 10.0**-k
        pairs = [nearly_opposite(delta, seed=s) for s in range(50)]
        printed = max(orthogonality_error(half_turn(a, b)) for a, b in pairs)
        first = max(orthogonality_error(half_turn(a, b, normalise_first=True)) for a, b in pairs)
        branched = max(orthogonality_error(branch(a, b)) for a, b in pairs)
        law = 10.0 ** (exponent * k)
        return (5e-16 * law <= printed <= 5e-14 * law, first < 1e-14, branched < 1e-14), (True, True, True)

    return ForEach(range(2, 8), both, over="δ = 10⁻², …, 10⁻⁷", observed=True)


@claim(mutants=[dict(bound=1e-17)])
def stable_branch(bound=1e-14):
    r"""Observed in float64: T3 for $c \ge 0$ and T2 for $c < 0$ are orthogonal and map a to b within $10^{-14}$, a =
    ±b included.

    d = 2, 3, 64; angles 0, 10⁻¹², 10⁻⁸, 10⁻⁴, 0.3, …, and π minus each of them.
    """
    angles = (0.0, 1e-12, 1e-8, 1e-4, 0.3, 1.0, 1.5707963267948966)

    def both(case: tuple[int, float, bool]) -> tuple[Any, Any]:
        d, angle, opposite = case
        a, b = nearly_opposite(angle, d, seed=d)
        b = b if opposite else -b
        t = stable(a, b)
        return (orthogonality_error(t) < bound, float(np.linalg.norm(t @ a - b)) < bound), (True, True)

    cases = [(d, angle, opposite) for d in (2, 3, 64) for angle in angles for opposite in (True, False)]
    return ForEach(cases, both, over="42 pairs (a, b)", observed=True)


@claim(mutants=[dict(eps=1e-12)])
def normalize_eps_trap(eps=1e-6):
    r"""Observed in float64: with n = normalize(a + b, eps = 10⁻⁶) the rotation is no longer orthogonal once $\|a+b\|
    < $ eps.

    At ‖a + b‖ = 5·10⁻⁷ (d = 3) an entry of TTᵀ − I exceeds 0.1; with eps far below ‖a + b‖ nothing is lost.
    """

    def defect(seed: int) -> bool:
        a, b = nearly_opposite(5e-7, seed=seed)
        s = a + b
        n = s / max(np.linalg.norm(s), eps)
        t = np.eye(3) + 2 * np.outer(b, a) - 2 * np.outer(n, n)
        return bool(np.abs(t @ t.T - np.eye(3)).max() > 0.1)

    return ForEach(range(20), lambda seed: (defect(seed), True), over="20 random planes of R³", observed=True)


@experiment("mean", chunk=5_000, support=(-1.0, 1.0))
def random_solution_entry(chunk, count, cosine=0.6, d=4, turned=True):
    """wᵀ T x of random solutions T = T1 (1 ⊕ U), U uniform on O(d−1), for x = (3a + 4u)/5, w = (3b + 4T1 u)/5, u ⟂ a.

    U u is a uniform unit vector v of the complement of a, so that T x = T1 (3a + 4v)/5; not turned, U = I and v = u.
    """
    a, u = np.eye(d)[0], np.eye(d)[1]
    b = cosine * a + np.sqrt(1 - cosine**2) * u
    v = chunk.generator().standard_normal((count, d)) if turned else np.tile(u, (count, 1))
    v[:, 0] = 0.0
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    t = rotation(a, b)
    return Moments.of(np.clip((3 * a + 4 * v) / 5 @ t.T @ (3 * b + 4 * t @ u) / 5, -1.0, 1.0))


@claim(mutants=[dict(value=Rational(2, 5)), dict(turned=False)])
def all_solutions(value=Rational(9, 25), turned=True):
    r"""The uniform solution $T = T_1(1 \oplus U)$ has the mean $ba^\top$: $E\,w^\top Tx = (w^\top b)(a^\top x) =
    9/25$, d = 4.

    Here $x = (3a+4u)/5$ and $w = (3b+4T_1u)/5$ with a unit vector u orthogonal to a.
    """
    return Estimate(random_solution_entry(turned=turned), value, Rational(1, 20))


def figures() -> dict[str, Any]:
    """The error laws near b = −a, and the trace of random solutions against its bound."""
    from matplotlib.figure import Figure

    errors = Figure(figsize=(7, 4.5), layout="constrained")
    axes = errors.subplots()
    deltas = 10.0 ** -np.arange(0, 7.6, 0.25)
    variants = {
        "printed: 1 + c": half_turn,
        "n = (a+b)/‖a+b‖ first": lambda a, b: half_turn(a, b, normalise_first=True),
        "branch with denominator ≥ 1": stable,
    }
    for label, variant in variants.items():
        for dtype, style in ((np.float64, "-"), (np.float32, "--")):
            worst = []
            for delta in deltas:
                pairs = [[v.astype(dtype) for v in nearly_opposite(delta, 64, seed)] for seed in range(5)]
                with np.errstate(divide="ignore", invalid="ignore"):
                    found = [np.abs(t @ t.T - np.eye(64)).max() for t in (variant(a, b) for a, b in pairs)]
                worst.append(np.nanmax(found) if np.isfinite(found).any() else np.nan)
            colour = {"printed: 1 + c": "C0", "n = (a+b)/‖a+b‖ first": "C1"}.get(label, "C2")
            axes.loglog(deltas, np.maximum(worst, 1e-17), style, color=colour, label=f"{label}, {np.dtype(dtype).name}")
    axes.set(xlabel="δ = π − angle of a and b", ylabel="largest entry of TTᵀ − I (d = 64)", ylim=(1e-17, 1e6))
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")

    traces = Figure(figsize=(7, 4.5), layout="constrained")
    axes = traces.subplots()
    rng = np.random.default_rng(0)
    for cosine in (0.6, -0.6):
        a, b = np.eye(4)[0], np.array([cosine, np.sqrt(1 - cosine**2), 0, 0])
        found = []
        for _ in range(4000):
            q, r = np.linalg.qr(rng.standard_normal((3, 3)))
            u = np.eye(4)
            u[1:, 1:] = q * np.sign(np.diag(r))
            found.append(np.trace(rotation(a, b) @ u))
        axes.hist(found, bins=60, histtype="step", density=True, label=f"c = {cosine}")
        axes.axvline(2 + 2 * max(cosine, 0.0), color="0.4", linestyle=":", linewidth=1)
    axes.set(xlabel="trace of a random solution, d = 4 (dotted: the bound d − 2 + 2 max(c, 0))", ylabel="density")
    axes.legend(frameon=False)
    return {"error-law": errors, "trace": traces}
