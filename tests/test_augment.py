"""Augmentation and loss: pure functions, by hand where possible."""

import pickle

import cv2
import numpy as np
import pytest
import torch
from monai.losses import DiceLoss

from effiseg.augment import (
    ADDITIONS,
    A,
    Augmentation,
    FastElastic,
    add_highlights,
    add_inset,
    blur_smoothly,
)
from effiseg.losses import segmentation_loss, tversky_loss


def draw_pair(seed=0):
    generator = np.random.default_rng(seed)
    mask = np.zeros((64, 64), np.uint8)
    mask[10:30, 12:40] = 1
    image = generator.integers(40, 90, (64, 64, 3)).astype(np.uint8)
    image[mask.astype(bool)] += 120
    return image, mask


@pytest.mark.parametrize("policy", ["none", "published", "wide"])
def test_a_seed_decides_all(policy):
    image, mask = draw_pair()
    first, second = Augmentation(policy), Augmentation(policy)
    second(image, mask, 99)  # what came before does not matter
    for seed in range(5):
        a, b = first(image, mask, seed), second(image, mask, seed)
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1])


@pytest.mark.parametrize("policy", ["published", "wide"])
def test_seeds_differ_and_the_input_stays(policy):
    image, mask = draw_pair()
    before = image.copy(), mask.copy()
    augment = Augmentation(policy)
    results = {augment(image, mask, seed)[0].tobytes() for seed in range(12)}
    assert len(results) > 6
    assert np.array_equal(image, before[0])
    assert np.array_equal(mask, before[1])


@pytest.mark.parametrize("policy", ["published", "wide"])
def test_the_mask_follows_the_image_and_stays_binary(policy):
    image, mask = draw_pair()
    augment = Augmentation(policy)
    agreements = []
    for seed in range(20):
        changed, moved = augment(image, mask, seed)
        assert moved.dtype == np.uint8
        assert set(np.unique(moved)) <= {0, 1}
        if moved.any():
            inside, outside = changed[moved == 1].mean(), changed[moved == 0].mean()
            agreements.append(inside > outside + 20)
    assert np.mean(agreements) > 0.9


def test_no_augmentation_changes_nothing():
    image, mask = draw_pair()
    same = Augmentation("none")(image, mask, 3)
    assert np.array_equal(same[0], image)
    assert np.array_equal(same[1], mask)


@pytest.mark.parametrize("cause", ADDITIONS)
def test_every_cause_changes_some_images_and_not_all(cause):
    image, mask = draw_pair()
    augment = Augmentation("none", [cause])
    changed = [not np.array_equal(augment(image, mask, seed)[0], image) for seed in range(60)]
    assert 0.05 < np.mean(changed) < 0.6


def test_an_unknown_cause_is_refused():
    with pytest.raises(ValueError, match="augmentation 'fog' is unknown; known are smaller_polyps"):
        Augmentation("none", ["fog"])


def test_an_augmentation_can_be_sent_to_another_process():
    image, mask = draw_pair()
    augment = Augmentation("published", ["highlights", "smaller_polyps"])
    sent = pickle.loads(pickle.dumps(augment))
    for seed in range(5):
        assert np.array_equal(augment(image, mask, seed)[0], sent(image, mask, seed)[0])


@pytest.mark.parametrize("size", [(224, 224), (96, 150)])
def test_the_fast_blur_is_the_gaussian_one(size):
    noise = np.random.default_rng(0).standard_normal(size, np.float32)
    noise /= np.abs(noise).max()
    exact = cv2.GaussianBlur(noise, (0, 0), 50, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(blur_smoothly(noise, 50) - exact).max() < 0.01  # pixels of displacement
    assert np.abs(exact).max() < 0.5  # so that masks stay


def test_the_fast_elastic_transform_draws_the_fields_of_albumentations():
    fast, theirs = FastElastic(alpha=1, sigma=50), A.ElasticTransform(alpha=1, sigma=50)
    for seed in range(5):
        maps = []
        for transform in (fast, theirs):
            transform.set_random_seed(seed)
            maps.append(transform.get_params_dependent_on_data({"shape": (224, 200, 3)}, {}))
        for name in ("map_x", "map_y"):
            assert np.abs(maps[0][name] - maps[1][name]).max() < 0.01  # pixels


def test_highlights_brighten_and_an_inset_covers_a_corner():
    image, _ = draw_pair()
    wide = np.repeat(np.repeat(image, 4, 0), 4, 1)
    lit = add_highlights(wide, np.random.default_rng(0))
    assert (lit >= wide).all()
    assert lit.max() > 240
    covered = add_inset(image, np.random.default_rng(0)) != image
    assert 0.01 < covered.any(2).mean() < 0.12


def draw_logits(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 1, 16, 16, generator=generator)
    return logits, (torch.rand(3, 1, 16, 16, generator=generator) > 0.6).float()


def test_the_balanced_overlap_loss_is_monais_dice_loss():
    logits, masks = draw_logits()
    theirs = DiceLoss(sigmoid=True, smooth_nr=1e-5, smooth_dr=1e-5)(logits, masks)
    assert tversky_loss(logits, masks, 0.5).item() == pytest.approx(theirs.item(), abs=1e-5)


def test_the_loss_adds_cross_entropy_one_to_one():
    logits, masks = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    # p = 0.5 on both pixels: TP 0.5, FP 0.5, FN 0.5; soft Dice 0.5; cross-entropy ln 2
    assert segmentation_loss(logits, masks, 0.5).item() == pytest.approx(0.5 + np.log(2), abs=1e-4)


def test_the_weight_makes_the_missing_pixels_dearer():
    masks = torch.zeros(1, 1, 4, 4)
    masks[..., :2] = 1
    small, large = torch.full((2, 1, 1, 4, 4), -20.0)
    small[..., :1] = 20.0  # half of the polyp is missing
    large[..., :3] = 20.0  # as much is too much
    tilted = [tversky_loss(logits, masks, 0.7).item() for logits in (small, large)]
    assert tilted == pytest.approx([1 - 4 / (4 + 0.7 * 4), 1 - 8 / (8 + 0.3 * 4)], abs=1e-4)


def test_an_empty_image_without_prediction_costs_nothing():
    loss = tversky_loss(torch.full((1, 1, 4, 4), -30.0), torch.zeros(1, 1, 4, 4), 0.5)
    assert loss.item() == pytest.approx(0.0, abs=1e-4)
