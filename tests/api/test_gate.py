"""Overload: who waits too long is told to come back, the rest is answered, health never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from fedguide.api.app import create_app
from fedguide.api.gate import Gate
from tests.api.asking import ask, ask_all
from tests.guide.sample import a_guide

GUIDE = a_guide()
PATH = "/api/v1/recommend?user=shopper-07&k=3"


@pytest.mark.parametrize(("most", "asked", "answered"), [(4, 10, 4), (10, 10, 10), (1, 3, 1)])
def test_the_surplus_gets_503_and_the_rest_an_answer(most: int, asked: int, answered: int) -> None:
    app = create_app({"shop": GUIDE}, most_at_once=most, clock=lambda: 0.0)
    responses = ask_all(app, [PATH] * asked)
    statuses = sorted(response.status_code for response in responses)
    assert statuses == [200] * answered + [503] * (asked - answered)
    for response in responses:
        if response.status_code == 503:
            assert response.headers["retry-after"] == "1"
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["code"] == "FG429"
            assert f"at most {most} requests" in response.json()["detail"]


def test_the_gate_opens_again_also_after_errors() -> None:
    app = create_app({"shop": GUIDE}, most_at_once=1)
    for path in (PATH, "/api/v1/recommend", "/nowhere", PATH):
        assert ask(app, path).status_code != 503


def test_health_is_answered_while_the_gate_is_full() -> None:
    app = create_app({"shop": GUIDE}, most_at_once=1)
    responses = ask_all(app, [PATH, PATH, "/healthz", "/readyz"])
    assert [response.status_code for response in responses] == [200, 503, 200, 200]


class Desk:
    """A gate before an application that answers when it is told to; time stands still."""

    def __init__(self, most: int = 100, patience_s: float = 0.1) -> None:
        self.now = 0.0
        self.begun: list[str] = []
        self.refused: list[str] = []
        self.release: dict[str, asyncio.Event] = {}
        self.gate = Gate(self._app, most, patience_s, lambda: self.now, ["/health"])

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["path"])
        await self.release.setdefault(scope["path"], asyncio.Event()).wait()

    def arrive(self, path: str) -> asyncio.Task[None]:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 503
                self.refused.append(path)

        async def receive() -> Message:
            return {"type": "http.request"}

        scope = {"type": "http", "path": path, "headers": [], "query_string": b""}
        return asyncio.ensure_future(self.gate(scope, receive, send))

    def finish(self, path: str) -> None:
        self.release.setdefault(path, asyncio.Event()).set()


async def settle() -> None:
    """Until nothing happens any more by itself."""
    for _ in range(10):
        await asyncio.sleep(0)


def run(story: Callable[[Desk], Awaitable[None]], desk: Desk | None = None) -> None:
    async def told() -> None:
        await story(desk or Desk())

    asyncio.run(told())


def test_one_after_the_other_in_the_order_of_arrival() -> None:
    async def story(desk: Desk) -> None:
        tasks = [desk.arrive(path) for path in ("/a", "/b", "/c")]
        await settle()
        assert desk.begun == ["/a"]
        desk.finish("/a")
        await settle()
        assert desk.begun == ["/a", "/b"]
        desk.finish("/b")
        desk.finish("/c")
        await asyncio.gather(*tasks)
        assert desk.begun == ["/a", "/b", "/c"]
        assert not desk.refused

    run(story)


def test_who_waited_longer_than_the_patience_is_refused_in_its_turn() -> None:
    async def story(desk: Desk) -> None:
        tasks = [desk.arrive("/a"), desk.arrive("/old")]
        await settle()
        desk.now = 0.05
        tasks.append(desk.arrive("/young"))
        await settle()
        desk.now = 0.12  # /old has waited 120 ms, /young 70 ms; the limit is 100
        desk.finish("/a")
        await settle()
        assert desk.refused == ["/old"]
        assert desk.begun == ["/a", "/young"]
        desk.finish("/young")
        await asyncio.gather(*tasks)

    run(story)


def test_the_line_has_an_end() -> None:
    async def story(desk: Desk) -> None:
        tasks = [desk.arrive(path) for path in ("/a", "/b", "/c")]
        await settle()
        assert desk.refused == ["/c"]
        desk.finish("/a")
        desk.finish("/b")
        await asyncio.gather(*tasks)
        assert desk.begun == ["/a", "/b"]

    run(story, Desk(most=2))


def test_health_passes_the_line() -> None:
    async def story(desk: Desk) -> None:
        tasks = [desk.arrive(path) for path in ("/a", "/b", "/health")]
        await settle()
        assert desk.begun == ["/health", "/a"]
        for path in ("/a", "/b", "/health"):
            desk.finish(path)
        await asyncio.gather(*tasks)

    run(story)


@pytest.mark.parametrize("gone", ["/a", "/b", "/c"])
def test_a_request_that_goes_away_does_not_keep_the_turn(gone: str) -> None:
    async def story(desk: Desk) -> None:
        tasks = {path: desk.arrive(path) for path in ("/a", "/b", "/c")}
        await settle()
        tasks[gone].cancel()
        await settle()
        for path in tasks:
            desk.finish(path)
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        last = desk.arrive("/d")
        desk.finish("/d")
        await last
        assert desk.begun[-1] == "/d"
        assert not desk.refused

    run(story)


def test_going_away_at_any_step_never_locks_the_gate() -> None:
    async def story(steps: int) -> None:
        desk = Desk()
        tasks = [desk.arrive("/a"), desk.arrive("/b")]
        desk.finish("/a")
        desk.finish("/b")
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        last = desk.arrive("/d")
        desk.finish("/d")
        await last
        assert desk.begun[-1] == "/d"

    for steps in range(8):
        asyncio.run(story(steps))
