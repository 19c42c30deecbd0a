"""Mark polyps in pictures and videos.

Reads   files, folders (with all below them) and patterns: JPEG, PNG, TIFF, BMP, WebP, and videos;
        grey, RGBA, 16-bit, turned by EXIF; 32 to 8000 pixels a side
Writes  OUT/masks/NAME.png and OUT/overlays/NAME.jpg for each picture, OUT/predictions.csv;
        OUT/overlays/NAME.mp4 and OUT/frames/NAME.csv for each video

A file that can't be read is reported, has its reason in the table, and makes the exit code 1. The
answers are a model's, not a physician's: this is not a medical device.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from effiseg.annotate import COLUMNS, MASKS, OVERLAYS, annotate_pictures, printable
from effiseg.commands import on_screen
from effiseg.commands.options import add_model_options, open_chosen, refuse_existing
from effiseg.files import write_table
from effiseg.pictures import Source, is_video, list_sources
from effiseg.predictors import Predictor
from effiseg.videos import annotate_video, describe_video

TABLE, FRAMES = "predictions.csv", "frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder or pattern")
    parser.add_argument("--out", required=True, type=Path, help="folder that is written")
    parser.add_argument("--force", action="store_true", help="replace outputs that are there")
    parser.add_argument("--no-overlays", action="store_true", help="of pictures: masks alone")
    add_model_options(parser)


def run(options: argparse.Namespace) -> int:
    own = [options.out / folder for folder in (MASKS, OVERLAYS)]
    sources = list_sources(options.paths)
    sources = [s for s in sources if not any(is_below(s.path, folder) for folder in own)]
    if not sources:
        raise ValueError(f"all pictures that were found are outputs, below {options.out}")
    pictures = [source for source in sources if not is_video(source.path)]
    masks = [options.out / MASKS / f"{source.name}.png" for source in pictures]
    refuse_existing([options.out / TABLE, *masks], options.force)
    predictor = open_chosen(options)
    rows = []
    answers = annotate_pictures(pictures, predictor, options.out, not options.no_overlays)
    with tqdm(answers, "predict", len(pictures), unit="picture", disable=not pictures) as bar:
        for row in bar:
            rows.append(row)
            if row["error"]:
                tqdm.write(on_screen(row["error"]), file=sys.stderr)
    for source in sources:
        if is_video(source.path):
            rows.append(predict_video(source, predictor, options.out))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_table(options.out / TABLE, table)
    failed = int((table["error"] != "").sum())
    print(f"{len(table) - failed} of {len(table)} files: {options.out / TABLE}")
    return 1 if failed else 0


def is_below(path: Path, folder: Path) -> bool:
    """Whether a file is an output of an earlier call, which is no input of this one."""
    return path.resolve().is_relative_to(folder.resolve())


def predict_video(source: Source, predictor: Predictor, out: Path) -> dict[str, object]:
    """The row of a video in the table of all files; its frames have a table of their own."""
    row: dict[str, object] = dict.fromkeys(COLUMNS)
    row |= {"file": printable(source.path), "name": printable(source.name), "error": ""}
    try:
        video = describe_video(source.path)
        answers = annotate_video(source.path, predictor, out / OVERLAYS / f"{source.name}.mp4")
        name = on_screen(source.name)
        with tqdm(answers, name, video.frames or None, unit="frame") as bar:
            frames = list(bar)
    except ValueError as error:
        print(on_screen(str(error)), file=sys.stderr)
        return row | {"error": str(error)}
    write_table(out / FRAMES / f"{source.name}.csv", pd.DataFrame(frames))
    return row | {"height": video.height, "width": video.width}
