"""What one step is: the weights of past gradients, special cases, invariances, Adam beside it, what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import Abs, And, Eq, Equivalent, Implies, Ne, Or, Rational, sqrt

from kexue import Counts, Exists, ForAll, ForEach, Gram, Identity, Induction, claim, erratum, mutant
from kexue.derivations.lion.common import (
    MIXES,
    Vector,
    b,
    b1,
    b2,
    c,
    eta,
    g,
    lam,
    lion_trajectory,
    m,
    mix,
    n,
    q,
    state_numbers,
    theta,
    tiger_trajectory,
    x,
    y,
)

eps = sp.Symbol("epsilon", real=True)
i = sp.Symbol("i", integer=True)
SLOPES = [Fraction(p, d) for p, d in ((3, 1), (-5, 2), (1, 7), (0, 1), (-2, 3), (4, 1), (-1, 9), (6, 5))]
BETAS = (Fraction(9, 10), Fraction(99, 100))


def valley(t: int, theta: Vector) -> list[Fraction]:
    """Gradients of quadratics in two variables whose centres move with t."""
    return [3 * (theta[0] - Fraction(t % 3, 2)), (theta[1] + theta[0] / 4 - Fraction(1, 1 + t % 4))]


def moved(theta: Any, c: Any, decay: Any = lam) -> Any:
    """θ after the step by sign(c)."""
    return theta - eta * (sp.sign(c) + decay * theta)


# Lion, equation 1


def _accumulated(t: int, weight: Callable[[Any], Any]) -> tuple[Any, Any]:
    """c_t by the recursion, and as a weighted sum of the gradients, for β = (9/10, 99/100)."""
    held, values = Fraction(0), {b1: Rational(9, 10), b2: Rational(99, 100)}
    for slope in SLOPES[: t - 1]:
        held = mix(BETAS[1], held, slope)
    weights = [sp.S.One - values[b1], *(sp.sympify(weight(sp.Integer(j))).subs(values) for j in range(1, t))]
    past = SLOPES[t - 1 :: -1] if t > 0 else []
    total = sum(w * Rational(v.numerator, v.denominator) for w, v in zip(weights, past, strict=True))
    return mix(BETAS[0], held, SLOPES[t - 1]), total


@claim(mutants=[dict(weight=lambda j: b1 * (1 - b2) * b2**j), dict(total=lambda t: 1 - b1 * b2**t), dict(fresh=g / 2)])
def unrolled_weights(weight=lambda j: b1 * (1 - b2) * b2 ** (j - 1), total=lambda t: 1 - b1 * b2 ** (t - 1), fresh=g):
    r"""$c_t = (1-\beta_1)g_t + \beta_1(1-\beta_2)\sum_{j=1}^{t-1}\beta_2^{j-1}g_{t-j}$, and the weights sum to
    $1-\beta_1\beta_2^{t-1}$ ($m_0 = 0$).

    For every t and all gradients: m is linear in them, so that what counts is what one unit gradient leaves after n
    steps (induction on n), and the sum of all weights is c for $g \equiv 1$ (induction). That $m_t = (1-\beta_2)S_t$
    with $S_t = \beta_2S_{t-1} + g_t$ keeps the sum for arbitrary gradients is its induction step. Beside it c is
    computed both ways for eight gradients.
    """
    left, sums = sp.Function("m"), sp.Function("w")
    given = MIXES
    return (
        Induction(n, 0, {left(n + 1): b2 * left(n)}, {left(0): 1 - b2}, Eq(left(n), weight(n + 1) / b1), given),
        Induction(
            n, 0, {sums(n + 1): mix(b2, sums(n), 1)}, {sums(0): 0}, Eq(sums(n), (total(n + 1) - (1 - b1)) / b1), given
        ),
        Identity(mix(b2, (1 - b2) * x, g), (1 - b2) * (b2 * x + fresh)),
        ForEach(range(1, len(SLOPES) + 1), lambda t: _accumulated(t, weight), over="t = 1, …, 8"),
    )


@claim(mutants=[dict(ratio=b2 / b1), dict(gap=b1 - 2 * b2)])
def nesterov_form(ratio=b1 / b2, gap=b1 - b2):
    r"""$c_t = \tfrac{\beta_1}{\beta_2}m_t + (1-\tfrac{\beta_1}{\beta_2})g_t$ ($\beta_2 > 0$), and $c_t - m_t =
    (\beta_1-\beta_2)(m_{t-1}-g_t)$.

    So it matters whether θ or m is updated first only if $\beta_1 \ne \beta_2$, and where $m_{t-1} \ne g_t$.
    """
    before, after = mix(b1, m, g), mix(b2, m, g)
    return (
        Identity(before, ratio * after + (1 - ratio) * g, MIXES),
        Identity(before - after, gap * (m - g)),
        ForAll(Equivalent(Eq(before, after), Or(Eq(gap, 0), Eq(m, g))), MIXES),
    )


@claim(mutants=[dict(updated=lambda m: mix(b2, mix(b2, m, g), g)), dict(decay=0), mutant("symbols", first=m)])
def signum_special_case(updated=lambda m: mix(b2, m, g), decay=lam, first=g):
    r"""$\beta_1 = \beta_2 = \beta$ makes Lion Tiger, $u_t = \mathrm{sign}(m_t)$; with λ = 0 that is SIGNUM, with β = 0
    signSGD: $u_t = \mathrm{sign}(g_t)$.

    For all θ, m, g in one step, hence for whole trajectories; two exact trajectories are compared as well.
    """
    lion, tiger = moved(theta, mix(b1, m, g)), moved(theta, updated(m), decay)
    rates = [Fraction(7, 8), Fraction(0), Fraction(1, 2)]
    decays = Fraction(1, 5) if decay == lam else Fraction(0)

    def both(beta: Fraction) -> tuple[Any, Any]:
        start, rate = (Fraction(2), Fraction(-1)), Fraction(1, 8)
        return (
            lion_trajectory(valley, start, 12, rate, Fraction(1, 5), (beta, beta)),
            tiger_trajectory(valley, start, 12, rate, decays, beta),
        )

    return (
        ForAll(Implies(Eq(b1, b2), Eq(lion, tiger)), [b1 >= 0, b1 < 1, eta > 0, lam >= 0]),
        Identity(mix(b, m, g).subs(b, 0), first),
        ForEach(rates, both, over="twelve steps with three β"),
    )


@claim(mutants=[dict(square=Abs), dict(value=lambda g: g / (g**2 + eps)), dict(limit=lambda g: 2 * sp.sign(g))])
def weight_vs_adam_first_step(square=lambda g: g**2, value=lambda g: g / (Abs(g) + eps), limit=sp.sign):
    r"""Adam's first update is $g/(|g|+\epsilon)$, for ε = 0 exactly sign(g): there it is Lion's.

    $\hat m_1 = g$ and $\hat v_1 = g^2$, whatever the β. (A comment below the article has $|g_1|$ for $\hat v_1$.)
    """
    first, second = (1 - b1) * g, (1 - b2) * square(g)
    corrected = (first / (1 - b1)) / (sqrt(second / (1 - b2)) + eps)
    given = [*MIXES, eps > 0]
    return (
        Identity(corrected, value(g), given),
        ForAll(Eq(value(g).subs(eps, 0), limit(g)), Ne(g, 0)),
    )


@erratum(printed=dict(zero=sp.false), mutants=[dict(most=Rational(99, 100)), dict(kept=0, still=1)])
def update_linf(zero=Eq(c, 0), most=1, kept=b2, still=0):
    r"""$\|u_t\|_\infty \le 1$ and $\|u_t\|_2 = \sqrt{\#\{i: c_i \ne 0\}} \le \sqrt k$, with equality iff no component
    of $c_t$ is exactly 0.

    The article says that the absolute value of each component is 1, and puts $\|u\| = \sqrt k$. Per component: $u^2 =
    |u|$ is 1 iff $c \ne 0$. Zeros are real: with m = 0 and g = 0, as in the row of an embedding that isn't used, c
    stays 0; and after one gradient g ≠ 0 the momentum only shrinks, $m \to \beta_2m$ keeps its sign, and u = sign(g)
    forever.
    """
    unit = sp.sign(c)
    return (
        ForAll(Abs(unit) <= most),
        ForAll(Equivalent(Eq(unit**2, 1), sp.Not(zero))),
        ForAll(Implies(m > 0, And(Eq(sp.sign(mix(b1, m, 0)), 1), Eq(mix(b2, m, 0), kept * m))), MIXES),
        ForAll(And(Eq(sp.sign(mix(b1, m * 0, 0) + b1 * still), 0), Eq(unit**2, Abs(unit))), MIXES),
    )


# AdamW beside it, equation 2

FIRST, SECOND = Rational(9, 10), Rational(999, 1000)


def _adam_weights(t: int) -> list[tuple[Fraction, Fraction]]:
    """(a_i, b_i) of Adam at (9/10, 999/1000): m̂ = Σ a_i g_{t−i}, v̂ = Σ b_i g²_{t−i}."""
    first, second = Fraction(9, 10), Fraction(999, 1000)
    return [((1 - first) * first**j / (1 - first**t), (1 - second) * second**j / (1 - second**t)) for j in range(t)]


def _adam_attained(t: int) -> tuple[Fraction, Fraction]:
    """u_t² by the recursion on the gradients a_i/b_i, the oldest first; and Σ a_i²/b_i."""
    weights = _adam_weights(t)
    average = square = Fraction(0)
    for a, d in reversed(weights):
        average = mix(Fraction(9, 10), average, a / d)
        square = mix(Fraction(999, 1000), square, (a / d) ** 2)
    average, square = average / (1 - Fraction(9, 10) ** t), square / (1 - Fraction(999, 1000) ** t)
    return average**2 / square, sum((a**2 / d for a, d in weights), Fraction(0))


@claim(
    mutants=[
        dict(bound=Fraction(317, 100) ** 2),
        dict(schwarz=Rational(1, 2)),
        dict(ratio=b1 / b2),
        dict(series=lambda n: (q - q**n) / (1 - q), factor=Rational(99, 100), value=360),
    ]
)
def adam_sup(
    bound=Fraction(370, 7), schwarz=1, ratio=b1**2 / b2, series=lambda n: (1 - q**n) / (1 - q), factor=1, value=370
):
    r"""Over all gradients $\sup|\hat m_t/\sqrt{\hat v_t}| = \sqrt{\sum_i a_i^2/b_i}$, whose supremum over t is
    $(1-\beta_1)/\sqrt{(1-\beta_2)(1-\beta_1^2/\beta_2)}$ for $\beta_1^2 < \beta_2$: 7.27 at (0.9, 0.999).

    $a_i = (1-\beta_1)\beta_1^i/(1-\beta_1^t)$ and $b_i = (1-\beta_2)\beta_2^i/(1-\beta_2^t)$ weigh $g_{t-i}$ and its
    square. So an update of Adam can be seven times as large as Lion's. Every t: by Cauchy–Schwarz for the vectors
    $a_i/\sqrt{b_i}$ and $\sqrt{b_i}g_{t-i}$, attained at $g_{t-i} = a_i/b_i$ (computed exactly for four t); $a_i^2/b_i$
    is a geometric sequence with ratio $\beta_1^2/\beta_2$; and the factor $(1-\beta_2^t)(1-(\beta_1^2/\beta_2)^t) \le
    (1-\beta_1^t)^2$, which tends to 1. A single spike reaches only $(1-\beta_1)/\sqrt{1-\beta_2} = \sqrt{10}$, and pure
    noise has the RMS $\sqrt{(1-\beta_1)/(1+\beta_1)} = \sqrt{1/19} = 0.229$ (`lr-ratio-rms`).
    """
    square, product, other = sp.symbols("P R Q", real=True)
    v, w = Gram("v w", [[square, product], [product, other]]).vectors()
    gap = other * v - product * w
    total = sp.Function("S")
    a = (1 - b1) * b1**i / (1 - x)  # x = β1^t, y = β2^t
    d = (1 - b2) * b2**i / (1 - y)
    start = ((1 - b1) / (1 - x)) ** 2 * (1 - y) / (1 - b2)
    limit = (1 - FIRST) ** 2 / ((1 - SECOND) * (1 - FIRST**2 / SECOND))

    def attained(t: int) -> tuple[Any, Any]:
        found, expected = _adam_attained(t)
        return (found, found <= bound), (expected, True)

    return (
        Identity(gap.dot(gap), other * (schwarz * square * other - product**2)),
        Identity(a**2 / d, start * ratio**i, [*MIXES, x > 0, x < 1, y > 0, y < 1, i >= 0]),
        Induction(n, 0, {total(n + 1): q * total(n) + 1}, {total(0): 0}, Eq(total(n), series(n)), [q > 0, q < 1]),
        ForAll((1 - x**2) * (1 - y**2) <= factor * (1 - x * y) ** 2, [x >= 0, x < 1, y >= 0, y < 1]),
        ForEach((1, 2, 50, 400), attained, over="t = 1, 2, 50, 400 at (0.9, 0.999)"),
        Exists(
            And(Eq(x, Rational(value, 7)), x > Rational(727, 100) ** 2, x < Rational(7271, 1000) ** 2, Eq(y, 10)),
            {x: limit, y: (1 - FIRST) ** 2 / (1 - SECOND)},
        ),
    )


@erratum(
    printed=dict(least=Rational(81, 100)),
    mutants=[dict(second=(b1 * x + y) / (1 + b1)), dict(root=-b1 / 2), dict(equal=-1)],
)
def adam_early_sign(least=0, second=None, root=-b1, equal=1):
    r"""Adam with ε = 0: $u_1 = \mathrm{sign}(g_1)$, but $u_2 = \frac{(\beta_1g_1+g_2)/(1+\beta_1)}
    {\sqrt{(\beta_2g_1^2+g_2^2)/(1+\beta_2)}}$ is ±1 if $g_1 = g_2$ and 0 iff $g_2 = -\beta_1g_1$.

    So no lower bound of $|u_2|$ holds but 0: the article's remark that one can prove Adam's early update to be close to
    the sign is true of t = 1 and of coherent gradients only (printed here: $|u_2| \ge 0.9$). How the RMS falls under
    pure noise is left to the simulation.
    """
    held, square = mix(b1, (1 - b1) * x, y), mix(b2, (1 - b2) * x**2, y**2)
    update = (held / (1 - b1**2)) / sqrt(square / (1 - b2**2))
    stated = (b1 * x + y) / (1 + b1) / sqrt((b2 * x**2 + y**2) / (1 + b2)) if second is None else second
    given = [*MIXES, x > 0]
    numerator = ((b1 * x + y) / (1 + b1)) ** 2 * (1 + b2)
    return (
        Identity(update, stated, given),
        ForAll(numerator >= least * (b2 * x**2 + y**2), given),
        ForAll(Equivalent(Eq(held, 0), Eq(y, root * x)), given),
        Identity((held / (1 - b1**2)).subs(y, x), equal * sqrt((square / (1 - b2**2)).subs(y, x)), given),
    )


# Invariances


@claim(
    mutants=[dict(update=lambda c: c / (Abs(c) + 1)), dict(power=2), dict(odd=1), dict(units=sp.true), dict(decay=2)]
)
def scale_invariance(update=sp.sign, power=1, odd=-1, units=None, decay=1):
    r"""$L \to aL$ with a > 0 leaves the trajectory as it is ($m_0 = 0$, λ fixed); a change of units $\theta \to
    d\theta$ of one coordinate does not, unless $d = \pm1$.

    c and m are linear in the gradients, and the sign ignores a; so it holds for all t by induction, and for
    permutations of the coordinates, which are treated alike. In floating point it is exact for powers of 2. AdamW's
    update with ε > 0 is the first mutant. $\theta \to -\theta$ flips gradient, momentum and step.
    """
    a, d = sp.symbols("a d", real=True)
    same = [a > 0, *MIXES]

    def both(scale: int) -> tuple[Any, Any]:
        start, rate, weight = (Fraction(2), Fraction(-1)), Fraction(1, 8), Fraction(1, 5)
        steeper = lion_trajectory(
            lambda t, at: [Fraction(2) ** scale * e for e in valley(t, at)], start, 12, rate, decay * weight
        )
        return steeper, lion_trajectory(valley, start, 12, rate, weight)

    flipped = -theta - eta * (sp.sign(mix(b1, -m, -g)) + lam * (-theta))
    return (
        ForAll(Eq(update(mix(b1, a * m, a * g)), update(mix(b1, m, g))), same),
        Identity(mix(b2, a * m, a * g), a**power * mix(b2, m, g), same),
        ForAll(Eq(flipped, odd * moved(theta, mix(b1, m, g)))),
        ForAll(
            Equivalent(Eq(d * sp.sign(d * c), sp.sign(c)), Or(Eq(d, 1), Eq(d, -1)) if units is None else units),
            [Ne(c, 0), Ne(d, 0)],
        ),
        ForEach((-7, 1, 20), both, over="twelve steps with L scaled by 2^-7, 2, 2^20"),
    )


# What it costs


def _carried(optimizer: str, shape: tuple[int, ...], accumulation: bool) -> int:
    """Runs four gradients through the averages of an optimiser and counts the numbers that it has to carry over."""
    size = math.prod(shape)
    state: dict[str, list[Fraction]] = {}

    def average(name: str, beta: Fraction, values: list[Fraction]) -> None:
        held = state.get(name, [Fraction(0)] * len(values))
        state[name] = [mix(beta, a, d) for a, d in zip(held, values, strict=True)]

    for t in range(1, 5):
        slope = [Fraction(t + j % 3) for j in range(size)]
        if accumulation and optimizer != "Tiger":
            held = state.get("sum", [Fraction(0)] * size)
            slope = [a + d for a, d in zip(held, slope, strict=True)]
            state["sum"] = [Fraction(0)] * size if t % 2 == 0 else slope
            if t % 2:
                continue
        squares = [d * d for d in slope]
        if optimizer == "AdaFactor" and len(shape) == 2:
            rows, columns = shape
            average("rows", BETAS[1], [sum(squares[r * columns : (r + 1) * columns], Fraction(0)) for r in range(rows)])
            average("columns", BETAS[1], [sum(squares[j::columns], Fraction(0)) for j in range(columns)])
        else:
            if optimizer != "AdaFactor":
                keep = Fraction(1) if accumulation and optimizer == "Tiger" and t % 2 == 0 else BETAS[0]
                average("m", keep, slope)
            if optimizer in ("AdamW", "AdaFactor"):
                average("v", BETAS[1], squares)
    return sum(map(len, state.values()))


@claim(mutants=[dict(accumulating=(3, 1, 1)), dict(plain=(2, 1, 0)), dict(factored=lambda rows, columns: rows * 2)])
def memory(plain=(2, 1, 1), accumulating=(3, 2, 1), factored=lambda rows, columns: rows + columns):
    r"""Numbers kept for each parameter between steps: AdamW 2, Lion 1, Tiger 1; with gradient accumulation 3, 2, 1.

    AdaFactor without momentum keeps n + m for an n × m matrix. The averages of each optimiser are run on several shapes
    and what they carry over is counted; `state_numbers` gives the same.
    """
    shapes = [(4,), (2, 3), (3, 5), (2, 3, 2)]
    cases = [(name, shape, held) for name in ("AdamW", "Lion", "Tiger") for shape in shapes for held in (False, True)]

    def counted(case: tuple[str, tuple[int, ...], bool]) -> tuple[Any, Any]:
        name, shape, held = case
        each = (accumulating if held else plain)[("AdamW", "Lion", "Tiger").index(name)]
        return (_carried(name, shape, held), state_numbers(name, shape, held)), (each * math.prod(shape),) * 2

    def matrix(shape: tuple[int, int]) -> tuple[Any, Any]:
        return (_carried("AdaFactor", shape, False), state_numbers("AdaFactor", shape)), (factored(*shape),) * 2

    return (
        ForEach(cases, counted, over="three optimisers, four shapes, with and without accumulation"),
        ForEach([(2, 3), (4, 5), (1, 7)], matrix, over="three matrices"),
    )


OPERATIONS = ("mul", "add", "sub", "div")


def _lion_operations(size: int, scalar: Callable[[Any], Any]) -> None:
    """One step on `size` coordinates; 1 − β and 1 − ηλ are constants of the step, the sign is a choice of ±η or 0."""
    first, rest, second, other, shrink, rate = (scalar(Fraction(v, 100)) for v in (90, 10, 99, 1, 98, 3))
    for j in range(size):
        at, slope, held = scalar(j), scalar(2 - j), scalar(1)
        mixed = first * held + rest * slope
        chosen = rate if mixed.value > 0 else scalar(-rate.value if mixed.value else 0)
        _ = shrink * at - chosen, second * held + other * slope


def _adamw_operations(size: int, scalar: Callable[[Any], Any], rooted: Callable[[Any], Any] = lambda v: v) -> None:
    """The same with AdamW: both bias corrections are constants of the step; the value of the root doesn't matter."""
    first, rest, second, other, shrink, rate = (scalar(Fraction(v, 100)) for v in (90, 10, 99, 1, 98, 3))
    corrected, small = scalar(Fraction(3, 2)), scalar(Fraction(1, 10**8))
    for j in range(size):
        at, slope, held, square = scalar(j), scalar(2 - j), scalar(1), scalar(1)
        average = first * held + rest * slope
        spread = second * square + other * slope * slope
        _ = shrink * at - rate * average / (rooted(spread) * corrected + small)


@claim(mutants=[dict(lion=(5, 2, 1, 1)), dict(adamw=(8, 3, 1, 0)), dict(roots=0)])
def flops(lion=(5, 2, 1, 0), adamw=(8, 3, 1, 1), roots=1):
    r"""For each coordinate Lion does 5 multiplications, 3 additions and one sign, no division and no root; AdamW does
    8, 4, one division and one root.

    Constants of the step (1 − β, 1 − ηλ, the bias corrections) are not counted. On today's machines the time goes into
    memory traffic instead: Lion reads θ, g, m and writes θ, m, AdamW reads and writes v as well.
    """

    def formula(counts: tuple[int, ...]) -> dict[str, Callable[[int], int]]:
        return {name: lambda size, each=each: each * size for name, each in zip(OPERATIONS, counts, strict=True)}

    def rooted(size: int) -> tuple[Any, Any]:
        seen: list[Fraction] = []

        def root(value: Fraction) -> Fraction:
            seen.append(value)
            return value

        _adamw_operations(size, Fraction, root)
        return len(seen), roots * size

    return (
        Counts(_lion_operations, (1, 4, 9), formula(lion)),
        Counts(_adamw_operations, (1, 4, 9), formula(adamw)),
        ForEach((1, 4, 9), rooted, over="1, 4 and 9 coordinates"),
    )
