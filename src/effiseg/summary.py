"""Summaries in plain language: what a row of the error analysis says, and what all results say.

Every sentence is a template of `effiseg.sentences`, filled with values of committed tables, so that
each number can be found there again. A language model may reword a paragraph: `effiseg.rewriting`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from effiseg.confidence import POOR_DICE
from effiseg.error_kinds import GOOD_DICE, KINDS
from effiseg.files import read_table
from effiseg.findings import EVIDENT, STRATA, assign_strata, find_limits, read_limits
from effiseg.sentences import IMAGE, RESULTS, WORDS

Language = Literal["en", "ko"]
LANGUAGES = ("en", "ko")
COUNTS = ("tp", "fp", "fn", "lesions_missed", "lesions_found", "lesions_false")
NAMED = 3  # kinds of error and strata in the summary of all results


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
        ValueError: it is no such table.
    """
    attributes = sorted({stratum.attribute for stratum in STRATA.values()})
    images = read_table(path, ["name", "kind"], ["dice", *COUNTS, *attributes])
    unknown = sorted(set(images["kind"]) - set(KINDS))
    if unknown:
        raise ValueError(f"{path}: kind {unknown[0]!r} is none of {', '.join(KINDS)}")
    if "expected_dice" not in images:
        images = images.rename(columns={"confidence": "expected_dice"})
    beside = path.parent / "limits.csv"
    limits = read_limits(beside) if beside.is_file() else find_limits(images)
    strata = assign_strata(images, limits).drop(columns="name")
    images = pd.concat([images, strata], axis=1)
    return images.sort_values("dice", kind="stable", ignore_index=True)


def tell_image(row: Mapping[str, Any], language: Language) -> Paragraph:
    """What is wrong with the answer for an image, and whether the model knew.

    Args:
        row: of the table of `read_rows`.
    """
    say = IMAGE[language]
    sentences = [
        say[row["kind"]].format(name=row["name"]),
        say["agreement"].format(dice=f"{row['dice']:.2f}", limit=GOOD_DICE),
        *_tell_pixels(row, say),
        *_tell_picture(row, language),
        *_tell_confidence(row, language),
    ]
    return Paragraph(" ".join(sentences), (row["name"],))


def _tell_pixels(row: Mapping[str, Any], say: dict[str, str]) -> list[str]:
    marked, polyp = row["tp"] + row["fp"], row["tp"] + row["fn"]
    if not polyp:
        return [say["no polyp"]] + ([] if marked else [say["nothing marked"]])
    if not marked:
        return [say["nothing marked"]]
    shares = {"missed": _percent(row["fn"] / polyp), "added": _percent(row["fp"] / marked)}
    sentences = [say["pixels"].format(**shares)]
    lesions = row["lesions_found"] + row["lesions_missed"]
    if lesions > 1 or row["lesions_missed"] or row["lesions_false"]:
        counts = {"found": row["lesions_found"], "all": lesions, "false": row["lesions_false"]}
        sentences.append(say["lesions"].format(**{k: f"{v:.0f}" for k, v in counts.items()}))
    return sentences


def _tell_picture(row: Mapping[str, Any], language: Language) -> list[str]:
    say = IMAGE[language]
    sentences = [say["area"].format(area=_percent(row["area_fraction"]))]
    strata = [name for name in STRATA if row[name]]
    if strata:
        sentences.append(say["strata"].format(strata=_list_words(strata, language)))
    if row.get("suspect"):
        sentences.append(say["suspect"])
    return sentences


def _tell_confidence(row: Mapping[str, Any], language: Language) -> list[str]:
    say, sentences = IMAGE[language], []
    if "expected_dice" in row:
        is_poor, is_unsure = row["dice"] < POOR_DICE, row["expected_dice"] < POOR_DICE
        poor, good = ("did not know", "knew"), ("sure", "doubted")
        template = say[(poor if is_poor else good)[is_unsure]]
        sentences.append(template.format(expected=f"{row['expected_dice']:.2f}", poor=POOR_DICE))
    if "warnings" in row:
        warnings = [word for word in str(row["warnings"] or "").split("; ") if word in WORDS]
        text = say["warnings" if warnings else "no warnings"]
        sentences.append(text.format(warnings=_list_words(warnings, language)))
    return sentences


def tell_results(root: Path, language: Language) -> list[Paragraph]:
    """What all results of the pipeline say, from what is committed below `root`.

    Reads   analysis/{images,kinds,strata}.csv, analysis/summary.json, data/split.csv,
            experiments/ablation.csv, metrics/{proof.json,seeds.csv,warnings_improved.csv}

    Raises:
        OSError: one of them is missing.
    """
    say = RESULTS[language]
    proof, summary = (
        json.loads((root / path).read_text(encoding="utf-8"))
        for path in ("metrics/proof.json", "analysis/summary.json")
    )
    split = pd.read_csv(root / "data/split.csv")["split"].value_counts()
    images = pd.read_csv(root / "analysis/images.csv")
    texts = [
        say["task"].format(train=split["train"], test=split["test"]),
        say["scores"].format(**_read_scores(root, proof)),
        _tell_gain(proof, say),
        _tell_errors(root, len(images), language),
        _tell_limits_of_knowledge(summary, int(images["suspect"].sum()), say),
        say["changes"].format(**_count_changes(root)),
        say["warnings"].format(**_count_warnings(root)),
        say["limits"],
    ]
    fixed = {2, len(texts) - 1}
    return [Paragraph(text, is_fixed=n in fixed) for n, text in enumerate(texts)]


def _read_scores(root: Path, proof: dict[str, Any]) -> dict[str, Any]:
    dice = pd.read_csv(root / "metrics/seeds.csv").groupby("model")["dice"]
    scores = {model: f"{mean:.3f}" for model, mean in dice.mean().items()}
    counts = {f"{model}_seeds": number for model, number in dice.size().items()}
    return scores | counts | {key: proof[key] for key in ("wins", "losses", "ties")}


def _tell_gain(proof: dict[str, Any], say: dict[str, str]) -> str:
    low, high = proof["dice_gain_low"], proof["dice_gain_high"]
    verdict = "better" if low > 0 else "worse" if high < 0 else "not shown"
    return say[verdict].format(low=f"{low:+.4f}", high=f"{high:+.4f}")


def _tell_errors(root: Path, analysed: int, language: Language) -> str:
    say = RESULTS[language]
    kinds = pd.read_csv(root / "analysis/kinds.csv").set_index("kind")["images"]
    others = kinds.drop("good", errors="ignore").nlargest(NAMED)
    words = [f"{_translate(kind, language)} ({number})" for kind, number in others.items()]
    good = _percent(kinds.get("good", 0) / analysed)
    text = say["errors"].format(
        analysed=analysed, good=good, limit=GOOD_DICE, kinds=", ".join(words)
    )
    strata = pd.read_csv(root / "analysis/strata.csv")
    hard = strata[(strata["high"] < 0) & (strata["p_holm"] < EVIDENT)].head(NAMED)
    if hard.empty:
        return f"{text} {say['nothing hard']}"
    words = [
        f"{_translate(row.stratum, language)} ({row.dice:.2f} / {row.dice_elsewhere:.2f})"
        for row in hard.itertuples()
    ]
    return f"{text} {say['hard'].format(strata=', '.join(words))}"


def _tell_limits_of_knowledge(
    summary: dict[str, Any], suspects: int, say: dict[str, str]
) -> str:
    explained = _percent(max(summary["r2_forest"], 0.0))
    sentences = [say["unexplained"].format(explained=explained, suspects=suspects)]
    if summary["annotators_frames"]:
        values = {"frames": summary["annotators_frames"]}
        values["annotators"] = f"{summary['annotators_dice']:.2f}"
        sentences.insert(0, say["annotators"].format(**values))
    return " ".join(sentences)


def _count_changes(root: Path) -> dict[str, int]:
    table = pd.read_csv(root / "experiments/ablation.csv")
    verdicts = table.loc[table["schedule"] == "screening", "verdict"]
    judged = verdicts[verdicts.isin(["better", "unsure", "worse"])]
    return {"tried": len(judged), "better": int((judged == "better").sum())}


def _count_warnings(root: Path) -> dict[str, Any]:
    table = pd.read_csv(root / "metrics/warnings_improved.csv").set_index("warning")
    row = table.loc["any warning"]
    return {
        "warned": row["images"], "judged": row["images"] + row["others"],
        "poor": row["poor"] + row["poor_others"], "found": row["poor"], "poor_dice": POOR_DICE,
    }  # fmt: skip


def _percent(share: float) -> str:
    number = 100 * share
    return f"{number:.0f} %" if number >= 9.95 or number == 0 else f"{number:.1f} %"


def _list_words(words: list[str], language: Language) -> str:
    return ", ".join(_translate(word, language) for word in words)


def _translate(word: str, language: Language) -> str:
    return WORDS[word] if language == "ko" else word
