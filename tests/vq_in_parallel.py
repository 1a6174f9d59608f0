"""What the processes of the codebook test do; a module of its own, since spawned processes import it by name."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist

from kexue.models import create_model


def train_once(rank: int, world: int, folder: str) -> None:
    """One training loss on this process's half of the batch; each process writes its codebooks."""
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    torch.manual_seed(0)
    model = create_model("transformer_vq/tiny")
    batch = model.example(2 * world, torch.Generator().manual_seed(1))
    model.loss({k: v[2 * rank : 2 * rank + 2] for k, v in batch.items()})
    torch.save([block.vq.codebook for block in model.blocks], f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()
