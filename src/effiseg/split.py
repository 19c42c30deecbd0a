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
from effiseg.params import require_seed

PARTS = ("train", "validation", "test")
TYPES = {
    "name": str, "width": int, "height": int, "area_fraction": float, "split": str, "group": int,
}  # fmt: skip
COLUMNS = list(TYPES)
VALIDATION_SHARE = 1 / 9  # of the images that are not for testing
TEST_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Split:
    """Section `split`."""

    scheme: Literal["effisegnet", "pranet", "medico", "random"]
    seed: int  # of what a scheme leaves open

    def __post_init__(self) -> None:
        require_seed(self.seed)


def make_split(raw: Path, lists: Path, near_duplicates: Path, params: Split) -> pd.DataFrame:
    """Assign every image of the data set in `raw`; see the module for the table.

    A data set that brings its own `split.csv` keeps it, whatever the scheme.

    Args:
        lists: folder with SCHEME.csv (name, split).
        near_duplicates: file with the names of one group on each line.

    Raises:
        ValueError: names of the list and of the data set differ, the list or the groups are not
            as expected, or there are too few images for three parts.
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

    Raises:
        ValueError: there are too few groups for one of them to be moved.
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
    if not chosen:
        raise ValueError(
            f"{len(training)} images in {len(sizes)} groups of near duplicates are too few for the "
            f"part {part}; expected {every // 2 + 1} groups or more (an image alone is one)"
        )
    return table["split"].mask(keys.isin(chosen).reindex(table.index, fill_value=False), part)


def key_groups(table: pd.DataFrame) -> pd.Series:
    """A number for each row, equal for near duplicates alone: a lone image is a group of its own.

    Lone images have negative numbers, which fall from row to row.
    """
    return table["group"].where(table["group"] >= 0, -1 - table.index.to_series())


def read_split(path: Path) -> pd.DataFrame:
    """The table of `make_split`. Raises ValueError where columns or parts are not as expected."""
    return _read_parts(path, COLUMNS)


def _describe(raw: Path) -> pd.DataFrame:
    rows = []
    for name in list_names(raw):
        mask = read_pair(raw, name).mask
        height, width = mask.shape
        rows.append((name, width, height, mask.mean()))
    return pd.DataFrame(rows, columns=["name", "width", "height", "area_fraction"])


def _read_groups(path: Path) -> dict[str, int]:
    groups: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        for name in line.split():
            if groups.setdefault(name, number) != number:
                raise ValueError(
                    f"{path}: {name} is in the groups of lines {groups[name] + 1} and "
                    f"{number + 1}; expected each name in one: join the two lines"
                )
    return groups


def _read_list(path: Path, table: pd.DataFrame) -> pd.Series:
    parts = _read_parts(path, ["name", "split"]).set_index("name")["split"]
    missing, extra = set(table["name"]) - set(parts.index), set(parts.index) - set(table["name"])
    if missing or extra:
        raise ValueError(
            f"{path} does not fit the data set: {len(missing)} images have no part "
            f"({', '.join(sorted(missing)[:3]) or '-'}), {len(extra)} names have no image "
            f"({', '.join(sorted(extra)[:3]) or '-'})"
        )
    return table["name"].map(parts)


def _read_parts(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table of parts; names are text whatever they look like."""
    try:
        table = pd.read_csv(path, dtype=TYPES, keep_default_na=False)
    except ValueError as error:  # of pandas, without the file
        raise ValueError(f"{path} can't be read: {error}; expected columns {columns}") from error
    if list(table.columns) != columns:
        raise ValueError(f"{path} has columns {list(table.columns)}; expected {columns}")
    unknown = sorted(set(table["split"]) - set(PARTS))
    if unknown:
        raise ValueError(f"{path}: column split has {unknown}; expected only {list(PARTS)}")
    twice = sorted(table["name"][table["name"].duplicated()])
    if twice:
        raise ValueError(f"{path} names {len(twice)} images twice: {', '.join(twice[:3])}")
    return table
