"""Training: the same seed gives the same bytes, also across an interruption."""

import dataclasses
import os

import numpy as np
import pytest
import torch

from effiseg.arrays import Arrays
from effiseg.augment import Augmentation
from effiseg.batches import draw_order, load_batches, plan_epoch
from effiseg.checkpoints import fingerprint_of, read_state, write_state
from effiseg.distribution import Group
from effiseg.locks import only_process
from effiseg.model import build_model
from effiseg.precision import pick_device, to_input
from effiseg.predict import list_views, predict_probabilities
from effiseg.recipe import Recipe, Train
from effiseg.remedies import Remedies
from effiseg.training import cosine, train, validate

PARAMS = Train(
    pretrained=False, batch_size=4, lr=0.001, seed=3, devices=1, deterministic=True
)
CPU = torch.device("cpu")
ALONE = Group(rank=0, size=1, device=CPU)


PUBLISHED = Recipe(
    encoder="tf_efficientnet_lite0",
    decoder_channels=8,
    upsampling="nearest",
    size=32,
    epochs=3,
    augmentation="published",
    additions=(),
    copy_paste=0.0,
    multi_scale=False,
    boundary_loss=False,
    false_negative_weight=0.5,
    near_pixel_weight=0.0,
    deep_supervision=False,
    weights="last",
    follow_findings=False,
    test_flips=False,
    test_scales=False,
)


def recipe(**changes):
    return dataclasses.replace(PUBLISHED, **changes)


def build():
    torch.manual_seed(0)
    return build_model("tf_efficientnet_lite0", False, 8, "nearest")


def draw_arrays(number, seed=0):
    generator = np.random.default_rng(seed)
    masks = np.zeros((number, 32, 32), np.uint8)
    masks[:, 8:20, 8:24] = 1
    images = generator.integers(0, 120, (number, 32, 32, 3)).astype(np.uint8)
    images[masks.astype(bool)] += 100
    return Arrays(images, masks)


def run(state_file, stop_after=None, network=None, remedies=None, **options):
    parts = draw_arrays(10), draw_arrays(3, seed=1)
    remedies = remedies or Remedies()
    epochs = train(
        network or build(), *parts, PARAMS, recipe(**options), remedies, state_file, ALONE
    )
    history = []
    for epoch, kept in epochs:
        history.append(epoch)
        if len(history) == stop_after:
            break
    return history, {name: tensor.clone() for name, tensor in kept.items()}


def are_equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_trains_the_same_model(tmp_path):
    first, again = run(tmp_path / "a.pt"), run(tmp_path / "b.pt")
    assert first[0] == again[0]
    assert are_equal(first[1], again[1])


@pytest.mark.parametrize("weights", ["last", "average", "best"])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path, weights):
    whole = run(tmp_path / "whole.pt", weights=weights)
    run(tmp_path / "cut.pt", stop_after=1, weights=weights)
    resumed = run(tmp_path / "cut.pt", weights=weights)
    assert resumed[0] == whole[0]
    assert are_equal(resumed[1], whole[1])


def test_the_kept_weights_differ_by_policy(tmp_path):
    kept = {w: run(tmp_path / f"{w}.pt", weights=w)[1] for w in ("last", "average")}
    assert not are_equal(kept["last"], kept["average"])


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    network = build()
    torch.nn.init.constant_(network.logit.bias, float("nan"))
    with pytest.raises(FloatingPointError, match=r"became nan in epoch 1: lower train\.lr"):
        run(tmp_path / "state.pt", network=network)


def test_too_little_memory_says_what_to_lower(tmp_path):
    network = build()
    shape = (10**13,)
    network.ghosts[0].register_forward_pre_hook(lambda *_: torch.empty(shape))
    with pytest.raises(MemoryError, match=r"of 4 images of 32 px .*lower train\.batch_size"):
        run(tmp_path / "state.pt", network=network)


def test_fewer_images_than_a_batch_are_refused(tmp_path):
    parts = draw_arrays(3), draw_arrays(2)
    epochs = train(build(), *parts, PARAMS, recipe(), Remedies(), tmp_path / "state.pt", ALONE)
    with pytest.raises(ValueError, match=r"train\.batch_size is 4, but there are only 3"):
        next(epochs)


def test_training_learns_a_bright_square(tmp_path):
    params = dataclasses.replace(PARAMS, lr=0.003, seed=0)
    plain, state = recipe(augmentation="none", epochs=15), tmp_path / "state.pt"
    parts = draw_arrays(12), draw_arrays(4, seed=1)
    for epoch, _ in train(build(), *parts, params, plain, Remedies(), state, ALONE):
        last = epoch
    assert last.validation_dice > 0.8


def test_the_learning_rate_falls_to_a_tenth_on_half_a_cosine():
    assert cosine(1e-3, 0, 100) == pytest.approx(1e-3)
    assert cosine(1e-3, 50, 100) == pytest.approx(5.5e-4)
    assert cosine(1e-3, 100, 100) == pytest.approx(1e-4)


def test_an_epoch_draws_every_image_once():
    order = draw_order(50, None, seed=1, epoch=2)
    assert sorted(order) == list(range(50))
    assert not np.array_equal(order, draw_order(50, None, seed=1, epoch=3))


def test_an_image_is_drawn_as_often_as_its_weight_says():
    weights = np.array([2.0, 1.0, 0.5, 0.5, 1.0])
    for epoch in range(20):
        times = np.bincount(draw_order(5, weights, seed=0, epoch=epoch), minlength=5)
        assert times[[0, 1, 4]].tolist() == [2, 1, 1]
        assert times.sum() == 5
        assert set(times[[2, 3]]) <= {0, 1}


def test_batches_depend_on_seed_epoch_and_position_alone():
    arrays, augment = draw_arrays(8), Augmentation("wide")
    plan, other = (plan_epoch(8, None, 4, seed=1, epoch=epoch) for epoch in (0, 1))
    whole = list(load_batches(arrays, plan, augment, CPU))
    last = list(load_batches(arrays, plan[1:], Augmentation("wide"), CPU))
    assert torch.equal(whole[1][0], last[0][0])
    assert not torch.equal(whole[0][0], next(load_batches(arrays, other, augment, CPU))[0])


def test_worker_processes_load_the_same_batches_in_the_same_order():
    arrays, augment = draw_arrays(20), Augmentation("published", ["highlights"])
    plan = plan_epoch(20, None, 4, seed=1, epoch=0)
    alone = list(load_batches(arrays, plan, augment, CPU, workers=0))
    together = list(load_batches(arrays, plan, augment, CPU, workers=2))
    for ours, theirs in zip(alone, together, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_processes_share_a_batch_without_changing_it():
    whole = plan_epoch(9, None, 4, seed=2, epoch=5)
    shares = [plan_epoch(9, None, 4, 2, 5, rank, processes=2) for rank in range(2)]
    assert [a + b for a, b in zip(*shares, strict=True)] == whole
    assert [len(batch) for batch in whole] == [4, 4]


def test_the_input_is_normalised_in_channels_last_memory():
    network = build()
    images = torch.from_numpy(draw_arrays(3).images)
    pixels = to_input(images, network, CPU)
    mean, std = (255 * torch.tensor(v).view(3, 1, 1) for v in (network.mean, network.std))
    assert torch.equal(pixels, (images.permute(0, 3, 1, 2) - mean) / std)
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_validation_dice_is_the_mean_over_images():
    network, arrays = build().eval(), draw_arrays(9)
    dices = []
    for image, mask in zip(arrays.images, arrays.masks, strict=True):
        predicted = predict_probabilities(network, image[None], False)[0] > 0.5
        dices.append(2 * (predicted & (mask > 0)).sum() / (predicted.sum() + mask.sum()))
    measured = validate(network, arrays, Group(0, 1, pick_device()))[1]
    assert measured == pytest.approx(np.mean(dices), abs=0.01)


def test_flips_are_averaged_each_turned_back():
    network, images = build().eval(), draw_arrays(1).images
    views = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    back = [slice(None), np.s_[:, :, ::-1], np.s_[:, ::-1], np.s_[:, ::-1, ::-1]]
    each = [
        predict_probabilities(network, np.ascontiguousarray(view), False)[turn]
        for view, turn in zip(views, back, strict=True)
    ]
    flipped = predict_probabilities(network, images, True)
    assert np.allclose(flipped, np.mean(each, axis=0), atol=1e-5)


def test_a_prediction_does_not_depend_on_its_batch():
    network, images = build().eval(), draw_arrays(9).images
    together = predict_probabilities(network, images, False)
    alone = np.stack([predict_probabilities(network, i[None], False)[0] for i in images])
    assert np.allclose(together, alone, atol=0.02)  # bfloat16


def test_a_second_process_is_refused_by_the_name_of_the_first(tmp_path):
    lock = tmp_path / "baseline.lock"
    with only_process(lock, "training it"):  # noqa: SIM117
        with pytest.raises(RuntimeError, match=f"process {os.getpid()} is already training it"):
            with only_process(lock, "training it"):
                pass
    with only_process(lock, "training it"):
        pass


def test_a_fingerprint_follows_settings_and_content(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"1")
    before = fingerprint_of({"lr": 0.1}, [file])
    assert fingerprint_of({"lr": 0.2}, [file]) != before
    assert fingerprint_of({"lr": 0.1}, [file]) == before
    file.write_bytes(b"2")
    assert fingerprint_of({"lr": 0.1}, [file]) != before


def test_a_state_that_could_not_be_written_leaves_the_last_one(tmp_path):
    path = tmp_path / "state.pt"
    write_state(path, {"epoch": 1})
    with pytest.raises(AttributeError):
        write_state(path, {"epoch": lambda: 2})  # can't be pickled
    assert read_state(path) == {"epoch": 1}


@pytest.mark.parametrize("damage", ["a bit", "cut off", "empty", "longer"])
def test_a_damaged_state_is_refused_with_what_to_do(tmp_path, damage):
    path = tmp_path / "state.pt"
    write_state(path, {"weight": torch.arange(1000.0)})
    content = bytearray(path.read_bytes())
    changed = {"cut off": content[:-1], "empty": b"", "longer": content + b"0"}
    content[len(content) // 2] ^= 1  # amid the weights, where torch itself would not notice
    path.write_bytes(changed.get(damage, content))
    with pytest.raises(ValueError, match=r"state\.pt .* Delete it and run again"):
        read_state(path)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("scales", [False, True])
def test_an_answer_is_the_mean_over_these_views(flips, scales):
    views, number = list_views(flips, scales), (4 if flips else 1) * (3 if scales else 1)
    assert len(set(views)) == len(views) == number
    assert ((), 1.0) in views
