"""Products with another side's columns in additive shares: the seam of a GLM to cryptography.

Each side has columns of the same customers and asks about the others': for scores X w, and for
slopes Xᵀ d. Scheme ``lattice`` is the private linear query in share mode, set W; ``plain`` sends
the asker's numbers in the open and gives the same shares, for tests and for measuring what privacy
costs. Threat model: ``crypto.linear_query`` in share mode.

All sides' slopes are asked for under the same public polynomials, so that one question of a side
serves everybody who holds columns: secrets are its own and drawn for each question, and in share
mode a holder's answers are uniform however many there are (``LINEAR_QUERY`` section 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

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
    question_digest,
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


@dataclass(frozen=True)
class OpenNumbers(Message):
    """Scheme ``plain``: numbers modulo 2^60 in the open, shape ``(m,)``."""

    values: Annotated[NDArray[np.int64], Array("int64", "m")]


ScoresQuestion: TypeAlias = ProductQuestion | OpenNumbers
SlopesQuestion: TypeAlias = Question | OpenNumbers
Replied: TypeAlias = Answer | OpenNumbers


@dataclass(frozen=True)
class Hints(Message):
    """What a side says of its hidden columns, once a session.

    Attributes:
        scores: for whoever asks for its scores; ``None`` to the others.
        slopes: for everybody.
    """

    scores: ProductHint | None
    slopes: Hint


@dataclass(frozen=True)
class Terms:
    """What all sides know of a session.

    Attributes:
        scheme: how what is asked is hidden.
        seed: made by all.
        samples: n.
        steps: how many questions there will be of each kind.
    """

    scheme: str
    seed: bytes
    samples: int
    steps: int

    def products(self, whose: str, columns: int) -> ProductSession:
        """The session of one side's scores."""
        per = columns_per(columns, self.samples, self.steps, PARAMS.n)
        seed = hashlib.sha256(b"scores" + whose.encode() + self.seed).digest()
        return open_product_session(PARAMS, self.samples, columns, per, seed)

    def sums(self) -> Session:
        """The session of everybody's slopes."""
        return open_session(PARAMS, self.samples, hashlib.sha256(b"slopes" + self.seed).digest())


@dataclass(frozen=True)
class Asker:
    """A side's own end of questions for slopes; one serves everybody who holds columns."""

    samples: int
    root: Root = field(repr=False)
    session: Session | None = field(repr=False)


@dataclass(frozen=True)
class Held:
    """A side's own matrix, ready to answer.

    Attributes:
        rows: X transposed.
        masks: masks depend on this, the asker and the step alone, as in scheme ``plain``: for
            comparing schemes. ``None``: they are bound to the question, so that no two ever share
            one.
        hidden: the lattice scheme's holders.
    """

    rows: Rows = field(repr=False)
    masks: Root | None = field(repr=False)
    hidden: tuple[ProductHolder, Holder] | None = field(repr=False)


@dataclass(frozen=True)
class Other:
    """Another side's matrix, ready to be asked about.

    Attributes:
        whose: it is.
        columns: d.
        asker: this side's own end.
        products: its scores, if this side asks for them.
        hint: of its slopes.
    """

    whose: str
    columns: int
    asker: Asker = field(repr=False)
    products: tuple[ProductSession, ProductHintKept] | None = field(repr=False)
    hint: HintKept | None = field(repr=False)


def open_asker(terms: Terms, root: Root) -> Asker:
    """A side's own end of a session."""
    own = Root(derive(root, "ask", terms.seed))
    return Asker(terms.samples, own, None if terms.scheme == "plain" else terms.sums())


def hold_side(
    terms: Terms, whose: str, asker: Asker, rows: Rows, root: Root, *, same_masks: bool = False
) -> tuple[Held, Hints | None]:
    """A side's set-up of its own matrix, and the hints it sends in scheme ``lattice``."""
    own = Root(derive(root, "hold", whose, terms.seed))
    masks = Root(derive(root, "masks", whose))
    if asker.session is None:
        return Held(rows, masks, None), None
    scores, first = hold_products(terms.products(whose, rows.shape[0]), rows, own)
    slopes, second = hold(asker.session, rows, own)
    return Held(rows, masks if same_masks else None, (scores, slopes)), Hints(first, second)


def keep_side(terms: Terms, whose: str, columns: int, asker: Asker, hints: Hints | None) -> Other:
    """A side's set-up of another's matrix.

    Raises:
        ProtocolError: the scheme needs hints and there are none, or not one a column.
        WrongShapeError: they are of another session.
    """
    if asker.session is None:
        return Other(whose, columns, asker, None, None)
    if hints is None or len(hints.slopes.rows) != columns:
        raise ProtocolError(f"{whose} must send a hint for each of its columns")
    products = None
    if hints.scores is not None:
        session = terms.products(whose, columns)
        products = session, keep_product_hint(session, hints.scores)
    return Other(whose, columns, asker, products, keep_hint(asker.session, hints.slopes))


def ask_scores(other: Other, weights: Shares, step: int) -> tuple[ScoresQuestion, NDArray[np.int8]]:
    """Asks for shares of X w; also the secret that opens the answer (none in ``plain``).

    Raises:
        ProtocolError: no hint came that would open an answer.
    """
    if other.asker.session is None:
        return OpenNumbers(weights), np.zeros(0, np.int8)
    if other.products is None:
        raise ProtocolError(f"{other.whose} sent no hint of its scores")
    own = Root(derive(other.asker.root, "scores", other.whose))
    question, kept = ask_products(other.products[0], weights, own, step)
    return question, kept.secret


def ask_slopes(
    asker: Asker, residuals: Shares, step: int
) -> tuple[SlopesQuestion, NDArray[np.int8]]:
    """Asks for shares of Xᵀ d; also the secret that opens the answers (none in ``plain``)."""
    if asker.session is None:
        return OpenNumbers(residuals), np.zeros(0, np.int8)
    question, kept = ask(asker.session, residuals[None], asker.root, step)
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


def answer_slopes(
    held: Held, question: SlopesQuestion, step: int, asker: str
) -> tuple[Replied, Shares]:
    """The answer to one asker, and the holder's own share of Xᵀ d, shape ``(columns,)``.

    Raises:
        ProtocolError: the question is of another scheme or kind.
    """
    mask = None if held.masks is None else Root(derive(held.masks, "slopes", step, asker))
    if held.hidden is not None and isinstance(question, Question):
        # Uniform numbers have no lifetime budget: K counts answers whose noise is finite.
        reply, kept = share(held.hidden[1], question, lambda _count: None, mask)
        return reply, kept[:, 0]
    if held.hidden is None and mask is not None and isinstance(question, OpenNumbers):
        return _open_reply(mask, held.rows.wrapped_sums(question.values))
    raise ProtocolError(f"a question for slopes cannot be a {type(question).__name__}")


def open_scores(other: Other, secret: NDArray[np.int8], reply: Replied | None) -> Shares:
    """The asker's share of X w, shape ``(n,)``.

    Raises:
        ProtocolError: the answer is of another scheme or size.
    """
    if other.products is not None and isinstance(reply, Answer):
        return open_products(*other.products, ProductAsked(secret), reply)
    return _opened(other, reply, other.asker.samples)


def open_slopes(other: Other, secret: NDArray[np.int8], reply: Replied | None) -> Shares:
    """The asker's share of Xᵀ d, shape ``(columns,)``.

    Raises:
        ProtocolError: the answer is of another scheme or size.
    """
    if other.asker.session is not None and other.hint is not None and isinstance(reply, Answer):
        kept = Asked(secret[None].astype(np.float64))
        return open_answer(other.asker.session, other.hint, kept, reply)[:, 0]
    return _opened(other, reply, other.columns)


def joined(replies: Sequence[Replied]) -> Replied:
    """Answers of several holders to one question, one after another.

    Raises:
        ProtocolError: they are of different schemes or sizes.
    """
    answers = [reply.numbers for reply in replies if isinstance(reply, Answer)]
    numbers = [reply.values for reply in replies if isinstance(reply, OpenNumbers)]
    if len(answers) == len(replies) and len({part.shape[1:] for part in answers}) == 1:
        return Answer(np.concatenate(answers))
    if len(numbers) == len(replies) > 0:
        return OpenNumbers(np.concatenate(numbers))
    raise ProtocolError("answers for slopes do not fit together")


def parted(replies: Replied, counts: Sequence[int]) -> list[Replied]:
    """What ``joined`` joined, of holders with so many columns.

    Raises:
        ProtocolError: there are not as many.
    """
    ends = np.cumsum(counts)
    rows = replies.numbers if isinstance(replies, Answer) else replies.values
    if len(rows) != ends[-1]:
        raise ProtocolError(f"{ends[-1]} answers of other partners are due, got {len(rows)}")
    if isinstance(replies, Answer):
        return [Answer(part) for part in np.split(replies.numbers, ends[:-1])]
    return [OpenNumbers(part) for part in np.split(replies.values, ends[:-1])]


def digest_of(question: SlopesQuestion) -> bytes:
    """What tells one question for slopes from every other."""
    if isinstance(question, Question):
        return question_digest(question)
    return hashlib.sha256(question.values.astype("<i8").tobytes()).digest()


def _open_reply(mask: Root, exact: NDArray[np.int64]) -> tuple[OpenNumbers, Shares]:
    """Scheme ``plain``: the same shares as the lattice scheme gives under the same mask."""
    _, kept = share_mask(mask, exact.shape, PARAMS)
    return OpenNumbers(reduced(exact - kept)), kept


def _opened(other: Other, reply: Replied | None, count: int) -> Shares:
    """Scheme ``plain``: what came."""
    if (
        other.asker.session is None
        and isinstance(reply, OpenNumbers)
        and len(reply.values) == count
    ):
        return reply.values
    raise ProtocolError(f"{other.whose} did not answer with {count} numbers")
