"""Stage prepare: decode and resize every image once.

Reads   params.yaml [train.size], data/raw/, data/split.csv
Writes  data/arrays/{images,masks}.npy (see effiseg.arrays)
"""

from pathlib import Path

from effiseg.arrays import write_arrays
from effiseg.params import load_section
from effiseg.recipe import Train
from effiseg.split import read_split
from stages.progress import progress


def main() -> None:
    size = load_section("train", Train).size
    names = list(read_split(Path("data/split.csv"))["name"])
    write_arrays(Path("data/arrays"), Path("data/raw"), names, size, progress("prepare"))


if __name__ == "__main__":
    main()
