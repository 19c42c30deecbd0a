"""The benchmark of prediction under load: ten thousand small pictures, and a few of 8000 x 8000.

    python -m benchmarks.prediction_load     benchmarks/prediction_load.json

Each load runs in a process of its own, with the faster shipped model, one view a picture, masks
alone for small pictures, masks and overlays for large ones. Memory is the process's own peak, which
Linux tells.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from benchmarks.measure import read_peak
from effiseg.annotate import annotate_pictures
from effiseg.files import write_json
from effiseg.hub import SHIPPED
from effiseg.pictures import LARGEST, list_sources
from effiseg.precision import describe_device
from effiseg.predictors import open_predictor
from effiseg.synthetic import draw_frame

MODEL = SHIPPED / "baseline"


class Load(NamedTuple):
    """Copies of one synthetic frame."""

    pictures: int
    width: int
    height: int
    look: int  # pictures after which memory is looked at for the first time
    overlays: bool


LOADS = {
    "small": Load(10_000, 160, 136, look=1_000, overlays=False),
    "large": Load(6, LARGEST, LARGEST, look=1, overlays=True),
}


def main() -> None:
    if len(sys.argv) > 1:
        name, folder = sys.argv[1:]
        print(json.dumps(measure(LOADS[name], Path(folder))))
        return
    record: dict[str, object] = {"device": describe_device(torch.device("cpu"))}
    for name, load in LOADS.items():
        with tempfile.TemporaryDirectory() as folder:
            write_pictures(load, Path(folder, "in"))
            command = [sys.executable, "-m", "benchmarks.prediction_load", name, folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        record[name] = json.loads(done.stdout)
        print(f"{name}: {record[name]}", flush=True)
    write_json(Path(__file__).with_name("prediction_load.json"), record)


def measure(load: Load, folder: Path) -> dict[str, object]:
    """Peaks of this process in MiB, after `look` pictures and at the end, and its speed."""
    predictor = open_predictor(MODEL, test_flips=False)
    sources = list_sources([str(folder / "in")])
    begin, peaks = time.perf_counter(), []
    rows = annotate_pictures(sources, predictor, folder / "out", load.overlays)
    for number, row in enumerate(rows, start=1):
        if row["error"]:
            raise RuntimeError(row["error"])
        if number in (load.look, load.pictures):
            peaks.append(read_peak())
    rate = load.pictures / (time.perf_counter() - begin)
    return load._asdict() | {
        "model": MODEL.name,
        "backend": predictor.backend,
        "peak_mib_at_look": peaks[0],
        "peak_mib": peaks[-1],
        "pictures_a_second": float(f"{rate:.3g}"),
    }


def write_pictures(load: Load, folder: Path) -> None:
    frame = draw_frame(np.random.default_rng(0)).image
    resized = cv2.resize(frame, (load.width, load.height))
    content = cv2.imencode(".jpg", cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))[1].tobytes()
    folder.mkdir()
    for number in range(load.pictures):
        (folder / f"{number:05}.jpg").write_bytes(content)


if __name__ == "__main__":
    main()
