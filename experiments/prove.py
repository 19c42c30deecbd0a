"""Is the improved model better, over seeds and test images?

Reads   params.yaml [compare, train, baseline, improved, evaluate], data/raw/, data/split.csv,
        plots/test_images.csv (the pipeline's own trainings), experiments/seeds/ (those with other
        seeds), analysis/{findings.yaml, limits.csv, sampling.csv}, data/published.csv,
        data/published_pooled.csv
Writes  metrics/proof.json, metrics/proof_strata.csv, metrics/seeds.csv, plots/seeds.png,
        docs/proof.md
"""

from pathlib import Path

import pandas as pd

from effiseg.attributes import describe_images
from effiseg.comparison import Compare
from effiseg.figures import draw_seeds
from effiseg.files import write_json, write_table, write_text
from effiseg.findings import assign_strata, read_limits
from effiseg.params import as_plain, load_section
from effiseg.proof import MODELS, arrange_scores, bootstrap_strata, prove_gain, score_runs
from effiseg.proof_report import Evidence, write_proof
from effiseg.recipe import Recipe, Train
from effiseg.variance import estimate_variance, plan_images
from experiments.seeds import SEEDS, label_of, require_current
from stages.paths import RAW
from stages.progress import progress

METRICS = Path("metrics")
DRAWN = ("B0", "B4", "B5")  # of the paper's models


def main() -> None:
    params, seed = load_section("compare", Compare), load_section("train", Train).seed
    own = pd.read_csv("plots/test_images.csv").assign(seed=str(seed))
    others = [read_seed(folder) for folder in sorted(SEEDS.glob("*/seed-*"))]
    scores = pd.concat([own, *others], ignore_index=True)
    grid = arrange_scores(scores)
    limits = read_limits(Path("analysis/limits.csv"))
    described = describe_images(RAW, grid.names, progress("describe"))
    published = pd.read_csv("data/published.csv")
    evidence = Evidence(
        proof=prove_gain(scores, params),
        runs=score_runs(scores),
        strata=bootstrap_strata(grid, assign_strata(described, limits), params),
        plan=plan_images(estimate_variance(grid.baseline, grid.improved)),
        published=published,
        published_pooled=pd.read_csv("data/published_pooled.csv"),
        models={name: as_plain(load_section(name, Recipe)) for name in MODELS},
    )
    write_json(METRICS / "proof.json", evidence.proof)
    write_table(METRICS / "proof_strata.csv", evidence.strata)
    write_table(METRICS / "seeds.csv", evidence.runs)
    lines = published[(published["pretrained"] == "yes") & published["variant"].isin(DRAWN)]
    references = {f"paper, {row.variant}": row.mean_dice for row in lines.itertuples()}
    draw_seeds(Path("plots/seeds.png"), evidence.runs, references, "Every training, test images")
    write_text(Path("docs/proof.md"), write_proof(evidence))
    print(evidence.proof["verdict"])


def read_seed(folder: Path) -> pd.DataFrame:
    """The scores of a seed's folder, as the pipeline's own table has them.

    Raises:
        ValueError: they are of another recipe than params.yaml has now.
    """
    require_current(folder)
    scores = pd.read_csv(folder / "images.csv")
    return scores.assign(model=folder.parent.name, seed=label_of(folder))


if __name__ == "__main__":
    main()
