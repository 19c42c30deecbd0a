"""The order of the modules, one door for each large library, and sizes that stay readable."""

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_socket

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "src" / "effiseg"
DOORS = {  # a library and the only modules that import it
    "timm": {"encoders"},
    "albumentations": {"augment"},
    "matplotlib": {"figures"},
    "skimage": {"attributes", "error_kinds"},
    "sklearn": {"causes", "confidence", "folds"},
    "statsmodels": {"causes"},
    "cleanlab": {"suspects"},
    "safetensors": {"hub", "weights"},
    "huggingface_hub": {"card", "hub"},
    "PIL": {"pictures"},
    "onnxruntime": {"predictors"},
    "openvino": {"predictors"},
    "gradio": {"demo_guard", "demo_page"},
    "filelock": {"archive", "locks"},
}


def imports_of(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


def module_order() -> list[str]:
    listing = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
    return [name.strip() for name in listing.split(",")]


def test_the_order_names_every_module_once():
    modules = sorted(path.stem for path in LIBRARY.glob("*.py") if path.stem != "__init__")
    assert sorted(module_order()) == modules


@pytest.mark.parametrize("module", module_order())
def test_a_module_imports_only_from_those_before_it(module):
    earlier = module_order()[: module_order().index(module)]
    used = [n for n in imports_of(LIBRARY / f"{module}.py") if n.split(".")[0] == "effiseg"]
    assert {name.partition(".")[2] for name in used} <= set(earlier)


@pytest.mark.parametrize(("library", "modules"), DOORS.items())
def test_a_large_library_has_one_door(library, modules):
    users = {
        path.stem
        for folder in (LIBRARY, ROOT / "stages", ROOT / "experiments")
        for path in folder.glob("*.py")
        if any(name.split(".")[0] == library for name in imports_of(path))
    }
    assert users == modules


@pytest.mark.parametrize(
    ("folder", "unknown"),
    [
        (LIBRARY, ("stages", "experiments", "tools", "dvc", "effiseg.commands")),
        (LIBRARY / "commands", ("stages", "experiments", "tools", "dvc")),
        (ROOT / "stages", ("experiments", "tools", "dvc")),
        (ROOT / "experiments", ("tools", "dvc")),
    ],
    ids=["library", "commands", "stages", "experiments"],
)
def test_what_lies_below_does_not_know_what_lies_above(folder, unknown):
    users = [
        path.stem
        for path in folder.glob("*.py")
        if any(name == u or name.startswith(f"{u}.") for name in imports_of(path) for u in unknown)
    ]
    assert users == []


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda p: p.stem)
def test_a_stage_says_what_it_reads_and_writes(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if path.stem not in ("__init__", "alone", "fit", "judge", "modules", "paths", "progress"):
        assert docstring.startswith("Stage")
        assert "\nReads " in docstring
        assert "\nWrites " in docstring


def test_the_code_has_no_unsafe_call_and_the_style_that_it_should():
    """No pickle, eval, unsafe YAML or torch.load, unchecked certificates, subprocess by a shell:
    pyproject.toml lists the rules."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "."],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_test_can_not_reach_beyond_this_machine():
    blocked = pytest_socket.SocketConnectBlockedError
    with pytest.warns(UserWarning, match="tried to use"), pytest.raises(blocked):
        socket.create_connection(("192.0.2.1", 80), timeout=5)


def test_nothing_is_asked_of_a_network_at_import():
    modules = [f"effiseg.{name}" for name in module_order()] + ["effiseg.commands"]
    modules += [f"effiseg.commands.{p.stem}" for p in (LIBRARY / "commands").glob("[a-z]*.py")]
    modules += [f"stages.{path.stem}" for path in (ROOT / "stages").glob("[a-z]*.py")]
    code = """
import importlib, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise SystemExit(f"{event} {arguments}")

sys.addaudithook(refuse)
for module in sys.argv[1:]:
    importlib.import_module(module)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *modules], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
