"""Rewriting: a language model may reword a summary. Off unless asked for, and never a source of
numbers.

The model, local or hosted, is reached by the chat interface that Ollama, llama.cpp, vLLM and hosted
services share (POST URL/chat/completions). It never sees a number or a name: marks such as [[A]]
stand for them. What it answers is taken only if the marks stand there once each and in their order,
if it has no other number, no number word, negation or link that was not there before, none of the
negations is lost, and its length is near the template's. That a sentence keeps its sense can't be
checked in this way: the template's text stays the one of record.
"""

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from effiseg.files import cut_short, show
from effiseg.summary import Language, Paragraph

LONGEST_ANSWER = 1 << 20  # bytes
TIMEOUT = 120  # seconds without a sign of the server
LENGTHS = (0.4, 2.5)  # of the answer, times the template's
NUMBER = r"[-+]?\d+(?:\.\d+)?(?: ?%)?"
MARK = re.compile(r"\[\[[A-Z]+\]\]")
NUMBER_WORDS = {
    "en": re.compile(
        r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|"
        r"(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|millions?|dozens?|"
        r"half|halves|halved|thirds?|quarters?|tenths?|once|twice|doubled?|tripled?|percent)\b",
        re.IGNORECASE,
    ),
    "ko": re.compile(r"하나|둘|셋|넷|다섯|여섯|일곱|여덟|아홉|열 |절반|배로|두 배|세 배|퍼센트"),
}
NEGATIONS = {
    "en": re.compile(r"\b(?:no|not|none|never|nothing|neither|nor|without|cannot)\b|n't\b", re.I),
    "ko": re.compile(r"않|없|못|아니|아무것도"),
}
TASK = {
    "en": "Reword the paragraph in English for readers without technical knowledge.",
    "ko": "Reword the paragraph in Korean (다-style) for readers without technical knowledge.",
}
RULES = (
    "Keep every mark such as [[A]] exactly once and in the order given. Write no number, no number "
    "word, no link. Add no fact, no cause, no advice. Keep every negation. Answer with the "
    "paragraph alone, without a heading."
)


@dataclass(frozen=True)
class Endpoint:
    """Where a language model is. Raises ValueError where the URL is none of HTTP."""

    url: str  # up to and without /chat/completions
    model: str
    key: str | None = field(default=None, repr=False)  # sent as a bearer token, never shown

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/]", self.url):
            raise ValueError(f"{show(self.url)} is no http:// or https:// address")


class Marked(NamedTuple):
    """A text whose numbers and names are marks."""

    text: str
    hidden: tuple[str, ...]  # what the marks stand for, in order


Ask = Callable[[str, str], str]  # instructions and text to the model's answer


def rewrite(paragraph: Paragraph, language: Language, ask: Ask) -> str:
    """The paragraph in the model's words; a fixed one as it is.

    Raises:
        ValueError: the answer does not keep to the rules; the message says which.
        OSError: the model can't be reached.
    """
    if paragraph.is_fixed:
        return paragraph.text
    marked = hide(paragraph)
    answer = " ".join(ask(f"{TASK[language]} {RULES}", marked.text).split())
    check_answer(marked.text, answer, language)
    marks = iter(marked.hidden)
    return MARK.sub(lambda _: next(marks), answer)


def hide(paragraph: Paragraph) -> Marked:
    """Its text with a mark for each number and each of its names."""
    hidden: list[str] = []

    def replace(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return f"[[{_letters(len(hidden))}]]"

    longest_first = sorted(filter(None, paragraph.names), key=len, reverse=True)
    names = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest_first]
    text = re.sub("|".join([*names, NUMBER]), replace, paragraph.text)
    return Marked(text, tuple(hidden))


def check_answer(marked: str, answer: str, language: Language) -> None:
    """Raises ValueError where the answer to the text `marked` breaks a rule of this module."""
    marks = MARK.findall(marked)
    if MARK.findall(answer) != marks:
        raise ValueError(
            f"the marks are {' '.join(MARK.findall(answer)) or 'gone'}; expected "
            f"{' '.join(marks) or 'none'}"
        )
    before, after = MARK.sub("", marked), MARK.sub("", answer)
    low, high = (factor * len(before) for factor in LENGTHS)
    if not low <= len(after) <= high:
        raise ValueError(f"it has {len(after)} characters; expected {low:.0f} to {high:.0f}")
    added = [c for c in after if c.isnumeric()]
    added += sorted(_words(NUMBER_WORDS[language], after) - _words(NUMBER_WORDS[language], before))
    if added:
        raise ValueError(f"it has a number that the template does not have: {show(added[0])}")
    negated = [len(NEGATIONS[language].findall(text)) for text in (before, after)]
    if negated[0] != negated[1]:
        raise ValueError(f"it has {negated[1]} negations; expected {negated[0]}")
    if odd := re.search(r"https?:|www\.|[<>\[\]`]", after):
        raise ValueError(f"it has markup or a link: {odd[0]}")
    if not after.isprintable():
        raise ValueError("it has characters that can't be shown")


def ask_model(endpoint: Endpoint, instructions: str, text: str) -> str:
    """What the model answers.

    Raises:
        ValueError: the answer is not as the interface says.
        OSError: it can't be reached, or refuses.
    """
    roles = {"system": instructions, "user": text}
    messages = [{"role": role, "content": content} for role, content in roles.items()]
    body = {"model": endpoint.model, "messages": messages, "temperature": 0}
    headers = {"Content-Type": "application/json"}
    if endpoint.key:
        headers["Authorization"] = f"Bearer {endpoint.key}"
    url = f"{endpoint.url.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with _OPENER.open(request, timeout=TIMEOUT) as response:
            content = response.read(LONGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"{url} answers {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise OSError(f"{url} can't be reached: {cut_short(error)}") from error
    return _read_answer(url, content)


def _read_answer(url: str, content: bytes) -> str:
    if len(content) > LONGEST_ANSWER:
        raise ValueError(f"{url} answers with more than {LONGEST_ANSWER} bytes")
    try:
        answer = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        start = content[:100].decode(errors="replace")
        raise ValueError(
            f"{url} answers {show(start)}; expected JSON with choices[0].message.content"
        ) from error
    if not isinstance(answer, str):
        raise ValueError(f"{url} answers with {show(answer)} instead of a text")
    return answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key goes to the server that was named, and to no other."""

    def redirect_request(self, *arguments: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _words(pattern: re.Pattern[str], text: str) -> set[str]:
    return {match[0].lower() for match in pattern.finditer(text)}


def _letters(number: int) -> str:
    """1 is A, 26 is Z, 27 is AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
