"""Random schedules of faults against the masked sum, and what may never come of them.

A schedule is a few parties, two rounds of federated averaging over a masked sum, and faults drawn
for random trips. Whatever happens, a sum that comes out is the exact one of the parties it names,
nobody hands out both shares of one party, and every round ends after at most five trips: with a
sum, or with a reason. The rounding is left out here, so that exact means every bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fedguide.codec import Limits
from fedguide.crypto.agreement import agreement_key
from fedguide.errors import ProtocolError, QuorumLostError
from fedguide.horizontal.algorithm import ServerState, Waiting
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.masked_job import masked_sides
from fedguide.horizontal.masked_messages import MaskKeys, UnmaskShares
from fedguide.horizontal.mean import Aggregator, Mean, Terms, Update
from fedguide.horizontal.names import WIRE
from fedguide.horizontal.neighbours import LEAST_COHORT
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.horizontal.sides import Job
from fedguide.horizontal.summed import Packing, Total
from fedguide.protocol import Ask, Courier, Message, Replies, run
from fedguide.ring import RingVector
from fedguide.runtime.couriers import Party, in_process, through_bytes
from fedguide.runtime.faulty import FAULTS, Fault, faulty
from fedguide.runtime.party_store import MemoryPartyStore
from fedguide.seeds import Root, seeded_root, stream
from fedguide.values import PartyId, Vector

ROUNDS = 2
TRIPS = 5
"""Most trips of a round under masks: keys, shares, masked vectors, survivors, unmasking."""

SIZE = 3
MOST_PARTIES = 6
LIMITS = Limits(1 << 20, max_header_bytes=1 << 18)


@dataclass(frozen=True)
class Outcome:
    """What came of one schedule.

    Attributes:
        sums: rounds that gave a sum.
        ends: rounds that ended with a reason.
        wrong: what may never happen and did, in words; empty if all is well.
    """

    sums: int
    ends: int
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class _Fitted:
    """A fit whose change is known beforehand."""

    params: Vector
    optimizer_state: Vector
    examples: int
    loss: float


@dataclass
class _Watch:
    """What left the parties, and how many trips the round has taken.

    ``shares`` holds, for each roster and party, the kinds of its shares that others handed out;
    ``changes`` each party's last change: of the model it was shown, which a fault may have damaged.
    """

    shares: dict[tuple[bytes, PartyId], set[str]]
    changes: dict[PartyId, Vector]
    trips: int = 0
    worst: int = 0


def play(number: int, *, most_faults: int = 6) -> Outcome:
    """Runs the schedule of this number: the same number gives the same schedule and outcome."""
    draws = stream(seeded_root(number, "schedule"), "draw")
    names = tuple(PartyId(f"p{i}") for i in range(int(draws.integers(3, MOST_PARTIES + 1))))
    faults = draw_faults(draws, names, int(draws.integers(0, most_faults + 1)))
    watch = _Watch({}, {})
    job = Job("schedule", names, SIZE - 2, seeded_root(number, "keys"))
    sides, changes = masked_sides(job, exact_packing()), {n: _change(number, n) for n in names}
    parties = {
        name: _party(number, name, sides.party(name), changes[name], watch) for name in names
    }
    courier = _counted(faulty(_courier(draws, parties), faults, WIRE, LIMITS, forge_keys), watch)
    return _rounds(number, sides.coordinator, names, courier, watch)


def draw_faults(
    draws: np.random.Generator, names: tuple[PartyId, ...], count: int
) -> tuple[Fault, ...]:
    """So many faults, each anywhere."""
    return tuple(
        Fault(
            int(draws.integers(ROUNDS * TRIPS)),
            names[int(draws.integers(len(names)))],
            FAULTS[int(draws.integers(len(FAULTS)))],
            int(draws.integers(1 << 30)),
        )
        for _ in range(count)
    )


def exact_packing() -> Packing:
    """Whole numbers as they are: no weights, no rounding; the mean is the sum."""

    def pack(update: Update, _root: Root) -> RingVector:
        return update.vector.astype(np.int64).astype(np.uint32)

    def unpack(total: Total, _terms: Terms) -> Mean:
        vector = total.vector.view(np.int32).astype(np.float32)
        return Mean(vector, 1, 0.0, np.zeros(0), total.parties, total.missing)

    return Packing(lambda terms: terms.size, pack, unpack)


def forge_keys(message: Message) -> Message:
    """Somebody in the middle puts a key of its own into an answer."""
    if not isinstance(message, MaskKeys):
        return message
    return replace(message, mask_key=agreement_key(bytes(range(32))).public)


def _rounds(
    number: int,
    aggregator: Aggregator,
    names: tuple[PartyId, ...],
    courier: Courier,
    watch: _Watch,
) -> Outcome:
    """Both rounds, one after the other, and what is wrong with them."""
    algorithm = fedavg(aggregator, waiting=Waiting(quorum=1))
    state = algorithm.init(np.zeros(SIZE, np.float32))
    sums, ends, wrong = 0, 0, list[str]()
    for attempt in range(ROUNDS):
        watch.trips = 0
        root = seeded_root(number, "coordinator", attempt)
        try:
            after = run(algorithm.next_round(state, names, root), courier)
        except QuorumLostError:
            ends += 1
        else:
            sums += 1
            wrong += _flaws(state, after, watch.changes)
            state = after
        watch.worst = max(watch.worst, watch.trips)
    if watch.worst > TRIPS:
        wrong.append(f"a round took {watch.worst} trips")
    return Outcome(sums, ends, (*wrong, *_both_shares(watch)))


def _flaws(before: ServerState, after: ServerState, changes: Mapping[PartyId, Vector]) -> list[str]:
    """Is the sum that of the parties it names, and are they enough?"""
    parties = after.report.parties if after.report is not None else ()
    expected = sum((changes[party] for party in parties), np.zeros(SIZE))
    flaws = []
    if not np.array_equal(after.params - before.params, expected.astype(np.float32)):
        flaws.append(f"a wrong sum over {len(parties)} parties")
    if len(parties) < LEAST_COHORT:
        flaws.append(f"a sum over {len(parties)} parties")
    return flaws


def _both_shares(watch: _Watch) -> list[str]:
    """Whose seed and mask key were both handed out, by anybody, in one roster."""
    return [
        f"shares of both secrets of {victim}"
        for (_, victim), kinds in watch.shares.items()
        if len(kinds) > 1
    ]


def _party(
    number: int, name: PartyId, aggregator: Aggregator, change: Vector, watch: _Watch
) -> Party:
    """A party whose local fit always makes the same change, and whose answers are watched."""

    def fit(params: Vector, _moments: Vector | None, _seed: int) -> _Fitted:
        fitted = params + change
        watch.changes[name] = fitted - params
        return _Fitted(fitted, np.zeros(0, np.float32), 1, 0.0)

    def watched(env: Any, state: Any, message: Message) -> tuple[PartyState, Message]:
        after, reply = answer(env, state, message)
        if isinstance(reply, UnmaskShares):
            for kind, shares in (("seed", reply.seeds), ("key", reply.keys)):
                for victim in shares:
                    watch.shares.setdefault((reply.roster, victim), set()).add(kind)
        return after, reply

    def roots(task: str, round_number: int) -> Root:
        return seeded_root(number, name, task, round_number)

    return Party(PartyEnv("schedule", roots, aggregator, 1, fit), watched, PartyState)


def _change(number: int, name: PartyId) -> Vector:
    """A party's change: whole numbers that float32 adds up without loss."""
    draws = stream(seeded_root(number, "change"), name)
    return draws.integers(-(2**16), 2**16, SIZE).astype(np.float32)


def _courier(draws: np.random.Generator, parties: Mapping[PartyId, Party]) -> Courier:
    """One of the two couriers of one process."""
    if draws.integers(2):
        return in_process(parties, _no_clock)
    return through_bytes(parties, _no_clock, MemoryPartyStore(), LIMITS, WIRE)


def _counted(courier: Courier, watch: _Watch) -> Courier:
    """Numbers the trips of all rounds through, and counts those of this round.

    Raises:
        ProtocolError: a round goes on and on.
    """
    total = 0

    def carry(ask: Ask) -> Replies:
        nonlocal total
        if watch.trips > 2 * TRIPS:
            raise ProtocolError("the round does not end")
        replies = courier(replace(ask, trip=total))
        total += 1
        watch.trips += 1
        return replies

    return carry


def _no_clock() -> float:
    """Nobody is late by itself."""
    return 0.0
