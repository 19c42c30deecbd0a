"""The ceiling: what the machine can do, and how much of it a training step uses.

Operations are those of the convolutions and matrix products (a multiply-add counts two); bytes are
those that each operator reads and writes once, so that what stays in a cache counts too.
"""

import time
from collections.abc import Callable

import torch
from torch.profiler import profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import finish_device
from effiseg.precision import pick_device

NO_BYTES = ("view", "t.", "transpose", "permute", "detach", "split", "slice", "expand", "empty")


def matrix_product_rate(size: int = 2048) -> float:
    """Operations a second of a bfloat16 matrix product."""
    a, b = (torch.randn(size, size, device=pick_device(), dtype=torch.bfloat16) for _ in "ab")
    return 2 * size**3 / _best_seconds(lambda: a @ b)


def copy_rate(megabytes: int = 512) -> float:
    """Bytes a second, read plus written, of a large copy."""
    a = torch.randn(megabytes * 2**18, device=pick_device())
    b = torch.empty_like(a)
    return 2 * a.nbytes / _best_seconds(lambda: b.copy_(a))


def count_operations(step: Callable[[], object]) -> int:
    """Of one call of `step`: three times the forward pass, whose operations torch counts.

    The backward pass has two products for each of the forward pass; torch's own count of them
    forgets that grouped convolutions have fewer.
    """
    with FlopCounterMode(display=False) as counter:
        step()
    counts = counter.get_flop_counts()["Global"]
    return 3 * sum(number for name, number in counts.items() if "backward" not in str(name))


def count_bytes(step: Callable[[], object]) -> int:
    """Bytes of all tensors that operators of one call of `step` read and write."""
    with _CountBytes() as counter:
        step()
    return counter.total


def profile_step(step: Callable[[], object], repeats: int = 5) -> list[dict[str, object]]:
    """Where the time of a step goes: operator, share of the time, calls a step; largest first."""
    step()
    with profile() as recorded:
        for _ in range(repeats):
            step()
        finish_device()
    on_device = torch.accelerator.is_available()
    key = "self_device_time_total" if on_device else "self_cpu_time_total"
    events = sorted(recorded.key_averages(), key=lambda event: -getattr(event, key))
    total = sum(getattr(event, key) for event in events)
    return [
        {
            "operator": event.key,
            "share": round(getattr(event, key) / total, 4),
            "calls": event.count // repeats,
        }
        for event in events
    ]


class _CountBytes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not any(function.name().startswith(f"aten::{name}") for name in NO_BYTES):
            tensors = [x for x in tree_leaves((args, kwargs, result)) if torch.is_tensor(x)]
            self.total += sum(tensor.nbytes for tensor in tensors)
        return result


def _best_seconds(function: Callable[[], object], repeats: int = 8) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        finish_device()
        times.append(time.perf_counter() - start)
    return min(times)
