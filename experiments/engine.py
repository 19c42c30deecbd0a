"""The code that decides an experiment's runs: the sha256 of each of its files.

    python -m experiments.engine screen

Reads   experiments/NAME.py, and the project's own modules that it imports, directly or not
Writes  experiments/NAME.sha256, in `sha256sum -c` format

Runs depend on this one file in place of thirty, which keeps the lock of a hundred runs readable.
"""

import sys
from pathlib import Path
from typing import Any

from effiseg.checkpoints import fingerprint_of
from effiseg.files import sha256_of, write_text
from effiseg.params import as_plain
from effiseg.recipe import Recipe
from stages.modules import ROOT, list_modules


def main(name: str) -> None:
    modules = list_modules(ROOT / "experiments" / f"{name}.py")
    lines = [f"{sha256_of(path)}  {path.relative_to(ROOT).as_posix()}\n" for path in modules]
    write_text(Path("experiments") / f"{name}.sha256", "".join(lines))


def fingerprint_run(
    settings: dict[str, Any],
    recipe: Recipe,
    threshold: float,
    inputs: list[Path],
    entry: Path,
    without: tuple[str, ...],
) -> str:
    """Sixteen digits that differ when a run of the script `entry` does.

    Args:
        inputs: files that decide a training, beside the images and the code.
        without: keys of the recipe that do not matter. With any, it is the training's: what the
            answers are read with does not matter, and the code does.
    """
    settings = settings | {"recipe": as_plain(recipe, without)}
    if without:
        return fingerprint_of(settings, inputs + list_modules(entry))
    return fingerprint_of(settings | {"threshold": threshold}, inputs)


if __name__ == "__main__":
    main(sys.argv[1])
