"""What all models share: frozen configs, presets by name, weights in safetensors, and a loss that training asks for."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from kexue.models._registry import entries, slugs

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FORMAT = 1

C = TypeVar("C", bound="Config")
M = TypeVar("M", bound="Model")


@dataclasses.dataclass(frozen=True)
class Config:
    """The hyper-parameters of a model: a frozen dataclass, so that a preset can't be changed by accident.

    Fields are numbers, strings, Booleans, None, or tuples of them. `__post_init__` of a subclass checks them.
    """

    def at_least(self, least: float | int, *names: str) -> None:
        """Raises ValueError for a field of these that is less, or NaN."""
        for name in names:
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def fractions(self, *names: str) -> None:
        """Raises ValueError for a field of these, such as a dropout, that isn't in [0, 1)."""
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")

    def replace(self: C, **overrides: Any) -> C:
        """A copy with other values.

        Raises:
            TypeError: for a name that is no field, with the nearest names.
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in overrides:
            if name not in known:
                near = difflib.get_close_matches(name, known) or known
                raise TypeError(f"{type(self).__name__} has no field {name!r}; the nearest are {', '.join(near)}")
        return dataclasses.replace(self, **overrides)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls: type[C], data: Mapping[str, Any]) -> C:
        """Raises ValueError for missing, unknown or wrongly typed fields."""
        hints = get_type_hints(cls)
        fields = {f.name: f for f in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - set(fields)):
            raise ValueError(f"{cls.__name__} has no field {', '.join(unknown)}")
        required = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
        if missing := sorted(required - set(data)):
            raise ValueError(f"{cls.__name__} needs the fields {', '.join(missing)}")
        return cls(**{name: _decoded(value, hints[name], name) for name, value in data.items()})


def _decoded(value: Any, hint: Any, name: str) -> Any:
    """JSON has no tuples: lists become what the field's type says. A value of another type is refused."""
    if isinstance(value, list):
        return tuple(_decoded(v, None, name) for v in value)
    allowed = tuple(get_origin(h) or h for h in (get_args(hint) if get_args(hint) else (hint,)) if isinstance(h, type))
    plain = get_origin(hint) is None or type(None) in get_args(hint)
    if hint is not None and plain and allowed and not isinstance(value, allowed):
        if not (float in allowed and isinstance(value, int) and not isinstance(value, bool)):
            raise ValueError(f"{name} must be {' or '.join(t.__name__ for t in allowed)}, got {value!r}")
    return value


ARCHITECTURES: dict[type[Config], type[Model]] = {}


class Model(nn.Module):
    """A trainable model: `Model(config)`, `loss(batch)`, `example(...)`, `save_pretrained`, `from_pretrained`.

    A subclass names its config class, `class RoFormer(Model, config=RoFormerConfig)`, keeps its repeated layers in
    `self.blocks` (what FSDP shards and activation checkpointing wraps), and defines

        loss(batch) -> a scalar tensor; batch is a dict of tensors that the docstring describes
        example(batch_size, generator, device) -> such a dict, random but valid, for tests and warm-up

    Its module holds `PRESETS`, a dict of configs by name.
    """

    config_class: ClassVar[type[Config]]
    blocks: nn.ModuleList

    def __init_subclass__(cls, config: type[Config] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if config is not None:
            cls.config_class = config
            ARCHITECTURES[config] = cls

    def __init__(self, config: Config) -> None:
        super().__init__()
        if not isinstance(config, self.config_class):
            raise TypeError(f"config must be a {self.config_class.__name__}, got {type(config).__name__}")
        self.config: Any = config

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        raise NotImplementedError

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` into a folder, which is made if it isn't there."""
        from safetensors.torch import save_model

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = {"format": FORMAT, "architecture": type(self).__name__, "config": self.config.to_json()}
        save_model(self, str(folder / WEIGHTS))
        (folder / CONFIG).write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls: type[M], source: str | Path, *, device: torch.device | str = "cpu") -> M:
        """The model that `save_pretrained` wrote: a folder, or the name of a repository on the Hugging Face Hub.

        Only safetensors are read; a pickle is never loaded.

        Raises:
            FileNotFoundError: the folder or one of its two files isn't there.
            ValueError: a file is damaged, belongs to another architecture, or its tensors don't fit the config.
        """
        from safetensors import SafetensorError, safe_open

        folder = _folder(source)
        config = _config_of(folder, cls)
        with torch.device("meta"):
            model = cls(config)
        expected = _tensors(model)
        try:
            with safe_open(str(folder / WEIGHTS), framework="pt", device=str(device)) as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
                wrong = _difference({n: tuple(t.shape) for n, t in expected.items()}, shapes, _aliases(model))
                if wrong:
                    raise ValueError(f"{folder / WEIGHTS} doesn't fit {cls.__name__}: {wrong}")
                state = {name: file.get_tensor(name) for name in shapes}
        except SafetensorError as error:
            raise ValueError(f"{folder / WEIGHTS} is no whole safetensors file: {error}") from error
        model = cls(config).to(device=device)
        for name, held in _tensors(model).items():
            if name in state:
                held.data = state[name]
        return model


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.state_dict(keep_vars=True))


def _aliases(model: nn.Module) -> dict[str, str]:
    """Names of tied tensors that a file may leave out: alias -> the name under which the tensor is kept."""
    first: dict[int, str] = {}
    return {n: first[id(t)] for n, t in _tensors(model).items() if first.setdefault(id(t), n) != n}


def _difference(expected: Mapping[str, Any], found: Mapping[str, Any], aliases: Mapping[str, str]) -> str:
    """What the two lists of tensors don't share, in words; empty if a file fits."""
    groups: dict[str, set[str]] = {}
    for name in expected:
        groups.setdefault(aliases.get(name, name), set()).add(name)
    missing = [min(names) for names in groups.values() if not names & set(found)]
    surplus = sorted(set(found) - set(expected))
    unequal = [n for n in found if n in expected and found[n] != expected[n]]
    reshaped = [f"{n} has shape {found[n]}, expected {expected[n]}" for n in unequal]
    parts = [f"it lacks {', '.join(missing[:5])}"] if missing else []
    parts += [f"it has {', '.join(surplus[:5])} besides"] if surplus else []
    return "; ".join(parts + reshaped[:5])


def _folder(source: str | Path) -> Path:
    folder = Path(source)
    if folder.is_dir():
        for name in (CONFIG, WEIGHTS):
            if not (folder / name).is_file():
                others = [p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
                hint = f"; {', '.join(others)} is not read, since a pickle can run any code" if others else ""
                raise FileNotFoundError(f"{folder} has no {name}{hint}")
        return folder
    name = str(source)
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or folder.suffix:
        raise FileNotFoundError(f"no such folder: {source}")
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS]))


def _written(folder: Path) -> dict[str, Any]:
    try:
        written = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(written["architecture"], str) or not isinstance(written["config"], dict):
            raise ValueError("architecture must be a name and config an object")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} is no config that save_pretrained wrote: {error!r}") from error
    return dict(written)


def _config_of(folder: Path, cls: type[Model]) -> Config:
    written = _written(folder)
    if written["architecture"] != cls.__name__:
        raise ValueError(f"{folder} holds a {written['architecture']}, expected a {cls.__name__}")
    try:
        return cls.config_class.from_json(written["config"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG}: {error}") from error


def from_pretrained(source: str | Path, *, device: torch.device | str = "cpu") -> Model:
    """As `Model.from_pretrained`, for a folder of any architecture: its config says which."""
    folder = _folder(source)
    name = _written(folder)["architecture"]
    for slug in slugs():
        if name in entries(slug, "__all__"):
            cls = getattr(importlib.import_module(f"kexue.models.{slug}"), name)
            if isinstance(cls, type) and issubclass(cls, Model):
                return cls.from_pretrained(folder, device=device)
    raise ValueError(f"{folder / CONFIG} names the architecture {name!r}, which kexue.models doesn't have")


def list_models(pattern: str = "*") -> list[str]:
    """The names of all presets that match a shell pattern: "rope/*", "*/tiny". No model's module is imported."""
    return [name for name in _presets() if fnmatch.fnmatchcase(name, pattern)]


def create_model(
    name: str, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None, **overrides: Any
) -> Model:
    """A freshly initialised model of a preset.

    Args:
        name: "slug/preset", one of `list_models()`.
        device: where to build it; "meta" allocates nothing.
        dtype: of its parameters; float32 by default.
        **overrides: fields of the config to change.

    Raises:
        ValueError: for an unknown name, with the nearest names.
        TypeError: for an override that is no field of the config, with the nearest fields.
    """
    config = preset(name).replace(**overrides)
    with torch.device(device or "cpu"):
        model = ARCHITECTURES[type(config)](config)
    return model if dtype is None else model.to(dtype)


def preset(name: str) -> Config:
    """The config behind a name of `list_models()`."""
    if name not in _presets():
        slug, _, _ = name.partition("/")
        near = difflib.get_close_matches(name, _presets()) or list_models(f"{slug}/*") or list_models()[:8]
        raise ValueError(f"no model is called {name!r}; the nearest names are {', '.join(near)}")
    slug, _, key = name.partition("/")
    return importlib.import_module(f"kexue.models.{slug}").PRESETS[key]  # type: ignore[no-any-return]


def _presets() -> list[str]:
    return [f"{slug}/{key}" for slug in slugs() for key in entries(slug, "PRESETS")]
