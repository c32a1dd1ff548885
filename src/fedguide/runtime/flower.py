"""The flower courier: carries an ``Ask`` over Flower's grid, and the ClientApp that answers it.

The same algorithms and the same parties as everywhere, for those who already run Flower: a
``ServerApp`` drives, each SuperNode's ``ClientApp`` wraps one party. A message crosses as the bytes
of the codec inside a ``ConfigRecord``; nothing that Flower would unpickle or that depends on its
record types is used. Flower starts a process for every message, so a party's state lives in its
store and a message that comes twice gets the stored bytes (``couriers.stored_answer``).

Threat model: the SuperLink is the coordinator. It reads what a protocol does not mask or seal, and
it can drop or repeat messages; what it can learn of a masked sum is what ``horizontal/masked_sum``
says. Which SuperNode is which party is said by the nodes themselves: whoever may connect a node can
claim a name that is not taken, so production wants Flower's own TLS and node authentication, and
the identity keys of masked sums are checked against the roster all the same.

Beutel et al., "Flower: A Friendly Federated Learning Research Framework", 2020; flwr 1.41's Message
API.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fedguide.codec import Limits, decode, encode
from fedguide.errors import ConfigError, ConnectionFailedError, NotFoundError, PayloadError
from fedguide.protocol import MISSING_REASONS, Ask, Courier, Message, Missing, Replies
from fedguide.runtime.couriers import Clock, Party, blame, messages_of, stored_answer
from fedguide.runtime.party_store import PartyStore
from fedguide.values import PartyId

NAME, ANSWER = "fedguide_name", "fedguide_answer"
"""Actions of Flower's ``query`` messages: who is there, and one message of a protocol."""

_RECORD = "fedguide"
_LONGEST_DETAIL = 512
_LEAST_TTL_S = 1.0


@dataclass(frozen=True)
class Served:
    """What one SuperNode answers with.

    Attributes:
        party: data, answers and initial state.
        store: keeps state and last answer of the task between two processes.
        limits: sizes that messages, replies and states may have.
        allowed: the kinds of message and state of the task's protocol.
    """

    party: Party
    store: PartyStore
    limits: Limits
    allowed: Sequence[type]


@dataclass(frozen=True)
class Waiting:
    """How replies are waited for.

    Attributes:
        clock: seconds from any fixed moment, never going back.
        pause: waits between two looks at the grid; ``time.sleep`` outside of tests.
        pause_s: for how long.
    """

    clock: Clock
    pause: Callable[[float], None]
    pause_s: float = 0.2


def flower_client(
    name_of: Callable[[Any], str], serve: Callable[[Any, str], Served]
) -> Any:  # flwr's ClientApp; flwr carries no types that hold here
    """A ``ClientApp`` that answers for one party.

    Args:
        name_of: the party's name, from the node's ``Context`` (``context.node_config["party"]``).
        serve: what the party answers a task with, from the node's ``Context`` and the task's name;
            this is where a shop's policy is asked, before anything of a task runs.
    """
    from flwr.clientapp import ClientApp

    app: Any = ClientApp()

    def name(message: Any, context: Any) -> Any:
        return _answered(message, {"party": name_of(context)})

    def answer(message: Any, context: Any) -> Any:
        asked = message.content[_RECORD]
        party = PartyId(name_of(context))
        try:
            served = serve(context, str(asked["task"]))
            payload = stored_answer(
                party,
                served.party,
                served.store,
                int(asked["trip"]),
                bytes(asked["payload"]),
                served.limits,
                served.allowed,
            )
        except Exception as error:  # noqa: BLE001 - a party's bug is a missing reply
            missing = blame(party, error)
            detail = missing.detail[:_LONGEST_DETAIL]
            return _answered(message, {"reason": missing.reason, "detail": detail})
        return _answered(message, {"payload": payload})

    app.query(NAME)(name)
    app.query(ANSWER)(answer)
    return app


def find_parties(
    grid: Any, names: Sequence[PartyId], patience_s: float, waiting: Waiting
) -> dict[PartyId, int]:
    """The node of each party, once all of them are there.

    Raises:
        ConfigError: two nodes claim one name.
        ConnectionFailedError: some are not there after ``patience_s``; they are named.
    """
    until = waiting.clock() + patience_s
    found: dict[PartyId, int] = {}
    asked: set[int] = set()
    open_ids: list[str] = []
    while True:
        new: dict[int, dict[str, Any]] = {
            node: {} for node in grid.get_node_ids() if node not in asked
        }
        asked |= set(new)
        open_ids += _push(grid, new, NAME, max(until - waiting.clock(), _LEAST_TTL_S))
        for node, record in _pulled(grid, open_ids).items():
            if "party" not in record:
                asked.discard(node)  # it failed for now: asked again
                continue
            name = PartyId(str(record["party"]))
            if found.setdefault(name, node) != node:
                raise ConfigError(
                    f"two SuperNodes say they are {str(name)[:64]!r}",
                    hint="--node-config 'party=\"NAME\"' must differ from node to node",
                )
        missing = [str(name) for name in names if name not in found]
        if not missing:
            return {name: found[name] for name in names}
        if waiting.clock() >= until:
            raise ConnectionFailedError(
                f"no SuperNode answers for {', '.join(missing)} after {patience_s:g} s",
                hint="flower-supernode --node-config 'party=\"NAME\"'",
            )
        waiting.pause(waiting.pause_s)


def over_flower(
    grid: Any,
    nodes: dict[PartyId, int],
    task: str,
    limits: Limits,
    allowed: Sequence[type],
    waiting: Waiting,
) -> Courier:
    """The courier of one task over Flower's ``Grid``.

    Args:
        grid: as the ``ServerApp`` gets it.
        nodes: of ``find_parties``.
        task: its name; parties keep their state under it.
        limits: sizes that replies may have.
        allowed: the kinds of message and state of the running protocol.
        waiting: clock and pauses.

    Raises:
        NotFoundError: (when asked) a party has no node.
    """
    messages = messages_of(allowed)

    def courier(ask: Ask) -> Replies:
        unknown = [str(name) for name in ask.to if name not in nodes]
        if unknown:
            raise NotFoundError(f"no SuperNode is known for {', '.join(unknown)}")
        by_node = {nodes[name]: name for name in ask.to}
        payloads: dict[int, bytes] = {}  # a message that goes to many is encoded once
        for message in ask.to.values():
            if id(message) not in payloads:
                payloads[id(message)] = encode(message)
        contents = {
            nodes[name]: {"task": task, "trip": ask.trip, "payload": payloads[id(message)]}
            for name, message in ask.to.items()
        }
        until = waiting.clock() + ask.deadline_s
        heard = _asked(grid, contents, until, waiting, ask.first)
        answers: dict[PartyId, Message] = {}
        missing: list[Missing] = []
        for node, name in sorted(by_node.items(), key=lambda pair: pair[1]):
            outcome = _outcome(name, heard.get(node), ask, limits, messages)
            if isinstance(outcome, Missing):
                missing.append(outcome)
            else:
                answers[name] = outcome
        return Replies(answers, tuple(missing))

    return courier


def _asked(
    grid: Any,
    contents: dict[int, dict[str, Any]],
    until: float,
    waiting: Waiting,
    first: int | None,
) -> dict[int, dict[str, Any]]:
    """What the nodes answered until a moment, or until the first n gave a payload."""
    left_s = max(until - waiting.clock(), _LEAST_TTL_S)
    open_ids = _push(grid, contents, ANSWER, left_s)
    heard: dict[int, dict[str, Any]] = {}
    while True:
        heard |= _pulled(grid, open_ids)
        good = sum("payload" in record for record in heard.values())
        if not open_ids or (first is not None and good >= first) or waiting.clock() >= until:
            return heard
        waiting.pause(waiting.pause_s)


def _push(grid: Any, contents: dict[int, dict[str, Any]], action: str, ttl_s: float) -> list[str]:
    """Sends each node its record; gives the messages' ids."""
    from flwr.app import ConfigRecord, RecordDict
    from flwr.app import Message as FlowerMessage

    if not contents:
        return []
    sent = [
        FlowerMessage(
            RecordDict({_RECORD: ConfigRecord(content)}),
            dst_node_id=node,
            message_type=f"query.{action}",
            ttl=ttl_s,
        )
        for node, content in contents.items()
    ]
    return list(grid.push_messages(sent))


def _pulled(grid: Any, open_ids: list[str]) -> dict[int, dict[str, Any]]:
    """The records that have come by now; their messages are taken out of ``open_ids``."""
    heard: dict[int, dict[str, Any]] = {}
    for reply in grid.pull_messages(open_ids) if open_ids else ():
        open_ids.remove(reply.metadata.reply_to_message_id)
        lost = {"reason": "lost", "detail": "Flower reports an error of the node"}
        record = lost if reply.has_error() else dict(reply.content[_RECORD])
        heard[reply.metadata.src_node_id] = record
    return heard


def _answered(message: Any, content: dict[str, Any]) -> Any:
    from flwr.app import ConfigRecord, RecordDict
    from flwr.app import Message as FlowerMessage

    return FlowerMessage(RecordDict({_RECORD: ConfigRecord(content)}), reply_to=message)


def _outcome(
    name: PartyId,
    record: dict[str, Any] | None,
    ask: Ask,
    limits: Limits,
    messages: Sequence[type],
) -> Message | Missing:
    """A party's message, or why there is none; a node's words are not taken on trust."""
    if record is None:
        return Missing(name, "late", f"took more than {ask.deadline_s:g} s, or others were first")
    payload = record.get("payload")
    if not isinstance(payload, bytes):
        reason, detail = str(record.get("reason", "")), str(record.get("detail", ""))
        known = reason if reason in MISSING_REASONS else "faulty"
        return Missing(name, known, detail[:_LONGEST_DETAIL])
    try:
        message: Message = decode(payload, messages, limits)
    except PayloadError as error:
        return Missing(name, "faulty", f"{type(error).__name__}: {error}")
    return message
