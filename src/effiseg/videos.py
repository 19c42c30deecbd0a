"""Videos: frames in, an overlay video and a row a frame out.

Decoding, computing and encoding overlap in three threads; a few frames are in memory at a time.
The overlay is MPEG-4 (Part 2) in an .mp4, without sound, at the frame rate and size of the input;
of an odd side it lacks the last row or column, as the format asks.
"""

import secrets
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from effiseg.annotate import VALUES, Picture, count_waiting, predict_stream
from effiseg.answers import draw_answer
from effiseg.pictures import LARGEST, SMALLEST
from effiseg.predictors import Predictor

FRAMES_A_SECOND = 25.0  # where the file does not say
LEAST_SHARE = 0.9  # of the frames that a file announces; whole files are off by a few


class Video(NamedTuple):
    """What a file says of itself. `frames` is 0 where it does not know."""

    width: int
    height: int
    frames: int
    frames_a_second: float


def describe_video(path: Path) -> Video:
    """Raises ValueError where it is no video that can be read, or too small or large."""
    capture = _open(path)
    width, height, frames = (
        int(capture.get(key))
        for key in (
            cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_COUNT
        )
    )  # fmt: skip
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    if not all(SMALLEST <= side <= LARGEST for side in (width, height)):
        raise ValueError(
            f"{path} is {width} x {height} pixels; expected {SMALLEST} to {LARGEST} a side"
        )
    return Video(width, height, max(0, frames), rate if 0 < rate <= 1000 else FRAMES_A_SECOND)


def annotate_video(
    path: Path,
    predictor: Predictor,
    overlay: Path,
) -> Iterator[dict[str, Any]]:
    """Write the video `overlay`, whole or not at all, and yield the row of each frame.

    frame (from 0), seconds, and area_fraction, lesions, confidence, warnings of the answer.

    Raises:
        ValueError: `path` can't be read as a video, or ends before its last frame.
        OSError: `overlay` can't be written.
    """
    video = describe_video(path)
    overlay.parent.mkdir(parents=True, exist_ok=True)
    temporary = overlay.with_name(f"{overlay.stem}.{secrets.token_hex(4)}.part.mp4")
    codec, size = cv2.VideoWriter.fourcc(*"mp4v"), (video.width, video.height)
    writer = cv2.VideoWriter(str(temporary), codec, video.frames_a_second, size)
    if not writer.isOpened():
        raise OSError(f"{overlay} can't be written: is the folder writable, and the disk not full?")

    def write(picture: Picture, mask: Any) -> None:
        writer.write(cv2.cvtColor(draw_answer(picture, mask), cv2.COLOR_RGB2BGR))

    try:
        with ThreadPoolExecutor(1) as encoder:
            writing: deque[Future[None]] = deque()
            for predicted in predict_stream(read_frames(path), predictor):
                answer = predicted.answer
                assert predicted.picture is not None and answer is not None
                writing.append(encoder.submit(write, predicted.picture, answer.mask))
                while len(writing) > count_waiting(predicted.picture):
                    writing.popleft().result()
                seconds = predicted.key / video.frames_a_second
                row = {"frame": predicted.key, "seconds": seconds}
                row |= {key: getattr(answer, key) for key in VALUES}
                yield row | {"warnings": "; ".join(answer.warnings)}
            for task in writing:
                task.result()
        if predicted.key + 1 < LEAST_SHARE * video.frames:
            raise ValueError(f"{path} ends after {predicted.key + 1} of {video.frames} frames")
        writer.release()
        if not is_whole(temporary, predicted.key + 1):
            reason = "could not be written whole: make room, then run the same again"
            raise OSError(f"{overlay} {reason}")
        temporary.replace(overlay)
    finally:
        writer.release()
        temporary.unlink(missing_ok=True)


def is_whole(path: Path, frames: int) -> bool:
    """Whether the last of so many frames can be read. On a full disk OpenCV writes half a file and
    says nothing."""
    capture = cv2.VideoCapture(str(path))
    capture.set(cv2.CAP_PROP_POS_FRAMES, frames - 1)
    is_there, _ = capture.read()
    capture.release()
    return is_there


def read_frames(path: Path) -> Iterator[tuple[int, Picture]]:
    """Number, from 0, and picture of every frame, decoded one ahead."""
    capture = _open(path)

    def read() -> Picture | None:
        is_there, frame = capture.read()
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if is_there else None

    with ThreadPoolExecutor(1) as decoder:
        coming, number = decoder.submit(read), 0
        while (frame := coming.result()) is not None:
            coming = decoder.submit(read)
            yield number, frame
            number += 1
    capture.release()
    if number == 0:
        raise ValueError(f"{path} has no frame that can be decoded")


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(f"{path} is not a video that can be read")
    return capture
