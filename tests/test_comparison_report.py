"""The report of the comparison says what its results say, and no more."""

import pandas as pd
import pytest

from effiseg.findings import STRATA
from effiseg.report import Results, write_report

SCORES = {
    "dice": 0.91, "miou": 0.85, "precision": 0.92, "recall": 0.93, "dice_pooled": 0.905,
    "iou_pooled": 0.83, "nsd": 0.77, "hd95": 57.2733, "dice_input": 0.909, "miou_input": 0.849,
    "dice_without_near_duplicates": None, "miou_without_near_duplicates": None,
}  # fmt: skip


def make_report(low=0.005, views=4, few=True):
    gain = {"dice_gain": 0.02, "dice_gain_low": low, "dice_gain_high": 0.04}
    apart = {key.replace("gain", "gain_without_near_duplicates"): v for key, v in gain.items()}
    comparison = gain | apart | {
        "miou_gain": 0.03, "miou_gain_low": low, "miou_gain_high": 0.05, "images": 100,
        "wilcoxon_p": 1e-5, "wins": 74, "losses": 25, "ties": 1,
    }  # fmt: skip
    pairs = pd.DataFrame([("a", 0.1, 0.5, 0.9, 0.4), ("b", 0.2, 0.9, 0.3, -0.6)])
    pairs.columns = ["name", "area_fraction", "baseline_dice", "improved_dice", "dice_change"]
    gains = ["stratum", "images", "baseline", "improved", "gain", "gain_low", "gain_high"]
    strata = pd.DataFrame([(name, 20, 0.8, 0.9, 0.1, -0.00007, 0.2) for name in STRATA])
    strata.columns = gains
    if few:
        strata.loc[strata["stratum"] == "several polyps", gains[1:]] = 1, 0.8, 0.9, 0.1, None, None
        strata = strata[strata["stratum"] != "dark"].astype({"images": int})
    finding = {
        "statement": "Mirror images help.", "switched_on": True, "remedy": {"kind": "test_flips"},
        "prediction": {"stratum": "all images", "gain": 0.008},
    }  # fmt: skip
    prediction = ("mirror images", "all images", 100, 0.008, 0.02, low, 0.04, "kept")
    columns = ["finding", "stratum", "images", "predicted", "gain", "low", "high", "verdict"]
    paper = pd.DataFrame([("B4", "no", 380, 0.92, 0.87, 0.93)])
    paper.columns = ["variant", "pretrained", "input_px", "mean_dice", "mean_iou", "f1_pooled"]
    model = {"encoder": "e", "decoder_channels": 32, "upsampling": "nearest", "size": 224}
    return write_report(
        Results(
            metrics={"baseline": SCORES, "improved": SCORES | {"dice": 0.93}},
            comparison=comparison,
            pairs=pairs,
            strata=strata,
            findings=[finding],
            predictions=pd.DataFrame([prediction], columns=columns),
            published=paper,
            models=dict.fromkeys(("baseline", "improved"), model | {"device": "cpu", "torch": "2"}),
            views={"baseline": 1, "improved": views},
            differences={"size": (224, 288), "test_flips": (False, True)},
        )
    )


@pytest.mark.parametrize(
    "words",
    [
        "changes by **+0.0200** (95 % interval +0.0050 to +0.0400): the interval excludes zero",
        "better on 74 images, worse on 25, equal on 1",
        "| Hausdorff distance, 95 %, pixels | 57.3 | 57.3 |",
        "| Dice, mean, without near duplicates of training images | - | - |",
        "| mirror images | all images | 100 | +0.0080 | +0.0200 | +0.0050 to +0.0400 | **kept** |",
        "**Kept is not confirmed**",
        "The recipes differ in `size` 224 → 288, `test_flips` False → True.",
        "| flat | 20 | 0.8000 | 0.9000 | +0.1000 | -0.0001 to +0.2000 |",
        "Strata with too few test images for an interval: several polyps (1), dark (0).",
        "| `b` | 20.0 % | 0.900 | 0.300 | -0.600 |\n| `a` |",
        "224 px; answers are of one view; trained on cpu with torch 2",
        "224 px; answers are the mean over 4 views of the image; trained",
        "**ours, baseline, at input size** (`e`, one view)",
        "**ours, improved, at original size** (`e`, 4 views)",
        "| EffiSegNet-B4, paper, from scratch | 380 | 0.9200 | 0.8700 | 0.9300 |",
        "[proof.md](proof.md)",
    ],
)
def test_the_report_says(words):
    assert words in make_report()


def test_a_gain_that_is_not_shown_is_not_claimed():
    report = make_report(low=-0.01)
    assert "the interval includes zero: on these images a gain is not shown" in report
    assert "excludes zero" not in report


def test_without_rare_strata_none_is_named():
    assert "too few test images" not in make_report(few=False)


def test_one_view_is_not_called_several():
    assert " views" not in make_report(views=1)
