"""Proof over seeds x images: by hand, against loops, SciPy, statsmodels; and its report."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from effiseg.comparison import Compare
from effiseg.figures import draw_seeds
from effiseg.proof import (
    Gain,
    arrange_scores,
    bootstrap_gain,
    bootstrap_strata,
    judge_gain,
    prove_gain,
    score_runs,
)
from effiseg.proof_report import Evidence, write_proof
from effiseg.variance import (
    Variance,
    detectable_gain,
    estimate_variance,
    plan_images,
    split_gain_variance,
)

DATA = Path(__file__).resolve().parents[1] / "data"
PARAMS = Compare(resamples=4000, seed=1)


def draw_dice(generator, seeds, image, seed_sd, rest_sd):
    """(S, N) of a mean of 0.8 and three crossed normal effects."""
    of_seeds = generator.normal(0, seed_sd, (seeds, 1))
    return 0.8 + image + of_seeds + generator.normal(0, rest_sd, (seeds, len(image)))


def draw_pair(seed=0, seeds=(3, 4), images=60, seed_sd=0.005, rest_sd=0.03, gain=0.02):
    generator = np.random.default_rng(seed)
    image = generator.normal(0, 0.1, images)
    baseline = draw_dice(generator, seeds[0], image, seed_sd, rest_sd)
    changed = image + generator.normal(gain, 0.05, images)
    return baseline, draw_dice(generator, seeds[1], changed, seed_sd, rest_sd)


def tabulate(baseline, improved, first_seed=40):
    """The long table; every third image has a near duplicate, each has 1000 predicted pixels."""
    rows = [
        {
            "model": model, "seed": first_seed + s, "name": f"i{n:03}", "dice": dice,
            "iou": dice / 2, "dice_input": dice - 0.01, "iou_input": dice / 2 - 0.01,
            "tp": round(1000 * dice), "fp": 1000 - round(1000 * dice), "fn": 100,
            "near_duplicate": n % 3 == 0,
        }
        for model, scores in (("baseline", baseline), ("improved", improved))
        for s, row in enumerate(np.asarray(scores, float))
        for n, dice in enumerate(row)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def grid_of(baseline, improved):
    return arrange_scores(tabulate(baseline, improved))


def test_scores_are_arranged_by_model_seed_and_image_whatever_their_order():
    table = tabulate([[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6]])
    grid = arrange_scores(table.sample(frac=1, random_state=0))
    assert grid.names == ["i000", "i001"]
    assert grid.baseline.tolist() == [[0.1, 0.2], [0.3, 0.4]]
    assert grid.improved.tolist() == [[0.5, 0.6]]
    assert arrange_scores(table, "iou").improved.tolist() == [[0.25, 0.3]]


TABLE = tabulate([[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6]])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param(TABLE.drop(3), r"seed 41: no dice of 1 of 2 images \(i001\)", id="row"),
        pytest.param(
            TABLE.assign(dice=[0.1, 0.2, 0.3, 0.4, np.nan, 0.6]),
            r"improved, seed 40: no dice of 1 of 2 images \(i000\)",
            id="score",
        ),
        pytest.param(TABLE.iloc[[0, 1, 0, 4]], "seed 40: image i000 is scored twice", id="twice"),
        pytest.param(TABLE[:4], r"models \['baseline'\]; expected .*improved", id="model"),
    ],
)  # fmt: skip
def test_incomplete_scores_are_refused_by_name(table, message):
    with pytest.raises(ValueError, match=message):
        arrange_scores(table)


def test_the_gain_is_the_difference_of_the_means_over_seeds_and_images():
    gain = bootstrap_gain(grid_of([[0.5] * 5, [0.7] * 5], [[0.9, 0.9, 0.9, 0.9, 0.4]]), PARAMS)
    assert gain.mean == pytest.approx(0.8 - 0.6)
    assert (gain.images, gain.seeds) == (5, (2, 1))


def test_the_interval_is_that_of_a_naive_loop():
    baseline, improved = draw_pair()
    ours = bootstrap_gain(grid_of(baseline, improved), PARAMS)
    generator, gains = np.random.default_rng(9), []
    for _ in range(PARAMS.resamples):
        images = generator.integers(0, 60, 60)
        means = []
        for scores in (baseline, improved):
            seeds = generator.integers(0, len(scores), len(scores) - 1)
            means.append(np.mean([scores[s, n] for s in seeds for n in images]))
        gains.append(means[1] - means[0])
    assert (ours.low, ours.high) == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=0.001)


def test_with_one_seed_each_the_interval_is_scipys_over_images():
    baseline, improved = draw_pair(seeds=(1, 1))
    ours = bootstrap_gain(grid_of(baseline, improved), PARAMS)
    theirs = stats.bootstrap(
        ((improved - baseline)[0],), np.mean, n_resamples=4000, method="percentile", random_state=3
    ).confidence_interval
    assert ours.seeds == (1, 1)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.001)


def test_the_same_seed_gives_the_same_interval_and_another_a_similar_one():
    grid = grid_of(*draw_pair())
    first = bootstrap_gain(grid, PARAMS)
    assert bootstrap_gain(grid, PARAMS) == first
    other = bootstrap_gain(grid, Compare(resamples=4000, seed=2))
    assert other != first
    assert other.low == pytest.approx(first.low, abs=0.002)


def test_equal_models_gain_nothing():
    scores, _ = draw_pair()
    gain = bootstrap_gain(grid_of(scores, scores), PARAMS)
    assert gain.mean == 0
    assert gain.low < 0 < gain.high
    assert bootstrap_gain(grid_of(scores[:1], scores[:1]), PARAMS)[:3] == (0, 0, 0)
    assert prove_gain(tabulate(scores, scores), PARAMS)["wilcoxon_p"] == 1


def test_seeds_that_differ_more_widen_the_interval():
    widths = []
    for spread in (0, 0.02, 0.05):
        shift = spread * np.array([[-1], [0], [1]])
        baseline, improved = draw_pair(seeds=(3, 3))
        gain = bootstrap_gain(grid_of(baseline + shift, improved + shift), PARAMS)
        widths.append(gain.high - gain.low)
    assert widths == sorted(widths)
    assert widths[2] > 2 * widths[0]


def test_the_interval_has_its_coverage():
    """Of 100 experiments without a true gain, five seeds each, about 95 hold zero."""
    held = 0
    for seed in range(100):
        pair = draw_pair(seed, seeds=(5, 5), images=40, seed_sd=0.01, gain=0)
        gain = bootstrap_gain(grid_of(*pair), Compare(resamples=400, seed=seed))
        held += gain.low <= 0 <= gain.high
    assert 88 <= held <= 100


def test_a_stratum_is_compared_on_its_own_images_and_a_small_one_has_no_interval():
    baseline = np.full((2, 12), 0.5)
    improved = baseline + np.where(np.arange(12) < 6, 0.1, 0.0)
    names = [f"i{n:03}" for n in range(12)]
    strata = pd.DataFrame(
        {
            "name": names[::-1],
            "gained": np.arange(12)[::-1] < 6,
            "few": np.arange(12)[::-1] < 4,
            "none": False,
        }
    )
    table = bootstrap_strata(grid_of(baseline, improved), strata, PARAMS).set_index("stratum")
    assert list(table.index) == ["gained", "few"]
    expected = [6, 0.5, 0.6, 0.1, 0.1, 0.1]
    assert table.loc["gained"].tolist() == pytest.approx(expected)
    assert table.loc["few", ["images", "gain"]].tolist() == pytest.approx([4, 0.1])
    assert table.loc["few", ["gain_low", "gain_high"]].isna().all()


def test_wins_ties_and_wilcoxons_test_are_of_means_over_seeds():
    baseline = np.full((2, 6), 0.5)
    improved = [[0.7, 0.3, 0.5, 0.6, 0.4, 0.9], [0.5, 0.5, 0.5003, 0.4, 0.4, 0.9]]
    proof = prove_gain(tabulate(baseline, improved), PARAMS)
    assert [proof[key] for key in ("wins", "losses", "ties")] == [2, 2, 2]
    expected = stats.wilcoxon(np.mean(improved, 0) - 0.5).pvalue
    assert proof["wilcoxon_p"] == pytest.approx(expected)


def test_images_with_near_duplicates_are_left_out_where_that_is_said():
    baseline = np.full((2, 9), 0.5)
    improved = baseline + np.where(np.arange(9) % 3 == 0, 0.4, 0.1)
    proof = prove_gain(tabulate(baseline, improved), PARAMS)
    assert proof["images_without_near_duplicates"] == 6
    assert proof["dice_gain_without_near_duplicates"] == pytest.approx(0.1)
    assert proof["dice_gain_without_near_duplicates_low"] == pytest.approx(0.1)
    assert (proof["dice_gain"], proof["miou_gain"]) == pytest.approx((0.2, 0.1))


def test_components_are_those_of_an_analysis_of_variance():
    baseline, improved = draw_pair(seeds=(4, 4), seed_sd=0.02)
    table = tabulate(baseline, improved)
    found = estimate_variance(baseline, improved)
    for model, seeds, rest in (
        ("baseline", found.seeds_baseline, found.rest_baseline),
        ("improved", found.seeds_improved, found.rest_improved),
    ):
        fit = ols("dice ~ C(seed) + C(name)", table[table["model"] == model]).fit()
        squares = anova_lm(fit)["mean_sq"]
        assert rest == pytest.approx(squares["Residual"])
        assert seeds == pytest.approx((squares["C(seed)"] - squares["Residual"]) / 60)
    # with as many seeds each, the difference of any pairing is itself a crossed table
    change = tabulate(improved - baseline, improved)
    squares = anova_lm(ols("dice ~ C(seed) + C(name)", change[:240]).fit())["mean_sq"]
    noise = (found.rest_baseline + found.rest_improved) / 4
    assert found.images == pytest.approx(squares["C(name)"] / 4 - noise)


def test_known_components_are_found_on_average():
    pairs = (draw_pair(seed, (5, 3), images=100, seed_sd=0.02) for seed in range(1000))
    found = np.mean([estimate_variance(*pair) for pair in pairs], axis=0)
    assert found == pytest.approx((0.05**2, 0.02**2, 0.02**2, 0.03**2, 0.03**2), rel=0.1)


def test_negative_components_are_zero_and_unknown_ones_are_none():
    opposed = np.array([[0.5, 0.7], [0.7, 0.5]])  # equal means, and no image is harder
    assert estimate_variance(opposed, opposed) == pytest.approx((0, 0, 0, 0.04, 0.04))
    one_seed = estimate_variance(opposed[:1], opposed)
    assert one_seed == (None, None, 0, None, pytest.approx(0.04))
    assert detectable_gain(one_seed, 100, (1, 2)) is None
    assert plan_images(one_seed).empty


def test_parts_of_the_gains_variance_by_hand():
    parts = split_gain_variance(Variance(0.04, 0.002, 0.009, 0.02, 0.03), 100, (2, 3))
    assert parts == pytest.approx((0.0004, 0.001 + 0.003, 0.0001 + 0.0001))


def test_planned_images_are_those_of_the_textbook_and_none_where_seeds_vary_too_much():
    plan = plan_images(Variance(0.04**2, 0, 0, 0, 0)).set_index(["effect", "seeds"])["images"]
    assert plan[0.02, 1] == 32  # (1.96 + 0.8416)^2 / 0.5^2 = 31.4
    assert plan[0.002, 10] == 3140
    seeds = plan_images(Variance(0.04**2, 1e-5, 2e-5, 0.001, 0.002)).set_index(["effect", "seeds"])
    assert seeds["images"].isna().groupby("effect").sum().to_dict() == {
        0.002: 4, 0.005: 3, 0.01: 1, 0.02: 0
    }  # fmt: skip
    left = (0.005 / 2.801585) ** 2 - 3e-5 / 10
    assert seeds.loc[(0.005, 10), "images"] == np.ceil((0.04**2 + 0.003 / 10) / left)


def test_the_detectable_gain_is_the_one_that_was_planned_for():
    variance = Variance(0.04**2, 1e-6, 2e-6, 0.001, 0.002)
    for row in plan_images(variance).dropna().itertuples():
        here = detectable_gain(variance, row.images, (row.seeds, row.seeds))
        assert here <= row.effect
        assert here == pytest.approx(row.effect, rel=0.05)


def test_four_of_five_experiments_find_the_detectable_gain():
    variance = Variance(0.05**2, 0.005**2, 0.005**2, 0.03**2, 0.03**2)
    gain = detectable_gain(variance, 100, (5, 5))
    sigma = sum(split_gain_variance(variance, 100, (5, 5))) ** 0.5
    found = [
        np.mean(improved) - np.mean(baseline) > 1.96 * sigma
        for baseline, improved in (
            draw_pair(seed, seeds=(5, 5), images=100, gain=gain) for seed in range(1000)
        )
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        pytest.param(Gain(0.01, 0.002, 0.02, 100, (5, 3)), ["recipe is better", "+0.0100", "5 + 3",
            "excludes zero", "on images from other hospitals too is not known"], id="better"),
        pytest.param(Gain(0.01, 0.002, 0.02, 100, (1, 3)), ["training is better",
            "with another seed too is not known"], id="one seed"),
        pytest.param(Gain(-0.01, -0.02, -0.002, 100, (5, 5)), ["is worse", "excludes"], id="worse"),
        pytest.param(Gain(0.01, -0.001, 0.02, 100, (5, 5)), ["A gain is not shown", "includes zero",
            "neither", "better", "nor that both are equal"], id="open"),
        pytest.param(Gain(0.0, 0.0, 0.0, 100, (5, 5)), ["not shown"], id="equal"),
        pytest.param(Gain(0.3, None, None, 4, (5, 5)), ["4 images are too few"], id="few"),
    ],
)  # fmt: skip
def test_the_verdict_says_what_the_interval_says(gain, words):
    verdict = judge_gain(gain)  # one sentence
    assert [word for word in words if word not in verdict] == []
    assert re.sub(r"\d\.\d", "", verdict).count(".") == 1


@pytest.mark.parametrize("images", [3, 40])
def test_what_is_unknown_is_null_in_json(images):
    proof = prove_gain(tabulate(*draw_pair(seeds=(1, 2), images=images)), PARAMS)
    assert json.loads(json.dumps(proof, allow_nan=False)) == proof
    assert proof["seeds"] == {"baseline": 1, "improved": 2}
    assert proof["variance"]["seeds_baseline"] is None
    assert proof["detectable_gain"] is None
    assert (proof["dice_gain_low"] is None) == (images == 3)


def test_runs_are_scored_by_hand():
    runs = score_runs(tabulate([[0.5, 0.7], [0.9, 0.9]], [[0.6, 0.6]]))
    assert runs[["model", "seed"]].to_numpy().tolist() == [
        ["baseline", 40], ["baseline", 41], ["improved", 40]
    ]  # fmt: skip
    first = runs.iloc[0]
    assert first[["dice", "iou", "dice_input", "iou_input"]].tolist() == pytest.approx(
        [0.6, 0.3, 0.59, 0.29]
    )
    assert first["dice_pooled"] == pytest.approx(2 * 1200 / (2 * 1200 + 800 + 200))
    assert first["iou_pooled"] == pytest.approx(1200 / (1200 + 800 + 200))


def make_report(**shape):
    table = tabulate(*draw_pair(**shape))
    grid = arrange_scores(table)
    strata = pd.DataFrame({"name": grid.names, "small": np.arange(len(grid.names)) < 4})
    evidence = Evidence(
        prove_gain(table, PARAMS),
        score_runs(table),
        bootstrap_strata(grid, strata, PARAMS),
        plan_images(estimate_variance(grid.baseline, grid.improved)),
        pd.read_csv(DATA / "published.csv"),
        pd.read_csv(DATA / "published_pooled.csv"),
        {m: {"encoder": f"encoder of {m}", "size": 96} for m in ("baseline", "improved")},
    )
    return write_proof(evidence), evidence


def test_the_report_tells_the_numbers_it_is_given():
    report, evidence = make_report()
    proof, runs = evidence.proof, evidence.runs.set_index("model")
    dice = runs.loc["improved", "dice"]
    spread = f"{dice.mean():.4f} | {dice.std():.4f} | {dice.min():.4f} | {dice.max():.4f} |"
    assert f"| Dice, mean over images, original size | improved | 4 | {spread}" in report
    assert "Seeds: baseline 40, 41, 42; improved 40, 41, 42, 43." in report
    assert f"**{proof['verdict']}**" in report
    gain = f"{proof['dice_gain']:+.4f} | {proof['dice_gain_low']:+.4f} to"
    assert f"| mean Dice | 60 | {gain}" in report
    assert "| mean Dice, no near duplicates of training | 40 |" in report
    assert f"better on {proof['wins']} images" in report
    assert "| small | 4 |" in report
    assert "| too few images |" in report
    assert f"| {proof['variance']['images'] ** 0.5:.4f} |" in report
    needed = evidence.plan.set_index(["effect", "seeds"]).loc[(0.02, 5), "images"]
    assert f"{needed:,} images with 5 seeds" in report.split("a true gain of 0.02: ")[1]
    assert "gain of 0.002: with 1, 3, 5, 10 seeds no number of images is enough" in report
    assert f"a true gain of {proof['detectable_gain']:.4f} Dice" in report
    assert "| EffiSegNet-B4, paper | 380 | 0.9483 | 0.9056 |" in report
    at_input = runs.loc["baseline", "dice_input"]
    ours = f"(`encoder of baseline`) | 96 | {at_input.mean():.4f} +- {at_input.std():.4f} |"
    assert f"| **ours, baseline, input size** {ours}" in report
    assert "| 0.958 | 0.919 |" in report
    pooled = runs.loc["improved", "iou_pooled"]
    assert f"| {pooled.mean():.4f} +- {pooled.std():.4f} |\n" in report
    assert "nan" not in report
    assert "None" not in report


def test_the_report_of_one_seed_says_what_is_not_in_it():
    report, _ = make_report(seeds=(1, 1))
    assert "how much the trainings of one model differ is not in them" in report
    assert "can't be told apart" in report
    assert "it takes two seeds or more of both models" in report
    assert "(one seed)" in report
    assert "nan" not in report


def test_pooled_figures_of_others_fit_together():
    published = pd.read_csv(DATA / "published_pooled.csv")
    expected = published["dice_pooled"] / (2 - published["dice_pooled"])
    assert published["iou_pooled"].to_numpy() == pytest.approx(expected.to_numpy(), abs=6e-4)
    b4 = pd.read_csv(DATA / "published.csv").query("variant == 'B4' and pretrained == 'yes'")
    ours = published.set_index("model").loc["EffiSegNet-B4", "dice_pooled"]
    assert b4["f1_pooled"].tolist() == [ours]


def test_the_figure_of_seeds_is_the_same_bytes(tmp_path):
    runs = score_runs(tabulate(*draw_pair()))
    for name in ("first.png", "second.png"):
        draw_seeds(tmp_path / name, runs, {"paper, B0": 0.9304, "paper, B4": 0.9483}, "title")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
