"""What the baseline makes of images that it has not seen: from the folds, or of validation."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from effiseg.arrays import read_arrays, select_rows
from effiseg.figures import Cell
from effiseg.files import read_table
from effiseg.folds import ErrorAnalysis
from effiseg.images import read_pair
from effiseg.predict import predict_probabilities, resize_probability
from effiseg.split import read_split
from effiseg.weights import read_model
from stages.paths import SPLIT, arrays_of
from stages.progress import progress


class Judgement(NamedTuple):
    """Rows are images in the order of the split table."""

    names: list[str]
    masks: NDArray[np.uint8]  # (N, S, S), 0 or 1
    probability: NDArray[np.float32]  # (N, S, S) of polyp
    flipped: NDArray[np.float32]  # (N, S, S), mean over four mirror images

    def cell(self, raw: Path, name: str, kind: str, threshold: float) -> Cell:
        """The image at its original size with the prediction, for a gallery."""
        image, mask = read_pair(raw, name)
        small = self.probability[self.names.index(name)]
        prediction = resize_probability(small, *mask.shape) > threshold
        return Cell(name, image, mask, {kind: prediction})


def read_judgement(params: ErrorAnalysis, flips: bool, scales: bool) -> Judgement:
    """The predictions of the folds' models, or with `folds: 0` of models/baseline.

    Raises:
        ValueError: the folds do not hold each image exactly once.
    """
    split, arrays = read_split(SPLIT), read_arrays(arrays_of("baseline"))
    if params.folds == 0:
        chosen = split["split"] == "validation"
        images, masks = select_rows(arrays, chosen)
        network = read_model(Path("models/baseline")).network
        both = (
            predict_probabilities(network, images, with_flips, scales, progress("predict"))
            for with_flips in (flips, True)
        )
        return Judgement(list(split["name"][chosen]), masks, *both)
    chosen = split["split"] != "test"
    folders = [Path(f"crossfit/fold-{fold}") for fold in range(params.folds)]
    names = pd.concat([read_table(folder / "names.csv", ["name"]) for folder in folders])["name"]
    expected = split["name"][chosen]
    if sorted(names) != sorted(expected):
        raise ValueError(
            f"crossfit/ holds {len(names)} judged images; expected the {len(expected)} that are "
            "not for testing, each once: run `dvc repro`"
        )
    order = pd.Series(range(len(names)), index=names)[expected].to_numpy()
    probability, flipped = (
        np.concatenate([np.load(folder / file) for folder in folders])[order].astype(np.float32)
        for file in ("probability.npy", "flipped.npy")
    )
    return Judgement(list(expected), select_rows(arrays, chosen).masks, probability, flipped)
