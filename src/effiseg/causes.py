"""Causes: which attributes of an image go with a low Dice, with which kind of error, and how much
of the differences between images they leave unexplained.

Intervals are percentile bootstraps over images (95 %), those of rank correlations with the ranks
of the whole sample; p values are corrected after Holm, over all
tests of a table. Nothing here proves a cause: attributes go together, and none was set by hand.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.tree import DecisionTreeRegressor, export_text
from statsmodels.stats.multitest import multipletests

LEAST_SHARE = 0.04  # of the images, in a leaf of the tree
DEPTH = 3
LEAST_KNOWN = 3  # images: two always lie on a line
FOLDS = 5


def correct_holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down correction for testing `len(p)` hypotheses; the order is kept."""
    return multipletests(p, method="holm")[1] if len(p) else np.asarray(p)


def score_attributes(
    images: pd.DataFrame, attributes: list[str], resamples: int, seed: int
) -> pd.DataFrame:
    """attribute, images, spearman, low, high, p, p_holm: rank correlation of each with Dice.

    Images where an attribute is unknown (NaN) are left out of its row. An attribute that fewer than
    three images have, or that is everywhere the same, has no row; nor has any if Dice is the same.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for name in attributes:
        known = images[[name, "dice"]].dropna()
        few = len(known) < LEAST_KNOWN
        if few or known[name].nunique() < 2 or known["dice"].nunique() < 2:
            continue
        correlation = stats.spearmanr(known[name], known["dice"])
        ranks = known.rank().to_numpy()
        draws = generator.integers(0, len(ranks), (resamples, len(ranks)))
        low, high = np.nanpercentile(_correlations(ranks, draws), [2.5, 97.5])
        rows.append((name, len(known), correlation.statistic, low, high, correlation.pvalue))
    columns = ["attribute", "images", "spearman", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=correct_holm(table["p"].to_numpy(float)))


def score_odds(
    kinds: pd.Series, strata: pd.DataFrame, resamples: int, seed: int, least: int
) -> pd.DataFrame:
    """stratum, kind, images, of_kind, odds_ratio, low, high, p, p_holm.

    How many times the odds of a kind of error are higher inside a stratum than outside; half a
    case is added to each of the four cells (Haldane, Anscombe). p is of Fisher's exact test.

    Args:
        kinds: of each image, in the rows of `strata`.
        strata: name and one bool column a stratum.
        least: kinds and strata with fewer images are left out.
    """
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(kinds), (resamples, len(kinds)))
    rows = []
    for stratum in strata.columns.drop("name"):
        inside = strata[stratum].to_numpy(bool)
        for kind in sorted(set(kinds) - {"good"}):
            has = (kinds == kind).to_numpy()
            if min(inside.sum(), (~inside).sum(), has.sum()) < least:
                continue
            cells = _cross(inside, has)
            low, high = np.percentile(_odds(_cross(inside[draws], has[draws])), [2.5, 97.5])
            p = stats.fisher_exact(cells.reshape(2, 2)).pvalue
            both = int(cells[0])
            rows.append((stratum, kind, int(inside.sum()), both, _odds(cells), low, high, p))
    columns = ["stratum", "kind", "images", "of_kind", "odds_ratio", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_holm"] = correct_holm(table["p"].to_numpy(float))
    return table.sort_values("p", kind="stable", ignore_index=True)


def grow_tree(images: pd.DataFrame, attributes: list[str], groups: NDArray) -> tuple[str, dict]:
    """A small regression tree of Dice on the attributes, as text, and what it leaves open.

    The numbers are cross-validated coefficients of determination (R2, share of the variance of
    Dice): of the tree, and of a random forest, which has no need to be readable. Unknown values are
    the attribute's median. Images of one group (near duplicates) stay together. Where every image
    has the same Dice, the coefficients are 1: nothing is left open.

    Raises:
        ValueError: all images are of one group.
    """
    folds = min(FOLDS, len(set(groups)))
    if folds < 2:
        raise ValueError(
            f"error_analysis judges {len(images)} images of {folds} group of near duplicates; "
            "expected two groups or more: set error_analysis.folds to 2 or more, or add images"
        )
    values = images[attributes].fillna(images[attributes].median())
    least = max(2, round(LEAST_SHARE * len(images)))
    tree = DecisionTreeRegressor(max_depth=DEPTH, min_samples_leaf=least, random_state=0)
    forest = RandomForestRegressor(200, min_samples_leaf=5, random_state=0)
    explained = {}
    for name, model in (("tree", tree), ("forest", forest)):
        splitter = GroupKFold(folds)
        guesses = cross_val_predict(model, values, images["dice"], groups=groups, cv=splitter)
        explained[f"r2_{name}"] = float(r2_score(images["dice"], guesses))
    text = export_text(tree.fit(values, images["dice"]), feature_names=attributes, decimals=3)
    return text, explained


def _correlations(ranks: NDArray[np.float64], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pearson's correlation of two columns of ranks in each resample."""
    x, y = ranks[draws, 0], ranks[draws, 1]
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a resample may hold one value only
        return (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))


def _cross(inside: NDArray[np.bool_], has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(4, ...) counts: inside with, inside without, outside with, outside without."""
    pairs = ((inside & has), (inside & ~has), (~inside & has), (~inside & ~has))
    return np.array([pair.sum(-1) for pair in pairs])


def _odds(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    a, b, c, d = cells + 0.5
    return a * d / (b * c)
