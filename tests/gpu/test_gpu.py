"""Every model on a CUDA device: forward and backward, bf16, compile, an optimiser step, agreement with the CPU.

Run by `make gpu`, also where only torch and pytest are installed.
"""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from kexue.models import Model, create_model, list_models  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
TINY = [name for name in list_models() if name.endswith("tiny")]


def build(name: str, dtype: torch.dtype = torch.float32) -> tuple[Model, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = create_model(name, dtype=dtype).eval()
    batch = model.example(2, torch.Generator().manual_seed(1))
    return model, {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()}


def on_cuda(model: Model, batch: dict[str, torch.Tensor]) -> tuple[Model, dict[str, torch.Tensor]]:
    return copy.deepcopy(model).cuda(), {k: v.cuda() for k, v in batch.items()}


def loss_and_gradients(model: Model, batch: dict[str, torch.Tensor]) -> tuple[float, dict[str, torch.Tensor]]:
    torch.manual_seed(3)
    loss = model.loss(batch)
    loss.backward()
    return float(loss.detach()), {k: p.grad.cpu() for k, p in model.named_parameters() if p.grad is not None}


def draws_noise(model: Model, batch: dict[str, torch.Tensor]) -> bool:
    """Whether the loss draws random numbers of its own: the two devices then draw different ones."""
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with torch.no_grad():
        model.loss(batch)
    return not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 2e-3)])
def test_agrees_with_the_cpu(name: str, dtype: torch.dtype, tolerance: float):
    model, batch = build(name, dtype)
    if draws_noise(model, batch):
        pytest.skip("its loss draws noise on its own device")
    expected = loss_and_gradients(copy.deepcopy(model), batch)
    got = loss_and_gradients(*on_cuda(model, batch))
    assert got[0] == pytest.approx(expected[0], rel=tolerance)
    for key, gradient in expected[1].items():
        error = (got[1][key] - gradient).norm() / gradient.norm().clamp(min=1e-6)
        assert float(error) < 10 * tolerance, key


@pytest.mark.parametrize("name", TINY)
def test_bf16_and_an_optimiser_step(name: str):
    model, batch = on_cuda(*build(name))
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    losses = []
    for _ in range(4):
        torch.manual_seed(3)
        with torch.autocast("cuda", torch.bfloat16):
            loss = model.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", TINY)
def test_compiled(name: str):
    torch._dynamo.reset()
    model, batch = on_cuda(*build(name))
    expected = loss_and_gradients(copy.deepcopy(model), batch)[0]
    torch.manual_seed(3)
    loss = torch.compile(model.loss)(batch)
    loss.backward()
    if not draws_noise(*build(name)):
        assert float(loss.detach()) == pytest.approx(expected, rel=2e-3)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
