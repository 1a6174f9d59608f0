r"""The torch optimisers against exact trajectories, and torch's Adam against its formulas.

Su Jianlin, 《Google新搜出的优化器Lion:效率与效果兼得的“训练狮”》, 2023-02-16, archive 9473;
《Tiger:一个“抠”到极致的优化器》, 2023-03-07, archive 9512. With dyadic β, rates and gradients no step of a short run is
rounded in float64: these trajectories are equal, not close.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import torch

from kexue import Conforms, ForEach, claim
from kexue.derivations.lion import lion_bound, lion_trajectory, state_numbers, tiger_trajectory
from kexue.models.lion import Lion, LionK, Tiger
from kexue.statements.conforms import fractions, tensor

Vector = Sequence[Fraction]
Build = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
RATE, DECAY = Fraction(1, 8), Fraction(1, 4)
START = (Fraction(2), Fraction(-1), Fraction(1, 4))
SEVEN, MORE = Fraction(7, 8), Fraction(63, 64)


def valley(t: int, theta: Vector) -> list[Fraction]:
    """Gradients of quadratics with moving centres; dyadic numbers of a few bits, for float64 as for fractions."""
    return [theta[0] - Fraction(t % 3, 2), 2 * theta[1] + theta[0] / 4 - Fraction(t % 4, 8), theta[2] - theta[0] / 2]


def run(
    build: Build, steps: int, gradient: Callable[[int, Vector], Vector] = valley, start: Vector = START
) -> list[Any]:
    """θ_0, …, θ_n of an optimiser in float64, as fractions; its gradients are computed exactly from θ."""
    p = torch.nn.Parameter(tensor(list(start)))
    optimizer, found = build([p]), [fractions(p.detach())]
    for t in range(1, steps + 1):
        p.grad = tensor(gradient(t, found[-1]))
        optimizer.step()
        found.append(fractions(p.detach()))
    return found


@claim(mutants=[dict(betas=(MORE, SEVEN)), dict(decay=Fraction(0)), dict(betas=(SEVEN, SEVEN))], needs=("torch",))
def unrolled_weights(betas=(SEVEN, MORE), decay=DECAY):
    r"""`Lion`, as a loop, in chunks and as `LionK`, visits exactly $\theta_0, \dots, \theta_8$ of the rational
    recursion.

    Observed in float64 at β = (7/8, 63/64), η = 1/8, λ = 1/4 and (3/4, 7/8): nothing is rounded.
    """

    def both(case: str) -> tuple[Any, Any]:
        options = {"lr": 0.125, "betas": (0.875, 0.984375), "weight_decay": 0.25}
        build: dict[str, Build] = {
            "loop": lambda ps: Lion(ps, **options, foreach=False),
            "chunks": lambda ps: Lion(ps, **options),
            "LionK": lambda ps: LionK(ps, **options, K="l1"),
        }
        return run(build[case], 8), [list(at) for at in lion_trajectory(valley, START, 8, RATE, decay, betas)]

    return ForEach(("loop", "chunks", "LionK"), both, over="eight steps in three forms", observed=True)


@claim(mutants=[dict(beta=Fraction(3, 4)), dict(second=0.25)], needs=("torch",))
def signum_special_case(beta=SEVEN, second=0.875):
    r"""`Lion` with β = (7/8, 7/8) and `Tiger` with the unscaled rate visit exactly the rational trajectory of Tiger.

    Observed in float64 for ten steps without rounding; Tiger's rate for vectors is α/2, here 1/8.
    """
    exact = [list(at) for at in tiger_trajectory(valley, START, 10, RATE, 0, beta)]

    def both(case: str) -> tuple[Any, Any]:
        build: dict[str, Build] = {
            "Lion": lambda ps: Lion(ps, 0.125, (0.875, second)),
            "Tiger": lambda ps: Tiger(ps, 0.25, 0.875),
        }
        return run(build[case], 10), exact

    return ForEach(("Lion", "Tiger"), both, over="ten steps", observed=True)


@claim(mutants=[dict(bound=lambda *at: lion_bound(*at) * Fraction(99, 100)), dict(push=1)], needs=("torch",))
def theta_bound(bound=lion_bound, push=-1):
    r"""`Lion` with gradients that push outwards reaches $(1-\eta\lambda)^t|\theta_0| + (1-(1-\eta\lambda)^t)/\lambda$
    exactly.

    Observed in float64 for eight steps from 3 at three pairs (η, λ), λ = 0 among them, where nothing is rounded.
    """
    pairs = [(Fraction(1, 8), Fraction(1, 4)), (Fraction(1, 2), Fraction(1)), (Fraction(1, 4), Fraction(0))]

    def both(case: tuple[Fraction, Fraction]) -> tuple[Any, Any]:
        eta, lam = case
        path = run(
            lambda ps: Lion(ps, float(eta), weight_decay=float(lam)), 8, lambda *_: [Fraction(push)], [Fraction(3)]
        )
        return [at[0] for at in path], [bound(3, eta, lam, t) for t in range(9)]

    return ForEach(pairs, both, over="eight steps, three pairs (η, λ)", observed=True)


@claim(mutants=[dict(build=lambda ps: torch.optim.AdamW(ps, 0.125, eps=0.1)), dict(power=-1)], needs=("torch",))
def scale_invariance(build=lambda ps: Lion(ps, 0.125, weight_decay=0.25), power=1):
    r"""$L \to 2^jL$ leaves every bit of `Lion`'s trajectory as it is.

    Observed in float64 at β = (0.9, 0.99), with rounding, for ten steps and j = −20, 3, 40. The first mutant is AdamW.
    """

    def path(scale: Fraction) -> list[Any]:
        return run(build, 10, lambda t, at: [scale * Fraction(s) for s in (t % 3 - 1, t % 4 - 2, t - 5)])

    def both(j: int) -> tuple[Any, Any]:
        return path(Fraction(2) ** j), path(Fraction(power))

    return ForEach((-20, 3, 40), both, over="ten steps, three scales", observed=True)


@claim(mutants=[dict(epsilon=Fraction(1, 2)), dict(exact=lambda g, e: g / (g * g + e))], needs=("torch",))
def weight_vs_adam_first_step(epsilon=Fraction(1, 4), exact=lambda g, e: g / (abs(g) + e)):
    r"""The first update of torch's Adam is $g/(|g|+\epsilon)$.

    Observed in float64 for seven gradients, ε = 1/4, η = 1.
    """
    slopes = [Fraction(v, 16) for v in (-64, -9, -1, 0, 2, 5, 160)]

    def compute(_: Any) -> torch.Tensor:
        p = torch.nn.Parameter(torch.zeros(7, dtype=torch.float64))
        p.grad = tensor(slopes)
        torch.optim.Adam([p], 1.0, eps=0.25).step()
        return -p.detach()

    return Conforms(compute, lambda _: [exact(g, epsilon) for g in slopes], [0], ulps=8, over="seven gradients")


def _adam_last_update(slopes: list[float]) -> torch.Tensor:
    """u_t of torch's Adam; θ is put back to 0 before every step."""
    p = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.Adam([p], 1.0, eps=0.0)
    for slope in slopes:
        p.grad = torch.tensor([slope], dtype=torch.float64)
        p.data.zero_()
        optimizer.step()
    return -p.detach()


@claim(mutants=[dict(ratio=Fraction(81, 100)), dict(spike=True)], needs=("torch",))
def adam_sup(ratio=Fraction(810, 999), spike=False):
    r"""The gradients $a_i/b_i$ drive torch's Adam to $\sqrt{\sum_ia_i^2/b_i}$, more than the spike's
    $(1-\beta_1)/\sqrt{1-\beta_2} = 3.16$ for t = 600 and 2000.

    Observed in float64 at (0.9, 0.999), ε = 0, for the squares.
    """

    def compute(t: int) -> torch.Tensor:
        if spike:
            return _adam_last_update([0.0] * (t - 1) + [1.0]).square()
        scale = 0.1 / (1 - 0.9**t) * (1 - 0.999**t) / 0.001
        return _adam_last_update([scale * (0.9 / 0.999) ** i for i in range(t - 1, -1, -1)]).square()

    def exact(t: int) -> list[Any]:
        first, second = Fraction(9, 10) ** t, Fraction(999, 1000) ** t
        return [10 * (1 - second) / (1 - first) ** 2 * (1 - ratio**t) / (1 - ratio)]

    return Conforms(compute, exact, (1, 50, 600, 2000), ulps=2000, over="t = 1, 50, 600, 2000")


@claim(mutants=[dict(rule=lambda alpha, size: alpha * size), dict(alpha=Fraction(1, 32))], needs=("torch",))
def tiger_relative_step(rule=lambda alpha, size: alpha, alpha=Fraction(1, 64)):
    r"""A step of `Tiger` without decay has the relative length α for matrices of every size.

    Observed in float64 for four sizes and α = 1/64, with gradients that have no zero.
    """

    def compute(shape: tuple[int, int]) -> torch.Tensor:
        made = torch.Generator().manual_seed(shape[0])
        p = torch.nn.Parameter(torch.randn(shape, generator=made, dtype=torch.float64))
        before, p.grad = p.detach().clone(), torch.randn(shape, generator=made, dtype=torch.float64)
        Tiger([p], 1 / 64, weight_decay=0.0).step()
        return ((p.detach() - before).norm() / before.norm()).reshape(1)

    return Conforms(
        compute,
        lambda shape: [rule(alpha, shape[0])],
        [(2, 3), (7, 5), (40, 30), (128, 64)],
        ulps=256,
        over="four sizes",
    )


@claim(mutants=[dict(decay=1.0), dict(shape=(6,))], needs=("torch",))
def tiger_scale_equivariance(decay=None, shape=(3, 2)):
    r"""`Tiger` on L(θ/c) from $c\theta_0$ with λ/c visits exactly $c\theta_t$, c = ¼, 4, 1024.

    Observed in float64, 30 steps; the second mutant is a vector, whose rate is fixed.
    """

    def path(c: float, weight_decay: float) -> list[Any]:
        made = torch.Generator().manual_seed(0)
        start, goal = (torch.randn(shape, generator=made, dtype=torch.float64) for _ in range(2))
        p = torch.nn.Parameter(c * start)
        optimizer = Tiger([p], 0.01, weight_decay=weight_decay)
        found = []
        for _ in range(30):
            p.grad = (p.detach() / c - goal) / c
            optimizer.step()
            found.append(fractions((p.detach() / c).reshape(-1)))
        return found

    def both(c: float) -> tuple[Any, Any]:
        return path(c, decay if decay is not None else 0.5 / c), path(1.0, 0.5)

    return ForEach((0.25, 4.0, 1024.0), both, over="30 steps, three scales", observed=True)


@claim(mutants=[dict(group=lambda k: 1), dict(beta=Fraction(3, 4))], needs=("torch",))
def tiger_accumulation(group=lambda k: k, beta=SEVEN):
    r"""`Tiger` with grad_accum_steps = k visits exactly the rational trajectory of equation 5 of archive 9512.

    Observed in float64 for k = 1, 2, 4, without rounding; θ is compared after every gradient.
    """

    def both(k: int) -> tuple[Any, Any]:
        exact = tiger_trajectory(valley, START, 8, RATE, 0, beta, group(k))
        return run(lambda ps: Tiger(ps, 0.25, 0.875, grad_accum_steps=k), 8), [list(at) for at in exact]

    return ForEach((1, 2, 4), both, over="k = 1, 2, 4", observed=True)


@claim(mutants=[dict(centre=Fraction(0)), dict(shrink=Fraction(7, 8))], needs=("torch",))
def tiger_nan_shrink(centre=Fraction(1), shrink=Fraction(15, 16)):
    r"""After j gradients NaN, `Tiger` is exactly at $c + s^j(\theta_0-c)$, with s = 15/16 and c = 1.

    Observed in float64 for j ≤ 8, without rounding.
    """
    p = torch.nn.Parameter(tensor(list(START)))
    optimizer = Tiger([{"params": [p], "centre": 1.0}], nan_shrink=0.9375)
    p.grad = tensor([0, 0, 0]) * float("nan")

    def both(j: int) -> tuple[Any, Any]:
        optimizer.step()
        return fractions(p.detach()), [centre + shrink**j * (x - centre) for x in START]

    return ForEach(range(1, 9), both, over="j = 1, …, 8", observed=True)


@claim(mutants=[dict(counted=lambda name, shape: state_numbers("AdamW", shape)), dict(shapes=[(3, 4), (5,)])],
       needs=("torch",))  # fmt: skip
def memory(counted=state_numbers, shapes=((6, 4), (5,))):
    r"""The states of torch's AdamW and Adafactor, and of `Lion` and `Tiger`, hold as many numbers as `state_numbers`
    says.

    Step counts are left out. Observed for a matrix and a vector.
    """
    builds: dict[str, Build] = {
        "AdamW": lambda ps: torch.optim.AdamW(ps),
        "Lion": lambda ps: Lion(ps),
        "Tiger": lambda ps: Tiger(ps, grad_accum_steps=2),
        "AdaFactor": lambda ps: torch.optim.Adafactor(ps),
    }

    def both(name: str) -> tuple[Any, Any]:
        held = [torch.nn.Parameter(torch.ones(shape)) for shape in ((6, 4), (5,))]
        optimizer = builds[name](held)
        for p in held:
            p.grad = torch.ones_like(p)
        optimizer.step()
        kept = sum(x.numel() for state in optimizer.state.values() for key, x in state.items() if key != "step")
        return kept, sum(counted(name, shape) for shape in shapes)

    return ForEach(builds, both, over="four optimisers", observed=True)
