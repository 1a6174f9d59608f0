"""What moves entries without changing them: permutations, squeezing, checkerboards, and what keeps neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from math import factorial
from typing import Any

import sympy as sp
from sympy import And, Eq, Implies

from kexue import ForAll, ForEach, Identity, Witnesses, claim, mutant

from .._arguments import whole_number
from .common import determinant
from .common import product as matrix_product


def squeeze_index(height: int, width: int, channels: int, factor: int = 2) -> list[int]:
    """Where each entry of a squeezed image comes from: flat output k is flat input `index[k]`.

    Both sides are laid out as (rows, columns, channels). The factor² entries of a block become channels in the order
    (channel, row in the block, column in the block), as in Glow's code.

    Args:
        height, width, channels: the size before; rows and columns are multiples of the factor.
        factor: side of the blocks.

    Raises:
        ValueError: for sizes below 1, or a side that the factor doesn't divide.
    """
    for name, value in (("height", height), ("width", width), ("channels", channels), ("factor", factor)):
        whole_number(name, value, 1)
    for name, value in (("height", height), ("width", width)):
        if value % factor:
            raise ValueError(f"{name} must be a multiple of factor = {factor}, got {value}")
    return [
        ((i * factor + dy) * width + j * factor + dx) * channels + c
        for i, j in product(range(height // factor), range(width // factor))
        for c, dy, dx in product(range(channels), range(factor), range(factor))
    ]


def checkerboard_mask(height: int, width: int) -> list[list[int]]:
    """(i + j) mod 2 for each row i and column j.

    Raises:
        ValueError: for sizes below 1.
    """
    whole_number("height", height, 1)
    whole_number("width", width, 1)
    return [[(i + j) % 2 for j in range(width)] for i in range(height)]


def _matrix(order: Sequence[int]) -> list[list[int]]:
    """The matrix P with (Px)_i = x_order[i]."""
    return [[int(j == source) for j in range(len(order))] for source in order]


@claim(
    mutants=[
        dict(matrix=lambda order: [list(c) for c in zip(*_matrix(order), strict=True)]),
        dict(size=lambda det: det),
        dict(example=(1, 2, 3, 0)),
    ]
)
def permutation_matrix(matrix=_matrix, size=abs, example=(1, 0, 3, 2)):
    r"""Reordering is multiplication from the left by a permutation matrix, which is orthogonal with $|\det| = 1$; [1,
    2, 3, 4] → [2, 1, 4, 3] is the article's matrix (6).

    All permutations of n ≤ 5. For every n: $(P^\top P)_{ij} = \sum_k[k \to i][k \to j] = [i = j]$, hence $\det^2 = 1$.
    Mutants: the matrix of the inverse permutation; no absolute value; the cycle [2, 3, 4, 1].
    """

    def case(order: tuple[int, ...]) -> tuple[Any, Any]:
        P = matrix(order)
        x = [3 * i * i + 1 for i in range(len(order))]
        moved = [sum(p * q for p, q in zip(row, x, strict=True)) for row in P]
        unit = [[int(i == j) for j in range(len(order))] for i in range(len(order))]
        transposed = [list(column) for column in zip(*P, strict=True)]
        got = (moved, matrix_product(transposed, P), size(determinant(P)))
        return got, ([x[k] for k in order], unit, 1)

    printed = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    orders = [order for n in range(1, 6) for order in permutations(range(n))]
    return (
        ForEach(orders, case, over="all permutations of n ≤ 5"),
        ForEach([example], lambda order: (matrix(order), printed), over="equation (6)"),
    )


def _plain_reshape(height: int, width: int, channels: int, factor: int) -> list[int]:
    return list(range(height * width * channels))


@claim(mutants=[dict(index=_plain_reshape), mutant("domain", rest=1)])
def squeeze_is_permutation(index=squeeze_index, rest=0):
    r"""Squeezing by r, (h, w, c) → (h/r, w/r, r²c), is a permutation of the entries: it is inverted exactly, its
    log-determinant is 0, and each output pixel holds exactly one r×r block of the input.

    For all h, w ≤ 6, c ≤ 2, r ≤ 3 with r | h, w. Every size, r = 2, 3: the row $ri + \delta$ with 0 ≤ δ < r determines
    i and δ, so two outputs never share an input, and both sides have h·w·c entries. Mutants: a plain reshape of the
    whole image, a permutation too, which mixes distant pixels; 0 ≤ δ ≤ r.
    """

    def case(sizes: tuple[int, int, int, int]) -> tuple[Any, Any]:
        h, w, c, r = sizes
        found = index(h, w, c, r)
        back = [0] * len(found)
        for place, source in enumerate(found):
            back[source] = place
        restored = [found[k] for k in back]
        blocks = []
        for cell in range(h * w // r**2):
            sources = found[cell * r * r * c : (cell + 1) * r * r * c]
            blocks.append({(source // c // w // r, source // c % w // r) for source in sources})
        everything = list(range(h * w * c))
        cells = [{(i, j)} for i, j in product(range(h // r), range(w // r))]
        return (sorted(found), restored, blocks), (everything, everything, cells)

    i, j, p, q = sp.symbols("i j p q", integer=True)

    def unique(r: int) -> ForAll:
        offsets = [0 <= p, p < r + rest, 0 <= q, q < r + rest]
        return ForAll(Implies(Eq(r * i + p, r * j + q), And(Eq(i, j), Eq(p, q))), offsets)

    sizes = [(h, w, c, r) for h, w, c, r in product(range(1, 7), range(1, 7), (1, 2), (1, 2, 3)) if h % r == 0 == w % r]
    return ForEach(sizes, case, over="h, w ≤ 6, c ≤ 2, r ≤ 3"), unique(2), unique(3)


@claim(mutants=[dict(pattern=(0, 1, 0, 1)), dict(side=3)])
def checkerboard_equals_channel_mask(pattern=(0, 1, 1, 0), side=2):
    r"""Under squeezing by 2 with channels in the order (c, dy, dx) the checkerboard (i + j) mod 2 becomes the channel
    mask (0, 1, 1, 0), repeated c times, at every pixel.

    For even h, w ≤ 8 and c ≤ 3. Every size: (2i + dy) + (2j + dx) differs from dy + dx by 2(i + j). So a checkerboard
    coupling is a channel coupling with another order of channels; the convolutions inside differ. Mutants: (0, 1, 0,
    1); blocks of side 3.
    """

    def case(sizes: tuple[int, int, int]) -> tuple[Any, Any]:
        h, w, c = sizes
        board = [bit for row in checkerboard_mask(h, w) for bit in row for _ in range(c)]
        squeezed = [board[k] for k in squeeze_index(h, w, c)]
        return squeezed, [*pattern] * c * (h * w // 4)

    i, j, dy, dx = sp.symbols("i j dy dx", integer=True)
    return Witnesses(
        Identity((side * i + dy) + (side * j + dx) - (dy + dx), 2 * (i + j)),
        ForEach(product((2, 4, 6, 8), (2, 4, 6, 8), (1, 2, 3)), case, over="even h, w ≤ 8, c ≤ 3"),
    )


@claim(
    mutants=[
        dict(inner=lambda A, B: sp.kronecker_product(B, A)),
        dict(shifting=lambda c, n: factorial(c * n)),
        dict(all_pixels=lambda c, n: factorial(c * n)),
    ]
)
def channel_ops_keep_locality(
    inner=sp.kronecker_product,
    shifting=lambda c, n: factorial(c) * n**c,
    all_pixels=lambda c, n: factorial(c),
):
    r"""Permuting or mixing channels (A ⊗ I) commutes with every permutation of the pixels (I ⊗ P), so neighbours stay
    neighbours; a permutation of all h·w·c entries in general doesn't even commute with shifts.

    $(A\otimes I)(I\otimes B) = A\otimes B = (I\otimes B)(A\otimes I)$, entry by entry $A_{ij}B_{kl}$, for all 2×2 and
    3×3 matrices A, B. Of the (cn)! permutations of c channels at n pixels in a ring $c!\,n^c$ commute with the shift,
    and only the c! channel permutations with all permutations of the pixels: counted for (c, n) = (1, 3), (2, 3), (1,
    5). Mutants: B ⊗ A; every permutation of the entries commutes with shifts, or with all permutations of the pixels.
    """

    def commuting(case: tuple[int, int]) -> tuple[Any, Any]:
        c, size = case
        shift = [ch * size + (k + 1) % size for ch in range(c) for k in range(size)]
        pixels = [[ch * size + k for ch in range(c) for k in p] for p in permutations(range(size))]
        with_shift = with_all = 0
        for g in permutations(range(c * size)):
            if all(g[shift[k]] == shift[g[k]] for k in range(c * size)):
                with_shift += 1
                with_all += all(g[p[k]] == p[g[k]] for p in pixels for k in range(c * size))
        return (with_shift, with_all), (shifting(c, size), all_pixels(c, size))

    A, B = (sp.Matrix(3, 3, sp.symbols(f"{name}1:10", real=True)) for name in "AB")
    a, b = A[:2, :2], B[:2, :2]
    outer = sp.kronecker_product
    parts = []
    for p, q in ((a, B), (A, b)):
        left = outer(p, sp.eye(q.rows)) * outer(sp.eye(p.rows), q)
        parts.append(Identity(left, inner(p, q)))
        parts.append(Identity(outer(sp.eye(p.rows), q) * outer(p, sp.eye(q.rows)), inner(p, q)))
    return (*parts, ForEach([(1, 3), (2, 3), (1, 5)], commuting, over="(c, n) = (1, 3), (2, 3), (1, 5)"))
