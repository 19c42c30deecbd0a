"""docs/reliability.md: every row of its tables names tests, and these are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TABLES = re.sub("<!-- faults -->.*<!-- /faults -->", "", TEXT, flags=re.DOTALL).splitlines()
ROWS = [line for line in TABLES if line.startswith("| ") and "| test |" not in line]


@cache
def list_tests(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_row_names_tests_that_are_there(row):
    fault, answer, tests = re.fullmatch(r"\| (.+?) \| (.+?) \| (.+?) \|", row).groups()
    assert fault
    assert answer
    for test in tests.split(", "):
        file, name = re.fullmatch(r"`(tests/test_\w+\.py)::(test_\w+)`", test).groups()
        assert name in list_tests(file), test
