"""CUR and Nyström: the block identity, its rank, and why it doesn't apply to softmax; sparse orthogonal factors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import sympy as sp
from flint import fmpz_mat, fmpz_poly
from sympy import Eq, Equivalent, Matrix, exp

from kexue import ForAll, ForEach, Identity, Words, claim, erratum, mutant

from .common import A, B, C, D, G, X, Y, penrose, symbolic_tokens
from .exact import Rows, attention, matmul, pseudo_inverse
from .landmarks import RANK_ONE

# CUR and Nyström


@cache
def _with_inverse(entries: tuple[int, ...]) -> tuple[list[list[int]], list[list[Fraction]]]:
    a = [list(entries[:2]), list(entries[2:])]
    return a, pseudo_inverse(a)


def rank(a: Rows) -> int:
    return int(fmpz_mat([list(row) for row in a]).rank())


@erratum(
    printed=mutant(("domain", "symbols"), label="no condition on B, C", ranges=False),
    mutants=[dict(power=2)],
)
def cur_block_identity(ranges=True, power=1):
    r"""$\binom AC A^\dagger(A\;B) = \begin{pmatrix}A&B\\C&CA^\dagger B\end{pmatrix}$ iff range B ⊆ range A, row C ⊆
    row A.

    All sizes: the blocks of the product are $A$, $AA^\dagger B$, $CA^\dagger A$, $CA^\dagger B$; B = AX gives
    $AA^\dagger B = B$, and conversely $AA^\dagger B = B$ is of this form; likewise C = YA. The conditions hold for
    every B, C if A is invertible. Printed without conditions: A = 0, B = C = 1 gives
    $\begin{pmatrix}0&0\\0&0\end{pmatrix}$ instead of $\begin{pmatrix}0&1\\1&0\end{pmatrix}$. Conditions by ranks
    against the product itself on all integer A (2×2), B (2×1), C (1×2) with entries −1, 0, 1.
    """
    zero = {"A": [[0]], "G": [[0]], "B": [[1]], "C": [[1]]}
    model = {**RANK_ONE, "B": Matrix([3, 3]), "X": Matrix([3, 3]), "C": Matrix([[2, 1]]), "Y": Matrix([[1, 2]])}
    model = model if ranges else zero
    extra_b, extra_c = ([(B, A * X)], [(C, Y * A)]) if ranges else ([], [])

    def both(case: tuple[int, ...]) -> tuple[bool, bool]:
        a, g = _with_inverse(case[:4])
        b, c = [[case[4]], [case[5]]], [list(case[6:])]
        equal = matmul(a, *[g] * power, b) == b and matmul(c, *[g] * power, a) == c
        wide = [[*row, *more] for row, more in zip(a, b, strict=True)]
        return equal, (rank(wide) == rank(a) == rank([*a, *c])) or not ranges

    cases = (corner + side for corner in product((-1, 0, 1), repeat=4) for side in product((-1, 0, 1), repeat=4))
    return (
        Words(A * G**power * A, A, penrose(A, G), model=model),
        Words(A * G**power * B, B, [*penrose(A, G), *extra_b], model=model),
        Words(C * G**power * A, C, [*penrose(A, G), *extra_c], model=model),
        ForEach(cases, both, over="6561 integer instances"),
    )


@claim(mutants=[dict(more=1), dict(sign=1)])
def nystrom_exact_rank(more=0, sign=-1):
    r"""$D = CA^\dagger B$ with range B ⊆ range A, row C ⊆ row A iff
    $\mathrm{rank}\begin{pmatrix}A&B\\C&D\end{pmatrix} = \mathrm{rank}\,A$.

    All sizes: B = AX, C = YA turn the matrix by unimodular factors into $\mathrm{diag}(A, D - CA^\dagger B)$, whose
    ranks add, and only 0 has rank 0. Conversely rank(A B) and the rank of A over C lie between rank A and that of the
    whole, so equality gives the conditions. Also for all 19683 integer 3×3 matrices with entries −1, 0, 1 and 2×2 A.
    """
    model = {**RANK_ONE, "X": Matrix([3, 3]), "Y": Matrix([[1, 2]]), "D": [[5]], "B": [3, 3], "C": [[2, 1]]}

    def both(case: tuple[int, ...]) -> tuple[bool, bool]:
        a, g = _with_inverse(case[:4])
        b, c, d = [[case[4]], [case[5]]], [list(case[6:8])], case[8]
        wide = [[*row, *extra] for row, extra in zip(a, b, strict=True)]
        conditions = matmul(c, g, b) == [[d]] and rank(wide) == rank(a) == rank([*a, *c])
        return conditions, rank([*wide, [*c[0], d]]) == rank(a) + more

    cases = product((-1, 0, 1), repeat=9)
    return (
        Words(C + sign * Y * A, 0, [(C, Y * A)], model=model),
        Words(B + sign * A * X, 0, [(B, A * X)], model=model),
        Words(
            D + sign * C * X + sign * Y * (B + sign * A * X),
            D - C * G * B,
            [*penrose(A, G), (B, A * X), (C, Y * A)],
            model=model,
        ),
        ForEach(cases, both, over="3×3 matrices with entries −1, 0, 1"),
    )


@claim(mutants=[dict(normaliser=False), dict(agree=True), dict(expected=lambda i, one: True)])
def nystrom_not_directly_applicable(normaliser=True, agree=False, expected=lambda i, one: Eq(i, one)):
    r"""$N \ne$ Nyström(S), even when the landmarks are tokens: F lacks the normaliser over all n keys.

    Columns of S are $S_{il} = F_{il}\,Z_i^{\text{landmarks}}/Z_i^{\text{all keys}}$: shown for symbolic logits, n =
    3, and tokens 1, 2 as landmarks. With token 1 as the only landmark Nyström's entry is $S_{i1}S_{1j}/S_{11}$ and
    N's is $S_{1j}$: equal iff $S_{i1} = S_{11}$, for every n. An exact instance with n = 3 in base 2.
    """
    q, k = symbolic_tokens("q", 3), symbolic_tokens("k", 3)
    full, few = attention(q, k, exp), attention(q, k[:2], exp)
    weights = [[exp(a[0] * b[0]) for b in k] for a in q]
    ratio = [(row[0] + row[1]) / (sum(row) if normaliser else row[0] + row[1]) for row in weights]
    si, sj, s1 = sp.symbols("s_i s_j s_1", real=True)
    tokens = [(1, 0), (0, 1), (1, 1)]

    def both(tokens: Rows) -> tuple[bool, bool]:
        s = attention(tokens, tokens)
        nystrom = [[s[i][0] * s[0][j] / s[0][0] for j in range(3)] for i in range(3)]
        f, b = attention(tokens, tokens[:1]), attention(tokens[:1], tokens)
        return matmul(f, pseudo_inverse([[Fraction(1)]]), b) == nystrom, agree

    return (
        Identity(Matrix([row[:2] for row in full]), Matrix([[w * ratio[i] for w in few[i]] for i in range(3)])),
        ForAll(Equivalent(Eq(si * sj / s1, sj), expected(si, s1)), [si > 0, sj > 0, s1 > 0]),
        ForEach([tokens], both, over="an instance, n = 3, m = 1"),
    )


# Sparse orthogonal factors


def dense_entries(diagonal: Sequence[int], above: Sequence[int]) -> tuple[int, int]:
    """Numbers of non-zero entries in the U and V of the SVD of a bidiagonal matrix without zeros, exactly.

    U holds the eigenvectors of the tridiagonal T = AAᵀ, whose eigenvalues are simple. Component i of the vector of λ
    is 0 iff λ is an eigenvalue of the leading block of T of order i − 1 too: the degree of a gcd counts these.
    """
    size = len(diagonal)
    a = fmpz_mat([[diagonal[i] if i == j else above[i] if j == i + 1 else 0 for j in range(size)] for i in range(size)])
    counts = []
    for square in (a * a.transpose(), a.transpose() * a):
        rows = square.tolist()
        whole = square.charpoly()
        zeros = sum(
            whole.gcd(fmpz_mat([row[:i] for row in rows[:i]]).charpoly() if i else fmpz_poly([1])).degree()
            for i in range(size)
        )
        counts.append(size**2 - zeros)
    return counts[0], counts[1]


@erratum(printed=dict(sparse=(9, 100)), mutants=[dict(dense=20), dict(flip=-1)])
def orthogonal_not_dense(sparse=(3, 20), dense=100, flip=1):
    r"""Orthogonal factors of an SVD needn't be dense: permutation × diagonal has permutations, block-diagonal keeps
    blocks.

    Exact decompositions $A = U\Lambda V^\top$: a 3×3 permutation × diagonal matrix, U with 3 non-zero entries of 9,
    and five 2×2 blocks with different singular values, U with 20 of 100. But a bidiagonal 10×10 matrix with the
    diagonal 1, …, 10 and ones above has 100 of 100 in U and in V, counted by greatest common divisors of
    characteristic polynomials.
    """
    rotation = Matrix([[3, -4], [4, 3]]) / 5
    u = sp.diag(*[rotation] * 5)
    values = sp.diag(*range(20, 10, -1))
    v = sp.diag(*[Matrix([[4, 3 * flip], [-3, 4]]) / 5] * 5)
    turned = Matrix([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    examples = [(turned, sp.diag(3, 2, 1), sp.eye(3), sparse[0], 3), (u, values, v, sparse[1], 20)]

    def both(case: tuple[Any, ...]) -> tuple[Any, Any]:
        u, values, v, entries, in_product = case
        a = u * values * v.T
        orthogonal = u.T * u == v.T * v == sp.eye(u.rows)
        kept = sum(e != 0 for e in a) == in_product
        return (orthogonal, kept, sum(e != 0 for e in u)), (True, True, entries)

    return (
        ForEach(examples, both, over="two exact decompositions"),
        ForEach(
            [10], lambda m: (dense_entries(range(1, m + 1), [1] * (m - 1)), (dense, dense)), over="a bidiagonal matrix"
        ),
    )
