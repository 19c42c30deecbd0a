"""Ablation: what each variant of the training gains over the published recipe, on images that are
not for testing.

A run trains a variant without one fold and judges that fold; the fold's number is the seed, and the
reference has a run of the same fold. So gains are paired image by image, and what a seed changes is
seen between folds alone: intervals are hierarchical bootstraps, folds first, then their images
(95 %); with few folds they are rough. All variants are compared with the same runs of the
reference, so that luck of these shifts them all.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from effiseg.comparison import Compare

KEYS = ["fold", "name"]
COLUMNS = ["variant", "changes", "folds", "images", "work", "dice", "iou", "nsd"]
COLUMNS += ["gain", "low", "high", "iou_gain", "folds_better", "verdict"]
LEAST_FOLDS = 2  # for an interval: one fold is one training, and says nothing of another


def compare_variants(
    runs: Mapping[str, pd.DataFrame],
    changes: Mapping[str, Mapping[str, Any]],
    works: Mapping[str, float],
    params: Compare,
    reference: str,
) -> pd.DataFrame:
    """A row a variant, in the order of `runs`; the columns are `COLUMNS`.

    dice, iou, nsd are means over the judged images; gain and iou_gain those of the differences to
    the reference, on the images that both judged. The verdict is that of `judge_interval`.

    Args:
        runs: by variant, a row for each judged image: fold, name, dice, iou, nsd.
        works: by variant, pixels that its training sees, as a multiple of the reference's.

    Raises:
        ValueError: the reference has no runs, or judged none of a variant's images.
    """
    if reference not in runs:
        raise ValueError(f"the ablation has no runs of '{reference}', with which it compares")
    rows = []
    for name, table in runs.items():
        pairs = table.merge(runs[reference], on=KEYS, suffixes=("", "_reference"))
        if pairs.empty:
            raise ValueError(f"'{name}' and '{reference}' have no judged image in common")
        gains = pairs["dice"] - pairs["dice_reference"]
        folds = gains.groupby(pairs["fold"]).mean()
        low, high = np.nan, np.nan
        if name != reference and len(folds) >= LEAST_FOLDS:
            low, high = bootstrap_folds(gains.to_numpy(), pairs["fold"].to_numpy(), params)
        means = [table[score].mean() for score in ("dice", "iou", "nsd")]
        iou_gain = (pairs["iou"] - pairs["iou_reference"]).mean()
        verdict = "reference" if name == reference else judge_interval(low, high)
        facts = (name, write_changes(changes[name]), len(folds), len(table), works[name])
        better = int((folds > 0).sum())
        rows.append((*facts, *means, gains.mean(), low, high, iou_gain, better, verdict))
    return pd.DataFrame(rows, columns=COLUMNS)


def judge_interval(low: float, high: float) -> str:
    """better, worse, unsure; or one fold, where there is no interval (NaN)."""
    if np.isnan(low):
        return "one fold"
    return "better" if low > 0 else "worse" if high < 0 else "unsure"


def bootstrap_folds(
    gains: NDArray[np.float64], folds: NDArray[np.int64], params: Compare
) -> tuple[float, float]:
    """95 % interval of the mean of `gains`: draw folds, and in each of them images.

    Of F folds F - 1 are drawn, which keeps the folds' own variance whole (Rao and Wu, 1988, as for
    seeds in effiseg.proof). Simulated with three folds whose gains vary by a standard deviation of
    0.01, nine of ten intervals hold the true gain (a test simulates it).

    Args:
        gains: (N,), one an image.
        folds: (N,), the number of its fold; two or more.
    """
    generator = np.random.default_rng(params.seed)
    groups = [gains[folds == fold] for fold in np.unique(folds)]
    sizes = np.array([len(group) for group in groups])
    sums, images = np.zeros(params.resamples), np.zeros(params.resamples)
    for _ in range(len(groups) - 1):
        chosen = generator.integers(len(groups), size=params.resamples)
        for number, group in enumerate(groups):
            here = np.flatnonzero(chosen == number)
            sums[here] += generator.choice(group, (len(here), len(group))).sum(1)
        images += sizes[chosen]
    low, high = np.percentile(sums / images, [2.5, 97.5])
    return float(low), float(high)


def write_changes(changes: Mapping[str, Any]) -> str:
    """`size 192, epochs 30`; empty for a variant that changes nothing."""
    return ", ".join(f"{key} {write_value(value)}" for key, value in changes.items())


def check_ranking(small: pd.DataFrame, large: pd.DataFrame) -> dict[str, float]:
    """Whether gains carry over: Spearman's correlation of the gains of the variants in both tables.

    Args:
        small, large: tables of `compare_variants`, of other sizes and schedules.
    """
    both = small.merge(large, on="variant", suffixes=("_small", "_large"))
    both = both[both["verdict_small"] != "reference"]
    rho = stats.spearmanr(both["gain_small"], both["gain_large"]).statistic
    return {"variants": len(both), "spearman": float(rho)}


def write_value(value: Any) -> str:
    """As a variant's change is told: on and off for what is switched."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
