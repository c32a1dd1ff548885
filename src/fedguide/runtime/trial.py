"""Whom a treatment moves, learnt from a randomised trial and judged on people it was not learnt on.

One half of the people, drawn by a seed, teaches: the shop alone by an X-learner over its columns in
bins (``models.uplift``); with partners by a T-learner whose two outcome models are host-blind
boosted trees over all parties' columns (``vertical.trees``): treatment, outcome and who was in the
trial stay with the shop. The other half judges: the average effect, the Qini coefficient, uplift by
tenth of predicted uplift, and what those who would be addressed gained. Who was treated must not be
predictable from the columns, or it was no random trial and nothing here would be true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.rows import bin_rows
from fedguide.errors import DataError
from fedguide.models.auc import auc
from fedguide.models.bootstrap import Interval
from fedguide.models.logistic import fit_logistic
from fedguide.models.qini import TreatRow, qini_coefficients, treat_table
from fedguide.models.uplift import check_trial, logistic_learner, ridge_learner, x_learner
from fedguide.seeds import Root, derive, seeded_root, stream
from fedguide.values import PartyId
from fedguide.vertical.estimators import VerticalGBDTClassifier, VerticalGBDTRegressor
from fedguide.vertical.features import Columns, codes_of, fit_spec, speaking
from fedguide.vertical.learned import Learned
from fedguide.vertical.local import LocalPartner

Floats = NDArray[np.float64]

LEAST_ARM = 200
"""Fewest people of an arm on either half: below it every figure is a guess."""

_MOST_BINS = 12
_TREES, _DEPTH, _RATE = 30, 3, 0.1  # as measured on Hillstrom's trial (benchmarks/uplift.py)
_PREDICTABLE = 0.55  # lower end of the interval of the AUC with which the treatment is told


@dataclass(frozen=True)
class Trial:
    """The shop's side of a trial, n people.

    Attributes:
        columns: known before the treatment.
        treated: who was, at random, shape ``(n,)``.
        outcomes: shape ``(n,)``.
    """

    columns: Columns = field(repr=False)
    treated: NDArray[np.bool_] = field(repr=False)
    outcomes: Floats = field(repr=False)


@dataclass(frozen=True)
class Addressed:
    """Those of the judging half whose predicted uplift is above what a treatment costs.

    Attributes:
        share: of the judging half.
        uplift: measured, of them; ``None`` where an arm has fewer than two of them.
        rest: measured, of the others.
    """

    share: float
    uplift: Interval | None
    rest: Interval | None


@dataclass(frozen=True)
class Uplift:
    """What a trial says.

    Attributes:
        scores: predicted uplift of everybody, shape ``(n,)``.
        judged: who judged, shape ``(n,)``.
        effect: of treating everybody, measured on the judging half.
        qini: coefficient of the scores.
        qini_alone: of the shop's columns alone, with partners; ``None`` without.
        tenths: uplift by tenth of predicted uplift, of the judging half.
        addressed: see ``Addressed``.
        telling: AUC with which the columns tell who was treated; 1/2 in a random trial.
        learned: what each party learned, with partners.
    """

    scores: Floats = field(repr=False)
    judged: NDArray[np.bool_] = field(repr=False)
    effect: Interval
    qini: Interval
    qini_alone: Interval | None
    tenths: tuple[TreatRow, ...]
    addressed: Addressed
    telling: Interval
    learned: tuple[Learned, ...]


def judge_trial(
    trial: Trial,
    partners: Mapping[PartyId, LocalPartner],
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
    *,
    seed: int = 7,
    cost: float = 0.0,
    draws: int = 200,
) -> Uplift:
    """Learns whom the treatment moves, and how well that is known.

    Args:
        trial: the shop's side.
        partners: who has other columns of the same people; may be empty.
        rows: those people's rows at each of them.
        root: the shop's own, fresh.
        seed: who teaches and who judges; draws of the bootstrap.
        cost: outcome that a treatment must bring to be worth it.
        draws: of the bootstrap.

    Raises:
        DataError: it is no trial, an arm is too small, or the treatment can be predicted.
        RefusedError: a partner refuses.
    """
    columns, judged = speaking(trial.columns), _judging(trial, seed)
    if not columns:
        raise DataError("no column of the trial says anything: all are constant or missing")
    hot = _one_hot(columns, ~judged)
    telling = _telling(hot, trial.treated, judged)
    scores = alone = _alone(hot, trial, judged)
    learned: tuple[Learned, ...] = ()
    if partners:
        scores, learned = _together(columns, trial, judged, partners, rows, root)
    treated, outcomes = trial.treated[judged], trial.outcomes[judged]
    compared = [scores[judged], alone[judged]] if partners else [scores[judged]]
    rng = stream(seeded_root(seed, "trial"), "bootstrap")
    found, _ = qini_coefficients(compared, treated, outcomes, rng, draws)
    whole = np.zeros(int(judged.sum()))
    return Uplift(
        scores,
        judged,
        treat_table(whole, treated, outcomes, 1)[0].uplift,
        found[0],
        found[1] if partners else None,
        tuple(treat_table(scores[judged], treated, outcomes)),
        _addressed(scores[judged] > cost, treated, outcomes),
        telling,
        learned,
    )


def _judging(trial: Trial, seed: int) -> NDArray[np.bool_]:
    """Half of the people.

    Raises:
        DataError: these are not two arms of enough people.
    """
    count = len(trial.outcomes)
    check_trial(trial.treated, trial.outcomes, count)
    judged: NDArray[np.bool_] = stream(seeded_root(seed, "trial"), "judged").random(count) < 0.5
    for half in (judged, ~judged):
        for arm, name in ((trial.treated, "treated"), (~trial.treated, "control")):
            there = int((half & arm).sum())
            if there < LEAST_ARM:
                raise DataError(
                    f"{there} {name} people on one half, at least {LEAST_ARM} are needed",
                    hint="a larger trial: half of it teaches, half judges",
                )
    return judged


def _one_hot(columns: Columns, teaches: NDArray[np.bool_]) -> Floats:
    """Bins of the columns, cut by those who teach, a column each: shape ``(n, bins)``."""
    spec = fit_spec({name: np.asarray(c)[teaches] for name, c in columns.items()}, _MOST_BINS)
    bins = bin_rows(codes_of(spec, columns), spec.bins)
    return bins.dense(slice(None), slice(None)).T.astype(np.float64)


def _telling(hot: Floats, treated: NDArray[np.bool_], judged: NDArray[np.bool_]) -> Interval:
    """How well the columns tell who was treated.

    Raises:
        DataError: too well for a random trial.
    """
    arms = treated.astype(np.float64)
    found = auc(arms[judged], fit_logistic(hot[~judged], arms[~judged])(hot[judged]))
    if found.low > _PREDICTABLE:
        raise DataError(
            f"the columns tell who was treated (AUC {found.value:.3f}, 95 % from {found.low:.3f}): "
            "that is no random trial, or a column was written after the treatment",
            hint="--without COLUMN for what the treatment may have changed",
        )
    return found


def _alone(hot: Floats, trial: Trial, judged: NDArray[np.bool_]) -> Floats:
    """Predicted uplift of everybody by the shop's columns."""
    learn = logistic_learner() if _is_binary(trial.outcomes) else ridge_learner()
    taught = ~judged
    model = x_learner(hot[taught], trial.treated[taught], trial.outcomes[taught], learn)
    return model(hot)


def _together(
    columns: Columns,
    trial: Trial,
    judged: NDArray[np.bool_],
    partners: Mapping[PartyId, LocalPartner],
    rows: Mapping[PartyId, NDArray[np.int64]],
    root: Root,
) -> tuple[Floats, tuple[Learned, ...]]:
    """Predicted uplift of everybody by all parties' columns, and what each party learned."""
    parts, learned = [], []
    for arm, name in ((trial.treated, "treated"), (~trial.treated, "control")):
        taught = ~judged & arm
        model: VerticalGBDTClassifier | VerticalGBDTRegressor
        if _is_binary(trial.outcomes):
            model = VerticalGBDTClassifier(_TREES, _DEPTH, _RATE)
        else:
            model = VerticalGBDTRegressor(_TREES, _DEPTH, _RATE)
        mine = {column: np.asarray(cells)[taught] for column, cells in columns.items()}
        theirs = {party: there[taught] for party, there in rows.items()}
        own = Root(derive(root, "arm", name))
        model.fit(mine, trial.outcomes[taught], partners, theirs, own)
        if isinstance(model, VerticalGBDTClassifier):
            parts.append(model.predict_proba(columns, rows)[:, 1])
        else:
            parts.append(model.predict(columns, rows))
        learned += list(model.privacy_report())
    return parts[0] - parts[1], tuple(dict.fromkeys(learned))


def _addressed(
    chosen: NDArray[np.bool_], treated: NDArray[np.bool_], outcomes: Floats
) -> Addressed:
    """What those who would be addressed gained, and the others."""
    return Addressed(
        float(chosen.mean()),
        _effect(treated[chosen], outcomes[chosen]),
        _effect(treated[~chosen], outcomes[~chosen]),
    )


def _effect(treated: NDArray[np.bool_], outcomes: Floats) -> Interval | None:
    """The difference of both arms; ``None`` where one has fewer than two people."""
    if min(int(treated.sum()), int((~treated).sum())) < 2:
        return None
    return treat_table(np.zeros(len(outcomes)), treated, outcomes, 1)[0].uplift


def _is_binary(outcomes: Floats) -> bool:
    """Are all outcomes 0 or 1?"""
    return bool(np.isin(outcomes, (0.0, 1.0)).all())
