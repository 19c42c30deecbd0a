"""Prediction: from images at the network's input size to probabilities, there or at any size.

Shapes: N images of S x S pixels; H x W is an image's original size.
"""

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from effiseg.model import SCALES, EffiSegNet, scale_side
from effiseg.precision import mixed_precision, pick_device, place_model, to_input

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))  # axes of (B, 1, S, S)
BATCH = 8


def predict_probabilities(
    network: EffiSegNet,
    images: NDArray[np.uint8],
    with_flips: bool,
    with_scales: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> NDArray[np.float32]:
    """Probability of polyp for each pixel: (N, S, S, 3) uint8 RGB to (N, S, S) float32 in 0..1.

    With flips, the mean over the image and its three mirror images, each turned back; with scales,
    over the image at three sizes.
    """
    device = pick_device()
    network = place_model(network.eval(), device)
    side = images.shape[1]
    views = [(x, scale_side(side, scale)) for x, scale in list_views(with_flips, with_scales)]
    result = np.empty(images.shape[:3], np.float32)
    for start in progress(range(0, len(images), BATCH)):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH]))
        pixels = to_input(batch, network, device)
        mean = torch.stack([_probability(network, pixels, *view) for view in views]).mean(0)
        result[start : start + BATCH] = mean[:, 0].cpu().numpy()
    return result


def list_views(with_flips: bool, with_scales: bool) -> list[tuple[tuple[int, ...], float]]:
    """The views whose mean an answer is: mirrored axes, and the factor of the input's side."""
    flips = FLIPS if with_flips else FLIPS[:1]
    return [(axes, scale) for scale in (SCALES if with_scales else (1.0,)) for axes in flips]


def resize_probability(
    probability: NDArray[np.float32], height: int, width: int
) -> NDArray[np.float32]:
    """(S, S) to (height, width), bilinear: a prediction at the image's original size."""
    return cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)


@torch.inference_mode()
def _probability(
    network: EffiSegNet, pixels: Tensor, axes: tuple[int, ...], side: int
) -> Tensor:
    """(B, 1, S, S) of images that were mirrored along `axes` and seen at `side` pixels."""
    original = pixels.shape[-1]
    if side != original:
        pixels = F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)
    with mixed_precision(pixels.device):
        logits = network(pixels.flip(axes))
    probability = logits.float().sigmoid().flip(axes)
    if side != original:
        probability = F.interpolate(probability, size=(original, original), mode="bilinear")
    return probability
