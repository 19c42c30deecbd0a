"""Scoring: a model's predictions for a part of the split, image by image, at original size."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from effiseg.arrays import Arrays
from effiseg.files import write_bytes
from effiseg.images import read_mask, read_pair
from effiseg.metrics import count_pixels, dice, iou, score_image
from effiseg.params import require
from effiseg.predict import predict_probabilities, resize_probability
from effiseg.weights import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Section `evaluate`."""

    threshold: float  # of the probability of polyp

    def __post_init__(self) -> None:
        require("threshold", self.threshold, 0 < self.threshold < 1, "between 0 and 1")


class Scored(NamedTuple):
    """An image at its original size, H x W, and what a model makes of it."""

    name: str
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    mask: NDArray[np.bool_]  # (H, W)
    probability: NDArray[np.float32]  # (H, W)
    scores: dict[str, float]  # of effiseg.metrics.score_image, and dice_input, iou_input


def score_images(
    model: TrainedModel,
    arrays: Arrays,
    names: list[str],
    raw: Path,
    threshold: float,
    with_flips: bool,
    with_scales: bool,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Iterator[Scored]:
    """Predict the rows of `arrays`, which are the images `names`, and yield them scored.

    Raises:
        ValueError: the arrays have another size than the model was trained at.
    """
    size = arrays.images.shape[1]
    if size != model.size:
        raise ValueError(
            f"data/arrays holds images of {size} px, the model was trained at {model.size} px: "
            "run `dvc repro`, so that both follow the size in params.yaml"
        )
    probabilities = predict_probabilities(
        model.network, arrays.images, with_flips, with_scales, progress
    )
    yield from score_probabilities(probabilities, arrays.masks, names, raw, threshold)


def score_probabilities(
    probabilities: NDArray[np.float32],
    masks: NDArray[np.uint8],
    names: list[str],
    raw: Path,
    threshold: float,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Iterator[Scored]:
    """Score predictions of the images `names`, (N, S, S), with `masks`, (N, S, S), of 0 and 1.

    dice_input and iou_input follow the paper's protocol: at the network's input size.
    """
    for name, small, small_mask in zip(progress(names), probabilities, masks, strict=True):
        image, mask = read_pair(raw, name)
        probability = resize_probability(small, *mask.shape)
        at_input = count_pixels(small > threshold, small_mask.astype(bool))
        scores = score_image(probability, mask, threshold)
        scores |= {"dice_input": dice(at_input), "iou_input": iou(at_input)}
        yield Scored(name, image, mask, probability, scores)


def write_prediction(folder: Path, name: str, prediction: NDArray[np.bool_]) -> None:
    """FOLDER/NAME.png, grey, 0 and 255, at original size."""
    content = cv2.imencode(".png", prediction.astype(np.uint8) * 255)[1].tobytes()
    write_bytes(folder / f"{name}.png", content)


def read_prediction(folder: Path, name: str) -> NDArray[np.bool_]:
    """What `write_prediction` wrote: (H, W) bool."""
    return read_mask(folder / f"{name}.png")


def find_twins(split: pd.DataFrame) -> pd.Series:
    """Bool, by row: the image has a near duplicate among the training images."""
    in_training = split[(split["split"] == "train") & (split["group"] >= 0)]["group"]
    return (split["group"] >= 0) & split["group"].isin(set(in_training))
