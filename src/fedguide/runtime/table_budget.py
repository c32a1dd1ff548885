"""How many sums over a table have been answered over its whole life, on disk.

The private linear query is safe for K answered coordinates over the life of the *data*
(``LINEAR_QUERY`` section 2): every session, task and repeat counts, whoever asked. A table is named
by the hash of its cells, so that the count outlives files and tasks, and other data begin anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from sqlalchemy import BigInteger, Column, Engine, MetaData, String, Table, select, update
from sqlalchemy.dialects.sqlite import insert

from fedguide.errors import RefusedError
from fedguide.vertical.features import Columns

_META = MetaData()
_SUMS = Table(
    "sums_answered",
    _META,
    Column("table_sha256", String, primary_key=True),
    Column("count", BigInteger, nullable=False),
)


class TableBudget:
    """The counts of a partner's tables, in an ``sqlite_engine``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        _META.create_all(engine)

    def spent(self, table: str) -> int:
        """Sums answered over a table so far."""
        with self._engine.connect() as db:
            found = db.execute(
                select(_SUMS.c.count).where(_SUMS.c.table_sha256 == table)
            ).scalar_one_or_none()
        return found or 0

    def spend(self, table: str, most: int) -> Callable[[int], None]:
        """Takes sums off the budget of a table; on disk when it returns, before they leave.

        The returned function raises ``RefusedError`` where less than asked is left.
        """

        def take(count: int) -> None:
            with self._engine.begin() as db:
                row = insert(_SUMS).values(table_sha256=table, count=0)
                db.execute(row.on_conflict_do_nothing())
                here = _SUMS.c.table_sha256 == table
                done = db.execute(
                    update(_SUMS)
                    .where(here, _SUMS.c.count + count <= most)
                    .values(count=_SUMS.c.count + count)
                ).rowcount
            if not done:
                left = most - self.spent(table)
                raise RefusedError(
                    f"policy: {count} sums asked, {left} of {most} are left for this table",
                    hint="fewer or shallower trees, or a new table",
                )

        return take


def table_name(columns: Columns) -> str:
    """The hash of a table's cells; names and order of columns do not matter to it."""
    parts = sorted(
        hashlib.sha256(np.ascontiguousarray(cells).tobytes()).hexdigest()
        for cells in map(np.asarray, columns.values())
    )
    return hashlib.sha256("".join(parts).encode()).hexdigest()
