"""Write a model as a folder for the Hugging Face hub.

Reads   a folder of a model, or a repository of the hub
Writes  OUT/model.safetensors   the weights: as they were stored, float32 for a folder of models/
        OUT/config.json         what builds the network and how its answers are read
        OUT/scores.json         what the card tells of the test images, where the model has it
        OUT/model.onnx          from pictures to probabilities, for ONNX Runtime and others
        OUT/example.png         synthetic frames with the model's answers
        OUT/README.md           the card

It needs the packages of `pip install 'effiseg[fast]'`.
"""

import argparse
import importlib.util
from pathlib import Path

import cv2

from effiseg.card import draw_example, write_card
from effiseg.commands.options import refuse_existing
from effiseg.export import write_onnx
from effiseg.files import write_bytes, write_text
from effiseg.hub import CONFIG, DEFAULT, SCORES, WEIGHTS, find_folder, write_folder
from effiseg.predictors import open_model
from effiseg.shipping import read_scores
from effiseg.weights import DESCRIPTION

CARD, GRAPH, EXAMPLE = "README.md", "model.onnx", "example.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, type=Path, help="folder that is written")
    parser.add_argument("--force", action="store_true", help="write into a folder with files")
    add_source(parser)


def add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=DEFAULT,
        help="folder of a model, or a repository USER/NAME of the Hugging Face hub; "
        "default: the one of the package",
    )


def run(options: argparse.Namespace) -> int:
    refuse_existing(sorted(options.out.glob("*")), options.force)
    name = Path(options.model).resolve().name
    export_model(options.model, f"USER/{name}", options.out)
    print(f"{options.out}:\n{list_files(options.out)}")
    return 0


def export_model(source: str | Path, address: str, out: Path) -> None:
    """Write the files of a model. The card's examples name the repository `address`.

    Raises:
        ValueError, OSError: there is no such model, it does not fit itself, or the disk is full.
        ModuleNotFoundError: onnx is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise ModuleNotFoundError('onnx is not installed: pip install "effiseg[fast]"')
    folder = find_folder(source)
    config, network = open_model(folder)
    scores, warnings = read_scores(folder)
    write_onnx(out / GRAPH, network)
    if (folder / DESCRIPTION).is_file():
        write_folder(out, network.state_dict(), config, half=False)
    else:
        for name in (CONFIG, WEIGHTS):
            write_bytes(out / name, (folder / name).read_bytes())
    if scores is not None:
        write_bytes(out / SCORES, (folder / SCORES).read_bytes())
    else:
        (out / SCORES).unlink(missing_ok=True)  # of what was exported there before
    example = cv2.cvtColor(draw_example(config, network), cv2.COLOR_RGB2BGR)
    write_bytes(out / EXAMPLE, cv2.imencode(".png", example)[1].data)
    write_text(out / CARD, write_card(config, scores, warnings, address))


def list_files(folder: Path) -> str:
    """A line a file, with its size."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return "\n".join(f"{path.name:20}{path.stat().st_size / 1e6:9.3f} MB" for path in files)
