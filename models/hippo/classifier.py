"""Models: a stack of state space layers over a sequence, and the recurrent network with a HiPPO memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kexue.models._model import Config, Model
from kexue.models._torch import full_precision

from .layers import INITS, LRU, S4, S4D, S5, StateSpaceLayer
from .matrices import discretize, hippo_transition
from .projection import LegSCell

LAYERS = ("s4", "s4d", "s5", "lru")


@dataclass(frozen=True)
class StateSpaceConfig(Config):
    """A stack of state space layers between two linear maps, with mean pooling.

    layer: "s4", "s4d", "s5" or "lru". state: N. context: the longest input (S4 needs it). normalisation: "layer" or
    "batch", in front of a block ("prenorm") or behind its sum. task: "classification" (integer targets) or
    "regression" (targets of d_output numbers). init: of S4D. measure: of S4. blocks: of S5.
    """

    d_input: int = 1
    d_output: int = 10
    width: int = 128
    num_layers: int = 4
    layer: str = "s4"
    state: int = 64
    context: int = 1024
    dropout: float = 0.1
    normalisation: str = "layer"
    prenorm: bool = True
    task: str = "classification"
    step_min: float = 1e-3
    step_max: float = 1e-1
    init: str = "lin"
    measure: str = "legs"
    blocks: int = 1
    r_min: float = 0.4
    r_max: float = 0.99

    def __post_init__(self) -> None:
        self.at_least(1, "d_input", "d_output", "width", "num_layers", "context")
        choices = {
            "layer": LAYERS, "normalisation": ("layer", "batch"), "task": ("classification", "regression"),
            "init": INITS, "measure": ("legs", "legt", "lagt"),
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.state < 2 or self.state % 2:
            raise ValueError(f"state must be even and at least 2, got {self.state}")
        self.fractions("dropout")
        if not 0 < self.step_min <= self.step_max:
            raise ValueError(f"step_min must be in (0, step_max = {self.step_max}], got {self.step_min}")
        if not 0 <= self.r_min < self.r_max < 1:
            raise ValueError(f"r_min must be in [0, r_max) and r_max below 1, got {self.r_min} and {self.r_max}")
        if self.blocks < 1 or self.state % (2 * self.blocks):
            raise ValueError(f"blocks must be at least 1 and 2·blocks divide state = {self.state}, got {self.blocks}")


def state_space_layer(config: StateSpaceConfig) -> StateSpaceLayer:
    steps = (config.step_min, config.step_max)
    if config.layer == "s4":
        return S4(config.width, config.state, length=config.context, measure=config.measure, step_range=steps)
    if config.layer == "s4d":
        return S4D(config.width, config.state, init=config.init, step_range=steps)
    if config.layer == "s5":
        return S5(config.width, config.state, blocks=config.blocks, step_range=steps)
    return LRU(config.width, config.state, ring=(config.r_min, config.r_max))


class StateSpaceBlock(nn.Module):
    """Norm, state space layer, GELU, a gated linear unit, dropout that is one for all positions, and the sum."""

    def __init__(self, config: StateSpaceConfig) -> None:
        super().__init__()
        self.prenorm, self.p = config.prenorm, config.dropout
        batch = config.normalisation == "batch"
        self.norm = nn.BatchNorm1d(config.width) if batch else nn.LayerNorm(config.width)
        self.layer = state_space_layer(config)
        self.mix = nn.Linear(config.width, 2 * config.width)

    def normalise(self, x: Float[Tensor, "batch *length width"]) -> Float[Tensor, "batch *length width"]:
        if isinstance(self.norm, nn.BatchNorm1d) and x.ndim == 3:
            return self.norm(x.mT).mT  # type: ignore[no-any-return]
        return self.norm(x)  # type: ignore[no-any-return]

    def dropped(self, x: Tensor) -> Tensor:
        """Whole channels of a sequence at once."""
        if not (self.training and self.p):
            return x
        keep = torch.empty(x.shape[0], 1, x.shape[2], dtype=x.dtype, device=x.device).bernoulli_(1 - self.p)
        return x * keep / (1 - self.p)

    def forward(self, x: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch length width"]:
        y = self.layer(self.normalise(x) if self.prenorm else x)
        y = self.dropped(F.glu(self.mix(self.dropped(F.gelu(y))), dim=-1))
        return x + y if self.prenorm else self.normalise(x + y)

    def step(self, x: Float[Tensor, "batch width"], state: Any) -> tuple[Float[Tensor, "batch width"], Any]:
        y, state = self.layer.step(self.normalise(x) if self.prenorm else x, state)
        y = F.glu(self.mix(F.gelu(y)), dim=-1)
        return (x + y if self.prenorm else self.normalise(x + y)), state


class StateSpaceModel(Model, config=StateSpaceConfig):
    """Sequence classification or regression with S4, S4D, S5 or LRU layers and mean pooling."""

    def __init__(self, config: StateSpaceConfig) -> None:
        super().__init__(config)
        self.encoder = nn.Linear(config.d_input, config.width)
        self.blocks = nn.ModuleList([StateSpaceBlock(config) for _ in range(config.num_layers)])
        self.norm = nn.LayerNorm(config.width) if config.prenorm else nn.Identity()
        self.decoder = nn.Linear(config.width, config.d_output)

    def forward(self, inputs: Float[Tensor, "batch length d_input"]) -> Float[Tensor, "batch d_output"]:
        """Logits, or the predicted numbers.

        Raises:
            ValueError: an empty sequence, or one longer than `context`.
        """
        if not 1 <= inputs.shape[1] <= self.config.context:
            raise ValueError(f"inputs must have a length in [1, {self.config.context}], got {inputs.shape[1]}")
        x = self.encoder(inputs)
        for block in self.blocks:
            x = block(x)
        return self.decoder(self.norm(x).mean(1))  # type: ignore[no-any-return]

    def layers(self) -> list[StateSpaceLayer]:
        return [cast(StateSpaceLayer, block.layer) for block in self.blocks]

    def initial_state(self, batch_size: int) -> dict[str, Any]:
        """The state of a stream: one for each layer, and what the pooling has seen."""
        bias = self.encoder.bias
        total = torch.zeros(batch_size, self.config.width, dtype=bias.dtype, device=bias.device)
        return {"layers": [layer.initial_state(batch_size) for layer in self.layers()], "sum": total, "count": 0}

    def step(
        self, inputs: Float[Tensor, "batch d_input"], state: dict[str, Any]
    ) -> tuple[Float[Tensor, "batch d_output"], dict[str, Any]]:
        """The output for what has been read up to now: `forward` of the prefix (in evaluation mode)."""
        x, layers = self.encoder(inputs), []
        for block, old in zip(self.blocks, state["layers"], strict=True):
            x, new = cast(StateSpaceBlock, block).step(x, old)
            layers.append(new)
        total, count = state["sum"] + self.norm(x), state["count"] + 1
        return self.decoder(total / count), {"layers": layers, "sum": total, "count": count}

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy in nats, or mean squared error, of `inputs` (batch, length, d_input) against `targets`."""
        return task_loss(self.config.task, self(batch["inputs"]), batch["targets"])

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        return task_example(self.config, batch_size, generator, device)

    def parameter_groups(
        self, lr: float = 1e-2, system_lr: float = 1e-3, weight_decay: float = 1e-2
    ) -> list[dict[str, Any]]:
        """Groups for an optimiser: eigenvalues, steps and input maps learn slower and don't decay (S4, appendix)."""
        system: list[nn.Parameter] = []
        for layer in self.layers():
            system += [getattr(layer, name) for name in layer.system_parameters]
        known = {id(p) for p in system}
        rest = [p for p in self.parameters() if id(p) not in known]
        return [
            {"params": rest, "lr": lr, "weight_decay": weight_decay},
            {"params": system, "lr": system_lr, "weight_decay": 0.0},
        ]


def task_loss(task: str, outputs: Tensor, targets: Tensor) -> Tensor:
    if task == "classification":
        return F.cross_entropy(outputs.float() if outputs.dtype != torch.float64 else outputs, targets)
    return F.mse_loss(outputs, targets.to(outputs.dtype))


def task_example(
    config: Any, batch_size: int, generator: torch.Generator | None, device: torch.device | str
) -> dict[str, Tensor]:
    inputs = torch.randn(batch_size, config.context, config.d_input, generator=generator)
    if config.task == "classification":
        targets = torch.randint(config.d_output, (batch_size,), generator=generator)
    else:
        targets = torch.randn(batch_size, config.d_output, generator=generator)
    return {"inputs": inputs.to(device), "targets": targets.to(device)}


@dataclass(frozen=True)
class HiPPORNNConfig(Config):
    """A gated recurrent network with a HiPPO memory of order N (arXiv 2008.07669, section 3).

    measure: "legs", or "legt" / "lagt" with a `window` in steps (LagT's unit is one window).
    """

    d_input: int = 1
    d_output: int = 10
    hidden: int = 512
    order: int = 512
    context: int = 784
    measure: str = "legs"
    window: float = 200.0
    task: str = "classification"

    def __post_init__(self) -> None:
        self.at_least(1, "d_input", "d_output", "hidden", "order", "context")
        if self.measure not in ("legs", "legt", "lagt"):
            raise ValueError(f"measure must be one of legs, legt, lagt, got {self.measure!r}")
        if self.task not in ("classification", "regression"):
            raise ValueError(f"task must be classification or regression, got {self.task!r}")
        if not self.window > 0:
            raise ValueError(f"window must be > 0, got {self.window}")


class HiPPOCell(nn.Module):
    """f = W_f h; c ← Āc + B̄f; h ← (1 − g)h + g tanh(W'[h, c, x]) with the gate g = σ(W[h, c, x])."""

    A: Tensor
    B: Tensor

    def __init__(self, config: HiPPORNNConfig) -> None:
        super().__init__()
        self.feature = nn.Linear(config.hidden, 1)
        self.update = nn.Linear(config.hidden + config.order + config.d_input, 2 * config.hidden)
        self.legs = LegSCell(config.order, "held") if config.measure == "legs" else None
        A, B = hippo_transition(config.measure, config.order)
        if config.measure != "legs":
            A, B = discretize(A, B, 1 / config.window, "bilinear")
        self.register_buffer("A", A, persistent=False)
        self.register_buffer("B", B, persistent=False)

    def memory(
        self, c: Float[Tensor, "batch order"], f: Float[Tensor, "batch"], k: int
    ) -> Float[Tensor, "batch order"]:
        """The coefficients after the k-th feature, k = 0, 1, …; at least in float32."""
        with full_precision(c):
            f = f.to(c.dtype)
            if self.legs is None:
                return c @ self.A.mT.to(c) + f[:, None] * self.B.to(c)
            return self.legs.first(f) if k == 0 else self.legs(c, f, f, k)

    def forward(
        self,
        x: Float[Tensor, "batch d_input"],
        h: Float[Tensor, "batch hidden"],
        c: Float[Tensor, "batch order"],
        k: int,
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch order"]]:
        c = self.memory(c, self.feature(h)[:, 0], k)
        gate, proposal = self.update(torch.cat((h, c.to(h.dtype), x.to(h.dtype)), dim=-1)).chunk(2, dim=-1)
        gate = gate.sigmoid().to(h.dtype)
        return (1 - gate) * h + gate * proposal.tanh().to(h.dtype), c


class HiPPORNN(Model, config=HiPPORNNConfig):
    """The HiPPO paper's recurrent network: the output is read from the last hidden state."""

    def __init__(self, config: HiPPORNNConfig) -> None:
        super().__init__(config)
        self.blocks = nn.ModuleList([HiPPOCell(config)])
        self.decoder = nn.Linear(config.hidden, config.d_output)

    def forward(self, inputs: Float[Tensor, "batch length d_input"]) -> Float[Tensor, "batch d_output"]:
        """Raises ValueError for an empty sequence."""
        if inputs.shape[1] < 1:
            raise ValueError("inputs must have at least one position, got none")
        state, output = self.initial_state(inputs.shape[0]), None
        for i in range(inputs.shape[1]):
            output, state = self.advance(inputs[:, i], state)
        assert output is not None
        return self.decoder(output)  # type: ignore[no-any-return]

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor, int]:
        weight = self.decoder.weight
        work = torch.promote_types(weight.dtype, torch.float32)
        h = torch.zeros(batch_size, self.config.hidden, dtype=weight.dtype, device=weight.device)
        return h, torch.zeros(batch_size, self.config.order, dtype=work, device=weight.device), 0

    def advance(self, x: Tensor, state: tuple[Tensor, Tensor, int]) -> tuple[Tensor, tuple[Tensor, Tensor, int]]:
        h, c, k = state
        h, c = self.blocks[0](x, h, c, k)
        return h, (h, c, k + 1)

    def step(
        self, inputs: Float[Tensor, "batch d_input"], state: tuple[Tensor, Tensor, int]
    ) -> tuple[Float[Tensor, "batch d_output"], tuple[Tensor, Tensor, int]]:
        """The output for what has been read up to now."""
        h, state = self.advance(inputs, state)
        return self.decoder(h), state

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy in nats, or mean squared error, of `inputs` (batch, length, d_input) against `targets`."""
        return task_loss(self.config.task, self(batch["inputs"]), batch["targets"])

    def example(
        self, batch_size: int, generator: torch.Generator | None = None, device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        return task_example(self.config, batch_size, generator, device)
