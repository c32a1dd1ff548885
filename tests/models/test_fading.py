"""The table holds what the formulas give, and what is too old for it is worked out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedguide.models.encoders import event_weights
from fedguide.models.fading import DAYS, fading_of, look_up
from fedguide.models.scorer import OF_EVENTS, of_events
from fedguide.values import BUY, CART, KINDS, VIEW
from tests.guide.sample import a_model

MODEL = a_model(seed=2)
FADING = fading_of(MODEL)


@pytest.mark.parametrize("oldest", [0, 5, DAYS - 1, DAYS, 20_000])
def test_it_is_the_formulas(oldest: int) -> None:
    rng = np.random.default_rng(oldest)
    kinds = rng.integers(0, len(KINDS), 50).astype(np.uint8)
    ages = np.append(rng.integers(0, oldest + 1, 49), oldest).astype(np.int32)
    found = look_up(FADING, kinds, ages)
    days = ages.astype(np.float32)
    np.testing.assert_array_equal(found[:, :-1], of_events(MODEL, kinds, days))
    np.testing.assert_allclose(found[:, -1], event_weights(MODEL.network, kinds, days), rtol=1e-6)


def test_by_hand() -> None:
    kinds, ages = np.array([BUY, CART, VIEW], np.uint8), np.array([60, 30, 0], np.int32)
    found = dict(zip(OF_EVENTS, look_up(FADING, kinds, ages).T, strict=False))
    assert found["history"].tolist() == [1, 0, 0]
    assert found["returning"] == pytest.approx([math.exp(-1), 0, 0], rel=1e-6)
    assert found["interest"] == pytest.approx([0, math.exp(-1), 0.3], rel=1e-6)
    loud = [math.exp(-60 / 120), 0.5 * math.exp(-30 / 120), 0.2]
    assert found["loudness"] == pytest.approx(loud, rel=1e-6)


def test_no_events_at_all() -> None:
    empty = look_up(FADING, np.zeros(0, np.uint8), np.zeros(0, np.int32))
    assert empty.shape == (0, len(OF_EVENTS) + 1)
