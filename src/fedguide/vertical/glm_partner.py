"""The partner's half of a generalised linear model over two parties' columns.

It learns which of its rows are common customers (a GLM needs aligned rows, so this half answers
nobody unless ``reveal_alignment`` is consented to), how many columns the label party has, the
number of steps, and its own weights at the end. Scores, labels, slopes and the label party's
weights it only ever holds uniform shares of.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.linear_query import NONCE_BYTES
from fedguide.crypto.rows import BinRows, DenseRows, Rows
from fedguide.errors import ProtocolError, RefusedError
from fedguide.protocol import Message
from fedguide.seeds import Root, derive
from fedguide.vertical.glm_channel import (
    Deal,
    Held,
    Hints,
    Other,
    Replied,
    Whose,
    answer_scores,
    answer_slopes,
    ask_scores,
    ask_slopes,
    hold_side,
    keep_side,
    open_scores,
    open_slopes,
)
from fedguide.vertical.glm_messages import (
    GlmAsk,
    GlmBegin,
    GlmEnd,
    GlmEnded,
    GlmParts,
    GlmReady,
    GlmScored,
    GlmScores,
    GlmSloped,
    GlmSlopes,
    GlmStart,
    GlmState,
    GlmTable,
    glm_seed,
)
from fedguide.vertical.glm_step import Stepping, curvature, opened_weights, stepped
from fedguide.vertical.shares import SHARE_BITS, reduced, rounded

_PARTNER: Final = 1  # its side of the shares

_MOST_RIDGE = 1 << 20

Work: TypeAlias = tuple[Held, Other | None]


@dataclass(frozen=True)
class GlmEnv:
    """What a partner brings to a GLM and keeps to itself.

    Attributes:
        rows: its columns of its whole table, a row each.
        column_bits: they are in units of 2^-this; 0 for bins.
        root: its own of this task.
        reveal_alignment: its consent to learn, and to be told, which rows are common customers.
        allow_plain: answers in the open: for tests.
        same_masks: see ``glm_channel.Held``; for comparing schemes.
        least_common: refuses fewer customers.
        most_steps: refuses more steps.
    """

    rows: Rows = field(repr=False)
    column_bits: int
    root: Root = field(repr=False)
    reveal_alignment: bool = False
    allow_plain: bool = False
    same_masks: bool = False
    least_common: int = 100
    most_steps: int = 1000
    # Made again from the state after a crash; this only saves the second time.
    made: dict[bytes, Work] = field(default_factory=dict, repr=False)


def answer(env: GlmEnv, state: GlmState, message: Message) -> tuple[GlmState, Message]:
    """The partner's half.

    Raises:
        RefusedError: its policy does not allow it.
        ProtocolError: the message has no place here, or does not fit.
    """
    match message:
        case GlmBegin():
            return _begin(env, message)
        case GlmAsk() if state.weights is not None:
            return state, _parts(env, state.weights, message)
        case GlmStart() if state.stage == "begun":
            return _start(env, state, message), GlmReady()
        case GlmScores() if _is_next(state, message):
            return _scores(env, state, message)
        case GlmSlopes() if state.stage == "scored" and message.step == state.step:
            return _slopes(env, state, message)
        case GlmEnd() if state.stage == "sloped" and state.step + 1 == _begun(state).steps:
            return _end(env, state, message)
        case _:
            raise ProtocolError(f"there is no step here for {type(message).__name__}")


def select(rows: Rows, chosen: NDArray[np.int64]) -> Rows:
    """The same columns of these samples alone.

    Raises:
        ProtocolError: a sample is not there.
    """
    if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < rows.shape[1]:
        raise ProtocolError(f"rows must be within the table's {rows.shape[1]}")
    if isinstance(rows, BinRows):
        return BinRows(np.ascontiguousarray(rows.codes[:, chosen]), rows.offsets)
    return DenseRows(np.ascontiguousarray(rows.matrix[:, chosen]))


def _begin(env: GlmEnv, message: GlmBegin) -> tuple[GlmState, GlmTable]:
    """Opens a session, if the policy allows it."""
    if not env.reveal_alignment:
        raise RefusedError(
            "policy: a GLM tells this party which of its rows are common customers; "
            "it has not consented to reveal_alignment",
            hint="consent on both sides, or train boosted trees, which need no such thing",
        )
    if len(message.rows) < env.least_common:
        raise RefusedError(
            f"policy: at least {env.least_common} common customers, asked for {len(message.rows)}"
        )
    if not 1 <= message.steps <= env.most_steps:
        raise RefusedError(f"policy: 1 to {env.most_steps} steps, asked for {message.steps}")
    if message.scheme == "plain" and not env.allow_plain:
        raise RefusedError("policy: numbers in the open are for tests only")
    if message.scheme not in ("plain", "lattice"):
        raise ProtocolError("the scheme must be lattice or plain")
    if message.column_bits != env.column_bits or message.columns < 1:
        raise ProtocolError("the sides' columns must be of one kind: bins, or scaled numbers")
    if len(np.unique(message.rows)) != len(message.rows):
        raise ProtocolError("every common customer needs a row of its own")
    held, hints = _made(env, message)
    count = held.rows.shape[0]
    table = GlmTable(_nonce(env, message), count, curvature(held.rows, env.column_bits), hints)
    begun = GlmState(
        message,
        stage="begun",
        own=np.zeros((2, count), np.int64),
        other=np.zeros((2, message.columns), np.int64),
    )
    return begun, table


def _start(env: GlmEnv, state: GlmState, message: GlmStart) -> GlmState:
    """Takes the label party's hints; they are looked at before they are kept."""
    if not 0 <= message.shift < SHARE_BITS or not 0 <= message.ridge < _MOST_RIDGE:
        raise ProtocolError(f"shift {message.shift} or ridge {message.ridge} is out of range")
    started = replace(state, start=message, stage="ready")
    _both(env, started)
    return started


def _is_next(state: GlmState, message: GlmScores) -> bool:
    """Is it the question of the next step, with the answer to the last one if there was one?"""
    follows = message.step == state.step + 1 < _begun(state).steps
    if message.slopes is None:
        return follows and state.stage == "ready"
    return follows and state.stage == "sloped"


def _scores(env: GlmEnv, state: GlmState, message: GlmScores) -> tuple[GlmState, GlmScored]:
    """Ends the last step, answers for scores and asks for the label party's."""
    if message.slopes is not None:
        state = _stepped(env, state, message.slopes)
    held, other = _both(env, state)
    reply, mine = answer_scores(held, message.question, message.step)
    kept = reduced(mine + held.rows.wrapped_products(state.own[0]))
    question, secret = ask_scores(other, state.other[0], message.step)
    new = replace(state, stage="scored", step=message.step, kept=kept, secret=secret)
    return new, GlmScored(reply, question)


def _slopes(env: GlmEnv, state: GlmState, message: GlmSlopes) -> tuple[GlmState, GlmSloped]:
    """Completes its shares of the residuals, answers for slopes and asks for the other ones."""
    held, other = _both(env, state)
    scores = open_scores(other, state.secret, message.scores)
    residuals = rounded(reduced(state.kept + scores), env.column_bits, _PARTNER)
    reply, mine = answer_slopes(held, message.question, message.step)
    kept = reduced(mine + held.rows.wrapped_sums(residuals))
    question, secret = ask_slopes(other, residuals, message.step)
    return replace(state, stage="sloped", kept=kept, secret=secret), GlmSloped(reply, question)


def _stepped(env: GlmEnv, state: GlmState, reply: Replied) -> GlmState:
    """Both weights after the step whose last answer this is."""
    start = state.start
    if start is None:
        raise ProtocolError("the session has not started")
    rule = Stepping(start.shift, start.ridge, env.column_bits)
    theirs = open_slopes(_both(env, state)[1], state.secret, reply)
    own = stepped(rule, _PARTNER, state.own, state.kept)
    other = stepped(rule, _PARTNER, state.other, theirs)
    return replace(state, own=own, other=other)


def _end(env: GlmEnv, state: GlmState, message: GlmEnd) -> tuple[GlmState, GlmEnded]:
    """Opens its own weights, which stay here, and gives its shares of the label party's."""
    if len(message.weights) != state.own.shape[1]:
        raise ProtocolError(f"{state.own.shape[1]} shares of weights are due")
    last = _stepped(env, state, message.slopes)
    weights = opened_weights(last.own[0], message.weights)
    env.made.clear()
    return GlmState(stage="ended", weights=weights), GlmEnded(last.other[0])


def _parts(env: GlmEnv, weights: NDArray[np.int64], message: GlmAsk) -> GlmParts:
    """Its part of some customers' scores."""
    return GlmParts(select(env.rows, message.rows).wrapped_products(weights))


def _begun(state: GlmState) -> GlmBegin:
    """The session's first message.

    Raises:
        ProtocolError: there is none.
    """
    if state.begin is None:
        raise ProtocolError("no session has begun")
    return state.begin


def _made(env: GlmEnv, begin: GlmBegin) -> tuple[Held, Hints | None]:
    """Its own matrix, made ready; always the same for one first message."""
    nonce = _nonce(env, begin)
    rows = select(env.rows, begin.rows)
    deal = _deal(env, begin, "partner", rows.shape[0])
    held, hints = hold_side(deal, rows, env.root, same_masks=env.same_masks)
    env.made.clear()  # one session at a time
    env.made[nonce] = (held, None)
    return held, hints


def _both(env: GlmEnv, state: GlmState) -> tuple[Held, Other]:
    """Both matrices of the running session, made again after a crash."""
    begin = _begun(state)
    nonce = _nonce(env, begin)
    if nonce not in env.made:
        _made(env, begin)
    held, other = env.made[nonce]
    if other is None:
        hints = None if state.start is None else state.start.hints
        other = keep_side(_deal(env, begin, "label", begin.columns), hints, env.root)
        env.made[nonce] = (held, other)
    return held, other


def _deal(env: GlmEnv, begin: GlmBegin, whose: Whose, columns: int) -> Deal:
    """What both sides know of one matrix."""
    seed = glm_seed(begin, _nonce(env, begin), env.rows.shape[0])
    return Deal(whose, begin.scheme, seed, len(begin.rows), columns, begin.steps)


def _nonce(env: GlmEnv, begin: GlmBegin) -> bytes:
    """Its nonce for a session: another for every other first message."""
    return derive(env.root, "glm nonce", begin.session, begin.nonce, size=NONCE_BYTES)
