"""A partner's half of a generalised linear model over several parties' columns.

It learns which of its rows are common customers (a GLM needs aligned rows, so this half answers
nobody unless ``reveal_alignment`` is consented to), how many columns every other party has, the
number of steps, and its own weights at the end. Scores, labels, slopes and others' weights it only
ever holds uniform shares of. How several partners work together: see ``glm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.agreement import AgreementKey, agree, agreement_key
from fedguide.crypto.lattice import expanded
from fedguide.crypto.linear_query import NONCE_BYTES, Hint
from fedguide.crypto.rows import BinRows, DenseRows, Rows
from fedguide.errors import ProtocolError, RefusedError
from fedguide.protocol import Message
from fedguide.seeds import Label, Root, derive
from fedguide.vertical.glm_channel import (
    Asker,
    Held,
    Hints,
    Other,
    Replied,
    answer_scores,
    answer_slopes,
    ask_scores,
    ask_slopes,
    digest_of,
    hold_side,
    keep_side,
    open_asker,
    open_scores,
    open_slopes,
    parted,
)
from fedguide.vertical.glm_messages import (
    GlmAcross,
    GlmAsk,
    GlmBegin,
    GlmCrossed,
    GlmEnd,
    GlmEnded,
    GlmHints,
    GlmMeet,
    GlmParts,
    GlmReady,
    GlmScored,
    GlmScores,
    GlmSide,
    GlmSloped,
    GlmSlopes,
    GlmStart,
    GlmState,
    GlmTable,
    GlmTell,
    GlmTold,
    order_of,
    terms_of,
)
from fedguide.vertical.glm_step import Stepping, curvature, opened_weights, stepped
from fedguide.vertical.shares import SHARE_BITS, Shares, reduced, rounded

_PARTNER: Final = 1  # its side of the shares

_MOST = 1 << 20  # of a penalty
_MOST_PARTNERS = 32
LABEL: Final = "label party"


@dataclass(frozen=True)
class Work:
    """What is made of a session's messages: its own end, its matrix, and the others'.

    ``others`` are the label party's and then the other partners' in their order; empty before
    their hints have come.
    """

    asker: Asker
    held: Held
    hints: Hints | None
    others: tuple[Other, ...] = ()


@dataclass(frozen=True)
class GlmEnv:
    """What a partner brings to a GLM and keeps to itself.

    Attributes:
        rows: its columns of its whole table, a row each.
        column_bits: they are in units of 2^-this; 0 for bins.
        root: its own of this task.
        chained: which columns are neighbours of the one before, shape ``(d,)``; ``None`` for none.
        reveal_alignment: its consent to learn, and to be told, which rows are common customers.
        allow_plain: answers in the open: for tests.
        same_masks: see ``glm_channel.Held``; for comparing schemes.
        least_common: refuses fewer customers.
        most_steps: refuses more steps.
    """

    rows: Rows = field(repr=False)
    column_bits: int
    root: Root = field(repr=False)
    chained: NDArray[np.bool_] | None = None
    reveal_alignment: bool = False
    allow_plain: bool = False
    same_masks: bool = False
    least_common: int = 100
    most_steps: int = 1000
    # Made again from the state after a crash; this only saves the second time.
    made: dict[bytes, Work] = field(default_factory=dict, repr=False)

    @property
    def neighbours(self) -> NDArray[np.bool_]:
        """Which columns are neighbours of the one before, shape ``(d,)``."""
        none = np.zeros(self.rows.shape[0], np.bool_)
        return none if self.chained is None else self.chained


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
        case GlmMeet() if state.stage == "begun":
            return _meet(env, state, message)
        case GlmStart() if state.stage == "met":
            return _start(env, state, message), GlmReady()
        case GlmEnd() if _is_end(state, message):
            return _end(env, state, message)
        case _:
            return _step(env, state, message)


def _step(env: GlmEnv, state: GlmState, message: Message) -> tuple[GlmState, Message]:
    """The messages of one step, in their order."""
    match message:
        case GlmScores() if _is_next(state, message):
            return _scores(env, state, message)
        case GlmSlopes() if state.stage == "scored" and message.step == state.step:
            return _slopes(env, state, message)
        case GlmAcross() if state.stage == "sloped" and _fits(state, message):
            return _across(env, state, message)
        case GlmTell() if state.stage == "crossed" and message.step == state.step:
            return _told(env, state, message)
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
    count = env.rows.shape[0]
    key = _key(env, message).public
    curved = curvature(select(env.rows, message.rows), env.column_bits)
    begun = GlmState(message, stage="begun", own=np.zeros((2, count), np.int64))
    return begun, GlmTable(_nonce(env, message), count, curved, key, env.neighbours)


def _meet(env: GlmEnv, state: GlmState, message: GlmMeet) -> tuple[GlmState, GlmHints]:
    """Looks whether it is itself among the partners, and makes its columns ready."""
    begin, sides = _begun(state), message.sides
    nonce, key = _nonce(env, begin), _key(env, begin).public
    if not 0 <= message.place < len(sides) <= _MOST_PARTNERS:
        raise ProtocolError(f"a session has 1 to {_MOST_PARTNERS} partners, this one among them")
    mine = sides[message.place]
    said = (mine.nonce, mine.columns, mine.key, mine.order)
    if said != (nonce, env.rows.shape[0], key, order_of(begin.rows)):
        raise ProtocolError("the label party tells others something else of this side than it said")
    if len({side.name for side in sides} | {LABEL}) != len(sides) + 1:
        raise ProtocolError("every side of a session needs a name of its own")
    if any(side.columns < 1 for side in sides) or (len(sides) > 1 and env.column_bits):
        raise ProtocolError("columns must be there, and with several partners be bins")
    count = begin.columns if message.place == 0 else 0
    met = replace(state, meet=message, stage="met", other=np.zeros((2, count), np.int64))
    env.made.clear()  # one session at a time
    return met, GlmHints(_work(env, met).hints)


def _start(env: GlmEnv, state: GlmState, message: GlmStart) -> GlmState:
    """Takes everybody's hints; they are looked at before they are kept."""
    penalties = (message.ridge, message.smooth)
    if not 0 <= message.shift < SHARE_BITS or not 0 <= min(penalties) <= max(penalties) < _MOST:
        raise ProtocolError(f"shift {message.shift} or penalties {penalties} are out of range")
    if len(message.chained) != state.other.shape[1]:
        raise ProtocolError(f"{state.other.shape[1]} columns are due")
    started = replace(state, start=message, stage="ready")
    _work(env, started)
    return started


def _is_next(state: GlmState, message: GlmScores) -> bool:
    """Is it the question of the next step, with the answer to the last one if that is due?"""
    follows = message.step == state.step + 1 < _begun(state).steps
    if message.slopes is None:
        return follows and state.stage in ("ready", "told")
    return follows and state.stage == "sloped" and len(_met(state).sides) == 1


def _is_end(state: GlmState, message: GlmEnd) -> bool:
    """Is every step taken, and does the last answer come if it is due?"""
    if state.begin is None or state.step + 1 != state.begin.steps:
        return False
    if message.slopes is None:
        return state.stage == "told"
    return state.stage == "sloped" and len(_met(state).sides) == 1


def _fits(state: GlmState, message: GlmAcross) -> bool:
    """Is there a question of each other partner?"""
    others = len(_met(state).sides) - 1
    return message.step == state.step and 0 < others == len(message.questions)


def _scores(env: GlmEnv, state: GlmState, message: GlmScores) -> tuple[GlmState, GlmScored]:
    """Ends the last step, answers for scores; the first partner asks for the label party's."""
    if message.slopes is not None:
        state = _single_stepped(env, state, message.slopes)
    work = _work(env, state)
    reply, mine = answer_scores(work.held, message.question, message.step)
    kept = reduced(mine + work.held.rows.wrapped_products(state.own[0]))
    question, secret = None, np.zeros(0, np.int8)
    if _is_first(state):
        question, secret = ask_scores(work.others[0], state.other[0], message.step)
    new = replace(state, stage="scored", step=message.step, kept=kept, secret=secret)
    return new, GlmScored(reply, question)


def _slopes(env: GlmEnv, state: GlmState, message: GlmSlopes) -> tuple[GlmState, GlmSloped]:
    """Completes its shares of the residuals, answers for slopes and asks for all other ones."""
    work, residuals = _work(env, state), state.kept
    if _is_first(state):
        residuals = reduced(residuals + open_scores(work.others[0], state.secret, message.scores))
    residuals = rounded(residuals, env.column_bits, _PARTNER)
    reply, mine = answer_slopes(work.held, message.question, message.step, LABEL)
    kept = reduced(mine + work.held.rows.wrapped_sums(residuals))
    question, secret = ask_slopes(work.asker, residuals, message.step)
    asked = digest_of(question) if len(_met(state).sides) > 1 else None
    new = replace(state, stage="sloped", kept=kept, secret=secret, asked=asked)
    return new, GlmSloped(reply, question)


def _across(env: GlmEnv, state: GlmState, message: GlmAcross) -> tuple[GlmState, GlmCrossed]:
    """Answers the other partners; its share of the label party's slopes goes to the first one.

    Not in the open: the first partner has the same pad, so that only the sum of the label party's
    and the first partner's shares is what it was.
    """
    work, meet = _work(env, state), _met(state)
    answers, kept = [], state.kept
    others = [side for at, side in enumerate(meet.sides) if at != meet.place]
    for side, question in zip(others, message.questions, strict=True):
        reply, mine = answer_slopes(work.held, question, message.step, side.name)
        answers.append(reply)
        kept = reduced(kept + mine)
    theirs = open_slopes(work.others[0], state.secret, message.slopes)
    crossed = replace(state, stage="crossed", kept=kept)
    if meet.place:
        padded = reduced(theirs + _pad(env, state, meet.sides[0], state.asked or b""))
        return crossed, GlmCrossed(tuple(answers), padded)
    for side, question in zip(others, message.questions, strict=True):
        theirs = reduced(theirs - _pad(env, state, side, digest_of(question)))
    crossed = replace(crossed, theirs=theirs.astype("<i8").tobytes())
    return crossed, GlmCrossed(tuple(answers), np.zeros(0, np.int64))


def _told(env: GlmEnv, state: GlmState, message: GlmTell) -> tuple[GlmState, GlmTold]:
    """Gives the label party its shares of the others' slopes and takes the step.

    They are uniform to the label party: each hides behind a share that stays with the column's
    owner.
    """
    others = _work(env, state).others[1:]
    replies = parted(message.slopes, [other.columns for other in others])
    shares = [
        open_slopes(other, state.secret, reply)
        for other, reply in zip(others, replies, strict=True)
    ]
    theirs = np.frombuffer(state.theirs or b"", "<i8").astype(np.int64)
    new = replace(_stepped(env, state, theirs), stage="told", theirs=None)
    return new, GlmTold(np.concatenate(shares))


def _single_stepped(env: GlmEnv, state: GlmState, reply: Replied) -> GlmState:
    """With no other partner: the state after the step whose last answer this is."""
    return _stepped(env, state, open_slopes(_work(env, state).others[0], state.secret, reply))


def _stepped(env: GlmEnv, state: GlmState, theirs: Shares) -> GlmState:
    """Its own weights after a step, and the first partner's share of the label party's."""
    start = state.start
    if start is None:
        raise ProtocolError("the session has not started")
    rule = Stepping(start.shift, start.ridge, start.smooth, env.column_bits)
    own = stepped(rule, _PARTNER, state.own, state.kept, env.neighbours)
    if not _is_first(state):
        return replace(state, own=own)
    other = stepped(rule, _PARTNER, state.other, theirs, start.chained)
    return replace(state, own=own, other=other)


def _end(env: GlmEnv, state: GlmState, message: GlmEnd) -> tuple[GlmState, GlmEnded]:
    """Opens its own weights, which stay here; the first gives its shares of the label party's."""
    if len(message.weights) != state.own.shape[1]:
        raise ProtocolError(f"{state.own.shape[1]} shares of weights are due")
    last = state if message.slopes is None else _single_stepped(env, state, message.slopes)
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


def _met(state: GlmState) -> GlmMeet:
    """Who the partners are.

    Raises:
        ProtocolError: nobody has said.
    """
    if state.meet is None:
        raise ProtocolError("the partners have not met")
    return state.meet


def _is_first(state: GlmState) -> bool:
    """Is it the partner that shares the label party's weights?"""
    return _met(state).place == 0


def _work(env: GlmEnv, state: GlmState) -> Work:
    """What a session's messages make; made again after a crash."""
    begin, meet, start = _begun(state), _met(state), state.start
    terms, me = terms_of(begin, meet.sides), meet.sides[meet.place]
    work = env.made.get(terms.seed)
    if work is None:
        asker, rows = open_asker(terms, env.root), select(env.rows, begin.rows)
        held, hints = hold_side(terms, me.name, asker, rows, env.root, same_masks=env.same_masks)
        work = Work(asker, held, hints)
    if start is not None and not work.others:
        label = keep_side(terms, LABEL, begin.columns, work.asker, start.hints)
        others = [side for side in meet.sides if side is not me]
        told = _others_hints(begin, others, start)
        more = [
            keep_side(terms, side.name, side.columns, work.asker, hints)
            for side, hints in zip(others, told, strict=True)
        ]
        work = replace(work, others=(label, *more))
    env.made[terms.seed] = work
    return work


def _others_hints(
    begin: GlmBegin, others: Sequence[GlmSide], start: GlmStart
) -> list[Hints | None]:
    """The hints of the other partners, in their order."""
    if begin.scheme == "plain" or not others:
        return [None] * len(others)
    counts = [side.columns for side in others]
    rows = None if start.others is None else start.others.rows
    if rows is None or len(rows) != sum(counts):
        raise ProtocolError(f"{sum(counts)} hints of other partners' columns are due")
    return [Hints(None, Hint(part)) for part in np.split(rows, np.cumsum(counts)[:-1])]


def _key(env: GlmEnv, begin: GlmBegin) -> AgreementKey:
    """Its key of a session, for pads between partners."""
    return agreement_key(derive(env.root, "glm key", begin.session, begin.nonce))


def _pad(env: GlmEnv, state: GlmState, side: GlmSide, asked: bytes) -> Shares:
    """Uniform numbers that another partner has too, as many as the label party's columns.

    They belong to the question of the one that sends its share, so that none ever hides two.
    """
    begin = _begun(state)
    labels: tuple[Label, ...] = (terms_of(begin, _met(state).sides).seed, state.step, asked)
    if env.same_masks or begin.scheme == "plain":
        labels = (state.step,)
    key = agree(_key(env, begin), side.key, "glm pad", *labels)
    return reduced(expanded(key, 8 * begin.columns).view("<i8").astype(np.int64))


def _nonce(env: GlmEnv, begin: GlmBegin) -> bytes:
    """Its nonce for a session: another for every other first message."""
    return derive(env.root, "glm nonce", begin.session, begin.nonce, size=NONCE_BYTES)
