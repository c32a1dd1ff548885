"""Linear and logistic models over several parties' columns of the same customers, in shares.

The label party's half. Weights, scores, residuals and slopes are additive shares modulo 2^60 from
the first step to the last; what is opened are the final weights, each side's own to it alone.
Private linear queries in share mode (``LINEAR_QUERY`` section 8): with one partner a step is two
trips, in which each side asks the other for scores and for slopes. The logistic model takes the
linear sigmoid 1/2 + z/4 of Kim et al., "Secure Logistic Regression Based on Homomorphic
Encryption", 2018, and Mohassel and Zhang, 2017; on one-hot bins it ranks as the exact one does.

With several partners a customer's residual is a sum of one share of each party, and every party
asks every other one about its columns' slopes; the label party carries what partners ask each
other, hidden from it as everything is. Weights, which have to be rounded, stay in two shares: a
partner's with itself and the label party, the label party's with itself and the first partner.
What the others have of a slope goes to those two: of a partner's in the open, for its owner's share
hides it, of the label party's under a pad that only the two partners know. Two trips more a step.

Threat model: every party follows the protocol. What the label party learns: its own weights, the
number of the partners' columns, a rounded bound on their curvature. What a partner learns: see
``glm_partner``. If parties pool what they hold, residuals and the scores and weights of those who
do not take part stay hidden behind any one share that is kept from them; the label party and the
first partner together also learn the label party's weights after every step. A label party may
have a partner of its own making: whoever consents should know all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, Later
from fedguide.crypto.linear_query import NONCE_BYTES
from fedguide.crypto.rows import Rows
from fedguide.errors import ConfigError, DataError, ProtocolError
from fedguide.protocol import Ask, Coordinator, Message, State
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical.glm_channel import (
    Asker,
    Held,
    Other,
    Replied,
    SlopesQuestion,
    answer_scores,
    answer_slopes,
    ask_scores,
    ask_slopes,
    hold_side,
    joined,
    keep_side,
    open_asker,
    open_scores,
    open_slopes,
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
    GlmOthers,
    GlmParts,
    GlmReady,
    GlmScored,
    GlmScores,
    GlmSide,
    GlmSloped,
    GlmSlopes,
    GlmStart,
    GlmTable,
    GlmTell,
    GlmTold,
    order_of,
    terms_of,
)
from fedguide.vertical.glm_partner import LABEL
from fedguide.vertical.glm_step import (
    FRACTION_BITS,
    Stepping,
    curvature,
    opened_weights,
    steepest,
    stepped,
)
from fedguide.vertical.objectives import Floats, check_labels
from fedguide.vertical.shares import Shares, chance_of_failure, reduced, rounded
from fedguide.vertical.sums import Scheme

M = TypeVar("M", bound=Message)
T = TypeVar("T")

_LABEL: Final = 0  # its side of the shares
_MOST_CURVED = 2.0  # rate times curvature; momentum 7/8 is stable below 15/4

GlmObjective: TypeAlias = Literal["binary", "regression"]


@dataclass(frozen=True)
class GlmPlan:
    """How a GLM is fitted.

    Attributes:
        objective: what to.
        steps: full-batch steps.
        l2: λ of the penalty λ/2 |w|² on the summed loss.
        smooth: λ of λ/2 (w - w')² for weights of neighbouring bins of a number.
        scheme: how numbers are hidden.
        reveal_alignment: consents that the partner learns which of its rows are common customers.
        same_masks: see ``glm_channel.Held``; for comparing schemes.

    Raises:
        ConfigError: a number is out of its range, or consent is missing.
    """

    objective: GlmObjective = "binary"
    steps: int = 60
    l2: float = 1.0
    smooth: float = 100.0
    scheme: Scheme = "lattice"
    reveal_alignment: bool = False
    same_masks: bool = False

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 1 <= self.steps <= 1000:
            raise ConfigError(f"steps must be in [1, 1000], got {self.steps}")
        for name in ("l2", "smooth"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise ConfigError(f"{name} must be in [0, 10000], got {getattr(self, name)}")
        if self.objective not in ("binary", "regression"):
            raise ConfigError(f"objective must be binary or regression, got {self.objective!r}")
        if self.scheme == "ou":
            raise ConfigError(
                "scheme ou gives sums, for trees and statistics; a GLM in shares takes lattice"
            )
        if not self.reveal_alignment:
            raise ConfigError(
                "a GLM tells the partner which of its rows are common customers; both sides must "
                "consent to reveal_alignment",
                hint="--reveal-alignment, or boosted trees, which need no such thing",
            )


@dataclass(frozen=True)
class GlmTables:
    """The label party's side of the common customers.

    Attributes:
        labels: shape ``(n,)``.
        rows: its own columns of the same customers, a row each.
        column_bits: they are in units of 2^-this; 0 for bins.
        partners: who has the other columns, and the same customers' rows in each one's table,
            shape ``(n,)``.
        chained: which of its columns are neighbours of the one before; ``None`` for none.
    """

    labels: Floats = field(repr=False)
    rows: Rows = field(repr=False)
    column_bits: int
    partners: Mapping[PartyId, NDArray[np.int64]] = field(repr=False)
    chained: NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class GlmModel(State):
    """The label party's half; the partners' weights are the partners'.

    Attributes:
        objective: what it was fitted to.
        start: score of a customer without any column.
        scale: of a score, for regression.
        column_bits: columns are in units of 2^-this.
        weights: in fixed point, shape ``(d,)``.
        partner: who has another half.
        more: who else has one.
    """

    objective: str
    start: float
    scale: float
    column_bits: int
    weights: Annotated[NDArray[np.int64], Array("int64", "d")] = field(repr=False)
    partner: PartyId
    more: Annotated[tuple[PartyId, ...] | None, Later()] = None

    @property
    def partners(self) -> tuple[PartyId, ...]:
        """Who has the other halves."""
        return (self.partner, *(self.more or ()))


@dataclass(frozen=True)
class GlmReport:
    """What a run was like.

    Attributes:
        steps: taken.
        shared: numbers that crossed as shares; none of them was opened.
        opened: numbers that were opened to the label party: its own weights.
        columns: of each partner.
        curvature: what each partner said of its columns.
        chance_of_failure: that a rounding of shares went wrong unseen, a bound.
    """

    steps: int
    shared: int
    opened: int
    columns: Mapping[PartyId, int]
    curvature: Mapping[PartyId, int]
    chance_of_failure: float


def fit_glm(
    table: GlmTables,
    plan: GlmPlan,
    root: Root,
    on_step: Callable[[int], None] = lambda _step: None,
) -> Coordinator[tuple[GlmModel, GlmReport]]:
    """Fits the model; the label party's half of the whole protocol.

    Raises:
        DataError: labels are unusable, or tables do not fit together.
        ProtocolError: a partner's answers do not fit.
        QuorumLost: a partner refused or is gone.
        RunError: a weight is out of all bounds.
    """
    _check(table, plan)
    start, scale, offsets = _offsets(table.labels, plan.objective)
    run = yield from _opened(table, plan, root)
    own = np.zeros((2, run.begin.columns), np.int64)
    theirs = [np.zeros((2, other.columns), np.int64) for other in run.others]
    due: Replied | None = None
    for step in range(plan.steps):
        weights = own[0], [other[0] for other in theirs]
        slopes, due = yield from _step(run, step, weights, offsets, due)
        own = stepped(run.rule, _LABEL, own, slopes[0], run.chained)
        theirs = [
            stepped(run.rule, _LABEL, kept, slope, chained)
            for kept, slope, chained in zip(theirs, slopes[1], run.theirs_chained, strict=True)
        ]
        on_step(step + 1)
    last = [GlmEnd(due, other[0]) for other in theirs]
    ended = yield from _trip(run, last, GlmEnded)
    if ended[0].weights.shape != own[0].shape:
        raise ProtocolError(f"{run.parties[0]} did not give its shares of the weights")
    weights_now = opened_weights(own[0], ended[0].weights)
    first, *more = run.parties
    model = GlmModel(
        plan.objective, start, scale, table.column_bits, weights_now, first, tuple(more) or None
    )
    return model, _report(run, plan)


def glm_scores(
    model: GlmModel, rows: Rows, partner_rows: Mapping[PartyId, NDArray[np.int64]]
) -> Coordinator[Floats]:
    """Scores of some customers, shape ``(c,)``: log odds, or values for regression.

    Each partner gives its part of each score and learns which of its rows are scored; the label
    party learns those parts.

    Args:
        model: the label party's half.
        rows: their own columns.
        partner_rows: their rows in each partner's table.

    Raises:
        ProtocolError: a partner's answer does not fit.
        DataError: there are not as many rows of a partner.
    """
    asks: dict[PartyId, Message] = {}
    for party in model.partners:
        there = partner_rows.get(party)
        if there is None or rows.shape != (len(model.weights), len(there)):
            raise DataError(
                f"{rows.shape[1]} customers of {rows.shape[0]} columns need "
                f"{len(model.weights)} columns and as many rows of {party}"
            )
        asks[party] = GlmAsk(there)
    replies = yield Ask(asks, len(asks))
    whole = rows.wrapped_products(model.weights)
    for party in model.partners:
        reply = replies.answers[party]
        if not isinstance(reply, GlmParts) or reply.parts.shape != whole.shape:
            raise ProtocolError(f"{party} did not give a part of each score")
        whole = whole + reply.parts
    real = whole / 2.0 ** (FRACTION_BITS + model.column_bits)
    return model.start + model.scale * real


@dataclass(frozen=True)
class _Run:
    """The label party's side of a session; partners in one order everywhere."""

    parties: tuple[PartyId, ...]
    begin: GlmBegin
    asker: Asker
    held: Held
    others: tuple[Other, ...]
    rule: Stepping
    curvature: tuple[int, ...]
    chained: NDArray[np.bool_]
    theirs_chained: tuple[NDArray[np.bool_], ...]


def _check(table: GlmTables, plan: GlmPlan) -> None:
    """Refuses tables that do not fit together."""
    check_labels(table.labels, plan.objective)
    count = len(table.labels)
    if not table.partners:
        raise ConfigError("a GLM in shares needs a partner")
    if len(table.partners) > 1 and table.column_bits:
        raise ConfigError(
            f"scaled columns go with one partner, got {len(table.partners)}",
            hint="bins take any number",
        )
    if table.chained is not None and table.chained.shape != table.rows.shape[:1]:
        raise DataError("neighbours must be said of every column")
    if table.rows.shape[1] != count or any(r.shape != (count,) for r in table.partners.values()):
        raise DataError(f"{count} labels do not fit the columns and rows of as many customers")
    for party, there in table.partners.items():
        if len(np.unique(there)) != count:
            raise DataError(f"{party}: every common customer needs a row of its own")


def _offsets(labels: Floats, objective: str) -> tuple[float, float, NDArray[np.int64]]:
    """Score without columns, scale of scores, and the residuals at weights of zero.

    Logistic residuals are four times 1/2 + z/4 - y, so that nothing is divided.
    """
    mean = float(labels.mean())
    if objective == "binary":
        start, scale, residuals = 4 * (mean - 0.5), 1.0, 4 * (mean - labels)
    else:
        start, scale = mean, float(labels.std())
        residuals = (mean - labels) / scale
    return start, scale, np.rint(residuals * (1 << FRACTION_BITS)).astype(np.int64)


def _opened(table: GlmTables, plan: GlmPlan, root: Root) -> Coordinator[_Run]:
    """Opens the session: everybody's hints, and how steps are taken."""
    nonce = derive(root, "glm nonce", size=NONCE_BYTES)
    columns, bits = table.rows.shape[0], table.column_bits
    parties = tuple(sorted(table.partners))
    begins = [
        GlmBegin("glm", nonce, plan.scheme, table.partners[party], columns, bits, plan.steps)
        for party in parties
    ]
    told = yield from _trip_to(parties, begins, GlmTable)
    for party, reply in zip(parties, told, strict=True):
        if reply.columns < 1 or reply.curvature < 0 or len(reply.chained) != reply.columns:
            raise ProtocolError(f"{party} did not open its session with a table")
    sides = tuple(
        GlmSide(party, reply.nonce, reply.columns, reply.key, order_of(begin.rows))
        for party, reply, begin in zip(parties, told, begins, strict=True)
    )
    terms = terms_of(begins[0], sides)
    meets = [GlmMeet(sides, place) for place in range(len(sides))]
    theirs = yield from _trip_to(parties, meets, GlmHints)
    asker = open_asker(terms, root)
    others = tuple(
        keep_side(terms, side.name, side.columns, asker, reply.hints)
        for side, reply in zip(sides, theirs, strict=True)
    )
    held, hints = hold_side(terms, LABEL, asker, table.rows, root, same_masks=plan.same_masks)
    curved, links = (tuple(reply.curvature for reply in told), tuple(r.chained for r in told))
    own_links = np.zeros(columns, np.bool_) if table.chained is None else table.chained
    rule = _stepping(table, plan, curved, (own_links, *links))
    run = _Run(parties, begins[0], asker, held, others, rule, curved, own_links, links)
    starts = []
    for place in range(len(sides)):
        more = [r.hints.slopes.rows for r in _without(theirs, place) if r.hints is not None]
        others_hints = GlmOthers(np.concatenate(more)) if more else None
        ours = hints if place == 0 or hints is None else replace(hints, scores=None)
        shown = own_links if place == 0 else np.zeros(0, np.bool_)
        starts.append(GlmStart(ours, others_hints, rule.shift, rule.ridge, rule.smooth, shown))
    yield from _trip(run, starts, GlmReady)
    return run


def _stepping(
    table: GlmTables,
    plan: GlmPlan,
    curvatures: Sequence[int],
    chained: Sequence[NDArray[np.bool_]],
) -> Stepping:
    """The rate: the largest power of two that no direction of these columns makes unstable."""
    bits = table.column_bits
    count, factor = len(table.labels), 4 if plan.objective == "binary" else 1
    ridge, smooth = round(plan.l2 * factor), round(plan.smooth * factor)
    curved = curvature(table.rows, bits) + sum(curvatures)
    curved += math.ceil(steepest(ridge, smooth, chained) / count)
    rate_bits = max(0, math.ceil(math.log2(curved / _MOST_CURVED)))
    return Stepping(bits + rate_bits + (count - 1).bit_length(), ridge, smooth, bits)


def _step(
    run: _Run,
    step: int,
    weights: tuple[Shares, Sequence[Shares]],
    offsets: NDArray[np.int64],
    due: Replied | None,
) -> Coordinator[tuple[tuple[Shares, list[Shares]], Replied | None]]:
    """One step: shares of the slopes of all columns, own ones first.

    With one partner it waits for an answer that comes with the next step.

    Args:
        run: the session.
        step: its number.
        weights: shares of own and of each partner's weights.
        offsets: residuals at weights of zero.
        due: the answer that a single partner waits for.
    """
    residuals, answer = yield from _residuals(run, step, weights, offsets, due)
    question, secret = ask_slopes(run.asker, residuals, step)
    replies = yield from _trip(
        run,
        [GlmSlopes(step, answer if at == 0 else None, question) for at in range(len(run.others))],
        GlmSloped,
    )
    theirs = [
        open_slopes(other, secret, reply.slopes)
        for other, reply in zip(run.others, replies, strict=True)
    ]
    own, answers = run.held.rows.wrapped_sums(residuals), []
    for party, reply in zip(run.parties, replies, strict=True):
        one, kept = answer_slopes(run.held, reply.question, step, party)
        own = own + kept
        answers.append(one)
    if len(run.others) == 1:
        return (reduced(own), theirs), answers[0]
    more, crossed = yield from _across(run, step, answers, [reply.question for reply in replies])
    together = [reduced(a + b) for a, b in zip(theirs, crossed, strict=True)]
    return (reduced(own + more), together), None


def _residuals(
    run: _Run,
    step: int,
    weights: tuple[Shares, Sequence[Shares]],
    offsets: NDArray[np.int64],
    due: Replied | None,
) -> Coordinator[tuple[Shares, Replied]]:
    """One trip: own shares of the residuals, and the answer for scores to the first partner."""
    bits = run.rule.column_bits
    asked = [
        ask_scores(other, mine, step) for other, mine in zip(run.others, weights[1], strict=True)
    ]
    messages = [GlmScores(step, question, due) for question, _ in asked]
    replies = yield from _trip(run, messages, GlmScored)
    scores = run.held.rows.wrapped_products(weights[0]) + (offsets << bits)
    for other, (_, secret), reply in zip(run.others, asked, replies, strict=True):
        scores = scores + open_scores(other, secret, reply.scores)
    if replies[0].question is None:
        raise ProtocolError(f"{run.parties[0]} did not ask for scores")
    answer, mine = answer_scores(run.held, replies[0].question, step)
    return rounded(reduced(scores + mine), bits, _LABEL), answer


def _across(
    run: _Run, step: int, answers: Sequence[Replied], questions: Sequence[SlopesQuestion]
) -> Coordinator[tuple[Shares, list[Shares]]]:
    """Two trips: partners ask each other; what they have of others' slopes comes here.

    Own slopes' part is under pads, which the first partner takes off its share.
    """
    crossing = [
        GlmAcross(step, answer, tuple(_without(questions, at))) for at, answer in enumerate(answers)
    ]
    crossed = yield from _trip(run, crossing, GlmCrossed)
    count = len(run.others)
    own = np.zeros(run.begin.columns, np.int64)
    for at, reply in enumerate(crossed):
        if len(reply.slopes) != count - 1 or len(reply.label) != (run.begin.columns if at else 0):
            raise ProtocolError(f"{run.parties[at]} did not answer every other partner")
        own = own + (reply.label if at else 0)
    # A reply has its answers in the order of the others: those after it stand a place earlier.
    answered = [
        [reply.slopes[at - (at > here)] for here, reply in enumerate(crossed) if here != at]
        for at in range(count)
    ]
    tells = [GlmTell(step, joined(replies)) for replies in answered]
    told = yield from _trip(run, tells, GlmTold)
    theirs = [np.zeros(other.columns, np.int64) for other in run.others]
    for at, passed in enumerate(told):
        whose = _without(range(count), at)
        ends = np.cumsum([run.others[one].columns for one in whose])
        if len(passed.shares) != ends[-1]:
            raise ProtocolError(f"{run.parties[at]} did not give its shares of others' slopes")
        for one, part in zip(whose, np.split(passed.shares, ends[:-1]), strict=True):
            theirs[one] = theirs[one] + part
    return own, theirs


def _trip(run: _Run, messages: Sequence[Message], kind: type[M]) -> Coordinator[list[M]]:
    """A message to each partner and what each answers."""
    replies = yield from _trip_to(run.parties, messages, kind)
    return replies


def _trip_to(
    parties: Sequence[PartyId], messages: Sequence[Message], kind: type[M]
) -> Coordinator[list[M]]:
    """A message to each of some partners and what each answers.

    Raises:
        ProtocolError: one answers with something else.
    """
    replies = yield Ask(dict(zip(parties, messages, strict=True)), len(parties))
    found = []
    for party in parties:
        reply = replies.answers[party]
        if not isinstance(reply, kind):
            raise ProtocolError(f"{party} did not answer with a {kind.__name__}")
        found.append(reply)
    return found


def _without(items: Sequence[T], place: int) -> list[T]:
    """All but one of them."""
    return [item for at, item in enumerate(items) if at != place]


def _report(run: _Run, plan: GlmPlan) -> GlmReport:
    """What a run was like."""
    samples, own = len(run.begin.rows), run.begin.columns
    partners = len(run.others)
    theirs = sum(other.columns for other in run.others)
    # Of a step: questions for scores and slopes, answers, and what partners pass on.
    shared = 2 * ((partners + 1) * samples + partners * (own + theirs))
    # Slopes start below 4 n units of 1.0 and shrink; residuals stay below 8.
    bits = FRACTION_BITS + run.rule.column_bits
    slopes = chance_of_failure(4.0 * samples * 2.0**bits, plan.steps * (own + theirs))
    residuals = chance_of_failure(8 * 2.0**bits, plan.steps * samples)
    names = run.parties
    return GlmReport(
        plan.steps,
        plan.steps * shared,
        own,
        {name: other.columns for name, other in zip(names, run.others, strict=True)},
        dict(zip(names, run.curvature, strict=True)),
        slopes + (residuals if run.rule.column_bits else 0.0),
    )
