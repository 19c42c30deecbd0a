"""List every improved recipe that was ever scored on the test images: metrics/recipes.csv.

    python tools/list_recipes.py

Reads   the git history of metrics/comparison.json, each time with params.yaml and
        analysis/findings.yaml as they were
Writes  metrics/recipes.csv, a row each time it changed, the oldest first: commit, date, changes
        (against the baseline that params.yaml has now), baseline, improved (mean Dice), gain, low,
        high (95 % interval over images)

A test set that chose between recipes would be no test set: here everybody can see how often it was
looked at.
"""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from effiseg.ablation import write_changes
from effiseg.files import write_text

ROOT = Path(__file__).resolve().parents[1]
SCORED = "metrics/comparison.json"
COLUMNS = ("commit", "date", "changes", "baseline", "improved", "gain", "low", "high")


def main() -> None:
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        sys.exit("This clone has no history: git fetch --unshallow")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([COLUMNS, *list_recipes()])
    write_text(ROOT / "metrics" / "recipes.csv", table.getvalue())


def list_recipes() -> list[tuple[str, ...]]:
    """The rows of the table."""
    usual = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["baseline"]
    log = git("log", "--reverse", "--format=%h %cs", "--abbrev=7", "--", SCORED)
    return [describe_commit(*line.split(), usual) for line in log.splitlines()]


def describe_commit(commit: str, date: str, usual: dict[str, Any]) -> tuple[str, ...]:
    """The row of one commit; its recipe's changes are against `usual`."""
    scores = [
        json.loads(git("show", f"{commit}:metrics/{model}.json"))["dice"]
        for model in ("baseline", "improved")
    ]
    comparison = json.loads(git("show", f"{commit}:{SCORED}"))
    recipe = yaml.safe_load(git("show", f"{commit}:params.yaml"))["improved"]
    findings = yaml.safe_load(git("show", f"{commit}:analysis/findings.yaml"))
    changes = {key: value for key, value in recipe.items() if value != usual.get(key)}
    kinds = {f["remedy"]["kind"] for f in findings if f["switched_on"]}
    remedies = sorted(kinds) if changes.pop("follow_findings", False) else []
    told = ", ".join(filter(None, [write_changes(changes), *(f"remedy {k}" for k in remedies)]))
    gains = (comparison[f"dice_gain{end}"] for end in ("", "_low", "_high"))
    return commit, date, told, *(f"{number:.6f}" for number in (*scores, *gains))


def git(*words: str) -> str:
    """What git prints. Raises CalledProcessError."""
    command = ["git", "-c", "log.showSignature=false", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return done.stdout.decode()


if __name__ == "__main__":
    main()
