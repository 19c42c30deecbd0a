"""Predictors: a trained network, ready to predict, in PyTorch, ONNX Runtime or OpenVINO.

Shapes: B images of S x S pixels, S the input size the network was trained at.

The graph of the two others is exported once a model and kept in the user's cache folder, as is what
OpenVINO compiled of it; a file that was damaged there is made anew. On a processor with bfloat16,
PyTorch and OpenVINO compute in it; ONNX Runtime computes in float32.
"""

import hashlib
import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from platformdirs import user_cache_path

from effiseg.arrays import resize_image
from effiseg.export import INPUT, export_onnx
from effiseg.files import sha256_of, write_bytes
from effiseg.hub import DEFAULT, Config, EffiSegNet, find_folder, read_config
from effiseg.model import EffiSegNet as Network
from effiseg.predict import predict_probabilities
from effiseg.weights import DESCRIPTION, read_model

Backend = Literal["torch", "onnxruntime", "openvino"]
FASTEST: tuple[Backend, ...] = ("openvino", "onnxruntime", "torch")
FORWARD, BACK = slice(None), slice(None, None, -1)
MIRRORS = ((FORWARD, FORWARD), (FORWARD, BACK), (BACK, FORWARD), (BACK, BACK))  # rows, columns
Images = NDArray[np.uint8]  # (B, S, S, 3) RGB
Probabilities = NDArray[np.float32]  # (B, S, S)


class Predictor(NamedTuple):
    """A model with the way it is computed."""

    name: str
    config: Config
    backend: Backend
    run: Callable[[Images], Probabilities]  # one view of the images

    def predict(self, pictures: list[NDArray[np.uint8]]) -> Probabilities:
        """Pictures of any size, (H, W, 3) uint8 RGB, to (B, S, S); the mean over mirror images
        where the model's config says so."""
        images = np.stack([resize_image(picture, self.config.size) for picture in pictures])
        if not self.config.test_flips:
            return self.run(images)
        views = [np.ascontiguousarray(images[:, rows, columns]) for rows, columns in MIRRORS]
        answers = self.run(np.concatenate(views)).reshape(len(MIRRORS), *images.shape[:3])
        turned = [a[:, rows, columns] for a, (rows, columns) in zip(answers, MIRRORS, strict=True)]
        return np.mean(turned, axis=0)


def open_predictor(
    source: str | Path = DEFAULT,
    backend: Backend | Literal["auto"] = "auto",
    test_flips: bool | None = None,
) -> Predictor:
    """A model from a folder of `effiseg.hub`, a folder of models/, or a repository of the hub.

    Args:
        backend: "auto" takes PyTorch where there is a GPU or the size is no multiple of 32, else
            the fastest that is installed.
        test_flips: in place of what the model's config says.

    Raises:
        ValueError, OSError: there is no such model, or it does not fit itself.
        ModuleNotFoundError: the backend is not installed.
    """
    config, network = open_model(source)
    if test_flips is not None:
        config = replace(config, test_flips=test_flips)
    is_whole = config.size % 32 == 0  # other sizes are not what the exported graph computes
    chosen = (pick_backend() if is_whole else "torch") if backend == "auto" else backend
    if chosen != "torch" and not is_whole:
        raise ValueError(
            f"{source} has a size of {config.size} px; {chosen} computes multiples of 32 alone: "
            "use --backend torch"
        )
    return Predictor(Path(source).name, config, chosen, compute_with(chosen, network))


def open_model(source: str | Path, revision: str | None = None) -> tuple[Config, Network]:
    """Configuration and network, which is in evaluation mode, of a model from any of the three.

    Raises:
        ValueError, OSError: as `open_predictor`.
    """
    folder = find_folder(source, revision)
    if not (folder / DESCRIPTION).is_file():
        return read_config(folder), EffiSegNet.from_pretrained(folder)
    trained = read_model(folder)
    found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    keys = ("encoder", "decoder_channels", "upsampling", "size")
    return Config(**{key: found[key] for key in keys}), trained.network


def pick_backend() -> Backend:
    """PyTorch where it finds a GPU, else the fastest that is installed."""
    if torch.accelerator.is_available():
        return "torch"
    return next(name for name in FASTEST if importlib.util.find_spec(name) is not None)


def compute_with(
    backend: Backend, network: Network, cache: Path | None = None
) -> Callable[[Images], Probabilities]:
    """A function from (B, S, S, 3) uint8 RGB to (B, S, S) probabilities.

    Args:
        cache: folder of the exported graph; None is the user's cache folder.

    Raises:
        ModuleNotFoundError: the backend is not installed.
        OSError: the graph can't be written.
    """
    if backend == "torch":
        return lambda images: predict_probabilities(network, images, with_flips=False)
    if importlib.util.find_spec(backend) is None:
        raise ModuleNotFoundError(
            f'{backend} is not installed: pip install "effiseg[fast]", or use --backend torch'
        )
    graph = _export_once(network, cache or user_cache_path("effiseg"))
    return _open_onnxruntime(graph) if backend == "onnxruntime" else _open_openvino(graph)


def _open_onnxruntime(graph: Path) -> Callable[[Images], Probabilities]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it is read at the import
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_threads()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})[0]


def _open_openvino(graph: Path) -> Callable[[Images], Probabilities]:
    # At its import it would tell its makers; where this module is missing it does not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": count_threads(),
    }
    core = openvino.Core()
    names = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    processor = [core.get_property("CPU", name) for name in names]
    about = (graph.stem, openvino.__version__, processor, settings)
    key = hashlib.sha256(repr(about).encode()).hexdigest()[:16]

    def compile_graph() -> bytes:
        content = io.BytesIO()
        core.compile_model(graph, "CPU", settings).export_model(content)
        return content.getvalue()

    # Not OpenVINO's own cache, which reads back what was damaged.
    blob = _keep(graph.parent, key, ".blob", compile_graph)
    compiled = core.import_model(blob.read_bytes(), "CPU", settings)
    return lambda images: compiled(images, share_outputs=False)[0]  # a copy


def count_threads() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _export_once(network: Network, cache: Path) -> Path:
    """The network as an ONNX file in the folder, named after what it holds."""
    digest = hashlib.sha256(f"{torch.__version__} {network.upsampling}".encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return _keep(cache, digest.hexdigest()[:16], ".onnx", lambda: export_onnx(network))


def _keep(cache: Path, key: str, suffix: str, make: Callable[[], bytes]) -> Path:
    """The folder's file KEY-SHA256.suffix, made where there is none whose content has that sha256.

    Raises:
        OSError: it can't be written or read.
    """
    for path in cache.glob(f"{key}-*{suffix}"):
        if path.stem == f"{key}-{sha256_of(path)}":
            return path
        path.unlink(missing_ok=True)
    content = make()
    path = cache / f"{key}-{hashlib.sha256(content).hexdigest()}{suffix}"
    write_bytes(path, content)
    return path
