"""Many updates to one: what an aggregator is, and the plain weighted mean.

An aggregator has three halves. A party's ``submit`` turns its update into the message that rides
in its first reply; ``answer`` is its half of any further trips (masked sums have some); the
coordinator's ``collect`` makes the mean out of the first replies, asking again where it must.
Each half gets the root of its own actor for the round: rounding, keys, masks and noise are derived
from it, so that a replay after a crash finds the same ones.
Nothing here says how many coordinators there are or that one of them sees a single update; the
plain mean below shows every update to its one coordinator, and is for parties that allow that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, ProtocolError
from fedguide.horizontal.merged import Merged, flaw, merged_of
from fedguide.horizontal.messages import Submission
from fedguide.horizontal.patch import Patch, Patched
from fedguide.protocol import Ask, Coordinator, Message, Missing, QuorumLost, Replies, State
from fedguide.ring import RingVector
from fedguide.seeds import Root
from fedguide.values import PartyId, Vector

Weighting: TypeAlias = Literal["num_examples", "uniform"]
"""How p_k is made: n_k / Σ n over the parties that answered, or one over their number."""

Sees: TypeAlias = Literal["each update", "bucket sums", "the sum"]
"""What an aggregator's coordinator gets to see; the first is assumed where nothing is said."""


@dataclass(frozen=True)
class Update:
    """One party's own update, before an aggregator has made it fit to leave.

    ``vector`` and ``figures`` have shapes ``(p,)`` and ``(m,)``; ``loss`` is a mean over
    ``examples``. Where a guard is, there is nothing but ``units``, shape ``(t,)``: what it let out,
    on the grid. ``vector`` is then empty, so that no other aggregator has anything to send; it is
    empty, too, where the change is a ``patch``, which goes only where patches are taken.
    """

    round: int
    vector: Vector
    examples: int
    loss: float
    figures: NDArray[np.float64]
    units: RingVector | None = None
    patch: Patch | None = None


@dataclass(frozen=True)
class Terms:
    """What a round expects of each update: its number, the length p, the count m of figures.

    ``root`` is the coordinator's own of this round; ``last`` is the mean of the round before,
    where the aggregator remembers it.
    """

    round: int
    size: int
    figures: int
    root: Root
    last: Vector | None = None


@dataclass(frozen=True)
class Mean:
    """The mean of the updates that came in: Σ p_k v_k, and the same mean of loss and figures."""

    vector: Vector
    examples: int
    loss: float
    figures: NDArray[np.float64]
    parties: tuple[PartyId, ...]
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Aggregator:
    """Many updates to one mean.

    Attributes:
        submit: party: ``(update, root) -> (state kept for further trips or None, first message)``;
            the root is the party's own of this round.
        answer: party: one further trip, ``(state, message, root) -> (state, reply)``.
        collect: coordinator: ``(ask, its replies, terms) -> Mean``; raises ``QuorumLost`` if
            fewer sound updates than the ask's quorum are there.
        sees: what of the updates its coordinator gets to see.
        remembers: ``collect`` needs the mean of the round before (``Terms.last``).
        takes_patches: ``submit`` knows what to do with ``Update.patch``.
        submit_after: instead of ``submit``, for an aggregator whose parties keep something from
            round to round: also gets the state it gave last.
    """

    submit: Callable[[Update, Root], tuple[State | None, Message]]
    answer: Callable[[State | None, Message, Root], tuple[State | None, Message]]
    collect: Callable[[Ask, Replies, Terms], Coordinator[Mean]]
    sees: Sees = "each update"
    remembers: bool = False
    takes_patches: bool = False
    submit_after: Callable[[State | None, Update, Root], tuple[State | None, Message]] | None = None


MOST_EXAMPLES = 1 << 40
"""Most examples an update in the open may claim: sums of such claims still fit a message."""


def weighted_mean(weighting: Weighting = "num_examples") -> Aggregator:
    """The mean of updates sent in the open, weighted by p_k.

    McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep
    Networks from Decentralized Data", 2017, section 2: p_k = n_k / n. A party that is missing, or
    whose update is not sound, drops out and the p_k of the others are made to sum to one again.

    Raises:
        ConfigError: ``weighting`` is unknown.
    """
    if weighting not in get_args(Weighting):
        raise ConfigError(f"weighting must be num_examples or uniform, got {weighting!r}")

    def collect(ask: Ask, replies: Replies, terms: Terms) -> Coordinator[Mean]:
        yield from ()  # everything needed came with the first replies
        single = {
            p: reply
            for p, reply in replies.answers.items()
            if not isinstance(reply, Patched | Merged)
        }
        sound, faulty = inspected(single, terms)
        patches, torn = _patches(replies.answers, terms)
        merged, broken = _merged(replies.answers, terms, weighting)
        missing = replies.missing + faulty + torn + broken
        answers: dict[PartyId, Submission | Patched] = {**sound, **patches}
        there = len(answers) + sum(len(reply.parties) for reply in merged)
        if there < ask.quorum:
            raise QuorumLost(ask, Replies(answers, missing))
        return _mean(dict(sorted(answers.items())), merged, missing, weighting, terms)

    return Aggregator(in_the_open, _no_further_trip, collect, takes_patches=True)


def in_the_open(update: Update, _root: Root) -> tuple[None, Submission | Patched]:
    """A ``submit``: the update as it is; nothing is derived from the root."""
    if update.patch is not None:
        return None, Patched(
            update.round, update.patch, update.examples, update.loss, update.figures
        )
    return None, Submission(
        update.round, update.vector, update.examples, update.loss, update.figures
    )


def _no_further_trip(_state: State | None, message: Message, _root: Root) -> NoReturn:
    """The plain mean is done after one trip."""
    raise ProtocolError(f"a plain mean has no step for {type(message).__name__}")


def inspected(
    answers: Mapping[PartyId, Message], terms: Terms
) -> tuple[dict[PartyId, Submission], tuple[Missing, ...]]:
    """The updates that may enter the mean, and those that may not, as faulty.

    Couriers that pass bytes have checked shapes and finiteness before; others have not, and one
    party's NaN would otherwise be everybody's model.
    """
    sound: dict[PartyId, Submission] = {}
    faulty: list[Missing] = []
    for party, reply in answers.items():
        if not isinstance(reply, Submission):
            faulty.append(Missing(party, "faulty", f"sent a {type(reply).__name__}"))
        elif flaw := _flaw(reply, terms):
            faulty.append(Missing(party, "faulty", flaw))
        else:
            sound[party] = reply
    return sound, tuple(faulty)


def _patches(
    answers: Mapping[PartyId, Message], terms: Terms
) -> tuple[dict[PartyId, Patched], tuple[Missing, ...]]:
    """The patches that may enter the mean, and those that may not, as faulty."""
    sound: dict[PartyId, Patched] = {}
    faulty: list[Missing] = []
    for party, reply in answers.items():
        if not isinstance(reply, Patched):
            continue
        if flaw := _flaw(reply, terms):
            faulty.append(Missing(party, "faulty", flaw))
        else:
            sound[party] = reply
    return sound, tuple(faulty)


def _merged(
    answers: Mapping[PartyId, Message], terms: Terms, weighting: Weighting
) -> tuple[list[Merged], tuple[Missing, ...]]:
    """The merged replies that may enter the mean, and the parties of those that may not."""
    sound: list[Merged] = []
    faulty: list[Missing] = []
    for reply, names in merged_of(answers).values():
        why = flaw(reply, names, terms.round, terms.size, terms.figures, weighting)
        if why:
            faulty.extend(Missing(name, "faulty", why) for name in names)
        else:
            sound.append(reply)
    return sound, tuple(faulty)


def _flaw(reply: Submission | Patched, terms: Terms) -> str:
    """Why an update may not enter the mean; empty if it may."""
    if reply.round != terms.round:
        return f"answered round {reply.round} in round {terms.round}"
    if isinstance(reply, Patched):
        if flaw := reply.patch.flaw(terms.size):
            return flaw
        shape, finite = (terms.size,), reply.patch.is_finite
    else:
        shape, finite = reply.vector.shape, bool(np.isfinite(reply.vector).all())
    if shape != (terms.size,) or reply.figures.shape != (terms.figures,):
        return (
            f"shapes must be ({terms.size},) and ({terms.figures},), "
            f"got {shape} and {reply.figures.shape}"
        )
    if not 1 <= reply.examples <= MOST_EXAMPLES:
        return f"examples must be at least 1 and at most {MOST_EXAMPLES}, got {reply.examples}"
    if not (math.isfinite(reply.loss) and finite):
        return "loss or vector is not finite"
    is_fine = not len(reply.figures) or np.isfinite(reply.figures).all()
    return "" if is_fine else "a figure is not finite"


def _mean(
    sound: Mapping[PartyId, Submission | Patched],
    merged: Sequence[Merged],
    missing: tuple[Missing, ...],
    weighting: Weighting,
    terms: Terms,
) -> Mean:
    """Σ p_k v_k, added up in float64 in the order of the parties' names, merged replies last."""
    counts = [reply.examples if weighting == "num_examples" else 1 for reply in sound.values()]
    total = sum(counts) + sum(reply.weight for reply in merged)
    vector, loss = np.zeros(terms.size, np.float64), 0.0
    figures = np.zeros(terms.figures, np.float64)
    for count, reply in zip(counts, sound.values(), strict=True):
        p_k = count / total
        if isinstance(reply, Patched):
            reply.patch.add_to(vector, p_k)
        else:
            vector += np.multiply(reply.vector, p_k, dtype=np.float64)
        loss += p_k * reply.loss
        figures += p_k * reply.figures
    parties = tuple(sound)
    for many in merged:
        vector += many.vector / total
        loss += many.loss / total
        parties += many.parties
    examples = sum(reply.examples for reply in (*sound.values(), *merged))
    if merged:
        parties = tuple(sorted(parties))
    return Mean(vector.astype(np.float32), examples, loss, figures, parties, missing)
