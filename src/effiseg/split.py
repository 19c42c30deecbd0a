"""Split: which image trains, validates and tests.

The table has a row for each image, sorted by name:
    name, width, height   pixels
    area_fraction         share of the image that is polyp, 0..1
    split                 train, validation or test
    group                 number of its near-duplicate group, -1 for none

Sources: effisegnet is the 800/100/100 split of Vezakis et al., 2024 (it is DUCK-Net's), pranet the
900/100 of Fan et al., 2020, medico the 880/120 of the Medico 2020 challenge. The last two fix the
test images only; a ninth of the others is set aside here for validation, so that no test image
is ever used for a choice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from effiseg.images import list_names, read_pair
from effiseg.params import require

PARTS = ("train", "validation", "test")
COLUMNS = ["name", "width", "height", "area_fraction", "split", "group"]
VALIDATION_SHARE = 1 / 9  # of the images that are not for testing
TEST_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Split:
    """Section `split`."""

    scheme: Literal["effisegnet", "pranet", "medico", "random"]
    seed: int  # of what a scheme leaves open

    def __post_init__(self) -> None:
        require("seed", self.seed, self.seed >= 0, "0 or more")


def make_split(raw: Path, lists: Path, near_duplicates: Path, params: Split) -> pd.DataFrame:
    """Assign every image of the data set in `raw`; see the module for the table.

    A data set that brings its own `split.csv` keeps it, whatever the scheme.

    Args:
        lists: folder with SCHEME.csv (name, split).
        near_duplicates: file with the names of one group on each line.

    Raises:
        ValueError: names of the list and of the data set differ.
    """
    table = _describe(raw)
    table["group"] = table["name"].map(_read_groups(near_duplicates)).fillna(-1).astype(int)
    own = raw / "split.csv"
    if own.is_file():
        table["split"] = _read_list(own, table)
    elif params.scheme == "random":
        table["split"] = "train"
        table["split"] = draw_part(table, "test", TEST_SHARE, params.seed)
    else:
        table["split"] = _read_list(lists / f"{params.scheme}.csv", table)
    if "validation" not in set(table["split"]):
        table["split"] = draw_part(table, "validation", VALIDATION_SHARE, params.seed)
    return table[COLUMNS]


def draw_part(table: pd.DataFrame, part: str, share: float, seed: int) -> pd.Series:
    """Move `share` of the training images to `part`; near-duplicate groups stay together.

    Groups (most have one image) are sorted by polyp size and taken one at random out of each run
    of neighbours, so that every part has large and small polyps in the same proportion.
    """
    training = table[table["split"] == "train"]
    keys = key_groups(training)
    sizes = training.groupby(keys)["area_fraction"].mean().sort_values(kind="stable")
    generator = np.random.default_rng(seed)
    every = round(1 / share)
    chosen = [
        generator.choice(sizes.index[start : start + every])
        for start in range(0, len(sizes) - every // 2, every)
    ]
    return table["split"].mask(keys.isin(chosen).reindex(table.index, fill_value=False), part)


def key_groups(table: pd.DataFrame) -> pd.Series:
    """A number for each row, equal for near duplicates alone: a lone image is a group of its own.

    Lone images have negative numbers, which fall from row to row.
    """
    return table["group"].where(table["group"] >= 0, -1 - table.index.to_series())


def read_split(path: Path) -> pd.DataFrame:
    """The table of `make_split`. Raises ValueError where columns or parts are not as expected."""
    table = pd.read_csv(path)
    if list(table.columns) != COLUMNS:
        raise ValueError(f"{path} has columns {list(table.columns)}; expected {COLUMNS}")
    unknown = sorted(set(table["split"].astype(str)) - set(PARTS))
    if unknown:
        raise ValueError(f"{path}: column split has {unknown}; expected only {list(PARTS)}")
    return table


def _describe(raw: Path) -> pd.DataFrame:
    rows = []
    for name in list_names(raw):
        mask = read_pair(raw, name).mask
        height, width = mask.shape
        rows.append((name, width, height, mask.mean()))
    return pd.DataFrame(rows, columns=["name", "width", "height", "area_fraction"])


def _read_groups(path: Path) -> dict[str, int]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: number for number, line in enumerate(lines) for name in line.split()}


def _read_list(path: Path, table: pd.DataFrame) -> pd.Series:
    parts = pd.read_csv(path).set_index("name")["split"]
    missing, extra = set(table["name"]) - set(parts.index), set(parts.index) - set(table["name"])
    if missing or extra:
        raise ValueError(
            f"{path} does not fit the data set: {len(missing)} images have no part "
            f"({', '.join(sorted(missing)[:3]) or '-'}), {len(extra)} names have no image "
            f"({', '.join(sorted(extra)[:3]) or '-'})"
        )
    return table["name"].map(parts)
