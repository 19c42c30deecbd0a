"""Parameters: a section of params.yaml becomes a frozen dataclass, or an error that names the key.

PyYAML follows YAML 1.1, where `1e-4` (as people type it) and `1e-05` (as DVC writes it back) are
strings. Here they are numbers, as in YAML 1.2. Files hold plain values: what PyYAML also knows, and
what could surprise or grow without bound, is refused (a key that comes twice, aliases, tags).
"""

import dataclasses
import re
import sys
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from effiseg.files import LONGEST_MESSAGE, show

PARAMS_FILE = Path("params.yaml")
LARGEST_SEED = 2**32 - 1  # that NumPy, scikit-learn and torch all take
RESAMPLES = (100, 100_000)  # at least and at most: all of them are in memory at once
Section = TypeVar("Section")


class _PlainLoader(yaml.SafeLoader):
    """Values without aliases and tags, each key once; floats as in YAML 1.2."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            _refuse("an alias (*name) stands here; expected the value itself", event.start_mark)
        if event.tag:
            _refuse("a tag (!name) stands here; expected a value without one", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in lines:
                where = f"in line {lines[key.value]} already"
                _refuse(f"the key {show(key.value)} stands {where}", key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _refuse(problem: str, mark: Any) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_PlainLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:float"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.nan$"),
    list("-+0123456789."),
)


def parse_yaml(text: str, source: Path) -> Any:
    """Plain YAML with YAML 1.2 floats. Raises ValueError with file and line where it is none."""
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506  (it is a SafeLoader)
    except RecursionError as error:
        raise ValueError(f"{source} is not valid YAML: it is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # a date of no calendar is a ValueError
        problem = str(error)[:LONGEST_MESSAGE]
        raise ValueError(f"{source} is not valid YAML: {problem}") from error


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises ValueError as `parse_yaml`, and where it is not UTF-8."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}): save it as such") from error


def load_section(name: str, section: type[Section], path: Path = PARAMS_FILE) -> Section:
    """Section `name` of the parameters file as the dataclass `section`.

    Raises:
        ValueError: a key is unknown, missing or of another type, or a value is refused by the
            dataclass itself; the message names file, key, what was found and what is expected.
        FileNotFoundError: there is no parameters file (stages run in the repository's root).
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or name not in content:
        raise ValueError(f"{path}: section '{name}' is missing; found {show(content)}")
    return parse_section(content[name], name, section, path)


def parse_section(found: Any, name: str, section: type[Section], path: Path) -> Section:
    """`found`, which stands in the file `path` as `name`, as the dataclass `section`.

    Raises:
        ValueError: as `load_section`.
    """
    if not isinstance(found, dict):
        raise ValueError(f"{path}: {name} is {show(found)}; expected a mapping of keys")
    expected = typing.get_type_hints(section)
    for key in found:
        if key not in expected:
            unknown = f"{name}.{key}" if isinstance(key, str) else f"{name}.{show(key)}"
            raise ValueError(
                f"{path}: unknown key {show(unknown)}; known are {', '.join(sorted(expected))}"
            )
    values = {}
    for key, kind in expected.items():
        if key not in found:
            raise ValueError(f"{path}: key '{name}.{key}' is missing; expected {_words(kind)}")
        values[key] = _as_kind(found[key], kind, f"{path}: {name}.{key}")
    try:
        return section(**values)
    except ValueError as error:
        raise ValueError(f"{path}: {name}.{error}") from error


def require(key: str, value: object, is_valid: bool, expected: str) -> None:
    """For the `__post_init__` of sections: raises ValueError naming key, value, expectation."""
    if not is_valid:
        raise ValueError(f"{key} is {show(value)}; expected {expected}")


def require_seed(seed: int) -> None:
    """`require` of a key `seed`."""
    require("seed", seed, 0 <= seed <= LARGEST_SEED, f"0 to {LARGEST_SEED}")


def require_resamples(resamples: int) -> None:
    """`require` of a key `resamples`, of a bootstrap."""
    few, most = RESAMPLES
    require("resamples", resamples, few <= resamples <= most, f"{few} to {most}")


def as_plain(section: Any, without: Sequence[str] = ()) -> dict[str, Any]:
    """The keys and values of a section but those `without`, in the order of its declaration."""
    keys = [field.name for field in dataclasses.fields(section) if field.name not in without]
    return {key: getattr(section, key) for key in keys}


def _kinds(kind: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if is_union else (kind,)


def _words(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return f"a list, each {_words(typing.get_args(kind)[0])}"
    words = {bool: "true or false", int: "a whole number", str: "a text"}
    words |= {float: "a number that is finite", dict: "a mapping of keys", types.NoneType: "null"}
    return " or ".join(words[k] if k in words else _words(k) for k in _kinds(kind))


def _as_kind(value: Any, kind: Any, where: str) -> Any:
    for single in _kinds(kind):
        if typing.get_origin(single) is typing.Literal:
            if value in typing.get_args(single) and type(value) in map(
                type, typing.get_args(single)
            ):
                return value
        elif typing.get_origin(single) is tuple:
            if isinstance(value, list):
                each = typing.get_args(single)[0]
                return tuple(_as_kind(v, each, f"{where}[{i}]") for i, v in enumerate(value))
        elif single is float:
            if type(value) in (int, float) and abs(value) <= sys.float_info.max:  # no NaN is
                return float(value)
        elif type(value) is single:
            return value
    raise ValueError(f"{where} is {show(value)}; expected {_words(kind)}")
