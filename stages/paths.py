"""Where the stages find what they share."""

from pathlib import Path

RAW, SPLIT = Path("data/raw"), Path("data/split.csv")
FINDINGS, SAMPLING = Path("analysis/findings.yaml"), Path("analysis/sampling.csv")


def arrays_of(model: str) -> Path:
    """The images at the input size of `baseline` or `improved`: see effiseg.arrays."""
    return Path("data/arrays") / model
