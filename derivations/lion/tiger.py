"""Tiger's rules: relative steps, accumulation without a buffer, half precision, skipped steps, the way to SGD."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from sympy import Abs, And, Eq, Implies, Ne, Rational, sqrt

from kexue import Exists, ForAll, ForEach, Identity, Induction, Witnesses, claim, erratum, mutant
from kexue.derivations.lion.common import (
    MIXES,
    Vector,
    b,
    b1,
    b2,
    c,
    g,
    lam,
    m,
    mix,
    n,
    s,
    sign,
    theta,
    tiger_step,
    tiger_trajectory,
    u,
    x,
    y,
)
from kexue.derivations.lion.noise import rounds_to

alpha, k, N, sigma, kappa, t = sp.symbols("alpha k N sigma kappa t", real=True)


# Learning rates


@claim(
    mutants=[
        dict(decay=alpha / sigma), dict(rate=alpha * sigma * k), dict(digits=("0.00004015", "0.01538")),
        dict(share=lambda q: alpha**2 / q / (kappa * t + 1)),
    ]
)  # fmt: skip
def amos_recipe(
    decay=alpha / (2 * sigma), rate=alpha * sigma, digits=("0.00004005", "0.01538"),
    share=lambda q: alpha**2 / (2 * q) / (kappa * t + 1),
):  # fmt: skip
    r"""The recipe $\alpha_t = \frac{\alpha_0\|\varepsilon_0\|}{\|u_t\|(\kappa t+1)}$, $\rho_t = \frac{\alpha_0^2}
    {2q(\kappa t+1)}$ with $\|u\| = \sqrt k$, $\|\varepsilon_0\| = \sqrt k\sigma$ and q = 1 gives $\eta_t =
    \frac{\alpha_0\sigma}{\kappa t+1}$ and the constant $\lambda = \rho_t/\eta_t = \alpha_0/2\sigma$.

    For d = 768, $\sigma = 1/\sqrt{768}$ and $\alpha_0 = 1.11 \cdot 10^{-3}$: η = 0.00004005, λ = 0.01538.
    """
    step = alpha * (sqrt(k) * sigma) / (sqrt(k) * (kappa * t + 1))
    given = [k >= 1, sigma > 0, alpha > 0, kappa >= 0, t >= 0]
    bert = {alpha: Rational(111, 100000), sigma: 1 / sqrt(768), k: 1}
    return (
        Identity(step, rate / (kappa * t + 1), given),
        Identity(share(1) / step, decay, given),
        Exists(
            And(rounds_to(x, digits[0]), rounds_to(y, digits[1])), {x: rate.subs(bert), y: decay.subs(bert)}
        ),
    )  # fmt: skip


@claim(mutants=[dict(rate=alpha * sqrt(N)), dict(least=1)])
def tiger_relative_step(rate=alpha * sqrt(N / k), least=0):
    r"""With $\eta = \alpha\,\mathrm{RMS}(\theta)$, λ = 0 and no exact zero in $m_t$: $\|\Delta\theta\|_2 =
    \alpha\|\theta\|_2$, for every size k. So α is the relative step.

    $\|\Delta\theta\|^2 = \eta^2\cdot\#\{i: m_i \ne 0\}$, and N is $\|\theta\|^2$. With zeros the step is shorter.
    """
    active = sp.Symbol("a", real=True)
    given = [k >= 1, N >= 0, alpha > 0]
    return (
        Identity(rate**2 * k, alpha**2 * N, given),
        ForAll(
            Implies(And(active >= 0, active < k), rate**2 * active + least * N < alpha**2 * N),
            [k >= 1, N > 0, alpha > 0],
        ),
    )


@claim(mutants=[dict(decay=lam), dict(bias=c), dict(root=2)])
def tiger_scale_equivariance(decay=lam / c, bias=1, root=1):
    r"""Tiger with $\eta = \alpha\,\mathrm{RMS}(\theta)$ on $L(\theta/c)$, started at $c\theta_0$ with λ/c: its
    trajectory is $c\theta_t$ (c > 0). With λ kept it is not, nor for biases with the fixed rate α/2.

    One step, hence all by induction; every number of coordinates: RMS(cθ) = c RMS(θ), gradients and m are divided by c
    and keep their signs. N is $\|\theta\|^2$ and θ one of its coordinates.
    """
    rate = alpha * sqrt(N / k)
    given = [c > 0, alpha > 0, k >= 1, N > 0]
    moved = theta - rate * (u + lam * theta)
    scaled = c * theta - rate.subs(N, c**2 * N) * (u + decay * c * theta)
    return (
        Identity(scaled, c * moved, given),
        ForAll(Eq(sp.sign(mix(b, m / c, g / c)), sp.sign(mix(b, m, root * g) + (1 - root) * m)), [c > 0, b > 0, b < 1]),
        ForAll(Ne(c * theta - bias * alpha / 2 * u, c * (theta - alpha / 2 * u)), [c > 0, Ne(c, 1), alpha > 0, u > 0]),
    )


# Accumulation, equations 5 and 6


def _microbatch(t: int, theta: Vector) -> list[Fraction]:
    return [Fraction(2 + t % 3) * (theta[0] - Fraction(t % 5, 3)), theta[1] / 2 - theta[0] + Fraction(t % 4 - 1, 2)]


def _by_rule(k: int, groups: int, starts: Callable[[int, int], bool], rate: Fraction, decay: Fraction) -> list[Any]:
    """Equation 5 with χ as given: (θ, m) after each group."""
    beta = Fraction(7, 8)
    here: Vector = (Fraction(2), Fraction(-1))
    held: Vector = (Fraction(0),) * 2
    found: list[Any] = []
    for t in range(1, k * groups + 1):
        slope = _microbatch(t, here)
        keep = (beta - 1) * starts(t, k) + 1
        held = tuple(keep * a + (1 - beta) * d / k for a, d in zip(held, slope, strict=True))
        if t % k == 0:
            here = tuple(e - rate * (sign(a) + decay * e) for e, a in zip(here, held, strict=True))
            found.append((here, held))
    return found


@claim(mutants=[dict(starts=lambda t, k: t % k == 0), dict(share=1), dict(kept=b)])
def tiger_accumulation(starts=lambda t, k: (t - 1) % k == 0, share=1 / k, kept=1):
    r"""$m_t = [(\beta-1)\chi_{(t-1)/k}+1]m_{t-1} + \tfrac1k(1-\beta)g_t$ with θ moved at k | t only is Tiger on the
    mean of k gradients: no further buffer is needed.

    Every k and all gradients (θ is frozen within a group): after j gradients of a group with the sum S, $m = \beta m_0
    + (1-\beta)S/k$, by induction on j, whose base and step are the first two parts; at j = k it is Tiger's m. m is to
    be read at t ≡ 0 mod k. Five groups of 1, 2, 3, 5 gradients are computed both ways.
    """
    first, total = sp.symbols("m_0 S", real=True)
    rate, decay = Fraction(1, 8), Fraction(1, 5)

    def both(group: int) -> tuple[Any, Any]:
        def mean(t: int, at: Vector) -> list[Fraction]:
            slopes = [_microbatch((t - 1) * group + j, at) for j in range(1, group + 1)]
            return [sum(column, Fraction(0)) / group for column in zip(*slopes, strict=True)]

        here: Vector = (Fraction(2), Fraction(-1))
        held: Vector = (Fraction(0),) * 2
        whole: list[Any] = []
        for t in range(1, 6):
            here, held = tiger_step(here, mean(t, here), held, rate, decay, Fraction(7, 8))
            whole.append((here, held))
        within = tiger_trajectory(_microbatch, (2, -1), 5 * group, rate, decay, Fraction(7, 8), group)
        return (_by_rule(group, 5, starts, rate, decay), within[group::group]), (whole, tuple(at for at, _ in whole))

    return (
        Identity(mix(b, first, 0) + share * (1 - b) * g, b * first + (1 - b) * g / k, k >= 1),
        Identity(
            kept * (b * first + (1 - b) * total / k) + share * (1 - b) * g,
            b * first + (1 - b) * (total + g) / k,
            k >= 1,
        ),
        ForEach((1, 2, 3, 5), both, over="five groups of 1, 2, 3, 5 gradients"),
    )


@claim(mutants=[dict(determinant=b1 + b2), dict(rows=3)])
def lion_accumulation_two_buffers(determinant=b1 - b2, rows=4):
    r"""At the end of a group Lion needs $c = \beta_1m + (1-\beta_1)\bar g$ and $m' = \beta_2m + (1-\beta_2)\bar g$; the
    map $(m, \bar g) \mapsto (c, m')$ has the determinant $\beta_1-\beta_2$, so for $\beta_1 \ne \beta_2$ no single
    linear combination of m and $\bar g$ carries both.

    If $c = ax$ and $m' = dx$ for all m and $\bar g$ with $x = pm + q\bar g$, then $\beta_1 = \beta_2$ (with all four
    equations between coefficients). So Lion needs two buffers, Tiger one. Non-linear encodings are not considered.
    """
    p, r, a, d = sp.symbols("p r a d", real=True)
    equations = [Eq(b1, a * p), Eq(1 - b1, a * r), Eq(b2, d * p), Eq(1 - b2, d * r)][:rows]
    return (
        Identity(sp.Matrix([[b1, 1 - b1], [b2, 1 - b2]]).det(), determinant),
        ForAll(Implies(And(*equations), Eq(b1, b2)), MIXES),
    )


# Half precision

UNIT = 24  # a float16 is a multiple of 2^-24
SIZES = [Fraction(1, 1 << e) for e in (24, 20, 15, 12, 8, 4)]
SIZES += [Fraction(float(np.float16(v))) for v in (1e-6, 7e-6, 4e-5, 1e-4, 3e-4, 1e-3, 2e-3)]


def _halves(towards: bool) -> tuple[np.ndarray, np.ndarray]:
    """The 2^24-folds of all finite float16, and the gap to the next one, towards 0 or away from it."""
    codes = np.arange(1 << 16, dtype=np.uint16)
    exponent, fraction = (codes >> 10 & 31).astype(np.int64), (codes & 1023).astype(np.int64)
    finite = exponent < 31
    size = np.where(exponent > 0, (1024 + fraction) << np.maximum(exponent - 1, 0), fraction)
    gap = np.int64(1) << np.maximum(exponent - 1, 0)
    if towards:
        gap = np.where((fraction == 0) & (exponent > 1), gap // 2, gap)
    return np.where(codes >> 15, -size, size)[finite], gap[finite]


def _rounded(value: np.ndarray) -> np.ndarray:
    """To the nearest float16 (as its 2^24-fold), ties to even, by integer arithmetic; too large numbers aren't met."""
    size = np.abs(value)
    length, rest = np.zeros_like(size), size
    for shift in (32, 16, 8, 4, 2, 1):
        over = rest >> shift > 0
        length, rest = length + shift * over, np.where(over, rest >> shift, rest)
    drop = np.maximum(length - 10, 0)
    low = size >> drop
    twice, whole = 2 * (size - (low << drop)), np.int64(1) << drop
    up = (twice > whole) | ((twice == whole) & (low % 2 == 1) & (drop > 0))
    return np.sign(value) * ((low + up) << drop)


def _lost(step: int, values: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """The step is below half of the gap, or is half of it and θ is even."""
    return (2 * step < gap) | ((2 * step == gap) & (np.abs(values) // gap % 2 == 0))


def _never(step: int, values: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """What the article says of steps from 6e-8 on."""
    return np.zeros_like(values, dtype=bool)


def _without_ties(step: int, values: np.ndarray, gap: np.ndarray) -> np.ndarray:
    return 2 * step < gap


@erratum(
    printed=dict(rule=_never),
    mutants=[dict(rule=_without_ties), dict(kept=Fraction(1, 2**12)), dict(gone=Fraction(1, 2**11))],
)
def fp16_erratum(rule=_lost, kept=Fraction(1, 2**11), gone=Fraction(1, 2**12)):
    r"""In float16 a step δ > 0 changes nothing iff it is below half of the gap from θ to the next number (or ties and θ
    is even): always for normal θ if δ/|θ| < $2^{-12}$, never if δ/|θ| > $2^{-11}$.

    The article: no step underflows as long as the learning rate is at least 6·10⁻⁸, so that training in full half
    precision works in theory. The step η(1 + λ|θ|) doesn't underflow, but it is absorbed: $0.5 - 10^{-4} = 0.5$ and
    $0.03 - 7\cdot10^{-6} = 0.03$ in float16. Decided for all finite float16 θ, thirteen sizes of steps from $2^{-24}$
    to $2^{-4}$ and both directions, by exact integers rounded to nearest, ties to even; NumPy's float16 is a second
    witness.
    """
    cases = [(step, towards) for step in SIZES for towards in (True, False)]

    def decide(case: tuple[Fraction, bool], floating: bool) -> tuple[Any, Any]:
        step, towards = case
        values, gap = _halves(towards)
        delta = int(step * 2**UNIT)
        pull = np.where(values < 0, 1, -1) * (1 if towards else -1)
        if floating:
            after = (values / 2.0**UNIT).astype(np.float16) + (pull * delta / 2.0**UNIT).astype(np.float16)
            unmoved = after.astype(np.float64) * 2.0**UNIT == values
        else:
            unmoved = _rounded(values + pull * delta) == values
        size = np.abs(values)
        normal = size >= 1 << 10
        least = delta * gone.denominator < size * gone.numerator
        most = delta * kept.denominator > size * kept.numerator
        return (
            int((unmoved != rule(delta, values, gap)).sum()),
            bool(unmoved[normal & least].all()),
            bool((~unmoved[normal & most]).all()),
        ), (0, True, True)

    def example(case: tuple[float, float]) -> tuple[Any, Any]:
        at, step = map(np.float16, case)
        values, gap = _halves(True)
        delta, here = int(float(step) * 2**UNIT), int(float(at) * 2**UNIT)
        return bool(at - step == at), bool(rule(delta, values, gap)[values == here][0])

    return Witnesses(
        ForEach(cases, lambda case: decide(case, False), over="all finite float16 θ, 13 δ, two directions"),
        ForEach(cases, lambda case: decide(case, True), over="the same, by NumPy", observed=True),
        ForEach([(0.5, 1e-4), (0.03, 7e-6)], example, over="0.5 − 1e-4, 0.03 − 7e-6", observed=True),
    )


# Skipped steps, and the way to SGD


@claim(mutants=[mutant("domain", centre=0), dict(skips=68), dict(power=2)])
def tiger_nan_shrink(centre=c, skips=69, power=1):
    r"""j skipped steps $\theta \leftarrow (\theta-c)s + c$ give $\theta_j - c = s^j(\theta_0-c)$: a contraction to the
    centre c of the initialisation (1 for gains, else 0), while m stays as it is.

    For all j by induction, 0 < s < 1. With s = 0.99 the distance is halved after 69 steps, not after 68.
    """
    path, start = sp.Function("theta_"), sp.Symbol("theta_0", real=True)
    near = [s > 0, s < 1]
    return (
        Induction(
            n, 0, {path(n + 1): (path(n) - centre) * s + centre + 0 * c}, {path(0): start},
            Eq(path(n), c + s**n * (start - c)), near,
        ),
        ForAll(Abs((theta - c) * s + c - c) * (1 + power) <= 2 * s * Abs(theta - c), near),
        Exists(And(2 * x <= 1, 2 * y > 1), {x: Rational(99, 100) ** skips, y: Rational(99, 100) ** (skips - 1)}),
    )  # fmt: skip


@claim(mutants=[dict(exponent=lambda gamma: gamma), dict(exponent=lambda gamma: 1 - gamma / 2)])
def tiger_sgd_family(exponent=lambda gamma: 1 - gamma):
    r"""$u = \mathrm{sign}(m)|m|^{1-\gamma}$ is Tiger for γ = 1 and descent with momentum, u = m, for γ = 0.

    In between, at $\gamma = \tfrac12$, $u|u| = m$: u is odd, increasing, and sends 1 to 1. At γ = 1 and m = 0 the sign
    is 0. How γ should fall from 1 to 0 during training is a design, not a claim.
    """

    def update(gamma: Any) -> sp.Expr:
        return sp.sign(m) * Abs(m) ** exponent(gamma)

    middle = update(Rational(1, 2))
    lower = middle.subs(m, x)
    return (
        ForAll(Eq(update(sp.S.Zero), m)),
        ForAll(And(Implies(m > 0, Eq(update(sp.S.One), 1)), Implies(m < 0, Eq(update(sp.S.One), -1)))),
        ForAll(And(Implies(x < m, lower < middle), Eq(middle * Abs(middle), m))),
    )
