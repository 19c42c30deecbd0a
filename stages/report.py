"""Stage report: the scores of the model that is to be compared across git revisions.

Reads   params.yaml [report], metrics/{baseline,improved}.json
Writes  metrics/metrics.json

`dvc metrics diff A B` compares one file in two revisions; `make revisions` names two that differ in
this file and in report.model alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from effiseg.files import write_text
from effiseg.params import load_section
from stages.alone import run_alone


@dataclass(frozen=True, kw_only=True)
class Report:
    """Section `report`."""

    model: Literal["baseline", "improved"]


def main() -> None:
    model = load_section("report", Report).model
    scores = Path(f"metrics/{model}.json").read_text(encoding="utf-8")
    write_text(Path("metrics/metrics.json"), scores)


if __name__ == "__main__":
    run_alone(main)
