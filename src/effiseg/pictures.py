"""Pictures as people have them: many formats, depths and sizes, one or a folder of thousands.

Read with Pillow, whole or not at all, turned as the camera says (EXIF), as (H, W, 3) uint8 RGB.
Grey becomes three equal channels; what is transparent becomes black; of several frames or pages
the first is taken. Samples of more than 8 bits are scaled by the least depth of 8, 10, 12, 14 or 16
bits that holds them all, as 12-bit values often lie in 16-bit files.
"""

import glob
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from effiseg.images import LARGEST, take_first_frame

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}
VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv"}
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")  # as Pillow calls them
ORIENTATION = 0x0112  # EXIF's tag
SMALLEST = 32  # pixels, of either side, as LARGEST
LARGEST_FILE = 1 << 30  # bytes: twice the largest picture of 16 bits and four channels
DEPTHS = (8, 10, 12, 14, 16)  # bits
LONGEST_NAME = 237  # bytes: systems take 255; outputs add a suffix and, while written, a number


class Source(NamedTuple):
    """A file to predict, and what its outputs are called: a path without suffix, with `/`."""

    path: Path
    name: str


def list_sources(given: Iterable[str]) -> list[Source]:
    """Files as they are, folders with all pictures and videos below them, and globs; each once.

    Names are relative to the folder that was given. Where two are equal, each keeps its suffix
    (`a.jpg`, `a.png`); where they still are, a number is added. Too long ones are cut.

    Raises:
        FileNotFoundError: one of `given` matches nothing.
    """
    found: dict[Path, Path] = {}
    for text in given:
        for path, relative in _find(text):
            found.setdefault(path.resolve(), relative)
    # Folded, as some file systems do not tell A from a.
    stems = Counter(relative.with_suffix("").as_posix().casefold() for relative in found.values())
    sources: dict[str, Source] = {}
    for path, relative in found.items():
        stem = relative.with_suffix("").as_posix()
        wanted = stem if stems[stem.casefold()] == 1 else relative.as_posix()
        endings = chain([""], (f"-{number}" for number in count(2)))
        names = (_cut(wanted, LONGEST_NAME - len(ending)) + ending for ending in endings)
        name = next(n for n in names if n.casefold() not in sources)
        sources[name.casefold()] = Source(path, name)
    return list(sources.values())


def is_video(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def count_pixels(path: Path) -> int:
    """What the file's header promises; 0 where there is none, of which `read_picture` tells why."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return picture.width * picture.height
    except Exception:  # as in read_picture, which reports it
        return 0


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        ValueError: it can't be decoded whole, a side is not 32 to 8000 pixels, or the file is
            larger than such a picture can be.
        OSError: it can't be opened.
    """
    if (length := path.stat().st_size) > LARGEST_FILE:
        raise ValueError(f"{path} has {length} bytes; expected at most {LARGEST_FILE}")
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            size = picture.size
            if all(SMALLEST <= side <= LARGEST for side in size):
                return _turn(_to_rgb(picture, content), picture.getexif().get(ORIENTATION, 1))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not an image that can be read") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: {error}; expected at most {LARGEST} a side") from error
    except Exception as error:  # Pillow has no common class for what broken files raise
        raise ValueError(f"{path} can't be decoded whole: {error}") from error
    raise ValueError(
        f"{path} is {size[0]} x {size[1]} pixels; expected {SMALLEST} to {LARGEST} a side"
    )


def _to_rgb(picture: Image.Image, content: bytes) -> NDArray[np.uint8]:
    is_deep = ";16" in str(picture.tile)  # asked before it is loaded
    picture.load()
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = _to_bytes(np.asarray(picture))
        return np.repeat(grey[..., None], 3, axis=2)
    if is_deep:
        return _decode_deep(content)
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def _decode_deep(content: bytes) -> NDArray[np.uint8]:
    """Colours of 16 bits, of which Pillow would keep the upper half."""
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(take_first_frame(content), np.uint8), flags)
    if pixels is None or pixels.ndim != 3:
        raise ValueError("colours of 16 bits that OpenCV does not know")
    rgb = _to_bytes(pixels[..., 2::-1])
    if pixels.shape[2] == 4:
        for row, opacity in zip(rgb, pixels[..., 3:], strict=True):
            row[:] = (row * (opacity / np.iinfo(pixels.dtype).max)).round()
    return rgb


def _to_bytes(samples: NDArray) -> NDArray[np.uint8]:
    """Samples of any depth to 0..255. Floating-point ones of 0..1 are taken as such.

    Row by row: large pictures would take gigabytes as float64.
    """

    def rows() -> Iterator[NDArray[np.float64]]:
        return (np.nan_to_num(row.astype(np.float64)) for row in samples)

    top = max(row.max(initial=0.0) for row in rows())
    limit = next((2.0**bits - 1 for bits in DEPTHS if top <= 2.0**bits - 1), top)
    if top <= 1 and not all((row == np.round(row)).all() for row in rows()):
        limit = 1.0
    scaled = np.empty(samples.shape, np.uint8)
    for target, row in zip(scaled, rows(), strict=True):
        target[:] = np.clip(row / limit * 255, 0, 255).round()
    return scaled


def _turn(image: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """(H, W, 3) as EXIF's orientation, 1 to 8, says it is to be seen; others are as good as 1.

    By hand, as Pillow's way also writes the mark anew, and fails where others are odd.
    """
    turns: dict[object, NDArray[np.uint8]] = {
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.swapaxes(0, 1),
        6: np.rot90(image, -1),
        7: image[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(image),
    }
    return np.ascontiguousarray(turns.get(orientation, image))


def _cut(name: str, longest: int) -> str:
    """The path with a last part of at most so many bytes."""
    folder, slash, last = name.rpartition("/")
    while len(last.encode(errors="surrogateescape")) > longest:
        last = last[:-1]
    return folder + slash + last


def _find(text: str) -> list[tuple[Path, Path]]:
    path = Path(text)
    if text and path.is_dir():
        known = SUFFIXES | VIDEO_SUFFIXES
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in known and p.is_file())
        pairs = [(file, file.relative_to(path)) for file in files]
    elif path.is_file():
        pairs = [(path, Path(path.name))]
    else:
        files = sorted(Path(match) for match in glob.glob(text, recursive=True))
        pairs = [(file, Path(file.name)) for file in files if file.is_file()]
    if not pairs:
        raise FileNotFoundError(
            f"{text}: no such file, and no folder or pattern with pictures or videos "
            f"({', '.join(sorted(SUFFIXES | VIDEO_SUFFIXES))})"
        )
    return pairs

