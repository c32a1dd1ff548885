"""A table's sums are counted over its life, on disk, and no more than allowed are answered."""

import numpy as np
import pytest

from fedguide.errors import RefusedError
from fedguide.runtime.sqlite import sqlite_engine
from fedguide.runtime.table_budget import TableBudget, table_name

CELLS = {"pay": np.arange(5.0), "area": np.array(["a", "b", "a", "b", "c"])}


def test_it_counts_on_over_processes_and_refuses_what_is_too_much(tmp_path):
    engine = sqlite_engine(tmp_path / "sums.db")
    TableBudget(engine).spend("one", 100)(70)
    engine.dispose()
    again = TableBudget(sqlite_engine(tmp_path / "sums.db"))
    with pytest.raises(RefusedError, match="31 sums asked, 30 of 100 are left"):
        again.spend("one", 100)(31)
    again.spend("one", 100)(30)
    assert again.spent("one") == 100
    assert again.spent("another") == 0


def test_a_table_is_its_cells_whatever_they_are_called():
    same = {"other": CELLS["area"], "name": CELLS["pay"]}
    assert table_name(CELLS) == table_name(same)
    assert table_name({**CELLS, "pay": CELLS["pay"] + 1}) != table_name(CELLS)
