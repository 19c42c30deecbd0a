"""Stages prepare@baseline and prepare@improved: decode and resize every image once for a model.

Reads   params.yaml [NAME.size], data/raw/, data/split.csv
Writes  data/arrays/NAME/{images,masks}.npy (see effiseg.arrays)
"""


from effiseg.arrays import write_arrays
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.split import read_split
from stages.alone import run_alone
from stages.paths import RAW, SPLIT, arrays_of
from stages.progress import progress


def main(name: str) -> None:
    size = load_section(name, Recipe).size
    names = list(read_split(SPLIT)["name"])
    write_arrays(arrays_of(name), RAW, names, size, progress(f"prepare {name}"))


if __name__ == "__main__":
    run_alone(main)
