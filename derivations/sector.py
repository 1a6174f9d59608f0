r"""All n random points of a disc in one sector of central angle θ.

Su Jianlin, 《圆内随机n点在同一个圆心角为θ的扇形的概率》 ("Probability that n random points in a disc
lie in one sector of central angle θ"), Scientific Spaces, 2022-10-25, archive 9324. J. G. Wendel, "A problem in
geometric probability", Math. Scand. 11 (1962); W. L. Stevens, "Solution to a geometrical problem in probability",
Ann. Eugenics 9 (1939).

n points on a circle of length 1 leave n gaps $X_1, \dots, X_n$ that sum to 1. All points lie in a sector of angle θ
iff the largest gap M reaches $x = 1 - \theta/2\pi$, and cutting at one point turns the gaps into the spacings of n −
1 uniform points on a segment. So $P_n(\theta) = P(M > x)$, which inclusion–exclusion gives as a truncated alternating
sum."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import product
from math import comb, factorial

import sympy as sp
from flint import fmpq, fmpq_poly
from sympy import Eq, Rational, cos, pi, sin

from kexue import Exists, ForAll, ForEach, Identity, Induction, Integral, Limit, claim, erratum, mutant

from ._arguments import whole_number

x, y, s, t, r, phi, S = sp.symbols("x y s t r phi S", real=True)
n, m = sp.symbols("n m", integer=True)

GRID = [Fraction(i, 12) for i in range(1, 12)]


# Exact laws


def gap_term(n: int, k: int, x: Fraction) -> Fraction:
    """C(n, k) (1 − kx)₊^(n−1) = S_k, the sum of P(X_i > x for all i of a k-subset); 0 where 1 − kx ≤ 0."""
    rest = 1 - k * x
    return comb(n, k) * rest ** (n - 1) if rest > 0 else Fraction(0)


def sector_probability(n: int, turn: Fraction) -> Fraction:
    """P_n(θ) for n points and an angle of `turn` full turns, exactly.

    Raises:
        ValueError: n is no integer ≥ 1, or turn is negative or not exact.
    """
    whole_number("n", n, 1)
    if isinstance(turn, float):
        raise ValueError(f"turn must be exact, a Fraction of a full turn, got the float {turn!r}")
    turn = Fraction(turn)
    if turn < 0:
        raise ValueError(f"turn must be ≥ 0, got {turn}")
    if n == 1 or turn >= 1:
        return Fraction(1)
    return sum(((-1) ** (k - 1) * gap_term(n, k, 1 - turn) for k in range(1, n + 1)), Fraction(0))


def wendel_probability(n: int, d: int) -> Fraction:
    """P(n points of a symmetric law in general position in R^d lie in some half-space through 0), exactly.

    Raises:
        ValueError: n or d is no integer ≥ 1.
    """
    whole_number("n", n, 1)
    whole_number("d", d, 1)
    return Fraction(sum(comb(n - 1, k) for k in range(min(d, n))), 2 ** (n - 1))


def long_gap_pmf(n: int, m: int, x: Fraction) -> Fraction:
    """P(exactly m of the n gaps exceed x) (Stevens), exactly.

    Raises:
        ValueError: n is no integer ≥ 1, m is not in [0, n], or x is not in [0, 1).
    """
    whole_number("n", n, 1)
    if not isinstance(m, int) or not 0 <= m <= n:
        raise ValueError(f"m must be an integer in [0, {n}], got {m!r}")
    x = Fraction(x)
    if not 0 <= x < 1:
        raise ValueError(f"x must be in [0, 1), got {x}")
    terms = ((-1) ** j * comb(n - m, j) * (1 - (m + j) * x) ** (n - 1) for j in range(n - m + 1) if (m + j) * x < 1)
    return comb(n, m) * sum(terms, Fraction(0))


def volume_probability(n: int, x: Fraction) -> Fraction:
    """P(M > x) by volumes: V_m(s) = ∫₀^min(x,s) V_{m−1}(s − t) dt as piecewise polynomials, P = 1 − (n−1)! V_n(1).

    V_m(s) is the volume of the gaps (X_1, …, X_{m−1}) with all X_i ≤ x that sum to s. Knots are the multiples of x.
    """
    pieces = math.ceil(1 / x) + 1
    step = fmpq(x.numerator, x.denominator)
    volume = [fmpq_poly([1])] + [fmpq_poly([])] * (pieces - 1)  # V_1 = 1 on [0, x]
    for _ in range(n - 1):
        primitive, value = [], fmpq(0)
        for j, piece in enumerate(volume):  # F(s) = ∫₀^s V, continuous over the knots
            p = piece.integral()
            p = p + (value - p(j * step))
            value = p((j + 1) * step)
            primitive.append(p)
        shifted = fmpq_poly([-step, 1])
        volume = [primitive[j] - (primitive[j - 1](shifted) if j else 0) for j in range(pieces)]
    last = min(math.ceil(1 / x) - 1, pieces - 1)
    found = 1 - factorial(n - 1) * volume[last](fmpq(1))
    return Fraction(int(found.p), int(found.q))


def max_gap(points: Sequence[int], circle: int) -> int:
    """The largest gap between neighbours on a discrete circle."""
    places = sorted(points)
    return max((b - a for a, b in zip(places, [*places[1:], places[0] + circle], strict=True)), default=circle)


def in_an_arc(points: Sequence[int], circle: int, length: int) -> bool:
    """Whether some `length` consecutive places contain all points."""
    return any(all((p - start) % circle < length for p in points) for start in points)


# The statements, in the article's order


@claim(mutants=[dict(radius=3 * r**2), dict(scale=-1)])
def radius_irrelevance(radius=2 * r, scale=1):
    r"""For the uniform law on the disc the angles are i.i.d. uniform, and lying in a sector depends on angles only.

    $\frac1\pi\,dx\,dy = (2r\,dr)\,(d\varphi/2\pi)$: the density splits; and the side of a ray on which a point lies,
    the sign of a cross product, is not changed by positive factors."""
    place = sp.Matrix([r * cos(phi), r * sin(phi)])
    p, q, a, b = sp.symbols("p q a b", real=True)
    left, right = sp.Matrix([[a, b]]) * p, sp.Matrix([[x, y]]) * q
    cross = left[0] * right[1] - left[1] * right[0]
    return (
        Identity(place.jacobian([r, phi]).det() / pi, radius / (2 * pi)),
        ForAll(sp.Equivalent(cross > 0, scale * (a * y - b * x) > 0), [p > 0, q > 0]),
    )


CIRCLES = [(8, 3), (6, 4), (12, 2)]


@claim(
    mutants=[
        dict(covered=lambda gap, N, length: gap <= N - length + 1),
        dict(covered=lambda gap, N, length: gap > N - length + 1),
    ]
)
def gap_equivalence(covered=lambda gap, N, length: gap >= N - length + 1):
    r"""Points lie in a closed sector of angle θ iff the largest gap between neighbours is ≥ $2\pi - \theta$.

    Exhaustive on discrete circles: N places, all n-tuples, every arc of ℓ consecutive places against gap ≥ N − ℓ + 1.
    """

    def tuples() -> Iterator[tuple[int, tuple[int, ...]]]:
        for N, count in CIRCLES:
            for points in product(range(N), repeat=count):
                yield N, points

    def both(case: tuple[int, tuple[int, ...]]) -> tuple[list[bool], list[bool]]:
        N, points = case
        lengths = range(1, N + 1)
        gap = max_gap(points, N)
        return [in_an_arc(points, N, ell) for ell in lengths], [covered(gap, N, ell) for ell in lengths]

    return ForEach(tuples(), both, over=f"all tuples on (places, points) = {CIRCLES}, all arc lengths")


@claim(mutants=[dict(points=lambda count: count)])
def circle_to_segment(points=lambda count: count - 1):
    r"""The n gaps of n uniform points on a circle have the law of the n spacings of n − 1 uniform points on a segment.

    Exhaustive on discrete circles: turning the first point to 0 is N to 1, and the sorted gap tuples are
    equidistributed."""

    def law(tuples: Iterator[tuple[int, ...]], N: int) -> dict[tuple[int, ...], int]:
        found: dict[tuple[int, ...], int] = {}
        for place in tuples:
            places = sorted(place)
            gaps = tuple(sorted(b - a for a, b in zip(places, [*places[1:], places[0] + N], strict=True)))
            found[gaps] = found.get(gaps, 0) + 1
        return found

    def both(case: tuple[int, int]) -> tuple[dict, dict]:
        N, count = case
        on_circle = law(product(range(N), repeat=count), N)
        cut = law(((0, *rest) for rest in product(range(N), repeat=points(count))), N)
        return on_circle, {gaps: N * times for gaps, times in cut.items()}

    return ForEach(CIRCLES, both, over="(places, points)")


@claim(mutants=[mutant("domain", factor=n), dict(power=m + 1)])
def joint_density(factor=n - 1, power=m):
    r"""The gaps $(X_1, \dots, X_{n-1})$ have the constant density (n − 1)! on the simplex.

    The article inserts one point at a time: the last one fell into any of n − 1 merged gaps, so $p_n = (n-1)p_{n-1}$,
    $p_2 = 1$. Independently, the simplex $\{X_i \ge 0, \sum \le s\}$ has volume $s^m/m!$, by one integration for
    symbolic m."""
    p = sp.Function("p")
    slice_volume = (s - t) ** (m - 1) / sp.factorial(m - 1)
    return (
        Induction(n, 2, {p(n + 1): (factor + 1) * p(n)}, {p(2): 1}, [Eq(p(n), sp.factorial(n - 1))]),
        Integral(
            slice_volume, t, 0, s, s**power / sp.factorial(m), primitive=-((s - t) ** m) / sp.factorial(m),
            given=[m >= 1, s > 0],
        ),
    )  # fmt: skip


@claim(mutants=[dict(weight=m), dict(power=m + 2)])
def marginal_density(weight=m + 1, power=m + 1):
    r"""For k ≤ n − 1: $p(x_1, \dots, x_k) = \frac{(n-1)!}{(n-k-1)!} (1 - \sum x_i)^{n-k-1}$ on the simplex.

    One integration takes k + 1 to k: with $m = n - k - 2$ and $S = x_1 + \dots + x_k$,
    $\int_0^{1-S} (m+1)(1-S-t)^m\,dt = (1-S)^{m+1}$ for symbolic m, and the constants obey
    $\frac{(n-1)!}{(n-k-2)!} = (m+1)\frac{(n-1)!}{(n-k-1)!}$. It starts at k = n − 1 with `joint-density`.
    """
    base = 1 - S - t
    primitive = -(base ** (m + 1))
    return (
        Integral(weight * base**m, t, 0, 1 - S, (1 - S) ** power, primitive=primitive, given=[m >= 0, S >= 0, S < 1]),
        Identity(1 / sp.factorial(m), weight / sp.factorial(m + 1), [m >= 0]),
    )


@claim(mutants=[dict(exponent=0), dict(exponent=2)])
def joint_survival(exponent=1):
    r"""For $c_i \ge 0$, $C = c_1 + \dots + c_k \le 1$, $k \le n$: $P(X_1 > c_1, \dots, X_k > c_k) = (1 - C)^{n-1}$.

    $X = c + (1 - C)Y$ maps the simplex of the Y onto the event, so its share is the determinant of the scaling
    $(1-C)I_{n-1}$; this covers k = n, for which there is no density. For n = 2, …, 7 the determinant is compared with
    the power; for k = 1 and every n it also follows by integrating the marginal density."""
    C = S
    parts = [Identity(((1 - C) * sp.eye(size - 1)).det(), (1 - C) ** (size - exponent)) for size in range(2, 8)]
    density = m * (1 - t) ** (m - 1)
    tail = Integral(
        density, t, C, 1, (1 - C) ** (m + 1 - exponent), primitive=-((1 - t) ** m), given=[m >= 1, C >= 0, C < 1]
    )
    return (*parts, tail)


@claim(mutants=[dict(choose=lambda n, k: comb(n - 1, k)), dict(exponent=0)])
def general_formula(choose=comb, exponent=1):
    r"""$P_n(\theta) = \sum_{k \ge 1,\, kx < 1} (-1)^{k-1} \binom nk (1-kx)^{n-1}$ with $x = 1 - \theta/2\pi$.

    Inclusion–exclusion over $\{X_i > x\}$ with `joint-survival`, compared in exact arithmetic with volumes that are
    computed by recursion, for n = 2, …, 8 and x = i/12.
    """

    def both(case: tuple[int, Fraction]) -> tuple[Fraction, Fraction]:
        count, at = case
        powers = (
            (-1) ** (j - 1) * choose(count, j) * (1 - j * at) ** (count - exponent)
            for j in range(1, count + 1) if j * at < 1
        )  # fmt: skip
        return sum(powers, Fraction(0)), volume_probability(count, at)

    return ForEach(product(range(2, 9), GRID), both, over="n = 2..8, x = i/12")


@claim(mutants=[dict(reach=Fraction(2, 3)), dict(factor=lambda count: count - 1)])
def half_or_less(reach=Fraction(1, 2), factor=lambda count: count):
    r"""$P_n(\theta) = n(\theta/2\pi)^{n-1}$ for $\theta \le \pi$: exactly one point is the first, clockwise.

    The n events "point i leads" are disjoint for θ ≤ π, each of probability $(\theta/2\pi)^{n-1}$. Compared with the
    volumes for n = 2, …, 9. Used beyond π it fails: n = 3, θ = 4π/3 would give 4/3.
    """
    turns = [reach * Fraction(i, 6) for i in range(1, 7)]
    return ForEach(
        product(range(2, 10), turns),
        lambda case: (factor(case[0]) * case[1] ** (case[0] - 1), volume_probability(case[0], 1 - case[1])),
        over="n = 2..9, six angles up to the largest",
    )


@claim(mutants=[dict(ducks=Fraction(1, 4)), dict(power=lambda count: 2**count)])
def four_ducks(ducks=Fraction(1, 2), power=lambda count: 2 ** (count - 1)):
    r"""Four ducks share a half-disc with probability 1/2; n points with $n/2^{n-1}$; the centre of a random
    triangle's disc is inside it with 1/4.
    """
    half = Fraction(1, 2)
    return (
        ForEach([4], lambda count: (volume_probability(count, half), ducks), over="n = 4"),
        ForEach(range(2, 13), lambda c: (volume_probability(c, half), Fraction(c, power(c))), over="n = 2..12"),
        ForEach([3], lambda c: (1 - Fraction(c, power(c)), Fraction(1, 4)), over="n = 3"),
    )


@claim(mutants=[dict(pieces=lambda count: count + 1)])
def certainty(pieces=lambda count: count):
    r"""$P_n(\theta) = 1$ iff $\theta \ge 2\pi(1 - 1/n)$: the largest of n gaps is at least 1/n."""
    below, above = Fraction(-1, 10**6), Fraction(1, 10**6)

    def both(count: int) -> tuple[list[bool], list[bool]]:
        at = [Fraction(1, pieces(count)) + e for e in (below, Fraction(0), above)]
        return [volume_probability(count, z) == 1 for z in at], [True, True, False]

    return ForEach(range(2, 12), both, over="n = 2..11, at x = 1/n and 1e-6 to both sides")


@claim(mutants=[dict(exponent=0), dict(last=-1)])
def polynomial_identity(exponent=1, last=0):
    r"""$\sum_{k=1}^n (-1)^{k-1} \binom nk (1-kx)^{n-1} = 1$ for ALL x.

    Proved as a polynomial identity for n = 3, 5, 8, 13, 25. For every n it is the vanishing of the n-th difference of
    a polynomial of degree n − 1: $\sum_k (-1)^k \binom nk k^j = 0$ for j < n, compared for n ≤ 30. With exponent n
    the sum is $1 - n!\,x^n$."""
    parts = []
    for size in (3, 5, 8, 13, 25):
        terms = [(-1) ** (j - 1) * comb(size, j) * (1 - j * x) ** (size - exponent) for j in range(1, size + 1 + last)]
        parts.append(Identity(sp.Add(*terms), 1))
    sums = ForEach(
        range(1, 31),
        lambda c: ([sum((-1) ** j * comb(c, j) * j**e for j in range(c + 1 + last)) for e in range(c)], [0] * c),
        over="n = 1..30, all j < n",
    )
    return (*parts, sums)


def density_at(count: int, at: Fraction) -> Fraction:
    """f_M at x, from the formula."""
    return sum(
        ((-1) ** (j - 1) * comb(count, j) * j * (count - 1) * (1 - j * at) ** (count - 2)
         for j in range(1, count + 1) if j * at < 1),
        Fraction(0),
    )  # fmt: skip


@claim(mutants=[dict(weight=lambda j: 1)])
def distribution_density(weight=lambda j: j):
    r"""M has the density $\sum_{k:\,kx<1} (-1)^{k-1} \binom nk k(n-1)(1-kx)^{n-2}$ on [1/n, 1].

    Between two knots 1/(j+1) < x < 1/j minus the derivative of the polynomial P(M > x) is this sum; for n = 2, …, 7 and
    every piece.
    """
    parts = []
    for size in range(2, 8):
        for pieces in range(1, size):
            terms = [((-1) ** (j - 1) * comb(size, j), 1 - j * x, j) for j in range(1, pieces + 1)]
            survival = sp.Add(*(c * base ** (size - 1) for c, base, _ in terms))
            density = sp.Add(*(c * weight(j) * (size - 1) * base ** (size - 2) for c, base, j in terms))
            if pieces > 1:
                parts.append(Identity(-sp.diff(survival, x), density))
    return tuple(parts)


def harmonic(count: int, power: int = 1) -> Fraction:
    return sum((Fraction(1, i**power) for i in range(1, count + 1)), Fraction(0))


def gap_moment(count: int, order: int) -> Fraction:
    """E M^order from the survival function: ∫₀¹ order·x^(order−1) P(M > x) dx, term by term with exact Beta
    integrals.
    """
    total = Fraction(0)
    for j in range(1, count + 1):
        beta = Fraction(factorial(order - 1) * factorial(count - 1), factorial(count + order - 1))
        total += (-1) ** (j - 1) * comb(count, j) * order * beta / Fraction(j) ** order
    return total


@claim(mutants=[dict(index=lambda c: c - 1)])
def mean_max(index=lambda c: c):
    r"""$E M = H_n/n$, so the expected smallest covering angle is $2\pi(1 - H_n/n)$.

    $\int_0^1 P(M > x)\,dx = \sum_k (-1)^{k-1} \binom nk \frac1{kn}$, compared with $H_n/n$ for n ≤ 40.
    """
    return ForEach(range(1, 41), lambda c: (gap_moment(c, 1), harmonic(index(c)) / c), over="n = 1..40")


@claim(mutants=[dict(power=1)])
def second_moment(power=2):
    r"""$E M^2 = (H_n^2 + H_n^{(2)})/(n(n+1))$; compared with the exact integral of the survival function for n ≤ 40."""
    return ForEach(
        range(2, 41),
        lambda c: (gap_moment(c, 2), (harmonic(c) ** 2 + harmonic(c, power)) / (c * (c + 1))),
        over="n = 2..40",
    )


def _exactly(count: int, number: int, at: Fraction) -> Fraction:
    """P(exactly `number` gaps > x) by inclusion–exclusion from the joint survival probabilities S_j."""
    return sum(
        ((-1) ** (j - number) * comb(j, number) * gap_term(count, j, at) for j in range(max(number, 1), count + 1)),
        Fraction(1 if number == 0 else 0),
    )


@claim(mutants=[dict(pmf=lambda c, number, at: _exactly(c, number, at) if number else long_gap_pmf(c, 1, at))])
def exactly_m_long_gaps(pmf=long_gap_pmf):
    r"""$P(\text{exactly m gaps} > x) = \binom nm \sum_{j\ge0} (-1)^j \binom{n-m}j (1-(m+j)x)_+^{n-1}$ (Stevens).

    The numbers sum to 1, have the mean $n(1-x)^{n-1}$, and m = 0 is the complement of `general-formula`; compared with
    the general inclusion–exclusion and with the volumes, n ≤ 7.
    """

    def both(case: tuple[int, Fraction]) -> tuple[object, object]:
        c, at = case
        law = [pmf(c, number, at) for number in range(c + 1)]
        mean = sum((number * p for number, p in enumerate(law)), Fraction(0))
        expected = [_exactly(c, number, at) for number in range(c + 1)]
        return (law, sum(law), mean, 1 - law[0]), (
            expected,
            Fraction(1),
            c * (1 - at) ** (c - 1),
            volume_probability(c, at),
        )

    return ForEach(product(range(2, 8), GRID), both, over="n = 2..7, x = i/12")


@claim(mutants=[dict(first=1)])
def stevens_coverage(first=0):
    r"""n random arcs of length x cover the circle with probability $\sum_{k\ge0} (-1)^k \binom nk (1-kx)_+^{n-1}$.

    An arc starting at each point covers the circle iff no gap exceeds x: the complement of P. Compared with the
    volumes."""

    def both(case: tuple[int, Fraction]) -> tuple[Fraction, Fraction]:
        c, at = case
        terms = ((-1) ** j * gap_term(c, j, at) for j in range(first, c + 1))
        return sum(terms, Fraction(0)), 1 - volume_probability(c, at)

    return ForEach(product(range(2, 9), GRID), both, over="n = 2..8, x = i/12")


@claim(mutants=[dict(above=lambda depth: depth % 2 == 0)])
def bonferroni(above=lambda depth: depth % 2 == 1):
    r"""The partial sums of inclusion–exclusion lie alternately above and below P: $S_1 - S_2 \le P \le S_1$.

    Exactly, for n = 2, …, 11, x = i/40 and every depth at which the sum is truncated.
    """

    def both(case: tuple[int, Fraction]) -> tuple[bool, bool]:
        c, at = case
        truth, partial, fine = sector_probability(c, 1 - at), Fraction(0), True
        for depth in range(1, c + 1):
            partial += (-1) ** (depth - 1) * gap_term(c, depth, at)
            fine &= partial >= truth if above(depth) else partial <= truth
        return fine, True

    return ForEach(product(range(2, 12), (Fraction(i, 40) for i in range(1, 40))), both, over="n = 2..11, x = i/40")


@claim(mutants=[dict(base=Rational(1, 3)), dict(value=2)])
def large_n(base=Rational(1, 2), value=1):
    r"""For fixed θ < 2π, $P_n \sim n(\theta/2\pi)^{n-1}$ even for θ > π; the ratio tends to 1 exponentially fast.

    The ratio lies between $1 - \frac{n-1}{2} q^{n-1}$ and 1 with $q = (1-2x)_+/(1-x) < 1$ (Bonferroni); stated at x =
    1/4, where q = 2/3, and the bound tends to 1. Compared exactly for n = 10, 20, 30."""
    N = sp.Symbol("N", real=True)
    quarter = Fraction(1, 4)

    def both(c: int) -> tuple[bool, bool]:
        ratio = sector_probability(c, 1 - quarter) / (c * (1 - quarter) ** (c - 1))
        q = Fraction(int(base.p), int(base.q)) * Fraction(4, 3)
        return 1 - Fraction(c - 1, 2) * q ** (c - 1) <= ratio <= 1, True

    return (
        Limit(1 - (N - 1) / 2 * Rational(2, 3) ** (N - 1), N, sp.oo, value),
        ForEach((10, 20, 30), both, over="n = 10, 20, 30 at x = 1/4"),
        Exists(Eq((1 - 2 * x) / (1 - x), base * Rational(4, 3)), {x: Rational(1, 4)}),
    )


@cache
def schlaefli(count: int, d: int) -> int:
    """Regions into which `count` hyperplanes through 0 in general position divide R^d, by Schläfli's recursion."""
    if count == 1 or d == 1:
        return 2
    return schlaefli(count - 1, d) + schlaefli(count - 1, d - 1)


@claim(mutants=[dict(limit=lambda d: d + 1)])
def wendel(limit=lambda d: d):
    r"""n points of a symmetric law in general position in $\mathbb{R}^d$ lie in a half-space with $2^{-(n-1)}
    \sum_{k<d} \binom{n-1}k$.

    Sign flips: of the $2^n$ sign patterns of n given vectors as many lie in a half-space as n hyperplanes have regions,
    Schläfli's $C(N,d) = C(N-1,d) + C(N-1,d-1)$. Compared for n ≤ 30, d ≤ 12; d = 2 is `half-or-less` at θ = π;
    $P(n,d) + P(n,n-d) = 1$; P = 1 for n ≤ d; n = 2d gives 1/2.
    """

    def formula(count: int, d: int) -> Fraction:
        return Fraction(sum(comb(count - 1, j) for j in range(min(limit(d), count))), 2 ** (count - 1))

    def symmetric(case: tuple[int, int]) -> tuple[object, object]:
        count, d = case
        return (formula(count, d) + formula(count, count - d), formula(2 * d, d), formula(d, d)), (1, Fraction(1, 2), 1)

    return (
        ForEach(
            product(range(1, 31), range(1, 13)),
            lambda case: (formula(*case), Fraction(schlaefli(*case), 2 ** case[0])),
            over="n = 1..30, d = 1..12",
        ),
        ForEach(
            range(2, 13), lambda c: (formula(c, 2), volume_probability(c, Fraction(1, 2))), over="d = 2, n = 2..12"
        ),
        ForEach([(c, d) for c in range(3, 20) for d in range(1, c)], symmetric, over="n = 3..19, 0 < d < n"),
    )


@claim(mutants=[dict(factor=1)])
def nonuniform_leader(factor=2):
    r"""For any angular density f and θ ≤ π: $P = n\int f(\alpha)[F(\alpha+\theta) - F(\alpha)]^{n-1}\,d\alpha$ (the
    leader is unique).

    Checked exactly for n = 2 and the cardioid density $f = (1 + \cos\alpha)/2\pi$ at θ = π: two points are always in a
    half-disc, so P = 1; and for the uniform density and n = 3, 4 it gives $n(\theta/2\pi)^{n-1}$.
    """
    cardioid = (1 + cos(t)) / (2 * pi)
    reach = (pi - 2 * sin(t)) / (2 * pi)  # F(t + π) − F(t)
    primitive = (pi * t + pi * sin(t) + 2 * cos(t) + cos(t) ** 2) / (4 * pi**2) * factor
    uniform = [
        Integral(c * factor / 2 / (2 * pi) * (s / (2 * pi)) ** (c - 1), t, 0, 2 * pi, c * (s / (2 * pi)) ** (c - 1),
                 primitive=c * factor / 2 * t / (2 * pi) * (s / (2 * pi)) ** (c - 1))
        for c in (sp.Integer(3), sp.Integer(4))
    ]  # fmt: skip
    return (Integral(factor * cardioid * reach, t, 0, 2 * pi, 1, primitive=primitive), *uniform)


@claim(mutants=[dict(exponent=0)])
def span_law(exponent=1):
    r"""The smallest covering angle W has $P(W \le w) = n(w/2\pi)^{n-1}$ for w ≤ π.

    W ≤ w iff all points lie in a sector of angle w, so this is `half-or-less` read as a distribution: compared with the
    volumes at w = 2πi/12, n = 2, …, 9.
    """
    return ForEach(
        product(range(2, 10), (Fraction(i, 12) for i in range(1, 7))),
        lambda case: (case[0] * case[1] ** (case[0] - exponent), volume_probability(case[0], 1 - case[1])),
        over="n = 2..9, w = 2πi/12 ≤ π",
    )


def hodges_ajne_law(count: int) -> list[Fraction]:
    """P(the fewest points on one side of a diameter is ≤ j), j = 0, 1, …: exactly, by enumerating antipodal patterns.

    The n diameters through the points cut the circle into 2n arcs; the points choose ends by n independent fair
    signs, and the number of points on one side changes by ±1 as the dividing diameter turns past each."""
    law = [0] * (count // 2 + 1)
    for signs in product((1, -1), repeat=count):
        side = sum(e > 0 for e in signs)
        fewest = min(side, count - side)
        for e in signs:
            side -= e
            fewest = min(fewest, side, count - side)
        law[fewest] += 1
    total, found = 0, []
    for c in law:
        total += c
        found.append(Fraction(total, 2**count))
    return found


@claim(mutants=[dict(below=lambda c, j: 3 * j < c + 1), dict(slope=1)])
def hodges_ajne(below=lambda c, j: 3 * j < c, slope=2):
    r"""Let m be the fewest points on one side of a diameter: $P(m \le j) = (n-2j)\binom nj/2^{n-1}$ for j < n/3.

    Exhaustive over the $2^n$ sign patterns for n ≤ 12; j = 0 is the semicircle theorem. At j = n/3 the formula fails.
    """
    cases = [(c, j) for c in range(2, 13) for j in range(c // 2 + 1) if below(c, j)]
    laws = {c: hodges_ajne_law(c) for c in range(2, 13)}
    return ForEach(
        cases,
        lambda case: (laws[case[0]][case[1]], Fraction((case[0] - slope * case[1]) * comb(*case), 2 ** (case[0] - 1))),
        over="n = 2..12, all j < n/3",
    )


@claim(mutants=[dict(third=6), dict(second=4)])
def small_n_pieces(second=6, third=4):
    r"""n = 2: θ/π up to π, then 1. n = 3: $3(\theta/2\pi)^2$, then $3(1-x)^2 - 3(1-2x)^2$ up to 4π/3, then 1.

    n = 4: $4(1-x)^3$, minus $6(1-2x)^3$ from π on, plus $4(1-3x)^3$ from 4π/3 on, then 1 from 3π/2 on. Compared with
    the volumes on a grid that has points in every piece and on every knot."""

    def pieces(c: int, at: Fraction) -> Fraction:
        if at <= Fraction(1, c):
            return Fraction(1)
        if c == 2:
            return 2 * (1 - at)
        if c == 3:
            return 3 * (1 - at) ** 2 - (3 * (1 - 2 * at) ** 2 if 2 * at < 1 else 0)
        value = 4 * (1 - at) ** 3 - (second * (1 - 2 * at) ** 3 if 2 * at < 1 else 0)
        return value + (third * (1 - 3 * at) ** 3 if 3 * at < 1 else 0)

    grid = sorted({Fraction(i, 60) for i in range(1, 60)})
    return ForEach(
        product((2, 3, 4), grid), lambda case: (pieces(*case), volume_probability(*case)), over="n = 2, 3, 4, x = i/60"
    )


@claim(mutants=[dict(lower=0)])
def discrete_circle(lower=1):
    r"""On N places, n points lie in ℓ ≤ (N+1)/2 consecutive ones with probability $N[\ell^n - (\ell-1)^n]/N^n$; by
    enumeration.
    """

    def both(case: tuple[int, int, int]) -> tuple[int, int]:
        N, count, ell = case
        found = sum(in_an_arc(points, N, ell) for points in product(range(N), repeat=count))
        return found, N * (ell**count - (ell - lower) ** count)

    cases = [(N, count, ell) for N, count in CIRCLES for ell in range(1, (N + 1) // 2 + 1)]
    return ForEach(cases, both, over="(N, n, ℓ), all n-tuples")


@claim(mutants=[dict(terms=lambda at: math.floor(1 / at))])
def cost_and_conditioning(terms=lambda at: math.ceil(1 / at) - 1):
    r"""The formula needs $\lceil 1/x \rceil - 1$ terms; its terms are so large that float64 is useless for $nx
    \lesssim 1$.

    Number of terms with kx < 1, exactly. At n = 100, x = 1/125 the sum is 1, but terms exceed $2^{45}$, where double
    precision rounds to multiples of $2^{-7}$. The float values themselves are a matter of numerics.
    """
    at = Fraction(1, 125)
    largest = max(gap_term(100, j, at) for j in range(1, 101))
    return (
        ForEach(
            [Fraction(1, q) for q in range(2, 20)] + [Fraction(2, 2 * q + 1) for q in range(1, 20)],
            lambda z: (sum(1 for j in range(1, 200) if j * z < 1), terms(z)),
            over="x = 1/q and 2/(2q+1)",
        ),
        ForEach(
            [100],
            lambda c: ((largest > 2**45, sector_probability(c, 1 - at)), (terms(at) == 124, 1)),
            over="n = 100",
        ),
    )


@claim(mutants=[dict(threshold=Fraction(1, 3))])
def disjoint_events(threshold=Fraction(1, 2)):
    r"""The events $\{X_i > x\}$ are disjoint iff x ≥ ½, so $n(1-x)^{n-1}$ is exact iff θ ≤ π.

    $P(X_i > x, X_j > x) = (1-2x)_+^{n-1}$; beyond π the bare sum exceeds P by at most $\binom n2 (1-2x)^{n-1}$.
    Exactly on a grid."""

    def both(case: tuple[int, Fraction]) -> tuple[object, object]:
        c, at = case
        excess = c * (1 - at) ** (c - 1) - volume_probability(c, at)
        return (excess == 0, 0 <= excess <= gap_term(c, 2, at)), (at >= threshold, True)

    return ForEach(product(range(3, 8), GRID), both, over="n = 3..7, x = i/12")


def iterated_survival(upper: sp.Expr, c1: sp.Expr, c2: sp.Expr, c3: sp.Expr) -> sp.Expr:
    """∫∫∫ of the 3-marginal for n = 5, (4!/1!)(1 − x₁ − x₂ − x₃), from the c_i up to what is left; outermost up to
    `upper`.
    """
    u1, u2, u3 = sp.symbols("u1 u2 u3", real=True)
    value = 24 * (1 - u1 - u2 - u3)
    for variable, low, high in ((u3, c3, 1 - u1 - u2), (u2, c2, 1 - u1 - c3), (u1, c1, upper)):
        primitive = sp.Poly(value, variable).integrate().as_expr()
        value = sp.expand(primitive.subs(variable, high) - primitive.subs(variable, low))
    return value


@erratum(printed=dict(counted=2))
def printed_upper_limit_wrong(counted=1):
    r"""The outermost upper limit of the survival integral is $1 - (c_2 + \dots + c_k)$; the article prints $c_2$ twice.

    For k = 3, n = 5 the corrected integral is $(1-c_1-c_2-c_3)^4$, with symbolic c; taken literally (1 − c₂ − c₂) it
    gives .1280 instead of .1296 at (c₁, c₂, c₃) = (.1, .2, .1)."""
    c1, c2, c3 = sp.symbols("c1 c2 c3", real=True)
    upper = 1 - c2 - (c3 if counted == 1 else c2)
    return Identity(iterated_survival(upper, c1, c2, c3), (1 - c1 - c2 - c3) ** 4)


__all__ = ["long_gap_pmf", "sector_probability", "volume_probability", "wendel_probability"]
