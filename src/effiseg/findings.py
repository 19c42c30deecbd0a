"""Findings: from the scores and attributes of validation images to remedies for the training.

A stratum is a written rule on one attribute; rules that have no natural threshold use a quartile
of the training images. A finding is a stratum, or an imbalance of the errors, with its evidence
and a remedy; `effiseg.remedies` says how they are written.

Statistics: a stratum's difference is that of its mean Dice from the mean of all other images, with
a percentile bootstrap interval (95 %); p is of the Mann-Whitney test, corrected after Holm.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy import stats

from effiseg.files import write_text
from effiseg.params import require

MOST_SAMPLED = 2  # strata
BALANCED = (0.4, 0.6)  # share of false negatives among wrong pixels that asks for nothing
LARGEST_WEIGHT = 0.7  # of false negatives, or of false positives


class Stratum(NamedTuple):
    """Images whose `attribute` is above or below a value, or a quantile of the training images."""

    attribute: str
    is_above: bool
    value: float | None  # in the attribute's unit; None: the outer quartile
    augmentation: str | None  # of effiseg.augment.CAUSES, that may help


STRATA = {
    "small polyp": Stratum("area_fraction", False, 0.05, "smaller_polyps"),
    "large polyp": Stratum("area_fraction", True, 0.30, None),
    "several polyps": Stratum("polyps", True, 1.5, None),
    "irregular shape": Stratum("solidity", False, None, None),
    "low contrast": Stratum("contrast", False, None, "lower_contrast"),
    "weak edge": Stratum("boundary_gradient", False, None, "lower_contrast"),
    "blurred": Stratum("blur", True, None, "blur"),
    "many highlights": Stratum("highlights", True, None, "highlights"),
    "dark": Stratum("brightness", False, None, None),
    "touches the border": Stratum("touches_border", True, 0.5, None),
    "navigation inset": Stratum("inset", True, 0.5, "inset"),
}


@dataclass(frozen=True, kw_only=True)
class ErrorAnalysis:
    """Section `error_analysis`."""

    resamples: int  # of the bootstrap
    seed: int
    hard_weight: float  # how often images of a hard stratum are drawn
    least_images: int  # in a stratum that may become a finding

    def __post_init__(self) -> None:
        require("resamples", self.resamples, self.resamples >= 100, "at least 100")
        require("seed", self.seed, self.seed >= 0, "0 or more")
        require("hard_weight", self.hard_weight, self.hard_weight >= 1, "at least 1")
        require("least_images", self.least_images, self.least_images >= 2, "at least 2")


def assign_strata(attributes: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """name and one bool column a stratum; quartiles are those of `reference` (training images)."""
    table = {"name": attributes["name"].to_numpy()}
    for name, stratum in STRATA.items():
        quartile = reference[stratum.attribute].quantile(0.75 if stratum.is_above else 0.25)
        limit = quartile if stratum.value is None else stratum.value
        values = attributes[stratum.attribute].to_numpy(float)
        table[name] = values > limit if stratum.is_above else values < limit
    return pd.DataFrame(table)


def score_strata(dice: pd.Series, strata: pd.DataFrame, params: ErrorAnalysis) -> pd.DataFrame:
    """stratum, images, dice, dice_elsewhere, difference, low, high, p, p_holm; hardest first.

    `dice` has the rows of `strata`. Strata that hold under two images, or all but one, are left
    out: they can't be compared.
    """
    generator = np.random.default_rng(params.seed)
    rows = []
    for name in STRATA:
        inside, outside = dice[strata[name].to_numpy()], dice[~strata[name].to_numpy()]
        if min(len(inside), len(outside)) < 2:
            continue
        low, high = _interval(inside.to_numpy(), outside.to_numpy(), params.resamples, generator)
        p = stats.mannwhitneyu(inside, outside).pvalue
        difference = inside.mean() - outside.mean()
        rows.append(
            (name, len(inside), inside.mean(), outside.mean(), difference, low, high, float(p))
        )
    columns = ["stratum", "images", "dice", "dice_elsewhere", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_holm"] = correct_holm(table["p"].to_numpy(float))
    return table.sort_values("difference", kind="stable", ignore_index=True)


def score_attributes(images: pd.DataFrame) -> pd.DataFrame:
    """attribute, spearman, p, p_holm: Spearman's rank correlation of each with Dice."""
    rows = []
    for name in dict.fromkeys(stratum.attribute for stratum in STRATA.values()):
        known = images[[name, "dice"]].dropna()
        if known[name].nunique() > 1 and known["dice"].nunique() > 1:
            rows.append((name, *stats.spearmanr(known[name], known["dice"])))
    table = pd.DataFrame(rows, columns=["attribute", "spearman", "p"])
    table["p_holm"] = correct_holm(table["p"].to_numpy(float))
    return table


def correct_holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down correction for testing `len(p)` hypotheses; the order is kept."""
    order = np.argsort(p, kind="stable")
    steps = p[order] * (len(p) - np.arange(len(p)))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def derive_findings(
    images: pd.DataFrame, strata_scores: pd.DataFrame, params: ErrorAnalysis
) -> list[dict[str, Any]]:
    """The findings, each with a remedy that is switched on where its evidence holds.

    A stratum is hard where the interval of its difference lies below zero and it has enough
    images. The hardest two are drawn more often; the hardest that an augmentation can imitate
    adds that augmentation; an imbalance of false negatives and positives tilts the loss.
    """
    enough = strata_scores["images"] >= params.least_images
    hard = strata_scores[enough & (strata_scores["high"] < 0)]
    findings = [_sampling_finding(row, params) for row in hard.head(MOST_SAMPLED).itertuples()]
    imitable = [row for row in hard.itertuples() if STRATA[row.stratum].augmentation]
    findings += [_augmentation_finding(row) for row in imitable[:1]]
    if hard.empty and enough.any():
        findings.append(_no_hard_stratum(next(strata_scores[enough].itertuples())))
    return [*findings, _balance_finding(images)]


def weigh_samples(strata: pd.DataFrame, findings: list[dict[str, Any]]) -> pd.DataFrame:
    """name, weight: the product of the sampling remedies of each training image, mean 1."""
    weights = np.ones(len(strata))
    for finding in findings:
        remedy = finding["remedy"]
        if finding["switched_on"] and remedy["kind"] == "sampling":
            weights *= np.where(strata[remedy["stratum"]], remedy["weight"], 1.0)
    return pd.DataFrame({"name": strata["name"], "weight": weights / weights.mean()})


def write_findings(path: Path, findings: list[dict[str, Any]]) -> None:
    """YAML, as `effiseg.remedies` reads it."""
    write_text(path, yaml.safe_dump(findings, sort_keys=False, allow_unicode=True, width=100))


def _sampling_finding(row: Any, params: ErrorAnalysis) -> dict[str, Any]:
    remedy = {"kind": "sampling", "stratum": row.stratum, "weight": params.hard_weight}
    return _stratum_finding(f"hard: {row.stratum}", row, remedy, True)


def _augmentation_finding(row: Any) -> dict[str, Any]:
    remedy = {"kind": "augmentation", "name": STRATA[row.stratum].augmentation}
    return _stratum_finding(f"cause: {row.stratum}", row, remedy, True)


def _no_hard_stratum(row: Any) -> dict[str, Any]:
    return _stratum_finding(f"not shown: {row.stratum}", row, {"kind": "none"}, False)


def _stratum_finding(identity: str, row: Any, remedy: dict, is_on: bool) -> dict[str, Any]:
    numbers = {name: float(f"{getattr(row, name):.4g}") for name in row._fields[3:]}
    statement = (
        f"On the {row.images} validation images of the stratum '{row.stratum}' the mean Dice is "
        f"{row.dice:.3f}, on the others {row.dice_elsewhere:.3f}: a difference of "
        f"{row.difference:+.3f} (95 % interval {row.low:+.3f} to {row.high:+.3f})."
    )
    return {
        "id": identity,
        "statement": statement,
        "evidence": {"images": int(row.images)} | numbers,
        "switched_on": is_on,
        "remedy": remedy,
    }


def _balance_finding(images: pd.DataFrame) -> dict[str, Any]:
    """Which wrong pixels prevail: the mean over images, so that large polyps don't decide alone."""
    wrong = images[(images["fn"] + images["fp"]) > 0]
    share = float((wrong["fn"] / (wrong["fn"] + wrong["fp"])).mean()) if len(wrong) else 0.5
    pooled = float(images["fn"].sum() / max((images["fn"] + images["fp"]).sum(), 1))
    is_on = bool(len(wrong)) and not BALANCED[0] <= share <= BALANCED[1]
    weight = round(float(np.clip(share, 1 - LARGEST_WEIGHT, LARGEST_WEIGHT)), 2)
    kind = "too little" if share > BALANCED[1] else "too much" if is_on else "balanced"
    statement = (
        f"False negatives are {100 * share:.0f} % of an image's wrong pixels in the mean over "
        f"images, {100 * pooled:.0f} % of all wrong pixels: "
        + ("the errors are balanced." if not is_on else f"the baseline marks {kind}.")
    )
    return {
        "id": f"balance: {kind}",
        "statement": statement,
        "evidence": {
            "images": len(wrong),
            "fn_share_mean": round(share, 4),
            "fn_share_pooled": round(pooled, 4),
        },
        "switched_on": is_on,
        "remedy": {"kind": "loss", "false_negative_weight": weight} if is_on else {"kind": "none"},
    }


def _interval(
    inside: NDArray, outside: NDArray, resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    means = [
        generator.choice(values, (resamples, len(values))).mean(1) for values in (inside, outside)
    ]
    low, high = np.percentile(means[0] - means[1], [2.5, 97.5])
    return float(low), float(high)
