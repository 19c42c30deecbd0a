"""Images and masks as files: `images/NAME.jpg` and `masks/NAME.jpg` in one folder.

Masks of Kvasir-SEG are RGB JPEGs whose grey values lie in 0-8 and 246-255 only: any threshold in
between gives the same mask.
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MASK_THRESHOLD = 127  # of 0..255
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


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
    # The orientation mark is ignored, so that image and mask lie alike.
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError(f"{path} ({len(content)} bytes) is not an image that can be read")
    return pixels


def _size(array: NDArray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"
