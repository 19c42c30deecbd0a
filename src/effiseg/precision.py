"""Where and in which number format a network runs, and how uint8 images become its input.

Shapes: B images of S x S pixels.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor

from effiseg.model import EffiSegNet


def pick_device() -> torch.device:
    """The accelerator that torch finds, else the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator()
    return torch.device("cpu")


def place_model(model: EffiSegNet, device: torch.device) -> EffiSegNet:
    """Move a model to its device, in channels-last memory, which convolutions prefer."""
    return model.to(device, memory_format=torch.channels_last)


def describe_device(device: torch.device) -> str:
    """Its type, and a GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def choose_algorithms(deterministic: bool) -> None:
    """On a GPU: algorithms that give the same bytes each time, or whichever are fastest.

    On a CPU they give the same bytes anyway. To be called before the first computation.
    """
    if not torch.cuda.is_available():
        return
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # what torch asks for
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic


def pick_format(device: torch.device) -> torch.dtype:
    """bfloat16, else float16, where the device computes it natively and fast; else float32."""
    if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        if torch.cuda.get_device_capability(device) >= (7, 0):
            return torch.float16
    return torch.float32


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to the device's format; nothing where that is float32."""
    number_format = pick_format(device)
    if number_format == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, number_format)


def make_scaler(device: torch.device) -> torch.amp.GradScaler:
    """Keeps gradients within float16's range; it does nothing for the other formats."""
    return torch.amp.GradScaler(device.type, enabled=pick_format(device) == torch.float16)


def to_input(images: Tensor, model: EffiSegNet, device: torch.device) -> Tensor:
    """(B, S, S, 3) uint8 RGB to (B, 3, S, S) float32, normalised for the model's encoder."""
    rows = images.to(device, non_blocking=True).flatten(2).float()
    rows.sub_(_row(model.mean, images.shape[2], device)).div_(
        _row(model.std, images.shape[2], device)
    )
    return rows.view(images.shape).permute(0, 3, 1, 2)  # this is channels-last memory


@cache
def _row(values: tuple[float, ...], width: int, device: torch.device) -> Tensor:
    """Three values of 0..1 as `width` pixels of 0..255, side by side: (width * 3,).

    Kept, as a tensor that is made on a GPU makes it wait.
    """
    return torch.tensor(values, device=device).mul(255).repeat(width)
