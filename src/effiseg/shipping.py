"""Shipping: what a published model tells of itself, from images it was not trained on.

Images are those of a table with a row each: dice, and confidence, warnings as `effiseg.answers`
gives them. Beside a published model lies
    scores.json   split, images, dice, miou of the test images, and warnings, a list with the rows
                  of `tabulate_warnings`
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from effiseg.answers import RULES
from effiseg.confidence import POOR_DICE
from effiseg.files import write_json
from effiseg.findings import STRATA, select_hard
from effiseg.hub import SCORES
from effiseg.metrics import count_pixels, dice

KEYS = ("split", "images", "dice", "miou")
COUNTS = ("warning", "images", "poor", "others", "poor_others")


def choose_limits(strata: pd.DataFrame, images: pd.DataFrame) -> dict[str, float]:
    """The limits of the warnings, by name of `effiseg.answers.RULES`.

    A stratum that the error analysis has shown to be hard gives a warning: there models are wrong
    more often. A stratum that is an outer quartile is one of this model's own answers, whose
    outlines are not drawn as annotators draw them.

    Args:
        strata: the table of `effiseg.findings.score_strata`.
        images: dice, and the values of the answers, of images the model has not learnt from.
    """
    hard = set(select_hard(strata)["stratum"])
    chosen = {}
    for name, (value, is_above) in RULES.items():
        if name in hard:
            quartile = round(float(images[value].quantile(0.75 if is_above else 0.25)), 3)
            fixed = STRATA[name].value
            chosen[name] = quartile if fixed is None else fixed
    confidence = find_confidence_limit(images["confidence"], images["dice"])
    return chosen if confidence is None else {"low confidence": confidence} | chosen


def find_confidence_limit(confidence: Sequence[float], dice: Sequence[float]) -> float | None:
    """The confidence that tells poor answers (Dice below 0.8) best from others; None where all are
    poor or none is.

    The limit with the largest difference between the share of poor answers below it and the share
    of the others below it (Youden's J), half way to the next confidence. None, too, where that is
    not above zero, as confidence then says nothing.
    """
    values, poor = np.asarray(confidence, float), np.asarray(dice, float) < POOR_DICE
    if poor.all() or not poor.any():
        return None
    order = np.sort(np.unique(values))
    limits = (order[1:] + order[:-1]) / 2
    if not len(limits):
        return None
    below = values[None] < limits[:, None]
    gain = below[:, poor].mean(1) - below[:, ~poor].mean(1)
    best = int(gain.argmax())
    return float(f"{limits[best]:.6g}") if gain[best] > 0 else None


def tabulate_warnings(images: pd.DataFrame) -> pd.DataFrame:
    """warning, images, poor, others, poor_others: how many images have the warning and how many of
    these are poor answers; the same of those without it. The last row is for any warning."""
    given = [set(filter(None, text.split("; "))) for text in images["warnings"]]
    poor = (images["dice"] < POOR_DICE).to_numpy()
    rows = []
    for name in (*RULES, "any warning"):
        has = np.array([bool(names) if name == "any warning" else name in names for names in given])
        rows.append((name, has.sum(), poor[has].sum(), (~has).sum(), poor[~has].sum()))
    return pd.DataFrame(rows, columns=list(COUNTS))


def compare_precision(
    images: pd.DataFrame,
    probabilities: NDArray[np.float32],
    whole: pd.DataFrame,
    expected: NDArray[np.float32],
    threshold: float,
) -> dict[str, Any]:
    """Scores of the stored model and what half precision changed.

    Args:
        images: dice and iou of each image.
        probabilities: (N, S, S) of the stored model.
        whole, expected: the same of the model in full precision.
    """
    pairs = zip(probabilities > threshold, expected > threshold, strict=True)
    alike = [dice(count_pixels(mine, theirs)) for mine, theirs in pairs]
    figures = {
        "dice": images["dice"].mean(),
        "miou": images["iou"].mean(),
        "dice_full_precision": whole["dice"].mean(),
        "dice_between_masks": np.mean(alike),
        "least_dice_between_masks": np.min(alike),
        "mean_difference_of_probability": np.abs(probabilities - expected).mean(),
        "largest_difference_of_probability": np.abs(probabilities - expected).max(),
    }
    return {key: round(float(value), 6) for key, value in figures.items()}


def write_scores(folder: Path, scores: dict[str, Any], warnings: pd.DataFrame) -> None:
    """Write what the card tells of the test images, beside the model.

    Args:
        scores: split, the scheme's name; images, their number; dice and miou, means over them.
        warnings: the table of `tabulate_warnings`.
    """
    rows = warnings[list(COUNTS)].to_dict("records")
    write_json(folder / SCORES, {key: scores[key] for key in KEYS} | {"warnings": rows})


def read_scores(folder: Path) -> tuple[dict[str, Any] | None, pd.DataFrame | None]:
    """Both arguments of `write_scores`, None where the model has no such file.

    Raises:
        ValueError: the file is there, and lacks something.
    """
    path = folder / SCORES
    if not path.is_file():
        return None, None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        scores = {key: found[key] for key in KEYS}
        rows = [{key: row[key] for key in COUNTS} for row in found["warnings"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold the scores of a model: {error!r}") from error
    return scores, pd.DataFrame(rows, columns=list(COUNTS))
