"""RoPE in torch: plain references, conversions, the general form, positions in several dimensions, bad input."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from kexue.models import create_model  # noqa: E402
from kexue.models.rope import (  # noqa: E402
    AxialRoPE,
    GeneralRoPE,
    MixedRoPE,
    RoFormerConfig,
    RotaryEmbedding,
    RotaryLMConfig,
    absorb,
    apply_rope,
    convert_layout,
    rope_matrix,
    rotary_frequencies,
    rotary_linear_attention,
    rotary_linear_attention_quadratic,
    skew_canonical_form,
    so_log,
)
from kexue.models.rope.grid import grid_positions  # noqa: E402


@pytest.mark.parametrize("layout", ["interleaved", "half"])
@given(position=st.integers(-1000, 1000) | st.floats(-50, 50))
def test_fast_path_equals_the_matrix(layout, position):
    frequencies = rotary_frequencies(6, 100.0)
    x = torch.randn(2, 3, 1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    where = torch.tensor([float(position)], dtype=torch.float64)
    expected = x @ rope_matrix(float(position), frequencies, layout).T
    torch.testing.assert_close(apply_rope(x, where, frequencies, layout), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_is_rotated_in_float32(dtype):
    x = torch.randn(2, 4, 512, 64).to(dtype)
    got = apply_rope(x, torch.arange(512), rotary_frequencies(64))
    expected = apply_rope(x.double(), torch.arange(512), rotary_frequencies(64))
    assert got.dtype == dtype
    error = (got.double() - expected).abs() / expected.abs().clamp(min=1e-3)
    assert float(error.max()) < 4 * torch.finfo(dtype).eps * (1 if dtype != torch.float32 else 1000)


def test_casting_a_model_keeps_the_frequencies():
    rotary = RotaryEmbedding(64).to(torch.bfloat16)
    assert rotary.frequencies.dtype == torch.float64
    assert torch.equal(rotary.frequencies, rotary_frequencies(64))
    learned = RotaryEmbedding(8, learned_freqs=True)
    learned(torch.randn(1, 2, 5, 8)).square().sum().backward()
    learned(torch.randn(1, 2, 5, 8)).sum().backward()
    assert learned.frequencies.grad is not None


@pytest.mark.parametrize("layout", ["interleaved", "half"])
def test_gradients(layout):
    x = torch.randn(1, 2, 3, 8, dtype=torch.float64, requires_grad=True)
    theta = rotary_frequencies(6).requires_grad_()
    where = torch.tensor([0.0, 1.0, 5.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, t: apply_rope(x, where, t, layout), (x, theta))


def test_vmap_and_rows_of_positions():
    x = torch.randn(5, 2, 7, 8, dtype=torch.float64)
    where = torch.arange(35, dtype=torch.float64).reshape(5, 7)
    theta = rotary_frequencies(8)
    each = torch.stack([apply_rope(a, w, theta) for a, w in zip(x, where)])
    torch.testing.assert_close(apply_rope(x, where, theta), each)
    shared = torch.func.vmap(lambda a: apply_rope(a, where[0], theta))(x)
    torch.testing.assert_close(shared, apply_rope(x, where[0], theta))


def test_layouts_convert_back_and_forth():
    weight = torch.randn(4 * 10, 3)
    there = convert_layout(weight, "interleaved", "half", num_heads=4, rotary_dim=6)
    assert torch.equal(convert_layout(there, "half", "interleaved", num_heads=4, rotary_dim=6), weight)
    assert torch.equal(there.unflatten(0, (4, 10))[:, 6:], weight.unflatten(0, (4, 10))[:, 6:])


@pytest.mark.parametrize("kind", ["roformer-tiny", "tiny"])
def test_positions_matter_only_by_differences(kind):
    model = create_model(f"rope/{kind}").double().eval()
    tokens = torch.randint(64, (2, 9))
    shifted = model(tokens, positions=torch.arange(9) + 137) if kind == "roformer-tiny" else model(tokens, first=137)
    torch.testing.assert_close(shifted, model(tokens), rtol=1e-11, atol=1e-11)
    reversed_ = model(tokens.flip(1)).flip(1)
    assert float((reversed_ - model(tokens)).abs().max()) > 1e-6  # left and right are told apart


def test_padding_and_masks():
    model = create_model("rope/roformer-tiny").double().eval()
    tokens = torch.randint(64, (1, 9))
    padded = torch.cat((torch.zeros(1, 4, dtype=torch.long), tokens), dim=1)
    mask = torch.tensor([[False] * 4 + [True] * 9])
    got = model(padded, mask=mask, positions=torch.arange(13) - 4)[:, 4:]
    torch.testing.assert_close(got, model(tokens), rtol=1e-10, atol=1e-10)


def test_rotated_values():
    model = create_model("rope/roformer-tiny", rotate_values=True).double().eval()
    tokens = torch.randint(64, (1, 9))
    torch.testing.assert_close(
        model(tokens, positions=torch.arange(9) + 50), model(tokens), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("param", ["exp", "cayley", "householder", "orthogonal_power"])
def test_general_forms_are_relative(param):
    torch.manual_seed(0)
    rope = GeneralRoPE(5, param, num_heads=2).double()
    r = rope.matrices(torch.arange(-4, 5))
    for m in range(-4, 5):
        for n in range(-4, 5):
            if abs(n - m) <= 4:
                torch.testing.assert_close(r[:, m + 4].mT @ r[:, n + 4], r[:, n - m + 4], rtol=1e-10, atol=1e-10)


def test_reflections_have_powers_but_no_logarithm():
    torch.manual_seed(0)
    rope = GeneralRoPE(4, "householder", reflections=3).double()
    assert float(torch.linalg.det(rope.orthogonal()[0])) == pytest.approx(-1)
    with pytest.raises(ValueError, match="determinant"):
        absorb(rope, torch.eye(4).double(), torch.eye(4).double())


def test_axial_is_a_special_case_of_mixed():
    axial, mixed = AxialRoPE(8), MixedRoPE(8, num_heads=3)
    mixed.omega.data.copy_(axial.omega)
    x = torch.randn(2, 3, 12, 8)
    points = grid_positions(3, 4)
    torch.testing.assert_close(axial(x, points), mixed(x, points), rtol=1e-5, atol=1e-6)
    assert points[:5].tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0]]


def test_linear_attention_with_rope():
    q, k = torch.rand(2, 2, 3, 37, 8, dtype=torch.float64)
    v = torch.randn(2, 3, 37, 4, dtype=torch.float64)
    theta = rotary_frequencies(8)
    for causal in (False, True):
        torch.testing.assert_close(
            rotary_linear_attention(q, k, v, theta, causal=causal),
            rotary_linear_attention_quadratic(q, k, v, theta, causal=causal),
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rotary_frequencies(7), "dim must be even and positive, got 7"),
        (lambda: rotary_frequencies(8, 1.0), "base must be a finite number > 1, got 1.0"),
        (lambda: RotaryEmbedding(8, layout="split"), "layout must be interleaved or half, got 'split'"),
        (lambda: apply_rope(torch.zeros(3, 4), torch.arange(3), rotary_frequencies(6)), "at least 6 channels"),
        (lambda: apply_rope(torch.zeros(3, 4), torch.arange(2), rotary_frequencies(4)), "name 3 places"),
        (
            lambda: apply_rope(torch.zeros(300, 4), torch.arange(300).bfloat16(), rotary_frequencies(4)),
            "beyond 256, got torch.bfloat16",
        ),
        (lambda: AxialRoPE(6), "multiple of 2·ndim = 4, got 6"),
        (lambda: MixedRoPE(6, 2)(torch.zeros(1, 3, 4, 6), torch.zeros(4, 2)), "must have 2 heads, got 3"),
        (lambda: MixedRoPE(6, 2)(torch.zeros(1, 2, 4, 6), torch.zeros(4, 3)), r"shape \(length, 2\), got \(4, 3\)"),
        (lambda: skew_canonical_form(torch.eye(3)), "norm of B \\+ Bᵀ is 3.46"),
        (lambda: skew_canonical_form(torch.full((2, 2), math.nan)), "finite, got 4"),
        (lambda: so_log(2 * torch.eye(2)), "must satisfy OᵀO = I, off by 3"),
        (lambda: so_log(torch.diag(torch.tensor([1.0, -1.0]))), "got −1: a reflection"),
        (lambda: GeneralRoPE(4, "cayley").matrices(torch.tensor([0.5])), "positions must be integers"),
        (lambda: absorb(GeneralRoPE(3), torch.eye(3), torch.eye(3)), "must be even to be absorbed, got 3"),
        (lambda: absorb(GeneralRoPE(4), torch.eye(5), torch.eye(4)), "query must have a multiple of 4 rows, got 5"),
        (
            lambda: absorb(GeneralRoPE(4), torch.eye(4), torch.eye(4), torch.nn.RMSNorm(4)),
            "norm_between must have no gain",
        ),
        (lambda: convert_layout(torch.eye(4), "half", "interleaved", num_heads=3), "must divide the 4 rows"),
        (lambda: apply_rope(torch.zeros(2, 2), torch.tensor([0, math.nan]), rotary_frequencies(2)), "must be finite"),
        (lambda: apply_rope(torch.zeros(2, 2).long(), torch.arange(2), rotary_frequencies(2)), "x must be a floating"),
        (
            lambda: apply_rope(torch.zeros(2, 1, 4, 2), torch.zeros(3, 4), rotary_frequencies(2)),
            "one row for each of the 2 sequences of x, got 3",
        ),
        (lambda: RotaryLMConfig(num_kv_heads=3), "num_kv_heads must divide num_heads = 8, got 3"),
        (lambda: RotaryLMConfig(rotary_fraction=0.1), "even number of rotated channels of 32, got 0.1"),
        (lambda: RoFormerConfig(width=100), "even multiple of num_heads = 12, got 100"),
    ],
)
def test_bad_input(call, message, no_shape_checks):
    with pytest.raises(ValueError, match=message):
        call()


def test_headline_counts():
    roformer = create_model("rope/roformer-base", device="meta")
    assert (roformer.num_parameters(), roformer.num_encoder_parameters()) == (124_099_664, 123_457_536)
    assert create_model("rope/llama-2-7b", device="meta").num_parameters() == 6_738_415_616
