"""The budget ledger: what was released, charged before its noise is drawn, and never refunded.

Every party keeps its own and is the last judge: nobody else can overspend for it. A charge is one
transaction (is it affordable, then insert) and is idempotent in its id, (account, task, round):
asked again after a crash it is there already. A process that dies after the commit has spent.

Threat model: processes die at any moment, databases are restored from backups, many processes
charge at once; the owner of the ledger is honest about its own rows. A database that is behind
its mark, or behind a head that somebody kept, spends nothing until that was acknowledged; then
what the missing rows had spent is counted as spent. Whoever changes a record afterwards is found
out by ``verify`` and by every export.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from fedguide.errors import LedgerError, RefusedError, TamperedError
from fedguide.privacy.chain import (
    CHARGE,
    ERASURE,
    GAP,
    REFUSAL,
    Entry,
    Head,
    Header,
    Record,
    SignedHead,
    Signer,
    Spent,
    Verify,
    Walk,
    agreement,
    canonical,
    check_head,
    export_lines,
    genesis,
    link,
    sign_head,
    spent_by,
    spent_list,
    totals_from,
    totals_text,
    trail_seqs,
)
from fedguide.privacy.frontier import Frontier
from fedguide.privacy.mark import Mark
from fedguide.privacy.spend import (
    Budget,
    Charge,
    Counts,
    Price,
    accounted,
    counts_of,
    noised,
    require_name,
)
from fedguide.privacy.tables import (
    ENTRIES,
    LEDGER,
    Database,
    open_database,
    reading,
    upgrade,
    writing,
)
from fedguide.seeds import Entropy

_ID_BYTES = 16
_PAGE = 1000

# Built once: to build a statement takes longer than to run it, and others wait meanwhile.
_HEAD = select(LEDGER.c.id, LEDGER.c.seq, LEDGER.c.hash, LEDGER.c.spent)
_HELD_HEAD = _HEAD.with_for_update()
_NAMED = select(ENTRIES).where(
    ENTRIES.c.kind == bindparam("kind"),
    ENTRIES.c.account == bindparam("account"),
    ENTRIES.c.task == bindparam("task"),
    ENTRIES.c.round == bindparam("round"),
)
_AT = select(ENTRIES.c.hash).where(ENTRIES.c.seq == bindparam("seq"))
_GAPS = select(ENTRIES).where(ENTRIES.c.kind == GAP)
_PAGE_AFTER = select(ENTRIES).where(ENTRIES.c.seq > bindparam("seq")).order_by(ENTRIES.c.seq)
_PAGE_AFTER = _PAGE_AFTER.limit(_PAGE)
_ADD_ENTRY = insert(ENTRIES)
_MOVE_HEAD = update(LEDGER)
ACKNOWLEDGE = "fedguide privacy ledger --acknowledge"


@dataclass(frozen=True)
class Receipt:
    """A charge as it stands in the chain; ``fresh`` is ``False`` where it was there already."""

    seq: int
    hash: str
    fresh: bool


class Ledger:
    """An open ledger; made by ``open_ledger``, closed by ``close`` or a ``with`` block.

    Safe for threads and for any number of processes on one database.
    """

    def __init__(
        self,
        database: Database,
        header: Header,
        mark: Mark,
        clock: Callable[[], float],
        price: Price,
    ) -> None:
        self.header = header
        self.mark = mark
        self.price = price
        self._database = database
        self._clock = clock
        self._frontiers: dict[Budget, Frontier] = {}
        self._learning = threading.Lock()

    def __enter__(self) -> Ledger:
        """The ledger itself."""
        return self

    def __exit__(self, *_reason: object) -> None:
        """Closes it."""
        self.close()

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    def charge(self, charge: Charge, budget: Budget) -> Receipt:
        """Spends, before anything is released; on disk when it returns.

        A charge that is there already, with the same content, is not spent again.

        Raises:
            RefusedError: it is not affordable, is without noise and that is not allowed, is there
                already with other content, or the ledger is behind what it once was. A budget's
                refusal is recorded.
            LedgerError: the database or the mark cannot be used; nothing was spent.
            ConfigError: the accountant does not know how to judge these events.
        """
        while True:
            with writing(self._database) as db:
                head = self._head(db)
                self._require_whole(db, head)
                receipt = self._earlier(db, charge)
                wanted = self._after(head, charge)
                allowed = receipt is not None or self._known(wanted, budget)
                if allowed and receipt is None:
                    head, receipt = self._spend(db, head, charge)
            if receipt is not None:
                # Also for an old receipt: whoever charged it may have died before the mark.
                self.mark.raise_to(head)
                return receipt
            if allowed is None:
                # Outside of the transaction: an accountant may take a second.
                self._learn(wanted, budget)
                continue
            raise self._refused(charge, wanted, budget)

    def refuse(self, account: str, task: str, round_number: int, purpose: str, why: str) -> None:
        """Records that a task was refused; the same task and round once.

        Raises:
            LedgerError: the database or the mark cannot be used.
        """
        for name, value in (("account", account), ("task", task), ("purpose", purpose)):
            require_name(name, value)
        facts = {"purpose": purpose, "why": why}
        with writing(self._database) as db:
            head = self._head(db)
            if self._find(db, REFUSAL, account, task, round_number) is not None:
                return
            head, _ = self._append(db, head, REFUSAL, (account, task, round_number), facts, {})
        self._raise_if_whole(head)

    def erased(self, account: str, tombstone: str, residual: str) -> Receipt:
        """Records that a person was erased, and what of them remains in trained models.

        Args:
            account: whose shopper it was.
            tombstone: a keyed hash of the person's id, hex.
            residual: the ε in words, with its δ.

        Raises:
            LedgerError: the database or the mark cannot be used.
        """
        with writing(self._database) as db:
            head = self._head(db)
            name = (account, tombstone, head.seq + 1)
            head, receipt = self._append(db, head, ERASURE, name, {"residual": residual}, {})
        self._raise_if_whole(head)
        return receipt

    def spent(self) -> dict[str, dict[str, int]]:
        """What every account has spent: account to what was done to how often."""
        with reading(self._database) as db:
            spent = self._read_head(db).spent
        accounts: dict[str, dict[str, int]] = {}
        for (account, what), times in sorted(spent.items()):
            accounts.setdefault(account, {})[what] = times
        return accounts

    def counts(self, account: str) -> dict[str, int]:
        """What one account has spent."""
        return self.spent().get(account, {})

    def affords(self, account: str, more: Counts, budget: Budget) -> bool:
        """Would these counts on top of the account's still be within the budget?"""
        wanted = Counter(self.counts(account))
        wanted.update(more)
        return self._learn(wanted, budget)

    def head(self) -> Head:
        """Where the ledger stands, with a trail for others to keep."""
        with reading(self._database) as db:
            return self._traced(db)

    def signed_head(self, signer: Signer) -> SignedHead:
        """The head, signed: what others keep and hand back."""
        return sign_head(self.head(), signer)

    def entries(self) -> Iterator[Entry]:
        """All records, oldest first."""
        with reading(self._database) as db:
            yield from _entries(db)

    def export(self, signer: Signer) -> Iterator[bytes]:
        """The ledger as JSON lines that anybody verifies offline; one moment of it.

        Raises:
            LedgerError: a record was changed or is missing.
        """
        with reading(self._database) as db:
            signed = sign_head(self._traced(db), signer)
            yield from export_lines(self.header, _entries(db), signed)

    def verify(self) -> Head:
        """Goes through the whole chain; gives the head it ends at.

        Raises:
            LedgerError: a record or a total was changed, or is missing.
        """
        with reading(self._database) as db:
            head = self._read_head(db)
            walk = Walk(self.header)
            for row in _rows(db):
                record = _parsed(row)
                try:
                    walk.step(row.seq, {"record": record, "hash": row.hash})
                except TamperedError as error:
                    raise LedgerError(f"record {row.seq} of the ledger: {error}") from None
                _require_columns(row, record)
        if not walk.ends_at(head):
            raise LedgerError(
                f"the ledger says it stands at record {head.seq}, its records end at {walk.seq} "
                "or add up to other spending",
                hint="restore the database, then " + ACKNOWLEDGE,
            )
        return head

    def require_whole(self) -> None:
        """Returns if the database is not behind its mark.

        Raises:
            RefusedError: it is, or the mark is missing.
            LedgerError: the database or the mark cannot be used.
        """
        with reading(self._database) as db:
            self._require_whole(db, self._read_head(db))

    def confront(self, kept: SignedHead, verify: Verify, own_key: str) -> None:
        """Holds the ledger against a head of its own that another party kept.

        A head that is ahead of us, or not on our chain, becomes our mark: nothing is spent from
        then on until it was acknowledged.

        Raises:
            TamperedError: we never signed that head.
            RefusedError: rows are missing here.
        """
        check_head(kept, verify, own_key)
        with writing(self._database) as db:
            head = self._head(db)
            if self._passes(db, head, kept.head):
                return
            marked = self._marked()
            if marked is None or self._passes(db, head, marked):
                self.mark.replace(kept.head)
            self._require_whole(db, head)

    def acknowledge(self) -> Receipt | None:
        """Counts what a restored ledger lost as spent, and lets it spend again.

        Counted is everything that the mark knows of and that is not certain to be in our rows as
        well: for a head that another party kept, from the last place on where both agree.
        Gives ``None`` where nothing was lost.

        Raises:
            LedgerError: the database or the mark cannot be used.
        """
        with writing(self._database) as db:
            head = self._head(db)
            marked = self._marked()
            if marked is not None and self._passes(db, head, marked):
                return None
            lost = {} if marked is None else _less(marked.spent, self._shared(db, head, marked))
            known = marked or Head(head.ledger, head.seq, "0" * 64, {})
            own = marked is not None and not marked.trail
            facts = {"after": head.seq, "lost_to": known.seq, "of": known.ledger, "own": own}
            name = (self.header.party, known.hash, known.seq)
            ahead = Head(head.ledger, max(head.seq, known.seq), head.hash, head.spent)
            head, receipt = self._append(db, ahead, GAP, name, facts, lost)
            # Inside the transaction: if this fails, the gap is not recorded either.
            self.mark.replace(head)
        return receipt

    def _known(self, counts: Counts, budget: Budget) -> bool | None:
        """Are the counts affordable? ``None`` where that has to be learnt first."""
        judged = _judged(counts, budget)
        if judged is None:
            return False
        with self._learning:
            return self._frontier(budget).known(judged)

    def _learn(self, counts: Counts, budget: Budget) -> bool:
        judged = _judged(counts, budget)
        if judged is None:
            return False
        with self._learning:
            return self._frontier(budget).learn(judged)

    def _frontier(self, budget: Budget) -> Frontier:
        if budget not in self._frontiers:
            price = self.price
            self._frontiers[budget] = Frontier(lambda counts: price(counts, budget), budget.epsilon)
        return self._frontiers[budget]

    def _refused(self, charge: Charge, wanted: Counts, budget: Budget) -> RefusedError:
        """Records the refusal and gives the error that says what would help."""
        why = self._why(charge, wanted, budget)
        self.refuse(charge.account, charge.task, charge.round, charge.purpose, why)
        return RefusedError(
            f"{charge.task}, round {charge.round}: {why}",
            hint="fewer rounds or more noise: fedguide privacy budget, fedguide privacy price",
        )

    def _why(self, charge: Charge, wanted: Counts, budget: Budget) -> str:
        if _judged(wanted, budget) is None:
            if len(noised(counts_of(charge.events))) < len(counts_of(charge.events)):
                return "it would release without noise (ε = ∞), and allow_unnoised is off"
            return f"{charge.account} has released without noise before: its ε is ∞ already"
        total = self.price(noised(wanted), budget)
        before = self.price(noised(self.counts(charge.account)), budget)
        return (
            f"ε would become {total:.4g} (now {before:.4g}) at δ = {budget.delta:.2g}, "
            f"the cap of {charge.account} is {budget.epsilon:g}"
        )

    def _after(self, head: Head, charge: Charge) -> Counter[str]:
        """The account's counts once this was spent."""
        wanted = counts_of(charge.events)
        for (account, what), times in head.spent.items():
            if account == charge.account:
                wanted[what] += times
        return wanted

    def _earlier(self, db: Connection, charge: Charge) -> Receipt | None:
        """The same charge, if it is there already."""
        found = self._find(db, CHARGE, charge.account, charge.task, charge.round)
        if found is None:
            return None
        record = _parsed(found)
        if any(record.get(name) != value for name, value in _facts(charge).items()) or (
            spent_by(record) != _gains(charge)
        ):
            raise RefusedError(
                f"{charge.task}, round {charge.round} was charged already, for something else",
                hint="a round is charged once; give the task another name",
            )
        return Receipt(found.seq, found.hash, fresh=False)

    def _spend(self, db: Connection, head: Head, charge: Charge) -> tuple[Head, Receipt]:
        name = (charge.account, charge.task, charge.round)
        return self._append(db, head, CHARGE, name, _facts(charge), _gains(charge))

    def _append(
        self,
        db: Connection,
        head: Head,
        kind: str,
        name: tuple[str, str, int],
        facts: Mapping[str, Any],
        gains: Spent,
    ) -> tuple[Head, Receipt]:
        """One more record, its totals and the head it makes."""
        account, task, round_number = name
        record = {
            **facts,
            "account": account,
            "kind": kind,
            "round": round_number,
            "seq": head.seq + 1,
            "spent": spent_list(gains),
            "task": task,
            "time": int(self._clock()),
        }
        text = canonical(record)
        after = Head(head.ledger, head.seq + 1, link(head.hash, text), _plus(head.spent, gains))
        row = {"kind": kind, "account": account, "task": task, "round": round_number}
        row |= {"seq": after.seq, "record": text.decode(), "hash": after.hash}
        db.execute(_ADD_ENTRY, row)
        moved = {"seq": after.seq, "hash": after.hash, "spent": totals_text(after.spent)}
        db.execute(_MOVE_HEAD, moved)
        return after, Receipt(after.seq, after.hash, fresh=True)

    def _head(self, db: Connection) -> Head:
        """The head, held until the end of the transaction."""
        # SQLite has no FOR UPDATE and needs none: the transaction has the database already.
        return self._read_head(db, lock=True)

    def _read_head(self, db: Connection, *, lock: bool = False) -> Head:
        row = db.execute(_HELD_HEAD if lock else _HEAD).one_or_none()
        if row is None or row.id != self.header.ledger:
            raise LedgerError("another ledger was put in the place of this one", hint=ACKNOWLEDGE)
        return Head(row.id, row.seq, row.hash, totals_from(row.spent), time=int(self._clock()))

    def _traced(self, db: Connection) -> Head:
        head = self._read_head(db)
        steps = [(seq, self._hash_at(db, seq)) for seq in trail_seqs(head.seq)]
        trail = tuple((seq, hash_) for seq, hash_ in steps if hash_ is not None)
        return Head(head.ledger, head.seq, head.hash, head.spent, trail, head.time)

    def _hash_at(self, db: Connection, seq: int) -> str | None:
        if seq == 0:
            return genesis(self.header)
        found: str | None = db.execute(_AT, {"seq": seq}).scalar_one_or_none()
        return found

    def _find(
        self, db: Connection, kind: str, account: str, task: str, round_number: int
    ) -> Any | None:
        name = {"kind": kind, "account": account, "task": task, "round": round_number}
        return db.execute(_NAMED, name).one_or_none()

    def _passes(self, db: Connection, head: Head, kept: Head) -> bool:
        """Does our chain go through a head, or has its loss been acknowledged?"""
        if (kept.ledger, kept.seq, kept.hash) == (head.ledger, head.seq, head.hash):
            return True
        if kept.ledger == head.ledger and self._hash_at(db, kept.seq) == kept.hash:
            return True
        return any(_covers(_parsed(row), kept) for row in db.execute(_GAPS))

    def _marked(self) -> Head | None:
        """The mark; none where it is missing or damaged."""
        try:
            return self.mark.read()
        except LedgerError:
            return None

    def _require_whole(self, db: Connection, head: Head) -> None:
        marked = self.mark.read()
        if marked is None:
            raise RefusedError(
                f"the ledger's mark {self.mark.path} is missing, so rows may be missing too",
                hint=ACKNOWLEDGE,
            )
        if not self._passes(db, head, marked):
            raise RefusedError(
                f"the ledger stands at record {head.seq} and has been at {marked.seq}: it was "
                "restored, and what is missing has been spent",
                hint=f"{ACKNOWLEDGE} counts it as spent",
            )
        if marked.seq == head.seq and dict(marked.spent) != dict(head.spent):
            raise LedgerError(
                "the ledger's totals are not those it had when it was marked",
                hint="restore the database, then " + ACKNOWLEDGE,
            )

    def _raise_if_whole(self, head: Head) -> None:
        """Raises the mark, but never over one that says that rows are missing."""
        with reading(self._database) as db:
            marked = self._marked()
            whole = marked is not None and self._passes(db, head, marked)
        if whole:
            self.mark.raise_to(head)

    def _shared(self, db: Connection, head: Head, marked: Head) -> Spent:
        """What both our rows and the marked ones certainly hold."""
        if not marked.trail:
            # Our own mark: the rows here are those of a backup, and nothing was added since.
            return head.spent if marked.ledger == head.ledger else {}
        last = agreement(marked.trail, lambda seq: self._hash_at(db, seq))
        shared: Counter[tuple[str, str]] = Counter()
        for entry in _entries(db):
            if entry.seq <= last:
                shared.update(spent_by(entry.record))
        return shared


def open_ledger(
    where: str,
    party: str,
    mark: Path,
    *,
    clock: Callable[[], float],
    entropy: Entropy,
    price: Price = accounted,
) -> Ledger:
    """Opens the ledger at a path or postgresql:// address, or begins one there.

    Args:
        where: see ``tables.open_database``.
        party: whose ledger it is; a ledger of another party is refused.
        mark: file of the high-water mark, on another disk than the database where that is to be.
        clock: unix seconds.
        entropy: names a new ledger.
        price: works out an ε.

    Raises:
        LedgerError: the database cannot be used, is of a later version, damaged, or another
            party's.
        ConfigError: the address or the party's name cannot be used.
    """
    require_name("party", party)
    database = open_database(where)
    try:
        with writing(database) as db:
            upgrade(db)
            header = _header(db)
            if header is None:
                header = _begin(db, party, Mark(mark), int(clock()), entropy)
            if header.party != party:
                raise LedgerError(f"the ledger is {header.party!r}'s, not {party!r}'s")
            _require_last(db, header)
    except BaseException:
        database.close()
        raise
    return Ledger(database, header, Mark(mark), clock, price)


def _begin(db: Connection, party: str, mark: Mark, now: int, entropy: Entropy) -> Header:
    header = Header(entropy(_ID_BYTES).hex(), party, now)
    first = Head(header.ledger, 0, genesis(header), {})
    row = {"only": 1, "id": header.ledger, "party": party, "made": now}
    db.execute(insert(LEDGER).values(**row, seq=0, hash=first.hash, spent=totals_text({})))
    # Before the commit: a ledger without a mark would look like one that was restored. A mark of
    # another ledger stays where that had spent: this one is then behind it.
    if not mark.path.exists():
        mark.create(first)
    elif mark.is_at_start():
        mark.replace(first)
    return header


def _header(db: Connection) -> Header | None:
    # Held, so that nobody adds a record between this look at the ledger and the next.
    row = db.execute(select(LEDGER).with_for_update()).one_or_none()
    return None if row is None else Header(row.id, row.party, row.made)


def _require_last(db: Connection, header: Header) -> None:
    """Finds a damaged end at once; ``verify`` goes through everything."""
    head = db.execute(select(LEDGER.c.seq, LEDGER.c.hash)).one()
    last = db.execute(select(ENTRIES).order_by(ENTRIES.c.seq.desc()).limit(2)).all()
    before = last[1].hash if len(last) > 1 else genesis(header)
    found = (last[0].seq, link(before, last[0].record.encode())) if last else (0, before)
    if found != (head.seq, head.hash):
        raise LedgerError(
            f"the ledger's last record is not the one that its head names ({head.seq})",
            hint="restore the database, then " + ACKNOWLEDGE,
        )


def _covers(gap: Record, kept: Head) -> bool:
    """Was a head counted in what this gap acknowledged?

    It is if the gap was made for that head, or for our own mark, whose chain the head was on.
    """
    if (gap["task"], gap["round"]) == (kept.hash, kept.seq):
        return True
    same = bool(gap["own"]) and gap["of"] == kept.ledger
    return same and gap["after"] < kept.seq <= gap["lost_to"]


def _judged(counts: Counts, budget: Budget) -> dict[str, int] | None:
    """The counts that the cap is held against; ``None`` where no ε could hold."""
    with_noise = noised(counts)
    if len(with_noise) < len(counts) and not budget.allow_unnoised:
        return None
    return with_noise


def _facts(charge: Charge) -> dict[str, Any]:
    return {
        "purpose": charge.purpose,
        "question": charge.question,
        "recipient": charge.recipient,
    }


def _gains(charge: Charge) -> Counter[tuple[str, str]]:
    counted = counts_of(charge.events)
    return Counter({(charge.account, what): times for what, times in counted.items()})


def _plus(spent: Spent, gains: Spent) -> dict[tuple[str, str], int]:
    total = dict(spent)
    for key, times in gains.items():
        total[key] = total.get(key, 0) + times
    return total


def _less(spent: Spent, shared: Spent) -> dict[tuple[str, str], int]:
    return {k: times - shared.get(k, 0) for k, times in spent.items() if times > shared.get(k, 0)}


def _rows(db: Connection) -> Iterator[Any]:
    """All records' rows in order, some at a time."""
    seq = 0
    while True:
        rows = db.execute(_PAGE_AFTER, {"seq": seq}).all()
        if not rows:
            return
        yield from rows
        seq = rows[-1].seq


def _entries(db: Connection) -> Iterator[Entry]:
    for row in _rows(db):
        yield Entry(row.seq, _parsed(row), row.hash)


def _parsed(row: Any) -> Record:
    try:
        record: Record = json.loads(row.record)
        same = canonical(record).decode() == row.record
    except ValueError:
        same = False
    if not same or not isinstance(record, dict):
        raise LedgerError(f"record {row.seq} of the ledger is damaged")
    return record


def _require_columns(row: Any, record: Record) -> None:
    for name in ("seq", "kind", "account", "task", "round"):
        if record[name] != getattr(row, name):
            raise LedgerError(f"record {row.seq} of the ledger: column {name} was changed")
