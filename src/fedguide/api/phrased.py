"""Lets a language model phrase the answers of ``POST /guide``, outside everybody's turn.

The guide answers one request at a time (see ``gate``). A model takes a thousand times as long, so
it is asked before the gate's answer leaves this process and after the turn has gone to the next.
"""

from __future__ import annotations

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedguide.api.asked_wire import Guided
from fedguide.api.described_asking import ASKING_PATHS
from fedguide.guide.voice import Found, Voice, found_of

_decoder = msgspec.json.Decoder(Guided)


class Phrased:
    """An ASGI layer around the gate.

    Args:
        app: the gate and what is behind it.
        voice: phrases one answer.
    """

    def __init__(self, app: ASGIApp, voice: Voice) -> None:
        self._app = app
        self._voice = voice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, and has a guide's answer phrased."""
        if scope["type"] != "http" or scope["path"] != ASKING_PATHS["guide"]:
            await self._app(scope, receive, send)
            return
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, receive, hold)
        for message in await self._phrased(held):
            await send(message)

    async def _phrased(self, held: list[Message]) -> list[Message]:
        start, body = held[0], b"".join(message.get("body", b"") for message in held[1:])
        if start["status"] != 200:
            return held
        answer = _decoder.decode(body)
        said = await self._voice(_found(answer))
        body = msgspec.json.encode(
            msgspec.structs.replace(answer, said=said.text, voice=said.voice)
        )
        headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        return [
            {**start, "headers": headers},
            {"type": "http.response.body", "body": body, "more_body": False},
        ]


def _found(answer: Guided) -> Found:
    items = [(item.title or item.item_id, item.price) for item in answer.items]
    return found_of(
        answer.lang,
        answer.understood,
        answer.unknown,
        answer.total,
        items,
        answer.currency,
        answer.said,
    )
