"""Variance: how much of a gain's uncertainty is images, seeds, and the rest; and what follows for
the next experiment.

Shapes: N test images, S seeds of a model; scores are (S, N) Dice. A score is taken for mean + image
+ seed + rest (image x seed): seeds and images are crossed, images are shared by the two models,
seeds are not.

Source: Searle's ANOVA method (method of moments), two-way, one score a cell; estimates below zero
become 0. Plans take the estimated components for known and mean gains for normally distributed, so
that with few seeds they are rough.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EFFECTS = (0.002, 0.005, 0.01, 0.02)  # true gains in Dice that are planned for
SEEDS = (1, 3, 5, 10)  # of each model
REACH = 1.959964 + 0.841621  # standard errors: two-sided 5 %, power 80 %


class Variance(NamedTuple):
    """Variance components, Dice squared; None where a model has one seed and can't show them."""

    images: float | None  # of the paired difference
    seeds_baseline: float | None
    seeds_improved: float | None
    rest_baseline: float | None  # image x seed
    rest_improved: float | None


class Parts(NamedTuple):
    """What the variance of a mean gain consists of, Dice squared."""

    images: float
    seeds: float
    rest: float


def estimate_variance(baseline: NDArray[np.float64], improved: NDArray[np.float64]) -> Variance:
    """Components of two models' (S, N) scores of the same images."""
    (seeds_b, rest_b), (seeds_i, rest_i) = _split_model(baseline), _split_model(improved)
    images = None
    if rest_b is not None and rest_i is not None:
        noise = rest_b / len(baseline) + rest_i / len(improved)
        images = max(0.0, float((improved.mean(0) - baseline.mean(0)).var(ddof=1)) - noise)
    return Variance(images, seeds_b, seeds_i, rest_b, rest_i)


def split_gain_variance(variance: Variance, images: int, seeds: tuple[int, int]) -> Parts | None:
    """The variance of the mean gain over so many images, and seeds of baseline and improved.

    None where a component is unknown.
    """
    if None in variance:
        return None
    of_images, *of_models = variance
    seeds_b, seeds_i, rest_b, rest_i = np.array(of_models, float) / (seeds * 2)
    return Parts(of_images / images, float(seeds_b + seeds_i), float(rest_b + rest_i) / images)


def detectable_gain(variance: Variance, images: int, seeds: tuple[int, int]) -> float | None:
    """The true gain that is found with 80 % power, two-sided 5 %; None as above."""
    parts = split_gain_variance(variance, images, seeds)
    return None if parts is None else REACH * math.sqrt(sum(parts))


def plan_images(variance: Variance) -> pd.DataFrame:
    """effect, seeds (of each model), images: how many test images give 80 % power, two-sided 5 %.

    <NA> where no number of images does, because the seeds alone vary too much. No rows where a
    component is unknown.
    """
    rows = []
    for effect in EFFECTS if None not in variance else ():
        for seeds in SEEDS:
            one = split_gain_variance(variance, 1, (seeds, seeds))
            left = (effect / REACH) ** 2 - one.seeds
            images = max(1, math.ceil((one.images + one.rest) / left)) if left > 0 else None
            rows.append((effect, seeds, images))
    return pd.DataFrame(rows, columns=["effect", "seeds", "images"]).astype({"images": "Int64"})


def _split_model(scores: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Between seeds, and the rest."""
    seeds, number = scores.shape
    if min(seeds, number) < 2:
        return None, None
    centred = scores - scores.mean(0)
    rest = ((centred - centred.mean(1, keepdims=True)) ** 2).sum() / ((seeds - 1) * (number - 1))
    return max(0.0, float(scores.mean(1).var(ddof=1) - rest / number)), float(rest)
