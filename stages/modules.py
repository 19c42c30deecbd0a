"""Modules of the project that a script imports: the code that decides what it writes."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {name: ROOT / name for name in ("stages", "experiments")}
PACKAGES["effiseg"] = ROOT / "src" / "effiseg"


@cache
def list_modules(entry: Path) -> list[Path]:
    """`entry` and what it imports of the project, directly or not, sorted."""
    found, waiting = set(), [entry, entry.parent / "__init__.py"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imported_modules(path)
    return sorted(found)


def imported_modules(path: Path) -> list[Path]:
    """The project's files that one file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.append(node.module.split("."))
        elif isinstance(node, ast.Import):
            names += [alias.name.split(".") for alias in node.names]
    return [
        PACKAGES[package] / f"{module}.py"
        for package, *rest in names
        if package in PACKAGES
        for module in ("__init__", *rest)
    ]
