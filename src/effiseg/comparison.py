"""Comparison: two models on the same images, paired image by image.

Intervals are paired percentile bootstraps over images (95 %). They say how sure the gain is for
other images of the same kind; another seed of the training is not part of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from effiseg.files import read_table, show
from effiseg.params import require_resamples, require_seed

TIE = 0.0005  # difference of Dice under which no model has won
LEAST_IMAGES = 5  # for an interval
EVERYWHERE = "all images"  # the stratum of a prediction for every image
KEYS = ["name", "area_fraction", "near_duplicate"]


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Section `compare`."""

    resamples: int  # of the bootstrap
    seed: int

    def __post_init__(self) -> None:
        require_resamples(self.resamples)
        require_seed(self.seed)


class Interval(NamedTuple):
    """A mean and its 95 % interval; None where there are too few images."""

    mean: float
    low: float | None
    high: float | None


def pair_images(baseline: pd.DataFrame, improved: pd.DataFrame) -> pd.DataFrame:
    """Merge the image tables of two models: name, area_fraction, near_duplicate,
    {baseline,improved}_{dice,iou}, {dice,iou}_change.

    Raises:
        ValueError: the two tables do not hold the same images.
    """
    different = sorted(set(baseline["name"]) ^ set(improved["name"]))
    if different or len(baseline) != len(improved):
        raise ValueError(
            f"the two models were scored on other images: {len(baseline)} and {len(improved)}, "
            f"of which {len(different)} stand on one side only ({', '.join(different[:3])})"
        )
    tables = [
        table[[*KEYS, "dice", "iou"]].rename(columns={"dice": f"{m}_dice", "iou": f"{m}_iou"})
        for m, table in (("baseline", baseline), ("improved", improved))
    ]
    pairs = tables[0].merge(tables[1].drop(columns=KEYS[1:]), on="name")
    for score in ("dice", "iou"):
        pairs[f"{score}_change"] = pairs[f"improved_{score}"] - pairs[f"baseline_{score}"]
    return pairs


def bootstrap_mean(changes: NDArray[np.float64], params: Compare) -> Interval:
    """Mean of paired differences with its interval."""
    if len(changes) < LEAST_IMAGES:
        return Interval(float(np.mean(changes)) if len(changes) else 0.0, None, None)
    generator = np.random.default_rng(params.seed)
    means = generator.choice(changes, (params.resamples, len(changes))).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(np.mean(changes)), float(low), float(high))


def compare_models(pairs: pd.DataFrame, params: Compare) -> dict[str, Any]:
    """Gains with intervals, Wilcoxon's signed-rank test on Dice (two-sided), and who wins where."""
    changes = pairs["dice_change"].to_numpy()
    apart = pairs[~pairs["near_duplicate"]]["dice_change"].to_numpy()
    return {
        "images": len(pairs),
        **_gain("dice_gain", bootstrap_mean(changes, params)),
        **_gain("miou_gain", bootstrap_mean(pairs["iou_change"].to_numpy(), params)),
        **_gain("dice_gain_without_near_duplicates", bootstrap_mean(apart, params)),
        "wilcoxon_p": float(stats.wilcoxon(changes).pvalue) if changes.any() else 1.0,
        "wins": int((changes >= TIE).sum()),
        "losses": int((changes <= -TIE).sum()),
        "ties": int((np.abs(changes) < TIE).sum()),
    }


def compare_strata(pairs: pd.DataFrame, strata: pd.DataFrame, params: Compare) -> pd.DataFrame:
    """stratum, images, baseline, improved, gain, gain_low, gain_high: Dice in each bool column."""
    joined = pairs.merge(strata, on="name", validate="one_to_one")
    rows = []
    for name in strata.columns.drop("name"):
        inside = joined[joined[name]]
        if len(inside):
            gain = bootstrap_mean(inside["dice_change"].to_numpy(), params)
            means = inside["baseline_dice"].mean(), inside["improved_dice"].mean()
            rows.append((name, len(inside), *means, *gain))
    columns = ["stratum", "images", "baseline", "improved", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns)


def check_predictions(
    findings: list[dict[str, Any]], pairs: pd.DataFrame, strata: pd.DataFrame, params: Compare
) -> pd.DataFrame:
    """finding, stratum, images, predicted, gain, low, high, verdict: what became of the predictions
    of the findings that were switched on, in Dice.

    "kept": the mean gain reaches the prediction, and its interval lies above zero. "not kept": the
    whole interval lies below the prediction. Else, or with fewer than `LEAST_IMAGES` images, "can't
    be said". Findings that predict for the same stratum share one test.

    Raises:
        ValueError: a finding predicts for a stratum that there is not.

    Args:
        strata: name and one bool column a stratum, of the images of `pairs`.
    """
    joined = pairs.merge(strata.assign(**{EVERYWHERE: True}), on="name", validate="one_to_one")
    known = {EVERYWHERE, *strata.columns.drop("name")}
    rows = []
    for finding in findings:
        if not finding["switched_on"]:
            continue
        stratum, predicted = finding["prediction"]["stratum"], finding["prediction"]["gain"]
        if stratum not in known:
            raise ValueError(
                f"findings: {show(finding['id'])} predicts for the stratum {show(stratum)}, which "
                "there is not: run the stage error_analysis again"
            )
        changes = joined.loc[joined[stratum], "dice_change"].to_numpy()
        gain = bootstrap_mean(changes, params)
        verdict = _judge(gain, predicted)
        rows.append((finding["id"], stratum, len(changes), predicted, *gain, verdict))
    columns = ["finding", "stratum", "images", "predicted", "gain", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _judge(gain: Interval, predicted: float) -> str:
    if gain.low is None or gain.high is None:
        return "can't be said"
    if gain.high < predicted:
        return "not kept"
    return "kept" if gain.low > 0 and gain.mean >= predicted else "can't be said"


def join_tables(folders: dict[str, Path], name: str) -> pd.DataFrame:
    """The CSV file `name` of each model's folder, one below the other, with a column `model`."""
    tables = [read_table(folder / name).assign(model=m) for m, folder in folders.items()]
    return pd.concat(tables, ignore_index=True)


def _gain(key: str, gain: Interval) -> dict[str, float | None]:
    values = {key: gain.mean, f"{key}_low": gain.low, f"{key}_high": gain.high}
    return {name: None if v is None else round(v, 6) for name, v in values.items()}
