"""Parameters: numbers as people and DVC write them, and refusals that name the key."""

from dataclasses import dataclass
from typing import Literal

import pytest
import yaml
from test_training import PUBLISHED

from effiseg.params import as_plain, load_section, parse_yaml
from effiseg.recipe import Recipe, Train

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
        ({"rate": "fast"}, r"example\.rate is 'fast'; expected a number"),
        ({"rate": True}, r"example\.rate is True; expected a number"),
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
        ({"epochs": 0}, r"epochs is 0; expected at least 1"),
        ({"size": 16}, r"size is 16; expected 32 to 2048 pixels"),
        ({"copy_paste": 1.5}, r"copy_paste is 1\.5; expected 0 to 1"),
        ({"additions": "blur"}, r"additions is 'blur'; expected a list, each a text"),
        ({"additions": ["blur", 3]}, r"additions\[1\] is 3; expected a text"),
    ],
)
def test_a_recipe_is_refused_by_the_key_that_is_wrong(tmp_path, changes, message):
    with pytest.raises(ValueError, match=rf"params\.yaml: baseline\.{message}"):
        load(tmp_path, Recipe, "baseline", **RECIPE | changes)


def test_a_list_becomes_a_tuple(tmp_path):
    assert load(tmp_path, Recipe, "baseline", **RECIPE).additions == ("blur",)
