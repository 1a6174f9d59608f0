"""Where θ goes: the box |λθ| ≤ 1, its fixed points, a Lyapunov function, and the equilibrium under noise."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import Abs, And, Eq, Equivalent, Implies, Max, Rational

from kexue import (
    All,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Induction,
    Limit,
    OperatorIdentity,
    claim,
    mutant,
)
from kexue import Any as SomeValue
from kexue.derivations.lion.common import (
    MIXES,
    b1,
    b2,
    c,
    eta,
    g,
    is_sign,
    lam,
    lion_bound,
    lion_trajectory,
    m,
    mix,
    n,
    q,
    theta,
    u,
    x,
    y,
)

start, P = sp.symbols("theta_0 P", real=True)
a = eta * lam
UNIT = And(u <= 1, u >= -1)
STEP = theta - eta * (u + lam * theta)


# The bound, per coordinate


@claim(
    mutants=[
        dict(side=Rational(99, 100)),
        dict(most=Rational(3, 2), turned=Rational(19, 10)),
        dict(drift=Rational(1, 2), slope=Fraction(2)),
    ]
)
def theta_bound(side=1, most=1, turned=2, drift=1, slope=Fraction(1)):
    r"""For $0 \le \eta_t\lambda \le 1$: $|\theta_t| \le P_t|\theta_0| + (1-P_t)/\lambda$ with $P_t = \prod_{s \le t}
    (1-\eta_s\lambda)$; for constant η, $(1-\eta\lambda)^t|\theta_0| + (1-(1-\eta\lambda)^t)/\lambda$.

    Whatever the gradients are, since $|u| \le 1$, here for x = λθ, y = λ|θ_0| and q = ηλ: the step of an induction over
    t, for arbitrary schedules $\eta_t$. So the box $|\lambda\theta| \le 1$ is never left, and attracts with rate
    $1-\eta\lambda$. For λ = 0, $|\theta_t - \theta_0| \le \sum\eta_s$. For 1 < ηλ < 2 a step leaves the box; then
    $|\theta_{t+1}| \le |1-\eta\lambda||\theta_t| + \eta$ bounds it, with the limit $\eta/(2-\eta\lambda)$. `lion_bound`
    is attained by the gradients that push outwards, for 0 < ηλ ≤ 1.
    """
    bound, after = P * y + 1 - P, (1 - q) * P * y + 1 - (1 - q) * P
    allowed = And(UNIT, q >= 0, q <= most, Abs(x) <= bound)
    inside = And(UNIT, a > 1, a < 2, Abs(theta) * (turned - a) <= eta)

    def outwards(case: tuple[Fraction, Fraction]) -> tuple[Any, Any]:
        rate, decay = case
        path = lion_trajectory(lambda t, at: [-slope if slope == 1 else slope], [Fraction(3)], 8, rate, decay)
        return [abs(at[0]) for at in path], [lion_bound(3, rate, decay, t) for t in range(9)]

    return (
        Identity(lam * STEP, ((1 - q) * x - q * u).subs({q: drift * a, x: lam * theta})),
        ForAll(Implies(allowed, Abs((1 - q) * x - q * u) <= side * after), [y >= 0, P >= 0, P <= 1]),
        ForAll(Implies(inside, Abs(STEP) * (2 - a) <= eta), [eta > 0, lam > 0]),
        ForAll(Implies(And(UNIT, Abs(theta - start) <= x), Abs(STEP.subs(lam, 0) - start) <= x + drift * eta), eta > 0),
        ForEach(
            [(Fraction(1, 8), Fraction(1, 5)), (Fraction(1, 2), Fraction(2)), (Fraction(1, 3), Fraction(0))],
            outwards,
            over="eight steps from 3 with three (η, λ)",
        ),
    )


@claim(mutants=[dict(side=-1), dict(least=Rational(11, 10)), dict(power=2)])
def constant_gradient_solution(side=1, least=0, power=1):
    r"""For a constant gradient g > 0 (0 < ηλ < 1): $\theta_t = (1-\eta\lambda)^t\theta_0 -
    (1-(1-\eta\lambda)^t)/\lambda \to -1/\lambda$.

    For all t, by induction: $m_t \ge 0$, hence $c_t > 0$ and $u_t = 1$; then the recursion of θ. The distance to −1/λ
    shrinks by exactly 1 − ηλ per step, so that the rate of `theta-bound` is exact.
    """
    held, path = sp.Function("m"), sp.Function("theta_")
    tenth = Rational(9, 10) ** n
    return (
        Induction(
            n, 0, {held(n + 1): mix(b2, held(n), g)}, {held(0): 0}, [sp.Ge(held(n), least * g), sp.Le(held(n), g)],
            [*MIXES, g > 0],
        ),
        ForAll(Implies(m >= least * g, Eq(sp.sign(mix(b1, m, g)), side)), [*MIXES, g > 0]),
        Induction(
            n, 0, {path(n + 1): q * path(n) - (1 - q) / lam}, {path(0): start},
            Eq(path(n), q**n * start - side * (1 - q**n) / lam), [lam > 0, q > 0, q < 1],
        ),
        Identity(STEP.subs({u: 1}) + 1 / lam, (1 - a) ** power * (theta + 1 / lam), [lam > 0]),
        Limit(tenth * start - (1 - tenth) / lam, n, sp.oo, -side / lam, given=[lam > 0]),
    )  # fmt: skip


def _multipliers(lower: Any, upper: Any) -> Any:
    """The KKT conditions of min f subject to −1/λ ≤ θ ≤ 1/λ with these multipliers of the two sides, ∂f = g."""
    return And(
        Eq(g + upper - lower, 0), upper >= 0, lower >= 0, Eq(upper * (theta - 1 / lam), 0),
        Eq(lower * (theta + 1 / lam), 0), Abs(lam * theta) <= 1,
    )  # fmt: skip


@claim(
    mutants=[
        dict(box=lambda v, w: v**2 + w**2 <= 2 / lam**2),
        dict(ratio=2),
        dict(free=g >= 0),
    ]
)
def kkt(box=lambda v, w: And(Abs(v) <= 1 / lam, Abs(w) <= 1 / lam), ratio=1, free=None):
    r"""A fixed point of Lion ($m = \nabla f$, sign(0) set-valued) is a KKT point of min f subject to $\|\theta\|_\infty
    \le 1/\lambda$, and conversely; with λ = 0 it is a stationary point.

    Per coordinate $-\lambda\theta_i \in \mathrm{SIGN}(\partial_if)$: either $\partial_if = 0$ and $|\lambda\theta_i|
    \le 1$, or $\lambda\theta_i = -\mathrm{sign}(\partial_if)$. Multipliers are $(-\partial_if)^+$ and
    $(\partial_if)^+$. In two coordinates the same as a variational inequality: $\langle\nabla f, y - \theta\rangle \ge
    0$ for all y of the box (the sum over coordinates is as long as one likes); it fails for the round ball through the
    corners.
    """
    h, v, w, other = sp.symbols("h v w theta_2", real=True)
    fixed = is_sign(-lam * theta, g)
    return (
        ForAll(Implies(fixed, _multipliers(Max(g, 0) * ratio, Max(-g, 0) * ratio)), lam > 0),
        ForAll(Implies(_multipliers(x, y), is_sign(-ratio * lam * theta, g)), lam > 0),
        ForAll(
            Implies(And(fixed, is_sign(-lam * other, h), box(v, w)), g * (v - theta) + h * (w - other) >= 0), lam > 0
        ),
        ForAll(Implies(Eq(lam, 0), Equivalent(fixed, Eq(g, 0) if free is None else free))),
    )


# The ODE


def _derivative(third: Any, double: Any, eps: Any, gamma: Any, vectors: Any) -> Any:
    """dH/dt by the chain rule, from inner products alone; ṁ = (m̃ − m)/ε, α∇f = −ṁ − γm, ẋ = P − Q."""
    old, new, dual, _, slope, place, unit = vectors
    change = unit if eps == 0 else (new - old) / eps
    gradient = -change - gamma * old
    velocity = (slope if eps == 0 else vectors[3]) - place
    scale = third * (1 - eps * gamma) / (1 + eps * lam)
    return (
        gradient.dot(velocity)
        + double * gamma * dual.dot(velocity)
        + scale * (lam * dual.dot(velocity) + slope.dot(change) - change.dot(place) - lam * old.dot(velocity))
    )


def _points() -> Iterator[tuple[Fraction, ...]]:
    places = [Fraction(p, 8) for p in (-7, -4, -1, 2, 5)]
    rates = [(Fraction(1, 4), Fraction(1), Fraction(1, 2)), (Fraction(1), Fraction(1), Fraction(1)),
             (Fraction(1, 10), Fraction(3), Fraction(1, 5))]  # fmt: skip
    for rate, p, r, w in product(rates, places, places, places):
        yield (*rate, p, r, w)


def _decrease(point: tuple[Fraction, ...], third: Any, double: Any) -> Fraction:
    """dH/dt in one dimension for K = √(1 + m²), by rational parametrisations: m = 2p/(1 − p²), K' = 2p/(1 + p²)."""
    eps, gamma, decay, p, r, w = point
    old, new, dual = (2 * e / (1 - e * e) for e in (p, r, w))
    slope, pushed, place = (2 * e / (1 + e * e) for e in (p, r, w))
    change = (new - old) / eps
    gradient, velocity = -change - gamma * old, pushed - place
    scale = third * (1 - eps * gamma) / (1 + eps * decay)
    inner = decay * dual * velocity + slope * change - change * place - decay * old * velocity
    return gradient * velocity + double * gamma * dual * velocity + scale * inner


@claim(mutants=[mutant("symbols", third=0), dict(double=2)])
def lyapunov(third=1, double=1):
    r"""$\dot m = -\alpha\nabla f - \gamma m$, $\dot x = \nabla K(m + \varepsilon\dot m) - \lambda x$ with convex K
    decreases $H = \alpha f + \frac\gamma\lambda K^*(\lambda x) + \frac{1-\varepsilon\gamma}{1+\varepsilon\lambda}
    (K^*(\lambda x) + K(m) - \lambda m^\top x)$ wherever $\lambda x \in \mathrm{dom}\,K^*$ ($0 \le \varepsilon\gamma \le
    1$; α, γ, λ > 0).

    With $\tilde m = m + \varepsilon\dot m$, $P = \nabla K(\tilde m)$, $k = \nabla K(m)$, $s = \nabla K^*(\lambda x)$
    and $Q = \lambda x$: $\dot H = -\frac{\gamma+\lambda}{1+\varepsilon\lambda}\langle\tilde m - s, P - Q\rangle -
    \frac{1-\varepsilon\gamma}{\varepsilon(1+\varepsilon\lambda)}\langle\tilde m - m, P - k\rangle$, an identity of
    inner products: every dimension, every f and K. Both products are ≥ 0 because ∂K is monotone and $Q \in \partial
    K(s)$, so that $\dot H \le 0$. ε = 0 is decided apart. Beside it $\dot H$ at 375 exact points for $K = \sqrt{1+m^2}$
    in one dimension, where without the third term, or with 2γ/λ, it is positive somewhere.
    """
    names = "m w s P k Q d"
    products = sp.Matrix(
        7, 7, lambda i, j: sp.Symbol("{}_{}".format(*sorted((names.split()[i], names.split()[j]))), real=True)
    )
    vectors = Gram(names, products).vectors()
    old, new, dual, pushed, slope, place, _ = vectors
    eps, gamma = sp.symbols("epsilon gamma", real=True)
    given = [eps > 0, gamma > 0, lam > 0, eps * gamma <= 1]
    first, second = (gamma + lam) / (1 + eps * lam), (1 - eps * gamma) / (eps * (1 + eps * lam))
    return (
        Identity(
            _derivative(third, double, eps, gamma, vectors),
            -first * (new - dual).dot(pushed - place) - second * (new - old).dot(pushed - slope),
            given,
        ),
        Identity(
            _derivative(third, double, sp.S.Zero, gamma, vectors),
            -(gamma + lam) * (old - dual).dot(slope - place),
            [gamma > 0, lam > 0],
        ),
        ForEach(_points(), lambda point: (_decrease(point, third, double) <= 0, True), over="375 exact points"),
    )


@claim(mutants=[dict(pull=2), dict(rate=2)])
def phase1(pull=1, rate=1):
    r"""$\mathrm{dist}_{t+1} \le (1-\eta\lambda)\,\mathrm{dist}_t$ for the distance of λx to the convex domain of $K^*$
    in any norm (0 ≤ ηλ ≤ 1), and $\frac{d}{dt}\mathrm{dist} \le -\lambda\,\mathrm{dist}$ for the ODE.

    Every dimension: a step is $z' = (1-\eta\lambda)z + \eta\lambda w$ with $z = \lambda x$ and $w = \nabla K(\cdot)$ in
    the domain D (signs are folded into w). For p in D the point $p' = (1-\eta\lambda)p + \eta\lambda w$ is in D, and
    $z' - p' = (1-\eta\lambda)(z - p)$; then the infimum over p. The ODE is the limit of steps h = η → 0. For Lion, K is
    the ℓ1 norm and D the box: the statement for one coordinate, x = λθ and q = ηλ, is decided as it stands.
    """
    ahead, near, far, size = sp.symbols("D d D_h r", real=True)
    everything = sp.Matrix(3, 3, lambda i, j: sp.Symbol("zpw"[min(i, j)] + "zpw"[max(i, j)], real=True))
    point, close, aim = Gram("z p w", everything).vectors()
    after, beside = (1 - a) * point + a * aim, (1 - a) * close + a * aim
    outside = Max(Abs(x) - 1, 0)
    instance = {f: int(str(f) in ("zz", "pp", "ww")) for f in everything.free_symbols} | {eta: Rational(1, 2), lam: 1}
    return (
        OperatorIdentity(after - beside, (1 - pull * a) * (point - close), instances=[instance]),
        ForAll(
            Implies(All(c, Implies(c > 0, SomeValue(size, And(size >= near, size < near + c, ahead <= x * size)))),
                    ahead <= x * near / rate),
            [x >= 0, x <= 1, near > 0],
        ),
        ForAll(Implies(far <= (1 - eta * lam) * near, (far - near) / eta <= -rate * lam * near),
               [eta > 0, lam > 0, near >= 0]),
        ForAll(Implies(UNIT, Max(Abs((1 - q) * x - q * u) - 1, 0) <= (1 - pull * q) * outside), [q >= 0, q <= 1]),
    )  # fmt: skip


# Scales


@claim(mutants=[dict(stationary=eta / (2 * lam)), dict(power=1), dict(side=1 / lam, gap=4)])
def decay_scaling_invariance(stationary=eta / (lam * (2 - eta * lam)), power=2, side=None, gap=2):
    r"""η → η/s, λ → sλ keeps ηλ and the decay time 1/(ηλ), but moves the box 1/λ to 1/(sλ) and the equilibrium
    variance $\eta/(\lambda(2-\eta\lambda))$ under random signs to its $s^2$th part.

    For independent signs ±1 the variance obeys $V_{t+1} = (1-\eta\lambda)^2V_t + \eta^2$: $V_t = V_\infty(1-
    (1-\eta\lambda)^{2t})$ from θ = 0, for all t. The RMS is $\sqrt{\eta/2\lambda}$ up to the factor
    $\sqrt{2/(2-\eta\lambda)}$. So "enlarge λ by the factor by which η shrinks" keeps the decay per step only.
    """
    s = sp.Symbol("s", real=True)
    V = sp.Function("V")
    scaled = {eta: eta / s, lam: s * lam}
    given = [eta > 0, lam > 0, a < 1]
    settled = stationary.subs(eta, (1 - q) / lam)
    return (
        Identity(stationary, (1 - a) ** 2 * stationary + eta**2, given),
        Induction(
            n, 0, {V(n + 1): q**2 * V(n) + ((1 - q) / lam) ** 2}, {V(0): 0},
            Eq(V(n), settled * (1 - q ** (2 * n))), [lam > 0, q > 0, q < 1],
        ),
        Identity(stationary.subs(scaled, simultaneous=True), stationary / s**power, [*given, s > 0]),
        Identity((1 / lam).subs(scaled, simultaneous=True), 1 / (s * lam) if side is None else side, [s > 0, lam > 0]),
        Identity((eta * lam).subs(scaled, simultaneous=True), eta * lam * gap / 2, [s > 0, lam > 0]),
        Identity(stationary / (eta / (2 * lam)), gap / (2 - eta * lam), given),
    )  # fmt: skip
