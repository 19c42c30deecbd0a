"""Where and in which number format a network runs, and how uint8 images become its input.

Shapes: B images of S x S pixels.
"""

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
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


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 autocast where the device computes it natively, else plain float32."""
    native = (device.type == "cuda" and torch.cuda.is_bf16_supported(False)) or (
        device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    return torch.autocast(device.type, torch.bfloat16) if native else nullcontext()


def to_input(images: NDArray[np.uint8], model: EffiSegNet, device: torch.device) -> Tensor:
    """(B, S, S, 3) uint8 RGB to (B, 3, S, S) float32, normalised for the model's encoder."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)
    mean = torch.tensor(model.mean, device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor(model.std, device=device).view(1, 3, 1, 1) * 255
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
