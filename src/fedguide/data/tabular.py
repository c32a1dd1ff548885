"""One table of events, perhaps with a table of items, to a ``Dataset``: CSV, JSON lines, Parquet.

Columns are found by a map and by their common names. Columns that look like personal data are
withheld: they are never read into a data set, and a shopper's or an item's id must not be one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedguide.data.assemble import ANY_GOODS, Source, assemble
from fedguide.data.columns import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    NAMES_OF_ITEMS,
    NONE,
    ColumnMap,
    nearest,
    plain,
    resolve,
)
from fedguide.data.contract import Dataset
from fedguide.data.personal import kind_by_name, personal_columns
from fedguide.data.tables import engine, load, readable, scan
from fedguide.errors import ConfigError, DataError

SYNTHETIC_MARK = "SYNTHETIC"
"""A file of this name beside events says that they were made up."""


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
        items = scan_items(connection, tables)
        present = list(events.columns)
        listed = list(items.columns) if items is not None else []
        require_known(withhold, (*present, *listed), tables.events)
        named = [name for name in present if kind_by_name(name)]
        usable = [name for name in present if name not in withhold]
        found = find_columns(tables, columns, usable, listed)
        _require_columns(tables, columns, found, usable)
        with readable(tables.events):
            personal = personal_columns(events, tuple(found.values()))
            _refuse_personal_ids(personal, found, tables.events)
            found = {ours: theirs for ours, theirs in found.items() if theirs not in personal}
            load(events, found, EVENT_COLUMNS, "raw")
        load_items(connection, items, tables, columns, [n for n in listed if n not in withhold])
        hidden = {*named, *personal, *withhold}
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


def scan_items(connection: Any, tables: Tables) -> Any | None:
    """The file of items as a relation, if there is one."""
    if tables.items is None:
        return None
    return scan(connection, tables.items, tables.item_names, tables.kind, tables.item_encoding)


def find_columns(
    tables: Tables, columns: ColumnMap, present: Sequence[str], listed: Sequence[str]
) -> dict[str, str]:
    """Our names of the columns of events to theirs.

    A column whose name speaks of personal data is used where the map names it, never guessed.

    Args:
        tables: which files.
        columns: the map.
        present: columns of the file of events that may be read.
        listed: columns of the file of items.

    Raises:
        DataError: the map names a column that neither file has.
    """
    mapped = set(columns.theirs.values())
    offered = [name for name in present if name in mapped or not kind_by_name(name)]
    here = {o: t for o, t in columns.theirs.items() if t in offered or t not in listed}
    elsewhere = {ours: NONE for ours in columns.theirs if ours not in here}
    usable = replace(columns, theirs=here | elsewhere)
    return resolve(usable, offered, EVENT_COLUMNS, tables.events.name)


def missing_columns(tables: Tables, columns: ColumnMap, found: Mapping[str, str]) -> list[str]:
    """Our names of the columns without which nothing can be read, and that were not found."""
    needs_time = tables.clocked and columns.theirs.get("time") != NONE
    needed = ("user", *(("item",) if "query" not in found else ()), *(("time",) * needs_time))
    return [name for name in needed if name not in found]


def _require_columns(
    tables: Tables, columns: ColumnMap, found: Mapping[str, str], present: Sequence[str]
) -> None:
    for name in missing_columns(tables, columns, found):
        free = [theirs for theirs in present if theirs not in found.values()] or list(present)
        or_none = f", or --column time={NONE} to go by the order of rows" if name == "time" else ""
        raise DataError(
            f"{tables.events.name} has no column for {name}; it has {', '.join(present)}",
            hint=f"--column {name}={nearest(name, free)}{or_none}",
        )


def _refuse_personal_ids(personal: Mapping[str, str], found: Mapping[str, str], path: Path) -> None:
    for ours, what in (("user", "shopper"), ("item", "product")):
        kind = personal.get(found.get(ours, ""))
        if kind:
            raise DataError(
                f"{path.name}: column {found[ours]!r} looks like personal data ({kind}) "
                f"and must not name a {what}",
                hint=f"export a number of your own instead, and map it: --column {ours}=COLUMN",
            )


def load_items(
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
    if "item" not in found:
        raise DataError(
            f"{tables.items.name} has no column for item; it has {', '.join(present)}",
            hint=f"--column item={nearest('item', present)}",
        )
    if "title" not in found and "title" not in columns.theirs:
        named = [name for name in present if plain(name) in NAMES_OF_ITEMS]
        found |= {"title": named[0]} if named else {}
    with readable(tables.items):
        load(items, found, ITEM_COLUMNS, "listed")


def require_known(withhold: Sequence[str], present: Sequence[str], path: Path) -> None:
    """Nothing, if every column to withhold is there: a misspelt one would be read.

    Raises:
        ConfigError: one is not there.
    """
    for name in withhold:
        if name not in present:
            raise ConfigError(
                f"{path.name} has no column {name!r} to withhold; it has {', '.join(present)}"
            )
