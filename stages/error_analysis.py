"""Stage error_analysis: where the baseline is wrong, what goes with it, what follows.

Reads   params.yaml [error_analysis, evaluate, baseline.{epochs, test_flips, test_scales}],
        data/raw/, data/split.csv, data/arrays/baseline/, data/near_duplicate_pairs.csv; with folds
        crossfit/fold-*/, else models/baseline/
Writes  analysis/{images,kinds,attributes,odds,strata,limits,sampling,reliability,warnings}.csv,
        analysis/{findings.yaml, summary.json}, analysis/thumbnails/, docs/error-analysis.md,
        plots/{worst_by_kind,suspects,strata,kinds}.png

Test images are never looked at.
"""

from pathlib import Path

import pandas as pd

from effiseg.analysis_report import Analysis, write_analysis
from effiseg.attributes import ATTRIBUTES, describe_images
from effiseg.causes import grow_tree, score_attributes, score_odds
from effiseg.confidence import (
    calibration_error,
    count_reliability,
    score_confidence,
    score_warnings,
    tabulate_reliability,
)
from effiseg.error_kinds import KINDS, budget_pixels, describe_error
from effiseg.figures import Cell, draw_gallery, draw_kinds, draw_strata, encode_thumbnail
from effiseg.files import write_bytes, write_json, write_table, write_text
from effiseg.findings import (
    assign_strata,
    derive_findings,
    find_limits,
    score_strata,
    weigh_samples,
    write_findings,
)
from effiseg.folds import ErrorAnalysis
from effiseg.metrics import count_pixels, dice
from effiseg.params import load_section
from effiseg.predict import resize_probability
from effiseg.recipe import Recipe
from effiseg.scoring import Evaluate, score_probabilities
from effiseg.split import key_groups, read_split
from effiseg.suspects import compare_with_annotators, score_labels
from stages.alone import run_alone
from stages.judge import read_judgement
from stages.paths import FINDINGS, RAW, SAMPLING, SPLIT
from stages.progress import progress

OUT, PLOTS = Path("analysis"), Path("plots")
PER_KIND, SUSPECTS = 2, 12  # images in the galleries


def main() -> None:
    params = load_section("error_analysis", ErrorAnalysis)
    threshold = load_section("evaluate", Evaluate).threshold
    recipe = load_section("baseline", Recipe)
    split = read_split(SPLIT)
    split = split[split["split"] != "test"].reset_index(drop=True)
    judged = read_judgement(params, recipe.test_flips, recipe.test_scales)

    rows, bins = [], []
    scored = score_probabilities(
        judged.probability, judged.masks, judged.names, RAW, threshold, progress("score")
    )
    for image, small, flipped, mask in zip(
        scored, judged.probability, judged.flipped, judged.masks.astype(bool), strict=True
    ):
        prediction = image.probability > threshold
        bins.append(count_reliability(small, mask))
        row = {"name": image.name} | describe_error(prediction, image.mask) | image.scores
        mean = resize_probability(flipped, *image.mask.shape) > threshold
        row |= {"dice_flipped": dice(count_pixels(mean, image.mask))}
        row |= {"calibration_error": calibration_error(bins[-1])}
        rows.append(row | score_confidence(small, flipped, threshold))
        title = f"{row['kind']}, Dice {row['dice']:.3f}"
        cell = Cell(image.name, image.image, image.mask, {title: prediction})
        write_bytes(OUT / "thumbnails" / f"{image.name}.jpg", encode_thumbnail(cell))

    described = describe_images(RAW, list(split["name"]), progress("describe"))
    limits = find_limits(described)
    images = pd.DataFrame(rows)
    labels = score_labels(judged.probability, judged.flipped, judged.masks, threshold)
    images = pd.concat([images, labels], axis=1)
    images = split[["name", "split", "group"]].merge(images, on="name").merge(described, on="name")
    strata = assign_strata(images, limits)
    scores = score_strata(images["dice"], strata, params)
    findings = derive_findings(images, scores, params)
    training = described[split["split"] == "train"]
    tree, explained = grow_tree(images, list(ATTRIBUTES), key_groups(images).to_numpy())
    people = compare_with_annotators(
        images["dice"],
        pd.read_csv("data/near_duplicate_pairs.csv"),
        split["name"],
        params.resamples,
        params.seed,
    )
    analysis = Analysis(
        folds=params.folds,
        fold_epochs=params.fold_epochs,
        epochs=recipe.epochs,
        images=images,
        kinds=budget_pixels(images),
        attributes=score_attributes(images, list(ATTRIBUTES), params.resamples, params.seed),
        odds=score_odds(
            images["kind"], strata, params.resamples, params.seed, params.least_images
        ),
        strata=scores,
        reliability=tabulate_reliability(bins),
        warnings=score_warnings(images, params.resamples, params.seed),
        tree=tree,
        summary=explained | people,
        least_images=params.least_images,
        findings=findings,
    )

    for name in ("images", "kinds", "attributes", "odds", "strata", "reliability", "warnings"):
        write_table(OUT / f"{name}.csv", getattr(analysis, name))
    write_table(OUT / "limits.csv", limits.reset_index())
    write_table(SAMPLING, weigh_samples(assign_strata(training, limits), findings))
    write_json(OUT / "summary.json", analysis.summary)
    write_findings(FINDINGS, findings)
    write_text(Path("docs/error-analysis.md"), write_analysis(analysis))
    draw_strata(PLOTS / "strata.png", scores, "Baseline, images it has not seen: Dice by stratum")
    draw_kinds(PLOTS / "kinds.png", analysis.kinds, "Baseline: images and wrong pixels by kind")
    worst = images.sort_values("dice", kind="stable")
    by_kind = [worst[worst["kind"] == kind].head(PER_KIND) for kind in KINDS if kind != "good"]
    suspects = images[images["suspect"]].sort_values("confident_disagreement", ascending=False)
    for file, table, title in (
        ("worst_by_kind.png", pd.concat(by_kind), "Baseline: the worst images of each kind"),
        ("suspects.png", suspects.head(SUSPECTS), "Annotation suspects: who is right?"),
    ):
        cells = [judged.cell(RAW, row.name, row.kind, threshold) for row in table.itertuples(False)]
        draw_gallery(PLOTS / file, cells, title, 2)
    for finding in findings:
        print("on " if finding["switched_on"] else "off", finding["statement"])


if __name__ == "__main__":
    run_alone(main)
