"""The whole step in one Triton kernel: 20 bytes of traffic for each float32 parameter. Imported only when it is used.

The bits are those of `lion_step`: torch's lerp is fma(w, g − m, m) for w < ½ and g − (g − m)(1 − w) with an fma
otherwise; contraction elsewhere is switched off, so that (1 − ηλ)θ is rounded before ±η is added. There is no
autotuning: a kernel that works in place must run exactly once.
"""

from __future__ import annotations

import functools
import importlib.util

from torch import Tensor

BLOCK = 1024


@functools.cache
def available(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def fused_step_(
    param: Tensor, grad: Tensor, exp_avg: Tensor, lr: float, decay: float, weight1: float, weight2: float,
    negate: bool, mask_zero: bool,
) -> None:  # fmt: skip
    """One step in place: `decay` is 1 − ηλ, the weights are 1 − β1 and 1 − β2, all as float32 in the kernel.

    Raises:
        ValueError: tensors that aren't contiguous.
    """
    for name, x in (("parameters", param), ("gradients", grad), ("exp_avg", exp_avg)):
        if not x.is_contiguous():
            raise ValueError(f"{name} must be contiguous for fused=True, got strides {x.stride()}")
    from ._triton import lion_kernel

    n = param.numel()
    if n:
        lion_kernel[((n + BLOCK - 1) // BLOCK,)](
            param, grad, exp_avg, n, lr, decay, weight1, weight2,
            DECAYS=decay != 1, NEGATE=negate, MASK=mask_zero, NEAR1=weight1 < 0.5, NEAR2=weight2 < 0.5, BLOCK=BLOCK,
            enable_fp_fusion=False,
        )  # fmt: skip
