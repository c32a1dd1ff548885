"""Which rows go left by a split, without telling the partner which split it is.

Boosted trees tell a partner which of its splits were chosen (``sums.TakeSplits``), and that says
which of its thresholds matter for labels it must not know: measured, it lifts the guesses of a
partner that knows 200 labels (``benchmarks/blindness.py``). Here the label party asks for X w, with
X the partner's bins of every row and w, encrypted, a one for each bin that goes left; nothing of w
can be read. Every level asks every partner for as many as a full level has nodes, zeros for those
it did not win, so that a partner sees the same messages whatever the trees look like.

The query is ``crypto.product_query`` in share mode, over a set of its own: only the lowest bit of
a product is opened, so that a label party that cheats gets one bit of a row for a question, as
from an honest one, not a sum of many bins. Set C: N = 2048, q = 2^48, which the Homomorphic
Encryption Standard (Albrecht et al., 2018) puts above 128 bits for ternary secrets (it allows
2^54), below the 147 bits of set S. Errors stay below 2^12, Δ is 2^46.

Threat model: a partner, even malicious, learns nothing about the choice (decision RLWE). A label
party, even malicious, learns one bit of each row for a question, at most ``most`` of them: the
parity of any bins it likes. Reviewed inside the project only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Later
from fedguide.crypto.lattice import Parameters
from fedguide.crypto.linear_query import Answer, joint_seed
from fedguide.crypto.product_query import (
    ProductAsked,
    ProductHint,
    ProductHintKept,
    ProductHolder,
    ProductQuestion,
    ProductSession,
    ask_products,
    columns_per,
    hold_products,
    keep_product_hint,
    open_product_session,
    open_products,
    share_products,
)
from fedguide.crypto.rows import BinRows
from fedguide.errors import ProtocolError, RefusedError
from fedguide.protocol import Message, State
from fedguide.seeds import Root, derive
from fedguide.values import PartyId

SET_C = Parameters("C", 2048, 2, 0, 0, 46, 2)
"""Products of bits, of which one bit is opened."""

MOST_CHOICES = 1 << 20

Rule3: TypeAlias = tuple[int, int, bool]
"""A split: feature, last bin that goes left, and whether missing values do."""


@dataclass(frozen=True)
class OpenChoices(Message):
    """Label party to partner: a session of hidden choices.

    Attributes:
        session: its name.
        nonce: 32 fresh bytes.
        most: questions that there will be at most.
    """

    session: str
    nonce: bytes
    most: int


@dataclass(frozen=True)
class ChoiceTable(Message):
    """Partner to label party: the shape of its table, and the hint of the session.

    Attributes:
        nonce: 32 fresh bytes.
        samples: rows of its table.
        bins: of each feature, shape ``(features,)``.
        hint: of the lattice.
    """

    nonce: bytes
    samples: int
    bins: Annotated[NDArray[np.int64], Array("int64", "features")]
    hint: ProductHint


@dataclass(frozen=True)
class TakeHidden(Message):
    """Label party to partner: the sides of as many splits as a level has nodes, all hidden."""

    questions: tuple[ProductQuestion, ...]


@dataclass(frozen=True)
class HiddenSides(Message):
    """Partner to label party: for each question its answer and the low bits of its shares.

    Attributes:
        answers: uniform numbers.
        shares: one bit a row, packed, shape ``(s, ceil(n / 8))``.
    """

    answers: tuple[Answer, ...]
    shares: Annotated[NDArray[np.uint8], Array("uint8", "s", "b")]


@dataclass(frozen=True)
class ChoiceState(State):
    """What a partner keeps: the session, how many questions it answered, and ``before`` it."""

    opened: OpenChoices
    answered: int = 0
    before: Annotated[int, Later()] = 0


CHOICE_WIRE: tuple[type, ...] = (
    *(OpenChoices, ChoiceTable, TakeHidden, HiddenSides, ChoiceState),
    *(ProductHint, ProductQuestion, Answer),
)
"""Every kind of message and state of hidden choices."""


# The partner's half


@dataclass(frozen=True)
class Choosable:
    """What a partner brings.

    Attributes:
        rows: its bins of its whole table.
        bins: of each feature.
        root: its own of this task.
        most: questions it answers in one task.
    """

    rows: BinRows = field(repr=False)
    bins: NDArray[np.int64]
    root: Root = field(repr=False)
    most: int = MOST_CHOICES
    # Made again from the session's first message after a crash.
    made: dict[bytes, tuple[ProductHolder, ProductHint]] = field(default_factory=dict, repr=False)


def opened_choices(
    env: Choosable, state: ChoiceState | None, message: OpenChoices
) -> tuple[ChoiceState, ChoiceTable]:
    """Opens a session; what was answered in earlier ones of the task goes on counting.

    Raises:
        RefusedError: more questions than this party answers in a task.
    """
    answered = 0 if state is None else state.answered
    if not 1 <= message.most <= env.most - answered:
        raise RefusedError(
            f"policy: {message.most} hidden choices asked for, {env.most - answered} of "
            f"{env.most} are left"
        )
    _, hint = _made(env, message)
    table = ChoiceTable(_nonce(env, message), env.rows.shape[1], env.bins, hint)
    return ChoiceState(message, answered, answered), table


def answered_choices(
    env: Choosable, state: ChoiceState, message: TakeHidden
) -> tuple[ChoiceState, HiddenSides]:
    """The sides asked for, whichever they are.

    Raises:
        RefusedError: more questions than were agreed.
        WrongShapeError: a question is of another session.
    """
    left = min(state.opened.most + state.before, env.most) - state.answered
    if len(message.questions) > left:
        raise RefusedError(
            f"policy: {len(message.questions)} hidden choices asked, {left} are left"
        )
    holder, _ = _made(env, state.opened)
    pairs = [share_products(holder, question) for question in message.questions]
    bits = [np.packbits((kept & 1).astype(np.bool_)) for _, kept in pairs]
    shares = np.stack(bits) if bits else np.zeros((0, -(-env.rows.shape[1] // 8)), np.uint8)
    after = replace(state, answered=state.answered + len(pairs))
    return after, HiddenSides(tuple(answer for answer, _ in pairs), shares)


def _made(env: Choosable, opened: OpenChoices) -> tuple[ProductHolder, ProductHint]:
    """The partner's side of a session; always the same for one first message."""
    nonce = _nonce(env, opened)
    if nonce not in env.made:
        session = _session(opened, nonce, env.rows.shape[1], env.bins)
        env.made.clear()  # one session at a time: a holder is as large as the table
        env.made[nonce] = hold_products(session, env.rows, Root(derive(env.root, "hold", nonce)))
    return env.made[nonce]


def _nonce(env: Choosable, opened: OpenChoices) -> bytes:
    return derive(env.root, "choice nonce", opened.session, opened.nonce, opened.most)


# The label party's half


@dataclass(frozen=True)
class Chooser:
    """The label party's side of a session with one partner.

    Attributes:
        party: the partner.
        samples: rows of its table.
        offsets: first bin of each feature and the end, shape ``(features + 1,)``.
    """

    party: PartyId
    samples: int
    offsets: NDArray[np.int64]
    session: ProductSession = field(repr=False)
    hint: ProductHintKept = field(repr=False)
    root: Root = field(repr=False)


def open_choices(name: str, root: Root, party: PartyId, most: int) -> OpenChoices:
    """The first message to one partner."""
    return OpenChoices(name, derive(root, "choices nonce", name, party), most)


def chooser(party: PartyId, opened: OpenChoices, reply: Message, root: Root) -> Chooser:
    """The session that a partner's reply opens.

    Raises:
        ProtocolError: the reply is no table.
        WrongShapeError: its hint is of another one.
    """
    if not isinstance(reply, ChoiceTable) or reply.samples < 1 or not len(reply.bins):
        raise ProtocolError(f"{party} did not open hidden choices with a table")
    session = _session(opened, reply.nonce, reply.samples, reply.bins)
    kept = keep_product_hint(session, reply.hint)
    own = Root(derive(root, "choices", party, opened.nonce))
    offsets = np.concatenate([[0], np.cumsum(reply.bins)]).astype(np.int64)
    return Chooser(party, reply.samples, offsets, session, kept, own)


def hide_choices(
    chooser_: Chooser, rules: Sequence[Rule3 | None], first: int
) -> tuple[TakeHidden, list[ProductAsked]]:
    """The question for some splits, ``None`` for none; ``first`` numbers the first of them.

    Raises:
        ProtocolError: there is no such split.
    """
    pairs = [
        ask_products(chooser_.session, _weights(chooser_, rule), chooser_.root, first + at)
        for at, rule in enumerate(rules)
    ]
    return TakeHidden(tuple(question for question, _ in pairs)), [kept for _, kept in pairs]


def opened_sides(
    chooser_: Chooser, asked: Sequence[ProductAsked], reply: Message
) -> list[NDArray[np.uint8]]:
    """Which rows go left by each split, one bit a row, packed.

    Raises:
        ProtocolError: the reply does not fit.
        WrongShapeError: an answer is of another session.
    """
    width = -(-chooser_.samples // 8)
    if (
        not isinstance(reply, HiddenSides)
        or len(reply.answers) != len(asked)
        or reply.shares.shape != (len(asked), width)
    ):
        raise ProtocolError(f"{chooser_.party} did not say which rows go left")
    sides = []
    for kept, answer, shares in zip(asked, reply.answers, reply.shares, strict=True):
        mine = open_products(chooser_.session, chooser_.hint, kept, answer)
        sides.append(np.packbits((mine & 1).astype(np.bool_)) ^ shares)
    return sides


def _weights(chooser_: Chooser, rule: Rule3 | None) -> NDArray[np.int64]:
    """A one for each bin that goes left."""
    weights = np.zeros(int(chooser_.offsets[-1]), np.int64)
    if rule is None:
        return weights
    feature, last, missing_left = rule
    if not 0 <= feature < len(chooser_.offsets) - 1:
        raise ProtocolError(f"{chooser_.party} has no feature {feature}")
    start, end = chooser_.offsets[feature : feature + 2].tolist()
    if not 0 < last < end - start - 1:
        raise ProtocolError(f"feature {feature} has no split after bin {last}")
    weights[start + 1 : start + last + 1] = 1
    weights[start] = missing_left  # bin 0 is the one of missing values
    return weights


def _session(
    opened: OpenChoices, nonce: bytes, samples: int, bins: NDArray[np.int64]
) -> ProductSession:
    """The same on both sides."""
    columns = int(bins.sum())
    terms = (opened.most, samples, bins.tolist())
    context = hashlib.sha256(repr(terms).encode()).digest()
    seed = joint_seed(f"choices {opened.session}", (opened.nonce, nonce), context)
    per = columns_per(columns, samples, opened.most, SET_C.n)
    return open_product_session(SET_C, samples, columns, per, seed)
