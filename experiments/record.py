"""Record in experiments/dvc.lock what the plain commands made, so that `dvc repro` keeps it.

    python -m experiments.record

Reads   experiments/dvc.yaml, experiments/runs/, experiments/seeds/
Writes  experiments/dvc.lock, and experiments/{screen,seeds}.sha256

Seeds that dvc.yaml does not list are named and left out.
"""

import subprocess
import sys
from pathlib import Path

from effiseg.params import read_yaml
from experiments.plan import read_checked, read_folds, read_variants
from experiments.screen import is_done
from experiments.seeds import SEEDS, label_of, require_current

PIPELINE = Path("experiments/dvc.yaml")


def main() -> None:
    run_dvc("repro", "--single-item", [f"engine@{name}" for name in ("screen", "seeds")])
    screening, full = read_variants("screening"), read_variants("full")
    runs = [
        f"{variant.schedule}@{variant.name}-{fold}"
        for variant in [*screening.values(), *(full[name] for name in read_checked())]
        for fold in read_folds()
        if is_done(variant, fold)
    ]
    runs += list_seeds()
    run_dvc("commit", "--force", runs)
    print(f"recorded {len(runs)} runs")


def list_seeds() -> list[str]:
    """The stages of the seeds that are there. Raises ValueError where one is of another recipe."""
    stages = read_yaml(PIPELINE)["stages"]
    listed = []
    for path in sorted(SEEDS.glob("*/seed-*")):
        require_current(path)
        stage, label = f"seeds_{path.parent.name}", label_of(path)
        if label in map(str, stages[stage]["matrix"]["seed"]):
            listed.append(f"{stage}@{label}")
        else:
            print(f"{path} is left out: {PIPELINE} lists no seed {label} in {stage}")
    return listed


def run_dvc(command: str, option: str, stages: list[str]) -> None:
    """`dvc COMMAND OPTION` for stages of the experiments. Raises CalledProcessError."""
    targets = [f"{PIPELINE}:{stage}" for stage in stages]
    subprocess.run([sys.executable, "-m", "dvc", command, option, *targets], check=True)


if __name__ == "__main__":
    main()
