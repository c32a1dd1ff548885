"""A shop's own store: append, read, read a shopper, forget one."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.data.contract import restrict
from fedguide.data.store import Store, read_store, write_store
from fedguide.errors import DataError, NotFoundError
from fedguide.values import BUY, SEARCH, VIEW
from tests.data.made import dataset, differences, real, spelled

ROWS = [
    ("ann-7311", "tea", 3),
    ("ann-7311", "cup", 3, VIEW),
    ("ann-7311", "secret-wish-of-ann", 4, SEARCH),
    ("bob-9922", "tea", 3),
    ("bob-9922", "red cup", 5, SEARCH),
]


def same(left: object, right: object) -> bool:
    assert differences(left.events, right.events) == []
    assert differences(left.catalogue, right.catalogue) == []
    names = ("name", "clocked", "withheld", "synthetic")
    return all(getattr(left, name) == getattr(right, name) for name in names)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    data = replace(dataset(ROWS, **{"ann-7311": "FR"}), withheld=("phone",), synthetic=True)
    events = replace(
        data.events,
        prices=np.array([1.5, np.nan, np.nan, 2, np.nan], np.float32),
        baskets=np.array([0, -1, -1, 1, -1], np.int32),
        basket_ids=("b1", "b2"),
    )
    data = replace(data, events=events)
    write_store(tmp_path / "s.duckdb", data)
    assert same(read_store(tmp_path / "s.duckdb"), data)


EVENT = st.tuples(
    st.text("ab'\"%é茶", min_size=1, max_size=3),
    st.text("xy;-–杯", min_size=1, max_size=3),
    st.integers(0, 20_000),
    st.sampled_from([BUY, VIEW, SEARCH]),
)


@settings(max_examples=8)
@given(st.lists(EVENT, min_size=1, max_size=8))
def test_any_names_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    path = tmp_path_factory.mktemp("any") / "s.duckdb"
    write_store(path, dataset(rows))
    assert same(read_store(path), dataset(rows))


def test_a_batch_sent_twice_stands_once(tmp_path: Path) -> None:
    data = dataset(ROWS)
    with Store(tmp_path / "s.duckdb", create=True) as store:
        assert store.append("monday", data) == 5
        assert store.append("monday", data) == 0
        assert len(store.read().events) == 5
    with Store(tmp_path / "s.duckdb") as store:
        assert store.append("monday", data) == 0
        assert store.append("tuesday", dataset([("ann-7311", "pot", 9)])) == 1
        assert len(store.read().events) == 6
    with pytest.raises(DataError, match="already holds batch"):
        write_store(tmp_path / "s.duckdb", data, "monday")


def test_an_item_gets_its_new_title(tmp_path: Path) -> None:
    data = dataset(ROWS)
    titles = tuple(f"new {title}" for title in data.catalogue.titles)
    with Store(tmp_path / "s.duckdb", create=True) as store:
        store.append("one", data)
        store.append("two", replace(data, catalogue=replace(data.catalogue, titles=titles)))
        assert store.read().catalogue.titles == titles


def test_one_shopper_is_read_with_the_whole_catalogue(tmp_path: Path) -> None:
    with Store(tmp_path / "s.duckdb", create=True) as store:
        store.append("one", dataset(ROWS))
        bob = store.read_shopper("bob-9922")
        assert [row[:3] for row in spelled(bob)] == [
            ("bob-9922", "tea", "buy"),
            ("bob-9922", "red cup", "search"),
        ]
        assert bob.catalogue.ids == ("cup", "tea")
        assert not store.knows("eve")
        with pytest.raises(NotFoundError, match="no events of this shopper") as caught:
            store.read_shopper("eve-secret")
        assert "eve-secret" not in str(caught.value)


def test_a_forgotten_shopper_is_gone_from_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    # Enough rows that DuckDB's own DELETE would leave the bytes where they are.
    many = [(f"other-{k}", f"item-{k % 50}", k % 90) for k in range(5_000)]
    data = dataset([*many, *ROWS])
    with Store(path, create=True) as store:
        store.append("one", data)
    assert b"ann-7311" in path.read_bytes()
    assert b"secret-wish-of-ann" in path.read_bytes()
    with Store(path) as store:
        assert store.forget("ann-7311") == 3
        assert not store.knows("ann-7311")
        assert store.knows("bob-9922")
        assert store.forget("ann-7311") == 0
    assert [file.name for file in tmp_path.iterdir()] == ["s.duckdb"]
    for secret in (b"ann-7311", b"secret-wish-of-ann"):
        assert secret not in path.read_bytes()
    events = data.events
    rest = np.flatnonzero(events.users != events.user_ids.index("ann-7311"))
    left = restrict(data, rest, data.name)
    assert spelled(read_store(path)) == spelled(left)


def test_a_store_goes_on_after_forgetting(tmp_path: Path) -> None:
    with Store(tmp_path / "s.duckdb", create=True) as store:
        store.append("one", dataset(ROWS))
        store.forget("ann-7311")
        assert store.append("one", dataset(ROWS)) == 0
        assert store.append("two", dataset([("eve", "tea", 9)])) == 1
    assert read_store(tmp_path / "s.duckdb").events.user_ids == ("bob-9922", "eve")


def test_a_second_process_gets_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    code = (
        "import sys; from pathlib import Path; from fedguide.data.store import read_store\n"
        "from fedguide.errors import DataError\n"
        "try: read_store(Path(sys.argv[1]))\n"
        "except DataError as error: print(error, '|', error.hint)\n"
    )
    with Store(path, create=True) as store:
        store.append("one", dataset(ROWS))
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
    assert "is in use by" in done.stdout
    assert "one process" in done.stdout
    assert done.stderr == ""


def test_times_and_positions_do_not_mix(tmp_path: Path) -> None:
    with Store(tmp_path / "s.duckdb", create=True) as store:
        store.append("one", dataset(ROWS))
        with pytest.raises(DataError, match="with times and batch 'two' has events without"):
            store.append("two", dataset(ROWS, clocked=False))


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no store at"):
        read_store(tmp_path / "none.duckdb")
    with pytest.raises(NotFoundError, match="no folder"):
        Store(tmp_path / "none" / "s.duckdb", create=True)
    (tmp_path / "text.duckdb").write_text("not a database " * 100)
    with pytest.raises(DataError, match="is not a store"):
        read_store(tmp_path / "text.duckdb")
    Store(tmp_path / "empty.duckdb", create=True).close()
    with pytest.raises(DataError, match="is empty"):
        read_store(tmp_path / "empty.duckdb")


def test_the_real_online_retail_goes_through_a_store(tmp_path: Path) -> None:
    from fedguide.data.importers import import_data

    (data,) = import_data(real("online_retail", "online_retail.parquet"))
    write_store(tmp_path / "s.duckdb", data)
    assert same(read_store(tmp_path / "s.duckdb"), data)
