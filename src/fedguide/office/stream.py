"""A run as server-sent events: its rounds as they come, until it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict

from fedguide.office.federation import ENDED, Office, RunRow

LOOK_S = 0.5
_STILL_S = 15.0
"""After so long without news a comment is sent, so that nobody in between hangs up."""


async def events_of(office: Office, run: RunRow, look_s: float = LOOK_S) -> AsyncIterator[bytes]:
    """An event ``round`` for every round, and ``end`` with how the run stands.

    Rounds that are done come at once; an event's id is the number of its round.
    """
    shown, still_s = 0, 0.0
    while True:
        for one in run.rounds[shown:]:
            yield _event("round", asdict(one), one.round)
        still_s = 0.0 if len(run.rounds) > shown else still_s + look_s
        shown = max(shown, len(run.rounds))
        if run.status in ENDED:
            yield _event("end", {"status": run.status, "detail": run.detail}, shown)
            return
        if still_s >= _STILL_S:
            still_s = 0.0
            yield b": still here\n\n"
        await asyncio.sleep(look_s)
        run = await asyncio.to_thread(office.run, run.run)


def _event(name: str, data: object, number: int) -> bytes:
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    return f"event: {name}\nid: {number}\ndata: {text}\n\n".encode()
