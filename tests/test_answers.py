"""Answers: expected Dice, shapes, warnings and drawings, worked by hand or by another library."""

import cv2
import numpy as np
import pytest
from skimage.measure import label, regionprops

from effiseg.answers import (
    OUTLINE,
    RULES,
    TINT,
    describe_shape,
    draw_answer,
    expect_dice,
    find_warnings,
    read_answer,
)
from effiseg.attributes import describe_image
from effiseg.confidence import score_confidence
from effiseg.findings import STRATA
from effiseg.metrics import count_pixels, dice
from effiseg.predict import resize_probability

LIMITS = {
    "low confidence": 0.9,
    "small polyp": 0.05,
    "large polyp": 0.30,
    "several polyps": 1.5,
    "irregular shape": 0.9,
}
CALM = {"confidence": 0.95, "area_fraction": 0.1, "lesions": 1, "solidity": 0.95}


def draw_probability(seed, side=64):
    """Smooth, with a blob of high values."""
    generator = np.random.default_rng(seed)
    field = generator.normal(size=(side, side)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), side / 12)
    return (1 / (1 + np.exp(-4 * field / field.std() + 2))).astype(np.float32)


def blank(height=100, width=100):
    return np.zeros((height, width), bool)


@pytest.mark.parametrize(("probability", "threshold", "expected"), [
    pytest.param([[0.9, 0.8], [0.2, 0.1]], 0.5, 2 * 1.7 / (2.0 + 2), id="two of four pixels"),
    pytest.param([[0.9, 0.8], [0.2, 0.1]], 0.85, 2 * 0.9 / (2.0 + 1), id="a higher threshold"),
    pytest.param([[1.0, 1.0], [0.0, 0.0]], 0.5, 1.0, id="certain"),
    pytest.param([[0.6, 0.0], [0.0, 0.0]], 0.5, 2 * 0.6 / (0.6 + 1), id="one doubtful pixel"),
    pytest.param([[0.0, 0.0], [0.0, 0.0]], 0.5, 1.0, id="sees nothing at all"),
    pytest.param([[0.4, 0.0], [0.0, 0.0]], 0.5, 0.0, id="sees something but says nothing"),
    pytest.param([[0.5, 0.0], [0.0, 0.0]], 0.5, 0.0, id="at the threshold is outside"),
])  # fmt: skip
def test_the_expected_dice_is_that_worked_by_hand(probability, threshold, expected):
    found = expect_dice(np.array(probability, np.float32), threshold)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_expected_dice_is_the_mean_dice_of_masks_drawn_from_the_probabilities(seed):
    probability = draw_probability(seed)
    generator = np.random.default_rng(seed)
    masks = generator.random((200, *probability.shape)) < probability
    drawn = [dice(count_pixels(probability > 0.5, mask)) for mask in masks]
    assert 0.3 < np.mean(drawn) < 0.99
    assert expect_dice(probability, 0.5) == pytest.approx(np.mean(drawn), abs=0.005)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_the_expected_dice_is_the_one_that_the_analysis_scored(seed, threshold):
    probability = draw_probability(seed)
    scored = score_confidence(probability, probability[::-1], threshold)["expected_dice"]
    assert expect_dice(probability, threshold) == scored


def test_a_square_is_one_lesion_and_solid():
    mask = blank()
    mask[10:30, 40:60] = True
    assert describe_shape(mask) == (1, 1.0)


def test_an_empty_mask_has_no_lesion_and_counts_as_solid():
    assert describe_shape(blank()) == (0, 1.0)


def test_a_full_mask_is_one_solid_lesion():
    assert describe_shape(~blank()) == (1, 1.0)


def test_an_angle_is_as_solid_as_its_share_of_the_hull():
    mask = blank()
    mask[20:40, 20:40] = True
    mask[20:30, 30:40] = False  # 300 pixels; 45 of the 100 removed ones lie within the hull
    assert describe_shape(mask) == (1, pytest.approx(300 / 345))


def test_a_hole_is_missing_from_the_area_but_not_from_the_hull():
    mask = blank()
    mask[20:40, 20:40] = True
    mask[25:35, 25:35] = False
    assert describe_shape(mask) == (1, pytest.approx(300 / 400))


def test_two_regions_are_two_lesions_and_the_larger_one_is_described():
    mask = blank()
    mask[5:15, 5:15] = True
    mask[50:70, 50:70] = True
    mask[55:65, 55:65] = False
    assert describe_shape(mask) == (2, pytest.approx(300 / 400))


def test_regions_that_touch_at_a_corner_are_one():
    mask = blank()
    mask[10:20, 10:20] = mask[20:30, 20:30] = True
    assert describe_shape(mask)[0] == 1


@pytest.mark.parametrize(("pixels", "expected"), [
    pytest.param(4, 1, id="a speck, 0.04 %"),
    pytest.param(5, 2, id="0.05 % counts"),
    pytest.param(6, 2, id="0.06 %"),
])  # fmt: skip
def test_specks_are_no_lesions(pixels, expected):
    mask = blank()
    mask[50:70, 50:70] = True
    mask[2, 2 : 2 + pixels] = True
    assert describe_shape(mask)[0] == expected


def test_a_mask_of_specks_alone_has_no_lesion():
    mask = blank()
    mask[3, 3] = mask[50, 50] = True
    assert describe_shape(mask) == (0, 1.0)


@pytest.mark.parametrize("seed", range(12))
def test_shapes_are_those_of_scikit_image_and_of_the_attributes(seed):
    mask = draw_probability(seed, side=128) > 0.4
    regions = regionprops(label(mask, connectivity=2))
    largest = max(regions, key=lambda region: region.area)
    lesions, solidity = describe_shape(mask)
    assert lesions == sum(region.area >= 0.0005 * mask.size for region in regions)
    assert solidity == pytest.approx(largest.solidity, abs=0.02)
    image = np.full((*mask.shape, 3), 90, np.uint8)
    assert lesions == describe_image(image, mask)["polyps"]


@pytest.mark.parametrize(("name", "value", "above", "below"), [
    ("low confidence", "confidence", 0.901, 0.899),
    ("small polyp", "area_fraction", 0.051, 0.049),
    ("large polyp", "area_fraction", 0.301, 0.299),
    ("several polyps", "lesions", 2, 1),
    ("irregular shape", "solidity", 0.901, 0.899),
])  # fmt: skip
def test_each_warning_is_given_on_its_side_of_the_limit_alone(name, value, above, below):
    gives = [name in find_warnings(CALM | {value: v}, LIMITS) for v in (above, below)]
    assert gives == ([True, False] if name in ("large polyp", "several polyps") else [False, True])


@pytest.mark.parametrize(("value", "limit"), [
    ("confidence", 0.9), ("area_fraction", 0.05), ("area_fraction", 0.30), ("solidity", 0.9),
])  # fmt: skip
def test_at_its_limit_no_warning_is_given(value, limit):
    assert find_warnings(CALM | {value: limit}, LIMITS) == ()


def test_calm_values_give_no_warning_and_bad_ones_all_that_can_be():
    assert find_warnings(CALM, LIMITS) == ()
    bad = {"confidence": 0.1, "area_fraction": 0.01, "lesions": 3, "solidity": 0.5}
    names = ("low confidence", "small polyp", "several polyps", "irregular shape")
    assert set(find_warnings(bad, LIMITS)) == set(names)


def test_a_rule_without_limit_is_silent():
    bad = {"confidence": 0.1, "area_fraction": 0.01, "lesions": 3, "solidity": 0.5}
    assert find_warnings(bad, {}) == ()
    assert find_warnings(bad, {"several polyps": 1.5}) == ("several polyps",)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_an_empty_answer_is_warned_of_for_low_confidence_alone(confidence):
    empty = {"confidence": confidence, "area_fraction": 0.0, "lesions": 0, "solidity": 1.0}
    everything = LIMITS | {"large polyp": -1.0, "several polyps": -1.0, "irregular shape": 2.0}
    expected = ("low confidence",) if confidence < 0.9 else ()
    assert find_warnings(empty, everything) == expected


@pytest.mark.parametrize("name", [name for name in RULES if name != "low confidence"])
def test_a_warning_is_the_stratum_of_its_name(name):
    value, is_above = RULES[name]
    stratum = STRATA[name]
    assert {"lesions": "polyps"}.get(value, value) == stratum.attribute
    assert is_above == stratum.is_above


def test_low_confidence_is_below_a_limit_and_no_stratum():
    assert RULES["low confidence"] == ("confidence", False)
    assert "low confidence" not in STRATA


@pytest.mark.parametrize("size", [(64, 64), (40, 97), (200, 131)])
def test_the_mask_is_the_resized_probability_above_the_threshold(size):
    probability = draw_probability(4)
    answer = read_answer(probability, *size, 0.4, LIMITS)
    expected = resize_probability(probability, *size) > 0.4
    assert answer.mask.shape == size and answer.mask.dtype == np.bool_
    assert 0 < expected.sum() < expected.size and np.array_equal(answer.mask, expected)
    assert answer.area_fraction == pytest.approx(expected.mean())
    assert answer.confidence == expect_dice(probability, 0.4)
    assert (answer.lesions, answer.solidity) == describe_shape(probability > 0.4)


def test_an_answer_by_hand():
    probability = np.zeros((100, 100), np.float32)
    probability[10:20, 10:20] = 0.8  # 100 pixels
    probability[60:70, 60:80] = 0.7  # 200 pixels
    probability[90, 90] = 0.9  # a speck
    answer = read_answer(probability, 100, 100, 0.5, LIMITS)
    assert answer.mask.sum() == 301 and answer.area_fraction == pytest.approx(0.0301)
    assert (answer.lesions, answer.solidity) == (2, 1.0)
    certain = 80 + 140 + 0.9
    assert answer.confidence == pytest.approx(2 * certain / (certain + 301), abs=1e-6)
    assert set(answer.warnings) == {"low confidence", "small polyp", "several polyps"}


@pytest.mark.parametrize(("probability", "warnings"), [
    pytest.param(0.0, (), id="sees nothing"),
    pytest.param(0.3, ("low confidence",), id="is in doubt"),
])  # fmt: skip
def test_an_answer_without_polyp(probability, warnings):
    answer = read_answer(np.full((64, 64), probability, np.float32), 50, 70, 0.5, LIMITS)
    assert not answer.mask.any() and answer.mask.shape == (50, 70)
    assert answer[1:4] == (0.0, 0, 1.0) and answer.warnings == warnings


def draw_case(height=300, width=400):
    image = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    mask = blank(height, width)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    return image, mask


def grow(mask, pixels):
    kernel = np.ones((2 * pixels + 1,) * 2, np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


@pytest.mark.parametrize(("size", "width"), [((300, 400), 1), ((90, 64), 1), ((600, 1200), 3)])
def test_a_drawing_changes_the_mask_and_its_outline_alone(size, width):
    image, mask = draw_case(*size)
    drawn = draw_answer(image, mask)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    reach = 3 * width // 2 + 2  # the dark line has three widths, rounded up by OpenCV
    outside, inside = ~grow(mask, reach), ~grow(~mask, reach)
    assert np.array_equal(drawn[outside], image[outside])
    expected = (1 - TINT) * image[inside] + TINT * np.array(OUTLINE)
    assert inside.any() and np.abs(drawn[inside] - expected).max() <= 1
    is_yellow = (drawn == OUTLINE).all(2)
    edge = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert is_yellow[edge].all()


def test_a_drawing_leaves_its_input_as_it_was():
    image, mask = draw_case()
    before, mask_before = image.copy(), mask.copy()
    image.setflags(write=False)
    mask.setflags(write=False)
    drawn = draw_answer(image, mask)
    assert not np.shares_memory(drawn, image)
    assert np.array_equal(image, before) and np.array_equal(mask, mask_before)


def test_a_drawing_of_an_empty_answer_is_the_picture():
    image, mask = draw_case()
    assert np.array_equal(draw_answer(image, np.zeros_like(mask)), image)


def test_every_region_is_outlined():
    image, mask = draw_case()
    mask[200:220, 300:330] = True
    is_yellow = (draw_answer(image, mask) == OUTLINE).all(2)
    assert is_yellow[200, 315] and is_yellow[75, 150]
