r"""The torch clip rules, steps and optimisers against exact numbers.

Su Jianlin, 《为什么梯度裁剪能加速训练过程?一个简明的分析》, 2020-06-05, archive 7469.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch

from kexue import Conforms, ForEach, claim
from kexue.derivations.gradient_clipping import clip_factor as exact_factor
from kexue.derivations.gradient_clipping import l0l1_step as exact_step
from kexue.models.gradient_clipping import (
    L0L1GD,
    ClippedSGD,
    NormalizedGD,
    clip_factor,
    clip_grad_norm_,
    l0l1_step,
    smoothness_probe,
)
from kexue.statements.conforms import tensor

NORMS = [Fraction(0), *(Fraction(m, 8) for m in (1, 3, 8, 11, 64, 1000))]
GAMMAS = (Fraction(1, 4), Fraction(1), Fraction(5, 2))
Optimiser = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]


def descend(optimiser: Optimiser, loss: Callable[[torch.Tensor], torch.Tensor], start: Any, steps: int) -> torch.Tensor:
    """The places that the optimiser visits in float64."""
    x = torch.nn.Parameter(tensor([start])[0])
    stepper, visited = optimiser([x]), []
    for _ in range(steps):
        x.grad = torch.autograd.grad(loss(x), x)[0]
        stepper.step()
        visited.append(x.detach().clone())
    return torch.stack(visited)


def quartic(x: torch.Tensor) -> torch.Tensor:
    return x.square().square().sum()


def exact_descent(step: Callable[[Fraction], Any], start: Fraction, count: int) -> list[Fraction]:
    """x ← x − step(|f′|) f′ on f = x⁴."""
    x, visited = start, []
    for _ in range(count):
        slope = 4 * x**3
        x = x - step(abs(slope)) * slope
        visited.append(x)
    return visited


@claim(
    mutants=[
        dict(exact=lambda g, gamma, form: exact_factor(g, 2 * gamma, form)),
        dict(exact=lambda g, gamma, form: exact_factor(g, gamma, "soft")),
    ],
    needs=("torch",),
)
def two_sided(exact=exact_factor):
    r"""`clip_factor` gives $\min(1, \gamma/g)$, $\gamma/(g+\gamma)$ and the logarithmic factor.

    Observed in float64 for seven norms, g = 0 among them, and three thresholds.
    """
    return Conforms(
        lambda case: clip_factor(tensor(NORMS), float(case[0]), case[1]),
        lambda case: [exact(g, *case) for g in NORMS],
        [(gamma, form) for gamma in GAMMAS for form in ("hard", "soft", "log")],
        ulps=8,
        over="seven norms, three thresholds, three forms",
    )


@claim(mutants=[dict(form="soft"), dict(again=3.0)], needs=("torch",))
def clip_gap(form="hard", again=5.0):
    r"""Hard clipping is a projection: after `clip_grad_norm_` the norm is min(g, γ), and the same call again changes
    nothing.

    Observed in float64 for gradients (3, 4)·s over two parameters, with norms 5s that floating point represents.
    """

    def project(scale: int) -> tuple[Any, Any]:
        ps = [torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2)]
        for p, g in zip(ps, (3.0, 4.0), strict=True):
            p.grad = torch.full((1,), g * scale / 4, dtype=torch.float64)
        before = clip_grad_norm_(ps, 5.0, form)
        once = [float(p.grad) for p in ps]
        after = clip_grad_norm_(ps, again, "hard")
        found = Fraction(float(before)), Fraction(float(after)), once == [float(p.grad) for p in ps]
        return found, (Fraction(5 * scale, 4), min(Fraction(5 * scale, 4), Fraction(5)), True)

    return ForEach((1, 2, 4, 8, 16, 40), project, over="norms from 5/4 to 50, γ = 5", observed=True)


@claim(mutants=[dict(gamma=Fraction(4)), dict(steps=3)], needs=("torch",))
def clip2_from_step(gamma=Fraction(1, 4), steps=4):
    r"""`L0L1GD` with the article's rule and `ClippedSGD` with the soft form, $\eta = 1/L_0$, $\gamma = L_0/L_1$, visit
    the exact iterates of $x \leftarrow x - f'/(L_0+L_1|f'|)$ on x⁴.

    Observed in float64 for $L_0 = 1$, $L_1 = 4$, four steps from three starts.
    """
    starts = (Fraction(1, 2), Fraction(-3, 2), Fraction(2))

    def compute(start: Fraction) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            descend(lambda ps: L0L1GD(ps, 1.0, 4.0), quartic, start, 4),
            descend(lambda ps: ClippedSGD(ps, 1.0, float(gamma), "soft"), quartic, start, 4),
        )

    def exact(start: Fraction) -> tuple[list[Fraction], list[Fraction]]:
        visited = exact_descent(lambda g: exact_step(g, 1, 4), start, steps)
        return visited, visited

    return Conforms(compute, exact, starts, ulps=32, over="four steps from three starts")


@claim(mutants=[dict(gamma=lambda eps: 2 * eps), dict(lr=lambda lr, eps: lr)], needs=("torch",))
def rmsprop_link(gamma=lambda eps: eps, lr=lambda lr, eps: lr / eps):
    r"""`NormalizedGD`, $\theta \leftarrow \theta - \eta\nabla f/(\|\nabla f\|+\epsilon)$, is soft clipping with $\gamma
    = \epsilon$ and the step $\eta/\epsilon$.

    Observed in float64 on x⁴ against the exact iterates, from two starts, for two ε.
    """
    cases = [(start, eps) for start in (Fraction(1), Fraction(-5, 2)) for eps in (Fraction(1, 8), Fraction(2))]

    def compute(case: tuple[Fraction, Fraction]) -> torch.Tensor:
        return descend(lambda ps: NormalizedGD(ps, 0.125, float(case[1])), quartic, case[0], 3)

    def exact(case: tuple[Fraction, Fraction]) -> list[Any]:
        start, eps = case
        rate = lr(Fraction(1, 8), eps)
        return exact_descent(lambda g: rate * Fraction(exact_factor(g, gamma(eps), "soft")), start, 3)

    return Conforms(compute, exact, cases, ulps=32, over="three steps, two starts, two ε")


@claim(mutants=[dict(rule="article"), dict(L1=3)], needs=("torch",))
def h_optimal_step(rule="log", L1=2):
    r"""`l0l1_step` with the rule "log" gives $\ln(1+y)/(L_1g)$, $y = L_1g/(L_0+L_1g)$, and $1/L_0$ at g = 0.

    Observed in float64 for seven norms and $L_0 = 1$, $L_1 = 2$.
    """
    return Conforms(
        lambda case: l0l1_step(tensor(NORMS), 1.0, 2.0, "log"),
        lambda case: [exact_step(g, 1, L1, rule) for g in NORMS],
        [0],
        ulps=8,
        over="seven norms",
    )


@claim(mutants=[dict(threshold=Fraction(1, 4)), dict(sign=1)], needs=("torch",))
def gd_threshold_quartic(threshold=Fraction(1, 2), sign=-1):
    r"""On x⁴ descent with $\eta = 1/(2x_0^2)$ and no clipping (γ = ∞) alternates between $x_0$ and $-x_0$ exactly.

    Observed in float64 for six steps from powers of two, where no step is rounded.
    """
    starts = [Fraction(2) ** e for e in (-3, 0, 2, 5)]
    return Conforms(
        lambda x0: descend(
            lambda ps: ClippedSGD(ps, float(threshold / x0**2), float("inf")), quartic, x0, 6
        ),
        lambda x0: [x0 * sign ** (i + 1) for i in range(6)],
        starts,
        ulps=0,
        over="six steps from four starts",
    )


@claim(mutants=[dict(second=lambda x: 4 * x**2), dict(first=lambda x: 4 * abs(x))], needs=("torch",))
def quartic_h(first=lambda x: 4 * abs(x) ** 3, second=lambda x: 12 * x**2):
    r"""`smoothness_probe` on $x^4 - y^2$ finds the gradient norm and the Hessian norm $\max(12x^2, 2)$, at y = 0.

    Observed in float64 at four x with $12x^2 > 2$: power iteration finds the eigenvalue of largest size, whatever its
    sign.
    """

    def compute(x: Fraction) -> torch.Tensor:
        place = torch.nn.Parameter(tensor([x, Fraction(0)]))
        generator = torch.Generator().manual_seed(0)
        found = smoothness_probe(
            lambda: place[0] ** 4 - place[1] ** 2, [place], iterations=60, generator=generator
        )
        return tensor([Fraction(found.gradient_norm), Fraction(found.smoothness)])

    return Conforms(
        compute,
        lambda x: [first(x), second(x)],
        [Fraction(1, 2), Fraction(-1), Fraction(3), Fraction(25, 4)],
        ulps=16,
        over="four places",
    )
