"""Shoppers' rights at work: what is kept of somebody, taking it along, ending it; for all doors.

The command line, the API and the pages come here, so that they do and say the same.
"""

from __future__ import annotations

import datetime
import importlib.util
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedguide.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from fedguide.api.inbox import Inbox
    from fedguide.config import Settings
    from fedguide.data.contract import Dataset
    from fedguide.office.persons import Bound, Erased, Kept, Known

LATEST = 5
"""Events that ``facts_of`` shows."""


@dataclass(frozen=True)
class Gone:
    """What an erasure did: events by store, events that were received, what models remember.

    ``audiences`` and ``ad_views`` are how many of those had them.
    """

    events: Mapping[Path, int]
    received: int
    audiences: int
    ad_views: int
    residual: str
    ledger_record: int


class HomePersons:
    """Shoppers' rights over the folders of the shops that are served, and the server's inbox."""

    def __init__(self, settings: Settings, inbox: Inbox, places: Mapping[str, Path]) -> None:
        self._settings, self._inbox, self._places = settings, inbox, places
        # A store serves one reader of a process at a time.
        self._lock = threading.Lock()

    def known(self, shop: str, shopper: str, latest: int) -> Known:
        """What is kept of a shopper in a shop; of somebody unknown nothing."""
        from fedguide.cli.rights import rights_of
        from fedguide.office.persons import Known

        rights = rights_of(self._settings, lasting=True)
        rows, holding = self._rows(shop, shopper)
        kinds = [row["kind"] for row in rows]
        bounds = bounds_of(self._settings, holding)
        return Known(
            shop=shop,
            said=rights.register.said(shopper),
            used=rights.allows(shopper),
            events=len(rows),
            kinds={kind: kinds.count(kind) for kind in sorted(set(kinds))},
            latest=tuple(_kept(row) for row in rows[::-1][:latest]),
            ignored=tuple(self._inbox.ignored(shop, shopper)),
            residual=_in_words(bounds),
            epsilon=self._epsilon(shop),
            bounds=bounds,
        )

    def personalise(self, shopper: str, *, wanted: bool) -> bool:
        """Records yes or no; gives whether they are used from now on."""
        from fedguide.cli.rights import rights_of

        rights = rights_of(self._settings, lasting=True)
        rights.register.record([shopper], "in" if wanted else "out")
        return rights.allows(shopper)

    def ignore(self, shop: str, shopper: str, items: Sequence[str]) -> None:
        """Replaces the items that are not reckoned with."""
        self._inbox.set_ignored(shop, shopper, items)

    def export(self, shop: str, shopper: str) -> Mapping[str, Any]:
        """Everything that is kept of them in a shop, as JSON."""
        from fedguide.cli.rights import rights_of

        rows, _ = self._rows(shop, shopper)
        return {
            "shop": shop,
            "shopper": shopper,
            "said": rights_of(self._settings, lasting=True).register.said(shopper),
            "ignored": self._inbox.ignored(shop, shopper),
            "events": rows,
            **_marketed(self._settings, shopper),
        }

    def erase(self, shopper: str) -> Erased:
        """Removes them from every store and from what was received, for good."""
        from fedguide.office.persons import Erased

        with self._lock:
            gone = erase(self._settings, shopper, (), self._inbox)
        events = sum(gone.events.values()) + gone.received
        return Erased(events, gone.residual, gone.ledger_record)

    def _epsilon(self, shop: str) -> float | None:
        """The ε of the served run; ``None`` for one without noise."""
        from fedguide.cli.folders import run_record

        spent = run_record(self._places[shop].parents[1]).get("privacy", {})
        if spent.get("mechanism", "none") == "none":
            return None
        bound: float | None = spent["epsilon_insider"]
        return bound

    def _rows(self, shop: str, shopper: str) -> tuple[list[dict[str, Any]], list[Path]]:
        """Every event of a shopper in a shop, oldest first, and the stores that had some."""
        with self._lock:
            found = list(known_in([self._places[shop] / "store.duckdb"], shopper))
        rows = [row for _, dataset in found for row in rows_of(dataset)]
        received = [
            {
                "kind": event.kind,
                "time": _time(event.time_s, clocked=True),
                "item": event.item or None,
                "query": event.query or None,
                "price": event.price,
            }
            for event in self._inbox.received(shop, shopper)
        ]
        rows += [{k: v for k, v in row.items() if v is not None} for row in received]
        return rows, [where for where, _ in found]


def exported(settings: Settings, shopper: str, more: Sequence[Path]) -> dict[str, Any]:
    """Everything that is kept of a shopper, as JSON.

    Raises:
        NotFoundError: nothing knows them.
        DataError: a store cannot be read.
    """
    from fedguide.api.inbox import Inbox
    from fedguide.cli.rights import rights_of, stores
    from fedguide.cli.service import service_database

    known = list(known_in(stores(settings, more), shopper))
    with service_database(settings) as database:
        received = Inbox(database, {}, lambda _: True).everywhere(shopper)
    if not known and not received:
        raise NotFoundError("no store knows this shopper", hint="--store FILE.duckdb")
    return {
        "shopper": shopper,
        "said": rights_of(settings, lasting=True).register.said(shopper),
        "stores": [{"store": str(where), "events": rows_of(dataset)} for where, dataset in known],
        "received": received,
        **_marketed(settings, shopper),
    }


def erase(
    settings: Settings, shopper: str, more: Sequence[Path], inbox: Inbox | None = None
) -> Gone:
    """Erases a shopper from every store and from what was received; an import brings none back.

    Raises:
        DataError: a store could not be rewritten; they are not used all the same.
    """
    from fedguide.api.inbox import Inbox
    from fedguide.cli import ad_desk, audience_store
    from fedguide.cli.ledgers import opened, own_place
    from fedguide.cli.rights import rights_of, stores
    from fedguide.cli.service import service_database

    register = rights_of(settings, lasting=True).register
    places = stores(settings, more)
    # The tombstone first: whatever fails after it, nobody is trained with or served as them.
    register.record([shopper], "erased")
    gone, failed = forget_in(places, shopper)
    if inbox is not None:
        received = inbox.forget(shopper)
    else:
        with service_database(settings) as database:
            received = Inbox(database, {}, lambda _: True).forget(shopper)
    audiences = audience_store.forget(settings.home, shopper)
    ad_views = ad_desk.forget(settings, shopper)
    residual = residual_of(settings, list(gone))
    with opened(own_place(settings)) as ledger:
        party = settings.privacy.party
        record = ledger.erased(party, register.pseudonym(shopper), residual).seq
    if failed:
        raise DataError(
            f"{len(failed)} of {len(places)} stores could not be rewritten: {failed[0]}",
            hint="stop what uses them, then the same command again",
        )
    return Gone(gone, received, audiences, ad_views, residual, record)


def _marketed(settings: Settings, shopper: str) -> dict[str, Any]:
    """Audiences that a shopper is scored for, and ads they were shown."""
    from fedguide.cli import ad_desk, audience_store

    return {
        "audiences": audience_store.known(settings.home, shopper),
        "ad_views": ad_desk.known(settings, shopper),
    }


def _kept(row: Mapping[str, Any]) -> Kept:
    from fedguide.office.persons import Kept

    texts = (str(row.get(name) or "") for name in ("item", "title", "query"))
    return Kept(row["kind"], str(row["time"]), *texts)


def known_in(places: Sequence[Path], shopper: str) -> Iterator[tuple[Path, Dataset]]:
    """The stores that know a shopper, with their events.

    Raises:
        DataError: a store is damaged, or another process has it open.
    """
    from fedguide.data.store import Store

    for where in places:
        with Store(where) as store:
            if store.knows(shopper):
                yield where, store.read_shopper(shopper)


def forget_in(places: Sequence[Path], shopper: str) -> tuple[dict[Path, int], list[str]]:
    """Events removed from the stores that had any, and what kept us from looking into others."""
    from fedguide.data.store import Store

    gone: dict[Path, int] = {}
    failed = []
    for where in places:
        try:
            with Store(where) as store:
                removed = store.forget(shopper)
        except DataError as error:
            failed.append(str(error))
            continue
        if removed:
            gone[where] = removed
    return gone, failed


def facts_of(dataset: Dataset) -> dict[str, Any]:
    """What a store keeps of its shopper, in figures, and the latest of it."""
    rows = rows_of(dataset)
    kinds = [row["kind"] for row in rows]
    return {
        "shop": dataset.name,
        "events": len(rows),
        "kinds": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "first": rows[0]["time"],
        "last": rows[-1]["time"],
        "latest": rows[-LATEST:],
    }


def rows_of(dataset: Dataset) -> list[dict[str, Any]]:
    """Every event in words, oldest first."""
    from fedguide.values import KINDS

    events, items = dataset.events, dataset.catalogue
    made = []
    for row in range(len(events)):
        item, query, basket = events.items[row], events.queries[row], events.baskets[row]
        facts = {
            "kind": KINDS[int(events.kinds[row])],
            "time": _time(int(events.times[row]), clocked=dataset.clocked),
            "item": items.ids[item] if item >= 0 else None,
            "title": items.titles[item] if item >= 0 else None,
            "query": events.query_texts[query] if query >= 0 else None,
            "quantity": _number(float(events.quantities[row])),
            "price": _number(float(events.prices[row])),
            "basket": events.basket_ids[basket] if basket >= 0 else None,
            "group": events.groups[int(events.users[row])] or None,
        }
        made.append({name: value for name, value in facts.items() if value is not None})
    return made


def _number(value: float) -> float | None:
    return round(value, 4) if value == value else None  # noqa: PLR0124 - NaN is not itself


def _time(seconds: int, *, clocked: bool) -> str | int:
    if not clocked:
        return seconds
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def residual_of(settings: Settings, holding: Sequence[Path]) -> str:
    """What trained models may still tell of somebody in these stores, in words."""
    return _in_words(bounds_of(settings, holding))


def bounds_of(settings: Settings, holding: Sequence[Path]) -> tuple[Bound, ...]:
    """What trained models may still tell of somebody in these stores.

    Nothing takes that back; what bounds it is the noise that was added. A model trained without
    noise has no bound.
    """
    from fedguide.office.persons import Bound

    bare, said = [], []
    for name, spent in _privacy_of_runs(holding):
        if spent.get("mechanism", "none") == "none":
            bare.append(Bound(name, math.inf, 0.0))
        else:
            bound = spent["epsilon_insider"]
            said.append(Bound(name, math.inf if bound is None else bound, spent["delta"]))
    return (*bare, *said, *_ledgered(settings))


def _in_words(bounds: Sequence[Bound]) -> str:
    from fedguide.cli.ledgers import figure

    bare = [one.run for one in bounds if one.run and one.delta == 0]
    said = [f"no bound (trained without noise: {', '.join(bare)})"] if bare else []
    for one in bounds:
        if one.epsilon is None:
            said.append("ε of the ledger: pip install 'fedguide[train]'")
        elif one.delta:
            where = f"run {one.run}" if one.run else "ledger"
            said.append(f"ε = {figure(one.epsilon)} at δ = {one.delta:.1g} ({where})")
    return "; ".join(said) or "nothing was trained"


def _privacy_of_runs(holding: Sequence[Path]) -> list[tuple[str, dict[str, Any]]]:
    """Of each run that has one of these stores: its name and its receipt."""
    from fedguide.cli.folders import run_record

    folders = {where.parents[2] for where in holding if len(where.parents) > 2}
    return [
        (folder.name, run_record(folder).get("privacy", {}))
        for folder in sorted(folders)
        if (folder / "run.json").is_file()
    ]


def _ledgered(settings: Settings) -> list[Bound]:
    """What the party's own ledger says of all its shoppers."""
    from fedguide.cli.ledgers import budget_of, is_there, opened, own_place
    from fedguide.office.persons import Bound

    if not is_there(own_place(settings)):
        return []
    budget = budget_of(settings)
    with opened(own_place(settings)) as ledger:
        counts = ledger.counts(settings.privacy.party)
    if not counts:
        return []
    if importlib.util.find_spec("dp_accounting") is None:
        return [Bound("", None, budget.delta)]
    return [Bound("", ledger.price(counts, budget), budget.delta)]
