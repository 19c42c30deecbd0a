"""Loss: soft overlap + binary cross-entropy, 1:1, as published.

Shapes: logits and masks are (B, 1, H, W) float32, masks 0 or 1; a loss is a scalar.

Source: Vezakis et al., 2024 (Dice + BCE, both with weight 1). The Tversky index (Salehi et al.,
2017, arXiv:1706.05721) is Dice where false negatives and false positives weigh the same.
"""

from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1e-5


def tversky_loss(logits: Tensor, masks: Tensor, false_negative_weight: float) -> Tensor:
    """1 - Tversky index, per image, then averaged; soft Dice for a weight of 0.5.

    An image without polyp and without prediction has loss 0.
    """
    probability = logits.sigmoid()
    true_positive = (probability * masks).sum((1, 2, 3))
    false_positive = probability.sum((1, 2, 3)) - true_positive
    false_negative = masks.sum((1, 2, 3)) - true_positive
    wrong = false_negative_weight * false_negative + (1 - false_negative_weight) * false_positive
    return (1 - (true_positive + SMOOTH) / (true_positive + wrong + SMOOTH)).mean()


def segmentation_loss(logits: Tensor, masks: Tensor, false_negative_weight: float) -> Tensor:
    """Tversky loss + binary cross-entropy, 1:1. With weight 0.5 it is the published loss."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, masks)
    return tversky_loss(logits, masks, false_negative_weight) + cross_entropy
