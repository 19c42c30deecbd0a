"""EffiSegNet: an EfficientNet encoder whose five scales are added at full resolution.

Shapes: B images, C channels, H x W pixels, K = decoder channels (32 as published).
Inputs are float32 RGB, normalised as the encoder was pre-trained; outputs are logits.

Source: Vezakis et al., EffiSegNet, 2024 (arXiv:2407.16298). As in the authors' code, ReLU comes
before batch norm. Unlike there:
- channel counts come from timm, and the encoder's unused last 1x1 convolution is left out;
- the scales are summed coarse to fine. Nearest upsampling by 2 commutes with the sum, with batch
  norm and with pointwise layers, so that all but the depthwise half of the first ghost module is
  computed at half resolution: the same function (a test compares it with the literal one) with
  a quarter of the memory traffic. Running variances differ by the factor n / (n - 1) alone;
- upsampling may be bilinear, step by step, which the published network has not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effiseg.encoders import Encoder, build_encoder
from effiseg.params import require
from effiseg.recipe import Upsampling


@dataclass(frozen=True, kw_only=True)
class Model:
    """Section `model`: what both networks share."""

    encoder: str  # an EfficientNet of timm
    pretrained: bool | str  # ImageNet weights: true, false, or a file
    decoder_channels: int

    def __post_init__(self) -> None:
        even = self.decoder_channels >= 2 and self.decoder_channels % 2 == 0
        require("decoder_channels", self.decoder_channels, even, "an even number from 2")


def conv_relu_norm(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """Convolution (no bias, same size) -> ReLU -> batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(outputs),
    )


class GhostModule(nn.Module):
    """Half of the channels from a pointwise layer, half from a cheap depthwise one on those.

    Source: Han et al., GhostNet, 2020 (arXiv:1911.11907).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.primary = conv_relu_norm(channels, half, kernel=1)
        self.cheap = conv_relu_norm(half, half, kernel=3, groups=half)

    def forward(self, x: Tensor, size: tuple[int, int], mode: str) -> Tensor:  # (B, K, h, w)
        primary = resize(self.primary(x), size, mode)  # (B, K/2, H, W)
        return torch.cat([primary, self.cheap(primary)], dim=1)  # (B, K, H, W)


class EffiSegNet(nn.Module):
    """The network. `encoder` is built before and passed in.

    Args:
        upsampling: "nearest" (as published) or "bilinear".
    """

    def __init__(
        self, encoder: Encoder, decoder_channels: int, upsampling: Upsampling
    ) -> None:
        super().__init__()
        self.encoder = encoder.network
        self.scales = nn.ModuleList(
            conv_relu_norm(channels, decoder_channels, kernel=3) for channels in encoder.channels
        )
        self.norm = nn.BatchNorm2d(decoder_channels)
        self.ghosts = nn.ModuleList([GhostModule(decoder_channels), GhostModule(decoder_channels)])
        self.logit = nn.Conv2d(decoder_channels, 1, kernel_size=1)
        self.upsampling = upsampling
        self.mean, self.std = encoder.mean, encoder.std  # of RGB in 0..1

    def forward(self, images: Tensor) -> Tensor:  # (B, 3, H, W)
        size = images.shape[-2:]
        features = [
            scale(x) for scale, x in zip(self.scales, self.encoder(images), strict=True)
        ]  # five of (B, K, H/stride, W/stride), finest first
        x = self.norm(self._sum_scales(features, size))  # (B, K, H/2, W/2)
        for ghost in self.ghosts:
            x = ghost(x, size, self.upsampling)  # (B, K, H, W)
        return self.logit(x)  # (B, 1, H, W)

    def _sum_scales(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        if self.upsampling == "nearest" and (size[0] % 32 or size[1] % 32):
            # Steps of nearest upsampling compose to the published one for multiples of 32 only.
            return torch.stack([resize(x, size, "nearest") for x in features]).sum(0)
        total = features[-1]
        for finer in features[-2::-1]:
            total = resize(total, finer.shape[-2:], self.upsampling) + finer
        return total


def resize(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Nearest or bilinear upsampling of (B, C, h, w) to `size`; nothing where it has that size."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode=mode)


def build_model(params: Model, upsampling: Upsampling) -> EffiSegNet:
    """Encoder and network from the parameters. Raises what `build_encoder` raises."""
    encoder = build_encoder(params.encoder, params.pretrained)
    return EffiSegNet(encoder, params.decoder_channels, upsampling)
