"""Lion as an optimiser: loop, chunks, foreach and the fused kernels, all with the bits of `lion_step`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from kexue.models._torch import is_sharded, shard_here

from . import kernel
from .functional import check_betas, check_gradient, check_product, check_rates, working_type
from .quantised import BLOCK, dequantise_blocks, quantise_blocks

CHUNK = 1 << 19  # elements: parameter, gradient, momentum and scratch of a chunk stay in the cache between passes
FUSED_TYPES = {
    "cuda": ("triton", (torch.float32, torch.float16, torch.bfloat16)),
    "cpu": ("numba", (torch.float32, torch.float64)),
}
STATE_TYPES = (None, torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int8)


class SignOptimizer(torch.optim.Optimizer):
    """What the optimisers of this article share: closures, checks of groups, states that keep their types."""

    state_names: tuple[str, ...] = ("exp_avg",)

    def check_group(self, group: dict[str, Any]) -> None:
        """Raises ValueError for options out of their range."""
        raise NotImplementedError

    def step_group(self, group: dict[str, Any], held: list[tuple[Tensor, Tensor]]) -> None:
        """One step for the parameters and gradients of a group."""
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.check_group(self.param_groups[-1])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; returns what the closure did. If the closure raises, no parameter has been changed."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            held = [(p, p.grad) for p in group["params"] if p.grad is not None]
            for p, g in held:
                check_gradient(p, g)
            self.step_group(group, held)
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:  # type: ignore[override]
        """As torch's, but states keep the types in which they were saved.

        Raises:
            ValueError: the state of another kind of optimiser.
        """
        groups, saved = state_dict["param_groups"], state_dict["state"]
        for group in groups:
            missing = set(self.defaults) - set(group)
            if missing:
                raise ValueError(f"state_dict must be that of {type(self).__name__}, its groups lack {sorted(missing)}")
        for values in saved.values():
            if "exp_avg" not in values or not set(values) <= set(self.state_names):
                raise ValueError(f"state_dict must be that of {type(self).__name__}, got states {sorted(values)}")
        super().load_state_dict(dict(state_dict))
        theirs = [i for group in groups for i in group["params"]]
        ours = [p for group in self.param_groups for p in group["params"]]
        for i, p in zip(theirs, ours, strict=True):
            if i in saved:
                self.state[p] = {name: x.clone().to(p.device) for name, x in saved[i].items()}


def local(x: Tensor) -> Tensor:
    """The part of a sharded tensor that is here; complex numbers as pairs of reals."""
    x = shard_here(x)
    return torch.view_as_real(x) if x.is_complex() else x


class Lion(SignOptimizer):
    """θ ← (1 − ηλ)θ − η sign(β1 m + (1 − β1)g), m ← β2 m + (1 − β2)g (archive 9473, equation 1).

    Compared with AdamW the paper takes a learning rate 3 to 10 times smaller and a weight decay as many times larger;
    β = (0.95, 0.98) for language. |θ| stays below `lion_bound`. A gradient that isn't finite makes m NaN for good, and
    the sign of NaN counts as 0: look at gradients before the step, for instance with `clip_grad_norm_`.

    Args:
        params: parameters or groups of them; all options but the first may differ between groups.
        lr: η > 0; a tensor on the device with capturable=True.
        betas: (β1, β2), each in [0, 1).
        weight_decay: λ ≥ 0, decoupled; it never enters m.
        foreach: few calls for all parameters (CUDA), or chunks that stay in the cache (CPU). By default wherever it is
            possible; False is the plain loop.
        fused: one pass over memory: a Triton kernel (CUDA; float32, float16, bfloat16), or one compiled by numba (CPU;
            float32, float64). By default on the CPU where numba is installed and `foreach` isn't given.
        maximize: ascend.
        capturable: lr may be a tensor that CUDA graphs read at replay; nothing else of a step depends on the host.
        mask_zero: see `lion_step`.
        state_dtype: of the momentum, by default the parameter's own. torch.bfloat16 loses increments below 2⁻⁸ of m,
            (1 − β2)|g − m| among them; torch.int8 keeps blocks of 256 with random rounding, see `quantise_blocks`.

    Raises:
        ValueError: an option out of its range; sparse gradients; a gradient whose shape or type isn't its parameter's.
        RuntimeError: fused=True without triton (CUDA) or numba (CPU).
    """

    state_names = ("exp_avg", "exp_avg_scale")

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        fused: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        mask_zero: bool = False,
        state_dtype: torch.dtype | None = None,
    ) -> None:
        defaults = {
            "lr": lr, "betas": betas, "weight_decay": weight_decay, "foreach": foreach, "fused": fused,
            "maximize": maximize, "capturable": capturable, "mask_zero": mask_zero, "state_dtype": state_dtype,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check_group(self, group: dict[str, Any]) -> None:
        check_rates(group["lr"], group["weight_decay"])
        check_betas(group["betas"])
        if group["state_dtype"] not in STATE_TYPES:
            raise ValueError(f"state_dtype must be None, a floating type or torch.int8, got {group['state_dtype']}")
        if group["fused"]:
            self._check_fused(group)

    @staticmethod
    def _check_fused(group: dict[str, Any]) -> None:
        if group["foreach"]:
            raise ValueError("foreach and fused must not both be True")
        if group["capturable"] or group["state_dtype"] is torch.int8:
            raise ValueError("fused=True must not be combined with capturable=True or state_dtype=torch.int8")
        for p in group["params"]:
            if p.device.type not in FUSED_TYPES:
                raise RuntimeError(f"fused=True needs parameters on a CUDA device or the CPU, got one on {p.device}")
            package, types = FUSED_TYPES[p.device.type]
            if p.dtype not in types:
                names = ", ".join(str(each).removeprefix("torch.") for each in types)
                raise ValueError(f"fused=True takes {names} parameters on {p.device.type}, got {p.dtype}")
            if not kernel.available(package):
                raise RuntimeError(f"fused=True needs {package} for parameters on {p.device}, which can't be imported")

    def momentum(self, p: Tensor, state_dtype: torch.dtype | None) -> dict[str, Tensor]:
        """The state of a parameter, zeros at first."""
        state = self.state[p]
        if "exp_avg" not in state:
            if state_dtype is torch.int8:
                n = local(p).numel()
                if is_sharded(p):
                    raise ValueError("state_dtype=torch.int8 must not be used with sharded parameters")
                state["exp_avg"] = torch.zeros(n, dtype=torch.int8, device=p.device)
                state["exp_avg_scale"] = torch.zeros((n + BLOCK - 1) // BLOCK, device=p.device)
            else:
                kind = torch.view_as_real(p) if p.is_complex() else p
                state["exp_avg"] = torch.zeros_like(kind, dtype=state_dtype or kind.dtype)
        return state

    def step_group(self, group: dict[str, Any], held: list[tuple[Tensor, Tensor]]) -> None:
        lr, weight_decay = group["lr"], group["weight_decay"]
        if isinstance(lr, Tensor) and not group["capturable"]:
            lr = float(lr)
        if not isinstance(lr, Tensor):
            check_product(lr, weight_decay)
        rule = Rule(lr, 1 - lr * weight_decay, 1 - group["betas"][0], 1 - group["betas"][1], group["mask_zero"])
        parts: list[Part] = []
        together: list[Part] = []  # for the kernel of the CPU
        for p, g in held:
            state, theta, slope = self.momentum(p, group["state_dtype"]), local(p), local(g)
            if theta.device.type == "cpu" and (group["fused"] or in_one_pass(group, rule, theta, slope, state)):
                together.append((theta, slope, local(state["exp_avg"])))
                continue
            if group["fused"]:
                kernel.fused_step_(
                    theta, slope, local(state["exp_avg"]), lr, rule.decay, rule.weight1, rule.weight2,
                    group["maximize"], group["mask_zero"],
                )  # fmt: skip
                continue
            if group["maximize"]:
                slope = -slope
            if "exp_avg_scale" in state:
                quantised_step_(rule, theta, slope, state)
            else:
                parts.append((theta, slope, local(state["exp_avg"])))
        if together:
            host().fused_steps_(
                together, lr, rule.decay, rule.weight1, rule.weight2, group["maximize"], group["mask_zero"]
            )
        if group["foreach"] is False:
            for part in parts:
                loop_step_(rule, *part)
        else:
            for device, alike in by_device(parts).items():
                (foreach_step_ if device.type == "cuda" else chunked_step_)(rule, alike)


def in_one_pass(group: dict[str, Any], rule: Rule, p: Tensor, g: Tensor, state: dict[str, Tensor]) -> bool:
    """Whether the kernel of the CPU is taken without being asked for."""
    if group["fused"] is not None or group["foreach"] is not None or p.device.type != "cpu" or rule.on_device:
        return False
    m = local(state["exp_avg"])
    fits = "exp_avg_scale" not in state and plain(p, g, m) and all(x.is_contiguous() for x in (p, g, m))
    return fits and p.numel() > 0 and kernel.available("numba")


def host() -> Any:
    """The module of the CPU's kernel, which imports numba."""
    from . import host

    return host


Part = tuple[Tensor, Tensor, Tensor]  # θ, g, m


class Rule:
    """The constants of a step: η, 1 − ηλ, 1 − β1, 1 − β2. η and 1 − ηλ may be tensors."""

    def __init__(self, lr: Any, decay: Any, weight1: float, weight2: float, mask_zero: bool = False) -> None:
        self.lr, self.decay, self.weight1, self.weight2, self.mask_zero = lr, decay, weight1, weight2, mask_zero
        self.on_device = isinstance(lr, Tensor)

    def move_(self, p: Tensor, u: Tensor) -> None:
        """θ ← (1 − ηλ)θ − ηu; u is overwritten if η is a tensor."""
        if self.on_device or self.decay != 1:
            p.mul_(self.decay)
        if self.on_device:
            p.sub_(u.mul_(self.lr))
        else:
            p.add_(u, alpha=-self.lr)


def by_device(parts: Iterable[Part]) -> dict[torch.device, list[Part]]:
    found = defaultdict(list)
    for part in parts:
        found[part[0].device].append(part)
    return found


def plain(p: Tensor, g: Tensor, m: Tensor) -> bool:
    """Whether no type has to be converted, and no rounding be saved."""
    return p.dtype == g.dtype == m.dtype and p.dtype in (torch.float32, torch.float64)


def loop_step_(rule: Rule, p: Tensor, g: Tensor, m: Tensor) -> None:
    """One step of one parameter, in place."""
    if not plain(p, g, m):
        wide = working_type(p, m)
        theta, slope, momentum = p.to(wide), g.to(wide), m.to(wide)
        loop_step_(rule, theta, slope, momentum)
        p.copy_(theta)
        m.copy_(momentum)
        return
    c = torch.lerp(m, g, rule.weight1)
    if rule.mask_zero:
        c.masked_fill_(g == 0, 0.0)
    rule.move_(p, c.sign_())
    m.lerp_(g, rule.weight2)


def chunks(p: Tensor, g: Tensor, m: Tensor) -> Iterator[Part]:
    """The flat tensors in pieces of CHUNK elements; as they are where they are small or not contiguous."""
    if p.numel() <= CHUNK or not (p.is_contiguous() and g.is_contiguous() and m.is_contiguous()):
        yield p, g, m
    else:
        yield from zip(*(x.view(-1).split(CHUNK) for x in (p, g, m)), strict=True)


def chunked_step_(rule: Rule, parts: Iterable[Part]) -> None:
    """The same, a chunk at a time: memory is read and written once, all other passes are in the cache."""
    scratch: dict[torch.dtype, Tensor] = {}
    for part in parts:
        if not plain(*part):
            for piece in chunks(*part):
                loop_step_(rule, *piece)
            continue
        for p, g, m in chunks(*part):
            n = p.numel()
            if n > CHUNK or not p.is_contiguous():
                loop_step_(rule, p, g, m)
                continue
            if p.dtype not in scratch:
                scratch[p.dtype] = torch.empty(CHUNK, dtype=p.dtype, device=p.device)
            c = scratch[p.dtype][:n].view(p.shape)
            torch.lerp(m, g, rule.weight1, out=c)
            m.lerp_(g, rule.weight2)  # while m and g are near
            if rule.mask_zero:
                c.masked_fill_(g == 0, 0.0)
            rule.move_(p, c.sign_())


def foreach_step_(rule: Rule, parts: list[Part]) -> None:
    """The same in five calls for all parameters of a type."""
    alike: dict[torch.dtype, list[Part]] = defaultdict(list)
    for part in parts:
        if plain(*part):
            alike[part[0].dtype].append(part)
        else:
            loop_step_(rule, *part)
    for group in alike.values():
        ps, gs, ms = (list(column) for column in zip(*group, strict=True))
        cs = list(torch._foreach_lerp(ms, gs, rule.weight1))
        if rule.mask_zero:
            for c, g in zip(cs, gs, strict=True):
                c.masked_fill_(g == 0, 0.0)
        torch._foreach_sign_(cs)
        if rule.on_device or rule.decay != 1:
            torch._foreach_mul_(ps, rule.decay)
        if rule.on_device:
            torch._foreach_mul_(cs, rule.lr)
            torch._foreach_sub_(ps, cs)
        else:
            torch._foreach_add_(ps, cs, alpha=-rule.lr)
        torch._foreach_lerp_(ms, gs, rule.weight2)


def quantised_step_(rule: Rule, p: Tensor, g: Tensor, state: dict[str, Tensor]) -> None:
    """One step with the momentum in 8 bits, a chunk (a multiple of the block) at a time."""
    theta, slope = (p if p.is_contiguous() else p.contiguous()).view(-1), g.reshape(-1)
    codes, scales = state["exp_avg"], state["exp_avg_scale"]
    for at in range(0, theta.numel(), CHUNK):
        piece, rows = slice(at, at + CHUNK), slice(at // BLOCK, (at + CHUNK) // BLOCK)
        m = dequantise_blocks(codes[piece], scales[rows])
        loop_step_(rule, theta[piece], slope[piece], m)
        codes[piece], scales[rows] = quantise_blocks(m)
    if not p.is_contiguous():
        p.copy_(theta.view(p.shape))


class CautiousLion(Lion):
    """Lion that moves only coordinates whose step agrees in sign with the gradient, and those the more.

    K. Liang et al., Cautious Optimizers, 2024, arXiv 2411.16085: u is multiplied by φ = [u g > 0] and by k/(Σφ + 1), k
    the number of the parameter's coordinates. Arguments as for `Lion`; there is no foreach and no fused form, and no
    state_dtype. The bound of Lion doesn't hold: a single coordinate may move by up to ηk/2.

    Raises:
        ValueError: as for `Lion`; foreach or fused, or a state_dtype.
    """

    def check_group(self, group: dict[str, Any]) -> None:
        for name in ("foreach", "fused", "state_dtype"):
            if group[name]:
                raise ValueError(f"{name} must be left out for CautiousLion, got {group[name]}")
        super().check_group(group)

    def step_group(self, group: dict[str, Any], held: list[tuple[Tensor, Tensor]]) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        if isinstance(lr, Tensor) and not group["capturable"]:
            lr = float(lr)
        for p, grad in held:
            m = local(self.momentum(p, None)["exp_avg"])
            theta, g = local(p), local(grad)
            g = -g if group["maximize"] else g
            wide = working_type(theta)
            slope, momentum = g.to(wide), m.to(wide)
            u = torch.lerp(momentum, slope, 1 - beta1).sign_()
            agrees = u * slope > 0
            u.mul_(agrees).mul_(u.numel() / (agrees.sum() + 1))
            theta.copy_(theta.to(wide) * (1 - lr * group["weight_decay"]) - u.mul_(lr))
            m.copy_(momentum.lerp_(slope, 1 - beta2))
