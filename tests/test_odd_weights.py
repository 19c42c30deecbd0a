"""Weights and descriptions of models that are damaged, exchanged or hostile: refused, never run."""

import hashlib
import json
import pickle
import shutil

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from test_artifacts import RECIPE, save_model
from traps import Trap, save_by_pickle, save_by_torch

from effiseg.encoders import build_encoder
from effiseg.weights import read_model

ENCODER = RECIPE.encoder
OTHER = "tf_efficientnet_lite0" if ENCODER != "tf_efficientnet_lite0" else "tf_efficientnet_lite1"


@pytest.fixture(scope="module")
def tensors():
    """The weights of the encoder, in timm's naming."""
    return timm.create_model(ENCODER).state_dict()


# train.pretrained: FILE


def without(tensors, key):
    return {name: tensor for name, tensor in tensors.items() if name != key}


CHANGED = {
    "no tensors": lambda tensors: {},
    "other names": lambda tensors: {f"x.{name}": tensor for name, tensor in tensors.items()},
    "one missing": lambda tensors: without(tensors, "conv_stem.weight"),
    "another shape": lambda tensors: tensors | {"conv_stem.weight": torch.zeros(1, 1)},
    "one too many": lambda tensors: tensors | {"blocks.9.weight": torch.zeros(1)},
    "another encoder": lambda tensors: timm.create_model(OTHER).state_dict(),
    "a text in place of a tensor": lambda tensors: tensors | {"conv_stem.weight": "heavy"},
    "a list": lambda tensors: [1, 2],
    "a tensor": lambda tensors: torch.zeros(1),
}
BYTES = {
    "empty": lambda content: b"",
    "half of it": lambda content: content[: len(content) // 2],
    "text": lambda content: b"these are no weights\n" * 9,
    "a pickled number": lambda content: pickle.dumps(1),
}


def refuse_pretrained(path):
    expected = rf"train\.pretrained: .*{path.name} does not hold the weights of {ENCODER}"
    with pytest.raises(ValueError, match=expected) as caught:
        build_encoder(ENCODER, str(path))
    assert len(str(caught.value)) < len(str(path)) + 500


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_file_with_other_weights_is_refused(tmp_path, tensors, change):
    path = tmp_path / "weights.pth"
    torch.save(change(tensors), path)
    refuse_pretrained(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("change", BYTES.values(), ids=BYTES)
def test_a_file_that_is_damaged_is_refused(tmp_path, tensors, name, change):
    path = tmp_path / name
    torch.save(tensors, path)
    path.write_bytes(change(path.read_bytes()))
    refuse_pretrained(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("save", [save_by_pickle, save_by_torch])
def test_what_is_pickled_in_a_file_of_weights_does_not_run(tmp_path, name, save):
    path, mark = tmp_path / name, tmp_path / "mark"
    spring = save(Trap(mark), path)
    refuse_pretrained(path)
    assert not mark.exists()
    spring()
    assert mark.exists()  # it is a trap


def test_weights_that_a_training_has_wrapped_are_loaded(tmp_path, tensors):
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}}
    torch.save(wrapped, tmp_path / "weights.pth")
    network = build_encoder(ENCODER, str(tmp_path / "weights.pth")).network
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in network.state_dict().items())


def test_weights_of_a_head_are_left_out(tmp_path, tensors):
    save_file(tensors, tmp_path / "weights.safetensors")
    network = build_encoder(ENCODER, str(tmp_path / "weights.safetensors")).network
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in network.state_dict().items())
    assert {"classifier.weight", "conv_head.weight"} <= set(tensors) - set(network.state_dict())


@pytest.mark.parametrize("name", [ENCODER.upper(), "", "resnet18", "../tf", "hf-hub:timm/x", "*"])
def test_an_encoder_that_timm_does_not_have_is_refused_by_its_key(name):
    with pytest.raises(ValueError, match=r"encoder is '.*'; expected an EfficientNet of timm"):
        build_encoder(name, False)


# models/NAME/


MISFIT = r"weights\.safetensors does not fit model\.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    save_model(folder)
    return folder


@pytest.fixture
def model(whole, tmp_path):
    """A folder of a whole model, to be damaged."""
    return shutil.copytree(whole, tmp_path / "model")


def sign(folder):
    """Make the checksum that of the weights as they are now."""
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    (folder / "weights.sha256").write_text(f"{digest}  weights.safetensors\n", encoding="utf-8")


MODELS = {
    "no tensors": lambda tensors: {},
    "one missing": lambda tensors: without(tensors, "logit.bias"),
    "one too many": lambda tensors: tensors | {"more": torch.zeros(1)},
    "another shape": lambda tensors: tensors | {"logit.bias": torch.zeros(7)},
    "other names": lambda tensors: {f"x.{name}": tensor for name, tensor in tensors.items()},
    "another encoder": lambda tensors: {
        f"encoder.{name}": tensor for name, tensor in timm.create_model(OTHER).state_dict().items()
    },
}


@pytest.mark.parametrize("change", MODELS.values(), ids=MODELS)
def test_a_model_with_other_weights_is_refused(model, change):
    path = model / "weights.safetensors"
    save_file(change(load_file(path)), path)
    with pytest.raises(ValueError, match=r"weights\.safetensors has sha256"):
        read_model(model)
    sign(model)
    with pytest.raises(ValueError, match=MISFIT) as caught:
        read_model(model)
    assert len(str(caught.value)) < len(str(model)) + 700


@pytest.mark.parametrize("change", BYTES.values(), ids=BYTES)
def test_a_model_whose_weights_are_damaged_is_refused_with_any_checksum(model, change):
    path = model / "weights.safetensors"
    path.write_bytes(change(path.read_bytes()))
    sign(model)
    with pytest.raises(ValueError, match=MISFIT):
        read_model(model)


def test_what_is_pickled_in_a_model_does_not_run(model, tmp_path):
    path, mark = model / "weights.safetensors", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Trap(mark)))
    sign(model)
    with pytest.raises(ValueError, match=MISFIT):
        read_model(model)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # it is a trap


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"0" * 64, b"weights.safetensors"])
def test_a_damaged_checksum_is_refused(model, content):
    (model / "weights.sha256").write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.safetensors has sha256 .*; expected"):
        read_model(model)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.sha256", "model.json"])
def test_a_file_that_a_model_lacks_is_named(model, name):
    (model / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read_model(model)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 9999, b'{"encoder": "a"} more'], ids=range(5)
)
def test_a_description_that_is_no_json_is_refused(model, content):
    (model / "model.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.json is not JSON"):
        read_model(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "tf_efficientnet_lite9"}, "encoder is 'tf_efficientnet_lite9'; expected an"),
        ({"encoder": 3}, "model.encoder is 3; expected a text"),
        ({"decoder_channels": 10**9}, "model.decoder_channels is 1000000000; expected an even"),
        ({"decoder_channels": "8"}, "model.decoder_channels is '8'; expected a whole number"),
        ({"upsampling": "cubic"}, "model.upsampling is 'cubic'; expected one of 'nearest'"),
        ({"size": 0}, "model.size is 0; expected 32 to 2048 pixels"),
        ({"size": float("nan")}, "model.size is nan; expected a whole number"),
        ({"sise": 64}, "unknown key 'model.sise'; known are"),
        ({"decoder_channels": 16}, "does not fit model.json"),
        ({"encoder": OTHER}, "does not fit model.json"),
    ],
    ids=str,
)
def test_a_description_of_no_or_another_network_is_refused(model, changes, message):
    path = model / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_model(model)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["encoder", "decoder_channels", "upsampling", "size"])
def test_a_description_without_a_key_is_refused(model, key):
    path = model / "model.json"
    path.write_text(json.dumps(without(json.loads(path.read_text()), key)), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"model\.json: key 'model\.{key}' is missing"):
        read_model(model)


@pytest.mark.parametrize("content", ["null", "[]", "3", '"model"'])
def test_a_description_that_is_no_mapping_is_refused(model, content):
    (model / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"model\.json: model is .*; expected a mapping"):
        read_model(model)
