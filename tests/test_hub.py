"""Published models: folders, cards, ONNX files, and uploads to a server that speaks as the hub."""

import base64
import dataclasses
import hashlib
import importlib.util
import json
import math
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import huggingface_hub
import numpy as np
import onnxruntime
import openvino
import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants
from huggingface_hub.repocard_data import model_index_to_eval_results
from safetensors.torch import load_file
from traps import Trap, save_by_pickle, save_by_torch

from effiseg import card, commands, shipping
from effiseg.encoders import build_encoder
from effiseg.export import INPUT, write_onnx
from effiseg.hub import (
    LARGEST_CONFIG,
    Config,
    EffiSegNet,
    find_folder,
    read_config,
    upload_folder,
    write_folder,
)
from effiseg.metrics import count_pixels, dice
from effiseg.weights import read_model, write_model

CONFIG = Config(
    encoder="tf_efficientnet_lite0",
    decoder_channels=8,
    upsampling="nearest",
    size=64,
    threshold=0.4,
    test_flips=True,
    limits={"low confidence": 0.9, "several polyps": 1.5},
)
SCORES = {"split": "effisegnet", "images": 100, "dice": 0.912345, "miou": 0.854321}
WARNINGS = pd.DataFrame(
    [
        ("low confidence", 17, 6, 83, 2),
        ("large polyp", 0, 0, 100, 8),
        ("several polyps", 24, 5, 76, 3),
        ("any warning", 40, 7, 60, 1),
    ],
    columns=["warning", "images", "poor", "others", "poor_others"],
)
FILES = {"README.md", "config.json", "example.png", "model.onnx", "model.safetensors"}
FILES |= {"scores.json"}
TOKEN = "hf_tokenOfNobody"
REPOSITORY = "someone/polyps"


def build():
    """An encoder of ImageNet and a random decoder, normalised by some images.

    All random, the network would amplify rounding more than a trained one does.
    """
    torch.manual_seed(0)
    encoder = build_encoder(CONFIG.encoder, True)
    network = EffiSegNet(encoder, CONFIG.decoder_channels, CONFIG.upsampling).train()
    network.encoder.eval()
    for layer in (network.scales, network.norm, network.ghosts):
        for norm in layer.modules():
            norm.momentum = None  # one batch gives all its statistics
    with torch.no_grad():
        network(torch.randn(4, 3, 64, 64))
    return network.eval()


def write_model_folder(folder, half=True):
    write_folder(folder, build().state_dict(), CONFIG, half)
    shipping.write_scores(folder, SCORES, WARNINGS)
    return folder


def call(*arguments):
    with pytest.raises(SystemExit) as end:
        commands.main(list(map(str, arguments)))
    return end.value.code


def read_tree(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder of the hub in half precision."""
    return write_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """What `effiseg export` writes of it."""
    out = tmp_path_factory.mktemp("exported")
    assert call("export", "--model", model, "--out", out) == 0
    return out


# Folders


@pytest.mark.parametrize(
    ("half", "dtype", "tolerance"),
    [
        pytest.param(False, torch.float32, 0, id="full precision"),
        pytest.param(True, torch.float16, 0.03, id="half precision"),
    ],
)
def test_a_model_that_was_written_and_read_gives_the_same_logits(tmp_path, half, dtype, tolerance):
    source, images = build(), torch.randn(2, 3, 64, 96)
    write_folder(tmp_path, source.state_dict(), CONFIG, half)
    stored = load_file(tmp_path / "model.safetensors")
    for name, tensor in source.state_dict().items():
        expected = tensor.to(dtype) if tensor.is_floating_point() else tensor
        assert stored[name].dtype == expected.dtype
        assert torch.equal(stored[name], expected)
    network = EffiSegNet.from_pretrained(tmp_path)
    assert not network.training
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    with torch.no_grad():
        expected, found = source(images), network(images)
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(CONFIG, id="with limits"),
        pytest.param(dataclasses.replace(CONFIG, limits={}, test_flips=False), id="without"),
    ],
)
def test_a_configuration_that_was_written_is_read_again(tmp_path, config):
    write_folder(tmp_path, {}, config, half=True)
    assert read_config(tmp_path) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"sizes": 64}, "unknown key 'config.sizes'", id="unknown key"),
        pytest.param({"size": None}, "key 'config.size' is missing", id="missing key"),
        pytest.param({"size": "64"}, "config.size is '64'; expected a whole", id="wrong type"),
        pytest.param({"size": 16}, "size is 16; expected 32 to 2048 pixels", id="too small"),
        pytest.param({"threshold": 1.0}, "threshold is 1.0; expected between", id="threshold"),
        pytest.param({"upsampling": "cubic"}, "upsampling is 'cubic'; expected", id="upsampling"),
        pytest.param({"limits": {"red": 1}}, "limits is 'red'; expected names", id="unknown limit"),
        pytest.param(
            {"limits": {"small polyp": "5 %"}}, "limits.small polyp is '5 %'", id="limit of text"
        ),
        pytest.param({"decoder_channels": 10**9}, "decoder_channels is 1000000000", id="channels"),
        pytest.param({"threshold": math.nan}, "threshold is nan; expected a number", id="NaN"),
        pytest.param({"encoder": "x" * 1000}, "encoder is 'xxx", id="an endless encoder"),
        pytest.param(
            {"limits": {"small polyp": math.nan}}, "limits.small polyp is nan", id="limit of NaN"
        ),
        pytest.param({"limits": None}, "is not a configuration of EffiSeg", id="no limits"),
        pytest.param({"limits": 3}, "is not a configuration of EffiSeg", id="limits of a number"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(tmp_path, changes, message):
    found = {**dataclasses.asdict(CONFIG), **changes}
    kept = {key: value for key, value in found.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(kept))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read_config(tmp_path)
    assert str(tmp_path / "config.json") in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff" * 1000, id="not in UTF-8"),
        pytest.param(b'{"limits": ' + b"[" * 100_000, id="nested deeply"),
        pytest.param(b'{"size": ' + b"1" * 10_000 + b"}", id="an endless number"),
    ],
)
def test_a_configuration_that_is_no_mapping_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json is not a configuration of Effi") as error:
        read_config(tmp_path)
    assert len(str(error.value)) < len(str(tmp_path)) + 600


def test_a_configuration_of_many_bytes_is_not_read(tmp_path):
    (tmp_path / "config.json").write_bytes(b" " * (LARGEST_CONFIG + 1))
    with pytest.raises(ValueError, match=r"config\.json has 1048577 bytes; expected at most"):
        read_config(tmp_path)


@pytest.mark.parametrize("encoder", ["../../etc/passwd", "/dev/zero", "hf-hub:a/b", "resnet18"])
def test_an_encoder_that_is_none_is_refused_with_its_file(tmp_path, encoder):
    write_folder(tmp_path, {}, dataclasses.replace(CONFIG, encoder=encoder), half=True)
    with pytest.raises(ValueError, match=rf"config\.json: encoder is '{encoder}'; expected"):
        EffiSegNet.from_pretrained(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path, value):
    write_folder(tmp_path, {"logit.bias": torch.tensor([1, value])}, CONFIG, half=True)
    with pytest.raises(ValueError, match=r"tensor 'logit\.bias' has values that are no finite"):
        EffiSegNet.from_pretrained(tmp_path)


@pytest.mark.parametrize("source", ["nowhere", "no/such/folder", "some one/polyps", ""])
def test_what_is_no_folder_and_no_repository_is_refused(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    source = source or tmp_path / "nowhere"
    with pytest.raises(ValueError, match=f"there is no folder {source}; expected a folder with"):
        EffiSegNet.from_pretrained(source)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json: it is not a model"):
        EffiSegNet.from_pretrained(tmp_path)


def test_a_folder_without_weights_is_refused(model, tmp_path):
    (tmp_path / "config.json").write_bytes((model / "config.json").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        EffiSegNet.from_pretrained(tmp_path)


@pytest.mark.parametrize("save", [save_by_pickle, save_by_torch])
def test_a_pickled_file_in_place_of_weights_is_refused_and_does_not_run(tmp_path, save):
    write_folder(tmp_path, {}, CONFIG, half=True)
    mark = tmp_path / "mark"
    spring = save(Trap(mark), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no tensors in safetensors format"):
        EffiSegNet.from_pretrained(tmp_path)
    assert not mark.exists()
    spring()
    assert mark.exists()  # it is a trap


def test_weights_that_were_cut_off_are_refused(model, tmp_path):
    for name, content in read_tree(model).items():
        (tmp_path / name).write_bytes(content[:-100] if name.endswith("safetensors") else content)
    with pytest.raises(ValueError, match="holds no tensors in safetensors format"):
        EffiSegNet.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"encoder": "tf_efficientnet_lite1"}, id="another encoder"),
        pytest.param({"decoder_channels": 16}, id="another decoder"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, changes):
    config = dataclasses.replace(CONFIG, **changes)
    write_folder(tmp_path, build().state_dict(), config, half=True)
    with pytest.raises(ValueError, match=r"model\.safetensors does not fit config\.json"):
        EffiSegNet.from_pretrained(tmp_path)


# Cards


def test_the_metadata_of_a_card_are_those_that_the_hub_reads():
    text = card.write_card(CONFIG, SCORES, WARNINGS, REPOSITORY)
    found = ModelCard(text)
    assert str(found) == text
    metadata = yaml.safe_load(text.split("---\n")[1])
    assert found.data.to_dict() == metadata
    assert metadata["license"] == "other"
    assert re.fullmatch(r"[a-z0-9-]+", metadata["license_name"])
    assert metadata["license_link"].startswith("https://datasets.simula.no/kvasir-seg")
    assert (metadata["pipeline_tag"], metadata["library_name"]) == ("image-segmentation", "effiseg")
    assert metadata["datasets"] == ["kvasir-seg"]
    assert {"medical", "polyp-segmentation", "colonoscopy"} <= set(metadata["tags"])


@pytest.mark.parametrize("scores", [SCORES, SCORES | {"dice": 0.5, "miou": 0.25, "images": 7}])
def test_the_scores_of_a_card_are_those_that_were_measured(scores):
    text = card.write_card(CONFIG, scores, WARNINGS, REPOSITORY)
    index = yaml.safe_load(text.split("---\n")[1])["model-index"]
    name, results = model_index_to_eval_results(index)
    assert name == "polyps"
    assert {r.metric_type: r.metric_value for r in results} == {
        "dice": scores["dice"],
        "mean_iou": scores["miou"],
    }
    assert {(r.dataset_type, r.dataset_config, r.dataset_split) for r in results} == {
        ("kvasir-seg", "effisegnet", "test")
    }
    assert f"| Dice | {scores['dice']:.4f} |" in text
    assert f"on the {scores['images']} test images" in text


def test_a_card_tells_what_its_warnings_are_worth():
    text = card.write_card(CONFIG, SCORES, WARNINGS, REPOSITORY)
    assert "| low confidence | confidence below 0.9 | 6 of 17 | 2 of 83 |" in text
    assert "| several polyps | lesions above 1.5 | 5 of 24 | 3 of 76 |" in text
    assert "| any warning | one of these | 7 of 40 | 1 of 60 |" in text
    assert "| large polyp" not in text  # it has no limit: the model never gives it


def test_a_model_without_scores_has_a_card_without_results(tmp_path):
    assert shipping.read_scores(tmp_path) == (None, None)
    text = card.write_card(CONFIG, None, None, REPOSITORY)
    assert "model-index" not in ModelCard(text).data.to_dict()
    assert "## Results" not in text
    assert "## Warnings" not in text
    assert "## Limits" in text


def test_scores_that_were_written_are_read_again(tmp_path):
    shipping.write_scores(tmp_path, SCORES | {"nsd": 0.8}, WARNINGS)
    scores, warnings = shipping.read_scores(tmp_path)
    assert scores == SCORES
    pd.testing.assert_frame_equal(warnings, WARNINGS)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param("[]", id="a list"),
        pytest.param(json.dumps(SCORES), id="no warnings"),
        pytest.param('{"warnings": []}', id="no scores"),
    ],
)
def test_a_damaged_file_of_scores_is_refused(tmp_path, text):
    (tmp_path / "scores.json").write_text(text)
    with pytest.raises(ValueError, match=r"scores\.json does not hold the scores of a model"):
        shipping.read_scores(tmp_path)


@pytest.mark.parametrize("number", [0, 1])
def test_the_python_examples_of_a_card_run(model, exported, tmp_path, monkeypatch, number):
    text = card.write_card(CONFIG, SCORES, WARNINGS, str(model))
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "picture.jpg"), picture)
    (tmp_path / "model.onnx").write_bytes((exported / "model.onnx").read_bytes())
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(examples[number], names)
    if number == 0:
        assert isinstance(names["network"], EffiSegNet)
    else:
        assert (names["mask"].shape, names["mask"].dtype) == ((90, 120), bool)


# ONNX


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    write_onnx(path, build())
    return path


def run_onnxruntime(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {INPUT: images})[0]


def run_openvino(path, images):
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", settings)(images)[0]


@pytest.mark.parametrize("run", [run_onnxruntime, run_openvino])
@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 64, 64), (1, 128, 96), (3, 128, 96)], ids=str)
def test_an_onnx_file_gives_the_probabilities_of_pytorch(graph, shape, run):
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    network = build()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (network.mean, network.std))
    with torch.no_grad():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        expected = network((pixels - mean) / std).sigmoid()[:, 0].numpy()
    found = run(graph, images)
    assert (found.shape, found.dtype) == (shape, np.float32)
    assert np.ptp(expected) > 0.5  # else any constant would nearly pass
    assert np.abs(found - expected).max() < 1e-4
    threshold = find_gap(expected)
    assert dice(count_pixels(found > threshold, expected > threshold)) == 1


def find_gap(probability):
    """A threshold with no probability near it, which a trained network's answers leave at 0.5."""
    low, high = np.quantile(probability, (0.1, 0.9))
    values = np.sort(probability[(probability > low) & (probability < high)])
    widest = np.diff(values).argmax()
    return (values[widest] + values[widest + 1]) / 2


def test_an_onnx_file_that_can_not_be_written_leaves_nothing(tmp_path):
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(OSError):
        write_onnx(tmp_path / "model.onnx", build())
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


# Export


def test_an_export_holds_the_model_as_it_was_stored(model, exported):
    found = read_tree(exported)
    assert set(found) == FILES
    for name, content in read_tree(model).items():
        assert found[name] == content
    assert yaml.safe_load(found["README.md"].split(b"---\n")[1])["model-index"]
    assert b"USER/tiny" in found["README.md"]
    assert cv2.imread(str(exported / "example.png")).shape == (544, 960, 3)


def test_an_export_of_a_training_is_in_full_precision_and_without_results(tmp_path):
    state, out = build().state_dict(), tmp_path / "out"
    write_model(tmp_path / "own", state, SimpleNamespace(**dataclasses.asdict(CONFIG)), "cpu")
    assert call("export", "--model", tmp_path / "own", "--out", out) == 0
    assert {path.name for path in out.iterdir()} == FILES - {"scores.json"}
    stored = load_file(out / "model.safetensors")
    assert all(torch.equal(stored[name], tensor) for name, tensor in state.items())
    assert read_config(out).size == read_model(tmp_path / "own").size
    assert "model-index" not in ModelCard((out / "README.md").read_text()).data.to_dict()


def test_an_export_into_a_folder_with_files_needs_force(model, tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "scores.json").write_text("of another model")
    assert call("export", "--model", model, "--out", tmp_path) == 1
    assert "README.md is there already; choose another --out" in capsys.readouterr().err
    assert read_tree(tmp_path) == {"README.md": b"mine", "scores.json": b"of another model"}
    assert call("export", "--model", model, "--out", tmp_path, "--force") == 0
    assert set(read_tree(tmp_path)) == FILES
    assert shipping.read_scores(tmp_path)[0] == SCORES


def test_an_export_of_nothing_says_so(tmp_path, capsys):
    assert call("export", "--model", tmp_path / "none", "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err.startswith("effiseg export: there is no folder")
    assert not (tmp_path / "out").exists()


# Uploads


class Hub(ThreadingHTTPServer):
    """One repository on a server that speaks what uploads and downloads need of the protocol."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Exchange)
        self.asked = []  # method, path, token of each request
        self.blobs, self.files, self.commits = {}, {}, []
        self.is_there = self.is_private = self.is_refusing = False
        self.large = (".safetensors", ".onnx", ".png")  # files that go by Git LFS

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    revision = "5" * 40

    def log_message(self, *_):
        pass

    def handle_request(self):
        hub, path, body = self.server, self.path.partition("?")[0], self.read_body()
        hub.asked.append((self.command, path, self.headers.get("Authorization")))
        if hub.is_refusing:
            self.reply(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            status, hub.is_there = (409 if hub.is_there else 200), True
            hub.is_private |= status == 200 and json.loads(body)["visibility"] == "private"
            self.reply(status, {"url": f"{hub.address}/{REPOSITORY}", "error": "it is there"})
        elif path == "/api/validate-yaml":
            self.reply(200, {"errors": [], "warnings": []})
        elif path == f"/api/models/{REPOSITORY}/preupload/main":
            self.reply(200, {"files": [self.plan(f) for f in json.loads(body)["files"]]})
        elif path == f"/{REPOSITORY}.git/info/lfs/objects/batch":
            objects = [o | self.offer(o["oid"]) for o in json.loads(body)["objects"]]
            self.reply(200, {"transfer": "basic", "objects": objects})
        elif path.startswith("/blobs/"):
            assert hashlib.sha256(body).hexdigest() == path.removeprefix("/blobs/")
            hub.blobs[path.removeprefix("/blobs/")] = body
            self.reply(200, {})
        elif path == f"/api/models/{REPOSITORY}/commit/main":
            self.commit([json.loads(line) for line in body.splitlines()])
            address = f"{hub.address}/{REPOSITORY}/commit/{self.revision}"
            self.reply(200, {"commitUrl": address, "commitOid": self.revision})
        elif hub.is_there and path.startswith(f"/api/models/{REPOSITORY}/tree/"):
            entry = {"type": "file", "oid": "7" * 40}
            files = [entry | {"path": p, "size": len(c)} for p, c in hub.files.items()]
            self.reply(200, files)
        elif hub.is_there and path.startswith(f"/api/models/{REPOSITORY}"):
            about = {"id": REPOSITORY, "sha": self.revision, "private": hub.is_private}
            self.reply(200, about)
        elif path.startswith(f"/{REPOSITORY}/resolve/"):
            self.reply(200, hub.files[path.rpartition("/")[2]])
        else:
            self.reply(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def plan(self, file):
        mode = "lfs" if file["path"].endswith(self.server.large) else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def offer(self, oid):
        return {"actions": {"upload": {"href": f"{self.server.address}/blobs/{oid}"}}}

    def commit(self, lines):
        self.server.commits.append(lines[0]["value"]["summary"])
        for line in lines[1:]:
            value = line["value"]
            is_large = line["key"] == "lfsFile"
            content = self.server.blobs[value["oid"]] if is_large else value["content"]
            self.server.files[value["path"]] = content if is_large else base64.b64decode(content)

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, status, content, headers=None):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        etag = hashlib.sha256(content).hexdigest()
        about = {"ETag": f'"{etag}"', "X-Repo-Commit": self.revision, **(headers or {})}
        for name, value in {"Content-Length": str(len(content)), **about}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A server in place of the hub, a token of its own, and an empty cache."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, server.address)
    for name, value in {
        "ENDPOINT": server.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_TOKEN_PATH": str(tmp_path / "no-token"),
        "HF_HUB_DISABLE_XET": True,  # plain Git LFS, which this server speaks
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(constants, name, value)
    huggingface_hub.close_session()
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("large", "without_xet"),
    [
        pytest.param((".safetensors", ".onnx", ".png"), True, id="by Git LFS"),
        pytest.param((), True, id="all in the commit"),
        pytest.param((), False, id="all in the commit, by the program that also speaks Xet"),
    ],
)
def test_an_upload_is_one_commit_with_all_files(exported, hub, monkeypatch, large, without_xet):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", without_xet)
    hub.large = large
    address = upload_folder(exported, REPOSITORY, private=False, message="First")
    assert address == f"{hub.address}/{REPOSITORY}/commit/{Exchange.revision}"
    assert hub.commits == ["First"]
    assert hub.files == read_tree(exported)
    assert len(hub.blobs) == len(large)
    asked = [token for _, path, token in hub.asked if path.startswith("/api/models")]
    assert set(asked) == {f"Bearer {TOKEN}"}


def test_a_published_model_can_be_loaded_from_the_hub(model, hub, capsys):
    assert call("publish", "--repo-id", REPOSITORY, "--model", model) == 0
    output = capsys.readouterr()
    assert f"{hub.address}/{REPOSITORY}/commit/" in output.out
    assert TOKEN not in output.out + output.err
    assert set(hub.files) == FILES
    assert f'from_pretrained("{REPOSITORY}")'.encode() in hub.files["README.md"]
    assert not hub.is_private
    theirs = EffiSegNet.from_pretrained(REPOSITORY).state_dict()
    ours = EffiSegNet.from_pretrained(model).state_dict()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    assert read_config(find_folder(REPOSITORY)) == CONFIG


def test_a_dry_run_lists_the_files_and_asks_nobody(model, hub, capsys):
    arguments = ("publish", "--repo-id", REPOSITORY, "--model", model, "--dry-run", "--private")
    assert call(*arguments) == 0
    output = capsys.readouterr().out
    assert set(re.findall(r"^(\S+) +[\d.]+ MB$", output, re.MULTILINE)) == FILES
    assert f"{hub.address}/{REPOSITORY}, private" in output
    assert hub.asked == []


def test_a_private_upload_makes_a_private_repository(exported, hub):
    upload_folder(exported, REPOSITORY, private=True, message="First")
    assert hub.is_private
    upload_folder(exported, REPOSITORY, private=True, message="Second")
    assert hub.commits == ["First", "Second"]


def test_a_private_upload_into_a_public_repository_is_refused(exported, hub):
    hub.is_there = True
    with pytest.raises(OSError, match="the upload to someone/polyps failed: it is public already"):
        upload_folder(exported, REPOSITORY, private=True, message="First")
    assert hub.files == {}


def test_a_refused_token_gives_one_line_without_the_token(exported, hub):
    hub.is_refusing = True
    with pytest.raises(OSError) as error:
        upload_folder(exported, REPOSITORY, private=False, message="First")
    message = str(error.value)
    assert message.startswith("the upload to someone/polyps failed:")
    assert "401" in message
    assert "Invalid username or password." in message
    assert "\n" not in message
    assert TOKEN not in message


@pytest.mark.parametrize("token", ["", "hf_of two\x07lines", "hf_gehört niemandem"])
def test_without_a_token_that_can_be_sent_nobody_is_asked(exported, hub, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(OSError, match="no token of the Hugging Face hub here, or it is") as error:
        upload_folder(exported, REPOSITORY, private=False, message="First")
    assert "hf_" not in str(error.value)
    assert hub.asked == []


def test_a_hub_that_can_not_be_reached_gives_an_error_of_the_system(exported, hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"the upload to someone/polyps failed: .*refused"):
        upload_folder(exported, REPOSITORY, private=False, message="First")


def test_a_repository_that_the_hub_does_not_have_is_refused(hub):
    with pytest.raises(OSError, match="is no folder here, and the hub did not give it"):
        EffiSegNet.from_pretrained(REPOSITORY)


@pytest.mark.parametrize("repo_id", ["polyps", "a/b/c", "some one/polyps", "a/b--c", "a/b.git"])
def test_a_name_that_no_repository_can_have_is_refused(hub, capsys, repo_id):
    assert call("publish", "--repo-id", repo_id, "--dry-run") == 1
    message = capsys.readouterr().err
    assert f"{repo_id!r} can't be the name of a repository; expected USER/NAME" in message
    assert hub.asked == []


def test_an_export_without_onnx_says_what_to_install(tmp_path, monkeypatch, capsys):
    there = importlib.util.find_spec

    def find(name, *rest):
        return None if name == "onnx" else there(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(SystemExit) as stop:
        commands.main(["export", "--out", str(tmp_path / "model")])
    assert stop.value.code == 1
    message = 'effiseg export: onnx is not installed: pip install "effiseg[fast]"'
    assert capsys.readouterr().err.strip() == message
    assert not (tmp_path / "model").exists()
