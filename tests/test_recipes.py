"""What a recipe may add to the published one, by hand where possible; and its trainings."""

import itertools
import math
import typing

import numpy as np
import pandas as pd
import pytest
import torch
from test_augment import draw_pair
from test_training import (
    ALONE,
    CPU,
    PARAMS,
    are_equal,
    build,
    draw_arrays,
    recipe,
    run,
)

from effiseg.arrays import Arrays
from effiseg.augment import POLICIES, A, Augmentation, BlackCorner, CornerShift, paste_polyp
from effiseg.batches import AugmentedBatches, Draw, load_batches, plan_epoch
from effiseg.losses import Objective, segmentation_loss, training_loss
from effiseg.model import DeepSupervision
from effiseg.precision import mixed_precision, to_input
from effiseg.predict import predict_probabilities
from effiseg.recipe import Policy
from effiseg.remedies import Remedies
from effiseg.split import key_groups
from effiseg.training import cosine, rescale, train

EACH_SEED = range(20)


def enlarge(arrays, times):
    return Arrays(*(np.repeat(np.repeat(a, times, axis=1), times, axis=2) for a in arrays))


# Copy and paste


def test_a_pasted_polyp_by_hand():
    image, donor = np.full((40, 40, 3), 10, np.uint8), np.full((40, 40, 3), 200, np.uint8)
    mask, donor_mask = np.zeros((2, 40, 40), np.uint8)
    mask[:, 15:22] = 1
    donor_mask[:, :20] = 1
    before = [array.copy() for array in (image, mask, donor, donor_mask)]
    mixed, union = paste_polyp(image, mask, donor, donor_mask)
    assert mixed.dtype == union.dtype == np.uint8
    assert (mixed[:, :20] == 200).all()  # the polyp itself
    assert (union == (np.arange(40) < 22)).all()
    # Beside it, what a Gaussian of 1 pixel leaves of it: 0.3006, 0.0585, 0.0046 of 190 more than 10
    assert mixed[5, 20:23, 1].tolist() == [67, 21, 11]
    assert (mixed[:, 24:] == 10).all()  # and no more
    unchanged = zip((image, mask, donor, donor_mask), before, strict=True)
    assert all(np.array_equal(now, then) for now, then in unchanged)


def test_a_pasted_polyp_of_noise_keeps_its_pixels_and_those_far_from_it():
    generator = np.random.default_rng(0)
    image, donor = generator.integers(0, 256, (2, 300, 300, 3)).astype(np.uint8)
    mask, donor_mask = np.zeros((2, 300, 300), np.uint8)
    mask[:50], donor_mask[30:80, 100:180] = 1, 1
    mixed, union = paste_polyp(image, mask, donor, donor_mask)
    near = np.zeros((300, 300), bool)
    near[17:93, 87:193] = True  # four times the edge's softness, of 3 pixels, around it
    assert np.array_equal(union, np.maximum(mask, donor_mask))
    assert np.array_equal(mixed[donor_mask == 1], donor[donor_mask == 1])
    assert np.array_equal(mixed[~near], image[~near])
    assert (mixed >= np.minimum(image, donor)).all()
    assert (mixed <= np.maximum(image, donor)).all()


def draw_spread_arrays(number=6):
    """Small polyps at different places, so that those of one image show in another."""
    images, masks = draw_arrays(number)
    for row, shift in enumerate(range(0, 3 * number, 3)):
        images[row] = np.roll(images[row], shift, axis=(0, 1))
        masks[row] = np.roll(masks[row], shift, axis=(0, 1))
    return Arrays(images, masks)


def load_epoch(arrays, copy_paste, policy="published"):
    """One epoch in batches of 3: images, masks."""
    plan = plan_epoch(len(arrays.images), None, 3, seed=1, epoch=0)
    batches = AugmentedBatches(arrays, Augmentation(policy), copy_paste)
    return [torch.cat(parts).numpy() for parts in zip(*map(batches.__getitem__, plan), strict=True)]


def test_without_copy_paste_images_are_augmented_and_nothing_else():
    arrays, augment = draw_spread_arrays(), Augmentation("published")
    images, masks = load_epoch(arrays, 0.0)
    draws = itertools.chain(*plan_epoch(6, None, 3, seed=1, epoch=0))
    for image, mask, (row, key) in zip(images, masks, draws, strict=True):
        expected = augment(arrays.images[row], arrays.masks[row], key)
        assert np.array_equal(image, expected[0])
        assert np.array_equal(mask, expected[1])


@pytest.mark.parametrize("policy", ["none", "published", "wide"])
def test_copy_paste_adds_polyps_and_takes_none_away(policy):
    arrays = draw_spread_arrays()
    plain, pasted = (load_epoch(arrays, share, policy) for share in (0.0, 1.0))
    assert (pasted[1] >= plain[1]).all()
    assert set(np.unique(pasted[1])) <= {0, 1}
    grown = (pasted[1] > plain[1]).any((1, 2))
    assert grown.any()
    assert [array.dtype for array in pasted] == [np.uint8, np.uint8]
    where_pasted = pasted[1] > plain[1]
    assert (pasted[0][where_pasted] != plain[0][where_pasted]).any(-1).mean() > 0.9


def test_copy_paste_changes_the_share_of_images_that_it_says():
    arrays = draw_spread_arrays(200)
    plain, pasted = (load_epoch(arrays, share, "none") for share in (0.0, 0.3))
    changed = [not np.array_equal(*pair) for pair in zip(plain[0], pasted[0], strict=True)]
    assert 0.2 < np.mean(changed) < 0.4


def test_a_key_decides_what_is_pasted():
    arrays = draw_spread_arrays()
    first, again = (AugmentedBatches(arrays, Augmentation("published"), 0.5) for _ in range(2))
    draws = [Draw(row, 10 * row + key) for row in range(6) for key in range(3)]
    together = first[draws]
    for position in reversed(range(len(draws))):  # another order, other company
        alone = again[draws[position : position + 1]]
        assert torch.equal(alone[0][0], together[0][position])
        assert torch.equal(alone[1][0], together[1][position])


def test_worker_processes_paste_the_same_polyps():
    arrays, augment = draw_spread_arrays(), Augmentation("published")
    plan = plan_epoch(6, None, 3, seed=1, epoch=0)
    alone = list(load_batches(arrays, plan, augment, CPU, workers=0, copy_paste=0.5))
    together = list(load_batches(arrays, plan, augment, CPU, workers=2, copy_paste=0.5))
    for ours, theirs in zip(alone, together, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    "side",
    [pytest.param(0, id="no polyp"), pytest.param(15, id="all larger than a fifth of the image")],
)
def test_nothing_is_pasted_where_no_image_is_a_donor(side):
    images, masks = draw_arrays(6)
    masks[:] = 0
    masks[:, :side, :side] = 1  # of 32: 15 x 15 is 0.22
    arrays = Arrays(images, masks)
    plain, pasted = (load_epoch(arrays, share) for share in (0.0, 1.0))
    assert np.array_equal(plain[0], pasted[0])
    assert np.array_equal(plain[1], pasted[1])


def test_only_small_polyps_are_donors():
    images, masks = draw_arrays(4)
    masks[:] = 0
    masks[1, :14, :14] = 1  # 0.19
    masks[2, :15, :15] = 1  # 0.22
    masks[3, 0, 0] = 1
    batches = AugmentedBatches(Arrays(images, masks), Augmentation("none"), 1.0)
    assert batches.donors.tolist() == [1, 3]


# Augmentation


def test_a_recipe_may_name_every_policy_and_no_other():
    assert set(typing.get_args(Policy)) == set(POLICIES)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_keeps_size_and_type_and_masks_of_two_values(policy):
    image, mask = draw_pair()
    augment = Augmentation(policy)
    for seed in EACH_SEED:
        changed, moved = augment(image, mask, seed)
        assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
        assert (moved.shape, moved.dtype) == (mask.shape, np.uint8)
        assert set(np.unique(moved)) <= {0, 1}


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "none"])
def test_a_policy_moves_the_mask_with_the_image(policy):
    image, mask = draw_pair()
    augment, agreements = Augmentation(policy), []
    for seed in EACH_SEED:
        changed, moved = augment(image, mask, seed)
        if moved.any():
            agreements.append(changed[moved == 1].mean() > changed[moved == 0].mean() + 20)
    assert np.mean(agreements) > 0.9


def find_step(policy, kind):
    return next(step for step in POLICIES[policy]() if isinstance(step, kind))


@pytest.mark.parametrize(
    ("policy", "probability", "brightness", "is_elastic"),
    [
        ("published", 0.5, (0.6, 1.6), True),
        ("likelier", 0.8, (0.6, 1.6), True),
        ("rigid", 0.5, (0.6, 1.6), False),
        ("likelier_rigid", 0.8, (0.6, 1.6), False),
        ("likelier_rigid_weaker_colour", 0.8, (0.8, 1.4), False),
    ],
)
def test_a_relative_of_the_published_policy_is_what_its_name_says(
    policy, probability, brightness, is_elastic
):
    steps = {type(step).__name__: step for step in POLICIES[policy]()}
    assert steps["ColorJitter"].brightness == brightness
    assert ("FastElastic" in steps) == is_elastic
    assert {name: step.p for name, step in steps.items() if name != "FastElastic"} == {
        "HorizontalFlip": 0.5,
        "VerticalFlip": 0.5,
        "ColorJitter": probability,
        "Affine": probability,
    }


def find_spot(channel):
    """Row and column of the centre of what is bright."""
    weights = channel.astype(float)
    rows, columns = np.indices(channel.shape)
    return np.array([(weights * at).sum() / weights.sum() for at in (rows, columns)])


def test_the_published_code_turns_by_90_degrees_and_moves_by_an_eighth():
    affine = find_step("published_code", A.Affine)
    affine.p = 1.0
    compose = A.Compose([affine], seed=0)
    image = np.zeros((65, 65, 3), np.uint8)
    image[31:34, 31:34, 0] = 255  # the middle, row 32 and column 32
    image[31:34, 43:46, 1] = 255  # 12 to its right
    scales = set()
    for seed in EACH_SEED:
        compose.set_random_seed(seed)
        turned = compose(image=image, mask=image[..., 1])
        middle, right = (find_spot(turned["image"][..., channel]) for channel in (0, 1))
        assert middle == pytest.approx([32 + 65 / 8, 32 + 65 / 8], abs=0.5)
        down, across = right - middle
        assert across == pytest.approx(0, abs=0.3)  # not to the right any more
        assert 0.5 * 12 - 0.5 < abs(down) < 1.5 * 12 + 0.5
        assert find_spot(turned["mask"]) == pytest.approx(right, abs=0.5)
        scales.add(round(abs(down) / 12, 1))
    assert len(scales) > 4


def test_the_published_text_turns_by_all_angles_up_to_90_degrees():
    affine = find_step("published", A.Affine)
    affine.p = 1.0
    compose = A.Compose([affine], seed=0)
    image = np.zeros((65, 65, 3), np.uint8)
    image[31:34, 31:34, 0] = 255
    image[31:34, 43:46, 1] = 255
    angles, moves = [], []
    for seed in range(60):
        compose.set_random_seed(seed)
        turned = compose(image=image)["image"]
        middle, right = (find_spot(turned[..., channel]) for channel in (0, 1))
        angles.append(math.degrees(math.atan2(*(right - middle))))
        moves.append(middle - 32)
    assert -95 < min(angles) < -60
    assert 60 < max(angles) < 95
    assert np.abs(moves).max() < 65 / 8 + 0.5
    assert np.min(moves) < -5
    assert np.max(moves) > 5


def test_a_corner_shift_moves_image_and_mask_by_its_matrix():
    image, mask = draw_pair()
    step = CornerShift(p=1.0)
    matrix = np.array([[1.0, 0, 5], [0, 1.0, 3]])  # 5 to the right, 3 down
    moved, followed = step.apply(image, matrix=matrix), step.apply_to_mask(mask, matrix=matrix)
    assert np.array_equal(moved[3:, 5:], image[:-3, :-5])
    assert np.array_equal(followed[3:, 5:], mask[:-3, :-5])
    assert np.array_equal(moved[3:, :5], image[:-3, 5:0:-1])  # mirrored beyond the border
    assert np.array_equal(followed[:3, 5:], mask[3:0:-1, :-5])


def test_a_corner_shift_moves_three_points_within_its_reach():
    step, size = CornerShift(p=1.0), 190
    third, middle = size // 3, size // 2
    points = middle + third * np.array([[1, 1], [1, -1], [-1, -1]])
    moves = []
    for seed in range(100):
        step.set_random_seed(seed)
        matrix = step.get_params_dependent_on_data({"shape": (size, size, 3)}, {})["matrix"]
        moves.append(points @ matrix[:, :2].T + matrix[:, 2] - points)
    moves = np.abs(moves)
    reach = 25  # 50 of 380 pixels
    assert moves.max() < reach + 1e-3
    assert moves.max() > 0.95 * reach
    assert moves.mean() == pytest.approx(reach / 2, rel=0.1)


def test_a_corner_shift_moves_a_mask_as_it_moves_the_image():
    _, mask = draw_pair()
    image = np.repeat(255 * mask[..., None], 3, axis=2)
    compose = A.Compose([CornerShift(p=1.0)], seed=0)
    shifted = []
    for seed in EACH_SEED:
        compose.set_random_seed(seed)
        result = compose(image=image, mask=mask)
        differs = (result["image"][..., 0] > 127) != (result["mask"] == 1)
        assert differs.mean() < 0.01  # of the pixels: linear and nearest differ on outlines
        shifted.append(not np.array_equal(result["mask"], mask))
    assert all(shifted)


def test_a_black_corner_covers_image_and_mask_alike():
    image, mask = np.full((10, 20, 3), 7, np.uint8), np.ones((10, 20), np.uint8)
    expected = np.ones((10, 20), bool)
    expected[:3, :6] = False
    result = A.Compose([BlackCorner(p=1.0)])(image=image, mask=mask)
    assert np.array_equal(result["image"], image * expected[..., None])
    assert np.array_equal(result["mask"], mask * expected)
    assert (image == 7).all()
    assert (mask == 1).all()


def test_a_black_corner_comes_to_every_second_image():
    image, mask = np.full((10, 20, 3), 7, np.uint8), np.ones((10, 20), np.uint8)
    augment = Augmentation("none", ["black_corner"])
    pairs = [augment(image, mask, seed) for seed in range(100)]
    assert all(np.array_equal(i[..., 0] == 0, m == 0) for i, m in pairs)
    assert 0.35 < np.mean([(m == 0).any() for _, m in pairs]) < 0.65


# Several sizes


def draw_batch(side, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(2, 3, side, side, generator=generator)
    masks = torch.zeros(2, 1, side, side)
    masks[..., side // 4 : side // 2, side // 4 : 3 * side // 4] = 1
    return pixels, masks


@pytest.mark.parametrize(
    ("side", "sides"),
    [(32, {32}), (96, {64, 96, 128}), (128, {96, 128, 160}), (224, {160, 224, 288})],
)
def test_a_batch_comes_at_three_sizes_that_are_multiples_of_32(side, sides):
    pixels, masks = draw_batch(side)
    found = set()
    for step in EACH_SEED:
        resized, targets = rescale(pixels, masks, 3, step)
        assert resized.shape[:2] == (2, 3)
        assert targets.shape == (2, 1, *resized.shape[2:])
        assert set(targets.unique().tolist()) == {0, 1}
        assert targets.mean().item() == pytest.approx(masks.mean().item(), abs=0.02)
        found.add(resized.shape[-1])
    assert found == sides


def test_seed_and_step_decide_the_size():
    pixels, masks = draw_batch(96)

    def list_sides(seed):
        return [rescale(pixels, masks, seed, step)[0].shape[-1] for step in range(30)]

    assert list_sides(3) == list_sides(3)
    assert list_sides(3) != list_sides(4)
    first, again = (rescale(pixels, masks, 3, step=0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_image_and_mask_stay_on_top_of_each_other_at_every_size():
    masks = draw_batch(96)[1]
    for step in EACH_SEED:
        pixels, targets = rescale(masks.repeat(1, 3, 1, 1), masks, 3, step)
        assert ((pixels[:, :1] > 0.5) != (targets > 0.5)).float().mean() < 0.01


# Deep supervision


def test_the_first_output_is_the_networks_own_and_the_others_are_its_scales():
    network = build().eval()
    images = torch.rand(2, 3, 64, 64)
    outputs = DeepSupervision(network)(images)
    assert torch.equal(outputs[0], network(images))
    assert [tuple(o.shape) for o in outputs] == [(2, 1, s, s) for s in (64, 32, 16, 8, 4, 2)]


def test_a_loss_at_every_scale_reaches_every_parameter():
    trained = DeepSupervision(build())
    masks = torch.zeros(2, 1, 64, 64)
    masks[..., 16:40, 16:48] = 1
    training_loss(trained(torch.rand(2, 3, 64, 64)), masks, Objective()).backward()
    without = [n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(parameter.grad.isfinite().all() for parameter in trained.parameters())


# Trainings

ADDED = {
    "deep_supervision": {"deep_supervision": True},
    "multi_scale": {"multi_scale": True},
    "copy_paste": {"copy_paste": 0.5},
    "boundary_loss": {"boundary_loss": True},
    "near_pixels": {"near_pixel_weight": 0.1},
    "additions": {"additions": ("black_corner", "blur")},
    "published_code": {"augmentation": "published_code"},
    "all": {
        "deep_supervision": True,
        "multi_scale": True,
        "copy_paste": 0.5,
        "boundary_loss": True,
        "false_negative_weight": 0.6,
        "near_pixel_weight": 0.1,
        "upsampling": "bilinear",
        "weights": "average",
    },
}


def run_larger(state_file, stop_after=None, **options):
    """As test_training.run, at 96 pixels, where there are three sizes: history, kept weights."""
    parts = enlarge(draw_arrays(8), 3), enlarge(draw_arrays(3, seed=1), 3)
    plan = recipe(size=96, epochs=2, **options)
    history = []
    for epoch, kept in train(build(), *parts, PARAMS, plan, Remedies(), state_file, ALONE):
        history.append(epoch)
        if len(history) == stop_after:
            break
    return history, {name: tensor.clone() for name, tensor in kept.items()}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return run_larger(tmp_path_factory.mktemp("published") / "state.pt")


@pytest.mark.parametrize("added", ADDED)
def test_an_interrupted_training_with_additions_ends_as_an_uninterrupted_one(
    tmp_path, added, published
):
    whole = run_larger(tmp_path / "whole.pt", **ADDED[added])
    run_larger(tmp_path / "cut.pt", stop_after=1, **ADDED[added])
    resumed = run_larger(tmp_path / "cut.pt", **ADDED[added])
    assert resumed[0] == whole[0]
    assert are_equal(resumed[1], whole[1])
    assert not are_equal(whole[1], published[1])  # the addition does something
    build().load_state_dict(whole[1])  # and a plain network holds what is kept


def test_a_recipe_without_additions_trains_as_a_loop_that_knows_none(published):
    network, arrays = build().train(), enlarge(draw_arrays(8), 3)
    augment = Augmentation("published")
    optimizer = torch.optim.AdamW(network.parameters(), lr=PARAMS.lr, fused=True)
    losses = []
    for step, batch in enumerate(plan_epoch(8, None, PARAMS.batch_size, PARAMS.seed, epoch=0)):
        pairs = [augment(arrays.images[row], arrays.masks[row], key) for row, key in batch]
        images, masks = (torch.from_numpy(np.stack(parts)) for parts in zip(*pairs, strict=True))
        with mixed_precision(CPU):
            logits = network(to_input(images, network, CPU))
        loss = segmentation_loss(logits.float(), masks.unsqueeze(1).float(), 0.5)
        optimizer.param_groups[0]["lr"] = cosine(PARAMS.lr, step, 4)  # two epochs of two
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert torch.stack(losses).mean().item() == published[0][0].train_loss


def test_a_training_at_the_smallest_size_takes_every_addition(tmp_path):
    history, _ = run(tmp_path / "state.pt", stop_after=1, **ADDED["all"])
    assert math.isfinite(history[0].train_loss)


# Prediction at several sizes


@pytest.mark.parametrize("with_flips", [False, True])
@pytest.mark.parametrize("side", [32, 72, 96])
def test_a_constant_network_predicts_its_constant_at_every_size(side, with_flips):
    network = build()
    torch.nn.init.zeros_(network.logit.weight)
    torch.nn.init.constant_(network.logit.bias, math.log(3))
    images = np.random.default_rng(0).integers(0, 256, (9, side, side, 3)).astype(np.uint8)
    result = predict_probabilities(network, images, with_flips, with_scales=True)
    assert (result.shape, result.dtype) == ((9, side, side), np.float32)
    assert np.allclose(result, 0.75, atol=1e-6)


def test_probabilities_over_three_sizes_are_probabilities():
    network = build()
    torch.nn.init.normal_(network.logit.weight, std=20)
    images = enlarge(draw_arrays(2), 3).images
    plain, scaled = (predict_probabilities(network, images, False, s) for s in (False, True))
    assert (scaled.shape, scaled.dtype) == (plain.shape, np.float32)
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    assert not np.allclose(plain, scaled, atol=0.01)


def test_a_network_sees_each_image_at_three_sizes():
    network, sides = build(), []
    network.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    images = enlarge(draw_arrays(1), 3).images
    predict_probabilities(network, images, False, with_scales=True)
    assert sides == [64, 96, 128]
    sides.clear()
    predict_probabilities(network, images, True, with_scales=True)
    assert sorted(sides) == [64] * 4 + [96] * 4 + [128] * 4
    sides.clear()
    predict_probabilities(network, images, False)
    assert sides == [96]


def test_a_mirror_image_has_the_mirrored_prediction_at_every_size():
    network, images = build(), enlarge(draw_arrays(1), 3).images
    straight = predict_probabilities(network, images, True, with_scales=True)
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    back = predict_probabilities(network, mirrored, True, with_scales=True)[:, :, ::-1]
    assert np.allclose(straight, back, atol=1e-5)


# Groups of near duplicates


def test_near_duplicates_share_a_key_and_a_lone_image_has_its_own():
    table = pd.DataFrame({"group": [3, -1, 3, -1, 0]}, index=[4, 7, 8, 9, 20])
    keys = key_groups(table)
    assert keys.tolist() == [3, -8, 3, -10, 0]
    assert keys.index.equals(table.index)


def test_the_first_image_alone_is_no_member_of_the_first_group():
    keys = key_groups(pd.DataFrame({"group": [-1, 0, 0, -1]}))
    assert keys.tolist() == [-1, 0, 0, -4]
