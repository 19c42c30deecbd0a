"""A trained model on disk: weights, their sha256, and what is needed to build the network again.

A folder holds
    weights.safetensors  float32 tensors under the names of `EffiSegNet.state_dict()`
    weights.sha256       of the file before, in `sha256sum -c` format
    model.json           encoder, decoder_channels, upsampling, size, device, torch
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from effiseg.files import cut_short, write_bytes, write_json, write_text
from effiseg.model import EffiSegNet, build_model
from effiseg.params import parse_section
from effiseg.recipe import Recipe, Upsampling, require_network

WEIGHTS, CHECKSUM, DESCRIPTION = "weights.safetensors", "weights.sha256", "model.json"


@dataclass(frozen=True, kw_only=True)
class Description:
    """What model.json says."""

    encoder: str  # an EfficientNet of timm
    decoder_channels: int
    upsampling: Upsampling
    size: int  # pixels, side of the square input it was trained at
    device: str  # it was trained on
    torch: str  # version

    def __post_init__(self) -> None:
        require_network(self.decoder_channels, self.size)


class TrainedModel(NamedTuple):
    """A network in evaluation mode, on the CPU, and the input size it was trained at."""

    network: EffiSegNet
    size: int


def write_model(
    folder: Path, state: dict[str, Tensor], recipe: Recipe, device: str
) -> None:
    """Write weights, checksum and description."""
    content = save({name: tensor.cpu().contiguous() for name, tensor in state.items()})
    write_bytes(folder / WEIGHTS, content)
    description = {
        "encoder": recipe.encoder,
        "decoder_channels": recipe.decoder_channels,
        "upsampling": recipe.upsampling,
        "size": recipe.size,
        "device": device,
        "torch": str(torch.__version__),
    }
    write_json(folder / DESCRIPTION, description)
    # Last, so that a folder with a checksum is complete.
    write_text(folder / CHECKSUM, f"{hashlib.sha256(content).hexdigest()}  {WEIGHTS}\n")


def read_model(folder: Path) -> TrainedModel:
    """Build the network and load its weights.

    Raises:
        FileNotFoundError: one of the three files is missing.
        ValueError: the weights are not those that were written, or do not fit the network; or
            the description is damaged.
    """
    content = (folder / WEIGHTS).read_bytes()
    expected = (folder / CHECKSUM).read_bytes()[:64].decode(errors="replace")
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(
            f"{folder / WEIGHTS} has sha256 {found}; expected {expected} ({CHECKSUM}): the file "
            "was damaged or exchanged. Delete it and train or pull it again"
        )
    model = _read_description(folder / DESCRIPTION)
    network = build_model(model.encoder, False, model.decoder_channels, model.upsampling)
    try:
        network.load_state_dict(load(content))
    except (RuntimeError, SafetensorError) as error:
        reason = cut_short(error)
        raise ValueError(f"{folder / WEIGHTS} does not fit {DESCRIPTION}: {reason}") from error
    return TrainedModel(network.eval(), model.size)


def _read_description(path: Path) -> Description:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = cut_short(error)
        raise ValueError(f"{path} is not JSON ({reason}): train or pull the model again") from error
    return parse_section(found, "model", Description, path)
