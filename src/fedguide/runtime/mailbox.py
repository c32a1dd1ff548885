"""The hub's mailboxes: tasks, the messages of their trips, and payloads in chunks, in a database.

Delivery is at least once and every step is idempotent: a message is named by (task, trip, party), a
payload by its owner and hash, and saying the same thing again changes nothing; saying another thing
under the same name is refused. A message waits until it is answered or its trip is closed; asking
for trip t drops everything of the trips before, so that a task never holds more than one trip. All
functions work within a transaction that the caller opened. Sizes are checked against the task's cap
before a byte is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update

from fedguide.errors import (
    BusyError,
    ConfigError,
    MalformedError,
    NotAuthorizedError,
    NotFoundError,
    OverloadedError,
    OversizedError,
    ProtocolError,
    RefusedError,
    TimedOutError,
    TruncatedError,
)
from fedguide.protocol import MISSING_REASONS
from fedguide.runtime.hub_tables import CHUNKS, DECISIONS, MESSAGES, PAYLOADS, TASKS
from fedguide.runtime.hub_wire import (
    CHUNK_BYTES,
    INLINE_BYTES,
    Content,
    Decide,
    Letter,
    Offer,
    PostAsk,
    PostReply,
    Propose,
    Reply,
    Returned,
    TaskView,
    chunk_size,
    chunks_of,
)
from fedguide.runtime.members import ANSWERS, admitted, check_name
from fedguide.runtime.payload_files import PayloadFile, file_of, sweep
from fedguide.runtime.prepared import Prepared

OPEN, ENDED = "open", "ended"
UNDECIDED, APPROVED, REFUSED = "waiting", "approved", "refused"
ASKED, ANSWERED, CLOSED = "asked", "answered", "closed"

MAX_PROPOSAL_BYTES = 1 << 16
MAX_DETAIL = 512
MAX_PAYLOADS = 4096
"""Different payloads in one trip."""

REPLIES_AT_ONCE = 16
"""Replies in one answer to the driver; inline ones make it at most 4 MiB long."""


def _of(table: Any, task: Any, owner: Any, sha256: Any) -> Any:
    return and_(table.c.task == task, table.c.owner == owner, table.c.sha256 == sha256)


_TASK: Any = bindparam("task")
_TRIP: Any = bindparam("trip")
_PARTY: Any = bindparam("party")
_OWNER: Any = bindparam("owner")
_NAME: Any = bindparam("sha256")
_NUMBER: Any = bindparam("number")
_NOW_S: Any = bindparam("now_s")

_A_TASK = Prepared(select(TASKS).where(TASKS.c.task == _TASK))
_DECISIONS = Prepared(
    select(DECISIONS).where(DECISIONS.c.task == _TASK).order_by(DECISIONS.c.party)
)
_NEWS = Prepared(
    select(DECISIONS.c.task, DECISIONS.c.decision, TASKS.c.status)
    .join(TASKS, TASKS.c.task == DECISIONS.c.task)
    .where(DECISIONS.c.party == _PARTY)
    .order_by(DECISIONS.c.task)
)
_A_PAYLOAD = Prepared(select(PAYLOADS).where(_of(PAYLOADS, _TASK, _OWNER, _NAME)))
_A_CHUNK = Prepared(
    select(CHUNKS).where(_of(CHUNKS, _TASK, _OWNER, _NAME), CHUNKS.c.number == _NUMBER)
)
_ADD_PAYLOAD = Prepared(insert(PAYLOADS), "task", "owner", "sha256", "size", "missing")
_ADD_CHUNK = Prepared(insert(CHUNKS), "task", "owner", "sha256", "number", "body")
_DROP_OWNERS = tuple(
    Prepared(delete(table).where(table.c.task == _TASK, table.c.owner == _OWNER))
    for table in (CHUNKS, PAYLOADS)
)
_STORED = Prepared(
    select(
        func.count().filter(PAYLOADS.c.task == _TASK, PAYLOADS.c.owner == _OWNER).label("payloads"),
        func.coalesce(func.sum(PAYLOADS.c.size), 0).label("stored"),
    ).select_from(PAYLOADS)
)
_LATEST = Prepared(select(func.max(MESSAGES.c.trip)).where(MESSAGES.c.task == _TASK))
_OF_TRIP = Prepared(
    select(MESSAGES)
    .where(MESSAGES.c.task == _TASK, MESSAGES.c.trip == _TRIP)
    .order_by(MESSAGES.c.party)
)
_A_MESSAGE = Prepared(
    select(MESSAGES).where(
        MESSAGES.c.task == _TASK, MESSAGES.c.trip == _TRIP, MESSAGES.c.party == _PARTY
    )
)
_LETTER = Prepared(
    select(MESSAGES, TASKS.c.driver)
    .join(TASKS, TASKS.c.task == MESSAGES.c.task)
    .where(MESSAGES.c.party == _PARTY, MESSAGES.c.status == "asked", MESSAGES.c.deadline_s > _NOW_S)
    .order_by(MESSAGES.c.deadline_s, MESSAGES.c.task)
    .limit(1)
)
_ADD_MESSAGE = Prepared(
    insert(MESSAGES),
    *("task", "trip", "party", "status", "ask_sha256", "deadline_s", "reason", "detail"),
)
_ANSWER = Prepared(
    update(MESSAGES)
    .where(MESSAGES.c.task == _TASK, MESSAGES.c.trip == _TRIP, MESSAGES.c.party == _PARTY)
    .values(
        status="answered",
        reply_sha256=bindparam("reply"),
        reason=bindparam("why"),
        detail=bindparam("said"),
    )
)
_DROP_TRIPS = Prepared(delete(MESSAGES).where(MESSAGES.c.task == _TASK, MESSAGES.c.trip < _TRIP))


@dataclass(frozen=True)
class HubLimits:
    """How much a hub takes on.

    Attributes:
        max_payload_bytes: most that any task may allow for one payload.
        max_store_bytes: all payloads of all tasks together.
        max_open_tasks: tasks that are not ended.
        max_unanswered: messages that wait for one party.
    """

    max_payload_bytes: int = 1 << 30
    max_store_bytes: int = 16 << 30
    max_open_tasks: int = 256
    max_unanswered: int = 64


def propose(
    db: Connection, driver: str, body: Propose, limits: HubLimits, now_s: float
) -> TaskView:
    """Makes a task known to its parties; nothing can be asked of one before it approves.

    Raises:
        ConfigError: a name, the cap or the proposal's size is out of range.
        NotAuthorizedError, RevokedError: a party named is not admitted.
        ProtocolError: another task has this name.
        BusyError: too many tasks are open.
    """
    check_name(body.task)
    if not 1 <= body.max_bytes <= limits.max_payload_bytes:
        raise ConfigError(
            f"max_bytes must be in [1, {limits.max_payload_bytes}], got {body.max_bytes}"
        )
    if not body.parties or len(set(body.parties)) != len(body.parties):
        raise ConfigError("a task needs at least one party, each once")
    if len(body.proposal) > MAX_PROPOSAL_BYTES:
        raise OversizedError(
            f"a proposal has at most {MAX_PROPOSAL_BYTES} bytes, got {len(body.proposal)}"
        )
    known = db.execute(select(TASKS).where(TASKS.c.task == body.task)).one_or_none()
    if known is not None:
        if (known.driver, known.proposal) != (driver, body.proposal):
            raise ProtocolError(f"another task is named {body.task}", hint="--task another")
        return view(db, driver, body.task)
    for name in body.parties:
        if admitted(db, name).role not in ANSWERS:
            raise ConfigError(f"{name} is no party of this federation")
    count = db.execute(select(func.count()).where(TASKS.c.status == OPEN)).scalar_one()
    if count >= limits.max_open_tasks:
        raise BusyError(f"{count} tasks are open, at most {limits.max_open_tasks}")
    db.execute(
        insert(TASKS).values(
            task=body.task,
            driver=driver,
            proposal=body.proposal,
            max_bytes=body.max_bytes,
            status=OPEN,
            proposed_s=now_s,
        )
    )
    rows = [
        {"task": body.task, "party": name, "decision": UNDECIDED, "reason": ""}
        for name in body.parties
    ]
    db.execute(insert(DECISIONS), rows)
    return view(db, driver, body.task)


def offers(db: Connection, party: str) -> list[Offer]:
    """The tasks a party is named in, the newest first."""
    rows = db.execute(
        select(TASKS.c.task, TASKS.c.proposal, DECISIONS.c.decision, TASKS.c.status)
        .join(DECISIONS, DECISIONS.c.task == TASKS.c.task)
        .where(DECISIONS.c.party == party)
        .order_by(TASKS.c.proposed_s.desc(), TASKS.c.task)
        .limit(64)
    )
    return [Offer(row.task, row.proposal, row.decision, row.status) for row in rows]


def decide(db: Connection, party: str, task: str, body: Decide) -> None:
    """Keeps what a party says to a task; it may change its mind.

    Raises:
        NotFoundError: the party is not named in such a task.
        ProtocolError: it decided on another proposal than the task's.
    """
    row = _task(db, task)
    decision = db.execute(
        select(DECISIONS).where(DECISIONS.c.task == task, DECISIONS.c.party == party)
    ).one_or_none()
    if decision is None:
        raise NotFoundError(f"{party} is not named in a task {task}")
    if hashlib.sha256(row.proposal).digest() != body.proposal_sha256:
        raise ProtocolError(f"{party} decided on another proposal than that of {task}")
    said = APPROVED if body.approved else REFUSED
    db.execute(
        update(DECISIONS)
        .where(DECISIONS.c.task == task, DECISIONS.c.party == party)
        .values(decision=said, reason=body.reason[:MAX_DETAIL])
    )
    if not body.approved:
        _answer_open(db, party, task, REFUSED, "the party withdrew its approval")


def view(db: Connection, driver: str, task: str) -> TaskView:
    """A task's status and decisions.

    Raises:
        NotFoundError: the driver has no such task.
    """
    row = _own_task(db, driver, task)
    decisions = _DECISIONS(db, task=task)
    return TaskView(task, row.status, tuple((d.party, d.decision, d.reason) for d in decisions))


def end(db: Connection, driver: str, task: str) -> None:
    """Ends a task: its messages and payloads are dropped, the proposal and decisions stay.

    Raises:
        NotFoundError: the driver has no such task.
    """
    _own_task(db, driver, task)
    db.execute(update(TASKS).where(TASKS.c.task == task).values(status=ENDED))
    for table in (MESSAGES, CHUNKS, PAYLOADS):
        db.execute(delete(table).where(table.c.task == task))


def declare(
    db: Connection, owner: str, task: str, sha256: bytes, size: int, limits: HubLimits
) -> list[int]:
    """Announces a payload that comes in chunks; gives the numbers of those not there yet.

    Raises:
        NotFoundError, ProtocolError, RefusedError: the owner has nothing to send in this task now.
        OversizedError: it is larger than the task allows.
        BusyError: the hub's store is full.
    """
    row = _may_send(db, owner, task)
    _check_size(size, row.max_bytes)
    known = _payload(db, task, owner, sha256)
    if known is None:
        _make_room(db, owner, row, size, limits)
        db.execute(
            insert(PAYLOADS).values(
                task=task, owner=owner, sha256=sha256, size=size, missing=chunks_of(size)
            )
        )
    elif known.size != size:
        raise ProtocolError(f"this payload was announced with {known.size} bytes, now {size}")
    there = set(
        db.execute(select(CHUNKS.c.number).where(_of(CHUNKS, task, owner, sha256))).scalars()
    )
    return [number for number in range(chunks_of(size)) if number not in there]


@dataclass(frozen=True)
class Place:
    """Where a chunk goes, or comes from.

    Attributes:
        size: its bytes.
        offset: of its first byte in the payload.
        file: the payload's, or ``None`` where the database keeps it.
        known: the chunk is there already.
    """

    size: int
    offset: int
    file: PayloadFile | None
    known: bool = False


def place_of(db: Connection, owner: str, task: str, sha256: bytes, number: int) -> Place:
    """Where a chunk of an announced payload goes, asked before a byte of it is read.

    Raises:
        NotFoundError, ProtocolError, RefusedError: the payload was not announced, or its owner has
            nothing to send in this task now.
        OversizedError: the payload has fewer chunks.
    """
    _may_send(db, owner, task)
    known = _payload(db, task, owner, sha256)
    if known is None:
        raise ProtocolError("this payload was not announced")
    if not 0 <= number < chunks_of(known.size):
        raise OversizedError(f"chunk must be in [0, {chunks_of(known.size) - 1}], got {number}")
    chunk = _A_CHUNK(db, task=task, owner=owner, sha256=sha256, number=number).one_or_none()
    file = file_of(db, task, owner, sha256)
    return Place(chunk_size(known.size, number), number * CHUNK_BYTES, file, chunk is not None)


def put_chunk(
    db: Connection, owner: str, task: str, sha256: bytes, number: int, body: bytes, size: int
) -> None:
    """Keeps one chunk of an announced payload; a chunk that is there already stays as it is.

    Args:
        db: within a transaction.
        owner: whose payload it is.
        task: that it belongs to.
        sha256: the payload's name.
        number: the chunk's.
        body: the chunk; nothing where it was written to the payload's file.
        size: how many bytes came.

    Raises:
        NotFoundError, ProtocolError, RefusedError, OversizedError: as ``place_of``.
        TruncatedError: the chunk is shorter than it has to be.
    """
    place = place_of(db, owner, task, sha256, number)
    if size != place.size:
        kind = OversizedError if size > place.size else TruncatedError
        raise kind(f"chunk {number} has {place.size} bytes, got {size}")
    if not place.known:
        _insert_chunk(db, task, owner, sha256, number, body)
        db.execute(
            update(PAYLOADS)
            .where(_of(PAYLOADS, task, owner, sha256))
            .values(missing=PAYLOADS.c.missing - 1)
        )


def read_chunk(
    db: Connection, reader: str, task: str, owner: str, sha256: bytes, number: int
) -> bytes | Place:
    """One chunk of a payload that is addressed to the reader, or where in a file it lies.

    Raises:
        NotFoundError: there is none such, or it is for somebody else.
    """
    row = _task(db, task)
    if reader != row.driver:
        addressed = db.execute(
            select(MESSAGES.c.trip).where(
                MESSAGES.c.task == task,
                MESSAGES.c.party == reader,
                MESSAGES.c.ask_sha256 == sha256,
                MESSAGES.c.status == ASKED,
            )
        ).first()
        if addressed is None or owner != row.driver:
            raise NotFoundError("there is no such payload for this party")
    chunk = _A_CHUNK(db, task=task, owner=owner, sha256=sha256, number=number).one_or_none()
    known = _payload(db, task, owner, sha256)
    if chunk is None or known is None:
        raise NotFoundError("there is no such chunk")
    file = file_of(db, task, owner, sha256)
    if chunk.body or not known.size or file is None:
        body: bytes = chunk.body
        return body
    return Place(chunk_size(known.size, number), number * CHUNK_BYTES, file, True)


def recover(db: Connection) -> None:
    """Forgets payloads whose files a crash of the machine, or a backup, left otherwise.

    The driver finds its trip gone and asks it again; a party is asked again and gives the answer
    it has stored. What was half sent is sent from the beginning.
    """
    for row in db.execute(select(PAYLOADS)).all():
        file = file_of(db, row.task, row.owner, row.sha256)
        if file is None:
            return
        of = _of(CHUNKS, row.task, row.owner, row.sha256)
        bodies = [len(body) for body in db.execute(select(CHUNKS.c.body).where(of)).scalars()]
        if any(bodies) or (bodies and not row.size):
            continue  # the database keeps it
        if row.missing == 0 and file.is_whole(row.sha256, row.size):
            continue
        for table in (CHUNKS, PAYLOADS):
            db.execute(delete(table).where(_of(table, row.task, row.owner, row.sha256)))
        messages = MESSAGES.c.task == row.task
        asked = select(MESSAGES.c.trip).where(messages, MESSAGES.c.ask_sha256 == row.sha256)
        if db.execute(asked).first() is not None:
            db.execute(delete(MESSAGES).where(messages))
        db.execute(
            update(MESSAGES)
            .where(messages, MESSAGES.c.party == row.owner, MESSAGES.c.reply_sha256 == row.sha256)
            .values(status=ASKED, reply_sha256=None)
        )
    sweep(db)


def post_ask(
    db: Connection,
    driver: str,
    task: str,
    trip: int,
    body: PostAsk,
    limits: HubLimits,
    now_s: float,
) -> None:
    """Puts a trip's messages into the mailboxes and drops the trips before it.

    A party that did not approve, or is not admitted, counts as answered: refused or lost.

    Raises:
        NotFoundError, ProtocolError: no such open task; a later trip was asked, or this one
            otherwise; a payload is not complete.
        OversizedError, MalformedError, ConfigError: the body is not sound.
        BusyError: a party has too many messages waiting, or the store is full.
    """
    row = _open_task(db, driver, task)
    _check_ask(body)
    latest = _LATEST(db, task=task).scalar_one()
    if latest is not None and latest > trip:
        raise ProtocolError(f"trip {trip} of {task} is over, the last asked is {latest}")
    digests = {name: body.payloads[index].sha256 for name, index in body.to}
    if latest == trip:
        _same_ask(db, task, trip, digests)
        return
    _forget_before(db, driver, task, trip, set(digests.values()))
    for content in body.payloads:
        _take(db, driver, row, content, limits)
    decisions = {row.party: row.decision for row in _DECISIONS(db, task=task)}
    _check_queues(db, digests, limits)
    messages = [
        _message(db, task, trip, name, sha256, decisions.get(name), now_s + body.deadline_s)
        for name, sha256 in sorted(digests.items())
    ]
    _ADD_MESSAGE.each(db, messages)


def next_letter(db: Connection, party: str, now_s: float) -> Letter | None:
    """The message that has waited longest for a party, or ``None``."""
    row = _LETTER(db, party=party, now_s=now_s).one_or_none()
    if row is None:
        return None
    content = _content(db, row.task, row.driver, row.ask_sha256)
    return Letter(row.task, row.trip, row.driver, content, row.deadline_s - now_s)


def post_reply(
    db: Connection,
    party: str,
    task: str,
    trip: int,
    body: PostReply,
    limits: HubLimits,
    now_s: float,
) -> None:
    """Keeps a party's answer to a message; the same answer may come again.

    Raises:
        NotFoundError: the party was not asked this.
        TimedOutError: the trip is over.
        ProtocolError: it answered otherwise before, or another message.
        OversizedError, MalformedError: the body is not sound.
    """
    row = _A_MESSAGE(db, task=task, trip=trip, party=party).one_or_none()
    if row is None:
        raise NotFoundError(f"trip {trip} of {task} does not wait for {party}")
    if row.ask_sha256 != body.ask_sha256:
        raise ProtocolError(f"{party} answers another message than that of trip {trip}")
    if (body.content is None) != (body.reason in MISSING_REASONS):
        raise MalformedError("a reply holds either a payload or the reason why there is none")
    sha256 = body.content.sha256 if body.content else None
    if row.status == ANSWERED:
        if (row.reply_sha256, row.reason) != (sha256, body.reason):
            raise ProtocolError(f"trip {trip} of {task} was answered otherwise by {party}")
        return
    if row.status == CLOSED or row.deadline_s <= now_s:
        raise TimedOutError(f"trip {trip} of {task} is over")
    if body.content is not None:
        _take(db, party, _task(db, task), body.content, limits)
    said = body.detail[:MAX_DETAIL]
    _ANSWER(db, task=task, trip=trip, party=party, reply=sha256, why=body.reason, said=said)


def returned(
    db: Connection, driver: str, task: str, trip: int, have: Collection[str], now_s: float
) -> Returned:
    """What came back of a trip beyond what the driver has, and how many are still open.

    Raises:
        NotFoundError: the driver asked no such trip.
    """
    _own_task(db, driver, task)
    rows = _OF_TRIP(db, task=task, trip=trip).all()
    if not rows:
        raise NotFoundError(f"trip {trip} of {task} was not asked")
    left_s = rows[0].deadline_s - now_s
    waiting = sum(row.status == ASKED for row in rows) if left_s > 0 else 0
    fresh = [row for row in rows if row.status == ANSWERED and row.party not in have]
    some = fresh[:REPLIES_AT_ONCE]
    replies = tuple(_reply(db, task, row) for row in some)
    return Returned(replies, waiting + len(fresh) - len(some), left_s)


def close_trip(db: Connection, driver: str, task: str, trip: int) -> None:
    """Takes no more answers to a trip.

    Raises:
        NotFoundError: the driver has no such task.
    """
    _own_task(db, driver, task)
    db.execute(
        update(MESSAGES)
        .where(MESSAGES.c.task == task, MESSAGES.c.trip == trip, MESSAGES.c.status == ASKED)
        .values(status=CLOSED)
    )


def dismiss(db: Connection, party: str) -> None:
    """Answers for a party that is gone for good, so that nobody waits for it."""
    _answer_open(db, party, None, "lost", "the party left or was revoked")


def news(db: Connection, party: str) -> bytes:
    """Changes whenever a task of the party is proposed, decided on or ended."""
    rows = _NEWS(db, party=party)
    seen = hashlib.sha256()
    for row in rows:
        seen.update(f"{row.task} {row.decision} {row.status}\n".encode())
    return seen.digest()[:8]


def unanswered(db: Connection) -> int:
    """Messages that wait, of all parties."""
    return int(db.execute(select(func.count()).where(MESSAGES.c.status == ASKED)).scalar_one())


def stored_bytes(db: Connection) -> int:
    """Bytes of all announced payloads."""
    return int(db.execute(select(func.coalesce(func.sum(PAYLOADS.c.size), 0))).scalar_one())


def _task(db: Connection, task: str) -> Any:
    row = _A_TASK(db, task=task).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no task {task}", hint="fedguide train status")
    return row


def _own_task(db: Connection, driver: str, task: str) -> Any:
    row = _task(db, task)
    if row.driver != driver:
        raise NotFoundError(f"there is no task {task}", hint="fedguide train status")
    return row


def _open_task(db: Connection, driver: str, task: str) -> Any:
    row = _own_task(db, driver, task)
    if row.status != OPEN:
        raise ProtocolError(f"task {task} is {row.status}")
    return row


def _may_send(db: Connection, owner: str, task: str) -> Any:
    """The task, if the owner has something to send in it: its driver, or a party that is asked."""
    row = _task(db, task)
    if row.status != OPEN:
        raise ProtocolError(f"task {task} is {row.status}")
    if owner != row.driver:
        asked = db.execute(
            select(MESSAGES.c.trip).where(
                MESSAGES.c.task == task, MESSAGES.c.party == owner, MESSAGES.c.status == ASKED
            )
        ).first()
        if asked is None:
            raise RefusedError(f"no message of {task} waits for {owner}")
    return row


def _payload(db: Connection, task: str, owner: str, sha256: bytes) -> Any:
    return _A_PAYLOAD(db, task=task, owner=owner, sha256=sha256).one_or_none()


def _check_size(size: int, most: int) -> None:
    if not 0 <= size <= most:
        raise OversizedError(f"a payload of this task has at most {most} bytes, got {size}")


def _make_room(db: Connection, owner: str, row: Any, size: int, limits: HubLimits) -> None:
    """Refuses what does not fit; a party's one reply replaces what it announced before."""
    if owner != row.driver:
        for drop in _DROP_OWNERS:
            drop(db, task=row.task, owner=owner)
    now = _STORED(db, task=row.task, owner=owner).one()
    if now.payloads >= MAX_PAYLOADS:
        raise BusyError(f"{MAX_PAYLOADS} payloads of this task wait already, which is the most")
    if now.stored + size > limits.max_store_bytes:
        raise OverloadedError("the hub's store is full", retry_after_s=30)


def _insert_chunk(
    db: Connection, task: str, owner: str, sha256: bytes, number: int, body: bytes
) -> None:
    _ADD_CHUNK(db, task=task, owner=owner, sha256=sha256, number=number, body=body)


def _take(db: Connection, owner: str, row: Any, content: Content, limits: HubLimits) -> None:
    """Keeps an inline payload, or checks that a chunked one is complete."""
    _check_size(content.size, row.max_bytes)
    known = _payload(db, row.task, owner, content.sha256)
    if content.inline is None:
        if known is None or known.missing:
            raise ProtocolError("this payload is not complete: announce it and send its chunks")
        return
    if len(content.inline) != content.size or content.size > INLINE_BYTES:
        raise MalformedError(
            f"an inline payload of {content.size} bytes has {len(content.inline)}, "
            f"at most {INLINE_BYTES} go inline"
        )
    if hashlib.sha256(content.inline).digest() != content.sha256:
        raise MalformedError("an inline payload does not have the hash it came with")
    if known is not None:
        return
    _make_room(db, owner, row, content.size, limits)
    _ADD_PAYLOAD(
        db, task=row.task, owner=owner, sha256=content.sha256, size=content.size, missing=0
    )
    _insert_chunk(db, row.task, owner, content.sha256, 0, content.inline)


def _check_ask(body: PostAsk) -> None:
    names = [name for name, _ in body.to]
    if not names or len(set(names)) != len(names):
        raise MalformedError("an ask goes to at least one party, to each once")
    if not 0 < body.deadline_s < float("inf"):
        raise MalformedError(f"deadline_s must be finite and above 0, got {body.deadline_s}")
    if any(not 0 <= index < len(body.payloads) for _, index in body.to):
        raise MalformedError("an ask names a payload that it does not have")


def _same_ask(db: Connection, task: str, trip: int, digests: dict[str, bytes]) -> None:
    """A trip may be asked again, as it was asked."""
    asked = {row.party: row.ask_sha256 for row in _OF_TRIP(db, task=task, trip=trip)}
    if asked != digests:
        raise ProtocolError(f"trip {trip} of {task} was asked otherwise: another driver runs it")


def _forget_before(
    db: Connection, driver: str, task: str, trip: int, kept: Collection[bytes]
) -> None:
    """Drops earlier trips, and all payloads but the driver's own of this one."""
    _DROP_TRIPS(db, task=task, trip=trip)
    for table in (CHUNKS, PAYLOADS):
        old = or_(table.c.owner != driver, table.c.sha256.not_in(kept))
        db.execute(delete(table).where(table.c.task == task, old))


def _check_queues(db: Connection, names: Collection[str], limits: HubLimits) -> None:
    full = db.execute(
        select(MESSAGES.c.party)
        .where(MESSAGES.c.party.in_(names), MESSAGES.c.status == ASKED)
        .group_by(MESSAGES.c.party)
        .having(func.count() >= limits.max_unanswered)
        .limit(1)
    ).scalar_one_or_none()
    if full is not None:
        raise BusyError(
            f"{full} has {limits.max_unanswered} messages waiting, which is the most",
            retry_after_s=30,
        )


def _message(
    db: Connection,
    task: str,
    trip: int,
    party: str,
    sha256: bytes,
    decision: str | None,
    deadline_s: float,
) -> dict[str, Any]:
    """A message to wait in a mailbox, or one that the hub answers itself."""
    status, reason, detail = ASKED, "", ""
    if decision != APPROVED:
        said = "is not named in the task" if decision is None else f"says: {decision}"
        status, reason, detail = ANSWERED, REFUSED, f"{party} {said}"
    else:
        try:
            admitted(db, party)
        except NotAuthorizedError as error:
            status, reason, detail = ANSWERED, "lost", str(error)
    return {
        "task": task,
        "trip": trip,
        "party": party,
        "status": status,
        "ask_sha256": sha256,
        "deadline_s": deadline_s,
        "reason": reason,
        "detail": detail[:MAX_DETAIL],
    }


def _answer_open(db: Connection, party: str, task: str | None, reason: str, detail: str) -> None:
    where = [MESSAGES.c.party == party, MESSAGES.c.status == ASKED]
    if task is not None:
        where.append(MESSAGES.c.task == task)
    db.execute(
        update(MESSAGES).where(and_(*where)).values(status=ANSWERED, reason=reason, detail=detail)
    )


def _content(db: Connection, task: str, owner: str, sha256: bytes) -> Content:
    """A payload as it goes out: inline when it is small."""
    size: int = _A_PAYLOAD(db, task=task, owner=owner, sha256=sha256).one().size
    if size > INLINE_BYTES:
        return Content(sha256, size)
    body: bytes = _A_CHUNK(db, task=task, owner=owner, sha256=sha256, number=0).one().body
    file = file_of(db, task, owner, sha256)
    if not body and size and file is not None:
        body = file.path.read_bytes()
    return Content(sha256, size, body)


def _reply(db: Connection, task: str, row: Any) -> Reply:
    if row.reply_sha256 is None:
        return Reply(row.party, None, row.reason, row.detail)
    return Reply(row.party, _content(db, task, row.party, row.reply_sha256))
