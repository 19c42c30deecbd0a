"""Parts that several reports write in Markdown."""

from collections.abc import Sequence
from typing import Any

import pandas as pd


def write_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with one line a row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write_span(low: float | None, high: float | None) -> str:
    """An interval of signed numbers; None or NaN where images are too few for one."""
    return "too few images" if pd.isna(low) or pd.isna(high) else f"{low:+.4f} to {high:+.4f}"


def list_findings(findings: list[dict[str, Any]]) -> str:
    """Each finding with its remedy and what that is predicted to gain (see effiseg.remedies)."""
    lines = []
    for finding in findings:
        line = f"- {finding['statement']}"
        remedy = ", ".join(f"{key} {value}" for key, value in finding["remedy"].items())
        if not finding["switched_on"]:
            is_known = finding["remedy"]["kind"] != "none"
            end = f"Remedy, not switched on: {remedy}." if is_known else "It asks for no remedy."
            lines.append(f"{line} {end}")
            continue
        prediction = finding["prediction"]
        lines.append(
            f"{line} Remedy: {remedy}. Predicted gain in Dice: {prediction['gain']:+.3f} "
            f"({prediction['stratum']})."
        )
    return "\n".join(lines)
