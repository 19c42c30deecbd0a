"""The report of the comparison: Markdown with pictures, every number from the results it is given.

Paths of pictures are relative to docs/, where the report lies.
"""

from typing import Any, NamedTuple

import pandas as pd

from effiseg.findings import STRATA
from effiseg.markdown import list_findings, write_span, write_table

OUR_ROWS = ("baseline", "improved")


class Results(NamedTuple):
    """What the report tells."""

    metrics: dict[str, dict[str, Any]]  # of effiseg.metrics.summarize, by model
    comparison: dict[str, Any]  # of effiseg.comparison.compare_models
    pairs: pd.DataFrame  # of effiseg.comparison.pair_images
    strata: pd.DataFrame  # of effiseg.comparison.compare_strata
    findings: list[dict[str, Any]]
    predictions: pd.DataFrame  # of effiseg.comparison.check_predictions
    published: pd.DataFrame  # the paper's tables
    models: dict[str, dict[str, Any]]  # model.json, by model
    views: dict[str, int]  # of an image, whose mean an answer is, by model
    differences: dict[str, tuple[Any, Any]]  # of effiseg.remedies.compare_recipes


def write_report(results: Results) -> str:
    """Markdown."""
    sections = [
        "# Baseline against improved",
        _describe_runs(results),
        "## Result",
        _describe_gain(results.comparison),
        _score_table(results.metrics),
        "## What the error analysis found, and what it predicted",
        "On images that are not for testing, of models that are not quite the baseline: "
        "[error-analysis.md](error-analysis.md).",
        list_findings(results.findings),
        _prediction_table(results.predictions),
        "## What changed (test images)",
        _strata_table(results.strata),
        "![Gain by stratum, test](../plots/gains.png)",
        _change_table(results.pairs),
        "![Test images that changed most](../plots/changes.png)",
        "![Worst test images, baseline](../plots/worst_baseline.png)",
        "![Worst test images, improved](../plots/worst_improved.png)",
        "## Beside the paper",
        _paper_table(results),
        _paper_note(results),
    ]
    return "\n\n".join(sections) + "\n"


def _describe_runs(results: Results) -> str:
    rows = [
        f"- **{name}**: EffiSegNet on `{m['encoder']}`, {m['decoder_channels']} decoder channels, "
        f"{m['upsampling']} upsampling, {m['size']} px; answers are "
        f"{_tell_views(results.views[name])}; trained on {m['device']} with torch {m['torch']}"
        for name, m in results.models.items()
    ]
    changes = [f"`{key}` {old} → {new}" for key, (old, new) in results.differences.items()]
    return "\n".join(
        [
            "Written by the stage `compare`; one training (seed) of each model.",
            *("", *rows, ""),
            f"The recipes differ in {', '.join(changes) or 'nothing'}.",
        ]
    )


def _tell_views(views: int) -> str:
    return "of one view" if views == 1 else f"the mean over {views} views of the image"


def _describe_gain(comparison: dict[str, Any]) -> str:
    low, high = comparison["dice_gain_low"], comparison["dice_gain_high"]
    excludes_zero = low is not None and (low > 0 or high < 0)
    verdict = (
        "the interval excludes zero"
        if excludes_zero
        else "the interval includes zero: on these images a gain is not shown"
    )
    return (
        f"On {comparison['images']} test images at their original size the mean Dice changes by "
        f"**{comparison['dice_gain']:+.4f}** (95 % interval {write_span(low, high)}): {verdict}. "
        f"Mean IoU: {comparison['miou_gain']:+.4f} "
        f"({write_span(comparison['miou_gain_low'], comparison['miou_gain_high'])}). "
        f"Wilcoxon signed-rank test on Dice: p = {comparison['wilcoxon_p']:.2g}. "
        f"The improved model is better on {comparison['wins']} images, worse on "
        f"{comparison['losses']}, equal on {comparison['ties']}. Without the test images that "
        "have a near duplicate in training: "
        f"{comparison['dice_gain_without_near_duplicates']:+.4f} "
        f"({write_span(comparison['dice_gain_without_near_duplicates_low'], comparison['dice_gain_without_near_duplicates_high'])}).\n\n"
        "The interval is over images. Identical trainings with other seeds differ too, which one "
        "training of each does not show: `experiments/prove.py` judges several "
        "([proof.md](proof.md))."
    )


def _score_table(metrics: dict[str, dict[str, Any]]) -> str:
    labels = {
        "dice": "Dice, mean over images, original size",
        "miou": "IoU, mean over images, original size",
        "precision": "precision, mean over images",
        "recall": "recall, mean over images",
        "dice_pooled": "Dice, pooled pixels",
        "iou_pooled": "IoU, pooled pixels",
        "nsd": "normalised surface distance (tolerance 1 % of the diagonal)",
        "hd95": "Hausdorff distance, 95 %, pixels",
        "dice_input": "Dice, mean, at input size (the paper's protocol)",
        "miou_input": "IoU, mean, at input size (the paper's protocol)",
        "dice_without_near_duplicates": "Dice, mean, without near duplicates of training images",
        "miou_without_near_duplicates": "IoU, mean, without near duplicates of training images",
    }
    digits = {"hd95": 1}
    rows = [
        (label, *(_number(metrics[name][key], digits.get(key, 4)) for name in OUR_ROWS))
        for key, label in labels.items()
    ]
    return write_table(("score", *OUR_ROWS), rows)


def _prediction_table(predictions: pd.DataFrame) -> str:
    if predictions.empty:
        return "No remedy was switched on, so that nothing was predicted."
    rows = [
        (
            row.finding,
            row.stratum,
            row.images,
            f"{row.predicted:+.4f}",
            f"{row.gain:+.4f}",
            write_span(row.low, row.high),
            f"**{row.verdict}**",
        )
        for row in predictions.itertuples()
    ]
    head = ("finding", "stratum", "test images", "predicted", "gain", "95 % interval", "prediction")
    note = (
        "A prediction is kept where the mean gain reaches it and the interval lies above zero, not "
        "kept where the whole interval lies below it. Findings of one stratum share one test. "
        "**Kept is not confirmed**: whatever else the recipes differ in may have brought the gain."
    )
    return f"{write_table(head, rows)}\n\n{note}"


def _strata_table(strata: pd.DataFrame) -> str:
    rows = [
        (
            row.stratum,
            row.images,
            f"{row.baseline:.4f}",
            f"{row.improved:.4f}",
            f"{row.gain:+.4f}",
            write_span(row.gain_low, row.gain_high),
        )
        for row in strata.itertuples()
    ]
    table = write_table(("stratum", "images", *OUR_ROWS, "gain in Dice", "95 % interval"), rows)
    few = strata[strata["gain_low"].isna()].set_index("stratum")["images"]
    few = dict.fromkeys(set(STRATA) - set(strata["stratum"]), 0) | dict(few)
    if not few:
        return table
    named = ", ".join(f"{name} ({few[name]})" for name in STRATA if name in few)
    return (
        f"{table}\n\nStrata with too few test images for an interval: {named}. What the error "
        "analysis says of them can't be checked on these."
    )


def _change_table(pairs: pd.DataFrame) -> str:
    changed = pairs.sort_values("dice_change", key=abs, ascending=False).head(10)
    rows = [
        (
            f"`{row.name}`",
            f"{100 * row.area_fraction:.1f} %",
            f"{row.baseline_dice:.3f}",
            f"{row.improved_dice:.3f}",
            f"{row.dice_change:+.3f}",
        )
        for row in changed.itertuples(index=False)
    ]
    return write_table(("image", "polyp area", *OUR_ROWS, "change in Dice"), rows)


def _paper_table(results: Results) -> str:
    rows = [
        (
            f"EffiSegNet-{row.variant}, paper" + ("" if row.pretrained == "yes" else ", from scratch"),
            row.input_px,
            f"{row.mean_dice:.4f}",
            f"{row.mean_iou:.4f}",
            f"{row.f1_pooled:.4f}",
        )
        for row in results.published.itertuples()
    ]
    for name in OUR_ROWS:
        scores, model = results.metrics[name], results.models[name]
        at = (("at input size", "dice_input", "miou_input"), ("at original size", "dice", "miou"))
        for words, dice, miou in at:
            pooled = _number(scores["dice_pooled"]) if dice == "dice" else "-"
            views = "one view" if results.views[name] == 1 else f"{results.views[name]} views"
            label = f"**ours, {name}, {words}** (`{model['encoder']}`, {views})"
            rows.append((label, model["size"], _number(scores[dice]), _number(scores[miou]), pooled))
    return write_table(("model", "px", "mean Dice", "mean IoU", "pooled Dice"), rows)


def _paper_note(results: Results) -> str:
    return (
        "The paper's rows are single runs of 300 epochs, one view of an image each, scored at the "
        "network's input size on the 100 test images of the split `effisegnet`; our rows compare "
        "with them only for that split, and an EfficientNet-Lite encoder is a sibling of B0 to B7, "
        "not one of them."
    )


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
