"""Confidence: are the probabilities honest, and does a model know which of its answers are poor?

Shapes: probabilities are (H, W) float in 0..1, masks (H, W) bool.

    calibration_error   expected calibration error of an image's pixels: the difference between mean
                        probability and share of polyp, over 10 bins of probability, weighted by
                        pixels (Naeini et al., 2015)
    expected_dice       the Dice that the probabilities themselves expect of the prediction
    flip_agreement      Dice between the prediction and that from the mean over four mirror images

The last two need no annotation: they are what a user can be warned by.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from effiseg.answers import expect_dice
from effiseg.metrics import count_pixels, dice

BINS = 10
POOR_DICE = 0.8  # below it an answer is poor: the users' question is whether they were warned
WARNINGS = ("expected_dice", "flip_agreement")

Probability = NDArray[np.floating]
Pixels = NDArray[np.bool_]


class Reliability(NamedTuple):
    """Pixels by bin of probability; sums of several images can be added up."""

    pixels: NDArray[np.int64]  # (BINS,)
    probability: NDArray[np.float64]  # (BINS,) sum of the probabilities
    polyp: NDArray[np.int64]  # (BINS,) pixels that are polyp


def count_reliability(probability: Probability, mask: Pixels) -> Reliability:
    """The bins of one image."""
    values = probability.ravel().astype(np.float64)
    bins = np.minimum((values * BINS).astype(int), BINS - 1)
    return Reliability(
        np.bincount(bins, minlength=BINS),
        np.bincount(bins, weights=values, minlength=BINS),
        np.bincount(bins[mask.ravel()], minlength=BINS),
    )


def calibration_error(bins: Reliability) -> float:
    """Expected calibration error, 0..1."""
    return float(np.abs(bins.probability - bins.polyp).sum() / max(bins.pixels.sum(), 1))


def tabulate_reliability(images: list[Reliability]) -> pd.DataFrame:
    """probability, polyp_share, pixels: all pixels of all images, a row for each bin that has any.

    In a calibrated model, `polyp_share` equals the mean `probability` of the bin.
    """
    pixels, probability, polyp = (np.sum(column, axis=0) for column in zip(*images, strict=True))
    some = pixels > 0
    columns = {
        "probability": probability[some] / pixels[some],
        "polyp_share": polyp[some] / pixels[some],
        "pixels": pixels[some],
    }
    return pd.DataFrame(columns)


def score_confidence(
    probability: Probability, flipped: Probability, threshold: float
) -> dict[str, float]:
    """expected_dice and flip_agreement of one image, both 0..1."""
    agreement = dice(count_pixels(probability > threshold, flipped > threshold))
    return {"expected_dice": expect_dice(probability, threshold), "flip_agreement": agreement}


def score_warnings(images: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """warning, auroc, low, high, poor, images: how well each confidence tells poor answers.

    `poor` counts the images whose Dice is below `POOR_DICE`. AUROC is the probability that a poor
    answer has less confidence than another one; NaN where all are poor or none is. The interval is
    a percentile bootstrap over images (95 %).
    """
    poor = (images["dice"] < POOR_DICE).to_numpy()
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(images), (resamples, len(images)))
    rows = []
    for name in WARNINGS:
        doubt = -images[name].to_numpy()
        again = np.array([_auroc(poor[draw], doubt[draw]) for draw in draws])
        known = again[~np.isnan(again)]  # a resample may hold no poor answer
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        rows.append((name, _auroc(poor, doubt), low, high, int(poor.sum()), len(images)))
    return pd.DataFrame(rows, columns=["warning", "auroc", "low", "high", "poor", "images"])


def _auroc(poor: Pixels, doubt: NDArray[np.float64]) -> float:
    return float(roc_auc_score(poor, doubt)) if 0 < poor.sum() < len(poor) else float("nan")
