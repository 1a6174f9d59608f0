"""`kexue train` and `kexue sample`: a run on Lightning that can be killed at any moment and goes on bit for bit."""

from __future__ import annotations

import copy
import json
import logging
import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.utils.data import DataLoader

from kexue.models import LanguageModel, Model, create_model, from_pretrained, generate
from kexue.models._model import preset
from kexue.models._torch import is_sharded, whole
from kexue.models.gradient_clipping import clip_grad_norm_, total_norm
from kexue.models.lion import Lion, Tiger
from kexue.training.data import Batches, DataError, Samples, default_data, load, split

CLIPS = ("hard", "soft", "log", "none")
OPTIMISERS = ("adamw", "lion", "tiger", "sgd")
CHECKPOINT, EXPORT, SUMMARY = "last.ckpt", "model", "summary.json"


@dataclass(frozen=True)
class Settings:
    """How to train; each field is an option of `kexue train`."""

    data: str | None = None
    steps: int = 1000
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup: int = 100
    clip: str = "hard"
    clip_norm: float = 1.0
    ema: float = 0.999
    seed: int = 0
    precision: str = "32-true"
    devices: int = 1
    strategy: str = "auto"
    compile: bool = False
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("devices", 1), ("warmup", 0), ("checkpoint_every", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate must be a positive number, got {self.learning_rate}")
        if self.optimizer not in OPTIMISERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMISERS)}, got {self.optimizer!r}")
        if self.clip not in CLIPS:
            raise ValueError(f"clip must be one of {', '.join(CLIPS)}, got {self.clip!r}")
        if not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be positive, got {self.clip_norm}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1), got {self.ema}")
        if self.strategy not in ("auto", "ddp", "fsdp"):
            raise ValueError(f"strategy must be auto, ddp or fsdp, got {self.strategy!r}")


class Training(lightning.LightningModule):
    """The generic module: a model's loss, an optimiser with warm-up, clipping, and an exponential average of weights.

    All random numbers of a step are drawn from a seed that (seed, step, rank) determines, so a checkpoint needs no
    state of a generator.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        self.average = copy.deepcopy(model).requires_grad_(False) if settings.ema else None
        self._loss: Any = None

    def configure_model(self) -> None:
        if self._loss is not None:
            return
        if self.device_mesh is not None:
            for module in (self.model, *([] if self.average is None else [self.average])):
                shard(module, self.device_mesh["data_parallel"])
        self._loss = torch.compile(self.model.loss) if self.settings.compile else self.model.loss

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(_seed(self.settings.seed, self.global_step, self.global_rank))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        loss = self._loss(batch)
        self.log("loss", loss, prog_bar=True, on_step=True, sync_dist=self.trainer.world_size > 1)
        return loss

    def configure_optimizers(self) -> Any:
        s = self.settings
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimiser = optimiser_of(s, trained)
        warm = lambda step: min(1.0, (step + 1) / s.warmup) if s.warmup else 1.0  # noqa: E731
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, warm)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        s = self.settings
        if s.clip == "none":
            norm = total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        else:
            norm = clip_grad_norm_(self.model.parameters(), s.clip_norm, s.clip, error_if_nonfinite=False)
        self.log("gradient norm", norm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.average is not None:  # here, since a checkpoint is written before the hooks at the end of a batch
            decay = min(self.settings.ema, (1 + self.global_step) / (10 + self.global_step))
            with torch.no_grad():
                for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                    mean.lerp_(now, 1 - decay)
                for kept, held in zip(self.average.buffers(), self.model.buffers(), strict=True):
                    kept.copy_(held)


def optimiser_of(settings: Settings, trained: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW with β = (0.9, 0.99), Lion and Tiger of the article lion, or descent with momentum 0.9."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(trained, rate, betas=(0.9, 0.99), weight_decay=decay)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(trained, rate, momentum=0.9, weight_decay=decay)
    if settings.optimizer == "lion":
        return Lion(trained, rate, weight_decay=decay)
    # Steps in proportion to their size would hardly move layers that start at 0 or near it, as the last ones often do.
    moved: dict[str, Any] = {"params": []}
    still: dict[str, Any] = {"params": [], "scaled": False}
    for p in trained:
        (still if p.ndim > 1 and float(p.detach().square().mean()) < 1e-8 else moved)["params"].append(p)
    return Tiger([group for group in (moved, still) if group["params"]], rate, weight_decay=decay)


def shard(model: Model, mesh: DeviceMesh) -> None:
    """FSDP2: the parameters of each block, and the rest, are split over the processes of the mesh."""
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    register_fsdp_forward_method(model, "loss")


def unsharded(model: Model) -> Model:
    """The model itself, or a whole copy of one that was sharded; all processes have to call it."""
    held = model.state_dict()
    if not any(map(is_sharded, held.values())):
        return model
    all_of_it = type(model)(model.config)
    all_of_it.load_state_dict({name: whole(value) for name, value in held.items()})
    return all_of_it


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


class _Feed(lightning.LightningDataModule):
    """Hands out batches from the step at which the run begins or goes on."""

    def __init__(self, data: Samples, settings: Settings) -> None:
        super().__init__()
        self.data, self.settings = data, settings

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        assert self.trainer is not None
        s, t = self.settings, self.trainer
        batches = Batches(len(self.data), s.batch_size, s.seed, t.global_rank, t.world_size)
        batches.start = t.global_step
        return DataLoader(self.data, batch_sampler=batches)


def train(
    name: str, settings: Settings, out: str | Path, *, epochs: float | None = None, resume: bool = False,
    overrides: dict[str, Any] | None = None, quiet: bool = False, samples: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Trains a preset and writes `out`/model (safetensors), samples, TensorBoard logs and a summary.

    Args:
        epochs: passes over the data, instead of the settings' steps.
        resume: go on from the last checkpoint in `out`, which must be there.
        overrides: fields of the model's config.
        samples: draw some at the end.

    Returns:
        The summary: loss before and after on the held-out tenth of the data, steps, parameters.

    Raises:
        DataError: data that can't be loaded or don't fit.
        ValueError: an unknown model or option; `out` already holds a run and resume is False.
        FileNotFoundError: nothing to resume from.
    """
    out = Path(out)
    checkpoint = out / CHECKPOINT
    if resume and not checkpoint.is_file():
        raise FileNotFoundError(f"there is no {checkpoint} to resume from")
    if not resume and checkpoint.exists():
        raise ValueError(f"{out} already holds a run: pass resume, or choose another folder")
    config = preset(name)
    overrides = dict(overrides or {})
    data_name = settings.data or default_data(config)
    if hasattr(config, "vocab_size") and "vocab_size" not in overrides:
        overrides["vocab_size"] = 256  # bytes
    torch.manual_seed(settings.seed)
    model = create_model(name, **overrides)
    data = load(data_name, model.config)
    seen, held_out = split(data)
    if epochs is not None:
        settings = replace(settings, steps=max(1, round(epochs * len(seen) / settings.batch_size)))
    module = Training(model, settings)
    if not resume:
        out.mkdir(parents=True, exist_ok=True)
    before = evaluate(model, held_out, settings)
    strategy: Any = settings.strategy if settings.devices > 1 else "auto"
    if strategy == "fsdp":
        strategy = ModelParallelStrategy(settings.devices, 1, save_distributed_checkpoint=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        trainer = lightning.Trainer(
            max_steps=settings.steps, accelerator="gpu" if torch.cuda.is_available() else "cpu",
            devices=settings.devices, strategy=strategy, precision=settings.precision,  # type: ignore[arg-type]
            default_root_dir=out,
            logger=TensorBoardLogger(out, name="logs", version=""),
            callbacks=[
                ModelCheckpoint(
                    out, filename="last", every_n_train_steps=settings.checkpoint_every, save_top_k=1,
                    enable_version_counter=False, save_on_train_epoch_end=False,
                ),
                *([] if quiet else [TQDMProgressBar(refresh_rate=20)]),
            ],
            enable_progress_bar=not quiet, enable_model_summary=False, use_distributed_sampler=False,
            num_sanity_val_steps=0, log_every_n_steps=10,
        )  # fmt: skip
        start = checkpoint if resume else None
        trainer.fit(module, _Feed(seen, settings), ckpt_path=start, weights_only=False)
        trainer.save_checkpoint(checkpoint)
    final = unsharded(module.average if module.average is not None else module.model)
    summary = {
        "model": name,
        "overrides": overrides,
        "data": data_name,
        "steps": trainer.global_step,
        "parameters": model.num_parameters(),
        "loss before": before,
        "loss after": evaluate(final, held_out, settings),
    }
    if isinstance(final, LanguageModel):
        summary |= {f"bits per byte {when}": summary[f"loss {when}"] / math.log(2) for when in ("before", "after")}
    if trainer.is_global_zero:
        final.save_pretrained(out / EXPORT)
        if samples:
            write_samples(final, out, seed=settings.seed)
        (out / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


@torch.no_grad()
def evaluate(model: Model, data: Samples, settings: Settings, batches: int = 8) -> float:
    """The mean loss of some fixed batches with fixed noise."""
    model.eval()
    losses = []
    sampler = iter(Batches(len(data), min(settings.batch_size, len(data)), settings.seed + 1))
    device = next(model.parameters()).device
    for i in range(batches):
        samples = [data[j] for j in next(sampler)]
        batch = {key: torch.stack([s[key] for s in samples]).to(device) for key in samples[0]}
        torch.manual_seed(_seed(settings.seed + 1, i))
        losses.append(float(model.loss(batch)))
    model.train()
    return sum(losses) / len(losses)


def write_samples(
    model: Model, out: str | Path, *, count: int = 64, seed: int = 0, prompt: str = "def "
) -> Path | None:
    """A grid of images, `samples.png`, or a text, `samples.txt`; None for models that can't be sampled."""
    out = Path(out)
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    if isinstance(model, LanguageModel):
        tokens = torch.tensor([list(prompt.encode())], device=device)
        length = min(400, model.config.context - tokens.shape[1])
        torch.manual_seed(seed)
        text = generate(model, tokens, length, temperature=0.8)
        data = bytes(t for t in text[0].tolist() if t < 256)
        (out / "samples.txt").write_text(data.decode("utf-8", errors="replace") + "\n", encoding="utf-8")
        return out / "samples.txt"
    draw_images: Any = getattr(model, "sample", None)
    if draw_images is not None:
        save_grid(draw_images(count, generator=generator), out / "samples.png")
        return out / "samples.png"
    return None


def save_grid(images: Tensor, file: Path, smallest: int = 48) -> None:
    """Images in [−1, 1], (count, channels, height, width), as one PNG; small ones are enlarged."""
    from PIL import Image

    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    pixels = ((images.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    grid = torch.full((channels, rows * (height + 1) - 1, columns * (width + 1) - 1), 255, dtype=torch.uint8)
    for i, image in enumerate(pixels):
        r, c = divmod(i, columns)
        top, left = r * (height + 1), c * (width + 1)
        grid[:, top : top + height, left : left + width] = image
    array = grid[0].numpy() if channels == 1 else grid[:3].permute(1, 2, 0).numpy()
    scale = max(1, math.ceil(smallest / height))
    picture = Image.fromarray(array)
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(file)


def sample(checkpoint: str | Path, out: str | Path, *, count: int = 64, seed: int = 0, prompt: str = "def ") -> Path:
    """Samples of a trained model: a folder that `train` or `save_pretrained` wrote.

    Raises:
        FileNotFoundError: there is no model.
        DataError: a model that can't be sampled.
    """
    folder = Path(checkpoint)
    model = from_pretrained(folder / EXPORT if (folder / EXPORT).is_dir() else folder)
    Path(out).mkdir(parents=True, exist_ok=True)
    written = write_samples(model, out, count=count, seed=seed, prompt=prompt)
    if written is None:
        raise DataError(f"{type(model).__name__} can't be sampled")
    return written


# The runs of `make train-demo`, and of the comparison of optimisers: preset, settings, fields of the config.
DEMO: list[tuple[str, Settings, dict[str, Any]]] = [
    ("ddpm/digits", Settings(batch_size=64, learning_rate=2e-3, ema=0.99), {}),
    (
        "rope/tiny",
        Settings(batch_size=16, learning_rate=3e-3, ema=0.99),
        {"context": 128, "width": 128, "num_layers": 3, "num_heads": 4, "num_kv_heads": 2, "ffn": 344},
    ),
]


def demo(out: str | Path, steps: int = 1500) -> list[dict[str, Any]]:
    """`make train-demo`: a small DDPM on the digits and a small RoPE language model on the standard library.

    What to expect of any number of steps worth the name: the DDPM's loss below ½ (predicting no noise gives 1), the
    language model's bits per byte below the entropy of single bytes, which a model without memory can't reach.
    """
    out = Path(out)
    folders = [out / name.replace("/", "-") for name, _, _ in DEMO]
    summaries = [
        train(name, replace(s, steps=steps), folder, overrides=o)
        for (name, s, o), folder in zip(DEMO, folders, strict=True)
    ]
    for summary in summaries:
        figures = ", ".join(f"{k} {v:.3f}" for k, v in summary.items() if isinstance(v, float))
        print(f"{summary['model']}: {figures}")
    draw_demo(out, folders)
    return summaries


def logged(folder: Path, name: str) -> list[tuple[int, float]]:
    """(step, value) of what a run logged for TensorBoard; steps count from 1."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    return [(event.step + 1, event.value) for event in events.Scalars(name)]


def draw_demo(out: Path, runs: list[Path]) -> None:
    """The loss curves of the two runs and the samples between them: `out`/demo.png."""
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for axes, folder, scale, what in (
        (left, runs[0], 1.0, "mean squared error of the noise"),
        (right, runs[1], 1 / math.log(2), "bits per byte"),
    ):
        points = [(step, value * scale) for step, value in logged(folder, "loss")]
        axes.plot(*zip(*points, strict=True), lw=1)
        axes.set(xlabel="optimiser step", ylabel=what, ylim=(0, None))
    left.set_title("DDPM on the digits: loss")
    right.set_title("RoPE language model: loss")
    middle.imshow(imread(runs[0] / "samples.png"), cmap="gray")
    middle.set_title("its samples")
    middle.axis("off")
    figure.savefig(out / "demo.png", dpi=110)
