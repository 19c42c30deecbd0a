"""The parts of docs/paper-study.md: the data, the networks and the recipe of the paper."""

import statistics
from pathlib import Path

from effiseg.confidence import POOR_DICE
from parts.committed import (
    INTERVAL,
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
)


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
        scores[name_published(row)] = float(row["mean_dice"]), float(row["f1_pooled"])
    for name in MODELS:
        own = read_scores(root, name)
        scores[f"{name}, original size"] = own["dice"], own["dice_pooled"]
    for name, (mean, pooled) in scores.items():
        rows.append(f"| {name} | {mean:.4f} | {pooled:.4f} | {pooled - mean:+.4f} |")
    return "\n".join(rows)


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
        own = name in MODELS
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
    train, models = params["train"], [params[name] for name in MODELS]
    shipped = [root / "src" / "effiseg" / "shipped" / name for name in MODELS]
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
    return "\n".join([*start_table("", "paper", *MODELS), *rows])


def write_uncertainty(root: Path) -> str:
    """How far test images and seeds let a mean be known, from the committed scores."""
    rows = start_table(
        *("model", "mean Dice, input size", "standard deviation", "standard error"),
        *(INTERVAL, f"images below {POOR_DICE:g}", "last validation Dice"),
    )
    errors = {}
    for model in MODELS:
        dice = read_test_dice(root, model)
        mean, spread = statistics.mean(dice), statistics.stdev(dice)
        errors[model] = spread / len(dice) ** 0.5
        low, high = (mean + sign * 1.96 * errors[model] for sign in (-1, 1))
        cells = [f"{number:.4f}" for number in (mean, spread, errors[model])]
        poor = sum(each < POOR_DICE for each in dice)
        cells += [f"{low:.4f} to {high:.4f}", str(poor), f"{read_last_validation(root, model):.4f}"]
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
    own = {
        model: [float(run["dice_input"]) for run in runs]
        for model, runs in read_seeds(root).items()
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
