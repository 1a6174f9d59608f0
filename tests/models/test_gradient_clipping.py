"""Clip rules against torch's, optimisers against each other, probes of smoothness, the two networks."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from kexue.models import create_model, generate  # noqa: E402
from kexue.models.gradient_clipping import (  # noqa: E402
    L0L1GD,
    AWDLSTMConfig,
    ClippedSGD,
    GradientClipping,
    NormalizedGD,
    ResNetConfig,
    SmoothnessPoint,
    clip_factor,
    clip_grad_norm_,
    estimate_l0l1,
    l0l1_step,
    secant_smoothness,
    smoothness_probe,
    total_norm,
)


def parameters(*shapes: tuple[int, ...], dtype=torch.float64, scale=1.0) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    found = [torch.nn.Parameter(torch.zeros(s, dtype=dtype)) for s in shapes]
    for p in found:
        p.grad = scale * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(dtype)
    return found


class TestRules:
    def test_soft_is_between_half_hard_and_hard(self):
        norms = torch.logspace(-6, 6, 200, dtype=torch.float64)
        hard, soft, log = (clip_factor(norms, 0.7, form) for form in ("hard", "soft", "log"))
        assert bool((hard / 2 <= soft).all() and (soft <= hard).all())
        assert bool((soft * math.log(2) <= log).all() and (log <= soft).all())

    def test_ends(self):
        for form in ("hard", "soft", "log"):
            assert float(clip_factor(torch.zeros(()), 2.0, form)) == 1
            assert float(clip_factor(torch.tensor(1e30), math.inf, form)) == 1

    def test_hard_is_torchs_without_its_small_constant(self):
        ours, theirs = parameters((3, 4), (5,)), parameters((3, 4), (5,))
        norm = clip_grad_norm_(ours, 0.5)
        assert float(norm) == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, 0.5)), rel=1e-15)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a.grad, b.grad * (float(norm) + 1e-6) / float(norm), rtol=1e-14, atol=0)
        assert float(total_norm([p.grad for p in ours])) == pytest.approx(0.5, rel=1e-15)

    @pytest.mark.parametrize("form", ["hard", "soft", "log"])
    def test_foreach_is_the_loop(self, form):
        one, other = parameters((7, 3), (11,), dtype=torch.float32), parameters((7, 3), (11,), dtype=torch.float32)
        clip_grad_norm_(one, 0.1, form, foreach=True)
        clip_grad_norm_(other, 0.1, form, foreach=False)
        assert all(torch.equal(a.grad, b.grad) for a, b in zip(one, other, strict=True))

    def test_rotations_commute_with_clipping(self):
        q = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
        for form in ("hard", "soft", "log"):
            (p,), (turned,) = parameters((6,)), parameters((6,))
            turned.grad = q @ turned.grad
            clip_grad_norm_(p, 0.3, form)
            clip_grad_norm_(turned, 0.3, form)
            torch.testing.assert_close(q @ p.grad, turned.grad, rtol=1e-13, atol=1e-15)

    def test_float16_does_not_overflow_and_types_mix(self):
        half, double = parameters((4,), dtype=torch.float16, scale=300.0), parameters((4,))
        expected = math.sqrt(sum(float(p.grad.double().square().sum()) for p in half + double))
        assert expected > math.sqrt(65504) and float(clip_grad_norm_(half + double, 1.0)) == pytest.approx(expected)
        assert half[0].grad.dtype == torch.float16 and half[0].grad.isfinite().all()

    def test_nothing_is_changed_when_the_norm_is_not_finite(self):
        held = parameters((3,), (2,))
        held[1].grad[0] = math.nan
        before = held[0].grad.clone()
        with pytest.raises(RuntimeError, match="must be finite, got nan: nothing was clipped"):
            clip_grad_norm_(held, 1.0)
        assert torch.equal(held[0].grad, before)
        clip_grad_norm_(held, 1.0, error_if_nonfinite=False)
        assert held[0].grad.isnan().all()

    def test_no_gradients(self):
        assert float(clip_grad_norm_([torch.nn.Parameter(torch.zeros(2))], 1.0)) == 0


class TestOptimisers:
    def test_a_hook_in_front_of_any_optimiser(self):
        held, by_hand = parameters((5,), (2, 2)), parameters((5,), (2, 2))
        optimiser = torch.optim.Adam(held, 0.1)
        clipping = GradientClipping(optimiser, 0.25, "soft")
        optimiser.step()
        clip_grad_norm_(by_hand, 0.25, "soft")
        torch.optim.Adam(by_hand, 0.1).step()
        assert all(torch.equal(a, b) for a, b in zip(held, by_hand, strict=True))
        assert float(clipping.norm) > 0.25
        with pytest.raises(RuntimeError, match="without a closure"):
            optimiser.step(lambda: torch.zeros(()))
        clipping.remove()
        before = held[0].grad.clone()
        optimiser.step()
        assert torch.equal(held[0].grad, before)

    def test_unclipped_is_sgd(self):
        held, plain = parameters((5,), (3,)), parameters((5,), (3,))
        one = ClippedSGD([{"params": held[:1]}, {"params": held[1:], "lr": 0.3}], 0.1, math.inf, momentum=0.9)
        other = torch.optim.SGD([{"params": plain[:1]}, {"params": plain[1:], "lr": 0.3}], 0.1, momentum=0.9)
        for _ in range(3):
            one.step()
            other.step()
        for a, b in zip(held, plain, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-15)

    def test_normalised_steps_have_the_length_of_the_rate(self):
        held = parameters((4,), (3,))
        NormalizedGD(held, 0.01, eps=0.0).step()
        assert float(total_norm([p.detach() for p in held])) == pytest.approx(0.01)
        still = torch.nn.Parameter(torch.ones(2))
        still.grad = torch.zeros(2)
        NormalizedGD([still], 0.01, eps=0.0).step()
        L0L1GD([still], 0.0, 1.0).step()
        assert still.tolist() == [1, 1]

    def test_l0l1_descends_on_cosh_where_descent_diverges(self):
        x = torch.nn.Parameter(torch.tensor([9.0], dtype=torch.float64))
        optimiser, values = L0L1GD([x], 1.0, 1.0), []
        for _ in range(20):
            optimiser.zero_grad()
            value = optimiser.step(lambda: (lambda f: (f.backward(), f)[1])(x.cosh().sum()))
            values.append(float(value.detach()))
        assert values == sorted(values, reverse=True) and values[-1] < 1.0001
        y = torch.nn.Parameter(torch.tensor([9.0], dtype=torch.float64))
        y.cosh().sum().backward()
        ClippedSGD([y], 1.0, math.inf).step()
        assert float(y.detach().cosh()) == math.inf

    def test_decay_is_not_clipped(self):
        (p,) = parameters((3,))
        p.data.fill_(2.0)
        p.grad.zero_()
        ClippedSGD([p], 0.1, 1e-9, weight_decay=0.5).step()
        torch.testing.assert_close(p.detach(), torch.full((3,), 1.9, dtype=torch.float64))


class TestSmoothness:
    def test_a_quadratic(self):
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
        hessian = root @ root.T
        x = torch.nn.Parameter(torch.randn(6, generator=generator, dtype=torch.float64))
        point = smoothness_probe(lambda: x @ hessian @ x / 2, [x], iterations=300, generator=generator)
        assert point.smoothness == pytest.approx(float(torch.linalg.eigvalsh(hessian).max()), rel=1e-6)
        assert point.gradient_norm == pytest.approx(float((hessian @ x).norm().detach()))
        direction, before = torch.ones(6, dtype=torch.float64), x.detach().clone()
        secant = secant_smoothness(lambda: x @ hessian @ x / 2, [x], [direction])
        assert secant.smoothness == pytest.approx(float((hessian @ direction).norm() / direction.norm()))
        assert torch.equal(x.detach(), before)

    def test_the_line_is_found_and_the_envelope_is_above(self):
        points = [SmoothnessPoint(g, 2 + 3 * g - bend) for g, bend in ((0.1, 0.0), (1.0, 0.5), (2.0, 0.2), (5.0, 0.0))]
        fit = estimate_l0l1(points)
        assert (fit.envelope_L0, fit.envelope_L1) == pytest.approx((2, 3))
        assert fit.L0 < 2 and fit.L1 == pytest.approx(3, abs=0.2)

    def test_an_lstm_is_smoother_where_its_gradient_is_small(self):
        """What the paper's picture shows: along training the Hessian norm falls together with the gradient norm."""
        torch.manual_seed(0)
        model = create_model("gradient_clipping/tiny", activation_penalty=0.0, slowness_penalty=0.0).double()
        batch = model.example(4, torch.Generator().manual_seed(0))
        optimiser, points = ClippedSGD(model.parameters(), 1.0, 0.5), []
        for step in range(100):
            optimiser.zero_grad()
            model.loss(batch).backward()
            optimiser.step()
            if step % 33 == 0:
                generator = torch.Generator().manual_seed(0)
                points.append(smoothness_probe(lambda: model.loss(batch), model.parameters(), generator=generator))
        assert all(p.smoothness > 0 and math.isfinite(p.smoothness) for p in points)
        assert len({p.gradient_norm for p in points}) == len(points)


class TestNetworks:
    def test_counts(self):
        assert create_model("gradient_clipping/awd-lstm-ptb", device="meta").num_parameters() == 24_221_600
        assert create_model("gradient_clipping/resnet20-cifar10", device="meta").num_parameters() == 269_722

    def test_a_stream_gives_the_logits_of_the_whole(self):
        model = create_model("gradient_clipping/tiny").double().eval()
        tokens = torch.randint(50, (2, 12), generator=torch.Generator().manual_seed(0))
        state, parts = model.initial_state(2), []
        for piece in tokens.split([5, 1, 6], dim=1):
            logits, state = model.step(piece, state)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, 1), model(tokens), rtol=1e-12, atol=1e-12)
        assert generate(model, tokens[:, :3], 4, temperature=0).shape == (2, 7)

    def test_the_layers_are_torchs(self):
        model = create_model("gradient_clipping/tiny").double().eval()
        layer = model.blocks[0]
        theirs = torch.nn.LSTM(16, 32, batch_first=True).double()
        theirs.load_state_dict({f"{name}_l0": p.detach() for name, p in layer.named_parameters()})
        x = torch.randn(3, 7, 16, dtype=torch.float64)
        torch.testing.assert_close(layer(x)[0], theirs(x)[0])

    def test_dropout_is_one_for_all_positions_and_off_in_evaluation(self):
        model = create_model("gradient_clipping/tiny", weight_dropout=0.5, output_dropout=0.5, input_dropout=0.5)
        tokens = torch.zeros(2, 6, dtype=torch.long)
        assert not torch.equal(model(tokens), model(tokens))
        _, dropped, _ = model._run(tokens, model.initial_state(2))
        zero = dropped == 0
        assert zero.any() and torch.equal(zero, zero[:, :1].expand_as(zero))
        model.eval()
        assert torch.equal(model(tokens), model(tokens))

    def test_penalties_count_in_training_only(self):
        model = create_model("gradient_clipping/tiny")
        batch = model.example(2, torch.Generator().manual_seed(0))
        trained = float(model.loss(batch).detach())
        assert trained > float(model.eval().loss(batch).detach())

    def test_resnet_shortcuts(self):
        model = create_model("gradient_clipping/resnet-tiny").eval()
        block = model.blocks[1]
        torch.nn.init.zeros_(block.second.weight)
        x = torch.rand(2, 8, 8, 8)
        out = block(x)
        torch.testing.assert_close(out[:, 4:12], x[:, :, ::2, ::2])
        assert not out[:, :4].any() and not out[:, 12:].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clip_factor(torch.ones(()), 0.0), "gamma must be > 0, or infinite for no clipping, got 0.0"),
        (lambda: clip_factor(torch.ones(()), math.nan), "gamma must be > 0"),
        (lambda: clip_factor(torch.ones(()), 1.0, "medium"), "form must be one of hard, soft, log, got 'medium'"),
        (lambda: l0l1_step(torch.ones(()), -1.0, 1.0), "L0 must be finite and ≥ 0, got -1.0"),
        (lambda: l0l1_step(torch.ones(()), 0.0, 0.0), "must not both be 0"),
        (lambda: l0l1_step(torch.ones(()), 1.0, 1.0, "best"), "rule must be one of article, log, got 'best'"),
        (lambda: ClippedSGD(parameters((1,)), 0.0), "lr must be finite and > 0, got 0.0"),
        (lambda: ClippedSGD(parameters((1,)), 0.1, momentum=1.0), "momentum must be below 1, got 1.0"),
        (lambda: ClippedSGD(parameters((1,)), 0.1, -1.0), "gamma must be > 0"),
        (lambda: NormalizedGD(parameters((1,)), 0.1, eps=-1.0), "eps must be finite and ≥ 0, got -1.0"),
        (lambda: total_norm([torch.eye(2).to_sparse()]), "gradients must be dense"),
        (lambda: smoothness_probe(lambda: torch.zeros(()), []), "at least one that requires a gradient"),
        (lambda: secant_smoothness(lambda: torch.zeros(()), parameters((2,)), [torch.zeros(2)]), "direction must not"),
        (lambda: secant_smoothness(lambda: 0, parameters((2,)), [torch.ones(3)]), "the same shape for each"),
        (lambda: estimate_l0l1([SmoothnessPoint(1, 1)]), "points must be at least 2, got 1"),
        (lambda: AWDLSTMConfig(weight_dropout=1.0), r"weight_dropout must be in \[0, 1\), got 1.0"),
        (lambda: ResNetConfig(depth=21), r"depth must be 6n \+ 2 with n ≥ 1, got 21"),
        (lambda: ResNetConfig(normalisation="layer"), "normalisation must be batch or group, got 'layer'"),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()
