"""A partner's table from a file: one key column, and columns to learn from.

Columns whose name or content looks like personal data are left out, all but the key, which is only
ever compared blindly (``vertical.align``). A column is of numbers where every cell is one or empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedguide.data.columns import nearest
from fedguide.data.partners import PartnerTable
from fedguide.data.personal import kind_by_name, personal_columns
from fedguide.data.tables import engine, load, readable, scan
from fedguide.errors import DataError


@dataclass(frozen=True)
class Columns:
    """What a partner brings: one row a customer, c customers.

    Attributes:
        keys: names of the customers, compared blindly; they never leave in the clear.
        cells: column name to its c cells: numbers with NaN, or texts with ``""``, where missing.
        withheld: columns that were never read.
    """

    keys: tuple[str, ...] = field(repr=False)
    cells: dict[str, NDArray[np.float64] | NDArray[np.str_]] = field(repr=False)
    withheld: tuple[str, ...] = ()


def read_partner(path: Path, key: str) -> Columns:
    """The table in a CSV, JSON lines or Parquet file.

    Raises:
        NotFoundError: there is no such file.
        DataError: it has no such key column, no other usable column, or no row.
    """
    with engine() as connection:
        relation = scan(connection, path)
        present = list(relation.columns)
        if key not in present:
            raise DataError(
                f"{path.name} has no column {key!r}; it has {', '.join(present)}",
                hint=f"--key {nearest(key, present)}",
            )
        others = [name for name in present if name != key]
        with readable(path):
            personal = personal_columns(relation, tuple(others))
            hidden = {name for name in others if name in personal or kind_by_name(name)}
            kept = [name for name in others if name not in hidden]
            if not kept:
                raise DataError(f"{path.name} has no column to learn from beside {key!r}")
            wanted = (key, *kept)
            load(relation, {name: name for name in wanted}, wanted, "partner")
            rows = connection.table("partner").fetchall()
    if not rows:
        raise DataError(f"{path.name} has no row")
    keys, *columns = zip(*rows, strict=True)
    cells = {name: parsed(column) for name, column in zip(kept, columns, strict=True)}
    return Columns(tuple(one or "" for one in keys), cells, tuple(sorted(hidden)))


def columns_of(table: PartnerTable, key: str) -> Columns:
    """The same of a table of the synthetic market."""
    words = {name: np.array(column, np.str_) for name, column in table.words.items()}
    return Columns(table.keys[key], {**table.numbers, **words})


def parsed(cells: Sequence[str | None]) -> NDArray[np.float64] | NDArray[np.str_]:
    """Numbers where every cell is one or empty, and at least one is there; else texts."""
    texts = [(one or "").strip() for one in cells]
    try:
        numbers = np.array([float(one) if one else np.nan for one in texts])
    except ValueError:
        return np.array(texts, np.str_)
    return numbers if np.isfinite(numbers).any() else np.array(texts, np.str_)
