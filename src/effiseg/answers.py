"""Answers: from probabilities to what a user reads: mask, area, lesions, confidence, warnings.

Shapes: S x S is the network's input size, H x W the image's own. Probabilities are float32, 0..1.

    area_fraction   share of the image that is marked as polyp, 0..1
    lesions         connected regions of the mask with at least 0.05 % of the image
    solidity        area of the largest region / area of its convex hull, 0..1; 1 without any
    confidence      the Dice that the probabilities themselves expect of the answer, 0..1

A warning names a stratum of the error analysis on which the model is wrong more often, as far as it
can be told from the answer alone, or low confidence. Each has a limit in the model's config.json.
"""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

SMALLEST_LESION = 0.0005  # of the image
OUTLINE = (240, 228, 66)  # yellow, of Okabe and Ito's colours: on red mucosa everybody sees it
TINT = 0.25  # strength of the outline's colour inside
RULES = {  # which value is compared, and whether a warning is above or below the limit
    "low confidence": ("confidence", False),
    "small polyp": ("area_fraction", False),
    "large polyp": ("area_fraction", True),
    "several polyps": ("lesions", True),
    "irregular shape": ("solidity", False),
}

Probability = NDArray[np.float32]
Pixels = NDArray[np.bool_]


class Answer(NamedTuple):
    """What a model says of an image."""

    mask: Pixels  # (H, W)
    area_fraction: float
    lesions: int
    solidity: float
    confidence: float
    warnings: tuple[str, ...]  # names of RULES


def read_answer(
    probability: Probability,
    height: int,
    width: int,
    threshold: float,
    limits: Mapping[str, float],
) -> Answer:
    """The answer for an image of `height` x `width` pixels from its (S, S) probabilities."""
    full = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
    mask = full > threshold
    lesions, solidity = describe_shape(probability > threshold)
    values = {
        "area_fraction": float(np.count_nonzero(mask) / mask.size),
        "lesions": lesions,
        "solidity": solidity,
        "confidence": expect_dice(probability, threshold),
    }
    return Answer(mask, **values, warnings=find_warnings(values, limits))


def expect_dice(probability: Probability, threshold: float) -> float:
    """The Dice that a well calibrated model expects of its answer; 1 where it sees nothing at all.

    2 sum(p inside) / (sum(p) + pixels inside), where inside is p > threshold.
    """
    inside = probability > threshold
    total = float(probability.sum(dtype=np.float64)) + float(np.count_nonzero(inside))
    return 2 * float(probability[inside].sum(dtype=np.float64)) / total if total else 1.0


def describe_shape(mask: Pixels) -> tuple[int, float]:
    """lesions and solidity of a (S, S) mask."""
    number, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:number, cv2.CC_STAT_AREA]
    if not len(areas):
        return 0, 1.0
    largest = (labels == 1 + int(areas.argmax())).astype(np.uint8)
    outlines, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.fillConvexPoly(np.zeros_like(largest), cv2.convexHull(outlines[0]), 1)
    lesions = int(np.count_nonzero(areas >= SMALLEST_LESION * mask.size))
    return lesions, float(areas.max() / np.count_nonzero(hull))


def find_warnings(values: Mapping[str, float], limits: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the rules that hold, of those that have a limit. An empty answer has no shape."""
    found = []
    for name, (value, is_above) in RULES.items():
        is_blank = not values["lesions"] and value != "confidence"
        if name not in limits or is_blank:
            continue
        over, under = values[value] > limits[name], values[value] < limits[name]
        if over if is_above else under:
            found.append(name)
    return tuple(found)


def draw_answer(image: NDArray[np.uint8], mask: Pixels) -> NDArray[np.uint8]:
    """A copy of the (H, W, 3) image with the mask tinted and outlined, yellow on black."""
    inside = mask.astype(np.uint8)
    tinted = cv2.addWeighted(image, 1 - TINT, np.full_like(image, OUTLINE), TINT, 0)
    result = image.copy()
    cv2.copyTo(tinted, inside, result)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    width = max(1, round(max(mask.shape) / 400))
    cv2.drawContours(result, outlines, -1, (0, 0, 0), 3 * width)
    return cv2.drawContours(result, outlines, -1, OUTLINE, width)
