"""Processes that train one network together, started by torchrun: a device each, if there are any.

Each process takes an equal share of every batch; gradients are averaged (torch's
DistributedDataParallel) and batch norm sees the whole batch. Without torchrun there is one process
and nothing is communicated.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from effiseg.encoders import convert_sync_batchnorm
from effiseg.precision import pick_device


class Group(NamedTuple):
    """This process among those that train together."""

    rank: int  # 0 is the one that writes
    size: int
    device: torch.device


def has_to_launch(devices: int) -> bool:
    """Whether this process should start others: several are wanted, and torchrun has not."""
    return devices != 1 and not dist.is_torchelastic_launched()


def launch(module: str, arguments: list[str], devices: int) -> None:
    """Run `python -m module arguments` in `devices` processes on this machine; 0: one a device.

    Raises:
        RuntimeError: one of them failed; its own message has been printed.
    """
    number = str(devices or max(1, torch.accelerator.device_count()))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", number, "-m", module, *arguments]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise RuntimeError(f"a training process failed: see its message above ({number} started)")


@contextmanager
def join_group() -> Iterator[Group]:
    """Find the other processes, if torchrun started this one, and leave them at the end."""
    if not dist.is_torchelastic_launched():
        yield Group(0, 1, pick_device())
        return
    device = pick_device()
    if device.type != "cpu":
        device = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
        torch.accelerator.set_device_index(device.index)
    dist.init_process_group(dist.get_default_backend_for_device(device))
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def distribute(network: nn.Module, group: Group) -> nn.Module:
    """The network as it is called in training. It shares its weights with `network`."""
    if group.size == 1:
        return network
    devices = None if group.device.type == "cpu" else [group.device]
    return DistributedDataParallel(network, device_ids=devices)


def synchronize_batch_norm(network: nn.Module, group: Group) -> nn.Module:
    """The network, whose batch norm layers see the batches of all processes."""
    if group.size == 1:
        return network
    if group.device.type != "cpu":
        return convert_sync_batchnorm(network)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.__class__ = CpuSyncBatchNorm
    return network


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over all processes, with the activation that timm's layers have in them.

    torch's own SyncBatchNorm refuses tensors of the CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        y = self._normalize(x) if self.training else super().forward(x)
        for name in ("drop", "act"):
            y = getattr(self, name)(y) if hasattr(self, name) else y
        return y

    def _normalize(self, x: Tensor) -> Tensor:
        number = x.numel() // x.shape[1] * dist.get_world_size()
        mean = all_reduce(x.float().sum((0, 2, 3), keepdim=True)) / number
        centred = x - mean
        variance = all_reduce(centred.square().sum((0, 2, 3), keepdim=True)) / number
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.flatten(), self.momentum)
            unbiased = variance.flatten() * number / (number - 1)
            self.running_var.lerp_(unbiased, self.momentum)
        weight, bias = self.weight.view(1, -1, 1, 1), self.bias.view(1, -1, 1, 1)
        return (centred * torch.rsqrt(variance + self.eps) * weight + bias).to(x.dtype)


def broadcast(content: Any, group: Group) -> Any:
    """What rank 0 holds, on every rank. Between the processes of one training it is pickled."""
    if group.size == 1:
        return content
    parcel = [content]
    dist.broadcast_object_list(parcel, src=0)
    return parcel[0]


def sum_over(group: Group, values: Tensor) -> Tensor:
    """The sum over all processes, on each of them."""
    if group.size > 1:
        dist.all_reduce(values)
    return values
