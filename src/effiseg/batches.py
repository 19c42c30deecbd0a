"""Batches: a plan of which image comes when and how it is augmented, and a loader that follows it.

What is random is in the plan alone: batches don't depend on who loads them, nor on what was loaded
before. Shapes: B images of S x S pixels.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from effiseg.arrays import Arrays
from effiseg.augment import Augmentation, paste_polyp

MOST_WORKERS = 8
LARGEST_PASTED = 0.2  # share of a donor's image that is polyp


class Draw(NamedTuple):
    """One image of a batch."""

    row: int  # of the arrays
    key: int  # seed of its augmentation


Batch = list[Draw]


def plan_epoch(
    images: int,
    weights: NDArray[np.float64] | None,
    batch_size: int,
    seed: int,
    epoch: int,
    rank: int = 0,
    processes: int = 1,
) -> list[Batch]:
    """The batches of an epoch: for each, the share of process `rank`, `batch_size / processes`.

    A last, smaller batch is left out. An image's augmentation follows from the seed, the epoch and
    its position in the epoch alone.
    """
    order, share = draw_order(images, weights, seed, epoch), batch_size // processes

    def draw(position: int) -> Draw:
        key = np.random.SeedSequence([seed, epoch, position]).generate_state(1)[0]
        return Draw(int(order[position]), int(key))

    starts = range(rank * share, images // batch_size * batch_size, batch_size)
    return [[draw(position) for position in range(start, start + share)] for start in starts]


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


class AugmentedBatches(Dataset[tuple[Tensor, Tensor]]):
    """A batch to its images (B, S, S, 3) and masks (B, S, S), both uint8.

    Args:
        copy_paste: share of the images that receive the polyps of another one, augmented too.
    """

    def __init__(self, arrays: Arrays, augment: Augmentation, copy_paste: float = 0.0) -> None:
        self.arrays, self.augment, self.copy_paste = arrays, augment, copy_paste
        areas = arrays.masks.mean((1, 2))
        self.donors = np.flatnonzero((areas > 0) & (areas <= LARGEST_PASTED))

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        pairs = [self._augment_pair(draw) for draw in batch]
        images, masks = (torch.from_numpy(np.stack(parts)) for parts in zip(*pairs, strict=True))
        return images, masks

    def _augment_pair(self, draw: Draw) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        pair = self._augment_row(*draw)
        generator = np.random.default_rng([draw.key, 1])
        if len(self.donors) == 0 or generator.random() >= self.copy_paste:
            return pair
        donor = self._augment_row(int(generator.choice(self.donors)), draw.key ^ 1)
        return paste_polyp(*pair, *donor)

    def _augment_row(self, row: int, key: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return self.augment(self.arrays.images[row], self.arrays.masks[row], key)


def load_batches(
    arrays: Arrays,
    plan: Iterable[Batch],
    augment: Augmentation,
    device: torch.device,
    workers: int | None = None,
    copy_paste: float = 0.0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of `plan`, in its order, on the CPU; in page-locked memory for a CUDA device.

    Args:
        copy_paste: share of the images that receive another one's polyps.
        workers: processes that load ahead. By default none where the CPU trains, which would only
            take its cores; beside an accelerator up to eight, as the machine has cores.
    """
    if workers is None:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # that torchrun started here
        workers = min(MOST_WORKERS, max(1, (os.cpu_count() or 1) // processes))
        workers = 0 if device.type == "cpu" else workers
    loader = DataLoader(
        AugmentedBatches(arrays, augment, copy_paste),
        batch_size=None,  # the plan holds whole batches
        sampler=plan,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # it would draw a seed from the global one
        worker_init_fn=_use_one_thread,
    )
    return iter(loader)


def _use_one_thread(_: int) -> None:
    cv2.setNumThreads(0)
