"""What ``fedguide vertical`` does: files to parties, parties to models, models to folders."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fedguide.cli.parties import aligned
from fedguide.data.partner_file import Columns as PartnerColumns
from fedguide.errors import ConfigError, DataError, NotFoundError
from fedguide.models.auc import auc
from fedguide.seeds import fresh_root, seeded_root, stream
from fedguide.values import PartyId
from fedguide.vertical.estimators import (
    LabelHalf,
    VerticalGBDTClassifier,
    VerticalGBDTRegressor,
    VerticalGLM,
    load_half,
    refreshed,
    save_half,
)
from fedguide.vertical.features import FeatureSpec, speaking
from fedguide.vertical.glm import GlmModel
from fedguide.vertical.glm_step import FRACTION_BITS
from fedguide.vertical.keys import normalised, refuse_duplicates
from fedguide.vertical.local import LocalPartner, PartnerPlan
from fedguide.vertical.trees import LEAF, OWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model: TypeAlias = VerticalGBDTClassifier | VerticalGBDTRegressor | VerticalGLM

LABEL_FILE, PARTNER_FILE, REPORT_FILE = "label.fgc", "half.fgc", "report.json"


@dataclass(frozen=True)
class Wish:
    """What ``vertical train`` was asked for."""

    model: str
    objective: str
    scheme: str
    reveal_alignment: bool
    holdout: float
    seed: int
    trees: int
    depth: int
    learning_rate: float
    least_node: int
    steps: int
    hide_choice: bool


@dataclass(frozen=True)
class Joined:
    """The common customers: own cells and each partner's rows, in the same order."""

    keys: tuple[str, ...] = field(repr=False)
    cells: dict[str, Any] = field(repr=False)
    rows: dict[PartyId, NDArray[np.int64]] = field(repr=False)


def join(
    own: PartnerColumns, partners: Mapping[str, PartnerColumns], kind: str, epoch: str
) -> Joined:
    """The customers that every partner knows too.

    Raises:
        DataError: a key stands twice.
        RefusedError: too few are common.
    """
    refuse_duplicates(normalised(own.keys, kind), "the label party")  # type: ignore[arg-type]
    rows = aligned(own.keys, partners, kind, epoch) if partners else {}
    known = np.ones(len(own.keys), np.bool_)
    for there in rows.values():
        known &= there >= 0
    if not known.any():
        raise DataError("no customer is known to every party")
    at = np.flatnonzero(known)
    cells = {name: column[at] for name, column in own.cells.items()}
    return Joined(
        tuple(own.keys[i] for i in at), cells, {party: r[at] for party, r in rows.items()}
    )


def train(
    own: PartnerColumns,
    label: str,
    partners: Mapping[str, PartnerColumns],
    kind: str,
    wish: Wish,
    folder: Path,
) -> dict[str, Any]:
    """Aligns, trains, holds the model against the shop's own, and writes each side's half.

    Raises:
        FedGuideError: files, labels or options are unusable, or a partner refuses.
    """
    if label not in own.cells:
        raise DataError(
            f"the label party has no column {label!r}; it has {', '.join(own.cells)}",
            hint="--label NAME names the column to learn",
        )
    joined = join(own, partners, kind, str(folder))
    labels = label_numbers(joined.cells.pop(label), label)
    cells = speaking(joined.cells)
    held = stream(seeded_root(wish.seed, "vertical"), "held").random(len(labels)) < wish.holdout
    if held.all() or (wish.holdout and not held.any()):
        raise ConfigError(
            f"--holdout {wish.holdout} of {len(labels)} customers leaves a side empty"
        )
    halves = {PartyId(name): _partner(table, wish) for name, table in partners.items()}
    model = _fitted(_estimator(wish, len(np.unique(labels))), cells, labels, halves, joined, ~held)
    data = {
        "customers": len(labels),
        "held": int(held.sum()),
        "model": wish.model,
        "scheme": wish.scheme,
        "objective": wish.objective,
        "parties": {str(party): half.size for party, half in halves.items()},
        "learned": [dataclasses.asdict(fact) for fact in model.privacy_report()],
    }
    if held.any():
        data["quality"] = _quality(wish, model, cells, labels, joined, held)
    _write(folder, model, halves, data)
    return data


def score(
    folder: Path, own: PartnerColumns, partners: Mapping[str, PartnerColumns], kind: str
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Keys of the customers that can be scored, and their scores: chances, classes or numbers.

    Raises:
        NotFoundError: the folder holds no model, or not this partner's half.
        FedGuideError: files do not fit.
    """
    report = read_report(folder)
    missing = sorted(set(report["parties"]) - set(partners))
    if missing:
        raise ConfigError(
            f"this model needs {', '.join(missing)} too",
            hint="--partner NAME=FILE for each of them",
        )
    joined = join(own, partners, kind, str(folder))
    half = load_half(folder / LABEL_FILE)
    halves = {}
    for name in report["parties"]:
        partner = LocalPartner(partners[name].cells, fresh_root(os.urandom), _allowed(True))
        partner.load(folder / name / PARTNER_FILE)
        halves[PartyId(name)] = partner
    rows = {party: joined.rows[party] for party in halves}
    return joined.keys, _scores(half, report, joined.cells, halves, rows)


def read_report(folder: Path) -> dict[str, Any]:
    """What training wrote of a model.

    Raises:
        NotFoundError: there is none.
    """
    path = folder / REPORT_FILE
    if not path.is_file():
        raise NotFoundError(
            f"{folder} holds no vertical model", hint="fedguide vertical train … --out FOLDER"
        )
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return report


def _estimator(wish: Wish, classes: int) -> Model:
    """The model that was asked for."""
    if wish.model == "glm":
        return VerticalGLM(
            wish.objective,
            wish.steps,
            scheme=wish.scheme,  # type: ignore[arg-type]  # checked by the plan
            reveal_alignment=wish.reveal_alignment,
        )
    if wish.model != "gbdt":
        raise ConfigError(f"--model must be gbdt or glm, got {wish.model!r}")
    names = ("trees", "depth", "learning_rate", "least_node", "scheme", "hide_choice")
    params = {name: getattr(wish, name) for name in names}
    if wish.objective == "regression":
        return VerticalGBDTRegressor(**params)
    if wish.objective not in ("binary", "multiclass"):
        raise ConfigError(
            f"--objective must be binary, multiclass or regression, got {wish.objective!r}"
        )
    if wish.objective == "binary" and classes != 2:
        raise DataError(
            f"--objective binary needs labels of two values, got {classes}",
            hint="--objective multiclass, or regression",
        )
    return VerticalGBDTClassifier(**params)


def _fitted(
    model: Model,
    cells: dict[str, Any],
    labels: NDArray[np.float64],
    halves: Mapping[PartyId, LocalPartner],
    joined: Joined,
    chosen: NDArray[np.bool_],
) -> Model:
    """The model fitted to the chosen customers."""
    mine = {name: column[chosen] for name, column in cells.items()}
    rows = {party: joined.rows[party][chosen] for party in halves}
    return model.fit(mine, labels[chosen], halves, rows, fresh_root(os.urandom))


def _quality(
    wish: Wish,
    model: Model,
    cells: dict[str, Any],
    labels: NDArray[np.float64],
    joined: Joined,
    held: NDArray[np.bool_],
) -> dict[str, float]:
    """How good the model is on held customers, and trees of the label party's columns alone."""
    others = {name: column[held] for name, column in cells.items()}
    rows = {party: there[held] for party, there in joined.rows.items()}
    found = {"together": _measure(wish, model, others, rows, labels[held])}
    if cells:
        alone = _estimator(dataclasses.replace(wish, model="gbdt", least_node=1), len(set(labels)))
        alone = _fitted(alone, cells, labels, {}, joined, ~held)
        found["alone"] = _measure(wish, alone, others, {}, labels[held])
    name = {"binary": "auc", "multiclass": "accuracy", "regression": "r2"}[wish.objective]
    return {f"{name}_{key}": round(value, 4) for key, value in found.items()}


def _measure(
    wish: Wish,
    model: Model,
    cells: dict[str, Any],
    rows: dict[PartyId, NDArray[np.int64]],
    labels: NDArray[np.float64],
) -> float:
    """AUC, accuracy or the share of variance that is explained."""
    if wish.objective == "binary" and not isinstance(model, VerticalGBDTRegressor):
        ones = (labels == labels.max()).astype(np.float64)
        return auc(ones, model.predict_proba(cells, rows)[:, 1]).value
    found = model.predict(cells, rows)
    if wish.objective == "multiclass":
        return float((found == labels).mean())
    return float(1 - ((found - labels) ** 2).mean() / labels.var())


def _scores(
    half: LabelHalf,
    report: dict[str, Any],
    cells: dict[str, Any],
    halves: Mapping[PartyId, LocalPartner],
    rows: Mapping[PartyId, NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Chances of the upper class, classes, or numbers."""
    if report["model"] == "glm":
        glm = VerticalGLM(report["objective"])
        glm.half_, glm.partners_ = half, halves
        if report["objective"] == "binary":
            return glm.predict_proba(cells, rows)[:, 1]
        return glm.predict(cells, rows)
    return values_of(
        refreshed(half, halves, fresh_root(os.urandom)), report["objective"], cells, rows
    )


def values_of(
    half: LabelHalf,
    objective: str,
    cells: dict[str, Any],
    rows: Mapping[PartyId, NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Chances of the upper class, classes, or numbers by trees; nobody is asked."""
    if objective == "regression":
        regressor = VerticalGBDTRegressor()
        regressor.half_ = half
        return regressor.predict(cells, rows)
    classifier = VerticalGBDTClassifier()
    classifier.half_ = half
    if objective == "binary":
        return classifier.predict_proba(cells, rows)[:, 1]
    return classifier.predict(cells, rows)


def _partner(table: PartnerColumns, wish: Wish) -> LocalPartner:
    """A partner of these columns, with the user's consent in its name."""
    plan = _allowed(wish.reveal_alignment)
    plan = dataclasses.replace(plan, allow_plain=wish.scheme == "plain")
    if wish.model == "glm":
        plan = dataclasses.replace(plan, most_bins=12)
    return LocalPartner(speaking(table.cells), fresh_root(os.urandom), plan)


def _allowed(reveal_alignment: bool) -> PartnerPlan:
    """What a partner from a file allows: the one who holds the file said so."""
    return PartnerPlan(reveal_alignment=reveal_alignment)


def label_numbers(cells: NDArray[Any], name: str) -> NDArray[np.float64]:
    """The label column as numbers.

    Raises:
        DataError: it holds texts, or some are missing.
    """
    if cells.dtype.kind != "f":
        raise DataError(f"label column {name} holds texts; write classes as 0, 1, 2, …")
    labels: NDArray[np.float64] = cells
    if not np.isfinite(labels).all():
        gone = int((~np.isfinite(labels)).sum())
        raise DataError(f"{gone} of {len(labels)} labels are missing in column {name}")
    return labels


def _write(
    folder: Path, model: Model, halves: Mapping[PartyId, LocalPartner], data: dict[str, Any]
) -> None:
    """The label party's half, each partner's in a folder of its own, and the report."""
    folder.mkdir(parents=True, exist_ok=True)
    save_half(model.half_, folder / LABEL_FILE)
    for party, partner in halves.items():
        (folder / party).mkdir(exist_ok=True)
        partner.save(folder / party / PARTNER_FILE)
    (folder / REPORT_FILE).write_text(json.dumps(data, ensure_ascii=False, indent=1), "utf-8")


def weights_of(folder: Path) -> list[tuple[str, str, float]]:
    """What the label party's half holds of each of its features: (owner, feature, how much).

    Of trees the number of splits by each own feature and by each partner; of a GLM the spread of
    the feature's weights. What a partner's splits ask only the partner knows.
    """
    half = load_half(folder / LABEL_FILE)
    names = [feature.name for feature in half.spec.features] or (
        list(half.scaling.names) if half.scaling is not None else []
    )
    model = half.model
    if isinstance(model, GlmModel):
        found = [("you", *row) for row in _spreads(half.spec, names, model.weights)]
        return sorted(found, key=lambda row: -row[2])
    owners = ["you", *(part.party for part in model.partners)]
    counts: dict[tuple[str, str], int] = {}
    for owner, feature in zip(model.owner.tolist(), model.feature.tolist(), strict=True):
        if owner != LEAF:
            key = (owners[owner + 1], names[feature] if owner == OWN else "(its splits)")
            counts[key] = counts.get(key, 0) + 1
    return sorted(((*key, float(n)) for key, n in counts.items()), key=lambda row: -row[2])


def _spreads(
    spec: FeatureSpec, names: Sequence[str], weights: NDArray[np.int64]
) -> list[tuple[str, float]]:
    """Largest minus smallest weight of each feature's bins, or the size of its one weight."""
    real = weights / 2.0**FRACTION_BITS
    if not spec.features:
        return [(name, abs(float(w))) for name, w in zip(names, real, strict=True)]
    parts = np.split(real, np.cumsum(spec.bins)[:-1])
    return [(name, float(np.ptp(part))) for name, part in zip(names, parts, strict=True)]
