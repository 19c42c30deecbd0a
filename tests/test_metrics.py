"""Metrics: values worked by hand, and agreement with MONAI."""

import numpy as np
import pandas as pd
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from monai.metrics.confusion_matrix import compute_confusion_matrix_metric, get_confusion_matrix

from effiseg import metrics
from effiseg.metrics import Counts, count_pixels, score_surface

SHAPE = (60, 80)


def draw_blobs(seed, touches_border=False):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    result = np.zeros(SHAPE, bool)
    for _ in range(generator.integers(1, 4)):
        cy, cx = generator.uniform(0.3, 0.7, 2) * SHAPE
        if touches_border:
            cx = 0
        radius = generator.uniform(4, 14)
        result |= (y - cy) ** 2 + ((x - cx) / generator.uniform(0.7, 1.4)) ** 2 < radius**2
    return result


PAIRS = [(draw_blobs(n, n % 3 == 0), draw_blobs(n + 100, n % 2 == 0)) for n in range(12)]


def as_batch(pixels):
    return torch.from_numpy(pixels)[None, None].float()


@pytest.mark.parametrize(
    ("counts", "dice", "iou", "precision", "recall"),
    [
        pytest.param((4, 0, 0, 0), 1.0, 1.0, 1.0, 1.0, id="perfect"),
        pytest.param((2, 1, 1, 5), 4 / 6, 2 / 4, 2 / 3, 2 / 3, id="partial"),
        pytest.param((1, 3, 0, 5), 2 / 5, 1 / 4, 1 / 4, 1.0, id="too large"),
        pytest.param((0, 0, 0, 9), 1.0, 1.0, 1.0, 1.0, id="both empty"),
        pytest.param((0, 3, 0, 6), 0.0, 0.0, 0.0, 0.0, id="polyp where there is none"),
        pytest.param((0, 0, 3, 6), 0.0, 0.0, 0.0, 0.0, id="missed"),
    ],
)
def test_scores_match_hand_counts(counts, dice, iou, precision, recall):
    scores = [f(Counts(*counts)) for f in (metrics.dice, metrics.iou)]
    scores += [f(Counts(*counts)) for f in (metrics.precision, metrics.recall)]
    assert scores == pytest.approx([dice, iou, precision, recall])


@pytest.mark.parametrize(("prediction", "mask"), PAIRS)
def test_overlap_scores_agree_with_monai(prediction, mask):
    matrix = get_confusion_matrix(as_batch(prediction), as_batch(mask))
    counts = count_pixels(prediction, mask)
    names = {"f1 score": "dice", "threat score": "iou"}
    for theirs, ours in (names | {"precision": "precision", "recall": "recall"}).items():
        expected = compute_confusion_matrix_metric(theirs, matrix).item()
        assert getattr(metrics, ours)(counts) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("prediction", "mask"), PAIRS)
@pytest.mark.parametrize("tolerance", [0.5, 2.0])
def test_surface_scores_agree_with_monai(prediction, mask, tolerance):
    ours = score_surface(prediction, mask, tolerance)
    batches = as_batch(prediction), as_batch(mask)
    surface = compute_surface_dice(*batches, [tolerance], include_background=True)
    hausdorff = compute_hausdorff_distance(*batches, include_background=True, percentile=95)
    assert ours.nsd == pytest.approx(surface.item(), abs=1e-5)
    assert ours.hd95 == pytest.approx(hausdorff.item(), abs=1e-3)


def test_surface_scores_at_the_edges():
    nothing, something = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    assert score_surface(nothing, nothing, 1.0) == (1.0, 0.0)
    assert score_surface(nothing, something, 1.0) == (0.0, 5.0)


def make_table():
    rows = [
        {"tp": 10, "fp": 0, "fn": 0, "tn": 90, "dice": 1.0, "iou": 1.0, "near_duplicate": False},
        {"tp": 10, "fp": 20, "fn": 0, "tn": 70, "dice": 0.5, "iou": 1 / 3, "near_duplicate": True},
    ]
    same = {"precision": 1.0, "recall": 1.0, "nsd": 0.5, "hd95": 2.0}
    return pd.DataFrame([row | same | {"dice_input": 0.4, "iou_input": 0.3} for row in rows])


def test_means_and_pooled_scores_are_told_apart():
    summary = metrics.summarize(make_table())
    assert summary["dice"] == 0.75
    assert summary["miou"] == pytest.approx(2 / 3, abs=1e-6)
    assert summary["dice_pooled"] == pytest.approx(40 / 60, abs=1e-6)
    assert summary["iou_pooled"] == 0.5
    assert summary["dice_without_near_duplicates"] == 1.0
    assert (summary["images"], summary["near_duplicates"]) == (2, 1)


def test_a_mean_over_no_image_is_null_not_nan():
    table = make_table().assign(near_duplicate=True)
    assert metrics.summarize(table)["dice_without_near_duplicates"] is None


def test_the_precision_recall_curve_is_that_of_every_threshold():
    generator = np.random.default_rng(0)
    probability = generator.random(SHAPE).astype(np.float32)
    mask = generator.random(SHAPE) < 0.3
    curve = metrics.precision_recall(metrics.count_probabilities(probability, mask))
    for row in curve.iloc[[0, 60, 128, 200]].itertuples():
        predicted = probability >= row.threshold
        assert row.precision == pytest.approx((predicted & mask).sum() / predicted.sum())
        assert row.recall == pytest.approx((predicted & mask).sum() / mask.sum())


def test_the_confusion_table_holds_every_pixel():
    table = metrics.confusion_table(make_table())
    assert table["pixels"].tolist() == [20, 0, 20, 160]
