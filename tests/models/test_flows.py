"""Flows: Jacobians by autograd, round trips, actnorm, reversible gradients, counts, digits against Gaussians."""

from __future__ import annotations

import copy
import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from kexue.models import create_model, from_pretrained  # noqa: E402
from kexue.models.flows import (  # noqa: E402
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    BatchNormFlow,
    ChannelPermutation,
    CouplingResNet,
    FlowSequence,
    Glow,
    GlowConfig,
    GlowNet,
    GlowStep,
    InvConv1x1,
    LogitTransform,
    MaskedCoupling,
    NICEConfig,
    NiceNet,
    RealNVPConfig,
    Split2d,
    Squeeze2d,
    dequantise,
    gaussian_bits_per_dim,
    grey_levels,
    quantise,
    reversible_forward,
)

COUNTS = {
    "nice-mnist": 19_157_568 + 784,
    "glow-cifar10": 44_603_604,
    "glow-cifar10-additive": 38_395_668,
    "glow-imagenet32": 66_861_588,
    "glow-imagenet64": 112_377_540,
    "glow-celeba-hq-256": 175_099_620,
}


def randomised(module: nn.Module, std: float = 0.2) -> nn.Module:
    """Parameters and statistics moved away from where training starts, in float64 and evaluation."""
    generator = torch.Generator().manual_seed(7)
    module.double().eval()
    with torch.no_grad():
        for p in module.parameters():
            p += std * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        for name, buffer in module.named_buffers():
            if name.endswith("variance"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
            elif buffer.is_floating_point() and not name.endswith("signs"):
                buffer += std * torch.randn(buffer.shape, generator=generator, dtype=buffer.dtype)
    return module


def conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, 5, 3, padding=1), nn.Tanh(), nn.Conv2d(5, outputs, 3, padding=1))


def glow_config(**options) -> GlowConfig:
    return GlowConfig(**dict(image_size=4, channels=2, num_levels=2, num_steps=2, width=4, data_init=False) | options)


def layers() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made = {
        "additive": AdditiveCoupling(conv(2, 2)),
        "additive swapped": AdditiveCoupling(conv(2, 2), swap=True),
        "additive interleaved": AdditiveCoupling(conv(2, 2), "interleaved"),
        "affine exp": AffineCoupling(conv(2, 4)),
        "affine sigmoid2": AffineCoupling(conv(2, 4), "sigmoid2"),
        "affine tanh": AffineCoupling(conv(2, 4), "tanh", "interleaved", True),
        "checkerboard": MaskedCoupling(conv(4, 8)),
        "checkerboard 1": MaskedCoupling(conv(4, 8), parity=1, scale="exp"),
        "channel mask": MaskedCoupling(conv(4, 8), "channel", 1),
        "glow net": AffineCoupling(GlowNet(2, 4, 3, edge=True, data_init=False), "sigmoid2"),
        "glow net without norm": AdditiveCoupling(GlowNet(2, 2, 3, norm=False)),
        "resnet": MaskedCoupling(CouplingResNet(4, 8, 4, 1)),
        "actnorm": ActNorm(4, data_init=False),
        "actnorm with a factor": ActNorm(4, 3.0, data_init=False),
        "batch norm": BatchNormFlow(4),
        "conv": InvConv1x1(4),
        "conv lu": InvConv1x1(4, lu=True),
        "reverse": ChannelPermutation.reverse(4),
        "shuffle": ChannelPermutation.shuffle(4),
        "squeeze": Squeeze2d(),
        "step": GlowStep(4, glow_config()),
        "step lu": GlowStep(4, glow_config(permutation="conv-lu", coupling="additive")),
        "sequence": FlowSequence(Squeeze2d(), ActNorm(16, data_init=False), AdditiveCoupling(conv(8, 8))),
        "logit": LogitTransform(),
    }
    return {name: randomised(layer) for name, layer in made.items()}


def images(count: int = 2, channels: int = 4, side: int = 2) -> torch.Tensor:
    shape = (count, channels, side, side)
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def jacobian_logdet(function, x: torch.Tensor) -> torch.Tensor:
    """ln|det| of each sample's Jacobian; the others must not matter."""
    J = torch.autograd.functional.jacobian(lambda v: function(v).flatten(1), x)
    J = J.flatten(2)  # (batch, outputs, batch · inputs)
    blocks = J.unflatten(2, (len(x), -1))
    for i in range(len(x)):
        for j in range(len(x)):
            assert i == j or not bool(blocks[i, :, j].any())
    return torch.stack([torch.linalg.slogdet(blocks[i, :, i])[1] for i in range(len(x))])


@pytest.mark.parametrize("name", sorted(layers()))
def test_logdet_is_that_of_the_jacobian_and_the_inverse_inverts(name):
    layer, x = layers()[name], images()
    z, logdet = layer(x)
    assert logdet.shape == (2,)
    torch.testing.assert_close(logdet, jacobian_logdet(lambda v: layer(v)[0], x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layer.inverse(z), x, rtol=1e-10, atol=1e-10)


def test_vectors_go_through_the_same_layers():
    x = torch.randn(3, 4, dtype=torch.float64)
    for layer in (InvConv1x1(4), InvConv1x1(4, lu=True), AffineCoupling(nn.Linear(2, 4)), ActNorm(4, data_init=False)):
        layer = randomised(layer)
        z, logdet = layer(x)
        torch.testing.assert_close(logdet, jacobian_logdet(lambda v, f=layer: f(v)[0], x), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(layer.inverse(z), x, rtol=1e-10, atol=1e-10)


def test_split():
    split = randomised(Split2d(conv(2, 4)))
    x = images()
    (z1, eps), logdet = split(x)
    assert torch.equal(z1, x[:, :2])
    joined = lambda v: torch.cat(split(v)[0], dim=1)  # noqa: E731
    torch.testing.assert_close(logdet, jacobian_logdet(joined, x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(split.inverse((z1, eps)), x, rtol=1e-10, atol=1e-10)
    prior = split.net(z1)
    density = torch.distributions.Normal(prior[:, 0::2], prior[:, 1::2].exp()).log_prob(x[:, 2:]).flatten(1).sum(1)
    standard = torch.distributions.Normal(0, 1).log_prob(eps).flatten(1).sum(1)
    torch.testing.assert_close(standard + logdet, density)


@pytest.mark.parametrize("options", [{}, {"coupling": "additive"}, {"permutation": "conv-lu"},
                                     {"permutation": "shuffle", "net_norm": False, "edge_bias": False},
                                     {"permutation": "reverse", "learn_top": False}])  # fmt: skip
def test_whole_glow(options):
    torch.manual_seed(0)
    check_model(Glow(glow_config(**options)))


@pytest.mark.parametrize(("name", "options"), [
    ("nice-tiny", dict(image_size=4)), ("nice-tiny", dict(image_size=4, output_relu=True, prior="logistic")),
    ("realnvp-tiny", dict(image_size=4)), ("tiny", dict(num_steps=2, width=8)),
])  # fmt: skip
def test_whole_models(name, options):
    torch.manual_seed(0)
    model = create_model(f"flows/{name}", **options)
    model.initialize(model.example(8))
    check_model(model)


def check_model(model):
    """The log-density is that of the ε plus the Jacobian's, all ε bring the image back, samples are images."""
    randomised(model, 0.05)
    c = model.config
    y = images(2, c.channels, c.image_size) * 0.98 + 0.01
    eps = model.encode(y)
    assert [tuple(e.shape[1:]) for e in eps] == model.latent_shapes
    assert sum(e[0].numel() for e in eps) == y[0].numel()
    joined = lambda v: torch.cat([e.flatten(1) for e in model(v)[0]], dim=1)  # noqa: E731
    logdet = jacobian_logdet(joined, y)
    torch.testing.assert_close(model(y)[1], logdet, rtol=1e-9, atol=1e-9)
    z = joined(y)
    if model.prior == "gaussian":
        prior = torch.distributions.Normal(0, 1).log_prob(z)
    else:
        prior = -z - 2 * (1 + (-z).exp()).log()
    torch.testing.assert_close(model.log_prob(y), prior.sum(1) + logdet, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.decode(eps), y, rtol=1e-9, atol=1e-9)
    drawn = model.sample(3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(drawn, model.sample(3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(model.sample(2, 0.0)[0], model.sample(2, 0.0)[1])
    assert model.bits_per_dim(drawn).isfinite().all()


@pytest.mark.parametrize(
    ("options", "constant"),
    [({}, True), ({"num_levels": 2}, False), ({"coupling": "affine"}, False), ({"learn_top": False}, True)],
)
def test_cold_samples_have_a_power_of_the_density_only_if_the_volume_is_kept(options, constant):
    """ln p_T − ln p/T² (claim flows/temperature-additive): additive couplings are not enough, since the scale of a
    conditional prior depends on the image too.
    """
    torch.manual_seed(0)
    model = randomised(Glow(glow_config(**dict(coupling="additive", num_levels=1) | options)), 0.1)
    y = images(8, 2, 4)
    eps, logdet = model(y)
    cold = logdet + sum(torch.distributions.Normal(0, 0.5).log_prob(e).flatten(1).sum(1) for e in eps)
    difference = cold - 4 * model.log_prob(y)
    assert bool(difference.max() - difference.min() < 1e-9) == constant


@pytest.mark.parametrize(("preset", "count"), COUNTS.items())
def test_parameter_counts(preset, count):
    assert create_model(f"flows/{preset}", device="meta").num_parameters() == count


def test_parameter_counts_of_options():
    def count(preset, **options):
        return create_model(f"flows/{preset}", device="meta", **options).num_parameters()

    assert count("glow-cifar10", edge_bias=False) == 44_135_856
    assert count("glow-cifar10", permutation="conv-lu") == 44_603_604
    assert count("glow-cifar10", permutation="shuffle") == 44_603_604 - 32 * (12**2 + 24**2 + 48**2)
    assert count("nice-mnist", num_couplings=1) == 4_789_392 + 784


def test_squeeze_keeps_blocks_together():
    x = torch.arange(2 * 4 * 6, dtype=torch.float64).reshape(1, 2, 4, 6)
    z, _ = Squeeze2d()(x)
    assert z.shape == (1, 8, 2, 3) and sorted(z.flatten().tolist()) == x.flatten().tolist()
    for c in range(2):
        for dy in range(2):
            for dx in range(2):
                assert torch.equal(z[0, 4 * c + 2 * dy + dx], x[0, c, dy::2, dx::2])
    thirds = Squeeze2d(3)
    y = torch.randn(1, 1, 3, 6)
    assert torch.equal(thirds.inverse(thirds(y)[0]), y)


def test_plu_weight_is_the_product_of_its_factors():
    torch.manual_seed(0)
    layer = InvConv1x1(5, lu=True).double()
    torch.testing.assert_close(layer.weight() @ layer.weight().mT, torch.eye(5).double(), atol=1e-6, rtol=0)
    order, L, U = layer.factors()
    P = torch.eye(5).double()[order]
    torch.testing.assert_close(layer.weight(), P @ L @ U)
    assert torch.equal(L.diagonal(), torch.ones(5).double()) and not L.triu(1).any() and not U.tril(-1).any()
    W = torch.randn(5, 5, dtype=torch.float64)
    plain = InvConv1x1(5).double()
    for each in (layer, plain):
        each.set_weight(W)
        torch.testing.assert_close(each.weight(), W)
        torch.testing.assert_close(each.log_abs_det(), torch.linalg.slogdet(W)[1])
    x = images(3, 5)
    torch.testing.assert_close(layer(x)[0], plain(x)[0])
    torch.testing.assert_close(layer.inverse(x), plain.inverse(x))


def test_no_determinant_overflows():
    big = InvConv1x1(400).double()
    big.set_weight(10 * torch.eye(400, dtype=torch.float64))
    assert big.log_abs_det().item() == pytest.approx(400 * math.log(10), rel=1e-14)


class TestActNorm:
    def test_the_first_batch_leaves_normalised(self):
        layer = ActNorm(3).double()
        x = 4 + 3 * torch.randn(8, 3, 5, 5, dtype=torch.float64)
        z, logdet = layer(x)
        torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-12, rtol=0)
        torch.testing.assert_close(z.square().mean((0, 2, 3)), torch.ones(3).double())
        torch.testing.assert_close(logdet, torch.full((8,), 25.0).double() * layer.log_gain.sum())
        other = 7 * torch.randn(4, 3, 5, 5, dtype=torch.float64)
        torch.testing.assert_close(layer(other)[0].std(), other.std() / 3, rtol=0.1, atol=0)
        layer.initialize(other)
        torch.testing.assert_close(layer.eval()(other)[0].square().mean((0, 2, 3)), torch.ones(3).double())

    def test_the_gradient_doesnt_go_through_the_statistics(self):
        layer, x = ActNorm(2).double(), torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
        layer(x)[0].sum().backward()
        torch.testing.assert_close(x.grad, layer.log_gain.exp().expand(3, 2))

    def test_before_the_first_batch(self):
        layer, x = ActNorm(3), torch.randn(4, 3)
        with pytest.raises(RuntimeError, match="must see a training batch"):
            layer.eval()(x)
        with pytest.raises(RuntimeError, match="before it is inverted"):
            layer.inverse(x)
        lenient = ActNorm(3, strict=False).eval()
        torch.testing.assert_close(lenient(x)[0].mean(0), torch.zeros(3), atol=1e-6, rtol=0)
        assert not lenient.ready and not bool(lenient.center.any())

    def test_loading_is_noticed(self):
        fresh, trained = ActNorm(3), ActNorm(3)
        trained(torch.randn(4, 3))
        saved = copy.deepcopy(fresh.state_dict())
        fresh.load_state_dict(trained.state_dict())
        assert torch.equal(fresh.eval()(torch.ones(1, 3))[0], trained.eval()(torch.ones(1, 3))[0])
        trained.load_state_dict(saved)
        assert not trained.ready

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (torch.randn(1, 3, 4, 4), "at least 2 samples, got 1"),
            (torch.randn(4, 3, 4, 4) * torch.tensor([1.0, 0.0, 1.0])[:, None, None], r"no variance in \[1\]"),
            (torch.full((4, 3), torch.nan), r"no variance in \[0, 1, 2\]"),
            (torch.randn(4, 2), r"shape \(batch, 3, …\), got \(4, 2\)"),
        ],
    )
    def test_batches_that_cant_initialise(self, x, message):
        layer = ActNorm(3)
        for call in (layer, layer.initialize):
            with pytest.raises(ValueError, match=message):
                call(x)
        assert not layer.ready

    def test_a_normalised_convolution_is_a_convolution_and_then_actnorm(self):
        torch.manual_seed(0)
        net = GlowNet(3, 4, 6, edge=True).double()
        x = torch.randn(4, 3, 5, 5, dtype=torch.float64)
        first = net.conv1(x)
        torch.testing.assert_close(first, net.conv1.norm(net.conv1.convolve(x))[0])
        torch.testing.assert_close(first.mean((0, 2, 3)), torch.zeros(6).double(), atol=1e-12, rtol=0)
        torch.testing.assert_close(first.var((0, 2, 3), correction=0), torch.ones(6).double())

    def test_the_indicator_of_the_padding(self):
        """Both ways to add it are a convolution with one more channel."""
        for inputs, outputs in ((2, 7), (7, 2)):
            layer = GlowNet(1, 1, 1, edge=True).conv3
            layer.__init__(inputs, outputs, edge=True)
            randomised(layer)
            x = torch.randn(2, inputs, 4, 5, dtype=torch.float64)
            padded = F.pad(x, (1, 1, 1, 1))
            indicator = 1 - F.pad(torch.ones(2, 1, 4, 5), (1, 1, 1, 1)).double()
            plain = F.conv2d(torch.cat((padded, indicator), 1), torch.cat((layer.weight, layer.edge), 1), layer.bias)
            torch.testing.assert_close(layer(x), plain * (3 * layer.log_scale).exp()[:, None, None])


def test_batch_norm_uses_the_batch_and_then_the_averages():
    layer = BatchNormFlow(2, momentum=0.0, eps=0.0).double()
    x = 3 + 2 * torch.randn(50, 2, 3, 3, dtype=torch.float64)
    z, logdet = layer(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(logdet[0], -4.5 * x.var((0, 2, 3), correction=0).log().sum())
    torch.testing.assert_close(layer.eval()(x)[0], z)
    torch.testing.assert_close(layer.inverse(z), x)
    with pytest.raises(ValueError, match="at least 2 values a channel"):
        layer.train()(x[:1, :, :1, :1])


def test_additive_glow_with_zero_networks_is_a_rotation():
    torch.manual_seed(0)
    model = Glow(glow_config(coupling="additive", learn_top=False)).double().eval()
    y = images(2, 2, 4)
    z = torch.cat([e.flatten(1) for e in model.encode(y)], dim=1)
    torch.testing.assert_close(z.norm(dim=1), (y - 0.5).flatten(1).norm(dim=1), rtol=1e-6, atol=0)  # QR in float32
    assert model(y)[1].abs().max().item() < 1e-5


def test_uniform_density_costs_8_bits():
    """A flow whose density is 1 on [0, 1)^D: y → Φ⁻¹(y)."""

    class Uniform(Glow, config=None):
        def forward(self, y):
            eps = math.sqrt(2) * torch.erfinv(2 * y - 1)
            return [eps], (0.5 * (eps.square() + math.log(2 * math.pi))).flatten(1).sum(1)

    model = Uniform(GlowConfig(image_size=4, channels=1, num_levels=1, num_steps=1, width=2)).double()
    pictures = model.example(4, torch.Generator().manual_seed(0))["images"].double()
    torch.testing.assert_close(model.bits_per_dim(pictures), torch.full((4,), 8.0).double(), rtol=1e-12, atol=0)
    assert float(model.loss({"images": pictures})) == pytest.approx(8, rel=1e-12)


class TestReversible:
    @pytest.mark.parametrize("permutation", ["reverse", "shuffle", "conv", "conv-lu"])
    @pytest.mark.parametrize("coupling", ["additive", "affine"])
    def test_gradients_are_those_of_autograd(self, coupling, permutation):
        torch.manual_seed(0)
        plain = create_model("flows/tiny", coupling=coupling, permutation=permutation, width=8)
        batch = {k: v.double() for k, v in plain.double().example(4).items()}
        plain.initialize(batch)
        randomised(plain, 0.05).train()
        frugal = Glow(plain.config.replace(reversible=True)).double()
        frugal.load_state_dict(plain.state_dict())
        losses = [model.loss(batch) for model in (plain, frugal)]
        torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
        for loss in losses:
            loss.backward()
        for (name, p), q in zip(plain.named_parameters(), frugal.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-9, atol=1e-11, msg=name)

    def test_input_gradients_of_all_layers(self):
        for name, layer in layers().items():
            x = images().requires_grad_()
            z, logdet = layer(x)
            weights = torch.randn_like(z)
            pairs = ((z, logdet), reversible_forward([layer], x))
            expected, found = (
                torch.autograd.grad((z * weights).sum() + logdet.square().sum(), x)[0] for z, logdet in pairs
            )
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10, msg=name)

    def test_the_first_batch_initialises(self):
        torch.manual_seed(0)
        plain = create_model("flows/tiny")
        frugal = Glow(plain.config.replace(reversible=True))
        frugal.load_state_dict(plain.state_dict())
        batch = plain.example(4)
        torch.testing.assert_close(frugal.loss(batch), plain.loss(batch))
        assert all(m.ready for m in frugal.modules() if isinstance(m, ActNorm))
        frugal.loss(batch).backward()

    def test_nothing_is_kept_for_each_layer(self):
        def kept(reversible, steps):
            torch.manual_seed(0)
            model = create_model("flows/tiny", num_steps=steps, reversible=reversible, data_init=False)
            seen: dict[int, int] = {}
            own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}

            def pack(t):
                if t.untyped_storage().data_ptr() not in own and t.shape[:1] == (8,):
                    seen[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
                return t

            with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
                loss = model.loss(model.example(8))
            del loss
            return sum(seen.values())

        assert kept(True, 2) == kept(True, 6) < kept(False, 2) < kept(False, 6)

    def test_what_cant_be_reversed(self):
        with pytest.raises(ValueError, match="must be bijections, got a Conv2d"):
            reversible_forward([nn.Conv2d(4, 4, 1)], images().float())
        with pytest.raises(ValueError, match="batch normalisation in training has none"):
            reversible_forward([FlowSequence(BatchNormFlow(4))], images().float())


class TestInitialisation:
    def test_an_untrained_model(self):
        model = create_model("flows/tiny").eval()
        batch = model.example(4)
        assert model.loss(batch).isfinite() and not model.blocks[0].layers[0].ready
        for call in (
            lambda: model.sample(2), lambda: model.encode(model.dequantise(batch["images"])),
            lambda: model.bits_per_dim(batch["images"]), lambda: model.log_prob(model.dequantise(batch["images"])),
            lambda: model.decode([torch.zeros(1, *s) for s in model.latent_shapes]),
        ):  # fmt: skip
            with pytest.raises(RuntimeError, match="Glow must see a training batch, or initialize"):
                call()
        expected = model.loss(batch)
        model.initialize(batch)
        assert not model.training
        torch.testing.assert_close(model.loss(batch), expected)
        assert model.sample(2).shape == (2, 1, 8, 8)

    def test_the_first_training_step_does_the_same(self, tmp_path):
        torch.manual_seed(0)
        one = create_model("flows/tiny")
        two = copy.deepcopy(one)
        batch = one.example(4)
        two.initialize(batch)
        assert torch.equal(one.loss(batch), two.loss(batch))
        for key, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[key]), key
        one.save_pretrained(tmp_path)
        assert torch.equal(from_pretrained(tmp_path).eval().loss(batch), one.eval().loss(batch))

    def test_again_after_training(self):
        torch.manual_seed(0)
        model = create_model("flows/tiny")
        batch, other = model.example(4), model.example(16)
        model.loss(batch).backward()
        torch.optim.SGD(model.parameters(), 0.1).step()
        model.initialize(other)
        first = model.blocks[0].layers[0]
        z = first(model.squeeze(model.dequantise(other["images"], other["noise"]) - 0.5)[0])[0]
        torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(z.square().mean((0, 2, 3)), torch.ones(4), atol=1e-5, rtol=0)

    @pytest.mark.slow
    def test_compiled_code_initialises_too(self, no_shape_checks):
        torch._dynamo.reset()
        torch.manual_seed(0)
        plain = create_model("flows/tiny", num_levels=1, num_steps=1)
        other = copy.deepcopy(plain)
        batch = plain.example(4)
        loss = torch.compile(other.loss, backend="aot_eager", fullgraph=True)
        for _ in range(2):
            torch.testing.assert_close(loss(batch), plain.loss(batch), rtol=1e-5, atol=1e-6)
            assert all(m.ready for m in other.modules() if isinstance(m, ActNorm))
        loss(batch).backward()
        for key, value in plain.state_dict().items():
            torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-5, atol=1e-6)


def test_no_images_are_no_numbers():
    model = create_model("flows/tiny")
    model.initialize(model.example(4))
    model.eval()
    assert model.bits_per_dim(torch.zeros(0, 1, 8, 8)).shape == (0,) and model.sample(0).shape == (0, 1, 8, 8)


class TestImages:
    def test_integers_come_back(self):
        for levels in (2, 17, 256):
            v = torch.arange(levels).float()
            assert torch.equal(grey_levels(v * (2 / (levels - 1)) - 1, levels), v)
            assert torch.equal(grey_levels(v / ((levels - 1) / 2) - 1, levels), v)
        byte = torch.arange(256).float() / 127.5 - 1
        y = dequantise(byte, 256, 32, noise=torch.full((256,), 0.5))
        assert torch.equal((y * 32).floor(), torch.arange(256).div(8, rounding_mode="floor").float())
        assert torch.equal(grey_levels(quantise(y, 32), 32), (y * 32).floor())

    def test_the_largest_noise_stays_in_its_bin(self):
        almost = torch.tensor(1 - 2**-24)
        y = dequantise(torch.ones(1), 256, noise=almost[None])
        assert float(y) < 1 and float(255 + almost) == 256
        assert LogitTransform()(y[None])[0].isfinite().all()

    def test_noise_is_drawn_from_torchs_generator(self):
        model = create_model("flows/tiny")
        batch = model.example(2)
        torch.manual_seed(5)
        one = model.dequantise(batch["images"])
        torch.manual_seed(5)
        assert torch.equal(one, model.dequantise(batch["images"]))
        assert not torch.equal(one, model.dequantise(batch["images"]))

    def test_gaussian_baseline_against_distributions(self):
        """With many draws of the noise, fit and evaluation are those of MultivariateNormal."""
        generator = torch.Generator().manual_seed(0)
        v = torch.randint(17, (300, 1, 1, 3), generator=generator).double()
        v[..., 1] = (v[..., 0] + v[..., 1]).div(2).floor()
        pictures = v / 8 - 1
        data = (v + torch.rand(4000, *v.shape, generator=generator, dtype=torch.float64)).reshape(-1, 3)
        for full in (True, False):
            covariance = data.T.cov(correction=0)
            covariance = covariance if full else covariance.diagonal().diag()
            normal = torch.distributions.MultivariateNormal(data.mean(0), covariance)
            expected = -float(normal.log_prob(data).mean()) / 3 / math.log(2)
            assert gaussian_bits_per_dim(pictures, pictures, 17, full) == pytest.approx(expected, abs=1e-3)


def train_on_digits(steps: int, **options):
    """(bits/dim of held-out digits under the flow, the full and the diagonal Gaussian): 1500 to train, 297 to test."""
    from sklearn.datasets import load_digits

    digits = torch.from_numpy(load_digits().images).float()[:, None] / 8 - 1
    digits = digits[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]
    train, test = digits[:1500], digits[1500:]
    torch.manual_seed(0)
    model = create_model("flows/tiny", **options)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        loss = model.loss({"images": train[torch.randint(len(train), (64,))]})
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        flow = torch.stack([model.bits_per_dim(test).mean() for _ in range(8)]).mean()
    return float(flow), gaussian_bits_per_dim(train, test, 17), gaussian_bits_per_dim(train, test, 17, full=False)


@pytest.mark.slow
def test_a_tiny_glow_beats_both_gaussians_on_held_out_digits():
    pytest.importorskip("sklearn")
    flow, full, diagonal = train_on_digits(600)
    assert flow < full < diagonal


TINY = create_model("flows/tiny")
X = torch.randn(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: GlowConfig(image_size=12), "image_size must be a multiple of 8 for 3 levels, got 12"),
        (lambda: GlowConfig(num_levels=0), "num_levels must be at least 1, got 0"),
        (lambda: GlowConfig(num_steps=0), "num_steps must be at least 1, got 0"),
        (lambda: GlowConfig(width=0), "width must be at least 1, got 0"),
        (lambda: GlowConfig(coupling="affin"), "coupling must be one of additive, affine, got 'affin'"),
        (lambda: GlowConfig(permutation="lu"), "permutation must be one of reverse, shuffle, conv, conv-lu, got 'lu'"),
        (lambda: GlowConfig(n_bits=9), r"n_bits must be in 1..8, got 9"),
        (lambda: GlowConfig(n_bits=5, levels=17), "n_bits must be 8 for images with 17 levels, got 5"),
        (lambda: RealNVPConfig(image_size=31), "image_size must be a multiple of 2 for 2 scales, got 31"),
        (lambda: NICEConfig(image_size=27), "must be even, got 729"),
        (lambda: NICEConfig(prior="cauchy"), "prior must be one of gaussian, logistic, got 'cauchy'"),
        (lambda: NICEConfig(noise="none"), "noise must be article or uniform, got 'none'"),
        (lambda: AdditiveCoupling(nn.Identity())(X), "channels must be even at a coupling, got 3"),
        (lambda: AffineCoupling(nn.Identity())(X[:, :2]), r"must return the shape \(2, 2, 4, 4\), got \(2, 1, 4, 4\)"),
        (lambda: AffineCoupling(nn.Identity(), "softplus"), "scale must be one of exp, sigmoid2, tanh, got 'softplus'"),
        (lambda: AdditiveCoupling(nn.Identity(), "odd"), "split must be one of half, interleaved, got 'odd'"),
        (lambda: MaskedCoupling(nn.Identity(), "stripes"), "mask must be checkerboard or channel, got 'stripes'"),
        (lambda: MaskedCoupling(nn.Identity(), parity=2), "parity must be 0 or 1, got 2"),
        (lambda: MaskedCoupling(nn.Identity())(X), "net must return 6 channels for 3"),
        (lambda: Split2d(None)(X), "channels must be even to be split, got 3"),
        (lambda: Squeeze2d(3)(X), r"height and width must be multiples of 3, got \(4, 4\)"),
        (lambda: Squeeze2d().inverse(X), "channels must be a multiple of 4, got 3"),
        (lambda: ChannelPermutation([0, 2, 2]), r"order must be a permutation of 0..2, got \[0, 2, 2\]"),
        (lambda: InvConv1x1(3).set_weight(torch.ones(3, 2)), r"weight must have shape \(3, 3\), got \(3, 2\)"),
        (lambda: InvConv1x1(3).set_weight(torch.ones(3, 3)), "must be a finite matrix with an inverse"),
        (lambda: InvConv1x1(3, lu=True).set_weight(torch.full((3, 3), torch.nan)), "must be a finite matrix"),
        (lambda: InvConv1x1(4)(X), r"shape \(batch, 4, …\), got \(2, 3, 4, 4\)"),
        (lambda: LogitTransform(1.0), r"alpha must be in \[0, 1\), got 1.0"),
        (lambda: BatchNormFlow(3, momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: TINY.sample(1, -0.1), "temperature must be at least 0, got -0.1"),
        (lambda: TINY.sample(1, math.nan), "temperature must be at least 0, got nan"),
        (lambda: TINY.decode([X]), "eps must hold 2 tensors, got 1"),
        (lambda: TINY.decode([X, X]), r"eps\[0\] must have shape \(2, 2, 4, 4\), got \(2, 3, 4, 4\)"),
        (lambda: TINY.log_prob(X), r"images must have shape \(batch, 1, 8, 8\), got \(2, 3, 4, 4\)"),
        (lambda: TINY.bits_per_dim(torch.full((2, 1, 8, 8), 0.01)), "images must have 17 levels, multiples of 2/16"),
        (lambda: TINY.bits_per_dim(torch.full((2, 1, 8, 8), 1.125)), r"images must lie in \[−1, 1\], got 1.125..1.125"),
        (lambda: TINY.bits_per_dim(torch.full((2, 1, 8, 8), torch.nan)), "images must have 17 levels"),
        (lambda: TINY.loss({"images": torch.ones(1, 1, 8, 8)}), "at least 2 samples, got 1"),
        (lambda: dequantise(torch.ones(1), 256, 100), "bins must divide the 256 levels, got 100"),
        (lambda: grey_levels(torch.ones(1), 1), "levels must be at least 2, got 1"),
        (lambda: gaussian_bits_per_dim(torch.ones(2, 1, 2, 2), torch.ones(2, 1, 3, 3)), "images of one size"),
    ],
)  # fmt: skip
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()


def test_nice_net_is_one_sided():
    net = NiceNet(3, 5, 2, output_relu=True)
    assert bool((net(torch.randn(100, 3)) <= 0).all()) and bool((net(torch.randn(100, 3)) < 0).any())


def test_article_noise_of_nice():
    model = create_model("flows/nice-mnist", width=8, hidden=1)
    batch = model.example(2)
    y = model.dequantise(batch["images"], batch["noise"])
    v = grey_levels(batch["images"])
    assert float((v / 255 - y).min()) >= 0 and float((v / 255 - y).max()) <= 0.0100001
    assert torch.equal(grey_levels(model.to_images(v / 255)), v)
    torch.testing.assert_close(
        model.bits_per_dim(batch["images"], batch["noise"]),
        math.log2(255) - model.log_prob(y) / (784 * math.log(2)),
    )
