"""Say in plain sentences what a table of judged images, or all results, say.

Reads   SOURCE, one of
        a table images.csv: analysis/images.csv of the pipeline, or the one of `effiseg evaluate`;
        the pipeline's folder, with analysis/, metrics/ and experiments/
Writes  paragraphs on the screen, every number from the tables

Without a NAME, the images with the lowest Dice are told. With --rewrite, a language model rewords
the paragraphs: numbers, names, the scores, the verdict and the limits never pass through it. The
environment's EFFISEG_LANGUAGE_MODEL_KEY is sent as its key, where it is set. A paragraph whose
rewording breaks the rules stays as it was, is reported, and makes the exit code 1.
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from effiseg.commands import on_screen
from effiseg.results_summary import tell_results
from effiseg.rewriting import Endpoint, ask_model, rewrite
from effiseg.summary import LANGUAGES, Paragraph, read_rows, tell_image

KEY = "EFFISEG_LANGUAGE_MODEL_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a table, or a folder")
    parser.add_argument("names", nargs="*", metavar="NAME", help="images of the table")
    parser.add_argument(
        "--worst", type=positive_number, default=5, help="images without a NAME; default: 5"
    )
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--rewrite", metavar="URL", help="of a language model's chat interface")
    parser.add_argument("--rewrite-model", metavar="MODEL", help="what it is called there")


def positive_number(text: str) -> int:
    """Raises ArgumentTypeError, or ValueError, where it is none."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def run(options: argparse.Namespace) -> int:
    if (options.rewrite is None) != (options.rewrite_model is None):
        raise ValueError("--rewrite and --rewrite-model belong together")
    paragraphs = tell_source(options)
    if options.rewrite is None:
        print("\n\n".join(on_screen(paragraph.text) for paragraph in paragraphs))
        return 0
    endpoint = Endpoint(options.rewrite, options.rewrite_model, os.environ.get(KEY))
    failed = 0
    for number, paragraph in enumerate(paragraphs, start=1):
        try:
            text = rewrite(paragraph, options.language, partial(ask_model, endpoint))
        except ValueError as error:
            failed, text = failed + 1, paragraph.text
            print(f"paragraph {number} stays as it was: {on_screen(str(error))}", file=sys.stderr)
        print(f"{on_screen(text)}\n")
    print(f"Reworded by {on_screen(endpoint.model)}: the text of record is the one without it.")
    return 1 if failed else 0


def tell_source(options: argparse.Namespace) -> list[Paragraph]:
    """The paragraphs that the options ask for.

    Raises:
        ValueError: the table has no such image.
        OSError: SOURCE, or a file below it, is missing.
    """
    if options.source.is_dir():
        if options.names:
            raise ValueError(f"{options.source} is a folder: a NAME is an image of a table")
        return tell_results(options.source, options.language)
    rows = read_rows(options.source).to_dict("records")
    if not options.names:
        return [tell_image(row, options.language) for row in rows[: options.worst]]
    known = {row["name"]: row for row in rows}
    missing = [name for name in options.names if name not in known]
    if missing:
        raise ValueError(f"{options.source} has no image {missing[0]!r} in {len(known)} rows")
    return [tell_image(known[name], options.language) for name in options.names]
