"""What was promised about speed, each with how it is read off a results file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kexue.measurements import Case, Group, Results, slope

GLOW = "flows: one affine Glow step of width 512"

Measure = Callable[[Results], "float | None"]


@dataclass(frozen=True)
class Promise:
    text: str
    measure: Measure
    least: float | None = None
    most: float | None = None
    remark: str = ""


def group(results: Results, start: str) -> Group | None:
    return next((g for g in results.groups if g.name.startswith(start)), None)


def cases(results: Results, start: str, label: str) -> list[Case]:
    found = group(results, start)
    return [] if found is None else [case for case in found.cases if label in case.label]


def ratio(start: str, label: str, pick: Callable[[list[float]], float] = min) -> Measure:
    """The ratio of a peer to ours in a group: the least one, which is the worst, unless told otherwise."""

    def measure(results: Results) -> float | None:
        found = group(results, start)
        ratios = [found.ratio(case) for case in cases(results, start, label)] if found else []
        kept = [value for value in ratios if value is not None]
        return pick(kept) if kept else None

    return measure


def exponent(start: str, label: str) -> Measure:
    def measure(results: Results) -> float | None:
        found = group(results, start)
        values = [] if found is None else [found.exponent(each) for each in found.labels if label in each]
        return max((v for v in values if v is not None), default=None)

    return measure


def extra(start: str, key: str, pick: Callable[[list[Any]], float] = max) -> Measure:
    def measure(results: Results) -> float | None:
        found = group(results, start)
        values = [case.extra[key] for case in found.cases if key in case.extra] if found else []
        return float(pick(values)) if values else None

    return measure


def median(start: str, label: str = "") -> Measure:
    return lambda results: next((case.median for case in cases(results, start, label)), None)


def bytes_per_step(results: Results) -> float | None:
    """Growth of the bytes that autograd saves with each further step of the reversible stack, over the plain one's."""
    slopes = []
    for way in ("reversible", "plain"):
        found = [(c.n, c.extra["saved bytes"]) for c in cases(results, "flows: Glow of one level", way)]
        if len(found) < 2:
            return None
        (n0, b0), (n1, b1) = found[0], found[-1]
        slopes.append((b1 - b0) / (n1 - n0))
    return slopes[0] / slopes[1]


def first_win(results: Results) -> float | None:
    """The least number of tokens from which on Transformer-VQ is faster than SDPA, forward and backward."""
    found = group(results, "transformer_vq: causal attention, one head of 128, forward and backward")
    wins: list[float] = []
    for case in sorted(found.cases, key=lambda c: c.n or 0) if found else ():
        peer = found.ratio(case) if found else None
        if peer is not None:
            wins = [*wins, case.n or 0.0] if peer > 1 else []
    return wins[0] if wins else None


def memory_exponent(results: Results) -> float | None:
    found = group(results, "transformer_vq: growth with the length")
    values = []
    for case in found.cases if found else ():
        points = [(float(n), float(mib)) for n, mib in case.extra.get("MiB", {}).items()]
        value = slope(points)
        values += [] if value is None else [value]
    return max(values, default=None)


PROMISES = (
    Promise("import kexue, seconds", median("test_import"), most=0.2),
    Promise("kexue --help, seconds", median("test_command[--help]"), most=0.4),
    Promise(
        "five articles verified cold (core witnesses), seconds", median("test_verify_cold", "core"), most=30,
        remark="promised when they had fewer claims",
    ),
    Promise("five articles verified warm, seconds", median("test_verify_warm"), most=2),
    Promise("sector kernel over the plain NumPy kernel", ratio("sampling: one million", "numpy"), least=2),
    Promise("samples, sequential over fixed", extra("sampling: samples needed", "median ratio"), most=0.4),
    Promise("Nyströmformer layer, huggingface over ours", ratio("nystromformer: one layer", "hugging"), least=1),
    Promise("Newton inverse over Razavi at equal residual", ratio("nystromformer: 12 inverses", "newton", max), most=1),
    Promise("Chebyshev inverse over Razavi at equal residual", ratio("nystromformer: 12 inv", "cheb", max), most=1),
    Promise(
        "causal linear attention, n = 8192, peer over ours", ratio("linear_attention: causal", "bucket 64"), least=1.5,
        remark="the peer leaves out each query's own bucket: 0.46 of our operations",
    ),
    Promise("the same, peer with the equal function", ratio("linear_attention: causal", "equal"), least=1.5),
    Promise(
        "causal linear attention, exponent", exponent("linear_attention: growth", ""), most=1.1,
        remark="up to n = 4096 its tensors stay in the last cache, beyond they don't",
    ),
    Promise("Transformer-VQ, exponent, 2k to 32k", extra("transformer_vq: growth", "exponent"), most=1.1),
    Promise("Transformer-VQ, exponent of memory", memory_exponent, most=1.1),
    Promise("Transformer-VQ faster than SDPA from n on", first_win, most=32_768),
    Promise("S4D kernel and convolution, formula over ours", ratio("hippo: S4D kernel + FFT", "formula"), least=1),
    Promise("RoPE, rotary-embedding-torch over ours", ratio("rope: queries", "rotary-embedding"), least=1),
    Promise(
        "O(d) map, d = 4096: allocated over the input",
        extra("orthogonal_map: d = 4096", "allocated over the size of x"),
        most=100,
        remark="one d × d matrix for each pair would be 4096",
    ),
    Promise("U-Net, diffusers over ours", ratio("ddpm: U-Net", "diffusers"), least=1),
    Promise("U-Net, denoising-diffusion-pytorch over ours", ratio("ddpm: U-Net", "denoising"), least=1),
    Promise("sampler's time outside of the network over that inside", extra("ddpm: 10 steps", "overhead"), most=0.02),
    Promise("Glow step, first level, normflows over ours", ratio(f"{GLOW}, first", "normflows"), least=1),
    Promise(
        "Glow step, last level, normflows over ours", ratio(f"{GLOW}, last", "normflows"), least=1,
        remark="equal within noise: 0.94 to 1.07 in three runs",
    ),
    Promise("reversible Glow: saved bytes a step, of the plain one's", bytes_per_step, most=0.01),
    Promise("Lion, lion-pytorch over ours", ratio("lion: a step", "lion-pytorch"), least=1),
    Promise("Lion over a pass with the same memory traffic", extra("lion: a step", "ours over it, in turn"), most=1.05),
)  # fmt: skip


def judged(promise: Promise, results: Results) -> list[str]:
    """Text, what was asked, what was measured, whether it holds, and a remark."""
    asked = f"≥ {promise.least:g}" if promise.least is not None else f"≤ {promise.most:g}"
    value = promise.measure(results)
    if value is None:
        return [promise.text, asked, "·", "not measured", promise.remark]
    kept = value >= promise.least if promise.least is not None else value <= (promise.most or 0.0)
    return [promise.text, asked, f"{value:.3g}", "kept" if kept else "NOT KEPT", promise.remark]
