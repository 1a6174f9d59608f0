r"""The torch layers and models of flows held against the exact objects.

Su Jianlin, 《细水长flow之NICE》, archive 5776, and 《细水长flow之RealNVP与Glow》, archive 5807. Inputs are dyadic:
both sides see the same numbers. Networks of single layers are polynomials, which both sides evaluate.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kexue import Conforms, Costs, ForEach, claim
from kexue.derivations.flows import (
    bits_per_dimension,
    checkerboard_mask,
    glow_macs,
    glow_parameters,
    multiscale_shapes,
    nice_parameters,
    plu,
    squeeze_index,
)
from kexue.models.flows import (
    NICE,
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    BatchNormFlow,
    ChannelPermutation,
    FlowSequence,
    Glow,
    GlowConfig,
    GlowStep,
    InvConv1x1,
    LogitTransform,
    MaskedCoupling,
    NICEConfig,
    NiceNet,
    Split2d,
    Squeeze2d,
    dequantise,
)
from kexue.statements.conforms import fractions, tensor

POINTS = [
    [Fraction(1, 2), Fraction(-3, 4), Fraction(2), Fraction(5, 8)],
    [Fraction(-1), Fraction(1, 4), Fraction(-7, 8), Fraction(3)],
    [Fraction(3, 8), Fraction(5, 4), Fraction(0), Fraction(-1, 2)],
]
MATRICES = [
    [[2, 1, 0], [4, -1, 3], [1, 5, 2]],
    [[0, 3, 1], [1, 0, 2], [-5, 1, 4]],
    [[1, 0, 0], [0, 0, -2], [0, 8, 1]],
]


class Polynomial(nn.Module):
    """A function of the channels, the same at each pixel."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return torch.stack(self.function(*x.unbind(1)), dim=1)


def shift(a, b):
    return a * b, a * a - b / 2


def shift_and_scale(a, b):
    """Shifts at the even places, logarithms of scales at the odd ones."""
    t = shift(a, b)
    return t[0], a / 2 + b * b, t[1], a - b / 4


def _jacobian(layer, x):
    return torch.autograd.functional.jacobian(lambda v: layer(v[None])[0].flatten(), x).flatten(1)


def _everything(layer, point):
    """z, the inverse of z, the Jacobian, the log-determinant and its value by autograd."""
    x = tensor(point)
    z, logdet = layer(x[None])
    J = _jacobian(layer, x)
    return z[0], layer.inverse(z)[0], J, logdet[0], torch.linalg.slogdet(J)[1]


def _exactly(outputs, variables, logdet, point):
    values = dict(zip(variables, (sp.Rational(v.numerator, v.denominator) for v in point), strict=True))
    z, J = sp.Matrix(outputs), sp.Matrix(outputs).jacobian(variables)
    total = sp.sympify(logdet).subs(values)
    return list(z.subs(values)), point, J.subs(values), total, total


X = sp.symbols("x1:5", real=True)


@claim(mutants=[dict(sign=-1), dict(logdet=1)], needs=("torch",))
def additive_coupling(sign=1, logdet=0):
    r"""`AdditiveCoupling` is $(x_1, x_2 + m(x_1))$ with the inverse $h_2 - m(h_1)$, the triangular Jacobian and ln|det|
    = 0, also by autograd: observed in float64 at three points of $\mathbb R^4$, m a quadratic map without an inverse.
    """
    layer = AdditiveCoupling(Polynomial(shift))
    outputs = [X[0], X[1], *(x + sign * m for x, m in zip(X[2:], shift(X[0], X[1]), strict=True))]

    return Conforms(
        lambda p: tuple(torch.exp(v) if v.ndim == 0 else v for v in _everything(layer, p)),
        lambda p: tuple(sp.exp(v) if isinstance(v, sp.Expr) else v for v in _exactly(outputs, X, logdet, p)),
        POINTS, ulps=8, over="three points",
    )  # fmt: skip


@claim(mutants=[dict(total=lambda s, t: sum(s) + sum(t)), dict(scale=lambda u: u)], needs=("torch",))
def affine_coupling(total=lambda s, t: sum(s), scale=sp.exp):
    r"""`AffineCoupling(scale="exp")` is $(x_1, e^{s(x_1)}\odot x_2 + t(x_1))$ with ln|det| = Σ s and the (2,1) block
    $\mathrm{diag}(x_2)\,\partial e^s/\partial x_1 + \partial t/\partial x_1$, also by autograd: observed in float64 at
    three points of $\mathbb R^4$.
    """
    layer = AffineCoupling(Polynomial(shift_and_scale))
    t1, s1, t2, s2 = shift_and_scale(X[0], X[1])
    outputs = [X[0], X[1], scale(s1) * X[2] + t1, scale(s2) * X[3] + t2]
    logdet = total((s1, s2), (t1, t2))
    return Conforms(
        lambda p: _everything(layer, p), lambda p: _exactly(outputs, X, logdet, p), POINTS, ulps=32,
        over="three points",
    )  # fmt: skip


def gate(r):
    return 1 / (1 + sp.exp(-r - 2))


@claim(mutants=[dict(z=lambda x, t, g: x * g + t), dict(sign=-1)], needs=("torch",))
def glow_coupling_order(z=lambda x, t, g: (x + t) * g, sign=1):
    r"""`AffineCoupling(scale="sigmoid2")` is $(x_2 + t)\odot\sigma(r + 2)$ with the inverse $h_2/\sigma(r+2) - t$ and
    ln|det| = Σ ln σ(r + 2) < 0, also by autograd: observed in float64 at three points of $\mathbb R^4$.
    """
    layer = AffineCoupling(Polynomial(shift_and_scale), "sigmoid2")
    t1, r1, t2, r2 = shift_and_scale(X[0], X[1])
    outputs = [X[0], X[1], z(X[2], t1, gate(r1)), z(X[3], t2, gate(r2))]
    logdet = sign * (sp.log(gate(r1)) + sp.log(gate(r2)))
    return Conforms(
        lambda p: _everything(layer, p), lambda p: _exactly(outputs, X, logdet, p), POINTS, ulps=64,
        over="three points",
    )  # fmt: skip


@claim(mutants=[dict(sign=lambda n: 1)], needs=("torch",))
def composition(sign=lambda n: (-1) ** (n * (n - 1) // 2)):
    r"""`ChannelPermutation.reverse(n)` has logdet 0, and the determinant of its Jacobian is $(-1)^{n(n-1)/2}$; logdets
    of `FlowSequence` add up. By autograd, n = 1..8.
    """

    def facts(n):
        layer = ChannelPermutation.reverse(n)
        x = torch.arange(1.0, n + 1, dtype=torch.float64)
        det = torch.linalg.det(_jacobian(layer, x))
        double = InvConv1x1(n).double()
        double.set_weight(2 * torch.eye(n, dtype=torch.float64))
        stack = FlowSequence(layer, double, layer, ActNorm(n, data_init=False).double())
        total = stack(x[None])[1][0] - torch.linalg.slogdet(_jacobian(stack, x))[1]
        return (int(det), int(layer(x[None])[1]), bool(total.abs() < 1e-12)), (sign(n), 0, True)

    return ForEach(range(1, 9), facts, over="n = 1..8", observed=True)


@claim(mutants=[dict(shears=2)], needs=("torch",))
def no_mixing(shears=3):
    r"""Three additive couplings with alternating roles are the rotation $(a, b) \mapsto (-b, a)$, exactly, at integer
    points; any number with fixed roles leaves a as it was.
    """

    def shear(k, swap):
        net = nn.Linear(1, 1, bias=False).double()
        nn.init.constant_(net.weight, k)
        return AdditiveCoupling(net, swap=swap)

    turn = FlowSequence(*[shear(-1, True), shear(1, False), shear(-1, True)][:shears])
    fixed = FlowSequence(*(shear(k, False) for k in (3, -2, 5)))

    def facts(point):
        a, b = point
        x = torch.tensor([point], dtype=torch.float64)
        return (turn(x)[0][0].int().tolist(), fixed(x)[0][0].int().tolist()), ([-b, a], [a, b + 6 * a])

    return ForEach([(2, 5), (-3, 1), (0, 4)], facts, over="three points", observed=True)


@claim(mutants=[dict(counted=lambda kept: 1), dict(parity=1)], needs=("torch",))
def mask_form(counted=lambda kept: 1 - kept, parity=0):
    r"""`MaskedCoupling` is $b\odot x + (1-b)\odot(x\odot e^{s(b\odot x)} + t(b\odot x))$ with ln|det| = Σ (1 − b)⊙s:
    observed in float64 on a checkerboard of 4 × 2 pixels with two channels; with the channels' mask it is
    `AffineCoupling`.

    s and t are polynomials of the pixel's own channels, which are not 0 where b is 1.
    """

    def messages(a, b):
        t1, s1, t2, s2 = shift_and_scale(a, b)
        return t1 + 1, s1 + 1, t2, s2 - 2

    grid = [[[Fraction((3 * i + 5 * j + 7 * c) % 11 - 5, 4) for j in range(2)] for i in range(4)] for c in range(2)]

    def compute(_):
        layer = MaskedCoupling(Polynomial(messages), scale="exp")
        x = tensor(grid)[None]
        z, logdet = layer(x)
        return z[0], layer.inverse(z)[0], logdet[0]

    def exact(_):
        kept = [[1 - v for v in row] for row in checkerboard_mask(4, 2)]
        if parity:
            kept = [[1 - v for v in row] for row in kept]
        z, total = [[[Fraction(0)] * 2 for _ in range(4)] for _ in range(2)], sp.Integer(0)
        for i in range(4):
            for j in range(2):
                b = kept[i][j]
                t1, s1, t2, s2 = messages(b * grid[0][i][j], b * grid[1][i][j])
                for c, (t, s) in enumerate(((t1, s1), (t2, s2))):
                    t, s, x = (sp.Rational(v.numerator, v.denominator) for v in (t, s, grid[c][i][j]))
                    z[c][i][j] = b * x + (1 - b) * (x * sp.exp(s) + t)
                    total += counted(b) * s
        return z, grid, total

    def halves(point):
        x = tensor(point)[None, :, None, None]
        masked = MaskedCoupling(_Halves(), "channel", parity, scale="exp")
        plain = AffineCoupling(Polynomial(shift_and_scale))
        (z, logdet), (w, other) = masked(x), plain(x)
        return (bool((z - w).abs().max() < 1e-14), bool((logdet - other).abs().max() < 1e-14)), (True, True)

    return (
        Conforms(compute, exact, (0,), ulps=32, over="4 × 2 pixels, two channels"),
        ForEach(POINTS, halves, over="three points", observed=True),
    )


class _Halves(nn.Module):
    """The polynomials of the first half for the second, something else for the first."""

    def forward(self, x):
        t1, s1, t2, s2 = shift_and_scale(x[:, 0], x[:, 1])
        return torch.stack((t2, s2 + 3, t1, s1 - 2, t1, s1, t2, s2), dim=1)


@claim(mutants=[dict(order=lambda index, r, c: index[::-1]), dict(block=1)], needs=("torch",))
def squeeze_is_permutation(order=lambda index, r, c: index, block=0):
    r"""`Squeeze2d` moves entries as `squeeze_index` says, ln|det| = 0, and each output pixel depends on the r × r block
    below it alone: all entries of images up to 6 × 6 × 3, r = 2, 3; the Jacobian by autograd.
    """

    def moved(case):
        height, width, c, r = case
        x = torch.arange(height * width * c).reshape(height, width, c).permute(2, 0, 1)[None].double()
        z, logdet = Squeeze2d(r)(x)
        index = order(squeeze_index(height, width, c, r), r, c)
        return (z[0].permute(1, 2, 0).flatten().int().tolist(), int(logdet)), (index, 0)

    def local(case):
        height, width, c, r = case
        x = torch.randn(c, height, width, dtype=torch.float64)
        J = _jacobian(Squeeze2d(r), x).reshape(r * r * c, height // r, width // r, c, height, width)
        sums = J.reshape(x.numel(), x.numel())
        units = bool((sums.sum(0) == 1).all() and (sums.sum(1) == 1).all() and ((sums == 0) | (sums == 1)).all())
        reached = {
            (i, j): {(y // r, z // r) for y, z in J[:, i, j].abs().sum((0, 1)).nonzero().tolist()}
            for i in range(height // r)
            for j in range(width // r)
        }
        return (units, reached), (True, {(i, j): {(i + block * (height > r), j)} for i, j in reached})

    cases = [(2, 4, 1, 2), (4, 2, 3, 2), (6, 6, 2, 2), (6, 3, 2, 3)]
    return (ForEach(cases, moved, over="four sizes", observed=True), ForEach(cases, local, observed=True))


@claim(mutants=[dict(pattern=(0, 1, 0, 1))], needs=("torch",))
def checkerboard_equals_channel_mask(pattern=(0, 1, 1, 0)):
    r"""What `MaskedCoupling` changes on a checkerboard is, squeezed, the channels (0, 1, 1, 0), at every pixel."""

    class One(nn.Module):
        def forward(self, x):
            return torch.stack((torch.ones_like(x), torch.zeros_like(x)), dim=2).flatten(1, 2)

    def facts(case):
        channels, side = case
        x = torch.zeros(1, channels, side, side, dtype=torch.float64)
        changed = MaskedCoupling(One(), scale="exp")(x)[0]
        z = Squeeze2d()(changed)[0][0].int()
        return [sorted(set(row.flatten().tolist())) for row in z], [[p] for p in pattern] * channels

    return ForEach([(1, 2), (1, 6), (3, 4)], facts, over="three sizes", observed=True)


@claim(mutants=[dict(power=lambda pixels: 1)], needs=("torch",))
def conv1x1_logdet(power=lambda pixels: pixels):
    r"""`InvConv1x1`, plain and as PLU, has ln|det| = hw ln|det W|, also by autograd on the whole map, and its inverse
    undoes it: observed in float64 for three integer matrices on maps of 1 × 1, 2 × 3 pixels.
    """

    def compute(case):
        W, (height, width), lu = case
        layer = InvConv1x1(3, lu=lu).double()
        layer.set_weight(tensor(W))
        x = torch.arange(3 * height * width, dtype=torch.float64).reshape(3, height, width) - 4
        z, logdet = layer(x[None])
        return logdet[0], torch.linalg.slogdet(_jacobian(layer, x))[1], layer.inverse(z)[0]

    def exact(case):
        W, (height, width), _ = case
        value = power(height * width) * sp.log(sp.Abs(sp.Matrix(W).det()))
        x = [[[c * height * width + i * width + j - 4 for j in range(width)] for i in range(height)] for c in range(3)]
        return value, value, x

    cases = [(W, size, lu) for W in MATRICES for size in ((1, 1), (2, 3)) for lu in (False, True)]
    return Conforms(compute, exact, cases, ulps=64, over="three matrices, two sizes, both forms")


@claim(mutants=[dict(term=lambda s: s), dict(transposed=True)], needs=("torch",))
def plu_logdet(term=lambda s: sp.log(sp.Abs(s)), transposed=False):
    r"""`InvConv1x1(lu=True)` holds the exact factors P, L, U of W, and ln|det W| = Σ ln|s|: observed in float64 for
    three integer matrices.
    """

    def compute(W):
        layer = InvConv1x1(3, lu=True).double()
        layer.set_weight(tensor(W))
        order, L, U = layer.factors()
        P = torch.eye(3, dtype=torch.float64)[order]
        return P, L, U, layer.weight(), layer.log_abs_det()

    def exact(W):
        P, L, U = plu(W)
        if transposed:
            P = [list(row) for row in zip(*P, strict=True)]
        return P, L, U, W, sum(term(sp.Rational(U[i][i].numerator, U[i][i].denominator)) for i in range(3))

    return Conforms(compute, exact, [*MATRICES, [[0, 1, 0], [0, 0, 1], [1, 0, 0]]], ulps=16, over="four matrices")


@claim(mutants=[dict(lu=False)], needs=("torch",))
def plu_reach(lu=True):
    r"""Whatever the parameters of `InvConv1x1(4, lu=True)` are, the signs of the leading minors of $P^\top W$ are those
    it started with: 40 random settings in float64.
    """

    def facts(seed):
        torch.manual_seed(seed)
        layer = InvConv1x1(4, lu=lu).double()
        rows = layer.order.argsort() if lu else torch.arange(4)

        def signs():
            W = layer.weight().detach()[rows]
            return [int(torch.linalg.slogdet(W[:k, :k])[0]) for k in range(1, 5)]

        before = signs()
        with torch.no_grad():
            layer.kernel.normal_()
        return signs(), before

    return ForEach(range(40), facts, over="40 seeds", observed=True)


@claim(mutants=[dict(scale=2)], needs=("torch",))
def orthogonal_init(scale=1):
    r"""`InvConv1x1` starts orthogonal, with |ln|det W|| < 10⁻⁵ in float32, in both forms: c = 4, 12, 48."""

    def facts(case):
        c, lu = case
        torch.manual_seed(c)
        W = scale * InvConv1x1(c, lu=lu).weight().detach()
        close = (W @ W.mT - torch.eye(c)).abs().max() < 1e-5
        return (bool(close), bool(torch.linalg.slogdet(W)[1].abs() < 1e-5)), (True, True)

    return ForEach([(c, lu) for c in (4, 12, 48) for lu in (False, True)], facts, observed=True)


@claim(mutants=[dict(last=309), dict(size=399)], needs=("torch",))
def det_overflow(last=308, size=400):
    r"""`torch.linalg.det(10·I_c)` is finite up to c = 308; `InvConv1x1.log_abs_det` gives 400 ln 10 at c = 400, in both
    forms.
    """

    def finite(c):
        return bool(torch.linalg.det(10 * torch.eye(c, dtype=torch.float64)).isfinite()), c <= last

    def compute(lu):
        layer = InvConv1x1(400, lu=lu).double()
        layer.set_weight(10 * torch.eye(400, dtype=torch.float64))
        return layer.log_abs_det()

    return (
        ForEach((307, 308, 309, 400), finite, over="four sizes", observed=True),
        Conforms(compute, lambda lu: size * sp.log(10), (False, True), ulps=400, over="c = 400"),
    )


BATCH = [[[[1, 3], [5, -1]], [[0, 2], [2, 0]]], [[[7, 2], [-4, 3]], [[8, -3], [1, 6]]]]  # (2, 2, 2, 2)


def _moments():
    """Mean and variance of each channel of BATCH."""
    values = [[Fraction(v) for image in BATCH for row in image[c] for v in row] for c in range(2)]
    means = [sum(v) / 8 for v in values]
    return means, [sum((x - m) ** 2 for x in v) / 8 for v, m in zip(values, means, strict=True)]


def _root(q):
    return sp.sqrt(sp.Rational(q.numerator, q.denominator))


def _normalised(means, roots):
    return [[[[(v - means[c]) / roots[c] for v in row] for row in image[c]] for c in range(2)] for image in BATCH]


@claim(mutants=[dict(pixels=1), dict(sign=1)], needs=("torch",))
def actnorm_ddi(pixels=4, sign=-1):
    r"""The first training batch leaves `ActNorm` with mean 0 and second moment 1, $z = (x + b)s$ with b = −mean, $s =
    1/\sqrt{\overline{(x+b)^2}}$, logdet = hw Σ ln s, by itself and by `initialize`: observed in float64.
    """

    def compute(explicit):
        layer, x = ActNorm(2).double(), tensor(BATCH)
        if explicit:
            layer.initialize(x)
            layer.eval()
        z, logdet = layer(x)
        return z, logdet[0], z.mean((0, 2, 3)) + 1, z.square().mean((0, 2, 3)), layer.inverse(z)

    def exact(_):
        means, variances = _moments()
        roots = [_root(v) for v in variances]
        z = _normalised([-sign * sp.Rational(m.numerator, m.denominator) for m in means], roots)
        return z, -pixels * sum(sp.log(r) for r in roots), [1, 1], [1, 1], BATCH

    return Conforms(compute, exact, (False, True), ulps=16, over="by the first batch and explicitly")


@claim(mutants=[dict(half=1), dict(pixels=1)], needs=("torch",))
def batchnorm_flow(half=Fraction(1, 2), pixels=4):
    r"""`BatchNormFlow` is $(x-\mu)/\sqrt{\sigma^2+\epsilon}$ with logdet $-\tfrac12 hw\sum\ln(\sigma^2+\epsilon)$, in
    training and, with ρ = 0, in evaluation after it: observed in float64, ε = 1/4.
    """

    def compute(evaluated):
        layer, x = BatchNormFlow(2, momentum=0.0, eps=0.25).double(), tensor(BATCH)
        z, logdet = layer(x)
        if evaluated:
            z, logdet = layer.eval()(x)
        return z, logdet[1], layer.inverse(z)

    def exact(_):
        means, variances = _moments()
        widened = [sp.Rational(v.numerator, v.denominator) + sp.Rational(1, 4) for v in variances]
        total = -sp.Rational(half) * pixels * sum(sp.log(v) for v in widened)
        return _normalised(means, [sp.sqrt(v) for v in widened]), total, BATCH

    return Conforms(compute, exact, (False, True), ulps=16, over="training and evaluation")


@claim(mutants=[dict(scale=sp.Integer(1)), dict(scale=1 / (1 + sp.exp(-1)))], needs=("torch",))
def zero_init_not_identity(scale=1 / (1 + sp.exp(-2))):
    r"""A fresh affine coupling of `GlowStep` multiplies the second half by σ(2) = 0.8808, ln|det| = ln σ(2) = −0.1269
    for each of its entries; a fresh additive one is the identity, exactly. Observed in float64, 4 channels, 2 × 2
    pixels.
    """
    x = [[[c - i, 2 * j + c] for i, j in ((0, 1), (1, 2))] for c in range(4)]

    def compute(kind):
        torch.manual_seed(0)
        config = GlowConfig(image_size=4, channels=1, num_levels=1, num_steps=1, width=6, coupling=kind)
        coupling = GlowStep(4, config).layers[2].double()
        z, logdet = coupling(tensor(x)[None].expand(2, -1, -1, -1) * tensor([1, 2])[:, None, None, None])
        return z[0], 1 + logdet[0]

    def exact(kind):
        by = scale if kind == "affine" else sp.Integer(1)
        z = [[[v * (by if c > 1 else 1) for v in row] for row in x[c]] for c in range(4)]
        return z, 1 + 8 * sp.log(by)

    return Conforms(compute, exact, ("affine", "additive"), ulps=16, over="both couplings")


@claim(mutants=[dict(share=lambda alpha: 1 - 2 * alpha)], needs=("torch",))
def realnvp_logit(share=lambda alpha: 1 - alpha):
    r"""`LogitTransform` is logit(α + (1 − α)y) with the log-derivative ln[(1 − α)/(v(1 − v))], v = α + (1 − α)y, also
    by autograd, and its inverse undoes it: observed in float64 for α = 1/16 and five y in [0, 1).
    """
    y = [Fraction(0), Fraction(1, 256), Fraction(1, 2), Fraction(200, 256), Fraction(255, 256)]

    def compute(_):
        layer, x = LogitTransform(0.0625), tensor(y)[:, None].requires_grad_()
        z, logdet = layer(x)
        (slope,) = torch.autograd.grad(z.sum(), x)
        return z[:, 0], logdet, slope[:, 0].log(), layer.inverse(z)[:, 0]

    def exact(_):
        alpha = sp.Rational(1, 16)
        v = [alpha + (1 - alpha) * sp.Rational(u.numerator, u.denominator) for u in y]
        slope = [sp.log(share(alpha) / (w * (1 - w))) for w in v]
        return [sp.log(w / (1 - w)) for w in v], slope, slope, y

    return Conforms(compute, exact, (0,), ulps=16, over="five values")


@claim(mutants=[dict(sign=1), dict(power=-1)], needs=("torch",))
def conditional_prior_equals_condactnorm(sign=-1, power=1):
    r"""ln N(ε; 0, 1) plus the logdet of `Split2d` is $\ln N(z_2; \mu(z_1), e^{2l(z_1)})$; the logdet is $-\sum l$, also
    by autograd: observed in float64 at three points of $\mathbb R^4$.
    """
    layer = Split2d(Polynomial(shift_and_scale))

    def compute(p):
        x = tensor(p)
        (z1, eps), logdet = layer(x[None])
        J = torch.autograd.functional.jacobian(lambda v: torch.cat(layer(v[None])[0], 1)[0], x)
        normal = -(eps.square() / 2).sum() - torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64)) + logdet[0]
        return normal, logdet[0], torch.linalg.slogdet(J)[1], layer.inverse((z1, eps))[0]

    def exact(p):
        a, b, *rest = (sp.Rational(v.numerator, v.denominator) for v in p)
        t1, l1, t2, l2 = shift_and_scale(a, b)
        pairs = list(zip(rest, (t1, t2), (l1, l2), strict=True))
        density = sum(-((z - m) ** 2) * sp.exp(-2 * power * l) / 2 - sp.log(2 * sp.pi) / 2 - l for z, m, l in pairs)
        return density, sign * (l1 + l2), sign * (l1 + l2), p

    return Conforms(compute, exact, POINTS, ulps=64, over="three points")


@claim(mutants=[dict(last=lambda levels: 2**levels)], needs=("torch",))
def shape_bookkeeping(last=lambda levels: 2 ** (levels + 1)):
    r"""The ε of `Glow` have the shapes $(2^ic, h/2^i, w/2^i)$, the last $(2^{L+1}c, h/2^L, w/2^L)$, as declared and as
    encoded: L = 1, 2, 3, and CIFAR-10's 16×16×6 + 8×8×12 + 4×4×48 = 3072.
    """

    def facts(case):
        size, channels, levels = case
        config = GlowConfig(image_size=size, channels=channels, num_levels=levels, num_steps=1, width=2)
        with torch.device("meta"):
            model = Glow(config.replace(data_init=False)).eval()
            eps = model(torch.empty(1, channels, size, size))[0]
        shapes = [(c, h, w) for h, w, c in multiscale_shapes(size, size, channels, levels)]
        stated = [*shapes[:-1], (last(levels) * channels, *shapes[-1][1:])]
        total = sum(e.numel() for e in eps)
        return (model.latent_shapes, [tuple(e.shape[1:]) for e in eps], total), (stated, stated, channels * size**2)

    return ForEach([(8, 1, 1), (8, 3, 2), (16, 2, 3), (32, 3, 3)], facts, over="four sizes", observed=True)


@claim(mutants=[dict(formula=lambda D, k, n, h: 4 * 5 * 1000**2 + D), dict(biases=False)], needs=("torch",))
def nice_parameter_count(formula=nice_parameters, biases=True):
    r"""`NICE` has as many parameters as `nice_parameters` says, and D scales: 19 157 568 + 784 for the article's sizes;
    counted for these and two others.
    """

    def build(case):
        size, couplings, width, hidden = case
        config = NICEConfig(image_size=size, num_couplings=couplings, width=width, hidden=hidden)
        with torch.device("meta"):
            return NICE(config), ()

    def params(case):
        size, couplings, width, hidden = case
        total = formula(size**2, couplings, width, hidden) + (0 if formula is not nice_parameters else size**2)
        return total - (0 if biases else couplings * (hidden * width + size**2 // 2))

    cases = [(28, 4, 1000, 5), (8, 1, 7, 1), (4, 3, 5, 2)]
    return Costs(build, cases, params=params, over="the article's sizes and two others")


def _steps(size, channels, coupling="affine", levels=3, steps=32, width=512):
    """The steps of each level, on the meta device and without the indicator of the padding, and what enters them."""
    config = GlowConfig(
        image_size=size, channels=channels, num_levels=levels, num_steps=steps, width=width, coupling=coupling,
        edge_bias=False, data_init=False,
    )  # fmt: skip
    with torch.device("meta"):
        model = Glow(config)
        x = [torch.empty(1, 2 ** (i + 2) * channels, size >> (i + 1), size >> (i + 1)) for i in range(levels)]
    return [(nn.ModuleList(model._level(i)), x[i]) for i in range(levels)]


def _through(steps):
    def run(x):
        for step in steps:
            x = step(x)[0]
        return x

    return run


@claim(mutants=[dict(halved=True), dict(levels=(2828140544, 877789184, 305266720))], needs=("torch",))
def mac_count(halved=False, levels=(2828140544, 877789184, 305266688)):
    r"""The 32 steps at each level of `Glow`'s CIFAR-10 model (without the padding's indicator) take 2 828 140 544, 877
    789 184 and 305 266 688 multiply-adds an image; one step takes $hw(9\tfrac c2n + n^2 + 9nc + c^2)$.

    Counted on one step of each level, and of three other sizes.
    """

    def build(level):
        steps, x = _steps(32, 3, steps=1)[level]
        return _through(steps), (x,)

    def one(case):
        size, channels, width = case
        steps, x = _steps(size, channels, levels=1, steps=1, width=width)[0]
        return _through(steps), (x,)

    def formula(case):
        size, channels, width = case
        c = 4 * channels
        missing = 9 * width * (c if halved else 0) // 2 * (size // 2) ** 2
        return 2 * (glow_macs(size, size, channels, 1, 1, width)[0] - missing)

    return (
        Costs(build, (0, 1, 2), flops=lambda level: levels[level] // 16, over="the levels of CIFAR-10"),
        Costs(one, ((4, 1, 8), (8, 3, 32), (16, 2, 5)), flops=formula, over="one step of three sizes"),
    )


@claim(mutants=[dict(ratio=Fraction(2)), dict(outputs=2)], needs=("torch",))
def affine_cost_ratio(ratio=Fraction(345232, 317584), outputs=1):
    r"""A `GlowStep` at c = 12, n = 512 takes 345 232/317 584 = 1.087 times the multiply-adds when it is affine instead
    of additive, as counted; the models have 44 603 604 and 38 395 668 parameters.
    """

    def counted(coupling):
        steps, x = _steps(4, 3, coupling, levels=1, steps=1)[0]
        with FlopCounterMode(display=False) as counter:
            _through(steps)(x)
        return counter.get_total_flops()

    def parameters(coupling):
        with torch.device("meta"):
            return Glow(GlowConfig(coupling=coupling)).num_parameters()

    return (
        ForEach([0], lambda _: (Fraction(counted("affine"), counted("additive")), ratio), over="c = 12, n = 512"),
        ForEach(
            ["affine", "additive"],
            lambda kind: (parameters(kind), outputs * glow_parameters(3, 3, 32, 512, kind)),
            over="both couplings",
        ),
    )


def _tiny(steps, coupling="affine", levels=1, spread=0.1, **options):
    """A Glow in float64 whose parameters are away from their start."""
    torch.manual_seed(steps)
    config = GlowConfig(
        image_size=4, channels=1, num_levels=levels, num_steps=steps, width=8, coupling=coupling, data_init=False,
        **options,
    )  # fmt: skip
    model = Glow(config).double()
    with torch.no_grad():
        for p in model.parameters():
            p += spread * torch.randn_like(p)
    return model


@claim(mutants=[dict(reversible=False), dict(power=2)], needs=("torch",))
def reversible_memory(reversible=True, power=1):
    r"""With `reversible` the gradients of all parameters are those of the plain pass (relative error < 10⁻⁹ in
    float64), and as many numbers are kept for the backward pass at K = 2 steps as at K = 5 or 9.

    Kept numbers: those of batch size that autograd saves, each storage once. The loss is the mean of bits/dim to the
    power 1 on the one side (mutant: 2). Mutant: the plain pass on both sides.
    """

    def kept(model, y):
        seen: dict[int, int] = {}

        def pack(t):
            if t.shape[:1] == (7,):
                seen[t.untyped_storage().data_ptr()] = t.numel()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = model.log_prob(y)
        del loss
        return sum(seen.values())

    def facts(steps):
        y = torch.rand(7, 1, 4, 4, dtype=torch.float64)
        plain, frugal = _tiny(steps), _tiny(steps, reversible=reversible)
        gradients = []
        for model, exponent in ((plain, 1), (frugal, power)):
            loss = model.log_prob(y).mean() ** exponent
            gradients.append(torch.autograd.grad(loss, list(model.parameters())))
        largest = max(g.abs().max() for g in gradients[0])
        close = all(bool((a - b).abs().max() < 1e-9 * largest) for a, b in zip(*gradients, strict=True))
        fewer = kept(frugal, y) == kept(_tiny(2, reversible=True), y)
        return (close, fewer), (True, True)

    return ForEach((2, 5, 9), facts, over="K = 2, 5, 9", observed=True)


@claim(mutants=[dict(conjugate=False)], needs=("torch",))
def swap_equals_reverse(conjugate=True):
    r"""`AdditiveCoupling(m, swap=True)` is reverse ∘ `AdditiveCoupling(m')` ∘ reverse with m'(u) = rev m(rev u), bit
    for bit, D = 4, 6, 10; an interleaved split is a split of halves after a fixed permutation.
    """

    def facts(D):
        torch.manual_seed(D)
        net = NiceNet(D // 2, 7, 2, output_relu=False).double()

        class Conjugate(nn.Module):
            def forward(self, u):
                return net(u.flip(1)).flip(1)

        class Aligned(nn.Module):  # one layout for matrix products, so that they round alike
            def forward(self, u):
                return net(u.contiguous())

        reverse = ChannelPermutation.reverse(D)
        other = FlowSequence(reverse, AdditiveCoupling(Conjugate() if conjugate else Aligned()), reverse)
        evens_first = ChannelPermutation([*range(0, D, 2), *range(1, D, 2)])
        x = torch.randn(5, D, dtype=torch.float64)
        swapped = torch.equal(AdditiveCoupling(Aligned(), swap=True)(x)[0], other(x)[0])
        halves = evens_first.inverse(AdditiveCoupling(Aligned())(evens_first(x)[0])[0])
        return (swapped, torch.equal(AdditiveCoupling(Aligned(), "interleaved")(x)[0], halves)), (True, True)

    return ForEach((4, 6, 10), facts, over="D = 4, 6, 10", observed=True)


@claim(mutants=[dict(orthogonal=False)], needs=("torch",))
def nonlinear_ica_not_identifiable(orthogonal=True):
    r"""For a random orthogonal O the flow O∘f has the density of f, although its coordinates are others: `Glow` with a
    rotation of all ε, log-densities equal within $10^{-12}$, three seeds.
    """

    def facts(seed):
        model = _tiny(2 + seed, levels=2)
        y = torch.rand(3, 1, 4, 4, dtype=torch.float64)
        eps, logdet = model(y)
        z = torch.cat([e.flatten(1) for e in eps], dim=1)
        rotation = InvConv1x1(z.shape[1]).double()
        O = torch.randn(z.shape[1], z.shape[1], dtype=torch.float64)
        rotation.set_weight(torch.linalg.qr(O)[0] if orthogonal else O)
        turned, more = rotation(z)
        density = torch.distributions.Normal(0, 1).log_prob(turned).sum(1) + logdet + more
        difference = (density - model.log_prob(y)).abs().max()
        return (bool(difference < 1e-12), bool((turned - z).abs().max() > 0.1)), (True, True)

    return ForEach(range(3), facts, over="three seeds", observed=True)


@claim(mutants=[dict(local=False)], needs=("torch",))
def channel_ops_keep_locality(local=True):
    r"""1×1 convolutions, permutations and splits of channels commute with `torch.roll` in both directions, bit for bit;
    a random permutation of all entries does not.
    """

    def facts(seed):
        torch.manual_seed(seed)
        x = torch.randint(-9, 10, (2, 4, 5, 6)).double()  # with W of integers no sum is rounded
        everything = ChannelPermutation.shuffle(4 * 5 * 6)
        mix = InvConv1x1(4).double()
        mix.set_weight(tensor([[2, 1, 0, 3], [0, -1, 4, 1], [5, 0, 1, 2], [1, 1, 0, -2]]))
        layers = [
            mix,
            ChannelPermutation.shuffle(4) if local else everything,
            AdditiveCoupling(Polynomial(shift)),
        ]

        def apply(layer, v):
            if layer is everything:
                return layer(v.flatten(1))[0].reshape(v.shape)
            return layer(v)[0]

        def rolled(v):
            return v.roll((1 + seed, 2), (2, 3))

        equal = [torch.equal(apply(f, rolled(x)), rolled(apply(f, x))) for f in layers]
        halves = torch.equal(Split2d(None)(rolled(x))[0][1], rolled(Split2d(None)(x)[0][1]))
        return [*equal, halves], [True] * 4

    return ForEach(range(3), facts, over="three seeds", observed=True)


@claim(mutants=[dict(offset=0), dict(base=sp.E)], needs=("torch",))
def bits_per_dim(offset=1, base=2):
    r"""`bits_per_dim` is −ln q(y)/(D ln 2) + b with y = (v + u)/2^b: observed in float64 for `Glow` with b = 8, 5, 1,
    from the log-density that the model gives.
    """

    def images(bits):
        torch.manual_seed(bits)
        model = _tiny(2, n_bits=bits)
        batch = {k: v.double() for k, v in model.example(2).items()}
        return model, batch["images"], batch["noise"]

    def compute(bits):
        model, pictures, noise = images(bits)
        return model.bits_per_dim(pictures, noise)

    def exact(bits):
        model, pictures, noise = images(bits)
        y = dequantise(pictures, 256, 2**bits, noise)
        found = []
        for nats in fractions(model.log_prob(y).detach()):
            value = bits_per_dimension(nats, 16, 0) * sp.log(2) / sp.log(base)
            found.append(value + offset * bits)
        return found

    return Conforms(compute, exact, (8, 5, 1), ulps=8, over="b = 8, 5, 1")


@claim(mutants=[dict(output_relu=False)], needs=("torch",))
def relu_sign_trick(output_relu=True):
    r"""In `NICE` with a ReLU at the networks' ends the generator only adds: each coupling's inverse has $x_2 \ge h_2$
    and, somewhere, $x_2 > h_2$, at 64 random points for three seeds.
    """

    def facts(seed):
        torch.manual_seed(seed)
        config = NICEConfig(image_size=4, width=16, hidden=1, num_couplings=2, output_relu=output_relu)
        more = []
        blocks: list[Any] = list(NICE(config).double().blocks)
        for block in blocks:
            coupling = block.layers[1]
            h = torch.randn(64, 16, dtype=torch.float64)
            gain = (coupling.inverse(h) - h)[:, 1::2]
            more.append((bool((gain >= 0).all()), bool((gain > 0).any())))
        return more, [(True, True)] * 2

    return ForEach(range(3), facts, over="three seeds", observed=True)
