"""Several processes on one batch: data parallel, or FSDP2 with the decoder's blocks sharded.

`accelerate launch` starts the processes and says how: plainly they hold the whole model each and
sum gradients; with `--use_fsdp --fsdp_version 2` every decoder block is sharded over them
(parameters, gradients and optimiser state), embeddings and head stay whole. Losses are the same
either way, since a batch's loss is a weighted mean over the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .context import Context
from .schema import FieldError


@dataclass
class Share:
    """A micro-batch of this process: which rows, what their loss is multiplied by, and whether it
    counts (a process without work of its own reads along with factor 0 where all must read).
    """

    rows: list[int]
    factor: float = 1.0
    counts: bool = True


class Shards:
    """This process's part of the work; one process has all of it."""

    def __init__(self, context: Context, blocks: bool = False) -> None:
        self.rank, self.world, self.device = context.rank, context.world, context.device
        self.blocks = blocks

    def share(self, groups: list[list[int]]) -> Iterator[Share]:
        """This process's micro-batches."""
        own = groups[self.rank :: self.world]
        for group in own:
            yield Share(group)
        if self.blocks and len(own) < -(-len(groups) // self.world):
            # Gathering a sharded block needs every process, as often on each.
            yield Share(groups[-1], 0.0, False)

    def reduce(
        self, sums: dict[str, Tensor], trainable: Iterable[nn.Parameter]
    ) -> dict[str, float]:
        """Numbers and gradients summed over the processes."""
        if self.world > 1:
            distributed = torch.distributed
            keys: list[Any] = [None] * self.world
            distributed.all_gather_object(keys, sorted(sums))
            for key in sorted({k for part in keys for k in part}):
                sums.setdefault(key, torch.zeros((), device=self.device))
                distributed.all_reduce(sums[key])
            for parameter in trainable:
                if is_sharded(parameter):
                    continue  # summed by FSDP as it was computed
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
        return {k: float(v) for k, v in sums.items()}

    def clip(self, trainable: Iterable[nn.Parameter], most: float) -> Tensor:
        """Scale gradients to a norm of at most `most`; returns the norm before."""
        trainable = list(trainable)
        if not self.blocks:
            return nn.utils.clip_grad_norm_(trainable, most)
        grads = [p.grad for p in trainable if p.grad is not None]
        square = torch.zeros((), device=self.device)
        for grad in grads:
            # What is whole is on every process; counted in full on one of them.
            share = 1.0 if is_sharded(grad) else float(self.rank == 0)
            square += share * (local(grad).float() ** 2).sum()
        torch.distributed.all_reduce(square)
        norm = square.sqrt()
        factor = (most / (norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            local(grad).mul_(factor)
        return norm

    def agreed(self, signal: int | None) -> int | None:
        """A stop that any process was asked for, known to all at the same step."""
        if self.world == 1:
            return signal
        flag = torch.tensor(signal or 0, device=self.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return int(flag) or None


def wanted(world: int) -> bool:
    """Whether the launcher asks for sharded blocks; `FieldError` for what is not supported."""
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "false") == "true":
        raise FieldError(
            "device",
            "cannot be used through DeepSpeed: the loop takes its own optimiser steps; launch with "
            "--use_fsdp --fsdp_version 2, which shards the same tensors as ZeRO-3 does",
        )
    if os.environ.get("ACCELERATE_USE_FSDP", "false") != "true" or world == 1:
        return False
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise FieldError("device", "is launched with FSDP 1; give --fsdp_version 2")
    return True


def shard(lm: nn.Module, world: int, device: str) -> list[nn.Module]:
    """Shard every decoder block over the processes; returns the blocks."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.split(":")[0], (world,))
    names = set(getattr(lm, "_no_split_modules", None) or ())
    blocks = [m for m in lm.modules() if type(m).__name__ in names]
    if not blocks:
        raise FieldError("model", "names no blocks that can be sharded")
    for block in blocks:
        fully_shard(block, mesh=mesh)
        # Losses are already divided by the whole batch's weight: gradients are summed.
        block.set_gradient_divide_factor(1.0)
        block.set_force_sum_reduction_for_comms(True)
    return blocks


def unshard(lm: nn.Module) -> None:
    """Give every process whole parameters again, for saving; the model is not run after this."""
    for module in lm.modules():
        # FSDP would put its parts back whenever the state is asked for.
        module._state_dict_pre_hooks.clear()
        for name, parameter in module._parameters.items():
            if parameter is not None and is_sharded(parameter):
                held = nn.Parameter(whole(parameter.detach()), parameter.requires_grad)
                module._parameters[name] = held


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only a part of a tensor."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds."""
    return tensor.to_local() if is_sharded(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor, gathered from all processes (each must ask)."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor


def like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor held as another is: in parts where that one is."""
    if not is_sharded(model):
        return tensor.to(model.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
