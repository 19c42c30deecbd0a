"""Processes that train one network together, started by torchrun: a device each, if there are any.

Each process takes an equal share of every batch; gradients are averaged (torch's
DistributedDataParallel) and batch norm sees the whole batch. Without torchrun there is one process
and nothing is communicated.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from effiseg.encoders import convert_sync_batchnorm
from effiseg.precision import pick_device


class Group(NamedTuple):
    """This process among those that train together."""

    rank: int  # 0 is the one that writes
    size: int
    device: torch.device


def count_processes(devices: int) -> int:
    """How many processes `train.devices` asks for on this machine; 0 is one for every GPU."""
    return devices or max(1, torch.accelerator.device_count())


def has_to_launch(devices: int) -> bool:
    """Whether this process should give way to several, which torchrun has not started yet."""
    return count_processes(devices) > 1 and not dist.is_torchelastic_launched()


def launch(module: str, arguments: list[str], devices: int) -> NoReturn:
    """Become torchrun, which runs `python -m module arguments` in several processes.

    This process is replaced, so that a signal to it reaches torchrun, which stops all of them.

    Raises:
        OSError: on Windows, where torchrun's processes can't find each other.
    """
    number = count_processes(devices)
    if sys.platform == "win32":
        raise OSError(f"train.devices asks for {number} processes; expected 1 on Windows")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // number)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(number), "-m", module, *arguments]
    os.execv(sys.executable, command)


@contextmanager
def join_group() -> Iterator[Group]:
    """Find the other processes, if torchrun started this one, and leave them at the end.

    A process that fails does not take leave, which might wait for the others: it ends with its
    message, and torchrun ends the others.
    """
    if not dist.is_torchelastic_launched():
        yield Group(0, 1, pick_device())
        return
    device = pick_device()
    if device.type != "cpu":
        device = torch.device(device.type, int(os.environ["LOCAL_RANK"]))
        torch.accelerator.set_device_index(device.index)
    dist.init_process_group(dist.get_default_backend_for_device(device))
    yield Group(dist.get_rank(), dist.get_world_size(), device)
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


class _Sum(torch.autograd.Function):
    """The sum over all processes, of which each has a part: its gradient is a sum as well."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


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
        mean = _Sum.apply(x.float().sum((0, 2, 3), keepdim=True)) / number
        centred = x - mean
        variance = _Sum.apply(centred.square().sum((0, 2, 3), keepdim=True)) / number
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
