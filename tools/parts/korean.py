"""Korean: a part is written once, in English, and its Korean is made from that text.

Sentences are translated by the templates of korean.yaml, cells of tables by its terms. Numbers are
carried over as they stand, so that both documents always tell the same ones.
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from effiseg.sentences import WORDS
from parts.committed import Part, read_yaml

KEPT = re.compile(  # names and units that Korean texts write in Latin letters
    r"Dice|IoU|Spearman|Hausdorff|EffiSegNet-B\d|ImageNet|EfficientNet|tf_\w+|[Bb]\d|[Ll]ite\d|"
    r"Python|PyTorch|torch|openvino|onnxruntime|eager|b?float\d+|cpu|cuda|"
    r"[A-Z]{2,}\w*(?:/s)?|[A-Z]\d+|px|MiB|Gop/s|x"
)


class Words(NamedTuple):
    """English texts, each with its Korean."""

    sentences: dict[str, str]
    terms: dict[str, str]


@cache
def read_words() -> Words:
    """What korean.yaml and `effiseg.sentences` hold."""
    words = read_yaml(Path(__file__).with_name("korean.yaml"))
    sentences = {sentence["english"]: sentence["korean"] for sentence in words["sentences"]}
    return Words(sentences, WORDS | words["terms"])


def write_korean(write: Part, root: Path) -> str:
    """A part in Korean.

    Raises:
        ValueError: a word of it has no Korean.
    """
    return "\n".join(translate_line(line) for line in write(root).splitlines())


def translate_line(line: str) -> str:
    """A row of a table cell by cell, a sentence by its template."""
    if line.startswith("|---"):
        return line
    if line.startswith("|"):
        return f"| {' | '.join(translate_words(c.strip()) for c in line[1:-1].split('|'))} |"
    for english, korean in read_words().sentences.items():
        pattern = re.escape(english).replace(r"\{\}", "(.+?)")
        if match := re.fullmatch(pattern, line):
            return korean.format(*map(translate_words, match.groups()))
    return translate_words(line)


def translate_words(text: str) -> str:
    """The text with each of the terms in Korean; code between backticks stays as it is."""
    terms = read_words().terms
    longest_first = "|".join(map(re.escape, sorted(terms, key=len, reverse=True)))
    pattern = rf"`[^`]*`|(?<!\w)(?:{longest_first})(?!\w)"
    korean = re.sub(pattern, lambda match: terms.get(match[0], match[0]), text)
    for word in re.findall(r"`[^`]*`|(?<![\w.])[A-Za-z][A-Za-z0-9_.+/-]*", korean):
        if not word.startswith("`") and not KEPT.fullmatch(word):
            raise ValueError(
                f"no Korean for {word!r} of {text!r}: add it to the terms or sentences of "
                "tools/parts/korean.yaml"
            )
    return korean
