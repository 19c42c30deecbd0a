"""The part that says the results in plain words, in the words that `effiseg explain` has."""

from pathlib import Path

from effiseg.results_summary import tell_results
from effiseg.summary import Language


def write_plain(root: Path, language: Language) -> str:
    """A paragraph each."""
    return "\n\n".join(paragraph.text for paragraph in tell_results(root, language))
