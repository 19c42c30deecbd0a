"""The parts that tell the scores of both models, and of the shipped ones."""

import io
from contextlib import redirect_stdout
from pathlib import Path

from dvc.compare import TabularData, diff_table, metrics_table
from dvc.utils.diff import diff

from parts.committed import (
    MODELS,
    read_json,
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
        rows.append(f"| {label} | {before:.4f} | {after:.4f} | {after - before:+.4f} |")
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
    """The paper's models and ours, as the paper scores; ours as means over seeds."""
    rows = start_table("model", "px", "seeds", "mean Dice", "mean IoU")
    for row in read_rows(root / "data" / "published.csv"):
        start = "" if row["pretrained"] == "yes" else ", from scratch"
        cells = [row["input_px"], "1", row["mean_dice"], row["mean_iou"]]
        rows.append(f"| EffiSegNet-{row['variant']}{start}, paper | {' | '.join(cells)} |")
    params = read_yaml(root / "params.yaml")
    for model, runs in read_seeds(root).items():
        means = [write_mean([float(run[score]) for run in runs]) for score in INPUT_SCORES]
        cells = [str(params[model]["size"]), str(len(runs)), *means]
        rows.append(f"| {model} (`{params[model]['encoder']}`), ours | {' | '.join(cells)} |")
    return "\n".join(rows)


def write_metrics(root: Path) -> str:
    """What `dvc metrics show` prints of both models."""
    files = {
        f"metrics/{model}.json": {"data": read_scores(root, model)}
        for model in ("baseline", "improved")
    }
    table = metrics_table({"": {"data": files}}, precision=DIGITS, round_digits=True)
    return print_table(table)


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
        views = "four mirror images" if config["test_flips"] else "one view"
        cells = [name, config["encoder"], f"{config['size']} px, {views}"]
        cells += [f"{scores['megabytes']:.2f} MB"] + [f"{scores[k]:.4f}" for k in ("dice", "miou")]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def write_difficulty(root: Path) -> str:
    """Validation beside test, of each model."""
    rows = start_table("model", "validation Dice, last epoch", "test Dice, input size")
    curves = read_rows(root / "plots" / "learning_curves.csv")
    for model in MODELS:
        last = [row["validation_dice"] for row in curves if row["model"] == model][-1]
        test = read_json(root / "metrics" / f"{model}.json")["dice_input"]
        rows.append(f"| {model} | {float(last):.4f} | {test:.4f} |")
    return "\n".join(rows)


def write_warnings(root: Path) -> str:
    """What the improved model's warnings were worth on the test images."""
    rows = start_table("warning", "images with it", "of these poor", "others", "of these poor")
    for row in read_rows(root / "metrics" / "warnings_improved.csv"):
        rows.append(f"| {' | '.join(row.values())} |")
    return "\n".join([*rows, "", "Poor: Dice below 0.8."])
