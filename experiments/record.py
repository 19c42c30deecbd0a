"""Record in experiments/dvc.lock what the plain commands made, so that `dvc repro` keeps it.

    python -m experiments.record

Reads   experiments/runs/, experiments/seeds/
Writes  experiments/dvc.lock, and experiments/{screen,seeds}.sha256
"""

import subprocess
import sys

from experiments.plan import read_checked, read_folds, read_variants
from experiments.screen import is_done
from experiments.seeds import SEEDS

PIPELINE = "experiments/dvc.yaml"


def main() -> None:
    made = [f"engine@{name}" for name in ("screen", "seeds")]
    run_dvc("repro", "--single-item", made)
    names = {"screening": list(read_variants("screening")), "full": read_checked()}
    runs = [
        f"{schedule}@{name}-{fold}"
        for schedule, listed in names.items()
        for name in listed
        for fold in read_folds()
        if is_done(read_variants(schedule)[name], fold)
    ]
    runs += [
        f"seeds_{path.parent.name}@{path.name.removeprefix('seed-')}"
        for path in sorted(SEEDS.glob("*/seed-*"))
    ]
    run_dvc("commit", "--force", runs)
    print(f"recorded {len(runs)} runs")


def run_dvc(command: str, option: str, stages: list[str]) -> None:
    """`dvc COMMAND OPTION` for stages of the experiments. Raises CalledProcessError."""
    targets = [f"{PIPELINE}:{stage}" for stage in stages]
    subprocess.run([sys.executable, "-m", "dvc", command, option, *targets], check=True)


if __name__ == "__main__":
    main()
