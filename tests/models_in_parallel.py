"""What the processes of the data-parallel test do; a module of its own, since spawned processes import it by name."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from kexue.models import Model, create_model


class Loss(torch.nn.Module):
    """DDP runs hooks in `forward`, so the loss is put there."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.model.loss(batch)


def loss_and_gradients(
    model: Model, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(3)
    loss = model.loss(batch)
    loss.backward()
    return loss.detach(), {k: p.grad for k, p in model.named_parameters() if p.grad is not None}


def run_both(rank: int, world: int, names: list[str], folder: str) -> None:
    """DDP and FSDP2 of every model on this process's half of the batch; rank 0 writes what came out."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    found = {}
    for name in names:
        for strategy in ("ddp", "fsdp"):
            torch.manual_seed(0)
            model = create_model(name)
            batch = model.example(world, torch.Generator().manual_seed(1))
            mine = {k: v[rank : rank + 1] for k, v in batch.items()}
            if strategy == "ddp":
                module: torch.nn.Module = DistributedDataParallel(Loss(model))
            else:
                module = Loss(model)
                for block in model.blocks:
                    fully_shard(block)
                fully_shard(module)
            torch.manual_seed(3)
            loss = module(mine)
            loss.backward()
            total = loss.detach().clone()
            dist.all_reduce(total)
            gradients = {}
            for key, p in model.named_parameters():
                gradient = p.grad.full_tensor() if isinstance(p.grad, DTensor) else p.grad
                if gradient is not None:
                    gradients[key] = gradient.detach().clone()
            found[f"{name}:{strategy}"] = {"loss": total / world, "gradients": gradients}
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    dist.barrier()
    dist.destroy_process_group()
