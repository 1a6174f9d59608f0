"""Rotations of queries, forward and backward: ours beside rotary-embedding-torch and the dense matrices R_m.

    make bench ARGS="-k rope"

The peer keeps its angles from the first call on; ours makes them in float64 in every call, or once ("table").
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from kexue.models.rope import RotaryEmbedding, rope_matrix, rotary_frequencies  # noqa: E402
from kexue.models.rope.rotary import rotate  # noqa: E402

BATCH, HEADS, DIM = 4, 8, 64
WHO = ("ours, interleaved", "ours, half", "ours, interleaved, table", "rotary-embedding-torch")


def queries(n: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(BATCH, HEADS, n, DIM, requires_grad=True)


def both_passes(turn, x):
    x.grad = None
    out = turn(x)
    out.backward(torch.ones_like(out))


@pytest.mark.benchmark(group="rope: queries (4, 8, 4096, 64), forward and backward")
@pytest.mark.parametrize("who", WHO)
def test_rotate(benchmark, work, who):
    x = queries(4096)
    if who.startswith("ours"):
        layout = "half" if "half" in who else "interleaved"
        turn = RotaryEmbedding(DIM, layout=layout)
        if "table" in who:
            table = [t.float() for t in turn.table(torch.arange(4096))]
            turn = lambda x: rotate(x, *table, layout)  # noqa: E731
    else:
        peer = pytest.importorskip("rotary_embedding_torch").RotaryEmbedding(dim=DIM)
        turn = peer.rotate_queries_or_keys
    work(lambda: both_passes(turn, x), moved=4 * x.nbytes)  # x and its gradient are read, both results written
    benchmark.pedantic(both_passes, (turn, x), rounds=15, warmup_rounds=2)


@pytest.mark.benchmark(group="rope: growth with n, forward and backward")
@pytest.mark.parametrize("n", [1024, 4096, 16384])
def test_growth(benchmark, n):
    benchmark.extra_info["n"] = n
    benchmark.pedantic(both_passes, (RotaryEmbedding(DIM), queries(n)), rounds=9, warmup_rounds=1)


@pytest.mark.benchmark(group="rope: the block form and the matrix, 256 positions, forward")
@pytest.mark.parametrize("who", ["blocks", "matrices"])
def test_blocks(benchmark, who):
    x = queries(256).detach()
    if who == "blocks":
        benchmark(RotaryEmbedding(DIM), x)
    else:
        frequencies = rotary_frequencies(DIM)
        matrices = torch.stack([rope_matrix(m, frequencies) for m in range(256)]).float()
        benchmark(lambda: (matrices @ x[..., None])[..., 0])
