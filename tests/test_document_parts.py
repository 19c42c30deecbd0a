"""Generated parts of the documents: each number by hand, or by a second way from the same files."""

import csv
import json
import shutil
import statistics
import subprocess
import sys

import pandas as pd
import pytest
from documents import ROOT

from effiseg.commands import main

sys.path.insert(0, str(ROOT / "tools"))
import list_recipes
from parts import ablation, analysis, plain, proof, results, speed


def list_cells(part):
    """The rows of a part's table, without its head."""
    rows = [line for line in part.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def read_dice():
    """Of each test image, a column a model and seed."""
    tables = {}
    test = pd.read_csv(ROOT / "plots/test_images.csv").set_index("name")
    for model in ("baseline", "improved"):
        tables[model, "42"] = test.loc[test["model"] == model, "dice"]
        for path in (ROOT / "experiments/seeds" / model).glob("seed-*/images.csv"):
            seed = path.parent.name.removeprefix("seed-")
            tables[model, seed] = pd.read_csv(path).set_index("name")["dice"]
    return pd.DataFrame(tables)


def test_the_tail_tells_how_the_gain_is_spread_over_images():
    dice, part = read_dice(), proof.write_tail(ROOT)
    gains = dice["improved"].mean(axis=1) - dice["baseline"].mean(axis=1)
    assert f"mean gain of {gains.mean():+.4f}" in part
    assert f"the 4 images that gain most give {gains.nlargest(4).sum() / len(gains):+.4f}" in part
    assert f"median gain of an image is {statistics.median(gains):+.4f}" in part
    seeds = sorted(set(dice["baseline"].columns) & set(dice["improved"].columns))
    expected = [
        [str(seed), *(str((dice[model, seed] < 0.8).sum()) for model in ("baseline", "improved"))]
        for seed in seeds
    ]
    assert list_cells(part) == expected


def test_hard_strata_are_those_of_the_analysis_with_the_proofs_verdict():
    part = proof.write_hard_strata(ROOT)
    strata = pd.read_csv(ROOT / "analysis/strata.csv").query("high < 0 and p_holm < 0.05")
    measured = pd.read_csv(ROOT / "metrics/proof_strata.csv").set_index("stratum")
    pieces = part.split("images: ", 1)[1].rstrip(".").split("; ")
    groups = dict(piece.split(": ") for piece in pieces)
    assert set(groups) == {"shown", "not shown", "too few images"}
    expected = {verdict: [] for verdict in groups}
    for name in strata["stratum"]:
        low = measured.loc[name, "gain_low"]
        verdict = "too few images" if pd.isna(low) else "shown" if low > 0 else "not shown"
        expected[verdict].append(f"{name} ({measured.loc[name, 'images']})")
    assert groups == {verdict: ", ".join(names) or "none" for verdict, names in expected.items()}


def test_every_recipe_that_was_scored_is_told_with_its_gain():
    table = pd.read_csv(ROOT / "metrics/recipes.csv")
    cells = list_cells(proof.write_scored_recipes(ROOT))
    assert [row[0].strip("`") for row in cells] == list(table["changes"])
    assert [row[3] for row in cells] == [f"{gain:+.4f}" for gain in table["gain"]]
    scores = json.loads((ROOT / "metrics/improved.json").read_text(encoding="utf-8"))
    assert table["improved"].iloc[-1] == scores["dice"]


def test_the_list_of_recipes_is_that_of_the_history():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout

    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        pytest.skip("this is a clone without history, or no clone")
    with (ROOT / "metrics/recipes.csv").open(encoding="utf-8", newline="") as stream:
        committed = [tuple(row) for row in csv.reader(stream)][1:]
    listed = list_recipes.list_recipes()
    assert listed
    assert [row[2:] for row in committed[-len(listed) :]] == [row[2:] for row in listed]


@pytest.mark.parametrize(("flips", "views"), [(True, 4), (False, 1)])
def test_an_answer_costs_its_views(tmp_path, flips, views):
    for name in ("benchmarks/variants.json", "data/published.csv"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    for model in ("baseline", "improved"):
        config = tmp_path / "src/effiseg/shipped" / model / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"test_flips": flips and model == "improved"}))
    costs = json.loads((ROOT / "benchmarks/variants.json").read_text())["variants"]["improved"]
    work = sum(costs["macs"].values()) / 1e9
    cells = list_cells(results.write_cost(tmp_path))
    assert cells[1] == ["improved", str(views), f"{work:.2f}", f"{views * work:.2f}"]
    assert cells[0][1] == "1"
    assert ["EffiSegNet-B4, paper", "1", "4.89", "4.89"] in cells


def test_rows_of_the_paper_lie_above_or_below_a_model_by_its_mean_over_seeds():
    seeds = pd.read_csv(ROOT / "metrics/seeds.csv")
    paper = pd.read_csv(ROOT / "data/published.csv")
    for line in results.write_position(ROOT).splitlines():
        model = line.split("than the ")[1].split(" ")[0]
        mean = seeds.loc[seeds["model"] == model, "dice_input"].mean()
        above = line.split("model: ")[1].split(";")[0].split(", ")
        start = paper["variant"] + paper["pretrained"].map({"yes": "", "no": " from scratch"})
        assert above == (list(start[paper["mean_dice"] > mean]) or ["none"])


@pytest.mark.parametrize(
    ("rates", "lines"),
    [
        ((60.0, 30.0), ["met by a (60), b (30)"]),
        ((60.0, 17.2), ["met by a (60)", "missed by b (17.2)"]),
        ((25.0, 24.9), ["met by a (25)", "missed by b (24.9)"]),
        ((10.0, 20.0), ["missed by a (10), b (20)"]),
    ],
)
def test_the_goal_for_video_is_judged_model_by_model(rates, lines):
    records = [
        {"name": f"video of 1280 x 720: real time and {name}", "ours": rate}
        for name, rate in zip("ab", rates, strict=True)
    ]
    records += json.loads((ROOT / "benchmarks/prediction.json").read_text(encoding="utf-8"))
    records = [r for r in records if not r["name"].endswith(("improved", "baseline", "one view"))]
    told = speed.write_prediction_goals(speed.list_networks(records), records)
    start = "- Goal for video: at least 25 frames a second: "
    assert [line for line in told if "video" in line] == [f"{start}{line}." for line in lines]


@pytest.mark.parametrize(("waited", "verdict"), [(0.05, "met (0.05)"), (0.0501, "missed (0.0501)")])
def test_the_goal_for_waiting_has_a_verdict(waited, verdict):
    records = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))
    for record in records:
        if "spent waiting" in record["name"]:
            record["ours"] = waited
    assert speed.write_goals(records)[-1].endswith(f"at most 0.05: {verdict}.")


def test_remedies_together_have_the_interval_of_the_ablation():
    table = pd.read_csv(ROOT / "experiments/ablation.csv").set_index("variant")
    row = table[table["schedule"] == "screening"].loc["findings"]
    cells = list_cells(analysis.write_remedies(ROOT))[-1]
    assert cells[4:6] == [f"{row['gain']:+.3f}", f"{row['low']:+.3f} to {row['high']:+.3f}"]


def test_plain_words_are_those_of_the_command(capsys):
    with pytest.raises(SystemExit) as end:
        main(["explain", str(ROOT), "--language", "ko"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == plain.write_plain(ROOT, "ko")


def test_the_ranking_sets_the_gains_of_both_schedules_side_by_side():
    table = pd.read_csv(ROOT / "experiments/ablation.csv")
    small, large = (
        table[table["schedule"] == name].set_index("variant")["gain"]
        for name in ("screening", "full")
    )
    names = [name for name in large.index if name != "published"]
    part = ablation.write_ranking(ROOT)
    assert [[row[0].strip("`"), row[1], row[3]] for row in list_cells(part)] == [
        [name, f"{small[name]:+.4f}", f"{large[name]:+.4f}"] for name in names
    ]
    correlation = small[names].rank().corr(large[names].rank())
    assert part.endswith(f"over these {len(names)} variants: {correlation:+.2f}.")
