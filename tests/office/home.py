"""A home folder with a hub, a run over it, a task to decide, a ledger, two releases, an audience.

A home of another ``turn`` has the same rows under the same names, and another value in every one.
"""

from __future__ import annotations

import datetime
import json
import os
import time
from pathlib import Path

import numpy as np
from sqlalchemy import insert

from fedguide.cli import released
from fedguide.cli.audience_store import Prospect
from fedguide.cli.audience_store import save as save_audience
from fedguide.cli.coordinate import book_of
from fedguide.cli.folders import signing_key
from fedguide.cli.ledgers import own_place
from fedguide.cli.party import desk_of
from fedguide.codec import encode
from fedguide.config import PrivacySettings, Settings
from fedguide.crypto.signing import make_key, sign
from fedguide.horizontal.algorithm import ServerState
from fedguide.models.card import Metric
from fedguide.models.release import PURPOSE, Signer, save_release
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import open_ledger
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


def fill_home(home: Path, turn: int = 0) -> Settings:
    """Everything the console shows; figures are such that none could be another's."""
    settings = settings_of(home)
    now = datetime.datetime.now(datetime.UTC)
    homes.create_federation(home, homes.Federation("market", "https://127.0.0.1:1", ("x",)), now)
    _enrol(home, turn)
    _run(settings, turn)
    _task(settings, turn)
    _charge(settings, turn)
    for version, made in (
        ("first", f"2026-03-0{2 + turn}T08:00:00Z"),
        ("second", f"2026-04-0{2 + turn}T08:00:00Z"),
    ):
        _release(home, version, made, turn)
    _audience(home, turn)
    _ad_report(home, turn)
    (home / "latest").write_text("second", "utf-8")
    return settings


def rounds(count: int, turn: int = 0) -> tuple[RoundReport, ...]:
    return tuple(
        RoundReport(
            round=number,
            seconds=1.5 + number + 10 * turn,
            loss=(3.0 + turn) / number,
            examples=1000 + number + 500 * turn,
            score=0.05 * number + 0.01 * turn,
            parties=tuple(map(PartyId, SHOPS[turn:2])),
            missing=tuple(Missing(PartyId(name), "late") for name in SHOPS[2 - turn :]),
            bytes_down=70_000 + turn,
            bytes_up=61_000 + 9_000 * turn,
        )
        for number in range(1, count + 1)
    )


def put_rounds(settings: Settings, count: int, turn: int = 0) -> None:
    """Writes the journal as if so many rounds were done."""
    params = np.zeros(8, np.float32)
    server = ServerState(count, params, np.zeros(0, np.float32))
    state = RunState(server, params, count, rounds(count, turn))
    with book_of(settings) as (_, journal):
        journal.put_checkpoint(RUN, Checkpoint(count, count, encode(state)))


def _enrol(home: Path, turn: int) -> None:
    engine = open_database(f"sqlite:///{home / 'hub' / 'hub.db'}")
    with engine.begin() as db:
        for name in SHOPS:
            now = time.time() - turn * 300_000
            key, seen = str(make_key().public), now if name == "north" else None
            row = {"party": name, "key": key, "role": "party", "status": "admitted"}
            db.execute(insert(PARTIES).values(**row, enrolled_s=now, seen_s=seen))
    engine.dispose()


def _run(settings: Settings, turn: int) -> None:
    proposal = proposal_of(RUN, 8, SHOPS, rounds=12 + turn, purpose="recommend & compare")
    with book_of(settings) as (book, _):
        book.begin(proposal, time.time() - turn * 300_000)
        book.set_cohort(RUN, tuple(map(PartyId, SHOPS)))
    put_rounds(settings, 3, turn)


def _task(settings: Settings, turn: int) -> None:
    member = homes.Membership("market", "north", "https://127.0.0.1:1", "", "")
    homes.save_membership(settings.home, member)
    with desk_of(settings) as desk:
        desk.see(TASK, proposal_bytes(proposal_of(TASK, 8, SHOPS, rounds=7 + turn)), "open")


def _charge(settings: Settings, turn: int) -> None:
    place = own_place(settings)
    place.mark.parent.mkdir(parents=True)
    now = time.time() - turn * 300_000
    with open_ledger(
        place.where, place.party, place.mark, clock=lambda: now, entropy=os.urandom
    ) as ledger:
        for number in range(2):
            event = Event("spring", Gaussian(40.0 - 20 * turn, 1.0))
            charge = Charge("north", "spring", number + 5 * turn, "recommend", (event,))
            ledger.charge(charge, Budget(8.0))


def _release(home: Path, version: str, made: str, turn: int) -> None:
    import dataclasses

    shop = home / "runs" / version / "shops" / "north"
    shop.mkdir(parents=True)
    (home / "runs" / version / "run.json").write_text(json.dumps({"shops": []}), "utf-8")
    key = signing_key(home)
    signer = Signer(key.public, lambda message: sign(key, PURPOSE, message))
    metric = Metric("NDCG@10", "discovery", *(0.01 * turn + x for x in (0.0949, 0.0861, 0.1037)), 9)
    card = dataclasses.replace(a_card("north"), made=made, rounds=12 + turn, metrics=(metric,))
    save_release(shop / "release", a_model(), card, signer)
    stamp = datetime.datetime.fromisoformat(made).timestamp()
    os.utime(home / "runs" / version / "run.json", (stamp, stamp))


def _audience(home: Path, turn: int) -> None:
    at = 0.01 * turn
    interval = [0.644 + at, 0.63 + at, 0.659 + at]
    report = {
        "name": "spring",
        "made": f"2026-11-2{turn} 14:50",
        "shop": "north",
        "synthetic": True,
        "target": "buy",
        "days": 30 + turn,
        "category": "",
        "partners": ["payment"],
        "tested": {
            "shoppers": 5593 + turn,
            "rate": 0.498 + at,
            "auc": interval,
            "calibration_error": 0.035 + at,
            "lift": [
                {"group": group, "lift": [value + at, value - 0.1 + at, value + 0.1 + at]}
                for group, value in enumerate((1.58, 1.1, 0.42), 1)
            ],
            "common": {"shoppers": 3570, "difference": [0.005 + at, -0.006 + at, 0.016 + at]},
        },
        "counts": {
            "cells": ["0-0.5", "0.5-1"],
            "values": [112 + turn, 1840 + turn],
            "floor": 50,
            "epsilon": 0.25 + at,
            "scale": 4.0,
            "ledger_record": 7 + turn,
        },
        "chosen": {"shoppers": 2000 + turn, "eligible": 5716, "expected": 1411.0 + turn},
    }
    save_audience(home, "spring", Prospect(report, (), np.zeros(0)))


def _ad_report(home: Path, turn: int) -> None:
    place = released.place_of(released.ads_folder(home, "南店"), {"ad": "ad-1"})
    report = {
        "ad": "ad-1",
        "shop": "南店",
        "synthetic": True,
        "recipient": "advertiser",
        "counts": {"shown": 4210 + turn, "clicked": 318 + turn, "bought": None if turn else 51},
        "half_width": 36.0 + turn,
        "floor": 50,
        "epsilon": 0.25 + 0.01 * turn,
        "ledger_record": 11 + turn,
    }
    made = released.keep(place, report) | {"made": f"2026-11-2{turn} 09:30"}
    place.write_text(json.dumps(made), "utf-8")
