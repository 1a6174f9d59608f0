"""Data by name: what ships with a dependency, your own files, a Hugging Face data set; and the order of the samples.

    digits         scikit-learn's 1797 handwritten digits, 8 × 8, in [−1, 1]
    images:DIR     all images of a folder and its subfolders, cropped to squares and resized
    stdlib         the source of Python's own standard library, byte by byte
    text:FILE      a file, byte by byte
    hf:NAME        a data set of the Hugging Face Hub (or saved by `datasets`), columns "image" or "text"
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, Subset

from kexue.models import LanguageModel
from kexue.models._model import ARCHITECTURES

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
STDLIB_BYTES = 8_000_000


class DataError(ValueError):
    """Data that can't be loaded or doesn't fit the model; the message says what was expected."""


class Images(Dataset[dict[str, Tensor]]):
    """Images in [−1, 1], float32 (count, channels, size, size)."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"images": self.images[index]}


class Text(Dataset[dict[str, Tensor]]):
    """Windows of `context` bytes, side by side, with the byte behind each if `next_byte` is to be predicted."""

    def __init__(self, data: bytes, context: int, name: str, next_byte: bool = True) -> None:
        self.extra = int(next_byte)
        if len(data) < context + self.extra:
            raise DataError(f"{name} must have at least {context + self.extra} bytes for its context, got {len(data)}")
        self.tokens = torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())
        self.context = context

    def __len__(self) -> int:
        return (len(self.tokens) - self.extra) // self.context

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        start = index * self.context
        return {"tokens": self.tokens[start : start + self.context + self.extra].long()}


Samples = Images | Text | Subset[dict[str, Tensor]]


def split(data: Images | Text) -> tuple[Samples, Samples]:
    """What is trained on, and every tenth sample, which is held out.

    Raises:
        DataError: fewer than two samples.
    """
    if len(data) < 2:
        raise DataError(f"data must have at least 2 samples, so that one can be held out, got {len(data)}")
    held_out = range(9, len(data), 10) if len(data) > 9 else range(len(data) - 1, len(data))
    seen = [i for i in range(len(data)) if i not in held_out]
    return Subset(data, seen), Subset(data, held_out)


class Batches(Sampler[list[int]]):
    """Endless batches whose content is a function of (seed, step) alone, so that a run can go on anywhere.

    Each epoch is a permutation of all samples; `start` is the number of steps done. With several processes each takes
    its share of the same global batch.
    """

    def __init__(self, length: int, batch_size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        if batch_size > length:
            raise DataError(f"batch_size must be at most the {length} samples, got {batch_size}")
        if batch_size % world:
            raise DataError(f"batch_size must be a multiple of the {world} devices, got {batch_size}")
        self.length, self.batch_size, self.seed, self.rank, self.world = length, batch_size, seed, rank, world
        self.start = 0

    def __iter__(self) -> Iterator[list[int]]:
        per_epoch = self.length // self.batch_size
        step, epoch, order = self.start, -1, np.empty(0, int)
        while True:
            now, place = divmod(step, per_epoch)
            if now != epoch:
                epoch, order = now, np.random.Generator(np.random.Philox(key=[self.seed, now])).permutation(self.length)
            batch = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield batch[self.rank :: self.world].tolist()
            step += 1


def wants(config: Any) -> str:
    """What a model is trained on, read off its config: "images" or "tokens".

    Raises:
        DataError: for a config with neither an image size nor a vocabulary, or of a model that needs labels.
    """
    if hasattr(config, "num_labels"):
        raise DataError(f"{type(config).__name__} needs labels, which the data here don't have")
    if hasattr(config, "image_size"):
        return "images"
    if hasattr(config, "vocab_size"):
        return "tokens"
    raise DataError(f"{type(config).__name__} has neither image_size nor vocab_size: it can't be trained from here")


def default_data(config: Any) -> str:
    return "digits" if wants(config) == "images" else "stdlib"


def load(name: str, config: Any) -> Images | Text:
    """The data of this name, in the shape that the model's config asks for.

    Raises:
        DataError: an unknown name, missing files or packages, or data that don't fit the config.
    """
    kind, _, rest = name.partition(":")
    wanted = wants(config)
    given = {"digits": "images", "images": "images", "stdlib": "tokens", "text": "tokens", "hf": wanted}.get(kind)
    if given is None or (kind in ("images", "text", "hf")) != bool(rest):
        raise DataError(f"data must be digits, stdlib, images:DIR, text:FILE or hf:NAME, got {name!r}")
    if given != wanted:
        raise DataError(f"{type(config).__name__} is trained on {wanted}, got the data {name!r}")
    if wanted == "tokens":
        if config.vocab_size < 256:
            raise DataError(f"vocab_size must be at least 256 for bytes, got {config.vocab_size}: pass vocab_size=256")
        next_byte = issubclass(ARCHITECTURES[type(config)], LanguageModel)
        return Text(_text(kind, rest), config.context, name, next_byte)
    if kind == "digits":
        return Images(_digits(config.image_size, config.channels))
    return Images(_stack(_files(rest) if kind == "images" else _hf_images(rest), config.image_size, config.channels))


def _digits(size: int, channels: int) -> Tensor:
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise DataError("digits come with scikit-learn, which isn't installed: pip install 'kexue[train]'") from error
    images = torch.from_numpy(load_digits().images).float() / 8 - 1
    if size % 8:
        raise DataError(f"image_size must be a multiple of 8 for digits, got {size}")
    scale = size // 8
    larger = images[:, None].repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return larger.expand(-1, channels, -1, -1).contiguous()


def _text(kind: str, rest: str) -> bytes:
    if kind == "stdlib":
        folder = Path(sysconfig.get_paths()["stdlib"])
        parts, total = [], 0
        for file in sorted(folder.glob("*.py")):
            data = file.read_bytes()
            parts.append(data)
            total += len(data)
            if total >= STDLIB_BYTES:
                break
        return b"\n".join(parts)
    if kind == "text":
        try:
            return Path(rest).read_bytes()
        except OSError as error:
            raise DataError(f"text file {rest} can't be read: {error.strerror}") from error
    return "\n\n".join(_hf(rest, "text")).encode()


def _hf(name: str, column: str) -> list[Any]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise DataError("hf: needs the package datasets: pip install datasets") from error
    loaded = datasets.load_from_disk(name) if Path(name).is_dir() else datasets.load_dataset(name, split="train")
    if isinstance(loaded, dict):
        loaded = loaded["train"]
    if column not in loaded.column_names:
        raise DataError(f"hf:{name} must have a column {column!r}, got {', '.join(loaded.column_names)}")
    return list(loaded[column])


def _hf_images(name: str) -> list[Any]:
    return _hf(name, "image")


def _files(folder: str) -> list[Any]:
    from PIL import Image, UnidentifiedImageError

    if not Path(folder).is_dir():
        raise DataError(f"images:DIR must name a folder, got {folder}")
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(f"{folder} must hold images ({', '.join(IMAGE_SUFFIXES)}), got none")
    opened = []
    for file in files:
        try:
            with Image.open(file) as image:
                opened.append(image.copy())
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{file} is no image that can be read: {error}") from error
    return opened


def _stack(images: list[Any], size: int, channels: int) -> Tensor:
    from PIL import Image, ImageOps

    if channels not in (1, 3):
        raise DataError(f"channels must be 1 or 3 for images, got {channels}")
    mode = "L" if channels == 1 else "RGB"
    fitted = [np.asarray(ImageOps.fit(i.convert(mode), (size, size), Image.Resampling.BICUBIC)) for i in images]
    stacked = torch.from_numpy(np.stack(fitted)).float() / 127.5 - 1
    return stacked[:, None] if channels == 1 else stacked.permute(0, 3, 1, 2).contiguous()
