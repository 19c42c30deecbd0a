"""What is committed, read as it lies there; and the cells that several tables have."""

import csv
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Part = Callable[[Path], str]  # from the repository's root to the text
MODELS = ("baseline", "improved")
INTERVAL = "95 % interval"


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def read_json(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_scores(root: Path, model: str) -> dict:
    """The committed scores of a model, or of their comparison."""
    return read_json(root / "metrics" / f"{model}.json")


def read_published(root: Path) -> list[dict[str, str]]:
    """The paper's pre-trained variants."""
    rows = read_rows(root / "data" / "published.csv")
    return [row for row in rows if row["pretrained"] == "yes"]


def name_published(row: dict[str, str]) -> str:
    """What tables call a row of data/published.csv."""
    start = "" if row["pretrained"] == "yes" else ", from scratch"
    return f"EffiSegNet-{row['variant']}{start}, paper"


def read_last_validation(root: Path, model: str) -> float:
    """Mean Dice on the validation images after a model's last epoch."""
    curves = read_rows(root / "plots" / "learning_curves.csv")
    return [float(row["validation_dice"]) for row in curves if row["model"] == model][-1]


def read_seeds(root: Path) -> dict[str, list[dict[str, str]]]:
    """The scored trainings of each model."""
    runs = read_rows(root / "metrics" / "seeds.csv")
    return {model: [run for run in runs if run["model"] == model] for model in MODELS}


def read_screening(root: Path) -> list[dict[str, str]]:
    """The ablation's table, of the schedule that all variants have."""
    rows = read_rows(root / "experiments" / "ablation.csv")
    return [row for row in rows if row["schedule"] == "screening"]


def start_table(*titles: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]


def write_mean(values: list[float]) -> str:
    """The mean, and the standard deviation of two or more."""
    spread = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def write_gain(row: dict) -> str:
    """Two cells: the gain, and its interval where there is one."""
    known = row["low"] not in (None, "")
    span = f"{float(row['low']):+.4f} to {float(row['high']):+.4f}" if known else ""
    return f"{float(row['gain']):+.4f} | {span}"
