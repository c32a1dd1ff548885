"""What crosses between the two sides of a generalised linear model, and what the partner keeps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.crypto.linear_query import Answer, Hint, Question, joint_seed
from fedguide.crypto.product_query import ProductHint, ProductQuestion
from fedguide.protocol import Message, State
from fedguide.vertical.glm_channel import Hints, OpenNumbers


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
        hints: of scheme ``lattice``.
    """

    nonce: bytes
    columns: int
    curvature: int
    hints: Hints | None


@dataclass(frozen=True)
class GlmStart(Message):
    """Label party to partner: its hints, and how steps are taken.

    Attributes:
        hints: of scheme ``lattice``.
        shift: a slope is divided by 2^this.
        ridge: this times the weight is added to its slope.
    """

    hints: Hints | None
    shift: int
    ridge: int


@dataclass(frozen=True)
class GlmReady(Message):
    """Partner to label party: go on."""


@dataclass(frozen=True)
class GlmScores(Message):
    """Label party to partner: a question for scores, and the answer to the last one for slopes."""

    step: int
    question: ProductQuestion | OpenNumbers
    slopes: Answer | OpenNumbers | None


@dataclass(frozen=True)
class GlmScored(Message):
    """Partner to label party: the answer, and its own question for scores."""

    scores: Answer | OpenNumbers
    question: ProductQuestion | OpenNumbers


@dataclass(frozen=True)
class GlmSlopes(Message):
    """Label party to partner: the answer for scores, and a question for slopes."""

    step: int
    scores: Answer | OpenNumbers
    question: Question | OpenNumbers


@dataclass(frozen=True)
class GlmSloped(Message):
    """Partner to label party: the answer, and its own question for slopes."""

    slopes: Answer | OpenNumbers
    question: Question | OpenNumbers


@dataclass(frozen=True)
class GlmEnd(Message):
    """Label party to partner: the last answer, and its shares of the partner's weights."""

    slopes: Answer | OpenNumbers
    weights: Annotated[NDArray[np.int64], Array("int64", "columns")]


@dataclass(frozen=True)
class GlmEnded(Message):
    """Partner to label party: its shares of the label party's weights."""

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
        own, other: its shares of its own and of the label party's weights, then velocities.
        weights: its own, once the run has ended; they stay here.
    """

    begin: GlmBegin | None = None
    start: GlmStart | None = None
    stage: Literal["new", "begun", "ready", "scored", "sloped", "ended"] = "new"
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


GLM_WIRE: tuple[type, ...] = (
    *(GlmBegin, GlmTable, GlmStart, GlmReady, GlmScores, GlmScored, GlmSlopes, GlmSloped),
    *(GlmEnd, GlmEnded, GlmAsk, GlmParts, GlmState, Hints, OpenNumbers),
    *(ProductHint, ProductQuestion, Hint, Question, Answer),
)
"""Every kind of message and state of these runs."""


def glm_seed(begin: GlmBegin, nonce: bytes, columns: int) -> bytes:
    """The joint seed of a session, bound to both nonces and to all that was agreed.

    Args:
        begin: the label party's first message.
        nonce: the partner's.
        columns: of the partner.
    """
    order = hashlib.sha256(np.ascontiguousarray(begin.rows, "<i8").tobytes()).hexdigest()
    terms = (begin.scheme, order, begin.columns, begin.column_bits, begin.steps, columns)
    context = hashlib.sha256(repr(terms).encode()).digest()
    return joint_seed(begin.session, (begin.nonce, nonce), context)
