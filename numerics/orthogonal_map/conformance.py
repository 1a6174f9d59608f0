r"""The torch maps against the exact matrices.

Su Jianlin, 《从一个单位向量变换到另一个单位向量的正交矩阵》, archive 8453. Vectors have integer coordinates, and both
sides normalise them: the exact one keeps square roots.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp
import torch

from kexue import Conforms, claim
from kexue.derivations.orthogonal_map import orthogonal_map as exact_map
from kexue.models.orthogonal_map import apply_orthogonal_map, orthogonal_map, rotation_between, rotation_trick
from kexue.statements.conforms import tensor

PAIRS = (
    ((1, 2, 3, 4, 5), (9, 8, 7, 6, 5)),  # the article's
    ((3, 1), (-2, 5)),
    ((1, 0, 2), (0, -1, -2)),
    ((1, 1, 1, -1), (-1, 2, 0, 3)),
)
KINDS = ("rotation", "householder", "half_turn", "neg_rotation", "auto")


def unit(v):
    return [sp.Integer(e) / sp.sqrt(sum(x * x for x in v)) for e in v]


def rows(matrix):
    return sp.ImmutableMatrix(matrix)


@claim(
    mutants=[
        dict(exact=lambda a, b, kind: exact_map(b, a, kind)),
        dict(exact=lambda a, b, kind: exact_map(a, [-e for e in b], kind)),
    ],
    needs=("torch",),
)
def maps_a_to_b(exact=exact_map):
    r"""`orthogonal_map` gives $T_1, T_2, T_3, T_4$ and the stable choice between $T_2$ and $T_3$.

    Observed in float64 on four pairs of integer vectors in dimensions 2 to 5, the article's among them.
    """
    return Conforms(
        lambda case: orthogonal_map(tensor(list(case[0])), tensor(list(case[1])), case[2], normalize=True),
        lambda case: rows(exact(unit(case[0]), unit(case[1]), case[2])),
        [(*pair, kind) for pair in PAIRS for kind in KINDS],
        ulps=16,
        over="four pairs, five kinds",
    )


@claim(mutants=[dict(inverse=False), dict(kind="half_turn")], needs=("torch",))
def linear_cost(inverse=True, kind="rotation"):
    r"""`apply_orthogonal_map` without a matrix is the matrix-vector product, $T^\top x$ included.

    Observed in float64 for $T_1$ and its inverse on four pairs of integer vectors.
    """

    def vector(case):
        return [(-1) ** i * (i + 2) for i in range(len(case[0]))]

    def compute(case):
        a, b, x = (tensor(list(v)) for v in (*case, vector(case)))
        there, back = (
            apply_orthogonal_map(a, b, x, "rotation", inverse=which, normalize=True) for which in (False, inverse)
        )
        return there, back

    def exact(case):
        T, x = exact_map(unit(case[0]), unit(case[1]), kind), sp.Matrix(vector(case))
        return list(T * x), list(T.T * x)

    return Conforms(compute, exact, PAIRS, ulps=16, over="four pairs")


@claim(mutants=[dict(t=Fraction(1, 4)), dict(end=lambda a, b: b)], needs=("torch",))
def geodesic(t=Fraction(1, 2), end=lambda a, b: [p + q for p, q in zip(a, b, strict=True)]):
    r"""`rotation_between` at $t = \tfrac12$ is the rotation from $a$ to the bisector $(a+b)/\|a+b\|$.

    Observed in float64 on four pairs of integer vectors.
    """

    def exact(case):
        a, b = unit(case[0]), unit(case[1])
        m = end(a, b)
        length = sp.sqrt(sp.expand(sum(e**2 for e in m)))
        # T1 from a to m/‖m‖, written out: the nested roots are left to ball arithmetic
        n = [e / length for e in m]
        c = sum(p * q for p, q in zip(a, n, strict=True))
        s = [p + q for p, q in zip(a, n, strict=True)]
        d = len(a)
        return [[int(i == j) + 2 * n[i] * a[j] - s[i] * s[j] / (1 + c) for j in range(d)] for i in range(d)]

    return Conforms(
        lambda case: rotation_between(*(tensor(list(v)) for v in case), float(t), normalize=True),
        exact,
        PAIRS,
        ulps=32,
        over="four pairs",
    )


@claim(mutants=[dict(transposed=False), dict(power=0)], needs=("torch",))
def rotation_trick_jacobian(transposed=True, power=1):
    r"""The gradient that `rotation_trick` sends back is $\frac{\|q\|}{\|z\|}T_1^\top g$, and its value is exactly $q$.

    Observed in float64 on four pairs of integer vectors, by autograd.
    """

    def compute(case):
        z, q = (tensor(list(v)) for v in case)
        z.requires_grad_()
        out = rotation_trick(z, q)
        g = torch.arange(1, len(z) + 1, dtype=torch.float64)
        return torch.autograd.grad(out, z, g)[0], out

    def exact(case):
        z, q = case
        T = exact_map(unit(z), unit(q), "rotation")
        ratio = sp.sqrt(sp.Rational(sum(e * e for e in q), sum(e * e for e in z))) ** power
        g = sp.Matrix(range(1, len(z) + 1))
        return list(ratio * (T.T if transposed else T) * g), list(q)

    return Conforms(compute, exact, PAIRS, ulps=16, over="four pairs")


@claim(mutants=[dict(conjugated=False)], needs=("torch",))
def unitary_case(conjugated=True):
    r"""For complex vectors kind "unitary" is $I - (a-b)(a-b)^*/(1-b^*a)$: observed in complex128 on two pairs."""
    gaussian = (((1, 2), (2, 0)), ((2, 0), (1, 2))), (((1, 1), (0, -1), (1, 0)), ((0, 2), (0, 0), (0, 0)))

    def compute(case):
        a, b = (torch.complex(*(tensor([e[i] for e in v]) for i in (0, 1))) for v in case)
        return orthogonal_map(a, b, "unitary", normalize=True)

    def exact(case):
        a, b = (
            sp.Matrix([p + sp.I * q for p, q in v]) / sp.sqrt(sum(p * p + q * q for p, q in v)) for v in case
        )
        v = a - b
        inner = (b.H if conjugated else b.T) * a
        return sp.eye(len(a)) - v * v.H / (1 - inner[0])

    return Conforms(compute, exact, gaussian, ulps=16, over="two pairs of Gaussian integers")
