"""The architectures of the articles in torch, importable for training. Imports torch, never SymPy.

    from kexue.models import RoFormer, create_model, list_models
    model = create_model("rope/tiny", num_layers=4)

A module's public names are those of its `__all__`; they are found by reading the syntax tree and loaded when they are
first used, so that `import kexue.models` costs nothing.
"""

import functools
import importlib
import typing

from kexue.models._registry import entries, slugs

if typing.TYPE_CHECKING:
    from kexue.models._language import LanguageModel as LanguageModel
    from kexue.models._language import generate as generate
    from kexue.models._model import Config as Config
    from kexue.models._model import Model as Model
    from kexue.models._model import create_model as create_model
    from kexue.models._model import from_pretrained as from_pretrained
    from kexue.models._model import list_models as list_models

_PLATFORM = ("Config", "Model", "create_model", "from_pretrained", "list_models")


@functools.cache
def _homes() -> dict[str, str]:
    """Public name -> module, for all articles."""
    homes = {**dict.fromkeys(_PLATFORM, "_model"), "LanguageModel": "_language", "generate": "_language"}
    for slug in slugs():
        for name in entries(slug, "__all__"):
            homes.setdefault(name, slug)
    return homes


def __getattr__(name: str) -> typing.Any:
    home = None if name.startswith("__") else _homes().get(name)
    if home is None:
        raise AttributeError(f"module 'kexue.models' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kexue.models.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
