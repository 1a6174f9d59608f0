r"""The "cross" counting problem by chance: rejection, importance sampling, and an exact uniform sampler.

Su Jianlin, 《“十字架”组合计数问题浅试》, Scientific Spaces, 2022-10-09, archive 9291.

Segments are numbered as in `derivations/crosses.py`: centre T, R, B, L, then the three outer edges of each arm.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
from sympy import Rational

from kexue import Estimate, claim, experiment
from kexue.derivations.crosses import (
    CROSS,
    READING_COUNTS,
    count_cross,
    count_tree,
    is_dominated,
    symmetries,
    to_grid,
    valid_crosses,
)

THREE_PERCENT = Rational(3, 100)
TOTAL = 27216


# Kernels


@experiment(chunk=200_000)
def square_is_dominated(chunk, count, k=3):
    """Successes: four random edge colours make a dominated square."""
    return int((is_dominated(chunk.generator().integers(0, k, (count, 4), dtype=np.int8), k) >= 0).sum())


@experiment(chunk=200_000)
def dominated_square_is_opposite(chunk, count):
    """Successes: in a uniform dominated square the two dominant edges lie opposite each other."""
    squares = dominated_squares(3)[chunk.generator().integers(0, 36, count)]
    return int(((squares[:, 0] == squares[:, 2]) | (squares[:, 1] == squares[:, 3])).sum())


@experiment(chunk=100_000)
def rejection_given_centre(chunk, count):
    """Successes: the colouring is valid; the centre is uniform among the 36 dominated ones, the arms uniform in 3^12.

    An arm is read only where all before it can still be part of a valid colouring.
    """
    g = chunk.generator()
    centre = dominated_squares(3)[g.integers(0, 36, count)]
    outer = g.integers(0, 27, (count, 4), dtype=np.int8)
    alive = np.arange(count)
    dominants = [is_dominated(centre)]
    for arm in range(4):
        found = arm_dominants(3)[centre[alive, arm], outer[alive, arm]]
        fine = (found >= 0) & (found != dominants[0])
        if arm >= 2:
            fine &= found != dominants[arm - 1]
        alive = alive[fine]
        dominants = [d[fine] for d in dominants] + [found[fine]]
    return len(alive)


@experiment(chunk=100_000)
def tree_given_dominated(chunk, count, k=3):
    """Successes: the colouring is valid; centre and arms are uniform among the dominated squares that fit together."""
    g = chunk.generator()
    squares, arms = dominated_squares(k), dominated_arms(k)
    centre = squares[g.integers(0, len(squares), count)]
    m = is_dominated(centre, k)
    top, right, bottom, left = (arms[centre[:, i], g.integers(0, arms.shape[1], count)] for i in range(4))
    fine = (top != m) & (bottom != m) & (top != bottom) & (left != m) & (right != m) & (left != right)
    return int(fine.sum())


@experiment("law", chunk=50_000)
def sampled_class(chunk, count, classes=14, weighted=True):
    """Classes: the colouring's place in lexicographic order, in `classes` equal stretches of the 27216."""
    found = codes(sample(count, chunk.generator(), weighted))
    places = np.searchsorted(valid_codes(), found)
    if (valid_codes()[np.minimum(places, TOTAL - 1)] != found).any():
        raise ValueError("the sampler drew a colouring that isn't valid")
    return np.bincount(places * classes // TOTAL, minlength=classes)


@experiment(chunk=50_000)
def sampled_centre_is_adjacent(chunk, count, weighted=True):
    """Successes: the dominant edges of the sampled centre are adjacent."""
    found = sample(count, chunk.generator(), weighted)
    return int(((found[:, 0] != found[:, 2]) & (found[:, 1] != found[:, 3])).sum())


@experiment("law", chunk=50_000)
def sampled_red_segments(chunk, count, colour=0):
    """Classes: 4 or 6 segments of the colour."""
    red = (sample_cross(count, chunk.generator()) == colour).sum(axis=1)
    return np.array([(red == 4).sum(), (red == 6).sum()])


# Tables and the exact sampler


@cache
def dominated_squares(k: int) -> np.ndarray:
    squares = np.array(list(product(range(k), repeat=4)), dtype=np.int8)
    return squares[is_dominated(squares, k) >= 0]


@cache
def arm_dominants(k: int) -> np.ndarray:
    """The dominants (−1: none) of squares by one edge's colour and the number of the other three edges, base k."""
    return is_dominated(np.array(list(product(range(k), repeat=4))), k).reshape(k, k**3)


@cache
def dominated_arms(k: int) -> np.ndarray:
    """The dominants of the completions of a square by the colour of its first edge; as many for each colour."""
    return np.array([row[row >= 0] for row in arm_dominants(k)])


@cache
def valid_codes() -> np.ndarray:
    return codes(valid_crosses()[0])


def codes(colourings: np.ndarray) -> np.ndarray:
    """Base-3 codes, in lexicographic order."""
    return colourings.astype(np.int64) @ 3 ** np.arange(15, -1, -1)


@cache
def _choices() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Choices of centre and dominants with cumulative numbers of completions, and completions by (colour, dominant).

    The centre with the four arms' dominants is chosen in one step; it has w(T)w(R)w(B)w(L) completions.
    """
    rows, weights = [], []
    sizes = np.array([[(arm_dominants(3)[c] == m).sum() for m in range(3)] for c in range(3)])
    for centre in dominated_squares(3):
        others = [m for m in range(3) if m != is_dominated(centre)]
        for (top, bottom), (right, left) in product(permutations(others), repeat=2):
            dominants = [top, right, bottom, left]
            rows.append([*centre, *dominants])
            weights.append(np.prod(sizes[centre, dominants]))
    words = np.array(list(product(range(3), repeat=3)), dtype=np.int8)
    fits = np.zeros((3, 3, 6, 3), dtype=np.int8)
    for c, m in product(range(3), repeat=2):
        found = words[arm_dominants(3)[c] == m]
        fits[c, m, : len(found)] = found
    return np.array(rows), np.cumsum(weights), sizes, fits


def sample_cross(n: int, generator: np.random.Generator) -> np.ndarray:
    """n independent, exactly uniform valid colourings (k = 3) as an array [n, 16] of int8.

    Ancestral sampling on the tree: the centre together with the dominants of its arms, with the number of completions
    as integer weight; then each arm uniformly among its completions.

    Raises:
        ValueError: n is no integer ≥ 0, or generator is no NumPy Generator.
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ValueError(f"n must be an integer ≥ 0, got {n!r}")
    if not isinstance(generator, np.random.Generator):
        raise ValueError(f"generator must be a numpy.random.Generator, got {generator!r}")
    return sample(n, generator)


def sample(n: int, generator: np.random.Generator, weighted: bool = True) -> np.ndarray:
    """As `sample_cross`; without the weights the first step takes all choices as equally likely, which is wrong."""
    rows, cumulative, sizes, fits = _choices()
    if weighted:
        first = np.searchsorted(cumulative, generator.integers(0, cumulative[-1], n), side="right")
    else:
        first = generator.integers(0, len(rows), n)
    found = np.empty((n, 16), dtype=np.int8)
    found[:, :4] = rows[first, :4]
    for arm in range(4):
        colour, m = rows[first, arm], rows[first, 4 + arm]
        found[:, 4 + 3 * arm : 7 + 3 * arm] = fits[colour, m, generator.integers(0, sizes[colour, m])]
    return found


# Claims


@claim(mutants=[dict(k=4), dict(off=Rational(26, 25))])
def square_count(k=3, off=1):
    r"""A random square in three colours is dominated with probability $36/81 = 4/9$."""
    return Estimate(square_is_dominated(k=k), off * Rational(4, 9), Rational(1, 100))


@claim(mutants=[dict(share=Rational(1, 2)), dict(share=Rational(7, 20))])
def adjacent_opposite_split(share=Rational(1, 3)):
    r"""In a random dominated square the two dominant edges are opposite with probability 1/3."""
    return Estimate(dominated_square_is_opposite(), share, Rational(1, 100))


@claim(mutants=[dict(total=54432), dict(total=31104), dict(weighted=False)])
def main_count(total=TOTAL, weighted=True):
    r"""27216 valid colourings: by rejection, given a dominated centre, $P = 27216/(36\cdot3^{12}) = 28/19683$.

    That is $P = 112/177147$ among all $3^{16}$. Also, the exact sampler is uniform on 14 stretches of 1944 colourings
    each of their lexicographic list; choosing the centre and dominants without weights is not.
    """
    return (
        Estimate(rejection_given_centre(), Rational(total, 36 * 3**12), Rational(8, 100)),
        Estimate(sampled_class(weighted=weighted), [Rational(1, 14)] * 14, THREE_PERCENT),
    )


@claim(mutants=[dict(swapped=True), dict(off=Rational(11, 10))])
def fraction_among_dominated(swapped=False, off=1):
    r"""Of the colourings with five dominated squares 7/192 are valid for k = 3, 77/972 for k = 4; sampled 58 times as
    well as by rejection.

    The centre is uniform among the dominated squares, each arm among its $6(k-1)(k-2)$ completions."""
    return tuple(
        Estimate(
            tree_given_dominated(k=k),
            off * Rational(count_cross(other), count_tree(CROSS, other)),
            THREE_PERCENT,
        )
        for k, other in ((3, 4 if swapped else 3), (4, 3 if swapped else 4))
    )


@claim(mutants=[dict(adjacent=Rational(2, 3)), dict(weighted=False)])
def hand_derivation(adjacent=Rational(9, 14), weighted=True):
    r"""In a uniform valid colouring the centre's dominant edges are adjacent with probability $17496/27216 = 9/14$.

    By the exact sampler; 2/3 would be the share among all dominated centres."""
    return Estimate(sampled_centre_is_adjacent(weighted=weighted), adjacent, Rational(1, 100))


@claim(mutants=[dict(four=Rational(7, 20)), dict(four=Rational(3, 10))])
def red_edge_marginal(four=Rational(1, 3)):
    r"""A uniform valid colouring has 4 red segments with probability 1/3, 6 with probability 2/3.

    By the exact sampler."""
    return Estimate(sampled_red_segments(), [four, 1 - four], Rational(1, 50))


# Figures


def figures() -> dict[str, Any]:
    """The counts of other readings, N(k) with its asymptote, and a colouring of each orbit type."""
    from matplotlib.figure import Figure

    variants = Figure(figsize=(8, 4), layout="constrained")
    axes = variants.subplots()
    names = sorted(READING_COUNTS, key=READING_COUNTS.__getitem__)
    bars = axes.barh(names, [READING_COUNTS[name] for name in names])
    axes.bar_label(bars, fmt="{:.0f}", padding=3)
    axes.axvline(54432, color="C1", linestyle="--", label="rival answer 54432")
    axes.set(xscale="log", xlabel="number of colourings (k = 3)", xlim=(1e4, 3e6))
    axes.legend(frameon=False, loc="lower right")

    growth = Figure(figsize=(7, 4.5), layout="constrained")
    axes = growth.subplots()
    ks = list(range(3, 101))
    axes.plot(ks, [count_cross(k) for k in ks], ".", label="N(k)")
    axes.plot(ks, [1944 * k**11 for k in ks], label="1944 k¹¹")
    axes.set(xscale="log", yscale="log", xlabel="number of colours k", ylabel="number of valid colourings")
    axes.legend(frameon=False)

    types = Figure(figsize=(9, 3.9), layout="constrained")
    for axes, (title, colouring) in zip(types.subplots(1, 3), _orbit_types().items()):
        draw(axes, colouring)
        axes.set_title(title, fontsize=9)
    return {"variants": variants, "growth": growth, "orbit-types": types}


def draw(axes: Any, colouring: Any) -> None:
    """Draws one colouring of the cross, colours 0, 1, 2 as red, yellow, blue with different line styles."""
    for (x, y), colour in to_grid(np.asarray(colouring).tolist()).items():
        across, up = (0.92, 0) if x % 2 == 0 else (0, 0.92)
        axes.plot(
            [(x - across) / 2, (x + across) / 2], [(y - up) / 2, (y + up) / 2], linewidth=4, solid_capstyle="butt",
            color=("#d55e00", "#f0c000", "#0072b2")[colour], linestyle=("-", (0, (2, 0.6)), (0, (0.7, 0.5)))[colour],
        )  # fmt: skip
    axes.set_aspect("equal")
    axes.set_axis_off()


def _orbit_types() -> dict[str, np.ndarray]:
    """A valid colouring for each kind of symmetry that an orbit's members have; colours 1 and 2 are exchanged.

    No colouring has two of these symmetries: together they would give one without an exchange of colours.
    """
    rows = valid_crosses()[0][valid_crosses()[1][:, 0] == 0]  # a symmetry keeps the centre's dominant, so 0 here
    exchanged = np.array([0, 2, 1], dtype=np.int8)[rows]
    fixed = {name: (exchanged[:, places] == rows).all(axis=1) for name, places in symmetries().items()}
    diagonal = fixed["diagonal"] | fixed["antidiagonal"]
    found = {
        "no symmetry": ~np.logical_or.reduce([fixed["half turn"], diagonal]),
        "half turn with an exchange\nof yellow and blue": fixed["half turn"],
        "diagonal reflection with an exchange\nof yellow and blue": diagonal,
    }
    return {title: rows[np.flatnonzero(chosen)[0]] for title, chosen in found.items()}


__all__ = ["draw", "sample_cross"]
