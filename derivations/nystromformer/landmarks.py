"""From two softmaxes to N: when it is exact, its rows and signs, the landmarks, causality and permutations."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, permutations, product
from typing import Any

import sympy as sp
from sympy import Equivalent, Matrix, Rational, exp

from kexue import Counts, ForAll, ForEach, Identity, Witnesses, Words, claim, erratum, mutant

from .common import (
    K_SIGNED,
    ONES,
    Q_SIGNED,
    SINGULAR,
    STOCHASTIC,
    A,
    B,
    F,
    G,
    M,
    P,
    S,
    Z,
    c,
    d,
    doubled,
    m,
    n,
    ones,
    penrose,
    r,
    s,
    symbolic_tokens,
    t,
    u,
    v,
    w,
)
from .exact import (
    Rows,
    attention,
    determinant,
    identity,
    matmul,
    multiplications,
    nystrom_attention,
    nystrom_factors,
    pseudo_inverse,
    segment_means,
    softmax,
    step,
    transposed,
)

# Two softmaxes and a matrix between them


def best_permutation_sum(a: Rows) -> Any:
    """max over permutations π of Σ_i a_{i, π(i)}."""
    return max(sum(a[i][j] for i, j in enumerate(order)) for order in permutations(range(len(a))))


@claim(
    mutants=[
        dict(normalised=1),
        dict(scale=2),
        mutant("domain", bounded=2),
        dict(inverse=lambda a: identity(len(a))),
    ]
)
def double_softmax_row_stochastic(normalised=0, scale=1, bounded=1, inverse=pseudo_inverse):
    r"""$FB$ is row-stochastic for all Q, K, n, m, d, and $\sum_i (FB)_{i,\pi(i)} \le m$ for every permutation π.

    It is linear attention with the m non-negative features $F_{i\cdot}$ of a query and $B_{\cdot j}$ of a key. Fv =
    u, Bu = v imply FBu = u and $v^\top Bu = v^\top v = m$; the bound sums $F_{il}B_{l,\pi(i)} \le B_{l,\pi(i)}$ over
    i and l. Row sums are also shown for symbolic logits, n = 4, m = 2, d = 1. The bound fails for $N = FA^\dagger B$
    with its signed entries: an exact instance with n = 4, m = 2 reaches 3.095.
    """
    q, k = symbolic_tokens("q", 4), symbolic_tokens("k", 4)
    f, _, _ = nystrom_factors(q, k, 2, exp)
    logits = matmul(segment_means(q, 2), transposed(k))
    b = softmax(logits, exp) if normalised == 0 else transposed(softmax(transposed(logits), exp))
    entry, weight = s, t

    def signed(case: int) -> tuple[Any, Any]:
        f, a, b = nystrom_factors(doubled(Q_SIGNED), K_SIGNED, case)
        plain, full = best_permutation_sum(matmul(f, b)), best_permutation_sum(matmul(f, inverse(a), b))
        return (plain <= 2, full > 3), (True, True)

    rules = [(F * v, u), (B * u, v)]
    return (
        Identity(Matrix(matmul(f, b, [[1]] * 4)), Matrix([1] * 4)),
        Words(scale * F * B * u, u, rules, model={**STOCHASTIC, **ONES}),
        Words(scale * v.T * B * u, v.T * v, rules, model={**STOCHASTIC, **ONES}),
        ForAll(entry * weight <= weight, [entry >= 0, entry <= bounded, weight >= 0]),
        ForEach([2], signed, over="m = 2, n = 4, an instance in base 2"),
    )


@claim(mutants=[dict(power=2)])
def full_landmarks_exact(power=1):
    r"""m = n (so $\tilde Q = Q$, $\tilde K = K$) gives $N = SS^\dagger S = S$ for every S, singular ones included.

    This is the first Penrose equation; the exact pseudo-inverse is compared on instances, of which Q = 0 and K with
    equal rows make S singular.
    """
    tokens = [(1, 0), (0, 1), (2, -1)]
    cases = [(tokens, [(1, 2), (0, 1), (-1, 1)]), ([(0, 0)] * 3, tokens), (tokens, [(1, 1), (1, 1), (0, 2)])]

    def both(case: tuple[Rows, Rows]) -> tuple[Any, Any]:
        s = attention(*case)
        g = pseudo_inverse(s)
        return (matmul(s, *[g] * power, s), nystrom_attention(*case, 3)), (s, s)

    singular = Matrix([[1, 1], [1, 1]]) / 2
    return Witnesses(
        Words(S * G**power * S, S, penrose(S, G), model={"S": 3 * singular, "G": singular / 3}),
        ForEach(cases, both, over="three instances in base 2, n = 3, two of them singular"),
    )


SINGULAR_S = {"S": Matrix([[1, 1], [1, 1]]) / 2, "G": Matrix([[1, 1], [1, 1]]) / 2, "M": Matrix([[3, -1], [1, 1]]) / 2}
INVERTIBLE_S = {"S": Matrix([[1, 2], [2, 1]]) / 3, "G": Matrix([[-1, 2], [2, -1]]), "M": Matrix([[-1, 2], [2, -1]])}


@claim(mutants=[mutant("domain", label="S may be singular", invertible=False), dict(factor=2)])
def middle_matrix_unique(invertible=True, factor=1):
    r"""For invertible S, $SMS = S$ iff $M = S^{-1}$; in general iff $M = S^\dagger + Z - S^\dagger SZSS^\dagger$ for
    some Z.

    All sizes; a solution M is of this form with Z = M. So exactness at m = n doesn't single out the pseudo-inverse of
    a singular S: $\tfrac12\begin{pmatrix}1&1\\1&1\end{pmatrix}$ has the solution $\tfrac12\begin{pmatrix}3&-1\\1&1
    \end{pmatrix}$ besides. Nor does it say anything about m < n.
    """
    inverse = [(G * S, 1), (S * G, 1)] if invertible else penrose(S, G)
    model = {**SINGULAR_S, "Z": [[1, 0], [0, 0]]}
    return (
        Words(M, G, [(S * M * S, S), *inverse], model=INVERTIBLE_S if invertible else SINGULAR_S),
        Words(S * (G + Z - factor * G * S * Z * S * G) * S, S, penrose(S, G), model=model),
        Words(G + M - factor * G * S * M * S * G, M, [(S * M * S, S), *penrose(S, G)], model=model),
    )


# When N is exact, and what it is otherwise


SEGMENTS = [[1, 0], [1, 0], [0, 1], [0, 1]]
HELD = [(2, 0), (2, 0), (0, 2), (0, 2)]  # constant on the two segments
RANK_ONE = {"A": Matrix([[2, 1], [2, 1]]) / 3, "G": Matrix([[2, 2], [1, 1]]) * Rational(3, 10), "P": Matrix(SEGMENTS)}


@claim(
    mutants=[
        dict(power=2),
        mutant("domain", label="B, F outside of the range of A", in_range=False),
        dict(share=1),
        dict(place=[[1, 0], [0, 1], [1, 0], [0, 1]]),
        dict(keys=[(1, -1), (-1, 1), (1, 1), (-1, -1)]),
        dict(held=[(2, 0), (2, 0), (0, 2), (2, 2)]),
    ]
)
def piecewise_constant_exact(
    power=1, in_range=True, share=Rational(1, 2), place=SEGMENTS, keys=((1, 1), (3, -1), (0, 2), (2, 2)), held=HELD
):  # fmt: skip
    r"""One of q, k constant on the segments and A invertible ⇒ $N = S$; both constant ⇒ $N = S$ for every A.

    With the indicator P (n×m) of the segments: (a) q constant: F = PA and S = PB, so $N = PAA^\dagger B = S$ if the
    columns of B are in the range of A, in particular for invertible A, whatever k is. (b) k constant: $B =
    AP^\top/r$, $S = FP^\top/r$, so N = S if the rows of F are in the row space of A. (c) both: $N = PAA^\dagger
    AP^\top/r = S$. All n, m, d as identities of letters. The factorisations hold as row i of F depends on $q_i$
    alone; they are shown for symbolic logits with n = 4, m = 2, d = 1. Exact instances of (a) and (b) in base 2; with
    equal key means A is singular and (a) fails.
    """
    q, k, (a, b) = symbolic_tokens("q", 4), symbolic_tokens("k", 4), sp.symbols("a b", real=True)
    constant = [[a], [a], [b], [b]]
    fa, aa, ba = nystrom_factors(constant, k, 2, exp)
    fb, ab, bb = nystrom_factors(q, constant, 2, exp)
    wide = Matrix([[1, 1, 2, 1], [1, 1, 2, 1] if in_range else [2, 1, 1, 1]]) / 5
    tall = Matrix([[2, 1], [2, 1] if in_range else [1, 1], [4, 2], [2, 1]]) / 3
    columns, rows = ([(A * G * B, B)], [(F * G * A, F)]) if in_range else ([], [])
    cases = [(held, keys), ([(2, 0), (2, 2), (0, 2), (2, 2)], held)]
    return (
        Words(P * A * G**power * B, P * B, [*penrose(A, G), *columns], model={**RANK_ONE, "B": wide}),
        Words(F * G**power * A * P.T, F * P.T, [*penrose(A, G), *rows], model={**RANK_ONE, "F": tall}),
        Words(P * A * G**power * A * P.T, P * A * P.T, penrose(A, G), model=RANK_ONE),
        Identity(Matrix(fa), Matrix(matmul(place, aa))),
        Identity(Matrix(attention(constant, k, exp)), Matrix(matmul(place, ba))),
        Identity(Matrix(bb), share * Matrix(matmul(ab, transposed(place)))),
        Identity(Matrix(attention(q, constant, exp)), share * Matrix(matmul(fb, transposed(place)))),
        ForEach(
            cases, lambda case: (nystrom_attention(*case, 2), attention(*case)), over="two instances, n = 4, m = 2"
        ),
    )


@claim(mutants=[dict(divisor=m), dict(share=lambda m: m / m), dict(queries=[(0, 0), (0, 0), (0, 0), (2, 2)])])
def uniform_exact(divisor=n, share=lambda m: 1 / m, queries=[(0, 0)] * 4):
    r"""Q = 0 or K = 0 ⇒ $N = S = uu^\top/n$, although $A = vv^\top/m$ has rank 1.

    All n, m, as identities of letters with $u^\top u = n$, $v^\top v = m$: $F = uv^\top/m$, $B = vu^\top/n$, and A is
    its own pseudo-inverse (symmetric and idempotent). Exact instances with n = 4, m = 2.
    """
    model = {**ONES, n: 3, m: 2}
    f, a, b = u * v.T * (1 / m), v * v.T * share(m), v * u.T * (1 / n)
    keys = [(2, 1), (1, 2), (0, 2), (-1, 1)]
    uniform = [[Fraction(1, 4)] * 4] * 4

    def both(case: tuple[Rows, Rows]) -> tuple[Any, Any]:
        return (attention(*case), nystrom_attention(*case, 2)), (uniform, uniform)

    return (
        Words(f * a * b, u * u.T * (1 / divisor), [(v.T * v, m)], model=model, given=[m > 0, n > 0]),
        Words(a * a, a, [(v.T * v, m)], model={**model, "v": [1, 1]}, given=[m > 0]),
        ForEach([(queries, keys), (keys, queries)], both, over="Q = 0 and K = 0, n = 4, m = 2"),
    )


@claim(
    mutants=[
        mutant("domain", label="A singular", invertible=False),
        dict(scale=2),
        mutant("domain", label="1 outside of the row space of A", reached=False),
        dict(sums=(1, 1, 1)),
    ]
)
def row_sums_iff(
    invertible=True, scale=1, reached=True, sums=(Fraction(22, 21), Fraction(17, 21), Fraction(23, 21))
):  # fmt: skip
    r"""$N1 = 1$ iff $F(A^\dagger1 - 1) = 0$: always for invertible A, or if 1 is in the row space of A, but not
    always.

    All sizes: $N1 - 1 = F(A^\dagger1 - 1)$; A1 = 1 gives $A^{-1}1 = 1$, and $1 = A^\top w$ gives $A^\dagger1 =
    A^\dagger A1 = 1$. For the singular row-stochastic $A =
    \begin{pmatrix}1/2&1/4&1/4\\1/2&1/4&1/4\\1/5&3/10&1/2\end{pmatrix}$ the row sums of $A^\dagger$ are 22/21, 17/21,
    23/21, although $AA^\dagger1 = 1$.
    """
    row_sums = [(A * v, v), (B * u, v), (F * v, u)]
    singular = {"A": RANK_ONE["A"], "G": RANK_ONE["G"]}
    symmetric = {"A": Matrix([[1, 1], [1, 1]]) / 2, "G": Matrix([[1, 1], [1, 1]]) / 2, "w": [1, 1]}
    model = {**STOCHASTIC, **ONES}
    sums_of_inverse = tuple(row[0] for row in matmul(pseudo_inverse(SINGULAR), ones(3)))
    return (
        Words(F * G * B * u, u, [*([(G * A, 1)] if invertible else penrose(A, G)), *row_sums],
              model=model if invertible else {**model, **singular}),
        Words(F * G * B * u - u, scale * (F * G * v - F * v), [*penrose(A, G), *row_sums], model={**model, **singular}),
        Words(G * v, v, [*penrose(A, G), (A * v, v), (A.T * w, v if reached else A.T * w)],
              model={**ONES, **(symmetric if reached else {**singular, "w": [1, 1]})}),
        ForEach([SINGULAR], lambda a: ((sums_of_inverse, matmul(a, pseudo_inverse(a), ones(3))), (sums, ones(3))),
                over="the singular 3×3 matrix"),
    )  # fmt: skip


@claim(mutants=[dict(first=(2, 287, 287, 253)), dict(negative=False), dict(above=3)])
def negative_entries(first=(2, 287, 287, -253), negative=True, above=Fraction(46, 19)):
    r"""N isn't a probability matrix: its entries may be negative or exceed 1, also when all its rows sum to 1.

    In base 2 with the logits 2q·k, m = 2: Q = [(−1,−1),(−1,1),(1,1),(1,1)], K = [(1,−1),(−1,1),(−1,1),(1,1)] give the
    first row (2, 287, 287, −253)/323; Q = [(−1,−1),(−1,1),(−1,−1),(1,−1)], K = [(1,1),(1,1),(−1,−1),(1,−1)] the entry
    46/19. So the output is no convex combination of values.
    """
    pairs = [
        ([(-1, -1), (-1, 1), (1, 1), (1, 1)], [(1, -1), (-1, 1), (-1, 1), (1, 1)]),
        (Q_SIGNED, K_SIGNED),
    ]
    found = [nystrom_attention(doubled(q), k, 2) for q, k in pairs]
    largest = max(value for row in found[1] for value in row)
    return (
        ForEach(
            [found[0]], lambda n: (n[0], [Fraction(e, 323) for e in first]), over="first row of the first instance"
        ),
        ForEach(
            found,
            lambda n: ((min(map(min, n)) < 0, matmul(n, ones(4))), (negative, ones(4))),
            over="signs and row sums in two instances",
        ),
        ForEach([largest], lambda value: (value, above), over="the largest entry of the second instance"),
    )


# Landmarks


@claim(
    mutants=[
        dict(scale=2),
        mutant("domain", strict=False),
        dict(positive=False),
    ],
    relies_on=(
        "a real-analytic function on R^p that isn't identically 0 vanishes on a set of measure 0 (Mityagin 2015)",
    ),
)
def generic_invertibility(scale=1, strict=True, positive=True):
    r"""$\det\mathrm{softmax}(\tilde Q\tilde K^\top) \ne 0$ for almost all $\tilde Q, \tilde K$, for every m ≥ 1 and d
    ≥ 1: a low d forces no low rank.

    The determinant is real-analytic, so one instance for each m is enough: d = 1, $\tilde q_i = i$, $t_j = e^{\tilde
    k_j}$ distinct make it Vandermonde's, $\prod_{i<j}(t_j - t_i)$ over the product of the row sums; shown for m = 2,
    3, 4 (a further coordinate may be 0). For d = 1 and increasing q, k all 2×2 minors of $e^{q_ik_j}$ are positive;
    exact instances: all increasing integer q from 0..5 and k from 0..5 with 3 or 4 entries, in base 2.
    """
    q1, q2, k1, k2 = sp.symbols("q1 q2 k1 k2", real=True)

    def vandermonde(size: int) -> Identity:
        points = sp.symbols(f"t1:{size + 1}", real=True)
        powers = Matrix(size, size, lambda i, j: points[j] ** i)
        softmax_of = Matrix(size, size, lambda i, j: powers[i, j] / sum(powers.row(i)))
        differences = sp.prod(points[j] - points[i] for i, j in combinations(range(size), 2))
        total = sp.prod(sum(powers.row(i)) for i in range(size))
        return Identity(softmax_of.det(method="berkowitz"), scale * differences / total, [p > 0 for p in points])

    cases = [(q, k) for size in (3, 4) for q in combinations(range(6), size) for k in combinations(range(6), size)]
    return (
        *(vandermonde(size) for size in (2, 3, 4)),
        ForAll(q1 * k1 + q2 * k2 > q1 * k2 + q2 * k1, [q1 < q2, k1 < k2 if strict else k1 <= k2]),
        ForEach(
            cases,
            lambda case: (determinant(attention([[q] for q in case[0]], [[k] for k in case[1]])) > 0, positive),
            over="increasing integer q, k of 3 or 4 entries from 0..5",
        ),
    )


@erratum(printed=dict(singular=False), mutants=[mutant("symbols", padded=1)])
def zero_padding_makes_singular(singular=True, padded=2):
    r"""Two whole segments of zero padding make $\det A = 0$ exactly; "singular with probability zero" fails there.

    Zero queries give two rows 1/m of A (and zero keys two proportional columns), for every m, d and all other tokens.
    Shown for symbolic landmarks, d = 1, m = 3, 4; exact instances in base 2 with 2 of m = 2..6 segments padded. With
    one padded segment the same instances are invertible.
    """

    def symbolic(m: int) -> Identity:
        q = [*symbolic_tokens("q", m - padded), *[[sp.S.Zero]] * padded]
        k = [*symbolic_tokens("k", m - padded), *[[sp.S.Zero]] * padded]
        return Identity(Matrix(attention(q, k, exp)).det(method="berkowitz"), 0)

    def both(m: int) -> tuple[Any, Any]:
        q = [[i, 1] for i in range(1, m - padded + 1)]
        return determinant(attention([*q, *[[0, 0]] * padded], [*q, *[[0, 0]] * padded])) == 0, singular

    return (
        symbolic(3),
        symbolic(4),
        ForEach(range(2, 7), both, over="2 of m = 2..6 segments padded, d = 2"),
    )


@claim(mutants=[dict(mean=lambda s, r: (s + 1) / r), dict(centre=lambda x: sorted(x)[len(x) // 2])])
def segment_means_optimal(mean=lambda s, r: s / r, centre=lambda x: Fraction(sum(x), len(x))):
    r"""A segment's mean is the unique minimiser of $\sum\|x_i - c\|^2$: pooling is the centroid step of K-means.

    Every segment length r, and in each coordinate with the sums $s = \sum x_i$, $t = \sum x_i^2$: the cost is $t -
    s^2/r + r(c - s/r)^2$. The assignment to blocks is frozen; an assignment step can only lower the cost (each point
    moves to its nearest centre). Both compared exactly for all sequences of 6 numbers from 0, 1, 2 and m = 2.
    """

    def cost(points: Sequence[Any], c: Any) -> Fraction:
        return Fraction(sum((p - c) ** 2 for p in points))

    def both(x: tuple[int, ...]) -> tuple[Any, Any]:
        segments = x[:3], x[3:]
        centres = [Fraction(centre(part)) for part in segments]
        total = sum(cost(part, z) for part, z in zip(segments, centres, strict=True))
        best = sum(min(cost(part, Fraction(g, 3)) for g in range(7)) for part in segments) == total
        moved = sum(min(cost([p], z) for z in centres) for part in segments for p in part)
        return (best, moved <= total), (True, True)

    return (
        Identity(t - 2 * c * s + r * c**2, t - s**2 / r + r * (c - mean(s, r)) ** 2, [r > 0]),
        ForEach(product(range(3), repeat=6), both, over="all sequences of 6 numbers from 0, 1, 2; centres in thirds"),
    )


# Causality and permutations

TOKENS = [(2, 0), (0, 2), (2, 2), (-2, 0)]


def causal_attention(tokens: Rows, changed: Rows, parts: str) -> list[list[Fraction]]:
    """Softmax over the keys up to the query: the standard that doesn't leak."""
    logits = matmul(changed, transposed(changed))
    return [softmax([row[: i + 1]])[0] + [Fraction(0)] * (len(row) - i - 1) for i, row in enumerate(logits)]


def mixed_attention(tokens: Rows, changed: Rows, parts: str) -> list[list[Fraction]]:
    """N with the named factors from the changed tokens and the others from the old ones; "M": B masked causally."""
    old, new = nystrom_factors(tokens, tokens, 2), nystrom_factors(changed, changed, 2)
    f, a, b = (new[i] if name in parts else old[i] for i, name in enumerate("FAB"))
    if "M" not in parts:
        return matmul(f, pseudo_inverse(a), b)
    rows = []
    for i, row in enumerate(f):
        masked = [[value / sum(line[: i + 1]) for value in line[: i + 1]] for line in b]
        rows.append(matmul([row], pseudo_inverse(a), masked)[0] + [Fraction(0)] * (len(b[0]) - i - 1))
    return rows


@claim(mutants=[dict(attend=causal_attention), dict(last=TOKENS[3])])
def not_causal(attend=mixed_attention, last=(2, -2)):
    r"""N isn't causal: the weights of query i on keys j ≤ i depend on later tokens, through F, through $A^\dagger$
    and through B.

    An exact instance in base 2, n = 4, m = 2: changing token 4 changes the weights of query 2 on keys 1, 2 if it
    enters F alone (by the key means), A alone, B alone, or all; also if B is masked causally and normalised anew.
    """
    changed = [*TOKENS[:3], last]

    def both(parts: str) -> tuple[bool, bool]:
        before, after = attend(TOKENS, TOKENS, parts), attend(TOKENS, changed, parts)
        return before[1][:2] != after[1][:2], True

    return ForEach(("F", "A", "B", "FAB", "FABM"), both, over="five channels")


@claim(mutants=[dict(keeps=lambda order: True), dict(keeps=lambda order: set(order[:2]) == {0, 1}), dict(landmarks=2)])
def permutation_inequivariance(keeps=lambda order: set(order[:2]) in ({0, 1}, {2, 3}), landmarks=1):
    r"""N is equivariant to a permutation of the tokens that maps segments to segments, and not to others in general.

    All sizes: for a permutation P of the tokens that permutes the landmarks by Z, $\tilde Q \to Z\tilde Q$, so $F \to
    PFZ^\top$, $A \to ZAZ^\top$ with $(ZAZ^\top)^\dagger = ZA^\dagger Z^\top$, $B \to ZBP^\top$ and $N \to PNP^\top$;
    inside a segment Z = I. An exact instance in base 2, n = 4, m = 2: of 24 permutations these 8 pass and 16 fail; S
    passes all.
    """
    q, k = [(0, 0), (2, 0), (0, 2), (4, 2)], [(2, 0), (0, 0), (0, 2), (2, 4)]
    n, s = nystrom_attention(q, k, 2), attention(q, k)

    def both(order: tuple[int, ...]) -> tuple[Any, Any]:
        moved_q, moved_k = [q[i] for i in order], [k[i] for i in order]
        found = nystrom_attention(moved_q, moved_k, 2) == [[n[i][j] for j in order] for i in order]
        standard = attention(moved_q, moved_k) == [[s[i][j] for j in order] for i in order]
        return (found, standard), (keeps(order), True)

    cycle = Matrix([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    model = {**STOCHASTIC, "Z": [[0, 1], [1, 0]], "P": cycle}
    rules = [*penrose(A, G), (Z.T * Z, 1)]
    za, zg = Z * A * Z.T, landmarks * Z * G * Z.T
    return (
        Words(za * zg * za, za, rules, model=model),
        Words(zg * za * zg, zg, rules, model=model),
        Words((P * F * Z.T) * zg * (Z * B * P.T), P * (F * G * B) * P.T, rules, model=model),
        ForEach(permutations(range(4)), both, over="all 24 permutations, n = 4, m = 2"),
    )


# Costs


def attention_products(size: tuple[int, int, int, int], scalar: Any, better: bool = False) -> None:
    """All matrix products of one head on counting scalars; the exponentials are no part of it."""
    n, m, d, steps = size

    def full(rows: int, columns: int) -> list[list[Any]]:
        return [[scalar(1) for _ in range(columns)] for _ in range(rows)]

    q, k, values, q_means, k_means = full(n, d), full(n, d), full(n, d), full(m, d), full(m, d)
    f, a = matmul(q, transposed(k_means)), matmul(q_means, transposed(k_means))
    b, inverse = matmul(q_means, transposed(k)), full(m, m)
    for _ in range(steps):
        inverse = step(inverse, a)
    bv = matmul(b, values)
    if better:
        matmul(f, matmul(inverse, bv))
    else:
        matmul(matmul(f, inverse), bv)


@claim(mutants=[dict(inverse=0), dict(saved=lambda n, m, d: n * m**2), dict(crossing=319), dict(free_from=320)])
def exact_flops(inverse=1, saved=lambda n, m, d: n * m**2 - m**2 * d, crossing=320, free_from=172):
    r"""One head takes $4nmd + m^2d + 4Im^3 + nm^2$ multiplications in products; $F(A^\dagger(BV))$ saves $nm^2 -
    m^2d$.

    Counted with instrumented scalars for small sizes (I steps; besides, the factor ¼ takes $Im^2$ divisions). Against
    $2n^2d$ of softmax attention, with m = d = 64 and I = 6: fewer for all real n > 320, equal at n = 320; from n =
    172 on if the pseudo-inverse were free.
    """
    sizes = [(4, 2, 3, 1), (6, 3, 2, 2), (8, 2, 1, 0), (5, 1, 2, 3)]

    def total(n: Any, m: Any, d: Any, steps: Any) -> Any:
        return multiplications(n, m, d, inverse * steps)

    def adds(z: tuple[int, ...], better: bool) -> int:
        n, m, d, steps = z
        last = m * d * (m - 1) if better else n * m * (m - 1)
        pairs = (2 * n * m + m * m) * (d - 1) + m * d * (n - 1) + n * d * (m - 1)
        return pairs + last + 4 * steps * m * m * (m - 1)

    others = {"sub": lambda z: 3 * z[3] * z[1] ** 2, "div": lambda z: z[3] * z[1] ** 2}
    free = [n for n in range(1, 400) if multiplications(n, 64, 64, 0) < 2 * n * n * 64]
    return (
        Counts(attention_products, sizes, {"mul": lambda z: total(*z), "add": lambda z: adds(z, False), **others}),
        Counts(
            lambda z, scalar: attention_products(z, scalar, better=True), sizes,
            {"mul": lambda z: total(*z) - saved(*z[:3]), "add": lambda z: adds(z, True), **others},
        ),
        ForAll(Equivalent(total(n, 64, 64, 6) < 2 * n**2 * 64, n > crossing), [n > 0]),
        ForEach([free_from], lambda first: (free, list(range(first, 400))), over="n < 400"),
    )  # fmt: skip


def chain_cost(shapes: Sequence[tuple[Any, Any]], order: str) -> Any:
    """Multiplications of a product of four matrices F, M, B, V, from the right or from the left."""
    chain = list(shapes) if order == "left" else [(b, a) for a, b in reversed(shapes)]
    return sum(chain[0][0] * inner * outer for inner, outer in chain[1:])


@claim(mutants=[dict(order="left")])
def linear_attention_cost(order="right"):
    r"""$F(M(BV))$ takes $2nmd + m^2d$ multiplications, linear in n for fixed m, d; $((FM)B)V$ is quadratic in n.

    The polynomial's second difference in n vanishes identically; counted for small sizes.
    """

    def polynomial(n: Any) -> Any:
        return chain_cost([(n, m), (m, m), (m, n), (n, d)], order)

    def run(size: tuple[int, int, int], scalar: Any) -> None:
        n, m, d = size
        f, middle, b, values = ([[scalar(1)] * q for _ in range(p)] for p, q in ((n, m), (m, m), (m, n), (n, d)))
        if order == "right":
            matmul(f, matmul(middle, matmul(b, values)))
        else:
            matmul(matmul(matmul(f, middle), b), values)

    return (
        Identity(polynomial(n), 2 * n * m * d + m**2 * d),
        Identity(polynomial(n + 2) - 2 * polynomial(n + 1) + polynomial(n), 0),
        Counts(
            run, [(5, 2, 3), (6, 3, 1), (4, 1, 2)],
            {
                "mul": lambda z: 2 * z[0] * z[1] * z[2] + z[1] ** 2 * z[2],
                "add": lambda z: z[1] * z[2] * (z[0] - 1) + (z[1] + z[0]) * z[2] * (z[1] - 1),
            },
        ),
    )  # fmt: skip
