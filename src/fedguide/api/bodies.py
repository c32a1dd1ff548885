"""Request bodies: read whole before a request stands in line, and never without end.

A request's turn (see ``gate``) is not the time to wait for its sender: whoever uploads a byte a
second would keep everybody else waiting. So a body is read first, up to a size and a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedguide.api.problems import SLOW, TOO_LARGE, problem

LARGEST_BODY_BYTES = 1 << 20
LONGEST_S = 10.0


class Bodies:
    """An ASGI layer that reads a request's body before it is passed on.

    Args:
        app: what is behind it.
        largest: bytes; a larger body gets 413.
        longest_s: seconds until the whole body is here, else 408.
    """

    def __init__(
        self, app: ASGIApp, largest: int = LARGEST_BODY_BYTES, longest_s: float = LONGEST_S
    ) -> None:
        self._app = app
        self._largest = largest
        self._longest_s = longest_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the body and passes the request on, or refuses it."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._longest_s):
                body = await self._read(receive)
        except TimeoutError:
            detail = f"the body was not here after {self._longest_s:g} s"
            await problem(Request(scope), 408, SLOW, detail)(scope, receive, send)
            return
        if body is None:
            return  # the sender has gone
        if len(body) > self._largest:
            detail = f"a body has at most {self._largest} bytes"
            await problem(Request(scope), 413, TOO_LARGE, detail)(scope, receive, send)
            return
        first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return first.pop() if first else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, cut one byte after the limit; ``None`` when the sender has gone."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._largest:
                return bytes(body[: self._largest + 1])
            if not message.get("more_body", False):
                return bytes(body)


def _has_body(scope: Scope) -> bool:
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
