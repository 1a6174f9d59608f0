r"""Projection onto a basis, the derivative of its coefficients, and the Fourier window. Article part 1, eqs 1–15."""

from __future__ import annotations

from typing import Any

import sympy as sp
from flint import fmpq_poly
from sympy import Eq, I, Ne, Rational, pi

from kexue import ForEach, Identity, Induction, Integral, Words, claim, erratum, letters

from .common import T, fraction, integral, legendre, n, s, t, w, x, z

m = sp.Symbol("m", integer=True)
lam, q = sp.symbols("lambda q", real=True)
a_ = sp.symbols("a0:4", real=True)
b_ = sp.symbols("b0:4", real=True)


@claim(mutants=[dict(entry=1), dict(first=-1)])
def universality_example(entry=-1, first=1):
    r"""$x' = \mathrm{diag}(1, -1, \begin{pmatrix}0&1\\-1&0\end{pmatrix})\,x$ is solved by $(e^t, e^{-t}, \sin t, \cos
    t)$.
    """
    solution = sp.Matrix([sp.exp(t), sp.exp(-t), sp.sin(t), sp.cos(t)])
    A = sp.Matrix([[first, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1], [0, 0, entry, 0]])
    return Identity(solution.diff(t), A * solution)


@claim(mutants=[dict(density=lambda t: 2 * (T - t) / T**2), dict(power=1)])
def time_maps(density=lambda t: 2 * t / T**2, power=2):
    r"""The maps sT, sw + T − w, $T\sqrt s$ have $\varphi = \partial_Tt/\partial_st = s/T,\ 1/w,\ 2s/T$ and, for
    uniform s, densities 1/T, 1/w, $2t/T^2$.

    The density of t is the derivative of the inverse map s(t), on [0, T], [T − w, T], [0, T]. For $T\sqrt s$ the
    point s = 1/4 is sent to T/2: recent times weigh more.
    """
    maps = sp.Matrix([s * T, s * w + T - w, T * sp.sqrt(s)])
    inverse = sp.Matrix([t / T, (t - T + w) / w, t**2 / T**2])
    phi = sp.Matrix([s / T, 1 / w, power * s / T])
    return (
        Identity(sp.Matrix([e.diff(T) / e.diff(s) for e in maps]), phi, [s > 0, T > 0, w > 0]),
        Identity(
            sp.Matrix([*inverse.diff(t), inverse[2].subs(t, T / 2)]),
            sp.Matrix([1 / T, 1 / w, density(t), Rational(1, 4)]),
            [T > 0, w > 0],
        ),
    )


@claim(mutants=[dict(wave=-1), dict(past=1)])
def fourier_window_exact_boundary(wave=1, past=-1):
    r"""$c_n' = \frac1w(u(T) - u(T-w)) + \frac{2\pi in}wc_n$ with $c_n = \int_0^1u(sw+T-w)e^{-2\pi ins}\,ds$, for u in
    C¹.

    Shown pointwise: with $v(s) = u(sw+T-w)$, $v' = wu'$, the integrand $u'e^{-2\pi ins}$ of c_n' is $\frac1w\frac
    d{ds}(ve^{-2\pi ins}) + \frac{2\pi in}wve^{-2\pi ins}$, and $e^{-2\pi in} = 1$. The whole formula is also compared
    with the closed form of c_n for all exponentials $u = e^{\lambda t}$.
    """
    turn = sp.exp(-2 * pi * I * n * s)
    v = sp.Function("v")(s)
    coefficient = sp.exp(lam * (T - w)) * (sp.exp(lam * w) - 1) / (lam * w - 2 * pi * I * n)
    boundary = (sp.exp(lam * T) + past * sp.exp(lam * (T - w))) / w
    return (
        Identity(v.diff(s) / w * turn, (v * turn).diff(s) / w + wave * 2 * pi * I * n / w * v * turn, [w > 0]),
        Identity(lam * coefficient, boundary + wave * 2 * pi * I * n / w * coefficient, [w > 0, lam > 0]),
    )


def _through_closure(gain: Any, z: sp.Expr) -> sp.Expr:
    """What a window system with closure gain multiplies the true coefficients by, as N → ∞, where z = e^{−sw}.

    c_n = gain (u − Σ c)/(sw − 2πin) and Σ_n 1/(sw − 2πin) = S = (1 + z)/(2(1 − z)); the true c_n = (1 − z) u/(sw −
    2πin).
    """
    S = (1 + z) / (2 * (1 - z))
    return gain / ((1 + gain * S) * (1 - z))


@erratum(
    printed=dict(gain=1),
    mutants=[dict(echo=lambda z: 2 / (2 - z)), dict(ratio=2)],
    relies_on=("Euler 1748, partial fractions of the cotangent: Σ 1/(x − 2πin) = ½coth(x/2), symmetric sums",),
)
def fourier_window_closure_erratum(gain=2, echo=lambda z: 2 / (3 - z), ratio=3):
    r"""The closure $u(T-w) \approx 2\sum c_k - u(T)$ gives the true Fourier coefficients as N → ∞; the printed $\sum
    c_k$ does not.

    At the jump of the periodised signal a Fourier series converges to the mean, $\sum c_k \to \frac12(u(T) +
    u(T-w))$. So the consistent system is $A = \mathrm{diag}(2\pi in/w) - \frac2w11^\top$, $B = \frac2w1$, twice the
    printed correction. In terms of $z = e^{-sw}$, 0 < z < 1, its transfer functions are the true ones times 1; the
    printed system's are the true ones times $2/(3-z) = \frac23\sum_j3^{-j}z^j$: it stores the signal with echoes
    $\frac23\sum_j3^{-j}u(t-jw)$. The sum of the series is proved with its remainder: after J terms
    $\frac2{3-z}(z/3)^J$.
    """
    total = sp.Function("S")
    return (
        Identity(_through_closure(gain, z), 1, [z > 0, z < 1]),
        Identity(_through_closure(1, z), echo(z), [z > 0, z < 1]),
        Induction(
            n, 0, {total(n + 1): total(n) + Rational(2, 3) * (z / 3) ** n}, {total(0): 0},
            [Eq(total(n), 2 * (1 - (z / ratio) ** n) / (3 - z))], [z > 0, z < 1],
        ),
    )  # fmt: skip


@claim(mutants=[dict(optimum=lambda H, b: b), dict(residual=1)])
def projection_optimum(optimum=lambda H, b: H * b, residual=-1):
    r"""$\int(u-\sum c_ng_n)^2$ is least at $c = G^{-1}b$, $b_n = \langle u, g_n\rangle$, G the Gram matrix; at c = b
    for orthonormal $g_n$, with the residual $\|u\|^2 - \sum c_n^2$.

    For every N, by completing the square: what depends on c is $(c-G^{-1}b)^\top G(c-G^{-1}b) =
    \int(\sum(c-G^{-1}b)_ng_n)^2 \ge 0$, and 0 only at c = G⁻¹b when the g_n are independent. The minimum runs over
    c_0, …, c_N (the article prints c_1, …, c_N).
    """
    c, b, G, H = letters("c b G H")
    best = optimum(H, b)
    model = {"G": [[2, 1], [1, 1]], "H": [[1, -1], [-1, 2]], "b": [1, 2], "c": [3, 5]}
    scalar = (c.T * b, b.T * c)
    symmetric = [(G * H, 1), (H * G, 1), (G.T, G), (H.T, H), scalar]
    return (
        Words(
            c.T * G * c - c.T * b - b.T * c, (c - best).T * G * (c - best) - b.T * H * b,
            symmetric, model=model,
        ),
        Words(c.T * c - c.T * b - b.T * c, (c - b).T * (c - b) + residual * b.T * b, [scalar], model=model),
    )  # fmt: skip


def _derivatives(point: Any, place: sp.Expr, low: int, boundary: Any) -> tuple[sp.Expr, sp.Expr]:
    """Both sides of the general formula for u, g of degree ≤ 3, with t = point(x), s = place(x), low ≤ x ≤ 1."""
    def signal(e: sp.Expr) -> sp.Expr:
        return sum(a * e**i for i, a in enumerate(a_))

    def over(e: sp.Expr) -> sp.Expr:
        return sp.integrate(sp.expand(e), (x, low, 1))

    g = sum(b * place**i for i, b in enumerate(b_))
    phi = sp.cancel(point.diff(T) * place.diff(x) / point.diff(x))
    ends = signal(point) * phi * g
    left = over(signal(point) * g * place.diff(x)).diff(T)
    right = boundary * (ends.subs(x, 1) - ends.subs(x, low)) - over(signal(point) * (phi * g).diff(x))
    return left, right


@claim(mutants=[dict(boundary=0), dict(phi=lambda a, b: b / a)])
def general_ode(boundary=1, phi=lambda a, b: a / b):
    r"""$c_n'(T) = [u\varphi g_n]_a^b - \int_a^bu\,d(\varphi g_n)$ with $\varphi = \partial_Tt/\partial_st$, for every
    map t(T, s) and u in C¹.

    Pointwise for arbitrary functions: with $v(s) = u(t(T, s))$ and $u' = v'/\partial_st$, the integrand
    $u'\partial_Tt\,g$ equals $\frac d{ds}(v\varphi g) - v\frac d{ds}(\varphi g)$. The integrated formula is checked
    for all polynomials u, g of degree ≤ 3 and the maps $(s+1)w/2+T-w$, $(s+1)T/2$, $T\sqrt{(s+1)/2}$ (there with $s =
    2x^2-1$).
    """
    v, g, by_T, by_s = (sp.Function(name)(s) for name in ("v", "g", "tau", "r"))
    factor = phi(by_T, by_s)
    pairs = [
        _derivatives((x + 1) * w / 2 + T - w, x, -1, boundary),
        _derivatives((x + 1) * T / 2, x, -1, boundary),
        _derivatives(T * x, 2 * x**2 - 1, 0, boundary),
    ]
    return (
        Identity(
            v.diff(s) / by_s * by_T * g, (v * factor * g).diff(s) - v * (factor * g).diff(s),
            [Ne(by_s, 0), Ne(by_T, 0)],
        ),
        Identity(sp.Matrix([p[0] for p in pairs]), sp.Matrix([p[1] for p in pairs]), [T > 0, w > 0]),
    )  # fmt: skip


@claim(mutants=[dict(value=0), dict(weighted=1), dict(scaled=lambda c, lead: c)])
def unique_weight1_family(value=Rational(-2, 3), weighted=0, scaled=lambda c, lead: c / lead):
    r"""Polynomials of degrees 0, 1, 2, … that are orthogonal with weight 1 on [−1, 1] are multiples of the Legendre
    ones; Chebyshev's are not: $\int T_0T_2 = -\frac23$.

    Checked for degrees below 12 by Gram–Schmidt from $1, t, t^2, \dots$ (each step determines its polynomial up to a
    factor). $T_0, T_2$ are orthogonal for the weight $(1-x^2)^{-1/2}$: with $x = \cos\theta$,
    $\int_0^\pi\cos2\theta\, d\theta = 0$. The article names Chebyshev's among the bases that need no weight.
    """
    theta = sp.Symbol("theta", real=True)

    def monic(i: int) -> tuple[Any, Any]:
        p = legendre(12)[i].coeffs()
        return [fraction(e) for e in gram_schmidt(i)], [fraction(scaled(e, p[-1])) for e in p]

    return (
        Integral(2 * x**2 - 1, x, -1, 1, value, primitive=2 * x**3 / 3 - x),
        Integral(sp.cos(2 * theta), theta, 0, pi, weighted, primitive=sp.sin(2 * theta) / 2),
        ForEach(range(12), monic, over="degrees 0..11"),
    )


def gram_schmidt(degree: int) -> list[Any]:
    """The monic polynomial of this degree that is orthogonal to all lower ones, from monomials."""
    found: list[fmpq_poly] = []
    for i in range(degree + 1):
        q_i = fmpq_poly([0] * i + [1])
        for old in found:
            q_i = q_i - old * (integral(q_i * old) / integral(old * old))
        found.append(q_i)
    return found[-1].coeffs()


@claim(mutants=[dict(operator=lambda f: (s**2 + 1) * f.diff(s)), dict(weight=2)])
def closure_needs_polynomials(operator=lambda f: (s + 1) * f.diff(s), weight=1):
    r"""$(s+1)\frac d{ds}$ keeps the degree of polynomials, $(s+1)(s^n)' = ns^n + ns^{n-1}$, but $s\,e^{-2\pi ins}$
    has the Fourier coefficient $i/(2\pi m)$ at distance every m ≠ 0.

    So the first N polynomial coefficients obey a closed system, and no finite set of Fourier modes does
    (`fourier-scale` truncates).
    """
    m_ = sp.Symbol("m", integer=True)
    turn = sp.exp(-2 * pi * I * m_ * s)
    return (
        Identity(operator(s**n), n * s**n + n * s ** (n - 1), [s > 0]),
        Integral(
            s * turn, s, 0, 1, weight * I / (2 * pi * m_),
            primitive=I * s * turn / (2 * pi * m_) + turn / (4 * pi**2 * m_**2), given=[Ne(m_, 0)],
        ),
    )  # fmt: skip
