"""Orthogonal maps of 1024 pairs at once in O(d): ours, forward and backward, beside the matrix and a QR factorisation.

    make bench ARGS="-k orthogonal_map"

At d = 4096 the matrices of 1024 pairs would be 64 GiB in float32; there only the O(d) form is measured, and its memory
is in `extra_info`: what the operators allocate in one forward and backward pass, in units of one input (16 MiB).
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from kexue.models.orthogonal_map import apply_orthogonal_map, orthogonal_map  # noqa: E402


def pairs(batch: int, dim: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    a, b, x = (torch.randn(batch, dim) for _ in range(3))
    return [v.requires_grad_() for v in (torch.nn.functional.normalize(a), torch.nn.functional.normalize(b), x)]


def both_passes(move, a, b, x):
    a.grad = b.grad = x.grad = None
    out = move(a, b, x)
    out.backward(torch.ones_like(out))


def allocated(move, a, b, x) -> float:
    """The bytes that all operators of one pass allocate, freed or not, over the bytes of x."""
    with torch.profiler.profile(profile_memory=True) as profile:
        both_passes(move, a, b, x)
    grown = sum(event.self_cpu_memory_usage for event in profile.key_averages() if event.self_cpu_memory_usage > 0)
    return grown / (x.numel() * x.element_size())


@pytest.mark.benchmark(group="orthogonal_map: d = 4096, 1024 pairs, forward and backward")
@pytest.mark.parametrize("kind", ["auto", "rotation", "proper"])
def test_large(benchmark, work, kind):
    inputs = pairs(1024, 4096)
    move = lambda a, b, x: apply_orthogonal_map(a, b, x, kind)  # noqa: E731
    work(lambda: both_passes(move, *inputs), moved=8 * inputs[0].nbytes)  # a, b, x, the image, and four gradients
    benchmark.extra_info["allocated over the size of x"] = round(allocated(move, *inputs), 1)
    benchmark.pedantic(both_passes, (move, *inputs), rounds=9, warmup_rounds=1)


@pytest.mark.benchmark(group="orthogonal_map: d = 256, 256 pairs, forward and backward")
@pytest.mark.parametrize("who", ["ours, O(d)", "the d × d matrix", "QR of (a, noise) and (b, noise)"])
def test_against_matrices(benchmark, who):
    a, b, x = pairs(256, 256)
    noise = torch.randn(256, 256)

    def by_qr(a, b, x):
        bases = []
        for v in (a, b):
            q, r = torch.linalg.qr(torch.cat((v[..., None], noise[:, 1:].expand(len(v), -1, -1)), dim=-1))
            bases.append(q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :])
        return (bases[1] @ (bases[0].mT @ x[..., None]))[..., 0]

    move = {
        "ours, O(d)": apply_orthogonal_map,
        "the d × d matrix": lambda a, b, x: (orthogonal_map(a, b) @ x[..., None])[..., 0],
        "QR of (a, noise) and (b, noise)": by_qr,
    }[who]
    benchmark.pedantic(both_passes, (move, a, b, x), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="orthogonal_map: growth with d, 1024 pairs, forward and backward")
@pytest.mark.parametrize("dim", [512, 1024, 2048, 4096])
def test_growth(benchmark, dim):
    benchmark.extra_info["n"] = dim
    benchmark.pedantic(both_passes, (apply_orthogonal_map, *pairs(1024, dim)), rounds=9, warmup_rounds=1)
