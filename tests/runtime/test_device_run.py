"""A rehearsal from market to judgement: seeded, timed by its own clock, refused if wrong."""

import numpy as np
import pytest

from fedguide.errors import ConfigError
from fedguide.models.plan import GuidePlan
from fedguide.models.text import TextSpec
from fedguide.runtime.device_run import DevicePlan, rehearse
from fedguide.runtime.rehearsal import Habits

GUIDE = GuidePlan(text=TextSpec(buckets=256), size=8, events=30, lines=8, batch=64)
PLAN = DevicePlan(
    60, 20, 2, warm_rounds=0, habits=Habits(dropout=0.3), deadline_s=30, guide=GUIDE, seed=1
)


def test_a_rehearsal_tells_what_came_of_it() -> None:
    stages: list[tuple[str, int, int]] = []
    found = rehearse(PLAN, lambda: 0.0, lambda *step: stages.append(step))
    assert 0 < found.clients <= 60
    assert [report.round for report in found.history] == [1, 2]
    assert stages[-1] == ("clients", 2, 2)
    for report in found.history:
        assert len(report.parties) + len(report.missing) == 20
        assert np.isfinite(report.loss)
    # Somebody dropped out of each round: it waited to its deadline.
    assert all(any(m.detail == "dropped out" for m in r.missing) for r in found.history)
    assert found.virtual_s == 60
    assert set(found.before) == set(found.after)
    assert found.cases > 0
    assert found.adapter == 8 * 8 + 8 + 6 + 4 + 3  # shopper, start, kind, decay, terms
    again = rehearse(PLAN, lambda: 0.0)
    assert again.after == found.after != found.before


@pytest.mark.parametrize(
    "bad",
    [
        {"clients": 0},
        {"cohort": 0},
        {"rounds": 0},
        {"warm_rounds": -1},
        {"deadline_s": 0.0},
        {"quorum": 0.0},
    ],
)
def test_plans_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        DevicePlan(**{"clients": 5, **bad})  # type: ignore[arg-type]
