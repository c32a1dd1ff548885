"""Rounds of an algorithm in one process, and what every party keeps after each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.horizontal.party import PartyState
from fedguide.protocol import Courier, run
from fedguide.runtime.couriers import Party, in_process
from fedguide.seeds import seeded_root
from fedguide.values import PartyId, Vector
from tests.horizontal.linear import clock


@dataclass(frozen=True)
class Told:
    """The coordinator's states, the first included, and what parties kept and answered."""

    states: list[ServerState]
    kept: dict[PartyId, PartyState]
    answers: list[tuple[PartyId, Any, Any]]


def watched(parties: Mapping[PartyId, Party], told: Told) -> dict[PartyId, Party]:
    """The parties, whose states and answers are written down."""

    def watch(name: PartyId, party: Party) -> Party:
        def answer(env: Any, state: Any, message: Any) -> Any:
            after, reply = party.answer(env, state, message)
            told.kept[name] = after
            told.answers.append((name, message, reply))
            return after, reply

        return replace(party, answer=answer)

    return {name: watch(name, party) for name, party in parties.items()}


def rounds(
    algorithm: Algorithm[ServerState],
    parties: Mapping[PartyId, Party],
    start: Vector,
    number: int,
    through: Any = lambda courier: courier,
    cohort: Sequence[PartyId] = (),
) -> Told:
    """So many rounds; ``through`` may put a faulty courier around the plain one."""
    told = Told([algorithm.init(start)], {}, [])
    courier: Courier = through(in_process(watched(parties, told), clock))
    trips = count()
    for _ in range(number):
        told.states.append(
            run(
                algorithm.next_round(
                    told.states[-1], list(cohort) or list(parties), seeded_root(0)
                ),
                lambda ask: courier(replace(ask, trip=next(trips))),
            )
        )
    return told
