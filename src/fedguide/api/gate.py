"""Overload: requests wait their turn for a moment, and whoever waited too long is sent away.

Answers are computed in the event loop, one after the other, so the line is the only queue there
is. Between two of them the loop looks at its sockets: a request that asks only whether the process
is alive is answered at once, and everybody who has arrived stands in line with the time of arrival.

Who is refused waits first, on purpose. Sending 503 costs a seventh of an answer; callers that were
sent away at once and came back at once would leave no time for answers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fedguide.api.problems import OVERLOADED, problem


class Gate:
    """An ASGI layer that lets one request in at a time.

    Args:
        app: what is behind the gate.
        most: requests that may be inside or in line; one more gets 503 at once.
        patience_s: whoever has waited longer when its turn comes gets 503.
        clock: gives seconds that never go back.
        open_paths: paths that do not wait.
        open_prefixes: beginnings of paths that do not wait.
    """

    def __init__(
        self,
        app: ASGIApp,
        most: int,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        open_paths: Collection[str] = (),
        open_prefixes: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._most = most
        self._patience_s = patience_s
        self._clock = clock
        self._open_paths = frozenset(open_paths)
        self._open_prefixes = open_prefixes
        self._busy = False
        self._line: deque[tuple[float, asyncio.Future[bool]]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on in its turn, or answers 503."""
        if scope["type"] != "http" or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        if not await self._turn():
            detail = (
                f"at most {self._most} requests may wait, and none longer than "
                f"{1000 * self._patience_s:.0f} ms"
            )
            refusal = problem(Request(scope), 503, OVERLOADED, detail, "try again in a second")
            await refusal(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._next()

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(self._open_prefixes)

    async def _turn(self) -> bool:
        """Waits for this request's turn; ``False`` when it is refused."""
        if not self._busy:
            self._busy = True
            try:
                # Lets all who have already arrived stand in line before this one computes.
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                self._next()
                raise
            return True
        if 1 + len(self._line) >= self._most:
            return False
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._line.append((self._clock(), turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._next()  # the turn came, but its request has gone
            raise

    def _next(self) -> None:
        """Gives the turn to the first in line who has not waited too long, and refuses those."""
        now = self._clock()
        while self._line:
            arrived, turn = self._line.popleft()
            if turn.done():
                continue
            patient = now - arrived <= self._patience_s
            turn.set_result(patient)
            if patient:
                return
        self._busy = False
