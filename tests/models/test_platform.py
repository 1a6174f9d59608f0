"""What every model promises: presets by name, weights in safetensors, training steps, precisions, parallel training."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

torch = pytest.importorskip("torch")

import torch.multiprocessing as mp  # noqa: E402
from models_in_parallel import loss_and_gradients, run_both  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (  # noqa: E402
    apply_activation_checkpointing,
)

import kexue.models  # noqa: E402
from kexue.models import create_model, from_pretrained, list_models  # noqa: E402
from kexue.models._model import CONFIG, WEIGHTS, preset  # noqa: E402
from kexue.models._registry import entries, slugs  # noqa: E402

TINY = [name for name in list_models() if name.endswith("tiny")]


def build(name: str, seed: int = 0) -> kexue.models.Model:
    torch.manual_seed(seed)
    return create_model(name)


def example(model: kexue.models.Model, batch_size: int = 2) -> dict[str, torch.Tensor]:
    return model.example(batch_size, torch.Generator().manual_seed(1))


def test_every_article_with_presets_has_a_tiny_one():
    assert {name.partition("/")[0] for name in list_models()} == {name.partition("/")[0] for name in TINY}
    assert list_models("rope/*") == [name for name in list_models() if name.startswith("rope/")]


def test_public_names_are_unique_and_there():
    homes: dict[str, str] = {}
    for file in slugs():
        for name in entries(file, "__all__"):
            assert homes.setdefault(name, file) == file, f"{name} is public in {homes[name]} and {file}"
            assert getattr(kexue.models, name) is not None


@pytest.mark.parametrize("name", list_models())
def test_every_preset_builds_without_memory(name: str):
    model = create_model(name, device="meta")
    assert model.num_parameters() > 0
    assert all(p.is_meta for p in model.parameters())
    assert type(model.config).from_json(json.loads(json.dumps(model.config.to_json()))) == model.config


@pytest.mark.parametrize("name", TINY)
def test_a_few_steps_on_one_batch_lower_the_loss(name: str):
    model = build(name)
    batch = example(model)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        torch.manual_seed(3)  # the same noise and dropout in each step
        loss = model.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        assert loss.ndim == 0 and all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", TINY)
def test_saved_weights_come_back(name: str, tmp_path):
    model = build(name)
    model.save_pretrained(tmp_path / "there")
    other = from_pretrained(tmp_path / "there")
    assert type(other) is type(model) and other.config == model.config
    for key, value in model.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=0, atol=0)
    batch = example(model)
    losses = []
    for each in (model, other):
        torch.manual_seed(3)
        losses.append(each.eval().loss(batch))
    assert torch.equal(*losses)


@pytest.mark.parametrize("name", TINY)
def test_precisions(name: str):
    model = build(name).eval()
    batch = example(model)
    torch.manual_seed(3)
    expected = model.loss(batch)
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.loss(batch)
    half.backward()
    assert float((half - expected).detach().abs()) < 0.05 * float(expected.detach().abs()) + 0.02
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    double = copy.deepcopy(model).double()
    torch.manual_seed(3)
    wide = double.loss({k: v.double() if v.is_floating_point() else v for k, v in batch.items()})
    assert wide.dtype == torch.float64 or next(double.parameters()).dtype == torch.float64
    assert float((wide - expected).detach().abs()) < 1e-4 * max(1.0, float(expected.detach().abs()))


@pytest.mark.parametrize("name", TINY)
def test_activation_checkpointing_changes_nothing(name: str):
    model = build(name)
    batch = example(model)
    expected = loss_and_gradients(copy.deepcopy(model), batch)
    blocks = set(model.blocks)
    apply_activation_checkpointing(model, check_fn=lambda module: module in blocks)
    got = loss_and_gradients(model, batch)
    assert torch.equal(got[0], expected[0])
    for key, gradient in got[1].items():
        torch.testing.assert_close(gradient, expected[1][key.replace("_checkpoint_wrapped_module.", "")])


@pytest.mark.parametrize("name", TINY)
def test_the_whole_loss_is_one_graph(name: str, no_shape_checks):
    """Captured and differentiated ahead of time without a break; what a backend makes of it is torch's concern."""
    torch._dynamo.reset()
    model = build(name).eval()
    batch = example(model)
    torch.manual_seed(3)
    expected = model.loss(batch)
    torch.manual_seed(3)
    compiled = torch.compile(model.loss, backend="aot_eager", fullgraph=True)(batch)
    torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-5)
    compiled.backward()


@pytest.mark.slow
def test_compiled_code_gives_the_same_loss(no_shape_checks):
    torch._dynamo.reset()
    model = build("rope/tiny").eval()
    batch = example(model)
    torch.testing.assert_close(torch.compile(model.loss)(batch), model.loss(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """DDP and FSDP2 over gloo: loss and gradients of half batches, averaged, are those of the whole batch."""
    mp.spawn(run_both, args=(2, TINY, str(tmp_path)), nprocs=2, join=True)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    for name in TINY:
        model = build(name)
        loss, gradients = loss_and_gradients(model, example(model))
        for strategy in ("ddp", "fsdp"):
            mine = found[f"{name}:{strategy}"]
            torch.testing.assert_close(mine["loss"], loss.detach(), rtol=1e-5, atol=1e-6, msg=f"{name} {strategy}")
            for key, gradient in gradients.items():
                torch.testing.assert_close(
                    mine["gradients"][key], gradient, rtol=1e-3, atol=1e-5, msg=f"{name} {strategy} {key}"
                )


class TestBadInput:
    def test_unknown_names_suggest_near_ones(self):
        with pytest.raises(ValueError, match="no model is called 'rope/tny'; the nearest names are rope/tiny"):
            create_model("rope/tny")
        with pytest.raises(TypeError, match="no field 'num_layer'; the nearest are num_layers"):
            create_model("rope/tiny", num_layer=3)
        with pytest.raises(AttributeError, match="no attribute 'RoPEr'"):
            _ = kexue.models.RoPEr

    def test_presets_are_frozen(self):
        with pytest.raises(AttributeError):
            preset("rope/tiny").width = 3

    def test_a_config_of_another_model(self, no_shape_checks):
        with pytest.raises(TypeError, match="config must be a RotaryLMConfig, got RoFormerConfig"):
            kexue.models.RotaryLM(preset("rope/roformer-tiny"))

    @pytest.fixture
    def saved(self, tmp_path):
        build("rope/tiny").save_pretrained(tmp_path)
        return tmp_path

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            from_pretrained(tmp_path / "nowhere")

    def test_truncated_weights(self, saved):
        data = (saved / WEIGHTS).read_bytes()
        (saved / WEIGHTS).write_bytes(data[: len(data) // 2])
        with pytest.raises(ValueError, match="no whole safetensors file"):
            from_pretrained(saved)

    def test_a_pickle_is_never_loaded(self, saved):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("a pickle was loaded",))

        for name in (WEIGHTS, "pytorch_model.bin"):
            (saved / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(ValueError, match="no whole safetensors file"):
            from_pretrained(saved)
        (saved / WEIGHTS).unlink()
        with pytest.raises(FileNotFoundError, match=r"no model.safetensors; pytorch_model.bin is not read"):
            from_pretrained(saved)

    def test_weights_of_another_size(self, saved, tmp_path_factory):
        other = tmp_path_factory.mktemp("other")
        create_model("rope/tiny", width=64).save_pretrained(other)
        (saved / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
        with pytest.raises(ValueError, match=r"qkv.weight has shape \(128, 64\), expected \(64, 32\)"):
            from_pretrained(saved)
        create_model("rope/tiny", num_layers=1).save_pretrained(other)
        (saved / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
        with pytest.raises(ValueError, match=r"it lacks blocks\.1"):
            from_pretrained(saved)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"architecture": "RoFormer"}, "holds a RoFormer, expected a RotaryLM"),
            ({"architecture": "Nothing"}, "names the architecture 'Nothing'"),
            ({"config": {"width": "x"}}, "width must be int, got 'x'"),
            ({"config": {"wdth": 3}}, "no field wdth"),
            ({"config": []}, "no config that save_pretrained wrote"),
        ],
    )
    def test_foreign_config(self, saved, change, message):
        written = json.loads((saved / CONFIG).read_text())
        (saved / CONFIG).write_text(json.dumps(written | change))
        load = from_pretrained if "Nothing" in message else kexue.models.RotaryLM.from_pretrained
        with pytest.raises(ValueError, match=message):
            load(saved)


def test_tied_weights_stay_tied(tmp_path):
    model = create_model("rope/tiny", tied=True)
    model.save_pretrained(tmp_path)
    other = kexue.models.RotaryLM.from_pretrained(tmp_path)
    assert other.head.weight is other.embedding.weight
    torch.testing.assert_close(other.head.weight, model.head.weight, rtol=0, atol=0)


class TestDrawing:
    def test_greedy_and_restricted(self):
        logits = torch.tensor([[0.0, 2.0, 1.0, -1.0]]).expand(4000, -1)
        draw = kexue.models._language.draw
        assert draw(logits, temperature=0).eq(1).all()
        assert set(draw(logits, top_k=2).tolist()) == {1, 2}
        assert set(draw(logits, top_p=0.6).tolist()) == {1}
        assert set(draw(logits, top_p=0.7).tolist()) == {1, 2}

    def test_frequencies_are_the_softmax(self):
        logits = torch.tensor([[0.0, 2.0, 1.0, -1.0]])
        drawn = kexue.models._language.draw(
            logits.expand(100_000, -1), temperature=2.0, generator=torch.Generator().manual_seed(0)
        )
        expected = (logits[0] / 2).softmax(-1)
        measured = drawn.bincount(minlength=4) / 100_000
        assert float((measured - expected).abs().max()) < 0.01

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"temperature": -1}, "temperature must be"),
            ({"top_k": 0}, "top_k must be at least 1, got 0"),
            ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            kexue.models._language.draw(torch.zeros(1, 3), **options)

    def test_bad_prompts(self):
        model = build("rope/tiny")
        with pytest.raises(ValueError, match=r"prompt must have shape \(batch, length ≥ 1\)"):
            kexue.models.generate(model, torch.zeros(1, 0, dtype=torch.long), 1)
        with pytest.raises(ValueError, match=r"tokens in \[0, 64\), got 0..64"):
            kexue.models.generate(model, torch.tensor([[0, 64]]), 1)


LANGUAGE_MODELS = [n for n in TINY if issubclass(type(build(n)), kexue.models.LanguageModel)]


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_generation_with_a_cache_equals_recomputation(name: str):
    model = build(name).double().eval()
    prompt = torch.randint(model.config.vocab_size, (2, 5), generator=torch.Generator().manual_seed(2))
    got = kexue.models.generate(model, prompt, 12, temperature=0)
    tokens = prompt
    for _ in range(12):
        tokens = torch.cat((tokens, model(tokens)[:, -1].argmax(-1, keepdim=True)), dim=1)
    assert torch.equal(got, tokens)
    assert isinstance(model.blocks, nn.ModuleList)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@pytest.mark.parametrize("pieces", [(1,) * 12, (5, 1, 6), (11, 1)])
def test_streaming_equals_one_shot(name: str, pieces: tuple[int, ...]):
    model = build(name).double().eval()
    tokens = torch.randint(model.config.vocab_size, (2, 12), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        state, outputs = model.initial_state(2), []
        for piece in tokens.split(pieces, dim=1):
            logits, state = model.step(piece, state)
            outputs.append(logits)
        torch.testing.assert_close(torch.cat(outputs, dim=1), model(tokens), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_no_token_sees_the_future(name: str):
    model = build(name).double().eval()
    tokens = torch.randint(model.config.vocab_size, (1, 12), generator=torch.Generator().manual_seed(2))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % model.config.vocab_size
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    torch.testing.assert_close(after[:, :7], before[:, :7], rtol=1e-10, atol=1e-10)
    assert float((after - before)[:, 7:].abs().max()) > 1e-6
