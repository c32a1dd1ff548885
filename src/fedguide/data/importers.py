"""Public formats and plain tables to data sets: one table of formats, one way in.

``online-retail`` (UCI Online Retail), ``amazon`` (review sequences), ``movielens`` (RecBole's
files, ML-100K, ML-1M and later), ``csv``, ``jsonl``, ``parquet`` with a column map; ``auto`` looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fedguide.data.columns import ITEM_COLUMNS, NONE, ColumnMap, plain
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

Importer = Callable[[Path, ColumnMap, Sequence[str]], tuple[Dataset, ...]]

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


def online_retail(
    path: Path, columns: ColumnMap, withhold: Sequence[str] = ()
) -> tuple[Dataset, ...]:
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
    tables = Tables("online-retail", path, rules=ONLINE_RETAIL_RULES)
    return (read_tables(tables, full, withhold),)


AMAZON_COLUMNS = {
    "user": "user", "item": "item", "kind": NONE, "time": "pos", "query": NONE, "quantity": NONE,
    "price": NONE, "basket": NONE, "group": NONE, "title": "keywords", "brand": NONE,
    "category": NONE,
}  # fmt: skip


def amazon(path: Path, columns: ColumnMap, withhold: Sequence[str] = ()) -> tuple[Dataset, ...]:
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
        tables = Tables(plain(name) or "shop", file, items, clocked=False)
        shops.append(read_tables(tables, full, withhold))
    return tuple(shops)


def movielens(path: Path, columns: ColumnMap, withhold: Sequence[str] = ()) -> tuple[Dataset, ...]:
    """MovieLens: RecBole's ``.inter``/``.item``, ``u.data``/``u.item``, ``ratings``/``movies``.

    ``path`` is the folder or the file of ratings. A rating is taken as a purchase whatever its
    number of stars, as the papers do. Genres become the category.
    """
    folder = path if path.is_dir() else path.parent
    for tables in _movielens_tables(folder):
        if path.is_dir() or path == tables.events:
            return (read_tables(tables, _only(columns), withhold),)
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
        names = ("user_id", "item_id", "rating", "timestamp")
        found.append(Tables("movielens", classic, event_names=names))
    if ratings.is_file():
        found.append(Tables("movielens", ratings, _first(folder, "movies.csv")))
    return found


def _first(folder: Path, *patterns: str) -> Path | None:
    return next((file for pattern in patterns for file in sorted(folder.glob(pattern))), None)
