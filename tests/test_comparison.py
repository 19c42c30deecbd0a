"""Comparison: paired statistics against scipy, and counts by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from effiseg.comparison import (
    Compare,
    bootstrap_mean,
    check_predictions,
    compare_models,
    compare_strata,
    pair_images,
)

PARAMS = Compare(resamples=4000, seed=1)


def table(dice, names=None):
    names = names or [f"i{n}" for n in range(len(dice))]
    rest = {"area_fraction": 0.1, "near_duplicate": False}
    return pd.DataFrame({"name": names, "dice": dice, "iou": np.array(dice) / 2} | rest)


def draw_pairs():
    generator = np.random.default_rng(0)
    before = generator.uniform(0.6, 0.9, 60)
    return pair_images(table(before), table(before + generator.normal(0.03, 0.05, 60)))


def test_images_are_paired_by_name_whatever_their_order():
    pairs = pair_images(table([0.1, 0.2], ["a", "b"]), table([0.5, 0.3], ["b", "a"]))
    assert pairs.set_index("name")["dice_change"].to_dict() == pytest.approx({"a": 0.2, "b": 0.3})


def test_models_scored_on_other_images_are_refused():
    with pytest.raises(ValueError, match="2 stand on one side only"):
        pair_images(table([0.1, 0.2], ["a", "b"]), table([0.1, 0.2], ["a", "c"]))


def test_the_interval_is_the_percentile_bootstrap_of_scipy():
    changes = draw_pairs()["dice_change"].to_numpy()
    ours = bootstrap_mean(changes, PARAMS)
    theirs = stats.bootstrap(
        (changes,), np.mean, n_resamples=4000, method="percentile", random_state=3
    ).confidence_interval
    assert ours.mean == pytest.approx(changes.mean())
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.001)


def test_too_few_images_have_no_interval():
    assert bootstrap_mean(np.array([0.1, 0.3]), PARAMS) == (pytest.approx(0.2), None, None)


def test_the_test_is_wilcoxons():
    pairs = draw_pairs()
    expected = stats.wilcoxon(pairs["dice_change"]).pvalue
    assert compare_models(pairs, PARAMS)["wilcoxon_p"] == pytest.approx(expected)


def test_wins_losses_and_ties_by_hand():
    pairs = pair_images(table([0.5] * 5), table([0.6, 0.4, 0.5, 0.5001, 0.7]))
    comparison = compare_models(pairs, PARAMS)
    assert [comparison[k] for k in ("wins", "losses", "ties")] == [2, 1, 2]


def test_equal_models_gain_nothing():
    comparison = compare_models(pair_images(table([0.5] * 6), table([0.5] * 6)), PARAMS)
    assert (comparison["dice_gain"], comparison["wilcoxon_p"], comparison["ties"]) == (0.0, 1.0, 6)


def test_a_stratum_is_compared_on_its_own_images():
    pairs = pair_images(table([0.5, 0.5, 0.5]), table([0.6, 0.9, 0.5]))
    strata = pd.DataFrame({"name": ["i2", "i1", "i0"], "hard": [False, True, True]})
    row = compare_strata(pairs, strata, PARAMS).iloc[0]
    assert (row["images"], row["gain"]) == (2, pytest.approx(0.25))


def predict(stratum, gain, switched_on=True):
    prediction = {"stratum": stratum, "gain": gain} if switched_on else None
    return {"id": f"{stratum} {gain}", "switched_on": switched_on, "prediction": prediction}


def test_a_prediction_is_kept_not_kept_or_open():
    generator = np.random.default_rng(0)
    before = generator.uniform(0.5, 0.7, 40)
    gains = np.where(np.arange(40) < 20, 0.1, 0.0) + generator.normal(0, 0.02, 40)
    pairs = pair_images(table(before), table(before + gains))
    strata = pd.DataFrame(
        {"name": pairs["name"], "gained": np.arange(40) < 20, "few": np.arange(40) < 3}
    )
    strata["same"] = ~strata["gained"]
    findings = [
        predict("gained", 0.05),
        predict("gained", 0.3),
        predict("gained", gains[:20].mean() + 0.002),
        predict("same", 0.001),
        predict("few", 0.01),
        predict("same", 0.1, switched_on=False),
        predict("all images", 0.02),
    ]
    checked = check_predictions(findings, pairs, strata, PARAMS)
    assert checked["verdict"].tolist() == [
        "kept", "not kept", "can't be said", "can't be said", "can't be said", "kept"
    ]  # fmt: skip
    assert checked["images"].tolist() == [20, 20, 20, 20, 3, 40]
    assert checked["gain"][0] == pytest.approx(gains[:20].mean())
