"""Findings: from the scores and attributes of the analysed images to remedies for the training.

A stratum is a written rule on one attribute; rules that have no natural threshold use the outer
quartile of the images that are not for testing. A finding is a stratum, or an imbalance of the
errors, with its evidence, a remedy (`effiseg.remedies` says how these are written), and what the
remedy is predicted to gain where. To add a remedy, add a function to `RULES`.

Statistics: a stratum's difference is that of its mean Dice from the mean of all other images, with
a percentile bootstrap interval (95 %); p is of the Mann-Whitney test, corrected after Holm.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy import stats

from effiseg.causes import correct_holm
from effiseg.comparison import EVERYWHERE, Compare, bootstrap_mean
from effiseg.files import read_table, write_text
from effiseg.folds import ErrorAnalysis

MOST_SAMPLED = 2  # strata
BALANCED = (0.4, 0.6)  # share of false negatives among wrong pixels that asks for nothing
LARGEST_WEIGHT = 0.7  # of false negatives, or of false positives
EVIDENT = 0.05  # p after correction
CLOSES = 0.25  # of a gap: what a remedy is predicted to do, set before any result was known


class Stratum(NamedTuple):
    """Images whose `attribute` is above or below a value, or the outer quartile."""

    attribute: str
    is_above: bool
    value: float | None  # in the attribute's unit; None: the outer quartile
    augmentation: str | None  # of effiseg.augment.ADDITIONS, that may help


STRATA = {
    "small polyp": Stratum("area_fraction", False, 0.05, "smaller_polyps"),
    "large polyp": Stratum("area_fraction", True, 0.30, None),
    "several polyps": Stratum("polyps", True, 1.5, None),
    "irregular shape": Stratum("solidity", False, None, None),
    "flat": Stratum("relief", False, None, "lower_contrast"),
    "low contrast": Stratum("contrast", False, None, "lower_contrast"),
    "weak edge": Stratum("boundary_gradient", False, None, "lower_contrast"),
    "blurred": Stratum("blur", True, None, "blur"),
    "many highlights": Stratum("highlights", True, None, "highlights"),
    "dark": Stratum("brightness", False, None, None),
    "touches the border": Stratum("touches_border", True, 0.5, None),
    "navigation inset": Stratum("inset", True, 0.5, "inset"),
    "touches the inset": Stratum("inset_touches", True, 0.5, "inset"),
}


def find_limits(attributes: pd.DataFrame) -> pd.Series:
    """The limit of each stratum (index), in its attribute's unit; quartiles are of `attributes`."""
    limits = {}
    for name, stratum in STRATA.items():
        quartile = attributes[stratum.attribute].quantile(0.75 if stratum.is_above else 0.25)
        limits[name] = quartile if stratum.value is None else stratum.value
    return pd.Series(limits, name="limit").rename_axis("stratum")


def read_limits(path: Path) -> pd.Series:
    """The limits of `find_limits` from a table of stratum and limit; NaN where it has none.

    Raises:
        ValueError: it is no such table, or does not name each stratum once.
    """
    limits = read_table(path, texts=["stratum"], numbers=["limit"]).set_index("stratum")["limit"]
    if sorted(limits.index) != sorted(STRATA):
        raise ValueError(
            f"{path} has limits of {len(limits)} strata; expected each of {', '.join(STRATA)} "
            "once: run the stage error_analysis again"
        )
    return limits


def assign_strata(attributes: pd.DataFrame, limits: pd.Series) -> pd.DataFrame:
    """name and one bool column a stratum; an unknown attribute (NaN) is in none."""
    table = {"name": attributes["name"].to_numpy()}
    for name, stratum in STRATA.items():
        values = attributes[stratum.attribute].to_numpy(float)
        table[name] = values > limits[name] if stratum.is_above else values < limits[name]
    return pd.DataFrame(table)


def score_strata(
    dice: pd.Series, strata: pd.DataFrame, params: ErrorAnalysis | Compare
) -> pd.DataFrame:
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


def select_hard(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table of `score_strata` that are shown to be hard.

    Their whole interval lies below zero, and p, corrected for all strata that were tried, is below
    0.05. How many images they should have is for the caller to say.
    """
    return scores[(scores["high"] < 0) & (scores["p_holm"] < EVIDENT)]


def derive_findings(
    images: pd.DataFrame, scores: pd.DataFrame, params: ErrorAnalysis
) -> list[dict[str, Any]]:
    """What every rule finds. Remedies of a kind that is not in `params.remedies` stay off.

    Args:
        images: dice, dice_flipped (of the mean over mirror images), fn, fp of each.
        scores: the table of `score_strata`.
    """
    findings = [finding for rule in RULES for finding in rule(images, scores, params)]
    for finding in findings:
        if finding["remedy"]["kind"] not in params.remedies:
            finding |= {"switched_on": False, "prediction": None}
    return findings


def sample_hard_strata(
    images: pd.DataFrame, scores: pd.DataFrame, params: ErrorAnalysis
) -> list[dict[str, Any]]:
    """The two hardest strata are drawn more often in training; or none is shown to be hard."""
    enough = scores[scores["images"] >= params.least_images]
    hard = select_hard(enough)
    if hard.empty:
        return [
            _stratum_finding(f"not shown: {row.stratum}", row, {"kind": "none"})
            for row in enough.head(1).itertuples()
        ]
    return [
        _stratum_finding(
            f"hard: {row.stratum}",
            row,
            {"kind": "sampling", "stratum": row.stratum, "weight": params.hard_weight},
        )
        for row in hard.head(MOST_SAMPLED).itertuples()
    ]


def imitate_hard_stratum(
    images: pd.DataFrame, scores: pd.DataFrame, params: ErrorAnalysis
) -> list[dict[str, Any]]:
    """The hardest stratum that an augmentation can imitate adds that augmentation."""
    hard = select_hard(scores[scores["images"] >= params.least_images])
    return [
        _stratum_finding(
            f"imitate: {row.stratum}",
            row,
            {"kind": "augmentation", "name": STRATA[row.stratum].augmentation},
        )
        for row in hard.itertuples()
        if STRATA[row.stratum].augmentation
    ][:1]


def tilt_loss(
    images: pd.DataFrame, scores: pd.DataFrame, params: ErrorAnalysis
) -> list[dict[str, Any]]:
    """An imbalance of false negatives and positives tilts the loss.

    It is the mean over images, so that large polyps don't decide alone.
    """
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
    gain = CLOSES * (1 - images["dice"].mean()) * abs(2 * share - 1)
    return [
        {
            "id": f"balance: {kind}",
            "statement": statement,
            "evidence": {
                "images": len(wrong),
                "fn_share_mean": round(share, 4),
                "fn_share_pooled": round(pooled, 4),
            },
            "switched_on": is_on,
            "remedy": {"kind": "loss", "false_negative_weight": weight}
            if is_on
            else {"kind": "none"},
            "prediction": {"stratum": EVERYWHERE, "gain": round(float(gain), 4)} if is_on else None,
        }
    ]


def average_mirror_images(
    images: pd.DataFrame, scores: pd.DataFrame, params: ErrorAnalysis
) -> list[dict[str, Any]]:
    """The mean over mirror images, if it is better: measured here, not supposed."""
    gains = (images["dice_flipped"] - images["dice"]).to_numpy()
    gain = bootstrap_mean(gains, Compare(resamples=params.resamples, seed=params.seed))
    if gain.low is None or gain.high is None:
        return []
    statement = (
        f"The mean over four mirror images changes the mean Dice of the {len(images)} analysed "
        f"images by {gain.mean:+.3f} (95 % interval {gain.low:+.3f} to {gain.high:+.3f})."
    )
    evidence = {key: round(value, 4) for key, value in gain._asdict().items()}
    prediction = {"stratum": EVERYWHERE, "gain": evidence["mean"]}
    return [
        {
            "id": "mirror images",
            "statement": statement,
            "evidence": {"images": len(images)} | evidence,
            "switched_on": gain.low > 0,
            "remedy": {"kind": "test_flips"},
            "prediction": prediction if gain.low > 0 else None,
        }
    ]


Rule = Callable[[pd.DataFrame, pd.DataFrame, ErrorAnalysis], list[dict[str, Any]]]
RULES: tuple[Rule, ...] = (
    sample_hard_strata,
    imitate_hard_stratum,
    tilt_loss,
    average_mirror_images,
)


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


def _stratum_finding(identity: str, row: Any, remedy: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: float(f"{getattr(row, name):.4g}") for name in row._fields[3:]}
    statement = (
        f"On the {row.images} analysed images of the stratum '{row.stratum}' the mean Dice is "
        f"{row.dice:.3f}, on the others {row.dice_elsewhere:.3f}: a difference of "
        f"{row.difference:+.3f} (95 % interval {row.low:+.3f} to {row.high:+.3f})."
    )
    is_on = remedy["kind"] != "none"
    prediction = {"stratum": row.stratum, "gain": round(float(CLOSES * -row.difference), 4)}
    return {
        "id": identity,
        "statement": statement,
        "evidence": {"images": int(row.images)} | numbers,
        "switched_on": is_on,
        "remedy": remedy,
        "prediction": prediction if is_on else None,
    }


def _interval(
    inside: NDArray, outside: NDArray, resamples: int, generator: np.random.Generator
) -> tuple[float, float]:
    means = [
        generator.choice(values, (resamples, len(values))).mean(1) for values in (inside, outside)
    ]
    low, high = np.percentile(means[0] - means[1], [2.5, 97.5])
    return float(low), float(high)
