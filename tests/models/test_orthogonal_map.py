"""Orthogonal maps in torch: against matrices, scipy, torch's own functions, at the singular pairs, and bad input."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from scipy.spatial.transform import Rotation  # noqa: E402

from kexue.models.orthogonal_map import (  # noqa: E402
    KINDS,
    VectorToVector,
    apply_orthogonal_map,
    orthogonal_map,
    random_orthogonal_map,
    rotation_between,
    rotation_trick,
)

REAL = KINDS[:-1]
UNIT = torch.nn.functional.normalize


def pairs(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(UNIT(torch.randn(*shape, dtype=torch.float64, generator=generator), dim=-1) for _ in range(2))


@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize("dim", [2, 3, 4, 7, 50])
def test_maps_a_to_b_and_is_orthogonal(kind, dim):
    a, b = pairs(20, dim)
    t = orthogonal_map(a, b, kind)
    eye = torch.eye(dim, dtype=torch.float64).expand(20, -1, -1)
    torch.testing.assert_close(t.mT @ t, eye, rtol=0, atol=1e-13)
    torch.testing.assert_close((t @ a[..., None])[..., 0], b, rtol=0, atol=1e-13)
    x = torch.randn(20, 6, dim, dtype=torch.float64)
    applied = apply_orthogonal_map(a, b, x, kind)
    torch.testing.assert_close(applied, x @ t.mT)
    torch.testing.assert_close(apply_orthogonal_map(a, b, applied, kind, inverse=True), x)


def test_determinants():
    for dim in (2, 3, 6):
        a, b = pairs(8, dim)
        expected = {"rotation": 1, "householder": -1, "half_turn": (-1) ** (dim - 1), "neg_rotation": (-1) ** dim}
        for kind, sign in {**expected, "proper": 1}.items():
            found = torch.linalg.det(orthogonal_map(a, b, kind))
            torch.testing.assert_close(found, torch.full_like(found, sign))


def test_printed_closed_forms():
    a, b = pairs(5, 4)
    c = (a * b).sum(-1)[:, None, None]
    eye, outer = torch.eye(4).double(), lambda u, v: u[:, :, None] * v[:, None, :]
    plus, minus = outer(a + b, a + b) / (1 + c), outer(a - b, a - b) / (1 - c)
    printed = {
        "rotation": eye + 2 * outer(b, a) - plus,
        "householder": eye - minus,
        "half_turn": plus - eye,
        "neg_rotation": 2 * outer(b, a) + minus - eye,
    }
    for kind, matrix in printed.items():
        torch.testing.assert_close(orthogonal_map(a, b, kind), matrix)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("delta", [0.0, 1e-12, 1e-8, 1e-4, 1.0])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", ["auto", "proper"])
def test_stable_everywhere(dtype, delta, sign, kind):
    a = UNIT(torch.arange(1, 6).to(dtype), dim=0)
    u = UNIT(torch.tensor([5.0, 0, 0, 0, -1]).to(dtype), dim=0)
    b = sign * UNIT(math.cos(delta) * a + math.sin(delta) * u, dim=0)
    t = orthogonal_map(a, b, kind)
    eps = torch.finfo(dtype).eps
    assert float((t @ t.T - torch.eye(5, dtype=dtype)).abs().max()) < 16 * eps
    assert float((t @ a - b).abs().max()) < 16 * eps


def test_rotation_stays_orthogonal_near_the_singularity():
    a = UNIT(torch.arange(1.0, 6).double(), dim=0)
    u = UNIT(torch.tensor([5.0, 0, 0, 0, -1]).double(), dim=0)
    for delta in (1e-3, 1e-6, 1e-8):
        b = UNIT(-math.cos(delta) * a + math.sin(delta) * u, dim=0)
        t = orthogonal_map(a, b, "rotation")
        assert float((t @ t.T - torch.eye(5)).abs().max()) < 1e-14
        assert float((t @ a - b).abs().max()) < 4e-16 / delta * 10


def test_peers():
    a, b = pairs(6, 3)
    for x, y, t in zip(a, b, orthogonal_map(a, b, "rotation")):
        torch.testing.assert_close(torch.from_numpy(Rotation.align_vectors(y, x)[0].as_matrix()), t)
    a, b = pairs(6)
    v = a - b
    tau = torch.tensor([2 / float(v @ v) * float(v[0]) ** 2])
    householder = torch.linalg.householder_product((v / v[0])[:, None], tau.double())
    torch.testing.assert_close(householder[:, 0], orthogonal_map(a, b, "householder")[:, 0])
    c = a @ b
    k = torch.outer(b, a) - torch.outer(a, b)
    exponential = torch.linalg.matrix_exp(k * torch.acos(c) / (1 - c**2).sqrt())
    torch.testing.assert_close(exponential, orthogonal_map(a, b, "rotation"))


def test_geodesic():
    a, b = pairs(7, 5)
    torch.testing.assert_close(rotation_between(a, b), orthogonal_map(a, b, "rotation"))
    torch.testing.assert_close(rotation_between(a, b, 0), torch.eye(5).double().expand(7, -1, -1))
    third = rotation_between(a, b, 1 / 3)
    torch.testing.assert_close(third @ third @ third, rotation_between(a, b))
    torch.testing.assert_close(rotation_between(a, a), torch.eye(5).double().expand(7, -1, -1))


def test_complex_vectors():
    a, b = (UNIT(torch.randn(4, 5, dtype=torch.complex128), dim=-1) for _ in range(2))
    u = orthogonal_map(a, b, "unitary")
    torch.testing.assert_close(u.mH @ u, torch.eye(5, dtype=torch.complex128).expand(4, -1, -1), rtol=0, atol=1e-13)
    torch.testing.assert_close((u @ a[..., None])[..., 0], b)
    torch.testing.assert_close(apply_orthogonal_map(a, b, b, "unitary", inverse=True), a)
    torch.testing.assert_close(orthogonal_map(a, a, "unitary"), torch.eye(5, dtype=torch.complex128).expand(4, -1, -1))


def test_one_dimension_and_empty_batches():
    one, minus = torch.ones(1, dtype=torch.float64), -torch.ones(1, dtype=torch.float64)
    assert orthogonal_map(one, one).item() == 1 and orthogonal_map(one, minus).item() == -1
    assert orthogonal_map(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0, 3, 3)
    assert random_orthogonal_map(one, minus).item() == -1


@pytest.mark.parametrize("kind", REAL)
def test_gradients(kind):
    a, b = pairs(2, 4)
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    a, b = (v.requires_grad_() for v in (a, b))
    assert torch.autograd.gradcheck(lambda a, b, x: apply_orthogonal_map(a, b, x, kind, normalize=True), (a, b, x))


def test_vmap_and_compile(no_shape_checks):
    a, b = pairs(6, 5)
    x = torch.randn(6, 5, dtype=torch.float64)
    expected = apply_orthogonal_map(a, b, x)
    torch.testing.assert_close(torch.func.vmap(apply_orthogonal_map)(a, b, x), expected)
    compiled = torch.compile(apply_orthogonal_map, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(a, b, x), expected)


def test_random_maps_are_uniform_solutions():
    a, b = (v.expand(20_000, -1) for v in pairs(4))
    t = random_orthogonal_map(a, b, torch.Generator().manual_seed(0))
    torch.testing.assert_close((t @ a[..., None])[..., 0], b)
    assert float((t.mean(0) - torch.outer(b[0], a[0])).abs().max()) < 5 / math.sqrt(20_000)
    assert abs(float(torch.linalg.det(t).mean())) < 5 / math.sqrt(20_000)


def test_rotation_trick():
    z = torch.randn(50, 6, dtype=torch.float64, requires_grad=True)
    q = torch.randn(50, 6, dtype=torch.float64)
    with torch.no_grad():
        q[0] = -2 * z[0]  # opposite
        q[1] = 3 * z[1]
    out = rotation_trick(z, q)
    assert torch.equal(out, q)
    g = torch.randn(50, 6, dtype=torch.float64)
    out.backward(g)
    cosine = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(cosine(z.detach(), z.grad), cosine(q, g))
    torch.testing.assert_close(z.grad.norm(dim=-1), g.norm(dim=-1) * q.norm(dim=-1) / z.detach().norm(dim=-1))


def test_the_common_epsilon_breaks_orthogonality():
    """normalize(a + b, eps=1e-6), as rotation-trick code has it, against ours at a nearly opposite pair."""
    a = UNIT(torch.arange(1.0, 6).double(), dim=0)
    u = UNIT(torch.tensor([5.0, 0, 0, 0, -1]).double(), dim=0)
    b = UNIT(-math.cos(5e-7) * a + math.sin(5e-7) * u, dim=0)
    n = torch.nn.functional.normalize(a + b, dim=0, eps=1e-6)
    theirs = torch.eye(5) - 2 * torch.outer(n, n) + 2 * torch.outer(b, a)
    ours = orthogonal_map(a, b, "rotation")
    assert float((theirs @ theirs.T - torch.eye(5)).abs().max()) > 0.1
    assert float((ours @ ours.T - torch.eye(5)).abs().max()) < 1e-14


def test_module():
    module = VectorToVector(torch.arange(1.0, 6), torch.arange(9.0, 4, -1))
    x = torch.randn(3, 2, 5)
    torch.testing.assert_close(module.inverse(module(x)), x)
    torch.testing.assert_close(module(module.a), module.b)
    assert set(module.state_dict()) == {"a", "b"}


A = torch.tensor([1.0, 0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: orthogonal_map(A, A, "turn"), "kind must be one of rotation, .*, got 'turn'"),
        (lambda: orthogonal_map(A, A[:2]), "one dimension, got 3 and 2"),
        (lambda: orthogonal_map(A, 2 * A), "b must hold unit vectors, got one of length 2"),
        (lambda: orthogonal_map(A, math.nan * A), "b must hold unit vectors, got one of length nan"),
        (lambda: orthogonal_map(0 * A, A, normalize=True), "no zero vectors"),
        (lambda: orthogonal_map(A, -A, "rotation"), "isn't defined at b = −a: use"),
        (lambda: orthogonal_map(A, -A, "half_turn"), "isn't defined at b = −a"),
        (lambda: orthogonal_map(A, A, "householder"), "isn't defined at b = a"),
        (lambda: orthogonal_map(A[:1], -A[:1], "rotation"), "for d = 1 no such map exists"),
        (lambda: orthogonal_map(A.long(), A), "a must be a floating point tensor, got torch.int64"),
        (lambda: orthogonal_map(A.cfloat(), A.cfloat()), "must be real for kind='auto'"),
        (lambda: orthogonal_map(torch.zeros(0), torch.zeros(0)), r"with d ≥ 1, got \(0,\)"),
        (lambda: apply_orthogonal_map(A, A, torch.zeros(4)), "dimension 3, got 4"),
        (lambda: rotation_trick(torch.zeros(2, 3), torch.ones(2, 3)), "no zero vectors"),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()
