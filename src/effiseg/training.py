"""Training: a generator that yields one record an epoch and can go on where it was interrupted.

Everything random is drawn from (seed, epoch, position), so that an epoch is the same whether or
not the training was interrupted before it, and however images are loaded.

Source of the published recipe: Vezakis et al., 2024: AdamW, cosine from `lr` to a tenth of it,
the weights of the last epoch. Ours may also keep the average or the best weights.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from effiseg.arrays import Arrays
from effiseg.augment import Augmentation
from effiseg.batches import load_batches, plan_epoch
from effiseg.checkpoints import read_state, write_state
from effiseg.distribution import Group, broadcast, distribute, sum_over, synchronize_batch_norm
from effiseg.losses import Objective, objective_loss, training_loss
from effiseg.model import SCALES, DeepSupervision, EffiSegNet, scale_side
from effiseg.precision import make_scaler, mixed_precision, place_model, to_input
from effiseg.recipe import Recipe, Train
from effiseg.remedies import Remedies

FINAL_SHARE_OF_LR = 0.1  # published: from 1e-4 to 1e-5
AVERAGE_DECAY = 0.998  # a step; the average reaches back about 500 steps
THRESHOLD = 0.5
VALIDATION_BATCH = 8


class Epoch(NamedTuple):
    """One row of history.csv. Losses and Dice are means over images, at the input size."""

    epoch: int  # from 1
    learning_rate: float  # of the last step
    train_loss: float
    validation_loss: float
    validation_dice: float


def train(
    network: EffiSegNet,
    training: Arrays,
    validation: Arrays,
    params: Train,
    recipe: Recipe,
    remedies: Remedies,
    state_file: Path,
    group: Group,
    on_step: Callable[[int], object] = lambda steps: None,
) -> Iterator[tuple[Epoch, dict[str, Tensor]]]:
    """Train, and yield after each epoch its record and the weights that would be kept now.

    Epochs that an earlier, interrupted call completed are yielded first, from `state_file`.

    Args:
        group: the processes that train together; each calls this alike, rank 0 writes the state.
        on_step: called with the number of optimiser steps done since its last call.

    Raises:
        ValueError: there are fewer training images than `batch_size`, or it can't be shared.
        FloatingPointError: the loss became infinite or not a number.
        MemoryError: a step needs more memory than there is.
    """
    steps = len(training.images) // params.batch_size
    if steps == 0:
        raise ValueError(
            f"train.batch_size is {params.batch_size}, but there are only "
            f"{len(training.images)} training images: lower it"
        )
    if params.batch_size % group.size:
        raise ValueError(
            f"train.batch_size is {params.batch_size}; expected a multiple of {group.size}, the "
            "number of processes"
        )
    network = synchronize_batch_norm(place_model(network, group.device), group)
    kept = copy.deepcopy(network)  # holds the average, the best or the last weights
    trained = DeepSupervision(network).to(group.device) if recipe.deep_supervision else network
    replica = distribute(trained, group)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=params.lr, fused=True)
    scaler = make_scaler(group.device)

    history: list[Epoch] = []
    if state := broadcast(read_state(state_file) if group.rank == 0 else None, group):
        trained.load_state_dict(state["network"])
        kept.load_state_dict(state["kept"])
        optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # empty where the format needs no scaling
            scaler.load_state_dict(state["scaler"])
        history = [Epoch(*row) for row in state["history"]]
        on_step(steps * len(history))
        yield from ((epoch, kept.state_dict()) for epoch in history)

    plans = (
        plan_epoch(
            len(training.images), remedies.sampling, params.batch_size, params.seed, epoch,
            group.rank, group.size,
        )
        for epoch in range(len(history), recipe.epochs)
    )  # fmt: skip
    augment = Augmentation(recipe.augmentation, recipe.additions + remedies.augmentations)
    batches = load_batches(
        training, chain.from_iterable(plans), augment, group.device, copy_paste=recipe.copy_paste
    )
    objective = choose_objective(recipe, remedies)

    for epoch in range(len(history), recipe.epochs):
        losses = []
        network.train()
        for step in range(steps * epoch, steps * (epoch + 1)):
            learning_rate = cosine(params.lr, step, steps * recipe.epochs)
            for parameters in optimizer.param_groups:
                parameters["lr"] = learning_rate
            images, masks = next(batches)
            with _explained_memory(params, recipe):
                pixels = to_input(images, network, group.device)
                targets = _to_target(masks, group.device)
                if recipe.multi_scale:
                    pixels, targets = rescale(pixels, targets, params.seed, step)
                losses.append(take_step(replica, optimizer, scaler, pixels, targets, objective))
            if recipe.weights == "average":
                _average(kept, network, step)
            on_step(1)
        train_loss = (sum_over(group, torch.stack(losses).mean()) / group.size).item()
        if not math.isfinite(train_loss):
            raise FloatingPointError(
                f"the training loss became {train_loss} in epoch {epoch + 1}: lower train.lr "
                f"(now {params.lr:g}). The state of epoch {epoch} is kept"
            )
        judged = kept if recipe.weights == "average" else network
        validation_loss, dice = validate(judged, validation, group)
        best = max((record.validation_dice for record in history), default=-1.0)
        if recipe.weights == "last" or (recipe.weights == "best" and dice > best):
            kept.load_state_dict(network.state_dict())
        history.append(Epoch(epoch + 1, learning_rate, train_loss, validation_loss, dice))
        state = {
            "network": trained.state_dict(),
            "kept": kept.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
            "history": [tuple(record) for record in history],
        }
        if group.rank == 0:
            write_state(state_file, state)
        yield history[-1], kept.state_dict()


def take_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    pixels: Tensor,
    masks: Tensor,
    objective: Objective,
) -> Tensor:
    """One step on a batch, (B, C, S, S) and (B, 1, S, S). Returns its loss, without a graph."""
    with mixed_precision(pixels.device):
        outputs = network(pixels)
    scales = [outputs] if isinstance(outputs, Tensor) else outputs  # several: deep supervision
    loss = training_loss([logits.float() for logits in scales], masks, objective)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    return loss.detach()


def choose_objective(recipe: Recipe, remedies: Remedies) -> Objective:
    """The loss of a recipe. A remedy's weight of false negatives goes before the recipe's own."""
    weight = remedies.false_negative_weight or recipe.false_negative_weight
    return Objective(weight, recipe.boundary_loss, recipe.near_pixel_weight)


def rescale(pixels: Tensor, masks: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """(B, C, S, S) and (B, 1, S, S) at one of the `SCALES`, as seed and step say."""
    scale = float(np.random.default_rng([seed, step]).choice(SCALES))
    side = scale_side(pixels.shape[-1], scale)
    if side == pixels.shape[-1]:
        return pixels, masks
    resized = F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)
    return resized, F.interpolate(masks, size=(side, side), mode="nearest-exact")


def cosine(start: float, step: int, steps: int) -> float:
    """Learning rate at `step` of `steps`: from `start` down to a tenth of it, half a cosine."""
    final = start * FINAL_SHARE_OF_LR
    return final + (start - final) * (1 + math.cos(math.pi * step / steps)) / 2


def validate(network: EffiSegNet, arrays: Arrays, group: Group) -> tuple[float, float]:
    """Mean published loss and mean per-image Dice at threshold 0.5, at the input size.

    Each process of the group takes its share of the images.
    """
    sums = torch.zeros(2, device=group.device)
    network.eval()
    stride = VALIDATION_BATCH * group.size
    for start in range(VALIDATION_BATCH * group.rank, len(arrays.images), stride):
        rows = slice(start, start + VALIDATION_BATCH)
        pixels = to_input(_tensor(arrays.images[rows]), network, group.device)
        masks = _to_target(_tensor(arrays.masks[rows]), group.device)
        with torch.inference_mode(), mixed_precision(group.device):
            logits = network(pixels).float()
        loss = objective_loss(logits, masks, Objective()) * len(pixels)
        predicted = (logits.sigmoid() > THRESHOLD).float()
        areas = (predicted + masks).sum((1, 2, 3))
        dice = 2 * (predicted * masks).sum((1, 2, 3)) / areas.clamp(min=1) + (areas == 0)
        sums += torch.stack([loss, dice.sum()])
    loss, dice = (sum_over(group, sums) / len(arrays.images)).tolist()
    return loss, dice


@contextmanager
def _explained_memory(params: Train, recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        on_cpu = "can't allocate memory" in str(error)  # torch has no class for it
        if not (on_cpu or isinstance(error, torch.OutOfMemoryError)):
            raise
        raise MemoryError(
            f"a training step of {params.batch_size} images of {recipe.size} px needs more memory "
            "than there is: lower train.batch_size or the model's size. The last epoch's state is "
            "kept"
        ) from error


def _tensor(array: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _to_target(masks: Tensor, device: torch.device) -> Tensor:
    """(B, S, S) uint8 to (B, 1, S, S) float32."""
    return masks.to(device, non_blocking=True).unsqueeze(1).float()


@torch.no_grad()
def _average(average: EffiSegNet, network: EffiSegNet, step: int) -> None:
    """Exponential moving average; a young one forgets its random beginning faster."""
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    mine, theirs = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(list(mine), list(theirs), 1 - decay)
