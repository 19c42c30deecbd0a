"""Mend what a kill or a full disk left of DVC's own files: with half of one, DVC refuses to go on.

    python tools/mend_lock.py

`.dvc/tmp/rwlock` names the files that running commands of DVC read and write; half of it is
removed. `dvc.lock` is written in place, not beside: where it ends in the middle of a stage, that
stage is taken out. `dvc repro` then finds the outputs of the stages that are missing in its cache,
or makes them again. While a command of DVC writes one of them, it may be half for a moment.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("dvc.lock", "experiments/dvc.lock")
MOMENT = 2.0  # seconds
STAGE = re.compile(r"^  \S.*:$", re.MULTILINE)
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def main(root: Path = ROOT) -> list[Path]:
    """Mend the files below `root`, and name them."""
    found = [root / ".dvc" / "tmp" / "rwlock", *(root / name for name in LOCKS)]
    half = [path for path in found if is_half(path)]
    if half:
        time.sleep(MOMENT)
    mended = [path for path in half if is_half(path)]
    for path in mended:
        text = "" if path.name == "rwlock" else take_whole_stages(path.read_text(encoding="utf-8"))
        if text:
            path.write_text(text, encoding="utf-8")
        else:
            path.unlink()
        print(f"mended {path}, which was cut off", file=sys.stderr)
    return mended


def is_half(path: Path) -> bool:
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return not (is_json(text) if path.name == "rwlock" else is_whole(text))


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_whole(text: str) -> bool:
    """Whether a dvc.lock ends with a line, and each of its stages with a hash for every file."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    if not (text.endswith("\n") and isinstance(content, dict) and "schema" in content):
        return False
    stages = content.get("stages")
    return isinstance(stages, dict) and all(map(is_whole_stage, stages.values()))


def is_whole_stage(stage: Any) -> bool:
    if not isinstance(stage, dict) or not isinstance(stage.get("cmd"), str):
        return False
    files = [*(stage.get("deps", []) or [None]), *(stage.get("outs", []) or [None])]
    return all(
        isinstance(file, dict) and "path" in file and MD5.fullmatch(str(file.get("md5")))
        for file in files
    )


def take_whole_stages(text: str) -> str:
    """The text without its last stages, up to the first that is half; empty without any."""
    starts = [match.start() for match in STAGE.finditer(text)]
    while starts and not is_whole(text):
        text = text[: starts.pop()]
    return text if starts else ""


if __name__ == "__main__":
    main()
