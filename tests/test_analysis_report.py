"""The report of the error analysis says what its tables say, and no more."""

import numpy as np
import pandas as pd
import pytest

from effiseg.analysis_report import Analysis, write_analysis
from effiseg.error_kinds import budget_pixels

INTERVAL = ["low", "high", "p", "p_holm"]


def make_analysis(**changes):
    images = pd.DataFrame(
        {
            "kind": ["good"] * 6 + ["too small"] * 3 + ["too large"],
            "dice": [0.95] * 6 + [0.7] * 3 + [0.6],
            "fn": [10] * 6 + [100] * 3 + [0],
            "fp": [10] * 6 + [0] * 3 + [90],
            "suspect": [False] * 9 + [True],
        }
    )
    strata = pd.DataFrame(
        [
            ("several polyps", 2, 0.5, 0.9, -0.4, -0.7, -0.1, 0.001, 0.01),
            ("flat", 20, 0.8, 0.9, -0.1, -0.2, -0.05, 0.001, 0.02),
        ],
        columns=["stratum", "images", "dice", "dice_elsewhere", "difference", *INTERVAL],
    )
    correlations = pd.DataFrame(
        [("blur", 10, -0.1, -0.3, 0.1, 0.5, 1.0), ("contrast", 10, 0.5, 0.3, 0.7, 0.001, 0.002)],
        columns=["attribute", "images", "spearman", *INTERVAL],
    )
    odds = pd.DataFrame(
        [("flat", "too small", 4, 2, 4.2, 1.9, 9.0, 0.001, 0.004)],
        columns=["stratum", "kind", "images", "of_kind", "odds_ratio", *INTERVAL],
    )
    warnings = pd.DataFrame(
        [("expected_dice", 0.7, 0.6, 0.8, 4, 10), ("flip_agreement", 0.9, 0.85, 0.95, 4, 10)],
        columns=["warning", "auroc", "low", "high", "poor", "images"],
    )
    reliability = pd.DataFrame({"probability": [0.1, 0.9], "polyp_share": [0.1, 0.7], "pixels": 5})
    people = {
        "annotators_frames": 14, "annotators_dice": 0.94, "annotators_low": 0.90,
        "annotators_high": 0.97, "images_within": 0.6,
    }  # fmt: skip
    finding = {
        "statement": "Flat ones are hard.",
        "switched_on": True,
        "remedy": {"kind": "sampling", "stratum": "flat", "weight": 2.0},
        "prediction": {"stratum": "flat", "gain": 0.025},
    }
    parts = {
        "folds": 5, "fold_epochs": 8, "epochs": 25, "least_images": 10,
        "images": images, "kinds": budget_pixels(images),
        "attributes": correlations, "odds": odds, "strata": strata, "reliability": reliability,
        "warnings": warnings, "tree": "|--- contrast <= 7", "findings": [finding],
        "summary": {"r2_tree": -0.1, "r2_forest": 0.2} | people,
    }  # fmt: skip
    return write_analysis(Analysis(**parts | changes)), parts


def test_the_main_findings_are_those_of_the_tables():
    report, _ = make_analysis()
    for words in (
        "60 % of the images are good",
        "**too small** owns the largest share of all missed polyp pixels (83 %)",
        "**too large** that of all pixels marked in error (60 %)",
        "is **flat**: mean Dice 0.800 on 20 images, 0.900 on the others",
        "is **contrast** (Spearman +0.50",
        "predicts 20 % of the variance",
        "differ by 0.060 Dice in the mean (14 frames, 95 % interval 0.030 to 0.100)",
        "`flip_agreement` separates poor answers with AUROC 0.90",
        "1 of 10 images are suspects",
        "| flat | too small | 2 of 4 | 1 of 6 | 4.2 | 1.9 to 9.0 | 0.004 |",
        "explains 0 % of the variance of Dice, a random forest on the same attributes 20 %",
        "Predicted gain in Dice: +0.025 (flat)",
        "5 models of the baseline's recipe, each trained without one fold",
        "**They were trained for 8 epochs, the baseline for 25**",
        "the baseline and the annotation by 0.160 on all 10 images",
        "The other 80 % neither of them predicts from these attributes",
        "14 frames are in the data twice",
    ):
        assert words in report
    assert "not shown" not in report


def test_what_is_not_evident_is_not_claimed():
    _, parts = make_analysis()
    strata = parts["strata"].assign(p_holm=0.3)
    unsure = parts["warnings"].assign(low=0.4)
    odds = parts["odds"].assign(p_holm=0.2)
    report, _ = make_analysis(strata=strata, warnings=unsure, odds=odds, folds=0)
    assert "not shown, as p is 0.3 after Holm's correction" in report
    assert "can't be told without an annotation" in report
    assert "No stratum has odds of a kind of error that differ evidently" in report
    assert "The baseline judges the 10 validation images" in report


def test_missing_evidence_is_said_to_be_missing():
    _, parts = make_analysis()
    nobody = dict.fromkeys(parts["summary"], None) | {
        "annotators_frames": 0, "r2_tree": 0.1, "r2_forest": 0.2
    }  # fmt: skip
    blind = parts["warnings"].assign(auroc=np.nan, low=np.nan, high=np.nan, poor=0)
    images = parts["images"].assign(suspect=False)
    few = parts["strata"].head(1)
    report, _ = make_analysis(summary=nobody, warnings=blind, images=images, strata=few)
    assert "None of these frames was annotated twice" in report
    assert "no warning to judge" in report
    assert "0 of 10 images are suspects" in report
    assert "No stratum has enough images to be compared" in report
    assert "nan" not in report


def test_models_of_a_whole_training_are_not_called_short():
    report, _ = make_analysis(fold_epochs=25)
    assert "They were trained for 25 epochs, like the baseline." in report
    assert "may make other errors" not in report


def test_a_difference_is_not_shown_by_p_alone():
    _, parts = make_analysis()
    report, _ = make_analysis(strata=parts["strata"].assign(high=0.01))
    assert "not shown, as the interval includes zero" in report


@pytest.mark.parametrize("kind", ["good", "too small"])
def test_one_kind_alone_is_described_too(kind):
    _, parts = make_analysis()
    images = parts["images"].assign(kind=kind)
    odds = parts["odds"].head(0)
    report, _ = make_analysis(images=images, kinds=budget_pixels(images), odds=odds)
    assert ("owns the largest share" in report) == (kind != "good")
