"""The benchmark of prediction: the literal network in eager float32 PyTorch against what we ship.

    python -m benchmarks.prediction     benchmarks/prediction.json

Pictures are synthetic frames: of Kvasir-SEG's usual size (622 x 529) as files, of 1280 x 720 as a
video. The reference is EffiSegNet-B0; goals are in tools/update_readme.py.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import record, seconds_in_turns
from benchmarks.run import write_data
from benchmarks.steps import build
from effiseg.annotate import annotate_pictures
from effiseg.files import write_bytes, write_text
from effiseg.hub import SHIPPED
from effiseg.model import EffiSegNet
from effiseg.pictures import list_sources
from effiseg.precision import to_input
from effiseg.predictors import FASTEST, Predictor, compute_with, open_model, open_predictor
from effiseg.synthetic import draw_frame
from effiseg.videos import annotate_video

B0, SIZES = "tf_efficientnet_b0", (224, 352)
IN_A_ROW = {1: 10, 8: 2}  # calls by batch, as what another backend left behind should not count
PICTURES, FRAMES, REPEATS = 64, 100, 7
Images = NDArray[np.uint8]


def main() -> None:
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for measure in (measure_networks, measure_files, measure_video):
            for row in measure(Path(folder)):
                print(f"{row['name']:62} {row['reference']:>9} {row['ours']:>9} {row['ratio']:>7}")
                records.append(row)
    path = Path(__file__).with_name("prediction.json")
    write_text(path, json.dumps(records, indent=1) + "\n")


def measure_networks(folder: Path) -> Iterator[dict[str, object]]:
    """Images a second of the networks alone: B0 by each backend, and the shipped models."""
    b0 = build("ours", B0)
    assert isinstance(b0, EffiSegNet)
    ours = {f"b0, {backend}": compute_with(backend, b0, folder / "graphs") for backend in FASTEST}
    for path in sorted(SHIPPED.iterdir()):
        _, network = open_model(path)
        for backend in FASTEST:
            name = f"shipped {path.name}, {backend}"
            ours[name] = compute_with(backend, network, folder / "graphs")
    calls: dict[str, Callable[[Images], object]] = {"reference": make_reference(), **ours}
    for size in SIZES:
        for batch in IN_A_ROW:
            images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
            rounds = IN_A_ROW[batch]
            each = {name: partial(repeat, call, images, rounds) for name, call in calls.items()}
            seconds = seconds_in_turns(each, REPEATS)
            before = batch * rounds / seconds["reference"]
            for name in ours:
                after = batch * rounds / seconds[name]
                title = f"network, {size} px, batch {batch}: {name}"
                yield record(title, before, after, "images/s", after / before)


def repeat(call: Callable[[Images], object], images: Images, rounds: int) -> None:
    for _ in range(rounds):
        call(images)


def measure_files(folder: Path) -> Iterator[dict[str, object]]:
    """From JPEG files to masks of original size as files."""
    raw, _ = write_data(folder, PICTURES)
    sources = list_sources([str(raw / "images")])
    reference = make_reference()

    def predict_one_by_one() -> None:
        for source in sources:
            image = cv2.cvtColor(cv2.imread(str(source.path)), cv2.COLOR_BGR2RGB)
            small = cv2.resize(image, (224, 224), interpolation=cv2.INTER_LANCZOS4)
            probability = cv2.resize(reference(small[None])[0], image.shape[1::-1])
            mask = cv2.imencode(".png", (probability > 0.5).astype(np.uint8) * 255)[1]
            write_bytes(folder / "reference" / f"{source.name}.png", mask.data)

    calls: dict[str, Callable[[], object]] = {"reference": predict_one_by_one}
    for name, predictor in open_shipped().items():
        for words, overlays in (("masks", False), ("masks and overlays", True)):
            calls[f"{name}, {words}"] = lambda predictor=predictor, overlays=overlays: list(
                annotate_pictures(sources, predictor, folder / "ours", overlays)
            )
    seconds = seconds_in_turns(calls, repeats=5)
    before = PICTURES / seconds.pop("reference")
    for name, value in seconds.items():
        after = PICTURES / value
        yield record(f"files to masks: {name}", before, after, "images/s", after / before)


def measure_video(folder: Path) -> Iterator[dict[str, object]]:
    """From a file of 1280 x 720 pixels to an overlay video, beside 25 frames a second."""
    path = folder / "frames.mp4"
    write_video(path)
    for name, predictor in open_shipped().items():

        def annotate(predictor: Predictor = predictor) -> None:
            list(annotate_video(path, predictor, folder / "overlay.mp4"))

        rate = FRAMES / seconds_in_turns({name: annotate}, repeats=3)[name]
        title = f"video of 1280 x 720: real time and {name}"
        yield record(title, 25, rate, "frames/s", rate / 25)


def open_shipped() -> dict[str, Predictor]:
    """Both models of the package for one view, and the improved one as it is used."""
    ways = {
        "shipped baseline": ("baseline", False),
        "shipped improved, one view": ("improved", False),
        "shipped improved": ("improved", None),
    }
    return {
        title: open_predictor(SHIPPED / name, test_flips=flips)
        for title, (name, flips) in ways.items()
    }


def make_reference() -> Callable[[Images], NDArray[np.float32]]:
    """The literal B0, eager, float32, default memory layout: (B, S, S, 3) to (B, S, S)."""
    network = build("reference", B0).eval()

    @torch.inference_mode()
    def predict(images: Images) -> NDArray[np.float32]:
        pixels = to_input(torch.from_numpy(images), network, torch.device("cpu")).contiguous()
        return network(pixels).sigmoid()[:, 0].numpy()

    return predict


def write_video(path: Path) -> None:
    """A synthetic frame that moves."""
    frame = cv2.resize(draw_frame(np.random.default_rng(0)).image, (1280, 720))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (1280, 720))
    for number in range(FRAMES):
        writer.write(cv2.cvtColor(np.roll(frame, 4 * number, axis=1), cv2.COLOR_RGB2BGR))
    writer.release()


if __name__ == "__main__":
    main()
