"""Images and masks as files: `images/NAME.jpg` and `masks/NAME.jpg` in one folder.

They are JPEG or PNG, whatever the suffix, and their size is read before memory is spent on them.
Masks of Kvasir-SEG are RGB JPEGs whose grey values lie in 0-8 and 246-255 only: any threshold in
between gives the same mask.
"""

import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MASK_THRESHOLD = 127  # of 0..255
LARGEST = 8000  # pixels, of either side
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}  # chunks of a PNG
_SEGMENT = re.compile(rb"\xff+([^\x00\xff])")  # of a JPEG: its start and its kind
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # kinds that hold the size
_BARE = {0x01, *range(0xD0, 0xD9)}  # kinds without a length


class Pair(NamedTuple):
    """An image, (H, W, 3) uint8 RGB, and the mask of its polyps, (H, W) bool."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises ValueError, naming the file, where it can't be decoded whole."""
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """(H, W) bool, true on polyps. Raises ValueError as `read_image` does."""
    return _decode(path, cv2.IMREAD_GRAYSCALE) > MASK_THRESHOLD


def read_pair(folder: Path, name: str) -> Pair:
    """Image and mask `name` of a data set. Raises ValueError where their sizes differ."""
    paths = folder / "images" / f"{name}.jpg", folder / "masks" / f"{name}.jpg"
    pair = Pair(read_image(paths[0]), read_mask(paths[1]))
    if pair.image.shape[:2] != pair.mask.shape:
        raise ValueError(
            f"{paths[1]} is {_size(pair.mask)}, but {paths[0]} is {_size(pair.image)} (width x "
            "height): a mask must have the size of its image"
        )
    return pair


def take_first_frame(content: bytes) -> bytes:
    """An animated PNG as a still one, other files as they are: what OpenCV may be given.

    Where an animation is damaged OpenCV 5.0 writes beyond its memory.

    Raises:
        ValueError: a PNG ends before its last chunk. OpenCV would make room for all the bytes that
            a chunk promises, up to 4 GiB.
    """
    if not content.startswith(_PNG_START):
        return content
    chunks, place, kind = [_PNG_START], len(_PNG_START), b""
    while place < len(content) and kind != b"IEND":
        kind = content[place + 4 : place + 8]
        end = place + 12 + _read_number(content, place, size=4)
        if kind not in _ANIMATION:
            chunks.append(content[place:end])
        place = end
    if place > len(content) or kind != b"IEND":
        raise ValueError(f"a truncated PNG ({len(content)} bytes)")
    return b"".join(chunks)


def list_names(folder: Path) -> list[str]:
    """Names of all pairs, sorted. Raises ValueError where an image or a mask stands alone."""
    images, masks = (
        {path.stem for path in (folder / part).glob("*.jpg")} for part in ("images", "masks")
    )
    if images != masks or not images:
        alone = sorted(images ^ masks)[:5]
        raise ValueError(
            f"{folder} has {len(images)} images and {len(masks)} masks; expected a mask for each "
            f"image and at least one. Without a partner: {', '.join(alone) or 'none'}"
        )
    return sorted(images)


def _decode(path: Path, mode: int) -> NDArray[np.uint8]:
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{path} is empty; expected an image: fetch or copy it again")
    is_cut_off = content.startswith(_JPEG_START) and not content.rstrip(b"\x00\r\n ").endswith(
        _JPEG_END
    )
    if is_cut_off:  # OpenCV would fill the rest with grey and say nothing
        raise ValueError(f"{path} is a truncated JPEG ({len(content)} bytes): fetch it again")
    try:
        content = take_first_frame(content)
    except ValueError as error:
        raise ValueError(f"{path} is {error}: fetch it again") from error
    width, height = _read_size(content)
    if max(width, height) > LARGEST:
        raise ValueError(f"{path} is {width} x {height} pixels; expected at most {LARGEST} a side")
    # The orientation mark is ignored, so that image and mask lie alike.
    flags = mode | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if width else None
    except cv2.error as error:
        raise ValueError(f"{path} can't be decoded whole: {error.err}") from error
    if pixels is None:
        raise ValueError(
            f"{path} ({len(content)} bytes) is not an image that can be read; expected JPEG or PNG"
        )
    return pixels


def _read_size(content: bytes) -> tuple[int, int]:
    """Width and height that the header of a JPEG or a PNG promises; zeros where there is none."""
    if content.startswith(_PNG_START):
        return _read_number(content, 16, size=4), _read_number(content, 20, size=4)
    place = 2 if content.startswith(_JPEG_START) else len(content)
    while segment := _SEGMENT.search(content, place):
        kind, place = segment[1][0], segment.end()
        if kind in _FRAMES:  # its length, the precision, height, width
            return _read_number(content, place + 5), _read_number(content, place + 3)
        if kind not in _BARE:
            place += _read_number(content, place)
    return 0, 0


def _read_number(content: bytes, start: int, size: int = 2) -> int:
    return int.from_bytes(content[start : start + size], "big")


def _size(array: NDArray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"
