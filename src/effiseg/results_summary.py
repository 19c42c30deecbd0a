"""What all results of the pipeline say, in plain language: see `effiseg.summary`."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from effiseg.confidence import POOR_DICE
from effiseg.error_kinds import GOOD_DICE, KINDS
from effiseg.files import cut_short, read_table
from effiseg.findings import STRATA, select_hard
from effiseg.sentences import RESULTS
from effiseg.summary import (
    Language,
    Paragraph,
    check_suspects,
    refuse_unknown,
    show_percent,
    translate,
)

PROOF = ("wins", "losses", "ties")
NAMED = 3  # kinds of error


def tell_results(root: Path, language: Language) -> list[Paragraph]:
    """What all results of the pipeline say, from what is committed below `root`.

    Reads   analysis/{images,kinds,strata}.csv, analysis/summary.json, data/split.csv,
            experiments/ablation.csv, metrics/{proof.json,seeds.csv,warnings_improved.csv}

    Raises:
        OSError: one of them is missing.
        ValueError: one of them lacks something.
    """
    say = RESULTS[language]
    proof = _read_numbers(root / "metrics/proof.json", PROOF)
    split = read_table(root / "data/split.csv", ["split"])["split"].value_counts()
    images = read_table(root / "analysis/images.csv", ["name"], ["suspect"])
    check_suspects(root / "analysis/images.csv", images["suspect"])
    _require(root / "data/split.csv", split.index, ["train", "test"])
    return [
        Paragraph(say["task"].format(train=split["train"], test=split["test"])),
        Paragraph(say["scores"].format(**_read_scores(root, proof)), is_fixed=True),
        Paragraph(_tell_gain(root, say), is_fixed=True),
        _tell_errors(root, len(images), language),
        Paragraph(_tell_limits_of_knowledge(root, int(images["suspect"].sum()), say)),
        Paragraph(say["variants"].format(**count_variants(root)), is_fixed=True),
        Paragraph(say["warnings"].format(**_count_warnings(root))),
        Paragraph(say["limits"], is_fixed=True),
    ]


def _read_scores(root: Path, proof: dict[str, Any]) -> dict[str, Any]:
    path = root / "metrics/seeds.csv"
    table = read_table(path, ["model"], ["dice"])
    _require(path, table["model"], ["baseline", "improved"])
    dice = table.groupby("model")["dice"]
    scores = {model: f"{mean:.3f}" for model, mean in dice.mean().items()}
    counts = {f"{model}_seeds": number for model, number in dice.size().items()}
    return scores | counts | proof


def _tell_gain(root: Path, say: dict[str, str]) -> str:
    """In the cases of `effiseg.proof.judge_gain`."""
    path, ends = root / "metrics/proof.json", ("dice_gain_low", "dice_gain_high")
    if all(value is None for value in _read_keys(path, ends).values()):
        return say["too few images"]
    low, high = _read_numbers(path, ends).values()
    seeds = read_table(root / "metrics/seeds.csv", ["model"])["model"].value_counts()
    verdict = "better" if low > 0 else "worse" if high < 0 else "not shown"
    told = "one seed" if seeds.min() < 2 else verdict
    return say[told].format(low=_show_gain(low), high=_show_gain(high))


def _tell_errors(root: Path, analysed: int, language: Language) -> Paragraph:
    say = RESULTS[language]
    path = root / "analysis/kinds.csv"
    kinds = read_table(path, ["kind"], ["images"]).set_index("kind")["images"]
    refuse_unknown(path, "kind", kinds.index, KINDS)
    others = kinds.drop("good", errors="ignore").nlargest(NAMED)
    names = [translate(kind, language) for kind in others.index]
    counts = [f"{name} ({number})" for name, number in zip(names, others, strict=True)]
    good = show_percent(kinds.get("good", 0) / analysed)
    text = say["errors"].format(
        analysed=analysed, good=good, limit=GOOD_DICE, kinds=", ".join(counts)
    )
    hard = read_hard_strata(root)
    if hard.empty:
        return Paragraph(f"{text} {say['nothing hard']}", tuple(names))
    words = []
    for row in hard.itertuples():
        names.append(translate(row.stratum, language))
        words.append(f"{names[-1]} ({row.dice:.2f} / {row.dice_elsewhere:.2f})")
    return Paragraph(f"{text} {say['hard'].format(strata=', '.join(words))}", tuple(names))


def read_hard_strata(root: Path) -> pd.DataFrame:
    """stratum, dice, dice_elsewhere, ...: the strata that the error analysis has shown to be hard.

    Raises ValueError where analysis/strata.csv is no table of strata.
    """
    path = root / "analysis/strata.csv"
    strata = read_table(path, ["stratum"], ["dice", "dice_elsewhere", "high", "p_holm"])
    refuse_unknown(path, "stratum", strata["stratum"], STRATA)
    return select_hard(strata)


def _tell_limits_of_knowledge(root: Path, suspects: int, say: dict[str, str]) -> str:
    path = root / "analysis/summary.json"
    summary = _read_numbers(path, ("r2_forest", "annotators_frames"))
    explained = show_percent(max(summary["r2_forest"], 0.0))
    sentences = [say["unexplained"].format(explained=explained, suspects=suspects)]
    if summary["annotators_frames"]:
        summary |= _read_numbers(path, ("annotators_dice",))
        values = {"frames": summary["annotators_frames"]}
        values["annotators"] = f"{summary['annotators_dice']:.2f}"
        sentences.insert(0, say["annotators"].format(**values))
    return " ".join(sentences)


def count_variants(root: Path) -> dict[str, int]:
    """tried, better: variants of the ablation that have an interval, and those above zero."""
    table = read_table(root / "experiments/ablation.csv", ["verdict", "schedule"])
    verdicts = table.loc[table["schedule"] == "screening", "verdict"]
    judged = verdicts[verdicts.isin(["better", "unsure", "worse"])]
    return {"tried": len(judged), "better": int((judged == "better").sum())}


def _count_warnings(root: Path) -> dict[str, Any]:
    path = root / "metrics/warnings_improved.csv"
    numbers = ["images", "others", "poor", "poor_others"]
    table = read_table(path, ["warning"], numbers).set_index("warning")
    _require(path, table.index, ["any warning"])
    row = table.loc["any warning"]
    return {
        "warned": row["images"], "judged": row["images"] + row["others"],
        "poor": row["poor"] + row["poor_others"], "found": row["poor"], "poor_dice": POOR_DICE,
    }  # fmt: skip


def _read_keys(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """What a JSON file says under these keys. Raises ValueError where it lacks one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: found[key] for key in keys}
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        reason = cut_short(error)
        raise ValueError(f"{path} has no keys {', '.join(keys)} ({reason})") from error


def _read_numbers(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """The same, of finite numbers."""
    numbers = _read_keys(path, keys)
    for key, value in numbers.items():
        if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
            raise ValueError(f"{path}: {key} is no finite number")
    return numbers


def _require(path: Path, found: Iterable[object], expected: Iterable[str]) -> None:
    missing = sorted(set(expected) - set(found))
    if missing:
        raise ValueError(f"{path} has no row of {missing[0]!r}")


def _show_gain(gain: float) -> str:
    """Four digits, or more where these would be zero though the gain is not."""
    texts = [f"{gain:+.{digits}f}" for digits in range(4, 7)]
    return next((text for text in texts if bool(float(text)) == bool(gain)), texts[-1])
