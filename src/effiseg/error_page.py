"""The error page: one HTML file with every judged image, to sort, filter and walk through.

It needs no network: pictures are JPEGs within it, and the table is Tabulator (MIT), which lies in
page/ with the page's own HTML, CSS and JavaScript.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd

PAGE = Path(__file__).parent / "page"
PARTS = {
    "/*{tabulator.css}*/": "tabulator_simple.min.css",
    "/*{page.css}*/": "page.css",
    "/*{tabulator.js}*/": "tabulator.min.js",
    "/*{page.js}*/": "page.js",
}
SHOWN = {  # columns that stand in the table from the start
    "name": "the image's name in the data set",
    "part": "of the split; test images are judged by both models, the others by the baseline",
    "kind": "kind of the baseline's error",
    "dice": "baseline, at original size",
    "improved_dice": "test images alone",
    "change": "improved - baseline, Dice",
    "area_fraction": "share of the image that is polyp",
    "contrast": "of the polyp to its surroundings, CIELAB",
    "expected_dice": "what the probabilities themselves expect; low: distrust the answer",
    "suspect": "the annotation may be wrong",
}


def write_page(
    images: pd.DataFrame,
    pictures: dict[str, dict[str, bytes]],
    summary: str,
    charts: dict[str, bytes],
) -> str:
    """HTML.

    Args:
        images: a row an image, with at least the columns of `SHOWN`; NaN is "not known".
        pictures: JPEG by model, by name of the image.
        summary: a sentence for the page's head.
        charts: PNG by what it shows.

    Raises:
        ValueError: an image has no picture.
    """
    without = sorted(set(images["name"]) - set(pictures))
    if without:
        raise ValueError(f"{len(without)} images have no picture ({', '.join(without[:3])})")
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
