r"""RoPE in linear attention: where it may stand, what it costs, and what an activation between W and R changes.

Article 8265 (the three forms) and 9403 (completeness). φ and ϕ are non-negative feature maps, here relu.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import And, Eq, Max, Ne, pi, sqrt

from kexue import Counts, Exists, ForAll, ForEach, Identity, Words, claim, letters

from .common import C3, C5, integer_skew, rotation, theta
from .solutions import cayley

a, b, u, v, w = sp.symbols("a b u v w", real=True)


def relu(value: Any) -> Any:
    return Max(value, 0)


def turn(angle: Any) -> sp.Expr:
    """The weight of a key at this angle for relu features q = k = (1, 0)."""
    e = sp.Matrix([relu(1), relu(0)])
    return (e.T * rotation(angle) * e)[0]


def _tokens(count: int) -> tuple[list[sp.Matrix], list[sp.Matrix], list[sp.Matrix]]:
    """Integer queries and keys of four channels with non-negative features, and values of three."""
    queries = [sp.Matrix([p % 3, 1, (2 * p) % 5, 2]) for p in range(count)]
    keys = [sp.Matrix([1, (p + 1) % 4, 3, p % 2]) for p in range(count)]
    values = [sp.Matrix([p, 1 - p, p * p]) for p in range(count)]
    return queries, keys, values


def _rotations(count: int) -> list[sp.Matrix]:
    return [sp.diag(C3**p, C5**p) for p in range(count)]


@claim(mutants=[dict(causal=False), dict(flops=lambda n: n**2), dict(weight=1), dict(most=1), dict(state=0)])
def linear_attention_rope(causal=True, flops=lambda n: n * 3 * (4 * 4 - 1), weight=-1, most=2, state=1):
    r"""$\sum_j(\mathcal R_i\phi(q_i))^\top(\mathcal R_j\varphi(k_j))v_j \big/ \sum_j\phi(q_i)^\top\varphi(k_j)$ takes
    $O(n\,d\,d_v)$ by prefix sums; weights may be negative.

    The state $S_j = S_{j-1} + (\mathcal R_jk_j)v_j^\top$ gives the numerators as $(\mathcal R_iq_i)^\top S_i$, by
    linearity for every size; causal numerators are compared with the quadratic form $\sum_{j\le i}q_i^\top\mathcal
    R_{j-i}k_jv_j$ exactly for n = 1..6, and the operations counted: $n\,d_v(4d-1)$. For d = 2 a key at the angle π has
    the weight −1. With sim = 1 + cos(q, k), the weights stay in [0, 2], as $\mathcal R$ keeps norms and $(q\cdot k)^2
    \le |q|^2|k|^2$: normalised they are probabilities.
    """
    S, query, key, value = letters("S q k v")
    model = {"S": [[1, 2], [3, 4]], "q": [1, 2], "k": [3, 5], "v": [2, 7]}

    def numerators(count: int) -> tuple[Any, Any]:
        queries, keys, values = _tokens(count)
        R = _rotations(count)
        memory, by_prefix = sp.zeros(4, 3), []
        for p in range(count):
            memory = memory + (R[p] * keys[p]) * values[p].T
            by_prefix.append(((R[p] * queries[p]).T * memory).T)
        quadratic = []
        for p in range(count):
            seen = range(p + 1) if causal else range(count)
            terms = [(queries[p].T * R[p].T * R[z] * keys[z])[0] * values[z] for z in seen]
            quadratic.append(sum(terms[1:], terms[0]))
        return by_prefix, quadratic

    def run(count: int, scalar: Any) -> None:
        memory = [[scalar(0) for _ in range(3)] for _ in range(4)]
        for p in range(count):
            q, k, v = ([scalar(Fraction(p + z, 7)) for z in range(size)] for size in (4, 4, 3))
            memory = [[e + k[row] * v[column] for column, e in enumerate(line)] for row, line in enumerate(memory)]
            for column in range(3):
                total = q[0] * memory[0][column]
                for row in range(1, 4):
                    total = total + q[row] * memory[row][column]

    return (
        Words(query.T * (S + key * value.T), query.T * S + state * query.T * key * value.T, model=model),
        ForEach(range(1, 7), numerators, over="n = 1..6 tokens, d = 4, d_v = 3"),
        Counts(run, (1, 2, 5, 16), {"flops": flops}),
        Identity(turn(pi), weight),
        ForAll(And(0 <= 1 + w / sqrt(u * v), 1 + w / sqrt(u * v) <= most), [u > 0, v > 0, w**2 <= u * v]),
    )


@claim(mutants=[dict(offset=pi / theta / 2), dict(denominator=1)])
def linear_attention_zero_denominator(offset=pi / theta, denominator=2):
    r"""With $\mathcal R$ in numerator and denominator the denominator can vanish: relu features, d = 2, q = k = (1, 0),
    offsets 0 and π/θ.

    It is 1 + (−1) = 0; with $\mathcal R$ in the numerator only it is 2. Positive features don't make rotated scores
    positive.
    """
    plain = turn(0) + turn(0)
    return (
        Identity(turn(0 * theta) + turn(offset * theta), 0),
        Identity(plain, denominator),
    )


def _zeros(matrix: sp.MatrixBase) -> int:
    return sum(1 for entry in matrix if entry == 0)


def _monomial_form(size: int) -> sp.Matrix:
    """Πᵀ D blockdiag(rotations) D⁻¹ Π with a cyclic permutation and positive D."""
    scale = sp.diag(*range(1, size + 1))
    order = sp.Matrix(size, size, lambda row, column: int(column == (row + 1) % size))
    return order.T * scale * sp.diag(*([C3] * (size // 2))) * scale.inv() * order


@claim(
    mutants=[
        dict(zeros=lambda d: 2 * d),
        dict(product=lambda c: c + 1),
        dict(equal=True),
        dict(term=lambda x, y: x + y),
    ]
)
def completeness_linear_attention(
    zeros=lambda d: d * d - 2 * d, product=lambda c: c, equal=False, term=lambda x, y: x * y
):
    r"""With relu between W and $\mathcal R$ absorption fails for even d ≥ 4: no $W_q', W_k'$ give a general $e^{rB}$ by
    a block-diagonal $e^{r\Lambda}$.

    Precisely: no d×d matrices have $\mathrm{relu}(W_q'x)^\top e^{r\Lambda}\mathrm{relu}(W_k'y) = \mathrm{relu}(x)^\top
    e^{rB}\mathrm{relu}(y)$ for all x, y and r = 0, 1 when $e^B$ has no zero entry. r = 0, x = e_j, y = e_k: $A =
    \mathrm{relu}(W_q'^\top)$ and $C = \mathrm{relu}(W_k'^\top)$ are non-negative with $AC^\top = I$, so each product
    $a_{ji}c_{ki}$, j ≠ k, vanishes (a sum of non-negative terms; shown for two), and column i of A has one non-zero
    entry: A is a permutation times a positive diagonal, C its inverse. x = −e_j, y = e_k then leaves no negative entry
    in $W_q'$, likewise $W_k'$: $W_q' = D\Pi$, $W_k' = D^{-1}\Pi$, which does solve r = 0. r = 1 on positive x, y: $e^B
    = \Pi^\top De^\Lambda D^{-1}\Pi$, with at least d² − 2d zeros, while a Cayley orthogonal matrix has none (d = 4, 6,
    8, exact). The plane d = 2 is no counter-example: there every B is θJ. The obvious attempt, relu(Pᵀx) for Pᵀ
    relu(x), is wrong: shown at a point. Deductions between the checked steps are on paper.
    """
    x, y, c = sp.symbols("x y c", real=True)
    first, second = sp.symbols("a1 a2", real=True), sp.symbols("c1 c2", real=True)
    products = [s * t for s, t in zip(first, second, strict=True)]
    point = sp.Matrix([1, -1])
    outside, inside = C3.T * point.applyfunc(relu), (C3.T * point).applyfunc(relu)

    def patterns(size: int) -> tuple[Any, Any]:
        return (_zeros(_monomial_form(size)), _zeros(cayley(integer_skew(size, seed=2)))), (zeros(size), 0)

    return (
        ForAll(
            And(*(Eq(term(s, t), 0) for s, t in zip(first, second, strict=True))),
            [*(s >= 0 for s in (*first, *second)), Eq(sum(products), 0)],
        ),
        Identity(relu(c * x) * relu(y / c), product(relu(x) * relu(y)), [c > 0]),
        ForEach((4, 6, 8), patterns, over="d = 4, 6, 8"),
        Exists(Eq(a, b) if equal else Ne(a, b), {a: outside[0], b: inside[0]}),
    )
