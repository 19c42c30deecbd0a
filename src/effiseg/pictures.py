"""Pictures as people have them: many formats, depths and sizes, one or a folder of thousands.

Read with Pillow, whole or not at all, turned as the camera says (EXIF), as (H, W, 3) uint8 RGB.
Grey becomes three equal channels; what is transparent becomes black; of several frames or pages
the first is taken. Samples of more than 8 bits are scaled by the least depth of 8, 10, 12, 14 or 16
bits that holds them all, as 12-bit values often lie in 16-bit files.
"""

import glob
from collections import Counter
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}
VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".wmv"}
SMALLEST, LARGEST = 32, 8000  # pixels, of either side
DEPTHS = (8, 10, 12, 14, 16)  # bits


class Source(NamedTuple):
    """A file to predict, and what its outputs are called: a path without suffix, with `/`."""

    path: Path
    name: str


def list_sources(given: Iterable[str]) -> list[Source]:
    """Files as they are, folders with all pictures and videos below them, and globs; each once.

    Names are relative to the folder that was given. Where two are equal, each keeps its suffix
    (`a.jpg`, `a.png`); where they still are, a number is added.

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
        names = chain([wanted], (f"{wanted}-{number}" for number in count(2)))
        name = next(n for n in names if n.casefold() not in sources)
        sources[name.casefold()] = Source(path, name)
    return list(sources.values())


def is_video(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        ValueError: it can't be decoded whole, or a side is not 32 to 8000 pixels.
        OSError: it can't be opened.
    """
    with path.open("rb") as stream:
        try:
            with Image.open(stream) as picture:
                if not all(SMALLEST <= side <= LARGEST for side in picture.size):
                    raise ValueError(
                        f"{path} is {picture.width} x {picture.height} pixels; expected "
                        f"{SMALLEST} to {LARGEST} a side"
                    )
                return _to_rgb(ImageOps.exif_transpose(picture))
        except UnidentifiedImageError as error:
            raise ValueError(f"{path} is not an image that can be read") from error
        except Image.DecompressionBombError as error:
            raise ValueError(f"{path}: {error}; expected at most {LARGEST} a side") from error
        except (OSError, SyntaxError, EOFError) as error:  # what Pillow raises for broken files
            raise ValueError(f"{path} can't be decoded whole: {error}") from error


def _to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    picture.load()
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = _to_bytes(np.asarray(picture))
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def _to_bytes(samples: NDArray) -> NDArray[np.uint8]:
    """Samples of any depth to 0..255. Floating-point ones of 0..1 are taken as such."""
    samples = np.nan_to_num(samples.astype(np.float64))
    top = samples.max(initial=0.0)
    limit = next((2.0**bits - 1 for bits in DEPTHS if top <= 2.0**bits - 1), top)
    if top <= 1 and not (samples == np.round(samples)).all():
        limit = 1.0
    return np.clip(samples / limit * 255, 0, 255).round().astype(np.uint8)


def _find(text: str) -> list[tuple[Path, Path]]:
    path = Path(text)
    if path.is_dir():
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

