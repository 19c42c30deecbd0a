"""The error page: one HTML file with every judged image, to sort, filter and walk through.

It needs no network: pictures are JPEGs within it, and the table is Tabulator (MIT), which lies in
page/ with the page's own HTML, CSS and JavaScript.
"""

import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from effiseg.error_kinds import describe_error
from effiseg.figures import Cell, encode_thumbnail
from effiseg.files import read_table
from effiseg.images import read_pair
from effiseg.scoring import read_prediction
from effiseg.summary import tell_image

PAGE = Path(__file__).parent / "page"
PARTS = {
    "/*{tabulator.css}*/": "tabulator_simple.min.css",
    "/*{page.css}*/": "page.css",
    "/*{tabulator.js}*/": "tabulator.min.js",
    "/*{page.js}*/": "page.js",
}
SHOWN = {  # columns that stand in the table from the start
    "name": "the image's name in the data set",
    "part": "of the split; only test images are judged by the improved model too",
    "kind": "of error of the baseline, or of one that was trained without the image",
    "dice": "of the same, at original size",
    "improved_dice": "test images alone",
    "change": "improved - baseline, Dice",
    "area_fraction": "share of the image that is polyp",
    "contrast": "of the polyp to its surroundings, CIELAB",
    "expected_dice": "what the probabilities themselves expect; low: distrust the answer",
    "suspect": "the annotation may be wrong",
}


def judge_predictions(
    folder: Path,
    raw: Path,
    described: pd.DataFrame,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Scores, kind of error and lesions of each image that a model was scored on; and a JPEG each.

    Args:
        folder: evaluation/NAME, as the stage evaluate writes it.
        described: name and further columns for each of these images.
    """
    scores = read_table(folder / "images.csv", ["name"])
    errors, pictures = [], {}
    for name in progress(scores["name"]):
        image, mask = read_pair(raw, name)
        prediction = read_prediction(folder / "predictions", name)
        pictures[name] = encode_thumbnail(Cell(name, image, mask, {folder.name: prediction}))
        errors.append({"name": name} | describe_error(prediction, mask))
    known = scores.drop(columns=["area_fraction", "near_duplicate"])
    return known.merge(pd.DataFrame(errors), on="name").merge(described, on="name"), pictures


def tell_images(table: pd.DataFrame) -> dict[str, str]:
    """A paragraph of `tell_image` for each image, by its name."""
    return {row["name"]: tell_image(row, "en").text for row in table.to_dict("records")}


def write_page(
    images: pd.DataFrame,
    pictures: dict[str, dict[str, bytes]],
    words: dict[str, dict[str, str]],
    summary: str,
    charts: dict[str, bytes],
) -> str:
    """HTML.

    Args:
        images: a row an image, with at least the columns of `SHOWN`; NaN is "not known".
        pictures: JPEG by model, by name of the image.
        words: what is said of a model's answer, by model, by name of the image.
        summary: a sentence for the page's head.
        charts: PNG by what it shows.

    Raises:
        ValueError: an image has no picture, or a picture no words.
    """
    without = sorted(set(images["name"]) - set(pictures))
    if without:
        raise ValueError(f"{len(without)} images have no picture ({', '.join(without[:3])})")
    silent = [n for n, each in pictures.items() if each.keys() != words.get(n, {}).keys()]
    if silent:
        raise ValueError(f"{len(silent)} images have no words for each picture ({silent[0]}, ...)")
    names = [*SHOWN, *(name for name in images.columns if name not in SHOWN)]
    columns = [
        {"field": n, "title": n.replace("_", " "), "shown": n in SHOWN, "tip": SHOWN.get(n, "")}
        for n in names
    ]
    encoded = {
        name: {model: _encode(content) for model, content in each.items()}
        for name, each in pictures.items()
    }
    data: dict[str, Any] = {
        "rows": json.loads(images[names].to_json(orient="records", double_precision=6)),
        "pictures": encoded,
        "words": words,
        "columns": columns,
        "summary": summary,
        "charts": {title: _encode(content) for title, content in charts.items()},
    }
    page = (PAGE / "template.html").read_text(encoding="utf-8")
    for mark, file in PARTS.items():
        page = page.replace(mark, (PAGE / file).read_text(encoding="utf-8"))
    return page.replace("/*{data.json}*/", json.dumps(data).replace("<", "\\u003c"))


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()
