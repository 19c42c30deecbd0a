"""Loss: soft overlap + binary cross-entropy, 1:1, as published, and terms that may be added to it.

Shapes: logits and masks are (B, 1, H, W) float32, masks 0 to 1; a loss is a scalar.

Sources: Vezakis et al., 2024 (Dice + BCE, both with weight 1). The Tversky index (Salehi et al.,
2017, arXiv:1706.05721) is Dice where false negatives and false positives weigh the same. Weights
near outlines: the structure loss of Wei et al., F3Net, 2020 (arXiv:1911.11445), here on the
published terms, with a neighbourhood that grows with the image.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1e-5
BOUNDARY_WEIGHT = 5.0  # of a pixel whose neighbours are all of the other class, beside 1
BOUNDARY_REACH = 15 / 352  # of the side: how far the neighbourhood reaches
NEAR_REACH = 4 / 380  # of the side: how far near pixels lie apart
AUXILIARY_WEIGHT = 0.4  # of the mean loss of the scales, beside that of the output


class Objective(NamedTuple):
    """What a training minimises. As built: the published loss."""

    false_negative_weight: float = 0.5  # in the Tversky loss; 0.5 is Dice
    has_boundary_weights: bool = False
    near_pixel_weight: float = 0.0


def training_loss(outputs: Sequence[Tensor], masks: Tensor, objective: Objective) -> Tensor:
    """The loss of the logits outputs[0], and of those of coarser scales, if there are any.

    Coarse scales have no loss of near pixels: theirs lie far apart.
    """
    loss = objective_loss(outputs[0], masks, objective)
    if len(outputs) == 1:
        return loss
    coarse = objective._replace(near_pixel_weight=0.0)
    scales = [
        objective_loss(logits, F.adaptive_avg_pool2d(masks, logits.shape[-2:]), coarse)
        for logits in outputs[1:]
    ]
    return loss + AUXILIARY_WEIGHT * torch.stack(scales).mean()


def objective_loss(logits: Tensor, masks: Tensor, objective: Objective) -> Tensor:
    """The published loss with what `objective` adds."""
    weights = boundary_weights(masks) if objective.has_boundary_weights else None
    loss = segmentation_loss(logits, masks, objective.false_negative_weight, weights)
    if objective.near_pixel_weight:
        loss = loss + objective.near_pixel_weight * near_pixel_loss(logits)
    return loss


def segmentation_loss(
    logits: Tensor, masks: Tensor, false_negative_weight: float, weights: Tensor | None = None
) -> Tensor:
    """Tversky loss + binary cross-entropy, 1:1. With weight 0.5 it is the published loss.

    Args:
        weights: of the pixels, (B, 1, H, W); None: all alike.
    """
    if weights is None:
        cross_entropy = F.binary_cross_entropy_with_logits(logits, masks)
    else:
        each = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
        cross_entropy = (weights * each).sum() / weights.sum()
    return tversky_loss(logits, masks, false_negative_weight, weights) + cross_entropy


def tversky_loss(
    logits: Tensor, masks: Tensor, false_negative_weight: float, weights: Tensor | None = None
) -> Tensor:
    """1 - Tversky index, per image, then averaged; soft Dice for a weight of 0.5.

    An image without polyp and without prediction has loss 0.
    """

    def total(values: Tensor) -> Tensor:
        return (values if weights is None else weights * values).sum((1, 2, 3))

    probability = logits.sigmoid()
    true_positive = total(probability * masks)
    false_positive = total(probability) - true_positive
    false_negative = total(masks) - true_positive
    wrong = false_negative_weight * false_negative + (1 - false_negative_weight) * false_positive
    return (1 - (true_positive + SMOOTH) / (true_positive + wrong + SMOOTH)).mean()


def boundary_weights(masks: Tensor) -> Tensor:
    """1 far from every outline, up to 1 + `BOUNDARY_WEIGHT` where the neighbourhood differs."""
    reach = round(BOUNDARY_REACH * masks.shape[-1])
    mean = F.avg_pool2d(masks, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
    return 1 + BOUNDARY_WEIGHT * (mean - masks).abs()


def near_pixel_loss(logits: Tensor) -> Tensor:
    """Mean squared difference of the probabilities of pixels that lie near each other, in the eight
    directions (each pair of pixels counts once)."""
    probability = logits.sigmoid()
    step = max(1, round(NEAR_REACH * logits.shape[-1]))
    height, width = probability.shape[-2:]
    differences = [
        probability[..., step:, :] - probability[..., : height - step, :],
        probability[..., step:] - probability[..., : width - step],
        probability[..., step:, step:] - probability[..., : height - step, : width - step],
        probability[..., step:, : width - step] - probability[..., : height - step, step:],
    ]
    return torch.stack([difference.square().mean() for difference in differences]).mean()
