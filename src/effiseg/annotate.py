"""Annotate: many pictures, from files to masks, overlays and a table.

Pictures are decoded and outputs written by threads while the network computes; no more than a few
are in memory at a time, however many there are. A large one is predicted and written alone.

Written into a folder
    masks/NAME.png      (H, W) uint8, 0 and 255, at the picture's size as it is shown (EXIF applied)
    overlays/NAME.jpg   the picture with the mask outlined
    predictions.csv     a row a picture: file, name, height, width, and the values of an answer
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from effiseg.answers import Answer, draw_answer, read_answer
from effiseg.files import write_bytes
from effiseg.pictures import Source, count_pixels, read_picture
from effiseg.predictors import Predictor

BATCH = 4
READERS, AHEAD = 2, 4  # threads; pictures that are decoded before they are needed
LARGE = 16_000_000  # pixels; 14 smaller pictures, as many as there may be, take 0.7 GB at most
JPEG_QUALITY = 90
COLUMNS = (
    "file", "name", "height", "width", "area_fraction", "lesions", "confidence", "warnings",
    "error",
)  # fmt: skip

MASKS, OVERLAYS = "masks", "overlays"
VALUES = ("area_fraction", "lesions", "confidence")

Picture = NDArray[np.uint8]  # (H, W, 3) RGB


class Predicted(NamedTuple):
    """A picture and what became of it: an answer, or the reason why there is none."""

    key: Any  # what it came with
    picture: Picture | None
    answer: Answer | None
    error: str


def annotate_pictures(
    sources: list[Source],
    predictor: Predictor,
    out: Path,
    with_overlays: bool = True,
) -> Iterator[dict[str, Any]]:
    """Write mask and overlay of each picture into `out` and yield its row of the table.

    A picture that can't be read has a row with the reason in `error`, and no outputs.

    Raises:
        OSError: an output can't be written.
    """
    with ThreadPoolExecutor(READERS) as writers:
        writing: deque[Future[None]] = deque()
        for predicted in predict_stream(read_ahead(sources), predictor):
            if predicted.answer is not None:
                writing.append(writers.submit(write_answer, out, predicted, with_overlays))
            while len(writing) > count_waiting(predicted.picture):
                writing.popleft().result()
            yield describe(predicted)
        for task in writing:
            task.result()


def predict_stream(
    stream: Iterable[tuple[Any, Picture | str]], predictor: Predictor
) -> Iterator[Predicted]:
    """Pictures, each with a key, in their order; a text in a picture's place is an error."""
    waiting: list[tuple[Any, Picture | str]] = []
    for pair in stream:
        waiting.append(pair)
        number = sum(isinstance(picture, np.ndarray) for _, picture in waiting)
        if number == BATCH or is_large(pair[1]):
            yield from _predict(waiting, predictor)
            waiting = []
    yield from _predict(waiting, predictor)


def read_ahead(sources: Iterable[Source]) -> Iterator[tuple[Source, Picture | str]]:
    """Every source with its picture, or with the reason why it can't be read.

    A large one is read when all before it have been taken, and none is read beside it.
    """
    with ThreadPoolExecutor(READERS) as readers:
        reading: deque[tuple[Source, Future[Picture | str]]] = deque()
        for source in sources:
            alone = count_pixels(source.path) > LARGE
            if not alone:
                reading.append((source, readers.submit(_read, source.path)))
            while len(reading) > (0 if alone else AHEAD):
                earlier, picture = reading.popleft()
                yield earlier, picture.result()
            if alone:
                yield source, _read(source.path)
        for source, picture in reading:
            yield source, picture.result()


def count_waiting(picture: Picture | None) -> int:
    """How many outputs may wait to be written, this picture's own among them."""
    return 0 if is_large(picture) else AHEAD


def is_large(picture: Picture | str | None) -> bool:
    """Whether it is a picture that shares the memory with no others."""
    return isinstance(picture, np.ndarray) and picture.size > 3 * LARGE


def _read(path: Path) -> Picture | str:
    try:
        return read_picture(path)
    except (ValueError, OSError) as error:
        return str(error)


def _predict(
    batch: list[tuple[Any, Picture | str]], predictor: Predictor
) -> Iterator[Predicted]:
    pictures = [picture for _, picture in batch if isinstance(picture, np.ndarray)]
    probabilities = iter(predictor.predict(pictures) if pictures else ())
    config = predictor.config
    for key, picture in batch:
        if isinstance(picture, str):
            yield Predicted(key, None, None, picture)
        else:
            height, width = picture.shape[:2]
            answer = read_answer(
                next(probabilities), height, width, config.threshold, config.limits
            )
            yield Predicted(key, picture, answer, "")


def write_answer(out: Path, predicted: Predicted, with_overlay: bool) -> None:
    """masks/NAME.png, and overlays/NAME.jpg where it is wanted.

    Raises:
        OSError: one of them can't be written.
    """
    picture, answer, name = predicted.picture, predicted.answer, predicted.key.name
    assert picture is not None and answer is not None
    mask = cv2.imencode(".png", answer.mask.astype(np.uint8) * 255)[1]
    write_bytes(out / MASKS / f"{name}.png", mask.data)
    if not with_overlay:
        return
    overlay = cv2.cvtColor(draw_answer(picture, answer.mask), cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", overlay, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    write_bytes(out / OVERLAYS / f"{name}.jpg", jpeg.data)


def describe(predicted: Predicted) -> dict[str, Any]:
    """The row of a picture; what is not known is empty."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"file": printable(predicted.key.path), "name": printable(predicted.key.name)}
    row |= {"error": predicted.error}
    if predicted.answer is not None:
        row |= {key: getattr(predicted.answer, key) for key in VALUES}
        row |= {"height": predicted.answer.mask.shape[0], "width": predicted.answer.mask.shape[1]}
        row |= {"warnings": "; ".join(predicted.answer.warnings)}
    return row


def printable(name: str | Path) -> str:
    """A file's name as text; bytes of it that are not UTF-8 are written as \\xNN."""
    return os.fsencode(name).decode(errors="backslashreplace")
