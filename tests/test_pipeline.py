"""The whole chain on synthetic frames: what each stage opens and asks is what dvc.yaml declares.

The stages run in this process, in a copy with its own parameters. An audit hook notes the files
that Python opens; sections of parameters note which of their keys are asked for.
"""

import dataclasses
import hashlib
import importlib
import json
import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from effiseg.error_kinds import KINDS
from effiseg.params import load_section
from effiseg.recipe import Train
from effiseg.synthetic import write_frames
from stages.modules import list_modules

ROOT = Path(__file__).resolve().parents[1]


def expand_stages(stages: dict) -> dict:
    """Stages as DVC runs them: `foreach` over a list written out."""
    expanded = {}
    for name, stage in stages.items():
        if "foreach" not in stage:
            expanded[name] = stage
            continue
        for item in stage["foreach"]:
            text = json.dumps(stage["do"]).replace("${item}", str(item))
            expanded[f"{name}@{item}"] = json.loads(text)
    return expanded


STAGES = expand_stages(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
SHORT = {
    "split": {"scheme": "effisegnet"},
    "train": {"batch_size": 4},
    "baseline": {"size": 32, "epochs": 2, "decoder_channels": 8},
    "improved": {"size": 64, "epochs": 2, "decoder_channels": 8},
    "error_analysis": {"folds": 5, "fold_epochs": 1, "resamples": 100, "least_images": 2},
    "compare": {"resamples": 100},
}
DATA = ("near_duplicate_groups.txt", "near_duplicate_pairs.csv", "published.csv")
DATA += ("published_pooled.csv",)
_opened: list[tuple[str, bool]] = []  # path, whether for writing
_is_recording = False


def _note(event: str, arguments: tuple) -> None:
    if not _is_recording or event != "open" or not isinstance(arguments[0], (str, bytes)):
        return
    path, mode, flags = os.fsdecode(arguments[0]), arguments[1], arguments[2]
    writes = any(c in "wax+" for c in mode) if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))
    _opened.append((path, writes))


sys.addaudithook(_note)


def record_keys(monkeypatch, module, asked: set[str]) -> None:
    """Make the sections that a stage module loads note each key that is read."""

    def load(name, section, *arguments):
        loaded = load_section(name, section, *arguments)
        fields = {field.name for field in dataclasses.fields(section)}

        class Recording(section):
            def __getattribute__(self, key):
                if key in fields:
                    asked.add(f"{name}.{key}")
                return super().__getattribute__(key)

        object.__setattr__(loaded, "__class__", Recording)
        return loaded

    if hasattr(module, "load_section"):
        monkeypatch.setattr(module, "load_section", load)


def run_stage(stage: str, folder: Path, monkeypatch) -> dict[str, set[str]]:
    """Run the command of a stage; the parameters it asked, the files it read and wrote."""
    global _is_recording
    _, _, target, *arguments = STAGES[stage]["cmd"].split()
    module, asked = importlib.import_module(target), set()
    record_keys(monkeypatch, module, asked)
    _opened.clear()
    _is_recording = True
    try:
        module.main(*arguments)
    finally:
        _is_recording = False
    files = {False: set(), True: set()}
    for path, writes in _opened:
        absolute = Path(path) if os.path.isabs(path) else folder / path
        if absolute.is_relative_to(folder):
            files[writes].add(absolute.relative_to(folder).as_posix())
    own = {"params.yaml"} | {name for name in files[False] if name.startswith(".effiseg/")}
    return {"asked": asked, "read": files[False] - own - files[True], "written": files[True]}


def make_copy(folder: Path) -> None:
    """Parameters and tracked data, with a tiny data set in the place of Kvasir-SEG."""
    shutil.copytree(ROOT / "data" / "splits", folder / "data" / "splits")
    for name in DATA:
        shutil.copy(ROOT / "data" / name, folder / "data" / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in SHORT.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    archive = folder / "archive"
    write_frames(archive, number=40)
    parts = pd.read_csv(archive / "split.csv")
    parts.to_csv(folder / "data" / "splits" / "effisegnet.csv", index=False)
    (archive / "split.csv").unlink()
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  "
        f"Kvasir-SEG/{path.relative_to(archive).as_posix()}\n"
        for path in sorted(archive.rglob("*.jpg"))
    ]
    (folder / "data" / "kvasir-seg.sha256").write_text("".join(lines), encoding="utf-8")


def change_param(folder: Path, section: str, key: str, value: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params[section][key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What each stage asked, read and wrote, over the variants that take different paths."""
    folder = tmp_path_factory.mktemp("chain").resolve()
    make_copy(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KVASIR_SEG_ARCHIVE", str(folder / "archive"))
        result = {"fetch": run_stage("fetch", folder, patch)}
        change_param(folder, "split", "scheme", "random")
        drawn = run_stage("split", folder, patch)
        change_param(folder, "split", "scheme", "effisegnet")
        result["split"] = run_stage("split", folder, patch)
        for stage in STAGES:
            if stage not in result:
                result[stage] = run_stage(stage, folder, patch)
        change_param(folder, "error_analysis", "folds", 0)
        alone = run_stage("error_analysis", folder, patch)
        change_param(folder, "error_analysis", "folds", 5)
        run_stage("error_analysis", folder, patch)
        change_param(folder, "report", "model", "baseline")
        other = run_stage("report", folder, patch)
        change_param(folder, "report", "model", "improved")
        run_stage("report", folder, patch)
        for stage, variant in (("split", drawn), ("error_analysis", alone), ("report", other)):
            for kind, found in variant.items():
                result[stage][kind] |= found
    return folder, result


def names_of(entries: list) -> list[str]:
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def is_under(path: str, declared: list[str]) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in declared)


def declared_data(stage: str) -> list[str]:
    return [name for name in STAGES[stage]["deps"] if not name.startswith(("src/", "stages/"))]


def declared_outputs(stage: str) -> list[str]:
    return names_of(STAGES[stage].get("outs", [])) + names_of(STAGES[stage].get("metrics", []))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_asks_for_exactly_the_declared_parameters(stage, runs):
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    declared = set()
    for name in STAGES[stage].get("params", []):
        section, _, key = name.partition(".")
        declared |= {name} if key else {f"{section}.{k}" for k in params[section]}
    assert runs[1][stage]["asked"] == declared


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_exactly_the_declared_data(stage, runs):
    outside = ["archive", *declared_outputs(stage)]  # a stage may read what it wrote
    read = {path for path in runs[1][stage]["read"] if not is_under(path, outside)}
    undeclared = {path for path in read if not is_under(path, declared_data(stage))}
    unused = {n for n in declared_data(stage) if not any(is_under(path, [n]) for path in read)}
    assert (undeclared, unused) == (set(), set())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_writes_exactly_the_declared_outputs(stage, runs):
    folder, result = runs
    written = {
        path
        for path in result[stage]["written"]
        if not path.startswith(".effiseg/") and (folder / path).exists()  # not temporary
    }
    missing = [name for name in declared_outputs(stage) if not (folder / name).exists()]
    outside = {path for path in written if not is_under(path, declared_outputs(stage))}
    assert (outside, missing) == (set(), [])


EXPERIMENTS = yaml.safe_load((ROOT / "experiments" / "dvc.yaml").read_text(encoding="utf-8"))
SCRIPTS = STAGES | {name: EXPERIMENTS["stages"][name] for name in ("tabulate", "prove")}


@pytest.mark.parametrize("stage", SCRIPTS)
def test_a_stage_declares_exactly_the_code_that_it_imports(stage):
    script = ROOT / (SCRIPTS[stage]["cmd"].split()[2].replace(".", "/") + ".py")
    declared = {name for name in SCRIPTS[stage]["deps"] if name.endswith(".py")}
    assert declared == {path.relative_to(ROOT).as_posix() for path in list_modules(script)}


def test_test_images_are_not_opened_before_they_are_evaluated(runs):
    folder, result = runs
    split = pd.read_csv(folder / "data" / "split.csv").set_index("name")["split"]
    for stage in ("crossfit@0", "error_analysis", "train_baseline", "train_improved"):
        opened = {Path(path).stem for path in result[stage]["read"] if path.endswith(".jpg")}
        assert "test" not in set(split.reindex(sorted(opened)))


def test_every_image_that_is_not_for_testing_is_judged_by_a_fold_that_lacks_it(runs):
    folder = runs[0]
    split = pd.read_csv(folder / "data" / "split.csv").set_index("name")["split"]
    lists = [pd.read_csv(folder / f"crossfit/fold-{k}/names.csv")["name"] for k in range(5)]
    assert sorted(pd.concat(lists)) == sorted(split[split != "test"].index)
    images = pd.read_csv(folder / "analysis" / "images.csv")
    assert set(images["name"]) == set(split[split != "test"].index)
    counts = images["tp"] + images["fn"] + images["fp"] + images["tn"]
    assert (counts > 0).all()
    kinds = pd.read_csv(folder / "analysis" / "kinds.csv")
    assert kinds["images"].sum() == len(images)


def test_a_fold_that_is_left_over_writes_an_empty_list(runs, monkeypatch, tmp_path):
    shutil.copytree(runs[0] / "data", tmp_path / "data")
    shutil.copy(runs[0] / "params.yaml", tmp_path)
    change_param(tmp_path, "error_analysis", "folds", 2)
    monkeypatch.chdir(tmp_path)
    importlib.import_module("stages.crossfit").main("4")
    assert (tmp_path / "crossfit" / "fold-4" / "names.csv").read_text() == "name\n"


def test_folds_do_not_choose_weights_by_the_images_they_judge(runs, monkeypatch):
    monkeypatch.chdir(runs[0])
    change_param(runs[0], "baseline", "weights", "best")
    try:
        with pytest.raises(ValueError, match=r"baseline\.weights is best; expected last"):
            importlib.import_module("stages.crossfit").main("0")
    finally:
        change_param(runs[0], "baseline", "weights", "last")


def test_the_comparison_holds_the_models_own_scores(runs):
    metrics = runs[0] / "metrics"
    baseline, improved, comparison = (
        json.loads((metrics / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("baseline", "improved", "comparison")
    )
    gain = improved["dice"] - baseline["dice"]
    assert comparison["dice_gain"] == pytest.approx(gain, abs=2e-6)
    assert comparison["images"] == baseline["images"] == improved["images"]
    selected = (metrics / "metrics.json").read_bytes()
    assert selected == (metrics / "improved.json").read_bytes()


def test_a_baseline_that_follows_its_own_findings_is_refused(runs, monkeypatch):
    monkeypatch.chdir(runs[0])
    change_param(runs[0], "baseline", "follow_findings", True)
    try:
        with pytest.raises(ValueError, match=r"baseline\.follow_findings is true; expected false"):
            importlib.import_module("stages.train").main("baseline")
    finally:
        change_param(runs[0], "baseline", "follow_findings", False)


def test_the_same_stage_writes_the_same_bytes(runs, monkeypatch):
    folder = runs[0]
    monkeypatch.chdir(folder)
    for stage in ("train_improved", "error_analysis", "compare"):
        outputs = [folder / name for name in declared_outputs(stage)]
        files = sorted(f for o in outputs for f in ([o] if o.is_file() else o.rglob("*")))
        before = {path: path.read_bytes() for path in files}
        run_stage(stage, folder, monkeypatch)
        assert {path for path in files if path.read_bytes() != before[path]} == set()


def test_the_page_tells_every_picture_in_words(runs):
    page = (runs[0] / "reports" / "error_report.html").read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    told = {(name, model) for name, each in data["words"].items() for model in each}
    assert told == {(name, model) for name, each in data["pictures"].items() for model in each}
    assert all(n in text for n, each in data["words"].items() for text in each.values())
    parts = {row["name"]: row["part"] for row in data["rows"]}
    assert {model for name, model in told if parts[name] == "test"} == {"baseline", "improved"}
    unseen = {model for name, model in told if parts[name] != "test"}
    assert unseen == {"baseline without this image"}
    for row in data["rows"]:
        assert row["kind"] in KINDS
        assert row["lesions_found"] is not None
        is_test = row["part"] == "test"
        assert (row["improved_dice"] is not None, row["change"] is not None) == (is_test,) * 2
        if is_test:
            assert row["change"] == pytest.approx(row["improved_dice"] - row["dice"], abs=1e-5)


@pytest.mark.parametrize(
    ("change", "trains", "answers"),
    [
        ({"statement": "In other words."}, True, True),
        ({"evidence": {"images": 1}}, True, True),
        ({"switched_on": False, "prediction": None}, True, False),  # of the flips: the last one
    ],
)
def test_a_seed_is_of_what_the_findings_ask_for(runs, monkeypatch, change, trains, answers):
    monkeypatch.chdir(runs[0])
    seeds = importlib.import_module("experiments.seeds")
    params = load_section("train", Train)
    path = Path("analysis/findings.yaml")
    written = path.read_text(encoding="utf-8")
    flips = {
        "id": "flips", "statement": "", "evidence": {}, "switched_on": True,
        "remedy": {"kind": "test_flips"}, "prediction": {"stratum": "all images", "gain": 0.1},
    }  # fmt: skip
    lean = flips | {"remedy": {"kind": "loss", "false_negative_weight": 0.6}}

    def fingerprints(*findings):
        path.write_text(json.dumps(findings), encoding="utf-8")
        return [seeds.fingerprint("improved", params, w) for w in (("test_flips",), ())]

    try:
        before = fingerprints(lean, flips)
        after = fingerprints(lean, flips | change)
        assert [a == b for a, b in zip(before, after, strict=True)] == [trains, answers]
        heavier = lean | {"remedy": {"kind": "loss", "false_negative_weight": 0.7}}
        assert set(fingerprints(heavier, flips)).isdisjoint(before)
    finally:
        path.write_text(written, encoding="utf-8")


def test_another_training_with_the_same_seed_has_the_same_scores(runs, monkeypatch):
    folder = runs[0]
    monkeypatch.chdir(folder)
    importlib.import_module("experiments.seeds").main("improved", "42")
    again = folder / "experiments" / "seeds" / "improved" / "seed-42" / "images.csv"
    assert again.read_bytes() == (folder / "evaluation" / "improved" / "images.csv").read_bytes()
    shutil.rmtree(folder / "experiments")


def test_the_proof_is_over_all_seeds(runs, monkeypatch):
    folder = runs[0]
    monkeypatch.chdir(folder)
    seeds = importlib.import_module("experiments.seeds")
    for model in ("baseline", "improved"):
        seeds.main(model, "43")
    others = folder / "experiments" / "seeds" / "improved"
    shutil.copytree(others / "seed-43", others / "seed-43-elsewhere")
    importlib.import_module("experiments.prove").main()
    proof = json.loads((folder / "metrics" / "proof.json").read_text(encoding="utf-8"))
    table = pd.read_csv(folder / "metrics" / "seeds.csv", dtype={"seed": str})
    table = table.set_index(["model", "seed"])
    both = [(m, s) for m in ("baseline", "improved") for s in ("42", "43")]
    assert sorted(table.index) == [*both, ("improved", "43-elsewhere")]
    assert proof["seeds"] == {"baseline": 2, "improved": 3}
    own = json.loads((folder / "metrics" / "improved.json").read_text(encoding="utf-8"))
    assert table.loc[("improved", "42"), "dice"] == pytest.approx(own["dice"], abs=1e-5)
    means = table.groupby("model")["dice"].mean()
    gain = means["improved"] - means["baseline"]
    assert proof["dice_gain"] == pytest.approx(gain, abs=1e-5)
    report = (folder / "docs" / "proof.md").read_text(encoding="utf-8")
    assert proof["verdict"] in report
    assert "improved 42, 43, 43-elsewhere. A word behind a seed" in report
