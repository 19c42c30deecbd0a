"""Proof: is the improved model better, over seeds x images?

Shapes: N test images, S seeds of a model (the two models may have different ones), R resamples.
The two models share the images, so that these are paired. Their seeds are not: recipes with other
batches or encoders share no luck under one number. Where they do share some (the decoder's first
weights, the order of the images), intervals are wider than they need be.

Source: the bootstrap of a table of which both sides are drawn is Owen's ("The pigeonhole
bootstrap", Annals of Applied Statistics 2007). Unlike there, S - 1 of S seeds are drawn, which
gives few seeds their unbiased variance (Rao and Wu, JASA 1988); S of S would make it too small by
the factor (S - 1) / S. Simulated with 3 seeds that vary more than images do, 92 % of such intervals
hold the true gain, against 89 % with S of S; with 5 seeds 94 % and 92 %.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import effiseg.metrics as metrics
from effiseg.comparison import LEAST_IMAGES, Compare, compare_models
from effiseg.variance import detectable_gain, estimate_variance

MODELS = ("baseline", "improved")
MEANS = ("dice", "iou", "dice_input", "iou_input")  # over images


class Grid(NamedTuple):
    """One score, 0..1, of every seed on every image."""

    names: list[str]  # (N,), sorted
    baseline: NDArray[np.float64]  # (S, N)
    improved: NDArray[np.float64]  # (S, N)


class Gain(NamedTuple):
    """Improved minus baseline: the mean and its 95 % interval, None where images are too few.

    The interval is over images, and over the seeds of each model that has two or more.
    """

    mean: float
    low: float | None
    high: float | None
    images: int
    seeds: tuple[int, int]  # baseline, improved


def arrange_scores(scores: pd.DataFrame, column: str = "dice") -> Grid:
    """The column of the long table (model, seed, name, ...), whatever the order of its rows.

    Raises:
        ValueError: other models than baseline and improved, a row twice, or no score of a model
            and seed for an image that another has.
    """
    if set(scores["model"]) != set(MODELS):
        raise ValueError(f"scores of the models {sorted(set(scores['model']))}; expected {MODELS}")
    twice = scores[scores.duplicated(["model", "seed", "name"])]
    if len(twice):
        model, seed, name = twice[["model", "seed", "name"]].iloc[0]
        raise ValueError(f"{model}, seed {seed}: image {name} is scored twice")
    table = scores.pivot(index=["model", "seed"], columns="name", values=column)
    for (model, seed), row in table.iterrows():
        lacking = list(row.index[row.isna()])
        if lacking:
            raise ValueError(
                f"{model}, seed {seed}: no {column} of {len(lacking)} of {len(row)} images "
                f"({', '.join(lacking[:3])}); every seed of both models scores the same images"
            )
    return Grid(list(table.columns), *(table.loc[model].to_numpy(float) for model in MODELS))


def select_images(grid: Grid, inside: NDArray[np.bool_]) -> Grid:
    """The images where `inside`, (N,), is true."""
    names = [name for name, is_in in zip(grid.names, inside, strict=True) if is_in]
    return Grid(names, grid.baseline[:, inside], grid.improved[:, inside])


def pair_seed_means(grid: Grid) -> NDArray[np.float64]:
    """(N,): improved minus baseline, each the mean over its seeds."""
    return grid.improved.mean(0) - grid.baseline.mean(0)


def bootstrap_gain(grid: Grid, params: Compare) -> Gain:
    """The mean gain with the percentile interval of a hierarchical, paired bootstrap.

    Each resample draws N images, the same for both models, and the seeds of each model apart. With
    one seed the interval is over images only. Without any image the mean is 0.
    """
    number, seeds = len(grid.names), (len(grid.baseline), len(grid.improved))
    if number < LEAST_IMAGES:
        mean = float(pair_seed_means(grid).mean()) if number else 0.0
        return Gain(mean, None, None, number, seeds)
    generator = np.random.default_rng(params.seed)

    def draw(count: int, items: int) -> NDArray[np.float64]:  # (R, items): shares of the draws
        return generator.multinomial(count, [1 / items] * items, params.resamples) / count

    images = draw(number, number)
    baseline, improved = (
        np.einsum("rn,rn->r", draw(max(len(scores) - 1, 1), len(scores)) @ scores, images)
        for scores in (grid.baseline, grid.improved)
    )
    low, high = np.percentile(improved - baseline, [2.5, 97.5])
    return Gain(float(pair_seed_means(grid).mean()), float(low), float(high), number, seeds)


def bootstrap_strata(grid: Grid, strata: pd.DataFrame, params: Compare) -> pd.DataFrame:
    """stratum, images, baseline, improved, gain, gain_low, gain_high, as `compare_strata` has them.

    Strata without any image are left out.

    Args:
        strata: name and one bool column a stratum, of the images of `grid` at least.

    Raises:
        KeyError: an image of `grid` is not in `strata`.
    """
    assigned = strata.set_index("name").loc[grid.names]
    rows = []
    for name in assigned.columns:
        inside = select_images(grid, assigned[name].to_numpy(bool))
        if inside.names:
            gain = bootstrap_gain(inside, params)
            means = inside.baseline.mean(), inside.improved.mean()
            rows.append((name, gain.images, *means, *gain[:3]))
    columns = ["stratum", "images", "baseline", "improved", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns)


def judge_gain(gain: Gain) -> str:
    """One sentence: what the interval shows, and what it does not."""
    if gain.low is None or gain.high is None:
        return f"Nothing can be claimed: {gain.images} images are too few for an interval."
    is_over_seeds = min(gain.seeds) > 1
    what = "recipe" if is_over_seeds else "training"
    numbers = (
        f"over {gain.images} test images and {gain.seeds[0]} + {gain.seeds[1]} trainings (baseline "
        f"+ improved) the mean Dice changes by {gain.mean:+.4f}, and the 95 % interval, "
        f"{gain.low:+.4f} to {gain.high:+.4f},"
    )
    if gain.low <= 0 <= gain.high:
        return (
            f"A gain is not shown: {numbers} includes zero; neither that the improved {what} is "
            "better nor that both are equal can be claimed."
        )
    limit = "on images from other hospitals" if is_over_seeds else "with another seed"
    word = "better" if gain.low > 0 else "worse"
    return (
        f"The improved {what} is {word}: {numbers} excludes zero; whether it is {word} {limit} too "
        "is not known."
    )


def prove_gain(scores: pd.DataFrame, params: Compare) -> dict[str, Any]:
    """Everything about the gain but its tables, ready for JSON: None where nothing is known.

    Keys as `compare_models` has them, where intervals are of `bootstrap_gain`, and Wilcoxon's test
    and the counts are of means over seeds; also images_without_near_duplicates, seeds, variance,
    detectable_gain and verdict.

    Args:
        scores: model, seed, name, dice, iou, near_duplicate: a row a model, seed and image.
    """
    dice, iou = (arrange_scores(scores, column) for column in ("dice", "iou"))
    has_twin = scores.groupby("name")["near_duplicate"].any().loc[dice.names].to_numpy(bool)
    changes = {"dice_change": pair_seed_means(dice), "iou_change": pair_seed_means(iou)}
    paired = compare_models(pd.DataFrame(changes | {"near_duplicate": has_twin}), params)
    gains = {
        "dice_gain": bootstrap_gain(dice, params),
        "miou_gain": bootstrap_gain(iou, params),
        "dice_gain_without_near_duplicates": bootstrap_gain(select_images(dice, ~has_twin), params),
    }
    for key, gain in gains.items():
        keys = (key, f"{key}_low", f"{key}_high")
        paired |= {k: _round(value) for k, value in zip(keys, gain[:3], strict=True)}
    variance, seeds = estimate_variance(dice.baseline, dice.improved), gains["dice_gain"].seeds
    return paired | {
        "images_without_near_duplicates": int((~has_twin).sum()),
        "seeds": dict(zip(MODELS, seeds, strict=True)),
        "variance": {key: _round(value, 10) for key, value in variance._asdict().items()},
        "detectable_gain": _round(detectable_gain(variance, len(dice.names), seeds)),
        "verdict": judge_gain(gains["dice_gain"]),
    }


def score_runs(scores: pd.DataFrame) -> pd.DataFrame:
    """model, seed, dice, iou, dice_input, iou_input (means over images), dice_pooled, iou_pooled.

    Args:
        scores: also with dice_input, iou_input, and the pixel counts tp, fp, fn.
    """
    rows = []
    for key, images in scores.groupby(["model", "seed"]):
        pooled = metrics.Counts(*(int(images[count].sum()) for count in ("tp", "fp", "fn")), tn=0)
        means = (images[column].mean() for column in MEANS)
        rows.append((*key, *means, metrics.dice(pooled), metrics.iou(pooled)))
    return pd.DataFrame(rows, columns=["model", "seed", *MEANS, "dice_pooled", "iou_pooled"])


def _round(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else round(value, digits)
