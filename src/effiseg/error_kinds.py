"""Kinds of error: every prediction gets exactly one, by the first rule that holds.

    good             Dice >= 0.9
    wrong place      IoU < 0.1, though the prediction has at least a tenth of the polyps' area
    lesion missed    a polyp of which under a tenth is found
    false lesion     a predicted region that touches no polyp, with at least a tenth of their area
    fragmented       a polyp is found in two or more regions, each at least 5 % of its area
    too small        of the wrong pixels over 75 % are false negatives
    too large        of the wrong pixels over 75 % are false positives
    ragged boundary  everything else: an outline that is off both ways

Regions are 8-connected; those under 0.05 % of the image are specks and don't count.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.measure import label

from effiseg.attributes import SMALLEST_REGION
from effiseg.metrics import Counts, count_pixels, dice, iou

KINDS = (
    "good",
    "wrong place",
    "lesion missed",
    "false lesion",
    "fragmented",
    "too small",
    "too large",
    "ragged boundary",
)
GOOD_DICE = 0.9
LITTLE = 0.1
FRAGMENT = 0.05  # of the polyp's area
ONE_SIDED = 0.75

Pixels = NDArray[np.bool_]


class Lesions(NamedTuple):
    """Connected regions by what became of them."""

    missed: int  # polyps of which under a tenth is found
    found: int
    false: int  # predicted regions that touch no polyp


def describe_error(prediction: Pixels, mask: Pixels) -> dict[str, Any]:
    """kind, lesions_missed, lesions_found, lesions_false: the columns of the tables of images."""
    lesions = count_lesions(prediction, mask)._asdict()
    counts = {f"lesions_{name}": number for name, number in lesions.items()}
    return {"kind": classify_error(prediction, mask)} | counts


def classify_error(prediction: Pixels, mask: Pixels) -> str:
    """The kind of a prediction: two (H, W) bool arrays."""
    counts = count_pixels(prediction, mask)
    if dice(counts) >= GOOD_DICE:
        return "good"
    polyp_area = counts.tp + counts.fn
    if polyp_area and iou(counts) < LITTLE and counts.tp + counts.fp >= LITTLE * polyp_area:
        return "wrong place"
    if count_lesions(prediction, mask).missed:
        return "lesion missed"
    if _false_regions(prediction, mask, LITTLE * polyp_area):
        return "false lesion"
    if any(_count_fragments(prediction, polyp) > 1 for polyp in _regions(mask)):
        return "fragmented"
    return _one_sided(counts)


def count_lesions(prediction: Pixels, mask: Pixels) -> Lesions:
    """Polyps missed and found, and predicted regions where no polyp is."""
    shares = [prediction[region].mean() for region in _regions(mask)]
    missed = sum(share < LITTLE for share in shares)
    false = _false_regions(prediction, mask, SMALLEST_REGION * mask.size)
    return Lesions(missed, len(shares) - missed, false)


def budget_pixels(images: pd.DataFrame) -> pd.DataFrame:
    """kind, images, share_of_images, and the shares of all false pixels that each kind owns.

    Reads the columns kind, fn, fp. Every share adds up to 1; without such pixels each is 0.
    """
    total = images.groupby("kind").agg(images=("kind", "size"), fn=("fn", "sum"), fp=("fp", "sum"))
    total = total.reindex([kind for kind in KINDS if kind in total.index])
    return pd.DataFrame(
        {
            "kind": total.index,
            "images": total["images"].to_numpy(),
            "share_of_images": (total["images"] / len(images)).to_numpy(),
            "share_of_fn_pixels": (total["fn"] / max(images["fn"].sum(), 1)).to_numpy(),
            "share_of_fp_pixels": (total["fp"] / max(images["fp"].sum(), 1)).to_numpy(),
        }
    )


def _one_sided(counts: Counts) -> str:
    fn_share = counts.fn / (counts.fn + counts.fp)
    if fn_share > ONE_SIDED:
        return "too small"
    return "too large" if fn_share < 1 - ONE_SIDED else "ragged boundary"


def _regions(pixels: Pixels) -> list[Pixels]:
    labels = label(pixels)
    regions = [labels == number for number in range(1, labels.max() + 1)]
    return [region for region in regions if region.sum() >= SMALLEST_REGION * pixels.size]


def _count_fragments(prediction: Pixels, polyp: Pixels) -> int:
    sizes = np.bincount(label(prediction)[polyp])[1:]  # of each predicted region within the polyp
    return int((sizes >= FRAGMENT * polyp.sum()).sum())


def _false_regions(prediction: Pixels, mask: Pixels, least_area: float) -> int:
    return sum(not mask[r].any() and r.sum() >= least_area for r in _regions(prediction))
