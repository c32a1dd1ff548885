"""Waiting for something to change, without asking the database again and again.

A poll that finds nothing waits at a bell; whoever writes rings it. With several hub processes on
one database a bell rings only in the process that wrote, so a poll also looks again every
``recheck_s`` seconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fedguide.errors import BusyError, OverloadedError

R = TypeVar("R")


@dataclass
class Bells:
    """The bells of one hub process.

    Attributes:
        recheck_s: how often a waiting poll looks without having heard a bell.
        most: polls that may wait at once.
        most_each: polls of one member that may wait at once.
    """

    recheck_s: float
    most: int
    most_each: int
    _bells: dict[str, asyncio.Event] = field(default_factory=dict)
    _waiting: Counter[str] = field(default_factory=Counter)
    _closed: bool = False

    @property
    def waiting(self) -> int:
        """Polls that wait now."""
        return self._waiting.total()

    def ring(self, name: str) -> None:
        """Wakes everybody who waits at a bell."""
        bell = self._bells.pop(name, None)
        if bell is not None:
            bell.set()

    def close(self) -> None:
        """Wakes everybody for the last time: the process is about to end."""
        self._closed = True
        for name in list(self._bells):
            self.ring(name)

    async def wait(
        self, name: str, member: str, look: Callable[[], Awaitable[R | None]], wait_s: float
    ) -> R | None:
        """What ``look`` finds, at once or within ``wait_s`` seconds; ``None`` when nothing came.

        Raises:
            OverloadedError, BusyError: too many polls wait already, of all or of this member.
        """
        if self.waiting >= self.most:
            raise OverloadedError(f"{self.most} polls wait already, which is the most")
        if self._waiting[member] >= self.most_each:
            raise BusyError(f"{self.most_each} polls of {member} wait already, which is the most")
        self._waiting[member] += 1
        try:
            return await self._wait(name, look, wait_s)
        finally:
            self._waiting[member] -= 1
            if not self._waiting[member]:
                del self._waiting[member]

    async def _wait(
        self, name: str, look: Callable[[], Awaitable[R | None]], wait_s: float
    ) -> R | None:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            # The bell is taken before looking: what is written in between rings it.
            bell = self._bells.setdefault(name, asyncio.Event())
            found = await look()
            left_s = until - loop.time()
            if found is not None or left_s <= 0 or self._closed:
                return found
            try:
                async with asyncio.timeout(min(left_s, self.recheck_s)):
                    await bell.wait()
            except TimeoutError:
                continue
