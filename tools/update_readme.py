"""Write the committed numbers into README*.md, docs/architecture.md, docs/paper-study.md and
docs/report*.md, between the marks of each generated part.

    python tools/update_readme.py
"""

import ast
import io
import re
import statistics
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import report_parts
from dvc.compare import TabularData, diff_table, metrics_table
from dvc.utils.diff import diff
from report_parts import read_json, read_rows, read_yaml, start_table

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
DIGITS = 5  # of `dvc metrics`, as long as nobody asks for others
PRINTED = ("difference", "metrics")  # parts that DVC prints, whatever the language
LARGEST = 3  # operators of the profile that are named
FAULT = re.compile(r"^\| .+ \| `tests/.+\|$", re.MULTILINE)  # a row of docs/reliability.md
NETWORK = re.compile(r"network, (?P<size>\d+) px, batch (?P<batch>\d+): (?P<name>.+)")
PREDICTION_GOALS = {  # networks of benchmarks/prediction.json, and the goal for the fastest of them
    "the same network, B0": ("b0, ", 4.0),
    "the shipped baseline (Lite0)": ("shipped baseline, ", 6.0),
}


def main() -> None:
    for document in PARTS:
        path = ROOT / document
        path.write_text(fill(path.read_text(encoding="utf-8"), ROOT, document), encoding="utf-8")


def fill(text: str, root: Path, document: str = "README.md") -> str:
    """The text with each part `<!-- NAME -->...<!-- /NAME -->` of the document written anew."""
    for name, write in PARTS[document].items():
        pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
        if not re.search(pattern, text, re.DOTALL):
            raise ValueError(f"{document} has no part <!-- {name} -->...<!-- /{name} -->")
        part = f"<!-- {name} -->\n{write(root)}\n<!-- /{name} -->"
        text = re.sub(pattern, lambda _, part=part: part, text, flags=re.DOTALL)
    return text


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


def write_proof(root: Path) -> str:
    """What several seeds say, from metrics/proof.json and metrics/seeds.csv."""
    proof = read_json(root / "metrics" / "proof.json")
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


def read_scores(root: Path, model: str) -> dict:
    """The committed scores of a model, or of their comparison."""
    return read_json(root / "metrics" / f"{model}.json")


def print_table(table: TabularData) -> str:
    """A block with the table as DVC prints it."""
    with redirect_stdout(io.StringIO()) as printed:
        table.render()
    return f"```text\n{printed.getvalue().rstrip()}\n```"


def write_modules(root: Path) -> str:
    """The modules of the library in their order, each with the first sentence of its docstring."""
    listing = (root / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
    rows = start_table("module", "what it is")
    for name in (name.strip() for name in listing.split(",")):
        path = root / "src" / "effiseg" / f"{name}.py"
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        sentence = " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
        rows.append(f"| [{name}](../src/effiseg/{name}.py) | {sentence} |")
    return "\n".join(rows)


def write_speed_goals(root: Path) -> str:
    """The goals of training and of prediction, and what was measured."""
    training, prediction = (
        read_json(root / "benchmarks" / f"{name}.json")
        for name in ("results", "prediction")
    )
    lines = [f"Measured on: {training[0]['device']}.", "", *write_goals(training)]
    return "\n".join([*lines, *write_prediction_goals(list_networks(prediction), prediction)])


def write_speed(root: Path) -> str:
    """The table of benchmarks/results.json."""
    records = read_json(root / "benchmarks" / "results.json")
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
    records = read_json(root / "benchmarks" / "prediction.json")
    networks = list_networks(records)
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


def list_networks(records: list[dict]) -> dict[str, dict[str, dict]]:
    """The record of each network and input, such as "352 px, batch 8"."""
    networks: dict[str, dict[str, dict]] = {}
    for row in records:
        if match := NETWORK.fullmatch(row["name"]):
            column = f"{match['size']} px" + ("" if match["batch"] == "1" else ", batch 8")
            networks.setdefault(match["name"], {})[column] = row
    return networks


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
        config = read_json(folder / "config.json")
        scores = read_json(root / "metrics" / f"shipped_{name}.json")
        views = "four mirror images" if config["test_flips"] else "one view"
        cells = [name, config["encoder"], f"{config['size']} px, {views}"]
        cells += [f"{scores['megabytes']:.2f} MB"] + [f"{scores[k]:.4f}" for k in ("dice", "miou")]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def write_data(root: Path) -> str:
    """The images of each part of the split, from data/split.csv, and near duplicates."""
    title = "polyp area, % of the image: median"
    rows = start_table("", "images", title, "smallest", "largest")
    images = read_rows(root / "data" / "split.csv")
    for part in ("train", "validation", "test"):
        areas = [100 * float(row["area_fraction"]) for row in images if row["split"] == part]
        cells = [f"{f(areas):.1f}" for f in (statistics.median, min, max)]
        rows.append(f"| {part} | {len(areas)} | {' | '.join(cells)} |")
    sides = [(int(row["width"]), int(row["height"])) for row in images]
    (least, most), (low, high) = ((min(each), max(each)) for each in zip(*sides, strict=True))
    pairs = read_rows(root / "data" / "near_duplicate_pairs.csv")
    apart = sum(row["effisegnet_split_a"] != row["effisegnet_split_b"] for row in pairs)
    tested = read_rows(root / "plots" / "test_images.csv")
    near = {row["name"] for row in tested if row["near_duplicate"] == "True"}
    text = (
        f"Images are {least} to {most} pixels wide and {low} to {high} high. {len(pairs)} pairs of "
        f"images are near duplicates of each other; {apart} of them lie in two different parts of "
        f"the split, and {len(near)} test images have their twin among the training images."
    )
    return "\n".join([*rows, "", text])


def write_averages(root: Path) -> str:
    """Means over images beside pooled scores, of the paper and of both models."""
    rows = start_table("model", "mean Dice", "pooled Dice (F1)", "difference")
    scores = {}
    for row in read_rows(root / "data" / "published.csv"):
        start = "" if row["pretrained"] == "yes" else ", from scratch"
        name = f"EffiSegNet-{row['variant']}{start}, paper"
        scores[name] = float(row["mean_dice"]), float(row["f1_pooled"])
    for name in ("baseline", "improved"):
        own = read_scores(root, name)
        scores[f"{name}, original size"] = own["dice"], own["dice_pooled"]
    for name, (mean, pooled) in scores.items():
        rows.append(f"| {name} | {mean:.4f} | {pooled:.4f} | {pooled - mean:+.4f} |")
    return "\n".join(rows)


def read_published(root: Path) -> list[dict[str, str]]:
    """The paper's pre-trained variants."""
    rows = read_rows(root / "data" / "published.csv")
    return [row for row in rows if row["pretrained"] == "yes"]


def read_costs(root: Path) -> dict:
    """What benchmarks.variants wrote."""
    return read_json(root / "benchmarks" / "variants.json")


def write_shapes(root: Path) -> str:
    """The shape of what leaves each step, C x H x W."""
    b0, lite0 = (read_costs(root)["shapes"][name] for name in ("B0", "Lite0"))
    rows = start_table(
        "step", "B0, paper's order", "Lite0, paper's order", "Lite0, as computed here"
    )
    for one, other in zip(b0, lite0, strict=True):
        cells = [other["step"], one["published"], other["published"], other["ours"]]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def write_layers(root: Path) -> str:
    """What a ghost module costs beside its alternatives."""
    rows = start_table(
        "layer that gives 32 channels", "parameters", "multiply-accumulates a pixel"
    )
    for name, cost in read_costs(root)["layers"].items():
        rows.append(f"| {name} | {cost['parameters']:,} | {cost['macs_per_pixel']:,} |")
    return "\n".join(rows)


def write_parts(root: Path) -> str:
    """Which part of a network holds the parameters, and which has the work."""
    rows = start_table("network", "part", "parameters", "share", "multiply-accumulates", "share")
    for name in ("B0", "Lite0", "B4"):
        cost = read_costs(root)["variants"][name]
        parameters, macs = cost["parameters"], cost["macs_published"]
        for part, number in parameters.items():
            share, work = number / sum(parameters.values()), macs[part] / sum(macs.values())
            cells = [f"{number:,}", f"{share:.2%}", f"{macs[part] / 1e6:,.1f} M", f"{work:.1%}"]
            rows.append(f"| {name}, {cost['size']} px | {part} | {' | '.join(cells)} |")
    return "\n".join(rows)


def write_fusion(root: Path) -> str:
    """What the fusion costs in the paper's order and in ours."""
    order = "paper's order"
    rows = start_table(
        "network", f"multiply-accumulates: {order}", "here", f"bytes moved: {order}", "here"
    )
    for name in ("B0", "B4", "improved"):
        cost = read_costs(root)["variants"][name]
        macs = [cost[key]["fusion"] / 1e6 for key in ("macs_published", "macs")]
        moved = [cost[key] / 2**20 for key in ("fusion_bytes_published", "fusion_bytes")]
        cells = [f"{number:,.1f} M" for number in macs] + [f"{each:,.0f} MiB" for each in moved]
        rows.append(f"| {name}, {cost['size']} px | {' | '.join(cells)} |")
    return "\n".join(rows)


def write_variants(root: Path) -> str:
    """Parameters and multiply-accumulates of every variant, counted and published."""
    published = {row["variant"]: row for row in read_published(root)}
    rows = start_table(
        *("variant", "px", "channels of the five scales"),
        *("parameters, M: used", "used and unused", "paper"),
        *("multiply-accumulates, G: paper's order", "paper", "here"),
    )
    for name, cost in read_costs(root)["variants"].items():
        theirs = published.get(name, {"params_millions": "-", "gmacs": "-"})
        used = sum(cost["parameters"].values())
        own = name in ("baseline", "improved")
        title = f"{name} ({cost['encoder'].removeprefix('tf_efficientnet_').title()})"
        cells = [title if own else name, str(cost["size"])]
        cells.append(", ".join(map(str, cost["channels"])))
        cells += [f"{used / 1e6:.2f}", f"{(used + cost['unused_parameters']) / 1e6:.2f}"]
        cells += [theirs["params_millions"], f"{sum(cost['macs_published'].values()) / 1e9:.2f}"]
        cells += [theirs["gmacs"], f"{sum(cost['macs'].values()) / 1e9:.2f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def write_recipes(root: Path) -> str:
    """What the baseline and the improved model keep of the published recipe."""
    params = read_yaml(root / "params.yaml")
    plan = read_yaml(root / "experiments" / "variants.yaml")
    long, sizes = plan["schedules"]["long"], [row["input_px"] for row in read_published(root)]
    train, models = params["train"], [params["baseline"], params["improved"]]
    shipped = [root / "src" / "effiseg" / "shipped" / name for name in ("baseline", "improved")]
    configs = [read_json(each / "config.json") for each in shipped]
    table = {
        "encoder": ["B0 to B7", *(f"`{model['encoder']}`" for model in models)],
        "input, pixels": [f"{sizes[0]} to {sizes[-1]}", *(model["size"] for model in models)],
        "decoder channels": ["32", *(model["decoder_channels"] for model in models)],
        "upsampling": ["nearest", *(model["upsampling"] for model in models)],
        "augmentation": ["its text", *(f"`{model['augmentation']}`" for model in models)],
        "epochs": [long["epochs"], *(model["epochs"] for model in models)],
        "learning rate at the start": [f"{float(each['lr']):g}" for each in (long, train, train)],
        "batch": ["8; B5 to B7 as memory allows", *[train["batch_size"]] * 2],
        "weights that are tested": ["last", *(model["weights"] for model in models)],
        "seed": ["42", *[train["seed"]] * 2],
        "threshold": ["0.5", *[params["evaluate"]["threshold"]] * 2],
        "predicts the mean of four mirror images": [
            "no", *("yes" if config["test_flips"] else "no" for config in configs)
        ],
    }
    rows = [f"| {key} | {' | '.join(map(str, values))} |" for key, values in table.items()]
    return "\n".join([*start_table("", "paper", "baseline", "improved"), *rows])


def write_uncertainty(root: Path) -> str:
    """How far test images and seeds let a mean be known, from the committed scores."""
    rows = start_table(
        *("model", "mean Dice, input size", "standard deviation", "standard error"),
        *("95 % interval", "images below 0.8", "last validation Dice"),
    )
    curves = read_rows(root / "plots" / "learning_curves.csv")
    errors = {}
    for model in ("baseline", "improved"):
        dice = read_test_dice(root, model)
        mean, spread = statistics.mean(dice), statistics.stdev(dice)
        errors[model] = spread / len(dice) ** 0.5
        low, high = (mean + sign * 1.96 * errors[model] for sign in (-1, 1))
        last = [row["validation_dice"] for row in curves if row["model"] == model][-1]
        cells = [f"{number:.4f}" for number in (mean, spread, errors[model])]
        cells += [f"{low:.4f} to {high:.4f}", str(sum(d < 0.8 for d in dice)), f"{float(last):.4f}"]
        rows.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join([*rows, "", write_yardstick(root, errors["improved"], len(dice))])


def read_test_dice(root: Path, model: str) -> list[float]:
    """Of each test image, at the model's input size, as the paper scores."""
    rows = read_rows(root / "plots" / "test_images.csv")
    return [float(row["dice_input"]) for row in rows if row["model"] == model]


def write_yardstick(root: Path, error: float, images: int) -> str:
    """The differences of the paper's table, measured by the standard error of our own mean."""
    dice = {row["variant"]: float(row["mean_dice"]) for row in read_published(root)}
    best = max(dice, key=dice.get)
    within = [name for name, value in dice.items() if dice[best] - value < 1.96 * error]
    runs = read_rows(root / "metrics" / "seeds.csv")
    own = {
        model: [float(run["dice_input"]) for run in runs if run["model"] == model]
        for model in ("baseline", "improved")
    }
    seeds = "; ".join(
        f"{model} {min(each):.4f} to {max(each):.4f} ({len(each)} seeds)"
        for model, each in own.items()
    )
    return (
        f"One test image that is missed altogether costs {1 / images:g} of mean Dice. With the "
        f"improved model's standard error, {error:.4f}, the interval of a published mean would "
        f"reach {1.96 * error:.4f} to either side: that of the best, {best} ({dice[best]:.4f}), "
        f"holds {', '.join(within)}. From seed to seed, on the same images: {seeds}."
    )


def write_faults(root: Path) -> str:
    """What was done on purpose and survived, from docs/reliability.md and
    benchmarks/{faults,demo_load,prediction_load}.json."""
    faults, page, many = (
        read_json(root / "benchmarks" / f"{name}.json")
        for name in ("faults", "demo_load", "prediction_load")
    )
    stages = faults["stages"]
    kills = sum(len(stage["kills"]) for stage in stages)
    survived = sum(len(stage["kills"]) for stage in stages if stage["recovered"])
    disks = [disk for stage in stages for disk in stage["full_disks"]]
    stopped = [disk for disk in disks if disk["status"] != 0 and disk["told"]]
    keys = ("seconds_to_recover", "seconds")
    again, usual = (statistics.median(stage[key] for stage in stages) for key in keys)
    same = sum(stage["recovered_from_full_disks"] for stage in stages)
    mended = sum(stage["locks_mended"] for stage in stages)
    asked = [page[key] for key in ("requests", "answered", "told that the queue is full")]
    text = (root / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = {
        "faults listed, each with its test": len(FAULT.findall(text)),
        "stages of the real pipeline that were disturbed": len(stages),
        "kills at random moments; survived, with the same hashes": f"{kills}; {survived}",
        "seconds to finish after a kill; without one (medians over stages)":
            f"{again:.1f}; {usual:.1f}",
        "runs that a full disk stopped; stages with the same hashes once there was room again":
            f"{len(stopped)}; {same}",
        "cut-off locks of DVC that were removed, as `make repro` does": mended,
        "requests to the demo page; answered; told that the queue is full; failed":
            "; ".join(map(str, [*asked, page["failed otherwise"]])),
        "memory of the demo page before and at its peak, MiB":
            f"{page['peak memory before (MiB)']}; {page['peak memory after (MiB)']}",
        "memory of `effiseg predict` after 1,000 and after 10,000 pictures, MiB":
            f"{many['small']['peak_mib_at_look']:.0f}; {many['small']['peak_mib']:.0f}",
        "the same with pictures of 8000 x 8000 pixels": f"{many['large']['peak_mib']:.0f}",
    }  # fmt: skip
    lines = ["| measured on purpose |  |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows.items())])


PARTS = {  # of each document, and what writes them
    "README.md": {
        "results": write_results,
        "ablation": write_ablation,
        "proof": write_proof,
        "difference": write_difference,
        "metrics": write_metrics,
        "shipped": write_shipped,
        "speed_goals": write_speed_goals,
        "faults": write_faults,
    },
    "docs/reliability.md": {"faults": write_faults},
    "docs/architecture.md": {"modules": write_modules},
    "docs/paper-study.md": {
        "data": write_data,
        "averages": write_averages,
        "shapes": write_shapes,
        "layers": write_layers,
        "parts": write_parts,
        "fusion": write_fusion,
        "variants": write_variants,
        "recipes": write_recipes,
        "uncertainty": write_uncertainty,
    },
}
WRITERS = PARTS["README.md"] | PARTS["docs/paper-study.md"]
WRITERS |= {"speed": write_speed, "prediction": write_prediction}
PARTS |= {
    document: report_parts.list_parts(language, WRITERS)
    for document, language in report_parts.DOCUMENTS.items()
}
PARTS["README.ko.md"] = {
    name: write if name in PRINTED else partial(report_parts.write_korean, write)
    for name, write in PARTS["README.md"].items()
}

if __name__ == "__main__":
    main()
