"""Parts that several reports write in Markdown."""

from collections.abc import Sequence
from typing import Any


def write_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with one line a row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def list_findings(findings: list[dict[str, Any]]) -> str:
    """Each finding with its remedy and what that is predicted to gain (see effiseg.remedies)."""
    lines = []
    for finding in findings:
        line = f"- {finding['statement']}"
        if not finding["switched_on"]:
            lines.append(f"{line} No remedy is switched on.")
            continue
        remedy = ", ".join(f"{key} {value}" for key, value in finding["remedy"].items())
        prediction = finding["prediction"]
        lines.append(
            f"{line} Remedy: {remedy}. Predicted gain in Dice: {prediction['gain']:+.3f} "
            f"({prediction['stratum']})."
        )
    return "\n".join(lines)
