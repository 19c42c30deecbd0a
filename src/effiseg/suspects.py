"""Annotation suspects: images where the label, not the model, may be wrong; and how well two
annotations of one frame agree.

Shapes: N images of S x S pixels, at the network's input size.

    confident_disagreement   pixels where the model says the opposite of the annotation with at
                             least 90 % probability, also as the mean over four mirror images,
                             as a share of all pixels that either calls polyp, 0..1
    label_quality            cleanlab's score of the annotation, 0..1, lower is worse (softmin over
                             the probabilities of each pixel's label; Lad and Mueller, 2023)

A model that has not seen the image must have made the probabilities. A suspect is no proof: someone
who can tell has to look.
"""

import numpy as np
import pandas as pd
from cleanlab.segmentation.rank import get_label_quality_scores
from numpy.typing import NDArray

CONFIDENT = 0.9
MUCH = 0.2  # disagreement of a suspect
WORST_QUALITY = 0.1  # share of the images, the lowest by cleanlab's score
AT_ONCE = 100  # images, to bound memory


def score_labels(
    probability: NDArray[np.floating],
    flipped: NDArray[np.floating],
    masks: NDArray[np.uint8],
    threshold: float,
) -> pd.DataFrame:
    """confident_disagreement, label_quality, suspect: one row for each of N images.

    Both must agree: a suspect has much confident disagreement, and is among the tenth of the images
    with the lowest quality.

    Args:
        probability, flipped: (N, S, S) of polyp, as the stages crossfit write them.
        masks: (N, S, S), 0 or 1.
    """
    disagreement, quality = [], []
    for start in range(0, len(masks), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        labels = masks[rows].astype(np.int64)
        p, q = probability[rows].astype(np.float32), flipped[rows].astype(np.float32)
        sure = np.minimum(p, q) > CONFIDENT, np.maximum(p, q) < 1 - CONFIDENT
        against = (sure[0] & (labels == 0)) | (sure[1] & (labels == 1))
        either = (p > threshold) | (labels == 1)
        disagreement.append(against.sum((1, 2)) / np.maximum(either.sum((1, 2)), 1))
        both = np.stack([1 - q, q], axis=1)
        scores, _ = get_label_quality_scores(labels, both, method="softmin", verbose=False)
        quality.append(scores)
    table = pd.DataFrame(
        {
            "confident_disagreement": np.concatenate(disagreement),
            "label_quality": np.concatenate(quality),
        }
    )
    worst = table["label_quality"] <= table["label_quality"].quantile(WORST_QUALITY)
    return table.assign(suspect=(table["confident_disagreement"] >= MUCH) & worst)


def compare_with_annotators(
    dice: pd.Series, pairs: pd.DataFrame, names: pd.Series, resamples: int, seed: int
) -> dict[str, float | None]:
    """How far two annotations of one frame are apart, beside how far the model is from one.

    Args:
        dice: of the model, an image each.
        pairs: name_a, name_b, tier, registered_mask_dice of data/near_duplicate_pairs.csv.
        names: the images that may be looked at; pairs with another one are left out.

    Returns:
        annotators_frames: frames that were annotated twice, and
        annotators_dice, annotators_low, annotators_high: their mean agreement with a percentile
            bootstrap interval over frames (95 %); None where there are none.
        images_within: share of the images where the model agrees with the annotation at least as
            well as the median pair of annotations of one frame agrees; None likewise.
    """
    known = pairs["name_a"].isin(names) & pairs["name_b"].isin(names)
    same = pairs.loc[known & (pairs["tier"] == "A_same_frame"), "registered_mask_dice"].to_numpy()
    keys = ("annotators_dice", "annotators_low", "annotators_high", "images_within")
    if len(same) == 0:
        return {"annotators_frames": 0} | dict.fromkeys(keys)
    means = np.random.default_rng(seed).choice(same, (resamples, len(same))).mean(1)
    within = float((dice >= np.median(same)).mean())
    values = (float(same.mean()), *map(float, np.percentile(means, [2.5, 97.5])), within)
    return {"annotators_frames": len(same)} | dict(zip(keys, values, strict=True))
