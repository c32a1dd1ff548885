"""The contract of events and items, and cutting a part out of it."""

from dataclasses import replace

import numpy as np
import pytest

from fedguide.data.contract import Dataset, require_events, restrict
from fedguide.errors import DataError
from fedguide.values import SEARCH
from tests.data.made import dataset, spelled

ROWS = [("ann", "tea", 3), ("ann", "cup", 3), ("bob", "tea", 4), ("bob", "red cup", 5, SEARCH)]


def test_restrict_keeps_the_words_and_drops_what_is_not_used() -> None:
    whole = dataset(ROWS, ann="FR", bob="UK")
    part = restrict(whole, np.flatnonzero(whole.events.users == 1), "half", prefix="h-")
    assert spelled(part) == [
        ("bob", "h-tea", "buy", 4 * 86_400, 4, "UK"),
        ("bob", "red cup", "search", 5 * 86_400, 5, "UK"),
    ]
    assert part.catalogue.ids == ("h-tea",)
    assert part.catalogue.titles == ("title of tea",)
    assert part.events.user_ids == ("bob",)
    assert part.name == "half"


def test_the_restriction_to_all_rows_changes_nothing() -> None:
    whole = dataset(ROWS)
    same = restrict(whole, np.arange(len(whole.events)), whole.name)
    assert spelled(same) == spelled(whole)
    assert same.catalogue.ids == whole.catalogue.ids


def _broken(name: str, value: int) -> Dataset:
    whole = dataset(ROWS)
    column = getattr(whole.events, name).copy()
    column[0] = value
    return replace(whole, events=replace(whole.events, **{name: column}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("users", 2), ("users", -1), ("items", 2), ("items", -1), ("kinds", 6), ("queries", 0)],
)
def test_a_reference_outside_its_table_is_refused(name: str, value: int) -> None:
    with pytest.raises(DataError):
        require_events(_broken(name, value))


def test_a_data_set_without_events_is_refused_with_a_hint() -> None:
    whole = dataset(ROWS)
    empty = restrict(whole, np.zeros(0, np.int64), "none")
    with pytest.raises(DataError, match="none has no usable events") as caught:
        require_events(empty)
    assert "data check" in caught.value.hint
