"""The hub: mailboxes over HTTPS. It relays between a driver and parties that cannot be reached.

Every request but health and metrics is signed (``crypto/requests.py``). It is judged in the order
that costs least: headers, key and signature before a byte of the body is read, the body's length
before it is allocated, the nonce in the same transaction as what the request does. What is refused
leaves nothing behind. The hub cannot tell what payloads say; their receivers judge that.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeAlias, TypeVar

import msgspec
from anyio.to_thread import current_default_thread_limiter, run_sync
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedguide.crypto.requests import Request as Signed
from fedguide.crypto.requests import check_body, check_request, read_request
from fedguide.crypto.signing import PublicKey
from fedguide.errors import (
    BusyError,
    FedGuideError,
    InputError,
    MalformedError,
    NotAuthorizedError,
    NotFoundError,
    OverloadedError,
    OversizedError,
    PayloadError,
    ProtocolError,
    RefusedError,
    ReplayedError,
    RevokedError,
    TimedOutError,
)
from fedguide.runtime import mailbox, members
from fedguide.runtime.bells import Bells
from fedguide.runtime.hub_tables import CONNECTIONS, reading, writing
from fedguide.runtime.hub_watch import HubMetrics, Log
from fedguide.runtime.hub_wire import (
    ASK_BODY_BYTES,
    ENROL_BODY_BYTES,
    INLINE_BYTES,
    LONGEST_WAIT_S,
    MEDIA_TYPE,
    SMALL_BODY_BYTES,
    Decide,
    Enrol,
    Have,
    Mail,
    Missing,
    Offers,
    PostAsk,
    PostReply,
    Propose,
    Returned,
    Standing,
    Struct,
    TaskView,
    pack,
    unpack,
)
from fedguide.runtime.mailbox import HubLimits, Place
from fedguide.runtime.members import ANSWERS, DRIVES, PARTY, Member
from fedguide.runtime.payload_files import PIECE_BYTES, sweep

R = TypeVar("R")
_Keep: TypeAlias = Callable[[bytes], None]
"""Takes a body piece by piece."""

_STATUSES: tuple[tuple[type[FedGuideError], int], ...] = (
    (OverloadedError, 503),
    (BusyError, 429),
    (ReplayedError, 409),
    (RevokedError, 403),
    (NotAuthorizedError, 401),
    (RefusedError, 403),
    (TimedOutError, 410),
    (NotFoundError, 404),
    (OversizedError, 413),
    (ProtocolError, 409),
    (PayloadError, 400),
    (InputError, 400),
)
_FORGET_EVERY_S = 60.0
BYTES_TYPE = "application/octet-stream"

WaitQuery = Annotated[int, Query(ge=0, le=LONGEST_WAIT_S)]


@dataclass(frozen=True)
class HubPlan:
    """What one hub process allows.

    Attributes:
        limits: of mailboxes and payloads.
        max_bodies: requests whose bodies are read or worked on at once.
        max_waiting: polls left hanging at once.
        max_waiting_each: of one member.
        body_start_s: seconds for a body beside those its length gives it.
        body_bytes_per_s: slowest sender that is waited for.
        recheck_s: how often a waiting poll looks into the database unasked.
    """

    limits: HubLimits = field(default_factory=HubLimits)
    max_bodies: int = 32
    max_waiting: int = 2048
    max_waiting_each: int = 8
    body_start_s: float = 10.0
    body_bytes_per_s: float = 1 << 16
    recheck_s: float = 2.0


class Problem(Struct, frozen=True):
    """Why a request was refused."""

    code: str
    detail: str
    hint: str


@dataclass(frozen=True)
class _Caller:
    """Who made a request, and its body; ``proven_by_name`` if the key is the member's own."""

    signed: Signed
    member: Member
    body: bytes
    proven_by_name: bool = False


class _Hub:
    """What the routes share: the database, the bells, the clock."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float], plan: HubPlan, metrics: HubMetrics
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.plan = plan
        self.metrics = metrics
        self.bells = Bells(plan.recheck_s, plan.max_waiting, plan.max_waiting_each)
        self._bodies = 0
        self._known: dict[str, Member] = {}
        # SQLite takes one writer at a time. Waiting for it here costs nobody a thread, and what
        # does not wait for the disk is done at once: two changes of thread would take longer.
        self._here = engine.dialect.name == "sqlite"
        self._writer = asyncio.Lock()
        self._forget_at_s = clock() + _FORGET_EVERY_S

    async def read(self, look: Callable[[Connection], R]) -> R:
        """Runs ``look`` on a connection that only reads."""

        def work() -> R:
            with reading(self.engine) as db:
                return look(db)

        return work() if self._here else await run_sync(work)

    async def write(
        self, caller: _Caller, work: Callable[[Connection], R], *, light: bool = False
    ) -> R:
        """Keeps the caller's nonce and does ``work``, both or neither.

        ``light`` says that nothing is lost if the machine forgets it, so the disk is not waited
        for: the work only looks, or belongs to a trip, which is asked again then.

        Raises:
            ReplayedError: the request was made before.
            RevokedError, NotAuthorizedError: the caller is not, or no longer, who it was.
        """

        def transaction() -> R:
            with writing(self.engine, light=light) as db:
                members.remember(db, caller.signed)
                if caller.proven_by_name:
                    self._same(db, caller.member)
                self._forget(db)
                return work(db)

        if not self._here:
            return await run_sync(transaction)
        async with self._writer:
            return transaction() if light else await run_sync(transaction)

    async def tidy(self, task: str) -> None:
        """Deletes the files of payloads that a transaction dropped."""
        await self.read(lambda db: sweep(db, task))

    def _same(self, db: Connection, member: Member) -> None:
        """A member's key is kept in memory; that it still is one, the database says each time."""
        try:
            now = members.admitted(db, member.party)
        except NotAuthorizedError:
            self._known.pop(member.party, None)
            raise
        if now.role != member.role:
            self._known.pop(member.party, None)
        if now.key != member.key or (now.role, member.role) == (PARTY, members.LEAD):
            self._known.pop(member.party, None)
            raise NotAuthorizedError(f"{member.party} has another key now")

    def _forget(self, db: Connection) -> None:
        now_s = self.clock()
        if now_s >= self._forget_at_s:
            self._forget_at_s = now_s + _FORGET_EVERY_S
            members.forget_nonces(db, now_s)

    async def caller(self, request: Request, roles: tuple[str, ...] | None, most: int) -> _Caller:
        """Who makes this request.

        Raises:
            NotAuthorizedError, RevokedError, ExpiredError: it is not somebody who may.
            OversizedError, TimedOutError, OverloadedError: the body is too large or too slow, or
                there is no room for it.
        """
        caller = await self.sender(request)
        member = caller.member
        if roles is not None and member.role not in roles:
            member = await self._anew(member)
        if roles is not None and member.role not in roles:
            raise RefusedError(f"{member.party} is a {member.role}, this is for a {roles[0]}")
        caller = replace(caller, member=member)
        return replace(caller, body=await self.checked(request, caller.signed, most))

    async def sender(self, request: Request) -> _Caller:
        """Who makes this request, whose body was not read yet."""
        signed, signature = read_request(request.method, _target(request), request.headers)
        member = await self._signer(signed, signature)
        return _Caller(signed, member, b"", proven_by_name=True)

    async def checked(
        self, request: Request, signed: Signed, most: int, keep: _Keep | None = None
    ) -> bytes:
        """The body that was signed, or nothing if it is given to ``keep`` piece by piece."""
        body, digest = await self.body(request, most, keep)
        check_body(signed, digest)
        return body

    async def _anew(self, member: Member) -> Member:
        """The member as the database knows it: it may have been made a lead since."""
        now = await self.read(lambda db: members.admitted(db, member.party))
        if now.key != member.key:
            self._known.pop(member.party, None)
            raise NotAuthorizedError(f"{member.party} has another key now")
        self._known[member.party] = now
        return now

    async def _signer(self, signed: Signed, signature: bytes) -> Member:
        """The member that signed: by the key in memory, else by that of the database."""
        known = self._known.get(signed.party)
        if known is not None:
            try:
                check_request(signed, signature, known.key, self.clock())
            except NotAuthorizedError:
                self._known.pop(signed.party, None)  # it may have come back with a new key
            else:
                return known
        member = await self.read(lambda db: members.admitted(db, signed.party))
        check_request(signed, signature, member.key, self.clock())
        self._known[signed.party] = member
        return member

    async def newcomer(self, request: Request) -> tuple[_Caller, Enrol]:
        """Somebody who is not known yet and signs with the key it brings."""
        signed, signature = read_request(request.method, _target(request), request.headers)
        body, digest = await self.body(request, ENROL_BODY_BYTES)
        check_body(signed, digest)
        enrol = unpack(body, Enrol)
        key = PublicKey(enrol.key)
        check_request(signed, signature, key, self.clock())
        nobody = Member(signed.party, key, PARTY, members.WAITING, self.clock(), None)
        return _Caller(signed, nobody, body), enrol

    async def body(
        self, request: Request, most: int, keep: _Keep | None = None
    ) -> tuple[bytes, bytes]:
        """A body of at most ``most`` bytes and its SHA-256; larger ones are not read."""
        claimed = _length(request)
        if claimed is not None and claimed > most:
            raise OversizedError(f"this request may have {most} bytes, it says {claimed}")
        if self._bodies >= self.plan.max_bodies:
            raise OverloadedError(f"{self.plan.max_bodies} requests are read already")
        self._bodies += 1
        try:
            size = most if claimed is None else claimed
            longest_s = self.plan.body_start_s + size / self.plan.body_bytes_per_s
            async with asyncio.timeout(longest_s):
                return await _read(request, most, keep)
        except TimeoutError:
            raise TimedOutError(f"the body did not come within {longest_s:.0f} s") from None
        finally:
            self._bodies -= 1


def hub_app(
    engine: Engine, clock: Callable[[], float], plan: HubPlan, log: Log = lambda _record: None
) -> FastAPI:
    """The hub as an ASGI application.

    Args:
        engine: of ``hub_tables.open_database``.
        clock: seconds since 1970; ``time.time`` outside of tests.
        plan: what it allows.
        log: told of every request.
    """
    metrics = HubMetrics()
    with writing(engine) as db:
        mailbox.recover(db)
    hub = _Hub(engine, clock, plan, metrics)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        # A thread more would wait for a connection, and keep memory of its own for good.
        current_default_thread_limiter().total_tokens = CONNECTIONS
        yield
        hub.bells.close()

    app = FastAPI(title="fedguide hub", openapi_url=None, lifespan=life)
    _open_routes(app, hub)
    _member_routes(app, hub)
    _task_routes(app, hub)
    _payload_routes(app, hub)
    _trip_routes(app, hub)
    app.add_exception_handler(FedGuideError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_malformed)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(IntegrityError, _on_race)
    app.add_exception_handler(OperationalError, _on_database)
    app.add_middleware(_Watched, metrics=metrics, log=log)
    app.state.bells = hub.bells
    return app


def _open_routes(app: FastAPI, hub: _Hub) -> None:
    """What anybody may ask."""

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response(b"ok\n", media_type="text/plain")

    @app.get("/readyz")
    async def readyz() -> Response:
        try:
            await hub.read(lambda db: db.execute(text("SELECT 1")).scalar_one())
        except OperationalError:
            return Response(b"database\n", 503, media_type="text/plain")
        return Response(b"ok\n", media_type="text/plain")

    @app.get("/metrics")
    async def metrics() -> Response:
        def look(db: Connection) -> tuple[int, int]:
            return mailbox.unanswered(db), mailbox.stored_bytes(db)

        waiting, stored = await hub.read(look)
        hub.metrics.unanswered.set(waiting)
        hub.metrics.stored.set(stored)
        hub.metrics.polls.set(hub.bells.waiting)
        return Response(hub.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/clock")
    async def clock() -> Response:
        return _packed(Standing("", "", "", hub.clock()))


def _member_routes(app: FastAPI, hub: _Hub) -> None:
    """Enrolling, asking how it stands, leaving."""

    @app.post("/v1/enrol")
    async def enrol(request: Request) -> Response:
        caller, wanted = await hub.newcomer(request)

        def work(db: Connection) -> Member:
            name = caller.signed.party
            return members.enrol(db, name, caller.member.key, wanted.token, hub.clock())

        return _packed(_standing(await hub.write(caller, work), hub))

    @app.get("/v1/me")
    async def me(request: Request) -> Response:
        signed, signature = read_request(request.method, _target(request), request.headers)
        found = await hub.read(lambda db: members.member(db, signed.party))
        if found is None:
            raise NotAuthorizedError(f"{signed.party} is not enrolled here")
        check_request(signed, signature, found.key, hub.clock())
        caller = _Caller(signed, found, b"")
        return _packed(_standing(await hub.write(caller, lambda _db: found, light=True), hub))

    @app.post("/v1/leave")
    async def leave(request: Request) -> Response:
        caller = await hub.caller(request, ANSWERS, 0)

        def work(db: Connection) -> Member:
            mailbox.dismiss(db, caller.member.party)
            return members.set_status(db, caller.member.party, members.REVOKED)

        return _packed(_standing(await hub.write(caller, work), hub))


def _task_routes(app: FastAPI, hub: _Hub) -> None:
    """Proposing tasks and deciding on them."""

    @app.post("/v1/tasks")
    async def propose(request: Request) -> Response:
        caller = await hub.caller(request, DRIVES, mailbox.MAX_PROPOSAL_BYTES * 2)
        body = unpack(caller.body, Propose)

        def work(db: Connection) -> TaskView:
            driver = caller.member.party
            return mailbox.propose(db, driver, body, hub.plan.limits, hub.clock())

        view = await hub.write(caller, work)
        for name in body.parties:
            hub.bells.ring(f"mailbox/{name}")
        return _packed(view)

    @app.get("/v1/tasks")
    async def offers(request: Request) -> Response:
        caller = await hub.caller(request, ANSWERS, 0)
        found = await hub.write(
            caller, lambda db: mailbox.offers(db, caller.member.party), light=True
        )
        return _packed(Offers(tuple(found)))

    @app.get("/v1/tasks/{task}")
    async def view(request: Request, task: str, decided: int = -1, wait: WaitQuery = 0) -> Response:
        caller = await hub.caller(request, DRIVES, 0)
        driver = caller.member.party

        def changed(seen: TaskView) -> TaskView | None:
            count = sum(said != mailbox.UNDECIDED for _, said, _ in seen.decisions)
            return seen if count != decided or seen.status != mailbox.OPEN else None

        seen = await hub.write(caller, lambda db: mailbox.view(db, driver, task), light=True)
        found = changed(seen) or await hub.bells.wait(
            f"task/{task}",
            driver,
            lambda: hub.read(lambda db: changed(mailbox.view(db, driver, task))),
            wait,
        )
        return _packed(found or seen)

    @app.post("/v1/tasks/{task}/decision")
    async def decide(request: Request, task: str) -> Response:
        caller = await hub.caller(request, ANSWERS, SMALL_BODY_BYTES)
        body = unpack(caller.body, Decide)
        party = caller.member.party
        await hub.write(caller, lambda db: mailbox.decide(db, party, task, body))
        hub.bells.ring(f"task/{task}")
        hub.bells.ring(f"trip/{task}")
        hub.bells.ring(f"mailbox/{party}")
        return Response(status_code=204)

    @app.post("/v1/tasks/{task}/end")
    async def end(request: Request, task: str) -> Response:
        caller = await hub.caller(request, DRIVES, 0)

        def work(db: Connection) -> TaskView:
            mailbox.end(db, caller.member.party, task)
            return mailbox.view(db, caller.member.party, task)

        view = await hub.write(caller, work)
        for name, _, _ in view.decisions:
            hub.bells.ring(f"mailbox/{name}")
        await hub.tidy(task)
        return _packed(view)


def _payload_routes(app: FastAPI, hub: _Hub) -> None:
    """Payloads too large for one request, in chunks."""

    @app.post("/v1/tasks/{task}/payloads/{sha256}")
    async def declare(
        request: Request, task: str, sha256: str, size: Annotated[int, Query(ge=0)]
    ) -> Response:
        caller = await hub.caller(request, None, 0)
        digest = _digest(sha256)

        def work(db: Connection) -> list[int]:
            owner = caller.member.party
            return mailbox.declare(db, owner, task, digest, size, hub.plan.limits)

        missing = await hub.write(caller, work, light=True)
        await hub.tidy(task)
        return _packed(Missing(tuple(missing)))

    @app.put("/v1/tasks/{task}/payloads/{sha256}/{number}")
    async def put(request: Request, task: str, sha256: str, number: int) -> Response:
        caller = await hub.sender(request)
        digest, owner = _digest(sha256), caller.member.party
        place = await hub.read(lambda db: mailbox.place_of(db, owner, task, digest, number))
        claimed = _length(request)
        if claimed is not None and claimed > place.size:
            raise OversizedError(f"chunk {number} has {place.size} bytes, got {claimed}")
        if place.file is None:
            body = await hub.checked(request, caller.signed, place.size)
            size = len(body)
        else:
            body, size = b"", await _to_file(hub, request, caller.signed, place)
        await hub.write(
            caller,
            lambda db: mailbox.put_chunk(db, owner, task, digest, number, body, size),
            light=True,
        )
        return Response(status_code=204)

    @app.get("/v1/tasks/{task}/payloads/{owner}/{sha256}/{number}")
    async def chunk(request: Request, task: str, owner: str, sha256: str, number: int) -> Response:
        caller = await hub.caller(request, None, 0)
        digest, reader = _digest(sha256), caller.member.party

        def work(db: Connection) -> tuple[bytes | Place, int]:
            found = mailbox.read_chunk(db, reader, task, owner, digest, number)
            if isinstance(found, bytes) or found.file is None:
                return found, -1
            try:
                # Open within the transaction: what is dropped after it can still be read.
                return found, found.file.open_to_read()
            except FileNotFoundError:
                raise NotFoundError("there is no such chunk") from None

        found, handle = await hub.write(caller, work, light=True)
        if isinstance(found, bytes):
            return Response(found, media_type=BYTES_TYPE)
        return _PartOfFile(handle, found)


async def _to_file(hub: _Hub, request: Request, signed: Signed, place: Place) -> int:
    """Writes a chunk to its place in the payload's file; gives how many bytes came.

    A chunk that is there already is read and not written. Until the database says that it is
    there, nobody reads the place: what is not the body that was signed is written over.
    """
    if place.file is None or place.known:
        return len(await hub.checked(request, signed, place.size))
    handle = place.file.open_to_write()
    written = 0

    def keep(piece: bytes) -> None:
        nonlocal written
        written += os.pwrite(handle, piece, place.offset + written)

    try:
        await hub.checked(request, signed, place.size, keep)
    finally:
        os.close(handle)
    return written


class _PartOfFile(Response):
    """A part of an open file, read piece by piece; closes it."""

    def __init__(self, handle: int, place: Place) -> None:
        super().__init__(headers={"content-length": str(place.size)}, media_type=BYTES_TYPE)
        self._handle, self._place = handle, place

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            end = self._place.offset + self._place.size
            for start in range(self._place.offset, end, PIECE_BYTES):
                size = min(PIECE_BYTES, end - start)
                piece = await run_sync(os.pread, self._handle, size, start)
                more = start + size < end
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        finally:
            os.close(self._handle)


def _trip_routes(app: FastAPI, hub: _Hub) -> None:
    """Asking, answering, collecting."""

    @app.post("/v1/tasks/{task}/trips/{trip}")
    async def ask(request: Request, task: str, trip: int, wait: WaitQuery = 0) -> Response:
        caller = await hub.caller(request, DRIVES, ASK_BODY_BYTES)
        body, driver = unpack(caller.body, PostAsk), caller.member.party

        def work(db: Connection) -> Returned:
            mailbox.post_ask(db, driver, task, trip, body, hub.plan.limits, hub.clock())
            return mailbox.returned(db, driver, task, trip, (), hub.clock())

        found = await hub.write(caller, work, light=True)
        for name, _ in body.to:
            hub.bells.ring(f"mailbox/{name}")
        await hub.tidy(task)
        if not wait:
            return Response(status_code=204)
        # Who waits here has the first replies without another request.
        return _packed(await _heard(hub, driver, task, trip, set(), found, wait))

    @app.get("/v1/mailbox")
    async def mail(request: Request, seen: str = "", wait: WaitQuery = 0) -> Response:
        caller = await hub.caller(request, ANSWERS, 0)
        party = caller.member.party

        def look(db: Connection) -> Mail:
            return Mail(mailbox.next_letter(db, party, hub.clock()), mailbox.news(db, party))

        def first(db: Connection) -> Mail:
            members.saw(db, party, hub.clock())
            return look(db)

        def worth(found: Mail) -> Mail | None:
            return found if found.letter or found.news.hex() != seen else None

        found = await hub.write(caller, first, light=True)
        heard = worth(found) or await hub.bells.wait(
            f"mailbox/{party}", party, lambda: hub.read(lambda db: worth(look(db))), wait
        )
        return _packed(heard or found)

    @app.post("/v1/tasks/{task}/trips/{trip}/reply")
    async def reply(request: Request, task: str, trip: int) -> Response:
        caller = await hub.caller(request, ANSWERS, INLINE_BYTES + SMALL_BODY_BYTES)
        body = unpack(caller.body, PostReply)

        def work(db: Connection) -> None:
            party = caller.member.party
            mailbox.post_reply(db, party, task, trip, body, hub.plan.limits, hub.clock())

        await hub.write(caller, work, light=True)
        hub.bells.ring(f"trip/{task}")
        return Response(status_code=204)

    @app.post("/v1/tasks/{task}/trips/{trip}/collect")
    async def collect(request: Request, task: str, trip: int, wait: WaitQuery = 0) -> Response:
        caller = await hub.caller(request, DRIVES, SMALL_BODY_BYTES)
        have, driver = set(unpack(caller.body, Have).parties), caller.member.party

        def look(db: Connection) -> Returned:
            return mailbox.returned(db, driver, task, trip, have, hub.clock())

        found = await hub.write(caller, look, light=True)
        return _packed(await _heard(hub, driver, task, trip, have, found, wait))

    @app.post("/v1/tasks/{task}/trips/{trip}/close")
    async def close(request: Request, task: str, trip: int) -> Response:
        caller = await hub.caller(request, DRIVES, 0)
        driver = caller.member.party
        await hub.write(caller, lambda db: mailbox.close_trip(db, driver, task, trip), light=True)
        return Response(status_code=204)


async def _heard(
    hub: _Hub, driver: str, task: str, trip: int, have: set[str], found: Returned, wait: int
) -> Returned:
    """What is in of a trip beyond what the driver has: ``found``, or what comes while it waits."""

    def look(db: Connection) -> Returned:
        return mailbox.returned(db, driver, task, trip, have, hub.clock())

    def worth(found: Returned) -> Returned | None:
        return found if found.replies or not found.open else None

    # Nothing new can come after the deadline, so no poll waits beyond it.
    longest_s = max(0.0, min(float(wait), found.left_s))
    heard = worth(found) or await hub.bells.wait(
        f"trip/{task}", driver, lambda: hub.read(lambda db: worth(look(db))), longest_s
    )
    return await hub.read(look) if heard is None else heard


def _standing(member: Member, hub: _Hub) -> Standing:
    return Standing(member.party, member.role, member.status, hub.clock())


def _packed(body: Struct) -> Response:
    return Response(pack(body), media_type=MEDIA_TYPE)


def _target(request: Request) -> str:
    """Path and query exactly as they were sent."""
    raw: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (raw + (b"?" + query if query else b"")).decode("ascii", "replace")


def _length(request: Request) -> int | None:
    value = request.headers.get("content-length")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise MalformedError("content-length must be a whole number")
    return int(value)


async def _read(request: Request, most: int, keep: _Keep | None) -> tuple[bytes, bytes]:
    """The body as it comes, given up at the first byte too many, and its SHA-256.

    With ``keep`` it is handed on, some pieces at a time, and is not in what is returned; those are
    hashed and kept in a thread, while the next ones come.
    """
    parts: list[bytes] = []
    size = waiting = 0
    digest = hashlib.sha256()

    def hand_on(pieces: list[bytes], keep: _Keep) -> None:
        for piece in pieces:
            digest.update(piece)
            keep(piece)

    async for part in request.stream():
        size += len(part)
        if size > most:
            raise OversizedError(f"this request may have {most} bytes, it has more")
        parts.append(part)
        waiting += len(part)
        if keep is None:
            digest.update(part)
        elif waiting >= PIECE_BYTES:
            await run_sync(hand_on, parts, keep)
            parts, waiting = [], 0
    if keep is None:
        return b"".join(parts), digest.digest()
    await run_sync(hand_on, parts, keep)
    return b"", digest.digest()


def _digest(text_: str) -> bytes:
    try:
        raw = bytes.fromhex(text_)
    except ValueError:
        raw = b""
    if len(raw) != hashlib.sha256().digest_size:
        raise MalformedError("a payload is named by the 64 hex digits of its SHA-256")
    return raw


def _problem(status: int, error: FedGuideError) -> Response:
    headers = {}
    if isinstance(error, BusyError):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if status in (400, 401, 408, 410, 413):
        # The body may not have been read; the connection cannot be used for another request.
        headers["Connection"] = "close"
    body = msgspec.json.encode(
        {"code": error.code, "detail": str(error), "hint": error.hint, "status": status}
    )
    return Response(body, status, headers, media_type="application/problem+json")


async def _on_refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FedGuideError)  # noqa: S101 - registered for these alone
    status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 500)
    return _problem(status, error)


async def _on_malformed(_request: Request, _error: Exception) -> Response:
    return _problem(400, MalformedError("a part of the path or query is not of its type or range"))


async def _on_http(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 400)
    return _problem(status, NotFoundError("there is nothing here, or not by this method"))


async def _on_race(_request: Request, _error: Exception) -> Response:
    """Two requests wrote the same thing at once; the second finds it when it comes again."""
    return _problem(503, OverloadedError("another request wrote this at the same moment"))


async def _on_database(_request: Request, _error: Exception) -> Response:
    # The driver's own words may quote a statement and its values.
    return _problem(503, OverloadedError("the hub's database does not answer", retry_after_s=5))


class _Watched:
    """Counts and logs every request, by its route's pattern and never by its path."""

    def __init__(self, app: ASGIApp, metrics: HubMetrics, log: Log) -> None:
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.monotonic()
        seen = {"status": 500, "received": 0, "sent": 0}

        async def receiving() -> Message:
            message = await receive()
            seen["received"] += len(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            seen["sent"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        finally:
            self._done(scope, seen, time.monotonic() - started_s)

    def _done(self, scope: Scope, seen: dict[str, int], seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if route != "other" else "other"
        self._metrics.requests.labels(method, route, str(seen["status"])).inc()
        if b"wait=" not in scope["query_string"]:
            self._metrics.seconds.labels(route).observe(seconds)
        self._metrics.received.inc(seen["received"])
        self._metrics.sent.inc(seen["sent"])
        record = {
            "event": "request",
            "method": method,
            "route": route,
            "ms": round(seconds * 1e3, 1),
        }
        self._log({**record, **seen})
