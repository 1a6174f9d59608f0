"""Training: the order of samples, data by name, a killed run that goes on bit for bit, several processes, samples."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from safetensors.torch import load_file  # noqa: E402

from kexue.models import create_model  # noqa: E402
from kexue.models._model import preset  # noqa: E402
from kexue.training import compare  # noqa: E402
from kexue.training.data import Batches, DataError, Images, Text, default_data, load, split  # noqa: E402
from kexue.training.run import Settings, demo, logged, sample, save_grid, train  # noqa: E402

SMALL = Settings(steps=12, batch_size=8, checkpoint_every=4, warmup=2, ema=0.9)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def kexue(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kexue", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, **options)


def take(batches: Batches, count: int) -> list[list[int]]:
    found = iter(batches)
    return [next(found) for _ in range(count)]


class TestOrder:
    def test_each_epoch_is_another_permutation(self):
        two = take(Batches(10, 5, seed=3), 4)
        assert sorted(two[0] + two[1]) == sorted(two[2] + two[3]) == list(range(10))
        assert two[:2] != two[2:]
        assert take(Batches(10, 5, seed=3), 4) == two != take(Batches(10, 5, seed=4), 4)

    def test_it_goes_on_anywhere(self):
        whole = take(Batches(11, 4, seed=0), 9)
        later = Batches(11, 4, seed=0)
        later.start = 5
        assert take(later, 4) == whole[5:]

    def test_processes_share_one_global_batch(self):
        whole = take(Batches(12, 6, seed=0), 3)
        shares = [take(Batches(12, 6, seed=0, rank=r, world=2), 3) for r in range(2)]
        assert all(sorted(a + b) == sorted(batch) for a, b, batch in zip(*shares, whole))

    def test_bad_sizes(self):
        with pytest.raises(DataError, match="at most the 4 samples, got 5"):
            Batches(4, 5, 0)
        with pytest.raises(DataError, match="multiple of the 2 devices, got 3"):
            Batches(4, 3, 0, world=2)


class TestData:
    def test_digits(self):
        data = load("digits", preset("ddpm/tiny"))
        assert len(data) == 1797 and data[0]["images"].shape == (1, 8, 8)
        assert float(data.images.min()) == -1 and float(data.images.max()) == 1
        assert load("digits", preset("ddpm/paper-tiny"))[3]["images"].shape == (3, 16, 16)

    def test_the_standard_library_as_text(self):
        config = preset("rope/tiny").replace(vocab_size=256)
        data = load(default_data(config), config)
        assert len(data) > 10_000 and data[5]["tokens"].shape == (33,)
        assert torch.equal(data[0]["tokens"][-1], data[1]["tokens"][0])

    def test_a_file(self, tmp_path):
        (tmp_path / "a.txt").write_bytes(b"0123456789" * 10)
        config = preset("rope/tiny").replace(vocab_size=256, context=9)
        data = load(f"text:{tmp_path / 'a.txt'}", config)
        assert isinstance(data, Text) and len(data) == 11
        assert bytes(data[1]["tokens"].tolist()) == b"9012345678"

    def test_a_folder_of_images(self, tmp_path):
        from PIL import Image

        (tmp_path / "sub").mkdir()
        for i, size in enumerate([(20, 10), (8, 8)]):
            Image.new("RGB", size, (255 * i, 0, 0)).save(tmp_path / "sub" / f"{i}.png")
        (tmp_path / "notes.txt").write_text("no image")
        data = load(f"images:{tmp_path}", preset("ddpm/paper-tiny"))
        assert isinstance(data, Images) and data.images.shape == (2, 3, 16, 16)
        assert data.images[1, 0].eq(1).all() and data.images[0].eq(-1).all()

    def test_a_hugging_face_data_set(self, tmp_path):
        datasets = pytest.importorskip("datasets")
        datasets.Dataset.from_dict({"text": ["hello world, " * 20]}).save_to_disk(tmp_path / "saved")
        config = preset("rope/tiny").replace(vocab_size=256)
        assert len(load(f"hf:{tmp_path / 'saved'}", config)) == 8

    @pytest.mark.parametrize(
        ("name", "model", "message"),
        [
            ("mnist", "ddpm/tiny", "data must be digits, stdlib, .*, got 'mnist'"),
            ("images", "ddpm/tiny", "got 'images'"),
            ("stdlib", "ddpm/tiny", "DDPMConfig is trained on images, got the data 'stdlib'"),
            ("stdlib", "rope/tiny", "vocab_size must be at least 256 for bytes, got 64"),
            ("images:/nowhere", "ddpm/tiny", "must name a folder, got /nowhere"),
            ("digits", "rope/tiny", "is trained on tokens"),
        ],
    )
    def test_bad_names(self, name, model, message):
        with pytest.raises(DataError, match=message):
            load(name, preset(model))

    def test_every_tenth_sample_is_held_out(self):
        data = Images(torch.arange(25.0).reshape(25, 1, 1, 1))
        seen, held_out = ({float(part[i]["images"]) for i in range(len(part))} for part in split(data))
        assert held_out == {9.0, 19.0} and seen | held_out == set(range(25)) and not seen & held_out
        assert [len(part) for part in split(Images(data.images[:2]))] == [1, 1]
        with pytest.raises(DataError, match="at least 2 samples, so that one can be held out, got 1"):
            split(Images(data.images[:1]))

    def test_bad_files(self, tmp_path):
        with pytest.raises(DataError, match="must hold images"):
            load(f"images:{tmp_path}", preset("ddpm/tiny"))
        (tmp_path / "broken.png").write_bytes(b"no image")
        with pytest.raises(DataError, match=r"broken.png is no image"):
            load(f"images:{tmp_path}", preset("ddpm/tiny"))
        config = preset("rope/tiny").replace(vocab_size=256)
        with pytest.raises(DataError, match="can't be read: No such file"):
            load(f"text:{tmp_path}/nothing", config)
        (tmp_path / "short").write_bytes(b"x")
        with pytest.raises(DataError, match="at least 33 bytes for its context, got 1"):
            load(f"text:{tmp_path}/short", config)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def test_a_run_writes_what_it_promises(tmp_path):
    summary = train("ddpm/tiny", SMALL, tmp_path / "run", quiet=True)
    assert summary["steps"] == 12 and summary["loss after"] < summary["loss before"]
    written = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"model", "last.ckpt", "samples.png", "summary.json", "logs"} <= written
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["parameters"] == summary["parameters"]
    assert sample(tmp_path / "run", tmp_path / "again", count=4).is_file()
    with pytest.raises(ValueError, match="already holds a run"):
        train("ddpm/tiny", SMALL, tmp_path / "run", quiet=True)
    with pytest.raises(FileNotFoundError, match=r"no .*last.ckpt to resume from"):
        train("ddpm/tiny", SMALL, tmp_path / "other", resume=True, quiet=True)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ddpm/tiny", "rope/tiny"])
def test_a_killed_run_goes_on_bit_for_bit(model, tmp_path):
    """SIGKILL in the middle of an epoch, after the first checkpoint; then --resume against a run that wasn't killed."""
    options = ["--steps", "40", "--batch-size", "8", "--checkpoint-every", "3", "--seed", "5"]
    whole = kexue("train", model, *options, "--out", str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "kexue", "train", model, *options, "--out", str(killed)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not (killed / "last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert not (killed / "model").exists(), "it was killed too late to show anything"
    step = torch.load(killed / "last.ckpt", weights_only=False)["global_step"]
    assert 0 < step < 40
    resumed = kexue("train", model, *options, "--out", str(killed), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    expected, found = weights(tmp_path / "whole"), weights(killed)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    """DDP and FSDP2 over gloo, half of each batch per process: losses, gradient norms and averaged weights are those of
    one process within float tolerance. Processes that didn't share their gradients, or clipped by the norm of their own
    shard, would drift apart.
    """
    options = ["--steps", "30", "--batch-size", "8", "--clip-norm", "0.5", "--checkpoint-every", "100"]
    runs = {"one": ["--devices", "1"], **{s: ["--devices", "2", "--strategy", s] for s in ("ddp", "fsdp")}}
    for name, more in runs.items():
        done = kexue("train", "rope/tiny", *options, *more, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
    expected = weights(tmp_path / "one")
    for name in ("ddp", "fsdp"):
        for scalar in ("loss", "gradient norm"):
            found, one = (np.array(logged(tmp_path / run, scalar)) for run in (name, "one"))
            assert found.shape == (3, 2)
            np.testing.assert_allclose(found, one, rtol=1e-5)
        for key, value in weights(tmp_path / name).items():
            torch.testing.assert_close(value, expected[key], rtol=1e-3, atol=1e-5, msg=f"{name}: {key}")


@pytest.mark.slow
def test_a_sharded_run_is_resumed(tmp_path):
    """FSDP2 keeps whole checkpoints: 20 steps at once and 10 + 10 give the same weights."""
    options = ["--batch-size", "8", "--devices", "2", "--strategy", "fsdp", "--checkpoint-every", "100"]
    for out, steps, more in (("whole", 20, []), ("parts", 10, []), ("parts", 20, ["--resume"])):
        done = kexue("train", "rope/tiny", "--steps", str(steps), *options, *more, "--out", str(tmp_path / out))
        assert done.returncode == 0, done.stderr
    found = weights(tmp_path / "parts")
    assert all(torch.equal(found[name], value) for name, value in weights(tmp_path / "whole").items())


@pytest.mark.slow
def test_the_demo_learns_in_a_tenth_of_its_steps(tmp_path, capsys):
    digits, text = demo(tmp_path, steps=150)
    assert digits["loss before"] > 0.9 and digits["loss after"] < 0.5
    data = load("stdlib", preset("rope/tiny").replace(vocab_size=256)).tokens
    shares = torch.bincount(data.long()).double() / len(data)
    entropy = float(torch.special.entr(shares).sum()) / np.log(2)
    assert text["bits per byte before"] > 7.5 and text["bits per byte after"] < entropy
    assert "loss before" in capsys.readouterr().out and (tmp_path / "demo.png").is_file()


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 3e-3), ("lion", 1e-3), ("tiger", 2e-2), ("sgd", 1e-2)])
def test_every_optimiser_lowers_the_loss(optimizer, rate, tmp_path):
    settings = replace(SMALL, optimizer=optimizer, ema=0.0, steps=20, clip="soft", learning_rate=rate)
    summary = train("flows/tiny", settings, tmp_path / "run", quiet=True)
    assert summary["loss after"] < summary["loss before"]


def test_the_comparison_draws_what_it_ran(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "RATES", {"adamw": (1e-3,), "sgd": (0.1, 0.2)})
    monkeypatch.setattr(compare, "CLIP_RATES", (0.1,))
    found = compare.compare(tmp_path, steps=12)
    assert set(found["clipping"]["rope/tiny"]) == {"none", "hard", "soft", "log"}
    assert [row["rate"] for row in found["optimisers"]["ddpm/digits"]["sgd"]] == [0.1, 0.2]
    assert (tmp_path / "optimisers.png").is_file()
    assert json.loads((tmp_path / "optimisers.json").read_text())["optimisers"] == found["optimisers"]


def test_grids(tmp_path):
    from PIL import Image

    save_grid(torch.tensor([-1.0, 1.0, 0.0]).reshape(3, 1, 1, 1).expand(3, 1, 2, 2), tmp_path / "grid.png", smallest=2)
    pixels = np.asarray(Image.open(tmp_path / "grid.png"))
    assert pixels.shape == (5, 5) and pixels[0, 0] == 0 and pixels[0, 4] == 255 and pixels[4, 0] == 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number, got nan"),
        ({"optimizer": "adam"}, "optimizer must be one of adamw, lion, tiger, sgd, got 'adam'"),
        ({"clip": "sometimes"}, "clip must be one of hard, soft, log, none, got 'sometimes'"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\), got 1.0"),
        ({"strategy": "zero"}, "strategy must be auto, ddp or fsdp, got 'zero'"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        Settings(**change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "rope/tny"], "nearest names are rope/tiny"),
        (["train", "rope/tiny", "--preset", "tiny"], "--preset must be left out"),
        (["train", "rope", "--steps", "3", "--epochs", "1"], "exclude each other"),
        (["train", "rope/tiny", "--set", "width"], "--set must be FIELD=VALUE"),
        (["train", "rope/tiny", "--set", "wdth=3"], "the nearest are width"),
        (["sample", "/nowhere/model"], "no such folder"),
    ],
)
def test_wrong_usage(arguments, message, tmp_path):
    done = kexue(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr, done.stderr


def test_every_tiny_model_with_data_can_be_trained():
    from kexue.models import list_models
    from kexue.training.data import wants

    for name in list_models("*/*tiny"):
        config = preset(name)
        try:
            kind = wants(config)
        except DataError:
            continue  # trained on its own kind of data
        if hasattr(config, "vocab_size"):
            config = config.replace(vocab_size=256)
        data = load(default_data(config), config)
        torch.manual_seed(0)
        model = create_model(name, **({"vocab_size": 256} if kind == "tokens" else {}))
        batch = {key: torch.stack([data[i][key] for i in range(4)]) for key in data[0]}
        assert model.loss(batch).isfinite()
