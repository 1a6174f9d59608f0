r"""Causal linear attention: recurrence, chunks, scans and gradients (article equations 9 and 10)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import sympy as sp

from kexue import Counts, ForEach, Identity, Words, claim, erratum, letters, mutant

from .common import averaged, dot, earlier, masked_sums, softmax2, tokens

a, b, c, s, t, u = sp.symbols("a b c s t u", real=True)

Vectors = list[list[int]]


def _qkv(count: int) -> tuple[Vectors, Vectors, Vectors]:
    """Queries and keys of three positive features, values of two."""
    return tokens(count, 3, 3, 1, 5), tokens(count, 3, 5, 1, 5), tokens(count, 2, 7)


def recurrent(q: Vectors, k: Vectors, v: Vectors, write_first: bool = True) -> list[list[Any]]:
    """The numerators by S_i = S_{i−1} + k_i v_iᵀ, o_i = S_iᵀ q_i."""
    state = [[0] * len(v[0]) for _ in k[0]]
    out = []
    for qi, ki, vi in zip(q, k, v, strict=True):
        after = [[e + kc * ve for e, ve in zip(row, vi, strict=True)] for row, kc in zip(state, ki, strict=True)]
        out.append(averaged(qi, after if write_first else state))
        state = after
    return out


def chunked(q: Vectors, k: Vectors, v: Vectors, size: int, masked: bool = True) -> list[list[Any]]:
    """The numerators, `size` tokens at a time: a masked product within a chunk, the state for earlier ones."""
    state = [[0] * len(v[0]) for _ in k[0]]
    out = []
    for start in range(0, len(q), size):
        qc, kc, vc = (x[start : start + size] for x in (q, k, v))
        inner = masked_sums(qc, kc, vc, earlier if masked else lambda i, j: True)
        out += [
            [x + y for x, y in zip(row, averaged(qi, state), strict=True)] for row, qi in zip(inner, qc, strict=True)
        ]
        for ki, vi in zip(kc, vc, strict=True):
            state = [[e + kf * ve for e, ve in zip(row, vi, strict=True)] for row, kf in zip(state, ki, strict=True)]
    return out


@claim(mutants=[dict(write_first=False), dict(weight=2)])
def causal_recurrence(write_first=True, weight=1):
    r"""$S_i = S_{i-1} + \varphi(k_i)v_i^\top$, $z_i = z_{i-1} + \varphi(k_i)$ and $o_i =
    S_i^\top\phi(q_i)/z_i^\top\phi(q_i)$ are the masked quadratic form.

    The step for all sizes: $q^\top(S + kv^\top) = q^\top S + (q^\top k)v^\top$; the denominator is the numerator of the
    value 1. Compared with the quadratic form exactly for n = 1..12. The token is written before it is read.
    """
    S, q, k, v = letters("S q k v")
    model = {"S": [[1, 2], [3, 4]], "q": [1, 2], "k": [3, 5], "v": [2, 7]}
    return (
        Words(q.T * (S + k * v.T), q.T * S + weight * q.T * k * v.T, model=model),
        ForEach(
            range(1, 13),
            lambda n: (recurrent(*_qkv(n), write_first), masked_sums(*_qkv(n), earlier)),
            over="n = 1..12",
        ),
    )


def _count_chunks(n: int, scalar: Any) -> None:
    """Chunks of two tokens, four features, three values: all products of full matrices, as on hardware."""
    size, r, e = 2, 4, 3
    q, k, v = ([[scalar(Fraction(i + j + 1, 3)) for j in range(w)] for i in range(n)] for w in (r, r, e))
    state = [[scalar(0) for _ in range(e)] for _ in range(r)]
    for start in range(0, n, size):
        qc, kc, vc = (x[start : start + size] for x in (q, k, v))
        scores = [[dot(qi, kj) for kj in kc] for qi in qc]
        inner = [[dot(row, [vj[f] for vj in vc]) for f in range(e)] for row in scores]
        outer = [[dot(qi, [state[g][f] for g in range(r)]) for f in range(e)] for qi in qc]
        _ = [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(inner, outer, strict=True)]
        added = [[dot([kj[g] for kj in kc], [vj[f] for vj in vc]) for f in range(e)] for g in range(r)]
        state = [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(state, added, strict=True)]


@claim(
    mutants=[
        dict(masked=False),
        dict(products=lambda n: n * 2 * (4 + 3) + n * 4 * 3),
        dict(slope=lambda n, r, e: n * r),
    ]
)
def chunked_form(
    masked=True, products=lambda n: n * 2 * (4 + 3) + 2 * n * 4 * 3, slope=lambda n, r, e: n * (r + e)
):
    r"""For every chunk length C, a ragged last chunk included, the masked product within chunks plus the state of
    earlier ones is `causal-recurrence`; it takes $nC(r + d_v) + 2nrd_v$ products in ⌈n/C⌉ sequential steps.

    The products grow with C at the rate $n(r + d_v) > 0$: C trades work for parallelism. Compared exactly for all C ≤ n
    ≤ 12; counted for C = 2, r = 4, $d_v = 3$ and n = 2, 4, 6, 10.
    """
    n, C, r, e = sp.symbols("n C r e", real=True)
    cases = [(n, size) for n in range(1, 13) for size in range(1, n + 1)]
    adds = lambda n: n * 2 * (4 - 1) + n * 3 * (2 + 2 * 4 - 1)  # noqa: E731
    return (
        ForEach(
            cases,
            lambda case: (chunked(*_qkv(case[0]), case[1], masked), recurrent(*_qkv(case[0]))),
            over="all C ≤ n ≤ 12",
        ),
        Counts(_count_chunks, (2, 4, 6, 10), {"mul": products, "add": adds}),
        Identity(sp.diff(n * C * (r + e) + 2 * n * r * e, C), slope(n, r, e)),
    )


@claim(mutants=[dict(decayed="both"), dict(decayed="first"), dict(rounds=lambda n: (n - 1).bit_length() - 1)])
def associative_scan(decayed="second", rounds=lambda n: (n - 1).bit_length()):
    r"""Pairs with $(\gamma, S)\cdot(\gamma', S') = (\gamma\gamma', \gamma'S + S')$ form a monoid with unit (1, 0), so a
    parallel prefix of ⌈log₂ n⌉ rounds gives the recurrence $S_i = \gamma_iS_{i-1} + A_i$; without decay it is a sum.

    Associativity for each entry of S, symbolic; prefixes by doubling compared exactly for n = 1..16 with γ = ½, ⅓, 2,
    …. """

    def join(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
        added = {
            "second": second[0] * first[1] + second[1],
            "first": first[1] + first[0] * second[1],
            "both": second[0] * (first[1] + second[1]),
        }
        return first[0] * second[0], added[decayed]

    x, y, z = (a, s), (b, t), (c, u)

    def both(n: int) -> tuple[Any, Any]:
        items = [(Fraction(i % 3 + 1, i % 2 + 2), Fraction(i + 1)) for i in range(n)]
        loop, state = [], Fraction(0)
        for gamma, added in items:
            state = gamma * state + added
            loop.append(state)
        reach = 1
        for _ in range(max(0, rounds(n))):
            items = [join(items[i - reach], item) if i >= reach else item for i, item in enumerate(items)]
            reach *= 2
        return [item[1] for item in items], loop

    return (
        Identity(sp.Matrix(join(join(x, y), z)), sp.Matrix(join(x, join(y, z)))),
        Identity(sp.Matrix([*join((1, 0), x), *join(x, (1, 0))]), sp.Matrix([*x, *x])),
        ForEach(range(1, 17), both, over="n = 1..16"),
    )


# Gradients


def _loss(q: Any, k: Any, v: Any, g: Any) -> Any:
    """Σ_i g_i · Σ_{j≤i} (q_i·k_j) v_j."""
    return sum(dot(gi, row) for gi, row in zip(g, masked_sums(q, k, v, earlier), strict=True))


def _closed_gradients(q: Any, k: Any, v: Any, g: Any, from_index: int = 0) -> tuple[Any, Any, Any]:
    """∂q_i = S_i g_i, ∂k_i = R_i v_i, ∂v_i = R_iᵀ k_i with R_i = Σ_{j ≥ i} q_j g_jᵀ."""
    n, r, e = len(q), len(q[0]), len(v[0])
    dq, dk, dv = [], [], []
    for i in range(n):
        S = [[sum(k[j][x] * v[j][y] for j in range(i + 1)) for y in range(e)] for x in range(r)]
        R = [[sum(q[j][x] * g[j][y] for j in range(i + from_index, n)) for y in range(e)] for x in range(r)]
        dq.append([dot(row, g[i]) for row in S])
        dk.append([dot(row, v[i]) for row in R])
        dv.append([dot([R[x][y] for x in range(r)], k[i]) for y in range(e)])
    return dq, dk, dv


def _by_differences(q: Vectors, k: Vectors, v: Vectors, g: Vectors) -> tuple[Any, Any, Any]:
    """The same derivatives as differences: the loss is affine in each single entry, so a step of 1 is exact."""
    base = _loss(q, k, v, g)
    found = []
    for which in range(3):
        grads = []
        for i in range(len(q)):
            row = []
            for x in range(len((q, k, v)[which][0])):
                moved = [[list(vector) for vector in part] for part in (q, k, v)]
                moved[which][i][x] += 1
                row.append(_loss(*moved, g) - base)
            grads.append(row)
        found.append(grads)
    return tuple(found)  # type: ignore[return-value]


@claim(mutants=[dict(from_index=1)])
def gradients(from_index=0):
    r"""For the numerators, with $R_i = \sum_{j\ge i}\phi(q_j)g_j^\top$: $\partial\phi(q_i) = S_ig_i$,
    $\partial\varphi(k_i) = R_iv_i$, $\partial v_i = R_i^\top\varphi(k_i)$: two cumulative passes and $O(rd_v)$ memory.

    $\sum_i\sum_{j\le i}$ is regrouped as $\sum_j\sum_{i\ge j}$. The loss is affine in every single entry of q, k and v,
    so exact differences are its derivatives: compared for n = 1..6, r = 3, $d_v = 2$.
    """
    return ForEach(
        range(1, 7),
        lambda n: (
            _closed_gradients(*_qkv(n), tokens(n, 2, 11), from_index),
            _by_differences(*_qkv(n), tokens(n, 2, 11)),
        ),
        over="n = 1..6",
    )


@claim(mutants=[dict(sign=1), dict(power=2)])
def normaliser_gradient(sign=-1, power=1):
    r"""Through the denominator: appended 1 to the values, the gradient of $o_i = N_i/D_i$ is $\hat g_i = (g_i/D_i,
    -(g_i\cdot o_i)/D_i)$, and `gradients` applies to $\hat g$.

    Symbolic for two value components, as for every $d_v$: $g\cdot N/D$ is differentiated by N and D.
    """
    n1, n2, D, g1, g2 = sp.symbols("n1 n2 D g1 g2", real=True)
    loss = (g1 * n1 + g2 * n2) / D
    output = (g1 * n1 / D + g2 * n2 / D) / D
    got = sp.Matrix([sp.diff(loss, x) for x in (n1, n2, D)])
    return Identity(got, sp.Matrix([g1 / D**power, g2 / D**power, sign * output]), [D > 0])


# Leaks


def _efficient(
    q: Vectors, k: Vectors, v: Vectors, reach: Callable[[int], int], renormalise: bool
) -> list[list[Fraction]]:
    """Efficient Attention in base 2 with the sum cut at i and column normalisers over the first reach(i) keys."""
    out = []
    for i, qi in enumerate(q):
        p = softmax2(qi)
        Z = [sum(Fraction(2) ** key[f] for key in k[: reach(i)]) for f in range(len(qi))]
        weights = [sum(p[f] * Fraction(2) ** k[j][f] / Z[f] for f in range(len(qi))) for j in range(i + 1)]
        if renormalise:
            weights = [w / sum(weights) for w in weights]
        out.append(averaged(weights, v[: i + 1]))
    return out


@erratum(
    printed=dict(reach=lambda n: lambda i: n), mutants=[dict(reach=lambda n: lambda i: min(n, i + 2)), dict(rows=False)]
)
def efficient_causal_leak(reach=lambda n: lambda i: i + 1, rows=True):
    r"""Efficient Attention isn't causal when its sum is cut at i: the normalisers $Z_c$ over all keys leak the
    future, even if rows are renormalised. Prefix normalisers $Z_{i,c} = \sum_{j\le i}e^{k_{jc}}$ don't, and keep row
    sums 1.

    The article says that all of its forms are made causal by cutting the sum. Exact in base 2 for n = 2..6: the last
    key is changed; outputs before it must not move. """

    def unmoved(case: tuple[int, bool]) -> tuple[Any, Any]:
        n, renormalise = case
        q, k, v = _qkv(n)
        changed = [*k[:-1], [k[-1][0] + 3, *k[-1][1:]]]
        before, after = (_efficient(q, keys, v, reach(n), renormalise)[:-1] for keys in (k, changed))
        return after, before

    def sums(n: int) -> tuple[Any, Any]:
        q, k, _ = _qkv(n)
        ones = [[1] for _ in range(n)]
        found = _efficient(q, k, ones, reach(n), not rows)
        return found, [[1 if rows else 2] for _ in range(n)]

    return (
        ForEach([(n, r) for n in range(2, 7) for r in (False, True)], unmoved, over="n = 2..6, plain and renormalised"),
        ForEach(range(1, 7), sums, over="row sums, n = 1..6"),
    )


# Costs, and the reversible layer


@claim(mutants=[dict(second="x1"), mutant("symbols", corner=0)])
def reversible_layer(second="y1", corner=1):
    r"""$y_1 = x_1 + F(x_2)$, $y_2 = x_2 + G(y_1)$ is inverted by $x_2 = y_2 - G(y_1)$, $x_1 = y_1 - F(x_2)$ for
    arbitrary F and G, and its Jacobian determinant is 1.

    F and G are opaque functions; f and g stand for their Jacobians (one-dimensional here, blocks in general):
    $\begin{pmatrix}1&f\\g&1+gf\end{pmatrix}$.
    """
    F, G = sp.Function("F"), sp.Function("G")
    x1, x2, f, g = sp.symbols("x1 x2 f g", real=True)
    y1 = x1 + F(x2)
    y2 = x2 + G(y1 if second == "y1" else x1)
    back2 = y2 - G(y1)
    back1 = y1 - F(back2)
    return (
        Identity(sp.Matrix([back1, back2]), sp.Matrix([x1, x2])),
        Identity(sp.Matrix([[1, f], [g, 1 + corner * g * f]]).det(), 1),
    )


def _form(kind: str) -> Callable[[int, Any], None]:
    d, m = 3, 2

    def matmul(p: Any, q: Any) -> Any:
        return [[dot(row, [line[j] for line in q]) for j in range(len(q[0]))] for row in p]

    def transposed(p: Any) -> Any:
        return [list(column) for column in zip(*p, strict=True)]

    def run(n: int, scalar: Any) -> None:
        def matrix(rows: int, columns: int) -> Any:
            return [[scalar(Fraction(i + 2 * j + 1, 5)) for j in range(columns)] for i in range(rows)]

        q, k, v = matrix(n, d), matrix(n, d), matrix(n, d)
        if kind == "full":
            matmul(matmul(q, transposed(k)), v)
        elif kind == "linformer":
            mix = matrix(m, n)
            matmul(matmul(q, transposed(matmul(mix, k))), matmul(mix, v))
        else:
            matmul(q, matmul(transposed(k), v))

    return run


@claim(
    mutants=[
        dict(full=lambda n: 3 * n * n),
        dict(linformer=lambda n: 3 * n * 2 * 3),
        dict(linear=lambda n: n * 9),
        dict(cumsum=lambda n: n),
    ]
)
def complexities(
    full=lambda n: 2 * 3 * n * n,
    linformer=lambda n: 4 * n * 2 * 3,
    linear=lambda n: 2 * n * 9,
    cumsum=lambda n: n * 9,
):
    r"""Products: full attention $2n^2d$, Linformer $4nmd$, linear attention $2nd^2$ (r = d_v = d); kept for training:
    $nrd_v$ numbers by cumulative sums, $rd_v$ by the recurrence.

    Counted exactly for d = 3, m = 2, n = 2..6. Reformer's $n\log n$ (times buckets and rounds) is its paper's statement
    and isn't checked.
    """

    def adds(kind: str) -> Any:
        table = {
            "full": lambda n: n * n * 2 + 3 * n * (n - 1),
            "linformer": lambda n: 2 * 6 * (n - 1) + 2 * n * 2 + 3 * n * 1,
            "linear": lambda n: 9 * (n - 1) + 3 * n * 2,
        }
        return table[kind]

    def kept(n: int) -> tuple[Any, Any]:
        k, v = tokens(n, 3, 2), tokens(n, 3, 3)
        states = [[[ki * vi for vi in vector] for ki in key] for key, vector in zip(k, v, strict=True)]
        return sum(len(row) for state in states for row in state), cumsum(n)

    sizes = range(2, 7)
    return (
        Counts(_form("full"), sizes, {"mul": full, "add": adds("full")}),
        Counts(_form("linformer"), sizes, {"mul": linformer, "add": adds("linformer")}),
        Counts(_form("linear"), sizes, {"mul": linear, "add": adds("linear")}),
        ForEach(sizes, kept, over="numbers in n states, n = 2..6"),
    )
