"""Labelled folders and the command evaluate: which masks are taken, and what is scored."""

import functools
import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from effiseg import metrics
from effiseg.commands import main
from effiseg.error_kinds import KINDS
from effiseg.findings import STRATA
from effiseg.hub import SHIPPED
from effiseg.labelled import Judged, judge, judge_pairs, list_pairs, read_label, summarize_pairs
from effiseg.predictors import open_predictor
from effiseg.synthetic import draw_frame

MODEL = SHIPPED / "baseline"
FILES = {
    "images.csv", "metrics.json", "kinds.csv", "strata.csv", "warnings.csv", "worst.png",
    "kinds.png", "strata.png",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def predictor():
    return open_predictor(MODEL, "torch")


@functools.cache
def draw(number):
    return draw_frame(np.random.default_rng([7, number]))


def write_image(path, pixels, options=()):
    """Grey or RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    path.write_bytes(cv2.imencode(path.suffix, pixels, list(options))[1].tobytes())
    return path


def write_frame(folder, name, number, mask=None):
    """images/NAME.png and masks/NAME.png of a frame."""
    frame = draw(number)
    mask = frame.mask if mask is None else mask
    write_image(folder / "images" / f"{name}.png", frame.image)
    write_image(folder / "masks" / f"{name}.png", mask.astype(np.uint8) * 255)


def call(folder, out, *options):
    given = ["evaluate", "--images", folder / "images", "--masks", folder / "masks"]
    given += ["--out", out, "--model", MODEL, "--backend", "torch", *options]
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in given])
    return stop.value.code


# ------------------------------------------------------------------ pairs


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def pairs_of(folder):
    return list_pairs(folder / "images", folder / "masks")


def test_a_pair_has_one_path_below_its_folders_but_for_the_suffix(tmp_path):
    touch(tmp_path / "images", "b.jpg", "a.JPEG", "ward/c.tif", "ward/a.bmp")
    touch(tmp_path / "masks", "a.png", "b.bmp", "ward/c.png", "ward/a.jpg")
    touch(tmp_path / "images", "readme.txt")
    pairs = pairs_of(tmp_path)
    assert [pair.name for pair in pairs] == ["a", "b", "ward/a", "ward/c"]
    for pair in pairs:
        names = [p.relative_to(f).with_suffix("").as_posix() for p, f in (
            (pair.picture, tmp_path / "images"), (pair.mask, tmp_path / "masks"),
        )]  # fmt: skip
        assert names == [pair.name, pair.name]


@pytest.mark.parametrize(("images", "masks", "alone"), [
    pytest.param(["a.jpg", "b.jpg"], ["a.png"], "b", id="no mask"),
    pytest.param(["a.jpg"], ["a.png", "c.png"], "c", id="no picture"),
    pytest.param(["a.jpg"], ["a_mask.png"], "a, a_mask", id="another name"),
    pytest.param(["a.jpg"], ["x/a.png"], "a, x/a", id="another folder"),
    pytest.param(["a.jpg"], ["a.png", "a.bmp"], "a, a.bmp, a.png", id="two masks"),
    pytest.param(["a.jpg", "a.png"], ["a.png"], "a, a.jpg, a.png", id="two pictures"),
    pytest.param([f"{n}.jpg" for n in range(9)], ["0.jpg"], "1, 2, 3", id="many, three are named"),
])  # fmt: skip
def test_who_has_no_partner_is_named(tmp_path, images, masks, alone):
    touch(tmp_path / "images", *images)
    touch(tmp_path / "masks", *masks)
    with pytest.raises(ValueError, match="a mask has the name of its picture") as error:
        pairs_of(tmp_path)
    message = str(error.value)
    assert f"({alone})" in message
    assert f"{len(images)} pictures" in message and f"{len(masks)} masks" in message


@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_is_missing_or_empty_is_named(tmp_path, part, exists):
    touch(tmp_path / "images", "a.jpg")
    touch(tmp_path / "masks", "a.jpg")
    (tmp_path / part / "a.jpg").unlink()
    if not exists:
        (tmp_path / part).rmdir()
    with pytest.raises(FileNotFoundError, match=part):
        pairs_of(tmp_path)


# ------------------------------------------------------------------ masks


def a_mask(height=48, width=64):
    mask = np.zeros((height, width), bool)
    mask[10:30, 20:50] = True
    return mask


def colour(mask, value):
    return mask[..., None] * np.array(value, np.uint8)


@pytest.mark.parametrize(("name", "make"), [
    pytest.param("a.png", lambda m: m.astype(np.uint8) * 255, id="0 and 255"),
    pytest.param("a.png", lambda m: m.astype(np.uint8), id="0 and 1"),
    pytest.param("a.bmp", lambda m: colour(m, (255, 255, 255)), id="three channels"),
    pytest.param("a.tif", lambda m: m.astype(np.uint16) * 65535, id="16 bits"),
    pytest.param("a.tif", lambda m: m.astype(np.uint16), id="16 bits, 0 and 1"),
    pytest.param("a.png", lambda m: colour(m, (255, 0, 0)), id="red on black"),
    pytest.param("a.png", lambda m: colour(m, (0, 255, 0)), id="green on black"),
])  # fmt: skip
def test_masks_of_two_values_are_read_as_they_were_drawn(tmp_path, name, make):
    read = read_label(write_image(tmp_path / name, make(a_mask())), 48, 64)
    assert read.dtype == np.bool_ and np.array_equal(read, a_mask())


@pytest.mark.parametrize("quality", [60, 90, 100])
def test_a_jpeg_of_a_mask_is_cut_in_the_middle(tmp_path, quality):
    path = tmp_path / "a.jpg"
    write_image(path, a_mask().astype(np.uint8) * 255, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert np.array_equal(read_label(path, 48, 64), a_mask())


def test_masks_of_one_bit_and_of_a_palette_are_read(tmp_path):
    Image.fromarray(a_mask()).save(tmp_path / "bit.png")
    palette = Image.fromarray(a_mask().astype(np.uint8), "L").convert("P")
    palette.putdata(a_mask().astype(np.uint8).ravel().tolist())
    palette.putpalette([0, 0, 0, 255, 255, 255])
    palette.save(tmp_path / "palette.png")
    for name in ("bit", "palette"):
        assert np.array_equal(read_label(tmp_path / f"{name}.png", 48, 64), a_mask())


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_may_be_empty_or_full(tmp_path, value):
    path = write_image(tmp_path / "a.png", np.full((48, 64), value, np.uint8))
    assert (read_label(path, 48, 64) == bool(value)).all()


@pytest.mark.parametrize("values", [
    pytest.param((0, 2), id="0 and 2"), pytest.param((0, 20), id="0 and 20"),
    pytest.param((0, 1, 2), id="classes"),
])  # fmt: skip
def test_a_mask_of_other_values_is_not_taken_for_an_empty_one(tmp_path, values):
    pixels = np.zeros((48, 64), np.uint8)
    for n, value in enumerate(values):
        pixels[10:40, 10 + 10 * n : 20 + 10 * n] = value
    try:
        read = read_label(write_image(tmp_path / "a.png", pixels), 48, 64)
    except ValueError as error:
        assert "a.png" in str(error)
    else:
        assert read.any()


@pytest.mark.parametrize("make", [
    pytest.param(lambda path: path.write_bytes(b""), id="empty"),
    pytest.param(lambda path: path.write_bytes(b"<svg/>"), id="not an image"),
    pytest.param(lambda path: path.mkdir(), id="a folder"),
    pytest.param(lambda path: Image.new("L", (8001, 48)).save(path), id="too many pixels"),
    pytest.param(lambda path: Image.new("L", (64, 31)).save(path), id="too few pixels"),
])  # fmt: skip
def test_a_mask_that_can_not_be_read_is_named(tmp_path, make):
    make(tmp_path / "a.png")
    with pytest.raises((ValueError, IsADirectoryError), match=r"a\.png"):
        read_label(tmp_path / "a.png", 48, 64)


def test_a_grey_photo_is_no_mask(tmp_path):
    grey = cv2.cvtColor(draw(2).image, cv2.COLOR_RGB2GRAY)
    for name, pixels in (("a.png", grey), ("b.jpg", draw(2).image)):
        with pytest.raises(ValueError, match=rf"{name} has values from 32 to 223 in \d+ %"):
            read_label(write_image(tmp_path / name, pixels), *grey.shape)


def test_an_edge_of_grey_is_no_reason_to_refuse_a_mask(tmp_path):
    smooth = cv2.GaussianBlur(a_mask(480, 640).astype(np.uint8) * 255, (0, 0), 1)
    read = read_label(write_image(tmp_path / "a.png", smooth), 480, 640)
    assert np.count_nonzero(read ^ a_mask(480, 640)) <= 8  # at the corners


def test_a_mask_of_another_size_is_refused_with_both(tmp_path):
    path = write_image(tmp_path / "a.png", a_mask().astype(np.uint8) * 255)
    with pytest.raises(ValueError, match=r"a\.png is 64 x 48, its picture 48 x 64 \(width x"):
        read_label(path, 64, 48)


# ------------------------------------------------------------------ scores


@pytest.mark.parametrize("number", [2, 3, 5])
def test_scores_are_those_of_the_probabilities_by_hand(predictor, number):
    image, mask = draw(number)
    judged = judge("x", image, mask, predictor)
    small = predictor.predict([image])[0]
    whole = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    expected = metrics.score_image(whole, mask, 0.5)
    assert {key: judged.row[key] for key in expected} == expected
    prediction = whole > 0.5
    both = np.count_nonzero(prediction & mask)
    assert judged.row["dice"] == pytest.approx(2 * both / (prediction.sum() + mask.sum()))
    assert judged.row["tp"] + judged.row["fp"] + judged.row["fn"] + judged.row["tn"] == mask.size
    assert np.array_equal(judged.prediction, prediction) and np.array_equal(judged.mask, mask)
    rows, columns = (((np.arange(224) + 0.5) * side / 224).astype(int) for side in mask.shape)
    at_input = mask[np.ix_(rows, columns)]
    overlap = 2 * np.count_nonzero((small > 0.5) & at_input)
    by_hand = overlap / (np.count_nonzero(small > 0.5) + at_input.sum())
    assert judged.row["dice_input"] == pytest.approx(by_hand)
    assert judged.row["kind"] in KINDS and judged.row["area_fraction"] == pytest.approx(mask.mean())


def test_the_threshold_of_the_model_is_used(predictor):
    image, mask = draw(1)
    strict = predictor._replace(config=replace(predictor.config, threshold=0.9))
    counts = [judge("x", image, mask, p).row for p in (predictor, strict)]
    assert counts[1]["tp"] + counts[1]["fp"] < counts[0]["tp"] + counts[0]["fp"]
    small = predictor.predict([image])[0]
    whole = cv2.resize(small, image.shape[1::-1])
    assert counts[1]["tp"] == np.count_nonzero((whole > 0.9) & mask)


def test_a_picture_without_polyp_is_scored_by_the_conventions(predictor):
    image, mask = draw(2)
    nothing = np.zeros_like(mask)
    found = judge("x", image, nothing, predictor).row
    assert (found["dice"], found["iou"], found["precision"], found["recall"]) == (0, 0, 0, 0)
    assert found["nsd"] == 0 and found["hd95"] == pytest.approx(np.hypot(*mask.shape))
    assert found["fn"] == 0 and found["fp"] > 0 and found["lesions_false"] >= 1
    black = judge("x", np.zeros_like(image), nothing, predictor)
    assert not black.prediction.any()
    row = black.row
    assert (row["dice"], row["iou"], row["precision"], row["recall"]) == (1, 1, 1, 1)
    assert (row["nsd"], row["hd95"], row["kind"]) == (1, 0, "good")
    assert np.isnan(row["solidity"]) and row["polyps"] == 0


def test_a_turned_photo_goes_with_the_mask_of_how_it_is_shown(tmp_path, predictor):
    image, mask = draw(3)
    exif = Image.Exif()
    exif[0x112] = 6  # show it turned clockwise
    write_frame(tmp_path, "a", 3)
    stored = np.ascontiguousarray(np.rot90(image))
    Image.fromarray(stored).save(tmp_path / "images" / "a.png", exif=exif)
    (found,) = judge_pairs(pairs_of(tmp_path), predictor)
    assert found.row == judge("a", image, mask, predictor).row


def test_pairs_are_judged_in_order_and_broken_ones_named(tmp_path, predictor):
    for name, number in (("a", 2), ("b", 3), ("c", 5), ("d", 7)):
        write_frame(tmp_path, name, number)
    (tmp_path / "images" / "b.png").write_bytes(b"")
    write_image(tmp_path / "masks" / "c.png", np.zeros((40, 50), np.uint8))
    found = list(judge_pairs(pairs_of(tmp_path), predictor))
    assert [isinstance(one, Judged) for one in found] == [True, False, False, True]
    assert [one[0] for one in found] == list("abcd")
    assert "images/b.png" in found[1][1] and "masks/c.png is 50 x 40" in found[2][1]
    assert found[3].row == judge("d", *draw(7), predictor).row


def test_means_are_over_pictures_and_pooled_scores_over_pixels():
    same = {"precision": 1.0, "recall": 1.0, "nsd": 0.5, "hd95": 2.0}
    same |= {"dice_input": 0.4, "iou_input": 0.3}
    images = pd.DataFrame([
        {"tp": 10, "fp": 0, "fn": 0, "tn": 90, "dice": 1.0, "iou": 1.0} | same,
        {"tp": 10, "fp": 20, "fn": 0, "tn": 70, "dice": 0.5, "iou": 1 / 3} | same,
    ])  # fmt: skip
    summary = summarize_pairs(images)
    assert (summary["dice"], summary["images"]) == (0.75, 2)
    assert summary["miou"] == pytest.approx(2 / 3, abs=1e-6)
    assert summary["dice_pooled"] == pytest.approx(40 / 60, abs=1e-6)
    assert not [key for key in summary if "duplicate" in key]


# ------------------------------------------------------------------ command evaluate


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Twelve frames, one without polyp; and the folder that the command wrote."""
    folder = tmp_path_factory.mktemp("labelled")
    for number in range(11):
        write_frame(folder, f"frame {number:02}", number)
    write_frame(folder, "ward/nothing", 11, np.zeros_like(draw(11).mask))
    assert call(folder, folder / "out") == 0
    return folder


def test_every_promised_file_is_written_and_can_be_read(evaluated):
    out = evaluated / "out"
    assert {path.name for path in out.iterdir()} == FILES
    images = pd.read_csv(out / "images.csv")
    assert list(images["name"]) == [*(f"frame {n:02}" for n in range(11)), "ward/nothing"]
    assert set(pd.read_csv(out / "strata.csv")["stratum"]) <= STRATA.keys()
    kinds = pd.read_csv(out / "kinds.csv")
    assert kinds["images"].sum() == 12 and set(kinds["kind"]) == set(images["kind"])
    assert kinds["share_of_images"].sum() == pytest.approx(1, abs=1e-4)
    assert pd.read_csv(out / "warnings.csv")["warning"].iloc[-1] == "any warning"
    for name in ("worst", "kinds", "strata"):
        with Image.open(out / f"{name}.png") as picture:
            picture.load()
            assert min(picture.size) > 100


def test_the_table_of_pictures_holds_the_scores_of_each(evaluated, predictor):
    images = pd.read_csv(evaluated / "out" / "images.csv", keep_default_na=False)
    for number in (0, 5, 10):
        expected = judge("x", *draw(number), predictor).row
        row = images.iloc[number]
        for key in ("dice", "iou", "hd95", "tp", "fn", "confidence", "solidity", "contrast"):
            assert float(row[key]) == pytest.approx(float(expected[key]), rel=1e-5)
        assert (row["kind"], row["warnings"]) == (expected["kind"], expected["warnings"])


def test_the_summary_is_that_of_the_table(evaluated):
    summary = json.loads((evaluated / "out" / "metrics.json").read_text())
    images = pd.read_csv(evaluated / "out" / "images.csv")
    assert summary["images"] == 12 and summary["failed"] == 0
    assert summary["dice"] == pytest.approx(images["dice"].mean(), abs=1e-5)
    assert summary["miou"] == pytest.approx(images["iou"].mean(), abs=1e-5)
    tp, fp, fn = (images[name].sum() for name in ("tp", "fp", "fn"))
    assert summary["dice_pooled"] == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-6)
    assert summary["dice_low"] < summary["dice"] < summary["dice_high"]


def test_the_interval_is_that_of_scipys_bootstrap(evaluated):
    summary = json.loads((evaluated / "out" / "metrics.json").read_text())
    dice = pd.read_csv(evaluated / "out" / "images.csv")["dice"].to_numpy()
    theirs = stats.bootstrap(
        (dice,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert summary["dice_low"] == pytest.approx(theirs.low, abs=0.08 * width)
    assert summary["dice_high"] == pytest.approx(theirs.high, abs=0.08 * width)


def test_strata_and_warnings_are_counts_of_the_table(evaluated):
    images = pd.read_csv(evaluated / "out" / "images.csv", keep_default_na=False)
    strata = pd.read_csv(evaluated / "out" / "strata.csv").set_index("stratum")
    is_small = images["area_fraction"] < 0.05
    assert strata.loc["small polyp", "images"] == is_small.sum()
    assert strata.loc["small polyp", "dice"] == pytest.approx(
        images["dice"][is_small].mean(), abs=1e-4
    )
    warnings = pd.read_csv(evaluated / "out" / "warnings.csv").set_index("warning")
    has = images["warnings"] != ""
    assert has.any() and has.sum() == warnings.loc["any warning", "images"]
    assert warnings.loc["any warning", "poor"] == (has & (images["dice"] < 0.8)).sum()


def test_the_command_says_what_it_found(tmp_path, capsys):
    for number in range(5):
        write_frame(tmp_path, str(number), number)
    assert call(tmp_path, tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    out = capsys.readouterr().out
    assert f"5 pictures: Dice {summary['dice']:.4f} (95 % interval " in out
    assert f"IoU {summary['miou']:.4f}" in out


@pytest.mark.parametrize("number", [1, 2, 4])
def test_few_pictures_are_enough_though_there_is_no_interval(tmp_path, capsys, number):
    for n in range(number):
        write_frame(tmp_path, str(n), n)
    assert call(tmp_path, tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert summary["dice_low"] is None and summary["dice_high"] is None
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written in (FILES, FILES - {"strata.png"})
    assert "interval" not in capsys.readouterr().out


def test_a_folder_without_any_polyp_is_scored(tmp_path):
    for n in range(6):
        write_frame(tmp_path, str(n), n, np.zeros_like(draw(n).mask))
    assert call(tmp_path, tmp_path / "out") == 0
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    assert set(images["dice"]) <= {0.0, 1.0} and images["solidity"].isna().all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_full_mask_and_the_smallest_picture_are_scored(tmp_path):
    write_frame(tmp_path, "full", 2, np.ones_like(draw(2).mask))
    write_image(tmp_path / "images" / "tiny.png", cv2.resize(draw(3).image, (32, 32)))
    tiny = cv2.resize(draw(3).mask.astype(np.uint8), (32, 32))
    write_image(tmp_path / "masks" / "tiny.png", tiny * 255)
    assert call(tmp_path, tmp_path / "out") == 0
    assert len(pd.read_csv(tmp_path / "out" / "images.csv")) == 2


def test_pairs_that_can_not_be_read_are_reported_and_the_others_scored(tmp_path, capsys):
    for name, number in zip("abcd", (2, 3, 5, 7), strict=True):
        write_frame(tmp_path, name, number)
    write_image(tmp_path / "masks" / "b.png", np.zeros((40, 50), np.uint8))
    write_image(tmp_path / "masks" / "c.png", draw(5).image)
    assert call(tmp_path, tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert "masks/b.png is 50 x 40" in err and "masks/c.png has values from 32 to 223" in err
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (summary["images"], summary["failed"]) == (2, 2)
    assert list(pd.read_csv(tmp_path / "out" / "images.csv")["name"]) == ["a", "d"]


def test_where_no_pair_can_be_read_nothing_is_written(tmp_path, capsys):
    for name in "ab":
        write_frame(tmp_path, name, 2)
        (tmp_path / "images" / f"{name}.png").write_bytes(b"broken")
    assert call(tmp_path, tmp_path / "out") == 1
    assert "effiseg evaluate: none of the 2 pairs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_mask_without_picture_stops_before_anything_is_scored(tmp_path, capsys):
    write_frame(tmp_path, "a", 2)
    (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "b.png")
    assert call(tmp_path, tmp_path / "out") == 1
    assert "2 have no partner (a, b)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_results_that_are_there_are_replaced_with_force_alone(tmp_path, capsys):
    write_frame(tmp_path, "a", 2)
    call(tmp_path, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    write_frame(tmp_path, "b", 3)
    assert call(tmp_path, tmp_path / "out") == 1
    assert "metrics.json is there already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert call(tmp_path, tmp_path / "out", "--force") == 0
    assert len(pd.read_csv(tmp_path / "out" / "images.csv")) == 2


@pytest.mark.parametrize("missing", ["--images", "--masks", "--out"])
def test_a_wrong_call_exits_with_2(tmp_path, capsys, missing):
    options = {"--images": "i", "--masks": "m", "--out": "o"}
    del options[missing]
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *(text for pair in options.items() for text in pair)])
    assert stop.value.code == 2 and missing in capsys.readouterr().err
