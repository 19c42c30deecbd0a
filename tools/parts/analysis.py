"""The parts that tell where the answers are wrong, and what the remedies gained."""

import statistics
from pathlib import Path

import numpy as np
import pandas as pd

from effiseg.ablation import bootstrap_folds
from effiseg.comparison import Compare
from effiseg.confidence import POOR_DICE
from effiseg.findings import assign_strata, read_limits
from effiseg.params import load_section
from parts.committed import INTERVAL, read_json, read_rows, read_yaml, start_table


def write_kinds(root: Path) -> str:
    """Kinds of error of the images that models judged without having seen them."""
    rows = start_table(
        "kind", "images", "of images", "of false-negative pixels", "of false-positive pixels"
    )
    for row in read_rows(root / "analysis" / "kinds.csv"):
        shares = (row[f"share_of_{of}"] for of in ("images", "fn_pixels", "fp_pixels"))
        cells = " | ".join(f"{100 * float(share):.0f} %" for share in shares)
        rows.append(f"| {row['kind']} | {row['images']} | {cells} |")
    return "\n".join(rows)


def write_strata(root: Path) -> str:
    """Dice of each stratum against all other images, hardest first."""
    rows = start_table("stratum", "images", "mean Dice", "difference to the others", INTERVAL)
    for row in read_rows(root / "analysis" / "strata.csv"):
        dice, *span = (float(row[key]) for key in ("dice", "difference", "low", "high"))
        cells = f"{dice:.3f} | {span[0]:+.3f} | {span[1]:+.3f} to {span[2]:+.3f}"
        rows.append(f"| {row['stratum']} | {row['images']} | {cells} |")
    return "\n".join(rows)


def write_analysis(root: Path) -> str:
    """What else the error analysis found."""
    analysis = root / "analysis"
    images, summary = read_rows(analysis / "images.csv"), read_json(analysis / "summary.json")
    cause = max(read_rows(analysis / "attributes.csv"), key=lambda row: abs(float(row["spearman"])))
    best = max(read_rows(analysis / "warnings.csv"), key=lambda row: float(row["auroc"]))
    suspects = sum(row["suspect"] == "True" for row in images)
    dice = statistics.mean(float(row["dice"]) for row in images)
    return "\n".join([
        f"- Judged images: {len(images)}; their mean Dice: {dice:.3f}.",
        f"- The attribute that goes with Dice most: `{cause['attribute']}` (Spearman "
        f"{float(cause['spearman']):+.2f}).",
        f"- Variance of Dice that a random forest predicts from all attributes: "
        f"{100 * summary['r2_forest']:.0f} %.",
        f"- Annotation suspects: {suspects} of {len(images)} images. On the "
        f"{summary['annotators_frames']} frames that were annotated twice, the annotations agree "
        f"to a mean Dice of {summary['annotators_dice']:.3f}.",
        f"- Poor answers (Dice below {POOR_DICE:g}): {best['poor']} of {best['images']}; "
        f"`{best['warning']}` tells them from the others with AUROC {float(best['auroc']):.2f}.",
    ])  # fmt: skip


def write_remedies(root: Path) -> str:
    """What each remedy was predicted to gain on its stratum, and what the ablation measured."""
    rows = start_table(
        *("stratum", "remedy", "images", "predicted", "measured", INTERVAL, "outcome")
    )
    findings = read_yaml(root / "experiments" / "findings.yaml")
    asked = [finding for finding in findings if finding["switched_on"]]
    for finding in asked:
        stratum, remedy = finding["prediction"]["stratum"], finding["remedy"]
        rows.append(tell_remedy(root, stratum, remedy["kind"], finding["prediction"]["gain"]))
    rows.append(tell_remedy(root, "all images", "all of them together", None))
    kinds = read_yaml(root / "params.yaml")["error_analysis"]["remedies"]
    on = ", ".join(f"`{kind}`" for kind in kinds) or "none"
    return "\n".join([*rows, "", f"Kinds of remedies that may be switched on today: {on}."])


def tell_remedy(root: Path, stratum: str, remedy: str, predicted: float | None) -> str:
    """A row: the paired gain of the variant `findings` over the published recipe on a stratum.

    The interval is that of the ablation, a bootstrap over folds and their images.
    """
    before, after = (read_runs(root, variant) for variant in ("published", "findings"))
    inside = select_stratum(root, stratum)
    keys = sorted(key for key in after.keys() & before.keys() if key[1] in inside)
    gains = np.array([after[key] - before[key] for key in keys])
    params = load_section("compare", Compare, root / "params.yaml")
    low, high = bootstrap_folds(gains, np.array([fold for fold, _ in keys]), params)
    outcome = "better" if low > 0 else "worse" if high < 0 else "not shown"
    expected = "" if predicted is None else f"{predicted:+.3f}"
    cells = [stratum, remedy, str(len(keys)), expected, f"{gains.mean():+.3f}"]
    return f"| {' | '.join([*cells, f'{low:+.3f} to {high:+.3f}', outcome])} |"


def read_runs(root: Path, variant: str) -> dict[tuple[str, str], float]:
    """Dice by fold and image, of a variant of the ablation."""
    folder = root / "experiments" / "runs" / "screening" / variant
    return {
        (path.parent.name, row["name"]): float(row["dice"])
        for path in folder.glob("fold-*/images.csv")
        for row in read_rows(path)
    }


def select_stratum(root: Path, stratum: str) -> set[str]:
    """Names of the judged images of a stratum."""
    images = pd.read_csv(root / "analysis" / "images.csv")
    if stratum == "all images":
        return set(images["name"])
    strata = assign_strata(images, read_limits(root / "analysis" / "limits.csv"))
    return set(strata.loc[strata[stratum], "name"])
