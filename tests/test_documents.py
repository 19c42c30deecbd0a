"""README in two languages and docs/: links, commands, generated parts, and examples that run."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

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

from effiseg.archive import fetch_kvasir
from effiseg.split import Split, make_split
from effiseg.synthetic import write_frames

sys.path.insert(0, str(ROOT / "tools"))
import update_readme
from parts import results

REPORTS = ["docs/report.md", "docs/report.ko.md"]
DOCUMENTS = ["README.md", "README.ko.md"]
DOCUMENTS += sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))
ENGLISH, KOREAN = map(read_document, DOCUMENTS[:2])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_leads_somewhere(document):
    check_links(document)


def test_a_link_to_nowhere_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("documents.ROOT", tmp_path)
    (tmp_path / "a.md").write_text("# A title\n\n[a](#a-title) [b](a.md#a-title)")
    check_links("a.md")
    for link in ("#another-title", "b.md", "../a.md"):
        (tmp_path / "a.md").write_text(f"# A title\n\n[a]({link})")
        with pytest.raises(AssertionError):
            check_links("a.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_command_exists(document):
    for words in list_commands(read_document(document)):
        check_command(*words)


@pytest.mark.parametrize(
    "command",
    ["dvc exp run -S train.rate=1", "dvc commit train_best", "torchrun --fly -m stages.train",
     "python -m flying", "A=b make fly", "ruff check elsewhere"],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_found(command):
    with pytest.raises(AssertionError):
        check_command(*split_commands(command)[0])


def test_the_programs_of_the_commands_are_installed():
    names = importlib.metadata.entry_points(group="console_scripts").names
    assert {"dvc", "effiseg", "hf", "torchrun"} <= names
    assert importlib.metadata.version("ruff")


# The README in two languages


@pytest.mark.parametrize("document", ["README.md", "README.ko.md", "docs/architecture.md"])
def test_a_document_tells_what_is_committed(document):
    text = read_document(document)
    assert update_readme.fill(text, ROOT, document) == text, "run: python tools/update_readme.py"
    assert sorted(name for name, _ in PART.findall(text)) == sorted(update_readme.PARTS[document])


def test_both_readmes_begin_with_the_two_commands():
    for text in (ENGLISH, KOREAN):
        assert list_commands(text)[:2] == [["make", "demo"], ["make", "test"]]
        assert text.index("make test") < text.index("\n## ")


def test_both_readmes_have_the_same_parts_with_the_same_numbers():
    assert list_numbers(KOREAN) == list_numbers(ENGLISH.replace("zero", "0"))


def test_both_readmes_have_the_same_order_of_headings_parts_and_code():
    mark = re.compile(r"^(#+ |```|<!-- \w+ -->)", re.MULTILINE)
    assert mark.findall(KOREAN) == mark.findall(ENGLISH)
    assert len(HEADING.findall(ENGLISH)) > 5


def test_both_readmes_have_the_same_code():
    def list_code(text):
        return [
            split_commands(code)
            if language == "sh"
            else [re.split(" {2,}", line.strip())[0] for line in code.splitlines()]
            for language, code in CODE.findall(text)
        ]

    assert list_code(KOREAN) == list_code(ENGLISH)


def test_both_readmes_have_the_same_links_and_tables():
    def list_targets(text):
        links = [link.partition("#")[0] for link in LINK.findall(text)]
        return [link.replace(".ko.md", ".md") for link in links]

    def list_rows(text):
        rows = re.findall(r"^\|.*\|$", PART.sub("", text), re.MULTILINE)
        return [row.split("|")[1].strip() for row in rows if row.startswith("| ")]

    assert list_targets(KOREAN) == list_targets(ENGLISH)
    titles = {"단계": "stage", "문서": "document"}
    rows = [titles.get(row, row.replace(".ko.md", ".md")) for row in list_rows(KOREAN)]
    assert rows == list_rows(ENGLISH)


def test_both_readmes_link_every_document():
    for document in DOCUMENTS[2:]:
        assert document in LINK.findall(ENGLISH) or document in REPORTS
        assert document.replace(".ko.md", ".md") in LINK.findall(ENGLISH)


def test_the_difference_is_what_dvc_prints(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("revisions are named in a git clone; this is a copy without history")
    clone = tmp_path / "effiseg"
    run("git", "clone", "--quiet", str(ROOT), str(clone), folder=tmp_path)
    run(sys.executable, str(ROOT / "tools" / "revisions.py"), folder=clone)
    command = ("dvc", "metrics", "diff", "baseline", "improved")
    printed = run(sys.executable, "-m", *command, folder=clone)
    assert results.write_difference(clone) == f"```text\n{printed.rstrip()}\n```"


# Examples


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_architecture_says_how_to_add_can_be_added(tmp_path):
    shutil.copytree(
        ROOT / "src" / "effiseg", tmp_path / "src" / "effiseg",
        ignore=shutil.ignore_patterns("shipped", "__pycache__"),
    )  # fmt: skip
    (tmp_path / "data" / "splits").mkdir(parents=True)
    shutil.copy(ROOT / "data" / "near_duplicate_groups.txt", tmp_path / "data")
    blocks = CODE.findall(read_document("docs/architecture.md"))
    changes = [code for language, code in blocks if language == "diff"]
    examples = [code for language, code in blocks if language == "python"]
    assert len(changes) == len(examples) == 4
    (tmp_path / "all.diff").write_text("".join(changes), encoding="utf-8")
    run("git", "apply", "all.diff", folder=tmp_path)
    runner = "import sys; sys.path.insert(0, 'src'); [exec(code, {}) for code in sys.argv[1:]]"
    run(sys.executable, "-c", runner, *examples, folder=tmp_path)


def test_own_data_takes_the_way_that_is_described(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frames(Path("my-data"), number=6)
    names = sorted(path.stem for path in Path("my-data/images").iterdir())
    parts = pd.Series(["train"] * 3 + ["validation", "test", "test"], names)
    parts.rename_axis("name").rename("split").to_csv("my-data/split.csv")
    Path("data").mkdir()
    Path("data/near_duplicate_groups.txt").touch()
    text = read_document("docs/faq.md")
    for word in ("my-data/images/NAME.jpg", "my-data/masks/NAME.jpg", "my-data/split.csv"):
        assert word in text
    [manifest] = [code for language, code in CODE.findall(text) if language == "python"]
    exec(compile(manifest, "faq.md", "exec"), {})
    raw, groups = Path("data/raw"), Path("data/near_duplicate_groups.txt")
    fetch_kvasir(raw, Path("data/kvasir-seg.sha256"), Path("my-data"), lambda done, total: None)
    table = make_split(raw, Path("data/splits"), groups, Split(scheme="effisegnet", seed=42))
    assert table.set_index("name")["split"].to_dict() == parts.to_dict()
