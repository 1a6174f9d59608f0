"""Coupling layers: their inverses and Jacobians, stacks of them, masks, orders and signs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import sympy as sp
from sympy import Eq, Implies, Max, Ne, Or, Rational, exp, log

from kexue import Enclosure, ForAll, ForEach, Identity, Induction, Witnesses, Words, claim, erratum, letters, mutant

from .common import X, a, b, h, jacobian, n, r, s, t, x, x1, x2, x3, x4

Vector = Sequence[Any]
M1, M2, S1, S2, T1, T2, N1, N2 = (sp.Function(name) for name in "m1 m2 s1 s2 t1 t2 n1 n2".split())


def _added(half: Vector, shift: Vector) -> list[Any]:
    return [p + q for p, q in zip(half, shift, strict=True)]


@claim(
    mutants=[
        mutant("symbols", reads=lambda kept, moved: moved),
        mutant("symbols", sign=1),
    ]
)
def additive_coupling(reads=lambda kept, moved: kept, sign=-1):
    r"""$h_1 = x_1$, $h_2 = x_2 + m(x_1)$ with any function m is inverted by $x_2 = h_2 - m(h_1)$; its Jacobian is
    $\begin{pmatrix}I&0\\m'&I\end{pmatrix}$ of determinant 1, for m in C¹.

    Shown for halves of two coordinates with unknown functions $m_1, m_2$. Every size: the inverse is the same line for
    each coordinate, and the determinant of a triangular matrix is the product of its diagonal (the lemma of
    `affine-coupling`). Mutants: m reads $x_2$; $h_2 + m(h_1)$ for the inverse.
    """
    kept, moved = list(X[:2]), list(X[2:])
    out = _added(moved, [M(*reads(kept, moved)) for M in (M1, M2)])
    back = _added(out, [sign * M(*reads(kept, out)) for M in (M1, M2)])
    return (
        Identity(jacobian([*kept, *out], X).det(), 1),
        Identity(sp.Matrix(back), sp.Matrix(moved)),
    )


@claim(
    mutants=[
        dict(block=lambda scaled, ds, dt: ds * scaled + dt),
        dict(volume=lambda s, dt: s[0] * s[1] * dt.det()),
        mutant("symbols", inverse=lambda h, s, t: h / s - t),
        dict(above=1),
    ]
)
def affine_coupling(
    block=lambda scaled, ds, dt: scaled * ds + dt,
    volume=lambda s, dt: s[0] * s[1],
    inverse=lambda h, s, t: (h - t) / s,
    above=0,
):
    r"""$h_1 = x_1$, $h_2 = s(x_1)\otimes x_2 + t(x_1)$ has the determinant $\prod_is_i$ and the lower left block
    $\mathrm{diag}(x_2)\,\partial s/\partial x_1 + \partial t/\partial x_1$; where all $s_i \ne 0$ it is inverted by
    $x_2 = (h_2 - t(h_1))/s(h_1)$.

    Halves of two coordinates, unknown functions s, t. The article writes $\frac{\partial s}{\partial x_1}\otimes x_2$
    for the block; with diag(x₂) on the right of $\partial s/\partial x_1$ columns would be scaled instead of rows
    (refuted). Every size: in the Leibniz sum of a lower triangular matrix only a permutation with σ(i) ≤ i for all i
    survives, and as $\sum_i(i - \sigma(i)) = 0$ only the identity has this (enumerated for n ≤ 7). Mutants: that block;
    a determinant with t'; the inverse of Glow's order; entries one place above the diagonal.
    """
    kept, moved = list(X[:2]), sp.Matrix(X[2:])
    scales, shifts = sp.Matrix([S1(*kept), S2(*kept)]), sp.Matrix([T1(*kept), T2(*kept)])
    out = scales.multiply_elementwise(moved) + shifts
    J = jacobian([*kept, *out], X)
    ds, dt = scales.jacobian(kept), shifts.jacobian(kept)

    def survivors(size: int) -> tuple[int, int]:
        found = permutations(range(size))
        return sum(all(p[i] <= i + above for i in range(size)) for p in found), 1

    return (
        Identity(J[2:, :2], block(sp.diag(*moved), ds, dt)),
        Identity(J.det(), volume(scales, dt)),
        Identity(inverse(s * x + t, s, t), x, [Ne(s, 0)]),
        ForEach(range(1, 8), survivors, over="permutations of n ≤ 7"),
    )


def glow_gate(logit: Any) -> sp.Expr:
    """σ(r + 2), the scale of Glow's affine coupling."""
    return 1 / (1 + exp(-(logit + 2)))


@claim(
    mutants=[
        mutant("symbols", inverse=lambda h, g, t: (h - t) / g),
        dict(sign=-1),
        dict(scale=lambda e: 1 / e),
    ]
)
def glow_coupling_order(inverse=lambda h, g, t: h / g - t, sign=1, scale=lambda e: 1 / (1 + e)):
    r"""Glow's code shifts first: $h_2 = (x_2 + t)\,\sigma(r+2)$, inverted by $h_2/\sigma(r+2) - t$, with $\ln|\det| =
    \sum\ln\sigma(r+2) < 0$ for all r: an affine coupling can only reduce volume.

    One coordinate; the log-determinant is the sum over the changed half, for every size by `affine-coupling`. In the
    last part e stands for $e^{-(r+2)} > 0$. So expansion has to come from actnorm and W. Mutants: the inverse of
    RealNVP's order; a scale $e^{r+2}$, which expands as well.
    """
    gate = glow_gate(r)
    e = sp.Symbol("e", real=True)
    return (
        Identity(inverse((x + t) * gate, gate, t), x),
        Identity(log(sp.diff((x + t) * gate, x)), sign * log(gate)),
        ForAll(log(scale(e)) < 0, [e > 0]),
    )


@claim(
    mutants=[
        dict(total=lambda p, q: p + q),
        dict(sign=lambda n: 1),
        dict(inversions=lambda n: n * (n + 1) / 2),
    ]
)
def composition(
    total=lambda p, q: p * q,
    sign=lambda n: (-1) ** (n * (n - 1) // 2),
    inversions=lambda n: n * (n - 1) / 2,
):
    r"""The determinant of a composition is the product of the layers' determinants; exchanges and reversals leave
    $|\det| = 1$, and the reversal of n coordinates has the sign $(-1)^{n(n-1)/2}$.

    Two affine couplings with exchanged roles, differentiated as one map with parameters a, b, r, s; in general it is
    the chain rule and $\det AB = \det A\det B$. The reversal's parity: by cycles for n = 1, …, 8, and for every n by
    induction on the number of inversions (one more coordinate in front adds n). Mutant: sign +1, which n = 2 refutes.
    """
    h2 = x2 * exp(a * x1) + b * x1**2
    z1 = x1 * exp(r * h2) + s * h2**2
    whole = jacobian([z1, h2], [x1, x2]).det()
    turned = jacobian([h2, z1], [x1, x2]).det()
    u = sp.Function("u")

    def by_cycles(size: int) -> tuple[int, int]:
        seen: set[int] = set()
        parity = 1
        for start in range(size):
            place, length = start, 0
            while place not in seen:
                seen.add(place)
                place, length = size - 1 - place, length + 1
            if length:
                parity *= (-1) ** (length - 1)
        return parity, sign(size)

    return (
        Identity(whole, total(exp(a * x1), exp(r * h2))),
        Identity(turned, sign(2) * exp(a * x1 + r * h2)),
        Witnesses(
            Induction(n, 1, {u(n + 1): u(n) + n}, {u(1): 0}, Eq(u(n), inversions(n))),
            ForEach(range(1, 9), by_cycles, over="n = 1..8"),
        ),
    )


def _shear(k: Any, upper: bool) -> sp.Matrix:
    return sp.Matrix([[1, k], [0, 1]]) if upper else sp.Matrix([[1, 0], [k, 1]])


@claim(
    mutants=[
        dict(second=False),
        dict(shears=2),
        dict(reached=lambda p, q: p + q),
    ]
)
def no_mixing(second=True, shears=3, reached=lambda p, q: p):
    r"""Additive couplings with fixed roles compose to one coupling with $m = \sum m_i$, so $z_1 = x_1$. With
    alternating roles three of them give the quarter turn (a, b) → (−b, a); two never do, whatever functions they use.

    One step of the induction over the layers, for unknown M (the sum so far) and $m_i$, halves of two coordinates. Two
    layers: the one that acts first changes one coordinate by a function of the other one, kept as it is by the last
    layer, so $z_2 = b + m(a)$ (or its mirror image) would have to equal a for two values of b. Mutants: exchanged roles
    in the second layer; two shears; the map (a, b) → (·, a + b), which one layer reaches.
    """
    kept, moved = list(X[:2]), list(X[2:])
    once = _added(moved, [M1(*kept), M2(*kept)])
    if second:
        twice = [*kept, *_added(once, [N1(*kept), N2(*kept)])]
    else:
        twice = [*_added(kept, [N1(*once), N2(*once)]), *once]
    merged = [*kept, *_added(moved, [M1(*kept) + N1(*kept), M2(*kept) + N2(*kept)])]
    turn = sp.eye(2)
    for layer in range(shears):
        turn = _shear(1 if layer % 2 else -1, upper=layer % 2 == 0) * turn
    b1, b2, m = sp.symbols("b1 b2 m", real=True)
    return (
        Identity(sp.Matrix(twice), sp.Matrix(merged)),
        Identity(turn, sp.Matrix([[0, -1], [1, 0]])),
        ForAll(Or(Ne(b1 + m, reached(a, b1)), Ne(b2 + m, reached(a, b2))), [Ne(b1, b2)]),
    )


@claim(mutants=[dict(counted=lambda bit: 1), dict(masked=False)])
def mask_form(counted=lambda bit: 1 - bit, masked=True):
    r"""$y = b\otimes x + (1-b)\otimes(x\otimes e^{s(b\otimes x)} + t(b\otimes x))$ with b in {0, 1}^D is the coupling
    layer that keeps the coordinates with $b_i = 1$; $\ln|\det| = \sum_i(1-b_i)s_i$.

    All 8 masks of D = 3 with unknown functions $s_i, t_i$ of three arguments; for every D the mask is a half split
    after reordering (`affine-coupling`). Mutants: $\sum s_i$; functions that see the unmasked x.
    """
    inputs = X[:3]
    S, shifts = [sp.Function(f"s{i}") for i in range(3)], [sp.Function(f"t{i}") for i in range(3)]
    found, volumes, outputs, split = [], [], [], []
    for mask in product((0, 1), repeat=3):
        seen = [bit * value if masked else value for bit, value in zip(mask, inputs, strict=True)]
        scale, shift = [f(*seen) for f in S], [f(*seen) for f in shifts]
        y = [
            bit * value + (1 - bit) * (value * exp(p) + q)
            for bit, value, p, q in zip(mask, inputs, scale, shift, strict=True)
        ]
        found.append(jacobian(y, inputs).det())
        volumes.append(exp(sum(counted(bit) * p for bit, p in zip(mask, scale, strict=True))))
        kept = [value if bit else 0 for bit, value in zip(mask, inputs, strict=True)]
        outputs += y
        split += [value if mask[i] else value * exp(S[i](*kept)) + shifts[i](*kept) for i, value in enumerate(inputs)]
    return Identity(sp.Matrix(found), sp.Matrix(volumes)), Identity(sp.Matrix(outputs), sp.Matrix(split))


def _reversed(half: Vector) -> list[Any]:
    return list(half)[::-1]


@claim(mutants=[mutant("symbols", conjugate=False), dict(interleave=lambda size: list(range(size)))])
def swap_equals_reverse(conjugate=True, interleave=lambda size: [*range(0, size, 2), *range(1, size, 2)]):
    r"""For even D a coupling with exchanged roles is $R\circ C_{m'}\circ R$, R the reversal and $m'(u) =
    \mathrm{rev}\,m(\mathrm{rev}\,u)$; a split into even and odd places is a split into halves after a fixed
    permutation. So alternating stacks are reversing stacks with other functions m.

    Every even D: $x \to Rx = (\mathrm{rev}\,x_2, \mathrm{rev}\,x_1) \to (\ldots, \mathrm{rev}\,x_1 + \mathrm{rev}\,
    m(x_2)) \to (x_1 + m(x_2), x_2)$ as words, where J is the reversal of a half; shown with unknown functions for D =
    4. Even/odd: for D = 2, 4, …, 12 by indices. For odd D the halves differ in size and the statement fails. Mutants:
    m' = m; the identity instead of interleaving.
    """

    def coupled(half: Vector) -> list[Any]:
        if conjugate:
            return _reversed([M1(*_reversed(half)), M2(*_reversed(half))])
        return [M1(*half), M2(*half)]

    exchanged = [*_added(X[:2], [M1(x3, x4), M2(x3, x4)]), x3, x4]
    flipped = _reversed(X)
    through = _reversed([*flipped[:2], *_added(flipped[2:], coupled(flipped[:2]))])
    J, u, m, other = letters("J u m k")
    rules = [(J * J, 1)]
    shift = J * m if conjugate else other  # m'(rev x2) = rev m(x2); with m' = m it is another value, m(rev x2)
    model = {"J": [[0, 1], [1, 0]], "u": [[1], [2]], "m": [[3], [5]], "k": [[7], [4]]}

    def even_and_odd(size: int) -> tuple[Any, Any]:
        order = interleave(size)
        halves = [order[: size // 2], order[size // 2 :]]
        return halves, [[i for i in range(size) if i % 2 == bit] for bit in (0, 1)]

    return (
        Identity(sp.Matrix(through), sp.Matrix(exchanged)),
        Words(J * (J * u + shift), u + m, rules, model=model),
        ForEach(range(2, 14, 2), even_and_odd, over="D = 2, 4, …, 12"),
    )


@claim(
    mutants=[
        dict(last=lambda u: u),
        dict(sign=1),
        dict(both=lambda p: p <= -1),
    ]
)
def relu_sign_trick(last=lambda u: Max(u, 0), sign=-1, both=lambda p: p <= 0):
    r"""With a generator $x_2 = h_2 + m(h_1)$ whose m ends in a ReLU, $x_2 \ge h_2$. With a linear last layer the two
    orders, $+m$ in the generator or in the encoder, are one family: m → −m.

    One output u of the last layer. Wu + b → (−W)u + (−b) gives −m; a ReLU's output is never minus another one, unless
    both are 0. Mutant: a linear output.
    """
    u, w, p, q = sp.symbols("u w p q", real=True)
    return (
        ForAll(sp.Ge(h + last(u), h, evaluate=False)),
        Identity(sign * (w * u + b), (-w) * u + (-b)),
        ForAll(Implies(Eq(-Max(p, 0), Max(q, 0)), both(p))),
    )


@erratum(printed=dict(scale=sp.Integer(1)), mutants=[dict(scale=1 / (1 + exp(-1))), dict(shift=1)])
def zero_init_not_identity(scale=1 / (1 + exp(-2)), shift=0):
    r"""A zero last convolution makes an additive coupling the identity, but Glow's affine form then multiplies by
    $\sigma(2) = 0.880797\ldots$: the log-determinant is −0.126928… for each changed entry.

    The article says that zero initialisation gives the identity ("the input and the output are the same"); W, a random
    rotation, and actnorm, set by the data, aren't the identity either.
    """
    t, r = sp.Integer(0), sp.Integer(0)
    return (
        Identity((x + t) * glow_gate(r), scale * x),
        Identity(x + t + shift, x),
        Enclosure(scale, lower=Rational(880797, 10**6), upper=Rational(880798, 10**6)),
        Enclosure(log(scale), lower=Rational(-126929, 10**6), upper=Rational(-126928, 10**6)),
    )


class Dual:
    """p + q·ε with ε² = 0: exact forward differentiation."""

    def __init__(self, p: Fraction | int, q: Fraction | int = 0) -> None:
        self.p, self.q = Fraction(p), Fraction(q)

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.p + other.p, self.q + other.q)

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.p * other.p, self.p * other.q + self.q * other.p)


def _stack(parameters: Sequence[tuple[Fraction, Fraction]], start: tuple[Fraction, Fraction], wrt: int) -> Fraction:
    """d/dw of ‖z‖² − Σ ln s for the parameter numbered wrt, by forward differentiation."""
    state, logs = [Dual(start[0]), Dual(start[1])], Fraction(0)
    for k, pair in enumerate(parameters):
        p, q = (Dual(value, int(2 * k + i == wrt)) for i, value in enumerate(pair))
        kept, moved = state[k % 2], state[1 - k % 2]
        scale = Dual(1) + p * p * kept * kept
        logs += scale.q / scale.p
        state[1 - k % 2] = moved * scale + q * kept
    return 2 * (state[0].p * state[0].q + state[1].p * state[1].q) - logs


@claim(
    mutants=[
        mutant("symbols", inverse=lambda h, s, t: h / s - t),
        dict(held=lambda depth: depth + 1),
        dict(growth=lambda s: s),
    ]
)
def reversible_memory(inverse=lambda h, s, t: (h - t) / s, held=lambda depth: 1, growth=lambda s: 1 / s):
    r"""Gradients of a stack of couplings need only its output: each layer's input is recomputed through the inverse,
    one state at a time. An error δ of an output becomes δ/s at the input.

    In exact arithmetic: stacks of K = 1, …, 4 affine couplings of the plane with alternating roles, $s = 1 + p^2u^2$,
    $t = qu$, loss $\|z\|^2 - \sum\ln s$; the gradient with recomputed inputs equals forward differentiation with dual
    numbers, and one state is held instead of K + 1. Memory and float drift of a network are measured elsewhere.
    """
    delta = sp.Symbol("delta", real=True)

    def case(depth: int) -> tuple[Any, Any]:
        parameters = [(Fraction(k + 1, 3), Fraction(2 - k, 5)) for k in range(depth)]
        start = (Fraction(1, 2), Fraction(-2, 3))
        state = list(start)
        for k, (p, q) in enumerate(parameters):
            kept = state[k % 2]
            state[1 - k % 2] = state[1 - k % 2] * (1 + p**2 * kept**2) + q * kept
        states = [state]
        slope = [2 * state[0], 2 * state[1]]
        gradient: list[Fraction] = []
        most = 1
        for k in reversed(range(depth)):
            p, q = parameters[k]
            state = states.pop()
            kept, out = state[k % 2], state[1 - k % 2]
            scale = 1 + p**2 * kept**2
            moved = inverse(out, scale, q * kept)
            g = slope[1 - k % 2]
            by_scale = g * moved - 1 / scale
            gradient = [by_scale * 2 * p * kept**2, g * kept, *gradient]
            slope[k % 2] += by_scale * 2 * p**2 * kept + g * q
            slope[1 - k % 2] = g * scale
            before = [Fraction(0), Fraction(0)]
            before[k % 2], before[1 - k % 2] = kept, moved
            states.append(before)
            most = max(most, len(states))
        direct = [_stack(parameters, start, wrt) for wrt in range(2 * depth)]
        return (gradient, most, states[-1]), (direct, held(depth), list(start))

    return (
        Identity(inverse(s * x + t + delta, s, t) - x, growth(s) * delta, [Ne(s, 0)]),
        ForEach(range(1, 5), case, over="K = 1..4 couplings of the plane"),
    )
