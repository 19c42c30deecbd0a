"""Arrays: all images and masks decoded once, at the network's input size, in files to map.

Written as data/arrays/images.npy, (N, S, S, 3) uint8 RGB, and masks.npy, (N, S, S) uint8 of 0 and
1, rows in the order of the split table. As published, the aspect ratio is not kept. Unlike there,
images shrink by averaging areas: the published loader took OpenCV's Lanczos filter, which does
not smooth, on copies of 352 px; on the originals it would alias.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from effiseg.files import open_whole
from effiseg.images import read_pair


class Arrays(NamedTuple):
    """Rows in the order of the split table."""

    images: NDArray[np.uint8]  # (N, S, S, 3) RGB
    masks: NDArray[np.uint8]  # (N, S, S), 0 or 1


def write_arrays(
    destination: Path,
    raw: Path,
    names: list[str],
    size: int,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> None:
    """Decode and resize every pair. Raises OSError, before any work, where the disk is too full."""
    needed = len(names) * size * size * 4
    destination.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(destination).free
    if free < needed:
        raise OSError(
            f"{destination} needs {needed / 2**20:.0f} MiB, the disk has {free / 2**20:.0f} MiB "
            "free: make room or lower the model's size"
        )
    shape = (len(names), size, size)
    with (
        open_whole(destination / "images.npy") as images,
        open_whole(destination / "masks.npy") as masks,
    ):
        _write_header(images, (*shape, 3))
        _write_header(masks, shape)
        for image, mask in read_resized(raw, progress(names), size):
            images.write(image.tobytes())
            masks.write(mask.tobytes())


def read_resized(
    raw: Path, names: Iterable[str], size: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Image, (size, size, 3), and mask, (size, size) of 0 and 1, of each name."""
    for name in names:
        image, mask = read_pair(raw, name)
        small = cv2.resize(
            mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST_EXACT
        )
        yield resize_image(image, size), small


def resize_image(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(H, W, 3) to (size, size, 3): by area where the image shrinks, else Lanczos."""
    shrinks = min(image.shape[:2]) >= size
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    return cv2.resize(image, (size, size), interpolation=interpolation)


def read_arrays(folder: Path) -> Arrays:
    """Memory-mapped, read only."""
    return Arrays(
        np.load(folder / "images.npy", mmap_mode="r"), np.load(folder / "masks.npy", mmap_mode="r")
    )


def select_rows(arrays: Arrays, chosen: NDArray[np.bool_]) -> Arrays:
    """The rows where `chosen` (N,) is true, in memory."""
    return Arrays(arrays.images[np.asarray(chosen)], arrays.masks[np.asarray(chosen)])


def _write_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    """Of a .npy file of uint8, whose rows follow. On a full disk, writing to a memory map would end
    the process without a word."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
