"""Parameters: numbers as people and DVC write them, and refusals that name the key."""

import math
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_training import PUBLISHED

from effiseg.archive import Data
from effiseg.augment import ADDITIONS
from effiseg.comparison import Compare
from effiseg.files import read_table
from effiseg.folds import ErrorAnalysis
from effiseg.params import as_plain, load_section, parse_yaml
from effiseg.recipe import KNOWN_ADDITIONS, Policy, Recipe, Train, Upsampling
from effiseg.scoring import Evaluate
from effiseg.split import Split
from stages.report import Report

TRAIN = {"pretrained": True, "batch_size": 2, "lr": 0.001, "seed": 0}
TRAIN |= {"devices": 1, "deterministic": True}


@dataclass(frozen=True, kw_only=True)
class Example:
    rate: float
    count: int
    on: bool
    source: bool | str
    kind: Literal["a", "b"]


VALUES = {"rate": 1.0, "count": 2, "on": True, "source": "file", "kind": "a"}


def load(tmp_path, section, name="example", **changes):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({name: changes}), encoding="utf-8")
    return load_section(name, section, path)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1e-05", 1e-5), ("1E+3", 1e3), (".5", 0.5), ("-2.5e-1", -0.25), ("7", 7)],
)
def test_numbers_are_read_as_yaml_1_2_does(tmp_path, text, value):
    read = parse_yaml(f"x: {text}", tmp_path)["x"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["e5", "1.2.3", "tf_b0", "1e"])
def test_what_is_no_number_stays_a_text(tmp_path, text):
    assert parse_yaml(f"x: {text}", tmp_path)["x"] == text


def test_a_section_becomes_its_dataclass(tmp_path):
    assert load(tmp_path, Example, **VALUES) == Example(**VALUES)


def test_a_whole_number_is_a_number(tmp_path):
    assert load(tmp_path, Example, **VALUES | {"rate": 3}).rate == 3.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rte": 1.0}, r"unknown key 'example\.rte'; known are count, kind, on, rate, source"),
        ({"rate": "fast"}, r"example\.rate is 'fast'; expected a number that is finite"),
        ({"rate": True}, r"example\.rate is True; expected a number that is finite"),
        ({"count": 2.5}, r"example\.count is 2\.5; expected a whole number"),
        ({"count": True}, r"example\.count is True; expected a whole number"),
        ({"on": 1}, r"example\.on is 1; expected true or false"),
        ({"source": 3}, r"example\.source is 3; expected true or false or a text"),
        ({"kind": "c"}, r"example\.kind is 'c'; expected one of 'a', 'b'"),
    ],
)
def test_a_wrong_key_is_refused_by_name(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, Example, **VALUES | changes)


def test_a_missing_key_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"params\.yaml: key 'example\.rate' is missing"):
        load(tmp_path, Example, **{k: v for k, v in VALUES.items() if k != "rate"})


def test_a_missing_section_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("other: {a: 1}", encoding="utf-8")
    with pytest.raises(ValueError, match="section 'example' is missing"):
        load_section("example", Example, path)


def test_broken_yaml_is_refused_with_its_file(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: [1", encoding="utf-8")
    with pytest.raises(ValueError, match=r"params\.yaml is not valid YAML"):
        load_section("a", Example, path)


@pytest.mark.parametrize(("key", "value"), [("lr", 0.0), ("batch_size", 1), ("seed", -1)])
def test_a_value_out_of_range_is_refused_with_file_and_key(tmp_path, key, value):
    with pytest.raises(ValueError, match=rf"params\.yaml: train\.{key} is {value}; expected"):
        load(tmp_path, Train, "train", **TRAIN | {key: value})


RECIPE = as_plain(PUBLISHED) | {"additions": ["blur"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation": "wild"}, r"augmentation is 'wild'; expected one of 'none', 'published'"),
        ({"decoder_channels": 31}, r"decoder_channels is 31; expected an even number"),
        ({"epochs": 0}, r"epochs is 0; expected 1 to 10000"),
        ({"size": 16}, r"size is 16; expected 32 to 2048 pixels"),
        ({"copy_paste": 1.5}, r"copy_paste is 1\.5; expected 0 to 1"),
        ({"additions": "blur"}, r"additions is 'blur'; expected a list, each a text"),
        ({"additions": ["Blur"]}, r"additions is 'Blur'; expected names of \('smaller_polyps'"),
        ({"additions": ["blur", 3]}, r"additions\[1\] is 3; expected a text"),
    ],
)
def test_a_recipe_is_refused_by_the_key_that_is_wrong(tmp_path, changes, message):
    with pytest.raises(ValueError, match=rf"params\.yaml: baseline\.{message}"):
        load(tmp_path, Recipe, "baseline", **RECIPE | changes)


def test_a_recipe_may_name_every_addition_and_no_other():
    assert tuple(ADDITIONS) == KNOWN_ADDITIONS


def test_a_list_becomes_a_tuple(tmp_path):
    assert load(tmp_path, Recipe, "baseline", **RECIPE).additions == ("blur",)


# The file of the pipeline, key by key

FILE = (Path(__file__).resolve().parents[1] / "params.yaml").read_text(encoding="utf-8")
PARAMS = yaml.safe_load(FILE)
SECTIONS = {
    "data": Data,
    "split": Split,
    "train": Train,
    "baseline": Recipe,
    "improved": Recipe,
    "error_analysis": ErrorAnalysis,
    "evaluate": Evaluate,
    "compare": Compare,
    "report": Report,
}
KEYS = [(section, key) for section in PARAMS for key in PARAMS[section]]
NUMBERS = [(s, k) for s, k in KEYS if type(PARAMS[s][k]) in (int, float)]
WORDS = [(s, k) for s, k in KEYS if type(PARAMS[s][k]) is str and k != "encoder"]
OF_ANY_KIND = ("one", "1", "true", "", [], [1], [None], {}, {"a": 1}, None, True, 1, 1.5)
OUT_OF_RANGE = (-1, 0, 10**12, 10**30, 10**400, math.inf, -math.inf, math.nan)
MAY_BE_ZERO = {"seed", "devices", "folds", "copy_paste", "near_pixel_weight"}


def refusal(tmp_path, section, values):
    """What is said of a section with these values."""
    with pytest.raises(ValueError) as caught:
        load(tmp_path, SECTIONS[section], section, **values)
    return str(caught.value)


def is_of_kind(value, section, key):
    known = PARAMS[section][key]
    if key == "pretrained":
        return type(value) in (bool, str)
    if isinstance(known, list):
        return value == []
    return type(value) is type(known) or (type(known) is float and type(value) is int)


def test_every_section_of_the_file_becomes_its_dataclass(tmp_path):
    assert set(PARAMS) == set(SECTIONS)
    for section, kind in SECTIONS.items():
        loaded = load(tmp_path, kind, section, **PARAMS[section])
        plain = {k: list(v) if type(v) is tuple else v for k, v in as_plain(loaded).items()}
        assert plain == PARAMS[section]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("content", [None, "one", 1, [], ["one"]])
def test_a_section_that_is_no_mapping_is_refused(tmp_path, section, content):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({section: content}), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"params\.yaml: {section} is .*; expected a mapping"):
        load_section(section, SECTIONS[section], path)


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_key_that_is_missing_or_misspelled_is_refused_by_name(tmp_path, section, key):
    others = {k: v for k, v in PARAMS[section].items() if k != key}
    missing = refusal(tmp_path, section, others)
    assert f"params.yaml: key '{section}.{key}' is missing; expected" in missing
    for misspelled in (key + key[-1], key[:-1], key.upper(), f" {key}"):
        found = refusal(tmp_path, section, others | {misspelled: PARAMS[section][key]})
        assert f"params.yaml: unknown key '{section}.{misspelled}'; known are" in found


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_value_of_another_kind_is_refused_by_its_key(tmp_path, section, key):
    for value in OF_ANY_KIND:
        if is_of_kind(value, section, key):
            continue
        found = refusal(tmp_path, section, PARAMS[section] | {key: value})
        item = isinstance(PARAMS[section][key], list) and isinstance(value, list)
        said = f"[0] is {value[0]!r}" if item else f" is {value!r}"
        assert f"params.yaml: {section}.{key}{said}; expected" in found


@pytest.mark.parametrize(("section", "key"), NUMBERS)
def test_a_number_out_of_range_is_refused_by_its_key(tmp_path, section, key):
    for value in OUT_OF_RANGE:
        values = PARAMS[section] | {key: value}
        if value == 0 and key in MAY_BE_ZERO:
            assert getattr(load(tmp_path, SECTIONS[section], section, **values), key) == 0
            continue
        found = refusal(tmp_path, section, values)
        assert f"params.yaml: {section}.{key} is " in found
        assert "; expected " in found
        assert len(found) < len(str(tmp_path)) + 200


@pytest.mark.parametrize(("section", "key"), WORDS)
def test_words_in_capitals_are_refused_by_their_key(tmp_path, section, key):
    value = PARAMS[section][key].upper()
    found = refusal(tmp_path, section, PARAMS[section] | {key: value})
    assert f"params.yaml: {section}.{key} is '{value}'; expected one of" in found


def test_processes_that_can_not_share_a_batch_are_refused(tmp_path):
    found = refusal(tmp_path, "train", PARAMS["train"] | {"batch_size": 8, "devices": 3})
    assert "train.devices is 3; expected 0 (every GPU), or a number that divides" in found
    assert "batch_size, which is 8" in found


# Files that are damaged or hostile

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "section 'train' is missing; found None", id="empty"),
        pytest.param("train", "section 'train' is missing; found 'train'", id="a word"),
        pytest.param("trian: {}", "section 'train' is missing; found {'trian'", id="misspelled"),
        pytest.param("train: [", "is not valid YAML", id="cut off"),
        pytest.param("train: {}\n---\ntrain: {}", "is not valid YAML", id="two documents"),
        pytest.param("train: {lr: 2001-99-99}", "is not valid YAML", id="no date"),
        pytest.param("train: {seed: 0b_}", "is not valid YAML", id="no number"),
        pytest.param("\0", "is not valid YAML", id="a zero byte"),
        pytest.param("a: 1\nb: 2\na: 3", "'a' stands in line 1 already", id="a section twice"),
        pytest.param(
            FILE.replace("  lr: ", "  lr: 1\n  lr: "), "'lr' stands in line", id="a key twice"
        ),
        pytest.param("train: {lr: !!float 1}", "a tag (!name) stands here", id="a tag"),
        pytest.param("train: &a {lr: *a}", "an alias (*name) stands here", id="an alias"),
        pytest.param(BOMB + "train: *i", "an alias (*name) stands here", id="an alias bomb"),
        pytest.param("[" * 3000 + "]" * 3000, "it is nested too deeply", id="deep lists"),
        pytest.param("{a: " * 3000 + "}" * 3000, "it is nested too deeply", id="deep mappings"),
        pytest.param("train: {é: 1}".encode("latin-1"), "is not text in UTF-8", id="Latin 1"),
        pytest.param(f"train: {{{'x' * 1000}: 1}}", "unknown key 'train.x", id="a long key"),
        pytest.param(f"train: {'[' * 99 + ']' * 99}", "train is [[[...]]]", id="a deep value"),
        pytest.param(f"train: {[*range(2000)]}", "train is [0, 1, 2", id="a long value"),
    ],
)
def test_a_damaged_file_is_refused_by_a_short_message(tmp_path, content, message):
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError) as caught:
        load_section("train", Train, path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 700


def test_a_key_that_comes_twice_is_told_with_both_lines(tmp_path):
    with pytest.raises(ValueError, match=r"'lr' stands in line 2 already\n.*line 4, column 3"):
        parse_yaml("train:\n  lr: 1\n  seed: 1\n  lr: 2\n", tmp_path)


def test_a_tag_of_python_does_not_run(tmp_path):
    mark = tmp_path / "mark"
    text = f'train: !!python/object/apply:pathlib.Path.touch [!!python/name:x "{mark}"]'
    with pytest.raises(ValueError, match=r"a tag \(!name\) stands here"):
        parse_yaml(text, tmp_path)
    assert not mark.exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"params\.yaml"):
        load_section("train", Train, tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is no table", id="empty"),
        pytest.param(b"name,weight\na,1,2,3\nb\n\"", "is no table", id="cut off in a text"),
        pytest.param("name,weight\né,1".encode("latin-1"), "is no table", id="Latin 1"),
        pytest.param(b"name\na", "has no column weight; found ['name']", id="no such column"),
        pytest.param(b"name,weight\na,x", "weight is not of finite numbers", id="a word"),
        pytest.param(b"name,weight\na,inf", "weight is not of finite numbers", id="infinite"),
    ],
)
def test_a_damaged_table_is_refused_by_its_file(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_table(path, texts=["name"], numbers=["weight"])
    assert f"{path}" in str(caught.value)
    assert message in str(caught.value)


# Anything at all

FEW = settings(derandomize=True, deadline=None, max_examples=30)
SHARE = st.floats(0, 1, exclude_min=True, exclude_max=True)
SEED = st.integers(0, 2**32 - 1)
TRAINS = st.builds(
    Train,
    pretrained=st.booleans() | st.text(),
    batch_size=st.integers(2, 4096),
    lr=SHARE,
    seed=SEED,
    devices=st.integers(0, 1),
    deterministic=st.booleans(),
)
RECIPES = st.builds(
    Recipe,
    encoder=st.text(max_size=9),
    decoder_channels=st.integers(1, 512).map(lambda half: 2 * half),
    upsampling=st.sampled_from(typing.get_args(Upsampling)),
    size=st.integers(32, 2048),
    epochs=st.integers(1, 10_000),
    augmentation=st.sampled_from(typing.get_args(Policy)),
    additions=st.lists(st.sampled_from(KNOWN_ADDITIONS), max_size=3).map(tuple),
    copy_paste=st.floats(0, 1),
    multi_scale=st.booleans(),
    boundary_loss=st.booleans(),
    false_negative_weight=SHARE,
    near_pixel_weight=st.floats(0, 1000),
    deep_supervision=st.booleans(),
    weights=st.sampled_from(["last", "average", "best"]),
    follow_findings=st.booleans(),
    test_flips=st.booleans(),
    test_scales=st.booleans(),
)
OTHERS = st.builds(Compare, resamples=st.integers(100, 100_000), seed=SEED) | st.builds(
    Evaluate, threshold=SHARE
)


@FEW
@given(TRAINS | RECIPES | OTHERS)
def test_a_valid_section_comes_back_from_yaml(tmp_path_factory, section):
    folder = tmp_path_factory.getbasetemp()
    assert load(folder, type(section), **as_plain(section)) == section


@FEW
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e-05)
@example(1e22)
def test_a_number_is_read_as_python_and_dvc_write_it(value):
    read = parse_yaml(f"x: {value!r}", Path("params.yaml"))["x"]
    assert (read, type(read)) == (value, float)


def load_some(path):
    """Sections, or a ValueError that names the file, and nothing else."""
    for name, kind in (("train", Train), ("improved", Recipe), ("error_analysis", ErrorAnalysis)):
        try:
            assert isinstance(load_section(name, kind, path), kind)
        except ValueError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 1000


@FEW
@given(
    st.text()
    | st.text("[]{}:,-&*!|>#%@`\"'?<=~. \n\ta1_0xeTN", min_size=1)
    | st.dictionaries(st.sampled_from(list(SECTIONS)), st.text("[]{}:,-&*!? \n1a")).map(str)
)
def test_any_text_gives_sections_or_a_refusal(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_text(text, encoding="utf-8")
    load_some(path)


@FEW
@given(
    st.integers(0, len(FILE)), st.integers(0, 12), st.text("[]{}:,-&*!'\"? \n\t1e.x", max_size=3)
)
def test_a_file_with_a_damaged_place_gives_sections_or_a_refusal(
    tmp_path_factory, start, length, text
):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_text(FILE[:start] + text + FILE[start + length :], encoding="utf-8")
    load_some(path)
