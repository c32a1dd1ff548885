"""Alignment: the label party learns which rows of a partner's table are its customers.

Private set intersection by an oblivious pseudorandom function: the partner sends the function's
value ("tag") of each of its keys in the order of its rows, once for a contract's epoch; the label
party has its own keys evaluated blindly and looks their tags up. After Freedman, Ishai, Pinkas
and Reingold, "Keyword Search and Oblivious Pseudorandom Functions", 2005; Jarecki and Liu,
"Efficient Oblivious Pseudorandom Function with Applications to Adaptive OT and Secure Computation
of Set Intersection", 2009; the function is RFC 9497's.

Threat model: semi-honest parties over an authenticated channel. The label party learns which of
its keys stand in the partner's table, in which rows, and the number of rows. The partner learns
the number of keys asked, and nothing else, even if malicious: blinded keys look random. A
malicious label party may ask for keys of people who are not its customers: each question costs
one evaluation of ``Contract.max_keys``, counted for the epoch, and every attempt is logged. In
counting mode the partner answers in another order under another key, so that only the size of
the intersection is learnt. A smaller intersection than agreed is refused by the label party's
own code, since only it knows the size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.crypto.oprf import blind, evaluate, finalize, hash_to_group, outputs, secret_scalar
from fedguide.crypto.points import POINT_BYTES, Points, Scalar, multiply
from fedguide.errors import ConfigError, OversizedError, ProtocolError, RefusedError
from fedguide.protocol import Ask, Coordinator, Message, State
from fedguide.seeds import ROOT_BYTES, Root, derive, stream
from fedguide.values import PartyId

TAG_BYTES = 16  # two sets of 2^30 keys collide by chance with probability 2^-68

Output: TypeAlias = Literal["rows", "count"]
"""What the label party may learn: which rows, or only how many."""


@dataclass(frozen=True)
class Contract:
    """What two parties have agreed on for an epoch; both check it.

    Attributes:
        epoch: its name; tags of two epochs cannot be compared.
        salt: 32 bytes both know and nobody else, put before every key.
        max_keys: most keys the label party may ask for in the epoch, repeats included.
        max_rows: most rows of a partner's table.
        least_common: a smaller intersection is refused.
        outputs: what the partner answers.

    Raises:
        ConfigError: a number is out of its range, or the salt is not 32 bytes.
    """

    epoch: str
    salt: bytes = field(repr=False)
    max_keys: int
    max_rows: int
    least_common: int = 100
    outputs: tuple[Output, ...] = ("rows",)

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name in ("max_keys", "max_rows", "least_common"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if len(self.salt) != ROOT_BYTES:
            raise ConfigError(f"salt must have {ROOT_BYTES} bytes, got {len(self.salt)}")


@dataclass(frozen=True)
class Lookup(Message):
    """Label party to partner: blinded keys, and which list of tags it has already.

    Attributes:
        epoch: of the contract.
        output: what it wants to learn.
        points: shape ``(n, 32)``.
        cached: digest of the list of tags it has kept; empty for none.
    """

    epoch: str
    output: str
    points: Annotated[Points, Array("uint8", "n", POINT_BYTES)]
    cached: bytes = b""


@dataclass(frozen=True)
class Found(Message):
    """Partner to label party: the keys evaluated, and its own tags unless they are cached.

    Attributes:
        points: shape ``(n, 32)``, in the order asked; shuffled in counting mode.
        tags: one a row of the partner's table, shape ``(m, 16)``; sorted in counting mode.
        digest: of the list of tags.
    """

    points: Annotated[Points, Array("uint8", "n", POINT_BYTES)]
    tags: Annotated[NDArray[np.uint8], Array("uint8", "m", TAG_BYTES)]
    digest: bytes


@dataclass(frozen=True)
class Attempt:
    """A line for the partner's log: what was asked, and whether it was answered."""

    epoch: str
    output: str
    keys: int
    answered: bool
    reason: str = ""


@dataclass(frozen=True)
class TagTable:
    """A partner's keys made ready for an epoch; the tags are public, the scalars are not."""

    scalars: dict[str, Scalar] = field(repr=False)
    tags: dict[str, NDArray[np.uint8]]
    digests: dict[str, bytes]


@dataclass(frozen=True)
class PartnerEnv:
    """What a partner brings: its contract, its table of tags, its own root, and a log."""

    contract: Contract
    table: TagTable
    root: Root
    log: Callable[[Attempt], None]
    workers: int = 1


@dataclass(frozen=True)
class PartnerState(State):
    """How many keys were evaluated; an epoch's lookups are one task, so that this covers it."""

    evaluated: int = 0


@dataclass(frozen=True)
class KeptTags:
    """What a label party keeps of a partner's answer, to ask less the next time."""

    digest: bytes
    tags: NDArray[np.uint8]


@dataclass(frozen=True)
class Alignment:
    """Whom two parties have in common, as the label party knows it.

    Attributes:
        label_rows: rows of the label party's keys, ascending, shape ``(c,)``.
        partner_rows: the same customers' rows in the partner's table, shape ``(c,)``.
        partner_size: rows of the partner's table.
        kept: the partner's tags, for the next lookup of the epoch.
    """

    label_rows: NDArray[np.int64]
    partner_rows: NDArray[np.int64]
    partner_size: int
    kept: KeptTags = field(repr=False)


def tag_table(keys: Sequence[str], contract: Contract, root: Root, workers: int = 1) -> TagTable:
    """A partner's table for one epoch; made once and kept, because it costs one product a key.

    A key that is empty or stood in an earlier row gets a random tag: its row matches nobody.

    Args:
        keys: one a row, normalised.
        contract: of the epoch.
        root: the partner's own of the epoch.
        workers: processes that may share the work.

    Raises:
        OversizedError: more rows than agreed.
    """
    if len(keys) > contract.max_rows:
        raise OversizedError(f"the table has {len(keys)} rows, at most {contract.max_rows} agreed")
    inputs, rows = _inputs(keys, contract)
    points = hash_to_group(inputs)
    scalars: dict[str, Scalar] = {}
    tags: dict[str, NDArray[np.uint8]] = {}
    digests: dict[str, bytes] = {}
    for output in contract.outputs:
        key = secret_scalar(root, "align", contract.epoch, output)
        made = _noise_tags(len(keys), root, contract.epoch, output)
        made[rows] = outputs(_bound(inputs, output), multiply(key, points, workers), TAG_BYTES)
        if output == "count":
            made = made[np.lexsort(made.T[::-1])]  # the order of rows would say who is common
        scalars[output], tags[output] = key, made
        digests[output] = hashlib.sha256(made.tobytes()).digest()
    return TagTable(scalars, tags, digests)


def answer(env: PartnerEnv, state: PartnerState, message: Message) -> tuple[PartnerState, Message]:
    """The partner's half; every attempt is logged, answered or not.

    Raises:
        RefusedError: another epoch, an output not agreed, or more keys than agreed.
        ProtocolError: the message has no place here.
        MalformedError: a point is not a legal element.
    """
    match message:
        case Lookup():
            if reason := _refusal(env.contract, state, message):
                env.log(_attempt(message, answered=False, reason=reason))
                raise RefusedError(f"policy: {reason}")
            # Counted before it is answered: a crash in between costs the asker, not the asked.
            env.log(_attempt(message, answered=True))
            evaluated = PartnerState(state.evaluated + len(message.points))
            return evaluated, _found(env, state, message)
        case _:
            raise ProtocolError(f"alignment has no step for {type(message).__name__}")


def align(
    keys: Sequence[str],
    partner: PartyId,
    contract: Contract,
    root: Root,
    kept: KeptTags | None = None,
    workers: int = 1,
) -> Coordinator[Alignment]:
    """The label party's half: which of its rows stand in which rows of the partner's table.

    A key that stands in several of its rows counts in the first one.

    Args:
        keys: one a row, normalised; empty ones match nobody.
        partner: who is asked.
        contract: of the epoch.
        root: the label party's own, fresh for every lookup.
        kept: tags from an earlier lookup of the epoch.
        workers: processes that may share the work.

    Raises:
        RefusedError: the intersection is smaller than agreed.
        QuorumLost: the partner refused or is gone.
        ProtocolError: the partner's answer does not fit the question.
    """
    rows, tags, kept = yield from _look_up(keys, partner, contract, root, "rows", kept, workers)
    places = {tag: row for row, tag in enumerate(_each(kept.tags))}
    pairs = [
        (row, places[tag]) for row, tag in zip(rows, _each(tags), strict=True) if tag in places
    ]
    _check_size(len(pairs), contract)
    label_rows, partner_rows = np.array(pairs, np.int64).reshape(-1, 2).T
    return Alignment(label_rows, partner_rows, len(kept.tags), kept)


def count_common(
    keys: Sequence[str],
    partner: PartyId,
    contract: Contract,
    root: Root,
    kept: KeptTags | None = None,
    workers: int = 1,
) -> Coordinator[int]:
    """How many customers two parties have in common, and nothing else.

    Raises:
        RefusedError: fewer than agreed.
        QuorumLost: the partner refused or is gone.
        ProtocolError: the partner's answer does not fit the question.
    """
    _, tags, kept = yield from _look_up(keys, partner, contract, root, "count", kept, workers)
    common = len(set(_each(tags)) & set(_each(kept.tags)))
    _check_size(common, contract)
    return common


def align_all(
    keys: Sequence[str],
    contracts: dict[PartyId, Contract],
    root: Root,
    workers: int = 1,
) -> Coordinator[dict[PartyId, Alignment]]:
    """The label party aligned with each of several partners; none learns of the others.

    Raises:
        RefusedError, QuorumLost, ProtocolError: see ``align``.
    """
    found = {}
    for partner, contract in sorted(contracts.items()):
        own = Root(derive(root, "align with", partner))
        found[partner] = yield from align(keys, partner, contract, own, None, workers)
    return found


def _look_up(
    keys: Sequence[str],
    partner: PartyId,
    contract: Contract,
    root: Root,
    output: Output,
    kept: KeptTags | None,
    workers: int,
) -> Coordinator[tuple[NDArray[np.int64], NDArray[np.uint8], KeptTags]]:
    """The rows asked for, the tag of each (shuffled in counting mode), and the partner's tags."""
    inputs, rows = _inputs(keys, contract)
    blinding = secret_scalar(root, "align", contract.epoch, output, "blinding")
    points = blind(inputs, blinding, workers)
    digest = b"" if kept is None else kept.digest
    ask = Ask({partner: Lookup(contract.epoch, output, points, digest)}, 1)
    found = (yield ask).answers[partner]
    if not isinstance(found, Found) or found.points.shape != points.shape:
        raise ProtocolError(f"{partner} answered {len(inputs)} keys with something else")
    if kept is None or found.digest != kept.digest:
        if len(found.tags) > contract.max_rows:
            raise OversizedError(
                f"{partner} has {len(found.tags)} rows, agreed are {contract.max_rows}"
            )
        kept = KeptTags(found.digest, found.tags)
    tags = finalize(_bound(inputs, output), found.points, blinding, workers, TAG_BYTES)
    return rows, tags, kept


def _found(env: PartnerEnv, state: PartnerState, message: Lookup) -> Found:
    """The partner's answer to a lookup it allows."""
    points = evaluate(env.table.scalars[message.output], message.points, env.workers)
    if message.output == "count":
        order = stream(env.root, "align", "shuffle", state.evaluated).permutation(len(points))
        points = points[order]
    digest = env.table.digests[message.output]
    tags = env.table.tags[message.output]
    return Found(points, tags[:0] if message.cached == digest else tags, digest)


def _refusal(contract: Contract, state: PartnerState, message: Lookup) -> str:
    """Why a lookup is not answered; empty if it is."""
    if message.epoch != contract.epoch:
        return f"the contract is of epoch {contract.epoch!r}, asked was another"
    if message.output not in contract.outputs:
        return f"agreed outputs are {', '.join(contract.outputs)}"
    left = contract.max_keys - state.evaluated
    if len(message.points) > left:
        return f"{len(message.points)} keys asked, {left} of {contract.max_keys} are left"
    return ""


def _attempt(message: Lookup, *, answered: bool, reason: str = "") -> Attempt:
    """A line for the log; what the other side wrote is cut to what may stand there."""
    return Attempt(message.epoch[:64], message.output[:8], len(message.points), answered, reason)


def _check_size(common: int, contract: Contract) -> None:
    """Refuses what says too much about too few.

    Raises:
        RefusedError: fewer than agreed; how many is not said.
    """
    if common < contract.least_common:
        raise RefusedError(
            f"policy: fewer than {contract.least_common} customers in common",
            hint="check that both sides normalise the same key column in the same way",
        )


def _inputs(keys: Sequence[str], contract: Contract) -> tuple[list[bytes], NDArray[np.int64]]:
    """The salted first occurrence of every key that is not empty, and its row."""
    first: dict[str, int] = {}
    for row, key in enumerate(keys):
        if key:
            first.setdefault(key, row)
    prefix = contract.salt + contract.epoch.encode() + b"\x00"
    return [prefix + key.encode() for key in first], np.array([*first.values()], np.int64)


def _bound(inputs: Sequence[bytes], output: str) -> Sequence[bytes]:
    """What a value is bound to: in counting mode nothing, since no point is known to be whose."""
    return [b""] * len(inputs) if output == "count" else inputs


def _noise_tags(count: int, root: Root, epoch: str, output: str) -> NDArray[np.uint8]:
    """A secret random tag for every row; those of real keys are written over."""
    seed = derive(root, "align", epoch, output, "rows that match nobody")
    return np.frombuffer(
        bytearray(hashlib.shake_256(seed).digest(count * TAG_BYTES)), np.uint8
    ).reshape(-1, TAG_BYTES)


def _each(tags: NDArray[np.uint8]) -> list[bytes]:
    """Every tag as bytes."""
    flat = tags.tobytes()
    return [flat[at : at + TAG_BYTES] for at in range(0, len(flat), TAG_BYTES)]
