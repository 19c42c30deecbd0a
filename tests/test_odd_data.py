"""Odd images through the whole chain: it ends with finite numbers, or none where none is defined.

Each part of the data set has, beside usual frames in training, one image of each odd kind.
"""

import hashlib
import importlib
import json
import math
import shutil
import warnings

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from test_pipeline import STAGES, change_param, make_copy

from effiseg.attributes import OF_POLYPS, describe_image
from effiseg.causes import grow_tree, score_attributes
from effiseg.comparison import Compare, check_predictions, join_tables
from effiseg.error_kinds import classify_error, count_lesions
from effiseg.files import write_table
from effiseg.findings import STRATA, read_limits
from effiseg.images import read_pair
from effiseg.metrics import score_image
from effiseg.remedies import read_findings, read_remedies
from effiseg.scoring import read_prediction
from effiseg.synthetic import draw_frame

PARTS = ("train", "validation", "test")
USUAL = 5  # frames in training
SHORT = {"epochs": 1, "decoder_channels": 2}


def draw_noise(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def draw_disc(height, width):
    radius = min(height, width) // 4
    return cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), radius, 1, -1)


def draw_pixel(height, width):
    mask = np.zeros((height, width), np.uint8)
    mask[height // 2, width // 2] = 1
    return mask


NO_MASK, FULL_MASK = np.zeros((60, 80), np.uint8), np.ones((60, 80), np.uint8)
ODD = {
    "empty": (draw_noise(60, 80), NO_MASK),
    "full": (draw_noise(60, 80), FULL_MASK),
    "grey": (draw_noise(60, 80)[..., 0], draw_disc(60, 80)),
    "small": (draw_noise(32, 32), draw_disc(32, 32)),
    "long": (draw_noise(16, 640), draw_disc(16, 640)),
    "black": (np.zeros((60, 80, 3), np.uint8), draw_disc(60, 80)),
    "pixel": (draw_noise(60, 80), draw_pixel(60, 80)),
}
MASKS = {"mixed": None, "no polyp": NO_MASK, "all polyp": FULL_MASK}  # None: each its own


def write_jpeg(path, pixels):
    options = [cv2.IMWRITE_JPEG_QUALITY, 100]
    path.write_bytes(cv2.imencode(".jpg", pixels, options)[1].tobytes())


def write_data(folder, every_mask):
    """Odd images in every part, in place of the frames that `make_copy` drew."""
    archive = folder / "archive"
    pairs = {f"{part}-{kind}": pair for part in PARTS for kind, pair in ODD.items()}
    for number in range(USUAL):
        frame = draw_frame(np.random.default_rng([3, number]))
        pairs[f"{number:03}"] = (frame.image[..., ::-1], frame.mask.astype(np.uint8))
    for path in archive.rglob("*.jpg"):
        path.unlink()
    for name, (image, mask) in pairs.items():
        if every_mask is not None:
            mask = cv2.resize(every_mask, mask.shape[::-1])
        write_jpeg(archive / "images" / f"{name}.jpg", image)
        write_jpeg(archive / "masks" / f"{name}.jpg", mask * 255)
    parts = [n.split("-")[0] if "-" in n else "train" for n in pairs]  # 000, 001, ... are usual
    split = pd.DataFrame({"name": list(pairs), "split": parts})
    write_table(folder / "data" / "splits" / "effisegnet.csv", split)
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  "
        f"Kvasir-SEG/{path.relative_to(archive).as_posix()}\n"
        for path in sorted(archive.rglob("*.jpg"))
    ]
    (folder / "data" / "kvasir-seg.sha256").write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="module", params=list(MASKS))
def chain(request, tmp_path_factory):
    """The folder of a copy in which every stage has run."""
    folder = tmp_path_factory.mktemp("odd").resolve()
    make_copy(folder)
    write_data(folder, MASKS[request.param])
    for model in ("baseline", "improved"):
        for key, value in SHORT.items():
            change_param(folder, model, key, value)
    change_param(folder, "error_analysis", "folds", 2 if request.param == "mixed" else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KVASIR_SEG_ARCHIVE", str(folder / "archive"))
        for stage in STAGES.values():
            _, _, module, *arguments = stage["cmd"].split()
            importlib.import_module(module).main(*arguments)
    return folder


def refuse(word):
    raise AssertionError(f"{word} is no number of JSON")


def require_finite(value):
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            require_finite(each)
    assert not isinstance(value, float) or math.isfinite(value)


def check_numbers(folder):
    """Every file that was written holds finite numbers, null or nothing."""
    for path in folder.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    require_finite(yaml.safe_load((folder / "analysis/findings.yaml").read_text(encoding="utf-8")))
    for path in [*folder.rglob("*.csv"), *(folder / "docs").glob("*.md")]:
        words = path.read_text(encoding="utf-8").lower().replace("|", ",").replace(" ", ",")
        assert not {"nan", "inf", "-inf"} & set(words.replace("\n", ",").split(",")), path


def test_every_stage_ends_with_finite_numbers(chain):
    check_numbers(chain)


@pytest.mark.parametrize("chain", ["mixed"], indirect=True)
def test_the_validation_images_alone_are_analysed_as_well(chain, tmp_path, monkeypatch):
    shutil.copytree(chain, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    change_param(tmp_path / "copy", "error_analysis", "folds", 0)
    importlib.import_module("stages.error_analysis").main()
    assert len(pd.read_csv("analysis/images.csv")) == len(ODD)
    check_numbers(tmp_path / "copy")


@pytest.mark.parametrize("model", ["baseline", "improved"])
def test_scores_follow_their_conventions_on_odd_masks(chain, model):
    images = pd.read_csv(chain / "evaluation" / model / "images.csv").set_index("name")
    assert sorted(images.index) == sorted(f"test-{kind}" for kind in ODD)
    for name, row in images.iterrows():
        image, mask = read_pair(chain / "data" / "raw", name)
        prediction = read_prediction(chain / "evaluation" / model / "predictions", name)
        assert prediction.shape == mask.shape == image.shape[:2]
        wrong, right = (prediction != mask).sum(), (prediction & mask).sum()
        dice = 2 * right / (2 * right + wrong) if right + wrong else 1.0
        assert row["dice"] == pytest.approx(dice, rel=1e-5)
        if not (mask.any() and prediction.any()):
            are_both = not mask.any() and not prediction.any()
            distances = (1.0, 0.0) if are_both else (0.0, np.hypot(*mask.shape))
            assert (row["nsd"], row["hd95"]) == pytest.approx(distances, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "unknown"),
    [
        ("empty", OF_POLYPS),
        ("pixel", OF_POLYPS),  # a speck
        ("full", ("contrast", "boundary_gradient", "highlights_outside")),
        ("black", ("contrast",)),  # nothing around it is lit
        ("small", ()),
        ("long", ()),
    ],
)
def test_attributes_are_unknown_where_there_is_nothing_to_describe(kind, unknown):
    image, mask = ODD[kind]
    described = describe_image(image, mask.astype(bool))
    assert {name for name, value in described.items() if np.isnan(value)} == set(unknown)


@pytest.mark.parametrize("height", [1, 2, 5, 33])
@pytest.mark.parametrize("width", [1, 3, 8, 600])
def test_an_image_of_any_size_is_described_and_scored(height, width):
    image, generator = draw_noise(height, width), np.random.default_rng(1)
    pixel, stripe = draw_pixel(height, width).astype(bool), np.zeros((height, width), bool)
    stripe[height // 2] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for mask in (pixel, stripe, pixel & False, pixel | True):
            prediction = generator.random((height, width)).astype(np.float32)
            described = describe_image(image, mask)
            scores = score_image(prediction, mask, 0.5)
            classify_error(prediction > 0.5, mask)
            count_lesions(prediction > 0.5, mask)
            assert not any(math.isinf(value) for value in described.values())
            assert all(math.isfinite(value) for value in scores.values())
            assert not described["solidity"] > 1


def test_an_attribute_that_two_images_have_is_not_ranked():
    images = pd.DataFrame({"dice": [0.1, 0.5, 0.9, 0.7], "known": [1.0, 2.0, 3.0, 5.0]})
    images["rare"] = [1.0, 2.0, np.nan, np.nan]
    table = score_attributes(images, ["known", "rare"], 100, 0)
    assert list(table["attribute"]) == ["known"]
    assert np.isfinite(table["p_holm"]).all()


def test_the_same_dice_everywhere_ranks_nothing_and_leaves_nothing_open():
    images = pd.DataFrame({"dice": [0.0] * 6, "known": np.arange(6.0)})
    assert score_attributes(images, ["known"], 100, 0).empty
    assert grow_tree(images, ["known"], np.arange(6))[1] == {"r2_tree": 1.0, "r2_forest": 1.0}


def test_images_of_one_group_can_not_be_analysed():
    images = pd.DataFrame({"dice": [0.1, 0.2], "known": [0.0, 1.0]})
    with pytest.raises(ValueError, match=r"2 images of 1 group.*error_analysis\.folds"):
        grow_tree(images, ["known"], np.array([7, 7]))


# What a stage wrote and another reads, damaged in between

FINDING = {
    "id": "hard: flat",
    "statement": "flat polyps are hard",
    "evidence": {"images": 30},
    "switched_on": True,
    "remedy": {"kind": "sampling", "stratum": "flat", "weight": 2.0},
    "prediction": {"stratum": "flat", "gain": 0.01},
}
AUGMENTATION = {"kind": "augmentation", "name": "blur"}
LOSS = {"kind": "loss", "false_negative_weight": 0.6}


@pytest.mark.parametrize("remedy", [FINDING["remedy"], AUGMENTATION, LOSS, {"kind": "test_flips"}])
def test_every_kind_of_remedy_can_be_read(tmp_path, remedy):
    path = tmp_path / "findings.yaml"
    findings = [FINDING | {"remedy": remedy}]
    path.write_text(yaml.safe_dump(findings), encoding="utf-8")
    assert read_findings(path) == findings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "is None; expected a list", id="empty"),
        pytest.param("a: 1", "is {'a': 1}; expected a list", id="a mapping"),
        pytest.param("- id: [", "is not valid YAML", id="cut off"),
        pytest.param([1], "finding 1.remedy.kind is None; expected one of", id="a number"),
        pytest.param([FINDING, {}], "finding 2.remedy.kind is None", id="nothing"),
        pytest.param([FINDING | {"remedy": {"kind": []}}], "kind is []; expected one", id="a list"),
        pytest.param(
            [FINDING | {"switched_on": "no"}],
            "finding 1.switched_on is 'no'; expected true or false",
            id="a text in place of a switch",
        ),
        pytest.param([FINDING | {"id": 3}], "finding 1.id is 3; expected a text", id="a wrong key"),
        pytest.param([FINDING | {"switched": 1}], "unknown key 'finding 1.switched'", id="unknown"),
        pytest.param(
            [FINDING | {"prediction": None}],
            "finding 1.prediction is None; expected one, as the finding is switched on",
            id="no prediction",
        ),
        pytest.param(
            [FINDING | {"prediction": {"stratum": "flat", "gain": math.nan}}],
            "finding 1.prediction.gain is nan; expected a number that is finite",
            id="no number",
        ),
        pytest.param(
            [FINDING | {"remedy": AUGMENTATION | {"name": "Blur"}}],
            "finding 1.remedy.name is 'Blur'; expected one of ('smaller_polyps'",
            id="an unknown augmentation",
        ),
        pytest.param(
            [FINDING | {"remedy": LOSS | {"false_negative_weight": 1.0}}],
            "false_negative_weight is 1.0; expected between 0 and 1",
            id="a weight out of range",
        ),
        pytest.param(
            [FINDING | {"remedy": FINDING["remedy"] | {"weight": 0}}],
            "finding 1.remedy.weight is 0.0; expected above 0",
            id="no weight",
        ),
    ],
)
def test_damaged_findings_are_refused_by_file_and_key(tmp_path, content, message):
    path = tmp_path / "findings.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_findings(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_prediction_for_an_unknown_stratum_is_refused():
    pairs = pd.DataFrame({"name": ["a", "b"], "dice_change": [0.1, 0.2]})
    strata = pd.DataFrame({"name": ["a", "b"], "dark": [True, False]})
    with pytest.raises(ValueError, match="'hard: flat' predicts for the stratum 'flat', which"):
        check_predictions([FINDING], pairs, strata, Compare(resamples=100, seed=0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "is no table", id="empty"),
        pytest.param("name\na\nb", "has no column weight", id="no weights"),
        pytest.param("name,weight\na,1", "no weight for 1 of 2 training images", id="cut off"),
        pytest.param("name,weight\na,1\nb,", "no weight for 1 of 2", id="an empty weight"),
        pytest.param("name,weight\na,1\nb,x", "is not of finite numbers", id="a word"),
        pytest.param("name,weight\na,1\nb,-1", "a weight that is not above 0", id="negative"),
        pytest.param("name,weight\na,1\na,1\nb,1", "names an image twice", id="a name twice"),
    ],
)
def test_damaged_weights_of_images_are_refused_by_file(tmp_path, content, message):
    (tmp_path / "findings.yaml").write_text("[]", encoding="utf-8")
    path = tmp_path / "sampling.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_remedies(tmp_path / "findings.yaml", path, ["a", "b"])
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["007", "NA", "1e5", "true"])
def test_a_weight_is_found_whatever_the_image_is_called(tmp_path, name):
    (tmp_path / "findings.yaml").write_text("[]", encoding="utf-8")
    write_table(tmp_path / "sampling.csv", pd.DataFrame({"name": [name], "weight": [2.0]}))
    remedies = read_remedies(tmp_path / "findings.yaml", tmp_path / "sampling.csv", [name])
    assert list(remedies.sampling) == [2.0]


def test_limits_come_back_and_damaged_ones_are_refused(tmp_path):
    path = tmp_path / "limits.csv"
    table = pd.DataFrame({"stratum": list(STRATA), "limit": [np.nan] + [0.5] * (len(STRATA) - 1)})
    write_table(path, table)
    assert read_limits(path).to_dict() == pytest.approx(
        table.set_index("stratum")["limit"].to_dict(), nan_ok=True
    )
    expected = r"limits\.csv has limits of \d+ strata; expected each"
    for damaged in (table.head(3), table.assign(stratum="flat"), pd.concat([table, table])):
        write_table(path, damaged)
        with pytest.raises(ValueError, match=expected):
            read_limits(path)
    write_table(path, table.assign(limit="high"))
    with pytest.raises(ValueError, match=r"limits\.csv: column limit is not of finite numbers"):
        read_limits(path)


def test_a_damaged_table_of_a_model_is_refused_by_its_file(tmp_path):
    (tmp_path / "history.csv").write_bytes(b"")
    with pytest.raises(ValueError, match=r"history\.csv is no table"):
        join_tables({"baseline": tmp_path}, "history.csv")
