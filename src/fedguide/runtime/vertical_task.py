"""A vertical task over a hub, driven by the label party: align, train, keep, score.

It can be killed at any moment and started again: the journal has every trip, sealed boxes and
all, and the label party's root of the round is drawn and kept before it is used. A round that loses
a partner is tried again from its beginning under a new root; the partner's budgets of keys and sums
go on counting. Who is trusted for what is said in ``vertical.sealed`` and in the protocols inside;
the hub carries boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array, encode
from fedguide.crypto.rows import bin_rows
from fedguide.crypto.signing import PublicKey, SigningKey
from fedguide.errors import DataError, ProtocolError, RunError
from fedguide.models.auc import auc
from fedguide.protocol import Ask, Coordinator, Message, QuorumLost, Replies, State
from fedguide.runtime.approvals import APPROVED, decided, proposed, said
from fedguide.runtime.couriers import Clock
from fedguide.runtime.driver import Durable, TripReport, drive_round, resume
from fedguide.runtime.https import over_https
from fedguide.runtime.hub_client import HubClient
from fedguide.runtime.hub_wire import Propose, TaskView
from fedguide.runtime.journal import Journal
from fedguide.runtime.propensity import partner_rows
from fedguide.runtime.vertical_party import (
    GLM_BINS,
    VERTICAL_WIRE,
    Keep,
    KeptHalf,
    Meet,
    Met,
    contract_of,
)
from fedguide.runtime.vertical_proposal import VerticalProposal, vertical_limits
from fedguide.seeds import ROOT_BYTES, Root, Roots, derive
from fedguide.values import PartyId
from fedguide.vertical.align import align_all
from fedguide.vertical.estimators import LabelHalf
from fedguide.vertical.features import Columns, Feature, FeatureSpec, codes_of, fit_spec, neighbours
from fedguide.vertical.glm import GlmModel, GlmTables, fit_glm, glm_scores
from fedguide.vertical.learned import Learned, learned_from_glm, learned_from_trees
from fedguide.vertical.scaling import Scaling
from fedguide.vertical.sealed import SEALED_WIRE, Sealing, sealed
from fedguide.vertical.trees import LabelTable, PartnerHalf, TreeModel, grow, predict

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.int64]
R = TypeVar("R")


@dataclass(frozen=True)
class OwnTable:
    """The label party's side: one row a customer.

    Attributes:
        keys: normalised as the proposal says; empty ones match nobody.
        columns: its own features of the same rows; may be empty.
        labels: of the same rows; whole numbers from 0 for classes.
        held: rows that train nothing and judge the model.
    """

    keys: tuple[str, ...] = field(repr=False)
    columns: Columns = field(repr=False)
    labels: Floats = field(repr=False)
    held: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True)
class VerticalResult(State):
    """What the label party has of a task: nothing before training, then its half for good.

    Attributes:
        half: its half of the model.
        own_rows: rows of its table that every partner knows, ascending, shape ``(c,)``.
        parties: the partners, sorted.
        partner_rows: the same customers' rows at each of them.
        sizes: rows of their tables.
        measured: quality on held customers: AUC, accuracy or R².
        learned: what each party learned.
    """

    half: LabelHalf | None = None
    own_rows: Annotated[Rows, Array("int64", "c")] = field(
        default_factory=lambda: np.zeros(0, np.int64), repr=False
    )
    parties: tuple[PartyId, ...] = ()
    partner_rows: Annotated[Rows, Array("int64", "p", "c")] = field(
        default_factory=lambda: np.zeros((0, 0), np.int64), repr=False
    )
    sizes: tuple[int, ...] = ()
    measured: float | None = None
    learned: tuple[Learned, ...] = ()

    @property
    def rows(self) -> dict[PartyId, Rows]:
        """Each partner's rows of the common customers."""
        return dict(zip(self.parties, self.partner_rows, strict=True))


_KEPT: tuple[type, ...] = (
    *(VerticalResult, LabelHalf, FeatureSpec, Feature, Scaling),
    *(TreeModel, PartnerHalf, GlmModel, Learned),
)
ALLOWED: tuple[type, ...] = (*SEALED_WIRE, *_KEPT)
"""What crosses the hub, and what the label party keeps."""


@dataclass(frozen=True)
class VerticalDriving:
    """What the label party needs beside its proposal and its table.

    Attributes:
        client: in its name.
        journal: of its trips and roots.
        roots: draws the root of a round, once.
        clock: seconds that never go back.
        key: its identity.
        peers: each partner's identity, known from elsewhere than the hub.
        approvals_s: how long owners have to decide.
        workers: processes that may share the work.
    """

    client: HubClient
    journal: Journal
    roots: Roots
    clock: Clock
    key: SigningKey
    peers: Mapping[PartyId, PublicKey]
    approvals_s: float = 0.0
    workers: int = 1


def train_vertical(
    driving: VerticalDriving,
    proposal: VerticalProposal,
    own: OwnTable,
    on_view: Callable[[TaskView], None] = lambda _view: None,
    on_trip: Callable[[TripReport], None] = lambda _report: None,
) -> VerticalResult:
    """Proposes, waits for all owners, aligns and trains; goes on where an earlier call ended.

    Raises:
        RunError: an owner did not approve, or a partner was lost on the way.
        RefusedError: too few customers are common.
        DataError: labels or columns cannot be used.
        ConnectionFailedError: the hub was away for longer than patience lasts.
    """
    durable = _durable(driving, proposal, on_trip)
    progress = resume(durable, VerticalResult())
    if progress.state.half is not None:
        return progress.state
    _approved(driving, proposal, on_view)

    def train(_state: VerticalResult, root: Root) -> Coordinator[VerticalResult]:
        inner = trained(own, proposal, Root(derive(root, "inner")), driving.workers)
        return sealed(inner, _end(driving, proposal, root), driving.peers)

    with_hint = f"fedguide vertical resume {proposal.task}"
    try:
        return drive_round(durable, progress, train, _courier(driving, proposal)).state
    except QuorumLost as lost:
        raise RunError(_why(proposal, lost), hint=with_hint) from lost


def score_glm(
    driving: VerticalDriving, proposal: VerticalProposal, columns: Columns, at: Rows
) -> Floats:
    """Scores of some common customers by a GLM: partners give their part of each.

    Args:
        driving: as for training.
        proposal: of a trained task that is not ended.
        columns: their own columns, shape ``(n,)`` each.
        at: their places among the common customers, shape ``(n,)``.

    Raises:
        RunError: nothing is trained, or a partner did not answer.
    """
    durable = _durable(driving, proposal, lambda _report: None)
    progress = resume(durable, VerticalResult())
    half, known = progress.state.half, progress.state.rows
    if half is None or not isinstance(half.model, GlmModel):
        raise RunError(f"{proposal.task} has no GLM yet")
    model, found = half.model, np.zeros(0)

    def ask(state: VerticalResult, root: Root) -> Coordinator[VerticalResult]:
        there = {party: known[party][at] for party in model.partners}
        inner = _part_scores(half.spec, model, columns, there)
        nonlocal found
        found = yield from sealed(inner, _end(driving, proposal, root), driving.peers)
        return state

    try:
        drive_round(durable, progress, ask, _courier(driving, proposal))
    except QuorumLost as lost:
        raise RunError(_why(proposal, lost)) from lost
    return found


def end_vertical(driving: VerticalDriving, proposal: VerticalProposal) -> None:
    """Ends the task at the hub: partners forget all of it but their half."""
    driving.client.call("POST", f"/v1/tasks/{proposal.task}/end", task=proposal.task)


def trained(
    own: OwnTable, proposal: VerticalProposal, root: Root, workers: int = 1
) -> Coordinator[VerticalResult]:
    """The label party's half of the whole task, unsealed.

    Raises:
        RefusedError: too few customers are common to all.
        DataError, ProtocolError, QuorumLost: see the protocols inside.
    """
    known, sizes = yield from _aligned(own, proposal, root, workers)
    at = np.flatnonzero(np.all([there >= 0 for there in known.values()], axis=0))
    rows = {party: there[at] for party, there in known.items()}
    columns = {name: np.asarray(cells)[at] for name, cells in own.columns.items()}
    labels, held = own.labels[at], own.held[at]
    if not len(at) or held.all():
        raise DataError(f"{len(at)} customers are common to all, none is left to train on")
    fit = _glm if proposal.model == "glm" else _trees
    made = yield from fit(columns, labels, held, rows, proposal, root)
    half, scores, learned = made
    replies = yield Ask({party: Keep() for party in rows}, len(rows))
    if not all(isinstance(reply, KeptHalf) for reply in replies.answers.values()):
        raise ProtocolError("a partner did not keep its half")
    return VerticalResult(
        half,
        at,
        tuple(rows),
        np.stack(list(rows.values())),
        sizes,
        _measure(proposal.objective, half, labels[held], scores) if held.any() else None,
        learned,
    )


def _aligned(
    own: OwnTable, proposal: VerticalProposal, root: Root, workers: int
) -> Coordinator[tuple[dict[PartyId, Rows], tuple[int, ...]]]:
    """Each partner's row of every own row, -1 where it has none; and the sizes of their tables."""
    parties = sorted(map(PartyId, proposal.parties))
    salts = {party: derive(root, "salt", party, size=ROOT_BYTES) for party in parties}
    met: dict[PartyId, Message] = {party: Meet(salt) for party, salt in salts.items()}
    replies = yield Ask(met, len(met))
    sizes = tuple(reply.rows for reply in replies.answers.values() if isinstance(reply, Met))
    if len(sizes) != len(parties):
        raise ProtocolError("a partner does not know what a vertical task is")
    contracts = {party: contract_of(proposal, salt) for party, salt in salts.items()}
    found = yield from align_all(own.keys, contracts, Root(derive(root, "align")), workers)
    return partner_rows(len(own.keys), found), sizes


Made: TypeAlias = tuple[LabelHalf, Floats, tuple[Learned, ...]]
"""The label party's half, values of the held customers by class, and what was learned."""


def _trees(
    columns: Columns,
    labels: Floats,
    held: NDArray[np.bool_],
    rows: Mapping[PartyId, Rows],
    proposal: VerticalProposal,
    root: Root,
) -> Coordinator[Made]:
    """Boosted trees over the customers that are not held."""
    spec = fit_spec(columns) if columns else FeatureSpec(())
    codes = codes_of(spec, columns) if columns else np.zeros((len(labels), 0), np.uint16)
    mine = {party: there[~held] for party, there in rows.items()}
    table = LabelTable(labels[~held], codes[~held], spec.bins, mine)
    plan = proposal.tree_plan
    model, report = yield from grow(table, plan, root, budget=proposal.sums)
    classes: tuple[float, ...] = ()
    if proposal.objective != "regression":
        classes = tuple(map(float, range(max(2, len(model.start)))))
    values = predict(model, codes[held], {party: there[held] for party, there in rows.items()})
    half = LabelHalf(classes, spec, None, model)
    return half, values, learned_from_trees(plan, report, len(table.labels))


def _glm(
    columns: Columns,
    labels: Floats,
    held: NDArray[np.bool_],
    rows: Mapping[PartyId, Rows],
    proposal: VerticalProposal,
    root: Root,
) -> Coordinator[Made]:
    """A GLM on bins over the customers that are not held."""
    spec = fit_spec(columns, GLM_BINS)
    codes = codes_of(spec, columns)
    own = bin_rows(codes[~held], spec.bins)
    mine = {party: r[~held] for party, r in rows.items()}
    table = GlmTables(labels[~held], own, 0, mine, neighbours(spec))
    model, report = yield from fit_glm(table, proposal.glm_plan, root)
    others = {name: np.asarray(cells)[held] for name, cells in columns.items()}
    values = np.zeros((1, 0))
    if held.any():
        there = {party: r[held] for party, r in rows.items()}
        scores = yield from _part_scores(spec, model, others, there)
        values = scores[None]
    classes = (0.0, 1.0) if proposal.objective == "binary" else ()
    half = LabelHalf(classes, spec, None, model)
    return half, values, learned_from_glm("lattice", report, len(table.labels))


def _part_scores(
    spec: FeatureSpec, model: GlmModel, columns: Columns, rows: Mapping[PartyId, Rows]
) -> Coordinator[Floats]:
    """Scores of customers by their own columns and their rows at the partners."""
    found = yield from glm_scores(model, bin_rows(codes_of(spec, columns), spec.bins), rows)
    return found


def _measure(objective: str, half: LabelHalf, labels: Floats, values: Floats) -> float:
    """AUC, accuracy or the share of variance that is explained, on held customers."""
    if objective == "binary":
        return auc(labels, values[-1]).value
    if objective == "multiclass":
        return float((np.array(half.classes)[values.argmax(0)] == labels).mean())
    return float(1 - ((values[0] - labels) ** 2).mean() / labels.var())


def _approved(
    driving: VerticalDriving, proposal: VerticalProposal, on_view: Callable[[TaskView], None]
) -> None:
    """Waits until every partner's owner approved.

    Raises:
        RunError: one did not.
    """
    body = Propose(proposal.task, encode(proposal), proposal.max_bytes, proposal.parties)
    view = proposed(driving.client, body)
    view = decided(driving.client, view, driving.clock, driving.approvals_s, on_view)
    if any(one != APPROVED for one in said(view)):
        words = ", ".join(f"{name}: {one}" for name, one, _ in view.decisions)
        raise RunError(
            f"{proposal.task} needs every partner; {words}",
            hint=f"fedguide party approve {proposal.task}, at the partner; then "
            f"fedguide vertical resume {proposal.task}",
        )


def _why(proposal: VerticalProposal, lost: QuorumLost) -> str:
    """Which partner is missing and what it said."""
    missing = lost.replies.missing
    words = "; ".join(f"{one.party} {one.reason}: {one.detail}" for one in missing)
    return f"{proposal.task}: {words or lost}"


def _end(driving: VerticalDriving, proposal: VerticalProposal, root: Root) -> Sealing:
    """The label party's end of the boxes in one round."""
    return Sealing(proposal.task, driving.key, root, vertical_limits(), VERTICAL_WIRE)


def _durable(
    driving: VerticalDriving, proposal: VerticalProposal, on_trip: Callable[[TripReport], None]
) -> Durable:
    return Durable(
        proposal.task,
        driving.journal,
        driving.roots,
        driving.clock,
        ALLOWED,
        vertical_limits(),
        on_trip,
    )


def _courier(driving: VerticalDriving, proposal: VerticalProposal) -> Callable[[Ask], Replies]:
    """Over the hub, each answer within the proposal's deadline."""
    carry = over_https(driving.client, proposal.task, vertical_limits(), ALLOWED)
    return lambda ask: carry(replace(ask, deadline_s=proposal.deadline_s))
