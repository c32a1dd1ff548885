"""A vertical run in sealed boxes: whoever relays its messages cannot read them.

The label party drives through a hub that anybody may run. Before anything else both ends show a
key for this task alone, signed by the identity the other knows (``crypto.signing``); from then on
every message and reply travels in a box (``crypto.boxes``) of its own number. Any coordinator and
any party's half can be wrapped: neither notices, and the run stays durable by replay, because keys
follow from the roots that are journaled anyway.

Threat model: the hub, and whoever reads or changes what it carries, is an adversary. It learns who
talks to whom, when, and how long a message is; a box that it changes, swaps, replays or makes up is
refused. A driver may show another key for a new round of the task: boxes under the earlier ones are
closed from then on, and none of its earlier keys is taken again. The hub can lose messages. The
other end is bound by the protocol inside, not by the box. The words of a refusal are not sealed. A
box's key is used once: an end must not be set back behind a reply it gave (a party's store and a
driver's journal keep that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from fedguide.codec import Limits, decode, encode
from fedguide.crypto.agreement import AgreementKey, agreement_key
from fedguide.crypto.boxes import Channel, channel, open_box, seal
from fedguide.crypto.signing import PublicKey, SigningKey, sign, verify
from fedguide.errors import PayloadError, ProtocolError
from fedguide.protocol import Ask, Coordinator, Message, Missing, QuorumLost, Replies, State, step
from fedguide.seeds import Root, derive
from fedguide.values import PartyId

R = TypeVar("R")
E = TypeVar("E")
S = TypeVar("S", bound=State)

_ASKS, _ANSWERS = "sealed-ask", "sealed-answer"

MOST_KEYS = 1_000
"""Keys that a driver may show in one task: one a round."""


@dataclass(frozen=True)
class Hello(Message):
    """An X25519 key for one task and pair, signed by its owner's identity."""

    key: bytes
    signature: bytes = field(repr=False)


@dataclass(frozen=True)
class Box(Message):
    """A message that only the other end can open; ``number`` counts the driver's boxes."""

    number: int
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class SealedState(State):
    """What a party keeps: the driver's key, the next number it opens, and its inner state.

    ``past`` are the driver's earlier keys in this task, which are never taken again.
    """

    theirs: bytes = b""
    number: int = 0
    inner: State | None = None
    past: tuple[bytes, ...] = ()


SEALED_WIRE: tuple[type, ...] = (Hello, Box, SealedState)
"""What crosses, and is kept, of a sealed run; the kinds inside are the protocol's own."""


@dataclass(frozen=True)
class Sealing:
    """One end's secrets, and what may be inside a box.

    Attributes:
        task: whose boxes these are.
        identity: signs this end's key.
        root: its own of this task, journaled: keys follow from it.
        limits: sizes of what is inside.
        allowed: kinds of message that may be inside.
    """

    task: str
    identity: SigningKey
    root: Root
    limits: Limits
    allowed: Sequence[type]

    def key(self, peer: str) -> AgreementKey:
        """This end's key with one peer."""
        return agreement_key(derive(self.root, "sealed", self.task, peer))

    def opened(self, content: bytes) -> Message:
        """The message inside.

        Raises:
            PayloadError: it is none of the allowed kinds.
        """
        messages = [kind for kind in self.allowed if issubclass(kind, Message)]
        message: Message = decode(content, messages, self.limits)
        return message


def sealed(
    inner: Coordinator[R], sealing: Sealing, peers: Mapping[PartyId, PublicKey]
) -> Coordinator[R]:
    """The coordinator, with every message in a box; one trip more, in which keys are shown.

    Args:
        inner: what to drive; it may ask these peers and nobody else.
        sealing: the driver's end.
        peers: each party's identity.

    Raises:
        SignatureError: a party's key is not signed by its identity.
        ProtocolError: a party answers with something else than a key, or somebody is asked who is
            no peer.
        QuorumLost: a party does not show a key.
    """
    channels = yield from _greet(sealing, peers)
    number = 0
    try:
        ask = next(inner)
        while True:
            for_this = {party: channels[party](number) for party in _known(ask, channels)}
            context = _context(sealing.task, number)
            boxes: dict[PartyId, Message] = {
                party: Box(number, seal(for_this[party].sending, context, encode(message)))
                for party, message in ask.to.items()
            }
            try:
                came = yield replace(ask, to=boxes)
            except QuorumLost as lost:
                came = lost.replies
            ask = step(inner, ask, _unboxed(sealing, number, for_this, came))
            number += 1
    except StopIteration as done:
        result: R = done.value
        return result


def _greet(
    sealing: Sealing, peers: Mapping[PartyId, PublicKey]
) -> Coordinator[dict[PartyId, Callable[[int], Channel]]]:
    """Shows keys both ways; gives each party's channel by number."""
    keys = {party: sealing.key(str(party)) for party in peers}
    hellos: dict[PartyId, Message] = {
        party: Hello(
            key.public, sign(sealing.identity, _ASKS, _said(sealing.task, party, key.public))
        )
        for party, key in keys.items()
    }
    replies = yield Ask(hellos, quorum=len(hellos))
    found: dict[PartyId, Callable[[int], Channel]] = {}
    for party, message in replies.answers.items():
        if not isinstance(message, Hello):
            raise ProtocolError(f"{party} answers a key with {type(message).__name__}")
        mine = keys[party]
        said = _said(sealing.task, party, mine.public, message.key)
        verify(peers[party], _ANSWERS, said, message.signature)
        found[party] = _channels(mine, message.key, sealing.task)
    return found


def _known(ask: Ask, channels: Mapping[PartyId, object]) -> list[PartyId]:
    strangers = [str(party) for party in ask.to if party not in channels]
    if strangers:
        raise ProtocolError(f"no key is known of {', '.join(strangers)}")
    return list(ask.to)


def _unboxed(
    sealing: Sealing, number: int, channels: Mapping[PartyId, Channel], came: Replies
) -> Replies:
    """What is inside of the replies; a reply that is no box of this number is a faulty one."""
    answers: dict[PartyId, Message] = {}
    missing = list(came.missing)
    for party, reply in came.answers.items():
        try:
            answers[party] = _inside(sealing, number, channels[party].receiving, reply)
        except (PayloadError, ProtocolError) as error:
            missing.append(Missing(party, "faulty", f"{type(error).__name__}: {error}"))
    return Replies(answers, tuple(missing))


def _inside(sealing: Sealing, number: int, key: bytes, reply: Message) -> Message:
    if not isinstance(reply, Box) or reply.number != number:
        raise ProtocolError(f"the answer to box {number} is another")
    return sealing.opened(open_box(key, _context(sealing.task, number), reply.content))


# The party's half


@dataclass(frozen=True)
class SealedEnv(Generic[E, S]):
    """A party's half of any protocol, and its end of the boxes.

    Attributes:
        party: its own name.
        sealing: its end.
        driver: the identity of whoever may drive it.
        env: the inner half's.
        answer: the inner half.
        initial: the inner half's first state.
    """

    party: PartyId
    sealing: Sealing
    driver: PublicKey
    env: E
    answer: Callable[[E, S, Message], tuple[S, Message]]
    initial: Callable[[], S]


def answer(
    env: SealedEnv[E, S], state: SealedState, message: Message
) -> tuple[SealedState, Message]:
    """The party's half: a key for the driver's, then a box for each box.

    Raises:
        SignatureError: the driver's key is not signed by the identity this party knows.
        ProtocolError: the driver's key was shown before, or none yet, or the box's number was used.
        MalformedError: the box is not the driver's, or was changed.
        PayloadError: what is inside is none of the allowed kinds.
        FedGuideError: whatever the inner half raises.
    """
    match message:
        case Hello():
            return _shown(env, state, message)
        case Box():
            return _boxed(env, state, message)
        case _:
            raise ProtocolError(f"a sealed run has no place for {type(message).__name__}")


def _shown(env: SealedEnv[E, S], state: SealedState, hello: Hello) -> tuple[SealedState, Message]:
    past = (*state.past, state.theirs) if state.theirs else ()
    if hello.key in past:
        raise ProtocolError("this key was shown already in this task")
    if len(past) >= MOST_KEYS:
        raise ProtocolError(f"{MOST_KEYS} keys were shown in this task, that is all it takes")
    sealing = env.sealing
    said = _said(sealing.task, env.party, hello.key)
    verify(env.driver, _ASKS, said, hello.signature)
    mine = sealing.key("driver").public
    signature = sign(sealing.identity, _ANSWERS, _said(sealing.task, env.party, hello.key, mine))
    inner = state.inner if state.theirs else env.initial()
    return SealedState(hello.key, 0, inner, past), Hello(mine, signature)


def _boxed(env: SealedEnv[E, S], state: SealedState, box: Box) -> tuple[SealedState, Message]:
    if not state.theirs:
        raise ProtocolError("no key was shown in this task yet")
    if box.number < state.number:
        raise ProtocolError(f"box {box.number} was opened already, the next is {state.number}")
    sealing = env.sealing
    pair = _channels(sealing.key("driver"), state.theirs, sealing.task)(box.number)
    context = _context(sealing.task, box.number)
    inside = sealing.opened(open_box(pair.receiving, context, box.content))
    before: S = state.inner  # type: ignore[assignment]  # set with the key, by ``initial``
    after, reply = env.answer(env.env, before, inside)
    content = seal(pair.sending, context, encode(reply))
    return SealedState(state.theirs, box.number + 1, after, state.past), Box(box.number, content)


def _channels(mine: AgreementKey, theirs: bytes, task: str) -> Callable[[int], Channel]:
    return lambda number: channel(mine, theirs, _context(task, number))


def _context(task: str, number: int) -> bytes:
    return f"fedguide/sealed/{number}/{task}".encode()


def _said(task: str, party: PartyId, *keys: bytes) -> bytes:
    """What is signed: lengths first, so that no two things are signed as one."""
    parts = [task.encode(), str(party).encode(), *keys]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
