"""Rewording by a language model: what it is shown, which of its answers are taken, what it costs
nobody: no key, no number, no name."""

import json
import re
import shutil
import socket
import threading
import unicodedata
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import Quiet, run_server

from effiseg import rewriting
from effiseg.commands import main
from effiseg.results_summary import tell_results
from effiseg.rewriting import (
    LONGEST_ANSWER,
    MARK,
    Endpoint,
    ask_model,
    check_answer,
    hide,
    rewrite,
)
from effiseg.summary import LANGUAGES, Paragraph, read_rows, tell_image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "analysis/images.csv"
BOTH = pytest.mark.parametrize("language", LANGUAGES)
KEY = "sk-Xq7.very+secret/0123=="
PLAIN = "The model finds [[A]] of [[B]] polyps, and does not mark [[C]] of the area."
KOREAN = "모델은 용종 [[A]]개 중 [[B]]개를 찾았고 면적의 [[C]]를 표시하지 않았다."


def flatten(text):
    return " ".join(text.split())


def keep(_, text):
    return text


# ------------------------------------------------------------------ marks


@cache
def list_paragraphs(language):
    """All that can be said of the committed tables."""
    rows = read_rows(IMAGES).to_dict("records")
    return [*tell_results(ROOT, language), *(tell_image(row, language) for row in rows)]


@BOTH
def test_no_number_and_no_name_of_a_real_paragraph_is_shown(language):
    for paragraph in list_paragraphs(language):
        marked = hide(paragraph)
        assert not any(c.isnumeric() for c in marked.text)
        assert not any(name in marked.text for name in paragraph.names)
        shown = re.split(r"\[\[[A-Z]+\]\]", marked.text)
        whole = [part for pair in zip(shown, (*marked.hidden, ""), strict=True) for part in pair]
        assert "".join(whole) == paragraph.text
        assert len(set(MARK.findall(marked.text))) == len(marked.hidden)


@BOTH
def test_an_unchanged_answer_gives_back_every_real_paragraph(language):
    for paragraph in list_paragraphs(language):
        assert rewrite(paragraph, language, keep) == paragraph.text


def test_marks_are_letters_in_order_beyond_the_alphabet():
    marked = hide(Paragraph(" ".join(str(n) for n in range(60))))
    names = [mark.strip("[]") for mark in MARK.findall(marked.text)]
    assert (names[0], names[25], names[26], names[51], names[52]) == ("A", "Z", "AA", "AZ", "BA")
    assert marked.hidden == tuple(str(n) for n in range(60))


@pytest.mark.parametrize(("text", "hidden"), [
    pytest.param("a Dice of 0.90.", ("0.90",), id="decimal"),
    pytest.param("23 % of it, 9.5 %", ("23 %", "9.5 %"), id="percent"),
    pytest.param("from -0.0025 to +0.0358", ("-0.0025", "+0.0358"), id="signs"),
    pytest.param("\u0664 and \uff14", ("\u0664", "\uff14"), id="digits of other scripts"),
    pytest.param("see [[A]] and [[ZZ]]", ("[[A]]", "[[ZZ]]"), id="what looks like a mark"),
])  # fmt: skip
def test_a_number_is_hidden_with_its_sign_and_unit(text, hidden):
    assert hide(Paragraph(text)).hidden == hidden


@pytest.mark.parametrize("name", [
    "a", "007", "[[A]]", "[[B]]", "{name}", "\\1", "x.y (1)", "1.5", "Dice", "용종 1", "a\nb",
])  # fmt: skip
@BOTH
def test_a_name_is_one_mark_whatever_it_is(language, name):
    row = dict(read_rows(IMAGES).iloc[0]) | {"name": name}
    paragraph = tell_image(row, language)
    marked = hide(paragraph)
    assert name in marked.hidden
    assert rewrite(paragraph, language, keep) == paragraph.text


PIECES = st.sampled_from([
    "[[A]]", "[[", "]]", "[", "A", "5", "0.5 %", "-1", "½", "\uff14", "三", " ", "\n", "cju0",
    "용종", ".",
])  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join))


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_restoring_an_unchanged_text_gives_the_text(text, names):
    marked = hide(Paragraph(text, tuple(names)))
    assert len(MARK.findall(marked.text)) == len(marked.hidden)
    hidden = iter(marked.hidden)
    assert MARK.sub(lambda _: next(hidden), marked.text) == text
    paragraph = Paragraph(text, tuple(names))
    with suppress(ValueError):  # a text that no template has
        assert flatten(rewrite(paragraph, "en", keep)) == flatten(text)


# ------------------------------------------------------------------ answers


@pytest.mark.parametrize(("answer", "language"), [
    pytest.param(PLAIN, "en", id="unchanged"),
    pytest.param("Of the polyps, the model sees [[A]] (of [[B]]); it doesn't mark [[C]].", "en",
                 id="contracted"),
    pytest.param("It finds [[A]] of [[B]] polyps; [[C]] of the area is not marked.", "en",
                 id="in other words"),
    pytest.param(KOREAN, "ko", id="Korean, unchanged"),
    pytest.param("용종 [[A]]개 가운데 [[B]]개를 발견했으며 [[C]]는 표시하지 못했다.", "ko",
                 id="Korean, in other words"),
])  # fmt: skip
def test_a_rewording_that_keeps_the_rules_is_taken(answer, language):
    check_answer(PLAIN if language == "en" else KOREAN, answer, language)


def replaced(old, new):
    assert old in PLAIN
    return PLAIN.replace(old, new)


REFUSED = [
    # marks
    pytest.param(replaced("[[A]] of ", ""), "marks are", id="a mark lost"),
    pytest.param(replaced("[[A]]", "[[A]], yes [[A]],"), "marks are", id="a mark doubled"),
    pytest.param("The model finds [[B]] of [[A]] polyps, and does not mark [[C]] of the area.",
                 "marks are", id="marks swapped"),
    pytest.param(replaced("[[A]]", "[[D]]"), "marks are", id="an unknown mark"),
    pytest.param(replaced("[[A]]", "[[a]]"), "marks are", id="a mark in small letters"),
    pytest.param(replaced("[[A]]", "[A]"), "marks are", id="a mark of one bracket"),
    pytest.param(re.sub(r"\[\[\w\]\]", "some", PLAIN), "marks are gone", id="all marks lost"),
    # marks that would make another number
    pytest.param(replaced(" of [[B]]", ".[[B]]"), "joined", id="0 of 1 to 0.1"),
    pytest.param(replaced(" of [[B]]", "[[B]]"), "joined", id="0 of 1 to 01"),
    pytest.param(replaced(" of [[B]]", ",[[B]]"), "joined", id="0 of 1 to 0,1"),
    pytest.param(replaced(" of [[B]]", "/[[B]]"), "joined", id="0 of 1 to 0/1"),
    pytest.param(replaced("[[A]]", "-[[A]]"), "joined", id="a sign"),
    pytest.param(replaced("[[A]]", "\u2212[[A]]"), "joined", id="a typographic sign"),
    pytest.param(replaced("[[A]]", "minus [[A]]"), "number", id="a sign in words"),
    pytest.param(replaced("[[A]]", "[[A]] %"), "joined", id="percent"),
    pytest.param(replaced("[[A]]", "[[A]]%"), "joined", id="percent without space"),
    pytest.param(replaced("[[A]]", "[[A]]k"), "joined", id="thousands"),
    pytest.param(replaced("[[A]]", "[[A]] million"), "number", id="millions"),
    # numbers
    pytest.param(replaced("area", "7 areas"), "number", id="a digit"),
    pytest.param(replaced("area", "½ area"), "number", id="a fraction"),
    pytest.param(replaced("area", "\uff14 areas"), "number", id="a wide digit"),
    pytest.param(replaced("area", "三 areas"), "number", id="a Chinese digit"),
    pytest.param(replaced("area", "\u0664 areas"), "number", id="an Arabic digit"),
    pytest.param(replaced("area", "Ⅳ areas"), "number", id="a Roman number"),
    pytest.param(replaced("area", "² areas"), "number", id="a power"),
    pytest.param(replaced("area", "three areas"), "number", id="a number word"),
    pytest.param(replaced("area", "Ninety-nine areas"), "number", id="a number word of two"),
    pytest.param(replaced("area", "half of the area"), "number", id="half"),
    pytest.param(replaced("area", "area, a dozen"), "number", id="a dozen"),
    pytest.param(replaced("area", "세 areas"), "letters", id="a Korean word"),
    # negations
    pytest.param(replaced("does not mark", "does mark"), "0 negations; expected 1", id="lost"),
    pytest.param(replaced("finds", "never finds"), "2 negations; expected 1", id="added"),
    pytest.param(replaced("finds", "doesn't find"), "negations", id="added, contracted"),
    pytest.param(replaced("finds", "doesn\u2019t find"), "negations", id="added, typographic"),
    pytest.param(replaced("finds", "doesnt find"), "negations", id="added, misspelled"),
    pytest.param(replaced("finds", "hardly finds"), "negations", id="hardly"),
    # links, markup, characters
    pytest.param(replaced("area", "area: http://x.example"), "markup or a link", id="a link"),
    pytest.param(replaced("area", "area: HTTPS://X"), "markup or a link", id="a link in capitals"),
    pytest.param(replaced("area", "area: www.x"), "markup or a link", id="www"),
    pytest.param(replaced("area", "area, see evil.example"), "markup or a link", id="a domain"),
    pytest.param(replaced("area", "<b>area</b>"), "markup or a link", id="HTML"),
    pytest.param(replaced("area", "**area**"), "markup or a link", id="bold"),
    pytest.param(replaced("area", "`area`"), "markup or a link", id="code"),
    pytest.param("# " + PLAIN, "markup or a link", id="a heading"),
    pytest.param(replaced("area", "area [x](y)"), "markup or a link", id="a link of Markdown"),
    pytest.param(replaced("area", "\x1b[31marea"), "number", id="a colour of the terminal"),
    pytest.param(replaced("area", "\x1bcarea"), "can't be shown", id="a reset of the terminal"),
    pytest.param(replaced("area", "ar\u200bea"), "can't be shown", id="no width"),
    pytest.param(replaced("area", "\u202earea"), "can't be shown", id="right to left"),
    pytest.param(replaced("area", "ar\x07ea"), "can't be shown", id="a bell"),
    pytest.param(replaced("area", "ar\ud800ea"), "can't be shown", id="half a character"),
    pytest.param(replaced("does not", "does n\u043et not"), "letters", id="a Cyrillic o"),
    # lengths
    pytest.param("[[A]] [[B]] [[C]] not", "characters; expected", id="too short"),
    pytest.param(PLAIN + " It is so." * 20, "characters; expected", id="too long"),
    pytest.param("", "marks are gone", id="nothing"),
]


@pytest.mark.parametrize(("answer", "reason"), REFUSED)
def test_an_answer_that_breaks_a_rule_is_refused(answer, reason):
    with pytest.raises(ValueError, match=re.escape(reason)) as error:
        check_answer(PLAIN, answer, "en")
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(("old", "new", "reason"), [
    pytest.param("찾았고", "못 찾았고", "negations", id="added"),
    pytest.param("찾았고", "안 찾았고", "negations", id="added, short"),
    pytest.param("찾았고", "찾은 것이 아닌데", "negations", id="added, of being"),
    pytest.param("찾았고", "찾지 않았고", "negations", id="added, long"),
    pytest.param("표시하지 않았다", "표시했다", "negations", id="lost"),
    pytest.param("면적의", "면적 절반의", "number", id="half"),
    pytest.param("면적의", "세 개 면적의", "number", id="three"),
    pytest.param("면적의", "다섯 면적의", "number", id="five"),
    pytest.param("면적의", "삼분의 일 면적의", "number", id="a third"),
    pytest.param("면적의", "서른 면적의", "number", id="thirty"),
    pytest.param("면적의", "three개 면적의", "number", id="an English number"),
    pytest.param("면적의", "never 면적의", "negations", id="an English negation"),
    pytest.param("[[A]]개", "[[A]]만 개", "joined", id="ten thousands"),
    pytest.param("[[C]]", "[[C]]퍼센트", "number", id="percent"),
    pytest.param("면적의", "面積의", "letters", id="Chinese"),
    pytest.param(KOREAN, "It has found [[A]] of [[B]] and [[C]] is not marked", "letters",
                 id="in English"),
])  # fmt: skip
def test_a_korean_answer_that_breaks_a_rule_is_refused(old, new, reason):
    assert old in KOREAN
    with pytest.raises(ValueError, match=reason):
        check_answer(KOREAN, KOREAN.replace(old, new), "ko")


def test_a_negation_in_decomposed_letters_is_still_one():
    paragraph = Paragraph("용종 3개를 표시했다. 그것은 용종이다.")
    decomposed = unicodedata.normalize("NFD", "용종 [[A]]개를 표시했다. 그것은 용종이 아니다.")
    with pytest.raises(ValueError, match="negations"):
        rewrite(paragraph, "ko", lambda *_: decomposed)


def test_a_number_word_of_the_template_may_be_said_as_often_as_there():
    template = "On [[A]] images that were annotated twice, both outlines agree."
    check_answer(template, "Twice annotated: [[A]] images, on which outlines agree.", "en")
    with pytest.raises(ValueError, match="twice"):
        check_answer(template, "On [[A]] images annotated twice, twice as many agree.", "en")


def test_a_hidden_number_comes_back_as_it_was_and_spaces_are_single():
    paragraph = Paragraph("Of 5 poor answers, 4 were warned of (80 %).")
    answer = "Warned of, of [[A]] poor\n\tanswers:   [[B]] were so ([[C]]).\n"
    told = rewrite(paragraph, "en", lambda *_: answer)
    assert told == "Warned of, of 5 poor answers: 4 were so (80 %)."


def test_what_is_fixed_never_reaches_a_model():
    def ask(*_):
        raise AssertionError("asked")

    for language in LANGUAGES:
        fixed = [p for p in tell_results(ROOT, language) if p.is_fixed]
        assert [rewrite(p, language, ask) for p in fixed] == [p.text for p in fixed]


WORDS = {
    "en": [" of ", " polyps ", " found ", " are ", " (", ".", "-", " %", "7", " not ", "one"],
    "ko": ["개 ", "중 ", " 용종 ", " 찾은 ", " (", ".", "-", " %", "7", " 않 ", "하나"],
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_any_answer_is_taken_with_its_numbers_or_refused(language):
    text = "Polyps found: 3 of 14." if language == "en" else "찾은 용종: 14개 중 3개."
    worded = st.lists(st.sampled_from(WORDS[language]), max_size=2).map("".join)
    three = st.tuples(worded, worded, worded) | st.tuples(TEXTS, TEXTS, TEXTS)
    taken = []

    @settings(derandomize=True, deadline=None, database=None, max_examples=400)
    @given(three)
    def check(parts):
        answer = f"{parts[0]}[[A]]{parts[1]}[[B]]{parts[2]}"
        try:
            told = rewrite(Paragraph(text), language, lambda *_: answer)
        except ValueError:
            return
        taken.append(told)
        assert re.findall(r"[-+]?\d+(?:\.\d+)?(?: ?%)?", told) == re.findall(r"\d+", text)
        assert told.isprintable()

    check()
    assert len(set(taken)) > 10


# ------------------------------------------------------------------ the server of a model


@contextmanager
def serve(answer):
    """`answer` is a function of the handler; what is asked is kept."""
    asked = []

    class Handler(Quiet):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(SimpleNamespace(path=self.path, headers=dict(self.headers), body=body))
            answer(self)

        def do_GET(self):
            asked.append(SimpleNamespace(path=self.path, headers=dict(self.headers), body=b""))
            answer(self)

    with run_server(Handler) as port:
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}/v1", asked=asked)


def send(handler, content, status=200, length=None, **headers):
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def pack(text):
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def reply(content, **options):
    return lambda handler: send(handler, content, **options)


def ask(url, text="text", key=KEY):
    return ask_model(Endpoint(url, "a model", key), "instructions", text)


@contextmanager
def serve_model(change):
    """A model that answers with what `change` makes of the paragraph that it is sent."""
    asked = []

    def answer(handler):
        send(handler, pack(change(json.loads(asked[-1].body)["messages"][1]["content"])))

    with serve(answer) as server:
        asked = server.asked
        yield server


def test_the_answer_of_a_model_is_its_text():
    with serve(reply(pack("Ein Text 용종 \u00bd"))) as server:
        assert ask(server.url) == "Ein Text 용종 \u00bd"


@pytest.mark.parametrize("slash", ["", "/"])
def test_what_is_sent_is_one_request_of_the_chat_interface(slash):
    with serve(reply(pack("text"))) as server:
        ask(server.url + slash, "the text")
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert json.loads(asked.body) == {
        "model": "a model",
        "temperature": 0,
        "messages": [
            {"role": "system", "content": "instructions"}, {"role": "user", "content": "the text"},
        ],
    }  # fmt: skip
    assert KEY.encode() not in asked.body


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_none_is_sent(key):
    with serve(reply(pack("text"))) as server:
        ask(server.url, key=key)
    assert "Authorization" not in server.asked[0].headers


@BOTH
def test_a_model_is_shown_no_number_and_no_name(language):
    paragraphs = [p for p in list_paragraphs(language)[:12] if not p.is_fixed]
    with serve_model(lambda text: text) as server:
        endpoint = Endpoint(server.url, "m")
        for paragraph in paragraphs:
            assert rewrite(paragraph, language, partial(ask_model, endpoint)) == paragraph.text
    assert len(server.asked) == len(paragraphs) > 6
    for asked, paragraph in zip(server.asked, paragraphs, strict=True):
        text = json.loads(asked.body)["messages"][1]["content"]
        assert not re.search(r"\d", text)
        assert not any(name in asked.body.decode() for name in paragraph.names)


ODD = [
    pytest.param(b"", id="empty"), pytest.param(b"<html>busy</html>", id="HTML"),
    pytest.param(b"\xff\xfe\x00", id="not in UTF-8"), pytest.param(b"[" * 100_000, id="deep"),
    pytest.param(b'{"choices":' * 50_000, id="deep mappings"),
    pytest.param(b"{}", id="no choices"), pytest.param(b'{"choices": []}', id="no choice"),
    pytest.param(b'{"choices": {"0": 1}}', id="a mapping of choices"),
    pytest.param(b'{"choices": [{"text": "x"}]}', id="another interface"),
    pytest.param(b"null", id="null"), pytest.param(b"1" * 10_000, id="endless number"),
    pytest.param(pack(None), id="null as text"), pytest.param(pack(["x" * 9999]), id="a list"),
    pytest.param(pack({"a": 1}), id="a mapping"), pytest.param(pack(5), id="a number"),
    pytest.param(pack("x")[:-4], id="JSON cut off"),
    pytest.param(pack("x" * LONGEST_ANSWER), id="too large"),
]  # fmt: skip


@pytest.mark.parametrize("content", ODD)
def test_an_answer_of_another_form_is_refused_in_a_short_message(content):
    with serve(reply(content)) as server, pytest.raises(ValueError, match="127") as error:
        ask(server.url)
    assert len(str(error.value)) < 400


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def send_half(handler):
    send(handler, pack("text")[:20], length=1000)
    hang_up(handler)


def send_half_a_chunk(handler):
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ff\r\n{")
    hang_up(handler)


def send_no_http(handler):
    handler.wfile.write(b"220 mail.example ESMTP\r\n\r\n")
    handler.close_connection = True


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_refusal_of_the_server_is_told_with_its_status(status):
    with (
        serve(reply(b"why: " + KEY.encode(), status=status)) as server,
        pytest.raises(OSError, match=rf"127.*answers {status}") as error,
    ):
        ask(server.url)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("answer", [
    pytest.param(hang_up, id="closes at once"), pytest.param(send_half, id="half an answer"),
    pytest.param(send_half_a_chunk, id="half a chunk"), pytest.param(send_no_http, id="no HTTP"),
])  # fmt: skip
def test_a_connection_that_breaks_is_told_with_the_address(answer):
    with serve(answer) as server, pytest.raises((OSError, ValueError), match="127") as error:
        ask(server.url)
    assert KEY not in str(error.value) and len(str(error.value)) < 500


def test_a_connection_that_is_reset_amid_the_answer_is_told_with_the_address():
    def reset(handler):
        send(handler, b"{", length=1000)
        handler.wfile.flush()
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")  # close with a reset
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()
        handler.close_connection = True

    with serve(reset) as server, pytest.raises((OSError, ValueError), match="127"):
        ask(server.url)


def test_a_server_that_stalls_is_left(monkeypatch):
    monkeypatch.setattr(rewriting, "TIMEOUT", 0.3)
    done = threading.Event()

    def stall(handler):
        send(handler, b"{", length=1000)
        done.wait(20)

    with serve(stall) as server, pytest.raises(OSError, match=r"can't be reached: TimeoutError"):
        ask(server.url)
    done.set()


def test_a_proxy_for_http_is_not_asked_as_it_would_see_the_key(monkeypatch):
    with serve_model(flatten) as server, serve(reply(b"{}")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert ask(server.url, "a text") == "a text"
    assert proxy.asked == []


def test_nobody_at_the_address_is_told_with_it():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(OSError, match=rf"{url}/chat/completions can't be reached"):
            ask(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(status):
    with serve(reply(pack("stolen"))) as other:
        answer = reply(b"", status=status, Location=f"{other.url}/chat/completions")
        with serve(answer) as server, pytest.raises(OSError, match=f"answers {status}"):
            ask(server.url)
    assert other.asked == [] and len(server.asked) == 1


@pytest.mark.parametrize("make", [
    pytest.param(lambda h: send(h, f"bad key {KEY}".encode()), id="in a body"),
    pytest.param(lambda h: send(h, b" " * 40 + KEY.encode()), id="in a body, where it is cut"),
    pytest.param(lambda h: h.wfile.write(f"HTTP/1.0 401 bad {KEY}\r\n\r\n".encode()),
                 id="as reason"),
    pytest.param(lambda h: h.wfile.write(f"{KEY}\r\n\r\n".encode()), id="as status line"),
    pytest.param(lambda h: send(h, pack([KEY])), id="in a list"),
    pytest.param(lambda h: send(h, KEY.replace("/", "\\/").encode()), id="spelt as JSON may"),
    pytest.param(lambda h: h.wfile.write(f"HTTP/1.0 401 {'x' * 380}{KEY}\r\n\r\n".encode()),
                 id="in a reason, where it is cut"),
])  # fmt: skip
def test_a_key_that_the_server_says_is_in_no_message(make):
    with serve(make) as server, pytest.raises((OSError, ValueError)) as error:
        ask(server.url)
    assert KEY[:8] not in str(error.value)


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX-Y: z", "a b", "용종", "a\x00", " x1", "\ud800"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(key):
    with pytest.raises(ValueError, match="the key has characters") as error:
        Endpoint("http://127.0.0.1:9", "m", key)
    assert key not in str(error.value)


def test_a_key_is_not_shown_with_its_endpoint():
    endpoint = Endpoint("http://127.0.0.1:9", "m", KEY)
    assert KEY not in repr(endpoint) and KEY not in str(endpoint)


@pytest.mark.parametrize("url", [
    "", "localhost:11434", "ftp://127.0.0.1", "file:///etc/passwd", "http://", "http:///v1",
    "javascript:alert", " http://127.0.0.1", "http://127.0.0.1:port", "http://127.0.0.1:99999",
    "http://[::1", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y", "http://a..b/",
    "http://127.0.0.1:9/용종", "http://me:secret@127.0.0.1/v1", "http://127.0.0.1/v1?x=1",
    "http://127.0.0.1/v1#x",
])  # fmt: skip
def test_an_address_of_something_else_is_refused(url):
    with pytest.raises(ValueError, match="is no plain http:// or https:// address") as error:
        Endpoint(url, "m")
    assert "secret" not in str(error.value)


# ------------------------------------------------------------------ command explain


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("EFFISEG_LANGUAGE_MODEL_KEY", raising=False)


@pytest.fixture
def table(tmp_path):
    """Four images of the committed table, the poorest first, and its limits."""
    images = pd.read_csv(IMAGES, dtype={"name": str}).sort_values("dice", kind="stable")
    images.iloc[[0, 1, 2, -1]].to_csv(tmp_path / "images.csv", index=False)
    shutil.copy(ROOT / "analysis/limits.csv", tmp_path / "limits.csv")
    return tmp_path / "images.csv"


def call(capsys, *words):
    """Exit code, what stands on the screen, and what is reported."""
    with pytest.raises(SystemExit) as stop:
        main(["explain", *map(str, words)])
    return stop.value.code, *capsys.readouterr()


def tell(table, language="en"):
    return [tell_image(row, language).text for row in read_rows(table).to_dict("records")]


@BOTH
def test_the_command_tells_the_poorest_images(capsys, table, language):
    code, out, err = call(capsys, table, "--language", language, "--worst", 2)
    assert (code, out, err) == (0, "\n\n".join(tell(table, language)[:2]) + "\n", "")


def test_the_command_tells_the_images_that_are_named_in_that_order(capsys, table):
    texts = dict(zip(read_rows(table)["name"], tell(table), strict=True))
    names = list(texts)[::-1][:2]
    assert call(capsys, table, *names)[:2] == (0, f"{texts[names[0]]}\n\n{texts[names[1]]}\n")


@BOTH
def test_the_command_tells_all_results(capsys, language):
    expected = "\n\n".join(p.text for p in tell_results(ROOT, language)) + "\n"
    assert call(capsys, ROOT, "--language", language) == (0, expected, "")


def test_an_image_that_is_not_there_is_named(capsys, table):
    code, out, err = call(capsys, table, "nobody\x1b[31m")
    assert (code, out) == (1, "") and "has no image 'nobody" in err and "4 rows" in err
    assert "\x1b" not in err


def test_a_folder_has_no_images_to_name(capsys):
    code, out, err = call(capsys, ROOT, "a")
    assert (code, out) == (1, "") and "is a folder" in err


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_a_source_that_is_not_there_or_no_results_is_named(capsys, tmp_path, name):
    code, out, err = call(capsys, tmp_path / name)
    assert (code, out) == (1, "") and str(tmp_path) in err and "Traceback" not in err


@pytest.mark.parametrize("words", [
    pytest.param([], id="no source"), pytest.param(["x", "--language", "de"], id="language"),
    pytest.param(["x", "--worst", "many"], id="worst in words"),
    pytest.param(["x", "--worst", "0"], id="none"), pytest.param(["x", "--worst", "-1"], id="-1"),
    pytest.param(["x", "--rewrite"], id="no address"), pytest.param(["x", "--key", "k"], id="key"),
])  # fmt: skip
def test_a_wrong_call_exits_with_2(capsys, words):
    assert call(capsys, *words)[0] == 2


@pytest.mark.parametrize("words", [
    ["--rewrite", "http://127.0.0.1:9"], ["--rewrite-model", "m"],
], ids=["no model", "no address"])  # fmt: skip
def test_an_address_and_a_model_belong_together(capsys, table, words):
    code, out, err = call(capsys, table, *words)
    assert (code, out) == (1, "") and "--rewrite and --rewrite-model belong together" in err


def test_an_address_that_is_none_is_refused(capsys, table):
    code, out, err = call(capsys, table, "--rewrite", "localhost:1", "--rewrite-model", "m")
    assert (code, out) == (1, "") and "'localhost:1' is no plain http:// or https:// address" in err


def polite(text):
    return text.replace("The model", "This model").replace("the model", "this model")


def test_a_good_rewording_is_shown_with_the_numbers_of_the_table(capsys, monkeypatch, table):
    monkeypatch.setenv("EFFISEG_LANGUAGE_MODEL_KEY", KEY)
    with serve_model(polite) as server:
        words = ["--rewrite", server.url, "--rewrite-model", "a\x1bmodel"]
        code, out, err = call(capsys, table, *words)
    texts = [polite(text) for text in tell(table)]
    last = "Reworded by a\\x1bmodel: the text of record is the one without it."
    assert (code, out, err) == (0, "\n\n".join([*texts, last]) + "\n", "")
    assert texts != tell(table) and len(server.asked) == len(texts)
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


def test_a_rewording_that_breaks_the_rules_leaves_the_text_and_exits_with_1(capsys, table):
    def change(text):
        return f"{text} See 3 others." if "unsure" in text else text

    texts = tell(table)
    with serve_model(change) as server:
        words = ["--rewrite", server.url, "--rewrite-model", "m"]
        code, out, err = call(capsys, table, *words)
    assert code == 1 and out.startswith("\n\n".join(texts))
    failed = [n for n, text in enumerate(texts, start=1) if "unsure" in text]
    assert failed and failed != [1, 2, 3, 4]
    assert err.splitlines() == [
        f"paragraph {n} stays as it was: it has a number that the template does not have: '3'"
        for n in failed
    ]


def test_what_can_be_claimed_is_not_sent_when_all_results_are_reworded(capsys):
    with serve_model(lambda text: text) as server:
        words = ["--rewrite", server.url, "--rewrite-model", "m"]
        code, out, err = call(capsys, ROOT, *words)
    paragraphs = tell_results(ROOT, "en")
    assert (code, err) == (0, "") and out.startswith("\n\n".join(p.text for p in paragraphs))
    sent = " ".join(json.loads(a.body)["messages"][1]["content"] for a in server.asked)
    assert len(server.asked) == len([p for p in paragraphs if not p.is_fixed])
    assert "medical device" not in sent and "confidence it lies" not in sent


def test_a_model_that_can_not_be_reached_is_told_without_the_key(capsys, monkeypatch, table):
    monkeypatch.setenv("EFFISEG_LANGUAGE_MODEL_KEY", KEY)
    with serve(reply(KEY.encode(), status=500)) as server:
        words = ["--rewrite", server.url, "--rewrite-model", "m"]
        code, out, err = call(capsys, table, *words)
    assert code == 1 and "answers 500" in err and len(err.splitlines()) == 1
    assert KEY not in out + err


def test_a_key_with_a_line_feed_is_refused_without_being_shown(capsys, monkeypatch, table):
    monkeypatch.setenv("EFFISEG_LANGUAGE_MODEL_KEY", f"{KEY}\n")
    words = ["--rewrite", "http://127.0.0.1:9", "--rewrite-model", "m"]
    code, out, err = call(capsys, table, *words)
    assert code == 1 and "the key has characters" in err and KEY not in out + err


def test_a_table_with_a_hostile_name_is_told_in_one_line_an_image(capsys, table):
    images = pd.read_csv(table, dtype={"name": str})
    images.loc[0, "name"] = "{x}[[A]]\n\x1b[2J"
    images.to_csv(table, index=False)
    code, out, _ = call(capsys, table, "--worst", 1)
    assert code == 0 and "For {x}[[A]]\\n\\x1b[2J the model" in out and len(out.splitlines()) == 1
    with serve_model(lambda text: text) as server:
        words = ["--rewrite", server.url, "--rewrite-model", "m", "--worst", 1]
        assert call(capsys, table, *words)[1].splitlines()[0] == out.splitlines()[0]
    assert "{x}" not in server.asked[0].body.decode()
