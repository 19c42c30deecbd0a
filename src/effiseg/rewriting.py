"""Rewriting: a language model may reword a summary. Off unless asked for, and never a source of
numbers.

The model, local or hosted, is reached by the chat interface that Ollama, llama.cpp, vLLM and hosted
services share (POST URL/chat/completions). It never sees a number or a name: marks such as [[A]]
stand for them. What it answers is taken only if the marks stand there once each, in their order and
apart, if it has no other number, no number word or link that was not there before, as many
negations, the same script, and about the template's length. That a sentence keeps its sense can't
be checked in this way: the template's text stays the one of record.
"""

import http.client
import json
import re
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
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
JOINED = re.compile(  # a mark with what would make another number of it
    rf"[^\s(\"'\u201c\u2018]{MARK.pattern}|{MARK.pattern}(?:[A-Za-z_/^\xb7]|\s?[%\u2030\xb0\xd7십백천만억배])"
)
NUMBER_WORDS = re.compile(  # English and Korean
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|"
    r"(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|[mbtr]+illions?|dozens?|"
    r"half|halves|halved|thirds?|quarters?|(?:four|fif|six|seven|eigh|nin|ten)ths?|\w+fold|"
    r"pairs?|couples?|once|twice|thrice|double[ds]?|triple[ds]?|per ?cent|per ?mille|minus|"
    r"times|points?|lakhs?|crores?|zillions?)\b|"
    r"하나|둘|셋|넷|다섯|여섯|일곱|여덟|아홉|스물|스무|서른|마흔|쉰|예순|일흔|여든|아흔|절반|배로|"
    r"퍼센트|프로|수십|수백|수천|마이너스|[일이삼사오육칠팔구십백천만]분의|(?<![가-힣])(?:열 |"
    r"(?:한|두|세|네|[이삼사오육칠팔구]?[십백천만]) ?(?:개|장|번|배|명|가지|곳|회|건|쌍|조각))",
    re.IGNORECASE | re.ASCII,
)
NEGATIONS = re.compile(
    r"\b(?:no|not|non|none|never|nothing|nobody|nowhere|neither|nor|without|cannot|unable|hardly|"
    r"barely|lack(?:s|ed|ing)?|fail(?:s|ed|ing)?|(?:is|are|was|were|do|does|did|has|have|had|ca|wo|"
    r"could|would|should)nt)\b|n['`\u2018\u2019]t\b|"
    r"않|없|못|아[니닌닐님닙녔]|아무것도|(?<![가-힣])안 ",
    re.IGNORECASE | re.ASCII,
)
MARKUP = re.compile(r"://|www\.|mailto:|\w\.[a-z]{2,}|[<>\[\]{}`*#_|\\]", re.IGNORECASE)
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
    """Where a language model is.

    Raises ValueError where the URL is no plain one of HTTP: scheme, host, port and path alone.
    """

    url: str  # up to and without /chat/completions
    model: str
    key: str | None = field(default=None, repr=False)  # sent as a bearer token, never shown

    def __post_init__(self) -> None:
        if not _is_plain(self.url):
            shown = show(re.sub(r"//[^/]*@", "//", self.url))
            raise ValueError(f"{shown} is no plain http:// or https:// address: a host and a path")
        if self.key and not re.fullmatch(r"[!-~]+", self.key):
            raise ValueError("the key has characters that a header can't hold, such as a line feed")


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
    answer = ask(f"{TASK[language]} {RULES}", marked.text)
    answer = " ".join(unicodedata.normalize("NFC", answer).split())
    check_answer(marked.text, answer, language)
    marks = iter(marked.hidden)
    return MARK.sub(lambda _: next(marks), answer)


def hide(paragraph: Paragraph) -> Marked:
    """Its text with a mark for each number, each of its names, and what looks like a mark."""
    hidden: list[str] = []

    def replace(match: re.Match[str]) -> str:
        hidden.append(match[0])
        return f"[[{_letters(len(hidden))}]]"

    longest_first = sorted(filter(None, paragraph.names), key=len, reverse=True)
    names = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest_first]
    text = re.sub("|".join([*names, MARK.pattern, NUMBER]), replace, paragraph.text)
    return Marked(text, tuple(hidden))


def check_answer(marked: str, answer: str, language: Language) -> None:
    """Raises ValueError where the answer to the text `marked` breaks a rule of this module."""
    marks = MARK.findall(marked)
    if MARK.findall(answer) != marks:
        raise ValueError(
            f"the marks are {' '.join(MARK.findall(answer)) or 'gone'}; expected "
            f"{' '.join(marks) or 'none'}"
        )
    if joined := JOINED.search(answer):
        raise ValueError(f"a mark is joined to what stands beside it: {show(joined[0])}")
    before, after = MARK.sub("", marked), MARK.sub("", answer)
    low, high = (factor * len(before) for factor in LENGTHS)
    if not low <= len(after) <= high:
        raise ValueError(f"it has {len(after)} characters; expected {low:.0f} to {high:.0f}")
    added = [c for c in after if c.isnumeric()]
    added += sorted(_count_words(NUMBER_WORDS, after) - _count_words(NUMBER_WORDS, before))
    if added:
        raise ValueError(f"it has a number that the template does not have: {show(added[0])}")
    negated = [len(NEGATIONS.findall(text)) for text in (before, after)]
    if negated[0] != negated[1]:
        raise ValueError(f"it has {negated[1]} negations; expected {negated[0]}")
    if odd := MARKUP.search(after):
        raise ValueError(f"it has markup or a link: {show(odd[0])}")
    if not after.isprintable():
        raise ValueError("it has characters that can't be shown")
    _check_script(after, language)


def _check_script(text: str, language: Language) -> None:
    """Words of another language would pass the checks of words."""
    letters = [c for c in text if c.isalpha() or unicodedata.combining(c)]
    korean = sum("가" <= c <= "힣" for c in letters)
    foreign = [c for c in letters if not c.isascii() and not "가" <= c <= "힣"]
    if foreign or (korean < len(letters) / 2 if language == "ko" else korean):
        raise ValueError(f"it has letters of another language than {language!r}")


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
        with _make_opener().open(request, timeout=TIMEOUT) as response:
            content = response.read(LONGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        error.close()
        said = _quote(endpoint.key, cut_short(error))
        raise OSError(f"{url} answers {error.code} ({said})") from error
    except http.client.HTTPException as error:
        said = _quote(endpoint.key, cut_short(error))
        raise OSError(f"{url} does not speak HTTP: {said}") from error
    except OSError as error:
        raise OSError(f"{url} can't be reached: {cut_short(error)}") from error
    return _read_answer(url, content, endpoint.key)


def _read_answer(url: str, content: bytes, key: str | None) -> str:
    if len(content) > LONGEST_ANSWER:
        raise ValueError(f"{url} answers with more than {LONGEST_ANSWER} bytes")
    try:
        answer = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        said = _quote(key, show(content.decode(errors="replace")))
        raise ValueError(
            f"{url} answers {said}; expected JSON with choices[0].message.content"
        ) from error
    if not isinstance(answer, str):
        raise ValueError(f"{url} answers with {type(answer).__name__} instead of a text")
    return answer


def _quote(key: str | None, said: str) -> str:
    """What a server says may hold the key that it was sent, in any spelling."""
    return "not shown, as it may hold the key" if key else said


def _is_plain(url: str) -> bool:
    if not re.fullmatch(r"https?://[!-~]+", url):
        return False
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    is_host = ".." not in host and not host.startswith(".") and port != 0
    return bool(host) and is_host and not any((parts.username, parts.query, parts.fragment))


def _make_opener() -> urllib.request.OpenerDirector:
    """The key goes to the server that was named, and to no other: no redirect is followed, and a
    proxy is used for https alone, where it sees nothing of what is sent."""
    proxies = {k: url for k, url in urllib.request.getproxies().items() if k == "https"}
    return urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler(proxies))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: object) -> None:
        return None


def _count_words(pattern: re.Pattern[str], text: str) -> Counter[str]:
    return Counter(match[0].lower() for match in pattern.finditer(text))


def _letters(number: int) -> str:
    """1 is A, 26 is Z, 27 is AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
