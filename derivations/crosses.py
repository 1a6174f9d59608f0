r"""The "cross" counting problem: 16 segments in k colours, five dominated squares.

Su Jianlin, 《“十字架”组合计数问题浅试》 ("A light attempt at the cross counting problem"), Scientific Spaces,
2022-10-09, archive 9291. No paper underlies it; the puzzle has two rival published answers, 54432 and 27216.

A unit square is *dominated* by colour m if exactly two of its four edges have colour m and the other two have two
different other colours. The cross is a centre C with four arms T, R, B, L (top, right, bottom, left); its colouring is
*valid* if all five squares are dominated, the dominants of T, C, B are pairwise different, and so are those of L, C, R.
The article has k = 3 colours; this file has any k.

What holds for all k is proved by machine through patterns: a condition that does not care which colour is which depends
only on which edges have equal colours, and a pattern with j new colours beside u old ones stands for (k − u)(k − u −
1)⋯(k − u − j + 1) colourings. So each count below is a sum over finitely many patterns, a polynomial in k.

Segments are numbered centre first (T, R, B, L), then the three outer edges of the arms T, R, B, L, each clockwise from
the shared edge on. A segment's place is its midpoint in doubled coordinates: square (x, y) has the edges (2x, 2y ± 1)
and (2x ± 1, 2y), the centre is the square (0, 0), y points up.

Notation: k colours, N(k) the number of valid colourings, m₀ the centre's dominant, $w(c, m)$ the number of ways to
complete a square of which one edge has colour c so that m dominates it; p, q the colours of two opposite edges of C.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
import sympy as sp
from flint import fmpz_mat, fmpz_poly
from sympy import And, Eq, Rational, sqrt

from kexue import (
    Counts,
    ForAll,
    ForEach,
    Gram,
    Identity,
    Induction,
    OperatorIdentity,
    Witnesses,
    claim,
    mutant,
)

from ._arguments import whole_number

k, n = sp.symbols("k n", integer=True)
g, X = sp.symbols("g X", real=True)

AT_LEAST_3 = [k >= 3]
RULES = ("free", "adjacent", "window3")

Cell = tuple[int, int]
Place = tuple[int, int]


# The figure


def edges(cell: Cell) -> tuple[Place, Place, Place, Place]:
    """The midpoints of a square's edges in doubled coordinates: top, right, bottom, left."""
    x, y = cell
    return (2 * x, 2 * y + 1), (2 * x + 1, 2 * y), (2 * x, 2 * y - 1), (2 * x - 1, 2 * y)


ARMS = ((0, 1), (1, 0), (0, -1), (-1, 0))
CROSS = ((0, 0), *ARMS)
CENTRE_EDGES = edges((0, 0))


def _outer_edges(arm: int) -> list[Place]:
    """The three edges of arm T, R, B or L that the centre doesn't share, clockwise from the shared one on."""
    around = edges(ARMS[arm])
    shared = around.index(CENTRE_EDGES[arm])
    return [around[(shared + turn) % 4] for turn in (1, 2, 3)]


SEGMENTS: tuple[Place, ...] = (*CENTRE_EDGES, *(place for arm in range(4) for place in _outer_edges(arm)))
SQUARES = ((0, 1, 2, 3), *((arm, 4 + 3 * arm, 5 + 3 * arm, 6 + 3 * arm) for arm in range(4)))


def to_grid(colours: Sequence[int]) -> dict[Place, int]:
    """The 16 colours by the midpoints of their segments, in doubled coordinates.

    Raises:
        ValueError: there are not exactly 16 integer colours ≥ 0.
    """
    found = _colours("colours", colours, 16, None)
    if found.ndim != 1:
        raise ValueError(f"colours must be one colouring of 16 segments, got the shape {found.shape}")
    return dict(zip(SEGMENTS, found.tolist(), strict=True))


def from_grid(grid: Mapping[Place, int]) -> tuple[int, ...]:
    """The 16 colours in the order of the segments; the inverse of `to_grid`.

    Raises:
        ValueError: the places are not the 16 midpoints of the cross, or a colour is no integer ≥ 0.
    """
    if set(grid) != set(SEGMENTS):
        wrong = sorted(set(grid) ^ set(SEGMENTS))
        raise ValueError(f"grid must have exactly the 16 midpoints of the cross, missing or foreign: {wrong[:4]}")
    return tuple(_colours("grid", [grid[place] for place in SEGMENTS], 16, None).tolist())


# Dominance and validity of given colourings


def is_dominated(edges: Any, k: int = 3) -> np.ndarray:
    """The dominant colours of squares with the edge colours `edges` [..., 4], −1 where there is none.

    Raises:
        ValueError: k is no integer ≥ 1; edges are not integers in range(k) with 4 of them on the last axis.
    """
    whole_number("k", k, 1)
    s = np.sort(_colours("edges", edges, 4, k), axis=-1)
    same = s[..., 1:] == s[..., :-1]
    dominant = np.where(same[..., 0], s[..., 0], np.where(same[..., 1], s[..., 1], s[..., 2]))
    return np.where(same.sum(axis=-1) == 1, dominant, -1)


def valid_cross(colours: Any, k: int = 3) -> np.ndarray:
    """Whether colourings [..., 16] of the cross are valid.

    Raises:
        ValueError: k is no integer ≥ 1; colours are not integers in range(k) with 16 of them on the last axis.
    """
    whole_number("k", k, 1)
    found = _colours("colours", colours, 16, k)
    centre, top, right, bottom, left = (is_dominated(found[..., list(square)], k) for square in SQUARES)
    dominated = np.minimum.reduce([centre, top, right, bottom, left]) >= 0
    return dominated & _all_differ(top, centre, bottom) & _all_differ(left, centre, right)


def _all_differ(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return (a != b) & (a != c) & (b != c)


def _colours(name: str, value: Any, size: int, k: int | None) -> np.ndarray:
    found = np.asarray(value)
    if found.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integer colours, got the dtype {found.dtype}")
    if found.ndim < 1 or found.shape[-1] != size:
        raise ValueError(f"{name} must have {size} colours on the last axis, got the shape {found.shape}")
    if found.size and (found.min() < 0 or (k is not None and found.max() >= k)):
        wrong = found.min() if found.min() < 0 else found.max()
        raise ValueError(f"{name} must be in range({'k' if k is None else k}), got {wrong}")
    return found


def dominant(square: Sequence[int]) -> int | None:
    """The colour that dominates a square, by the words of the definition; None if there is none."""
    for colour in sorted(set(square)):
        others = [c for c in square if c != colour]
        if len(others) == 2 and others[0] != others[1]:
            return colour
    return None


# Counting by patterns: for a number k of colours, or as polynomials in k


def extensions(used: int, length: int, colours: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Words over `used` old colours and new ones in order of appearance, each with the number of colourings it means.

    `colours` is k, an integer or the polynomial k itself.
    """

    def grow(word: tuple[int, ...], top: int, weight: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
        if len(word) == length:
            yield word, weight
            return
        for colour in range(top):
            yield from grow((*word, colour), top, weight)
        yield from grow((*word, top), top + 1, weight * (colours - top))

    yield from grow((), used, colours**0)


POLYNOMIAL = fmpz_poly([0, 1])


def number(
    length: int, test: Callable[[tuple[int, ...]], bool], fixed: tuple[int, ...] = (), used: int | None = None,
    colours: Any = POLYNOMIAL,
) -> Any:  # fmt: skip
    """How many colour words of this length pass the test after `fixed`, which with others uses the colours 0, …, used
    − 1.
    """
    start = len(set(fixed)) if used is None else used
    weights = (weight for word, weight in extensions(start, length, colours) if test((*fixed, *word)))
    return sum(weights, 0 * colours)


def expression(poly: Any) -> sp.Expr:
    """A flint polynomial as a SymPy expression in k."""
    return sum((int(c) * k**i for i, c in enumerate(poly.coeffs())), sp.S.Zero)


def count_polyomino(cells: Sequence[Cell], colours: Any, rule: str = "free") -> Any:
    """Colourings of the edges of unit squares in which all squares are dominated and the rule holds.

    Squares are added one by one; a state is the pattern of the colours of the edges and the dominants that a later
    square still sees. `colours` is k, an integer or the polynomial k itself.
    """
    rest: Counter[Place] = Counter(place for cell in cells for place in edges(cell))
    present, done = set(cells), set()
    live: list[Any] = []
    states: dict[tuple[int, ...], Any] = {(): colours**0}
    for cell in cells:
        around = edges(cell)
        rivals = [live.index(("square", c)) for c in conflicts(cell, present, rule) if c in done]
        known = [live.index(place) if place in live else None for place in around]
        missing = [place for place in around if place not in live]
        done.add(cell)
        rest.subtract(around)
        everything = [*live, *missing, ("square", cell)]
        kept = [i for i, item in enumerate(everything) if _seen_later(item, rest, present, done, rule)]
        live = [everything[i] for i in kept]
        found: dict[tuple[int, ...], Any] = {}
        for state, ways in states.items():
            banned = {state[i] for i in rivals}
            for word, weight in extensions(max(state, default=-1) + 1, len(missing), colours):
                new = iter(word)
                m = dominant([next(new) if i is None else state[i] for i in known])
                if m is None or m in banned:
                    continue
                key = canonical([(*state, *word, m)[i] for i in kept])
                found[key] = found.get(key, 0 * colours) + ways * weight
        states = found
    return sum(states.values(), 0 * colours)


def conflicts(cell: Cell, present: set[Cell], rule: str) -> list[Cell]:
    """The squares whose dominants must differ from this one's: neighbours, and for window3 those two away in line."""
    x, y = cell
    if rule == "free":
        return []
    found = [(x + dx, y + dy) for dx, dy in ARMS if (x + dx, y + dy) in present]
    if rule == "window3":
        found += [(2 * a - x, 2 * b - y) for a, b in list(found) if (2 * a - x, 2 * b - y) in present]
    return found


def _seen_later(item: Any, rest: Mapping[Place, int], present: set[Cell], done: set[Cell], rule: str) -> bool:
    if item[0] == "square":
        return any(c not in done for c in conflicts(item[1], present, rule))
    return rest[item] > 0


def canonical(word: Sequence[int]) -> tuple[int, ...]:
    """The word with its colours renamed 0, 1, … in order of appearance."""
    names: dict[int, int] = {}
    return tuple(names.setdefault(c, len(names)) for c in word)


def is_tree_like(cells: Sequence[Cell]) -> bool:
    """Whether the squares, joined where they share an edge, form a tree."""
    present = set(cells)
    links = sum((x + dx, y + dy) in present for x, y in present for dx, dy in ARMS) // 2
    reached, todo = {cells[0]}, [cells[0]]
    while todo:
        x, y = todo.pop()
        near = {(x + dx, y + dy) for dx, dy in ARMS} & present - reached
        reached |= near
        todo += near
    return reached == present and links == len(present) - 1


def count_tree(polyomino: Sequence[Cell], k: int = 3, rule: str = "free") -> int:
    """Colourings of a tree-like polyomino in which every square is dominated and the rule holds.

    Args:
        polyomino: the squares (x, y); joined where they share an edge, they form a tree.
        rule: "free"; "adjacent": neighbours have different dominants; "window3": so have, besides, any two squares
            with one between them in a row or column (on the cross: the problem's condition).

    Raises:
        ValueError: k is no integer ≥ 1, the rule is unknown, a square is repeated, or the squares form no tree.
    """
    whole_number("k", k, 1)
    _known_rule(rule)
    cells = [(int(x), int(y)) for x, y in polyomino]
    if not cells:
        raise ValueError("polyomino must have at least one square, got none")
    repeated = [cell for cell, times in Counter(cells).items() if times > 1]
    if repeated:
        raise ValueError(f"polyomino must name each square once, got {repeated[0]} twice")
    if not is_tree_like(cells):
        raise ValueError(f"polyomino must be connected without a cycle of squares, got {cells}: use count_grid")
    return int(count_polyomino(cells, k, rule))


def count_strip(n: int, k: int = 3, rule: str = "free") -> int:
    """Colourings of a 1 × n strip in which every square is dominated and the rule (see `count_tree`) holds.

    Raises:
        ValueError: n or k is no integer ≥ 1, or the rule is unknown.
    """
    return count_grid(1, n, k, rule)


def count_grid(m: int, n: int, k: int = 3, rule: str = "free") -> int:
    """Colourings of an m × n grid of squares, all dominated, with the rule (see `count_tree`); exact, any size.

    Raises:
        ValueError: m, n or k is no integer ≥ 1, or the rule is unknown.
    """
    whole_number("m", m, 1)
    whole_number("n", n, 1)
    whole_number("k", k, 1)
    _known_rule(rule)
    return int(count_polyomino(grid_cells(m, n), k, rule))


def grid_cells(m: int, n: int) -> list[Cell]:
    """Along the longer side, so that the frontier is short."""
    return [(x, y) for x in range(n) for y in range(m)] if m <= n else [(x, y) for y in range(m) for x in range(n)]


def _known_rule(rule: str) -> None:
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")


def count_cross(k: int = 3) -> int:
    """N(k), the number of valid colourings of the cross in k colours, by the closed form; 0 for k < 3.

    Raises:
        ValueError: k is no integer ≥ 1.
    """
    whole_number("k", k, 1)
    return 162 * k * (k - 1) * (k - 2) ** 7 * (3 * k - 5) * (4 * k - 5)


def count_cross_bruteforce(k: int = 3) -> int:
    """N(k) from the definition, over all k^16 colourings: for each centre that is dominated, the k^12 of the arms.

    Raises:
        ValueError: k is no integer ≥ 1, or k > 4, where k^16 colourings are too many.
    """
    whole_number("k", k, 1)
    if k > 4:
        raise ValueError(f"k must be ≤ 4 for brute force, got {k} with {k**16} colourings: use count_cross")
    total = 0
    for m, (top, right, bottom, left) in _centres_and_arms(k):
        if m < 0:
            continue
        vertical, horizontal = _lines(m, top, bottom), _lines(m, left, right)
        for row in vertical:
            total += int(np.count_nonzero(row[:, None, None] & horizontal))
    return total


def _centres_and_arms(k: int) -> Iterator[tuple[int, list[np.ndarray]]]:
    """For each of the k^4 centres its dominant, and for each arm the dominants of its k³ completions (−1: none)."""
    outer = np.array(list(product(range(k), repeat=3)))
    arms = [is_dominated(np.insert(outer, 0, colour, axis=1), k) for colour in range(k)]
    for centre in product(range(k), repeat=4):
        yield int(is_dominated(centre, k)), [arms[colour] for colour in centre]


def _lines(m: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = first[:, None], second[None, :]
    return (a >= 0) & (b >= 0) & (a != m) & (b != m) & (a != b)


def contract_cross(k: int) -> int:
    """N(k) as a contraction of arm matrices over the centre's k^4 colourings, in int64.

    Raises:
        ValueError: k is no integer ≥ 1, or N(k) ≥ 2^63.
    """
    whole_number("k", k, 1)
    if count_cross(k) >= 2**63:
        raise ValueError(f"k must have N(k) < 2^63 for int64, got k = {k}: use count_cross, which has Python integers")
    W = 3 * (k - 2) * (np.ones((k, k), dtype=np.int64) + (k - 2) * np.eye(k, dtype=np.int64))
    centre = is_dominated(np.stack(np.meshgrid(*[np.arange(k)] * 4, indexing="ij"), axis=-1), k)
    total = 0
    for m in range(k):
        rest = np.delete(W, m, axis=1)
        pairs = rest.sum(axis=1)[:, None] * rest.sum(axis=1)[None, :] - rest @ rest.T
        total += int(np.einsum("trbl,tb,lr->", (centre == m).astype(np.int64), pairs, pairs))
    return total


@cache
def dominated_crosses() -> tuple[np.ndarray, np.ndarray]:
    """All 746496 colourings of the cross (k = 3) whose five squares are dominated, and the dominants of C, T, R, B, L.

    Colourings are in lexicographic order.
    """
    words = np.array(list(product(range(3), repeat=3)), dtype=np.int8)
    colourings, dominants = [], []
    for centre in product(range(3), repeat=4):
        m = dominant(centre)
        if m is None:
            continue
        arms = [is_dominated(np.insert(words, 0, colour, axis=1)) for colour in centre]
        places = np.stack(np.meshgrid(*[np.flatnonzero(arm >= 0) for arm in arms], indexing="ij"), axis=-1)
        places = places.reshape(-1, 4)
        head = np.broadcast_to(np.array(centre, dtype=np.int8), (len(places), 4))
        colourings.append(np.hstack([head, *(words[places[:, arm]] for arm in range(4))]))
        middle = np.full((len(places), 1), m, dtype=np.int8)
        dominants.append(np.hstack([middle, *(arms[arm][places[:, [arm]]] for arm in range(4))]).astype(np.int8))
    return np.concatenate(colourings), np.concatenate(dominants)


@cache
def valid_crosses() -> tuple[np.ndarray, np.ndarray]:
    """The 27216 valid colourings for k = 3 in lexicographic order, and the dominants of C, T, R, B, L."""
    colourings, dominants = dominated_crosses()
    centre, top, right, bottom, left = dominants.T
    kept = _all_differ(top, centre, bottom) & _all_differ(left, centre, right)
    return colourings[kept], dominants[kept]


# Symmetries

TURNS = {"identity": (1, 0, 0, 1), "quarter turn": (0, 1, -1, 0), "half turn": (-1, 0, 0, -1),
         "three-quarter turn": (0, -1, 1, 0)}  # fmt: skip
MIRRORS = {"left-right": (-1, 0, 0, 1), "up-down": (1, 0, 0, -1), "diagonal": (0, 1, 1, 0),
           "antidiagonal": (0, -1, -1, 0)}  # fmt: skip


@cache
def symmetries() -> dict[str, list[int]]:
    """The symmetries of the cross as permutations of the segments: place i of the image has the colour of place p[i].
    """
    return {
        name: [SEGMENTS.index((a * x + b * y, c * x + d * y)) for x, y in SEGMENTS]
        for name, (a, b, c, d) in {**TURNS, **MIRRORS}.items()
    }


def orbits(colourings: np.ndarray, places: Sequence[Sequence[int]], renamings: Sequence[Sequence[int]]) -> int:
    """The number of orbits: each colouring is represented by the least base-3 code among its images."""
    weights = 3 ** np.arange(16)
    least = np.full(len(colourings), 3**16)
    for renaming in renamings:
        renamed = np.array(renaming)[colourings]
        for permutation in places:
            np.minimum(least, renamed[:, list(permutation)] @ weights, out=least)
    return len(np.unique(least))


def fixed_points(colourings: np.ndarray, permutation: Sequence[int], renaming: Sequence[int]) -> int:
    renamed = np.array(renaming, dtype=np.int8)[colourings]
    return int((renamed[:, list(permutation)] == colourings).all(axis=1).sum())


# Shared by the statements

IDENTITY_OF_COLOURS = (0, 1, 2)
COLOUR_PERMUTATIONS = tuple(permutations(range(3)))
ALL_81 = "all 81 colourings of a square in three colours"
PATTERNS = "the 15 patterns of equal and different edges of a square, so for any number of colours"


def patterns() -> list[tuple[int, ...]]:
    return [word for word, _ in extensions(0, 4, POLYNOMIAL)]


def opposite(square: Sequence[int]) -> bool:
    """Whether the two edges of the dominant colour lie opposite each other."""
    first, second = (i for i, c in enumerate(square) if c == dominant(square))
    return second - first == 2


def dominated_centres(colours: int = 3) -> list[tuple[int, ...]]:
    return [square for square in product(range(colours), repeat=4) if dominant(square) is not None]


def completions(colour: int, m: int, colours: int = 3) -> list[tuple[int, ...]]:
    """The three outer edges that make a square with an edge `colour` dominated by m, by trial."""
    return [word for word in product(range(colours), repeat=3) if dominant((colour, *word)) == m]


def arm_polynomial(same: bool) -> Any:
    """w(c, m) as a polynomial in k, summed over patterns; c is the old colour 0, and m is 0 or 1."""
    m = 0 if same else 1
    return number(3, lambda square: dominant(square) == m, fixed=(0,), used=m + 1)


def pair_polynomial(p: int, q: int, spare: Any = 3) -> Any:
    """Σ w(p, m) w(q, m') over m ≠ m', both ≠ m₀ = 0, for a centre that uses the colours 0, 1, 2."""
    w = {same: arm_polynomial(same) for same in (True, False)}
    total = fmpz_poly([])
    for (m, other), weight in extensions(3, 2, POLYNOMIAL + 3 - spare):
        if m != other and 0 not in (m, other):
            total += weight * w[p == m] * w[q == other]
    return total


def contraction_polynomial(spare: Any = 3) -> Any:
    """N(k): the sum over patterns of the centre of the product of its two lines."""
    total = fmpz_poly([])
    for square, weight in extensions(0, 4, POLYNOMIAL):
        m = dominant(square)
        if m is None:
            continue
        names = {m: 0}
        top, right, bottom, left = (names.setdefault(c, len(names)) for c in square)
        total += weight * pair_polynomial(top, bottom, spare) * pair_polynomial(left, right, spare)
    return total


def first_double(square: Sequence[int]) -> int | None:
    """The article's helper: the first colour that occurs exactly twice."""
    return next((i for i in range(3) if list(square).count(i) == 2), None)


def article_program(filtered: bool = True) -> tuple[int, int]:
    """The article's enumeration; its total, and how many completions of arms it looks at.

    With filtered=False the arms aren't required to have three colours.
    """
    total = looked_at = 0
    for centre in (square for square in product(range(3), repeat=4) if len(set(square)) == 3):
        others = [i for i in range(3) if i != first_double(centre)]
        for i, j in product(range(2), repeat=2):
            ways = 1
            for colour, wanted in zip(centre, (others[i], others[j], others[1 - i], others[1 - j])):
                found = 0
                for word in product(range(3), repeat=3):
                    looked_at += 1
                    square = (colour, *word)
                    found += (not filtered or len(set(square)) == 3) and first_double(square) == wanted
                ways *= found
            total += ways
    return total, looked_at


def tree_like_polyominoes(most: int) -> list[tuple[Cell, ...]]:
    """All tree-like polyominoes of up to `most` squares, up to translation."""
    found: list[tuple[Cell, ...]] = []
    level: set[tuple[Cell, ...]] = {((0, 0),)}
    for _ in range(most):
        found += [cells for cells in sorted(level) if is_tree_like(cells)]
        grown = {
            tuple(sorted({*cells, (x + dx, y + dy)}))
            for cells in level for x, y in cells for dx, dy in ARMS if (x + dx, y + dy) not in cells
        }  # fmt: skip
        level = {
            tuple((x - min(c[0] for c in cells), y - min(c[1] for c in cells)) for x, y in cells) for cells in grown
        }
    return found


def coefficients(value: sp.Expr) -> list[int]:
    return [int(c) for c in reversed(sp.Poly(value, k).all_coeffs())]


def strip_matrix(allowed: Callable[[int, int], bool]) -> dict[tuple[int, int], Counter[tuple[int, int]]]:
    """From a state (colour of the right edge, dominant) of a strip to the states one square further on, with ways."""
    return {
        (e, m): Counter(
            (square[1], found)
            for word in product(range(3), repeat=3)
            for square in [(word[0], word[1], word[2], e)]  # top, right, bottom, left
            for found in [dominant(square)]
            if found is not None and allowed(m, found)
        )
        for e, m in product(range(3), repeat=2)
    }


def characteristic(table: Mapping[tuple[int, int], Counter[tuple[int, int]]]) -> list[int]:
    """Coefficients of the characteristic polynomial, from the constant one on."""
    states = sorted(table)
    return [int(c) for c in fmpz_mat([[table[s][t] for t in states] for s in states]).charpoly().coeffs()]


def lumped(table: Mapping[Any, Counter[Any]], kind: Callable[..., int], kinds: int) -> Callable[[Any], list[int]]:
    """How many ways lead from a state to each kind of state."""
    return lambda state: [sum(w for t, w in table[state].items() if kind(*t) == target) for target in range(kinds)]


def grid_by_inner_edges(m: int, n: int, rule: str = "free") -> int:
    """A second route for grids, k = 3: for each colouring of the inner edges the squares are independent.

    For the rule "adjacent" also a sum over all proper colourings of the grid by dominants.
    """
    cells = grid_cells(m, n)
    inner = [place for place, times in Counter(place for cell in cells for place in edges(cell)).items() if times == 2]
    colours = np.indices((3,) * len(inner), dtype=np.int8).reshape(len(inner), 3 ** len(inner))
    ways = []
    for cell in cells:
        own = [inner.index(place) for place in edges(cell) if place in inner]
        table = np.array([
            [sum(dominant((*known, *word)) == i for word in product(range(3), repeat=4 - len(own))) for i in range(3)]
            for known in product(range(3), repeat=len(own))
        ])  # fmt: skip
        code = np.zeros(3 ** len(inner), dtype=np.int8)
        for edge in own:
            code = 3 * code + colours[edge]
        ways.append((table, code))
    if rule == "free":
        total = np.ones(3 ** len(inner), dtype=np.int64)
        for table, code in ways:
            total *= table.sum(axis=1)[code]
        return int(total.sum())
    rivals = [(i, cells.index(c)) for i, cell in enumerate(cells) for c in conflicts(cell, set(cells), rule)]
    return sum(
        int(np.prod([table[code, i] for (table, code), i in zip(ways, chosen)], axis=0).sum())
        for chosen in product(range(3), repeat=len(cells))
        if all(chosen[i] != chosen[j] for i, j in rivals)
    )


@cache
def dominant_histogram() -> dict[tuple[int, ...], int]:
    """How many of the 746496 dominated colourings have the dominants (C, T, R, B, L), by enumeration."""
    codes = dominated_crosses()[1].astype(np.int64) @ 3 ** np.arange(4, -1, -1)
    return dict(zip(product(range(3), repeat=5), np.bincount(codes, minlength=243).tolist(), strict=True))


def distinct(*values: int) -> bool:
    return len(set(values)) == len(values)


READINGS: dict[str, Callable[..., bool]] = {
    "no condition on dominants": lambda c, t, r, b, l: True,
    "centre differs from each arm": lambda c, t, r, b, l: c not in (t, r, b, l),
    "no line has three equal dominants": lambda c, t, r, b, l: not t == c == b and not l == c == r,
    "the two arms of a line differ": lambda c, t, r, b, l: t != b and l != r,
    "only the horizontal line": lambda c, t, r, b, l: distinct(l, c, r),
    "horizontal distinct, vertical neighbours differ": lambda c, t, r, b, l: distinct(l, c, r) and c not in (t, b),
    "as stated": lambda c, t, r, b, l: distinct(l, c, r) and distinct(t, c, b),
}
READING_COUNTS = {
    "no condition on dominants": 746496,
    "centre differs from each arm": 104976,
    "no line has three equal dominants": 555984,
    "the two arms of a line differ": 342144,
    "only the horizontal line": 147744,
    "horizontal distinct, vertical neighbours differ": 53460,
    "as stated": 27216,
}


# The statements: one square and its arms


@claim(mutants=[dict(shared=0), mutant("domain", step=4)])
def edge_count(shared=1, step=3):
    r"""The cross has $5\cdot4 - 4 = 16$ segments; a tree-like polyomino of N squares has $3N + 1$.

    For all N by induction: a square that is added as a leaf brings three new edges. The distinct midpoints are counted
    on every tree-like polyomino of up to 6 squares; the cross is one of them."""
    e = sp.Function("e")

    def both(cells: tuple[Cell, ...]) -> tuple[Any, Any]:
        places = {place for cell in cells for place in edges(cell)}
        return (len(places), len(places)), (4 * len(cells) - shared * (len(cells) - 1), 3 * len(cells) + 1)

    return (
        Induction(n, 1, {e(n + 1): e(n) + step}, {e(1): 4}, Eq(e(n), 3 * n + 1)),
        ForEach([CROSS, *tree_like_polyominoes(6)], both, over="the cross and all tree-like polyominoes, N ≤ 6"),
    )


@claim(mutants=[dict(test=lambda square: any(square.count(c) == 2 for c in square))])
def dominated_iff_all_three(test=lambda square: len(set(square)) == 3):
    r"""For k = 3 a square has a dominant colour iff all three colours occur on it; the dominant is then unique.

    Exhaustive. For any k: iff exactly three different colours occur, by the patterns of four edges."""

    def both(square: tuple[int, ...]) -> tuple[Any, Any]:
        dominants = [
            i for i in set(square)
            if square.count(i) == 2 and distinct(*(c for c in square if c != i))
        ]  # fmt: skip
        return len(dominants), int(test(square))

    return (
        ForEach(product(range(3), repeat=4), both, over=ALL_81),
        ForEach(patterns(), both, over=PATTERNS),
    )


@claim(mutants=[dict(factor=3)])
def square_count(factor=6):
    r"""$|S| = 6k(k-1)(k-2)$ squares are dominated, each colour dominates $6(k-1)(k-2)$; for k = 3: 36 and 12.

    For all k by patterns. At k = 3 also as surjections $3!\,S(4,3)$, by inclusion–exclusion $81 - 3\cdot14 - 3$ and by
    the article's insertions $3\cdot(3\cdot4)$; by enumeration for k = 3, …, 6."""
    three = factor * 3 * 2 * 1
    return Witnesses(
        (
            Identity(expression(number(4, lambda s: dominant(s) is not None)), factor * k * (k - 1) * (k - 2)),
            Identity(expression(number(4, lambda s: dominant(s) == 0, used=1)), factor * (k - 1) * (k - 2)),
        ),
        (
            ForEach(
                range(3, 7),
                lambda c: (len(dominated_centres(c)), factor * c * (c - 1) * (c - 2)),
                over="k = 3, …, 6",
            ),
            ForEach(
                [6 * sp.functions.combinatorial.numbers.stirling(4, 3), 81 - 3 * 14 - 3, 3 * (3 * 4)],
                lambda value: (value, three),
                over="three ways to count for k = 3",
            ),
        ),
    )


@claim(mutants=[dict(adjacent=3, opposed=3)])
def adjacent_opposite_split(adjacent=4, opposed=2):
    r"""The two dominant edges are adjacent in $4k(k-1)(k-2)$ and opposite in $2k(k-1)(k-2)$ squares: 24 and 12 for k =
    3.

    For all k by patterns; so the two kinds are as 2 to 1."""
    triples = k * (k - 1) * (k - 2)
    return Witnesses(
        (
            Identity(expression(number(4, lambda s: dominant(s) is not None and not opposite(s))), adjacent * triples),
            Identity(expression(number(4, lambda s: dominant(s) is not None and opposite(s))), opposed * triples),
        ),
        ForEach(
            [3],
            lambda c: (Counter(map(opposite, dominated_centres(c))), {False: adjacent * 6, True: opposed * 6}),
            over="k = 3, enumerated",
        ),
    )


@claim(
    mutants=[
        dict(diagonal=lambda k: 3 * (k - 2) + 3),
        dict(off=lambda k: 3 * (k - 1)),
        dict(inner=2),
        dict(eigenvalue=lambda k: 3 * (k - 1) * (k - 2)),
    ]
)
def arm_matrix(
    diagonal=lambda k: 3 * (k - 1) * (k - 2),
    off=lambda k: 3 * (k - 2),
    inner=1,
    eigenvalue=lambda k: 3 * (k - 2) ** 2,
):
    r"""$w(c,m) = 3(k-2)$ if $c \ne m$, $3(k-1)(k-2)$ if $c = m$, so $W = 3(k-2)\,(J + (k-2)I)$; k = 3: 3 and 6.

    For all k by patterns; by trial for k = 3, …, 6. Eigenvalues, for all k: the vector 1 has $6(k-1)(k-2)$, and every
    vector orthogonal to it, a space of dimension k − 1, has $3(k-2)^2$."""
    G = Gram("u x", [[k, 0], [0, g]])
    u, v = G.vectors()
    W = 3 * (k - 2) * (inner * u.outer(u) + (k - 2) * G.identity)
    return Witnesses(
        (
            Identity(expression(arm_polynomial(True)), diagonal(k)),
            Identity(expression(arm_polynomial(False)), off(k)),
            OperatorIdentity(W @ u, 6 * (k - 1) * (k - 2) * u, [k >= 3, g > 0], [{k: 4, g: 1}]),
            OperatorIdentity(W @ v, eigenvalue(k) * v, [k >= 3, g > 0], [{k: 4, g: 1}]),
        ),
        ForEach(
            [(size, c, m) for size in range(3, 7) for c in range(2) for m in range(2)],
            lambda case: (
                len(completions(case[1], case[2], case[0])),
                diagonal(case[0]) if case[1] == case[2] else off(case[0]),
            ),
            over="k = 3, …, 6, c and m equal and different",
        ),
    )


@claim(mutants=[dict(factor=5)])
def row_sum(factor=6):
    r"""$\sum_m w(c,m) = 6(k-1)(k-2)$: a square with one prescribed edge is completed in as many ways whatever its
    colour.

    12 for k = 3. For all k, from the arm matrix and directly by patterns."""
    value = factor * (k - 1) * (k - 2)
    return Witnesses(
        Identity(expression(arm_polynomial(True)) + (k - 1) * expression(arm_polynomial(False)), value),
        Identity(expression(number(3, lambda s: dominant(s) is not None, fixed=(0,))), value),
    )


@claim(mutants=[dict(extra=((0, 0), (1, 0), (0, 1), (1, 1))), dict(ratio=5)])
def tree_theorem(extra=CROSS, ratio=6):
    r"""A tree-like polyomino of N squares has $6k(k-1)(k-2)\,(6(k-1)(k-2))^{N-1}$ colourings with all squares
    dominated.

    For all k and N by induction: taking a leaf away divides the count by the row sum, whatever the colour of its shared
    edge. Compared, as polynomials in k, with the count by patterns on every tree-like polyomino of up to 5 squares and
    on the cross; for k = 3 it is $36\cdot12^{N-1}$, 746496 for the cross. The 2×2 block has a cycle and fails."""
    t = sp.Function("t")
    leaf = expression(arm_polynomial(True)) + (k - 1) * expression(arm_polynomial(False))

    def formula(squares: Any) -> sp.Expr:
        return 6 * k * (k - 1) * (k - 2) * (ratio * (k - 1) * (k - 2)) ** (squares - 1)

    return Witnesses(
        Induction(n, 1, {t(n + 1): leaf * t(n)}, {t(1): formula(1)}, Eq(t(n), formula(n)), AT_LEAST_3),
        ForEach(
            [extra, *tree_like_polyominoes(5)],
            lambda cells: (
                [int(c) for c in count_polyomino(cells, POLYNOMIAL).coeffs()],
                coefficients(formula(len(cells))),
            ),
            over="the cross and all tree-like polyominoes, N ≤ 5, for all k",
        ),
        ForEach([CROSS], lambda _: (len(dominated_crosses()[0]), int(formula(5).subs(k, 3))), over="k = 3, enumerated"),
    )


# The cross


@claim(
    mutants=[
        dict(third=lambda k: 4 * k - 5),
        dict(second=lambda k: 2 * k - 2),
        dict(first=lambda k: k),
        dict(impossible=lambda p, q: p == q),
    ]
)
def pair_counts(
    first=lambda k: k - 1,
    second=lambda k: 2 * k - 3,
    third=lambda k: 4 * k - 7,
    impossible=lambda p, q: p == q != 0,
):
    r"""Two opposite arms: $9(k-1)(k-2)^3$ ways if $p = q = m_0$, $9(k-2)^3(2k-3)$ if one is, $9(k-2)^3(4k-7)$ if none.

    Ways to complete the two arms of a line so that the dominants of the line's three squares are pairwise different;
    18, 27 and 45 for k = 3. In the last case p ≠ q; p = q ≠ m₀ can't occur. For all k: the sum over m ≠ m', both ≠ m₀,
    of w(p, m) w(q, m') by patterns. By trial of all completions for k = 3 and 4. The trap is to let m' be one of k − 2
    colours that are neither p nor q, though it must not be m₀ either: that gives 4k − 5."""
    cube = 9 * (k - 2) ** 3
    cases = {(0, 0): first, (0, 1): second, (1, 2): third}

    def trial(case: tuple[int, int, int]) -> tuple[int, Any]:
        c, p, q = case
        found = sum(
            len(completions(p, m, c)) * len(completions(q, other, c)) for m, other in permutations(range(1, c), 2)
        )
        return found, 9 * (c - 2) ** 3 * cases[p, q](c)

    return (
        *(Identity(expression(pair_polynomial(p, q)), cube * factor(k)) for (p, q), factor in cases.items()),
        ForEach([(c, p, q) for c in (3, 4) for p, q in cases], trial, over="k = 3, 4, all three cases"),
        ForEach(
            [(s, i) for s in patterns() if dominant(s) is not None for i in range(2)],
            lambda case: (
                impossible(*(int(c != dominant(case[0])) * (c + 1) for c in case[0][case[1] :: 2])),
                False,
            ),
            over="both pairs of opposite edges of a dominated square, by patterns",
        ),
    )


@claim(mutants=[dict(total=54432), dict(total=31104), dict(neither=63)])
def main_count(total=27216, neither=45):
    r"""The cross has **27216** valid colourings in three colours: $24\cdot27^2 + 12\cdot18\cdot45 = 17496 + 9720$.

    Independent witnesses: brute force over $3^{16}$ colourings (those with a centre that isn't dominated are invalid at
    once), the article's program, the contraction of arm matrices over the centre, the frontier count on the polyomino,
    and the article's sum by hand. $27216 = 2^4\cdot3^5\cdot7$, half the rival answer 54432. With 63 for 45, the trap of
    `pair-counts`, the sum is 31104."""
    return Witnesses(
        ForEach([3], lambda c: (count_cross_bruteforce(c), total), over="k = 3, all 3^16 colourings"),
        ForEach([3], lambda c: (article_program()[0], total), over="k = 3, the article's program"),
        ForEach([3], lambda c: (contract_cross(c), total), over="k = 3, contraction"),
        ForEach([3], lambda c: (count_tree(CROSS, c, "window3"), total), over="k = 3, frontier"),
        (
            ForEach([24 * 27**2 + 12 * 18 * neither], lambda value: (value, total), over="k = 3, by hand"),
            ForEach([2**4 * 3**5 * 7], lambda value: (value, total), over="k = 3, factors"),
        ),
    )


@claim(mutants=[dict(last=lambda k: 4 * k - 7), dict(spare=2), dict(degree=12)])
def closed_form_k(last=lambda k: 4 * k - 5, spare=3, degree=11):
    r"""$N(k) = 162\,k(k-1)(k-2)^7(3k-5)(4k-5)$ for every k.

    Proved for all k twice: by the contraction over the patterns of the centre, and by the frontier count of the
    polyomino; the key step is $2(2k-3)^2 + (k-1)(4k-7) = (3k-5)(4k-5)$. Evaluated by the numerical contraction for
    k = 1, …, 16. N(1) = N(2) = 0. The degree is 11, 16 segments less one for each square: $N(k) \sim 1944k^{11}$."""
    formula = 162 * k * (k - 1) * (k - 2) ** 7 * (3 * k - 5) * last(k)
    counted = count_polyomino(CROSS, POLYNOMIAL, "window3")
    return Witnesses(
        (
            Identity(expression(contraction_polynomial(spare)), formula),
            Identity(2 * (2 * k - 3) ** 2 + (k - 1) * (4 * k - 7), (3 * k - 5) * last(k)),
        ),
        Identity(expression(counted), formula),
        ForEach(["N"], lambda _: ((counted.degree(), int(counted.coeffs()[-1])), (degree, 1944)), over="leading term"),
        ForEach(
            range(1, 17),
            lambda c: (contract_cross(c), 162 * c * (c - 1) * (c - 2) ** 7 * (3 * c - 5) * last(c)),
            over="k = 1, …, 16",
        ),
    )


@claim(mutants=[dict(power=3), dict(limit=Rational(1, 3)), dict(at_three=Rational(7, 96)), dict(squares=5)])
def fraction_among_dominated(power=4, limit=Rational(1, 4), at_three=Rational(7, 192), squares=4):
    r"""Of the colourings with five dominated squares $\frac{(k-2)^2(3k-5)(4k-5)}{48(k-1)^4}$ are valid, k ≥ 3; it tends
    to 1/4.

    7/192 for k = 3; in general between $\frac14 - \frac{35}{48(k-1)}$ and $\frac14$. For large k an arm is dominated by
    its shared colour with probability 1/2, and exactly the two arms on the edges of colour m₀ must avoid that."""
    everything = 6 * k * (k - 1) * (k - 2) * (6 * (k - 1) * (k - 2)) ** squares
    valid = expression(count_polyomino(CROSS, POLYNOMIAL, "window3"))

    def formula(c: sp.Expr, power: int = 4) -> sp.Expr:
        return (c - 2) ** 2 * (3 * c - 5) * (4 * c - 5) / (48 * (c - 1) ** power)

    return (
        Identity(expression(count_polyomino(CROSS, POLYNOMIAL)), everything),
        Identity(valid / everything, formula(k, power), AT_LEAST_3),
        ForEach([3], lambda c: (Fraction(count_cross(c), count_tree(CROSS, c)), at_three), over="k = 3"),
        ForAll(And(limit - Rational(35, 48) / (X - 1) <= formula(X), formula(X) <= limit), [X >= 3]),
    )


@claim(mutants=[dict(few=5, shared=1), dict(few=4, shared=0)])
def colour_multiplicity_law(few=4, shared=1):
    r"""In every valid colouring (k = 3) the centre's dominant is on exactly 4 segments, each other colour on exactly 6.

    Double counting: the edges of colour i, summed over the squares, are 5 + #{squares dominated by i}, and the shared
    ones are counted twice, so segments(i) = 5 + dominated(i) − centre(i), for all 746496 dominated colourings. In a
    valid one the centre's colour has 5 + 1 − 2 = 4, the others 5 + 2 − 1 = 6. So the histogram's generating function is
    $9072(x^4y^6z^6 + x^6y^4z^6 + x^6y^6z^4)$; enumerated."""

    def double_counting(colour: int) -> tuple[int, int]:
        colourings, dominants = dominated_crosses()
        segments = (colourings == colour).sum(axis=1)
        squares = (dominants == colour).sum(axis=1)
        centre = (colourings[:, :4] == colour).sum(axis=1)
        return int((segments == 5 + squares - shared * centre).sum()), len(colourings)

    def law(colour: int) -> tuple[Any, Any]:
        colourings, dominants = valid_crosses()
        own = colourings[dominants[:, 0] == colour]
        found = Counter(tuple((row == c).sum().item() for c in range(3)) for row in own)
        rest = (16 - few) // 2
        return found, {tuple(few if c == colour else rest for c in range(3)): 9072}

    return (
        ForEach(range(3), double_counting, over="three colours, all 746496 dominated colourings"),
        ForEach(range(3), law, over="three colours of the centre, all 27216 valid colourings"),
    )


@claim(mutants=[dict(four=Fraction(1, 4), six=Fraction(3, 4)), dict(mean=Fraction(5))])
def red_edge_marginal(four=Fraction(1, 3), six=Fraction(2, 3), mean=Fraction(16, 3)):
    r"""A uniform valid colouring (k = 3) has 4 red segments with probability 1/3 and 6 with probability 2/3; mean 16/3.

    Exhaustive for each of the three colours."""

    def law(colour: int) -> dict[int, Fraction]:
        numbers = Counter((valid_crosses()[0] == colour).sum(axis=1).tolist())
        return {value: Fraction(times, numbers.total()) for value, times in numbers.items()}

    return (
        ForEach(range(3), lambda c: (law(c), {4: four, 6: six}), over="three colours"),
        ForEach(range(3), lambda c: (sum(v * p for v, p in law(c).items()), mean), over="three colours"),
    )


@claim(mutants=[dict(acting_on="dominated"), dict(order=4)])
def symmetry_free_action(acting_on="valid", order=8):
    r"""The dihedral group of order 8 acts freely on the valid colourings: 27216/8 = 3402 orbits; so do the colours,
    4536.

    6804 orbits of the four turns. A half turn or a reflection in an axis gives two arms of a line one dominant; a
    quarter turn makes the centre monochrome; a reflection in a diagonal makes its colours two equal pairs. All eight
    symmetries and six renamings are applied to all 27216 colourings, and orbits are counted by least images. Without
    the condition on lines the reflections in the diagonals do have fixed points."""
    everything = list(symmetries().values())
    turns = [symmetries()[name] for name in TURNS]
    identity = [list(range(16))]

    def rows(which: str = "valid") -> np.ndarray:
        return (valid_crosses() if which == "valid" else dominated_crosses())[0]

    return (
        ForEach(
            [name for name in symmetries() if name != "identity"],
            lambda name: (fixed_points(rows(acting_on), symmetries()[name], IDENTITY_OF_COLOURS), 0),
            over="the seven symmetries but the identity",
        ),
        ForEach(
            ["all", "turns", "colours"],
            lambda which: {
                "all": (orbits(rows(), everything, [IDENTITY_OF_COLOURS]), 27216 // order),
                "turns": (orbits(rows(), turns, [IDENTITY_OF_COLOURS]), 27216 // 4),
                "colours": (orbits(rows(), identity, COLOUR_PERMUTATIONS), 27216 // 6),
            }[which],
            over="three groups",
        ),
    )


@claim(mutants=[dict(half_turn=0), dict(diagonal=216)])
def combined_burnside(half_turn=216, diagonal=108):
    r"""Up to symmetries and renaming of colours there are **594** valid colourings: $\frac1{48}\sum|\mathrm{Fix}|$.

    Only the identity, a half turn with a transposition of colours (216 fixed points each) and a reflection in a
    diagonal with one (108 each) have fixed points: $(27216 + 3\cdot216 + 6\cdot108)/48 = 594$. Every one of the 48
    elements is applied to every colouring; the orbits are also counted by least images."""

    def expected(name: str, renaming: tuple[int, ...]) -> int:
        transposition = sum(i == c for i, c in enumerate(renaming)) == 1
        if name == "identity" and renaming == IDENTITY_OF_COLOURS:
            return 27216
        if not transposition:
            return 0
        return {"half turn": half_turn, "diagonal": diagonal, "antidiagonal": diagonal}.get(name, 0)

    group = list(product(symmetries(), COLOUR_PERMUTATIONS))
    return (
        ForEach(
            group,
            lambda case: (fixed_points(valid_crosses()[0], symmetries()[case[0]], case[1]), expected(*case)),
            over="all 48 symmetries with renamings",
        ),
        ForEach(
            [48],
            lambda order: (
                orbits(valid_crosses()[0], list(symmetries().values()), COLOUR_PERMUTATIONS),
                Fraction(sum(expected(*element) for element in group), order),
            ),
            over="the group of order 48",
        ),
    )


# Strips and grids


@claim(mutants=[dict(growth=11), dict(double=2)])
def strip_free(growth=12, double=3):
    r"""A 1×n strip (k = 3) has $36\cdot12^{n-1}$ colourings with all squares dominated; its matrix has
    $x^6(x-12)(x+3)^2$.

    The transfer matrix acts on (colour of the right edge, dominant); every state has 12 continuations, so the count
    holds for all n. Compared with the frontier count for n ≤ 8."""
    t = sp.Function("t")
    table = strip_matrix(lambda m, other: True)
    wanted = coefficients(sp.expand(k**6 * (k - 12) * (k + double) ** 2))
    return (
        ForEach(sorted(table), lambda state: (table[state].total(), growth), over="nine states"),
        Induction(n, 1, {t(n + 1): 12 * t(n)}, {t(1): 36}, Eq(t(n), 36 * sp.Integer(growth) ** (n - 1))),
        ForEach(range(1, 9), lambda i: (count_strip(i), 36 * growth ** (i - 1)), over="n = 1, …, 8"),
        ForEach(["the matrix"], lambda _: (characteristic(table), wanted), over="the 9×9 transfer matrix"),
    )


@claim(
    mutants=[
        dict(last=11),
        dict(same=lambda e, m: int(e == 0)),
        dict(cubic=-11),
        dict(radicand=31),
        dict(values=(36, 270, 1026)),
    ]
)
def strip_adjacent_differ(
    last=12,
    same=lambda e, m: int(e != m),
    cubic=-12,
    radicand=33,
    values=(36, 270, 1998, 14742, 108702, 801414),
):
    r"""If neighbouring dominants differ as well: 36, 270, 1998, 14742, 108702, 801414, …, $a_n = 9a_{n-1} - 12a_{n-2}$.

    For all n, k = 3. The nine states (edge e, dominant m) are lumped into e = m and e ≠ m, which is exact since the
    numbers of ways depend on the kind alone; the recurrence follows by induction, and with it $a_n = A r^n + B s^n$,
    $A, B = \frac94 \pm \frac{21}{44}\sqrt{33}$, with the growth rate $r = (9+\sqrt{33})/2 \approx 7.3723$. The matrix
    of all nine states has the characteristic polynomial $(x-1)(x^2-9x+12)(x^3+5x^2+3x-12)^2$."""
    p, q, a = sp.Function("p"), sp.Function("q"), sp.Function("a")
    table = strip_matrix(lambda m, other: m != other)
    rows = {0: [4, 2], 1: [4, 5]}
    larger, smaller = ((9 + sign * sqrt(radicand)) / 2 for sign in (1, -1))
    closed = (Rational(9, 4) + 21 * sqrt(33) / 44) * larger**n + (Rational(9, 4) - 21 * sqrt(33) / 44) * smaller**n
    return (
        ForEach(
            sorted(table),
            lambda s: (lumped(table, same, 2)(s), rows[int(s[0] != s[1])]),
            over="nine states, two kinds",
        ),
        ForEach(
            ["n = 1"],
            lambda _: ([Counter(same(s[1], dominant(s)) for s in dominated_centres())[i] for i in (0, 1)], [18, 18]),
            over="the kinds of one square",
        ),
        Induction(
            n, 1, {p(n + 1): rows[0][0] * p(n) + rows[1][0] * q(n), q(n + 1): rows[0][1] * p(n) + rows[1][1] * q(n)},
            {p(1): 18, q(1): 18},
            Eq(p(n + 2) + q(n + 2), 9 * (p(n + 1) + q(n + 1)) - last * (p(n) + q(n))),
        ),
        Induction(n, 1, {a(n + 2): 9 * a(n + 1) - 12 * a(n)}, {a(1): 36, a(2): 270}, Eq(a(n), closed)),
        ForEach(
            enumerate(values, 1), lambda case: (count_strip(case[0], 3, "adjacent"), case[1]), over="n = 1, 2, …"
        ),
        ForEach(
            ["the matrix"],
            lambda _: (
                characteristic(table),
                coefficients(sp.expand((k - 1) * (k**2 - 9 * k + 12) * (k**3 + 5 * k**2 + 3 * k + cubic) ** 2)),
            ),
            over="the 9×9 transfer matrix",
        ),
    )  # fmt: skip


@claim(
    mutants=[
        dict(constant=5),
        dict(kind=lambda e, before, m: 0 if e == m else 1),
        dict(values=(36, 270, 1998)),
    ]
)
def strip_window3(
    constant=6,
    kind=lambda e, before, m: 0 if e == m else 1 if e == before else 2,
    values=(36, 270, 1026, 3942, 15174, 58374, 224478, 863190),
):
    r"""If any three consecutive dominants are pairwise different: 36, 270, 1026, 3942, …; $a_n = 5a_{n-1} - 6a_{n-2} +
    6a_{n-3}$ for n ≥ 5.

    1026 is one line of the cross. k = 3, all n ≥ 2 in the recurrence: the states (edge e, last dominant but one, last
    dominant m) are lumped into e = m, e = the last but one, and neither, which is exact; induction does the rest. The
    values are compared with the frontier count for n ≤ 8."""
    p, q, r = sp.Function("p"), sp.Function("q"), sp.Function("r")
    states = [s for s in product(range(3), repeat=3) if s[1] != s[2]]
    table = {
        (e, before, m): Counter(
            (square[1], m, found)
            for word in product(range(3), repeat=3)
            for square in [(word[0], word[1], word[2], e)]
            for found in [dominant(square)]
            if found is not None and found not in (before, m)
        )
        for e, before, m in states
    }
    neighbours = strip_matrix(lambda m, other: m != other)
    pairs: Counter[tuple[int, int, int]] = Counter()
    for square in dominated_centres():
        m = dominant(square)
        assert m is not None
        for (e, other), ways in neighbours[square[1], m].items():
            pairs[e, m, other] += ways
    rows = ([2, 0, 1], [2, 1, 0], [2, 2, 2])
    true_kind = [0 if e == m else 1 if e == before else 2 for e, before, m in states]

    def total(shift: int) -> sp.Expr:
        return p(n + shift) + q(n + shift) + r(n + shift)

    return (
        ForEach(
            list(zip(states, true_kind)),
            lambda case: ([lumped(table, kind, 3)(case[0])[i] for i in range(3)], rows[case[1]]),
            over="18 states, three kinds",
        ),
        ForEach(
            ["n = 2"],
            lambda _: ([sum(w for s, w in pairs.items() if kind(*s) == i) for i in range(3)], [144, 54, 72]),
            over="the kinds of two squares",
        ),
        Induction(
            n,
            2,
            {f(n + 1): sum(rows[i][j] * u(n) for i, u in enumerate((p, q, r))) for j, f in enumerate((p, q, r))},
            {p(2): 144, q(2): 54, r(2): 72},
            Eq(total(3), 5 * total(2) - 6 * total(1) + constant * total(0)),
        ),
        ForEach(
            enumerate(values, 1), lambda case: (count_strip(case[0], 3, "window3"), case[1]), over="n = 1, 2, …"
        ),
    )


GRIDS = {
    ("free", 1, 1): 36,
    ("free", 2, 2): 20898,
    ("free", 2, 3): 1011852,
    ("free", 3, 3): 197888508,
    ("adjacent", 2, 2): 3168,
    ("adjacent", 2, 3): 33222,
    ("adjacent", 3, 3): 397656,
}


@claim(mutants=[dict(block=36 * 12**3), dict(different=3186)])
def grid(block=20898, different=3168):
    r"""m×n grids, k = 3, all dominated: 2×2 20898, 2×3 1011852, 3×3 197888508; neighbours differing: 3168, 33222,
    397656.

    The frontier count of each, for both orders of the squares (rows or columns first); besides it the sum over the
    colourings of the inner edges, given which the squares are independent (3×3 with differing neighbours: two orders of
    squares only), and all $3^{12}$ colourings of the 2×2 grid. These grids aren't tree-like: 20898 ≠ 36·12³."""
    expected = {**GRIDS, ("free", 2, 2): block, ("adjacent", 2, 2): different}

    def orders(case: tuple[str, int, int]) -> tuple[Any, Any]:
        rule, rows, columns = case
        across = [(x, y) for y in range(rows) for x in range(columns)]
        return (count_grid(rows, columns, 3, rule), count_polyomino(across, 3, rule)), (expected[case],) * 2

    def all_colourings(rule: str) -> tuple[Any, Any]:
        places = list(dict.fromkeys(place for cell in grid_cells(2, 2) for place in edges(cell)))
        colours = np.indices((3,) * 12, dtype=np.int8).reshape(12, -1)
        table = is_dominated(np.array(list(product(range(3), repeat=4)))).astype(np.int8)
        a, b, c, d = (
            table[sum(colours[places.index(place)] * np.int8(3 ** (3 - i)) for i, place in enumerate(edges(cell)))]
            for cell in ((0, 0), (1, 0), (1, 1), (0, 1))
        )
        fine = np.minimum.reduce([a, b, c, d]) >= 0
        if rule == "adjacent":
            fine &= (a != b) & (b != c) & (c != d) & (d != a)
        return int(fine.sum()), expected[rule, 2, 2]

    return (
        ForEach(expected, orders, over="seven grids"),
        ForEach(
            [case for case in expected if case != ("adjacent", 3, 3)],
            lambda case: (grid_by_inner_edges(case[1], case[2], case[0]), expected[case]),
            over="six grids, by their inner edges",
        ),
        ForEach(["free", "adjacent"], all_colourings, over="2×2, all 3^12 colourings"),
    )


# The rival answer, the program and the sum by hand


@claim(mutants=[dict(rival=27216), mutant(label="one count off", stated={**READING_COUNTS, "as stated": 54432})])
def variants_do_not_give_54432(rival=54432, stated=READING_COUNTS):
    r"""No reading of the condition gives 54432: without it 746496, centre ≠ each arm 104976, no line of equal dominants
    555984, arms of a line differ 342144, horizontal line only 147744, vertical neighbours differ 53460.

    So the rival answer is no other reasonable reading; it is twice the right one. Counted by the dominants of all
    746496 dominated colourings, and by arm matrices (6 on the diagonal, 3 beside it) for each of the 36 centres."""

    def both(name: str) -> tuple[Any, Any]:
        reading = READINGS[name]
        enumerated = sum(times for dominants, times in dominant_histogram().items() if reading(*dominants))
        return (enumerated, enumerated != rival), (stated[name], True)

    def contracted(name: str) -> tuple[int, int]:
        total = 0
        for centre in dominated_centres():
            for arms in product(range(3), repeat=4):
                if READINGS[name](dominant(centre), *arms):
                    total += int(np.prod([6 if c == m else 3 for c, m in zip(centre, arms)]))
        return total, stated[name]

    return (
        ForEach(READINGS, both, over="seven readings, by enumeration"),
        ForEach(READINGS, contracted, over="seven readings, by contraction"),
    )


def arm_products(size: int, scalar: Callable[[Any], Any], sums_first: bool) -> Any:
    """N(3) from W in counting scalars: four-factor products, or for each centre a product of two pair sums."""
    total = scalar(0)
    for centre in dominated_centres(size):
        others = [i for i in range(size) if i != dominant(centre)]
        w = [{m: scalar(6 if c == m else 3) for m in others} for c in centre]
        if sums_first:
            lines = [w[i][others[0]] * w[i + 2][others[1]] + w[i][others[1]] * w[i + 2][others[0]] for i in (0, 1)]
            total = total + lines[0] * lines[1]
        else:
            for (t, b), (r, l) in product(permutations(others), repeat=2):
                total = total + w[0][t] * w[1][r] * w[2][b] * w[3][l]
    if total.value != 27216:
        raise AssertionError(f"the instrumented sum is {total.value}")
    return total


@claim(
    mutants=[
        dict(visits=36 * 4 * 27),
        dict(expanded=17_000_000),
        dict(naive=3**15),
        dict(four=lambda size: 36 * 4 * 4),
        dict(pairs=lambda size: 36 * 4),
    ]
)
def enumeration_cost(
    naive=43_046_721, expanded=19_131_876, visits=15_552, four=lambda size: 432, pairs=lambda size: 180
):
    r"""Naively $3^{16} = 43046721$ colourings; centre first, arms expanded $36\cdot27^4 = 19131876$; the article's
    program looks at $36\cdot4\cdot4\cdot27 = 15552$ completions.

    Counted inside the program. With W known 36·4 products of four factors (432 multiplications, 144 additions) are
    left, or 36 products of two pair sums (180 and 108), counted by instrumented numbers."""
    return (
        ForEach(
            [(3**16, naive), (len(dominated_centres()) * 27**4, expanded), (article_program()[1], visits)],
            lambda case: case,
            over="three programs",
        ),
        Counts(lambda size, scalar: arm_products(size, scalar, False), [3], {"mul": four, "add": lambda size: 144}),
        Counts(lambda size, scalar: arm_products(size, scalar, True), [3], {"mul": pairs, "add": lambda size: 108}),
    )


@claim(mutants=[dict(unfiltered=27216), dict(answers=0)])
def code_identifies_dominant(unfiltered=152928, answers=18):
    r"""The article's helper returns the first colour that occurs twice: on squares with three colours that is the
    dominant.

    On all 81 squares: right on the 36 dominated ones, an answer on the 18 two-plus-two squares as well, none on the 24
    three-plus-one and 3 monochrome squares. So the filter on the arms matters: without it the program returns
    152928."""

    def kind(square: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
        split = tuple(sorted(Counter(square).values()))
        found = first_double(square)
        return split, "none" if found is None else "dominant" if found == dominant(square) else "no dominant"

    return (
        ForEach(
            [ALL_81],
            lambda _: (
                dict(Counter(map(kind, product(range(3), repeat=4)))),
                {
                    ((1, 1, 2), "dominant"): 36,
                    ((2, 2), "no dominant"): answers,
                    ((1, 3), "none"): 24,
                    ((4,), "none"): 3,
                },
            ),
            over=ALL_81,
        ),
        ForEach(
            [(True, 27216), (False, unfiltered)],
            lambda case: (article_program(case[0])[0], case[1]),
            over="the article's program with and without the filter",
        ),
    )


@claim(mutants=[dict(other=27), dict(mixed=lambda same, off: off * off + off * off)])
def hand_derivation(other=45, mixed=lambda same, off: off * off + off * same):
    r"""By hand: 24 centres with lines $(27, 27)$, $3\cdot3 + 3\cdot6 = 27$; 12 with $(18, 45)$, $3\cdot3 + 6\cdot6 =
    45$.

    Of the twelve, six have the pair of dominant edges vertical, (18, 45), and six horizontal, (45, 18). Enumerated for
    all 36 centres by trial of the 27 completions of each arm. $24\cdot729 + 12\cdot810 = 27216$."""
    same, off = 6, 3

    def lines(centre: tuple[int, ...]) -> tuple[int, int]:
        others = [i for i in range(3) if i != dominant(centre)]
        return tuple(
            sum(len(completions(centre[i], m)) * len(completions(centre[i + 2], v)) for m, v in permutations(others))
            for i in (0, 1)
        )  # type: ignore[return-value]

    return (
        ForEach(
            [ALL_81],
            lambda _: (
                dict(Counter(map(lines, dominated_centres()))),
                {(27, 27): 24, (18, other): 6, (other, 18): 6},
            ),
            over="all 36 centres",
        ),
        ForEach(
            [(off * off + off * off, 18), (mixed(same, off), 27), (off * off + same * same, 45)],
            lambda case: case,
            over="the three sums of the table",
        ),
        ForEach([24 * 27**2 + 12 * 18 * other], lambda value: (value, 27216), over="the total"),
    )


__all__ = [
    "CROSS",
    "SEGMENTS",
    "SQUARES",
    "contract_cross",
    "count_cross",
    "count_cross_bruteforce",
    "count_grid",
    "count_strip",
    "count_tree",
    "from_grid",
    "is_dominated",
    "to_grid",
    "valid_cross",
    "valid_crosses",
]
