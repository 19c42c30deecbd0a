"""Summaries in plain language: what a row of the error analysis says of an image.

Every sentence is a template of `effiseg.sentences`, filled with values of the tables, so that each
number can be found there again. A language model may reword a paragraph: `effiseg.rewriting`.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from effiseg.answers import RULES
from effiseg.confidence import POOR_DICE
from effiseg.error_kinds import GOOD_DICE, KINDS
from effiseg.files import read_table, show
from effiseg.findings import STRATA, assign_strata, find_limits, read_limits
from effiseg.sentences import IMAGE, WORDS

Language = Literal["en", "ko"]
LANGUAGES = ("en", "ko")
COUNTS = ("tp", "fp", "fn", "lesions_missed", "lesions_found", "lesions_false")
SHARES = ("dice", "area_fraction", "expected_dice", "confidence")  # 0 to 1


class Paragraph(NamedTuple):
    """A few sentences."""

    text: str
    names: tuple[str, ...] = ()  # in it, that must stay as they are
    is_fixed: bool = False  # what can be claimed, and what can't: nobody rewords it


def read_rows(path: Path) -> pd.DataFrame:
    """A table of judged images with a bool column for each stratum, lowest Dice first.

    It is analysis/images.csv, or images.csv of `effiseg evaluate`. The limits of the strata are
    those of limits.csv beside it; without such a file, the quartiles of the table itself.

    Raises:
        ValueError: it is no such table, or what would be told of an image is missing.
    """
    attributes = sorted({stratum.attribute for stratum in STRATA.values()})
    images = read_table(path, ["name", "kind"], ["dice", *COUNTS, *attributes])
    _check_told(path, images)
    if "expected_dice" not in images:
        images = images.rename(columns={"confidence": "expected_dice"})
    beside = path.parent / "limits.csv"
    limits = read_limits(beside) if beside.is_file() else find_limits(images)
    strata = assign_strata(images, limits).drop(columns="name")
    images = pd.concat([images, strata], axis=1)
    return images.sort_values("dice", kind="stable", ignore_index=True)


def _check_told(path: Path, images: pd.DataFrame) -> None:
    """What is told of every image stands in every row; attributes behind strata may be unknown."""
    names = images["name"]
    if names.isna().any() or names.duplicated().any():
        raise ValueError(f"{path}: column name does not name every image once")
    refuse_unknown(path, "kind", images["kind"], KINDS)
    for column in (*SHARES, *COUNTS):
        if column not in images:
            continue
        top, values = 1 if column in SHARES else math.inf, images[column]
        if not pd.api.types.is_numeric_dtype(values) or not values.between(0, top).all():
            raise ValueError(f"{path}: column {column} is not of numbers from 0 to {top} alone")
    if "suspect" in images:
        check_suspects(path, images["suspect"])
    if "warnings" in images:
        words = images["warnings"].dropna().astype(str).str.split("; ").explode()
        refuse_unknown(path, "warnings", words, RULES)


def check_suspects(path: Path, column: pd.Series) -> None:
    """Raises ValueError where a column says anything but True or False."""
    if not pd.api.types.is_bool_dtype(column):
        raise ValueError(f"{path}: column suspect is not of True and False alone")


def refuse_unknown(
    path: Path, column: str, found: Iterable[object], known: Collection[str]
) -> None:
    """Raises ValueError where a word is found that has no sentence."""
    unknown = [value for value in found if value not in known]
    if unknown:
        raise ValueError(f"{path}: {column} {show(unknown[0])} is none of {', '.join(known)}")


def tell_image(row: Mapping[str, Any], language: Language) -> Paragraph:
    """What is wrong with the answer for an image, and whether the model knew.

    Args:
        row: of the table of `read_rows`.
    """
    say = IMAGE[language]
    sentences = [
        say[row["kind"]].format(name=row["name"]),
        say["agreement"].format(dice=_show_dice(row["dice"]), limit=GOOD_DICE),
        *_tell_pixels(row, say),
        *_tell_picture(row, language),
        *_tell_confidence(row, language),
    ]
    words = [*_list_strata(row), *_list_warnings(row)]
    return Paragraph(" ".join(sentences), (row["name"], *(translate(w, language) for w in words)))


def _tell_pixels(row: Mapping[str, Any], say: dict[str, str]) -> list[str]:
    marked, polyp = row["tp"] + row["fp"], row["tp"] + row["fn"]
    if not polyp:
        return [say["no polyp"]] + ([] if marked else [say["nothing marked"]])
    if not marked:
        return [say["nothing marked"]]
    shares = {"missed": show_percent(row["fn"] / polyp), "added": show_percent(row["fp"] / marked)}
    sentences = [say["pixels"].format(**shares)]
    lesions = row["lesions_found"] + row["lesions_missed"]
    if lesions > 1 or row["lesions_missed"] or row["lesions_false"]:
        counts = {"found": row["lesions_found"], "all": lesions, "false": row["lesions_false"]}
        sentences.append(say["lesions"].format(**{k: f"{v:.0f}" for k, v in counts.items()}))
    return sentences


def _tell_picture(row: Mapping[str, Any], language: Language) -> list[str]:
    say = IMAGE[language]
    sentences = [say["area"].format(area=show_percent(row["area_fraction"]))]
    if strata := _list_strata(row):
        sentences.append(say["strata"].format(strata=_list_words(strata, language)))
    if row.get("suspect"):
        sentences.append(say["suspect"])
    return sentences


def _tell_confidence(row: Mapping[str, Any], language: Language) -> list[str]:
    say, sentences = IMAGE[language], []
    if "expected_dice" in row:
        is_poor, is_unsure = row["dice"] < POOR_DICE, row["expected_dice"] < POOR_DICE
        poor, good = ("did not know", "knew"), ("sure", "doubted")
        template = say[(poor if is_poor else good)[bool(is_unsure)]]
        expected = _show_dice(row["expected_dice"])
        sentences.append(template.format(expected=expected, poor=POOR_DICE))
    if "warnings" in row:
        warnings = _list_warnings(row)
        text = say["warnings" if warnings else "no warnings"]
        sentences.append(text.format(warnings=_list_words(warnings, language)))
    return sentences


def _show_dice(dice: float) -> str:
    """Two digits, or as many as show on which side of poor, good and perfect it is."""
    limits = (POOR_DICE, GOOD_DICE, 1.0)
    texts = [f"{dice:.{digits}f}" for digits in range(2, 7)]
    right = (text for text in texts if all((float(text) < x) == (dice < x) for x in limits))
    return next(right, texts[-1])


def show_percent(share: float) -> str:
    """Two digits, or as many as show that a share of 0..1 is neither nothing nor everything."""
    number = 100 * share
    digits = range(0 if number >= 9.95 or number == 0 else 1, 7)
    texts = [f"{number:.{count}f}" for count in digits]
    right = (text for text in texts if (0 < float(text) < 100) == (0 < share < 1))
    return f"{next(right, texts[-1])} %"


def _list_strata(row: Mapping[str, Any]) -> list[str]:
    return [name for name in STRATA if row[name]]


def _list_warnings(row: Mapping[str, Any]) -> list[str]:
    return [word for word in str(row.get("warnings", "")).split("; ") if word in RULES]


def _list_words(words: list[str], language: Language) -> str:
    return ", ".join(translate(word, language) for word in words)


def translate(word: str, language: Language) -> str:
    """A word of the tables in the language of the summary."""
    return WORDS[word] if language == "ko" else word
