r"""Fitting: the penalty, the likelihood and its gradient, Fejér's kernel, quadrature, costs, and the methods beside it.

Archive 10007. Notation: see the package's docstring.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, I, Max, Rational, conjugate, cos, exp, log, pi, sin, sqrt, tanh

from kexue import Counts, Exists, ForAll, ForEach, Identity, Integral, Limit, claim, erratum

from .common import HALF, M, N, autocorrelation, c, d, e, j, k, n, square, t, u, v, x, y
from .density import multiplied, real_series, summed, whole
from .positivity import orthogonality

g, h, r, w, A, K, L, S, mu, sigma = sp.symbols("g h r w A K L S mu sigma", real=True)


# Smoothness


def derivative(series: dict[int, Any]) -> dict[int, Any]:
    return {index: I * pi * index * value for index, value in series.items()}


@claim(mutants=[dict(value=2), dict(power=1), dict(scale=1)])
def smoothness(value=0, power=2, scale=2):
    r"""$\int_{-1}^1|f'|^2 = 2\pi^2\sum_{|n|\le N}n^2|c_n|^2 = 4\pi^2\sum_{n\ge1}n^2|c_n|^2$.

    f' has the coefficients $i\pi nc_n$, and different ones are orthogonal (all N); N = 2 in full. (The article's right
    side carries a stray dx.)
    """
    terms = derivative(real_series(c, d, u))
    total = 2 * (square(c) + 4 * square(d))
    return (
        orthogonality(value),
        Identity(square(sp.diff(c * e(n), x)), pi**2 * n**power * square(c) + 0 * x),
        whole(multiplied(terms, terms), sp.diff(summed(real_series(c, d, u)), x) ** 2, scale * pi**2 * total),
    )


@claim(mutants=[dict(invariant=1), dict(power=2), dict(infimum=1), dict(scale=2)])
def regulariser_scale_defect(invariant=2, power=4, infimum=0, scale=1):
    r"""The likelihood of a and κa is the same, but the penalty $\int|f'|^2$ of κa is κ⁴ times that of a: its infimum
    along a ray is 0, so it can be trained away. On p it is scale free: $\int|p'|^2 = \pi^2\sum_{n\ge1}n^2|c_n/c_0|^2$.

    K stands for κ > 0; z = |A|², S = Σ|a_k|². N = 2 in full for the last part.
    """
    terms = {index: value * HALF for index, value in derivative(real_series(c, d)).items()}
    slope = sp.diff(summed(real_series(c, d)), x) / 2
    given = [K > 0, S > 0]
    return (
        Identity(K**2 * g / (2 * K**invariant * S), g / (2 * S), given),
        Identity(n**2 * square(K**2 * c), K**power * n**2 * square(c), [K > 0]),
        Limit(K**4 * g, K, 0, infimum * g, "+", [g > 0]),
        whole(multiplied(terms, terms), slope**2, scale * pi**2 * (square(c) + 4 * square(d))),
    )


# Likelihood


@claim(
    mutants=[dict(inside=log(2)), dict(outside=0), dict(first=lambda p: p[-1])],
    relies_on=("Jensen's formula: the mean of log|A| on the circle is log M(A), M = |a_N| Π max(1, |z_j|)",),
)
def mahler_kl(inside=0, outside=4 * log(2), first=lambda p: p[0]):
    r"""$\mathrm{KL}(U\|p) = \log c_0 - 2\log M(A)$ for the uniform law U, with the Mahler measure M; $=
    \log(c_0/|a_0|^2)$ for the minimum-phase factor.

    $\mathrm{KL} = -\tfrac12\int\log(|A|^2/c_0)$, and the formula for $\int_{-1}^1\log|e^{-i\pi x}-w|^2dx = 4\log\max(1,
    |w|)$ is quoted; enclosed here for w = ½ (0) and w = 2 (4 log 2). Vieta: $|a_0| = |a_N|\prod|z_j|$, so that M =
    |a_0| if no zero is inside (u, v, w real or complex zeros, N = 3).
    """
    zeros = (c, d, u)
    leading = sp.Symbol("l", complex=True)
    variable = sp.Symbol("variable")
    polynomial = sp.Poly(sp.expand(leading * sp.prod(variable - zero for zero in zeros)), variable)
    coefficients = polynomial.all_coeffs()[::-1]
    return (
        Integral(log(Rational(5, 4) - cos(pi * x)), x, -1, 1, inside),
        Integral(log(5 - 4 * cos(pi * x)), x, -1, 1, outside),
        Identity(square(first(coefficients)), square(leading) * sp.prod([square(zero) for zero in zeros])),
    )


@claim(mutants=[dict(factor=2), dict(order=-1), dict(weight=0), dict(point=(0, 2))])
def convex_mle(factor=1, order=1, weight=1, point=(HALF, 2)):
    r"""$-\sum_i\log p(x_i)$ is convex in $(\rho_1, …, \rho_N)$ on the convex set {f ≥ 0}: $p(x_i)$ is affine in ρ, and
    the Hessian is $\sum_ig_ig_i^\top/p_i^2$. In a it isn't convex.

    Entries of the Hessian for two coordinates u, v of ρ with any gradient (g, h), as for any number of coordinates; its
    form is a square. Mixtures of non-negative f are non-negative. Not convex in a: N = 1, $a = (1, t)$, one point with
    $\cos\pi x = \tfrac12$: the second derivative of $\log(1+t^2) - \log(1+t+t^2)$ at t = 2 is −19/1225 (r = cos πx).
    """
    p = HALF + g * u + h * v
    hessian = sp.hessian(-log(p), (u, v))
    outer = sp.Matrix([[g * g, g * h], [h * g, h * h]]) / p**2
    cosine, at = point
    loss = log(1 + t**2) - log(1 + 2 * r * t + t**2)
    return (
        Identity(hessian, factor * outer, [p > 0]),
        ForAll(sp.Ge(order * (g * u + h * v) ** 2, 0, evaluate=False)),
        ForAll(w * g + (weight - w) * h >= 0, [g >= 0, h >= 0, w >= 0, w <= 1]),
        Exists(sp.diff(loss, t, 2) < 0, {t: at, r: cosine}),
    )


def real_gradient(index: Any = k) -> tuple[Any, Any]:
    """½(∂_u − i∂_v) of log p in a_k = u + iv, where A = (g + ih) + a_k e^{−iπkx} and c_0 = S + |a_k|²; and A."""
    modulus = (g + u * cos(pi * index * x) + v * sin(pi * index * x)) ** 2
    modulus += (h - u * sin(pi * index * x) + v * cos(pi * index * x)) ** 2
    logarithm = log(modulus) - log(2 * (S + u**2 + v**2))
    return (sp.diff(logarithm, u) - I * sp.diff(logarithm, v)) / 2, modulus


@claim(mutants=[dict(sign=1), dict(slack=2), dict(factor=2), dict(far=1)])
def gradient_form(sign=-1, slack=1, factor=1, far=0):
    r"""$\partial\log p/\partial a_k = e^{-i\pi kx}/A(x) - a_k^*/c_0$ (Wirtinger), so its modulus is at least $1/|A(x)|
    - |a_k|/c_0$: it grows where the model has little mass. The gradient of a mixture's $\mu_j$ carries the
    responsibility of j and vanishes with the distance.

    First part: every k and N, A = (g + ih) + $a_ke^{-i\pi kx}$, $a_k = u + iv$, S the sum of the other $|a|^2$. Second:
    the triangle inequality for moduli. Third: p = g + w·N(y; μ, σ²) with any rest g > 0, whose gradient is
    (responsibility)·(y − μ)/σ²; fourth: it tends to 0 as μ → −∞ (σ = 1, y = 0).
    """
    gradient, modulus = real_gradient()
    amplitude = g + I * h + (u + I * v) * e(-k)
    normal = exp(-((y - mu) ** 2) / (2 * sigma**2)) / (sqrt(2 * pi) * sigma)
    mixture = g + w * normal
    rest = [g > 0, w > 0, sigma > 0]
    tail = exp(-(mu**2) / 2) * -mu / (g + exp(-(mu**2) / 2))
    return (
        Identity(gradient, e(-k) / amplitude + sign * (u - I * v) / (S + u**2 + v**2), [modulus > 0, S > 0]),
        ForAll(r >= slack * (w - h), [w >= 0, h >= 0, r >= 0, r + h >= w]),
        Identity(sp.diff(log(mixture), mu), factor * w * normal / mixture * (y - mu) / sigma**2, rest),
        Limit(tail, mu, -sp.oo, far, given=[g > 0]),
    )


# Closed forms: Fejér's kernel and quadrature


@claim(mutants=[dict(sign=1), dict(high=N), dict(weight=lambda N, q: N - q), dict(samples=1)])
def fejer_kde(sign=-1, high=None, weight=lambda N, q: N + 1 - q, samples=-1):
    r"""$\hat c_n = (1 - \tfrac{|n|}{N+1})\,\mathrm{mean}_i\,e^{-i\pi nx_i}$ gives a non-negative f: it is the kernel
    density estimate with Fejér's kernel $\tfrac1{2(N+1)}\big|\sum_{k=0}^Ne^{-i\pi ku}\big|^2$, without any training.

    $|\sum_ke^{-i\pi ku}|^2$ has the terms $e^{i\pi(k-j)u}$ (u = x), and k − j = n occurs N + 1 − |n| times (all N); the
    term of the sample $x_i = y$ is $e^{-i\pi ny}e^{i\pi nx} = e^{i\pi n(x-y)}$.
    """
    top = N - Max(0, n) if high is None else high
    return (
        Identity(e(-j) * conjugate(e(sign * (j + n))), e(n)),
        ForAll(Equivalent(And(0 <= j, j <= N, 0 <= j + n, j + n <= N), And(Max(0, -n) <= j, j <= top))),
        ForAll(Eq(N - Max(0, n) - Max(0, -n) + 1, weight(N, sp.Abs(n))), [N >= 0]),
        Identity(e(samples * n, y) * e(n), e(n, x - y)),
    )


def root_mean(nodes: int, frequency: int) -> Any:
    """(1/M)Σ_j ω^{jn}, ω = e^{2πi/M}, exactly: the remainder of Σ z^{jn} by the cyclotomic polynomial of M."""
    symbol = sp.Symbol("root")
    total = sp.Poly(sum(symbol ** (i * frequency % nodes) for i in range(nodes)), symbol)
    remainder = total.rem(sp.Poly(sp.cyclotomic_poly(nodes, symbol), symbol))
    return remainder.as_expr() / nodes


@claim(
    mutants=[dict(step=1), dict(multiple=2), dict(enough=lambda N: N), dict(whole=lambda N: 2 * N)]
)
def quadrature(step=-1, multiple=1, enough=lambda N: N + 1, whole=lambda N: 2 * N + 1):
    r"""The mean of f over M equispaced nodes of the period is $c_0$ exactly if M ≥ N + 1, and the discrete Fourier
    transform there gives all $c_n$ if M ≥ 2N + 1.

    The mean of $e^{i\pi nx_j}$ is 0 unless M divides n: $(1-\omega^n)\omega^{jn} = \omega^{jn} - \omega^{(j+1)n}$ sums
    over j to $1 - \omega^{Mn} = 0$ (here $\omega^n = e^{i\pi nt}$, t = 2/M); no n with 0 < |n| < M is divisible by M.
    Frequencies |n| ≤ N, or differences |n − m| ≤ 2N. N ≤ 5: exact means in the cyclotomic field at M = N + 1 and 2N +
    1.
    """

    def nodes(case: Any) -> tuple[Any, Any]:
        _, count, widest = case
        return [root_mean(count, index) for index in range(1, widest + 1)], [0] * widest

    cases = [(degree, enough(degree), degree) for degree in range(1, 6)]
    cases += [(degree, whole(degree), 2 * degree) for degree in range(1, 6)]
    return (
        Identity((1 - e(n, t)) * e(j * n, t), e(j * n, t) - e(n * (j - step), t)),
        ForAll(sp.Implies(Eq(multiple * n, M * k), Eq(n, 0)), [n < M, n > -M]),
        ForEach(cases, nodes, over="N ≤ 5, at M = N + 1 and M = 2N + 1"),
    )


@claim(
    mutants=[dict(sign=1), dict(phase=1), dict(limit=1), dict(order=-1)],
    relies_on=(
        "Fejér: the means of a continuous periodic p converge uniformly, of any integrable p in L¹",
        "Jackson: best approximation of a periodic C^k function is O(N^{−k})",
    ),
)
def universality(sign=-1, phase=I, limit=0, order=1):
    r"""Fejér means of p, which belong to the family, converge to p in L¹ for every density, uniformly if p is
    continuous with p(−1) = p(1); at ±1 they tend to ½(p(−1) + p(1)).

    The theorems are quoted. For $p = \tfrac{1+x}2$: $c_n = \tfrac{i(-1)^n}{2\pi n}$ is imaginary times $(-1)^n$, so
    that every mean is exactly ½ at both ends; the mean of degree N is off by $\tfrac N{\pi^2(N+1)^2} +
    \tfrac1{\pi^2}\sum_{n>N} \tfrac1{n^2}$ in squared L², at most $\tfrac1{\pi^2}(\tfrac N{(N+1)^2} + \tfrac1N) \to 0$,
    and $\|\cdot\|_1^2 \le 2\|\cdot\|_2^2$ on an interval of length 2 (L, S for the two sides' norms; $\int(|\cdot| -
    \tfrac L2)^2 \ge 0$).
    """
    rate, given = -I * pi * n, [n >= 1]
    primitive = e(-n) * ((1 + x) / rate - 1 / rate**2) / 4
    series = phase * (-1) ** n / (2 * pi * n)
    squared = (N / (N + 1) ** 2 + 1 / N) / pi**2
    return (
        Integral((1 + x) / 4 * e(-n), x, -1, 1, -sign * I * (-1) ** n / (2 * pi * n), primitive=primitive, given=given),
        Identity(series * e(n, 1) + conjugate(series * e(n, 1)), 0 * n, given),
        Limit(squared, N, sp.oo, limit),
        ForAll(order * L**2 <= order * 2 * S, [S - 2 * L * r + 2 * r**2 >= 0, Eq(L, 2 * r)]),
    )


# Costs


def run_autocorrelation(size: int, scalar: Any) -> Any:
    values = [scalar(i + 1) for i in range(size + 1)]
    found = []
    for shift in range(size + 1):
        total = values[0] * values[shift]
        for i in range(1, size + 1 - shift):
            total = total + values[i] * values[i + shift]
        found.append(total)
    return found


def run_horner(size: int, scalar: Any) -> Any:
    values, at = [scalar(i + 1) for i in range(size + 1)], scalar(3)
    total = values[-1]
    for value in values[-2::-1]:
        total = total * at + value
    return total


def circular(values: Any, nodes: int) -> list[Any]:
    """The circular autocorrelation on `nodes` points, which is conj(ifft(|fft(a)|²)) by the convolution theorem."""
    padded = [*values, *(0,) * (nodes - len(values))]
    return [
        sp.expand(sum(padded[i] * conjugate(padded[(i + shift) % nodes]) for i in range(nodes)))
        for shift in range(len(values))
    ]


SAMPLES = ((1, 2), (3, 1 + I, 2), (1, I, 2, 1 - I), (2, -1, I, 3, 1 + 2 * I))


@claim(
    mutants=[
        dict(products=lambda N: N * (N + 1) // 2),
        dict(horner=lambda N: N + 1),
        dict(nodes=lambda N: 2 * N),
        dict(dims=lambda N, D: D * (N + 1)),
    ]
)
def complexity(
    products=lambda N: (N + 1) * (N + 2) // 2,
    horner=lambda N: N,
    nodes=lambda N: 2 * N + 1,
    dims=lambda N, D: (N + 1) ** D,
):
    r"""The autocorrelation needs (N+1)(N+2)/2 products and N(N+1)/2 sums, or FFTs of M ≥ 2N + 1 points: $c =
    \overline{\mathrm{ifft}(|\mathrm{fft}(a, M)|^2)}$; A(x) by Horner N products and N sums a point; D dimensions
    $(N+1)^D$ coefficients.

    Counted on instrumented (complex) scalars for N = 1, …, 12. That M = 2N + 1 points are enough, and 2N aren't: the
    circular autocorrelation of four exact a of degrees 1 to 4.
    """
    sizes = range(1, 13)
    cases = [(degree, dimension) for degree in (1, 2, 3) for dimension in (1, 2, 3)]
    return (
        Counts(run_autocorrelation, sizes, {"mul": products, "add": lambda N: N * (N + 1) // 2}),
        Counts(run_horner, sizes, {"mul": horner, "add": horner}),
        ForEach(SAMPLES, lambda values: (circular(values, nodes(len(values) - 1)), autocorrelation(values)),
                over="four series of degrees 1 to 4"),
        ForEach(cases, lambda case: (len(list(product(range(case[0] + 1), repeat=case[1]))), dims(*case)),
                over="N, D = 1, 2, 3"),
    )  # fmt: skip


# The methods beside it: kernels, Gaussian mixtures, deep factorised priors


@claim(mutants=[dict(rate=2), dict(edge=1), dict(decay=1), dict(start=2), dict(half=1)])
def kde_smoothing(rate=1, edge=0, decay=HALF, start=1, half=HALF):
    r"""A Gaussian kernel of width σ multiplies the characteristic function by $e^{-\sigma^2t^2/2}$, so that $E\hat p =
    p * N(0, \sigma^2) \to p$ weakly as σ → 0, with the bias $\tfrac{\sigma^2}2p'' + O(\sigma^4)$.

    $\psi(t) = E\cos(tX)$ for X ~ N(0, σ²) obeys $\psi' = -\sigma^2t\psi$, ψ(0) = 1: $\tfrac d{dx}[\varphi\sin tx] =
    -\tfrac x{\sigma^2}\varphi\sin tx + t\varphi\cos tx$ vanishes on integration (its ends tend to 0; σ = 1 there). The
    solution is $e^{-\sigma^2t^2/2}$; each mode $\cos tx$ of p has $p'' = -t^2p$ and the bias $-\tfrac{\sigma^2t^2}2\cos
    tx$. Each evaluation costs n kernels: the data are memorised.
    """
    kernel = exp(-(x**2) / (2 * sigma**2)) / (sqrt(2 * pi) * sigma)
    slope = -rate * x / sigma**2 * kernel * sin(t * x) + t * kernel * cos(t * x)
    wave = exp(-decay * sigma**2 * t**2)
    return (
        Identity(sp.diff(kernel * sin(t * x), x), slope, [sigma > 0]),
        Limit(exp(-(x**2) / 2), x, sp.oo, edge),
        Identity(sp.diff(wave, t), -(sigma**2) * t * wave),
        Identity(exp(-(sigma**2) * t**2 / 2).subs(t, 0), start),
        Limit((exp(-(sigma**2) * t**2 / 2) - 1) / sigma**2, sigma, 0, -half * t**2, "+-"),
    )


@claim(mutants=[dict(moment=1), dict(sign=1), dict(far=-1), dict(term=0)])
def gmm_approximates(moment=sqrt(2 / pi), sign=-1, far=0, term=1):
    r"""The equal-weight mixture of $N(x_k, \sigma^2)$ at K sample points is the kernel estimate, and $W_1(\mathrm{GMM},
    p) \le W_1(\mathrm{empirical}_K, p) + \sigma\sqrt{2/\pi}$: every law with a mean is a limit of such mixtures.

    The coupling $(x_k, x_k + \sigma\varepsilon)$ costs $\sigma E|\varepsilon| = \sigma\sqrt{2/\pi}$ (first three
    parts), then the triangle inequality, all K: w, g, r stand for the three distances, u for σ, v for √(2/π).
    """
    primitive = sign * exp(-(x**2) / 2)
    return (
        Identity(sp.diff(primitive, x), x * exp(-(x**2) / 2)),
        Limit(primitive, x, sp.oo, far),
        Identity(2 / sqrt(2 * pi), moment),
        ForAll(w <= g + term * u * v, [w <= g + r, r <= u * v, g >= 0, r >= 0, u > 0, v > 0]),
    )


@claim(mutants=[dict(slope=2), dict(least=2), dict(order=-1), dict(weight=-1)])
def dfp_monotone(slope=1, least=1, order=1, weight=1):
    r"""The activation $x + \tanh(x)\tanh(a)$ has a derivative of at least $1 - |\tanh a| > 0$; with positive matrices
    (softplus) every layer, and σ of the last, is strictly increasing.

    v stands for tanh x, A for tanh a. A layer's derivative is a sum of positive weights times positive derivatives (two
    inputs g, h, and so on), and σ' = σ(1 − σ) > 0.
    """
    activation = x + tanh(x) * tanh(y)
    logistic = 1 / (1 + exp(-x))
    inside = [v > -1, v < 1, A > -1, A < 1]
    return (
        Identity(sp.diff(activation, x), 1 + slope * (1 - tanh(x) ** 2) * tanh(y)),
        ForAll(And(1 + (1 - v**2) * A >= least - sp.Abs(A), 1 - sp.Abs(A) > 0), inside),
        Identity(sp.diff(logistic, x), order * logistic * (1 - logistic)),
        ForAll(weight * (u * g + w * h) > 0, [u > 0, w > 0, g > 0, h > 0]),
    )


@erratum(
    printed=dict(mass=1),
    mutants=[dict(up=sp.oo), dict(down=-sp.oo), dict(flat=1), dict(far=1), dict(mass=tanh(1))],
)
def dfp_needs_limits(mass=tanh(HALF), up=1, down=-1, flat=0, far=sp.oo):
    r"""Increasing activations, non-negative weights and a final sigmoid give an increasing Φ in [0, 1], not yet a cdf:
    Φ(±∞) = 1, 0 is needed too, that is, logits unbounded both ways. $\Phi = \sigma(\tanh x)$ has the mass σ(1) − σ(−1)
    = tanh ½ = 0.46….

    The article asks for monotone activations and non-negative weights only; weights of zero even give a constant. With
    $x + \tanh(a)\tanh(x)$, A = tanh a > −1, and positive weights the logit is unbounded.
    """
    logistic = 1 / (1 + exp(-x))
    return (
        Limit(tanh(x), x, sp.oo, up),
        Limit(tanh(x), x, -sp.oo, down),
        Identity(logistic.subs(x, 1) - logistic.subs(x, -1), mass),
        Identity(sp.diff(logistic.subs(x, 0 * x + 2), x), flat),
        Limit(x + A * tanh(x), x, sp.oo, far, given=[A > -1, A < 1]),
    )
