"""Augmentation: a pure function of image, mask and a seed, so that every epoch can be repeated.

Images are (H, W, 3) uint8 RGB, masks (H, W) uint8 of 0 and 1.

Source of "published": the text of Vezakis et al., 2024 (arXiv:2407.16298). Their code differs, and
is "published_code": with albumentations 1.3.1 its scalar arguments turned each chosen image by
exactly 90 degrees and moved it by exactly 12.5 %, and its elastic transform was mostly a strong
affine one. In the text ranges are ranges, and elastic (alpha 1, sigma 50) moves no pixel by more
than a fifth of its width, and most by a hundredth.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks a server at import
import albumentations as A

from effiseg.recipe import Policy

Pixels = NDArray[np.uint8]
CELL = 16  # pixels; a field that is smooth over 50 pixels needs no finer grid


class Augmentation:
    """The function (image, mask, seed) -> (image, mask). It can be sent to another process.

    Args:
        policy: of `POLICIES`.
        additions: names from `ADDITIONS`, added to the policy: remedies of the error analysis, say.

    Raises:
        ValueError: an addition is not known.
    """

    def __init__(self, policy: Policy, additions: Sequence[str] = ()) -> None:
        for name in additions:
            if name not in ADDITIONS:
                known = ", ".join(ADDITIONS)
                raise ValueError(f"augmentation {name!r} is unknown; known are {known}")
        steps = POLICIES[policy]() + [step for name in additions for step in ADDITIONS[name]()]
        self._compose = A.Compose(steps, seed=0)

    def __call__(self, image: Pixels, mask: Pixels, seed: int) -> tuple[Pixels, Pixels]:
        self._compose.set_random_seed(seed)
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]


STRONG_COLOUR = {"brightness": (0.6, 1.6), "contrast": (0.8, 1.2), "saturation": (0.9, 1.1)}
WEAK_COLOUR = {"brightness": (0.8, 1.4), "contrast": (0.85, 1.15), "saturation": (0.925, 1.075)}


def published_transforms(
    probability: float = 0.5,
    colour: dict[str, tuple[float, float]] = STRONG_COLOUR,
    is_elastic: bool = True,
) -> list[A.BasicTransform]:
    """The paper's text. `probability` is that of colour jitter and affine; the others have 0.5."""
    steps = [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.ColorJitter(**colour, hue=0.01, p=probability),
        A.Affine(
            scale=(0.5, 1.5),
            translate_percent=(-0.125, 0.125),
            rotate=(-90, 90),
            p=probability,
        ),
    ]
    return [*steps, FastElastic(alpha=1, sigma=50, p=0.5)] if is_elastic else steps


def published_code_transforms() -> list[A.BasicTransform]:
    """What the paper's code did."""
    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.ColorJitter(**STRONG_COLOUR, hue=0.01, p=0.5),
        A.Affine(
            scale=(0.5, 1.5), translate_percent=(0.125, 0.125), rotate=(90, 90), p=0.5
        ),
        CornerShift(p=0.5),
    ]


def wide_transforms() -> list[A.BasicTransform]:
    """Always-on geometry, as DUCK-Net and FCB-SwinV2 use it, and stronger colour changes."""
    return [
        A.D4(p=1.0),  # the eight flips and quarter turns of the square
        A.Affine(
            scale=(0.6, 1.5),
            translate_percent=(-0.125, 0.125),
            rotate=(-180, 180),
            shear=(-15, 15),
            border_mode=cv2.BORDER_CONSTANT,
            p=1.0,
        ),
        A.ColorJitter(
            brightness=(0.6, 1.6), contrast=(0.7, 1.3), saturation=(0.8, 1.2), hue=0.02, p=0.8
        ),
        A.GaussianBlur(sigma_limit=(0.2, 1.2), blur_limit=0, p=0.1),
    ]


POLICIES: dict[str, Callable[[], list[A.BasicTransform]]] = {
    "none": list,
    "published": published_transforms,
    "published_code": published_code_transforms,
    "likelier": partial(published_transforms, 0.8),
    "rigid": partial(published_transforms, is_elastic=False),
    "likelier_rigid": partial(published_transforms, 0.8, is_elastic=False),
    "likelier_rigid_weaker_colour": partial(published_transforms, 0.8, WEAK_COLOUR, False),
    "wide": wide_transforms,
}


def _smaller_polyps() -> list[A.BasicTransform]:
    return [A.Affine(scale=(0.4, 0.8), p=0.25)]


def _larger_polyps() -> list[A.BasicTransform]:
    return [A.Affine(scale=(1.2, 1.8), p=0.25)]


def _lower_contrast() -> list[A.BasicTransform]:
    return [A.RandomBrightnessContrast(brightness_limit=0.0, contrast_limit=(-0.5, 0.0), p=0.3)]


def _blur() -> list[A.BasicTransform]:
    return [
        A.OneOf(
            [A.GaussianBlur(sigma_limit=(0.5, 2.0), blur_limit=0), A.MotionBlur(blur_limit=(3, 9))],
            p=0.3,
        )
    ]


def _highlights() -> list[A.BasicTransform]:
    return [_OnImage(add_highlights, p=0.3)]


def _inset() -> list[A.BasicTransform]:
    return [_OnImage(add_inset, p=0.3)]


def _black_corner() -> list[A.BasicTransform]:
    return [BlackCorner(p=0.5)]


ADDITIONS: dict[str, Callable[[], list[A.BasicTransform]]] = {
    "smaller_polyps": _smaller_polyps,
    "larger_polyps": _larger_polyps,
    "lower_contrast": _lower_contrast,
    "blur": _blur,
    "highlights": _highlights,
    "inset": _inset,
    "black_corner": _black_corner,
}


class CornerShift(A.DualTransform):
    """The affine part of albumentations 1.3.1's elastic transform: three points of the image, each
    moved by up to `REACH`, in both directions; mirrored beyond the border.

    There it was 50 pixels, whatever the image's size: `REACH` is that of the published B4 (380 px).
    """

    REACH = 50 / 380  # of the side

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        height, width = params["shape"][:2]
        third = min(height, width) // 3
        centre = np.array([width // 2, height // 2], np.float32)
        points = centre + third * np.array([[1, 1], [1, -1], [-1, -1]], np.float32)
        reach = self.REACH * min(height, width)
        moved = points + self.random_generator.uniform(-reach, reach, (3, 2)).astype(np.float32)
        return {"matrix": cv2.getAffineTransform(points, moved)}

    def apply(self, img: Pixels, matrix: NDArray[np.float64], **_: object) -> Pixels:
        return _warp(img, matrix, cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: Pixels, matrix: NDArray[np.float64], **_: object) -> Pixels:
        return _warp(mask, matrix, cv2.INTER_NEAREST)


def _warp(pixels: Pixels, matrix: NDArray[np.float64], interpolation: int) -> Pixels:
    size = pixels.shape[1], pixels.shape[0]
    return cv2.warpAffine(
        pixels, matrix, size, flags=interpolation, borderMode=cv2.BORDER_REFLECT_101
    )


class BlackCorner(A.DualTransform):
    """A black rectangle on the upper left 30 % x 30 %, of the image and of its mask."""

    SHARE = 0.3

    def apply(self, img: Pixels, **_: object) -> Pixels:
        height, width = img.shape[:2]
        result = img.copy()
        result[: round(self.SHARE * height), : round(self.SHARE * width)] = 0
        return result

    def apply_to_mask(self, mask: Pixels, **_: object) -> Pixels:
        return self.apply(mask)


class FastElastic(A.ElasticTransform):
    """albumentations' elastic transform for large sigma: the same fields, to 0.01 pixels, faster.

    Its blur over 50 pixels took most of the published augmentation's time. Displacements are below
    half a pixel, so that a mask, whose pixels are the nearest ones, stays.
    """

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        height, width = params["shape"][:2]
        noise = self.random_generator.standard_normal((2 * height, width), np.float32)
        noise /= np.abs(noise).max()
        fields = self.alpha * blur_smoothly(noise, self.sigma)  # both at once, as albumentations
        dx, dy = fields[:height], fields[height:]
        columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        return {"map_x": dx + columns, "map_y": dy + rows[:, None]}

    def apply_to_mask(self, mask: Pixels, **_: object) -> Pixels:
        return mask


def blur_smoothly(field: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur of (H, W) by a sigma (pixels) far above `CELL`, computed every `CELL` pixels.

    Beyond its border the field goes on as it ends, as in albumentations.
    """
    (down, up), (across, back) = (_blur_matrices(side, sigma) for side in field.shape)
    return _product(_product(up, _product(_product(down, field), across.T)), back.T)


@cache
def _blur_matrices(side: int, sigma: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """From `side` pixels to the blurred values at nodes, and from these to pixels, linearly."""
    nodes = np.linspace(0, side - 1, max(2, round(side / CELL) + 1))
    reach = round(4 * sigma)
    pixels = np.arange(-reach, side + reach)
    weights = np.exp(-(((pixels - nodes[:, None]) / sigma) ** 2) / 2)
    down = np.zeros((len(nodes), side))
    np.add.at(down.T, pixels.clip(0, side - 1), weights.T / weights.sum(1))
    spacing = nodes[1] - nodes[0]
    up = (1 - np.abs(np.arange(side)[:, None] - nodes) / spacing).clip(min=0)
    return down.astype(np.float32), up.astype(np.float32)


def _product(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    # OpenCV's, as NumPy's would start threads that compete with the training's.
    return cv2.gemm(a, b, 1.0, None, 0.0)


class _OnImage(A.ImageOnlyTransform):
    """A function (image, generator) -> image as a step of albumentations; masks stay."""

    def __init__(
        self, change: Callable[[Pixels, np.random.Generator], Pixels], p: float
    ) -> None:
        super().__init__(p=p)
        self.change = change

    def apply(self, img: Pixels, **_: object) -> Pixels:
        return self.change(img, self.random_generator)


def add_highlights(image: Pixels, generator: np.random.Generator) -> Pixels:
    """Draw 3 to 12 white specular spots, small ellipses with a soft edge."""
    height, width = image.shape[:2]
    spots = np.zeros((height, width), np.float32)
    for _ in range(int(generator.integers(3, 13))):
        centre = (int(generator.integers(width)), int(generator.integers(height)))
        axes = tuple(int(generator.integers(1, max(2, width // 30))) for _ in range(2))
        angle = float(generator.uniform(0, 180))
        cv2.ellipse(spots, centre, axes, angle, 0, 360, 1.0, thickness=-1)
    spots = cv2.GaussianBlur(spots, (0, 0), sigmaX=1.0)[..., None]
    return (image * (1 - spots) + 255 * spots).astype(np.uint8)


def add_inset(image: Pixels, generator: np.random.Generator) -> Pixels:
    """Draw a box, black or green, into a corner: the place of the endoscope's navigation picture.

    The mask stays: annotators drew polyps up to the box, and a box that hides a polyp's edge is
    rare at this size (up to a third of the side).
    """
    height, width = image.shape[:2]
    result = image.copy()
    h, w = (int(generator.uniform(0.15, 0.33) * side) for side in (height, width))
    rows = slice(height - h, height) if generator.random() < 0.8 else slice(0, h)
    columns = slice(0, w) if generator.random() < 0.8 else slice(width - w, width)
    colour = (0, 0, 0) if generator.random() < 0.5 else (0, int(generator.integers(60, 200)), 40)
    result[rows, columns] = colour
    return result


def paste_polyp(
    image: Pixels, mask: Pixels, donor: Pixels, donor_mask: Pixels
) -> tuple[Pixels, Pixels]:
    """The image with the polyps of a donor of the same size, at their place, with a soft edge."""
    soft = cv2.GaussianBlur(donor_mask.astype(np.float32), (0, 0), max(1.0, len(mask) / 100))
    share = np.maximum(soft, donor_mask)[..., None]
    mixed = (image * (1 - share) + donor * share).round().astype(np.uint8)
    return mixed, mask | donor_mask
