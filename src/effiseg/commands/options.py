"""What several commands ask for: the model, the way it is computed, and where to write."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from effiseg.hub import DEFAULT
from effiseg.predictors import FASTEST, Predictor, open_predictor


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=DEFAULT,
        help="folder of a model, or a repository USER/NAME of the Hugging Face hub; "
        "default: the one of the package",
    )
    parser.add_argument(
        "--backend",
        default="auto",
        choices=("auto", *FASTEST),
        help="default: PyTorch on a GPU, else the fastest that is installed",
    )
    parser.add_argument(
        "--flips",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="the mean over four mirror images: better, four times the work; default: as the "
        "model was evaluated",
    )


def open_chosen(options: argparse.Namespace) -> Predictor:
    """The predictor that the options ask for; says which one it is."""
    predictor = open_predictor(options.model, options.backend, options.flips)
    config = predictor.config
    views = "four mirror images" if config.test_flips else "one view"
    parts = (config.encoder, f"{config.size} px", views, predictor.backend)
    print(f"model {predictor.name}: {', '.join(parts)}")
    return predictor


def refuse_existing(paths: Iterable[Path], force: bool) -> None:
    """Raises FileExistsError where one of the outputs is there and may not be replaced."""
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise FileExistsError(
            f"{there[0]} is there already; choose another --out, or replace it with --force"
        )
