"""Multiply-adds and parameters of Glow and NICE."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy as sp
from sympy import And, Eq, Equivalent, Rational

from kexue import Counts, ForAll, ForEach, Identity, claim, erratum

from .._arguments import whole_number
from .common import t
from .multiscale import multiscale_shapes

COUPLINGS = ("affine", "additive")


def _outputs(channels: int, coupling: str) -> int:
    """Outputs of a coupling's network: shift and scale, or shift alone, for half of the channels."""
    return channels if coupling == "affine" else channels // 2


def _checked(channels: int, levels: int, steps: int, hidden: int, coupling: str) -> None:
    for name, value in (("channels", channels), ("levels", levels), ("steps", steps), ("hidden", hidden)):
        whole_number(name, value, 1)
    if coupling not in COUPLINGS:
        raise ValueError(f"coupling must be one of {', '.join(COUPLINGS)}, got {coupling!r}")


def glow_macs(
    height: int,
    width: int,
    channels: int,
    levels: int,
    steps: int,
    hidden: int,
    coupling: str = "affine",
    split: bool = True,
) -> list[int]:
    """Multiply-adds of one image's steps at each level of Glow; padded borders count as if they were pixels.

    A step at c channels has a 1×1 convolution (c²) and a network of three: 3×3 from c/2 to `hidden`, 1×1, and 3×3 to
    its outputs. Actnorm and the conditional priors are left out.

    Args:
        height, width, channels: the image; sides are multiples of 2^levels.
        levels, steps, hidden: L, K and the width of the networks.
        coupling: "affine" or "additive".
        split: whether half of the channels leave after each level but the last.

    Raises:
        ValueError: for sizes below 1, sides that 2^levels doesn't divide, or another coupling.
    """
    _checked(channels, levels, steps, hidden, coupling)
    multiscale_shapes(height, width, channels, levels)
    out = []
    for _ in range(levels):
        height, width, channels = height // 2, width // 2, 4 * channels
        net = 9 * (channels // 2) * hidden + hidden**2 + 9 * hidden * _outputs(channels, coupling)
        out.append(steps * height * width * (net + channels**2))
        if split:
            channels //= 2
    return out


def glow_parameters(
    channels: int, levels: int, steps: int, hidden: int, coupling: str = "affine", edge: bool = True
) -> int:
    """Trainable parameters of Glow in the layout of its official code, with plain 1×1 convolutions.

    A step at c channels: actnorm 2c, W c², networks 3×3, 1×1, 3×3 whose first two convolutions have an actnorm (2
    `hidden` each) instead of a bias, the last a bias and a log-scale for each output. A split adds one 3×3 convolution
    from c/2 to c channels of this kind, and the learned prior on top one from 2c to 2c.

    Args:
        channels: channels of the image.
        levels, steps, hidden: L, K and the width of the networks.
        coupling: "affine" or "additive".
        edge: whether each 3×3 convolution sees one channel more, which marks padded pixels.

    Raises:
        ValueError: for sizes below 1 or another coupling.
    """
    _checked(channels, levels, steps, hidden, coupling)

    def zero_convolution(inputs: int, outputs: int) -> int:
        return 9 * (inputs + edge) * outputs + 2 * outputs

    total = 0
    for level in range(1, levels + 1):
        channels *= 4
        network = 9 * (channels // 2 + edge) * hidden + 2 * hidden + hidden**2 + 2 * hidden
        network += zero_convolution(hidden, _outputs(channels, coupling))
        total += steps * (2 * channels + channels**2 + network)
        if level < levels:
            total += zero_convolution(channels // 2, channels)
            channels //= 2
    return total + zero_convolution(2 * channels, 2 * channels)


def nice_parameters(dimensions: int, couplings: int, hidden: int, layers: int) -> int:
    """Parameters of NICE's networks (the scale layer adds `dimensions`): each has `layers` hidden layers.

    Args:
        dimensions: D, even; a network maps D/2 values to D/2.
        couplings, hidden, layers: couplings, width and hidden layers of each network.

    Raises:
        ValueError: for sizes below 1 or odd dimensions.
    """
    sizes = (("dimensions", dimensions), ("couplings", couplings), ("hidden", hidden), ("layers", layers))
    for name, value in sizes:
        whole_number(name, value, 1)
    if dimensions % 2:
        raise ValueError(f"dimensions must be even: the split needs two halves, got {dimensions}")
    half = dimensions // 2
    return couplings * (half * hidden + hidden + (layers - 1) * (hidden**2 + hidden) + hidden * half + half)


CIFAR = (32, 32, 3, 3, 32, 512)


def _convolution(image: list[list[list[Any]]], side: int, outputs: int, scalar: Any) -> list[list[list[Any]]]:
    """A dense side×side convolution with zero padding, written as loops."""
    rows, columns, inputs = len(image), len(image[0]), len(image[0][0])
    reach = side // 2
    zero = [scalar(0)] * inputs
    out = []
    for i in range(rows):
        line = []
        for j in range(columns):
            pixel = []
            for o in range(outputs):
                total = scalar(0)
                for dy in range(-reach, reach + 1):
                    for dx in range(-reach, reach + 1):
                        inside = 0 <= i + dy < rows and 0 <= j + dx < columns
                        for k, value in enumerate(image[i + dy][j + dx] if inside else zero):
                            total = total + value * scalar(1 + (o + k + dy + dx) % 3)
                pixel.append(total)
            line.append(pixel)
        out.append(line)
    return out


@claim(
    mutants=[
        dict(step=lambda c, width: 9 * (c // 2) * width + width**2 + 9 * width * (c // 2) + c**2),
        dict(levels=(2828140544, 877789184, 305266687)),
        dict(whole=2 * 4011196416),
    ]
)
def mac_count(
    step=lambda c, width: 9 * (c // 2) * width + width**2 + 9 * width * c + c**2,
    levels=(2828140544, 877789184, 305266688),
    whole=4881776640,
):
    r"""One affine Glow step takes $hw(9\tfrac c2n + n^2 + 9nc + c^2)$ multiply-adds at h×w pixels, c channels, networks
    of width n. CIFAR-10 (32 steps at each of 3 levels, n = 512): 2 828 140 544 + 877 789 184 + 305 266 688 = 4 011 196
    416. Without splitting 4 881 776 640, 1.217 times as much.

    Counted by instrumented loops for small h, w, c, n (padded borders included; ReLU, actnorm and the affine map
    aside), then the sums. The articles' "halves the size at each step" thus saves 18 % here, since n² dominates.
    Mutants: c/2 outputs; another third level; twice the cost without splitting.
    """

    def run(case: tuple[int, int, int, int], scalar: Any) -> None:
        height, breadth, c, hidden = case
        image = [[[scalar(1 + k) for k in range(c)] for _ in range(breadth)] for _ in range(height)]
        mixed = _convolution(image, 1, c, scalar)
        half = [[pixel[: c // 2] for pixel in row] for row in mixed]
        first = _convolution(half, 3, hidden, scalar)
        _convolution(_convolution(first, 1, hidden, scalar), 3, c, scalar)

    def formula(case: tuple[int, int, int, int]) -> int:
        height, breadth, c, hidden = case
        return height * breadth * step(c, hidden)

    def totals(shape: tuple[int, ...]) -> tuple[Any, Any]:
        found, flat = glow_macs(*shape), sum(glow_macs(*shape, split=False))
        ratio = Fraction(flat, sum(found))
        between = Fraction(1217, 1000) < ratio < Fraction(1218, 1000)
        return (found, sum(found), flat, between), (list(levels), 4011196416, whole, True)

    def one_step(case: tuple[int, int, int, int]) -> tuple[int, int]:
        height, breadth, c, hidden = case
        return glow_macs(2 * height, 2 * breadth, c, 1, 1, hidden)[0], height * breadth * step(4 * c, hidden)

    return (
        Counts(run, [(1, 1, 2, 3), (2, 3, 2, 2), (2, 2, 4, 3)], {"mul": formula, "add": formula}),
        ForEach([CIFAR], totals, over="CIFAR-10"),
        ForEach([(1, 1, 2, 3), (2, 3, 2, 2), (8, 8, 12, 64)], one_step, over="one step"),
    )


@erratum(
    printed=dict(ratio=lambda t: sp.Integer(2), totals=(2 * 3614834688, 3614834688)),
    mutants=[dict(most=Rational(7, 5)), dict(best=2), dict(parameters=(44603604, 44603604))],
)
def affine_cost_ratio(
    ratio=lambda t: (t**2 + 27 * t / 2 + 1) / (t**2 + 9 * t + 1),
    most=Rational(31, 22),
    best=1,
    totals=(4011196416, 3614834688),
    parameters=(44603604, 38395668),
):
    r"""In Glow's network an affine coupling doubles the outputs of the last convolution only: a step costs $(t^2 +
    \tfrac{27}2t + 1)/(t^2 + 9t + 1)$ times the additive one, t = n/c, at most 31/22 ≈ 1.41 (at n = c). CIFAR-10: 4 011
    196 416 / 3 614 834 688 = 1.1096.

    The article says that it doubles the cost; that needs separate networks for s and t. For all c, n > 0. One step at c
    = 12, n = 512: 345 232 / 317 584. Parameters of the official layout: 44 603 604 against 38 395 668. Mutants: at most
    7/5; attained at n = 2c; equal parameters.
    """
    c, width = sp.symbols("c n", real=True)
    affine = 9 * c / 2 * width + width**2 + 9 * width * c + c**2
    additive = 9 * c / 2 * width + width**2 + 9 * width * c / 2 + c**2
    exact = (t**2 + 27 * t / 2 + 1) / (t**2 + 9 * t + 1)

    def models(shape: tuple[int, ...]) -> tuple[Any, Any]:
        whole = tuple(sum(glow_macs(*shape, kind)) for kind in COUPLINGS)
        step = tuple(glow_macs(2, 2, 3, 1, 1, 512, kind)[0] for kind in COUPLINGS)
        return (whole, step), (totals, (345232, 317584))

    return (
        Identity((affine / additive).subs(width, t * c), ratio(t), [c > 0, t > 0]),
        ForAll(And(exact <= most, Equivalent(Eq(exact, most), Eq(t, best))), [t > 0]),
        ForEach([CIFAR], models, over="CIFAR-10"),
        ForEach([CIFAR[2:]], lambda s: (tuple(glow_parameters(*s, k) for k in COUPLINGS), parameters), over="CIFAR-10"),
    )


@claim(mutants=[dict(total=2 * 10**7)])
def nice_parameter_count(total=19_157_568):
    r"""The NICE of the article, 4 couplings 392 → 1000⁵ → 392 with biases, has 19 157 568 parameters, and 784 scales;
    its estimate 4·5·1000² = 2·10⁷ counts five square layers and no ends, 4.4 % more.

    The function against the list of all weight matrices and biases. Mutant: 2·10⁷.
    """
    sizes = [392, *[1000] * 5, 392]

    def count(shape: tuple[int, int, int, int]) -> tuple[Any, Any]:
        weights = 4 * sum((p + 1) * q for p, q in pairwise(sizes))
        excess = Fraction(4 * 5 * 1000**2, weights) - 1
        near = Fraction(43, 1000) < excess < Fraction(45, 1000)
        return (nice_parameters(*shape), weights, near), (total, total, True)

    return ForEach([(784, 4, 1000, 5)], count, over="the article's sizes")
