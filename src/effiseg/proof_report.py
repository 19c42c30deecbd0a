"""The report of the proof: Markdown, every number from the results it is given.

Paths of pictures are relative to docs/, where the report lies.
"""

from typing import Any, NamedTuple

import pandas as pd

from effiseg.comparison import TIE
from effiseg.markdown import write_span, write_table
from effiseg.proof import MODELS
from effiseg.variance import Variance, split_gain_variance

LABELS = {
    "dice": "Dice, mean over images, original size",
    "iou": "IoU, mean over images, original size",
    "dice_input": "Dice, mean over images, input size",
    "iou_input": "IoU, mean over images, input size",
    "dice_pooled": "Dice, pooled pixels, original size",
    "iou_pooled": "IoU, pooled pixels, original size",
}


class Evidence(NamedTuple):
    """What the report tells."""

    proof: dict[str, Any]  # of effiseg.proof.prove_gain
    runs: pd.DataFrame  # of effiseg.proof.score_runs
    strata: pd.DataFrame  # of effiseg.proof.bootstrap_strata
    plan: pd.DataFrame  # of effiseg.variance.plan_images
    published: pd.DataFrame  # the paper's table, data/published.csv
    published_pooled: pd.DataFrame  # others on the same split, data/published_pooled.csv
    models: dict[str, dict[str, Any]]  # encoder and size (px), by model


def write_proof(evidence: Evidence) -> str:
    """Markdown."""
    proof = evidence.proof
    sections = [
        "# Is the improved model better?",
        f"**{proof['verdict']}**",
        "## The trainings",
        _describe_runs(evidence.runs),
        _run_table(evidence.runs),
        "![Mean Dice of every training](../plots/seeds.png)",
        "## The gain",
        _describe_gain(proof),
        _gain_table(proof),
        _strata_table(evidence.strata),
        "## Where the uncertainty comes from",
        _describe_variance(proof),
        "## What another experiment would need",
        _describe_plan(evidence.plan, proof["detectable_gain"]),
        "## Beside published results",
        _paper_table(evidence),
        _pooled_table(evidence),
        _paper_note(),
    ]
    return "\n\n".join(sections) + "\n"


def _describe_runs(runs: pd.DataFrame) -> str:
    seeds = {model: sorted(runs.loc[runs["model"] == model, "seed"]) for model in MODELS}
    listed = "; ".join(f"{model} {', '.join(map(str, s))}" for model, s in seeds.items())
    elsewhere = (
        " A word behind a seed is where or when it was trained apart from the others: another kind "
        "of processor rounds differently, so that the same seed gives another training."
        if runs["seed"].astype(str).str.contains("-").any()
        else ""
    )
    return (
        f"Seeds: {listed}.{elsewhere} Every training of these two recipes that was scored is in "
        "the table. Earlier improved recipes that were scored on the same test images: "
        "[metrics/recipes.csv](../metrics/recipes.csv)."
    )


def _run_table(runs: pd.DataFrame) -> str:
    rows = []
    for score, label in LABELS.items():
        for model in MODELS:
            values = runs.loc[runs["model"] == model, score]
            spread = values.mean(), values.std(), values.min(), values.max()
            rows.append((label, model, len(values), *map(_number, spread)))
    return write_table(("score", "model", "seeds", "mean", "sd", "lowest", "highest"), rows)


def _describe_gain(proof: dict[str, Any]) -> str:
    over = (
        "over images, which both models share, and over the seeds of each model. With few seeds "
        "they are a little too narrow where whole trainings differ, and too wide where only single "
        "images do"
        if min(proof["seeds"].values()) > 1
        else "over images; how much the trainings of one model differ is not in them"
    )
    return (
        f"Intervals are 95 % bootstraps {over}. For these trainings, and means over their seeds, "
        f"Wilcoxon's signed-rank test over images has p = {proof['wilcoxon_p']:.2g}; the improved "
        f"model is better on {proof['wins']} images, worse on {proof['losses']}, equal on "
        f"{proof['ties']} (a difference below {TIE:g})."
    )


def _gain_table(proof: dict[str, Any]) -> str:
    number, apart = proof["images"], proof["images_without_near_duplicates"]
    labels = {
        "dice_gain": ("mean Dice", number),
        "miou_gain": ("mean IoU", number),
        "dice_gain_without_near_duplicates": ("mean Dice, no near duplicates of training", apart),
    }
    rows = [
        (*words, f"{proof[key]:+.4f}", write_span(proof[f"{key}_low"], proof[f"{key}_high"]))
        for key, words in labels.items()
    ]
    return write_table(("score", "images", "gain", "95 % interval"), rows)


def _strata_table(strata: pd.DataFrame) -> str:
    rows = [
        (stratum, images, f"{baseline:.4f}", f"{improved:.4f}", f"{gain:+.4f}", write_span(*ends))
        for stratum, images, baseline, improved, gain, *ends in strata.itertuples(index=False)
    ]
    return write_table(("stratum", "images", *MODELS, "gain in Dice", "95 % interval"), rows)


def _describe_variance(proof: dict[str, Any]) -> str:
    variance, seeds = Variance(**proof["variance"]), tuple(proof["seeds"].values())
    parts = split_gain_variance(variance, proof["images"], seeds)
    if parts is None:
        return "With one seed of a model, the parts of images and of seeds can't be told apart."
    labels = {
        "images": "difference of the models, from image to image",
        "seeds_baseline": "seeds, beyond what single images explain, baseline",
        "seeds_improved": "seeds, beyond what single images explain, improved",
        "rest_baseline": "one image's Dice, from seed to seed, baseline",
        "rest_improved": "one image's Dice, from seed to seed, improved",
    }
    rows = [(label, f"{getattr(variance, key) ** 0.5:.4f}") for key, label in labels.items()]
    total = sum(parts)
    shares = ", ".join(f"{100 * part / (total or 1):.0f} %" for part in parts)
    return (
        f"{write_table(('varies', 'standard deviation'), rows)}\n\nThe gain's standard error is "
        f"{total**0.5:.4f}; of its square, images, seeds and the rest (image x seed) are {shares}. "
        "A zero says that the means of the seeds differ no more than single images would make "
        "them, not that they are equal."
    )


def _describe_plan(plan: pd.DataFrame, detectable: float | None) -> str:
    if detectable is None:
        return "That can't be said: it takes two seeds or more of both models."
    lines = [
        f"With these images and seeds, a true gain of {detectable:.4f} Dice is found with 80 % "
        "power, by a two-sided test (5 %) with the standard error above. What others need, in test "
        "images of this kind and in seeds of each model, if the seeds vary as they did here:",
        "",
    ]
    for effect, rows in plan.groupby("effect"):
        enough = rows.dropna().itertuples()
        needs = [f"{row.images:,} images with {_seeds(str(row.seeds))}" for row in enough]
        without = ", ".join(map(str, rows.loc[rows["images"].isna(), "seeds"]))
        needs += [f"with {_seeds(without)} no number of images is enough"] if without else []
        lines.append(f"- a true gain of {effect:g}: {'; '.join(needs)}")
    return "\n".join(lines)


def _seeds(numbers: str) -> str:
    return f"{numbers} seed" if numbers == "1" else f"{numbers} seeds"


def _paper_table(evidence: Evidence) -> str:
    rows = []
    for row in evidence.published.itertuples():
        label = f"EffiSegNet-{row.variant}, paper"
        label += "" if row.pretrained == "yes" else ", from scratch"
        rows.append((label, row.input_px, _number(row.mean_dice), _number(row.mean_iou)))
    at = {"input size": ("dice_input", "iou_input"), "original size": ("dice", "iou")}
    for model in MODELS:
        encoder, size = evidence.models[model]["encoder"], evidence.models[model]["size"]
        for words, columns in at.items():
            scores = _spreads(evidence.runs, model, columns)
            rows.append((f"**ours, {model}, {words}** (`{encoder}`)", size, *scores))
    return write_table(("model", "px", "mean Dice", "mean IoU"), rows)


def _pooled_table(evidence: Evidence) -> str:
    rows = [
        (f"{model} ({source})", f"{dice:g}", f"{iou:g}")
        for model, dice, iou, source in evidence.published_pooled.itertuples(index=False)
    ]
    for model in MODELS:
        scores = _spreads(evidence.runs, model, ("dice_pooled", "iou_pooled"))
        rows.append((f"**ours, {model}**", *scores))
    return write_table(("model", "pooled Dice", "pooled IoU"), rows)


def _paper_note() -> str:
    return (
        "Ours are means over seeds +- their standard deviation; published rows have no interval. "
        "The means of EffiSegNet's paper are at the network's input size. Pooled scores count the "
        "pixels of all test images together, so that large polyps weigh more. The rows compare "
        "only on the split `effisegnet`, and even there encoders, input sizes and lengths of the "
        "trainings differ."
    )


def _spreads(runs: pd.DataFrame, model: str, columns: tuple[str, ...]) -> list[str]:
    """Mean +- standard deviation over seeds, of each column."""
    values = runs.loc[runs["model"] == model, list(columns)]
    means, spreads = map(_number, values.mean()), values.std()
    endings = (" (one seed)" if pd.isna(sd) else f" +- {_number(sd)}" for sd in spreads)
    return [mean + ending for mean, ending in zip(means, endings, strict=True)]


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.4f}"
