"""What the tests of documents share: parts, code, headings, links and commands of a text."""

import importlib
import importlib.metadata
import importlib.util
import re
import shlex
from argparse import ArgumentParser
from itertools import pairwise
from pathlib import Path

import yaml
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from torch.distributed.run import get_args_parser

from effiseg.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PART = re.compile(r"<!-- (\w+) -->\n(.*?)\n<!-- /\1 -->", re.DOTALL)
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)]+)\)")
SETTING = re.compile(r"[A-Z_]+=.*")  # of the environment, before a command


def read_document(name):
    return (ROOT / name).read_text(encoding="utf-8")


def list_numbers(text):
    """The numbers of each generated part."""
    return [
        (name, sorted(re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", part)))
        for name, part in PART.findall(text)
    ]


def list_anchors(text):
    """What GitHub names the headings of a document."""
    titles = [title.lower() for _, title in HEADING.findall(CODE.sub("", text))]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def check_links(document):
    """Every link leads to a file of the repository, and to a heading of it where it names one."""
    for link in LINK.findall(CODE.sub("", read_document(document))):
        target, _, anchor = link.partition("#")
        if link.startswith("https://"):
            continue
        path = ((ROOT / document).parent / target).resolve() if target else ROOT / document
        assert path.is_relative_to(ROOT), link
        assert path.is_file(), link
        assert not anchor or anchor in list_anchors(path.read_text(encoding="utf-8")), link


def split_commands(code):
    """The words of each command of a block."""
    return [words for line in code.splitlines() if (words := shlex.split(line, comments=True))]


def list_commands(text):
    blocks = [code for language, code in CODE.findall(text) if language == "sh"]
    programs = "|".join(CHECKS)
    inline = re.findall(rf"(?<!`)`((?:{programs}) [^`\n]+)`(?!`)", CODE.sub("", text))
    return [words for code in [*blocks, *inline] for words in split_commands(code)]


def check_make(*targets):
    makefile = read_document("Makefile")
    assert set(targets) <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def check_dvc(*words):
    options = get_main_parser().parse_args(list(words))
    for target in getattr(options, "targets", None) or []:
        file, _, stage = target.rpartition(":")
        if not (ROOT / target).is_file():
            name, _, item = stage.partition("@")
            stages = yaml.safe_load(read_document(file or "dvc.yaml"))["stages"]
            assert name in stages
            assert not item or item in stages[name]["foreach"]
    params = yaml.safe_load(read_document("params.yaml"))
    for option, change in pairwise(words):
        if option == "-S":
            section, key = change.partition("=")[0].split(".")
            assert key in params[section]


def check_effiseg(name, *words):
    if name == "--help":
        return
    assert name in COMMANDS
    if words:
        parser = ArgumentParser()
        importlib.import_module(f"effiseg.commands.{name}").add_arguments(parser)
        parser.parse_args(words)


def check_python(option, *words):
    if option == "-c":
        compile(words[0], "command", "exec")
        return
    is_module = option == "-m"
    path = ROOT / (words[0].replace(".", "/") + ".py" if is_module else option)
    if is_module and not path.is_file():
        assert importlib.util.find_spec(words[0])
        assert not words[1:]
        return
    source = path.read_text(encoding="utf-8")
    assert '__name__ == "__main__"' in source
    assert all(f'"{word}"' in source for word in words if word.startswith("--"))


def check_torchrun(*words):
    options = get_args_parser().parse_args(words)
    assert options.module
    check_python("-m", options.training_script, *options.training_script_args)


def check_pip(command, *words):
    """Installs this package with extras that it has, or packages that it asks for."""
    parser = ArgumentParser()
    parser.add_argument("-e", dest="targets", action="append")
    parser.add_argument("--index-url")
    parser.add_argument("targets", nargs="*", action="extend")
    metadata = importlib.metadata.metadata("effiseg")
    asked = {re.match(r"[\w-]+", line)[0] for line in metadata.get_all("Requires-Dist")}
    targets = parser.parse_args(words).targets
    assert command == "install"
    assert targets
    for target in targets:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", target).groups()
        assert name in {".", "effiseg", *asked}
        assert set(extras.split(",") if extras else []) <= set(metadata.get_all("Provides-Extra"))


def check_git(command, *words):
    assert command in ("log", "restore")
    assert all((ROOT / path).exists() for path in words if not path.startswith("-"))


def check_hf(*words):
    scripts = importlib.metadata.entry_points(group="console_scripts")
    assert "hf" in scripts.names
    assert words == ("auth", "login")


def check_ruff(*words):
    assert f"ruff {' '.join(words)}" in read_document("Makefile")


CHECKS = {
    "make": check_make,
    "dvc": check_dvc,
    "effiseg": check_effiseg,
    "python": check_python,
    "torchrun": check_torchrun,
    "pip": check_pip,
    "git": check_git,
    "hf": check_hf,
    "ruff": check_ruff,
}


def check_command(*words):
    while SETTING.fullmatch(words[0]):
        words = words[1:]
    program, *words = words
    try:
        CHECKS[program](*words)
    except (SystemExit, DvcParserError, OSError, KeyError) as error:
        raise AssertionError(f"{program} {shlex.join(words)} does not exist") from error
