"""Overload: at most so many requests at once, the rest are told to come back.

Answers are computed in the event loop, one after the other, so a queue would only be a wait.
Every request that has arrived is counted before the first is computed; whoever finds the gate
full gets 503 with ``Retry-After`` at once.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fedguide.api.problems import OVERLOADED, problem


class Gate:
    """An ASGI layer that lets at most ``most`` requests in."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers 503."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._inside >= self._most:
            detail = f"{self._most} requests are being answered, no more are taken at once"
            refusal = problem(Request(scope), 503, OVERLOADED, detail, "try again in a second")
            await refusal(scope, receive, send)
            return
        self._inside += 1
        try:
            # Lets every request that has already arrived be counted before this one computes.
            await asyncio.sleep(0)
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
