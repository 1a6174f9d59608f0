"""HiPPO in torch: every fast form against its plain reference, streams, gradients, SciPy, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy import signal  # noqa: E402

from kexue.models import create_model  # noqa: E402
from kexue.models.hippo import (  # noqa: E402
    LRU,
    S4,
    S4D,
    S5,
    HiPPOProjection,
    HiPPORNNConfig,
    LegSCell,
    StateSpaceConfig,
    StateSpaceModel,
    diagonal_eigenvalues,
    direct_convolution,
    discretize,
    dplr_kernel,
    dplr_kernel_reference,
    dplr_readout,
    dplr_step,
    fft_convolution,
    hippo_transition,
    legs_matvec,
    legs_propagator,
    legs_solve,
    linear_scan,
    linear_scan_loop,
    nplr,
    ring_squares,
    s4d_kernel,
    s4d_kernel_reference,
)
from kexue.models.hippo.kernels import dplr_dense, expm1  # noqa: E402

LAYERS = {
    "s4": lambda: S4(3, 8, length=40),
    "s4, rank 2": lambda: S4(3, 8, length=40, measure="legt"),
    "s4, lagt": lambda: S4(3, 8, length=40, measure="lagt"),
    "s4d": lambda: S4D(3, 8),
    "s4d, bilinear": lambda: S4D(3, 8, init="inv", method="bilinear"),
    "s4d, real": lambda: S4D(3, 8, init="real"),
    "s4d, legs": lambda: S4D(3, 8, init="legs"),
    "s5": lambda: S5(3, 8, blocks=2),
    "lru": lambda: LRU(3, 8),
}


def rand(*shape: int, seed: int = 0, complex_: bool = False) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128 if complex_ else torch.float64, generator=g)


def layer(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return LAYERS[name]().double()


# The scan and the convolution


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 31, 64, 100])
@pytest.mark.parametrize("complex_", [False, True])
def test_scan_is_the_loop(length, complex_):
    a, b = rand(2, length, 3, complex_=complex_) / 2, rand(2, length, 3, seed=1, complex_=complex_)
    torch.testing.assert_close(linear_scan(a, b), linear_scan_loop(a, b), rtol=1e-12, atol=1e-12)
    constant = a[0, :1, :]
    torch.testing.assert_close(linear_scan(constant, b), linear_scan_loop(constant, b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("complex_", [False, True])
def test_gradients_of_the_scan(complex_):
    a, b = (rand(2, 5, 2, seed=i, complex_=complex_).requires_grad_() for i in range(2))
    assert torch.autograd.gradcheck(linear_scan, (a, b))
    assert torch.autograd.gradgradcheck(linear_scan, (a, b))
    assert torch.autograd.gradcheck(linear_scan, (a[0, :1].detach().requires_grad_(), b))


@pytest.mark.parametrize("length", [1, 2, 5, 64, 97])
def test_fft_is_the_direct_sum(length):
    u, kernel = rand(2, 3, length), rand(3, length, seed=1)
    expected = direct_convolution(u, kernel)
    torch.testing.assert_close(fft_convolution(u, kernel), expected, rtol=1e-11, atol=1e-11)
    loop = torch.stack([(kernel[:, : k + 1].flip(-1) * u[..., : k + 1]).sum(-1) for k in range(length)], dim=-1)
    torch.testing.assert_close(expected, loop)


# Matrices, against SciPy


@pytest.mark.parametrize(
    ("method", "theirs", "alpha"),
    [("forward", "euler", None), ("backward", "backward_diff", None), ("bilinear", "bilinear", None),
     ("gbt", "gbt", 0.3), ("zoh", "zoh", None)],
)  # fmt: skip
@pytest.mark.parametrize("measure", ["legt", "lagt", "fout"])
def test_discretize_is_scipy(method, theirs, alpha, measure):
    A, B = hippo_transition(measure, 7)
    got = discretize(A, B, 0.03, method, **({} if alpha is None else {"alpha": alpha}))
    system = (A.numpy(), B.numpy()[:, None], np.zeros((1, 7)), np.zeros((1, 1)))
    expected = signal.cont2discrete(system, 0.03, method=theirs, alpha=alpha)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(got[1][:, None], expected[1], rtol=1e-11, atol=1e-12)


def test_hold_of_a_singular_system():
    A, B = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).double(), torch.tensor([0.0, 1.0]).double()
    bar, fed = discretize(A, B, 0.5, "zoh")
    torch.testing.assert_close(bar, torch.tensor([[1.0, 0.5], [0.0, 1.0]]).double())
    torch.testing.assert_close(fed, torch.tensor([0.125, 0.5]).double())


@pytest.mark.parametrize("measure", ["legs", "legt", "lagt"])
@pytest.mark.parametrize("N", [1, 2, 9, 64])
def test_nplr_rebuilds_the_matrix(measure, N):
    A, B = hippo_transition(measure, N)
    lam, P, b, V = nplr(measure, N)
    eye = torch.eye(N, dtype=V.dtype)
    torch.testing.assert_close(V.mH @ V, eye, rtol=0, atol=1e-12)
    torch.testing.assert_close((V @ (torch.diag(lam) - P.mT @ P.conj()) @ V.mH).real, A, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close((V @ b).real, B, rtol=1e-11, atol=1e-11)
    assert float((lam.real + (0 if measure == "legt" else 0.5)).abs().max()) == 0
    if N % 2 == 0:
        assert float(nplr(measure, N).half().eigenvalues.imag.min()) > 0


@pytest.mark.parametrize("measure", ["legs", "legt", "lmu", "lagt", "fout", "foud", "fourier_scale"])
def test_systems_are_stable(measure):
    A, _ = hippo_transition(measure, 21)
    real = torch.linalg.eigvals(A).real
    assert float(real.max()) < 0
    if measure == "fourier_scale":
        torch.testing.assert_close(real, -torch.ones_like(real), rtol=1e-10, atol=0)


# LegS


@pytest.mark.parametrize("N", [1, 2, 5, 64])
def test_linear_time_products_are_the_dense_ones(N):
    A, _ = hippo_transition("legs", N)
    v = rand(3, N)
    torch.testing.assert_close(legs_matvec(v), v @ A.mT, rtol=1e-11, atol=1e-10)
    for step in (0.001, 0.4, 3.0):
        dense = torch.linalg.solve(torch.eye(N).double() - step * A, v.mT).mT
        torch.testing.assert_close(legs_solve(v, step), dense, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("N", [1, 4, 20])
def test_the_exact_step_is_the_exponential(N, ratio):
    A, B = hippo_transition("legs", N)
    move, feed = legs_propagator(N, ratio)
    expected = torch.linalg.matrix_exp(-math.log(ratio) * A)
    torch.testing.assert_close(move, expected, rtol=1e-9, atol=1e-10)
    fed = torch.linalg.solve(A, (expected - torch.eye(N).double()) @ B)
    torch.testing.assert_close(feed, fed, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("scheme", "kept"), [("exact", True), ("trapezoid", True), ("held", True), ("backward", True),
                                              ("forward", True), ("printed", False)])  # fmt: skip
def test_constants_are_kept(scheme, kept):
    states = HiPPOProjection(7, "legs", scheme=scheme)(torch.ones(30, 1).double())
    error = float((states[:, 0] - torch.eye(7).double()[0]).abs().max())
    assert error < 1e-11 if kept else error > 0.2


@pytest.mark.parametrize(("scheme", "order"), [("printed", 1), ("held", 1), ("trapezoid", 2)])
def test_orders_of_the_schemes(scheme, order):
    """u = cos 3t on [1, 2], from the exact state at t = 1, against the projection by quadrature at t = 2."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    basis = np.stack([np.sqrt(2 * n + 1) * np.polynomial.legendre.legval(nodes, np.eye(n + 1)[n]) for n in range(6)])

    def exact(t: float) -> torch.Tensor:
        return torch.from_numpy(basis @ (weights / 2 * np.cos(1.5 * t * (nodes + 1))))

    errors = []
    for n in (100, 200):
        cell, x = LegSCell(6, scheme), exact(1.0)
        for k in range(n, 2 * n):
            samples = [torch.tensor(math.cos(3 * i / n)).double() for i in (k, k + 1)]
            now = samples[0] if scheme == "printed" else samples[1]
            x = cell(x, samples[0], now, k)
        errors.append(float((x - exact(2.0)).norm()))
    assert abs(math.log2(errors[0] / errors[1]) - order) < 0.05


@pytest.mark.parametrize("measure", ["legt", "lmu", "lagt", "fout", "foud"])
def test_projection_by_convolution_is_the_recurrence(measure):
    project = HiPPOProjection(9, measure, window=30, step=1)
    u = rand(50, 2)
    torch.testing.assert_close(project(u), project.recurrent(u), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("measure", "N", "bound"), [("legs", 24, 2e-3), ("legt", 24, 2e-3), ("lmu", 24, 2e-3), ("fourier_scale", 65, 0.2)]
)
def test_reconstruction(measure, N, bound):
    t = (torch.arange(200) + 0.5).double() / 200
    u = torch.sin(5 * t) + 0.3 * torch.cos(11 * t + 1)
    project = HiPPOProjection(N, measure, window=0.5, step=1 / 200)
    c = project(u[:, None])[-1, 0]
    ago = torch.linspace(0.1, 0.9, 33).double() * (1 if measure in ("legs", "fourier_scale") else 0.5)
    at = 1 - ago
    expected = torch.sin(5 * at) + 0.3 * torch.cos(11 * at + 1)
    assert float((project.reconstruct(c, ago) - expected).square().mean().sqrt()) < bound


# Kernels and layers


@pytest.mark.parametrize("length", [1, 2, 5, 64, 100])
@pytest.mark.parametrize("method", ["zoh", "bilinear"])
def test_s4d_kernel(length, method):
    lam = diagonal_eigenvalues("lin", 16).expand(3, -1)
    b, c = rand(3, 8, complex_=True), rand(3, 8, seed=1, complex_=True)
    step = torch.tensor([0.001, 0.05, 0.4]).double()
    got = s4d_kernel(lam, b, c, step, length, method)
    torch.testing.assert_close(got, s4d_kernel_reference(lam, b, c, step, length, method), rtol=1e-10, atol=1e-10)
    z = step[:, None] * lam  # brute force: powers by multiplication, both members of each pair
    bar = z.exp() if method == "zoh" else (1 + z / 2) / (1 - z / 2)
    fed = (bar - 1) / lam * b
    for k in range(length):
        pair = torch.cat((c * fed, (c * fed).conj()), dim=-1).sum(-1)
        torch.testing.assert_close(pair.real, got[:, k], rtol=1e-9, atol=1e-9)
        fed = bar * fed


def dplr(rank: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    normal = nplr("legs" if rank == 1 else "legt", 8).half()
    lam = (normal.eigenvalues - (0 if rank == 1 else 0.1)).expand(3, -1)
    p, b = normal.P.expand(3, -1, -1), normal.B.expand(3, -1)
    return lam, p, b, rand(3, 4, seed=seed, complex_=True), torch.tensor([0.01, 0.1, 0.5]).double()


@pytest.mark.parametrize("length", [1, 2, 3, 16, 33])
@pytest.mark.parametrize("rank", [1, 2])
def test_s4_kernel(length, rank):
    lam, p, b, c, step = dplr(rank)
    expected = dplr_kernel_reference(lam, p, b, c, step, length)
    torch.testing.assert_close(dplr_kernel(lam, p, b, c, step, length), expected, rtol=1e-9, atol=1e-9)
    # the same from the dense HiPPO matrix in real arithmetic
    if rank == 1:
        normal = nplr("legs", 8)
        A, B = hippo_transition("legs", 8)
        readout = dplr_readout(lam, p, c, step, length)
        V = normal.half().V
        for h in range(3):
            bar, fed = discretize(A, B, float(step[h]), "bilinear")
            row, x = 2 * (readout[h] @ V.mH).real, fed
            for k in range(length):
                torch.testing.assert_close(row @ x, expected[h, k], rtol=1e-9, atol=1e-9)
                x = bar @ x


@pytest.mark.parametrize("rank", [1, 2])
def test_the_linear_time_step_is_the_dense_one(rank):
    lam, p, b, _, step = dplr(rank)
    x, u = rand(2, 3, 4, complex_=True), rand(2, 3)
    bar, inverse = dplr_dense(lam, p, step)
    whole = torch.cat((x, x.conj()), dim=-1)
    fed = step[:, None] * torch.einsum("hij,hj->hi", inverse, torch.cat((b, b.conj()), dim=-1))
    expected = torch.einsum("hij,bhj->bhi", bar, whole) + fed * u[..., None]
    torch.testing.assert_close(dplr_step(x, u, lam, p, b, step), expected[..., :4], rtol=1e-10, atol=1e-10)


def test_s4_without_the_low_rank_is_diagonal():
    lam, p, b, c, step = dplr(1)
    length = 20
    readout = dplr_readout(lam, p * 0, c, step, length)
    expected = s4d_kernel(lam, b, readout, step, length, "bilinear")
    torch.testing.assert_close(dplr_kernel(lam, p * 0, b, c, step, length), expected, rtol=1e-9, atol=1e-9)


def test_gradients_of_the_kernels():
    lam, p, b, c, step = (x[:1].detach().clone().requires_grad_() for x in dplr(1))
    assert torch.autograd.gradcheck(lambda *a: dplr_kernel(*a, 5), (lam, p, b, c, step))
    assert torch.autograd.gradcheck(lambda *a: s4d_kernel(*a, 5), (lam, b, c, step))


def test_differences_of_exponentials_keep_their_digits():
    z = torch.complex(torch.tensor([1e-9, -1e-12, 0.3]).double(), torch.tensor([1e-9, 2e-12, 40.0]).double())
    series = z + z * z / 2
    torch.testing.assert_close(expm1(z[:2]), series[:2], rtol=1e-14, atol=0)
    torch.testing.assert_close(expm1(z[2:]), z[2:].exp() - 1)


@pytest.mark.parametrize("name", LAYERS)
def test_streams_are_the_whole(name):
    module, u = layer(name), rand(2, 40, 3)
    whole = module(u)
    state, outputs = module.initial_state(2), []
    for i in range(40):
        y, state = module.step(u[:, i], state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, dim=1), whole, rtol=1e-8, atol=1e-9)
    assert whole.dtype == torch.float64
    torch.testing.assert_close(module(u[:, :17]), whole[:, :17], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_sees_the_future(name):
    module = layer(name)
    u = rand(1, 12, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(module(u)[0, 5].sum(), u)
    past = float(gradient[0, :6].abs().max())
    assert past > 0 and float(gradient[0, 6:].abs().max()) < 1e-13 * past  # what the FFT rounds


@pytest.mark.parametrize("name", LAYERS)
def test_every_parameter_learns(name):
    module = layer(name)
    module(rand(2, 9, 3)).square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in module.parameters())
    assert set(module.system_parameters) <= dict(module.named_parameters()).keys()


@pytest.mark.parametrize("name", ["tiny", "s4-tiny", "s5-tiny", "lru-tiny", "hippo-tiny"])
def test_models_stream(name):
    torch.manual_seed(0)
    model = create_model(f"hippo/{name}").double().eval()
    inputs = rand(2, 11, 1)
    state = model.initial_state(2)
    for i in range(11):
        got, state = model.step(inputs[:, i], state)
        torch.testing.assert_close(got, model(inputs[:, : i + 1]), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "change", [{"normalisation": "batch"}, {"prenorm": False}, {"dropout": 0.5}, {"task": "regression"}]
)
def test_variants_train(change):
    torch.manual_seed(0)
    model = create_model("hippo/tiny", **change)
    batch = model.example(4, torch.Generator().manual_seed(0))
    optimiser = torch.optim.AdamW(model.parameter_groups())
    losses = []
    for _ in range(6):
        torch.manual_seed(1)
        loss = model.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_groups_hold_every_parameter_once():
    model = create_model("hippo/s4-tiny")
    groups = model.parameter_groups()
    held = [id(p) for g in groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert groups[1]["weight_decay"] == 0 and len(groups[1]["params"]) == 5 * 2


def test_dropout_is_one_for_all_positions():
    torch.manual_seed(0)
    config = StateSpaceConfig(width=64, state=4, num_layers=1, layer="s4d", dropout=0.5)
    block = StateSpaceModel(config).blocks[0].train()
    dropped = block.dropped(torch.ones(2, 9, 64))
    assert set(dropped.unique().tolist()) == {0.0, 2.0} and bool((dropped == dropped[:, :1]).all())


def count(width: int, layers: int, d_input: int, system: int) -> int:
    block = 2 * width + system + 2 * width * width + 2 * width
    return d_input * width + width + layers * block + 2 * width + 10 * width + 10


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("s4-cifar", count(128, 4, 3, 128 * (2 + 2 * 32 + 3 * 64))),
        ("s4d-cifar", count(128, 4, 3, 128 * (2 + 2 * 32 + 64))),
        ("s5-cifar", count(128, 4, 3, 128 + 3 * 64 + 2 * 2 * 64 * 128)),
        ("lru-cifar", count(128, 4, 3, 128 + 3 * 128 + 2 * 2 * 128 * 128)),
        ("hippo-pmnist", 513 + 1024 * (512 + 512 + 1) + 1024 + 5130),
    ],
)
def test_numbers_of_parameters(name, parameters):
    assert create_model(f"hippo/{name}", device="meta").num_parameters() == parameters


def test_ring():
    u = torch.tensor([0.0, 0.25, 1.0]).double()
    torch.testing.assert_close(ring_squares(u, 0.4, 0.9), torch.tensor([0.16, 0.3225, 0.81]).double())
    torch.manual_seed(0)
    sizes = (-LRU(2, 2000, ring=(0.4, 0.9)).nu_log.detach().exp()).exp()
    assert 0.4 <= float(sizes.min()) and float(sizes.max()) <= 0.9 + 1e-6


NAMED = [
    (lambda: hippo_transition("legz", 3), "measure must be one of"),
    (lambda: hippo_transition("legs", 0), "N must be at least 1, got 0"),
    (lambda: hippo_transition("legt", 3, window=0), "window must be a finite number > 0, got 0"),
    (lambda: hippo_transition("legt", 3, norm="other"), "norm must be one of"),
    (lambda: hippo_transition("fout", 4), "N must be odd for fout"),
    (lambda: hippo_transition("glagt", 4, beta=-1.0), "alpha and beta"),
    (lambda: discretize(torch.eye(2), torch.ones(2), 0), "step must be a finite number > 0, got 0"),
    (lambda: discretize(torch.eye(2), torch.ones(2), 1, "gbt", alpha=1.5), r"alpha must be in \[0, 1\], got 1.5"),
    (lambda: discretize(torch.eye(2), torch.ones(2), 1, "euler"), "method must be one of"),
    (lambda: discretize(torch.eye(2) * math.nan, torch.ones(2), 1), "A must be finite"),
    (lambda: nplr("lmu", 4), "measure must be one of legs, legt, lagt"),
    (lambda: legs_solve(torch.ones(3), -0.5), r"I − step·A is singular, got -0.5"),
    (lambda: legs_propagator(3, 1.5), r"ratio must be in \(0, 1\], got 1.5"),
    (lambda: LegSCell(3)(torch.ones(3), torch.ones(()), torch.ones(()), 0), "k must be at least 1"),
    (lambda: LegSCell(3, "euler"), "scheme must be one of"),
    (lambda: HiPPOProjection(3)(torch.ones(0, 1)), "at least one sample"),
    (lambda: HiPPOProjection(3, "legt", step=0.0), "step must be"),
    (lambda: fft_convolution(torch.ones(2, 4), torch.ones(2, 3)), "kernel must have the length of u, 4, got 3"),
    (lambda: S4(2, 4, length=8)(torch.ones(1, 9, 2)), r"length must be at most 8, for which C\(I − Ā\^L\) is stored"),
    (lambda: S4(2, 4, length=0), "length must be at least 1"),
    (lambda: S4D(2, 5), "state must be even"),
    (lambda: S4D(2, 4, init="rand"), "init must be one of"),
    (lambda: S4D(2, 4, step_range=(0.1, 0.01)), "step_range"),
    (lambda: S5(2, 8, blocks=3), "blocks"),
    (lambda: LRU(2, 4, ring=(0.9, 0.5)), "ring must be 0 ≤ r_min < r_max < 1"),
    (lambda: LRU(2, 4, ring=(0.5, 1.0)), "ring must be"),
    (lambda: StateSpaceConfig(layer="s6"), "layer must be one of"),
    (lambda: StateSpaceConfig(state=7), "state must be even"),
    (lambda: StateSpaceConfig(dropout=1.0), r"dropout must be in \[0, 1\)"),
    (lambda: StateSpaceConfig(r_min=0.99, r_max=0.5), "r_min must be"),
    (lambda: HiPPORNNConfig(measure="fout"), "measure must be one of"),
    (lambda: HiPPORNNConfig(order=0), "order must be at least 1"),
    (lambda: create_model("hippo/tiny")(torch.ones(1, 65, 1)), r"length in \[1, 64\], got 65"),
    (lambda: create_model("hippo/tiny")(torch.ones(1, 0, 1)), r"length in \[1, 64\], got 0"),
]


@pytest.mark.parametrize(("call", "said"), NAMED)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_integers_are_refused(no_shape_checks):
    with pytest.raises(ValueError, match=r"A must be of a floating-point type, got torch\.int64"):
        discretize(torch.eye(2, dtype=torch.int64), torch.ones(2), 1)
    with pytest.raises(ValueError, match=r"u must be a floating point tensor, got torch\.int64"):
        HiPPOProjection(3)(torch.ones(4, 1, dtype=torch.int64))
    whole = torch.ones(3, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"a and b must be floating point or complex tensors, got torch\.int64"):
        linear_scan(whole, whole)
