"""Vertical models in the style of scikit-learn: ``fit``, ``predict``, ``get_params``.

The label party holds the estimator; partners are ``LocalPartner``s, and ``rows`` says where its
customers stand in their tables (see ``align``). A partner's half of a model stays in its object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Limits, decode, encode
from fedguide.crypto.rows import Rows, bin_rows
from fedguide.errors import ConfigError, DataError, NotFoundError
from fedguide.protocol import State
from fedguide.seeds import Root, derive
from fedguide.values import PartyId
from fedguide.vertical.features import Columns, Feature, FeatureSpec, codes_of, fit_spec, neighbours
from fedguide.vertical.glm import GlmModel, GlmPlan, GlmTables, fit_glm, glm_scores
from fedguide.vertical.histograms import Shape
from fedguide.vertical.learned import Learned, learned_from_glm, learned_from_trees
from fedguide.vertical.local import LocalPartner, drive, rows_of
from fedguide.vertical.objectives import Floats, Objective
from fedguide.vertical.scaling import SCALED_BITS, Scaling, fit_scaling, scaled_rows
from fedguide.vertical.sums import Scheme
from fedguide.vertical.trees import (
    LabelTable,
    PartnerHalf,
    TreeModel,
    TreePlan,
    grow,
    predict,
    sides_anew,
)

Partners: TypeAlias = Mapping[PartyId, LocalPartner]
CommonRows: TypeAlias = Mapping[PartyId, NDArray[np.int64]]
"""The label party's customers' rows in each partner's table, in the order of its own."""


@dataclass(frozen=True)
class LabelHalf(State):
    """The label party's half of a saved model.

    Attributes:
        classes: of a classifier, in order; empty for regression.
        spec: its own bins; without features if it has none.
        scaling: its own scaled columns.
        model: trees or weights.
    """

    classes: tuple[float, ...]
    spec: FeatureSpec
    scaling: Scaling | None
    model: TreeModel | GlmModel


@dataclass
class _Estimator:
    """What every estimator has: parameters by name, and what the last fit left."""

    half_: LabelHalf | None = field(default=None, init=False, repr=False)
    report_: tuple[Learned, ...] = field(default=(), init=False, repr=False)

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Its parameters by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters by name.

        Raises:
            ConfigError: there is no such parameter.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ConfigError(f"there is no parameter {name!r}; there are {', '.join(known)}")
            setattr(self, name, value)
        return self

    def privacy_report(self) -> tuple[Learned, ...]:
        """What each party learned from the last fit."""
        return self.report_


@dataclass
class _Trees(_Estimator):
    """Parameters as in ``TreePlan``."""

    trees: int = 30
    depth: int = 3
    learning_rate: float = 0.3
    l2: float = 1.0
    least_gain: float = 0.0
    least_hessian: float = 1.0
    gradient_bits: int = 16
    least_node: int = 200
    subsample: float = 1.0
    patience: int | None = None
    most_bins: int = 32
    least_bin: int = 50
    scheme: Scheme = "lattice"
    hide_choice: bool = True


@dataclass
class VerticalGBDTClassifier(_Trees):
    """Boosted trees for two or more classes; parameters as in ``TreePlan``."""

    def fit(
        self,
        columns: Columns,
        labels: Sequence[float] | Floats,
        partners: Partners,
        rows: CommonRows,
        root: Root,
        validation: NDArray[np.bool_] | None = None,
    ) -> VerticalGBDTClassifier:
        """Grows the trees over the common customers.

        Args:
            columns: the label party's own, a row a common customer; may be empty.
            labels: one a row.
            partners: by name.
            rows: the same customers' rows at each partner.
            root: the label party's own, fresh for every fit.
            validation: customers that grow nothing and tell when to stop.

        Raises:
            FedGuideError: tables or labels are unusable, or a partner refuses.
        """
        classes, codes = _classes(labels)
        objective: Objective = "binary" if len(classes) == 2 else "multiclass"
        self.half_, self.report_ = _grown(
            self, objective, classes, columns, codes, partners, rows, root, validation
        )
        return self

    def predict_proba(self, columns: Columns, rows: CommonRows) -> Floats:
        """The chance of each class, shape ``(c, classes)``; nobody is asked.

        Raises:
            NotFoundError: it is not fitted.
            DataError: columns or rows do not fit.
        """
        shares = _tree_values(_fitted(self.half_), columns, rows)
        if len(shares) == 1:
            shares = np.concatenate([1 - shares, shares])
        by_customer: Floats = shares.T
        return by_customer

    def predict(self, columns: Columns, rows: CommonRows) -> Floats:
        """The likeliest class of each customer.

        Raises:
            NotFoundError, DataError: see ``predict_proba``.
        """
        classes = np.array(_fitted(self.half_).classes)
        likeliest: Floats = classes[self.predict_proba(columns, rows).argmax(1)]
        return likeliest


@dataclass
class VerticalGBDTRegressor(_Trees):
    """Boosted trees for a number; parameters as in ``TreePlan``."""

    def fit(
        self,
        columns: Columns,
        labels: Sequence[float] | Floats,
        partners: Partners,
        rows: CommonRows,
        root: Root,
        validation: NDArray[np.bool_] | None = None,
    ) -> VerticalGBDTRegressor:
        """Grows the trees; arguments and errors as ``VerticalGBDTClassifier.fit``."""
        numbers = np.asarray(labels, np.float64)
        self.half_, self.report_ = _grown(
            self, "regression", (), columns, numbers, partners, rows, root, validation
        )
        return self

    def predict(self, columns: Columns, rows: CommonRows) -> Floats:
        """The expected number of each customer; nobody is asked.

        Raises:
            NotFoundError: it is not fitted.
            DataError: columns or rows do not fit.
        """
        numbers: Floats = _tree_values(_fitted(self.half_), columns, rows)[0]
        return numbers


@dataclass
class VerticalGLM(_Estimator):
    """A linear or logistic model in shares; parameters as in ``GlmPlan``.

    ``kind`` is ``bins`` (one-hot, any shape) or ``scaled`` (lines, one partner). Labels of
    two values 0 and 1 with ``objective="binary"``, numbers with ``"regression"``.
    """

    objective: str = "binary"
    steps: int = 60
    l2: float = 1.0
    smooth: float = 100.0
    kind: str = "bins"
    most_bins: int = 12
    least_bin: int = 50
    scheme: Scheme = "lattice"
    reveal_alignment: bool = False
    same_masks: bool = False
    partners_: Partners = field(default_factory=dict, init=False, repr=False)

    def fit(
        self,
        columns: Columns,
        labels: Sequence[float] | Floats,
        partners: Partners,
        rows: CommonRows,
        root: Root,
    ) -> VerticalGLM:
        """Fits the weights over the common customers; arguments as the trees' ``fit``.

        Raises:
            ConfigError: no partner, no consent, or a parameter out of range.
            FedGuideError: tables or labels are unusable, or a partner refuses.
        """
        if self.kind not in ("bins", "scaled"):
            raise ConfigError(f"kind must be bins or scaled, got {self.kind!r}")
        plan = GlmPlan(
            self.objective,  # type: ignore[arg-type]  # the plan checks it
            self.steps,
            self.l2,
            self.smooth,
            self.scheme,
            self.reveal_alignment,
            self.same_masks,
        )
        spec, scaling = FeatureSpec(()), None
        if self.kind == "scaled":
            scaling = fit_scaling(columns)
        else:
            spec = fit_spec(columns, self.most_bins, self.least_bin)
        own = _own_rows(spec, scaling, columns)
        bits = 0 if scaling is None else SCALED_BITS
        numbers = np.asarray(labels, np.float64)
        chained = neighbours(spec) if scaling is None else None
        table = GlmTables(numbers, own, bits, rows_of(partners, rows), chained)
        model, report = drive(fit_glm(table, plan, root), partners)
        classes = (0.0, 1.0) if self.objective == "binary" else ()
        self.half_ = LabelHalf(classes, spec, scaling, model)
        self.report_ = learned_from_glm(self.scheme, report, len(table.labels))
        self.partners_ = partners
        return self

    def decision_function(self, columns: Columns, rows: CommonRows) -> Floats:
        """Scores; partners give their part of each.

        Raises:
            NotFoundError: it is not fitted.
            DataError, ProtocolError: columns or rows do not fit.
        """
        half = _fitted(self.half_)
        if not isinstance(half.model, GlmModel):
            raise NotFoundError("this half is one of trees")
        own = _own_rows(half.spec, half.scaling, columns)
        return drive(glm_scores(half.model, own, rows_of(self.partners_, rows)), self.partners_)

    def predict_proba(self, columns: Columns, rows: CommonRows) -> Floats:
        """The chance of 0 and of 1 by the linear sigmoid, shape ``(c, 2)``.

        Raises:
            ConfigError: it is a regression.
            NotFoundError, DataError, ProtocolError: see ``decision_function``.
        """
        if self.objective != "binary":
            raise ConfigError("a regression has no probabilities")
        ones = np.clip(0.5 + self.decision_function(columns, rows) / 4, 0, 1)
        return np.stack([1 - ones, ones], 1)

    def predict(self, columns: Columns, rows: CommonRows) -> Floats:
        """The likelier of 0 and 1, or the expected number.

        Raises:
            NotFoundError, DataError, ProtocolError: see ``decision_function``.
        """
        scores = self.decision_function(columns, rows)
        return (scores > 0).astype(np.float64) if self.objective == "binary" else scores


def save_half(half: LabelHalf | None, path: Path) -> None:
    """Writes the label party's half of a fitted model; partners keep theirs.

    Raises:
        NotFoundError: nothing is fitted.
    """
    payload = encode(_fitted(half))
    path.write_bytes(payload)


def load_half(path: Path) -> LabelHalf:
    """Reads the label party's half.

    Raises:
        PayloadError: the file is no such half.
    """
    kinds = (LabelHalf, FeatureSpec, Feature, Scaling, TreeModel, PartnerHalf, GlmModel)
    half: LabelHalf = decode(path.read_bytes(), kinds, Limits(1 << 30))
    return half


def refreshed(half: LabelHalf, partners: Partners, root: Root) -> LabelHalf:
    """The half with its partners' rules answered anew over the tables they have now.

    A partner answers its own rules for every row of its table, as it did in training; those of
    hidden choices it is asked for in the same way again. ``root`` is the label party's own, fresh.

    Raises:
        NotFoundError: a partner is missing.
    """
    if not isinstance(half.model, TreeModel):
        return half
    parts = []
    for part in half.model.partners:
        if part.party not in partners:
            raise NotFoundError(f"this model needs {part.party} too")
        partner = partners[part.party]
        if part.asked:
            own = Root(derive(root, "refreshed", part.party))
            parts.append(drive(sides_anew(part, own), {part.party: partner}))
        else:
            parts.append(PartnerHalf(part.party, partner.size, partner.rule_bits()))
    model = dataclasses.replace(half.model, partners=tuple(parts))
    return dataclasses.replace(half, model=model)


_MORE = ("subsample", "patience", "scheme", "hide_choice")


def _grown(
    plan_of: _Trees,
    objective: Objective,
    classes: tuple[float, ...],
    columns: Columns,
    labels: Floats,
    partners: Partners,
    rows: CommonRows,
    root: Root,
    validation: NDArray[np.bool_] | None,
) -> tuple[LabelHalf, tuple[Learned, ...]]:
    """Trees by an estimator's parameters, and what was learned."""
    shape = Shape(plan_of.l2, plan_of.least_gain, plan_of.least_hessian)
    names = ("trees", "depth", "learning_rate", "gradient_bits", "least_node")
    values = {name: getattr(plan_of, name) for name in (*names, *_MORE)}
    plan = TreePlan(shape=shape, objective=objective, **values)
    spec = fit_spec(columns, plan_of.most_bins, plan_of.least_bin) if columns else FeatureSpec(())
    codes = _codes(spec, columns, len(labels))
    table = LabelTable(labels, codes, spec.bins, rows_of(partners, rows), validation)
    budget = min((partner.plan.budget for partner in partners.values()), default=1)
    model, report = drive(grow(table, plan, root, budget=budget), partners)
    return LabelHalf(classes, spec, None, model), learned_from_trees(plan, report, len(labels))


def _tree_values(half: LabelHalf, columns: Columns, rows: CommonRows) -> Floats:
    """Probabilities or values, shape ``(classes, c)``."""
    if not isinstance(half.model, TreeModel):
        raise NotFoundError("this half is one of a GLM")
    count = next((len(cells) for cells in (*columns.values(), *rows.values())), 0)
    return predict(half.model, _codes(half.spec, columns, count), rows)


def _codes(spec: FeatureSpec, columns: Columns, count: int) -> NDArray[np.uint16]:
    """Own bins; none where the label party has labels alone."""
    if not spec.features:
        return np.zeros((count, 0), np.uint16)
    return codes_of(spec, columns)


def _own_rows(spec: FeatureSpec, scaling: Scaling | None, columns: Columns) -> Rows:
    """Own columns as rows, of bins or scaled."""
    if scaling is not None:
        return scaled_rows(scaling, columns)
    return bin_rows(codes_of(spec, columns), spec.bins)


def _classes(labels: Sequence[float] | Floats) -> tuple[tuple[float, ...], Floats]:
    """The classes in order, and each label's number among them.

    Raises:
        DataError: there is none, one is missing, or all are the same.
    """
    numbers = np.asarray(labels, np.float64)
    if not len(numbers) or not np.isfinite(numbers).all():
        missing = int((~np.isfinite(numbers)).sum())
        raise DataError(f"a classifier needs labels: {len(numbers)} are there, {missing} missing")
    classes, places = np.unique(numbers, return_inverse=True)
    if len(classes) < 2:
        raise DataError("all labels are the same: there is nothing to learn")
    return tuple(classes.tolist()), places.astype(np.float64)


def _fitted(half: LabelHalf | None) -> LabelHalf:
    """The fitted half.

    Raises:
        NotFoundError: there is none.
    """
    if half is None:
        raise NotFoundError("this model is not fitted", hint="call fit, or load a saved half")
    return half
