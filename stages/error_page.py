"""Stage error_page: every judged image on one page that needs no network.

Reads   analysis/{images.csv, limits.csv}, analysis/thumbnails/, data/raw/,
        evaluation/{baseline,improved}/, plots/{kinds,strata,gains}.png
Writes  reports/error_report.html

The images of the error analysis with the errors of a baseline that has not seen them; test images
with those of both models; each in the sentences of `effiseg explain`. What the models themselves
expected of their answers is known for the images of the error analysis alone.
"""

from pathlib import Path

import pandas as pd

from effiseg.attributes import describe_images
from effiseg.error_page import judge_predictions, tell_images, write_page
from effiseg.files import read_table, write_text
from effiseg.findings import assign_strata, read_limits
from effiseg.split import read_split
from effiseg.summary import read_rows
from stages.alone import run_alone
from stages.paths import RAW, SPLIT
from stages.progress import progress

ANALYSED = Path("analysis/images.csv")
UNSEEN = "baseline without this image"  # the models of the folds
MODELS = ("baseline", "improved")
CHARTS = {
    "kinds": "images and wrong pixels by kind of error",
    "strata": "Dice of the baseline by stratum",
    "gains": "gain from baseline to improved by stratum, test images",
}


def main() -> None:
    analysed = read_table(ANALYSED, ["name"]).rename(columns={"split": "part"})
    words = {name: {UNSEEN: text} for name, text in tell_images(read_rows(ANALYSED)).items()}
    pictures = {
        name: {UNSEEN: Path(f"analysis/thumbnails/{name}.jpg").read_bytes()} for name in words
    }

    split = read_split(SPLIT)
    names = list(split["name"][split["split"] == "test"])
    described = describe_images(RAW, names, progress("describe"))
    strata = assign_strata(described, read_limits(Path("analysis/limits.csv")))
    described, judged = described.merge(strata, on="name"), {}
    for model in MODELS:
        folder, bar = Path("evaluation") / model, progress(f"test images, {model}")
        judged[model], drawn = judge_predictions(folder, RAW, described, bar)
        for name, text in tell_images(judged[model]).items():
            pictures.setdefault(name, {})[model] = drawn[name]
            words.setdefault(name, {})[model] = text

    test = judged["baseline"].assign(part="test")
    improved = judged["improved"].set_index("name")["dice"].reindex(test["name"]).to_numpy()
    test = test.assign(improved_dice=improved, change=improved - test["dice"])
    images = pd.concat([analysed, test], ignore_index=True)
    images = images[[*analysed.columns.drop("group"), "improved_dice", "change"]]
    summary = (
        f"{len(analysed)} images, judged by models of the baseline's recipe that have not seen "
        f"them, and the {len(test)} test images, judged by the baseline and the improved model."
    )
    charts = {title: Path(f"plots/{name}.png").read_bytes() for name, title in CHARTS.items()}
    page = write_page(images, pictures, words, summary, charts)
    write_text(Path("reports/error_report.html"), page)


if __name__ == "__main__":
    run_alone(main)
