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

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from fedguide.errors import LedgerError, RefusedError, TamperedError
from fedguide.privacy import restore, rows
from fedguide.privacy.chain import (
    CHARGE,
    ERASURE,
    GAP,
    REFUSAL,
    Entry,
    Head,
    Header,
    SignedHead,
    Signer,
    Spent,
    Verify,
    check_head,
    sign_head,
    spent_by,
)
from fedguide.privacy.evidence import Walk, export_lines
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
from fedguide.privacy.tables import Database, open_database, reading, upgrade, writing
from fedguide.seeds import Entropy

_ID_BYTES = 16
_NO_HASH = "0" * 64


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
                head = rows.head_of(db, self.header, hold=True)
                restore.require_whole(db, self.header, head, self.mark)
                receipt = _earlier(db, charge)
                wanted = _after(head, charge)
                allowed = receipt is not None or self._known(wanted, budget)
                if allowed and receipt is None:
                    name = (charge.account, charge.task, charge.round)
                    head, receipt = self._add(
                        db, head, CHARGE, name, _facts(charge), _gains(charge)
                    )
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
            head = rows.head_of(db, self.header, hold=True)
            if rows.find(db, REFUSAL, account, task, round_number) is not None:
                return
            head, _ = self._add(db, head, REFUSAL, (account, task, round_number), facts, {})
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
            head = rows.head_of(db, self.header, hold=True)
            name = (account, tombstone, head.seq + 1)
            head, receipt = self._add(db, head, ERASURE, name, {"residual": residual}, {})
        self._raise_if_whole(head)
        return receipt

    def spent(self) -> dict[str, dict[str, int]]:
        """What every account has spent: account to what was done to how often."""
        with reading(self._database) as db:
            spent = rows.head_of(db, self.header).spent
        accounts: dict[str, dict[str, int]] = {}
        for (account, what), times in sorted(spent.items()):
            accounts.setdefault(account, {})[what] = times
        return accounts

    def counts(self, account: str) -> dict[str, int]:
        """What one account has spent."""
        return self.spent().get(account, {})

    def charged(self, account: str, task: str) -> Counter[str]:
        """What one task has cost the account so far: a part of ``counts``."""
        found: Counter[str] = Counter()
        with reading(self._database) as db:
            for record in rows.of_task(db, CHARGE, account, task):
                for (_, what), times in spent_by(record).items():
                    found[what] += times
        return found

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
            yield from rows.entries(db)

    def export(self, signer: Signer) -> Iterator[bytes]:
        """The ledger as JSON lines that anybody verifies offline; one moment of it.

        Raises:
            LedgerError: a record was changed or is missing.
        """
        with reading(self._database) as db:
            signed = sign_head(self._traced(db), signer)
            yield from export_lines(self.header, rows.entries(db), signed)

    def verify(self) -> Head:
        """Goes through the whole chain; gives the head it ends at.

        Raises:
            LedgerError: a record or a total was changed, or is missing.
        """
        with reading(self._database) as db:
            head = rows.head_of(db, self.header)
            walk = Walk(self.header)
            for entry in rows.entries(db):
                try:
                    walk.step(entry.seq, {"record": entry.record, "hash": entry.hash})
                except TamperedError as error:
                    raise LedgerError(
                        f"record {entry.seq} of the ledger: {error}", hint=rows.RESTORE
                    ) from None
        if not walk.ends_at(head):
            raise LedgerError(
                f"the ledger says it stands at record {head.seq}, its records end at {walk.seq} "
                "or add up to other spending",
                hint=rows.RESTORE,
            )
        return head

    def require_whole(self) -> None:
        """Returns if the database is not behind its mark.

        Raises:
            RefusedError: it is, or the mark is missing.
            LedgerError: the database or the mark cannot be used.
        """
        with reading(self._database) as db:
            restore.require_whole(db, self.header, rows.head_of(db, self.header), self.mark)

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
            head = rows.head_of(db, self.header, hold=True)
            if self._passes(db, head, kept.head):
                return
            marked = restore.whole_mark(self.mark)
            if marked is None or self._passes(db, head, marked):
                self.mark.replace(kept.head)
            restore.require_whole(db, self.header, head, self.mark)

    def acknowledge(self) -> Receipt | None:
        """Counts what a restored ledger lost as spent, and lets it spend again.

        Counted is everything that the mark knows of and that is not certain to be in our rows as
        well: for a head that another party kept, from the last place on where both agree.
        Gives ``None`` where nothing was lost.

        Raises:
            LedgerError: the database or the mark cannot be used.
        """
        with writing(self._database) as db:
            head = rows.head_of(db, self.header, hold=True)
            marked = restore.whole_mark(self.mark)
            if marked is not None and self._passes(db, head, marked):
                return None
            lost = {} if marked is None else restore.lost(db, self.header, head, marked)
            known = marked or Head(head.ledger, head.seq, _NO_HASH, {})
            own = marked is not None and not marked.trail
            facts = {"after": head.seq, "lost_to": known.seq, "of": known.ledger, "own": own}
            name = (self.header.party, known.hash, known.seq)
            ahead = replace(head, seq=max(head.seq, known.seq))
            head, receipt = self._add(db, ahead, GAP, name, facts, lost)
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

    def _add(
        self,
        db: Connection,
        head: Head,
        kind: str,
        name: tuple[str, str, int],
        facts: Mapping[str, Any],
        gains: Spent,
    ) -> tuple[Head, Receipt]:
        after = rows.add(db, head, kind, name, facts, gains, int(self._clock()))
        return after, Receipt(after.seq, after.hash, fresh=True)

    def _traced(self, db: Connection) -> Head:
        head = rows.head_of(db, self.header)
        trail = rows.trail_of(db, self.header, head)
        return replace(head, trail=trail, time=int(self._clock()))

    def _passes(self, db: Connection, head: Head, kept: Head) -> bool:
        return restore.passes(db, self.header, head, kept)

    def _raise_if_whole(self, head: Head) -> None:
        """Raises the mark, but never over one that says that rows are missing."""
        with reading(self._database) as db:
            marked = restore.whole_mark(self.mark)
            whole = marked is not None and self._passes(db, head, marked)
        if whole:
            self.mark.raise_to(head)


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
            header = rows.header_of(db)
            if header is None:
                header = Header(entropy(_ID_BYTES).hex(), party, int(clock()))
                _mark_first(Mark(mark), rows.begin(db, header))
            if header.party != party:
                raise LedgerError(f"the ledger is {header.party!r}'s, not {party!r}'s")
            rows.require_last(db, header, rows.head_of(db, header))
    except BaseException:
        database.close()
        raise
    return Ledger(database, header, Mark(mark), clock, price)


def _mark_first(mark: Mark, first: Head) -> None:
    """Makes the mark of a new ledger, before the ledger itself is there.

    The other way round, a crash between would leave a ledger without a mark, which looks like one
    that was restored. A mark of another ledger stays where that one had records: the new ledger
    is then behind it.
    """
    if not mark.path.exists():
        mark.create(first)
    elif mark.is_at_start():
        mark.replace(first)


def _judged(counts: Counts, budget: Budget) -> dict[str, int] | None:
    """The counts that the cap is held against; ``None`` where no ε could hold."""
    with_noise = noised(counts)
    if len(with_noise) < len(counts) and not budget.allow_unnoised:
        return None
    return with_noise


def _after(head: Head, charge: Charge) -> Counter[str]:
    """The account's counts once this was spent."""
    wanted = counts_of(charge.events)
    for (account, what), times in head.spent.items():
        if account == charge.account:
            wanted[what] += times
    return wanted


def _earlier(db: Connection, charge: Charge) -> Receipt | None:
    """The same charge, if it is there already.

    Raises:
        RefusedError: it is there with other content.
    """
    found = rows.find(db, CHARGE, charge.account, charge.task, charge.round)
    if found is None:
        return None
    said = {name: found.record.get(name) for name in _facts(charge)}
    if said != _facts(charge) or spent_by(found.record) != _gains(charge):
        raise RefusedError(
            f"{charge.task}, round {charge.round} was charged already, for something else",
            hint="a round is charged once; give the task another name",
        )
    return Receipt(found.seq, found.hash, fresh=False)


def _facts(charge: Charge) -> dict[str, Any]:
    return {
        "purpose": charge.purpose,
        "question": charge.question,
        "recipient": charge.recipient,
    }


def _gains(charge: Charge) -> Counter[tuple[str, str]]:
    counted = counts_of(charge.events)
    return Counter({(charge.account, what): times for what, times in counted.items()})
