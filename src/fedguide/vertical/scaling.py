"""Numbers as they are, in units of 1/32 of their standard deviation: an alternative to bins.

Scaled columns carry lines only; bins carry any shape and are the default. A missing value is the
mean, and what is beyond ±127/32 deviations is taken as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.crypto.rows import DenseRows
from fedguide.errors import DataError
from fedguide.protocol import State
from fedguide.vertical.features import Columns

SCALED_BITS = 5
SCALED_MOST = 127


@dataclass(frozen=True)
class Scaling(State):
    """A party's columns: names, means and standard deviations, shape ``(d,)``."""

    names: tuple[str, ...]
    means: Annotated[NDArray[np.float64], Array("float64", "d")]
    deviations: Annotated[NDArray[np.float64], Array("float64", "d")]


def fit_scaling(columns: Columns) -> Scaling:
    """Means and deviations of a party's own columns.

    Raises:
        DataError: a column holds texts, is constant, or all of it is missing.
    """
    table = _numbers(tuple(columns), columns)
    for name, cells in zip(columns, table, strict=True):
        present = cells[np.isfinite(cells)]
        if not len(present) or present.std() == 0:
            raise DataError(f"column {name} has no two different values", hint=f"leave {name} out")
    return Scaling(tuple(columns), np.nanmean(table, 1), np.nanstd(table, 1))


def scaled_rows(scaling: Scaling, columns: Columns) -> DenseRows:
    """The columns in whole numbers, a row each.

    Raises:
        DataError: a column is missing, holds texts, or has another length.
    """
    absent = [name for name in scaling.names if name not in columns]
    if absent:
        raise DataError(f"columns {', '.join(absent)} are missing")
    table = _numbers(scaling.names, columns)
    away = (table - scaling.means[:, None]) / scaling.deviations[:, None]
    whole = np.rint(np.nan_to_num(away, nan=0.0) * (1 << SCALED_BITS))
    return DenseRows(np.clip(whole, -SCALED_MOST, SCALED_MOST).astype(np.int32))


def is_numeric(cells: Sequence[Any] | NDArray[Any]) -> bool:
    """Does a column hold numbers, and two different ones?"""
    try:
        values = np.asarray(cells, np.float64)
    except (TypeError, ValueError):
        return False
    return len(np.unique(values[np.isfinite(values)])) > 1


def _numbers(names: tuple[str, ...], columns: Columns) -> NDArray[np.float64]:
    """Columns as numbers, shape ``(d, n)``."""
    rows = []
    for name in names:
        try:
            rows.append(np.asarray(columns[name], np.float64))
        except (TypeError, ValueError) as error:
            raise DataError(f"column {name} holds texts; only bins can carry them") from error
    if not rows or len({len(row) for row in rows}) > 1 or not len(rows[0]):
        raise DataError("columns must be there, of one length, and not empty")
    return np.where(np.isfinite(rows), rows, np.nan)
