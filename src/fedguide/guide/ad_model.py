"""How likely a shopper clicks an ad: two models, one that knows the shopper and one that does not.

Both are ``models.ctr`` over the item's own features and the slot; the first also over what the
shopper did with the item, its category and its brand before. Whoever is new, or is not to be
profiled, is asked of the second, which never saw anything of anybody. Each is calibrated (Platt)
on later views than it learnt from, and judged on later ones still.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedguide.data.ad_log import AdLog
from fedguide.errors import DataError
from fedguide.guide.histories import Histories, history_for
from fedguide.models.auc import auc, log_loss
from fedguide.models.bootstrap import Interval
from fedguide.models.calibration import Calibration, calibration_error, fit_platt
from fedguide.models.ctr import Buckets, Ctr, CtrPlan, fit_ctr, hashed
from fedguide.models.encoders import History
from fedguide.values import BUY, Catalogue

Floats = NDArray[np.float64]

LEARNT, CALIBRATED = 0.6, 0.8
"""Shares of the views, by time, up to which is learnt and calibrated; the rest judges."""

LEAST_CLICKS = 20
"""Fewest clicks in each part: below it neither a curve nor a judgement means anything."""


@dataclass(frozen=True)
class Judged:
    """How good a model was on the last views.

    Attributes:
        views: how many there were.
        clicks: among them.
        auc: area, with its 95 % interval.
        log_loss: mean negative log likelihood.
        error: expected calibration error; ``raw_error`` before calibration.
    """

    views: int
    clicks: int
    auc: Interval
    log_loss: float
    error: float
    raw_error: float


@dataclass(frozen=True)
class Half:
    """One of the two models."""

    ctr: Ctr
    curve: Calibration = field(repr=False)
    judged: Judged


@dataclass(frozen=True)
class AdModel:
    """Both models and how features are hashed."""

    personal: Half
    plain: Half
    bits: int
    synthetic: bool

    def probabilities(
        self, catalogue: Catalogue, rows: NDArray[np.int64], history: History | None
    ) -> Floats:
        """Of a click on each item in slot 1, shape ``(k,)``; ``None`` asks the plain model."""
        half = self.plain if history is None else self.personal
        asked = [hashed(features(catalogue, int(row), 1, history), self.bits) for row in rows]
        return half.curve(half.ctr(asked))


def features(catalogue: Catalogue, row: int, slot: int, history: History | None) -> list[str]:
    """What a click depends on, as texts; nothing of a shopper without a history."""
    price, shelf, brand = (
        float(catalogue.prices[row]),
        catalogue.categories[row],
        catalogue.brands[row],
    )
    made = [f"item={catalogue.ids[row]}", f"shelf={shelf}", f"brand={brand}", f"slot={slot}"]
    made.append(f"price={int(np.log2(price)) if price > 0 else 'none'}")
    if history is None:
        return made
    known = history.items[history.items >= 0]
    kinds = history.kinds[history.items >= 0]
    same = known == row
    on_shelf = np.array(
        [catalogue.categories[other] == shelf for other in known.tolist()], np.bool_
    )
    on_shelf = on_shelf if len(known) else np.zeros(0, np.bool_)
    return [
        *made,
        f"active={_step(len(known))}",
        f"same={_step(int(same.sum()))}",
        f"same bought={bool((same & (kinds == BUY)).any())}",
        f"on shelf={_step(int(on_shelf.sum()))}",
        f"shelf bought={bool((on_shelf & (kinds == BUY)).any())}",
        f"knows brand={any(catalogue.brands[other] == brand for other in set(known.tolist()))}",
    ]


def before(history: History | None, day: int) -> History | None:
    """What was known of a shopper before a day."""
    if history is None:
        return None
    earlier = history.days < day
    return History(history.items[earlier], history.kinds[earlier], history.days[earlier])


def fit_ad_model(
    log: AdLog, histories: Histories, catalogue: Catalogue, plan: CtrPlan | None = None
) -> AdModel:
    """Learns both models from a log whose items are rows of ``catalogue``.

    Raises:
        DataError: a part of the log has fewer than ``LEAST_CLICKS`` clicks.
    """
    plan = plan or CtrPlan()
    parts = np.searchsorted(np.arange(len(log)) / max(len(log), 1), (LEARNT, CALIBRATED))
    for name, part in zip(
        ("learn", "calibrate", "judge"), np.split(log.clicked, parts), strict=True
    ):
        if part.sum() < LEAST_CLICKS or (~part).sum() < LEAST_CLICKS:
            raise DataError(
                f"{int(part.sum())} clicks in {len(part)} views to {name} by, at least "
                f"{LEAST_CLICKS} are needed",
                hint="a longer log of ad_view and ad_click",
            )

    def known(at: int) -> History | None:
        return before(history_for(histories, log.shoppers[at]), int(log.days[at]))

    def half(history: Callable[[int], History | None]) -> Half:
        asked = [
            hashed(features(catalogue, int(row), int(slot), history(at)), plan.bits)
            for at, (row, slot) in enumerate(zip(log.items, log.slots, strict=True))
        ]
        return _half(asked, log.clicked.astype(np.float64), parts, plan)

    return AdModel(half(known), half(lambda _: None), plan.bits, log.synthetic)


def _half(asked: list[Buckets], clicks: Floats, parts: NDArray[np.intp], plan: CtrPlan) -> Half:
    """Learnt on the first part, calibrated on the second, judged on the third."""
    first, second = (int(part) for part in parts)
    ctr = fit_ctr(asked[:first], clicks[:first], plan)
    curve = fit_platt(clicks[first:second], ctr(asked[first:second]))
    # The curve is from views that were not learnt from; now those are learnt from as well.
    ctr = fit_ctr(asked[:second], clicks[:second], plan)
    scores, done = ctr(asked[second:]), clicks[second:]
    said = curve(scores)
    raw = replace(curve, curve=replace(curve.curve, weights=np.ones(1), intercept=0.0))(scores)
    judged = Judged(
        len(done),
        int(done.sum()),
        auc(done, said),
        log_loss(done, said),
        calibration_error(done, said),
        calibration_error(done, raw),
    )
    return Half(ctr, curve, judged)


def _step(count: int) -> int:
    """A count in steps of powers of two."""
    return int(count).bit_length()
