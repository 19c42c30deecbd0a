"""Training: a generator that yields one record an epoch and can go on where it was interrupted.

Everything random is drawn from (seed, epoch, position), so that an epoch is the same whether or
not the training was interrupted before it, and however images are loaded.

Source of the published recipe: Vezakis et al., 2024: AdamW, cosine from `lr` to a tenth of it,
the weights of the last epoch. Ours may also keep the average or the best weights.
"""

import copy
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effiseg.arrays import Arrays
from effiseg.augment import Augment, build_augmentation
from effiseg.checkpoints import read_state, write_state
from effiseg.losses import segmentation_loss
from effiseg.model import EffiSegNet
from effiseg.precision import mixed_precision, pick_device, place_model, to_input
from effiseg.recipe import Recipe, Train
from effiseg.remedies import Remedies

FINAL_SHARE_OF_LR = 0.1  # published: from 1e-4 to 1e-5
AVERAGE_DECAY = 0.998  # a step; the average reaches back about 500 steps
THRESHOLD = 0.5
BATCHES_AHEAD = 3


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
    on_step: Callable[[int], object] = lambda steps: None,
) -> Iterator[tuple[Epoch, dict[str, Tensor]]]:
    """Train, and yield after each epoch its record and the weights that would be kept now.

    Epochs that an earlier, interrupted call completed are yielded first, from `state_file`.

    Args:
        on_step: called with the number of optimiser steps done since its last call.

    Raises:
        ValueError: there are fewer training images than `batch_size`.
        FloatingPointError: the loss became infinite or not a number.
        MemoryError: a step needs more memory than there is.
    """
    steps = len(training.images) // params.batch_size  # a last, smaller batch is left out
    if steps == 0:
        raise ValueError(
            f"train.batch_size is {params.batch_size}, but there are only "
            f"{len(training.images)} training images: lower it"
        )
    device = pick_device()
    network = place_model(network, device)
    kept = copy.deepcopy(network)  # holds the average, the best or the last weights
    optimizer = torch.optim.AdamW(network.parameters(), lr=params.lr, fused=True)
    augment = build_augmentation(recipe.augmentation, remedies.augmentations)

    history: list[Epoch] = []
    if state := read_state(state_file):
        network.load_state_dict(state["network"])
        kept.load_state_dict(state["kept"])
        optimizer.load_state_dict(state["optimizer"])
        history = [Epoch(*row) for row in state["history"]]
        on_step(steps * len(history))
        yield from ((epoch, kept.state_dict()) for epoch in history)

    for epoch in range(len(history), params.epochs):
        losses = []
        order = draw_order(len(training.images), remedies.sampling, params.seed, epoch)
        rows = order[: steps * params.batch_size].reshape(steps, params.batch_size)
        for step, (images, masks) in enumerate(
            load_batches(training, rows, augment, params.seed, epoch), start=steps * epoch
        ):
            learning_rate = cosine(params.lr, step, steps * params.epochs)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            with _explained_memory(params):
                losses.append(_step(network, optimizer, images, masks, remedies, device))
            if recipe.weights == "average":
                _average(kept, network, step)
            on_step(1)
        train_loss = torch.stack(losses).mean().item()
        if not math.isfinite(train_loss):
            raise FloatingPointError(
                f"the training loss became {train_loss} in epoch {epoch + 1}: lower train.lr "
                f"(now {params.lr:g}). The state of epoch {epoch} is kept"
            )
        judged = kept if recipe.weights == "average" else network
        loss, dice = validate(judged, validation, device)
        best = max((record.validation_dice for record in history), default=-1.0)
        if recipe.weights == "last" or (recipe.weights == "best" and dice > best):
            kept.load_state_dict(network.state_dict())
        history.append(Epoch(epoch + 1, learning_rate, train_loss, loss, dice))
        state = {
            "network": network.state_dict(),
            "kept": kept.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": [tuple(record) for record in history],
        }
        write_state(state_file, state)
        yield history[-1], kept.state_dict()


def cosine(start: float, step: int, steps: int) -> float:
    """Learning rate at `step` of `steps`: from `start` down to a tenth of it, half a cosine."""
    final = start * FINAL_SHARE_OF_LR
    return final + (start - final) * (1 + math.cos(math.pi * step / steps)) / 2


def draw_order(
    images: int, weights: NDArray[np.float64] | None, seed: int, epoch: int
) -> NDArray[np.int64]:
    """The rows of an epoch, shuffled; with weights, each as often as its weight says.

    Systematic resampling: an image of weight w (mean 1) comes floor(w) or ceil(w) times.
    """
    generator = np.random.default_rng([seed, epoch])
    if weights is None:
        return generator.permutation(images)
    edges = np.cumsum(weights) / np.sum(weights)
    positions = (np.arange(images) + generator.random()) / images
    return generator.permutation(np.searchsorted(edges, positions).clip(max=images - 1))


def load_batches(
    arrays: Arrays, rows: NDArray[np.int64], augment: Augment, seed: int, epoch: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Augmented batches (B, S, S, 3) and (B, S, S), made ahead by a thread; rows is (steps, B)."""

    def load(step: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pairs = []
        for position, row in enumerate(rows[step], start=step * rows.shape[1]):
            key = np.random.SeedSequence([seed, epoch, position]).generate_state(1)[0]
            pairs.append(augment(arrays.images[row], arrays.masks[row], int(key)))
        images, masks = zip(*pairs, strict=True)
        return np.stack(images), np.stack(masks)

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield from _ahead(load, range(len(rows)), pool)


def _ahead(load: Callable, items: Iterable[int], pool: ThreadPoolExecutor) -> Iterator:
    waiting: deque[Future] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(load, item))
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def validate(network: EffiSegNet, arrays: Arrays, device: torch.device) -> tuple[float, float]:
    """Mean published loss and mean per-image Dice at threshold 0.5, at the input size."""
    losses, dices = [], []
    network.eval()
    for start in range(0, len(arrays.images), 8):
        pixels = to_input(arrays.images[start : start + 8], network, device)
        masks = _mask_tensor(arrays.masks[start : start + 8], device)
        with torch.inference_mode(), mixed_precision(device):
            logits = network(pixels).float()
        losses += [segmentation_loss(logits, masks, 0.5)] * len(pixels)
        predicted = (logits.sigmoid() > THRESHOLD).float()
        areas = (predicted + masks).sum((1, 2, 3))
        dices += list(2 * (predicted * masks).sum((1, 2, 3)) / areas.clamp(min=1) + (areas == 0))
    network.train()
    return torch.stack(losses).mean().item(), torch.stack(dices).mean().item()


def _step(
    network: EffiSegNet,
    optimizer: torch.optim.Optimizer,
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    remedies: Remedies,
    device: torch.device,
) -> Tensor:
    network.train()
    with mixed_precision(device):
        logits = network(to_input(images, network, device))
    loss = segmentation_loss(
        logits.float(), _mask_tensor(masks, device), remedies.false_negative_weight
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


@contextmanager
def _explained_memory(params: Train) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        on_cpu = "can't allocate memory" in str(error)  # torch has no class for it
        if not (on_cpu or isinstance(error, torch.OutOfMemoryError)):
            raise
        raise MemoryError(
            f"a training step of {params.batch_size} images of {params.size} px needs more memory "
            "than there is: lower train.batch_size or train.size. The last epoch's state is kept"
        ) from error


def _mask_tensor(masks: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(masks)).to(device).unsqueeze(1).float()


@torch.no_grad()
def _average(average: EffiSegNet, network: EffiSegNet, step: int) -> None:
    """Exponential moving average; a young one forgets its random beginning faster."""
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    mine, theirs = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(list(mine), list(theirs), 1 - decay)
