"""The benchmark: the published program against ours, in turns, on this machine.

    python -m benchmarks.run            everything: benchmarks/results.json, benchmarks/profile.csv
    python -m benchmarks.run memory reference|ours   train a little; its memory is measured outside

Images are synthetic frames of Kvasir-SEG's usual size (622 x 529), so that a bare clone can run it.
"""

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import cv2
import pandas as pd

from benchmarks.ceiling import (
    copy_rate,
    count_bytes,
    count_operations,
    matrix_product_rate,
    profile_step,
)
from benchmarks.measure import peak_memory, record, seconds_in_turns
from benchmarks.steps import (
    build,
    draw_batch,
    make_prediction,
    make_step,
    read_ours,
    read_published,
    train_ours,
    train_published,
)
from effiseg.arrays import Arrays, read_arrays, write_arrays
from effiseg.files import write_table, write_text
from effiseg.images import list_names
from effiseg.synthetic import write_frames

FOLDER = Path(__file__).parent
LITE0, ENCODERS = "tf_efficientnet_lite0", ("tf_efficientnet_b0", "tf_efficientnet_lite0")
SIZE, BATCH = 224, 8
FRAMES, MANY_FRAMES = 96, 480  # many, where starting the workers should not count
KINDS = ("reference", "ours", "encoder")


def main() -> None:
    records = []
    with tempfile.TemporaryDirectory() as folder:
        raw, arrays = write_data(Path(folder), FRAMES)
        for measure in (
            measure_steps,
            lambda: measure_epoch(raw, arrays),
            measure_loader,
            measure_predictions,
            measure_memory,
            measure_ceiling,
        ):
            for row in measure():
                print(f"{row['name']:62} {row['reference']:>9} {row['ours']:>9} {row['ratio']:>7}")
                records.append(row)
    write_text(FOLDER / "results.json", json.dumps(records, indent=1) + "\n")
    batch = draw_batch("ours", BATCH, SIZE)
    step = make_step("ours", LITE0)
    table = pd.DataFrame(profile_step(lambda: step(*batch)))
    write_table(FOLDER / "profile.csv", table.head(15))


def write_data(folder: Path, frames: int) -> tuple[Path, Arrays]:
    """Frames as JPEG files at Kvasir-SEG's usual size, and our arrays of them."""
    raw = folder / "raw"
    write_frames(raw, frames)
    for path in sorted(raw.rglob("*.jpg")):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (622, 529)))
    write_arrays(folder / "arrays", raw, list_names(raw), SIZE)
    return raw, read_arrays(folder / "arrays")


def measure_steps():
    """Images a second of a training step."""
    for encoder in ENCODERS:
        steps = {kind: make_step(kind, encoder) for kind in KINDS}
        for batch in (8, 16):
            calls = {k: partial(steps[k], *draw_batch(k, batch, SIZE)) for k in KINDS}
            seconds = seconds_in_turns(calls, repeats=5)
            rate = {kind: batch / seconds[kind] for kind in KINDS}
            name = f"training step, {encoder.removeprefix('tf_efficientnet_')}, batch {batch}"
            ratio = rate["ours"] / rate["reference"]
            yield record(name, rate["reference"], rate["ours"], "images/s", ratio)
            share = rate["ours"] / rate["encoder"]
            limit = f"{name}: share of the encoder alone"
            yield record(limit, rate["encoder"], rate["ours"], "images/s", share)


def measure_epoch(raw: Path, arrays: Arrays):
    """A whole epoch, with loading and augmentation; and what of ours was spent waiting."""
    names, network, waits = list_names(raw), build("ours", LITE0), []
    steps = {kind: make_step(kind, LITE0) for kind in KINDS[:2]}
    seconds = seconds_in_turns(
        {
            "reference": lambda: train_published(steps["reference"], raw, names, BATCH, SIZE),
            "ours": lambda: waits.append(train_ours(steps["ours"], arrays, network, BATCH)),
        },
        repeats=3,
    )
    rate = {kind: FRAMES / value for kind, value in seconds.items()}
    name, ratio = f"epoch, lite0, batch {BATCH}", rate["ours"] / rate["reference"]
    yield record(name, rate["reference"], rate["ours"], "images/s", ratio)
    waited = sorted(waits[1:])[1]
    yield record(f"{name}: share spent waiting for data, goal and ours", 0.05, waited, "", waited)


def measure_loader():
    """The data path alone, same augmentation, two workers each."""
    network = build("ours", LITE0)
    with tempfile.TemporaryDirectory() as folder:
        raw, arrays = write_data(Path(folder), MANY_FRAMES)
        names = list_names(raw)
        seconds = seconds_in_turns(
            {
                "reference": lambda: read_published(raw, names, BATCH, SIZE),
                "ours": lambda: read_ours(arrays, network, BATCH),
            },
            repeats=5,
        )
    rate = {kind: MANY_FRAMES / value for kind, value in seconds.items()}
    ratio = rate["ours"] / rate["reference"]
    yield record("data path", rate["reference"], rate["ours"], "images/s", ratio)


def measure_predictions():
    for size in (224, 352):
        for batch in (1, 8):
            calls = {k: make_prediction(k, LITE0, batch, size) for k in KINDS[:2]}
            seconds = seconds_in_turns(calls, repeats=9)
            rate = {kind: batch / value for kind, value in seconds.items()}
            name = f"prediction, lite0, {size} px, batch {batch}"
            ratio = rate["ours"] / rate["reference"]
            yield record(name, rate["reference"], rate["ours"], "images/s", ratio)


def measure_memory():
    """Largest memory of the whole process tree while it trains."""
    command = [sys.executable, "-m", "benchmarks.run", "memory"]
    peak = {kind: peak_memory([*command, kind]) for kind in KINDS[:2]}
    ratio = peak["reference"] / peak["ours"]
    name = f"peak memory of training, lite0, batch {BATCH}"
    yield record(name, peak["reference"], peak["ours"], "MiB", ratio)


def train_a_little(kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw, arrays = write_data(Path(folder), FRAMES)
        step = make_step(kind, LITE0)
        if kind == "reference":
            train_published(step, raw, list_names(raw)[:40], BATCH, SIZE)
        else:
            few = Arrays(arrays.images[:40], arrays.masks[:40])
            train_ours(step, few, build("ours", LITE0), BATCH)


def measure_ceiling():
    """The machine's rates beside those that our training step reaches."""
    step, batch = make_step("ours", LITE0), draw_batch("ours", BATCH, SIZE)
    operations, moved = (f(lambda: step(*batch)) for f in (count_operations, count_bytes))
    seconds = seconds_in_turns({"step": lambda: step(*batch)}, repeats=5)["step"]
    for name, limit, used, unit in (
        ("matrix product, bfloat16", matrix_product_rate(), operations / seconds, "Gop/s"),
        ("memory copy", copy_rate(), moved / seconds, "GB/s"),
    ):
        title = f"ceiling: {name}, and what a training step reaches"
        yield record(title, limit / 1e9, used / 1e9, unit, used / limit)


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        train_a_little(sys.argv[2])
    else:
        main()
