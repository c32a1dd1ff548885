"""Events: each once, on disk before the answer, counted at once, bounded, and gone when erased."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from fedguide.api.inbox import Inbox, Received
from fedguide.api.tables import looking, open_service
from fedguide.errors import OverloadedError, RunError
from fedguide.guide import engine
from fedguide.guide.engine import Guide
from fedguide.guide.histories import history_for
from tests.api.posting import post
from tests.api.serving import served
from tests.guide.sample import LAST_DAY, a_guide

PATH = "/api/v1/events"


def an_event(name: str, user: str = "shopper-07", item: str = "sku-0033") -> dict[str, object]:
    return {"id": name, "user": user, "kind": "buy", "item": item}


def a_received(name: str, user: str = "shopper-07", item: str = "sku-0033") -> Received:
    return Received(name, user, "buy", item, "", 1, LAST_DAY + 1)


def test_an_event_counts_at_the_next_answer_and_after_a_restart(tmp_path: Path) -> None:
    guide = a_guide()
    before = engine.recommend(guide, "shopper-07", 10, "again")
    with served(tmp_path, {guide.shop: guide}) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        body = {"events": [an_event(str(n)) for n in range(3)]}
        response = post(one.app, PATH, body, **auth)
        assert response.json() == {"shop": guide.shop, "accepted": 3, "known": 0, "refused": 0}
        after = engine.recommend(guide, "shopper-07", 10, "again")
        assert after.picks[0].item_id == "sku-0033"
        assert before.picks[0].item_id != "sku-0033"
        newcomer = {"events": [an_event("n", user="new")]}
        post(one.app, PATH, newcomer, **auth)
        assert engine.recommend(guide, "new").source == "personal"
    again = a_guide()
    with served(tmp_path, {again.shop: again}):
        assert engine.recommend(again, "shopper-07", 10, "again") == after
        history = history_for(again.histories, "new")
        assert history is not None
        assert history.days.tolist() == [LAST_DAY + 1]


def test_the_same_events_again_change_nothing(tmp_path: Path) -> None:
    guide = a_guide()
    with served(tmp_path, {guide.shop: guide}) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        first = {"events": [an_event("a"), an_event("b")]}
        second = {"events": [an_event("b"), an_event("c"), an_event("c", item="sku-0001")]}
        assert post(one.app, PATH, first, **auth).json()["accepted"] == 2
        told = post(one.app, PATH, second, **auth).json()
        assert (told["accepted"], told["known"]) == (1, 2)
        told = post(one.app, PATH, second, **auth).json()
        assert (told["accepted"], told["known"]) == (0, 3)
        kept = one.services.inbox.received(guide.shop, "shopper-07")
        assert [(event.id, event.item) for event in kept] == [
            ("a", "sku-0033"),
            ("b", "sku-0033"),
            ("c", "sku-0033"),
        ]


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6), min_size=1, max_size=8))
def test_each_event_is_kept_once_whatever_arrives_together(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("once")
    guide = a_guide(MODEL)
    database = open_service(str(folder / "serve.db"))
    inbox = Inbox(database, {guide.shop: guide}, lambda _: True)
    made = [[a_received(str(n), f"u{n}") for n in batch] for batch in batches]

    async def together() -> int:
        taken = await asyncio.gather(*(inbox.take(guide, batch) for batch in made))
        return sum(len(one.fresh) for one in taken)

    distinct = {n for batch in batches for n in batch}
    assert asyncio.run(together()) == len(distinct)
    with looking(database) as db:
        assert db.execute(text("SELECT count(*) FROM events")).scalar_one() == len(distinct)
    for n in distinct:
        history = history_for(guide.histories, f"u{n}")
        assert history is not None
        assert len(history) == 1
    database.close()


MODEL = a_guide().release.model


@pytest.mark.parametrize(
    "event",
    [
        {"id": "", "user": "u", "kind": "view", "item": "x"},
        {"id": "1", "user": "", "kind": "view", "item": "x"},
        {"id": "1", "user": "u", "kind": "fly", "item": "x"},
        {"id": "1", "user": "u", "kind": "view"},
        {"id": "1", "user": "u", "kind": "view", "item": "x", "query": "q"},
        {"id": "1", "user": "u", "kind": "search", "item": "x"},
        {"id": "1", "user": "u", "kind": "search", "query": " "},
        {"id": "1", "user": "u", "kind": "view", "item": "x", "time": -1},
        {"id": "1", "user": "u", "kind": "view", "item": "x", "colour": "red"},
    ],
)
def test_a_batch_with_a_bad_event_is_refused_whole(tmp_path: Path, event: object) -> None:
    guide = a_guide(MODEL)
    with served(tmp_path, {guide.shop: guide}) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        response = post(one.app, PATH, {"events": [an_event("good"), event]}, **auth)
        assert response.status_code == 400
        assert one.services.inbox.received(guide.shop, "shopper-07") == []
        assert post(one.app, PATH, {"events": []}, **auth).status_code == 400


def test_an_unknown_item_is_kept_for_training_and_changes_no_answer(tmp_path: Path) -> None:
    guide = a_guide(MODEL)
    before = engine.recommend(guide, "shopper-07")
    with served(tmp_path, {guide.shop: guide}) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        body = {"events": [an_event("1", item="not-in-the-release")]}
        assert post(one.app, PATH, body, **auth).json()["accepted"] == 1
        assert engine.recommend(guide, "shopper-07") == before
        assert len(one.services.inbox.received(guide.shop, "shopper-07")) == 1


def test_who_was_erased_is_not_kept_and_forgetting_leaves_no_bytes(tmp_path: Path) -> None:
    guide = a_guide(MODEL)
    gone: set[str] = set()
    with served(tmp_path, {guide.shop: guide}, lambda user: user not in gone) as one:
        auth = {"authorization": f"Bearer {one.texts['shop']}"}
        body = {"events": [an_event("1", "vanishing-shopper"), an_event("2", "u2")]}
        assert post(one.app, PATH, body, **auth).json()["accepted"] == 2
        inbox = one.services.inbox
        inbox.set_ignored(guide.shop, "vanishing-shopper", ["sku-0001"])
        gone.add("vanishing-shopper")
        assert inbox.forget("vanishing-shopper") == 1
        assert history_for(guide.histories, "vanishing-shopper") is None
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"vanishing-shopper" not in written
        assert b"u2" in written
        again = {"events": [an_event("3", "vanishing-shopper")]}
        told = post(one.app, PATH, again, **auth).json()
        assert (told["accepted"], told["refused"]) == (0, 1)


def test_what_is_ignored_is_out_of_the_profile_and_its_reasons(tmp_path: Path) -> None:
    guide = a_guide(MODEL)
    shown = engine.recommend(guide, "shopper-07", 20)
    reason = next(b.item for pick in shown.picks for b in pick.because if b.item)
    with served(tmp_path, {guide.shop: guide}) as one:
        inbox = one.services.inbox
        inbox.set_ignored(guide.shop, "shopper-07", [reason])
        after = engine.recommend(guide, "shopper-07", 20)
        assert all(b.item != reason for pick in after.picks for b in pick.because)
        assert inbox.ignored(guide.shop, "shopper-07") == [reason]
        fresh = a_guide(MODEL)
        Inbox(inbox.database, {fresh.shop: fresh}, lambda _: True).reload()
        assert engine.recommend(fresh, "shopper-07", 20) == after
        inbox.set_ignored(guide.shop, "shopper-07", [])
        assert engine.recommend(guide, "shopper-07", 20) == shown


def test_the_line_is_bounded_and_a_broken_disk_is_told_to_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = a_guide(MODEL)
    database = open_service(str(tmp_path / "serve.db"))
    inbox = Inbox(database, {guide.shop: guide}, lambda _: True, most=2)
    slow, written = threading.Event(), inbox._write

    def waits(batches: object) -> object:
        slow.wait(10)
        return written(batches)

    monkeypatch.setattr(inbox, "_write", waits)

    async def overload() -> list[object]:
        sent = [asyncio.ensure_future(inbox.take(guide, [a_received(str(n))])) for n in range(4)]
        await asyncio.sleep(0)
        slow.set()
        return list(await asyncio.gather(*sent, return_exceptions=True))

    told = asyncio.run(overload())
    assert [isinstance(one, OverloadedError) for one in told] == [False, False, True, True]

    def breaks(_batches: object) -> object:
        raise RunError("the serving database cannot be used: OperationalError")

    monkeypatch.setattr(inbox, "_write", breaks)
    broken = asyncio.run(_all_of(inbox, guide))
    assert [type(one) for one in broken] == [RunError, RunError]
    database.close()


async def _all_of(inbox: Inbox, guide: Guide) -> list[object]:
    sent = (inbox.take(guide, [a_received(f"x{n}")]) for n in range(2))
    return list(await asyncio.gather(*sent, return_exceptions=True))
