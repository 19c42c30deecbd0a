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
    run_dvc("repro", "--single-item", [f"engine@{name}" for name in ("screen", "seeds")])
    screening, full = read_variants("screening"), read_variants("full")
    runs = [
        f"{variant.schedule}@{variant.name}-{fold}"
        for variant in [*screening.values(), *(full[name] for name in read_checked())]
        for fold in read_folds()
        if is_done(variant, fold)
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
