"""A ledger's rows: its head, its records, and how one is added; every function in a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from fedguide.errors import LedgerError
from fedguide.privacy.chain import (
    GAP,
    Entry,
    Head,
    Header,
    Record,
    Spent,
    canonical,
    genesis,
    link,
    spent_list,
    totals_from,
    totals_text,
    trail_seqs,
)
from fedguide.privacy.tables import ENTRIES, LEDGER

RESTORE = "restore the database, then fedguide privacy ledger --acknowledge"
_PAGE = 1000

# Built once: to build a statement takes longer than to run it, and others wait meanwhile.
_LEDGER = select(LEDGER)
_HELD = _LEDGER.with_for_update()
_OF_TASK = select(ENTRIES).where(
    ENTRIES.c.kind == bindparam("kind"),
    ENTRIES.c.account == bindparam("account"),
    ENTRIES.c.task == bindparam("task"),
)
_NAMED = select(ENTRIES).where(
    ENTRIES.c.kind == bindparam("kind"),
    ENTRIES.c.account == bindparam("account"),
    ENTRIES.c.task == bindparam("task"),
    ENTRIES.c.round == bindparam("round"),
)
_AT = select(ENTRIES.c.hash).where(ENTRIES.c.seq == bindparam("seq"))
_LAST = select(ENTRIES).order_by(ENTRIES.c.seq.desc()).limit(2)
_GAPS = select(ENTRIES).where(ENTRIES.c.kind == GAP)
_PAGE_AFTER = (
    select(ENTRIES).where(ENTRIES.c.seq > bindparam("seq")).order_by(ENTRIES.c.seq).limit(_PAGE)
)
_ADD = insert(ENTRIES)
_MOVE = update(LEDGER)


def begin(db: Connection, header: Header) -> Head:
    """Writes the head of a new ledger."""
    first = Head(header.ledger, 0, genesis(header), {})
    row = {"only": 1, "id": header.ledger, "party": header.party, "made": header.made}
    db.execute(insert(LEDGER).values(**row, seq=0, hash=first.hash, spent=totals_text({})))
    return first


def header_of(db: Connection) -> Header | None:
    """Whose ledger it is, held until the end of the transaction; none where it was not begun."""
    row = db.execute(_HELD).one_or_none()
    return None if row is None else Header(row.id, row.party, row.made)


def head_of(db: Connection, header: Header, *, hold: bool = False) -> Head:
    """Where the ledger stands.

    Args:
        db: a transaction.
        header: of the ledger that was opened.
        hold: until the end of the transaction nobody else may add a record. (SQLite has no FOR
            UPDATE and needs none: a transaction that writes has the database already.)

    Raises:
        LedgerError: it is another ledger now, or its totals are damaged.
    """
    row = db.execute(_HELD if hold else _LEDGER).one_or_none()
    if row is None or row.id != header.ledger:
        raise LedgerError("another ledger was put in the place of this one", hint=RESTORE)
    return Head(row.id, row.seq, row.hash, totals_from(row.spent))


def trail_of(db: Connection, header: Header, head: Head) -> tuple[tuple[int, str], ...]:
    """The trail that belongs to a head."""
    steps = [(seq, hash_at(db, header, seq)) for seq in trail_seqs(head.seq)]
    return tuple((seq, hash_) for seq, hash_ in steps if hash_ is not None)


def hash_at(db: Connection, header: Header, seq: int) -> str | None:
    """The hash of a record; of the header where ``seq`` is 0; none where there is no record."""
    if seq == 0:
        return genesis(header)
    found: str | None = db.execute(_AT, {"seq": seq}).scalar_one_or_none()
    return found


def find(db: Connection, kind: str, account: str, task: str, round_number: int) -> Entry | None:
    """The one record of a kind with this name.

    Raises:
        LedgerError: it is damaged.
    """
    name = {"kind": kind, "account": account, "task": task, "round": round_number}
    row = db.execute(_NAMED, name).one_or_none()
    return None if row is None else Entry(row.seq, _parsed(row), row.hash)


def of_task(db: Connection, kind: str, account: str, task: str) -> Iterator[Record]:
    """The records of a kind for one account and task, whatever their rounds.

    Raises:
        LedgerError: one is damaged.
    """
    name = {"kind": kind, "account": account, "task": task}
    for row in db.execute(_OF_TASK, name):
        yield _parsed(row)


def gaps(db: Connection) -> list[Record]:
    """The records of lost rows.

    Raises:
        LedgerError: one is damaged.
    """
    return [_parsed(row) for row in db.execute(_GAPS)]


def add(
    db: Connection,
    head: Head,
    kind: str,
    name: tuple[str, str, int],
    facts: Mapping[str, Any],
    gains: Spent,
    now: int,
) -> Head:
    """One more record after ``head``; gives the head that it makes.

    Args:
        db: a transaction that holds the head.
        head: where the ledger stands.
        kind: of the record.
        name: its account, task and round; of one kind each name stands once.
        facts: what else it says.
        gains: what it spends.
        now: unix seconds.
    """
    account, task, round_number = name
    row = {"seq": head.seq + 1, "kind": kind, "account": account, "task": task}
    row["round"] = round_number
    text = canonical({**facts, **row, "spent": spent_list(gains), "time": now})
    spent = dict(head.spent)
    for key, times in gains.items():
        spent[key] = spent.get(key, 0) + times
    after = Head(head.ledger, head.seq + 1, link(head.hash, text), spent)
    db.execute(_ADD, {**row, "record": text.decode(), "hash": after.hash})
    db.execute(_MOVE, {"seq": after.seq, "hash": after.hash, "spent": totals_text(spent)})
    return after


def entries(db: Connection) -> Iterator[Entry]:
    """All records in order, some read at a time.

    Raises:
        LedgerError: one is damaged, or its columns are not those of its record.
    """
    seq = 0
    while True:
        page = db.execute(_PAGE_AFTER, {"seq": seq}).all()
        if not page:
            return
        for row in page:
            yield Entry(row.seq, _parsed(row), row.hash)
        seq = page[-1].seq


def require_last(db: Connection, header: Header, head: Head) -> None:
    """Finds a damaged end at once; going through everything is for ``Ledger.verify``.

    Raises:
        LedgerError: the last record is not the one that the head names.
    """
    last = db.execute(_LAST).all()
    before = last[1].hash if len(last) > 1 else genesis(header)
    found = (last[0].seq, link(before, last[0].record.encode())) if last else (0, before)
    if found != (head.seq, head.hash):
        raise LedgerError(
            f"the ledger's last record is not the one that its head names ({head.seq})",
            hint=RESTORE,
        )


def _parsed(row: Any) -> Record:
    try:
        record: Record = json.loads(row.record)
        same = canonical(record).decode() == row.record
    except ValueError:
        same = False
    if not same or not isinstance(record, dict):
        raise LedgerError(f"record {row.seq} of the ledger is damaged", hint=RESTORE)
    for name in ("seq", "kind", "account", "task", "round"):
        if record.get(name) != getattr(row, name):
            raise LedgerError(
                f"record {row.seq} of the ledger: column {name} was changed", hint=RESTORE
            )
    return record
