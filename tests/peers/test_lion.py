"""Lion beside lion-pytorch, whose formula is the same and whose rounding isn't."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
peer = pytest.importorskip("lion_pytorch")
foreach_peer = pytest.importorskip("lion_pytorch.foreach")

from kexue.models.lion import Lion  # noqa: E402


def train(build, steps: int = 60) -> list[torch.Tensor]:
    made = torch.Generator().manual_seed(0)
    held = [torch.nn.Parameter(torch.randn(s, generator=made, dtype=torch.float64)) for s in ((20, 30), (40,), ())]
    optimizer = build(held)
    for _ in range(steps):
        for p in held:
            p.grad = torch.randn(p.shape, generator=made, dtype=torch.float64) + 0.1 * p.detach()
        optimizer.step()
    return [p.detach() for p in held]


@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.95, 0.98), (0.5, 0.5)])
@pytest.mark.parametrize("foreach", [None, False])
def test_trajectories(betas, foreach):
    options = {"lr": 0.01, "betas": betas, "weight_decay": 0.3}
    ours = train(lambda ps: Lion(ps, **options, foreach=foreach))
    for theirs in (train(lambda ps: peer.Lion(ps, **options)), train(lambda ps: foreach_peer.Lion(ps, **options))):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("off", "differ"), [(1.0, True), (1.001, False)])
def test_only_ties_are_decided_by_rounding(off, differ):
    """At g = −9m both halves of c cancel up to rounding, which lerp and the peer's products do differently."""
    made, found = torch.Generator().manual_seed(0), []
    values = torch.randn(2000, generator=made)
    for optimiser in (Lion, peer.Lion):
        p = torch.nn.Parameter(torch.zeros(2000))
        optimizer = optimiser([p], lr=1.0, betas=(0.9, 0.0))
        for slope in (values, -9 * off * values):
            p.grad = slope.clone()
            before = p.detach().clone()
            optimizer.step()
        found.append(p.detach() - before)
    assert bool((found[0] != found[1]).any()) is differ


def test_decoupled_decay_of_the_peer_forgets_its_learning_rate():
    """The peer's decoupled_weight_decay divides by the constructor's lr, which no state_dict holds: resuming with
    another one changes the decay. Here λ is a number of the group."""
    decays = {}
    for name, make in (
        ("ours", lambda ps, lr: Lion(ps, lr, weight_decay=0.1)),
        ("peer", lambda ps, lr: peer.Lion(ps, lr, weight_decay=0.1, decoupled_weight_decay=True)),
    ):
        p = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
        state = make([p], 0.01).state_dict()
        found = []
        for lr in (0.01, 0.001):
            q = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
            optimizer = make([q], lr)
            optimizer.load_state_dict(state)
            q.grad = torch.zeros(1, dtype=torch.float64)
            optimizer.step()
            found.append(float(q.detach()))
        decays[name] = found
    assert decays["ours"][0] == decays["ours"][1]
    assert decays["peer"][0] != decays["peer"][1]
