"""EffiSegNet: an EfficientNet encoder whose five scales are added at full resolution.

Shapes: B images, C channels, H x W pixels, K = decoder channels (32 as published).
Inputs are float32 RGB, normalised as the encoder was pre-trained; outputs are logits.

Source: Vezakis et al., EffiSegNet, 2024 (arXiv:2407.16298). As in the authors' code, ReLU comes
before batch norm. Unlike there:
- channel counts come from timm, and the encoder's unused last 1x1 convolution is left out;
- the scales are summed coarse to fine. Nearest upsampling by 2 commutes with the sum, with batch
  norm and with pointwise layers, so that all but the depthwise half of the first ghost module is
  computed at half resolution: the same function (a test compares it with the literal one) with
  two fifths of the memory traffic, where the side is a multiple of 32. Running variances differ by
  the factor n / (n - 1) alone;
- the two halves of a ghost module are never concatenated: the next pointwise layer multiplies each
  by its half of the weights and adds the products, which is the same sum;
- upsampling may be bilinear, step by step, which the published network has not.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effiseg.encoders import Encoder, build_encoder
from effiseg.recipe import Upsampling

SCALES = (0.75, 1.0, 1.25)  # of the input's side, where a recipe asks for several


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

    def forward(self, parts: list[Tensor], size: tuple[int, int], mode: str) -> list[Tensor]:
        """Parts of K channels in all, coarse to fine, to two halves: (B, K/2, h, w) at the finest
        part's resolution, and (B, K/2, H, W) at `size`."""
        primary = self.primary[1:](sum_pointwise(self.primary[0], parts, mode))
        return [primary, self.cheap(resize(primary, size, mode))]


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
        return self.decode(self.extract_scales(images), images.shape[-2:])

    def extract_scales(self, images: Tensor) -> list[Tensor]:
        """Five of (B, K, H/stride, W/stride), finest first."""
        return [scale(x) for scale, x in zip(self.scales, self.encoder(images), strict=True)]

    def decode(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """The scales to logits of `size`."""
        parts = [self.norm(self._sum_scales(features, size))]  # (B, K, H/2, W/2)
        for ghost in self.ghosts:
            parts = ghost(parts, size, self.upsampling)  # two of (B, K/2, ...), the last at H, W
        return sum_pointwise(self.logit, parts, self.upsampling)  # (B, 1, H, W)

    def _sum_scales(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        if self.upsampling == "nearest" and (size[0] % 32 or size[1] % 32):
            # Steps of nearest upsampling compose to the published one for multiples of 32 only.
            return torch.stack([resize(x, size, "nearest") for x in features]).sum(0)
        total = features[-1]
        for finer in features[-2::-1]:
            total = resize(total, finer.shape[-2:], self.upsampling) + finer
        return total


def scale_side(side: int, scale: float) -> int:
    """`side` pixels times `scale`, rounded to a multiple of 32, as nearest upsampling wants it; a
    scale of 1 keeps it as it is. 192 px become 128 or 256 at 0.75 and 1.25, 64 px stay."""
    return side if scale == 1 else max(1, round(scale * side / 32)) * 32


def resize(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Nearest or bilinear upsampling of (B, C, h, w) to `size`; nothing where it has that size."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode=mode)


def sum_pointwise(layer: nn.Conv2d, parts: list[Tensor], mode: str) -> Tensor:
    """The 1x1 convolution `layer` of the concatenated `parts`, without concatenating them.

    Each part is multiplied at its own resolution, then brought to that of the last, the finest.
    """
    weights = layer.weight.split([part.shape[1] for part in parts], dim=1)
    total, *others = (
        resize(F.conv2d(part, weight), parts[-1].shape[-2:], mode)
        for part, weight in zip(parts, weights, strict=True)
    )
    for product in others:
        total = total + product
    return total if layer.bias is None else total + layer.bias.view(1, -1, 1, 1)


class DeepSupervision(nn.Module):
    """The network as it is trained with a loss at every scale: its logits, then those of each scale
    at its own resolution. The heads that make these serve the training alone.

    Source: Lee et al., Deeply-Supervised Nets, 2015 (arXiv:1409.5185).
    """

    def __init__(self, network: EffiSegNet) -> None:
        super().__init__()
        self.network = network
        channels = network.logit.in_channels
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, kernel_size=1) for _ in network.scales)

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.network.extract_scales(images)
        coarse = [head(x) for head, x in zip(self.heads, features, strict=True)]
        return [self.network.decode(features, images.shape[-2:]), *coarse]


def build_model(
    encoder: str, pretrained: bool | str, decoder_channels: int, upsampling: Upsampling
) -> EffiSegNet:
    """Encoder and network. Arguments and errors are those of `build_encoder` and `EffiSegNet`."""
    return EffiSegNet(build_encoder(encoder, pretrained), decoder_channels, upsampling)
