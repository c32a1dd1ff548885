"""Writes data sets as files that the plain importers read back to the same data.

``events.csv`` and ``items.csv`` (or ``.parquet``) in a folder of each shop; a synthetic data set
gets a file ``SYNTHETIC`` beside them, which importers look for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import ABSENT, Dataset
from fedguide.data.partners import Partners, PartnerTable
from fedguide.data.tables import engine
from fedguide.data.tabular import SYNTHETIC_MARK
from fedguide.errors import ConfigError
from fedguide.values import KINDS

EVENT_HEAD = (
    "user_id", "item_id", "kind", "time", "query", "quantity", "price", "basket", "country",
)  # fmt: skip
ITEM_HEAD = ("item_id", "title", "brand", "category", "price")
FILE_FORMATS = ("csv", "parquet")


def write_dataset(dataset: Dataset, folder: Path, file_format: str = "csv") -> tuple[Path, ...]:
    """Writes one data set into ``folder`` (made if need be) and gives the files written.

    Raises:
        ConfigError: unknown ``file_format``.
    """
    if file_format not in FILE_FORMATS:
        raise ConfigError(f"file_format must be csv or parquet, got {file_format!r}")
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        _write(folder / "events.csv", EVENT_HEAD, _event_rows(dataset), file_format),
        _write(folder / "items.csv", ITEM_HEAD, _item_rows(dataset), file_format),
    ]
    if dataset.synthetic:
        files.append(_mark(folder))
    return tuple(files)


def write_partners(tables: Partners, folder: Path, file_format: str = "csv") -> tuple[Path, ...]:
    """Writes the label party's and both partners' tables into ``folder``.

    Raises:
        ConfigError: unknown ``file_format``.
    """
    if file_format not in FILE_FORMATS:
        raise ConfigError(f"file_format must be csv or parquet, got {file_format!r}")
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        _write_partner(table, folder, file_format)
        for table in (tables.shop, tables.logistics, tables.payment)
    ]
    return (*written, _mark(folder))


def _mark(folder: Path) -> Path:
    mark = folder / SYNTHETIC_MARK
    mark.write_text("Everything in this folder was made up by fedguide data synth.\n", "utf-8")
    return mark


def _write_partner(table: PartnerTable, folder: Path, file_format: str) -> Path:
    columns: dict[str, Sequence[str]] = {**table.keys, **table.words}
    columns |= {name: _number_texts(column) for name, column in table.numbers.items()}
    if table.label is not None:
        columns["label"] = [str(int(value)) for value in table.label.tolist()]
    rows = zip(*columns.values(), strict=True)
    return _write(folder / f"{table.name}.csv", tuple(columns), rows, file_format)


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]], kind: str) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
    if kind == "csv":
        return path
    target = path.with_suffix(".parquet")
    with engine() as connection:
        table = connection.read_csv(str(path), header=True, all_varchar=True)
        table.write_parquet(str(target))
    path.unlink()
    return target


def _event_rows(dataset: Dataset) -> Iterable[Sequence[str]]:
    events = dataset.events
    return zip(
        _names(events.users, events.user_ids),
        _names(events.items, dataset.catalogue.ids),
        _names(events.kinds, KINDS),
        _time_texts(events.times, dataset.clocked),
        _names(events.queries, events.query_texts),
        _number_texts(events.quantities),
        _number_texts(events.prices),
        _names(events.baskets, events.basket_ids),
        _names(events.users, events.groups),
        strict=True,
    )


def _item_rows(dataset: Dataset) -> Iterable[Sequence[str]]:
    items = dataset.catalogue
    prices = _number_texts(items.prices)
    return zip(items.ids, items.titles, items.brands, items.categories, prices, strict=True)


def _names(column: NDArray[np.integer], table: Sequence[str]) -> list[str]:
    return ["" if code == ABSENT else table[code] for code in column.tolist()]


def _number_texts(column: NDArray[np.floating]) -> list[str]:
    """The shortest texts that read back to the same numbers; ``""`` for NaN."""
    texts = column.astype(column.dtype.newbyteorder("=")).astype(str).tolist()
    return ["" if text == "nan" else text.removesuffix(".0") for text in texts]


def _time_texts(times: NDArray[np.int64], clocked: bool) -> list[str]:
    if not clocked:
        return [str(place) for place in times.tolist()]
    return [datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for t in times.tolist()]
