"""normflows on the same weights, and torch.distributions: equal where the layers are the same."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
nf = pytest.importorskip("normflows")

from torch.distributions.transforms import AffineTransform, ComposeTransform  # noqa: E402

from kexue.models.flows import (  # noqa: E402
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    FlowSequence,
    GlowNet,
    GlowStep,
    InvConv1x1,
    MaskedCoupling,
    Squeeze2d,
)
from kexue.models.flows.model import GlowConfig  # noqa: E402

C, WIDTH = 4, 8


def images(count: int = 3, channels: int = C, side: int = 6) -> torch.Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0)).double()


def net(outputs: int) -> GlowNet:
    """Our network with biases in the place of actnorm, and no zeros in it."""
    torch.manual_seed(1)
    made = GlowNet(C // 2, outputs, WIDTH, norm=False).double()
    for p in made.parameters():
        p.data += 0.2 * torch.randn_like(p)
    made.conv3.log_scale.data.zero_()
    return made


def same_net(ours: GlowNet, theirs: torch.nn.Module) -> None:
    convs = [m for m in theirs.modules() if isinstance(m, torch.nn.Conv2d)]
    for mine, other in zip((ours.conv1, ours.conv2, ours.conv3), convs, strict=True):
        other.weight.data, other.bias.data = mine.weight.data.clone(), mine.bias.data.clone()


def compare(ours, theirs, x: torch.Tensor) -> None:
    """Our forward is normflows' inverse: there z is what x is made of."""
    z, logdet = ours(x)
    w, other = theirs.inverse(x)
    torch.testing.assert_close(z, w, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(logdet, other.expand_as(logdet).double(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(theirs.forward(z)[0], x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.inverse(w), x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["additive", "exp", "sigmoid"])
def test_couplings(kind):
    theirs = nf.flows.AffineCouplingBlock(
        nf.nets.ConvNet2d((C // 2, WIDTH, WIDTH, C // 2 if kind == "additive" else C), (3, 1, 3), 0.0, False),
        scale=kind != "additive", scale_map="exp" if kind == "additive" else kind,
    ).double()  # fmt: skip
    mine = net(C // 2 if kind == "additive" else C)
    same_net(mine, theirs)
    x = images()
    if kind == "additive":
        compare(AdditiveCoupling(_Negative(mine)), theirs, x)
    elif kind == "exp":
        z = AffineCoupling(mine).inverse(x)
        w, other = theirs.inverse(x)  # x ↦ (x − t)e^{−s}: the inverse of our forward
        torch.testing.assert_close(z, w, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(-AffineCoupling(mine)(z)[1], other, rtol=1e-10, atol=1e-10)
    else:  # Glow's form: (x − t)·σ(r + 2), ours with the shift's sign turned
        compare(AffineCoupling(_NegativeShift(mine), "sigmoid2"), theirs, x)


class _Negative(torch.nn.Module):
    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -self.net(x)


class _NegativeShift(_Negative):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.net(x).clone()
        h[:, 0::2] *= -1
        return h


@pytest.mark.parametrize("lu", [False, True])
def test_invertible_convolution(lu):
    torch.manual_seed(2)
    theirs = nf.flows.Invertible1x1Conv(C, use_lu=lu).double()
    for name, p in theirs.named_parameters():
        if name != "log_S":
            p.data += 0.1 * torch.randn_like(p)
    W = theirs._assemble_W() if lu else theirs.W
    ours = InvConv1x1(C, lu=lu).double()
    ours.set_weight(W.detach())
    compare(ours, theirs, images())


def test_actnorm():
    """Theirs stores (x − t)e^{−s}, and divides by the standard deviation with n − 1 and + 10⁻⁶."""
    x = 3 + 2 * images()
    ours, theirs = ActNorm(C).double(), nf.flows.ActNorm((C, 1, 1)).double()
    z = ours(x)[0]
    w = theirs.inverse(x)[0]
    shift, log_scale = ours.coefficients(None)
    theirs.s.data, theirs.t.data = -log_scale.detach()[None, :, None, None], -shift.detach()[None, :, None, None]
    compare(ours, theirs, x)
    deviation = x.std((0, 2, 3)) / x.std((0, 2, 3), correction=0)
    torch.testing.assert_close(w * (deviation[:, None, None]), z, rtol=1e-5, atol=1e-5)


def test_a_whole_step():
    """GlowBlock of normflows: its inverse is actnorm, W, coupling in our order."""
    torch.manual_seed(3)
    theirs = nf.flows.GlowBlock(C, WIDTH, scale=True, scale_map="sigmoid", init_zeros=False, use_lu=False).double()
    config = GlowConfig(image_size=8, channels=1, num_levels=1, num_steps=1, width=WIDTH, edge_bias=False,
                        net_norm=False)  # fmt: skip
    step = GlowStep(C, config).double()
    x = images()
    theirs.inverse(x)  # its actnorm takes its statistics
    coupling, conv, norm = theirs.flows
    mine = net(C)
    same_net(mine, coupling)
    actnorm, mix, _ = step.layers
    actnorm.initialize(x)
    with torch.no_grad():
        actnorm.center.copy_(-norm.t.flatten())
        actnorm.log_gain.copy_(-norm.s.flatten())
        mix.set_weight(conv.W)
    ours = FlowSequence(actnorm, mix, AffineCoupling(_NegativeShift(mine), "sigmoid2"))
    compare(ours, theirs, x)


def test_squeeze_has_the_same_order_of_channels():
    x = images()
    torch.testing.assert_close(Squeeze2d()(x)[0], nf.flows.Squeeze().inverse(x)[0], rtol=0, atol=0)


def test_masked_affine_flow():
    """normflows' mask 1 keeps, as ours; its e^s and t are on the way from z to x."""
    torch.manual_seed(4)
    raw = torch.nn.Conv2d(2, 4, 3, padding=1).double()
    ours = MaskedCoupling(raw, scale="exp")

    def part(start: int) -> torch.nn.Module:
        class Part(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return raw(x)[:, start::2]

        return Part()

    side = torch.arange(6)
    mask = ((side[:, None] + side) % 2 == 0).double().expand(2, 6, 6)
    theirs = nf.flows.MaskedAffineFlow(mask, part(0), part(1))
    x = images(3, 2)
    for mine, other in zip(ours(x), theirs.forward(x), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours.inverse(x), theirs.inverse(x)[0], rtol=1e-10, atol=1e-10)


def test_batch_norm_is_another_function_there():
    """normflows normalises each pixel on its own and never keeps averages: one image is NaN."""
    assert nf.flows.BatchNorm().forward(images(1))[0].isnan().any()


def test_density_of_torch_distributions():
    """An affine map of the plane with a constant coupling: TransformedDistribution's density."""
    layer = ActNorm(2, data_init=False).double()
    layer.bias.data.copy_(torch.tensor([0.5, -1.0]))
    layer.log_scale.data.copy_(torch.tensor([0.3, -0.7]))
    back = ComposeTransform([
        AffineTransform(torch.zeros(2).double(), (-layer.log_scale).exp()), AffineTransform(-layer.bias, 1.0)
    ])  # fmt: skip
    base = torch.distributions.Normal(torch.zeros(2).double(), torch.ones(2).double())
    theirs = torch.distributions.TransformedDistribution(base, back)
    x = torch.randn(5, 2, dtype=torch.float64)
    z, logdet = layer(x)
    torch.testing.assert_close(base.log_prob(z).sum(1) + logdet, theirs.log_prob(x).sum(1))
