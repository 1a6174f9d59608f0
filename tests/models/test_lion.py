"""Lion's implementations against each other, Tiger, Lion-K, states, and what they refuse."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from kexue.models.lion import (  # noqa: E402
    CautiousLion,
    Lion,
    LionK,
    Tiger,
    dequantise_blocks,
    dual_norm,
    gradient_of_k,
    lion_bound,
    lion_step,
    optimiser,
    quantise_blocks,
    tiger_groups,
)

SHAPES = [(7, 5), (11,), (), (3, 2, 4), (300,)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(*shapes: tuple[int, ...], dtype=torch.float32, seed: int = 0) -> list[torch.nn.Parameter]:
    made = generator(seed)
    return [torch.nn.Parameter(torch.randn(s, generator=made, dtype=torch.float64).to(dtype)) for s in shapes]


def train(optimizer: torch.optim.Optimizer, steps: int = 12, seed: int = 1, sparse: bool = False) -> list[torch.Tensor]:
    """Random gradients, the same for every optimiser; returns copies of the parameters."""
    made = generator(seed)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    for _ in range(steps):
        for p in held:
            real = torch.view_as_real(p).shape if p.is_complex() else p.shape
            g = torch.randn(real, generator=made, dtype=torch.float64)
            if sparse:
                g = g * (torch.rand(real, generator=made) < 0.5)
            p.grad = torch.view_as_complex(g).to(p.dtype) if p.is_complex() else g.to(p.dtype)
        optimizer.step()
    return [p.detach().clone() for p in held]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class TestLion:
    @pytest.mark.parametrize("options", [{}, {"maximize": True}, {"mask_zero": True}, {"state_dtype": torch.bfloat16}])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    @pytest.mark.parametrize("betas", [(0.9, 0.99), (0.3, 0.4)])
    def test_loop_chunks_foreach_and_the_function_give_the_same_bits(self, options, dtype, betas, monkeypatch):
        common = {"lr": 0.03, "betas": betas, "weight_decay": 0.2, **options}
        loop = train(Lion(parameters(*SHAPES, dtype=dtype), **common, foreach=False), sparse=True)
        monkeypatch.setattr(optimiser, "CHUNK", 16)
        chunked = train(Lion(parameters(*SHAPES, dtype=dtype), **common, foreach=True), sparse=True)
        one_pass = train(Lion(parameters(*SHAPES, dtype=dtype), **common), sparse=True)  # where numba is installed
        monkeypatch.setattr(optimiser, "chunked_step_", optimiser.foreach_step_)
        foreach = train(Lion(parameters(*SHAPES, dtype=dtype), **common, foreach=True), sparse=True)
        assert same(loop, chunked) and same(loop, foreach) and same(loop, one_pass)

        made, held = generator(1), parameters(*SHAPES, dtype=dtype)
        states = [torch.zeros(p.shape, dtype=options.get("state_dtype") or dtype) for p in held]
        values = [p.detach() for p in held]
        for _ in range(12):
            for i, p in enumerate(held):
                g = torch.randn(p.shape, generator=made, dtype=torch.float64)
                g = (g * (torch.rand(p.shape, generator=made) < 0.5)).to(dtype)
                values[i], states[i] = lion_step(
                    values[i], -g if options.get("maximize") else g, states[i], 0.03, 0.2, *betas,
                    mask_zero=options.get("mask_zero", False),
                )  # fmt: skip
        assert same(loop, values)

    def test_momentum_is_the_weighted_sum_of_the_gradients(self):
        (p,) = parameters((6,), dtype=torch.float64)
        optimizer = Lion([p], betas=(0.8, 0.95))
        gradients = [torch.randn(6, dtype=torch.float64, generator=generator(i)) for i in range(5)]
        for g in gradients:
            p.grad = g
            optimizer.step()
        expected = sum(0.05 * 0.95**j * g for j, g in enumerate(reversed(gradients)))
        torch.testing.assert_close(optimizer.state[p]["exp_avg"], expected)

    @pytest.mark.parametrize(("lr", "decay"), [(0.1, 0.5), (0.3, 2.0), (0.2, 0.0)])
    def test_bound_whatever_the_gradients_are(self, lr, decay):
        (p,) = parameters((200,), dtype=torch.float64)
        start, optimizer = p.detach() * 5, Lion([p], lr=lr, weight_decay=decay)
        with torch.no_grad():
            p.copy_(start)
        made = generator(3)
        for t in range(1, 60):
            p.grad = torch.randn(200, dtype=torch.float64, generator=made) * 10.0 ** (t % 7)
            optimizer.step()
            assert bool((p.detach().abs() <= lion_bound(start, lr, decay, t) * (1 + 1e-14)).all())

    def test_bound_is_reached(self):
        p = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
        optimizer = Lion([p], lr=0.25, weight_decay=0.5)
        for _ in range(20):
            p.grad = torch.tensor([-1.0], dtype=torch.float64)
            optimizer.step()
        torch.testing.assert_close(p.detach(), lion_bound(torch.tensor([2.0], dtype=torch.float64), 0.25, 0.5, 20))

    def test_scale_of_the_loss_does_not_matter(self):
        found = []
        for scale in (1.0, 2.0**-20, 2.0**15):
            (p,) = parameters((40,))
            optimizer, made = Lion([p], lr=0.01, weight_decay=0.1), generator(5)
            for _ in range(10):
                p.grad = scale * torch.randn(40, generator=made)
                optimizer.step()
            found.append(p.detach())
        assert same(found[:1] * 2, found[1:])

    def test_mask_zero_stops_coordinates_without_gradients(self):
        def walk(**options) -> torch.Tensor:
            p = torch.nn.Parameter(torch.zeros(2))
            optimizer = Lion([p], lr=1.0, **options)
            for t in range(50):
                p.grad = torch.tensor([1.0 if t == 0 else 0.0, 0.0])
                optimizer.step()
            return p.detach()

        assert walk().tolist() == [-50.0, 0.0]
        assert walk(mask_zero=True).tolist() == [-1.0, 0.0]

    def test_nonfinite_gradients_freeze_their_coordinates(self):
        p = torch.nn.Parameter(torch.ones(3))
        optimizer = Lion([p], lr=0.5)
        for _ in range(3):
            p.grad = torch.tensor([math.nan, 1.0, math.inf])
            optimizer.step()
        assert p.detach()[:2].tolist() == [1.0, -0.5]
        assert optimizer.state[p]["exp_avg"][0].isnan()

    def test_complex_numbers_are_pairs(self):
        (z,) = parameters((5, 2), dtype=torch.complex64)
        pair = torch.nn.Parameter(torch.view_as_real(z.detach()).clone())
        (a,), (b,) = (train(Lion([q], lr=0.1, weight_decay=0.1)) for q in (z, pair))
        assert torch.equal(torch.view_as_real(a), b)

    @pytest.mark.parametrize("foreach", [None, False])
    def test_layouts_do_not_matter(self, foreach, monkeypatch):
        monkeypatch.setattr(optimiser, "CHUNK", 8)
        flat = parameters((6, 10))
        turned = [torch.nn.Parameter(flat[0].detach().t().contiguous().t())]
        for p in (*flat, *turned):
            p.grad = torch.arange(60.0).view(6, 10) - 30
        for held in (flat, turned):
            Lion(held, lr=0.1, weight_decay=0.5, foreach=foreach).step()
        assert torch.equal(flat[0], turned[0])

    def test_groups_and_absent_gradients(self):
        a, b, c = parameters((3,), (3,), (3,))
        optimizer = Lion([{"params": [a], "lr": 1.0}, {"params": [b, c], "betas": (0.0, 0.0)}], lr=0.25)
        before = [p.detach().clone() for p in (a, b, c)]
        a.grad, b.grad = torch.ones(3), -torch.ones(3)
        optimizer.step()
        torch.testing.assert_close(a.detach(), before[0] - 1)
        torch.testing.assert_close(b.detach(), before[1] + 0.25)
        assert torch.equal(c, before[2]) and c not in optimizer.state

    def test_learning_rate_on_the_device(self):
        found = []
        for rate in (0.125, torch.tensor(0.125)):
            optimizer = Lion(parameters(*SHAPES), lr=rate, weight_decay=0.5, capturable=isinstance(rate, torch.Tensor))
            found.append(train(optimizer))
            if isinstance(rate, torch.Tensor):
                rate.fill_(0.0)
                kept = [p.detach().clone() for p in optimizer.param_groups[0]["params"]]
                optimizer.step()
                assert same(kept, [p.detach() for p in optimizer.param_groups[0]["params"]])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)

    def test_schedules_may_reach_zero(self):
        (p,) = parameters((3,))
        optimizer = Lion([p], lr=0.1)
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: t / 10)
        before, p.grad = p.detach().clone(), torch.ones(3)
        optimizer.step()
        assert torch.equal(p, before)

    def test_closures(self):
        (p,) = parameters((3,))
        optimizer, before = Lion([p], lr=0.1), p.detach().clone()

        def fail() -> float:
            raise ArithmeticError("no loss")

        with pytest.raises(ArithmeticError):
            optimizer.step(fail)
        assert torch.equal(p, before)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = p.square().sum()
            value.backward()
            return value

        assert float(optimizer.step(loss).detach()) == pytest.approx(float(before.square().sum()))

    def test_memory(self):
        for optimizer in (Lion, Tiger, LionK, CautiousLion):
            made = optimizer(parameters(*SHAPES))
            train(made, 2)
            numbers = sum(p.numel() for p in made.param_groups[0]["params"])
            assert sum(x.numel() for state in made.state.values() for x in state.values()) == numbers

    def test_cautious_steps_agree_with_the_gradient(self):
        p = torch.nn.Parameter(torch.zeros(3))
        optimizer = CautiousLion([p], lr=1.0, betas=(0.9, 0.5))
        p.grad = torch.tensor([1.0, 1.0, 0.0])
        optimizer.step()
        assert p.detach().tolist() == [-1.0, -1.0, 0.0]
        p.grad = torch.tensor([-1.0, 1.0, 1.0])  # the first one's momentum outvotes its gradient
        optimizer.step()
        assert p.detach().tolist() == [-1.0, -2.0, -1.0]


class TestStates:
    @pytest.mark.parametrize(
        "build",
        [
            lambda ps: Lion(ps, 0.02, weight_decay=0.3),
            lambda ps: Lion(ps, 0.02, state_dtype=torch.bfloat16),
            lambda ps: Lion(ps, 0.02, state_dtype=torch.int8),
            lambda ps: CautiousLion(ps, 0.02),
            lambda ps: LionK(ps, 0.02, K="huber", scale=0.1),
            lambda ps: Tiger(ps, 0.02, grad_accum_steps=3),
        ],
    )
    def test_resume_is_a_continuous_run(self, build, tmp_path):
        whole = build(parameters(*SHAPES))
        torch.manual_seed(0)
        train(whole, 7)
        held = [torch.nn.Parameter(p.detach().clone()) for p in whole.param_groups[0]["params"]]
        torch.save(whole.state_dict(), tmp_path / "state.pt")
        resumed = build(held)
        resumed.load_state_dict(torch.load(tmp_path / "state.pt"))
        kinds = [x.dtype for state in resumed.state.values() for x in state.values()]
        assert kinds == [x.dtype for state in whole.state.values() for x in state.values()]
        torch.manual_seed(1)
        first = train(whole, 7, seed=2)
        torch.manual_seed(1)
        assert same(first, train(resumed, 7, seed=2))

    def test_loaded_states_are_copies(self):
        one = Lion(parameters((4,)))
        train(one)
        other = Lion(parameters((4,)))
        other.load_state_dict(one.state_dict())
        kept = [state["exp_avg"].clone() for state in one.state.values()]
        train(other)
        assert same(kept, [state["exp_avg"] for state in one.state.values()])

    def test_states_of_other_optimisers_are_refused(self):
        adam, tiger = torch.optim.AdamW(parameters((4,))), Tiger(parameters((4,)))
        train(adam)
        train(tiger)
        for state in (adam.state_dict(), tiger.state_dict()):
            with pytest.raises(ValueError, match="state_dict must be that of Lion"):
                Lion(parameters((4,))).load_state_dict(state)
        mixed = Lion(parameters((4,))).state_dict() | {"state": adam.state_dict()["state"]}
        with pytest.raises(ValueError, match="state_dict must be that of Lion, got states"):
            Lion(parameters((4,))).load_state_dict(mixed)

    def test_bfloat16_loses_small_increments(self):
        found = {}
        for kind in (torch.float32, torch.bfloat16, torch.int8):
            p = torch.nn.Parameter(torch.zeros(4096))
            optimizer = Lion([p], betas=(0.9, 0.999), state_dtype=kind)
            torch.manual_seed(0)
            p.grad = torch.ones(4096)
            for _ in range(1000):
                optimizer.step()
            state = optimizer.state[p]
            m = dequantise_blocks(state["exp_avg"], state["exp_avg_scale"]) if kind == torch.int8 else state["exp_avg"]
            found[kind] = float(m.float().mean())
        exact = 1 - 0.999**1000
        assert found[torch.float32] == pytest.approx(exact, rel=1e-4)
        assert found[torch.bfloat16] < 0.6 * exact
        assert found[torch.int8] == pytest.approx(exact, rel=0.02)

    def test_quantised_numbers_are_right_in_the_mean(self):
        x = torch.randn(700, generator=generator())
        made = generator(1)
        mean = torch.stack([dequantise_blocks(*quantise_blocks(x, made)) for _ in range(400)]).mean(0)
        codes, scale = quantise_blocks(x, made)
        assert codes.dtype == torch.int8 and codes.numel() == 700 and scale.numel() == 3
        level = scale.repeat_interleave(256)[:700] / 127
        assert bool(((dequantise_blocks(codes, scale) - x).abs() <= level * 1.001).all())
        assert float(((mean - x) / level).abs().max()) < 0.15  # 0.5/20 is one standard deviation
        zero = quantise_blocks(torch.zeros(5), made)
        assert not dequantise_blocks(*zero).any()

    def test_int8_follows_float32(self):
        found = []
        for kind in (torch.float32, torch.int8):
            p = torch.nn.Parameter(torch.full((1000,), 3.0))
            optimizer = Lion([p], lr=0.02, weight_decay=0.1, state_dtype=kind)
            torch.manual_seed(0)
            for _ in range(400):
                p.grad = p.detach() - 1 + 0.1 * torch.randn(1000)
                optimizer.step()
            found.append(p.detach())
        assert all(float((x - 1).abs().max()) < 0.2 for x in found)


class TestTiger:
    def test_is_lion_with_one_beta(self):
        shapes = [(4, 3), (5,)]
        lion = Lion(parameters(*shapes), lr=0.01, betas=(0.9, 0.9))
        tiger = Tiger([{"params": parameters(*shapes), "scaled": False}], lr=0.02, beta=0.9)
        assert same(train(lion), train(tiger))

    def test_alpha_is_the_relative_step(self):
        (p,) = parameters((30, 40), dtype=torch.float64)
        optimizer, before = Tiger([p], lr=0.002, weight_decay=0.0), p.detach().clone()
        p.grad = torch.randn(30, 40, dtype=torch.float64, generator=generator(1))
        optimizer.step()
        assert float((p.detach() - before).norm() / before.norm()) == pytest.approx(0.002, rel=1e-12)

    def test_matrices_decay_and_vectors_do_not(self):
        matrix, vector = parameters((3, 3), (3,), dtype=torch.float64)
        before = matrix.detach().clone(), vector.detach().clone()
        optimizer = Tiger([matrix, vector], lr=0.01, weight_decay=0.5)
        matrix.grad, vector.grad = torch.zeros(3, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        optimizer.step()
        rate = 0.01 * float(before[0].square().mean().sqrt())
        torch.testing.assert_close(matrix.detach(), before[0] * (1 - 0.5 * rate))
        assert torch.equal(vector, before[1])

    @pytest.mark.parametrize("k", [2, 3])
    def test_accumulation_is_the_mean_gradient(self, k):
        made = [torch.randn(6, 4, dtype=torch.float64, generator=generator(i)) for i in range(4 * k)]
        (p,), (q,) = parameters((6, 4), dtype=torch.float64), parameters((6, 4), dtype=torch.float64)
        within, outside = Tiger([p], 0.01, grad_accum_steps=k), Tiger([q], 0.01)
        for i, g in enumerate(made):
            p.grad = g
            within.step()
            if (i + 1) % k == 0:
                q.grad = torch.stack(made[i + 1 - k : i + 1]).mean(0)
                outside.step()
                torch.testing.assert_close(p.detach(), q.detach(), rtol=1e-13, atol=1e-13)
                torch.testing.assert_close(within.state[p]["exp_avg"], outside.state[q]["exp_avg"])

    def test_nan_shrinks_to_the_centre(self):
        module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
        with torch.no_grad():
            module[1].weight.fill_(3.0)
        optimizer = Tiger(tiger_groups(module), nan_shrink=0.5)
        before = copy.deepcopy(module.state_dict())
        for p in module.parameters():
            p.grad = torch.zeros_like(p)
        module[0].bias.grad[1] = math.nan
        optimizer.step()  # the group of the biases alone
        assert torch.equal(module[0].bias, 0.5 * before["0.bias"])
        module[1].weight.grad[0] = math.inf
        optimizer.step()
        assert module[1].weight.tolist() == [2.0] * 3
        assert module[1].weight not in optimizer.state or not optimizer.state[module[1].weight]["exp_avg"].any()

    def test_groups(self):
        module = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 2))
        groups = tiger_groups(module)
        assert [len(g["params"]) for g in groups] == [2, 1, 2]
        assert sum(len(g["params"]) for g in groups) == len(list(module.parameters()))
        assert len(tiger_groups(torch.nn.Linear(2, 2, bias=False))) == 1


class TestLionK:
    @pytest.mark.parametrize("K", ["l1", "huber", "sqrt", "group-l2", "nuclear"])
    @pytest.mark.parametrize("shape", [(5, 3), (4,), (2, 3, 2)])
    def test_gradients_are_in_the_dual_ball_and_those_of_k(self, K, shape):
        x = torch.randn(shape, dtype=torch.float64, generator=generator())
        u = gradient_of_k(K, x, 0.3)
        assert float(dual_norm(K, u)) <= 1 + 1e-12
        values = {
            "l1": lambda z: z.abs().sum(),
            "huber": lambda z: torch.nn.functional.huber_loss(z, torch.zeros_like(z), reduction="sum", delta=0.3) / 0.3,
            "sqrt": lambda z: (0.09 + z**2).sqrt().sum(),
            "group-l2": lambda z: (z if z.ndim > 1 else z[None]).flatten(1).norm(dim=1).sum(),
            "nuclear": lambda z: torch.linalg.matrix_norm((z if z.ndim > 1 else z[:, None]).flatten(1), "nuc"),
        }
        expected = torch.func.grad(values[K])(x)
        torch.testing.assert_close(u, expected, rtol=1e-9, atol=1e-9)

    def test_l1_is_lion(self):
        a = train(Lion(parameters(*SHAPES), 0.01, weight_decay=0.5))
        assert same(a, train(LionK(parameters(*SHAPES), 0.01, weight_decay=0.5)))

    @pytest.mark.parametrize("K", ["l1", "huber", "sqrt", "group-l2", "nuclear"])
    def test_the_constraint_attracts(self, K):
        p = torch.nn.Parameter(10 * torch.randn(6, 4, dtype=torch.float64, generator=generator(2)))
        optimizer, made = LionK([p], lr=0.1, weight_decay=2.0, K=K, scale=0.1), generator(7)
        outside = [float(dual_norm(K, 2.0 * p.detach())) - 1]
        for _ in range(60):
            p.grad = torch.randn(6, 4, dtype=torch.float64, generator=made)
            optimizer.step()
            outside.append(float(dual_norm(K, 2.0 * p.detach())) - 1)
        assert all(b <= 0.8 * max(a, 0) + 1e-12 for a, b in pairwise(outside))
        assert outside[0] > 10

    def test_zeros(self):
        for K in ("l1", "huber", "sqrt", "group-l2", "nuclear"):
            assert not gradient_of_k(K, torch.zeros(3, 2)).any()
            assert gradient_of_k(K, torch.zeros(0, 2)).shape == (0, 2)
        rank_one = torch.outer(torch.ones(3), torch.tensor([3.0, 4.0]))
        expected = torch.outer(torch.ones(3), torch.tensor([0.6, 0.8])) / 3**0.5
        torch.testing.assert_close(gradient_of_k("nuclear", rank_one), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{}, {"maximize": True}, {"mask_zero": True}, {"weight_decay": 0.3}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.3, 0.4)])
def test_fused_gives_the_bits_of_the_loop(options, dtype, betas):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    shapes = [(7, 5), (5000,), (3, 1111)]
    found = []
    for form in ({"fused": True}, {"foreach": False}, {"foreach": True}):
        held = [torch.nn.Parameter(p.detach().cuda()) for p in parameters(*shapes, dtype=dtype)]
        optimizer, made = Lion(held, lr=0.01, betas=betas, **form, **options), generator(1)
        for _ in range(8):
            for p in held:
                p.grad = torch.randn(p.shape, generator=made).to(p)
            optimizer.step()
        found.append([p.detach() for p in held])
    assert same(found[0], found[1]) and same(found[0], found[2])


INTERPRETED = """
import itertools
import torch
from kexue.models.lion.kernel import fused_step_

draw = lambda n, seed: torch.randn(n, generator=torch.Generator().manual_seed(seed))
for n, dtype, betas, negate, mask, decay in itertools.product(
    (1, 1000, 1024, 2050), (torch.float32, torch.bfloat16, torch.float16), ((0.9, 0.99), (0.3, 0.2), (0.0, 0.5)),
    (False, True), (False, True), (1.0, 0.999),
):
    param, grad, momentum = (draw(n, seed).to(dtype) for seed in range(3))
    grad[::7] = 0
    momentum[::14] = 0
    p, g, m = param.double(), -grad.double() if negate else grad.double(), momentum.double()
    step = 0.01 * torch.sign(torch.lerp(m, g, 1 - betas[0]))
    expected = decay * p - (step.where(g != 0, 0.0) if mask else step), torch.lerp(m, g, 1 - betas[1])
    fused_step_(param, grad, momentum, 0.01, decay, 1 - betas[0], 1 - betas[1], negate, mask)
    for got, exact in zip((param, momentum), expected):
        error = ((got.double() - exact).abs() / (1 + exact.abs())).max()
        assert error <= 2 * torch.finfo(dtype).eps, (n, dtype, betas, negate, mask, decay, float(error))
"""


def test_the_kernel_of_triton_without_a_gpu():
    """Triton's interpreter has no fused multiply-add: it checks masks, signs, decay and tails, to two roundings."""
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Lion(parameters((1,)), lr=0.0), "lr must be finite and > 0, got 0.0"),
        (lambda: Lion(parameters((1,)), lr=math.nan), "lr must be finite and > 0, got nan"),
        (lambda: Lion(parameters((1,)), betas=(0.9, 1.0)), r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (lambda: Lion(parameters((1,)), betas=(-0.1, 0.9)), r"betas\[0\] must be in \[0, 1\), got -0.1"),
        (lambda: Lion(parameters((1,)), betas=(0.9,)), "betas must be two numbers"),
        (lambda: Lion(parameters((1,)), weight_decay=-1.0), "weight_decay must be finite and ≥ 0, got -1.0"),
        (lambda: Lion(parameters((1,)), lr=1.0, weight_decay=2.0), "lr · weight_decay must be < 2, got 2"),
        (lambda: Lion([{"params": parameters((1,)), "lr": -1.0}]), "lr must be finite and > 0, got -1.0"),
        (lambda: Lion(parameters((1,)), state_dtype=torch.int32), "state_dtype must be None, a floating type"),
        (lambda: Lion(parameters((1,)), foreach=True, fused=True), "foreach and fused must not both be True"),
        (lambda: CautiousLion(parameters((1,)), foreach=True), "foreach must be left out for CautiousLion"),
        (lambda: Tiger(parameters((1,)), beta=1.0), r"beta must be in \[0, 1\), got 1.0"),
        (lambda: Tiger(parameters((1,)), grad_accum_steps=0), "grad_accum_steps must be an integer ≥ 1, got 0"),
        (lambda: Tiger(parameters((1,)), nan_shrink=0.0), r"nan_shrink must be in \(0, 1\] or None, got 0.0"),
        (lambda: LionK(parameters((1,)), K="l3"), "K must be one of l1, huber, sqrt, group-l2, nuclear, got 'l3'"),
        (lambda: LionK(parameters((1,)), K="huber", scale=0.0), "scale must be finite and > 0, got 0.0"),
        (lambda: dual_norm("best", torch.ones(1)), "K must be one of"),
        (lambda: lion_bound(torch.ones(1), 0.1, 20.0, 1), "lr · weight_decay must be < 2"),
        (lambda: lion_bound(torch.ones(1), 0.1, 0.0, -1), "t must be at least 0, got -1"),
        (lambda: lion_step(*torch.ones(3, 1), 0.1, beta1=1.0), r"betas\[0\] must be in \[0, 1\), got 1.0"),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()


def test_products_of_one_and_more_warn():
    with pytest.warns(UserWarning, match=r"lr · weight_decay is 1\.5"):
        Lion(parameters((1,)), lr=0.5, weight_decay=3.0)


class TestOnePassOnTheCpu:
    """The kernel of numba: the bits of the loop for lengths that threads and vectors don't divide, and its limits."""

    @pytest.mark.parametrize("options", [{}, {"maximize": True}, {"mask_zero": True}, {"betas": (0.4, 0.5)}])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_bits(self, options, dtype, monkeypatch):
        host = pytest.importorskip("kexue.models.lion.host")
        monkeypatch.setattr(host, "ALONE", 64)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        shapes, common = ((1,), (1009,), (31, 17)), {"lr": 0.03, "weight_decay": 0.2, **options}
        loop = train(Lion(parameters(*shapes, dtype=dtype), **common, foreach=False), sparse=True)
        assert same(loop, train(Lion(parameters(*shapes, dtype=dtype), **common, fused=True), sparse=True))

    def test_nan_stops_its_coordinate_only(self):
        pytest.importorskip("numba")
        results = []
        for fused in (True, False):
            (p,) = parameters((4,))
            p.grad = torch.tensor([1.0, math.nan, -1.0, 0.0])
            Lion([p], lr=0.5, fused=fused).step()
            results.append(p.detach())
        assert torch.equal(*results) and results[0].isfinite().all()

    def test_what_it_does_not_take(self, monkeypatch):
        with pytest.raises(ValueError, match=r"fused=True takes float32, float64 .* on cpu, got torch\.float16"):
            Lion(parameters((1,), dtype=torch.float16), fused=True)
        monkeypatch.setattr(optimiser.kernel, "available", lambda package: False)
        with pytest.raises(RuntimeError, match="fused=True needs numba for parameters on cpu"):
            Lion(parameters((1,)), fused=True)
        train(Lion(parameters((5,)), lr=0.1))  # chunks take over


@pytest.mark.parametrize("build", [Lion, Tiger, LionK, CautiousLion])
def test_sparse_gradients_are_refused(build):
    embedding = torch.nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="gradients must be dense"):
        build(embedding.parameters()).step()


def test_a_schedule_that_diverges_is_refused():
    (p,) = parameters((2,))
    optimizer, p.grad = Lion([p], lr=0.1, weight_decay=1.0), torch.ones(2)
    optimizer.param_groups[0]["lr"] = 2.5
    with pytest.raises(ValueError, match=r"lr · weight_decay must be < 2, got 2\.5"):
        optimizer.step()
