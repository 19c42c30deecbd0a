"""Figures: overlays of errors, galleries, and strata with intervals, as PNG files.

Colours are of Okabe and Ito's set, told apart by colour-blind people, and differ in lightness too:
true positives bluish green, false positives yellow, false negatives blue. The same call writes the
same bytes: no dates, no versions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from effiseg.files import open_whole

SIDE = 300  # pixels, longest side of a picture in a gallery
JPEG_QUALITY = 60
DPI = 100
GREEN, YELLOW, BLUE = (0, 158, 115), (240, 228, 66), (0, 90, 200)
ORANGE = (230, 159, 0)
LEGEND = {"true positive": GREEN, "false positive": YELLOW, "false negative": BLUE}
STRENGTH = {GREEN: 0.4, YELLOW: 0.65, BLUE: 0.65}  # of the tint: errors stand out

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Pixels = NDArray[np.bool_]  # (H, W)


class Cell(NamedTuple):
    """An image with one or two predictions, each with its title."""

    title: str
    image: Image
    mask: Pixels
    predictions: dict[str, Pixels]


def overlay_errors(image: Image, prediction: Pixels, mask: Pixels) -> Image:
    """The image tinted by what the prediction does, with the mask's outline in white."""
    result = image.astype(np.float32)
    kinds = {GREEN: prediction & mask, YELLOW: prediction & ~mask, BLUE: mask & ~prediction}
    for colour, pixels in kinds.items():
        strength = STRENGTH[colour]
        result[pixels] = (1 - strength) * result[pixels] + strength * np.array(colour)
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    return cv2.drawContours(result.astype(np.uint8), outlines, -1, (255, 255, 255), 1)


def shrink_cell(cell: Cell) -> Cell:
    """The cell at gallery size, so that hundreds fit into memory."""
    scale = min(1.0, SIDE / max(cell.mask.shape))
    size = round(cell.mask.shape[1] * scale), round(cell.mask.shape[0] * scale)

    def shrink(pixels: Pixels) -> Pixels:
        small = cv2.resize(pixels.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
        return small.astype(bool)

    image = cv2.resize(cell.image, size, interpolation=cv2.INTER_AREA)
    predictions = {name: shrink(pixels) for name, pixels in cell.predictions.items()}
    return Cell(cell.title, image, shrink(cell.mask), predictions)


def draw_gallery(path: Path, cells: Sequence[Cell], title: str, columns: int) -> None:
    """Cells in a grid, `columns` a row: the image, then an overlay for each prediction."""
    each = 1 + max((len(cell.predictions) for cell in cells), default=1)
    rows = max(1, -(-len(cells) // columns))
    figure = Figure(figsize=(2.3 * each * columns, 2.3 * rows + 1.0), dpi=DPI)
    axes = figure.subplots(rows, columns * each, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
        ax.set_anchor("N")
    for number, cell in enumerate(map(shrink_cell, cells)):
        row, column = divmod(number, columns)
        places = axes[row, column * each : (column + 1) * each]
        places[0].imshow(cell.image)
        places[0].set_title(cell.title, fontsize=7, loc="left")
        for ax, (name, prediction) in zip(places[1:], cell.predictions.items(), strict=False):
            ax.imshow(overlay_errors(cell.image, prediction, cell.mask))
            ax.set_title(name, fontsize=7, loc="left")
    marks = [Patch(color=np.array(c) / 255, label=name) for name, c in LEGEND.items()]
    rim = [Stroke(linewidth=4, foreground="dimgrey"), Normal()]  # the page is white too
    outline = {"color": "white", "linewidth": 2, "path_effects": rim}
    marks.append(Line2D([], [], label="outline of the annotation", **outline))
    heading = figure.suptitle(title, fontsize=11, y=1 - 0.15 / figure.get_figheight(), va="top")
    heading.set_in_layout(False)  # the layout below leaves room for it
    top = 1 - 0.4 / figure.get_figheight()
    figure.legend(handles=marks, loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.3 / figure.get_figheight(), 1, top))
    _save(figure, path)


def encode_thumbnail(cell: Cell) -> bytes:
    """A JPEG of at most `SIDE` pixels: the image with the errors of its first prediction."""
    small = shrink_cell(cell)
    overlay = overlay_errors(small.image, next(iter(small.predictions.values())), small.mask)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def draw_kinds(path: Path, kinds: pd.DataFrame, title: str) -> None:
    """Bars by kind of error: its share of the images, of false negatives and of false positives.

    Columns read: kind, images, share_of_images, share_of_fn_pixels, share_of_fp_pixels.
    """
    figure = Figure(figsize=(8, 0.6 * len(kinds) + 1.4), dpi=DPI)
    ax = figure.subplots()
    bars = {
        "share_of_images": ("of the images", (90, 90, 90)),
        "share_of_fn_pixels": ("of the missed polyp pixels", BLUE),
        "share_of_fp_pixels": ("of the pixels marked in error", YELLOW),
    }
    for number, (column, (name, colour)) in enumerate(bars.items()):
        y = np.arange(len(kinds)) + 0.27 * (number - 1)
        edge = {"edgecolor": "black", "linewidth": 0.4}
        ax.barh(y, 100 * kinds[column], 0.25, color=np.array(colour) / 255, label=name, **edge)
    names = [f"{row.kind} (n = {row.images})" for row in kinds.itertuples()]
    ax.set_yticks(range(len(kinds)), names)
    ax.invert_yaxis()
    ax.set_xlabel("share, %")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    ax.set_title(title, fontsize=11, loc="left")
    figure.tight_layout()
    _save(figure, path)


def draw_strata(path: Path, strata: pd.DataFrame, title: str) -> None:
    """Difference of Dice to the other images, with its interval, a line a stratum.

    Columns read: stratum, images, difference, low, high; the first row is drawn on top.
    """
    figure, ax = _strata_axes(strata)
    _draw_intervals(ax, strata["difference"], strata["low"], strata["high"])
    ax.set_xlabel("mean Dice in the stratum - mean Dice of all other images (95 % interval)")
    ax.set_title(title, fontsize=11, loc="left")
    figure.tight_layout()
    _save(figure, path)


def draw_gains(path: Path, strata: pd.DataFrame, title: str) -> None:
    """Gain in Dice from baseline to improved, with its interval, a line a stratum.

    Columns read: stratum, images, gain, gain_low, gain_high (no interval where empty).
    """
    figure, ax = _strata_axes(strata)
    _draw_intervals(ax, strata["gain"], strata["gain_low"], strata["gain_high"])
    ax.set_xlabel("mean gain in Dice, improved - baseline (95 % interval, paired)")
    ax.set_title(title, fontsize=11, loc="left")
    figure.tight_layout()
    _save(figure, path)


def draw_seeds(path: Path, runs: pd.DataFrame, references: dict[str, float], title: str) -> None:
    """Mean Dice at input size (the paper's protocol): a dot a training, a bar at their mean.

    Columns read: model ("baseline" or "improved"), seed, dice_input.

    Args:
        references: a published mean Dice, at input size too, by the words of the legend.
    """
    figure = Figure(figsize=(8, 3.2), dpi=DPI)
    ax = figure.subplots()
    lines = ("-", "--", ":", "-.")  # published values lie too close together for written labels
    for number, (name, value) in enumerate(references.items()):
        style = {"color": "dimgrey", "linewidth": 1, "linestyle": lines[number % len(lines)]}
        ax.axvline(value, label=f"{name}: {value:.4f}", zorder=1, **style)
    labels = []
    for row, (model, colour) in enumerate({"baseline": BLUE, "improved": ORANGE}.items()):
        dice = runs.loc[runs["model"] == model].sort_values("seed")["dice_input"].to_numpy()
        heights = row + np.linspace(-0.15, 0.15, len(dice)) * (len(dice) > 1)  # seeds downwards
        ax.vlines(dice.mean(), row - 0.33, row + 0.33, color=np.array(colour) / 255, linewidth=3)
        face = {"color": np.array(colour) / 255, "markeredgecolor": "black", "markersize": 8}
        ax.plot(dice, heights, "o", markeredgewidth=0.6, zorder=3, **face)
        labels.append(f"{model}\nmean {dice.mean():.4f}\n(n = {len(dice)})")
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
    ax.set_xlabel("mean Dice of the test images at input size (a dot a seed, a bar at their mean)")
    ax.set_title(title, fontsize=11, loc="left")
    figure.legend(loc="lower center", ncols=4, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    _save(figure, path)


def draw_ablation(path: Path, table: pd.DataFrame, title: str) -> None:
    """Gain in Dice of each variant over the reference, with its interval, the largest on top.

    Columns read: variant, images, gain, low, high; a row without interval is the reference.
    """
    others = table[table["low"].notna()].sort_values("gain", ascending=False, kind="stable")
    figure, ax = _strata_axes(others.rename(columns={"variant": "stratum"}))
    _draw_intervals(ax, others["gain"], others["low"], others["high"])
    ax.set_xlabel("mean gain in Dice on images not trained on (95 % interval, paired)")
    ax.set_title(title, fontsize=11, loc="left")
    figure.tight_layout()
    _save(figure, path)


def _strata_axes(strata: pd.DataFrame) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 0.42 * len(strata) + 1.4), dpi=DPI)
    ax = figure.subplots()
    names = [f"{row.stratum} (n = {row.images})" for row in strata.itertuples()]
    ax.set_yticks(range(len(strata)), names)
    ax.invert_yaxis()
    ax.axvline(0, color="black", linewidth=0.8)
    ax.grid(axis="x", alpha=0.3)
    return figure, ax


def _draw_intervals(ax: Axes, centre: pd.Series, low: pd.Series, high: pd.Series) -> None:
    y = np.arange(len(centre))
    ax.hlines(y, low.astype(float), high.astype(float), color=np.array(BLUE) / 255, linewidth=2)
    ax.plot(centre.astype(float), y, "o", color=np.array(BLUE) / 255)


def _save(figure: Figure, path: Path) -> None:
    with open_whole(path) as stream:
        FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
