"""Causes, confidence, folds, annotation suspects: against SciPy, scikit-learn, planted effects."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from effiseg.causes import correct_holm, grow_tree, score_attributes, score_odds
from effiseg.confidence import (
    calibration_error,
    count_reliability,
    score_confidence,
    score_warnings,
    tabulate_reliability,
)
from effiseg.folds import assign_folds
from effiseg.suspects import compare_with_annotators, score_labels

NUMBER = 300


def draw_images(seed=0):
    """Dice that falls with `cause`, and not with `bystander`."""
    generator = np.random.default_rng(seed)
    cause, bystander = generator.random(NUMBER), generator.random(NUMBER)
    noise = generator.normal(0, 0.05, NUMBER)
    dice = np.clip(0.95 - 0.4 * (cause > 0.8) + noise, 0, 1)
    return pd.DataFrame({"cause": cause, "bystander": bystander, "dice": dice})


def test_holms_correction_by_hand():
    corrected = correct_holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert corrected.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert len(correct_holm(np.array([]))) == 0


def test_the_planted_attribute_is_found_and_the_random_one_is_not():
    table = score_attributes(draw_images(), ["cause", "bystander"], 500, seed=0)
    cause, bystander = table.set_index("attribute").loc[["cause", "bystander"]].itertuples()
    assert cause.high < 0
    assert cause.p_holm < 0.001
    assert bystander.low < 0 < bystander.high
    assert bystander.p_holm > 0.05


def test_correlations_are_those_of_scipy_and_unknown_values_are_left_out():
    images = draw_images(3)
    images.loc[:49, "bystander"] = np.nan
    images["copy"] = images["dice"]
    row = score_attributes(images, ["bystander", "copy"], 200, 0).set_index("attribute")
    known = images.dropna()
    expected = stats.spearmanr(known["bystander"], known["dice"])
    assert row.loc["bystander", "images"] == NUMBER - 50
    assert row.loc["bystander", "spearman"] == pytest.approx(expected.statistic)
    assert row.loc["bystander", "p"] == pytest.approx(expected.pvalue)
    assert row.loc["copy", "low"] == pytest.approx(1.0)


def test_an_interval_of_a_correlation_has_its_coverage():
    """Of 60 samples without any correlation, about 95 % have an interval that holds zero."""
    held = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        images = pd.DataFrame({"a": generator.random(60), "dice": generator.random(60)})
        row = score_attributes(images, ["a"], 300, seed).iloc[0]
        held += row["low"] < 0 < row["high"]
    assert held >= 52


def test_planted_odds_are_found_in_their_stratum_and_kind_alone():
    generator = np.random.default_rng(1)
    inside = generator.random(NUMBER) < 0.3
    kinds = np.where(generator.random(NUMBER) < np.where(inside, 0.5, 0.1), "too small", "good")
    kinds[generator.random(NUMBER) < 0.1] = "too large"
    strata = pd.DataFrame(
        {"name": range(NUMBER), "planted": inside, "random": generator.random(NUMBER) < 0.3}
    )
    table = score_odds(pd.Series(kinds), strata, 500, seed=0, least=10)
    first = table.iloc[0]
    assert (first["stratum"], first["kind"]) == ("planted", "too small")
    assert first["low"] > 2
    assert first["p_holm"] < 0.001
    assert (table.iloc[1:]["p_holm"] > 0.05).all()
    has = kinds == "too small"
    cells = [[(inside & has).sum(), (inside & ~has).sum()], [(~inside & has).sum(), (~inside & ~has).sum()]]  # fmt: skip # noqa: E501
    assert first["p"] == pytest.approx(stats.fisher_exact(cells).pvalue)
    (a, b), (c, d) = np.array(cells) + 0.5
    assert first["odds_ratio"] == pytest.approx(a * d / (b * c))


def test_the_tree_splits_at_the_planted_cause_and_noise_explains_nothing():
    images = draw_images()
    text, explained = grow_tree(images, ["cause", "bystander"], np.arange(NUMBER))
    assert text.startswith("|--- cause <= 0.8")
    assert explained["r2_tree"] > 0.8
    noise = images.assign(dice=np.random.default_rng(5).random(NUMBER))
    assert grow_tree(noise, ["cause", "bystander"], np.arange(NUMBER))[1]["r2_forest"] < 0.1


def test_calibrated_probabilities_have_no_error_and_boasting_ones_have():
    generator = np.random.default_rng(0)
    probability = generator.random((400, 400))
    mask = generator.random((400, 400)) < probability
    bins = count_reliability(probability, mask)
    assert calibration_error(bins) < 0.01
    table = tabulate_reliability([bins, bins])
    assert table["pixels"].sum() == 2 * 400 * 400
    assert np.abs(table["probability"] - table["polyp_share"]).max() < 0.02
    sure = count_reliability(np.ones((10, 10)), np.arange(100).reshape(10, 10) < 60)
    assert calibration_error(sure) == pytest.approx(0.4)


def test_confidence_by_hand():
    probability = np.array([[0.9, 0.6, 0.3, 0.2]])
    flipped = np.array([[0.9, 0.4, 0.3, 0.2]])
    scores = score_confidence(probability, flipped, 0.5)
    assert scores["expected_dice"] == pytest.approx(2 * 1.5 / (2.0 + 2))
    assert scores["flip_agreement"] == pytest.approx(2 * 1 / (2 + 1))
    nothing = np.zeros((2, 2))
    assert score_confidence(nothing, nothing, 0.5) == {"expected_dice": 1.0, "flip_agreement": 1.0}


def test_auroc_is_that_of_scikit_learn():
    generator = np.random.default_rng(2)
    images = pd.DataFrame({"dice": generator.random(100)})
    images["expected_dice"] = images["dice"] + generator.normal(0, 0.2, 100)
    images["flip_agreement"] = generator.random(100)
    table = score_warnings(images, 300, seed=0).set_index("warning")
    expected = roc_auc_score(images["dice"] < 0.8, -images["expected_dice"])
    row = table.loc["expected_dice"]
    assert row["auroc"] == pytest.approx(expected)
    assert row["low"] < expected < row["high"]
    assert row["poor"] == (images["dice"] < 0.8).sum()
    assert np.isnan(score_warnings(images.assign(dice=0.9), 100, 0)["auroc"]).all()


def draw_split(number=100):
    generator = np.random.default_rng(0)
    split = np.where(np.arange(number) % 10 == 0, "test", "train")
    group = np.full(number, -1)
    group[[1, 2, 3]], group[[14, 55]] = 0, 1
    return pd.DataFrame(
        {
            "name": [f"i{n:03}" for n in range(number)],
            "area_fraction": generator.random(number) ** 2,
            "split": split,
            "group": group,
        }
    )


def test_folds_hold_each_image_once_keep_groups_and_spread_sizes():
    split = draw_split()
    folds = assign_folds(split, 5, seed=1)
    assert sorted(folds["name"]) == sorted(split["name"][split["split"] != "test"])
    assert folds["fold"].value_counts().between(15, 21).all()
    joined = folds.merge(split, on="name")
    assert (joined[joined["group"] >= 0].groupby("group")["fold"].nunique() == 1).all()
    assert joined.groupby("fold")["area_fraction"].mean().std() < 0.06
    assert assign_folds(split, 5, seed=1).equals(folds)


def test_too_few_images_for_folds_are_refused():
    with pytest.raises(ValueError, match=r"error_analysis\.folds is 5; 18 images .* too few"):
        assign_folds(draw_split().head(20), 5, seed=1)


def test_a_wrong_annotation_is_suspected_and_no_right_one():
    masks = np.zeros((40, 64, 64), np.uint8)
    masks[:, 20:40, 20:44] = 1
    probability = np.where(masks == 1, 0.97, 0.03).astype(np.float32)
    masks[7, 20:40, 20:34] = 0  # half of a polyp is not annotated
    unsure = probability.copy()
    unsure[11] = 0.5 + 0.1 * (probability[11] > 0.5)
    table = score_labels(unsure, unsure, masks, 0.5)
    assert list(np.flatnonzero(table["suspect"])) == [7]
    assert table["confident_disagreement"][7] == pytest.approx(14 / 24)
    assert table["label_quality"][7] == table["label_quality"].drop(11).min()
    fickle = unsure.copy()
    fickle[7] = 0.5  # the mirror images say otherwise
    assert not score_labels(unsure, fickle, masks, 0.5)["suspect"].any()


def test_annotators_are_compared_on_the_frames_that_may_be_looked_at():
    pairs = pd.DataFrame(
        {
            "name_a": ["a", "c", "e", "g", "a"],
            "name_b": ["b", "d", "f", "test", "d"],
            "tier": ["A_same_frame"] * 4 + ["B_same_lesion_visual"],
            "registered_mask_dice": [0.90, 0.95, 1.0, 0.1, np.nan],
        }
    )
    names, dice = pd.Series(list("abcdefg")), pd.Series([0.80, 0.96, 0.94])
    summary = compare_with_annotators(dice, pairs, names, 500, seed=0)
    assert summary["annotators_frames"] == 3
    assert summary["annotators_dice"] == pytest.approx(0.95)
    assert 0.9 <= summary["annotators_low"] < 0.95 < summary["annotators_high"] <= 1.0
    assert summary["images_within"] == pytest.approx(1 / 3)
    nobody = compare_with_annotators(dice, pairs, pd.Series(["x"]), 500, seed=0)
    assert nobody["annotators_frames"] == 0
    assert nobody["annotators_dice"] is None
