"""SQL statements that are put together and compiled once, for what a hub does at every request.

SQLAlchemy puts a statement together anew each time, finds its compiled form and translates every
value: several times the work of the database itself. A ``Prepared`` keeps the compiled text of
each dialect. Values go to the driver as they are, so columns of types that have to be translated
(booleans, JSON, times) and lists for ``IN`` do not belong into one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, CursorResult, Delete, Insert, Select, Update
from sqlalchemy.sql.compiler import SQLCompiler

Statement: TypeAlias = Select[Any] | Insert | Update | Delete


class Prepared:
    """A statement whose values are ``bindparam``s, called with a connection and the values."""

    def __init__(self, statement: Statement, *columns: str) -> None:
        """Keeps a statement; an insert without values says which ``columns`` it fills."""
        self._statement = statement
        self._columns = columns or None
        self._compiled: dict[str, SQLCompiler] = {}

    def __call__(self, db: Connection, **values: object) -> CursorResult[Any]:
        """Runs it once."""
        compiled = self._for(db)
        return db.exec_driver_sql(compiled.string, _arranged(compiled, values))

    def each(self, db: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Runs it for each row of values."""
        compiled = self._for(db)
        if rows:
            db.exec_driver_sql(compiled.string, [_arranged(compiled, row) for row in rows])

    def _for(self, db: Connection) -> SQLCompiler:
        name = db.dialect.name
        if name not in self._compiled:
            made = self._statement.compile(dialect=db.dialect, column_keys=self._columns)
            self._compiled[name] = made
        return self._compiled[name]


def _arranged(compiled: SQLCompiler, values: Mapping[str, object]) -> Any:
    """The values as the driver takes them."""
    named = compiled.construct_params(dict(values))
    if compiled.positiontup is None:
        return named
    return tuple(named[name] for name in compiled.positiontup)
