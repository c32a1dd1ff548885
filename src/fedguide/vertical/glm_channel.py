"""Products with the other side's columns in additive shares: the seam of a GLM to cryptography.

Each side has columns of the same customers. Both hold one matrix and ask about the other's: for
scores X w, and for slopes Xᵀ d. Scheme ``lattice`` is the private linear query in share mode, set
W; ``plain`` sends the asker's numbers in the open and gives the same shares, for tests and for
measuring what privacy costs. Threat model: ``crypto.linear_query`` in share mode.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.crypto.lattice import Load, parameters
from fedguide.crypto.linear_query import (
    Answer,
    Asked,
    Hint,
    HintKept,
    Holder,
    Question,
    Session,
    ask,
    hold,
    keep_hint,
    open_answer,
    open_session,
    share,
    share_mask,
)
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
from fedguide.crypto.rows import Rows
from fedguide.errors import ProtocolError
from fedguide.protocol import Message
from fedguide.seeds import Root, derive
from fedguide.vertical.shares import Shares, reduced

# Everything is modulo 2^60, so that no load is too wide; the set alone decides.
PARAMS = parameters(Load(1, 1, 1, 1), "W", "share")

Whose: TypeAlias = Literal["label", "partner"]


@dataclass(frozen=True)
class OpenNumbers(Message):
    """Scheme ``plain``: numbers modulo 2^60 in the open, shape ``(m,)``."""

    values: Annotated[NDArray[np.int64], Array("int64", "m")]


ScoresQuestion: TypeAlias = ProductQuestion | OpenNumbers
SlopesQuestion: TypeAlias = Question | OpenNumbers
Replied: TypeAlias = Answer | OpenNumbers


@dataclass(frozen=True)
class Hints(Message):
    """What a side says of its hidden columns, once a session."""

    scores: ProductHint
    slopes: Hint


@dataclass(frozen=True)
class Deal:
    """What both sides know of one matrix.

    Attributes:
        whose: it is.
        scheme: how what is asked about it is hidden.
        seed: made by both.
        samples: n.
        columns: d.
        steps: how many questions there will be of each kind.
    """

    whose: Whose
    scheme: str
    seed: bytes
    samples: int
    columns: int
    steps: int

    def products(self) -> ProductSession:
        """The session of its scores."""
        per = columns_per(self.columns, self.samples, self.steps, PARAMS.n)
        seed = hashlib.sha256(b"scores" + self.whose.encode() + self.seed).digest()
        return open_product_session(PARAMS, self.samples, self.columns, per, seed)

    def sums(self) -> Session:
        """The session of its slopes."""
        seed = hashlib.sha256(b"slopes" + self.whose.encode() + self.seed).digest()
        return open_session(PARAMS, self.samples, seed)


@dataclass(frozen=True)
class Held:
    """A side's own matrix, ready to answer.

    Attributes:
        rows: X transposed.
        masks: masks depend on this and the step alone, as in scheme ``plain``: for comparing
            schemes. ``None``: they are bound to the question, so that no two ever share one.
        hidden: the lattice scheme's holders.
    """

    rows: Rows = field(repr=False)
    masks: Root | None = field(repr=False)
    hidden: tuple[ProductHolder, Holder] | None = field(repr=False)


@dataclass(frozen=True)
class Other:
    """The other side's matrix, ready to be asked about."""

    deal: Deal
    root: Root = field(repr=False)
    hidden: tuple[ProductSession, ProductHintKept, Session, HintKept] | None = field(repr=False)


def hold_side(
    deal: Deal, rows: Rows, root: Root, *, same_masks: bool = False
) -> tuple[Held, Hints | None]:
    """A side's set-up of its own matrix, and the hints it sends in scheme ``lattice``."""
    own = Root(derive(root, "hold", deal.whose, deal.seed))
    masks = Root(derive(root, "masks", deal.whose))
    if deal.scheme == "plain":
        return Held(rows, masks, None), None
    scores, first = hold_products(deal.products(), rows, own)
    slopes, second = hold(deal.sums(), rows, own)
    return Held(rows, masks if same_masks else None, (scores, slopes)), Hints(first, second)


def keep_side(deal: Deal, hints: Hints | None, root: Root) -> Other:
    """A side's set-up of the other's matrix.

    Raises:
        ProtocolError: the scheme needs hints and there are none, or not one a column.
        WrongShapeError: they are of another session.
    """
    own = Root(derive(root, "ask", deal.whose, deal.seed))
    if deal.scheme == "plain":
        return Other(deal, own, None)
    if hints is None or len(hints.slopes.rows) != deal.columns:
        raise ProtocolError(f"the {deal.whose} side must send a hint for each of its columns")
    products, sums = deal.products(), deal.sums()
    kept = keep_product_hint(products, hints.scores), keep_hint(sums, hints.slopes)
    return Other(deal, own, (products, kept[0], sums, kept[1]))


def ask_scores(other: Other, weights: Shares, step: int) -> tuple[ScoresQuestion, NDArray[np.int8]]:
    """Asks for shares of X w; also the secret that opens the answer (none in ``plain``)."""
    if other.hidden is None:
        return OpenNumbers(weights), np.zeros(0, np.int8)
    question, kept = ask_products(other.hidden[0], weights, other.root, step)
    return question, kept.secret


def ask_slopes(
    other: Other, residuals: Shares, step: int
) -> tuple[SlopesQuestion, NDArray[np.int8]]:
    """Asks for shares of Xᵀ d; also the secret that opens the answer (none in ``plain``)."""
    if other.hidden is None:
        return OpenNumbers(residuals), np.zeros(0, np.int8)
    question, kept = ask(other.hidden[2], residuals[None], other.root, step)
    return question, kept.secrets[0].astype(np.int8)


def answer_scores(held: Held, question: ScoresQuestion, step: int) -> tuple[Replied, Shares]:
    """The answer, and the holder's own share of X w, shape ``(n,)``.

    Raises:
        ProtocolError: the question is of another scheme or kind.
    """
    mask = None if held.masks is None else Root(derive(held.masks, "scores", step))
    if held.hidden is not None and isinstance(question, ProductQuestion):
        return share_products(held.hidden[0], question, mask)
    if held.hidden is None and mask is not None and isinstance(question, OpenNumbers):
        return _open_reply(mask, held.rows.wrapped_products(question.values))
    raise ProtocolError(f"a question for scores cannot be a {type(question).__name__}")


def answer_slopes(held: Held, question: SlopesQuestion, step: int) -> tuple[Replied, Shares]:
    """The answer, and the holder's own share of Xᵀ d, shape ``(columns,)``.

    Raises:
        ProtocolError: the question is of another scheme or kind.
    """
    mask = None if held.masks is None else Root(derive(held.masks, "slopes", step))
    if held.hidden is not None and isinstance(question, Question):
        # Uniform numbers have no lifetime budget: K counts answers whose noise is finite.
        reply, kept = share(held.hidden[1], question, lambda _count: None, mask)
        return reply, kept[:, 0]
    if held.hidden is None and mask is not None and isinstance(question, OpenNumbers):
        return _open_reply(mask, held.rows.wrapped_sums(question.values))
    raise ProtocolError(f"a question for slopes cannot be a {type(question).__name__}")


def open_scores(other: Other, secret: NDArray[np.int8], reply: Replied) -> Shares:
    """The asker's share of X w, shape ``(n,)``.

    Raises:
        ProtocolError: the answer is of another scheme or size.
    """
    if other.hidden is not None and isinstance(reply, Answer):
        return open_products(other.hidden[0], other.hidden[1], ProductAsked(secret), reply)
    return _opened(other, reply, other.deal.samples)


def open_slopes(other: Other, secret: NDArray[np.int8], reply: Replied) -> Shares:
    """The asker's share of Xᵀ d, shape ``(columns,)``.

    Raises:
        ProtocolError: the answer is of another scheme or size.
    """
    if other.hidden is not None and isinstance(reply, Answer):
        kept = Asked(secret[None].astype(np.float64))
        return open_answer(other.hidden[2], other.hidden[3], kept, reply)[:, 0]
    return _opened(other, reply, other.deal.columns)


def _open_reply(mask: Root, exact: NDArray[np.int64]) -> tuple[OpenNumbers, Shares]:
    """Scheme ``plain``: the same shares as the lattice scheme gives under the same mask."""
    _, kept = share_mask(mask, exact.shape, PARAMS)
    return OpenNumbers(reduced(exact - kept)), kept


def _opened(other: Other, reply: Replied, count: int) -> Shares:
    """Scheme ``plain``: what came."""
    if other.hidden is None and isinstance(reply, OpenNumbers) and len(reply.values) == count:
        return reply.values
    raise ProtocolError(f"the {other.deal.whose} side did not answer with {count} numbers")
