"""A home folder with a hub, a run over it, a task to decide, a ledger and two releases."""

from __future__ import annotations

import datetime
import json
import os
import time
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from fedguide.cli.coordinate import book_of
from fedguide.cli.folders import signing_key
from fedguide.cli.ledgers import opened, own_place
from fedguide.cli.party import desk_of
from fedguide.codec import encode
from fedguide.config import PrivacySettings, Settings
from fedguide.crypto.signing import make_key, sign
from fedguide.horizontal.algorithm import ServerState
from fedguide.models.release import PURPOSE, Signer, save_release
from fedguide.privacy.events import Event
from fedguide.privacy.mechanisms import Gaussian
from fedguide.privacy.spend import Budget, Charge
from fedguide.protocol import Missing
from fedguide.runtime import homes
from fedguide.runtime.hub_tables import PARTIES, open_database
from fedguide.runtime.journal import Checkpoint
from fedguide.runtime.proposal import proposal_bytes
from fedguide.runtime.rounds import RoundReport, RunState
from fedguide.values import PartyId
from tests.guide.sample import a_card, a_model
from tests.runtime.hub_world import proposal_of

SHOPS = ("north", "south", "west")
RUN, TASK = "spring", "summer"


def settings_of(home: Path) -> Settings:
    return Settings(home=home, privacy=PrivacySettings(party="north"))


def fill_home(home: Path) -> Settings:
    """Everything the console shows; figures are such that none could be another's."""
    settings = settings_of(home)
    now = datetime.datetime.now(datetime.UTC)
    homes.create_federation(home, homes.Federation("market", "https://127.0.0.1:1", ("x",)), now)
    _enrol(home)
    _run(settings)
    _task(settings)
    _charge(settings)
    for version, made in (("first", "2026-03-02T08:00:00Z"), ("second", "2026-04-02T08:00:00Z")):
        _release(home, version, made)
    (home / "latest").write_text("second", "utf-8")
    return settings


def rounds(count: int) -> tuple[RoundReport, ...]:
    return tuple(
        RoundReport(
            round=number,
            seconds=1.5 + number,
            loss=3.0 / number,
            examples=1000 + number,
            score=0.05 * number,
            parties=tuple(map(PartyId, SHOPS[:2])),
            missing=(Missing(PartyId("west"), "late"),),
            bytes_down=70_000,
            bytes_up=61_000,
        )
        for number in range(1, count + 1)
    )


def put_rounds(settings: Settings, count: int) -> None:
    """Writes the journal as if so many rounds were done."""
    params = np.zeros(8, np.float32)
    server = ServerState(count, params, np.zeros(0, np.float32))
    state = RunState(server, params, count, rounds(count))
    with book_of(settings) as (_, journal):
        journal.put_checkpoint(RUN, Checkpoint(count, count, encode(state)))


def _enrol(home: Path) -> None:
    engine = open_database(f"sqlite:///{home / 'hub' / 'hub.db'}")
    with engine.begin() as db:
        for name in SHOPS:
            key, seen = str(make_key().public), time.time() if name == "north" else None
            row = {"party": name, "key": key, "role": "party", "status": "admitted"}
            db.execute(insert(PARTIES).values(**row, enrolled_s=time.time(), seen_s=seen))
    engine.dispose()


def _run(settings: Settings) -> None:
    proposal = proposal_of(RUN, 8, SHOPS, rounds=12, purpose="recommend & compare")
    with book_of(settings) as (book, _):
        book.begin(proposal, time.time())
        book.set_cohort(RUN, tuple(map(PartyId, SHOPS)))
    put_rounds(settings, 3)


def _task(settings: Settings) -> None:
    member = homes.Membership("market", "north", "https://127.0.0.1:1", "", "")
    homes.save_membership(settings.home, member)
    with desk_of(settings) as desk:
        desk.see(TASK, proposal_bytes(proposal_of(TASK, 8, SHOPS, rounds=7)), "open")


def _charge(settings: Settings) -> None:
    place = own_place(settings)
    with opened(place) as ledger:
        for number in range(2):
            event = Event("spring", Gaussian(40.0, 1.0))
            charge = Charge("north", "spring", number, "recommend", (event,))
            ledger.charge(charge, Budget(8.0))


def _release(home: Path, version: str, made: str) -> None:
    import dataclasses

    shop = home / "runs" / version / "shops" / "north"
    shop.mkdir(parents=True)
    (home / "runs" / version / "run.json").write_text(json.dumps({"shops": []}), "utf-8")
    key = signing_key(home)
    signer = Signer(key.public, lambda message: sign(key, PURPOSE, message))
    card = dataclasses.replace(a_card("north"), made=made)
    save_release(shop / "release", a_model(), card, signer)
    stamp = datetime.datetime.fromisoformat(made).timestamp()
    os.utime(home / "runs" / version / "run.json", (stamp, stamp))
