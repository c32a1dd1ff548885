"""Which column is what."""

import pytest

from fedguide.data.columns import (
    EVENT_COLUMNS,
    SYNONYMS,
    ColumnMap,
    column_map,
    guess,
    nearest,
    plain,
    resolve,
)
from fedguide.errors import ConfigError, DataError


@pytest.mark.parametrize(
    "present",
    [
        ["user_id", "item_id", "event_type", "timestamp"],
        ["CustomerID", "StockCode", "Action", "InvoiceDate"],
        ["用户ID", "商品编号", "行为类型", "下单时间"],
        ["user_id:token", "item_id:token", "behavior:token", "timestamp:float"],
        ["买家id", "SKU", "事件", "日期"],
    ],
)
def test_common_names_are_known(present: list[str]) -> None:
    found = guess(present, ("user", "item", "kind", "time"))
    assert found == dict(zip(("user", "item", "kind", "time"), present, strict=True))


def test_no_synonym_means_two_things() -> None:
    words = [word for synonyms in SYNONYMS.values() for word in synonyms]
    assert len(words) == len(set(words))
    assert all(word == plain(word) for word in words)
    assert set(SYNONYMS) == set(EVENT_COLUMNS)


def test_a_column_of_persons_is_never_guessed_to_be_a_title() -> None:
    assert "title" not in guess(["user", "item", "name", "time"], EVENT_COLUMNS)


def test_the_better_name_wins_and_one_column_means_one_thing() -> None:
    assert guess(["sessionId", "userId"], ("user",)) == {"user": "userId"}
    assert guess(["date"], ("time", "quantity")) == {"time": "date"}


def test_the_map_beats_the_guess_and_a_dash_forbids_it() -> None:
    columns = ColumnMap({"user": "who", "kind": "-"})
    found = resolve(columns, ["who", "user_id", "type", "item"], EVENT_COLUMNS, "f.csv")
    assert found == {"user": "who", "item": "item"}


def test_a_mapped_column_that_is_absent_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no column 'custmer'.*customer, item") as caught:
        resolve(ColumnMap({"user": "custmer"}), ["customer", "item"], EVENT_COLUMNS, "f.csv")
    assert caught.value.hint == "--column user=customer"


def test_the_nearest_column_is_like_the_name_or_a_synonym() -> None:
    assert nearest("user", ["goods", "custmer_nr", "zeit"]) == "custmer_nr"
    assert nearest("time", ["goods", "custmer_nr", "order_tme"]) == "order_tme"


def test_settings_become_a_map() -> None:
    made = column_map({"user": "A", "timezone": "Asia/Shanghai", "default_kind": "view"})
    assert made == ColumnMap({"user": "A"}, default_kind="view", timezone="Asia/Shanghai")


@pytest.mark.parametrize(
    ("settings", "text", "hint"),
    [
        ({"usr": "A"}, "got 'usr'", "user"),
        ({"default_kind": "steal"}, "got 'steal'", ""),
        ({"default_kind": "search"}, "got 'search'", ""),
    ],
)
def test_unknown_settings_are_refused(settings: dict[str, str], text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        column_map(settings)
    assert hint in caught.value.hint
