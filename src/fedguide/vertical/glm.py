"""Linear and logistic models over two parties' columns of the same customers, in shares.

The label party's half. Weights, scores, residuals and slopes are additive shares modulo 2^60 from
the first step to the last; what is opened are the final weights, each side's own to it alone.
Private linear queries in share mode (``LINEAR_QUERY`` section 8): a step is two trips, in which
each side asks the other for scores and for slopes. The logistic model takes the linear sigmoid
1/2 + z/4 of Kim et al., "Secure Logistic Regression Based on Homomorphic Encryption", 2018, and
Mohassel and Zhang, 2017; on one-hot bins it ranks as the exact one does.

What the label party learns: its own weights, the number of the partner's columns, a rounded bound
on their curvature. What the partner learns: see ``glm_partner``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.crypto.linear_query import NONCE_BYTES
from fedguide.crypto.rows import Rows
from fedguide.errors import ConfigError, DataError, ProtocolError
from fedguide.protocol import Ask, Coordinator, Message, State
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical.glm_channel import (
    Deal,
    Held,
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
    GlmTable,
    glm_seed,
)
from fedguide.vertical.glm_step import (
    FRACTION_BITS,
    Stepping,
    curvature,
    opened_weights,
    stepped,
)
from fedguide.vertical.objectives import Floats, check_labels
from fedguide.vertical.shares import chance_of_failure, reduced, rounded
from fedguide.vertical.sums import Scheme

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
        scheme: how numbers are hidden.
        reveal_alignment: consents that the partner learns which of its rows are common customers.
        same_masks: see ``glm_channel.Held``; for comparing schemes.

    Raises:
        ConfigError: a number is out of its range, or consent is missing.
    """

    objective: GlmObjective = "binary"
    steps: int = 40
    l2: float = 1.0
    scheme: Scheme = "lattice"
    reveal_alignment: bool = False
    same_masks: bool = False

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 1 <= self.steps <= 1000:
            raise ConfigError(f"steps must be in [1, 1000], got {self.steps}")
        if not 0 <= self.l2 <= 10_000:
            raise ConfigError(f"l2 must be in [0, 10000], got {self.l2}")
        if self.objective not in ("binary", "regression"):
            raise ConfigError(f"objective must be binary or regression, got {self.objective!r}")
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
        partner: who has the other columns.
        partner_rows: the same customers' rows in its table, shape ``(n,)``.
    """

    labels: Floats = field(repr=False)
    rows: Rows = field(repr=False)
    column_bits: int
    partner: PartyId
    partner_rows: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class GlmModel(State):
    """The label party's half; the partner's weights are the partner's.

    Attributes:
        objective: what it was fitted to.
        start: score of a customer without any column.
        scale: of a score, for regression.
        column_bits: columns are in units of 2^-this.
        weights: in fixed point, shape ``(d,)``.
        partner: who has the other half.
    """

    objective: str
    start: float
    scale: float
    column_bits: int
    weights: Annotated[NDArray[np.int64], Array("int64", "d")] = field(repr=False)
    partner: PartyId


@dataclass(frozen=True)
class GlmReport:
    """What a run was like.

    Attributes:
        steps: taken.
        shared: numbers that crossed as shares; none of them was opened.
        opened: numbers that were opened to the label party: its own weights.
        partner_columns: how many.
        partner_curvature: what the partner said of its columns.
        chance_of_failure: that a rounding of shares went wrong unseen, a bound.
    """

    steps: int
    shared: int
    opened: int
    partner_columns: int
    partner_curvature: int
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
        ProtocolError: the partner's answers do not fit.
        QuorumLost: the partner refused or is gone.
        RunError: a weight is out of all bounds.
    """
    _check(table, plan)
    start, scale, offsets = _offsets(table.labels, plan.objective)
    run = yield from _opened(table, plan, root)
    own = np.zeros((2, run.begin.columns), np.int64)
    other = np.zeros((2, run.partner_columns), np.int64)
    last: Replied | None = None
    for step in range(plan.steps):
        slopes, last = yield from _step(run, step, own, other, offsets, last)
        own = stepped(run.rule, _LABEL, own, slopes[0])
        other = stepped(run.rule, _LABEL, other, slopes[1])
        on_step(step + 1)
    ended = yield from _trip(run, GlmEnd(_due(last), other[0]))
    if not isinstance(ended, GlmEnded) or ended.weights.shape != own[0].shape:
        raise ProtocolError(f"{table.partner} did not give its shares of the weights")
    weights = opened_weights(own[0], ended.weights)
    model = GlmModel(plan.objective, start, scale, table.column_bits, weights, table.partner)
    return model, _report(run, plan)


def glm_scores(model: GlmModel, rows: Rows, partner_rows: NDArray[np.int64]) -> Coordinator[Floats]:
    """Scores of some customers, shape ``(c,)``: log odds, or values for regression.

    The partner gives its part of each score and learns which of its rows are scored; the label
    party learns those parts.

    Args:
        model: the label party's half.
        rows: their own columns.
        partner_rows: their rows in the partner's table.

    Raises:
        ProtocolError: the partner's answer does not fit.
        DataError: there are not as many rows of the partner.
    """
    if rows.shape != (len(model.weights), len(partner_rows)):
        raise DataError(
            f"{len(partner_rows)} customers need {len(model.weights)} columns each, "
            f"got {rows.shape[::-1]}"
        )
    replies = yield Ask({model.partner: GlmAsk(partner_rows)}, 1)
    reply = replies.answers[model.partner]
    if not isinstance(reply, GlmParts) or len(reply.parts) != len(partner_rows):
        raise ProtocolError(f"{model.partner} did not give a part of each score")
    whole = rows.wrapped_products(model.weights) + reply.parts
    real = whole / 2.0 ** (FRACTION_BITS + model.column_bits)
    return model.start + model.scale * real


@dataclass(frozen=True)
class _Run:
    """The label party's side of a session."""

    partner: PartyId
    begin: GlmBegin
    held: Held
    other: Other
    rule: Stepping
    partner_columns: int
    partner_curvature: int


def _check(table: GlmTables, plan: GlmPlan) -> None:
    """Refuses tables that do not fit together."""
    check_labels(table.labels, plan.objective)
    count = len(table.labels)
    if table.rows.shape[1] != count or table.partner_rows.shape != (count,):
        raise DataError(f"{count} labels do not fit the columns and rows of as many customers")
    if len(np.unique(table.partner_rows)) != count:
        raise DataError(f"{table.partner}: every common customer needs a row of its own")


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
    """Opens the session: both sides' hints, and how steps are taken."""
    nonce = derive(root, "glm nonce", table.partner, size=NONCE_BYTES)
    columns, bits = table.rows.shape[0], table.column_bits
    begin = GlmBegin("glm", nonce, plan.scheme, table.partner_rows, columns, bits, plan.steps)
    replies = yield Ask({table.partner: begin}, 1)
    reply = replies.answers[table.partner]
    if not isinstance(reply, GlmTable) or reply.columns < 1 or reply.curvature < 0:
        raise ProtocolError(f"{table.partner} did not open its session with a table")
    seed = glm_seed(begin, reply.nonce, reply.columns)

    def deal(whose: Whose, count: int) -> Deal:
        return Deal(whose, plan.scheme, seed, len(table.labels), count, plan.steps)

    other = keep_side(deal("partner", reply.columns), reply.hints, root)
    held, hints = hold_side(deal("label", columns), table.rows, root, same_masks=plan.same_masks)
    rule = _stepping(table, plan, reply.curvature)
    run = _Run(table.partner, begin, held, other, rule, reply.columns, reply.curvature)
    ready = yield from _trip(run, GlmStart(hints, rule.shift, rule.ridge))
    if not isinstance(ready, GlmReady):
        raise ProtocolError(f"{table.partner} is not ready")
    return run


def _stepping(table: GlmTables, plan: GlmPlan, partner_curvature: int) -> Stepping:
    """The rate: the largest power of two that no direction of these columns makes unstable."""
    bits = table.column_bits
    curved = curvature(table.rows, bits) + partner_curvature
    rate_bits = max(0, math.ceil(math.log2(curved / _MOST_CURVED)))
    samples_bits = (len(table.labels) - 1).bit_length()
    ridge = round(plan.l2 * (4 if plan.objective == "binary" else 1))
    return Stepping(bits + rate_bits + samples_bits, ridge, bits)


def _step(
    run: _Run,
    step: int,
    own: NDArray[np.int64],
    other: NDArray[np.int64],
    offsets: NDArray[np.int64],
    last: Replied | None,
) -> Coordinator[tuple[tuple[NDArray[np.int64], NDArray[np.int64]], Replied]]:
    """Two trips: shares of the slopes of both sides' columns, and the answer the partner waits for.

    Both sides' shares of the scores are complete after the first trip and its answer.
    """
    bits = run.rule.column_bits
    question, secret = ask_scores(run.other, other[0], step)
    scored = yield from _trip(run, GlmScores(step, question, last))
    if not isinstance(scored, GlmScored):
        raise ProtocolError(f"{run.partner} did not answer for scores")
    scores = open_scores(run.other, secret, scored.scores)
    scores = scores + run.held.rows.wrapped_products(own[0]) + (offsets << bits)
    answer, mine = answer_scores(run.held, scored.question, step)
    residuals = rounded(reduced(scores + mine), bits, _LABEL)
    asked, secret = ask_slopes(run.other, residuals, step)
    sloped = yield from _trip(run, GlmSlopes(step, answer, asked))
    if not isinstance(sloped, GlmSloped):
        raise ProtocolError(f"{run.partner} did not answer for slopes")
    theirs = open_slopes(run.other, secret, sloped.slopes)
    reply, kept = answer_slopes(run.held, sloped.question, step)
    return (reduced(kept + run.held.rows.wrapped_sums(residuals)), theirs), reply


def _trip(run: _Run, message: Message) -> Coordinator[Message]:
    """One message there and back."""
    replies = yield Ask({run.partner: message}, 1)
    return replies.answers[run.partner]


def _due(reply: Replied | None) -> Replied:
    """The answer that the partner still waits for."""
    if reply is None:
        raise ProtocolError("no step was taken")
    return reply


def _report(run: _Run, plan: GlmPlan) -> GlmReport:
    """What a run was like."""
    samples, columns = len(run.begin.rows), run.begin.columns + run.partner_columns
    # Slopes start below 4 n units of 1.0 and shrink; residuals stay below 8.
    bits = FRACTION_BITS + run.rule.column_bits
    slopes = chance_of_failure(4.0 * samples * 2.0**bits, plan.steps * columns)
    residuals = chance_of_failure(8 * 2.0**bits, plan.steps * samples) if bits else 0.0
    return GlmReport(
        plan.steps,
        plan.steps * 2 * (2 * samples + columns),
        run.begin.columns,
        run.partner_columns,
        run.partner_curvature,
        slopes + (residuals if run.rule.column_bits else 0.0),
    )
