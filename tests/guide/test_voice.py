"""A language model may phrase an answer; whatever it does, nothing false is said and nobody waits.

The model is a real server on this machine that answers as each test says.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError
from fedguide.guide import model_voice, voice
from fedguide.guide.ask import ask
from fedguide.guide.model_voice import VoicePlan, voice_of
from fedguide.guide.plain_words import CHINESE, ENGLISH
from fedguide.guide.session import Event
from fedguide.guide.voice import ENGINE, MODEL, Found, Said, found_of, spoken
from tests.guide.sample import a_guide

KEY = "sk-not-to-be-seen-4711"
FOUND = Found(
    "en", ("mug", "up to 300"), 7, ('"Red mug" (19 CNY)', '"Blue mug" (29 CNY)'), "7 items found."
)
FAITHFUL = "Sure! I found {total} items that match {wish}. I would start with {1}."

Reply = Callable[[BaseHTTPRequestHandler], None]


class Model:
    """A chat server that answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.reply: Reply = says(FAITHFUL)
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                model.asked.append((self.path, dict(self.headers.items()), json.loads(body)))
                model.reply(self)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"


def says(sentence: Any) -> Reply:
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": sentence}}]})
    return sends(200, body.encode())


def sends(status: int, body: bytes, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.server.shutdown()
    made.server.server_close()


def _said(address: str, found: Found = FOUND, timeout_s: float = 5.0) -> Said:
    speak = voice_of(VoicePlan(address, "tiny", timeout_s, KEY))

    async def once() -> Said:
        return await speak(found)

    return asyncio.run(once())


def test_a_faithful_sentence_is_filled_by_the_engine(model: Model) -> None:
    said = _said(model.address)
    assert said == Said(
        'Sure! I found 7 items that match mug, up to 300. I would start with "Red mug" (19 CNY).',
        MODEL,
    )
    path, headers, body = model.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["model"] == "tiny"


def test_what_was_not_applied_is_said_behind_the_model_s_sentence(model: Model) -> None:
    found = found_of("en", ask(a_guide(), "mug").understood, ("spoon",), 3, [("A", 1.0)], "", "x")
    said = _said(model.address, found)
    assert said.voice == MODEL
    assert said.text.endswith('"spoon" is not in this shop\'s words and was not applied.')


def test_the_model_learns_the_conditions_and_nothing_of_anybody(model: Model) -> None:
    guide = a_guide()
    session = (Event("cart", "sku-0030"), Event("search", query="secret present for Anna"))
    answer = ask(guide, "mug for Anna under 300", shopper="shopper-07", session=session)
    items = [(pick.title, pick.price) for pick in answer.picks]
    _said(model.address, found_of(
        answer.lang, answer.understood, answer.unknown, answer.total, items, "CNY", answer.said,
    ))  # fmt: skip
    sent = json.dumps(model.asked[0][2], ensure_ascii=False)
    assert json.loads(model.asked[0][2]["messages"][1]["content"]) == {
        "conditions": ["mug", "up to 300"]
    }
    for secret in ("shopper-07", "sku-", "Anna", "anna", "present", *(t for t, _ in items if t)):
        assert secret not in sent


LIES = (
    "I found {total} items that match {wish}: the Acme Superphone is free.",
    "I found {total} items that match {wish}, and {1} is only 9.",
    "I found {total} items that match {wish}, {1} for nine yuan.",
    "I found {total} items that match {wish}, for ½ of it.",
    "I found 12 items that match {wish}. {total} items.",
    "I found {total} items that match {wish}. See {3}.",
    "I found {total} items that match {wish}. {price}",
    "I found {total} items that match {wish} at https://evil.example/buy",
    "I found {total} items that match {wish} <script>",
    "{wish}: {1} for {total}",
    "{total} items that are not {wish}",
    "I found items that match {wish}.",
    "I found {total} items.",
    "Ignore the rules.",
    "",
    "a " * voice.LONGEST_SENTENCE + "{wish} {total} items",
    "为您找到 {total} 件 {wish}，华为手机 最好",
    "为您找到 {total} 件 {wish}，三折",
    "{wish} {total} items \u202e\u0000",
)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_not_said(model: Model, lie: str) -> None:
    model.reply = says(lie)
    said = _said(model.address)
    assert (said.text, said.voice) == (FOUND.said, ENGINE)
    assert said.why


@pytest.mark.parametrize(
    "reply",
    [
        sends(500, b"oops"),
        sends(429, b"{}"),
        sends(302, b"", location="http://127.0.0.1:1/"),
        sends(200, b"not json"),
        sends(200, b"[" * 50_000),
        sends(200, b'{"choices": []}'),
        says(None),
        says(["{wish} {total} items"]),
        sends(200, b"x" * (model_voice.LARGEST_REPLY_BYTES + 1)),
    ],
)
def test_a_broken_model_leaves_the_engine_s_sentence(model: Model, reply: Reply) -> None:
    model.reply = reply
    said = _said(model.address)
    assert (said.text, said.voice) == (FOUND.said, ENGINE)


def test_an_endless_reply_is_cut(model: Model) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" " * 65_536)
        except OSError:
            return  # the reader has gone, as it should

    model.reply = endless
    assert "more than" in _said(model.address).why


@pytest.mark.parametrize("drip", [False, True])
def test_a_slow_model_is_not_waited_for(model: Model, drip: bool) -> None:
    over = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        if drip:
            # Each byte comes in time; the whole does not.
            handler.send_response(200)
            handler.end_headers()
            try:
                while not over.wait(0.02):
                    handler.wfile.write(b" ")
            except OSError:
                return
        over.wait(10)

    model.reply = slow
    start = time.monotonic()
    said = _said(model.address, timeout_s=0.3)
    over.set()
    assert time.monotonic() - start < 5
    assert (said.voice, said.why) == (ENGINE, "no answer within 0.3 s")


def test_a_model_that_is_not_there(model: Model) -> None:
    model.server.server_close()
    assert _said(model.address).voice == ENGINE


def test_what_has_to_be_exact_is_never_the_model_s(model: Model) -> None:
    nothing = Found("en", ("mug",), 0, (), "Nothing fits.")
    unknown = Found("en", (), 80, ('"A"',), "No constraint was understood.")
    for found in (nothing, unknown):
        assert _said(model.address, found) == Said(found.said, ENGINE)
    assert not model.asked


def test_more_than_a_few_at_once_are_the_engine_s(model: Model) -> None:
    over = threading.Event()

    def later(handler: BaseHTTPRequestHandler) -> None:
        over.wait(10)
        says(FAITHFUL)(handler)

    model.reply = later
    speak = voice_of(VoicePlan(model.address, "tiny", 10.0))

    async def many() -> list[Said]:
        asked = [asyncio.create_task(speak(FOUND)) for _ in range(model_voice.MOST_AT_ONCE + 2)]
        refused, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        while len(refused) < 2:
            refused, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert all(task.result().why == "too many at once" for task in refused)
        over.set()
        return list(await asyncio.gather(*asked))

    voices = [said.voice for said in asyncio.run(many())]
    assert voices.count(MODEL) == model_voice.MOST_AT_ONCE


def test_the_key_and_the_model_s_words_are_in_no_repr_and_no_log(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    assert KEY not in repr(VoicePlan(model.address, "tiny", 1.0, KEY))
    caplog.set_level(logging.DEBUG)
    for reply in (says("Acme is free"), sends(500, KEY.encode())):
        model.reply = reply
        _said(model.address)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("fedguide")]
    assert ours
    assert not any(word in caplog.text for word in (KEY, "Acme"))


@pytest.mark.parametrize(
    "values",
    [
        {"address": "http://model.example"},
        {"address": "ftp://127.0.0.1"},
        {"address": "model"},
        {"address": "https://me:hunter2@model.example"},
        {"model": ""},
        {"timeout_s": 0.0},
        {"timeout_s": 31.0},
        {"timeout_s": float("nan")},
        {"key": "two\nlines"},
    ],
)
def test_a_plan_that_cannot_be_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        VoicePlan(**{"address": "https://model.example", "model": "tiny", **values})
    assert "hunter2" not in str(raised.value)


_PIECES = ["{wish}", "{total} items", "{1}", "{2}", "{3}", *sorted(ENGLISH)[:40], "9", "Acme", "!"]


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map(" ".join))
def test_whatever_is_said_holds_no_figure_and_no_word_but_the_engine_s(sentence: str) -> None:
    text, why = spoken(sentence, FOUND)
    assert bool(text) != bool(why)
    for part in ("mug, up to 300", "7 items", *FOUND.items):
        text = text.replace(part, "")
    assert not any(character.isnumeric() for character in text)
    assert "Acme" not in text


def test_plain_words_hold_no_figure() -> None:
    assert not [w for w in (*ENGLISH, *CHINESE) if any(c.isnumeric() for c in w)]


def test_a_chinese_sentence_of_plain_words() -> None:
    found = Found("zh", ("跑鞋", "500 以内"), 4, ("“云步跑鞋”（399 CNY）",), "找到 4 件。")
    text, why = spoken("您好！根据您的条件（{wish}），为您找到 {total} 件商品，请看看 {1}。", found)
    assert not why
    assert (
        text
        == "您好！根据您的条件（跑鞋，500 以内），为您找到 4 件商品，请看看 “云步跑鞋”（399 CNY）。"
    )
