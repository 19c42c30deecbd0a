"""The report of the error analysis: Markdown, every number from the tables it is given.

Paths of pictures are relative to docs/, where the report lies.
"""

from typing import Any, NamedTuple

import pandas as pd

from effiseg.confidence import POOR_DICE
from effiseg.error_kinds import GOOD_DICE
from effiseg.findings import EVIDENT, select_hard
from effiseg.markdown import list_findings, write_table

SHOWN_ODDS = 12


class Analysis(NamedTuple):
    """What the error analysis found; tables as the modules that make them describe them."""

    folds: int  # 0: the validation images alone
    fold_epochs: int
    epochs: int  # of the baseline itself
    images: pd.DataFrame  # of the stage error_analysis
    kinds: pd.DataFrame  # of effiseg.error_kinds.budget_pixels
    attributes: pd.DataFrame  # of effiseg.causes.score_attributes
    odds: pd.DataFrame  # of effiseg.causes.score_odds
    strata: pd.DataFrame  # of effiseg.findings.score_strata
    reliability: pd.DataFrame  # of effiseg.confidence.tabulate_reliability
    warnings: pd.DataFrame  # of effiseg.confidence.score_warnings
    tree: str
    summary: dict[str, float | None]  # of grow_tree and compare_with_annotators
    findings: list[dict[str, Any]]
    least_images: int  # in a stratum that is spoken of


def write_analysis(analysis: Analysis) -> str:
    """Markdown."""
    sections = [
        "# Where the baseline is wrong, and what goes with it",
        _describe_protocol(analysis),
        "## Main findings",
        "\n".join(f"{n}. {text}" for n, text in enumerate(_main_findings(analysis), start=1)),
        "## Kinds of error",
        _kind_table(analysis.kinds),
        "Rules, in this order: `src/effiseg/error_kinds.py`. Each image has exactly one kind.",
        "![Images and wrong pixels by kind](../plots/kinds.png)",
        "![The worst images of each kind](../plots/worst_by_kind.png)",
        "## Strata",
        _strata_table(analysis.strata),
        "p is of the Mann-Whitney test, which compares ranks, after Holm's correction for all "
        "strata; the interval is of the difference of means, not corrected for their number: they "
        f"may disagree. A stratum of at least {analysis.least_images} images counts as hard where "
        f"the interval lies below zero and p is below {EVIDENT}.",
        "![Dice by stratum](../plots/strata.png)",
        "## Attributes and Dice",
        _attribute_table(analysis.attributes),
        "Definitions and units: `src/effiseg/attributes.py`. p is of the rank correlation, after "
        "Holm's correction for all attributes.",
        "## Which images get which kind of error",
        _odds_table(analysis),
        "## In a small tree, and what stays unexplained",
        f"```\n{analysis.tree.strip()}\n```",
        _describe_unexplained(analysis),
        "## Is the annotation wrong?",
        _describe_suspects(analysis),
        "![Annotation suspects](../plots/suspects.png)",
        "## When to distrust an answer",
        _warning_table(analysis.warnings),
        _describe_calibration(analysis),
        "## What follows",
        list_findings(analysis.findings),
    ]
    return "\n\n".join(sections) + "\n"


def _describe_protocol(analysis: Analysis) -> str:
    number = len(analysis.images)
    if analysis.folds:
        how = (
            f"Cross-fitting: {analysis.folds} models of the baseline's recipe, each trained "
            f"without one fold of the training and validation images, judge {number} images that "
            f"they have not seen; near duplicates share a fold. {_compare_epochs(analysis)}"
        )
    else:
        how = f"The baseline judges the {number} validation images."
    return (
        f"Written by the stage `error_analysis`. {how} Test images are not looked at. Mean Dice of "
        f"the analysed images: {analysis.images['dice'].mean():.4f}; every one of them is a row of "
        "`analysis/images.csv`.\n\n"
        "What goes together need not be cause and effect: strata overlap, and a property that "
        "nobody measured may stand behind two that go together. What a remedy does, only a "
        "training with it shows."
    )


def _compare_epochs(analysis: Analysis) -> str:
    if analysis.fold_epochs == analysis.epochs:
        return f"They were trained for {analysis.epochs} epochs, like the baseline."
    return (
        f"**They were trained for {analysis.fold_epochs} epochs, the baseline for "
        f"{analysis.epochs}**: the baseline may make other errors. Where it is spoken of below, "
        "these models are meant."
    )


def _main_findings(analysis: Analysis) -> list[str]:
    return [
        f"{_tell_kinds(analysis.kinds.set_index('kind'))} ([figure](../plots/kinds.png))",
        f"{_tell_hardest(analysis)} ([figure](../plots/strata.png))",
        f"{_tell_attribute(analysis)} ([table](../analysis/attributes.csv))",
        f"{_tell_annotators(analysis)} ([suspects](../plots/suspects.png))",
        f"{_tell_warning(analysis.warnings)} ([table](../analysis/warnings.csv))",
    ]


def _tell_kinds(kinds: pd.DataFrame) -> str:
    wrong = kinds.drop(index="good", errors="ignore")
    good = float(kinds["share_of_images"].get("good", 0.0))
    text = f"{_percent(good)} of the images are good (Dice at least {GOOD_DICE})."
    if wrong.empty:
        return text
    missed, added = wrong["share_of_fn_pixels"], wrong["share_of_fp_pixels"]
    return (
        f"{text} Among the others, **{missed.idxmax()}** owns the largest share of all missed "
        f"polyp pixels ({_percent(missed.max())}), **{added.idxmax()}** that of all pixels marked "
        f"in error ({_percent(added.max())})."
    )


def _tell_hardest(analysis: Analysis) -> str:
    enough = analysis.strata[analysis.strata["images"] >= analysis.least_images]
    if enough.empty:
        return "No stratum has enough images to be compared."
    row = enough.iloc[0]
    if not select_hard(enough.head(1)).empty:
        verdict = ""
    elif row.high >= 0:
        verdict = "; not shown, as the interval includes zero"
    else:
        verdict = f"; not shown, as p is {row.p_holm:.2g} after Holm's correction"
    return (
        f"The hardest stratum of at least {analysis.least_images} images is **{row.stratum}**: "
        f"mean Dice {row.dice:.3f} on {row.images} images, {row.dice_elsewhere:.3f} on the others "
        f"(difference {row.difference:+.3f}, 95 % interval {row.low:+.3f} to {row.high:+.3f}"
        f"{verdict})."
    )


def _tell_attribute(analysis: Analysis) -> str:
    if analysis.attributes.empty:
        return "No attribute goes with Dice: the Dice, or each attribute, is the same everywhere."
    row = analysis.attributes.loc[analysis.attributes["spearman"].abs().idxmax()]
    explained = max(analysis.summary["r2_forest"], 0)
    return (
        f"The attribute that goes with Dice most is **{row.attribute}** (Spearman "
        f"{row.spearman:+.2f}, 95 % interval {row.low:+.2f} to {row.high:+.2f}). From all "
        f"attributes together, a random forest predicts {_percent(explained)} of the variance of "
        "Dice between images (cross-validated)."
    )


def _tell_annotators(analysis: Analysis) -> str:
    summary, dice = analysis.summary, analysis.images["dice"].mean()
    if not summary["annotators_frames"]:
        return "None of these frames was annotated twice: how far annotations agree is not known."
    return (
        f"Two annotations of one frame differ by {1 - summary['annotators_dice']:.3f} Dice in the "
        f"mean ({summary['annotators_frames']} frames, 95 % interval "
        f"{1 - summary['annotators_high']:.3f} to {1 - summary['annotators_low']:.3f}), the "
        f"baseline and the annotation by {1 - dice:.3f} on all {len(analysis.images)} images."
    )


def _tell_warning(warnings: pd.DataFrame) -> str:
    known = warnings.dropna(subset=["auroc"])
    if known.empty:
        return f"No answer or every one is poor (Dice below {POOR_DICE}): no warning to judge."
    row = known.loc[known["auroc"].idxmax()]
    can = "can" if row.low > 0.5 else "can't"
    return (
        f"Whether an answer is poor (Dice below {POOR_DICE}) {can} be told without an annotation: "
        f"`{row.warning}` separates poor answers with AUROC {row.auroc:.2f} (95 % interval "
        f"{row.low:.2f} to {row.high:.2f})."
    )


def _kind_table(kinds: pd.DataFrame) -> str:
    rows = [
        (
            row.kind,
            row.images,
            _percent(row.share_of_images),
            _percent(row.share_of_fn_pixels),
            _percent(row.share_of_fp_pixels),
        )
        for row in kinds.itertuples()
    ]
    head = ("kind", "images", "of images", "of false-negative pixels", "of false-positive pixels")
    return write_table(head, rows)


def _strata_table(strata: pd.DataFrame) -> str:
    rows = [
        (
            row.stratum,
            row.images,
            f"{row.dice:.3f}",
            f"{row.difference:+.3f}",
            f"{row.low:+.3f} to {row.high:+.3f}",
            f"{row.p_holm:.2g}",
        )
        for row in strata.itertuples()
    ]
    head = ("stratum", "images", "mean Dice", "difference to the others", "95 % interval", "p")
    return write_table(head, rows)


def _attribute_table(attributes: pd.DataFrame) -> str:
    ordered = attributes.sort_values("spearman", key=abs, ascending=False, kind="stable")
    rows = [
        (
            row.attribute,
            row.images,
            f"{row.spearman:+.2f}",
            f"{row.low:+.2f} to {row.high:+.2f}",
            f"{row.p_holm:.2g}",
        )
        for row in ordered.itertuples()
    ]
    head = ("attribute", "images", "Spearman with Dice", "95 % interval", "p")
    return write_table(head, rows)


def _odds_table(analysis: Analysis) -> str:
    odds, kinds = analysis.odds, analysis.images["kind"].value_counts()
    evident = odds[odds["p_holm"] < EVIDENT]
    if evident.empty:
        return f"No stratum has odds of a kind of error that differ evidently (p below {EVIDENT})."
    shown = evident.sort_values("odds_ratio", ascending=False, kind="stable").head(SHOWN_ODDS)
    rows = [
        (
            row.stratum,
            row.kind,
            f"{row.of_kind} of {row.images}",
            f"{kinds[row.kind] - row.of_kind} of {len(analysis.images) - row.images}",
            f"{row.odds_ratio:.1f}",
            f"{row.low:.1f} to {row.high:.1f}",
            f"{row.p_holm:.2g}",
        )
        for row in shown.itertuples()
    ]
    head = ("stratum", "kind", "images", "other images", "odds ratio", "95 % interval", "p")
    note = (
        f"{len(evident)} of {len(odds)} tests (Fisher's exact) have p below {EVIDENT} after Holm's "
        "correction; all are in `analysis/odds.csv`. Half a case is added to each count: where no "
        "other image has the kind, ratio and interval say no more than that. Definitions account "
        "for some: only where there are several polyps can one be found and another missed."
    )
    return f"{write_table(head, rows)}\n\n{note}"


def _describe_unexplained(analysis: Analysis) -> str:
    tree, forest = (max(analysis.summary[f"r2_{name}"], 0) for name in ("tree", "forest"))
    return (
        f"Cross-validated, this tree explains {_percent(tree)} of the variance of Dice, a random "
        f"forest on the same attributes {_percent(forest)}. The other "
        f"{_percent(1 - max(tree, forest))} neither of them predicts from these attributes."
    )


def _describe_suspects(analysis: Analysis) -> str:
    suspects, summary = analysis.images[analysis.images["suspect"]], analysis.summary
    text = (
        f"{len(suspects)} of {len(analysis.images)} images are suspects: models that have not seen "
        "them contradict the annotation with at least 90 % probability, on the image and its "
        "mirror images, on a fifth or more of the pixels in question, and cleanlab ranks the "
        "annotation among the worst tenth. A suspect is no proof; someone who can tell has to look."
    )
    if len(suspects):
        text += f" Their mean Dice is {suspects['dice'].mean():.3f}."
    if not summary["annotators_frames"]:
        return text
    return (
        f"{text}\n\n{summary['annotators_frames']} frames are in the data twice, each time with an "
        f"annotation of its own; the two agree to a mean Dice of {summary['annotators_dice']:.3f} "
        f"(95 % interval {summary['annotators_low']:.3f} to {summary['annotators_high']:.3f}). "
        "Whether two persons drew them is not known. On "
        f"{_percent(summary['images_within'])} of the images the baseline agrees with the "
        "annotation at least as well as the median pair of annotations of one frame; an error of "
        "that size may as well be the annotation's."
    )


def _warning_table(warnings: pd.DataFrame) -> str:
    rows = [
        (
            f"`{row.warning}`",
            "-" if pd.isna(row.auroc) else f"{row.auroc:.3f}",
            "-" if pd.isna(row.low) else f"{row.low:.3f} to {row.high:.3f}",
            f"{row.poor} of {row.images}",
        )
        for row in warnings.itertuples()
    ]
    head = ("confidence", f"AUROC for Dice below {POOR_DICE}", "95 % interval", "poor images")
    return write_table(head, rows)


def _describe_calibration(analysis: Analysis) -> str:
    table = analysis.reliability
    gap = (table["probability"] - table["polyp_share"]).abs()
    error = float((gap * table["pixels"]).sum() / table["pixels"].sum())
    worst = table.loc[gap.idxmax()]
    return (
        f"Of all pixels, the expected calibration error is {error:.4f}. The bin that is furthest "
        f"off has the mean probability {worst.probability:.2f}, but {worst.polyp_share:.2f} of it "
        "is polyp (`analysis/reliability.csv`, `dvc plots show`)."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
