"""Stage error_page: every judged image on one page that needs no network.

Reads   analysis/images.csv, analysis/thumbnails/, data/raw/, evaluation/{baseline,improved}/,
        plots/{kinds,strata,gains}.png
Writes  reports/error_report.html

The images of the error analysis with the baseline's errors; test images with those of both models.
"""

from pathlib import Path

import pandas as pd

from effiseg.attributes import describe_images
from effiseg.error_kinds import classify_error
from effiseg.error_page import write_page
from effiseg.figures import Cell, encode_thumbnail
from effiseg.files import read_table, write_text
from effiseg.images import read_pair
from effiseg.scoring import read_prediction
from stages.alone import run_alone
from stages.paths import RAW
from stages.progress import progress

SCORED = Path("evaluation")
MODELS = ("baseline", "improved")
CHARTS = {
    "kinds": "images and wrong pixels by kind of error",
    "strata": "Dice of the baseline by stratum",
    "gains": "gain from baseline to improved by stratum, test images",
}


def main() -> None:
    analysed = read_table(Path("analysis/images.csv"), ["name"]).rename(columns={"split": "part"})
    pictures = {
        name: {"baseline": Path(f"analysis/thumbnails/{name}.jpg").read_bytes()}
        for name in analysed["name"]
    }
    scores = {
        m: read_table(SCORED / m / "images.csv", ["name"]).set_index("name") for m in MODELS
    }
    test, kinds = scores["baseline"], []
    for name in progress("test images")(test.index):
        image, mask = read_pair(RAW, name)
        predictions = {m: read_prediction(SCORED / m / "predictions", name) for m in MODELS}
        pictures[name] = {
            model: encode_thumbnail(Cell(name, image, mask, {model: prediction}))
            for model, prediction in predictions.items()
        }
        kinds.append(classify_error(predictions["baseline"], mask))
    improved = scores["improved"]["dice"].reindex(test.index)
    judged = test.drop(columns=["area_fraction", "near_duplicate"]).assign(
        part="test", kind=kinds, improved_dice=improved, change=improved - test["dice"]
    )
    judged = judged.reset_index().merge(describe_images(RAW, list(test.index)), on="name")
    images = pd.concat([analysed, judged], ignore_index=True).drop(columns="group")
    summary = (
        f"{len(analysed)} images judged by a baseline that has not seen them, and the {len(test)} "
        "test images, judged by the baseline and the improved model."
    )
    charts = {title: Path(f"plots/{name}.png").read_bytes() for name, title in CHARTS.items()}
    page = write_page(images, pictures, summary, charts)
    write_text(Path("reports/error_report.html"), page)


if __name__ == "__main__":
    run_alone(main)
