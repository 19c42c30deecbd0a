"""Galleries of test images: which ones, with the stored predictions of the models."""

from pathlib import Path

import pandas as pd

from effiseg.figures import Cell
from effiseg.images import read_pair
from effiseg.scoring import read_prediction


def collect_cells(
    names: pd.Series, images: dict[str, pd.DataFrame], folders: dict[str, Path], raw: Path
) -> list[Cell]:
    """Cells for the images `names`: the image, and each model's prediction with its Dice.

    Args:
        images: image table by model (see stages/evaluate.py).
        folders: evaluation folder by model, with predictions/NAME.png.
    """
    dice = {model: table.set_index("name")["dice"] for model, table in images.items()}
    return [
        Cell(
            name,
            *read_pair(raw, name),
            {
                f"{model}: Dice {dice[model][name]:.3f}": read_prediction(
                    folders[model] / "predictions", name
                )
                for model in images
            },
        )
        for name in names
    ]
