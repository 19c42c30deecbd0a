"""The report in two languages: the same numbers, chapters and links, and commands that exist."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from documents import (
    CODE,
    HEADING,
    LINK,
    PART,
    ROOT,
    check_command,
    check_links,
    list_commands,
    list_numbers,
    read_document,
    split_commands,
)

from effiseg import predictors
from effiseg.answers import RULES
from effiseg.error_kinds import KINDS
from effiseg.export import write_onnx
from effiseg.findings import STRATA
from effiseg.hub import CONFIG, SHIPPED, EffiSegNet
from effiseg.proof import Gain, judge_gain
from effiseg.synthetic import draw_frame

sys.path.insert(0, str(ROOT / "tools"))
import update_readme
from parts import ablation, analysis, korean

DOCUMENTS = ["docs/report.md", "docs/report.ko.md"]
TEXTS = {name: read_document(name) for name in DOCUMENTS}
ENGLISH, KOREAN = TEXTS.values()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_report_tells_the_committed_numbers(document):
    filled = update_readme.fill(TEXTS[document], ROOT, document)
    assert filled == TEXTS[document], "run: python tools/update_readme.py"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_report_has_each_of_its_parts_once(document):
    assert sorted(name for name, _ in PART.findall(TEXTS[document])) == sorted(
        update_readme.PARTS[document]
    )


def test_both_reports_have_the_same_parts_with_the_same_numbers():
    assert list_numbers(KOREAN) == list_numbers(ENGLISH.replace("zero", "0"))


def test_both_reports_have_the_same_chapters():
    def number(text):
        headings = HEADING.findall(CODE.sub("", text))
        return [(len(marks), title.split(" ")[0]) for marks, title in headings[1:]]

    numbers = number(ENGLISH)
    assert number(KOREAN) == numbers
    assert all(re.fullmatch(r"\d\.|\d-\d\.", chapter) for _, chapter in numbers)
    assert len(set(numbers)) == len(numbers)


def test_the_chapters_are_those_of_the_plan():
    chapters = [title for marks, title in HEADING.findall(KOREAN) if marks == "##"]
    assert chapters == [
        "1. 프로젝트 개요",
        "2. 기술 분야 및 사용 기술",
        "3. 프로젝트 일정과 진행 상태",
        "4. 프로젝트 상세 설명",
        "5. 프로젝트 진행 중 이슈 및 해결 방법",
        "6. inference 실행 가이드",
    ]


def test_both_reports_have_the_same_links_pictures_and_code():
    def list_targets(text):
        links = [link for link in LINK.findall(text) if not link.startswith(("#", "report"))]
        return [link.partition("#")[0].replace("README.ko.md", "README.md") for link in links]

    def list_code(text):
        return [
            ast.dump(ast.parse(code)) if language == "python" else split_commands(code)
            for language, code in CODE.findall(text)
            if language
        ]

    assert list_targets(KOREAN) == list_targets(ENGLISH)
    assert list_code(KOREAN) == list_code(ENGLISH)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_somewhere(document):
    assert LINK.findall(TEXTS[document])
    check_links(document)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_result_stands_outside_of_the_generated_parts(document):
    text = HEADING.sub("", CODE.sub("", PART.sub("", TEXTS[document])))
    text = re.sub(r"\[[^]]*\]\([^)]*\)|`[^`\n]*`|\b05\.\d\d\b", "", text)  # links, code, dates
    figure = r"\d\.\d|[-+]\d|\d ?%|\d ?(?:MB|px|seconds|images|epochs|seeds|에포크|장|초)"
    assert re.findall(figure, text) == []


# Parts


def test_a_remedy_is_judged_by_the_gain_on_its_own_stratum():
    published, findings = (
        pd.concat(
            pd.read_csv(path).assign(fold=path.parent.name)
            for path in (ROOT / "experiments/runs/screening" / variant).glob("fold-*/images.csv")
        )
        for variant in ("published", "findings")
    )
    areas = pd.read_csv(ROOT / "analysis" / "images.csv", usecols=["name", "area_fraction"])
    table = published.merge(findings, on=["fold", "name"]).merge(areas, on="name")
    gains = (table["dice_y"] - table["dice_x"])[table["area_fraction"] < 0.05]
    row = analysis.tell_remedy(ROOT, "small polyp", "augmentation", 0.5)
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[1:6] == [
        "small polyp", "augmentation", str(len(gains)), "+0.500", f"{gains.mean():+.3f}"
    ]  # fmt: skip
    low, high = map(float, cells[6].split(" to "))
    assert low < gains.mean() < high
    assert cells[7] == ("better" if low > 0 else "worse" if high < 0 else "not shown")


EARLIER = """\
variant,change,test_dice
original B2 (40 epochs; run A),,0.9400
original B2 (200 epochs),,0.9600
original B2 (40 epochs; run B),,0.9200
1,no elastic transform,0.9350
2,threshold 0.5 -> 0.6,0.9250
"""
ABLATION = """\
variant,gain,low,high,schedule
published,0,,,screening
earlier_1,0.5,0.25,0.75,full
earlier_2,-0.0013,-0.0037,0.0025,screening
"""


def test_an_earlier_change_stands_beside_what_it_gained_here(tmp_path):
    for path, text in (("data/earlier_ablation", EARLIER), ("experiments/ablation", ABLATION)):
        (tmp_path / path).parent.mkdir()
        (tmp_path / f"{path}.csv").write_text(text, encoding="utf-8")
    *_, first, second, _, sentence = ablation.write_earlier(tmp_path).splitlines()
    assert first == (
        "| 1 | no elastic transform | 0.9350 | +0.00500 | `earlier_1` | not run yet |  |"
    )
    assert second == (
        "| 2 | threshold 0.5 -> 0.6 | 0.9250 | -0.00500 | `earlier_2` | -0.0013 "
        "| -0.0037 to +0.0025 |"
    )
    assert sentence == (
        "Two trainings of the authors' unmodified code (B2, 40 epochs) gave a test Dice of 0.9400 "
        "and 0.9200, 0.0200 apart, though nothing had changed between them."
    )


def test_every_earlier_change_is_told_with_its_own_numbers():
    earlier = pd.read_csv(ROOT / "data" / "earlier_ablation.csv", dtype=str)
    dice = earlier.set_index("variant")["test_dice"].astype(float)
    usual = dice[dice.index.str.contains("run")].mean()
    table = pd.read_csv(ROOT / "experiments" / "ablation.csv").query("schedule == 'screening'")
    gains = table.set_index("variant")["gain"]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in ablation.write_earlier(ROOT).splitlines()[2:-2]
    ]
    assert [row[0] for row in rows] == list(earlier.dropna(subset="change")["variant"])
    for variant, _, score, difference, name, gain, _ in rows:
        assert float(score) == dice[variant]
        assert float(difference) == pytest.approx(dice[variant] - usual, abs=1e-9)
        assert name == f"`earlier_{variant}`"
        expected = gains.get(f"earlier_{variant}")
        assert gain == ("not run yet" if expected is None else f"{expected:+.4f}")


# Korean


@pytest.mark.parametrize(
    "gain",
    [
        Gain(0.019, 0.0025, 0.0358, 100, (3, 3)),
        Gain(-0.019, -0.0358, -0.0025, 100, (3, 2)),
        Gain(0.019, 0.0025, 0.0358, 100, (1, 3)),
        Gain(0.005, -0.0025, 0.0358, 100, (3, 3)),
        Gain(0.005, None, None, 4, (1, 1)),
    ],
    ids=["better", "worse", "one seed", "not shown", "too few images"],
)
def test_every_verdict_of_the_proof_has_korean_words_and_its_numbers(gain):
    english = judge_gain(gain)
    translated = korean.translate_line(english)
    assert not re.search(r"\b(?:the|is|better|worse|shown|claimed)\b", translated)
    for number in re.findall(r"[-+]?\d+\.\d+", english):
        assert number in translated


@pytest.mark.parametrize(
    ("english", "translated"),
    [
        ("| several polyps | 47 | -0.205 to -0.070 |", "| 여러 개의 용종 | 47 | -0.205 ~ -0.070 |"),
        ("|---|---|", "|---|---|"),
        ("| `published` | Dice |", "| `published` | Dice |"),
        (
            "- Goal for an epoch, times the reference: at least 3: missed by epoch, b0 (2.5).",
            "- 에포크(기준 구현 대비 배수)의 목표, 3 이상: 미달, 에포크, b0 (2.5).",
        ),
        (
            "Kinds of remedies that may be switched on today: none.",
            "현재 켤 수 있는 처방의 종류: 없음.",
        ),
    ],
    ids=["row", "line of a table", "code", "goal", "none"],
)  # fmt: skip
def test_a_line_in_korean(english, translated):
    assert korean.translate_line(english) == translated


@pytest.mark.parametrize("word", [*STRATA, *KINDS, *RULES, "balance: too much", "can't be said"])
def test_every_word_that_may_come_has_korean(word):
    assert not re.search("[a-z]", korean.translate_words(word))


def test_a_word_without_korean_is_refused():
    with pytest.raises(ValueError, match=r"no Korean for 'cystoscopy' .*tools/parts/korean\.yaml"):
        korean.translate_words("Dice cystoscopy")


# Commands


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_command_exists(document):
    commands = list_commands(TEXTS[document])
    assert {words[0] for words in commands} >= {"make", "dvc", "effiseg", "python", "pip"}
    for words in commands:
        check_command(*words)


@pytest.mark.parametrize(
    "command",
    ["effiseg predict image.jpg", "effiseg fly", "make fly", "dvc metrics fly",
     "dvc repro -s dvc.yaml:fly", "python tools/fly.py", "python -m experiments.screen --fly"],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_found(command):
    with pytest.raises(AssertionError):
        check_command(*shlex.split(command))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param([sys.executable, "-m", "dvc", "metrics", "show"], "dice_pooled", id="dvc"),
        pytest.param(["make", "help"], "repro", id="make"),
        pytest.param(
            [str(Path(sys.executable).with_name("effiseg")), "--help"], "predict", id="effiseg"
        ),
    ],
)
def test_a_quick_command_runs(command, expected):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A picture of 200 x 240 pixels, and what `effiseg export` would write beside it."""
    image = cv2.resize(draw_frame(np.random.default_rng(0)).image, (240, 200))
    cv2.imwrite(str(tmp_path / "image.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_onnx(tmp_path / "model" / "model.onnx", EffiSegNet.from_pretrained(SHIPPED / "baseline"))
    shutil.copy(SHIPPED / "baseline" / CONFIG, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predictors, "FASTEST", ("torch",))  # the others export first
    return tmp_path


def test_the_python_examples_run(folder, capsys):
    examples = [code for language, code in CODE.findall(ENGLISH) if language == "python"]
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "report.md", "exec"), {})
        assert capsys.readouterr().out.startswith("(200, 240) ")


@pytest.mark.parametrize(
    ("document", "words"),
    list(zip(DOCUMENTS, ("no model has been uploaded", "업로드한 모델은 없다"), strict=True)),
)
def test_that_nothing_was_published_is_told(document, words):
    row = next(line for line in TEXTS[document].splitlines() if "[publish.py]" in line)
    assert words in row
    assert "⬜" in row
    assert "✅" not in row
