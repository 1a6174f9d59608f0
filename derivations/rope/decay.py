r"""Long-range decay: the bound by partial sums, the mean kernel and its logarithm, and what no bound forbids.

Article 8265. For θ_i = b^{−2i/d}, N = d/2: $S_j(m) = \sum_{i<j}e^{im\theta_i}$, $f(m) = \frac1N\sum_{j=1}^N|S_j|$ (the
article's figure) and $c(m) = \frac1N\sum_i\cos m\theta_i$ (the mean kernel). Values are Arb enclosures; comparisons of
balls are certain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flint
import sympy as sp
from flint import acb, arb
from sympy import Eq, Max, Ne, cos, log, sin

from kexue import Enclosure, ForAll, ForEach, Identity, Induction, Integral, claim

from .common import i, m, norm2, q0, q1, r, rotation, t, theta, x

a, b, c, d, s, u, v = sp.symbols("a b c d s u v", real=True)
BITS = 128
RESTART = 32  # steps after which the recurrence of e^{imθ} starts anew, so that the balls stay narrow


def frequencies(size: int, base: int = 10_000) -> list[arb]:
    """θ_i = base^{−2i/size} as balls of the current precision."""
    return [arb(base) ** (arb(-2 * index) / size) for index in range(size // 2)]


def turned(position: int, angles: Sequence[arb]) -> list[acb]:
    return [acb((position * angle).cos(), (position * angle).sin()) for angle in angles]


def partial_sums(terms: Sequence[acb]) -> arb:
    """(1/N) Σ_j |S_j|."""
    total, out = acb(0), arb(0)
    for term in terms:
        total += term
        out += abs(total)
    return out / len(terms)


def mean_kernel(position: int, angles: Sequence[arb]) -> arb:
    return sum(((position * angle).cos() for angle in angles), arb(0)) / len(angles)


def rounded(value: arb, scale: int) -> int:
    """The integer nearest to scale·value; an error if the ball doesn't determine it."""
    found = (scale * value + arb(1) / 2).floor().unique_fmpz()
    if found is None:
        raise ArithmeticError(f"the ball {value} is too wide to be rounded at 1/{scale}")
    return int(found)


def increments(last: int, angles: Sequence[arb]) -> tuple[int, int]:
    """How many of f(1) − f(0), …, f(last) − f(last − 1) are certainly positive, and how many certainly negative."""
    step = turned(1, angles)
    terms = turned(0, angles)
    before, up, down = partial_sums(terms), 0, 0
    for position in range(1, last + 1):
        terms = [z * w for z, w in zip(terms, step, strict=True)] if position % RESTART else turned(position, angles)
        now = partial_sums(terms)
        up, down, before = up + bool(now > before), down + bool(now < before), now
    return up, down


# The bound


@claim(mutants=[dict(step=1, cross=1), dict(total=lambda r, s: r**2 + s**2), dict(boundary=0)])
def abel_decay_bound(step=-1, cross=-1, total=lambda r, s: (r + s) ** 2, boundary=1):
    r"""With $h_N = 0$, $S_0 = 0$: $\sum_i h_ie^{im\theta_i} = -\sum_i S_{i+1}(h_{i+1}-h_i)$, of modulus $\le
    \max_i|h_{i+1}-h_i|\sum_{j=1}^N|S_j|$.

    Every N: each term is $h_i(S_{i+1}-S_i) = (h_{i+1}S_{i+1} - h_iS_i) - S_{i+1}(h_{i+1}-h_i)$, and the brackets
    telescope to $h_NS_N - h_0S_0 = 0$. The bound is the triangle inequality (shown for two summands, with u the real
    part of one times the conjugate of the other), $|zw| = |z||w|$ and the maximum. The last term, i = N − 1, belongs to
    it: with Gaussian rationals for N = 1..8 the sum is compared both ways, and without the term $S_Nh_{N-1}$ it is
    wrong.
    """
    h0, h1, S0, S1 = sp.symbols("h0 h1 S0 S1", complex=True)
    unit = sp.Rational(3, 5) + sp.Rational(4, 5) * sp.I

    def both(count: int) -> tuple[Any, Any]:
        h = [*(sp.Integer(3 * p * p + 1) + (p - 2) * sp.I for p in range(count)), sp.S.Zero]
        turns = [sp.expand(unit**p) for p in range(count)]
        S = [sp.expand(sp.Add(*turns[:p])) for p in range(count + 1)]
        direct = sum(w * z for w, z in zip(h, turns, strict=False))
        last = count if boundary else count - 1
        return sp.expand(direct), sp.expand(-sum(S[p + 1] * (h[p + 1] - h[p]) for p in range(last)))

    return (
        Identity(h0 * (S1 - S0), (h1 * S1 - h0 * S0) + step * S1 * (h1 - h0)),
        Identity((a**2 + b**2) * (c**2 + d**2) - (a * c + b * d) ** 2, (a * d + cross * b * c) ** 2),
        ForAll(r**2 + 2 * u + s**2 <= total(r, s), [u**2 <= r**2 * s**2, r >= 0, s >= 0]),
        ForEach(range(1, 9), both, over="N = 1..8 with Gaussian rationals"),
    )


CURVE = {
    0: 32500, 1: 31538, 5: 20845, 20: 15242, 50: 12629, 100: 10227, 200: 7245, 256: 6543, 1000: 4471, 10**4: 3859,
    10**5: 6888, 70508: 1179,
}  # fmt: skip


@claim(mutants=[dict(curve={**CURVE, 100: 10228}, rising=2019, closed=lambda i: i * (i - 1) / 2)])
def decay_curve(curve=CURVE, rising=2020, closed=lambda i: i * (i + 1) / 2):
    r"""For d = 128, b = 10⁴ the article's curve falls from f(0) = (N+1)/2 = 32.5 to f(256) = 6.543, but not
    monotonically.

    f(0) = (N+1)/2 for every N. f(1) = 31.538, f(5) = 20.845, f(20) = 15.242, f(50) = 12.629, f(100) = 10.227, f(200) =
    7.245, f(1000) = 4.471, f(10⁴) = 3.859, f(10⁵) = 6.888, f(70508) = 1.179, rounded from Arb enclosures. 2020 of the
    first 4096 increments are certainly positive, the others certainly negative. That 70508 gives the minimum up to
    2·10⁵ is left to numerics/.
    """
    S = sp.Function("S")

    def value(position: int) -> tuple[int, int]:
        with flint.ctx.workprec(BITS):
            return rounded(partial_sums(turned(position, frequencies(128))), 1000), curve[position]

    def signs(last: int) -> tuple[Any, Any]:
        with flint.ctx.workprec(BITS):
            return increments(last, frequencies(128)), (rising, last - rising)

    return (
        Induction(i, 0, {S(i + 1): S(i) + i + 1}, {S(0): 0}, [Eq(S(i), closed(i))]),
        ForEach(sorted(curve), value, over="twelve distances up to 10⁵, in thousandths"),
        ForEach([4096], signs, over="the first 4096 increments"),
    )


def _variation(position: int, base: int) -> arb:
    """∫ |sin| from position/base to position, by whole half-waves."""

    def up_to(end: arb) -> arb:
        waves = (end / arb.pi()).floor()
        return 2 * waves + 1 - (end - waves * arb.pi()).cos()

    return up_to(arb(position)) - up_to(arb(position) / base)


def _continuous_kernel(position: int, base: int) -> arb:
    return (arb(position).ci() - (arb(position) / base).ci()) / arb(base).log()


@claim(
    mutants=[
        dict(euler=sp.S.Zero),
        dict(koksma=4),
        dict(sign=1),
    ]
)
def decay_closed_form(euler=sp.EulerGamma, at_100=(477, 4368, 4373), koksma=1, sign=-1):
    r"""$\int_0^1\cos(mb^{-u})\,du = (\mathrm{Ci}(m) - \mathrm{Ci}(m/b))/\ln b$, and $|c(m) - {}$ the integral$| \le
    V/N$ with $V = \int_{m/b}^m|\sin|$.

    The antiderivative holds for all m > 0, $b = e^L > 1$. The bound is the left Riemann sum's error, at most the total
    variation of $\cos(mb^{-u})$ over N (Koksma), which is V ≤ m: enclosed for N = 64, b = 10⁴ and eight m. For 1 ≪ m ≪
    b the kernel is about $1 - (\ln m + \gamma)/\ln b$, a logarithmic decay: within 1/100 for b = 10⁴ and all real m
    from 10 to 100. At m = 100: c = 0.477, the integral 0.4368, the law 0.4373.
    """
    L = sp.Symbol("L", real=True)
    decay = sp.exp(-L * t)
    kernel = (sp.Ci(x) - sp.Ci(x / 10000)) / log(10000)
    law = 1 - (log(x) + euler) / log(10000)

    def bounded(position: int) -> tuple[bool, bool]:
        with flint.ctx.workprec(BITS):
            gap = abs(mean_kernel(position, frequencies(128)) - _continuous_kernel(position, 10_000))
            variation = _variation(position, 10_000)
            return bool(koksma * gap * 64 <= variation) and bool(variation <= position), True

    def at(position: int) -> tuple[Any, Any]:
        with flint.ctx.workprec(BITS):
            logarithm = 1 - (arb(position).log() + (arb.const_euler() if euler else 0)) / arb(10_000).log()
            smooth = _continuous_kernel(position, 10_000)
            return (
                rounded(mean_kernel(position, frequencies(128)), 1000),
                rounded(smooth, 10**4),
                rounded(logarithm, 10**4),
            ), at_100

    return (
        Integral(
            cos(m * decay),
            t,
            0,
            1,
            (sp.Ci(m) + sign * sp.Ci(m * sp.exp(-L))) / L,
            primitive=-sp.Ci(m * decay) / L,
            given=[m > 0, L > 0],
        ),
        ForEach((1, 2, 5, 10, 50, 100, 1000, 10**5), bounded, over="eight distances, N = 64, b = 10⁴"),
        Enclosure(kernel - law, lower=-sp.Rational(1, 100), upper=sp.Rational(1, 100), box={x: (10, 100)}),
        ForEach([100], at, over="m = 100, N = 64, b = 10⁴"),
    )


# What it doesn't forbid


@claim(mutants=[dict(halved=4), dict(away=1)], relies_on=("Dirichlet's simultaneous approximation theorem",))
def no_asymptotic_decay(halved=2, away=0):
    r"""$\limsup_{m\to\infty}c(m) = 1$ and $\limsup f(m) = f(0)$: for every ε there is $1 \le m \le
    \lceil2\pi/\varepsilon\rceil^N$ with all $m\theta_i$ within ε of $2\pi\mathbb Z$.

    The approximation is Dirichlet's theorem (quoted), and then $c(m) \ge \cos\varepsilon \ge 1 - \varepsilon^2/2$,
    shown for |ε| ≤ 3 with the contact at 0; multiples of m bring it to arbitrarily large distances. For b = 10⁴:
    c(84823) = 0.9999993 for d = 4 and c(169646) = 0.9999986 for d = 8 (rounded from Arb enclosures).
    """

    def returns(case: tuple[int, int, int]) -> tuple[int, int]:
        size, position, value = case
        with flint.ctx.workprec(BITS):
            return rounded(mean_kernel(position + away, frequencies(size)), 10**7), value

    return (
        Enclosure(cos(x), lower=1 - x**2 / halved, box={x: (-3, 3)}, touches={0: 4 if halved == 2 else 2}),
        ForEach([(4, 84823, 9999993), (8, 169646, 9999986)], returns, over="d = 4 and d = 8, b = 10⁴"),
    )


@claim(mutants=[dict(back=1), dict(most=sp.S.Half)])
def any_distance_attainable(back=-1, most=1):
    r"""For every q ≠ 0 and every offset r, $k = \mathcal R_{-r}q$ has $q^\top\mathcal R_{r'}k =
    \sum_i|q_i|^2\cos((r'-r)\theta_i) \le \|q\|^2$, with equality at r' = r.

    $|q_i|^2$ is the squared norm of plane i. One plane, hence every d: heads needn't prefer near tokens.
    """
    far = sp.Symbol("r2", real=True)
    q = sp.Matrix([q0, q1])
    key = rotation(back * r * theta) * q
    square, cosine = sp.symbols("square cosine", real=True)
    return (
        Identity((q.T * rotation(far * theta) * key)[0], norm2(q) * cos((far - r) * theta)),
        ForAll(square * cosine <= most * square, [square >= 0, cosine <= 1]),
    )


def _oscillation(phase: Callable[[Any], Any], position: int) -> arb:
    """|∫₀¹ e^{i m θ(t)} dt| by acb.integral."""
    with flint.ctx.workdps(30):
        return abs(acb.integral(lambda z, _: (acb(0, position) * phase(z)).exp(), 0, 1))


@claim(mutants=[dict(factor=1), dict(boundary=2), dict(spread=lambda u, v: u + v), dict(slowest=lambda ln: ln)])
def decay_smooth_monotone(factor=2, boundary=1, spread=lambda u, v: 2 * Max(u, v), slowest=lambda ln: ln / 10_000):
    r"""For $\theta \in C^2[0,1]$, strictly monotone with monotone θ' and $\lambda = \min|\theta'| > 0$:
    $\left|\int_0^1e^{im\theta(t)}dt\right| \le \frac2{\lambda m}$ for all m > 0.

    By parts, $\cos(m\theta) = \frac{d}{dt}\frac{\sin m\theta}{m\theta'} + \frac{\theta''\sin m\theta}{m\theta'^2}$ and
    likewise for the sine (shown with free values of θ, θ', θ''); so the integral is at most $\frac1m(u + v + |u - v|) =
    \frac2m\max(u, v)$ with $u = 1/|\theta'(0)|$, $v = 1/|\theta'(1)|$, as 1/θ' is monotone. For $\theta = b^{-t}$,
    $\lambda = \ln b/b$; for $(1+t)^2$, λ = 2: both enclosed for six m each, the constant 2 being needed ((1+t)², m =
    10). This makes the article's "almost any smooth monotone function" exact; a staircase with θ ∈ {1, 2} returns to
    modulus 1 at m = 2πk.
    """
    phase, slope, bend = sp.symbols("phase slope bend", real=True)

    def along(F: sp.Expr) -> sp.Expr:
        """dF/dt by the chain rule, for phase' = slope and slope' = bend."""
        return sp.diff(F, phase) * slope + sp.diff(F, slope) * bend

    by_parts = sp.Matrix([along(F / (m * slope)) for F in (sin(m * phase), -cos(m * phase))])
    rest = bend / (m * slope**2) * sp.Matrix([-sin(m * phase), cos(m * phase)])

    def geometric(position: int) -> tuple[bool, bool]:
        size, ln = _oscillation(lambda z: (-z * arb(10_000).log()).exp(), position), arb(10_000).log()
        return bool(size <= factor / slowest(ln) / position), True

    def quadratic(position: int) -> tuple[bool, bool]:
        return bool(_oscillation(lambda z: (1 + z) ** 2, position) <= arb(factor) / (2 * position)), True

    return (
        Identity(by_parts, boundary * sp.Matrix([cos(m * phase), sin(m * phase)]) + rest, [m > 0, Ne(slope, 0)]),
        Identity(u + v + sp.Abs(u - v), spread(u, v)),
        ForEach((10, 100, 10**3, 2171, 10**4, 10**5), geometric, over="θ = 10⁴^(−t), six distances"),
        ForEach((1, 3, 10, 30, 100, 1000), quadratic, over="θ = (1+t)², six distances"),
    )
