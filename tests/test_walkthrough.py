"""Every command of every document is run: here in a clean clone, or by what `RUN_BY` names.

The clone holds what is committed and, while somebody works on it, what would be. Placeholders of
the documents (FOLDER, image.jpg, theirs/images) are made to exist in it, so that their commands
run as they are written.
"""

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from itertools import cycle, pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from documents import ROOT, list_commands, read_document
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

from effiseg.archive import Data
from effiseg.commands import main
from effiseg.comparison import Compare
from effiseg.folds import ErrorAnalysis
from effiseg.model import build_model
from effiseg.params import as_plain, load_section, parse_yaml
from effiseg.recipe import Recipe, Train
from effiseg.scoring import Evaluate
from effiseg.split import Split
from effiseg.synthetic import draw_frame, write_frames
from stages.report import Report

sys.path.insert(0, str(ROOT / "tools"))
import demo
import setup_environment

HERE = "tests/test_walkthrough.py::"
CI, NOTHING = ".ci/run", "nothing: "
LONG = NOTHING + "it measures for an hour, alone on the machine"

# Who runs a command: one or several tests, .ci/run, or nothing, with the reason. Behind a test of
# another file stand words that its source must have.
RUN_BY = {
    r"git log.*|make (help|revisions)|ruff .*|dvc (plots|exp) (show|diff)|dvc metrics diff( --all)?"
    r"|python -c .*|python tools/(mend_lock|verify_cache|update_readme|list_recipes)\.py.*": (
        HERE + "test_a_command_runs_in_a_clean_clone",
    ),
    r"effiseg (predict|evaluate|export) .*|effiseg publish .* --dry-run"
    r"|effiseg explain \S+( NAME| --language ko)?": (HERE + "test_a_command_of_the_package_runs",),
    r"effiseg (predict|evaluate|explain|export)|python -m experiments\.screen": (
        HERE + "test_the_name_of_a_command_alone_tells_how_to_call_it",
    ),
    r"dvc exp run( --queue| --temp)?( -S \S+)*( evaluate_baseline)?": (
        HERE + "test_an_experiment_begins_with_what_it_changes",
    ),
    r"make repro|dvc (remote add .*|push|pull|checkout|commit .*|gc -w)"
    r"|dvc repro (fetch|prepare.*)|git restore \.|dvc exp (list|apply NAME)": (
        HERE + "test_results_are_kept_sent_fetched_and_cleaned_up",
    ),
    r"dvc repro -s .*|python -m experiments\.record": (
        HERE + "test_experiments_are_told_and_recorded",
    ),
    r"make (demo|test)|dvc repro|python -m pytest|python tools/(demo|setup_environment)\.py": (CI,),
    r"KVASIR_SEG_ARCHIVE=\S+ dvc repro": (
        "tests/test_pipeline.py::test_a_stage_writes_exactly_the_declared_outputs",
        "KVASIR_SEG_ARCHIVE", "run_stage",
    ),
    r"python tools/revisions\.py": (
        "tests/test_artifacts.py::test_revisions_compare_the_two_models_in_a_bare_clone",
        '"tools" / "revisions.py"',
    ),
    r"dvc metrics diff baseline improved": (
        "tests/test_artifacts.py::test_revisions_compare_the_two_models_in_a_bare_clone",
        '"metrics", "diff", "baseline", "improved"',
    ),
    r"effiseg --help|dvc metrics show": (
        "tests/test_report_documents.py::test_a_quick_command_runs",
        '"effiseg")), "--help"', '"dvc", "metrics", "show"',
    ),
    r"dvc queue (start|status).*": (
        "tests/test_sharing.py::test_a_sweep_runs_in_copies_with_the_code_of_its_start",
        '"queue", "start", "--jobs", "2"', '"queue", "status"',
    ),
    r"python -m experiments\.screen \w+ (--minutes .*|size_160)": (
        "tests/test_experiments.py::test_runs_that_are_missing_are_made_in_processes_of_their_own "
        "tests/test_experiments.py::test_the_command_runs_the_one_that_it_names",
        "screen.run_all", "screen.main()",
    ),
    r"python -m experiments\.seeds improved 43": (
        "tests/test_pipeline.py::test_the_proof_is_over_all_seeds",
        '"experiments.seeds"', '"improved"', '"43"',
    ),
    r"python -m benchmarks\.variants": (
        "tests/test_variants.py::test_the_committed_counts_are_those_of_the_committed_code",
        "measure_all",
    ),
    r"effiseg demo( --port 8000)?": (
        "tests/test_demo_attacks.py::"
        "test_a_page_that_is_ended_leaves_no_image_and_others_read_none_meanwhile",
        '"demo", "--port"',
    ),
    r"effiseg explain \. --rewrite .*": (
        "tests/test_rewriting.py::"
        "test_what_can_be_claimed_is_not_sent_when_all_results_are_reworded",
        '"explain"', '"--rewrite"', '"--rewrite-model"',
    ),
    r"effiseg publish .* --private": (
        "tests/test_hub.py::test_a_published_model_can_be_loaded_from_the_hub "
        "tests/test_hub.py::test_a_private_upload_makes_a_private_repository",
        '"publish", "--repo-id"', "private=True",
    ),
    r"make bench|python -m benchmarks\.(run|prediction)": (LONG,),
    r"python -m benchmarks\.faults": (LONG + ", and mounts a disk as root",),
    r"dvc repro experiments/dvc\.yaml": (NOTHING + "it trains for days",),
    r"torchrun .*": (NOTHING + "it needs two machines with four GPUs each",),
    r"hf auth login": (NOTHING + "it asks for a token of the hub",),
    r"make audit|pip install .*": (NOTHING + "it asks pypi.org",),
}  # fmt: skip
SECTIONS = {
    "data": Data, "split": Split, "train": Train, "baseline": Recipe, "improved": Recipe,
    "error_analysis": ErrorAnalysis, "evaluate": Evaluate, "compare": Compare, "report": Report,
}  # fmt: skip
MODELS = ("baseline", "improved")
LONGEST = 600  # seconds of a command


@cache
def read_commands():
    """Every command of every document, once, in their order; the README comes first."""
    paths = [*sorted(ROOT.glob("README*.md")), *sorted(ROOT.glob("docs/*.md"))]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return list(dict.fromkeys(shlex.join(words) for text in texts for words in list_commands(text)))


def commands_of(test):
    patterns = [pattern for pattern, (by, *_) in RUN_BY.items() if by == HERE + test]
    return [c for c in read_commands() if any(re.fullmatch(p, c) for p in patterns)]


# The table


@pytest.mark.parametrize("command", read_commands())
def test_one_entry_tells_who_runs_a_command(command):
    assert len([pattern for pattern in RUN_BY if re.fullmatch(pattern, command)]) == 1


@pytest.mark.parametrize("pattern", RUN_BY)
def test_an_entry_is_for_a_command_of_a_document_and_tells_the_truth(pattern):
    commands = [c for c in read_commands() if re.fullmatch(pattern, c)]
    assert commands
    by, *words = RUN_BY[pattern]
    if by.startswith(NOTHING):
        return
    if by == CI:
        assert set(commands) <= list_commands_of_ci()
        return
    source = "".join(read_source(*test.split("::")) for test in by.split())
    if by.startswith(HERE) and "commands_of(" not in source:
        words = commands
    assert words or by.startswith(HERE)
    for word in words:
        assert word in source


def list_commands_of_ci():
    """The targets of make that .ci/run calls, and the commands of these."""
    makefile = read_document("Makefile")
    targets = re.findall("^make ([a-z]+)$", read_document(CI), re.MULTILINE)
    commands = {f"make {target}" for target in targets}
    for target in ("setup", *targets):
        [recipe] = re.findall(rf"^{target}:.*\n((?:\t.*\n?)+)", makefile, re.MULTILINE)
        recipe = re.sub(r"\$\(BIN\)/", "", recipe).replace("@$(PYTHON)", "python")
        commands |= {line.strip() for line in recipe.splitlines()}
    if "python tools/demo.py" in commands and '["repro"]' in read_document("tools/demo.py"):
        commands.add("dvc repro")
    return commands


def read_source(file, name):
    """A test, with the functions of its file that it calls or takes as fixtures."""
    text = read_document(file)
    nodes = {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}
    asked, found = [name], {}
    while asked:
        node = nodes[asked.pop()]
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        found[node.name] = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        names |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
        asked += [n for n in names & nodes.keys() if n not in found]
    return "\n".join(found.values())


def test_a_test_without_the_words_of_a_command_is_found():
    source = read_source("tests/test_sharing.py", "test_two_repros_at_once_do_not_harm_each_other")
    assert '"repro", "--force"' in source
    assert '"queue"' not in source


# The clone


def make_clone(folder):
    """A clone of this repository, whose environment is the one that the tests run in."""
    if not (ROOT / ".git").exists():
        pytest.skip("a new user starts from a git clone; this is a copy without history")
    git("clone", "--quiet", "--no-checkout", str(ROOT), str(folder), folder=ROOT)
    git("reset", "--quiet", folder=folder)
    demo.copy_tree(ROOT, folder)
    commit(folder)
    link_environment(folder)
    return folder


def link_environment(folder):
    """What `make setup` would install, without asking pypi.org."""
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != setup_environment.STAMP.name:
            (folder / ".venv" / path.name).symlink_to(path)
    stamp = folder / ".venv" / setup_environment.STAMP.name
    stamp.write_text(setup_environment.fingerprint(folder))


def git(*words, folder):
    who = ("-c", "user.name=EffiSeg", "-c", "user.email=effiseg@localhost")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(folder):
    git("add", "--all", folder=folder)
    git("commit", "--quiet", "--allow-empty", "--message", "as it is", folder=folder)


def environment(folder):
    """As `. .venv/bin/activate` leaves it, with the package of this clone."""
    path = os.pathsep.join([str(folder / ".venv" / "bin"), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}


def run(command, folder, answer=""):
    """What a command prints; `answer` is what the user types when it asks."""
    words = shlex.split(command)
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), input=answer, capture_output=True, text=True,
        timeout=LONGEST,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("clean") / "effiseg")


def is_shallow():
    return git("rev-parse", "--is-shallow-repository", folder=ROOT).strip() == "true"


@pytest.mark.parametrize("command", commands_of("test_a_command_runs_in_a_clean_clone"))
def test_a_command_runs_in_a_clean_clone(command, clone):
    if command.endswith("list_recipes.py") and is_shallow():
        pytest.skip("it reads the history, which this clone lacks")
    try:
        said = run(command, clone)
        changed = git("status", "--porcelain", folder=clone)
    finally:
        git("restore", ".", folder=clone)
    assert said or not command.startswith(("git", "make", "dvc plots", "dvc exp show"))
    assert changed == "" or command.endswith("list_recipes.py")  # which names the last commit


def load_params(path):
    return {name: as_plain(load_section(name, kind, path)) for name, kind in SECTIONS.items()}


@pytest.mark.parametrize("command", commands_of("test_an_experiment_begins_with_what_it_changes"))
def test_an_experiment_begins_with_what_it_changes(command, tmp_path):
    """DVC writes the changed parameters, the code takes them, and the models can be built.

    To train all of them would take days: the chain is trained by `make demo`, and an experiment of
    a queue by tests/test_sharing.py.
    """
    changes = [change for option, change in pairwise(shlex.split(command)) if option == "-S"]
    path, own = tmp_path / "params.yaml", load_params(ROOT / "params.yaml")
    for sweep in get_hydra_sweeps({path.name: changes}):
        shutil.copy(ROOT / "params.yaml", path)
        apply_overrides(path, sweep[path.name])
        params = load_params(path)
        expected = {name: dict(section) for name, section in own.items()}
        for change in sweep[path.name]:
            key, value = change.split("=")
            section, key = key.split(".")
            expected[section][key] = parse_yaml(f"x: {value}", path)["x"]
        assert params == expected
        for model in MODELS:
            build_model(params[model]["encoder"], False, 8, params[model]["upsampling"])


# The package


def write_picture(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A clone with the files that the documents speak of."""
    folder = make_clone(tmp_path_factory.mktemp("desk") / "effiseg")
    frame = draw_frame(np.random.default_rng(0))
    image = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    for name in ("FOLDER/a.jpg", "FOLDER/below/b.png", "a.png", "more/a.tif", "image.jpg"):
        write_picture(folder / name, image)
    write_picture(folder / "DIR" / "a.png", frame.mask.astype(np.uint8) * 255)  # its own mask
    for name in ("b.mp4", "endoscopy.mp4"):
        size = (320, 240)
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(folder / name), codec, 25.0, size)
        for _ in range(3):
            writer.write(cv2.resize(image, size))
        writer.release()
    write_frames(folder / "theirs", number=4)
    table = folder / "analysis" / "images.csv"
    images = pd.read_csv(table)
    pd.concat([images, images[:1].assign(name="NAME")]).to_csv(table, index=False)
    (folder / "scores").mkdir()
    shutil.copy(table, folder / "scores")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield folder


def call(words):
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code


@pytest.mark.parametrize("command", commands_of("test_a_command_of_the_package_runs"))
def test_a_command_of_the_package_runs(command, desk, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    _, *words = shlex.split(command)
    out = Path(words[words.index("--out") + 1]) if "--out" in words else None
    if out and words.count(out.name) == 1:
        shutil.rmtree(out, ignore_errors=True)  # each command is the first
    code, printed = call(words), capsys.readouterr()
    assert code == 0, printed.err
    assert printed.out
    assert out is None or any(path.is_file() for path in out.iterdir())


@pytest.mark.parametrize(
    "command", commands_of("test_the_name_of_a_command_alone_tells_how_to_call_it")
)
def test_the_name_of_a_command_alone_tells_how_to_call_it(command, monkeypatch, capsys):
    *_, name = command.split()
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit) as end:
        if command.startswith("effiseg"):
            main([name])
        else:
            importlib.import_module(name).main()
    assert end.value.code == 2
    assert "usage: " in capsys.readouterr().err


# Results


@pytest.fixture
def finished(made, tmp_path):
    """Each test has its own."""
    return shutil.copytree(made, tmp_path / "finished", symlinks=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clone with an output in the place of each that git does not carry, recorded as made."""
    folder = make_clone(tmp_path_factory.mktemp("made") / "effiseg")
    demo.set_params(folder / "params.yaml", {"compare.resamples": 100})
    stages = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    paths = [folder / out["path"] for stage in stages.values() for out in stage["outs"]]
    for path in paths:
        if not path.exists():
            file = path if path.suffix else path / "file"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(path.relative_to(folder)))
    split = pd.read_csv(folder / "data" / "split.csv").query("split == 'test'")
    frames = [draw_frame(np.random.default_rng(n)) for n in range(4)]
    for name, (image, mask) in zip(split["name"], cycle(frames)):
        write_picture(folder / "data" / "raw" / "images" / f"{name}.jpg", image)
        mask = mask.astype(np.uint8) * 255
        write_picture(folder / "data" / "raw" / "masks" / f"{name}.jpg", mask)
    run("dvc commit --force dvc.yaml", folder)
    commit(folder)
    return folder


def test_results_are_kept_sent_fetched_and_cleaned_up(finished, tmp_path):
    for command in ("make repro", "dvc repro fetch", "dvc repro prepare@baseline prepare@improved"):
        assert "Data and pipelines are up to date" in run(command, finished)
    add = "dvc remote add -d shared /path/to/folder"
    assert add in read_commands()
    run(add.replace("/path/to/folder", str(tmp_path / "folder")), finished)
    assert "files pushed" in run("dvc push", finished)
    commit(finished)

    other = tmp_path / "other"
    git("clone", "--quiet", str(finished), str(other), folder=tmp_path)
    link_environment(other)
    run("dvc pull", other)
    assert (other / "reports" / "error_report.html").is_file()
    weights = other / "models" / "baseline" / "file"
    assert weights.read_text() == "models/baseline"
    weights.unlink()
    run("dvc checkout", other)
    assert weights.is_file()

    readme = other / "README.md"
    readme.write_text("another one", encoding="utf-8")
    run("dvc exp run --name NAME", other)  # with nothing to train
    run("git restore .", other)
    assert git("status", "--porcelain", folder=other) == ""
    assert "NAME" in run("dvc exp list", other)
    run("dvc exp apply NAME", other)
    assert readme.read_text(encoding="utf-8") == "another one"

    run("git restore .", other)
    weights.unlink()
    weights.write_text("of a training without DVC")
    run_in_terminal("dvc commit train_baseline", other, "y\n")
    assert git("status", "--porcelain", folder=other) == " M dvc.lock\n"
    assert re.search("Removed [1-9]", run("dvc gc -w", other, "y\n"))


def run_in_terminal(command, folder, answer):
    """DVC asks only where its answers are shown on a terminal."""
    pty = pytest.importorskip("pty")
    terminal, end = pty.openpty()
    done = subprocess.run(
        command.split(), cwd=folder, env=environment(folder), input=answer, stdout=end,
        stderr=subprocess.PIPE, text=True, timeout=LONGEST,
    )  # fmt: skip
    os.close(end)
    os.close(terminal)
    assert done.returncode == 0, done.stderr


def test_experiments_are_told_and_recorded(finished):
    both = "dvc repro -s experiments/dvc.yaml:tabulate experiments/dvc.yaml:prove"
    assert {both, both.rpartition(" ")[0]} <= set(read_commands())  # the other one is a part of it
    run(both, finished)
    verdict = json.loads((finished / "metrics" / "proof.json").read_text())["verdict"]
    assert verdict in (finished / "docs" / "proof.md").read_text(encoding="utf-8")
    runs = sorted((finished / "experiments" / "runs").glob("*/*/fold-*"))
    for folder in runs[1:]:  # each one that stays takes DVC a second
        shutil.rmtree(folder)
    seeds = list((finished / "experiments" / "seeds").glob("*/seed-*"))
    said = run("python -m experiments.record", finished)
    listed = [folder for folder in seeds if folder.name.count("-") == 1]  # not trained elsewhere
    assert 0 < len(listed) < len(seeds)
    assert f"recorded {len(runs[:1]) + len(listed)} runs" in said
