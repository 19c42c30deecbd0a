"""Command predict, from files to files: what is written, in which order, and what fails how.

Frames are synthetic ones of which the shipped baseline is sure; its answers for other frames depend
on the number format, as their probabilities lie close to the threshold.
"""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage.measure import label
from test_training import build, recipe

from effiseg.annotate import COLUMNS
from effiseg.commands import main
from effiseg.export import write_onnx
from effiseg.hub import SHIPPED, EffiSegNet
from effiseg.predict import predict_probabilities
from effiseg.predictors import compute_with, open_predictor, pick_backend
from effiseg.synthetic import draw_frame
from effiseg.weights import write_model

MODEL = SHIPPED / "baseline"
SURE = (2, 3, 5, 7, 19)  # frames of which the model is sure


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@functools.cache
def draw(number):
    return draw_frame(np.random.default_rng([7, number])).image


def write_png(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return path


@pytest.fixture
def photos(tmp_path):
    """A folder with five frames: a to e."""
    for letter, number in zip("abcde", SURE, strict=True):
        write_png(tmp_path / "photos" / f"{letter}.png", draw(number))
    return tmp_path / "photos"


def call(*arguments, model=MODEL, backend="torch"):
    given = ["predict", *arguments, "--model", model, "--backend", backend]
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in given])
    return stop.value.code


def read_mask(path):
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)


def read_table(out):
    return pd.read_csv(out / "predictions.csv", keep_default_na=False)


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in files_in(folder)}


def find_edge(mask):
    """Pixels of the mask with a neighbour outside it."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return mask & ~cv2.erode(mask.astype(np.uint8), cross).astype(bool)


def distance_to_yellow(image, pixels):
    return np.abs(image[pixels].astype(int) - (240, 228, 66)).mean()


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


# ------------------------------------------------------------------ what is written


def test_every_picture_has_mask_overlay_and_row(photos, tmp_path, capsys):
    assert call(photos, "--out", tmp_path / "out") == 0
    table = read_table(tmp_path / "out")
    assert list(table) == list(COLUMNS) == [
        "file", "name", "height", "width", "area_fraction", "lesions", "confidence", "warnings",
        "error",
    ]  # fmt: skip
    assert list(table["name"]) == list("abcde") and (table["error"] == "").all()
    written = {f"masks/{n}.png" for n in "abcde"} | {f"overlays/{n}.jpg" for n in "abcde"}
    assert set(files_below(tmp_path / "out")) == written | {"predictions.csv"}
    for row, number in zip(table.itertuples(), SURE, strict=True):
        assert Path(row.file) == photos / f"{row.name}.png"
        assert (row.height, row.width) == draw(number).shape[:2]
        mask = read_mask(tmp_path / "out" / "masks" / f"{row.name}.png")
        assert mask.shape == (row.height, row.width) and mask.dtype == np.uint8
        assert np.unique(mask).tolist() == [0, 255]
        overlay = Image.open(tmp_path / "out" / "overlays" / f"{row.name}.jpg")
        assert overlay.size == (row.width, row.height) and overlay.mode == "RGB"
    out, _ = capsys.readouterr()
    assert "model baseline: tf_efficientnet_lite0, 224 px, one view, torch" in out
    assert "5 of 5 files" in out and "predictions.csv" in out


def test_masks_and_values_are_those_of_the_probabilities(photos, tmp_path):
    call(photos, "--out", tmp_path / "out")
    config = json.loads((MODEL / "config.json").read_text())
    limits = config["limits"]
    images = [draw(number) for number in SURE]
    probabilities = open_predictor(MODEL, "torch").predict(images)
    some_warning = False
    for row, small, image in zip(
        read_table(tmp_path / "out").itertuples(), probabilities, images, strict=True
    ):
        height, width = image.shape[:2]
        expected = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
        mask = read_mask(tmp_path / "out" / "masks" / f"{row.name}.png") == 255
        assert np.array_equal(mask, expected)
        inside = small[small > 0.5].astype(float)
        confidence = 2 * inside.sum() / (small.astype(float).sum() + inside.size)
        sizes = np.bincount(label(small > 0.5, connectivity=2).ravel())[1:]
        assert row.area_fraction == pytest.approx(mask.mean(), rel=1e-5)
        assert row.confidence == pytest.approx(confidence, rel=1e-5)
        assert row.lesions == (sizes >= 0.0005 * small.size).sum()
        given = row.warnings.split("; ") if row.warnings else []
        assert ("small polyp" in given) == (mask.mean() < limits["small polyp"])
        assert ("several polyps" in given) == (row.lesions > limits["several polyps"])
        assert ("low confidence" in given) == (confidence < limits["low confidence"])
        some_warning |= bool(given)
    assert some_warning


def test_the_overlay_is_the_picture_with_a_yellow_outline(photos, tmp_path):
    call(photos / "d.png", "--out", tmp_path / "out")
    picture = draw(SURE[3]).astype(int)
    overlay = np.asarray(Image.open(tmp_path / "out/overlays/d.jpg")).astype(int)
    mask = read_mask(tmp_path / "out/masks/d.png") == 255
    far = ~cv2.dilate(mask.astype(np.uint8), np.ones((31, 31))).astype(bool)
    assert np.abs(overlay - picture)[far].mean() < 8  # JPEG
    found, before = (distance_to_yellow(image, find_edge(mask)) for image in (overlay, picture))
    assert found < 45 < before


def test_a_turned_photo_has_its_mask_as_it_is_shown(tmp_path):
    image, exif = draw(SURE[1]), Image.Exif()
    exif[0x112] = 6  # show it turned clockwise
    stored = np.ascontiguousarray(np.rot90(image))
    write_png(tmp_path / "photos" / "plain.png", image)
    Image.fromarray(stored).save(tmp_path / "photos" / "turned.png", exif=exif)
    assert call(tmp_path / "photos", "--out", tmp_path / "out") == 0
    masks = [read_mask(tmp_path / f"out/masks/{name}.png") for name in ("plain", "turned")]
    assert masks[0].shape == image.shape[:2] and np.array_equal(*masks)


def test_pictures_of_other_kinds_and_sizes_go_through_together(tmp_path):
    photos = tmp_path / "photos"
    write_png(photos / "a.png", draw(2))
    Image.fromarray(draw(3)).convert("L").save(photos / "b.tif")
    Image.fromarray(draw(5)).convert("RGBA").save(photos / "c.webp")
    Image.fromarray(draw(7)).convert("CMYK").save(photos / "d.jpg")
    Image.fromarray(draw(7)).resize((32, 33)).save(photos / "e.bmp")
    Image.fromarray(np.asarray(Image.fromarray(draw(7)).convert("L")).astype(np.uint16) * 16).save(
        photos / "f.png"
    )
    Image.fromarray(draw(7)).resize((3000, 40)).save(photos / "g.jpg")
    assert call(photos, "--out", tmp_path / "out") == 0
    sizes = {row.name: (row.height, row.width) for row in read_table(tmp_path / "out").itertuples()}
    assert sizes["e"] == (33, 32) and sizes["g"] == (40, 3000) and len(sizes) == 7
    for name, size in sizes.items():
        assert read_mask(tmp_path / f"out/masks/{name}.png").shape == size


def test_without_overlays_masks_alone_are_written_and_are_the_same(photos, tmp_path):
    call(photos, "--out", tmp_path / "with")
    assert call(photos, "--out", tmp_path / "without", "--no-overlays") == 0
    with_overlays = files_below(tmp_path / "with")
    expected = {name: c for name, c in with_overlays.items() if not name.startswith("overlays")}
    assert files_below(tmp_path / "without") == expected


def test_folders_below_keep_their_place(tmp_path):
    write_png(tmp_path / "photos" / "a.png", draw(2))
    write_png(tmp_path / "photos" / "day 1" / "a.png", draw(3))
    write_png(tmp_path / "photos" / "day 1" / "환자" / "a.png", draw(5))
    assert call(tmp_path / "photos", "--out", tmp_path / "out", "--no-overlays") == 0
    names = ["a", "day 1/a", "day 1/환자/a"]
    assert list(read_table(tmp_path / "out")["name"]) == names
    assert all((tmp_path / "out" / "masks" / f"{name}.png").is_file() for name in names)


@pytest.mark.parametrize("names", [
    ("폴립 사진", "صورة", "🙂"), ("a b", "[x]", "%d"), ("-rf", "a.b", "#"),
])  # fmt: skip
def test_names_of_any_letters_come_back_in_outputs_and_table(tmp_path, names):
    for name in names:
        write_png(tmp_path / "photos" / f"{name}.png", draw(2))
    assert call(tmp_path / "photos", "--out", tmp_path / "aus gabe") == 0
    assert sorted(read_table(tmp_path / "aus gabe")["name"]) == sorted(names)
    written = files_below(tmp_path / "aus gabe")
    assert all(f"masks/{n}.png" in written and f"overlays/{n}.jpg" in written for n in names)


@pytest.mark.parametrize("given", [["./-x.png"], ["--", "-x.png"]])
def test_a_name_that_begins_with_a_dash_can_be_given(tmp_path, monkeypatch, given):
    write_png(tmp_path / "-x.png", draw(2))
    monkeypatch.chdir(tmp_path)
    options = ["predict", "--out", "out", "--model", str(MODEL), "--backend", "torch"]
    with pytest.raises(SystemExit) as stop:
        main([*options, *given])
    assert stop.value.code == 0 and (tmp_path / "out/masks/-x.png").is_file()


def test_a_name_whose_bytes_are_no_utf8_costs_nobody_the_table(photos, tmp_path):
    odd = os.path.join(os.fsencode(photos), b"\xc6\xfa\xb8\xb3.png")  # Korean, of an old archive
    try:
        shutil.copy(photos / "a.png", odd)
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    call(photos, "--out", tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "predictions.csv", encoding_errors="replace")) == 6


# ------------------------------------------------------------------ what fails, and how


def test_broken_files_in_the_middle_are_reported_and_the_others_written(photos, tmp_path, capsys):
    content = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(content[: len(content) // 2])
    (photos / "c.png").write_bytes(b"")
    (photos / "d.png").unlink()
    Image.new("RGB", (20, 40)).save(photos / "d.png")
    assert call(photos, "--out", tmp_path / "out") == 1
    table = read_table(tmp_path / "out")
    assert list(table["name"]) == list("abcde")
    assert list(table["error"] != "") == [False, True, True, True, False]
    assert "20 x 40 pixels; expected 32 to 8000 a side" in table["error"][3]
    values = ["height", "width", "area_fraction", "lesions", "confidence", "warnings"]
    assert (table.loc[1:3, values] == "").all(axis=None)
    assert (table.loc[[0, 4], ["height", "confidence"]] != "").all(axis=None)
    written = {f"masks/{n}.png" for n in "ae"} | {f"overlays/{n}.jpg" for n in "ae"}
    assert set(files_below(tmp_path / "out")) == written | {"predictions.csv"}
    out, err = capsys.readouterr()
    assert all(f"{name}.png" in err for name in "bcd") and f"{photos}/a.png" not in err
    assert "2 of 5 files" in out and "Traceback" not in err


def test_the_answers_of_readable_files_do_not_depend_on_broken_ones_between_them(tmp_path):
    for n, number in enumerate(SURE):
        write_png(tmp_path / "clean" / f"{n}.png", draw(number))
        write_png(tmp_path / "mixed" / f"{n}.png", draw(number))
        (tmp_path / "mixed" / f"{n}x.png").write_bytes(b"no picture")
        (tmp_path / "mixed" / f"{n}y.png").write_bytes(b"no picture")
    assert call(tmp_path / "clean", "--out", tmp_path / "out") == 0
    assert call(tmp_path / "mixed", "--out", tmp_path / "other") == 1
    clean, mixed = (files_below(tmp_path / out) for out in ("out", "other"))
    tables = [read_table(tmp_path / out).drop(columns="file") for out in ("out", "other")]
    kept = tables[1][tables[1]["error"] == ""].astype(str).reset_index(drop=True)
    numbers = ["height", "width", "area_fraction", "lesions", "confidence"]
    assert np.array_equal(kept[numbers].astype(float), tables[0][numbers].astype(float))
    del clean["predictions.csv"], mixed["predictions.csv"]
    assert clean == mixed


def test_where_no_file_can_be_read_the_table_says_so(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(b"text")
    assert call(tmp_path / "a.jpg", "--out", tmp_path / "out") == 1
    assert "a.jpg is not an image" in read_table(tmp_path / "out")["error"][0]
    assert set(files_below(tmp_path / "out")) == {"predictions.csv"}
    assert "0 of 1 files" in capsys.readouterr().out


def test_what_is_there_is_not_replaced_without_force(photos, tmp_path, capsys):
    out = tmp_path / "out"
    call(photos / "a.png", "--out", out)
    before = files_below(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    write_png(photos / "a.png", draw(11))
    capsys.readouterr()
    assert call(photos, "--out", out) == 1
    assert files_below(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times
    message = capsys.readouterr().err
    assert message.startswith("effiseg predict: ") and "predictions.csv is there already" in message
    assert "--force" in message


def test_force_replaces(photos, tmp_path):
    call(photos / "a.png", "--out", tmp_path / "out")
    write_png(photos / "a.png", draw(11))
    assert call(photos, "--out", tmp_path / "out", "--force") == 0
    call(photos, "--out", tmp_path / "fresh")
    assert files_below(tmp_path / "out") == files_below(tmp_path / "fresh")


def test_masks_of_somebody_else_are_not_replaced_without_force(tmp_path):
    data = tmp_path / "data"  # as data sets lie on disks: images/ and masks/ in one folder
    write_png(data / "images" / "a.png", draw(2))
    write_png(data / "masks" / "a.png", np.full((40, 40, 3), 255, np.uint8))
    annotation = (data / "masks" / "a.png").read_bytes()
    code = call(data / "images", "--out", data)
    assert (data / "masks" / "a.png").read_bytes() == annotation
    assert code == 1


def test_the_output_folder_may_hold_the_pictures(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("photos", "--out", ".") == 0
    assert list(read_table(tmp_path)["name"]) == list("abcde")
    assert all((tmp_path / "masks" / f"{letter}.png").is_file() for letter in "abcde")


def test_a_second_run_does_not_take_its_own_outputs_for_pictures(photos):
    assert call(photos, "--out", photos / "out") == 0
    assert call(photos, "--out", photos / "out", "--force") == 0
    assert list(read_table(photos / "out")["name"]) == list("abcde")


def test_a_file_in_place_of_the_output_folder_is_reported(photos, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert call(photos, "--out", tmp_path / "out") == 1
    message = capsys.readouterr().err
    assert "effiseg predict: " in message and str(tmp_path / "out") in message
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("letter", ["a", "e"])
@pytest.mark.parametrize("output", ["masks/{}.png", "overlays/{}.jpg"])
def test_an_output_that_can_not_be_written_is_never_passed_over(
    photos, tmp_path, capsys, letter, output
):
    blocked = tmp_path / "out" / output.format(letter)
    blocked.mkdir(parents=True)
    assert call(photos, "--out", tmp_path / "out", "--force") == 1
    message = capsys.readouterr().err
    assert "effiseg predict: " in message and str(blocked) in message
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.parametrize(("arguments", "words"), [
    pytest.param([], "PATH", id="no file"),
    pytest.param(["a.png"], "--out", id="no output"),
    pytest.param(["a.png", "--out", "out", "--backend", "tea"], "invalid choice", id="backend"),
    pytest.param(["a.png", "--out", "out", "--unknown"], "--unknown", id="unknown option"),
])  # fmt: skip
def test_a_wrong_call_exits_with_2_and_says_why(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["predict", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"]])
def test_help_exits_with_0(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0 and "not a medical device" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("arguments", [[], ["predit"]])
def test_without_a_known_command_the_exit_code_is_2(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "COMMAND" in capsys.readouterr().err


def test_a_path_that_is_not_there_is_reported_and_nothing_written(tmp_path, capsys):
    assert call(tmp_path / "nowhere", "--out", tmp_path / "out") == 1
    assert "nowhere: no such file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ which model


@pytest.mark.parametrize("model", ["nowhere", "./nowhere", "../nowhere", "/no/where", "a/b/c"])
def test_a_model_that_is_not_there_is_reported(photos, tmp_path, monkeypatch, capsys, model):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    assert call(photos, "--out", tmp_path / "out", model=model) == 1
    message = capsys.readouterr().err
    assert message.startswith("effiseg predict: ")
    assert "no folder" in message and model in message
    assert not (tmp_path / "out").exists()


def test_a_repository_that_can_not_be_reached_is_reported(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    assert call(photos, "--out", tmp_path / "out", model="nobody/nothing") == 1
    message = capsys.readouterr().err
    assert "nobody/nothing is no folder here, and the hub did not give it" in message


def test_a_folder_that_is_no_model_is_reported(photos, tmp_path, capsys):
    assert call(photos, "--out", tmp_path / "out", model=photos) == 1
    assert "has no config.json: it is not a model" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "content", "words"), [
    ("model.safetensors", b"no tensors", "holds no tensors in safetensors format"),
    ("config.json", b"{", "is not a configuration of EffiSeg"),
    ("config.json", b"[]", "is not a configuration of EffiSeg"),
])  # fmt: skip
def test_a_damaged_model_is_reported(photos, tmp_path, capsys, name, content, words):
    shutil.copytree(MODEL, tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(content)
    assert call(photos, "--out", tmp_path / "out", model=tmp_path / "model") == 1
    message = capsys.readouterr().err
    assert words in message and str(tmp_path / "model" / name) in message


def write_small_model(folder, size=64):
    write_model(folder, build().state_dict(), recipe(size=size), "cpu")
    return folder


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_a_folder_of_the_pipeline_is_a_model_too(photos, tmp_path, backend):
    model = write_small_model(tmp_path / "models" / "mine")
    assert call(photos, "--out", tmp_path / "out", model=model, backend=backend) == 0
    assert (read_table(tmp_path / "out")["warnings"] == "").all()
    images = np.stack(
        [cv2.resize(draw(n), (64, 64), interpolation=cv2.INTER_AREA) for n in SURE]
    )
    expected = predict_probabilities(build(), images, with_flips=False)
    found = open_predictor(model, backend).predict([draw(n) for n in SURE])
    assert found.dtype == np.float32 and expected.std() > 0.005
    assert np.abs(found - expected).max() < 0.01


def test_weights_that_were_exchanged_are_refused(photos, tmp_path, capsys):
    model = write_small_model(tmp_path / "models" / "mine")
    content = bytearray((model / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "weights.safetensors").write_bytes(content)
    assert call(photos, "--out", tmp_path / "out", model=model) == 1
    assert "the file was damaged or exchanged" in capsys.readouterr().err


# ------------------------------------------------------------------ how it is computed


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_an_answer_does_not_depend_on_its_batch_or_place(backend):
    predictor = open_predictor(MODEL, backend)
    images = [draw(number) for number in (0, 1, 2, 3, 4, 5)]
    alone = np.stack([predictor.predict([image])[0] for image in images])
    for order in ([0, 1, 2, 3, 4, 5], [5, 3, 1], [4, 2, 0, 5, 3, 1], [2, 2]):
        together = predictor.predict([images[n] for n in order])
        assert np.abs(together - alone[order]).max() < 1e-3


def test_the_outputs_do_not_depend_on_order_or_company(photos, tmp_path):
    call(photos, "--out", tmp_path / "all")
    backwards = [photos / f"{letter}.png" for letter in "edcba"]
    call(*backwards, "--out", tmp_path / "backwards")
    call(photos / "c.png", "--out", tmp_path / "alone")
    everything, turned, alone = (
        files_below(tmp_path / name) for name in ("all", "backwards", "alone")
    )
    tables = [read_table(tmp_path / name) for name in ("all", "backwards", "alone")]
    assert list(tables[1]["name"]) == list("edcba")
    assert tables[1][::-1].reset_index(drop=True).equals(tables[0])
    assert tables[2].iloc[0].equals(tables[0].iloc[2].rename(0))
    for files in (everything, turned, alone):
        del files["predictions.csv"]
    assert turned == everything and alone.items() <= everything.items()


def compute_float32(network, image, size):
    """The probabilities, written down anew."""
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    pixels = (small.astype(np.float32) / 255 - network.mean) / network.std
    batch = torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1)[None].copy())
    with torch.inference_mode():
        return torch.sigmoid(network(batch))[0, 0].numpy()


def test_onnxruntime_computes_what_torch_does_in_float32():
    network = EffiSegNet.from_pretrained(MODEL)
    predictor = open_predictor(MODEL, "onnxruntime")
    for number in (*SURE, 0, 14):
        image = draw(number)
        expected = compute_float32(network, image, 224)
        assert expected.max() > 0.5
        assert np.abs(predictor.predict([image])[0] - expected).max() < 1e-3


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_an_answer_is_kept_when_the_next_one_is_computed(backend):
    predictor = open_predictor(MODEL, backend, test_flips=False)
    first = predictor.predict([draw(1)])
    kept = first.copy()
    assert not np.array_equal(predictor.predict([draw(2)]), kept)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_backends_mark_the_same_polyps(photos, tmp_path, backend):
    network = EffiSegNet.from_pretrained(MODEL)
    assert call(photos, "--out", tmp_path / "out", backend=backend) == 0
    for letter, number in zip("abcde", SURE, strict=True):
        image = draw(number)
        whole = cv2.resize(compute_float32(network, image, 224), image.shape[1::-1])
        mask = read_mask(tmp_path / "out" / "masks" / f"{letter}.png") == 255
        assert mask.any() and dice(mask, whole > 0.5) >= 0.98


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_flips_are_the_mean_over_mirror_images(backend):
    plain = open_predictor(MODEL, backend, test_flips=False)
    flipping = open_predictor(MODEL, backend, test_flips=True)
    image = draw(1)
    small = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    views = [small, small[:, ::-1], small[::-1], small[::-1, ::-1]]
    answers = [plain.run(np.ascontiguousarray(view)[None])[0] for view in views]
    turned = [answers[0], answers[1][:, ::-1], answers[2][::-1], answers[3][::-1, ::-1]]
    expected = np.mean(turned, axis=0)
    found = flipping.predict([draw(2), image])[1]
    assert np.abs(found - expected).max() < 1e-3
    assert np.abs(found - plain.predict([image])[0]).max() > 0.05


@pytest.mark.parametrize(("options", "is_on", "words"), [
    ([], False, "one view"), (["--flips"], True, "four mirror images"),
    (["--no-flips"], False, "one view"),
])  # fmt: skip
def test_flips_can_be_asked_for(photos, tmp_path, capsys, options, is_on, words):
    assert call(photos / "b.png", "--out", tmp_path / "out", *options) == 0
    assert words in capsys.readouterr().out
    small = open_predictor(MODEL, "torch", test_flips=is_on).predict([draw(3)])[0]
    expected = cv2.resize(small, draw(3).shape[1::-1]) > 0.5
    assert np.array_equal(read_mask(tmp_path / "out/masks/b.png") == 255, expected)


@pytest.mark.parametrize(("options", "words"), [
    ([], "four mirror images"), (["--no-flips"], "one view"),
])  # fmt: skip
def test_flips_are_as_the_model_was_evaluated(photos, tmp_path, capsys, options, words):
    shutil.copytree(MODEL, tmp_path / "model")
    config = json.loads((MODEL / "config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps(config | {"test_flips": True}))
    call(photos / "a.png", "--out", tmp_path / "out", *options, model=tmp_path / "model")
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(("missing", "expected"), [
    ((), "openvino"), (("openvino",), "onnxruntime"), (("openvino", "onnxruntime"), "torch"),
])  # fmt: skip
def test_the_fastest_installed_backend_is_taken_without_a_gpu(monkeypatch, missing, expected):
    if torch.accelerator.is_available():
        pytest.skip("there is a GPU")
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert pick_backend() == expected


def test_a_backend_that_is_not_installed_is_reported(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert call(photos, "--out", tmp_path / "out", backend="openvino") == 1
    message = capsys.readouterr().err
    assert "openvino is not installed" in message and "effiseg[fast]" in message


def test_a_network_stays_in_evaluation_when_it_is_exported(tmp_path):
    network = build().eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    write_onnx(tmp_path / "a.onnx", network)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("size", [64, 48, 80])
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_at_every_size_of_a_config_backends_agree_or_refuse(tmp_path, size, backend):
    write_small_model(tmp_path / "model", size)
    images = list(np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8))
    expected = open_predictor(tmp_path / "model", "torch").predict(images)
    try:
        found = open_predictor(tmp_path / "model", backend).predict(images)
    except ValueError as error:
        assert size % 32 != 0 and "32" in str(error)
    else:
        assert np.abs(found - expected).max() < 0.2 * (expected.max() - expected.min())


def test_the_graph_is_exported_once_a_model(tmp_path):
    one, other = build(), build()
    compute_with("onnxruntime", one, tmp_path)
    first = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.onnx")}
    compute_with("onnxruntime", other, tmp_path)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.onnx")} == first
    with torch.no_grad():
        other.logit.bias.add_(1)
    compute_with("onnxruntime", other, tmp_path)
    assert len(first) == 1 and len(list(tmp_path.glob("*.onnx"))) == 2


RUN = """
from effiseg.commands import main
main()
"""


def run_apart(code, *arguments, **environment):
    """Python code in a process of its own."""
    source = str(Path(__file__).resolve().parents[1] / "src")
    known = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith("ORT_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=known | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_nothing_is_kept_for_anybody_but_the_user(photos, tmp_path, backend):
    """ONNX Runtime from 1.29 on collects telemetry, unless ORT_DISABLE_TELEMETRY is set."""
    options = ["--out", tmp_path / "out", "--model", MODEL, "--backend", backend]
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / "cache")}
    (tmp_path / "home").mkdir()
    done = run_apart(RUN, "predict", photos / "a.png", *options, **home)
    assert done.returncode == 0, done.stderr
    kept = [path.relative_to(tmp_path / "home").parts[:2] for path in files_in(tmp_path / "home")]
    assert set(kept) == {("cache", "effiseg")}


def test_a_cache_that_can_not_be_written_is_reported(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(photos / "a.png"))
    assert call(photos, "--out", tmp_path / "out", backend="onnxruntime") == 1
    message = capsys.readouterr().err
    assert message.startswith("effiseg predict: ") and str(photos / "a.png") in message


MEASURE = """
import sys, torch
from effiseg.commands import main
torch.set_num_threads(1)
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert stop.code == 0, stop.code
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("peak", line.split()[1])
"""


def measure_peak(folder, out, model):
    """MB of a process that predicts a folder, of its own memory alone."""
    options = ["--out", out, "--model", model, "--backend", "torch"]
    done = run_apart(MEASURE, "predict", folder, *options)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("peak")[-1]) / 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_five_times_the_pictures_do_not_take_more_memory(tmp_path):
    shutil.copytree(MODEL, tmp_path / "model")
    config = json.loads((MODEL / "config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps(config | {"size": 64}))
    large = cv2.resize(draw(2), (480, 400))  # 0.6 MB each: 240 more would be seen
    content = cv2.imencode(".jpg", large)[1].tobytes()
    peaks = []
    for number in (60, 300):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        for n in range(number):
            (folder / f"{n:03}.jpg").write_bytes(content)
        peaks.append(measure_peak(folder, tmp_path / f"out {number}", tmp_path / "model"))
        assert len(list((tmp_path / f"out {number}" / "masks").iterdir())) == number
    assert peaks[1] < peaks[0] + 60


# ------------------------------------------------------------------ videos

CODECS = {".avi": "MJPG", ".mp4": "mp4v"}


def write_video(path, frames, rate=10.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    writer = cv2.VideoWriter(str(path), codec, rate, (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def read_video(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return frames, rate


def draw_clip(number=12, size=(320, 256)):
    """A frame that darkens: every frame is different."""
    first = cv2.resize(draw(SURE[1]), size)
    return [(first * (1 - 0.03 * n)).astype(np.uint8) for n in range(number)]


@pytest.mark.parametrize("suffix", CODECS)
def test_a_video_gives_a_video_and_a_row_a_frame(tmp_path, suffix):
    video = write_video(tmp_path / "in" / f"clip{suffix}", draw_clip())
    assert call(video, "--out", tmp_path / "out") == 0
    assert set(files_below(tmp_path / "out")) == {
        "overlays/clip.mp4", "frames/clip.csv", "predictions.csv",
    }  # fmt: skip
    frames, rate = read_video(tmp_path / "out/overlays/clip.mp4")
    assert len(frames) == 12 and frames[0].shape == (256, 320, 3) and rate == pytest.approx(10)
    table = pd.read_csv(tmp_path / "out/frames/clip.csv", keep_default_na=False)
    assert list(table) == [
        "frame", "seconds", "area_fraction", "lesions", "confidence", "warnings",
    ]  # fmt: skip
    assert list(table["frame"]) == list(range(12))
    assert list(table["seconds"]) == pytest.approx([n / 10 for n in range(12)])
    (row,) = read_table(tmp_path / "out").itertuples()
    assert (row.name, row.height, row.width, row.error) == ("clip", 256, 320, "")


def test_the_rows_of_a_video_are_the_answers_to_its_frames_in_order(tmp_path):
    video = write_video(tmp_path / "clip.avi", draw_clip(7))
    call(video, "--out", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/frames/clip.csv")
    predictor = open_predictor(MODEL, "torch")
    frames, _ = read_video(video)
    overlays, _ = read_video(tmp_path / "out/overlays/clip.mp4")
    for row, frame, overlay in zip(table.itertuples(), frames, overlays, strict=True):
        small = predictor.predict([np.ascontiguousarray(frame)])[0]
        mask = cv2.resize(small, frame.shape[1::-1]) > 0.5
        assert row.area_fraction == pytest.approx(mask.mean(), rel=1e-4)
        far = ~cv2.dilate(mask.astype(np.uint8), np.ones((41, 41))).astype(bool)
        assert np.abs(overlay[far].astype(int) - frame[far]).mean() < 12
        edge = find_edge(mask)
        assert distance_to_yellow(overlay, edge) < 0.8 * distance_to_yellow(frame, edge)
    assert table["area_fraction"].nunique() > 3


def test_a_video_of_odd_sides_loses_the_last_row_and_column(tmp_path):
    frames = [Image.fromarray(frame) for frame in draw_clip(5, size=(131, 99))]
    frames[0].save(
        tmp_path / "clip.mp4", format="GIF", save_all=True, append_images=frames[1:], duration=100
    )
    assert read_video(tmp_path / "clip.mp4")[0][0].shape == (99, 131, 3)
    assert call(tmp_path / "clip.mp4", "--out", tmp_path / "out") == 0
    overlays, _ = read_video(tmp_path / "out/overlays/clip.mp4")
    assert len(overlays) == 5 and overlays[0].shape == (98, 130, 3)  # as MPEG-4 asks


def test_pictures_and_videos_have_one_table(tmp_path):
    write_video(tmp_path / "in" / "a.avi", draw_clip(2))
    write_png(tmp_path / "in" / "a.png", draw(2))
    write_png(tmp_path / "in" / "deep" / "b.png", draw(3))
    write_video(tmp_path / "in" / "deep" / "c.mp4", draw_clip(3))
    assert call(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert sorted(read_table(tmp_path / "out")["name"]) == ["a.avi", "a.png", "deep/b", "deep/c"]
    assert set(files_below(tmp_path / "out")) == {
        "predictions.csv", "masks/a.png.png", "overlays/a.png.jpg", "masks/deep/b.png",
        "overlays/deep/b.jpg", "overlays/a.avi.mp4", "frames/a.avi.csv", "overlays/deep/c.mp4",
        "frames/deep/c.csv",
    }  # fmt: skip


@pytest.mark.parametrize("content", [
    pytest.param(b"a text, no video", id="text"), pytest.param(b"", id="nothing"),
])  # fmt: skip
def test_what_is_no_video_is_reported_and_the_others_are_done(tmp_path, capfd, content):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(content)
    write_video(tmp_path / "in" / "b.avi", draw_clip(2))
    assert call(tmp_path / "in", "--out", tmp_path / "out") == 1
    table = read_table(tmp_path / "out")
    assert list(table["name"]) == ["a", "b"]
    assert "a.mp4 is not a video that can be read" in table["error"][0] and not table["error"][1]
    assert set(files_below(tmp_path / "out")) == {
        "predictions.csv", "overlays/b.mp4", "frames/b.csv",
    }  # fmt: skip
    out, err = capfd.readouterr()
    assert "a.mp4 is not a video that can be read" in err and "1 of 2 files" in out


def test_a_video_that_is_too_small_is_reported(tmp_path, capfd):
    write_video(tmp_path / "a.avi", draw_clip(2, size=(64, 24)))
    assert call(tmp_path / "a.avi", "--out", tmp_path / "out") == 1
    assert "a.avi is 64 x 24 pixels; expected 32 to 8000 a side" in capfd.readouterr().err


def test_a_video_that_ends_early_is_not_passed_over(tmp_path):
    video = write_video(tmp_path / "a.avi", draw_clip(12, size=(640, 480)))
    content = video.read_bytes()
    video.write_bytes(content[: int(len(content) * 0.6)])
    frames, _ = read_video(video)
    code = call(video, "--out", tmp_path / "out")
    assert len(frames) < 12 and code == 1
    assert read_table(tmp_path / "out")["error"][0]


@pytest.mark.parametrize("blocked", ["overlays/a.mp4", "frames/a.csv"])
def test_an_output_of_a_video_that_can_not_be_written_is_reported(tmp_path, capfd, blocked):
    video = write_video(tmp_path / "a.avi", draw_clip(2))
    (tmp_path / "out" / blocked).mkdir(parents=True)
    assert call(video, "--out", tmp_path / "out") == 1
    assert str(tmp_path / "out" / blocked) in capfd.readouterr().err
    assert not list((tmp_path / "out").rglob("*.part*"))
    assert not (tmp_path / "out" / "predictions.csv").exists()


def test_a_settings_change_keeps_the_rest_of_a_config():
    predictor, flipping = (open_predictor(MODEL, "torch", test_flips=v) for v in (None, True))
    assert flipping.config == dataclasses.replace(predictor.config, test_flips=True)
    assert predictor.name == "baseline" and predictor.backend == "torch"
