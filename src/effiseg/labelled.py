"""Labelled folders: pictures with masks, such as another hospital's, scored as in the pipeline.

A picture and its mask have the same path below their folders but for the suffix. In a mask, polyp
is what is brighter than the middle of its range: 0 and 255, 0 and 1, or a JPEG of these.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from effiseg.answers import read_answer
from effiseg.attributes import describe_image
from effiseg.error_kinds import describe_error
from effiseg.images import MASK_THRESHOLD
from effiseg.metrics import count_pixels, dice, iou, score_image, summarize
from effiseg.pictures import list_sources, read_picture
from effiseg.predict import resize_probability
from effiseg.predictors import Predictor

GREY = (32, 223)  # values that a mask hardly has
MOST_GREY = 0.02  # share of its pixels that may have them

Pixels = NDArray[np.bool_]


class Labelled(NamedTuple):
    """A picture and its mask as files, and what they are called."""

    name: str
    picture: Path
    mask: Path


def list_pairs(images: Path, masks: Path) -> list[Labelled]:
    """Pairs below two folders, sorted by name.

    Raises:
        ValueError: a picture has no mask, or a mask no picture.
        FileNotFoundError: a folder is missing or holds no pictures.
    """
    found = [
        {source.name: source.path for source in list_sources([str(folder)])}
        for folder in (images, masks)
    ]
    alone = sorted(found[0].keys() ^ found[1].keys())
    if alone:
        raise ValueError(
            f"{images} has {len(found[0])} pictures and {masks} {len(found[1])} masks, of which "
            f"{len(alone)} have no partner ({', '.join(alone[:3])}): a mask has the name of its "
            "picture, with any suffix"
        )
    return [Labelled(name, found[0][name], found[1][name]) for name in sorted(found[0])]


def read_label(path: Path, height: int, width: int) -> Pixels:
    """(H, W) bool, true on polyps.

    Raises:
        ValueError: it is no picture, has another size, or is no mask of two values.
    """
    values = read_picture(path).max(axis=2)
    if values.shape != (height, width):
        raise ValueError(
            f"{path} is {values.shape[1]} x {values.shape[0]}, its picture {width} x {height} "
            "(width x height): a mask must have the size of its picture"
        )
    if values.max() <= 1:
        return values > 0
    if values.max() <= MASK_THRESHOLD:
        raise ValueError(
            f"the brightest value of {path} is {values.max()}; expected a mask of 0 and 255, or of "
            "0 and 1"
        )
    between = float(np.mean((values >= GREY[0]) & (values <= GREY[1])))
    if between > MOST_GREY:
        raise ValueError(
            f"{path} has values from {GREY[0]} to {GREY[1]} in {100 * between:.0f} % of its "
            "pixels; expected a mask of black and white"
        )
    return values > MASK_THRESHOLD


class Judged(NamedTuple):
    """A labelled picture with its answer, at its own size."""

    name: str
    picture: NDArray[np.uint8]
    mask: Pixels
    prediction: Pixels
    row: dict[str, Any]  # of the table: scores, attributes, kind of error, confidence, warnings


def judge_pairs(
    pairs: Iterable[Labelled],
    predictor: Predictor,
    progress: Callable[[Iterable[Labelled]], Iterable[Labelled]] = iter,
) -> Iterator[Judged | tuple[str, str]]:
    """Every pair judged; where it can't be read, its name and the reason."""
    for pair in progress(pairs):
        try:
            picture = read_picture(pair.picture)
            mask = read_label(pair.mask, *picture.shape[:2])
        except (ValueError, OSError) as error:
            yield pair.name, str(error)
            continue
        yield judge(pair.name, picture, mask, predictor)


def judge(
    name: str, picture: NDArray[np.uint8], mask: Pixels, predictor: Predictor
) -> Judged:
    """One labelled picture, as the stages evaluate and error_analysis judge theirs."""
    config = predictor.config
    small = predictor.predict([picture])[0]
    answer = read_answer(small, *mask.shape, config.threshold, config.limits)
    row: dict[str, Any] = {"name": name} | describe_error(answer.mask, mask)
    row |= score_image(resize_probability(small, *mask.shape), mask, config.threshold)
    nearest = cv2.INTER_NEAREST_EXACT  # as effiseg.arrays shrinks masks
    small_mask = cv2.resize(mask.astype(np.uint8), small.shape, interpolation=nearest)
    at_input = count_pixels(small > config.threshold, small_mask.astype(bool))
    row |= {"dice_input": dice(at_input), "iou_input": iou(at_input)}
    row |= {"confidence": answer.confidence, "warnings": "; ".join(answer.warnings)}
    return Judged(name, picture, mask, answer.mask, row | describe_image(picture, mask))


def summarize_pairs(images: pd.DataFrame) -> dict[str, Any]:
    """Means and pooled scores of the table, as `effiseg.metrics.summarize` defines them."""
    scores = summarize(images.assign(near_duplicate=False))
    return {key: value for key, value in scores.items() if "near_duplicates" not in key}
