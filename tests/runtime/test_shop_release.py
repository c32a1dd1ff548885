"""A shop serves each slate by the model that was better for it on its own validation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fedguide.models.encoders import History
from fedguide.models.evaluate import SETTINGS
from fedguide.models.fit import first_params
from fedguide.models.scorer import slate_scores
from fedguide.models.served import SLATE_OF
from fedguide.runtime.shop_release import ShopRelease, shop_release
from fedguide.values import BUY

from .tiny import PLAN, shops, speaking

SEED = 3
TRAIN = replace(PLAN.train, rounds=1, fine_tune_rounds=0)
HISTORY = History(
    np.array([0, 1], np.int32), np.full(2, BUY, np.uint8), np.array([50, 55], np.int32)
)

Kept = tuple[bool, bool]


@pytest.fixture(scope="module")
def made() -> Mapping[Kept, ShopRelease]:
    """A release for each answer of the gate, setting by setting."""
    shop, found = shops()[0], {}
    params = first_params(TRAIN.guide, 9)
    for kept in itertools.product((True, False), repeat=len(SETTINGS)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fedguide.runtime.shop_release.fit_blend", speaking())
            patch.setattr(
                "fedguide.runtime.shop_release.keeps_slates",
                lambda gains, kept=kept: {
                    (setting, name): keeps
                    for setting, keeps in zip(SETTINGS, kept, strict=True)
                    for name in gains
                },
            )
            found[kept] = shop_release(shop, params, 4, TRAIN, SEED, lambda: 0.0)
    return found


def test_one_network_is_served_where_both_slates_keep_it(made: Mapping[Kept, ShopRelease]) -> None:
    for kept, word, rounds in (((True, True), "together", 4), ((False, False), "alone", 1)):
        assert made[kept].chosen == word
        assert made[kept].rounds == rounds
        assert made[kept].model.aside is None


@pytest.mark.parametrize("kept", [(True, False), (False, True)])
def test_each_slate_is_served_and_measured_by_what_it_kept(
    made: Mapping[Kept, ShopRelease], kept: Kept
) -> None:
    release, model = made[kept], made[kept].model
    words = {True: "together", False: "alone"}
    assert release.chosen == {
        SLATE_OF[setting]: words[keeps] for setting, keeps in zip(SETTINGS, kept, strict=True)
    }
    assert release.rounds == 4
    assert model.aside is not None
    assert model.aside.slate == SLATE_OF[SETTINGS[kept.index(False)]]
    for setting, keeps in zip(SETTINGS, kept, strict=True):
        mine, other = made[keeps, keeps], made[not keeps, not keeps]
        slate = SLATE_OF[setting]
        scores = slate_scores(model, HISTORY, 60, slate)
        np.testing.assert_array_equal(scores, slate_scores(mine.model, HISTORY, 60, slate))
        assert not np.array_equal(scores, slate_scores(other.model, HISTORY, 60, slate))
        measured = [m for m in release.metrics if m.setting == setting]
        assert measured == [m for m in mine.metrics if m.setting == setting]
        assert len(measured) == 1
