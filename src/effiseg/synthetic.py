"""Synthetic colonoscopy frames with exact masks: data that needs no download and no licence.

A frame is a lit relief. Folds around the dark lumen, bumps and polyps are heights; vessels, patches
and the hue of polyps are colours; a lamp beside the camera gives shading and highlights. Corners
are cut off, and some frames have a navigation inset in the lower left corner, as in Kvasir-SEG.
Contrast, flatness, blur and size of the polyps vary, so that frames go from obvious to hard.

Shapes: H x W pixels. Fields are float32 (H, W), colours and images RGB, masks bool.
These frames try out the program. They are no model of the colon, and their scores say nothing
about patients.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from effiseg.files import write_table
from effiseg.params import require

AREA_FRACTIONS = (0.01, 0.40)  # of the image, all polyps of a frame together
SHARES = {"validation": 0.15, "test": 0.25}  # the rest is for training
Field = NDArray[np.float32]


class Frame(NamedTuple):
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    mask: NDArray[np.bool_]  # (H, W), true on polyps


def write_frames(destination: Path, number: int = 80, seed: int = 42) -> None:
    """Write images/, masks/ and split.csv, the layout of Kvasir-SEG with a split of its own.

    The frames are synthetic-0001.jpg and on; frame n depends on `seed` and n alone. Masks are grey
    JPEGs that are exact when cut at 127. All is built beside `destination`, then renamed, so that
    the folder is whole or not there.

    Raises:
        ValueError: fewer than 4 frames, too few for three parts.
        FileExistsError: `destination` already holds something.
    """
    require("number", number, number >= 4, "4 frames or more")
    if destination.is_dir() and any(destination.iterdir()):
        raise FileExistsError(f"{destination} is not empty; remove it, then draw the frames again")
    building = destination.with_name(destination.name + ".part")
    if building.is_symlink():  # nothing is written through it
        building.unlink()
    shutil.rmtree(building, ignore_errors=True)
    for folder in ("images", "masks"):
        (building / folder).mkdir(parents=True)
    names = [f"synthetic-{n:04d}" for n in range(1, number + 1)]
    for n, name in enumerate(names, start=1):
        image, mask = draw_frame(np.random.default_rng([seed, n]))
        grey = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2)
        _write_jpeg(building / "images" / f"{name}.jpg", image, quality=95)
        _write_jpeg(building / "masks" / f"{name}.jpg", grey, quality=100)
    write_table(building / "split.csv", _split(names, np.random.default_rng(seed)))
    if destination.is_dir():
        destination.rmdir()
    building.replace(destination)


def draw_frame(rng: np.random.Generator) -> Frame:
    """One frame, 300 to 420 pixels wide and less high, with one to three polyps."""
    width = int(rng.integers(300, 421))
    shape = (round(width * rng.uniform(0.78, 0.92)), width)
    scene, inset = _draw_scene(rng, shape)
    polyps, mask = _draw_polyps(rng, scene)

    relief, light = _draw_wall(rng, shape)
    colour = _draw_mucosa(rng, shape)
    contrast = rng.uniform(0.25, 1.0)
    for polyp in polyps:
        relief = relief + _dome(rng, polyp)
        colour = _tint_polyp(rng, colour, polyp, contrast)
    image = _add_light(rng, colour, relief, light)
    sigma = rng.choice([0.5, 0.8, 1.2, 2.0], p=[0.3, 0.4, 0.2, 0.1])
    image = cv2.GaussianBlur(image, (0, 0), sigma)
    image += rng.normal(0, 0.012, shape).astype(np.float32)[..., None]
    image = np.where(scene[..., None], image, inset)
    return Frame((image.clip(0, 1) * 255).round().astype(np.uint8), mask)


def _clouds(rng: np.random.Generator, shape: tuple[int, int], size: float) -> Field:
    """Smooth noise of mean about 0 and deviation about 1; `size` of its spots in pixels."""
    coarse = rng.normal(size=[max(2, round(s / size)) + 2 for s in shape]).astype(np.float32)
    field = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / field.std()


def _grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return y, x


def _draw_scene(
    rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], Field]:
    """Where the camera sees something, (H, W); and what is drawn elsewhere, (H, W, 3) in 0..1."""
    y, x = _grid(shape)
    height, width = shape
    beside = np.minimum(x, width - 1 - x) + np.minimum(y, height - 1 - y)
    scene = beside > rng.uniform(0.1, 0.32) * height
    around = np.full((*shape, 3), 0.015, np.float32)
    if rng.random() < 0.4:
        top, right = round(height * rng.uniform(0.62, 0.72)), round(width * rng.uniform(0.28, 0.36))
        scene[top:, :right] = False
        if rng.random() < 0.5:  # the green picture of where the endoscope is
            around[top:, :right] = (0.03, 0.28, 0.12)
            line = np.cumsum(rng.normal(0, right / 12, (14, 2)), axis=0)
            line += (right / 2, (top + height) / 2) - line.mean(axis=0)
            inside = around[top:, :right].copy()
            points = (line - (0, top)).round().astype(np.int32)
            cv2.polylines(inside, [points], False, (0.5, 0.9, 0.5), 3, cv2.LINE_AA)
            around[top:, :right] = inside
    return scene, around


def _draw_polyps(
    rng: np.random.Generator, scene: NDArray[np.bool_]
) -> tuple[list[Field], NDArray[np.bool_]]:
    """One to three blobs whose seen area is within AREA_FRACTIONS; and their mask."""
    y, x = np.nonzero(scene)
    while True:
        number = rng.choice([1, 2, 3], p=[0.8, 0.14, 0.06])
        area = scene.size * np.exp(rng.uniform(*np.log(AREA_FRACTIONS))) / number
        blobs = []
        for _ in range(number):
            at = rng.integers(len(y))
            radius = np.sqrt(area / np.pi) * rng.uniform(0.8, 1.2)
            blobs.append(_blob(rng, scene.shape, (y[at], x[at]), radius))
        mask = (np.max(blobs, axis=0) > 0) & scene
        if AREA_FRACTIONS[0] <= mask.mean() <= AREA_FRACTIONS[1]:
            return blobs, mask


def _blob(
    rng: np.random.Generator, shape: tuple[int, int], centre: tuple[int, int], radius: float
) -> Field:
    """A field that is `radius` in the blob's centre, 0 on its outline, negative outside."""
    y, x = _grid(shape)
    y, x = y - centre[0], x - centre[1]
    stretch, turn = rng.uniform(1.0, 1.5), rng.uniform(0, np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    angle, distance = np.arctan2(across, along), np.hypot(along / stretch, across * stretch**0.5)
    outline = np.ones_like(angle)
    for k in range(2, 7):
        outline += rng.normal(0, 0.18 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return (radius - distance / outline.clip(0.4)).astype(np.float32)


def _draw_wall(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Field, Field]:
    """Heights of the wall in pixels, with folds around the lumen; and the light on it."""
    y, x = _grid(shape)
    size = shape[1]
    lumen = rng.uniform(-0.3, 1.3, 2) * shape
    warp = 0.10 * size * _clouds(rng, shape, size / 3)
    distance = np.hypot(y - lumen[0], x - lumen[1]) + warp
    period = size * rng.uniform(0.2, 0.45)
    fold = np.abs(np.sin(np.pi * distance / period)) ** 0.6  # sharp valleys, round ridges
    relief = rng.uniform(0.02, 0.16) * period * fold * (0.6 + 0.4 * _clouds(rng, shape, size / 2))
    relief += 0.02 * size * _clouds(rng, shape, size / 5)
    far = np.exp(-((distance.clip(0) / (size * rng.uniform(0.25, 0.5))) ** 2))
    light = 1 - rng.uniform(0.5, 0.95) * far + 0.12 * _clouds(rng, shape, size / 2)
    centre = np.hypot(y / shape[0] - 0.5, x / shape[1] - 0.5)
    return relief, (light * (1.1 - 0.8 * centre**2)).astype(np.float32)


def _draw_mucosa(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """The wall's own colour, (H, W, 3): pink to orange, with vessels and yellow-brown patches."""
    pink, orange = np.array([0.76, 0.44, 0.42]), np.array([0.86, 0.46, 0.27])
    base = pink + (orange - pink) * rng.uniform(0, 1)
    hue = 0.06 * _clouds(rng, shape, shape[1] / 4)[..., None]
    colour = base * (1 + hue * np.array([0.3, 1.0, 1.2]))
    colour *= 1 + 0.03 * _clouds(rng, shape, 5)[..., None]
    vessels = sum(np.exp(-((_clouds(rng, shape, s) / w) ** 2)) for s, w in ((40, 0.06), (18, 0.09)))
    vessels *= rng.uniform(0, 0.5) * (_clouds(rng, shape, 90) > 0.2)
    vessels = cv2.GaussianBlur(vessels.astype(np.float32), (0, 0), 1.0)[..., None]
    colour *= 1 - vessels * np.array([0.25, 0.6, 0.5])
    patch = _edge(12 * (_clouds(rng, shape, shape[1] / 5) - rng.uniform(1.3, 4)), 3)
    return _mix(colour, np.array([0.72, 0.55, 0.22]), 0.8 * patch).astype(np.float32)


def _dome(rng: np.random.Generator, polyp: Field) -> Field:
    """Heights of a polyp in pixels: flat to half a ball, with a lumpy surface."""
    radius = polyp.max()
    ball = np.sqrt(1 - (1 - polyp / radius).clip(0, 1) ** 2)
    lumps = 1 + 0.08 * _clouds(rng, polyp.shape, max(6.0, radius / 2))
    return cv2.GaussianBlur(radius * rng.uniform(0.12, 0.6) * ball * lumps, (0, 0), 1.5)


def _tint_polyp(rng: np.random.Generator, colour: Field, polyp: Field, contrast: float) -> Field:
    """Redder or paler than the wall, lighter or darker, with a texture of its own."""
    redder, lighter = rng.choice([-1, 1]), rng.uniform(-0.15, 0.25)
    shift = contrast * np.array([0.0, -0.30, -0.22]) * redder * rng.uniform(0.5, 1.0)
    pits = 1 + contrast * 0.12 * _clouds(rng, polyp.shape, rng.uniform(4, 9))[..., None]
    tinted = colour * (1 + shift + contrast * lighter) * pits
    return _mix(colour, tinted, _edge(polyp, rng.uniform(0.8, 3.0))).astype(np.float32)


def _add_light(rng: np.random.Generator, colour: Field, relief: Field, light: Field) -> Field:
    """Shading by a lamp beside the camera, and highlights where the wet wall faces it."""
    lamp = np.array([*rng.uniform(-0.25, 0.25, 2), 1.0])
    shading = _facing(relief, lamp)
    rough = relief + 0.5 * _clouds(rng, relief.shape, 7) + 0.25 * _clouds(rng, relief.shape, 4)
    gloss = _facing(rough, lamp) ** 60 * light.clip(0, 1)
    wet = rng.uniform(0.9, 1.6) - 0.35 * _clouds(rng, relief.shape, 30)
    highlights = _edge(40 * (gloss - wet), 2)
    exposed = colour * (rng.uniform(0.95, 1.3) * light.clip(0.04) * shading**1.5)[..., None]
    return _mix(exposed, np.array([1.0, 0.98, 0.94]), highlights).astype(np.float32)


def _facing(relief: Field, lamp: NDArray[np.float64]) -> Field:
    """Cosine of the angle between the surface's normal and the lamp, 0..1."""
    down, right = np.gradient(relief)
    cosine = lamp[2] - down * lamp[0] - right * lamp[1]
    return (cosine / np.sqrt(1 + down**2 + right**2) / np.linalg.norm(lamp)).clip(0, 1)


def _edge(field: Field, softness: float) -> Field:
    """0 far below zero, 1 far above it, over about `softness` on each side."""
    return 1 / (1 + np.exp((-2 * field / softness).clip(-30, 30)))


def _mix(below: Field, above: NDArray[np.floating], weight: Field) -> Field:
    """(H, W, 3): `above` where `weight` (H, W) is 1, `below` where it is 0."""
    return below + (above - below) * weight[..., None]


def _split(names: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """A table of name and split, in random parts of the sizes in SHARES."""
    parts = [part for part, share in SHARES.items() for _ in range(round(share * len(names)))]
    parts += ["train"] * (len(names) - len(parts))
    return pd.DataFrame({"name": names, "split": rng.permutation(parts)})


def _write_jpeg(path: Path, image: NDArray[np.uint8], quality: int) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    path.write_bytes(encoded.tobytes())
