"""Temperature, what the likelihood can't tell, and what a homeomorphism can't do."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from sympy import Ne, erf, exp, log, pi, sqrt

from kexue import ForAll, ForEach, Identity, Limit, Words, claim, erratum, letters, mutant

from .common import L, T, a, log_normal, x1, x2, z

N, D, volume = sp.symbols("N D c", real=True)


def _log_density(squared: Any, temperature: Any) -> sp.Expr:
    """ln of the density at temperature T: N(0, T²I) at ‖z‖² = squared, times a constant Jacobian e^c."""
    return -squared / (2 * temperature**2) - D * log(temperature) - D / 2 * log(2 * pi) + volume


@erratum(
    printed=dict(exponent=lambda T: T**2),
    mutants=[dict(exponent=lambda T: 1 / T)],
)
def temperature_additive(exponent=lambda T: 1 / T**2):
    r"""Where |det J| is constant (additive couplings), sampling with z ~ N(0, T²I) gives $p_T(x) \propto p(x)^{1/T^2}$.

    For every D: $\ln p_T - \ln p/T^2$ doesn't depend on $N = \|z\|^2$; c is the constant $\ln|\det J|$. The Glow paper
    (section 5) prints the exponent T², which would flatten where T < 1 sharpens: there the slope in N is $(T^4 -
    1)/(2T^2)$.
    """
    difference = _log_density(N, T) - exponent(T) * _log_density(N, sp.Integer(1))
    return Identity(sp.diff(difference, N), 0, [T > 0])


@claim(mutants=[dict(slope=lambda T: 0), mutant("domain", cold=False)])
def temperature_affine_fails(slope=lambda T: 1 - 1 / T**2, cold=True):
    r"""For the affine flow $x_1 = z_1$, $x_2 = z_2e^{-z_1}$ the difference $\ln p_T - \ln p/T^2$ is $x_1(1 - 1/T^2)$
    plus a constant: for T ≠ 1 sampling at temperature T isn't $p^{1/T^2}$.

    Both densities from the change of variables, $z_2 = x_2e^{x_1}$, $\ln|\det J| = x_1$; the slopes in $x_1$ and $x_2$.
    Mutants: no slope; T = 1 is admitted.
    """

    def log_density(temperature: Any) -> sp.Expr:
        return log_normal(x1, 0, temperature) + log_normal(x2 * exp(x1), 0, temperature) + x1

    difference = log_density(T) - log_density(sp.Integer(1)) / T**2
    return (
        Identity(sp.Matrix([sp.diff(difference, x1), sp.diff(difference, x2)]), sp.Matrix([slope(T), 0]), [T > 0]),
        ForAll(Ne(1 - 1 / T**2, 0), [T > 0, Ne(T, 1)] if cold else [T > 0]),
    )


def _plane(first: Fraction, second: Fraction, mirrored: bool, stretch: int) -> list[list[Fraction]]:
    sign = -1 if mirrored else 1
    return [[stretch * first, -sign * stretch * second], [stretch * second, sign * stretch * first]]


@erratum(
    printed=dict(identified=lambda same_density: same_density),
    mutants=[mutant("domain", orthogonal=False, stretch=2)],
)
def nonlinear_ica_not_identifiable(identified=lambda same_density: False, orthogonal=True, stretch=1):
    r"""For every orthogonal O the flow O∘f has the density of f: $\|Oz\| = \|z\|$ and $|\det O| = 1$. The likelihood
    can't tell f from O∘f, and a perfect fit gives independent coordinates for all of them.

    So "independent coordinates are disentangled and each has its own meaning" doesn't follow. Every D as words:
    $(Oz)^\top Oz = z^\top z$, and the covariance $OIO^\top = I$ of Oz. Exactly in the plane, for 14 rational rotations
    and reflections other than the identity and f(x) = (x, y + x²): $\|f\|^2$ and |det| agree at 25 points, the
    coordinates don't at all of them. With a scale layer the same holds of s ⊗ h. Printed: equal densities would mean
    equal coordinates. Mutant: twice an orthogonal matrix.
    """
    O, u = letters("O u")
    rules = [(O.T * O, 1), (O * O.T, 1)] if orthogonal else []
    model = {"O": [[0, -stretch], [stretch, 0]], "u": [[1], [3]]}
    turns = [(Fraction(p), Fraction(q)) for p, q in ((-1, 0), (0, 1), (0, -1))]
    turns += [(Fraction(p, 5), Fraction(q, 5)) for p, q in ((3, 4), (4, -3), (-3, 4), (-4, -3))]

    def case(orthogonal_map: tuple[tuple[Fraction, Fraction], bool]) -> tuple[Any, Any]:
        (first, second), mirrored = orthogonal_map
        O = _plane(first, second, mirrored, stretch)
        det = O[0][0] * O[1][1] - O[0][1] * O[1][0]
        norms, coordinates = [], []
        for px, py in product(range(-2, 3), repeat=2):
            f = [Fraction(px), Fraction(py + px * px)]
            g = [row[0] * f[0] + row[1] * f[1] for row in O]
            norms.append(g[0] ** 2 + g[1] ** 2 == f[0] ** 2 + f[1] ** 2)
            coordinates.append(g == f)
        density = all(norms) and abs(det) == 1
        return (density, all(coordinates)), (True, identified(density))

    return (
        Words((O * u).T * (O * u), u.T * u, rules, model=model),
        Words(O * O.T, 1, rules, model=model),
        ForEach(product(turns, (False, True)), case, over="14 rational rotations and reflections of the plane"),
    )


@claim(
    mutants=[
        dict(reach=lambda a, L: 2 * a / L),
        dict(weight=lambda z: exp(-(z**2) / 2)),
        dict(rate=lambda a: a),
        dict(side=sp.Integer(-1), growth=0),
    ]
)
def homeomorphism_limit(
    reach=lambda a, L: a / L,
    weight=lambda z: sqrt(2 / pi) * exp(-(z**2) / 2),
    rate=lambda a: a * sqrt(2 / pi),
    side=sp.Integer(1),
    growth=sp.oo,
):
    r"""A flow is a homeomorphism, so its support is connected. On the line, a generator g of Lipschitz constant L with
    equal masses beyond a gap (−a, a) leaves at least $\mathrm{erf}(a/(L\sqrt2))$ in the gap; as this mass ε tends to 0,
    L → ∞, at least like $a\sqrt{2/\pi}/\varepsilon$.

    An increasing homeomorphism g takes ∓ζ to ∓a (equal masses), so 2a ≤ L·2ζ, ζ ≥ a/L, and ε = P(|z| < ζ) = erf(ζ/√2),
    which increases in ζ; a decreasing g is the mirror image. $L\varepsilon \ge (a/\zeta)\,\mathrm{erf}(\zeta /\sqrt2)
    \to a\sqrt{2/\pi}$. Data uniform on [−2, −1] ∪ [1, 2]: the only monotone map from N(0, 1) is $\pm1 +
    \mathrm{erf}(z/\sqrt2)$ for ±z > 0, which jumps from −1 to 1. That a continuous image of a connected set is
    connected is topology, and in D dimensions the same bound needs the isoperimetric inequality: neither is checked
    here. The filament of a trained flow in the plane is measured, not proved.
    """
    zeta = sp.Symbol("zeta", real=True)
    return (
        ForAll(zeta >= reach(a, L), [2 * a <= L * (2 * zeta), L > 0]),
        Identity(sp.diff(erf(z / sqrt(2)), z), weight(z)),
        Limit(a / z * erf(z / sqrt(2)), z, 0, rate(a), "+", [a > 0]),
        Limit(a / z, z, 0, growth, "+", [a > 0]),
        Limit(side + erf(z / sqrt(2)), z, 0, 1, "+"),
        Limit(-side + erf(z / sqrt(2)), z, 0, -1, "-"),
    )
