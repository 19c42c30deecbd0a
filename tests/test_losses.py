"""The loss and what a recipe may add to it: by hand, then against independent ones."""

import itertools

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from test_augment import draw_logits
from test_training import recipe
from torch.nn import functional as F

from effiseg.losses import (
    Objective,
    boundary_weights,
    near_pixel_loss,
    objective_loss,
    segmentation_loss,
    training_loss,
)
from effiseg.remedies import Remedies
from effiseg.training import choose_objective

EVERYTHING = Objective(0.7, has_boundary_weights=True, near_pixel_weight=0.5)
OBJECTIVES = {
    "published": Objective(),
    "asymmetric": Objective(0.7),
    "boundary": Objective(has_boundary_weights=True),
    "near pixels": Objective(near_pixel_weight=0.5),
    "everything": EVERYTHING,
}
each_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


def as_row(values):
    """A single image of one row, (1, 1, 1, W)."""
    return torch.tensor(values, dtype=torch.float32).view(1, 1, 1, -1)


def test_weights_of_a_row_rise_at_its_outline_alone():
    # 24 pixels wide: a neighbourhood of 3. At the outline a third of it is of the other class.
    weights = boundary_weights(as_row([0] * 12 + [1] * 12))
    at_outline = 1 + 5 / 3
    expected = as_row([1] * 11 + [at_outline] * 2 + [1] * 11)
    assert torch.allclose(weights, expected)


def test_a_single_pixel_weighs_as_much_as_its_neighbourhood_differs():
    masks = torch.zeros(2, 1, 24, 24)
    masks[0, 0, 5, 5] = 1  # within the image: 8 of 9 pixels differ
    masks[1, 0, 0, 0] = 1  # in the corner: 3 of the 4 that there are
    weights = boundary_weights(masks)
    assert weights.shape == masks.shape
    expected = torch.ones(2, 1, 24, 24)
    expected[0, 0, 4:7, 4:7], expected[0, 0, 5, 5] = 1 + 5 / 9, 1 + 5 * 8 / 9
    expected[1, 0, :2, :2] = torch.tensor([[1 + 5 * 3 / 4, 1 + 5 / 6], [1 + 5 / 6, 1 + 5 / 9]])
    assert torch.allclose(weights, expected)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_weights_are_one_where_there_is_no_outline(value):
    masks = torch.full((2, 1, 40, 40), value)
    assert torch.allclose(boundary_weights(masks), torch.ones_like(masks), atol=1e-5)


def test_weights_are_those_of_f3net_at_its_size():
    masks = torch.zeros(1, 1, 352, 352)
    masks[..., 100:240, 90:260] = 1
    theirs = 1 + 5 * (F.avg_pool2d(masks, kernel_size=31, stride=1, padding=15) - masks).abs()
    inner = (..., slice(16, -16), slice(16, -16))  # they count pixels beyond the border as 0
    assert torch.allclose(boundary_weights(masks)[inner], theirs[inner], atol=1e-5)


def test_weights_of_one_change_nothing():
    logits, masks = draw_logits()
    for weight in (0.5, 0.7):
        plain = segmentation_loss(logits, masks, weight)
        weighted = segmentation_loss(logits, masks, weight, torch.ones_like(masks))
        assert weighted.item() == pytest.approx(plain.item(), abs=1e-6)


def test_a_weight_counts_a_pixel_as_often_as_it_says():
    logits, masks = as_row([2.0, -1.0, 0.5]), as_row([1.0, 1.0, 0.0])
    repeated = [0, 1, 1, 1, 2, 2]
    thrice = segmentation_loss(logits[..., repeated], masks[..., repeated], 0.6)
    weighted = segmentation_loss(logits, masks, 0.6, as_row([1.0, 3.0, 2.0]))
    assert weighted.item() == pytest.approx(thrice.item(), abs=1e-6)


def test_the_difference_of_near_pixels_by_hand():
    logits = torch.tensor([[[[50.0, -50.0], [-50.0, -50.0]]]])  # p = 1 in the upper left
    # down 1 and 0, right 1 and 0, one diagonal 1, the other 0: (1/2 + 1/2 + 1 + 0) / 4
    assert near_pixel_loss(logits).item() == pytest.approx(0.5, abs=1e-6)
    assert near_pixel_loss(torch.full((2, 1, 5, 5), 0.3)).item() == 0


def compare_all_neighbours(probability, step):
    """Pixel by pixel, direction by direction: the mean over eight directions."""
    images, _, height, width = probability.shape
    means = []
    for down, right in itertools.product((-step, 0, step), repeat=2):
        differences = [
            probability[image, 0, y + down, x + right] - probability[image, 0, y, x]
            for image in range(images)
            for y in range(height)
            for x in range(width)
            if 0 <= y + down < height and 0 <= x + right < width
        ]
        if (down, right) != (0, 0):
            means.append(np.mean(np.square(differences)))
    assert len(means) == 8
    return np.mean(means)


@pytest.mark.parametrize(
    ("height", "width", "step"), [(5, 7, 1), (7, 5, 1), (7, 150, 2), (8, 240, 3)]
)
def test_near_pixels_are_compared_in_all_eight_directions(height, width, step):
    logits = torch.randn(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    expected = compare_all_neighbours(logits.sigmoid().double().numpy(), step)
    assert near_pixel_loss(logits).item() == pytest.approx(expected, rel=1e-5)


def test_the_published_loss_is_what_an_objective_as_built_asks_for():
    logits, masks = draw_logits()
    loss = objective_loss(logits, masks, Objective())
    assert torch.equal(loss, segmentation_loss(logits, masks, 0.5))
    assert torch.equal(loss, training_loss([logits], masks, Objective()))
    theirs = DiceCELoss(sigmoid=True, smooth_nr=1e-5, smooth_dr=1e-5)(logits, masks)
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-5)


def test_an_objective_adds_its_terms():
    logits, masks = draw_logits()
    weighted = segmentation_loss(logits, masks, 0.7, boundary_weights(masks))
    expected = weighted + 0.5 * near_pixel_loss(logits)
    assert objective_loss(logits, masks, EVERYTHING).item() == pytest.approx(expected.item())
    assert not torch.isclose(weighted, segmentation_loss(logits, masks, 0.7))


def test_the_losses_of_the_scales_are_averaged_and_added():
    masks = torch.zeros(1, 1, 4, 4)
    masks[..., :2] = 1
    outputs = [
        torch.zeros(1, 1, 4, 4),  # p = 0.5: Dice loss 1/2, cross-entropy ln 2
        torch.zeros(1, 1, 2, 2),  # the same
        torch.full((1, 1, 1, 1), 20.0),  # p = 1 for a mask of 1/2: Dice loss 1/3, cross-entropy 10
    ]
    half, coarsest = 1 / 2 + np.log(2), 1 / 3 + 10
    expected = half + 0.4 * (half + coarsest) / 2
    assert training_loss(outputs, masks, Objective()).item() == pytest.approx(expected, abs=1e-4)


def test_near_pixels_are_compared_in_the_output_alone():
    logits, masks = draw_logits()
    outputs = [logits, logits[..., ::2, ::2]]
    plain, added = (training_loss(outputs, masks, Objective(near_pixel_weight=w)) for w in (0, 0.5))
    assert (added - plain).item() == pytest.approx(0.5 * near_pixel_loss(logits).item(), abs=1e-6)


@each_objective
def test_a_loss_falls_as_the_prediction_gets_better(objective):
    masks = torch.zeros(1, 1, 32, 32)
    masks[..., 8:20, 8:24] = 1
    losses = [objective_loss(s * (2 * masks - 1), masks, objective).item() for s in (-2, 0, 2)]
    assert losses[0] > losses[1] > losses[2]


@each_objective
@pytest.mark.parametrize("polyp", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 200.0])
def test_gradients_are_finite(objective, polyp, scale):
    generator = torch.Generator().manual_seed(1)
    masks = (torch.rand(2, 1, 32, 32, generator=generator) < polyp).float()
    outputs = [
        (scale * torch.randn(2, 1, side, side, generator=generator)).requires_grad_()
        for side in (32, 16, 8, 4, 2)
    ]
    loss = training_loss(outputs, masks, objective)
    loss.backward()
    assert loss.isfinite()
    assert all(logits.grad.isfinite().all() for logits in outputs)


@each_objective
def test_the_loss_of_a_scale_of_one_pixel_is_finite(objective):
    # The coarsest scale of an input of 32 pixels, which a recipe may ask for.
    masks = torch.zeros(2, 1, 32, 32)
    masks[..., 8:20, 8:24] = 1
    outputs = [torch.zeros(2, 1, side, side) for side in (32, 16, 8, 4, 2, 1)]
    assert training_loss(outputs, masks, objective).isfinite()


def test_a_recipe_says_what_is_minimised_and_a_remedy_goes_before_it():
    assert choose_objective(recipe(), Remedies()) == Objective()
    changed = recipe(false_negative_weight=0.6, boundary_loss=True, near_pixel_weight=0.01)
    assert choose_objective(changed, Remedies()) == Objective(0.6, True, 0.01)
    remedies = Remedies(false_negative_weight=0.3)
    assert choose_objective(changed, remedies) == Objective(0.3, True, 0.01)
