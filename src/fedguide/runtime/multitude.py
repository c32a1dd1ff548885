"""A courier for a million simulated parties: nothing is done for each of them in Python.

``simulator`` calls every party's own half around one fit of all; at a million clients these calls
are nearly all that is paid for. Here the parties of a ``Multitude`` are rows of arrays. What a
party judges (order of rounds, fewest examples) is judged for all at once; their fits are
``crowd``'s program, in pieces of one size; and the changes are added up as they come, into one
``Merged`` reply. So it takes plain training under the plain weighted mean and nothing else:
whatever else is asked is refused, by all parties. Memory is that of two pieces and one sum, however
many parties there are; a party's examples are made when its piece is.

Same model as the plain loop's up to the order of additions, for the same seeds (tested at 1e-6).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedguide.errors import ConfigError
from fedguide.horizontal.local import Engine, Epochs, Params
from fedguide.horizontal.mean import Weighting
from fedguide.horizontal.merged import Merged
from fedguide.horizontal.messages import Train
from fedguide.protocol import Ask, Courier, Message, Missing, Replies
from fedguide.runtime.couriers import in_turn
from fedguide.runtime.crowd import Batched, Bundle, Shape, Training
from fedguide.runtime.simulator import is_plain
from fedguide.seeds import mixed
from fedguide.values import PartyId

PIECE = 256
"""Parties in one program: the calls around it are paid once a piece, and its blocks still fit."""

PARTS = 2
"""Sizes of a block an octave: few programs to compile, at most half of a block filling."""

IN_FLIGHT = 2
"""Pieces that JAX computes while the next one is put together."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Multitude:
    """Very many parties, each a row.

    Attributes:
        names: of all of them.
        counts: how many examples each has, shape ``(n,)``, at least 1.
        bundle: the examples of these rows, in their order.
        seeds: ``seeds(round, rows)``, the seed of each party's fit.
        least_examples: their policy: who has fewer refuses.
    """

    names: Sequence[PartyId]
    counts: NDArray[np.int64]
    bundle: Callable[[Rows], Bundle]
    seeds: Callable[[int, Rows], NDArray[np.int64]]
    least_examples: int = 1


@dataclass
class _Sum:
    """What has been added up so far: the change ``(p,)`` and the loss, by weight."""

    vector: NDArray[np.float64]
    loss: float = 0.0


def multitude(
    parties: Multitude,
    compiled: Engine,
    params: Params,
    plan: Epochs,
    table: str,
    weighting: Weighting = "num_examples",
    *,
    piece: int = PIECE,
    on_compile: Callable[[Shape, float], None] = lambda _shape, _seconds: None,
) -> Courier:
    """Builds the courier; arguments as of ``crowd.train_together``.

    Raises:
        ConfigError: names and counts do not fit, a count is below 1, ``piece`` is, or see
            ``crowd.train_together``.
    """
    if len(parties.names) != len(parties.counts) or not (parties.counts >= 1).all():
        raise ConfigError("every party needs a name and at least one example")
    if piece < 1:
        raise ConfigError(f"piece must be at least 1, got {piece}")
    training = Training(compiled, params, plan, table, on_compile)
    places = {name: row for row, name in enumerate(parties.names)}
    last = np.full(len(parties.counts), -1, np.int64)  # the round each has answered last

    def courier(ask: Ask) -> Replies:
        names, missing = _known(ask, places)
        messages = {id(message): message for message in ask.to.values()}
        message = next(iter(messages.values()))
        if len(messages) > 1 or not (isinstance(message, Train) and is_plain(message)):
            why = "a multitude answers one plain Train for all and nothing else"
            return Replies({}, (*missing, *(Missing(name, "refused", why) for name in names)))
        rows = np.fromiter((places[name] for name in names), np.int64, len(names))
        rows, others = _judged(parties, last, rows, message.round, ask.first)
        missing += others
        if not len(rows):
            return Replies({}, tuple(missing))
        total = _Sum(np.zeros(len(message.params)))
        added = _add_all(training, parties, message, rows, weighting, piece, total)
        last[rows] = message.round
        weights = parties.counts[rows] if weighting == "num_examples" else np.ones_like(rows)
        reply: Message = Merged(
            message.round,
            tuple(parties.names[row] for row in added.tolist()),
            weighting,
            int(weights.sum()),
            int(parties.counts[rows].sum()),
            total.vector,
            total.loss,
        )
        return Replies(dict.fromkeys((parties.names[row] for row in rows), reply), tuple(missing))

    return courier


def _known(ask: Ask, places: Mapping[PartyId, int]) -> tuple[list[PartyId], list[Missing]]:
    """Who is asked, in turn, and who of them is nobody."""
    asked = in_turn(ask)
    names = [name for name in asked if name in places]
    lost = [Missing(n, "lost", "no such party") for n in asked if n not in places]
    return names, lost


def _judged(
    parties: Multitude, last: Rows, rows: Rows, number: int, first: int | None
) -> tuple[Rows, list[Missing]]:
    """Who answers, sorted by examples so that pieces are even, and who does not, and why."""
    few = parties.counts[rows] < parties.least_examples
    gone = ~few & (last[rows] > number)
    missing = [
        Missing(parties.names[row], "refused", f"policy: fewer than {parties.least_examples}")
        for row in rows[few].tolist()
    ] + [Missing(parties.names[row], "faulty", f"round {number} is over") for row in rows[gone]]
    able = rows[~few & ~gone]
    if first is not None and len(able) > first:
        missing += [
            Missing(parties.names[row], "late", f"the first {first} were in")
            for row in able[first:].tolist()
        ]
        able = able[:first]
    return able[np.argsort(parties.counts[able], kind="stable")], missing


def _add_all(
    training: Training,
    parties: Multitude,
    message: Train,
    rows: Rows,
    weighting: Weighting,
    piece: int,
    total: _Sum,
) -> Rows:
    """Trains them piece by piece and adds up; gives the rows."""
    vector = training.held(message.params)
    flying: deque[tuple[Batched, NDArray[np.float64], object]] = deque()
    for start in range(0, len(rows), piece):
        some = rows[start : start + piece]
        bundle = parties.bundle(some)
        batched = training.batched(bundle, parties.seeds(message.round, some), piece, PARTS)
        counts = parties.counts[some]
        weights = (counts if weighting == "num_examples" else np.ones_like(counts)).astype(float)
        flying.append((batched, weights, training.started(vector, batched)))
        if len(flying) > IN_FLIGHT:
            _add(training, total, *flying.popleft())
    while flying:
        _add(training, total, *flying.popleft())
    return rows


def _add(
    training: Training,
    total: _Sum,
    batched: Batched,
    weights: NDArray[np.float64],
    results: object,
) -> None:
    """Adds the changes of one piece, times the parties' weights."""
    blocks, rests, losses = (np.asarray(one) for one in results)  # type: ignore[attr-defined]  # JAX's arrays
    many, where = len(weights), training.table
    places = batched.rows.shape[1]
    there = np.arange(places) < batched.counts[:, None]
    # One sparse product adds every row of every block to its row of the table.
    spread = sparse.csr_array(
        (
            np.repeat(weights, batched.counts),
            (batched.rows[:many][there], np.flatnonzero(there)),
        ),
        shape=(where.rows, many * places),
    )
    table = spread @ blocks[:many].reshape(many * places, where.width)
    rest = weights @ rests[:many]
    inner = total.vector[where.start : where.stop]
    inner += np.asarray(table).reshape(-1)
    total.vector[: where.start] += rest[: where.start]
    total.vector[where.stop :] += rest[where.start :]
    steps = batched.weight[:many]
    means = (losses[:many] * steps).sum(axis=1, dtype=np.float64) / np.maximum(steps.sum(axis=1), 1)
    total.loss += float(weights @ means)


def drawn_seeds(key: int) -> Callable[[int, Rows], NDArray[np.int64]]:
    """Seeds of a simulation that differ by round and row, without a key derived for each."""

    def seeds(number: int, rows: Rows) -> NDArray[np.int64]:
        return (mixed(key, number, rows) >> np.uint64(33)).astype(np.int64)

    return seeds
