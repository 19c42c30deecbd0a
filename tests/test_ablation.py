"""The ablation: paired gains, intervals over folds and images, and what the report says of them."""

import numpy as np
import pandas as pd
import pytest
from test_training import PUBLISHED

from effiseg.ablation import (
    bootstrap_folds,
    check_ranking,
    compare_variants,
    judge_interval,
    write_changes,
)
from effiseg.ablation_report import Ablation, write_ablation
from effiseg.comparison import Compare

PARAMS = Compare(resamples=2000, seed=0)


def make_runs(gains, images=30, seed=0):
    """A table of judged images: fold k's Dice lies gains[k] above that of the reference."""
    generator = np.random.default_rng(seed)
    rows = []
    for fold, gain in enumerate(gains):
        dice = 0.7 + 0.1 * np.random.default_rng(fold).random(images) + gain
        noise = 0.002 * generator.standard_normal(images) * (gain != 0)
        for number in range(images):
            score = dice[number] + noise[number]
            rows.append((fold, f"{fold}-{number}", score, score - 0.1, score - 0.2))
    return pd.DataFrame(rows, columns=["fold", "name", "dice", "iou", "nsd"])


@pytest.fixture(scope="module")
def table():
    runs = {
        "published": make_runs([0, 0, 0]),
        "better": make_runs([0.03, 0.04, 0.05]),
        "unsure": make_runs([-0.04, 0.001, 0.05]),
        "worse": make_runs([-0.05, -0.04, -0.03]),
    }
    changes = {"published": {}, "better": {"size": 192}, "unsure": {"test_flips": True}}
    changes["worse"] = {"additions": ["blur", "inset"], "copy_paste": 0.3}
    works = {"published": 1.0, "better": 2.25, "unsure": 1.0, "worse": 1.0}
    return compare_variants(runs, changes, works, PARAMS, "published")


def test_gains_are_means_of_paired_differences(table):
    rows = table.set_index("variant")
    assert rows["gain"].to_dict() == pytest.approx(
        {"published": 0, "better": 0.04, "unsure": 0.011 / 3, "worse": -0.04}, abs=1e-3
    )
    assert rows["iou_gain"].to_dict() == pytest.approx(rows["gain"].to_dict(), abs=1e-9)
    assert rows["folds_better"].to_dict() == {
        "published": 0, "better": 3, "unsure": 2, "worse": 0
    }  # fmt: skip
    assert (rows["images"] == 90).all()
    assert rows.loc["better", "work"] == 2.25


def test_only_what_every_fold_shows_has_an_interval_on_one_side_of_zero(table):
    rows = table.set_index("variant")
    assert rows.loc["better", "low"] > 0
    assert rows.loc["worse", "high"] < 0
    assert rows.loc["unsure", "low"] < 0 < rows.loc["unsure", "high"]


def test_the_verdict_follows_from_the_interval(table):
    assert list(table["verdict"]) == ["reference", "better", "unsure", "worse"]
    assert judge_interval(np.nan, np.nan) == "one fold"
    assert judge_interval(0.0, 0.1) == "unsure"


def test_the_reference_is_compared_with_nothing(table):
    assert table.iloc[0]["gain"] == 0
    assert table.iloc[0][["low", "high"]].isna().all()


def test_one_fold_is_one_training_and_has_no_interval():
    runs = {"published": make_runs([0, 0, 0]), "late": make_runs([0.03])}
    changes, works = {"published": {}, "late": {}}, {"published": 1.0, "late": 1.0}
    row = compare_variants(runs, changes, works, PARAMS, "published").iloc[1]
    assert (row["folds"], row["images"]) == (1, 30)
    assert row["gain"] == pytest.approx(0.03, abs=1e-3)
    assert row["verdict"] == "one fold"
    assert row[["low", "high"]].isna().all()


def test_a_variant_with_fewer_folds_is_compared_on_those():
    runs = {"published": make_runs([0, 0, 0]), "late": make_runs([0.03, 0.05])}
    changes, works = {"published": {}, "late": {}}, {"published": 1.0, "late": 1.0}
    row = compare_variants(runs, changes, works, PARAMS, "published").iloc[1]
    assert (row["folds"], row["images"]) == (2, 60)
    assert row["gain"] == pytest.approx(0.04, abs=1e-3)


def test_a_comparison_without_its_reference_is_refused():
    with pytest.raises(ValueError, match="no runs of 'published'"):
        compare_variants({"other": make_runs([0.1])}, {"other": {}}, {"other": 1.0}, PARAMS,
                         "published")  # fmt: skip


def test_an_interval_is_the_same_each_time_and_about_the_mean():
    gains, folds = np.linspace(-0.1, 0.2, 60), np.arange(60) % 3
    low, high = bootstrap_folds(gains, folds, PARAMS)
    assert (low, high) == bootstrap_folds(gains, folds, PARAMS)
    assert low < gains.mean() < high


@pytest.mark.parametrize(("folds", "least"), [(3, 0.85), (5, 0.88)])
def test_the_interval_holds_the_true_gain_about_as_often_as_it_says(folds, least):
    """Simulated: folds whose gains vary by 0.01, and images in them by 0.07."""
    generator, held, trials = np.random.default_rng(3), 0, 100
    numbers = np.repeat(np.arange(folds), 180)
    params = Compare(resamples=200, seed=0)
    for _ in range(trials):
        gains = 0.02 + generator.normal(0, 0.01, folds)[numbers]
        gains += generator.normal(0, 0.07, len(numbers))
        low, high = bootstrap_folds(gains, numbers, params)
        held += low <= 0.02 <= high
    assert least <= held / trials <= 0.99


def test_changes_are_written_in_words():
    changes = {"size": 192, "test_flips": True, "pretrained": False, "additions": ["blur", "inset"]}
    words = "size 192, test_flips on, pretrained off, additions blur inset"
    assert write_changes(changes) == words
    assert write_changes({}) == ""


def test_a_ranking_that_carries_over_has_correlation_one(table):
    assert check_ranking(table, table.assign(gain=table["gain"] * 2)) == {
        "variants": 3, "spearman": pytest.approx(1.0)
    }  # fmt: skip
    assert check_ranking(table, table.assign(gain=-table["gain"]))["spearman"] == pytest.approx(-1)


def write(table, full, waiting=()):
    recipes = {"screening": PUBLISHED, "full": PUBLISHED}
    changes = {"published": {}, "better": {"size": 192}, "unsure": {}, "worse": {"a": 1, "b": 2}}
    chosen = {"size": (128, 160), "a": (0, 1)}
    devices = ["cpu, torch 2"]
    return write_ablation(
        Ablation(table, full, recipes, list(waiting), devices, chosen, changes)
    )


def test_the_report_sorts_variants_by_what_can_be_said(table):
    text = write(table, None, ["lite1"])
    gain = table.set_index("variant").loc["better", "gain"]
    assert f"Better, the interval above zero: `better` ({gain:+.4f})" in text
    assert "Worse, the interval below zero: `worse` (-0.0" in text
    assert "Not distinguishable from the published recipe: `unsure`" in text
    assert "not run yet: `lite1`" in text
    assert "Not known yet: no variant has been run at 32 px and 3 epochs" in text


def test_the_report_puts_each_choice_beside_its_variant(table):
    text = write(table, table)
    gain = table.set_index("variant").loc["better", "gain"]
    assert f"| `size` | 128 | 160 | size 192 | {gain:+.4f} |" in text
    assert "| `a` | 0 | 1 | not measured alone |  |  |" in text


def test_the_report_says_whether_the_ranking_carries_over(table):
    assert "correlation of the two gains is +1.00" in write(table, table)
    assert "Too few for a correlation" in write(table, table.head(3))
