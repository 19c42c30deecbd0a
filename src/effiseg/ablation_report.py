"""The report of the ablation: Markdown, every number from the table it is given.

Paths of pictures are relative to docs/, where the report lies.
"""

from typing import Any, NamedTuple

import pandas as pd

from effiseg.ablation import check_ranking, write_value
from effiseg.markdown import write_span, write_table
from effiseg.recipe import Recipe


class Ablation(NamedTuple):
    """What the report tells."""

    screening: pd.DataFrame  # of effiseg.ablation.compare_variants, its first row the reference
    full: pd.DataFrame | None  # the same, at full size, of a few variants; None without runs
    recipes: dict[str, Recipe]  # the reference's, of "screening" and "full"
    waiting: list[str]  # names of variants without a run
    devices: list[str]  # what the runs were made with
    chosen: dict[str, tuple[Any, Any]]  # where improved differs: key, baseline's and its own value
    changes: dict[str, dict[str, Any]]  # by variant


def write_ablation(ablation: Ablation) -> str:
    """Markdown."""
    sections = [
        "# Ablation",
        _describe_protocol(ablation),
        "![Gain of each variant](../plots/ablation.png)",
        _gain_table(ablation.screening),
        "## What can be said",
        _describe_gains(ablation.screening),
        _describe_waiting(ablation.waiting),
        "## The choice",
        _describe_choice(ablation),
        "## Does the ranking carry over?",
        _describe_check(ablation),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _describe_protocol(ablation: Ablation) -> str:
    reference, recipe = ablation.screening.iloc[0], ablation.recipes["screening"]
    return (
        f"Every variant is the published recipe on `{recipe.encoder}`, {recipe.size} px, "
        f"{recipe.epochs} epochs, with the changes that are listed (`experiments/variants.yaml`). "
        "Each of its trainings has another seed, leaves out another fold of the training and "
        "validation images, and judges that fold at original size. The reference has "
        f"{reference.folds} such trainings, {reference.images} judged images. No test image takes "
        "part. `earlier_N` are the changes of an earlier re-run of the authors' code "
        "([earlier_ablation.csv](../data/earlier_ablation.csv)), `chosen` is section `improved` of "
        "`params.yaml` at a smaller size. Gains are paired, image by image, with the reference's "
        "training of the same fold and seed; intervals (95 %) are hierarchical bootstraps over "
        "folds and images. "
        f"Made with: {'; '.join(ablation.devices)}.\n\n"
        "Read it with care. At this size and schedule, changes that need long training or fine "
        "detail are probably underrated. Intervals are rough with so few folds, are not corrected "
        "for the number of variants, and share the reference's trainings, whose luck shifts all of "
        "them. Remedies of variants that follow the findings were derived from all folds, the "
        "judged one too. A variant that keeps the best epoch learns from a tenth fewer images, "
        "which choose it."
    )


def _gain_table(table: pd.DataFrame) -> str:
    """The reference, then the variants by gain."""
    ordered = pd.concat([table[:1], table[1:].sort_values("gain", ascending=False, kind="stable")])
    rows = [
        (
            f"`{row.variant}`",
            row.changes or "nothing",
            f"{row.work:.2g}",
            row.images,
            f"{row.dice:.4f}",
            f"{row.iou:.4f}",
            f"{row.nsd:.4f}",
            "" if row.verdict == "reference" else f"{row.gain:+.4f}",
            "" if pd.isna(row.low) else write_span(row.low, row.high),
            "" if row.verdict == "reference" else f"{row.folds_better} of {row.folds}",
            row.verdict,
        )
        for row in ordered.itertuples()
    ]
    head = ("variant", "changes", "training work", "images", "Dice", "IoU", "NSD", "gain in Dice")
    note = (
        "Training work: pixels that the training sees, as a multiple of the reference's; mirror "
        "images and scales cost nothing there, but multiply the work of every answer. NSD: "
        "normalised surface distance."
    )
    return f"{write_table((*head, '95 % interval', 'folds better', 'verdict'), rows)}\n\n{note}"


def _describe_gains(table: pd.DataFrame) -> str:
    groups = {
        "better": "Better, the interval above zero",
        "worse": "Worse, the interval below zero",
        "unsure": "Not distinguishable from the published recipe",
        "one fold": "With one fold so far, not compared",
    }
    ordered = table.sort_values("gain", ascending=False, kind="stable")
    members = {verdict: ordered[ordered["verdict"] == verdict] for verdict in groups}
    return "\n".join(
        f"- {title}: {_list_variants(members[verdict])}."
        for verdict, title in groups.items()
        if len(members[verdict])
    )


def _list_variants(group: pd.DataFrame) -> str:
    return ", ".join(f"`{row.variant}` ({row.gain:+.4f})" for row in group.itertuples())


def _describe_waiting(waiting: list[str]) -> str:
    if not waiting:
        return ""
    names = ", ".join(f"`{name}`" for name in waiting)
    return f"Planned and not run yet: {names}. `python -m experiments.screen` goes on with them."


def _describe_choice(ablation: Ablation) -> str:
    gains = ablation.screening.set_index("variant")
    rows = []
    for key, (old, new) in ablation.chosen.items():
        before, after = write_value(old), write_value(new)
        alone = [name for name in gains.index if list(ablation.changes[name]) == [key]]
        same = [name for name in alone if ablation.changes[name][key] == new]
        for name in same or alone:
            row = gains.loc[name]
            span = "" if pd.isna(row["low"]) else write_span(row["low"], row["high"])
            rows.append((f"`{key}`", before, after, row["changes"], f"{row['gain']:+.4f}", span))
        if not alone:
            rows.append((f"`{key}`", before, after, "not measured alone", "", ""))
    head = ("key", "baseline", "improved", "measured alone", "gain in Dice", "95 % interval")
    return (
        "Where the improved model of `params.yaml` differs from the baseline, and what the "
        f"ablation measured of it:\n\n{write_table(head, rows)}"
    )


def _describe_check(ablation: Ablation) -> str:
    recipe = ablation.recipes["full"]
    at = f"{recipe.size} px and {recipe.epochs} epochs"
    if ablation.full is None or len(ablation.full) < 2:
        return f"Not known yet: no variant has been run at {at}."
    check = check_ranking(ablation.screening, ablation.full)
    correlation = (
        f"Over {check['variants']} variants, Spearman's correlation of the two gains is "
        f"{check['spearman']:+.2f}."
        if check["variants"] > 2
        else "Too few for a correlation."
    )
    return (
        f"At {at}, the schedule of the pipeline, on the folds that were run. {correlation}\n\n"
        f"{_gain_table(ablation.full)}"
    )
