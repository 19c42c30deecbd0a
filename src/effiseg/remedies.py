"""Remedies: what the error analysis asks of a training, as findings.yaml and sampling.csv say it.

findings.yaml is a list of findings, each with
    id, statement, evidence   what was found, in words and numbers
    switched_on               whether its remedy is to be followed
    remedy                    one of
        {kind: sampling, stratum: NAME, weight: W}      draw images of the stratum W times as often
        {kind: augmentation, name: NAME}                one of effiseg.augment.ADDITIONS
        {kind: loss, false_negative_weight: W}          Tversky loss; false positives weigh 1 - W
        {kind: test_flips}                              predict the mean over four mirror images
        {kind: none}
sampling.csv holds the product of all sampling remedies: name, weight (mean 1) of training images.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from effiseg.augment import ADDITIONS
from effiseg.params import parse_yaml, require

KINDS = ("sampling", "augmentation", "loss", "test_flips", "none")


class Remedies(NamedTuple):
    """As built, it asks nothing: the published training."""

    augmentations: tuple[str, ...] = ()
    false_negative_weight: float | None = None  # in the Tversky loss, in place of the recipe's
    sampling: NDArray[np.float64] | None = None  # a weight for each training image


def read_findings(path: Path) -> list[dict[str, Any]]:
    """All findings of the file. Raises ValueError, naming file and key, for an unknown remedy."""
    findings = parse_yaml(path.read_text(encoding="utf-8"), path)
    for number, finding in enumerate(findings):
        where = f"{path}: finding {number + 1}: remedy"
        remedy = finding["remedy"]
        require(f"{where}.kind", remedy["kind"], remedy["kind"] in KINDS, f"one of {KINDS}")
        if remedy["kind"] == "augmentation":
            known = remedy["name"] in ADDITIONS
            require(f"{where}.name", remedy["name"], known, f"one of {tuple(ADDITIONS)}")
        if remedy["kind"] == "loss":
            weight = remedy["false_negative_weight"]
            require(f"{where}.false_negative_weight", weight, 0 < weight < 1, "between 0 and 1")
    return findings


def read_remedies(findings: Path, sampling: Path, names: list[str]) -> Remedies:
    """The remedies that are switched on, with the sampling weights of the images `names`.

    Raises:
        ValueError: a remedy is unknown, or an image has no weight.
    """
    remedies = [f["remedy"] for f in read_findings(findings) if f["switched_on"]]
    augmentations = tuple(r["name"] for r in remedies if r["kind"] == "augmentation")
    losses = [r["false_negative_weight"] for r in remedies if r["kind"] == "loss"]
    weights = pd.read_csv(sampling).set_index("name")["weight"].reindex(names)
    if weights.isna().any():
        raise ValueError(
            f"{sampling} has no weight for {weights.isna().sum()} of {len(names)} training images "
            f"({weights.index[weights.isna()][0]}, ...): run the stage error_analysis again"
        )
    return Remedies(augmentations, losses[-1] if losses else None, weights.to_numpy(float))


def asks_for_flips(findings: list[dict[str, Any]]) -> bool:
    """Whether answers should be the mean over mirror images."""
    return any(f["switched_on"] and f["remedy"]["kind"] == "test_flips" for f in findings)
