"""One table of events, perhaps with a table of items, to a ``Dataset``: CSV, JSON lines, Parquet.

Columns are found by a map and by their common names. Columns that look like personal data are
withheld: they are never read into a data set, and a shopper's or an item's id must not be one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedguide.data.assemble import ANY_GOODS, Source, assemble
from fedguide.data.columns import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    NONE,
    ColumnMap,
    require,
    resolve,
)
from fedguide.data.contract import Dataset
from fedguide.data.personal import kind_by_name, personal_columns
from fedguide.data.tables import engine, load, readable, scan
from fedguide.errors import ConfigError, DataError

SYNTHETIC_MARK = "SYNTHETIC"
"""A file of this name beside events says that they were made up."""

SAMPLED = (
    "CREATE VIEW sampled AS SELECT * FROM raw USING SAMPLE reservoir(20000 ROWS) REPEATABLE (7)"
)


@dataclass(frozen=True)
class Tables:
    """Where one data set lies and how it is written.

    Attributes:
        name: of the data set.
        events: the file of events.
        items: the file of items, if there is one.
        kind: ``csv``, ``jsonl``, ``parquet``; ``""`` goes by the file's ending.
        event_names: columns of a CSV file of events without a header.
        item_names: columns of a CSV file of items without a header.
        item_encoding: of a CSV file of items.
        rules: see ``assemble.Source``.
        clocked: does ``time`` hold times (else positions)?
    """

    name: str
    events: Path
    items: Path | None = None
    kind: str = ""
    event_names: tuple[str, ...] = ()
    item_names: tuple[str, ...] = ()
    item_encoding: str = "utf-8"
    rules: str = ANY_GOODS
    clocked: bool = True


def read_tables(tables: Tables, columns: ColumnMap, withhold: Sequence[str] = ()) -> Dataset:
    """The data set in some files.

    Raises:
        NotFoundError: a file is not there.
        ConfigError: a withheld column is not there.
        DataError: a column is missing, an id is personal data, or no row can be used.
    """
    with engine() as connection:
        events = scan(connection, tables.events, tables.event_names, tables.kind)
        items = _scan_items(connection, tables)
        present = list(events.columns)
        listed = list(items.columns) if items is not None else []
        _require_known(withhold, (*present, *listed), tables.events)
        named = [name for name in present if kind_by_name(name)]
        found = _found(tables, columns, [n for n in present if n not in withhold], listed)
        with readable(tables.events):
            load(events, found, EVENT_COLUMNS, "raw")
            personal = _personal(connection, found, tables.events)
            if personal:
                found = {ours: theirs for ours, theirs in found.items() if ours not in personal}
                connection.execute("DROP VIEW sampled; DROP TABLE raw")
                load(events, found, EVENT_COLUMNS, "raw")
        _load_items(connection, items, tables, columns, [n for n in listed if n not in withhold])
        hidden = {*named, *personal.values(), *withhold}
        clocked = tables.clocked and columns.theirs.get("time") != NONE
        source = Source(
            name=tables.name,
            columns=columns,
            found=found,
            rules=tables.rules,
            clocked=clocked,
            withheld=tuple(name for name in (*present, *listed) if name in hidden),
        )
        dataset = assemble(connection, source)
    return replace(dataset, synthetic=(tables.events.parent / SYNTHETIC_MARK).is_file())


def _scan_items(connection: Any, tables: Tables) -> Any | None:
    if tables.items is None:
        return None
    return scan(connection, tables.items, tables.item_names, tables.kind, tables.item_encoding)


def _found(
    tables: Tables, columns: ColumnMap, present: Sequence[str], listed: Sequence[str]
) -> dict[str, str]:
    """Our names to theirs; what the map names may look personal, what is guessed may not."""
    mapped = set(columns.theirs.values())
    offered = [name for name in present if name in mapped or not kind_by_name(name)]
    here = {o: t for o, t in columns.theirs.items() if t in offered or t not in listed}
    elsewhere = {ours: NONE for ours in columns.theirs if ours not in here}
    usable = replace(columns, theirs=here | elsewhere)
    found = resolve(usable, offered, EVENT_COLUMNS, tables.events.name)
    require(found, "user", offered, tables.events.name)
    if "query" not in found:
        require(found, "item", offered, tables.events.name)
    if "time" not in found and tables.clocked and columns.theirs.get("time") != NONE:
        try:
            require(found, "time", offered, tables.events.name)
        except DataError as error:
            raise DataError(
                str(error), hint=f"{error.hint}, or --column time={NONE} to go by the order of rows"
            ) from None
    return found


def _personal(connection: Any, found: dict[str, str], path: Path) -> dict[str, str]:
    """Loaded columns that look personal: ours to theirs.

    Raises:
        DataError: a shopper's or an item's id is one of them.
    """
    connection.execute(SAMPLED)
    kinds = personal_columns(connection.table("sampled"))
    named = {ours: kind_by_name(theirs) for ours, theirs in found.items()}
    kinds = {ours: kinds.get(ours) or named[ours] for ours in found}
    for ours in ("user", "item"):
        if kinds.get(ours):
            raise DataError(
                f"{path.name}: column {found[ours]!r} looks like personal data ({kinds[ours]}) "
                f"and must not name a {'shopper' if ours == 'user' else 'product'}",
                hint=f"export a number of your own instead, and map it: --column {ours}=COLUMN",
            )
    return {ours: found[ours] for ours, kind in kinds.items() if kind}


def _load_items(
    connection: Any, items: Any | None, tables: Tables, columns: ColumnMap, present: Sequence[str]
) -> None:
    """Fills ``listed``; without a file of items it is empty."""
    if items is None or tables.items is None:
        connection.execute(
            "CREATE TABLE listed(item VARCHAR, title VARCHAR, brand VARCHAR, category VARCHAR, "
            "price VARCHAR)"
        )
        return
    here = {ours: theirs for ours, theirs in columns.theirs.items() if theirs in present}
    found = resolve(replace(columns, theirs=here), present, ITEM_COLUMNS, tables.items.name)
    require(found, "item", present, tables.items.name)
    with readable(tables.items):
        load(items, found, ITEM_COLUMNS, "listed")


def _require_known(withhold: Sequence[str], present: Sequence[str], path: Path) -> None:
    for name in withhold:
        if name not in present:
            raise ConfigError(
                f"{path.name} has no column {name!r} to withhold; it has {', '.join(present)}"
            )
