"""What crosses between the sides of a generalised linear model, and what a partner keeps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Later
from fedguide.crypto.linear_query import Answer, Hint, Question, joint_seed
from fedguide.crypto.product_query import ProductHint, ProductQuestion
from fedguide.protocol import Message, State
from fedguide.vertical.glm_channel import Hints, OpenNumbers, Terms


@dataclass(frozen=True)
class GlmBegin(Message):
    """Label party to partner: a model over these of your rows.

    Attributes:
        session: its name.
        nonce: 32 fresh bytes.
        scheme: how numbers are hidden.
        rows: of the partner's table, the common customers in the label party's order.
        columns: of the label party.
        column_bits: both sides' columns are in units of 2^-this.
        steps: how many there will be.
    """

    session: str
    nonce: bytes
    scheme: str
    rows: Annotated[NDArray[np.int64], Array("int64", "n")]
    columns: int
    column_bits: int
    steps: int


@dataclass(frozen=True)
class GlmTable(Message):
    """Partner to label party: the size of its half.

    Attributes:
        nonce: 32 fresh bytes.
        columns: how many.
        curvature: a bound on the largest eigenvalue of XᵀX / n of its columns, rounded up.
        key: its X25519 key of this session, for pads between partners.
        chained: which columns are bins right above the one before, so that their weights should
            not differ by much.
    """

    nonce: bytes
    columns: int
    curvature: int
    key: bytes
    chained: Annotated[NDArray[np.bool_], Array("bool", "columns")]


@dataclass(frozen=True)
class GlmSide(Message):
    """What every side knows of one partner.

    Attributes:
        name: as the label party calls it.
        nonce, columns, key: as it said.
        order: digest of its rows.
    """

    name: str
    nonce: bytes
    columns: int
    key: bytes
    order: bytes


@dataclass(frozen=True)
class GlmMeet(Message):
    """Label party to partner: who the partners are, and which of them this one is."""

    sides: tuple[GlmSide, ...]
    place: int


@dataclass(frozen=True)
class GlmHints(Message):
    """Partner to label party: hints of its columns, of scheme ``lattice``."""

    hints: Hints | None


@dataclass(frozen=True)
class GlmOthers(Message):
    """Hints of the other partners' slopes, one partner's rows after another's, in their order."""

    rows: Annotated[NDArray[np.uint8], Array("uint8", "O", "N", "B")]


@dataclass(frozen=True)
class GlmStart(Message):
    """Label party to partner: everybody's hints, and how steps are taken.

    Attributes:
        hints: of the label party's columns; of its scores to the first partner only.
        others: of the other partners' columns, if there are any, in scheme ``lattice``.
        shift: a slope is divided by 2^this.
        ridge, smooth: see ``glm_step.Stepping``.
        chained: of the label party's columns, to the first partner only.
    """

    hints: Hints | None
    others: GlmOthers | None
    shift: int
    ridge: int
    smooth: int
    chained: Annotated[NDArray[np.bool_], Array("bool", "columns")]


@dataclass(frozen=True)
class GlmReady(Message):
    """Partner to label party: go on."""


@dataclass(frozen=True)
class GlmScores(Message):
    """Label party to partner: a question for scores.

    With one partner also the answer to its last question for slopes.
    """

    step: int
    question: ProductQuestion | OpenNumbers
    slopes: Answer | OpenNumbers | None


@dataclass(frozen=True)
class GlmScored(Message):
    """Partner to label party: the answer; the first partner's own question for scores."""

    scores: Answer | OpenNumbers
    question: ProductQuestion | OpenNumbers | None


@dataclass(frozen=True)
class GlmSlopes(Message):
    """Label party to partner: a question for slopes; to the first, the answer for scores."""

    step: int
    scores: Answer | OpenNumbers | None
    question: Question | OpenNumbers


@dataclass(frozen=True)
class GlmSloped(Message):
    """Partner to label party: the answer, and its own question for everybody's slopes."""

    slopes: Answer | OpenNumbers
    question: Question | OpenNumbers


@dataclass(frozen=True)
class GlmAcross(Message):
    """Label party to partner: the answer for slopes, and the other partners' questions."""

    step: int
    slopes: Answer | OpenNumbers
    questions: tuple[Question | OpenNumbers, ...]


@dataclass(frozen=True)
class GlmCrossed(Message):
    """Partner to label party: an answer for each of the others.

    Attributes:
        slopes: the answers, in the others' order.
        label: its share of the label party's slopes under the pad it has with the first partner;
            nothing from the first partner itself.
    """

    slopes: tuple[Answer | OpenNumbers, ...]
    label: Annotated[NDArray[np.int64], Array("int64", "columns")]


@dataclass(frozen=True)
class GlmTell(Message):
    """Label party to partner: the other partners' answers for slopes, one after another."""

    step: int
    slopes: Answer | OpenNumbers


@dataclass(frozen=True)
class GlmTold(Message):
    """Partner to label party: its shares of the others' slopes, one after another."""

    shares: Annotated[NDArray[np.int64], Array("int64", "columns")]


@dataclass(frozen=True)
class GlmEnd(Message):
    """Label party to partner: its shares of the partner's weights; to a single one, what is due."""

    slopes: Answer | OpenNumbers | None
    weights: Annotated[NDArray[np.int64], Array("int64", "columns")]


@dataclass(frozen=True)
class GlmEnded(Message):
    """Partner to label party: the first one's shares of the label party's weights."""

    weights: Annotated[NDArray[np.int64], Array("int64", "columns")]


@dataclass(frozen=True)
class GlmAsk(Message):
    """Label party to partner: your part of the scores of these of your rows."""

    rows: Annotated[NDArray[np.int64], Array("int64", "n")]


@dataclass(frozen=True)
class GlmParts(Message):
    """Partner to label party: its part of each score, in units of 2^-(fraction + column bits)."""

    parts: Annotated[NDArray[np.int64], Array("int64", "n")]


@dataclass(frozen=True)
class GlmState(State):
    """What a partner keeps between two messages.

    Attributes:
        begin: of the session.
        start: of the session.
        stage: what came last.
        step: the last one begun; -1 before the first.
        kept: shares it waits with: of the scores, then of its own columns' slopes.
        secret: opens the answer it waits for.
        own, other: its shares of its own and, the first partner's, of the label party's weights,
            then velocities.
        weights: its own, once the run has ended; they stay here.
        meet: of the session.
        theirs: the first partner's share of the label party's slopes, with several partners.
        asked: digest of its last question for slopes, with several partners.
    """

    begin: GlmBegin | None = None
    start: GlmStart | None = None
    stage: Literal[
        "new", "begun", "met", "ready", "scored", "sloped", "crossed", "told", "ended"
    ] = "new"
    step: int = -1
    kept: Annotated[NDArray[np.int64], Array("int64", "r")] = field(
        default_factory=lambda: np.zeros(0, np.int64), repr=False
    )
    secret: Annotated[NDArray[np.int8], Array("int8", "s")] = field(
        default_factory=lambda: np.zeros(0, np.int8), repr=False
    )
    own: Annotated[NDArray[np.int64], Array("int64", 2, "own")] = field(
        default_factory=lambda: np.zeros((2, 0), np.int64), repr=False
    )
    other: Annotated[NDArray[np.int64], Array("int64", 2, "other")] = field(
        default_factory=lambda: np.zeros((2, 0), np.int64), repr=False
    )
    weights: Annotated[NDArray[np.int64], Array("int64", "w")] | None = field(
        default=None, repr=False
    )
    meet: Annotated[GlmMeet | None, Later()] = None
    theirs: Annotated[bytes | None, Later()] = field(default=None, repr=False)
    asked: Annotated[bytes | None, Later()] = None


GLM_WIRE: tuple[type, ...] = (
    *(GlmBegin, GlmTable, GlmSide, GlmMeet, GlmHints, GlmOthers, GlmStart, GlmReady),
    *(GlmScores, GlmScored, GlmSlopes, GlmSloped, GlmAcross, GlmCrossed, GlmTell, GlmTold),
    *(GlmEnd, GlmEnded, GlmAsk, GlmParts, GlmState, Hints, OpenNumbers),
    *(ProductHint, ProductQuestion, Hint, Question, Answer),
)
"""Every kind of message and state of these runs."""


def order_of(rows: NDArray[np.int64]) -> bytes:
    """The digest by which a partner knows that a session is over the rows it was told."""
    return hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes()).digest()


def terms_of(begin: GlmBegin, sides: tuple[GlmSide, ...]) -> Terms:
    """What all sides know of a session; its seed is bound to every nonce and all that was agreed.

    Args:
        begin: the label party's first message, to any of them.
        sides: the partners, in order.
    """
    told = [(s.name, s.nonce, s.columns, s.key, s.order) for s in sides]
    theirs = hashlib.sha256(repr(told).encode()).digest()
    samples = len(begin.rows)
    agreed = (begin.scheme, samples, begin.columns, begin.column_bits, begin.steps)
    context = hashlib.sha256(repr(agreed).encode()).digest()
    seed = joint_seed(begin.session, (begin.nonce, theirs), context)
    return Terms(begin.scheme, seed, samples, begin.steps)
