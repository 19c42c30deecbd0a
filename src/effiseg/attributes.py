"""Attributes of an image and its polyps that may explain an error.

Images are shrunk to at most 512 pixels a side first, so that all are described at like scale.

    area_fraction       share of the image that is polyp, 0..1
    polyps              connected regions of the mask with at least 0.05 % of the image
    solidity            area of the largest region / area of its convex hull, 0..1
    compactness         4 pi area / perimeter^2 of the largest region: 1 for a disc, else less
    relief              standard deviation of the polyps' smoothed lightness, L*: a proxy of how
                        much they rise, as flat lesions show little shading
    contrast            distance in CIELAB (Delta E 1976) between the mean colour of the polyps and
                        that of a ring around them, as wide as 5 % of the image's side
    boundary_gradient   mean change of lightness across the outline, L* a pixel
    blur                minus log10 of the variance of the Laplacian of lightness: higher is blurred
    highlights          share of the polyps that is specular (lightness over 90, chroma below 20)
    highlights_outside  the same of the rest of the image
    brightness          mean lightness of the polyps, L* 0..100
    touches_border      1 where a polyp reaches the outer 1 % of the image, else 0
    inset               1 where the lower left corner has a navigation picture (a black or green
                        box), else 0
    inset_green         1 where that picture is green, else 0
    inset_touches       1 where a polyp comes within 1 % of the image's side to it, else 0
    megapixels          width x height of the image as it was stored, millions
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.measure import label, regionprops

from effiseg.images import read_pair

SIDE = 512  # pixels
SMALLEST_REGION = 0.0005  # of the image

ATTRIBUTES = (
    "area_fraction", "polyps", "solidity", "compactness", "relief", "contrast",
    "boundary_gradient", "blur", "highlights", "highlights_outside", "brightness",
    "touches_border", "inset", "inset_green", "inset_touches", "megapixels",
)  # fmt: skip
OF_POLYPS = (
    "solidity", "compactness", "relief", "contrast", "boundary_gradient", "highlights",
    "brightness", "touches_border",
)  # fmt: skip

Field = NDArray[np.float32]
Pixels = NDArray[np.bool_]


def describe_images(
    raw: Path, names: list[str], progress: Callable[[Iterable[str]], Iterable[str]] = iter
) -> pd.DataFrame:
    """One row an image: name and the attributes."""
    rows = [{"name": name} | describe_image(*read_pair(raw, name)) for name in progress(names)]
    return pd.DataFrame(rows)


def describe_image(image: NDArray[np.uint8], mask: Pixels) -> dict[str, float]:
    """The attributes of a (H, W, 3) uint8 RGB image whose polyps are `mask`, (H, W) bool.

    An image without polyp, or with specks alone, has NaN where an attribute describes polyps; one
    that a polyp fills where it describes what lies around: contrast, gradient, highlights outside.
    """
    megapixels = mask.size / 1e6
    image, mask = _shrink(image, mask)
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lightness = lab[..., 0]
    specular = (lightness > 90) & (np.hypot(lab[..., 1], lab[..., 2]) < 20)
    inset = find_inset(image)
    margin = max(1, round(0.01 * min(mask.shape)))
    near_inset = _dilate(inset.pixels, margin) if inset.colour else inset.pixels
    everywhere = {
        "area_fraction": float(mask.mean()),
        "blur": -float(np.log10(cv2.Laplacian(lightness, cv2.CV_32F).var() + 1e-6)),
        "highlights_outside": float(specular[~mask].mean()) if not mask.all() else float("nan"),
        "inset": float(inset.colour is not None),
        "inset_green": float(inset.colour == "green"),
        "inset_touches": float((near_inset & mask).any()),
        "megapixels": megapixels,
    }
    regions = [r for r in regionprops(label(mask)) if r.area >= SMALLEST_REGION * mask.size]
    everywhere["polyps"] = len(regions)
    if not regions:
        return everywhere | dict.fromkeys(OF_POLYPS, float("nan"))
    largest = max(regions, key=lambda region: region.area)
    smooth = cv2.GaussianBlur(lightness, (0, 0), 0.02 * min(mask.shape))
    return everywhere | {
        "solidity": float(largest.solidity),
        "compactness": float(4 * np.pi * largest.area / largest.perimeter_crofton**2),
        "relief": float(smooth[mask].std()),
        "contrast": _contrast(lab, mask),
        "boundary_gradient": _boundary_gradient(lightness, mask),
        "highlights": float(specular[mask].mean()),
        "brightness": float(lightness[mask].mean()),
        "touches_border": float(_touches_border(mask)),
    }


class Inset(NamedTuple):
    """A navigation picture: its colour, or None where there is none, and where it lies."""

    colour: Literal["black", "green"] | None
    pixels: Pixels  # (H, W)


def find_inset(image: NDArray[np.uint8]) -> Inset:
    """The navigation picture in the lower left corner of a (H, W, 3) uint8 RGB image.

    It is recognised where the slanted dark corner of the frame does not reach, and followed from
    there within the left and lower 45 % of the image.
    """
    height, width = image.shape[:2]
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    is_black = image.max(2) < 16
    is_green = (green > red + 25) & (green > blue) & (green > 50)
    probe = slice(int(0.8 * height), int(0.95 * height)), slice(int(0.06 * width), int(0.2 * width))
    nowhere = np.zeros((height, width), bool)
    if not is_green[probe].size:  # an image of a few pixels
        return Inset(None, nowhere)
    if is_green[probe].mean() > 0.3:
        colour, of_inset = "green", is_green | is_black
    elif is_black[probe].mean() > 0.97:
        colour, of_inset = "black", is_black
    else:
        return Inset(None, nowhere)
    corner = nowhere.copy()
    corner[int(0.55 * height) :, : int(0.45 * width)] = True
    regions = label(of_inset & corner)
    inside = np.bincount(regions[probe].ravel())
    inside[0] = 0  # background
    return Inset(colour, regions == inside.argmax())


def _shrink(image: NDArray[np.uint8], mask: Pixels) -> tuple[NDArray[np.uint8], Pixels]:
    scale = SIDE / max(mask.shape)
    if scale >= 1:
        return image, mask
    size = round(mask.shape[1] * scale), round(mask.shape[0] * scale)
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), small.astype(bool)


def _contrast(lab: Field, mask: Pixels) -> float:
    width = max(1, round(0.05 * min(mask.shape)))
    ring = _dilate(mask, width) & ~mask & (lab[..., 0] > 5)
    if not ring.any():
        return float("nan")
    return float(np.linalg.norm(lab[mask].mean(0) - lab[ring].mean(0)))


def _dilate(region: Pixels, radius: int) -> Pixels:
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(region.astype(np.uint8), element).astype(bool)


def _boundary_gradient(lightness: Field, mask: Pixels) -> float:
    smooth = cv2.GaussianBlur(lightness, (0, 0), 1.5)
    gradient = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    outline = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    if not outline.any():  # the polyp fills the image
        return float("nan")
    return float(gradient[outline.astype(bool)].mean() / 8)  # Sobel's weights add up to 8


def _touches_border(mask: Pixels) -> bool:
    margin = max(1, round(0.01 * min(mask.shape)))
    return bool(mask[margin:-margin, margin:-margin].sum() < mask.sum())
