"""Folds: cross-fitting, so that every image that is not for testing is judged by a model that has
not seen it.

The table has a row for each image of the training and validation parts: name, fold (from 0).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from effiseg.params import require
from effiseg.split import key_groups

MOST_FOLDS = 5  # as many as dvc.yaml has stages
SIZE_CLASSES = 5  # of polyps: in every fold in the same proportion


@dataclass(frozen=True, kw_only=True)
class ErrorAnalysis:
    """Section `error_analysis`."""

    folds: int  # of the training and validation images; 0: judge the validation images alone
    fold_epochs: int  # of the training in each fold
    resamples: int  # of the bootstrap
    seed: int
    hard_weight: float  # how often images of a hard stratum are drawn
    least_images: int  # in a stratum that may become a finding
    remedies: tuple[Literal["sampling", "augmentation", "loss", "test_flips"], ...]  # to switch on

    def __post_init__(self) -> None:
        known = self.folds in (0, *range(2, MOST_FOLDS + 1))
        require("folds", self.folds, known, f"0, or 2 to {MOST_FOLDS}")
        require("fold_epochs", self.fold_epochs, self.fold_epochs >= 1, "at least 1")
        require("resamples", self.resamples, self.resamples >= 100, "at least 100")
        require("seed", self.seed, self.seed >= 0, "0 or more")
        require("hard_weight", self.hard_weight, self.hard_weight >= 1, "at least 1")
        require("least_images", self.least_images, self.least_images >= 2, "at least 2")


def assign_folds(split: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """name, fold: groups of near duplicates stay together, polyp sizes are spread evenly.

    Args:
        split: the table of effiseg.split; its test images are left out.

    Raises:
        ValueError: there are too few images.
    """
    table = split[split["split"] != "test"]
    if len(table) < SIZE_CLASSES * folds:
        raise ValueError(
            f"error_analysis.folds is {folds}; {len(table)} images that are not for testing are "
            f"too few: expected {SIZE_CLASSES * folds} or more. Lower it, or set it to 0"
        )
    sizes = pd.qcut(table["area_fraction"].rank(method="first"), SIZE_CLASSES, labels=False)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(table), int)
    for number, (_, held_out) in enumerate(splitter.split(table, sizes, key_groups(table))):
        fold[held_out] = number
    return pd.DataFrame({"name": table["name"].to_numpy(), "fold": fold})
