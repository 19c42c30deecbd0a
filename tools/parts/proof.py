"""The parts that tell what several seeds of both models prove on the test images."""

import statistics
from pathlib import Path

import pandas as pd

from effiseg.confidence import POOR_DICE
from effiseg.results_summary import read_hard_strata
from parts.committed import (
    INTERVAL,
    MODELS,
    read_json,
    read_rows,
    read_seeds,
    read_yaml,
    start_table,
    write_gain,
)

LARGEST = 4  # images whose gains are told apart from the others'


def write_proof(root: Path) -> str:
    """What several seeds say, from metrics/proof.json and metrics/seeds.csv."""
    verdict = read_json(root / "metrics" / "proof.json")["verdict"]
    rows = start_table("model", "seeds", "Dice", "IoU", "Dice, input size", "IoU, input size")
    for model, runs in read_seeds(root).items():
        means = [
            f"{statistics.mean(float(run[score]) for run in runs):.4f}"
            for score in ("dice", "iou", "dice_input", "iou_input")
        ]
        rows.append(f"| {model} | {len(runs)} | {' | '.join(means)} |")
    return "\n".join([verdict, "", *rows])


def write_proof_more(root: Path) -> str:
    """What the proof says beside its verdict."""
    proof = read_json(root / "metrics" / "proof.json")
    rows = start_table("score", "images", "gain", INTERVAL)
    keys = {
        "mean Dice": ("dice_gain", "images"),
        "mean IoU": ("miou_gain", "images"),
        "mean Dice, no near duplicates": (
            "dice_gain_without_near_duplicates", "images_without_near_duplicates"
        ),
    }  # fmt: skip
    for title, (key, images) in keys.items():
        row = {"gain": proof[key], "low": proof[f"{key}_low"], "high": proof[f"{key}_high"]}
        rows.append(f"| {title} | {proof[images]} | {write_gain(row)} |")
    gain = proof["detectable_gain"]
    return "\n".join([
        *rows, "",
        f"Wilcoxon signed-rank p = {proof['wilcoxon_p']:.2g}. Better on {proof['wins']} images, "
        f"worse on {proof['losses']}, equal on {proof['ties']}. A true gain of {gain:.4f} Dice is "
        "found by such an experiment with 80 % power.",
    ])  # fmt: skip


def write_proof_strata(root: Path) -> str:
    """The gain on test images, stratum by stratum, over all seeds."""
    rows = start_table("stratum", "images", "baseline", "improved", "gain in Dice", INTERVAL)
    for row in read_rows(root / "metrics" / "proof_strata.csv"):
        cells = [f"{float(row[model]):.3f}" for model in MODELS]
        gain = write_gain({key.removeprefix("gain_"): value for key, value in row.items()})
        rows.append(f"| {row['stratum']} | {row['images']} | {' | '.join(cells)} | {gain} |")
    return "\n".join([*rows, "", write_hard_strata(root)])


def write_hard_strata(root: Path) -> str:
    """Whether the gain reaches the strata that the error analysis has shown to be hard."""
    measured = {row["stratum"]: row for row in read_rows(root / "metrics" / "proof_strata.csv")}
    groups = {"shown": [], "not shown": [], "too few images": []}
    for row in (measured[stratum] for stratum in read_hard_strata(root)["stratum"]):
        few, low = row["gain_low"] == "", row["gain_low"]
        verdict = "too few images" if few else "shown" if float(low) > 0 else "not shown"
        groups[verdict].append(f"{row['stratum']} ({row['images']})")
    words = "; ".join(f"{name}: {', '.join(each) or 'none'}" for name, each in groups.items())
    return f"The gain on the strata that the error analysis found hard, with test images: {words}."


def write_tail(root: Path) -> str:
    """How the mean gain is spread over images, and how many answers are poor."""
    dice = read_test_images(root)
    means = {model: dice[dice["model"] == model].groupby("name")["dice"].mean() for model in MODELS}
    gains = (means["improved"] - means["baseline"]).sort_values(ascending=False)
    rest = gains.iloc[LARGEST:].sum() / len(gains)
    poor = dice[dice["dice"] < POOR_DICE].groupby(["model", "seed"]).size()
    seeds = dice.groupby("model")["seed"].unique()
    rows = start_table("seed", "baseline", "improved")
    for seed in sorted(set(seeds["baseline"]) & set(seeds["improved"])):
        rows.append(f"| {seed} | {' | '.join(str(poor.get((m, seed), 0)) for m in MODELS)} |")
    return "\n".join([
        f"Of the mean gain of {gains.mean():+.4f}, the {LARGEST} images that gain most give "
        f"{gains.mean() - rest:+.4f}; the median gain of an image is {gains.median():+.4f}. Test "
        f"images with a Dice below {POOR_DICE:g}, of {len(gains)}:",
        "", *rows,
    ])  # fmt: skip


def read_test_images(root: Path) -> pd.DataFrame:
    """model, seed, name, dice of every scored training."""
    seed = read_yaml(root / "params.yaml")["train"]["seed"]
    tables = [pd.read_csv(root / "plots" / "test_images.csv").assign(seed=str(seed))]
    for path in sorted((root / "experiments" / "seeds").glob("*/seed-*/images.csv")):
        model, seed = path.parts[-3], path.parts[-2].removeprefix("seed-")
        tables.append(pd.read_csv(path).assign(model=model, seed=seed))
    return pd.concat(tables)[["model", "seed", "name", "dice"]]


def write_scored_recipes(root: Path) -> str:
    """Every improved recipe that was scored on the test images, from metrics/recipes.csv."""
    rows = start_table("improved recipe", *MODELS, "gain in Dice", INTERVAL)
    for row in read_rows(root / "metrics" / "recipes.csv"):
        dice = " | ".join(f"{float(row[model]):.4f}" for model in MODELS)
        rows.append(f"| `{row['changes']}` | {dice} | {write_gain(row)} |")
    return "\n".join(rows)


def write_predictions(root: Path) -> str:
    """Which predictions of the error analysis were kept on the test images."""
    rows = start_table(
        *("finding", "stratum", "images"), *("predicted", "measured", INTERVAL, "verdict")
    )
    for row in read_rows(root / "metrics" / "predictions.csv"):
        cells = f"{float(row['predicted']):+.4f} | {write_gain(row)} | {row['verdict']}"
        rows.append(f"| {row['finding']} | {row['stratum']} | {row['images']} | {cells} |")
    return "\n".join(rows)


def write_seed_table(root: Path) -> str:
    """Every training that was scored on the test images."""
    rows = start_table("model", "seed", "mean Dice", "mean IoU", "pooled Dice")
    spreads = []
    for model, runs in read_seeds(root).items():
        for run in runs:
            cells = [f"{float(run[score]):.4f}" for score in ("dice", "iou", "dice_pooled")]
            rows.append(f"| {model} | {run['seed']} | {' | '.join(cells)} |")
        dice = [float(run["dice"]) for run in runs]
        spreads.append(f"{model} {max(dice) - min(dice):.4f}")
    return "\n".join([*rows, "", f"Highest minus lowest mean Dice: {', '.join(spreads)}."])
