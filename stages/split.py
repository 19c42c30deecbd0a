"""Stage split: which image trains, validates and tests.

Reads   params.yaml [split], data/raw/, data/splits/*.csv, data/near_duplicate_groups.txt
Writes  data/split.csv: name, width, height, area_fraction, split, group
"""

from pathlib import Path

from effiseg.files import write_table
from effiseg.params import load_section
from effiseg.split import Split, make_split
from stages.alone import run_alone
from stages.paths import RAW, SPLIT


def main() -> None:
    params = load_section("split", Split)
    table = make_split(
        RAW, Path("data/splits"), Path("data/near_duplicate_groups.txt"), params
    )
    write_table(SPLIT, table)
    print("split:", ", ".join(f"{n} {part}" for part, n in table["split"].value_counts().items()))


if __name__ == "__main__":
    run_alone(main)
