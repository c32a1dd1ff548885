"""A courier that trains all parties that got the same ``Train`` together, many a step.

What a party judges (policy, order of rounds, budget) and what it hands in is ``party.answer``'s own
two halves, called for each party; between them stands one call that fits all of them. Whatever else
is asked goes to the parties one after another, so that every algorithm and every aggregator runs;
what is not plain training is only not faster.

Nobody is slow here, so deadlines are not looked at; ``rehearsal`` is the courier that has a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import TypeAlias, TypeVar

from fedguide.horizontal.fitting import Fitted
from fedguide.horizontal.messages import Train
from fedguide.horizontal.party import PartyEnv, PartyState, admit, hand_in
from fedguide.horizontal.patch import PatchFitted
from fedguide.protocol import Ask, Courier, Message, Missing, Replies, State
from fedguide.runtime.couriers import Party, blame, in_turn
from fedguide.values import PartyId, Vector

Together: TypeAlias = Callable[
    [Vector, Sequence[PartyId], Sequence[int]], Sequence[Fitted | PatchFitted]
]
"""``together(params, parties, seeds)``: the fit of each party, as if each had been called alone."""

V = TypeVar("V")

_PLAIN = {"round", "params", "figures"}


class MadeWhenAsked(Mapping[PartyId, V]):
    """A value for each of many names, made when it is asked for: a million parties in little room.

    Only the last ``kept`` are remembered.
    """

    def __init__(self, names: Sequence[PartyId], make: Callable[[PartyId], V], kept: int) -> None:
        self._names = dict.fromkeys(names)
        self._make = lru_cache(kept)(make)

    def __getitem__(self, name: PartyId) -> V:
        """The value of this name; raises ``KeyError`` for a name that is none of them."""
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[PartyId]:
        """All names."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)


@dataclass(frozen=True)
class _Trip:
    """One trip: who is there, the states they keep between trips, and what has come so far."""

    parties: Mapping[PartyId, Party]
    states: dict[PartyId, State]
    answers: dict[PartyId, Message]
    missing: list[Missing]

    def state(self, name: PartyId) -> PartyState:
        """The party's state, or its first."""
        state = self.states.get(name)
        return state if isinstance(state, PartyState) else PartyState()


def simulated(parties: Mapping[PartyId, Party], together: Together) -> Courier:
    """Builds the courier.

    Args:
        parties: who can be asked, each a ``horizontal.party``; may make them when they are asked
            for, which is what a million of them need.
        together: fits many of them at once.
    """
    states: dict[PartyId, State] = {}

    def courier(ask: Ask) -> Replies:
        trip = _Trip(parties, states, {}, [])
        waiting = in_turn(ask)
        while waiting:
            room = len(waiting) if ask.first is None else ask.first - len(trip.answers)
            if room == 0:
                trip.missing.extend(
                    Missing(name, "late", f"the first {ask.first} were in") for name in waiting
                )
                break
            now, waiting = waiting[:room], waiting[room:]
            _answer(trip, ask, now, together)
        return Replies(trip.answers, tuple(trip.missing))

    return courier


def _answer(trip: _Trip, ask: Ask, names: Sequence[PartyId], together: Together) -> None:
    """The answers of these parties: those to equal plain questions together, the others singly."""
    alike: dict[int, list[PartyId]] = {}
    messages = {id(message): message for message in ask.to.values()}
    plain = {key: is_plain(message) for key, message in messages.items()}
    for name in names:
        party, message = trip.parties.get(name), ask.to[name]
        if party is None:
            trip.missing.append(Missing(name, "lost", "no such party"))
        elif plain[id(message)] and party.env.guarded is None and party.env.fit is not None:
            # An algorithm sends its whole cohort one and the same object.
            alike.setdefault(id(message), []).append(name)
        else:
            _one(trip, name, party, message)
    for group in alike.values():
        message = ask.to[group[0]]
        if isinstance(message, Train):  # all of them are: what ``is_plain`` says
            _many(trip, group, message, together)


def is_plain(message: Message) -> bool:
    """Is it training from fresh moments?

    A message of another kind, or with a field this courier does not know, is not.
    """
    if type(message) is not Train:
        return False
    rest = (field for field in fields(message) if field.name not in _PLAIN)
    return all(
        field.default is not MISSING and getattr(message, field.name) == field.default
        for field in rest
    )


def _one(trip: _Trip, name: PartyId, party: Party, message: Message) -> None:
    """One party's answer, its own way."""
    try:
        state, trip.answers[name] = party.answer(party.env, trip.state(name), message)
    except Exception as error:  # noqa: BLE001 - a party's bug must not end everybody's round
        trip.missing.append(blame(name, error))
    else:
        trip.states[name] = state


def _many(trip: _Trip, names: Sequence[PartyId], message: Train, together: Together) -> None:
    """The answers of parties that train together."""
    admitted: list[tuple[PartyId, PartyEnv, int]] = []
    for name in names:
        env: PartyEnv = trip.parties[name].env
        try:
            admitted.append((name, env, admit(env, trip.state(name), message)))
        except Exception as error:  # noqa: BLE001 - as above
            trip.missing.append(blame(name, error))
    if not admitted:
        return
    try:
        fits = together(
            message.params, [name for name, _, _ in admitted], [seed for _, _, seed in admitted]
        )
    except Exception as error:  # noqa: BLE001 - as above; nobody's fit is there
        trip.missing.extend(blame(name, error) for name, _, _ in admitted)
        return
    for (name, env, _), fitted in zip(admitted, fits, strict=True):
        try:
            state, trip.answers[name] = hand_in(env, trip.state(name), message, fitted)
        except Exception as error:  # noqa: BLE001 - as above
            trip.missing.append(blame(name, error))
        else:
            trip.states[name] = state
