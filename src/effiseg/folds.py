"""Folds: cross-fitting, so that every image that is not for testing is judged by a model that has
not seen it.

The table has a row for each image of the training and validation parts: name, fold (from 0).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from effiseg.params import require, require_resamples, require_seed
from effiseg.recipe import MOST_EPOCHS
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
        epochs, weight, least = self.fold_epochs, self.hard_weight, self.least_images
        require("fold_epochs", epochs, 1 <= epochs <= MOST_EPOCHS, f"1 to {MOST_EPOCHS}")
        require_resamples(self.resamples)
        require_seed(self.seed)
        require("hard_weight", weight, 1 <= weight <= 1000, "1 to 1000")
        require("least_images", least, 2 <= least <= 1_000_000, "2 to 1000000")


def assign_folds(split: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """name, fold: groups of near duplicates stay together, polyp sizes are spread evenly.

    Args:
        split: the table of effiseg.split; its test images are left out.

    Raises:
        ValueError: there are too few images, or too few groups of near duplicates.
    """
    table = split[split["split"] != "test"]
    if len(table) < SIZE_CLASSES * folds:
        raise ValueError(
            f"error_analysis.folds is {folds}; {len(table)} images that are not for testing are "
            f"too few: expected {SIZE_CLASSES * folds} or more. Lower it, or set it to 0"
        )
    groups = key_groups(table)
    if groups.nunique() < folds:
        raise ValueError(
            f"error_analysis.folds is {folds}; near duplicates, which stay together, fill only "
            f"{groups.nunique()} of them. Lower it, or set it to 0"
        )
    sizes = pd.qcut(table["area_fraction"].rank(method="first"), SIZE_CLASSES, labels=False)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(table), int)
    for number, (_, held_out) in enumerate(splitter.split(table, sizes, groups)):
        fold[held_out] = number
    return pd.DataFrame({"name": table["name"].to_numpy(), "fold": fold})
