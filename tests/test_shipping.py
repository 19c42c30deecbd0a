"""Shipping: limits and tables worked by hand, and the models that the package carries."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from effiseg.answers import RULES
from effiseg.hub import CONFIG, SCORES, SHIPPED, WEIGHTS, EffiSegNet, read_config
from effiseg.shipping import (
    choose_limits,
    compare_precision,
    find_confidence_limit,
    read_scores,
    tabulate_warnings,
)

METRICS = Path(__file__).resolve().parents[1] / "metrics"
MODELS = sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())


@pytest.mark.parametrize(("confidence", "dice", "expected"), [
    pytest.param([0.5, 0.6, 0.8, 0.9], [0.1, 0.2, 0.9, 0.95], 0.7, id="told apart"),
    pytest.param([0.9, 0.5, 0.8, 0.6], [0.95, 0.1, 0.9, 0.2], 0.7, id="in any order"),
    pytest.param([0.5, 0.7, 0.9], [0.1, 0.8, 0.9], 0.6, id="a Dice of 0.8 is not poor"),
    # poor: 0.5, 0.7; below 0.6: 1/2 - 0; below 0.75: 1 - 1/3
    pytest.param([0.5, 0.6, 0.7, 0.8, 0.9], [0, 1, 0, 1, 1], 0.75, id="mixed"),
    # poor: 0.5, 0.8; below 0.55: 1/2; below 0.85: 1 - 2/3
    pytest.param([0.5, 0.6, 0.7, 0.8, 0.9], [0, 1, 1, 0, 1], 0.55, id="mixed the other way"),
    pytest.param([0.5, 0.5, 0.9, 0.9], [0, 1, 1, 1], 0.7, id="equal confidences"),
    pytest.param([0.1234567, 0.9], [0, 1], 0.511728, id="six digits"),
    pytest.param([0.5, 0.9], [0.1, 0.2], None, id="all are poor"),
    pytest.param([0.5, 0.9], [0.8, 0.9], None, id="none is poor"),
    pytest.param([0.7, 0.7], [0.1, 0.9], None, id="one confidence for all"),
])  # fmt: skip
def test_the_limit_of_confidence_is_that_worked_by_hand(confidence, dice, expected):
    assert find_confidence_limit(confidence, dice) == expected


def gain_of(limit, confidence, poor):
    """Youden's J, counted one by one."""
    warned = [c < limit for c in confidence]
    found = sum(w and p for w, p in zip(warned, poor, strict=True)) / sum(poor)
    wrongly = sum(w and not p for w, p in zip(warned, poor, strict=True)) / (len(poor) - sum(poor))
    return found - wrongly


@pytest.mark.parametrize("seed", range(20))
def test_no_other_limit_tells_poor_answers_better(seed):
    generator = np.random.default_rng(seed)
    dice = generator.beta(6, 1, 60)
    confidence = (0.6 * dice + 0.4 * generator.random(60)).round(2)
    poor = [d < 0.8 for d in dice]
    limit = find_confidence_limit(confidence, dice)
    best = max(gain_of(c, confidence, poor) for c in np.arange(0, 1.01, 0.005))
    assert best > 0.1 and gain_of(limit, confidence, poor) == pytest.approx(best)


def test_confidences_that_lie_close_are_still_told_apart():
    confidence, dice = [0.9501, 0.9502, 0.9503, 0.9504], [0.1, 0.2, 0.9, 0.9]
    limit = find_confidence_limit(confidence, dice)
    assert limit is None or gain_of(limit, confidence, [True, True, False, False]) > 0


def test_a_confidence_that_says_the_opposite_gives_no_limit():
    assert find_confidence_limit([0.5, 0.6, 0.8, 0.9], [0.9, 0.95, 0.1, 0.2]) is None


def make_strata(**rows):
    """A table of strata: (high, p_holm) of each."""
    table = [(name.replace("_", " "), *numbers) for name, numbers in rows.items()]
    return pd.DataFrame(table, columns=["stratum", "high", "p_holm"])


def make_images(number=101):
    """Answers whose values are 0, 0.01, ... 1 in an order of their own."""
    generator = np.random.default_rng(0)
    names = ("area_fraction", "solidity", "confidence")
    columns = {name: generator.permutation(number) / (number - 1) for name in names}
    table = pd.DataFrame(columns | {"lesions": generator.integers(0, 4, number)})
    return table.assign(dice=np.where(table["confidence"] < 0.305, 0.5, 0.9))


HARD, NOT_SURE, BY_CHANCE = (-0.01, 0.001), (0.01, 0.001), (-0.01, 0.2)


def test_evident_strata_alone_have_a_limit():
    strata = make_strata(
        small_polyp=HARD, large_polyp=NOT_SURE, several_polyps=BY_CHANCE, irregular_shape=HARD
    )
    limits = choose_limits(strata, make_images())
    assert limits == {"low confidence": 0.305, "small polyp": 0.05, "irregular shape": 0.25}


@pytest.mark.parametrize("numbers", [
    pytest.param((0.0, 0.001), id="the interval touches zero"),
    pytest.param((-0.01, 0.05), id="p is 0.05"),
    pytest.param((np.nan, np.nan), id="unknown"),
])  # fmt: skip
def test_at_the_edge_a_stratum_is_not_evident(numbers):
    assert choose_limits(make_strata(small_polyp=numbers), make_images()).keys() == {
        "low confidence"
    }


def test_fixed_limits_are_those_of_the_analysis_whatever_the_answers():
    strata = make_strata(small_polyp=HARD, large_polyp=HARD, several_polyps=HARD)
    for images in (make_images(), make_images() / 3):
        limits = choose_limits(strata, images)
        assert (limits["small polyp"], limits["large polyp"], limits["several polyps"]) == (
            0.05, 0.30, 1.5,
        )  # fmt: skip


def test_the_limit_of_an_outer_quartile_is_one_of_the_models_own_answers():
    strata = make_strata(irregular_shape=HARD)
    images = make_images().assign(solidity=np.linspace(0.8, 1.0, 101))
    limit = choose_limits(strata, images)["irregular shape"]
    assert limit == pytest.approx(0.85)
    assert np.mean(images["solidity"] < limit) == pytest.approx(0.25, abs=0.01)


def test_strata_that_no_answer_can_tell_have_no_limit():
    strata = make_strata(flat=HARD, low_contrast=HARD, blurred=HARD)
    assert choose_limits(strata, make_images()).keys() == {"low confidence"}


def test_without_poor_answers_there_is_no_limit_of_confidence():
    images = make_images().assign(dice=0.9)
    assert choose_limits(make_strata(small_polyp=HARD), images) == {"small polyp": 0.05}
    assert choose_limits(make_strata(), images) == {}


def test_limits_can_be_written_as_json():
    names = [name.replace(" ", "_") for name in RULES if name != "low confidence"]
    strata = make_strata(**dict.fromkeys(names, HARD))
    limits = choose_limits(strata, make_images())
    assert limits.keys() == RULES.keys()
    assert json.loads(json.dumps(limits)) == limits


def test_warnings_are_counted_by_hand():
    images = pd.DataFrame(
        [
            (0.5, "low confidence; small polyp"),
            (0.7, "small polyp"),
            (0.9, "small polyp"),
            (0.79, ""),
            (0.80, ""),
            (1.0, "irregular shape"),
        ],
        columns=["dice", "warnings"],
    )
    table = tabulate_warnings(images).set_index("warning")
    assert list(table.columns) == ["images", "poor", "others", "poor_others"]
    assert list(table.index) == [*RULES, "any warning"]
    assert {name: tuple(map(int, row)) for name, row in table.iterrows()} == {
        "low confidence": (1, 1, 5, 2),
        "small polyp": (3, 2, 3, 1),
        "large polyp": (0, 0, 6, 3),
        "several polyps": (0, 0, 6, 3),
        "irregular shape": (1, 0, 5, 3),
        "any warning": (4, 2, 2, 1),
    }


def test_the_number_format_is_judged_by_hand():
    expected = np.zeros((2, 4, 4), np.float32)
    expected[:, 0] = 0.9
    probabilities = expected.copy()
    probabilities[1, 0, :2] = 0.4  # two of four pixels are lost: Dice 2 * 2 / (2 + 4)
    images, whole = (
        pd.DataFrame({"dice": [0.9, d], "iou": [0.8, i]}) for d, i in ((0.5, 0.3), (0.7, 0.6))
    )
    found = compare_precision(images, probabilities, whole, expected, 0.5)
    assert found == {
        "dice": 0.7,
        "miou": 0.55,
        "dice_full_precision": 0.8,
        "dice_between_masks": pytest.approx((1 + 2 / 3) / 2, abs=1e-6),
        "least_dice_between_masks": pytest.approx(2 / 3, abs=1e-6),
        "mean_difference_of_probability": pytest.approx(2 * 0.5 / 32, abs=1e-6),
        "largest_difference_of_probability": pytest.approx(0.5, abs=1e-6),
    }
    assert json.loads(json.dumps(found)).keys() == found.keys()


def test_a_model_compared_with_itself_has_lost_nothing():
    probability = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    images = pd.DataFrame({"dice": [0.9, 0.8, 0.7], "iou": [0.8, 0.7, 0.6]})
    found = compare_precision(images, probability, images, probability, 0.5)
    assert found["dice"] == found["dice_full_precision"] == 0.8
    assert found["dice_between_masks"] == found["least_dice_between_masks"] == 1.0
    assert found["mean_difference_of_probability"] == 0
    assert found["largest_difference_of_probability"] == 0


# ------------------------------------------------------------------ what the package carries


def test_the_baseline_is_shipped():
    assert "baseline" in MODELS


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_folder_holds_three_files_of_under_8_megabytes(name):
    sizes = {path.name: path.stat().st_size for path in (SHIPPED / name).iterdir()}
    assert sizes.keys() == {CONFIG, WEIGHTS, SCORES}
    assert 1e6 < sum(sizes.values()) < 8e6


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_is_stored_in_half_precision_and_is_finite(name):
    tensors = load_file(SHIPPED / name / WEIGHTS)
    floating = [t for t in tensors.values() if np.issubdtype(t.dtype, np.floating)]
    assert {t.dtype for t in floating} == {np.dtype(np.float16)}
    assert all(np.isfinite(t).all() for t in floating)


@pytest.mark.parametrize("name", MODELS)
def test_a_shipped_model_loads_and_sees_the_size_it_was_trained_at(name):
    config = read_config(SHIPPED / name)
    assert config.size % 32 == 0
    assert config.limits.keys() <= RULES.keys() and "low confidence" in config.limits
    assert all(type(limit) is float for limit in config.limits.values())
    network = EffiSegNet.from_pretrained(SHIPPED / name)
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, config.size, config.size))
    assert logits.shape == (1, 1, config.size, config.size) and logits.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_limits_have_six_digits_at_most(name):
    limits = read_config(SHIPPED / name).limits
    assert {key: float(f"{limit:.6g}") for key, limit in limits.items()} == limits


@pytest.mark.parametrize("name", MODELS)
def test_the_figures_of_a_shipped_model_are_those_of_its_file(name):
    figures = json.loads((METRICS / f"shipped_{name}.json").read_text())
    megabytes = (SHIPPED / name / WEIGHTS).stat().st_size / 1e6
    assert figures["megabytes"] == pytest.approx(megabytes, abs=0.0005)
    assert 0.8 < figures["miou"] < figures["dice"] < 1
    assert abs(figures["dice"] - figures["dice_full_precision"]) < 0.002
    assert figures["least_dice_between_masks"] <= figures["dice_between_masks"] <= 1


@pytest.mark.parametrize("name", MODELS)
def test_what_a_shipped_model_tells_of_itself_is_what_was_measured(name):
    scores, warnings = read_scores(SHIPPED / name)
    figures = json.loads((METRICS / f"shipped_{name}.json").read_text())
    assert (scores["dice"], scores["miou"]) == (figures["dice"], figures["miou"])
    measured = pd.read_csv(METRICS / f"warnings_{name}.csv")
    assert warnings.equals(measured)
    assert set(measured["images"] + measured["others"]) == {scores["images"]}


@pytest.mark.parametrize("name", MODELS)
def test_the_table_of_warnings_adds_up(name):
    table = pd.read_csv(METRICS / f"warnings_{name}.csv")
    assert list(table["warning"]) == [*RULES, "any warning"]
    assert (table["images"] + table["others"]).nunique() == 1
    assert (table["poor"] + table["poor_others"]).nunique() == 1
    limits = read_config(SHIPPED / name).limits
    silent = table[~table["warning"].isin([*limits, "any warning"])]
    assert (silent["images"] == 0).all()
    single = table[table["warning"] != "any warning"]["images"]
    assert single.max() <= table["images"].iloc[-1] <= single.sum()
