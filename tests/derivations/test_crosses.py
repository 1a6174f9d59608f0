"""The exact public functions of the article on the cross counting problem."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.derivations.crosses import (
    CROSS,
    SEGMENTS,
    SQUARES,
    contract_cross,
    count_cross,
    count_cross_bruteforce,
    count_grid,
    count_strip,
    count_tree,
    from_grid,
    is_dominated,
    to_grid,
    valid_cross,
    valid_crosses,
)

colourings = st.lists(st.integers(0, 4), min_size=16, max_size=16)


def dominant_by_counting(square):
    found = [c for c in set(square) if list(square).count(c) == 2]
    return found[0] if len(found) == 1 and len(set(square)) == 3 else -1


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_is_dominated_counts_colours(k):
    squares = list(product(range(k), repeat=4))
    assert is_dominated(squares, k).tolist() == [dominant_by_counting(s) for s in squares]


def test_is_dominated_keeps_leading_axes():
    assert is_dominated(np.zeros((2, 0, 5, 4), dtype=np.int8)).shape == (2, 0, 5)
    assert is_dominated([0, 1, 2, 0]).item() == 0


@given(colourings)
def test_valid_cross_by_its_words(colours):
    C, T, R, B, L = (dominant_by_counting([colours[i] for i in square]) for square in SQUARES)
    expected = -1 not in (C, T, R, B, L) and len({T, C, B}) == 3 and len({L, C, R}) == 3
    assert bool(valid_cross(colours, 5)) is expected


def test_valid_crosses_are_valid_different_and_renamable():
    rows, _ = valid_crosses()
    assert len(np.unique(rows, axis=0)) == len(rows) == 27216
    assert valid_cross(rows).all() and valid_cross(np.array([2, 0, 1])[rows]).all()
    assert not valid_cross(rows[:, ::-1]).all()


def test_counts_agree():
    assert [count_cross(k) for k in (1, 2)] == [0, 0]
    for k in (3, 4):
        assert count_cross_bruteforce(k) == count_tree(CROSS, k, "window3") == contract_cross(k) == count_cross(k)
    assert count_cross(3) == 27216
    assert count_cross(10**6) == count_tree(CROSS, 10**6, "window3")


def test_int64_contraction_reaches_its_limit():
    largest = max(k for k in range(3, 60) if count_cross(k) < 2**63)
    assert contract_cross(largest) == count_cross(largest)
    with pytest.raises(ValueError, match=r"k must have N\(k\) < 2\^63 for int64.*use count_cross"):
        contract_cross(largest + 1)


@given(colourings)
def test_grid_is_a_round_trip(colours):
    assert from_grid(to_grid(colours)) == tuple(colours)


def test_segment_order():
    assert len(set(SEGMENTS)) == 16
    # centre T, R, B, L; then each arm clockwise from its shared edge
    assert SEGMENTS[:4] == ((0, 1), (1, 0), (0, -1), (-1, 0))
    assert SEGMENTS[4:7] == ((-1, 2), (0, 3), (1, 2))
    assert SEGMENTS[7:10] == ((2, 1), (3, 0), (2, -1))
    for square, (x, y) in zip(SQUARES, CROSS):
        midpoints = {SEGMENTS[i] for i in square}
        assert midpoints == {(2 * x, 2 * y + 1), (2 * x, 2 * y - 1), (2 * x + 1, 2 * y), (2 * x - 1, 2 * y)}


@pytest.mark.parametrize("rule", ["free", "adjacent", "window3"])
def test_strips_grids_and_trees_agree(rule):
    for n in range(1, 6):
        cells = [(x, 7) for x in range(n)]
        assert count_strip(n, 3, rule) == count_grid(n, 1, 3, rule) == count_tree(cells[::-1], 3, rule)
    assert count_strip(40, 3) == 36 * 12**39
    assert count_grid(2, 3, 4, rule) == count_grid(3, 2, 4, rule)
    assert count_strip(3, 2, rule) == count_grid(2, 2, 1, rule) == 0


def test_order_of_squares_does_not_matter():
    tree = [(0, 0), (1, 0), (2, 0), (2, 1), (2, -1), (3, 0), (0, 1)]
    expected = count_tree(tree, 4, "window3")
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert count_tree([tree[i] for i in rng.permutation(len(tree))], 4, "window3") == expected


BLOCK = [(0, 0), (1, 0), (0, 1), (1, 1)]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: count_cross(0), "k must be an integer ≥ 1, got 0"),
        (lambda: count_cross(3.0), r"k must be an integer ≥ 1, got 3\.0"),
        (lambda: count_cross(True), "k must be an integer ≥ 1, got True"),
        (lambda: count_cross_bruteforce(5), "k must be ≤ 4 for brute force, got 5"),
        (lambda: count_strip(0), "n must be an integer ≥ 1, got 0"),
        (lambda: count_grid(0, 2), "m must be an integer ≥ 1, got 0"),
        (lambda: count_strip(2, 3, "window4"), "rule must be one of free, adjacent, window3, got 'window4'"),
        (lambda: count_tree(BLOCK), "polyomino must be connected without a cycle"),
        (lambda: count_tree([(0, 0), (1, 1)]), "polyomino must be connected without a cycle"),
        (lambda: count_tree([(0, 0), (0, 0)]), r"polyomino must name each square once, got \(0, 0\) twice"),
        (lambda: count_tree([]), "polyomino must have at least one square"),
        (lambda: is_dominated([0, 1, 2]), r"edges must have 4 colours on the last axis, got the shape \(3,\)"),
        (lambda: is_dominated([0.0, 1.0, 2.0, 0.0]), "edges must be integer colours, got the dtype float64"),
        (lambda: is_dominated([0, 1, 2, 3]), r"edges must be in range\(3\), got 3"),
        (lambda: is_dominated([0, 1, 2, -1]), r"edges must be in range\(3\), got -1"),
        (lambda: valid_cross(np.zeros(15, dtype=int)), "colours must have 16 colours on the last axis"),
        (lambda: valid_cross(np.full(16, 3)), r"colours must be in range\(3\), got 3"),
        (lambda: to_grid(np.zeros((2, 16), dtype=int)), "colours must be one colouring of 16 segments"),
        (lambda: from_grid({(0, 1): 0}), "grid must have exactly the 16 midpoints of the cross"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
