"""The whole chain on the embedded synthetic frames, in a temporary copy of the working tree.

    python tools/demo.py

The copy has its own DVC cache; the committed parameters, lock and metrics stay as they are.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".git", ".venv", ".effiseg", "__pycache__", "cache", "tmp", "dvc_plots"}
SETTINGS = {  # what makes it short
    "data.source": "demo",
    "baseline.size": 96,
    "baseline.epochs": 60,
    "improved.size": 96,
    "improved.epochs": 60,
    "error_analysis.folds": 0,
    "error_analysis.least_images": 3,
}


def main() -> None:
    copy = Path(tempfile.mkdtemp(prefix="effiseg-demo-"))
    copy_tree(ROOT, copy)
    set_params(copy / "params.yaml", SETTINGS)
    environment = make_environment()
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["config", "core.no_scm", "true"], ["repro"]):
        done = subprocess.run([*dvc, *command], cwd=copy, env=environment)
        if done.returncode:
            sys.exit(f"dvc {' '.join(command)} failed in {copy} (see above)")
    print_comparison(copy)


def make_environment() -> dict[str, str]:
    """Of a command of DVC in a copy: its stages run with this Python, and with the copy's code."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    return environment | {"PATH": path}


def copy_tree(source: Path, destination: Path) -> None:
    """Copy what git tracks or would track; without git (a downloaded zip) all but caches."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=source,
        capture_output=True,
        text=True,
    )
    if listing.returncode:
        ignore = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(source, destination, dirs_exist_ok=True, ignore=ignore)
        return
    for name in filter(None, listing.stdout.split("\0")):
        if (source / name).is_file():  # a tracked file may be deleted in the working tree
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, destination / name)


def set_params(path: Path, settings: dict[str, object]) -> None:
    """Set SECTION.KEY of a parameters file."""
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in settings.items():
        section, name = key.split(".")
        if name not in params[section]:
            raise KeyError(f"{path} has no key {key}")
        params[section][name] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def print_comparison(folder: Path) -> None:
    names = ("baseline", "improved", "comparison")
    scores = {n: json.loads((folder / "metrics" / f"{n}.json").read_text()) for n in names}
    print("\nSynthetic frames, a few epochs: this shows that the chain works, it is no result.\n")
    print(f"{'':12}{'baseline':>10}{'improved':>10}{'change':>10}")
    for key in ("dice", "miou", "precision", "recall", "nsd"):
        before, after = scores["baseline"][key], scores["improved"][key]
        print(f"{key:12}{before:10.4f}{after:10.4f}{after - before:+10.4f}")
    comparison = scores["comparison"]
    low, high = comparison["dice_gain_low"], comparison["dice_gain_high"]
    gain = comparison["dice_gain"]
    print(f"\nGain in Dice {gain:+.4f} (95 % interval {low:+.4f} to {high:+.4f})")
    print(f"Pictures:    {folder / 'plots'}")
    print(f"Report:      {folder / 'docs' / 'comparison.md'}")


if __name__ == "__main__":
    main()
