"""People by cells: counts by hand, and no person moves them by more than the bound."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.data.people import MOST_CELLS, Axis, Breakdown, People, counted, read_people
from fedguide.errors import ConfigError, DataError, NotFoundError

PEOPLE = People(
    "clinic",
    np.array([0, 0, 0, 1, 2, 2, 3]),
    4,
    {
        "ward": np.array(["a", "a", "b", "b", "", "c", "b"]),
        "age": np.array(["30", "30", "31", "70", "x", "50", "nan"]),
    },
)
WARD = Axis("ward", ("a", "b"))


def test_counts_by_hand():
    assert counted(PEOPLE, Breakdown()).tolist() == [4]
    assert counted(PEOPLE, Breakdown((("ward", "b"),))).tolist() == [3]
    # Person 0 has two rows in a and one in b, and is in the cell of most rows.
    assert counted(PEOPLE, Breakdown(axes=(WARD,))).tolist() == [1, 2]
    assert counted(PEOPLE, Breakdown(axes=(WARD,), most=2)).tolist() == [1, 3]
    age = Axis("age", edges=(31, 60))
    assert age.labels == ("< 31", "[31, 60)", ">= 60")
    assert counted(PEOPLE, Breakdown(axes=(age,))).tolist() == [1, 1, 1]
    both = Breakdown(axes=(WARD, age), most=2)
    assert both.labels[1] == ("a", "[31, 60)")
    assert counted(PEOPLE, both).tolist() == [1, 0, 0, 0, 1, 1]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.integers(0, 3)), max_size=30),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_no_person_moves_the_counts_by_more_than_the_bound(rows, most, gone):
    def counts(kept):
        people = People(
            "x",
            np.array([who for who, *_ in kept], np.int64),
            6,
            {
                "k": np.array([k for _, k, _ in kept], np.str_),
                "n": np.array([str(n) for *_, n in kept], np.str_),
            },
        )
        axes = (Axis("k", ("a", "b", "c")), Axis("n", edges=(1, 2)))
        return counted(people, Breakdown(axes=axes, most=most))

    with_, without = counts(rows), counts([row for row in rows if row[0] != gone])
    moved = with_ - without
    assert (moved >= 0).all()
    assert moved.sum() <= most
    assert moved.max(initial=0) <= 1


def test_a_table_is_read_by_its_columns_and_its_people(tmp_path: Path):
    path = tmp_path / "bank.csv"
    path.write_text("customer,amount,city\n7,1.5,Bonn\n7,2,Köln\n8,,Bonn\n,3,Bonn\n9,4,Bonn\n")
    people = read_people(path, "customer", ["amount"], lambda who: who != "9")
    assert (people.name, people.count, people.rows.tolist()) == ("bank", 2, [0, 0, 1])
    assert set(people.columns) == {"customer", "amount"}
    assert counted(people, Breakdown(axes=(Axis("amount", edges=(1.8,)),), most=2)).tolist() == [
        1,
        1,
    ]
    with pytest.raises(ConfigError, match="has no column 'age', it has customer"):
        read_people(path, "customer", ["age"])
    with pytest.raises(DataError, match="no row of a person"):
        read_people(path, "customer", [], lambda _who: False)
    with pytest.raises(NotFoundError):
        read_people(tmp_path / "none.csv", "customer", [])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Axis("a"), "by values or by edges"),
        (lambda: Axis("a", ("x",), (1.0,)), "by values or by edges"),
        (lambda: Axis("a", ("x", "x")), "stands there twice"),
        (lambda: Axis("a", edges=(2, 1)), "must be finite and ascend"),
        (lambda: Axis("a", edges=(1, float("nan"))), "must be finite and ascend"),
        (lambda: Breakdown(axes=(WARD,), most=3), "in 1 to 2 cells, got 3"),
        (lambda: Breakdown(axes=(Axis("a", edges=tuple(range(MOST_CELLS))),)), "at most 65536"),
        (lambda: counted(PEOPLE, Breakdown((("city", "x"),))), "clinic has no column 'city'"),
    ],
)
def test_what_cannot_be_counted_is_refused(make, text):
    with pytest.raises(ConfigError, match=text):
        make()
