"""Parameters: a section of params.yaml becomes a frozen dataclass, or an error that names the key.

PyYAML follows YAML 1.1, where `1e-4` (as people type it) and `1e-05` (as DVC writes it back) are
strings. Here they are numbers, as in YAML 1.2.
"""

import dataclasses
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

PARAMS_FILE = Path("params.yaml")
Section = TypeVar("Section")


class _Yaml12FloatLoader(yaml.SafeLoader):
    pass


_Yaml12FloatLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:float"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12FloatLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$|[-+]?\.(inf|Inf|INF)$|\.nan$"),
    list("-+0123456789."),
)


def parse_yaml(text: str, source: Path) -> Any:
    """Safe YAML with YAML 1.2 floats. Raises ValueError with file and line where it is no YAML."""
    try:
        return yaml.load(text, Loader=_Yaml12FloatLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{source} is not valid YAML: {error}") from error


def load_section(name: str, section: type[Section], path: Path = PARAMS_FILE) -> Section:
    """Section `name` of the parameters file as the dataclass `section`.

    Raises:
        ValueError: a key is unknown, missing or of another type, or a value is refused by the
            dataclass itself; the message names file, key, what was found and what is expected.
        FileNotFoundError: there is no parameters file (stages run in the repository's root).
    """
    content = parse_yaml(path.read_text(encoding="utf-8"), path)
    if not isinstance(content, dict) or not isinstance(content.get(name), dict):
        raise ValueError(f"{path}: section '{name}' is missing or is not a mapping of keys")
    return parse_section(content[name], name, section, path)


def parse_section(
    found: dict[str, Any], name: str, section: type[Section], path: Path
) -> Section:
    """`found`, which stands in the file `path` as `name`, as the dataclass `section`.

    Raises:
        ValueError: as `load_section`.
    """
    expected = typing.get_type_hints(section)
    for key in found:
        if key not in expected:
            raise ValueError(
                f"{path}: unknown key '{name}.{key}'; known are {', '.join(sorted(expected))}"
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
        raise ValueError(f"{key} is {value!r}; expected {expected}")


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
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
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
        elif type(value) is single:
            return value
        elif single is float and type(value) is int:
            return float(value)
    raise ValueError(f"{where} is {value!r}; expected {_words(kind)}")
