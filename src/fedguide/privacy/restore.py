"""Is a ledger's database all that it once was? If not, what its lost rows had spent.

A head (the mark's, or one that another party kept) is *passed* if the chain goes through it, or if
its loss was acknowledged in a record of lost rows. A ledger that does not pass its mark is behind.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from fedguide.errors import LedgerError, RefusedError
from fedguide.privacy.chain import Head, Header, Record, Spent, agreement, spent_by
from fedguide.privacy.mark import Mark
from fedguide.privacy.rows import RESTORE, entries, gaps, hash_at

ACKNOWLEDGE = "fedguide privacy ledger --acknowledge"


def passes(db: Connection, header: Header, head: Head, kept: Head) -> bool:
    """Does the chain that ends at ``head`` go through a kept head, or has its loss been counted?"""
    if (kept.ledger, kept.seq, kept.hash) == (head.ledger, head.seq, head.hash):
        return True
    if kept.ledger == head.ledger and hash_at(db, header, kept.seq) == kept.hash:
        return True
    return any(_covers(gap, kept) for gap in gaps(db))


def require_whole(db: Connection, header: Header, head: Head, mark: Mark) -> None:
    """Returns if the database is not behind its mark.

    Raises:
        RefusedError: it is, or the mark is missing.
        LedgerError: the mark cannot be read, or the totals are not those that were marked.
    """
    marked = mark.read()
    if marked is None:
        raise RefusedError(
            f"the ledger's mark {mark.path} is missing, so rows may be missing too",
            hint=ACKNOWLEDGE,
        )
    if not passes(db, header, head, marked):
        raise RefusedError(
            f"the ledger stands at record {head.seq} and has been at {marked.seq}: it was "
            "restored, and what is missing has been spent",
            hint=f"{ACKNOWLEDGE} counts it as spent",
        )
    if marked.seq == head.seq and dict(marked.spent) != dict(head.spent):
        raise LedgerError(
            "the ledger's totals are not those it had when it was marked", hint=RESTORE
        )


def whole_mark(mark: Mark) -> Head | None:
    """The marked head; none where it is missing or damaged."""
    try:
        return mark.read()
    except LedgerError:
        return None


def lost(db: Connection, header: Header, head: Head, marked: Head) -> dict[tuple[str, str], int]:
    """What was spent up to ``marked`` and is not certain to be in the rows here as well."""
    shared = _shared(db, header, head, marked)
    return {
        key: times - shared.get(key, 0)
        for key, times in marked.spent.items()
        if times > shared.get(key, 0)
    }


def _shared(db: Connection, header: Header, head: Head, marked: Head) -> Spent:
    """What both the rows here and the marked ones certainly hold."""
    if not marked.trail:
        # Our own mark: the rows here are those of a backup, and nothing was spent since.
        return head.spent if marked.ledger == head.ledger else {}
    last = agreement(marked.trail, lambda seq: hash_at(db, header, seq))
    shared: Counter[tuple[str, str]] = Counter()
    for entry in entries(db):
        if entry.seq <= last:
            shared.update(spent_by(entry.record))
    return shared


def _covers(gap: Record, kept: Head) -> bool:
    """Was a head counted in what this record of lost rows acknowledged?

    It is if the record was made for that head, or for our own mark, whose chain the head was on.
    """
    if (gap["task"], gap["round"]) == (kept.hash, kept.seq):
        return True
    same = bool(gap["own"]) and gap["of"] == kept.ledger
    return same and gap["after"] < kept.seq <= gap["lost_to"]
