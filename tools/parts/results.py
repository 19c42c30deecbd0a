"""The parts that tell the scores of both models, and of the shipped ones."""

import io
import statistics
from contextlib import redirect_stdout
from pathlib import Path

from dvc.compare import TabularData, diff_table
from dvc.utils.diff import diff

from effiseg.confidence import POOR_DICE
from parts.committed import (
    MODELS,
    name_published,
    read_json,
    read_last_validation,
    read_published,
    read_rows,
    read_scores,
    read_seeds,
    read_yaml,
    start_table,
    write_mean,
)

SCORES = {
    "dice": "Dice (mean over images)",
    "miou": "IoU (mean over images)",
    "precision": "precision",
    "recall": "recall",
    "dice_pooled": "Dice, pooled pixels",
    "nsd": "normalised surface distance",
    "hd95": "Hausdorff distance 95 %, pixels",
    "dice_input": "Dice at input size (paper's protocol)",
    "dice_without_near_duplicates": "Dice without near duplicates",
}
INPUT_SCORES = ("dice_input", "iou_input")
DIGITS = 5  # of `dvc metrics`, as long as nobody asks for others


def write_results(root: Path) -> str:
    """The table of both models, and what the comparison says."""
    names = ("baseline", "improved", "comparison")
    baseline, improved, comparison = (read_scores(root, name) for name in names)
    params = read_yaml(root / "params.yaml")
    sections = {name: params[name] for name in names[:2]}
    models = [
        f"{name}: {section['encoder']}, {section['size']} px, {section['epochs']} epochs"
        for name, section in sections.items()
    ]
    rows = [f"Seed {params['train']['seed']}; {'; '.join(models)}.", ""]
    rows += ["| test images, original size | baseline | improved | change |", "|---|---|---|---|"]
    for key, label in SCORES.items():
        before, after = baseline[key], improved[key]
        digits = 1 if key == "hd95" else 4
        cells = [f"{before:.{digits}f}", f"{after:.{digits}f}", f"{after - before:+.{digits}f}"]
        rows.append(f"| {label} | {' | '.join(cells)} |")
    low, high = comparison["dice_gain_low"], comparison["dice_gain_high"]
    verdict = "excludes" if low > 0 or high < 0 else "includes"
    summary = (
        f"Gain in Dice on {comparison['images']} images: {comparison['dice_gain']:+.4f}, paired "
        f"bootstrap 95 % interval {low:+.4f} to {high:+.4f}, which {verdict} zero; Wilcoxon "
        f"signed-rank p = {comparison['wilcoxon_p']:.2g}; better on {comparison['wins']} images, "
        f"worse on {comparison['losses']}, equal on {comparison['ties']}."
    )
    return "\n".join([*rows, "", summary])


def write_published(root: Path) -> str:
    """The paper's models and ours, at input size; ours as means over seeds."""
    rows = start_table("model", "px", "seeds", "mean Dice", "mean IoU")
    for row in read_rows(root / "data" / "published.csv"):
        cells = [row["input_px"], "1", row["mean_dice"], row["mean_iou"]]
        rows.append(f"| {name_published(row)} | {' | '.join(cells)} |")
    params = read_yaml(root / "params.yaml")
    for model, runs in read_seeds(root).items():
        means = [write_mean([float(run[score]) for run in runs]) for score in INPUT_SCORES]
        cells = [str(params[model]["size"]), str(len(runs)), *means]
        name = f"{model} (`{params[model]['encoder']}`, {count_views(root, model)[1]}), ours"
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", write_position(root)])


def write_position(root: Path) -> str:
    """Which of the paper's means lie above those of our models."""
    paper = {}
    for row in read_rows(root / "data" / "published.csv"):
        start = "" if row["pretrained"] == "yes" else " from scratch"
        paper[f"{row['variant']}{start}"] = float(row["mean_dice"])
    sentences = []
    for model, runs in read_seeds(root).items():
        mean = statistics.mean(float(run["dice_input"]) for run in runs)
        above = [name for name, dice in paper.items() if dice > mean]
        below = [name for name in paper if name not in above]
        words = [", ".join(names) or "none" for names in (above, below)]
        start = f"- Rows of the paper with a higher mean Dice than the {model} model"
        sentences.append(f"{start}: {words[0]}; with a lower one: {words[1]}.")
    return "\n".join(sentences)


def count_views(root: Path, model: str) -> tuple[int, str]:
    """How many views the answer of a shipped model is the mean of, and in words."""
    config = read_json(root / "src" / "effiseg" / "shipped" / model / "config.json")
    return (4, "four mirror images") if config["test_flips"] else (1, "one view")


def write_cost(root: Path) -> str:
    """The work of one answer of each model, and of the paper's."""
    costs = read_json(root / "benchmarks" / "variants.json")["variants"]
    rows = start_table("model", "views", "multiply-accumulates of a view, G", "of an answer, G")
    for model in MODELS:
        views, work = count_views(root, model)[0], sum(costs[model]["macs"].values()) / 1e9
        rows.append(f"| {model} | {views} | {work:.2f} | {views * work:.2f} |")
    for row in read_published(root):
        rows.append(f"| {name_published(row)} | 1 | {row['gmacs']} | {row['gmacs']} |")
    return "\n".join(rows)


def write_difference(root: Path) -> str:
    """What `dvc metrics diff baseline improved` prints of the revisions of tools/revisions.py."""
    sides = [
        {"metrics/metrics.json": {"data": read_scores(root, model)}}
        for model in ("baseline", "improved")
    ]
    table = diff_table(
        diff(*sides), title="Metric", precision=DIGITS, round_digits=True,
        a_rev="baseline", b_rev="improved",
    )  # fmt: skip
    return print_table(table)


def print_table(table: TabularData) -> str:
    """A block with the table as DVC prints it."""
    with redirect_stdout(io.StringIO()) as printed:
        table.render()
    return f"```text\n{printed.getvalue().rstrip()}\n```"


def write_shipped(root: Path) -> str:
    """The models of the package, from metrics/shipped_NAME.json and their configurations."""
    rows = ["| model | encoder | input | stored | Dice | IoU |", "|---|---|---|---|---|---|"]
    for name in ("improved", "baseline"):
        folder = root / "src" / "effiseg" / "shipped" / name
        config = read_json(folder / "config.json")
        scores = read_json(root / "metrics" / f"shipped_{name}.json")
        cells = [name, config["encoder"], f"{config['size']} px, {count_views(root, name)[1]}"]
        cells += [f"{scores['megabytes']:.2f} MB"] + [f"{scores[k]:.4f}" for k in ("dice", "miou")]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def write_difficulty(root: Path) -> str:
    """Validation beside test, of each model."""
    rows = start_table("model", "validation Dice, last epoch", "test Dice, input size")
    for model in MODELS:
        scores = read_last_validation(root, model), read_scores(root, model)["dice_input"]
        rows.append(f"| {model} | {' | '.join(f'{score:.4f}' for score in scores)} |")
    return "\n".join(rows)


def write_warnings(root: Path) -> str:
    """What the improved model's warnings were worth on the test images."""
    rows = start_table("warning", "images with it", "of these poor", "others", "of these poor")
    for row in read_rows(root / "metrics" / "warnings_improved.csv"):
        rows.append(f"| {' | '.join(row.values())} |")
    return "\n".join([*rows, "", f"Poor: Dice below {POOR_DICE:g}."])
