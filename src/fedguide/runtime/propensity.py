"""How likely each shopper is to do something: trees of the shop alone, and together with partners.

The shop is the label party of ``vertical.trees``: it aligns its customers with each partner's,
grows host-blind boosted trees on those whom all partners know, and curves of its own (Platt) turn
margins into probabilities. Who is not known to every partner is scored by the shop's own trees.
Customers that grow no tree tell when to stop, fit the curve, and say whether the partners' trees
are used at all: only where they rank held customers better than the shop's own. The courier is
the caller's: in one process for a simulation, a network otherwise.

What a partner learns, and what the shop does: as ``vertical.align`` and ``vertical.trees`` say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError
from fedguide.models.auc import auc_difference
from fedguide.models.calibration import Calibration, fit_platt
from fedguide.protocol import Coordinator
from fedguide.seeds import Root, derive, seeded_root, stream
from fedguide.values import PartyId
from fedguide.vertical.align import Alignment
from fedguide.vertical.features import Columns, FeatureSpec, codes_of, fit_spec
from fedguide.vertical.trees import LabelTable, Report, TreeModel, TreePlan, grow, margins_of

Floats = NDArray[np.float64]

HELD = 0.3
"""Share of the customers that grow no tree: fewer make a shaky curve, more poorer trees."""

LEAST_HELD = 20
"""Fewest held customers of either label: below it a curve of two parameters is a guess."""

PLAN = TreePlan(trees=60, depth=3, learning_rate=0.15, patience=8)
"""Depth 3 and a slow rate: some thousand customers and few positives overfit otherwise."""


@dataclass(frozen=True)
class Side:
    """One grown model and the curve that makes probabilities of its margins."""

    trees: TreeModel
    curve: Calibration = field(repr=False)
    report: Report


@dataclass(frozen=True)
class Propensity:
    """A shop's scorer.

    Attributes:
        spec: bins of the shop's columns.
        alone: by the shop's columns only, for everybody.
        together: with the partners' columns, for those whom all know; ``None`` without partners.
        keeps: are the partners' trees used? They had the larger AUC on the held customers.
        rows: each partner's row of every shopper, shape ``(m,)``; -1 where it has none.
    """

    spec: FeatureSpec
    alone: Side
    together: Side | None
    keeps: bool
    rows: Mapping[PartyId, NDArray[np.int64]] = field(repr=False)

    @property
    def common(self) -> NDArray[np.bool_]:
        """Who is known to every partner, shape ``(m,)``; nobody without partners."""
        if not self.rows:
            return np.zeros(0, np.bool_)
        known: NDArray[np.bool_] = np.all([rows >= 0 for rows in self.rows.values()], axis=0)
        return known


@dataclass(frozen=True)
class Scores:
    """Probabilities of the shop's m shoppers.

    Attributes:
        alone: by the shop's own trees, shape ``(m,)``.
        together: by all parties' where a shopper is known to all, else the shop's own, ``(m,)``.
        best: to be used: ``together`` where the model keeps it, else ``alone``, shape ``(m,)``.
        common: who is known to all, shape ``(m,)``.
    """

    alone: Floats
    together: Floats
    best: Floats
    common: NDArray[np.bool_]


def partner_rows(
    people: int, found: Mapping[PartyId, Alignment]
) -> dict[PartyId, NDArray[np.int64]]:
    """Each partner's row of every shopper, from alignments; -1 where it has none."""
    made = {}
    for party, alignment in found.items():
        rows = np.full(people, -1, np.int64)
        rows[alignment.label_rows] = alignment.partner_rows
        made[party] = rows
    return made


def fit_propensity(
    columns: Columns,
    labels: Floats,
    who: NDArray[np.bool_],
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
    plan: TreePlan = PLAN,
    *,
    seed: int = 7,
    budget: int = 1 << 20,
) -> Coordinator[Propensity]:
    """Grows both models; the label party's half.

    Args:
        columns: the shop's, of all m shoppers; a column that says nothing is left out.
        labels: 1 or 0 for each shopper, shape ``(m,)``.
        who: takes part in training, shape ``(m,)``.
        rows: see ``partner_rows``.
        root: the shop's own of this task.
        plan: of the trees.
        seed: of which customers are held; nothing secret follows from it.
        budget: sums that each partner is asked for at most.

    Raises:
        DataError: too few customers, or too few of a label.
        QuorumLost: a partner refused or is gone.
        ProtocolError: a partner's sums do not add up.
    """
    spec = fit_spec(_speaking(columns, who))
    codes = codes_of(spec, columns)
    held = stream(seeded_root(seed, "propensity"), "held").random(len(labels)) < HELD
    own_plan = replace(plan, least_node=1)
    alone = yield from _side(spec, codes, labels, who, held, {}, root, own_plan, budget)
    if not rows:
        return Propensity(spec, alone, None, False, {})
    common = who & np.all([mine >= 0 for mine in rows.values()], axis=0)
    together = yield from _side(spec, codes, labels, common, held, rows, root, plan, budget)
    asked = common & held
    theirs = margins_of(together.trees, codes[asked], {p: r[asked] for p, r in rows.items()})[0]
    mine = margins_of(alone.trees, codes[asked], {})[0]
    keeps = auc_difference(labels[asked], theirs, mine).value > 0
    return Propensity(spec, alone, together, keeps, dict(rows))


def score(model: Propensity, columns: Columns) -> Scores:
    """Probabilities of all shoppers; nobody is asked, a partner's half is kept bits.

    Raises:
        DataError: a column is missing, or there is another number of shoppers.
    """
    codes = codes_of(model.spec, columns)
    alone = _probabilities(model.alone, codes, {})
    if model.together is None:
        return Scores(alone, alone, alone, np.zeros(len(alone), np.bool_))
    common = model.common
    if len(common) != len(alone):
        raise DataError(f"{len(common)} shoppers were aligned, got columns of {len(alone)}")
    together = alone.copy()
    kept = {party: mine[common] for party, mine in model.rows.items()}
    together[common] = _probabilities(model.together, codes[common], kept)
    return Scores(alone, together, together if model.keeps else alone, common)


def _side(
    spec: FeatureSpec,
    codes: NDArray[np.uint16],
    labels: Floats,
    who: NDArray[np.bool_],
    held: NDArray[np.bool_],
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
    plan: TreePlan,
    budget: int,
) -> Coordinator[Side]:
    """One model over the customers ``who``, with its curve from those of them that are held."""
    for label in (0, 1):
        there = int((labels[who & held] == label).sum())
        if there < LEAST_HELD:
            raise DataError(
                f"{there} held customers have label {label}, at least {LEAST_HELD} are needed",
                hint="more customers, a longer --in, or a more common --target",
            )
    mine = {party: partner[who] for party, partner in rows.items()}
    table = LabelTable(labels[who], codes[who], spec.bins, mine, held[who])
    name = "together" if rows else "alone"
    model, report = yield from grow(table, plan, Root(derive(root, name)), budget=budget)
    asked = held[who]
    margins = margins_of(model, codes[who][asked], {p: r[asked] for p, r in mine.items()})[0]
    return Side(model, fit_platt(labels[who][asked], margins), report)


def _probabilities(
    side: Side, codes: NDArray[np.uint16], rows: Mapping[PartyId, NDArray[np.int64]]
) -> Floats:
    return side.curve(margins_of(side.trees, codes, rows)[0])


def _speaking(columns: Columns, who: NDArray[np.bool_]) -> Columns:
    """The columns of those who take part that have two values at least."""
    kept = {}
    for name, cells in columns.items():
        mine = np.asarray(cells)[who]
        present = mine[mine != ""] if mine.dtype.kind == "U" else mine[np.isfinite(mine)]
        if len(np.unique(present)) > 1:
            kept[name] = mine
    if not kept:
        raise DataError("no column of the shop says anything: all are constant or missing")
    return kept
