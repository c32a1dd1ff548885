"""The client against real servers on this machine: ours, and ones that misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uvicorn
from starlette.types import ASGIApp

from fedguide import errors
from fedguide.api.app import create_app
from fedguide.api.asked_wire import SessionEvent
from fedguide.api.client import Client
from fedguide.api.receiving import SentEvent
from fedguide.api.server import listen
from fedguide.api.stocking import SentItem
from fedguide.errors import (
    ConfigError,
    ConnectionFailedError,
    FedGuideError,
    InputError,
    MalformedError,
    NotAuthorizedError,
    NotFoundError,
    OverloadedError,
    RoleError,
    RunError,
    TimedOutError,
    kinds_by_code,
)
from tests.api.serving import served
from tests.guide.sample import a_card, a_guide, a_model

KEY = "not-to-be-seen-4711"
Reply = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def _serving(app: ASGIApp) -> Iterator[str]:
    """A real uvicorn server in a thread; gives its address once it answers."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@contextmanager
def _answering(*replies: Reply) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives these replies in turn, the last for ever; and what it was sent."""
    left, seen = list(replies), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers.items()) | {":path": self.path})
            (left.pop(0) if len(left) > 1 else left[0])(self)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def _sends(status: int, body: bytes = b"", **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


SHOPS = _sends(200, b'{"shops": []}')


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    north, south = a_guide(card=a_card("north")), a_guide(a_model(copies=2), a_card("南店"))
    with _serving(create_app({"north": north, "南店": south})) as found:
        yield found


def test_every_route_is_one_call_and_gives_what_the_server_has(address: str) -> None:
    visit = (SessionEvent("view", "sku-0003"), SessionEvent("search", query="mug"))
    with Client(address) as shop:
        assert [one.shop for one in shop.shops().shops] == ["north", "南店"]
        recommended = shop.recommend("shopper-07", 3, "both")
        assert (recommended.source, recommended.slate) == ("personal", "both")
        assert shop.search("mug", 4).items[0].matched
        assert len(shop.similar("sku-0001", 5).items) == 5
        assert shop.item("sku-0001").item_id == "sku-0001"
        answer = shop.guide("红色陶瓷杯", user="shopper-07", session=visit, k=3)
        assert (answer.lang, answer.voice, answer.shop) == ("zh", "engine", "north")
        chips = [chip.code for chip in shop.guide("mug").chips[:1]]
        assert shop.guide("mug", chips=chips).active == tuple(chips)
        assert shop.session(visit, k=4).source == "personal"
        ranked = shop.rank(["sku-0001", "sku-0002"], query="mug")
        assert {item.item_id for item in ranked.items} == {"sku-0001", "sku-0002"}
        assert shop.compare("sku-0001", "sku-0002", user="shopper-07").source == "personal"


def test_a_shop_is_asked_by_its_name(address: str) -> None:
    with Client(address, shop="南店") as shop:
        assert shop.recommend("shopper-07").shop == "南店"
        assert shop.guide("mug").shop == "南店"
    with Client(address, shop="west") as shop, pytest.raises(NotFoundError, match="west"):
        shop.search("mug")


def test_a_refusal_is_the_error_of_its_code_in_the_server_s_words(address: str) -> None:
    with Client(address) as shop:
        with pytest.raises(NotFoundError, match="'no/such item'"):
            shop.item("no/such item")
        with pytest.raises(ConfigError, match="k must be in") as raised:
            shop.search("mug", 0)
        assert raised.value.exit_code == 4
        with pytest.raises(ConfigError, match="kind must be one of"):
            shop.session([SessionEvent("like", "sku-0001")])


def test_an_overloaded_server_is_asked_again_when_it_says() -> None:
    busy = _sends(503, b'{"code": "FG429", "detail": "too much"}', retry_after="2")
    paused: list[float] = []
    with _answering(busy, busy, SHOPS) as (where, seen), Client(where, pause=paused.append) as shop:
        assert shop.shops().shops == ()
    assert paused == [2.0, 2.0]
    assert len(seen) == 3


def test_patience_ends_and_the_last_refusal_is_raised() -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    busy = _sends(503, retry_after="4")
    with (
        _answering(busy) as (where, seen),
        Client(where, patience_s=10, clock=lambda: now[0], pause=pause) as shop,
        pytest.raises(OverloadedError) as raised,
    ):
        shop.shops()
    assert raised.value.retry_after_s == 4.0
    assert now[0] == 8.0
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, RunError), (302, RunError), (405, InputError), (408, TimedOutError), (413, InputError)],
)
def test_answers_that_are_no_problem_documents(status: int, kind: type[FedGuideError]) -> None:
    reply = _sends(status, b"<html>", location="http://127.0.0.1:1/")
    with _answering(reply) as (where, _), Client(where) as shop, pytest.raises(kind):
        shop.shops()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"shops": 3}', b"\xff", b'{"shops"'])
def test_an_answer_of_another_shape_is_malformed(body: bytes) -> None:
    with (
        _answering(_sends(200, body)) as (where, _),
        Client(where) as shop,
        pytest.raises(MalformedError),
    ):
        shop.shops()


def test_nobody_there_and_nobody_answering() -> None:
    over = threading.Event()
    with _answering(lambda _: over.wait(10)) as (where, _):
        with Client(where, timeout_s=0.2) as shop, pytest.raises(TimedOutError):
            shop.shops()
        over.set()
    with Client(where) as shop, pytest.raises(ConnectionFailedError, match="was not reached"):
        shop.shops()


def test_the_key_is_sent_and_shown_nowhere() -> None:
    refused = _sends(401, b'{"code": "FG221", "detail": "the key is not accepted"}')
    with _answering(SHOPS, refused) as (where, seen), Client(where, KEY) as shop:
        shop.shops()
        assert seen[0]["authorization"] == f"Bearer {KEY}"
        with pytest.raises(NotAuthorizedError) as raised:
            shop.shops()
        assert KEY not in repr(shop) + repr(raised.value) + str(vars(shop))


@pytest.mark.parametrize("address", ["", "shop", "ftp://shop", "http://", "http://[::1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError):
        Client(address)
    with pytest.raises(ConfigError, match="the key"):
        Client("http://shop", "two\nlines")


def test_events_need_a_key_and_count_once(tmp_path: Path) -> None:
    guide = a_guide()
    sent = [SentEvent(name, "shopper-07", "view", "sku-0001") for name in ("1", "2")]
    with served(tmp_path, {guide.shop: guide}) as one, _serving(one.app) as where:
        with Client(where) as nobody, pytest.raises(NotAuthorizedError):
            nobody.events(sent)
        with Client(where, one.texts["auditor"]) as auditor, pytest.raises(RoleError):
            auditor.events(sent)
        with Client(where, one.texts["shop"]) as shop:
            assert shop.events(sent).accepted == 2
            assert shop.events(sent).known == 2
            assert shop.items([SentItem("cup", "Cup")]).added == 1
            assert shop.items([SentItem("cup", "Cup")]).same == 1


def test_every_kind_of_error_has_a_code_of_its_own() -> None:
    kinds = kinds_by_code()
    assert kinds["FG404"] is NotFoundError
    every = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    own = {kind for kind in every if issubclass(kind, FedGuideError)}
    assert {kind.code: kind for kind in own} == kinds
    assert len(kinds) == len(own)
