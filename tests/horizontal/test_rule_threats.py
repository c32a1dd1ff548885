"""The rows of the threat table: one for every robust rule, and true to what the code declares."""

import pytest

from fedguide.horizontal.median import MEDIAN
from fedguide.horizontal.names import AGGREGATORS, ROBUST_RULES
from fedguide.horizontal.packing import Bounds, weighted_packing
from fedguide.horizontal.robust import bucketed, robust_mean
from fedguide.horizontal.rule_threats import ROBUST_THREATS, UNDOING
from fedguide.horizontal.summed import open_sum

ROWS = {row.aggregator: row for row in ROBUST_THREATS}


def test_every_robust_aggregator_has_one_row():
    robust = {name for name in AGGREGATORS if name.endswith(tuple(ROBUST_RULES))}
    assert robust <= set(ROWS)
    assert len(ROBUST_THREATS) == len(ROWS) == 3 * len(ROBUST_RULES)


@pytest.mark.parametrize("name", ROBUST_RULES)
def test_a_row_names_the_condition_of_its_rule_and_what_is_seen(name):
    rule = ROBUST_RULES[name]
    single, buckets, masked = (
        ROWS[f"{kind}{name}"] for kind in ("", "bucketed_", "masked_bucketed_")
    )
    assert all(rule.condition in row.needs for row in (single, buckets, masked))
    assert "every party's update" in single.learns
    assert "every party's update" in buckets.learns
    assert "sum of each bucket of 3 or more parties and no single update" in masked.learns


def test_what_is_seen_is_what_the_aggregators_declare():
    assert robust_mean(MEDIAN, 0).sees == "each update"
    packing = weighted_packing(Bounds(1.0, 3))
    assert bucketed(MEDIAN, 0, open_sum(), packing).sees == "bucket sums"


def test_undoing_says_what_it_does_not_see():
    assert "promoted item" in UNDOING.changes
