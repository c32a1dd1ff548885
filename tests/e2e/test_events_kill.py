"""A server is killed while it takes events: none it accepted is lost, none is there twice."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from fedguide.api.tables import EVENTS, looking, open_service

pytestmark = pytest.mark.e2e

KILLS, SENDERS, EACH = 3, 3, 5
PATH = "/api/v1/events?shop=north"


@dataclass
class Sending:
    """What three senders share: what they sent, what was accepted, when to stop."""

    sent: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    enough: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)

    def send(self, address: str, key: str, name: str) -> None:
        with httpx.Client(headers={"authorization": f"Bearer {key}"}) as client:
            for number in itertools.count():
                batch = [event(f"{name}-{number}-{n}") for n in range(EACH)]
                self.sent[f"{name}-{number}"] = batch
                try:
                    response = client.post(f"{address}{PATH}", json={"events": batch})
                except httpx.HTTPError:
                    return  # killed before the answer: nobody was told anything
                assert response.status_code == 200, response.text
                self.accepted.update(one["id"] for one in batch)
                if number >= 10:
                    self.enough.set()
                if self.stop.is_set():
                    return


def test_no_accepted_event_is_lost_and_none_doubled(tmp_path: Path) -> None:
    accepted: set[str] = set()
    sent: dict[str, list[dict[str, str]]] = {}
    for life in range(KILLS):
        with a_server(tmp_path) as (process, address, key):
            sending = Sending(sent, accepted)
            threads = [
                threading.Thread(target=sending.send, args=(address, key, f"{life}-{n}"))
                for n in range(SENDERS)
            ]
            for thread in threads:
                thread.start()
            assert sending.enough.wait(60)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
            sending.stop.set()
            for thread in threads:
                thread.join(20)
        there = kept(tmp_path)
        assert accepted <= set(there)
        assert max(there.values()) == 1
        # What is there was sent: a killed batch is there whole or not at all.
        for batch in sent.values():
            assert sum(one["id"] in there for one in batch) in (0, EACH)
    # Everything again, as a sender does that had no answer: known or new, and each once.
    with a_server(tmp_path) as (_, address, key):
        before = set(kept(tmp_path))
        for batch in sent.values():
            body = {"events": batch}
            told = httpx.post(
                f"{address}{PATH}",
                json=body,
                headers={"authorization": f"Bearer {key}"},
            ).json()
            assert told["known"] == sum(one["id"] in before for one in batch)
            assert told["accepted"] == EACH - told["known"]
    there = kept(tmp_path)
    assert set(there) == {one["id"] for batch in sent.values() for one in batch}
    assert max(there.values()) == 1


def event(name: str) -> dict[str, str]:
    return {"id": name, "user": "shopper-07", "kind": "view", "item": "sku-0033"}


def kept(folder: Path) -> Counter[str]:
    database = open_service(str(folder / "serve.db"))
    with looking(database) as db:
        ids = Counter(db.execute(select(EVENTS.c.id)).scalars())
    database.close()
    return ids


class a_server:  # noqa: N801 - reads as a sentence
    """A server process over the folder, its address and a shop's key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> tuple[subprocess.Popen[str], str, str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.served", str(self._folder)],
            cwd=Path(__file__).resolve().parents[2],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        keys = json.loads(self._process.stdout.readline())
        return self._process, address, keys["shop"]

    def __exit__(self, *_reason: object) -> None:
        self._process.kill()
        self._process.wait(20)
        if self._process.stdout is not None:
            self._process.stdout.close()
