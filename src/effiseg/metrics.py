"""Metrics: pixels are counted first; every overlap score is a pure function of the counts.

Shapes: H x W is an image's original size; predictions and masks are (H, W) bool, probabilities
(H, W) float32 in 0..1. Means over images and scores of pooled counts are always named apart:
`dice` is the mean over images, `dice_pooled` that of all pixels of all images together.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

TOLERANCE_SHARE = 0.01  # of the image's diagonal: the tolerance of the normalised surface distance
BINS = 256  # of the probability, for the precision-recall curve

Pixels = NDArray[np.bool_]


class Counts(NamedTuple):
    """Pixels by truth and prediction."""

    tp: int
    fp: int
    fn: int
    tn: int


class SurfaceScores(NamedTuple):
    """How far apart two outlines lie."""

    nsd: float  # share of both outlines within the tolerance of the other, 0..1
    hd95: float  # 95th percentile of the distances from one outline to the other, pixels


def count_pixels(prediction: Pixels, mask: Pixels) -> Counts:
    """Counts of two (H, W) arrays."""
    tp = int(np.count_nonzero(prediction & mask))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(mask)) - tp
    return Counts(tp, fp, fn, mask.size - tp - fp - fn)


def dice(counts: Counts) -> float:
    """2 TP / (2 TP + FP + FN); 1 where both are empty."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """TP / (TP + FP + FN); 1 where both are empty."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """TP / (TP + FP); with nothing predicted 1 where there is no polyp, else 0."""
    return _ratio(counts.tp, counts.tp + counts.fp, when_empty=float(counts.fn == 0))


def recall(counts: Counts) -> float:
    """TP / (TP + FN); without any polyp 1 where none is predicted, else 0."""
    return _ratio(counts.tp, counts.tp + counts.fn, when_empty=float(counts.fp == 0))


def score_surface(prediction: Pixels, mask: Pixels, tolerance: float) -> SurfaceScores:
    """Normalised surface distance and 95 % Hausdorff distance, both ways, as MONAI defines them.

    The outline is what one erosion with a cross removes; the image's border counts as outside.
    Both empty: (1, 0). One empty: (0, image diagonal).

    Args:
        tolerance: pixels.
    """
    if not prediction.any() and not mask.any():
        return SurfaceScores(1.0, 0.0)
    if not prediction.any() or not mask.any():
        return SurfaceScores(0.0, float(np.hypot(*mask.shape)))
    prediction, mask = _crop_to_either(prediction, mask)
    outlines = _outline(prediction), _outline(mask)
    to_mask = _distance_to(outlines[1])[outlines[0]]
    to_prediction = _distance_to(outlines[0])[outlines[1]]
    within = np.count_nonzero(to_mask <= tolerance) + np.count_nonzero(to_prediction <= tolerance)
    hd95 = max(np.percentile(to_mask, 95), np.percentile(to_prediction, 95))
    return SurfaceScores(within / (to_mask.size + to_prediction.size), float(hd95))


def score_image(
    probability: NDArray[np.float32], mask: Pixels, threshold: float
) -> dict[str, float]:
    """One row: dice, iou, precision, recall, nsd, hd95 (pixels), tp, fp, fn, tn."""
    prediction = probability > threshold
    counts = count_pixels(prediction, mask)
    tolerance = TOLERANCE_SHARE * float(np.hypot(*mask.shape))
    scores = {f.__name__: f(counts) for f in (dice, iou, precision, recall)}
    return scores | score_surface(prediction, mask, tolerance)._asdict() | counts._asdict()


def summarize(images: pd.DataFrame) -> dict[str, Any]:
    """Scores of a model from the table of its images (see stages/evaluate.py), six digits."""
    pooled = Counts(*(int(images[name].sum()) for name in Counts._fields))
    apart = images[~images["near_duplicate"].astype(bool)]
    means = {name: images[name].mean() for name in ("dice", "iou", "precision", "recall")}
    means["miou"] = means.pop("iou")
    summary = means | {
        "nsd": images["nsd"].mean(),
        "hd95": images["hd95"].mean(),
        "dice_pooled": dice(pooled),
        "iou_pooled": iou(pooled),
        "precision_pooled": precision(pooled),
        "recall_pooled": recall(pooled),
        "dice_input": images["dice_input"].mean(),
        "miou_input": images["iou_input"].mean(),
        "dice_without_near_duplicates": apart["dice"].mean() if len(apart) else None,
        "miou_without_near_duplicates": apart["iou"].mean() if len(apart) else None,
    }
    rounded = {k: None if v is None else round(float(v), 6) for k, v in summary.items()}
    return rounded | {"images": len(images), "near_duplicates": len(images) - len(apart)}


def count_probabilities(probability: NDArray[np.float32], mask: Pixels) -> NDArray[np.int64]:
    """(2, BINS) pixels by probability: those of background and those of polyps."""
    bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    return np.bincount(mask.ravel() * BINS + bins.ravel(), minlength=2 * BINS).reshape(2, BINS)


def precision_recall(histogram: NDArray[np.int64]) -> pd.DataFrame:
    """threshold, precision, recall of all pixels, from the sum of `count_probabilities`."""
    false_positive, true_positive = histogram[:, ::-1].cumsum(1)[:, ::-1]
    predicted = true_positive + false_positive
    some = predicted > 0
    columns = {
        "threshold": np.arange(BINS)[some] / BINS,
        "precision": true_positive[some] / predicted[some],
        "recall": true_positive[some] / max(int(true_positive[0]), 1),
    }
    return pd.DataFrame(columns)


def confusion_table(images: pd.DataFrame) -> pd.DataFrame:
    """actual, predicted, pixels: the four counts of all images together."""
    total = {name: int(images[name].sum()) for name in Counts._fields}
    rows = [
        ("polyp", "polyp", total["tp"]),
        ("polyp", "background", total["fn"]),
        ("background", "polyp", total["fp"]),
        ("background", "background", total["tn"]),
    ]
    return pd.DataFrame(rows, columns=["actual", "predicted", "pixels"])


def _ratio(part: int, whole: int, when_empty: float = 1.0) -> float:
    return part / whole if whole else when_empty


def _crop_to_either(prediction: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """The box that holds both; what lies outside has no outline and changes no distance."""
    either = prediction | mask
    rows, columns = np.flatnonzero(either.any(1)), np.flatnonzero(either.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return prediction[box], mask[box]


def _outline(region: Pixels) -> Pixels:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    padded = np.pad(region.astype(np.uint8), 1)
    return region & ~cv2.erode(padded, cross)[1:-1, 1:-1].astype(bool)


def _distance_to(outline: Pixels) -> NDArray[np.float32]:
    """Euclidean distance of every pixel to the nearest one of the outline, pixels."""
    return cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
