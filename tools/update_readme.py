"""Write the committed numbers into README.md, between the marks of each generated part.

    python tools/update_readme.py
"""

import csv
import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
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

GOALS = {  # ends of records' names in benchmarks/results.json, and the goal for their ratio
    ("training step", ("batch 8", "batch 16")): ("a training step, times the reference", 3.0),
    ("training step", ("encoder alone",)): ("a training step, share of the encoder alone", 0.8),
    ("epoch", ("batch 8",)): ("an epoch, times the reference", 3.0),
    ("data path", ("data path",)): ("the data path, times the reference", 5.0),
}
LARGEST = 3  # operators of the profile that are named
NETWORK = re.compile(r"network, (?P<size>\d+) px, batch (?P<batch>\d+): (?P<name>.+)")
PREDICTION_GOALS = {  # networks of benchmarks/prediction.json, and the goal for the fastest of them
    "the same network, B0": ("b0, ", 4.0),
    "the shipped baseline (Lite0)": ("shipped baseline, ", 6.0),
}


def main() -> None:
    path = ROOT / "README.md"
    path.write_text(fill(path.read_text(encoding="utf-8"), ROOT), encoding="utf-8")


def fill(text: str, root: Path) -> str:
    """The text with each part `<!-- NAME -->...<!-- /NAME -->` written anew."""
    parts = {
        "results": write_results(root),
        "ablation": write_ablation(root),
        "proof": write_proof(root),
        "speed": write_speed(root),
        "prediction": write_prediction(root),
        "shipped": write_shipped(root),
    }
    for name, content in parts.items():
        pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
        if not re.search(pattern, text, re.DOTALL):
            raise ValueError(f"README.md has no part <!-- {name} -->...<!-- /{name} -->")
        part = f"<!-- {name} -->\n{content}\n<!-- /{name} -->"
        text = re.sub(pattern, lambda _, part=part: part, text, flags=re.DOTALL)
    return text


def write_results(root: Path) -> str:
    """The table of both models, and what the comparison says."""
    names = ("baseline", "improved", "comparison")
    read = {n: json.loads((root / "metrics" / f"{n}.json").read_text()) for n in names}
    baseline, improved, comparison = read.values()
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
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


def write_proof(root: Path) -> str:
    """What several seeds say, from metrics/proof.json and metrics/seeds.csv."""
    proof = json.loads((root / "metrics" / "proof.json").read_text(encoding="utf-8"))
    runs = read_rows(root / "metrics" / "seeds.csv")
    rows = ["| model | seeds | Dice | IoU | Dice, input size | IoU, input size |"]
    rows.append("|---|---|---|---|---|---|")
    for model in ("baseline", "improved"):
        own = [run for run in runs if run["model"] == model]
        means = [
            f"{sum(float(run[score]) for run in own) / len(own):.4f}"
            for score in ("dice", "iou", "dice_input", "iou_input")
        ]
        rows.append(f"| {model} | {len(own)} | {' | '.join(means)} |")
    return "\n".join([proof["verdict"], "", *rows])


def write_ablation(root: Path) -> str:
    """Which variants are better and which worse, from experiments/ablation.csv."""
    rows = read_rows(root / "experiments" / "ablation.csv")
    table = [row for row in rows if row["schedule"] == "screening"]
    ordered = sorted(table, key=lambda row: -float(row["gain"]))

    def list_variants(verdict: str) -> str:
        rows = [row for row in ordered if row["verdict"] == verdict]
        return ", ".join(f"`{r['variant']}` ({float(r['gain']):+.4f})" for r in rows) or "none"

    tried = sum(row["verdict"] in ("better", "unsure", "worse") for row in table)
    return (
        f"Of {tried} variants tried so far, the gain in Dice over the published recipe, on images "
        f"not trained on, has a 95 % interval above zero for {list_variants('better')}; below zero "
        f"for {list_variants('worse')}. The intervals are not corrected for the number of variants."
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write_speed(root: Path) -> str:
    """The table of benchmarks/results.json."""
    records = json.loads((root / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    rows = [f"Measured on: {records[0]['device']}.", ""]
    rows += ["| | reference | ours | unit | ratio |", "|---|---|---|---|---|"]
    rows += [
        f"| {r['name']} | {r['reference']:g} | {r['ours']:g} | {r['unit']} | {r['ratio']:g} |"
        for r in records
    ]
    return "\n".join([*rows, "", *write_goals(records), "", write_profile(root)])


def write_goals(records: list[dict]) -> list[str]:
    """A line for each goal: met, or missed by which measurement."""
    lines = []
    for (start, ends), (title, goal) in GOALS.items():
        ratios = {
            r["name"]: r["ratio"]
            for r in records
            if r["name"].startswith(start) and r["name"].endswith(ends)
        }
        if not ratios:
            raise ValueError(f"benchmarks/results.json has no record {start} ... {ends}")
        missed = [f"{name} ({ratio:g})" for name, ratio in ratios.items() if ratio < goal]
        verdict = f"missed by {'; '.join(missed)}" if missed else "met"
        lines.append(f"- Goal for {title}: at least {goal:g}: {verdict}.")
    waited = next(r["ours"] for r in records if "spent waiting" in r["name"])
    lines.append(f"- Goal for the share of an epoch spent waiting: at most 0.05; it is {waited:g}.")
    return lines


def write_profile(root: Path) -> str:
    """What a training step spends most time on, from benchmarks/profile.csv."""
    rows = read_rows(root / "benchmarks" / "profile.csv")[:LARGEST]
    parts = [f"{100 * float(r['share']):.0f} % `{r['operator']}`" for r in rows]
    return f"A training step spends {', '.join(parts)} (`benchmarks/profile.csv`)."


def write_prediction(root: Path) -> str:
    """The tables of benchmarks/prediction.json, and its goals."""
    path = root / "benchmarks" / "prediction.json"
    records = json.loads(path.read_text(encoding="utf-8"))
    networks: dict[str, dict[str, dict]] = {}
    for row in records:
        if match := NETWORK.fullmatch(row["name"]):
            column = f"{match['size']} px" + ("" if match["batch"] == "1" else ", batch 8")
            networks.setdefault(match["name"], {})[column] = row
    columns = list(next(iter(networks.values())))
    title = f"Measured on: {records[0]['device']}. Images a second, and times the reference."
    rows = [title, ""]
    rows += [f"| network alone | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    first = next(iter(networks.values()))
    cells = [f"{first[column]['reference']:.3g}" for column in columns]
    rows.append(f"| reference: B0, eager float32 PyTorch | {' | '.join(cells)} |")
    for name, row in networks.items():
        cells = [f"{row[c]['ours']:.3g} ({row[c]['ratio']:.2g}x)" for c in columns]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    rows += ["", "| whole prediction | reference | ours | unit | ratio |", "|---|---|---|---|---|"]
    for r in records:
        if not NETWORK.fullmatch(r["name"]):
            numbers = f"{r['reference']:g} | {r['ours']:g} | {r['unit']} | {r['ratio']:g}"
            rows.append(f"| {r['name']} | {numbers} |")
    return "\n".join([*rows, "", *write_prediction_goals(networks, records)])


def write_prediction_goals(networks: dict[str, dict[str, dict]], records: list[dict]) -> list[str]:
    """A line for each goal; of the backends, the fastest counts."""
    lines = []
    for title, (start, goal) in PREDICTION_GOALS.items():
        own = [rows for name, rows in networks.items() if name.startswith(start)]
        best = {size: max(r[size]["ratio"] for r in own) for size in ("224 px", "352 px")}
        words = ", ".join(f"{ratio:.2g} at {size}" for size, ratio in best.items())
        verdict = "met" if min(best.values()) >= goal else "missed"
        lines.append(f"- Goal for {title}: at least {goal:g} times: {verdict} ({words}).")
    rates = [r["ours"] for r in records if r["name"].startswith("video")]
    verdict = "met" if min(rates) >= 25 else "missed"
    lines.append(f"- Goal for video: at least 25 frames a second: {verdict}.")
    return lines


def write_shipped(root: Path) -> str:
    """The models of the package, from metrics/shipped_NAME.json and their configurations."""
    rows = ["| model | encoder | input | stored | Dice | IoU |", "|---|---|---|---|---|---|"]
    for name in ("improved", "baseline"):
        folder = root / "src" / "effiseg" / "shipped" / name
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        scores = json.loads((root / "metrics" / f"shipped_{name}.json").read_text(encoding="utf-8"))
        views = "four mirror images" if config["test_flips"] else "one view"
        cells = [name, config["encoder"], f"{config['size']} px, {views}"]
        cells += [f"{scores['megabytes']:.2f} MB"] + [f"{scores[k]:.4f}" for k in ("dice", "miou")]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
