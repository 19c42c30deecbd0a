"""The parts that tell what each change of the recipe gained, and which were chosen."""

import re
import statistics
from pathlib import Path

import pandas as pd

from effiseg.ablation import check_ranking, write_value
from effiseg.params import load_section
from effiseg.recipe import Recipe
from effiseg.remedies import compare_recipes, read_findings
from effiseg.results_summary import count_variants
from parts.committed import (
    INTERVAL,
    read_rows,
    read_screening,
    read_yaml,
    start_table,
    write_gain,
)

UNMODIFIED = re.compile(r"original (\w+) \((\d+) epochs; run \w\)")  # model, epochs


def write_ablation(root: Path) -> str:
    """Which variants are better and which worse, from experiments/ablation.csv."""
    table = read_screening(root)
    ordered = sorted(table, key=lambda row: -float(row["gain"]))

    def list_variants(verdict: str) -> str:
        rows = [row for row in ordered if row["verdict"] == verdict]
        return ", ".join(f"`{r['variant']}` ({float(r['gain']):+.4f})" for r in rows) or "none"

    tried = count_variants(root)["tried"]
    return (
        f"Of {tried} variants tried so far, the gain in Dice over the published recipe, on images "
        f"not trained on, has a 95 % interval above zero for {list_variants('better')}; below zero "
        f"for {list_variants('worse')}. The intervals are not corrected for the number of variants."
    )


def write_progress(root: Path) -> str:
    """How much of the planned ablation is in its table."""
    plan = read_yaml(root / "experiments" / "variants.yaml")
    table = read_rows(root / "experiments" / "ablation.csv")
    rows = start_table("schedule", "px", "epochs", "variants planned", "run so far", "runs")
    for schedule, planned in (("screening", plan["variants"]), ("full", plan["checked"])):
        folds = [int(row["folds"]) for row in table if row["schedule"] == schedule]
        settings = plan["schedules"][schedule]
        cells = [settings["size"], settings["epochs"], len(planned), len(folds), sum(folds)]
        rows.append(f"| `{schedule}` | {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def write_ranking(root: Path) -> str:
    """The gains of the variants that were run at both schedules, and whether their order is one."""
    path, schedules = root / "experiments" / "ablation.csv", ("screening", "full")
    plan = read_yaml(root / "experiments" / "variants.yaml")["schedules"]
    titles = [f"gain, {plan[s]['size']} px, {plan[s]['epochs']} epochs" for s in schedules]
    rows = start_table("variant", titles[0], INTERVAL, titles[1], INTERVAL)
    small, large = (
        {row["variant"]: row for row in read_rows(path) if row["schedule"] == schedule}
        for schedule in schedules
    )
    for name, row in large.items():
        if name in small and row["verdict"] != "reference":
            rows.append(f"| `{name}` | {write_gain(small[name])} | {write_gain(row)} |")
    table = pd.read_csv(path)
    check = check_ranking(*(table[table["schedule"] == schedule] for schedule in schedules))
    return "\n".join([
        *rows, "",
        f"Spearman's correlation of both gains over these {check['variants']} variants: "
        f"{check['spearman']:+.2f}.",
    ])  # fmt: skip


def write_choice(root: Path) -> str:
    """Where the improved model differs from the baseline, and what the ablation measured of it."""
    rows = start_table(
        *("key", "baseline", "improved"), *("measured alone", "gain in Dice", "95 % interval")
    )
    table = read_screening(root)
    for key, (before, after) in list_choices(root).items():
        alone = [row for row in table if "," not in row["changes"] and row["low"]]
        alone = [row for row in alone if row["changes"].split(" ")[0] == key]
        same = [row for row in alone if row["changes"] in (f"{key} {after}", f"{key} on")]
        start = f"| `{key}` | {write_value(before)} | {write_value(after)} |"
        for row in same or alone:
            rows.append(f"{start} `{row['variant']}` | {write_gain(row)} |")
        if not alone:
            rows.append(f"{start} not measured alone | | |")
    return "\n".join(rows)


def list_choices(root: Path) -> dict[str, tuple[object, object]]:
    """Where both models of the pipeline differ: see `compare_recipes`."""
    models = (load_section(name, Recipe, root / "params.yaml") for name in ("baseline", "improved"))
    return compare_recipes(*models, read_findings(root / "analysis" / "findings.yaml"))


def write_earlier(root: Path) -> str:
    """What an earlier re-run of the authors' code measured, and what our variants of it gained."""
    rows = start_table(
        *("earlier variant", "what was changed", "earlier test Dice"),
        *("against the mean of both unmodified runs", "variant here", "gain in Dice", INTERVAL),
    )
    usual = statistics.mean(float(run["test_dice"]) for run in read_unmodified(root))
    ours = {row["variant"]: row for row in read_screening(root)}
    for row in read_rows(root / "data" / "earlier_ablation.csv"):
        name = f"earlier_{row['variant']}"
        if row["change"]:
            cells = [row["variant"], row["change"], row["test_dice"]]
            cells += [f"{float(row['test_dice']) - usual:+.5f}", f"`{name}`"]
            cells.append(write_gain(ours[name]) if name in ours else "not run yet | ")
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, "", write_repeats(root)])


def write_repeats(root: Path) -> str:
    """How far apart two trainings of one code came."""
    runs = read_unmodified(root)
    model, epochs = UNMODIFIED.fullmatch(runs[0]["variant"]).groups()
    one, other = (run["test_dice"] for run in runs)
    return (
        f"Two trainings of the authors' unmodified code ({model}, {epochs} epochs) gave a test "
        f"Dice of {one} and {other}, {abs(float(one) - float(other)):.4f} apart, though nothing "
        "had changed between them."
    )


def read_unmodified(root: Path) -> list[dict[str, str]]:
    """The two earlier runs of one unmodified code."""
    rows = read_rows(root / "data" / "earlier_ablation.csv")
    return [row for row in rows if UNMODIFIED.fullmatch(row["variant"])]
