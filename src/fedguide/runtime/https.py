"""The https courier: carries an ``Ask`` to parties through a hub, and brings back what came.

The driver posts a trip once, which brings the first replies, and collects the others as they come;
after a crash, its own or the hub's, it posts the same trip again and finds what is there already. A
hub that does not know the trip any more (its database came from a backup) is told it again.
Deadlines run on the hub's clock from the first posting.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedguide.codec import Buffer, Limits, decode, encode
from fedguide.errors import NotFoundError, PayloadError
from fedguide.protocol import Ask, Courier, Message, Missing, Replies
from fedguide.runtime.couriers import messages_of
from fedguide.runtime.hub_client import HubClient, fetch, send
from fedguide.runtime.hub_wire import (
    ASK_BODY_BYTES,
    INLINE_BYTES,
    LONGEST_WAIT_S,
    Content,
    Have,
    PostAsk,
    Reply,
    Returned,
    pack,
    unpack,
)
from fedguide.values import PartyId

_INLINE_ROOM = ASK_BODY_BYTES // 2  # what one ask carries inline; the rest goes in chunks


def over_https(client: HubClient, task: str, limits: Limits, allowed: Sequence[type]) -> Courier:
    """The courier of one task.

    Args:
        client: in the driver's name.
        task: proposed to its parties before.
        limits: sizes that messages and replies may have.
        allowed: the kinds of message and state of the running protocol.
    """
    messages = messages_of(allowed)

    def courier(ask: Ask) -> Replies:
        first = _post(client, task, ask, wait_s=LONGEST_WAIT_S)
        answers: dict[PartyId, Message] = {}
        payloads: dict[PartyId, Buffer] = {}
        missing: dict[PartyId, Missing] = {}
        while len(answers) < (ask.first or len(ask.to)):
            heard = first or _collect(client, task, ask, [*answers, *missing])
            first = None
            for reply in heard.replies:
                got = _read(client, task, reply, limits, messages)
                if isinstance(got, Missing):
                    missing[got.party] = got
                elif ask.first is None or len(answers) < ask.first:
                    name = PartyId(reply.party)
                    answers[name], payloads[name] = got
            if not heard.open and not heard.replies:
                break
        silent = [name for name in ask.to if name not in answers and name not in missing]
        if silent:
            client.call("POST", f"{_path(task, ask)}/close", task=task, trip=ask.trip)
        late = tuple(Missing(name, "late", _why(ask, answers)) for name in silent)
        return Replies(answers, (*missing.values(), *late), payloads)

    return courier


def _post(client: HubClient, task: str, ask: Ask, wait_s: int = 0) -> Returned | None:
    """Posts a trip, its payloads first; gives what is in by then, if it waits for any."""
    payloads: list[Content] = []
    places: dict[int, int] = {}
    room = _INLINE_ROOM
    for message in ask.to.values():
        if id(message) in places:
            continue
        payload = encode(message)
        inline = len(payload) <= min(INLINE_BYTES, room)
        room -= len(payload) if inline else 0
        places[id(message)] = len(payloads)
        payloads.append(send(client, task, payload, inline=inline))
    to = tuple((str(name), places[id(message)]) for name, message in sorted(ask.to.items()))
    body = pack(PostAsk(ask.deadline_s, tuple(payloads), to))
    path = f"{_path(task, ask)}?wait={wait_s}" if wait_s else _path(task, ask)
    answer = client.call("POST", path, body, task=task, trip=ask.trip, wait_s=wait_s)
    return unpack(answer, Returned) if answer else None


def _collect(client: HubClient, task: str, ask: Ask, have: Sequence[PartyId]) -> Returned:
    """What is in beyond what the driver has, waited for."""
    body = pack(Have(tuple(sorted(have))))
    path = f"{_path(task, ask)}/collect?wait={LONGEST_WAIT_S}"

    def collect() -> bytes:
        wait_s = LONGEST_WAIT_S
        return client.call("POST", path, body, task=task, trip=ask.trip, wait_s=wait_s)

    try:
        return unpack(collect(), Returned)
    except NotFoundError:
        _post(client, task, ask)
        return unpack(collect(), Returned)


def _read(
    client: HubClient, task: str, reply: Reply, limits: Limits, messages: Sequence[type]
) -> tuple[Message, Buffer] | Missing:
    """A party's message and the bytes it came in, or why there is none."""
    name = PartyId(reply.party)
    if reply.content is None:
        return Missing(name, reply.reason, reply.detail)
    try:
        payload = fetch(client, task, reply.party, reply.content, limits.max_bytes)
        message: Message = decode(payload, messages, limits)
    except PayloadError as error:
        return Missing(name, "faulty", f"{type(error).__name__}: {error}")
    return message, payload


def _why(ask: Ask, answers: dict[PartyId, Message]) -> str:
    if ask.first is not None and len(answers) >= ask.first:
        return f"the first {ask.first} were in"
    return f"took more than {ask.deadline_s:g} s"


def _path(task: str, ask: Ask) -> str:
    return f"/v1/tasks/{task}/trips/{ask.trip}"
