"""Attributes, kinds of error and findings, on cases made so that the answer is known."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from skimage.color import rgb2lab

from effiseg.attributes import ATTRIBUTES, describe_image, find_inset
from effiseg.error_kinds import KINDS, budget_pixels, classify_error, count_lesions
from effiseg.findings import (
    EVERYWHERE,
    STRATA,
    assign_strata,
    derive_findings,
    find_limits,
    score_strata,
    select_hard,
    weigh_samples,
    write_findings,
)
from effiseg.folds import ErrorAnalysis
from effiseg.markdown import list_findings
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.remedies import compare_recipes, read_findings, read_remedies, uses_flips

SHAPE = (100, 120)
PARAMS = ErrorAnalysis(
    folds=5,
    fold_epochs=1,
    resamples=500,
    seed=0,
    hard_weight=3.0,
    least_images=10,
    remedies=("sampling", "augmentation", "loss", "test_flips"),
)


def box(top, left, height, width):
    result = np.zeros(SHAPE, bool)
    result[top : top + height, left : left + width] = True
    return result


POLYP = box(30, 40, 40, 40)


@pytest.mark.parametrize(
    ("prediction", "mask", "kind"),
    [
        (POLYP, POLYP, "good"),
        (box(0, 0, 0, 0), POLYP, "lesion missed"),
        (box(0, 0, 5, 5), POLYP, "lesion missed"),
        (box(0, 0, 25, 25), POLYP, "wrong place"),
        (POLYP, POLYP | box(5, 90, 20, 20), "lesion missed"),
        (POLYP | box(5, 90, 20, 20), POLYP, "false lesion"),
        (box(30, 40, 40, 15) | box(30, 62, 40, 18), POLYP, "good"),
        (box(30, 40, 40, 12) | box(30, 64, 40, 16), POLYP, "fragmented"),
        (box(35, 45, 25, 25), POLYP, "too small"),
        (POLYP, box(0, 0, 0, 0), "false lesion"),
        (box(20, 30, 60, 60), POLYP, "too large"),
        (box(40, 50, 40, 40), POLYP, "ragged boundary"),
    ],
)
def test_each_kind_of_error_is_recognised(prediction, mask, kind):
    assert classify_error(prediction, mask) == kind
    assert kind in KINDS


def test_lesions_are_counted_and_specks_are_not():
    mask = POLYP | box(5, 90, 20, 20)
    prediction = POLYP | box(85, 5, 10, 10) | box(2, 2, 1, 1)
    assert count_lesions(prediction, mask) == (1, 1, 1)


def test_the_budget_shares_all_wrong_pixels_out():
    rows = [("good", 1, 3), ("too small", 9, 0), ("good", 0, 1), ("too large", 0, 6)]
    budget = budget_pixels(pd.DataFrame(rows, columns=["kind", "fn", "fp"])).set_index("kind")
    assert budget["share_of_fn_pixels"].to_dict() == pytest.approx(
        {"good": 0.1, "too small": 0.9, "too large": 0.0}
    )
    assert budget["share_of_fp_pixels"].sum() == pytest.approx(1.0)
    assert budget["images"].tolist() == [2, 1, 1]


def paint(mask, polyp=(200, 60, 60), wall=(120, 90, 80)):
    image = np.empty((*SHAPE, 3), np.uint8)
    image[:], image[mask] = wall, polyp
    return image


def test_area_number_and_shape_are_those_that_were_drawn():
    mask = POLYP | box(5, 90, 20, 20)
    described = describe_image(paint(mask), mask)
    assert described["area_fraction"] == pytest.approx(2000 / 12000)
    assert described["polyps"] == 2
    assert described["solidity"] == pytest.approx(1.0, abs=0.01)
    assert described["touches_border"] == 0.0


def test_contrast_is_the_distance_of_the_colours():
    colours = np.array([[[200, 60, 60], [120, 90, 80]]], np.uint8)
    lab = rgb2lab(colours)[0]
    measured = describe_image(paint(POLYP), POLYP)["contrast"]
    assert measured == pytest.approx(np.linalg.norm(lab[0] - lab[1]), rel=0.01)


def test_a_polyp_at_the_edge_touches_the_border():
    mask = box(0, 40, 30, 30)
    assert describe_image(paint(mask), mask)["touches_border"] == 1.0


def test_highlights_are_the_white_share_of_the_polyp():
    image = paint(POLYP)
    image[30:40, 40:80] = 255  # a quarter of the polyp
    assert describe_image(image, POLYP)["highlights"] == pytest.approx(0.25, abs=0.01)


def test_a_smoother_image_is_more_blurred_and_its_edges_weaker():
    sharp = paint(POLYP)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    soft = 1 / (1 + np.exp((np.hypot(y - 50, x - 60) - 20) / 6))[..., None]
    smooth = (soft * (200, 60, 60) + (1 - soft) * (120, 90, 80)).astype(np.uint8)
    a, b = describe_image(sharp, POLYP), describe_image(smooth, POLYP)
    assert a["blur"] < b["blur"]
    assert a["boundary_gradient"] > b["boundary_gradient"]


@pytest.mark.parametrize("colour", [(0, 0, 0), (10, 110, 40)])
def test_an_inset_is_found_where_it_is(colour):
    image = paint(POLYP)
    assert find_inset(image).colour is None
    image[65:, :40] = colour
    inset = find_inset(image)
    assert inset.colour == ("green" if colour[1] else "black")
    expected = np.zeros(SHAPE, bool)
    expected[65:, :40] = True
    assert np.array_equal(inset.pixels, expected)


def test_an_inset_touches_a_polyp_beside_it_and_no_other():
    near, far = box(70, 40, 25, 30), box(10, 60, 25, 30)
    for mask, touches in ((near, 1.0), (far, 0.0)):
        image = paint(mask)
        image[65:, :40] = 0
        described = describe_image(image, mask)
        assert (described["inset"], described["inset_green"]) == (1.0, 0.0)
        assert described["inset_touches"] == touches


def test_a_disc_is_compact_and_a_cross_is_not():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disc = np.hypot(y - 50, x - 60) < 30
    cross = box(45, 20, 10, 80) | box(10, 55, 80, 10)
    shapes = [describe_image(paint(mask), mask) for mask in (disc, cross)]
    assert shapes[0]["compactness"] == pytest.approx(1.0, abs=0.05)
    assert shapes[1]["compactness"] < 0.3
    assert shapes[1]["solidity"] < shapes[0]["solidity"]


def test_a_shaded_polyp_has_more_relief_than_a_flat_one():
    image = paint(POLYP)
    image[30:70, 40:80] = np.linspace(60, 220, 40).astype(np.uint8)[None, :, None]
    shaded, flat = describe_image(image, POLYP), describe_image(paint(POLYP), POLYP)
    assert shaded["relief"] > flat["relief"] + 10


def test_attributes_are_complete_and_name_the_stored_size():
    described = describe_image(paint(POLYP), POLYP)
    assert set(described) == set(ATTRIBUTES)
    assert described["megapixels"] == pytest.approx(0.012)
    lit = paint(POLYP)
    lit[:20] = 255
    assert describe_image(lit, POLYP)["highlights_outside"] == pytest.approx(2400 / 10400)


def test_an_image_without_polyp_has_no_attributes_of_polyps():
    described = describe_image(paint(POLYP), np.zeros(SHAPE, bool))
    assert described["polyps"] == 0
    assert np.isnan(described["contrast"])


def draw_attributes(number, seed):
    generator = np.random.default_rng(seed)
    columns = {s.attribute: generator.random(number) for s in STRATA.values()}
    columns |= {"polyps": np.ones(number), "inset": np.zeros(number)}
    columns |= {"inset_touches": np.zeros(number)}
    return pd.DataFrame({"name": [f"i{n}" for n in range(number)]} | columns)


def analyse(effect, seed=0, params=PARAMS, flips=0.0):
    """Images whose Dice is lower by `effect` where the contrast is in the lowest quartile, and
    higher by about `flips` in the mean over mirror images."""
    table = draw_attributes(120, seed)
    strata = assign_strata(table, find_limits(table))
    noise = np.random.default_rng(seed + 1).normal(0, 0.02, 120)
    dice = pd.Series(0.9 + noise - effect * strata["low contrast"])
    flipped = dice + flips + np.random.default_rng(seed + 2).normal(0, 0.02, 120)
    images = table.assign(dice=dice, dice_flipped=flipped, fn=50, fp=50)
    scores = score_strata(dice, strata, params)
    return strata, scores, derive_findings(images, scores, params)


def test_a_planted_effect_is_found_first_and_answered():
    _, scores, findings = analyse(effect=0.2)
    assert scores["stratum"][0] == "low contrast"
    assert scores["difference"][0] == pytest.approx(-0.2, abs=0.02)
    on = [f["remedy"] for f in findings if f["switched_on"]]
    assert {"kind": "sampling", "stratum": "low contrast", "weight": 3.0} in on
    assert {"kind": "augmentation", "name": "lower_contrast"} in on
    assert findings[0]["prediction"] == {
        "stratum": "low contrast",
        "gain": pytest.approx(-scores["difference"][0] / 4, abs=1e-4),
    }


def test_without_an_effect_the_balance_is_even_and_no_loss_is_tilted():
    _, _, findings = analyse(effect=0.0)
    balance = findings[-2]
    assert balance["id"] == "balance: balanced"
    assert not balance["switched_on"]
    assert balance["prediction"] is None


@pytest.mark.parametrize(("fn", "fp", "weight"), [(80, 20, 0.7), (65, 35, 0.65), (10, 90, 0.3)])
def test_the_loss_leans_towards_the_prevailing_error(fn, fp, weight):
    images = draw_attributes(40, 2).assign(fn=fn, fp=fp, dice=0.8, dice_flipped=0.8)
    scores = score_strata(images["dice"], assign_strata(images, find_limits(images)), PARAMS)
    balance = derive_findings(images, scores, PARAMS)[-2]
    assert balance["remedy"] == {"kind": "loss", "false_negative_weight": weight}
    gain = 0.25 * 0.2 * abs(2 * fn / 100 - 1)
    assert balance["prediction"] == {"stratum": EVERYWHERE, "gain": pytest.approx(gain)}


def follows_flips(findings):
    """Whether a recipe that follows findings reads its answers with flips."""
    recipe = load_section("improved", Recipe, Path(__file__).parents[1] / "params.yaml")
    plain = dataclasses.replace(recipe, follow_findings=False)
    assert not uses_flips(plain, findings)
    assert uses_flips(dataclasses.replace(plain, test_flips=True), findings)
    return uses_flips(dataclasses.replace(plain, follow_findings=True), findings)


def test_mirror_images_are_averaged_where_that_was_measured_to_help():
    finding = analyse(effect=0.0, flips=0.02)[2][-1]
    assert finding["remedy"] == {"kind": "test_flips"}
    assert finding["switched_on"]
    assert finding["evidence"]["mean"] == pytest.approx(0.02, abs=0.006)
    assert finding["prediction"] == {"stratum": EVERYWHERE, "gain": finding["evidence"]["mean"]}
    assert follows_flips([finding])
    for flips in (0.0, -0.02):
        findings = analyse(effect=0.0, flips=flips)[2]
        assert not findings[-1]["switched_on"]
        assert findings[-1]["prediction"] is None
        assert not follows_flips(findings)


@pytest.mark.parametrize(
    ("high", "p", "is_hard"),
    [(-0.01, 0.01, True), (-0.01, 0.05, False), (0.0, 0.01, False), (0.01, 0.9, False)],
)
def test_a_stratum_is_hard_by_interval_and_corrected_p(high, p, is_hard):
    scores = pd.DataFrame({"stratum": ["flat"], "high": [high], "p": [0.0001], "p_holm": [p]})
    assert len(select_hard(scores)) == is_hard


def test_recipes_differ_in_what_the_findings_make_of_them():
    recipe = load_section("improved", Recipe, Path(__file__).parents[1] / "params.yaml")
    plain = dataclasses.replace(recipe, follow_findings=False, test_flips=False)
    follows = dataclasses.replace(plain, follow_findings=True, size=plain.size + 32)
    flips, blur = analyse(effect=0.0, flips=0.02)[2][-1], {"kind": "augmentation", "name": "blur"}
    size = {"size": (plain.size, plain.size + 32)}
    for recipe in (plain, follows):
        assert compare_recipes(recipe, recipe, [flips]) == {}
    assert compare_recipes(plain, follows, []) == size
    assert compare_recipes(plain, follows, [flips]) == size | {"test_flips": (False, True)}
    both = compare_recipes(plain, follows, [flips, flips | {"remedy": blur}])
    assert both == size | {"test_flips": (False, True), "follow_findings": (False, True)}
    off = flips | {"switched_on": False}
    assert compare_recipes(plain, follows, [off]) == size


def test_a_kind_of_remedy_that_is_not_asked_for_stays_off():
    params = dataclasses.replace(PARAMS, remedies=("test_flips",))
    strata, _, findings = analyse(effect=0.2, params=params, flips=0.02)
    assert [f["id"] for f in findings if f["switched_on"]] == ["mirror images"]
    assert [f["prediction"] for f in findings[:-1]] == [None] * (len(findings) - 1)
    assert (weigh_samples(strata, findings)["weight"] == 1).all()
    text = list_findings(findings)
    assert "Remedy, not switched on: kind sampling, stratum low contrast, weight 3.0." in text
    assert "Remedy: kind test_flips. Predicted gain" in text


def test_statistics_are_those_of_scipy():
    strata, scores, _ = analyse(effect=0.05, seed=4)
    dice = pd.Series(np.random.default_rng(9).random(120))
    row = score_strata(dice, strata, PARAMS).set_index("stratum").loc["dark"]
    inside = strata["dark"].to_numpy()
    assert row["p"] == pytest.approx(stats.mannwhitneyu(dice[inside], dice[~inside]).pvalue)
    assert scores["low"].le(scores["difference"]).all()


def test_findings_come_back_as_remedies(tmp_path):
    strata, _, findings = analyse(effect=0.2)
    write_findings(tmp_path / "findings.yaml", findings)
    assert read_findings(tmp_path / "findings.yaml") == findings
    sampling = weigh_samples(strata, findings)
    sampling.to_csv(tmp_path / "sampling.csv", index=False)
    names = list(sampling["name"])
    remedies = read_remedies(tmp_path / "findings.yaml", tmp_path / "sampling.csv", names)
    assert remedies.augmentations == ("lower_contrast",)
    assert remedies.sampling.mean() == pytest.approx(1.0)
    hard = strata["low contrast"].to_numpy()
    ratio = remedies.sampling[hard].mean() / remedies.sampling[~hard].mean()
    assert ratio == pytest.approx(3.0)


def test_an_image_without_weight_is_refused(tmp_path):
    write_findings(tmp_path / "f.yaml", [])
    (tmp_path / "s.csv").write_text("name,weight\na,1.0\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"s\.csv has no weight for 1 of 2 training images"):
        read_remedies(tmp_path / "f.yaml", tmp_path / "s.csv", ["a", "b"])


def test_an_unknown_remedy_is_refused(tmp_path):
    write_findings(tmp_path / "f.yaml", [{"switched_on": True, "remedy": {"kind": "magic"}}])
    with pytest.raises(ValueError, match=r"remedy\.kind is 'magic'; expected one of"):
        read_findings(tmp_path / "f.yaml")
