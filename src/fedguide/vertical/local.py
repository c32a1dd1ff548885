"""A partner in this process: its table, its consents, its budget, and its half of models.

For simulations, for files of parties that one person holds, and for tests; a partner elsewhere
runs the same two ``answer`` functions behind a courier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Limits, decode, encode
from fedguide.crypto.rows import DenseRows, Rows, bin_rows
from fedguide.errors import DataError, ProtocolError
from fedguide.protocol import Coordinator, Message, Replies, State, run
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical import glm_partner, sums
from fedguide.vertical.features import Columns, Feature, FeatureSpec, codes_of, fit_spec, neighbours
from fedguide.vertical.glm_messages import GlmBegin, GlmState
from fedguide.vertical.glm_partner import GlmEnv
from fedguide.vertical.scaling import SCALED_BITS, Scaling, fit_scaling, is_numeric, scaled_rows
from fedguide.vertical.sums import (
    AMOUNT_BITS,
    FeatureEnv,
    FeatureState,
    Parted,
    Rule,
    TakeSplits,
    counted_budget,
)

R = TypeVar("R")

_HALF_LIMITS = Limits(1 << 28)


@dataclass(frozen=True)
class PartnerHalves(State):
    """What a partner keeps of the models it served: it never leaves the partner.

    Attributes:
        spec: its bins.
        scaling: of scaled columns, if a GLM used them.
        rules: its rules of boosted trees.
        weights: its weights of a GLM, in fixed point, as bytes of int64.
    """

    spec: FeatureSpec
    scaling: Scaling | None
    rules: tuple[Rule, ...]
    weights: bytes | None = field(repr=False)


@dataclass(frozen=True)
class PartnerPlan:
    """What a partner allows.

    Attributes:
        most_bins: of one of its features.
        least_bin: fewest samples in a bin.
        least_common: fewest common customers.
        budget: sums over its table that it answers over the table's life.
        reveal_alignment: consents to GLMs, which tell it which rows are common.
        allow_plain: answers in the open: for tests and measurements.
        same_masks: see ``glm_channel.Held``.
        summed: columns whose sum over the common customers it tells; whole numbers in [0, 2^28).
    """

    most_bins: int = 32
    least_bin: int = 50
    least_common: int = 100
    budget: int = 1 << 20
    reveal_alignment: bool = False
    allow_plain: bool = False
    same_masks: bool = False
    summed: tuple[str, ...] = ()


class LocalPartner:
    """A partner in this process.

    Args:
        columns: its whole table, a row a customer.
        root: its own.
        plan: what it allows.
        spend: takes sums off the table's lifetime budget; in memory where it is left out.

    Raises:
        DataError: a column says nothing.
    """

    def __init__(
        self,
        columns: Columns,
        root: Root,
        plan: PartnerPlan | None = None,
        spend: Callable[[int], None] | None = None,
    ) -> None:
        self.plan = plan or PartnerPlan()
        self.spec = fit_spec(columns, self.plan.most_bins, self.plan.least_bin)
        self.codes = codes_of(self.spec, columns)
        self._columns, self._root = columns, root
        self._scaling: Scaling | None = None
        self._trees, self._glm = FeatureState(), GlmState()
        self._glm_env: GlmEnv | None = None
        self.tree_env = FeatureEnv(
            self.codes,
            self.spec.bins,
            Root(derive(root, "trees")),
            spend or counted_budget(self.plan.budget),
            allow_plain=self.plan.allow_plain,
            least_common=self.plan.least_common,
            most_budget=self.plan.budget,
            scaled=_numbers_scaled(columns),
            amounts=_amounts(columns, self.plan.summed),
        )

    @property
    def size(self) -> int:
        """Rows of its table."""
        return len(self.codes)

    def answer(self, message: Message) -> Message:
        """Its reply to a message of any model.

        Raises:
            RefusedError: its policy does not allow it.
            ProtocolError: the message has no place here.
        """
        if isinstance(message, GlmBegin):
            self._glm_env = self.glm_env_of(message.column_bits)
        if type(message).__name__.startswith("Glm"):
            if self._glm_env is None:
                raise ProtocolError("no GLM has begun")
            self._glm, reply = glm_partner.answer(self._glm_env, self._glm, message)
            return reply
        self._trees, reply = sums.answer(self.tree_env, self._trees, message)
        return reply

    def rule_of(self, number: int) -> tuple[Feature, Rule]:
        """What one of its rules asks: only the partner can say.

        Raises:
            ProtocolError: there is no such rule.
        """
        if not 0 <= number < len(self._trees.rules):
            raise ProtocolError(f"rules are 0 to {len(self._trees.rules) - 1}, asked for {number}")
        rule = self._trees.rules[number]
        return self.spec.features[rule.feature], rule

    def rule_bits(self) -> bytes:
        """Which rows of its table go left by each of its rules, packed one rule after another."""
        rules = self._trees.rules
        ask = TakeSplits(
            np.array([rule.feature for rule in rules], np.int64),
            np.array([rule.bin for rule in rules], np.int64),
            np.array([rule.missing_left for rule in rules], np.bool_),
        )
        env = replace(self.tree_env, codes=self.codes, bins=self.spec.bins)
        _, reply = sums.answer(env, FeatureState(), ask)
        if not isinstance(reply, Parted):
            raise ProtocolError("rules were not answered")
        return reply.left.tobytes()

    def save(self, path: Path) -> None:
        """Writes its half of the models; the file is for this partner alone."""
        path.write_bytes(encode(self.halves(self._trees, self._glm)))

    def halves(self, trees: FeatureState, glm: GlmState) -> PartnerHalves:
        """Its half of the models that these states ended with."""
        weights = glm.weights
        return PartnerHalves(
            self.spec,
            self._scaling,
            trees.rules,
            None if weights is None else weights.astype("<i8").tobytes(),
        )

    def load(self, path: Path) -> None:
        """Takes its half of saved models up again, over the same table.

        Raises:
            PayloadError: the file is not such a half.
        """
        allowed = (PartnerHalves, FeatureSpec, Feature, Scaling, Rule)
        halves = decode(path.read_bytes(), allowed, _HALF_LIMITS)
        self.spec, self._scaling = halves.spec, halves.scaling
        self.codes = codes_of(self.spec, self._columns)
        self._trees = FeatureState(rules=halves.rules)
        if halves.weights is not None:
            weights = np.frombuffer(halves.weights, "<i8").astype(np.int64)
            self._glm = GlmState(stage="ended", weights=weights)
            self._glm_env = self.glm_env_of(0 if halves.scaling is None else SCALED_BITS)

    def glm_env_of(self, column_bits: int) -> GlmEnv:
        """What it brings to a GLM over bins or over scaled columns."""
        rows: Rows = bin_rows(self.codes, self.spec.bins)
        chained: NDArray[np.bool_] | None = neighbours(self.spec)
        if column_bits == SCALED_BITS:
            self._scaling = self._scaling or fit_scaling(self._columns)
            rows, chained = scaled_rows(self._scaling, self._columns), None
        return GlmEnv(
            rows,
            column_bits,
            Root(derive(self._root, "glm")),
            chained,
            reveal_alignment=self.plan.reveal_alignment,
            allow_plain=self.plan.allow_plain,
            same_masks=self.plan.same_masks,
            least_common=self.plan.least_common,
        )


def _numbers_scaled(columns: Columns) -> DenseRows | None:
    """The columns that are numbers, scaled; ``None`` if none is."""
    numeric = {name: cells for name, cells in columns.items() if is_numeric(cells)}
    return scaled_rows(fit_scaling(numeric), numeric) if numeric else None


def _amounts(columns: Columns, names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """The columns that may be added up; ``None`` if there is none.

    Raises:
        DataError: a column is not there, or not of whole numbers in range.
    """
    for name in names:
        if name not in columns:
            raise DataError(f"there is no column {name!r} to add up")
        cells = np.asarray(columns[name], np.float64)
        if not ((cells >= 0) & (cells < 1 << 2 * AMOUNT_BITS) & (cells == np.rint(cells))).all():
            raise DataError(f"column {name} must hold whole numbers in [0, 2^{2 * AMOUNT_BITS})")
    return np.stack([np.asarray(columns[n], np.int64) for n in names]) if names else None


def drive(coordinator: Coordinator[R], partners: Mapping[PartyId, LocalPartner]) -> R:
    """Runs the label party's half against partners in this process; their errors are raised.

    Raises:
        FedGuideError: whatever a partner or the label party's half refuses.
    """
    return run(
        coordinator,
        lambda ask: Replies({p: partners[p].answer(message) for p, message in ask.to.items()}),
    )


def rows_of(
    partners: Mapping[PartyId, LocalPartner], rows: Mapping[PartyId, NDArray[np.int64]]
) -> dict[PartyId, NDArray[np.int64]]:
    """The common customers' rows at each partner, in the order of partners.

    Raises:
        ProtocolError: rows of a partner are missing, or beyond its table.
    """
    made = {}
    for party, partner in partners.items():
        if party not in rows:
            raise ProtocolError(f"{party}: align with it first; its rows are missing")
        made[party] = np.asarray(rows[party], np.int64)
        if len(made[party]) and not 0 <= made[party].min() <= made[party].max() < partner.size:
            raise ProtocolError(f"{party}: rows must be within its {partner.size}")
    return made
