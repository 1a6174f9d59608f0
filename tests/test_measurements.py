"""Benchmark results: ratios, exponents, floors, and files that aren't results."""

from __future__ import annotations

import json

import pytest

from kexue import measurements


def row(group, label, median, n=None, **extra):
    info = extra | ({} if n is None else {"n": n})
    stats = {"median": median, "iqr": median / 10, "min": median, "max": median, "rounds": 5}
    params = {"who": label} | ({} if n is None else {"size": n})
    return {"group": group, "name": f"test_x[{label}]", "params": params, "extra_info": info, "stats": stats}


@pytest.fixture
def results(tmp_path):
    rows = [
        row("machine: copies", "copy of 1 MiB", 1e-5, bytes=2 * 2**20),
        row("machine: copies", "copy of 256 MiB", 0.01, bytes=10**9),
        row("machine: copies", "2048 × 2048", 0.1, flop=10**10),
        *(row("growth", "peer", 2e-6 * n**2, n) for n in (10, 100, 1000)),
        *(row("growth", "ours", 1e-6 * n, n) for n in (10, 100, 1000)),
        row("kernel", "ours", 0.02, flop=10**9, bytes=10**9),
        row("kernel", "peer", 0.03),
    ]  # fmt: skip
    data = {"benchmarks": rows, "junk": [1] * 1000, "machine_info": {}}
    kept = measurements.compact(data, device="a machine", versions={"torch": "2"}, date="2026-01-01")
    assert "junk" not in kept
    file = tmp_path / "here.json"
    file.write_text(json.dumps(kept))
    return measurements.load(file)


def group(results, name):
    return next(g for g in results.groups if g.name == name)


def test_ratios_are_over_ours_wherever_it_stands(results):
    growth = group(results, "growth")
    assert [growth.ratio(c) for c in growth.cases] == pytest.approx([20, 200, 2000, None, None, None])


def test_exponents(results):
    growth = group(results, "growth")
    assert growth.exponent("ours") == pytest.approx(1) and growth.exponent("peer") == pytest.approx(2)
    assert measurements.exponents(growth) == ["peer: time ~ n^2.00", "ours: time ~ n^1.00"]
    assert measurements.growing(results.groups) == [growth]
    assert group(results, "kernel").exponent("ours") is None


def test_the_floor_is_of_large_copies_and_products(results):
    """10⁹ bytes take 10 ms here, 10⁹ operations too: the kernel of 20 ms is at twice the floor."""
    ours, peer = group(results, "kernel").cases
    assert results.floor(ours) == pytest.approx(0.01) and results.floor(peer) is None
    header, rows = measurements.rows(results, group(results, "kernel"))
    assert header == ["case", "median", "spread", "over ours", "over the floor"]
    assert rows == [["ours", "20 ms", "10 %", "·", "2.0"], ["peer", "30 ms", "10 %", "1.50", "·"]]


def test_a_figure_of_each_curve(results):
    axes = measurements.figure(group(results, "growth")).axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log" and axes.get_ylabel() == "median time (s)"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmarks": [{}]}', '{"benchmarks": 3}'])
def test_a_file_that_is_no_result(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="must be a file of benchmark results"):
        measurements.load(tmp_path / "x.json")
