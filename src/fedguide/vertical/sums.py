"""Sums over a partner's bins that neither side shows: the seam between trees and cryptography.

The label party asks for the sums of whole-number vectors over every bin of a partner's features.
Scheme ``lattice`` is the private linear query; ``ou`` is Okamoto-Uchiyama encryption, slower and
the conservative choice, in one process only; ``plain`` sends the vectors in the open, for tests and
for measuring what privacy costs, and a partner refuses it unless told otherwise. Every vector
covers the partner's *whole* table, with zeros where a row is not a common customer, so that the
partner never learns who the common customers are.

Threat model: as ``crypto.linear_query``. What is revealed to the label party is exact sums; those
of few samples say much about each, so the label party asks only for nodes of ``least_node``
samples (a courtesy, since the partner cannot see it) and the partner makes no bin of few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Later
from fedguide.crypto.lattice import Load, Parameters, parameters
from fedguide.crypto.linear_query import (
    NONCE_BYTES,
    Answer,
    Asked,
    Hint,
    HintKept,
    Holder,
    Question,
    Session,
    Spend,
    ask,
    hold,
    joint_seed,
    keep_hint,
    open_answer,
    open_session,
    reveal,
)
from fedguide.crypto.ou import OuKey, encrypt_pairs, make_ou_key, open_sums, sum_pairs
from fedguide.crypto.product_query import ProductHint, ProductHolder
from fedguide.crypto.rows import DenseRows, Rows, bin_rows
from fedguide.errors import ConfigError, ProtocolError, RefusedError
from fedguide.protocol import Message, State
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical.choices import (
    CHOICE_WIRE,
    MOST_CHOICES,
    ChoiceState,
    Choosable,
    OpenChoices,
    TakeHidden,
    answered_choices,
    opened_choices,
)
from fedguide.vertical.features import MISSING
from fedguide.vertical.scaling import SCALED_MOST

Scheme: TypeAlias = Literal["lattice", "ou", "plain"]

Kind: TypeAlias = Literal["bins", "scaled", "pairs", "amounts"]
"""Rows of a partner: its bins, its scaled columns, the products of each two of those, or amounts
that it lets be added up (low and high halves, one after the other)."""

AMOUNT_BITS = 14
"""Bits of half an amount."""

_MOST_ENTRY: dict[str, int] = {
    "bins": 1,
    "scaled": SCALED_MOST,
    "pairs": SCALED_MOST**2,
    "amounts": (1 << AMOUNT_BITS) - 1,
}


@dataclass(frozen=True)
class Begin(Message):
    """Label party to partner: a session of questions.

    Attributes:
        session: its name.
        nonce: 32 fresh bytes.
        scheme: how the vectors are hidden.
        common: most samples that are not zero in a vector.
        max_abs: largest absolute entry of a vector.
        budget: K, coordinates that will be asked for over the life of the table.
        kind: which rows are summed over.
        key: the label party's public key in scheme ``ou``.
    """

    session: str
    nonce: bytes
    scheme: str
    common: int
    max_abs: int
    budget: int
    kind: str = "bins"
    key: Annotated[bytes | None, Later()] = field(default=None, repr=False)


@dataclass(frozen=True)
class Table(Message):
    """Partner to label party: the shape of its table, and the hint of the session.

    Attributes:
        nonce: 32 fresh bytes.
        samples: rows of its table.
        bins: of each feature, shape ``(features,)``; nothing else about them is said. Of other
            kinds than bins, the number of rows, shape ``(1,)``.
        hint: of the lattice scheme.
    """

    nonce: bytes
    samples: int
    bins: Annotated[NDArray[np.int64], Array("int64", "features")]
    hint: Hint | None = None


@dataclass(frozen=True)
class OpenQuestion(Message):
    """Scheme ``plain``: the vectors in the open, shape ``(T, n)``."""

    values: Annotated[NDArray[np.int64], Array("int64", "T", "n")]


@dataclass(frozen=True)
class OpenAnswer(Message):
    """Scheme ``plain``: their sums, shape ``(R, T)``."""

    sums: Annotated[NDArray[np.int64], Array("int64", "R", "T")]


@dataclass(frozen=True)
class OuQuestion(Message):
    """Scheme ``ou``: the vectors two by two, encrypted; ``count`` of them, shape ``(n,)`` each."""

    count: int
    pairs: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class OuAnswer(Message):
    """Scheme ``ou``: the sums of each pair, encrypted."""

    pairs: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class TakeSplits(Message):
    """Label party to partner: split by these of your bins; each shape ``(s,)``.

    Samples of bins up to ``bins`` go left, and those without a value where ``missing_left`` says.
    """

    features: Annotated[NDArray[np.int64], Array("int64", "s")]
    bins: Annotated[NDArray[np.int64], Array("int64", "s")]
    missing_left: Annotated[NDArray[np.bool_], Array("bool", "s")]


@dataclass(frozen=True)
class Parted(Message):
    """Partner to label party: which rows of its whole table go left.

    Attributes:
        first_rule: number of the first of these splits; what they mean stays with the partner.
        left: one bit a row, packed, shape ``(s, ceil(n / 8))``.
    """

    first_rule: int
    left: Annotated[NDArray[np.uint8], Array("uint8", "s", "b")]


@dataclass(frozen=True)
class Rule(State):
    """The partner's half of one split."""

    feature: int
    bin: int
    missing_left: bool


@dataclass(frozen=True)
class FeatureState(State):
    """What a partner keeps between two messages: its session and its half of the model.

    With hidden ``choices`` there are no rules: the partner does not know which were taken.
    """

    begin: Begin | None = None
    rules: tuple[Rule, ...] = ()
    choices: Annotated[ChoiceState | None, Later()] = None


@dataclass(frozen=True)
class FeatureEnv:
    """What a partner brings to a task and keeps to itself.

    Attributes:
        codes: its bins, shape ``(n, features)``.
        bins: of each feature.
        root: its own of this task.
        spend: takes coordinates off the lifetime budget of this table; raises ``RefusedError``
            where it is spent. Must be on disk when it returns.
        allow_plain: answers vectors in the open: for tests.
        least_common: refuses sessions over fewer customers.
        most_budget: largest K of one session.
        scaled: its scaled columns, if it answers for correlations.
        amounts: columns it lets be added up, whole numbers in [0, 2^28), shape ``(a, n)``.
        most_choices: hidden choices it answers in one task, one bit of every row each.
    """

    codes: NDArray[np.uint16] = field(repr=False)
    bins: NDArray[np.int64]
    root: Root = field(repr=False)
    spend: Spend
    allow_plain: bool = False
    least_common: int = 100
    most_budget: int = 1 << 20
    scaled: DenseRows | None = field(default=None, repr=False)
    amounts: NDArray[np.int64] | None = field(default=None, repr=False)
    most_choices: int = MOST_CHOICES
    # A session is made again from its messages after a crash; this only saves the second time.
    made: dict[bytes, Holder] = field(default_factory=dict, repr=False)
    chosen: dict[bytes, tuple[ProductHolder, ProductHint]] = field(default_factory=dict, repr=False)


FEATURE_WIRE: tuple[type, ...] = (
    *(Begin, Table, Question, Answer, Hint, OpenQuestion, OpenAnswer, TakeSplits, Parted),
    *(OuQuestion, OuAnswer, Rule, FeatureState),
    *CHOICE_WIRE,
)
"""Every kind of message and state of these sessions."""


def answer(env: FeatureEnv, state: FeatureState, message: Message) -> tuple[FeatureState, Message]:
    """The partner's half.

    Raises:
        RefusedError: the policy does not allow it, or the budget is spent.
        ProtocolError: the message has no place here.
        ConfigError: no parameters are safe for what is asked.
    """
    match message:
        case Begin():
            return FeatureState(message, state.rules, state.choices), _begin(env, message)
        case Question() | OuQuestion() | OpenQuestion() if state.begin is not None:
            return state, _summed(env, state.begin, message)
        case TakeSplits():
            return _part(env, state, message)
        case OpenChoices():
            choices, table = opened_choices(_choosable(env), state.choices, message)
            return replace(state, choices=choices), table
        case TakeHidden() if state.choices is not None:
            choices, sides = answered_choices(_choosable(env), state.choices, message)
            return replace(state, choices=choices), sides
        case _:
            raise ProtocolError(f"there is no step here for {type(message).__name__}")


@dataclass(frozen=True)
class Opened:
    """The label party's side of a session with one partner.

    Attributes:
        party: the partner.
        rows: the common customers' rows in its table, shape ``(c,)``.
        table: what it said of its table.
        begin: what it was asked.
        session: of the lattice scheme, with its hint.
        key: of scheme ``ou``.
    """

    party: PartyId
    rows: NDArray[np.int64]
    table: Table
    begin: Begin
    session: tuple[Session, HintKept] | None = field(repr=False)
    key: OuKey | None = field(default=None, repr=False)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """First row of each feature and the end."""
        return np.concatenate([[0], np.cumsum(self.table.bins)])


def begin_session(
    name: str,
    root: Root,
    scheme: Scheme,
    load: Load,
    party: PartyId,
    kind: Kind = "bins",
    key: OuKey | None = None,
) -> Begin:
    """The first message to one partner; ``load.row_square`` is not used.

    Raises:
        ConfigError: the scheme is unknown, or ``ou`` is asked to sum over something else than bins.
    """
    if scheme not in get_args(Scheme):
        raise ConfigError(f"scheme must be lattice, ou or plain, got {scheme!r}")
    if scheme == "ou" and kind != "bins":
        raise ConfigError(f"scheme ou sums over bins, not over {kind}")
    nonce = derive(root, "session nonce", name, party, size=NONCE_BYTES)
    public = None if key is None else key.public
    return Begin(name, nonce, scheme, load.row_sum, load.max_abs, load.budget, kind, public)


def session_key(scheme: Scheme) -> OuKey | None:
    """A fresh key pair of scheme ``ou``; one serves all partners of a run.

    Raises:
        ConfigError: sf-heu is not installed.
    """
    return make_ou_key() if scheme == "ou" else None


def opened_session(
    party: PartyId,
    rows: NDArray[np.int64],
    begin: Begin,
    reply: Message,
    key: OuKey | None = None,
) -> Opened:
    """The session that a partner's reply opens.

    Raises:
        ProtocolError: the reply does not fit.
    """
    if not isinstance(reply, Table) or reply.samples < 1 or not len(reply.bins):
        raise ProtocolError(f"{party} did not open its session with a table")
    if len(rows) and int(rows.max()) >= reply.samples:
        raise ProtocolError(f"{party}: alignment names rows beyond its {reply.samples}")
    if begin.scheme != "lattice":
        return Opened(party, rows, reply, begin, None, key)
    if reply.hint is None or len(reply.hint.rows) != int(reply.bins.sum()):
        raise ProtocolError(f"{party}: the hint does not have a row for each bin")
    session = _session(begin, reply.nonce, reply.samples, reply.bins)
    return Opened(party, rows, reply, begin, (session, keep_hint(session, reply.hint)))


def question_of(
    opened: Opened, values: NDArray[np.int64], root: Root, number: int
) -> tuple[Message, Asked | None]:
    """The question for the sums of some vectors over the common customers.

    Args:
        opened: the session.
        values: shape ``(T, c)``.
        root: the label party's own of this task.
        number: of the question within the session.
    """
    whole = np.zeros((len(values), opened.table.samples), np.int64)
    whole[:, opened.rows] = values
    if opened.key is not None:
        return OuQuestion(len(whole), encrypt_pairs(opened.key, whole)), None
    if opened.session is None:
        return OpenQuestion(whole), None
    return ask(opened.session[0], whole, Root(derive(root, "questions", opened.party)), number)


def sums_of(opened: Opened, asked: Asked | None, reply: Message, vectors: int) -> NDArray[np.int64]:
    """The sums of so many vectors in a partner's reply, shape ``(R, T)``.

    Raises:
        ProtocolError: the reply is of another kind.
        WrongShapeError: it has another shape.
    """
    if opened.session is not None and asked is not None and isinstance(reply, Answer):
        return open_answer(*opened.session, asked, reply)
    if opened.key is not None and isinstance(reply, OuAnswer):
        return open_sums(opened.key, reply.pairs, opened.table.bins, vectors)
    if opened.session is None and opened.key is None and isinstance(reply, OpenAnswer):
        return reply.sums
    raise ProtocolError(f"{opened.party} answered with a {type(reply).__name__}")


def bits_of(opened: Opened, splits: int, reply: Message) -> tuple[int, NDArray[np.uint8]]:
    """First rule and packed bits of a partner's reply to ``TakeSplits``.

    Raises:
        ProtocolError: the reply does not fit.
    """
    width = -(-opened.table.samples // 8)
    if not isinstance(reply, Parted) or reply.left.shape != (splits, width):
        raise ProtocolError(f"{opened.party} did not say which rows go left")
    return reply.first_rule, reply.left


def left_bits(packed: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Do these rows go left by one split?"""
    bits: NDArray[np.bool_] = (packed[rows >> 3] >> (7 - (rows & 7)).astype(np.uint8) & 1) == 1
    return bits


def no_limit() -> Callable[[int], None]:
    """A budget that never ends: for tests and for data that are thrown away."""
    return lambda _count: None


def counted_budget(total: int) -> Callable[[int], None]:
    """A budget kept in memory: for simulations; a real one is on disk."""
    left = [total]

    def spend(count: int) -> None:
        if count > left[0]:
            raise RefusedError(
                f"policy: {count} sums asked, {left[0]} of {total} are left for this table",
                hint="fewer or shallower trees, or a new table",
            )
        left[0] -= count

    return spend


def _begin(env: FeatureEnv, message: Begin) -> Table:
    """Opens a session, if the policy allows it."""
    if message.common < env.least_common:
        raise RefusedError(
            f"policy: at least {env.least_common} common customers, asked for {message.common}"
        )
    if message.budget > env.most_budget:
        raise RefusedError(f"policy: at most {env.most_budget} sums, asked for {message.budget}")
    samples, sizes = len(env.codes), _sizes(env, message.kind)
    if message.scheme == "plain":
        if not env.allow_plain:
            raise RefusedError("policy: vectors in the open are for tests only")
        return Table(bytes(NONCE_BYTES), samples, sizes)
    if message.scheme == "ou":
        if message.kind != "bins" or message.key is None:
            raise ProtocolError("scheme ou comes with a key, and sums over bins")
        return Table(_nonce(env, message), samples, sizes)
    return Table(_nonce(env, message), samples, sizes, _made(env, message)[1])


def _choosable(env: FeatureEnv) -> Choosable:
    """What it brings to hidden choices."""
    rows, root = bin_rows(env.codes, env.bins), Root(derive(env.root, "choices"))
    return Choosable(rows, env.bins, root, env.most_choices, env.chosen)


def _rows(env: FeatureEnv, kind: str) -> Rows:
    """The rows of a kind.

    Raises:
        RefusedError: this partner does not answer for them.
    """
    if kind == "bins":
        return bin_rows(env.codes, env.bins)
    if kind == "amounts" and env.amounts is not None:
        low, high = env.amounts & ((1 << AMOUNT_BITS) - 1), env.amounts >> AMOUNT_BITS
        return DenseRows(np.concatenate([low, high]).astype(np.int32))
    if env.scaled is None or kind not in ("scaled", "pairs"):
        raise RefusedError(f"policy: this party does not answer for {kind[:16]!r}")
    if kind == "scaled":
        return env.scaled
    first, second = np.triu_indices(env.scaled.shape[0])
    return DenseRows(env.scaled.matrix[first] * env.scaled.matrix[second])


def _sizes(env: FeatureEnv, kind: str) -> NDArray[np.int64]:
    """What the label party is told of the rows of a kind."""
    return env.bins if kind == "bins" else np.array([_rows(env, kind).shape[0]], np.int64)


def _open(env: FeatureEnv, begin: Begin, message: OpenQuestion) -> OpenAnswer:
    """The sums of vectors in the open."""
    rows = _rows(env, begin.kind)
    env.spend(rows.shape[0] * len(message.values))
    return OpenAnswer(rows.sums(np.ascontiguousarray(message.values.T)))


def _summed(
    env: FeatureEnv, begin: Begin, message: Question | OuQuestion | OpenQuestion
) -> Message:
    """The sums asked for, in the scheme of the session.

    Raises:
        ProtocolError: the question is of another one.
    """
    match message:
        case Question() if begin.scheme == "lattice":
            return reveal(_holder(env, begin), message, env.spend)
        case OuQuestion() if begin.scheme == "ou":
            return _ou(env, begin, message)
        case OpenQuestion() if begin.scheme == "plain":
            return _open(env, begin, message)
        case _:
            raise ProtocolError(f"there is no step here for {type(message).__name__}")


def _ou(env: FeatureEnv, begin: Begin, message: OuQuestion) -> OuAnswer:
    """The sums of encrypted vectors."""
    rows = bin_rows(env.codes, env.bins)
    if message.count < 1 or len(message.pairs) != -(-message.count // 2):
        raise ProtocolError(f"{message.count} vectors come in pairs, got {len(message.pairs)}")
    # What is paid for is what can be read: both halves of the last pair.
    env.spend(rows.shape[0] * 2 * len(message.pairs))
    return OuAnswer(sum_pairs(begin.key or b"", message.pairs, rows))


def _part(env: FeatureEnv, state: FeatureState, message: TakeSplits) -> tuple[FeatureState, Parted]:
    """Takes note of the splits and says which rows go left."""
    rules, left = [], []
    parts = (message.features.tolist(), message.bins.tolist(), message.missing_left.tolist())
    for feature, bin_number, missing_left in zip(*parts, strict=True):
        if not (0 <= feature < len(env.bins) and 0 < bin_number < env.bins[feature] - 1):
            raise ProtocolError(f"feature {feature} has no split after bin {bin_number}")
        codes = env.codes[:, feature]
        goes = (codes <= bin_number) & (codes != MISSING)
        left.append(np.packbits(goes | ((codes == MISSING) & missing_left)))
        rules.append(Rule(feature, bin_number, missing_left))
    bits = np.stack(left) if left else np.zeros((0, -(-len(env.codes) // 8)), np.uint8)
    return replace(state, rules=(*state.rules, *rules)), Parted(len(state.rules), bits)


def _made(env: FeatureEnv, begin: Begin) -> tuple[Holder, Hint]:
    """The partner's side of a session and its hint; always the same for one first message."""
    nonce, sizes = _nonce(env, begin), _sizes(env, begin.kind)
    seed = _seed(begin, nonce, len(env.codes), sizes)
    session = _session(begin, nonce, len(env.codes), sizes)
    holder, hint = hold(session, _rows(env, begin.kind), Root(derive(env.root, "hold", seed)))
    env.made.clear()  # one session at a time: a holder is as large as its hint
    env.made[nonce] = holder
    return holder, hint


def _holder(env: FeatureEnv, begin: Begin) -> Holder:
    """The partner's side of the running session, made again after a crash."""
    made = env.made.get(_nonce(env, begin))
    return _made(env, begin)[0] if made is None else made


def _nonce(env: FeatureEnv, begin: Begin) -> bytes:
    """The partner's nonce for a session: another for every other first message."""
    return derive(env.root, "table nonce", begin.session, begin.nonce, size=NONCE_BYTES)


def _session(begin: Begin, nonce: bytes, samples: int, bins: NDArray[np.int64]) -> Session:
    """The same on both sides."""
    return open_session(_parameters(begin, samples), samples, _seed(begin, nonce, samples, bins))


def _parameters(begin: Begin, samples: int) -> Parameters:
    """Set S where it carries the load, else W."""
    entry = _MOST_ENTRY[begin.kind]
    load = Load(begin.common * entry, samples * entry**2, begin.max_abs, begin.budget)
    try:
        return parameters(load, "S")
    except ConfigError:
        return parameters(load, "W")


def _seed(begin: Begin, nonce: bytes, samples: int, bins: NDArray[np.int64]) -> bytes:
    """The joint seed: bound to both nonces and to everything that was agreed."""
    terms = (
        begin.scheme,
        begin.kind,
        begin.common,
        begin.max_abs,
        begin.budget,
        samples,
        bins.tolist(),
    )
    context = hashlib.sha256(repr(terms).encode()).digest()
    return joint_seed(begin.session, (begin.nonce, nonce), context)
