"""A party at work: it looks into its mailbox, lets its owner decide, answers, and forgets.

The process may be killed at any moment: what it keeps is in its journal before anything leaves, so
that it answers each message once, with the same bytes however often it is asked. It opens no port;
all it does is ask the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fedguide.codec import Limits
from fedguide.errors import (
    FedGuideError,
    NotFoundError,
    PayloadError,
    ProtocolError,
    RefusedError,
    TimedOutError,
)
from fedguide.runtime.consent import AnyProposal, Considered, Desk, Rules, objections
from fedguide.runtime.couriers import Clock, Party, blame, stored_answer
from fedguide.runtime.hub_client import HubClient, fetch, send
from fedguide.runtime.hub_wire import (
    INLINE_BYTES,
    LONGEST_WAIT_S,
    Content,
    Decide,
    Letter,
    Mail,
    Offers,
    PostReply,
    pack,
    unpack,
)
from fedguide.runtime.party_store import PartyStore
from fedguide.runtime.proposal import proposal_digest
from fedguide.values import PartyId

PAUSED_S = 1.0
"""How often a paused party looks whether it may go on."""


@dataclass(frozen=True)
class Work:
    """A party's half of one task, ready to answer.

    Attributes:
        party: what it has and does.
        allowed: the kinds of message and state of the protocol.
        limits: sizes of messages, and of what the party keeps.
    """

    party: Party
    allowed: Sequence[type]
    limits: Limits


Prepare: TypeAlias = Callable[[AnyProposal], Work]
"""Makes a party's half of a task; it may read data and compile, and is called once a process."""


class Keeping(Protocol):
    """Where a party keeps each task's state, answers and secrets."""

    def store(self, task: str) -> PartyStore:
        """The states and answers of one task."""
        ...

    def forget(self, task: str) -> None:
        """Deletes everything of a task that is over."""
        ...


@dataclass(frozen=True)
class Happened:
    """One thing a party did.

    ``what`` is ``proposed``, ``decided``, ``answered``, ``refused``, ``failed``, ``ended`` or
    ``released``.
    """

    what: str
    task: str
    trip: int = -1
    detail: str = ""
    bytes_sent: int = 0


class PartyProcess:
    """What a party keeps in memory while its process lives; all of it can be lost.

    Args:
        client: in the party's name.
        desk: its owner's decisions.
        rules: what its owner wrote down.
        keeping: its journal.
        prepare: makes its half of a task.
        wall: seconds since 1970.
        on_event: told of everything the party does.
        idle: called between two looks into the mailbox.
    """

    def __init__(
        self,
        client: HubClient,
        desk: Desk,
        rules: Rules,
        keeping: Keeping,
        prepare: Prepare,
        wall: Clock,
        on_event: Callable[[Happened], None] = lambda _event: None,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._idle = idle
        self._client = client
        self._desk = desk
        self._rules = rules
        self._keeping = keeping
        self._prepare = prepare
        self._wall = wall
        self._on_event = on_event
        self._works: dict[str, Work] = {}
        self._seen = ""

    def run(self, stop: Callable[[], bool]) -> None:
        """Serves until ``stop()``.

        Raises:
            ConnectionFailedError: the hub was away for longer than patience lasts.
            RevokedError: the party was revoked.
        """
        while not stop():
            if self._desk.paused:
                self._client.around.pause(PAUSED_S)
                continue
            self._idle()
            self.turn(LONGEST_WAIT_S)

    def turn(self, wait_s: int) -> bool:
        """Looks into the mailbox once, and answers what is there; was there a message?"""
        path = f"/v1/mailbox?seen={self._seen}&wait={wait_s}"
        mail = unpack(self._client.call("GET", path, wait_s=wait_s), Mail)
        if mail.news.hex() != self._seen:
            self._read_offers()
            self._seen = mail.news.hex()
        if mail.letter is None:
            return False
        self._answer(mail.letter)
        return True

    def _read_offers(self) -> None:
        """Sees new proposals, lets the rules decide, tells the hub, forgets what is over."""
        for offer in unpack(self._client.call("GET", "/v1/tasks"), Offers).offers:
            try:
                considered = self._desk.see(offer.task, offer.proposal, offer.status)
            except FedGuideError as error:
                # One proposal that cannot be read must not keep the party from the others.
                self._on_event(Happened("failed", offer.task, detail=str(error)))
                continue
            if offer.status != "open":
                self._forget(offer.task)
                continue
            if considered.decision == "waiting":
                considered = self._by_rules(considered)
            if considered.decision not in ("waiting", offer.decision):
                tell(self._client, considered)

    def _by_rules(self, considered: Considered) -> Considered:
        task = considered.proposal.task
        self._on_event(Happened("proposed", task, detail=considered.proposal.purpose))
        said = objections(self._rules, considered.proposal, self._client.name)
        if self._rules.decide == "ask" or said:
            return considered
        self._on_event(Happened("decided", task, detail="approved by policy"))
        return self._desk.decide(task, "approved", by="policy", now_s=self._wall())

    def _forget(self, task: str) -> None:
        self._keeping.forget(task)
        if self._works.pop(task, None) is not None:
            self._on_event(Happened("ended", task))

    def _answer(self, letter: Letter) -> None:
        """Answers one message, or says why not; a party's failure is a missing reply."""
        name = PartyId(self._client.name)
        try:
            reply = self._reply(name, letter)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not stop the party
            missing = blame(name, error)
            what = "refused" if missing.reason == "refused" else "failed"
            self._on_event(Happened(what, letter.task, letter.trip, missing.detail))
            self._post(letter, None, missing.reason, missing.detail)
            return
        small = len(reply) <= INLINE_BYTES
        try:
            content = send(self._client, letter.task, reply, inline=small)
        except (TimedOutError, NotFoundError, ProtocolError, RefusedError, PayloadError) as error:
            # The trip is over, or the reply is larger than the task allows.
            self._on_event(Happened("failed", letter.task, letter.trip, str(error)))
            self._post(letter, None, "faulty", f"{type(error).__name__}: {error}")
            return
        if self._post(letter, content, "", ""):
            self._on_event(Happened("answered", letter.task, letter.trip, "", len(reply)))

    def _reply(self, name: PartyId, letter: Letter) -> bytes:
        considered = self._desk.get(letter.task)
        if considered.decision != "approved":
            raise RefusedError(f"the owner has not approved {letter.task}")
        proposal = considered.proposal
        if letter.task not in self._works:
            self._works[letter.task] = self._prepare(proposal)
        work = self._works[letter.task]
        most = proposal.max_bytes
        payload = fetch(self._client, letter.task, letter.sender, letter.content, most)
        store = self._keeping.store(letter.task)
        digest = letter.content.sha256  # that ``fetch`` has checked
        return stored_answer(
            name, work.party, store, letter.trip, payload, work.limits, work.allowed, digest
        )

    def _post(self, letter: Letter, content: Content | None, reason: str, detail: str) -> bool:
        """Posts a reply; ``False`` when nobody waits for it any more."""
        body = pack(PostReply(letter.content.sha256, content, reason, detail))
        path = f"/v1/tasks/{letter.task}/trips/{letter.trip}/reply"
        try:
            self._client.call("POST", path, body, task=letter.task, trip=letter.trip)
        except (TimedOutError, NotFoundError, ProtocolError) as error:
            self._on_event(Happened("failed", letter.task, letter.trip, str(error)))
            return False
        return True


def tell(client: HubClient, considered: Considered) -> None:
    """Tells the hub what was decided on a proposal.

    Raises:
        NotFoundError, ProtocolError: the hub does not know this proposal.
    """
    body = Decide(
        proposal_digest(considered.payload),
        considered.decision == "approved",
        considered.reason,
    )
    task = considered.proposal.task
    client.call("POST", f"/v1/tasks/{task}/decision", pack(body), task=task)
