"""Public formats and plain tables to data sets: one table of formats, one way in.

``online-retail`` (UCI Online Retail), ``amazon`` (review sequences), ``movielens`` (RecBole's
files, ML-100K, ML-1M and later), ``csv``, ``jsonl``, ``parquet`` with a column map; ``auto`` looks.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fedguide.data.columns import NONE, ColumnMap, plain
from fedguide.data.contract import Dataset
from fedguide.data.tables import (
    CSV_SUFFIXES,
    JSON_SUFFIXES,
    PARQUET_SUFFIXES,
    engine,
    scan,
    suffix,
)
from fedguide.data.tabular import Tables, read_tables
from fedguide.errors import ConfigError, DataError, NotFoundError

Plan = tuple[Tables, ColumnMap]
"""One data set of a source: its files and what their columns mean."""

Format = Callable[[Path, ColumnMap], tuple[Plan, ...]]
"""Finds the data sets at a path; reads no more than the heads of tables."""

ONLINE_RETAIL_RULES = """
CREATE MACRO special(invoice, item, quantity, price) AS CASE
    WHEN starts_with(upper(invoice), 'C') THEN 'cancelled'
    WHEN NOT regexp_matches(item, '^[0-9]{5}') THEN 'not-a-product'
    WHEN quantity IS NULL OR price IS NULL OR quantity <= 0 OR price <= 0 THEN 'not-positive' END
"""
ONLINE_RETAIL_COLUMNS = {
    "user": "CustomerID", "item": "StockCode", "kind": NONE, "time": "InvoiceDate", "query": NONE,
    "quantity": "Quantity", "price": "UnitPrice", "basket": "InvoiceNo", "group": "Country",
    "title": "Description", "brand": NONE, "category": NONE,
}  # fmt: skip
RETAIL_II = {"Customer ID": "CustomerID", "Price": "UnitPrice", "Invoice": "InvoiceNo"}
"""Names that Online Retail II uses in place of the first edition's."""


def online_retail(path: Path, columns: ColumnMap) -> tuple[Plan, ...]:
    """UCI Online Retail (Chen 2015), both editions, as CSV or Parquet.

    Kept are rows with a customer, a positive quantity and price, no cancellation (an invoice
    ``C...``) and a stock code that starts with five digits. An item's title is its most frequent
    description, its price the median.
    """
    with engine() as connection:
        present = scan(connection, path).columns
    second = {old: new for new, old in RETAIL_II.items() if new in present and old not in present}
    theirs = {ours: second.get(name, name) for ours, name in ONLINE_RETAIL_COLUMNS.items()}
    full = replace(columns, theirs=theirs | dict(columns.theirs))
    return ((Tables("online-retail", path, rules=ONLINE_RETAIL_RULES), full),)


AMAZON_COLUMNS = {
    "user": "user", "item": "item", "kind": NONE, "time": "pos", "query": NONE, "quantity": NONE,
    "price": NONE, "basket": NONE, "group": NONE, "title": "keywords", "brand": NONE,
    "category": NONE,
}  # fmt: skip


def amazon(path: Path, columns: ColumnMap) -> tuple[Plan, ...]:
    """Amazon review sequences: each ``NAME.seq.parquet`` with ``NAME.items.parquet`` is a shop.

    ``path`` is the folder, or one ``.seq.parquet`` file. Only the order of reviews is known; there
    is no time and no price. The numbers in ``attributes`` have no names and are not read.
    """
    files = sorted(path.glob("*.seq.parquet")) if path.is_dir() else [path]
    if not files:
        raise NotFoundError(f"no NAME.seq.parquet in {path}", hint=f"ls {path}")
    full = replace(columns, theirs=AMAZON_COLUMNS | dict(columns.theirs))
    shops = []
    for file in files:
        name = file.name.removesuffix(".seq.parquet")
        items = file.with_name(f"{name}.items.parquet")
        if not items.is_file():
            raise NotFoundError(f"{file.name} needs {items.name} beside it", hint=f"ls {path}")
        shops.append((Tables(plain(name) or "shop", file, items, clocked=False), full))
    return tuple(shops)


U_ITEM_COLUMNS = ("item_id", "title", "release", "video", "link", *(f"genre{n}" for n in range(19)))


def movielens(path: Path, columns: ColumnMap) -> tuple[Plan, ...]:
    """MovieLens: RecBole's ``.inter``/``.item``, ``u.data``/``u.item``, ``ratings``/``movies``.

    ``path`` is the folder or the file of ratings. A rating is taken as a purchase whatever its
    number of stars, as the papers do. Genres become the category.
    """
    folder = path if path.is_dir() else path.parent
    for tables in _movielens_tables(folder):
        if path.is_dir() or path == tables.events:
            return ((tables, _only(columns)),)
    raise NotFoundError(
        f"no MovieLens files in {folder}: looked for *.inter, u.data, ratings.csv",
        hint=f"ls {folder}",
    )


def _only(columns: ColumnMap) -> ColumnMap:
    """A rating's number of stars is no price, quantity or kind: nothing of it is guessed."""
    absent = dict.fromkeys(("kind", "query", "quantity", "price", "basket", "group", "brand"), NONE)
    return replace(columns, theirs=absent | dict(columns.theirs))


def _movielens_tables(folder: Path) -> list[Tables]:
    """Every edition of MovieLens that lies in a folder."""
    found = [
        Tables("movielens", file, _first(folder, "*.item", "*.item.gz"))
        for file in sorted([*folder.glob("*.inter"), *folder.glob("*.inter.gz")])
    ]
    classic, ratings = folder / "u.data", folder / "ratings.csv"
    if classic.is_file():
        found.append(
            Tables(
                "movielens",
                classic,
                _first(folder, "u.item"),
                event_names=("user_id", "item_id", "rating", "timestamp"),
                item_names=U_ITEM_COLUMNS,
                item_encoding="latin-1",
            )
        )
    if ratings.is_file():
        found.append(Tables("movielens", ratings, _first(folder, "movies.csv")))
    return found


def _first(folder: Path, *patterns: str) -> Path | None:
    return next((file for pattern in patterns for file in sorted(folder.glob(pattern))), None)


def tabular(path: Path, columns: ColumnMap, kind: str) -> tuple[Plan, ...]:
    """Any table of events: one file, a folder of a shop, or a folder of shops.

    A folder of a shop holds ``events.SUFFIX`` and perhaps ``items.SUFFIX``; a folder of shops has
    one such folder for each shop, which gives the shop its name.
    """
    if path.is_file():
        return ((Tables(path.name.split(".")[0], path, kind=kind), columns),)
    ends = {"csv": CSV_SUFFIXES, "jsonl": JSON_SUFFIXES, "parquet": PARQUET_SUFFIXES}[kind]
    folders = [path, *sorted(folder for folder in path.iterdir() if folder.is_dir())]
    shops = []
    for folder in folders:
        events, items = _named(folder, "events", ends), _named(folder, "items", ends)
        if events is not None:
            shops.append((Tables(folder.resolve().name, events, items, kind), columns))
    if not shops:
        raise NotFoundError(
            f"neither {path} nor a folder in it holds a file events{ends[0]}",
            hint="give the file itself",
        )
    return tuple(shops)


def _named(folder: Path, stem: str, ends: Sequence[str]) -> Path | None:
    """The table of that name in a folder, perhaps compressed."""
    return next((file for file in sorted(folder.glob(f"{stem}.*")) if suffix(file) in ends), None)


FORMATS: Mapping[str, Format] = {
    "online-retail": online_retail,
    "amazon": amazon,
    "movielens": movielens,
    "csv": lambda path, columns: tabular(path, columns, "csv"),
    "jsonl": lambda path, columns: tabular(path, columns, "jsonl"),
    "parquet": lambda path, columns: tabular(path, columns, "parquet"),
}
"""Every format by its name on the command line."""


def import_data(
    path: Path,
    format_name: str = "auto",
    columns: ColumnMap | None = None,
    withhold: Sequence[str] = (),
) -> tuple[Dataset, ...]:
    """The data sets at ``path``: one, or one for each shop where the source has several.

    Raises:
        NotFoundError: there is nothing at ``path``.
        ConfigError: unknown format, column or time zone.
        DataError: the source cannot be used; text and hint say why and what to do.
    """
    return tuple(
        read_tables(tables, full, withhold) for tables, full in plans(path, format_name, columns)
    )


def plans(
    path: Path, format_name: str = "auto", columns: ColumnMap | None = None
) -> tuple[Plan, ...]:
    """The data sets at ``path``, found but not read.

    Raises:
        NotFoundError, ConfigError, DataError: see ``import_data``.
    """
    if not path.exists():
        raise NotFoundError(f"no file or folder {path}", hint=f"ls {path.parent}")
    name = detect_format(path) if format_name == "auto" else format_name
    if name not in FORMATS:
        near = difflib.get_close_matches(name, FORMATS, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"format must be auto or one of {', '.join(FORMATS)}, got {format_name!r}",
            hint=f"--format {near}",
        )
    return FORMATS[name](path, columns or ColumnMap())


def detect_format(path: Path) -> str:
    """The name of the format that ``path`` looks like.

    Raises:
        DataError: it looks like none.
    """
    if path.is_dir():
        return _detect_folder(path)
    if path.name.endswith(".seq.parquet"):
        return "amazon"
    if suffix(path) == ".inter" or path.name in ("u.data", "ratings.csv"):
        return "movielens"
    with engine() as connection:
        present = {plain(name) for name in scan(connection, path).columns}
    if {"stockcode", "invoicedate"} <= present:
        return "online-retail"
    kinds = (("jsonl", JSON_SUFFIXES), ("parquet", PARQUET_SUFFIXES))
    return next((kind for kind, ends in kinds if suffix(path) in ends), "csv")


def _detect_folder(folder: Path) -> str:
    if any(folder.glob("*.seq.parquet")):
        return "amazon"
    if _movielens_tables(folder):
        return "movielens"
    files = [*sorted(folder.glob("events.*")), *sorted(folder.glob("*/events.*"))]
    kinds = (("csv", CSV_SUFFIXES), ("jsonl", JSON_SUFFIXES), ("parquet", PARQUET_SUFFIXES))
    for file in files:
        for kind, ends in kinds:
            if suffix(file) in ends:
                return kind
    raise DataError(
        f"the files in {folder} are of no format known: {', '.join(FORMATS)}",
        hint="give the file of events itself, and its --format",
    )
