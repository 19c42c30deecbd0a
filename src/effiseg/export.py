"""Export: a network as an ONNX file that takes pictures and gives probabilities.

    images       (B, H, W, 3) uint8 RGB; H and W multiples of 32
    probability  (B, H, W) float32, 0..1

Normalisation and sigmoid are part of the graph, and so is the input size: any batch and any size of
multiples of 32 runs. torch's older exporter writes it: the newer one traces sizes symbolically,
which takes this network minutes in place of seconds, and gives the same function.
"""

import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from effiseg.files import write_bytes
from effiseg.model import EffiSegNet

OPSET = 18
INPUT, OUTPUT = "images", "probability"
_TRACED = (2, 64, 96)  # batch, height, width: any would do


class Deployed(nn.Module):
    """A network from uint8 pixels to probabilities."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: EffiSegNet) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (network.mean, network.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, images: Tensor) -> Tensor:  # (B, H, W, 3) uint8 to (B, H, W)
        pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        return self.network(pixels).sigmoid()[:, 0]


def write_onnx(path: Path, network: EffiSegNet) -> None:
    """Write the graph with its weights as one file, whole or not at all."""
    write_bytes(path, export_onnx(network))


def export_onnx(network: EffiSegNet) -> bytes:
    """The content of an ONNX file: the graph with its weights."""
    batch, height, width = _TRACED
    sides = {0: "batch", 1: "height", 2: "width"}
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter itself
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # sizes are multiples of 32
        torch.onnx.export(
            Deployed(network.cpu().float()).eval(),  # the exporter leaves it as it was
            (torch.zeros(batch, height, width, 3, dtype=torch.uint8),),
            content,  # type: ignore[arg-type]  (the older exporter takes it)
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: sides, OUTPUT: sides},
        )
    return content.getvalue()
