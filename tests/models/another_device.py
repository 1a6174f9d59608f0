"""Small models and the optimisers on a pretended accelerator: devices are followed, and nothing is computed.

A program of its own, since a pretended device can't be taken back; test_devices.py runs it. It prints a line of JSON
for each: on which devices the results are, and where the host waited for a value in the second loss, in later steps
of a sampler, in the second step of an optimiser.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

from kexue.models import create_model, list_models
from kexue.models._language import LanguageModel, generate
from kexue.models.ddpm.model import Diffusion
from kexue.models.gradient_clipping import L0L1GD, ClippedSGD, GradientClipping, NormalizedGD
from kexue.models.lion import CautiousLion, Lion, LionK, Tiger


class Backend(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


backend_registration._setup_privateuseone_for_python_backend("pretended", backend_module=Backend())
DEVICE = torch.device("pretended", 0)


class LeftBehind(nn.Module):
    """A table that is no buffer stays on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.table = nn.Parameter(torch.ones(3)), torch.ones(3)

    def example(self, batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
        return {"x": torch.randn(batch_size, 3, generator=generator)}

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        return (batch["x"] * self.weight * self.table).sum()


class ReadsBack(LeftBehind):
    """A branch on a value waits for it."""

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        product = batch["x"] * self.weight
        return product.sum() if product.max() > 0 else product.mean()


WRONG = {"left-behind": LeftBehind, "reads-back": ReadsBack}


class Waits(TorchDispatchMode):
    """Notes where a value is read back from the device, and answers True or 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def during(self, call: Callable[[], Any]) -> tuple[Any, list[str]]:
        """What a call returns, and the lines noted meanwhile."""
        start = len(self.lines)
        return call(), self.lines[start:]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.lines.append(ours(traceback.extract_stack()))
            return args[0].dtype == torch.bool or 1
        return func(*args, **(kwargs or {}))


def ours(frames: traceback.StackSummary) -> str:
    """The innermost line that isn't torch's and not of the functions here."""
    inner = [f for f in frames if "site-packages" not in f.filename and f.name not in ("__torch_dispatch__", "ours")]
    return f"{inner[-1].filename}:{inner[-1].lineno}: {inner[-1].line}"


def there(x: Tensor) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=DEVICE)


def move(model: nn.Module) -> None:
    """What `model.to(DEVICE)` does, which can't make fakes of real tensors."""
    for module in model.modules():
        for key, p in module._parameters.items():
            if p is not None:
                module._parameters[key] = nn.Parameter(there(p), p.requires_grad)
        for key, b in module._buffers.items():
            if b is not None:
                module._buffers[key] = there(b)


def samples(model: Any, length: int) -> list[Tensor]:
    """What a model draws, if it is one that can, with the device's random numbers and with the host's."""
    made = []
    for generator in (None, torch.Generator()):
        if isinstance(model, LanguageModel):
            prompt = torch.ones(2, 3, dtype=torch.long, device=DEVICE)
            made.append(generate(model, prompt, length, top_k=3, top_p=0.9, generator=generator))
        elif isinstance(model, Diffusion):
            made.append(model.sample(2, steps=length, generator=generator))
        elif hasattr(model, "sample"):
            made.append(model.sample(2, generator=generator))
    return made


def tried(name: str) -> dict[str, Any]:
    model: Any = WRONG[name]() if name in WRONG else create_model(name)
    batch = model.example(2, torch.Generator().manual_seed(0))
    with FakeTensorMode(allow_non_fake_inputs=False), Waits() as waits:
        move(model)
        batch = {key: there(x) for key, x in batch.items()}
        model.loss(batch).backward()  # the first may look at the data, and initialises what depends on it
        loss, waited = waits.during(lambda: model.loss(batch))
        waited += waits.during(loss.backward)[1]
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        drawn = samples(model, 2)
        once, more = (waits.during(lambda n=n: samples(model, n))[1] for n in (2, 5))
        waited += more[len(once) :]  # the host may wait before the first step of a sampler, not in those that follow
    return {"devices": sorted({str(x.device) for x in (loss, *gradients, *drawn)}), "waited": waited}


def clipped(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(parameters, 0.1)
    GradientClipping(optimizer, 1.0, "soft", error_if_nonfinite=False)
    return optimizer


OPTIMISERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "Lion, loop": lambda parameters: Lion(parameters, foreach=False),
    "Lion, foreach": lambda parameters: Lion(parameters, foreach=True),
    "CautiousLion": CautiousLion,
    "LionK": lambda parameters: LionK(parameters, K="huber"),
    "Tiger": lambda parameters: Tiger(parameters, nan_shrink=None),
    "Tiger, NaN": Tiger,
    "ClippedSGD": lambda parameters: ClippedSGD(parameters, 0.1),
    "NormalizedGD": lambda parameters: NormalizedGD(parameters, 0.1),
    "L0L1GD": lambda parameters: L0L1GD(parameters, 1.0, 1.0),
    "GradientClipping": clipped,
}


def stepped(name: str) -> dict[str, Any]:
    """The second step of an optimiser."""
    with FakeTensorMode(allow_non_fake_inputs=False), Waits() as waits:
        parameters = [nn.Parameter(torch.empty(shape, device=DEVICE)) for shape in ((3, 2), (5,))]
        for p in parameters:
            p.grad = torch.empty_like(p)
        optimizer = OPTIMISERS[name](parameters)
        optimizer.step()
        _, waited = waits.during(optimizer.step)
        state = [x for of in optimizer.state.values() for x in of.values() if isinstance(x, Tensor)]
    return {"devices": sorted({str(x.device) for x in (*parameters, *state)}), "waited": waited}


def main() -> None:
    for name in [*OPTIMISERS, *WRONG, *(name for name in list_models() if name.endswith("tiny"))]:
        try:
            found = (stepped if name in OPTIMISERS else tried)(name)
        except Exception as error:
            where = ours(traceback.extract_tb(error.__traceback__))
            found = {"error": f"{type(error).__name__}: {str(error)[:300]}, at {where}"}
        print(json.dumps({"name": name} | found), flush=True)


if __name__ == "__main__":
    main()
