"""What quantising the keys costs in accuracy: logits, total variation, outputs."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import sympy as sp
from sympy import And, Implies, Max, Rational, cosh, exp, sinh, sqrt

from kexue import (
    All,
    Exists,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Words,
    claim,
    letters,
)

from .forms import a, b, epsilon, m, nearest_codes, sigma, symbols, t, x, y, z


@claim(mutants=[dict(covariance=[[1, 0], [0, 0]], second=2)])
def isotropic_query_optimality(covariance=((3, 0), (0, 3)), second=1):
    r"""If $E[qq^\top] = \sigma^2I$ and q is independent of k, then $E(q^\top k - q^\top C_s)^2 = \sigma^2\|k -
    C_s\|^2$: the nearest code has the least expected squared error of the logit.

    Every dimension: with $w = k - C_s$ it is $w^\top E[qq^\top]w = \mathrm{tr}(\sigma^2I\,ww^\top)$. For a general
    covariance $\Sigma = R^\top R$ the error is $\|Rw\|^2$, so the best code is the nearest one in this Mahalanobis
    norm. The best code and the nearest one are compared for all 25 keys and 300 pairs of codes on the grid {−2, …,
    2}². With Σ = diag(1, 0) they differ: key (0, 0), codes (1, 0), (0, 2).
    """
    G = Gram("w", [[x**2]])
    (w,) = G.vectors()
    R, u = letters("R w")
    grid = list(product(range(-2, 3), repeat=2))

    def best(case: tuple[Any, Any]) -> tuple[int, int]:
        key, codes = case
        return nearest_codes([key], codes)[0], nearest_codes([key], codes, covariance)[0]

    cases = ((key, codes) for key in grid for codes in combinations(grid, 2))
    d = sp.Symbol("d", integer=True)
    return (
        Identity((sigma**2 * G.identity @ w.outer(w)).trace(d), second * sigma**2 * w.dot(w)),
        Words((R * u).T * (R * u), second * u.T * (R.T * R) * u, model={"R": [[1, 2], [0, 3]], "w": [1, 1]}),
        ForEach(cases, best, over="all keys and pairs of codes of the grid {−2, …, 2}²"),
    )


def _moved(t: sp.Expr) -> sp.Expr:
    """The new mass of a group of mass a whose weights grow by t while all others shrink by t."""
    return a * t / (a * t + (1 - a) / t)


@claim(mutants=[dict(bound=lambda t: (t - 1) / (t + 2), whole=2)])
def tv_bound(bound=lambda t: (t - 1) / (t + 1), whole=1):
    r"""If $p_j \propto e^{s_j}$, $\hat p_j \propto e^{s_j+\delta_j}$ and all $|\delta_j| \le \varepsilon$, then
    $\mathrm{TV}(p, \hat p) \le \tanh(\varepsilon/2)$; the bound is attained.

    Every finite alphabet. As $\sum_j(\hat p_j - p_j) = 0$ and $|d|/2 = \max(d, 0) - d/2$, TV is $\hat p(A) - p(A)$ for
    $A = \{\hat p_j > p_j\}$. With $t = e^\varepsilon$ and a = p(A), the weight of A becomes $x \le at$, that of the
    others $y \ge (1-a)/t$, and $x/(x+y) - a \le (t-1)/(t+1) = \tanh(\varepsilon/2)$. Equality at two points with $a =
    1/(1+t)$ and $\delta = (\varepsilon, -\varepsilon)$.
    """
    th = sinh(epsilon / 2) / cosh(epsilon / 2)
    share = x / (x + y)
    return (
        Identity(sp.Abs(z) / 2, whole * Max(z, 0) - z / 2),
        ForAll(share - a <= bound(t), [t >= 1, 0 < a, a < 1, x > 0, y > 0, x <= a * t, y >= (1 - a) / t]),
        Identity(_moved(t).subs(a, 1 / (1 + t)) - 1 / (1 + t), bound(t), [t >= 1]),
        Identity(th, bound(exp(epsilon))),
    )


@claim(
    mutants=[
        dict(bound=lambda t: (t**2 - 1) / (t**2 + 1) / 2),
        dict(sign=1, spread=1, product=Rational(1, 2), total=Max),
    ]
)
def attention_error_bound(
    bound=lambda t: (t - 1) / (t + 1), sign=-1, spread=2, product=1, total=lambda a, b: a + b
):  # fmt: skip
    r"""$\|o_i - \hat o_i\| \le \tanh(\varepsilon_i/2)\,\mathrm{diam}\{v_j\} \le 2\tanh(\varepsilon_i/2)\max_j\|v_j\|$
    with $\varepsilon_i = \max_j|q_i\cdot(k_j - \hat k_j)| \le \|q_i\|\max_j\|k_j - \hat k_j\|$.

    So the accuracy is lost through $\|k - \hat k\|$ only. Every n and $d_v$: let α and γ be the positive and the
    negative part of $\hat p - p$, both of sum τ = TV. Then $\tau(\alpha^\top V - \gamma^\top V) =
    \sum_{ij}\alpha_i\gamma_j(v_i - v_j)$, whose norm is at most τ²·diam by the triangle inequality (shown for the
    component along one direction and two terms; the rest is induction). Two values at distance 1 attain the bound by
    `tv-bound`, so ½ tanh ε is too small. The last inequality is Cauchy and Schwarz's, from $\|q - tw\|^2 \ge 0$ for
    all t.
    """
    alpha, gamma, V, ones = letters("α γ V 1")
    tau = symbols("tau")
    model = {"α": [1, 2, 0], "γ": [0, 0, 3], "V": [[1, 2], [3, 5], [7, 4]], "1": [1, 1, 1], tau: 3}
    difference = alpha.T * V + sign * gamma.T * V
    return (
        Words(
            tau * difference,
            gamma.T * ones * alpha.T * V - alpha.T * ones * gamma.T * V,
            [(alpha.T * ones, tau), (gamma.T * ones, tau)],
            model=model,
        ),
        ForAll(sp.Abs(a * x + b * y) <= total(a, b) * m, [a >= 0, b >= 0, sp.Abs(x) <= m, sp.Abs(y) <= m]),
        ForAll(sp.Abs(x - y) <= spread * m, [sp.Abs(x) <= m, sp.Abs(y) <= m]),
        ForAll(_moved(t) - a <= bound(t), [t >= 1, 0 < a, a < 1]),
        ForAll(Implies(All(t, a - 2 * b * t + m * t**2 >= 0), b**2 <= product * a * m)),
    )


@claim(mutants=[dict(power=Rational(1, 2)), dict(cross=1), dict(most=Rational(1, 2), channels=64)])
def rms_logit_bound(power=Rational(1, 4), cross=-1, most=1, channels=128):
    r"""With $q, k = \mathrm{RMSNorm}(\cdot)\,d_k^{-1/4}$ (no gain), $\|q\|^2 = \|k\|^2 = \sqrt{d_k}$ up to eps, so
    $|q\cdot k| \le \sqrt{d_k}$; for independent isotropic directions $E(q\cdot k)^2 = 1$.

    Every $d_k$: with $S = \sum x^2$ the square norm is $d_k^{-1/2}S/(S/d_k + \mathrm{eps})$, which is $\sqrt{d_k}$ for
    eps = 0 and less for eps > 0. Cauchy and Schwarz: $q^2k^2 - (qk)^2$ is a sum of squares (shown for $d_k = 3$; for
    every $d_k$ it is the discriminant of $\|q - tk\|^2 \ge 0$). $E[qq^\top] = d_k^{-1/2}I$, and $\mathrm{tr}(E[qq^\top]
    E[kk^\top]) = 1$. At $d_k = 128$ the bound is between 11.31 and 11.32.
    """
    d, S, eps = symbols("d S eps")
    square = S / (S / d + eps) * d ** (-2 * power)
    q, k = sp.Matrix(symbols("q1:4")), sp.Matrix(symbols("k1:4"))
    minors = [q[i] * k[j] + cross * q[j] * k[i] for i, j in combinations(range(3), 2)]
    G = Gram("w", [[x**2]])
    each = d ** (-2 * power) * G.identity
    return (
        Identity(square.subs(eps, 0), sqrt(d), [d > 0, S > 0]),
        ForAll(S / (S / d + eps) <= most * d, [d > 0, S > 0, eps >= 0]),
        Identity(q.dot(q) * k.dot(k) - q.dot(k) ** 2, sum(v**2 for v in minors)),
        ForAll(Implies(All(t, a - 2 * b * t + m * t**2 >= 0), b**2 <= most * a * m)),
        Identity((each @ each).trace(d), 1, [d > 0]),
        Exists(And(Rational(1131, 100) < sqrt(x), sqrt(x) < Rational(1132, 100)), {x: channels}),
    )
